/* One figure as data, and drawing it with gnuplot. What is in it is decided by plot.c; how it looks
 * (colours, dashes, axes, legend) is decided here. */
#ifndef RG_ANALYSIS_FIGURE_H
#define RG_ANALYSIS_FIGURE_H

#include "core/base.h"

typedef struct RgFigurePoint {
    double x, y;
    double low, high; /* of the band; NaN: none */
    int64_t seeds;
} RgFigurePoint;

typedef struct RgFigureCurve {
    char *name;
    RgFigurePoint *points;
    int64_t count;
    int diverged; /* trials that the means are without: the legend counts them */
    int style;    /* colour, dash and point: of the method, the same in all figures of a report */
    bool flat;    /* a level to compare with, not measured at these x: a line without points */
} RgFigureCurve;

typedef enum RgAxisScale {
    RG_AXIS_LINEAR,
    RG_AXIS_LOG,
    RG_AXIS_CATEGORIES, /* x is an index into `categories` */
} RgAxisScale;

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
} RgFigure;

void rg_figure_destroy(RgFigure *figure);
void rg_figure_drop_empty(RgFigure *figure); /* curves without points */

/* Draw into `output`, by its suffix .svg, .png or .pdf. Beside it are left the data (.tsv: curve,
 * x, mean, low, high, seeds, and the category that x counts) and the script (.gnuplot) that draws
 * it again. RG_E_FILE when gnuplot is missing or fails, with what it said. Width and height are in
 * pixels at 96 to the inch; 0: 720, and what suits the width and the length of the legend. */
RgStatus rg_figure_draw(const RgFigure *figure, const char *output, int width, int height,
                        RgError *error);

#endif
