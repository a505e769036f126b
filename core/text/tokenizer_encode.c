/* SPDX-License-Identifier: MIT */
/* Encoding and decoding. A thread that encodes borrows scratch memory from the tokenizer, which
 * caches the ids of recent words. */
#include "core/text/tokenizer_internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- merging ---- */

/* A word's symbols as a linked list, so that a merge moves nothing. */
typedef struct Symbol {
    int32_t id; /* −1: merged into the previous one */
    int64_t previous, next;
} Symbol;

/* A pair that may be merged. It becomes stale when one of its symbols is merged with another. */
typedef struct Candidate {
    int32_t priority, result, left, right;
    int64_t place; /* of the left symbol */
} Candidate;

typedef struct Word {
    Symbol *symbols;
    int64_t count, capacity;
    bool ends_unknown; /* its last symbol is an unknown character */
    Candidate *heap;   /* the first is merged next */
    int64_t heap_count, heap_capacity;
} Word;

static bool goes_first(const Candidate *a, const Candidate *b) {
    return a->priority != b->priority ? a->priority < b->priority : a->place < b->place;
}

static void heap_push(Word *word, Candidate new) {
    if (word->heap_count == word->heap_capacity) {
        word->heap_capacity = word->heap_capacity ? 2 * word->heap_capacity : 64;
        word->heap = rg_reallocate(word->heap, (size_t)word->heap_capacity, sizeof *word->heap);
    }
    int64_t at = word->heap_count++;
    for (; at > 0 && goes_first(&new, &word->heap[(at - 1) / 2]); at = (at - 1) / 2)
        word->heap[at] = word->heap[(at - 1) / 2];
    word->heap[at] = new;
}

static Candidate heap_pop(Word *word) {
    Candidate first = word->heap[0], last = word->heap[--word->heap_count];
    int64_t at = 0;
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child + 1 < word->heap_count && goes_first(&word->heap[child + 1], &word->heap[child]))
            child++;
        if (child >= word->heap_count || !goes_first(&word->heap[child], &last))
            break;
        word->heap[at] = word->heap[child];
        at = child;
    }
    word->heap[at] = last;
    return first;
}

static void append_symbol(Word *word, int32_t id) {
    if (word->count == word->capacity) {
        word->capacity = word->capacity ? 2 * word->capacity : 64;
        word->symbols = rg_reallocate(word->symbols, (size_t)word->capacity, sizeof *word->symbols);
    }
    word->ends_unknown = false;
    int64_t place = word->count++;
    word->symbols[place] = (Symbol){.id = id, .previous = place - 1, .next = -1};
    if (place > 0)
        word->symbols[place - 1].next = place;
}

static void consider(const RgTokenizer *tokenizer, Word *word, int64_t place) {
    const Symbol *left = place < 0 ? NULL : &word->symbols[place];
    if (!left || left->next < 0)
        return;
    int32_t right = word->symbols[left->next].id;
    int64_t merge = rg_pair_map_find(&tokenizer->merges, left->id, right);
    if (merge >= 0)
        heap_push(word, (Candidate){.priority = (int32_t)(merge >> 32),
                                    .result = (int32_t)(merge & INT32_MAX),
                                    .left = left->id,
                                    .right = right,
                                    .place = place});
}

/* Does all merges, appends the resulting ids, and empties the word. */
static void finish_word(const RgTokenizer *tokenizer, Word *word, RgTokens *tokens) {
    for (int64_t place = 0; place + 1 < word->count; place++)
        consider(tokenizer, word, place);
    while (word->heap_count > 0) {
        Candidate best = heap_pop(word);
        Symbol *left = &word->symbols[best.place];
        if (left->id != best.left || left->next < 0 || word->symbols[left->next].id != best.right)
            continue;
        Symbol *right = &word->symbols[left->next];
        left->id = best.result;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0)
            word->symbols[left->next].previous = best.place;
        consider(tokenizer, word, left->previous);
        consider(tokenizer, word, best.place);
    }
    for (int64_t place = word->count > 0 ? 0 : -1; place >= 0; place = word->symbols[place].next)
        rg_tokens_append(tokens, word->symbols[place].id);
    word->count = 0;
}

/* ---- words to ids ---- */

enum { CACHED_WORDS = 1 << 14, CACHED_BYTES = 30, CACHED_IDS = 8 };

