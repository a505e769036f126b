/* SPDX-License-Identifier: MIT */
/* What a transformer's full pass (transformer.c), its decoder (transformer_decoder.c) and its
 * sampling (transformer_sample.c) share: its state, and where its weights are. Private to those. */
#ifndef RG_CORE_MODELS_TRANSFORMER_INTERNAL_H
#define RG_CORE_MODELS_TRANSFORMER_INTERNAL_H

#include "core/models/transformer.h"
#include "core/tensor/kernels.h"

typedef struct RgTransformer {
    RgTransformerOptions options; /* zeros resolved */
    int64_t vocabulary;
    RgReal *angles; /* what `rope` points into; owned */
    RgRopeTable rope;
} RgTransformer;

/* Views of the parameters: the embedding, that of positions if there is one, so many per layer, the
 * last norm and its bias if it has one, the head if it is not tied. */
enum LayerWeight {
    INPUT_NORM,
    INPUT_NORM_BIAS,
    QUERY,
    KEY,
    VALUE,
    QUERY_BIAS,
    KEY_BIAS,
    VALUE_BIAS,
    OUTPUT,
    OUTPUT_BIAS,
    POST_NORM,
    POST_NORM_BIAS,
    GATE,
    UP,
    DOWN,
    GATE_BIAS,
    UP_BIAS,
    DOWN_BIAS,
    LAYER_WEIGHTS,
};
enum { EMBEDDING = 0, POSITION_EMBEDDING = 1 };

/* Resolve zeros and check. */
RgStatus rg_transformer_dimensions(const RgTransformerOptions *given, int64_t vocabulary,
                                   RgTransformerOptions *options, RgError *error);

/* −1 where the options have no such weight. */
int rg_transformer_view(const RgTransformerOptions *o, int64_t layer, enum LayerWeight weight);
int rg_transformer_last_norm_view(const RgTransformerOptions *o); /* its bias is the next */
int rg_transformer_head_view(const RgTransformerOptions *o);

/* The view of A in an adapter, whose next is B; −1 where the matrix is not adapted. */
int rg_transformer_adapter_view(const RgAdapter *adapter, int64_t layer, enum LayerWeight weight);
/* matrix [out, in] += alpha / rank · B·A, if it is adapted. */
void rg_transformer_add_adapter(const RgPolicy *policy, int64_t layer, enum LayerWeight weight,
                                RgReal *matrix);
/* Read names of matrices, separated by commas, into adapter->targets. */
RgStatus rg_transformer_targets(const RgTransformerOptions *o, const char *names,
                                RgAdapter *adapter, RgError *error);
/* RgPolicyType.adapt and .merge */
RgStatus rg_transformer_adapt(RgPolicy *policy, const char *targets, RgRandom random,
                              RgError *error);
void rg_transformer_merge(const RgPolicy *policy, RgParameters *weights);

/* RgPolicyType.sample */
double rg_transformer_sample(RgPolicy *policy, const RgSequences *prompts,
                             const RgSampling *sampling, RgRandom random, int32_t *tokens,
                             int64_t *length, double *logprob);

#endif
