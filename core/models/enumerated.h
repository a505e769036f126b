/* SPDX-License-Identifier: MIT */
/* Policies over an enumerated set of contexts and responses. A prompt is one token (the number of
 * the context), and a response is one token (the number of the response):
 *
 *     tabular       logits[c, r] are the parameters themselves
 *     log-linear    logits[c, r] = features[c, r, :] · w, with the environment's features
 *     mlp           logits[c, :] = f_θ(context_features[c, :]), a fully connected network
 *
 * Both have π(r|c) = softmax over r. Threads: policy.h. */
#ifndef RG_CORE_MODELS_ENUMERATED_H
#define RG_CORE_MODELS_ENUMERATED_H

#include "core/policy/policy.h"

extern const RgPolicyType rg_policy_tabular;
extern const RgPolicyType rg_policy_log_linear;
extern const RgPolicyType rg_policy_mlp;

/* Log-probabilities of all responses, as plain numbers in double: logprob [contexts, responses].
 * For kinds with a function `logits`. */
void rg_policy_table(const RgPolicy *policy, double *logprob);
/* The same for some contexts: logprob [count, responses] out. */
void rg_policy_table_rows(const RgPolicy *policy, const int32_t *contexts, int64_t count,
                          double *logprob);
int64_t rg_policy_contexts(const RgPolicy *policy);
int64_t rg_policy_responses(const RgPolicy *policy);

#endif
