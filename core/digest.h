/* SPDX-License-Identifier: MIT */
/* A name for content that is long enough to be taken for the content itself: 128 bits of
 * SipHash-2-4 (Aumasson and Bernstein 2012). Where a chance in 2^64 is not one to take, as with
 * values that are found again by name alone; for anything less there is rg_hash. */
#ifndef RG_CORE_DIGEST_H
#define RG_CORE_DIGEST_H

#include "core/base.h"

typedef struct RgDigest {
    uint64_t word[2];
} RgDigest;

#define RG_DIGEST_START ((RgDigest){{0, 0}})

/* The digest of `size` bytes under the key `from`. To digest content in parts, hand the digest so
 * far on as the key of the next part: then it also tells where the parts begin. */
RgDigest rg_digest(RgDigest from, const void *bytes, size_t size);

#endif
