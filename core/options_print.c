/* SPDX-License-Identifier: MIT */
/* Printing option tables for people. */
#include "core/options.h"

#include "core/options_internal.h"
#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_WIDTH  80
#define HELP_INDENT 6

/* Prints words from column `column` on, and continues on indented lines. */
static void print_wrapped(FILE *stream, const char *text, int column) {
    bool first = true;
    for (;;) {
        text += strspn(text, " ");
        size_t size = strcspn(text, " ");
        if (size == 0)
            break;
        int width = (int)rg_utf8_width_of(text, size);
        if (!first && column + 1 + width > LINE_WIDTH) {
            fprintf(stream, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else if (!first) {
            fputc(' ', stream);
            column++;
        }
        fwrite(text, 1, size, stream);
        column += width;
        text += size;
        first = false;
    }
    fputc('\n', stream);
}

/* Text as in a config: with \n for a newline, and \\ for a backslash. */
static char *as_written(const char *text) {
    char *written = rg_allocate(2 * strlen(text) + 1, 1), *end = written;
    for (; *text; text++) {
        if (*text == '\n' || *text == '\\')
            *end++ = '\\';
        *end++ = *text == '\n' ? 'n' : *text;
    }
    return written;
}

void rg_options_print(const RgOption *table, void *stream) {
    const RgOption *option;
    for (int i = 0; (option = rg_options_at(table, i, NULL)); i++) {
        char *what = rg_option_expected(option);
        bool is_text = option->kind == RG_KIND_STRING || option->kind == RG_KIND_PATH ||
                       option->kind == RG_KIND_CHOICE || option->kind == RG_KIND_PART;
        const char *quote = is_text ? "\"" : "";
        char *fallback = as_written(option->fallback ? option->fallback : "");
        char *line = option->fallback
                         ? rg_string_format("%s; default %s%s%s", what, quote, fallback, quote)
                         : rg_string_format("%s; must be given", what);
        fprintf(stream, "  %s: ", option->name);
        print_wrapped(stream, line, 2 + (int)rg_utf8_width(option->name) + 2);
        fprintf(stream, "%*s", HELP_INDENT, "");
        print_wrapped(stream, option->help, HELP_INDENT);
        free(line);
        free(fallback);
        free(what);
    }
}
