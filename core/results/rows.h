/* SPDX-License-Identifier: MIT */
/* Reading the results store: rows of a query, each value of which is held against its column's rule
 * before anybody sees it. A store may come from a stranger or from a bad disk, and the columns of
 * older stores have no types: text, NULL, 2^63 − 1 or infinity may stand anywhere.
 *
 *     RgRows *rows = rg_rows_open(store, "metrics", "SELECT step, value FROM metrics WHERE …");
 *     rg_rows_of_trial(rows, trial);
 *     while (rg_rows_next(rows))
 *         use(rg_rows_integer(rows, 0), rg_rows_number(rows, 1));
 *     return rg_rows_close(rows, RG_OK, error);
 *
 * Opening and stepping do not fail: the first failure sticks, no row comes after it, and closing
 * tells it: "x.db: metrics.value of trial 3: is text "abc", expected a number". Nothing else in the
 * tree steps through a query or takes a value of a column. */
#ifndef RG_CORE_RESULTS_ROWS_H
#define RG_CORE_RESULTS_ROWS_H

#include "core/results/store.h"

typedef struct RgRows RgRows;

/* Each column of the query has a rule by its name, in `table` or, where its name is
 * "readings.step", in that one. See rows.c for the rules, and for those of what is no column
 * ("any.count"). */
RgRows *rg_rows_open(RgStore *store, const char *table, const char *query);

void rg_rows_bind_integer(RgRows *rows, int parameter, int64_t value);
/* These two are not copied: they stay as they are until the rows are closed or reset. */
void rg_rows_bind_text(RgRows *rows, int parameter, const char *text); /* NULL binds NULL */
void rg_rows_bind_bytes(RgRows *rows, int parameter, const void *bytes, size_t size);
/* The query's first parameter, if it has one, and whom messages name. */
void rg_rows_of_trial(RgRows *rows, int64_t trial);

bool rg_rows_next(RgRows *rows);

/* Values of the row in hand. They are what the rules promise. */
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
int64_t rg_rows_integer(const RgRows *rows, int column); /* 0 of NULL */
double rg_rows_number(const RgRows *rows, int column);   /* NaN of NULL, as SQLite has no NaN */
const char *rg_rows_text(RgRows *rows, int column);      /* until the next row; NULL of NULL */
char *rg_rows_text_copy(RgRows *rows, int column);       /* malloc'd; NULL of NULL */
/* Bind the value as it stands to a parameter of a statement that writes. */
struct sqlite3_stmt;
void rg_rows_pass(const RgRows *rows, int column, struct sqlite3_stmt *to, int parameter);

/* Refuse the row in hand: a rule that is wider than one column. */
void rg_rows_refuse(RgRows *rows, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What went wrong first: `status`, which is the caller's own, with its message, or the rows'. */
RgStatus rg_rows_close(RgRows *rows, RgStatus status, RgError *error);
/* The same, and the query can be asked anew, with other parameters. */
RgStatus rg_rows_reset(RgRows *rows, RgStatus status, RgError *error);

/* Is there a table of this name? Stores of older programs have fewer. */
RgStatus rg_rows_has_table(RgStore *store, const char *name, bool *has, RgError *error);
/* What a query takes readings from: the table, with a column `dataset_responses` of NULL in stores
 * of the first version, which lack it. */
const char *rg_rows_readings(RgStore *store);
/* Likewise trials, with a column `selected` of NULL in stores before version 6. */
const char *rg_rows_trials(RgStore *store);

/* finished or diverged; NULL is not. */
bool rg_status_is_done(const char *status);

#endif
