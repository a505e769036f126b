/* SPDX-License-Identifier: MIT */
/* The contract of estimators, checked on a bilevel problem whose implicit term has a closed form:
 *
 *     V(ν, θ) = −½ (θ − Cν)ᵀ A (θ − Cν),    G(θ) = ½ |θ − t|²,    θ* = Cν
 *     w = ∇²_{νθ}V · (−∇²_{θθ}V)⁻¹ · ∂_θG = CᵀA · A⁻¹ · (θ* − t) = Cᵀ(θ* − t) */
#include "experiments/program/plugins/check_plugin.h"

#include "core/tensor/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOWER = 6, UPPER = 4 };

typedef struct Quadratic {
    RgParameters *lower, *upper;
    double a[LOWER][LOWER], c[LOWER][UPPER], target[LOWER];
    int64_t gradients, products, linearised, closed_forms; /* numbers of requests */
} Quadratic;

/* A(θ − Cν) */
static void bent(const Quadratic *q, double *out) {
    double apart[LOWER];
    for (int i = 0; i < LOWER; i++) {
        apart[i] = (double)q->lower->value[i];
        for (int k = 0; k < UPPER; k++)
            apart[i] -= q->c[i][k] * (double)q->upper->value[k];
    }
    for (int i = 0; i < LOWER; i++) {
        out[i] = 0;
        for (int j = 0; j < LOWER; j++)
            out[i] += q->a[i][j] * apart[j];
    }
}

/* Cᵀx */
static void to_upper(const Quadratic *q, const double *x, RgReal *out) {
    for (int k = 0; k < UPPER; k++) {
        double sum = 0;
        for (int i = 0; i < LOWER; i++)
            sum += q->c[i][k] * x[i];
        out[k] = (RgReal)sum;
    }
}

static void value_gradients(void *context, RgReal *by_lower, RgReal *by_upper) {
    Quadratic *q = context;
    double x[LOWER];
    bent(q, x);
    for (int i = 0; by_lower && i < LOWER; i++)
        by_lower[i] = (RgReal)-x[i];
    if (by_upper)
        to_upper(q, x, by_upper);
    q->gradients++;
}

static void objective_gradients(void *context, RgReal *by_lower, RgReal *by_upper) {
    Quadratic *q = context;
    for (int i = 0; by_lower && i < LOWER; i++)
        by_lower[i] = (RgReal)((double)q->lower->value[i] - q->target[i]);
    for (int k = 0; by_upper && k < UPPER; k++)
        by_upper[k] = 0;
    q->gradients++;
}

static void linearise(void *context) {
    ((Quadratic *)context)->linearised++;
}

static void times_a(const Quadratic *q, const RgReal *v, double *out) {
    for (int i = 0; i < LOWER; i++) {
        out[i] = 0;
        for (int j = 0; j < LOWER; j++)
            out[i] += q->a[i][j] * (double)v[j];
    }
}

static void curvature(void *context, const RgReal *v, RgReal *hv) {
    Quadratic *q = context;
    double x[LOWER];
    times_a(q, v, x);
    for (int i = 0; i < LOWER; i++)
        hv[i] = (RgReal)x[i];
    q->products++;
}

static void mixed(void *context, const RgReal *u, RgReal *w) {
    Quadratic *q = context;
    double x[LOWER];
    times_a(q, u, x);
    to_upper(q, x, w);
    q->products++;
}

static void closed_form(void *context, const RgReal *upper_gradient, RgReal *w) {
    Quadratic *q = context;
    double x[LOWER];
    for (int i = 0; i < LOWER; i++)
        x[i] = (double)upper_gradient[i];
    to_upper(q, x, w);
    q->closed_forms++;
}

static RgParameters *vector(const char *name, int64_t count) {
    RgParameters *p = rg_parameters_create();
    rg_parameters_declare(p, name, 1, &count, false);
    rg_parameters_allocate(p);
    return p;
}

/* A is ½ the identity plus a Gram matrix of numbers in [−½, ½): well conditioned. */
static void begin(Quadratic *q) {
    RgRandom random = rg_random_root(11);
    double b[LOWER][LOWER];
    *q = (Quadratic){.lower = vector("lower", LOWER), .upper = vector("upper", UPPER)};
    for (uint64_t i = 0; i < LOWER; i++) {
        q->target[i] = rg_random_normal(rg_random_named(random, "target"), i);
        for (uint64_t j = 0; j < LOWER; j++)
            b[i][j] = rg_random_uniform(rg_random_named(random, "a"), LOWER * i + j) - 0.5;
        for (uint64_t k = 0; k < UPPER; k++)
            q->c[i][k] = rg_random_normal(rg_random_named(random, "c"), UPPER * i + k);
    }
    for (int i = 0; i < LOWER; i++)
        for (int j = 0; j < LOWER; j++) {
            q->a[i][j] = i == j ? 0.5 : 0;
            for (int k = 0; k < LOWER; k++)
                q->a[i][j] += b[k][i] * b[k][j];
        }
    for (uint64_t k = 0; k < UPPER; k++)
        q->upper->value[k] = (RgReal)rg_random_normal(rg_random_named(random, "upper"), k);
    for (int i = 0; i < LOWER; i++) { /* θ*, up to rounding */
        double sum = 0;
        for (int k = 0; k < UPPER; k++)
            sum += q->c[i][k] * (double)q->upper->value[k];
        q->lower->value[i] = (RgReal)sum;
    }
}

