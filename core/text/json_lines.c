/* SPDX-License-Identifier: MIT */
/* JSON by lines, or by the elements of one array. */
#include "core/text/json_lines.h"

#include "core/text/lines.h"
#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct RgJsonLines {
    char *path;
    RgLines *lines;
    int64_t mib;
    RgJsonLine line;
    bool begun; /* the first line that is not blank has been seen */
    bool is_array, ended;
    RgBuffer array; /* its whole text; the next element starts at `at` */
    size_t at;
};

RgStatus rg_json_lines_open(const char *path, int64_t mib, RgJsonLines **lines, RgError *error) {
    RgLines *text;
    *lines = NULL;
    RG_TRY(rg_lines_open(path, &text, error));
    rg_lines_limit(text, mib);
    *lines = rg_allocate(1, sizeof **lines);
    (*lines)->path = rg_string_copy(path);
    (*lines)->lines = text;
    (*lines)->mib = mib;
    return RG_OK;
}

void rg_json_lines_close(RgJsonLines *lines) {
    if (!lines)
        return;
    json_decref(lines->line.value);
    rg_buffer_release(&lines->array);
    rg_lines_close(lines->lines);
    free(lines->path);
    free(lines);
}

const char *rg_json_lines_unit(const RgJsonLines *lines) {
    return lines->is_array ? "element" : "line";
}

/* ---- a value ---- */

static void note_fault(RgJsonLine *line, const json_error_t *fault) {
    static const char surrogate[] = "invalid Unicode"; /* which has no code of its own */
    enum json_error_code code = json_error_code(fault);
    const char *what = "no valid JSON";
    line->fault = RG_JSON_UNREADABLE;
    if (code == json_error_null_character || code == json_error_null_byte_in_key) {
        what = "a NUL character";
    } else if (strncmp(fault->text, surrogate, strlen(surrogate)) == 0) {
        what = "half a surrogate pair";
    } else if (code == json_error_invalid_utf8) {
        what = "bytes that are not UTF-8";
    } else if (code == json_error_duplicate_key) {
        line->fault = RG_JSON_DUPLICATE;
        what = "a member for the second time";
    } else {
        line->fault = RG_JSON_MALFORMED;
        what = code == json_error_numeric_overflow ? "a number beyond the largest real"
               : code == json_error_stack_overflow ? "nesting that is too deep"
                                                   : what;
    }
    snprintf(line->why, sizeof line->why, "%s at column %d", what, fault->column);
}

/* Identifiers may be integers beyond 64 bits. Such a line is read with all its numbers as reals. */
static void read_value(RgJsonLines *lines, int number, const char *text, size_t size) {
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    json_error_t fault;
    lines->line = (RgJsonLine){.number = number};
    lines->line.value = json_loadb(text, size, flags, &fault);
    if (!lines->line.value && json_error_code(&fault) == json_error_numeric_overflow)
        lines->line.value = json_loadb(text, size, flags | JSON_DECODE_INT_AS_REAL, &fault);
    if (!lines->line.value)
        note_fault(&lines->line, &fault);
}

static bool is_blank(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\0' || !strchr(" \t\r\n", text[i]))
            return false;
    return true;
}

/* ---- an array ---- */

/* Where the element that starts at `at` ends: at a comma or bracket of the array itself, or at
 * `size`. */
static size_t element_end(const char *text, size_t at, size_t size) {
    bool quoted = false;
    for (int64_t depth = 0; at < size; at++) {
        char c = text[at];
        if (quoted && c == '\\')
            at++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && depth == 0 && (c == ',' || c == ']'))
            return at;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
    }
    return size;
}

/* The file's text, which begins with '[', as a whole. */
static RgStatus gather_array(RgJsonLines *lines, const char *text, size_t size, RgError *error) {
    RgBuffer *all = &lines->array;
    lines->is_array = true;
    while (text) {
        rg_buffer_append(all, text, size);
        rg_buffer_append(all, "\n", 1);
        if (all->size > (size_t)lines->mib << 20)
            return rg_fail(error, RG_E_RANGE, "%s: the array is longer than %lld MiB", lines->path,
                           (long long)lines->mib);
        RG_TRY(rg_lines_next(lines->lines, &text, &size, error));
    }
    lines->at = strcspn(all->bytes, "[") + 1;
    return RG_OK;
}

static RgStatus next_element(RgJsonLines *lines, RgError *error) {
    const char *text = lines->array.bytes;
    size_t at = lines->at, size = lines->array.size, end = element_end(text, at, size);
    int number = lines->line.number + 1;
    if (end == size)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: the array ends in its element %d, expected a \"]\": is the file "
                       "truncated?",
                       lines->path, number);
    lines->ended = text[end] == ']';
    lines->at = end + 1;
    if (lines->ended && !is_blank(text + lines->at, size - lines->at))
        return rg_fail(error, RG_E_FORMAT, "%s: there is text after the array's \"]\"",
                       lines->path);
    bool nothing = number == 1 && lines->ended && is_blank(text + at, end - at);
    if (!nothing)
        read_value(lines, number, text + at, end - at);
    return RG_OK;
}

/* ---- lines ---- */

static RgStatus next_line(RgJsonLines *lines, RgError *error) {
    const char *text;
    size_t size;
    do {
        RG_TRY(rg_lines_next(lines->lines, &text, &size, error));
    } while (text && is_blank(text, size));
    lines->ended = !text;
    if (text && !lines->begun && text[strspn(text, " \t\r")] == '[') {
        RG_TRY(gather_array(lines, text, size, error));
        return next_element(lines, error);
    }
    lines->begun = true;
    if (text)
        read_value(lines, (int)rg_lines_number(lines->lines), text, size);
    return RG_OK;
}

RgStatus rg_json_lines_next(RgJsonLines *lines, const RgJsonLine **line, RgError *error) {
    *line = NULL;
    json_decref(lines->line.value);
    lines->line.value = NULL;
    lines->line.fault = RG_JSON_SOUND;
    if (lines->ended)
        return RG_OK;
    RG_TRY(lines->is_array ? next_element(lines, error) : next_line(lines, error));
    if (lines->line.value || lines->line.fault != RG_JSON_SOUND)
        *line = &lines->line;
    return RG_OK;
}
