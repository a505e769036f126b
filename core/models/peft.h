/* SPDX-License-Identifier: MIT */
/* Low-rank adapters of transformers in the layout of PEFT (Hugging Face): a folder with
 * adapter_config.json and adapter_model.safetensors. A module with the matrix W [out, in] has
 *
 *     base_model.model.MODULE.lora_A.weight   A [r, in]
 *     base_model.model.MODULE.lora_B.weight   B [out, r]
 *
 * and computes with W + (lora_alpha / r)·B·A (Hu et al. 2021, arXiv:2106.09685). */
#ifndef RG_CORE_MODELS_PEFT_H
#define RG_CORE_MODELS_PEFT_H

#include "core/policy/policy.h"

/* Writes a transformer's adapter into a folder, which is created if necessary.
 *
 * base  folder of the model that is adapted: adapter_config.json names it, and modules are called
 *       as in its architecture. NULL: no name, and the architecture that rg_hugging_face_save
 *       writes.
 *
 * A module that contains several adapted matrices, such as qkv_proj, gets their matrices A one
 * below the other, and B with zeros between. All modules then get the rank of the largest, with
 * zeros, and the same update. RG_E_USAGE without an adapter, or if `base` is another model. */
RgStatus rg_peft_save(const RgPolicy *policy, const char *base, const char *folder, RgError *error);

/* Fills the adapter of a policy, which has been created by rg_policy_adapt, from a folder. Rank,
 * alpha and targets of both have to agree. `base` is the path of the weights that are adapted, or
 * NULL: a notice is given if adapter_config.json names another model. RG_E_FILE, RG_E_FORMAT or
 * RG_E_USAGE, naming the file and the key or tensor: also for anything that would compute another
 * update (DoRA, rank-stabilised scaling, trained biases, further trained modules, other kinds of
 * adapter). */
RgStatus rg_peft_load(RgPolicy *policy, const char *base, const char *folder, RgError *error);

#endif
