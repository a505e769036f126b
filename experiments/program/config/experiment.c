/* SPDX-License-Identifier: MIT */
/* Unfolding a config into trials. Nothing is run here. */
#include "experiments/program/config/experiment.h"

#include "core/config_file.h"
#include "core/lookup.h"
#include "core/names.h"
#include "core/notice.h"
#include "core/suggest.h"
#include "experiments/program/config/plugins.h"
#include "experiments/program/config/sweep.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const RgOption rg_experiment_options[] = {
    RG_OPTION_CHECKED(RgExperimentOptions, name, NULL, rg_experiment_name_fault,
                      "name of the experiment; its results go to results/NAME.db"),
    RG_OPTION_STRING(RgExperimentOptions, description, "", "one line for the report"),
    RG_OPTION_LIST(
        RgExperimentOptions, plugins,
        "shared objects that add algorithms and other types, such as [\"./mine.so\"] (./ and "
        "../ are relative to the config's folder): their code runs in the program"),
    RG_OPTION_END,
};

/* The settings of one trial before its sweep: shared parts, then the overrides of the algorithm's
 * group. */
static RgSettings *trial_settings(const RgSettings *s, int64_t algorithm) {
    RgSettings *trial = rg_settings_create();
    char path[96];
    rg_settings_set_file(trial, rg_settings_file(s));
    for (int i = 0; rg_shared_parts[i]; i++)
        rg_settings_copy_group(trial, rg_shared_parts[i], s, rg_shared_parts[i]);
    snprintf(path, sizeof path, "algorithms.%d", (int)algorithm);
    rg_settings_copy_group(trial, "algorithm", s, path);
    for (int i = 0; rg_shared_parts[i]; i++) {
        snprintf(path, sizeof path, "algorithms.%d.%s", (int)algorithm, rg_shared_parts[i]);
        rg_settings_copy_group(trial, rg_shared_parts[i], s, path);
        snprintf(path, sizeof path, "algorithm.%s", rg_shared_parts[i]);
        rg_settings_remove(trial, path);
    }
    return trial;
}

static bool is_twice(const RgSettings *s, int64_t seed) {
    int found = 0;
    for (int64_t i = 0; i < rg_settings_length(s, "seeds"); i++) {
        char path[64];
        snprintf(path, sizeof path, "seeds.%lld", (long long)i);
        const RgSetting *setting = rg_settings_find(s, path);
        found += setting && strtoll(setting->text, NULL, 10) == seed;
    }
    return found > 1;
}

static RgStatus add_trial(RgExperiment *e, const RgSettings *settings, int64_t seed,
                          json_t *swept_options, RgError *error) {
    e->trials = rg_reallocate(e->trials, (size_t)e->trial_count + 1, sizeof *e->trials);
    RgTrialSpec *plan = &e->trials[e->trial_count++];
    e->unfolded = e->trial_count;
    *plan = (RgTrialSpec){.seed = seed};
    plan->swept_json = json_dumps(swept_options, JSON_SORT_KEYS | JSON_COMPACT);
    RG_TRY(rg_trial_spec_resolve(plan, settings, error));
    if (!e->restored)
        RG_TRY(rg_trial_spec_check_environment(plan, settings, error));
    rg_trial_spec_key(plan, !e->restored);
    if (!e->keys)
        e->keys = rg_lookup_create();
    int64_t *earlier = rg_lookup_at(e->keys, plan->key, strlen(plan->key));
    if (*earlier >= 0)
        return rg_resolve_place(e->settings,
                                rg_fail(error, RG_E_USAGE,
                                        "%s: \"%s\" with seed %lld occurs twice with the same "
                                        "settings",
                                        is_twice(e->settings, seed) ? "seeds" : "algorithms",
                                        plan->part.label, (long long)seed),
                                error);
    *earlier = e->trial_count - 1;
    return RG_OK;
}

