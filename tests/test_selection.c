/* SPDX-License-Identifier: MIT */
/* Which evaluation is a trial's result, on parameters that tell at which step they were copied. */
#include "experiments/program/run/selection.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static RgError error;

static RgParameters *parameters_of_one(void) {
    RgParameters *parameters = rg_parameters_create();
    rg_parameters_declare(parameters, "x", 1, (int64_t[]){1}, false);
    rg_parameters_allocate(parameters);
    return parameters;
}

static RgStatus see(RgSelection *selection, int64_t step, double reward, double kl) {
    RgEvaluation *e = rg_evaluation_create();
    rg_evaluation_metric(e, "reward", reward);
    if (!(kl < -1))
        rg_evaluation_metric(e, "kl", kl);
    RgStatus status = rg_selection_see(selection, e, step, &error);
    rg_evaluation_destroy(e);
    return status;
}

/* The step that is selected of evaluations at steps 0, 1, …, whose parameters it must be; and
 * whether the trial is over then. */
static void expect(RgEvaluationOptions options, double most_kl, const double rewards[],
                   const double kls[], int count, int64_t selected, bool over) {
    RgBudgetOptions budget = {.kl = most_kl};
    RgParameters *parameters = parameters_of_one();
    RgSelection *selection = rg_selection_create(&options, &budget, parameters);
    for (int i = 0; i < count; i++) {
        cr_assert_not(rg_selection_is_over(selection), "after %d", i);
        parameters->value[0] = (RgReal)(i + 1);
        cr_assert_eq(see(selection, i, rewards[i], kls[i]), RG_OK, "%s", error.text);
    }
    cr_expect_eq(rg_selection_is_over(selection), over);
    char *end = rg_selection_end(selection);
    cr_expect_eq(end != NULL, over);
    free(end);
    cr_expect_eq(rg_selection_restore(selection, parameters), selected);
    cr_expect_eq(parameters->value[0], (RgReal)(selected < 0 ? count : selected + 1));
    rg_selection_destroy(selection);
    rg_parameters_destroy(parameters);
}
#define VALUES(...) ((const double[]){__VA_ARGS__})

Test(selection, is_the_best_and_of_equals_the_first) {
    const double *none = VALUES(0, 0, 0, 0);
    RgEvaluationOptions most = {.select = "reward"}, least = most, patient = most;
    least.lower_is_better = true;
    patient.patience = 2;
    expect(most, 0, VALUES(1, 3, 3, 2), none, 4, 1, false);
    expect(least, 0, VALUES(2, 1, 1, 3), none, 4, 1, false);
    expect(patient, 0, VALUES(1, 2, 2, 0), none, 4, 1, true);
    expect(patient, 0, VALUES(1, 0, 2, 1), none, 4, 2, false);
    expect(most, 0, VALUES(NAN, 1, NAN, 0), none, 4, 1, false);
    expect(patient, 0, VALUES(NAN, NAN), none, 2, -1, true);
    expect(most, 0, VALUES(1, INFINITY, 2), none, 3, 1, false);
}

Test(selection, is_within_the_limit_of_divergence) {
    RgEvaluationOptions last = {.select = ""}, most = {.select = "reward"};
    const double *rising = VALUES(1, 2, 3, 4);
    expect(last, 2, rising, VALUES(0, 1, 2, 2.5), 4, 2, true);
    expect(last, 2, rising, VALUES(0, 2, 1), 3, 2, false);
    expect(last, 2, rising, VALUES(0, 1, NAN), 3, 1, true);
    expect(most, 2, VALUES(1, 3, 2, 9), VALUES(0, 1, 2, 3), 4, 1, true);
}

Test(selection, lacks_no_metric_that_is_asked_for) {
    RgParameters *parameters = parameters_of_one();
    RgEvaluationOptions by_name = {.select = "rewards"}, last = {.select = ""};
    RgBudgetOptions limit = {.kl = 1}, none = {.kl = 0};
    RgSelection *selection = rg_selection_create(&by_name, &none, parameters);
    cr_assert_eq(see(selection, 0, 1, 1), RG_E_USAGE);
    cr_assert_str_eq(error.text,
                     "evaluation.select: the environment's evaluations have no metric "
                     "\"rewards\"; did you mean \"reward\"?: expected one of reward, kl");
    rg_selection_destroy(selection);
    selection = rg_selection_create(&last, &limit, parameters);
    cr_assert_eq(see(selection, 0, 1, -2), RG_E_USAGE);
    cr_assert(strstr(error.text, "budget.kl: the environment's evaluations have no metric \"kl\""),
              "%s", error.text);
    rg_selection_destroy(selection);
    rg_parameters_destroy(parameters);
}

Test(selection, of_nothing_is_none) {
    RgEvaluationOptions last = {.select = ""};
    cr_assert_null(rg_selection_create(&last, &(RgBudgetOptions){0}, NULL));
    cr_assert_eq(rg_selection_see(NULL, NULL, 1, &error), RG_OK);
    cr_assert_not(rg_selection_is_over(NULL));
    cr_assert_null(rg_selection_end(NULL));
    cr_assert_eq(rg_selection_restore(NULL, NULL), -1);
    rg_selection_destroy(NULL);
}
