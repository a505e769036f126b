/* SPDX-License-Identifier: MIT */
/* Low-rank adapters (LoRA; Hu et al. 2021, arXiv:2106.09685). A matrix W of a policy stays fixed,
 * and the product of two thin matrices, which is added to it, is trained:
 *
 *     y = x·Wᵀ + bias + (alpha / rank) · dropout(x)·Aᵀ·Bᵀ       A [rank, in], B [out, rank]
 *
 * A is initialised as in the authors' code (uniform within ±1/√in), and B is zero, so an adapted
 * policy starts equal to the original one. policy.h describes how to adapt a policy. */
#ifndef RG_CORE_POLICY_ADAPTER_H
#define RG_CORE_POLICY_ADAPTER_H

#include "core/options.h"

typedef struct RgAdapterOptions {
    int64_t rank; /* 0: no adapter */
    double alpha;
    double dropout;      /* probability of dropping an element of x, in training only */
    const char *targets; /* names of matrices, separated by commas, or "all" */
    const char *weights; /* folder with the initial values, in the layout of PEFT; "": none */
} RgAdapterOptions;
extern const RgOption rg_adapter_options[];

/* The adapter of a policy. */
typedef struct RgAdapter {
    int64_t rank; /* 0: no adapter */
    double scale; /* alpha / rank */
    double dropout;
    uint32_t targets; /* one bit for each adapted matrix; the kind defines their meaning */
} RgAdapter;

#endif
