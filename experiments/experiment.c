/* SPDX-License-Identifier: MIT */
/* Unfolding a config into trials. Nothing runs here. */
#include "experiments/experiment.h"

#include "core/lookup.h"
#include "core/names.h"
#include "core/notice.h"
#include "core/plugin.h"
#include "experiments/config.h"
#include "experiments/input_sums.h"
#include "experiments/plugins.h"
#include "experiments/results_version.h"
#include "experiments/sweep.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const RgOption rg_experiment_options[] = {
    RG_OPTION_CHECKED(RgExperimentOptions, name, NULL, rg_experiment_name_fault,
                      "name of the experiment; its results go to results/NAME.db"),
    RG_OPTION_STRING(RgExperimentOptions, description, "", "one line for the report"),
    RG_OPTION_LIST(RgExperimentOptions, plugins,
                   "shared objects that add algorithms and the like, such as \"./mine.so\" (./ and "
                   "../ are of the config's folder): their code runs in the program"),
    RG_OPTION_END,
};

const RgOption rg_environment_part_options[] = {
    RG_OPTION_STRING(RgPartOptions, type, NULL, "environment, see: regatta list environments"),
    RG_OPTION_INTEGER(RgPartOptions, seed, "-1", -1, 4294967295.0,
                      "seed of the environment; -1: the trial's, so that seeds differ in it too"),
    RG_OPTION_END,
};

const RgOption rg_policy_part_options[] = {
    RG_OPTION_STRING(RgPolicyOptions, type, "",
                     "policy, see: regatta list policies; may be left "
                     "out where weights are given"),
    RG_OPTION_FOLDER(
        RgPolicyOptions, weights, "", rg_policy_files,
        "checkpoint to start from: a file of this program or of llama2.c, or a folder in Hugging "
        "Face's layout (./ and ../ are of the config's folder)"),
    RG_OPTION_BOOLEAN(
        RgPolicyOptions, recompute, "false",
        "whether backward runs the layers of a transformer again, in place of keeping "
        "what they made: a third more time, much less memory, the same bits"),
    RG_OPTION_CHOICE(RgPolicyOptions, precision, "fp32", rg_precision_names,
                     "what numbers a transformer's matrix products round their inputs to in "
                     "training, at first order; all else is fp32. bf16 is fast on processors "
                     "with AMX or AVX512_BF16; those with AVX-512 alone need a program built "
                     "after configure --with-onednn"),
    RG_OPTION_CHOICE(
        RgPolicyOptions, reference_storage, "fp32", rg_precision_names,
        "how the matrices of a transformer's frozen weights are held: those of the reference, "
        "which beside an adapter are the policy's own too. bf16 takes half the memory, and "
        "products in fp32 widen it; the policy starts from the same rounded weights"),
    RG_OPTION_CHOICE(
        RgPolicyOptions, sampling, "fp32", rg_precision_names,
        "how a transformer's sampler holds weights, keys and values. bf16 takes half the memory "
        "and is faster; log-probabilities are computed anew in fp32, and evaluations on text tell "
        "the difference as sampler_kl. The offline pairs are sampled in fp32"),
    RG_OPTION_END,
};

const RgOption rg_algorithm_part_options[] = {
    RG_OPTION_STRING(RgAlgorithmPart, type, NULL, "algorithm, see: regatta list algorithms"),
    RG_OPTION_CHECKED(RgAlgorithmPart, label, "", rg_label_fault,
                      "name in tables and plots; \"\": the type"),
    RG_OPTION_END,
};

/* The parts that all algorithms share and that each may override in its own group. */
static const char *const shared_parts[] = {"environment", "policy",     "optimizer", "training",
                                           "budget",      "evaluation", NULL};

/* ---- names ---- */

/* The name at `path` is none of the registered ones. */
static RgStatus unknown_name(const RgSettings *settings, const char *path, RgKind kind,
                             RgError *error) {
    const RgSetting *setting = rg_settings_find(settings, path);
    if (setting && !rg_find(kind, setting->text) && rg_settings_length(settings, "plugins") > 0 &&
        !rg_plugin_loaded(0)) /* a config of a store: its plug-ins are not loaded unasked */
        return rg_setting_refuse(
            setting, error,
            "not built in, and may be of a plug-in of the config: load that by "
            "regatta --plugin FILE");
    if (setting)
        return rg_refuse_setting_name(kind, setting, error);
    char *names = rg_registered_names(kind);
    RgStatus status = rg_fail(error, RG_E_USAGE, "%s: %s is missing: expected one of %s",
                              rg_settings_file_near(settings, path), path, names);
    free(names);
    return status;
}

/* A message that names keys alone gets the file that the group `part` stands in. */
static RgStatus in_file(const RgSettings *settings, const char *part, RgStatus status,
                        RgError *error) {
    return status == RG_OK ? status
                           : rg_fail_in(error, status, "%s", rg_settings_file_near(settings, part));
}

