/* SPDX-License-Identifier: MIT */
/* The rules of all columns, and reading rows with them. */
#include "core/results/rows.h"

#include "core/digest.h"
#include "core/names.h"
#include "core/utf8.h"

#include <jansson.h>
#include <math.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum RuleType {
    INTEGER, /* within a range */
    AMOUNT,  /* finite, 0 or more */
    FINITE,
    NUMBER, /* possibly infinite: measured by a diverged trial */
    TEXT,
    LABEL,      /* see core/names.h; also names of metrics and methods */
    EXPERIMENT, /* see core/names.h */
    LOOSE_TEXT, /* text by a model or another program; bytes that are not UTF-8 become U+FFFD */
    JSON,       /* an object */
    KEY,        /* of a trial; part of the names of its files */
    STATUS,
    DIGEST,
    SHA256,
    ANY, /* a number or text, for comparison only */
} RuleType;

typedef struct Rule {
    const char *table, *column;
    RuleType type;
    bool null; /* whether NULL is allowed */
    int64_t least, most;
    const char *shown; /* name in messages, if not table.column */
} Rule;

#define ID            INTEGER, false, 1, INT64_MAX, NULL
#define STEP          INTEGER, false, 0, INT64_C(1) << 53, NULL
#define ITEM          INTEGER, false, 0, (INT64_C(1) << 24) - 1, NULL /* an array index */
#define COUNT         INTEGER, true, 0, INT64_C(1) << 53, NULL        /* NULL: not counted */
#define FLAG          INTEGER, true, 0, 1, NULL
#define OF(type)      type, false, 0, 0, NULL
#define OR_NULL(type) type, true, 0, 0, NULL

static const Rule rules[] = {
    {"experiments", "id", ID},
    {"experiments", "name", OF(EXPERIMENT)},
    {"experiments", "config", OR_NULL(JSON)},
    {"experiments", "created", OR_NULL(TEXT)},

    {"trials", "id", ID},
    {"trials", "experiment", ID},
    {"trials", "key", OF(KEY)},
    {"trials", "algorithm", OF(LABEL)},
    {"trials", "label", OF(LABEL)},
    {"trials", "seed", INTEGER, false, 0, INT64_MAX, NULL},
    {"trials", "status", OF(STATUS)},
    {"trials", "reason", OR_NULL(LOOSE_TEXT)},
    {"trials", "swept", OR_NULL(JSON)},
    {"trials", "config", OR_NULL(JSON)},
    {"trials", "provenance", OR_NULL(JSON)},
    {"trials", "updated", OR_NULL(TEXT)},
    {"trials", "selected", INTEGER, true, 0, INT64_C(1) << 53, NULL},

    {"readings", "trial", ID},
    {"readings", "step", STEP},
    {"readings", "flops", OR_NULL(AMOUNT)},
    {"readings", "seconds", OR_NULL(AMOUNT)},
    {"readings", "trained_tokens", COUNT},
    {"readings", "generated_tokens", COUNT},
    {"readings", "judge_queries", COUNT},
    {"readings", "dataset_responses", COUNT},
    {"readings", "hessian_products", COUNT},
    {"readings", "peak_memory", OR_NULL(AMOUNT)},
    {"readings", "evaluated", FLAG},
    /* the last step of a trial, which may have none; a cost */
    {"readings", "last_step", INTEGER, true, 0, INT64_C(1) << 53, "readings.step"},
    {"readings", "cost", OR_NULL(AMOUNT)},

    {"metrics", "trial", ID},
    {"metrics", "step", STEP},
    {"metrics", "name", OF(LABEL)},
    {"metrics", "value", OR_NULL(NUMBER)},

    {"evaluations", "trial", ID},
    {"evaluations", "step", STEP},
    {"evaluations", "item", ITEM},
    {"evaluations", "name", OF(LABEL)},
    {"evaluations", "value", OR_NULL(NUMBER)},

    {"responses", "trial", ID},
    {"responses", "step", STEP},
    {"responses", "item", ITEM},
    {"responses", "prompt", OF(LOOSE_TEXT)},
    {"responses", "response", OF(LOOSE_TEXT)},

    {"evaluation_times", "trial", ID},
    {"evaluation_times", "step", STEP},
    {"evaluation_times", "seconds", OF(AMOUNT)},

    {"weights", "trial", ID},
    {"weights", "file", OF(TEXT)},
    {"weights", "sha256", OF(SHA256)},

    {"last_run", "experiment", ID},
    {"last_run", "key", OF(KEY)},

    {"pair_values", "key", OF(DIGEST)},
    {"pair_values", "first", OF(FINITE)},
    {"pair_values", "second", OF(FINITE)},
    {"pair_values", "flops", OF(AMOUNT)},
    {"pair_values", "seconds", OF(AMOUNT)},
    {"pair_values", "proof", INTEGER, false, INT64_MIN, INT64_MAX, NULL},

    {"judge_answers", "key", OF(DIGEST)},
    {"judge_answers", "judge", OF(TEXT)},
    {"judge_answers", "tries", INTEGER, false, 0, INT64_C(1) << 32, NULL}, /* these are summed */
    {"judge_answers", "answer", OR_NULL(LOOSE_TEXT)},
    {"judge_answers", "refused", FLAG},
    {"judge_answers", "answered", OR_NULL(TEXT)},

    /* columns of exported tables */
    {"export", "experiment", EXPERIMENT, false, 0, 0, "experiments.name"},
    {"export", "experiment_config", JSON, true, 0, 0, "experiments.config"},
    {"export", "config", JSON, true, 0, 0, "trials.config"},
    {"export", "key", KEY, false, 0, 0, "trials.key"},
    {"export", "name", LABEL, true, 0, 0, "metrics.name"}, /* a step may have no metric */

    {"any", "value", ANY, true, 0, 0, "a value"},
    {"any", "count", INTEGER, false, 0, INT64_MAX, "a count"},
    {"any", "integer", INTEGER, false, INT64_MIN, INT64_MAX, "an integer"},
    {"any", "text", TEXT, false, 0, 0, "a name"},
};

