/* Tokenizers: what all kinds share, encoding and decoding. The file formats are in
 * tokenizer_json.c and tokenizer_llama2c.c, learning a vocabulary is in tokenizer_train.c. */
#include "core/text/tokenizer_internal.h"

#include <inttypes.h>
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
    map->key = rg_allocate(map->capacity * sizeof *map->key);
    map->value = rg_allocate(map->capacity * sizeof *map->value);
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

RgTokenizer *rg_tokenizer_new(RgTokenizerKind kind, int64_t count) {
    RgTokenizer *tokenizer = rg_allocate(sizeof *tokenizer);
    tokenizer->kind = kind;
    tokenizer->count = count;
    tokenizer->text = rg_allocate((size_t)count * sizeof *tokenizer->text);
    tokenizer->begin = tokenizer->end = -1;
    return tokenizer;
}

void rg_tokenizer_set_text(RgTokenizer *tokenizer, int64_t id, const char *bytes, size_t size) {
    RgTokenText *text = &tokenizer->text[id];
    RG_ASSERT(!text->bytes && size <= INT32_MAX);
    text->bytes = rg_allocate(size);
    if (size > 0)
        memcpy(text->bytes, bytes, size);
    text->size = (int32_t)size;
}

void rg_tokenizer_add_rule(RgTokenizer *tokenizer, RgMergeRule rule) {
    int64_t priority = tokenizer->rule_count++;
    tokenizer->rules =
        rg_reallocate(tokenizer->rules, (size_t)tokenizer->rule_count, sizeof *tokenizer->rules);
    tokenizer->rules[priority] = rule;
    *rg_pair_map_at(&tokenizer->merges, rule.first, rule.second) = priority << 32 | rule.result;
}

void rg_tokenizer_destroy(RgTokenizer *tokenizer) {
    if (!tokenizer)
        return;
    for (int64_t i = 0; i < tokenizer->count; i++)
        free(tokenizer->text[i].bytes);
    free(tokenizer->text);
    free(tokenizer->rules);
    free(tokenizer->score);
    rg_pair_map_release(&tokenizer->merges);
    rg_pair_map_release(&tokenizer->characters);
    free(tokenizer);
}

RgStatus rg_tokenizer_load(const char *path, int64_t vocabulary, RgTokenizer **tokenizer,
                           RgError *error) {
    *tokenizer = NULL;
    char *content = NULL;
    size_t size = 0;
    RG_TRY(rg_file_read(path, &content, &size, error));
    RgTokenizer *new = NULL;
    RgStatus status = size > 0 && content[0] == '{'
                          ? rg_tokenizer_from_json(path, content, size, &new, error)
                          : rg_tokenizer_from_llama2c(path, content, size, &new, error);
    free(content);
    if (status == RG_OK && vocabulary > 0 && new->count != vocabulary)
        status = rg_fail(error, RG_E_FORMAT,
                         "%s: a vocabulary of %" PRId64 " tokens expected, %" PRId64 " found", path,
                         vocabulary, new->count);
    if (status != RG_OK) {
        rg_tokenizer_destroy(new);
        return status;
    }
    *tokenizer = new;
    return RG_OK;
}

RgStatus rg_tokenizer_save(const RgTokenizer *tokenizer, const char *path, RgError *error) {
    return tokenizer->kind == RG_TOKENIZER_LLAMA2C ? rg_tokenizer_to_llama2c(tokenizer, path, error)
                                                   : rg_tokenizer_to_json(tokenizer, path, error);
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

/* ---- words ---- */

/* Spelled out, because \s and \p{L} would take in characters that are not ASCII. */
#define WHITE      "\\t-\\r "
#define ASCII_MARK "!-/:-@\\[-`{-~\\x00-\\x08\\x0e-\\x1f\\x7f"
const char rg_word_pattern[] = " ?(?:[A-Za-z]|[^\\x00-\\x7f])+| ?[0-9]+| ?[" ASCII_MARK "]+"
                               "|[" WHITE "]+(?![^" WHITE "])|[" WHITE "]+";

typedef enum ByteClass { BYTE_LETTER, BYTE_DIGIT, BYTE_MARK, BYTE_WHITE } ByteClass;

static ByteClass class_of(char character) {
    unsigned char byte = (unsigned char)character;
    if (byte == ' ' || (byte >= '\t' && byte <= '\r'))
        return BYTE_WHITE;
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 0x80)
        return BYTE_LETTER;
    return byte >= '0' && byte <= '9' ? BYTE_DIGIT : BYTE_MARK;
}

size_t rg_word_length(const char *text, size_t size) {
    size_t length = 0;
    if (text[0] == ' ' && size > 1 && class_of(text[1]) != BYTE_WHITE)
        length++;
    ByteClass class = class_of(text[length]);
    while (length < size && class_of(text[length]) == class)
        length++;
    /* White space before a word leaves its last character, so that a space goes to the word. */
    return class == BYTE_WHITE && length < size && length > 1 ? length - 1 : length;
}

