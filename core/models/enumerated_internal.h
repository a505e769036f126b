/* SPDX-License-Identifier: MIT */
/* What the kinds of policy over enumerated contexts and responses share. */
#ifndef RG_CORE_MODELS_ENUMERATED_INTERNAL_H
#define RG_CORE_MODELS_ENUMERATED_INTERNAL_H

#include "core/models/enumerated.h"

/* The first member of the state of each of these kinds. */
typedef struct RgEnumerated {
    int64_t contexts, responses;
    /* Logits of some contexts as plain numbers: logits [count, responses] out. Adds to *policy->flops
     * what it computes on a tape. */
    void (*rows)(const RgPolicy *policy, const int32_t *contexts, int64_t count, double *logits);
    double logit_flops; /* of one of these, where they are computed without a tape */
} RgEnumerated;

/* RG_E_USAGE if the environment does not enumerate contexts and responses; `kind` is in the
 * message. */
RgStatus rg_enumerated_check_space(const char *kind, const RgPolicySpace *space, RgError *error);

/* The numbers of the contexts and of the responses, [n] each, in the tape's arena. */
void rg_enumerated_indices(RgTape *tape, const RgSequences *sequences, int32_t **contexts,
                           int32_t **responses);
/* The distinct ones of these contexts, in order of their first occurrence: distinct [count] out, and
 * row [count] out, the place of each among them. Returns how many there are. */
int64_t rg_enumerated_distinct(const int32_t *contexts, int64_t count, int64_t all,
                               int32_t *distinct, int32_t *row);

/* Functions of RgPolicyType. */
double rg_enumerated_sample(RgPolicy *policy, const RgSequences *prompts,
                            const RgSampling *sampling, RgRandom random, int32_t *tokens,
                            int64_t *length, double *logprob);
int64_t rg_enumerated_context_limit(const RgPolicy *policy);
int64_t rg_enumerated_vocabulary(const RgPolicy *policy, bool in_response);

#endif
