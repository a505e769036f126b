/* SPDX-License-Identifier: MIT */
/* The follower's optimum in numbers, by the Riccati equation, and the leader's best value. */
#include "envs/lqr/lqr.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = RG_LQR_STATES, SQUARE = MOST * MOST };

RgLqr rg_lqr_bc_hg(void) {
    return (RgLqr){.states = 2,
                   .leader_actions = 1,
                   .actions = 1,
                   .a = {0, 1, 0, 0},
                   .b = {0, 0.1},
                   .c = {0.1, 0},
                   .q = {1, 0, 0, 1},
                   .r = {1},
                   .discount = 0.95,
                   .leader_discount = 1,
                   .leader_deviation = 1e-3,
                   .start = {1, 0},
                   .target = {-0.8, 0},
                   .width = {0.2, 0.01},
                   .horizon = 100};
}

/* ---- small matrices: y [n, m] = x [n, k] · z [k, m] ---- */

static void multiply(int64_t n, int64_t k, int64_t m, const double *x, const double *z, double *y) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += x[i * k + l] * z[l * m + j];
            y[i * m + j] = sum;
        }
}

static void transpose(int64_t n, int64_t m, const double *x, double *y) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            y[j * n + i] = x[i * m + j];
}

/* x [n, m] = s⁻¹ b for a positive definite s [n, n], by elimination; both are overwritten. */
static void solve_definite(int64_t n, int64_t m, double *s, double *b) {
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = k + 1; i < n; i++) {
            double factor = s[i * n + k] / s[k * n + k];
            for (int64_t j = k; j < n; j++)
                s[i * n + j] -= factor * s[k * n + j];
            for (int64_t j = 0; j < m; j++)
                b[i * m + j] -= factor * b[k * m + j];
        }
    for (int64_t k = n - 1; k >= 0; k--)
        for (int64_t j = 0; j < m; j++) {
            for (int64_t i = k + 1; i < n; i++)
                b[k * m + j] -= s[k * n + i] * b[i * m + j];
            b[k * m + j] /= s[k * n + k];
        }
}

/* ---- the Riccati equation ---- */

/* S = R + γ BᵀPB [actions, actions] and BᵀP [actions, states]. */
static void curvature_of(const RgLqr *l, const double *p, double *s, double *bp) {
    double bt[SQUARE] = {0};
    int64_t n = l->states, m = l->actions;
    transpose(n, m, l->b, bt);
    multiply(m, n, n, bt, p, bp);
    multiply(m, n, m, bp, l->b, s);
    for (int64_t i = 0; i < m * m; i++)
        s[i] = l->discount * s[i] + (i % (m + 1) == 0 ? l->r[i / (m + 1)] : 0);
}

/* One application of the equation; `closed` is A_K. Returns the largest change relative to P. */
static double riccati_step(const RgLqr *l, const double *closed, double *p) {
    double s[SQUARE] = {0}, bp[SQUARE] = {0}, across[SQUARE] = {0}, solved[SQUARE];
    double pa[SQUARE] = {0}, next[SQUARE] = {0}, saved[SQUARE] = {0};
    double closed_t[SQUARE] = {0}, across_t[SQUARE] = {0};
    int64_t n = l->states, m = l->actions;
    double g = l->discount, change = 0, largest = 0;
    curvature_of(l, p, s, bp);
    multiply(m, n, n, bp, closed, across); /* BᵀPA_K */
    memcpy(solved, across, sizeof solved);
    solve_definite(m, n, s, solved);
    transpose(m, n, across, across_t);
    multiply(n, m, n, across_t, solved, saved);
    transpose(n, n, closed, closed_t);
    multiply(n, n, n, p, closed, pa);
    multiply(n, n, n, closed_t, pa, next);
    for (int64_t i = 0; i < n * n; i++) {
        next[i] = l->q[i] + g * next[i] - g * g * saved[i];
        change = fmax(change, fabs(next[i] - p[i]));
        largest = fmax(largest, fabs(next[i]));
        p[i] = next[i];
    }
    return change / fmax(1, largest);
}

static void closed_by_leader(const RgLqr *l, const double *leader, double *closed) {
    multiply(l->states, l->leader_actions, l->states, l->c, leader, closed);
    for (int64_t i = 0; i < l->states * l->states; i++)
        closed[i] += l->a[i];
}

bool rg_lqr_riccati(const RgLqr *l, const double *leader, double *p) {
    enum { ITERATIONS = 10000 };
    const double tolerance = 1e-14;
    double closed[SQUARE] = {0};
    closed_by_leader(l, leader, closed);
    memcpy(p, l->q, (size_t)(l->states * l->states) * sizeof *p);
    double change = INFINITY;
    for (int i = 0; i < ITERATIONS && change > tolerance; i++) {
        change = riccati_step(l, closed, p);
        if (!isfinite(change))
            return false;
    }
    return change <= tolerance;
}

