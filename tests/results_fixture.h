/* SPDX-License-Identifier: MIT */
/* A small results store for the tests of the analysis, written through the store's own functions:
 * methods whose true order is known, and whose numbers are functions of method, seed, step and
 * prompt. Nothing here is an expected value: the tests compute theirs on their own. */
#ifndef RG_TESTS_RESULTS_FIXTURE_H
#define RG_TESTS_RESULTS_FIXTURE_H

#include "core/files.h"
#include "core/results/store.h"
#include "core/tensor/random.h"
#include "tests/scratch.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIXTURE_STEPS = 200, FIXTURE_EVERY = 25, FIXTURE_ITEMS = 40 };

typedef struct FixtureTrial {
    const char *algorithm, *label, *swept, *status, *reason;
    int seed;
    double quality; /* reward gained by the end */
    double speed;   /* cost of a step, relative */
    int steps;
    bool independent; /* did a second judge score it? */
    bool items;
} FixtureTrial;

static inline void fixture_check(RgStatus status, const RgError *error) {
    cr_assert(status == RG_OK, "%s", error->text);
}

/* A path in the test's folder (its suite is to have scratch_begin); the caller
 * frees. */
static inline char *fixture_path(const char *name) {
    return rg_string_copy(scratch(name));
}

static inline double fixture_reward(const FixtureTrial *trial, int step, int item) {
    RgRandom random = rg_random_named(rg_random_root((uint64_t)trial->seed), trial->label);
    double progress = 1 - exp(-3.0 * step / FIXTURE_STEPS);
    double prompt = 0.6 * rg_random_normal(rg_random_root(99), (uint64_t)item);
    double noise = 0.4 * rg_random_normal(rg_random_at(random, (uint64_t)step), (uint64_t)item);
    double of_seed = 0.08 * rg_random_normal(random, 12345) * progress;
    return prompt + trial->quality * progress + of_seed + noise;
}

static inline void fixture_evaluate(const FixtureTrial *trial, int step, RgEvaluation *e) {
    double reward[FIXTURE_ITEMS], win[FIXTURE_ITEMS], second[FIXTURE_ITEMS];
    FixtureTrial base = *trial;
    base.quality = 0;
    base.label = "base";
    for (int i = 0; i < FIXTURE_ITEMS; i++) {
        reward[i] = fixture_reward(trial, step, i);
        double other = fixture_reward(&base, step, i);
        win[i] = fabs(reward[i] - other) < 0.05 ? 0.5 : reward[i] > other;
        second[i] = 0.7 * reward[i] + 0.2 * trial->quality * trial->quality;
        char prompt[64], response[96];
        snprintf(prompt, sizeof prompt, "Once upon a time <%d> there was a fish & a \"boat\"", i);
        snprintf(response, sizeof response, "%s of seed %d sailed on.\nThe end.", trial->label,
                 trial->seed);
        if (i < 5 && trial->items)
            rg_evaluation_response(e, i, prompt, response);
    }
    if (trial->items) {
        rg_evaluation_column_and_mean(e, "reward", reward, FIXTURE_ITEMS);
        rg_evaluation_column_and_mean(e, "win_rate_base", win, FIXTURE_ITEMS);
    } else {
        rg_evaluation_metric(e, "reward", reward[0]);
    }
    if (trial->independent)
        rg_evaluation_column_and_mean(e, "independent_reward", second, FIXTURE_ITEMS);
    rg_evaluation_metric(e, "kl", 4 * trial->quality * step / FIXTURE_STEPS);
    rg_evaluation_metric(e, "length", 30 + 5 * trial->quality);
}

static inline void fixture_steps(RgStore *store, int64_t id, const FixtureTrial *trial) {
    RgError error = {0};
    for (int step = 0; step <= trial->steps; step += 5) {
        RgMeter meter = {.flops = 2.5e9 * step * trial->speed,
                         .seconds = 0.11 * step * trial->speed,
                         .trained_tokens = 640 * step,
                         .generated_tokens = trial->speed > 1 ? 320 * step : 0,
                         .judge_queries = trial->speed > 1 ? 8 * step : 0,
                         .peak_memory = 1.5e8 * trial->speed};
        const char *names[] = {"loss"};
        double loss =
            0.69 * exp(-2.0 * step / FIXTURE_STEPS) +
            0.02 * rg_random_normal(rg_random_root((uint64_t)trial->seed), (uint64_t)step);
        RgEvaluation *evaluation = NULL;
        if (step % FIXTURE_EVERY == 0) {
            evaluation = rg_evaluation_create();
            fixture_evaluate(trial, step, evaluation);
        }
        fixture_check(rg_store_step(store, id, step, &meter, names, &loss, 1, evaluation, &error),
                      &error);
        rg_evaluation_destroy(evaluation);
    }
}

