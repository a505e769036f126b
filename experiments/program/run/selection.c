/* SPDX-License-Identifier: MIT */
/* The result so far, and what came after it. */
#include "experiments/program/run/selection.h"

#include "core/suggest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct RgSelection {
    const RgEvaluationOptions *options;
    const RgParameters *trained;
    double most_kl;     /* nats; 0: no limit */
    RgParameters *best; /* a frozen clone: of step `step`, where there is one */
    double value;       /* of the metric at that step */
    double kl;          /* of the last evaluation */
    int64_t step;       /* −1: none was selected yet */
    int64_t since;      /* evaluations that came after it, or after none */
};

RgSelection *rg_selection_create(const RgEvaluationOptions *options, const RgBudgetOptions *budget,
                                 const RgParameters *parameters) {
    if (!rg_selects(options, budget))
        return NULL;
    RgSelection *selection = rg_allocate(1, sizeof *selection);
    *selection = (RgSelection){.options = options,
                               .trained = parameters,
                               .most_kl = budget->kl,
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
    rg_checkpoint_doubles(checkpoint, "selection.kl", &selection->kl, 1);
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

/* `requests` is the setting that asks for it. */
static RgStatus check_metric(const RgEvaluation *evaluation, const char *name, const char *requests,
                             RgError *error) {
    if (has_metric(evaluation, name))
        return RG_OK;
    int count = rg_evaluation_metric_count(evaluation);
    const char **names = rg_allocate(count + 1, sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = rg_evaluation_metric_name(evaluation, i);
    char *list = rg_list_names(names);
    RgStatus status = rg_fail(error, RG_E_USAGE,
                              "%s: the environment's evaluations have no metric \"%.100s\"%s: "
                              "expected one of %s",
                              requests, name, rg_suggest(name, names).text, list);
    free(list);
    free(names);
    return status;
}

/* Not a number is above any limit. */
static bool is_too_far(const RgSelection *selection) {
    return selection->most_kl > 0 && !(selection->kl <= selection->most_kl);
}

/* Where nothing is named to select by, the last one is. */
static bool is_better(const RgSelection *selection, double value) {
    if (!selection->options->select[0])
        return true;
    if (isnan(value) || selection->step < 0)
        return !isnan(value);
    return selection->options->lower_is_better ? value < selection->value
                                               : value > selection->value;
}

static RgStatus check_metrics(const RgSelection *selection, const RgEvaluation *evaluation,
                              RgError *error) {
    const char *name = selection->options->select;
    if (selection->most_kl > 0)
        RG_TRY(check_metric(evaluation, "kl", "budget.kl", error));
    return name[0] ? check_metric(evaluation, name, "evaluation.select", error) : RG_OK;
}

RgStatus rg_selection_see(RgSelection *selection, const RgEvaluation *evaluation, int64_t step,
                          RgError *error) {
    if (!selection)
        return RG_OK;
    RG_TRY(check_metrics(selection, evaluation, error));
    double value = rg_evaluation_find(evaluation, selection->options->select);
    selection->kl = rg_evaluation_find(evaluation, "kl");
    selection->since++;
    if (is_too_far(selection) || !is_better(selection, value))
        return RG_OK;
    rg_parameters_copy(selection->trained, selection->best);
    selection->value = value;
    selection->step = step;
    selection->since = 0;
    return RG_OK;
}

/* ---- the end ---- */

static bool is_out_of_patience(const RgSelection *selection) {
    int64_t patience = selection->options->patience;
    return patience > 0 && selection->since >= patience;
}

bool rg_selection_is_over(const RgSelection *selection) {
    return selection && (is_too_far(selection) || is_out_of_patience(selection));
}

char *rg_selection_end(const RgSelection *selection) {
    if (!rg_selection_is_over(selection))
        return NULL;
    if (is_too_far(selection))
        return rg_string_format("a divergence of %.4g nats, above budget.kl = %g; its result is "
                                "that of step %ld",
                                selection->kl, selection->most_kl, (long)selection->step);
    return rg_string_format("%ld evaluations without a better %s than that of step %ld",
                            (long)selection->since, selection->options->select,
                            (long)selection->step);
}

int64_t rg_selection_restore(const RgSelection *selection, RgParameters *parameters) {
    if (!selection || selection->step < 0)
        return -1;
    rg_parameters_copy(selection->best, parameters);
    return selection->step;
}
