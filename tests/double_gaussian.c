/* SPDX-License-Identifier: MIT */
/* The gaussian policy's log-probabilities in double: against the density written out, its gradient
 * and Hessian-vector product against central differences. */
#include "linear_mdp.h"

#include <criterion/criterion.h>
#include <string.h>

static RgError error;

/* Σ_i (i + 1)·log π(episode i). */
static RgTensor *weighted(RgTape *t, RgPolicy *policy, const RgSequences *s) {
    RgTensor *weight = rg_filled(t, RG_SHAPE(s->count), 0);
    for (int64_t i = 0; i < s->count; i++)
        weight->data[i] = (RgReal)(i + 1);
    return rg_sum(t, rg_mul(t, weight, rg_policy_logprob(t, policy, s)));
}

static void gradient_at(RgPolicy *policy, const RgSequences *s, const RgReal *v, double step,
                        RgReal *g, double *value) {
    RgParameters *p = policy->parameters;
    RgTape *t = rg_tape_create();
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] += step * v[i];
    rg_parameters_zero_gradient(p);
    RgTensor *y = weighted(t, policy, s);
    *value = y->data[0];
    rg_backward(t, y, 1);
    memcpy(g, p->gradient, sizeof *g * (size_t)p->count);
    for (int64_t i = 0; i < p->count; i++)
        p->value[i] -= step * v[i];
    rg_tape_destroy(t);
}

Test(gaussian, derivatives_are_central_differences) {
    enum { MOST = 200 };
    const double step = 1e-5;
    RgPolicy *policy = linear_policy(&error);
    RgParameters *p = policy->parameters;
    RgSequences *episodes = linear_episodes(policy, 6, 1, NULL);
    RgReal v[MOST], high[MOST], low[MOST], here[MOST], product[MOST];
    double above, below, value, along = 0, gap = 0, norm = 0;
    cr_assert_leq(p->count, MOST);
    for (int64_t i = 0; i < p->count; i++)
        v[i] = rg_random_normal(rg_random_root(8), (uint64_t)i);
    gradient_at(policy, episodes, v, 0, here, &value);
    gradient_at(policy, episodes, v, step, high, &above);
    gradient_at(policy, episodes, v, -step, low, &below);
    for (int64_t i = 0; i < p->count; i++)
        along += here[i] * v[i];
    cr_assert_float_eq(along, (above - below) / (2 * step), 1e-6 * fabs(along));

    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgHessian *hessian = rg_hessian_create(t, weighted(t, policy, episodes), p);
    rg_hessian_product(hessian, v, product);
    for (int64_t i = 0; i < p->count; i++) {
        double difference = (high[i] - low[i]) / (2 * step);
        gap += (product[i] - difference) * (product[i] - difference);
        norm += difference * difference;
    }
    cr_assert_lt(sqrt(gap / norm), 1e-5, "off by %g", sqrt(gap / norm));
    rg_tape_destroy(t);
    rg_sequences_destroy(episodes);
    rg_policy_destroy(policy);
}

/* With all weights at 0 the mean is the last bias. */
Test(gaussian, the_density_is_that_of_normal_numbers) {
    RgPolicy *policy = linear_policy(&error);
    RgParameters *p = policy->parameters;
    memset(p->value, 0, sizeof *p->value * (size_t)p->count);
    const double bias = 0.4, deviation = -0.3;
    p->value[p->count - 2] = bias;
    p->value[p->count - 1] = deviation;
    double found[3], expected[3] = {0};
    RgSequences *episodes = linear_episodes(policy, 3, 1, NULL);
    rg_policy_logprob_values(policy, episodes, found);
    for (int i = 0; i < 3; i++) {
        for (int64_t h = 0; h < rg_episode_steps(&linear_mdp, episodes, i); h++) {
            double a = rg_word_float(*rg_episode_action(&linear_mdp, episodes, i, h));
            double score = (a - bias) / exp(deviation);
            expected[i] -= score * score / 2 + deviation + log(2 * M_PI) / 2;
        }
        cr_assert_float_eq(found[i], expected[i], 1e-10);
    }
    rg_sequences_destroy(episodes);
    rg_policy_destroy(policy);
}
