/* The kinds of policy. Adding one: its file, and a line here. */
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
        if (strcmp(rg_policy_types[i]->name, name) == 0)
            return rg_policy_types[i];
    return NULL;
}
