/* SPDX-License-Identifier: MIT */
/* The arguments, functions and parts of values. */
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
    if (work->failed || part[2] == 0)
        return rg_template_undefined;
    int64_t up = part[2] > 0 ? 1 : -1, span = (part[1] - part[0]) * up, step = part[2] * up;
    int64_t count = span <= 0 ? 0 : (span + step - 1) / step;
    Value list = rg_template_list(work, (size_t)count);
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
