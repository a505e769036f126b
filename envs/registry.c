/* The list of environments, and their life. Adding one: its file, and a line here. */
#include "envs/environment.h"

#include "core/descriptor.h"

#include <stdlib.h>
#include <string.h>

extern const RgEnvironmentType rg_environment_bandit, rg_environment_control, rg_environment_mdp,
    rg_environment_text;

const RgEnvironmentType *const rg_environment_types[] = {
    &rg_environment_bandit,
    &rg_environment_control,
    &rg_environment_mdp,
    &rg_environment_text,
    NULL,
};

const RgEnvironmentType *rg_environment_type(const char *name) {
    for (int i = 0; rg_environment_types[i]; i++)
        if (rg_environment_types[i]->name && strcmp(rg_environment_types[i]->name, name) == 0)
            return rg_environment_types[i];
    return NULL;
}

RgStatus rg_environment_type_check(const RgEnvironmentType *t, RgError *error) {
    const RgRequirement requirements[] = {
        RG_DESCRIPTOR_REQUIREMENTS(t),
        {t->headline != NULL, "a headline"},
        {t->create != NULL, "a function create"},
        {t->evaluate != NULL, "a function evaluate"},
        {t->destroy != NULL, "a function destroy"},
    };
    return rg_descriptor_check("environment", t->name, requirements,
                               sizeof requirements / sizeof *requirements, error);
}

static RgStatus unknown_kind(const char *kind, RgError *error) {
    enum { KINDS = sizeof rg_environment_types / sizeof rg_environment_types[0] };
    const char *names[KINDS] = {NULL};
    for (int i = 0; rg_environment_types[i]; i++)
        names[i] = rg_environment_types[i]->name;
    const char *nearest = rg_nearest_name(kind, names);
    if (nearest)
        return rg_fail(error, RG_E_USAGE, "no environment is called \"%s\"; did you mean \"%s\"?",
                       kind, nearest);
    return rg_fail(error, RG_E_USAGE, "no environment is called \"%s\"", kind);
}

RgStatus rg_environment_create(const char *kind, const RgSettings *settings, const char *path,
                               RgRandom random, RgEnvironment **environment, RgError *error) {
    *environment = NULL;
    const RgEnvironmentType *type = rg_environment_type(kind);
    if (!type)
        return unknown_kind(kind, error);
    RG_TRY(rg_environment_type_check(type, error));
    RgEnvironment *new = rg_allocate(sizeof *new);
    new->type = type;
    void *options = rg_allocate(type->options_size);
    RgStatus status = rg_options_read(type->options, settings, path, options, error);
    if (status == RG_OK)
        status = type->create(new, options, random, error);
    free(options);
    if (status != RG_OK) {
        rg_environment_destroy(new);
        return status;
    }
    *environment = new;
    return RG_OK;
}

RgStatus rg_environment_prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                                RgError *error) {
    if (!environment->type->prepare)
        return RG_OK;
    return environment->type->prepare(environment, reference, random, error);
}

RgStatus rg_environment_evaluate(RgEnvironment *environment, const RgContender *contender,
                                 RgRandom random, RgEvaluation *evaluation, RgError *error) {
    if (contender->best_of > 1 && !environment->course.judge)
        return rg_fail(error, RG_E_USAGE,
                       "the best of %lld responses needs a judge that gives rewards, and the "
                       "environment's only compares",
                       (long long)contender->best_of);
    return environment->type->evaluate(environment, contender, random, evaluation, error);
}

RgStatus rg_environment_use_answers(RgEnvironment *environment, RgAnswerShelf *answers,
                                    RgError *error) {
    const RgEnvironmentType *type = environment->type;
    return type->use_answers ? type->use_answers(environment, answers, error) : RG_OK;
}

int rg_environment_take_counts(RgEnvironment *environment, RgEnvironmentCount *counts) {
    const RgEnvironmentType *type = environment->type;
    return type->take_counts ? type->take_counts(environment, counts) : 0;
}

void rg_environment_destroy(RgEnvironment *environment) {
    if (!environment)
        return;
    if (environment->state)
        environment->type->destroy(environment);
    free(environment);
}
