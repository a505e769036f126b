/* SPDX-License-Identifier: MIT */
/* Adapters in the layout of PEFT. What is written is added to the model's own files here, tensor by
 * tensor as W + (lora_alpha / r)·B·A in double and by PEFT's names alone, and the sum is loaded as
 * a model without an adapter. What is read back is the same adapter. What would compute another
 * update is refused. */
#include "core/models/hugging_face.h"
#include "core/models/peft.h"
#include "core/models/transformer.h"
#include "tests/golden_model.h"
#include "tests/like_gpt2.h"
#include "tests/notices.h"

#include <criterion/parameterized.h>
#include <math.h>

#ifdef RG_DOUBLE
static const double tolerance = 1e-7; /* sums are stored in F32 */
#else
static const double tolerance = 1e-4;
#endif

static const RgAdapterOptions everywhere = {.rank = 3, .alpha = 7, .targets = "all"};

/* ---- by the names of files alone ---- */

static json_t *read_json(const char *folder, const char *name) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_t *root = json_load_file(path, 0, NULL);
    cr_assert_not_null(root, "%s", path);
    return root;
}

static RgSafetensors *open_tensors(const char *folder, const char *name) {
    char path[300];
    RgError error = {0};
    RgSafetensors *file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(rg_safetensors_open(path, &file, &error), RG_OK, "%s", error.text);
    return file;
}

static bool ends_in(const char *text, const char *end) {
    size_t length = strlen(text), size = strlen(end);
    return length >= size && strcmp(text + length - size, end) == 0;
}

/* Whether PEFT adapts the module: its name ends in one of target_modules, after a dot. */
static bool is_targeted(const json_t *config, const char *module) {
    size_t i;
    json_t *target;
    json_array_foreach(json_object_get(config, "target_modules"), i, target) {
        char *end = rg_string_format(".%s", json_string_value(target));
        bool fits = ends_in(module, end);
        free(end);
        if (fits)
            return true;
    }
    return false;
}

/* W + (lora_alpha / r)·B·A of a tensor of the model; false if its module has no adapter. */
static bool add_update(const RgStoredTensor *tensor, const json_t *config,
                       const RgSafetensors *adapter, const char *prefix, float *sum) {
    char module[200], name[300];
    snprintf(module, sizeof module, "%s%.*s", prefix,
             (int)(strlen(tensor->name) - strlen(".weight")), tensor->name);
    snprintf(name, sizeof name, "base_model.model.%s.lora_A.weight", module);
    const RgStoredTensor *a = rg_safetensors_find(adapter, name);
    snprintf(name, sizeof name, "base_model.model.%s.lora_B.weight", module);
    const RgStoredTensor *b = rg_safetensors_find(adapter, name);
    cr_expect_eq(a != NULL, b != NULL);
    cr_expect_eq(a != NULL, tensor->rank == 2 && is_targeted(config, module), "%s", module);
    if (!a || !b)
        return false;
    bool transposed = json_is_true(json_object_get(config, "fan_in_fan_out"));
    int64_t rank = json_integer_value(json_object_get(config, "r"));
    double scale = json_number_value(json_object_get(config, "lora_alpha")) / (double)rank;
    int64_t out = tensor->size[transposed], in = tensor->size[!transposed];
    cr_assert(a->size[0] == rank && a->size[1] == in && b->size[0] == out && b->size[1] == rank);
    const float *wide = a->data, *tall = b->data;
    for (int64_t i = 0; i < out; i++)
        for (int64_t k = 0; k < in; k++) {
            double update = 0;
            for (int64_t r = 0; r < rank; r++)
                update += (double)tall[i * rank + r] * (double)wide[r * in + k];
            sum[transposed ? k * out + i : i * in + k] += (float)(scale * update);
        }
    return true;
}

