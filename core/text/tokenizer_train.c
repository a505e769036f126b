/* SPDX-License-Identifier: MIT */
/* Learning a byte-level BPE vocabulary (Sennrich et al. 2016, arXiv:1508.07909): the most frequent
 * pair of neighbours becomes a token, repeatedly. Counts are kept per distinct word and updated
 * only where a merge changed something. */
#include "core/text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_VOCABULARY = 1 << 22 };

/* ---- distinct runs of bytes, numbered in the order in which they are first seen ---- */

typedef struct Run {
    const char *bytes; /* borrowed */
    size_t size;
    uint64_t hash;
    int64_t count; /* number of occurrences */
} Run;

typedef struct Runs {
    Run *run; /* [count] */
    int64_t count, capacity;
    int64_t *slot; /* [slots] index + 1 of a run; 0: free */
    size_t slots;
} Runs;

static void runs_place(Runs *runs, int64_t index) {
    size_t at = runs->run[index].hash & (runs->slots - 1);
    while (runs->slot[at])
        at = (at + 1) & (runs->slots - 1);
    runs->slot[at] = index + 1;
}

static void runs_grow(Runs *runs) {
    runs->capacity = runs->capacity ? 2 * runs->capacity : 1024;
    runs->slots = 2 * (size_t)runs->capacity;
    runs->run = rg_reallocate(runs->run, (size_t)runs->capacity, sizeof *runs->run);
    free(runs->slot);
    runs->slot = rg_allocate(runs->slots, sizeof *runs->slot);
    for (int64_t i = 0; i < runs->count; i++)
        runs_place(runs, i);
}

/* The run with these bytes, added with count 0 if new; valid until the next call. */
static Run *runs_at(Runs *runs, const char *bytes, size_t size) {
    if (runs->count == runs->capacity)
        runs_grow(runs);
    uint64_t hash = rg_hash(RG_HASH_START, bytes, size);
    hash ^= hash >> 32;
    for (size_t at = hash & (runs->slots - 1); runs->slot[at]; at = (at + 1) & (runs->slots - 1)) {
        Run *run = &runs->run[runs->slot[at] - 1];
        if (run->hash == hash && run->size == size && memcmp(run->bytes, bytes, size) == 0)
            return run;
    }
    runs->run[runs->count] = (Run){.bytes = bytes, .size = size, .hash = hash};
    runs_place(runs, runs->count++);
    return &runs->run[runs->count - 1];
}

static void runs_release(Runs *runs) {
    free(runs->run);
    free(runs->slot);
}

/* ---- state ---- */

typedef struct Word {
    int32_t *id; /* within Trainer.ids; shrinks with each merge */
    int64_t length, count;
} Word;

typedef struct Pair {
    int32_t first, second;
    int64_t count;  /* over all words */
    int64_t *words; /* [word_count] words in which it occurred; it may be gone from them */
    int64_t word_count, word_capacity;
    bool touched; /* by the current merge */
} Pair;

/* An entry of the queue is current if its count is the pair's. */
typedef struct Entry {
    int64_t count, pair;
} Entry;

typedef struct Trainer {
    int32_t *ids;
    Word *words;
    int64_t word_count;
    Pair *pairs;
    int64_t pair_count, pair_capacity;
    RgPairMap index; /* of a pair in `pairs` */
    Entry *queue;    /* a heap: the most frequent pair first, then the one with smaller ids */
    int64_t queue_count, queue_capacity;
    int64_t *touched; /* pairs that became more frequent in the current merge */
    int64_t touched_count, touched_capacity;
} Trainer;

static void *grown(void *memory, int64_t count, int64_t *capacity, size_t each) {
    if (count < *capacity)
        return memory;
    *capacity = *capacity ? 2 * *capacity : 16;
    return rg_reallocate(memory, (size_t)*capacity, each);
}

/* ---- the queue ---- */

static bool goes_first(const Trainer *trainer, Entry a, Entry b) {
    if (a.count != b.count)
        return a.count > b.count;
    const Pair *x = &trainer->pairs[a.pair], *y = &trainer->pairs[b.pair];
    return x->first != y->first ? x->first < y->first : x->second < y->second;
}

static void queue_push(Trainer *t, int64_t pair) {
    t->queue = grown(t->queue, t->queue_count, &t->queue_capacity, sizeof *t->queue);
    Entry new = {.count = t->pairs[pair].count, .pair = pair};
    int64_t at = t->queue_count++;
    for (; at > 0 && goes_first(t, new, t->queue[(at - 1) / 2]); at = (at - 1) / 2)
        t->queue[at] = t->queue[(at - 1) / 2];
    t->queue[at] = new;
}

