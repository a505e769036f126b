/* SPDX-License-Identifier: MIT */
/* Pieces of the report's page, each written to a stream; report.c puts them in order. Private to
 * the report. */
#ifndef RG_ANALYSIS_REPORT_REPORT_PAGE_H
#define RG_ANALYSIS_REPORT_REPORT_PAGE_H

#include "analysis/compare/table.h"
#include "analysis/figures/figure.h"
#include "analysis/store/query.h"

#include <stdio.h>

extern const char rg_report_style[];  /* CSS */
extern const char rg_report_script[]; /* JavaScript */

/* <h2> with an anchor; the section is closed by the caller. */
void rg_page_section(FILE *out, const char *id, const char *heading);

/* A table in a box that scrolls by itself, which can be reached by keyboard and says what it holds.
 * The caller writes <thead>, opens <tbody> and writes rows; closing closes <tbody> too. */
void rg_page_open_table(FILE *out, const char *class, const char *label);
void rg_page_close_table(FILE *out);

/* A grid as such a table. */
void rg_page_grid(FILE *out, const RgGrid *grid);
void rg_page_notes(FILE *out, char *const *notes, int count);

/* What a figure shows, in words for who cannot see it; malloc'd. */
char *rg_page_describe(const RgFigure *figure, const char *caption);
/* What is in a figure, as a table behind a <summary>. */
void rg_page_figure_data(FILE *out, const RgFigure *figure);

/* Responses of every method to the same prompts, side by side; `prompts` 0: as many as suits. */
void rg_page_responses(FILE *out, const RgResults *results, int64_t prompts);

/* Seeds by outcome, and why some did not finish; nothing when there are no trials. */
void rg_page_trials(FILE *out, const RgResults *results);

void rg_page_configuration(FILE *out, const RgResults *results);
void rg_page_provenance(FILE *out, const RgResults *results);

#endif