/* ---- one trial ---- */

/* Read the group `path` of `settings`, record it in `resolved`, and read it again from there: the
 * strings are then those of `resolved`, which lives as long as the plan. */
static RgStatus read_part(const RgOption *table, const RgSettings *settings, const char *path,
                          void *values, RgSettings *resolved, RgError *error) {
    if (!table)
        return RG_OK;
    RG_TRY(rg_options_read(table, settings, path, values, error));
    rg_options_record(table, values, path, resolved);
    return rg_options_read(table, resolved, path, values, error);
}

/* Options of a type chosen by name are read into memory that only the type's create function will
 * interpret: here it is checked and recorded. */
static RgStatus check_type_options(const RgOption *table, size_t size, const RgSettings *settings,
                                   const char *path, RgSettings *resolved, RgError *error) {
    if (!table)
        return RG_OK;
    void *values = rg_allocate(size);
    RgStatus status = read_part(table, settings, path, values, resolved, error);
    free(values);
    return status;
}

static RgStatus resolve_environment(RgTrialPlan *plan, const RgSettings *s, RgError *error) {
    RG_TRY(read_part(rg_environment_part_options, s, "environment", &plan->environment,
                     plan->resolved, error));
    const RgEnvironmentType *type = rg_environment_type(plan->environment.type);
    if (!type)
        return unknown_name(s, "environment.type", RG_ENVIRONMENT, error);
    RG_TRY(rg_environment_type_check(type, error));
    return check_type_options(type->about.options, type->about.options_size, s, "environment",
                              plan->resolved, error);
}

/* Refuse a setting for a reason, where there is one. */
static RgStatus refuse(const char *path, const RgSettings *s, const RgError *reason,
                       RgError *error) {
    const RgSetting *setting = rg_settings_find(s, path);
    return setting ? rg_setting_refuse(setting, error, "%s", reason->text)
                   : rg_fail(error, RG_E_USAGE, "%s: %s: %s", rg_settings_file_near(s, path), path,
                             reason->text);
}

/* Of the policy's weights and products; its kind is NULL where it is not known yet. */
static RgStatus check_precision(const RgTrialPlan *plan, const RgPolicyType *type,
                                const RgSettings *s, RgError *error) {
    const RgPolicyOptions *o = &plan->policy;
    RgError reason = {0};
    if (rg_policy_check_precision(type, (RgPrecision)o->precision, &reason) != RG_OK)
        return refuse("policy.precision", s, &reason, error);
    if (rg_policy_check_storage(type, (RgPrecision)o->reference_storage, &reason) != RG_OK)
        return refuse("policy.reference_storage", s, &reason, error);
    if (rg_policy_check_sampling(type, (RgPrecision)o->sampling, &reason) != RG_OK)
        return refuse("policy.sampling", s, &reason, error);
    return RG_OK;
}

static RgStatus resolve_policy(RgTrialPlan *plan, const RgSettings *s, RgError *error) {
    RG_TRY(read_part(rg_policy_part_options, s, "policy", &plan->policy, plan->resolved, error));
    if (plan->policy.weights[0]) { /* whose kind is seen when they are loaded */
        RG_TRY(check_precision(plan, NULL, s, error));
        return read_part(rg_adapter_options, s, "policy.adapter", &plan->adapter, plan->resolved,
                         error);
    }
    if (!plan->policy.type[0])
        return rg_fail(error, RG_E_USAGE,
                       "%s: policy: expected type = \"…\" or weights = \"file\", found neither",
                       rg_settings_file_near(s, "policy"));
    const RgPolicyType *type = rg_policy_type(plan->policy.type);
    if (!type)
        return unknown_name(s, "policy.type", RG_POLICY, error);
    RG_TRY(rg_policy_type_check(type, error));
    if (type->adapt)
        RG_TRY(read_part(rg_adapter_options, s, "policy.adapter", &plan->adapter, plan->resolved,
                         error));
    RG_TRY(check_precision(plan, type, s, error));
    return check_type_options(type->about.options, type->about.options_size, s, "policy",
                              plan->resolved, error);
}

static RgStatus resolve_algorithm(RgTrialPlan *plan, const RgSettings *s, RgError *error) {
    RG_TRY(
        read_part(rg_algorithm_part_options, s, "algorithm", &plan->part, plan->resolved, error));
    const RgAlgorithm *algorithm = rg_algorithm_find(plan->part.type);
    if (!algorithm)
        return unknown_name(s, "algorithm.type", RG_ALGORITHM, error);
    RG_TRY(rg_algorithm_check(algorithm, error));
    if (!plan->part.label[0])
        plan->part.label = algorithm->about.name;
    plan->algorithm = algorithm;
    plan->algorithm_options = rg_allocate(algorithm->about.options_size + 1);
    RG_TRY(read_part(algorithm->about.options, s, "algorithm", plan->algorithm_options,
                     plan->resolved, error));
    plan->recipe = rg_recipe_of(algorithm, plan->algorithm_options);
    return RG_OK;
}

