/* SPDX-License-Identifier: MIT */
/* One evaluation of one policy: named metrics, named numbers per item (test prompt or context), and
 * sample responses. Environments fill it, and the results store saves it.
 *
 * Threads: one at a time per evaluation. */
#ifndef RG_CORE_RESULTS_EVALUATION_H
#define RG_CORE_RESULTS_EVALUATION_H

#include "core/base.h"

typedef struct RgEvaluation RgEvaluation;

RgEvaluation *rg_evaluation_create(void);
void rg_evaluation_destroy(RgEvaluation *evaluation);

void rg_evaluation_metric(RgEvaluation *evaluation, const char *name, double value);
/* A whole column of numbers per item: value [items]. All columns have the same length. */
void rg_evaluation_column(RgEvaluation *evaluation, const char *name, const double *value,
                          int64_t items);
/* The same, and its mean as a metric of the same name. */
void rg_evaluation_column_and_mean(RgEvaluation *evaluation, const char *name, const double *value,
                                   int64_t items);
void rg_evaluation_response(RgEvaluation *evaluation, int64_t item, const char *prompt,
                            const char *response);

int rg_evaluation_metric_count(const RgEvaluation *evaluation);
const char *rg_evaluation_metric_name(const RgEvaluation *evaluation, int index);
double rg_evaluation_metric_value(const RgEvaluation *evaluation, int index);
double rg_evaluation_find(const RgEvaluation *evaluation, const char *name); /* NaN if absent */
int rg_evaluation_column_count(const RgEvaluation *evaluation);
const char *rg_evaluation_column_name(const RgEvaluation *evaluation, int index);
const double *rg_evaluation_column_values(const RgEvaluation *evaluation, int index);
int64_t rg_evaluation_items(const RgEvaluation *evaluation);
int64_t rg_evaluation_response_count(const RgEvaluation *evaluation);
void rg_evaluation_response_at(const RgEvaluation *evaluation, int64_t index, int64_t *item,
                               const char **prompt, const char **response);

#endif
