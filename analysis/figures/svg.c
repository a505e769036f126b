/* SPDX-License-Identifier: MIT */
/* Embedding gnuplot's SVG files in an HTML page: a list of replacements, applied in one pass over
 * the text. It matches the SVG of gnuplot 5, and copies everything else. */
#include "analysis/figures/svg.h"
#include "analysis/compare/format.h"

#include <string.h>

/* Text up to and including `end` is replaced by `with`, in which "%" is the prefix. */
typedef struct Replacement {
    const char *start, *end, *with;
} Replacement;

static const Replacement replacements[] = {
    {"<title>", "</title>", ""},
    {"<desc>", "</desc>", ""},
    {"<filter ", "</filter>", ""}, /* for boxes around labels, which the figures do not have */
    {" color=\"black\"", "", ""},  /* would override the page's colour as currentColor */
    {" color=\"white\"", "", ""},
    {" font-family=\"", "\"", ""},
    {"xlink:href='#", "", "href='#%"},
    {"id='", "", "id='%"},
    {"id=\"", "", "id=\"%"},
    {"rgb(  0,   0,   0)", "", "currentColor"},
    {"rgb( 68,  68,  68)", "", "currentColor"},
    {"rgb( 51,  51,  51)", "", "currentColor"},
    {"rgb( 34,  34,  34)", "", "currentColor"},
    {"rgb(0,0,0)", "", "currentColor"},
    {"rgb(51,51,51)", "", "currentColor"},
    {"rgb(34,34,34)", "", "currentColor"},
    {"'rgb(221, 221, 221)'", "", "'currentColor' stroke-opacity='0.18'"},
    {"\"rgb(221, 221, 221)\"", "", "\"currentColor\" stroke-opacity=\"0.18\""},
};

/* The length of a replacement's match at `text`; 0 without a match. */
static size_t match(const Replacement *replacement, const char *text) {
    size_t length = strlen(replacement->start);
    if (strncmp(text, replacement->start, length) != 0)
        return 0;
    if (!replacement->end[0])
        return length;
    const char *end = strstr(text + length, replacement->end);
    return end ? (size_t)(end - text) + strlen(replacement->end) : 0;
}

static void write_with(FILE *out, const char *with, const char *prefix) {
    for (; *with; with++)
        if (*with == '%')
            fputs(prefix, out);
        else
            putc(*with, out);
}

void rg_svg_inline(const char *svg, const char *prefix, const char *label, FILE *out) {
    const char *box = strstr(svg, "viewBox=\"");
    const char *box_end = box ? strchr(box + strlen("viewBox=\""), '"') : NULL;
    const char *body = box_end ? strchr(box_end, '>') : NULL;
    if (!body)
        return;
    fprintf(out, "<svg role=\"img\" %.*s\" aria-label=\"", (int)(box_end - box), box);
    rg_write_html(out, label);
    fputs("\">", out);
    bool tag = false; /* outside tags the text is a label's */
    for (const char *c = body + 1; *c;) {
        size_t matched = 0;
        tag |= *c == '<';
        for (size_t i = 0; i < sizeof replacements / sizeof *replacements && tag && !matched; i++)
            if ((matched = match(&replacements[i], c)) > 0)
                write_with(out, replacements[i].with, prefix);
        if (!matched)
            putc(*c, out);
        c += matched ? matched : 1;
        tag &= c[-1] != '>';
    }
}
