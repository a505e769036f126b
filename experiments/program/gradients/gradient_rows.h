/* SPDX-License-Identifier: MIT */
/* Comparing stochastic gradients with exact ones: the distance of the mean of an algorithm's
 * gradients from the gradient of its objective, and their variance.
 *
 * The objective is J = E[F] with responses and labels from the algorithm's sources. Its gradient is
 * enumerated, including that through the distributions (SAIL's ∇J = T1 + T2; for PARL the
 * total derivative of G through the closed-form lower level). Mixture and exploration are set to 1,
 * where SAIL's gradient equals the objective's. */
#ifndef RG_EXPERIMENTS_PROGRAM_GRADIENTS_GRADIENT_ROWS_H
#define RG_EXPERIMENTS_PROGRAM_GRADIENTS_GRADIENT_ROWS_H

#include "experiments/program/config/experiment.h"

/* Deviations of an unbiased gradient's coordinate beyond this many standard errors are rare. */
enum { RG_GRADIENT_DOUBT = 4 };

/* Whether all trials are on tables of a few cells, where more than one thread only adds
 * barriers. */
bool rg_gradients_are_small(const RgExperiment *experiment);

typedef struct RgGradientRow {
    const char *algorithm; /* for hypergradients, the trial's label */
    const char *variant;   /* score term or estimator; "" for none */
    int64_t samples;       /* batches */
    int64_t coordinates;
    double exact_norm;
    double norm; /* of the mean */
    /* Relative numbers are NaN if the exact gradient is 0. */
    double bias;     /* |mean − exact| / |exact| */
    double noise;    /* expected `bias` of an unbiased estimator: |standard errors| / |exact| */
    double worst;    /* largest |mean − exact| of a coordinate in its standard errors */
    double variance; /* E|g − mean|² / |exact|², of one batch */
    double cosine;   /* between mean and exact */

    bool sampled; /* false: expectations are exact, without variance */
    /* For hypergradients, else 0: mean cost of one, and the swept values of the trial. */
    double hessian_products, gradients, flops, seconds;
    int64_t failures;
    const char *swept; /* JSON, owned by the trial's specification */
} RgGradientRow;

/* One row for every algorithm that has a gradient and each of its score terms, on the experiment's
 * environment (a bandit or a language; the first seed), at a policy `deviation` away from the
 * reference; and one for every trial of PARL (a bandit, or a known MDP), at a random reward and its
 * optimal policy. Calls `on_row` after each. Main thread only. */
RgStatus rg_gradient_rows(const RgExperiment *experiment, int64_t samples, double deviation,
                          void (*on_row)(const RgGradientRow *row, void *context), void *context,
                          RgError *error);

#endif
