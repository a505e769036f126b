/* SPDX-License-Identifier: MIT */
/* Comparing trials: a trial's record is read as one sorted list of (name, step, item, value), and
 * two lists are traversed in parallel. */
#include "core/results/trial_compare.h"

#include "core/results/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define READING(column) "SELECT '" #column "', step, 0, " #column " FROM readings WHERE trial = ?1"
#define AND             " UNION ALL "

/* Costs that stores of the first version do not have are omitted. A response is compared together
 * with its prompt. */
static const char rows_text[] =
    "SELECT name AS \"any.text\", step AS \"any.integer\", 0 AS \"any.integer\", value AS"
    " \"any.value\" FROM metrics WHERE trial = ?1" AND /**/
    READING(flops)
AND READING(trained_tokens)
AND READING(generated_tokens) AND /**/
    READING(judge_queries)
AND READING(hessian_products) AND /**/
    "SELECT 'items ' || name, step, item, value FROM evaluations WHERE trial = ?1" AND
    "SELECT 'responses', step, item, prompt || char(31) || response FROM responses"
    "  WHERE trial = ?1" AND "SELECT 'outcome', 0, 0, status || ifnull(': ' || reason, '')"
    "  FROM trials WHERE id = ?1" AND "SELECT 'selected step', 0, 0, selected"
    "  FROM %s WHERE id = ?1 AND selected IS NOT NULL ORDER BY 1, 2, 3";

typedef struct Rows {
    RgRows *rows;
    bool more; /* whether there is a current row */
} Rows;

static void rows_next(Rows *rows) {
    rows->more = rg_rows_next(rows->rows);
}

static Rows rows_open(RgStore *store, int64_t trial) {
    char *query = rg_string_format(rows_text, rg_rows_trials(store));
    Rows rows = {.rows = rg_rows_open(store, "any", query)};
    free(query);
    rg_rows_of_trial(rows.rows, trial);
    rows_next(&rows);
    return rows;
}

static const char *row_name(const Rows *rows) {
    return rg_rows_text(rows->rows, 0);
}

/* Order of the two current rows in the common list. */
static int order(const Rows *a, const Rows *b) {
    if (!a->more || !b->more)
        return a->more ? -1 : 1;
    int names = strcmp(row_name(a), row_name(b));
    for (int column = 1; column <= 2 && names == 0; column++) {
        int64_t left = rg_rows_integer(a->rows, column), right = rg_rows_integer(b->rows, column);
        names = (left > right) - (left < right);
    }
    return names;
}

/* a − b|; 0 for the same bits. An integer equals the real of the same value. */
static double difference(const Rows *a, const Rows *b) {
    RgValueType left = rg_rows_type(a->rows, 3), right = rg_rows_type(b->rows, 3);
    if (left == RG_VALUE_NULL || right == RG_VALUE_NULL)
        return left == right ? 0 : INFINITY;
    if (left == RG_VALUE_TEXT || right == RG_VALUE_TEXT)
        return left == right && strcmp(rg_rows_text(a->rows, 3), rg_rows_text(b->rows, 3)) == 0
                   ? 0
                   : INFINITY;
    double x = rg_rows_number(a->rows, 3), y = rg_rows_number(b->rows, 3);
    if (x == y)
        return 0;
    return isfinite(x) && isfinite(y) ? fabs(x - y) : INFINITY;
}

/* Magnitude of the current number; 0 if there is none. */
static double magnitude(const Rows *rows) {
    RgValueType type = rg_rows_type(rows->rows, 3);
    if (type != RG_VALUE_REAL && type != RG_VALUE_INTEGER)
        return 0;
    double value = fabs(rg_rows_number(rows->rows, 3));
    return isfinite(value) ? value : 0;
}

static RgMeasureDifference *measure(RgTrialComparison *comparison, const char *name) {
    int count = comparison->count;
    if (count > 0 && strcmp(comparison->measures[count - 1].name, name) == 0)
        return &comparison->measures[count - 1];
    comparison->measures =
        rg_reallocate(comparison->measures, (size_t)count + 1, sizeof *comparison->measures);
    comparison->measures[count] = (RgMeasureDifference){rg_string_copy(name), .step = -1};
    comparison->count++;
    return &comparison->measures[count];
}

/* Completes the last of `count` measures. The difference of a bf16 sampler from fp32 is itself a
 * difference of log-probabilities, which a small change may change completely. So it is compared in
 * nats, not relatively. */
static void end_measure(RgTrialComparison *comparison, int count, double scale) {
    static const char difference[] = "eval/sampler_";
    if (count > 0 &&
        strncmp(comparison->measures[count - 1].name, difference, strlen(difference)) == 0)
        scale = fmax(scale, 1);
    if (count > 0 && comparison->measures[count - 1].differing > 0)
        comparison->measures[count - 1].largest /= scale > 0 ? scale : 1;
}

/* Counts the current rows and moves on. `scale` belongs to the current measure: its differences
 * become relative after all its rows. */
static void take_rows(Rows *a, Rows *b, RgTrialComparison *comparison, double *scale) {
    int sign = order(a, b), before = comparison->count;
    const Rows *first = sign <= 0 ? a : b;
    RgMeasureDifference *q = measure(comparison, row_name(first));
    if (comparison->count > before) {
        end_measure(comparison, before, *scale);
        *scale = 0;
    }
    *scale = fmax(*scale, magnitude(first));
    if (sign == 0)
        *scale = fmax(*scale, magnitude(b));
    int64_t step = rg_rows_integer(first->rows, 1);
    double apart = sign == 0 ? difference(a, b) : 0;
    q->rows++;
    if (sign != 0 && q->missing++ == 0)
        q->step = step;
    q->differing += apart > 0;
    if (apart > q->largest) {
        q->largest = apart;
        q->step = q->missing > 0 ? q->step : step;
    }
    if (sign <= 0)
        rows_next(a);
    if (sign >= 0)
        rows_next(b);
}

static bool is_worse(const RgMeasureDifference *q, const RgMeasureDifference *than) {
    if (!q->missing && !q->differing)
        return false;
    if (!than || (q->missing > 0) != (than->missing > 0))
        return !than || q->missing > 0;
    return q->largest > than->largest;
}

RgStatus rg_trial_compare(RgStore *a, int64_t a_trial, RgStore *b, int64_t b_trial,
                          RgTrialComparison *comparison, RgError *error) {
    Rows left = rows_open(a, a_trial), right = rows_open(b, b_trial);
    *comparison = (RgTrialComparison){0};
    double scale = 0;
    while (left.more || right.more)
        take_rows(&left, &right, comparison, &scale);
    end_measure(comparison, comparison->count, scale);
    RgStatus status = rg_rows_close(left.rows, RG_OK, error);
    status = rg_rows_close(right.rows, status, error);
    if (status != RG_OK)
        rg_trial_comparison_clear(comparison);
    for (int i = 0; i < comparison->count; i++)
        if (is_worse(&comparison->measures[i], comparison->worst))
            comparison->worst = &comparison->measures[i];
    return status;
}

void rg_trial_comparison_clear(RgTrialComparison *comparison) {
    for (int i = 0; i < comparison->count; i++)
        free(comparison->measures[i].name);
    free(comparison->measures);
    *comparison = (RgTrialComparison){0};
}
