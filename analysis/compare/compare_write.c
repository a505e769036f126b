/* SPDX-License-Identifier: MIT */
/* Writing comparisons: as sentences, as a table of a family, and as records. */
#include "analysis/compare/compare.h"
#include "analysis/compare/format.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

/* ---- pieces ---- */

static char *estimate_text(const RgEstimate *estimate, RgUnit unit) {
    RgSummary summary = {.mean = estimate->value, .standard_error = estimate->standard_error};
    return rg_mean_text(&summary, estimate->interval, unit);
}

static const char *sources(const RgComparison *c) {
    return c->own_items ? "seeds" : "seeds and prompts";
}

/* "50 %" for wins. */
static const char *null_text(const RgComparison *c) {
    return c->win ? "50 %" : "0";
}

/* With the values of cell `cell`. */
static void add_records(RgRecords *records, const RgSweptCells *cells, int cell,
                        const RgFamily *family) {
    for (int i = 0; i < family->count; i++) {
        const RgComparison *c = &family->comparisons[i];
        rg_cell_record(records, cells, cell);
        rg_record_text(records, "a", c->a->name);
        rg_record_text(records, "b", c->b->name);
        rg_record_text(records, "metric", c->metric);
        rg_record_text(records, "kind", c->win ? "win" : "difference");
        rg_record_number(records, "estimate", c->estimate.value);
        rg_record_number(records, "standard_error", c->estimate.standard_error);
        rg_record_interval(records, "interval", c->estimate.interval);
        rg_record_number(records, "p_value", c->estimate.p_value);
        rg_record_number(records, "p_holm", c->adjusted_p);
        rg_record_number(records, "null_value", c->null_value);
        rg_record_number(records, "seeds", c->seeds);
        rg_record_number(records, "prompts", (double)c->items);
        rg_record_number(records, "wins", (double)c->wins);
        rg_record_number(records, "ties", (double)c->ties);
        rg_record_number(records, "losses", (double)c->losses);
        rg_record_number(records, "improvement", c->improvement.value);
        rg_record_interval(records, "improvement", c->improvement.interval);
        rg_record_end(records);
    }
}

/* ---- one comparison ---- */

static void write_improvement(const RgComparison *c, FILE *out) {
    RgEstimate chances = c->improvement;
    chances.standard_error = NAN; /* no ± next to the interval */
    char *chance = estimate_text(&chances, RG_UNIT_PERCENT);
    fprintf(out, "P(a seed of %s has a larger mean than one of %s), %%:  %s\n", c->a->name,
            c->b->name, chance);
    free(chance);
}

static void write_sentences(const RgComparison *c, FILE *out) {
    RgUnit unit = c->win ? RG_UNIT_PERCENT : RG_UNIT_PLAIN;
    const RgEstimate *e = &c->estimate;
    char *estimate = rg_format_value(e->value, e->standard_error, unit);
    char *interval = rg_format_interval(e->interval, unit), *p = rg_format_p(e->p_value);
    if (c->win)
        fprintf(out, "P(%s beats %s) by %s, %%:  %s", c->a->name, c->b->name, c->metric, estimate);
    else
        fprintf(out, "%s of %s − %s:  %s", c->metric, c->a->name, c->b->name, estimate);
    if (interval)
        fprintf(out, "  95 %% interval %s", interval);
    if (!isnan(e->p_value))
        fprintf(out, "  p %s%s", p[0] == '<' ? "" : "= ", p);
    fprintf(out,
            c->win ? "\n%lld wins, %lld ties (half a win each), %lld losses"
                   : "\n%lld times larger, %lld equal, %lld smaller",
            (long long)c->wins, (long long)c->ties, (long long)c->losses);
    fprintf(out, " over %d seed%s × %lld %s\n", c->seeds, c->seeds == 1 ? "" : "s",
            (long long)c->items, c->own_items ? "contexts or episodes" : "prompts");
    if (c->seeds > 1)
        write_improvement(c, out);
    fprintf(out, "Interval and two-sided p against %s: Student's t over %s, paired.\n",
            null_text(c), sources(c));
    free(p);
    free(estimate);
    free(interval);
}

/* ---- a family ---- */

static RgGrid make_grid(const RgFamily *family) {
    static const char *const headings[] = {"A",       "B",         "",      "p",
                                           "p, Holm", "W / T / L", "seeds", "seed of A above B, %"};
    enum { COLUMNS = sizeof headings / sizeof *headings };
    bool win = family->comparisons[0].win;
    RgUnit unit = win ? RG_UNIT_PERCENT : RG_UNIT_PLAIN;
    RgGrid grid = {.rows = family->count + 1, .columns = COLUMNS, .names = 2};
    grid.cells = rg_allocate(grid.rows * COLUMNS, sizeof *grid.cells);
    char **cell = grid.cells;
    for (int i = 0; i < COLUMNS; i++)
        *cell++ = i != 2 ? rg_string_copy(headings[i])
                  : win  ? rg_string_format("A wins by %s, %%", family->comparisons[0].metric)
                         : rg_string_format("%s, A − B", family->comparisons[0].metric);
    for (int i = 0; i < family->count; i++) {
        const RgComparison *c = &family->comparisons[i];
        *cell++ = rg_string_copy(c->a->name);
        *cell++ = rg_string_copy(c->b->name);
        *cell++ = estimate_text(&c->estimate, unit);
        *cell++ = rg_format_p(c->estimate.p_value);
        *cell++ = rg_format_p(c->adjusted_p);
        *cell++ = rg_string_format("%lld / %lld / %lld", (long long)c->wins, (long long)c->ties,
                                   (long long)c->losses);
        *cell++ = rg_string_format("%d", c->seeds);
        *cell++ = rg_format_value(c->improvement.value, NAN, RG_UNIT_PERCENT);
    }
    return grid;
}

