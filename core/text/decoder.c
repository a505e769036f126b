/* SPDX-License-Identifier: MIT */
/* Decoders of tokenizer.json: reading and running. */
#include "core/text/decoder.h"

#include "core/text/json_part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

/* How far the decoders so far have processed the text. */
typedef enum Stage { STAGE_TOKENS, STAGE_REPLACED, STAGE_BYTES, STAGE_FUSED, STAGE_DONE } Stage;

typedef struct Reader {
    RgDecoder *decoder;
    Stage stage;
} Reader;

static RgStatus read_byte_level(RgDecoder *decoder, const RgJsonPart *part) {
    (void)part;
    decoder->byte_level = true;
    return RG_OK;
}

static RgStatus read_fallback(RgDecoder *decoder, const RgJsonPart *part) {
    (void)part;
    decoder->byte_fallback = true;
    return RG_OK;
}

/* Tokens are joined in any case. */
static RgStatus read_fuse(RgDecoder *decoder, const RgJsonPart *part) {
    (void)decoder, (void)part;
    return RG_OK;
}

static RgStatus read_replace(RgDecoder *decoder, const RgJsonPart *part) {
    json_t *pattern = json_object_get(part->json, "pattern");
    const char *from = json_string_value(json_object_get(pattern, "String"));
    json_t *to = json_object_get(part->json, "content");
    if (!from || !*from)
        return rg_json_refuse_option(part, "pattern");
    if (!json_is_string(to))
        return rg_json_refuse_option(part, "content");
    decoder->from = rg_string_copy(from);
    decoder->to = rg_string_copy(json_string_value(to));
    return RG_OK;
}

static RgStatus read_metaspace(RgDecoder *decoder, const RgJsonPart *part) {
    const char *mark = NULL;
    bool prefix = false;
    RG_TRY(rg_json_text(part, "replacement", &mark));
    RG_TRY(rg_json_flag(part, "add_prefix_space", true, &prefix));
    const char *scheme = json_string_value(json_object_get(part->json, "prepend_scheme"));
    decoder->drops_first = scheme ? strcmp(scheme, "never") != 0 : prefix;
    decoder->from = rg_string_copy(mark);
    decoder->to = rg_string_copy(" ");
    return RG_OK;
}

static RgStatus read_strip(RgDecoder *decoder, const RgJsonPart *part) {
    const char *content = NULL;
    RG_TRY(rg_json_text(part, "content", &content));
    json_t *start = json_object_get(part->json, "start"),
           *stop = json_object_get(part->json, "stop");
    if (!json_is_integer(start) || json_integer_value(start) < 0)
        return rg_json_refuse_option(part, "start");
    if (!json_is_integer(stop) || json_integer_value(stop) < 0)
        return rg_json_refuse_option(part, "stop");
    decoder->strip = rg_string_copy(content);
    decoder->strip_start = json_integer_value(start);
    decoder->strip_end = json_integer_value(stop);
    return RG_OK;
}

static const struct {
    const char *type;
    Stage stage; /* the stage it leads to */
    RgStatus (*read)(RgDecoder *decoder, const RgJsonPart *part);
} kinds[] = {
    {"ByteLevel", STAGE_DONE, read_byte_level}, {"Metaspace", STAGE_REPLACED, read_metaspace},
    {"Replace", STAGE_REPLACED, read_replace},  {"ByteFallback", STAGE_BYTES, read_fallback},
    {"Fuse", STAGE_FUSED, read_fuse},           {"Strip", STAGE_DONE, read_strip},
};

/* Each decoder leads to a later stage. Strip applies to the whole text, not to tokens. */
static RgStatus read_step(void *context, const RgJsonPart *part) {
    Reader *reader = context;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(part->type, kinds[i].type) != 0)
            continue;
        bool early = kinds[i].read == read_strip && reader->stage != STAGE_FUSED;
        bool late = kinds[i].read == read_byte_level && reader->stage != STAGE_TOKENS;
        if (early || late || kinds[i].stage <= reader->stage)
            return rg_fail(part->error, RG_E_FORMAT, "%s: %s %s is not supported in this place",
                           part->path, part->key, part->type);
        reader->stage = kinds[i].stage;
        return kinds[i].read(reader->decoder, part);
    }
    return rg_json_refuse(
        part, "ByteLevel, Metaspace, or a Sequence of Replace, ByteFallback, Fuse and Strip");
}

