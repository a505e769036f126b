/* SPDX-License-Identifier: MIT */
/* The mdp environment: tabular processes that are known exactly, in which episodes are responses.
 * Its problems are in mdp_problems.c, how policies are measured in mdp_evaluate.c. For tests and
 * programs that look inside; algorithms see the task alone. */
#ifndef RG_ENVS_MDP_MDP_H
#define RG_ENVS_MDP_MDP_H

#include "envs/environment.h"

enum { RG_MDP_RANDOM, RG_MDP_GRID, RG_MDP_FOUR_ROOMS };

typedef struct RgMdpOptions {
    int problem;
    int64_t states, actions, branching; /* random: of each step */
    double reward_scale;
    int64_t width, height; /* grid */
    double slip;
    double incentive_penalty; /* four-rooms */
    int64_t horizon;          /* 0: the problem's own */
    double discount;          /* −1: the problem's own */
    int64_t conditions, pairs, test_episodes;
    double label_temperature, label_noise;
} RgMdpOptions;

/* A problem: arrays of the process, which it owns, and where its episodes start. */
typedef struct RgMdpProblem {
    RgMdp mdp;
    RgReal *transition, *initial, *reward;
    int64_t starts;
    int32_t *start; /* [starts] states, all as likely */
    int64_t horizon;
    double discount;
    /* four-rooms: */
    int32_t *cell;   /* [states] of which cell and goal it is */
    bool *is_goal;   /* [states] */
    bool *is_target; /* [states] */
    double incentive_penalty;
} RgMdpProblem;

/* Make the problem that the options ask for; freed by rg_mdp_problem_free, after an error too. */
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
