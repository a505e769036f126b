/* SPDX-License-Identifier: MIT */
/* A digest that may stand for the content itself: 128 bits of SipHash-2-4 (Aumasson and Bernstein
 * 2012). Use it where a collision probability of 2^-64 is too high, as for values that are looked
 * up by digest alone; otherwise use rg_hash.
 *
 * Threads: any. */
#ifndef RG_CORE_DIGEST_H
#define RG_CORE_DIGEST_H

#include "core/base.h"

typedef struct RgDigest {
    uint64_t word[2];
} RgDigest;

#define RG_DIGEST_START ((RgDigest){{0, 0}})

/* The digest of `size` bytes under the key `from`. To digest content in parts, pass the digest so
 * far as the key of the next part. The result then also depends on where the parts begin. */
RgDigest rg_digest(RgDigest from, const void *bytes, size_t size);

#endif
