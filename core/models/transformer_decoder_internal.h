/* SPDX-License-Identifier: MIT */
/* The memory layout of a decoder. Included by transformer_decoder_memory.c, which allocates it, and
 * transformer_decoder.c, which reads tokens with it. */
#ifndef RG_CORE_MODELS_TRANSFORMER_DECODER_INTERNAL_H
#define RG_CORE_MODELS_TRANSFORMER_DECODER_INTERNAL_H

#include "core/models/transformer_decoder.h"
#include "core/models/transformer_internal.h"
#include "core/tensor/cache_attention.h"
#include "core/tensor/panels.h"

typedef struct RgDecoderLayer {
    RgPanels query_key_value, output, up, down; /* `up`: gate and up, if there is a gate */
    RgCache prompts, slots;
} RgDecoderLayer;

/* Scratch memory for the rows of a step. */
typedef struct RgDecoderWork {
    RgReal *x;      /* [rows, stride of output], the residual stream */
    RgReal *normed; /* [rows, width] */
    RgReal *qkv;    /* [rows, stride of query_key_value] */
    RgReal *mixed;  /* [rows, heads · size], the output of attention */
    RgReal *up;     /* [rows, stride of up] */
    RgReal *hidden; /* [rows, hidden] */
    RgReal *scale;  /* [rows, 2], scratch of the norms */
    RgReal *added;  /* [rows, stride of output], what a layer adds, if that is normed first */
    RgReal *score;  /* [threads, heads, scores of a row] */
} RgDecoderWork;

struct RgTransformerDecoder {
    const RgTransformer *model;
    const RgPolicy *policy;
    const RgParameters *parameters; /* without the adapter, which is merged into the panels */
    RgDecoderRoom room;
    RgPrecision precision; /* of panels and caches */
    RgDecoderLayer *layers;
    RgPanels head;
    RgDecoderWork work;
    RgCacheHeads heads;
    bool small; /* the threads share rows, not weights */
    int threads;
    RgTransformerOptions options; /* a copy, as the policy may be gone when the memory is reused */
    double flops;
};

/* A weight of a layer in the parameters; NULL if there is none of this kind. */
const RgReal *rg_decoder_weight(const RgTransformerDecoder *d, int64_t layer,
                                enum LayerWeight weight);

#endif
