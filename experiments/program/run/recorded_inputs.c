/* SPDX-License-Identifier: MIT */
/* Reading the records "inputs.<setting>" and "plugins.<number>" of the trials of a store. */
#include "experiments/program/run/recorded_inputs.h"

#include "core/files.h"
#include "core/lookup.h"
#include "core/notice.h"
#include "core/results/last_run.h"
#include "core/results/rows.h"
#include "experiments/program/config/plugins.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char prefix[] = "inputs.";

static RgStatus experiment_number(RgStore *store, const char *name, int64_t *id, RgError *error) {
    RgRows *rows = rg_rows_open(store, "experiments", "SELECT id FROM experiments WHERE name = ?1");
    rg_rows_bind_text(rows, 1, name);
    *id = rg_rows_next(rows) ? rg_rows_integer(rows, 0) : 0;
    return rg_rows_close(rows, RG_OK, error);
}

/* ---- recorded contents ---- */

/* Adds "path": sum for each input of a trial's settings to `sums`. */
static void add_sums(json_t *sums, const char *config) {
    json_t *settings = json_loads(config, 0, NULL), *value;
    const char *name;
    json_object_foreach(settings, name, value) {
        if (strncmp(name, prefix, sizeof prefix - 1) != 0)
            continue;
        const char *path = json_string_value(json_object_get(settings, name + sizeof prefix - 1));
        if (path && json_is_string(value))
            json_object_set(sums, path, value);
    }
    json_decref(settings);
}

/* Of all trials, the latest last. Those of the latest config take precedence. */
static RgStatus read_sums(RgStore *store, int64_t experiment, json_t **sums, RgError *error) {
    RgLookup *latest;
    RG_TRY(rg_last_run_keys(store, experiment, &latest, error));
    json_t *of_latest = json_object();
    *sums = json_object();
    RgRows *rows =
        rg_rows_open(store, "trials",
                     "SELECT key, config FROM trials WHERE experiment = ?1 AND config LIKE"
                     " '%\"inputs.%' ORDER BY updated, id");
    rg_rows_bind_integer(rows, 1, experiment);
    while (rg_rows_next(rows)) {
        const char *key = rg_rows_text(rows, 0);
        bool is_latest = latest && rg_lookup_find(latest, key, strlen(key)) >= 0;
        add_sums(is_latest ? of_latest : *sums, rg_rows_text(rows, 1));
    }
    json_object_update(*sums, of_latest);
    json_decref(of_latest);
    rg_lookup_destroy(latest);
    return rg_rows_close(rows, RG_OK, error);
}

static RgStatus add_missing(void *missing, const RgOption *option, const RgSetting *setting,
                            RgError *error) {
    (void)error;
    if (rg_input_is_missing(option, setting)) {
        char *text = rg_string_format("%s = \"%s\"", setting->path, setting->text);
        json_object_set_new(missing, text, json_true());
        free(text);
    }
    return RG_OK;
}

char *rg_missing_inputs(const RgExperiment *e) {
    json_t *missing = json_object(), *value;
    const char *text;
    char *list = NULL;
    for (int64_t i = 0; i < e->trial_count; i++)
        rg_resolved_visit(e->trials[i].resolved, add_missing, missing, NULL);
    json_object_foreach(missing, text, value) {
        char *longer = rg_string_format("%s%s%s", list ? list : "", list ? ", " : "", text);
        free(list);
        list = longer;
    }
    json_decref(missing);
    return list;
}

RgStatus rg_use_recorded_inputs(RgExperiment *experiment, RgStore *store, RgError *error) {
    int64_t id;
    json_t *sums;
    RG_TRY(experiment_number(store, experiment->options.name, &id, error));
    RG_TRY(read_sums(store, id, &sums, error));
    if (json_object_size(sums) > 0)
        rg_experiment_assume(experiment, sums);
    json_decref(sums);
    return RG_OK;
}

RgStatus rg_know_missing_inputs(RgExperiment *experiment, RgStore *store, RgError *error) {
    char *missing = rg_missing_inputs(experiment);
    RgStatus status = missing ? rg_use_recorded_inputs(experiment, store, error) : RG_OK;
    if (missing && status == RG_OK)
        rg_notice("missing: %s; trials that are done are identified by the contents recorded in %s",
                  missing, rg_store_path(store));
    free(missing);
    return status;
}

