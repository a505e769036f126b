/* SPDX-License-Identifier: MIT */
/* Tokenizers: creation, and what their parts share. Encoding is in tokenizer_encode.c, the file
 * formats are in tokenizer_json.c and tokenizer_llama2c.c, learning is in tokenizer_train.c. */
#include "core/files.h"
#include "core/text/tokenizer_internal.h"

#include "core/new_file.h"

#include <stdlib.h>
#include <string.h>

/* ---- lists of tokens ---- */

void rg_tokens_append(RgTokens *tokens, int32_t id) {
    if (tokens->count == tokens->capacity) {
        tokens->capacity = tokens->capacity ? 2 * tokens->capacity : 64;
        tokens->id = rg_reallocate(tokens->id, (size_t)tokens->capacity, sizeof *tokens->id);
    }
    tokens->id[tokens->count++] = id;
}

void rg_tokens_release(RgTokens *tokens) {
    free(tokens->id);
    *tokens = (RgTokens){0};
}

/* ---- pairs ---- */

static size_t pair_slot(const RgPairMap *map, uint64_t key) {
    uint64_t mixed = key * UINT64_C(0x9E3779B97F4A7C15);
    size_t slot = (size_t)(mixed >> 32) & (map->capacity - 1);
    while (map->key[slot] && map->key[slot] != key)
        slot = (slot + 1) & (map->capacity - 1);
    return slot;
}

static uint64_t pair_key(int32_t first, int32_t second) {
    return 1 + ((uint64_t)(uint32_t)first << 32 | (uint32_t)second);
}

static void pair_map_grow(RgPairMap *map) {
    RgPairMap old = *map;
    map->capacity = old.capacity ? 2 * old.capacity : 256;
    map->key = rg_allocate(map->capacity, sizeof *map->key);
    map->value = rg_allocate(map->capacity, sizeof *map->value);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.key[i]) {
            size_t slot = pair_slot(map, old.key[i]);
            map->key[slot] = old.key[i];
            map->value[slot] = old.value[i];
        }
    free(old.key);
    free(old.value);
}

int64_t *rg_pair_map_at(RgPairMap *map, int32_t first, int32_t second) {
    if (2 * (map->count + 1) > map->capacity)
        pair_map_grow(map);
    uint64_t key = pair_key(first, second);
    size_t slot = pair_slot(map, key);
    if (!map->key[slot]) {
        map->key[slot] = key;
        map->value[slot] = -1;
        map->count++;
    }
    return &map->value[slot];
}

int64_t rg_pair_map_find(const RgPairMap *map, int32_t first, int32_t second) {
    if (map->capacity == 0)
        return -1;
    size_t slot = pair_slot(map, pair_key(first, second));
    return map->key[slot] ? map->value[slot] : -1;
}

void rg_pair_map_release(RgPairMap *map) {
    free(map->key);
    free(map->value);
    *map = (RgPairMap){0};
}

/* ---- life ---- */

RgTokenizer *rg_tokenizer_new(int64_t count) {
    RgTokenizer *tokenizer = rg_allocate(1, sizeof *tokenizer);
    tokenizer->count = count;
    tokenizer->text = rg_allocate(count, sizeof *tokenizer->text);
    tokenizer->begin = tokenizer->end = tokenizer->unknown = -1;
    for (int byte = 0; byte < 256; byte++)
        tokenizer->byte_id[byte] = -1;
    tokenizer->idle = rg_allocate(RG_IDLE_ENCODERS, sizeof *tokenizer->idle);
    return tokenizer;
}

void rg_tokenizer_set_text(RgTokenizer *tokenizer, int64_t id, const char *bytes, size_t size) {
    RgTokenText *text = &tokenizer->text[id];
    RG_ASSERT(!text->bytes && size <= INT32_MAX);
    text->bytes = rg_allocate(size, 1);
    if (size > 0)
        memcpy(text->bytes, bytes, size);
    text->size = (int32_t)size;
}

void rg_tokenizer_add_rule(RgTokenizer *tokenizer, RgMergeRule rule) {
    int64_t priority = tokenizer->rule_count++;
    if (priority == tokenizer->rule_capacity) {
        tokenizer->rule_capacity = priority > 0 ? 2 * priority : 1024;
        tokenizer->rules = rg_reallocate(tokenizer->rules, (size_t)tokenizer->rule_capacity,
                                         sizeof *tokenizer->rules);
    }
    tokenizer->rules[priority] = rule;
    *rg_pair_map_at(&tokenizer->merges, rule.first, rule.second) = priority << 32 | rule.result;
}

