/* SPDX-License-Identifier: MIT */
/* Checkpoints in Hugging Face's layout: a folder with config.json and either model.safetensors or
 * model.safetensors.index.json with the files it names.
 *
 * Architectures: LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Phi3ForCausalLM,
 * GPT2LMHeadModel. A feature of a config that the transformer policy does not support (a scaled
 * rotary embedding, another activation) is refused by name, never ignored. */
#ifndef RG_CORE_MODELS_HUGGING_FACE_H
#define RG_CORE_MODELS_HUGGING_FACE_H

#include "core/policy/policy.h"

/* Loads the policy of a folder, with weights of any floating-point type. Errors: RG_E_FILE,
 * RG_E_FORMAT or RG_E_RANGE, naming the file and the key or tensor; *policy is then NULL. Free it
 * with rg_policy_destroy. */
RgStatus rg_hugging_face_load(const char *folder, RgPolicy **policy, RgError *error);

/* Writes a transformer policy into a folder, which is created if necessary: config.json and
 * model.safetensors (F32). The architecture is LlamaForCausalLM, Qwen2ForCausalLM or
 * GPT2LMHeadModel, as the policy's options require. RG_E_USAGE if none of them fits. */
RgStatus rg_hugging_face_save(const RgPolicy *policy, const char *folder, RgError *error);

#endif
