/* SPDX-License-Identifier: MIT */
/* Results for other programs: whole tables as CSV or JSON lines, curves as TensorBoard's event
 * files. Everything that the store holds of trials is written, superseded and unfinished ones too;
 * nothing is averaged or rounded, but that TensorBoard's scalars are 32-bit. */
#ifndef RG_ANALYSIS_REPORT_EXPORT_H
#define RG_ANALYSIS_REPORT_EXPORT_H

#include "analysis/store/choice.h"
#include "core/new_file.h"
#include "core/results/store.h"

typedef enum RgExportFormat {
    RG_EXPORT_CSV,
    RG_EXPORT_SAFE_CSV, /* no text in it is a formula to a spreadsheet (rg_write_safe_csv) */
    RG_EXPORT_JSONL,
    RG_EXPORT_TENSORBOARD
} RgExportFormat;

typedef struct RgExportOptions {
    const char *store;  /* path */
    RgChoice choice;    /* experiment NULL: all; trials of every config, of which `where` chooses */
    const char *output; /* folder, made if it is not there; files of the same names go */
    RgExportFormat format;
} RgExportOptions;

/* By its name: csv, safe-csv, jsonl, tensorboard. */
RgStatus rg_export_format(const char *name, RgExportFormat *format, RgError *error);

/* CSV and JSON lines, one file each, a row each of
 *   trials     experiment, key, algorithm, label, seed, status, reason, swept, config, provenance,
 *              updated, selected (the step that is its result, empty: the last that was
 *              evaluated), and the experiment's own config
 *   metrics    experiment, key, step, name, value, and the meter's readings of that step
 *   items      experiment, key, step, item, name, value: per test prompt or context
 *   responses  experiment, key, step, item, prompt, response
 *
 * Reals are written with as many digits as read back to the same bits. CSV is RFC 4180's: an empty
 * field is NaN or missing, "" an empty text. In JSON NaN is null, and infinities are the strings
 * "Infinity" and "-Infinity"; swept, config and provenance are objects.
 *
 * TensorBoard: a folder EXPERIMENT/LABEL/seed-N-KEY for each trial, with every metric and the
 * meter's readings (meter/flops and so on) by step, and the settings as a text. */
RgStatus rg_export(const RgExportOptions *options, RgError *error);

/* The part of it in export_events.c: the trials of an open store, of those in the JSON array `ids`;
 * NULL: all. */
RgStatus rg_export_events(RgStore *store, const RgExportOptions *options, const char *ids,
                          RgError *error);

/* The event file of one trial, as above, while it is being run: written anew with what the store
 * has of it, and then added to. */
typedef struct RgEventLog RgEventLog;
RgStatus rg_event_log_open(RgStore *store, int64_t trial, const char *output, RgEventLog **log,
                           RgError *error);
/* What the store has by now of steps that the file has not; NULL: nothing is done. */
RgStatus rg_event_log_add(RgEventLog *log, RgError *error);
void rg_event_log_close(RgEventLog *log);

/* What queries have beside the experiment: the trials of ?2, a JSON array of numbers; NULL: all. */
#define RG_EXPORT_CHOSEN " AND (?2 IS NULL OR t.id IN (SELECT value FROM json_each(?2)))"

/* A new file with a stream to write it by. */
struct _IO_FILE;
typedef struct RgExportFile {
    struct _IO_FILE *stream;
    RgNewFile file;
} RgExportFile;
/* Takes `path`, and makes the folders above it. */
RgStatus rg_export_begin(RgExportFile *file, char *path, RgError *error);
RgStatus rg_export_end(RgExportFile *file, RgStatus status, RgError *error);

#endif
