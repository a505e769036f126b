/* The list of algorithms: a new one is its file and one line here. And what each must have. */
#include "algorithms/training/recipe.h"

#include "core/descriptor.h"

#include <stdlib.h>
#include <string.h>

extern const RgAlgorithm rg_algorithm_base, rg_algorithm_best_of_n, rg_algorithm_sft,
    rg_algorithm_dpo, rg_algorithm_ipo, rg_algorithm_cdpo, rg_algorithm_rdpo, rg_algorithm_hinge,
    rg_algorithm_kto, rg_algorithm_chi_po, rg_algorithm_hybrid, rg_algorithm_simpo,
    rg_algorithm_spin, rg_algorithm_online_dpo, rg_algorithm_listwise, rg_algorithm_xpo,
    rg_algorithm_selm, rg_algorithm_vpo, rg_algorithm_nash_md, rg_algorithm_rloo, rg_algorithm_grpo,
    rg_algorithm_rebel, rg_algorithm_sppo, rg_algorithm_ppo, rg_algorithm_sail_dp,
    rg_algorithm_sail_pp, rg_algorithm_sail_pr, rg_algorithm_sail_revkl, rg_algorithm_parl;

/* clang-format off */
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
    &rg_algorithm_chi_po,
    &rg_algorithm_hybrid,
    &rg_algorithm_simpo,
    &rg_algorithm_spin,
    &rg_algorithm_online_dpo,
    &rg_algorithm_listwise,
    &rg_algorithm_xpo,
    &rg_algorithm_selm,
    &rg_algorithm_vpo,
    &rg_algorithm_nash_md,
    &rg_algorithm_rloo,
    &rg_algorithm_grpo,
    &rg_algorithm_rebel,
    &rg_algorithm_sppo,
    &rg_algorithm_ppo,
    &rg_algorithm_sail_dp,
    &rg_algorithm_sail_pp,
    &rg_algorithm_sail_pr,
    &rg_algorithm_sail_revkl,
    &rg_algorithm_parl,
    NULL,
};
/* clang-format on */

const RgAlgorithm *rg_algorithm_find(const char *name) {
    for (int i = 0; rg_algorithms[i]; i++)
        if (rg_algorithms[i]->name && strcmp(rg_algorithms[i]->name, name) == 0)
            return rg_algorithms[i];
    return NULL;
}

/* A recipe hangs on the options: here it is that of the defaults. The trainer looks again. */
static RgStatus check_recipe(const RgAlgorithm *a, RgError *error) {
    RgSettings *none = rg_settings_create();
    void *options = rg_allocate(a->options_size + 1);
    RgStatus status = rg_options_read(a->options, none, "algorithm", options, error);
    RgRecipe recipe;
    if (status == RG_OK) {
        recipe = rg_recipe_of(a, options);
        status = rg_recipe_check(a, &recipe, error);
    }
    free(options);
    rg_settings_destroy(none);
    return status;
}

RgStatus rg_algorithm_check(const RgAlgorithm *a, RgError *error) {
    const RgRequirement requirements[] = {
        RG_DESCRIPTOR_REQUIREMENTS(a),
        {!a->loss || !a->step, "a loss or a step, not both"},
        {a->recipe || !(a->loss || a->step), "a recipe beside a loss or a step"},
        {a->create || !(a->destroy || a->checkpoint), "create beside destroy and checkpoint"},
    };
    RG_TRY(rg_descriptor_check("algorithm", a->name, requirements,
                               sizeof requirements / sizeof *requirements, error));
    return a->loss ? check_recipe(a, error) : RG_OK;
}
