/* SPDX-License-Identifier: MIT */
/* The values of a template: their memory, how they are made and how they compare. */
#include "core/text/template_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory and failure ---- */

enum { BLOCK = 64 * 1024 };

struct RgTemplateBlock {
    RgTemplateBlock *before;
    size_t used, size;
    max_align_t bytes[];
};

void rg_template_fail(RgTemplateWork *work, const char *format, ...) {
    char reason[512];
    if (work->failed)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    work->failed = true;
    rg_fail(work->error, RG_E_FORMAT, "%s:%d: %s", work->path, work->line, reason);
}

void *rg_template_take(RgTemplateWork *work, size_t bytes) {
    size_t room = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (bytes > RG_TEMPLATE_MEMORY || room > RG_TEMPLATE_MEMORY - work->memory) {
        rg_template_fail(work, "the template takes more than %d MiB of memory",
                         RG_TEMPLATE_MEMORY / 1024 / 1024);
        return NULL;
    }
    work->memory += room;
    RgTemplateBlock *block = work->block;
    if (!block || block->size - block->used < room) {
        size_t size = room > BLOCK ? room : BLOCK;
        block = rg_allocate(1, sizeof *block + size);
        *block = (RgTemplateBlock){.before = work->block, .size = size};
        work->block = block;
    }
    void *memory = (char *)block->bytes + block->used;
    block->used += room;
    return memory;
}

void rg_template_release(RgTemplateWork *work) {
    while (work->block) {
        RgTemplateBlock *block = work->block;
        work->block = block->before;
        free(block);
    }
}

bool rg_template_step(RgTemplateWork *work, size_t bytes) {
    work->steps += 1 + (int64_t)(bytes / 64);
    if (work->steps > RG_TEMPLATE_STEPS)
        rg_template_fail(work, "the template takes more than %d steps", RG_TEMPLATE_STEPS);
    return !work->failed;
}

bool rg_template_enter(RgTemplateWork *work) {
    if (work->depth >= RG_TEMPLATE_NESTING)
        rg_template_fail(work, "parts are nested more than %d deep", RG_TEMPLATE_NESTING);
    if (work->failed)
        return false;
    work->depth++;
    return true;
}

/* ---- making values ---- */

const RgTemplateValue rg_template_undefined = {.kind = RG_TEMPLATE_UNDEFINED};
const RgTemplateValue rg_template_none = {.kind = RG_TEMPLATE_NONE};

RgTemplateValue rg_template_boolean(bool value) {
    return (RgTemplateValue){.kind = RG_TEMPLATE_BOOLEAN, .boolean = value};
}

RgTemplateValue rg_template_integer(int64_t value) {
    return (RgTemplateValue){.kind = RG_TEMPLATE_INTEGER, .integer = value};
}

RgTemplateValue rg_template_string(const char *bytes, size_t size) {
    return (RgTemplateValue){.kind = RG_TEMPLATE_STRING, .string = {bytes, size}};
}

RgTemplateValue rg_template_string_copy(RgTemplateWork *work, const char *bytes, size_t size) {
    char *copy = size > 0 ? rg_template_take(work, size) : NULL;
    if (!copy)
        return rg_template_string("", 0);
    memcpy(copy, bytes, size);
    return rg_template_string(copy, size);
}

RgTemplateValue rg_template_from_buffer(RgTemplateWork *work, RgBuffer *buffer) {
    RgTemplateValue value = rg_template_string_copy(work, buffer->bytes, buffer->size);
    rg_buffer_release(buffer);
    return value;
}

RgTemplateValue rg_template_list(RgTemplateWork *work, size_t most) {
    RgTemplateList *list =
        most > RG_TEMPLATE_MEMORY / sizeof(RgTemplateValue)
            ? rg_template_take(work, SIZE_MAX)
            : rg_template_take(work, sizeof *list + most * sizeof(RgTemplateValue));
    return list ? (RgTemplateValue){.kind = RG_TEMPLATE_LIST, .list = list} : rg_template_undefined;
}

RgTemplateValue rg_template_mapping(RgTemplateWork *work, RgTemplateKind kind) {
    RgTemplateMapping *mapping = rg_template_take(work, sizeof *mapping);
    return mapping ? (RgTemplateValue){.kind = kind, .mapping = mapping} : rg_template_undefined;
}

