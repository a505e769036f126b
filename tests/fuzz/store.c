/* SPDX-License-Identifier: MIT */
/* Results stores that were sound, and in which an input changes cells or bytes before a command
 * reads them. Its first byte names the command. Then each line is one change:
 *
 *     TABLE COLUMN ROW VALUE    VALUE: 12, 1.5, null, 'text, x and raw bytes, or gone: the whole
 * row =OFFSET BYTES             of the file, raw
 *
 * Columns have no types, as in stores of the first versions: SQLite itself refuses most values
 * since. */
#include "core/results/store.h"
#include "core/files.h"
#include "experiments/program/commands/command.h"
#include "tests/fuzz/fuzz.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the sound store ---- */

static void add_steps(RgStore *store, int64_t trial, int64_t seed) {
    RgError error = {0};
    static const char *const names[] = {"loss"};
    for (int64_t step = 0; step <= 4; step += 2) {
        double numbers[3] = {0.5 * (double)(seed + step), 1, 0.25}, loss = 1.0 / (double)(1 + step);
        RgMeter meter = {.flops = 10.0 * (double)step, .seconds = 0.5, .trained_tokens = step};
        RgEvaluation *evaluation = rg_evaluation_create();
        rg_evaluation_column_and_mean(evaluation, "reward", numbers, 3);
        rg_evaluation_metric(evaluation, "kl", 0.1 * (double)step);
        rg_evaluation_metric(evaluation, "length", 5);
        rg_evaluation_response(evaluation, 0, "prompt", "response");
        RG_ASSERT(rg_store_step(store, trial, step, &meter, names, &loss, 1, evaluation, &error) ==
                  RG_OK);
        rg_evaluation_destroy(evaluation);
    }
}

static void add_trials(RgStore *store) {
    RgError error = {0};
    int64_t experiment;
    bool finished;
    RG_ASSERT(rg_store_experiment(store, "race", "{\"name\": \"race\", \"budget.steps\": 4}",
                                  &experiment, &error) == RG_OK);
    for (int i = 0; i < 4; i++) {
        char *key = rg_string_format("%016x", 17 + i);
        RgTrialRecord record = {.experiment = experiment,
                                .key = key,
                                .algorithm = i < 2 ? "dpo" : "sail-pr",
                                .label = i < 2 ? "DPO" : "SAIL",
                                .seed = i % 2,
                                .swept_json = "{\"algorithm.beta\": 0.1}",
                                .config_json = "{\"algorithm.beta\": 0.1}",
                                .provenance_json = "{\"version\": \"1\", \"blas\": \"Haswell\"}"};
        RG_ASSERT(rg_store_trial(store, &record, &finished, &error) == RG_OK);
        add_steps(store, record.id, record.seed);
        RG_ASSERT(rg_store_trial_status(store, record.id, "finished", NULL, &error) == RG_OK);
        free(key);
    }
}

/* Without types of columns and dates, which are never the same. */
static const char make_old[] =
    "UPDATE trials SET updated = '2024-01-01T00:00:00Z';"
    "UPDATE experiments SET created = '2024-01-01T00:00:00Z';"
    "PRAGMA journal_mode = DELETE; PRAGMA user_version = 2; PRAGMA writable_schema = ON;"
    "UPDATE sqlite_schema SET sql = replace(replace(sql, ', STRICT', ''), ' STRICT', '');"
    "PRAGMA writable_schema = RESET; VACUUM";

static unsigned char *image;
static sqlite3_int64 image_size;

static void make_image(void) {
    RgError error = {0};
    RgStore *store;
    sqlite3 *database;
    RG_ASSERT(rg_store_open("sound.db", true, &store, &error) == RG_OK);
    add_trials(store);
    rg_store_close(store);
    RG_ASSERT(sqlite3_open("sound.db", &database) == SQLITE_OK);
    RG_ASSERT(sqlite3_exec(database, make_old, NULL, NULL, NULL) == SQLITE_OK);
    image = sqlite3_serialize(database, "main", &image_size, 0);
    sqlite3_close(database);
}

/* ---- changes ---- */

static const struct {
    const char *table, *key;
} tables[] = {
    {"experiments", "rowid"},
    {"trials", "rowid"},
    {"readings", "rowid"},
    {"metrics", "trial, step, name"},
    {"evaluations", "trial, step, name, item"},
    {"responses", "rowid"},
    {"evaluation_times", "trial, step"},
    {"sqlite_schema", "rowid"},
};

static const char *key_of(const char *table) {
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(tables[i].table, table) == 0)
            return tables[i].key;
    return NULL;
}

static void bind_value(sqlite3_stmt *statement, const char *value, size_t size) {
    char *end;
    if (size > 0 && value[0] == '\'')
        sqlite3_bind_text(statement, 1, value + 1, (int)size - 1, SQLITE_STATIC);
    else if (size > 0 && value[0] == 'x')
        sqlite3_bind_blob(statement, 1, value + 1, (int)size - 1, SQLITE_STATIC);
    else if (strtoll(value, &end, 10), end == value + size && size > 0)
        sqlite3_bind_int64(statement, 1, strtoll(value, NULL, 10));
    else if (strtod(value, &end), end == value + size && size > 0)
        sqlite3_bind_double(statement, 1, strtod(value, NULL));
}

