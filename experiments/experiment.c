/* Unfolding a config into trials. Nothing runs here. */
#include "experiments/experiment.h"

#include "experiments/config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const RgOption rg_experiment_options[] = {
    RG_OPTION_STRING(RgExperimentOptions, name, NULL,
                     "name of the experiment; its results go to results/NAME.db"),
    RG_OPTION_STRING(RgExperimentOptions, description, "", "one line for the report"),
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
    RG_OPTION_STRING(
        RgPolicyOptions, weights, "",
        "checkpoint to start from: a file of this program or of llama2.c, or a folder in Hugging "
        "Face's layout (./ and ../ are of the config's folder)"),
    RG_OPTION_BOOLEAN(
        RgPolicyOptions, recompute, "false",
        "whether backward runs the layers of a transformer again, in place of keeping "
        "what they made: a third more time, much less memory, the same bits"),
    RG_OPTION_CHOICE(RgPolicyOptions, precision, "fp32", rg_precision_names,
                     "what numbers a transformer's matrix products round their inputs to in "
                     "training, at first order; all else is fp32. bf16 needs a program built "
                     "after configure --with-onednn, and is fast on processors with AVX512_BF16 "
                     "or AMX"),
    RG_OPTION_CHOICE(
        RgPolicyOptions, reference_storage, "fp32", rg_precision_names,
        "how the matrices of a transformer's frozen weights are held: those of the reference, "
        "which beside an adapter are the policy's own too. bf16 takes half the memory, and is "
        "computed with in fp32; the policy starts from the same rounded weights"),
    RG_OPTION_END,
};

const RgOption rg_budget_options[] = {
    RG_OPTION_INTEGER(RgBudgetOptions, steps, "0", 0, 1e12, "most steps; 0: no limit"),
    RG_OPTION_REAL(RgBudgetOptions, flops, "0", 0, 1e30,
                   "floating-point operations after which a trial ends; 0: no limit"),
    RG_OPTION_REAL(RgBudgetOptions, seconds, "0", 0, 1e12,
                   "seconds of training after which a trial ends; 0: no limit"),
    RG_OPTION_INTEGER(RgBudgetOptions, judge_queries, "0", 0, 1e15,
                      "judged responses after which a trial ends; 0: no limit"),
    RG_OPTION_END,
};

const RgOption rg_evaluation_options[] = {
    RG_OPTION_INTEGER(RgEvaluationOptions, every, "0", 0, 1e12,
                      "steps between evaluations; 0: at the end only"),
    RG_OPTION_BOOLEAN(RgEvaluationOptions, start, "true", "evaluate before the first step too"),
    RG_OPTION_INTEGER(RgEvaluationOptions, log_every, "10", 1, 1e12,
                      "steps between logged training metrics"),
    RG_OPTION_END,
};

const RgOption rg_algorithm_part_options[] = {
    RG_OPTION_STRING(RgAlgorithmPart, type, NULL, "algorithm, see: regatta list algorithms"),
    RG_OPTION_STRING(RgAlgorithmPart, label, "", "name in tables and plots; \"\": the type"),
    RG_OPTION_END,
};

/* The parts that all algorithms share and that each may override in its own group. */
static const char *const shared_parts[] = {"environment", "policy",     "optimizer", "training",
                                           "budget",      "evaluation", NULL};

/* ---- names ---- */

static const char *algorithm_name(int i) {
    return rg_algorithms[i] ? rg_algorithms[i]->name : NULL;
}
static const char *environment_name(int i) {
    return rg_environment_types[i] ? rg_environment_types[i]->name : NULL;
}
static const char *policy_name(int i) {
    return rg_policy_types[i] ? rg_policy_types[i]->name : NULL;
}

/* `name` at `path` is none of the registered names. */
static RgStatus unknown_name(const RgSettings *settings, const char *path, const char *name,
                             const char *(*name_at)(int), RgError *error) {
    const char *names[64];
    char list[512] = "";
    int count = 0;
    for (; name_at(count) && count < 63; count++) {
        names[count] = name_at(count);
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", count ? ", " : "", names[count]);
    }
    names[count] = NULL;
    const RgSetting *setting = rg_settings_find(settings, path);
    const char *nearest = rg_nearest_name(name, names);
    return setting ? rg_setting_refuse(setting, error, "expected one of %s%s%s%s", list,
                                       nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                                       nearest ? "\"?" : "")
                   : rg_fail(error, RG_E_USAGE, "%s is missing: expected one of %s", path, list);
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
        return unknown_name(s, "environment.type", plan->environment.type, environment_name, error);
    return check_type_options(type->options, type->options_size, s, "environment", plan->resolved,
                              error);
}

