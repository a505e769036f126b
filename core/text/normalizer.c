/* SPDX-License-Identifier: MIT */
/* Normalizers of tokenizer.json. */
#include "core/text/normalizer.h"

#include "core/text/json_part.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- reading ---- */

static const struct {
    const char *name;
    int form;
    uint32_t plain_below; /* no character below changes, or combines with the one before it */
} forms[] = {
    {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE, 0x300},
    {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, 0xC0},
    {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT, 0xA0},
    {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, 0xA0},
};

static RgStatus read_replace(const RgJsonPart *part, RgNormalizerStep *step) {
    json_t *pattern = json_object_get(part->json, "pattern");
    json_t *plain = json_object_get(pattern, "String"), *regex = json_object_get(pattern, "Regex");
    const char *source = json_string_value(plain ? plain : regex);
    json_t *content = json_object_get(part->json, "content");
    if (!source || !*source)
        return rg_json_refuse_option(part, "pattern");
    if (!json_is_string(content))
        return rg_json_refuse_option(part, "content");
    step->kind = RG_NORMALIZE_REPLACE;
    RgPatternKind kind = plain ? RG_PATTERN_PLAIN : RG_PATTERN_ONIGURUMA;
    RgStatus status = rg_pattern_create(source, kind, &step->pattern, part->error);
    if (status != RG_OK)
        return rg_fail_in(part->error, status, "%s: %s", part->path, part->key);
    step->content = rg_string_copy(json_string_value(content));
    return RG_OK;
}

static RgStatus read_step(void *context, const RgJsonPart *part) {
    RgNormalizer *normalizer = context;
    if (normalizer->count == RG_NORMALIZER_STEPS)
        return rg_fail(part->error, RG_E_FORMAT, "%s: %s: more than %d steps are not supported",
                       part->path, part->key, RG_NORMALIZER_STEPS);
    RgNormalizerStep *step = &normalizer->step[normalizer->count++];
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(part->type, forms[i].name) == 0) {
            step->kind = RG_NORMALIZE_FORM;
            step->form = forms[i].form;
            step->plain_below = forms[i].plain_below;
            return RG_OK;
        }
    if (strcmp(part->type, "Replace") == 0)
        return read_replace(part, step);
    if (strcmp(part->type, "Prepend") == 0) {
        const char *content = NULL;
        RG_TRY(rg_json_text(part, "prepend", &content));
        step->kind = RG_NORMALIZE_PREPEND;
        step->content = rg_string_copy(content);
        return RG_OK;
    }
    return rg_json_refuse(part, "NFC, NFD, NFKC, NFKD, Prepend, Replace and a Sequence of them");
}

RgStatus rg_normalizer_read(RgNormalizer *normalizer, const char *path, json_t *json,
                            RgError *error) {
    return rg_json_read_parts(path, "normalizer", "normalizers", json, read_step, normalizer,
                              error);
}

void rg_normalizer_release(RgNormalizer *normalizer) {
    for (int i = 0; i < normalizer->count; i++) {
        rg_pattern_destroy(normalizer->step[i].pattern);
        free(normalizer->step[i].content);
    }
    normalizer->count = 0;
}

/* ---- normal forms ---- */

/* Characters that Unicode has given a decomposition or an order among marks since version 9, which
 * is that of the Rust library's tables: models are trained with texts in which these never
 * change. */
