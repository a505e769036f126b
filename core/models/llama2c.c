/* SPDX-License-Identifier: MIT */
/* Loading llama2.c checkpoints into the transformer policy (core/models/transformer.c): which
 * weights the file contains, and in which order. */
#include "core/models/llama2c.h"

#include "core/models/transformer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 14, NAME_SIZE = 96 };

static const double rope_base = 10000;
static const double norm_epsilon = 1e-5;

/* The file's first 28 bytes. */
typedef struct Header {
    int32_t width, hidden, layers, heads, kv_heads;
    int32_t vocabulary; /* negative: the head is not tied to the embedding */
    int32_t context;
} Header;
_Static_assert(sizeof(Header) == 28, "as in the file");

/* The file's content after the header, in order. A weight of a layer is stored for all layers
 * together. */
typedef struct Weight {
    const char *before, *after; /* the view's name before and after the layer's number */
    bool per_layer;
} Weight;
static const Weight weights[] = {
    {"model.embed_tokens.weight", NULL, false},
    {"model.layers.", ".input_layernorm.weight", true},
    {"model.layers.", ".self_attn.q_proj.weight", true},
    {"model.layers.", ".self_attn.k_proj.weight", true},
    {"model.layers.", ".self_attn.v_proj.weight", true},
    {"model.layers.", ".self_attn.o_proj.weight", true},
    {"model.layers.", ".post_attention_layernorm.weight", true},
    {"model.layers.", ".mlp.gate_proj.weight", true},
    {"model.layers.", ".mlp.down_proj.weight", true},
    {"model.layers.", ".mlp.up_proj.weight", true},
    {"model.norm.weight", NULL, false},
};
enum { WEIGHT_COUNT = sizeof weights / sizeof *weights };

typedef struct Loader {
    FILE *stream;
    const char *path;
    Header header;
    RgError *error;
} Loader;

static int64_t vocabulary_of(const Header *header) {
    return llabs((long long)header->vocabulary);
}

static RgStatus read_header(Loader *loader) {
    Header *h = &loader->header;
    if (fread(h, sizeof *h, 1, loader->stream) != 1 && ferror(loader->stream))
        return rg_fail(loader->error, RG_E_FILE, "%s: cannot read: %s", loader->path,
                       strerror(errno));
    if (feof(loader->stream))
        return rg_fail(loader->error, RG_E_FORMAT,
                       "%s: truncated: a llama2.c checkpoint starts with a header of %zu bytes",
                       loader->path, sizeof *h);
    const struct {
        const char *name;
        int64_t value;
    } dimensions[] = {{"dim", h->width},           {"hidden_dim", h->hidden},
                      {"n_layers", h->layers},     {"n_heads", h->heads},
                      {"n_kv_heads", h->kv_heads}, {"vocab_size", vocabulary_of(h)},
                      {"seq_len", h->context}};
    for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions; i++)
        if (dimensions[i].value <= 0)
            return rg_fail(loader->error, RG_E_FORMAT,
                           "%s: not a llama2.c checkpoint: %s = %lld in its header", loader->path,
                           dimensions[i].name, (long long)dimensions[i].value);
    if (h->width % h->heads != 0 || h->width / h->heads % 2 != 0 || h->heads % h->kv_heads != 0)
        return rg_fail(
            loader->error, RG_E_FORMAT,
            "%s: not a llama2.c checkpoint: dim %d, n_heads %d and n_kv_heads %d are inconsistent",
            loader->path, h->width, h->heads, h->kv_heads);
    return RG_OK;
}

/* Bytes of a file with this header. long double can represent the result for any header. */
static long double expected_bytes(const Header *h) {
    long double width = h->width, size = h->width / h->heads, kv_width = size * h->kv_heads;
    long double vocabulary = (long double)vocabulary_of(h);
    long double layer =
        2 * width + 2 * width * width + 2 * width * kv_width + 3 * width * h->hidden;
    long double heads = h->vocabulary < 0 ? 2 : 1;
    long double numbers =
        heads * vocabulary * width + h->layers * layer + width + h->context * size;
    return (long double)sizeof(Header) + 4 * numbers;
}

/* Checks the size before anything of the announced size is allocated. */
static RgStatus check_size(Loader *loader) {
    long double expected = expected_bytes(&loader->header);
    if (fseeko(loader->stream, 0, SEEK_END) != 0)
        return rg_fail(loader->error, RG_E_FILE, "%s: cannot seek: %s", loader->path,
                       strerror(errno));
    long double found = (long double)ftello(loader->stream);
    if (found != expected)
        return rg_fail(loader->error, RG_E_FORMAT,
                       "%s: %s: %.0Lf bytes expected by its header, %.0Lf found", loader->path,
                       found < expected ? "truncated" : "too long for a llama2.c checkpoint",
                       expected, found);
    if (fseeko(loader->stream, sizeof(Header), SEEK_SET) != 0)
        return rg_fail(loader->error, RG_E_FILE, "%s: cannot seek: %s", loader->path,
                       strerror(errno));
    return RG_OK;
}

