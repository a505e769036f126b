/* SPDX-License-Identifier: MIT */
/* The losses of the methods beside DPO and SAIL, in double: on batches of known numbers, against
 * their formulas by plain arithmetic, and their gradients against central differences of these; for
 * methods of the policy gradient, against the gradient that their paper has. */
#include "algorithms/ppo.h"
#include "core/models/enumerated.h"
#include "algorithms/training/gradient.h"
#include "race.h"

#include <math.h>

enum { PAIRS = 5, SIZE = 4, NUMBERS = 5 * PAIRS };

/* Log-probabilities that a loss is a function of: chosen, rejected and third, [PAIRS] each.
 */
typedef struct Numbers {
    double chosen[PAIRS], rejected[PAIRS], third[PAIRS];
} Numbers;

static Numbers at;                 /* of the policy */
static double reference[3][PAIRS]; /* the same three */
static double length[2][PAIRS];    /* of chosen and rejected */
static double rise;                /* of the third over its reference */
static double on_policy[PAIRS], first_chosen[PAIRS];
static RgSettings *settings;
static const RgAlgorithm *algorithm;
static RgRecipe recipe;
static char options[256] __attribute__((aligned(16)));

static double chance(uint64_t i) {
    return rg_random_uniform(rg_random_root(21), i);
}

static void draw_numbers(void) {
    for (uint64_t i = 0; i < PAIRS; i++) {
        at.chosen[i] = -4 * chance(10 * i);
        at.rejected[i] = -4 * chance(10 * i + 1);
        at.third[i] = rise - 4 * chance(10 * i + 2);
        for (uint64_t k = 0; k < 3; k++)
            reference[k][i] = -4 * chance(10 * i + 3 + k);
        length[0][i] = (double)(1 + i);
        length[1][i] = (double)(7 - i);
        on_policy[i] = i != 2;
        first_chosen[i] = i % 2 == 0;
    }
}

static RgTensor *constant(RgTape *t, const double *x) {
    return rg_constant(t, RG_SHAPE(PAIRS), x);
}

static RgSide side(RgTape *t, RgTensor *logprob, const double *of_reference, const double *tokens) {
    RgSide s = {.logprob = logprob, .reference = constant(t, of_reference)};
    if (recipe.reference_free)
        s.reference = rg_filled(t, RG_SHAPE(PAIRS), 0);
    s.log_ratio = rg_sub(t, logprob, s.reference);
    s.length = constant(t, tokens);
    return s;
}

/* Columns `first` and `second` of pairs, in the order in which they were drawn: [PAIRS, 2]. */
static RgTensor *as_drawn(RgTape *t, RgTensor *chosen, RgTensor *rejected) {
    RgTensor *first = constant(t, first_chosen);
    RgTensor *second = rg_add_scalar(t, rg_negate(t, first), 1);
    RgTensor *a = rg_add(t, rg_mul(t, first, chosen), rg_mul(t, second, rejected));
    RgTensor *b = rg_add(t, rg_mul(t, second, chosen), rg_mul(t, first, rejected));
    RgShape column = RG_SHAPE(PAIRS, 1);
    RgTensor *columns[] = {rg_reshape(t, a, column), rg_reshape(t, b, column)};
    return rg_concatenate(t, 1, columns, 2);
}

/* The method's loss where its numbers are; its gradient in them out. */
static double loss_of(Numbers *gradient) {
    RgTape *t = rg_tape_create();
    RgStep step = {.tape = t, .share = 1};
    RgTensor *x[3] = {rg_variable(t, RG_SHAPE(PAIRS), at.chosen),
                      rg_variable(t, RG_SHAPE(PAIRS), at.rejected),
                      rg_variable(t, RG_SHAPE(PAIRS), at.third)};
    int32_t order[2 * PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        order[2 * i] = first_chosen[i] == 0;
        order[2 * i + 1] = first_chosen[i] != 0;
    }
    RgBatch batch = {.prompts = PAIRS,
                     .k = 2,
                     .order = order,
                     .chosen = side(t, x[0], reference[0], length[0]),
                     .rejected = side(t, x[1], reference[1], length[1]),
                     .third = side(t, x[2], reference[2], length[0]),
                     .on_policy = constant(t, on_policy)};
    batch.logprob = as_drawn(t, batch.chosen.logprob, batch.rejected.logprob);
    batch.log_ratio = as_drawn(t, batch.chosen.log_ratio, batch.rejected.log_ratio);
    batch.old = rg_stop_gradient(t, batch.logprob);
    if (recipe.third == RG_FROM_OTHERS) {
        batch.third.logprob = rg_stop_gradient(t, x[2]);
        batch.third.log_ratio = rg_stop_gradient(t, batch.third.log_ratio);
    }
    RgTensor *loss = algorithm->loss(&step, options, &batch), *g[3];
    double value = loss->data[0];
    rg_gradients(t, loss, x, 3, g);
    double *out[3] = {gradient->chosen, gradient->rejected, gradient->third};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < PAIRS; i++)
            out[k][i] = g[k] ? g[k]->data[i] : 0;
    rg_tape_destroy(t);
    return value;
}

static void begin(const char *name, const char *given) {
    RgError error = {0};
    settings = rg_settings_create();
    algorithm = rg_algorithm_find(name);
    cr_assert(algorithm && algorithm->about.options_size <= sizeof options);
    rg_small_race_set(settings, "algorithm", given);
    cr_assert_eq(rg_options_read(algorithm->about.options, settings, "algorithm", options, &error),
                 RG_OK, "%s", error.text);
    recipe = rg_recipe_of(algorithm, options);
    draw_numbers();
}

/* Whether the loss is `formula`, and its gradient that of it. */
static void check(const char *name, const char *given, double (*formula)(void)) {
    const double step = 1e-6;
    Numbers gradient;
    begin(name, given);
    cr_expect_float_eq(loss_of(&gradient), formula(), 1e-12, "%s", name);
    double *x[3] = {at.chosen, at.rejected, at.third};
    const double *g[3] = {gradient.chosen, gradient.rejected, gradient.third};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < PAIRS; i++) {
            double here = x[k][i];
            x[k][i] = here + step;
            double high = formula();
            x[k][i] = here - step;
            double difference = (high - formula()) / (2 * step);
            x[k][i] = here;
            /* the mismatched responses of KTO are no gradient's way */
            if (k == 2 && recipe.third == RG_FROM_OTHERS)
                difference = 0;
            cr_expect_float_eq(g[k][i], difference, 1e-8, "%s: %d of side %d: %g, expected %g",
                               name, i, k, g[k][i], difference);
        }
    rg_settings_destroy(settings);
}