/* A limit that an algorithm never comes nearer to would let it run for ever. */
static RgStatus check_limits(const RgTrialPlan *plan, RgError *error) {
    int useless = -1;
    for (int i = 0; i < RG_COSTS; i++) {
        if (rg_budget_limit(&plan->budget, (RgCost)i) == 0)
            continue;
        if (rg_step_spends(plan->algorithm, plan->algorithm_options, &plan->recipe, (RgCost)i))
            return RG_OK;
        useless = i;
    }
    if (useless >= 0)
        return rg_fail(error, RG_E_USAGE,
                       "budget: %s with these options spends no %s, and would never end: expected "
                       "a limit of steps, flops or seconds too",
                       plan->part.label, rg_cost_names[useless]);
    return rg_fail(error, RG_E_USAGE,
                   "budget: expected at least one of steps, flops, seconds, generated_tokens, "
                   "judge_queries above 0");
}

static RgStatus check_budget(const RgTrialPlan *plan, RgError *error) {
    RG_TRY(check_limits(plan, error));
    if (plan->budget.steps == 0 && plan->optimizer.schedule != RG_SCHEDULE_CONSTANT)
        return rg_fail(error, RG_E_USAGE,
                       "optimizer.schedule: a schedule that decays needs "
                       "budget.steps above 0");
    return RG_OK;
}

static RgStatus check_evaluation(const RgTrialPlan *plan, const RgSettings *s, RgError *error) {
    const RgEvaluationOptions *e = &plan->evaluation;
    if (e->per == RG_COST_STEPS && e->every != floor(e->every))
        return rg_setting_refuse(rg_settings_find(s, "evaluation.every"), error,
                                 "expected a whole number of steps");
    return RG_OK;
}

/* The first setting of a part of a config that is a name alone, or a group. */
static const char *part_path(const RgSettings *s, const char *part, char path[96]) {
    snprintf(path, 96, "%s.type", part);
    return rg_settings_find(s, path) ? path : part;
}

/* A method that needs rewards and a judge that only compares are told from the settings alone: no
 * trial has run by then. */
static RgStatus check_judge(const RgTrialPlan *plan, const RgSettings *s, RgError *error) {
    const RgEnvironmentType *type = rg_environment_type(plan->environment.type);
    if (!type->gives_rewards)
        return RG_OK;
    void *options = rg_allocate(type->about.options_size + 1);
    RgStatus status =
        rg_options_read(type->about.options, plan->resolved, "environment", options, error);
    bool rewards = status == RG_OK && type->gives_rewards(options);
    free(options);
    RG_TRY(status);
    RgError reason = {0};
    char path[96];
    if (rg_recipe_check_rewards(plan->algorithm, &plan->recipe, rewards, &reason) == RG_OK)
        return RG_OK;
    return refuse(part_path(s, "environment.judge", path), s, &reason, error);
}

/* ---- inputs ---- */

const RgSetting *rg_input_recorded(const RgSettings *resolved, const RgSetting *input) {
    char *path = rg_string_format("inputs.%s", input->path);
    const RgSetting *recorded = rg_settings_find(resolved, path);
    free(path);
    return recorded;
}

static void record_input(RgSettings *resolved, const RgSetting *input, const char *sha256) {
    char *path = rg_string_format("inputs.%s", input->path);
    rg_settings_set(resolved, path, RG_SETTING_STRING, sha256, "resolved", 0);
    free(path);
}

static bool names_input(const RgOption *option, const RgSetting *setting) {
    return option->kind == RG_KIND_PATH && setting->text[0];
}

/* Why an input cannot be read is told by who reads it, when the trial is run. */
static RgStatus record_what_is_there(void *resolved, const RgOption *option,
                                     const RgSetting *setting, RgError *error) {
    char sha256[RG_SHA256_TEXT];
    (void)error;
    RgError untold = {0};
    if (names_input(option, setting) && rg_input_is_summable(setting->text) &&
        rg_input_sum(option, setting->text, sha256, &untold) == RG_OK)
        record_input(resolved, setting, sha256);
    return RG_OK;
}

typedef struct Assumption {
    RgSettings *resolved;
    const json_t *sums;
} Assumption;

static RgStatus record_what_was_there(void *context, const RgOption *option,
                                      const RgSetting *setting, RgError *error) {
    const Assumption *a = context;
    (void)error;
    const char *sum = json_string_value(json_object_get(a->sums, setting->text));
    if (sum && names_input(option, setting) && !rg_input_recorded(a->resolved, setting))
        record_input(a->resolved, setting, sum);
    return RG_OK;
}

