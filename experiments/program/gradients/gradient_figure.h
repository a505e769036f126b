/* SPDX-License-Identifier: MIT */
/* The figures of check-gradients: bias and variance of every estimator, in two panels; and the
 * error of hypergradients against their cost. */
#ifndef RG_EXPERIMENTS_PROGRAM_GRADIENTS_GRADIENT_FIGURE_H
#define RG_EXPERIMENTS_PROGRAM_GRADIENTS_GRADIENT_FIGURE_H

#include "analysis/figures/figure.h"
#include "analysis/figures/figure_dots.h"
#include "experiments/program/gradients/gradient_rows.h"

/* A row of dots for each estimator, rows [count]: its bias, as a disk if a coordinate is more than
 * 4 standard errors off and else a circle, with the noise; and its variance. Successive trials of
 * one estimator share a row if they measure the same bits and their swept values differ in one
 * option: "cg, exact, iterations 16 … 64". The caller clears the figure. Reentrant. */
RgDotFigure rg_gradient_dots(const RgGradientRow *rows, int count);

/* Curves of the estimators that have a cost: FLOPs of one hypergradient against its
 * root-mean-square error relative to the exact one, √(bias² + variance). The caller destroys the
 * figure. */
RgFigure *rg_gradient_cost(const RgGradientRow *rows, int count);

/* Draws one of them; see rg_figure_draw. RG_E_USAGE if there is nothing to draw. */
RgStatus rg_gradient_dots_draw(const RgGradientRow *rows, int count, const char *output,
                               RgError *error);
RgStatus rg_gradient_cost_draw(const RgGradientRow *rows, int count, const char *output,
                               RgError *error);

#endif
