/* SPDX-License-Identifier: MIT */
/* Translates a Hugging Face config.json to the transformer policy's options. Every key is known: it
 * is read, has one supported value, or has no effect on log-probabilities. Of others a notice is
 * given. hugging_face_layout.c has the table of architectures. */
#include "core/models/hugging_face_config.h"

#include "core/files.h"
#include "core/notice.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Config {
    const char *path;
    json_t *root;
    RgError *error;
    RgHuggingFaceConfig *out;
} Config;

/* ---- values ---- */

/* null counts as absent, here and below. */
static const json_t *value_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static RgStatus expected(const Config *c, const char *key, const char *what) {
    return rg_fail(c->error, RG_E_FORMAT, "%s: %s: expected %s", c->path, key, what);
}

static RgStatus refuse(const Config *c, const char *key, const json_t *value,
                       const char *supported) {
    char *found = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    RgStatus status = rg_fail(c->error, RG_E_FORMAT, "%s: %s = %s is not supported; only %s",
                              c->path, key, found ? found : "?", supported);
    free(found);
    return status;
}

/* From 1 to `most`. `key` is the value's location, here and below. */
static RgStatus read_integer(const Config *c, const json_t *value, const char *key, int64_t most,
                             int64_t *out) {
    if (!json_is_integer(value))
        return expected(c, key, "an integer");
    *out = json_integer_value(value);
    return *out >= 1 && *out <= most
               ? RG_OK
               : rg_fail(c->error, RG_E_FORMAT, "%s: %s = %lld, expected 1 to %lld", c->path, key,
                         (long long)*out, (long long)most);
}

/* A positive number. */
static RgStatus read_number(const Config *c, const json_t *value, const char *key, double *out) {
    if (!json_is_number(value))
        return expected(c, key, "a number");
    *out = json_number_value(value);
    return *out > 0 && isfinite(*out) ? RG_OK : expected(c, key, "a number above 0");
}

static RgStatus read_flag_or(const Config *c, const char *key, bool fallback, bool *out) {
    const json_t *value = value_of(c->root, key);
    *out = value ? json_is_true(value) : fallback;
    return !value || json_is_boolean(value) ? RG_OK : expected(c, key, "true or false");
}

/* A number of the top level that may be absent. */
static RgStatus read_number_or(const Config *c, const char *key, double fallback, double *out) {
    const json_t *value = value_of(c->root, key);
    *out = fallback;
    return value ? read_number(c, value, key, out) : RG_OK;
}

/* The same; null means 0, while an absent one is the fallback. */
static RgStatus read_number_or_none(const Config *c, const char *key, double fallback,
                                    double *out) {
    *out = 0;
    return json_is_null(json_object_get(c->root, key)) ? RG_OK
                                                       : read_number_or(c, key, fallback, out);
}

/* Sets an option to a value. */
static RgStatus set_option(const Config *c, const char *option_name, const json_t *value,
                           const char *key) {
    const RgOption *option = rg_options_find(rg_policy_transformer.about.options, option_name);
    void *at = (char *)&c->out->options + option->offset;
    if (option->kind == RG_KIND_INTEGER)
        return read_integer(c, value, key, (int64_t)option->high, at);
    if (option->kind == RG_KIND_REAL) {
        RG_TRY(read_number(c, value, key, at));
        double number = *(const double *)at;
        /* Larger bases of wavelengths than those of new models are in use. */
        bool fits = number >= option->low && (!option->later || number <= option->high);
        return fits ? RG_OK
                    : rg_fail(c->error, RG_E_FORMAT, "%s: %s = %g, expected %g to %g", c->path, key,
                              number, option->low, option->high);
    }
    *(bool *)at = json_is_true(value);
    return json_is_boolean(value) ? RG_OK : expected(c, key, "true or false");
}

/* ---- keys of sizes ---- */

static RgStatus read_key(const Config *c, const RgHuggingFaceKey *key) {
    const json_t *value = value_of(c->root, key->name);
    if (value || key->fallback == RG_KEY_REQUIRED)
        return set_option(c, key->option, value, key->name);
    const RgOption *option = rg_options_find(rg_policy_transformer.about.options, key->option);
    void *at = (char *)&c->out->options + option->offset;
    if (option->kind == RG_KIND_INTEGER)
        *(int64_t *)at = (int64_t)key->fallback;
    else if (option->kind == RG_KIND_REAL)
        *(double *)at = key->fallback;
    else
        *(bool *)at = key->fallback != 0;
    return RG_OK;
}

