/* SPDX-License-Identifier: MIT */
/* Leader–follower processes on a tape, as problems of the mdp environment. */
#include "envs/mdp/leader_follower.h"

#include <math.h>
#include <stdlib.h>

/* ---- the process ---- */

static int64_t rows_of(const RgLeaderFollower *p) {
    return p->states * p->leader_actions * p->follower_actions;
}

void rg_leader_follower_allocate(RgLeaderFollower *p) {
    int64_t rows = rows_of(p);
    p->transition = rg_allocate(rows * p->states, sizeof *p->transition);
    p->follower_reward = rg_allocate(rows, sizeof *p->follower_reward);
    p->leader_reward = rg_allocate(rows, sizeof *p->leader_reward);
    for (int64_t row = 0; row < rows; row++)
        p->transition[row * p->states + row / (p->leader_actions * p->follower_actions)] = 1;
}

void rg_leader_follower_free(RgLeaderFollower *p) {
    free(p->transition);
    free(p->follower_reward);
    free(p->leader_reward);
    *p = (RgLeaderFollower){0};
}

void rg_leader_follower_bc_hg(double reward, RgLeaderFollower *p) {
    enum { S, A, B, STATES, ANY = -1 };
    const struct {
        int state, leader, follower, next;
        double follower_reward, leader_reward;
    } moves[] = {{S, ANY, 1, A, 1, 1},    {S, ANY, 2, B, 1, 0},  {A, 0, 0, S, 0, 0},
                 {A, 0, 2, B, reward, 0}, {A, 1, ANY, S, -1, 0}, {B, ANY, 0, S, 0, 0}};
    *p = (RgLeaderFollower){.states = STATES,
                            .leader_actions = 2,
                            .follower_actions = 3,
                            .start = S,
                            .follower_discount = 0.99,
                            .leader_discount = 0.99,
                            .horizon = 150};
    rg_leader_follower_allocate(p);
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        for (int l = 0; l < p->leader_actions; l++)
            for (int b = 0; b < p->follower_actions; b++) {
                if ((moves[i].leader != ANY && moves[i].leader != l) ||
                    (moves[i].follower != ANY && moves[i].follower != b))
                    continue;
                int64_t row = (moves[i].state * p->leader_actions + l) * p->follower_actions + b;
                p->transition[row * STATES + moves[i].state] = 0;
                p->transition[row * STATES + moves[i].next] = 1;
                p->follower_reward[row] = (RgReal)moves[i].follower_reward;
                p->leader_reward[row] = (RgReal)moves[i].leader_reward;
            }
}

/* ---- on a tape ---- */

static RgTensor *borrow(RgTape *t, RgShape shape, const RgReal *data) {
    return rg_borrow(t, shape, (RgReal *)data); /* constants are only read */
}

/* f(l|s), [states, leader_actions]. */
static RgTensor *leader_policy(RgTape *t, const RgLeaderFollower *p, RgTensor *parameters) {
    return rg_softmax(t, rg_reshape(t, parameters, RG_SHAPE(p->states, p->leader_actions)));
}

/* Σ_l f(l|s) x(s,l,·): [states, 1, size] of a table [states, leader_actions, size]. */
static RgTensor *mean_over_leader(RgTape *t, const RgLeaderFollower *p, RgTensor *policy,
                                  const RgReal *table, int64_t size) {
    RgTensor *weight = rg_reshape(t, policy, RG_SHAPE(p->states, p->leader_actions, 1));
    RgTensor *x = borrow(t, RG_SHAPE(p->states, p->leader_actions, size), table);
    return rg_sum_to(t, rg_mul(t, weight, x), RG_SHAPE(p->states, 1, size));
}

RgTensor *rg_leader_follower_design(RgTape *t, const RgMdp *mdp, RgTensor *parameters) {
    const RgLeaderFollower *p = rg_leader_follower_of(mdp);
    int64_t actions = p->follower_actions, pairs = p->states * p->leader_actions;
    RgTensor *observed = borrow(t, RG_SHAPE(pairs, actions), p->follower_reward);
    if (p->follower_value == RG_FOLLOWER_OBSERVED)
        return observed;
    RgTensor *mean =
        mean_over_leader(t, p, leader_policy(t, p, parameters), p->follower_reward, actions);
    RgTensor *parts[] = {observed, rg_reshape(t, mean, RG_SHAPE(p->states, actions))};
    return rg_concatenate(t, 0, parts, 2);
}

