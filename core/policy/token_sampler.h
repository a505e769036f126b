/* SPDX-License-Identifier: MIT */
/* Drawing one token from a row of logits: temperature, then the k likeliest, then the smallest set
 * of mass p (Holtzman et al. 2020, arXiv:1904.09751), then those at least min-p times as likely as
 * the likeliest (Nguyen et al. 2024, arXiv:2407.01082), then one uniform number. Ties go to the
 * smaller token id, so that the result is a function of logits and number alone. Logits of a
 * diverged policy, which are not numbers, have no distribution: then it is token 0, and the loss on
 * it will tell. */
#ifndef RG_CORE_POLICY_TOKEN_SAMPLER_H
#define RG_CORE_POLICY_TOKEN_SAMPLER_H

#include "core/policy/policy.h"

typedef struct RgTokenSampler RgTokenSampler; /* the settings and room to work in; for one thread */

/* `sampling` must outlive it. */
RgTokenSampler *rg_token_sampler_create(const RgSampling *sampling, int64_t vocabulary);
void rg_token_sampler_destroy(RgTokenSampler *draw);

/* logits [vocabulary], uniform in [0, 1). The token is one of sampling->tokens. Its log-probability
 * at temperature 1, with none of the vocabulary left out, goes to *logprob, unless that is NULL. */
int32_t rg_token_sampler_draw(RgTokenSampler *draw, const RgReal *logits, double uniform,
                              double *logprob);

#endif
