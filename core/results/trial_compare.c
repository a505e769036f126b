/* Comparing trials: everything that a trial's record holds is read as one sorted list of (name,
 * step, item, value), and the two lists are walked side by side. */
#include "core/results/trial_compare.h"

#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define READING(column) "SELECT '" #column "', step, 0, " #column " FROM readings WHERE trial = ?1"

/* Costs that a store of the first version does not have are left out. */
static const char rows_text[] =
    "SELECT name, step, 0, value FROM metrics WHERE trial = ?1"
    " UNION ALL " READING(flops) " UNION ALL " READING(trained_tokens) " UNION ALL " READING(generated_tokens) " UNION ALL " READING(
        judge_queries) " UNION ALL " READING(hessian_products) " UNION ALL SELECT 'items ' || "
                                                               "name, step, item, value FROM "
                                                               "evaluations WHERE trial = ?1"
                                                               " UNION ALL SELECT 'responses', "
                                                               "step, item, prompt || char(0) || "
                                                               "response FROM responses"
                                                               "  WHERE trial = ?1"
                                                               " UNION ALL SELECT 'outcome', 0, 0, "
                                                               "status || ifnull(': ' || reason, "
                                                               "'') FROM trials"
                                                               "  WHERE id = ?1 ORDER BY 1, 2, 3";

typedef struct Rows {
    RgStore *store;
    sqlite3_stmt *statement;
    bool more; /* is there a row in hand? */
} Rows;

static RgStatus rows_refused(const Rows *rows, RgError *error) {
    return rg_fail(error, RG_E_STORE, "%s: cannot read the trial: %s", rg_store_path(rows->store),
                   sqlite3_errmsg(rg_store_database(rows->store)));
}

static RgStatus rows_next(Rows *rows, RgError *error) {
    int code = sqlite3_step(rows->statement);
    rows->more = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? RG_OK : rows_refused(rows, error);
}

static RgStatus rows_open(Rows *rows, int64_t trial, RgError *error) {
    if (sqlite3_prepare_v2(rg_store_database(rows->store), rows_text, -1, &rows->statement, NULL) !=
        SQLITE_OK)
        return rows_refused(rows, error);
    sqlite3_bind_int64(rows->statement, 1, trial);
    return rows_next(rows, error);
}

static const char *row_name(const Rows *rows) {
    const char *name = (const char *)sqlite3_column_text(rows->statement, 0);
    return name ? name : "";
}

/* Where the rows in hand stand to each other in the order of both lists. */
static int order(const Rows *a, const Rows *b) {
    if (!a->more || !b->more)
        return a->more ? -1 : 1;
    int names = strcmp(row_name(a), row_name(b));
    for (int column = 1; column <= 2 && names == 0; column++) {
        int64_t left = sqlite3_column_int64(a->statement, column);
        int64_t right = sqlite3_column_int64(b->statement, column);
        names = (left > right) - (left < right);
    }
    return names;
}

/* |a − b|; 0 for the same bits; an integer and the real of the same value are the same. */
static double difference(const Rows *a, const Rows *b) {
    sqlite3_stmt *left = a->statement, *right = b->statement;
    int left_type = sqlite3_column_type(left, 3), right_type = sqlite3_column_type(right, 3);
    if (left_type == SQLITE_NULL || right_type == SQLITE_NULL)
        return left_type == right_type ? 0 : INFINITY;
    if (left_type == SQLITE_TEXT || right_type == SQLITE_TEXT) {
        const void *left_text = sqlite3_column_blob(left, 3);
        const void *right_text = sqlite3_column_blob(right, 3);
        int size = sqlite3_column_bytes(left, 3);
        bool same = left_type == right_type && size == sqlite3_column_bytes(right, 3) &&
                    (size == 0 || memcmp(left_text, right_text, (size_t)size) == 0);
        return same ? 0 : INFINITY;
    }
    double x = sqlite3_column_double(left, 3), y = sqlite3_column_double(right, 3);
    if (x == y)
        return 0;
    return isfinite(x) && isfinite(y) ? fabs(x - y) : INFINITY;
}