/* Refuse a setting for a reason, where there is one. */
static RgStatus refuse(const char *path, const RgSettings *s, const RgError *reason,
                       RgError *error) {
    const RgSetting *setting = rg_settings_find(s, path);
    return setting ? rg_setting_refuse(setting, error, "%s", reason->text)
                   : rg_fail(error, RG_E_USAGE, "%s: %s", path, reason->text);
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
                       "policy: expected type = \"…\" or weights = \"file\", found neither");
    const RgPolicyType *type = rg_policy_type(plan->policy.type);
    if (!type)
        return unknown_name(s, "policy.type", plan->policy.type, policy_name, error);
    if (type->adapt)
        RG_TRY(read_part(rg_adapter_options, s, "policy.adapter", &plan->adapter, plan->resolved,
                         error));
    RG_TRY(check_precision(plan, type, s, error));
    return check_type_options(type->options, type->options_size, s, "policy", plan->resolved,
                              error);
}

static RgStatus resolve_algorithm(RgTrialPlan *plan, const RgSettings *s, RgError *error) {
    RG_TRY(
        read_part(rg_algorithm_part_options, s, "algorithm", &plan->part, plan->resolved, error));
    const RgAlgorithm *algorithm = rg_algorithm_find(plan->part.type);
    if (!algorithm)
        return unknown_name(s, "algorithm.type", plan->part.type, algorithm_name, error);
    if (!plan->part.label[0])
        plan->part.label = algorithm->name;
    plan->algorithm = algorithm;
    plan->algorithm_options = rg_allocate(algorithm->options_size + 1);
    return read_part(algorithm->options, s, "algorithm", plan->algorithm_options, plan->resolved,
                     error);
}

static RgStatus check_budget(const RgTrialPlan *plan, RgError *error) {
    const RgBudgetOptions *b = &plan->budget;
    if (!plan->algorithm->loss && !plan->algorithm->step)
        return RG_OK;
    if (b->steps == 0 && b->flops == 0 && b->seconds == 0 && b->judge_queries == 0)
        return rg_fail(error, RG_E_USAGE,
                       "budget: expected at least one of steps, flops, seconds, "
                       "judge_queries above 0");
    if (b->steps == 0 && plan->optimizer.schedule != RG_SCHEDULE_CONSTANT)
        return rg_fail(error, RG_E_USAGE,
                       "optimizer.schedule: a schedule that decays needs "
                       "budget.steps above 0");
    return RG_OK;
}

/* Of all that decides the trial's results: a judge that has moved to another address is the same.
 */
static void hash_plan(RgTrialPlan *plan) {
    plan->resolved_json = rg_settings_to_json(plan->resolved);
    RgSettings *deciding = rg_settings_clone(plan->resolved);
    rg_options_drop_incidental(rg_environment_type(plan->environment.type)->options, "environment",
                               deciding);
    char *json = rg_settings_to_json(deciding);
    uint64_t hash = rg_hash(RG_HASH_START, json, strlen(json));
    hash = rg_hash(hash, RG_VERSION, strlen(RG_VERSION));
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

static RgStatus check_unknown_keys(const RgTrialPlan *plan, const RgSettings *s, RgError *error) {
    RG_TRY(check_part_keys(plan, s, "algorithm", error));
    for (int i = 0; shared_parts[i]; i++)
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
        RG_TRY(read_part(rg_budget_options, s, "budget", &plan->budget, plan->resolved, error));
    }
    RG_TRY(read_part(rg_evaluation_options, s, "evaluation", &plan->evaluation, plan->resolved,
                     error));
    RG_TRY(check_budget(plan, error));
    if (trains)
        RG_TRY(check_unknown_keys(plan, s, error));
    hash_plan(plan);
    return RG_OK;
}

/* ---- sweeps ---- */

enum { MOST_SWEEPS = 8 };

typedef struct Sweep {
    const char *option;            /* path inside a trial: "algorithm.exploration" */
    const RgSetting *values[1024]; /* [count] */
    int64_t count;
} Sweep;

