/* SPDX-License-Identifier: MIT */
/* Where the transformer policy's weights are in the files of each architecture. */
#include "core/models/hugging_face_layout.h"

#include <stdio.h>
#include <string.h>

/* The matrices that a stored tensor contains, one below the other. */
typedef enum Holds { ONE, QUERY_KEY_VALUE, GATE_UP } Holds;

/* A view, and the tensor that it is, or of which it is part number `which`. Names are without
 * .weight and .bias. */
typedef struct Part {
    const char *ours, *theirs;
    Holds holds;
    int which;
    bool transposed; /* stored as [in, out] */
} Part;

struct RgHuggingFaceNaming {
    const char *layer; /* prefix of the layers' names, with %s for the layer's number */
    Part part[16];     /* of a layer; all others have our name */
    Part other[8];     /* outside of layers, likewise */
};

const RgHuggingFaceNaming rg_hugging_face_llama = {.layer = "model.layers.%s."};
const RgHuggingFaceNaming rg_hugging_face_phi3 = {
    .layer = "model.layers.%s.",
    .part = {{"self_attn.q_proj", "self_attn.qkv_proj", QUERY_KEY_VALUE, 0, false},
             {"self_attn.k_proj", "self_attn.qkv_proj", QUERY_KEY_VALUE, 1, false},
             {"self_attn.v_proj", "self_attn.qkv_proj", QUERY_KEY_VALUE, 2, false},
             {"mlp.gate_proj", "mlp.gate_up_proj", GATE_UP, 0, false},
             {"mlp.up_proj", "mlp.gate_up_proj", GATE_UP, 1, false}},
};
const RgHuggingFaceNaming rg_hugging_face_gpt2 = {
    .layer = "h.%s.",
    .part = {{"input_layernorm", "ln_1", ONE, 0, false},
             {"self_attn.q_proj", "attn.c_attn", QUERY_KEY_VALUE, 0, true},
             {"self_attn.k_proj", "attn.c_attn", QUERY_KEY_VALUE, 1, true},
             {"self_attn.v_proj", "attn.c_attn", QUERY_KEY_VALUE, 2, true},
             {"self_attn.o_proj", "attn.c_proj", ONE, 0, true},
             {"post_attention_layernorm", "ln_2", ONE, 0, false},
             {"mlp.up_proj", "mlp.c_fc", ONE, 0, true},
             {"mlp.down_proj", "mlp.c_proj", ONE, 0, true}},
    .other = {{"model.embed_tokens", "wte", ONE, 0, false},
              {"model.embed_positions", "wpe", ONE, 0, false},
              {"model.norm", "ln_f", ONE, 0, false}},
};

static const Part *find_part(const Part *parts, int count, const char *name, size_t length) {
    for (int i = 0; i < count && parts[i].ours; i++)
        if (strlen(parts[i].ours) == length && strncmp(parts[i].ours, name, length) == 0)
            return &parts[i];
    return NULL;
}

/* The name of the stored tensor for a view, and the part that the view is of it. */
static Part place_of(const RgHuggingFaceNaming *naming, const char *view, char *name, size_t size) {
    static const char ours[] = "model.layers.";
    const char *suffix = strrchr(view, '.');
    if (strncmp(view, ours, strlen(ours)) != 0) {
        const Part *part = find_part(naming->other, 8, view, (size_t)(suffix - view));
        Part own = {.theirs = view};
        snprintf(name, size, "%s%s", part ? part->theirs : view, part ? suffix : "");
        return part ? *part : own;
    }
    const char *number = view + strlen(ours), *rest = strchr(number, '.') + 1;
    char layer[24], start[64];
    snprintf(layer, sizeof layer, "%.*s", (int)(rest - 1 - number), number);
    const char *place = strchr(naming->layer, '%');
    snprintf(start, sizeof start, "%.*s%s%s", (int)(place - naming->layer), naming->layer, layer,
             place + 2);
    const Part *part = find_part(naming->part, 16, rest, (size_t)(suffix - rest));
    Part own = {.theirs = rest};
    snprintf(name, size, "%s%s%s", start, part ? part->theirs : rest, part ? suffix : "");
    return part ? *part : own;
}

/* The rows of a part within its tensor: `first`, and the tensor's number of rows. */
static int64_t find_rows(const RgTransformerOptions *o, const Part *part,
                         const RgParameterView *view, int64_t *first) {
    int64_t kv_width = o->width / o->heads * o->kv_heads;
    const int64_t sizes[][3] = {[ONE] = {view->size[0], 0, 0},
                                [QUERY_KEY_VALUE] = {o->width, kv_width, kv_width},
                                [GATE_UP] = {o->hidden, o->hidden, 0}};
    const int64_t *size = sizes[part->holds];
    *first = 0;
    for (int i = 0; i < part->which; i++)
        *first += size[i];
    return size[0] + size[1] + size[2];
}

RgHuggingFacePlace rg_hugging_face_place(const RgHuggingFaceNaming *naming,
                                         const RgTransformerOptions *options,
                                         const RgParameterView *view) {
    RgHuggingFacePlace place = {.columns = view->rank == 2 ? view->size[1] : 1};
    Part part = place_of(naming, view->name, place.name, sizeof place.name);
    place.rows = find_rows(options, &part, view, &place.first);
    place.transposed = part.transposed && view->rank == 2;
    return place;
}

int64_t rg_hugging_face_index(const RgHuggingFacePlace *place, int64_t row, int64_t column) {
    row += place->first;
    return place->transposed ? column * place->rows + row : row * place->columns + column;
}
