/* Tables of the store as text. Each is one query; a row of it becomes a line. */
#include "analysis/export.h"

#include "analysis/format.h"
#include "analysis/rows.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ?1 is the experiment's name or NULL. Rows are in the order of trials, steps, names and items. */
#define OF_TRIAL                                                                                   \
    " JOIN trials t ON t.id = r.trial JOIN experiments e ON e.id = t.experiment"                   \
    " WHERE (?1 IS NULL OR e.name = ?1) ORDER BY t.id, r.step"

typedef struct ExportTable {
    const char *name, *query;
} ExportTable;

/* %s: a column that stores of the first version lack, or NULL in its place. */
static const ExportTable tables[] = {
    {"trials", "SELECT e.name AS experiment, key, algorithm, label, seed, status, reason, swept,"
               " t.config AS config, provenance, updated, e.config AS experiment_config"
               " FROM trials t JOIN experiments e ON e.id = t.experiment"
               " WHERE ?1 IS NULL OR e.name = ?1 ORDER BY t.id"},
    {"metrics",
     "SELECT e.name AS experiment, key, r.step AS step, m.name AS name, m.value AS value, flops,"
     " seconds, trained_tokens, generated_tokens, judge_queries, %s AS dataset_responses,"
     " hessian_products, peak_memory, evaluated FROM readings r"
     " LEFT JOIN metrics m ON m.trial = r.trial AND m.step = r.step" OF_TRIAL ", m.name"},
    {"items", "SELECT e.name AS experiment, key, step, item, r.name AS name, value"
              " FROM evaluations r" OF_TRIAL ", r.name, item"},
    {"responses", "SELECT e.name AS experiment, key, step, item, prompt, response"
                  " FROM responses r" OF_TRIAL ", item"},
};

RgStatus rg_export_format(const char *name, RgExportFormat *format, RgError *error) {
    static const char *const names[] = {"csv", "jsonl", "tensorboard", NULL};
    for (int i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0) {
            *format = (RgExportFormat)i;
            return RG_OK;
        }
    return rg_unknown_name(error, "format", name, names);
}

/* ---- files ---- */

RgStatus rg_export_folder(const char *path, RgError *error) {
    char *folder = rg_string_format("%s/", path);
    RgStatus status = RG_OK;
    for (char *c = folder + 1; *c && status == RG_OK; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        status = rg_folder_make(folder, error);
        *c = '/';
    }
    free(folder);
    return status;
}

RgStatus rg_export_begin(RgExportFile *file, char *path, RgError *error) {
    *file = (RgExportFile){.path = path, .temporary = rg_string_format("%s.new", path)};
    file->stream = fopen(file->temporary, "wb");
    if (file->stream)
        return RG_OK;
    return rg_fail(error, RG_E_FILE, "%s: cannot create: %s", file->temporary, strerror(errno));
}

RgStatus rg_export_end(RgExportFile *file, RgStatus status, RgError *error) {
    if (file->stream) {
        bool bad = ferror(file->stream) != 0;
        bad = fclose(file->stream) != 0 || bad;
        if (status == RG_OK && (bad || rename(file->temporary, file->path) != 0))
            status = rg_fail(error, RG_E_FILE, "%s: cannot write: %s", file->path, strerror(errno));
        if (status != RG_OK)
            unlink(file->temporary);
    }
    free(file->path);
    free(file->temporary);
    *file = (RgExportFile){0};
    return status;
}

/* ---- CSV ---- */

/* The shortest that reads back to the same bits. */
static void print_real(FILE *out, double value) {
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fputs(text, out);
}

static void csv_field(FILE *out, sqlite3_stmt *row, int column) {
    const char *text = NULL;
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_NULL:
        break;
    case SQLITE_FLOAT:
        print_real(out, sqlite3_column_double(row, column));
        break;
    default:
        text = (const char *)sqlite3_column_text(row, column);
        if (text && text[0])
            rg_write_csv(out, text);
        else
            fputs("\"\"", out);
    }
}

static void csv_header(FILE *out, sqlite3_stmt *row) {
    for (int i = 0; i < sqlite3_column_count(row); i++)
        fprintf(out, "%s%s", i ? "," : "", sqlite3_column_name(row, i));
    fputs("\r\n", out);
}

static RgStatus csv_row(FILE *out, sqlite3_stmt *row, RgError *error) {
    (void)error;
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        if (i)
            putc(',', out);
        csv_field(out, row, i);
    }
    fputs("\r\n", out);
    return RG_OK;
}

/* ---- JSON lines ---- */