static double h(int k, int i) {
    const double *x[3] = {at.chosen, at.rejected, at.third};
    return x[k][i] - reference[k][i];
}

static double margin(int i) {
    return h(0, i) - h(1, i);
}

static double log_sigmoid(double x) {
    return -log1p(exp(-x));
}

static double cdpo(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum -= 0.8 * log_sigmoid(0.5 * margin(i)) + 0.2 * log_sigmoid(-0.5 * margin(i));
    return sum / PAIRS;
}

static double rdpo(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum += (-0.8 * log_sigmoid(0.5 * margin(i)) + 0.2 * log_sigmoid(-0.5 * margin(i))) / 0.6;
    return sum / PAIRS;
}

static double ipo(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum += pow(margin(i) - 1, 2);
    return sum / PAIRS;
}

static double ipo_of_means(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum += pow(h(0, i) / length[0][i] - h(1, i) / length[1][i] - 1, 2);
    return sum / PAIRS;
}

static double hinge(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum += fmax(0, 1 - 0.5 * margin(i));
    return sum / PAIRS;
}

static double kto(void) {
    double z = 0, sum = 0;
    for (int i = 0; i < PAIRS; i++)
        z += 0.5 * h(2, i) / PAIRS;
    z = fmax(0, z);
    for (int i = 0; i < PAIRS; i++)
        sum += 2 * (1 - 1 / (1 + exp(-(0.5 * h(0, i) - z)))) +
               3 * (1 - 1 / (1 + exp(-(z - 0.5 * h(1, i)))));
    return sum / (2 * PAIRS);
}

static double simpo(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum -= log_sigmoid(2 * (at.chosen[i] / length[0][i] - at.rejected[i] / length[1][i]) - 0.7);
    return sum / PAIRS;
}

static double dpo(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum -= log_sigmoid(0.5 * margin(i));
    return sum / PAIRS;
}

static double xpo(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum += 0.03 * on_policy[i] * (first_chosen[i] != 0 ? at.rejected[i] : at.chosen[i]);
    return dpo() + sum / PAIRS;
}

static double calibrated(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum += 0.03 * h(2, i);
    return dpo() + sum / PAIRS;
}

/* Without the score term, whose gradient is not that of its value. */
static double sail_revkl(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum -= 0.2 * 0.5 * (h(0, i) / length[0][i] + h(1, i) / length[1][i]);
    return dpo() + sum / PAIRS;
}

static double chi_po_most; /* of a margin */

static double chi_po_margin(int i) {
    return 0.2 * (exp(h(0, i)) + h(0, i) - exp(h(1, i)) - h(1, i));
}

static double chi_po(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum -= log_sigmoid(fmin(fmax(chi_po_margin(i), -chi_po_most), chi_po_most));
    return sum / PAIRS;
}

Test(losses, are_their_formulas) {
    int beyond = 0;
    check("dpo", "beta=0.5", dpo);
    check("cdpo", "beta=0.5 label_smoothing=0.2", cdpo);
    check("rdpo", "beta=0.5 label_noise=0.2", rdpo);
    check("ipo", "beta=0.5", ipo);
    check("ipo", "beta=0.5 logprob=mean", ipo_of_means);
    check("hinge", "beta=0.5", hinge);
    check("kto", "beta=0.5 desirable_weight=2 undesirable_weight=3", kto);
    rise = 5; /* a divergence above 0 */
    check("kto", "beta=0.5 desirable_weight=2 undesirable_weight=3", kto);
    rise = 0;
    check("simpo", "beta=2 target_margin=0.7", simpo);
    chi_po_most = 200; /* beyond all, then beyond some */
    check("chi-po", "beta=0.2 reward_limit=100", chi_po);
    chi_po_most = 0.6;
    check("chi-po", "beta=0.2 reward_limit=0.3", chi_po);
    for (int i = 0; i < PAIRS; i++)
        beyond += fabs(chi_po_margin(i)) > 0.6;
    cr_expect(beyond > 0 && beyond < PAIRS, "%d", beyond);
    check("spin", "beta=0.5", dpo);
    check("xpo", "beta=0.5 exploration=0.03", xpo);
    check("vpo", "beta=0.5 exploration=0.03", calibrated);
    check("selm", "beta=0.5 exploration=0.03", calibrated);
    check("sail-revkl", "beta=0.5 exploration=0 reverse_kl=0.2", sail_revkl);
}

/* ---- the optimum of χPO ---- */

/* w·e^w = e^x */
static double lambert(double x) {
    double w = x > 1 ? x - log(x) : exp(x) / (1 + exp(x));
    for (int i = 0; i < 50; i++)
        w -= (w + log(w) - x) / (1 + 1 / w);
    return w;
}

/* π_ref·W(e^((r − λ)/β)) with the λ for which it adds up to 1, by bisection. */
static void chi_po_optimum(const double *base, const double *reward, double beta, double *policy) {
    double low = -20, high = 20;
    for (int step = 0; step < 200; step++) {
        double lambda = (low + high) / 2, sum = 0;
        for (int i = 0; i < SIZE; i++)
            sum += policy[i] = base[i] * lambert((reward[i] - lambda) / beta);
        *(sum > 1 ? &low : &high) = lambda;
    }
}

/* At the optimum the labels of all pairs, by their probabilities, leave no gradient; at that of DPO
 * they do. */
