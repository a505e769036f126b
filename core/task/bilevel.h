/* SPDX-License-Identifier: MIT */
/* A bilevel problem that an environment knows exactly, for policies that are no tables: both levels
 * as scalars on a tape, and the lower level's solution.
 *
 *     lower:  θ*(ν) = argmax_θ V(ν, θ), with an entropy regulariser of strength β
 *     upper:  max_ν U(ν, θ*(ν))
 *
 * ν is `upper` [upper_count], θ the parameters of the policy. Known tabular processes have functions
 * of their own (core/task/mdp.h).
 *
 * Threads: any, with a tape and a policy of their own. The problem is not changed. */
#ifndef RG_CORE_TASK_BILEVEL_H
#define RG_CORE_TASK_BILEVEL_H

#include "core/tensor/tensor.h"

typedef struct RgPolicy RgPolicy;
typedef struct RgBilevelTask RgBilevelTask;
struct RgBilevelTask {
    int64_t upper_count;
    /* Refuses a policy whose θ is not the problem's: RG_E_USAGE. */
    RgStatus (*check)(const RgBilevelTask *task, const RgPolicy *policy, RgError *error);
    /* V and U, scalars; not a number where V is infinite. */
    RgTensor *(*value)(RgTape *tape, const RgBilevelTask *task, RgTensor *upper, RgPolicy *policy,
                       double beta);
    RgTensor *(*upper_value)(RgTape *tape, const RgBilevelTask *task, RgTensor *upper,
                             RgPolicy *policy);
    /* θ after a step of policy improvement from the policy, as a
     * function of ν: [policy->parameters->count]. At θ*(ν) it is θ*(ν), and by the envelope theorem
     * its derivative by ν, with the policy's own θ held fixed, is that of θ*. */
    RgTensor *(*response)(RgTape *tape, const RgBilevelTask *task, RgTensor *upper,
                          RgPolicy *policy, double beta);
    /* Sets the policy to θ*(ν) for upper [upper_count]. False: there is none, or it was not
     * reached. */
    bool (*solve)(const RgBilevelTask *task, const RgReal *upper, RgPolicy *policy, double beta);
    /* The largest U(ν, θ*(ν)) that a search finds; NAN: it is not known. */
    double (*best_upper_value)(const RgBilevelTask *task, double beta);
    const void *environment; /* passed to all of them through `task` */
};

#endif
