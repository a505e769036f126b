/* What the tokenizer's files share; not for others. */
#ifndef RG_CORE_TEXT_TOKENIZER_INTERNAL_H
#define RG_CORE_TEXT_TOKENIZER_INTERNAL_H

#include "core/text/tokenizer.h"

/* Map from a pair of numbers to a number ≥ 0: open addressing, grows by doubling. */
typedef struct RgPairMap {
    uint64_t *key; /* 0: empty, else 1 + (first << 32 | second) */
    int64_t *value;
    size_t capacity, count;
} RgPairMap;

int64_t *rg_pair_map_at(RgPairMap *map, int32_t first, int32_t second); /* made as −1 if absent */
int64_t rg_pair_map_find(const RgPairMap *map, int32_t first, int32_t second); /* −1 if absent */
void rg_pair_map_release(RgPairMap *map);

/* A token's bytes. */
typedef struct RgTokenText {
    char *bytes;
    int32_t size;
    bool special; /* stands for no text */
} RgTokenText;

typedef struct RgMergeRule {
    int32_t first, second, result;
} RgMergeRule;

typedef enum RgTokenizerKind { RG_TOKENIZER_BYTE_LEVEL, RG_TOKENIZER_LLAMA2C } RgTokenizerKind;

/* Both kinds encode alike: symbols of one character or byte, then the adjacent pair of lowest
 * priority is merged, the leftmost among equals, until none is left. They differ in what a word is
 * and in where priorities come from: the order of the merges, or the scores of the results. */
struct RgTokenizer {
    RgTokenizerKind kind;
    int64_t count;
    RgTokenText *text; /* [count] */
    int32_t begin, end;
    RgPairMap merges; /* priority << 32 | result */

    int32_t byte_id[256]; /* byte-level: of each byte; llama2.c: of its fallback <0xNN> */
    RgMergeRule *rules;   /* byte-level: [rule_count] in order of priority */
    int64_t rule_count;
    RgPairMap characters; /* llama2.c: id of (bytes of a character, their number) */
    float *score;         /* llama2.c: [count] */
};

enum { RG_SPECIALS = 2, RG_SMALLEST_VOCABULARY = RG_SPECIALS + 256 };

RgTokenizer *rg_tokenizer_new(RgTokenizerKind kind, int64_t count);
void rg_tokenizer_set_text(RgTokenizer *tokenizer, int64_t id, const char *bytes, size_t size);
/* The byte-level merge of lowest priority so far: (first, second) give `result`. */
void rg_tokenizer_add_rule(RgTokenizer *tokenizer, RgMergeRule rule);

/* Bytes of the word that starts at `text` (size > 0): a run of letters (all bytes from 0x80 on are
 * letters), of digits or of other marks, with the space before it; or a run of white space, which
 * leaves its last character to what follows. Merges never cross words. */
size_t rg_word_length(const char *text, size_t size);
/* The same rule as a regular expression, as tokenizer.json has it. */
extern const char rg_word_pattern[];

RgStatus rg_tokenizer_from_json(const char *path, const char *content, size_t size,
                                RgTokenizer **tokenizer, RgError *error);
RgStatus rg_tokenizer_from_llama2c(const char *path, const char *content, size_t size,
                                   RgTokenizer **tokenizer, RgError *error);
RgStatus rg_tokenizer_to_json(const RgTokenizer *tokenizer, const char *path, RgError *error);
RgStatus rg_tokenizer_to_llama2c(const RgTokenizer *tokenizer, const char *path, RgError *error);

#endif
