/* SPDX-License-Identifier: MIT */
/* Reported figures next to an experiment's own, independent of where they come from. */
#include "analysis/compare/paper.h"

#include "analysis/compare/format.h"
#include "analysis/compare/mean.h"
#include "core/suggest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool meets(const RgGroup *group, const RgReported *reported) {
    for (int i = 0; i < reported->conditions; i++) {
        bool met = false;
        for (int k = 0; k < group->swept->count; k++) {
            const RgField *field = &group->swept->at[k];
            met |= strcmp(rg_last_part(field->name), reported->where[i].name) == 0 &&
                   fabs(field->number - reported->where[i].value) <=
                       1e-9 * fabs(reported->where[i].value);
        }
        if (!met)
            return false;
    }
    return true;
}

static bool is_of_method(const RgGroup *group, const RgReported *reported) {
    return strcmp(group->label, reported->method) == 0 ||
           strcmp(group->algorithm, reported->method) == 0;
}

/* Index of the group with that label, else with that algorithm; else −1. */
static int group_of(const RgResults *results, const RgReported *reported) {
    int found = -1;
    for (int i = results->group_count - 1; i >= 0; i--) {
        const RgGroup *group = &results->groups[i];
        bool labelled = strcmp(group->label, reported->method) == 0;
        bool found_label =
            found >= 0 && strcmp(results->groups[found].label, reported->method) == 0;
        if (meets(group, reported) &&
            (labelled || (!found_label && strcmp(group->algorithm, reported->method) == 0)))
            found = i;
    }
    return found;
}

/* ---- why a store has no figure ---- */

/* 'no metric "rewardz" in results/x.db; did you mean "reward"?'. malloc'd, as the next two. */
static char *without_metric(const RgResults *results, const char *name) {
    const char **names = rg_results_quantities(results);
    char *why = rg_string_format("no metric \"%s\" in %s%s", name, results->path,
                                 rg_suggest(name, names).text);
    free(names);
    return why;
}

static char *without_method(const RgResults *results, const char *method) {
    const char **names = rg_allocate(2 * results->group_count + 1, sizeof *names);
    for (int i = 0; i < results->group_count; i++) {
        names[2 * i] = results->groups[i].label;
        names[2 * i + 1] = results->groups[i].algorithm;
    }
    char *why = rg_string_format("no trials of \"%s\" in %s%s", method, results->path,
                                 rg_suggest(method, names).text);
    free(names);
    return why;
}

