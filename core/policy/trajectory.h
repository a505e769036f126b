/* SPDX-License-Identifier: MIT */
/* Sampling episodes: the loop between a policy and a simulator. Each episode draws from a random
 * stream of its own, so neither its neighbours nor the number of threads change a bit. */
#ifndef RG_CORE_POLICY_TRAJECTORY_H
#define RG_CORE_POLICY_TRAJECTORY_H

#include "core/policy/policy.h"

/* How a kind of policy acts. */
typedef struct RgActor {
    const RgSimulator *simulator;
    /* Creates scratch memory of one thread; may return NULL. */
    void *(*begin)(const RgPolicy *policy, const RgSampling *sampling);
    void (*end)(void *room);
    /* Chooses the action of one step, drawing from `random` only. Returns its log-probability
     * (density) at temperature 1. */
    double (*act)(const RgPolicy *policy, void *room, const int32_t *observation, RgRandom random,
                  int32_t *action);
    double step_flops;
} RgActor;

/* Implements RgPolicyType.sample. */
double rg_trajectory_sample(const RgPolicy *policy, const RgActor *actor,
                            const RgSequences *prompts, const RgSampling *sampling, RgRandom random,
                            int32_t *tokens, int64_t *length, double *logprob);

/* Offsets of the episodes' steps in a list of all steps: [sequences->count + 1], in the tape's
 * arena. */
int64_t *rg_trajectory_offsets(RgTape *tape, const RgSequences *sequences, int64_t step_words);

#endif