/* A word and its ids; size 0: none. */
typedef struct CachedWord {
    uint8_t size, count;
    char bytes[CACHED_BYTES];
    int32_t id[CACHED_IDS];
} CachedWord;

struct RgEncoder {
    const RgTokenizer *tokenizer;
    RgTokens *tokens; /* receives the ids */
    Word word;
    CachedWord *cache; /* [CACHED_WORDS], each word at the place given by its hash */
    RgBuffer normalized[2];
    bool guarded; /* the text has guards, which are dropped */
    RgBuffer unguarded;
    RgPreTokens pieces;
};

static void append_unknown(const RgTokenizer *tokenizer, Word *word) {
    if (tokenizer->unknown < 0 || (tokenizer->fuse_unknown && word->ends_unknown))
        return;
    append_symbol(word, tokenizer->unknown);
    word->ends_unknown = true;
}

/* As a token of its own, else as bytes if each has a token, else as unknown. */
static void append_character(const RgTokenizer *tokenizer, Word *word, const char *text,
                             size_t length) {
    int32_t packed = 0;
    memcpy(&packed, text, length);
    int64_t id = rg_pair_map_find(&tokenizer->characters, packed, (int32_t)length);
    bool bytes = id < 0;
    for (size_t i = 0; i < length && bytes; i++)
        bytes = tokenizer->byte_id[(unsigned char)text[i]] >= 0;
    if (id >= 0)
        append_symbol(word, (int32_t)id);
    else if (!bytes)
        append_unknown(tokenizer, word);
    for (size_t i = 0; i < length && bytes; i++)
        append_symbol(word, tokenizer->byte_id[(unsigned char)text[i]]);
}

static int32_t find_whole(const RgTokenizer *tokenizer, const char *text, size_t size) {
    size_t mask = tokenizer->whole_words - 1;
    size_t at = rg_hash(RG_HASH_START, text, size) & mask;
    for (int32_t id; (id = tokenizer->whole_word[at]) >= 0; at = (at + 1) & mask) {
        const RgTokenText *token = &tokenizer->text[id];
        if ((size_t)token->size == size && memcmp(token->bytes, text, size) == 0)
            return id;
    }
    return -1;
}

static void merge_word(const RgTokenizer *tokenizer, Word *word, const char *text, size_t size,
                       RgTokens *tokens) {
    int32_t whole = tokenizer->whole_words > 0 ? find_whole(tokenizer, text, size) : -1;
    if (whole >= 0) {
        rg_tokens_append(tokens, whole);
        return;
    }
    bool by_bytes = tokenizer->pre_tokenizer.byte_level;
    for (size_t at = 0, length = 0; at < size; at += length) {
        length = by_bytes ? 1 : rg_character_length(text + at, size - at);
        append_character(tokenizer, word, text + at, length);
    }
    finish_word(tokenizer, word, tokens);
}

/* The place in the cache for a word of at most CACHED_BYTES. */
static CachedWord *place_of(const RgEncoder *encoder, const char *text, size_t size) {
    uint64_t hash = size * UINT64_C(0x9E3779B97F4A7C15);
    for (size_t at = 0; at < size; at += 8) {
        uint64_t part = 0;
        if (size - at >= 8)
            memcpy(&part, text + at, 8);
        else
            for (size_t i = at; i < size; i++)
                part = part << 8 | (unsigned char)text[i];
        hash = (hash ^ part) * UINT64_C(0xD6E8FEB86659FD93);
        hash ^= hash >> 32;
    }
    return &encoder->cache[hash & (CACHED_WORDS - 1)];
}

/* Cached words are encoded on their own, without a leading space. */
static void encode_word(RgEncoder *encoder, const char *text, size_t size) {
    RgTokens *tokens = encoder->tokens;
    int64_t before = tokens->count;
    if (size > CACHED_BYTES || encoder->word.count > 0) {
        merge_word(encoder->tokenizer, &encoder->word, text, size, tokens);
        return;
    }
    CachedWord *cached = place_of(encoder, text, size);
    if (cached->size == size && memcmp(cached->bytes, text, size) == 0) {
        for (int i = 0; i < cached->count; i++)
            rg_tokens_append(tokens, cached->id[i]);
        return;
    }
    merge_word(encoder->tokenizer, &encoder->word, text, size, tokens);
    int64_t count = tokens->count - before;
    if (count > CACHED_IDS)
        return;
    cached->size = (uint8_t)size;
    cached->count = (uint8_t)count;
    memcpy(cached->bytes, text, size);
    if (count > 0)
        memcpy(cached->id, tokens->id + before, (size_t)count * sizeof *cached->id);
}

