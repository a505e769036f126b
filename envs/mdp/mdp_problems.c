/* SPDX-License-Identifier: MIT */
/* Tabular problems as arrays: random ones in layers, a grid world, Four Rooms, leader and follower. */
#include "envs/mdp/mdp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void allocate(RgMdpProblem *p, int64_t states, int64_t actions, int64_t starts) {
    size_t cells = (size_t)(states * actions);
    p->mdp.states = states;
    p->mdp.actions = actions;
    p->transition = rg_allocate(cells * (size_t)states, sizeof(RgReal));
    p->reward = rg_allocate(cells, sizeof(RgReal));
    p->initial = rg_allocate(states, sizeof(RgReal));
    p->start = rg_allocate(starts, sizeof *p->start);
    p->starts = starts;
}

/* The successors in `table` [states, actions, states] that have a probability. */
static void list_successors(const RgReal *table, RgMdpProblem *p) {
    int64_t rows = p->mdp.states * p->mdp.actions, states = p->mdp.states, count = 0;
    RgMdpSuccessors *s = &p->successors;
    for (int64_t i = 0; i < rows * states; i++)
        count += table[i] != 0;
    s->first = rg_allocate(rows + 1, sizeof *s->first);
    s->state = rg_allocate(count, sizeof *s->state);
    s->probability = rg_allocate(count, sizeof *s->probability);
    count = 0;
    for (int64_t row = 0; row < rows; row++) {
        for (int32_t next = 0; next < states; next++)
            if (table[row * states + next] != 0) {
                s->state[count] = next;
                s->probability[count++] = table[row * states + next];
            }
        s->first[row + 1] = count;
    }
}

void rg_mdp_problem_free(RgMdpProblem *p) {
    free(p->transition);
    free(p->reward);
    free(p->initial);
    free(p->start);
    free(p->cell);
    free(p->is_goal);
    free(p->is_target);
    free(p->simulated);
    free(p->successors.first);
    free(p->successors.state);
    free(p->successors.probability);
    rg_leader_follower_free(&p->leader_follower);
    *p = (RgMdpProblem){0};
}

/* ---- random ---- */

/* A state is a step and one of `states`. Its successors belong to the next step. So every episode
 * ends after `horizon` steps, and one table is optimal from any state. Rows have `branching`
 * successors with weights uniform on the simplex. */
static void make_random(const RgMdpOptions *o, RgRandom random, RgMdpProblem *p) {
    const int64_t usual_horizon = 4;
    p->horizon = o->horizon > 0 ? o->horizon : usual_horizon;
    p->discount = o->discount >= 0 ? o->discount : 1;
    allocate(p, p->horizon * o->states, o->actions, o->states);
    RgRandom rewards = rg_random_named(random, "reward");
    RgRandom moves = rg_random_named(random, "transition");
    int64_t *order = rg_allocate(o->states, sizeof *order);
    for (int64_t cell = 0; cell < p->mdp.states * o->actions; cell++) {
        p->reward[cell] = (RgReal)(o->reward_scale * rg_random_normal(rewards, (uint64_t)cell));
        int64_t layer = cell / o->actions / o->states;
        if (layer + 1 == p->horizon)
            continue;
        RgReal *row = p->transition + cell * p->mdp.states + (layer + 1) * o->states;
        RgRandom own = rg_random_at(moves, (uint64_t)cell);
        double total = 0;
        rg_random_permutation(rg_random_named(own, "successors"), order, o->states);
        for (int64_t k = 0; k < o->branching; k++)
            total -= log1p(-rg_random_uniform(own, (uint64_t)k));
        for (int64_t k = 0; k < o->branching; k++)
            row[order[k]] = (RgReal)(-log1p(-rg_random_uniform(own, (uint64_t)k)) / total);
    }
    for (int32_t s = 0; s < o->states; s++)
        p->start[s] = s;
    free(order);
}

/* ---- worlds of cells ---- */

enum { MOVES = 4 };
static const int move_row[MOVES] = {-1, 0, 1, 0}, move_column[MOVES] = {0, 1, 0, -1};

/* A map of '.' (free) and '#': cells are numbered row by row. */
typedef struct World {
    int64_t rows, columns, cells;
    const char *map;
    int32_t *number; /* [rows · columns] index of the cell, −1 in a wall */
} World;

