/* SPDX-License-Identifier: MIT */
/* Both levels of the leader's regulator as scalars on a tape, for any linear policy of the follower
 * with a constant term: u = M·(x, a) + c + σ∘ε. Its value is quadratic in the state, V(x) = −(xᵀPx +
 * 2qᵀx + v), and P, q and v solve linear equations. */
#include "envs/lqr/lqr.h"

#include "core/models/gaussian.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = RG_LQR_STATES, SQUARE = MOST * MOST };

static const RgLqr *lqr_of(const RgBilevelTask *task) {
    return task->environment;
}

static RgTensor *matrix(RgTape *t, int64_t rows, int64_t columns, const double *numbers) {
    return rg_constant_from_double(t, RG_SHAPE(rows, columns), numbers);
}

static RgTensor *identity(RgTape *t, int64_t n) {
    RgTensor *y = rg_filled(t, RG_SHAPE(n, n), 0);
    for (int64_t i = 0; i < n; i++)
        y->data[i * n + i] = 1;
    return y;
}

/* xᵀ·y and xᵀ·y·x. */
static RgTensor *across(RgTape *t, RgTensor *x, RgTensor *y) {
    return rg_matmul_transposed(t, x, true, y, false);
}
static RgTensor *around(RgTape *t, RgTensor *x, RgTensor *y) {
    return across(t, x, rg_matmul(t, y, x));
}

/* Σ x∘y, which is tr(xᵀy). */
static RgTensor *inner(RgTape *t, RgTensor *x, RgTensor *y) {
    return rg_sum(t, rg_mul(t, x, y));
}

/* The players on a tape, by the names of lqr.h; vectors are columns. */
typedef struct Players {
    const RgLqr *lqr;
    RgTensor *a, *b, *c, *q, *r;             /* r [actions, 1] */
    RgTensor *k;                             /* [leader_actions, states] */
    RgTensor *weight, *of_state, *of_leader; /* M = [M_x M_a] */
    RgTensor *constant;                      /* c of the policy, [actions, 1] */
    RgTensor *log_deviation, *variance;      /* [actions, 1] */
    RgTensor *through;                       /* C + B·M_a: what a leads to */
    RgTensor *gain;                          /* M_x + M_a·K: the follower's answer to x */
    RgTensor *f;                             /* A + C·K + B·gain: x' = F·x + … */
} Players;

static Players players_of(RgTape *t, const RgLqr *l, RgTensor *upper, RgPolicy *policy) {
    int64_t n = l->states, m = l->actions, k = l->leader_actions;
    RgTensor *bias, *log_deviation;
    Players p = {.lqr = l,
                 .a = matrix(t, n, n, l->a),
                 .b = matrix(t, n, m, l->b),
                 .c = matrix(t, n, k, l->c),
                 .q = matrix(t, n, n, l->q),
                 .r = matrix(t, m, 1, l->r),
                 .k = rg_reshape(t, upper, RG_SHAPE(k, n))};
    rg_gaussian_linear(policy, t, &p.weight, &bias, &log_deviation);
    p.constant = rg_reshape(t, bias, RG_SHAPE(m, 1));
    p.log_deviation = rg_reshape(t, log_deviation, RG_SHAPE(m, 1));
    p.variance = rg_exp(t, rg_scale(t, p.log_deviation, 2));
    p.of_state = rg_slice(t, p.weight, 1, 0, n);
    p.of_leader = rg_slice(t, p.weight, 1, n, k);
    p.through = rg_add(t, p.c, rg_matmul(t, p.b, p.of_leader));
    p.gain = rg_add(t, p.of_state, rg_matmul(t, p.of_leader, p.k));
    p.f = rg_add(t, rg_add(t, p.a, rg_matmul(t, p.c, p.k)), rg_matmul(t, p.b, p.gain));
    return p;
}

/* ---- the lower level ---- */

