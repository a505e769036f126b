/* SPDX-License-Identifier: MIT */
/* Resolving one trial of a config: its options, its inputs, its key. */
#include "experiments/program/config/trial_spec.h"

#include "algorithms/training/shared_terms.h"
#include "core/names.h"
#include "core/plugin.h"
#include "core/suggest.h"
#include "experiments/program/config/input_sums.h"
#include "experiments/program/config/plugins.h"
#include "experiments/program/config/results_version.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const RgOption rg_environment_part_options[] = {
    RG_OPTION_STRING(RgPartOptions, type, NULL, "environment, see: regatta list environments"),
    RG_OPTION_INTEGER(RgPartOptions, seed, "-1", -1, 4294967295.0,
                      "seed of the environment; -1: the trial's, so that it changes with the seed"),
    RG_OPTION_END,
};

static const char *const references[] = {"start", "uniform", NULL};

const RgOption rg_policy_part_options[] = {
    RG_OPTION_STRING(RgPolicyOptions, type, "",
                     "policy, see: regatta list policies; may be omitted "
                     "if weights are given"),
    RG_OPTION_FOLDER(
        RgPolicyOptions, weights, "", rg_policy_files,
        "checkpoint to start from: a file of this program or of llama2.c, or a folder in Hugging "
        "Face's layout (./ and ../ are relative to the config's folder)"),
    RG_OPTION_BOOLEAN(
        RgPolicyOptions, recompute, "false",
        "activation checkpointing: backward recomputes the layers of a transformer instead of "
        "storing their activations; a third more time, much less memory, the same bits"),
    RG_OPTION_CHOICE(RgPolicyOptions, precision, "fp32", rg_precision_names,
                     "format to which a transformer's matrix products round their inputs in "
                     "training, at first order; all else is fp32. bf16 is fast on processors "
                     "with AMX or AVX512_BF16; those with AVX-512 alone need a program built "
                     "after configure --with-onednn"),
    RG_OPTION_CHOICE(
        RgPolicyOptions, reference_storage, "fp32", rg_precision_names,
        "format of the matrices of a transformer's frozen weights: those of the reference, "
        "which with an adapter are also the policy's. bf16 halves the memory; fp32 products "
        "convert it back; the policy starts from the same rounded weights"),
    RG_OPTION_CHOICE(
        RgPolicyOptions, sampling, "fp32", rg_precision_names,
        "format of a transformer sampler's weights, keys and values. bf16 halves the memory "
        "and is faster; log-probabilities are recomputed in fp32, and evaluations on text report "
        "the difference as sampler_kl. Offline pairs are sampled in fp32"),
    RG_OPTION_CHOICE(RgPolicyOptions, reference, "start", references,
                     "reference policy: start, the policy that training starts from; or uniform, "
                     "where responses are enumerated: the uniform policy, whatever the start",
                     .later = true),
    RG_OPTION_END,
};

const RgOption rg_algorithm_part_options[] = {
    RG_OPTION_STRING(RgAlgorithmPart, type, NULL, "algorithm, see: regatta list algorithms"),
    RG_OPTION_CHECKED(RgAlgorithmPart, label, "", rg_label_fault,
                      "name in tables and plots; \"\": the type"),
    RG_OPTION_END,
};

const char *const rg_shared_parts[] = {"environment", "policy",     "optimizer", "training",
                                       "budget",      "evaluation", NULL};

/* ---- names ---- */

RgStatus rg_resolve_unknown_name(const RgSettings *settings, const char *path, RgKind kind,
                                 RgError *error) {
    const RgSetting *setting = rg_settings_find(settings, path);
    if (setting && !rg_find(kind, setting->text) && rg_settings_length(settings, "plugins") > 0 &&
        !rg_plugin_loaded(0)) /* a config from a store: its plug-ins are not loaded */
        return rg_setting_refuse(
            setting, error,
            "not built in; it may come from a plug-in of the config: load that by "
            "regatta --plugin FILE");
    if (setting)
        return rg_refuse_setting_name(kind, setting, error);
    char *names = rg_registered_names(kind);
    RgStatus status = rg_fail(error, RG_E_USAGE, "%s: %s is missing: expected one of %s",
                              rg_settings_file_near(settings, path), path, names);
    free(names);
    return status;
}

