/* SPDX-License-Identifier: MIT */
/* Reading an experiment from the results store: the SQL queries of tables and figures.
 * core/results/store_open.c defines the columns, the header the structs. Loading fails at the first
 * invalid row. A later read that fails returns only what it has, and rg_results_status reports the
 * failure. */
#include "analysis/store/query_parts.h"

#include "core/lookup.h"
#include "core/results/curve_gaps.h"
#include "core/results/last_run.h"
#include "core/results/rows.h"
#include "core/suggest.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {"running", "finished", "diverged", "failed"};

/* Small pieces. */

RgStatus rg_results_status(const RgResults *results, RgStatus status, RgError *error) {
    RgReadFailure *failure = results->failure;
    if (failure->status == RG_OK)
        return status;
    failure->reported = true;
    return rg_fail(error, failure->status, "%s", failure->error.text);
}

/* All names in quotes, the likeliest first; if a message cannot hold all, the number of the others.
 * malloc'd. */
static char *list_names(const char *name, const char *const *names) {
    enum { MOST = 800 }; /* bytes */
    size_t count = 0, listed = 0;
    while (names[count])
        count++;
    const char **sorted = rg_names_by_likeness(name, names);
    char *list = rg_string_copy(count ? "" : "none in the store");
    for (; listed < count && strlen(list) < MOST; listed++) {
        char *longer = rg_string_format("%s%s\"%.60s\"", list, listed ? ", " : "", sorted[listed]);
        free(list);
        list = longer;
    }
    char *all = listed < count ? rg_string_format("%s and %zu more", list, count - listed)
                               : rg_string_copy(list);
    free(list);
    free(sorted);
    return all;
}

RgStatus rg_unknown_name(RgError *error, const char *what, const char *name,
                         const char *const *names) {
    RgSuggestion suggestion = rg_suggest(name, names);
    if (suggestion.text[0])
        return rg_fail(error, RG_E_USAGE, "unknown %s \"%s\"%s", what, name, suggestion.text);
    char *list = list_names(name, names);
    RgStatus status =
        rg_fail(error, RG_E_USAGE, "unknown %s \"%s\": there is %s", what, name, list);
    free(list);
    return status;
}

/* Loading. */

/* An error that lists every experiment's name. */
static RgStatus unknown_experiment(const RgResults *results, const char *name, RgError *error) {
    const char **names = NULL;
    int count = 0;
    RgRows *rows =
        rg_rows_open(results->store, "experiments", "SELECT name FROM experiments ORDER BY id");
    while (rg_rows_next(rows)) {
        names = rg_reallocate(names, (size_t)count + 2, sizeof *names);
        names[count++] = rg_rows_text_copy(rows, 0);
        names[count] = NULL;
    }
    RgStatus status = rg_rows_close(rows, RG_OK, error);
    if (status == RG_OK) {
        status = count == 0
                     ? rg_fail(error, RG_E_USAGE, "%s: holds no experiment yet", results->path)
                     : rg_unknown_name(error, "experiment", name, names);
        if (count > 0)
            rg_fail_in(error, status, "%s", results->path);
    }
    for (int i = 0; i < count; i++)
        free((void *)names[i]);
    free(names);
    return status;
}

static RgStatus load_experiment(RgResults *results, const char *name, RgError *error) {
    RgRows *rows = rg_rows_open(
        results->store, "experiments",
        "SELECT id, name, config, created FROM experiments WHERE ?1 IS NULL OR name = ?1"
        " ORDER BY (SELECT max(updated) FROM trials WHERE experiment = experiments.id)"
        " DESC, id DESC LIMIT 1");
    rg_rows_bind_text(rows, 1, name);
    bool found = rg_rows_next(rows);
    if (found) {
        results->experiment = rg_rows_integer(rows, 0);
        results->name = rg_rows_text_copy(rows, 1);
        results->config = rg_rows_text_copy(rows, 2);
        results->created = rg_rows_text_copy(rows, 3);
    }
    RG_TRY(rg_rows_close(rows, RG_OK, error));
    return found ? RG_OK : unknown_experiment(results, name, error);
}

static void trial_free(RgTrial *trial) {
    free(trial->algorithm);
    free(trial->label);
    free(trial->reason);
    free(trial->config);
    free(trial->provenance);
    free(trial->updated);
    free(trial->gaps);
    rg_fields_free(&trial->swept);
}