/* xᵀ·diag(r)·x. */
static RgTensor *weighed(RgTape *t, const Players *p, RgTensor *x) {
    return across(t, x, rg_mul(t, p->r, x));
}

/* P = Q + gainᵀ R gain + γ Fᵀ P F, as (1 − γ Fᵀ⊗Fᵀ) vec P = vec(…). */
static RgTensor *lyapunov(RgTape *t, const Players *p) {
    int64_t n = p->lqr->states;
    RgTensor *f = rg_transpose(t, p->f);
    RgTensor *product =
        rg_mul(t, rg_reshape(t, f, RG_SHAPE(n, 1, n, 1)), rg_reshape(t, f, RG_SHAPE(1, n, 1, n)));
    RgTensor *system = rg_sub(
        t, identity(t, n * n),
        rg_scale(t, rg_reshape(t, product, RG_SHAPE(n * n, n * n)), (RgReal)p->lqr->discount));
    RgTensor *stage = rg_add(t, p->q, weighed(t, p, p->gain));
    RgTensor *solution = rg_solve(t, system, rg_reshape(t, stage, RG_SHAPE(n * n, 1)), false);
    return rg_reshape(t, solution, RG_SHAPE(n, n));
}

/* Whether P is one of finite costs: symmetric up to rounding, and without a negative direction. A
 * process that grows faster than the discount has a solution too, which is not its cost. */
static bool is_cost(int64_t n, const RgReal *p) {
    double s[SQUARE] = {0}, largest = 0;
    const double rounding = 1e3 * RG_REAL_EPSILON;
    for (int64_t i = 0; i < n * n; i++) {
        s[i] = ((double)p[i] + (double)p[i % n * n + i / n]) / 2;
        largest = fmax(largest, fabs(s[i]));
    }
    for (int64_t k = 0; k < n; k++) {
        double pivot = s[k * n + k];
        if (!isfinite(pivot) || pivot < -rounding * largest)
            return false;
        for (int64_t i = k + 1; i < n && pivot > rounding * largest; i++)
            for (int64_t j = k + 1; j < n; j++)
                s[i * n + j] -= s[i * n + k] * s[k * n + j] / pivot;
    }
    return true;
}

/* xᵀPx of the next state's part that does not depend on x: of the constant and the noises. */
static RgTensor *of_noise(RgTape *t, const Players *p, RgTensor *value, RgTensor *drift) {
    double w = p->lqr->leader_deviation;
    RgTensor *answer = rg_sum(
        t, rg_mul(t, around(t, p->b, value), rg_mul(t, p->variance, identity(t, p->lqr->actions))));
    RgTensor *leader =
        rg_scale(t, inner(t, p->through, rg_matmul(t, value, p->through)), (RgReal)(w * w));
    return rg_add(t, rg_add(t, answer, leader), inner(t, drift, rg_matmul(t, value, drift)));
}

/* β times the entropy of an action, minus the cost of its constant and its own noise. */
static RgTensor *of_action(RgTape *t, const Players *p, double beta) {
    const double half_log_two_pi_e = 1.41893853320467274178;
    RgTensor *entropy = rg_add_scalar(t, rg_sum(t, p->log_deviation),
                                      (RgReal)(half_log_two_pi_e * (double)p->lqr->actions));
    RgTensor *square = rg_add(t, p->variance, rg_square(t, p->constant));
    return rg_sub(t, rg_scale(t, entropy, (RgReal)beta), inner(t, p->r, square));
}