/* The suggestion for the first condition on an option that is not swept. */
static RgSuggestion suggest_option(const RgResults *results, const RgReported *reported) {
    int count = 0;
    while (results->swept[count])
        count++;
    const char **names = rg_allocate(count + 1, sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = rg_last_part(results->swept[i]);
    RgSuggestion suggestion = {""};
    for (int i = 0; i < reported->conditions && !suggestion.text[0]; i++) {
        const char *nearest = rg_nearest_name(reported->where[i].name, names);
        if (nearest && strcmp(nearest, reported->where[i].name) != 0)
            suggestion = rg_suggest_this(nearest);
    }
    free(names);
    return suggestion;
}

static char *without_conditions(const RgResults *results, const RgReported *reported) {
    char *where = rg_string_copy("");
    for (int i = 0; i < reported->conditions; i++) {
        char *longer = rg_string_format("%s%s%s=%g", where, i ? ", " : "", reported->where[i].name,
                                        reported->where[i].value);
        free(where);
        where = longer;
    }
    char *why = rg_string_format("no trials of \"%s\" with %s in %s%s", reported->method, where,
                                 results->path, suggest_option(results, reported).text);
    free(where);
    return why;
}

/* `group` is that of the figure, or −1. */
static char *why_missing(const RgResults *results, const RgReported *reported, int group) {
    bool any = false;
    RgMeasure measure;
    for (int i = 0; i < results->group_count; i++)
        any = any || is_of_method(&results->groups[i], reported);
    if (!any)
        return without_method(results, reported->method);
    if (group < 0)
        return without_conditions(results, reported);
    const RgGroup *g = &results->groups[group];
    if (g->by_status[RG_TRIAL_FAILED] == g->count)
        return rg_string_format("all trials of \"%s\" in %s failed", g->name, results->path);
    if (!rg_results_has(results, reported->measure, &measure))
        return without_metric(results, reported->measure);
    return rg_string_format("no value of \"%s\" in the trials of \"%s\" in %s", reported->measure,
                            g->name, results->path);
}

/* ---- own figures ---- */

/* What the program itself finds; the texts are malloc'd. */
typedef struct Own {
    char *text; /* a dash: nothing */
    double mean;
    RgInterval interval;
    char *missing; /* why a store that is there has no figure; NULL: it has, or is not there, or the
                    * figure cannot be compared */
} Own;

/* The mean of a trial's rows in the figure's steps. */
static RgReading reading_in(const RgResults *results, const RgTrial *trial,
                            const RgMeasure *measure, const RgReported *reported) {
    RgPoint *points;
    int64_t count = rg_trial_curve(results, trial, measure, &points), found = 0;
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        if (points[i].step >= reported->first_step && points[i].step <= reported->last_step) {
            sum += points[i].value;
            found++;
        }
    free(points);
    return (RgReading){.trial = trial,
                       .value = found > 0 ? sum / (double)found : NAN,
                       .step = -1,
                       .next = -1};
}

/* The cell of a figure that has steps. */
static RgCell cell_in(const RgResults *results, const RgGroup *group, const RgMeasure *measure,
                      const RgReported *reported) {
    RgReading *readings = rg_allocate(group->count, sizeof *readings);
    int count = 0;
    for (int i = 0; i < group->count; i++) {
        readings[count] = reading_in(results, group->trials[i], measure, reported);
        count += !isnan(readings[count].value);
    }
    RgMean mean = rg_mean_of(results, readings, count, measure);
    free(readings);
    return (RgCell){.summary = mean.summary, .interval = mean.interval, .p_value = NAN};
}

static void find_own(const RgResults *results, const RgReported *reported, Own *own) {
    RgTable *table;
    RgError ignored = {0};
    if (!results || !reported->measure[0])
        return;
    int group = group_of(results, reported);
    const char *const metrics[] = {reported->measure, NULL};
    if (group >= 0 && rg_table_create(results, metrics, &table, &ignored) == RG_OK) {
        RgCell cell = table->cells[group];
        if (reported->first_step >= 0)
            cell = cell_in(results, &results->groups[group], &table->columns[0].measure, reported);
        free(own->text);
        own->text = rg_cell_text(table, &table->columns[0], &cell);
        own->mean = cell.summary.mean;
        own->interval = cell.interval;
        rg_table_destroy(table);
    }
    if (isnan(own->mean) && !reported->not_comparable[0])
        own->missing = why_missing(results, reported, group);
}

/* The stores of a paper's experiments, open. */
typedef struct Stores {
    const RgPaperStore *of;
    const RgResults *const *results; /* [count] NULL: the store is not there */
    int64_t count;
} Stores;

static const RgResults *results_of(const Stores *stores, const RgReported *reported) {
    for (int64_t i = 0; i < stores->count; i++) {
        const char *name = stores->of[i].experiment;
        if (!name || strcmp(name, reported->experiment) == 0 || !reported->experiment[0])
            return stores->results[i];
    }
    return NULL;
}

static Own own_of(const Stores *stores, const RgReported *reported) {
    Own own = {rg_string_copy(RG_DASH), NAN, {NAN, NAN}, NULL};
    find_own(results_of(stores, reported), reported, &own);
    return own;
}

/* ---- verdicts ---- */

static const char *const verdict_names[RG_VERDICTS] = {RG_DASH, "agrees", "differs",
                                                       "not comparable"};

RgVerdict rg_reported_verdict(const RgReported *reported, double mean, RgInterval interval) {
    char *end;
    double value = strtod(reported->value, &end);
    if (end == reported->value)
        value = reported->exact;
    if (reported->not_comparable[0])
        return RG_VERDICT_NOT_COMPARABLE;
    if (isnan(reported->tolerance) || isnan(mean) || isnan(value))
        return RG_VERDICT_NONE;
    double half = isnan(interval.low) ? 0 : (interval.high - interval.low) / 2;
    return fabs(mean - value) <= reported->tolerance + half ? RG_VERDICT_AGREES
                                                            : RG_VERDICT_DIFFERS;
}

/* ---- the table ---- */

static bool has_exact(const RgPaper *paper) {
    bool any = false;
    for (int64_t i = 0; i < paper->figure_count; i++)
        any = any || !isnan(paper->figures[i].exact);
    return any;
}

static bool has_verdicts(const RgPaper *paper) {
    bool any = false;
    for (int64_t i = 0; i < paper->figure_count; i++)
        any = any || !isnan(paper->figures[i].tolerance) || paper->figures[i].not_comparable[0];
    return any;
}

static char *or_dash(const char *text) {
    return rg_string_copy(text[0] ? text : RG_DASH);
}

/* Columns `here` and `verdict` are there with results only. verdict_of [figures] and missing
 * [figures], see Own, out. */
static RgGrid make_grid(const RgPaper *paper, const Stores *stores, RgVerdict *verdict_of,
                        char **missing) {
    bool exact = has_exact(paper), here = stores->count > 0;
    bool verdicts = here && has_verdicts(paper);
    const char *headings[9] = {"method", "metric", "setting", "source", "checked", "reported"};
    int columns = 6;
    if (exact)
        headings[columns++] = "exact";
    if (here)
        headings[columns++] = "here";
    if (verdicts)
        headings[columns++] = "verdict";
    RgGrid grid = {.rows = (int)paper->figure_count + 1, .columns = columns, .names = 5};
    grid.cells = rg_allocate(grid.rows * columns, sizeof *grid.cells);
    char **cell = grid.cells;
    for (int i = 0; i < columns; i++)
        *cell++ = rg_string_copy(headings[i]);
    for (int64_t i = 0; i < paper->figure_count; i++) {
        const RgReported *r = &paper->figures[i];
        Own own = own_of(stores, r);
        verdict_of[i] = rg_reported_verdict(r, own.mean, own.interval);
        missing[i] = own.missing;
        *cell++ = rg_string_copy(r->method);
        *cell++ = rg_string_copy(r->metric);
        *cell++ = rg_string_copy(r->setting);
        *cell++ = rg_string_copy(r->source);
        *cell++ = rg_string_copy(r->checked);
        *cell++ = or_dash(r->value);
        if (exact)
            *cell++ = isnan(r->exact) ? rg_string_copy(RG_DASH) : rg_string_format("%g", r->exact);
        if (here)
            *cell++ = rg_string_copy(own.text);
        if (verdicts)
            *cell++ = rg_string_copy(verdict_names[verdict_of[i]]);
        free(own.text);
    }
    return grid;
}

/* ---- notes ---- */

typedef struct Notes {
    RgPaperNotes write;
    void *context;
} Notes;

static void write_sentences(const Notes *notes, const char *heading, const char *const *sentence) {
    if (sentence && sentence[0])
        notes->write(notes->context, heading, sentence);
}

/* RgPaperNotes for a table on a stream; the context is its RgTableOptions. */
static void print_sentences(void *context, const char *heading, const char *const *sentence) {
    const RgTableOptions *options = context;
    FILE *out = options->out;
    const char *comment = options->format == RG_TABLE_LATEX ? "% " : "";
    fprintf(out, "\n%s%s\n", comment, heading);
    for (; *sentence; sentence++) {
        fprintf(out, "%s- ", comment);
        if (options->format == RG_TABLE_MARKDOWN)
            rg_write_markdown(out, *sentence);
        else
            rg_write_line(out, *sentence);
        putc('\n', out);
    }
}

/* The sentences that `of` gives for the figures with a verdict, each once, with the first of its
 * figures. */
static void write_reasons(const RgPaper *paper, const char *heading, RgVerdict verdict,
                          const RgVerdict *verdict_of, const char *(*of)(const RgReported *),
                          const Notes *notes) {
    const char **sentence = rg_allocate(paper->figure_count + 1, sizeof *sentence);
    char **owned = rg_allocate(paper->figure_count + 1, sizeof *owned);
    int64_t count = 0;
    for (int64_t i = 0; i < paper->figure_count; i++) {
        const RgReported *r = &paper->figures[i];
        bool seen = !of(r)[0] || verdict_of[i] != verdict;
        for (int64_t k = 0; k < i && !seen; k++)
            seen = verdict_of[k] == verdict && strcmp(of(&paper->figures[k]), of(r)) == 0;
        if (!seen)
            sentence[count] = owned[count] =
                rg_string_format("%s, %s, %s: %s", r->method, r->metric, r->setting, of(r)),
            count++;
    }
    write_sentences(notes, heading, sentence);
    for (int64_t i = 0; i < count; i++)
        free(owned[i]);
    free(owned);
    free(sentence);
}

static const char *difference_of(const RgReported *r) {
    return r->differs[0] ? r->differs : "the reason is not known";
}

static const char *obstacle_of(const RgReported *r) {
    return r->not_comparable;
}

static const char *tolerance_of(const RgReported *r) {
    return r->tolerance_reason;
}

/* The reasons why figures are missing, each once. */
static void write_missing(const RgPaper *paper, char *const *missing, const Notes *notes) {
    const char **sentence = rg_allocate(paper->figure_count + 1, sizeof *sentence);
    int64_t count = 0;
    for (int64_t i = 0; i < paper->figure_count; i++) {
        bool seen = !missing[i];
        for (int64_t k = 0; k < count && !seen; k++)
            seen = strcmp(sentence[k], missing[i]) == 0;
        if (!seen)
            sentence[count++] = missing[i];
    }
    write_sentences(notes, "Why figures are missing here:", sentence);
    free(sentence);
}

static void write_notes(const RgPaper *paper, const RgVerdict *verdict_of, char *const *missing,
                        const Notes *notes) {
    write_missing(paper, missing, notes);
    write_reasons(paper, "Why figures differ:", RG_VERDICT_DIFFERS, verdict_of, difference_of,
                  notes);
    write_reasons(paper, "Why figures cannot be compared:", RG_VERDICT_NOT_COMPARABLE, verdict_of,
                  obstacle_of, notes);
    write_reasons(paper, "Tolerances of figures that agree:", RG_VERDICT_AGREES, verdict_of,
                  tolerance_of, notes);
    write_sentences(notes, "What differs:", paper->differences);
    write_sentences(notes, "What is not known:", paper->unknown);
}

static RgStatus check_results(const Stores *stores, RgError *error) {
    for (int64_t i = 0; i < stores->count; i++)
        if (stores->results[i])
            RG_TRY(rg_results_status(stores->results[i], RG_OK, error));
    return RG_OK;
}

static void free_missing(const RgPaper *paper, char **missing) {
    for (int64_t i = 0; i < paper->figure_count; i++)
        free(missing[i]);
    free(missing);
}

static RgStatus write_paper(const RgPaper *paper, const Stores *stores,
                            const RgTableOptions *options, int64_t *verdicts, RgError *error) {
    FILE *out = options->out;
    RgTableFormat format = options->format;
    RgVerdict *verdict_of = rg_allocate(paper->figure_count, sizeof *verdict_of);
    char **missing = rg_allocate(paper->figure_count, sizeof *missing);
    RgGrid grid = make_grid(paper, stores, verdict_of, missing);
    RgStatus status = check_results(stores, error);
    for (int64_t i = 0; verdicts && i < paper->figure_count; i++)
        verdicts[verdict_of[i]]++;
    if (status == RG_OK && !rg_table_format_is_raw(format)) {
        fputs(format == RG_TABLE_LATEX ? "% " : "", out);
        rg_write_line(out, paper->title);
        fputs(" (", out);
        rg_write_line(out, paper->reference);
        fputs(")\n\n", out);
    }
    if (status == RG_OK)
        rg_grid_write(&grid, format, out);
    if (status == RG_OK && !rg_table_format_is_raw(format))
        write_notes(paper, verdict_of, missing, &(const Notes){print_sentences, (void *)options});
    rg_grid_free(&grid);
    free_missing(paper, missing);
    free(verdict_of);
    return status;
}

RgGrid rg_paper_grid(const RgPaper *paper, const RgResults *results, RgPaperNotes write,
                     void *context) {
    const RgPaperStore store = {NULL, results->path};
    const Stores stores = {&store, &results, 1};
    RgVerdict *verdict_of = rg_allocate(paper->figure_count, sizeof *verdict_of);
    char **missing = rg_allocate(paper->figure_count, sizeof *missing);
    RgGrid grid = make_grid(paper, &stores, verdict_of, missing);
    write_notes(paper, verdict_of, missing, &(const Notes){write, context});
    free_missing(paper, missing);
    free(verdict_of);
    return grid;
}

static RgStatus open_stores(const RgPaperStore *store, int64_t count, const RgTableOptions *options,
                            RgResults **results, RgError *error) {
    for (int64_t i = 0; i < count; i++)
        RG_TRY(rg_results_open(store[i].store, &options->choice, &results[i], error));
    return RG_OK;
}

RgStatus rg_paper_table(const RgPaper *paper, const RgPaperStore *store, int64_t store_count,
                        const RgTableOptions *options, int64_t *verdicts, RgError *error) {
    RgResults **results = rg_allocate(store_count, sizeof *results);
    const Stores stores = {store, (const RgResults *const *)results, store_count};
    RgStatus status = open_stores(store, store_count, options, results, error);
    if (status == RG_OK)
        status = write_paper(paper, &stores, options, verdicts, error);
    for (int64_t i = 0; i < store_count; i++) {
        char *left_out = results[i] ? rg_results_left_out(results[i]) : NULL;
        if (status == RG_OK && left_out && !rg_table_format_is_raw(options->format))
            rg_note_write(left_out, options->format, options->out);
        free(left_out);
        rg_results_close(results[i]);
    }
    free(results);
    RG_TRY(status);
    if (fflush(options->out) != 0 || ferror(options->out))
        return rg_fail(error, RG_E_FILE, "cannot write the table: the output failed");
    return RG_OK;
}
