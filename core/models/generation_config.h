/* SPDX-License-Identifier: MIT */
/* generation_config.json of a folder in Hugging Face's layout: the tokens that begin and end a text.
 * A chat model's list of ends has those of a turn and of a text. */
#ifndef RG_CORE_MODELS_GENERATION_CONFIG_H
#define RG_CORE_MODELS_GENERATION_CONFIG_H

#include "core/base.h"

typedef struct RgModelEnds {
    int32_t begin; /* −1: none */
    int32_t *end;  /* [count], owned */
    int64_t count;
} RgModelEnds;

/* bos_token_id and eos_token_id, which is one id or a list, of folder/generation_config.json. No ends
 * without such a file, or if `folder` is no folder. RG_E_FORMAT, naming file and key, for anything
 * but ids. Release with rg_model_ends_release, also after an error. */
RgStatus rg_generation_config_read(const char *folder, RgModelEnds *ends, RgError *error);
/* Puts the two keys into an object. */
struct json_t;
void rg_model_ends_describe(const RgModelEnds *ends, struct json_t *root);
/* Writes that file. */
RgStatus rg_generation_config_write(const RgModelEnds *ends, const char *folder, RgError *error);

/* Appends an id that is not among the ends; −1 is left out. */
void rg_model_ends_add(RgModelEnds *ends, int32_t id);
void rg_model_ends_release(RgModelEnds *ends);

#endif
