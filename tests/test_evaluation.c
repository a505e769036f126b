/* SPDX-License-Identifier: MIT */
/* Evaluations in memory. */
#include "core/results/evaluation.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>

Test(evaluation, gives_back_what_was_put_in) {
    RgEvaluation *e = rg_evaluation_create();
    rg_evaluation_metric(e, "reward", 1.5);
    rg_evaluation_metric(e, "kl", 0.25);
    rg_evaluation_response(e, 7, "Ahoy", "Aye");
    cr_assert_eq(rg_evaluation_metric_count(e), 2);
    cr_assert_str_eq(rg_evaluation_metric_name(e, 1), "kl");
    cr_assert_eq(rg_evaluation_metric_value(e, 1), 0.25);
    cr_assert_eq(rg_evaluation_find(e, "reward"), 1.5);
    cr_assert(isnan(rg_evaluation_find(e, "absent")));
    int64_t item;
    const char *prompt, *response;
    rg_evaluation_response_at(e, 0, &item, &prompt, &response);
    cr_assert_eq(rg_evaluation_response_count(e), 1);
    cr_assert_eq(item, 7);
    cr_assert_str_eq(prompt, "Ahoy");
    cr_assert_str_eq(response, "Aye");
    rg_evaluation_destroy(e);
    rg_evaluation_destroy(NULL);
}

Test(evaluation, same_name_again_replaces) {
    RgEvaluation *e = rg_evaluation_create();
    rg_evaluation_metric(e, "kl", 1);
    rg_evaluation_metric(e, "kl", 2);
    cr_assert_eq(rg_evaluation_metric_count(e), 1);
    cr_assert_eq(rg_evaluation_find(e, "kl"), 2);
    rg_evaluation_column(e, "reward", (const double[]){1, 2}, 2);
    rg_evaluation_column(e, "reward", (const double[]){3, 4}, 2);
    cr_assert_eq(rg_evaluation_column_count(e), 1);
    cr_assert_eq(rg_evaluation_column_values(e, 0)[1], 4);
    rg_evaluation_destroy(e);
}

Test(evaluation, column_is_copied_and_its_mean_is_a_metric) {
    RgEvaluation *e = rg_evaluation_create();
    double reward[] = {1, 2, 6};
    rg_evaluation_column_and_mean(e, "reward", reward, 3);
    reward[0] = 100;
    cr_assert_eq(rg_evaluation_find(e, "reward"), 3);
    cr_assert_eq(rg_evaluation_items(e), 3);
    cr_assert_str_eq(rg_evaluation_column_name(e, 0), "reward");
    cr_assert_eq(rg_evaluation_column_values(e, 0)[0], 1);
    rg_evaluation_destroy(e);
}

Test(evaluation, mean_of_no_items_is_not_a_number) {
    RgEvaluation *e = rg_evaluation_create();
    rg_evaluation_column_and_mean(e, "reward", NULL, 0);
    cr_assert(isnan(rg_evaluation_find(e, "reward")));
    rg_evaluation_destroy(e);
}

Test(evaluation, columns_of_different_length_break_an_invariant, .signal = SIGABRT) {
    RgEvaluation *e = rg_evaluation_create();
    rg_evaluation_column(e, "a", (const double[]){1, 2}, 2);
    rg_evaluation_column(e, "b", (const double[]){1}, 1);
}
