/* SPDX-License-Identifier: MIT */
/* The vocabulary file of llama2.c: int32 longest token, then for each token a float32 score, an
 * int32 length and its bytes. Ids 0, 1, 2 are <unk>, begin and end. Ids 3 to 258 are the bytes,
 * written <0x00> to <0xFF>, which encode characters without a token of their own. */
#include "core/text/tokenizer_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BEGIN = 1, END = 2, FIRST_BYTE = 3, FIRST_PIECE = FIRST_BYTE + 256, TOKEN_HEADER = 8 };
enum { LONGEST_CHARACTER = 4, BYTE_NAME = 6 };

/* A position in the file. */
typedef struct Cursor {
    const char *path, *content;
    size_t size, at;
} Cursor;

static RgStatus read_token(Cursor *cursor, int64_t id, int32_t longest, float *score,
                           int32_t *length, RgError *error) {
    if (cursor->size - cursor->at < TOKEN_HEADER)
        return rg_fail(error, RG_E_FORMAT, "%s: truncated in token %lld", cursor->path,
                       (long long)id);
    memcpy(score, cursor->content + cursor->at, sizeof *score);
    memcpy(length, cursor->content + cursor->at + 4, sizeof *length);
    cursor->at += TOKEN_HEADER;
    if (*length < 0 || *length > longest || !isfinite(*score))
        return rg_fail(error, RG_E_FORMAT,
                       "%s: not a llama2.c vocabulary: token %lld has score %g and length %d, at "
                       "most %d expected",
                       cursor->path, (long long)id, (double)*score, *length, longest);
    if ((size_t)*length > cursor->size - cursor->at)
        return rg_fail(error, RG_E_FORMAT, "%s: truncated: token %lld has %d bytes, %zu are left",
                       cursor->path, (long long)id, *length, cursor->size - cursor->at);
    cursor->at += (size_t)*length;
    return RG_OK;
}

/* Counts the tokens and checks them all. */
static RgStatus count_tokens(Cursor cursor, int32_t longest, int64_t *count, RgError *error) {
    for (*count = 0; cursor.at < cursor.size; ++*count) {
        float score = 0;
        int32_t length = 0;
        RG_TRY(read_token(&cursor, *count, longest, &score, &length, error));
    }
    if (*count < FIRST_PIECE)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: not a llama2.c vocabulary: %d tokens or more expected, %lld found",
                       cursor.path, FIRST_PIECE, (long long)*count);
    return RG_OK;
}

static RgStatus set_token(RgTokenizer *tokenizer, int64_t id, const char *bytes, size_t size,
                          const char *path, RgError *error) {
    tokenizer->text[id].special = id < FIRST_BYTE;
    if (id < FIRST_BYTE || id >= FIRST_PIECE) {
        rg_tokenizer_set_text(tokenizer, id, bytes, size);
        return RG_OK;
    }
    char name[BYTE_NAME + 1], byte = (char)(id - FIRST_BYTE);
    snprintf(name, sizeof name, "<0x%02X>", (unsigned)(id - FIRST_BYTE));
    if (size != BYTE_NAME || memcmp(bytes, name, size) != 0)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: not a llama2.c vocabulary: token %lld: \"%s\" expected, \"%.*s\" found",
                       path, (long long)id, name, size > 32 ? 32 : (int)size, bytes);
    rg_tokenizer_set_text(tokenizer, id, &byte, 1);
    tokenizer->byte_id[(unsigned char)byte] = (int32_t)id;
    return RG_OK;
}

/* ---- what encoding needs ---- */

