/* SPDX-License-Identifier: MIT */
/* What an experiment swept: the options, their values, and the cells that the values make: one for
 * each combination, with the methods that ran there. A cell is an experiment like any other to all
 * that computes from one. */
#ifndef RG_ANALYSIS_STORE_SWEPT_H
#define RG_ANALYSIS_STORE_SWEPT_H

#include "analysis/store/query.h"

/* "exploration" stands for "algorithms.0.exploration" if it is the only option with this ending;
 * NULL: none. */
const char *rg_swept_option(const RgResults *results, const char *name);

typedef struct RgSweptValue {
    const char *text;
    double number;
} RgSweptValue;

/* Distinct values of an option, sorted; the caller frees. Returns their number. */
int rg_swept_values(const RgResults *results, const char *option, RgSweptValue **values);

/* The name of a group, its label and swept values, except those of some options [count]. malloc'd. */
char *rg_swept_name(const RgGroup *group, const char *const *without, int count);

/* The options by which a command is asked to work cell by cell. All zero: it is not asked to. */
typedef struct RgBy {
    const char **lists; /* [count] each of one or more options, separated by commas */
    int count;
} RgBy;

typedef struct RgSweptCell {
    char *name;               /* "pair_count 100, beta 0.1"; "" if there is only one */
    const char **values;      /* [option_count] */
    const RgResults *results; /* of the cell: groups without these options in their names */
} RgSweptCell;

typedef struct RgSweptCells {
    const char **options; /* [option_count] in full, borrowed from the results */
    int option_count;
    RgSweptCell *at; /* by the values, in the order of the options */
    int count;
} RgSweptCells;

/* The cells of `by`; without options the whole experiment as one cell. A method without one of the
 * options is in every cell. The results must outlive the cells, and rg_results_status of them is that
 * of every cell. RG_E_USAGE: an option is not swept, or is repeated, or no method has all of them. */
RgStatus rg_swept_cells_create(const RgResults *results, const RgBy *by, RgSweptCells **cells,
                               RgError *error);
void rg_swept_cells_destroy(RgSweptCells *cells);

/* "pair_count,beta": what to ask --by for; NULL: nothing was swept. malloc'd. */
char *rg_swept_list(const RgResults *results);

#endif
