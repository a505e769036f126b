/* SPDX-License-Identifier: MIT */
/* Reading the results store: rows of a query, with every value checked against the rule of its
 * column before it is used. A store may come from a stranger or a bad disk, and columns of older
 * stores have no types: text, NULL, 2^63 − 1 or infinity may occur anywhere.
 *
 *     RgRows *rows = rg_rows_open(store, "metrics", "SELECT step, value FROM metrics WHERE …");
 *     rg_rows_of_trial(rows, trial);
 *     while (rg_rows_next(rows))
 *         use(rg_rows_integer(rows, 0), rg_rows_number(rows, 1));
 *     return rg_rows_close(rows, RG_OK, error);
 *
 * Opening and stepping do not fail. After the first failure no more rows follow, and closing
 * reports it: "x.db: metrics.value of trial 3: is text "abc", expected a number". No other code
 * steps through a query or reads a column.
 *
 * Threads: as the store. */
#ifndef RG_CORE_RESULTS_ROWS_H
#define RG_CORE_RESULTS_ROWS_H

#include "core/results/store.h"

typedef struct RgRows RgRows;

/* Each column of the query has a rule: that of its name in `table`, or of the named table if its
 * name is like "readings.step". The rules are in rows.c, including those of values that are no
 * column ("any.count"). */
RgRows *rg_rows_open(RgStore *store, const char *table, const char *query);

void rg_rows_bind_integer(RgRows *rows, int parameter, int64_t value);
/* These two are not copied: they must not change until the rows are closed or reset. */
void rg_rows_bind_text(RgRows *rows, int parameter, const char *text); /* NULL binds NULL */
void rg_rows_bind_bytes(RgRows *rows, int parameter, const void *bytes, size_t size);
/* Binds the query's first parameter, if it has one, and names the trial in messages. */
void rg_rows_of_trial(RgRows *rows, int64_t trial);

bool rg_rows_next(RgRows *rows);

/* Values of the current row. The rules guarantee their types and ranges. */
typedef enum RgValueType {
    RG_VALUE_NULL,
    RG_VALUE_INTEGER,
    RG_VALUE_REAL,
    RG_VALUE_TEXT,
    RG_VALUE_BYTES,
} RgValueType;

int rg_rows_columns(const RgRows *rows);
const char *rg_rows_name(const RgRows *rows, int column);
RgValueType rg_rows_type(const RgRows *rows, int column);
int64_t rg_rows_integer(const RgRows *rows, int column); /* NULL gives 0 */
double rg_rows_number(const RgRows *rows, int column);   /* NULL gives NaN, as SQLite has no NaN */
const char *rg_rows_text(RgRows *rows, int column); /* valid until the next row; NULL gives NULL */
char *rg_rows_text_copy(RgRows *rows, int column);  /* malloc'd; NULL gives NULL */
/* Binds the unchanged value to a parameter of a writing statement. */
struct sqlite3_stmt;
void rg_rows_pass(const RgRows *rows, int column, struct sqlite3_stmt *to, int parameter);

/* Refuses the current row, for a rule that involves several columns. */
void rg_rows_refuse(RgRows *rows, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns the first failure: `status` of the caller, with its message, or that of the rows. */
RgStatus rg_rows_close(RgRows *rows, RgStatus status, RgError *error);
/* The same, and the query can be run again with other parameters. */
RgStatus rg_rows_reset(RgRows *rows, RgStatus status, RgError *error);

/* Whether there is a table of this name. Older stores have fewer. */
RgStatus rg_rows_has_table(RgStore *store, const char *name, bool *has, RgError *error);
/* The source of readings for a query: the table, with a column `dataset_responses` of NULL in
 * stores of the first version, which do not have it. */
const char *rg_rows_readings(RgStore *store);
/* Likewise trials, with a column `selected` of NULL in stores before version 6. */
const char *rg_rows_trials(RgStore *store);

/* Whether the status is finished or diverged; false for NULL. */
bool rg_status_is_done(const char *status);

#endif
