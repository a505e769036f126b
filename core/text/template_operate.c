/* SPDX-License-Identifier: MIT */
/* The operators and slices of a template. */
#include "core/text/template_internal.h"

#include <math.h>
#include <string.h>

typedef RgTemplateValue Value;

static Value concatenate(RgTemplateWork *work, Value a, Value b) {
    RgBuffer text = {0};
    rg_template_print(work, a, &text);
    rg_template_print(work, b, &text);
    return rg_template_from_buffer(work, &text);
}

static Value add_lists(RgTemplateWork *work, const RgTemplateList *a, const RgTemplateList *b) {
    Value list = rg_template_list(work, a->count + b->count);
    if (list.kind != RG_TEMPLATE_LIST || !rg_template_step(work, 24 * (a->count + b->count)))
        return list;
    if (a->count > 0)
        memcpy(list.list->item, a->item, a->count * sizeof *a->item);
    if (b->count > 0)
        memcpy(list.list->item + a->count, b->item, b->count * sizeof *b->item);
    list.list->count = a->count + b->count;
    return list;
}

static int64_t whole(Value value) {
    return value.kind == RG_TEMPLATE_BOOLEAN ? value.boolean : value.integer;
}

/* Integers that stay integers; false if the result is too large. */
static bool integers(char sign, int64_t a, int64_t b, int64_t *result) {
    int64_t remainder = 0;
    switch (sign) {
    case '+':
        return !__builtin_add_overflow(a, b, result);
    case '-':
        return !__builtin_sub_overflow(a, b, result);
    case '*':
        return !__builtin_mul_overflow(a, b, result);
    case '^':
        for (*result = 1; b > 0; b--)
            if (__builtin_mul_overflow(*result, a, result))
                return false;
        return true;
    default: /* rounded down, as in Python */
        if (b == -1) {
            *result = 0;
            return sign == '%' || !__builtin_sub_overflow(0, a, result);
        }
        remainder = a % b;
        remainder += remainder != 0 && (remainder < 0) != (b < 0) ? b : 0;
        *result = sign == '%' ? remainder : (a - remainder) / b;
        return true;
    }
}

static double reals(char sign, double a, double b) {
    switch (sign) {
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return a * b;
    case '^':
        return pow(a, b);
    case '/':
        return a / b;
    case '%':
        return a - b * floor(a / b);
    default:
        return floor(a / b);
    }
}

/* sign: + − * / % and, for //, 'd', for **, '^'. */
static Value arithmetic(RgTemplateWork *work, char sign, Value a, Value b) {
    bool real = a.kind == RG_TEMPLATE_REAL || b.kind == RG_TEMPLATE_REAL || sign == '/';
    int64_t result = 0;
    if (!rg_template_is_number(a) || !rg_template_is_number(b)) {
        rg_template_fail(work, "%s and %s cannot be combined by %s, expected two numbers%s",
                         rg_template_kind_name(a), rg_template_kind_name(b),
                         sign == 'd'   ? "//"
                         : sign == '^' ? "**"
                                       : (char[]){sign, '\0'},
                         sign == '+' ? ", two strings or two lists" : "");
        return rg_template_undefined;
    }
    if (strchr("/%d", sign) && rg_template_real(b) == 0) {
        rg_template_fail(work, "a division by zero");
        return rg_template_undefined;
    }
    real = real || (sign == '^' && whole(b) < 0);
    if (real)
        return (Value){.kind = RG_TEMPLATE_REAL,
                       .real = reals(sign, rg_template_real(a), rg_template_real(b))};
    if (sign == '^' && whole(b) > 64 && (whole(a) > 1 || whole(a) < -1))
        rg_template_fail(work, "a number is too large");
    else if (sign == '^' && whole(b) > 64)
        return rg_template_integer(whole(a) == -1 && whole(b) % 2 == 0 ? 1 : whole(a));
    else if (!integers(sign, whole(a), whole(b), &result))
        rg_template_fail(work, "a number is too large");
    return rg_template_integer(result);
}

