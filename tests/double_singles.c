/* SPDX-License-Identifier: MIT */
/* Methods that take labelled responses one by one, in double: their losses of batches with unequal
 * numbers of either label against formulas by plain sums, their gradients against central differences
 * of these, and all responses of pairs against the pairs. */
#include "core/models/enumerated.h"
#include "notices.h"
#include "race.h"

#include <math.h>

enum { BATCH = 8, CONTEXTS = 3, RESPONSES = 5, SINGLES = 24 };

static const char bandit[] = "contexts=3 responses=5 pairs=30";
static const double beta = 0.5;

/* A race whose task has single responses of its own: one in three is desirable. */
typedef struct World {
    Race race;
    RgTask task;
    RgSingles *singles;
    RgTrainer *trainer;
} World;

static RgSingles *some_singles(int desirable_of_three) {
    RgSingles *singles = rg_singles_create();
    RgSequences *one = rg_sequences_create();
    for (uint64_t i = 0; i < SINGLES; i++) {
        int32_t context = (int32_t)rg_random_below(rg_random_root(3), i, CONTEXTS);
        int32_t response = (int32_t)rg_random_below(rg_random_root(4), i, RESPONSES);
        rg_sequences_clear(one);
        rg_sequences_append(one, &context, 1, &response, 1);
        rg_singles_append(singles, one, 0, (int)(i % 3) < desirable_of_three);
    }
    rg_sequences_destroy(one);
    return singles;
}

static RgStatus try_world(World *w, const char *method, const char *options, int desirable_of_three,
                          RgError *error) {
    *w = (World){.race = race_begin(method, options, bandit, 0.3, BATCH)};
    w->singles = some_singles(desirable_of_three);
    w->task = w->race.environment->task;
    w->task.pairs = NULL;
    w->task.singles = w->singles;
    return rg_trainer_create(w->race.algorithm, w->race.options, &w->race.trainer->training,
                             w->race.policy, w->race.reference, &w->task, &rg_small_race_optimizer,
                             0, rg_random_root(1), &w->trainer, error);
}

static void end_world(World *w) {
    rg_trainer_destroy(w->trainer);
    rg_singles_destroy(w->singles);
    race_end(&w->race);
}

/* ---- formulas ---- */

