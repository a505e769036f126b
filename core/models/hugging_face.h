/* SPDX-License-Identifier: MIT */
/* Checkpoints in Hugging Face's layout: a folder with config.json and either model.safetensors or
 * model.safetensors.index.json with the files it names.
 *
 * Architectures: LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM,
 * Phi3ForCausalLM, GPT2LMHeadModel, GPTNeoXForCausalLM, Gemma2ForCausalLM, Gemma3ForCausalLM. A
 * feature of a config that the transformer policy does not support (experts, quantized weights) is
 * refused by name. Of a key or tensor that is not known a notice is given. */
#ifndef RG_CORE_MODELS_HUGGING_FACE_H
#define RG_CORE_MODELS_HUGGING_FACE_H

#include "core/models/generation_config.h"
#include "core/models/sequence_classifier.h"

/* Loads the policy of a folder, with weights of any floating-point type. Errors: RG_E_FILE,
 * RG_E_FORMAT or RG_E_RANGE, naming the file and the key or tensor; *policy is then NULL. Free it
 * with rg_policy_destroy. */
RgStatus rg_hugging_face_load(const char *folder, RgPolicy **policy, RgError *error);

/* Loads …ForSequenceClassification of these architectures, with one label. Errors as above; RG_E_USAGE
 * if the folder has another kind of model. Release it with rg_sequence_classifier_release, also after
 * an error. */
RgStatus rg_hugging_face_load_classifier(const char *folder, RgSequenceClassifier *classifier,
                                         RgError *error);

/* Writes a transformer policy into a folder, which is created if necessary: config.json and
 * model.safetensors (F32). The architecture is the first of those above that has the policy's
 * options. RG_E_USAGE if none of them has. */
RgStatus rg_hugging_face_save(const RgPolicy *policy, const char *folder, RgError *error);
/* The same with the tokens that begin and end a text, in config.json and generation_config.json. */
RgStatus rg_hugging_face_save_with(const RgPolicy *policy, const RgModelEnds *ends,
                                   const char *folder, RgError *error);

#endif
