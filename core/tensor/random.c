/* SPDX-License-Identifier: MIT */
/* Streams of random numbers by Philox 4x32-10. The last word of the counter is the purpose of a
 * call, so calls for different purposes never collide. */
#include "core/tensor/random.h"

#include <Random123/philox.h>
#include <math.h>
#include <string.h>

/* Numbers and child streams of one key must never share a block of the cipher. */
enum Purpose { FOR_ROOT, FOR_NAMED_CHILD, FOR_NUMBERED_CHILD, FOR_BITS, FOR_NORMAL };

static philox4x32_ctr_t block(RgRandom stream, uint64_t counter, uint32_t again,
                              enum Purpose purpose) {
    philox4x32_ctr_t input = {
        {(uint32_t)counter, (uint32_t)(counter >> 32), again, (uint32_t)purpose}};
    philox4x32_key_t key = {{stream.key[0], stream.key[1]}};
    return philox4x32_R(10, input, key);
}

static RgRandom child(RgRandom parent, uint64_t counter, enum Purpose purpose) {
    philox4x32_ctr_t output = block(parent, counter, 0, purpose);
    return (RgRandom){{output.v[0], output.v[1]}};
}

static uint64_t first_word(philox4x32_ctr_t output) {
    return (uint64_t)output.v[1] << 32 | output.v[0];
}

static uint64_t second_word(philox4x32_ctr_t output) {
    return (uint64_t)output.v[3] << 32 | output.v[2];
}

RgRandom rg_random_root(uint64_t seed) {
    /* "regatta" in the key, so that even seed 0 gives a stream of our own. */
    return child((RgRandom){{0x61676572u, 0x61747461u}}, seed, FOR_ROOT);
}

RgRandom rg_random_named(RgRandom parent, const char *purpose) {
    return child(parent, rg_hash(RG_HASH_START, purpose, strlen(purpose)), FOR_NAMED_CHILD);
}

RgRandom rg_random_at(RgRandom parent, uint64_t index) {
    return child(parent, index, FOR_NUMBERED_CHILD);
}

uint64_t rg_random_bits(RgRandom stream, uint64_t counter) {
    return first_word(block(stream, counter, 0, FOR_BITS));
}

static double unit_interval(uint64_t bits) {
    return (double)(bits >> 11) * 0x1p-53;
}

double rg_random_uniform(RgRandom stream, uint64_t counter) {
    return unit_interval(rg_random_bits(stream, counter));
}

/* Box and Muller 1958: sqrt(−2 log u) · cos(2πv), u in (0, 1]. */
double rg_random_normal(RgRandom stream, uint64_t counter) {
    philox4x32_ctr_t output = block(stream, counter, 0, FOR_NORMAL);
    double radius = sqrt(-2 * log(1 - unit_interval(first_word(output))));
    return radius * cos(2 * M_PI * unit_interval(second_word(output)));
}

/* Lemire 2019, arXiv:1805.10941: the high word of bits · bound, rejected where it would favour
 * small results. */
int64_t rg_random_below(RgRandom stream, uint64_t counter, int64_t bound) {
    RG_ASSERT(bound > 0);
    uint64_t n = (uint64_t)bound, refused = -n % n;
    for (uint32_t again = 0;; again++) {
        uint64_t bits = first_word(block(stream, counter, again, FOR_BITS));
        __extension__ unsigned __int128 product = (unsigned __int128)bits * n;
        if ((uint64_t)product >= refused)
            return (int64_t)(product >> 64);
    }
}

int64_t rg_random_choice(double uniform, const double *weights, int64_t count) {
    double total = 0;
    for (int64_t i = 0; i < count; i++)
        total += weights[i];
    RG_ASSERT(count > 0 && total > 0 && isfinite(total));
    double left = uniform * total;
    int64_t last_possible = 0;
    for (int64_t i = 0; i < count; i++) {
        if (weights[i] <= 0)
            continue;
        if (left < weights[i])
            return i;
        left -= weights[i];
        last_possible = i;
    }
    return last_possible; /* rounding left a part of the last weight */
}

void rg_random_permutation(RgRandom stream, int64_t *order, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        int64_t j = rg_random_below(stream, (uint64_t)i, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}
