/* Reading an experiment from the results store: the SQL queries of tables and figures. What the
 * columns mean is told in core/results/store.c; what the structs mean, in the header. A query that
 * SQLite refuses here means that the store is not what its version says: those that load the
 * experiment say so, and the small ones that follow would have been refused there first. */
#include "analysis/query.h"

#include "analysis/rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const status_names[] = {"running", "finished", "diverged", "failed"};

/* Small pieces. */

/* For queries on a trial that was loaded: NULL when refused, which gives an empty answer. */
static sqlite3_stmt *prepare_for_trial(const RgResults *results, const RgTrial *trial,
                                       const char *text) {
    sqlite3_stmt *statement = NULL;
    if (rg_rows_select(results->store, &statement, text, NULL) == RG_OK)
        sqlite3_bind_int64(statement, 1, trial->id);
    return statement;
}

RgStatus rg_unknown_name(RgError *error, const char *what, const char *name,
                         const char *const *names) {
    const char *nearest = rg_nearest_name(name, names);
    if (nearest)
        return rg_fail(error, RG_E_USAGE, "unknown %s \"%s\": did you mean \"%s\"?", what, name,
                       nearest);
    char list[512] = "";
    size_t used = 0;
    for (int i = 0; names[i] && used < sizeof list - 80; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s\"%.60s\"", i ? ", " : "",
                                 names[i]);
    return rg_fail(error, RG_E_USAGE, "unknown %s \"%s\": there is %s", what, name,
                   list[0] ? list : "none in the store");
}

/* Loading. */

/* Every experiment's name, for the message about one that is not there. */
static RgStatus unknown_experiment(const RgResults *results, const char *name, RgError *error) {
    const char **names = NULL;
    int count = 0;
    sqlite3_stmt *row;
    RG_TRY(rg_rows_select(results->store, &row, "SELECT name FROM experiments ORDER BY id", error));
    while (sqlite3_step(row) == SQLITE_ROW) {
        names = rg_reallocate(names, (size_t)count + 2, sizeof *names);
        names[count++] = rg_column_copy(row, 0);
        names[count] = NULL;
    }
    sqlite3_finalize(row);
    RgStatus status = count == 0
                          ? rg_fail(error, RG_E_USAGE, "%s: holds no experiment yet", results->path)
                          : rg_unknown_name(error, "experiment", name, names);
    for (int i = 0; i < count; i++)
        free((void *)names[i]);
    free(names);
    if (count > 0)
        rg_fail_in(error, status, "%s", results->path);
    return status;
}

static RgStatus load_experiment(RgResults *results, const char *name, RgError *error) {
    sqlite3_stmt *row;
    RG_TRY(rg_rows_select(
        results->store, &row,
        "SELECT id, name, config, created FROM experiments WHERE ?1 IS NULL OR name = ?1"
        " ORDER BY (SELECT max(updated) FROM trials WHERE experiment = experiments.id)"
        " DESC, id DESC LIMIT 1",
        error));
    sqlite3_bind_text(row, 1, name, -1, SQLITE_STATIC);
    bool found = sqlite3_step(row) == SQLITE_ROW;
    if (found) {
        results->experiment = sqlite3_column_int64(row, 0);
        results->name = rg_column_copy(row, 1);
        results->config = rg_column_copy(row, 2);
        results->created = rg_column_copy(row, 3);
    }
    sqlite3_finalize(row);
    return found ? RG_OK : unknown_experiment(results, name, error);
}

static void trial_free(RgTrial *trial) {
    free(trial->algorithm);
    free(trial->label);
    free(trial->reason);
    free(trial->config);
    free(trial->provenance);
    free(trial->updated);
    rg_fields_free(&trial->swept);
}

static bool same_group(const RgTrial *a, const RgTrial *b) {
    return strcmp(a->label, b->label) == 0 && rg_fields_equal(&a->swept, &b->swept);
}

/* A trial that comes later in time stands for the older one of the same method and seed. */
static void keep_newest(RgResults *results, RgTrial trial) {
    for (int i = 0; i < results->trial_count; i++) {
        RgTrial *older = &results->trials[i];
        if (older->seed == trial.seed && same_group(older, &trial)) {
            trial_free(older);
            *older = trial;
            results->superseded++;
            return;
        }
    }
    results->trials =
        rg_reallocate(results->trials, (size_t)results->trial_count + 1, sizeof *results->trials);
    results->trials[results->trial_count++] = trial;
}