static World world_of(const char *map, int64_t rows, int64_t columns) {
    World w = {rows, columns, 0, map, rg_allocate(rows * columns, sizeof(int32_t))};
    for (int64_t i = 0; i < rows * columns; i++)
        w.number[i] = map[i] == '#' ? -1 : (int32_t)w.cells++;
    return w;
}

static int32_t cell_at(const World *w, int64_t row, int64_t column) {
    return w->number[row * w->columns + column];
}

/* The cell after a move; walls and the edge stop it. */
static int32_t after_move(const World *w, int64_t row, int64_t column, int move) {
    int64_t r = row + move_row[move], c = column + move_column[move];
    bool inside = r >= 0 && r < w->rows && c >= 0 && c < w->columns;
    return inside && cell_at(w, r, c) >= 0 ? cell_at(w, r, c) : cell_at(w, row, column);
}

/* Rows of all states first … first + cells − 1 into `table`, one per cell: the chosen move with
 * probability 1 − slip, each of the others with a third of slip. In the goal they are empty: any
 * action ends the episode. */
static void fill_moves(const RgMdpProblem *p, const World *w, int64_t first, int32_t goal,
                       double slip, RgReal *table) {
    for (int64_t row = 0; row < w->rows; row++)
        for (int64_t column = 0; column < w->columns; column++) {
            int32_t cell = cell_at(w, row, column);
            for (int64_t a = 0; cell >= 0 && cell != goal && a < MOVES; a++) {
                RgReal *next = table + ((first + cell) * MOVES + a) * p->mdp.states + first;
                for (int b = 0; b < MOVES; b++)
                    next[after_move(w, row, column, b)] +=
                        (RgReal)(a == b ? 1 - slip : slip / (MOVES - 1));
            }
        }
}

/* The same as the process, with reward 1 in the goal. */
static void fill_world(RgMdpProblem *p, const World *w, int64_t first, int32_t goal, double slip) {
    fill_moves(p, w, first, goal, slip, p->transition);
    for (int64_t a = 0; a < MOVES; a++)
        p->reward[(first + goal) * MOVES + a] = 1;
}

/* r(s, a) = ν[s]: the design is the value of cells, for any action. */
static RgTensor *worth_of_places(RgTape *t, const RgMdp *mdp, RgTensor *parameters) {
    RgTensor *column = rg_reshape(t, parameters, RG_SHAPE(mdp->states, 1));
    return rg_broadcast_to(t, column, RG_SHAPE(mdp->states, mdp->actions));
}

/* From anywhere in the first column to the far corner; there is no reward on the way. */
static void make_grid(const RgMdpOptions *o, RgMdpProblem *p) {
    const double usual_discount = 0.95;
    const int64_t usual_horizon = 100;
    p->horizon = o->horizon > 0 ? o->horizon : usual_horizon;
    p->discount = o->discount >= 0 ? o->discount : usual_discount;
    char *map = rg_allocate((size_t)(o->width * o->height) + 1, 1);
    memset(map, '.', (size_t)(o->width * o->height));
    World w = world_of(map, o->height, o->width);
    allocate(p, w.cells, MOVES, o->height);
    fill_world(p, &w, 0, cell_at(&w, 0, o->width - 1), o->slip);
    for (int64_t row = 0; row < o->height; row++)
        p->start[row] = cell_at(&w, row, 0);
    p->mdp.design_count = w.cells;
    p->mdp.design = worth_of_places;
    free(w.number);
    free(map);
}

/* ---- Four Rooms ---- */

/* The incentive-design problem of HPGD (Thoma et al. 2024, arXiv:2406.01575), with the settings of
 * its published experiments. The state includes which of two goals the episode has. The follower
 * gets reward 1 at its goal, which ends the episode, and incentives −0.2·softmax(ν) on its way; the
 * last weight belongs to no cell. The leader gets reward 1 in the target, and pays the sum of the
 * incentives when a goal is reached.
 *
 * As in the authors' code, the follower's best response is to an MDP in which a move fails with
 * probability 4/3·0.33 and is then one of the other three. Their simulator draws any of the four
 * moves then, so that a move fails with probability 0.33: a different MDP, which episodes follow
 * with `simulator = "redrawn"`. Expectations are of the first. Their limit of 200 steps is for
 * samples; exact values have none, as in their code. */
