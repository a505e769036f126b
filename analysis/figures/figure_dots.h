/* SPDX-License-Identifier: MIT */
/* A figure of dots: a row for each thing that was measured, its name on the left, and panels side
 * by side in which a dot says how much of something it has, on a logarithmic axis. A dot may stand
 * beside a mark that it is to be held against. Drawn in the style of figure.h. */
#ifndef RG_ANALYSIS_FIGURES_FIGURE_DOTS_H
#define RG_ANALYSIS_FIGURES_FIGURE_DOTS_H

#include "core/base.h"

enum { RG_DOT_PANELS = 2 };

typedef struct RgDot {
    double value; /* 0 or more; NaN: none */
    double mark;  /* likewise */
    bool open;    /* drawn as a circle, not as a disk */
} RgDot;

typedef struct RgDotRow {
    char *name;
    int group; /* rows of a group stand together, groups apart */
    RgDot dot[RG_DOT_PANELS];
} RgDotRow;

typedef struct RgDotPanel {
    const char *label;                         /* above its axis */
    const char *column;                        /* what the value is called in the data file */
    const char *mark, *open;                   /* likewise mark and form; NULL: it has only disks */
    const char *of_disk, *of_circle, *of_mark; /* what they mean, for the legend; NULL: nothing */
} RgDotPanel;

typedef struct RgDotFigure {
    RgDotPanel panel[RG_DOT_PANELS];
    double least; /* above 0: values below have no place on the axis and are shown as 0 */
    RgDotRow *rows;
    int count;
} RgDotFigure;

/* The row is owned by the figure from here on. */
void rg_dot_figure_add(RgDotFigure *figure, RgDotRow row);
void rg_dot_figure_clear(RgDotFigure *figure); /* of its rows */

/* As rg_figure_draw. The data have a line for each row: of each panel the value and, where it
 * has these, the mark and 1 for a circle; where the row stands; and its name. */
RgStatus rg_dot_figure_draw(const RgDotFigure *figure, const char *output, RgError *error);
char *rg_dot_figure_data(const RgDotFigure *figure); /* malloc'd */

#endif