RgTemplateValue rg_template_operate(RgTemplateWork *work, RgTemplateText symbol, Value a, Value b) {
    if (rg_template_same_text(symbol, "in"))
        return rg_template_boolean(rg_template_contains(work, b, a));
    if (rg_template_same_text(symbol, "~"))
        return concatenate(work, a, b);
    bool equal = rg_template_same_text(symbol, "==");
    if (equal || rg_template_same_text(symbol, "!="))
        return rg_template_boolean(rg_template_equal(work, a, b) == equal);
    char first = symbol.bytes[0];
    if (first == '<' || first == '>') {
        int order = rg_template_compare(work, a, b);
        order = first == '<' ? order : -order;
        return rg_template_boolean(order < 0 || (order == 0 && symbol.size == 2));
    }
    if (first == '+' && a.kind == RG_TEMPLATE_STRING && b.kind == RG_TEMPLATE_STRING)
        return concatenate(work, a, b);
    if (first == '+' && a.kind == RG_TEMPLATE_LIST && b.kind == RG_TEMPLATE_LIST)
        return add_lists(work, a.list, b.list);
    if (first == '*' && a.kind == RG_TEMPLATE_STRING && b.kind == RG_TEMPLATE_INTEGER) {
        RgBuffer text = {0};
        for (int64_t i = 0; i < b.integer && !work->failed; i++)
            rg_template_print(work, a, &text);
        return rg_template_from_buffer(work, &text);
    }
    return arithmetic(work, symbol.size == 2 ? (first == '/' ? 'd' : '^') : first, a, b);
}

/* ---- slices ---- */

/* A bound of a slice of `count` items, as in Python; `low` and `high` limit it. */
static int64_t bound(RgTemplateWork *work, Value part, int64_t otherwise, int64_t count,
                     int64_t low, int64_t high) {
    if (part.kind == RG_TEMPLATE_UNDEFINED || part.kind == RG_TEMPLATE_NONE)
        return otherwise;
    if (part.kind != RG_TEMPLATE_INTEGER) {
        rg_template_fail(work, "a slice has %s, expected an integer", rg_template_kind_name(part));
        return 0;
    }
    int64_t at = part.integer;
    at = at < -count ? low : at < 0 ? at + count : at;
    return at < low ? low : at > high ? high : at;
}

Value rg_template_slice(RgTemplateWork *work, Value of, const Value part[3]) {
    bool stepped = part[2].kind != RG_TEMPLATE_UNDEFINED && part[2].kind != RG_TEMPLATE_NONE;
    Value step = stepped ? part[2] : rg_template_integer(1);
    if (of.kind != RG_TEMPLATE_LIST && of.kind != RG_TEMPLATE_STRING)
        rg_template_fail(work, "a slice was asked of %s, expected a list or a string",
                         rg_template_kind_name(of));
    if (step.kind != RG_TEMPLATE_INTEGER || step.integer == 0 || step.integer > INT32_MAX ||
        step.integer < -INT32_MAX)
        rg_template_fail(work, "the step of a slice is not an integer other than 0");
    if (work->failed)
        return rg_template_undefined;
    const RgTemplateList *items = rg_template_items(work, of);
    int64_t count = (int64_t)items->count;
    bool back = step.integer < 0;
    int64_t low = back ? -1 : 0, high = back ? count - 1 : count;
    int64_t from = bound(work, part[0], back ? high : low, count, low, high);
    int64_t to = bound(work, part[1], back ? low : high, count, low, high);
    Value list = rg_template_list(work, items->count);
    for (int64_t at = from;
         !work->failed && (back ? at > to : at < to) && rg_template_step(work, 0);
         at += step.integer)
        list.list->item[list.list->count++] = items->item[at];
    if (of.kind == RG_TEMPLATE_LIST || work->failed)
        return list;
    return rg_template_join(work, list.list, (RgTemplateText){"", 0}, rg_template_undefined);
}