Test(losses, chi_po_has_the_optimum_of_both_divergences) {
    const double base[SIZE] = {0.6, 0.3, 0.08, 0.02}, reward[SIZE] = {0, 0.5, 1, 2}, beta = 0.4;
    double optimum[SIZE], tilted[SIZE], sum = 0, left[2] = {0};
    chi_po_optimum(base, reward, beta, optimum);
    for (int i = 0; i < SIZE; i++)
        sum += tilted[i] = base[i] * exp(reward[i] / beta);
    begin("chi-po", "beta=0.4 reward_limit=10");
    for (int of_dpo = 0; of_dpo < 2; of_dpo++)
        for (int i = 0; i < SIZE; i++)
            for (int j = 0; j < SIZE; j++) {
                Numbers won, lost;
                const double *p = of_dpo ? tilted : optimum;
                double unit = of_dpo ? sum : 1;
                for (int k = 0; k < PAIRS; k++) {
                    at.chosen[k] = log(p[i] / unit);
                    at.rejected[k] = log(p[j] / unit);
                    reference[0][k] = log(base[i]);
                    reference[1][k] = log(base[j]);
                }
                loss_of(&won);
                double first = 1 / (1 + exp(reward[j] - reward[i])), other = 1 - first;
                double slope = first * won.chosen[0];
                for (int k = 0; k < PAIRS; k++) {
                    double here = at.chosen[k], there = reference[0][k];
                    at.chosen[k] = at.rejected[k];
                    at.rejected[k] = here;
                    reference[0][k] = reference[1][k];
                    reference[1][k] = there;
                }
                loss_of(&lost);
                slope += other * lost.rejected[0];
                left[of_dpo] = fmax(left[of_dpo], fabs(slope));
            }
    cr_expect_lt(left[0], 1e-12, "%g", left[0]);
    cr_expect_gt(left[1], 1e-2, "%g", left[1]);
    rg_settings_destroy(settings);
}

/* ---- KTO's z ---- */

enum { BATCH = 8 };

/* KTO's loss of the batch that step `step` has, by plain sums, with z given; z of both responses of
 * the next pair, or of its chosen one, out. */
static double kto_of_batch(Race *race, int64_t step, bool chosen, const double *given, double *z) {
    const RgPairs *pairs = race->environment->course.pairs;
    double own[15], base[15], beta = 0.5, sum = 0, ratio[BATCH][2];
    int32_t context[BATCH], response[BATCH][2];
    rg_policy_table(race->policy, own);
    rg_policy_table(race->reference, base);
    for (int64_t i = 0; i < BATCH; i++) {
        int64_t pair = rg_shuffle_at(&race->trainer->pairs, step * BATCH + i);
        for (int64_t k = 0; k < 2; k++) {
            int64_t y = 2 * pair + (k == 0 ? pairs->preferred[pair] : 1 - pairs->preferred[pair]);
            context[i] = *rg_sequence_prompt(pairs->sequences, y);
            response[i][k] = *rg_sequence_response(pairs->sequences, y);
            int32_t cell = context[i] * 5 + response[i][k];
            ratio[i][k] = own[cell] - base[cell];
        }
    }
    *z = 0;
    for (int i = 0; i < BATCH; i++)
        for (int k = 0; k < (chosen ? 1 : 2); k++) {
            int32_t cell = context[i] * 5 + response[(i + 1) % BATCH][k];
            *z += beta * (own[cell] - base[cell]) / (chosen ? BATCH : 2 * BATCH);
        }
    *z = fmax(*z, 0);
    double used = given ? *given : *z;
    for (int i = 0; i < BATCH; i++) {
        double good = 1 / (1 + exp(-(beta * ratio[i][0] - used)));
        double bad = 1 / (1 + exp(-(used - beta * ratio[i][1])));
        sum += (2 * (1 - good) + 3 * (1 - bad)) / (2 * BATCH);
    }
    return sum;
}

/* After steps that have moved the policy; returns z. */
static double check_kto(const char *given, bool chosen) {
    const double h = 1e-6;
    char all[160];
    snprintf(all, sizeof all, "beta=0.5 desirable_weight=2 undesirable_weight=3 %s", given);
    Race race = race_begin("kto", all, "contexts=3 responses=5 pairs=60", 0, BATCH);
    for (int s = 0; s < 20; s++)
        cr_assert(take_step(race.trainer));
    double z, ignored, expected = kto_of_batch(&race, 20, chosen, NULL, &z);
    RgParameters *p = race.policy->parameters;
    rg_parameters_zero_gradient(p);
    race.trainer->outcome.metric_count = 0;
    double loss = step_gradient(race.trainer, 20);
    cr_expect_float_eq(loss, expected, 1e-12, "%s: %g, expected %g", given, loss, expected);
    for (int64_t i = 0; i < p->count; i++) { /* z is held: no gradient goes through it */
        double here = p->value[i];
        p->value[i] = here + h;
        double high = kto_of_batch(&race, 20, chosen, &z, &ignored);
        p->value[i] = here - h;
        double difference = (high - kto_of_batch(&race, 20, chosen, &z, &ignored)) / (2 * h);
        p->value[i] = here;
        cr_expect_float_eq(p->gradient[i], difference, 1e-8, "%s %d: %g, expected %g", given,
                           (int)i, p->gradient[i], difference);
    }
    race_end(&race);
    return z;
}

Test(losses, kto_takes_z_from_both_responses_of_the_next_pair_or_from_the_chosen_one) {
    double all = check_kto("", false), chosen = check_kto("kl_responses=chosen", true);
    cr_expect_gt(fabs(all - chosen), 0.01, "%g %g", all, chosen);
}

Test(losses, hinge_and_kto_meet_both_of_their_cases) {
    double sum = 0;
    int enough = 0;
    begin("hinge", "beta=0.5");
    for (int i = 0; i < PAIRS; i++) {
        sum += h(2, i);
        enough += 0.5 * margin(i) > 1;
    }
    cr_expect(enough > 0 && enough < PAIRS, "%d", enough);
    cr_expect(sum < 0 && sum + 5 * PAIRS > 0, "%g", sum);
    rg_settings_destroy(settings);
}

Test(losses, nash_md_has_the_gradient_of_its_paper) {
    Numbers gradient;
    begin("nash-md", "beta=0.3");
    loss_of(&gradient);
    for (int i = 0; i < PAIRS; i++) {
        bool won = first_chosen[i] != 0;
        double own = h(won ? 0 : 1, i), expected = -((won ? 1 : 0) - 0.5 - 0.3 * own) / PAIRS;
        cr_expect_float_eq(won ? gradient.chosen[i] : gradient.rejected[i], expected, 1e-12);
        cr_expect_float_eq(won ? gradient.rejected[i] : gradient.chosen[i], 0, 1e-12);
    }
    rg_settings_destroy(settings);
}