RgStatus rg_resolve_place(const RgSettings *settings, RgStatus status, RgError *error) {
    static const char key[] = "abcdefghijklmnopqrstuvwxyz0123456789_.";
    if (status == RG_OK || !error)
        return status;
    char *path = rg_string_format("%.*s", (int)strspn(error->text, key), error->text);
    char *origin = rg_settings_origin(settings, path);
    rg_fail_in(error, status, "%s", origin);
    free(origin);
    free(path);
    return status;
}

RgStatus rg_resolve_key(const RgTrialSpec *plan, const char *part, RgStatus status,
                        RgError *error) {
    bool is_policy = strcmp(part, "policy") == 0, is_method = strcmp(part, "algorithm") == 0;
    if (is_policy && status == RG_E_RANGE && !plan->policy.weights[0])
        status = RG_E_USAGE;
    if (status != RG_E_USAGE)
        return status;
    if (is_method)
        return rg_options_name_key(plan->algorithm->about.options, part, status, error);
    if (!is_policy)
        return rg_options_name_key(rg_environment_type(plan->environment.type)->about.options, part,
                                   status, error);
    /* A policy that is weights alone has no type, and no options of one. */
    const RgPolicyType *type = rg_policy_type(plan->policy.type);
    return rg_options_name_key(type ? type->about.options : NULL, part, status, error);
}

/* ---- one trial ---- */

/* Reads the group `path` of `settings`, records it in `resolved`, and reads it again from there, so
 * that its strings belong to `resolved`, which lives as long as the specification. */
static RgStatus read_part(const RgOption *table, const RgSettings *settings, const char *path,
                          void *values, RgSettings *resolved, RgError *error) {
    if (!table)
        return RG_OK;
    RG_TRY(rg_options_read(table, settings, path, values, error));
    rg_options_record(table, values, path, resolved);
    return rg_options_read(table, resolved, path, values, error);
}

/* Options of a type chosen by name are interpreted only by the type's create function. Here they
 * are checked and recorded. */
static RgStatus check_type_options(const RgOption *table, size_t size, const RgSettings *settings,
                                   const char *path, RgSettings *resolved, RgError *error) {
    if (!table)
        return RG_OK;
    void *values = rg_allocate(size, 1);
    RgStatus status = read_part(table, settings, path, values, resolved, error);
    free(values);
    return status;
}

static RgStatus resolve_environment(RgTrialSpec *plan, const RgSettings *s, RgError *error) {
    RG_TRY(read_part(rg_environment_part_options, s, "environment", &plan->environment,
                     plan->resolved, error));
    const RgEnvironmentType *type = rg_environment_type(plan->environment.type);
    if (!type)
        return rg_resolve_unknown_name(s, "environment.type", RG_ENVIRONMENT, error);
    RG_TRY(rg_environment_type_check(type, error));
    return check_type_options(type->about.options, type->about.options_size, s, "environment",
                              plan->resolved, error);
}

/* Refuses the setting `path` with the message of `reason`. */
static RgStatus refuse(const char *path, const RgSettings *s, const RgError *reason,
                       RgError *error) {
    const RgSetting *setting = rg_settings_find(s, path);
    return setting ? rg_setting_refuse(setting, error, "%s", reason->text)
                   : rg_fail(error, RG_E_USAGE, "%s: %s: %s", rg_settings_file_near(s, path), path,
                             reason->text);
}

