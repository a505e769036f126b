/* SPDX-License-Identifier: MIT */
/* Transformer policy of the Llama architecture (Touvron et al. 2023, arXiv:2302.13971): embedding;
 * layers of RMSNorm, grouped-query causal attention with rotary positions, and SwiGLU, with
 * residual connections; final RMSNorm; and an output head that may be tied to the embedding.
 * Options select the variants: biases of query, key and value (Qwen2), norms of queries and keys
 * (Qwen3), scaled rotary frequencies (Llama 3, YaRN), sliding windows (Mistral), a parallel residual
 * (GPT-NeoX), norms of a layer's outputs and capped scores and logits (Gemma); or LayerNorm, learned
 * positions, GELU and biases everywhere (GPT-2: Radford et al. 2019). Threads: policy.h.
 *
 * Weights are stored [out, in], y = x·Wᵀ, under Hugging Face's names for Llama, in this order
 * (those in parentheses only if the options require them):
 *
 *     model.embed_tokens.weight                                [vocabulary, width]
 *     (model.embed_positions.weight)                           [context, width]
 *     model.layers.N.input_layernorm.{weight, (bias)}          [width]
 *     model.layers.N.self_attn.{q,k,v}_proj.weight             [heads or kv_heads · size, width]
 *     (model.layers.N.self_attn.{q,k,v}_proj.bias)             [heads or kv_heads · size]
 *     model.layers.N.self_attn.o_proj.{weight, (bias)}         [width, heads · size], [width]
 *     model.layers.N.post_attention_layernorm.{weight, (bias)} [width]
 *     model.layers.N.mlp.{(gate),up}_proj.weight               [hidden, width]
 *     model.layers.N.mlp.down_proj.weight                      [width, hidden]
 *     (model.layers.N.mlp.{(gate),up,down}_proj.bias)          [hidden] or [width]
 *     (model.layers.N.self_attn.{q,k}_norm.weight)             [size]
 *     (model.layers.N.{attention,feed_forward}_output_norm.weight)  [width]
 *     model.norm.{weight, (bias)}                              [width]
 *     (lm_head.weight)                                         [vocabulary, width]
 *
 * where size = head_size, or width / heads. */
#ifndef RG_CORE_MODELS_TRANSFORMER_H
#define RG_CORE_MODELS_TRANSFORMER_H

#include "core/policy/policy.h"

/* Values of the choice options. */
enum { RG_POSITIONS_ROTARY, RG_POSITIONS_LEARNED };
enum { RG_NORM_RMS, RG_NORM_LAYER };
enum {
    RG_FEED_FORWARD_SWIGLU,
    RG_FEED_FORWARD_GELU,
    RG_FEED_FORWARD_GELU_EXACT,
    RG_FEED_FORWARD_GEGLU,
};
enum { RG_RESIDUAL_SEQUENTIAL, RG_RESIDUAL_PARALLEL };
enum { RG_ROPE_UNSCALED, RG_ROPE_LINEAR, RG_ROPE_LLAMA3, RG_ROPE_YARN };
enum { RG_BIASES_NONE, RG_BIASES_QUERY_KEY_VALUE, RG_BIASES_ALL };

typedef struct RgTransformerOptions {
    int64_t layers;
    int64_t width; /* of the residual stream; a multiple of heads, unless head_size is given */
    int64_t heads;
    int64_t kv_heads; /* divides heads; 0: as many as heads */
    int64_t hidden;   /* width of the feed-forward layer; 0: 8/3 width, up to a multiple of 16 */
    int64_t context;  /* longest sequence in tokens */
    bool tied;        /* the head shares the embedding's weights */
    double rope_base;
    int rope_pairing; /* an RgRopePairing: neighbours (llama2.c) or halves (Hugging Face) */
    double norm_epsilon;
    int positions, norm, feed_forward, biases;
    double initial_deviation; /* of normal initial weights */

    /* Variants; all zeros: none. */
    int64_t head_size; /* 0: width / heads */
    bool query_key_norm;
    int64_t rotary_size; /* rotated dimensions of a head, its first; 0: all */
    int rope_scaling;
    double rope_factor; /* 0: 1 */
    int64_t rope_original_context;
    double rope_low_rotations, rope_high_rotations, rope_amplitude;
    int64_t window;                   /* tokens that a token sees, itself included; 0: all */
    int64_t window_first, full_every; /* layers without the window: before window_first, and each
                                       * full_every-th */
    double window_rope_base;          /* of layers with the window, unscaled; 0: as all others */
    int residual;
    bool output_norms;
    double embedding_scale;                           /* 0: 1 */
    double attention_scale, attention_cap, logit_cap; /* 0: 1/sqrt(size), none, none */
} RgTransformerOptions;

extern const RgPolicyType rg_policy_transformer;

/* The largest supported layers, width, heads, kv_heads, hidden, context or vocabulary. */
int64_t rg_transformer_most(const char *size);

/* A transformer of the given dimensions with declared weights, for loaders. They compare the
 * weights with their files, allocate them (rg_policy_allocate) and fill them (policy->parameters,
 * by view name). RG_E_RANGE, with *policy NULL, if the dimensions are inconsistent. Free it with
 * rg_policy_destroy. */
RgStatus rg_transformer_declare(const RgTransformerOptions *options, int64_t vocabulary,
                                RgPolicy **policy, RgError *error);
/* The same, allocated: all weights are zero. */
RgStatus rg_transformer_create(const RgTransformerOptions *options, int64_t vocabulary,
                               RgPolicy **policy, RgError *error);

/* [sequences->count, width] the hidden state after the last norm at the last token of each
 * response, after the whole sequence has been read; zeros for an empty response. `parameters` are
 * used in place of the policy's own, as in RgPolicyType's `features`. */
RgTensor *rg_transformer_last_states(RgPolicy *policy, RgTape *tape, RgParameters *parameters,
                                     const RgSequences *sequences);

/* The dimensions of a transformer policy, with zeros resolved. */
const RgTransformerOptions *rg_transformer_options(const RgPolicy *policy);
int64_t rg_transformer_vocabulary(const RgPolicy *policy);
/* The targets of an adapter as its options name them, malloc'd: "query, value". */
char *rg_transformer_target_names(const RgAdapter *adapter);

#endif