/* That of λ·E[h·log π] is λ·h of each response, beside DPO's own. */
Test(losses, hybrid_is_dpo_and_the_score_of_the_divergence) {
    Numbers gradient, of_dpo;
    begin("dpo", "beta=0.5");
    double loss = loss_of(&of_dpo);
    rg_settings_destroy(settings);
    begin("hybrid", "beta=0.5 kl_coefficient=0.3");
    for (int i = 0; i < PAIRS; i++)
        loss += 0.3 * h(2, i) * at.third[i] / PAIRS;
    cr_expect_float_eq(loss_of(&gradient), loss, 1e-12);
    for (int i = 0; i < PAIRS; i++) {
        cr_expect_float_eq(gradient.third[i], 0.3 * h(2, i) / PAIRS, 1e-12);
        cr_expect_eq(gradient.chosen[i], of_dpo.chosen[i]);
        cr_expect_eq(gradient.rejected[i], of_dpo.rejected[i]);
    }
    rg_settings_destroy(settings);
}

/* ---- groups ---- */

static double group_logprob[PAIRS * SIZE], group_reference[PAIRS * SIZE],
    group_reward[PAIRS * SIZE], group_win_rate[PAIRS * SIZE];
static int32_t ranking[PAIRS * SIZE];

static double group_loss(double *gradient) {
    RgTape *t = rg_tape_create();
    RgShape shape = RG_SHAPE(PAIRS, SIZE);
    RgTensor *x = rg_variable(t, shape, group_logprob), *g;
    RgStep step = {.tape = t};
    RgBatch batch = {.prompts = PAIRS,
                     .k = SIZE,
                     .logprob = x,
                     .log_ratio = rg_sub(t, x, rg_constant(t, shape, group_reference)),
                     .old = rg_stop_gradient(t, x),
                     .reward = rg_constant(t, shape, group_reward),
                     .win_rate = rg_constant(t, shape, group_win_rate),
                     .order = ranking};
    RgTensor *loss = algorithm->loss(&step, options, &batch);
    double value = loss->data[0];
    rg_gradients(t, loss, &x, 1, &g);
    memcpy(gradient, g->data, sizeof group_logprob);
    rg_tape_destroy(t);
    return value;
}

static void draw_groups(void) {
    for (int i = 0; i < PAIRS * SIZE; i++) {
        group_logprob[i] = -4 * chance(1000 + (uint64_t)i);
        group_reference[i] = -4 * chance(2000 + (uint64_t)i);
        group_reward[i] = 3 * chance(3000 + (uint64_t)i);
        group_win_rate[i] = chance(4000 + (uint64_t)i);
        ranking[i] = (i % SIZE + i / SIZE) % SIZE;
    }
}

Test(losses, rloo_weighs_scores_by_what_they_are_above_the_others) {
    double gradient[PAIRS * SIZE];
    begin("rloo", "beta=0.3");
    draw_groups();
    group_loss(gradient);
    for (int i = 0; i < PAIRS * SIZE; i++) {
        double own = 0, others = 0;
        for (int j = i / SIZE * SIZE; j < (i / SIZE + 1) * SIZE; j++) {
            double gain = group_reward[j] - 0.3 * (group_logprob[j] - group_reference[j]);
            *(j == i ? &own : &others) += gain;
        }
        cr_expect_float_eq(gradient[i], -(own - others / (SIZE - 1)) / (PAIRS * SIZE), 1e-12);
    }
    rg_settings_destroy(settings);
}

static double plackett_luce(void) {
    double total = 0;
    for (int i = 0; i < PAIRS; i++)
        for (int place = 0; place < SIZE - 1; place++) {
            double sum = 0, first = 0;
            for (int later = place; later < SIZE; later++) {
                int cell = i * SIZE + ranking[i * SIZE + later];
                double weight = exp(0.3 * (group_logprob[cell] - group_reference[cell]));
                sum += weight;
                first = later == place ? weight : first;
            }
            total -= log(first / sum) / PAIRS;
        }
    return total;
}

static double win_rates_fitted(void) {
    double total = 0;
    for (int i = 0; i < PAIRS * SIZE; i++)
        total += pow(group_logprob[i] - group_reference[i] - 3 * (group_win_rate[i] - 0.5), 2);
    return total / (PAIRS * SIZE);
}

/* Whether the loss of groups is `formula`, and its gradient that of it. */
static void check_groups(const char *name, const char *given, double (*formula)(void)) {
    const double step = 1e-6;
    double gradient[PAIRS * SIZE];
    begin(name, given);
    draw_groups();
    cr_expect_float_eq(group_loss(gradient), formula(), 1e-12, "%s", name);
    for (int i = 0; i < PAIRS * SIZE; i++) {
        double here = group_logprob[i];
        group_logprob[i] = here + step;
        double high = formula();
        group_logprob[i] = here - step;
        cr_expect_float_eq(gradient[i], (high - formula()) / (2 * step), 1e-8, "%s", name);
        group_logprob[i] = here;
    }
    rg_settings_destroy(settings);
}

Test(losses, of_groups_are_their_formulas) {
    check_groups("listwise", "beta=0.3", plackett_luce);
    check_groups("sppo", "eta=3", win_rates_fitted);
}

/* ---- GRPO: groups, token by token ---- */

enum { ALL_RESPONSES = PAIRS * SIZE, TOKENS = PAIRS * (0 + 1 + 2 + 3), LIMIT = 6 };

static double step_logprob[TOKENS], step_reference[TOKENS], step_old[TOKENS];
static int64_t step_offsets[ALL_RESPONSES + 1];

/* Responses of 0 to 3 tokens; the last group's rewards are all the same. */
static void draw_steps(void) {
    draw_groups();
    for (int i = 0; i < ALL_RESPONSES; i++) {
        step_offsets[i + 1] = step_offsets[i] + (i + i / SIZE) % SIZE;
        if (i >= ALL_RESPONSES - SIZE)
            group_reward[i] = 1.25;
    }
    for (uint64_t i = 0; i < TOKENS; i++) {
        step_logprob[i] = -3 * chance(7000 + i);
        step_reference[i] = -3 * chance(8000 + i);
        step_old[i] = step_logprob[i] + chance(9000 + i) - 0.5;
    }
}

static double length_of(int i) {
    return fmax(1, (double)(step_offsets[i + 1] - step_offsets[i]));
}

