/* SPDX-License-Identifier: MIT */
/* Tables of the store as text. Each table is one query; each row becomes a line. */
#include "analysis/report/export.h"

#include "analysis/compare/format.h"
#include "core/files.h"
#include "core/results/rows.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ?1 is the experiment's name or NULL, ?2 a JSON array of trial ids or NULL. Rows are ordered by
 * trial, step, name and item. */
#define OF_TRIAL                                                                                   \
    " JOIN trials t ON t.id = r.trial JOIN experiments e ON e.id = t.experiment"                   \
    " WHERE (?1 IS NULL OR e.name = ?1)" RG_EXPORT_CHOSEN " ORDER BY t.id, r.step"

typedef struct ExportTable {
    const char *name, *query;
} ExportTable;

/* %s: the source of trials, or of readings. Columns follow the rules of `export` in core/results/rows.c. */
static const ExportTable tables[] = {
    {"trials", "SELECT e.name AS experiment, key, algorithm, label, seed, status, reason, swept,"
               " t.config AS config, provenance, updated, selected, e.config AS experiment_config"
               " FROM %s t JOIN experiments e ON e.id = t.experiment"
               " WHERE (?1 IS NULL OR e.name = ?1)" RG_EXPORT_CHOSEN " ORDER BY t.id"},
    {"metrics",
     "SELECT e.name AS experiment, key, r.step AS step, m.name AS name, m.value AS value, flops,"
     " seconds, trained_tokens, generated_tokens, judge_queries, dataset_responses,"
     " hessian_products, peak_memory, evaluated FROM %s r"
     " LEFT JOIN metrics m ON m.trial = r.trial AND m.step = r.step" OF_TRIAL ", m.name"},
    {"items", "SELECT e.name AS experiment, key, step, item, r.name AS name, value"
              " FROM evaluations r" OF_TRIAL ", r.name, item"},
    {"responses", "SELECT e.name AS experiment, key, step, item, prompt, response"
                  " FROM responses r" OF_TRIAL ", item"},
};

RgStatus rg_export_format(const char *name, RgExportFormat *format, RgError *error) {
    static const char *const names[] = {"csv", "safe-csv", "jsonl", "tensorboard", NULL};
    for (int i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0) {
            *format = (RgExportFormat)i;
            return RG_OK;
        }
    return rg_unknown_name(error, "format", name, names);
}

/* ---- files ---- */

RgStatus rg_export_begin(RgExportFile *file, char *path, RgError *error) {
    *file = (RgExportFile){0};
    RgStatus status = rg_folders_make_above(path, error);
    if (status == RG_OK)
        status = rg_new_file_begin(path, &file->file, error);
    if (status == RG_OK) {
        file->stream = fdopen(dup(file->file.descriptor), "wb");
        RG_ASSERT(file->stream);
    }
    free(path);
    return status;
}

RgStatus rg_export_end(RgExportFile *file, RgStatus status, RgError *error) {
    if (!file->stream)
        return status;
    bool bad = ferror(file->stream) != 0;
    bad = fclose(file->stream) != 0 || bad;
    if (status == RG_OK && bad)
        status =
            rg_fail(error, RG_E_FILE, "%s: cannot write: %s", file->file.path, strerror(errno));
    return rg_new_file_end(&file->file, status, error);
}

/* ---- CSV ---- */

static void print_real(FILE *out, double value) {
    char text[RG_REAL_TEXT];
    fputs(rg_real_text(value, 15, text), out);
}

static void csv_field(FILE *out, RgRows *row, int column, bool safe) {
    const char *text;
    switch (rg_rows_type(row, column)) {
    case RG_VALUE_NULL:
        break;
    case RG_VALUE_INTEGER:
        fprintf(out, "%lld", (long long)rg_rows_integer(row, column));
        break;
    case RG_VALUE_REAL:
        print_real(out, rg_rows_number(row, column));
        break;
    default:
        text = rg_rows_text(row, column);
        if (text[0])
            (safe ? rg_write_safe_csv : rg_write_csv)(out, text);
        else
            fputs("\"\"", out);
    }
}

static void csv_header(FILE *out, const RgRows *row) {
    for (int i = 0; i < rg_rows_columns(row); i++)
        fprintf(out, "%s%s", i ? "," : "", rg_rows_name(row, i));
    fputs("\r\n", out);
}

static void csv_row(FILE *out, RgRows *row, bool safe) {
    for (int i = 0; i < rg_rows_columns(row); i++) {
        if (i)
            putc(',', out);
        csv_field(out, row, i, safe);
    }
    fputs("\r\n", out);
}

/* ---- JSON lines ---- */

static bool holds_json(const char *column) {
    static const char *const names[] = {"swept", "config", "provenance", "experiment_config"};
    for (int i = 0; i < 4; i++)
        if (strcmp(column, names[i]) == 0)
            return true;
    return false;
}

static json_t *json_field(RgRows *row, int column) {
    double value = rg_rows_number(row, column);
    switch (rg_rows_type(row, column)) {
    case RG_VALUE_NULL:
        return json_null();
    case RG_VALUE_INTEGER:
        return json_integer(rg_rows_integer(row, column));
    case RG_VALUE_REAL:
        return isfinite(value) ? json_real(value)
                               : json_string(value > 0 ? "Infinity" : "-Infinity");
    default:
        if (holds_json(rg_rows_name(row, column)))
            return json_loads(rg_rows_text(row, column), 0, NULL);
        return json_string(rg_rows_text(row, column));
    }
}