static void change_cell(sqlite3 *database, const char *line, size_t size) {
    char table[20], column[20];
    int row, at = 0;
    if (sscanf(line, "%19s %19s %d %n", table, column, &row, &at) != 3 || at == 0 || !key_of(table))
        return;
    const char *value = line + at, *key = key_of(table);
    char *set = strcmp(value, "gone") == 0
                    ? sqlite3_mprintf("DELETE FROM %s", table)
                    : sqlite3_mprintf("UPDATE OR REPLACE %s SET \"%w\" = ?1", table, column);
    char *text = sqlite3_mprintf("%s WHERE (%s) IN (SELECT %s FROM %s LIMIT 1 OFFSET %d)", set, key,
                                 key, table, row);
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, text, -1, &statement, NULL) == SQLITE_OK) {
        bind_value(statement, value, size - (size_t)at);
        sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    sqlite3_free(text);
    sqlite3_free(set);
}

static void change_bytes(unsigned char *file, sqlite3_int64 length, const char *line, size_t size) {
    unsigned long offset;
    int at = 0;
    if (sscanf(line, "=%lu%n", &offset, &at) != 1 || (size_t)++at >= size)
        return;
    for (size_t i = (size_t)at; i < size && offset < (unsigned long)length; i++)
        file[offset++] = (unsigned char)line[i];
}

/* Call for each line that is or is not of bytes. */
static void each_line(RgBytes lines, bool of_bytes, void *context,
                      void (*change)(void *context, const char *line, size_t size)) {
    const char *at = lines.data, *end = at + lines.size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop ? stop : end) - at);
        char *line = fuzz_text((RgBytes){at, size});
        if ((line[0] == '=') == of_bytes)
            change(context, line, size);
        free(line);
        at += size + 1;
    }
}

static void cell_line(void *context, const char *line, size_t size) {
    change_cell(context, line, size);
}

typedef struct File {
    unsigned char *bytes;
    sqlite3_int64 size;
} File;

static void bytes_line(void *context, const char *line, size_t size) {
    File *file = context;
    change_bytes(file->bytes, file->size, line, size);
}

static void write_changed(RgBytes lines) {
    sqlite3 *database;
    File file;
    unsigned char *copy = sqlite3_malloc64((sqlite3_uint64)image_size);
    memcpy(copy, image, (size_t)image_size);
    RG_ASSERT(sqlite3_open(":memory:", &database) == SQLITE_OK);
    RG_ASSERT(sqlite3_deserialize(database, "main", copy, image_size, image_size,
                                  SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE) ==
              SQLITE_OK);
    sqlite3_exec(database, "PRAGMA writable_schema = ON; PRAGMA foreign_keys = OFF; BEGIN", NULL,
                 NULL, NULL);
    each_line(lines, false, database, cell_line);
    sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
    file.bytes = sqlite3_serialize(database, "main", &file.size, 0);
    sqlite3_close(database);
    each_line(lines, true, &file, bytes_line);
    fuzz_write("x.db", (RgBytes){file.bytes, (size_t)file.size});
    sqlite3_free(file.bytes);
}

/* ---- commands ---- */

static const struct {
    const RgCommand *command;
    const char *arguments[10];
} commands[] = {
    {&rg_command_table, {"table", "x.db"}},
    {&rg_command_table, {"table", "x.db", "-f", "latex", "--statistic=iqm"}},
    {&rg_command_table, {"table", "x.db", "-f", "json", "--against=DPO"}},
    {&rg_command_compare, {"compare", "x.db"}},
    {&rg_command_tournament, {"tournament", "x.db", "-f", "csv"}},
    {&rg_command_tournament, {"tournament", "x.db", "--length-controlled"}},
    {&rg_command_frontier, {"frontier", "x.db"}},
    {&rg_command_budget, {"budget", "x.db", "-f", "markdown"}},
    {&rg_command_export_results, {"export-results", "x.db", "-f", "csv", "-o", "exported"}},
    {&rg_command_export_results, {"export-results", "x.db", "-f", "jsonl", "-o", "exported"}},
    {&rg_command_export_results, {"export-results", "x.db", "-f", "tensorboard", "-o", "exported"}},
    {&rg_command_check_store, {"check-store", "x.db"}},
    {&rg_command_check_store, {"check-store", "x.db", "--save", "merged.db"}},
    {&rg_command_merge, {"merge", "merged.db", "x.db"}},
    {&rg_command_status, {"status", "x.db"}},
    {&rg_command_export_trial, {"export-trial", "x.db", "SAIL", "--seed=1", "-o", "trial"}},
};

static void run_command(size_t which) {
    char *argv[10] = {0};
    int argc = 0;
    for (; commands[which].arguments[argc]; argc++)
        argv[argc] = rg_string_copy(commands[which].arguments[argc]);
    int code = rg_command_execute(commands[which].command, argc, argv);
    RG_ASSERT(code >= 0 && code <= 2);
    while (argc > 0)
        free(argv[--argc]);
}

static void remove_made(void) {
    static const char *const made[] = {"x.db",          "x.db.lock",     "x.db-journal",
                                       "x.db-wal",      "x.db-shm",      "merged.db",
                                       "merged.db-wal", "merged.db-shm", "merged.db.lock"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        remove(made[i]);
    rg_folder_remove("exported");
    rg_folder_remove("trial");
    rg_folder_remove("merged");
}

static void run(const uint8_t *data, size_t size) {
    if (!image)
        make_image();
    if (size == 0)
        return;
    remove_made();
    write_changed((RgBytes){data + 1, size - 1});
    run_command(data[0] % (sizeof commands / sizeof *commands));
}

const FuzzTarget fuzz_store = {"store", run};
