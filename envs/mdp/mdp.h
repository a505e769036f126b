/* SPDX-License-Identifier: MIT */
/* The mdp environment: tabular MDPs that are known exactly, with episodes as responses.
 * mdp_problems.c defines the problems, leader_follower.h those of two players, mdp_evaluate.c
 * evaluates policies. This header is for tests
 * and programs that need the problem; algorithms see only the task. */
#ifndef RG_ENVS_MDP_MDP_H
#define RG_ENVS_MDP_MDP_H

#include "envs/environment.h"
#include "envs/mdp/leader_follower.h"

enum { RG_MDP_RANDOM, RG_MDP_GRID, RG_MDP_FOUR_ROOMS, RG_MDP_LEADER_FOLLOWER };
enum { RG_MDP_TRANSITIONS, RG_MDP_REDRAWN }; /* simulator */

/* The states that may follow a state and action, for sampling: of row i, those from first[i] to
 * first[i + 1]. */
typedef struct RgMdpSuccessors {
    int64_t *first; /* [states · actions + 1] */
    int32_t *state;
    RgReal *probability;
} RgMdpSuccessors;

typedef struct RgMdpOptions {
    int problem;
    int64_t states, actions, branching; /* random: of each step */
    double reward_scale;
    int64_t width, height; /* grid */
    double slip;
    double incentive_penalty; /* four-rooms, as is the next */
    int simulator;
    const char *problem_file; /* these four: leader-follower; "": the process of BC-HG */
    double follower_reward;
    int follower_value;
    double leader_discount; /* −1: the problem's own */
    int64_t horizon;        /* 0: the problem's own */
    double discount;        /* −1: the problem's own */
    int64_t conditions, pairs, test_episodes;
    double label_temperature, label_noise;
} RgMdpOptions;

/* A problem: the arrays of the MDP, which it owns, and the initial states of its episodes. */
typedef struct RgMdpProblem {
    RgMdp mdp;
    RgReal *transition, *initial, *reward;
    int64_t starts;
    int32_t *start; /* [starts] states, equally likely */
    int64_t horizon;
    double discount;
    RgMdpSuccessors successors; /* of what is simulated */
    /* four-rooms: */
    RgReal *simulated; /* [states, actions, states] where that is not `transition`, else NULL */
    int32_t *cell;     /* [states] cell of the grid; a state is a cell and a goal */
    bool *is_goal;     /* [states] */
    bool *is_target;   /* [states] */
    double incentive_penalty;
    RgLeaderFollower leader_follower;
} RgMdpProblem;

/* Create the problem of the options; free it with rg_mdp_problem_free, also after an error. */
RgStatus rg_mdp_problem_create(const RgMdpOptions *options, RgRandom random, RgMdpProblem *problem,
                               RgError *error);
void rg_mdp_problem_free(RgMdpProblem *problem);

typedef struct RgMdpState {
    RgMdpOptions options;
    RgMdpProblem problem;
    RgSimulator simulator;
    RgSequences *prompts, *test_prompts, *demonstrations;
    RgPairs *pairs; /* of the last prepare */
    double best_return;
} RgMdpState;

extern const RgEnvironmentType rg_environment_mdp;
const RgMdpProblem *rg_mdp_problem(const RgEnvironment *environment);

/* Discounted true return of each episode. */
void rg_mdp_returns(const RgMdpState *state, const RgSequences *episodes, double *reward);

RgStatus rg_mdp_evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error);

#endif
