/* SPDX-License-Identifier: MIT */
/* The parts of PARL, for its own files and for code that checks them (tests, check-gradients). */
#ifndef RG_ALGORITHMS_PARL_PARL_H
#define RG_ALGORITHMS_PARL_PARL_H

#include "algorithms/parl/estimator.h"
#include "algorithms/parl/reward.h"
#include "algorithms/training/trainer.h"

enum { RG_PARL_EXACT, RG_PARL_SAMPLED };                      /* expectation */
enum { RG_PARL_PREFERENCES, RG_PARL_UTILITY, RG_PARL_FIXED }; /* upper */
enum { RG_PARL_STEPS, RG_PARL_SOLVED };                       /* lower */
enum { RG_PARL_KL, RG_PARL_ENTROPY };                         /* regularizer */
enum { RG_PARL_EPISODE, RG_PARL_VISITS, RG_PARL_HALVES };     /* advantage */
enum { RG_PARL_ALL, RG_PARL_ONE };                            /* contexts */
enum { RG_PARL_STOP, RG_PARL_DAMP, RG_PARL_SKIP };            /* on_failure */

typedef struct RgParlOptions {
    double beta;
    int regularizer;
    int expectation; /* exact (enumerable responses or a known MDP) or sampled */
    int advantage;   /* these two: of sampled episodes in a known MDP */
    int contexts;
    int upper;
    int lower;
    int64_t inner_steps; /* K */
    double lower_tolerance;
    RgOptionPart estimator;
    double damping; /* these seven: RgEstimatorOptions */
    int64_t iterations;
    double tolerance, residual_limit, inverse_step, penalty, difference;
    int on_failure;
    int64_t curvature_prompts; /* prompts (two responses each) of the sampled Hessian */
    int reward;
    int64_t reward_hidden;
    double reward_deviation;
    int reward_optimizer;
    double reward_learning_rate, reward_clip, reward_decay;
    int64_t pretrain; /* steps of fitting the reward to the offline pairs before the first round */
} RgParlOptions;

extern const RgAlgorithm rg_algorithm_parl;

/* Most attempts of a round at its lower level and at the implicit term, with on_failure = damp. */
enum { RG_PARL_LOWER_ATTEMPTS = 5, RG_PARL_DAMP_ATTEMPTS = 6 };
RgEstimatorOptions rg_parl_estimator_options(const RgParlOptions *options, double damping);
/* See RgAlgorithm. */
bool rg_parl_work(const void *options, const RgWorkTerms *terms, RgWork *create, RgWork *step);

/* Hypergradient dG/dν at the trainer's policy and reward, without a step: G in *objective,
 * hypergradient [reward->count] out. `draw` is the index of the sampled batches. Fails if the judge
 * fails. */
RgStatus rg_parl_hypergradient(RgTrainer *trainer, const RgParlOptions *options, void *state,
                               int64_t draw, double *objective, double *hypergradient,
                               RgEstimateReport *report, RgError *error);

/* The reward parameters ν in PARL's state; borrowed. */
RgParameters *rg_parl_reward(void *state);
/* The problem at the trainer's policy and reward, on the sampled batches of index `draw`; valid
 * until the next call that samples. The judge must be one that cannot fail. */
RgBilevel rg_parl_problem(void *state, int64_t draw);
/* Set the policy to the lower level's maximiser. False: there is no closed form, or the maximiser
 * was not reached. */
bool rg_parl_solve_lower(void *state);

#endif
