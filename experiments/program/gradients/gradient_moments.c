/* SPDX-License-Identifier: MIT */
/* Mean and scatter of vectors, by Welford's recurrences. */
#include "experiments/program/gradients/gradient_moments.h"

#include <math.h>
#include <stdlib.h>

RgMoments rg_moments_create(int64_t dimension) {
    return (RgMoments){.dimension = dimension,
                       .mean = rg_allocate(dimension, sizeof(double)),
                       .square = rg_allocate(dimension, sizeof(double))};
}

void rg_moments_free(RgMoments *m) {
    free(m->mean);
    free(m->square);
}

void rg_moments_add(RgMoments *m, const double *x) {
    m->samples++;
    for (int64_t i = 0; i < m->dimension; i++) {
        double before = x[i] - m->mean[i];
        m->mean[i] += before / (double)m->samples;
        m->square[i] += before * (x[i] - m->mean[i]);
    }
}

void rg_moments_compare(const RgMoments *m, const double *exact, RgGradientRow *row) {
    double n = (double)m->samples, distance = 0, errors = 0, dot = 0, norm = 0, exact_norm = 0;
    row->worst = 0;
    bool scatters = m->samples > 1;
    const double rounding = 1e-7; /* of a coordinate */
    for (int64_t i = 0; i < m->dimension; i++) {
        double gap = m->mean[i] - exact[i], error = scatters ? sqrt(m->square[i] / (n - 1) / n) : 0;
        /* a coordinate without variance must be right up to rounding */
        double floor = 1e-5 * fabs(exact[i]) + rounding;
        row->worst = fmax(row->worst, fabs(gap) / fmax(error, floor));
        distance += gap * gap;
        errors += error * error;
        dot += m->mean[i] * exact[i];
        norm += m->mean[i] * m->mean[i];
        exact_norm += exact[i] * exact[i];
    }
    row->samples = m->samples;
    row->coordinates = m->dimension;
    row->exact_norm = sqrt(exact_norm);
    row->norm = sqrt(norm);
    /* relative numbers are undefined for a zero gradient, as at the reference */
    bool none = exact_norm <= rounding * rounding * (double)m->dimension;
    row->bias = none ? NAN : sqrt(distance / exact_norm);
    row->noise = none ? NAN : sqrt(errors / exact_norm);
    row->variance = none ? NAN : errors * n / exact_norm;
    row->cosine = none ? NAN : norm > 0 ? dot / sqrt(norm * exact_norm) : 0;
}