static bool same_group(const RgTrial *a, const RgTrial *b) {
    return strcmp(a->label, b->label) == 0 && rg_fields_equal(&a->swept, &b->swept);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const RgField *)a)->name, ((const RgField *)b)->name);
}

/* Label, seed and swept values in one text of *size bytes, equal for trials of one group and seed;
 * malloc'd. */
static char *identity_of(const RgTrial *trial, size_t *size) {
    char *text;
    const RgFields *swept = &trial->swept;
    RgField *sorted = rg_allocate((size_t)swept->count, sizeof *sorted);
    if (swept->count > 0) {
        memcpy(sorted, swept->at, (size_t)swept->count * sizeof *sorted);
        qsort(sorted, (size_t)swept->count, sizeof *sorted, by_name);
    }
    FILE *stream = open_memstream(&text, size);
    fprintf(stream, "%s%c%lld", trial->label, '\0', (long long)trial->seed);
    for (int i = 0; i < swept->count; i++)
        fprintf(stream, "%c%s%c%s", '\0', sorted[i].name, '\0', sorted[i].text);
    fclose(stream);
    free(sorted);
    return text;
}

/* Add a trial in place of an older one of the same method and seed. A failed one, which may have
 * no results, takes only another failed one's place. `numbers` maps identities to indices of kept
 * trials. */
static void keep_newest(RgResults *results, RgLookup *numbers, RgTrial trial) {
    size_t size;
    char *identity = identity_of(&trial, &size);
    int64_t *number = rg_lookup_at(numbers, identity, size);
    free(identity);
    if (*number >= 0) {
        RgTrial *kept = &results->trials[*number];
        bool worse = trial.status == RG_TRIAL_FAILED && kept->status != RG_TRIAL_FAILED;
        trial_free(worse ? &trial : kept);
        if (!worse)
            *kept = trial;
        results->superseded++;
        return;
    }
    *number = results->trial_count;
    results->trials =
        rg_reallocate(results->trials, (size_t)results->trial_count + 1, sizeof *results->trials);
    results->trials[results->trial_count++] = trial;
}

static int64_t last_step(const RgRows *rows, int column) {
    return rg_rows_type(rows, column) == RG_VALUE_NULL ? -1 : rg_rows_integer(rows, column);
}

static RgTrial read_trial(RgRows *rows) {
    RgTrial trial = {.id = rg_rows_integer(rows, 0),
                     .seed = rg_rows_integer(rows, 1),
                     .algorithm = rg_rows_text_copy(rows, 2),
                     .label = rg_rows_text_copy(rows, 3),
                     .reason = rg_rows_text_copy(rows, 4),
                     .swept = rg_fields_parse(rg_rows_text(rows, 6)),
                     .config = rg_rows_text_copy(rows, 7),
                     .provenance = rg_rows_text_copy(rows, 8),
                     .last_step = last_step(rows, 9),
                     .evaluated_step = last_step(rows, 10),
                     .result_step = last_step(rows, last_step(rows, 13) >= 0 ? 13 : 10),
                     .updated = rg_rows_text_copy(rows, 11)};
    for (int i = 0; i < RG_TRIAL_STATUSES; i++)
        if (strcmp(rg_rows_text(rows, 5), status_names[i]) == 0)
            trial.status = (RgTrialStatus)i;
    return trial;
}

/* All trials of the experiment, the oldest first. */
typedef struct Loaded {
    RgTrial *trials;
    RgCandidate *candidates; /* with the same indices */
    int count;
} Loaded;

static void add_loaded(Loaded *loaded, RgTrial trial, bool latest) {
    size_t count = (size_t)loaded->count + 1;
    loaded->trials = rg_reallocate(loaded->trials, count, sizeof *loaded->trials);
    loaded->candidates = rg_reallocate(loaded->candidates, count, sizeof *loaded->candidates);
    loaded->candidates[loaded->count] = (RgCandidate){
        .label = trial.label, .config = trial.config, .seed = trial.seed, .latest = latest};
    loaded->trials[loaded->count++] = trial;
}

