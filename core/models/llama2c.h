/* SPDX-License-Identifier: MIT */
/* Checkpoints of llama2.c (github.com/karpathy/llama2.c), version 0: seven int32 dimensions, then
 * float32 weights. Read only. */
#ifndef RG_CORE_MODELS_LLAMA2C_H
#define RG_CORE_MODELS_LLAMA2C_H

#include "core/policy/policy.h"

/* Loads the checkpoint as a transformer policy. RG_E_FORMAT, with *policy NULL, if the file is
 * truncated, longer than its dimensions require, or uses a rotary base other than 10000. */
RgStatus rg_llama2c_load(const char *path, RgPolicy **policy, RgError *error);

#endif
