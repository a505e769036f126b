/* What PARL's parts are, for its own file and for those who check them (tests, check-gradients). */
#ifndef RG_ALGORITHMS_PARL_H
#define RG_ALGORITHMS_PARL_H

#include "algorithms/hypergradient.h"
#include "algorithms/trainer.h"

typedef struct RgParlOptions {
    double beta;
    int expectation;     /* exact (enumerable policies) or sampled */
    int64_t inner_steps; /* K */
    int estimator;       /* RgEstimator */
    double damping;
    int64_t iterations;
    double tolerance;
    double neumann_step;
    int64_t curvature_prompts; /* prompts (two responses each) behind the sampled Hessian */
    double reward_learning_rate;
    int64_t pretrain; /* steps of fitting the reward to the offline pairs before the first round */
} RgParlOptions;

/* Hypergradient dG/dν at the trainer's policy and `reward`, without a step:
 * hypergradient [reward->count] out. `draw` numbers the sampled batches. Returns G. */
double rg_parl_hypergradient(RgTrainer *trainer, const RgParlOptions *options, void *state,
                             int64_t draw, double *hypergradient, RgInverseReport *report);

/* The reward parameters ν inside PARL's state. */
RgParameters *rg_parl_reward(void *state);

#endif