static RgTemplateMember *find(RgTemplateWork *work, const RgTemplateMapping *mapping,
                              RgTemplateText key) {
    for (size_t i = 0; i < mapping->count && rg_template_step(work, 0); i++)
        if (mapping->member[i].key.size == key.size &&
            memcmp(mapping->member[i].key.bytes, key.bytes, key.size) == 0)
            return &mapping->member[i];
    return NULL;
}

void rg_template_set(RgTemplateWork *work, RgTemplateMapping *mapping, RgTemplateText key,
                     RgTemplateValue value) {
    RgTemplateMember *member = find(work, mapping, key);
    if (member) {
        member->value = value;
        return;
    }
    if (mapping->count == mapping->capacity) {
        size_t capacity = mapping->capacity ? 2 * mapping->capacity : 4;
        RgTemplateMember *grown = rg_template_take(work, capacity * sizeof *grown);
        if (!grown)
            return;
        if (mapping->count > 0)
            memcpy(grown, mapping->member, mapping->count * sizeof *grown);
        mapping->member = grown;
        mapping->capacity = capacity;
    }
    mapping->member[mapping->count++] = (RgTemplateMember){key, value};
}

const RgTemplateValue *rg_template_get(RgTemplateWork *work, const RgTemplateMapping *mapping,
                                       RgTemplateText key) {
    RgTemplateMember *member = find(work, mapping, key);
    return member ? &member->value : NULL;
}

static RgTemplateValue list_from_json(RgTemplateWork *work, json_t *json) {
    RgTemplateValue list = rg_template_list(work, json_array_size(json));
    json_t *item = NULL;
    size_t i = 0;
    json_array_foreach(json, i, item) {
        if (work->failed)
            break;
        list.list->item[list.list->count++] = rg_template_from_json(work, item);
    }
    return list;
}

static RgTemplateValue mapping_from_json(RgTemplateWork *work, json_t *json) {
    RgTemplateValue mapping = rg_template_mapping(work, RG_TEMPLATE_MAPPING);
    const char *key = NULL;
    json_t *item = NULL;
    json_object_foreach(json, key, item) {
        if (work->failed)
            break;
        RgTemplateText name = rg_template_string_copy(work, key, strlen(key)).string;
        rg_template_set(work, mapping.mapping, name, rg_template_from_json(work, item));
    }
    return mapping;
}

RgTemplateValue rg_template_from_json(RgTemplateWork *work, json_t *json) {
    RgTemplateValue value = rg_template_none;
    if (!rg_template_enter(work))
        return value;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        value = mapping_from_json(work, json);
        break;
    case JSON_ARRAY:
        value = list_from_json(work, json);
        break;
    case JSON_STRING:
        value = rg_template_string_copy(work, json_string_value(json), json_string_length(json));
        break;
    case JSON_INTEGER:
        value = rg_template_integer(json_integer_value(json));
        break;
    case JSON_REAL:
        value = (RgTemplateValue){.kind = RG_TEMPLATE_REAL, .real = json_real_value(json)};
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        value = rg_template_boolean(json_is_true(json));
        break;
    case JSON_NULL:
        break;
    }
    work->depth--;
    return value;
}

/* ---- comparing ---- */

bool rg_template_same_text(RgTemplateText text, const char *other) {
    return text.size == strlen(other) && memcmp(text.bytes, other, text.size) == 0;
}

const char *rg_template_kind_name(RgTemplateValue value) {
    static const char *const names[] = {
        [RG_TEMPLATE_UNDEFINED] = "undefined", [RG_TEMPLATE_NONE] = "none",
        [RG_TEMPLATE_BOOLEAN] = "a boolean",   [RG_TEMPLATE_INTEGER] = "a number",
        [RG_TEMPLATE_REAL] = "a number",       [RG_TEMPLATE_STRING] = "a string",
        [RG_TEMPLATE_LIST] = "a list",         [RG_TEMPLATE_MAPPING] = "a mapping",
        [RG_TEMPLATE_SPACE] = "a namespace",   [RG_TEMPLATE_LOOP] = "a loop",
        [RG_TEMPLATE_MACRO] = "a macro"};
    return names[value.kind];
}