/* −V is E over (x, a) ~ N(0, 1) of the first step's cost, and γ times that of the next state. */
static RgTensor *value(RgTape *t, const RgBilevelTask *task, RgTensor *upper, RgPolicy *policy,
                       double beta) {
    const RgLqr *l = lqr_of(task);
    Players p = players_of(t, l, upper, policy);
    int64_t n = l->states, width = n + l->leader_actions;
    double w = l->leader_deviation;
    RgReal g = (RgReal)l->discount;
    RgTensor *cost = lyapunov(t, &p), *drift = rg_matmul(t, p.b, p.constant);
    if (!is_cost(n, cost->data))
        return rg_sum(t, rg_scale(t, p.weight, (RgReal)NAN));
    /* q = gainᵀ R c + γ Fᵀ (P·B·c + q) */
    RgTensor *pull = rg_add(t, across(t, p.gain, rg_mul(t, p.r, p.constant)),
                            rg_scale(t, across(t, p.f, rg_matmul(t, cost, drift)), g));
    RgTensor *q =
        rg_solve(t, rg_sub(t, identity(t, n), rg_scale(t, rg_transpose(t, p.f), g)), pull, false);
    RgTensor *next = rg_add(t, of_noise(t, &p, cost, drift), rg_scale(t, inner(t, q, drift), 2));
    RgTensor *own = of_action(t, &p, beta);
    RgTensor *answered = inner(t, p.of_leader, rg_mul(t, p.r, p.of_leader));
    RgTensor *stage = rg_sub(t, rg_scale(t, answered, (RgReal)(w * w)), own);
    RgTensor *v = rg_scale(t, rg_add(t, stage, rg_scale(t, next, g)), 1 / (1 - g));

    RgTensor *parts[] = {p.a, p.c};
    RgTensor *moved = rg_add(t, rg_concatenate(t, 1, parts, 2), rg_matmul(t, p.b, p.weight));
    RgTensor *first = rg_add(t, rg_sum(t, rg_mul(t, p.q, identity(t, n))),
                             rg_sum(t, rg_mul(t, weighed(t, &p, p.weight), identity(t, width))));
    /* the first a is not the leader's, so that its noise is not in the step after it */
    RgTensor *leader_noise =
        rg_scale(t, inner(t, p.through, rg_matmul(t, cost, p.through)), (RgReal)(w * w));
    RgTensor *later = rg_add(t, inner(t, moved, rg_matmul(t, cost, moved)),
                             rg_add(t, rg_sub(t, next, leader_noise), v));
    return rg_negate(t, rg_add(t, rg_sub(t, first, own), rg_scale(t, later, g)));
}

/* ---- the upper level ---- */

/* Means [horizon, states] and covariances, with diag(width²) added, [horizon, states, states] of
 * the state in all steps. */
static void step_through(RgTape *t, const Players *p, RgTensor **means, RgTensor **covariances) {
    const RgLqr *l = p->lqr;
    int64_t n = l->states, steps = l->horizon;
    double w = l->leader_deviation;
    RgTensor *drift = rg_matmul(t, p->b, p->constant);
    RgTensor *noise = rg_add(
        t,
        rg_matmul_transposed(t,
                             rg_mul(t, p->b, rg_reshape(t, p->variance, RG_SHAPE(1, l->actions))),
                             false, p->b, true),
        rg_scale(t, rg_matmul_transposed(t, p->through, false, p->through, true), (RgReal)(w * w)));
    RgTensor *mean = matrix(t, n, 1, l->start), *covariance = rg_filled(t, RG_SHAPE(n, n), 0);
    RgTensor **mean_of = RG_ARENA_ARRAY(rg_tape_arena(t), RgTensor *, steps);
    RgTensor **covariance_of = RG_ARENA_ARRAY(rg_tape_arena(t), RgTensor *, steps);
    double square[MOST] = {0};
    for (int64_t i = 0; i < n; i++)
        square[i] = l->width[i] * l->width[i];
    RgTensor *widths = rg_mul(t, matrix(t, n, 1, square), identity(t, n));
    for (int64_t i = 0; i < steps; i++) {
        mean_of[i] = rg_reshape(t, mean, RG_SHAPE(1, n));
        covariance_of[i] = rg_reshape(t, rg_add(t, covariance, widths), RG_SHAPE(1, n, n));
        mean = rg_add(t, rg_matmul(t, p->f, mean), drift);
        RgTensor *spread =
            rg_matmul_transposed(t, rg_matmul(t, p->f, covariance), false, p->f, true);
        covariance = rg_add(t, spread, noise);
    }
    *means = rg_concatenate(t, 0, mean_of, steps);
    *covariances = rg_concatenate(t, 0, covariance_of, steps);
}

