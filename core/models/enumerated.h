/* SPDX-License-Identifier: MIT */
/* Policies over an enumerated set of contexts and responses. A prompt is one token (the number of
 * the context), and a response is one token (the number of the response):
 *
 *     tabular       logits[c, r] are the parameters themselves
 *     log-linear    logits[c, r] = features[c, r, :] · w, with the environment's features
 *
 * Both have π(r|c) = softmax over r. Threads: policy.h. */
#ifndef RG_CORE_MODELS_ENUMERATED_H
#define RG_CORE_MODELS_ENUMERATED_H

#include "core/policy/policy.h"

extern const RgPolicyType rg_policy_tabular;
extern const RgPolicyType rg_policy_log_linear;

/* Log-probabilities of all responses, as plain numbers in double: logprob [contexts, responses].
 * For kinds with a function `logits`. */
void rg_policy_table(const RgPolicy *policy, double *logprob);
int64_t rg_policy_contexts(const RgPolicy *policy);
int64_t rg_policy_responses(const RgPolicy *policy);

#endif