static RgStatus load_trials(RgResults *results, RgError *error) {
    sqlite3_stmt *row;
    RG_TRY(rg_rows_select(
        results->store, &row,
        "SELECT id, seed, algorithm, label, reason, status, swept, config, provenance,"
        " ifnull((SELECT max(step) FROM readings WHERE trial = trials.id), -1),"
        " ifnull((SELECT max(step) FROM readings WHERE trial = trials.id AND evaluated),"
        " -1), updated FROM trials WHERE experiment = ?1 ORDER BY updated, id",
        error));
    sqlite3_bind_int64(row, 1, results->experiment);
    while (sqlite3_step(row) == SQLITE_ROW) {
        RgTrial trial = {.id = sqlite3_column_int64(row, 0),
                         .seed = sqlite3_column_int64(row, 1),
                         .algorithm = rg_column_copy(row, 2),
                         .label = rg_column_copy(row, 3),
                         .reason = rg_column_copy(row, 4),
                         .config = rg_column_copy(row, 7),
                         .provenance = rg_column_copy(row, 8),
                         .last_step = sqlite3_column_int64(row, 9),
                         .result_step = sqlite3_column_int64(row, 10),
                         .updated = rg_column_copy(row, 11)};
        const char *status = (const char *)sqlite3_column_text(row, 5);
        for (int i = 0; i < RG_TRIAL_STATUSES; i++)
            if (status && strcmp(status, status_names[i]) == 0)
                trial.status = (RgTrialStatus)i;
        if (!trial.algorithm)
            trial.algorithm = rg_string_copy("");
        if (!trial.label)
            trial.label = rg_string_copy(trial.algorithm);
        trial.swept = rg_fields_parse((const char *)sqlite3_column_text(row, 6));
        keep_newest(results, trial);
    }
    sqlite3_finalize(row);
    return RG_OK;
}

/* Smallest trial id of a label, by which labels are ordered. */
static int64_t label_rank(const RgResults *results, const char *label) {
    int64_t rank = INT64_MAX;
    for (int i = 0; i < results->trial_count; i++)
        if (results->trials[i].id < rank && strcmp(results->trials[i].label, label) == 0)
            rank = results->trials[i].id;
    return rank;
}

