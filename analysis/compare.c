/* Is one method better than another? Pairs by seed and prompt, and the two-level bootstrap on what
 * each pair says. */
#include "analysis/compare.h"
#include "analysis/format.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_names[] = {"text", "json", NULL};

RgStatus rg_compare_format(const char *name, RgCompareFormat *format, RgError *error) {
    for (int i = 0; format_names[i]; i++)
        if (strcmp(format_names[i], name) == 0) {
            *format = (RgCompareFormat)i;
            return RG_OK;
        }
    return rg_unknown_name(error, "output format", name, format_names);
}

/* Trials of A and B with the same seed, finished both; at most min(a->count, b->count) pairs. */
static int pair_trials(const RgGroup *a, const RgGroup *b, const RgTrial **from_a,
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

/* What one pair of values says: 1, ½, 0, or the difference; NaN when either is missing. */
static double outcome(double a, double b, bool win) {
    if (isnan(a) || isnan(b))
        return NAN;
    return !win ? a - b : a > b ? 1 : a < b ? 0 : 0.5;
}

/* Turn the values of A into outcomes against B, both [seeds, items], and count them. */
static void judge_pairs(RgComparison *c, double *a, const double *b) {
    for (int64_t i = 0; i < c->seeds * c->items; i++) {
        if (!isnan(a[i]) && !isnan(b[i])) {
            c->wins += a[i] > b[i];
            c->ties += a[i] == b[i];
            c->losses += a[i] < b[i];
        }
        a[i] = outcome(a[i], b[i], c->win);
    }
}

/* The two may differ in items, as one of them may have answered fewer prompts: narrow to those that
 * both have, in place. */
static void narrow(double *values, int rows, int64_t from, int64_t to) {
    for (int row = 0; row < rows; row++)
        memmove(values + row * to, values + row * from, (size_t)to * sizeof *values);
}

static RgStatus compare_columns(const RgResults *results, const RgTrial **from_a,
                                const RgTrial **from_b, int64_t resamples, RgComparison *c,
                                RgError *error) {
    double *a, *b;
    int64_t items_a = rg_trials_items(results, from_a, c->seeds, c->metric, &a);
    int64_t items_b = rg_trials_items(results, from_b, c->seeds, c->metric, &b);
    c->items = items_a < items_b ? items_a : items_b;
    narrow(a, c->seeds, items_a, c->items);
    narrow(b, c->seeds, items_b, c->items);
    judge_pairs(c, a, b);
    RgBootstrapOptions bootstrap = {
        .resamples = resamples > 0 ? resamples : 10000,
        .confidence = 0.95,
        .null_value = c->null_value,
        .random = rg_random_named(rg_random_root(0), "analysis/compare"),
    };
    c->bootstrap = rg_bootstrap(a, c->seeds, c->items, &bootstrap);
    free(a);
    free(b);
    if (c->bootstrap.cells > 0)
        return RG_OK;
    return rg_fail(error, RG_E_USAGE,
                   "%s: \"%s\" and \"%s\" share no prompt with per-item metric \"%s\"",
                   results->path, c->a->name, c->b->name, c->metric);
}

RgStatus rg_comparison_make(const RgResults *results, const RgCompareOptions *options,
                            RgComparison *comparison, RgError *error) {
    bool win = !options->metric || strcmp(options->metric, "win") == 0;
    const char *metric = win ? (options->judge ? options->judge : "reward") : options->metric;
    RgComparison c = {.metric = metric, .win = win, .null_value = win ? 0.5 : 0};
    RG_TRY(rg_results_group(results, options->a, &c.a, error));
    RG_TRY(rg_results_group(results, options->b, &c.b, error));
    bool known = false;
    for (int i = 0; results->columns[i] && !known; i++)
        known = strcmp(results->columns[i], metric) == 0;
    if (!known)
        return rg_unknown_name(error, "per-item metric", metric, results->columns);
    const RgTrial **trials = rg_allocate((size_t)(2 * c.a->count * c.b->count) * sizeof *trials);
    const RgTrial **from_b = trials + c.a->count * c.b->count;
    c.seeds = pair_trials(c.a, c.b, trials, from_b);
    RgStatus status =
        c.seeds > 0
            ? compare_columns(results, trials, from_b, options->resamples, &c, error)
            : rg_fail(error, RG_E_USAGE, "%s: \"%s\" and \"%s\" have no finished seed in common",
                      results->path, c.a->name, c.b->name);
    free(trials);
    *comparison = c;
    return status;
}

/* Output. */

static void write_text(const RgComparison *c, int64_t resamples, FILE *out) {
    RgUnit unit = c->win ? RG_UNIT_PERCENT : RG_UNIT_PLAIN;
    const RgBootstrap *b = &c->bootstrap;
    char *estimate = rg_format_value(b->estimate, b->standard_error, unit);
    char *interval = rg_format_interval(b->interval, unit);
    if (c->win)
        fprintf(out, "P(%s beats %s) by %s, %%:  %s", c->a->name, c->b->name, c->metric, estimate);
    else
        fprintf(out, "%s of %s − %s:  %s", c->metric, c->a->name, c->b->name, estimate);
    if (interval)
        fprintf(out, "  95 %% interval %s", interval);
    if (!isnan(b->p_value))
        fprintf(out, "  p %s %.2g", b->p_value <= 2.0 / (double)(resamples + 1) ? "≤" : "=",
                b->p_value);
    fprintf(out,
            "\n%lld wins, %lld ties (half a win each), %lld losses over %d seed%s × %lld "
            "prompts\n",
            (long long)c->wins, (long long)c->ties, (long long)c->losses, c->seeds,
            c->seeds == 1 ? "" : "s", (long long)c->items);
    fprintf(out,
            "Interval and two-sided p against %s: paired bootstrap over seeds and prompts, %lld "
            "resamples.\n",
            c->win ? "50 %" : "0", (long long)resamples);
    if (c->seeds == 1)
        fputs("With one seed the interval speaks of other prompts only, not of other seeds.\n",
              out);
    free(estimate);
    free(interval);
}

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static void write_json(const RgComparison *c, int64_t resamples, FILE *out) {
    const RgBootstrap *b = &c->bootstrap;
    json_t *root = json_pack(
        "{ss ss ss ss so so s[oo] so sf si sI sI sI sI sI}", "a", c->a->name, "b", c->b->name,
        "metric", c->metric, "kind", c->win ? "win" : "difference", "estimate", number(b->estimate),
        "standard_error", number(b->standard_error), "interval_95", number(b->interval.low),
        number(b->interval.high), "p_value", number(b->p_value), "null_value", c->null_value,
        "seeds", c->seeds, "prompts", (json_int_t)c->items, "wins", (json_int_t)c->wins, "ties",
        (json_int_t)c->ties, "losses", (json_int_t)c->losses, "resamples", (json_int_t)resamples);
    RG_ASSERT(root);
    json_dumpf(root, out, JSON_INDENT(2));
    putc('\n', out);
    json_decref(root);
}

RgStatus rg_compare(const RgCompareOptions *options, RgError *error) {
    RgResults *results = NULL;
    RgComparison comparison = {0};
    RG_TRY(rg_results_open(options->store, options->experiment, &results, error));
    RgStatus status = rg_comparison_make(results, options, &comparison, error);
    if (status == RG_OK) {
        RG_ASSERT(comparison.a && comparison.b);
        int64_t resamples = options->resamples > 0 ? options->resamples : 10000;
        if (options->format == RG_COMPARE_JSON)
            write_json(&comparison, resamples, options->out);
        else
            write_text(&comparison, resamples, options->out);
        if (fflush(options->out) != 0 || ferror(options->out))
            status =
                rg_fail(error, RG_E_FILE, "cannot write the comparison: the output refused it");
    }
    rg_results_close(results);
    return status;
}