static RgStatus read_sizes(const Config *c) {
    RgTransformerOptions *o = &c->out->options;
    for (const RgHuggingFaceKey *key = c->out->architecture->keys; key->name; key++)
        RG_TRY(read_key(c, key));
    if (o->hidden == 0) /* GPT-2's default */
        o->hidden = 4 * o->width;
    if (o->head_size * o->heads == o->width) /* the default here, too */
        o->head_size = 0;
    if (o->rope_base == 0)
        o->rope_base = 10000; /* unused */
    return read_integer(c, value_of(c->root, "vocab_size"), "vocab_size",
                        rg_transformer_most("vocabulary"), &c->out->vocabulary);
}

/* ---- rotary positions ---- */

static const struct {
    const char *name, *option;
    int of; /* a bit for each scaling that has it */
} rope_keys[] = {
    {"factor", "rope_factor", 1 << RG_ROPE_LINEAR | 1 << RG_ROPE_LLAMA3 | 1 << RG_ROPE_YARN},
    {"original_max_position_embeddings", "rope_original_context",
     1 << RG_ROPE_LLAMA3 | 1 << RG_ROPE_YARN},
    {"low_freq_factor", "rope_low_rotations", 1 << RG_ROPE_LLAMA3},
    {"high_freq_factor", "rope_high_rotations", 1 << RG_ROPE_LLAMA3},
    {"beta_slow", "rope_low_rotations", 1 << RG_ROPE_YARN},
    {"beta_fast", "rope_high_rotations", 1 << RG_ROPE_YARN},
    {"attention_factor", "rope_amplitude", 1 << RG_ROPE_YARN},
};
enum { ROPE_KEYS = sizeof rope_keys / sizeof *rope_keys };

/* A group of rotary parameters, and its location. */
typedef struct RopeGroup {
    const Config *config;
    const json_t *group;
    const char *name;
    double fraction; /* rotated share of a head */
    double mscale, mscale_all;
} RopeGroup;

static RgStatus read_rope_type(const RopeGroup *g) {
    static const char *const names[] = {[RG_ROPE_UNSCALED] = "default",
                                        [RG_ROPE_LINEAR] = "linear",
                                        [RG_ROPE_LLAMA3] = "llama3",
                                        [RG_ROPE_YARN] = "yarn"};
    const json_t *type = value_of(g->group, "rope_type");
    if (!type)
        type = value_of(g->group, "type");
    if (!type && !value_of(g->group, "factor"))
        return RG_OK;
    for (int i = 0; json_is_string(type) && i < 4; i++)
        if (strcmp(json_string_value(type), names[i]) == 0) {
            g->config->out->options.rope_scaling = i;
            return RG_OK;
        }
    return refuse(g->config, g->name, g->group,
                  "null, or the type default, linear, llama3 or yarn");
}

/* A parameter that is not known may change every angle, so it is refused. */
static RgStatus read_rope_key(RopeGroup *g, const char *key, const json_t *value,
                              const char *where) {
    const Config *c = g->config;
    int scaling = c->out->options.rope_scaling;
    if (strcmp(key, "rope_type") == 0 || strcmp(key, "type") == 0)
        return RG_OK;
    if (strcmp(key, "rope_theta") == 0)
        return set_option(c, "rope_base", value, where);
    if (strcmp(key, "partial_rotary_factor") == 0)
        return read_number(c, value, where, &g->fraction);
    if (strcmp(key, "truncate") == 0 && scaling == RG_ROPE_YARN)
        return json_is_true(value) ? RG_OK : refuse(c, where, value, "true");
    if (strcmp(key, "mscale") == 0 && scaling == RG_ROPE_YARN)
        return read_number(c, value, where, &g->mscale);
    if (strcmp(key, "mscale_all_dim") == 0 && scaling == RG_ROPE_YARN)
        return read_number(c, value, where, &g->mscale_all);
    for (int i = 0; i < ROPE_KEYS; i++)
        if (strcmp(key, rope_keys[i].name) == 0 && rope_keys[i].of >> scaling & 1)
            return set_option(c, rope_keys[i].option, value, where);
    return refuse(c, where, value, "parameters of the group's type");
}

