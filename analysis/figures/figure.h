/* SPDX-License-Identifier: MIT */
/* One figure as data, and drawing it with gnuplot: curves, or a matrix of cells. What is in it is
 * decided by plot.c and its neighbours; how it looks (colours, dashes, axes, legend) is decided
 * here, in one style for all. Rows of dots are in figure_dots.h. */
#ifndef RG_ANALYSIS_FIGURES_FIGURE_H
#define RG_ANALYSIS_FIGURES_FIGURE_H

#include "core/base.h"

typedef struct RgFigurePoint {
    double x, y;
    double low, high; /* of the band; NaN: none */
    int64_t seeds;
    double x_low, x_high; /* likewise; of scattered points alone */
} RgFigurePoint;

typedef enum RgCurveForm {
    RG_CURVE_LINE,
    RG_CURVE_LEVEL,  /* a level to compare with, not measured at these x: a line without points */
    RG_CURVE_POINTS, /* points that no line joins, with bars both ways */
    RG_CURVE_STEPS,  /* the best reached up to x: a grey line behind the others */
} RgCurveForm;

typedef struct RgFigureCurve {
    char *name;
    RgFigurePoint *points;
    int64_t count;
    int diverged;  /* trials that the means are without: the legend counts them */
    int gaps;      /* trials among them that lack rows of steps: the legend counts them */
    int few_seeds; /* that it is of, where they are too few for a band; the legend says so. 0:
                      enough */
    int style;     /* colour, dash and point: of the method, the same in all figures of a report */
    RgCurveForm form;
    bool second; /* by the figure's second measure: the method's colour, other dash and point */
} RgFigureCurve;

typedef enum RgAxisScale {
    RG_AXIS_LINEAR,
    RG_AXIS_LOG,
    RG_AXIS_CATEGORIES, /* x is an index into `categories` */
} RgAxisScale;

typedef struct RgFigureCell {
    double value;     /* NaN: none */
    double low, high; /* 95 % interval; NaN: none */
    int64_t seeds;    /* that the value is of */
    int diverged;     /* and those that it is without */
} RgFigureCell;

typedef struct RgFigure {
    char *title; /* may be NULL */
    char *x_label, *y_label;
    double x_factor, y_factor; /* what is drawn = value · factor; data files hold the value */
    RgAxisScale x_scale;
    char **categories;
    int category_count;
    bool y_log; /* all y are above 0 */
    bool share; /* y is one: its axis does not leave [0, 1] */
    bool path;  /* x is an outcome, not chosen: an error bar at the end in place of a band */
    RgFigureCurve *curves;
    int curve_count;
    const char *measures[2]; /* what the first and the second curve of a method are; NULL: no
                                second curves */

    /* A matrix in place of curves: categories are its columns. */
    RgFigureCell *cells; /* [row_count, category_count], the first row on top; NULL: no matrix */
    char **rows;
    int row_count;
    double z_factor;
    double middle;   /* of a scale with two sides, drawn white; NaN: from little to much */
    char *cell_note; /* what a cell is, above the matrix */
} RgFigure;

void rg_figure_destroy(RgFigure *figure);
void rg_figure_drop_empty(RgFigure *figure); /* curves without points */

/* Draw into `output`, by its suffix .svg, .png or .pdf. Beside it are left the data (.tsv, with a
 * heading: of curves x, mean, low, high, seeds, curve; of a matrix mean, low, high, seeds,
 * diverged, row, column) and the script (.gnuplot) that draws it again. RG_E_FILE when gnuplot is
 * missing or fails, with what it said. Width and height are in pixels at 96 to the inch; 0: 480,
 * and what suits the width and the length of the legend. */
RgStatus rg_figure_draw(const RgFigure *figure, const char *output, int width, int height,
                        RgError *error);

/* 480, or what the cells of a matrix need. */
int rg_figure_natural_width(const RgFigure *figure);

/* The text of the data file; malloc'd. */
char *rg_figure_data(const RgFigure *figure);

#endif