enum { MOST_COLUMNS = 24 };

struct RgRows {
    RgStore *store;
    const char *table;
    sqlite3_stmt *statement;
    const Rule *rules[MOST_COLUMNS];
    char *repaired[MOST_COLUMNS]; /* repaired loose texts of the current row */
    int columns;
    int64_t trial; /* the trial named in messages; 0: none */
    bool done;
    RgStatus status;
    RgError error;
};

/* ---- opening ---- */

static const Rule *find_rule(const char *table, size_t length, const char *column) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strncmp(rules[i].table, table, length) == 0 && !rules[i].table[length] &&
            strcmp(rules[i].column, column) == 0)
            return &rules[i];
    return NULL;
}

/* A column of an exported table has the rule of the first table with such a column. */
static const Rule *rule_of(const char *table, const char *name) {
    const char *dot = strchr(name, '.');
    const Rule *rule = dot ? find_rule(name, (size_t)(dot - name), dot + 1)
                           : find_rule(table, strlen(table), name);
    for (size_t i = 0; !rule && strcmp(table, "export") == 0 && i < sizeof rules / sizeof *rules;
         i++)
        if (strcmp(rules[i].column, name) == 0)
            rule = &rules[i];
    return rule;
}

RgRows *rg_rows_open(RgStore *store, const char *table, const char *query) {
    RgRows *rows = rg_allocate(1, sizeof *rows);
    rows->store = store;
    rows->table =
        strcmp(table, "any") == 0 || strcmp(table, "export") == 0 ? "the results store" : table;
    if (sqlite3_prepare_v2(rg_store_database(store), query, -1, &rows->statement, NULL) !=
        SQLITE_OK) {
        rows->status = rg_store_refused(store, "read the results store", &rows->error);
        return rows;
    }
    rows->columns = sqlite3_column_count(rows->statement);
    RG_ASSERT(rows->columns <= MOST_COLUMNS);
    for (int i = 0; i < rows->columns; i++) {
        rows->rules[i] = rule_of(table, sqlite3_column_name(rows->statement, i));
        if (!rows->rules[i]) /* only "SELECT *" of a foreign table can have other columns */
            rows->status = rg_fail(&rows->error, RG_E_STORE, "%s: %s has an unknown column",
                                   rg_store_path(store), table);
    }
    return rows;
}

