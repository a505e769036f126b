/* SPDX-License-Identifier: MIT */
/* The options of the transformer policy: their table, which of them fit together, and the
 * description in files of this program. */
#include "core/models/transformer_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const pairing_names[] = {
    [RG_ROPE_NEIGHBOURS] = "neighbours", [RG_ROPE_HALVES] = "halves", NULL};
static const char *const position_names[] = {
    [RG_POSITIONS_ROTARY] = "rotary", [RG_POSITIONS_LEARNED] = "learned", NULL};
static const char *const norm_names[] = {[RG_NORM_RMS] = "rms", [RG_NORM_LAYER] = "layer", NULL};
static const char *const feed_forward_names[] = {[RG_FEED_FORWARD_SWIGLU] = "swiglu",
                                                 [RG_FEED_FORWARD_GELU] = "gelu",
                                                 [RG_FEED_FORWARD_GELU_EXACT] = "gelu-exact",
                                                 [RG_FEED_FORWARD_GEGLU] = "geglu",
                                                 NULL};
static const char *const bias_names[] = {[RG_BIASES_NONE] = "none",
                                         [RG_BIASES_QUERY_KEY_VALUE] = "query-key-value",
                                         [RG_BIASES_ALL] = "all",
                                         NULL};
static const char *const residual_names[] = {
    [RG_RESIDUAL_SEQUENTIAL] = "sequential", [RG_RESIDUAL_PARALLEL] = "parallel", NULL};
static const char *const scaling_names[] = {[RG_ROPE_UNSCALED] = "none",
                                            [RG_ROPE_LINEAR] = "linear",
                                            [RG_ROPE_LLAMA3] = "llama3",
                                            [RG_ROPE_YARN] = "yarn",
                                            NULL};