/* The order of methods is that in which they were first run; that of swept values, by size. */
static int compare_trials(const void *a, const void *b, void *context) {
    const RgTrial *x = a, *y = b;
    if (strcmp(x->label, y->label) != 0) {
        int64_t i = label_rank(context, x->label), j = label_rank(context, y->label);
        return (i > j) - (i < j);
    }
    int order = rg_fields_order(&x->swept, &y->swept);
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
    if (results->trial_count > 0)
        qsort_r(results->trials, (size_t)results->trial_count, sizeof *results->trials,
                compare_trials, results);
    results->groups = rg_allocate((size_t)(results->trial_count + 1) * sizeof *results->groups);
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

/* Distinct names that a query gives, NULL-terminated. */
static RgStatus load_names(const RgResults *results, const char *query, const char ***names,
                           RgError *error) {
    sqlite3_stmt *row;
    int count = 0;
    *names = rg_allocate(sizeof **names);
    RG_TRY(rg_rows_select(results->store, &row, query, error));
    sqlite3_bind_int64(row, 1, results->experiment);
    while (sqlite3_step(row) == SQLITE_ROW) {
        *names = rg_reallocate(*names, (size_t)count + 2, sizeof **names);
        (*names)[count++] = rg_column_copy(row, 0);
        (*names)[count] = NULL;
    }
    sqlite3_finalize(row);
    return RG_OK;
}

static void load_swept(RgResults *results) {
    int count = 0;
    results->swept = rg_allocate(sizeof *results->swept);
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

static RgStatus load(RgResults *results, const char *experiment, RgError *error) {
    RG_TRY(rg_store_open(results->path, false, &results->store, error));
    RG_TRY(load_experiment(results, experiment, error));
    RG_TRY(load_trials(results, error));
    load_groups(results);
    load_swept(results);
    RG_TRY(load_names(results,
                      "SELECT DISTINCT name FROM metrics WHERE trial IN"
                      " (SELECT id FROM trials WHERE experiment = ?1) ORDER BY name",
                      &results->metrics, error));
    return load_names(results,
                      "SELECT DISTINCT name FROM evaluations WHERE trial IN"
                      " (SELECT id FROM trials WHERE experiment = ?1) ORDER BY name",
                      &results->columns, error);
}

RgStatus rg_results_open(const char *store, const char *experiment, RgResults **results,
                         RgError *error) {
    *results = rg_allocate(sizeof **results);
    (*results)->path = rg_string_copy(store);
    RgStatus status = load(*results, experiment, error);
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
    for (int i = 0; i < results->group_count; i++) {
        free(results->groups[i].name);
        free(results->groups[i].trials);
    }
    for (int i = 0; i < results->trial_count; i++)
        trial_free(&results->trials[i]);
    free(results->groups);
    free(results->trials);
    free(results->swept); /* its names belong to the trials */
    names_free(results->metrics);
    names_free(results->columns);
    free(results->name);
    free(results->config);
    free(results->created);
    free(results->path);
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

const char *rg_trial_reason(const RgTrial *trial) {
    int prefix = 0;
    if (!trial->reason)
        return "no reason recorded";
    sscanf(trial->reason, "step %*d: %n", &prefix); /* leaves 0 where it does not match */
    return trial->reason + prefix;
}

RgStatus rg_results_group(const RgResults *results, const char *name, const RgGroup **group,
                          RgError *error) {
    const char **names = rg_allocate((size_t)(results->group_count + 1) * sizeof *names);
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

/* Values, curves, items, responses. */

static sqlite3_stmt *quantity_query(const RgResults *results, const RgTrial *trial,
                                    const RgQuantity *quantity) {
    if (!quantity->cost) {
        sqlite3_stmt *row = prepare_for_trial(
            results, trial,
            "SELECT step, value FROM metrics WHERE trial = ?1 AND name = ?2 ORDER BY step");
        sqlite3_bind_text(row, 2, quantity->stored, -1, SQLITE_STATIC);
        return row;
    }
    char *text = rg_string_format("SELECT step, %s FROM readings WHERE trial = ?1 ORDER BY step",
                                  quantity->stored);
    sqlite3_stmt *row = prepare_for_trial(results, trial, text);
    free(text);
    return row;
}

double rg_trial_value(const RgResults *results, const RgTrial *trial, const RgQuantity *quantity,
                      int64_t step) {
    double value = NAN;
    sqlite3_stmt *row = quantity_query(results, trial, quantity);
    while (sqlite3_step(row) == SQLITE_ROW)
        if (sqlite3_column_int64(row, 0) == step)
            value = rg_store_double(row, 1);
    sqlite3_finalize(row);
    return value;
}

int64_t rg_trial_curve(const RgResults *results, const RgTrial *trial, const RgQuantity *quantity,
                       RgPoint **points) {
    int64_t count = 0, room = 0;
    *points = NULL;
    sqlite3_stmt *row = quantity_query(results, trial, quantity);
    while (sqlite3_step(row) == SQLITE_ROW) {
        if (count == room) {
            room = room ? 2 * room : 64;
            *points = rg_reallocate(*points, (size_t)room, sizeof **points);
        }
        (*points)[count++] = (RgPoint){sqlite3_column_int64(row, 0), rg_store_double(row, 1)};
    }
    sqlite3_finalize(row);
    return count;
}

int64_t rg_trial_items(const RgResults *results, const RgTrial *trial, const char *column,
                       double **values) {
    int64_t count = 0;
    *values = NULL;
    sqlite3_stmt *row = prepare_for_trial(
        results, trial,
        "SELECT item, value FROM evaluations WHERE trial = ?1 AND step = ?2 AND name = ?3"
        " AND item >= 0 ORDER BY item DESC"); /* the largest first: one allocation */
    sqlite3_bind_int64(row, 2, trial->result_step);
    sqlite3_bind_text(row, 3, column, -1, SQLITE_STATIC);
    while (sqlite3_step(row) == SQLITE_ROW) {
        int64_t item = sqlite3_column_int64(row, 0);
        if (!*values) {
            count = item + 1;
            *values = rg_reallocate(NULL, (size_t)count, sizeof **values);
            for (int64_t i = 0; i < count; i++)
                (*values)[i] = NAN;
        }
        (*values)[item] = rg_store_double(row, 1);
    }
    sqlite3_finalize(row);
    return count;
}

int64_t rg_trials_items(const RgResults *results, const RgTrial **trials, int count,
                        const char *column, double **values) {
    double **rows = rg_allocate((size_t)(count + 1) * sizeof *rows);
    int64_t *lengths = rg_allocate((size_t)(count + 1) * sizeof *lengths);
    int64_t items = 0;
    for (int i = 0; i < count; i++) {
        lengths[i] = rg_trial_items(results, trials[i], column, &rows[i]);
        items = lengths[i] > items ? lengths[i] : items;
    }
    *values = rg_allocate(((size_t)count * (size_t)items + 1) * sizeof **values);
    for (int i = 0; i < count; i++) {
        for (int64_t j = 0; j < items; j++)
            (*values)[i * items + j] = j < lengths[i] ? rows[i][j] : NAN;
        free(rows[i]);
    }
    free(lengths);
    free(rows);
    return items;
}

int64_t rg_trial_responses(const RgResults *results, const RgTrial *trial, RgResponse **responses) {
    int64_t count = 0;
    *responses = NULL;
    sqlite3_stmt *row =
        prepare_for_trial(results, trial,
                          "SELECT item, prompt, response FROM responses WHERE trial = ?1 AND"
                          " step = ?2 ORDER BY item");
    sqlite3_bind_int64(row, 2, trial->result_step);
    while (sqlite3_step(row) == SQLITE_ROW) {
        *responses = rg_reallocate(*responses, (size_t)count + 1, sizeof **responses);
        (*responses)[count++] = (RgResponse){sqlite3_column_int64(row, 0), rg_column_copy(row, 1),
                                             rg_column_copy(row, 2)};
    }
    sqlite3_finalize(row);
    return count;
}

void rg_responses_free(RgResponse *responses, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        free(responses[i].prompt);
        free(responses[i].response);
    }
    free(responses);
}
