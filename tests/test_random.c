/* SPDX-License-Identifier: MIT */
/* Random numbers: what they are, bit for bit, and how they are distributed. */
#include "core/tensor/random.h"

#include <Random123/philox.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* Vectors of Random123's kat_vectors, philox 4x32 10. */
Test(random, cipher_is_philox) {
    philox4x32_ctr_t zero = philox4x32_R(10, (philox4x32_ctr_t){{0}}, (philox4x32_key_t){{0}});
    cr_assert_eq(zero.v[0], 0x6627e8d5u);
    cr_assert_eq(zero.v[3], 0x9b00dbd8u);
}

/* Numbers from an implementation in another language, written from the paper. */
Test(random, numbers_never_change) {
    RgRandom root = rg_random_root(7), named = rg_random_named(root, "sampling");
    RgRandom at = rg_random_at(named, UINT64_C(12345678901));
    cr_assert_eq(root.key[0], 0xd8596deeu);
    cr_assert_eq(root.key[1], 0x031022ccu);
    cr_assert_eq(named.key[0], 0x9a72c201u);
    cr_assert_eq(at.key[1], 0x078ec841u);
    cr_assert_eq(rg_random_bits(at, 0), UINT64_C(0x1ced9c33a4ecf7cd));
    cr_assert_eq(rg_random_bits(at, 1), UINT64_C(0x3ae4a711a09b0dc1));
    cr_assert_eq(rg_random_bits(at, UINT64_C(1) << 40), UINT64_C(0x4344884e8203facd));
    cr_assert_float_eq(rg_random_uniform(at, 0), 0x1ced9c33a4ecf7cdp-64, 0x1p-53);
    cr_assert_float_eq(rg_random_normal(at, 5), -2.470375586419812, 1e-14);
}

Test(random, streams_differ_by_seed_name_and_number) {
    RgRandom root = rg_random_root(1);
    uint64_t bits[] = {
        rg_random_bits(root, 0),
        rg_random_bits(rg_random_root(2), 0),
        rg_random_bits(rg_random_root(UINT64_C(1) << 32 | 1), 0),
        rg_random_bits(rg_random_named(root, "a"), 0),
        rg_random_bits(rg_random_named(root, "b"), 0),
        rg_random_bits(rg_random_at(root, 0), 0),
        rg_random_bits(rg_random_at(root, 1), 0),
        rg_random_bits(rg_random_at(root, UINT64_C(1) << 32), 0),
        rg_random_bits(root, 1),
    };
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(bits[i], bits[j], "streams %zu and %zu", i, j);
}

enum { DRAWS = 100000 };

/* Bounds are five standard errors of each estimate. */
Test(random, uniform_has_the_moments_of_uniform) {
    RgRandom stream = rg_random_root(3);
    double sum = 0, squares = 0, lagged = 0, before = 0;
    for (int i = 0; i < DRAWS; i++) {
        double u = rg_random_uniform(stream, (uint64_t)i);
        cr_assert(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
        lagged += (u - 0.5) * before;
        before = u - 0.5;
    }
    cr_assert_float_eq(sum / DRAWS, 0.5, 5 * sqrt(1.0 / 12 / DRAWS));
    cr_assert_float_eq(squares / DRAWS, 1.0 / 3, 5 * sqrt(4.0 / 45 / DRAWS));
    cr_assert_float_eq(lagged / DRAWS, 0, 5 / 12.0 / sqrt(DRAWS));
}

static int ascending(const void *a, const void *b) {
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

/* Kolmogorov-Smirnov against the normal distribution; 2.3/√n is passed once in 20 000 times. */
Test(random, normal_is_normal) {
    static double draw[DRAWS];
    for (int i = 0; i < DRAWS; i++)
        draw[i] = rg_random_normal(rg_random_root(4), (uint64_t)i);
    qsort(draw, DRAWS, sizeof *draw, ascending);
    double largest = 0;
    for (int i = 0; i < DRAWS; i++) {
        double expected = 0.5 * erfc(-draw[i] / sqrt(2));
        largest = fmax(largest, fabs(expected - (i + 0.5) / DRAWS));
    }
    cr_assert_lt(largest, 2.3 / sqrt(DRAWS));
}

/* χ² with `cells` − 1 degrees of freedom stays below this but once in 10⁶ times (Wilson and
 * Hilferty 1931). */
static double chi_square_bound(int cells) {
    double k = cells - 1, spread = 2 / (9 * k);
    return k * pow(1 - spread + 4.75 * sqrt(spread), 3);
}

static double chi_square(const int *found, int cells, int draws) {
    double expected = (double)draws / cells, sum = 0;
    for (int i = 0; i < cells; i++)
        sum += (found[i] - expected) * (found[i] - expected) / expected;
    return sum;
}

Test(random, below_is_even_and_in_range) {
    int found[7] = {0};
    for (int i = 0; i < DRAWS; i++)
        found[rg_random_below(rg_random_root(5), (uint64_t)i, 7)]++;
    cr_assert_lt(chi_square(found, 7, DRAWS), chi_square_bound(7));
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(rg_random_below(rg_random_root(5), (uint64_t)i, 1), 0);
        int64_t large = rg_random_below(rg_random_root(5), (uint64_t)i, INT64_MAX);
        cr_assert(large >= 0 && large < INT64_MAX);
    }
}

/* 2^64 / (3·2^61) = 8/3: a plain multiply would draw results with remainders 0, 1, 2 of three in
 * proportion 3 : 3 : 2. */
Test(random, below_a_large_bound_is_even) {
    int found[3] = {0};
    for (int i = 0; i < DRAWS; i++)
        found[rg_random_below(rg_random_root(6), (uint64_t)i, 3 * (INT64_C(1) << 61)) % 3]++;
    cr_assert_lt(chi_square(found, 3, DRAWS), chi_square_bound(3));
}

Test(random, choice_follows_the_weights) {
    const double weights[] = {0, 1, 0, 3, 0};
    cr_assert_eq(rg_random_choice(0, weights, 5), 1);
    cr_assert_eq(rg_random_choice(0.2499, weights, 5), 1);
    cr_assert_eq(rg_random_choice(0.25, weights, 5), 3);
    cr_assert_eq(rg_random_choice(0x1.fffffffffffffp-1, weights, 5), 3);
}

Test(random, choice_never_draws_a_weight_of_zero) {
    double weights[11];
    for (int i = 0; i < 11; i++)
        weights[i] = i < 10 ? 0.1 : 0;
    for (int i = 0; i < 1000; i++)
        cr_assert_lt(rg_random_choice(1 - i * 0x1p-53, weights, 11), 10);
}

Test(random, permutation_holds_each_number_once) {
    int64_t order[1000];
    int seen[1000] = {0};
    rg_random_permutation(rg_random_root(8), order, 1000);
    for (int i = 0; i < 1000; i++)
        seen[order[i]]++;
    int moved = 0;
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(seen[i], 1);
        moved += order[i] != i;
    }
    cr_assert_gt(moved, 950);
}

Test(random, permutations_are_equally_likely) {
    int found[24] = {0};
    for (int i = 0; i < 48000; i++) {
        int64_t p[4];
        rg_random_permutation(rg_random_at(rg_random_root(9), (uint64_t)i), p, 4);
        int64_t second = p[1] - (p[1] > p[0]);
        int64_t third = p[2] - (p[2] > p[0]) - (p[2] > p[1]);
        found[p[0] * 6 + second * 2 + third]++;
    }
    cr_assert_lt(chi_square(found, 24, 48000), chi_square_bound(24));
}
