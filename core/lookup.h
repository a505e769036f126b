/* SPDX-License-Identifier: MIT */
/* A hash table from text to number.
 *
 * Threads: any number may find; adding needs exclusive access. */
#ifndef RG_CORE_LOOKUP_H
#define RG_CORE_LOOKUP_H

#include "core/base.h"

typedef struct RgLookup RgLookup;

RgLookup *rg_lookup_create(void);
void rg_lookup_destroy(RgLookup *lookup);

/* The number of the text [size bytes]; −1 if it was not added. */
int64_t rg_lookup_find(const RgLookup *lookup, const char *text, size_t size);
/* The place of that number, for setting it. A new text is copied and added with −1. The pointer is
 * valid until the next addition. */
int64_t *rg_lookup_at(RgLookup *lookup, const char *text, size_t size);

#endif
