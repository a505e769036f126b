/* SPDX-License-Identifier: MIT */
/* Environments by name: creation, checks and calls. */
#include "envs/environment.h"

#include <stdlib.h>

const RgEnvironmentType *rg_environment_type(const char *name) {
    return (const RgEnvironmentType *)rg_find(RG_ENVIRONMENT, name);
}

RgStatus rg_environment_type_check(const RgEnvironmentType *t, RgError *error) {
    const RgRequirement requirements[] = {
        {t->primary_metric != NULL, "a primary metric"},
        {t->create != NULL, "a function create"},
        {t->evaluate != NULL, "a function evaluate"},
        {t->destroy != NULL, "a function destroy"},
    };
    return rg_descriptor_check(RG_ENVIRONMENT, &t->about, requirements,
                               sizeof requirements / sizeof *requirements, error);
}

RgStatus rg_environment_type_register(const RgEnvironmentType *type, RgError *error) {
    RG_TRY(rg_environment_type_check(type, error));
    return rg_register(RG_ENVIRONMENT, &type->about, error);
}

RgStatus rg_environment_create(const char *kind, const RgSettings *settings, const char *path,
                               RgRandom random, RgEnvironment **environment, RgError *error) {
    *environment = NULL;
    const RgEnvironmentType *type = rg_environment_type(kind);
    if (!type)
        return rg_refuse_name(RG_ENVIRONMENT, kind, error);
    RG_TRY(rg_environment_type_check(type, error));
    RgEnvironment *new = rg_allocate(1, sizeof *new);
    new->type = type;
    void *options = rg_allocate(1, type->about.options_size);
    RgStatus status = rg_options_read(type->about.options, settings, path, options, error);
    if (status == RG_OK)
        status = type->create(new, options, random, error);
    free(options);
    if (status != RG_OK) {
        rg_environment_destroy(new);
        return status;
    }
    new->task.pending = type->prepare != NULL;
    *environment = new;
    return RG_OK;
}

RgStatus rg_environment_check(const RgEnvironment *environment, const RgPolicy *policy,
                              RgError *error) {
    const RgEnvironmentType *type = environment->type;
    return type->check ? type->check(environment, policy, error) : RG_OK;
}

RgStatus rg_environment_prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                                RgError *error) {
    const RgEnvironmentType *type = environment->type;
    RG_TRY(rg_environment_check(environment, reference, error));
    RG_TRY(type->prepare ? type->prepare(environment, reference, random, error) : RG_OK);
    environment->task.pending = false;
    return RG_OK;
}

RgStatus rg_environment_evaluate(RgEnvironment *environment, const RgContender *contender,
                                 RgRandom random, RgEvaluation *evaluation, RgError *error) {
    if (contender->best_of > 1 && !environment->task.judge)
        return rg_fail(error, RG_E_USAGE,
                       "the best of %lld responses needs a judge that gives rewards, and the "
                       "environment's judge only compares",
                       (long long)contender->best_of);
    return environment->type->evaluate(environment, contender, random, evaluation, error);
}

RgStatus rg_environment_use_answers(RgEnvironment *environment, RgJudgeCache *answers,
                                    RgError *error) {
    const RgEnvironmentType *type = environment->type;
    return type->use_answers ? type->use_answers(environment, answers, error) : RG_OK;
}

int rg_environment_take_counts(RgEnvironment *environment, RgEnvironmentCount *counts) {
    const RgEnvironmentType *type = environment->type;
    return type->take_counts ? type->take_counts(environment, counts) : 0;
}

RgStatus rg_environment_save(RgEnvironment *environment, RgError *error) {
    const RgEnvironmentType *type = environment->type;
    return type->save ? type->save(environment, error) : RG_OK;
}

void rg_environment_destroy(RgEnvironment *environment) {
    if (!environment)
        return;
    if (environment->state)
        environment->type->destroy(environment);
    free(environment);
}
