/* SPDX-License-Identifier: MIT */
/* SHA-256: the name of a content across machines, as sha256sum and the hubs of models and data sets
 * print it. Inside one program there is core/digest.h. */
#ifndef RG_CORE_CHECKSUM_H
#define RG_CORE_CHECKSUM_H

#include "core/base.h"

enum { RG_SHA256_TEXT = 65 }; /* 64 hexadecimal digits */

typedef struct RgChecksum {
    int64_t size; /* bytes */
    char sha256[RG_SHA256_TEXT];
} RgChecksum;

RgStatus rg_file_checksum(const char *path, RgChecksum *checksum, RgError *error);

/* Of what is at hand part by part. */
typedef struct RgHashing RgHashing;
RgHashing *rg_hashing_begin(void);
void rg_hashing_add(RgHashing *hashing, const void *bytes, size_t size);
/* Of all that was added; more may follow. */
void rg_hashing_sum(const RgHashing *hashing, char sha256[RG_SHA256_TEXT]);
void rg_hashing_end(RgHashing *hashing);

#endif
