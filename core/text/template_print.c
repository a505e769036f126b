/* SPDX-License-Identifier: MIT */
/* The values of a template as text: as Python prints them, and in JSON. */
#include "core/text/template_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- printing ---- */

static void append(RgTemplateWork *work, RgBuffer *out, const char *text, size_t size) {
    if (out->size + size > RG_TEMPLATE_OUTPUT)
        rg_template_fail(work, "the template writes more than %d MiB",
                         RG_TEMPLATE_OUTPUT / 1024 / 1024);
    if (rg_template_step(work, size))
        rg_buffer_append(out, text, size);
}

static void append_string(RgTemplateWork *work, RgBuffer *out, const char *text) {
    append(work, out, text, strlen(text));
}

/* As Python writes it: with a fraction or an exponent. */
static void append_real(RgTemplateWork *work, RgBuffer *out, double value) {
    char text[RG_REAL_TEXT];
    rg_real_text(value, 16, text);
    append_string(work, out, text);
    if (!strpbrk(text, ".enfN"))
        append_string(work, out, ".0");
}

static void append_integer(RgTemplateWork *work, RgBuffer *out, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    append_string(work, out, text);
}

/* The words of a notation. */
typedef struct Words {
    const char *none, *yes, *no;
} Words;

static const Words python = {"None", "True", "False"}, json = {"null", "true", "false"};

static void append_scalar(RgTemplateWork *work, RgBuffer *out, RgTemplateValue value,
                          const Words *words) {
    if (value.kind == RG_TEMPLATE_INTEGER)
        append_integer(work, out, value.integer);
    else if (value.kind == RG_TEMPLATE_REAL)
        append_real(work, out, value.real);
    else if (value.kind == RG_TEMPLATE_BOOLEAN)
        append_string(work, out, value.boolean ? words->yes : words->no);
    else
        append_string(work, out, words->none);
}

/* Python's quotes: ' unless the text has ' and no ". */
static void append_quoted(RgTemplateWork *work, RgBuffer *out, RgTemplateText text) {
    char quote =
        text.size > 0 && memchr(text.bytes, '\'', text.size) && !memchr(text.bytes, '"', text.size)
            ? '"'
            : '\'';
    append(work, out, &quote, 1);
    for (size_t i = 0; i < text.size && !work->failed; i++) {
        char c = text.bytes[i], escaped[8] = {'\\', c, '\0'};
        const char *letters = "n\nt\tr\r", *known = c != '\0' ? strchr(letters, c) : NULL;
        if (known && (known - letters) % 2 == 1)
            escaped[1] = known[-1];
        else if ((unsigned char)c < ' ' || c == 0x7f)
            snprintf(escaped, sizeof escaped, "\\x%02x", (unsigned)(unsigned char)c);
        else if (c != '\\' && c != quote)
            escaped[0] = c, escaped[1] = '\0';
        append_string(work, out, escaped);
    }
    append(work, out, &quote, 1);
}

static void print_inside(RgTemplateWork *work, RgTemplateValue value, RgBuffer *out) {
    if (value.kind == RG_TEMPLATE_STRING)
        append_quoted(work, out, value.string);
    else
        rg_template_print(work, value, out);
}

void rg_template_print(RgTemplateWork *work, RgTemplateValue value, RgBuffer *out) {
    if (!rg_template_enter(work))
        return;
    switch (value.kind) {
    case RG_TEMPLATE_UNDEFINED:
        break;
    case RG_TEMPLATE_NONE:
    case RG_TEMPLATE_BOOLEAN:
    case RG_TEMPLATE_INTEGER:
    case RG_TEMPLATE_REAL:
        append_scalar(work, out, value, &python);
        break;
    case RG_TEMPLATE_STRING:
        append(work, out, value.string.bytes, value.string.size);
        break;
    case RG_TEMPLATE_LIST:
        append_string(work, out, "[");
        for (size_t i = 0; i < value.list->count && !work->failed; i++) {
            append_string(work, out, i > 0 ? ", " : "");
            print_inside(work, value.list->item[i], out);
        }
        append_string(work, out, "]");
        break;
    case RG_TEMPLATE_MAPPING:
        append_string(work, out, "{");
        for (size_t i = 0; i < value.mapping->count && !work->failed; i++) {
            append_string(work, out, i > 0 ? ", " : "");
            append_quoted(work, out, value.mapping->member[i].key);
            append_string(work, out, ": ");
            print_inside(work, value.mapping->member[i].value, out);
        }
        append_string(work, out, "}");
        break;
    case RG_TEMPLATE_SPACE:
    case RG_TEMPLATE_LOOP:
    case RG_TEMPLATE_MACRO:
        rg_template_fail(work, "%s cannot be printed", rg_template_kind_name(value));
    }
    work->depth--;
}