/* Without its parameters a scaling would be another one. */
static RgStatus check_rope_keys(const RopeGroup *g) {
    int scaling = g->config->out->options.rope_scaling;
    for (int i = 0; i < ROPE_KEYS; i++) {
        bool needed = scaling == RG_ROPE_LLAMA3 || i == 0;
        if (needed && rope_keys[i].of >> scaling & 1 && !value_of(g->group, rope_keys[i].name))
            return rg_fail(g->config->error, RG_E_FORMAT, "%s: %s.%s: expected a number",
                           g->config->path, g->name, rope_keys[i].name);
    }
    return RG_OK;
}

/* YaRN's m(s) = 0.1·mscale·ln(factor) + 1, as a quotient of two. */
static void set_amplitude(const RopeGroup *g) {
    RgTransformerOptions *o = &g->config->out->options;
    if (o->rope_amplitude > 0 || !(g->mscale > 0) || !(g->mscale_all > 0))
        return;
    double log_factor = o->rope_factor > 1 ? 0.1 * log(o->rope_factor) : 0;
    o->rope_amplitude = (g->mscale * log_factor + 1) / (g->mscale_all * log_factor + 1);
}

static RgStatus read_rope_group(RopeGroup *g) {
    const char *key;
    json_t *value;
    if (!json_is_object(g->group))
        return expected(g->config, g->name, "an object");
    RG_TRY(read_rope_type(g));
    json_object_foreach((json_t *)g->group, key, value) {
        char where[160];
        snprintf(where, sizeof where, "%s.%s", g->name, key);
        if (!json_is_null(value))
            RG_TRY(read_rope_key(g, key, value, where));
    }
    RG_TRY(check_rope_keys(g));
    set_amplitude(g);
    return RG_OK;
}

/* Groups for layers with and without a window, as newer files of Gemma 3 have them. */
static RgStatus read_rope_of_layers(RopeGroup *g, const json_t *full, const json_t *sliding) {
    const Config *c = g->config;
    const json_t *type = value_of(sliding, "rope_type");
    if (json_object_size(g->group) != 2 || !json_is_object(sliding) ||
        (type && strcmp(json_string_value(type) ? json_string_value(type) : "", "default") != 0))
        return refuse(c, g->name, g->group,
                      "the groups full_attention and sliding_attention, the latter of the type "
                      "default");
    if (value_of(sliding, "rope_theta"))
        RG_TRY(set_option(c, "window_rope_base", value_of(sliding, "rope_theta"),
                          "rope_parameters.sliding_attention.rope_theta"));
    g->group = full;
    g->name = "rope_parameters.full_attention";
    return read_rope_group(g);
}

/* The number of rotated dimensions, from their share of a head. */
static RgStatus set_rotary_size(const Config *c, double fraction, const char *key) {
    const RgHuggingFaceArchitecture *a = c->out->architecture;
    RgTransformerOptions *o = &c->out->options;
    if (fraction == 1)
        return RG_OK;
    if (!a->fraction || !(fraction < 1))
        return rg_fail(c->error, RG_E_FORMAT, "%s: %s = %g is not supported; only %s", c->path, key,
                       fraction, a->fraction ? "numbers up to 1" : "1");
    int64_t size = o->head_size ? o->head_size : o->width / o->heads;
    o->rotary_size = (int64_t)((double)size * fraction);
    return o->rotary_size > 0 ? RG_OK
                              : rg_fail(c->error, RG_E_FORMAT,
                                        "%s: %s = %g rotates no dimension of a head of %lld",
                                        c->path, key, fraction, (long long)size);
}

/* Newer files have all of it in rope_parameters, older ones have the scaling in rope_scaling and
 * the rest at the top level. */