/* A folder with the model of `base` plus the adapter. */
static const char *add_by_hand(const char *base, const char *folder, const char *prefix) {
    RgSafetensors *model = open_tensors(base, "model.safetensors");
    RgSafetensors *adapter = open_tensors(folder, "adapter_model.safetensors");
    json_t *config = read_json(folder, "adapter_config.json");
    int count = rg_safetensors_count(model), adapted = 0;
    RgStoredTensor all[MOST_TENSORS];
    for (int i = 0; i < count; i++) {
        all[i] = *rg_safetensors_at(model, i);
        cr_assert_eq(all[i].type, RG_F32);
        float *sum = memcpy(rg_allocate(1, all[i].bytes), all[i].data, all[i].bytes);
        adapted += add_update(&all[i], config, adapter, prefix, sum);
        all[i].data = sum;
    }
    cr_expect_eq(2 * adapted, rg_safetensors_count(adapter));
    static char sum[200];
    char path[300];
    RgError error = {0};
    snprintf(sum, sizeof sum, "%s", scratch("sum"));
    cr_assert_eq(mkdir(sum, 0700), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", sum);
    cr_assert_eq(rg_safetensors_write(path, all, count, NULL, &error), RG_OK, "%s", error.text);
    for (int i = 0; i < count; i++)
        free((void *)all[i].data);
    json_t *own = read_json(base, "config.json");
    snprintf(path, sizeof path, "%s/config.json", sum);
    cr_assert_eq(json_dump_file(own, path, 0), 0);
    json_decref(own);
    json_decref(config);
    rg_safetensors_close(adapter);
    rg_safetensors_close(model);
    return sum;
}

/* ---- claims ---- */

static void check_same(RgPolicy *one, RgPolicy *other, const RgSequences *s, double most,
                       const char *what) {
    double a[MOST_RESPONSES], b[MOST_RESPONSES];
    rg_policy_logprob_values(one, s, a);
    rg_policy_logprob_values(other, s, b);
    for (int64_t i = 0; i < s->count; i++)
        cr_expect(fabs(a[i] - b[i]) <= most * fmax(1, fabs(a[i])),
                  "%s, response %d: %.12g, not %.12g", what, (int)i, b[i], a[i]);
}

/* An adapter with numbers everywhere that F32 can hold. */
static RgPolicy *adapted(RgPolicy *policy, const RgAdapterOptions *options) {
    RgPolicy *new;
    RgError error = {0};
    cr_assert_eq(rg_policy_adapt(policy, options, rg_random_root(1), &new, &error), RG_OK, "%s",
                 error.text);
    for (int v = 0; v < new->parameters->view_count; v++)
        rg_parameters_fill_normal(new->parameters, v, 0.2, rg_random_root(2));
    for (int64_t i = 0; i < new->parameters->count; i++)
        new->parameters->value[i] = (RgReal)(float)new->parameters->value[i];
    return new;
}

/* The adapter of `original` is written, added by hand to the files of `base`, and read back. */
static void check_adapter(RgPolicy *original, const RgAdapterOptions *options, const char *base,
                          const char *prefix, const RgSequences *s) {
    RgError error = {0};
    RgPolicy *policy = adapted(original, options), *sum, *again;
    char folder[200];
    snprintf(folder, sizeof folder, "%s", scratch("adapter"));
    cr_assert_eq(rg_peft_save(policy, base, folder, &error), RG_OK, "%s", error.text);
    const char *by_hand = add_by_hand(base, folder, prefix);
    cr_assert_eq(rg_policy_load(by_hand, &sum, &error), RG_OK, "%s", error.text);
    check_same(policy, sum, s, 3 * tolerance, "added by hand");

    json_t *config = read_json(folder, "adapter_config.json");
    cr_expect_str_eq(json_string_value(json_object_get(config, "base_model_name_or_path")), base);
    RgAdapterOptions same = *options;
    same.rank = json_integer_value(json_object_get(config, "r"));
    same.alpha = json_number_value(json_object_get(config, "lora_alpha"));
    json_decref(config);
    cr_assert_eq(rg_policy_adapt(original, &same, rg_random_root(5), &again, &error), RG_OK);
    cr_assert_eq(rg_peft_load(again, NULL, folder, &error), RG_OK, "%s", error.text);
    check_same(policy, again, s, tolerance, "read back");
    rg_policy_destroy(again);
    rg_policy_destroy(sum);
    rg_policy_destroy(policy);
}

typedef struct Case {
    char name[24];
} Case;

ParameterizedTestParameters(peft, an_adapter_is_what_its_files_add) {
    static Case cases[] = {{"llama-3.2"},           {"qwen3"},  {"mistral"}, {"phi3-partial"},
                           {"gpt-neox-sequential"}, {"gemma2"}, {"gemma3"}};
    return cr_make_param_array(Case, cases, sizeof cases / sizeof *cases);
}

ParameterizedTest(Case *c, peft, an_adapter_is_what_its_files_add) {
    Model model = model_open(c->name);
    check_adapter(model.policy, &everywhere, scratch_path, "", model.responses);
    model_close(&model);
}

TestSuite(peft_folder, .init = scratch_begin);

static const RgTransformerOptions small = {.layers = 2,
                                           .width = 16,
                                           .heads = 4,
                                           .kv_heads = 4,
                                           .hidden = 20,
                                           .context = 12,
                                           .tied = true,
                                           .rope_base = 500,
                                           .rope_pairing = RG_ROPE_HALVES,
                                           .norm_epsilon = 1e-5};

static RgSequences *some_sequences(void) {
    RgSequences *s = rg_sequences_create();
    rg_sequences_append(s, (const int32_t[]){1, 2, 3}, 3, (const int32_t[]){4, 10, 0, 7}, 4);
    rg_sequences_append(s, (const int32_t[]){6}, 1, (const int32_t[]){10, 10}, 2);
    return s;
}

static RgPolicy *random_model(const RgTransformerOptions *options) {
    RgPolicy *policy;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(options, 11, &policy, &error), RG_OK, "%s", error.text);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.5, rg_random_root(3));
    for (int64_t i = 0; i < policy->parameters->count; i++)
        policy->parameters->value[i] = (RgReal)(float)policy->parameters->value[i];
    return policy;
}