static void write_records(const RgSweptCells *cells, const RgFamily *families, const RgNotes *notes,
                          const RgCompareOptions *options) {
    RgRecords *records = rg_records_create();
    for (int i = 0; i < cells->count; i++)
        add_records(records, cells, i, &families[i]);
    rg_records_write(records, notes->at, notes->count, options->format, options->out);
    rg_records_destroy(records);
}

/* What the columns mean; `c` is any of the comparisons. */
static void write_definitions(const RgComparison *c, int count, int cells,
                              const RgCompareOptions *options) {
    char *method =
        rg_string_format("[low, high] is a 95 %% interval and p two-sided against %s: "
                         "Student's t over %s, paired.%s",
                         null_text(c), sources(c), c->win ? " A tie counts as half a win." : "");
    char *of_cells = cells > 1 ? rg_string_format(" of all %d cells together", cells) : NULL;
    char *holm = rg_string_format("p, Holm: adjusted for %d comparison%s%s by the step-down "
                                  "correction of Holm (1979).",
                                  count, count == 1 ? "" : "s", of_cells ? of_cells : "");
    char *outcomes =
        rg_string_format("W / T / L: how often A's %s is larger than B's, the same, and "
                         "smaller, of all seeds and %s.",
                         c->metric, c->own_items ? "their contexts or episodes" : "prompts");
    char improvement[] = "Seed of A above B: the share of all pairs of a seed of A and a seed of B "
                         "in which A's has the larger mean (the probability of improvement).";
    char *sentences[] = {method, holm, outcomes, improvement};
    rg_notes_write(sentences, 4, options->format, options->out);
    free(method);
    free(of_cells);
    free(holm);
    free(outcomes);
}

static void write_grids(const RgSweptCells *cells, const RgFamily *families, const RgNotes *notes,
                        const RgCompareOptions *options) {
    const RgComparison *any = NULL;
    int count = 0, compared = 0;
    for (int i = 0; i < cells->count; i++) {
        if (families[i].count == 0)
            continue;
        RgGrid grid = make_grid(&families[i]);
        rg_cell_heading_write(cells, i, options->format, options->out);
        rg_grid_write(&grid, options->format, options->out);
        rg_grid_free(&grid);
        any = families[i].comparisons;
        count += families[i].count;
        compared++;
    }
    if (any)
        write_definitions(any, count, compared, options);
    for (int i = 0; i < notes->count; i++)
        rg_note_write(notes->at[i], options->format, options->out);
}

void rg_families_write(const RgSweptCells *cells, const RgFamily *families,
                       const RgCompareOptions *options) {
    RgNotes *of = rg_allocate(cells->count, sizeof *of);
    for (int i = 0; i < cells->count; i++)
        of[i] = families[i].notes;
    RgNotes notes = rg_notes_of_cells(cells, of);
    if (rg_table_format_is_raw(options->format))
        write_records(cells, families, &notes, options);
    else
        write_grids(cells, families, &notes, options);
    rg_notes_free(&notes);
    free(of);
}

static void write_object(const RgSweptCells *whole, const RgFamily *family, FILE *out) {
    RgRecords *records = rg_records_create();
    add_records(records, whole, 0, family);
    json_t *rows = rg_records_json(records);
    rg_json_write(json_incref(json_array_get(rows, 0)), out);
    json_decref(rows);
    rg_records_destroy(records);
}

void rg_comparison_write(const RgResults *results, const RgComparison *comparison,
                         const RgCompareOptions *options) {
    RgComparison alone = *comparison;
    RgSweptCell cell = {.name = ""};
    const RgSweptCells whole = {.at = &cell, .count = 1};
    RgFamily family = {.comparisons = &alone, .count = 1};
    rg_notes_add(&family.notes, rg_few_seeds(alone.seeds));
    rg_notes_add(&family.notes, rg_results_left_out(results));
    if (options->format == RG_TABLE_TEXT) {
        write_sentences(comparison, options->out);
        for (int i = 0; i < family.notes.count; i++)
            fprintf(options->out, "%s\n", family.notes.at[i]);
    } else if (options->format == RG_TABLE_JSON) {
        write_object(&whole, &family, options->out);
    } else {
        alone.adjusted_p = alone.estimate.p_value; /* a family of one */
        rg_families_write(&whole, &family, options);
    }
    rg_notes_free(&family.notes);
}