/* Rebuilds the lookup after the keys or numbers of trials have changed. */
static void number_keys(RgExperiment *e) {
    rg_lookup_destroy(e->keys);
    e->keys = rg_lookup_create();
    for (int64_t i = 0; i < e->unfolded; i++)
        *rg_lookup_at(e->keys, e->trials[i].key, strlen(e->trials[i].key)) = i;
}

void rg_experiment_assume(RgExperiment *e, const json_t *sums) {
    for (int64_t i = 0; i < e->unfolded; i++)
        rg_trial_spec_assume(&e->trials[i], sums);
    number_keys(e);
}

static bool is_one_of(const char *label, const char *const *labels, int count) {
    for (int i = 0; i < count; i++)
        if (strcmp(labels[i], label) == 0)
            return true;
    return false;
}

/* Labels of all trials, each once, NULL-terminated. The caller frees the list. */
static const char **list_labels(const RgExperiment *e) {
    const char **labels = rg_allocate(e->unfolded + 1, sizeof *labels);
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
    RgSuggestion suggestion = rg_suggest(label, known);
    if (suggestion.text[0])
        return rg_fail(error, RG_E_USAGE, "--only: no method of the config is called \"%.200s\"%s",
                       label, suggestion.text);
    char *list = rg_list_names(known);
    RgStatus status = rg_fail(
        error, RG_E_USAGE,
        "--only: no method of the config is called \"%.200s\": expected one of %s", label, list);
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
    RgTrialSpec *sorted = rg_allocate(e->unfolded, sizeof *sorted);
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

/* Destination of the variations of one algorithm with one seed. */
typedef struct Unfolding {
    RgExperiment *experiment;
    int64_t seed;
    RgWait *wait;
} Unfolding;

static RgStatus add_variation(void *context, const RgSettings *trial, json_t *swept_options,
                              RgError *error) {
    const Unfolding *unfolding = context;
    rg_wait_report(unfolding->wait, "%s: unfolding many trials, which takes a while",
                   unfolding->experiment->options.name);
    return add_trial(unfolding->experiment, trial, unfolding->seed, swept_options, error);
}

/* Resolves a sample of what a search might draw, and discards it. */
static RgStatus check_probes(const RgSweep *sweep, const RgAlgorithm *algorithm,
                             const RgSettings *trial, int64_t seed, RgError *error) {
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < rg_sweep_probes(sweep) && status == RG_OK; i++) {
        RgTrialSpec plan = {.seed = seed};
        RgSettings *probe = rg_settings_clone(trial);
        rg_sweep_probe(sweep, i, algorithm, probe);
        status = rg_trial_spec_resolve(&plan, probe, error);
        if (status == RG_OK)
            status = rg_trial_spec_check_environment(&plan, probe, error);
        rg_trial_spec_clear(&plan);
        rg_settings_destroy(probe);
    }
    return status;
}

/* An algorithm of the config, and the settings of its trials before the sweep. */
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
    return *algorithm ? RG_OK : rg_resolve_unknown_name(s, path, RG_ALGORITHM, error);
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

/* Refuses unknown keys at the top level. */
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
        return rg_setting_refuse(setting, error, "\"%s\" is not a part of an experiment%s", top,
                                 rg_suggest(top, known).text);
    }
    return RG_OK;
}

/* Label of an algorithm of the config in tables and figures. */
static const char *label_of(const Entrant *entrant) {
    const RgSetting *label = rg_settings_find(entrant->settings, "algorithm.label");
    return label && label->text[0] ? label->text : entrant->algorithm->about.name;
}

/* Labels must be unique, as each is one row of a table. */
static RgStatus check_labels(const Entrant *entrants, int64_t count, RgError *error) {
    for (int64_t a = 0; a < count; a++)
        for (int64_t b = 0; b < a; b++)
            if (strcmp(label_of(&entrants[a]), label_of(&entrants[b])) == 0)
                return rg_fail(error, RG_E_USAGE,
                               "algorithms.%lld: \"%s\" is also the label of algorithms.%lld: "
                               "expected another label, such as label = \"%s-2\"",
                               (long long)a, label_of(&entrants[a]), (long long)b,
                               entrants[a].algorithm->about.name);
    return RG_OK;
}