/* P(s', l'|s, l, b) = P(s'|s, l, b) f(l'|s'), [pairs, actions, pairs]. */
static RgTensor *observed_dynamics(RgTape *t, const RgLeaderFollower *p, RgTensor *policy) {
    int64_t actions = p->follower_actions, pairs = p->states * p->leader_actions;
    RgTensor *next = borrow(t, RG_SHAPE(pairs * actions, p->states, 1), p->transition);
    RgTensor *weight = rg_reshape(t, policy, RG_SHAPE(1, p->states, p->leader_actions));
    return rg_reshape(t, rg_mul(t, next, weight), RG_SHAPE(pairs, actions, pairs));
}

/* All successors are states without an observation, whose own are the mean over the leader. */
static RgTensor *averaged_dynamics(RgTape *t, const RgLeaderFollower *p, RgTensor *policy) {
    int64_t actions = p->follower_actions, pairs = p->states * p->leader_actions;
    int64_t all = pairs + p->states;
    RgTensor *mean = mean_over_leader(t, p, policy, p->transition, actions * p->states);
    RgTensor *rows[] = {borrow(t, RG_SHAPE(pairs * actions, p->states), p->transition),
                        rg_reshape(t, mean, RG_SHAPE(p->states * actions, p->states))};
    RgTensor *columns[] = {rg_filled(t, RG_SHAPE(all * actions, pairs), 0),
                           rg_concatenate(t, 0, rows, 2)};
    return rg_reshape(t, rg_concatenate(t, 1, columns, 2), RG_SHAPE(all, actions, all));
}

RgTensor *rg_leader_follower_dynamics(RgTape *t, const RgMdp *mdp, RgTensor *parameters) {
    const RgLeaderFollower *p = rg_leader_follower_of(mdp);
    RgTensor *policy = leader_policy(t, p, parameters);
    return p->follower_value == RG_FOLLOWER_OBSERVED ? observed_dynamics(t, p, policy)
                                                     : averaged_dynamics(t, p, policy);
}

/* The chain over states s that both policies make: M(s'|s) and the leader's expected reward of a
 * step; then v_{k+1} = r + γ M v_k for all steps. */
RgTensor *rg_leader_follower_upper_value(RgTape *t, const RgMdp *mdp, RgTensor *parameters,
                                         RgTensor *logits) {
    const RgLeaderFollower *p = rg_leader_follower_of(mdp);
    int64_t states = p->states, pairs = states * p->leader_actions;
    int64_t joint = p->leader_actions * p->follower_actions;
    RgTensor *follower = rg_softmax(t, rg_slice(t, logits, 0, 0, pairs));
    RgTensor *leader = rg_reshape(t, leader_policy(t, p, parameters), RG_SHAPE(pairs, 1));
    RgTensor *weight = rg_reshape(t, rg_mul(t, leader, follower), RG_SHAPE(states, joint));
    RgTensor *reward =
        rg_sum_last(t, rg_mul(t, weight, borrow(t, RG_SHAPE(states, joint), p->leader_reward)));
    RgTensor *moves = rg_mul(t, rg_reshape(t, weight, RG_SHAPE(states, joint, 1)),
                             borrow(t, RG_SHAPE(states, joint, states), p->transition));
    RgTensor *chain =
        rg_reshape(t, rg_sum_to(t, moves, RG_SHAPE(states, 1, states)), RG_SHAPE(states, states));
    RgTensor *discounted = rg_scale(t, chain, (RgReal)p->leader_discount), *value = reward;
    for (int64_t step = 1; step < p->horizon; step++)
        value = rg_add(t, reward, rg_matmul(t, discounted, value));
    return rg_sum(t, rg_slice(t, value, 0, p->start, 1));
}

/* ---- without a tape ---- */

int64_t rg_leader_follower_states(const RgLeaderFollower *p) {
    int64_t pairs = p->states * p->leader_actions;
    return p->follower_value == RG_FOLLOWER_OBSERVED ? pairs : pairs + p->states;
}

/* A row of the process into one of the follower's, with a weight. The successors are the pairs,
 * or, without an observation, the states. */
static void add_row(const RgLeaderFollower *p, int64_t row, double weight, bool observed,
                    RgReal *out) {
    int64_t leader = p->leader_actions;
    for (int64_t next = 0; next < p->states; next++) {
        double probability = weight * (double)p->transition[row * p->states + next];
        if (!observed)
            out[p->states * leader + next] += (RgReal)probability;
        for (int64_t l = 0; observed && l < leader; l++)
            out[next * leader + l] += (RgReal)(probability / (double)leader);
    }
}

