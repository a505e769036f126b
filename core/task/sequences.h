/* SPDX-License-Identifier: MIT */
/* Prompts, responses, preference pairs and single labelled responses as token sequences: types that
 * environments, algorithms and policies share.
 *
 * A sequence is a prompt followed by a response. Both are runs of token ids in one packed array,
 * without padding. In an enumerated environment a prompt is one token (the number of the context)
 * and a response is one token (the number of the response), so every algorithm runs there
 * unchanged.
 *
 * Threads: any number may read; appending needs exclusive access. */
#ifndef RG_CORE_TASK_SEQUENCES_H
#define RG_CORE_TASK_SEQUENCES_H

#include "core/base.h"

/* n sequences, packed. Sequence i is tokens[start[i] … start[i+1]−1], and its first
 * prompt_length[i] tokens are the prompt. rg_sequences_append appends; rg_sequences_destroy
 * frees. */
typedef struct RgSequences {
    int64_t count;
    int64_t *start;         /* [count + 1] */
    int64_t *prompt_length; /* [count] */
    int32_t *tokens;        /* [start[count]] */
    int64_t capacity, token_capacity;
} RgSequences;

/* Tokens that end a response in addition to the end token: [count], borrowed. */
typedef struct RgStopTokens {
    const int32_t *id;
    int64_t count;
} RgStopTokens;

RgSequences *rg_sequences_create(void);
void rg_sequences_destroy(RgSequences *sequences);
void rg_sequences_clear(RgSequences *sequences); /* count 0; memory kept */
void rg_sequences_append(RgSequences *sequences, const int32_t *prompt, int64_t prompt_length,
                         const int32_t *response, int64_t response_length);
/* Appends sequence `index` of `source`, without its response if prompt_only. */
void rg_sequences_append_from(RgSequences *sequences, const RgSequences *source, int64_t index,
                              bool prompt_only);
/* Appends pair `index` of `source`: its sequences 2·index and 2·index + 1. */
void rg_sequences_append_pair(RgSequences *sequences, const RgSequences *source, int64_t index);

/* Sequences [first, last) as a batch that borrows the tokens. `start` [last − first + 1] is filled
 * and borrowed too. */
RgSequences rg_sequences_view(const RgSequences *s, int64_t first, int64_t last, int64_t *start);

/* Views of one sequence. */
const int32_t *rg_sequence_prompt(const RgSequences *s, int64_t i);
const int32_t *rg_sequence_response(const RgSequences *s, int64_t i);
int64_t rg_sequence_length(const RgSequences *s, int64_t i); /* prompt and response */
int64_t rg_sequence_response_length(const RgSequences *s, int64_t i);
int64_t rg_sequences_response_tokens(const RgSequences *s); /* sum over all sequences */
int64_t rg_sequences_longest(const RgSequences *s);
/* Whether sequences a and b have the same prompt. */
bool rg_sequences_same_prompt(const RgSequences *s, int64_t a, int64_t b);
uint64_t rg_sequences_hash(const RgSequences *s);

/* In place of a label: the pair has none. */
enum { RG_UNLABELLED = 2 };

/* Labelled pairs: sequences 2i and 2i+1 share a prompt, and `preferred[i]` (0 or 1) is the
 * preferred one. */
typedef struct RgPairs {
    RgSequences *sequences; /* 2·count */
    uint8_t *preferred;     /* [count] */
    int64_t count;
} RgPairs;

RgPairs *rg_pairs_create(void);
void rg_pairs_destroy(RgPairs *pairs);
/* Adds the label of a pair that was already appended to pairs->sequences. */
void rg_pairs_append_label(RgPairs *pairs, int preferred);
/* Appends those pairs of `drawn` (sequences 2i and 2i+1) that have a label. preferred [drawn->count
 * / 2] is 0, 1 or RG_UNLABELLED. */
void rg_pairs_append_labelled(RgPairs *pairs, const RgSequences *drawn, const uint8_t *preferred);
/* The preferred response of each pair. The caller destroys the result. */
RgSequences *rg_pairs_chosen(const RgPairs *pairs);

/* Labelled single responses, each judged by itself: `desirable[i]` (1 or 0) is that of sequence i. */
typedef struct RgSingles {
    RgSequences *sequences;
    uint8_t *desirable; /* [sequences->count] */
    int64_t capacity;
} RgSingles;

RgSingles *rg_singles_create(void);
void rg_singles_destroy(RgSingles *singles);
/* Appends sequence `index` of `source`. */
void rg_singles_append(RgSingles *singles, const RgSequences *source, int64_t index,
                       bool desirable);
/* Both responses of each pair, of which the preferred one is desirable. The caller destroys the
 * result. */
RgSingles *rg_singles_of_pairs(const RgPairs *pairs);
int64_t rg_singles_desirable(const RgSingles *singles); /* how many are */

#endif
