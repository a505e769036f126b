/* SPDX-License-Identifier: MIT */
/* PARL's two levels as scalars on a tape, and the ways to compute their expectations: enumeration of
 * responses, the environment's known MDP, samples, visits of sampled episodes. Internal to PARL; used by one thread at a
 * time. */
#ifndef RG_ALGORITHMS_PARL_PARL_LEVELS_H
#define RG_ALGORITHMS_PARL_PARL_LEVELS_H

#include "algorithms/parl/parl.h"

typedef struct RgParl RgParl;

/* A way to compute the expectations in V and G. All functions use the current values of θ, ν. */
typedef struct RgParlLevels {
    /* Refuse options that do not fit the task or the policy; see RgAlgorithm. */
    RgStatus (*check)(const RgParlOptions *options, const RgTask *task, const RgPolicy *policy,
                      RgError *error);
    RgStatus (*create)(RgParl *parl, RgError *error); /* NULL: nothing to make */
    void (*destroy)(RgParl *parl);                    /* NULL: nothing to free */
    /* Sample what the functions below are expectations over: for the lower step `inner` of a
     * round, or for its hypergradient; NULL if nothing is sampled. The second fails if the judge
     * fails. */
    void (*draw_lower)(RgParl *parl, int64_t round, int64_t inner);
    RgStatus (*draw_upper)(RgParl *parl, int64_t round, RgError *error);

    /* V, to be maximised, and G, to be minimised: scalars whose derivatives in θ and ν are those of
     * the expectations. G's own value, stored in *value, may differ from the scalar's. */
    RgTensor *(*value)(RgParl *parl, RgTape *tape);
    RgTensor *(*objective)(RgParl *parl, RgTape *tape, double *value);

    /* See RgBilevel; NULL if there is none. */
    void (*closed_form)(RgParl *parl, const RgReal *upper_gradient, RgReal *w);
} RgParlLevels;

extern const RgParlLevels rg_parl_enumerated, rg_parl_mdp, rg_parl_bilevel, rg_parl_sampled,
    rg_parl_visits;

/* Set the policy to V's maximiser, for any of the ways: a table with enumerated responses and in a
 * known MDP, and in another problem that is known. False: it was not reached. */
bool rg_parl_solve_enumerated(RgParl *parl);
bool rg_parl_solve_mdp(RgParl *parl);
bool rg_parl_solve_bilevel(RgParl *parl);
/* The largest utility in a known MDP, or another problem that is known, with the lower level at its optimum; NAN: unknown. */
double rg_parl_best_utility(RgParl *parl);

/* Enumerate all responses with the judge's rewards, on the first call only. */
struct RgParlEnumeration;
RgStatus rg_parl_enumerate(RgParl *parl, RgError *error);
void rg_parl_enumeration_destroy(struct RgParlEnumeration *enumeration);
/* Check that the policy's responses can be enumerated, or that it is a table [states, actions] of the
 * MDP; else RG_E_USAGE. */
RgStatus rg_parl_check_enumerable(const RgTask *task, const RgPolicy *policy, RgError *error);
RgStatus rg_parl_check_table(const RgParlOptions *options, const RgTask *task,
                             const RgPolicy *policy, const char *option, RgError *error);

/* PARL's state. */
struct RgParl {
    RgTrainer *trainer;
    const RgParlOptions *options;
    const RgParlLevels *levels;
    void *samples; /* of the sampled levels and of visits; else NULL */
    struct RgParlEnumeration *enumeration;
    RgReward reward;
    RgOptimizer *optimizer;
    RgTape *second_order;
    RgHessian *hessian;     /* of V, on second_order, while linearised */
    RgReal *upper_gradient; /* [θ] ∂_θ G */
    RgReal *direct;         /* [ν] ∂_ν G */
    RgReal *implicit;       /* [ν] w */
    double damping;         /* of the last estimate: above the option's value after a failure */
    double upper;           /* G */
    double best_utility;    /* the largest −G of a known problem; NAN: unknown */
};

/* log π_ref of the regulariser: [shape], constant; zeros for entropy. */
RgTensor *rg_parl_log_reference(const RgParl *parl, RgTape *tape, RgTensor *log_reference);

/* Gradient of a scalar that depends only on ν: w [ν] out. Resets the trainer's tape. */
void rg_parl_reward_gradient(RgParl *parl, RgTensor *y, RgReal *w);

#endif