static RgStatus read_rope(const Config *c) {
    const RgHuggingFaceArchitecture *a = c->out->architecture;
    RgTransformerOptions *o = &c->out->options;
    const char *key = a->fraction ? a->fraction : "partial_rotary_factor";
    const json_t *old = value_of(c->root, "rope_scaling");
    const json_t *new = value_of(c->root, "rope_parameters");
    RopeGroup g = {.config = c, .group = new ? new : old};
    g.name = new ? "rope_parameters" : "rope_scaling";
    if (a->positions != RG_POSITIONS_ROTARY)
        return RG_OK;
    RG_TRY(read_number_or(c, key, a->fraction ? a->fallback_fraction : 1, &g.fraction));
    if (a->fallback_window_base > 0)
        RG_TRY(read_number_or(c, "rope_local_base_freq", a->fallback_window_base,
                              &o->window_rope_base));
    if (old && new && !json_equal(old, new))
        return refuse(c, "rope_scaling", old, "the same as rope_parameters");
    const json_t *full = value_of(g.group, "full_attention");
    if (full && a->fallback_window_base > 0)
        RG_TRY(read_rope_of_layers(&g, full, value_of(g.group, "sliding_attention")));
    else if (g.group)
        RG_TRY(read_rope_group(&g));
    const json_t *original = value_of(c->root, "original_max_position_embeddings");
    if (original && o->rope_scaling >= RG_ROPE_LLAMA3 && o->rope_original_context == 0)
        RG_TRY(
            set_option(c, "rope_original_context", original, "original_max_position_embeddings"));
    bool in_group = value_of(g.group, "partial_rotary_factor") != NULL;
    char where[160];
    snprintf(where, sizeof where, "%s%s%s", in_group ? g.name : "", in_group ? "." : "",
             in_group ? "partial_rotary_factor" : key);
    return set_rotary_size(c, g.fraction, where);
}

/* ---- sliding windows ---- */

/* The layers that layer_types lists: those before window_first, and each full_every-th, have full
 * attention. Other patterns are refused. */
static RgStatus read_layer_types(const Config *c, const json_t *types) {
    RgTransformerOptions *o = &c->out->options;
    bool *full = rg_allocate(o->layers, sizeof *full);
    bool known = (int64_t)json_array_size(types) == o->layers;
    int64_t first = o->layers, every = 0;
    for (int64_t i = 0; known && i < o->layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        full[i] = type && strcmp(type, "full_attention") == 0;
        known = full[i] || (type && strcmp(type, "sliding_attention") == 0);
        if (!full[i] && first == o->layers)
            first = i;
    }
    for (; known && every <= o->layers; every++) {
        bool fits = true;
        for (int64_t i = 0; i < o->layers; i++)
            fits = fits && full[i] == (i < first || (every > 0 && (i + 1) % every == 0));
        if (fits)
            break;
    }
    free(full);
    if (!known || every > o->layers)
        return refuse(c, "layer_types", types,
                      "one of full_attention and sliding_attention for each layer, full in the "
                      "first layers and in each n-th");
    o->window_first = first;
    o->full_every = every;
    return RG_OK;
}

static RgStatus read_pattern(const Config *c) {
    RgTransformerOptions *o = &c->out->options;
    const json_t *pattern = value_of(c->root, "sliding_window_pattern");
    const json_t *late = value_of(c->root, "max_window_layers");
    switch (c->out->architecture->window) {
    case RG_WINDOW_LATE:
        o->window_first = json_is_integer(late) ? 0 : 28;
        if (!late || (json_is_integer(late) && json_integer_value(late) == 0))
            return RG_OK;
        return set_option(c, "window_first", late, "max_window_layers");
    case RG_WINDOW_SECOND:
        o->full_every = 2;
        return RG_OK;
    case RG_WINDOW_SIXTH:
        o->full_every = 6;
        return pattern ? set_option(c, "full_every", pattern, "sliding_window_pattern") : RG_OK;
    default:
        return RG_OK;
    }
}

/* A window that no layer has, or one that holds the context, is none. */
static void drop_idle_window(RgTransformerOptions *o) {
    bool windowed = false;
    for (int64_t i = 0; i < o->layers; i++)
        windowed =
            windowed || !(i < o->window_first || (o->full_every && (i + 1) % o->full_every == 0));
    if (windowed && (o->window < o->context || o->window_rope_base > 0))
        return;
    o->window = o->window_first = o->full_every = 0;
    o->window_rope_base = 0;
}