/* Written as the adapter of the exported model. */
static void check_exported(const RgTransformerOptions *options, const RgAdapterOptions *adapter,
                           const char *prefix) {
    RgError error = {0};
    RgPolicy *policy = random_model(options);
    char base[200];
    snprintf(base, sizeof base, "%s", scratch("base"));
    cr_assert_eq(rg_hugging_face_save(policy, base, &error), RG_OK, "%s", error.text);
    RgSequences *s = some_sequences();
    check_adapter(policy, adapter, base, prefix, s);
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}

/* Query, key and value are one module with three times the rank, c_proj is in two places. */
Test(peft_folder, gpt2s_modules_are_transposed_and_fused) {
    RgTransformerOptions options = like_gpt2(small);
    check_exported(&options, &everywhere, "transformer.");
}

Test(peft_folder, c_proj_is_told_apart_by_its_module) {
    RgTransformerOptions options = like_gpt2(small);
    const RgAdapterOptions down = {.rank = 2, .alpha = 4, .targets = "down"};
    check_exported(&options, &down, "transformer.");
}

Test(peft_folder, dimensions_that_turn_with_their_neighbours_are_put_in_halves) {
    RgTransformerOptions options = small;
    options.rope_pairing = RG_ROPE_NEIGHBOURS;
    const RgAdapterOptions query = {.rank = 2, .alpha = 3, .targets = "query, key, down"};
    check_exported(&options, &query, "");
}