/* ---- JSON ---- */

static void json_text(RgTemplateWork *work, RgTemplateText text, RgBuffer *out) {
    append_string(work, out, "\"");
    for (size_t i = 0; i < text.size && !work->failed; i++) {
        char c = text.bytes[i], escaped[8] = {'\\', c, '\0'};
        const char *letters = "n\nt\tr\rb\bf\f", *known = c != '\0' ? strchr(letters, c) : NULL;
        if (known && (known - letters) % 2 == 1)
            escaped[1] = known[-1];
        else if ((unsigned char)c < ' ')
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(unsigned char)c);
        else if (c != '\\' && c != '"')
            escaped[0] = c, escaped[1] = '\0';
        append_string(work, out, escaped);
    }
    append_string(work, out, "\"");
}

/* Between two items, and before the first and after the last if there are lines. */
static void json_gap(RgTemplateWork *work, int64_t indent, int64_t level, bool comma,
                     RgBuffer *out) {
    append_string(work, out, !comma ? "" : indent < 0 ? ", " : ",");
    if (indent >= 0)
        append_string(work, out, "\n");
    for (int64_t i = 0; i < indent * level && !work->failed; i++)
        append_string(work, out, " ");
}

static void json_value(RgTemplateWork *work, RgTemplateValue value, int64_t indent, int64_t level,
                       RgBuffer *out);

static void json_container(RgTemplateWork *work, RgTemplateValue value, int64_t indent,
                           int64_t level, RgBuffer *out) {
    bool is_list = value.kind == RG_TEMPLATE_LIST;
    size_t count = is_list ? value.list->count : value.mapping->count;
    append_string(work, out, is_list ? "[" : "{");
    for (size_t i = 0; i < count && !work->failed; i++) {
        json_gap(work, indent, level + 1, i > 0, out);
        if (!is_list) {
            json_text(work, value.mapping->member[i].key, out);
            append_string(work, out, ": ");
        }
        json_value(work, is_list ? value.list->item[i] : value.mapping->member[i].value, indent,
                   level + 1, out);
    }
    if (count > 0)
        json_gap(work, indent, level, false, out);
    append_string(work, out, is_list ? "]" : "}");
}

static void json_value(RgTemplateWork *work, RgTemplateValue value, int64_t indent, int64_t level,
                       RgBuffer *out) {
    if (!rg_template_enter(work))
        return;
    switch (value.kind) {
    case RG_TEMPLATE_NONE:
    case RG_TEMPLATE_BOOLEAN:
    case RG_TEMPLATE_INTEGER:
    case RG_TEMPLATE_REAL:
        append_scalar(work, out, value, &json);
        break;
    case RG_TEMPLATE_STRING:
        json_text(work, value.string, out);
        break;
    case RG_TEMPLATE_LIST:
    case RG_TEMPLATE_MAPPING:
        json_container(work, value, indent, level, out);
        break;
    default:
        rg_template_fail(work, "tojson was asked of %s, which has no JSON",
                         rg_template_kind_name(value));
    }
    work->depth--;
}

void rg_template_to_json(RgTemplateWork *work, RgTemplateValue value, int64_t indent,
                         RgBuffer *out) {
    json_value(work, value, indent, 0, out);
}