static RgStatus read_trials(RgResults *results, Loaded *loaded, RgError *error) {
    RgLookup *latest;
    RG_TRY(rg_last_run_keys(results->store, results->experiment, &latest, error));
    char *query = rg_string_format(
        "SELECT id, seed, algorithm, label, reason, status, swept, config, provenance,"
        " (SELECT max(step) FROM readings WHERE trial = t.id) AS \"readings.last_step\","
        " (SELECT max(step) FROM readings WHERE trial = t.id AND evaluated)"
        " AS \"readings.last_step\", updated, key, selected FROM %s t WHERE experiment = ?1"
        " ORDER BY updated, id",
        rg_rows_trials(results->store));
    RgRows *rows = rg_rows_open(results->store, "trials", query);
    free(query);
    rg_rows_bind_integer(rows, 1, results->experiment);
    while (rg_rows_next(rows)) {
        const char *key = rg_rows_text(rows, 12);
        add_loaded(loaded, read_trial(rows),
                   !latest || rg_lookup_find(latest, key, strlen(key)) >= 0);
    }
    rg_lookup_destroy(latest);
    return rg_rows_close(rows, RG_OK, error);
}

/* Where every trial of the config that was run last has failed, results are of other configs. */
static void choose_instead_of_failed(RgResults *results, const RgChoice *choice, Loaded *loaded) {
    int failed = 0, others = 0;
    if (choice->all || choice->where_count > 0)
        return;
    for (int i = 0; i < loaded->count; i++) {
        bool chosen = loaded->candidates[i].chosen;
        bool has_failed = loaded->trials[i].status == RG_TRIAL_FAILED;
        if (chosen && !has_failed)
            return;
        failed += chosen;
        others += !chosen && !has_failed;
    }
    if (others == 0)
        return;
    for (int i = 0; i < loaded->count; i++)
        loaded->candidates[i].chosen = loaded->trials[i].status != RG_TRIAL_FAILED;
    results->failed = failed;
    results->left_out = 0;
}

static RgStatus load_trials(RgResults *results, const RgChoice *choice, RgError *error) {
    Loaded loaded = {0};
    RgLookup *numbers = rg_lookup_create();
    RgStatus status = read_trials(results, &loaded, error);
    if (status == RG_OK)
        status = rg_choose(choice, loaded.candidates, loaded.count, &results->left_out, error);
    if (status == RG_OK)
        choose_instead_of_failed(results, choice, &loaded);
    for (int i = 0; i < loaded.count; i++)
        if (status == RG_OK && loaded.candidates[i].chosen) {
            results->of_others |= !loaded.candidates[i].latest;
            keep_newest(results, numbers, loaded.trials[i]);
        } else {
            trial_free(&loaded.trials[i]);
        }
    free(loaded.trials);
    free(loaded.candidates);
    rg_lookup_destroy(numbers);
    return status;
}

/* The missing steps of curves, only for trials that are not left out. */
static RgStatus load_gaps(RgResults *results, RgError *error) {
    for (int i = 0; i < results->trial_count; i++) {
        RgTrial *trial = &results->trials[i];
        RG_TRY(rg_curve_gaps(results->store, trial->id, &trial->gaps, error));
    }
    return RG_OK;
}

/* The text of "algorithms.<n>.label" or .type, by n, if the config has it. */
static void name_methods(const RgFields *config, const char *option, const char **names) {
    for (int i = 0; i < config->count; i++) {
        int number, end = 0;
        const RgField *field = &config->at[i];
        if (sscanf(field->name, "algorithms.%d.%n", &number, &end) == 1 && end > 0 && number >= 0 &&
            number < config->count && strcmp(field->name + end, option) == 0 && field->text[0])
            names[number] = field->text;
    }
}

static void rank_methods(RgResults *results) {
    RgFields config = rg_fields_parse(results->config);
    const char **names = rg_allocate(config.count, sizeof *names);
    RgLookup *methods = rg_lookup_create();
    name_methods(&config, "type", names);
    name_methods(&config, "label", names); /* replaces the type */
    for (int i = 0; i < config.count; i++)
        if (names[i])
            *rg_lookup_at(methods, names[i], strlen(names[i])) = i;
    for (int i = 0; i < results->trial_count; i++) {
        RgTrial *trial = &results->trials[i];
        int64_t number = rg_lookup_find(methods, trial->label, strlen(trial->label));
        trial->rank = number >= 0 ? (int)number : INT_MAX;
    }
    rg_lookup_destroy(methods);
    free(names);
    rg_fields_free(&config);
}

/* An order that depends neither on when trials were run nor on the order of merged stores. */
static int compare_trials(const void *a, const void *b) {
    const RgTrial *x = a, *y = b;
    int order = (x->rank > y->rank) - (x->rank < y->rank);
    if (order == 0)
        order = strcmp(x->label, y->label);
    if (order == 0)
        order = rg_fields_order(&x->swept, &y->swept);
    return order ? order : (x->seed > y->seed) - (x->seed < y->seed);
}

