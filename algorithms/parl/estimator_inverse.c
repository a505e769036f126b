/* SPDX-License-Identifier: MIT */
/* Estimators that solve (−∇²V + damping)·u = ∂_θG for u, each in its own way. The implicit term is
 * w = ∇²_{νθ}V·u. */
#include "algorithms/parl/hypergradient.h"
#include "core/tensor/vector_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- by second derivatives ---- */

static void by_second_derivatives(const RgBilevel *problem, const RgEstimatorOptions *options,
                                  const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report,
                                  RgInverse inverse) {
    RgCurvature curvature = {problem->lower->count, problem->curvature, problem->context};
    RgReal *u = rg_allocate(problem->lower->count, sizeof *u);
    problem->linearise(problem->context);
    inverse(&curvature, options, upper_gradient, u, &report->hessian_products, report);
    problem->mixed(problem->context, u, w);
    report->hessian_products++;
    free(u);
}

static void exact(const RgBilevel *problem, const RgEstimatorOptions *options,
                  const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    by_second_derivatives(problem, options, upper_gradient, w, report, rg_inverse_exact);
}

static void cg(const RgBilevel *problem, const RgEstimatorOptions *options,
               const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    by_second_derivatives(problem, options, upper_gradient, w, report, rg_inverse_cg);
}

static void neumann(const RgBilevel *problem, const RgEstimatorOptions *options,
                    const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    by_second_derivatives(problem, options, upper_gradient, w, report, rg_inverse_neumann);
}

/* u = η·∂_θG: −∇²V is approximated by the identity times 1/η. */
static void by_scalar(const RgCurvature *curvature, const RgEstimatorOptions *options,
                      const RgReal *b, RgReal *u, int64_t *products, RgEstimateReport *report) {
    (void)products;
    (void)report;
    memset(u, 0, (size_t)curvature->count * sizeof *u);
    rg_axpy(curvature->count, (RgReal)(options->step > 0 ? options->step : 1), b, u);
}

static void identity(const RgBilevel *problem, const RgEstimatorOptions *options,
                     const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    by_second_derivatives(problem, options, upper_gradient, w, report, by_scalar);
}

static void none(const RgBilevel *problem, const RgEstimatorOptions *options,
                 const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    (void)options;
    (void)upper_gradient;
    (void)report;
    memset(w, 0, (size_t)problem->upper->count * sizeof *w);
}

/* ---- by differences of gradients ---- */

typedef struct Differences {
    const RgBilevel *problem;
    double relative;         /* step relative to 1 + |θ| */
    RgReal *at, *high, *low; /* [lower]: θ, and the gradients at both sides of it */
    RgReal *above, *below;   /* [upper] */
    RgEstimateReport *report;
} Differences;

/* Gradients of V at θ ± step·v, the requested ones. Returns the step, 0 if v is 0. */
static double gradients_around(const Differences *d, const RgReal *v, bool by_lower,
                               bool by_upper) {
    const RgBilevel *p = d->problem;
    int64_t n = p->lower->count;
    double length = sqrt(rg_dot(n, v, v));
    if (!(length > 0))
        return 0;
    double step = d->relative * (1 + sqrt(rg_dot(n, d->at, d->at))) / length;
    for (int side = 1; side >= -1; side -= 2) {
        memcpy(p->lower->value, d->at, (size_t)n * sizeof *v);
        rg_axpy(n, (RgReal)(side * step), v, p->lower->value);
        p->value_gradients(p->context, by_lower ? (side > 0 ? d->high : d->low) : NULL,
                           by_upper ? (side > 0 ? d->above : d->below) : NULL);
    }
    memcpy(p->lower->value, d->at, (size_t)n * sizeof *v);
    d->report->gradients += 2;
    return step;
}

/* out = scale·(high − low), zeros if the step was 0. */
static void divide(int64_t n, const RgReal *high, const RgReal *low, double step, double sign,
                   RgReal *out) {
    for (int64_t i = 0; i < n; i++)
        out[i] = step > 0 ? (RgReal)(sign * ((double)high[i] - (double)low[i]) / (2 * step)) : 0;
}

static void curvature_by_differences(void *context, const RgReal *v, RgReal *hv) {
    const Differences *d = context;
    double step = gradients_around(d, v, true, false);
    divide(d->problem->lower->count, d->high, d->low, step, -1, hv);
}

