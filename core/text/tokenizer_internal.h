/* SPDX-License-Identifier: MIT */
/* What the tokenizer's files share; private to them. */
#ifndef RG_CORE_TEXT_TOKENIZER_INTERNAL_H
#define RG_CORE_TEXT_TOKENIZER_INTERNAL_H

#include "core/text/added_tokens.h"
#include "core/text/decoder.h"
#include "core/text/normalizer.h"
#include "core/text/pre_tokenizer.h"
#include "core/text/tokenizer.h"

/* A map from a pair of numbers to a number ≥ 0: open addressing, grows by doubling. */
typedef struct RgPairMap {
    uint64_t *key; /* 0: empty, else 1 + (first << 32 | second) */
    int64_t *value;
    size_t capacity, count;
} RgPairMap;

int64_t *rg_pair_map_at(RgPairMap *map, int32_t first, int32_t second); /* added as −1 if absent */
int64_t rg_pair_map_find(const RgPairMap *map, int32_t first, int32_t second); /* −1 if absent */
void rg_pair_map_release(RgPairMap *map);

/* A token's bytes or characters, as in the vocabulary. */
typedef struct RgTokenText {
    char *bytes;
    int32_t size;
    bool special;        /* has no text */
    bool lstrip, rstrip; /* of an added token: absorbs adjacent white space */
} RgTokenText;

typedef struct RgMergeRule {
    int32_t first, second, result;
} RgMergeRule;

typedef struct RgEncoder RgEncoder;

/* All tokenizers encode alike. The normalized text is cut into words, and a word into symbols of
 * one character or byte. Then the adjacent pair of lowest priority is merged, the leftmost among
 * equals, until none is left. Tokenizers differ in these parts and in the source of priorities: the
 * order of the merges, or the scores of the results. */
struct RgTokenizer {
    int64_t count;
    RgTokenText *text; /* [count] */
    int32_t begin, end;

    RgNormalizer normalizer;
    RgPreTokenizer pre_tokenizer;
    RgDecoder decoder;
    RgAddedTokens *added[2]; /* recognised in the original text; in the normalized text; may be
                              * NULL */

    RgPairMap merges;   /* priority << 32 | result */
    RgMergeRule *rules; /* [rule_count] in order of priority, if each has its own */
    int64_t rule_count, rule_capacity;
    float *score;         /* llama2.c: [count], from which the merges follow */
    RgPairMap characters; /* id of (bytes of a character, as a number); empty if byte-level */
    int32_t byte_id[256]; /* byte-level: of each byte; else of its fallback <0xNN>; −1: none */
    int32_t unknown;      /* for other characters; −1: they are omitted */
    bool fuse_unknown;    /* a run of them is one token */
    int32_t
        *whole_word; /* ids by hash of the text, −1: none. Words that are tokens need no merges */
    size_t whole_words; /* size of that table, a power of two; 0: words are always merged */

    bool leading_space; /* llama2.c: one more symbol at the start, as in SentencePiece */

    /* A mark of a space at which words may be cut further without changing any id, because a token
     * has it after byte b only if space_joins[b]. "": none. */
    char space[5];
    bool space_joins[256];

    char *document; /* the loaded file; NULL: none */
    size_t document_size;
    RgEncoder *_Atomic *idle; /* scratch memory of threads that encode, [RG_IDLE_ENCODERS] */
};

enum { RG_SPECIALS = 2, RG_SMALLEST_VOCABULARY = RG_SPECIALS + 256 };
enum { RG_IDLE_ENCODERS = 16 };

RgTokenizer *rg_tokenizer_new(int64_t count);
void rg_tokenizer_set_text(RgTokenizer *tokenizer, int64_t id, const char *bytes, size_t size);
/* Appends the merge of lowest priority so far: (first, second) give `result`. */
void rg_tokenizer_add_rule(RgTokenizer *tokenizer, RgMergeRule rule);
/* Bytes of the character that starts here: a byte and the continuation bytes (10xxxxxx) after it,
 * at most four. In text that is not UTF-8 the result is some character, as in llama2.c. */
size_t rg_character_length(const char *text, size_t size);
/* The place for the id of the character at `text` of `length` bytes; added as −1 if absent. */
int64_t *rg_tokenizer_character(RgTokenizer *tokenizer, const char *text, size_t length);
/* Call it when all texts are set: `mark` represents a space. */
void rg_tokenizer_set_space(RgTokenizer *tokenizer, const char *mark);
/* Call it when all texts are set: words that are tokens then need no merges. */
void rg_tokenizer_index_words(RgTokenizer *tokenizer);

void rg_encoder_destroy(RgEncoder *encoder);

RgStatus rg_tokenizer_from_json(const char *path, const char *content, size_t size,
                                RgTokenizer **tokenizer, RgError *error);
/* Sets begin and end, as rg_tokenizer_load describes; `root` is the whole file. */
RgStatus rg_tokenizer_read_ends(RgTokenizer *tokenizer, const char *path, json_t *root,
                                RgError *error);
RgStatus rg_tokenizer_from_llama2c(const char *path, const char *content, size_t size,
                                   RgTokenizer **tokenizer, RgError *error);
RgStatus rg_tokenizer_to_json(const RgTokenizer *tokenizer, const char *path, RgError *error);

#endif