/* Checks the formats of the policy's weights and products; `type` is NULL if not known yet. */
static RgStatus check_precision(const RgTrialSpec *plan, const RgPolicyType *type,
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

static RgStatus resolve_adapter(RgTrialSpec *plan, const RgSettings *s, RgError *error) {
    RG_TRY(
        read_part(rg_adapter_options, s, "policy.adapter", &plan->adapter, plan->resolved, error));
    RgError reason = {0};
    if (plan->adapter.rank > 0 || !plan->adapter.weights[0])
        return RG_OK;
    rg_fail(&reason, RG_E_USAGE,
            "expected policy.adapter.rank too: the r of the folder's adapter_config.json");
    return refuse("policy.adapter.weights", s, &reason, error);
}

static RgStatus resolve_policy(RgTrialSpec *plan, const RgSettings *s, RgError *error) {
    RG_TRY(read_part(rg_policy_part_options, s, "policy", &plan->policy, plan->resolved, error));
    if (plan->policy.weights[0]) { /* loading them determines the type */
        RG_TRY(check_precision(plan, NULL, s, error));
        return resolve_adapter(plan, s, error);
    }
    if (!plan->policy.type[0])
        return rg_fail(error, RG_E_USAGE,
                       "%s: policy: expected type = \"…\" or weights = \"file\", found neither",
                       rg_settings_file_near(s, "policy"));
    const RgPolicyType *type = rg_policy_type(plan->policy.type);
    if (!type)
        return rg_resolve_unknown_name(s, "policy.type", RG_POLICY, error);
    RG_TRY(rg_policy_type_check(type, error));
    if (type->adapt)
        RG_TRY(resolve_adapter(plan, s, error));
    RG_TRY(check_precision(plan, type, s, error));
    return check_type_options(type->about.options, type->about.options_size, s, "policy",
                              plan->resolved, error);
}

static RgStatus resolve_algorithm(RgTrialSpec *plan, const RgSettings *s, RgError *error) {
    RG_TRY(
        read_part(rg_algorithm_part_options, s, "algorithm", &plan->part, plan->resolved, error));
    const RgAlgorithm *algorithm = rg_algorithm_find(plan->part.type);
    if (!algorithm)
        return rg_resolve_unknown_name(s, "algorithm.type", RG_ALGORITHM, error);
    RG_TRY(rg_algorithm_check(algorithm, error));
    if (!plan->part.label[0])
        plan->part.label = algorithm->about.name;
    plan->algorithm = algorithm;
    plan->algorithm_options = rg_allocate(1, algorithm->about.options_size);
    RG_TRY(read_part(algorithm->about.options, s, "algorithm", plan->algorithm_options,
                     plan->resolved, error));
    plan->recipe = rg_recipe_of(algorithm, plan->algorithm_options);
    return RG_OK;
}

/* A limit that is given as 0; one of the command line before those of files. */
static const RgSetting *zero_limit(const RgSettings *s) {
    const RgSetting *found = NULL;
    for (int i = 0; i < RG_COSTS; i++) {
        char path[64];
        snprintf(path, sizeof path, "budget.%s", rg_cost_names[i]);
        const RgSetting *setting = rg_settings_find(s, path);
        if (setting && (!found || setting->line == 0))
            found = setting;
    }
    return found;
}

/* A limit on something that the algorithm never spends would let it run for ever. */
static RgStatus check_limits(const RgTrialSpec *plan, const RgSettings *s, RgError *error) {
    int useless = -1;
    if (plan->budget.epochs > 0)
        return RG_OK; /* they become steps */
    for (int i = 0; i < RG_COSTS; i++) {
        if (rg_budget_limit(&plan->budget, (RgCost)i) == 0)
            continue;
        if (rg_step_spends(plan->algorithm, plan->algorithm_options, &plan->recipe, (RgCost)i))
            return RG_OK;
        useless = i;
    }
    if (useless >= 0)
        return rg_fail(error, RG_E_USAGE,
                       "budget.%s = %.10g: %s with these options spends none of it and would never "
                       "end: add a limit of steps, flops or seconds",
                       rg_cost_names[useless], rg_budget_limit(&plan->budget, (RgCost)useless),
                       plan->part.label);
    const RgSetting *zero = zero_limit(s);
    return rg_fail(error, RG_E_USAGE,
                   "%s%s: expected at least one of steps, flops, seconds, generated_tokens, "
                   "judge_queries, epochs above 0",
                   zero ? zero->path : "budget", zero ? " = 0" : "");
}

/* It is seen by evaluations, and one has to be within. */
static RgStatus check_kl(const RgTrialSpec *plan, RgError *error) {
    const RgEvaluationOptions *e = &plan->evaluation;
    if (plan->budget.kl == 0 || (e->every > 0 && e->start))
        return RG_OK;
    return rg_fail(error, RG_E_USAGE, "budget.kl = %g: expected %s as well", plan->budget.kl,
                   e->start ? "evaluation.every above 0" : "evaluation.start = true");
}

static RgStatus check_budget(const RgTrialSpec *plan, const RgSettings *s, RgError *error) {
    RG_TRY(check_kl(plan, error));
    RG_TRY(check_limits(plan, s, error));
    if (plan->budget.steps == 0 && plan->budget.epochs == 0 &&
        plan->optimizer.schedule != RG_SCHEDULE_CONSTANT)
        return rg_fail(error, RG_E_USAGE,
                       "optimizer.schedule: a schedule that decays needs "
                       "budget.steps or budget.epochs above 0");
    return RG_OK;
}

static RgStatus check_evaluation(const RgTrialSpec *plan, const RgSettings *s, RgError *error) {
    const RgEvaluationOptions *e = &plan->evaluation;
    if (e->per == RG_COST_STEPS && e->every != floor(e->every))
        return rg_setting_refuse(rg_settings_find(s, "evaluation.every"), error,
                                 "expected a whole number of steps");
    if (e->patience > 0 && !e->select[0])
        return rg_setting_refuse(rg_settings_find(s, "evaluation.patience"), error,
                                 "expected evaluation.select as well, the metric that has to "
                                 "improve");
    if (e->patience > 0 && e->every == 0)
        return rg_setting_refuse(rg_settings_find(s, "evaluation.patience"), error,
                                 "expected evaluation.every above 0 as well");
    if (e->gradients == 1) /* of one batch there is no variance */
        return rg_setting_refuse(rg_settings_find(s, "evaluation.gradients"), error,
                                 "expected 0, or at least 2 batches");
    if (e->gradients > 0 && plan->algorithm->terms && plan->recipe.shared.sft_coefficient > 0)
        return rg_setting_refuse(rg_settings_find(s, "evaluation.gradients"), error,
                                 "expected 0 with sft_coefficient, which adds a term to those that "
                                 "it measures");
    return RG_OK;
}

/* The path of a part's first setting, whether the part is a group or a name alone. */
static const char *part_path(const RgSettings *s, const char *part, char path[96]) {
    snprintf(path, 96, "%s.type", part);
    return rg_settings_find(s, path) ? path : part;
}

/* The path of the setting that chooses the judge. Some environments have one judge. */
static const char *judge_path(const RgSettings *s, char path[96]) {
    const char *judge = part_path(s, "environment.judge", path);
    return rg_settings_find(s, judge) ? judge : part_path(s, "environment", path);
}

/* A reference that moves is a copy of the policy from the first step on. */
static RgStatus check_reference(const RgTrialSpec *plan, const RgSettings *s, RgError *error) {
    if (plan->recipe.shared.reference_steps > 0 && plan->policy.reference != RG_REFERENCE_START)
        return rg_setting_refuse(rg_settings_find(s, "policy.reference"), error,
                                 "expected \"start\" with reference_steps above 0");
    return rg_shared_terms_check(plan->algorithm, &plan->recipe, plan->adapter.rank > 0, error);
}

static RgStatus check_rewards(const RgTrialSpec *plan, const void *options, const RgSettings *s,
                              RgError *error) {
    const RgEnvironmentType *type = rg_environment_type(plan->environment.type);
    RgError reason = {0};
    char path[96];
    bool rewards = !type->gives_rewards || type->gives_rewards(options);
    if (rg_recipe_check_rewards(plan->algorithm, &plan->recipe, rewards, &reason) == RG_OK)
        return RG_OK;
    return refuse(judge_path(s, path), s, &reason, error);
}

/* Refuses the setting `path`, which asks for `metric`, if evaluations do not have that. */
static RgStatus check_metric(const RgTrialSpec *plan, const void *options, const char *path,
                             const char *metric, const RgSettings *s, RgError *error) {
    const RgEnvironmentType *type = rg_environment_type(plan->environment.type);
    size_t count = 0, known = 0;
    while (type->metrics[count])
        count++;
    const char **names = rg_allocate(count + 1, sizeof *names);
    bool found = false;
    for (size_t i = 0; i < count; i++)
        if (!type->measures || type->measures(options, type->metrics[i])) {
            names[known++] = type->metrics[i];
            found = found || strcmp(type->metrics[i], metric) == 0;
        }
    RgError reason = {0};
    const char **sorted = rg_names_by_likeness(metric, names);
    char *list = rg_list_names(sorted);
    rg_fail(&reason, RG_E_USAGE,
            "evaluations of the %s environment have no metric \"%.100s\"%s: expected one of %s",
            type->about.name, metric, rg_suggest(metric, names).text, list);
    free(list);
    free(sorted);
    free(names);
    return found ? RG_OK : refuse(path, s, &reason, error);
}

static RgStatus check_selection(const RgTrialSpec *plan, const void *options, const RgSettings *s,
                                RgError *error) {
    if (!rg_environment_type(plan->environment.type)->metrics)
        return RG_OK;
    if (plan->budget.kl > 0)
        RG_TRY(check_metric(plan, options, "budget.kl", "kl", s, error));
    const char *select = plan->evaluation.select;
    return select[0] ? check_metric(plan, options, "evaluation.select", select, s, error) : RG_OK;
}

RgStatus rg_trial_spec_check_environment(const RgTrialSpec *plan, const RgSettings *s,
                                         RgError *error) {
    const RgEnvironmentType *type = rg_environment_type(plan->environment.type);
    void *options = rg_allocate(1, type->about.options_size);
    RgStatus status =
        rg_options_read(type->about.options, plan->resolved, "environment", options, error);
    if (status == RG_OK)
        status = check_rewards(plan, options, s, error);
    if (status == RG_OK)
        status = check_selection(plan, options, s, error);
    free(options);
    return status;
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

bool rg_input_is_missing(const RgOption *option, const RgSetting *setting) {
    return names_input(option, setting) && access(setting->text, F_OK) != 0;
}

/* Settings of a trial that was read from a store come from no line. */
char *rg_input_missing_text(const RgSetting *input) {
    char line[16] = "";
    if (input->line > 0)
        snprintf(line, sizeof line, ":%d", input->line);
    bool placed = input->line > 0 || strcmp(input->file, "-s") == 0;
    return rg_string_format("%s%s%s%s = \"%.300s\" is missing", placed ? input->file : "", line,
                            placed ? ": " : "", input->path, input->text);
}

static RgStatus refuse_missing(const RgSetting *input, RgError *error) {
    char *text = rg_input_missing_text(input);
    RgStatus status = rg_fail(error, RG_E_FILE, "%s", text);
    free(text);
    return status;
}

/* Replaces a message that has an input's path but not its setting. */
static RgStatus refuse_if_named(void *message, const RgOption *option, const RgSetting *setting,
                                RgError *error) {
    return rg_input_is_missing(option, setting) && strstr(message, setting->text) &&
                   !strstr(message, setting->path)
               ? refuse_missing(setting, error)
               : RG_OK;
}

char *rg_resolved_groups(const RgSettings *resolved, const char *const *groups) {
    RgSettings *part = rg_settings_create();
    for (int i = 0; groups[i]; i++)
        rg_settings_copy_group(part, groups[i], resolved, groups[i]);
    char *json = rg_settings_to_json(part);
    rg_settings_destroy(part);
    return json;
}

RgStatus rg_resolved_name_missing(const RgSettings *resolved, RgStatus status, RgError *error) {
    if (status != RG_OK && error) {
        RgError message = *error;
        rg_resolved_visit(resolved, refuse_if_named, message.text, error);
    }
    return status;
}

/* Records the sums of existing inputs. Errors are left to the reader of the input, at run time. */
static RgStatus record_what_is_there(void *resolved, const RgOption *option,
                                     const RgSetting *setting, RgError *error) {
    char sha256[RG_SHA256_TEXT];
    (void)error;
    RgError ignored = {0};
    if (names_input(option, setting) && rg_input_is_summable(setting->text) &&
        rg_input_sum(option, setting->text, sha256, &ignored) == RG_OK)
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
    if (rg_input_is_missing(option, setting))
        return refuse_missing(setting, error);
    RG_TRY(rg_input_sum(option, setting->text, sha256, error));
    return strcmp(sha256, recorded->text) == 0 ? RG_OK
                                               : rg_fail(error, RG_E_FORMAT,
                                                         "%s = \"%.300s\" has changed since the "
                                                         "trial was recorded: its contents differ",
                                                         setting->path, setting->text);
}

RgStatus rg_resolved_check_inputs(const RgSettings *resolved, RgError *error) {
    return rg_resolved_visit(resolved, check_input, (void *)resolved, error);
}

/* Hashes only what determines results: neither the address of a judge nor the path of a file whose
 * contents are recorded. */
static void hash_plan(RgTrialSpec *plan) {
    free(plan->resolved_json);
    plan->resolved_json = rg_settings_to_json(plan->resolved);
    RgSettings *deciding = rg_settings_clone(plan->resolved);
    rg_plugins_drop_names(deciding);
    if (rg_settings_has_group(deciding, "inputs"))
        rg_resolved_visit(plan->resolved, drop_recorded, deciding, NULL);
    rg_options_drop_execution_only(rg_environment_type(plan->environment.type)->about.options,
                                   "environment", deciding);
    char *json = rg_settings_to_json(deciding);
    uint64_t hash = rg_hash(RG_HASH_START, json, strlen(json));
    hash = rg_hash(hash, RG_RESULTS_VERSION, strlen(RG_RESULTS_VERSION));
    rg_settings_destroy(deciding);
    free(json);
    snprintf(plan->key, sizeof plan->key, "%016llx", (unsigned long long)hash);
}

void rg_trial_spec_key(RgTrialSpec *plan, bool read_inputs) {
    if (read_inputs)
        rg_resolved_visit(plan->resolved, record_what_is_there, plan->resolved, NULL);
    hash_plan(plan);
}

void rg_trial_spec_assume(RgTrialSpec *plan, const json_t *sums) {
    Assumption assumption = {plan->resolved, sums};
    rg_resolved_visit(plan->resolved, record_what_was_there, &assumption, NULL);
    hash_plan(plan);
}

/* Appends the names of options that are recorded only if not at their defaults to the `used` first
 * of `known`. Returns the new count. */
static int add_later(const RgOption *table, const char **known, int used, int most) {
    const RgOption *o;
    for (int i = 0; (o = rg_options_at(table, i, NULL)) && used < most; i++)
        if (o->later)
            known[used++] = o->name;
    return used;
}

/* Refuses unknown keys in the group `part`, and suggests the nearest known key. */
static RgStatus check_part_keys(const RgTrialSpec *plan, const RgSettings *s, const char *part,
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
    if (strcmp(part, "algorithm") == 0)
        used = add_later(plan->algorithm->about.options, known, used, MOST_KEYS);
    if (strcmp(part, "environment") == 0)
        used = add_later(rg_environment_type(plan->environment.type)->about.options, known, used,
                         MOST_KEYS);
    if (strcmp(part, "training") == 0)
        used = add_later(rg_training_options, known, used, MOST_KEYS);
    if (strcmp(part, "budget") == 0)
        used = add_later(rg_budget_options, known, used, MOST_KEYS);
    if (strcmp(part, "evaluation") == 0)
        used = add_later(rg_evaluation_options, known, used, MOST_KEYS);
    known[used] = NULL;
    return rg_settings_check_used(s, part, known, error);
}

/* Shared parts that a trial without training does not read are not checked. */
static RgStatus check_unknown_keys(const RgTrialSpec *plan, const RgSettings *s, RgError *error) {
    RG_TRY(check_part_keys(plan, s, "algorithm", error));
    for (int i = 0; rg_shared_parts[i]; i++)
        if (rg_settings_has_group(plan->resolved, rg_shared_parts[i]))
            RG_TRY(check_part_keys(plan, s, rg_shared_parts[i], error));
    return RG_OK;
}

RgStatus rg_trial_spec_resolve(RgTrialSpec *plan, const RgSettings *s, RgError *error) {
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
        RgStatus fits = rg_training_check(plan->algorithm, &plan->recipe, &plan->training, error);
        RG_TRY(rg_resolve_place(s, rg_resolve_key(plan, "algorithm", fits, error), error));
        fits = check_reference(plan, s, error);
        RG_TRY(rg_resolve_place(s, rg_resolve_key(plan, "algorithm", fits, error), error));
        RG_TRY(read_part(rg_budget_options, s, "budget", &plan->budget, plan->resolved, error));
    }
    RG_TRY(read_part(rg_evaluation_options, s, "evaluation", &plan->evaluation, plan->resolved,
                     error));
    RG_TRY(check_evaluation(plan, s, error));
    if (trains)
        RG_TRY(rg_resolve_place(s, check_budget(plan, s, error), error));
    RG_TRY(check_unknown_keys(plan, s, error));
    rg_settings_copy_origins(plan->resolved, s);
    rg_plugins_record(plan->resolved);
    return RG_OK;
}

void rg_trial_spec_clear(RgTrialSpec *plan) {
    rg_settings_destroy(plan->resolved);
    free(plan->resolved_json);
    free(plan->swept_json);
    free(plan->algorithm_options);
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
