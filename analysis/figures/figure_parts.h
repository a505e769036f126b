/* SPDX-License-Identifier: MIT */
/* Shared by all kinds of figures: the style of a frame, and names and numbers in a data file.
 * Private to figure.c and related files, each of which plots one kind. */
#ifndef RG_ANALYSIS_FIGURES_FIGURE_PARTS_H
#define RG_ANALYSIS_FIGURES_FIGURE_PARTS_H

#include "core/base.h"

#include <stdio.h>

/* The first seven are Okabe & Ito's palette, distinguishable with every common form of colour
 * blindness. Its yellow is too faint on paper and left out. Each of the others is the one farthest
 * from those before it, for usual sight and for protanopia and deuteranopia (Machado et al. 2009),
 * so that the later ones need dashes and points to be told apart. */
enum { RG_FIGURE_COLORS = 43 };
extern const char *const rg_figure_color[RG_FIGURE_COLORS]; /* "#RRGGBB" */

/* Palettes of cells, as gnuplot's definitions. Both darken monotonically from white, so the order is
 * kept in grey. The two sides of the second are distinguishable with every common form of colour
 * blindness. */
extern const char rg_figure_one_sided[], rg_figure_two_sided[];

/* Parts of a data file. Names are in the last columns, which gnuplot does not read: before a
 * number, a quote or a '#' would hide it. */
void rg_figure_write_number(FILE *out, double number);  /* the number and a tab */
void rg_figure_write_name(FILE *out, const char *name); /* on one line, without tabs */

/* Parts of a script. */
void rg_figure_write_looks(FILE *out);                    /* fonts, border, tics */
void rg_figure_write_title(FILE *out, const char *title); /* with its margin; NULL: none */

#endif