static bool is_younger(uint32_t character) {
    static const uint32_t younger[][2] = {
        {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
        {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
        {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},
        {0xa82c, 0xa82c},   {0xab69, 0xab69},   {0x105c9, 0x105c9}, {0x105e4, 0x105e4},
        {0x10781, 0x10785}, {0x10787, 0x107b0}, {0x107b2, 0x107ba}, {0x10d24, 0x10d27},
        {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
        {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x11383, 0x11383}, {0x11385, 0x11385},
        {0x1138e, 0x1138e}, {0x11391, 0x11391}, {0x113c5, 0x113c5}, {0x113c7, 0x113c8},
        {0x1145e, 0x1145e}, {0x11839, 0x1183a}, {0x11938, 0x11938}, {0x1193d, 0x1193e},
        {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47},
        {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97},
        {0x11f41, 0x11f42}, {0x16121, 0x16128}, {0x16d68, 0x16d6a}, {0x16ff0, 0x16ff1},
        {0x1ccd6, 0x1ccf9}, {0x1e030, 0x1e06d}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136},
        {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1f16c, 0x1f16c},
        {0x1fbf0, 0x1fbf9}};
    size_t low = 0, high = sizeof younger / sizeof *younger;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (younger[middle][1] < character)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof younger / sizeof *younger && younger[low][0] <= character;
}

/* The start of the next character that may change. The bytes before it are unchanged; so is
 * malformed text. */
static size_t plain_length(const RgNormalizerStep *step, const char *text, size_t size) {
    size_t at = 0, last = 0; /* `last`: the character before `at`, which may combine with the next
                              * one */
    while (at < size) {
        uint32_t character = (unsigned char)text[at];
        size_t length = 1;
        if (character >= 0x80) {
            length = rg_utf8_read(text + at, size - at, &character);
            if (length > 0 && character >= step->plain_below && !is_younger(character))
                return last;
        }
        at += length > 0 ? length : 1;
        last = length > 0 && !is_younger(character) ? at - length : at;
    }
    return size;
}

/* Bytes from one unchanging character to the next, or to malformed text. */
static size_t changing_length(const RgNormalizerStep *step, const char *text, size_t size) {
    uint32_t character = 0;
    size_t at = rg_utf8_read(text, size, &character);
    while (at < size) {
        size_t length = rg_utf8_read(text + at, size - at, &character);
        if (length == 0 || character < step->plain_below || is_younger(character))
            break;
        at += length;
    }
    return at;
}

static void append_form(const RgNormalizerStep *step, const char *text, size_t size,
                        RgBuffer *out) {
    utf8proc_option_t options = (utf8proc_option_t)step->form;
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t capacity = (utf8proc_ssize_t)size + 16, count = 0;
    utf8proc_int32_t *characters = NULL;
    do { /* repeated if the decomposition is longer than expected */
        capacity = count > capacity ? count : capacity;
        characters = rg_reallocate(characters, (size_t)capacity + 1, sizeof *characters);
        count = utf8proc_decompose(bytes, (utf8proc_ssize_t)size, characters, capacity, options);
    } while (count > capacity);
    utf8proc_ssize_t encoded = count < 0 ? -1 : utf8proc_reencode(characters, count, options);
    if (encoded >= 0)
        rg_buffer_append(out, (const char *)characters, (size_t)encoded);
    else
        rg_buffer_append(out, text, size);
    free(characters);
}

static bool apply_form(const RgNormalizerStep *step, const char *text, size_t size, RgBuffer *out) {
    size_t at = plain_length(step, text, size);
    if (at == size)
        return false;
    rg_buffer_append(out, text, at);
    while (at < size) {
        size_t changing = changing_length(step, text + at, size - at);
        append_form(step, text + at, changing, out);
        at += changing;
        size_t plain = plain_length(step, text + at, size - at);
        rg_buffer_append(out, text + at, plain);
        at += plain;
    }
    return true;
}

/* ---- applying ---- */

static bool apply_replace(const RgNormalizerStep *step, RgMatcher *matcher, const char *text,
                          size_t size, RgBuffer *out) {
    RgSpan match = {0};
    size_t done = 0, from = 0, content = strlen(step->content);
    bool changed = false;
    while (from <= size && rg_pattern_find(step->pattern, matcher, text, size, from, &match)) {
        changed = true;
        rg_buffer_append(out, text + done, match.start - done);
        rg_buffer_append(out, step->content, content);
        done = match.end;
        from = match.end;
        if (match.end == match.start && from++ < size) /* an empty match: continue one character
                                                        * later */
            while (from < size && ((unsigned char)text[from] & 0xC0) == 0x80)
                from++;
    }
    if (changed)
        rg_buffer_append(out, text + done, size - done);
    return changed;
}

/* False if the text does not change; `out` is then empty. */
static bool apply_step(const RgNormalizerStep *step, RgMatcher *matcher, const char *text,
                       size_t size, RgBuffer *out) {
    switch (step->kind) {
    case RG_NORMALIZE_FORM:
        return apply_form(step, text, size, out);
    case RG_NORMALIZE_REPLACE:
        return apply_replace(step, matcher, text, size, out);
    case RG_NORMALIZE_PREPEND:
        rg_buffer_append(out, step->content, strlen(step->content));
        rg_buffer_append(out, text, size);
        return true;
    }
    return false;
}

RgBuffer rg_normalizer_apply(const RgNormalizer *normalizer, RgMatcher *matcher,
                             RgBuffer buffers[2], const char *text, size_t size) {
    RgBuffer now = {.bytes = (char *)text, .size = size};
    int free_buffer = 0;
    for (int i = 0; i < normalizer->count && now.size > 0; i++) {
        RgBuffer *out = &buffers[free_buffer];
        out->size = 0;
        if (!apply_step(&normalizer->step[i], matcher, now.bytes, now.size, out))
            continue;
        now = *out;
        free_buffer = 1 - free_buffer;
    }
    return now;
}

bool rg_character_is_cased(uint32_t character) {
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)character);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT;
}

uint32_t rg_character_case(uint32_t character, bool upper) {
    utf8proc_int32_t c = (utf8proc_int32_t)character;
    return (uint32_t)(upper ? utf8proc_toupper(c) : utf8proc_tolower(c));
}

const char *rg_normalizer_library(void) {
    return utf8proc_version();
}
