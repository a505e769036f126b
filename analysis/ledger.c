/* The ledger's queries. As in query.c, only the first ones can be refused by a store of the right
 * version. */
#include "analysis/ledger.h"

#include "analysis/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static RgEntry read_entry(sqlite3_stmt *row) {
    RgEntry entry = {
        .id = sqlite3_column_int64(row, 0),
        .key = rg_column_copy(row, 1),
        .label = rg_column_copy(row, 2),
        .seed = sqlite3_column_int64(row, 3),
        .swept = rg_column_copy(row, 4),
        .status = rg_column_copy(row, 5),
        .reason = rg_column_copy(row, 6),
        .step = sqlite3_column_type(row, 7) == SQLITE_NULL ? -1 : sqlite3_column_int64(row, 7),
        .evaluation_seconds = sqlite3_column_double(row, 15)};
    entry.meter = (RgMeter){.flops = sqlite3_column_double(row, 8),
                            .seconds = sqlite3_column_double(row, 9),
                            .trained_tokens = sqlite3_column_int64(row, 10),
                            .generated_tokens = sqlite3_column_int64(row, 11),
                            .judge_queries = sqlite3_column_int64(row, 12),
                            .dataset_responses = sqlite3_column_int64(row, 13),
                            .hessian_products = sqlite3_column_int64(row, 14)};
    return entry;
}

/* Stores of older programs have no times of evaluations. */
static bool has_times(RgStore *store) {
    sqlite3_stmt *row = NULL;
    bool found =
        rg_rows_select(store, &row, "SELECT 1 FROM sqlite_master WHERE name = 'evaluation_times'",
                       NULL) == RG_OK &&
        sqlite3_step(row) == SQLITE_ROW;
    sqlite3_finalize(row);
    return found;
}

static RgStatus prepare_entries(RgStore *store, sqlite3_stmt **row, RgError *error) {
    const char *times = has_times(store) ? "(SELECT total(t.seconds) FROM evaluation_times t"
                                           " WHERE t.trial = trials.id)"
                                         : "0.0";
    char *query = rg_string_format(
        "SELECT trials.id, key, label, seed, ifnull(swept, '{}'), status, reason, step, flops,"
        " seconds, trained_tokens, generated_tokens, judge_queries, dataset_responses,"
        " hessian_products, %s FROM trials LEFT JOIN readings ON readings.trial = trials.id AND"
        " step = (SELECT max(step) FROM readings WHERE trial = trials.id)"
        " WHERE experiment = ?1 ORDER BY trials.id",
        times);
    RgStatus status = rg_rows_select(store, row, query, error);
    free(query);
    return status;
}

static RgStatus read_entries(RgStore *store, int64_t experiment, RgLedger *ledger, RgError *error) {
    sqlite3_stmt *row;
    RG_TRY(prepare_entries(store, &row, error));
    sqlite3_bind_int64(row, 1, experiment);
    while (sqlite3_step(row) == SQLITE_ROW) {
        ledger->entries =
            rg_reallocate(ledger->entries, (size_t)ledger->count + 1, sizeof *ledger->entries);
        ledger->entries[ledger->count++] = read_entry(row);
    }
    sqlite3_finalize(row);
    return RG_OK;
}

static RgStatus read_ledgers(RgLedgers *ledgers, const char *experiment, RgError *error) {
    sqlite3_stmt *row;
    RG_TRY(rg_rows_select(ledgers->store, &row,
                          "SELECT id, name, config, id = (SELECT experiment FROM trials"
                          " ORDER BY updated DESC, id DESC LIMIT 1)"
                          " FROM experiments WHERE ?1 IS NULL OR name = ?1 ORDER BY id",
                          error));
    sqlite3_bind_text(row, 1, experiment, -1, SQLITE_STATIC);
    RgStatus status = RG_OK;
    while (status == RG_OK && sqlite3_step(row) == SQLITE_ROW) {
        ledgers->at = rg_reallocate(ledgers->at, (size_t)ledgers->count + 1, sizeof *ledgers->at);
        RgLedger *ledger = &ledgers->at[ledgers->count++];
        *ledger = (RgLedger){.experiment = rg_column_copy(row, 1),
                             .config = rg_column_copy(row, 2),
                             .latest = sqlite3_column_int(row, 3) != 0};
        status = read_entries(ledgers->store, sqlite3_column_int64(row, 0), ledger, error);
    }
    sqlite3_finalize(row);
    return status;
}

RgStatus rg_ledgers_open(const char *store, const char *experiment, RgLedgers *ledgers,
                         RgError *error) {
    *ledgers = (RgLedgers){0};
    RG_TRY(rg_store_open(store, false, &ledgers->store, error));
    /* One snapshot, though a run goes on writing. */
    sqlite3_exec(rg_store_database(ledgers->store), "BEGIN", NULL, NULL, NULL);
    RgStatus status = read_ledgers(ledgers, experiment, error);
    if (status != RG_OK)
        rg_ledgers_close(ledgers);
    return status;
}

static void entry_free(RgEntry *entry) {
    free(entry->key);
    free(entry->label);
    free(entry->swept);
    free(entry->status);
    free(entry->reason);
}

void rg_ledgers_close(RgLedgers *ledgers) {
    for (int64_t i = 0; i < ledgers->count; i++) {
        RgLedger *ledger = &ledgers->at[i];
        for (int64_t k = 0; k < ledger->count; k++)
            entry_free(&ledger->entries[k]);
        free(ledger->entries);
        free(ledger->experiment);
        free(ledger->config);
    }
    free(ledgers->at);
    rg_store_close(ledgers->store);
    *ledgers = (RgLedgers){0};
}

const RgEntry *rg_ledger_find(const RgLedger *ledger, const char *key) {
    for (int64_t i = 0; ledger && i < ledger->count; i++)
        if (strcmp(ledger->entries[i].key, key) == 0)
            return &ledger->entries[i];
    return NULL;
}

double rg_ledgers_metric(const RgLedgers *ledgers, const RgEntry *entry, const char *name,
                         int64_t *step) {
    sqlite3_stmt *row;
    double value = NAN;
    *step = -1;
    if (rg_rows_select(ledgers->store, &row,
                       "SELECT step, value FROM metrics WHERE name = ?2 AND trial = ?1"
                       " ORDER BY step DESC LIMIT 1",
                       NULL) != RG_OK)
        return NAN;
    sqlite3_bind_int64(row, 1, entry->id);
    sqlite3_bind_text(row, 2, name, -1, SQLITE_STATIC);
    if (sqlite3_step(row) == SQLITE_ROW) {
        *step = sqlite3_column_int64(row, 0);
        value = rg_store_double(row, 1);
    }
    sqlite3_finalize(row);
    return value;
}
