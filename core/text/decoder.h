/* SPDX-License-Identifier: MIT */
/* Decoders: how the texts of tokens are joined to one text.
 *
 * Threads: any may use a decoder, each with its own RgDecoding. */
#ifndef RG_CORE_TEXT_DECODER_H
#define RG_CORE_TEXT_DECODER_H

#include "core/utf8.h"

#include <jansson.h>

/* The steps, in this order. */
typedef struct RgDecoder {
    bool byte_level;    /* tokens are bytes: the text is their concatenation, and nothing else
                         * applies */
    char *from, *to;    /* replacement in each token; NULL: none */
    bool drops_first;   /* in the first token, `from` is removed */
    bool byte_fallback; /* <0xNN> are bytes; if together they are not UTF-8, each becomes U+FFFD */
    char *strip;        /* a character removed at the ends; NULL: none */
    int64_t strip_start, strip_end; /* at most this many times */
    bool space_after_begin;         /* llama2.c: removes a space directly after the begin token */
} RgDecoder;

/* Reads the "decoder" of a tokenizer.json. Errors: RG_E_FORMAT. */
RgStatus rg_decoder_read(RgDecoder *decoder, const char *path, json_t *json, RgError *error);
void rg_decoder_release(RgDecoder *decoder);

/* The text of tokens added one by one. It is complete after rg_decoding_end. */
typedef struct RgDecoding {
    const RgDecoder *decoder;
    RgBuffer text;
    bool any;      /* whether there was a token */
    bool in_bytes; /* the text since `bytes_from` is from <0xNN> */
    size_t bytes_from;
} RgDecoding;

void rg_decoding_add(RgDecoding *decoding, const char *token, size_t size);
void rg_decoding_end(RgDecoding *decoding);

#endif