/* ---- merging ---- */

/* A word's symbols as a linked list, so that a merge moves nothing. */
typedef struct Symbol {
    int32_t id; /* −1: merged into the one before */
    int64_t previous, next;
} Symbol;

/* A pair that may be merged. It goes stale when one of its symbols is merged with another. */
typedef struct Candidate {
    int32_t priority, result, left, right;
    int64_t place; /* of the left symbol */
} Candidate;

typedef struct Word {
    Symbol *symbols;
    int64_t count, capacity;
    Candidate *heap; /* the first is the one to merge next */
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

static void word_append(Word *word, int32_t id) {
    if (word->count == word->capacity) {
        word->capacity = word->capacity ? 2 * word->capacity : 64;
        word->symbols = rg_reallocate(word->symbols, (size_t)word->capacity, sizeof *word->symbols);
    }
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

/* Merge what can be merged, append the ids that are left, and empty the word. */
static void word_finish(const RgTokenizer *tokenizer, Word *word, RgTokens *tokens) {
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

/* ---- encoding and decoding ---- */

static void encode_byte_level(const RgTokenizer *tokenizer, Word *word, const char *text,
                              size_t size, RgTokens *tokens) {
    while (size > 0) {
        size_t length = rg_word_length(text, size);
        for (size_t i = 0; i < length; i++)
            word_append(word, tokenizer->byte_id[(unsigned char)text[i]]);
        word_finish(tokenizer, word, tokens);
        text += length;
        size -= length;
    }
}

/* Bytes of the character that starts here: a byte and the continuation bytes (10xxxxxx) after it,
 * at most four. Of text that is not UTF-8 it makes some character or other, as llama2.c does. */
static size_t character_length(const char *text, size_t size) {
    size_t length = 1;
    while (length < 4 && length < size && ((unsigned char)text[length] & 0xC0) == 0x80)
        length++;
    return length;
}

static void append_character(const RgTokenizer *tokenizer, Word *word, const char *text,
                             size_t length) {
    int32_t packed = 0;
    memcpy(&packed, text, length);
    int64_t id = rg_pair_map_find(&tokenizer->characters, packed, (int32_t)length);
    if (id >= 0)
        word_append(word, (int32_t)id);
    else
        for (size_t i = 0; i < length; i++)
            word_append(word, tokenizer->byte_id[(unsigned char)text[i]]);
}

/* The whole text is one word, with a space before it as SentencePiece adds it. */
static void encode_llama2c(const RgTokenizer *tokenizer, Word *word, const char *text, size_t size,
                           RgTokens *tokens) {
    if (size == 0)
        return;
    append_character(tokenizer, word, " ", 1);
    while (size > 0) {
        size_t length = character_length(text, size);
        append_character(tokenizer, word, text, length);
        text += length;
        size -= length;
    }
    word_finish(tokenizer, word, tokens);
}

void rg_tokenizer_encode(const RgTokenizer *tokenizer, const char *text, size_t size,
                         RgTokens *tokens) {
    Word word = {0};
    if (tokenizer->kind == RG_TOKENIZER_LLAMA2C)
        encode_llama2c(tokenizer, &word, text, size, tokens);
    else
        encode_byte_level(tokenizer, &word, text, size, tokens);
    free(word.symbols);
    free(word.heap);
}

static const RgTokenText unknown_text = {.bytes = "\xEF\xBF\xBD", .size = 3}; /* U+FFFD */
static const RgTokenText no_text = {.bytes = "", .size = 0};

/* Text of the token at `place`. */
static RgTokenText text_at(const RgTokenizer *tokenizer, const int32_t *ids, int64_t place) {
    int32_t id = ids[place];
    if (id < 0 || id >= tokenizer->count)
        return unknown_text;
    RgTokenText text = tokenizer->text[id];
    if (text.special)
        return no_text;
    /* Undo the space that encoding put before the whole text. */
    if (tokenizer->kind == RG_TOKENIZER_LLAMA2C && place > 0 &&
        ids[place - 1] == tokenizer->begin && text.size > 0 && text.bytes[0] == ' ') {
        text.bytes++;
        text.size--;
    }
    return text;
}

char *rg_tokenizer_decode(const RgTokenizer *tokenizer, const int32_t *ids, int64_t count) {
    size_t size = 0, used = 0;
    for (int64_t i = 0; i < count; i++)
        size += (size_t)text_at(tokenizer, ids, i).size;
    char *text = rg_allocate(size + 1);
    for (int64_t i = 0; i < count; i++) {
        RgTokenText token = text_at(tokenizer, ids, i);
        if (token.size > 0)
            memcpy(text + used, token.bytes, (size_t)token.size);
        used += (size_t)token.size;
    }
    return text;
}
