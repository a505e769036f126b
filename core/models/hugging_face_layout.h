/* SPDX-License-Identifier: MIT */
/* Where the transformer policy's weights are in Hugging Face's files. Shared by loading
 * (hugging_face.c) and saving (hugging_face_save.c); not for others. */
#ifndef RG_CORE_MODELS_HUGGING_FACE_LAYOUT_H
#define RG_CORE_MODELS_HUGGING_FACE_LAYOUT_H

#include "core/models/transformer.h"

/* Names of tensors, and which of them hold several of our weights. */
typedef struct RgHuggingFaceNaming RgHuggingFaceNaming;
extern const RgHuggingFaceNaming rg_hugging_face_llama; /* also of Mistral and Qwen2 */
extern const RgHuggingFaceNaming rg_hugging_face_phi3;
extern const RgHuggingFaceNaming rg_hugging_face_gpt2;

/* A view is rows [first, first + its own) of the tensor `name`, which has `rows` rows and `columns`
 * columns (1 for a vector), and is stored [columns, rows] where it is turned. */
typedef struct RgHuggingFacePlace {
    char name[160];
    int64_t first, rows, columns;
    bool turned;
} RgHuggingFacePlace;

RgHuggingFacePlace rg_hugging_face_place(const RgHuggingFaceNaming *naming,
                                         const RgTransformerOptions *options,
                                         const RgParameterView *view);
/* Which number of the stored tensor an element of the view is. */
int64_t rg_hugging_face_index(const RgHuggingFacePlace *place, int64_t row, int64_t column);

#endif
