/* SPDX-License-Identifier: MIT */
/* A figure of maps: one panel for each method, whose rows and columns are two swept options. A cell
 * is a coloured box with its number; all panels have one colour scale. The style is that of
 * figure.h. plot_map.c decides the contents. */
#ifndef RG_ANALYSIS_FIGURES_FIGURE_MAP_H
#define RG_ANALYSIS_FIGURES_FIGURE_MAP_H

#include "core/base.h"

typedef struct RgMapCell {
    double value;     /* NaN: none */
    double low, high; /* 95 % interval; NaN: none */
    double p_value;   /* of a difference, adjusted; NaN: not tested */
    int64_t seeds;    /* in the value */
    int diverged;     /* trials left out of the value */
} RgMapCell;

typedef struct RgMapPanel {
    char *name;
    RgMapCell *cells; /* [rows, columns], top row first */
} RgMapPanel;

typedef struct RgMapFigure {
    char *title;             /* may be NULL */
    char *x_label, *y_label; /* the options of columns and rows */
    char *note;              /* what a cell is */
    char **columns, **rows;  /* values of the options, the top row first */
    int column_count, row_count;
    RgMapPanel *panels;
    int panel_count;
    double factor;    /* plotted = value · factor; data files contain the value */
    bool differences; /* to a baseline: a diverging scale, white at 0 */
    int tests;        /* over which the p-values are adjusted */
    int row, column;  /* of the marked cell; −1: none */
    char *mark;       /* what it is; NULL: no cell is marked */
} RgMapFigure;

void rg_map_figure_destroy(RgMapFigure *figure);

/* As rg_figure_draw. The data have a line for each cell: mean, low, high, p_holm, seeds, diverged,
 * panel, position, text, method, row, column. */
RgStatus rg_map_figure_draw(const RgMapFigure *figure, const char *output, int width, int height,
                            RgError *error);
char *rg_map_figure_data(const RgMapFigure *figure); /* malloc'd */

#endif
