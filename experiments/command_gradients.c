/* regatta check-gradients: gradient estimators against exact gradients. */
#include "core/tensor/blas.h"
#include "experiments/command.h"
#include "experiments/gradient_figure.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct GradientArguments {
    RgConfigArguments config;
    int64_t samples;
    double deviation;
    const char *figure;
    RgGradientFigure *drawn;
} GradientArguments;

static const struct argp_option options[] = {
    {"samples", 'n', "N", 0, "batches per estimator (default: 2000)", 0},
    {"deviation", 'd', "D", 0,
     "how far from the reference: deviation of the normal numbers added to its parameters "
     "(default: 1)",
     0},
    {"figure", 'f', "FILE", 0,
     "draw the error of hypergradients over their cost: .svg, .png or .pdf by its suffix", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    GradientArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->config;
        return 0;
    case 'n':
        a->samples = rg_argument_integer(state, "--samples", argument, 2, 100000000);
        return 0;
    case 'd':
        a->deviation = rg_argument_real(state, "--deviation", argument, 0, 100);
        return 0;
    case 'f':
        a->figure = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&rg_config_argp, 0, NULL, 0}, {0}};

static const struct argp argp = {
    options,
    parse,
    "CONFIG",
    "Hold every algorithm's stochastic gradient against the exact gradient of its objective.\v"
    "CONFIG's environment must be a bandit, where the objective J = E[F] and its gradient, through "
    "the distributions of responses and labels as well, are sums; for PARL, it may be a tabular "
    "process. Mixture and exploration are set to 1, where SAIL's gradient is meant to be that of "
    "J; "
    "algorithms that drop a term by design (online-dpo, score_term none, estimator none) show what "
    "it amounts to. PARL has a row for each trial, at a random reward and the policy that is "
    "optimal for it, with what one hypergradient takes: Hessian-vector products, further "
    "gradients, "
    "FLOPs, seconds (! where an estimate failed), and the trial's swept values.\n\n"
    "  bias      |mean − exact| / |exact|\n"
    "  noise     the bias that N batches of an unbiased estimator would show by chance\n"
    "  worst     largest deviation of a coordinate, in its standard errors; * marks above 4\n"
    "  variance  E|g − mean|² / |exact|² of one batch\n"
    "  cosine    between mean and exact gradient",
    children,
    NULL,
    NULL,
};

static void print_row(const RgGradientRow *row, void *context) {
    GradientArguments *a = context;
    if (a->drawn)
        rg_gradient_figure_add(a->drawn, row);
    printf("%-18s %-18s %9.4f %9.4f %9.4f %9.4f %8.2f%s %10.3f %8.4f", row->algorithm, row->variant,
           row->exact_norm, row->norm, row->bias, row->noise, row->worst,
           row->worst > 4 ? "*" : " ", row->variance, row->cosine);
    if (row->swept)
        printf(" %9.1f %9.1f %10.3g %10.3g%s %s", row->hessian_products, row->gradients, row->flops,
               row->seconds, row->failures ? "!" : " ", row->swept);
    printf("\n");
    fflush(stdout);
}

int rg_command_check_gradients(int argc, char **argv) {
    GradientArguments a = {.samples = 2000, .deviation = 1};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgError error = {0};
    RgExperiment *experiment;
    rg_threads_set(1); /* tables of a few cells: threads would only wait for each other */
    RgStatus status = rg_experiment_open(a.config.path, a.config.overrides, a.config.override_count,
                                         &experiment, &error);
    if (a.figure)
        a.drawn = rg_gradient_figure_create();
    if (status == RG_OK) {
        printf("%-18s %-18s %9s %9s %9s %9s %9s %10s %8s %9s %9s %10s %10s\n", "algorithm",
               "variant", "|exact|", "|mean|", "bias", "noise", "worst", "variance", "cosine",
               "products", "gradients", "FLOPs", "seconds");
        status = rg_gradient_rows(experiment, a.samples, a.deviation, print_row, &a, &error);
    }
    if (status == RG_OK && a.drawn)
        status = rg_gradient_figure_draw(a.drawn, a.figure, &error);
    rg_gradient_figure_destroy(a.drawn);
    rg_experiment_close(experiment);
    free(a.config.overrides);
    return rg_command_end(status, &error);
}
