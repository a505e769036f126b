/* SPDX-License-Identifier: MIT */
/* Dispatches the check of a registered type by its kind. */
#include "experiments/program/plugins/check_plugin.h"

void rg_check_registered(RgKind kind, const RgDescriptor *about, const char *options,
                         RgClaims *claims) {
    switch (kind) {
    case RG_ALGORITHM:
        rg_check_algorithm((const RgAlgorithm *)about, options, claims);
        break;
    case RG_ENVIRONMENT:
        rg_check_environment((const RgEnvironmentType *)about, options, claims);
        break;
    case RG_POLICY:
        rg_check_policy((const RgPolicyType *)about, options, claims);
        break;
    case RG_JUDGE:
        rg_check_judge((const RgJudgeType *)about, options, claims);
        break;
    case RG_ESTIMATOR:
        rg_check_estimator((const RgEstimator *)about, claims);
        break;
    case RG_OPTIMIZER:
        rg_check_optimizer((const RgOptimizerType *)about, options, claims);
        break;
    case RG_KINDS:
        break;
    }
}
