/* SPDX-License-Identifier: MIT */
/* Embedding gnuplot's SVG files in an HTML page. */
#ifndef RG_ANALYSIS_FIGURES_SVG_H
#define RG_ANALYSIS_FIGURES_SVG_H

#include <stdio.h>

/* Write `svg`, a whole file, as an inline element: without prologue, name spaces and tooltips. Ids
 * get `prefix`, because several figures share a page. Black and grey become the page's text colour,
 * so that the figure fits a dark page. The page decides the size. `label` is for screen readers. */
void rg_svg_inline(const char *svg, const char *prefix, const char *label, FILE *out);

#endif