enum { ROOMS = 13, GOALS = 2, START_ROW = 4, START_COLUMN = 1, TARGET_ROW = 8, TARGET_COLUMN = 4 };
static const int goal_row[GOALS] = {1, 11}, goal_column[GOALS] = {9, 11};
static const double incentive_range = -0.2, fail_probability = 0.33;
static const char rooms[] = "#############"
                            "#.....#.....#"
                            "#.....#.....#"
                            "#...........#"
                            "#.....#.....#"
                            "#.....#.....#"
                            "##.####.....#"
                            "#.....###.###"
                            "#.....#.....#"
                            "#.....#.....#"
                            "#...........#"
                            "#.....#.....#"
                            "#############";

static const RgMdpProblem *problem_of(const RgMdp *mdp) {
    return mdp->environment;
}

/* Incentives of all cells [cells, 1]. */
static RgTensor *incentives(RgTape *t, RgTensor *parameters) {
    RgTensor *share = rg_softmax(t, rg_reshape(t, parameters, RG_SHAPE(1, parameters->count)));
    RgTensor *kept = rg_slice(t, share, 1, 0, parameters->count - 1);
    return rg_scale(t, rg_reshape(t, kept, RG_SHAPE(parameters->count - 1, 1)),
                    (RgReal)incentive_range);
}

static RgTensor *follower_reward(RgTape *t, const RgMdp *mdp, RgTensor *parameters) {
    const RgMdpProblem *p = problem_of(mdp);
    int64_t states = mdp->states, actions = mdp->actions;
    RgTensor *of_state = rg_embedding(t, incentives(t, parameters), p->cell, states);
    RgTensor *paying = rg_filled(t, RG_SHAPE(states, 1), 1);
    for (int64_t s = 0; s < states; s++)
        if (p->is_goal[s])
            paying->data[s] = 0;
    return rg_add(t, rg_constant(t, RG_SHAPE(states, actions), mdp->reward),
                  rg_mul(t, paying, of_state));
}

static RgTensor *leader_reward(RgTape *t, const RgMdp *mdp, RgTensor *parameters) {
    const RgMdpProblem *p = problem_of(mdp);
    RgShape table = RG_SHAPE(mdp->states, mdp->actions);
    /* incentives are at most zero: minus their sum is their 1-norm */
    RgTensor *cost =
        rg_scale(t, rg_sum(t, incentives(t, parameters)), (RgReal)p->incentive_penalty);
    RgTensor *target = rg_filled(t, table, 0), *goal = rg_filled(t, table, 0);
    for (int64_t i = 0; i < target->count; i++) {
        target->data[i] = p->is_target[i / mdp->actions] ? 1 : 0;
        goal->data[i] = p->is_goal[i / mdp->actions] ? 1 : 0;
    }
    return rg_add(t, target, rg_mul(t, goal, cost));
}

static void make_four_rooms(const RgMdpOptions *o, RgMdpProblem *p) {
    const double usual_discount = 0.99;
    const int64_t usual_horizon = 200;
    p->horizon = o->horizon > 0 ? o->horizon : usual_horizon;
    p->discount = o->discount >= 0 ? o->discount : usual_discount;
    p->incentive_penalty = o->incentive_penalty;
    World w = world_of(rooms, ROOMS, ROOMS);
    int64_t states = GOALS * w.cells;
    allocate(p, states, MOVES, GOALS);
    if (o->simulator == RG_MDP_REDRAWN)
        p->simulated = rg_allocate((size_t)(states * MOVES * states), sizeof(RgReal));
    p->cell = rg_allocate(states, sizeof *p->cell);
    p->is_goal = rg_allocate(states, sizeof *p->is_goal);
    p->is_target = rg_allocate(states, sizeof *p->is_target);
    for (int64_t g = 0; g < GOALS; g++) {
        int64_t first = g * w.cells;
        int32_t goal = cell_at(&w, goal_row[g], goal_column[g]);
        fill_world(p, &w, first, goal, 4 * fail_probability / 3);
        if (p->simulated)
            fill_moves(p, &w, first, goal, fail_probability, p->simulated);
        for (int32_t cell = 0; cell < w.cells; cell++)
            p->cell[first + cell] = cell;
        p->is_goal[first + goal] = true;
        p->is_target[first + cell_at(&w, TARGET_ROW, TARGET_COLUMN)] = true;
        p->start[g] = (int32_t)first + cell_at(&w, START_ROW, START_COLUMN);
    }
    p->mdp.design_count = w.cells + 1;
    p->mdp.design = follower_reward;
    p->mdp.utility = leader_reward;
    free(w.number);
}