/* Booleans count as 0 and 1, as in Python. */
bool rg_template_is_number(RgTemplateValue value) {
    return value.kind == RG_TEMPLATE_INTEGER || value.kind == RG_TEMPLATE_REAL ||
           value.kind == RG_TEMPLATE_BOOLEAN;
}

double rg_template_real(RgTemplateValue value) {
    return value.kind == RG_TEMPLATE_REAL      ? value.real
           : value.kind == RG_TEMPLATE_BOOLEAN ? (double)value.boolean
                                               : (double)value.integer;
}

bool rg_template_truth(RgTemplateValue value) {
    switch (value.kind) {
    case RG_TEMPLATE_UNDEFINED:
    case RG_TEMPLATE_NONE:
        return false;
    case RG_TEMPLATE_BOOLEAN:
    case RG_TEMPLATE_INTEGER:
    case RG_TEMPLATE_REAL:
        return rg_template_real(value) != 0;
    case RG_TEMPLATE_STRING:
        return value.string.size > 0;
    case RG_TEMPLATE_LIST:
        return value.list->count > 0;
    case RG_TEMPLATE_MAPPING:
        return value.mapping->count > 0;
    case RG_TEMPLATE_SPACE:
    case RG_TEMPLATE_LOOP:
    case RG_TEMPLATE_MACRO:
        return true;
    }
    return false;
}

static bool equal_lists(RgTemplateWork *work, const RgTemplateList *a, const RgTemplateList *b) {
    bool equal = a->count == b->count;
    for (size_t i = 0; i < a->count && equal; i++)
        equal = rg_template_equal(work, a->item[i], b->item[i]);
    return equal;
}

static bool equal_mappings(RgTemplateWork *work, const RgTemplateMapping *a,
                           const RgTemplateMapping *b) {
    bool equal = a->count == b->count;
    for (size_t i = 0; i < a->count && equal; i++) {
        const RgTemplateValue *other = rg_template_get(work, b, a->member[i].key);
        equal = other && rg_template_equal(work, a->member[i].value, *other);
    }
    return equal;
}

bool rg_template_equal(RgTemplateWork *work, RgTemplateValue a, RgTemplateValue b) {
    bool equal = false;
    if (!rg_template_step(work, 0) || !rg_template_enter(work))
        return false;
    if (rg_template_is_number(a) && rg_template_is_number(b)) {
        equal = a.kind != RG_TEMPLATE_REAL && b.kind != RG_TEMPLATE_REAL
                    ? (a.kind == RG_TEMPLATE_BOOLEAN ? a.boolean : a.integer) ==
                          (b.kind == RG_TEMPLATE_BOOLEAN ? b.boolean : b.integer)
                    : rg_template_real(a) == rg_template_real(b);
    } else if (a.kind == b.kind) {
        switch (a.kind) {
        case RG_TEMPLATE_STRING:
            equal = a.string.size == b.string.size && rg_template_step(work, a.string.size) &&
                    memcmp(a.string.bytes, b.string.bytes, a.string.size) == 0;
            break;
        case RG_TEMPLATE_LIST:
            equal = equal_lists(work, a.list, b.list);
            break;
        case RG_TEMPLATE_MAPPING:
            equal = equal_mappings(work, a.mapping, b.mapping);
            break;
        case RG_TEMPLATE_SPACE:
            equal = a.mapping == b.mapping;
            break;
        case RG_TEMPLATE_LOOP:
            equal = a.loop == b.loop;
            break;
        case RG_TEMPLATE_MACRO:
            equal = a.macro == b.macro;
            break;
        default:
            equal = true;
        }
    }
    work->depth--;
    return equal;
}