const RgOption rg_transformer_option_table[] = {
    RG_OPTION_INTEGER(RgTransformerOptions, layers, "4", 1, 1000, "number of layers"),
    RG_OPTION_INTEGER(RgTransformerOptions, width, "128", 2, 65536,
                      "width of the residual stream; a multiple of heads, unless head_size is "
                      "given"),
    RG_OPTION_INTEGER(RgTransformerOptions, heads, "4", 1, 1024, "attention heads"),
    RG_OPTION_INTEGER(RgTransformerOptions, kv_heads, "0", 0, 1024,
                      "heads of keys and values, a divisor of heads; 0: as many as heads"),
    RG_OPTION_INTEGER(RgTransformerOptions, hidden, "0", 0, 262144,
                      "width of the feed-forward layer; 0: 8/3 width, up to a multiple of 16"),
    RG_OPTION_INTEGER(RgTransformerOptions, context, "128", 1, 1048576,
                      "longest sequence, in tokens"),
    RG_OPTION_BOOLEAN(RgTransformerOptions, tied, "true",
                      "whether the output head shares the weights of the token embedding"),
    RG_OPTION_REAL(RgTransformerOptions, rope_base, "10000", 1, 1e9,
                   "base of the rotary embedding's wavelengths"),
    RG_OPTION_CHOICE(
        RgTransformerOptions, rope_pairing, "halves", pairing_names,
        "dimensions that are rotated together: neighbours as in llama2.c, or halves as in "
        "Hugging Face's models"),
    RG_OPTION_REAL(RgTransformerOptions, norm_epsilon, "1e-5", 1e-12, 1,
                   "epsilon under the square root of the norms"),
    RG_OPTION_CHOICE(RgTransformerOptions, positions, "rotary", position_names,
                     "position encoding: rotary, or a learned embedding as in GPT-2"),
    RG_OPTION_CHOICE(RgTransformerOptions, norm, "rms", norm_names,
                     "RMSNorm, or LayerNorm with biases as in GPT-2"),
    RG_OPTION_CHOICE(
        RgTransformerOptions, feed_forward, "swiglu", feed_forward_names,
        "SwiGLU; GELU without a gate, by the tanh approximation as in GPT-2 or exact as "
        "in GPT-NeoX; or GEGLU, SwiGLU with that GELU as in Gemma"),
    RG_OPTION_CHOICE(RgTransformerOptions, biases, "none", bias_names,
                     "matrices of a layer that have a bias: none; query, key and value as in "
                     "Qwen2; or all as in GPT-2"),
    RG_OPTION_REAL(RgTransformerOptions, initial_deviation, "0.02", 0, 1,
                   "standard deviation of initial weights; those of projections onto the residual "
                   "stream are divided by sqrt(2 layers)"),
    RG_OPTION_INTEGER(RgTransformerOptions, head_size, "0", 0, 65536,
                      "dimensions of an attention head, an even number; 0: width / heads",
                      .later = true),
    RG_OPTION_BOOLEAN(RgTransformerOptions, query_key_norm, "false",
                      "RMSNorm of the queries and keys of each head, as in Qwen3 and Gemma 3",
                      .later = true),
    RG_OPTION_INTEGER(RgTransformerOptions, rotary_size, "0", 0, 65536,
                      "dimensions of a head that are rotated, its first ones; 0: all",
                      .later = true),
    RG_OPTION_CHOICE(RgTransformerOptions, rope_scaling, "none", scaling_names,
                     "how rotary frequencies are slowed for a context longer than the original: "
                     "all alike (linear), or by their rotations over the original context as in "
                     "Llama 3.1 or YaRN (arXiv:2309.00071)",
                     .later = true),
    RG_OPTION_REAL(RgTransformerOptions, rope_factor, "1", 1e-6, 1e6,
                   "factor by which rope_scaling slows frequencies", .later = true),
    RG_OPTION_INTEGER(RgTransformerOptions, rope_original_context, "0", 0, 1048576,
                      "context before scaling, for llama3 and yarn; 0: `context`", .later = true),
    RG_OPTION_REAL(RgTransformerOptions, rope_low_rotations, "0", 0, 1e6,
                   "rotations over the original context up to which a frequency is slowed in full "
                   "by llama3 and yarn; 0: 1",
                   .later = true),
    RG_OPTION_REAL(RgTransformerOptions, rope_high_rotations, "0", 0, 1e6,
                   "rotations from which on it is not slowed; 0: 4 for llama3, 32 for yarn",
                   .later = true),
    RG_OPTION_REAL(RgTransformerOptions, rope_amplitude, "0", 0, 1000,
                   "factor of rotated queries and keys under rope_scaling; 0: 0.1 ln(rope_factor) "
                   "+ 1 for yarn, 1 for the others",
                   .later = true),
    RG_OPTION_INTEGER(RgTransformerOptions, window, "0", 0, 1048576,
                      "sliding window of attention: tokens that a token sees, itself included; 0: "
                      "all before it",
                      .later = true),
    RG_OPTION_INTEGER(RgTransformerOptions, window_first, "0", 0, 1000,
                      "layers before the first with the window", .later = true),
    RG_OPTION_INTEGER(RgTransformerOptions, full_every, "0", 0, 1000,
                      "every so many layers one has no window, as in Gemma; 0: none",
                      .later = true),
    RG_OPTION_REAL(RgTransformerOptions, window_rope_base, "0", 0, 1e9,
                   "rope_base of the layers with the window, whose frequencies are not scaled, as "
                   "in Gemma 3; 0: as in all others",
                   .later = true),
    RG_OPTION_CHOICE(RgTransformerOptions, residual, "sequential", residual_names,
                     "input of the feed-forward layer: the sum after attention, or, parallel, the "
                     "layer's input as in GPT-NeoX",
                     .later = true),
    RG_OPTION_BOOLEAN(RgTransformerOptions, output_norms, "false",
                      "RMSNorm of what attention and the feed-forward layer add, as in Gemma 2",
                      .later = true),
    RG_OPTION_REAL(RgTransformerOptions, embedding_scale, "1", 1e-6, 1e6,
                   "factor of token embeddings; sqrt(width) in Gemma", .later = true),
    RG_OPTION_REAL(RgTransformerOptions, attention_scale, "0", 0, 1000,
                   "factor of attention scores; 0: 1/sqrt(head_size)", .later = true),
    RG_OPTION_REAL(RgTransformerOptions, attention_cap, "0", 0, 1e6,
                   "cap c of attention scores, c tanh(score / c); 0: none", .later = true),
    RG_OPTION_REAL(RgTransformerOptions, logit_cap, "0", 0, 1e6,
                   "cap c of logits, c tanh(logit / c); 0: none", .later = true),
    RG_OPTION_END,
};

