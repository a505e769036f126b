/* SPDX-License-Identifier: MIT */
/* Decoders: how the texts of tokens become one text. */
#ifndef RG_CORE_TEXT_DECODER_H
#define RG_CORE_TEXT_DECODER_H

#include "core/utf8.h"

#include <jansson.h>

/* In this order. */
typedef struct RgDecoder {
    bool byte_level;    /* tokens are bytes: the text is what they are together, nothing else */
    char *from, *to;    /* replaced in each token; NULL for none */
    bool drops_first;   /* in the first token, `from` gives nothing */
    bool byte_fallback; /* <0xNN> are bytes, and U+FFFD each where they are not UTF-8 together */
    char *strip;        /* a character that is taken away at the ends, NULL for none: */
    int64_t strip_start, strip_end; /* at most so often */
    bool space_after_begin;         /* llama2.c: a space right after the begin token is left out */
} RgDecoder;

/* The "decoder" of a tokenizer.json. Errors: RG_E_FORMAT. */
RgStatus rg_decoder_read(RgDecoder *decoder, const char *path, json_t *json, RgError *error);
void rg_decoder_release(RgDecoder *decoder);

/* The text of tokens that are given one by one; the text may be used after rg_decoding_end. */
typedef struct RgDecoding {
    const RgDecoder *decoder;
    RgBuffer text;
    bool any;      /* token so far */
    bool in_bytes; /* since `bytes_from`, the text is of <0xNN> */
    size_t bytes_from;
} RgDecoding;

void rg_decoding_add(RgDecoding *decoding, const char *token, size_t size);
void rg_decoding_end(RgDecoding *decoding);

#endif
