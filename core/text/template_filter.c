/* SPDX-License-Identifier: MIT */
/* The filters and tests of a template, a table each. */
#include "core/text/template_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef RgTemplateValue Value;
typedef const RgTemplateArguments *Arguments;

static bool is_string(RgTemplateWork *work, const char *of, Value value) {
    if (value.kind != RG_TEMPLATE_STRING)
        rg_template_fail(work, "%s was asked of %s, expected a string", of,
                         rg_template_kind_name(value));
    return !work->failed;
}

/* ---- text ---- */

static Value filter_string(RgTemplateWork *work, Value value, Arguments a) {
    RgBuffer text = {0};
    (void)a;
    if (value.kind == RG_TEMPLATE_STRING)
        return value;
    rg_template_print(work, value, &text);
    return rg_template_from_buffer(work, &text);
}

/* What the method of this name does with the value's text. */
static Value by_method(RgTemplateWork *work, const char *name, Value value, Arguments a) {
    Value text = filter_string(work, value, a);
    return work->failed ? text
                        : rg_template_method(work, (RgTemplateText){name, strlen(name)}, text, a);
}

static Value filter_trim(RgTemplateWork *work, Value value, Arguments a) {
    return by_method(work, "strip", value, a);
}

static Value filter_upper(RgTemplateWork *work, Value value, Arguments a) {
    return by_method(work, "upper", value, a);
}

static Value filter_lower(RgTemplateWork *work, Value value, Arguments a) {
    return by_method(work, "lower", value, a);
}

static Value filter_capitalize(RgTemplateWork *work, Value value, Arguments a) {
    return by_method(work, "capitalize", value, a);
}

static Value filter_replace(RgTemplateWork *work, Value value, Arguments a) {
    return by_method(work, "replace", value, a);
}

static Value filter_title(RgTemplateWork *work, Value value, Arguments a) {
    return rg_template_change_case(work, filter_string(work, value, a).string, RG_CASE_WORDS);
}

static Value filter_tojson(RgTemplateWork *work, Value value, Arguments a) {
    Value indent = rg_template_argument(a, 1, "indent");
    RgBuffer text = {0};
    if (rg_template_truth(rg_template_argument(a, 0, "ensure_ascii")))
        rg_template_fail(work, "tojson: ensure_ascii is true, expected false");
    if (indent.kind == RG_TEMPLATE_INTEGER && (indent.integer < 0 || indent.integer > 16))
        rg_template_fail(work, "tojson: indent is %lld, expected 0 to 16",
                         (long long)indent.integer);
    rg_template_to_json(work, value, indent.kind == RG_TEMPLATE_INTEGER ? indent.integer : -1,
                        &text);
    return rg_template_from_buffer(work, &text);
}

/* Lines after the first get the indentation; empty ones do not. */
static Value filter_indent(RgTemplateWork *work, Value value, Arguments a) {
    Value width = rg_template_argument(a, 0, "width");
    bool first = rg_template_truth(rg_template_argument(a, 1, "first"));
    bool blank = rg_template_truth(rg_template_argument(a, 2, "blank"));
    int64_t spaces = width.kind == RG_TEMPLATE_INTEGER ? width.integer : 4;
    RgBuffer text = {0};
    if (!is_string(work, "indent", value))
        return value;
    if (spaces < 0 || spaces > 64)
        rg_template_fail(work, "indent: width is %lld, expected 0 to 64", (long long)spaces);
    for (size_t i = 0; i < value.string.size && !work->failed; i++) {
        char c = value.string.bytes[i];
        bool begins = i == 0 ? first : value.string.bytes[i - 1] == '\n' && (blank || c != '\n');
        for (int64_t k = 0; begins && k < spaces && rg_template_step(work, 64); k++)
            rg_buffer_append(&text, " ", 1);
        rg_buffer_append(&text, &c, 1);
    }
    return rg_template_from_buffer(work, &text);
}