/* h of the batch's responses to the prompts of those `shift` places before; labels out. */
static void ratios(World *w, int64_t step, int shift, double *h, bool *desirable) {
    double own[CONTEXTS * RESPONSES], base[CONTEXTS * RESPONSES];
    const RgSequences *s = w->singles->sequences;
    int64_t at[BATCH];
    rg_policy_table(w->race.policy, own);
    rg_policy_table(w->race.reference, base);
    for (int i = 0; i < BATCH; i++)
        at[i] = rg_shuffle_at(&w->trainer->pairs, step * BATCH + i);
    for (int i = 0; i < BATCH; i++) {
        int64_t y = at[(i + shift) % BATCH];
        int32_t cell = *rg_sequence_prompt(s, at[i]) * RESPONSES + *rg_sequence_response(s, y);
        h[i] = own[cell] - base[cell];
        desirable[i] = w->singles->desirable[at[i]];
    }
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* z, as if all were mismatched. */
static double divergence(World *w, int64_t step) {
    double h[BATCH], z = 0;
    bool ignored[BATCH];
    ratios(w, step, 1, h, ignored);
    for (int i = 0; i < BATCH; i++)
        z += beta * h[i] / BATCH;
    return fmax(z, 0);
}

static double kto(World *w, int64_t step, double z) {
    double h[BATCH], sum = 0;
    bool good[BATCH];
    ratios(w, step, 0, h, good);
    for (int i = 0; i < BATCH; i++)
        sum += good[i] ? 2 * (1 - sigmoid(beta * h[i] - z)) : 3 * (1 - sigmoid(z - beta * h[i]));
    return sum / BATCH;
}

/* A third of the data set is desirable: weights 3 and 3/2. */
static double bco(World *w, int64_t step, double shift) {
    double h[BATCH], sum = 0;
    bool good[BATCH];
    ratios(w, step, 0, h, good);
    for (int i = 0; i < BATCH; i++)
        sum -= good[i] ? 3 * log(sigmoid(beta * h[i] - shift))
                       : 1.5 * log(sigmoid(shift - beta * h[i]));
    return sum / BATCH;
}

/* The mean over earlier steps of ½ the weighted rewards, of a policy that is where it was. */
static double shift_of(World *w, int64_t step) {
    double h[BATCH], sum = 0;
    bool good[BATCH];
    ratios(w, step, 0, h, good);
    for (int i = 0; i < BATCH; i++)
        sum += (good[i] ? 1.5 : 0.75) * beta * h[i] / BATCH;
    return sum;
}

typedef double Formula(World *w, int64_t step, double held);

/* Loss and gradient of the batch of `step` are the formula's, with z or δ held. */
static void check(World *w, int64_t step, Formula *formula, double held) {
    const double h = 1e-6;
    RgParameters *p = w->race.policy->parameters;
    rg_parameters_zero_gradient(p);
    w->trainer->outcome.metric_count = 0;
    double loss = step_gradient(w->trainer, step), expected = formula(w, step, held);
    cr_expect_float_eq(loss, expected, 1e-12, "%g, expected %g", loss, expected);
    for (int64_t i = 0; i < p->count; i++) {
        double here = p->value[i];
        p->value[i] = here + h;
        double high = formula(w, step, held);
        p->value[i] = here - h;
        double difference = (high - formula(w, step, held)) / (2 * h);
        p->value[i] = here;
        cr_expect_float_eq(p->gradient[i], difference, 1e-8, "%d: %g, expected %g", (int)i,
                           p->gradient[i], difference);
    }
}

/* Batches have other numbers of desirable responses than of undesirable ones, and than each other. */
static int desirable_in(World *w, int64_t step) {
    double h[BATCH];
    bool good[BATCH];
    int count = 0;
    ratios(w, step, 0, h, good);
    for (int i = 0; i < BATCH; i++)
        count += good[i];
    return count;
}

Test(singles, kto_is_a_mean_over_responses_as_they_come) {
    World w;
    RgError error = {0};
    cr_assert_eq(try_world(&w, "kto",
                           "beta=0.5 desirable_weight=2 undesirable_weight=3 single=true", 1,
                           &error),
                 RG_OK, "%s", error.text);
    bool differ = false, above = false;
    for (int64_t step = 0; step < 6; step++) {
        double z = divergence(&w, step);
        check(&w, step, kto, z);
        differ = differ || desirable_in(&w, step) != desirable_in(&w, 0);
        above = above || z > 1e-3;
    }
    cr_expect(differ && above);
    end_world(&w);
}

Test(singles, bco_weighs_responses_by_the_shares_of_their_labels) {
    World w;
    RgError error = {0};
    cr_assert_eq(try_world(&w, "bco", "beta=0.5 single=true", 1, &error), RG_OK, "%s", error.text);
    check(&w, 0, bco, 0);
    double first = shift_of(&w, 0);
    cr_assert(take_step(w.trainer));
    cr_expect_gt(fabs(first), 1e-3);
    check(&w, 1, bco, first);
    double second = shift_of(&w, 1);
    cr_assert(take_step(w.trainer));
    check(&w, 2, bco, (first + second) / 2);
    end_world(&w);

    static const char *const told[] = {"all of 24 single responses are undesirable",
                                       "all of 24 single responses are desirable"};
    for (int k = 0; k < 2; k++) {
        cr_expect_eq(try_world(&w, "bco", "single=true", 3 * k, &error), RG_E_USAGE);
        cr_expect(strstr(error.text, told[k]), "%s", error.text);
        end_world(&w);
    }
    cr_expect_eq(try_world(&w, "kto", "single=true", 3, &error), RG_OK, "one label is enough");
    end_world(&w);
}

/* What kto says of data with `desirable` of SINGLES, before anything is made. */
static RgStatus check_kto(const char *options, int64_t desirable, RgError *error) {
    World w;
    cr_assert_eq(try_world(&w, "kto", options, 1, error), RG_OK, "%s", error->text);
    w.task.expected_singles = SINGLES;
    w.task.expected_desirable = desirable;
    RgStatus status = w.race.algorithm->check(w.race.options, &w.task, w.race.policy, error);
    end_world(&w);
    return status;
}

Test(singles, of_one_label_are_noticed_and_weights_of_zero_refused) {
    RgError error = {0};
    begin_notices();
    cr_expect_eq(check_kto("single=true", 8, &error), RG_OK);
    cr_expect_str_empty(notices);
    cr_expect_eq(check_kto("single=true", SINGLES, &error), RG_OK);
    cr_expect_str_eq(notices, "kto: all of 24 single responses are desirable\n");
    end_notices();
    cr_expect_eq(check_kto("single=true desirable_weight=0", SINGLES, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "are desirable, and desirable_weight is 0"), "%s", error.text);
    Race race;
    const RgSmallRaceTerms terms = {.algorithm = rg_algorithm_find("kto"),
                                    .options = "desirable_weight=0 undesirable_weight=0",
                                    .bandit = bandit,
                                    .batch = BATCH};
    cr_expect_eq(rg_small_race_begin(&terms, &race, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "desirable_weight and undesirable_weight are 0"), "%s",
              error.text);
}

/* The meter counts a response once, and a pair's label twice. */
Test(singles, count_as_responses_of_the_data_set) {
    World w;
    RgError error = {0};
    cr_assert_eq(try_world(&w, "kto", "single=true", 1, &error), RG_OK, "%s", error.text);
    for (int s = 1; s <= 5; s++) {
        cr_assert(take_step(w.trainer));
        cr_expect_eq(w.trainer->meter.dataset_responses, s < 3 ? BATCH * s : SINGLES);
        cr_expect_eq(w.trainer->meter.trained_tokens, BATCH * s);
    }
    end_world(&w);
}

/* ---- pairs as single responses ---- */

/* The gradient of the whole data set in one batch, from pairs or from their responses. */
static double whole_gradient(const char *method, const char *options, double deviation,
                             int64_t batch, double *gradient) {
    Race race = race_begin(method, options, bandit, deviation, batch);
    RgParameters *p = race.policy->parameters;
    double loss = step_gradient(race.trainer, 0);
    for (int64_t i = 0; i < p->count; i++)
        gradient[i] = p->gradient[i];
    race_end(&race);
    return loss;
}

/* Neither z nor δ tells the two apart at first: the policy is its reference, or δ is 0. */
Test(singles, of_all_pairs_have_the_gradient_of_the_pairs) {
    static const struct {
        const char *method, *options;
        double deviation;
    } cases[] = {{"kto", "beta=0.5 desirable_weight=2 undesirable_weight=3", 0},
                 {"bco", "beta=0.5", 0},
                 {"bco", "beta=0.5", 0.4}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        double of_pairs[CONTEXTS * RESPONSES] = {0}, of_singles[CONTEXTS * RESPONSES] = {0};
        double norm = 0;
        char *single = rg_string_format("%s single=true", cases[k].options);
        double a =
            whole_gradient(cases[k].method, cases[k].options, cases[k].deviation, 30, of_pairs);
        double b = whole_gradient(cases[k].method, single, cases[k].deviation, 60, of_singles);
        cr_expect_float_eq(a, b, 1e-12, "%s: %g, of pairs %g", cases[k].method, b, a);
        for (int i = 0; i < CONTEXTS * RESPONSES; i++) {
            norm += fabs(of_pairs[i]);
            cr_expect_float_eq(of_singles[i], of_pairs[i], 1e-12, "%s", cases[k].method);
        }
        cr_expect_gt(norm, 1e-2);
        free(single);
    }
}
