/* SPDX-License-Identifier: MIT */
/* Claims about reading llama2.c checkpoints: every weight lands in its place, and a file that is
 * not one is refused with what was expected. What the weights compute is held against PyTorch in
 * double_transformer.c. */
#include "core/models/llama2c.h"
#include "core/models/transformer.h"
#include "tests/scratch.h"
#include "tests/shared_data.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static RgError error;

TestSuite(llama2c, .init = scratch_begin);

/* dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len */
static const int32_t small[7] = {8, 6, 2, 2, 1, 5, 3};
enum { WIDTH = 8, HIDDEN = 6, LAYERS = 2, KV_WIDTH = 4, VOCABULARY = 5, CONTEXT = 3, HALF = 2 };
enum {
    LAYER = 2 * WIDTH + 2 * WIDTH * WIDTH + 2 * WIDTH * KV_WIDTH + 3 * WIDTH * HIDDEN,
    EMBEDDING = VOCABULARY * WIDTH,
    ROTARY = EMBEDDING + LAYERS * LAYER + WIDTH, /* where the rotary tables start */
    TIED = ROTARY + 2 * CONTEXT * HALF,
    UNTIED = TIED + EMBEDDING,
};

/* A checkpoint whose numbers are their own place in the file: 0, 1, 2, … */
static void numbers_of(float *number) {
    for (int i = 0; i < UNTIED; i++)
        number[i] = (float)i;
    for (int position = 0; position < CONTEXT; position++)
        for (int p = 0; p < HALF; p++) {
            double angle = position * pow(10000, -2.0 * p / 4);
            number[ROTARY + position * HALF + p] = (float)cos(angle);
            number[ROTARY + (CONTEXT + position) * HALF + p] = (float)sin(angle);
        }
}

static const char *write_checkpoint(const int32_t *header, const float *number, size_t count) {
    const char *path = scratch("model.bin");
    FILE *stream = fopen(path, "wb");
    cr_assert(stream);
    fwrite(header, sizeof *header, 7, stream);
    fwrite(number, sizeof *number, count, stream);
    fclose(stream);
    return path;
}

static RgPolicy *load(const char *path) {
    RgPolicy *policy = NULL;
    cr_assert_eq(rg_llama2c_load(path, &policy, &error), RG_OK, "%s", error.text);
    return policy;
}

static void refuse(const char *path, RgStatus status, const char *expected) {
    RgPolicy *policy = (RgPolicy *)&error;
    cr_assert_eq(rg_llama2c_load(path, &policy, &error), status, "%s", expected);
    cr_assert_null(policy);
    cr_assert_eq(strncmp(error.text, path, strlen(path)), 0, "%s", error.text);
    cr_assert(strstr(error.text, expected), "%s\nlacks: %s", error.text, expected);
}

/* The view holds count numbers that start at place `start` of the file. */
static void expect_view(const RgPolicy *policy, const char *name, int start, int count) {
    int view = rg_parameters_find(policy->parameters, name);
    cr_assert_geq(view, 0, "%s", name);
    const RgParameterView *v = &policy->parameters->views[view];
    cr_assert_eq(v->count, count, "%s", name);
    for (int i = 0; i < count; i++)
        cr_assert_eq(policy->parameters->value[v->offset + i], start + i, "%s[%d]", name, i);
}

/* Places from export.py of llama2.c, written out: each kind of weight for all layers in turn. */
Test(llama2c, every_weight_lands_in_its_place) {
    float number[UNTIED];
    numbers_of(number);
    RgPolicy *policy = load(write_checkpoint(small, number, TIED));
    static const struct {
        const char *name;
        int count;
    } kinds[] = {{"input_layernorm", WIDTH},
                 {"self_attn.q_proj", WIDTH * WIDTH},
                 {"self_attn.k_proj", KV_WIDTH * WIDTH},
                 {"self_attn.v_proj", KV_WIDTH * WIDTH},
                 {"self_attn.o_proj", WIDTH * WIDTH},
                 {"post_attention_layernorm", WIDTH},
                 {"mlp.gate_proj", HIDDEN * WIDTH},
                 {"mlp.down_proj", WIDTH * HIDDEN},
                 {"mlp.up_proj", HIDDEN * WIDTH}};
    expect_view(policy, "model.embed_tokens.weight", 0, EMBEDDING);
    int start = EMBEDDING;
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        for (int layer = 0; layer < LAYERS; layer++) {
            char name[96];
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, kinds[kind].name);
            expect_view(policy, name, start, kinds[kind].count);
            start += kinds[kind].count;
        }
    expect_view(policy, "model.norm.weight", start, WIDTH);
    cr_assert_eq(start + WIDTH, ROTARY);
    cr_assert_eq(policy->parameters->count, ROTARY);
    cr_assert_eq(rg_parameters_find(policy->parameters, "lm_head.weight"), -1);
    rg_policy_destroy(policy);
}