static RgStatus read_sweeps(const RgSettings *s, Sweep *sweeps, int *count, RgError *error) {
    *count = 0;
    int64_t length = rg_settings_length(s, "sweep");
    if (length > MOST_SWEEPS)
        return rg_fail(error, RG_E_USAGE, "sweep: at most %d options can be swept at once",
                       MOST_SWEEPS);
    for (int64_t i = 0; i < length; i++) {
        char path[64];
        Sweep *sweep = &sweeps[*count];
        snprintf(path, sizeof path, "sweep.%d.option", (int)i);
        const RgSetting *option = rg_settings_find(s, path);
        if (!option || option->kind != RG_SETTING_STRING)
            return rg_fail(error, RG_E_USAGE,
                           "%s is missing: expected a path such as \"algorithm.exploration\"",
                           path);
        sweep->option = option->text;
        snprintf(path, sizeof path, "sweep.%d.values", (int)i);
        sweep->count = rg_settings_length(s, path);
        if (sweep->count < 1 || sweep->count > 1024)
            return rg_fail(error, RG_E_USAGE, "%s: expected a list of 1 to 1024 values", path);
        for (int64_t k = 0; k < sweep->count; k++) {
            snprintf(path, sizeof path, "sweep.%d.values.%d", (int)i, (int)k);
            sweep->values[k] = rg_settings_find(s, path);
            if (!sweep->values[k])
                return rg_fail(error, RG_E_USAGE, "%s: expected a number, word or boolean", path);
        }
        (*count)++;
    }
    return RG_OK;
}

static bool has_option(const RgOption *table, const char *name) {
    for (; table && table->kind != RG_KIND_END; table++)
        if (strcmp(table->name, name) == 0)
            return true;
    return false;
}

/* An option of algorithms is swept where the algorithm has it; all others go through once. */
static bool sweep_applies(const Sweep *sweep, const RgAlgorithm *algorithm) {
    const char prefix[] = "algorithm.";
    if (strncmp(sweep->option, prefix, sizeof prefix - 1) != 0)
        return algorithm->loss || algorithm->step;
    return has_option(algorithm->options, sweep->option + sizeof prefix - 1);
}

static json_t *swept_value(const RgSetting *value) {
    switch (value->kind) {
    case RG_SETTING_INTEGER:
        return json_integer(strtoll(value->text, NULL, 10));
    case RG_SETTING_REAL:
        return json_real(strtod(value->text, NULL));
    case RG_SETTING_BOOLEAN:
        return json_boolean(strcmp(value->text, "true") == 0);
    default:
        return json_string(value->text);
    }
}

/* ---- unfolding ---- */

/* The settings of one trial before sweeps: shared parts, then what the algorithm's group overrides.
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

static RgStatus add_trial(RgExperiment *e, const RgSettings *settings, int64_t seed, json_t *swept,
                          RgError *error) {
    e->trials = rg_reallocate(e->trials, (size_t)e->trial_count + 1, sizeof *e->trials);
    RgTrialPlan *plan = &e->trials[e->trial_count++];
    *plan = (RgTrialPlan){.seed = seed};
    plan->swept_json = json_dumps(swept, JSON_SORT_KEYS | JSON_COMPACT);
    RgStatus status = resolve_trial(plan, settings, error);
    if (status == RG_OK)
        for (int64_t i = 0; i + 1 < e->trial_count; i++)
            if (strcmp(e->trials[i].key, plan->key) == 0)
                return rg_fail(error, RG_E_USAGE,
                               "algorithms: \"%s\" with seed %lld is there twice with the same "
                               "settings",
                               plan->part.label, (long long)seed);
    return status;
}

/* Every combination of the sweeps from `depth` on. */
static RgStatus unfold_sweeps(RgExperiment *e, const RgSettings *settings, const Sweep *sweeps,
                              int count, int depth, const RgAlgorithm *algorithm, int64_t seed,
                              json_t *swept, RgError *error) {
    while (depth < count && !sweep_applies(&sweeps[depth], algorithm))
        depth++;
    if (depth == count)
        return add_trial(e, settings, seed, swept, error);
    const Sweep *sweep = &sweeps[depth];
    for (int64_t i = 0; i < sweep->count; i++) {
        const RgSetting *value = sweep->values[i];
        RgSettings *next = rg_settings_clone(settings);
        rg_settings_set(next, sweep->option, value->kind, value->text, value->file, value->line);
        const char *dot = strrchr(sweep->option, '.');
        json_object_set_new(swept, dot ? dot + 1 : sweep->option, swept_value(value));
        RgStatus status =
            unfold_sweeps(e, next, sweeps, count, depth + 1, algorithm, seed, swept, error);
        json_object_del(swept, dot ? dot + 1 : sweep->option);
        rg_settings_destroy(next);
        RG_TRY(status);
    }
    return RG_OK;
}

