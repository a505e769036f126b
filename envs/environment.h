/* SPDX-License-Identifier: MIT */
/* The interface of an environment: one file that fills in one descriptor. An environment provides
 * prompts and data, judges responses, and evaluates policies.
 *
 * Threads: an environment is used by one thread at a time, its task's functions included. It may
 * use the program's thread pool inside. */
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

/* A named count for a row of results. */
typedef struct RgEnvironmentCount {
    char name[48];
    double value;
} RgEnvironmentCount;
enum { RG_ENVIRONMENT_COUNTS = 40 };

typedef struct RgEnvironmentType {
    RgDescriptor about;
    /* The metric that a table ranks by; larger values are better. */
    const char *primary_metric;
    /* Names of the metrics that an evaluation has of the policy, not of data and judges, ending with
     * NULL. A trial's result is selected by one of them (evaluation.select). Any other name is
     * refused before the first step. NULL: names are checked at the first evaluation. */
    const char *const *metrics;

    /* Fill environment->space and the parts of environment->task that need no policy. */
    RgStatus (*create)(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error);
    /* Refuse a policy that does not fit; or NULL: all fit. Called before `prepare`, and before the
     * first step of the first trial of a run. */
    RgStatus (*check)(const RgEnvironment *environment, const RgPolicy *policy, RgError *error);
    /* Make the parts that need the reference policy (offline pairs sampled from it); or NULL. */
    RgStatus (*prepare)(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error);
    /* Metrics of the contender against its reference on the test split, with one item per test
     * prompt (or context). The random stream is the same for every policy. Fails if a judge
     * fails. */
    RgStatus (*evaluate)(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                         RgEvaluation *evaluation, RgError *error);
    void (*destroy)(RgEnvironment *environment);

    /* Whether the judge that these options choose gives rewards; false: it only compares. Called
     * before any data are read, so that experiments whose methods need rewards are refused early.
     * NULL: it always gives rewards. */
    bool (*gives_rewards)(const void *options);
    /* Whether an evaluation with these options has this one of `metrics`. NULL: it has all. */
    bool (*measures)(const void *options, const char *metric);

    /* For environments whose judges may be external, else NULL. Cache their answers in `answers`
     * (borrowed); RG_E_USAGE if it is NULL and a judge is external. */
    RgStatus (*use_answers)(RgEnvironment *environment, RgJudgeCache *answers, RgError *error);
    /* The counts of judge requests since the last row of results: counts [RG_ENVIRONMENT_COUNTS]
     * out. Returns how many there are. */
    int (*take_counts)(RgEnvironment *environment, RgEnvironmentCount *counts);

    /* For environments whose options, or whose judges', name files to write (RG_ACT_SAVE), else
     * NULL: write them. Called by a run, before its first step, and by nothing that only plans or
     * measures one. */
    RgStatus (*save)(RgEnvironment *environment, RgError *error);
} RgEnvironmentType;

struct RgEnvironment {
    const RgEnvironmentType *type;
    RgPolicySpace space;
    RgTask task;
    void *state;
};

RgStatus rg_environment_create(const char *kind, const RgSettings *settings, const char *path,
                               RgRandom random, RgEnvironment **environment, RgError *error);
/* See RgEnvironmentType. */
RgStatus rg_environment_check(const RgEnvironment *environment, const RgPolicy *policy,
                              RgError *error);
/* Checks the reference first. */
RgStatus rg_environment_prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                                RgError *error);
RgStatus rg_environment_evaluate(RgEnvironment *environment, const RgContender *contender,
                                 RgRandom random, RgEvaluation *evaluation, RgError *error);
/* See RgEnvironmentType. Call it before prepare, where the first query may occur. */
RgStatus rg_environment_use_answers(RgEnvironment *environment, RgJudgeCache *answers,
                                    RgError *error);
int rg_environment_take_counts(RgEnvironment *environment, RgEnvironmentCount *counts);
/* See RgEnvironmentType. */
RgStatus rg_environment_save(RgEnvironment *environment, RgError *error);
void rg_environment_destroy(RgEnvironment *environment);

const RgEnvironmentType *rg_environment_type(const char *name); /* NULL if there is none */
/* Refuse an incomplete descriptor: RG_E_USAGE, with its name. */
RgStatus rg_environment_type_check(const RgEnvironmentType *type, RgError *error);
/* Register an environment type of a plug-in: checked, and borrowed until the program ends. */
RgStatus rg_environment_type_register(const RgEnvironmentType *type, RgError *error);

#endif
