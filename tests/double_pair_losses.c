/* SPDX-License-Identifier: MIT */
/* The losses of methods of pairs beside DPO and SAIL, in double: on batches of known numbers,
 * against their formulas by plain arithmetic, and their gradients against central differences of
 * these. */
#include "core/models/enumerated.h"
#include "pair_numbers.h"

#include <math.h>

static double rise; /* of the third over its reference */

static void draw_numbers(void) {
    for (uint64_t i = 0; i < PAIRS; i++) {
        at.chosen[i] = -4 * chance(10 * i);
        at.rejected[i] = -4 * chance(10 * i + 1);
        at.third[i] = rise - 4 * chance(10 * i + 2);
        for (uint64_t k = 0; k < 3; k++)
            reference[k][i] = -4 * chance(10 * i + 3 + k);
        for (uint64_t k = 0; k < 2; k++) {
            old[k][i] = -4 * chance(10 * i + 6 + k);
            wins[k][i] = chance(10 * i + 8 + k);
        }
        length[0][i] = (double)(1 + i);
        length[1][i] = (double)(7 - i);
        on_policy[i] = i != 2;
        first_chosen[i] = i % 2 == 0;
    }
}

static void begin(const char *name, const char *given) {
    begin_method(name, given);
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

/* π − π_ref of the chosen response minus that of the rejected one */
static double dpo_of_probabilities(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum -= log_sigmoid(0.5 * (exp(at.chosen[i]) - exp(reference[0][i]) - exp(at.rejected[i]) +
                                  exp(reference[1][i])));
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

static double rival(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum += pow(margin(i) - (wins[0][i] - wins[1][i]) / 0.5, 2);
    return sum / PAIRS;
}

static double inpo(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum += pow(at.chosen[i] - at.rejected[i] - 0.25 * (reference[0][i] - reference[1][i]) -
                       0.75 * (old[0][i] - old[1][i]) - 1 / (2 * 0.4),
                   2);
    return sum / PAIRS;
}

static double unlikelihood(void) {
    double sum = 0;
    for (int i = 0; i < PAIRS; i++)
        sum += 0.4 * at.rejected[i] - at.chosen[i];
    return sum / PAIRS;
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
    check("dpo", "beta=0.5 margin=probability", dpo_of_probabilities);
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
    check("unlikelihood", "rejected_weight=0.4", unlikelihood);
    chi_po_most = 200; /* beyond all, then beyond some */
    check("chi-po", "beta=0.2 reward_limit=100", chi_po);
    chi_po_most = 0.6;
    check("chi-po", "beta=0.2 reward_limit=0.3", chi_po);
    for (int i = 0; i < PAIRS; i++)
        beyond += fabs(chi_po_margin(i)) > 0.6;
    cr_expect(beyond > 0 && beyond < PAIRS, "%d", beyond);
    check("online-ipo", "beta=0.5 target=label", ipo);
    check("online-ipo", "beta=0.5", rival);
    check("egpo", "beta=0.5", rival);
    check("inpo", "eta=0.4 tau=0.1", inpo);
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
    const RgPairs *pairs = race->environment->task.pairs;
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
