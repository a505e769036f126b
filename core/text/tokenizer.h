/* Tokenizers: text to token ids and back.
 *
 * Kinds: byte-level BPE, trained by the project and stored as tokenizer.json (Hugging Face's
 * format); and the llama2.c binary vocabulary (SentencePiece-style BPE with scores and byte
 * fallback). */
#ifndef RG_CORE_TEXT_TOKENIZER_H
#define RG_CORE_TEXT_TOKENIZER_H

#include "core/base.h"

typedef struct RgTokenizer RgTokenizer;

/* A list of token ids that grows; free `id` when done, or rg_tokens_release. */
typedef struct RgTokens {
    int32_t *id;
    int64_t count, capacity;
} RgTokens;
void rg_tokens_append(RgTokens *tokens, int32_t id);
void rg_tokens_release(RgTokens *tokens);

/* By content: a file that starts with '{' is tokenizer.json, of which only those that
 * rg_tokenizer_save writes are supported; else it is a llama2.c vocabulary. `vocabulary` is the
 * number of tokens that the file must hold, 0 for any. On error NULL is left in *tokenizer. */
RgStatus rg_tokenizer_load(const char *path, int64_t vocabulary, RgTokenizer **tokenizer,
                           RgError *error);
void rg_tokenizer_destroy(RgTokenizer *tokenizer);

/* Append the ids of `text` (`size` bytes, any); no begin or end token is added, and none is seen in
 * the text. llama2.c's kind puts a space before a text that is not empty, as its models expect. */
void rg_tokenizer_encode(const RgTokenizer *tokenizer, const char *text, size_t size,
                         RgTokens *tokens);
/* Text of ids, malloc'd, NUL-terminated. Special tokens give nothing, ids that are none U+FFFD.
 * llama2.c's kind leaves out the space of the first token after the begin token. */
char *rg_tokenizer_decode(const RgTokenizer *tokenizer, const int32_t *ids, int64_t count);

int64_t rg_tokenizer_vocabulary(const RgTokenizer *tokenizer);
int32_t rg_tokenizer_begin(const RgTokenizer *tokenizer); /* begin-of-text id, −1 if none */
int32_t rg_tokenizer_end(const RgTokenizer *tokenizer);   /* end-of-text id, −1 if none */

/* Learn a byte-level BPE vocabulary of `vocabulary` ids (special tokens <|begin|>, <|end|> and the
 * 256 bytes included) from texts; merges never cross a word boundary (a word takes its leading
 * space). Ties are broken by the smaller pair of ids, so that the result is unique. */
RgStatus rg_tokenizer_train(const char *const *texts, int64_t count, int64_t vocabulary,
                            RgTokenizer **tokenizer, RgError *error);
/* In the format of its kind. */
RgStatus rg_tokenizer_save(const RgTokenizer *tokenizer, const char *path, RgError *error);

#endif
