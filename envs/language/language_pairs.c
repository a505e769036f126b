/* SPDX-License-Identifier: MIT */
/* Offline pairs drawn with mulberry32; those of the program's own random numbers are in
 * language.c. */
#include "envs/language/language_pairs.h"

#include "envs/language/language.h"

#include <math.h>
#include <stdlib.h>

double rg_mulberry32(uint32_t *state) {
    uint32_t t = *state += 0x6D2B79F5U;
    t = (t ^ t >> 15) * (t | 1);
    t ^= t + (t ^ t >> 7) * (t | 61);
    return ldexp((double)(t ^ t >> 14), -32);
}

/* The word that u falls on, by the row's log-probabilities; rounding leaves the rest to the last. */
static int32_t word_at(double u, const double *logprob, int64_t words) {
    int64_t word = 0;
    double reached = exp(logprob[0]);
    while (u > reached && word < words - 1)
        reached += exp(logprob[++word]);
    return (int32_t)word;
}

static void draw_sentence(const RgMulberryPairs *from, uint32_t *state, int32_t *sentence) {
    const RgLanguage *l = from->language;
    for (int64_t t = 0; t < l->length; t++) {
        int64_t row = rg_language_row(l, t, t > 0 ? sentence[t - 1] : 0);
        sentence[t] = word_at(rg_mulberry32(state), from->logprob + row * l->words, l->words);
    }
}

/* Whether the first of two rewards is preferred. Labels without chance take no number. */
static bool prefers_first(const RgMulberryPairs *from, uint32_t *state, double a, double b) {
    double temperature = from->label_temperature, noise = from->label_noise;
    if (temperature == 0 && noise == 0)
        return a > b;
    return rg_mulberry32(state) < rg_levels_prefers(a, b, temperature, noise);
}

static void append_pair(const RgMulberryPairs *from, const int32_t *first, const int32_t *second,
                        bool first_preferred, RgPairs *pairs) {
    int64_t length = from->language->length;
    uint8_t preferred = first_preferred ? 0 : 1;
    RgSequences *pair = rg_sequences_create();
    rg_sequences_append(pair, &from->start, 1, first, length);
    rg_sequences_append(pair, &from->start, 1, second, length);
    rg_pairs_append_labelled(pairs, pair, &preferred);
    rg_sequences_destroy(pair);
}

void rg_language_mulberry_pairs(const RgMulberryPairs *from, RgPairs *pairs) {
    const RgLanguage *l = from->language;
    int64_t size = from->group_size, length = l->length;
    int32_t *group = rg_allocate(size * length, sizeof *group);
    double *reward = rg_allocate(size, sizeof *reward);
    uint32_t state = from->seed;
    for (int64_t g = 0; g < from->groups; g++) {
        for (int64_t i = 0; i < size; i++) {
            draw_sentence(from, &state, group + i * length);
            reward[i] = from->reward[rg_language_number(l, group + i * length)];
        }
        for (int64_t i = 0; i < size; i++)
            for (int64_t j = i + 1; j < size; j++) {
                bool first = prefers_first(from, &state, reward[i], reward[j]);
                if (reward[i] != reward[j])
                    append_pair(from, group + i * length, group + j * length, first, pairs);
            }
    }
    free(reward);
    free(group);
}