/* The logarithm of E[exp(−½ Σ ((x_i − target_i)/width_i)²)] in all steps, [horizon, 1], by
 * elimination of one state after the other. */
static RgTensor *log_rewards(RgTape *t, const RgLqr *l, RgTensor *gap, RgTensor *covariance) {
    int64_t steps = l->horizon;
    RgTensor *sum = rg_filled(t, RG_SHAPE(steps, 1), 0);
    for (int64_t k = 0; k < l->states; k++) {
        int64_t rest = l->states - k - 1;
        RgTensor *pivot = rg_reshape(t, rg_slice(t, rg_slice(t, covariance, 1, 0, 1), 2, 0, 1),
                                     RG_SHAPE(steps, 1));
        RgTensor *first = rg_slice(t, gap, 1, 0, 1);
        RgTensor *scaled = rg_div(t, first, pivot);
        RgTensor *both = rg_add(t, rg_log(t, pivot), rg_mul(t, first, scaled));
        sum = rg_add(t, sum,
                     rg_add_scalar(t, rg_scale(t, both, (RgReal)-0.5), (RgReal)log(l->width[k])));
        if (rest == 0)
            break;
        RgTensor *column = rg_reshape(t, rg_slice(t, rg_slice(t, covariance, 1, 1, rest), 2, 0, 1),
                                      RG_SHAPE(steps, rest));
        gap = rg_sub(t, rg_slice(t, gap, 1, 1, rest), rg_mul(t, column, scaled));
        RgTensor *over = rg_reshape(t, rg_div(t, column, pivot), RG_SHAPE(steps, rest, 1));
        RgTensor *outer = rg_mul(t, over, rg_reshape(t, column, RG_SHAPE(steps, 1, rest)));
        covariance = rg_sub(t, rg_slice(t, rg_slice(t, covariance, 1, 1, rest), 2, 1, rest), outer);
    }
    return sum;
}

static RgTensor *upper_value(RgTape *t, const RgBilevelTask *task, RgTensor *upper,
                             RgPolicy *policy) {
    const RgLqr *l = lqr_of(task);
    Players p = players_of(t, l, upper, policy);
    RgTensor *means, *covariances;
    step_through(t, &p, &means, &covariances);
    RgTensor *gap = rg_sub(t, means, matrix(t, 1, l->states, l->target));
    RgTensor *discounts = rg_filled(t, RG_SHAPE(l->horizon, 1), 1);
    for (int64_t i = 1; i < l->horizon; i++)
        discounts->data[i] = (RgReal)((double)discounts->data[i - 1] * l->leader_discount);
    return inner(t, discounts, rg_exp(t, log_rewards(t, l, gap, covariances)));
}

/* ---- the follower's optimum ---- */

/* M and σ of the policy that is greedy for the value of this one, by ν. */
static RgTensor *response(RgTape *t, const RgBilevelTask *task, RgTensor *upper, RgPolicy *policy,
                          double beta) {
    const RgLqr *l = lqr_of(task);
    Players p = players_of(t, l, upper, policy);
    int64_t m = l->actions, width = l->states + l->leader_actions;
    RgTensor *value = lyapunov(t, &p), *parts[] = {p.a, p.c};
    RgTensor *diagonal = rg_mul(t, p.r, identity(t, m));
    RgTensor *s = rg_add(t, diagonal, rg_scale(t, around(t, p.b, value), (RgReal)l->discount));
    RgTensor *moves = rg_matmul(t, value, rg_concatenate(t, 1, parts, 2));
    RgTensor *weight =
        rg_scale(t, rg_solve(t, s, across(t, p.b, moves), false), (RgReal)-l->discount);
    RgTensor *of_action = rg_sum_last(t, rg_mul(t, s, identity(t, m)));
    RgTensor *log_deviation =
        rg_scale(t, rg_add_scalar(t, rg_log(t, of_action), (RgReal)log(2 / beta)), (RgReal)-0.5);
    RgTensor *all[] = {rg_reshape(t, weight, RG_SHAPE(m * width)), rg_filled(t, RG_SHAPE(m), 0),
                       rg_reshape(t, log_deviation, RG_SHAPE(m))};
    return rg_concatenate(t, 0, all, 3);
}

