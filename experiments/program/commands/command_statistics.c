/* SPDX-License-Identifier: MIT */
/* regatta compare, tournament, frontier and budget: command lines for analysis/'s statistics. */
#include "analysis/compare/compare.h"
#include "analysis/compare/equal_budget.h"
#include "analysis/compare/frontier.h"
#include "analysis/compare/tournament.h"
#include "experiments/program/commands/command.h"

#include <string.h>

/* ---- compare ---- */

typedef struct CompareArguments {
    RgCompareOptions options;
    RgFormatArguments format;
} CompareArguments;

static const char expected_labels[] = RG_EXPECTED_STORE " and the labels of two methods";

static RgStatus check_compare(void *arguments, RgError *error) {
    const RgCompareOptions *o = &((const CompareArguments *)arguments)->options;
    if (o->a && !o->b)
        return rg_fail(error, RG_E_USAGE, "%s", expected_labels);
    if (o->against && o->a)
        return rg_fail(error, RG_E_USAGE,
                       "--against cannot be combined with two labels: it compares all "
                       "methods with one");
    if (o->judge && o->metric && strcmp(o->metric, "win") != 0)
        return rg_fail(error, RG_E_USAGE,
                       "--judge cannot be combined with --metric %s: it decides wins", o->metric);
    return RG_OK;
}

static RgStatus compare(void *arguments, RgError *error) {
    CompareArguments *a = arguments;
    a->options.out = stdout;
    RG_TRY(rg_command_table_format(&a->format, &a->options.format, error));
    return rg_compare(&a->options, error);
}