/* Reads the next `count` numbers of the file; `name` is for messages. */
static RgStatus read_numbers(Loader *loader, const char *name, int64_t count, RgReal *out) {
    float chunk[CHUNK];
    for (int64_t done = 0; done < count;) {
        int64_t length = count - done < CHUNK ? count - done : CHUNK;
        if (fread(chunk, sizeof *chunk, (size_t)length, loader->stream) != (size_t)length)
            return rg_fail(loader->error, RG_E_FILE, "%s: cannot read %s: %s", loader->path, name,
                           ferror(loader->stream) ? strerror(errno) : "the file is truncated");
        for (int64_t i = 0; i < length; i++) {
            if (!isfinite(chunk[i]))
                return rg_fail(loader->error, RG_E_FORMAT,
                               "%s: %s: number %lld is not finite: corrupt", loader->path, name,
                               (long long)(done + i));
            out[done + i] = chunk[i];
        }
        done += length;
    }
    return RG_OK;
}

static RgStatus read_view(Loader *loader, RgParameters *parameters, const char *name) {
    int view = rg_parameters_find(parameters, name);
    RG_ASSERT(view >= 0);
    const RgParameterView *v = &parameters->views[view];
    return read_numbers(loader, name, v->count, parameters->value + v->offset);
}

static RgStatus read_weights(Loader *loader, RgParameters *parameters) {
    for (int i = 0; i < WEIGHT_COUNT; i++) {
        const Weight *weight = &weights[i];
        if (!weight->per_layer) {
            RG_TRY(read_view(loader, parameters, weight->before));
            continue;
        }
        for (int layer = 0; layer < loader->header.layers; layer++) {
            char name[NAME_SIZE];
            snprintf(name, sizeof name, "%s%d%s", weight->before, layer, weight->after);
            RG_TRY(read_view(loader, parameters, name));
        }
    }
    return RG_OK;
}

/* cos and sin of position · base^(−2p/size), [context, size/2] each. They are not used, but detect
 * a checkpoint with another base, which would load and then generate nonsense. Position 1 suffices.
 * The tolerance allows tables computed or rounded in half precision. */
static RgStatus check_rotary(Loader *loader) {
    const Header *h = &loader->header;
    int64_t half = h->width / h->heads / 2, count = h->context * half;
    RgReal *table = rg_allocate(count, sizeof *table);
    RgStatus status = RG_OK;
    for (int part = 0; part < 2 && status == RG_OK; part++) {
        status = read_numbers(loader, part == 0 ? "freq_cis_real" : "freq_cis_imag", count, table);
        for (int64_t p = 0; p < half && h->context > 1 && status == RG_OK; p++) {
            double angle = pow(rope_base, -(double)p / (double)half);
            double expected = part == 0 ? cos(angle) : sin(angle);
            if (fabs((double)table[half + p] - expected) > 5e-3)
                status = rg_fail(loader->error, RG_E_FORMAT,
                                 "%s: its rotary table is not that of base %g: %g expected for "
                                 "pair %lld at position 1, %g found",
                                 loader->path, rope_base, expected, (long long)p,
                                 (double)table[half + p]);
        }
    }
    free(table);
    return status;
}

static RgStatus load(Loader *loader, RgPolicy **policy) {
    RG_TRY(read_header(loader));
    RG_TRY(check_size(loader));
    const Header *h = &loader->header;
    const RgTransformerOptions options = {.layers = h->layers,
                                          .width = h->width,
                                          .heads = h->heads,
                                          .kv_heads = h->kv_heads,
                                          .hidden = h->hidden,
                                          .context = h->context,
                                          .tied = h->vocabulary > 0,
                                          .rope_base = rope_base,
                                          .rope_pairing = RG_ROPE_NEIGHBOURS,
                                          .norm_epsilon = norm_epsilon};
    RgStatus status = rg_transformer_create(&options, vocabulary_of(h), policy, loader->error);
    if (status != RG_OK)
        return rg_fail_in(loader->error, status, "%s", loader->path);
    RG_TRY(read_weights(loader, (*policy)->parameters));
    RG_TRY(check_rotary(loader));
    if (!options.tied)
        RG_TRY(read_view(loader, (*policy)->parameters, "lm_head.weight"));
    return RG_OK;
}

RgStatus rg_llama2c_load(const char *path, RgPolicy **policy, RgError *error) {
    *policy = NULL;
    Loader loader = {.stream = fopen(path, "rb"), .path = path, .error = error};
    if (!loader.stream)
        return rg_fail(error, RG_E_FILE, "%s: cannot open: %s", path, strerror(errno));
    RgStatus status = load(&loader, policy);
    fclose(loader.stream);
    if (status != RG_OK) {
        rg_policy_destroy(*policy);
        *policy = NULL;
    }
    return status;
}
