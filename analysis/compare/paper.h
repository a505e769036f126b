/* SPDX-License-Identifier: MIT */
/* A paper's reported results next to an experiment's own. */
#ifndef RG_ANALYSIS_COMPARE_PAPER_H
#define RG_ANALYSIS_COMPARE_PAPER_H

#include "analysis/compare/table.h"

enum { RG_PAPER_CONDITIONS = 8 };

/* A figure reported in a paper. Texts are borrowed. */
typedef struct RgReported {
    const char *method;  /* label or algorithm to compare it with here */
    const char *metric;  /* its name in the paper */
    const char *measure; /* the measure to compare it with here; "": none */
    const char *value;   /* with its uncertainty, as printed in the paper */
    const char *setting; /* model, data, judge */
    const char *source;  /* table, abstract, README */
    const char *checked; /* source that it was verified in: "abstract", "README of the code" */
    struct RgReportedWhere {
        const char *name; /* swept option and its value, to choose the trials */
        double value;
    } where[RG_PAPER_CONDITIONS];
    int conditions;
} RgReported;

typedef struct RgPaper {
    const char *title, *reference;
    const RgReported *figures; /* [figure_count] */
    int64_t figure_count;
    const char *const *differences; /* of the settings; sentences, NULL-terminated */
    const char *const *unknown;     /* what could not be verified; sentences, NULL-terminated */
} RgPaper;

/* Write the reported figures. If options->store is not NULL, those of its experiment are next to
 * them: the mean over seeds at the last evaluation, a dash if missing. Then the differences of the
 * settings and the unknown facts. options->metrics is ignored. */
RgStatus rg_paper_table(const RgPaper *paper, const RgTableOptions *options, RgError *error);

#endif
