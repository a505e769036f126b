/* regatta compare, tournament, frontier and budget: command lines of the parts of analysis/ that
 * test and rank methods. */
#include "analysis/budget.h"
#include "analysis/compare.h"
#include "analysis/frontier.h"
#include "analysis/tournament.h"
#include "experiments/command.h"

#include <string.h>

enum { KEY_JUDGE = 256, KEY_AGAINST, KEY_RESAMPLES, KEY_LENGTH_CONTROLLED };

static const struct argp_child store_child[] = {{&rg_store_argp, 0, NULL, 0}, {0}};

#define FORMAT_OPTION                                                                              \
    { "format", 'f', "FORMAT", 0, "text, markdown, latex, csv or json (default: text)", 0 }
#define RESAMPLES_OPTION                                                                           \
    { "resamples", KEY_RESAMPLES, "N", 0, "of the bootstrap (default: 10000)", 0 }

static int64_t resamples_argument(const struct argp_state *state, const char *text) {
    return rg_argument_integer(state, "--resamples", text, 100, 10000000);
}

/* ---- compare ---- */

typedef struct CompareArguments {
    RgStoreArguments store;
    RgCompareOptions options;
    const char *format;
} CompareArguments;

static error_t parse_compare(int key, char *argument, struct argp_state *state) {
    CompareArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->store;
        return 0;
    case 'm':
        a->options.metric = argument;
        return 0;
    case 'f':
        a->format = argument;
        return 0;
    case KEY_AGAINST:
        a->options.against = argument;
        return 0;
    case KEY_JUDGE:
        a->options.judge = argument;
        return 0;
    case KEY_RESAMPLES:
        a->options.resamples = resamples_argument(state, argument);
        return 0;
    case ARGP_KEY_END:
        if (a->options.against && a->store.label[0])
            argp_error(state, "--against compares all methods with one, expected no labels of two "
                              "beside it");
        if (a->options.judge && a->options.metric && strcmp(a->options.metric, "win") != 0)
            argp_error(state, "--judge decides wins, expected no --metric %s beside it",
                       a->options.metric);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_compare(int argc, char **argv) {
    static const struct argp_option options[] = {
        {"metric", 'm', "NAME", 0,
         "win: how often A's response beats B's on the same prompt; else a per-prompt metric whose "
         "difference A − B is estimated (default: win)",
         0},
        {"judge", KEY_JUDGE, "NAME", 0, "per-prompt metric that decides a win (default: reward)",
         0},
        {"against", KEY_AGAINST, "LABEL", 0, "compare each other method with this one", 0},
        RESAMPLES_OPTION,
        FORMAT_OPTION,
        {0},
    };
    static const struct argp argp = {
        options,
        parse_compare,
        "RESULTS.db A B\nRESULTS.db --against LABEL\nRESULTS.db",
        "Compare methods of an experiment by a paired bootstrap over seeds and prompts: two, each "
        "with one, or all pairs.\vA, B and LABEL are labels as the table prints them. Of more than "
        "one comparison the p-values are also given as Holm's step-down correction adjusts them "
        "for "
        "being one family.",
        store_child,
        NULL,
        NULL};
    CompareArguments a = {.store = {.labels = 2, .labels_optional = true},
                          .options = {.out = stdout},
                          .format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    a.options.store = a.store.path;
    a.options.experiment = a.store.experiment;
    a.options.a = a.store.label[0];
    a.options.b = a.store.label[1];
    RgError error = {0};
    RgStatus status = rg_table_format(a.format, &a.options.format, &error);
    if (status == RG_OK)
        status = rg_compare(&a.options, &error);
    return rg_command_end(status, &error);
}

/* ---- tournament ---- */

typedef struct TournamentArguments {
    RgStoreArguments store;
    RgTournamentOptions options;
    const char *format;
} TournamentArguments;

static error_t parse_tournament(int key, char *argument, struct argp_state *state) {
    TournamentArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->store;
        return 0;
    case 'm':
        a->options.metric = argument;
        return 0;
    case 'f':
        a->format = argument;
        return 0;
    case KEY_LENGTH_CONTROLLED:
        a->options.length_controlled = true;
        return 0;
    case KEY_RESAMPLES:
        a->options.resamples = resamples_argument(state, argument);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_tournament(int argc, char **argv) {
    static const struct argp_option options[] = {
        {"metric", 'm', "NAME", 0,
         "per-prompt metric whose larger value wins, such as independent_reward (default: reward)",
         0},
        {"length-controlled", KEY_LENGTH_CONTROLLED, NULL, 0,
         "win rates at equal length of the responses", 0},
        RESAMPLES_OPTION,
        FORMAT_OPTION,
        {0},
    };
    static const struct argp argp = {
        options,
        parse_tournament,
        "RESULTS.db",
        "Play a round-robin of the final policies of all methods: win rates of every two, and "
        "ratings.\vTwo methods meet on every test prompt and seed that both answered. Win rates "
        "are "
        "those of regatta compare; ratings are Bradley–Terry's, on Elo's scale and in nats. "
        "Intervals are of 95 %, by a bootstrap over seeds and prompts.",
        store_child,
        NULL,
        NULL};
    TournamentArguments a = {.options = {.out = stdout}, .format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    a.options.store = a.store.path;
    a.options.experiment = a.store.experiment;
    RgError error = {0};
    RgStatus status = rg_table_format(a.format, &a.options.format, &error);
    if (status == RG_OK)
        status = rg_tournament(&a.options, &error);
    return rg_command_end(status, &error);
}

/* ---- frontier and budget ---- */

/* Both read off curves of y over x. */
typedef struct CurveArguments {
    RgStoreArguments store;
    const char *x, *y;
    int64_t points;
    const char *format;
} CurveArguments;

static error_t parse_curves(int key, char *argument, struct argp_state *state) {
    CurveArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->store;
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
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_frontier(int argc, char **argv) {
    static const struct argp_option options[] = {
        {NULL, 'x', "NAME", 0, "metric or cost of which less is better (default: kl)", 0},
        {NULL, 'y', "NAME", 0, "metric of which more is better (default: reward)", 0},
        FORMAT_OPTION,
        {0},
    };
    static const struct argp argp = {
        options,
        parse_curves,
        "RESULTS.db",
        "List every evaluation of every method as a point of divergence and reward, and which of "
        "them are Pareto-optimal.",
        store_child,
        NULL,
        NULL};
    CurveArguments a = {.format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgFrontierOptions frontier = {
        .store = a.store.path, .experiment = a.store.experiment, .x = a.x, .y = a.y, .out = stdout};
    RgError error = {0};
    RgStatus status = rg_table_format(a.format, &frontier.format, &error);
    if (status == RG_OK)
        status = rg_frontier(&frontier, &error);
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
        FORMAT_OPTION,
        {0},
    };
    static const struct argp argp = {
        options,
        parse_curves,
        "RESULTS.db",
        "Compare methods at equal spending: a metric's curve over a cost, read off at points that "
        "all methods reach.\vBetween evaluations the curve is linear; beyond its ends it is not "
        "continued. Mean over seeds with a 95 % interval.",
        store_child,
        NULL,
        NULL};
    CurveArguments a = {.format = "text"};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgBudgetOptions budget = {.store = a.store.path,
                              .experiment = a.store.experiment,
                              .x = a.x,
                              .y = a.y,
                              .points = a.points,
                              .out = stdout};
    RgError error = {0};
    RgStatus status = rg_table_format(a.format, &budget.format, &error);
    if (status == RG_OK)
        status = rg_budget(&budget, &error);
    return rg_command_end(status, &error);
}