/* The method's loss, its gradient in the tokens' log-probabilities and what it logs. */
static double steps_loss(double *gradient, RgStep *step) {
    RgTape *t = rg_tape_create();
    RgShape shape = RG_SHAPE(PAIRS, SIZE), tokens = RG_SHAPE(TOKENS);
    RgTensor *x = rg_variable(t, tokens, step_logprob), *g;
    double of_each[ALL_RESPONSES];
    for (int i = 0; i < ALL_RESPONSES; i++)
        of_each[i] = length_of(i);
    *step = (RgStep){.tape = t, .share = 1};
    RgBatch batch = {.prompts = PAIRS,
                     .k = SIZE,
                     .response_limit = LIMIT,
                     .length = rg_constant(t, shape, of_each),
                     .reward = rg_constant(t, shape, group_reward),
                     .steps = {.count = TOKENS,
                               .offsets = step_offsets,
                               .logprob = x,
                               .reference = rg_constant(t, tokens, step_reference),
                               .old = rg_constant(t, tokens, step_old)}};
    RgTensor *loss = algorithm->loss(step, options, &batch);
    double value = loss->data[0];
    rg_gradients(t, loss, &x, 1, &g);
    memcpy(gradient, g->data, sizeof step_logprob);
    rg_tape_destroy(t);
    return value;
}

static double group_advantage(int i, bool by_std) {
    double mean = 0, squares = 0;
    int first = i / SIZE * SIZE;
    for (int j = first; j < first + SIZE; j++)
        mean += group_reward[j] / SIZE;
    for (int j = first; j < first + SIZE; j++)
        squares += pow(group_reward[j] - mean, 2);
    return (group_reward[i] - mean) / (by_std ? sqrt(squares / (SIZE - 1)) + 1e-4 : 1);
}

static double grpo(double beta, bool by_length, bool by_std) {
    double total = 0;
    for (int i = 0; i < ALL_RESPONSES; i++) {
        double a = group_advantage(i, by_std), sum = 0;
        for (int64_t j = step_offsets[i]; j < step_offsets[i + 1]; j++) {
            double ratio = exp(step_logprob[j] - step_old[j]);
            double h = step_logprob[j] - step_reference[j];
            sum += fmin(ratio * a, fmin(fmax(ratio, 0.8), 1.2) * a) - beta * (exp(-h) - 1 + h);
        }
        total -= sum / (by_length ? length_of(i) : LIMIT) / ALL_RESPONSES;
    }
    return total;
}

static void check_grpo(const char *given, double beta, bool by_length, bool by_std) {
    const double step = 1e-6;
    double gradient[TOKENS];
    RgStep logged;
    begin("grpo", given);
    draw_steps();
    cr_expect_float_eq(steps_loss(gradient, &logged), grpo(beta, by_length, by_std), 1e-12, "%s",
                       given);
    for (int i = 0; i < TOKENS; i++) {
        double here = step_logprob[i];
        step_logprob[i] = here + step;
        double high = grpo(beta, by_length, by_std);
        step_logprob[i] = here - step;
        double difference = (high - grpo(beta, by_length, by_std)) / (2 * step);
        step_logprob[i] = here;
        cr_expect_float_eq(gradient[i], difference, 1e-8, "%s: %d: %g, expected %g", given, i,
                           gradient[i], difference);
    }
    rg_settings_destroy(settings);
}

Test(losses, grpo_is_its_formula_with_and_without_its_normalisations) {
    check_grpo("beta=0.3", 0.3, true, true);
    check_grpo("beta=0", 0, true, true);
    check_grpo("beta=0.3 length_normalisation=false", 0.3, false, true);
    check_grpo("beta=0.3 std_normalisation=false", 0.3, true, false);
    check_grpo("beta=0.3 std_normalisation=false length_normalisation=false", 0.3, false, false);
}

Test(losses, grpo_logs_how_many_ratios_are_held_and_how_far_the_policy_has_moved) {
    double gradient[TOKENS], held = 0, moved = 0, spread = 0;
    RgStep logged;
    begin("grpo", "beta=0");
    draw_steps();
    steps_loss(gradient, &logged);
    for (int i = 0; i < ALL_RESPONSES; i++) {
        double each = 1 / (ALL_RESPONSES * length_of(i));
        spread += pow(group_advantage(i, true), 2) / (SIZE - 1); /* 1 a group, or 0 */
        for (int64_t j = step_offsets[i]; j < step_offsets[i + 1]; j++) {
            double ratio = exp(step_logprob[j] - step_old[j]);
            held += group_advantage(i, true) != 0 && gradient[j] == 0 ? each : 0;
            moved += each * (ratio - 1 - log(ratio));
        }
    }
    cr_assert_eq(logged.metric_count, 3);
    cr_expect_str_eq(logged.metric[0], "advantage_spread");
    cr_expect_float_eq(logged.sum[0], spread / PAIRS, 1e-3);
    cr_expect_str_eq(logged.metric[1], "clip_fraction");
    cr_expect_float_eq(logged.sum[1], held, 1e-12);
    cr_expect(held > 0.05 && held < 0.5, "%g", held);
    cr_expect_str_eq(logged.metric[2], "approx_kl");
    cr_expect_float_eq(logged.sum[2], moved, 1e-12);
    rg_settings_destroy(settings);
}

/* ---- PPO ---- */

Test(losses, advantages_are_discounted_sums_of_td_errors) {
    enum { STEPS = 6 };
    const double discount = 0.9, lambda = 0.7;
    double reward[STEPS], value[STEPS + 1] = {0}, advantage[STEPS];
    for (uint64_t t = 0; t < STEPS; t++) {
        reward[t] = chance(5000 + t);
        value[t] = chance(6000 + t);
    }
    rg_ppo_advantages(STEPS, reward, value, discount, lambda, advantage);
    for (int t = 0; t < STEPS; t++) {
        double sum = 0;
        for (int l = 0; t + l < STEPS; l++)
            sum += pow(discount * lambda, l) *
                   (reward[t + l] + discount * value[t + l + 1] - value[t + l]);
        cr_expect_float_eq(advantage[t], sum, 1e-12);
    }
    rg_ppo_advantages(STEPS, reward, value, 1, 1, advantage);
    double rest = 0;
    for (int t = STEPS - 1; t >= 0; t--) {
        rest += reward[t];
        cr_expect_float_eq(advantage[t], rest - value[t], 1e-12);
    }
}