void rg_rows_bind_integer(RgRows *rows, int parameter, int64_t value) {
    sqlite3_bind_int64(rows->statement, parameter, value);
}

void rg_rows_bind_text(RgRows *rows, int parameter, const char *text) {
    sqlite3_bind_text(rows->statement, parameter, text, -1, SQLITE_STATIC);
}

void rg_rows_bind_bytes(RgRows *rows, int parameter, const void *bytes, size_t size) {
    sqlite3_bind_blob(rows->statement, parameter, bytes, (int)size, SQLITE_STATIC);
}

void rg_rows_of_trial(RgRows *rows, int64_t trial) {
    rows->trial = trial;
    if (rows->statement && sqlite3_bind_parameter_count(rows->statement) > 0)
        sqlite3_bind_int64(rows->statement, 1, trial);
}

/* ---- the rules ---- */

bool rg_status_is_done(const char *status) {
    return status && (strcmp(status, "finished") == 0 || strcmp(status, "diverged") == 0);
}

static bool is_object(const char *text) {
    json_t *json = json_loads(text, 0, NULL);
    bool object = json_is_object(json);
    json_decref(json);
    return object;
}

static bool text_is_sound(const RgRows *rows, int column) {
    const char *text = (const char *)sqlite3_column_text(rows->statement, column);
    size_t size = (size_t)sqlite3_column_bytes(rows->statement, column);
    RuleType type = rows->rules[column]->type;
    if (!text || memchr(text, '\0', size))
        return false;
    if (type == LOOSE_TEXT || type == ANY)
        return true;
    if (!rg_utf8_is_valid(text, size))
        return false;
    switch (type) {
    case TEXT:
        return true;
    case LABEL:
        return !rg_label_fault(text);
    case EXPERIMENT:
        return !rg_experiment_name_fault(text);
    case JSON:
        return is_object(text);
    case KEY:
        return rg_key_is_valid(text);
    case SHA256:
        return size == 64 && strspn(text, "0123456789abcdef") == size;
    case STATUS:
        return rg_status_is_done(text) || strcmp(text, "running") == 0 ||
               strcmp(text, "failed") == 0;
    default:
        return false;
    }
}

static bool number_is_sound(RuleType type, double value) {
    if (type == AMOUNT)
        return isfinite(value) && value >= 0;
    return type == NUMBER || type == ANY || (type == FINITE && isfinite(value));
}

static bool is_sound(const RgRows *rows, int column) {
    const Rule *rule = rows->rules[column];
    switch (sqlite3_column_type(rows->statement, column)) {
    case SQLITE_NULL:
        return rule->null;
    case SQLITE_INTEGER:
        if (rule->type == INTEGER) {
            int64_t value = sqlite3_column_int64(rows->statement, column);
            return value >= rule->least && value <= rule->most;
        }
        return number_is_sound(rule->type, sqlite3_column_double(rows->statement, column));
    case SQLITE_FLOAT:
        return number_is_sound(rule->type, sqlite3_column_double(rows->statement, column));
    case SQLITE_BLOB:
        return rule->type == DIGEST &&
               sqlite3_column_bytes(rows->statement, column) == (int)sizeof(RgDigest);
    default:
        return text_is_sound(rows, column);
    }
}

/* ---- messages ---- */

/* Such as `is text "abc"`, on one line and without control characters. */
static void describe(const RgRows *rows, int column, char text[96]) {
    sqlite3_stmt *row = rows->statement;
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_NULL:
        snprintf(text, 96, "is NULL");
        return;
    case SQLITE_INTEGER:
        snprintf(text, 96, "is %lld", (long long)sqlite3_column_int64(row, column));
        return;
    case SQLITE_FLOAT:
        snprintf(text, 96, "is %g", sqlite3_column_double(row, column));
        return;
    case SQLITE_BLOB:
        snprintf(text, 96, "is a blob of %d bytes", sqlite3_column_bytes(row, column));
        return;
    default:
        break;
    }
    const char *value = (const char *)sqlite3_column_text(row, column);
    size_t size = (size_t)sqlite3_column_bytes(row, column);
    if (!value)
        snprintf(text, 96, "is text that cannot be read");
    else if (memchr(value, '\0', size))
        snprintf(text, 96, "is text with a NUL byte");
    else if (!rg_utf8_is_valid(value, size))
        snprintf(text, 96, "is text that is not UTF-8");
    else
        snprintf(text, 96, "is text \"%.40s\"%s", value, size > 40 ? " ..." : "");
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

