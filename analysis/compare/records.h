/* SPDX-License-Identifier: MIT */
/* Rows of named numbers and texts for other programs: the unrounded values of a table as CSV or
 * JSON. Every row has the columns of the first row, in its order. */
#ifndef RG_ANALYSIS_COMPARE_RECORDS_H
#define RG_ANALYSIS_COMPARE_RECORDS_H

#include "analysis/statistics/statistics.h"
#include "core/base.h"

#include <stdio.h>

typedef struct RgRecords RgRecords;
struct json_t;

RgRecords *rg_records_create(void);
void rg_records_destroy(RgRecords *records);

/* Append a field to the current row. Names and texts are copied. A NaN is an empty field, null in
 * JSON. */
void rg_record_text(RgRecords *records, const char *name, const char *text);
void rg_record_number(RgRecords *records, const char *name, double value);
/* A 95 % interval: fields NAME_low and NAME_high; in JSON, NAME_95 is a pair. */
void rg_record_interval(RgRecords *records, const char *name, RgInterval interval);
void rg_record_end(RgRecords *records); /* ends the current row */

/* Write the names, then the rows; nothing without rows. `safe`: for a spreadsheet
 * (rg_write_safe_csv). */
void rg_records_write_csv(const RgRecords *records, bool safe, FILE *out);
struct json_t *rg_records_json(const RgRecords *records); /* an array of objects */

/* Write a JSON value, indented, and release it. */
void rg_json_write(struct json_t *value, FILE *out);
struct json_t *rg_json_strings(char *const *texts, int count);

#endif
