/* SPDX-License-Identifier: MIT */
/* A transformer's options for tests, with all that GPT-2 does in another way than Llama. */
#ifndef RG_TESTS_LIKE_GPT2_H
#define RG_TESTS_LIKE_GPT2_H

#include "core/models/transformer.h"

/* The same but for positions, norms, feed-forward and biases. */
static inline RgTransformerOptions like_gpt2(RgTransformerOptions options) {
    options.positions = RG_POSITIONS_LEARNED;
    options.norm = RG_NORM_LAYER;
    options.feed_forward = RG_FEED_FORWARD_GELU;
    options.biases = RG_BIASES_ALL;
    return options;
}

#endif
