/* SPDX-License-Identifier: MIT */
/* Hugging Face checkpoints: tiny random models of every architecture against log-probabilities that
 * another implementation computed in float64 (in both precisions of this program), and what is not
 * supported refused by name. */
#include "core/models/hugging_face.h"
#include "core/models/transformer.h"
#include "core/train/meter.h"
#include "core/train/safetensors.h"
#include "tests/like_gpt2.h"
#include "tests/notices.h"
#include "tests/scratch.h"
#include "tests/shared_data.h"

#include <criterion/parameterized.h>
#include <jansson.h>
#include <math.h>
#include <unistd.h>

#ifdef RG_DOUBLE
static const double tolerance = 1e-9;
#else
static const double tolerance = 1e-4;
#endif

/* ---- golden files ---- */

typedef struct Case {
    char name[16];
} Case;

ParameterizedTestParameters(hugging_face, log_probabilities_are_those_of_the_golden_file) {
    static Case cases[] = {{"llama"}, {"qwen2"}, {"phi3"}, {"gpt2"}};
    return cr_make_param_array(Case, cases, sizeof cases / sizeof *cases);
}

static int64_t read_ids(const json_t *array, int32_t *out) {
    size_t i;
    json_t *id;
    json_array_foreach(array, i, id) {
        out[i] = (int32_t)json_integer_value(id);
    }
    return (int64_t)json_array_size(array);
}

ParameterizedTest(Case *c, hugging_face, log_probabilities_are_those_of_the_golden_file) {
    char name[32], golden[600];
    snprintf(name, sizeof name, "tiny/%s", c->name);
    const char *folder = shared_data(name);
    RgError error = {0};
    RgPolicy *policy;
    cr_assert_eq(rg_policy_load(folder, &policy, &error), RG_OK, "%s", error.text);
    snprintf(golden, sizeof golden, "%s/golden.json", folder);
    json_t *root = json_load_file(golden, 0, NULL);
    json_t *responses = json_object_get(root, "responses"), *one;
    RgSequences *sequences = rg_sequences_create();
    double expected[16];
    size_t i;
    json_array_foreach(responses, i, one) {
        int32_t prompt[64], response[64];
        int64_t prompt_length = read_ids(json_object_get(one, "prompt_tokens"), prompt);
        int64_t length = read_ids(json_object_get(one, "response_tokens"), response);
        rg_sequences_append(sequences, prompt, prompt_length, response, length);
        expected[i] = json_real_value(json_object_get(one, "logprob"));
    }
    cr_assert_gt(sequences->count, 0);
    double logprob[16];
    rg_policy_logprob_values(policy, sequences, logprob);
    for (int64_t k = 0; k < sequences->count; k++)
        cr_expect(fabs(logprob[k] - expected[k]) < tolerance, "%s, response %ld: %.9g, not %.9g",
                  c->name, (long)k, logprob[k], expected[k]);
    rg_sequences_destroy(sequences);
    rg_policy_destroy(policy);
    json_decref(root);
}

/* ---- round trips ---- */

TestSuite(hugging_face_folder, .init = scratch_begin);

static RgSequences *some_sequences(void) {
    RgSequences *s = rg_sequences_create();
    rg_sequences_append(s, (const int32_t[]){1, 2, 3}, 3, (const int32_t[]){4, 10, 0, 7}, 4);
    rg_sequences_append(s, (const int32_t[]){6}, 1, (const int32_t[]){10, 10}, 2);
    return s;
}

/* Saved and loaded again, a model gives the same log-probabilities, to `most`. */
static void check_round_trip(const RgTransformerOptions *options, double most) {
    RgPolicy *policy, *loaded;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(options, 11, &policy, &error), RG_OK, "%s", error.text);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.5, rg_random_root(3));
    for (int64_t i = 0; i < policy->parameters->count; i++) /* what a file of F32 can hold */
        policy->parameters->value[i] = (RgReal)(float)policy->parameters->value[i];
    const char *folder = scratch("saved");
    cr_assert_eq(rg_hugging_face_save(policy, folder, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(folder, &loaded, &error), RG_OK, "%s", error.text);
    RgSequences *s = some_sequences();
    double before[2], after[2];
    rg_policy_logprob_values(policy, s, before);
    rg_policy_logprob_values(loaded, s, after);
    for (int i = 0; i < 2; i++)
        cr_expect_float_eq(after[i], before[i], most, "%.9g, not %.9g", after[i], before[i]);
    rg_sequences_destroy(s);
    rg_policy_destroy(loaded);
    rg_policy_destroy(policy);
}