/* ---- leader and follower ---- */

const RgLeaderFollower *rg_leader_follower_of(const RgMdp *mdp) {
    return &problem_of(mdp)->leader_follower;
}

/* Episodes start in every state with every action of the leader. */
static RgStatus make_leader_follower(const RgMdpOptions *o, RgMdpProblem *p, RgError *error) {
    RgLeaderFollower *process = &p->leader_follower;
    if (o->problem_file[0])
        RG_TRY(rg_leader_follower_read(o->problem_file, process, error));
    else
        rg_leader_follower_bc_hg(o->follower_reward, process);
    process->follower_value = o->follower_value;
    if (o->leader_discount >= 0)
        process->leader_discount = o->leader_discount;
    if (o->horizon > 0)
        process->horizon = o->horizon;
    p->horizon = process->horizon;
    p->discount = o->discount >= 0 ? o->discount : process->follower_discount;
    int64_t pairs = process->states * process->leader_actions;
    allocate(p, rg_leader_follower_states(process), process->follower_actions, pairs);
    rg_leader_follower_uniform(process, p->transition, p->reward);
    for (int32_t s = 0; s < pairs; s++)
        p->start[s] = s;
    p->mdp.design_count = pairs;
    p->mdp.design = rg_leader_follower_design;
    p->mdp.dynamics = rg_leader_follower_dynamics;
    p->mdp.upper_value = rg_leader_follower_upper_value;
    p->mdp.best_upper_value = rg_leader_follower_best;
    return RG_OK;
}

/* ---- all of them ---- */

static RgStatus check(const RgMdpOptions *o, RgError *error) {
    if (o->problem != RG_MDP_LEADER_FOLLOWER && o->problem_file[0])
        return rg_fail(error, RG_E_USAGE,
                       "problem_file is \"%s\": expected problem = \"leader-follower\" with it",
                       o->problem_file);
    if (o->problem != RG_MDP_FOUR_ROOMS && o->simulator != RG_MDP_TRANSITIONS)
        return rg_fail(error, RG_E_USAGE,
                       "simulator is \"redrawn\": expected problem = \"four-rooms\" with it");
    if (o->leader_discount < 0 && o->leader_discount != -1)
        return rg_fail(error, RG_E_RANGE, "leader_discount is %g, expected -1, or from 0 to 1",
                       o->leader_discount);
    if (o->problem == RG_MDP_RANDOM && o->branching > o->states)
        return rg_fail(error, RG_E_RANGE,
                       "branching is %lld, expected at most the %lld states of a step",
                       (long long)o->branching, (long long)o->states);
    if (o->problem == RG_MDP_RANDOM && o->states * (o->horizon > 0 ? o->horizon : 4) > 2000)
        return rg_fail(error, RG_E_RANGE,
                       "states times horizon is %lld, expected at most 2000: the MDP is stored as "
                       "a dense table",
                       (long long)(o->states * o->horizon));
    if (o->problem == RG_MDP_GRID && o->width * o->height > 2000)
        return rg_fail(
            error, RG_E_RANGE,
            "width times height is %lld, expected at most 2000: the MDP is stored as a dense table",
            (long long)(o->width * o->height));
    return RG_OK;
}

RgStatus rg_mdp_problem_create(const RgMdpOptions *o, RgRandom random, RgMdpProblem *p,
                               RgError *error) {
    *p = (RgMdpProblem){0};
    RG_TRY(check(o, error));
    if (o->problem == RG_MDP_RANDOM)
        make_random(o, random, p);
    else if (o->problem == RG_MDP_GRID)
        make_grid(o, p);
    else if (o->problem == RG_MDP_FOUR_ROOMS)
        make_four_rooms(o, p);
    else
        RG_TRY(make_leader_follower(o, p, error));
    for (int64_t i = 0; i < p->starts; i++)
        p->initial[p->start[i]] = (RgReal)(1 / (double)p->starts);
    p->mdp.transition = p->transition;
    p->mdp.initial = p->initial;
    p->mdp.reward = p->reward;
    p->mdp.discount = p->discount;
    p->mdp.environment = p;
    list_successors(p->simulated ? p->simulated : p->transition, p);
    if (!p->mdp.design)
        p->mdp.design_count = p->mdp.states * p->mdp.actions;
    return RG_OK;
}
