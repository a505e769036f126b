/* SPDX-License-Identifier: MIT */
/* Reported figures next to an experiment's own, independent of where they come from. */
#include "analysis/compare/paper.h"

#include "analysis/compare/format.h"

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

/* The experiment's own figure, malloc'd; a dash if there is none. */
static char *own_figure(const RgResults *results, const RgReported *reported) {
    RgMeasure measure;
    RgTable *table;
    RgError ignored = {0};
    if (!results || !reported->measure[0] || !rg_results_has(results, reported->measure, &measure))
        return rg_string_copy(RG_DASH);
    int group = group_of(results, reported);
    const char *const metrics[] = {reported->measure, NULL};
    if (group < 0 || rg_table_create(results, metrics, &table, &ignored) != RG_OK)
        return rg_string_copy(RG_DASH);
    char *text = rg_cell_text(table, &table->columns[0], &table->cells[group]);
    rg_table_destroy(table);
    return text;
}

static RgGrid make_grid(const RgPaper *paper, const RgResults *results) {
    static const char *const headings[] = {"method",  "metric",   "setting", "source",
                                           "checked", "reported", "here"};
    int columns = results ? 7 : 6;
    RgGrid grid = {.rows = (int)paper->figure_count + 1, .columns = columns, .names = 5};
    grid.cells = rg_allocate(grid.rows * columns, sizeof *grid.cells);
    char **cell = grid.cells;
    for (int i = 0; i < columns; i++)
        *cell++ = rg_string_copy(headings[i]);
    for (int64_t i = 0; i < paper->figure_count; i++) {
        const RgReported *r = &paper->figures[i];
        *cell++ = rg_string_copy(r->method);
        *cell++ = rg_string_copy(r->metric);
        *cell++ = rg_string_copy(r->setting);
        *cell++ = rg_string_copy(r->source);
        *cell++ = rg_string_copy(r->checked);
        *cell++ = rg_string_copy(r->value);
        if (results)
            *cell++ = own_figure(results, r);
    }
    return grid;
}

static void write_sentences(const char *heading, const char *const *sentence, RgTableFormat format,
                            FILE *out) {
    if (!sentence || !sentence[0])
        return;
    const char *comment = format == RG_TABLE_LATEX ? "% " : "";
    fprintf(out, "\n%s%s\n", comment, heading);
    for (; *sentence; sentence++) {
        fprintf(out, "%s- ", comment);
        if (format == RG_TABLE_MARKDOWN)
            rg_write_markdown(out, *sentence);
        else
            rg_write_line(out, *sentence);
        putc('\n', out);
    }
}

static RgStatus write_paper(const RgPaper *paper, const RgResults *results,
                            const RgTableOptions *options, RgError *error) {
    FILE *out = options->out;
    RgTableFormat format = options->format;
    RgGrid grid = make_grid(paper, results);
    RgStatus status = results ? rg_results_status(results, RG_OK, error) : RG_OK;
    if (status != RG_OK) {
        rg_grid_free(&grid);
        return status;
    }
    if (!rg_table_format_is_raw(format)) {
        fputs(format == RG_TABLE_LATEX ? "% " : "", out);
        rg_write_line(out, paper->title);
        fputs(" (", out);
        rg_write_line(out, paper->reference);
        fputs(")\n\n", out);
    }
    rg_grid_write(&grid, format, out);
    rg_grid_free(&grid);
    if (rg_table_format_is_raw(format))
        return RG_OK;
    write_sentences("What differs:", paper->differences, format, out);
    write_sentences("What is not known:", paper->unknown, format, out);
    return RG_OK;
}

RgStatus rg_paper_table(const RgPaper *paper, const RgTableOptions *options, RgError *error) {
    RgResults *results = NULL;
    if (options->store)
        RG_TRY(rg_results_open(options->store, &options->choice, &results, error));
    RgStatus status = write_paper(paper, results, options, error);
    char *left_out = results ? rg_results_left_out(results) : NULL;
    if (status == RG_OK && left_out && !rg_table_format_is_raw(options->format))
        rg_note_write(left_out, options->format, options->out);
    free(left_out);
    rg_results_close(results);
    RG_TRY(status);
    if (fflush(options->out) != 0 || ferror(options->out))
        return rg_fail(error, RG_E_FILE, "cannot write the table: the output failed");
    return RG_OK;
}
