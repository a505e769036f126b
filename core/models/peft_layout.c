/* SPDX-License-Identifier: MIT */
/* The modules that PEFT adapts, and where a matrix of our adapter is within its module. */
#include "core/models/peft_layout.h"

#include <stdio.h>
#include <string.h>

static void cut_suffix(char *name, const char *suffix) {
    size_t length = strlen(name), size = strlen(suffix);
    if (length >= size && strcmp(name + length - size, suffix) == 0)
        name[length - size] = '\0';
}

/* GPT-2's tensors are named without their module "transformer". */
void rg_peft_name_module(const RgHuggingFaceArchitecture *a, const RgHuggingFacePlace *place,
                         char *name, size_t size) {
    snprintf(name, size, "%s%s", strcmp(a->kind, "gpt2") == 0 ? "transformer." : "", place->name);
    cut_suffix(name, ".weight");
}

int rg_peft_matrix_count(const RgPolicy *policy) {
    return policy->parameters->view_count / 2;
}

RgPeftMatrix rg_peft_matrix(const RgPolicy *policy, const RgHuggingFaceArchitecture *a, int index) {
    const RgParameterView *views = policy->parameters->views;
    RgPeftMatrix m = {.a = &views[2 * index], .b = &views[2 * index + 1]};
    char name[sizeof m.a->name + 8], stem[sizeof m.a->name];
    snprintf(stem, sizeof stem, "%s", m.a->name);
    cut_suffix(stem, ".lora_A");
    snprintf(name, sizeof name, "%s.weight", stem);
    m.base = &policy->base->views[rg_parameters_find(policy->base, name)];
    m.place = rg_hugging_face_place(a->naming, rg_transformer_options(policy), m.base);
    rg_peft_name_module(a, &m.place, m.module, sizeof m.module);
    return m;
}

int64_t rg_peft_row(const RgPolicy *policy, const RgPeftMatrix *m, int64_t row) {
    return rg_hugging_face_row(
        &m->place, rg_hugging_face_rope_row(rg_transformer_options(policy), m->base, row));
}

char *rg_peft_tensor_name(const RgPeftMatrix *m, char which) {
    return rg_string_format("base_model.model.%s.lora_%c.weight", m->module, which);
}
