/* SPDX-License-Identifier: MIT */
/* SHA-256, which identifies content across machines, as printed by sha256sum and by the hubs of
 * models and data sets. Within one program use core/digest.h.
 *
 * Threads: any, but one at a time per RgHashing. */
#ifndef RG_CORE_CHECKSUM_H
#define RG_CORE_CHECKSUM_H

#include "core/base.h"

enum { RG_SHA256_TEXT = 65 }; /* 64 hexadecimal digits */

typedef struct RgChecksum {
    int64_t size; /* bytes */
    char sha256[RG_SHA256_TEXT];
} RgChecksum;

RgStatus rg_file_checksum(const char *path, RgChecksum *checksum, RgError *error);

/* Incremental hashing. */
typedef struct RgHashing RgHashing;
RgHashing *rg_hashing_begin(void);
void rg_hashing_add(RgHashing *hashing, const void *bytes, size_t size);
/* The hash of everything added so far. More may follow. */
void rg_hashing_sum(const RgHashing *hashing, char sha256[RG_SHA256_TEXT]);
void rg_hashing_end(RgHashing *hashing);

#endif
