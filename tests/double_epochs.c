/* SPDX-License-Identifier: MIT */
/* Several epochs on one batch: the second one sees the policy as it now is, beside what it was when
 * the step began. */
#include "algorithms/training/gradient.h"
#include "core/models/enumerated.h"
#include "race.h"

#include <math.h>

enum { CONTEXTS = 3, RESPONSES = 5, CELLS = CONTEXTS * RESPONSES, BATCH = 16, MOST = 4 };
static const char bandit[] = "contexts=3 responses=5 pairs=60";

/* Of responses of one token: log π, log π when the step began, log π_ref and rewards of a group. */
typedef struct Group {
    double now[MOST], old[MOST], reference[MOST], reward[MOST];
    int64_t k;
} Group;

static double grpo(const Group *g) {
    double sum = 0, mean = 0;
    for (int64_t i = 0; i < g->k; i++)
        mean += g->reward[i] / (double)g->k;
    for (int64_t i = 0; i < g->k; i++) {
        double ratio = exp(g->now[i] - g->old[i]), a = g->reward[i] - mean;
        double h = g->now[i] - g->reference[i];
        sum -= fmin(ratio * a, fmin(fmax(ratio, 0.9), 1.1) * a) - 0.3 * (exp(-h) - 1 + h);
    }
    return sum / (double)g->k;
}

static double rebel(const Group *g) {
    double sum = 0;
    for (int i = 0; i < 2; i++) {
        double gain = g->reward[i] - 0.3 * (g->old[i] - g->reference[i]);
        sum += (i == 0 ? 1 : -1) * (g->now[i] - g->old[i] - 0.7 * gain);
    }
    return sum * sum;
}

/* The loss of a rollout where the policy's table is `now`. */
static double loss_of(const RgRollout *r, const double *now, const double *old,
                      const double *reference, double (*loss)(const Group *g)) {
    double sum = 0;
    for (int64_t i = 0; i < BATCH; i++) {
        Group g = {.k = r->k};
        for (int64_t y = 0; y < r->k; y++) {
            int64_t at = i * r->k + y;
            int32_t cell = *rg_sequence_prompt(r->sequences, at) * RESPONSES +
                           *rg_sequence_response(r->sequences, at);
            g.now[y] = now[cell];
            g.old[y] = old[cell];
            g.reference[y] = reference[cell];
            g.reward[y] = r->reward[at];
        }
        sum += loss(&g) / BATCH;
    }
    return sum;
}

static void move(RgParameters *p) {
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] += 0.3 * rg_random_normal(rg_random_root(11), (uint64_t)i);
}

/* Both epochs' losses are the formula's; the second one's gradient is that of it by differences. */
static void check_second_epoch(const char *name, const char *given,
                               double (*loss)(const Group *g)) {
    const double h = 1e-6;
    Race race = race_begin(name, given, bandit, 0.5, BATCH);
    RgTrainer *trainer = race.trainer;
    RgParameters *p = race.policy->parameters;
    RgError error = {0};
    RgRollout rollout;
    double old[CELLS], now[CELLS], reference[CELLS];
    rg_policy_table(race.policy, old);
    rg_policy_table(race.reference, reference);
    cr_assert_eq(trainer->recipe.epochs, 2);
    cr_assert_eq(rg_gradient_begin(trainer, 3, &rollout, &error), RG_OK, "%s", error.text);
    double first = rg_gradient_add(trainer, 3, 0, &rollout);
    cr_expect_float_eq(first, loss_of(&rollout, old, old, reference, loss), 1e-12, "%s", name);
    move(p);
    rg_parameters_zero_gradient(p);
    double second = rg_gradient_add(trainer, 3, 1, &rollout);
    rg_policy_table(race.policy, now);
    cr_expect_float_eq(second, loss_of(&rollout, now, old, reference, loss), 1e-12, "%s", name);
    cr_expect_gt(fabs(second - first), 1e-3, "%s: %g twice", name, first);
    for (int64_t i = 0; i < p->count; i++) {
        double here = p->value[i];
        p->value[i] = here + h;
        rg_policy_table(race.policy, now);
        double high = loss_of(&rollout, now, old, reference, loss);
        p->value[i] = here - h;
        rg_policy_table(race.policy, now);
        double difference = (high - loss_of(&rollout, now, old, reference, loss)) / (2 * h);
        p->value[i] = here;
        cr_expect_float_eq(p->gradient[i], difference, 1e-8, "%s: %d: %g, expected %g", name,
                           (int)i, p->gradient[i], difference);
    }
    rg_gradient_end(trainer, &rollout);
    race_end(&race);
}

Test(epochs, of_rebel_fit_what_has_changed_since_the_step_began) {
    check_second_epoch("rebel", "epochs=2 eta=0.7 beta=0.3", rebel);
}

Test(epochs, of_grpo_hold_ratios_to_the_policy_that_the_step_began_with) {
    check_second_epoch("grpo", "epochs=2 group_size=4 clip=0.1 beta=0.3 std_normalisation=false",
                       grpo);
}
