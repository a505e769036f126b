/* SPDX-License-Identifier: MIT */
/* Cutting a template into tokens, with the white space around tags as transformers sets it: lines
 * that begin with a block lose their indentation (lstrip_blocks), and the newline after a block
 * goes (trim_blocks). Comments are blocks, too; {{ }} is not. */
#include "core/text/template_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char white[] = " \t\r\n\v\f";

static bool is_white(char c) {
    return c != '\0' && strchr(white, c);
}

static bool starts(const RgTemplateLexer *lexer, const char *text) {
    size_t size = strlen(text);
    return (size_t)(lexer->end - lexer->at) >= size && memcmp(lexer->at, text, size) == 0;
}

/* Moves on and counts lines. */
static void skip(RgTemplateLexer *lexer, size_t size) {
    for (; size > 0 && lexer->at < lexer->end; size--)
        lexer->line += *lexer->at++ == '\n';
}

static RgTemplateToken token_of(RgTemplateLexer *lexer, RgTemplateTokenKind kind, size_t size) {
    RgTemplateToken token = {.kind = kind, .text = {lexer->at, size}, .line = lexer->line};
    skip(lexer, size);
    return token;
}

/* ---- text between tags ---- */

static bool at_tag(const char *at, const char *end) {
    return end - at >= 2 && at[0] == '{' && (at[1] == '{' || at[1] == '%' || at[1] == '#');
}

/* Takes off the white space at the end of the text before a tag. */
static const char *end_of_text(const RgTemplateLexer *lexer, const char *start, const char *tag) {
    char kind = tag[1], sign = tag + 2 < lexer->end ? tag[2] : '\0';
    const char *end = tag;
    if (sign == '-') {
        while (end > start && is_white(end[-1]))
            end--;
    } else if (kind != '{' && sign != '+') {
        while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        /* Only if the line begins there. */
        bool line_begins =
            end > start ? end[-1] == '\n' : start == lexer->start || start[-1] == '\n';
        end = line_begins ? end : tag;
    }
    return end;
}

static void skip_white_after_tag(RgTemplateLexer *lexer) {
    while (lexer->trim_all && lexer->at < lexer->end && is_white(*lexer->at))
        skip(lexer, 1);
    if (lexer->trim && starts(lexer, "\r\n"))
        skip(lexer, 2);
    else if (lexer->trim && starts(lexer, "\n"))
        skip(lexer, 1);
    lexer->trim = lexer->trim_all = false;
}

/* A comment ends like a block. */
static void skip_comment(RgTemplateLexer *lexer) {
    const char *end = memmem(lexer->at, (size_t)(lexer->end - lexer->at), "#}", 2);
    if (!end) {
        lexer->work->line = lexer->line;
        rg_template_fail(lexer->work, "a comment has no end, expected #}");
        return;
    }
    lexer->trim_all = end[-1] == '-';
    lexer->trim = !lexer->trim_all && end[-1] != '+';
    skip(lexer, (size_t)(end + 2 - lexer->at));
    skip_white_after_tag(lexer);
}

static RgTemplateToken next_outside(RgTemplateLexer *lexer) {
    skip_white_after_tag(lexer);
    if (lexer->at == lexer->end)
        return token_of(lexer, RG_TOKEN_END, 0);
    const char *tag = lexer->at;
    while (tag < lexer->end && !at_tag(tag, lexer->end))
        tag++;
    if (tag > lexer->at) {
        const char *start = lexer->at;
        const char *end = tag < lexer->end ? end_of_text(lexer, start, tag) : tag;
        RgTemplateToken token = token_of(lexer, RG_TOKEN_TEXT, (size_t)(tag - start));
        token.text.size = (size_t)(end - start);
        return token;
    }
    if (tag[1] == '#') {
        skip_comment(lexer);
        return token_of(lexer, RG_TOKEN_TEXT, 0);
    }
    size_t sign = tag + 2 < lexer->end && (tag[2] == '-' || tag[2] == '+');
    lexer->in_tag = true;
    lexer->brackets = 0;
    return token_of(lexer, tag[1] == '{' ? RG_TOKEN_PRINT : RG_TOKEN_STATEMENT, 2 + sign);
}

/* ---- within tags ---- */

/* %}, -%}, +%}, }}, -}}; size 0: not the end of a tag. */
static RgTemplateToken end_of_tag(RgTemplateLexer *lexer) {
    static const struct {
        const char *text;
        RgTemplateTokenKind kind;
        bool trim, trim_all;
    } ends[] = {{"-%}", RG_TOKEN_STATEMENT_END, false, true},
                {"+%}", RG_TOKEN_STATEMENT_END, false, false},
                {"%}", RG_TOKEN_STATEMENT_END, true, false},
                {"-}}", RG_TOKEN_PRINT_END, false, true},
                {"}}", RG_TOKEN_PRINT_END, false, false}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends && lexer->brackets == 0; i++) {
        if (!starts(lexer, ends[i].text))
            continue;
        lexer->trim = ends[i].trim;
        lexer->trim_all = ends[i].trim_all;
        lexer->in_tag = false;
        return token_of(lexer, ends[i].kind, strlen(ends[i].text));
    }
    return (RgTemplateToken){.kind = RG_TOKEN_END};
}

