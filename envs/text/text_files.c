/* SPDX-License-Identifier: MIT */
/* The files of the text environment: a folder of files, or the user's own file split into parts.
 * text_data.c reads lines. */
#include "core/files.h"
#include "envs/text/text.h"

#include "core/digest.h"
#include "core/notice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- one file ---- */

static bool too_long(const RgTextLine *line, const void *context) {
    const RgTextState *s = context;
    return rg_text_prompt_tokens(s->layout, line->turns, line->turn_count) >
           s->options.prompt_limit;
}

/* Leave out prompts over the limit; or keep them, to be truncated as tokens. */
static RgStatus limit_prompts(RgTextState *s, RgTextData *data, RgError *error) {
    int64_t over = 0, all = data->count;
    for (int64_t i = 0; i < all; i++)
        over += too_long(&data->lines[i], s);
    if (s->options.truncation != RG_TRUNCATE_DROP) {
        s->truncated_prompts += over;
        return RG_OK;
    }
    s->dropped_prompts += over;
    rg_text_data_destroy(rg_text_data_take(data, too_long, s));
    if (over < all)
        return RG_OK;
    return rg_fail(
        error, RG_E_USAGE,
        "environment.prompt_limit = %lld: every prompt of %s has more tokens, expected a "
        "larger limit",
        (long long)s->options.prompt_limit, data->path);
}

static RgTextReading reading_of(const RgTextOptions *o) {
    RgTextReading reading = {.format = (RgTextFormat)o->format,
                             .preference = (RgTextPreference)o->preference,
                             .stop = o->unusable == RG_TEXT_UNUSABLE_STOP,
                             .singles = o->unpaired == RG_TEXT_UNPAIRED_ALL,
                             .line_limit = o->line_limit};
    for (int k = 0; k < RG_TEXT_COLUMNS; k++)
        reading.column[k] = o->column[k];
    return reading;
}

/* Lines that a model's own chat template refuses, or of whose responses it leaves nothing to
 * compare. */
typedef struct Templated {
    const RgTextLayout *layout;
    RgTextLeftOut *left_out; /* [RG_TEXT_REASONS] */
} Templated;

static void note_unusable(RgTextLeftOut *out, const RgTextLine *line, const char *why) {
    if (out->count++ > 0)
        return;
    out->first = line->number;
    snprintf(out->why, sizeof out->why, "%.*s", (int)sizeof out->why - 1, why);
}

/* A response is never without the token that ends it. */
static bool is_empty(const RgSequences *both, int64_t index) {
    return rg_sequence_response_length(both, index) <= 1;
}

static bool are_same(const RgSequences *both) {
    int64_t length = rg_sequence_response_length(both, 0);
    return length == rg_sequence_response_length(both, 1) &&
           memcmp(rg_sequence_response(both, 0), rg_sequence_response(both, 1),
                  (size_t)length * sizeof(int32_t)) == 0;
}

static bool unusable_by_template(const RgTextLine *line, const void *context) {
    const Templated *t = context;
    const char *response[2] = {line->chosen, line->rejected};
    RgError reason = {0};
    RgStatus status = RG_OK;
    RgSequences *both = rg_sequences_create(); /* or the single one */
    for (int k = 0; k < 2 && status == RG_OK; k++)
        if (response[k])
            status = rg_text_try_append(both, t->layout, line->turns, line->turn_count, response[k],
                                        &reason);
    bool usable = false;
    if (status != RG_OK)
        note_unusable(&t->left_out[RG_TEXT_REFUSED], line, reason.text);
    else if (is_empty(both, 0) || is_empty(both, both->count - 1))
        note_unusable(&t->left_out[RG_TEXT_EMPTY], line,
                      "the chat template writes a blank response");
    else if (both->count == 2 && are_same(both))
        note_unusable(&t->left_out[RG_TEXT_SAME], line,
                      "the chat template writes the same for both responses");
    else
        usable = true;
    rg_sequences_destroy(both);
    return !usable;
}

/* The first line that is left out, which is an error where the config has it so. */
static RgStatus stop_at_first(const RgTextData *data, RgError *error) {
    const RgTextLeftOut *first = NULL;
    for (int k = 0; k < RG_TEXT_REASONS; k++) {
        const RgTextLeftOut *out = &data->left_out[k];
        if (out->count > 0 && (!first || out->first < first->first))
            first = out;
    }
    if (!first)
        return RG_OK;
    return rg_text_data_stop(data, first->first, first->why, error);
}

