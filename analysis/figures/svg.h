/* SPDX-License-Identifier: MIT */
/* Making an SVG file of gnuplot's part of an HTML page. */
#ifndef RG_ANALYSIS_FIGURES_SVG_H
#define RG_ANALYSIS_FIGURES_SVG_H

#include <stdio.h>

/* Write `svg`, a whole file, as an inline element: no prologue, name spaces or tooltips; ids start
 * with `prefix`, as several figures share a page; black and grey take the page's colour of text, so
 * that the figure follows a dark page; size is left to the page. `label` is what a screen reader
 * says. */
void rg_svg_inline(const char *svg, const char *prefix, const char *label, FILE *out);

#endif