/* The file of a trained policy has its weights with the adapter added, and the adapter beside. */
Test(peft_folder, a_saved_policy_keeps_its_adapter) {
    RgError error = {0};
    const RgAdapterOptions options = {
        .rank = 2, .alpha = 5, .dropout = 0.25, .targets = "value, query"};
    RgPolicy *original = random_model(&small), *policy = adapted(original, &options);
    RgPolicy *merged, *again, *none;
    char path[200];
    snprintf(path, sizeof path, "%s", scratch("policy.safetensors"));
    cr_assert_eq(rg_policy_save(policy, path, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(path, &merged, &error), RG_OK, "%s", error.text);
    RgSequences *s = some_sequences();
    check_same(policy, merged, s, 3 * tolerance, "the weights");
    cr_assert_eq(rg_policy_load_adapter(path, merged, &again, &error), RG_OK, "%s", error.text);
    cr_expect_eq(rg_parameters_hash(again->parameters), rg_parameters_hash(policy->parameters));
    cr_expect_eq(again->adapter.rank, 2);
    cr_expect_float_eq(again->adapter.scale, 2.5, 1e-15);
    cr_expect_float_eq(again->adapter.dropout, 0.25, 1e-15);
    cr_expect_eq(again->adapter.targets, policy->adapter.targets);
    cr_assert_eq(rg_policy_save(merged, path, &error), RG_OK, "%s", error.text);
    cr_expect_eq(rg_policy_load_adapter(path, original, &none, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "the file has no adapter"), "%s", error.text);
    rg_sequences_destroy(s);
    rg_policy_destroy(again);
    rg_policy_destroy(merged);
    rg_policy_destroy(policy);
    rg_policy_destroy(original);
}

/* ---- what is refused ---- */

typedef struct Written {
    RgPolicy *original, *policy;
    char folder[200];
} Written;

static Written write_adapter(void) {
    RgError error = {0};
    const RgAdapterOptions options = {.rank = 2, .alpha = 4, .targets = "query, value"};
    Written w = {.original = random_model(&small)};
    w.policy = adapted(w.original, &options);
    snprintf(w.folder, sizeof w.folder, "%s", scratch("adapter"));
    cr_assert_eq(rg_peft_save(w.policy, NULL, w.folder, &error), RG_OK, "%s", error.text);
    return w;
}

static void release(Written *w) {
    rg_policy_destroy(w->policy);
    rg_policy_destroy(w->original);
}

static void expect_refusal(Written *w, const char *message) {
    RgError error = {0};
    cr_expect_neq(rg_peft_load(w->policy, NULL, w->folder, &error), RG_OK, "%s", message);
    cr_expect(strstr(error.text, message), "%s\nexpected: %s", error.text, message);
}

Test(peft_folder, keys_that_change_the_update_are_refused_by_name) {
    static const struct {
        const char *key, *value, *message;
    } cases[] = {
        {"peft_type", "\"IA3\"", "peft_type = \"IA3\" is not supported; only \"LORA\""},
        {"task_type", "\"SEQ_CLS\"", "task_type = \"SEQ_CLS\""},
        {"r", "4", "r = 4, expected policy.adapter.rank = 2"},
        {"r", "\"2\"", "r: expected an integer"},
        {"lora_alpha", "8", "lora_alpha = 8, expected policy.adapter.alpha = 4"},
        {"lora_alpha", "null", "lora_alpha: expected a number"},
        {"use_dora", "true", "use_dora = true"},
        {"use_rslora", "true", "use_rslora = true"},
        {"bias", "\"lora_only\"", "bias = \"lora_only\""},
        {"lora_bias", "true", "lora_bias = true"},
        {"modules_to_save", "[\"lm_head\"]", "modules_to_save = [\"lm_head\"]"},
        {"fan_in_fan_out", "true", "fan_in_fan_out = true is not supported; only false"},
        {"rank_pattern", "{\"q_proj\": 1}", "rank_pattern = {\"q_proj\":1}"},
        {"init_lora_weights", "\"pissa\"", "init_lora_weights = \"pissa\""},
    };
    Written w = write_adapter();
    char path[300];
    snprintf(path, sizeof path, "%s/adapter_config.json", w.folder);
    json_t *right = read_json(w.folder, "adapter_config.json");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *wrong = json_copy(right);
        json_object_set_new(wrong, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        cr_assert_eq(json_dump_file(wrong, path, 0), 0);
        expect_refusal(&w, cases[i].message);
        json_decref(wrong);
    }
    json_decref(right);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs("[]", file);
    fclose(file);
    expect_refusal(&w, "adapter_config.json: expected an object");
    unlink(path);
    expect_refusal(&w, "adapter_config.json");
    release(&w);
}

Test(peft_folder, tensors_and_targets_have_to_agree) {
    static const struct {
        const char *targets, *message;
    } cases[] = {
        {"query", "self_attn.v_proj.lora_A.weight\" is of none of policy.adapter.targets"},
        {"query, value, down", "mlp.down_proj.lora_A.weight\", which policy.adapter.targets needs"},
    };
    Written w = write_adapter();
    for (size_t i = 0; i < 2; i++) {
        RgError error = {0};
        const RgAdapterOptions options = {.rank = 2, .alpha = 4, .targets = cases[i].targets};
        rg_policy_destroy(w.policy);
        cr_assert_eq(rg_policy_adapt(w.original, &options, rg_random_root(1), &w.policy, &error),
                     RG_OK);
        expect_refusal(&w, cases[i].message);
    }
    release(&w);
}

Test(peft_folder, a_matrix_of_another_shape_is_refused) {
    Written w = write_adapter();
    RgSafetensors *file = open_tensors(w.folder, "adapter_model.safetensors");
    RgStoredTensor all[16];
    int count = rg_safetensors_count(file);
    for (int i = 0; i < count; i++)
        all[i] = *rg_safetensors_at(file, i);
    int64_t rows = all[0].size[0];
    all[0].size[0] = all[0].size[1];
    all[0].size[1] = rows;
    char path[300];
    RgError error = {0};
    snprintf(path, sizeof path, "%s/turned.safetensors", w.folder);
    cr_assert_eq(rg_safetensors_write(path, all, count, NULL, &error), RG_OK, "%s", error.text);
    rg_safetensors_close(file);
    char *right = rg_string_format("%s/adapter_model.safetensors", w.folder);
    cr_assert_eq(rename(path, right), 0);
    free(right);
    expect_refusal(&w, "lora_A.weight\": expected 2 rows of 16");
    release(&w);
}

/* Of the same shape, an adapter may still have been trained on other weights. */
Test(peft_folder, another_base_model_is_noticed) {
    static const struct {
        const char *named, *loaded;
        bool noticed;
    } cases[] = {{"org/small", "data/small", false},
                 {"small/", "/models/small/model.safetensors", false},
                 {"", "data/small", false},
                 {"org/small-v2", "data/small", true},
                 {"org/small", "", true}};
    Written w = write_adapter();
    RgError error = {0};
    char path[300];
    snprintf(path, sizeof path, "%s/adapter_config.json", w.folder);
    json_t *config = read_json(w.folder, "adapter_config.json");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin_notices();
        json_object_set_new(config, "base_model_name_or_path", json_string(cases[i].named));
        cr_assert_eq(json_dump_file(config, path, 0), 0);
        cr_expect_eq(rg_peft_load(w.policy, cases[i].loaded, w.folder, &error), RG_OK, "%s",
                     error.text);
        cr_expect_eq(strstr(notices, "an adapter of ") != NULL, cases[i].noticed, "%zu: %s", i,
                     notices);
    }
    end_notices();
    json_decref(config);
    release(&w);
}