static RgStatus read_window(const Config *c) {
    const RgHuggingFaceArchitecture *a = c->out->architecture;
    RgTransformerOptions *o = &c->out->options;
    const json_t *window = json_object_get(c->root, "sliding_window");
    const json_t *types = value_of(c->root, "layer_types");
    bool used = true;
    if (a->window == RG_WINDOW_NONE)
        return RG_OK;
    if (a->window == RG_WINDOW_LATE)
        RG_TRY(read_flag_or(c, "use_sliding_window", false, &used));
    o->window = window ? 0 : a->fallback_window;
    if (window && !json_is_null(window))
        RG_TRY(read_integer(c, window, "sliding_window", INT64_MAX, &o->window));
    if (o->window > o->context)
        o->window = o->context;
    RG_TRY(read_pattern(c));
    if (types)
        RG_TRY(read_layer_types(c, types));
    bool everywhere = o->window_first == 0 && o->full_every == 0;
    if (a->window == RG_WINDOW_ALL && o->window > 0 && !everywhere)
        return refuse(c, "layer_types", types, "sliding_attention in every layer");
    if (!used || o->window == 0)
        o->window_first = o->layers;
    drop_idle_window(o);
    return RG_OK;
}

/* ---- what single architectures have ---- */

static RgStatus read_gemma(const Config *c) {
    const RgHuggingFaceArchitecture *a = c->out->architecture;
    RgTransformerOptions *o = &c->out->options;
    double scalar;
    o->embedding_scale = sqrt((double)o->width);
    RG_TRY(read_number_or(c, "query_pre_attn_scalar", 256, &scalar));
    o->attention_scale = 1 / sqrt(scalar);
    RG_TRY(
        read_number_or_none(c, "attn_logit_softcapping", a->fallback_caps[0], &o->attention_cap));
    return read_number_or_none(c, "final_logit_softcapping", a->fallback_caps[1], &o->logit_cap);
}

static RgStatus read_residual(const Config *c) {
    bool parallel;
    RG_TRY(read_flag_or(c, "use_parallel_residual", true, &parallel));
    c->out->options.residual = parallel ? RG_RESIDUAL_PARALLEL : RG_RESIDUAL_SEQUENTIAL;
    return RG_OK;
}

/* ---- all keys ---- */

/* They would change log-probabilities with any other value. */
static const RgHuggingFaceFixed always_fixed[] = {
    {"attention_bias", "false", NULL},
    {"mlp_bias", "false", NULL},
    {"qkv_bias", "false", NULL},
    {"use_bias", "false", NULL},
    {"add_bias_linear", "false", NULL},
    {"add_qkv_bias", "false", NULL},
    {"qk_norm", "false", NULL},
    {"use_qk_norm", "false", NULL},
    {"qk_layernorm", "false", NULL},
    {"quantization_config", "null", NULL},
    {"compression_config", "null", NULL},
    {"embedding_multiplier", "1", NULL},
    {"residual_multiplier", "1", NULL},
    {"attention_multiplier", "null", NULL},
    {"logits_scaling", "1", NULL},
    {"logit_scale", "1", NULL},
    {"scale_emb", "1", NULL},
    {"scale_depth", "null", NULL},
    {"dim_model_base", "null", NULL},
    {"attn_logit_softcapping", "null", NULL},
    {"final_logit_softcapping", "null", NULL},
    {"query_pre_attn_scalar", "null", NULL},
    {"partial_rotary_factor", "1", NULL},
    {"rotary_pct", "1", NULL},
    {"rope_interleaved", "false", NULL},
    {"rope_local_base_freq", "null", NULL},
    {"no_rope_layers", "[]", NULL},
    {"no_rope_layer_interval", "null", NULL},
    {"use_mrope", "false", NULL},
    {"alibi", "false", NULL},
    {"clip_qkv", "null", NULL},
    {"attention_chunk_size", "null", NULL},
    {"sliding_window", "null", NULL},
    {"layer_types", "null", NULL},
    {"use_parallel_residual", "false", NULL},
    {"parallel_attn", "false", NULL},
    {"num_experts", "0", "1"},
    {"num_local_experts", "0", "1"},
    {"is_encoder_decoder", "false", NULL},
    {"add_cross_attention", "false", NULL},
    {"pruned_heads", "{}", NULL},
    {0},
};

/* Keys that are read besides the architecture's sizes. */
static const char *const always_read[] = {"architectures",
                                          "vocab_size",
                                          "rope_scaling",
                                          "rope_parameters",
                                          "original_max_position_embeddings",
                                          NULL};
static const char *const window_read[] = {"sliding_window",
                                          "use_sliding_window",
                                          "max_window_layers",
                                          "layer_types",
                                          "sliding_window_pattern",
                                          "_sliding_window_pattern",
                                          NULL};
static const char *const gemma_read[] = {"query_pre_attn_scalar", "attn_logit_softcapping",
                                         "final_logit_softcapping", NULL};