Test(llama2c, a_negative_vocabulary_unties_the_head) {
    float number[UNTIED];
    int32_t header[7];
    numbers_of(number);
    memcpy(header, small, sizeof header);
    header[5] = -header[5];
    RgPolicy *policy = load(write_checkpoint(header, number, UNTIED));
    expect_view(policy, "lm_head.weight", TIED, EMBEDDING);
    expect_view(policy, "model.embed_tokens.weight", 0, EMBEDDING);
    cr_assert_eq(rg_transformer_vocabulary(policy), VOCABULARY);
    cr_assert_not(rg_transformer_options(policy)->tied);
    rg_policy_destroy(policy);
    refuse(write_checkpoint(header, number, TIED), RG_E_FORMAT, "truncated");
}

Test(llama2c, dimensions_are_those_of_the_header) {
    float number[UNTIED];
    numbers_of(number);
    RgPolicy *policy = load(write_checkpoint(small, number, TIED));
    const RgTransformerOptions *o = rg_transformer_options(policy);
    cr_assert(o->width == 8 && o->hidden == 6 && o->layers == 2 && o->heads == 2);
    cr_assert(o->kv_heads == 1 && o->context == 3 && o->tied);
    cr_assert_eq(o->rope_base, 10000);
    cr_assert_eq(o->norm_epsilon, 1e-5);
    cr_assert_eq(o->rope_pairing, RG_ROPE_NEIGHBOURS);
    rg_policy_destroy(policy);
}

Test(llama2c, a_file_of_any_other_length_is_refused_with_both_lengths) {
    float number[UNTIED];
    char expected[64];
    numbers_of(number);
    for (int count = 0; count < TIED; count += 7) {
        snprintf(expected, sizeof expected, "truncated: %d bytes expected by its header, %d found",
                 28 + 4 * TIED, 28 + 4 * count);
        refuse(write_checkpoint(small, number, (size_t)count), RG_E_FORMAT, expected);
    }
    refuse(write_checkpoint(small, number, TIED + 1), RG_E_FORMAT, "too long");
    refuse(scratch_write("header", "seven"), RG_E_FORMAT, "header of 28 bytes");
    refuse(scratch("absent"), RG_E_FILE, "No such file");
    refuse(scratch_path, RG_E_FILE, "Is a directory");
}

/* Nothing of the announced size is allocated before the file's own size is known. */
Test(llama2c, senseless_headers_are_refused) {
    float number[UNTIED];
    numbers_of(number);
    static const char *const names[7] = {"dim",        "hidden_dim", "n_layers", "n_heads",
                                         "n_kv_heads", "vocab_size", "seq_len"};
    for (int i = 0; i < 7; i++) {
        int32_t header[7];
        memcpy(header, small, sizeof header);
        header[i] = 0;
        refuse(write_checkpoint(header, number, TIED), RG_E_FORMAT, names[i]);
        header[i] = INT32_MAX - 1;
        refuse(write_checkpoint(header, number, TIED), RG_E_FORMAT, "");
        header[i] = INT32_MIN;
        refuse(write_checkpoint(header, number, TIED), RG_E_FORMAT, "");
    }
    const int32_t unfit[][7] = {
        {8, 6, 2, 3, 1, 5, 3}, {9, 6, 2, 3, 1, 5, 3}, {8, 6, 2, 4, 3, 5, 3}};
    for (int i = 0; i < 3; i++)
        refuse(write_checkpoint(unfit[i], number, TIED), RG_E_FORMAT, "are inconsistent");
}

Test(llama2c, another_rotary_base_is_refused) {
    float number[UNTIED];
    numbers_of(number);
    number[ROTARY + (CONTEXT + 1) * HALF + 1] = (float)sin(pow(500000, -0.5));
    refuse(write_checkpoint(small, number, TIED), RG_E_FORMAT, "not that of base 10000");
}

Test(llama2c, weights_that_are_not_finite_are_refused_by_name) {
    float number[UNTIED];
    numbers_of(number);
    number[EMBEDDING + 3] = NAN;
    refuse(write_checkpoint(small, number, TIED), RG_E_FORMAT,
           "model.layers.0.input_layernorm.weight: number 3 is not finite");
}

Test(llama2c, a_real_checkpoint_loads_and_survives_being_saved) {
    const char *path = shared_data("stories260K.bin");
    RgPolicy *policy = NULL, *again = NULL;
    cr_assert_eq(rg_policy_load(path, &policy, &error), RG_OK, "%s", error.text);
    const RgTransformerOptions *o = rg_transformer_options(policy);
    cr_assert(o->width == 64 && o->hidden == 172 && o->layers == 5 && o->heads == 8);
    cr_assert(o->kv_heads == 4 && o->context == 512 && o->tied);
    cr_assert_eq(rg_transformer_vocabulary(policy), 512);
    const char *saved = scratch("saved.safetensors");
    cr_assert_eq(rg_policy_save(policy, saved, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(saved, &again, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_parameters_hash(again->parameters), rg_parameters_hash(policy->parameters));
    rg_policy_destroy(again);
    rg_policy_destroy(policy);
}
