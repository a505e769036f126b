/* SPDX-License-Identifier: MIT */
/* Packed token sequences, labelled pairs and labelled single responses: appending, copying and
 * reading. Independent of the meaning of tokens. */
#include "core/task/sequences.h"

#include <stdlib.h>
#include <string.h>

RgSequences *rg_sequences_create(void) {
    RgSequences *s = rg_allocate(1, sizeof *s);
    s->start = rg_allocate(1, sizeof *s->start);
    return s;
}

void rg_sequences_destroy(RgSequences *s) {
    if (!s)
        return;
    free(s->start);
    free(s->prompt_length);
    free(s->tokens);
    free(s);
}

void rg_sequences_clear(RgSequences *s) {
    s->count = 0;
}

/* Reserves memory for `sequences` and `tokens` in total. It doubles, so appending takes linear
 * time. */
static void reserve(RgSequences *s, int64_t sequences, int64_t tokens) {
    if (sequences > s->capacity) {
        s->capacity = sequences > 2 * s->capacity ? sequences : 2 * s->capacity;
        s->start = rg_reallocate(s->start, (size_t)s->capacity + 1, sizeof *s->start);
        s->prompt_length =
            rg_reallocate(s->prompt_length, (size_t)s->capacity, sizeof *s->prompt_length);
    }
    if (tokens > s->token_capacity) {
        s->token_capacity = tokens > 2 * s->token_capacity ? tokens : 2 * s->token_capacity;
        s->tokens = rg_reallocate(s->tokens, (size_t)s->token_capacity, sizeof *s->tokens);
    }
}

void rg_sequences_append(RgSequences *s, const int32_t *prompt, int64_t prompt_length,
                         const int32_t *response, int64_t response_length) {
    int64_t start = s->start[s->count], end = start + prompt_length + response_length;
    reserve(s, s->count + 1, end);
    if (prompt_length > 0)
        memcpy(s->tokens + start, prompt, (size_t)prompt_length * sizeof *prompt);
    if (response_length > 0)
        memcpy(s->tokens + start + prompt_length, response,
               (size_t)response_length * sizeof *response);
    s->prompt_length[s->count] = prompt_length;
    s->start[++s->count] = end;
}

void rg_sequences_append_from(RgSequences *s, const RgSequences *source, int64_t index,
                              bool prompt_only) {
    RG_ASSERT(index >= 0 && index < source->count);
    RG_ASSERT(s != source); /* reallocation would move the source */
    rg_sequences_append(s, rg_sequence_prompt(source, index), source->prompt_length[index],
                        rg_sequence_response(source, index),
                        prompt_only ? 0 : rg_sequence_response_length(source, index));
}

void rg_sequences_append_pair(RgSequences *s, const RgSequences *source, int64_t index) {
    rg_sequences_append_from(s, source, 2 * index, false);
    rg_sequences_append_from(s, source, 2 * index + 1, false);
}

RgSequences rg_sequences_view(const RgSequences *s, int64_t first, int64_t last, int64_t *start) {
    for (int64_t i = 0; i <= last - first; i++)
        start[i] = s->start[first + i] - s->start[first];
    return (RgSequences){.count = last - first,
                         .start = start,
                         .prompt_length = s->prompt_length + first,
                         .tokens = s->tokens + s->start[first]};
}

const int32_t *rg_sequence_prompt(const RgSequences *s, int64_t i) {
    return s->tokens + s->start[i];
}

const int32_t *rg_sequence_response(const RgSequences *s, int64_t i) {
    return s->tokens + s->start[i] + s->prompt_length[i];
}

int64_t rg_sequence_length(const RgSequences *s, int64_t i) {
    return s->start[i + 1] - s->start[i];
}

int64_t rg_sequence_response_length(const RgSequences *s, int64_t i) {
    return rg_sequence_length(s, i) - s->prompt_length[i];
}

int64_t rg_sequences_response_tokens(const RgSequences *s) {
    int64_t tokens = 0;
    for (int64_t i = 0; i < s->count; i++)
        tokens += rg_sequence_response_length(s, i);
    return tokens;
}

