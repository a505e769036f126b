/* SPDX-License-Identifier: MIT */
/* The architectures of Hugging Face that the transformer policy can be: what each calls its sizes in
 * config.json, what it fixes, and where its weights are in the files. Included by the files of
 * hugging_face*.c and peft_*.c only. */
#ifndef RG_CORE_MODELS_HUGGING_FACE_LAYOUT_H
#define RG_CORE_MODELS_HUGGING_FACE_LAYOUT_H

#include "core/models/transformer.h"

/* ---- config.json ---- */

enum { RG_KEY_REQUIRED = -1 };

/* A key whose value is that of an option of the transformer policy. */
typedef struct RgHuggingFaceKey {
    const char *name; /* NULL: the end */
    const char *option;
    double fallback; /* or RG_KEY_REQUIRED */
} RgHuggingFaceKey;

/* A key that may only have one of two values, as JSON. The first is written. null, and a key that
 * is absent, are fine. */
typedef struct RgHuggingFaceFixed {
    const char *name; /* NULL: the end */
    const char *value, *other;
} RgHuggingFaceFixed;

/* Which layers have the sliding window. */
typedef enum RgHuggingFaceWindow {
    RG_WINDOW_NONE,
    RG_WINDOW_ALL,    /* all layers */
    RG_WINDOW_LATE,   /* if use_sliding_window, those from max_window_layers on */
    RG_WINDOW_SECOND, /* every second layer has none */
    RG_WINDOW_SIXTH,  /* every sliding_window_pattern-th layer has none */
} RgHuggingFaceWindow;

/* ---- weights ---- */

/* The names of tensors, and which of them hold several of our weights. */
typedef struct RgHuggingFaceNaming RgHuggingFaceNaming;

typedef struct RgHuggingFaceArchitecture {
    const char *name, *kind; /* of config.json: architectures, model_type; NULL: the end */
    const RgHuggingFaceNaming *naming;
    const RgHuggingFaceKey *keys;
    const RgHuggingFaceFixed *fixed;
    int positions, norm, feed_forward, biases; /* as in RgTransformerOptions */
    bool query_key_norm, output_norms;
    RgHuggingFaceWindow window;
    int64_t fallback_window; /* if sliding_window is absent; 0: none */
    const char *fraction;    /* key of the rotated share of a head; NULL: all of it is */
    double fallback_fraction;
    bool parallel;               /* use_parallel_residual */
    bool gemma;                  /* scaled embeddings, query_pre_attn_scalar, caps, and norms stored
                                    * as differences from 1 */
    double fallback_caps[2];     /* of scores and logits; 0: none */
    double fallback_window_base; /* rope_local_base_freq; 0: no such key */
} RgHuggingFaceArchitecture;

/* Ended by one without a name. Of those that have a policy's options the first is written. */
extern const RgHuggingFaceArchitecture rg_hugging_face_architectures[];

/* Whether an architecture has a key for this option. */
bool rg_hugging_face_has_key(const RgHuggingFaceArchitecture *architecture, const char *option);
/* Whether a policy with these options is of the architecture. Sizes are free. */
bool rg_hugging_face_fits(const RgHuggingFaceArchitecture *architecture,
                          const RgTransformerOptions *options);

/* The place of a view in the tensor `name`, which has `rows` rows and `columns` columns (1 for a
 * vector). The view's rows come in blocks of `block` rows, the first at `first`, each `stride` rows
 * after the last. A transposed tensor is stored as [columns, rows]. */
typedef struct RgHuggingFacePlace {
    char name[160];
    int64_t first, block, stride, rows, columns;
    bool transposed;
} RgHuggingFacePlace;

RgHuggingFacePlace rg_hugging_face_place(const RgHuggingFaceNaming *naming,
                                         const RgTransformerOptions *options,
                                         const RgParameterView *view);
/* The row of the tensor that has a row of the view. */
int64_t rg_hugging_face_row(const RgHuggingFacePlace *place, int64_t row);
/* Index in the stored tensor of an element of the view. */
int64_t rg_hugging_face_index(const RgHuggingFacePlace *place, int64_t row, int64_t column);
/* The row of the view in halves: Hugging Face rotates dimension d of a head together with dimension
 * d + size/2. If the policy's pairs are neighbours, the even dimensions form the first half there. */
int64_t rg_hugging_face_rope_row(const RgTransformerOptions *options, const RgParameterView *view,
                                 int64_t row);
/* The layer's number in a tensor's name; −1 if it belongs to none. */
int64_t rg_hugging_face_layer(const RgHuggingFaceNaming *naming, const char *tensor);
/* What is added to a view's stored numbers: 1 for the norms of some architectures. */
RgReal rg_hugging_face_offset(const RgHuggingFaceArchitecture *architecture,
                              const RgParameterView *view);

#endif
