/* SPDX-License-Identifier: MIT */
/* Stochastic gradients held against exact ones: how far the mean of an algorithm's gradients lies
 * from the gradient of the objective that it is meant to follow, and how much they scatter.
 *
 * The objective is J = E[F] with responses and labels from where the algorithm takes them, its
 * gradient by enumeration through the distributions as well (SAIL's ∇J = T1 + T2; for PARL the
 * total derivative of G through the closed-form lower level). Mixture and exploration are set to 1,
 * where SAIL's gradient is the objective's own. */
#ifndef RG_EXPERIMENTS_PROGRAM_GRADIENTS_GRADIENT_ROWS_H
#define RG_EXPERIMENTS_PROGRAM_GRADIENTS_GRADIENT_ROWS_H

#include "experiments/program/config/experiment.h"

/* Standard errors that a coordinate of an unbiased gradient is hardly ever off. */
enum { RG_GRADIENT_DOUBT = 4 };

typedef struct RgGradientRow {
    const char *algorithm; /* of hypergradients, the trial's label */
    const char *variant;   /* score term or estimator; "" where there is none */
    int64_t samples;       /* batches */
    int64_t coordinates;
    double exact_norm;
    double norm; /* of the mean */
    /* Relative ones are not a number where the exact gradient is 0. */
    double bias;  /* |mean − exact| / |exact| */
    double noise; /* what `bias` would be of an unbiased estimator: |standard errors| / |exact| */
    double worst; /* largest |mean − exact| of a coordinate in its standard errors */
    double variance; /* E|g − mean|² / |exact|², of one batch */
    double cosine;   /* between mean and exact */

    bool sampled; /* false: expectations are exact, and nothing scatters */
    /* Of hypergradients, else 0: what one took, on average, and the swept values of the trial. */
    double hessian_products, gradients, flops, seconds;
    int64_t failures;
    const char *swept; /* JSON, of the plan */
} RgGradientRow;

/* A row for every algorithm of the experiment with a gradient and each of its score terms, on its
 * environment (a bandit; the first seed) at a policy `deviation` away from the reference; and for
 * every trial of PARL (a bandit, or a process that is known), at a random reward and its optimal
 * policy. `on_row` is called as each is done. */
RgStatus rg_gradient_rows(const RgExperiment *experiment, int64_t samples, double deviation,
                          void (*on_row)(const RgGradientRow *row, void *context), void *context,
                          RgError *error);

#endif
