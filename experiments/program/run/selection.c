/* SPDX-License-Identifier: MIT */
/* The best evaluation so far, and how many came after it. */
#include "experiments/program/run/selection.h"

#include "core/suggest.h"
#include "core/tensor/parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct RgSelection {
    const RgEvaluationOptions *options;
    const RgParameters *trained;
    RgParameters *best; /* a frozen clone: of step `step`, where there is one */
    double value;       /* of the metric at that step */
    int64_t step;       /* −1: none was selected yet */
    int64_t since;      /* evaluations that came after it, or after none */
};

RgSelection *rg_selection_create(const RgEvaluationOptions *options,
                                 const RgParameters *parameters) {
    if (!options->select[0])
        return NULL;
    RgSelection *selection = rg_allocate(1, sizeof *selection);
    *selection = (RgSelection){.options = options,
                               .trained = parameters,
                               .best = rg_parameters_clone(parameters, true),
                               .step = -1};
    return selection;
}

void rg_selection_destroy(RgSelection *selection) {
    if (!selection)
        return;
    rg_parameters_destroy(selection->best);
    free(selection);
}

void rg_selection_checkpoint(RgSelection *selection, RgCheckpoint *checkpoint) {
    if (!selection)
        return;
    rg_checkpoint_parameters(checkpoint, "selected", selection->best);
    rg_checkpoint_doubles(checkpoint, "selection.value", &selection->value, 1);
    rg_checkpoint_integers(checkpoint, "selection.step", &selection->step, 1);
    rg_checkpoint_integers(checkpoint, "selection.since", &selection->since, 1);
}

/* ---- an evaluation ---- */

/* NaN of a metric that is there is a value, and none that could be selected. */
static bool has_metric(const RgEvaluation *evaluation, const char *name) {
    for (int i = 0; i < rg_evaluation_metric_count(evaluation); i++)
        if (strcmp(rg_evaluation_metric_name(evaluation, i), name) == 0)
            return true;
    return false;
}

static RgStatus refuse_metric(const RgEvaluation *evaluation, const char *name, RgError *error) {
    int count = rg_evaluation_metric_count(evaluation);
    const char **names = rg_allocate(count + 1, sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = rg_evaluation_metric_name(evaluation, i);
    char *list = rg_list_names(names);
    RgStatus status =
        rg_fail(error, RG_E_USAGE,
                "evaluation.select = \"%.100s\": the environment's evaluations have no "
                "such metric%s: expected one of %s",
                name, rg_suggest(name, names).text, list);
    free(list);
    free(names);
    return status;
}

static bool is_better(const RgSelection *selection, double value) {
    if (isnan(value) || selection->step < 0)
        return !isnan(value);
    return selection->options->lower_is_better ? value < selection->value
                                               : value > selection->value;
}

static void copy_values(RgParameters *to, const RgParameters *from) {
    rg_numbers_copy(from->count, from->value, to->value);
}

RgStatus rg_selection_see(RgSelection *selection, const RgEvaluation *evaluation, int64_t step,
                          RgError *error) {
    if (!selection)
        return RG_OK;
    const char *name = selection->options->select;
    if (!has_metric(evaluation, name))
        return refuse_metric(evaluation, name, error);
    double value = rg_evaluation_find(evaluation, name);
    selection->since++;
    if (!is_better(selection, value))
        return RG_OK;
    copy_values(selection->best, selection->trained);
    selection->value = value;
    selection->step = step;
    selection->since = 0;
    return RG_OK;
}

/* ---- the end ---- */

bool rg_selection_is_over(const RgSelection *selection) {
    return selection && selection->options->patience > 0 &&
           selection->since >= selection->options->patience;
}

char *rg_selection_end(const RgSelection *selection) {
    if (!rg_selection_is_over(selection))
        return NULL;
    return rg_string_format("%ld evaluations without a better %s than that of step %ld",
                            (long)selection->since, selection->options->select,
                            (long)selection->step);
}

int64_t rg_selection_restore(const RgSelection *selection, RgParameters *parameters) {
    if (!selection || selection->step < 0)
        return -1;
    copy_values(parameters, selection->best);
    return selection->step;
}
