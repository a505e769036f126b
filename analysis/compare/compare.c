/* SPDX-License-Identifier: MIT */
/* Comparing two methods: values paired by seed and prompt, and the mean of their differences.
 * compare_write.c writes the result. */
#include "analysis/compare/compare.h"
#include "analysis/statistics/robust.h"
#include "core/suggest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- pairing ---- */

int rg_pair_trials(const RgGroup *a, const RgGroup *b, const RgTrial **from_a,
                   const RgTrial **from_b) {
    int count = 0;
    for (int i = 0; i < a->count; i++)
        for (int j = 0; j < b->count; j++)
            if (a->trials[i]->seed == b->trials[j]->seed &&
                a->trials[i]->status == RG_TRIAL_FINISHED &&
                b->trials[j]->status == RG_TRIAL_FINISHED) {
                from_a[count] = a->trials[i];
                from_b[count++] = b->trials[j];
            }
    return count;
}

/* The two may differ in items, because one of them may have fewer prompts: narrow to the common
 * ones, in place. */
static void narrow(double *values, int rows, int64_t from, int64_t to) {
    for (int row = 0; row < rows; row++)
        memmove(values + row * to, values + row * from, (size_t)to * sizeof *values);
}

RgPairing rg_pairing_make(const RgResults *results, const RgGroup *a, const RgGroup *b,
                          const char *metric) {
    RgPairing p = {0};
    const RgTrial **trials = rg_allocate(2 * a->count * b->count, sizeof *trials);
    const RgTrial **from_b = trials + a->count * b->count;
    p.seeds = rg_pair_trials(a, b, trials, from_b);
    p.seed = rg_allocate(p.seeds, sizeof *p.seed);
    for (int i = 0; i < p.seeds; i++)
        p.seed[i] = trials[i]->seed;
    p.own_items = p.seeds > 0 && rg_trial_has_own_items(trials[0]);
    int64_t items_a = rg_trials_items(results, trials, p.seeds, metric, &p.a);
    int64_t items_b = rg_trials_items(results, from_b, p.seeds, metric, &p.b);
    p.items = items_a < items_b ? items_a : items_b;
    narrow(p.a, p.seeds, items_a, p.items);
    narrow(p.b, p.seeds, items_b, p.items);
    free(trials);
    return p;
}

void rg_pairing_free(RgPairing *pairing) {
    free(pairing->seed);
    free(pairing->a);
    free(pairing->b);
    *pairing = (RgPairing){0};
}

/* ---- one comparison ---- */

double rg_outcome(double a, double b) {
    return isnan(a) || isnan(b) ? NAN : a > b ? 1 : a < b ? 0 : 0.5;
}

/* Probability of improvement over seeds, from their means over the common prompts. */
static RgEstimate improve(const RgPairing *p) {
    double *means = rg_allocate(2 * (size_t)p->seeds, sizeof *means);
    double *of_b = means + p->seeds;
    for (int s = 0; s < p->seeds; s++) {
        double sum_a = 0, sum_b = 0;
        int64_t count = 0;
        for (int64_t i = s * p->items; i < (s + 1) * p->items; i++)
            if (!isnan(p->a[i]) && !isnan(p->b[i])) {
                sum_a += p->a[i];
                sum_b += p->b[i];
                count++;
            }
        means[s] = count ? sum_a / (double)count : NAN;
        of_b[s] = count ? sum_b / (double)count : NAN;
    }
    RgEstimate improvement = rg_estimate_improvement(means, p->seeds, of_b, p->seeds);
    free(means);
    return improvement;
}

/* Convert the values of A into outcomes against B, or differences, and count wins. */
static void judge_pairs(RgComparison *c, RgPairing *p) {
    for (int64_t i = 0; i < p->seeds * p->items; i++) {
        double outcome = rg_outcome(p->a[i], p->b[i]);
        c->wins += outcome == 1;
        c->ties += outcome == 0.5;
        c->losses += outcome == 0;
        p->a[i] = c->win ? outcome : p->a[i] - p->b[i];
    }
}

bool rg_comparison_of_groups(const RgResults *results, const RgGroup *a, const RgGroup *b,
                             const char *metric, bool win, RgComparison *comparison) {
    RgPairing pairing = rg_pairing_make(results, a, b, metric);
    RgComparison c = {.a = a,
                      .b = b,
                      .metric = metric,
                      .win = win,
                      .null_value = win ? 0.5 : 0,
                      .seeds = pairing.seeds,
                      .items = pairing.items,
                      .own_items = pairing.own_items,
                      .adjusted_p = NAN};
    c.improvement = improve(&pairing);
    judge_pairs(&c, &pairing);
    c.estimate = (win ? rg_estimate_rate : rg_estimate_mean)(pairing.a, c.seeds, c.items,
                                                             pairing.own_items, c.null_value);
    rg_pairing_free(&pairing);
    *comparison = c;
    return c.estimate.cells > 0;
}

