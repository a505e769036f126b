/* The list of algorithms: a new one is its file and one line here. */
#include "algorithms/algorithm.h"

#include <string.h>

extern const RgAlgorithm rg_algorithm_base, rg_algorithm_best_of_n, rg_algorithm_sft,
    rg_algorithm_dpo, rg_algorithm_ipo, rg_algorithm_cdpo, rg_algorithm_rdpo, rg_algorithm_hinge,
    rg_algorithm_kto, rg_algorithm_simpo, rg_algorithm_spin, rg_algorithm_online_dpo,
    rg_algorithm_listwise, rg_algorithm_xpo, rg_algorithm_selm, rg_algorithm_vpo,
    rg_algorithm_nash_md, rg_algorithm_rloo, rg_algorithm_ppo, rg_algorithm_sail_dp,
    rg_algorithm_sail_pp, rg_algorithm_sail_pr, rg_algorithm_sail_revkl, rg_algorithm_parl;

const RgAlgorithm *const rg_algorithms[] = {
    &rg_algorithm_base,
    &rg_algorithm_best_of_n,
    &rg_algorithm_sft,
    &rg_algorithm_dpo,
    &rg_algorithm_ipo,
    &rg_algorithm_cdpo,
    &rg_algorithm_rdpo,
    &rg_algorithm_hinge,
    &rg_algorithm_kto,
    &rg_algorithm_simpo,
    &rg_algorithm_spin,
    &rg_algorithm_online_dpo,
    &rg_algorithm_listwise,
    &rg_algorithm_xpo,
    &rg_algorithm_selm,
    &rg_algorithm_vpo,
    &rg_algorithm_nash_md,
    &rg_algorithm_rloo,
    &rg_algorithm_ppo,
    &rg_algorithm_sail_dp,
    &rg_algorithm_sail_pp,
    &rg_algorithm_sail_pr,
    &rg_algorithm_sail_revkl,
    &rg_algorithm_parl,
    NULL,
};

const RgAlgorithm *rg_algorithm_find(const char *name) {
    for (int i = 0; rg_algorithms[i]; i++)
        if (strcmp(rg_algorithms[i]->name, name) == 0)
            return rg_algorithms[i];
    return NULL;
}
