/* SPDX-License-Identifier: MIT */
/* The report: one experiment as one self-contained HTML page, without network access. A script only
 * searches the sample responses, which are readable without it.
 * `rg_report` is the whole command. */
#ifndef RG_ANALYSIS_REPORT_REPORT_H
#define RG_ANALYSIS_REPORT_REPORT_H

#include "analysis/compare/paper.h"
#include "analysis/store/choice.h"
#include "core/base.h"

typedef struct RgReportOptions {
    const char *store;    /* path */
    RgChoice choice;      /* of its trials */
    const char *output;   /* .html */
    const char *title;    /* NULL: the experiment's name */
    const RgPaper *paper; /* its reported figures in a section of their own; NULL: none */
    int64_t prompts;      /* sample prompts shown; 0: 50, or fewer if there are many methods */
} RgReportOptions;

/* RG_E_FILE if the page cannot be written, or gnuplot is missing or fails. */
RgStatus rg_report(const RgReportOptions *options, RgError *error);

#endif