/* ---- numbers ---- */

static Value filter_int(RgTemplateWork *work, Value value, Arguments a) {
    Value otherwise = rg_template_argument(a, 0, "default");
    char text[32] = "", *end = text;
    if (rg_template_is_number(value) && fabs(rg_template_real(value)) < 9e18)
        return value.kind == RG_TEMPLATE_INTEGER
                   ? value
                   : rg_template_integer((int64_t)rg_template_real(value));
    if (value.kind == RG_TEMPLATE_STRING)
        value = rg_template_strip(work, value.string, rg_template_undefined, true, true);
    if (value.kind == RG_TEMPLATE_STRING && value.string.size > 0 && value.string.size < 19) {
        memcpy(text, value.string.bytes, value.string.size);
        double number = strtod(text, &end);
        if (end == text + value.string.size && !strpbrk(text, "xXnN") && fabs(number) < 9e18)
            return rg_template_integer(strspn(text, "+-0123456789") == value.string.size
                                           ? strtoll(text, NULL, 10)
                                           : (int64_t)number);
    }
    return otherwise.kind == RG_TEMPLATE_UNDEFINED ? rg_template_integer(0) : otherwise;
}

static Value filter_float(RgTemplateWork *work, Value value, Arguments a) {
    Value otherwise = rg_template_argument(a, 0, "default"), zero = {.kind = RG_TEMPLATE_REAL};
    char text[32] = "", *end = text;
    if (rg_template_is_number(value))
        return (Value){.kind = RG_TEMPLATE_REAL, .real = rg_template_real(value)};
    if (value.kind == RG_TEMPLATE_STRING)
        value = rg_template_strip(work, value.string, rg_template_undefined, true, true);
    if (value.kind == RG_TEMPLATE_STRING && value.string.size > 0 && value.string.size < 31) {
        memcpy(text, value.string.bytes, value.string.size);
        double number = strtod(text, &end);
        if (end == text + value.string.size && !strpbrk(text, "xXpP"))
            return (Value){.kind = RG_TEMPLATE_REAL, .real = number};
    }
    return otherwise.kind == RG_TEMPLATE_UNDEFINED ? zero : otherwise;
}

static Value filter_abs(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    if (value.kind == RG_TEMPLATE_REAL)
        return (Value){.kind = RG_TEMPLATE_REAL, .real = fabs(value.real)};
    if (value.kind == RG_TEMPLATE_INTEGER && value.integer > INT64_MIN)
        return rg_template_integer(value.integer < 0 ? -value.integer : value.integer);
    rg_template_fail(work, "abs was asked of %s, expected a number", rg_template_kind_name(value));
    return value;
}

/* ---- lists and mappings ---- */

static Value filter_length(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    return rg_template_integer(rg_template_length(work, value));
}

static Value filter_list(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    const RgTemplateList *items = rg_template_items(work, value);
    Value list = rg_template_list(work, items->count);
    if (list.kind == RG_TEMPLATE_LIST && items->count > 0) {
        memcpy(list.list->item, items->item, items->count * sizeof *items->item);
        list.list->count = items->count;
    }
    return list;
}

static Value filter_first(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    const RgTemplateList *items = rg_template_items(work, value);
    return items->count > 0 ? items->item[0] : rg_template_undefined;
}

static Value filter_last(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    const RgTemplateList *items = rg_template_items(work, value);
    return items->count > 0 ? items->item[items->count - 1] : rg_template_undefined;
}

static Value filter_reverse(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    const RgTemplateList *items = rg_template_items(work, value);
    Value list = rg_template_list(work, items->count);
    for (size_t i = 0; i < items->count && !work->failed; i++)
        list.list->item[list.list->count++] = items->item[items->count - 1 - i];
    return value.kind == RG_TEMPLATE_STRING && !work->failed
               ? rg_template_join(work, list.list, (RgTemplateText){"", 0}, rg_template_undefined)
               : list;
}

