/* Is one method better than another? A paired test over the prompts and seeds that both answered.
 * `rg_compare` is the whole command. */
#ifndef RG_ANALYSIS_COMPARE_H
#define RG_ANALYSIS_COMPARE_H

#include "analysis/query.h"
#include "analysis/statistics.h"

#include <stdio.h>

typedef enum RgCompareFormat {
    RG_COMPARE_TEXT,
    RG_COMPARE_JSON,
} RgCompareFormat;

typedef struct RgCompareOptions {
    const char *store;      /* path */
    const char *experiment; /* NULL: the one worked on last */
    const char *a, *b;      /* labels, with swept values where those tell rows apart */
    const char *metric;     /* "win" or NULL: P(A's response beats B's); else the name of a per-item
                               metric, whose difference A − B is estimated */
    const char *judge;      /* per-item metric that decides a win; NULL: "reward" */
    int64_t resamples;      /* 0: 10,000 */
    RgCompareFormat format;
    FILE *out;
} RgCompareOptions;

RgStatus rg_compare(const RgCompareOptions *options, RgError *error);
RgStatus rg_compare_format(const char *name, RgCompareFormat *format, RgError *error);

/* The comparison as data. */
typedef struct RgComparison {
    const RgGroup *a, *b;
    const char *metric;         /* per-item metric compared */
    bool win;                   /* a win rate (1, ½ on a tie, 0); else a difference */
    double null_value;          /* of no difference: ½ or 0 */
    int seeds;                  /* that both finished */
    int64_t items;              /* prompts */
    int64_t wins, ties, losses; /* of A, over seeds and prompts; filled for differences too */
    RgBootstrap bootstrap;
} RgComparison;

RgStatus rg_comparison_make(const RgResults *results, const RgCompareOptions *options,
                            RgComparison *comparison, RgError *error);

#endif