/* The magnitude of the number in hand; 0 where there is none. */
static double magnitude(const Rows *rows) {
    int type = sqlite3_column_type(rows->statement, 3);
    if (type != SQLITE_FLOAT && type != SQLITE_INTEGER)
        return 0;
    double value = fabs(sqlite3_column_double(rows->statement, 3));
    return isfinite(value) ? value : 0;
}

static RgQuantityDifference *quantity(RgTrialComparison *comparison, const char *name) {
    int count = comparison->count;
    if (count > 0 && strcmp(comparison->quantities[count - 1].name, name) == 0)
        return &comparison->quantities[count - 1];
    comparison->quantities =
        rg_reallocate(comparison->quantities, (size_t)count + 1, sizeof *comparison->quantities);
    comparison->quantities[count] = (RgQuantityDifference){rg_string_copy(name), .step = -1};
    comparison->count++;
    return &comparison->quantities[count];
}

/* The last of so many quantities is complete. How far a sampler in bf16 is from fp32 is itself a
 * difference, of log-probabilities, which a small change may change wholly: it is held in nats. */
static void end_quantity(RgTrialComparison *comparison, int count, double scale) {
    static const char difference[] = "eval/sampler_";
    if (count > 0 &&
        strncmp(comparison->quantities[count - 1].name, difference, strlen(difference)) == 0)
        scale = fmax(scale, 1);
    if (count > 0 && comparison->quantities[count - 1].differing > 0)
        comparison->quantities[count - 1].largest /= scale > 0 ? scale : 1;
}

/* Count what stands in hand, and step over it. `scale` is of the quantity in hand: its differences
 * become relative when all its rows have been seen. */
static RgStatus take_rows(Rows *a, Rows *b, RgTrialComparison *comparison, double *scale,
                          RgError *error) {
    int sign = order(a, b), before = comparison->count;
    const Rows *first = sign <= 0 ? a : b;
    RgQuantityDifference *q = quantity(comparison, row_name(first));
    if (comparison->count > before) {
        end_quantity(comparison, before, *scale);
        *scale = 0;
    }
    *scale = fmax(*scale, magnitude(first));
    if (sign == 0)
        *scale = fmax(*scale, magnitude(b));
    int64_t step = sqlite3_column_int64(first->statement, 1);
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
        RG_TRY(rows_next(a, error));
    return sign >= 0 ? rows_next(b, error) : RG_OK;
}

static bool is_worse(const RgQuantityDifference *q, const RgQuantityDifference *than) {
    if (!q->missing && !q->differing)
        return false;
    if (!than || (q->missing > 0) != (than->missing > 0))
        return !than || q->missing > 0;
    return q->largest > than->largest;
}

RgStatus rg_trial_compare(RgStore *a, int64_t a_trial, RgStore *b, int64_t b_trial,
                          RgTrialComparison *comparison, RgError *error) {
    Rows left = {.store = a}, right = {.store = b};
    *comparison = (RgTrialComparison){0};
    RgStatus status = rows_open(&left, a_trial, error);
    if (status == RG_OK)
        status = rows_open(&right, b_trial, error);
    double scale = 0;
    while (status == RG_OK && (left.more || right.more))
        status = take_rows(&left, &right, comparison, &scale, error);
    end_quantity(comparison, comparison->count, scale);
    sqlite3_finalize(left.statement);
    sqlite3_finalize(right.statement);
    if (status != RG_OK)
        rg_trial_comparison_clear(comparison);
    for (int i = 0; i < comparison->count; i++)
        if (is_worse(&comparison->quantities[i], comparison->worst))
            comparison->worst = &comparison->quantities[i];
    return status;
}

void rg_trial_comparison_clear(RgTrialComparison *comparison) {
    for (int i = 0; i < comparison->count; i++)
        free(comparison->quantities[i].name);
    free(comparison->quantities);
    *comparison = (RgTrialComparison){0};
}