static double surrogate(double logprob, double old, double advantage) {
    double ratio = exp(logprob - old), held = fmin(fmax(ratio, 0.8), 1.2);
    return fmin(ratio * advantage, held * advantage);
}

/* Ratios below, within and above the range, with advantages of both signs. */
Test(losses, the_surrogate_is_the_lesser_of_unclipped_and_clipped) {
    enum { CASES = 6 };
    const double step = 1e-6;
    const double logprob[CASES] = {-1, -1, 0.1, 0.1, 1, 1}, old[CASES] = {0};
    const double advantage[CASES] = {2, -3, 2, -3, 2, -3};
    RgTape *t = rg_tape_create();
    RgTensor *x = rg_variable(t, RG_SHAPE(CASES), logprob), *g;
    RgTensor *y = rg_ppo_surrogate(t, x, rg_constant(t, RG_SHAPE(CASES), old),
                                   rg_constant(t, RG_SHAPE(CASES), advantage), 0.2);
    for (int i = 0; i < CASES; i++)
        cr_expect_float_eq(y->data[i], surrogate(logprob[i], 0, advantage[i]), 1e-12);
    rg_gradients(t, rg_sum(t, y), &x, 1, &g);
    int flat = 0;
    for (int i = 0; i < CASES; i++) {
        double high = surrogate(logprob[i] + step, 0, advantage[i]);
        double slope = (high - surrogate(logprob[i] - step, 0, advantage[i])) / (2 * step);
        cr_expect_float_eq(g->data[i], slope, 1e-8);
        flat += slope == 0;
    }
    cr_expect_eq(flat, 2); /* too likely and good, too unlikely and bad */
    rg_tape_destroy(t);
}

/* ---- what is drawn, by enumeration ---- */

enum { CONTEXTS = 2, RESPONSES = 4, CELLS = CONTEXTS * RESPONSES };
static const char bandit[] = "contexts=2 responses=4 pairs=50 label_temperature=1";

static void softmax(const RgReal *logit, double *probability) {
    for (int c = 0; c < CONTEXTS; c++) {
        double sum = 0;
        for (int r = c * RESPONSES; r < (c + 1) * RESPONSES; r++)
            sum += probability[r] = exp(logit[r]);
        for (int r = c * RESPONSES; r < (c + 1) * RESPONSES; r++)
            probability[r] /= sum;
    }
}

/* The mean of many steps' gradients against `exact` [CELLS], to 4 standard errors. */
static void check_mean(const char *name, const char *given,
                       void (*exact)(const Race *race, double *gradient)) {
    enum { STEPS = 4000 };
    Race race = race_begin(name, given, bandit, 1, 16);
    RgParameters *p = race.policy->parameters;
    double sum[CELLS] = {0}, squares[CELLS] = {0}, expected[CELLS], norm = 0;
    for (int s = 0; s < STEPS; s++) {
        rg_parameters_zero_gradient(p);
        step_gradient(race.trainer, s);
        race.trainer->outcome.metric_count = 0;
        for (int i = 0; i < CELLS; i++) {
            sum[i] += p->gradient[i];
            squares[i] += p->gradient[i] * p->gradient[i];
        }
    }
    exact(&race, expected);
    for (int i = 0; i < CELLS; i++) {
        double mean = sum[i] / STEPS, error = sqrt((squares[i] / STEPS - mean * mean) / STEPS);
        norm += expected[i] * expected[i];
        cr_expect_lt(fabs(mean - expected[i]), 4 * error + 1e-12, "%s: %d: %g ± %g, expected %g",
                     name, i, mean, error, expected[i]);
    }
    cr_expect_gt(norm, 1e-4);
    race_end(&race);
}

static void judge_cells(const Race *race, double *reward) {
    RgSequences *all = rg_sequences_create();
    for (int32_t i = 0; i < CELLS; i++) {
        int32_t x = i / RESPONSES, y = i % RESPONSES;
        rg_sequences_append(all, &x, 1, &y, 1);
    }
    race->environment->course.judge(race->environment, all, reward, NULL);
    rg_sequences_destroy(all);
}

/* ∇ of −E_x Σ_y π(y)·(weight(y) held fixed): −π(y)·(w(y) − Σ π w)/CONTEXTS. */
static void policy_gradient(const double *p, const double *weight, double *gradient) {
    for (int c = 0; c < CONTEXTS; c++) {
        double mean = 0;
        for (int r = c * RESPONSES; r < (c + 1) * RESPONSES; r++)
            mean += p[r] * weight[r];
        for (int r = c * RESPONSES; r < (c + 1) * RESPONSES; r++)
            gradient[r] = -p[r] * (weight[r] - mean) / CONTEXTS;
    }
}

static void rloo_gradient(const Race *race, double *gradient) {
    double p[CELLS], q[CELLS], weight[CELLS];
    softmax(race->policy->parameters->value, p);
    softmax(race->reference->parameters->value, q);
    judge_cells(race, weight);
    for (int i = 0; i < CELLS; i++)
        weight[i] -= 0.3 * log(p[i] / q[i]);
    policy_gradient(p, weight, gradient);
}

/* Of reward with the group's mean as baseline, which is 3/4 of it in groups of 4, and of
 * β·KL(π_ref ‖ π), whose gradient in the logits is π − π_ref. */
static void grpo_gradient(const Race *race, double *gradient) {
    double p[CELLS], q[CELLS], weight[CELLS];
    softmax(race->policy->parameters->value, p);
    softmax(race->reference->parameters->value, q);
    judge_cells(race, weight);
    policy_gradient(p, weight, gradient);
    for (int i = 0; i < CELLS; i++)
        gradient[i] = 0.75 * gradient[i] + 0.3 * (p[i] - q[i]) / CONTEXTS;
}