/* ---- dimensions ---- */

static RgTransformerOptions resolve(const RgTransformerOptions *given) {
    RgTransformerOptions o = *given;
    if (o.kv_heads == 0)
        o.kv_heads = o.heads;
    if (o.hidden == 0)
        o.hidden = (o.width * 8 / 3 + 15) / 16 * 16;
    if (o.rope_factor == 0)
        o.rope_factor = 1;
    if (o.embedding_scale == 0)
        o.embedding_scale = 1;
    return o;
}

int64_t rg_transformer_most(const char *size) {
    const RgOption *option = rg_options_find(rg_transformer_option_table, size);
    return option ? (int64_t)option->high : 1 << 24; /* the vocabulary is not an option */
}

static RgStatus misfit(RgError *error, const char *what) {
    return rg_fail(error, RG_E_RANGE, "transformer: %s", what);
}

/* An option that would have no effect is refused, too. */
static RgStatus check_variants(const RgTransformerOptions *o, RgError *error) {
    int64_t size = rg_transformer_head_size(o);
    bool rotary = o->positions == RG_POSITIONS_ROTARY;
    if (size % 2 != 0 || o->rotary_size % 2 != 0 || o->rotary_size > size)
        return rg_fail(error, RG_E_RANGE,
                       "transformer: head_size %lld and rotary_size %lld, expected even numbers, "
                       "and no more dimensions rotated than a head has",
                       (long long)size, (long long)o->rotary_size);
    if (!rotary && (o->rotary_size || o->rope_scaling || o->window_rope_base > 0))
        return misfit(error, "rotary_size, rope_scaling and window_rope_base need "
                             "positions = \"rotary\"");
    if (o->rope_scaling == RG_ROPE_UNSCALED &&
        (o->rope_factor != 1 || o->rope_original_context || o->rope_low_rotations > 0 ||
         o->rope_high_rotations > 0 || o->rope_amplitude > 0))
        return misfit(error, "rope_factor, rope_original_context, rope_low_rotations, "
                             "rope_high_rotations and rope_amplitude need a rope_scaling");
    if (o->rope_scaling == RG_ROPE_LINEAR &&
        (o->rope_original_context || o->rope_low_rotations > 0 || o->rope_high_rotations > 0))
        return misfit(error, "rope_original_context, rope_low_rotations and rope_high_rotations "
                             "are of rope_scaling llama3 and yarn");
    double low = o->rope_low_rotations > 0 ? o->rope_low_rotations : 1;
    double high = o->rope_high_rotations > 0          ? o->rope_high_rotations
                  : o->rope_scaling == RG_ROPE_LLAMA3 ? 4
                                                      : 32;
    if (o->rope_scaling >= RG_ROPE_LLAMA3 && !(low < high))
        return misfit(error, "rope_low_rotations is not below rope_high_rotations");
    if (o->rope_scaling == RG_ROPE_YARN && !(o->rope_base > 1))
        return misfit(error, "rope_base is not above 1");
    if (o->window == 0 && (o->window_first || o->full_every || o->window_rope_base > 0))
        return misfit(error, "window_first, full_every and window_rope_base need a window");
    if (o->output_norms && (o->norm != RG_NORM_RMS || o->residual == RG_RESIDUAL_PARALLEL))
        return misfit(error, "output_norms need norm = \"rms\" and residual = \"sequential\"");
    return RG_OK;
}

/* The range of each option is checked when it is read. Here all are checked again, for descriptions
 * and loaders, together with their consistency. */
