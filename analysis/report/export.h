/* SPDX-License-Identifier: MIT */
/* Export of results for other programs: tables as CSV or JSON lines, curves as TensorBoard's event
 * files. All trials of the store are written, including superseded and unfinished ones. Nothing is
 * averaged or rounded, except that TensorBoard's scalars have 32 bits. */
#ifndef RG_ANALYSIS_REPORT_EXPORT_H
#define RG_ANALYSIS_REPORT_EXPORT_H

#include "analysis/store/choice.h"
#include "core/new_file.h"
#include "core/results/store.h"

typedef enum RgExportFormat {
    RG_EXPORT_CSV,
    RG_EXPORT_SAFE_CSV, /* no text is a formula to a spreadsheet (rg_write_safe_csv) */
    RG_EXPORT_JSONL,
    RG_EXPORT_TENSORBOARD
} RgExportFormat;

typedef struct RgExportOptions {
    const char *store;  /* path */
    RgChoice choice;    /* experiment NULL: all; trials of all configs, filtered by `where` */
    const char *output; /* folder, created if missing; files of the same names are replaced */
    RgExportFormat format;
} RgExportOptions;

/* From a name: csv, safe-csv, jsonl, tensorboard. */
RgStatus rg_export_format(const char *name, RgExportFormat *format, RgError *error);

/* CSV and JSON lines: one file per table, with these columns:
 *   trials     experiment, key, algorithm, label, seed, status, reason, swept, config, provenance,
 *              updated, selected (the step that is its result, empty: the last that was
 *              evaluated), and the experiment's own config
 *   metrics    experiment, key, step, name, value, and the meter's readings of that step
 *   items      experiment, key, step, item, name, value: per test prompt or context
 *   responses  experiment, key, step, item, prompt, response
 *
 * Reals have enough digits to read back the same bits. CSV follows RFC 4180: an empty field is NaN
 * or missing, "" an empty text. In JSON NaN is null, and infinities are the strings "Infinity" and
 * "-Infinity"; swept, config and provenance are objects.
 *
 * TensorBoard: a folder EXPERIMENT/LABEL/seed-N-KEY per trial, with every metric and the meter's
 * readings (meter/flops and so on) by step, and the settings as a text. */
RgStatus rg_export(const RgExportOptions *options, RgError *error);

/* Implemented in export_events.c: the event files of an open store's trials in the JSON array
 * `ids`; NULL: all. */
RgStatus rg_export_events(RgStore *store, const RgExportOptions *options, const char *ids,
                          RgError *error);

/* The event file of one trial, as above, while it runs: rewritten with what the store has of it, and
 * then appended to. */
typedef struct RgEventLog RgEventLog;
RgStatus rg_event_log_open(RgStore *store, int64_t trial, const char *output, RgEventLog **log,
                           RgError *error);
/* Appends the steps that the store has and the file has not; NULL: does nothing. */
RgStatus rg_event_log_add(RgEventLog *log, RgError *error);
void rg_event_log_close(RgEventLog *log);

/* Filter of queries besides the experiment: trials in ?2, a JSON array of numbers; NULL: all. */
#define RG_EXPORT_CHOSEN " AND (?2 IS NULL OR t.id IN (SELECT value FROM json_each(?2)))"

/* A new file with its output stream. */
struct _IO_FILE;
typedef struct RgExportFile {
    struct _IO_FILE *stream;
    RgNewFile file;
} RgExportFile;
/* Open `path`, which the file owns from now on, and create the folders above it. */
RgStatus rg_export_begin(RgExportFile *file, char *path, RgError *error);
RgStatus rg_export_end(RgExportFile *file, RgStatus status, RgError *error);

#endif
