/* SPDX-License-Identifier: MIT */
/* Kinds of policy by name, and the functions each must have. */
#include "core/policy/policy.h"

const RgPolicyType *rg_policy_type(const char *name) {
    return (const RgPolicyType *)rg_find(RG_POLICY, name);
}

RgStatus rg_policy_type_check(const RgPolicyType *t, RgError *error) {
    const RgRequirement requirements[] = {
        {t->create != NULL, "a function create"},
        {t->destroy != NULL, "a function destroy"},
        {t->logprob != NULL, "a function logprob"},
        {t->features && t->feature_count, "features with their feature_count"},
        {t->step_logprob != NULL, "a function step_logprob"},
        {t->state_features && t->state_feature_count,
         "state_features with their state_feature_count"},
        {!t->step_features == !t->step_feature_count,
         "both step_features and step_feature_count, or neither"},
        {t->sample != NULL, "a function sample"},
        {t->describe && t->restore, "describe and restore"},
        {!t->adapt == !t->merge, "both adapt and merge, or neither"},
    };
    return rg_descriptor_check(RG_POLICY, &t->about, requirements,
                               sizeof requirements / sizeof *requirements, error);
}

RgStatus rg_policy_type_register(const RgPolicyType *type, RgError *error) {
    RG_TRY(rg_policy_type_check(type, error));
    return rg_register(RG_POLICY, &type->about, error);
}
