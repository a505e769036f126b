/* SPDX-License-Identifier: MIT */
/* Solvers of the inverse-Hessian product. */
#include "algorithms/parl/hypergradient.h"

#include "core/tensor/lapack.h"
#include "core/tensor/vector_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A solver that counts products with H + damping. */
typedef struct Solver {
    const RgCurvature *curvature;
    double damping;
    int64_t *products;
    int64_t n;
} Solver;

static Solver solver_of(const RgCurvature *curvature, const RgEstimatorOptions *options,
                        int64_t *products) {
    return (Solver){curvature, options->damping, products, curvature->count};
}

static void apply(const Solver *s, const RgReal *v, RgReal *hv) {
    s->curvature->product(s->curvature->context, v, hv);
    ++*s->products;
    if (s->damping != 0)
        rg_axpy(s->n, (RgReal)s->damping, v, hv);
}

static RgReal *vector(int64_t n) {
    return rg_allocate(n, sizeof(RgReal));
}

static double norm(int64_t n, const RgReal *v) {
    return sqrt(rg_dot(n, v, v));
}

/* Whether b is 0: then u = 0 is the solution. */
static bool starts_at_solution(int64_t n, const RgReal *b, RgReal *u) {
    memset(u, 0, (size_t)n * sizeof *u);
    return norm(n, b) == 0;
}

/* |(H + damping)·u − b| / |b|, by one more product. */
static double true_residual(const Solver *s, const RgReal *b, const RgReal *u) {
    RgReal *r = vector(s->n);
    apply(s, u, r);
    rg_axpy(s->n, -1, b, r);
    double residual = norm(s->n, r) / norm(s->n, b);
    free(r);
    return residual;
}

/* H + damping, column by column: dense [n, n]. Rounding makes it slightly asymmetric. */
static void fill_dense(const Solver *s, double *dense) {
    int64_t n = s->n;
    RgReal *unit = vector(n), *column = vector(n);
    for (int64_t j = 0; j < n; j++) {
        unit[j] = 1;
        apply(s, unit, column);
        unit[j] = 0;
        for (int64_t i = 0; i < n; i++)
            dense[i * n + j] = column[i];
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            dense[i * n + j] = dense[j * n + i] = (dense[i * n + j] + dense[j * n + i]) / 2;
    free(unit);
    free(column);
}

/* The gradient is 0 in directions in which H is flat (a softmax table has one per context), so the
 * minimum-norm solution is correct for any parametrisation of them. */
void rg_inverse_exact(const RgCurvature *curvature, const RgEstimatorOptions *options,
                      const RgReal *b, RgReal *u, int64_t *products, RgEstimateReport *report) {
    Solver s = solver_of(curvature, options, products);
    int64_t n = s.n;
    if (starts_at_solution(n, b, u))
        return;
    const double flat = 1e4 * RG_REAL_EPSILON;
    double *dense = rg_allocate(n * n, sizeof *dense);
    double *right = rg_allocate(n, sizeof *right);
    double *solution = rg_allocate(n, sizeof *solution);
    fill_dense(&s, dense);
    for (int64_t i = 0; i < n; i++)
        right[i] = b[i];
    double extremes[2];
    int64_t rank = rg_solve_symmetric(n, dense, right, flat, solution, extremes);
    report->curvature = extremes[1];
    if (rank == 0)
        report->failure = "the Hessian of the lower level is zero";
    else if (extremes[0] < -flat * fabs(extremes[1]))
        report->failure = "the Hessian of the lower level is not positive definite";
    for (int64_t i = 0; i < n; i++)
        u[i] = (RgReal)solution[i];
    report->residual = true_residual(&s, b, u);
    free(dense);
    free(right);
    free(solution);
}

void rg_inverse_cg(const RgCurvature *curvature, const RgEstimatorOptions *options, const RgReal *b,
                   RgReal *u, int64_t *products, RgEstimateReport *report) {
    Solver s = solver_of(curvature, options, products);
    int64_t n = s.n;
    if (starts_at_solution(n, b, u))
        return;
    RgReal *r = vector(n), *p = vector(n), *hp = vector(n);
    memcpy(r, b, (size_t)n * sizeof *r);
    memcpy(p, b, (size_t)n * sizeof *p);
    double start = norm(n, b), rr = start * start;
    for (int64_t i = 0; i < options->iterations && sqrt(rr) > options->tolerance * start; i++) {
        apply(&s, p, hp);
        double along = rg_dot(n, p, hp), pp = rg_dot(n, p, p);
        report->curvature = fmax(report->curvature, along / pp);
        if (!(along > 0)) {
            report->failure = "the Hessian of the lower level is not positive definite";
            break;
        }
        rg_axpy(n, (RgReal)(rr / along), p, u);
        rg_axpy(n, (RgReal)(-rr / along), hp, r);
        double next = rg_dot(n, r, r), ratio = next / rr;
        for (int64_t j = 0; j < n; j++)
            p[j] = r[j] + (RgReal)ratio * p[j];
        rr = next;
    }
    report->residual = sqrt(rr) / start;
    free(r);
    free(p);
    free(hp);
}

/* Largest eigenvalue of H + damping by power iteration from b. */
static double largest_eigenvalue(const Solver *s, const RgReal *b) {
    RgReal *v = vector(s->n), *hv = vector(s->n);
    double eigenvalue = 0;
    memcpy(v, b, (size_t)s->n * sizeof *v);
    for (int i = 0; i < RG_EIGENVALUE_PRODUCTS; i++) {
        double length = norm(s->n, v);
        if (!(length > 0))
            break;
        for (int64_t j = 0; j < s->n; j++)
            v[j] = (RgReal)(v[j] / length);
        apply(s, v, hv);
        eigenvalue = norm(s->n, hv);
        memcpy(v, hv, (size_t)s->n * sizeof *v);
    }
    free(v);
    free(hv);
    return eigenvalue;
}

double rg_inverse_step(const RgCurvature *curvature, const RgEstimatorOptions *options,
                       const RgReal *b, int64_t *products, RgEstimateReport *report) {
    if (options->step > 0)
        return options->step;
    /* power iteration approaches from below: keep a distance from 2/λ */
    const double margin = 1.1;
    Solver s = solver_of(curvature, options, products);
    report->curvature = largest_eigenvalue(&s, b);
    return report->curvature > 0 ? 1 / (margin * report->curvature) : 1;
}

/* The term of the series equals the residual: term_k = (1 − ηH)ᵏ b = b − H·u_k. */
void rg_inverse_neumann(const RgCurvature *curvature, const RgEstimatorOptions *options,
                        const RgReal *b, RgReal *u, int64_t *products, RgEstimateReport *report) {
    Solver s = solver_of(curvature, options, products);
    int64_t n = s.n;
    if (starts_at_solution(n, b, u))
        return;
    double step = rg_inverse_step(curvature, options, b, products, report);
    RgReal *term = vector(n), *product = vector(n);
    memcpy(term, b, (size_t)n * sizeof *term);
    double start = norm(n, b), length = start;
    for (int64_t k = 0; k < options->iterations; k++) {
        rg_axpy(n, (RgReal)step, term, u);
        apply(&s, term, product);
        rg_axpy(n, (RgReal)-step, product, term);
        length = norm(n, term);
        if (!(length <= 2 * start)) {
            report->failure = "the Neumann series diverges";
            memset(u, 0, (size_t)n * sizeof *u);
            length = start;
            break;
        }
    }
    report->residual = length / start;
    free(term);
    free(product);
}
