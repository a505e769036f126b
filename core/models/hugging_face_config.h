/* SPDX-License-Identifier: MIT */
/* config.json of a Hugging Face checkpoint, as options of the transformer policy. Included by
 * hugging_face.c and peft_save.c only. */
#ifndef RG_CORE_MODELS_HUGGING_FACE_CONFIG_H
#define RG_CORE_MODELS_HUGGING_FACE_CONFIG_H

#include "core/models/hugging_face_layout.h"

typedef struct RgHuggingFaceConfig {
    const RgHuggingFaceArchitecture *architecture;
    RgTransformerOptions options;
    int64_t vocabulary;
    bool classifies; /* a head with a score in place of the one with logits */
    int32_t padding; /* pad_token_id; −1: none */
} RgHuggingFaceConfig;

/* RG_E_FILE or RG_E_FORMAT, naming file and key: also of a key that would change the arithmetic in a
 * way that the policy cannot. Of keys that are not known a notice is given. */
RgStatus rg_hugging_face_config_read(const char *path, RgHuggingFaceConfig *config, RgError *error);

#endif
