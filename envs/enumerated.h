/* SPDX-License-Identifier: MIT */
/* What environments of enumerated contexts and responses share: a prompt is one token, the number
 * of the context, and a response is one token, the number of the response. */
#ifndef RG_ENVS_ENUMERATED_H
#define RG_ENVS_ENUMERATED_H

#include "core/policy/policy.h"
#include "core/task/task.h"

/* A prompt for each context, in order, with an empty response. The caller destroys them. */
RgSequences *rg_enumerated_prompts(int64_t contexts);

/* RG_E_USAGE if the policy's responses are not enumerated, or if it has other numbers of contexts
 * and responses. `environment` is the name that the message has. */
RgStatus rg_enumerated_check_policy(const char *environment, int64_t contexts, int64_t responses,
                                    const RgPolicy *policy, RgError *error);

/* Unnormalised probabilities of the responses to one context by their log-probabilities [responses],
 * 0 where `allowed` [responses] is false; NULL allows all. Those of allowed responses are above 0, so
 * that a second one can always be drawn. weight [responses] out. */
void rg_enumerated_weights(int64_t responses, const double *logprob, const bool *allowed,
                           double *weight);

/* Append two different responses to the context, drawn by weight [responses], which is
 * unnormalised and changed. `random` is of this pair alone. */
void rg_enumerated_append_pair(RgSequences *sequences, int32_t context, int64_t responses,
                               double *weight, RgRandom random);

/* Label all pairs in pairs->sequences by the task's judge. Fails if the judge fails. */
RgStatus rg_enumerated_label_pairs(RgPairs *pairs, const RgTask *task, RgRandom random,
                                   RgError *error);

#endif
