/* SPDX-License-Identifier: MIT */
/* Checkpoints of many architectures: tiny random models whose log-probabilities another program
 * computed in float64 (tests/golden/models.py, in both precisions of this program). Each model is
 * also sampled with a cache, saved in both formats, adapted, and run without its fused operators. */
#include "core/models/hugging_face.h"
#include "core/models/transformer.h"
#include "core/train/safetensors.h"
#include "tests/scratch.h"

#include <criterion/parameterized.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef RG_DOUBLE
static const double tolerance = 1e-9;
#else
static const double tolerance = 1e-4;
#endif

enum { MOST_TENSORS = 64, MOST_RESPONSES = 4, LIMIT = 12 };

/* ---- the golden models ---- */

/* The generator of models.py. */
static float *numbers(const char *name, int64_t count, double scale, double centre) {
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

static void write_tensors(const json_t *one, const char *folder) {
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

static const json_t *golden_case(const char *name) {
    char path[600];
    const char *source = getenv("RG_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/golden/models.json", source ? source : ".");
    golden = json_load_file(path, 0, NULL);
    cr_assert_not_null(golden, "%s", path);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(golden, "cases"), i, one) {
        if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0)
            return one;
    }
    cr_assert_fail("no case %s", name);
    return NULL;
}

static int64_t read_ids(const json_t *array, int32_t *out) {
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

static Model model_open(const char *name) {
    scratch_begin();
    const json_t *one = golden_case(name);
    char path[300];
    snprintf(path, sizeof path, "%s/config.json", scratch_path);
    cr_assert_eq(json_dump_file(json_object_get(one, "config"), path, 0), 0);
    write_tensors(one, scratch_path);
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

static void model_close(Model *model) {
    rg_sequences_destroy(model->responses);
    rg_policy_destroy(model->policy);
    json_decref(golden);
}

static void check_logprob(RgPolicy *policy, const Model *model, double most, const char *what) {
    double logprob[MOST_RESPONSES];
    rg_policy_logprob_values(policy, model->responses, logprob);
    for (int64_t i = 0; i < model->responses->count; i++)
        cr_expect_float_eq(logprob[i], model->expected[i], most,
                           "%s, response %d: %.12g, not %.12g", what, (int)i, logprob[i],
                           model->expected[i]);
}

/* ---- claims ---- */

typedef struct Case {
    char name[24];
} Case;

#define FOR_EVERY_ARCHITECTURE(claim)                                                              \
    ParameterizedTestParameters(architectures, claim) {                                            \
        static Case cases[] = {{"qwen3"},          {"qwen3-window"}, {"llama-3.2"},                \
                               {"llama-head-dim"}, {"llama-linear"}, {"qwen2-yarn"},               \
                               {"llama-yarn-5"},   {"mistral"},      {"phi3-partial"},             \
                               {"gpt-neox"},       {"gemma2"},       {"gpt-neox-sequential"},      \
                               {"gemma3"},         {"gemma3-5"}};                                  \
        return cr_make_param_array(Case, cases, sizeof cases / sizeof *cases);                     \
    }                                                                                              \
    ParameterizedTest(Case *c, architectures, claim)

FOR_EVERY_ARCHITECTURE(log_probabilities_are_those_of_the_golden_file) {
    Model model = model_open(c->name);
    check_logprob(model.policy, &model, tolerance, c->name);
    model_close(&model);
}

/* The operators of a second-order tape are others. */
FOR_EVERY_ARCHITECTURE(expanded_operators_give_the_same) {
    Model model = model_open(c->name);
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgTensor *logprob = rg_policy_logprob(t, model.policy, model.responses);
    for (int64_t i = 0; i < model.responses->count; i++)
        cr_expect_float_eq((double)logprob->data[i], model.expected[i], tolerance);
    rg_tape_destroy(t);
    model_close(&model);
}

/* The sum of log-probabilities has its own path through the head. */
FOR_EVERY_ARCHITECTURE(the_log_likelihood_is_their_sum) {
    Model model = model_open(c->name);
    RgTape *t = rg_tape_create();
    double sum = 0;
    for (int64_t i = 0; i < model.responses->count; i++)
        sum += model.expected[i];
    cr_expect_float_eq((double)rg_policy_log_likelihood(t, model.policy, model.responses)->data[0],
                       sum, 3 * tolerance);
    rg_tape_destroy(t);
    model_close(&model);
}

/* The decoder's own log-probabilities of what it sampled, over a cache and beyond the windows. */
FOR_EVERY_ARCHITECTURE(sampling_agrees_with_the_pass) {
    Model model = model_open(c->name);
    RgSampling sampling = {.temperature = 1, .top_p = 1, .response_limit = LIMIT, .end_token = -1};
    RgSequences *out = rg_sequences_create();
    double sampled[4 * MOST_RESPONSES], passed[4 * MOST_RESPONSES];
    rg_policy_sample(model.policy, model.responses, 4, &sampling, rg_random_root(1), out, sampled);
    cr_assert_eq(out->count, 4 * model.responses->count);
    rg_policy_logprob_values(model.policy, out, passed);
    for (int64_t i = 0; i < out->count; i++) {
        cr_expect(rg_sequence_response_length(out, i) > 0);
        cr_expect_float_eq(sampled[i], passed[i], 3 * tolerance, "%s, %d: %.9g and %.9g", c->name,
                           (int)i, sampled[i], passed[i]);
    }
    rg_sequences_destroy(out);
    model_close(&model);
}

FOR_EVERY_ARCHITECTURE(exported_it_loads_as_it_was) {
    Model model = model_open(c->name);
    RgError error = {0};
    RgPolicy *loaded;
    const char *folder = scratch("saved");
    cr_assert_eq(rg_hugging_face_save(model.policy, folder, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(folder, &loaded, &error), RG_OK, "%s", error.text);
    cr_expect_eq(rg_parameters_hash(loaded->parameters),
                 rg_parameters_hash(model.policy->parameters));
    check_logprob(loaded, &model, tolerance, c->name);
    rg_policy_destroy(loaded);
    model_close(&model);
}

FOR_EVERY_ARCHITECTURE(a_file_of_this_program_brings_it_back) {
    Model model = model_open(c->name);
    RgError error = {0};
    RgPolicy *loaded;
    const char *path = scratch("policy.safetensors");
    cr_assert_eq(rg_policy_save(model.policy, path, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(path, &loaded, &error), RG_OK, "%s", error.text);
    double before[MOST_RESPONSES], after[MOST_RESPONSES];
    rg_policy_logprob_values(model.policy, model.responses, before);
    rg_policy_logprob_values(loaded, model.responses, after);
    for (int64_t i = 0; i < model.responses->count; i++)
        cr_expect_eq(before[i], after[i]);
    rg_policy_destroy(loaded);
    model_close(&model);
}

/* Every matrix adapted: the adapter's product and its sum with the weights are the same model. */
FOR_EVERY_ARCHITECTURE(an_adapter_merged_is_the_adapter) {
    Model model = model_open(c->name);
    RgError error = {0};
    RgPolicy *adapted;
    const RgAdapterOptions options = {.rank = 3, .alpha = 3, .targets = "all"};
    rg_parameters_freeze(model.policy->parameters);
    cr_assert_eq(rg_policy_adapt(model.policy, &options, rg_random_root(1), &adapted, &error),
                 RG_OK, "%s", error.text);
    check_logprob(adapted, &model, tolerance, c->name);
    for (int v = 0; v < adapted->parameters->view_count; v++)
        rg_parameters_fill_normal(adapted->parameters, v, 0.1, rg_random_root(2));
    RgPolicy *merged = rg_policy_merged(adapted);
    double apart[MOST_RESPONSES], together[MOST_RESPONSES], moved = 0;
    rg_policy_logprob_values(adapted, model.responses, apart);
    rg_policy_logprob_values(merged, model.responses, together);
    for (int64_t i = 0; i < model.responses->count; i++) {
        cr_expect_float_eq(apart[i], together[i], 3 * tolerance);
        moved += fabs(apart[i] - model.expected[i]);
    }
    cr_expect_gt(moved, 0.01);
    rg_policy_destroy(merged);
    rg_policy_destroy(adapted);
    model_close(&model);
}
