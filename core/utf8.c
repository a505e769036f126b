/* SPDX-License-Identifier: MIT */
/* Growing buffers and UTF-8. */
#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

void rg_buffer_append(RgBuffer *buffer, const char *bytes, size_t size) {
    if (size == 0)
        return;
    if (buffer->capacity - buffer->size < size) {
        buffer->capacity = 2 * (buffer->size + size) + 64;
        buffer->bytes = rg_reallocate(buffer->bytes, buffer->capacity, 1);
    }
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
}

void rg_buffer_release(RgBuffer *buffer) {
    free(buffer->bytes);
    *buffer = (RgBuffer){0};
}

/* Accepts shortest forms only, no surrogates, nothing above U+10FFFF. */
size_t rg_utf8_read(const char *text, size_t size, uint32_t *character) {
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (size == 0)
        return 0;
    unsigned char first = (unsigned char)text[0];
    *character = first;
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || length > size)
        return 0;
    uint32_t value = first & (0xFFU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        unsigned char next = (unsigned char)text[i];
        if ((next & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (next & 0x3F);
    }
    if (value < smallest[length] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
        return 0;
    *character = value;
    return length;
}

bool rg_utf8_is_valid(const char *text, size_t size) {
    uint32_t character = 0;
    for (size_t at = 0, length = 0; at < size; at += length) {
        length = rg_utf8_read(text + at, size - at, &character);
        if (length == 0)
            return false;
    }
    return true;
}

bool rg_utf8_is_control(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

void rg_utf8_repair(const char *text, size_t size, RgBuffer *out) {
    uint32_t character = 0;
    for (size_t at = 0; at < size;) {
        size_t length = rg_utf8_read(text + at, size - at, &character);
        if (length > 0)
            rg_buffer_append(out, text + at, length);
        else
            rg_buffer_append(out, "\xEF\xBF\xBD", 3);
        at += length > 0 ? length : 1;
    }
}

static bool begins_character(char byte) {
    return ((unsigned char)byte & 0xC0) != 0x80;
}

size_t rg_utf8_width_of(const char *text, size_t size) {
    size_t width = 0;
    for (size_t i = 0; i < size; i++)
        width += begins_character(text[i]);
    return width;
}

size_t rg_utf8_width(const char *text) {
    return rg_utf8_width_of(text, strlen(text));
}

size_t rg_utf8_cut(const char *text, size_t width) {
    size_t bytes = 0;
    for (; text[bytes]; bytes++)
        if (begins_character(text[bytes]) && width-- == 0)
            break;
    return bytes;
}

static bool is_white(uint32_t c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

size_t rg_utf8_white_at_start(const char *text, size_t size) {
    size_t at = 0;
    for (;;) {
        uint32_t character = 0;
        size_t length = rg_utf8_read(text + at, size - at, &character);
        if (length == 0 || !is_white(character))
            return at;
        at += length;
    }
}

size_t rg_utf8_white_at_end(const char *text, size_t size) {
    size_t end = size;
    while (end > 0) {
        uint32_t character = 0;
        size_t start = end - 1;
        while (start > 0 && end - start < 4 && ((unsigned char)text[start] & 0xC0) == 0x80)
            start--;
        if (rg_utf8_read(text + start, end - start, &character) != end - start ||
            !is_white(character))
            break;
        end = start;
    }
    return size - end;
}
