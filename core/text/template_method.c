/* SPDX-License-Identifier: MIT */
/* Parts and methods of values, and the functions of a template. What strings do is Python's. */
#include "core/text/normalizer.h"
#include "core/text/template_internal.h"

#include <string.h>

typedef RgTemplateValue Value;
typedef RgTemplateText Text;
typedef const RgTemplateArguments *Arguments;

/* ---- arguments ---- */

void rg_template_check_arguments(RgTemplateWork *work, Arguments a, const char *of,
                                 const char *const *names) {
    size_t most = 0;
    while (names[most])
        most++;
    if (a->count > most)
        rg_template_fail(work, "%s has %zu arguments, expected at most %zu", of, a->count, most);
    for (size_t i = 0; i < a->named_count; i++) {
        size_t k = 0;
        while (names[k] && !rg_template_same_text(a->named[i].key, names[k]))
            k++;
        if (!names[k])
            rg_template_fail(work, "%s: the argument %.*s is not supported", of,
                             RG_SHOWN(a->named[i].key));
    }
}

Value rg_template_argument(Arguments a, size_t position, const char *name) {
    if (position < a->count)
        return a->value[position];
    for (size_t i = 0; i < a->named_count; i++)
        if (rg_template_same_text(a->named[i].key, name))
            return a->named[i].value;
    return rg_template_undefined;
}

/* ---- text ---- */

static size_t read_character(Text text, size_t at, uint32_t *character) {
    size_t size = rg_utf8_read(text.bytes + at, text.size - at, character);
    if (size > 0)
        return size;
    *character = (unsigned char)text.bytes[at];
    return 1;
}

static void append_character(RgBuffer *out, uint32_t c) {
    char bytes[4] = {(char)c};
    size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size; size > 1 && i-- > 0; c >>= 6)
        bytes[i] = (char)(i > 0 ? 0x80 | (c & 0x3F) : lead[size] | c);
    rg_buffer_append(out, bytes, size);
}

/* Python's white space has the four separators of ASCII, too. */
static bool is_white(Text text, size_t at, size_t size) {
    return (text.bytes[at] >= 0x1c && text.bytes[at] <= 0x1f) ||
           rg_utf8_white_at_start(text.bytes + at, size) == size;
}

Value rg_template_change_case(RgTemplateWork *work, Text text, RgTemplateCase to) {
    RgBuffer out = {0};
    bool in_word = false; /* after a letter; of RG_CASE_WORDS, after no separator */
    rg_template_step(work, 8 * text.size);
    for (size_t at = 0, size = 0; at < text.size && !work->failed; at += size) {
        uint32_t c;
        size = read_character(text, at, &c);
        bool invalid = size == 1 && c >= 0x80, cased = !invalid && rg_character_is_cased(c);
        bool upper = to == RG_CASE_UPPER ||
                     ((to == RG_CASE_TITLE || to == RG_CASE_WORDS) && !in_word) ||
                     (to == RG_CASE_FIRST && at == 0);
        if (cased)
            append_character(&out, rg_character_case(c, upper));
        else
            rg_buffer_append(&out, text.bytes + at, size);
        in_word = to == RG_CASE_WORDS
                      ? !is_white(text, at, size) && !strchr("-({[<", text.bytes[at])
                      : cased;
    }
    return rg_template_from_buffer(work, &out);
}

static bool strips(Text text, size_t at, size_t size, Value characters) {
    if (characters.kind != RG_TEMPLATE_STRING)
        return is_white(text, at, size);
    return characters.string.size > 0 &&
           memmem(characters.string.bytes, characters.string.size, text.bytes + at, size) != NULL;
}

Value rg_template_strip(RgTemplateWork *work, Text text, Value characters, bool left, bool right) {
    size_t start = 0, end = text.size, each = 1;
    uint32_t c;
    if (characters.kind == RG_TEMPLATE_STRING)
        each += characters.string.size;
    while (left && start < end && rg_template_step(work, each)) {
        size_t size = read_character(text, start, &c);
        if (!strips(text, start, size, characters))
            break;
        start += size;
    }
    while (right && end > start && rg_template_step(work, each)) {
        size_t at = end - 1;
        while (at > start && end - at < 4 && ((unsigned char)text.bytes[at] & 0xC0) == 0x80)
            at--;
        if (read_character(text, at, &c) != end - at)
            at = end - 1;
        if (!strips(text, at, end - at, characters))
            break;
        end = at;
    }
    return rg_template_string(text.bytes + start, end - start);
}

