/* SPDX-License-Identifier: MIT */
/* Figures of an experiment: a metric over training against a cost or another metric, or at the end
 * of training against a swept option. `rg_plot` is the whole command. */
#ifndef RG_ANALYSIS_FIGURES_PLOT_H
#define RG_ANALYSIS_FIGURES_PLOT_H

#include "analysis/compare/tournament.h"
#include "analysis/figures/figure.h"
#include "analysis/figures/figure_map.h"
#include "analysis/store/query.h"

typedef enum RgPlotKind {
    RG_PLOT_INFERRED, /* a heat map if x and y are swept options, else curves */
    RG_PLOT_CURVE,
    RG_PLOT_BUDGET,           /* y at equal costs x, for methods with a nonzero cost */
    RG_PLOT_HEATMAP,          /* z over the swept options x and y */
    RG_PLOT_FRONTIER,         /* y against the divergence x, and the best value reached */
    RG_PLOT_OVEROPTIMISATION, /* y and independent_y against the divergence x */
    RG_PLOT_TOURNAMENT,       /* win rate of the row against the column */
} RgPlotKind;

RgStatus rg_plot_kind(const char *name, RgPlotKind *kind, RgError *error);

typedef struct RgPlotOptions {
    const char *store; /* path */
    RgChoice choice;   /* of its trials */
    RgPlotKind kind;
    const char *y;      /* metric or cost; NULL: "reward" */
    const char *x;      /* cost, metric, or swept option; NULL: "step", or "kl" */
    const char *z;      /* for a heat map: metric; NULL: "reward" */
    const char *method; /* for a heat map: label; NULL: the only method with both options */
    const char *map; /* "COLUMNS,ROWS", two swept options: a map of y for each method; NULL: none */
    const char
        *against; /* for a map: the method that the others differ from; NULL: the metric itself */
    const char *mark;   /* for a map: "option=value,option=value", a cell to frame; NULL: none */
    const char *output; /* .svg, .png or .pdf */
    const char *title;  /* NULL: none */
    bool y_log; /* logarithmic y axis, for kinds with curves; values of 0 or less are left out */
    int width, height; /* pixels at 96 per inch; 0: automatic */
    void *notes;       /* FILE* for notes on the figure; NULL: no notes */
} RgPlotOptions;

/* One curve per method and swept values: the mean over seeds with a 95 % band, as in tables
 * (mean.h); no band for fewer than three seeds. RG_E_USAGE, suggesting the nearest name, for
 * unknown names, and for a logarithmic axis of a matrix or of values that are all 0 or less;
 * RG_E_FILE if gnuplot is missing or fails. */
RgStatus rg_plot(const RgPlotOptions *options, RgError *error);

/* The figure as data; the caller destroys it. */
RgStatus rg_plot_figure(const RgResults *results, const RgPlotOptions *options, RgFigure **figure,
                        RgError *error);

/* A map as data; `figure` is destroyed by rg_map_figure_destroy. RG_E_USAGE: the options are not two
 * swept ones, the baseline was swept over others, or the marked cell is not in the map. */
RgStatus rg_plot_map_figure(const RgResults *results, const RgPlotOptions *options,
                            RgMapFigure **figure, RgError *error);

/* A tournament as a matrix of win rates, the highest rating first. */
RgFigure *rg_plot_tournament_figure(const RgTournament *tournament);

#endif
