/* SPDX-License-Identifier: MIT */
/* Shared by all kinds of figures. Private to plot.c and related files, each of which makes figures
 * of some kinds. */
#ifndef RG_ANALYSIS_FIGURES_PLOT_PARTS_H
#define RG_ANALYSIS_FIGURES_PLOT_PARTS_H

#include "analysis/compare/mean.h"
#include "analysis/figures/figure_parts.h"
#include "analysis/figures/plot.h"
#include "analysis/store/swept.h"

/* The palette's index of a registered method's colour; −1: it has none, as a plug-in's. */
int rg_plot_method_color(const char *algorithm);

/* The colours of one figure. */
typedef struct RgPlotColors {
    bool reserved[RG_FIGURE_COLORS]; /* of the experiment's methods */
    bool taken[RG_FIGURE_COLORS];
    int more; /* curves beyond the palette */
} RgPlotColors;
RgPlotColors rg_plot_colors(const RgResults *results);

/* The style of a new curve (RgFigureCurve): of the first of a method its own colour, else the first
 * free one that is no method's of the experiment. */
int rg_plot_color(RgPlotColors *colors, const char *algorithm);

/* The styles of all groups, the same in every figure of them; the caller frees. */
int *rg_plot_group_colors(const RgResults *results);

RgFigure *rg_plot_begin(const RgPlotOptions *options);
RgFigureCurve *rg_plot_add_curve(RgFigure *figure, RgFigureCurve curve);

/* Mean and 95 % band at one x, and of a group's trials at their end (x NaN). */
RgFigurePoint rg_plot_point(double x, const RgMean *mean);
RgFigurePoint rg_plot_final_point(const RgResults *results, const RgGroup *group,
                                  const RgMeasure *measure);

/* The name of a group's curve: its label and swept values, except those on the axes (`nor` may be
 * NULL). malloc'd. */
char *rg_plot_curve_name(const RgGroup *group, const char *without, const char *nor);

/* Curves of the final values over a swept option, and its axis; a method without the option is a
 * level. */
void rg_plot_add_swept_curves(const RgResults *results, const char *option,
                              const RgMeasure *measure, RgFigure *figure);

double rg_plot_largest(const RgFigure *figure, bool x);
/* "training compute, TFLOP", malloc'd, and the factor from values to this unit; `most` is the
 * largest value. */
char *rg_plot_axis_label(const RgMeasure *measure, double most, double *factor);

RgStatus rg_plot_heatmap(const RgResults *results, const RgPlotOptions *options, RgFigure **figure,
                         RgError *error);
/* The whole figure, drawn, with notes. */
RgStatus rg_plot_map(const RgResults *results, const RgPlotOptions *options, RgError *error);
RgStatus rg_plot_tournament(const RgResults *results, const RgPlotOptions *options,
                            RgFigure **figure, RgError *error);
RgStatus rg_plot_budget(const RgResults *results, const RgPlotOptions *options, RgFigure **figure,
                        RgError *error);
RgStatus rg_plot_frontier(const RgResults *results, const RgPlotOptions *options, RgFigure **figure,
                          RgError *error);

#endif