static void expect(const Rule *rule, char text[128]) {
    static const char *const names[] = {
        [AMOUNT] = "a finite number of 0 or more",
        [FINITE] = "a finite number",
        [NUMBER] = "a number",
        [TEXT] = "text",
        [LABEL] = "text of at most 256 bytes without control characters",
        [EXPERIMENT] = "a name of at most 128 bytes, without '/' and control characters, that "
                       "begins with neither '-' nor '.'",
        [LOOSE_TEXT] = "text",
        [JSON] = "a JSON object",
        [KEY] = "16 hexadecimal digits",
        [STATUS] = "running, finished, diverged or failed",
        [DIGEST] = "a digest of 16 bytes",
        [SHA256] = "64 hexadecimal digits",
        [ANY] = "a number or text",
    };
    if (rule->type != INTEGER)
        snprintf(text, 128, "%s", names[rule->type]);
    else if (rule->most == INT64_MAX)
        snprintf(text, 128, "an integer of %lld or more", (long long)rule->least);
    else
        snprintf(text, 128, "an integer from %lld to %lld", (long long)rule->least,
                 (long long)rule->most);
}

/* " of trial 3", if it is known. */
static void owner(const RgRows *rows, char text[48]) {
    int64_t trial = rows->trial;
    for (int i = 0; i < rows->columns && !trial; i++)
        if ((strcmp(rows->rules[i]->column, "trial") == 0 ||
             (strcmp(rows->rules[i]->column, "id") == 0 &&
              strcmp(rows->rules[i]->table, "trials") == 0)) &&
            sqlite3_column_type(rows->statement, i) == SQLITE_INTEGER)
            trial = sqlite3_column_int64(rows->statement, i);
    text[0] = '\0';
    if (trial)
        snprintf(text, 48, " of trial %lld", (long long)trial);
}

static void refuse_value(RgRows *rows, int column) {
    const Rule *rule = rows->rules[column];
    char found[96], expected[128], whose[48];
    describe(rows, column, found);
    expect(rule, expected);
    owner(rows, whose);
    if (strcmp(rule->table, "experiments") == 0)
        whose[0] = '\0';
    rows->status =
        rg_fail(&rows->error, RG_E_STORE, "%s: %s%s%s%s: %s, expected %s",
                rg_store_path(rows->store), rule->shown ? rule->shown : rule->table,
                rule->shown ? "" : ".", rule->shown ? "" : rule->column, whose, found, expected);
}

void rg_rows_refuse(RgRows *rows, const char *format, ...) {
    char text[512], whose[48];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    owner(rows, whose);
    if (rows->status == RG_OK)
        rows->status =
            rg_fail(&rows->error, RG_E_STORE, "%s: %s%s", rg_store_path(rows->store), text, whose);
}

static void refuse_step(RgRows *rows) {
    char doing[128], whose[48] = "";
    if (rows->trial)
        snprintf(whose, sizeof whose, " of trial %lld", (long long)rows->trial);
    snprintf(doing, sizeof doing, "read %s%s", rows->table, whose);
    rows->status = rg_store_refused(rows->store, doing, &rows->error);
}

/* ---- rows ---- */

static void forget_row(RgRows *rows) {
    for (int i = 0; i < rows->columns; i++) {
        free(rows->repaired[i]);
        rows->repaired[i] = NULL;
    }
}

bool rg_rows_next(RgRows *rows) {
    forget_row(rows);
    if (rows->status != RG_OK || rows->done)
        return false;
    int code = sqlite3_step(rows->statement);
    rows->done = code == SQLITE_DONE;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        refuse_step(rows);
    for (int i = 0; code == SQLITE_ROW && rows->status == RG_OK && i < rows->columns; i++)
        if (!is_sound(rows, i))
            refuse_value(rows, i);
    return code == SQLITE_ROW && rows->status == RG_OK;
}

