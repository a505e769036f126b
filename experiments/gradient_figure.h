/* The figure of check-gradients: what an estimate costs against how far off it is. */
#ifndef RG_EXPERIMENTS_GRADIENT_FIGURE_H
#define RG_EXPERIMENTS_GRADIENT_FIGURE_H

#include "analysis/figure.h"
#include "experiments/gradient_rows.h"

typedef struct RgGradientFigure RgGradientFigure;

RgGradientFigure *rg_gradient_figure_create(void);
void rg_gradient_figure_destroy(RgGradientFigure *figure);
/* A point of the row's curve: FLOPs of one hypergradient, and its root-mean-square error relative
 * to the exact one, √(bias² + variance). Rows without a cost are left out. */
void rg_gradient_figure_add(RgGradientFigure *figure, const RgGradientRow *row);
/* RG_E_USAGE where there is nothing to draw. */
RgStatus rg_gradient_figure_draw(const RgGradientFigure *figure, const char *output,
                                 RgError *error);

#endif