static char *group_name(const RgTrial *trial) {
    char *name = rg_string_copy(trial->label);
    for (int i = 0; i < trial->swept.count; i++) {
        const RgField *field = &trial->swept.at[i];
        char *longer = rg_string_format("%s, %s %s", name, rg_last_part(field->name), field->text);
        free(name);
        name = longer;
    }
    return name;
}

static void load_groups(RgResults *results) {
    rank_methods(results);
    if (results->trial_count > 0)
        qsort(results->trials, (size_t)results->trial_count, sizeof *results->trials,
              compare_trials);
    results->groups = rg_allocate(results->trial_count, sizeof *results->groups);
    for (int i = 0; i < results->trial_count; i++) {
        const RgTrial *trial = &results->trials[i];
        RgGroup *group = results->groups + results->group_count - 1;
        if (i == 0 || !same_group(group->trials[0], trial)) {
            group = &results->groups[results->group_count++];
            *group = (RgGroup){.label = trial->label,
                               .algorithm = trial->algorithm,
                               .swept = &trial->swept,
                               .name = group_name(trial)};
        }
        group->trials =
            rg_reallocate(group->trials, (size_t)group->count + 1, sizeof *group->trials);
        group->trials[group->count++] = trial;
        group->by_status[trial->status]++;
    }
}

/* Names of metrics and of columns of items. Each is found by a search for the next name: a store
 * has thousands of items per name, and a scan of all was slower than everything else together. */
static const char metric_names[] =
    "WITH RECURSIVE names(name) AS (SELECT min(name) FROM metrics UNION ALL SELECT (SELECT"
    " min(name) FROM metrics WHERE name > names.name) FROM names WHERE name IS NOT NULL)"
    " SELECT name FROM names WHERE EXISTS (SELECT 1 FROM trials t JOIN metrics m ON m.trial = t.id"
    " AND m.name = names.name WHERE t.experiment = ?1) ORDER BY name";
static const char column_names[] =
    "WITH RECURSIVE names(trial, step, name) AS (SELECT r.trial, r.step, (SELECT min(name) FROM"
    " evaluations WHERE trial = r.trial AND step = r.step) FROM readings r JOIN trials t ON t.id ="
    " r.trial WHERE t.experiment = ?1 AND r.evaluated UNION ALL SELECT trial, step, (SELECT"
    " min(name) FROM evaluations e WHERE e.trial = names.trial AND e.step = names.step AND e.name >"
    " names.name) FROM names WHERE name IS NOT NULL)"
    " SELECT DISTINCT name FROM names WHERE name IS NOT NULL ORDER BY name";

/* The texts of a query, NULL-terminated. */
static RgStatus load_names(const RgResults *results, const char *table, const char *query,
                           const char ***names, RgError *error) {
    int count = 0;
    RgRows *rows = rg_rows_open(results->store, table, query);
    *names = rg_allocate(1, sizeof **names);
    rg_rows_bind_integer(rows, 1, results->experiment);
    while (rg_rows_next(rows)) {
        *names = rg_reallocate(*names, (size_t)count + 2, sizeof **names);
        (*names)[count++] = rg_rows_text_copy(rows, 0);
        (*names)[count] = NULL;
    }
    return rg_rows_close(rows, RG_OK, error);
}

static void load_swept(RgResults *results) {
    int count = 0;
    results->swept = rg_allocate(1, sizeof *results->swept);
    for (int i = 0; i < results->trial_count; i++)
        for (int j = 0; j < results->trials[i].swept.count; j++) {
            const char *name = results->trials[i].swept.at[j].name;
            bool known = false;
            for (int k = 0; k < count && !known; k++)
                known = strcmp(results->swept[k], name) == 0;
            if (known)
                continue;
            results->swept =
                rg_reallocate(results->swept, (size_t)count + 2, sizeof *results->swept);
            results->swept[count++] = name;
            results->swept[count] = NULL;
        }
}

static RgStatus load(RgResults *results, const RgChoice *choice, RgError *error) {
    RG_TRY(rg_store_open(results->path, false, &results->store, error));
    RG_TRY(rg_store_verify(results->store, RG_VERIFY_ALL, error));
    RG_TRY(load_experiment(results, choice->experiment, error));
    RG_TRY(load_trials(results, choice, error));
    RG_TRY(load_gaps(results, error));
    load_groups(results);
    load_swept(results);
    RG_TRY(load_names(results, "metrics", metric_names, &results->metrics, error));
    return load_names(results, "evaluations", column_names, &results->columns, error);
}