static Entry queue_pop(Trainer *t) {
    Entry first = t->queue[0], last = t->queue[--t->queue_count];
    int64_t at = 0;
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child + 1 < t->queue_count && goes_first(t, t->queue[child + 1], t->queue[child]))
            child++;
        if (child >= t->queue_count || !goes_first(t, t->queue[child], last))
            break;
        t->queue[at] = t->queue[child];
        at = child;
    }
    t->queue[at] = last;
    return first;
}

/* The most frequent pair; −1 if none is left. A pair that became rarer since it was queued is
 * queued again with its current count. One that became more frequent has been queued a second time
 * already. */
static int64_t commonest_pair(Trainer *t) {
    while (t->queue_count > 0) {
        Entry entry = queue_pop(t);
        int64_t count = t->pairs[entry.pair].count;
        if (count == entry.count && count > 0)
            return entry.pair;
        if (count < entry.count && count > 0)
            queue_push(t, entry.pair);
    }
    return -1;
}

/* ---- counting ---- */

static int64_t pair_index(Trainer *t, int32_t first, int32_t second) {
    int64_t *index = rg_pair_map_at(&t->index, first, second);
    if (*index < 0) {
        t->pairs = grown(t->pairs, t->pair_count, &t->pair_capacity, sizeof *t->pairs);
        *index = t->pair_count++;
        t->pairs[*index] = (Pair){.first = first, .second = second};
    }
    return *index;
}

/* Adds the word's pairs to the counts; with sign −1 subtracts them. Words are recorded only at
 * pairs with `made` (the token of the current merge; −1: all), because the other pairs have them
 * already. */
static void count_pairs(Trainer *t, int64_t word, int sign, int32_t made) {
    const Word *w = &t->words[word];
    for (int64_t i = 0; i + 1 < w->length; i++) {
        int64_t index = pair_index(t, w->id[i], w->id[i + 1]);
        Pair *pair = &t->pairs[index];
        pair->count += sign * w->count;
        if (sign < 0 || (made >= 0 && pair->first != made && pair->second != made))
            continue;
        if (pair->word_count == 0 || pair->words[pair->word_count - 1] != word) {
            pair->words =
                grown(pair->words, pair->word_count, &pair->word_capacity, sizeof *pair->words);
            pair->words[pair->word_count++] = word;
        }
        if (made >= 0 && !pair->touched) {
            pair->touched = true;
            t->touched =
                grown(t->touched, t->touched_count, &t->touched_capacity, sizeof *t->touched);
            t->touched[t->touched_count++] = index;
        }
    }
}

static void count_words(Runs *runs, const char *const *texts, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        const char *text = texts[i];
        for (size_t left = strlen(text); left > 0;) {
            size_t length = rg_word_length(text, left);
            runs_at(runs, text, length)->count++;
            text += length;
            left -= length;
        }
    }
}

static void set_words(Trainer *t, const Runs *runs) {
    size_t bytes = 0;
    for (int64_t i = 0; i < runs->count; i++)
        bytes += runs->run[i].size;
    t->ids = rg_allocate(bytes, sizeof *t->ids);
    t->words = rg_allocate(runs->count, sizeof *t->words);
    t->word_count = runs->count;
    int32_t *id = t->ids;
    for (int64_t i = 0; i < runs->count; i++) {
        const Run *run = &runs->run[i];
        t->words[i] = (Word){.id = id, .length = (int64_t)run->size, .count = run->count};
        for (size_t k = 0; k < run->size; k++)
            *id++ = RG_SPECIALS + (unsigned char)run->bytes[k];
    }
    for (int64_t i = 0; i < t->word_count; i++)
        count_pairs(t, i, 1, -1);
    for (int64_t i = 0; i < t->pair_count; i++)
        queue_push(t, i);
}

/* ---- merging ---- */

static void merge_in_word(Word *word, RgMergeRule rule) {
    int64_t kept = 0;
    for (int64_t i = 0; i < word->length; kept++) {
        bool here =
            i + 1 < word->length && word->id[i] == rule.first && word->id[i + 1] == rule.second;
        word->id[kept] = here ? rule.result : word->id[i];
        i += here ? 2 : 1;
    }
    word->length = kept;
}

