/* SPDX-License-Identifier: MIT */
/* A figure of dots: one row per measured item, its name on the left. Panels side by side show one
 * value each as a dot on a logarithmic axis, optionally with a mark for comparison. The style is
 * that of figure.h. */
#ifndef RG_ANALYSIS_FIGURES_FIGURE_DOTS_H
#define RG_ANALYSIS_FIGURES_FIGURE_DOTS_H

#include "core/base.h"

enum { RG_DOT_PANELS = 2 };

typedef struct RgDot {
    double value; /* 0 or more; NaN: none */
    double mark;  /* 0 or more; NaN: none */
    bool open;    /* a circle, not a disk */
} RgDot;

typedef struct RgDotRow {
    char *name;
    int group; /* rows of a group are adjacent, groups are separated */
    RgDot dot[RG_DOT_PANELS];
} RgDotRow;

typedef struct RgDotPanel {
    const char *label;                         /* above its axis */
    const char *column;                        /* name of the value in the data file */
    const char *mark, *open;                   /* names of mark and form; NULL: only disks */
    const char *of_disk, *of_circle, *of_mark; /* their meaning in the legend; NULL: no entry */
} RgDotPanel;

typedef struct RgDotFigure {
    RgDotPanel panel[RG_DOT_PANELS];
    double least; /* above 0: smaller values are below the axis and shown as 0 */
    RgDotRow *rows;
    int count;
} RgDotFigure;

/* Add a row, which the figure owns from now on. */
void rg_dot_figure_add(RgDotFigure *figure, RgDotRow row);
void rg_dot_figure_clear(RgDotFigure *figure); /* removes all rows */

/* As rg_figure_draw. The data have a line per row: for each panel the value and, if it has them,
 * the mark and 1 for a circle; then the row's position and its name. */
RgStatus rg_dot_figure_draw(const RgDotFigure *figure, const char *output, RgError *error);
char *rg_dot_figure_data(const RgDotFigure *figure); /* malloc'd */

#endif
