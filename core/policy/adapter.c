/* SPDX-License-Identifier: MIT */
/* What the adapters of all kinds of policy share: options, adapting and merging. The kind defines
 * the matrices that can be adapted and uses them in its passes. */
#include "core/policy/adapter.h"

#include "core/policy/policy.h"

#include <stdlib.h>

static const char *const adapter_files[] = {"adapter_config.json", "adapter_model.safetensors",
                                            NULL};

const RgOption rg_adapter_options[] = {
    RG_OPTION_INTEGER(
        RgAdapterOptions, rank, "0", 0, 65536,
        "rank of the trained update of each target; 0: no adapter, all weights are trained"),
    RG_OPTION_REAL(RgAdapterOptions, alpha, "16", 0, 1e6,
                   "the update is scaled by alpha / rank (the paper's α)"),
    RG_OPTION_REAL(RgAdapterOptions, dropout, "0", 0, 0.99,
                   "dropout: fraction of a target's input that its update does not see, resampled "
                   "at each training step"),
    RG_OPTION_STRING(RgAdapterOptions, targets, "query, value",
                     "matrices of each layer that are adapted, among query, key, value, output, "
                     "gate, up and down; or \"all\""),
    RG_OPTION_FOLDER(RgAdapterOptions, weights, "", adapter_files,
                     "folder of an adapter to continue, in the layout of PEFT "
                     "(adapter_config.json, adapter_model.safetensors), whose r, lora_alpha and "
                     "target modules agree with rank, alpha and targets; the reference is the "
                     "policy with this adapter; \"\": a new adapter",
                     .later = true),
    RG_OPTION_END,
};

RgStatus rg_policy_adapt(RgPolicy *original, const RgAdapterOptions *options, RgRandom random,
                         RgPolicy **policy, RgError *error) {
    RG_ASSERT(!original->base && options->rank > 0);
    *policy = NULL;
    if (!original->type->adapt)
        return rg_fail(error, RG_E_USAGE, "policy.adapter: a %s policy does not support adapters",
                       original->type->about.name);
    rg_parameters_freeze(original->parameters);
    RgPolicy *new = rg_allocate(1, sizeof *new);
    new->type = original->type;
    new->state = original->state;
    new->tapes = original->tapes;
    new->shares_state = true;
    new->precision = original->precision;
    new->sampling = original->sampling;
    new->parameters = rg_parameters_create();
    new->base = original->parameters;
    new->adapter = (RgAdapter){.rank = options->rank,
                               .scale = options->alpha / (double)options->rank,
                               .dropout = options->dropout};
    RgStatus status = original->type->adapt(new, options->targets, random, error);
    if (status != RG_OK) {
        rg_policy_destroy(new);
        return status;
    }
    *policy = new;
    return RG_OK;
}

RgPolicy *rg_policy_merged(const RgPolicy *policy) {
    RgPolicy *merged = rg_allocate(1, sizeof *merged);
    merged->type = policy->type;
    merged->state = policy->state;
    merged->tapes = policy->tapes;
    merged->shares_state = true;
    merged->precision = policy->precision;
    merged->sampling = policy->sampling;
    merged->parameters = rg_parameters_clone(rg_policy_weights(policy), true);
    for (int i = 0; policy->base && i < merged->parameters->view_count; i++)
        policy->type->merge(policy, i,
                            merged->parameters->value + merged->parameters->views[i].offset);
    return merged;
}

void rg_policy_merged_view(const RgPolicy *policy, int view, RgReal *out) {
    rg_parameters_read(rg_policy_weights(policy), view, out);
    if (policy->base)
        policy->type->merge(policy, view, out);
}
