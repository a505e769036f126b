/* SPDX-License-Identifier: MIT */
/* Exact solutions of a tabular MDP: linear systems in the policy's transition matrix. */
#include "core/task/mdp.h"

#include "core/tensor/lapack.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- designs ---- */

RgTensor *rg_mdp_design(RgTape *t, const RgMdp *mdp, RgTensor *parameters) {
    if (mdp->design)
        return mdp->design(t, mdp, parameters);
    return rg_reshape(t, parameters, RG_SHAPE(mdp->states, mdp->actions));
}

RgTensor *rg_mdp_utility(RgTape *t, const RgMdp *mdp, RgTensor *parameters) {
    if (mdp->utility)
        return mdp->utility(t, mdp, parameters);
    return rg_constant(t, RG_SHAPE(mdp->states, mdp->actions), mdp->reward);
}

static RgTensor *borrow(RgTape *t, RgShape shape, const RgReal *data) {
    return rg_borrow(t, shape, (RgReal *)data); /* constants are only read */
}

RgTensor *rg_mdp_dynamics(RgTape *t, const RgMdp *mdp, RgTensor *parameters) {
    if (mdp->dynamics)
        return mdp->dynamics(t, mdp, parameters);
    return borrow(t, RG_SHAPE(mdp->states, mdp->actions, mdp->states), mdp->transition);
}

RgTensor *rg_mdp_upper_value(RgTape *t, const RgMdp *mdp, RgTensor *parameters, RgTensor *logits) {
    if (mdp->upper_value)
        return mdp->upper_value(t, mdp, parameters, logits);
    RgTensor *utility = rg_mdp_utility(t, mdp, parameters);
    return rg_mdp_value(t, mdp, rg_mdp_dynamics(t, mdp, parameters), utility, logits, NULL, 0);
}

/* ---- values on a tape ---- */

/* 1 − γP_π, [states, states], for probabilities [states, actions]. */
static RgTensor *transition_system(RgTape *t, const RgMdp *p, RgTensor *transition,
                                   RgTensor *probability) {
    int64_t s = p->states, a = p->actions;
    RgTensor *chosen = rg_mul(t, rg_reshape(t, probability, RG_SHAPE(s, a, 1)), transition);
    RgTensor *mixed = rg_reshape(t, rg_sum_to(t, chosen, RG_SHAPE(s, 1, s)), RG_SHAPE(s, s));
    RgTensor *identity = rg_filled(t, RG_SHAPE(s, s), 0);
    for (int64_t i = 0; i < s; i++)
        identity->data[i * s + i] = 1;
    return rg_sub(t, identity, rg_scale(t, mixed, (RgReal)p->discount));
}

/* v_π [states, 1] of the regularised reward. */
static RgTensor *state_values(RgTape *t, const RgMdp *p, RgTensor *transition, RgTensor *reward,
                              RgTensor *logits, RgTensor *log_reference, double beta) {
    RgTensor *log_policy = rg_log_softmax(t, logits), *gain = reward;
    RgTensor *probability = rg_exp(t, log_policy);
    if (beta > 0) {
        RgTensor *ratio = log_reference ? rg_sub(t, log_policy, log_reference) : log_policy;
        gain = rg_sub(t, reward, rg_scale(t, ratio, (RgReal)beta));
    }
    RgTensor *of_state = rg_sum_last(t, rg_mul(t, probability, gain));
    return rg_solve(t, transition_system(t, p, transition, probability), of_state, false);
}

RgTensor *rg_mdp_value(RgTape *t, const RgMdp *mdp, RgTensor *transition, RgTensor *reward,
                       RgTensor *logits, RgTensor *log_reference, double beta) {
    RgTensor *values = state_values(t, mdp, transition, reward, logits, log_reference, beta);
    RgTensor *initial = borrow(t, RG_SHAPE(mdp->states, 1), mdp->initial);
    return rg_sum(t, rg_mul(t, initial, values));
}

