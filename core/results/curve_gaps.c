/* SPDX-License-Identifier: MIT */
/* Compares a trial's readings with the steps that a run records (experiments/program/run/trial.c):
 * 0 if it is evaluated at the start, each multiple of log_every, each step that completes another
 * multiple of `every`, and the last. If evaluations are due by cost, their exact steps are unknown,
 * but the first reading after such a multiple is that of the evaluation. */
#include "core/results/curve_gaps.h"

#include "core/results/rows.h"
#include "core/settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANGES = 4 }; /* that are listed */
#define MOST_STEPS 1e15   /* between two readings; more cannot come from our configs */

typedef struct Walk {
    bool known, start; /* known: the config contains all of the following */
    double every;      /* in units of `per`; 0: evaluation at the end only */
    int64_t log_every;
    const char *per; /* column of readings; NULL: steps */
    bool done, finished;
    int64_t step; /* of the last reading; −1: none */
    double spent;
    int64_t first, last; /* missing steps not yet listed; −1: none */
    char *text;          /* the ranges so far; NULL: none */
    int ranges;
    bool several; /* more than one step is missing */
} Walk;

static const struct {
    const char *name, *column;
} costs[] = {{"steps", NULL},
             {"flops", "flops"},
             {"seconds", "seconds"},
             {"generated_tokens", "generated_tokens"},
             {"judge_queries", "judge_queries"}};

static const char *text_of(const RgSettings *config, const char *name) {
    const RgSetting *setting = rg_settings_find(config, name);
    return setting ? setting->text : NULL;
}

static void read_config(const RgSettings *config, Walk *walk) {
    const char *every = text_of(config, "evaluation.every");
    const char *per = text_of(config, "evaluation.per");
    const char *start = text_of(config, "evaluation.start");
    const char *log_every = text_of(config, "evaluation.log_every");
    if (!every || !per || !start || !log_every)
        return;
    walk->every = strtod(every, NULL);
    walk->start = strcmp(start, "true") == 0;
    walk->log_every = strtoll(log_every, NULL, 10);
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        if (strcmp(costs[i].name, per) == 0) {
            walk->per = costs[i].column;
            bool whole = walk->every < MOST_STEPS && walk->every == floor(walk->every);
            walk->known = walk->every >= 0 && (walk->per || whole) && walk->log_every >= 1 &&
                          (double)walk->log_every < MOST_STEPS;
        }
}

/* Reads the trial's row. */
static RgStatus read_trial(RgStore *store, int64_t trial, Walk *walk, RgError *error) {
    RgRows *rows = rg_rows_open(store, "trials", "SELECT status, config FROM trials WHERE id = ?1");
    rg_rows_of_trial(rows, trial);
    if (rg_rows_next(rows)) {
        RgSettings *config = rg_settings_create();
        const char *status = rg_rows_text(rows, 0), *text = rg_rows_text(rows, 1);
        walk->done = rg_status_is_done(status);
        walk->finished = strcmp(status, "finished") == 0;
        if (text && rg_settings_from_json(text, config, NULL) == RG_OK)
            read_config(config, walk);
        rg_settings_destroy(config);
    }
    return rg_rows_close(rows, RG_OK, error);
}

/* ---- missing steps ---- */

static void add_range(Walk *walk) {
    if (walk->first < 0)
        return;
    char range[64] = "";
    if (walk->first == walk->last)
        snprintf(range, sizeof range, "%lld", (long long)walk->first);
    else
        snprintf(range, sizeof range, "%lld to %lld", (long long)walk->first,
                 (long long)walk->last);
    walk->several |= walk->ranges > 0 || walk->first != walk->last;
    if (walk->ranges <= MOST_RANGES) {
        bool more = walk->ranges == MOST_RANGES;
        char *longer = rg_string_format("%s%s%s", walk->text ? walk->text : "",
                                        !walk->text ? ""
                                        : more      ? " and more"
                                                    : ", ",
                                        more ? "" : range);
        free(walk->text);
        walk->text = longer;
    }
    walk->ranges++;
    walk->first = walk->last = -1;
}

/* Adds a missing step. Steps with no reading between them form one range. */
static void miss(Walk *walk, int64_t step) {
    walk->first = walk->first < 0 || step < walk->first ? step : walk->first;
    walk->last = step > walk->last ? step : walk->last;
}

/* Adds the first and the last multiple of `unit` in (from, to). */
static void miss_multiples(Walk *walk, int64_t unit, int64_t from, int64_t to) {
    int64_t first = unit > 0 ? (from / unit + 1) * unit : to;
    if (first >= to)
        return;
    miss(walk, first);
    miss(walk, (to - 1) / unit * unit);
}

/* The same rule as in experiments/program/config/budget.c. */
static bool is_due(const Walk *walk, double before, double after) {
    return walk->every > 0 && floor(after / walk->every) > floor(before / walk->every);
}

static void visit(Walk *walk, int64_t step, double spent, bool evaluated) {
    int64_t from = walk->step < 0 ? 0 : walk->step;
    add_range(walk);
    if (walk->step < 0 && walk->start && (step > 0 || !evaluated))
        miss(walk, 0);
    miss_multiples(walk, walk->log_every, from, step);
    if (!walk->per)
        miss_multiples(walk, (int64_t)walk->every, from, step);
    bool due =
        walk->per ? is_due(walk, walk->spent, spent) : is_due(walk, (double)step - 1, (double)step);
    if (step > 0 && due && !evaluated)
        miss(walk, step);
    walk->step = step;
    walk->spent = spent;
}

/* A trial that diverged has no evaluation at its last reading; one that finished has. */
static RgStatus walk_readings(RgStore *store, int64_t trial, Walk *walk, RgError *error) {
    char *query = rg_string_format("SELECT step, evaluated, %s AS \"readings.cost\" FROM readings"
                                   " WHERE trial = ?1 ORDER BY step",
                                   walk->per ? walk->per : "step");
    RgRows *rows = rg_rows_open(store, "readings", query);
    free(query);
    rg_rows_of_trial(rows, trial);
    bool more = rg_rows_next(rows);
    while (more) {
        int64_t step = rg_rows_integer(rows, 0);
        bool evaluated = rg_rows_integer(rows, 1) != 0;
        double spent = rg_rows_type(rows, 2) == RG_VALUE_NULL ? 0 : rg_rows_number(rows, 2);
        more = rg_rows_next(rows);
        bool diverged = !more && walk->done && !walk->finished;
        visit(walk, step, spent, evaluated || diverged);
        if (!more && walk->finished && !evaluated)
            miss(walk, step);
    }
    add_range(walk);
    return rg_rows_close(rows, RG_OK, error);
}

RgStatus rg_curve_gaps(RgStore *store, int64_t trial, char **steps, RgError *error) {
    Walk walk = {.step = -1, .first = -1, .last = -1};
    *steps = NULL;
    RG_TRY(read_trial(store, trial, &walk, error));
    RgStatus status = walk.known ? walk_readings(store, trial, &walk, error) : RG_OK;
    if (status == RG_OK && walk.text)
        *steps = rg_string_format("step%s %s", walk.several ? "s" : "", walk.text);
    free(walk.text);
    return status;
}