RgStatus rg_results_item_metric(const RgResults *results, const char *name, RgError *error) {
    for (int i = 0; results->columns[i]; i++)
        if (strcmp(results->columns[i], name) == 0)
            return RG_OK;
    RgMeasure measure;
    if (!rg_results_has(results, name, &measure) || !results->columns[0])
        return rg_unknown_name(error, "per-item metric", name, results->columns);
    const char **names = rg_names_by_likeness(name, results->columns);
    char *list = rg_list_names(names);
    RgStatus status =
        rg_fail(error, RG_E_USAGE,
                "\"%s\" is recorded for a policy as a whole, not prompt by prompt, so "
                "that nothing can be paired: expected one of %s; regatta table has "
                "its means over seeds",
                name, list);
    free(list);
    free(names);
    return status;
}

/* The requested per-item metric. */
static RgStatus choose_metric(const RgResults *results, const RgCompareOptions *options, bool *win,
                              const char **metric, RgError *error) {
    *win = !options->metric || strcmp(options->metric, "win") == 0;
    *metric = !*win ? options->metric : options->judge ? options->judge : "reward";
    return rg_results_item_metric(results, *metric, error);
}

/* The group; a label that was swept is refused with the suggestion to compare by cells. */
static RgStatus find_group(const RgResults *results, const char *name, const RgGroup **group,
                           RgError *error) {
    RgError reason = {0};
    int settings = 0;
    RgStatus status = rg_results_group(results, name, group, &reason);
    for (int i = 0; i < results->group_count; i++)
        settings += strcmp(results->groups[i].label, name) == 0;
    if (status == RG_OK)
        return RG_OK;
    char *list = settings > 1 ? rg_swept_list(results) : NULL;
    rg_fail(error, status, "%s%s%s%s", reason.text, list ? "; --by " : "", list ? list : "",
            list ? " compares within each cell" : "");
    free(list);
    return status;
}

RgStatus rg_comparison_make(const RgResults *results, const RgCompareOptions *options,
                            RgComparison *comparison, RgError *error) {
    const RgGroup *a, *b;
    const char *metric;
    bool win;
    RG_TRY(find_group(results, options->a, &a, error));
    RG_TRY(find_group(results, options->b, &b, error));
    if (a == b)
        return rg_fail(error, RG_E_USAGE,
                       "\"%s\" cannot be compared with itself: expected the labels of two methods",
                       a->name);
    RG_TRY(choose_metric(results, options, &win, &metric, error));
    if (rg_comparison_of_groups(results, a, b, metric, win, comparison))
        return RG_OK;
    if (comparison->seeds == 0)
        return rg_fail(error, RG_E_USAGE, "%s: \"%s\" and \"%s\" have no finished seed in common",
                       results->path, a->name, b->name);
    return rg_fail(error, RG_E_USAGE,
                   "%s: \"%s\" and \"%s\" share no prompt with per-item metric \"%s\"",
                   results->path, a->name, b->name, metric);
}

/* ---- a family ---- */

static void add_pair(const RgResults *results, const RgGroup *a, const RgGroup *b,
                     const char *metric, bool win, RgFamily *family) {
    RgComparison *c = &family->comparisons[family->count];
    if (rg_comparison_of_groups(results, a, b, metric, win, c))
        family->count++;
    else
        rg_notes_add(&family->notes,
                     rg_string_format("Left out: %s and %s, which share no finished seed and "
                                      "prompt with \"%s\".",
                                      a->name, b->name, metric));
}

/* A note from the comparison with the fewest seeds. */
static void note_seeds(RgFamily *family) {
    int64_t least = RG_SEEDS_TO_COMPARE;
    for (int i = 0; i < family->count; i++)
        least = family->comparisons[i].seeds < least ? family->comparisons[i].seeds : least;
    rg_notes_add(&family->notes, rg_few_seeds(least));
}

