/* SPDX-License-Identifier: MIT */
/* A paper's reported results next to an experiment's own. */
#ifndef RG_ANALYSIS_COMPARE_PAPER_H
#define RG_ANALYSIS_COMPARE_PAPER_H

#include "analysis/compare/table.h"

enum { RG_PAPER_CONDITIONS = 8 };

/* A figure reported in a paper. Texts are borrowed. */
typedef struct RgReported {
    const char *method;     /* label or algorithm to compare it with here */
    const char *metric;     /* its name in the paper */
    const char *measure;    /* the measure to compare it with here; "": none */
    const char *value;      /* with its uncertainty, as printed in the paper */
    const char *setting;    /* model, data, judge */
    const char *source;     /* table, abstract, README */
    const char *checked;    /* source that it was verified in: "abstract", "README of the code" */
    const char *experiment; /* name of the experiment with its trials; "": the paper's first */
    int64_t first_step, last_step; /* here it is the mean of the rows of these steps; −1: it is
                                      that of the last evaluation */
    double exact;           /* the true value; NaN: not known */
    double tolerance;       /* NaN: no verdict */
    const char *tolerance_reason;
    const char *differs;        /* why it is known to differ; "": not known */
    const char *not_comparable; /* why there is no verdict; "": there may be one */
    struct RgReportedWhere {
        const char *name; /* swept option and its value, to choose the trials */
        double value;
    } where[RG_PAPER_CONDITIONS];
    int conditions;
} RgReported;

typedef struct RgPaper {
    const char *title, *reference;
    const char *const
        *experiments;          /* configs that run the figures again, NULL-terminated; or NULL */
    const RgReported *figures; /* [figure_count] */
    int64_t figure_count;
    const char *const *differences; /* of the settings; sentences, NULL-terminated */
    const char *const *unknown;     /* what could not be verified; sentences, NULL-terminated */
} RgPaper;

/* Whether this program finds a figure, too. It agrees where it differs from the reported value (if
 * none is reported: from the exact one) by no more than the tolerance and half the width of its own
 * 95 % interval. */
typedef enum RgVerdict {
    RG_VERDICT_NONE, /* the figure has no tolerance, or its trials have not run */
    RG_VERDICT_AGREES,
    RG_VERDICT_DIFFERS,
    RG_VERDICT_NOT_COMPARABLE,
    RG_VERDICTS,
} RgVerdict;

RgVerdict rg_reported_verdict(const RgReported *reported, double mean, RgInterval interval);

/* The store of an experiment. Texts are borrowed. */
typedef struct RgPaperStore {
    const char *experiment; /* its name; NULL: of any */
    const char *store;      /* path */
} RgPaperStore;

/* Write the reported figures, and next to them those of the stores' experiments: the mean over seeds
 * at the last evaluation, or in the figure's steps, with its 95 % interval, a dash if missing; the exact values and the
 * verdicts, where there are any. Then the reasons, of missing figures too, where a store is there; the differences of
 * the settings and the unknown facts. Of `options` only format, choice and out are read. verdicts [RG_VERDICTS] is counted up,
 * unless it is NULL. */
RgStatus rg_paper_table(const RgPaper *paper, const RgPaperStore *stores, int64_t store_count,
                        const RgTableOptions *options, int64_t *verdicts, RgError *error);

/* What stands below a table: sentences (NULL-terminated) under a heading. */
typedef void (*RgPaperNotes)(void *context, const char *heading, const char *const *sentences);

/* The same table as data, for one open experiment; the caller frees the grid. The notes go to `write`
 * with `context`. */
RgGrid rg_paper_grid(const RgPaper *paper, const RgResults *results, RgPaperNotes write,
                     void *context);

#endif
