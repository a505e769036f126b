/* SPDX-License-Identifier: MIT */
/* A decoder in memory, between the file that lays it out and the one that reads tokens with it. */
#ifndef RG_CORE_MODELS_TRANSFORMER_DECODER_INTERNAL_H
#define RG_CORE_MODELS_TRANSFORMER_DECODER_INTERNAL_H

#include "core/models/transformer_decoder.h"
#include "core/models/transformer_internal.h"
#include "core/tensor/cache_attention.h"
#include "core/tensor/panels.h"

typedef struct RgDecoderLayer {
    RgPanels query_key_value, output, up, down; /* `up`: gate and up, where there is a gate */
    RgCache prompts, slots;
} RgDecoderLayer;

/* Room for the rows of a step, one after another. */
typedef struct RgDecoderWork {
    RgReal *x;      /* [rows, stride of output], the residual stream */
    RgReal *normed; /* [rows, width] */
    RgReal *qkv;    /* [rows, stride of query_key_value] */
    RgReal *mixed;  /* [rows, width], what attention gives */
    RgReal *up;     /* [rows, stride of up] */
    RgReal *hidden; /* [rows, hidden] */
    RgReal *scale;  /* [rows, 2], what norms leave */
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
    bool small; /* threads share rows, not weights */
    int threads;
    RgTransformerOptions options; /* the model's, which may be gone when the memory is used again */
    double flops;
};

/* A layer's weights as the parameters have them; NULL where there are none of the kind. */
const RgReal *rg_decoder_weight(const RgTransformerDecoder *d, int64_t layer,
                                enum LayerWeight weight);

#endif
