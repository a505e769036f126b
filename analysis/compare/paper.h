/* SPDX-License-Identifier: MIT */
/* What a paper reports, and an experiment's own figures beside it. */
#ifndef RG_ANALYSIS_COMPARE_PAPER_H
#define RG_ANALYSIS_COMPARE_PAPER_H

#include "analysis/compare/table.h"

enum { RG_PAPER_CONDITIONS = 8 };

/* A figure as the paper has it. Texts are borrowed. */
typedef struct RgReported {
    const char *method;  /* label or algorithm that stands beside it here */
    const char *metric;  /* what the paper calls it */
    const char *measure; /* what stands beside it here; "": nothing does */
    const char *value;   /* with its uncertainty, as printed there */
    const char *setting; /* model, data, judge */
    const char *source;  /* table, abstract, README */
    const char *checked; /* by what it is known: "abstract", "README of the code" */
    struct RgReportedWhere {
        const char *name; /* swept option, and its value: which trials are meant */
        double value;
    } where[RG_PAPER_CONDITIONS];
    int conditions;
} RgReported;

typedef struct RgPaper {
    const char *title, *reference;
    const RgReported *figures; /* [figure_count] */
    int64_t figure_count;
    const char *const *differences; /* in setting; sentences, NULL-terminated */
    const char *const *unknown;     /* what could not be verified; likewise */
} RgPaper;

/* Write the reported figures with, where options->store is not NULL, those of its experiment beside
 * them: the mean over seeds at the last evaluation, a dash where there is none. Then how the
 * settings differ, and what is not known. options->metrics is not looked at. */
RgStatus rg_paper_table(const RgPaper *paper, const RgTableOptions *options, RgError *error);

#endif
