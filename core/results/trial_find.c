/* One query, and messages about its having no row or more than one. */
#include "core/results/trial_find.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char rows_text[] =
    "SELECT t.id, t.seed, e.name, t.key, t.algorithm, t.label, t.status, t.reason, t.swept,"
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
    return row->status &&
           (strcmp(row->status, "finished") == 0 || strcmp(row->status, "diverged") == 0);
}

static void read_row(sqlite3_stmt *from, RgTrialRow *row) {
    row->id = sqlite3_column_int64(from, 0);
    row->seed = sqlite3_column_int64(from, 1);
    char **texts[] = {&row->experiment, &row->key,    &row->algorithm, &row->label,
                      &row->status,     &row->reason, &row->swept,     &row->config,
                      &row->provenance, &row->updated};
    for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++)
        *texts[i] = rg_string_copy((const char *)sqlite3_column_text(from, 2 + i));
}

/* Texts of a query's first column, the first of them, for a message. */
static void list(RgStore *store, const char *query, char text[512]) {
    sqlite3_stmt *row;
    text[0] = '\0';
    if (sqlite3_prepare_v2(rg_store_database(store), query, -1, &row, NULL) != SQLITE_OK)
        return;
    for (size_t used = 0; used < 400 && sqlite3_step(row) == SQLITE_ROW; used = strlen(text))
        snprintf(text + used, 512 - used, "%s%.64s", used ? ", " : "",
                 (const char *)sqlite3_column_text(row, 0));
    sqlite3_finalize(row);
}

static RgStatus none(RgStore *store, const char *name, int64_t seed, RgError *error) {
    char labels[512], with_seed[48] = "";
    list(store, "SELECT DISTINCT '\"' || label || '\"' FROM trials ORDER BY id", labels);
    if (seed >= 0)
        snprintf(with_seed, sizeof with_seed, " and seed %lld", (long long)seed);
    return rg_fail(error, RG_E_USAGE, "%s: no trial has label or key \"%s\"%s: there is %s",
                   rg_store_path(store), name, with_seed, labels[0] ? labels : "no trial");
}

static RgStatus several(RgStore *store, const char *name, const RgTrialRow *first, int64_t seed,
                        const char *experiment, const char *key, RgError *error) {
    const char *how = first->seed != seed                          ? "say which by --seed"
                      : strcmp(first->experiment, experiment) != 0 ? "say which by --experiment"
                                                                   : "name one by its key";
    return rg_fail(error, RG_E_USAGE,
                   "%s: more than one trial is called \"%s\": %s (seed %lld of %s, key %s; seed "
                   "%lld of %s, key %s; ...)",
                   rg_store_path(store), name, how, (long long)first->seed, first->experiment,
                   first->key, (long long)seed, experiment, key);
}

RgStatus rg_trial_find(RgStore *store, const char *experiment, const char *name, int64_t seed,
                       RgTrialRow *row, RgError *error) {
    sqlite3_stmt *found;
    *row = (RgTrialRow){0};
    if (sqlite3_prepare_v2(rg_store_database(store), rows_text, -1, &found, NULL) != SQLITE_OK)
        return rg_fail(error, RG_E_STORE, "%s: cannot look for a trial: %s", rg_store_path(store),
                       sqlite3_errmsg(rg_store_database(store)));
    sqlite3_bind_text(found, 1, experiment, -1, SQLITE_STATIC);
    sqlite3_bind_text(found, 2, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(found, 3, seed);
    RgStatus status = RG_OK;
    if (sqlite3_step(found) != SQLITE_ROW) {
        status = none(store, name, seed, error);
    } else {
        read_row(found, row);
        if (sqlite3_step(found) == SQLITE_ROW)
            status = several(store, name, row, sqlite3_column_int64(found, 1),
                             (const char *)sqlite3_column_text(found, 2),
                             (const char *)sqlite3_column_text(found, 3), error);
    }
    sqlite3_finalize(found);
    if (status != RG_OK)
        rg_trial_row_clear(row);
    return status;
}