RgStatus rg_results_open(const char *store, const RgChoice *choice, RgResults **results,
                         RgError *error) {
    static const RgChoice usual = {0};
    *results = rg_allocate(1, sizeof **results);
    (*results)->path = rg_string_copy(store);
    (*results)->failure = rg_allocate(1, sizeof *(*results)->failure);
    RgStatus status = load(*results, choice ? choice : &usual, error);
    if (status != RG_OK) {
        rg_results_close(*results);
        *results = NULL;
    }
    return status;
}

static void names_free(const char **names) {
    for (int i = 0; names && names[i]; i++)
        free((void *)names[i]);
    free(names);
}

void rg_results_close(RgResults *results) {
    if (!results)
        return;
    RG_ASSERT(results->failure->status == RG_OK || results->failure->reported);
    for (int i = 0; i < results->group_count; i++) {
        free(results->groups[i].name);
        free(results->groups[i].trials);
    }
    for (int i = 0; i < results->trial_count; i++)
        trial_free(&results->trials[i]);
    free(results->groups);
    free(results->trials);
    free(results->swept); /* its names are owned by the trials */
    names_free(results->metrics);
    names_free(results->columns);
    free(results->name);
    free(results->config);
    free(results->created);
    free(results->path);
    free(results->failure);
    rg_store_close(results->store);
    free(results);
}

int rg_group_sample(const RgGroup *group, const RgTrial **trials) {
    RgTrialStatus wanted =
        group->by_status[RG_TRIAL_FINISHED] ? RG_TRIAL_FINISHED : RG_TRIAL_RUNNING;
    int count = 0;
    for (int i = 0; i < group->count; i++)
        if (group->trials[i]->status == wanted)
            trials[count++] = group->trials[i];
    return count;
}

char *rg_results_left_out(const RgResults *results) {
    int count = results->left_out, failed = results->failed;
    if (failed > 0)
        return rg_string_format("%s of the config that was run last failed (regatta status shows "
                                "why): these results are of other configs.",
                                failed == 1 ? "The trial" : "All trials");
    return count == 0
               ? NULL
               : rg_string_format(
                     "%d trial%s not in the config that was run last %s left out: --all shows %s.",
                     count, count == 1 ? "" : "s", count == 1 ? "is" : "are",
                     count == 1 ? "it" : "them");
}

char *rg_results_gaps(const RgResults *results) {
    char *text = NULL;
    for (int g = 0; g < results->group_count; g++)
        for (int i = 0; i < results->groups[g].count; i++) {
            const RgTrial *trial = results->groups[g].trials[i];
            if (!trial->gaps)
                continue;
            char *longer =
                rg_string_format("%s%s, seed %lld (%s)", text ? text : "", results->groups[g].name,
                                 (long long)trial->seed, trial->gaps);
            free(text);
            text = rg_string_format("%s; ", longer);
            free(longer);
        }
    if (!text)
        return NULL;
    text[strlen(text) - 2] = '\0';
    char *sentence = rg_string_format(
        "The store has no rows for some steps, so the curves lack them: %s.", text);
    free(text);
    return sentence;
}

const char *rg_trial_reason(const RgTrial *trial) {
    int prefix = 0;
    if (!trial->reason)
        return "no reason recorded";
    sscanf(trial->reason, "step %*d: %n", &prefix); /* leaves 0 without a match */
    return trial->reason + prefix;
}

RgStatus rg_results_group(const RgResults *results, const char *name, const RgGroup **group,
                          RgError *error) {
    const char **names = rg_allocate(results->group_count + 1, sizeof *names);
    int by_label = 0;
    *group = NULL;
    for (int i = 0; i < results->group_count && !*group; i++) {
        names[i] = results->groups[i].name;
        if (strcmp(names[i], name) == 0)
            *group = &results->groups[i];
    }
    for (int i = 0; i < results->group_count && (!*group || by_label > 0); i++)
        if (strcmp(results->groups[i].label, name) == 0) {
            by_label++;
            *group = &results->groups[i];
        }
    RgStatus status = RG_OK;
    if (by_label > 1)
        status = rg_fail(error, RG_E_USAGE,
                         "label \"%s\" was swept: name one of its %d settings in full, for "
                         "example \"%s\"",
                         name, by_label, (*group)->name);
    else if (!*group)
        status = rg_unknown_name(error, "label", name, names);
    free(names);
    return status;
}
