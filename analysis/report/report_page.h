/* SPDX-License-Identifier: MIT */
/* Parts of the report's page, each written to a stream; report.c orders them. Private to the
 * report. */
#ifndef RG_ANALYSIS_REPORT_REPORT_PAGE_H
#define RG_ANALYSIS_REPORT_REPORT_PAGE_H

#include "analysis/compare/table.h"
#include "analysis/figures/figure.h"
#include "analysis/store/query.h"

#include <stdio.h>

extern const char rg_report_style[];  /* CSS */
extern const char rg_report_script[]; /* JavaScript */

/* Write <h2> with an anchor; the caller closes the section. */
void rg_page_section(FILE *out, const char *id, const char *heading);

/* A table in a scrollable box with keyboard access and a label. The caller writes <thead>, opens
 * <tbody> and writes rows; rg_page_close_table closes <tbody>, too. */
void rg_page_open_table(FILE *out, const char *class, const char *label);
void rg_page_close_table(FILE *out);

/* A grid as a table of this kind. */
void rg_page_grid(FILE *out, const RgGrid *grid);
void rg_page_notes(FILE *out, char *const *notes, int count);

/* A description of a figure for people who cannot see it; malloc'd. */
char *rg_page_describe(const RgFigure *figure, const char *caption);
/* The data of a figure, as a table behind a <summary>. */
void rg_page_figure_data(FILE *out, const RgFigure *figure);

/* Responses of every method to the same prompts, side by side; `prompts` 0: automatic. */
void rg_page_responses(FILE *out, const RgResults *results, int64_t prompts);

/* Seeds by outcome, and the reasons of unfinished ones; nothing without trials. */
void rg_page_trials(FILE *out, const RgResults *results);

void rg_page_configuration(FILE *out, const RgResults *results);
void rg_page_provenance(FILE *out, const RgResults *results);

#endif
