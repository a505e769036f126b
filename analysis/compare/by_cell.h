/* SPDX-License-Identifier: MIT */
/* What outputs by cell have in common: a heading for each cell, its values in each record, and one
 * list of notes for all. */
#ifndef RG_ANALYSIS_COMPARE_BY_CELL_H
#define RG_ANALYSIS_COMPARE_BY_CELL_H

#include "analysis/compare/records.h"
#include "analysis/compare/table.h"
#include "analysis/store/swept.h"

/* Sentences, owned. */
typedef struct RgNotes {
    char **at; /* [count] */
    int count;
} RgNotes;

void rg_notes_add(RgNotes *notes, char *note); /* takes the note; not if it is NULL */
void rg_notes_free(RgNotes *notes);

/* The notes of all cells `of` [cells->count] as one list: those that every cell has once, the others
 * after the name of their cell. The caller frees it. */
RgNotes rg_notes_of_cells(const RgSweptCells *cells, const RgNotes *of);

/* Above the table of cell i; nothing if there is one cell for all. */
void rg_cell_heading_write(const RgSweptCells *cells, int i, RgTableFormat format, FILE *out);

/* The cell's values, the first fields of a record. */
void rg_cell_record(RgRecords *records, const RgSweptCells *cells, int i);

/* The sentence that suggests --by where something was swept, and it was not asked for; NULL: no need.
 * malloc'd. */
char *rg_by_suggestion(const RgResults *results, const RgBy *by);

/* Run `make` for the results of every cell, with `context` and the cell's number. A cell that fails
 * has a note with the reason in `notes` [cells->count]. Fails as the first cell did if all fail. */
typedef RgStatus RgCellMake(void *context, const RgResults *results, int cell, RgError *error);
RgStatus rg_make_cells(const RgSweptCells *cells, RgCellMake *make, void *context, RgNotes *notes,
                       RgError *error);

#endif
