/* SPDX-License-Identifier: MIT */
/* regatta compare, tournament, frontier and budget: command lines for the statistics of analysis/.
 */
#include "analysis/compare/compare.h"
#include "analysis/compare/equal_budget.h"
#include "analysis/compare/frontier.h"
#include "analysis/compare/tournament.h"
#include "experiments/program/commands/command.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_JUDGE = 256, KEY_AGAINST, KEY_LENGTH_CONTROLLED };

static const struct argp_child store_child[] = {{&rg_trials_argp, 0, NULL, 0}, {0}};

/* Arguments of the four commands; each command has its own table of options. */
typedef struct StatisticsArguments {
    RgStoreArguments store;
    const char *metric, *judge, *against, *x, *y, *format; /* NULL: not given */
    bool length_controlled;
    int64_t points; /* 0: not given */
} StatisticsArguments;

static error_t parse(int key, char *argument, struct argp_state *state) {
    StatisticsArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->store;
        return 0;
    case 'm':
        a->metric = argument;
        return 0;
    case 'x':
        a->x = argument;
        return 0;
    case 'y':
        a->y = argument;
        return 0;
    case 'n':
        a->points = rg_argument_integer(state, "--points", argument, 2, 1000);
        return 0;
    case 'f':
        a->format = argument;
        return 0;
    case KEY_AGAINST:
        a->against = argument;
        return 0;
    case KEY_JUDGE:
        a->judge = argument;
        return 0;
    case KEY_LENGTH_CONTROLLED:
        a->length_controlled = true;
        return 0;
    case ARGP_KEY_END:
        if (a->against && a->store.label[0])
            argp_error(state, "--against cannot be combined with two labels: it compares all "
                              "methods with one");
        if (a->judge && a->metric && strcmp(a->metric, "win") != 0)
            argp_error(state, "--judge cannot be combined with --metric %s: it decides wins",
                       a->metric);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- compare ---- */

int rg_command_compare(int argc, char **argv) {
    static const struct argp_option options[] = {
        {"metric", 'm', "NAME", 0,
         "win: how often A's response beats B's on the same prompt; or a per-prompt metric whose "
         "difference A − B is estimated (default: win)",
         0},
        {"judge", KEY_JUDGE, "NAME", 0, "per-prompt metric that decides a win (default: reward)",
         0},
        {"against", KEY_AGAINST, "LABEL", 0, "compare each other method with this one", 0},
        RG_FORMAT_OPTION,
        {0},
    };
    static const struct argp argp = {
        options,
        parse,
        "RESULTS.db A B\nRESULTS.db --against LABEL\nRESULTS.db",
        "Compare methods of an experiment, paired by seed and prompt: two, each with one, or all "
        "pairs.\vA, B and LABEL are labels as in regatta table. For more than one comparison, "
        "Holm-adjusted p-values are given too.",
        store_child,
        NULL,
        NULL};
    StatisticsArguments a = {.store = {.labels = 2, .labels_optional = true}, .format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgCompareOptions compare = {.store = a.store.path,
                                .choice = a.store.choice,
                                .a = a.store.label[0],
                                .b = a.store.label[1],
                                .against = a.against,
                                .metric = a.metric,
                                .judge = a.judge,
                                .out = stdout};
    RgError error = {0};
    RgStatus status = rg_command_table_format(a.format, &compare.format, &error);
    if (status == RG_OK)
        status = rg_compare(&compare, &error);
    free(a.store.choice.where);
    return rg_command_end(status, &error);
}

/* ---- tournament ---- */

int rg_command_tournament(int argc, char **argv) {
    static const struct argp_option options[] = {
        {"metric", 'm', "NAME", 0,
         "per-prompt metric whose larger value wins, such as independent_reward (default: reward)",
         0},
        {"length-controlled", KEY_LENGTH_CONTROLLED, NULL, 0,
         "win rates at equal length of the responses", 0},
        RG_FORMAT_OPTION,
        {0},
    };
    static const struct argp argp = {
        options,
        parse,
        "RESULTS.db",
        "Play a round-robin between the final policies of all methods: pairwise win rates and "
        "ratings.\vTwo methods meet on every test prompt and seed that both answered. Win rates "
        "are those of regatta compare. Ratings are Bradley–Terry's, on Elo's scale and in nats. "
        "Intervals are 95 %, over seeds and prompts.",
        store_child,
        NULL,
        NULL};
    StatisticsArguments a = {.format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgTournamentOptions tournament = {.store = a.store.path,
                                      .choice = a.store.choice,
                                      .metric = a.metric,
                                      .length_controlled = a.length_controlled,
                                      .out = stdout};
    RgError error = {0};
    RgStatus status = rg_command_table_format(a.format, &tournament.format, &error);
    if (status == RG_OK)
        status = rg_tournament(&tournament, &error);
    free(a.store.choice.where);
    return rg_command_end(status, &error);
}

/* ---- frontier and budget: from curves of y against x ---- */

int rg_command_frontier(int argc, char **argv) {
    static const struct argp_option options[] = {
        {NULL, 'x', "NAME", 0, "metric or cost to minimise (default: kl)", 0},
        {NULL, 'y', "NAME", 0, "metric to maximise (default: reward)", 0},
        RG_FORMAT_OPTION,
        {0},
    };
    static const struct argp argp = {
        options,
        parse,
        "RESULTS.db",
        "List every evaluation of every method as a point of divergence and reward, and mark the "
        "Pareto-optimal ones.",
        store_child,
        NULL,
        NULL};
    StatisticsArguments a = {.format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgFrontierOptions frontier = {
        .store = a.store.path, .choice = a.store.choice, .x = a.x, .y = a.y, .out = stdout};
    RgError error = {0};
    RgStatus status = rg_command_table_format(a.format, &frontier.format, &error);
    if (status == RG_OK)
        status = rg_frontier(&frontier, &error);
    free(a.store.choice.where);
    return rg_command_end(status, &error);
}

int rg_command_budget(int argc, char **argv) {
    static const struct argp_option options[] = {
        {NULL, 'x', "COST", 0,
         "step, flops, seconds, trained_tokens, generated_tokens, judge_queries or "
         "labelled_responses (default: flops)",
         0},
        {NULL, 'y', "NAME", 0, "metric (default: reward)", 0},
        {"points", 'n', "N", 0, "spending points (default: 5)", 0},
        RG_FORMAT_OPTION,
        {0},
    };
    static const struct argp argp = {
        options,
        parse,
        "RESULTS.db",
        "Compare methods at equal spending: a metric as a function of a cost, at points that all "
        "methods reach.\vThe curve is interpolated linearly between evaluations and not "
        "extrapolated. Mean over seeds with a 95 % interval.",
        store_child,
        NULL,
        NULL};
    StatisticsArguments a = {.format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgEqualBudgetOptions budget = {.store = a.store.path,
                                   .choice = a.store.choice,
                                   .x = a.x,
                                   .y = a.y,
                                   .points = a.points,
                                   .out = stdout};
    RgError error = {0};
    RgStatus status = rg_command_table_format(a.format, &budget.format, &error);
    if (status == RG_OK)
        status = rg_budget(&budget, &error);
    free(a.store.choice.where);
    return rg_command_end(status, &error);
}
