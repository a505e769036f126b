/* SPDX-License-Identifier: MIT */
/* A positional bigram policy over tokens: each token depends on its position and on the token
 * before it. With V token ids and sentences of L tokens after a first token that stands for the
 * start,
 *
 *     π(w_1 … w_L) = Π_t softmax(logits[row(t, w_{t−1})])[w_t],
 *     row(1, ·) = 0,   row(t, w) = 1 + (t − 2)·V + w
 *
 * The logits [1 + (L − 1)·V, V] are the parameters. They start at the reference rows of the
 * environment (RgPolicySpace.bigram), or at zero. Threads: policy.h. */
#ifndef RG_CORE_MODELS_BIGRAM_H
#define RG_CORE_MODELS_BIGRAM_H

#include "core/policy/policy.h"

extern const RgPolicyType rg_policy_bigram;

#endif