static RgStatus drop_recorded(void *deciding, const RgOption *option, const RgSetting *setting,
                              RgError *error) {
    (void)error;
    if (!names_input(option, setting) || !rg_input_recorded(deciding, setting))
        return RG_OK;
    char *path = rg_string_copy(setting->path);
    rg_settings_remove(deciding, path);
    free(path);
    return RG_OK;
}

static RgStatus check_input(void *resolved, const RgOption *option, const RgSetting *setting,
                            RgError *error) {
    char sha256[RG_SHA256_TEXT];
    const RgSetting *recorded =
        names_input(option, setting) ? rg_input_recorded(resolved, setting) : NULL;
    if (!recorded)
        return RG_OK;
    RG_TRY(rg_input_sum(option, setting->text, sha256, error));
    return strcmp(sha256, recorded->text) == 0
               ? RG_OK
               : rg_fail(error, RG_E_FORMAT,
                         "%s = \"%.300s\" has other contents than the trial is of: it has been "
                         "changed since",
                         setting->path, setting->text);
}

RgStatus rg_resolved_check_inputs(const RgSettings *resolved, RgError *error) {
    return rg_resolved_visit(resolved, check_input, (void *)resolved, error);
}

/* Of all that decides the trial's results: a judge that has moved to another address is the same,
 * and so is a file of known contents. */
static void hash_plan(RgTrialPlan *plan) {
    free(plan->resolved_json);
    plan->resolved_json = rg_settings_to_json(plan->resolved);
    RgSettings *deciding = rg_settings_clone(plan->resolved);
    rg_plugins_drop_names(deciding);
    if (rg_settings_has_group(deciding, "inputs"))
        rg_resolved_visit(plan->resolved, drop_recorded, deciding, NULL);
    rg_options_drop_incidental(rg_environment_type(plan->environment.type)->about.options,
                               "environment", deciding);
    char *json = rg_settings_to_json(deciding);
    uint64_t hash = rg_hash(RG_HASH_START, json, strlen(json));
    hash = rg_hash(hash, RG_RESULTS_VERSION, strlen(RG_RESULTS_VERSION));
    rg_settings_destroy(deciding);
    free(json);
    snprintf(plan->key, sizeof plan->key, "%016llx", (unsigned long long)hash);
}

/* Refuse what nobody asked for in the group `part`, naming the nearest of the keys that it has. */
static RgStatus check_part_keys(const RgTrialPlan *plan, const RgSettings *s, const char *part,
                                RgError *error) {
    enum { MOST_KEYS = 127 };
    const char *known[MOST_KEYS + 1];
    size_t length = strlen(part);
    int used = 0;
    for (int64_t i = 0; i < rg_settings_count(plan->resolved) && used < MOST_KEYS; i++) {
        const char *path = rg_settings_at(plan->resolved, i)->path;
        if (strncmp(path, part, length) == 0 && path[length] == '.')
            known[used++] = path + length + 1;
    }
    known[used] = NULL;
    return rg_settings_check_used(s, part, known, error);
}

/* What is shared with others and not read by a trial that does not train is not looked at. */
static RgStatus check_unknown_keys(const RgTrialPlan *plan, const RgSettings *s, RgError *error) {
    RG_TRY(check_part_keys(plan, s, "algorithm", error));
    for (int i = 0; shared_parts[i]; i++)
        if (rg_settings_has_group(plan->resolved, shared_parts[i]))
            RG_TRY(check_part_keys(plan, s, shared_parts[i], error));
    return RG_OK;
}

/* `s` holds the trial's settings under the names of the parts, `algorithm` and `seed`. */
static RgStatus resolve_trial(RgTrialPlan *plan, const RgSettings *s, RgError *error) {
    char seed[32];
    plan->resolved = rg_settings_create();
    snprintf(seed, sizeof seed, "%lld", (long long)plan->seed);
    rg_settings_set(plan->resolved, "seed", RG_SETTING_INTEGER, seed, "resolved", 0);
    RG_TRY(resolve_algorithm(plan, s, error));
    RG_TRY(resolve_environment(plan, s, error));
    RG_TRY(resolve_policy(plan, s, error));
    bool trains = plan->algorithm->loss || plan->algorithm->step;
    if (trains) {
        RG_TRY(read_part(rg_optimizer_options, s, "optimizer", &plan->optimizer, plan->resolved,
                         error));
        RG_TRY(
            read_part(rg_training_options, s, "training", &plan->training, plan->resolved, error));
        RG_TRY(in_file(s, "training",
                       rg_training_check(plan->algorithm, &plan->recipe, &plan->training, error),
                       error));
        RG_TRY(read_part(rg_budget_options, s, "budget", &plan->budget, plan->resolved, error));
    }
    RG_TRY(read_part(rg_evaluation_options, s, "evaluation", &plan->evaluation, plan->resolved,
                     error));
    RG_TRY(check_evaluation(plan, s, error));
    if (trains)
        RG_TRY(in_file(s, "budget", check_budget(plan, error), error));
    RG_TRY(check_unknown_keys(plan, s, error));
    rg_plugins_record(plan->resolved);
    return RG_OK;
}

