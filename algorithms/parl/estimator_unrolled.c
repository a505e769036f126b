/* SPDX-License-Identifier: MIT */
/* Reverse mode through steps of the lower level (Domke 2012; Franceschi et al. 2017,
 * arXiv:1703.01785). From the given solution θ_0 = θ it takes K plain ascent steps
 *
 *     θ_{k+1} = θ_k + η ∇_θV(ν, θ_k)
 *
 * and differentiates through them, starting from b_K = ∂_θG(θ_K):
 *
 *     w += η ∇²_{νθ}V(θ_k)·b_{k+1},     b_k = b_{k+1} + η ∇²_{θθ}V(θ_k)·b_{k+1}
 *
 * At an optimum the steps stay in place, and w is the Neumann series of K terms. The memory is K
 * times that of the policy. */
#include "algorithms/parl/hypergradient.h"
#include "core/tensor/vector_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* K steps from θ; their points are stored in path [K, n], and θ_K is left in the policy. False if a
 * gradient is not finite. */
static bool go_forward(const RgBilevel *p, int64_t steps, double step, RgReal *path,
                       RgReal *gradient, RgEstimateReport *report) {
    int64_t n = p->lower->count;
    for (int64_t k = 0; k < steps; k++) {
        memcpy(path + k * n, p->lower->value, (size_t)n * sizeof *path);
        p->value_gradients(p->context, gradient, NULL);
        report->gradients++;
        if (!isfinite(rg_dot(n, gradient, gradient)))
            return false;
        rg_axpy(n, (RgReal)step, gradient, p->lower->value);
    }
    return true;
}

/* b [n] is b_K on entry and b_0 on return; adds to w. */
static void go_back(const RgBilevel *p, int64_t steps, double step, const RgReal *path, RgReal *b,
                    RgReal *w, RgEstimateReport *report) {
    int64_t n = p->lower->count, m = p->upper->count;
    RgReal *product = rg_allocate(n, sizeof *product);
    RgReal *mixed = rg_allocate(m, sizeof *mixed);
    for (int64_t k = steps - 1; k >= 0; k--) {
        memcpy(p->lower->value, path + k * n, (size_t)n * sizeof *path);
        p->linearise(p->context);
        p->mixed(p->context, b, mixed);
        p->curvature(p->context, b, product);
        report->hessian_products += 2;
        rg_axpy(m, (RgReal)step, mixed, w);
        rg_axpy(n, (RgReal)-step, product, b);
    }
    free(product);
    free(mixed);
}

static void unrolled(const RgBilevel *p, const RgEstimatorOptions *options,
                     const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    int64_t n = p->lower->count, m = p->upper->count, steps = options->iterations;
    RgReal *path = rg_allocate(steps * n, sizeof *path);
    RgReal *b = rg_allocate(n, sizeof *b);
    RgReal *direct = rg_allocate(m, sizeof *direct);
    memset(w, 0, (size_t)m * sizeof *w);

    RgCurvature curvature = {n, p->curvature, p->context};
    p->linearise(p->context);
    double start = sqrt(rg_dot(n, upper_gradient, upper_gradient));
    double step =
        rg_inverse_step(&curvature, options, upper_gradient, &report->hessian_products, report);
    p->objective_gradients(p->context, NULL, direct);
    if (go_forward(p, steps, step, path, b, report)) {
        /* G, and its direct dependence on ν, are those of the last point */
        p->objective_gradients(p->context, b, w);
        report->gradients += 2;
        rg_axpy(m, -1, direct, w);
        go_back(p, steps, step, path, b, w, report);
    }
    double left = sqrt(rg_dot(n, b, b));
    report->residual = start > 0 ? left / start : 0;
    if (!(left <= 2 * start)) {
        report->failure = "the unrolled steps diverge";
        memset(w, 0, (size_t)m * sizeof *w);
    }
    memcpy(p->lower->value, path, steps > 0 ? (size_t)n * sizeof *path : 0);
    free(path);
    free(b);
    free(direct);
}

static void unrolled_work(const RgEstimatorOptions *options, int64_t lower, RgEstimateWork *work) {
    double steps = (double)options->iterations;
    *work = (RgEstimateWork){.value_gradients = steps,
                             .objective_gradients = 2,
                             .linearised = steps + 1,
                             .products = 2 * steps,
                             .numbers = (steps + 3) * (double)lower};
    work->products += options->step > 0 ? 0 : RG_EIGENVALUE_PRODUCTS;
}

const RgEstimator rg_estimator_unrolled = {
    .about = {.name = "unrolled",
              .summary = "Reverse-mode differentiation through steps of the lower level",
              .reference = "Franceschi et al. 2017, arXiv:1703.01785"},
    .order = 2,
    .estimate = unrolled,
    .work = unrolled_work,
};
