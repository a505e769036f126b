/* The kinds of policy. Adding one: its file, and a line here. And what each must have. */
#include "core/descriptor.h"
#include "core/policy/enumerated.h"
#include "core/policy/gaussian.h"
#include "core/policy/markov.h"
#include "core/policy/transformer.h"

#include <string.h>

const RgPolicyType *const rg_policy_types[] = {
    &rg_policy_tabular,  &rg_policy_log_linear,  &rg_policy_markov,
    &rg_policy_gaussian, &rg_policy_transformer, NULL,
};

const RgPolicyType *rg_policy_type(const char *name) {
    for (int i = 0; rg_policy_types[i]; i++)
        if (rg_policy_types[i]->name && strcmp(rg_policy_types[i]->name, name) == 0)
            return rg_policy_types[i];
    return NULL;
}

RgStatus rg_policy_type_check(const RgPolicyType *t, RgError *error) {
    const RgRequirement requirements[] = {
        RG_DESCRIPTOR_REQUIREMENTS(t),
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
    return rg_descriptor_check("policy", t->name, requirements,
                               sizeof requirements / sizeof *requirements, error);
}