static void plan_clear(RgTrialPlan *plan) {
    rg_settings_destroy(plan->resolved);
    free(plan->resolved_json);
    free(plan->swept_json);
    free(plan->algorithm_options);
}

/* ---- unfolding ---- */

/* The settings of one trial before it varies: shared parts, then what the algorithm's group
 * overrides.
 */
static RgSettings *trial_settings(const RgSettings *s, int64_t algorithm) {
    RgSettings *trial = rg_settings_create();
    char path[96];
    for (int i = 0; shared_parts[i]; i++)
        rg_settings_copy_group(trial, shared_parts[i], s, shared_parts[i]);
    snprintf(path, sizeof path, "algorithms.%d", (int)algorithm);
    rg_settings_copy_group(trial, "algorithm", s, path);
    for (int i = 0; shared_parts[i]; i++) {
        snprintf(path, sizeof path, "algorithms.%d.%s", (int)algorithm, shared_parts[i]);
        rg_settings_copy_group(trial, shared_parts[i], s, path);
        snprintf(path, sizeof path, "algorithm.%s", shared_parts[i]);
        rg_settings_remove(trial, path);
    }
    return trial;
}

static RgStatus add_trial(RgExperiment *e, const RgSettings *settings, int64_t seed, json_t *varied,
                          RgError *error) {
    e->trials = rg_reallocate(e->trials, (size_t)e->trial_count + 1, sizeof *e->trials);
    RgTrialPlan *plan = &e->trials[e->trial_count++];
    e->unfolded = e->trial_count;
    *plan = (RgTrialPlan){.seed = seed};
    plan->swept_json = json_dumps(varied, JSON_SORT_KEYS | JSON_COMPACT);
    RG_TRY(resolve_trial(plan, settings, error));
    if (!e->restored)
        RG_TRY(check_judge(plan, settings, error));
    if (!e->restored)
        rg_resolved_visit(plan->resolved, record_what_is_there, plan->resolved, NULL);
    hash_plan(plan);
    if (!e->keys)
        e->keys = rg_lookup_create();
    int64_t *earlier = rg_lookup_at(e->keys, plan->key, strlen(plan->key));
    if (*earlier >= 0)
        return rg_fail(
            error, RG_E_USAGE,
            "%s: algorithms: \"%s\" with seed %lld is there twice with the same settings",
            rg_settings_file_near(e->settings, "algorithms"), plan->part.label, (long long)seed);
    *earlier = e->trial_count - 1;
    return RG_OK;
}

/* The trials have other keys or numbers. */
static void number_keys(RgExperiment *e) {
    rg_lookup_destroy(e->keys);
    e->keys = rg_lookup_create();
    for (int64_t i = 0; i < e->unfolded; i++)
        *rg_lookup_at(e->keys, e->trials[i].key, strlen(e->trials[i].key)) = i;
}

void rg_experiment_assume(RgExperiment *e, const json_t *sums) {
    for (int64_t i = 0; i < e->unfolded; i++) {
        RgTrialPlan *plan = &e->trials[i];
        Assumption assumption = {plan->resolved, sums};
        rg_resolved_visit(plan->resolved, record_what_was_there, &assumption, NULL);
        hash_plan(plan);
    }
    number_keys(e);
}

static bool is_one_of(const char *label, const char *const *labels, int count) {
    for (int i = 0; i < count; i++)
        if (strcmp(labels[i], label) == 0)
            return true;
    return false;
}

/* Labels of all trials, each once, NULL-terminated; the list is the caller's. */
static const char **list_labels(const RgExperiment *e) {
    const char **labels = rg_allocate((size_t)(e->unfolded + 1) * sizeof *labels);
    int count = 0;
    for (int64_t i = 0; i < e->unfolded; i++)
        if (!is_one_of(e->trials[i].part.label, labels, count))
            labels[count++] = e->trials[i].part.label;
    return labels;
}

static RgStatus check_label(const char *label, const char **known, RgError *error) {
    int count = 0;
    while (known[count])
        count++;
    if (is_one_of(label, known, count))
        return RG_OK;
    const char *nearest = rg_nearest_name(label, known);
    if (nearest)
        return rg_fail(error, RG_E_USAGE,
                       "--only: no method of the config is called \"%.200s\"; did you mean \"%s\"?",
                       label, nearest);
    char *list = rg_string_copy(known[0]);
    for (int i = 1; i < count; i++) {
        char *longer = rg_string_format("%s, %s", list, known[i]);
        free(list);
        list = longer;
    }
    RgStatus status = rg_fail(
        error, RG_E_USAGE, "--only: no method of the config is called \"%.200s\": there is %.600s",
        label, list);
    free(list);
    return status;
}

