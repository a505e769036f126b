/* Pieces of the report's page, each written to a stream; report.c puts them in order. Private to
 * the report. */
#ifndef RG_ANALYSIS_REPORT_PAGE_H
#define RG_ANALYSIS_REPORT_PAGE_H

#include "analysis/query.h"
#include "analysis/table.h"

#include <stdio.h>

extern const char rg_report_style[]; /* CSS */

/* <h2> with an anchor; the section is closed by the caller. */
void rg_page_section(FILE *out, const char *id, const char *heading);

/* A grid as a table in a box that scrolls by itself. */
void rg_page_grid(FILE *out, const RgGrid *grid);
void rg_page_notes(FILE *out, const RgTable *table);

/* P(row's response beats column's) for all methods; nothing when there are no per-prompt rewards,
 * or fewer than two methods, or more than fit a page. */
void rg_page_duels(FILE *out, const RgResults *results, int64_t resamples);

/* Responses of every method to the same prompts, side by side. */
void rg_page_responses(FILE *out, const RgResults *results, int64_t prompts);

/* Trials that did not finish; nothing when there are none. */
void rg_page_trials(FILE *out, const RgResults *results);

void rg_page_configuration(FILE *out, const RgResults *results);
void rg_page_provenance(FILE *out, const RgResults *results);

#endif
