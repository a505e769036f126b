/* SPDX-License-Identifier: MIT */
/* The methods of values, a table. What strings do is Python's. */
#include "core/text/template_internal.h"

#include <string.h>

typedef RgTemplateValue Value;
typedef RgTemplateText Text;
typedef const RgTemplateArguments *Arguments;

/* ---- methods of strings ---- */

typedef Value (*Method)(RgTemplateWork *work, Value value, Arguments arguments);

static bool is_text(RgTemplateWork *work, const char *of, Value value) {
    if (value.kind != RG_TEMPLATE_STRING)
        rg_template_fail(work, "%s: an argument is %s, expected a string", of,
                         rg_template_kind_name(value));
    return !work->failed;
}

static Value strip_with(RgTemplateWork *work, Value value, Arguments a, bool left, bool right) {
    return rg_template_strip(work, value.string, rg_template_argument(a, 0, "chars"), left, right);
}

static Value method_strip(RgTemplateWork *work, Value value, Arguments a) {
    return strip_with(work, value, a, true, true);
}

static Value method_lstrip(RgTemplateWork *work, Value value, Arguments a) {
    return strip_with(work, value, a, true, false);
}

static Value method_rstrip(RgTemplateWork *work, Value value, Arguments a) {
    return strip_with(work, value, a, false, true);
}

static Value method_upper(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    return rg_template_change_case(work, value.string, RG_CASE_UPPER);
}

static Value method_lower(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    return rg_template_change_case(work, value.string, RG_CASE_LOWER);
}

static Value method_title(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    return rg_template_change_case(work, value.string, RG_CASE_TITLE);
}

static Value method_capitalize(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    return rg_template_change_case(work, value.string, RG_CASE_FIRST);
}

static bool has_end(RgTemplateWork *work, const char *of, Text text, Value part, bool at_end) {
    if (!is_text(work, of, part) || part.string.size > text.size)
        return false;
    size_t at = at_end ? text.size - part.string.size : 0;
    return part.string.size == 0 ||
           memcmp(text.bytes + at, part.string.bytes, part.string.size) == 0;
}

/* Of one string, or of any of a list. */
static Value ends_are(RgTemplateWork *work, const char *of, Value value, Arguments a, bool at_end) {
    Value part = rg_template_argument(a, 0, "prefix");
    bool found = false;
    if (part.kind != RG_TEMPLATE_LIST)
        return rg_template_boolean(has_end(work, of, value.string, part, at_end));
    for (size_t i = 0; i < part.list->count && !found && rg_template_step(work, 0); i++)
        found = has_end(work, of, value.string, part.list->item[i], at_end);
    return rg_template_boolean(found);
}

static Value method_startswith(RgTemplateWork *work, Value value, Arguments a) {
    return ends_are(work, "startswith", value, a, false);
}

static Value method_endswith(RgTemplateWork *work, Value value, Arguments a) {
    return ends_are(work, "endswith", value, a, true);
}

static Value method_replace(RgTemplateWork *work, Value value, Arguments a) {
    Value from = rg_template_argument(a, 0, "old"), to = rg_template_argument(a, 1, "new");
    Value most = rg_template_argument(a, 2, "count");
    if (!is_text(work, "replace", from) || !is_text(work, "replace", to))
        return value;
    return rg_template_replace(work, value.string, from.string, to.string,
                               most.kind == RG_TEMPLATE_INTEGER ? most.integer : -1);
}

static void append_part(RgTemplateWork *work, Value *list, size_t *room, Text text, size_t start,
                        size_t end) {
    if (list->kind != RG_TEMPLATE_LIST || list->list->count == *room) {
        size_t count = list->kind == RG_TEMPLATE_LIST ? list->list->count : 0;
        *room = count > 0 ? 2 * count : 4;
        Value grown = rg_template_list(work, *room);
        if (grown.kind != RG_TEMPLATE_LIST)
            return;
        if (count > 0)
            memcpy(grown.list->item, list->list->item, count * sizeof *grown.list->item);
        grown.list->count = count;
        *list = grown;
    }
    list->list->item[list->list->count++] = rg_template_string(text.bytes + start, end - start);
}

/* Words between runs of white space. */
static Value split_white(RgTemplateWork *work, Text text, int64_t most) {
    Value list = rg_template_list(work, 0);
    size_t room = 0, start = 0;
    bool in_word = false;
    int64_t cuts = 0;
    uint32_t c;
    for (size_t at = 0, size = 0; at <= text.size && rg_template_step(work, 8); at += size) {
        size = at < text.size ? rg_template_read_character(text, at, &c) : 1;
        bool white = at == text.size || rg_template_is_white(text, at, size);
        if (in_word && white && cuts != most) {
            append_part(work, &list, &room, text, start, at);
            in_word = false;
            cuts++;
        } else if (in_word && at == text.size) {
            append_part(work, &list, &room, text, start, at);
        } else if (!in_word && !white) {
            start = at;
            in_word = true;
        }
    }
    return list;
}

