/* SPDX-License-Identifier: MIT */
/* Tables of an experiment: one row per method and swept values, means over seeds. `rg_table` is
 * the whole command; the table as data serves the report too. */
#ifndef RG_ANALYSIS_COMPARE_TABLE_H
#define RG_ANALYSIS_COMPARE_TABLE_H

#include "analysis/compare/records.h"
#include "analysis/statistics/statistics.h"
#include "analysis/store/query.h"

#include <stdio.h>

typedef enum RgTableFormat {
    RG_TABLE_TEXT,
    RG_TABLE_MARKDOWN,
    RG_TABLE_LATEX,    /* booktabs */
    RG_TABLE_CSV,      /* raw numbers: mean, standard error, count, interval */
    RG_TABLE_SAFE_CSV, /* likewise, and no text in it is a formula to a spreadsheet */
    RG_TABLE_JSON,     /* likewise, and the notes */
} RgTableFormat;

typedef enum RgStatistic {
    RG_STATISTIC_MEAN,
    RG_STATISTIC_IQM, /* interquartile mean over seeds (robust.h) */
} RgStatistic;

typedef struct RgTableOptions {
    const char *store; /* path */
    RgChoice choice;   /* of its trials */
    RgTableFormat format;
    const char *const *metrics; /* NULL-terminated columns; NULL: all of the usual ones present */
    RgStatistic statistic;
    const char *against; /* label of the method that the others are tested against; NULL: no test */
    FILE *out;
} RgTableOptions;

/* Write the table, and under it what its figures mean, how the independent judge's ranking agrees,
 * and which trials diverged. RG_E_USAGE on an unknown experiment or metric, naming the nearest. */
RgStatus rg_table(const RgTableOptions *options, RgError *error);

/* The name of a format ("text", "markdown", "latex", "csv", "safe-csv", "json"). */
RgStatus rg_table_format(const char *name, RgTableFormat *format, RgError *error);
RgStatus rg_table_statistic(const char *name, RgStatistic *statistic, RgError *error);
bool rg_table_format_is_raw(RgTableFormat format); /* of records, not of a grid */
bool rg_table_format_is_csv(RgTableFormat format);

/* The table as data. */

typedef struct RgCell {
    /* Over the row's seeds; of a ratio only the mean. In a table of interquartile means, `mean` is
     * that, and the standard error its own. */
    RgSummary summary;
    RgInterval interval; /* 95 % (mean.h, robust.h); of ratios NaN */
    double p_value; /* of no difference to the method tested against, in means paired by seed and
                       prompt or interquartile means paired by seed, adjusted by Holm for the tests
                       of the column; NaN: not tested */
} RgCell;

typedef struct RgColumn {
    RgMeasure measure;
    bool ratio; /* of the row's mean to that of its DPO row */
} RgColumn;

typedef struct RgTable {
    const RgResults *results;
    RgStatistic statistic;
    const RgGroup *against; /* NULL: no tests */
    RgColumn *columns;
    int column_count;
    int result_columns;  /* the first ones tell what came out, the others what it cost */
    int *sample;         /* [groups] trials that the means are over */
    int64_t least_seeds; /* of the tests; 0: none */
    RgCell *cells;       /* [groups, columns] */
    char **notes;        /* sentences to stand under the table */
    int note_count;
} RgTable;

/* By the metrics, statistic and method to test against of `options`. */
RgStatus rg_table_make(const RgResults *results, const RgTableOptions *options, RgTable **table,
                       RgError *error);
/* Of means, without tests. */
RgStatus rg_table_create(const RgResults *results, const char *const *metrics, RgTable **table,
                         RgError *error);
void rg_table_destroy(RgTable *table);

/* As text: cells formatted for people, [groups + 1, columns], the first row being headings. Columns
 * `from` to `to` of the table, with label, swept values and trials before them. */
typedef struct RgGrid {
    char **cells;
    int rows, columns;
    int names; /* columns at the left that are names: aligned left, the others right */
    int keys;  /* columns at the left that say what a row is of: names, and then what was swept */
} RgGrid;

RgGrid rg_table_grid(const RgTable *table, int from, int to);
void rg_grid_free(RgGrid *grid);
void rg_grid_write(const RgGrid *grid, RgTableFormat format, FILE *out);
void rg_note_write(const char *note, RgTableFormat format, FILE *out);
/* After an empty line, where there are any. */
void rg_notes_write(char *const *notes, int count, RgTableFormat format, FILE *out);
/* A CSV, or JSON as {"rows": […], "notes": […]}. */
void rg_records_write(const RgRecords *records, char *const *notes, int note_count,
                      RgTableFormat format, FILE *out);
char *rg_measure_heading(const RgMeasure *measure); /* "win rate, %"; malloc'd */
char *rg_mean_text(const RgSummary *summary, RgInterval interval, RgUnit unit); /* malloc'd */
bool rg_column_shows_interval(const RgTable *table, const RgColumn *column);
/* Of a mean, the interval stands only beside a rate: a table has room for no more. */
char *rg_cell_text(const RgTable *table, const RgColumn *column, const RgCell *cell); /* malloc'd */
void rg_table_write(const RgTable *table, RgTableFormat format, FILE *out);

#endif