RgStatus rg_experiment_only(RgExperiment *e, const char *const *labels, int count, RgError *error) {
    const char **known = list_labels(e);
    RgStatus status = RG_OK;
    for (int i = 0; i < count && status == RG_OK; i++)
        status = check_label(labels[i], known, error);
    free(known);
    RG_TRY(status);
    RgTrialPlan *sorted = rg_allocate((size_t)e->unfolded * sizeof *sorted);
    int64_t chosen = 0, rest;
    for (int64_t i = 0; i < e->unfolded; i++)
        chosen += is_one_of(e->trials[i].part.label, labels, count);
    e->trial_count = rest = chosen;
    chosen = 0;
    for (int64_t i = 0; i < e->unfolded; i++)
        sorted[is_one_of(e->trials[i].part.label, labels, count) ? chosen++ : rest++] =
            e->trials[i];
    free(e->trials);
    e->trials = sorted;
    number_keys(e);
    return RG_OK;
}

/* What the variations of one algorithm with one seed go into. */
typedef struct Unfolding {
    RgExperiment *experiment;
    int64_t seed;
    RgWait *wait;
} Unfolding;

static RgStatus add_variation(void *context, const RgSettings *trial, json_t *varied,
                              RgError *error) {
    const Unfolding *unfolding = context;
    rg_wait_tell(unfolding->wait, "%s: its trials are being unfolded, of which there are many",
                 unfolding->experiment->options.name);
    return add_trial(unfolding->experiment, trial, unfolding->seed, varied, error);
}

/* Resolve what a search might draw, and throw it away. */
static RgStatus check_probes(const RgSweep *sweep, const RgAlgorithm *algorithm,
                             const RgSettings *trial, int64_t seed, RgError *error) {
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < rg_sweep_probes(sweep) && status == RG_OK; i++) {
        RgTrialPlan plan = {.seed = seed};
        RgSettings *probe = rg_settings_clone(trial);
        rg_sweep_probe(sweep, i, algorithm, probe);
        status = resolve_trial(&plan, probe, error);
        if (status == RG_OK)
            status = check_judge(&plan, probe, error);
        plan_clear(&plan);
        rg_settings_destroy(probe);
    }
    return status;
}

/* An algorithm of the config, and the settings of its trials before they vary. */
typedef struct Entrant {
    const RgAlgorithm *algorithm;
    RgSettings *settings;
} Entrant;

static RgStatus unfold_seed(RgExperiment *e, const Entrant *entrants, int64_t count, int64_t seed,
                            const RgSweep *sweep, RgWait *wait, RgError *error) {
    Unfolding unfolding = {e, seed, wait};
    for (int64_t i = 0; i < count; i++) {
        const Entrant *entrant = &entrants[i];
        if (e->trial_count == 0 || e->trials[0].seed == seed)
            RG_TRY(check_probes(sweep, entrant->algorithm, entrant->settings, seed, error));
        RG_TRY(rg_sweep_unfold(sweep, entrant->settings, entrant->algorithm, add_variation,
                               &unfolding, error));
    }
    return RG_OK;
}

static RgStatus find_algorithm(const RgSettings *s, int64_t index, const RgAlgorithm **algorithm,
                               RgError *error) {
    char path[64];
    snprintf(path, sizeof path, "algorithms.%d.type", (int)index);
    const RgSetting *type = rg_settings_find(s, path);
    if (!type)
        return rg_fail(error, RG_E_USAGE, "%s: %s is missing: expected the name of an algorithm",
                       rg_settings_file_near(s, path), path);
    *algorithm = rg_algorithm_find(type->text);
    return *algorithm ? RG_OK : unknown_name(s, path, RG_ALGORITHM, error);
}

static RgStatus read_seed(const RgSettings *s, int64_t index, int64_t *seed, RgError *error) {
    char path[64];
    snprintf(path, sizeof path, "seeds.%d", (int)index);
    const RgSetting *setting = rg_settings_find(s, path);
    if (!setting || setting->kind != RG_SETTING_INTEGER || setting->text[0] == '-')
        return setting ? rg_setting_refuse(setting, error, "expected an integer of 0 or more")
                       : rg_fail(error, RG_E_USAGE, "%s: %s is missing: expected an integer",
                                 rg_settings_file_near(s, path), path);
    *seed = strtoll(setting->text, NULL, 10);
    return RG_OK;
}