/* y' is of the geometric mixture, π^0.75·π_ref^0.25. */
static void nash_gradient(const Race *race, double *gradient) {
    RgReal blend[CELLS];
    double p[CELLS], q[CELLS], rival[CELLS], reward[CELLS], weight[CELLS];
    for (int i = 0; i < CELLS; i++)
        blend[i] = 0.75 * race->policy->parameters->value[i] +
                   0.25 * race->reference->parameters->value[i];
    softmax(race->policy->parameters->value, p);
    softmax(race->reference->parameters->value, q);
    softmax(blend, rival);
    judge_cells(race, reward);
    for (int i = 0; i < CELLS; i++) {
        weight[i] = -0.5 - 0.3 * log(p[i] / q[i]);
        for (int j = i / RESPONSES * RESPONSES; j < (i / RESPONSES + 1) * RESPONSES; j++)
            weight[i] += rival[j] * rg_preference_probability(&race->environment->course, reward[i],
                                                              reward[j]);
    }
    policy_gradient(p, weight, gradient);
}

/* d/dlogit of E[−log σ(βΔ)] where both responses are fixed data: the pair (π, π_ref), and α·∇log π
 * of the reference's response. */
static void xpo_gradient(const Race *race, double *gradient) {
    const double beta = 0.5, alpha = 0.2;
    double p[CELLS], q[CELLS], reward[CELLS], score[CELLS] = {0};
    softmax(race->policy->parameters->value, p);
    softmax(race->reference->parameters->value, q);
    judge_cells(race, reward);
    for (int i = 0; i < CELLS; i++)
        for (int j = i / RESPONSES * RESPONSES; j < (i / RESPONSES + 1) * RESPONSES; j++) {
            double pair = p[i] * q[j] / CONTEXTS;
            double first =
                rg_preference_probability(&race->environment->course, reward[i], reward[j]);
            double delta = beta * (log(p[i] / q[i]) - log(p[j] / q[j]));
            double slope = -first / (1 + exp(delta)) + (1 - first) / (1 + exp(-delta));
            score[i] += pair * beta * slope;
            score[j] -= pair * beta * slope;
            score[j] += pair * alpha;
        }
    for (int i = 0; i < CELLS; i++) { /* log π(y) pulls its own logit up, and all down by π */
        double sum = 0;
        for (int j = i / RESPONSES * RESPONSES; j < (i / RESPONSES + 1) * RESPONSES; j++)
            sum += score[j];
        gradient[i] = score[i] - p[i] * sum;
    }
}

Test(losses, rloo_is_unbiased_for_reward_less_divergence, .timeout = 60) {
    check_mean("rloo", "beta=0.3 group_size=3", rloo_gradient);
}

Test(losses, grpo_lowers_the_divergence_of_the_reference_from_the_policy, .timeout = 60) {
    check_mean("grpo", "beta=0.3 group_size=4 std_normalisation=false", grpo_gradient);
}

/* Of the data set's pairs, DPO's loss; to the prompt of each, KL(π ‖ π_ref). */
static void hybrid_gradient(const Race *race, double *gradient) {
    const RgPairs *pairs = race->environment->course.pairs;
    const double beta = 0.5, lambda = 0.4;
    double p[CELLS], q[CELLS];
    softmax(race->policy->parameters->value, p);
    softmax(race->reference->parameters->value, q);
    memset(gradient, 0, CELLS * sizeof *gradient);
    for (int64_t i = 0; i < pairs->count; i++) {
        int64_t first = *rg_sequence_prompt(pairs->sequences, 2 * i) * RESPONSES;
        int64_t won = first + *rg_sequence_response(pairs->sequences, 2 * i + pairs->preferred[i]);
        int64_t lost =
            first + *rg_sequence_response(pairs->sequences, 2 * i + 1 - pairs->preferred[i]);
        double delta = beta * (log(p[won] / q[won]) - log(p[lost] / q[lost])), kl = 0;
        double slope = beta / (1 + exp(delta)) / (double)pairs->count;
        gradient[won] -= slope;
        gradient[lost] += slope;
        for (int64_t y = first; y < first + RESPONSES; y++)
            kl += p[y] * log(p[y] / q[y]);
        for (int64_t y = first; y < first + RESPONSES; y++)
            gradient[y] += lambda * p[y] * (log(p[y] / q[y]) - kl) / (double)pairs->count;
    }
}

Test(losses, hybrid_lowers_the_divergence_of_the_policy_from_the_reference, .timeout = 60) {
    check_mean("hybrid", "beta=0.5 kl_coefficient=0.4", hybrid_gradient);
}

/* Where each step has an iteration of its own, it begins at π_t. */
static void sppo_gradient(const Race *race, double *gradient) {
    double p[CELLS], reward[CELLS], weight[CELLS];
    softmax(race->policy->parameters->value, p);
    judge_cells(race, reward);
    for (int i = 0; i < CELLS; i++) {
        weight[i] = 0;
        for (int j = i / RESPONSES * RESPONSES; j < (i / RESPONSES + 1) * RESPONSES; j++)
            weight[i] +=
                2 * 3 * p[j] *
                rg_preference_probability(&race->environment->course, reward[i], reward[j]);
    }
    policy_gradient(p, weight, gradient);
}

Test(losses, sppo_begins_an_iteration_along_the_win_rates_against_itself, .timeout = 60) {
    check_mean("sppo", "eta=3 reference_steps=1 sampler_steps=1 group_size=3", sppo_gradient);
}

/* No pair of π_ref·exp(r/β)/Z has anything left to be fitted, so that noise ends there, too. */
Test(losses, rebel_ends_at_the_optimum_of_the_penalised_reward) {
    const double beta = 0.5;
    Race race = race_begin("rebel", "beta=0.5 epochs=2", bandit, 1, 16);
    double p[CELLS], q[CELLS], reward[CELLS];
    for (int s = 0; s < 1500; s++)
        cr_assert(take_step(race.trainer));
    softmax(race.policy->parameters->value, p);
    softmax(race.reference->parameters->value, q);
    judge_cells(&race, reward);
    for (int i = 0; i < CELLS; i++) {
        double sum = 0;
        for (int j = i / RESPONSES * RESPONSES; j < (i / RESPONSES + 1) * RESPONSES; j++)
            sum += q[j] * exp(reward[j] / beta);
        double expected = q[i] * exp(reward[i] / beta) / sum;
        cr_expect_float_eq(p[i], expected, 1e-4, "%d: %g, expected %g", i, p[i], expected);
    }
    race_end(&race);
}

Test(losses, nash_md_plays_against_the_geometric_mixture, .timeout = 60) {
    check_mean("nash-md", "beta=0.3 reference_share=0.25", nash_gradient);
}

