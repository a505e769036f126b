/* SPDX-License-Identifier: MIT */
/* Reading a loaded trial: its values, curves, items and responses. A read that fails returns only what
 * it has, and rg_results_status reports the failure. */
#include "analysis/store/query_parts.h"

#include "core/results/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A query on a loaded trial. */
static RgRows *rows_of_trial(const RgResults *results, const RgTrial *trial, const char *table,
                             const char *query) {
    RgRows *rows = rg_rows_open(results->store, table, query);
    rg_rows_of_trial(rows, trial->id);
    return rows;
}

/* End a query. Returns whether all rows were valid. */
static bool close_rows(const RgResults *results, RgRows *rows) {
    RgReadFailure *failure = results->failure;
    RgError error;
    RgStatus status = rg_rows_close(rows, RG_OK, &error);
    if (status != RG_OK && failure->status == RG_OK)
        *failure = (RgReadFailure){.status = status, .error = error};
    return status == RG_OK;
}

static RgRows *measure_rows(const RgResults *results, const RgTrial *trial,
                            const RgMeasure *measure) {
    if (!measure->cost) {
        RgRows *rows = rows_of_trial(
            results, trial, "metrics",
            "SELECT step, value FROM metrics WHERE trial = ?1 AND name = ?2 ORDER BY step");
        rg_rows_bind_text(rows, 2, measure->stored);
        return rows;
    }
    /* The columns of the expression are read, too, so that they are checked. */
    char *query = rg_string_format("SELECT step, %s AS \"readings.cost\", flops, seconds,"
                                   " trained_tokens, generated_tokens, judge_queries,"
                                   " dataset_responses, hessian_products, peak_memory FROM %s"
                                   " WHERE trial = ?1 ORDER BY step",
                                   measure->stored, rg_rows_readings(results->store));
    RgRows *rows = rows_of_trial(results, trial, "readings", query);
    free(query);
    return rows;
}

double rg_trial_value(const RgResults *results, const RgTrial *trial, const RgMeasure *measure,
                      int64_t step) {
    double value = NAN;
    RgRows *rows = measure_rows(results, trial, measure);
    while (rg_rows_next(rows))
        if (rg_rows_integer(rows, 0) == step)
            value = rg_rows_number(rows, 1);
    return close_rows(results, rows) ? value : NAN;
}

int64_t rg_trial_result(const RgTrial *trial, const RgMeasure *measure) {
    return measure->cost ? trial->evaluated_step : trial->result_step;
}

int64_t rg_trial_curve(const RgResults *results, const RgTrial *trial, const RgMeasure *measure,
                       RgPoint **points) {
    int64_t count = 0, room = 0;
    *points = NULL;
    RgRows *rows = measure_rows(results, trial, measure);
    while (rg_rows_next(rows)) {
        if (count == room) {
            room = room ? 2 * room : 64;
            *points = rg_reallocate(*points, (size_t)room, sizeof **points);
        }
        (*points)[count++] = (RgPoint){rg_rows_integer(rows, 0), rg_rows_number(rows, 1)};
    }
    close_rows(results, rows);
    return count;
}

bool rg_trial_has_own_items(const RgTrial *trial) {
    RgFields config = rg_fields_parse(trial->config);
    const RgField *type = rg_fields_find(&config, "environment.type");
    const RgField *seed = rg_fields_find(&config, "environment.seed");
    bool own = type && seed && seed->number < 0 && strcmp(type->text, "text") != 0;
    rg_fields_free(&config);
    return own;
}

const char *rg_results_sources(const RgResults *results) {
    for (int i = 0; i < results->trial_count && results->columns[0]; i++)
        if (!rg_trial_has_own_items(&results->trials[i]))
            return "seeds and prompts";
    return "seeds";
}

int64_t rg_trial_items(const RgResults *results, const RgTrial *trial, const char *column,
                       double **values) {
    return rg_trial_items_at(results, trial, column, trial->result_step, values);
}

int64_t rg_trial_items_at(const RgResults *results, const RgTrial *trial, const char *column,
                          int64_t step, double **values) {
    int64_t count = 0;
    *values = NULL;
    RgRows *rows = rows_of_trial(
        results, trial, "evaluations",
        "SELECT item, value FROM evaluations WHERE trial = ?1 AND step = ?2 AND name = ?3"
        " ORDER BY item DESC"); /* the largest first: a single allocation */
    rg_rows_bind_integer(rows, 2, step);
    rg_rows_bind_text(rows, 3, column);
    while (rg_rows_next(rows)) {
        int64_t item = rg_rows_integer(rows, 0);
        if (!*values) {
            count = item + 1;
            *values = rg_reallocate(NULL, (size_t)count, sizeof **values);
            for (int64_t i = 0; i < count; i++)
                (*values)[i] = NAN;
        }
        if (item >= count) {
            rg_rows_refuse(rows, "evaluations.item is not in order: the file is damaged");
            break;
        }
        (*values)[item] = rg_rows_number(rows, 1);
    }
    close_rows(results, rows);
    return count;
}

int64_t rg_trials_items(const RgResults *results, const RgTrial **trials, int count,
                        const char *column, double **values) {
    double **rows = rg_allocate(count, sizeof *rows);
    int64_t *lengths = rg_allocate(count, sizeof *lengths);
    int64_t items = 0;
    for (int i = 0; i < count; i++) {
        lengths[i] = rg_trial_items(results, trials[i], column, &rows[i]);
        items = lengths[i] > items ? lengths[i] : items;
    }
    *values = rg_allocate((size_t)count * (size_t)items, sizeof **values);
    for (int i = 0; i < count; i++) {
        for (int64_t j = 0; j < items; j++)
            (*values)[i * items + j] = j < lengths[i] ? rows[i][j] : NAN;
        free(rows[i]);
    }
    free(lengths);
    free(rows);
    return items;
}

int64_t rg_trial_responses(const RgResults *results, const RgTrial *trial, RgResponse **responses) {
    int64_t count = 0;
    *responses = NULL;
    RgRows *rows = rows_of_trial(results, trial, "responses",
                                 "SELECT item, prompt, response FROM responses WHERE trial = ?1 AND"
                                 " step = ?2 ORDER BY item");
    rg_rows_bind_integer(rows, 2, trial->result_step);
    while (rg_rows_next(rows)) {
        *responses = rg_reallocate(*responses, (size_t)count + 1, sizeof **responses);
        (*responses)[count++] = (RgResponse){rg_rows_integer(rows, 0), rg_rows_text_copy(rows, 1),
                                             rg_rows_text_copy(rows, 2)};
    }
    close_rows(results, rows);
    return count;
}

void rg_responses_free(RgResponse *responses, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        free(responses[i].prompt);
        free(responses[i].response);
    }
    free(responses);
}