void rg_tokenizer_destroy(RgTokenizer *tokenizer) {
    if (!tokenizer)
        return;
    for (int64_t i = 0; i < tokenizer->count; i++)
        free(tokenizer->text[i].bytes);
    for (int i = 0; i < RG_IDLE_ENCODERS; i++)
        rg_encoder_destroy(tokenizer->idle[i]);
    for (int i = 0; i < 2; i++)
        rg_added_tokens_destroy(tokenizer->added[i]);
    rg_normalizer_release(&tokenizer->normalizer);
    rg_pre_tokenizer_release(&tokenizer->pre_tokenizer);
    rg_decoder_release(&tokenizer->decoder);
    rg_pair_map_release(&tokenizer->merges);
    rg_pair_map_release(&tokenizer->characters);
    free(tokenizer->text);
    free(tokenizer->rules);
    free(tokenizer->score);
    free(tokenizer->whole_word);
    free(tokenizer->document);
    free(tokenizer->idle);
    free(tokenizer);
}

/* ---- what encoding needs ---- */

size_t rg_character_length(const char *text, size_t size) {
    size_t length = 1;
    while (length < 4 && length < size && ((unsigned char)text[length] & 0xC0) == 0x80)
        length++;
    return length;
}

int64_t *rg_tokenizer_character(RgTokenizer *tokenizer, const char *text, size_t length) {
    int32_t packed = 0;
    memcpy(&packed, text, length);
    return rg_pair_map_at(&tokenizer->characters, packed, (int32_t)length);
}

void rg_tokenizer_set_space(RgTokenizer *tokenizer, const char *mark) {
    size_t length = strlen(mark);
    RG_ASSERT(length < sizeof tokenizer->space);
    memcpy(tokenizer->space, mark, length + 1);
    for (int64_t id = 0; id < tokenizer->count; id++) {
        const RgTokenText *text = &tokenizer->text[id];
        for (size_t at = 1; at + length <= (size_t)text->size; at++)
            if (memcmp(text->bytes + at, mark, length) == 0)
                tokenizer->space_joins[(unsigned char)text->bytes[at - 1]] = true;
    }
}

void rg_tokenizer_index_words(RgTokenizer *tokenizer) {
    tokenizer->whole_words = 256;
    while (tokenizer->whole_words < 2 * (size_t)tokenizer->count)
        tokenizer->whole_words *= 2;
    size_t mask = tokenizer->whole_words - 1;
    tokenizer->whole_word = rg_allocate(tokenizer->whole_words, sizeof *tokenizer->whole_word);
    memset(tokenizer->whole_word, 0xFF, tokenizer->whole_words * sizeof *tokenizer->whole_word);
    for (int64_t id = 0; id < tokenizer->count; id++) {
        const RgTokenText *text = &tokenizer->text[id];
        if (!text->bytes)
            continue; /* no token has this id */
        size_t at = rg_hash(RG_HASH_START, text->bytes, (size_t)text->size) & mask;
        while (tokenizer->whole_word[at] >= 0)
            at = (at + 1) & mask;
        tokenizer->whole_word[at] = (int32_t)id;
    }
}

/* ---- files ---- */

RgStatus rg_tokenizer_load(const char *path, int64_t vocabulary, RgTokenizer **tokenizer,
                           RgError *error) {
    *tokenizer = NULL;
    char *content = NULL;
    size_t size = 0;
    RG_TRY(rg_file_read(path, &content, &size, error));
    RgTokenizer *new = NULL;
    const char *before = rg_memory_for(path);
    RgStatus status = size > 0 && content[0] == '{'
                          ? rg_tokenizer_from_json(path, content, size, &new, error)
                          : rg_tokenizer_from_llama2c(path, content, size, &new, error);
    rg_memory_for(before);
    if (status != RG_OK) {
        free(content);
        return status;
    }
    new->document = content;
    new->document_size = size;
    if (vocabulary > 0 && new->count != vocabulary) {
        status = rg_fail(error, RG_E_FORMAT, "%s: a vocabulary of %lld tokens expected, %lld found",
                         path, (long long)vocabulary, (long long)new->count);
        rg_tokenizer_destroy(new);
        return status;
    }
    *tokenizer = new;
    return RG_OK;
}

RgStatus rg_tokenizer_save(const RgTokenizer *tokenizer, const char *path, RgError *error) {
    if (tokenizer->document)
        return rg_file_write(path, tokenizer->document, tokenizer->document_size, error);
    return rg_tokenizer_to_json(tokenizer, path, error);
}

bool rg_tokenizer_is_special(const RgTokenizer *tokenizer, int32_t id) {
    return tokenizer->text[id].special;
}

bool rg_tokenizer_strips_left(const RgTokenizer *tokenizer, int32_t id) {
    return tokenizer->text[id].lstrip;
}

bool rg_tokenizer_strips_right(const RgTokenizer *tokenizer, int32_t id) {
    return tokenizer->text[id].rstrip;
}

int64_t rg_tokenizer_vocabulary(const RgTokenizer *tokenizer) {
    return tokenizer->count;
}

int32_t rg_tokenizer_begin(const RgTokenizer *tokenizer) {
    return tokenizer->begin;
}

int32_t rg_tokenizer_end(const RgTokenizer *tokenizer) {
    return tokenizer->end;
}