/* GPT-2 fuses query, key and value, so a part of them cannot be read. */
Test(peft_folder, a_part_of_a_module_is_not_read) {
    RgError error = {0};
    const RgTransformerOptions options = like_gpt2(small);
    const RgAdapterOptions query = {.rank = 2, .alpha = 4, .targets = "query"};
    Written w = {.original = random_model(&options)};
    w.policy = adapted(w.original, &query);
    snprintf(w.folder, sizeof w.folder, "%s", scratch("adapter"));
    cr_assert_eq(rg_peft_save(w.policy, NULL, w.folder, &error), RG_OK, "%s", error.text);
    expect_refusal(&w, "module transformer.h.0.attn.c_attn: policy.adapter.targets has a part");
    release(&w);
}

Test(peft_folder, an_adapter_is_written_for_its_own_model_only) {
    RgError error = {0};
    const RgTransformerOptions options = like_gpt2(small);
    RgPolicy *other = random_model(&options);
    Written w = write_adapter();
    const char *base = scratch("other");
    cr_assert_eq(rg_hugging_face_save(other, base, &error), RG_OK, "%s", error.text);
    cr_expect_eq(rg_peft_save(w.policy, base, w.folder, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "not the model that this adapter belongs to"), "%s", error.text);
    cr_expect_eq(rg_peft_save(w.original, NULL, w.folder, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "the policy has no adapter"), "%s", error.text);
    rg_policy_destroy(other);
    release(&w);
}
