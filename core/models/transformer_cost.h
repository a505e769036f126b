/* SPDX-License-Identifier: MIT */
/* What passes over a transformer and sampling from it will take, in bytes and operations, by closed
 * forms of what the operators allocate and count: nothing is allocated or run here. Tests hold them
 * against what runs. */
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

/* Sequences of a pass, as long as they may be: so many prompts, `copies` responses to each. */
typedef struct RgPassLoad {
    int64_t prompts, copies;
    int64_t prompt_length, response_length; /* tokens */
} RgPassLoad;

typedef struct RgPassCost {
    double kept; /* bytes that forward leaves for backward */
    double peak; /* bytes on the tape at most, backward included where it is asked for */
    double flops;
    bool in_shards; /* see core/policy/data_parallel.h: memory of other tapes, which stays theirs */
} RgPassCost;

/* Check dimensions and resolve zeros. Errors as those of creating the policy. */
RgStatus rg_transformer_cost(const RgTransformerOptions *options, int64_t vocabulary,
                             const RgAdapterOptions *adapter, RgTransformerCost *plan,
                             RgError *error);
int64_t rg_transformer_cost_weights(const RgTransformerCost *plan); /* numbers, the adapter's not */
int64_t rg_transformer_cost_matrices(const RgTransformerCost *plan); /* of these, in matrices */
int64_t rg_transformer_cost_trained(const RgTransformerCost *plan);  /* numbers */

/* Log-probabilities with their gradient, and without; and their sum with its gradient, as
 * rg_policy_log_likelihood makes it. */
RgPassCost rg_transformer_training_cost(const RgTransformerCost *plan, const RgPassLoad *load);
RgPassCost rg_transformer_values_cost(const RgTransformerCost *plan, const RgPassLoad *load);
RgPassCost rg_transformer_likelihood_cost(const RgTransformerCost *plan, const RgPassLoad *load);

/* Operations of hidden states alone, nothing recorded: those that predict the response's tokens, as
 * rg_policy_state_values asks for, or, with the whole responses read, their mean, as
 * rg_policy_features does. */
double rg_transformer_states_flops(const RgTransformerCost *plan, const RgPassLoad *load,
                                   bool whole);

/* Operations of log-probabilities with their gradient on a tape of second order, whose operators
 * are expanded, and of a product with the Hessian there. */
typedef struct RgCurvatureCost {
    double linearised, product;
} RgCurvatureCost;
RgCurvatureCost rg_transformer_curvature_cost(const RgTransformerCost *plan,
                                              const RgPassLoad *load);

/* Bytes that products keep for copies of their operands: rounded to bf16, where training is in
 * bf16, or widened from it, where frozen weights are stored so. */
double rg_transformer_copies_bytes(const RgTransformerCost *plan, const RgPassLoad *load);

/* Sampling: bytes of the decoder, with all its cache filled, and operations. */
double rg_transformer_sampling_bytes(const RgTransformerCost *plan, const RgPassLoad *load);
double rg_transformer_sampling_flops(const RgTransformerCost *plan, const RgPassLoad *load);

#endif