static bool holds_json(const char *column) {
    static const char *const names[] = {"swept", "config", "provenance", "experiment_config"};
    for (int i = 0; i < 4; i++)
        if (strcmp(column, names[i]) == 0)
            return true;
    return false;
}

/* NULL for text that is not UTF-8. */
static json_t *json_field(sqlite3_stmt *row, int column) {
    const char *text;
    double value;
    json_t *parsed = NULL;
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_NULL:
        return json_null();
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(row, column));
    case SQLITE_FLOAT:
        value = sqlite3_column_double(row, column);
        return isfinite(value) ? json_real(value)
                               : json_string(value > 0 ? "Infinity" : "-Infinity");
    default:
        text = (const char *)sqlite3_column_text(row, column);
        if (holds_json(sqlite3_column_name(row, column)))
            parsed = json_loads(text, 0, NULL);
        return parsed ? parsed : json_stringn(text, (size_t)sqlite3_column_bytes(row, column));
    }
}

static RgStatus json_row(FILE *out, sqlite3_stmt *row, RgError *error) {
    json_t *object = json_object();
    RgStatus status = RG_OK;
    for (int i = 0; i < sqlite3_column_count(row) && status == RG_OK; i++)
        if (json_object_set_new(object, sqlite3_column_name(row, i), json_field(row, i)) != 0)
            status = rg_fail(error, RG_E_STORE, "a %s in the results store is not UTF-8 text",
                             sqlite3_column_name(row, i));
    if (status == RG_OK && json_dumpf(object, out, JSON_COMPACT) == 0)
        putc('\n', out);
    json_decref(object);
    return status;
}

/* ---- tables ---- */

static RgStatus write_rows(RgStore *store, const RgExportOptions *o, const char *query, FILE *out,
                           RgError *error) {
    sqlite3_stmt *row;
    RG_TRY(rg_rows_select(store, &row, query, error));
    sqlite3_bind_text(row, 1, o->experiment, -1, SQLITE_STATIC);
    bool csv = o->format == RG_EXPORT_CSV;
    if (csv)
        csv_header(out, row);
    RgStatus status = RG_OK;
    int code = SQLITE_DONE;
    while (status == RG_OK && (code = sqlite3_step(row)) == SQLITE_ROW)
        status = (csv ? csv_row : json_row)(out, row, error);
    if (status == RG_OK && code != SQLITE_DONE)
        status = rg_rows_refused(store, error);
    sqlite3_finalize(row);
    return status;
}

/* First number of a query about `experiment`. */
static int64_t count_of(RgStore *store, const char *query, const char *experiment) {
    sqlite3_stmt *row = NULL;
    int64_t count = 0;
    if (rg_rows_select(store, &row, query, NULL) == RG_OK) {
        if (experiment)
            sqlite3_bind_text(row, 1, experiment, -1, SQLITE_STATIC);
        if (sqlite3_step(row) == SQLITE_ROW)
            count = sqlite3_column_int64(row, 0);
    }
    sqlite3_finalize(row);
    return count;
}

static RgStatus write_table(RgStore *store, const RgExportOptions *o, const ExportTable *table,
                            RgError *error) {
    bool counts_responses = count_of(store,
                                     "SELECT count(*) FROM pragma_table_info('readings')"
                                     " WHERE name = 'dataset_responses'",
                                     NULL) > 0;
    char *query = rg_string_format(table->query, counts_responses ? "dataset_responses" : "NULL");
    RgExportFile file;
    RgStatus status =
        rg_export_begin(&file,
                        rg_string_format("%s/%s.%s", o->output, table->name,
                                         o->format == RG_EXPORT_CSV ? "csv" : "jsonl"),
                        error);
    if (status == RG_OK)
        status = write_rows(store, o, query, file.stream, error);
    free(query);
    return rg_export_end(&file, status, error);
}

static RgStatus write_all(RgStore *store, const RgExportOptions *o, RgError *error) {
    if (o->experiment &&
        count_of(store, "SELECT count(*) FROM experiments WHERE name = ?1", o->experiment) == 0)
        return rg_fail(error, RG_E_USAGE, "%s: holds no experiment \"%s\"", o->store,
                       o->experiment);
    RG_TRY(rg_export_folder(o->output, error));
    if (o->format == RG_EXPORT_TENSORBOARD)
        return rg_export_events(store, o, error);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        RG_TRY(write_table(store, o, &tables[i], error));
    return RG_OK;
}

RgStatus rg_export(const RgExportOptions *options, RgError *error) {
    RgStore *store;
    RG_TRY(rg_store_open(options->store, false, &store, error));
    RgStatus status = write_all(store, options, error);
    rg_store_close(store);
    return status;
}