static RgStatus check_dimensions(const RgTransformerOptions *o, int64_t vocabulary,
                                 RgError *error) {
    const struct {
        const char *name;
        int64_t size;
    } sizes[] = {{"layers", o->layers},     {"width", o->width},   {"heads", o->heads},
                 {"kv_heads", o->kv_heads}, {"hidden", o->hidden}, {"context", o->context},
                 {"vocabulary", vocabulary}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t most = rg_transformer_most(sizes[i].name);
        if (sizes[i].size < 1 || sizes[i].size > most)
            return rg_fail(error, RG_E_RANGE, "transformer: %s is %lld, expected 1 to %lld",
                           sizes[i].name, (long long)sizes[i].size, (long long)most);
    }
    if (o->head_size == 0 && o->width % (2 * o->heads) != 0)
        return rg_fail(error, RG_E_RANGE,
                       "transformer: width %lld does not divide into %lld heads of even size",
                       (long long)o->width, (long long)o->heads);
    if (o->heads % o->kv_heads != 0)
        return rg_fail(error, RG_E_RANGE, "transformer: kv_heads %lld does not divide heads %lld",
                       (long long)o->kv_heads, (long long)o->heads);
    if (!(o->rope_base > 0) || !(o->norm_epsilon > 0))
        return rg_fail(error, RG_E_RANGE,
                       "transformer: rope_base %g and norm_epsilon %g, expected above 0",
                       o->rope_base, o->norm_epsilon);
    if (o->rope_pairing < 0 || o->positions < 0 || o->norm < 0 || o->feed_forward < 0 ||
        o->biases < 0)
        return rg_fail(
            error, RG_E_RANGE,
            "transformer: unknown rope_pairing, positions, norm, feed_forward or biases");
    return check_variants(o, error);
}

RgStatus rg_transformer_dimensions(const RgTransformerOptions *given, int64_t vocabulary,
                                   RgTransformerOptions *options, RgError *error) {
    *options = resolve(given);
    return check_dimensions(options, vocabulary, error);
}

/* ---- description ---- */

/* An option's number: of a choice its index, of a flag 0 or 1. */
static double number_of(const RgOption *option, const RgTransformerOptions *o) {
    const char *at = (const char *)o + option->offset;
    switch (option->kind) {
    case RG_KIND_INTEGER:
        return (double)*(const int64_t *)(const void *)at;
    case RG_KIND_REAL:
        return *(const double *)(const void *)at;
    case RG_KIND_BOOLEAN:
        return *(const bool *)(const void *)at;
    default:
        return *(const int *)(const void *)at;
    }
}

static void set_number(const RgOption *option, double number, RgTransformerOptions *o) {
    char *at = (char *)o + option->offset;
    switch (option->kind) {
    case RG_KIND_INTEGER:
        *(int64_t *)(void *)at = (int64_t)number;
        break;
    case RG_KIND_REAL:
        *(double *)(void *)at = number;
        break;
    case RG_KIND_BOOLEAN:
        *(bool *)(void *)at = number != 0;
        break;
    default:
        *(int *)(void *)at = (int)number;
    }
}

/* The default. All variants' choices and flags have their first value as default. */
static double default_of(const RgOption *option) {
    bool number = option->kind == RG_KIND_INTEGER || option->kind == RG_KIND_REAL;
    return number ? strtod(option->fallback, NULL) : 0;
}

/* Variants are described only where they are not the default, so that files of other models keep
 * their bytes. */
static void describe_variants(const RgTransformerOptions *o, json_t *root) {
    for (const RgOption *option = rg_transformer_option_table; option->kind != RG_KIND_END;
         option++) {
        double number = number_of(option, o);
        if (!option->later || number == default_of(option))
            continue;
        json_t *value = option->kind == RG_KIND_INTEGER ? json_integer((json_int_t)number)
                        : option->kind == RG_KIND_REAL  ? json_real(number)
                        : option->kind == RG_KIND_BOOLEAN
                            ? json_true()
                            : json_string(option->choices[(int)number]);
        json_object_set_new(root, option->name, value);
    }
}

