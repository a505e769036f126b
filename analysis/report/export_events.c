/* SPDX-License-Identifier: MIT */
/* TensorBoard's event files. An event file is a sequence of records (length, its checksum, data,
 * its checksum); each record is one protocol buffer of type Event. Only ten fields of that type and
 * its parts are needed; their numbers are below. They are written by hand, because a generator
 * would need TensorFlow's descriptions at build time to replace a hundred lines.
 *
 * Formats: tensorflow/core/lib/io/record_writer.cc; tensorflow/core/util/event.proto and
 * framework/summary.proto; protobuf.dev, "Encoding". */
#include "analysis/report/export.h"

#include "analysis/compare/format.h"
#include "core/results/rows.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- bytes ---- */

typedef struct Bytes {
    unsigned char *at;
    size_t size, room;
} Bytes;

static void put(Bytes *bytes, const void *data, size_t size) {
    if (bytes->size + size > bytes->room) {
        bytes->room = 2 * (bytes->size + size);
        bytes->at = rg_reallocate(bytes->at, bytes->room, 1);
    }
    if (size > 0)
        memcpy(bytes->at + bytes->size, data, size);
    bytes->size += size;
}

/* `size` bytes of a number, lowest first. */
static void put_little_endian(Bytes *bytes, uint64_t value, int size) {
    for (int i = 0; i < size; i++)
        put(bytes, &(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

/* ---- protocol buffers ---- */

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put_varint(Bytes *bytes, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        put(bytes, &(unsigned char){(unsigned char)(value | 0x80)}, 1);
    put(bytes, &(unsigned char){(unsigned char)value}, 1);
}

static void put_key(Bytes *bytes, int field, int wire) {
    put_varint(bytes, (uint64_t)field << 3 | (unsigned)wire);
}

static void put_integer(Bytes *bytes, int field, int64_t value) {
    put_key(bytes, field, WIRE_VARINT);
    put_varint(bytes, (uint64_t)value);
}

static void put_double(Bytes *bytes, int field, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(bytes, field, WIRE_64);
    put_little_endian(bytes, bits, 8);
}

static void put_float(Bytes *bytes, int field, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(bytes, field, WIRE_32);
    put_little_endian(bytes, bits, 4);
}

static void put_text(Bytes *bytes, int field, const char *text) {
    put_key(bytes, field, WIRE_BYTES);
    put_varint(bytes, strlen(text));
    put(bytes, text, strlen(text));
}

/* A message inside another; frees it. */
static void put_message(Bytes *bytes, int field, Bytes *message) {
    put_key(bytes, field, WIRE_BYTES);
    put_varint(bytes, message->size);
    put(bytes, message->at, message->size);
    free(message->at);
    *message = (Bytes){0};
}

/* ---- records ---- */

/* CRC-32C (Castagnoli), reflected. */
static uint32_t crc32c(const void *data, size_t size) {
    const unsigned char *byte = data;
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= byte[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    }
    return ~crc;
}

/* Rotated and shifted, as in records, so that a checksum of checksums is not degenerate. */
static uint32_t masked_crc(const void *data, size_t size) {
    uint32_t crc = crc32c(data, size);
    return (crc >> 15 | crc << 17) + 0xA282EAD8;
}

/* Write an event as a record; frees it. */
static void write_record(FILE *out, Bytes *event) {
    Bytes record = {0};
    put_little_endian(&record, event->size, 8);
    put_little_endian(&record, masked_crc(record.at, 8), 4);
    put(&record, event->at, event->size);
    put_little_endian(&record, masked_crc(event->at, event->size), 4);
    fwrite(record.at, 1, record.size, out);
    free(record.at);
    free(event->at);
    *event = (Bytes){0};
}

/* ---- events ---- */

enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5 };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_TENSOR = 8, VALUE_METADATA = 9 };

static Bytes event(double wall_time, int64_t step) {
    Bytes bytes = {0};
    put_double(&bytes, EVENT_WALL_TIME, wall_time);
    if (step != 0) /* a missing field is 0 */
        put_integer(&bytes, EVENT_STEP, step);
    return bytes;
}

/* Append a scalar to a summary. */
static void add_scalar(Bytes *summary, const char *tag, double value) {
    Bytes message = {0};
    put_text(&message, VALUE_TAG, tag);
    put_float(&message, VALUE_SIMPLE, (float)value);
    put_message(summary, SUMMARY_VALUE, &message);
}

/* Append a text: a tensor of one string, marked as the text plug-in's. */
static void add_text(Bytes *summary, const char *tag, const char *text) {
    enum { DTYPE = 1, SHAPE = 2, STRINGS = 8, DIMENSION = 2, SIZE = 1, TYPE_STRING = 7 };
    enum { PLUGIN = 1, PLUGIN_NAME = 1 };
    Bytes message = {0}, dimension = {0}, shape = {0}, tensor = {0}, plugin = {0}, metadata = {0};
    put_integer(&dimension, SIZE, 1);
    put_message(&shape, DIMENSION, &dimension);
    put_integer(&tensor, DTYPE, TYPE_STRING);
    put_message(&tensor, SHAPE, &shape);
    put_text(&tensor, STRINGS, text);
    put_text(&plugin, PLUGIN_NAME, "text");
    put_message(&metadata, PLUGIN, &plugin);
    put_text(&message, VALUE_TAG, tag);
    put_message(&message, VALUE_TENSOR, &tensor);
    put_message(&message, VALUE_METADATA, &metadata);
    put_message(summary, SUMMARY_VALUE, &message);
}

static void write_summary(FILE *out, double wall_time, int64_t step, Bytes *summary) {
    Bytes bytes = event(wall_time, step);
    put_message(&bytes, EVENT_SUMMARY, summary);
    write_record(out, &bytes);
}

/* ---- a trial ---- */

typedef struct EventTrial {
    int64_t id, seed;
    const char *experiment, *key, *label, *config; /* of the current row */
    double begin;                                  /* seconds since 1970 at step 0 */
} EventTrial;

/* Settings as a table in Markdown, for the text plug-in. */
static char *settings_text(const EventTrial *trial) {
    RgFields fields = rg_fields_parse(trial->config);
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    fputs("setting | value\n--- | ---\n", out);
    for (int i = 0; i < fields.count; i++) {
        rg_write_markdown(out, fields.at[i].name);
        fputs(" | ", out);
        rg_write_markdown(out, fields.at[i].text);
        fputs("\n", out);
    }
    fclose(out);
    rg_fields_free(&fields);
    return text;
}

/* The meter's columns, in the order of the query below, after step, name and value. */
static const char *const meter_tags[] = {"meter/flops",          "meter/seconds",
                                         "meter/trained_tokens", "meter/generated_tokens",
                                         "meter/judge_queries",  "meter/hessian_products",
                                         "meter/peak_memory"};
enum { METER_COLUMNS = sizeof meter_tags / sizeof *meter_tags, FIRST_METER = 3, SECONDS = 4 };

static const char steps_text[] =
    "SELECT r.step, name AS \"export.name\", value AS \"metrics.value\", flops, seconds,"
    " trained_tokens, generated_tokens, judge_queries,"
    " hessian_products, peak_memory FROM readings r LEFT JOIN metrics m"
    " ON m.trial = r.trial AND m.step = r.step WHERE r.trial = ?1 AND r.step > ?2"
    " ORDER BY r.step, name";

/* One event for each step after `last`, which becomes the last of them: the meter's readings, then its
 * metrics. */
static RgStatus write_steps(RgStore *store, const EventTrial *trial, int64_t *last, FILE *out,
                            RgError *error) {
    RgRows *rows = rg_rows_open(store, "readings", steps_text);
    rg_rows_of_trial(rows, trial->id);
    rg_rows_bind_integer(rows, 2, *last);
    Bytes summary = {0};
    double wall_time = 0;
    int64_t step = -1;
    while (rg_rows_next(rows)) {
        if (rg_rows_integer(rows, 0) != step && summary.size > 0)
            write_summary(out, wall_time, step, &summary);
        *last = step = rg_rows_integer(rows, 0);
        double seconds = rg_rows_number(rows, SECONDS);
        wall_time = trial->begin + (isnan(seconds) ? 0 : seconds);
        bool first = summary.size == 0;
        for (int i = 0; first && i < METER_COLUMNS; i++)
            add_scalar(&summary, meter_tags[i], rg_rows_number(rows, FIRST_METER + i));
        if (rg_rows_type(rows, 1) != RG_VALUE_NULL)
            add_scalar(&summary, rg_rows_text(rows, 1), rg_rows_number(rows, 2));
    }
    if (summary.size > 0)
        write_summary(out, wall_time, step, &summary);
    return rg_rows_close(rows, RG_OK, error);
}

static RgStatus write_events(RgStore *store, const EventTrial *trial, int64_t *last, FILE *out,
                             RgError *error) {
    Bytes version = event(trial->begin, 0), summary = {0};
    put_text(&version, EVENT_FILE_VERSION, "brain.Event:2");
    write_record(out, &version);
    char *text = settings_text(trial);
    add_text(&summary, "settings/text_summary", text);
    write_summary(out, trial->begin, 0, &summary);
    free(text);
    *last = -1;
    return write_steps(store, trial, last, out, error);
}

/* A label as the name of a folder, malloc'd: not empty, no slash, no leading dot. */
static char *folder_name(const char *label) {
    char *name = rg_string_format("%s%s", label[0] == '.' || !label[0] ? "_" : "", label);
    for (char *c = name; *c; c++)
        if (*c == '/')
            *c = '_';
    return name;
}

/* Always the same name: exported again, it takes the old one's place. malloc'd. */
static char *event_path(const char *output, const EventTrial *trial) {
    char *experiment = folder_name(trial->experiment), *label = folder_name(trial->label);
    char *key = folder_name(trial->key);
    char *path = rg_string_format("%s/%s/%s/seed-%lld-%s/events.out.tfevents.regatta", output,
                                  experiment, label, (long long)trial->seed, key);
    free(experiment);
    free(label);
    free(key);
    return path;
}

static RgStatus export_trial(RgStore *store, const char *output, const EventTrial *trial,
                             int64_t *last, RgError *error) {
    RgExportFile file = {0};
    RgStatus status = rg_export_begin(&file, event_path(output, trial), error);
    if (status == RG_OK)
        status = write_events(store, trial, last, file.stream, error);
    return rg_export_end(&file, status, error);
}

/* The store has the end time of a trial, or the time at which it was resumed, in whole seconds, and
 * the seconds of training at each step. An event's time is computed from both, without evaluation. */
#define TRIAL_COLUMNS                                                                              \
    "SELECT t.id, t.seed, e.name AS \"experiments.name\", t.key, t.label, t.config,"               \
    " ifnull(strftime('%s', t.updated) + 0, 0) AS \"any.integer\","                                \
    " (SELECT max(seconds) FROM readings WHERE trial = t.id) AS \"readings.seconds\""              \
    " FROM trials t JOIN experiments e ON e.id = t.experiment"

/* Of the row in hand. */
static EventTrial read_trial(RgRows *rows) {
    double seconds = rg_rows_number(rows, 7);
    return (EventTrial){.id = rg_rows_integer(rows, 0),
                        .seed = rg_rows_integer(rows, 1),
                        .experiment = rg_rows_text(rows, 2),
                        .key = rg_rows_text(rows, 3),
                        .label = rg_rows_text(rows, 4),
                        .config = rg_rows_text(rows, 5),
                        .begin = (double)rg_rows_integer(rows, 6) - (isnan(seconds) ? 0 : seconds)};
}

static const char trials_text[] =
    TRIAL_COLUMNS " WHERE (?1 IS NULL OR e.name = ?1)" RG_EXPORT_CHOSEN " ORDER BY t.id";

RgStatus rg_export_events(RgStore *store, const RgExportOptions *options, const char *ids,
                          RgError *error) {
    RgRows *rows = rg_rows_open(store, "trials", trials_text);
    rg_rows_bind_text(rows, 1, options->choice.experiment);
    rg_rows_bind_text(rows, 2, ids);
    RgStatus status = RG_OK;
    while (status == RG_OK && rg_rows_next(rows)) {
        EventTrial trial = read_trial(rows);
        int64_t last;
        status = export_trial(store, options->output, &trial, &last, error);
    }
    return rg_rows_close(rows, status, error);
}

/* ---- a trial that is being run ---- */

struct RgEventLog {
    RgStore *store;
    EventTrial trial; /* without its texts */
    int64_t last;     /* step that the file has */
    char *path;
    FILE *out;
};

static RgStatus refuse_log(const RgEventLog *log, RgError *error) {
    return rg_fail(error, RG_E_FILE, "%s: cannot write: %s", log->path, strerror(errno));
}

static RgStatus begin_log(RgEventLog *log, int64_t trial, const char *output, RgError *error) {
    RgRows *rows = rg_rows_open(log->store, "trials", TRIAL_COLUMNS " WHERE t.id = ?1");
    rg_rows_of_trial(rows, trial);
    RgStatus status = RG_OK;
    if (rg_rows_next(rows)) {
        log->trial = read_trial(rows);
        log->path = event_path(output, &log->trial);
        status = export_trial(log->store, output, &log->trial, &log->last, error);
    }
    log->trial = (EventTrial){.id = log->trial.id, .begin = log->trial.begin};
    RG_TRY(rg_rows_close(rows, status, error));
    RG_ASSERT(log->path); /* a trial that is run has a row */
    log->out = fopen(log->path, "abe");
    return log->out ? RG_OK : refuse_log(log, error);
}

RgStatus rg_event_log_open(RgStore *store, int64_t trial, const char *output, RgEventLog **log,
                           RgError *error) {
    RgEventLog *new = rg_allocate(1, sizeof *new);
    new->store = store;
    RgStatus status = begin_log(new, trial, output, error);
    *log = status == RG_OK ? new : NULL;
    if (status != RG_OK)
        rg_event_log_close(new);
    return status;
}

RgStatus rg_event_log_add(RgEventLog *log, RgError *error) {
    if (!log)
        return RG_OK;
    RG_TRY(write_steps(log->store, &log->trial, &log->last, log->out, error));
    return fflush(log->out) == 0 && !ferror(log->out) ? RG_OK : refuse_log(log, error);
}

void rg_event_log_close(RgEventLog *log) {
    if (!log)
        return;
    if (log->out)
        fclose(log->out);
    free(log->path);
    free(log);
}