static const RgTransformerOptions small = {.layers = 2,
                                           .width = 16,
                                           .heads = 4,
                                           .kv_heads = 2,
                                           .hidden = 20,
                                           .context = 12,
                                           .rope_base = 500,
                                           .rope_pairing = RG_ROPE_HALVES,
                                           .norm_epsilon = 1e-5};

Test(hugging_face_folder, a_saved_llama_loads_as_it_was) {
    check_round_trip(&small, 0);
}

Test(hugging_face_folder, a_saved_qwen2_loads_as_it_was) {
    RgTransformerOptions options = small;
    options.tied = true;
    options.biases = RG_BIASES_QUERY_KEY_VALUE;
    check_round_trip(&options, 0);
}

Test(hugging_face_folder, a_saved_gpt2_loads_as_it_was) {
    RgTransformerOptions options = small;
    options.tied = true;
    options.kv_heads = options.heads;
    options = like_gpt2(options);
    check_round_trip(&options, 0);
}

Test(hugging_face_folder, dimensions_that_turn_with_their_neighbours_are_put_in_halves) {
    RgTransformerOptions options = small;
    options.rope_pairing = RG_ROPE_NEIGHBOURS;
    check_round_trip(&options, tolerance);
}

/* Cut the saved model's file into two parts with an index, as large models come. */
static void cut_in_two(const char *folder) {
    RgError error = {0};
    RgSafetensors *file;
    char path[300];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    cr_assert_eq(rg_safetensors_open(path, &file, &error), RG_OK, "%s", error.text);
    int count = rg_safetensors_count(file), half = count / 2;
    json_t *map = json_object();
    for (int i = 0; i < count; i++)
        json_object_set_new(map, rg_safetensors_at(file, i)->name,
                            json_string(i < half ? "part-1.safetensors" : "part-2.safetensors"));
    RgStoredTensor part[2][64];
    for (int i = 0; i < count; i++)
        part[i >= half][i >= half ? i - half : i] = *rg_safetensors_at(file, i);
    for (int k = 0; k < 2; k++) {
        char name[300];
        snprintf(name, sizeof name, "%s/part-%d.safetensors", folder, k + 1);
        cr_assert_eq(rg_safetensors_write(name, part[k], k ? count - half : half, NULL, &error),
                     RG_OK, "%s", error.text);
    }
    rg_safetensors_close(file);
    unlink(path);
    json_t *index = json_pack("{s:o}", "weight_map", map);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    cr_assert_eq(json_dump_file(index, path, 0), 0);
    json_decref(index);
}

Test(hugging_face_folder, a_model_in_several_files_is_put_together) {
    RgPolicy *whole, *parts;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(&small, 11, &whole, &error), RG_OK, "%s", error.text);
    for (int v = 0; v < whole->parameters->view_count; v++)
        rg_parameters_fill(whole->parameters, v, (RgReal)v);
    const char *folder = scratch("sharded");
    cr_assert_eq(rg_hugging_face_save(whole, folder, &error), RG_OK, "%s", error.text);
    cut_in_two(folder);
    cr_assert_eq(rg_policy_load(folder, &parts, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_parameters_hash(parts->parameters), rg_parameters_hash(whole->parameters));
    rg_policy_destroy(parts);
    rg_policy_destroy(whole);
}

