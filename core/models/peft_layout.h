/* SPDX-License-Identifier: MIT */
/* The modules that PEFT adapts, and where a matrix of our adapter is within its module. Included by
 * the files of peft_*.c only. */
#ifndef RG_CORE_MODELS_PEFT_LAYOUT_H
#define RG_CORE_MODELS_PEFT_LAYOUT_H

#include "core/models/hugging_face_layout.h"

/* An adapted matrix: its views in the adapter, and where its rows are within its module. */
typedef struct RgPeftMatrix {
    const RgParameterView *a, *b; /* [rank, in], [out, rank] */
    const RgParameterView *base;  /* [out, in] */
    RgHuggingFacePlace place;
    char module[192]; /* "model.layers.0.self_attn.q_proj" */
} RgPeftMatrix;

int rg_peft_matrix_count(const RgPolicy *policy);
RgPeftMatrix rg_peft_matrix(const RgPolicy *policy, const RgHuggingFaceArchitecture *architecture,
                            int index);
/* The module that has a tensor of the model. */
void rg_peft_name_module(const RgHuggingFaceArchitecture *architecture,
                         const RgHuggingFacePlace *place, char *name, size_t size);
/* Row of the module's B that is a row of the matrix's. */
int64_t rg_peft_row(const RgPolicy *policy, const RgPeftMatrix *matrix, int64_t row);
/* Name of the tensor that has a matrix's A or B, malloc'd; `which` is 'A' or 'B'. */
char *rg_peft_tensor_name(const RgPeftMatrix *matrix, char which);

#endif
