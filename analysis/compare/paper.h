/* SPDX-License-Identifier: MIT */
/* A paper's reported figures and its claims next to an experiment's own. */
#ifndef RG_ANALYSIS_COMPARE_PAPER_H
#define RG_ANALYSIS_COMPARE_PAPER_H

#include "analysis/compare/difference.h"
#include "analysis/compare/table.h"

enum { RG_PAPER_CONDITIONS = 8 };

/* Which trials stand here for what a paper says. Texts are borrowed. */
typedef struct RgPaperTrials {
    const char *method; /* label or algorithm */
    struct RgPaperWhere {
        const char *name; /* swept option and its value, to choose the trials */
        double value;
    } where[RG_PAPER_CONDITIONS];
    int conditions;
} RgPaperTrials;

/* A figure reported in a paper. Texts are borrowed. */
typedef struct RgReported {
    RgPaperTrials of;       /* to compare it with here */
    const char *metric;     /* its name in the paper */
    const char *measure;    /* the measure to compare it with here; "": none */
    const char *value;      /* with its uncertainty, as printed in the paper */
    const char *setting;    /* model, data, judge */
    const char *source;     /* table, abstract, README */
    const char *checked;    /* source that it was verified in: "abstract", "README of the code" */
    const char *experiment; /* name of the experiment with its trials; "": the paper's first */
    int64_t first_step, last_step; /* here it is the mean of the rows of these steps; −1: it is
                                      that of the last evaluation */
    double exact;                  /* the true value; NaN: not known */
    double tolerance;              /* NaN: no verdict */
    const char *tolerance_reason;
    const char *differs;        /* why it is known to differ; "": not known */
    const char *not_comparable; /* why there is no verdict; "": there may be one */
} RgReported;

typedef enum RgRelation {
    RG_RELATION_ABOVE,
    RG_RELATION_BELOW,
    RG_RELATION_NEAR, /* no farther than `within` */
} RgRelation;

/* A claim of a paper: how a method's metric stands to that of another method, or to a number. Texts
 * are borrowed. */
typedef struct RgPaperClaim {
    const char *claim;      /* a sentence */
    RgPaperTrials of, than; /* than.method "": the number `value` */
    double value;
    const char *measure;
    RgReadAs as;             /* what is read of both curves … */
    int64_t step, than_step; /* … for RG_READ_STEP; −1: at the end */
    double floor;            /* … for RG_READ_ORDER */
    RgRelation relation;
    double within;
    bool deterministic; /* nothing is drawn in the experiment, so that one seed tells all */
    const char *experiment, *source, *checked; /* as of a figure */
    const char *differs;                       /* why it is known not to hold; "": not known */
} RgPaperClaim;

typedef struct RgPaper {
    const char *title, *reference;
    const char *const
        *experiments;          /* configs that run the figures again, NULL-terminated; or NULL */
    const RgReported *figures; /* [figure_count] */
    int64_t figure_count;
    const RgPaperClaim *claims; /* [claim_count] */
    int64_t claim_count;
    const char *const *differences; /* of the settings; sentences, NULL-terminated */
    const char *const *unknown;     /* what could not be verified; sentences, NULL-terminated */
} RgPaper;

/* Whether this program finds a figure, too. It agrees where it differs from the reported value (if
 * none is reported: from the exact one) by no more than the tolerance and half the width of its own
 * 95 % interval. */
typedef enum RgVerdict {
    RG_VERDICT_NONE,    /* the figure has no tolerance */
    RG_VERDICT_NOT_RUN, /* there is no own figure to hold it against */
    RG_VERDICT_AGREES,
    RG_VERDICT_DIFFERS,
    RG_VERDICT_NOT_COMPARABLE,
    RG_VERDICTS,
} RgVerdict;

RgVerdict rg_reported_verdict(const RgReported *reported, double mean, RgInterval interval);

/* Whether a claim is found here, too, by the 95 % interval of the difference over seeds. */
typedef enum RgClaimVerdict {
    RG_CLAIM_NOT_RUN,
    RG_CLAIM_HOLDS,         /* the whole interval is on the claim's side of 0, or within */
    RG_CLAIM_DOES_NOT_HOLD, /* the whole interval is on the other side, or farther */
    RG_CLAIM_NOT_DECIDED,   /* the interval contains both; or one seed, where seeds may differ */
    RG_CLAIM_VERDICTS,
} RgClaimVerdict;

/* `difference` over `seeds`. Where all of several seeds have the same difference, or the claim is
 * deterministic, the difference alone decides. */
RgClaimVerdict rg_claim_verdict(const RgPaperClaim *claim, const RgEstimate *difference,
                                int64_t seeds);

/* How many figures and claims have which verdict. */
typedef struct RgPaperVerdicts {
    int64_t figures[RG_VERDICTS], claims[RG_CLAIM_VERDICTS];
} RgPaperVerdicts;

/* The store of an experiment. Texts are borrowed. */
typedef struct RgPaperStore {
    const char *experiment; /* its name; NULL: of any */
    const char *store;      /* path */
} RgPaperStore;

typedef enum RgPaperPart {
    RG_PAPER_ALL,    /* figures, claims and notes; of raw formats the figures only */
    RG_PAPER_CLAIMS, /* the claims alone */
} RgPaperPart;

/* Write the reported figures, and next to them those of the stores' experiments: the mean over seeds
 * at the last evaluation, or in the figure's steps, with its standard error, a dash if missing; the
 * exact values and the verdicts, where there are any. Then the claims, with both figures, their difference with its 95 %
 * interval, and a verdict. Then the reasons, of missing figures too, where a store is there; the
 * differences of the settings and the unknown facts. Of `options` only format, choice and out are
 * read. `verdicts` is counted up, unless it is NULL. RG_E_USAGE: the part is the claims, and there
 * are none. */
RgStatus rg_paper_table(const RgPaper *paper, const RgPaperStore *stores, int64_t store_count,
                        RgPaperPart part, const RgTableOptions *options, RgPaperVerdicts *verdicts,
                        RgError *error);

/* What stands below a table: sentences (NULL-terminated) under a heading. */
typedef void (*RgPaperNotes)(void *context, const char *heading, const char *const *sentences);

/* The same tables as data, for one open experiment: the figures, and the claims (no rows: there are
 * none). The caller frees both grids. The notes go to `write` with `context`. */
typedef struct RgPaperGrids {
    RgGrid figures, claims;
} RgPaperGrids;
RgPaperGrids rg_paper_grids(const RgPaper *paper, const RgResults *results, RgPaperNotes write,
                            void *context);

#endif