RgTensor *rg_mdp_action_value(RgTape *t, const RgMdp *mdp, RgTensor *transition, RgTensor *reward,
                              RgTensor *logits, RgTensor *log_reference, double beta) {
    int64_t s = mdp->states, a = mdp->actions;
    RgTensor *values = state_values(t, mdp, transition, reward, logits, log_reference, beta);
    RgTensor *next = rg_matmul(t, rg_reshape(t, transition, RG_SHAPE(s * a, s)), values);
    return rg_add(t, reward,
                  rg_scale(t, rg_reshape(t, next, RG_SHAPE(s, a)), (RgReal)mdp->discount));
}

/* ---- numbers ---- */

/* 1 − γP_π in double, into system [states, states]. */
static void fill_system(const RgMdp *p, const RgReal *transition, const double *probability,
                        double *system) {
    int64_t s = p->states;
    memset(system, 0, (size_t)(s * s) * sizeof *system);
    for (int64_t i = 0; i < s; i++) {
        system[i * s + i] = 1;
        for (int64_t a = 0; a < p->actions; a++) {
            double weight = p->discount * probability[i * p->actions + a];
            const RgReal *row = transition + (i * p->actions + a) * s;
            for (int64_t j = 0; weight > 0 && j < s; j++)
                system[i * s + j] -= weight * (double)row[j];
        }
    }
}

/* A policy under evaluation. All arrays are [states, actions] or [states]. */
typedef struct Evaluation {
    const RgMdp *mdp;
    const RgReal *transition;
    double *probability, *q, *value, *system;
} Evaluation;

static Evaluation evaluation_create(const RgMdp *p, const RgReal *transition) {
    size_t states = (size_t)p->states, cells = states * (size_t)p->actions;
    return (Evaluation){p,
                        transition,
                        rg_allocate(cells, sizeof(double)),
                        rg_allocate(cells, sizeof(double)),
                        rg_allocate(states, sizeof(double)),
                        rg_allocate(states * states, sizeof(double))};
}

static void evaluation_free(Evaluation *e) {
    free(e->probability);
    free(e->q);
    free(e->value);
    free(e->system);
}

/* Q of the policy in e->probability. e->value holds the immediate rewards of states, and becomes
 * v. */
static void evaluate(Evaluation *e, const RgReal *reward) {
    const RgMdp *p = e->mdp;
    fill_system(p, e->transition, e->probability, e->system);
    rg_solve_general(p->states, 1, false, e->system, e->value, e->value);
    for (int64_t cell = 0; cell < p->states * p->actions; cell++) {
        const RgReal *row = e->transition + cell * p->states;
        double next = 0;
        for (int64_t j = 0; j < p->states; j++)
            next += (double)row[j] * e->value[j];
        e->q[cell] = (double)reward[cell] + p->discount * next;
    }
}

/* log π of one state from preferences, in place. The largest is subtracted first. Together with the
 * logarithm it would round at its own magnitude, and probabilities would not sum to 1. */
static void normalise(double *preference, int64_t count) {
    double most = -INFINITY, sum = 0;
    for (int64_t a = 0; a < count; a++)
        most = fmax(most, preference[a]);
    for (int64_t a = 0; a < count; a++)
        sum += exp(preference[a] - most);
    for (int64_t a = 0; a < count; a++)
        preference[a] = preference[a] - most - log(sum);
}

/* One sweep: replaces log_policy by the optimal policy for its Q. Returns the largest change of a
 * probability beyond rounding, which grows with Q/β. */
