/* SPDX-License-Identifier: MIT */
/* Reading files of preferences: which lines are left out, and why. text_formats.c reads a line. */
#include "envs/text/text_data.h"

#include "core/text/json_lines.h"
#include "core/text/lines.h"
#include "envs/text/text_formats.h"
#include "envs/text/text_match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rg_text_data_destroy(RgTextData *data) {
    if (!data)
        return;
    for (int64_t i = 0; i < data->count; i++)
        rg_text_line_release(&data->lines[i]);
    free(data->lines);
    free(data->path);
    free(data);
}

RgTextData *rg_text_data_take(RgTextData *data, bool (*wanted)(const RgTextLine *, const void *),
                              const void *context) {
    RgTextData *taken = rg_allocate(1, sizeof *taken);
    taken->path = rg_string_copy(data->path);
    taken->unit = data->unit;
    taken->lines = rg_allocate(data->count + 1, sizeof *taken->lines);
    taken->capacity = data->count + 1;
    int64_t left = 0;
    for (int64_t i = 0; i < data->count; i++)
        *(wanted(&data->lines[i], context) ? &taken->lines[taken->count++] : &data->lines[left++]) =
            data->lines[i];
    data->count = left;
    return taken;
}

/* ---- what is left out ---- */

const char *const rg_text_reasons[] = {"empty",     "same",      "ties",       "unscored",
                                       "parted",    "unmatched", "unreadable", "duplicate",
                                       "malformed", "misfit",    "refused",    NULL};

static const char *const reason_texts[RG_TEXT_REASONS] = {
    [RG_TEXT_EMPTY] = "with a blank response",
    [RG_TEXT_SAME] = "with the same response twice",
    [RG_TEXT_TIES] = "with equal scores",
    [RG_TEXT_UNSCORED] = "without a score or label",
    [RG_TEXT_PARTED] = "whose conversations differ before the response",
    [RG_TEXT_UNMATCHED] = "without a response of the other label to the same prompt",
    [RG_TEXT_UNREADABLE] = "with text that cannot be stored",
    [RG_TEXT_DUPLICATE] = "with a member twice",
    [RG_TEXT_MALFORMED] = "that are not JSON objects",
    [RG_TEXT_MISFIT] = "that lack a member or have another kind of it",
    [RG_TEXT_REFUSED] = "that the chat template refuses",
};

int64_t rg_text_data_left_out(const RgTextData *data) {
    int64_t all = 0;
    for (int k = 0; k < RG_TEXT_REASONS; k++)
        all += data->left_out[k].count;
    return all;
}

/* "2 with a blank response (first: line 4), …", each with what is wrong there if `why`. What a
 * template says is always told: it may be its own fault. */
static char *list_reasons(const RgTextData *data, bool why) {
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    RG_ASSERT(stream);
    const char *separator = "";
    for (int k = 0; k < RG_TEXT_REASONS; k++) {
        const RgTextLeftOut *out = &data->left_out[k];
        bool told = why || k == RG_TEXT_REFUSED;
        if (out->count == 0)
            continue;
        fprintf(stream, "%s%lld %s (%s%s %d%s%s)", separator, (long long)out->count,
                reason_texts[k], out->count == 1 ? "" : "first: ", data->unit, out->first,
                told ? ": " : "", told ? out->why : "");
        separator = ", ";
    }
    fclose(stream);
    return text;
}

char *rg_text_data_report(const RgTextData *data) {
    int64_t count = rg_text_data_left_out(data);
    if (count == 0)
        return NULL;
    char *reasons = list_reasons(data, false);
    char *report = rg_string_format("%s: left out %lld of %lld %ss as unusable: %s", data->path,
                                    (long long)count, (long long)data->read, data->unit, reasons);
    free(reasons);
    return report;
}

RgStatus rg_text_data_stop(const RgTextData *data, int number, const char *why, RgError *error) {
    const char *element = strcmp(data->unit, "element") == 0 ? " element " : "";
    return rg_fail(error, RG_E_FORMAT, "%s:%s%d: %s", data->path, element, number, why);
}

RgStatus rg_text_data_refuse(const RgTextData *data, RgError *error) {
    if (data->read == 0)
        return rg_fail(error, RG_E_FORMAT, "%s: no %ss, expected at least one", data->path,
                       data->unit);
    char *reasons = list_reasons(data, true);
    RgStatus status = rg_fail(error, RG_E_FORMAT, "%s: none of %lld %ss is usable: %s", data->path,
                              (long long)data->read, data->unit, reasons);
    free(reasons);
    return status;
}

/* ---- lines ---- */

/* A file being read. */
typedef struct File {
    RgTextData *data;
    RgJsonLines *lines;
    RgTextReader reader;
    RgTextMatch *match; /* of single responses; NULL: there were none */
} File;

