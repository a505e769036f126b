/* SPDX-License-Identifier: MIT */
/* Low-rank adapters (LoRA; Hu et al. 2021, arXiv:2106.09685): a matrix W of a policy stays as it
 * is, and what is trained is a product of two thin ones beside it,
 *
 *     y = x·Wᵀ + bias + (alpha / rank) · dropout(x)·Aᵀ·Bᵀ       A [rank, in], B [out, rank]
 *
 * A starts as in the authors' code (uniform within ±1/√in), B as zero, so that an adapter starts
 * as the policy that it is put on. Adapting policies is told in policy.h. */
#ifndef RG_CORE_POLICY_ADAPTER_H
#define RG_CORE_POLICY_ADAPTER_H

#include "core/options.h"

typedef struct RgAdapterOptions {
    int64_t rank; /* 0: no adapter */
    double alpha;
    double dropout;      /* share of x that is left out, in training only */
    const char *targets; /* names of matrices, separated by commas, or "all" */
} RgAdapterOptions;
extern const RgOption rg_adapter_options[];

/* The adapter that a policy has. */
typedef struct RgAdapter {
    int64_t rank; /* 0: none */
    double scale; /* alpha / rank */
    double dropout;
    uint32_t targets; /* a bit for each matrix that is adapted; which is which, the kind knows */
} RgAdapter;

#endif
