/* SPDX-License-Identifier: MIT */
/* PARL's two levels as scalars on a tape, and the ways to them: by enumeration of responses, by the
 * known process of the environment, by samples. Inner to PARL. */
#ifndef RG_ALGORITHMS_PARL_PARL_LEVELS_H
#define RG_ALGORITHMS_PARL_PARL_LEVELS_H

#include "algorithms/parl/parl.h"

typedef struct RgParl RgParl;

/* A way to the expectations in V and G. All functions take the values of θ and ν that are there. */
typedef struct RgParlLevels {
    RgStatus (*create)(RgParl *parl, RgError *error);
    void (*destroy)(RgParl *parl); /* NULL: nothing to free */
    /* Draw what the functions below are expectations over: for the lower step `inner` of a round,
     * or for its hypergradient; NULL where nothing is drawn. The latter fails where the judge
     * does. */
    void (*draw_lower)(RgParl *parl, int64_t round, int64_t inner);
    RgStatus (*draw_upper)(RgParl *parl, int64_t round, RgError *error);

    /* V, to be maximised, and G, to be minimised: scalars whose derivatives in θ and ν are those of
     * the expectations. G's own value may be another number, which goes to *value. */
    RgTensor *(*value)(RgParl *parl, RgTape *tape);
    RgTensor *(*objective)(RgParl *parl, RgTape *tape, double *value);

    /* See RgBilevel; NULL where there is none. */
    void (*closed_form)(RgParl *parl, const RgReal *upper_gradient, RgReal *w);
} RgParlLevels;

extern const RgParlLevels rg_parl_enumerated, rg_parl_mdp, rg_parl_sampled;

/* Put V's maximiser into the policy, a table, whatever way to the expectations there is: where
 * responses are enumerated, and where the process is known. False when it was not reached. */
bool rg_parl_solve_enumerated(RgParl *parl);
bool rg_parl_solve_mdp(RgParl *parl);

/* All responses with their rewards by the judge; once. */
struct RgParlEnumeration;
RgStatus rg_parl_enumerate(RgParl *parl, RgError *error);
void rg_parl_enumeration_destroy(struct RgParlEnumeration *enumeration);
/* The policy is a table [states, actions] of the process. */
RgStatus rg_parl_check_table(const RgParl *parl, const char *option, RgError *error);

/* PARL's state. */
struct RgParl {
    RgTrainer *trainer;
    const RgParlOptions *options;
    const RgParlLevels *levels;
    void *samples; /* of the sampled levels */
    struct RgParlEnumeration *enumeration;
    RgReward reward;
    RgOptimizer *optimizer;
    RgTape *second_order;
    RgHessian *hessian;     /* of V, on it, while linearised */
    RgReal *upper_gradient; /* [θ] ∂_θ G */
    RgReal *direct;         /* [ν] ∂_ν G */
    RgReal *implicit;       /* [ν] w */
    double damping;         /* of the last estimate: more than the option after a failure */
    double upper;           /* G */
};

/* log π_ref as a regulariser sees it: [shape], constant; zeros where it is the entropy. */
RgTensor *rg_parl_log_reference(const RgParl *parl, RgTape *tape, RgTensor *log_reference);

/* The gradient of a scalar of ν alone, which is consumed with all else on the trainer's tape: w [ν]
 * out. */
void rg_parl_reward_gradient(RgParl *parl, RgTensor *y, RgReal *w);

#endif
