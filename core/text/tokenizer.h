/* SPDX-License-Identifier: MIT */
/* Tokenizers: text to token ids and back.
 *
 * All are byte-pair encodings. They come from
 *   - rg_tokenizer_train, which learns byte-level ones;
 *   - Hugging Face's tokenizer.json, as used by GPT-2, Llama, Mistral, Qwen, SmolLM and this
 *     program: model BPE; normalizers NFC, NFD, NFKC, NFKD, Prepend, Replace; pre-tokenizers
 *     ByteLevel, Split, Digits, Metaspace; decoders ByteLevel, Metaspace, Replace, ByteFallback,
 *     Fuse, Strip; and added tokens. A file with any other part is refused, naming the part,
 *     because its ids would be silently wrong;
 *   - the binary vocabulary of llama2.c (SentencePiece-style, with scores and byte fallback).
 *
 * Threads: any number may share a tokenizer, as using it does not change it. */
#ifndef RG_CORE_TEXT_TOKENIZER_H
#define RG_CORE_TEXT_TOKENIZER_H

#include "core/utf8.h"

typedef struct RgTokenizer RgTokenizer;

/* A growing list of token ids. Free it with rg_tokens_release, or free `id`. */
typedef struct RgTokens {
    int32_t *id;
    int64_t count, capacity;
} RgTokens;
void rg_tokens_append(RgTokens *tokens, int32_t id);
void rg_tokens_release(RgTokens *tokens);

/* Loads a tokenizer. A file that starts with '{' is a tokenizer.json, any other a llama2.c
 * vocabulary. `vocabulary` is the number of tokens the file must have; 0: any. On error *tokenizer
 * is NULL.
 *
 * The begin and end tokens of a tokenizer.json are each determined by the first of these that
 * specifies them:
 *   - the template of its post_processor: the special tokens before and after the text;
 *   - bos_token and eos_token of tokenizer_config.json in the same folder; null there means none;
 *   - a token with a well-known name: <|begin|>, <s>, <bos>, <|begin_of_text|>, <|endoftext|>;
 *     <|end|>, </s>, <eos>, <|im_end|>, <|end_of_text|>, <|endoftext|>.
 *
 * Added tokens that are not in the vocabulary get the next ids, as in the Rust library, with a notice
 * if the file has others. One without content is refused. Truncation and padding apply to single
 * calls and are not used, of which a notice is given once. */
RgStatus rg_tokenizer_load(const char *path, int64_t vocabulary, RgTokenizer **tokenizer,
                           RgError *error);
void rg_tokenizer_destroy(RgTokenizer *tokenizer);

/* Appends the ids of `text` (`size` arbitrary bytes). No begin or end token is added, and special
 * tokens are not recognised in the text, so user input stays text. A llama2.c tokenizer puts a
 * space before a non-empty text, as its models expect. */
void rg_tokenizer_encode(const RgTokenizer *tokenizer, const char *text, size_t size,
                         RgTokens *tokens);
/* The same, but recognises tokenizer.json's added tokens, special or not, in the text: for
 * filled-in chat templates and other trusted text. */
void rg_tokenizer_encode_marked(const RgTokenizer *tokenizer, const char *text, size_t size,
                                RgTokens *tokens);

/* For text that is trusted but for parts, such as a user's words in a filled-in chat template.
 * Appends such a part with a guard (RG_TOKENIZER_GUARD, a byte that no UTF-8 has) in every special
 * token that it spells. Encoding the whole text by rg_tokenizer_encode_guarded drops the guards,
 * and recognises added tokens as encode_marked does, but not where a guard was. The text must be
 * UTF-8. */
enum { RG_TOKENIZER_GUARD = 0xFF };
void rg_tokenizer_guard(const RgTokenizer *tokenizer, const char *text, size_t size, RgBuffer *out);
void rg_tokenizer_encode_guarded(const RgTokenizer *tokenizer, const char *text, size_t size,
                                 RgTokens *tokens);

/* The text of ids, malloc'd, NUL-terminated. Special tokens are omitted; invalid ids become U+FFFD.
 * A llama2.c tokenizer omits the space of the first token after the begin token. Bytes of a
 * byte-level vocabulary are unchanged, even if they are not UTF-8; those of a byte fallback
 * (<0xNN>) then become U+FFFD. */
char *rg_tokenizer_decode(const RgTokenizer *tokenizer, const int32_t *ids, int64_t count);
/* The same, with the names of special tokens. `size` (may be NULL) is the length of the text
 * without the final NUL. */
char *rg_tokenizer_decode_marked(const RgTokenizer *tokenizer, const int32_t *ids, int64_t count,
                                 size_t *size);

/* The token for `text`: a special token with this name, or a token that reads like this within
 * other text (so "." and " ." differ). Byte-fallback tokens only if nothing else matches.
 * RG_E_USAGE, naming the text, if there is none. */
RgStatus rg_tokenizer_find(const RgTokenizer *tokenizer, const char *text, int32_t *id,
                           RgError *error);

int64_t rg_tokenizer_vocabulary(const RgTokenizer *tokenizer);
bool rg_tokenizer_is_special(const RgTokenizer *tokenizer, int32_t id); /* it has no text */
/* Whether a token absorbs the white space to its left, to its right, when recognised in a text. */
bool rg_tokenizer_strips_left(const RgTokenizer *tokenizer, int32_t id);
bool rg_tokenizer_strips_right(const RgTokenizer *tokenizer, int32_t id);
int32_t rg_tokenizer_begin(const RgTokenizer *tokenizer); /* begin-of-text id; −1: none */
int32_t rg_tokenizer_end(const RgTokenizer *tokenizer);   /* end-of-text id; −1: none */

/* Learns a byte-level BPE vocabulary of `vocabulary` ids, including the special tokens <|begin|>
 * and <|end|> and the 256 bytes. Merges never cross a word boundary (a word includes its leading
 * space). Ties are broken by the smaller pair of ids, so the result is unique. */
RgStatus rg_tokenizer_train(const char *const *texts, int64_t count, int64_t vocabulary,
                            RgTokenizer **tokenizer, RgError *error);
/* Writes the loaded file, byte for byte; for a learnt tokenizer, its tokenizer.json. */
RgStatus rg_tokenizer_save(const RgTokenizer *tokenizer, const char *path, RgError *error);

#endif
