/* SPDX-License-Identifier: MIT */
/* Reported figures next to an experiment's own, independent of where they come from. */
#include "analysis/compare/paper_parts.h"

#include "analysis/compare/format.h"
#include "analysis/compare/mean.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    return (RgReading){
        .trial = trial, .value = found > 0 ? sum / (double)found : NAN, .step = -1, .next = -1};
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
    int group = rg_paper_group(results, &reported->of);
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
        own->missing = rg_paper_missing(results, &reported->of, group, reported->measure);
}

static Own own_of(const RgPaperResults *stores, const RgReported *reported) {
    Own own = {rg_string_copy(RG_DASH), NAN, {NAN, NAN}, NULL};
    find_own(rg_paper_results(stores, reported->experiment), reported, &own);
    return own;
}

/* ---- verdicts ---- */

static const char *const verdict_names[RG_VERDICTS] = {RG_DASH, "not run", "agrees", "differs",
                                                       "not comparable"};

RgVerdict rg_reported_verdict(const RgReported *reported, double mean, RgInterval interval) {
    char *end;
    double value = strtod(reported->value, &end);
    if (end == reported->value)
        value = reported->exact;
    if (reported->not_comparable[0])
        return RG_VERDICT_NOT_COMPARABLE;
    if (isnan(reported->tolerance) || isnan(value))
        return RG_VERDICT_NONE;
    if (isnan(mean))
        return RG_VERDICT_NOT_RUN;
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
static RgGrid make_grid(const RgPaper *paper, const RgPaperResults *stores, RgVerdict *verdict_of,
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
        *cell++ = rg_string_copy(r->of.method);
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
                rg_string_format("%s, %s, %s: %s", r->of.method, r->metric, r->setting, of(r)),
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

/* Add to distinct sentences (NULL-terminated); not if it is NULL. */
static void add_sentence(const char **sentence, const char *text) {
    int64_t count = 0;
    while (sentence[count])
        if (!text || strcmp(sentence[count++], text) == 0)
            return;
    sentence[count] = text;
}

/* The reasons why figures are missing, of figures and claims, each once. */
static void write_missing(const RgPaper *paper, char *const *missing, const RgFoundClaim *found,
                          const Notes *notes) {
    const char **sentence =
        rg_allocate(paper->figure_count + paper->claim_count + 1, sizeof *sentence);
    for (int64_t i = 0; i < paper->figure_count; i++)
        add_sentence(sentence, missing[i]);
    for (int64_t i = 0; i < paper->claim_count; i++)
        add_sentence(sentence, found[i].missing);
    write_sentences(notes, "Why figures are missing here:", sentence);
    free(sentence);
}

/* Why claims do not hold, each reason once. */
static void write_failed(const RgPaper *paper, const RgFoundClaim *found, const Notes *notes) {
    const char **sentence = rg_allocate(paper->claim_count + 1, sizeof *sentence);
    char **owned = rg_allocate(paper->claim_count + 1, sizeof *owned);
    for (int64_t i = 0; i < paper->claim_count; i++) {
        const RgPaperClaim *claim = &paper->claims[i];
        if (found[i].verdict != RG_CLAIM_DOES_NOT_HOLD)
            continue;
        owned[i] = rg_string_format("%s: %s", claim->claim,
                                    claim->differs[0] ? claim->differs : "the reason is not known");
        add_sentence(sentence, owned[i]);
    }
    write_sentences(notes, "Why claims do not hold:", sentence);
    for (int64_t i = 0; i < paper->claim_count; i++)
        free(owned[i]);
    free(owned);
    free(sentence);
}

/* What the program finds of a paper. */
typedef struct Found {
    RgVerdict *verdict_of; /* [figures] */
    char **missing;        /* [figures] see Own */
    RgFoundClaim *claims;
} Found;

static Found find_all(const RgPaper *paper, const RgPaperResults *stores) {
    return (Found){.verdict_of = rg_allocate(paper->figure_count, sizeof(RgVerdict)),
                   .missing = rg_allocate(paper->figure_count, sizeof(char *)),
                   .claims = rg_paper_find_claims(paper, stores)};
}

static void found_free(const RgPaper *paper, Found *found) {
    for (int64_t i = 0; i < paper->figure_count; i++)
        free(found->missing[i]);
    free(found->missing);
    free(found->verdict_of);
    rg_paper_found_free(paper, found->claims);
}

static void write_notes(const RgPaper *paper, const Found *found, const Notes *notes) {
    write_missing(paper, found->missing, found->claims, notes);
    write_reasons(paper, "Why figures differ:", RG_VERDICT_DIFFERS, found->verdict_of,
                  difference_of, notes);
    write_failed(paper, found->claims, notes);
    write_reasons(paper, "Why figures cannot be compared:", RG_VERDICT_NOT_COMPARABLE,
                  found->verdict_of, obstacle_of, notes);
    write_reasons(paper, "Tolerances of figures that agree:", RG_VERDICT_AGREES, found->verdict_of,
                  tolerance_of, notes);
    write_sentences(notes, "What differs:", paper->differences);
    write_sentences(notes, "What is not known:", paper->unknown);
}

static RgStatus check_results(const RgPaperResults *stores, RgError *error) {
    for (int64_t i = 0; i < stores->count; i++)
        if (stores->results[i])
            RG_TRY(rg_results_status(stores->results[i], RG_OK, error));
    return RG_OK;
}

static void count_verdicts(const RgPaper *paper, const Found *found, RgPaperVerdicts *verdicts) {
    for (int64_t i = 0; i < paper->figure_count; i++)
        verdicts->figures[found->verdict_of[i]]++;
    for (int64_t i = 0; i < paper->claim_count; i++)
        verdicts->claims[found->claims[i].verdict]++;
}

static void write_title(const RgPaper *paper, RgTableFormat format, FILE *out) {
    fputs(format == RG_TABLE_LATEX ? "% " : "", out);
    rg_write_line(out, paper->title);
    fputs(" (", out);
    rg_write_line(out, paper->reference);
    fputs(")\n\n", out);
}

static void write_claims(const RgPaper *paper, const Found *found, bool here, RgTableFormat format,
                         FILE *out) {
    if (rg_table_format_is_raw(format)) {
        RgRecords *records = rg_paper_claims_records(paper, found->claims);
        rg_records_write(records, NULL, 0, format, out);
        rg_records_destroy(records);
        return;
    }
    RgGrid grid = rg_paper_claims_grid(paper, found->claims, here);
    rg_grid_write(&grid, format, out);
    rg_grid_free(&grid);
}

static void write_parts(const RgPaper *paper, const RgPaperResults *stores, RgPaperPart part,
                        const RgGrid *figures, const Found *found, const RgTableOptions *options) {
    bool raw = rg_table_format_is_raw(options->format);
    if (!raw)
        write_title(paper, options->format, options->out);
    if (part == RG_PAPER_ALL)
        rg_grid_write(figures, options->format, options->out);
    if (part == RG_PAPER_ALL && !raw && paper->claim_count > 0)
        putc('\n', options->out);
    if (part == RG_PAPER_CLAIMS || (!raw && paper->claim_count > 0))
        write_claims(paper, found, stores->count > 0, options->format, options->out);
    if (part == RG_PAPER_ALL && !raw)
        write_notes(paper, found, &(const Notes){print_sentences, (void *)options});
}

static RgStatus write_paper(const RgPaper *paper, const RgPaperResults *stores, RgPaperPart part,
                            const RgTableOptions *options, RgPaperVerdicts *verdicts,
                            RgError *error) {
    Found found = find_all(paper, stores);
    RgGrid figures = make_grid(paper, stores, found.verdict_of, found.missing);
    RgStatus status = check_results(stores, error);
    if (verdicts)
        count_verdicts(paper, &found, verdicts);
    if (status == RG_OK)
        write_parts(paper, stores, part, &figures, &found, options);
    rg_grid_free(&figures);
    found_free(paper, &found);
    return status;
}

RgPaperGrids rg_paper_grids(const RgPaper *paper, const RgResults *results, RgPaperNotes write,
                            void *context) {
    const RgPaperStore store = {NULL, results->path};
    const RgPaperResults stores = {&store, &results, 1};
    Found found = find_all(paper, &stores);
    RgPaperGrids grids = {.figures = make_grid(paper, &stores, found.verdict_of, found.missing)};
    if (paper->claim_count > 0)
        grids.claims = rg_paper_claims_grid(paper, found.claims, true);
    write_notes(paper, &found, &(const Notes){write, context});
    found_free(paper, &found);
    return grids;
}

static RgStatus open_stores(const RgPaperStore *store, int64_t count, const RgTableOptions *options,
                            RgResults **results, RgError *error) {
    for (int64_t i = 0; i < count; i++)
        RG_TRY(rg_results_open(store[i].store, &options->choice, &results[i], error));
    return RG_OK;
}

RgStatus rg_paper_table(const RgPaper *paper, const RgPaperStore *store, int64_t store_count,
                        RgPaperPart part, const RgTableOptions *options, RgPaperVerdicts *verdicts,
                        RgError *error) {
    if (part == RG_PAPER_CLAIMS && paper->claim_count == 0)
        return rg_fail(error, RG_E_USAGE, "the file of \"%s\" has no claims", paper->title);
    RgResults **results = rg_allocate(store_count, sizeof *results);
    const RgPaperResults stores = {store, (const RgResults *const *)results, store_count};
    RgStatus status = open_stores(store, store_count, options, results, error);
    if (status == RG_OK)
        status = write_paper(paper, &stores, part, options, verdicts, error);
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
