/* SPDX-License-Identifier: MIT */
/* The queries of rg_run_statuses. */
#include "analysis/store/run_status.h"

#include "core/lookup.h"
#include "core/names.h"
#include "core/results/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A missing cost is 0. */
static double cost(const RgRows *rows, int column) {
    return rg_rows_type(rows, column) == RG_VALUE_NULL ? 0 : rg_rows_number(rows, column);
}

/* Messages of judges and libraries may have several lines. */
static char *one_line(char *text) {
    if (text)
        rg_make_printable(text);
    return text;
}

static RgTrialSummary read_entry(RgRows *rows) {
    const char *swept = rg_rows_text(rows, 4);
    RgTrialSummary entry = {
        .id = rg_rows_integer(rows, 0),
        .key = rg_rows_text_copy(rows, 1),
        .label = rg_rows_text_copy(rows, 2),
        .seed = rg_rows_integer(rows, 3),
        .swept = rg_string_copy(swept ? swept : "{}"),
        .status = rg_rows_text_copy(rows, 5),
        .reason = one_line(rg_rows_text_copy(rows, 6)),
        .step = rg_rows_type(rows, 7) == RG_VALUE_NULL ? -1 : rg_rows_integer(rows, 7)};
    entry.meter = (RgMeter){.flops = cost(rows, 8),
                            .seconds = cost(rows, 9),
                            .trained_tokens = rg_rows_integer(rows, 10),
                            .generated_tokens = rg_rows_integer(rows, 11),
                            .judge_queries = rg_rows_integer(rows, 12),
                            .dataset_responses = rg_rows_integer(rows, 13),
                            .hessian_products = rg_rows_integer(rows, 14)};
    return entry;
}

static RgStatus read_entries(RgStore *store, int64_t experiment, RgRunStatus *run_status,
                             RgError *error) {
    char *query = rg_string_format(
        "SELECT trials.id, key, label, seed, swept, status, reason, step AS"
        " \"readings.last_step\", flops AS \"readings.flops\", seconds AS \"readings.seconds\","
        " trained_tokens AS \"readings.trained_tokens\", generated_tokens AS"
        " \"readings.generated_tokens\", judge_queries AS \"readings.judge_queries\","
        " dataset_responses AS \"readings.dataset_responses\", hessian_products AS"
        " \"readings.hessian_products\" FROM trials LEFT JOIN %s r ON r.trial = trials.id AND"
        " step = (SELECT max(step) FROM readings WHERE trial = trials.id)"
        " WHERE experiment = ?1 ORDER BY trials.id",
        rg_rows_readings(store));
    RgRows *rows = rg_rows_open(store, "trials", query);
    free(query);
    rg_rows_bind_integer(rows, 1, experiment);
    while (rg_rows_next(rows)) {
        run_status->entries = rg_reallocate(run_status->entries, (size_t)run_status->count + 1,
                                            sizeof *run_status->entries);
        RgTrialSummary *entry = &run_status->entries[run_status->count];
        *entry = read_entry(rows);
        *rg_lookup_at(run_status->keys, entry->key, strlen(entry->key)) = run_status->count++;
    }
    return rg_rows_close(rows, RG_OK, error);
}

/* Stores of older versions have no times of evaluations. */
static RgStatus read_times(RgStore *store, RgRunStatus *run_status, RgError *error) {
    bool has;
    RG_TRY(rg_rows_has_table(store, "evaluation_times", &has, error));
    RgStatus status = RG_OK;
    for (int64_t i = 0; has && i < run_status->count && status == RG_OK; i++) {
        RgTrialSummary *entry = &run_status->entries[i];
        RgRows *rows = rg_rows_open(store, "evaluation_times",
                                    "SELECT seconds FROM evaluation_times WHERE trial = ?1");
        rg_rows_of_trial(rows, entry->id);
        while (rg_rows_next(rows))
            entry->evaluation_seconds += rg_rows_number(rows, 0);
        status = rg_rows_close(rows, RG_OK, error);
    }
    return status;
}

static RgStatus read_statuses(RgRunStatuses *statuses, const char *experiment, RgError *error) {
    RgRows *rows = rg_rows_open(statuses->store, "experiments",
                                "SELECT id, name, config, ifnull(id = (SELECT experiment FROM"
                                " trials ORDER BY updated DESC, id DESC LIMIT 1), 0) AS"
                                " \"any.count\""
                                " FROM experiments WHERE ?1 IS NULL OR name = ?1 ORDER BY id");
    rg_rows_bind_text(rows, 1, experiment);
    RgStatus status = RG_OK;
    while (status == RG_OK && rg_rows_next(rows)) {
        statuses->at =
            rg_reallocate(statuses->at, (size_t)statuses->count + 1, sizeof *statuses->at);
        RgRunStatus *run_status = &statuses->at[statuses->count++];
        const char *config = rg_rows_text(rows, 2);
        *run_status = (RgRunStatus){.experiment = rg_rows_text_copy(rows, 1),
                                    .config = rg_string_copy(config ? config : "{}"),
                                    .latest = rg_rows_integer(rows, 3) != 0,
                                    .keys = rg_lookup_create()};
        status = read_entries(statuses->store, rg_rows_integer(rows, 0), run_status, error);
        if (status == RG_OK)
            status = read_times(statuses->store, run_status, error);
    }
    return rg_rows_close(rows, status, error);
}

RgStatus rg_run_statuses_open(const char *store, const char *experiment, RgRunStatuses *statuses,
                              RgError *error) {
    *statuses = (RgRunStatuses){0};
    RG_TRY(rg_store_open(store, false, &statuses->store, error));
    /* One snapshot, while a run continues to write. */
    RgStatus status = rg_store_snapshot(statuses->store, error);
    if (status == RG_OK)
        status = read_statuses(statuses, experiment, error);
    if (status != RG_OK)
        rg_run_statuses_close(statuses);
    return status;
}

static void entry_free(RgTrialSummary *entry) {
    free(entry->key);
    free(entry->label);
    free(entry->swept);
    free(entry->status);
    free(entry->reason);
}

void rg_run_statuses_close(RgRunStatuses *statuses) {
    for (int64_t i = 0; i < statuses->count; i++) {
        RgRunStatus *run_status = &statuses->at[i];
        for (int64_t k = 0; k < run_status->count; k++)
            entry_free(&run_status->entries[k]);
        free(run_status->entries);
        rg_lookup_destroy(run_status->keys);
        free(run_status->experiment);
        free(run_status->config);
    }
    free(statuses->at);
    rg_store_close(statuses->store);
    *statuses = (RgRunStatuses){0};
}

const RgTrialSummary *rg_run_status_find(const RgRunStatus *run_status, const char *key) {
    int64_t number = run_status ? rg_lookup_find(run_status->keys, key, strlen(key)) : -1;
    return number >= 0 ? &run_status->entries[number] : NULL;
}

RgStatus rg_run_statuses_metric(const RgRunStatuses *statuses, const RgTrialSummary *entry,
                                const char *name, double *value, int64_t *step, RgError *error) {
    RgRows *rows = rg_rows_open(statuses->store, "metrics",
                                "SELECT step, value FROM metrics WHERE name = ?2 AND trial = ?1"
                                " ORDER BY step DESC LIMIT 1");
    rg_rows_of_trial(rows, entry->id);
    rg_rows_bind_text(rows, 2, name);
    bool found = rg_rows_next(rows);
    *value = found ? rg_rows_number(rows, 1) : NAN;
    *step = found ? rg_rows_integer(rows, 0) : -1;
    return rg_rows_close(rows, RG_OK, error);
}
