/* SPDX-License-Identifier: MIT */
/* Checkpoints of llama2.c (github.com/karpathy/llama2.c), version 0: seven int32 of dimensions,
 * then float32 weights. Read only. */
#ifndef RG_CORE_MODELS_LLAMA2C_H
#define RG_CORE_MODELS_LLAMA2C_H

#include "core/policy/policy.h"

/* The checkpoint as a transformer policy. RG_E_FORMAT, with NULL left in *policy, when the file is
 * truncated, longer than its dimensions ask for, or turned by another rotary base than 10000. */
RgStatus rg_llama2c_load(const char *path, RgPolicy **policy, RgError *error);

#endif