RgStatus rg_done_trials(RgStore *store, const char *name, RgLookup *done, RgError *error) {
    int64_t experiment;
    RG_TRY(experiment_number(store, name, &experiment, error));
    RgRows *rows =
        rg_rows_open(store, "trials", "SELECT key, status FROM trials WHERE experiment = ?1");
    rg_rows_bind_integer(rows, 1, experiment);
    while (rg_rows_next(rows))
        if (rg_status_is_done(rg_rows_text(rows, 1)))
            *rg_lookup_at(done, rg_rows_text(rows, 0), strlen(rg_rows_text(rows, 0))) = 0;
    return rg_rows_close(rows, RG_OK, error);
}

/* Inputs that trials need and do not find, each with the first trial that needs it. */
typedef struct Needed {
    const RgTrialSpec *plan;
    RgLookup *told;
    char *list; /* NULL: nothing is missing */
    char *hint; /* how the first of them that can be made is made; NULL: none can */
} Needed;

static void add_hint(Needed *needed, const RgSetting *setting) {
    char *maker = needed->hint ? NULL : rg_own_maker(setting->text);
    if (maker)
        needed->hint =
            rg_string_format("; run: %s FOLDER, and give -s %s=FOLDER", maker, setting->path);
    free(maker);
}

static RgStatus add_needed(void *context, const RgOption *option, const RgSetting *setting,
                           RgError *error) {
    Needed *needed = context;
    (void)error;
    if (!rg_input_is_missing(option, setting))
        return RG_OK;
    char *text = rg_input_missing_text(setting);
    int64_t *told = rg_lookup_at(needed->told, text, strlen(text));
    if (*told < 0) {
        const char *before = needed->list ? needed->list : "";
        char *longer =
            rg_string_format("%s%s%s, but needed by %s, seed %ld", before, needed->list ? "; " : "",
                             text, needed->plan->part.label, (long)needed->plan->seed);
        free(needed->list);
        needed->list = longer;
        *told = 0;
        add_hint(needed, setting);
    }
    free(text);
    return RG_OK;
}

RgStatus rg_check_inputs_to_be_read(RgExperiment *experiment, RgStore *store, RgError *error) {
    RgLookup *done = rg_lookup_create();
    RgStatus status = store ? rg_use_recorded_inputs(experiment, store, error) : RG_OK;
    if (store && status == RG_OK)
        status = rg_done_trials(store, experiment->options.name, done, error);
    Needed needed = {.told = rg_lookup_create()};
    for (int64_t i = 0; i < experiment->trial_count && status == RG_OK; i++) {
        needed.plan = &experiment->trials[i];
        if (rg_lookup_find(done, needed.plan->key, strlen(needed.plan->key)) < 0)
            rg_resolved_visit(needed.plan->resolved, add_needed, &needed, NULL);
    }
    if (needed.list)
        status = rg_fail(error, RG_E_FILE, "%s%s", needed.list, needed.hint ? needed.hint : "");
    free(needed.list);
    free(needed.hint);
    rg_lookup_destroy(needed.told);
    rg_lookup_destroy(done);
    return status;
}

/* ---- changes ---- */

/* Trials of the store that differ from the experiment's by one input or plug-in. */
typedef struct Change {
    char *path;
    int64_t trials, interrupted;
    bool unrecorded; /* run by a program that did not record contents */
} Change;

typedef struct Changes {
    const RgExperiment *experiment;
    RgLookup *alike; /* numbers of the experiment's new trials, by settings without records */
    bool any;
    Change *at;
    int count;
} Changes;

static char *without_records(const RgSettings *resolved) {
    RgSettings *plain = rg_settings_clone(resolved);
    rg_settings_remove(plain, "inputs");
    rg_plugins_drop_sums(plain);
    char *json = rg_settings_to_json(plain);
    rg_settings_destroy(plain);
    return json;
}

static Change *change_of(Changes *changes, const char *path, bool unrecorded) {
    for (int i = 0; i < changes->count; i++)
        if (strcmp(changes->at[i].path, path) == 0 && changes->at[i].unrecorded == unrecorded)
            return &changes->at[i];
    changes->at = rg_reallocate(changes->at, (size_t)changes->count + 1, sizeof *changes->at);
    Change *change = &changes->at[changes->count++];
    *change = (Change){.path = rg_string_copy(path), .unrecorded = unrecorded};
    return change;
}

/* Path of the input or plug-in whose contents a setting records. NULL for other settings, and for a
 * missing file, of which a change cannot be known. */
static const char *recorded_file(const RgSettings *now, const RgSetting *record) {
    if (strncmp(record->path, prefix, sizeof prefix - 1) != 0)
        return rg_plugin_recorded(record);
    const RgSetting *input = rg_settings_find(now, record->path + sizeof prefix - 1);
    return input && access(input->text, F_OK) == 0 ? input->text : NULL;
}