static int compare_text(const RgTokenText *a, const RgTokenText *b) {
    int order = memcmp(a->bytes, b->bytes, (size_t)(a->size < b->size ? a->size : b->size));
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static int by_text(const void *a, const void *b, void *context) {
    const RgTokenizer *tokenizer = context;
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    int order = compare_text(&tokenizer->text[i], &tokenizer->text[j]);
    return order ? order : (i > j) - (i < j);
}

static int by_falling_score(const void *a, const void *b, void *context) {
    const RgTokenizer *tokenizer = context;
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    float x = tokenizer->score[i], y = tokenizer->score[j];
    return x != y ? (x < y) - (x > y) : (i > j) - (i < j);
}

/* Ids of the tokens that text can become, sorted by their text: [count − FIRST_PIECE]. */
static int32_t *ordered_pieces(RgTokenizer *tokenizer,
                               int (*order)(const void *, const void *, void *)) {
    size_t pieces = (size_t)(tokenizer->count - FIRST_PIECE);
    int32_t *ids = rg_allocate(pieces, sizeof *ids);
    for (size_t i = 0; i < pieces; i++)
        ids[i] = (int32_t)i + FIRST_PIECE;
    qsort_r(ids, pieces, sizeof *ids, order, tokenizer);
    return ids;
}

static int32_t find_piece(const RgTokenizer *tokenizer, const int32_t *sorted, RgTokenText text) {
    int64_t low = 0, high = tokenizer->count - FIRST_PIECE;
    while (low < high) { /* the first that is not before `text` */
        int64_t middle = low + (high - low) / 2;
        if (compare_text(&tokenizer->text[sorted[middle]], &text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < tokenizer->count - FIRST_PIECE &&
                 compare_text(&tokenizer->text[sorted[low]], &text) == 0;
    return found ? sorted[low] : -1;
}

/* Finds every way to merge two tokens into a third. Equal scores have equal priority. */
static void set_merges(RgTokenizer *tokenizer) {
    int32_t *sorted = ordered_pieces(tokenizer, by_text);
    int32_t *by_score = ordered_pieces(tokenizer, by_falling_score);
    int64_t priority = 0;
    for (int64_t i = 0; i < tokenizer->count - FIRST_PIECE; i++) {
        int32_t id = by_score[i];
        if (i > 0 && tokenizer->score[id] < tokenizer->score[by_score[i - 1]])
            priority = i;
        const RgTokenText *whole = &tokenizer->text[id];
        if (find_piece(tokenizer, sorted, *whole) != id)
            continue; /* the same bytes again */
        for (int32_t cut = 1; cut < whole->size; cut++) {
            RgTokenText left = {.bytes = whole->bytes, .size = cut};
            RgTokenText right = {.bytes = whole->bytes + cut, .size = whole->size - cut};
            int32_t first = find_piece(tokenizer, sorted, left);
            int32_t second = first < 0 ? -1 : find_piece(tokenizer, sorted, right);
            if (second >= 0)
                *rg_pair_map_at(&tokenizer->merges, first, second) = priority << 32 | id;
        }
    }
    free(sorted);
    free(by_score);
}

static void set_characters(RgTokenizer *tokenizer) {
    for (int32_t id = FIRST_PIECE; id < tokenizer->count; id++) {
        const RgTokenText *text = &tokenizer->text[id];
        if (text->size < 1 || text->size > LONGEST_CHARACTER)
            continue;
        int64_t *found = rg_tokenizer_character(tokenizer, text->bytes, (size_t)text->size);
        if (*found < 0)
            *found = id;
    }
}

/* ---- files ---- */

RgStatus rg_tokenizer_from_llama2c(const char *path, const char *content, size_t size,
                                   RgTokenizer **tokenizer, RgError *error) {
    int32_t longest = 0;
    Cursor cursor = {.path = path, .content = content, .size = size, .at = sizeof longest};
    if (size < sizeof longest)
        return rg_fail(error, RG_E_FORMAT, "%s: not a llama2.c vocabulary: %zu bytes", path, size);
    memcpy(&longest, content, sizeof longest);
    int64_t count = 0;
    RG_TRY(count_tokens(cursor, longest, &count, error));

    RgTokenizer *new = rg_tokenizer_new(count);
    new->score = rg_allocate(count, sizeof *new->score);
    new->begin = BEGIN;
    new->end = END;
    new->decoder.space_after_begin = true;
    new->leading_space = true;
    RgStatus status = RG_OK;
    for (int64_t id = 0; id < count && status == RG_OK; id++) {
        int32_t length = 0;
        status = read_token(&cursor, id, longest, &new->score[id], &length, error);
        if (status == RG_OK)
            status = set_token(new, id, content + cursor.at - length, (size_t)length, path, error);
    }
    if (status != RG_OK) {
        rg_tokenizer_destroy(new);
        return status;
    }
    set_merges(new);
    set_characters(new);
    rg_tokenizer_set_space(new, " ");
    *tokenizer = new;
    return RG_OK;
}
