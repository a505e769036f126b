/* @NAME@: heavy-ball iteration for the inverse-curvature product, a Neumann series with momentum.
 *
 *     w = ∇²_{νθ}V · u,    H·u = ∂_θG,    H = −∇²_{θθ}V + damping
 *     u_{k+1} = u_k + η·(∂_θG − H·u_k) + μ·(u_k − u_{k−1}),    u_0 = u_{−1} = 0,    μ = ½
 *
 *     Polyak 1964, for the linear system of the implicit function theorem
 *
 * algorithms/parl/estimator.h describes an estimator's input and its report. */
#include "regatta.h"

#include <math.h>
#include <stdlib.h>

static double length(const RgReal *x, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* u [lower->count] out; the report gets the residual |∂_θG − H·u| / |∂_θG| and the products. */
static void solve(const RgBilevel *problem, const RgEstimatorOptions *options, const RgReal *b,
                  RgReal *u, RgEstimateReport *report) {
    const double momentum = 0.5;
    int64_t n = problem->lower->count;
    size_t bytes = (size_t)n * sizeof(RgReal);
    RgReal *product = rg_allocate(1, bytes), *residual = rg_allocate(1, bytes);
    RgReal *step = rg_allocate(1, bytes); /* u_k − u_{k−1} */
    RgCurvature curvature = {n, problem->curvature, problem->context};
    double rate = rg_inverse_step(&curvature, options, b, &report->hessian_products, report);
    double start = length(b, n);
    report->residual = 1;
    for (int64_t k = 0; k < options->iterations && report->residual > options->tolerance; k++) {
        problem->curvature(problem->context, u, product);
        report->hessian_products++;
        for (int64_t i = 0; i < n; i++)
            residual[i] = b[i] - product[i] - (RgReal)options->damping * u[i];
        report->residual = length(residual, n) / start;
        if (!isfinite(report->residual)) {
            report->failure = "the heavy ball's steps diverge";
            break;
        }
        for (int64_t i = 0; i < n; i++) {
            step[i] = (RgReal)(rate * (double)residual[i] + momentum * (double)step[i]);
            u[i] += step[i];
        }
    }
    free(product);
    free(residual);
    free(step);
}

static void estimate(const RgBilevel *problem, const RgEstimatorOptions *options,
                     const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    RgReal *u = rg_allocate(problem->lower->count, sizeof *u);
    problem->linearise(problem->context);
    solve(problem, options, upper_gradient, u, report);
    problem->mixed(problem->context, u, w);
    report->hessian_products++;
    free(u);
}

static const RgEstimator estimator = {
    .about = {.name = "@NAME@",
              .summary = "Heavy ball on Hessian-vector products, until a residual",
              .reference = "Polyak 1964, doi:10.1016/0041-5553(64)90137-5"},
    .order = 2,
    .takes_damping = true,
    .solves = true,
    .estimate = estimate,
};

static RgStatus add(RgError *error) {
    return rg_estimator_register(&estimator, error);
}
RG_PLUGIN(add);
