/* SPDX-License-Identifier: MIT */
/* The equilibrium of a regularised preference game, by Newton's method on its logits x:
 *
 *     G(x) = x − log π_ref − A·softmax(x)/β = 0,   A = P − ½
 *
 * The Jacobian is J = I − A·S/β, with S = diag(π) − ππᵀ. A is skew-symmetric and S positive
 * semi-definite, so that the eigenvalues of A·S, which are those of √S·A·√S, are imaginary. Those of
 * J have the real part 1: J is never singular. A·softmax(x) is bounded, so that the points where
 * |G| is at most that of the start are a compact set. A Newton method that halves its step until
 * |G| falls enough therefore converges to the only root from anywhere, quadratically at the end. */
#include "core/tensor/lapack.h"
#include "envs/game/game_metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 1000, MOST_HALVINGS = 60 };
static const double GAP_BOUND = 1e-12;
static const double LEAST_FALL = 1e-4; /* of |G|, as a share of the step */

/* One context's problem and a point in it: arrays [responses], jacobian [responses, responses]. */
typedef struct Point {
    int64_t n;
    double beta;
    const double *preference, *reference;
    double *x, *probability, *residual, *step, *trial, *jacobian;
} Point;

/* probability = softmax(x) and residual = G(x). Returns |G|. */
static double find_residual(Point *p, const double *x) {
    double most = -INFINITY, sum = 0, square = 0;
    for (int64_t a = 0; a < p->n; a++)
        most = fmax(most, x[a]);
    for (int64_t a = 0; a < p->n; a++)
        sum += p->probability[a] = exp(x[a] - most);
    for (int64_t a = 0; a < p->n; a++)
        p->probability[a] /= sum;
    for (int64_t a = 0; a < p->n; a++) {
        double wins = 0;
        for (int64_t b = 0; b < p->n; b++)
            wins += (p->preference[a * p->n + b] - 0.5) * p->probability[b];
        p->residual[a] = x[a] - p->reference[a] - wins / p->beta;
        square += p->residual[a] * p->residual[a];
    }
    return sqrt(square);
}

/* step = −J⁻¹·G at the point of the last residual. */
static void find_step(Point *p) {
    int64_t n = p->n;
    for (int64_t a = 0; a < n; a++) {
        const double *row = p->preference + a * n;
        double wins = 0;
        for (int64_t b = 0; b < n; b++)
            wins += (row[b] - 0.5) * p->probability[b];
        for (int64_t b = 0; b < n; b++)
            p->jacobian[a * n + b] = (a == b) - p->probability[b] * (row[b] - 0.5 - wins) / p->beta;
    }
    rg_solve_general(n, 1, false, p->jacobian, p->residual, p->step);
    for (int64_t a = 0; a < n; a++)
        p->step[a] = -p->step[a];
}

/* Move x along the step, as far as |G| falls by a share of it. Returns the new |G|; `size`, where
 * it cannot fall. */
static double move(Point *p, double size) {
    double length = 1;
    for (int k = 0; k < MOST_HALVINGS; k++, length /= 2) {
        for (int64_t a = 0; a < p->n; a++)
            p->trial[a] = p->x[a] + length * p->step[a];
        double now = find_residual(p, p->trial);
        if (now <= (1 - LEAST_FALL * length) * size) {
            memcpy(p->x, p->trial, (size_t)p->n * sizeof *p->x);
            return now;
        }
    }
    return size;
}

/* The root, to rounding: steps end where |G| falls no more. x becomes log-probabilities. */
static void solve(Point *p) {
    memcpy(p->x, p->reference, (size_t)p->n * sizeof *p->x);
    double before = INFINITY, now = find_residual(p, p->x);
    for (int k = 0; k < MOST_STEPS && now < before && now > 0; k++) {
        before = now;
        find_step(p);
        now = move(p, now);
    }
    double most = -INFINITY, sum = 0;
    for (int64_t a = 0; a < p->n; a++)
        most = fmax(most, p->x[a]);
    for (int64_t a = 0; a < p->n; a++)
        sum += exp(p->x[a] - most);
    for (int64_t a = 0; a < p->n; a++)
        p->x[a] -= most + log(sum);
}

RgStatus rg_game_equilibrium(const RgPreferenceTable *t, const double *reference, double beta,
                             double *logprob, RgError *error) {
    int64_t n = t->responses;
    double *work = rg_allocate(4 * n + n * n, sizeof *work), gap = 0;
    for (int64_t c = 0; c < t->contexts; c++) {
        Point point = {.n = n,
                       .beta = beta,
                       .preference = t->preference + c * n * n,
                       .reference = reference + c * n,
                       .x = logprob + c * n,
                       .probability = work,
                       .residual = work + n,
                       .step = work + 2 * n,
                       .trial = work + 3 * n,
                       .jacobian = work + 4 * n};
        solve(&point);
        RgPreferenceTable one = {1, n, point.preference};
        gap = fmax(gap, rg_game_duality_gap(&one, point.x, point.reference, beta, NULL));
    }
    free(work);
    if (!(gap <= GAP_BOUND))
        return rg_fail(error, RG_E_RANGE,
                       "kl_strength is %g, at which the game's equilibrium is found to a duality "
                       "gap of %g: expected a larger one, which gives at most %g",
                       beta, gap, GAP_BOUND);
    return RG_OK;
}