static RgStatus apply_template(const RgTextState *s, RgTextData *data, RgError *error) {
    if (!rg_text_layout_may_refuse(s->layout))
        return RG_OK;
    const Templated templated = {s->layout, data->left_out};
    rg_text_data_destroy(rg_text_data_take(data, unusable_by_template, &templated));
    if (s->options.unusable == RG_TEXT_UNUSABLE_STOP)
        RG_TRY(stop_at_first(data, error));
    return data->count > 0 ? RG_OK : rg_text_data_refuse(data, error);
}

/* Count what a file has that is left out, and tell it. */
static void count_left_out(RgTextState *s, const RgTextData *data) {
    for (int k = 0; k < RG_TEXT_REASONS; k++)
        s->left_out[k] += data->left_out[k].count;
    char *report = rg_text_data_report(data);
    if (report)
        rg_notice_once("%s", report);
    free(report);
}

static RgStatus read_file(RgTextState *s, const char *path, RgTextData **data, RgError *error) {
    RgTextReading reading = reading_of(&s->options);
    RgStatus status = rg_text_data_read(path, &reading, data, error);
    if (status != RG_OK)
        return status == RG_E_RANGE ? rg_fail_in(error, status, "environment.line_limit") : status;
    status = apply_template(s, *data, error);
    if (status == RG_OK) {
        count_left_out(s, *data);
        if (s->options.prompt_limit > 0)
            status = limit_prompts(s, *data, error);
    }
    if (status != RG_OK) {
        rg_text_data_destroy(*data);
        *data = NULL;
    }
    return status;
}

/* The config of an installed experiment names a folder that the user makes first, by the program of
 * the same name. */
static RgStatus refuse_unmade_folder(const char *folder, RgError *error) {
    char *maker = access(folder, F_OK) == 0 ? NULL : rg_own_maker(folder);
    RgStatus status = !maker ? RG_OK
                             : rg_fail(error, RG_E_FILE,
                                       "environment.data: there is no folder %s yet; run: %s "
                                       "FOLDER, and give -s environment.data=FOLDER",
                                       folder, maker);
    free(maker);
    return status;
}

RgStatus rg_text_file_read(RgTextState *s, const char *name, RgTextData **data, RgError *error) {
    static const char *const endings[] = {".jsonl.gz", ".jsonl.zst", ".jsonl"};
    RG_TRY(refuse_unmade_folder(s->options.data, error));
    RgStatus status = RG_E_FILE;
    for (int k = 0; k < 3; k++) {
        char *path = rg_string_format("%s/%s%s", s->options.data, name, endings[k]);
        bool last = k == 2, there = access(path, R_OK) == 0;
        if (last || there)
            status = read_file(s, path, data, error);
        free(path);
        if (there)
            break;
    }
    return status;
}

/* ---- all files ---- */

void rg_text_files_release(RgTextFiles *files) {
    for (int k = 0; k < RG_TEXT_PARTS; k++)
        rg_text_data_destroy(files->part[k]);
}

/* The part of a line is a hash of its conversation. So lines of one prompt are in the same part,
 * and adding lines moves no other. */
static RgTextPart part_of_line(const RgTextOptions *o, bool has_test, const RgTextLine *line) {
    RgDigest digest = RG_DIGEST_START;
    for (int64_t i = 0; i < line->turn_count; i++)
        digest = rg_digest(digest, line->turns[i].text, strlen(line->turns[i].text));
    double u = (double)(digest.word[0] >> 11) * 0x1p-53, test = has_test ? 0 : o->test_share;
    if (u < test)
        return RG_TEXT_PART_TEST;
    u = (u - test) / (1 - test);
    return u < o->judge_share / 2 ? RG_TEXT_PART_JUDGE
           : u < o->judge_share   ? RG_TEXT_PART_INDEPENDENT
                                  : RG_TEXT_PART_TRAIN;
}

typedef struct Picking {
    const RgTextOptions *options;
    bool has_test;
    RgTextPart part;
} Picking;

static bool is_of_part(const RgTextLine *line, const void *context) {
    const Picking *p = context;
    return part_of_line(p->options, p->has_test, line) == p->part;
}