void rg_leader_follower_uniform(const RgLeaderFollower *p, RgReal *transition, RgReal *reward) {
    int64_t actions = p->follower_actions, leader = p->leader_actions;
    int64_t all = rg_leader_follower_states(p), pairs = p->states * leader;
    for (int64_t row = 0; row < rows_of(p); row++) {
        add_row(p, row, 1, true, transition + row * all);
        reward[row] += p->follower_reward[row];
        if (all == pairs)
            continue;
        int64_t mean = (pairs + row / (leader * actions)) * actions + row % actions;
        add_row(p, row, 1 / (double)leader, false, transition + mean * all);
        reward[mean] += (RgReal)((double)p->follower_reward[row] / (double)leader);
    }
}

/* ---- the leader's optimum ---- */

/* Whether the leader's action changes anything in this state. */
static bool matters(const RgLeaderFollower *p, int64_t state) {
    int64_t actions = p->follower_actions;
    for (int64_t l = 1; l < p->leader_actions; l++)
        for (int64_t b = 0; b < actions; b++) {
            int64_t first = state * p->leader_actions * actions + b, row = first + l * actions;
            if (p->follower_reward[row] != p->follower_reward[first] ||
                p->leader_reward[row] != p->leader_reward[first])
                return true;
            for (int64_t next = 0; next < p->states; next++)
                if (p->transition[row * p->states + next] !=
                    p->transition[first * p->states + next])
                    return true;
        }
    return false;
}

/* The leader's value when the follower is at its optimum, as a function of the probability of the
 * leader's action 1 in `state`. */
typedef struct Line {
    const RgMdp *mdp;
    const RgReal *log_reference;
    double beta;
    int64_t state;
    RgTape *tape;
    RgReal *parameters, *logits; /* of the last point */
} Line;

static double value_on(const Line *line, double probability) {
    enum { SWEEPS = 100 };
    const double most = 30; /* a logit, so that the other probability is nothing */
    const RgMdp *mdp = line->mdp;
    RgTape *t = line->tape;
    double logit = log(probability) - log1p(-probability);
    line->parameters[2 * line->state + 1] = (RgReal)fmax(-most, fmin(most, logit));
    RgTensor *parameters = rg_borrow(t, RG_SHAPE(mdp->design_count), line->parameters);
    const RgTensor *reward = rg_mdp_design(t, mdp, parameters);
    const RgTensor *transition = rg_mdp_dynamics(t, mdp, parameters);
    rg_mdp_solve(mdp, transition->data, reward->data, line->log_reference, line->beta,
                 100 * RG_REAL_EPSILON, SWEEPS, line->logits);
    RgTensor *logits = rg_borrow(t, RG_SHAPE(mdp->states, mdp->actions), line->logits);
    double value = rg_mdp_upper_value(t, mdp, parameters, logits)->data[0];
    rg_tape_reset(t);
    return value;
}

static double largest_on(const Line *line) {
    enum { POINTS = 400, REFINEMENTS = 30 };
    const double golden = (sqrt(5) - 1) / 2;
    double best = -INFINITY, at = 0;
    for (int i = 0; i <= POINTS; i++) {
        double value = value_on(line, (double)i / POINTS);
        if (value > best) {
            best = value;
            at = (double)i / POINTS;
        }
    }
    double low = fmax(0, at - 1.0 / POINTS), high = fmin(1, at + 1.0 / POINTS);
    for (int i = 0; i < REFINEMENTS; i++) {
        double left = high - golden * (high - low), right = low + golden * (high - low);
        double from_left = value_on(line, left), from_right = value_on(line, right);
        best = fmax(best, fmax(from_left, from_right));
        if (from_left > from_right)
            high = right;
        else
            low = left;
    }
    return best;
}

double rg_leader_follower_best(const RgMdp *mdp, const RgReal *log_reference, double beta) {
    const RgLeaderFollower *p = rg_leader_follower_of(mdp);
    int64_t count = 0, where = 0;
    for (int64_t s = 0; s < p->states; s++)
        if (matters(p, s)) {
            where = s;
            count++;
        }
    if (count != 1 || p->leader_actions != 2)
        return NAN;
    Line line = {mdp,
                 log_reference,
                 beta,
                 where,
                 rg_tape_create(),
                 rg_allocate(mdp->design_count, sizeof(RgReal)),
                 rg_allocate(mdp->states * mdp->actions, sizeof(RgReal))};
    rg_tape_record(line.tape, false);
    double best = largest_on(&line);
    rg_tape_destroy(line.tape);
    free(line.parameters);
    free(line.logits);
    return best;
}
