/* SPDX-License-Identifier: MIT */
/* Private to options*.c. */
#ifndef RG_CORE_OPTIONS_INTERNAL_H
#define RG_CORE_OPTIONS_INTERNAL_H

#include "core/options.h"

/* The end of a table. */
bool rg_option_is_last(const RgOption *option);

/* "a real in [1e-06, 1000]": what an option takes, malloc'd. */
char *rg_option_expected(const RgOption *option);

/* Of the option `key` in the group `path`: where its type is named, and where its options are. */
char *rg_option_type_key(const RgOptionFamily *family, const char *key);
const char *rg_option_part_path(const RgOptionFamily *family, const char *path, const char *key);

/* Options that a part's group has by its family and by its type, into memory of their own: to be
 * checked, marked as used, and recorded under `to` if `resolved` is not NULL. */
RgStatus rg_option_part_read(const RgOptionFamily *family, const RgOptionPart *part, const char *to,
                             RgSettings *resolved, RgError *error);

#endif
