/* SPDX-License-Identifier: MIT */
/* Parts of a tokenizer.json and their location, so that an unsupported one is refused with file,
 * key and value.
 *
 * Threads: any. */
#ifndef RG_CORE_TEXT_JSON_PART_H
#define RG_CORE_TEXT_JSON_PART_H

#include "core/base.h"

#include <jansson.h>

/* One part, such as a step of the pre_tokenizer. */
typedef struct RgJsonPart {
    const char *path; /* of the file */
    const char *key;  /* in the file: "normalizer.normalizers[1]" */
    const char *type; /* its "type" */
    json_t *json;
    RgError *error;
} RgJsonPart;

/* Calls `read` for the part at the file's `key`. For a Sequence, calls it for the parts in its list
 * `elements`, recursively. Does nothing for null or a missing part. */
typedef RgStatus (*RgJsonRead)(void *context, const RgJsonPart *part);
RgStatus rg_json_read_parts(const char *path, const char *key, const char *elements, json_t *json,
                            RgJsonRead read, void *context, RgError *error);

/* "FILE: KEY TYPE is not supported, only EXPECTED": returns RG_E_FORMAT. */
RgStatus rg_json_refuse(const RgJsonPart *part, const char *expected);
/* "FILE: KEY TYPE: OPTION VALUE is not supported": returns RG_E_FORMAT. */
RgStatus rg_json_refuse_option(const RgJsonPart *part, const char *option);

/* A boolean option; `otherwise` if it is absent. */
RgStatus rg_json_flag(const RgJsonPart *part, const char *option, bool otherwise, bool *value);
/* A required option that is a non-empty text; borrowed. */
RgStatus rg_json_text(const RgJsonPart *part, const char *option, const char **value);

#endif
