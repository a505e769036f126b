/* SPDX-License-Identifier: MIT */
/* Sampling episodes: the loop between a policy and a process, for the kinds of policy that act in
 * one. Numbers of an episode depend on its own stream alone, so that neither its neighbours nor the
 * number of threads change a bit. */
#ifndef RG_CORE_POLICY_TRAJECTORY_H
#define RG_CORE_POLICY_TRAJECTORY_H

#include "core/policy/policy.h"

/* How a kind of policy acts. */
typedef struct RgActor {
    const RgSimulator *simulator;
    /* Room to work in, one per thread; may be NULL. */
    void *(*begin)(const RgPolicy *policy, const RgSampling *sampling);
    void (*end)(void *room);
    /* Action in a step with the numbers of `random` alone. Returns its log-probability (density) at
     * temperature 1. */
    double (*act)(const RgPolicy *policy, void *room, const int32_t *observation, RgRandom random,
                  int32_t *action);
    double step_flops;
} RgActor;

/* What RgPolicyType.sample does: see there. */
double rg_trajectory_sample(const RgPolicy *policy, const RgActor *actor,
                            const RgSequences *prompts, const RgSampling *sampling, RgRandom random,
                            int32_t *tokens, int64_t *length, double *logprob);

/* Offsets of the episodes' steps in a list of all of them: [sequences->count + 1], on the tape's
 * arena. */
int64_t *rg_trajectory_offsets(RgTape *tape, const RgSequences *sequences, int64_t step_words);

#endif
