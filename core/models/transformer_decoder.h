/* SPDX-License-Identifier: MIT */
/* A decoder: a transformer's weights laid out for reading a few tokens at a time, with a cache of
 * keys and values. Rows of a step are independent of one another to the last bit: each number is
 * summed in the same order however many rows there are and whatever threads compute them.
 *
 * The cache has prompts, which many responses may continue, and slots, each for one response. */
#ifndef RG_CORE_MODELS_TRANSFORMER_DECODER_H
#define RG_CORE_MODELS_TRANSFORMER_DECODER_H

#include "core/models/transformer.h"

typedef struct RgTransformerDecoder RgTransformerDecoder;

typedef struct RgDecoderRoom {
    int64_t prompts, prompt_length; /* prompts at a time, and the longest of them */
    int64_t slots, response_length; /* responses at a time, and the longest of them */
    int64_t rows;                   /* most rows of a step */
} RgDecoderRoom;

/* The room that sampling so many sequences takes. */
RgDecoderRoom rg_transformer_sampling_room(const RgTransformerOptions *options, int64_t sequences,
                                           int64_t longest_prompt, int64_t response_limit);

/* One token to read. */
typedef struct RgDecoderRow {
    int32_t token;
    int64_t position; /* in prompt and response together */
    int64_t prompt;   /* whose it is, or that it continues */
    int64_t slot;     /* −1: the token is of the prompt itself */
    int64_t prompt_length;
    bool wanted; /* whether its hidden state is asked for */
} RgDecoderRow;

/* Whether the layers' weights are few enough for every core to read all of them from its cache. */
bool rg_transformer_decoder_is_small(const RgTransformerOptions *options);

/* Copies the weights of a transformer policy as they are now; the policy must outlive it. The
 * memory of the decoder that was released last is used again where it is large enough and of the
 * same shape. */
RgTransformerDecoder *rg_transformer_decoder_create(const RgPolicy *policy, RgDecoderRoom room);
void rg_transformer_decoder_release(RgTransformerDecoder *decoder); /* NULL frees what is kept */

/* Read `count` tokens. Those of one prompt stand next to each other and in order; what comes before
 * a token in its sequence has been read, or stands before it. Hidden states [wanted, width] after
 * the last norm, of the rows that are wanted, go to `hidden`. */
void rg_transformer_decoder_read(RgTransformerDecoder *decoder, const RgDecoderRow *rows,
                                 int64_t count, RgReal *hidden);

/* Logits of hidden states [count, width]: row i at logits[i · stride]. */
void rg_transformer_decoder_logits(RgTransformerDecoder *decoder, const RgReal *hidden,
                                   int64_t count, RgReal *logits);
int64_t rg_transformer_decoder_stride(const RgTransformerDecoder *decoder); /* ≥ vocabulary */

double rg_transformer_decoder_flops(const RgTransformerDecoder *decoder); /* spent so far */

#endif
