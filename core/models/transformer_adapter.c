/* SPDX-License-Identifier: MIT */
/* Adapters of a transformer: the adapted matrices, their views, and merging with the weights.
 * transformer.c contains their part of a pass. */
#include "core/models/transformer_internal.h"
#include "core/suggest.h"
#include "core/tensor/gemm_dispatch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum LayerWeight weight;
} targets[] = {{"query", QUERY}, {"key", KEY}, {"value", VALUE}, {"output", OUTPUT},
               {"gate", GATE},   {"up", UP},   {"down", DOWN}};
enum { TARGET_COUNT = sizeof targets / sizeof targets[0] };

static bool is_target(const RgAdapter *adapter, enum LayerWeight weight) {
    return adapter->targets >> weight & 1;
}

int rg_transformer_adapter_view(const RgAdapter *adapter, int64_t layer, enum LayerWeight weight) {
    if (!is_target(adapter, weight))
        return -1;
    int before = 0, all = 0;
    for (int w = 0; w < LAYER_WEIGHTS; w++) {
        all += is_target(adapter, (enum LayerWeight)w);
        before += w < (int)weight && is_target(adapter, (enum LayerWeight)w);
    }
    return 2 * ((int)layer * all + before);
}

/* ---- options ---- */

static RgStatus add_target(const RgTransformerOptions *o, const char *name, RgAdapter *adapter,
                           RgError *error) {
    const char *names[TARGET_COUNT + 2] = {"all"};
    bool all = strcmp(name, "all") == 0, found = all;
    for (int i = 0; i < TARGET_COUNT; i++) {
        bool named = strcmp(targets[i].name, name) == 0;
        bool there = rg_transformer_view(o, 0, targets[i].weight) >= 0;
        names[i + 1] = targets[i].name;
        if (named && !there)
            return rg_fail(error, RG_E_USAGE, "policy.adapter.targets: this transformer has no %s",
                           name);
        if ((all || named) && there)
            adapter->targets |= UINT32_C(1) << targets[i].weight;
        found = found || named;
    }
    return found
               ? RG_OK
               : rg_fail(error, RG_E_USAGE,
                         "policy.adapter.targets: \"%s\" is not one of query, key, value, output, "
                         "gate, up, down, all%s",
                         name, rg_suggest(name, names).text);
}

RgStatus rg_transformer_targets(const RgTransformerOptions *o, const char *text, RgAdapter *adapter,
                                RgError *error) {
    static const char between[] = ", ";
    char *copy = rg_string_copy(text), *rest = NULL;
    RgStatus status = RG_OK;
    for (char *name = strtok_r(copy, between, &rest); name && status == RG_OK;
         name = strtok_r(NULL, between, &rest))
        status = add_target(o, name, adapter, error);
    free(copy);
    if (status == RG_OK && adapter->targets == 0)
        return rg_fail(error, RG_E_USAGE, "policy.adapter.targets: expected at least one");
    return status;
}

char *rg_transformer_target_names(const RgAdapter *adapter) {
    char *names = rg_string_copy("");
    for (int i = 0; i < TARGET_COUNT; i++) {
        if (!is_target(adapter, targets[i].weight))
            continue;
        char *longer = rg_string_format("%s%s%s", names, *names ? ", " : "", targets[i].name);
        free(names);
        names = longer;
    }
    return names;
}

/* ---- life ---- */

/* "…q_proj.weight" of the weights becomes "…q_proj.lora_A" and "…q_proj.lora_B". */
static void declare(RgPolicy *policy, const RgParameterView *of, const char *suffix, int64_t out,
                    int64_t in) {
    char name[sizeof of->name];
    int stem = (int)(strrchr(of->name, '.') - of->name);
    snprintf(name, sizeof name, "%.*s.%s", stem, of->name, suffix);
    rg_parameters_declare(policy->parameters, name, 2, (const int64_t[]){out, in}, true);
}

RgStatus rg_transformer_adapt(RgPolicy *policy, const char *names, RgRandom random,
                              RgError *error) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    RgParameters *p = policy->parameters;
    RG_TRY(rg_transformer_targets(o, names, &policy->adapter, error));
    int64_t rank = policy->adapter.rank;
    for (int64_t layer = 0; layer < o->layers; layer++)
        for (int w = 0; w < LAYER_WEIGHTS; w++) {
            if (!is_target(&policy->adapter, (enum LayerWeight)w))
                continue;
            int view = rg_transformer_view(o, layer, (enum LayerWeight)w);
            const RgParameterView *of = &policy->base->views[view];
            declare(policy, of, "lora_A", rank, of->size[1]);
            declare(policy, of, "lora_B", of->size[0], rank);
        }
    rg_parameters_allocate(p);
    for (int view = 0; view < p->view_count; view += 2)
        rg_parameters_fill_uniform(p, view, 1 / sqrt((double)p->views[view].size[1]), random);
    return RG_OK;
}

/* ---- merging ---- */

void rg_transformer_add_adapter(const RgPolicy *policy, int64_t layer, enum LayerWeight weight,
                                RgReal *matrix) {
    int view = rg_transformer_adapter_view(&policy->adapter, layer, weight);
    if (view < 0)
        return;
    const RgParameters *p = policy->parameters;
    const RgParameterView *a = &p->views[view], *b = &p->views[view + 1];
    int64_t rank = a->size[0], in = a->size[1], out = b->size[0];
    rg_gemm_whole(false, false, out, in, rank, (RgReal)policy->adapter.scale, p->value + b->offset,
                  rank, p->value + a->offset, in, 1, matrix, in);
}

bool rg_transformer_merge(const RgPolicy *policy, int view, RgReal *weights) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    for (int64_t layer = 0; layer < o->layers; layer++)
        for (int w = 0; w < LAYER_WEIGHTS; w++) {
            enum LayerWeight weight = (enum LayerWeight)w;
            if (rg_transformer_view(o, layer, weight) != view)
                continue;
            if (weights)
                rg_transformer_add_adapter(policy, layer, weight, weights);
            return rg_transformer_adapter_view(&policy->adapter, layer, weight) >= 0;
        }
    return false;
}
