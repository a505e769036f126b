/* Figures of an experiment: a metric against a cost or against another metric over training, or at
 * the end against a swept option. `rg_plot` is the whole command. */
#ifndef RG_ANALYSIS_PLOT_H
#define RG_ANALYSIS_PLOT_H

#include "analysis/figure.h"
#include "analysis/query.h"

typedef struct RgPlotOptions {
    const char *store;      /* path */
    const char *experiment; /* NULL: the one worked on last */
    const char *y;          /* metric or cost; NULL: "reward" */
    const char *x;          /* cost, metric, or swept option; NULL: "step" */
    const char *output;     /* .svg, .png or .pdf */
    const char *title;      /* NULL: none */
    int width, height;      /* pixels at 96 to the inch; 0: chosen */
} RgPlotOptions;

/* One curve per method and swept values, the mean over seeds with a 95 % band (Student's t).
 * RG_E_USAGE on unknown names, naming the nearest; RG_E_FILE when gnuplot is missing or fails. */
RgStatus rg_plot(const RgPlotOptions *options, RgError *error);

/* The figure as data; the caller destroys it. */
RgStatus rg_plot_figure(const RgResults *results, const RgPlotOptions *options, RgFigure **figure,
                        RgError *error);

#endif