/* Nothing that this program computes depends on them. */
static const char *const without_effect[] = {"model_type",
                                             "_name_or_path",
                                             "name_or_path",
                                             "transformers_version",
                                             "torch_dtype",
                                             "dtype",
                                             "auto_map",
                                             "use_cache",
                                             "cache_implementation",
                                             "attn_implementation",
                                             "_attn_implementation",
                                             "_attn_implementation_autoset",
                                             "attn_type",
                                             "use_flash_attn",
                                             "_flash_attn_2_enabled",
                                             "pretraining_tp",
                                             "base_model_tp_plan",
                                             "initializer_range",
                                             "initializer_factor",
                                             "attention_dropout",
                                             "hidden_dropout",
                                             "classifier_dropout",
                                             "attn_pdrop",
                                             "embd_pdrop",
                                             "resid_pdrop",
                                             "dropout",
                                             "gradient_checkpointing",
                                             "reorder_and_upcast_attn",
                                             "n_ctx",
                                             "bos_token_id",
                                             "eos_token_id",
                                             "pad_token_id",
                                             "unk_token_id",
                                             "sep_token_id",
                                             "cls_token_id",
                                             "decoder_start_token_id",
                                             "is_decoder",
                                             "summary_type",
                                             "summary_use_proj",
                                             "summary_activation",
                                             "summary_first_dropout",
                                             "summary_proj_to_labels",
                                             "task_specific_params",
                                             "id2label",
                                             "label2id",
                                             "num_labels",
                                             "problem_type",
                                             "finetuning_task",
                                             "tokenizer_class",
                                             "prefix",
                                             "output_attentions",
                                             "output_hidden_states",
                                             "output_scores",
                                             "return_dict",
                                             "return_dict_in_generate",
                                             "torchscript",
                                             "use_bfloat16",
                                             "tf_legacy_loss",
                                             "tie_encoder_decoder",
                                             "chunk_size_feed_forward",
                                             "cross_attention_hidden_size",
                                             "max_length",
                                             "min_length",
                                             "do_sample",
                                             "early_stopping",
                                             "num_beams",
                                             "num_beam_groups",
                                             "diversity_penalty",
                                             "temperature",
                                             "top_k",
                                             "top_p",
                                             "typical_p",
                                             "repetition_penalty",
                                             "length_penalty",
                                             "no_repeat_ngram_size",
                                             "encoder_no_repeat_ngram_size",
                                             "bad_words_ids",
                                             "num_return_sequences",
                                             "forced_bos_token_id",
                                             "forced_eos_token_id",
                                             "remove_invalid_values",
                                             "exponential_decay_length_penalty",
                                             "suppress_tokens",
                                             "begin_suppress_tokens",
                                             "unsloth_version",
                                             "unsloth_fixed",
                                             "max_sequence_length",
                                             "model_max_length",
                                             "use_sliding_window",
                                             "max_window_layers",
                                             NULL};

static bool is_among(const char *const *names, const char *key) {
    for (; *names; names++)
        if (strcmp(*names, key) == 0)
            return true;
    return false;
}

static bool is_read(const RgHuggingFaceArchitecture *a, const char *key) {
    for (const RgHuggingFaceKey *k = a->keys; k->name; k++)
        if (strcmp(k->name, key) == 0)
            return true;
    return is_among(always_read, key) || (a->window && is_among(window_read, key)) ||
           (a->gemma && is_among(gemma_read, key)) ||
           (a->fraction && strcmp(key, a->fraction) == 0) ||
           (a->parallel && strcmp(key, "use_parallel_residual") == 0) ||
           (a->fallback_window_base > 0 && strcmp(key, "rope_local_base_freq") == 0);
}

static bool is_same(const json_t *value, const char *text) {
    if (!text)
        return false;
    json_t *other = json_loads(text, JSON_DECODE_ANY, NULL);
    bool same = json_is_number(value) && json_is_number(other)
                    ? json_number_value(value) == json_number_value(other)
                    : json_equal(value, other);
    json_decref(other);
    return same;
}

/* Sets *known if the key is in the table. */
static RgStatus check_fixed(const Config *c, const RgHuggingFaceFixed *fixed, const char *key,
                            const json_t *value, bool *known) {
    for (; fixed->name; fixed++) {
        if (strcmp(fixed->name, key) != 0)
            continue;
        *known = true;
        return is_same(value, fixed->value) || is_same(value, fixed->other)
                   ? RG_OK
                   : refuse(c, key, value, fixed->value);
    }
    return RG_OK;
}

