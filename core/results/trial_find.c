/* SPDX-License-Identifier: MIT */
/* Queries for trials, and messages if there is none or more than one. */
#include "core/results/trial_find.h"

#include "core/results/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char rows_text[] =
    "SELECT t.id, t.seed, t.experiment, e.name AS \"experiments.name\", t.key, t.algorithm, "
    "t.label, t.status,"
    " t.reason, t.swept,"
    " t.config, t.provenance, t.updated FROM trials t JOIN experiments e ON e.id = t.experiment"
    " WHERE ?2 IN (t.key, t.label) AND (?1 IS NULL OR e.name = ?1) AND ?3 IN (-1, t.seed)"
    " ORDER BY t.id";

void rg_trial_row_clear(RgTrialRow *row) {
    char *texts[] = {row->experiment, row->key,   row->algorithm, row->label,      row->status,
                     row->reason,     row->swept, row->config,    row->provenance, row->updated};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    *row = (RgTrialRow){0};
}

bool rg_trial_row_is_done(const RgTrialRow *row) {
    return rg_status_is_done(row->status);
}

static void read_row(RgRows *from, RgTrialRow *row) {
    row->id = rg_rows_integer(from, 0);
    row->seed = rg_rows_integer(from, 1);
    row->experiment_id = rg_rows_integer(from, 2);
    char **texts[] = {&row->experiment, &row->key,    &row->algorithm, &row->label,
                      &row->status,     &row->reason, &row->swept,     &row->config,
                      &row->provenance, &row->updated};
    for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++)
        *texts[i] = rg_rows_text_copy(from, 3 + i);
}

/* Lists the first labels, for a message. */
static RgStatus list(RgStore *store, char text[512], RgError *error) {
    RgRows *rows =
        rg_rows_open(store, "trials", "SELECT label FROM trials GROUP BY label ORDER BY min(id)");
    text[0] = '\0';
    for (size_t used = 0; used < 400 && rg_rows_next(rows); used = strlen(text))
        snprintf(text + used, 512 - used, "%s\"%.64s\"", used ? ", " : "", rg_rows_text(rows, 0));
    return rg_rows_close(rows, RG_OK, error);
}

static RgStatus none(RgStore *store, const char *name, int64_t seed, RgError *error) {
    char labels[512], with_seed[48] = "";
    RG_TRY(list(store, labels, error));
    if (seed >= 0)
        snprintf(with_seed, sizeof with_seed, " and seed %lld", (long long)seed);
    return rg_fail(error, RG_E_USAGE, "%s: no trial has label or key \"%s\"%s: the store has %s",
                   rg_store_path(store), name, with_seed, labels[0] ? labels : "no trial");
}

RgStatus rg_trial_refuse_several(RgStore *store, const char *name, const RgTrialRow *a,
                                 const RgTrialRow *b, RgError *error) {
    const char *how = a->seed != b->seed ? "choose one by --seed"
                      : strcmp(a->experiment, b->experiment) != 0
                          ? "choose one by --experiment"
                          : "choose one by --where or by its key";
    return rg_fail(error, RG_E_USAGE,
                   "%s: more than one trial is called \"%s\": %s (seed %lld of %s, key %s; seed "
                   "%lld of %s, key %s; ...)",
                   rg_store_path(store), name, how, (long long)a->seed, a->experiment, a->key,
                   (long long)b->seed, b->experiment, b->key);
}

/* If any label in a store is invalid, the other labels are not trusted, either. */
static RgStatus check_labels(RgStore *store, RgError *error) {
    RgRows *rows = rg_rows_open(store, "trials", "SELECT id, key, label FROM trials");
    while (rg_rows_next(rows))
        continue;
    return rg_rows_close(rows, RG_OK, error);
}

void rg_trial_rows_clear(RgTrialRows *rows) {
    for (int i = 0; i < rows->count; i++)
        rg_trial_row_clear(&rows->at[i]);
    free(rows->at);
    *rows = (RgTrialRows){0};
}

RgStatus rg_trial_find_all(RgStore *store, const char *experiment, const char *name, int64_t seed,
                           RgTrialRows *rows, RgError *error) {
    RG_TRY(check_labels(store, error));
    RgRows *found = rg_rows_open(store, "trials", rows_text);
    *rows = (RgTrialRows){0};
    rg_rows_bind_text(found, 1, experiment);
    rg_rows_bind_text(found, 2, name);
    rg_rows_bind_integer(found, 3, seed);
    while (rg_rows_next(found)) {
        rows->at = rg_reallocate(rows->at, (size_t)rows->count + 1, sizeof *rows->at);
        rows->at[rows->count] = (RgTrialRow){0};
        read_row(found, &rows->at[rows->count++]);
    }
    RgStatus status = rg_rows_close(found, RG_OK, error);
    if (status == RG_OK && rows->count == 0)
        status = none(store, name, seed, error);
    if (status != RG_OK)
        rg_trial_rows_clear(rows);
    return status;
}

RgStatus rg_trial_find(RgStore *store, const char *experiment, const char *name, int64_t seed,
                       RgTrialRow *row, RgError *error) {
    RgTrialRows rows;
    *row = (RgTrialRow){0};
    RG_TRY(rg_trial_find_all(store, experiment, name, seed, &rows, error));
    RG_ASSERT(rows.at);
    RgStatus status = rows.count == 1
                          ? RG_OK
                          : rg_trial_refuse_several(store, name, &rows.at[0], &rows.at[1], error);
    if (status == RG_OK) {
        *row = rows.at[0];
        rows.count = 0; /* the caller now owns its content */
    }
    rg_trial_rows_clear(&rows);
    return status;
}