/* The next place of `part` at or after `from`; SIZE_MAX: none. */
static size_t find(Text text, Text part, size_t from) {
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
    for (size_t at; most != 0 && !work->failed && (at = find(text, from, done)) != SIZE_MAX;
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
        size = at < text.size ? read_character(text, at, &c) : 1;
        bool white = at == text.size || is_white(text, at, size);
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
    for (size_t at; most != 0 && !work->failed && (at = find(text, by.string, done)) != SIZE_MAX;
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
    size_t at = find(value.string, part.string, 0);
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
    for (size_t at = 0; !work->failed && (at = find(value.string, part.string, at)) != SIZE_MAX;
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

/* ---- functions ---- */

static Value function_range(RgTemplateWork *work, Arguments a) {
    int64_t part[3] = {0, 0, 1};
    for (size_t i = 0; i < a->count; i++) {
        if (a->value[i].kind != RG_TEMPLATE_INTEGER)
            rg_template_fail(work, "range: argument %zu is %s, expected an integer", i + 1,
                             rg_template_kind_name(a->value[i]));
        part[a->count == 1 ? 1 : i] = a->value[i].integer;
    }
    const int64_t far = RG_TEMPLATE_STEPS;
    if (a->count == 0 || part[0] < -far || part[0] > far || part[1] < -far || part[1] > far ||
        part[2] == 0 || part[2] < -far || part[2] > far)
        rg_template_fail(work, "range: expected one to three numbers of at most %d, and no step 0",
                         RG_TEMPLATE_STEPS);
    Value list = rg_template_undefined;
    int64_t up = part[2] > 0 ? 1 : -1, span = (part[1] - part[0]) * up, step = part[2] * up;
    int64_t count = work->failed || span <= 0 ? 0 : (span + step - 1) / step;
    list = rg_template_list(work, (size_t)count);
    for (int64_t i = 0; i < count && !work->failed && rg_template_step(work, 0); i++)
        list.list->item[list.list->count++] = rg_template_integer(part[0] + i * part[2]);
    return list;
}

static Value mapping_of(RgTemplateWork *work, Arguments a, RgTemplateKind kind) {
    Value mapping = rg_template_mapping(work, kind);
    for (size_t i = 0; i < a->named_count && !work->failed; i++)
        rg_template_set(work, mapping.mapping, a->named[i].key, a->named[i].value);
    return mapping;
}

Value rg_template_function(RgTemplateWork *work, Text name, Arguments a) {
    static const char *const none[] = {NULL}, *const message[] = {"message", NULL};
    static const char *const range[] = {"start", "stop", "step", NULL};
    bool space = rg_template_same_text(name, "namespace");
    if (space || rg_template_same_text(name, "dict")) {
        RgTemplateArguments unnamed = {.count = a->count};
        rg_template_check_arguments(work, &unnamed, space ? "namespace" : "dict", none);
        return mapping_of(work, a, space ? RG_TEMPLATE_SPACE : RG_TEMPLATE_MAPPING);
    }
    if (rg_template_same_text(name, "range")) {
        rg_template_check_arguments(work, a, "range", range);
        return work->failed ? rg_template_undefined : function_range(work, a);
    }
    if (rg_template_same_text(name, "raise_exception")) {
        rg_template_check_arguments(work, a, "raise_exception", message);
        RgBuffer text = {0};
        rg_template_print(work, rg_template_argument(a, 0, "message"), &text);
        rg_template_fail(work, "the template refuses the conversation: %.*s",
                         (int)(text.size < 400 ? text.size : 400), text.size ? text.bytes : "");
        rg_buffer_release(&text);
        return rg_template_undefined;
    }
    if (rg_template_same_text(name, "strftime_now"))
        rg_template_fail(work, "strftime_now is not supported: with the day the tokens would "
                               "change; expected a template that asks whether it is defined");
    else
        rg_template_fail(work, "there is no macro or function %.*s, or it is not supported",
                         RG_SHOWN(name));
    return rg_template_undefined;
}

/* ---- parts ---- */

static Value loop_attribute(const RgTemplateLoop *loop, Text name) {
    int64_t at = (int64_t)loop->at, count = (int64_t)loop->items->count;
    const struct {
        const char *name;
        Value value;
    } known[] = {
        {"index", rg_template_integer(at + 1)},
        {"index0", rg_template_integer(at)},
        {"revindex", rg_template_integer(count - at)},
        {"revindex0", rg_template_integer(count - at - 1)},
        {"first", rg_template_boolean(at == 0)},
        {"last", rg_template_boolean(at + 1 == count)},
        {"length", rg_template_integer(count)},
        {"previtem", at > 0 ? loop->items->item[at - 1] : rg_template_undefined},
        {"nextitem", at + 1 < count ? loop->items->item[at + 1] : rg_template_undefined},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (rg_template_same_text(name, known[i].name))
            return known[i].value;
    return rg_template_undefined;
}

Value rg_template_attribute(RgTemplateWork *work, Value value, Text name) {
    const Value *found = NULL;
    if (value.kind == RG_TEMPLATE_UNDEFINED)
        rg_template_fail(work, "the attribute %.*s was asked of what is undefined", RG_SHOWN(name));
    else if (value.kind == RG_TEMPLATE_LOOP)
        return loop_attribute(value.loop, name);
    else if (value.kind == RG_TEMPLATE_MAPPING || value.kind == RG_TEMPLATE_SPACE)
        found = rg_template_get(work, value.mapping, name);
    return found ? *found : rg_template_undefined;
}

Value rg_template_item(RgTemplateWork *work, Value value, Value index) {
    if (index.kind == RG_TEMPLATE_STRING)
        return rg_template_attribute(work, value, index.string);
    if (value.kind == RG_TEMPLATE_UNDEFINED)
        rg_template_fail(work, "an item was asked of what is undefined");
    if (index.kind != RG_TEMPLATE_INTEGER ||
        (value.kind != RG_TEMPLATE_LIST && value.kind != RG_TEMPLATE_STRING))
        return rg_template_undefined;
    const RgTemplateList *items = rg_template_items(work, value);
    int64_t count = (int64_t)items->count, at = index.integer;
    at += at < 0 ? count : 0;
    return at >= 0 && at < count ? items->item[at] : rg_template_undefined;
}

Value rg_template_attribute_path(RgTemplateWork *work, Value value, Text path) {
    while (path.size > 0 && rg_template_step(work, path.size)) {
        const char *dot = memchr(path.bytes, '.', path.size);
        size_t size = dot ? (size_t)(dot - path.bytes) : path.size;
        value = rg_template_attribute(work, value, (Text){path.bytes, size});
        path.bytes += size + (dot != NULL);
        path.size -= size + (dot != NULL);
    }
    return value;
}