/* Both parts have the embedding: the one that the index names counts. */
Test(hugging_face_folder, the_index_decides_which_file_a_tensor_comes_from) {
    RgPolicy *whole, *parts;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(&small, 11, &whole, &error), RG_OK, "%s", error.text);
    for (int v = 0; v < whole->parameters->view_count; v++)
        rg_parameters_fill(whole->parameters, v, (RgReal)v);
    const char *folder = scratch("sharded");
    cr_assert_eq(rg_hugging_face_save(whole, folder, &error), RG_OK, "%s", error.text);
    cut_in_two(folder);
    float other[11 * 16];
    for (int i = 0; i < 11 * 16; i++)
        other[i] = -7;
    RgStoredTensor stale = {"model.embed_tokens.weight", RG_F32, 2, {11, 16}, other, sizeof other};
    char path[300];
    snprintf(path, sizeof path, "%s/stale.safetensors", folder);
    cr_assert_eq(rg_safetensors_write(path, &stale, 1, NULL, &error), RG_OK);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    json_t *index = json_load_file(path, 0, NULL), *map = json_object_get(index, "weight_map");
    json_t *first = json_object(), *file;
    const char *name;
    json_object_set_new(first, "an.unused.tensor", json_string("stale.safetensors"));
    json_object_foreach(map, name, file) {
        json_object_set(first, name, file);
    }
    json_object_set_new(index, "weight_map", first);
    cr_assert_eq(json_dump_file(index, path, 0), 0);
    cr_assert_eq(rg_policy_load(folder, &parts, &error), RG_OK, "%s", error.text);
    cr_expect_eq(rg_parameters_hash(parts->parameters), rg_parameters_hash(whole->parameters));
    rg_policy_destroy(parts);
    json_object_set_new(first, "model.embed_tokens.weight", json_string("stale.safetensors"));
    json_object_set_new(first, "model.norm.weight", json_string("stale.safetensors"));
    cr_assert_eq(json_dump_file(index, path, 0), 0);
    cr_expect_eq(rg_policy_load(folder, &parts, &error), RG_E_FORMAT);
    cr_expect(
        strstr(error.text, "no tensor \"model.norm.weight\" in the file that the index names"),
        "%s", error.text);
    json_decref(index);
    rg_policy_destroy(whole);
}

Test(hugging_face_folder, what_no_architecture_has_is_not_saved) {
    RgTransformerOptions options = small;
    options.feed_forward = RG_FEED_FORWARD_GELU;
    RgPolicy *policy;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(&options, 11, &policy, &error), RG_OK);
    cr_expect_eq(rg_hugging_face_save(policy, scratch("saved"), &error), RG_E_USAGE);
    cr_expect_neq(access(scratch("saved"), F_OK), 0);
    rg_policy_destroy(policy);
}

/* ---- memory ---- */

/* A checkpoint of zeros under `folder`: its file has holes for numbers. */
static void write_holes(const RgPolicy *policy, const char *folder) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    json_t *header = json_object();
    json_int_t end = 0;
    for (int v = 0; v < policy->parameters->view_count; v++) {
        const RgParameterView *view = &policy->parameters->views[v];
        json_t *shape = json_array();
        for (int axis = 0; axis < view->rank; axis++)
            json_array_append_new(shape, json_integer(view->size[axis]));
        json_int_t begin = end;
        end += 4 * (json_int_t)view->count;
        json_object_set_new(header, view->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape,
                                      "data_offsets", begin, end));
    }
    char *text = json_dumps(header, JSON_COMPACT), path[300];
    uint64_t length = strlen(text);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    FILE *file = fopen(path, "w");
    fwrite(&length, sizeof length, 1, file);
    fwrite(text, 1, length, file);
    cr_assert_eq(fflush(file), 0);
    cr_assert_eq(ftruncate(fileno(file), (off_t)(sizeof length + length) + end), 0);
    fclose(file);
    free(text);
    json_decref(header);
    json_t *config =
        json_pack("{s:[s], s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "architectures", "LlamaForCausalLM",
                  "hidden_size", (json_int_t)o->width, "intermediate_size", (json_int_t)o->hidden,
                  "num_hidden_layers", (json_int_t)o->layers, "num_attention_heads",
                  (json_int_t)o->heads, "vocab_size", (json_int_t)rg_transformer_vocabulary(policy),
                  "max_position_embeddings", (json_int_t)o->context, "tie_word_embeddings", 1);
    snprintf(path, sizeof path, "%s/config.json", folder);
    cr_assert_eq(json_dump_file(config, path, 0), 0);
    json_decref(config);
}

