/* SPDX-License-Identifier: MIT */
/* What an environment is: one file that fills in one descriptor. It hands out prompts and data,
 * judges responses, and evaluates policies. */
#ifndef RG_ENVS_ENVIRONMENT_H
#define RG_ENVS_ENVIRONMENT_H

#include "core/options.h"
#include "core/policy/policy.h"
#include "core/registry.h"
#include "core/results/evaluation.h"
#include "core/task/task.h"
#include "envs/contender.h"

typedef struct RgEnvironment RgEnvironment;

/* The cache of judges' answers in a results store (core/results/judge_cache.h). */
typedef struct RgJudgeCache RgJudgeCache;

/* A number for a row of results. */
typedef struct RgEnvironmentCount {
    char name[48];
    double value;
} RgEnvironmentCount;
enum { RG_ENVIRONMENT_COUNTS = 40 };

typedef struct RgEnvironmentType {
    RgDescriptor about;
    /* The metric that a table ranks by, and which larger values of are better. */
    const char *primary_metric;

    /* Fill environment->space and, as far as no policy is needed, environment->task. */
    RgStatus (*create)(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error);
    /* Make what needs the reference policy (offline pairs sampled from it); may be NULL. */
    RgStatus (*prepare)(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error);
    /* Metrics of the contender against its reference on the test split, with one item per test
     * prompt (or context). The random stream is the same for every policy. Fails where a judge
     * does. */
    RgStatus (*evaluate)(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error);
    void (*destroy)(RgEnvironment *environment);

    /* Whether the judge that these options choose gives rewards, or does no more than compare, told
     * before any data are read: experiments whose methods need rewards are refused then. NULL: it
     * gives them. */
    bool (*gives_rewards)(const void *options);

    /* Where judges may be asked elsewhere, else NULL. Keep their answers on this cache (borrowed);
     * NULL: RG_E_USAGE if any is. */
    RgStatus (*use_answers)(RgEnvironment *environment, RgJudgeCache *answers, RgError *error);
    /* What requests has come to since the last row of results, metrics [RG_ENVIRONMENT_COUNTS]: how
     * many. */
    int (*take_counts)(RgEnvironment *environment, RgEnvironmentCount *counts);
} RgEnvironmentType;

struct RgEnvironment {
    const RgEnvironmentType *type;
    RgPolicySpace space;
    RgTask task;
    void *state;
};

RgStatus rg_environment_create(const char *kind, const RgSettings *settings, const char *path,
                               RgRandom random, RgEnvironment **environment, RgError *error);
RgStatus rg_environment_prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                                RgError *error);
RgStatus rg_environment_evaluate(RgEnvironment *environment, const RgContender *contender,
                                 RgRandom random, RgEvaluation *evaluation, RgError *error);
/* See RgEnvironmentType. The answers are used from the first query on, which is asked in prepare
 * or later. */
RgStatus rg_environment_use_answers(RgEnvironment *environment, RgJudgeCache *answers,
                                    RgError *error);
int rg_environment_take_counts(RgEnvironment *environment, RgEnvironmentCount *counts);
void rg_environment_destroy(RgEnvironment *environment);

const RgEnvironmentType *rg_environment_type(const char *name); /* NULL if there is none */
/* Refuse a descriptor that is not complete: RG_E_USAGE, with its name. */
RgStatus rg_environment_type_check(const RgEnvironmentType *type, RgError *error);
/* Add one, of a plug-in: checked, and borrowed for good. */
RgStatus rg_environment_type_register(const RgEnvironmentType *type, RgError *error);

#endif
