/* SPDX-License-Identifier: MIT */
/* Sampling one token from a row of logits. The steps are: temperature, then the k most likely
 * tokens, then the smallest set of mass p (Holtzman et al. 2020, arXiv:1904.09751), then the tokens
 * at least min-p times as likely as the most likely one (Nguyen et al. 2024, arXiv:2407.01082),
 * then one uniform number. Ties go to the smaller token id, so the result is a function of the
 * logits and the number alone. Logits that are not numbers, from a diverged policy, give token 0;
 * the loss on it shows the divergence. */
#ifndef RG_CORE_POLICY_TOKEN_SAMPLER_H
#define RG_CORE_POLICY_TOKEN_SAMPLER_H

#include "core/policy/policy.h"

typedef struct RgTokenSampler RgTokenSampler; /* settings and scratch memory, for one thread */

/* `sampling` must outlive it. */
RgTokenSampler *rg_token_sampler_create(const RgSampling *sampling, int64_t vocabulary);
void rg_token_sampler_destroy(RgTokenSampler *draw);

/* Samples one of sampling->tokens from logits [vocabulary] with `uniform` in [0, 1). If `logprob`
 * is not NULL, it receives the token's log-probability at temperature 1 over the whole
 * vocabulary. */
int32_t rg_token_sampler_draw(RgTokenSampler *draw, const RgReal *logits, double uniform,
                              double *logprob);

/* The same for a table of logits that does not change meanwhile: row `row` of [rows, vocabulary] by
 * rg_token_sampler_draw_row, with the same bits. What a row needs is computed once where it is
 * small and nothing is cut off. */
void rg_token_sampler_remember(RgTokenSampler *draw, int64_t rows);
int32_t rg_token_sampler_draw_row(RgTokenSampler *draw, int64_t row, const RgReal *logits,
                                  double uniform, double *logprob);

#endif