/* No file beside the weights, and no gradient. */
Test(hugging_face_folder, loading_holds_the_weights_once) {
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("AddressSanitizer keeps what was freed, so that there is nothing to measure");
#endif
    RgTransformerOptions options = {.layers = 5,
                                    .width = 512,
                                    .heads = 8,
                                    .kv_heads = 8,
                                    .hidden = 1536,
                                    .context = 64,
                                    .tied = true,
                                    .rope_base = 10000,
                                    .norm_epsilon = 1e-6};
    RgPolicy *policy;
    RgError error = {0};
    double before = rg_memory_in_use();
    cr_assert_eq(rg_transformer_create(&options, 16000, &policy, &error), RG_OK, "%s", error.text);
    write_holes(policy, scratch_path);
    rg_policy_destroy(policy);
    cr_assert_eq(rg_policy_load(scratch_path, &policy, &error), RG_OK, "%s", error.text);
    double weights = (double)sizeof(RgReal) * (double)policy->parameters->count;
    double taken = rg_peak_memory() - before;
    cr_assert_gt(weights, 1e8);
    cr_assert(taken > weights && taken < 1.3 * weights, "%.0f MB for %.0f MB of weights",
              taken / 1e6, weights / 1e6);
    rg_policy_destroy(policy);
}

/* ---- refusals ---- */

#define LLAMA                                                                                      \
    "\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 4, \"intermediate_size\": 6, "    \
    "\"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"vocab_size\": 5, "                    \
    "\"max_position_embeddings\": 8, \"hidden_act\": \"silu\""

static void refuse(const char *config, const char *expected) {
    scratch_write("config.json", config);
    RgPolicy *policy = (RgPolicy *)&policy;
    RgError error = {0};
    cr_expect_neq(rg_policy_load(scratch_path, &policy, &error), RG_OK, "%s", config);
    cr_expect_null(policy);
    cr_expect(strstr(error.text, expected), "%s\nlacks: %s", error.text, expected);
}

Test(hugging_face_folder, what_is_not_supported_is_refused_by_name) {
    refuse("{", "config.json:1: ");
    refuse("{}", "architectures: expected an array");
    refuse("{\"architectures\": [\"BertModel\"]}", "[\"BertModel\"] is not supported");
    refuse("{\"architectures\": [\"LlamaForCausalLM\"]}", "hidden_size: expected an integer");
    refuse("{" LLAMA ", \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0}}",
           "rope_scaling = {\"type\":\"dynamic\",\"factor\":2.0} is not supported");
    refuse("{" LLAMA ", \"hidden_act\": \"relu\"}", "hidden_act = \"relu\" is not supported");
    refuse("{" LLAMA ", \"head_dim\": 7}", "head_size 7");
    refuse("{" LLAMA ", \"rope_parameters\": {\"rope_type\": \"default\", "
           "\"partial_rotary_factor\": 0.5}}",
           "rope_parameters.partial_rotary_factor = 0.5 is not supported");
    refuse("{" LLAMA ", \"rope_parameters\": {\"rope_type\": \"default\", "
           "\"rope_theta\": \"1e6\"}}",
           "rope_parameters.rope_theta: expected a number");
    refuse("{" LLAMA ", \"rope_theta\": \"1e6\"}", "rope_theta: expected a number");
    refuse("{" LLAMA ", \"tie_word_embeddings\": \"true\"}",
           "tie_word_embeddings: expected true or false");
    refuse("{" LLAMA ", \"attention_bias\": true}", "attention_bias = true is not supported");
    refuse("{" LLAMA ", \"partial_rotary_factor\": 0.5}", "partial_rotary_factor = 0.5");
    refuse("{" LLAMA ", \"num_key_value_heads\": 3}", "kv_heads 3 does not divide heads 2");
}