RgStatus rg_text_nothing_left(const RgTextOptions *o, RgTextPart part, RgError *error) {
    static const char *const names[] = {"evaluation", "the judge", "the independent judge",
                                        "training"};
    if (part == RG_TEXT_PART_TEST)
        return rg_fail(error, RG_E_USAGE,
                       "environment.test_share = %g leaves no line of %s for %s, expected more, or "
                       "more prompts: the lines of one prompt stay together",
                       o->test_share, o->train, names[part]);
    char test[64] = ""; /* a file for the test makes test_share void */
    if (!o->test[0])
        snprintf(test, sizeof test, ", with test_share = %g,", o->test_share);
    return rg_fail(error, RG_E_USAGE,
                   "environment.judge_share = %g%s leaves no line of %s for %s, expected %s",
                   o->judge_share, test, o->train, names[part],
                   part == RG_TEXT_PART_TRAIN ? "less" : "more: it learns from them");
}

/* Split the user's own file into parts. */
static RgStatus read_parts(RgTextState *s, RgTextFiles *files, RgError *error) {
    const RgTextOptions *o = &s->options;
    bool has_test = o->test[0] != '\0';
    if (has_test)
        RG_TRY(read_file(s, o->test, &files->part[RG_TEXT_PART_TEST], error));
    RgTextData *all;
    RG_TRY(read_file(s, o->train, &all, error));
    RgStatus status = RG_OK;
    for (int k = has_test; k < RG_TEXT_PARTS && status == RG_OK; k++) {
        Picking picking = {o, has_test, (RgTextPart)k};
        files->part[k] = rg_text_data_take(all, is_of_part, &picking);
        bool needed =
            k == RG_TEXT_PART_TEST || k == RG_TEXT_PART_TRAIN; /* judges tell themselves */
        if (files->part[k]->count == 0 && needed)
            status = rg_text_nothing_left(o, (RgTextPart)k, error);
    }
    rg_text_data_destroy(all);
    return status;
}

static RgStatus read_folder(RgTextState *s, RgTextFiles *files, RgError *error) {
    static const char *const names[RG_TEXT_PARTS] = {"test", "judge", "judge-independent", "train"};
    for (int k = 0; k < RG_TEXT_PARTS; k++)
        RG_TRY(rg_text_file_read(s, names[k], &files->part[k], error));
    return RG_OK;
}

/* Names are complete; two formats have names of their own. */
static RgStatus check_columns(const RgTextOptions *o, RgError *error) {
    RgTextReading reading = reading_of(o);
    for (int k = 0; k <= RG_TEXT_LABEL; k++)
        if (reading.column[k][0] == '\0')
            return rg_fail(error, RG_E_USAGE,
                           "environment.columns: a name is empty, expected that of a member");
    if (!reading.column[RG_TEXT_CHOSEN_SCORE][0] != !reading.column[RG_TEXT_REJECTED_SCORE][0])
        return rg_fail(error, RG_E_USAGE,
                       "environment.columns: one score has a name, expected chosen_score and "
                       "rejected_score");
    if (!rg_text_renames(&reading) ||
        (reading.format != RG_TEXT_PKU && reading.format != RG_TEXT_ULTRAFEEDBACK))
        return RG_OK;
    return rg_fail(error, RG_E_USAGE,
                   "environment.columns: the names of the format \"%s\" are fixed, expected no "
                   "columns",
                   rg_text_formats[reading.format]);
}

RgStatus rg_text_files_check(const RgTextOptions *o, RgError *error) {
    bool folder = o->data[0] != '\0', own = o->train[0] != '\0';
    RG_TRY(check_columns(o, error));
    if (folder == own)
        return rg_fail(error, RG_E_USAGE,
                       "environment: expected either data, a folder, or train, a file");
    if (folder && o->test[0] != '\0')
        return rg_fail(error, RG_E_USAGE,
                       "environment.test: the folder of data has its own test.jsonl");
    if (own && o->demonstrations == RG_TEXT_DEMONSTRATIONS_CORPUS)
        return rg_fail(error, RG_E_USAGE,
                       "environment.demonstrations: \"corpus\" needs base.jsonl of the folder of "
                       "data, expected \"chosen\" with train");
    return RG_OK;
}

RgStatus rg_text_files_read(RgTextState *s, RgTextFiles *files, RgError *error) {
    return s->options.train[0] != '\0' ? read_parts(s, files, error) : read_folder(s, files, error);
}