Test(losses, xpo_pairs_the_policy_with_the_reference, .timeout = 60) {
    check_mean("xpo", "beta=0.5 exploration=0.2", xpo_gradient);
}

/* ---- PPO's loss of a batch, by hand ---- */

enum { SAMPLED = 8, HIDDEN = 3 };
static const double ppo_beta = 0.3, ppo_clip = 0.1, ppo_value_clip = 0.05, ppo_coefficient = 0.7;
static const char ppo_options[] =
    "beta=0.3 clip=0.1 value_clip=0.05 value_coefficient=0.7 value_hidden=3";

/* What PPO's loss is made of, of a batch of responses of one step. */
typedef struct PpoNumbers {
    double logprob[SAMPLED], value[SAMPLED], reward[SAMPLED]; /* the last less the penalty */
} PpoNumbers;

/* V = w·tanh(W φ + b) + c */
static void values_by_hand(const Race *race, const RgSequences *responses, double *value) {
    const RgReal *inner = race->trainer->own.parameters->value, *bias, *outer;
    int64_t width = race->reference->type->state_feature_count(race->reference);
    RgReal features[SAMPLED * CELLS];
    const RgParameterView *views = race->trainer->own.parameters->views;
    bias = inner + views[1].offset;
    outer = inner + views[2].offset;
    cr_assert(width <= CELLS);
    rg_policy_state_values(race->reference, responses, features);
    for (int i = 0; i < SAMPLED; i++) {
        value[i] = inner[views[3].offset];
        for (int h = 0; h < HIDDEN; h++) {
            double sum = bias[h];
            for (int64_t j = 0; j < width; j++)
                sum += inner[h * width + j] * features[i * width + j];
            value[i] += outer[h] * tanh(sum);
        }
    }
}

static PpoNumbers ppo_numbers(const Race *race, const RgSequences *responses) {
    PpoNumbers n;
    double of_reference[SAMPLED];
    RgError error = {0};
    rg_policy_training_values(race->policy, responses, n.logprob);
    rg_policy_training_values(race->reference, responses, of_reference);
    cr_assert_eq(rg_course_judge(&race->environment->course, responses, n.reward, &error), RG_OK);
    for (int i = 0; i < SAMPLED; i++)
        n.reward[i] -= ppo_beta * (n.logprob[i] - of_reference[i]);
    values_by_hand(race, responses, n.value);
    return n;
}

/* With one step, A is r − V_old and R is r. `held` counts terms that are clipped, of both losses.
 */
static double ppo_by_hand(const PpoNumbers *old, const PpoNumbers *now, int held[2]) {
    double mean = 0, square = 0, loss = 0;
    for (int i = 0; i < SAMPLED; i++)
        mean += (old->reward[i] - old->value[i]) / SAMPLED;
    for (int i = 0; i < SAMPLED; i++)
        square += pow(old->reward[i] - old->value[i] - mean, 2) / SAMPLED;
    held[0] = held[1] = 0;
    for (int i = 0; i < SAMPLED; i++) {
        double a = (old->reward[i] - old->value[i] - mean) / sqrt(square + 1e-8);
        double ratio = exp(now->logprob[i] - old->logprob[i]);
        double clipped = fmin(fmax(ratio, 1 - ppo_clip), 1 + ppo_clip);
        double change = fmin(fmax(now->value[i] - old->value[i], -ppo_value_clip), ppo_value_clip);
        double off = pow(now->value[i] - old->reward[i], 2);
        double off_clipped = pow(old->value[i] + change - old->reward[i], 2);
        held[0] += clipped * a < ratio * a;
        held[1] += off_clipped > off;
        loss += ppo_coefficient / 2 * fmax(off, off_clipped) / SAMPLED;
        loss -= fmin(ratio * a, clipped * a) / SAMPLED;
    }
    return loss;
}

/* Differences of what is computed by hand, in the parameters of policy and value. */
static void check_ppo_gradient(const Race *race, const RgSequences *responses,
                               const PpoNumbers *old, RgParameters *p) {
    const double step = 1e-6;
    int held[2];
    for (int64_t i = 0; i < p->count; i++) {
        double here = p->value[i];
        p->value[i] = here + step;
        PpoNumbers high = ppo_numbers(race, responses);
        p->value[i] = here - step;
        PpoNumbers low = ppo_numbers(race, responses);
        p->value[i] = here;
        double difference =
            (ppo_by_hand(old, &high, held) - ppo_by_hand(old, &low, held)) / (2 * step);
        cr_expect_float_eq(p->gradient[i], difference, 1e-8, "%s, %d: %g, expected %g",
                           p->views[0].name, (int)i, p->gradient[i], difference);
    }
}

static void move(RgParameters *p, uint64_t stream, double far) {
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] += far * (2 * chance(stream + (uint64_t)i) - 1);
}

/* In a later epoch, when policy and value are elsewhere than when the batch was drawn. */
Test(losses, ppo_is_its_formula_in_policy_and_value) {
    Race race = race_begin("ppo", ppo_options, bandit, 1, SAMPLED);
    RgTrainer *trainer = race.trainer;
    RgParameters *policy = race.policy->parameters, *value = trainer->own.parameters;
    RgRollout rollout;
    RgError error = {0};
    int held[2];
    move(value, 7000, 1);
    cr_assert_eq(rg_gradient_begin(trainer, 0, &rollout, &error), RG_OK, "%s", error.text);
    PpoNumbers old = ppo_numbers(&race, rollout.sequences);
    move(policy, 8000, 0.2);
    move(value, 9000, 0.6);
    PpoNumbers now = ppo_numbers(&race, rollout.sequences);
    double loss = rg_gradient_add(trainer, 0, 1, &rollout);
    cr_expect_float_eq(loss, ppo_by_hand(&old, &now, held), 1e-12);
    cr_expect(held[0] > 0 && held[0] < SAMPLED && held[1] > 0 && held[1] < SAMPLED, "%d %d",
              held[0], held[1]);
    cr_expect_str_eq(trainer->now.metric[2], "clip_fraction");
    cr_expect_float_eq(trainer->now.sum[2], (double)held[0] / SAMPLED, 1e-12);
    check_ppo_gradient(&race, rollout.sequences, &old, policy);
    check_ppo_gradient(&race, rollout.sequences, &old, value);
    rg_gradient_end(trainer, &rollout);
    race_end(&race);
}
