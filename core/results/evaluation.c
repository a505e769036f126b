/* SPDX-License-Identifier: MIT */
/* Evaluations in memory: growing arrays of metrics, columns of numbers per item, and sample
 * responses. store.c saves them. */
#include "core/results/evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Metric {
    char *name;
    double value;
} Metric;

typedef struct Column {
    char *name;
    double *value; /* [items] */
} Column;

typedef struct Response {
    int64_t item;
    char *prompt, *response;
} Response;

struct RgEvaluation {
    Metric *metrics;
    Column *columns;
    Response *responses;
    int metric_count, column_count;
    int64_t items, response_count;
};

RgEvaluation *rg_evaluation_create(void) {
    return rg_allocate(1, sizeof(RgEvaluation));
}

void rg_evaluation_destroy(RgEvaluation *evaluation) {
    if (!evaluation)
        return;
    for (int i = 0; i < evaluation->metric_count; i++)
        free(evaluation->metrics[i].name);
    for (int i = 0; i < evaluation->column_count; i++) {
        free(evaluation->columns[i].name);
        free(evaluation->columns[i].value);
    }
    for (int64_t i = 0; i < evaluation->response_count; i++) {
        free(evaluation->responses[i].prompt);
        free(evaluation->responses[i].response);
    }
    free(evaluation->metrics);
    free(evaluation->columns);
    free(evaluation->responses);
    free(evaluation);
}

static Metric *find_metric(const RgEvaluation *evaluation, const char *name) {
    for (int i = 0; i < evaluation->metric_count; i++)
        if (strcmp(evaluation->metrics[i].name, name) == 0)
            return &evaluation->metrics[i];
    return NULL;
}

void rg_evaluation_metric(RgEvaluation *evaluation, const char *name, double value) {
    Metric *metric = find_metric(evaluation, name);
    if (metric) {
        metric->value = value;
        return;
    }
    evaluation->metrics = rg_reallocate(evaluation->metrics, (size_t)evaluation->metric_count + 1,
                                        sizeof *evaluation->metrics);
    evaluation->metrics[evaluation->metric_count++] = (Metric){rg_string_copy(name), value};
}

static Column *find_column(const RgEvaluation *evaluation, const char *name) {
    for (int i = 0; i < evaluation->column_count; i++)
        if (strcmp(evaluation->columns[i].name, name) == 0)
            return &evaluation->columns[i];
    return NULL;
}

void rg_evaluation_column(RgEvaluation *evaluation, const char *name, const double *value,
                          int64_t items) {
    RG_ASSERT(items >= 0);
    RG_ASSERT(evaluation->column_count == 0 || evaluation->items == items);
    evaluation->items = items;
    size_t bytes = sizeof *value * (size_t)items;
    Column *column = find_column(evaluation, name);
    if (!column) {
        evaluation->columns = rg_reallocate(
            evaluation->columns, (size_t)evaluation->column_count + 1, sizeof *evaluation->columns);
        column = &evaluation->columns[evaluation->column_count++];
        *column = (Column){rg_string_copy(name), rg_allocate(1, bytes)};
    }
    if (bytes)
        memcpy(column->value, value, bytes);
}

void rg_evaluation_column_and_mean(RgEvaluation *evaluation, const char *name, const double *value,
                                   int64_t items) {
    double sum = 0;
    for (int64_t i = 0; i < items; i++)
        sum += value[i];
    rg_evaluation_column(evaluation, name, value, items);
    rg_evaluation_metric(evaluation, name, items ? sum / (double)items : NAN);
}

void rg_evaluation_response(RgEvaluation *evaluation, int64_t item, const char *prompt,
                            const char *response) {
    evaluation->responses =
        rg_reallocate(evaluation->responses, (size_t)evaluation->response_count + 1,
                      sizeof *evaluation->responses);
    evaluation->responses[evaluation->response_count++] =
        (Response){item, rg_string_copy(prompt), rg_string_copy(response)};
}

int rg_evaluation_metric_count(const RgEvaluation *evaluation) {
    return evaluation->metric_count;
}

const char *rg_evaluation_metric_name(const RgEvaluation *evaluation, int index) {
    RG_ASSERT(index >= 0 && index < evaluation->metric_count);
    return evaluation->metrics[index].name;
}

double rg_evaluation_metric_value(const RgEvaluation *evaluation, int index) {
    RG_ASSERT(index >= 0 && index < evaluation->metric_count);
    return evaluation->metrics[index].value;
}

double rg_evaluation_find(const RgEvaluation *evaluation, const char *name) {
    const Metric *metric = find_metric(evaluation, name);
    return metric ? metric->value : NAN;
}

int rg_evaluation_column_count(const RgEvaluation *evaluation) {
    return evaluation->column_count;
}

const char *rg_evaluation_column_name(const RgEvaluation *evaluation, int index) {
    RG_ASSERT(index >= 0 && index < evaluation->column_count);
    return evaluation->columns[index].name;
}

const double *rg_evaluation_column_values(const RgEvaluation *evaluation, int index) {
    RG_ASSERT(index >= 0 && index < evaluation->column_count);
    return evaluation->columns[index].value;
}

int64_t rg_evaluation_items(const RgEvaluation *evaluation) {
    return evaluation->items;
}

int64_t rg_evaluation_response_count(const RgEvaluation *evaluation) {
    return evaluation->response_count;
}

void rg_evaluation_response_at(const RgEvaluation *evaluation, int64_t index, int64_t *item,
                               const char **prompt, const char **response) {
    RG_ASSERT(index >= 0 && index < evaluation->response_count);
    const Response *at = &evaluation->responses[index];
    *item = at->item;
    *prompt = at->prompt;
    *response = at->response;
}
