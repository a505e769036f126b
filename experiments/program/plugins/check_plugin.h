/* SPDX-License-Identifier: MIT */
/* The contracts of registered types, built-in or from a plug-in: regatta check-plugin checks those
 * of a plug-in, the tests those of the built-in types. `options` is "name=value name=value" for the
 * type under check; other options have their defaults. Main thread only; the number of threads is
 * changed during the checks. */
#ifndef RG_EXPERIMENTS_PROGRAM_PLUGINS_CHECK_PLUGIN_H
#define RG_EXPERIMENTS_PROGRAM_PLUGINS_CHECK_PLUGIN_H

#include "algorithms/parl/estimator.h"
#include "envs/judges/judge.h"
#include "experiments/program/plugins/claims.h"
#include "experiments/program/plugins/small_race.h"

/* Checks all claims about a registered type, by its kind. */
void rg_check_registered(RgKind kind, const RgDescriptor *about, const char *options,
                         RgClaims *claims);

void rg_check_algorithm(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
void rg_check_environment(const RgEnvironmentType *type, const char *options, RgClaims *claims);
void rg_check_policy(const RgPolicyType *type, const char *options, RgClaims *claims);
void rg_check_judge(const RgJudgeType *type, const char *options, RgClaims *claims);
void rg_check_estimator(const RgEstimator *estimator, RgClaims *claims);
void rg_check_optimizer(const RgOptimizerType *type, const char *options, RgClaims *claims);

/* ---- single claims about algorithms ---- */

/* The gradient of a loss equals its finite differences. `trainer` has the options and the state. */
void rg_claim_gradient(const RgTrainer *trainer, RgClaims *claims);
/* Equal bits with 1, 2 and all threads. */
void rg_claim_threads(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
/* A batch in micro-batches has the gradient of the whole batch, unless the recipe couples it. */
void rg_claim_parts(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
/* A trial that resumes from a checkpoint ends with equal bits. */
void rg_claim_checkpoint(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
/* Tokens and queries equal those of the recipe. */
void rg_claim_costs(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
/* Every operation is metered. */
void rg_claim_flops(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
/* Preferences raise the reward; demonstrations raise their likelihood. */
void rg_claim_learning(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);

#endif
