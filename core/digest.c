/* SPDX-License-Identifier: MIT */
/* SipHash-2-4 with a 128-bit result, as in its authors' siphash.c. It has a key, so digests can be
 * chained. */
#include "core/digest.h"

#include <string.h>

typedef struct State {
    uint64_t a, b, c, d;
} State;

static inline uint64_t rotate(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

static inline void mix(State *s, int rounds) {
    for (int i = 0; i < rounds; i++) {
        s->a += s->b;
        s->b = rotate(s->b, 13) ^ s->a;
        s->a = rotate(s->a, 32);
        s->c += s->d;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a += s->d;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c += s->b;
        s->b = rotate(s->b, 17) ^ s->c;
        s->c = rotate(s->c, 32);
    }
}

static inline void take(State *s, uint64_t word) {
    s->d ^= word;
    mix(s, 2);
    s->a ^= word;
}

RgDigest rg_digest(RgDigest from, const void *bytes, size_t size) {
    State s = {from.word[0] ^ UINT64_C(0x736f6d6570736575),
               from.word[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
               from.word[0] ^ UINT64_C(0x6c7967656e657261),
               from.word[1] ^ UINT64_C(0x7465646279746573)};
    const char *at = bytes;
    uint64_t word, last = (uint64_t)size << 56;
    for (size_t left = size / 8; left > 0; left--, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        take(&s, word);
    }
    for (size_t i = 0; i < size % 8; i++)
        last |= (uint64_t)(unsigned char)at[i] << (8 * i);
    take(&s, last);
    s.c ^= 0xee;
    mix(&s, 4);
    RgDigest digest = {{s.a ^ s.b ^ s.c ^ s.d, 0}};
    s.b ^= 0xdd;
    mix(&s, 4);
    digest.word[1] = s.a ^ s.b ^ s.c ^ s.d;
    return digest;
}
