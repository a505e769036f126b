/* SPDX-License-Identifier: MIT */
/* What must hold of anything that is registered, built in or by a plug-in, whatever it computes:
 * regatta check-plugin looks at a plug-in's, the tests at what is built in. Options are
 * "name=value" with spaces between them, of what is looked at; the others are its defaults. */
#ifndef RG_EXPERIMENTS_PROGRAM_PLUGINS_CHECK_PLUGIN_H
#define RG_EXPERIMENTS_PROGRAM_PLUGINS_CHECK_PLUGIN_H

#include "algorithms/parl/estimator.h"
#include "envs/judges/judge.h"
#include "experiments/program/plugins/claims.h"
#include "experiments/program/plugins/small_race.h"

/* All claims of one that is registered, by its kind. */
void rg_check_registered(RgKind kind, const RgDescriptor *about, const char *options,
                         RgClaims *claims);

void rg_check_algorithm(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
void rg_check_environment(const RgEnvironmentType *type, const char *options, RgClaims *claims);
void rg_check_policy(const RgPolicyType *type, const char *options, RgClaims *claims);
void rg_check_judge(const RgJudgeType *type, const char *options, RgClaims *claims);
void rg_check_estimator(const RgEstimator *estimator, RgClaims *claims);
void rg_check_optimizer(const RgOptimizerType *type, const char *options, RgClaims *claims);

/* ---- one by one, of algorithms ---- */

/* Of one with a loss; the trainer has its options and its state. */
void rg_claim_gradient(const RgTrainer *trainer, RgClaims *claims);
/* The same bits with 1, 2 and all threads. */
void rg_claim_threads(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
/* A batch in parts has the gradient of the whole one, unless the recipe says that it couples. */
void rg_claim_parts(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
/* A trial that goes on from a checkpoint ends with the same bits. */
void rg_claim_checkpoint(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
/* Tokens and queries are those that the recipe calls for. */
void rg_claim_costs(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
/* The meter has every operation that was done. */
void rg_claim_flops(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);
/* Preferences raise the reward, demonstrations their likelihood. */
void rg_claim_learning(const RgAlgorithm *algorithm, const char *options, RgClaims *claims);

#endif