void rg_families_adjust(RgFamily *families, int count) {
    int64_t tests = 0, test = 0;
    for (int i = 0; i < count; i++)
        tests += families[i].count;
    double *p = rg_allocate(2 * tests, sizeof *p);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < families[i].count; k++)
            p[test++] = families[i].comparisons[k].estimate.p_value;
    rg_holm(p, tests, p + tests);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < families[i].count; k++)
            families[i].comparisons[k].adjusted_p = p[test++];
    free(p);
}

RgStatus rg_family_make(const RgResults *results, const RgCompareOptions *options, RgFamily *family,
                        RgError *error) {
    const RgGroup *groups = results->groups, *against = NULL;
    const char *metric;
    bool win;
    int count = results->group_count;
    if (options->against)
        RG_TRY(find_group(results, options->against, &against, error));
    RG_TRY(choose_metric(results, options, &win, &metric, error));
    *family = (RgFamily){0};
    family->comparisons = rg_allocate(count * count, sizeof *family->comparisons);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            if (against ? &groups[j] == against && i != j : i < j)
                add_pair(results, &groups[i], &groups[j], metric, win, family);
    rg_families_adjust(family, 1);
    note_seeds(family);
    rg_notes_add(&family->notes, rg_results_left_out(results));
    if (family->count > 0)
        return RG_OK;
    rg_family_free(family);
    return rg_fail(error, RG_E_USAGE,
                   "%s: no two methods share a finished seed and prompt with per-item metric "
                   "\"%s\": there is nothing to compare",
                   results->path, metric);
}

void rg_family_free(RgFamily *family) {
    rg_notes_free(&family->notes);
    free(family->comparisons);
    *family = (RgFamily){0};
}

/* ---- by cell ---- */

typedef struct Making {
    const RgCompareOptions *options;
    RgFamily *families; /* [cells] */
} Making;

/* RgCellMake */
static RgStatus make_family(void *context, const RgResults *results, int cell, RgError *error) {
    const Making *making = context;
    const RgCompareOptions *options = making->options;
    RgFamily *family = &making->families[cell];
    if (!options->a)
        return rg_family_make(results, options, family, error);
    RgComparison comparison;
    RG_TRY(rg_comparison_make(results, options, &comparison, error));
    family->comparisons = rg_allocate(1, sizeof comparison);
    family->comparisons[family->count++] = comparison;
    note_seeds(family);
    rg_notes_add(&family->notes, rg_results_left_out(results));
    return RG_OK;
}

/* One family for each cell, adjusted together. */
static RgStatus compare_cells(const RgResults *results, const RgSweptCells *cells,
                              const RgCompareOptions *options, RgError *error) {
    RgFamily *families = rg_allocate(cells->count, sizeof *families);
    RgNotes *failed = rg_allocate(cells->count, sizeof *failed);
    Making making = {options, families};
    RgStatus status = rg_make_cells(cells, make_family, &making, failed, error);
    status = rg_results_status(results, status, error);
    for (int i = 0; i < cells->count; i++) {
        if (status == RG_OK && failed[i].count == 0)
            rg_notes_add(&families[i].notes, rg_by_suggestion(results, &options->by));
        else if (status == RG_OK)
            rg_notes_add(&families[i].notes, rg_string_copy(failed[i].at[0]));
        rg_notes_free(&failed[i]);
    }
    free(failed);
    if (status == RG_OK) {
        rg_families_adjust(families, cells->count);
        rg_families_write(cells, families, options);
    }
    for (int i = 0; i < cells->count; i++)
        rg_family_free(&families[i]);
    free(families);
    return status;
}

/* ---- the command ---- */

static RgStatus compare_two(const RgResults *results, const RgCompareOptions *options,
                            RgError *error) {
    RgComparison comparison;
    RgStatus status = rg_comparison_make(results, options, &comparison, error);
    status = rg_results_status(results, status, error);
    if (status == RG_OK)
        rg_comparison_write(results, &comparison, options);
    return status;
}

RgStatus rg_compare(const RgCompareOptions *options, RgError *error) {
    RgResults *results = NULL;
    RgSweptCells *cells = NULL;
    RG_TRY(rg_results_open(options->store, &options->choice, &results, error));
    RgStatus status = rg_swept_cells_create(results, &options->by, &cells, error);
    if (status == RG_OK)
        status = options->a && options->by.count == 0
                     ? compare_two(results, options, error)
                     : compare_cells(results, cells, options, error);
    if (status == RG_OK && (fflush(options->out) != 0 || ferror(options->out)))
        status = rg_fail(error, RG_E_FILE, "cannot write the comparison: the output failed");
    rg_swept_cells_destroy(cells);
    rg_results_close(results);
    return status;
}