static Value filter_join(RgTemplateWork *work, Value value, Arguments a) {
    Value between = rg_template_argument(a, 0, "d");
    if (between.kind == RG_TEMPLATE_UNDEFINED)
        between = rg_template_string("", 0);
    if (!is_string(work, "join", between))
        return value;
    return rg_template_join(work, rg_template_items(work, value), between.string,
                            rg_template_argument(a, 1, "attribute"));
}

static Value filter_items(RgTemplateWork *work, Value value, Arguments a) {
    (void)a;
    if (value.kind == RG_TEMPLATE_UNDEFINED)
        return rg_template_list(work, 0);
    if (value.kind != RG_TEMPLATE_MAPPING) {
        rg_template_fail(work, "items was asked of %s, expected a mapping",
                         rg_template_kind_name(value));
        return value;
    }
    return rg_template_members(work, value.mapping, true, true);
}

/* ---- choosing ---- */

static Value filter_default(RgTemplateWork *work, Value value, Arguments a) {
    (void)work;
    Value otherwise = rg_template_argument(a, 0, "default_value");
    bool if_false = rg_template_truth(rg_template_argument(a, 1, "boolean"));
    bool given = if_false ? rg_template_truth(value) : value.kind != RG_TEMPLATE_UNDEFINED;
    if (given)
        return value;
    return otherwise.kind == RG_TEMPLATE_UNDEFINED ? rg_template_string("", 0) : otherwise;
}

/* The items for which a test holds, or does not. `attribute`: the first argument names what is
 * tested of each. The next is the test's name, the rest are its arguments. */
static Value choose(RgTemplateWork *work, Value value, Arguments a, const char *of, bool attribute,
                    bool wanted) {
    const RgTemplateList *items = rg_template_items(work, value);
    Value list = rg_template_list(work, items->count);
    RgTemplateArguments rest = {0};
    size_t named = attribute, used = named + (a->count > named);
    bool has_test = a->count > named;
    for (size_t i = 0; i < a->count && i < used; i++)
        if (a->value[i].kind != RG_TEMPLATE_STRING)
            rg_template_fail(work, "%s: argument %zu is %s, expected a string", of, i + 1,
                             rg_template_kind_name(a->value[i]));
    if (a->named_count > 0 || a->count < named)
        rg_template_fail(work, "%s: expected the name of %s", of,
                         attribute ? "an attribute, then of a test" : "a test");
    if (has_test)
        rest = (RgTemplateArguments){.value = a->value + used, .count = a->count - used};
    for (size_t i = 0; i < items->count && !work->failed; i++) {
        Value one = attribute ? rg_template_attribute_path(work, items->item[i], a->value[0].string)
                              : items->item[i];
        bool holds = has_test ? rg_template_test(work, a->value[named].string, one, &rest)
                              : rg_template_truth(one);
        if (holds == wanted && !work->failed)
            list.list->item[list.list->count++] = items->item[i];
    }
    return list;
}

static Value filter_select(RgTemplateWork *work, Value value, Arguments a) {
    return choose(work, value, a, "select", false, true);
}

static Value filter_reject(RgTemplateWork *work, Value value, Arguments a) {
    return choose(work, value, a, "reject", false, false);
}

static Value filter_selectattr(RgTemplateWork *work, Value value, Arguments a) {
    return choose(work, value, a, "selectattr", true, true);
}

static Value filter_rejectattr(RgTemplateWork *work, Value value, Arguments a) {
    return choose(work, value, a, "rejectattr", true, false);
}

