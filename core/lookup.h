/* SPDX-License-Identifier: MIT */
/* Numbers by text: which of many things a text stands for, without a walk through all of them. */
#ifndef RG_CORE_LOOKUP_H
#define RG_CORE_LOOKUP_H

#include "core/base.h"

typedef struct RgLookup RgLookup;

RgLookup *rg_lookup_create(void);
void rg_lookup_destroy(RgLookup *lookup);

/* The number of the text [size bytes], −1 where it was not added. */
int64_t rg_lookup_find(const RgLookup *lookup, const char *text, size_t size);
/* The same, to be set; a new text is added with −1, and copied. Valid until the next one is added.
 */
int64_t *rg_lookup_at(RgLookup *lookup, const char *text, size_t size);

#endif