/* Count the line that the reader has left out. */
static RgStatus leave_out(File *file, RgError *error) {
    RgTextReader *r = &file->reader;
    RgTextLeftOut *out = &file->data->left_out[r->reason];
    if (r->reading->stop) {
        return rg_text_data_stop(file->data, r->line.number, r->why, error);
    }
    if (out->count++ == 0) {
        out->first = r->line.number;
        memcpy(out->why, r->why, sizeof out->why);
    }
    return RG_OK;
}

static void keep(RgTextData *data, const RgTextLine *line) {
    if (data->count == data->capacity) {
        data->capacity = data->capacity ? 2 * data->capacity : 256;
        data->lines = rg_reallocate(data->lines, (size_t)data->capacity, sizeof *data->lines);
    }
    data->lines[data->count++] = *line;
}

/* Keep the line, or let its single response wait for another one. */
static RgStatus take_line(File *file, RgError *error) {
    RgTextReader *r = &file->reader;
    if (rg_text_line_is_pair(&r->line)) {
        keep(file->data, &r->line);
        return RG_OK;
    }
    RgTextLine pair;
    if (!file->match)
        file->match = rg_text_match_create();
    if (!rg_text_match_add(file->match, &r->line, &pair))
        return RG_OK;
    if (strcmp(pair.chosen, pair.rejected) != 0) {
        keep(file->data, &pair);
        return RG_OK;
    }
    RgStatus status = RG_OK;
    r->line.number = pair.number;
    rg_text_leave_out(r, RG_TEXT_SAME, "the response has both labels");
    for (int k = 0; k < 2 && status == RG_OK; k++) /* of two lines */
        status = leave_out(file, error);
    rg_text_line_release(&pair);
    return status;
}

static RgStatus read_line(File *file, const RgJsonLine *line, RgError *error) {
    static const RgTextReason reasons[] = {[RG_JSON_UNREADABLE] = RG_TEXT_UNREADABLE,
                                           [RG_JSON_DUPLICATE] = RG_TEXT_DUPLICATE,
                                           [RG_JSON_MALFORMED] = RG_TEXT_MALFORMED};
    RgTextReader *r = &file->reader;
    r->line = (RgTextLine){.number = line->number};
    file->data->read++;
    bool good = line->value ? rg_text_format_read(r, line->value)
                            : rg_text_leave_out(r, reasons[line->fault], "%s", line->why);
    if (good)
        return take_line(file, error);
    RgStatus status = leave_out(file, error);
    rg_text_line_release(&r->line);
    return status;
}

static int by_number(const void *a, const void *b) {
    return ((const RgTextLine *)a)->number - ((const RgTextLine *)b)->number;
}

/* Keep the single responses that are left, in the places that they have in the file. */
static void keep_waiting(File *file, int64_t count) {
    RgTextLine *lines = rg_allocate(count, sizeof *lines);
    rg_text_match_take(file->match, lines);
    for (int64_t i = 0; i < count; i++)
        keep(file->data, &lines[i]);
    free(lines);
    qsort(file->data->lines, (size_t)file->data->count, sizeof *file->data->lines, by_number);
}

/* Single responses that are left at the end. */
static RgStatus end_waiting(File *file, RgError *error) {
    int first;
    int64_t count = file->match ? rg_text_match_waiting(file->match, &first) : 0;
    if (count == 0)
        return RG_OK;
    if (file->reader.reading->singles) {
        keep_waiting(file, count);
        return RG_OK;
    }
    file->reader.line = (RgTextLine){.number = first};
    rg_text_leave_out(&file->reader, RG_TEXT_UNMATCHED,
                      "no response of the other label to the same prompt is left for this one, and "
                      "environment.unpaired is \"matched\", expected \"all\" to read it alone");
    RG_TRY(leave_out(file, error));
    file->data->left_out[RG_TEXT_UNMATCHED].count = count;
    return RG_OK;
}

static RgStatus read_file(File *file, RgError *error) {
    const RgJsonLine *line;
    for (;;) {
        RG_TRY(rg_json_lines_next(file->lines, &line, error));
        file->data->unit = rg_json_lines_unit(file->lines);
        if (!line)
            break;
        RG_TRY(read_line(file, line, error));
    }
    RG_TRY(end_waiting(file, error));
    return file->data->count > 0 ? RG_OK : rg_text_data_refuse(file->data, error);
}

RgStatus rg_text_data_read(const char *path, const RgTextReading *reading, RgTextData **data,
                           RgError *error) {
    File file = {.reader = {.reading = reading, .format = reading->format}};
    int64_t limit = reading->line_limit > 0 ? reading->line_limit : RG_LINE_MIB;
    *data = NULL;
    RG_TRY(rg_json_lines_open(path, limit, &file.lines, error));
    file.data = rg_allocate(1, sizeof *file.data);
    file.data->path = rg_string_copy(path);
    const char *before = rg_memory_for(path);
    RgStatus status = read_file(&file, error);
    rg_memory_for(before);
    rg_json_lines_close(file.lines);
    rg_text_match_destroy(file.match);
    if (status == RG_OK)
        *data = file.data;
    else
        rg_text_data_destroy(file.data);
    return status;
}
