/* SPDX-License-Identifier: MIT */
/* Headings, records and notes of outputs by cell. */
#include "analysis/compare/by_cell.h"

#include "analysis/compare/format.h"

#include <stdlib.h>
#include <string.h>

void rg_notes_add(RgNotes *notes, char *note) {
    if (!note)
        return;
    notes->at = rg_reallocate(notes->at, (size_t)notes->count + 1, sizeof *notes->at);
    notes->at[notes->count++] = note;
}

void rg_notes_free(RgNotes *notes) {
    for (int i = 0; i < notes->count; i++)
        free(notes->at[i]);
    free(notes->at);
    *notes = (RgNotes){0};
}

static bool has_note(const RgNotes *notes, const char *note) {
    bool found = false;
    for (int i = 0; i < notes->count; i++)
        found = found || strcmp(notes->at[i], note) == 0;
    return found;
}

RgNotes rg_notes_of_cells(const RgSweptCells *cells, const RgNotes *of) {
    RgNotes all = {0}, own = {0};
    for (int i = 0; i < cells->count; i++)
        for (int k = 0; k < of[i].count; k++) {
            const char *note = of[i].at[k];
            bool common = true;
            for (int j = 0; j < cells->count; j++)
                common = common && has_note(&of[j], note);
            if (!common)
                rg_notes_add(&own, rg_string_format("%s: %s", cells->at[i].name, note));
            else if (!has_note(&all, note))
                rg_notes_add(&all, rg_string_copy(note));
        }
    for (int k = 0; k < own.count; k++)
        rg_notes_add(&all, own.at[k]);
    free(own.at);
    return all;
}

void rg_cell_heading_write(const RgSweptCells *cells, int i, RgTableFormat format, FILE *out) {
    const char *name = cells->at[i].name;
    if (cells->option_count == 0)
        return;
    fputs(i > 0 ? "\n" : "", out);
    if (format == RG_TABLE_MARKDOWN) {
        fputs("**", out);
        rg_write_markdown(out, name);
        fputs("**\n\n", out);
    } else {
        fputs(format == RG_TABLE_LATEX ? "% " : "", out);
        rg_write_line(out, name);
        fputs(format == RG_TABLE_LATEX ? "\n" : "\n\n", out);
    }
}

void rg_cell_record(RgRecords *records, const RgSweptCells *cells, int i) {
    for (int k = 0; k < cells->option_count; k++)
        rg_record_text(records, cells->options[k], cells->at[i].values[k]);
}

char *rg_by_suggestion(const RgResults *results, const RgBy *by) {
    char *list = by->count == 0 ? rg_swept_list(results) : NULL;
    char *note =
        list ? rg_string_format("The experiment swept %s: --by %s compares within each cell.", list,
                                list)
             : NULL;
    free(list);
    return note;
}

RgStatus rg_make_cells(const RgSweptCells *cells, RgCellMake *make, void *context, RgNotes *notes,
                       RgError *error) {
    RgStatus first = RG_OK;
    RgError reason = {0};
    int made = 0;
    for (int i = 0; i < cells->count; i++) {
        RgError own = {0};
        RgStatus status = make(context, cells->at[i].results, i, &own);
        made += status == RG_OK;
        if (status == RG_OK)
            continue;
        rg_notes_add(&notes[i], rg_string_format("left out: %s.", own.text));
        if (first == RG_OK) {
            first = status;
            reason = own;
        }
    }
    return made > 0 ? RG_OK : rg_fail(error, first, "%s", reason.text);
}