/* Keys at the top level that are nobody's. */
static RgStatus check_top_level(const RgSettings *s, RgError *error) {
    static const char *const known[] = {
        "name",   "description", "seeds",      "environment", "policy", "optimizer", "training",
        "budget", "evaluation",  "algorithms", "sweep",       "search", "plugins",   NULL};
    for (int64_t i = 0; i < rg_settings_count(s); i++) {
        const RgSetting *setting = rg_settings_at(s, i);
        char top[64];
        snprintf(top, sizeof top, "%.*s", (int)strcspn(setting->path, "."), setting->path);
        bool found = false;
        for (int k = 0; known[k]; k++)
            found = found || strcmp(known[k], top) == 0;
        if (found)
            continue;
        const char *nearest = rg_nearest_name(top, known);
        return rg_setting_refuse(setting, error, "\"%s\" is no part of an experiment%s%s%s", top,
                                 nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                                 nearest ? "\"?" : "");
    }
    return RG_OK;
}

/* What tables and figures call an algorithm of the config. */
static const char *label_of(const Entrant *entrant) {
    const RgSetting *label = rg_settings_find(entrant->settings, "algorithm.label");
    return label && label->text[0] ? label->text : entrant->algorithm->about.name;
}

/* Two of one name would be one row of every table. */
static RgStatus check_labels(const Entrant *entrants, int64_t count, RgError *error) {
    for (int64_t a = 0; a < count; a++)
        for (int64_t b = 0; b < a; b++)
            if (strcmp(label_of(&entrants[a]), label_of(&entrants[b])) == 0)
                return rg_fail(error, RG_E_USAGE,
                               "algorithms.%lld: \"%s\" is the label of algorithms.%lld, too: "
                               "expected a label of its own, such as label = \"%s-2\"",
                               (long long)a, label_of(&entrants[a]), (long long)b,
                               entrants[a].algorithm->about.name);
    return RG_OK;
}

/* Seeds are outermost: after the first round every algorithm has been seen once. */
static RgStatus unfold_entrants(RgExperiment *e, Entrant *entrants, int64_t count, int64_t seeds,
                                RgError *error) {
    const RgAlgorithm **algorithms = rg_allocate((size_t)count * sizeof(RgAlgorithm *));
    RgSweep *sweep = NULL;
    RgWait wait = rg_wait_begin();
    for (int64_t a = 0; a < count; a++)
        algorithms[a] = entrants[a].algorithm;
    RgStatus status = rg_sweep_read(e->settings, algorithms, count, &sweep, error);
    for (int64_t a = 0; a < count && status == RG_OK; a++)
        entrants[a].settings = trial_settings(e->settings, a);
    if (status == RG_OK)
        status = in_file(e->settings, "algorithms", check_labels(entrants, count, error), error);
    for (int64_t s = 0; s < seeds && status == RG_OK; s++) {
        int64_t seed = 0;
        status = read_seed(e->settings, s, &seed, error);
        if (status == RG_OK)
            status = unfold_seed(e, entrants, count, seed, sweep, &wait, error);
    }
    rg_sweep_destroy(sweep);
    free(algorithms);
    return status;
}

static RgStatus unfold(RgExperiment *e, RgError *error) {
    RG_TRY(check_top_level(e->settings, error));
    RG_TRY(rg_options_read(rg_experiment_options, e->settings, "", &e->options, error));
    if (!e->restored) /* what a store names is not loaded */
        RG_TRY(rg_plugins_load(&e->options.plugins, error));
    int64_t seeds = rg_settings_length(e->settings, "seeds");
    int64_t algorithms = rg_settings_length(e->settings, "algorithms");
    if (seeds < 1)
        return rg_settings_refuse_list(e->settings, "seeds", "[1, 2, 3], or [1]", error);
    if (algorithms < 1)
        return rg_settings_refuse_list(e->settings, "algorithms", "({ type = \"dpo\"; })", error);
    Entrant *entrants = rg_allocate((size_t)algorithms * sizeof *entrants);
    RgStatus status = RG_OK;
    for (int64_t a = 0; a < algorithms && status == RG_OK; a++)
        status = find_algorithm(e->settings, a, &entrants[a].algorithm, error);
    if (status == RG_OK)
        status = unfold_entrants(e, entrants, algorithms, seeds, error);
    for (int64_t a = 0; a < algorithms; a++)
        rg_settings_destroy(entrants[a].settings);
    free(entrants);
    return status;
}

static char *overrides_to_json(const RgSettings *settings) {
    json_t *object = json_object();
    for (int64_t i = 0; i < rg_settings_count(settings); i++) {
        const RgSetting *setting = rg_settings_at(settings, i);
        if (strcmp(setting->file, "-s") == 0)
            json_object_set_new(object, setting->path, json_string(setting->text));
    }
    char *text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(object);
    return text;
}

