/* SPDX-License-Identifier: MIT */
/* A decoder: a transformer's weights in a layout for reading a few tokens at a time, with a cache
 * of keys and values. The rows of a step are independent to the last bit: every number is summed in
 * the same order for any number of rows and threads.
 *
 * The cache consists of prompts, which several responses may continue, and slots, one per response.
 *
 * Threads: one at a time per decoder. A step uses all threads itself. Creating and releasing share
 * one kept memory, so they too are called by one thread at a time. */
#ifndef RG_CORE_MODELS_TRANSFORMER_DECODER_H
#define RG_CORE_MODELS_TRANSFORMER_DECODER_H

#include "core/models/transformer.h"

typedef struct RgTransformerDecoder RgTransformerDecoder;

typedef struct RgDecoderRoom {
    int64_t prompts, prompt_length; /* prompts at a time, and the longest */
    int64_t slots, response_length; /* responses at a time, and the longest */
    int64_t rows;                   /* maximum rows of a step */
} RgDecoderRoom;

/* The capacity needed for sampling `sequences` sequences. */
RgDecoderRoom rg_transformer_sampling_room(const RgTransformerOptions *options, int64_t sequences,
                                           int64_t longest_prompt, int64_t response_limit);

/* A token to read. */
typedef struct RgDecoderRow {
    int32_t token;
    int64_t position; /* in the sequence of prompt and response */
    int64_t prompt;   /* the prompt that contains it, or that its response continues */
    int64_t slot;     /* −1: the token belongs to the prompt itself */
    int64_t prompt_length;
    bool wanted; /* whether its hidden state is requested */
} RgDecoderRow;

/* Whether the layers' weights are few enough for every core to read all of them from its cache. */
bool rg_transformer_decoder_is_small(const RgTransformerOptions *options);

/* Copies the current weights of a transformer policy, which must outlive the decoder. Reuses the
 * memory of the last released decoder if it has the same shape and is large enough. */
RgTransformerDecoder *rg_transformer_decoder_create(const RgPolicy *policy, RgDecoderRoom room);
void rg_transformer_decoder_release(RgTransformerDecoder *decoder); /* NULL frees the kept memory */

/* Reads `count` tokens. Tokens of one prompt are consecutive and in order. The tokens before a
 * token in its sequence have been read already or come before it in `rows`. `hidden` [wanted,
 * width] receives the hidden states after the last norm of the wanted rows. */
void rg_transformer_decoder_read(RgTransformerDecoder *decoder, const RgDecoderRow *rows,
                                 int64_t count, RgReal *hidden);

/* Logits of hidden states [count, width]: row i at logits[i · stride]. */
void rg_transformer_decoder_logits(RgTransformerDecoder *decoder, const RgReal *hidden,
                                   int64_t count, RgReal *logits);
int64_t rg_transformer_decoder_stride(const RgTransformerDecoder *decoder); /* ≥ vocabulary */

double rg_transformer_decoder_flops(const RgTransformerDecoder *decoder); /* spent so far */

#endif