static void end(Quadratic *q) {
    rg_parameters_destroy(q->lower);
    rg_parameters_destroy(q->upper);
}

/* PARL's defaults, and enough iterations. */
static const RgEstimatorOptions usual = {
    .iterations = 200, .tolerance = 1e-6, .residual_limit = 0.05, .penalty = 1000};

static void claim_frugal(const RgEstimator *e, const Quadratic *q, const RgEstimateReport *report,
                         RgClaims *claims) {
    rg_claim(claims,
             (e->order >= 2 || (q->products == 0 && q->linearised == 0)) &&
                 (e->order >= 1 || q->gradients == 0) && (e->by_closed_form || !q->closed_forms),
             "it requests no more than its descriptor says",
             "order %d%s: %lld gradients, %lld products with second derivatives, closed form %s",
             e->order, e->by_closed_form ? " and a closed form" : "", (long long)q->gradients,
             (long long)q->products, q->closed_forms ? "asked for" : "not");
    rg_claim(claims, report->gradients == q->gradients && report->hessian_products == q->products,
             "it reports its requests", "%lld gradients of %lld, %lld products of %lld",
             (long long)report->gradients, (long long)q->gradients,
             (long long)report->hessian_products, (long long)q->products);
}

static void claim_answer(const RgEstimator *e, const RgReal *w, const RgReal *exact,
                         const RgEstimateReport *report, RgClaims *claims) {
    static const char claim[] = "the implicit term of a quadratic problem";
    double apart = 0, norm = 0, found = 0, along = 0;
    for (int k = 0; k < UPPER; k++) {
        apart += pow((double)w[k] - (double)exact[k], 2);
        norm += pow((double)exact[k], 2);
        found += pow((double)w[k], 2);
        along += (double)w[k] * (double)exact[k];
    }
    double error = sqrt(apart / norm), cosine = found > 0 ? along / sqrt(found * norm) : 0;
    const double solved = 2e-2, alike = 0.5;
    if (report->failure || !report->converged)
        rg_claim(claims, false, claim, "%s",
                 report->failure ? report->failure : "its residual is above the limit");
    else if (e->solves || e->by_closed_form)
        rg_claim(claims, error <= solved, claim,
                 "off by %.2g of its norm; one that solves must be within %.2g; residual "
                 "%.2g",
                 error, solved, report->residual);
    else if (e->order == 0)
        rg_claim_nothing(claims, claim, "it uses no derivatives and no closed form");
    else
        rg_claim(claims, cosine >= alike, claim,
                 "cosine %.3f, expected %.1f or more; off by %.2g of its norm", cosine, alike,
                 error);
}

void rg_check_estimator(const RgEstimator *estimator, RgClaims *claims) {
    Quadratic q;
    begin(&q);
    RgBilevel problem = {.lower = q.lower,
                         .upper = q.upper,
                         .value_gradients = value_gradients,
                         .objective_gradients = objective_gradients,
                         .linearise = linearise,
                         .curvature = curvature,
                         .mixed = mixed,
                         .closed_form = closed_form,
                         .context = &q};
    RgReal gradient[LOWER], exact[UPPER], w[UPPER], again[UPPER];
    RgEstimateReport report, second;
    objective_gradients(&q, gradient, NULL);
    closed_form(&q, gradient, exact);
    q.gradients = q.closed_forms = 0;
    uint64_t lower = rg_parameters_hash(q.lower), upper = rg_parameters_hash(q.upper);
    rg_estimator_apply(estimator, &problem, &usual, gradient, w, &report);
    claim_answer(estimator, w, exact, &report, claims);
    claim_frugal(estimator, &q, &report, claims);
    rg_claim(claims, rg_parameters_hash(q.lower) == lower && rg_parameters_hash(q.upper) == upper,
             "it restores the values of both levels", "%s", "");
    rg_estimator_apply(estimator, &problem, &usual, gradient, again, &second);
    rg_claim(claims, memcmp(w, again, sizeof w) == 0, "the same bits again", "%s", "");
    end(&q);
}
