/* SPDX-License-Identifier: MIT */
/* Figures of an experiment: a metric against a cost or against another metric over training, or at
 * the end against a swept option. `rg_plot` is the whole command. */
#ifndef RG_ANALYSIS_FIGURES_PLOT_H
#define RG_ANALYSIS_FIGURES_PLOT_H

#include "analysis/compare/tournament.h"
#include "analysis/figures/figure.h"
#include "analysis/store/query.h"

typedef enum RgPlotKind {
    RG_PLOT_INFERRED, /* a heat map where x and y are swept options, else curves */
    RG_PLOT_CURVE,
    RG_PLOT_BUDGET,           /* y at equal spendings x of all methods that spend any */
    RG_PLOT_HEATMAP,          /* z over the swept options x and y */
    RG_PLOT_FRONTIER,         /* y against the divergence x, and the best reached */
    RG_PLOT_OVEROPTIMISATION, /* y and independent_y against the divergence x */
    RG_PLOT_TOURNAMENT,       /* how often the row's response beats the column's */
} RgPlotKind;

RgStatus rg_plot_kind(const char *name, RgPlotKind *kind, RgError *error);

typedef struct RgPlotOptions {
    const char *store; /* path */
    RgChoice choice;   /* of its trials */
    RgPlotKind kind;
    const char *y;      /* metric or cost; NULL: "reward" */
    const char *x;      /* cost, metric, or swept option; NULL: "step", or "kl" */
    const char *z;      /* of a heat map: metric; NULL: "reward" */
    const char *method; /* of a heat map: its label; NULL: the only one that has both options */
    const char *output; /* .svg, .png or .pdf */
    const char *title;  /* NULL: none */
    int width, height;  /* pixels at 96 to the inch; 0: chosen */
    void *notes;        /* FILE* for what should be known beside the figure; NULL: nowhere */
} RgPlotOptions;

/* One curve per method and swept values, the mean over seeds with a 95 % band, as tables have it
 * (mean.h); none of fewer than three seeds. RG_E_USAGE on unknown names, naming the nearest;
 * RG_E_FILE when gnuplot is missing or fails. */
RgStatus rg_plot(const RgPlotOptions *options, RgError *error);

/* The figure as data; the caller destroys it. */
RgStatus rg_plot_figure(const RgResults *results, const RgPlotOptions *options, RgFigure **figure,
                        RgError *error);

/* A tournament as a matrix of win rates, the strongest first. */
RgFigure *rg_plot_tournament_figure(const RgTournament *tournament);

#endif
