/* Solvers for the inverse-curvature product. */
#include "algorithms/hypergradient.h"

#include "core/tensor/blas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Products with H + damping, counted. */
typedef struct Solver {
    const RgCurvature *curvature;
    const RgInverseOptions *options;
    RgInverseReport *report;
    int64_t n;
} Solver;

static void apply(const Solver *s, const RgReal *v, RgReal *hv) {
    s->curvature->product(s->curvature->context, v, hv);
    s->report->products++;
    if (s->options->damping != 0)
        rg_axpy(s->n, (RgReal)s->options->damping, v, hv);
}

static RgReal *vector(int64_t n) {
    return rg_allocate((size_t)n * sizeof(RgReal));
}

static double norm(int64_t n, const RgReal *v) {
    return sqrt(rg_dot(n, v, v));
}

/* |(H + damping)·u − b| / |b| by one more product. */
static double true_residual(const Solver *s, const RgReal *b, const RgReal *u) {
    RgReal *r = vector(s->n);
    apply(s, u, r);
    rg_axpy(s->n, -1, b, r);
    double residual = norm(s->n, r) / norm(s->n, b);
    free(r);
    return residual;
}

/* Directions in which H is flat (a softmax table has one per context) carry no gradient either, so
 * the minimum-norm solution is the answer whatever the parametrisation of them. */
static void solve_exact(const Solver *s, const RgReal *b, RgReal *u) {
    int64_t n = s->n;
    const double flat = 1e4 * RG_REAL_EPSILON;
    RgReal *unit = vector(n), *column = vector(n);
    double *dense = rg_allocate((size_t)(n * n) * sizeof *dense);
    double *right = rg_allocate((size_t)n * sizeof *right);
    double *solution = rg_allocate((size_t)n * sizeof *solution);
    for (int64_t j = 0; j < n; j++) {
        unit[j] = 1;
        apply(s, unit, column);
        unit[j] = 0;
        right[j] = b[j];
        for (int64_t i = 0; i < n; i++)
            dense[i * n + j] = column[i];
    }
    for (int64_t i = 0; i < n; i++) /* rounding leaves it a little asymmetric */
        for (int64_t j = 0; j < i; j++)
            dense[i * n + j] = dense[j * n + i] = (dense[i * n + j] + dense[j * n + i]) / 2;
    if (rg_solve_symmetric(n, dense, right, flat, solution) == 0)
        s->report->failure = "the dense solver found no direction with curvature";
    for (int64_t i = 0; i < n; i++)
        u[i] = (RgReal)solution[i];
    s->report->residual = true_residual(s, b, u);
    free(unit);
    free(column);
    free(dense);
    free(right);
    free(solution);
}

static void solve_cg(const Solver *s, const RgReal *b, RgReal *u) {
    int64_t n = s->n;
    RgReal *r = vector(n), *p = vector(n), *hp = vector(n);
    memcpy(r, b, (size_t)n * sizeof *r);
    memcpy(p, b, (size_t)n * sizeof *p);
    double start = norm(n, b), rr = start * start;
    for (int64_t i = 0; i < s->options->iterations && sqrt(rr) > s->options->tolerance * start;
         i++) {
        apply(s, p, hp);
        double curvature = rg_dot(n, p, hp);
        if (!(curvature > 0)) {
            s->report->failure = "the curvature is not positive along a direction";
            break;
        }
        rg_axpy(n, (RgReal)(rr / curvature), p, u);
        rg_axpy(n, (RgReal)(-rr / curvature), hp, r);
        double next = rg_dot(n, r, r), ratio = next / rr;
        for (int64_t j = 0; j < n; j++)
            p[j] = r[j] + (RgReal)ratio * p[j];
        rr = next;
    }
    s->report->residual = sqrt(rr) / start;
    free(r);
    free(p);
    free(hp);
}

/* Largest eigenvalue of H + damping by power iteration from b. */
static double largest_eigenvalue(const Solver *s, const RgReal *b) {
    enum { ITERATIONS = 20 };
    RgReal *v = vector(s->n), *hv = vector(s->n);
    double eigenvalue = 0;
    memcpy(v, b, (size_t)s->n * sizeof *v);
    for (int i = 0; i < ITERATIONS; i++) {
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

/* The term of the series is the residual itself: term_k = (1 − ηH)ᵏ b = b − H·u_k. */
static void solve_neumann(const Solver *s, const RgReal *b, RgReal *u) {
    int64_t n = s->n;
    double step = s->options->step;
    if (step == 0) {
        /* power iteration comes from below: stay clear of 2/λ */
        const double margin = 1.1;
        double largest = largest_eigenvalue(s, b);
        step = largest > 0 ? 1 / (margin * largest) : 1;
    }
    RgReal *term = vector(n), *product = vector(n);
    memcpy(term, b, (size_t)n * sizeof *term);
    double start = norm(n, b), length = start;
    for (int64_t k = 0; k < s->options->iterations; k++) {
        rg_axpy(n, (RgReal)step, term, u);
        apply(s, term, product);
        rg_axpy(n, (RgReal)-step, product, term);
        length = norm(n, term);
        if (!(length <= 2 * start)) {
            s->report->failure = "the Neumann series diverges";
            memset(u, 0, (size_t)n * sizeof *u);
            length = start;
            break;
        }
    }
    s->report->residual = length / start;
    free(term);
    free(product);
}

void rg_inverse_product(const RgCurvature *curvature, const RgInverseOptions *options,
                        const RgReal *b, RgReal *u, RgInverseReport *report) {
    *report = (RgInverseReport){0};
    memset(u, 0, (size_t)curvature->count * sizeof *u);
    Solver solver = {curvature, options, report, curvature->count};
    if (options->estimator == RG_ESTIMATE_NONE || !(norm(curvature->count, b) > 0))
        return;
    if (options->estimator == RG_ESTIMATE_EXACT)
        solve_exact(&solver, b, u);
    else if (options->estimator == RG_ESTIMATE_CG)
        solve_cg(&solver, b, u);
    else
        solve_neumann(&solver, b, u);
}