/* By an attribute, or by a filter with its arguments. */
static Value filter_map(RgTemplateWork *work, Value value, Arguments a) {
    const RgTemplateList *items = rg_template_items(work, value);
    Value list = rg_template_list(work, items->count);
    Value attribute = rg_template_argument(a, SIZE_MAX, "attribute");
    Value otherwise = rg_template_argument(a, SIZE_MAX, "default");
    bool by_attribute = attribute.kind == RG_TEMPLATE_STRING && a->count == 0;
    if (!by_attribute && (a->count == 0 || a->value[0].kind != RG_TEMPLATE_STRING))
        rg_template_fail(work, "map: expected attribute=NAME, or the name of a filter");
    for (size_t i = 0; i < items->count && !work->failed; i++) {
        RgTemplateArguments rest = *a;
        Value one = rg_template_undefined;
        if (by_attribute) {
            one = rg_template_attribute_path(work, items->item[i], attribute.string);
            one = one.kind == RG_TEMPLATE_UNDEFINED ? otherwise : one;
        } else {
            rest.value++;
            rest.count--;
            one = rg_template_filter(work, a->value[0].string, items->item[i], &rest);
        }
        if (!work->failed)
            list.list->item[list.list->count++] = one;
    }
    return list;
}

static Value filter_safe(RgTemplateWork *work, Value value, Arguments a) {
    (void)work, (void)a;
    return value;
}

/* `names` of the arguments, unless the filter checks them itself. */
static const struct {
    const char *name;
    Value (*apply)(RgTemplateWork *work, Value value, Arguments arguments);
    const char *names[4];
    bool checks_itself;
} filters[] = {
    {"abs", filter_abs, {NULL}, false},
    {"capitalize", filter_capitalize, {NULL}, false},
    {"count", filter_length, {NULL}, false},
    {"d", filter_default, {"default_value", "boolean"}, false},
    {"default", filter_default, {"default_value", "boolean"}, false},
    {"first", filter_first, {NULL}, false},
    {"float", filter_float, {"default"}, false},
    {"indent", filter_indent, {"width", "first", "blank"}, false},
    {"int", filter_int, {"default"}, false},
    {"items", filter_items, {NULL}, false},
    {"join", filter_join, {"d", "attribute"}, false},
    {"last", filter_last, {NULL}, false},
    {"length", filter_length, {NULL}, false},
    {"list", filter_list, {NULL}, false},
    {"lower", filter_lower, {NULL}, false},
    {"map", filter_map, {NULL}, true},
    {"reject", filter_reject, {NULL}, true},
    {"rejectattr", filter_rejectattr, {NULL}, true},
    {"replace", filter_replace, {"old", "new", "count"}, false},
    {"reverse", filter_reverse, {NULL}, false},
    {"safe", filter_safe, {NULL}, false},
    {"select", filter_select, {NULL}, true},
    {"selectattr", filter_selectattr, {NULL}, true},
    {"string", filter_string, {NULL}, false},
    {"title", filter_title, {NULL}, false},
    {"tojson", filter_tojson, {"ensure_ascii", "indent"}, false},
    {"trim", filter_trim, {"chars"}, false},
    {"upper", filter_upper, {NULL}, false},
};

Value rg_template_filter(RgTemplateWork *work, RgTemplateText name, Value value,
                         Arguments arguments) {
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        if (!rg_template_same_text(name, filters[i].name))
            continue;
        if (!filters[i].checks_itself)
            rg_template_check_arguments(work, arguments, filters[i].name, filters[i].names);
        if (!rg_template_step(work, 0) || !rg_template_enter(work))
            return value;
        Value result = filters[i].apply(work, value, arguments);
        work->depth--;
        return result;
    }
    rg_template_fail(work, "the filter %.*s is not supported", RG_SHOWN(name));
    return value;
}

/* ---- tests ---- */

static bool remainder_is(RgTemplateWork *work, const char *of, Value value, int64_t divisor,
                         int64_t remainder) {
    if (value.kind != RG_TEMPLATE_INTEGER || divisor == 0 || divisor == -1) {
        rg_template_fail(work, "%s was asked of %s, expected an integer", of,
                         rg_template_kind_name(value));
        return false;
    }
    int64_t found = value.integer % divisor;
    return (found < 0 ? -found : found) == remainder;
}