static bool solve(const RgBilevelTask *task, const RgReal *upper, RgPolicy *policy, double beta) {
    const RgLqr *l = lqr_of(task);
    double leader[SQUARE], weight[2 * SQUARE], deviation[MOST];
    int64_t weights = l->actions * (l->states + l->leader_actions);
    RgReal *out = policy->parameters->value;
    for (int64_t i = 0; i < l->leader_actions * l->states; i++)
        leader[i] = (double)upper[i];
    if (!rg_lqr_solve(l, leader, beta, weight, deviation))
        return false;
    for (int64_t i = 0; i < weights; i++)
        out[i] = (RgReal)weight[i];
    for (int64_t i = 0; i < l->actions; i++) {
        out[weights + i] = 0;
        out[weights + l->actions + i] = (RgReal)log(deviation[i]);
    }
    return true;
}

static RgStatus check(const RgBilevelTask *task, const RgPolicy *policy, RgError *error) {
    (void)task; /* the policy's sizes are those of the simulator */
    if (!rg_gaussian_is_linear(policy))
        return rg_fail(error, RG_E_USAGE,
                       "parl: in a known linear process the policy has to be linear: expected "
                       "policy.type = \"gaussian\" with layers = 0, found a %s policy%s",
                       policy->type->about.name,
                       policy->type == &rg_policy_gaussian ? " with hidden layers" : "");
    return RG_OK;
}

/* ---- the leader's optimum ---- */

/* A grid over K, and from its best points a search in both coordinates with smaller and smaller
 * steps. */
static double best_upper_value(const RgBilevelTask *task, double beta) {
    enum { POINTS = 61, HALVINGS = 24 };
    const double reach = 15;
    const RgLqr *l = lqr_of(task);
    if (l->leader_actions * l->states != 2)
        return NAN;
    double best = -INFINITY, at[2] = {0}, step = 2 * reach / (POINTS - 1);
    for (int i = 0; i < POINTS * POINTS; i++) {
        double leader[] = {step * (i / POINTS) - reach, step * (i % POINTS) - reach};
        double found = rg_lqr_leader_value(l, leader, beta);
        if (found > best) {
            best = found;
            memcpy(at, leader, sizeof at);
        }
    }
    for (int halving = 0; halving < HALVINGS;) {
        double before = best, around_here[2];
        memcpy(around_here, at, sizeof at);
        for (int k = 0; k < 9; k++) {
            double leader[] = {around_here[0] + step * (k / 3 - 1),
                               around_here[1] + step * (k % 3 - 1)};
            double found = rg_lqr_leader_value(l, leader, beta);
            if (found > best) {
                best = found;
                memcpy(at, leader, sizeof at);
            }
        }
        if (!(best > before)) {
            step /= 2;
            halving++;
        }
    }
    return best;
}

RgBilevelTask rg_lqr_task(const RgLqr *lqr) {
    return (RgBilevelTask){.upper_count = lqr->leader_actions * lqr->states,
                           .check = check,
                           .value = value,
                           .upper_value = upper_value,
                           .response = response,
                           .solve = solve,
                           .best_upper_value = best_upper_value,
                           .environment = lqr};
}
