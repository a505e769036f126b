/* SPDX-License-Identifier: MIT */
/* What a transformer's full pass (transformer.c), its decoder (transformer_decoder.c) and its
 * sampling (transformer_sample.c) share: its state and the location of its weights. Private to
 * them. */
#ifndef RG_CORE_MODELS_TRANSFORMER_INTERNAL_H
#define RG_CORE_MODELS_TRANSFORMER_INTERNAL_H

#include "core/models/transformer.h"
#include "core/tensor/kernels.h"

typedef struct RgTransformer {
    RgTransformerOptions options; /* zeros resolved */
    int64_t vocabulary;
    RgReal *angles;      /* what `rope` points to; owned */
    RgRopeTable rope[2]; /* of layers without a window, and with it */
} RgTransformer;

static inline int64_t rg_transformer_head_size(const RgTransformerOptions *o) {
    return o->head_size ? o->head_size : o->width / o->heads;
}

/* Numbers of all heads of a token's query. */
static inline int64_t rg_transformer_query_width(const RgTransformerOptions *o) {
    return rg_transformer_head_size(o) * o->heads;
}

static inline bool rg_transformer_is_gated(const RgTransformerOptions *o) {
    return o->feed_forward == RG_FEED_FORWARD_SWIGLU || o->feed_forward == RG_FEED_FORWARD_GEGLU;
}

/* The window of a layer's attention; 0: none. */
static inline int64_t rg_transformer_window(const RgTransformerOptions *o, int64_t layer) {
    bool full = layer < o->window_first || (o->full_every && (layer + 1) % o->full_every == 0);
    return full ? 0 : o->window;
}

static inline const RgRopeTable *rg_transformer_rope(const RgTransformer *model, int64_t layer) {
    return &model->rope[rg_transformer_window(&model->options, layer) > 0];
}

/* Fills `angles` and `rope`. */
void rg_transformer_make_ropes(RgTransformer *model);

/* Views of the parameters: the embedding; the position embedding, if any; these for each layer; the
 * last norm and its bias, if any; the head, unless it is tied. */
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
    QUERY_NORM,
    KEY_NORM,
    ATTENTION_OUTPUT_NORM,
    FEED_FORWARD_OUTPUT_NORM,
    LAYER_WEIGHTS,
};
enum { EMBEDDING = 0, POSITION_EMBEDDING = 1 };

extern const RgOption rg_transformer_option_table[];

/* Resolves zeros and checks the dimensions. */
RgStatus rg_transformer_dimensions(const RgTransformerOptions *given, int64_t vocabulary,
                                   RgTransformerOptions *options, RgError *error);

/* Options and vocabulary as text, in files of this program, and back. Variants that a description
 * does not name are none. */
char *rg_transformer_describe(const RgPolicy *policy);
RgStatus rg_transformer_read_description(const char *description, RgTransformerOptions *options,
                                         int64_t *vocabulary, RgError *error);

/* −1 if the options have no such weight. */
int rg_transformer_view(const RgTransformerOptions *o, int64_t layer, enum LayerWeight weight);
int rg_transformer_last_norm_view(const RgTransformerOptions *o); /* followed by its bias */
int rg_transformer_head_view(const RgTransformerOptions *o);

/* The view of A in an adapter, followed by B; −1 if the matrix is not adapted. */
int rg_transformer_adapter_view(const RgAdapter *adapter, int64_t layer, enum LayerWeight weight);
/* matrix [out, in] += alpha / rank · B·A, if it is adapted. */
void rg_transformer_add_adapter(const RgPolicy *policy, int64_t layer, enum LayerWeight weight,
                                RgReal *matrix);
/* Reads names of matrices, separated by commas, into adapter->targets. */
RgStatus rg_transformer_targets(const RgTransformerOptions *o, const char *names,
                                RgAdapter *adapter, RgError *error);
/* RgPolicyType.adapt and .merge */
RgStatus rg_transformer_adapt(RgPolicy *policy, const char *targets, RgRandom random,
                              RgError *error);
bool rg_transformer_merge(const RgPolicy *policy, int view, RgReal *weights);

/* RgPolicyType.sample */
double rg_transformer_sample(RgPolicy *policy, const RgSequences *prompts,
                             const RgSampling *sampling, RgRandom random, int32_t *tokens,
                             int64_t *length, double *logprob);

#endif
