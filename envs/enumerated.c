/* SPDX-License-Identifier: MIT */
/* Prompts and offline pairs of environments whose contexts and responses are enumerated. */
#include "envs/enumerated.h"

#include "core/models/enumerated.h"

#include <math.h>
#include <stdlib.h>

RgSequences *rg_enumerated_prompts(int64_t contexts) {
    RgSequences *prompts = rg_sequences_create();
    for (int32_t c = 0; c < contexts; c++)
        rg_sequences_append(prompts, &c, 1, NULL, 0);
    return prompts;
}

RgStatus rg_enumerated_check_policy(const char *environment, int64_t contexts, int64_t responses,
                                    const RgPolicy *policy, RgError *error) {
    if (!policy->type->logits || rg_policy_contexts(policy) != contexts ||
        rg_policy_responses(policy) != responses)
        return rg_fail(
            error, RG_E_USAGE,
            "the %s has %lld contexts with %lld enumerated responses, and the %s policy has "
            "other numbers: expected a tabular, log-linear or mlp policy made for it",
            environment, (long long)contexts, (long long)responses, policy->type->about.name);
    return RG_OK;
}

void rg_enumerated_weights(int64_t responses, const double *logprob, const bool *allowed,
                           double *weight) {
    double most = -INFINITY;
    for (int64_t r = 0; r < responses; r++)
        if (!allowed || allowed[r])
            most = fmax(most, logprob[r]);
    for (int64_t r = 0; r < responses; r++)
        weight[r] = !allowed || allowed[r] ? exp(fmax(logprob[r] - most, -600)) : 0;
}

void rg_enumerated_append_pair(RgSequences *sequences, int32_t context, int64_t responses,
                               double *weight, RgRandom random) {
    for (uint64_t k = 0; k < 2; k++) {
        int32_t response =
            (int32_t)rg_random_choice(rg_random_uniform(random, k), weight, responses);
        rg_sequences_append(sequences, &context, 1, &response, 1);
        weight[response] = 0;
    }
}

RgStatus rg_enumerated_label_pairs(RgPairs *pairs, const RgTask *task, RgRandom random,
                                   RgError *error) {
    int64_t count = pairs->sequences->count / 2;
    uint8_t *preferred = rg_allocate(count, sizeof *preferred);
    RgStatus status = rg_task_label(task, pairs->sequences, random, preferred, error);
    for (int64_t i = 0; status == RG_OK && i < count; i++)
        rg_pairs_append_label(pairs, preferred[i]);
    free(preferred);
    return status;
}