static void finite_difference(const RgBilevel *problem, const RgEstimatorOptions *options,
                              const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    size_t lower = (size_t)problem->lower->count * sizeof(RgReal);
    size_t upper = (size_t)problem->upper->count * sizeof(RgReal);
    /* Rounding errors and the error of the next order are equally large here. */
    double usual = cbrt(RG_REAL_EPSILON);
    Differences d = {problem,
                     options->difference > 0 ? options->difference : usual,
                     rg_allocate(1, lower),
                     rg_allocate(1, lower),
                     rg_allocate(1, lower),
                     rg_allocate(1, upper),
                     rg_allocate(1, upper),
                     report};
    RgReal *u = rg_allocate(1, lower);
    memcpy(d.at, problem->lower->value, lower);
    RgCurvature curvature = {problem->lower->count, curvature_by_differences, &d};
    int64_t products = 0; /* none by second derivatives */
    rg_inverse_cg(&curvature, options, upper_gradient, u, &products, report);
    double step = gradients_around(&d, u, false, true);
    divide(problem->upper->count, d.above, d.below, step, 1, w);
    free(d.at);
    free(d.high);
    free(d.low);
    free(d.above);
    free(d.below);
    free(u);
}

/* ---- upper bounds of their costs ---- */

/* One more product for the residual, and a mixed one for the implicit term. */
static void exact_work(const RgEstimatorOptions *options, int64_t lower, RgEstimateWork *work) {
    (void)options;
    double n = (double)lower, doubles = (double)sizeof(double) / (double)sizeof(RgReal);
    *work = (RgEstimateWork){
        .linearised = 1, .products = n + 2, .numbers = 3 * n + doubles * n * (n + 2)};
}

static void cg_work(const RgEstimatorOptions *options, int64_t lower, RgEstimateWork *work) {
    *work = (RgEstimateWork){
        .linearised = 1, .products = (double)options->iterations + 1, .numbers = 4 * (double)lower};
}

static void neumann_work(const RgEstimatorOptions *options, int64_t lower, RgEstimateWork *work) {
    cg_work(options, lower, work);
    work->products += options->step > 0 ? 0 : RG_EIGENVALUE_PRODUCTS;
}

static void identity_work(const RgEstimatorOptions *options, int64_t lower, RgEstimateWork *work) {
    (void)options;
    *work = (RgEstimateWork){.linearised = 1, .products = 1, .numbers = (double)lower};
}

static void no_work(const RgEstimatorOptions *options, int64_t lower, RgEstimateWork *work) {
    (void)options;
    (void)lower;
    *work = (RgEstimateWork){0};
}

/* Two gradients instead of each product. */
static void finite_difference_work(const RgEstimatorOptions *options, int64_t lower,
                                   RgEstimateWork *work) {
    *work = (RgEstimateWork){.value_gradients = 2 * ((double)options->iterations + 1),
                             .numbers = 7 * (double)lower};
}

/* ---- descriptors ---- */

const RgEstimator rg_estimator_exact = {
    .about = {.name = "exact",
              .summary = "The whole Hessian, column by column, and a direct solve (small policies)",
              .reference = "implicit function theorem"},
    .order = 2,
    .takes_damping = true,
    .solves = true,
    .estimate = exact,
    .work = exact_work,
};

const RgEstimator rg_estimator_cg = {
    .about = {.name = "cg",
              .summary =
                  "Damped conjugate gradients on Hessian-vector products, to a given residual",
              .reference =
                  "Hestenes and Stiefel 1952; for hypergradients Pedregosa 2016, arXiv:1602.02355"},
    .order = 2,
    .takes_damping = true,
    .solves = true,
    .estimate = cg,
    .work = cg_work,
};

const RgEstimator rg_estimator_neumann = {
    .about = {.name = "neumann",
              .summary = "Truncated Neumann series of the inverse Hessian",
              .reference = "Lorraine et al. 2020, arXiv:1911.02590"},
    .order = 2,
    .takes_damping = true,
    .estimate = neumann,
    .work = neumann_work,
};

const RgEstimator rg_estimator_finite_difference = {
    .about = {.name = "finite-difference",
              .summary =
                  "Conjugate gradients with central differences of gradients as Hessian products",
              .reference = "implicit function theorem, first order only"},
    .order = 1,
    .takes_damping = true,
    .solves = true,
    .estimate = finite_difference,
    .work = finite_difference_work,
};

const RgEstimator rg_estimator_identity = {
    .about = {.name = "identity",
              .summary = "A scalar in place of the inverse Hessian: ignores the curvature",
              .reference = "ablation"},
    .order = 2,
    .estimate = identity,
    .work = identity_work,
};

const RgEstimator rg_estimator_none = {
    .about = {.name = "none",
              .summary = "No implicit term: samples are treated as data, as in online RLHF",
              .reference = "ablation"},
    .order = 0,
    .estimate = none,
    .work = no_work,
};
