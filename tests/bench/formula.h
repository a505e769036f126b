/* SPDX-License-Identifier: MIT */
/* The numbers that both sides of a comparison compute for themselves: weights and tokens by
 * formula, so that no file has to go from one to the other to show that both compute the same. */
#ifndef RG_TESTS_BENCH_FORMULA_H
#define RG_TESTS_BENCH_FORMULA_H

#include <stdint.h>

enum { PROMPT = 8, NEW_TOKENS = 120 }; /* of sampling and decoding */
/* Streams of the tokens' formula; weights use the numbers of their views. */
enum { TRAIN_TOKENS = 1001, DPO_PROMPTS, DPO_RESPONSES, SAMPLE_PROMPTS, SCORE_TOKENS };

/* Numbers that look random, from a counter and a stream: the hash lowbias32 of Wellons. */
static inline uint32_t mixed(uint64_t counter, int stream) {
    uint32_t z = (uint32_t)counter * 0x9E3779B9U + (uint32_t)stream * 0x85EBCA6BU;
    z = (z ^ z >> 16) * 0x7FEB352DU;
    z = (z ^ z >> 15) * 0x846CA68BU;
    return z ^ z >> 16;
}

/* Sequence `row` of those of `length` tokens. */
static inline void tokens_by_formula(int64_t vocabulary, int64_t row, int64_t length, int stream,
                                     int32_t *token) {
    for (int64_t j = 0; j < length; j++)
        token[j] = (int32_t)(mixed((uint64_t)(row * length + j), stream) % (uint32_t)vocabulary);
}

#endif
