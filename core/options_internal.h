/* SPDX-License-Identifier: MIT */
/* Private to options*.c. */
#ifndef RG_CORE_OPTIONS_INTERNAL_H
#define RG_CORE_OPTIONS_INTERNAL_H

#include "core/options.h"

/* The values an option accepts, such as "a real in [1e-06, 1000]". malloc'd. */
char *rg_option_expected(const RgOption *option);

/* For the option `key` in the group `path`: the key that names its type, and its options' group. */
char *rg_option_type_key(const RgOptionFamily *family, const char *key);
const char *rg_option_part_path(const RgOptionFamily *family, const char *path, const char *key);

/* Reads the options of a chosen type, both the family's and the type's own, into temporary memory.
 * This checks them, marks them as used and, if `resolved` is not NULL, records them under `to`. */
RgStatus rg_option_part_read(const RgOptionFamily *family, const RgOptionPart *part, const char *to,
                             RgSettings *resolved, RgError *error);

#endif
