/* SPDX-License-Identifier: MIT */
/* The figures of check-gradients: bias and variance of every estimator, apart; and what a
 * hypergradient costs against how far off it is. */
#ifndef RG_EXPERIMENTS_PROGRAM_GRADIENTS_GRADIENT_FIGURE_H
#define RG_EXPERIMENTS_PROGRAM_GRADIENTS_GRADIENT_FIGURE_H

#include "analysis/figures/figure.h"
#include "analysis/figures/figure_dots.h"
#include "experiments/program/gradients/gradient_rows.h"

/* A row of dots for each estimator, rows [count]: its bias, a disk where a coordinate is more than
 * 4 standard errors off and else a circle, beside the noise; and its variance. Successive trials of
 * one estimator that measure the same to the bit, and whose swept values differ in one option,
 * share a row: "cg, exact, iterations 16 … 64". The caller clears it. */
RgDotFigure rg_gradient_dots(const RgGradientRow *rows, int count);

/* Curves of what has a cost: FLOPs of one hypergradient, and its root-mean-square error relative to
 * the exact one, √(bias² + variance). The caller destroys it. */
RgFigure *rg_gradient_cost(const RgGradientRow *rows, int count);

/* Draw either; see rg_figure_draw. RG_E_USAGE where there is nothing to draw. */
RgStatus rg_gradient_dots_draw(const RgGradientRow *rows, int count, const char *output,
                               RgError *error);
RgStatus rg_gradient_cost_draw(const RgGradientRow *rows, int count, const char *output,
                               RgError *error);

#endif