/* A scaling without its parameters, or with those of another, would be a third one. */
Test(hugging_face_folder, parameters_of_rotary_scaling_are_those_of_its_type) {
    refuse("{" LLAMA ", \"rope_scaling\": {\"type\": \"linear\"}}",
           "rope_scaling.factor: expected a number");
    refuse("{" LLAMA ", \"rope_scaling\": {\"factor\": 2}}", "is not supported; only null");
    refuse("{" LLAMA ", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, "
           "\"low_freq_factor\": 1, \"high_freq_factor\": 4}}",
           "rope_scaling.original_max_position_embeddings: expected a number");
    refuse("{" LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, "
           "\"beta_fast\": 32}}",
           "rope_scaling.beta_fast = 32 is not supported");
    refuse("{" LLAMA ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2, "
           "\"truncate\": false}}",
           "rope_scaling.truncate = false is not supported; only true");
    refuse("{" LLAMA ", \"rope_scaling\": {\"rope_type\": \"default\", "
           "\"mrope_section\": [1, 1]}}",
           "rope_scaling.mrope_section = [1,1] is not supported");
    refuse("{" LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, "
           "\"rope_parameters\": {\"rope_type\": \"default\"}}",
           "rope_scaling = {\"type\":\"linear\",\"factor\":2} is not supported; only the same");
}

/* Keys of relatives of Llama, which change the arithmetic. */
Test(hugging_face_folder, keys_that_change_results_are_refused_by_name) {
    static const char *const keys[] = {"\"embedding_multiplier\": 12",
                                       "\"residual_multiplier\": 0.22",
                                       "\"attention_multiplier\": 0.015625",
                                       "\"logits_scaling\": 8",
                                       "\"quantization_config\": {\"bits\": 4}",
                                       "\"sliding_window\": 4",
                                       "\"final_logit_softcapping\": 30",
                                       "\"use_parallel_residual\": true",
                                       "\"num_local_experts\": 8",
                                       "\"rotary_pct\": 0.25"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char config[600], name[64];
        snprintf(config, sizeof config, "{" LLAMA ", %s}", keys[i]);
        snprintf(name, sizeof name, "%.*s = ", (int)strcspn(keys[i] + 1, "\""), keys[i] + 1);
        refuse(config, name);
        refuse(config, "is not supported");
    }
    refuse("{\"architectures\": [\"MistralForCausalLM\"], \"hidden_size\": 4, "
           "\"intermediate_size\": 6, \"num_hidden_layers\": 3, \"num_attention_heads\": 2, "
           "\"vocab_size\": 5, \"max_position_embeddings\": 8, \"sliding_window\": 2, "
           "\"layer_types\": [\"sliding_attention\", \"chunked_attention\", "
           "\"sliding_attention\"]}",
           "layer_types = [");
    refuse("{\"architectures\": [\"MistralForCausalLM\"], \"hidden_size\": 4, "
           "\"intermediate_size\": 6, \"num_hidden_layers\": 2, \"num_attention_heads\": 2, "
           "\"vocab_size\": 5, \"max_position_embeddings\": 8, \"sliding_window\": 2, "
           "\"layer_types\": [\"full_attention\", \"sliding_attention\"]}",
           "only sliding_attention in every layer");
}

static RgPolicy *saved_policy(const RgTransformerOptions *options, const char *folder) {
    RgPolicy *policy;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(options, 11, &policy, &error), RG_OK, "%s", error.text);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.5, rg_random_root(3));
    cr_assert_eq(rg_hugging_face_save(policy, folder, &error), RG_OK, "%s", error.text);
    return policy;
}

/* Changes a saved config.json. */
static void set_key(const char *folder, const char *key, json_t *value) {
    char path[300];
    snprintf(path, sizeof path, "%s/config.json", folder);
    json_t *config = json_load_file(path, 0, NULL);
    json_object_set_new(config, key, value);
    cr_assert_eq(json_dump_file(config, path, 0), 0);
    json_decref(config);
}