static RgStatus check_keys(const Config *c) {
    const RgHuggingFaceArchitecture *a = c->out->architecture;
    const char *key;
    json_t *value;
    char *unknown = NULL;
    RgStatus status = RG_OK;
    json_object_foreach(c->root, key, value) {
        bool known = json_is_null(value) || is_read(a, key);
        if (!known)
            status = check_fixed(c, a->fixed, key, value, &known);
        if (!known && status == RG_OK)
            status = check_fixed(c, always_fixed, key, value, &known);
        if (status != RG_OK)
            break;
        if (known || is_among(without_effect, key))
            continue;
        char *longer = rg_string_format("%s%s%s", unknown ? unknown : "", unknown ? ", " : "", key);
        free(unknown);
        unknown = longer;
    }
    if (unknown && status == RG_OK)
        rg_notice("%s: not known, and without effect here: %s", c->path, unknown);
    free(unknown);
    return status;
}

/* ---- the whole ---- */

/* Whether a name is that of an architecture, or of its form with another head. */
static bool is_named(const RgHuggingFaceArchitecture *a, const char *name, bool *classifies) {
    static const char classifier[] = "ForSequenceClassification";
    const char *head = strstr(a->name, "ForCausalLM");
    size_t stem = head ? (size_t)(head - a->name) : strlen(a->name) - strlen("LMHeadModel");
    *classifies = strncmp(a->name, name, stem) == 0 && strcmp(name + stem, classifier) == 0;
    return *classifies || strcmp(a->name, name) == 0;
}

static RgStatus find_architecture(const Config *c) {
    const json_t *names = json_object_get(c->root, "architectures");
    const char *name = json_string_value(json_array_get(names, 0));
    if (!name)
        return expected(c, "architectures", "an array with a name");
    char *known = rg_string_copy("");
    const RgHuggingFaceArchitecture *a = rg_hugging_face_architectures;
    for (; a->name && !is_named(a, name, &c->out->classifies); a++) {
        char *longer = rg_string_format("%s%s%s", known, *known ? ", " : "", a->name);
        free(known);
        known = longer;
    }
    RgStatus status = a->name ? RG_OK : refuse(c, "architectures", names, known);
    free(known);
    c->out->architecture = a;
    return status;
}

static RgStatus read_padding(const Config *c) {
    const json_t *value = value_of(c->root, "pad_token_id");
    c->out->padding = -1;
    if (value && (!json_is_integer(value) || json_integer_value(value) < -1 ||
                  json_integer_value(value) > INT32_MAX))
        return expected(c, "pad_token_id", "the id of a token");
    if (value)
        c->out->padding = (int32_t)json_integer_value(value);
    return RG_OK;
}

static RgStatus read_config(const Config *c) {
    RG_TRY(find_architecture(c));
    const RgHuggingFaceArchitecture *a = c->out->architecture;
    RgTransformerOptions *o = &c->out->options;
    o->positions = a->positions;
    o->norm = a->norm;
    o->feed_forward = a->feed_forward;
    o->biases = a->biases;
    o->query_key_norm = a->query_key_norm;
    o->output_norms = a->output_norms;
    o->rope_pairing = RG_ROPE_HALVES;
    RG_TRY(read_sizes(c));
    RG_TRY(check_keys(c));
    if (c->out->classifies)
        RG_TRY(read_padding(c));
    RG_TRY(read_rope(c));
    RG_TRY(read_window(c));
    if (a->parallel)
        RG_TRY(read_residual(c));
    return a->gemma ? read_gemma(c) : RG_OK;
}

RgStatus rg_hugging_face_config_read(const char *path, RgHuggingFaceConfig *config,
                                     RgError *error) {
    *config = (RgHuggingFaceConfig){.options.initial_deviation = 0.02};
    Config c = {.path = path, .error = error, .out = config};
    char *content;
    size_t size;
    RG_TRY(rg_file_read(path, &content, &size, error));
    json_error_t where;
    c.root = json_loadb(content, size, 0, &where);
    free(content);
    if (!c.root)
        return rg_fail(error, RG_E_FORMAT, "%s:%d: %s", path, where.line, where.text);
    RgStatus status = read_config(&c);
    json_decref(c.root);
    return status;
}