static void merge_everywhere(Trainer *t, int64_t pair, RgMergeRule rule) {
    int64_t *words = t->pairs[pair].words, word_count = t->pairs[pair].word_count;
    t->pairs[pair].words = NULL; /* counting below may move the pair and record words at it again */
    t->pairs[pair].word_count = t->pairs[pair].word_capacity = 0;
    t->touched_count = 0;
    for (int64_t i = 0; i < word_count; i++) {
        count_pairs(t, words[i], -1, -1);
        merge_in_word(&t->words[words[i]], rule);
        count_pairs(t, words[i], 1, rule.result);
    }
    free(words);
    for (int64_t i = 0; i < t->touched_count; i++) {
        t->pairs[t->touched[i]].touched = false;
        queue_push(t, t->touched[i]);
    }
}

/* A byte-level vocabulary of the special tokens and the bytes, with capacity for more. */
static RgTokenizer *bytes_only(int64_t vocabulary) {
    static const char *const specials[RG_SPECIALS] = {"<|begin|>", "<|end|>"};
    RgTokenizer *tokenizer = rg_tokenizer_new(vocabulary);
    rg_pre_tokenizer_set_own(&tokenizer->pre_tokenizer);
    tokenizer->decoder.byte_level = true;
    for (int id = 0; id < RG_SPECIALS; id++) {
        rg_tokenizer_set_text(tokenizer, id, specials[id], strlen(specials[id]));
        tokenizer->text[id].special = true;
    }
    tokenizer->begin = 0;
    tokenizer->end = 1;
    for (int byte = 0; byte < 256; byte++) {
        tokenizer->byte_id[byte] = RG_SPECIALS + byte;
        rg_tokenizer_set_text(tokenizer, RG_SPECIALS + byte, &(char){(char)byte}, 1);
    }
    return tokenizer;
}

/* Merges until there are as many tokens as requested, and returns their number. Two merges may
 * spell the same token, such as ("a", "bc") and ("ab", "c"), which is then one token with two
 * rules. */
static int64_t learn(Trainer *t, RgTokenizer *tokenizer) {
    Runs spelled = {0};
    int64_t made = RG_SMALLEST_VOCABULARY;
    while (made < tokenizer->count) {
        int64_t pair = commonest_pair(t);
        if (pair < 0)
            break;
        RgMergeRule rule = {.first = t->pairs[pair].first, .second = t->pairs[pair].second};
        const RgTokenText *left = &tokenizer->text[rule.first];
        const RgTokenText *right = &tokenizer->text[rule.second];
        size_t left_size = (size_t)left->size, size = left_size + (size_t)right->size;
        char *bytes = rg_allocate(size, 1);
        memcpy(bytes, left->bytes, left_size);
        memcpy(bytes + left_size, right->bytes, (size_t)right->size);
        Run *run = runs_at(&spelled, bytes, size);
        if (run->count == 0) { /* new: its count stores its id */
            rg_tokenizer_set_text(tokenizer, made, bytes, size);
            run->bytes = tokenizer->text[made].bytes;
            run->count = made++;
        }
        free(bytes);
        rule.result = (int32_t)run->count;
        /* Such a token makes pairs that already have a rule, which merges them. */
        if (rg_pair_map_find(&tokenizer->merges, rule.first, rule.second) < 0)
            rg_tokenizer_add_rule(tokenizer, rule);
        merge_everywhere(t, pair, rule);
    }
    runs_release(&spelled);
    return made;
}

RgStatus rg_tokenizer_train(const char *const *texts, int64_t count, int64_t vocabulary,
                            RgTokenizer **tokenizer, RgError *error) {
    *tokenizer = NULL;
    if (vocabulary < RG_SMALLEST_VOCABULARY || vocabulary > INT32_MAX)
        return rg_fail(error, RG_E_RANGE,
                       "a vocabulary of %lld tokens: at least %d expected, for the bytes and "
                       "the special tokens",
                       (long long)vocabulary, RG_SMALLEST_VOCABULARY);
    Runs runs = {0};
    Trainer trainer = {0};
    count_words(&runs, texts, count);
    set_words(&trainer, &runs);
    RgTokenizer *new = bytes_only(vocabulary);
    int64_t made = learn(&trainer, new);

    runs_release(&runs);
    for (int64_t i = 0; i < trainer.pair_count; i++)
        free(trainer.pairs[i].words);
    free(trainer.pairs);
    free(trainer.queue);
    free(trainer.touched);
    free(trainer.words);
    free(trainer.ids);
    rg_pair_map_release(&trainer.index);
    if (made < vocabulary) {
        rg_tokenizer_destroy(new);
        return rg_fail(error, RG_E_RANGE,
                       "the texts give a vocabulary of %lld tokens, %lld were requested",
                       (long long)made, (long long)vocabulary);
    }
    *tokenizer = new;
    return RG_OK;
}
