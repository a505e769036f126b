/* SPDX-License-Identifier: MIT */
/* The gradient of a loss by its terms, measured in an evaluation: how large each is, how much it
 * scatters from batch to batch, and how it lies to the exact one, where that is known. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_GRADIENT_TERMS_H
#define RG_EXPERIMENTS_PROGRAM_RUN_GRADIENT_TERMS_H

#include "core/results/evaluation.h"
#include "experiments/program/run/trial_setup.h"

/* Adds the metrics of the trainer's policy as it is. For each term of the loss
 * (RgAlgorithm.terms), and for the whole as `total` where there are several:
 *
 *     gradient_norm_TERM          |E g|: exact, or an unbiased estimate of its square from the
 *                                 batches, at least 0
 *     gradient_deviation_TERM     √E|g − E g|² of one batch g
 *     gradient_bias_TERM          |E g − exact|, the same kind of estimate
 *     gradient_cosine_TERM        between a batch's gradient and the exact one of the term: mean
 *     gradient_total_cosine_TERM  between a batch's gradient and the exact one of the whole
 *     gradient_value_cosine_TERM  between −(the exact one) and ∇(E[r] − β·KL)
 *
 * Exact gradients are those of DPO, online DPO and SAIL on a bandit or a language, with the trial's
 * mixture and exploration coefficient; for other losses the last four are absent, as is a cosine
 * with an exact gradient that is 0; a batch whose gradient is 0 counts with a cosine of 0. Of methods without a loss, or with a state of their own, there is
 * nothing. Nothing of the trainer changes, and its meter counts nothing. rg_trial_setup_make
 * refuses external judges, whose answers would be charged to no step. */
RgStatus rg_gradient_terms(const RgTrialSetup *setup, const RgTrialSpec *plan,
                           const RgTrainer *trainer, RgEvaluation *evaluation, RgError *error);

#endif
