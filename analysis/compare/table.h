/* SPDX-License-Identifier: MIT */
/* Tables of an experiment: one row per method and swept values, means over seeds. `rg_table` is
 * the whole command; the report uses the table as data. */
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
    RG_TABLE_SAFE_CSV, /* as RG_TABLE_CSV, but no text is a formula to a spreadsheet */
    RG_TABLE_JSON,     /* as RG_TABLE_CSV, with the notes */
} RgTableFormat;

typedef enum RgStatistic {
    RG_STATISTIC_MEAN,
    RG_STATISTIC_IQM, /* interquartile mean over seeds (robust.h) */
} RgStatistic;

typedef struct RgTableOptions {
    const char *store; /* path */
    RgChoice choice;   /* of its trials */
    RgTableFormat format;
    const char *const
        *metrics; /* columns, NULL-terminated; NULL: all usual ones that are present */
    RgStatistic statistic;
    const char *against; /* label of the method to test the others against; NULL: no tests */
    FILE *out;
} RgTableOptions;

/* Write the table and its notes: the meaning of its figures, the agreement of the independent
 * judge's ranking, and diverged trials. RG_E_USAGE, suggesting the nearest name, for an unknown
 * experiment or metric. */
RgStatus rg_table(const RgTableOptions *options, RgError *error);

/* The name of a format ("text", "markdown", "latex", "csv", "safe-csv", "json"). */
RgStatus rg_table_format(const char *name, RgTableFormat *format, RgError *error);
RgStatus rg_table_statistic(const char *name, RgStatistic *statistic, RgError *error);
bool rg_table_format_is_raw(RgTableFormat format); /* records, not a grid */
bool rg_table_format_is_csv(RgTableFormat format);

/* The table as data. */

typedef struct RgCell {
    /* Over the row's seeds; for a ratio only the mean. In a table of interquartile means, `mean`
     * and the standard error are those of the interquartile mean. */
    RgSummary summary;
    RgInterval interval; /* 95 % (mean.h, robust.h); NaN for ratios */
    double p_value; /* for no difference to the method tested against: of means paired by seed and
                       prompt, or of interquartile means paired by seed; Holm-adjusted for the tests
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
    int result_columns;  /* the first columns are results, the others costs */
    int *sample;         /* [groups] number of trials in the means */
    int64_t least_seeds; /* smallest number of seeds of a test; 0: no tests */
    RgCell *cells;       /* [groups, columns] */
    char **notes;        /* sentences printed below the table */
    int note_count;
} RgTable;

/* With the metrics, the statistic and the method to test against of `options`. */
RgStatus rg_table_make(const RgResults *results, const RgTableOptions *options, RgTable **table,
                       RgError *error);
/* With means and without tests. */
RgStatus rg_table_create(const RgResults *results, const char *const *metrics, RgTable **table,
                         RgError *error);
void rg_table_destroy(RgTable *table);

/* A table as text: formatted cells [groups + 1, columns], headings in the first row. It has columns
 * `from` to `to` of the table, after label, swept values and trials. */
typedef struct RgGrid {
    char **cells;
    int rows, columns;
    int names; /* leading columns with names: aligned left, the others right */
    int keys;  /* leading columns that identify a row: names, then swept options */
} RgGrid;

RgGrid rg_table_grid(const RgTable *table, int from, int to);
void rg_grid_free(RgGrid *grid);
void rg_grid_write(const RgGrid *grid, RgTableFormat format, FILE *out);
void rg_note_write(const char *note, RgTableFormat format, FILE *out);
/* Notes after an empty line; nothing without notes. */
void rg_notes_write(char *const *notes, int count, RgTableFormat format, FILE *out);
/* As CSV, or as JSON {"rows": […], "notes": […]}. */
void rg_records_write(const RgRecords *records, char *const *notes, int note_count,
                      RgTableFormat format, FILE *out);
char *rg_measure_heading(const RgMeasure *measure); /* "win rate, %"; malloc'd */
char *rg_mean_text(const RgSummary *summary, RgInterval interval, RgUnit unit); /* malloc'd */
bool rg_column_shows_interval(const RgTable *table, const RgColumn *column);
/* Next to a mean, only a rate has its interval: a table has no space for more. */
char *rg_cell_text(const RgTable *table, const RgColumn *column, const RgCell *cell); /* malloc'd */
void rg_table_write(const RgTable *table, RgTableFormat format, FILE *out);

#endif