int rg_template_compare(RgTemplateWork *work, RgTemplateValue a, RgTemplateValue b) {
    if (a.kind == RG_TEMPLATE_STRING && b.kind == RG_TEMPLATE_STRING) {
        size_t shorter = a.string.size < b.string.size ? a.string.size : b.string.size;
        rg_template_step(work, shorter);
        int order = memcmp(a.string.bytes, b.string.bytes, shorter);
        if (order != 0)
            return order < 0 ? -1 : 1;
        return (a.string.size > b.string.size) - (a.string.size < b.string.size);
    }
    if (rg_template_is_number(a) && rg_template_is_number(b)) {
        if (a.kind == RG_TEMPLATE_INTEGER && b.kind == RG_TEMPLATE_INTEGER)
            return (a.integer > b.integer) - (a.integer < b.integer);
        double x = rg_template_real(a), y = rg_template_real(b);
        return (x > y) - (x < y);
    }
    rg_template_fail(work, "%s cannot be compared to %s, expected two numbers or two strings",
                     rg_template_kind_name(a), rg_template_kind_name(b));
    return 0;
}

bool rg_template_contains(RgTemplateWork *work, RgTemplateValue all, RgTemplateValue one) {
    bool found = false;
    if (all.kind == RG_TEMPLATE_STRING && one.kind == RG_TEMPLATE_STRING)
        return rg_template_step(work, all.string.size) &&
               (one.string.size == 0 || memmem(all.string.bytes, all.string.size, one.string.bytes,
                                               one.string.size) != NULL);
    if (all.kind == RG_TEMPLATE_MAPPING || all.kind == RG_TEMPLATE_SPACE)
        return one.kind == RG_TEMPLATE_STRING && rg_template_get(work, all.mapping, one.string);
    if (all.kind == RG_TEMPLATE_UNDEFINED)
        return false;
    if (all.kind != RG_TEMPLATE_LIST)
        rg_template_fail(work,
                         "\"in\" was asked of %s with %s, expected a list, a mapping, or two "
                         "strings",
                         rg_template_kind_name(all), rg_template_kind_name(one));
    for (size_t i = 0; !work->failed && i < all.list->count && !found; i++)
        found = rg_template_equal(work, all.list->item[i], one);
    return found;
}

/* ---- parts ---- */

size_t *rg_template_characters(RgTemplateWork *work, RgTemplateText text, size_t *count) {
    *count = 0;
    if (!rg_template_step(work, 8 * text.size))
        return NULL;
    size_t *start = rg_template_take(work, (text.size + 1) * sizeof *start);
    for (size_t at = 0; start && at < text.size;) {
        uint32_t character;
        size_t size = rg_utf8_read(text.bytes + at, text.size - at, &character);
        start[(*count)++] = at;
        at += size > 0 ? size : 1;
    }
    if (start)
        start[*count] = text.size;
    return start;
}

const RgTemplateList *rg_template_items(RgTemplateWork *work, RgTemplateValue value) {
    static const RgTemplateList none = {0};
    RgTemplateValue list = rg_template_undefined;
    size_t count = 0;
    if (value.kind == RG_TEMPLATE_LIST)
        return value.list;
    if (value.kind == RG_TEMPLATE_STRING) {
        size_t *start = rg_template_characters(work, value.string, &count);
        list = rg_template_list(work, count);
        for (size_t i = 0; i < count && !work->failed; i++)
            list.list->item[i] =
                rg_template_string(value.string.bytes + start[i], start[i + 1] - start[i]);
    } else if (value.kind == RG_TEMPLATE_MAPPING) {
        count = value.mapping->count;
        list = rg_template_list(work, count);
        for (size_t i = 0; i < count && !work->failed; i++)
            list.list->item[i] = (RgTemplateValue){.kind = RG_TEMPLATE_STRING,
                                                   .string = value.mapping->member[i].key};
    } else if (value.kind != RG_TEMPLATE_UNDEFINED) {
        rg_template_fail(work, "%s has no items, expected a list, a mapping or a string",
                         rg_template_kind_name(value));
    }
    if (list.kind != RG_TEMPLATE_LIST || work->failed)
        return &none;
    list.list->count = count;
    return list.list;
}

int64_t rg_template_length(RgTemplateWork *work, RgTemplateValue value) {
    size_t count = 0;
    if (value.kind == RG_TEMPLATE_STRING)
        rg_template_characters(work, value.string, &count);
    else if (value.kind == RG_TEMPLATE_MAPPING)
        count = value.mapping->count;
    else
        count = rg_template_items(work, value)->count;
    return (int64_t)count;
}
