/* SPDX-License-Identifier: MIT */
/* The gradients of methods that sample, in double: their mean over many steps on a small bandit,
 * against the gradient that their paper has, by enumeration; and where their steps end. */
#include "race.h"

#include <math.h>
#include <string.h>

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
    race->environment->task.judge(race->environment, all, reward, NULL);
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
            weight[i] += rival[j] *
                         rg_preference_probability(&race->environment->task, reward[i], reward[j]);
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
                rg_preference_probability(&race->environment->task, reward[i], reward[j]);
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
    const RgPairs *pairs = race->environment->task.pairs;
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
            weight[i] += 2 * 3 * p[j] *
                         rg_preference_probability(&race->environment->task, reward[i], reward[j]);
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
