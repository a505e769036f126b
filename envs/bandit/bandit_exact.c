/* SPDX-License-Identifier: MIT */
/* Exact objectives of SAIL, DPO and PARL over enumerated responses, as tape operators on [contexts,
 * responses, responses]. Sampling and metrics without gradient are elsewhere. */
#include "envs/bandit/bandit_exact.h"

#include <math.h>

static RgShape cells(const RgExactProblem *p) {
    return RG_SHAPE(p->contexts, p->responses);
}

static RgShape pairs(const RgExactProblem *p) {
    return RG_SHAPE(p->contexts, p->responses, p->responses);
}

/* y[c, a, b] = x[c, a]      x [contexts, responses]; broadcasts along b */
static RgTensor *first(RgTape *t, RgTensor *x, const RgExactProblem *p) {
    return rg_reshape(t, x, RG_SHAPE(p->contexts, p->responses, 1));
}

/* y[c, a, b] = x[c, b] */
static RgTensor *second(RgTape *t, RgTensor *x, const RgExactProblem *p) {
    return rg_reshape(t, x, RG_SHAPE(p->contexts, 1, p->responses));
}

/* x_a − x_b, [contexts, responses, responses] */
static RgTensor *difference(RgTape *t, RgTensor *x, const RgExactProblem *p) {
    return rg_sub(t, first(t, x, p), second(t, x, p));
}

/* Probability of sampling a and b independently in a uniformly random context; sums to 1. */
static RgTensor *independent_pairs(RgTape *t, RgTensor *logprob, const RgExactProblem *p) {
    RgTensor *probability = rg_exp(t, logprob);
    RgTensor *both = rg_mul(t, first(t, probability, p), second(t, probability, p));
    return rg_scale(t, both, (RgReal)(1 / (double)p->contexts));
}

/* The offline pairs in either order: (share_ab + share_ba) / 2. */
static RgTensor *offline_pairs(RgTape *t, const RgExactProblem *p) {
    RG_ASSERT(p->pair_shares);
    RgTensor *shares = rg_tensor_new(t, pairs(p));
    int64_t n = p->responses;
    for (int64_t c = 0; c < p->contexts; c++)
        for (int64_t a = 0; a < n; a++)
            for (int64_t b = 0; b < n; b++) {
                const double *of_context = p->pair_shares + c * n * n;
                double mean = (of_context[a * n + b] + of_context[b * n + a]) / 2;
                shares->data[(c * n + a) * n + b] = (RgReal)mean;
            }
    return shares;
}

/* p*_ab, the probability that the judge's label prefers a to b. */
static RgTensor *judge_labels(RgTape *t, const RgExactProblem *p) {
    RgTensor *labels = rg_tensor_new(t, pairs(p));
    int64_t n = p->responses;
    for (int64_t c = 0; c < p->contexts; c++)
        for (int64_t a = 0; a < n; a++)
            for (int64_t b = 0; b < n; b++) {
                double gap = p->reward[c * n + a] - p->reward[c * n + b];
                double prefers = gap > 0 ? 1 : gap < 0 ? 0 : 0.5;
                if (p->label_temperature > 0)
                    prefers = 1 / (1 + exp(-gap / p->label_temperature));
                prefers += p->label_noise * (1 - 2 * prefers);
                labels->data[(c * n + a) * n + b] = (RgReal)prefers;
            }
    return labels;
}

/* Weight 2·D_ab·P_ab and fit F_ab of every ordered pair, both [contexts, responses, responses]. */
static void weight_and_fit(RgTape *t, RgTensor *logits, const RgExactProblem *p,
                           RgExactSources sources, RgTensor **weight, RgTensor **fit) {
    RG_ASSERT(rg_shape_equal(logits->shape, cells(p)));
    RgTensor *logprob = rg_log_softmax(t, logits);
    RgTensor *h = rg_sub(t, logprob, rg_constant_from_double(t, cells(p), p->reference));
    RgTensor *margin = rg_scale(t, difference(t, h, p), (RgReal)p->beta);
    *fit = rg_log_sigmoid(t, margin);
    if (sources.labels == RG_EXACT_DATASET_LABELS) {
        RG_ASSERT(p->pair_shares && sources.responses == RG_EXACT_DATASET_RESPONSES);
        *weight = rg_constant_from_double(t, pairs(p), p->pair_shares);
        return;
    }
    RgTensor *drawn = sources.responses == RG_EXACT_POLICY_RESPONSES
                          ? independent_pairs(t, logprob, p)
                          : offline_pairs(t, p);
    RgTensor *labels =
        sources.labels == RG_EXACT_JUDGE_LABELS ? judge_labels(t, p) : rg_sigmoid(t, margin);
    if (sources.stop_responses)
        drawn = rg_stop_gradient(t, drawn);
    if (sources.stop_labels)
        labels = rg_stop_gradient(t, labels);
    *weight = rg_scale(t, rg_mul(t, drawn, labels), 2);
}

RgTensor *rg_exact_sail(RgTape *t, RgTensor *logits, const RgExactProblem *problem,
                        RgExactSources sources) {
    RgTensor *weight, *fit;
    weight_and_fit(t, logits, problem, sources, &weight, &fit);
    return rg_sum(t, rg_mul(t, weight, fit));
}

RgTensor *rg_exact_half_square_fit(RgTape *t, RgTensor *logits, const RgExactProblem *problem,
                                   RgExactSources sources) {
    RgTensor *weight, *fit;
    weight_and_fit(t, logits, problem, sources, &weight, &fit);
    return rg_scale(t, rg_sum(t, rg_mul(t, rg_stop_gradient(t, weight), rg_square(t, fit))),
                    (RgReal)0.5);
}

RgTensor *rg_exact_value(RgTape *t, RgTensor *reward, RgTensor *logits,
                         const RgExactProblem *problem) {
    RgTensor *logprob = rg_log_softmax(t, logits);
    RgTensor *h =
        rg_sub(t, logprob, rg_constant_from_double(t, cells(problem), problem->reference));
    RgTensor *net = rg_sub(t, reward, rg_scale(t, h, (RgReal)problem->beta));
    RgTensor *total = rg_sum(t, rg_mul(t, rg_exp(t, logprob), net));
    return rg_scale(t, total, (RgReal)(1 / (double)problem->contexts));
}

RgTensor *rg_exact_optimal_logits(RgTape *t, RgTensor *reward, const RgExactProblem *problem) {
    RgTensor *reference = rg_constant_from_double(t, cells(problem), problem->reference);
    return rg_add(t, reference, rg_scale(t, reward, (RgReal)(1 / problem->beta)));
}

RgTensor *rg_exact_upper(RgTape *t, RgTensor *reward, RgTensor *logits,
                         const RgExactProblem *problem) {
    RgTensor *drawn = independent_pairs(t, rg_log_softmax(t, logits), problem);
    RgTensor *likelihood =
        rg_mul(t, judge_labels(t, problem), rg_log_sigmoid(t, difference(t, reward, problem)));
    return rg_scale(t, rg_sum(t, rg_mul(t, drawn, likelihood)), -2);
}