/* `status` is that of reading the settings. */
static RgStatus finish_opening(RgExperiment *e, RgStatus status, RgExperiment **experiment,
                               RgError *error) {
    if (status == RG_OK)
        status = unfold(e, error);
    if (status != RG_OK) {
        rg_experiment_close(e);
        *experiment = NULL;
        return status;
    }
    e->config_json = rg_settings_to_json(e->settings);
    e->overrides_json = overrides_to_json(e->settings);
    *experiment = e;
    return RG_OK;
}

/* The seed is the one setting at the top of resolved settings. */
static RgStatus add_resolved(RgExperiment *e, const char *swept_json, RgError *error) {
    const RgSetting *seed = rg_settings_find(e->settings, "seed");
    if (!seed || seed->kind != RG_SETTING_INTEGER)
        return rg_fail(error, RG_E_USAGE, "these are no resolved settings of a trial: no seed");
    json_t *swept = json_loads(swept_json, 0, NULL);
    if (!swept)
        return rg_fail(error, RG_E_USAGE, "the swept options are not JSON: %s", swept_json);
    RgStatus status = add_trial(e, e->settings, strtoll(seed->text, NULL, 10), swept, error);
    json_decref(swept);
    return status;
}

RgStatus rg_experiment_of_trial(const char *name, const RgSettings *resolved,
                                const char *swept_json, RgExperiment **experiment, RgError *error) {
    *experiment = NULL;
    RG_TRY(rg_plugins_check(resolved, error));
    RgExperiment *e = rg_allocate(sizeof *e);
    e->settings = rg_settings_clone(resolved);
    rg_settings_remove(e->settings, "plugins"); /* these two are recorded anew */
    rg_settings_remove(e->settings, "inputs");
    rg_settings_set(e->settings, "name", RG_SETTING_STRING, name, "resolved", 0);
    RgStatus status = rg_options_read(rg_experiment_options, e->settings, "", &e->options, error);
    if (status == RG_OK)
        status = add_resolved(e, swept_json, error);
    if (status == RG_OK)
        e->config_json = rg_settings_to_json(e->settings);
    *experiment = status == RG_OK ? e : NULL;
    if (status != RG_OK)
        rg_experiment_close(e);
    return status;
}

static const char *word_of(const RgSettings *resolved, const char *path) {
    const RgSetting *setting = rg_settings_find(resolved, path);
    return setting ? setting->text : "";
}

RgStatus rg_resolved_visit(const RgSettings *resolved, RgOptionVisit *visit, void *context,
                           RgError *error) {
    const RgEnvironmentType *environment =
        rg_environment_type(word_of(resolved, "environment.type"));
    const RgPolicyType *policy = rg_policy_type(word_of(resolved, "policy.type"));
    const RgAlgorithm *algorithm = rg_algorithm_find(word_of(resolved, "algorithm.type"));
    const struct {
        const RgOption *table;
        const char *part;
    } tables[] = {{rg_environment_part_options, "environment"},
                  {environment ? environment->about.options : NULL, "environment"},
                  {rg_policy_part_options, "policy"},
                  {policy ? policy->about.options : NULL, "policy"},
                  {rg_adapter_options, "policy.adapter"},
                  {rg_algorithm_part_options, "algorithm"},
                  {algorithm ? algorithm->about.options : NULL, "algorithm"},
                  {rg_optimizer_options, "optimizer"},
                  {rg_training_options, "training"},
                  {rg_budget_options, "budget"},
                  {rg_evaluation_options, "evaluation"}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        RG_TRY(rg_options_visit(tables[i].table, tables[i].part, resolved, visit, context, error));
    return RG_OK;
}

RgStatus rg_experiment_open(const char *path, const char *const *overrides, int override_count,
                            RgExperiment **experiment, RgError *error) {
    RgExperiment *e = rg_allocate(sizeof *e);
    e->settings = rg_settings_create();
    RgStatus status = rg_config_read(path, e->settings, error);
    for (int i = 0; i < override_count && status == RG_OK; i++)
        status = rg_config_override(e->settings, overrides[i], error);
    return finish_opening(e, status, experiment, error);
}

RgStatus rg_experiment_restore(const char *config_json, RgExperiment **experiment, RgError *error) {
    RgExperiment *e = rg_allocate(sizeof *e);
    e->settings = rg_settings_create();
    e->restored = true;
    RgStatus status = rg_settings_from_json(config_json, e->settings, error);
    return finish_opening(e, status, experiment, error);
}

void rg_experiment_close(RgExperiment *experiment) {
    if (!experiment)
        return;
    rg_lookup_destroy(experiment->keys);
    for (int64_t i = 0; i < experiment->unfolded; i++)
        plan_clear(&experiment->trials[i]);
    free(experiment->trials);
    rg_settings_destroy(experiment->settings);
    free(experiment->config_json);
    free(experiment->overrides_json);
    free(experiment);
}