/* Bytes of the piece up to the next space at which it may be cut. */
static size_t length_to_space(const RgTokenizer *tokenizer, const char *text, size_t size) {
    const char *space = tokenizer->space;
    size_t length = strlen(space);
    for (size_t at = 1; at + length <= size; at++) {
        const char *next = memchr(text + at, space[0], size - at - length + 1);
        if (!next)
            break;
        at = (size_t)(next - text);
        if (!tokenizer->space_joins[(unsigned char)next[-1]] && memcmp(next, space, length) == 0)
            return at;
    }
    return size;
}

static void take_piece(void *context, const char *text, size_t size) {
    RgEncoder *encoder = context;
    while (size > 0) {
        size_t length =
            encoder->tokenizer->space[0] ? length_to_space(encoder->tokenizer, text, size) : size;
        encode_word(encoder, text, length);
        text += length;
        size -= length;
    }
}

/* ---- scratch memory ---- */

static RgEncoder *borrow_encoder(const RgTokenizer *tokenizer) {
    for (int i = 0; i < RG_IDLE_ENCODERS; i++) {
        RgEncoder *encoder = atomic_exchange(&tokenizer->idle[i], NULL);
        if (encoder)
            return encoder;
    }
    RgEncoder *encoder = rg_allocate(1, sizeof *encoder);
    encoder->tokenizer = tokenizer;
    encoder->cache = rg_allocate(CACHED_WORDS, sizeof *encoder->cache);
    encoder->pieces.matcher = rg_matcher_create();
    encoder->pieces.take = take_piece;
    encoder->pieces.context = encoder;
    return encoder;
}

static void return_encoder(const RgTokenizer *tokenizer, RgEncoder *encoder) {
    encoder->tokens = NULL;
    for (int i = 0; i < RG_IDLE_ENCODERS; i++) {
        RgEncoder *none = NULL;
        if (atomic_compare_exchange_strong(&tokenizer->idle[i], &none, encoder))
            return;
    }
    rg_encoder_destroy(encoder);
}

void rg_encoder_destroy(RgEncoder *encoder) {
    if (!encoder)
        return;
    rg_matcher_destroy(encoder->pieces.matcher);
    for (int i = 0; i < RG_PRE_TOKENIZER_STEPS; i++)
        rg_buffer_release(&encoder->pieces.buffer[i]);
    for (int i = 0; i < 2; i++)
        rg_buffer_release(&encoder->normalized[i]);
    rg_buffer_release(&encoder->unguarded);
    free(encoder->word.symbols);
    free(encoder->word.heap);
    free(encoder->cache);
    free(encoder);
}

/* ---- encoding ---- */

/* Encodes text without added tokens, or in which they are not recognised. */
typedef void (*EncodeRest)(RgEncoder *encoder, const char *text, size_t size, bool first);

/* Encodes the added tokens in the text, and with `rest` the text between them. `first`: the text is
 * the beginning of the user's text. */
static void encode_added(RgEncoder *encoder, const RgAddedTokens *added, const char *text,
                         size_t size, bool first, EncodeRest rest) {
    size_t done = 0, from = 0;
    RgSpan span = {0};
    int32_t id = 0;
    while (added && rg_added_tokens_find(added, text, size, done, &from, &span, &id)) {
        if (span.start > done)
            rest(encoder, text + done, span.start - done, first && done == 0);
        rg_tokens_append(encoder->tokens, id);
        done = span.end;
    }
    if (done < size)
        rest(encoder, text + done, size - done, first && done == 0);
}

static RgBuffer without_guards(RgEncoder *encoder, const char *text, size_t size) {
    RgBuffer *out = &encoder->unguarded;
    out->size = 0;
    while (size > 0) {
        const char *guard = memchr(text, RG_TOKENIZER_GUARD, size);
        size_t length = guard ? (size_t)(guard - text) : size;
        rg_buffer_append(out, text, length);
        text += length + (guard != NULL);
        size -= length + (guard != NULL);
    }
    return *out;
}

