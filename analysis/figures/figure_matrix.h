/* SPDX-License-Identifier: MIT */
/* A figure of a matrix of cells: a heat map over two options, or a tournament. Private to
 * figure.c. */
#ifndef RG_ANALYSIS_FIGURES_FIGURE_MATRIX_H
#define RG_ANALYSIS_FIGURES_FIGURE_MATRIX_H

#include "analysis/figures/figure.h"

#include <stdio.h>

void rg_figure_matrix_data(const RgFigure *figure, FILE *out);
int rg_figure_matrix_width(const RgFigure *figure);
int rg_figure_matrix_height(const RgFigure *figure, int width);
void rg_figure_matrix_script(const RgFigure *figure, int width, int height, FILE *out);

#endif