static const RgArgument compare_arguments[] = {
    RG_ARGUMENT_INCLUDE(CompareArguments, options.choice, rg_trials_arguments),
    RG_ARGUMENT_POSITIONAL(CompareArguments, options.store, expected_labels),
    RG_ARGUMENT_POSITIONAL(CompareArguments, options.a, NULL),
    RG_ARGUMENT_POSITIONAL(CompareArguments, options.b, NULL),
    RG_ARGUMENT_OPTION(CompareArguments, options.metric, "metric", 'm', "NAME",
                       "win: how often A's response beats B's on the same prompt; or a per-prompt "
                       "metric whose difference A − B is estimated (default: win)"),
    RG_ARGUMENT_OPTION(CompareArguments, options.judge, "judge", 0, "NAME",
                       "per-prompt metric that decides a win (default: reward)"),
    RG_ARGUMENT_OPTION(CompareArguments, options.against, "against", 0, "LABEL",
                       "compare each other method with this one"),
    RG_ARGUMENT_INCLUDE(CompareArguments, options.by, rg_by_arguments),
    RG_ARGUMENT_INCLUDE(CompareArguments, format, rg_format_arguments),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_compare = {
    .name = "compare",
    .summary = "methods head to head, paired by seed and prompt",
    .usage = "RESULTS.db A B\nRESULTS.db --against LABEL\nRESULTS.db",
    .purpose = "Compare methods of an experiment, paired by seed and prompt: two, each with one, "
               "or all pairs.",
    .details =
        "A, B and LABEL are labels as in regatta table. For more than one comparison, "
        "Holm-adjusted p-values are given too. With --by, a method that was not swept over the "
        "options is in every cell, and Holm's correction is over the comparisons of all "
        "cells together.",
    .arguments = compare_arguments,
    .size = sizeof(CompareArguments),
    .check = check_compare,
    .run = compare,
};

/* ---- tournament ---- */

typedef struct TournamentArguments {
    RgTournamentOptions options;
    RgFormatArguments format;
} TournamentArguments;

static RgStatus tournament(void *arguments, RgError *error) {
    TournamentArguments *a = arguments;
    a->options.out = stdout;
    RG_TRY(rg_command_table_format(&a->format, &a->options.format, error));
    return rg_tournament(&a->options, error);
}

static const RgArgument tournament_arguments[] = {
    RG_ARGUMENT_INCLUDE(TournamentArguments, options.choice, rg_trials_arguments),
    RG_ARGUMENT_POSITIONAL(TournamentArguments, options.store, RG_EXPECTED_STORE),
    RG_ARGUMENT_OPTION(
        TournamentArguments, options.metric, "metric", 'm', "NAME",
        "per-prompt metric whose larger value wins, such as independent_reward (default: reward)"),
    RG_ARGUMENT_OPTION(TournamentArguments, options.length_controlled, "length-controlled", 0, NULL,
                       "win rates at equal length of the responses"),
    RG_ARGUMENT_INCLUDE(TournamentArguments, options.by, rg_by_arguments),
    RG_ARGUMENT_INCLUDE(TournamentArguments, format, rg_format_arguments),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_tournament = {
    .name = "tournament",
    .summary = "a round-robin of all methods: win rates and ratings",
    .usage = "RESULTS.db",
    .purpose = "Play a round-robin between the final policies of all methods: pairwise win rates "
               "and ratings.",
    .details = "Two methods meet on every test prompt and seed that both answered. Win rates are "
               "those of regatta compare. Ratings are Bradley–Terry's, on Elo's scale and in nats. "
               "Intervals are 95 %, over seeds and prompts.",
    .arguments = tournament_arguments,
    .size = sizeof(TournamentArguments),
    .run = tournament,
};

/* ---- frontier and budget: from curves of y against x ---- */

typedef struct FrontierArguments {
    RgFrontierOptions options;
    RgFormatArguments format;
} FrontierArguments;

static RgStatus frontier(void *arguments, RgError *error) {
    FrontierArguments *a = arguments;
    a->options.out = stdout;
    RG_TRY(rg_command_table_format(&a->format, &a->options.format, error));
    return rg_frontier(&a->options, error);
}

static const RgArgument frontier_arguments[] = {
    RG_ARGUMENT_INCLUDE(FrontierArguments, options.choice, rg_trials_arguments),
    RG_ARGUMENT_POSITIONAL(FrontierArguments, options.store, RG_EXPECTED_STORE),
    RG_ARGUMENT_OPTION(FrontierArguments, options.x, NULL, 'x', "NAME",
                       "metric or cost to minimise (default: kl)"),
    RG_ARGUMENT_OPTION(FrontierArguments, options.y, NULL, 'y', "NAME",
                       "metric to maximise (default: reward)"),
    RG_ARGUMENT_INCLUDE(FrontierArguments, options.by, rg_by_arguments),
    RG_ARGUMENT_INCLUDE(FrontierArguments, format, rg_format_arguments),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_frontier = {
    .name = "frontier",
    .summary = "reward against divergence, and the Pareto-optimal points",
    .usage = "RESULTS.db",
    .purpose = "List every evaluation of every method as a point of divergence and reward, and "
               "mark the Pareto-optimal ones.",
    .arguments = frontier_arguments,
    .size = sizeof(FrontierArguments),
    .run = frontier,
};

typedef struct BudgetArguments {
    RgEqualBudgetOptions options;
    RgFormatArguments format;
} BudgetArguments;

static RgStatus budget(void *arguments, RgError *error) {
    BudgetArguments *a = arguments;
    a->options.out = stdout;
    RG_TRY(rg_command_table_format(&a->format, &a->options.format, error));
    return rg_budget(&a->options, error);
}

static const RgArgument budget_arguments[] = {
    RG_ARGUMENT_INCLUDE(BudgetArguments, options.choice, rg_trials_arguments),
    RG_ARGUMENT_POSITIONAL(BudgetArguments, options.store, RG_EXPECTED_STORE),
    RG_ARGUMENT_OPTION(BudgetArguments, options.x, NULL, 'x', "COST",
                       "step, flops, seconds, trained_tokens, generated_tokens, judge_queries or "
                       "labelled_responses (default: flops)"),
    RG_ARGUMENT_OPTION(BudgetArguments, options.y, NULL, 'y', "NAME", "metric (default: reward)"),
    RG_ARGUMENT_OPTION(BudgetArguments, options.points, "points", 'n', "N",
                       "spending points (default: 5)", .low = 2, .high = 1000),
    RG_ARGUMENT_INCLUDE(BudgetArguments, options.by, rg_by_arguments),
    RG_ARGUMENT_INCLUDE(BudgetArguments, format, rg_format_arguments),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_budget = {
    .name = "budget",
    .summary = "a metric of all methods at equal spending",
    .usage = "RESULTS.db",
    .purpose = "Compare methods at equal spending: a metric as a function of a cost, at points "
               "that all methods reach.",
    .details = "The curve is interpolated linearly between evaluations and not extrapolated. Mean "
               "over seeds with a 95 % interval.",
    .arguments = budget_arguments,
    .size = sizeof(BudgetArguments),
    .run = budget,
};
