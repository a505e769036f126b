/* SPDX-License-Identifier: MIT */
/* Tokenizers: text to token ids and back.
 *
 * All are byte-pair encodings. They come from
 *   - rg_tokenizer_train, which learns byte-level ones;
 *   - Hugging Face's tokenizer.json, as GPT-2, Llama, Mistral, Qwen, SmolLM and this program have
 *     it: model BPE; normalizers NFC, NFD, NFKC, NFKD, Prepend, Replace; pre-tokenizers ByteLevel,
 *     Split, Digits, Metaspace; decoders ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip;
 *     and added tokens. A file with anything else in it is refused by the part that is not known,
 *     because its ids would be silently wrong;
 *   - the binary vocabulary of llama2.c (SentencePiece-style, with scores and byte fallback).
 *
 * A tokenizer is not changed by its use: any number of threads may share it. */
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

/* By content: a file that starts with '{' is tokenizer.json, else it is a llama2.c vocabulary.
 * `vocabulary` is the number of tokens that the file must hold, 0 for any. On error NULL is left in
 * *tokenizer.
 *
 * A tokenizer.json's begin and end tokens are, each by the first that tells:
 *   - its post_processor's template: the special token before, after the text;
 *   - bos_token, eos_token of tokenizer_config.json in the same folder; null there means none;
 *   - a token with a well-known name: <|begin|>, <s>, <bos>, <|begin_of_text|>, <|endoftext|>;
 *     <|end|>, </s>, <eos>, <|im_end|>, <|end_of_text|>, <|endoftext|>.
 * Its truncation and padding are settings of a call, and not read. */
RgStatus rg_tokenizer_load(const char *path, int64_t vocabulary, RgTokenizer **tokenizer,
                           RgError *error);
void rg_tokenizer_destroy(RgTokenizer *tokenizer);

/* Append the ids of `text` (`size` bytes, any); no begin or end token is added, and none is seen in
 * the text, so that what users write stays text. llama2.c's kind puts a space before a text that is
 * not empty, as its models expect. */
void rg_tokenizer_encode(const RgTokenizer *tokenizer, const char *text, size_t size,
                         RgTokens *tokens);
/* The same, but tokenizer.json's added tokens, special ones and others, are seen in the text: for
 * chat templates that are already filled in, and for other text that is trusted. */
void rg_tokenizer_encode_marked(const RgTokenizer *tokenizer, const char *text, size_t size,
                                RgTokens *tokens);

/* Text of ids, malloc'd, NUL-terminated. Special tokens give nothing, ids that are none U+FFFD.
 * llama2.c's kind leaves out the space of the first token after the begin token. Bytes of a
 * byte-level vocabulary come out as they are, even where they are not UTF-8; those of a byte
 * fallback (<0xNN>) become U+FFFD there. */
char *rg_tokenizer_decode(const RgTokenizer *tokenizer, const int32_t *ids, int64_t count);
/* The same, but special tokens give their names; `size` (may be NULL) is the text's without the NUL
 * at its end. */
char *rg_tokenizer_decode_marked(const RgTokenizer *tokenizer, const int32_t *ids, int64_t count,
                                 size_t *size);

/* The token that `text` is: a special one by its name, or one that reads so within other text,
 * where "." and " ." are two. Bytes of a fallback only where nothing else does. RG_E_USAGE, naming
 * the text, when it is none. */
RgStatus rg_tokenizer_find(const RgTokenizer *tokenizer, const char *text, int32_t *id,
                           RgError *error);

int64_t rg_tokenizer_vocabulary(const RgTokenizer *tokenizer);
/* Whether a token takes the white space on its left, on its right, when it is seen in a text. */
bool rg_tokenizer_strips_left(const RgTokenizer *tokenizer, int32_t id);
bool rg_tokenizer_strips_right(const RgTokenizer *tokenizer, int32_t id);
int32_t rg_tokenizer_begin(const RgTokenizer *tokenizer); /* begin-of-text id, −1 if none */
int32_t rg_tokenizer_end(const RgTokenizer *tokenizer);   /* end-of-text id, −1 if none */

/* Learn a byte-level BPE vocabulary of `vocabulary` ids (special tokens <|begin|>, <|end|> and the
 * 256 bytes included) from texts; merges never cross a word boundary (a word takes its leading
 * space). Ties are broken by the smaller pair of ids, so that the result is unique. */
RgStatus rg_tokenizer_train(const char *const *texts, int64_t count, int64_t vocabulary,
                            RgTokenizer **tokenizer, RgError *error);
/* The file that was loaded, byte for byte; of one that was learnt, its tokenizer.json. */
RgStatus rg_tokenizer_save(const RgTokenizer *tokenizer, const char *path, RgError *error);

#endif