int64_t rg_sequences_longest(const RgSequences *s) {
    int64_t longest = 0;
    for (int64_t i = 0; i < s->count; i++)
        if (rg_sequence_length(s, i) > longest)
            longest = rg_sequence_length(s, i);
    return longest;
}

bool rg_sequences_same_prompt(const RgSequences *s, int64_t a, int64_t b) {
    return s->prompt_length[a] == s->prompt_length[b] &&
           memcmp(rg_sequence_prompt(s, a), rg_sequence_prompt(s, b),
                  sizeof *s->tokens * (size_t)s->prompt_length[a]) == 0;
}

uint64_t rg_sequences_hash(const RgSequences *s) {
    uint64_t hash = rg_hash(RG_HASH_START, &s->count, sizeof s->count);
    for (int64_t i = 0; i < s->count; i++) {
        int64_t shape[2] = {rg_sequence_length(s, i), s->prompt_length[i]};
        hash = rg_hash(hash, shape, sizeof shape);
        hash = rg_hash(hash, rg_sequence_prompt(s, i), (size_t)shape[0] * sizeof *s->tokens);
    }
    return hash;
}

RgPairs *rg_pairs_create(void) {
    RgPairs *pairs = rg_allocate(1, sizeof *pairs);
    pairs->sequences = rg_sequences_create();
    return pairs;
}

void rg_pairs_destroy(RgPairs *pairs) {
    if (!pairs)
        return;
    rg_sequences_destroy(pairs->sequences);
    free(pairs->preferred);
    free(pairs);
}

void rg_pairs_append_label(RgPairs *pairs, int preferred) {
    RG_ASSERT(preferred == 0 || preferred == 1);
    RG_ASSERT(2 * (pairs->count + 1) <= pairs->sequences->count);
    /* Grows at powers of two. The sequences have a capacity of their own. */
    if ((pairs->count & (pairs->count - 1)) == 0)
        pairs->preferred = rg_reallocate(
            pairs->preferred, pairs->count ? 2 * (size_t)pairs->count : 1, sizeof(uint8_t));
    pairs->preferred[pairs->count++] = (uint8_t)preferred;
}

void rg_pairs_append_labelled(RgPairs *pairs, const RgSequences *drawn, const uint8_t *preferred) {
    for (int64_t i = 0; i < drawn->count / 2; i++) {
        if (preferred[i] == RG_UNLABELLED)
            continue;
        rg_sequences_append_pair(pairs->sequences, drawn, i);
        rg_pairs_append_label(pairs, preferred[i]);
    }
}

RgSequences *rg_pairs_chosen(const RgPairs *pairs) {
    RgSequences *chosen = rg_sequences_create();
    for (int64_t i = 0; i < pairs->count; i++)
        rg_sequences_append_from(chosen, pairs->sequences, 2 * i + pairs->preferred[i], false);
    return chosen;
}

RgSingles *rg_singles_create(void) {
    RgSingles *singles = rg_allocate(1, sizeof *singles);
    singles->sequences = rg_sequences_create();
    return singles;
}

void rg_singles_destroy(RgSingles *singles) {
    if (!singles)
        return;
    rg_sequences_destroy(singles->sequences);
    free(singles->desirable);
    free(singles);
}

void rg_singles_append(RgSingles *singles, const RgSequences *source, int64_t index,
                       bool desirable) {
    int64_t own = singles->sequences->count;
    if (own == singles->capacity) {
        singles->capacity = own > 0 ? 2 * own : 64;
        singles->desirable = rg_reallocate(singles->desirable, (size_t)singles->capacity,
                                           sizeof *singles->desirable);
    }
    rg_sequences_append_from(singles->sequences, source, index, false);
    singles->desirable[own] = desirable;
}

RgSingles *rg_singles_of_pairs(const RgPairs *pairs) {
    RgSingles *singles = rg_singles_create();
    for (int64_t i = 0; i < 2 * pairs->count; i++)
        rg_singles_append(singles, pairs->sequences, i, pairs->preferred[i / 2] == i % 2);
    return singles;
}

int64_t rg_singles_desirable(const RgSingles *singles) {
    int64_t count = 0;
    for (int64_t i = 0; i < singles->sequences->count; i++)
        count += singles->desirable[i];
    return count;
}