static RgStatus unfold_algorithm(RgExperiment *e, int64_t index, int64_t seed, const Sweep *sweeps,
                                 int sweep_count, RgError *error) {
    char path[64];
    snprintf(path, sizeof path, "algorithms.%d.type", (int)index);
    const RgSetting *type = rg_settings_find(e->settings, path);
    if (!type)
        return rg_fail(error, RG_E_USAGE, "%s is missing: expected the name of an algorithm", path);
    const RgAlgorithm *algorithm = rg_algorithm_find(type->text);
    if (!algorithm)
        return unknown_name(e->settings, path, type->text, algorithm_name, error);
    RgSettings *trial = trial_settings(e->settings, index);
    json_t *swept = json_object();
    RgStatus status =
        unfold_sweeps(e, trial, sweeps, sweep_count, 0, algorithm, seed, swept, error);
    json_decref(swept);
    rg_settings_destroy(trial);
    return status;
}

static RgStatus read_seed(const RgSettings *s, int64_t index, int64_t *seed, RgError *error) {
    char path[64];
    snprintf(path, sizeof path, "seeds.%d", (int)index);
    const RgSetting *setting = rg_settings_find(s, path);
    if (!setting || setting->kind != RG_SETTING_INTEGER || setting->text[0] == '-')
        return setting ? rg_setting_refuse(setting, error, "expected an integer of 0 or more")
                       : rg_fail(error, RG_E_USAGE, "%s is missing: expected an integer", path);
    *seed = strtoll(setting->text, NULL, 10);
    return RG_OK;
}

/* Keys at the top level that are nobody's. */
static RgStatus check_top_level(const RgSettings *s, RgError *error) {
    static const char *const known[] = {"name",       "description", "seeds",    "environment",
                                        "policy",     "optimizer",   "training", "budget",
                                        "evaluation", "algorithms",  "sweep",    NULL};
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

static RgStatus unfold(RgExperiment *e, RgError *error) {
    RG_TRY(check_top_level(e->settings, error));
    RG_TRY(rg_options_read(rg_experiment_options, e->settings, "", &e->options, error));
    int64_t seeds = rg_settings_length(e->settings, "seeds");
    int64_t algorithms = rg_settings_length(e->settings, "algorithms");
    if (seeds < 1)
        return rg_fail(error, RG_E_USAGE, "seeds is missing: expected a list such as [1, 2, 3]");
    if (algorithms < 1)
        return rg_fail(error, RG_E_USAGE,
                       "algorithms is missing: expected a list such as ({ type = \"dpo\"; })");
    Sweep *sweeps = rg_allocate(MOST_SWEEPS * sizeof *sweeps);
    int sweep_count;
    RgStatus status = read_sweeps(e->settings, sweeps, &sweep_count, error);
    /* seeds outermost: after the first round every algorithm has been seen once */
    for (int64_t s = 0; s < seeds && status == RG_OK; s++) {
        int64_t seed = 0;
        status = read_seed(e->settings, s, &seed, error);
        for (int64_t a = 0; a < algorithms && status == RG_OK; a++)
            status = unfold_algorithm(e, a, seed, sweeps, sweep_count, error);
    }
    free(sweeps);
    return status;
}

RgStatus rg_experiment_open(const char *path, const char *const *overrides, int override_count,
                            RgExperiment **experiment, RgError *error) {
    RgExperiment *e = rg_allocate(sizeof *e);
    e->settings = rg_settings_create();
    RgStatus status = rg_config_read(path, e->settings, error);
    for (int i = 0; i < override_count && status == RG_OK; i++)
        status = rg_config_override(e->settings, overrides[i], error);
    if (status == RG_OK)
        status = unfold(e, error);
    if (status != RG_OK) {
        rg_experiment_close(e);
        *experiment = NULL;
        return status;
    }
    e->config_json = rg_settings_to_json(e->settings);
    *experiment = e;
    return RG_OK;
}

void rg_experiment_close(RgExperiment *experiment) {
    if (!experiment)
        return;
    for (int64_t i = 0; i < experiment->trial_count; i++) {
        RgTrialPlan *plan = &experiment->trials[i];
        rg_settings_destroy(plan->resolved);
        free(plan->resolved_json);
        free(plan->swept_json);
        free(plan->algorithm_options);
    }
    free(experiment->trials);
    rg_settings_destroy(experiment->settings);
    free(experiment->config_json);
    free(experiment);
}
