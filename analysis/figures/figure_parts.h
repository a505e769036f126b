/* SPDX-License-Identifier: MIT */
/* What the figures of all kinds share: the looks of a frame, and how names and numbers stand in a
 * data file. Private to figure.c and its neighbours, which each draw one kind. */
#ifndef RG_ANALYSIS_FIGURES_FIGURE_PARTS_H
#define RG_ANALYSIS_FIGURES_FIGURE_PARTS_H

#include "core/base.h"

#include <stdio.h>

/* Okabe & Ito's palette, told apart with every common form of colour blindness; its yellow is too
 * faint on paper and left out. */
enum { RG_FIGURE_COLORS = 7 };
extern const char *const rg_figure_color[RG_FIGURE_COLORS]; /* "#RRGGBB" */

/* In a data file. Names stand in the last columns, which gnuplot is not asked to read: before a
 * number, a quote would swallow it, and a '#' the line. */
void rg_figure_write_number(FILE *out, double number);  /* the number and a tab */
void rg_figure_write_name(FILE *out, const char *name); /* on one line, without tabs */

/* In a script. */
void rg_figure_write_looks(FILE *out);                    /* fonts, border, tics */
void rg_figure_write_title(FILE *out, const char *title); /* and its room; NULL: none */

#endif
