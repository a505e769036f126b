/* SPDX-License-Identifier: MIT */
/* Cost estimates for a transformer: the bytes and operations of its passes and of sampling, by
 * closed forms of what the operators allocate and count. Nothing is allocated or run here. Tests
 * compare the estimates with real runs.
 *
 * Threads: any. */
#ifndef RG_CORE_MODELS_TRANSFORMER_COST_H
#define RG_CORE_MODELS_TRANSFORMER_COST_H

#include "core/models/transformer.h"

typedef struct RgTransformerCost {
    RgTransformerOptions options; /* zeros resolved */
    int64_t vocabulary;
    RgAdapter adapter; /* rank 0: all weights are trained */
    bool recompute;
    RgPrecision precision; /* of training */
    RgPrecision storage;   /* of frozen weights */
    RgPrecision sampling;
} RgTransformerCost;

/* The sequences of a pass, all of maximum length: `prompts` prompts with `copies` responses
 * each. */
typedef struct RgPassLoad {
    int64_t prompts, copies;
    int64_t prompt_length, response_length; /* tokens */
} RgPassLoad;

typedef struct RgPassCost {
    double kept; /* bytes that forward stores for backward */
    double peak; /* peak bytes on the tape, including backward if requested */
    double flops;
    bool in_shards; /* data-parallel (core/policy/data_parallel.h): the slices' tapes keep their
                     * memory */
} RgPassCost;

/* Checks dimensions and resolves zeros. Errors as those of creating the policy. */
RgStatus rg_transformer_cost(const RgTransformerOptions *options, int64_t vocabulary,
                             const RgAdapterOptions *adapter, RgTransformerCost *plan,
                             RgError *error);
int64_t rg_transformer_cost_weights(const RgTransformerCost *plan);  /* numbers, without the
                                                                     * adapter's */
int64_t rg_transformer_cost_matrices(const RgTransformerCost *plan); /* those of them in matrices */
int64_t rg_transformer_cost_trained(const RgTransformerCost *plan);  /* numbers */

/* Log-probabilities with their gradient, log-probabilities without it, and the gradient of their
 * sum as in rg_policy_log_likelihood. */
RgPassCost rg_transformer_training_cost(const RgTransformerCost *plan, const RgPassLoad *load);
RgPassCost rg_transformer_values_cost(const RgTransformerCost *plan, const RgPassLoad *load);
RgPassCost rg_transformer_likelihood_cost(const RgTransformerCost *plan, const RgPassLoad *load);

/* Operations of hidden states alone, not recorded: the states that predict the response's tokens
 * (rg_policy_state_values) or, if `whole`, those of the whole responses with their mean
 * (rg_policy_features). */
double rg_transformer_states_flops(const RgTransformerCost *plan, const RgPassLoad *load,
                                   bool whole);

/* Operations of log-probabilities with their gradient on a second-order tape, where operators are
 * expanded, and of one Hessian-vector product there. */
typedef struct RgCurvatureCost {
    double linearised, product;
} RgCurvatureCost;
RgCurvatureCost rg_transformer_curvature_cost(const RgTransformerCost *plan,
                                              const RgPassLoad *load);

/* Bytes that matrix products keep for copies of their operands: rounded to bf16 if training is in
 * bf16, or converted from bf16 if frozen weights are stored in it. */
double rg_transformer_copies_bytes(const RgTransformerCost *plan, const RgPassLoad *load);

/* Sampling: bytes of the decoder with a full cache, and operations. */
double rg_transformer_sampling_bytes(const RgTransformerCost *plan, const RgPassLoad *load);
double rg_transformer_sampling_flops(const RgTransformerCost *plan, const RgPassLoad *load);

#endif