RgStatus rg_decoder_read(RgDecoder *decoder, const char *path, json_t *json, RgError *error) {
    Reader reader = {.decoder = decoder};
    if (!json || json_is_null(json))
        return rg_fail(error, RG_E_FORMAT, "%s: decoder null is not supported", path);
    return rg_json_read_parts(path, "decoder", "decoders", json, read_step, &reader, error);
}

void rg_decoder_release(RgDecoder *decoder) {
    free(decoder->from);
    free(decoder->to);
    free(decoder->strip);
    *decoder = (RgDecoder){0};
}

/* ---- running ---- */

static int hexadecimal(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* The byte of a token <0xNN>; −1 for others. */
static int byte_of(const char *token, size_t size) {
    if (size != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>')
        return -1;
    int high = hexadecimal(token[3]), low = hexadecimal(token[4]);
    return high >= 0 && low >= 0 ? 16 * high + low : -1;
}

/* Replaces bytes that are not UTF-8 by as many U+FFFD. */
static void end_bytes(RgDecoding *decoding) {
    RgBuffer *text = &decoding->text;
    size_t from = decoding->bytes_from, count = text->size - from;
    bool valid = !decoding->in_bytes || rg_utf8_is_valid(text->bytes + from, count);
    decoding->in_bytes = false;
    if (valid)
        return;
    text->size = from;
    for (size_t i = 0; i < count; i++)
        rg_buffer_append(text, "\xEF\xBF\xBD", 3);
}

static void append_replaced(const char *from, const char *to, const char *token, size_t size,
                            RgBuffer *out) {
    size_t length = strlen(from);
    /* an empty token has no bytes and no address */
    for (const char *next; size > 0 && (next = memmem(token, size, from, length));) {
        size_t before = (size_t)(next - token);
        rg_buffer_append(out, token, before);
        rg_buffer_append(out, to, strlen(to));
        token = next + length;
        size -= before + length;
    }
    rg_buffer_append(out, token, size);
}

void rg_decoding_add(RgDecoding *decoding, const char *token, size_t size) {
    const RgDecoder *decoder = decoding->decoder;
    int byte = decoder->byte_fallback ? byte_of(token, size) : -1;
    bool first = !decoding->any;
    decoding->any = true;
    if (byte >= 0) {
        if (!decoding->in_bytes)
            decoding->bytes_from = decoding->text.size;
        decoding->in_bytes = true;
        rg_buffer_append(&decoding->text, &(char){(char)byte}, 1);
        return;
    }
    end_bytes(decoding);
    if (decoder->from)
        append_replaced(decoder->from, first && decoder->drops_first ? "" : decoder->to, token,
                        size, &decoding->text);
    else
        rg_buffer_append(&decoding->text, token, size);
}

static void strip_ends(const RgDecoder *decoder, RgBuffer *text) {
    size_t length = strlen(decoder->strip), start = 0;
    for (int64_t i = 0; i < decoder->strip_start && text->size - start >= length &&
                        memcmp(text->bytes + start, decoder->strip, length) == 0;
         i++)
        start += length;
    if (start > 0)
        memmove(text->bytes, text->bytes + start, text->size - start);
    text->size -= start;
    for (int64_t i = 0; i < decoder->strip_end && text->size >= length &&
                        memcmp(text->bytes + text->size - length, decoder->strip, length) == 0;
         i++)
        text->size -= length;
}

void rg_decoding_end(RgDecoding *decoding) {
    end_bytes(decoding);
    if (decoding->decoder->strip)
        strip_ends(decoding->decoder, &decoding->text);
}