static void encode_pieces(RgEncoder *encoder, const char *text, size_t size, bool first) {
    if (encoder->guarded && memchr(text, RG_TOKENIZER_GUARD, size)) {
        RgBuffer plain = without_guards(encoder, text, size);
        text = plain.bytes;
        size = plain.size;
    }
    if (first && size > 0 && encoder->tokenizer->leading_space)
        append_character(encoder->tokenizer, &encoder->word, " ", 1);
    rg_pre_tokenizer_run(&encoder->tokenizer->pre_tokenizer, &encoder->pieces, text, size, first);
}

static RgBuffer normalize(RgEncoder *encoder, const char *text, size_t size) {
    return rg_normalizer_apply(&encoder->tokenizer->normalizer, encoder->pieces.matcher,
                               encoder->normalized, text, size);
}

static void encode_plain(RgEncoder *encoder, const char *text, size_t size, bool first) {
    RgBuffer normal = normalize(encoder, text, size);
    encode_pieces(encoder, normal.bytes, normal.size, first);
}

static void encode_marked(RgEncoder *encoder, const char *text, size_t size, bool first) {
    RgBuffer normal = normalize(encoder, text, size);
    encode_added(encoder, encoder->tokenizer->added[1], normal.bytes, normal.size, first,
                 encode_pieces);
}

void rg_tokenizer_encode(const RgTokenizer *tokenizer, const char *text, size_t size,
                         RgTokens *tokens) {
    RgEncoder *encoder = borrow_encoder(tokenizer);
    encoder->tokens = tokens;
    encode_plain(encoder, text, size, true);
    return_encoder(tokenizer, encoder);
}

static void encode_whole(const RgTokenizer *tokenizer, const char *text, size_t size, bool guarded,
                         RgTokens *tokens) {
    RgEncoder *encoder = borrow_encoder(tokenizer);
    encoder->tokens = tokens;
    encoder->guarded = guarded;
    encode_added(encoder, tokenizer->added[0], text, size, true, encode_marked);
    encoder->guarded = false;
    return_encoder(tokenizer, encoder);
}

void rg_tokenizer_encode_marked(const RgTokenizer *tokenizer, const char *text, size_t size,
                                RgTokens *tokens) {
    encode_whole(tokenizer, text, size, false, tokens);
}

void rg_tokenizer_encode_guarded(const RgTokenizer *tokenizer, const char *text, size_t size,
                                 RgTokens *tokens) {
    encode_whole(tokenizer, text, size, true, tokens);
}

/* Appends the text with a guard after the first byte of each special token. */
static void guard_among(const RgTokenizer *tokenizer, const RgAddedTokens *added, const char *text,
                        size_t size, RgBuffer *out) {
    size_t done = 0, from = 0;
    RgSpan span = {0};
    int32_t id = 0;
    while (added && rg_added_tokens_find(added, text, size, size, &from, &span, &id)) {
        if (!tokenizer->text[id].special)
            continue;
        rg_buffer_append(out, text + done, span.start + 1 - done);
        rg_buffer_append(out, &(char){(char)RG_TOKENIZER_GUARD}, 1);
        done = from = span.start + 1; /* the guard may bare another token */
    }
    if (size > done)
        rg_buffer_append(out, text + done, size - done);
}

void rg_tokenizer_guard(const RgTokenizer *tokenizer, const char *text, size_t size,
                        RgBuffer *out) {
    RgBuffer once = {0};
    guard_among(tokenizer, tokenizer->added[0], text, size, &once);
    guard_among(tokenizer, tokenizer->added[1], once.bytes, once.size, out);
    rg_buffer_release(&once);
}

/* ---- decoding ---- */

static void decode_id(const RgTokenizer *tokenizer, int32_t id, bool after_begin, bool specials,
                      RgDecoding *decoding) {
    static const RgTokenText none = {.bytes = "\xEF\xBF\xBD", .size = 3}; /* U+FFFD */
    bool known = id >= 0 && id < tokenizer->count;
    RgTokenText text = known ? tokenizer->text[id] : none;
    if (text.special && !specials)
        return;
    /* Removes the space that encoding put before the whole text. */
    if (after_begin && tokenizer->decoder.space_after_begin && text.size > 0 &&
        text.bytes[0] == ' ') {
        text.bytes++;
        text.size--;
    }
    rg_decoding_add(decoding, text.bytes, (size_t)text.size);
}