static Value method_split(RgTemplateWork *work, Value value, Arguments a) {
    Value by = rg_template_argument(a, 0, "sep"), count = rg_template_argument(a, 1, "maxsplit");
    int64_t most = count.kind == RG_TEMPLATE_INTEGER ? count.integer : -1;
    Text text = value.string;
    if (by.kind == RG_TEMPLATE_UNDEFINED || by.kind == RG_TEMPLATE_NONE)
        return split_white(work, text, most);
    if (!is_text(work, "split", by) || by.string.size == 0) {
        rg_template_fail(work, "split: the separator is empty");
        return value;
    }
    Value list = rg_template_list(work, 0);
    size_t room = 0, done = 0;
    rg_template_step(work, text.size);
    for (size_t at;
         most != 0 && !work->failed && (at = rg_template_find(text, by.string, done)) != SIZE_MAX;
         most--) {
        append_part(work, &list, &room, text, done, at);
        done = at + by.string.size;
        rg_template_step(work, 0);
    }
    if (!work->failed)
        append_part(work, &list, &room, text, done, text.size);
    return list;
}

/* At the last `most` separators. */
static Value method_rsplit(RgTemplateWork *work, Value value, Arguments a) {
    Value by = rg_template_argument(a, 0, "sep"), count = rg_template_argument(a, 1, "maxsplit");
    int64_t most = count.kind == RG_TEMPLATE_INTEGER ? count.integer : -1;
    if (most < 0 || by.kind != RG_TEMPLATE_STRING)
        return method_split(work, value, a);
    RgTemplateArguments all = {.value = &by, .count = 1};
    Value parts = method_split(work, value, &all);
    if (work->failed || (int64_t)parts.list->count - 1 <= most)
        return parts;
    /* The first parts stay one text. */
    size_t joined = parts.list->count - 1 - (size_t)most;
    const RgTemplateValue *last = &parts.list->item[joined];
    Text first = {value.string.bytes,
                  (size_t)(last->string.bytes - value.string.bytes) + last->string.size};
    for (size_t i = 0; i <= (size_t)most; i++)
        parts.list->item[i] =
            i == 0 ? rg_template_string(first.bytes, first.size) : parts.list->item[joined + i];
    parts.list->count = (size_t)most + 1;
    return parts;
}

static Value method_splitlines(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    Text text = value.string;
    Value list = rg_template_list(work, 0);
    size_t room = 0, start = 0;
    for (size_t at = 0; at < text.size && rg_template_step(work, 0); at++) {
        bool both = text.bytes[at] == '\r' && at + 1 < text.size && text.bytes[at + 1] == '\n';
        if (text.bytes[at] != '\n' && text.bytes[at] != '\r')
            continue;
        append_part(work, &list, &room, text, start, at);
        at += both;
        start = at + 1;
    }
    if (start < text.size && !work->failed)
        append_part(work, &list, &room, text, start, text.size);
    return list;
}

static Value method_join(RgTemplateWork *work, Value value, Arguments a) {
    return rg_template_join(work, rg_template_items(work, rg_template_argument(a, 0, "iterable")),
                            value.string, rg_template_undefined);
}

/* The number of characters before the part; −1: it is not there. */
static Value method_find(RgTemplateWork *work, Value value, Arguments a) {
    Value part = rg_template_argument(a, 0, "sub");
    size_t count = 0;
    if (!is_text(work, "find", part) || !rg_template_step(work, value.string.size))
        return value;
    size_t at = rg_template_find(value.string, part.string, 0);
    if (at == SIZE_MAX)
        return rg_template_integer(-1);
    rg_template_characters(work, (Text){value.string.bytes, at}, &count);
    return rg_template_integer((int64_t)count);
}

static Value method_count(RgTemplateWork *work, Value value, Arguments a) {
    Value part = rg_template_argument(a, 0, "sub");
    int64_t count = 0;
    if (value.kind == RG_TEMPLATE_LIST) {
        for (size_t i = 0; i < value.list->count && !work->failed; i++)
            count += rg_template_equal(work, value.list->item[i], part);
        return rg_template_integer(count);
    }
    if (!is_text(work, "count", part) || part.string.size == 0) {
        rg_template_fail(work, "count: the text to count is empty");
        return value;
    }
    rg_template_step(work, value.string.size);
    for (size_t at = 0;
         !work->failed && (at = rg_template_find(value.string, part.string, at)) != SIZE_MAX;
         at += part.string.size)
        count += rg_template_step(work, 0);
    return rg_template_integer(count);
}

