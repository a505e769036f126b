/* SPDX-License-Identifier: MIT */
/* What the filters and the methods of strings share. It is what Python does. */
#include "core/text/normalizer.h"
#include "core/text/template_internal.h"

#include <string.h>

typedef RgTemplateValue Value;
typedef RgTemplateText Text;

size_t rg_template_read_character(Text text, size_t at, uint32_t *character) {
    size_t size = rg_utf8_read(text.bytes + at, text.size - at, character);
    if (size > 0)
        return size;
    *character = (unsigned char)text.bytes[at];
    return 1;
}

void rg_template_append_character(RgBuffer *out, uint32_t c) {
    char bytes[4] = {(char)c};
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size; size > 1 && i-- > 0; c >>= 6)
        bytes[i] = (char)(i > 0 ? 0x80 | (c & 0x3F) : lead[size] | c);
    rg_buffer_append(out, bytes, size);
}

/* Python's white space has the four separators of ASCII, too. */
bool rg_template_is_white(Text text, size_t at, size_t size) {
    return (text.bytes[at] >= 0x1c && text.bytes[at] <= 0x1f) ||
           rg_utf8_white_at_start(text.bytes + at, size) == size;
}

Value rg_template_change_case(RgTemplateWork *work, Text text, RgTemplateCase to) {
    RgBuffer out = {0};
    bool in_word = false; /* after a letter; of RG_CASE_WORDS, after no separator */
    rg_template_step(work, 8 * text.size);
    for (size_t at = 0, size = 0; at < text.size && !work->failed; at += size) {
        uint32_t c;
        size = rg_template_read_character(text, at, &c);
        bool invalid = size == 1 && c >= 0x80, cased = !invalid && rg_character_is_cased(c);
        bool upper = to == RG_CASE_UPPER ||
                     ((to == RG_CASE_TITLE || to == RG_CASE_WORDS) && !in_word) ||
                     (to == RG_CASE_FIRST && at == 0);
        if (cased)
            rg_template_append_character(&out, rg_character_case(c, upper));
        else
            rg_buffer_append(&out, text.bytes + at, size);
        in_word = to == RG_CASE_WORDS
                      ? !rg_template_is_white(text, at, size) && !strchr("-({[<", text.bytes[at])
                      : cased;
    }
    return rg_template_from_buffer(work, &out);
}

static bool strips(Text text, size_t at, size_t size, Value characters) {
    if (characters.kind != RG_TEMPLATE_STRING)
        return rg_template_is_white(text, at, size);
    return characters.string.size > 0 &&
           memmem(characters.string.bytes, characters.string.size, text.bytes + at, size) != NULL;
}

Value rg_template_strip(RgTemplateWork *work, Text text, Value characters, bool left, bool right) {
    size_t start = 0, end = text.size, each = 1;
    uint32_t c;
    if (characters.kind == RG_TEMPLATE_STRING)
        each += characters.string.size;
    while (left && start < end && rg_template_step(work, each)) {
        size_t size = rg_template_read_character(text, start, &c);
        if (!strips(text, start, size, characters))
            break;
        start += size;
    }
    while (right && end > start && rg_template_step(work, each)) {
        size_t at = end - 1;
        while (at > start && end - at < 4 && ((unsigned char)text.bytes[at] & 0xC0) == 0x80)
            at--;
        if (rg_template_read_character(text, at, &c) != end - at)
            at = end - 1;
        if (!strips(text, at, end - at, characters))
            break;
        end = at;
    }
    return rg_template_string(text.bytes + start, end - start);
}

size_t rg_template_find(Text text, Text part, size_t from) {
    const char *found = part.size == 0 ? text.bytes + from
                        : text.size == from
                            ? NULL
                            : memmem(text.bytes + from, text.size - from, part.bytes, part.size);
    return found ? (size_t)(found - text.bytes) : SIZE_MAX;
}

Value rg_template_replace(RgTemplateWork *work, Text text, Text from, Text to, int64_t most) {
    RgBuffer out = {0};
    size_t done = 0;
    if (from.size == 0)
        rg_template_fail(work, "replace: the text to replace is empty");
    rg_template_step(work, text.size);
    for (size_t at;
         most != 0 && !work->failed && (at = rg_template_find(text, from, done)) != SIZE_MAX;
         most--) {
        rg_buffer_append(&out, text.bytes + done, at - done);
        rg_buffer_append(&out, to.bytes, to.size);
        rg_template_step(work, to.size);
        done = at + from.size;
        if (out.size > RG_TEMPLATE_OUTPUT)
            rg_template_fail(work, "replace makes more than %d MiB",
                             RG_TEMPLATE_OUTPUT / 1024 / 1024);
    }
    rg_buffer_append(&out, text.bytes + done, text.size - done);
    return rg_template_from_buffer(work, &out);
}

Value rg_template_join(RgTemplateWork *work, const RgTemplateList *items, Text between,
                       Value attribute) {
    RgBuffer out = {0};
    for (size_t i = 0; i < items->count && !work->failed; i++) {
        Value one = attribute.kind == RG_TEMPLATE_STRING
                        ? rg_template_attribute_path(work, items->item[i], attribute.string)
                        : items->item[i];
        if (i > 0)
            rg_template_print(work, (Value){.kind = RG_TEMPLATE_STRING, .string = between}, &out);
        rg_template_print(work, one, &out);
    }
    return rg_template_from_buffer(work, &out);
}
