/* SPDX-License-Identifier: MIT */
/* Algorithms by name, and the requirements of a descriptor. */
#include "algorithms/training/trainer.h"

#include <stdlib.h>

const RgAlgorithm *rg_algorithm(int i) {
    return (const RgAlgorithm *)rg_registered(RG_ALGORITHM, i);
}

const RgAlgorithm *rg_algorithm_find(const char *name) {
    return (const RgAlgorithm *)rg_find(RG_ALGORITHM, name);
}

/* A recipe depends on the options: this checks that of the defaults. The trainer checks again. */
static RgStatus check_recipe(const RgAlgorithm *a, RgError *error) {
    RgSettings *none = rg_settings_create();
    void *options = rg_allocate(1, a->about.options_size);
    RgStatus status = rg_options_read(a->about.options, none, "algorithm", options, error);
    RgRecipe recipe;
    if (status == RG_OK) {
        recipe = rg_recipe_of(a, options);
        if (a->loss)
            status = rg_recipe_check(a, &recipe, error);
        else if (!a->step && recipe.best_of == 0)
            status =
                rg_fail(error, RG_E_USAGE,
                        "the descriptor of the algorithm \"%s\": expected a loss or a step, as "
                        "it has a recipe without best_of",
                        a->about.name);
    }
    free(options);
    rg_settings_destroy(none);
    return status;
}

RgStatus rg_algorithm_check(const RgAlgorithm *a, RgError *error) {
    const RgRequirement requirements[] = {
        {!a->loss || !a->step, "a loss or a step, not both"},
        {a->recipe || !(a->loss || a->step), "a recipe, as it has a loss or a step"},
        {a->loss || !a->prepare, "a loss, as it has prepare"},
        {a->loss || !a->finish, "a loss, as it has finish"},
        {a->loss || !a->terms, "a loss, as it has terms"},
        {rg_loss_terms(a) <= RG_LOSS_TERMS, "at most 4 terms of the loss"},
        {a->step || !a->work, "a step of its own, as it has work"},
        {a->create || !(a->destroy || a->checkpoint), "create, as it has destroy or checkpoint"},
    };
    RG_TRY(rg_descriptor_check(RG_ALGORITHM, &a->about, requirements,
                               sizeof requirements / sizeof *requirements, error));
    return a->recipe ? check_recipe(a, error) : RG_OK;
}

RgStatus rg_algorithm_register(const RgAlgorithm *algorithm, RgError *error) {
    RG_TRY(rg_algorithm_check(algorithm, error));
    return rg_register(RG_ALGORITHM, &algorithm->about, error);
}
