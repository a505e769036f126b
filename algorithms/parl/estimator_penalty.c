/* SPDX-License-Identifier: MIT */
/* The value-function penalty (Shen, Yang and Chen 2024, arXiv:2402.06886; Kwon et al. 2023,
 * arXiv:2301.10945): first order, at the cost of one more solution of the lower level.
 *
 *     min_ν,θ' G(ν, θ') + λ (max_θ V(ν, θ) − V(ν, θ'))
 *
 * By the envelope theorem its gradient in ν at the penalised solution θ_λ is
 *
 *     ∂_νG(θ_λ) + λ (∂_νV(θ*) − ∂_νV(θ_λ))    →  dG/dν  as 1/λ → 0, with an error of order 1/λ.
 *
 * θ_λ maximises V − G/λ; it is found by gradient steps of Barzilai and Borwein's length from θ*. If
 * the given θ is not an optimum, V is tilted by −∇V(θ)·θ' to make it one. The implicit function
 * theorem makes the same assumption. */
#include "algorithms/parl/estimator.h"
#include "core/tensor/vector_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Penalised {
    const RgBilevel *problem;
    double weight; /* 1/λ */
    RgReal *tilt;  /* [lower] ∇V at the given solution */
    RgReal *scratch;
    RgEstimateReport *report;
} Penalised;

/* ∇(V − G/λ) − tilt at the current θ: out [lower]. */
static void gradient(const Penalised *q, RgReal *out) {
    const RgBilevel *p = q->problem;
    int64_t n = p->lower->count;
    p->value_gradients(p->context, out, NULL);
    p->objective_gradients(p->context, q->scratch, NULL);
    rg_axpy(n, (RgReal)-q->weight, q->scratch, out);
    rg_axpy(n, -1, q->tilt, out);
    q->report->gradients += 2;
}

/* Ascend from θ to θ_λ, and leave it in the policy. Returns |gradient| relative to its value at θ.
 * The best of all steps is kept, because the ascent is not monotone with these lengths. */
static double climb(const Penalised *q, const RgEstimatorOptions *options) {
    RgParameters *lower = q->problem->lower;
    int64_t n = lower->count;
    size_t bytes = (size_t)n * sizeof(RgReal);
    RgReal *now = rg_allocate(1, bytes), *last = rg_allocate(1, bytes),
           *best = rg_allocate(1, bytes);
    gradient(q, now);
    double start = sqrt(rg_dot(n, now, now)), length = start, least = start;
    /* a first step small enough that the probability of a long response hardly changes; then the
     * lengths take over */
    const double relative = 1e-5;
    double reach = relative * (1 + sqrt(rg_dot(n, lower->value, lower->value)));
    double step = start > 0 ? reach / start : 0;
    memcpy(best, lower->value, bytes);
    for (int64_t k = 0; k < options->iterations && length > options->tolerance * start; k++) {
        memcpy(last, now, bytes);
        rg_axpy(n, (RgReal)step, now, lower->value);
        gradient(q, now);
        length = sqrt(rg_dot(n, now, now));
        if (!isfinite(length))
            break;
        if (length < least) {
            least = length;
            memcpy(best, lower->value, bytes);
        }
        double moved = step * step * rg_dot(n, last, last); /* |s|² of s = step·last */
        double bent = step * (rg_dot(n, last, last) - rg_dot(n, last, now)); /* −s·y */
        if (bent > 0)
            step = moved / bent;
    }
    memcpy(lower->value, best, bytes);
    free(now);
    free(last);
    free(best);
    return start > 0 ? least / start : 0;
}

static void penalty(const RgBilevel *p, const RgEstimatorOptions *options,
                    const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    (void)upper_gradient; /* computed again as θ moves */
    int64_t n = p->lower->count, m = p->upper->count;
    size_t lower = (size_t)n * sizeof(RgReal), upper = (size_t)m * sizeof(RgReal);
    RgReal *solution = rg_allocate(1, lower), *value = rg_allocate(1, upper);
    RgReal *value_there = rg_allocate(1, upper), *objective = rg_allocate(1, upper);
    Penalised q = {p, 1 / options->penalty, rg_allocate(1, lower), rg_allocate(1, lower), report};
    memcpy(solution, p->lower->value, lower);
    p->value_gradients(p->context, q.tilt, value);
    p->objective_gradients(p->context, NULL, objective);

    report->residual = climb(&q, options);
    p->value_gradients(p->context, NULL, value_there);
    p->objective_gradients(p->context, NULL, w);
    report->gradients += 4;
    for (int64_t i = 0; i < m; i++)
        w[i] = (RgReal)((double)w[i] - (double)objective[i] +
                        options->penalty * ((double)value[i] - (double)value_there[i]));
    memcpy(p->lower->value, solution, lower);
    free(solution);
    free(value);
    free(value_there);
    free(objective);
    free(q.tilt);
    free(q.scratch);
}

/* Gradients of both levels: at the start, after each step, and at the end. */
static void penalty_work(const RgEstimatorOptions *options, int64_t lower, RgEstimateWork *work) {
    work->value_gradients = work->objective_gradients = (double)options->iterations + 3;
    work->numbers = 6 * (double)lower;
}

const RgEstimator rg_estimator_penalty = {
    .about = {.name = "penalty",
              .summary = "Value-function penalty: a second, penalised solution of the lower level",
              .reference = "Shen, Yang and Chen 2024, arXiv:2402.06886"},
    .order = 1,
    .solves = true,
    .estimate = penalty,
    .work = penalty_work,
};
