/* SPDX-License-Identifier: MIT */
/* Where the transformer policy's weights are in Hugging Face's files. Included by hugging_face.c
 * (loading) and hugging_face_save.c (saving) only. */
#ifndef RG_CORE_MODELS_HUGGING_FACE_LAYOUT_H
#define RG_CORE_MODELS_HUGGING_FACE_LAYOUT_H

#include "core/models/transformer.h"

/* The names of tensors, and which of them hold several of our weights. */
typedef struct RgHuggingFaceNaming RgHuggingFaceNaming;
extern const RgHuggingFaceNaming rg_hugging_face_llama; /* also for Mistral and Qwen2 */
extern const RgHuggingFaceNaming rg_hugging_face_phi3;
extern const RgHuggingFaceNaming rg_hugging_face_gpt2;

/* The place of a view: it is rows [first, first + its own) of the tensor `name`, which has `rows`
 * rows and `columns` columns (1 for a vector). A transposed tensor is stored as [columns, rows]. */
typedef struct RgHuggingFacePlace {
    char name[160];
    int64_t first, rows, columns;
    bool transposed;
} RgHuggingFacePlace;

RgHuggingFacePlace rg_hugging_face_place(const RgHuggingFaceNaming *naming,
                                         const RgTransformerOptions *options,
                                         const RgParameterView *view);
/* Index in the stored tensor of an element of the view. */
int64_t rg_hugging_face_index(const RgHuggingFacePlace *place, int64_t row, int64_t column);

#endif
