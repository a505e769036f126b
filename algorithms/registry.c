/* The list of algorithms: a new one is its file and one line here. */
#include "algorithms/algorithm.h"

#include <string.h>

extern const RgAlgorithm rg_algorithm_base, rg_algorithm_sft, rg_algorithm_dpo, rg_algorithm_ipo,
    rg_algorithm_online_dpo, rg_algorithm_sail_dp, rg_algorithm_sail_pp, rg_algorithm_sail_pr,
    rg_algorithm_parl;

const RgAlgorithm *const rg_algorithms[] = {
    &rg_algorithm_base,       &rg_algorithm_sft,
    &rg_algorithm_dpo,        &rg_algorithm_ipo,
    &rg_algorithm_online_dpo, &rg_algorithm_sail_dp,
    &rg_algorithm_sail_pp,    &rg_algorithm_sail_pr,
    &rg_algorithm_parl,       NULL,
};

const RgAlgorithm *rg_algorithm_find(const char *name) {
    for (int i = 0; rg_algorithms[i]; i++)
        if (strcmp(rg_algorithms[i]->name, name) == 0)
            return rg_algorithms[i];
    return NULL;
}
