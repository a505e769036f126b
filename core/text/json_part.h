/* SPDX-License-Identifier: MIT */
/* Parts of a tokenizer.json: which they are and where they stand, so that what is not supported is
 * refused with file, key and value. */
#ifndef RG_CORE_TEXT_JSON_PART_H
#define RG_CORE_TEXT_JSON_PART_H

#include "core/base.h"

#include <jansson.h>

/* One part, such as a step of the pre_tokenizer. */
typedef struct RgJsonPart {
    const char *path; /* of the file */
    const char *key;  /* within it: "normalizer.normalizers[1]" */
    const char *type; /* its "type" */
    json_t *json;
    RgError *error;
} RgJsonPart;

/* Call `read` for the part of the file's `key`, or, if it is a Sequence, for the parts in its list
 * `elements`, and so on; not at all for null or no part. */
typedef RgStatus (*RgJsonRead)(void *context, const RgJsonPart *part);
RgStatus rg_json_read_parts(const char *path, const char *key, const char *elements, json_t *json,
                            RgJsonRead read, void *context, RgError *error);

/* "FILE: KEY TYPE is not supported, only EXPECTED": returns RG_E_FORMAT. */
RgStatus rg_json_refuse(const RgJsonPart *part, const char *expected);
/* "FILE: KEY TYPE: OPTION VALUE is not supported": returns RG_E_FORMAT. */
RgStatus rg_json_refuse_option(const RgJsonPart *part, const char *option);

/* An option that is true or false, `otherwise` if it is not there. */
RgStatus rg_json_flag(const RgJsonPart *part, const char *option, bool otherwise, bool *value);
/* An option that is a text of one byte or more and has to be there; borrowed. */
RgStatus rg_json_text(const RgJsonPart *part, const char *option, const char **value);

#endif
