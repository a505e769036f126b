/* SPDX-License-Identifier: MIT */
/* Tiny random models of many architectures, and log-probabilities of responses that another program
 * computed in float64 (tests/golden/models.py). */
#ifndef RG_TESTS_GOLDEN_MODEL_H
#define RG_TESTS_GOLDEN_MODEL_H

#include "core/policy/policy.h"
#include "core/train/safetensors.h"
#include "tests/scratch.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TENSORS = 64, MOST_RESPONSES = 4 };

/* The generator of models.py. */
static inline float *numbers(const char *name, int64_t count, double scale, double centre) {
    uint32_t state = UINT32_C(2166136261);
    for (const char *byte = name; *byte; byte++)
        state = (state ^ (unsigned char)*byte) * UINT32_C(16777619);
    float *value = rg_allocate((size_t)count, sizeof *value);
    for (int64_t i = 0; i < count; i++) {
        state = state * UINT32_C(1664525) + UINT32_C(1013904223);
        value[i] = (float)(centre + ((double)(state >> 12) / 1048576.0 - 0.5) * scale);
    }
    return value;
}

static inline void write_tensors(const json_t *one, const char *folder) {
    RgStoredTensor tensor[MOST_TENSORS];
    int count = 0;
    const char *name;
    json_t *shape;
    json_object_foreach(json_object_get(one, "tensors"), name, shape) {
        RgStoredTensor *t = &tensor[count++];
        *t = (RgStoredTensor){.name = name, .type = RG_F32, .rank = (int)json_array_size(shape)};
        int64_t all = 1;
        for (int axis = 0; axis < t->rank; axis++)
            all *= t->size[axis] = json_integer_value(json_array_get(shape, (size_t)axis));
        size_t length = strlen(name);
        bool norm = t->rank == 1 && strcmp(name + length - strlen(".weight"), ".weight") == 0;
        double centre = norm ? json_number_value(json_object_get(one, "norm_centre")) : 0;
        t->data = numbers(name, all, t->rank == 2 ? 1 : 0.5, centre);
        t->bytes = sizeof(float) * (size_t)all;
    }
    char path[300];
    RgError error = {0};
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    cr_assert_eq(rg_safetensors_write(path, tensor, count, NULL, &error), RG_OK, "%s", error.text);
    for (int i = 0; i < count; i++)
        free((void *)tensor[i].data);
}

static json_t *golden;

/* A case of the list `kind`. */
static inline const json_t *golden_case(const char *kind, const char *name) {
    char path[600];
    const char *source = getenv("RG_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/golden/models.json", source ? source : ".");
    golden = json_load_file(path, 0, NULL);
    cr_assert_not_null(golden, "%s", path);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(golden, kind), i, one) {
        if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0)
            return one;
    }
    cr_assert_fail("no case %s", name);
    return NULL;
}

static inline int64_t read_ids(const json_t *array, int32_t *out) {
    size_t i;
    json_t *id;
    json_array_foreach(array, i, id) {
        out[i] = (int32_t)json_integer_value(id);
    }
    return (int64_t)json_array_size(array);
}

typedef struct Model {
    RgPolicy *policy;
    RgSequences *responses;
    double expected[MOST_RESPONSES];
} Model;

/* Writes the model of a case into the folder scratch_path. */
static inline const json_t *write_model(const char *kind, const char *name) {
    scratch_begin();
    const json_t *one = golden_case(kind, name);
    char path[300];
    snprintf(path, sizeof path, "%s/config.json", scratch_path);
    cr_assert_eq(json_dump_file(json_object_get(one, "config"), path, 0), 0);
    write_tensors(one, scratch_path);
    return one;
}

static inline Model model_open(const char *name) {
    const json_t *one = write_model("cases", name);
    Model model = {.responses = rg_sequences_create()};
    RgError error = {0};
    cr_assert_eq(rg_policy_load(scratch_path, &model.policy, &error), RG_OK, "%s", error.text);
    size_t i;
    json_t *response;
    json_array_foreach(json_object_get(one, "responses"), i, response) {
        int32_t prompt[32], tokens[32];
        int64_t prompt_length = read_ids(json_object_get(response, "prompt"), prompt);
        int64_t length = read_ids(json_object_get(response, "response"), tokens);
        rg_sequences_append(model.responses, prompt, prompt_length, tokens, length);
        model.expected[i] = json_real_value(json_object_get(response, "logprob"));
    }
    cr_assert(model.responses->count > 0 && model.responses->count <= MOST_RESPONSES);
    return model;
}

static inline void model_close(Model *model) {
    rg_sequences_destroy(model->responses);
    rg_policy_destroy(model->policy);
    json_decref(golden);
}

#endif