/* Seeds are the outermost loop: after its first round every algorithm has run once. */
static RgStatus unfold_entrants(RgExperiment *e, Entrant *entrants, int64_t count, int64_t seeds,
                                RgError *error) {
    const RgAlgorithm **algorithms = rg_allocate(count, sizeof(RgAlgorithm *));
    RgSweep *sweep = NULL;
    RgWait wait = rg_wait_begin();
    for (int64_t a = 0; a < count; a++)
        algorithms[a] = entrants[a].algorithm;
    RgStatus status = rg_sweep_read(e->settings, algorithms, count, &sweep, error);
    for (int64_t a = 0; a < count && status == RG_OK; a++)
        entrants[a].settings = trial_settings(e->settings, a);
    if (status == RG_OK)
        status = rg_resolve_place(e->settings, check_labels(entrants, count, error), error);
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
    if (!e->restored) /* a store must not choose what is loaded */
        RG_TRY(rg_plugins_load(&e->options.plugins, error));
    int64_t seeds = rg_settings_length(e->settings, "seeds");
    int64_t algorithms = rg_settings_length(e->settings, "algorithms");
    if (seeds < 1)
        return rg_settings_refuse_list(e->settings, "seeds", "[1, 2, 3], or [1]", error);
    if (algorithms < 1)
        return rg_settings_refuse_list(e->settings, "algorithms", "({ type = \"dpo\"; })", error);
    Entrant *entrants = rg_allocate(algorithms, sizeof *entrants);
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

/* `status` is the result of reading the settings. */
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

/* `seed` is the only top-level setting of resolved settings. */
static RgStatus add_resolved(RgExperiment *e, const char *swept_json, RgError *error) {
    const RgSetting *seed = rg_settings_find(e->settings, "seed");
    if (!seed || seed->kind != RG_SETTING_INTEGER)
        return rg_fail(error, RG_E_FORMAT, "not the resolved settings of a trial: seed is missing");
    json_t *swept = json_loads(swept_json, 0, NULL);
    if (!swept)
        return rg_fail(error, RG_E_FORMAT, "the swept options are not JSON: %s", swept_json);
    RgStatus status = add_trial(e, e->settings, strtoll(seed->text, NULL, 10), swept, error);
    json_decref(swept);
    return status;
}

RgStatus rg_experiment_of_trial(const char *name, const RgSettings *resolved,
                                const char *swept_json, RgExperiment **experiment, RgError *error) {
    *experiment = NULL;
    RG_TRY(rg_plugins_check(resolved, error));
    RgExperiment *e = rg_allocate(1, sizeof *e);
    e->settings = rg_settings_clone(resolved);
    rg_settings_remove(e->settings, "plugins"); /* both are recorded again */
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

RgStatus rg_experiment_open(const char *path, const char *const *overrides, int override_count,
                            RgExperiment **experiment, RgError *error) {
    RgExperiment *e = rg_allocate(1, sizeof *e);
    e->settings = rg_settings_create();
    RgStatus status = rg_config_read(path, e->settings, error);
    for (int i = 0; i < override_count && status == RG_OK; i++)
        status = rg_config_override(e->settings, overrides[i], error);
    return finish_opening(e, status, experiment, error);
}

RgStatus rg_experiment_restore(const char *config_json, RgExperiment **experiment, RgError *error) {
    RgExperiment *e = rg_allocate(1, sizeof *e);
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
        rg_trial_spec_clear(&experiment->trials[i]);
    free(experiment->trials);
    rg_settings_destroy(experiment->settings);
    free(experiment->config_json);
    free(experiment->overrides_json);
    free(experiment);
}
