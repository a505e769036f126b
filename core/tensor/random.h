/* SPDX-License-Identifier: MIT */
/* Counter-based random numbers (Philox 4x32-10 of Random123; Salmon et al. 2011).
 *
 * A number is a pure function of a stream and a counter. There is no state to save or to share. A
 * resumed run, any number of threads and any order of evaluation give the same bits, and a new use
 * of random numbers never shifts the others.
 *
 *     RgRandom root = rg_random_root(seed);
 *     RgRandom sampling = rg_random_named(root, "sampling");
 *     RgRandom this_step = rg_random_at(sampling, step);
 *     double u = rg_random_uniform(this_step, i);
 *
 * Threads: any. */
#ifndef RG_CORE_TENSOR_RANDOM_H
#define RG_CORE_TENSOR_RANDOM_H

#include "core/base.h"

/* A stream; plain data, passed by value. */
typedef struct RgRandom {
    uint32_t key[2];
} RgRandom;

RgRandom rg_random_root(uint64_t seed);
RgRandom rg_random_named(RgRandom parent, const char *purpose); /* child stream by name */
RgRandom rg_random_at(RgRandom parent, uint64_t index);         /* child stream by number */

uint64_t rg_random_bits(RgRandom stream, uint64_t counter);
double rg_random_uniform(RgRandom stream, uint64_t counter); /* in [0, 1), 53 bits */
double rg_random_normal(RgRandom stream, uint64_t counter);  /* mean 0, variance 1 (Box-Muller) */
int64_t rg_random_below(RgRandom stream, uint64_t counter, int64_t bound); /* 0 … bound−1 */

/* An index sampled from unnormalised non-negative weights [count] with one uniform number. */
int64_t rg_random_choice(double uniform, const double *weights, int64_t count);

/* Fills `order` with a permutation of 0 … count−1 (Fisher-Yates). */
void rg_random_permutation(RgRandom stream, int64_t *order, int64_t count);

#endif