char *rg_transformer_describe(const RgPolicy *policy) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    json_t *root = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:f, s:s, s:f, s:f, s:s, s:s, s:s, s:s}",
        "vocabulary", (json_int_t)rg_transformer_vocabulary(policy), "layers",
        (json_int_t)o->layers, "width", (json_int_t)o->width, "heads", (json_int_t)o->heads,
        "kv_heads", (json_int_t)o->kv_heads, "hidden", (json_int_t)o->hidden, "context",
        (json_int_t)o->context, "tied", (int)o->tied, "rope_base", o->rope_base, "rope_pairing",
        pairing_names[o->rope_pairing], "norm_epsilon", o->norm_epsilon, "initial_deviation",
        o->initial_deviation, "positions", position_names[o->positions], "norm",
        norm_names[o->norm], "feed_forward", feed_forward_names[o->feed_forward], "biases",
        bias_names[o->biases]);
    describe_variants(o, root);
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    json_decref(root);
    return text;
}

/* Index of a name among the choices; −1 if it is none. */
static int choice(const char *const *names, const char *name) {
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static RgStatus restore_variant(const RgOption *option, const json_t *value,
                                RgTransformerOptions *o, RgError *error) {
    double number = default_of(option);
    bool fits = true;
    if (value && option->kind == RG_KIND_INTEGER && (fits = json_is_integer(value)))
        number = (double)json_integer_value(value);
    if (value && option->kind == RG_KIND_REAL && (fits = json_is_number(value)))
        number = json_number_value(value);
    if (value && option->kind == RG_KIND_BOOLEAN && (fits = json_is_boolean(value)))
        number = json_is_true(value);
    if (value && option->kind == RG_KIND_CHOICE && (fits = json_is_string(value)))
        number = choice(option->choices, json_string_value(value));
    bool limited = option->kind == RG_KIND_INTEGER || option->kind == RG_KIND_REAL;
    if (!fits || number < 0 || (limited && (number < option->low || number > option->high)))
        return rg_fail(error, RG_E_FORMAT, "description of a transformer: %s is not a valid value",
                       option->name);
    set_number(option, number, o);
    return RG_OK;
}

static RgStatus restore_variants(const json_t *root, RgTransformerOptions *o, RgError *error) {
    for (const RgOption *option = rg_transformer_option_table; option->kind != RG_KIND_END;
         option++)
        if (option->later)
            RG_TRY(restore_variant(option, json_object_get(root, option->name), o, error));
    return RG_OK;
}

RgStatus rg_transformer_read_description(const char *description, RgTransformerOptions *options,
                                         int64_t *vocabulary, RgError *error) {
    json_error_t where;
    json_t *root = json_loads(description, 0, &where);
    if (!root)
        return rg_fail(error, RG_E_FORMAT, "description of a transformer: %s", where.text);
    json_int_t vocabulary_size, layers, width, heads, kv_heads, hidden, context;
    RgTransformerOptions o = {0};
    /* Defaults for old descriptions without these options, which were Llamas. */
    const char *pairing, *positions = "rotary", *norms = "rms", *feed_forward = "swiglu",
                         *biases = "none";
    int tied;
    int bad = json_unpack_ex(
        root, &where, 0,
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:F, s:s, s:F, s:F, s?s, s?s, s?s, s?s}",
        "vocabulary", &vocabulary_size, "layers", &layers, "width", &width, "heads", &heads,
        "kv_heads", &kv_heads, "hidden", &hidden, "context", &context, "tied", &tied, "rope_base",
        &o.rope_base, "rope_pairing", &pairing, "norm_epsilon", &o.norm_epsilon,
        "initial_deviation", &o.initial_deviation, "positions", &positions, "norm", &norms,
        "feed_forward", &feed_forward, "biases", &biases);
    if (bad) {
        json_decref(root);
        return rg_fail(error, RG_E_FORMAT, "description of a transformer: %s", where.text);
    }
    o.layers = layers;
    o.width = width;
    o.heads = heads;
    o.kv_heads = kv_heads;
    o.hidden = hidden;
    o.context = context;
    o.tied = tied;
    o.rope_pairing = choice(pairing_names, pairing);
    o.positions = choice(position_names, positions);
    o.norm = choice(norm_names, norms);
    o.feed_forward = choice(feed_forward_names, feed_forward);
    o.biases = choice(bias_names, biases);
    RgStatus status = restore_variants(root, &o, error);
    json_decref(root);
    *options = o;
    *vocabulary = vocabulary_size;
    return status;
}