/* Tests of the kind of a value; false if the name is none of them. */
static bool test_kind(RgTemplateText name, Value value, bool *holds) {
    enum {
        U = 1 << RG_TEMPLATE_UNDEFINED,
        N = 1 << RG_TEMPLATE_NONE,
        B = 1 << RG_TEMPLATE_BOOLEAN
    };
    enum { I = 1 << RG_TEMPLATE_INTEGER, R = 1 << RG_TEMPLATE_REAL, S = 1 << RG_TEMPLATE_STRING };
    enum { L = 1 << RG_TEMPLATE_LIST, M = 1 << RG_TEMPLATE_MAPPING, ALL = 0xFFFF };
    static const struct {
        const char *name;
        int kinds;
    } known[] = {{"defined", ALL & ~U},
                 {"undefined", U},
                 {"none", N},
                 {"boolean", B},
                 {"integer", I},
                 {"float", R},
                 {"number", B | I | R},
                 {"string", S},
                 {"mapping", M},
                 {"iterable", U | S | L | M},
                 {"sequence", U | S | L | M}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (rg_template_same_text(name, known[i].name)) {
            *holds = (known[i].kinds >> value.kind) & 1;
            return true;
        }
    return false;
}

/* Tests with one argument, by the names of the comparisons. */
static bool test_against(RgTemplateWork *work, RgTemplateText name, Value value, Value other,
                         bool *holds) {
    static const char *const names[][4] = {{"==", "eq", "equalto", "sameas"},
                                           {"!=", "ne", NULL},
                                           {"<", "lt", "lessthan", NULL},
                                           {">", "gt", "greaterthan", NULL},
                                           {"<=", "le", NULL},
                                           {">=", "ge", NULL},
                                           {"in", NULL},
                                           {"divisibleby", NULL}};
    size_t kind = 0, count = sizeof names / sizeof *names;
    for (bool found = false; kind < count; kind++) {
        for (int i = 0; i < 4 && names[kind][i] && !found; i++)
            found = rg_template_same_text(name, names[kind][i]);
        if (found)
            break;
    }
    if (kind == count)
        return false;
    if (kind < 2)
        *holds = rg_template_equal(work, value, other) == (kind == 0);
    else if (kind == 6)
        *holds = rg_template_contains(work, other, value);
    else if (kind == 7)
        *holds = remainder_is(work, "divisibleby", value,
                              other.kind == RG_TEMPLATE_INTEGER ? other.integer : 0, 0);
    else {
        int order = rg_template_compare(work, value, other);
        *holds = kind == 2   ? order < 0
                 : kind == 3 ? order > 0
                 : kind == 4 ? order <= 0
                             : order >= 0;
    }
    return true;
}

bool rg_template_test(RgTemplateWork *work, RgTemplateText name, Value value, Arguments arguments) {
    bool holds = false;
    if (!rg_template_step(work, 0))
        return false;
    if (arguments->named_count > 0 || arguments->count > 1) {
        rg_template_fail(work, "a test has more than one argument, expected at most one");
        return false;
    }
    if (arguments->count == 1) {
        if (test_against(work, name, value, arguments->value[0], &holds))
            return holds;
    } else {
        if (test_kind(name, value, &holds))
            return holds;
        if (rg_template_same_text(name, "true") || rg_template_same_text(name, "false"))
            return value.kind == RG_TEMPLATE_BOOLEAN && value.boolean == (name.size == 4);
        if (rg_template_same_text(name, "odd") || rg_template_same_text(name, "even"))
            return remainder_is(work, name.size == 3 ? "odd" : "even", value, 2, name.size == 3);
    }
    rg_template_fail(work, "the test %.*s with %zu arguments is not supported", RG_SHOWN(name),
                     arguments->count);
    return false;
}