int rg_rows_columns(const RgRows *rows) {
    return rows->columns;
}

const char *rg_rows_name(const RgRows *rows, int column) {
    return sqlite3_column_name(rows->statement, column);
}

RgValueType rg_rows_type(const RgRows *rows, int column) {
    switch (sqlite3_column_type(rows->statement, column)) {
    case SQLITE_NULL:
        return RG_VALUE_NULL;
    case SQLITE_INTEGER:
        return RG_VALUE_INTEGER;
    case SQLITE_FLOAT:
        return RG_VALUE_REAL;
    case SQLITE_BLOB:
        return RG_VALUE_BYTES;
    default:
        return RG_VALUE_TEXT;
    }
}

int64_t rg_rows_integer(const RgRows *rows, int column) {
    return sqlite3_column_int64(rows->statement, column);
}

double rg_rows_number(const RgRows *rows, int column) {
    return rg_rows_type(rows, column) == RG_VALUE_NULL
               ? NAN
               : sqlite3_column_double(rows->statement, column);
}

const char *rg_rows_text(RgRows *rows, int column) {
    const char *text = (const char *)sqlite3_column_text(rows->statement, column);
    size_t size = (size_t)sqlite3_column_bytes(rows->statement, column);
    if (!text || rg_utf8_is_valid(text, size))
        return text;
    if (!rows->repaired[column]) {
        RgBuffer repaired = {0};
        rg_utf8_repair(text, size, &repaired);
        rg_buffer_append(&repaired, "", 1);
        rows->repaired[column] = repaired.bytes;
    }
    return rows->repaired[column];
}

char *rg_rows_text_copy(RgRows *rows, int column) {
    return rg_string_copy(rg_rows_text(rows, column));
}

void rg_rows_pass(const RgRows *rows, int column, sqlite3_stmt *to, int parameter) {
    sqlite3_bind_value(to, parameter, sqlite3_column_value(rows->statement, column));
}

/* ---- the end ---- */

static RgStatus first_failure(const RgRows *rows, RgStatus status, RgError *error) {
    if (status != RG_OK || rows->status == RG_OK)
        return status;
    return rg_fail(error, rows->status, "%s", rows->error.text);
}

RgStatus rg_rows_reset(RgRows *rows, RgStatus status, RgError *error) {
    status = first_failure(rows, status, error);
    forget_row(rows);
    sqlite3_reset(rows->statement);
    sqlite3_clear_bindings(rows->statement);
    rows->status = RG_OK;
    rows->done = false;
    return status;
}

RgStatus rg_rows_close(RgRows *rows, RgStatus status, RgError *error) {
    if (!rows)
        return status;
    status = first_failure(rows, status, error);
    forget_row(rows);
    sqlite3_finalize(rows->statement);
    free(rows);
    return status;
}

RgStatus rg_rows_has_table(RgStore *store, const char *name, bool *has, RgError *error) {
    RgRows *rows = rg_rows_open(store, "any",
                                "SELECT 1 AS count FROM sqlite_master"
                                " WHERE type = 'table' AND name = ?1");
    rg_rows_bind_text(rows, 1, name);
    *has = rg_rows_next(rows);
    return rg_rows_close(rows, RG_OK, error);
}

/* What cannot be asked now is taken to be so, and refused by the query that follows. */
static bool has_column(RgStore *store, const char *table, const char *column) {
    RgRows *rows =
        rg_rows_open(store, "any", "SELECT 1 AS count FROM pragma_table_info(?1) WHERE name = ?2");
    rg_rows_bind_text(rows, 1, table);
    rg_rows_bind_text(rows, 2, column);
    bool has = rg_rows_next(rows);
    bool known = rg_rows_close(rows, RG_OK, NULL) == RG_OK;
    /* If the query fails now, the next one reports it. */
    return has || !known;
}

const char *rg_rows_readings(RgStore *store) {
    return has_column(store, "readings", "dataset_responses")
               ? "readings"
               : "(SELECT *, NULL AS dataset_responses FROM readings)";
}

const char *rg_rows_trials(RgStore *store) {
    return has_column(store, "trials", "selected") ? "trials"
                                                   : "(SELECT *, NULL AS selected FROM trials)";
}