/* ---- methods of lists and mappings ---- */

static Value method_index(RgTemplateWork *work, Value value, Arguments a) {
    Value one = rg_template_argument(a, 0, "value");
    for (size_t i = 0; i < value.list->count && !work->failed; i++)
        if (rg_template_equal(work, value.list->item[i], one))
            return rg_template_integer((int64_t)i);
    rg_template_fail(work, "index: the value is not in the list");
    return value;
}

Value rg_template_members(RgTemplateWork *work, const RgTemplateMapping *mapping, bool keys,
                          bool values) {
    Value list = rg_template_list(work, mapping->count);
    for (size_t i = 0; i < mapping->count && !work->failed; i++) {
        Value key = {.kind = RG_TEMPLATE_STRING, .string = mapping->member[i].key};
        Value one = keys ? key : mapping->member[i].value;
        if (keys && values) {
            one = rg_template_list(work, 2);
            if (one.kind != RG_TEMPLATE_LIST)
                break;
            one.list->item[0] = key;
            one.list->item[1] = mapping->member[i].value;
            one.list->count = 2;
        }
        list.list->item[list.list->count++] = one;
    }
    return list;
}

static Value method_items(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    return rg_template_members(work, value.mapping, true, true);
}

static Value method_keys(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    return rg_template_members(work, value.mapping, true, false);
}

static Value method_values(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    return rg_template_members(work, value.mapping, false, true);
}

static Value method_get(RgTemplateWork *work, Value value, Arguments a) {
    Value key = rg_template_argument(a, 0, "key"), other = rg_template_argument(a, 1, "default");
    const Value *found =
        key.kind == RG_TEMPLATE_STRING ? rg_template_get(work, value.mapping, key.string) : NULL;
    if (found)
        return *found;
    return other.kind == RG_TEMPLATE_UNDEFINED ? rg_template_none : other;
}

static const struct {
    RgTemplateKind of;
    const char *name;
    Method call;
    const char *names[4];
} methods[] = {
    {RG_TEMPLATE_STRING, "capitalize", method_capitalize, {NULL}},
    {RG_TEMPLATE_STRING, "count", method_count, {"sub"}},
    {RG_TEMPLATE_STRING, "endswith", method_endswith, {"prefix"}},
    {RG_TEMPLATE_STRING, "find", method_find, {"sub"}},
    {RG_TEMPLATE_STRING, "join", method_join, {"iterable"}},
    {RG_TEMPLATE_STRING, "lower", method_lower, {NULL}},
    {RG_TEMPLATE_STRING, "lstrip", method_lstrip, {"chars"}},
    {RG_TEMPLATE_STRING, "replace", method_replace, {"old", "new", "count"}},
    {RG_TEMPLATE_STRING, "rsplit", method_rsplit, {"sep", "maxsplit"}},
    {RG_TEMPLATE_STRING, "rstrip", method_rstrip, {"chars"}},
    {RG_TEMPLATE_STRING, "split", method_split, {"sep", "maxsplit"}},
    {RG_TEMPLATE_STRING, "splitlines", method_splitlines, {NULL}},
    {RG_TEMPLATE_STRING, "startswith", method_startswith, {"prefix"}},
    {RG_TEMPLATE_STRING, "strip", method_strip, {"chars"}},
    {RG_TEMPLATE_STRING, "title", method_title, {NULL}},
    {RG_TEMPLATE_STRING, "upper", method_upper, {NULL}},
    {RG_TEMPLATE_MAPPING, "get", method_get, {"key", "default"}},
    {RG_TEMPLATE_MAPPING, "items", method_items, {NULL}},
    {RG_TEMPLATE_MAPPING, "keys", method_keys, {NULL}},
    {RG_TEMPLATE_MAPPING, "values", method_values, {NULL}},
    {RG_TEMPLATE_LIST, "count", method_count, {"value"}},
    {RG_TEMPLATE_LIST, "index", method_index, {"value"}},
};

Value rg_template_method(RgTemplateWork *work, Text name, Value value, Arguments arguments) {
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (value.kind != methods[i].of || !rg_template_same_text(name, methods[i].name))
            continue;
        rg_template_check_arguments(work, arguments, methods[i].name, methods[i].names);
        return rg_template_step(work, 0) ? methods[i].call(work, value, arguments) : value;
    }
    rg_template_fail(work, "%s has no method %.*s, or it is not supported",
                     rg_template_kind_name(value), RG_SHOWN(name));
    return value;
}