static double improve(Evaluation *e, const RgReal *reward, const RgReal *log_reference, double beta,
                      double *log_policy) {
    const RgMdp *p = e->mdp;
    int64_t actions = p->actions;
    for (int64_t s = 0; s < p->states; s++) {
        e->value[s] = 0;
        for (int64_t cell = s * actions; cell < (s + 1) * actions; cell++) {
            double ratio = log_policy[cell] - (log_reference ? (double)log_reference[cell] : 0);
            e->probability[cell] = exp(log_policy[cell]);
            if (e->probability[cell] > 0)
                e->value[s] += e->probability[cell] * ((double)reward[cell] - beta * ratio);
        }
    }
    evaluate(e, reward);
    double change = 0, largest = 0;
    for (int64_t s = 0; s < p->states; s++) {
        for (int64_t cell = s * actions; cell < (s + 1) * actions; cell++) {
            log_policy[cell] =
                (log_reference ? (double)log_reference[cell] : 0) + e->q[cell] / beta;
            largest = fmax(largest, fabs(e->q[cell]));
        }
        normalise(log_policy + s * actions, actions);
        for (int64_t cell = s * actions; cell < (s + 1) * actions; cell++)
            change = fmax(change, fabs(exp(log_policy[cell]) - e->probability[cell]));
    }
    return fmax(0, change - 100 * DBL_EPSILON * largest / beta);
}

double rg_mdp_solve(const RgMdp *mdp, const RgReal *transition, const RgReal *reward,
                    const RgReal *log_reference, double beta, double tolerance, int64_t sweeps,
                    RgReal *logits) {
    int64_t cells = mdp->states * mdp->actions;
    double *log_policy = rg_allocate(cells, sizeof *log_policy), change = INFINITY;
    Evaluation e = evaluation_create(mdp, transition);
    for (int64_t i = 0; i < cells; i++)
        log_policy[i] = (double)logits[i];
    for (int64_t s = 0; s < mdp->states; s++)
        normalise(log_policy + s * mdp->actions, mdp->actions);
    for (int64_t sweep = 0; sweep < sweeps && !(change <= tolerance); sweep++)
        change = improve(&e, reward, log_reference, beta, log_policy);
    for (int64_t i = 0; i < cells; i++)
        logits[i] = (RgReal)log_policy[i];
    evaluation_free(&e);
    free(log_policy);
    return change;
}

/* The greedy action of each state. True if an action changed. Ties keep the old action. */
static bool become_greedy(const Evaluation *e, int32_t *action) {
    const int64_t actions = e->mdp->actions;
    const double gain = 1e-12; /* smaller gains are rounding */
    bool changed = false;
    for (int64_t s = 0; s < e->mdp->states; s++) {
        const double *q = e->q + s * actions;
        for (int32_t a = 0; a < actions; a++)
            if (q[a] > q[action[s]] + gain * (1 + fabs(q[a]))) {
                action[s] = a;
                changed = true;
            }
    }
    return changed;
}

double rg_mdp_best_return(const RgMdp *mdp, const RgReal *reward, int32_t *action) {
    Evaluation e = evaluation_create(mdp, mdp->transition);
    int64_t actions = mdp->actions;
    int32_t *best = rg_allocate(mdp->states, sizeof *best);
    do {
        memset(e.probability, 0, (size_t)(mdp->states * actions) * sizeof *e.probability);
        for (int64_t s = 0; s < mdp->states; s++) {
            e.probability[s * actions + best[s]] = 1;
            e.value[s] = (double)reward[s * actions + best[s]];
        }
        evaluate(&e, reward);
    } while (become_greedy(&e, best));
    double total = 0;
    for (int64_t s = 0; s < mdp->states; s++)
        total += (double)mdp->initial[s] * e.value[s];
    if (action)
        memcpy(action, best, (size_t)mdp->states * sizeof *best);
    free(best);
    evaluation_free(&e);
    return total;
}

void rg_mdp_visits(const RgMdp *mdp, const RgReal *log_policy, double *visits) {
    Evaluation e = evaluation_create(mdp, mdp->transition);
    for (int64_t i = 0; i < mdp->states * mdp->actions; i++)
        e.probability[i] = exp((double)log_policy[i]);
    for (int64_t s = 0; s < mdp->states; s++)
        e.value[s] = (double)mdp->initial[s];
    fill_system(mdp, mdp->transition, e.probability, e.system);
    rg_solve_general(mdp->states, 1, true, e.system, e.value, e.value);
    for (int64_t s = 0; s < mdp->states; s++)
        for (int64_t a = 0; a < mdp->actions; a++)
            visits[s * mdp->actions + a] = e.value[s] * e.probability[s * mdp->actions + a];
    evaluation_free(&e);
}