/* Compares the records of a trial of the store with those of the experiment's trial. */
static void hold_against(Changes *changes, const RgSettings *now, const RgSettings *before,
                         bool done) {
    for (int64_t i = 0; i < rg_settings_count(now); i++) {
        const RgSetting *record = rg_settings_at(now, i);
        const char *file = recorded_file(now, record);
        const RgSetting *old = file ? rg_settings_find(before, record->path) : NULL;
        if (!file || (old && strcmp(old->text, record->text) == 0))
            continue;
        Change *change = change_of(changes, file, !old);
        change->trials++;
        change->interrupted += !done;
    }
}

static void look_at(Changes *changes, const char *key, const char *config, bool done) {
    const RgExperiment *e = changes->experiment;
    RgSettings *before = rg_settings_create();
    if (rg_lookup_find(e->keys, key, strlen(key)) < 0 && config &&
        rg_settings_from_json(config, before, NULL) == RG_OK) {
        char *plain = without_records(before);
        int64_t number = rg_lookup_find(changes->alike, plain, strlen(plain));
        if (number >= 0)
            hold_against(changes, e->trials[number].resolved, before, done);
        free(plain);
    }
    rg_settings_destroy(before);
}

static void report_change(const Change *c, const char *store) {
    char *left = c->interrupted > 0 ? rg_string_format("; %ld of the old ones are unfinished and "
                                                       "will not be resumed",
                                                       (long)c->interrupted)
                                    : rg_string_copy("");
    const char *s = c->trials == 1 ? "" : "s", *were = c->trials == 1 ? "was" : "were";
    if (c->unrecorded)
        rg_notice("%s: %ld trial%s of %s %s run by a program that did not record its contents: "
                  "these are new trials%s",
                  c->path, (long)c->trials, s, store, were, left);
    else
        rg_notice("%s has changed since %ld trial%s of %s %s run: these are new trials%s", c->path,
                  (long)c->trials, s, store, were, left);
    free(left);
}

/* Only trials that the store does not have yet can be affected. */
static RgStatus find_new(Changes *changes, RgStore *store, int64_t experiment, RgError *error) {
    const RgExperiment *e = changes->experiment;
    RgLookup *there = rg_lookup_create();
    RgRows *rows = rg_rows_open(store, "trials", "SELECT key FROM trials WHERE experiment = ?1");
    rg_rows_bind_integer(rows, 1, experiment);
    while (rg_rows_next(rows))
        *rg_lookup_at(there, rg_rows_text(rows, 0), strlen(rg_rows_text(rows, 0))) = 0;
    for (int64_t i = 0; i < e->trial_count; i++) {
        const RgTrialSpec *plan = &e->trials[i];
        if ((!rg_settings_has_group(plan->resolved, "inputs") &&
             !rg_settings_has_group(plan->resolved, "plugins")) ||
            rg_lookup_find(there, plan->key, strlen(plan->key)) >= 0)
            continue;
        char *plain = without_records(plan->resolved);
        *rg_lookup_at(changes->alike, plain, strlen(plain)) = i;
        changes->any = true;
        free(plain);
    }
    rg_lookup_destroy(there);
    return rg_rows_close(rows, RG_OK, error);
}

static RgStatus find_changes(Changes *changes, RgStore *store, int64_t experiment, RgError *error) {
    RgRows *rows = rg_rows_open(store, "trials",
                                "SELECT key, config, status FROM trials WHERE experiment = ?1");
    rg_rows_bind_integer(rows, 1, experiment);
    while (rg_rows_next(rows))
        look_at(changes, rg_rows_text(rows, 0), rg_rows_text(rows, 1),
                rg_status_is_done(rg_rows_text(rows, 2)));
    return rg_rows_close(rows, RG_OK, error);
}

RgStatus rg_report_changed_inputs(const RgExperiment *e, RgStore *store, RgError *error) {
    int64_t id;
    RG_TRY(experiment_number(store, e->options.name, &id, error));
    Changes changes = {.experiment = e, .alike = rg_lookup_create()};
    RgStatus status = find_new(&changes, store, id, error);
    if (status == RG_OK && changes.any)
        status = find_changes(&changes, store, id, error);
    for (int i = 0; i < changes.count; i++) {
        if (status == RG_OK)
            report_change(&changes.at[i], rg_store_path(store));
        free(changes.at[i].path);
    }
    free(changes.at);
    rg_lookup_destroy(changes.alike);
    return status;
}