/* \xNN and \uNNNN after the backslash; the bytes read, 0 if it is neither. */
static size_t append_code(const char *at, const char *end, RgBuffer *out) {
    size_t digits = *at == 'x' ? 2 : *at == 'u' ? 4 : 0;
    char code[5] = "", *rest;
    if (digits == 0 || (size_t)(end - at) < digits + 1)
        return 0;
    memcpy(code, at + 1, digits);
    unsigned long character = strtoul(code, &rest, 16);
    if (rest != code + digits || strspn(code, " +-xX") > 0 ||
        (character >= 0xD800 && character < 0xE000))
        return 0;
    rg_template_append_character(out, (uint32_t)character);
    return digits + 1;
}

/* The content between quotes, without escapes. */
static RgTemplateValue unescaped(RgTemplateLexer *lexer, const char *at, const char *end) {
    static const char escapes[] = "n\nt\tr\r\\\\'\'\"\"";
    RgBuffer text = {0};
    while (at < end) {
        const char *known = at[0] == '\\' && end - at > 1 ? strchr(escapes, at[1]) : NULL;
        size_t code = at[0] == '\\' && end - at > 1 ? append_code(at + 1, end, &text) : 0;
        if (code > 0) {
            at += 1 + code;
        } else if (known && at[1] != '\0') {
            rg_buffer_append(&text, &escapes[(known - escapes) | 1], 1);
            at += 2;
        } else {
            rg_buffer_append(&text, at++, 1);
        }
    }
    return rg_template_from_buffer(lexer->work, &text);
}

static RgTemplateToken string_token(RgTemplateLexer *lexer) {
    const char *start = lexer->at + 1, *end = start;
    while (end < lexer->end && *end != *lexer->at)
        end += *end == '\\' && end + 1 < lexer->end ? 2 : 1;
    if (end >= lexer->end) {
        rg_template_fail(lexer->work, "a string has no end, expected %c", *lexer->at);
        return (RgTemplateToken){.kind = RG_TOKEN_END};
    }
    RgTemplateToken token = token_of(lexer, RG_TOKEN_STRING, (size_t)(end + 1 - lexer->at));
    token.value = unescaped(lexer, start, end);
    return token;
}

static RgTemplateToken number_token(RgTemplateLexer *lexer) {
    static const char digits[] = "0123456789";
    char text[32] = "";
    size_t left = (size_t)(lexer->end - lexer->at), size = 0;
    memcpy(text, lexer->at, left < sizeof text - 1 ? left : sizeof text - 1);
    size = strspn(text, digits);
    size_t fraction = text[size] == '.' ? strspn(text + size + 1, digits) : 0;
    RgTemplateToken token = token_of(lexer, fraction > 0 ? RG_TOKEN_REAL : RG_TOKEN_INTEGER,
                                     size + (fraction > 0 ? 1 + fraction : 0));
    text[token.text.size] = '\0';
    if (token.text.size > 18)
        rg_template_fail(lexer->work, "the number %s is too long, expected at most 18 digits",
                         text);
    token.value = fraction > 0
                      ? (RgTemplateValue){.kind = RG_TEMPLATE_REAL, .real = strtod(text, NULL)}
                      : rg_template_integer(strtoll(text, NULL, 10));
    return token;
}

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static RgTemplateToken symbol_token(RgTemplateLexer *lexer) {
    static const char *const symbols[] = {"==", "!=", "<=", ">=", "//", "**", "(", ")", "[",
                                          "]",  "{",  "}",  ",",  ".",  ":",  "|", "=", "+",
                                          "-",  "*",  "/",  "%",  "~",  "<",  ">", NULL};
    for (int i = 0; symbols[i]; i++)
        if (starts(lexer, symbols[i])) {
            lexer->brackets += strchr("([{", symbols[i][0]) != NULL;
            lexer->brackets -= strchr(")]}", symbols[i][0]) != NULL;
            return token_of(lexer, RG_TOKEN_SYMBOL, strlen(symbols[i]));
        }
    rg_template_fail(lexer->work, "the byte 0x%02X is not expected here",
                     (unsigned)(unsigned char)*lexer->at);
    return (RgTemplateToken){.kind = RG_TOKEN_END};
}

RgTemplateToken rg_template_next_token(RgTemplateLexer *lexer) {
    RgTemplateToken none = {.kind = RG_TOKEN_END, .line = lexer->line};
    if (lexer->work->failed)
        return none;
    if (!lexer->in_tag)
        return next_outside(lexer);
    while (lexer->at < lexer->end && is_white(*lexer->at))
        skip(lexer, 1);
    lexer->work->line = lexer->line;
    if (lexer->at == lexer->end)
        return none;
    RgTemplateToken end = end_of_tag(lexer);
    if (end.kind != RG_TOKEN_END)
        return end;
    char c = *lexer->at;
    if (c == '\'' || c == '"')
        return string_token(lexer);
    if (c >= '0' && c <= '9')
        return number_token(lexer);
    size_t size = 0;
    while (lexer->at + size < lexer->end &&
           (is_name(lexer->at[size]) ||
            (size > 0 && lexer->at[size] >= '0' && lexer->at[size] <= '9')))
        size++;
    return size > 0 ? token_of(lexer, RG_TOKEN_NAME, size) : symbol_token(lexer);
}