/* What may be a part of the model is not passed over in silence. */
Test(hugging_face_folder, unknown_keys_and_unused_tensors_are_named) {
    const char *folder = scratch("saved");
    RgPolicy *policy = saved_policy(&small, folder), *loaded;
    RgError error = {0};
    begin_notices();
    cr_assert_eq(rg_policy_load(folder, &loaded, &error), RG_OK, "%s", error.text);
    cr_expect_str_empty(notices);
    rg_policy_destroy(loaded);
    set_key(folder, "new_thing", json_integer(3));
    set_key(folder, "use_cache", json_true());
    set_key(folder, "tie_word_embeddings", json_true());
    set_key(folder, "nothing", json_null());
    cr_assert_eq(rg_policy_load(folder, &loaded, &error), RG_OK, "%s", error.text);
    cr_expect(strstr(notices, "config.json: not known, and without effect here: new_thing\n"), "%s",
              notices);
    cr_expect_null(strstr(notices, "not used"), "a head beside a tied one: %s", notices);
    rg_policy_destroy(loaded);
    RgTransformerOptions wide = small;
    wide.query_key_norm = true;
    rg_policy_destroy(policy);
    policy = saved_policy(&wide, folder);
    set_key(folder, "architectures", json_pack("[s]", "LlamaForCausalLM"));
    cr_assert_eq(rg_policy_load(folder, &loaded, &error), RG_OK, "%s", error.text);
    cr_expect(strstr(notices, "4 tensors are not used, the first is "
                              "\"model.layers.0.self_attn.k_norm.weight\"") ||
                  strstr(notices, "4 tensors are not used, the first is "
                                  "\"model.layers.0.self_attn.q_norm.weight\""),
              "%s", notices);
    end_notices();
    rg_policy_destroy(loaded);
    rg_policy_destroy(policy);
}

Test(hugging_face_folder, fewer_layers_than_the_file_has_are_refused) {
    const char *folder = scratch("saved");
    RgPolicy *policy = saved_policy(&small, folder), *loaded;
    RgError error = {0};
    set_key(folder, "num_hidden_layers", json_integer(1));
    cr_expect_eq(rg_policy_load(folder, &loaded, &error), RG_E_FORMAT);
    cr_expect(strstr(error.text, "\"model.layers.1.") && strstr(error.text, "beyond the 1"), "%s",
              error.text);
    rg_policy_destroy(policy);
}

/* None of these has memory for what it announces. */
Test(hugging_face_folder, sizes_beyond_those_of_any_model_are_refused_by_key) {
    refuse("{" LLAMA ", \"head_dim\": 4611686018427387904}",
           "head_dim = 4611686018427387904, expected 1 to 65536");
    refuse("{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 4, "
           "\"num_hidden_layers\": 16777216}",
           "num_hidden_layers = 16777216, expected 1 to 1000");
    refuse("{\"architectures\": [\"GPT2LMHeadModel\"], \"n_embd\": 0}",
           "n_embd = 0, expected 1 to 65536");
}

/* A description of gigabytes beside a file of bytes: no memory is taken for it. */
Test(hugging_face_folder, sizes_are_held_against_the_files) {
    static const float numbers[20] = {0};
    RgStoredTensor tensor = {
        "model.embed_tokens.weight", RG_F32, 2, {5, 4}, numbers, sizeof numbers};
    RgError error = {0};
    cr_assert_eq(rg_safetensors_write(scratch("model.safetensors"), &tensor, 1, NULL, &error),
                 RG_OK);
    refuse("{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 65536, "
           "\"intermediate_size\": 262144, \"num_hidden_layers\": 1000, "
           "\"num_attention_heads\": 2, \"vocab_size\": 16777216, "
           "\"max_position_embeddings\": 1048576, \"hidden_act\": \"silu\"}",
           "5 rows of 4, expected 16777216 of 65536");
}

Test(hugging_face_folder, missing_and_misshapen_weights_are_named) {
    refuse("{" LLAMA "}", "model.safetensors: cannot open");
    const float numbers[20] = {0};
    RgStoredTensor tensor = {
        "model.embed_tokens.weight", RG_F32, 2, {5, 4}, numbers, sizeof numbers};
    RgError error = {0};
    cr_assert_eq(rg_safetensors_write(scratch("model.safetensors"), &tensor, 1, NULL, &error),
                 RG_OK);
    refuse("{" LLAMA "}", "no tensor \"model.layers.0.input_layernorm.weight\"");
    tensor.size[0] = 4;
    tensor.size[1] = 5;
    cr_assert_eq(rg_safetensors_write(scratch("model.safetensors"), &tensor, 1, NULL, &error),
                 RG_OK);
    refuse("{" LLAMA "}", "\"model.embed_tokens.weight\" does not have the shape");
    scratch_write("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../b\"}}");
    refuse("{" LLAMA "}", "weight_map: a: expected a file's name");
    scratch_write("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"part-1\"}}");
    refuse("{" LLAMA "}", "part-1: cannot open");
}