static void json_row(FILE *out, RgRows *row) {
    json_t *object = json_object();
    for (int i = 0; i < rg_rows_columns(row); i++)
        json_object_set_new(object, rg_rows_name(row, i), json_field(row, i));
    if (json_dumpf(object, out, JSON_COMPACT) == 0)
        putc('\n', out);
    json_decref(object);
}

/* ---- tables ---- */

static bool is_csv(const RgExportOptions *o) {
    return o->format == RG_EXPORT_CSV || o->format == RG_EXPORT_SAFE_CSV;
}

static RgStatus write_rows(RgStore *store, const RgExportOptions *o, const char *ids,
                           const char *query, FILE *out, RgError *error) {
    RgRows *rows = rg_rows_open(store, "export", query);
    rg_rows_bind_text(rows, 1, o->choice.experiment);
    rg_rows_bind_text(rows, 2, ids);
    if (is_csv(o))
        csv_header(out, rows);
    while (rg_rows_next(rows))
        if (is_csv(o))
            csv_row(out, rows, o->format == RG_EXPORT_SAFE_CSV);
        else
            json_row(out, rows);
    return rg_rows_close(rows, RG_OK, error);
}

static RgStatus write_table(RgStore *store, const RgExportOptions *o, const char *ids,
                            const ExportTable *table, RgError *error) {
    bool trials = strcmp(table->name, "trials") == 0;
    char *query =
        rg_string_format(table->query, trials ? rg_rows_trials(store) : rg_rows_readings(store));
    RgExportFile file;
    RgStatus status = rg_export_begin(
        &file, rg_string_format("%s/%s.%s", o->output, table->name, is_csv(o) ? "csv" : "jsonl"),
        error);
    if (status == RG_OK)
        status = write_rows(store, o, ids, query, file.stream, error);
    free(query);
    return rg_export_end(&file, status, error);
}

static RgStatus check_experiment(RgStore *store, const RgExportOptions *o, RgError *error) {
    RgRows *rows =
        rg_rows_open(store, "experiments", "SELECT name FROM experiments WHERE name = ?1");
    rg_rows_bind_text(rows, 1, o->choice.experiment);
    bool found = !o->choice.experiment || rg_rows_next(rows);
    RG_TRY(rg_rows_close(rows, RG_OK, error));
    return found ? RG_OK
                 : rg_fail(error, RG_E_USAGE, "%s: holds no experiment \"%s\"", o->store,
                           o->choice.experiment);
}

/* ---- choice of trials ---- */

typedef struct Trials {
    RgCandidate *at;
    int64_t *ids;
    int count;
} Trials;

static RgStatus read_trials(RgStore *store, const RgExportOptions *o, Trials *trials,
                            RgError *error) {
    RgRows *rows =
        rg_rows_open(store, "trials",
                     "SELECT t.id, t.label, t.config, t.seed FROM trials t JOIN experiments e"
                     " ON e.id = t.experiment WHERE ?1 IS NULL OR e.name = ?1 ORDER BY t.id");
    rg_rows_bind_text(rows, 1, o->choice.experiment);
    while (rg_rows_next(rows)) {
        size_t count = (size_t)trials->count + 1;
        trials->at = rg_reallocate(trials->at, count, sizeof *trials->at);
        trials->ids = rg_reallocate(trials->ids, count, sizeof *trials->ids);
        trials->ids[trials->count] = rg_rows_integer(rows, 0);
        trials->at[trials->count++] = (RgCandidate){.label = rg_rows_text_copy(rows, 1),
                                                    .config = rg_rows_text_copy(rows, 2),
                                                    .seed = rg_rows_integer(rows, 3),
                                                    .latest = true};
    }
    return rg_rows_close(rows, RG_OK, error);
}

/* Ids of the trials that the conditions select, as a JSON array; NULL without conditions. */
static RgStatus choose_trials(RgStore *store, const RgExportOptions *o, char **ids,
                              RgError *error) {
    Trials trials = {0};
    int left_out;
    *ids = NULL;
    if (o->choice.where_count == 0)
        return RG_OK;
    RgStatus status = read_trials(store, o, &trials, error);
    if (status == RG_OK)
        status = rg_choose(&o->choice, trials.at, trials.count, &left_out, error);
    json_t *chosen = json_array();
    for (int i = 0; i < trials.count; i++) {
        if (trials.at[i].chosen)
            json_array_append_new(chosen, json_integer(trials.ids[i]));
        free((void *)trials.at[i].label);
        free((void *)trials.at[i].config);
    }
    if (status == RG_OK)
        *ids = json_dumps(chosen, JSON_COMPACT);
    json_decref(chosen);
    free(trials.at);
    free(trials.ids);
    return status;
}

static RgStatus write_chosen(RgStore *store, const RgExportOptions *o, const char *ids,
                             RgError *error) {
    if (o->format == RG_EXPORT_TENSORBOARD)
        return rg_export_events(store, o, ids, error);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        RG_TRY(write_table(store, o, ids, &tables[i], error));
    return RG_OK;
}

static RgStatus write_all(RgStore *store, const RgExportOptions *o, RgError *error) {
    char *ids;
    RG_TRY(rg_store_verify(store, RG_VERIFY_ALL, error));
    RG_TRY(check_experiment(store, o, error));
    RG_TRY(choose_trials(store, o, &ids, error));
    RgStatus status = write_chosen(store, o, ids, error);
    free(ids);
    return status;
}

RgStatus rg_export(const RgExportOptions *options, RgError *error) {
    RgStore *store;
    RG_TRY(rg_store_open(options->store, false, &store, error));
    RgStatus status = write_all(store, options, error);
    rg_store_close(store);
    return status;
}
