/* SPDX-License-Identifier: MIT */
/* Checkpoints in Hugging Face's layout: a folder with config.json and model.safetensors, or
 * model.safetensors.index.json and the files that it names.
 *
 * Architectures: LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Phi3ForCausalLM,
 * GPT2LMHeadModel. What a config asks for and the transformer policy does not have (a scaled rotary
 * embedding, another activation) is refused by name, never ignored. */
#ifndef RG_CORE_MODELS_HUGGING_FACE_H
#define RG_CORE_MODELS_HUGGING_FACE_H

#include "core/policy/policy.h"

/* The policy of a folder; weights of any floating-point type. On error NULL is left in *policy:
 * RG_E_FILE, RG_E_FORMAT or RG_E_RANGE with the file and the key or tensor to blame. Freed by
 * rg_policy_destroy. */
RgStatus rg_hugging_face_load(const char *folder, RgPolicy **policy, RgError *error);

/* Write a transformer policy into a folder, which is made if need be: config.json and
 * model.safetensors (F32) as LlamaForCausalLM, Qwen2ForCausalLM or GPT2LMHeadModel, whichever the
 * policy's options are. RG_E_USAGE where they are none of these. */
RgStatus rg_hugging_face_save(const RgPolicy *policy, const char *folder, RgError *error);

#endif