bool rg_lqr_solve(const RgLqr *l, const double *leader, double beta, double *weight,
                  double *deviation) {
    double p[SQUARE] = {0}, s[SQUARE] = {0}, bp[SQUARE] = {0};
    double gain[2 * SQUARE] = {0}, moves[2 * SQUARE] = {0};
    int64_t n = l->states, m = l->actions, k = l->leader_actions, width = n + k;
    if (!rg_lqr_riccati(l, leader, p))
        return false;
    for (int64_t i = 0; i < n; i++) /* [A C] */
        for (int64_t j = 0; j < width; j++)
            moves[i * width + j] = j < n ? l->a[i * n + j] : l->c[i * k + j - n];
    curvature_of(l, p, s, bp);
    for (int64_t i = 0; i < m; i++)
        deviation[i] = sqrt(beta / (2 * s[i * m + i]));
    multiply(m, n, width, bp, moves, gain);
    solve_definite(m, width, s, gain);
    for (int64_t i = 0; i < m * width; i++)
        weight[i] = -l->discount * gain[i];
    return true;
}

/* ---- the leader's value ---- */

/* E[exp(−½ Σ ((x_i − target_i)/width_i)²)] of x ~ N(mean, covariance): by elimination of covariance
 * + diag(width²). */
static double reward_of(const RgLqr *l, const double *mean, const double *covariance) {
    double s[SQUARE] = {0}, gap[MOST] = {0}, logarithm = 0;
    int64_t n = l->states;
    memcpy(s, covariance, (size_t)(n * n) * sizeof *s);
    for (int64_t i = 0; i < n; i++) {
        s[i * n + i] += l->width[i] * l->width[i];
        gap[i] = mean[i] - l->target[i];
    }
    for (int64_t k = 0; k < n; k++) {
        double pivot = s[k * n + k];
        logarithm -= (log(pivot) - 2 * log(l->width[k]) + gap[k] * gap[k] / pivot) / 2;
        for (int64_t i = k + 1; i < n; i++) {
            double factor = s[i * n + k] / pivot;
            gap[i] -= factor * gap[k];
            for (int64_t j = k; j < n; j++)
                s[i * n + j] -= factor * s[k * n + j];
        }
    }
    return exp(logarithm);
}

/* The linear process that both players make: x' = F·x + noise of covariance [states, states]. */
static void joint_process(const RgLqr *l, const double *leader, const double *weight,
                          const double *deviation, double *f, double *noise) {
    double through[SQUARE] = {0}, b_weight[2 * SQUARE] = {0}; /* D = C + B·M_a; B·M */
    int64_t n = l->states, k = l->leader_actions, width = n + k;
    multiply(n, l->actions, width, l->b, weight, b_weight);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++)
            through[i * k + j] = l->c[i * k + j] + b_weight[i * width + n + j];
    multiply(n, k, n, through, leader, f);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            f[i * n + j] += l->a[i * n + j] + b_weight[i * width + j];
            double sum = 0;
            for (int64_t u = 0; u < l->actions; u++)
                sum += l->b[i * l->actions + u] * l->b[j * l->actions + u] * deviation[u] *
                       deviation[u];
            for (int64_t u = 0; u < k; u++)
                sum += through[i * k + u] * through[j * k + u] * l->leader_deviation *
                       l->leader_deviation;
            noise[i * n + j] = sum;
        }
}

double rg_lqr_leader_value(const RgLqr *l, const double *leader, double beta) {
    double weight[2 * SQUARE] = {0}, deviation[MOST] = {0}, f[SQUARE] = {0}, f_t[SQUARE] = {0};
    double mean[MOST], moved[MOST] = {0}, covariance[SQUARE] = {0}, half[SQUARE] = {0};
    double noise[SQUARE] = {0};
    double total = 0, discount = 1;
    int64_t n = l->states;
    if (!rg_lqr_solve(l, leader, beta, weight, deviation))
        return NAN;
    joint_process(l, leader, weight, deviation, f, noise);
    transpose(n, n, f, f_t);
    memcpy(mean, l->start, sizeof mean);
    for (int64_t t = 0; t < l->horizon; t++, discount *= l->leader_discount) {
        total += discount * reward_of(l, mean, covariance);
        multiply(n, n, 1, f, mean, moved);
        memcpy(mean, moved, (size_t)n * sizeof *mean);
        multiply(n, n, n, f, covariance, half);
        multiply(n, n, n, half, f_t, covariance);
        for (int64_t i = 0; i < n * n; i++)
            covariance[i] += noise[i];
    }
    return isfinite(total) ? total : NAN;
}
