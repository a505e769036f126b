/* SPDX-License-Identifier: MIT */
/* Symbols, hashed n-grams, and the n-gram model of fluency. */
#include "envs/judges/judge_symbols.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- symbols ---- */

static void add_symbol(RgSymbols *symbols, uint64_t name) {
    if (symbols->count == symbols->capacity) {
        symbols->capacity = symbols->capacity ? 2 * symbols->capacity : 64;
        symbols->name =
            rg_reallocate(symbols->name, (size_t)symbols->capacity, sizeof *symbols->name);
    }
    symbols->name[symbols->count++] = name;
}

static bool in_word(char c) {
    return isalnum((unsigned char)c) || c == '\'' || (unsigned char)c >= 0x80;
}

static uint64_t hash_lower(const char *text, size_t size) {
    uint64_t hash = RG_HASH_START;
    for (size_t i = 0; i < size; i++) {
        char lower = (char)tolower((unsigned char)text[i]);
        hash = rg_hash(hash, &lower, 1);
    }
    return hash;
}

RgSymbols rg_symbols_of(const char *text, bool words) {
    RgSymbols symbols = {0};
    while (*text) {
        size_t length = 1;
        if (isspace((unsigned char)*text)) {
            while (isspace((unsigned char)text[length]))
                length++;
            if (!words)
                add_symbol(&symbols, hash_lower(" ", 1));
        } else {
            while (words && in_word(text[0]) && in_word(text[length]))
                length++;
            add_symbol(&symbols, hash_lower(text, length));
        }
        text += length;
    }
    return symbols;
}

uint64_t rg_symbols_ngram(const RgSymbols *symbols, int64_t end, int n) {
    uint64_t hash = RG_HASH_START ^ (uint64_t)n;
    for (int64_t i = end - n; i < end; i++) {
        uint64_t name = i < 0 || i >= symbols->count ? (uint64_t)(i < 0) : symbols->name[i];
        hash = (hash ^ name) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    return hash;
}

/* ---- tallies ---- */

static size_t slot_of(const RgTallies *tallies, uint64_t key) {
    size_t slot = (size_t)(key >> 7) & (tallies->capacity - 1);
    while (tallies->entry[slot].key && tallies->entry[slot].key != key)
        slot = (slot + 1) & (tallies->capacity - 1);
    return slot;
}

static void grow(RgTallies *tallies) {
    RgTallies old = *tallies;
    tallies->capacity = old.capacity ? 2 * old.capacity : 1024;
    tallies->entry = rg_allocate(tallies->capacity, sizeof *tallies->entry);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.entry[i].key)
            tallies->entry[slot_of(tallies, old.entry[i].key)] = old.entry[i];
    free(old.entry);
}

RgTally *rg_tallies_at(RgTallies *tallies, uint64_t key) {
    if (2 * (tallies->count + 1) > tallies->capacity)
        grow(tallies);
    key |= 1; /* 0 marks an empty slot */
    RgTally *entry = &tallies->entry[slot_of(tallies, key)];
    if (!entry->key) {
        entry->key = key;
        tallies->count++;
    }
    return entry;
}

const RgTally *rg_tallies_find(const RgTallies *tallies, uint64_t key) {
    if (tallies->capacity == 0)
        return NULL;
    const RgTally *entry = &tallies->entry[slot_of(tallies, key | 1)];
    return entry->key ? entry : NULL;
}

void rg_tallies_free(RgTallies *tallies) {
    free(tallies->entry);
    *tallies = (RgTallies){0};
}

/* ---- the n-gram model ---- */

/* Contexts and n-grams share one map. A context of n−1 symbols ends at the same place as its
 * n-gram without the last symbol, and has another key. */
static uint64_t context_key(const RgSymbols *symbols, int64_t at, int n) {
    return ~rg_symbols_ngram(symbols, at, n - 1);
}

void rg_ngram_model_learn(RgNgramModel *model, const RgSymbols *symbols) {
    for (int64_t at = 0; at <= symbols->count; at++)
        for (int n = 1; n <= model->order; n++) {
            bool new =
                rg_tallies_at(&model->tallies, rg_symbols_ngram(symbols, at + 1, n))->total++ == 0;
            RgTally *context = rg_tallies_at(&model->tallies, context_key(symbols, at, n));
            context->total++;
            context->kinds += new;
            if (n == 1)
                model->vocabulary += new;
        }
}

static double probability(const RgNgramModel *model, const RgSymbols *symbols, int64_t at) {
    double p = 1 / (model->vocabulary + 1);
    for (int n = 1; n <= model->order; n++) {
        const RgTally *context = rg_tallies_find(&model->tallies, context_key(symbols, at, n));
        if (!context)
            break;
        const RgTally *ngram =
            rg_tallies_find(&model->tallies, rg_symbols_ngram(symbols, at + 1, n));
        p = ((ngram ? ngram->total : 0) + context->kinds * p) /
            ((double)context->total + context->kinds);
    }
    return p;
}

double rg_ngram_model_score(const RgNgramModel *model, const RgSymbols *symbols) {
    double sum = 0;
    for (int64_t at = 0; at <= symbols->count; at++)
        sum += log(probability(model, symbols, at));
    return sum / (double)(symbols->count + 1);
}