static inline int64_t fixture_trial(RgStore *store, int64_t experiment, const FixtureTrial *trial) {
    RgError error = {0};
    bool finished;
    char name[160], key[17];
    int length = snprintf(name, sizeof name, "%s%s%d", trial->label, trial->swept, trial->seed);
    snprintf(key, sizeof key, "%016llx",
             (unsigned long long)rg_hash(RG_HASH_START, name, (size_t)length));
    RgTrialRecord record = {.experiment = experiment,
                            .key = key,
                            .algorithm = trial->algorithm,
                            .label = trial->label,
                            .seed = trial->seed,
                            .swept_json = trial->swept,
                            .config_json = "{\"environment.kind\": \"stories\", \"beta\": \"0.1\"}",
                            .provenance_json = "{\"version\": \"1.0\", \"blas\": \"Haswell\"}"};
    fixture_check(rg_store_trial(store, &record, &finished, &error), &error);
    fixture_steps(store, record.id, trial);
    if (strcmp(trial->status, "running") != 0)
        fixture_check(rg_store_trial_status(store, record.id, trial->status, trial->reason, &error),
                      &error);
    return record.id;
}

/* Open a new store with one experiment; the path is the caller's to free. */
static inline RgStore *fixture_open(const char *path, const char *name, int64_t *experiment) {
    RgError error = {0};
    RgStore *store;
    fixture_check(rg_store_open(path, true, &store, &error), &error);
    fixture_check(rg_store_experiment(store, name,
                                      "{\"environment.kind\": \"stories\", \"steps\": \"200\","
                                      " \"algorithms.0.label\": \"SAIL-PP\","
                                      " \"algorithms.1.label\": \"DPO\","
                                      " \"algorithms.2.label\": \"online DPO\","
                                      " \"algorithms.3.label\": \"SAIL-PR\"}",
                                      experiment, &error),
                  &error);
    return store;
}

/* DPO < online DPO < SAIL-PR by reward, four seeds each, one of SAIL-PR's diverged at step 60. */
static inline char *fixture_methods(void) {
    char *path = fixture_path("methods.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "methods", &experiment);
    const FixtureTrial methods[] = {
        {"dpo", "DPO", "{}", "finished", NULL, 0, 0.5, 1, FIXTURE_STEPS, true, true},
        {"online_dpo", "online DPO", "{}", "finished", NULL, 0, 0.9, 2.6, FIXTURE_STEPS, true,
         true},
        {"sail", "SAIL-PR", "{}", "finished", NULL, 0, 1.1, 1.5, FIXTURE_STEPS, true, true},
    };
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++)
        for (int seed = 1; seed <= 4; seed++) {
            FixtureTrial trial = methods[m];
            trial.seed = seed;
            if (m == 2 && seed == 4) {
                trial.status = "diverged";
                trial.reason = "the loss is not a number";
                trial.steps = 60;
            }
            fixture_trial(store, experiment, &trial);
        }
    rg_store_close(store);
    return path;
}

/* SAIL-PP with exploration 0, 0.1, 0.3, 1, and DPO without; three seeds. */
static inline char *fixture_sweep(void) {
    char *path = fixture_path("sweep.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "sweep", &experiment);
    const double values[] = {1, 0, 0.3, 0.1}; /* not in order */
    for (int v = 0; v < 4; v++)
        for (int seed = 1; seed <= 3; seed++) {
            char swept[64];
            snprintf(swept, sizeof swept, "{\"algorithms.1.exploration\": %g}", values[v]);
            FixtureTrial trial = {"sail",
                                  "SAIL-PP",
                                  swept,
                                  "finished",
                                  NULL,
                                  seed,
                                  0.5 + values[v] * (1 - values[v]),
                                  1.4,
                                  FIXTURE_STEPS,
                                  false,
                                  true};
            fixture_trial(store, experiment, &trial);
            if (v == 0) {
                trial.algorithm = "dpo";
                trial.label = "DPO";
                trial.swept = "{}";
                trial.speed = 1;
                trial.items = false;
                fixture_trial(store, experiment, &trial);
            }
        }
    rg_store_close(store);
    return path;
}

/* SAIL-PR over exploration 0, 0.1 and mixture 0.25, 0.5, 1, two seeds: quality is exploration +
 * mixture. At 0.1 and 1 both seeds diverged, at 0 and 1 one of them. */
static inline char *fixture_grid(void) {
    char *path = fixture_path("grid.sqlite");
    int64_t experiment;
    RgStore *store = fixture_open(path, "grid", &experiment);
    const double exploration[] = {0.1, 0}, mixture[] = {0.5, 1, 0.25};
    for (int e = 0; e < 2; e++)
        for (int m = 0; m < 3; m++)
            for (int seed = 1; seed <= 2; seed++) {
                bool diverged = mixture[m] == 1 && (seed == 2 || exploration[e] > 0);
                char swept[64];
                snprintf(swept, sizeof swept, "{\"exploration\": %g, \"mixture\": %g}",
                         exploration[e], mixture[m]);
                FixtureTrial trial = {.algorithm = "sail",
                                      .label = "SAIL-PR",
                                      .swept = swept,
                                      .status = diverged ? "diverged" : "finished",
                                      .reason = diverged ? "the loss is not a number" : NULL,
                                      .seed = seed,
                                      .quality = exploration[e] + mixture[m],
                                      .speed = 1.4,
                                      .steps = 50,
                                      .items = true};
                fixture_trial(store, experiment, &trial);
            }
    rg_store_close(store);
    return path;
}

/* Whole file as text; the caller frees. */
static inline char *fixture_read(const char *path) {
    RgError error = {0};
    char *text;
    size_t size;
    fixture_check(rg_file_read(path, &text, &size, &error), &error);
    return text;
}

#endif
