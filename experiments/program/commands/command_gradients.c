/* SPDX-License-Identifier: MIT */
/* regatta check-gradients: compares gradient estimators with exact gradients. */
#include "analysis/figures/gnuplot.h"
#include "core/tensor/threads.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/gradients/gradient_figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct GradientArguments {
    RgConfigArguments config;
    int64_t samples;
    double deviation;
    const char *figure, *cost_figure; /* NULL: not drawn */
    RgGradientRow *rows;              /* [count] their strings belong to the experiment */
    int count;
} GradientArguments;

/* A relative column: a dash if the value is not finite. */
static void print_relative(int width, int digits, double value) {
    if (isnan(value))
        printf(" %*s–", width - 1, "");
    else
        printf(" %*.*f", width, digits, value);
}

static void print_row(const RgGradientRow *row, void *context) {
    GradientArguments *a = context;
    a->rows = rg_reallocate(a->rows, (size_t)a->count + 1, sizeof *a->rows);
    a->rows[a->count++] = *row;
    printf("%-18s %-18s %9.4f %9.4f", row->algorithm, row->variant, row->exact_norm, row->norm);
    print_relative(9, 4, row->bias);
    print_relative(9, 4, row->noise);
    printf(" %8.2f%s", row->worst, row->worst > RG_GRADIENT_DOUBT ? "*" : " ");
    print_relative(10, 3, row->variance);
    print_relative(8, 4, row->cosine);
    if (row->swept)
        printf(" %9.1f %9.1f %10.3g %10.3g%s %s", row->hessian_products, row->gradients, row->flops,
               row->seconds, row->failures ? "!" : " ", row->swept);
    printf("\n");
    fflush(stdout);
}

/* Checked first, because measuring may take long. */
static RgStatus check_figures(const GradientArguments *a, RgError *error) {
    if (a->figure)
        RG_TRY(rg_gnuplot_check(a->figure, error));
    return a->cost_figure ? rg_gnuplot_check(a->cost_figure, error) : RG_OK;
}

static RgStatus draw_figures(const GradientArguments *a, RgError *error) {
    if (a->figure)
        RG_TRY(rg_gradient_dots_draw(a->rows, a->count, a->figure, error));
    if (a->cost_figure)
        RG_TRY(rg_gradient_cost_draw(a->rows, a->count, a->cost_figure, error));
    return RG_OK;
}

static RgStatus check_gradients(GradientArguments *a, const RgExperiment *experiment,
                                RgError *error) {
    printf("%-18s %-18s %9s %9s %9s %9s %9s %10s %8s %9s %9s %10s %10s\n", "algorithm", "variant",
           "|exact|", "|mean|", "bias", "noise", "worst", "variance", "cosine", "products",
           "gradients", "FLOPs", "seconds");
    RG_TRY(rg_gradient_rows(experiment, a->samples, a->deviation, print_row, a, error));
    return draw_figures(a, error);
}

static RgStatus check_all(void *arguments, RgError *error) {
    GradientArguments *a = arguments;
    RgExperiment *experiment = NULL;
    RG_TRY(check_figures(a, error));
    RG_TRY(rg_experiment_open(a->config.path, a->config.overrides, a->config.override_count,
                              &experiment, error));
    if (rg_gradients_are_small(experiment))
        rg_threads_set(1); /* tables of a few cells: more threads would only add barriers */
    RgStatus status = check_gradients(a, experiment, error);
    rg_experiment_close(experiment);
    free(a->rows);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_INCLUDE(GradientArguments, config, rg_config_arguments),
    RG_ARGUMENT_OPTION(GradientArguments, samples, "samples", 'n', "N",
                       "batches per estimator (default: 2000)", .low = 2, .high = 1e8),
    RG_ARGUMENT_OPTION(GradientArguments, deviation, "deviation", 'd', "D",
                       "distance from the reference: standard deviation of the normal noise added "
                       "to its parameters (default: 1)",
                       .high = 100),
    RG_ARGUMENT_OPTION(GradientArguments, figure, "figure", 'f', "FILE",
                       "draw bias and variance of every row: .svg, .png or .pdf, by its suffix"),
    RG_ARGUMENT_OPTION(GradientArguments, cost_figure, "cost-figure", 0, "FILE",
                       "draw the error of PARL's hypergradients against their cost"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_check_gradients = {
    .name = "check-gradients",
    .summary = "bias and variance of gradient estimators on an exact environment",
    .usage = "CONFIG",
    .purpose =
        "Compare every algorithm's stochastic gradient with the exact gradient of its objective.",
    .details =
        "CONFIG's environment must be a bandit or a language, for which the objective J = E[F] and "
        "its gradient, including that through the distributions of responses and labels, are "
        "finite sums. For PARL it must be a bandit or a tabular MDP. Mixture and exploration are "
        "set to 1, where SAIL's gradient "
        "should equal that of J. Algorithms that drop a term by design (online-dpo, score_term "
        "none, estimator none) show its size. PARL has one row per trial, at a random reward and "
        "its optimal policy, with the cost of one hypergradient: Hessian-vector products, further "
        "gradients, FLOPs, seconds (! marks a failed estimate), and the trial's swept values.\n\n"
        "  bias      |mean − exact| / |exact|\n"
        "  noise     the bias that N batches of an unbiased estimator would show by chance\n"
        "  worst     largest deviation of a coordinate, in its standard errors; * marks above 4\n"
        "  variance  E|g − mean|² / |exact|² of one batch\n"
        "  cosine    between mean and exact gradient\n\n"
        "If the exact gradient is 0, as for some methods at the reference (--deviation 0), the "
        "relative columns have a dash.",
    .arguments = arguments,
    .size = sizeof(GradientArguments),
    .defaults = &(const GradientArguments){.samples = 2000, .deviation = 1},
    .run = check_all,
};