static char *decode(const RgTokenizer *tokenizer, const int32_t *ids, int64_t count, bool specials,
                    size_t *size) {
    RgDecoding decoding = {.decoder = &tokenizer->decoder};
    for (int64_t i = 0; i < count; i++)
        decode_id(tokenizer, ids[i], i > 0 && ids[i - 1] == tokenizer->begin, specials, &decoding);
    rg_decoding_end(&decoding);
    if (size)
        *size = decoding.text.size;
    rg_buffer_append(&decoding.text, "", 1);
    return decoding.text.bytes;
}

char *rg_tokenizer_decode(const RgTokenizer *tokenizer, const int32_t *ids, int64_t count) {
    return decode(tokenizer, ids, count, false, NULL);
}

char *rg_tokenizer_decode_marked(const RgTokenizer *tokenizer, const int32_t *ids, int64_t count,
                                 size_t *size) {
    return decode(tokenizer, ids, count, true, size);
}

/* ---- finding a token ---- */

static bool is_byte(const RgTokenizer *tokenizer, int32_t id) {
    for (int byte = 0; byte < 256; byte++)
        if (tokenizer->byte_id[byte] == id)
            return true;
    return false;
}

/* A token with text of its own: a token next to it is then within a text. */
static int32_t plain_token(const RgTokenizer *tokenizer) {
    for (int32_t id = 0; id < tokenizer->count; id++)
        if (!tokenizer->text[id].special && tokenizer->text[id].size > 0 &&
            tokenizer->text[id].bytes[0] != '<')
            return id;
    return 0;
}

/* Whether the token between two others is read as `text`. */
static bool reads_as(const RgTokenizer *tokenizer, int32_t id, int32_t beside, const char *text,
                     size_t size, RgDecoding *decoding) {
    decoding->text.size = 0;
    decoding->any = decoding->in_bytes = false;
    decode_id(tokenizer, beside, false, true, decoding);
    size_t first = decoding->text.size;
    decode_id(tokenizer, beside, false, true, decoding);
    size_t from = decoding->text.size, mark = from - first;
    decode_id(tokenizer, id, false, true, decoding);
    decode_id(tokenizer, beside, false, true, decoding);
    return decoding->text.size == from + size + mark &&
           memcmp(decoding->text.bytes + from, text, size) == 0;
}

/* The first token that reads like this, byte tokens only if there is no other; −1 if none. */
static int32_t find_token(const RgTokenizer *tokenizer, const char *text, size_t size) {
    RgDecoding decoding = {.decoder = &tokenizer->decoder};
    int32_t beside = plain_token(tokenizer), found = -1;
    bool only_byte = false;
    for (int32_t id = 0; id < tokenizer->count && (found < 0 || only_byte); id++) {
        if (!reads_as(tokenizer, id, beside, text, size, &decoding))
            continue;
        bool byte = tokenizer->decoder.byte_fallback && is_byte(tokenizer, id);
        if (found >= 0 && byte)
            continue;
        found = id;
        only_byte = byte;
    }
    rg_buffer_release(&decoding.text);
    return found;
}

RgStatus rg_tokenizer_find(const RgTokenizer *tokenizer, const char *text, int32_t *id,
                           RgError *error) {
    size_t size = strlen(text);
    *id = size > 0 ? find_token(tokenizer, text, size) : -1;
    if (*id >= 0)
        return RG_OK;
    RgTokens tokens = {0};
    rg_tokenizer_encode_marked(tokenizer, text, size, &tokens);
    int64_t count = tokens.count;
    rg_tokens_release(&tokens);
    json_t *string = json_string(text);
    char *quoted = json_dumps(string, JSON_ENCODE_ANY); /* a message is one line */
    const char *shown = quoted ? quoted : "(not UTF-8)";
    RgStatus status =
        count > 1
            ? rg_fail(error, RG_E_USAGE, "%s is %lld tokens, expected one", shown, (long long)count)
            : rg_fail(error, RG_E_USAGE, "%s is not a token of the tokenizer", shown);
    json_decref(string);
    free(quoted);
    return status;
}
