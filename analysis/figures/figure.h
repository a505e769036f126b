/* SPDX-License-Identifier: MIT */
/* A figure as data, and plotting it with gnuplot: curves, or a matrix of cells. plot.c and related
 * files decide the contents; this file decides the style (colours, dashes, axes, legend), the same
 * for all figures. Figures of dots are in figure_dots.h. */
#ifndef RG_ANALYSIS_FIGURES_FIGURE_H
#define RG_ANALYSIS_FIGURES_FIGURE_H

#include "core/base.h"

typedef struct RgFigurePoint {
    double x, y;
    double low, high; /* band; NaN: none */
    int64_t seeds;
    double x_low, x_high; /* interval of x; only for scattered points */
} RgFigurePoint;

typedef enum RgCurveForm {
    RG_CURVE_LINE,
    RG_CURVE_LEVEL,  /* a level for comparison, not measured at these x: a line without points */
    RG_CURVE_POINTS, /* unconnected points with error bars in both directions */
    RG_CURVE_REST,   /* the seeds of a method that go on where others have ended: thin, dashed, not
                        in the legend */
    RG_CURVE_STEPS,  /* the best value reached up to x: a grey line behind the others */
} RgCurveForm;

typedef struct RgFigureCurve {
    char *name;
    RgFigurePoint *points;
    int64_t count;
    int diverged;  /* trials left out of the means; shown in the legend */
    int gaps;      /* trials in the means that lack rows of steps; shown in the legend */
    int few_seeds; /* number of seeds if too small for a band, shown in the legend; 0: enough */
    int seeds;     /* in the means … */
    int going_on;  /* … and of these, in the RG_CURVE_REST after it; shown in the legend */
    int style;     /* colour, dash and point of the method, the same in all figures of a report */
    RgCurveForm form;
    bool second; /* of the figure's second measure: same colour, other dash and point */
} RgFigureCurve;

typedef enum RgAxisScale {
    RG_AXIS_LINEAR,
    RG_AXIS_LOG,
    RG_AXIS_CATEGORIES, /* x is an index into `categories` */
} RgAxisScale;

typedef struct RgFigureCell {
    double value;     /* NaN: none */
    double low, high; /* 95 % interval; NaN: none */
    int64_t seeds;    /* in the value */
    int diverged;     /* left out of the value */
} RgFigureCell;

typedef struct RgFigure {
    char *title; /* may be NULL */
    char *x_label, *y_label;
    double x_factor, y_factor; /* plotted = value · factor; data files contain the value */
    RgAxisScale x_scale;
    char **categories;
    int category_count;
    bool y_log; /* all y are above 0 */
    bool share; /* y is a share: its axis stays within [0, 1] */
    bool path;  /* x is a result, not a setting: error bars at the end instead of a band */
    RgFigureCurve *curves;
    int curve_count;
    const char *measures[2]; /* names of the first and second curve of a method; NULL: no second
                                curves */

    /* A matrix instead of curves: the categories are its columns. */
    RgFigureCell *cells; /* [row_count, category_count], top row first; NULL: no matrix */
    char **rows;
    int row_count;
    double z_factor;
    double middle;   /* white point of a diverging colour scale; NaN: sequential scale */
    char *cell_note; /* meaning of a cell, above the matrix */
} RgFigure;

void rg_figure_destroy(RgFigure *figure);
void rg_figure_drop_empty(RgFigure *figure); /* removes curves without points */

/* Plot into `output`, a .svg, .png or .pdf file. Next to it are written the data (.tsv with a
 * heading: for curves x, mean, low, high, seeds, curve; for a matrix mean, low, high, seeds,
 * diverged, row, column) and the script (.gnuplot) that plots it again. RG_E_FILE, with gnuplot's
 * message, if gnuplot is missing or fails. Width and height are in pixels at 96 per inch; 0: 480,
 * and a height that fits the width and the legend. */
RgStatus rg_figure_draw(const RgFigure *figure, const char *output, int width, int height,
                        RgError *error);

/* 480, or the width that the cells of a matrix need. */
int rg_figure_natural_width(const RgFigure *figure);

/* The text of the data file; malloc'd. */
char *rg_figure_data(const RgFigure *figure);

#endif
