/* SPDX-License-Identifier: MIT */
/* Mean and scatter of vectors, compared with an exact vector. One thread at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_GRADIENTS_GRADIENT_MOMENTS_H
#define RG_EXPERIMENTS_PROGRAM_GRADIENTS_GRADIENT_MOMENTS_H

#include "experiments/program/gradients/gradient_rows.h"

typedef struct RgMoments {
    int64_t dimension, samples;
    double *mean, *square; /* Welford's running mean and sum of squared deviations */
} RgMoments;

RgMoments rg_moments_create(int64_t dimension);
void rg_moments_free(RgMoments *moments);
void rg_moments_add(RgMoments *moments, const double *x);
/* Sets the row's numbers about bias and variance with respect to exact [dimension]. */
void rg_moments_compare(const RgMoments *moments, const double *exact, RgGradientRow *row);

#endif
