/* SPDX-License-Identifier: MIT */
/* Text as bytes: growing buffers, and UTF-8 decoding that accepts malformed input, because text
 * from outside may be malformed anywhere.
 *
 * Threads: any, but one at a time per buffer. */
#ifndef RG_CORE_UTF8_H
#define RG_CORE_UTF8_H

#include "core/base.h"

/* The bytes start … end − 1. */
typedef struct RgSpan {
    size_t start, end;
} RgSpan;

/* A buffer to append to. Release it with rg_buffer_release. `bytes` may be NULL while empty. */
typedef struct RgBuffer {
    char *bytes;
    size_t size, capacity;
} RgBuffer;

void rg_buffer_append(RgBuffer *buffer, const char *bytes, size_t size);
void rg_buffer_release(RgBuffer *buffer);

/* Bytes of the character that starts at `text`; 0 if they are not well-formed UTF-8. */
size_t rg_utf8_read(const char *text, size_t size, uint32_t *character);
bool rg_utf8_is_valid(const char *text, size_t size);

/* Whether a character is a control character: C0, DEL, C1, line and paragraph separators, and marks
 * that change the direction of the text after them. */
bool rg_utf8_is_control(uint32_t character);

/* Appends the text with U+FFFD for every byte that is not part of a well-formed character. */
void rg_utf8_repair(const char *text, size_t size, RgBuffer *out);

/* Columns of a text on a terminal, for text without wide or combining characters: of the whole
 * text, and of `size` bytes. */
size_t rg_utf8_width(const char *text);
size_t rg_utf8_width_of(const char *text, size_t size);

/* Bytes of the longest prefix of the text that fits in `width` columns. */
size_t rg_utf8_cut(const char *text, size_t width);

/* Bytes of white space (Unicode's White_Space) at the start or the end of `text`. */
size_t rg_utf8_white_at_start(const char *text, size_t size);
size_t rg_utf8_white_at_end(const char *text, size_t size);

#endif
