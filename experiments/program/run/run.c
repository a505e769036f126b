/* SPDX-License-Identifier: MIT */
/* Running experiments: the store, the folder of its weights, and the choice of trials to run. */
#include "experiments/program/run/run.h"

#include "core/files.h"
#include "core/lookup.h"
#include "core/notice.h"
#include "core/plugin.h"
#include "core/results/judge_cache.h"
#include "core/results/last_run.h"
#include "core/results/parts.h"
#include "core/results/rows.h"
#include "core/results/weights.h"
#include "experiments/program/run/compatibility.h"
#include "experiments/program/run/forecast.h"
#include "experiments/program/run/process_pool.h"
#include "experiments/program/run/programs.h"
#include "experiments/program/run/recorded_inputs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where trials are recorded: in the whole store, or in a partial store. */
typedef struct Place {
    RgRanks *ranks;            /* that share the trials; NULL: none */
    RgReadyEnvironment *ready; /* that the first trial may take; NULL: none */
    RgPart *part;              /* of this rank */
    const bool *skip;
} Place;

bool rg_run_in_pool(const RgRunOptions *options) {
    return options->jobs > 1 || options->memory_limit > 0;
}

char *rg_experiment_store_path(const RgExperiment *experiment, const char *results) {
    return results ? rg_string_copy(results)
                   : rg_string_format("results/%s.db", experiment->options.name);
}

/* One trial after another, in this process. */
static RgStatus run_in_turn(RgTrialRun *run, const RgExperiment *experiment, RgError *error) {
    RgStatus status = RG_OK;
    int64_t *order = rg_trial_setup_order(experiment);
    for (int64_t k = 0; k < experiment->trial_count && status == RG_OK; k++) {
        int64_t i = order[k];
        run->progress->trial = i + 1;
        if (!run->skip || !run->skip[i])
            status = rg_trial_run(run, &experiment->trials[i], error);
    }
    free(order);
    return status;
}

static RgStatus run_in_pool(RgTrialRun *run, const RgExperiment *experiment, const RgRunOptions *a,
                            RgError *error) {
    RgProcessPoolOptions pool = {
        .jobs = a->jobs, .threads = a->threads, .memory_limit = a->memory_limit};
    rg_progress_share(run->progress, a->jobs);
    RG_TRY(rg_process_pool_run(run, experiment, &pool, error));
    return rg_store_wake(run->store, error); /* it rests while children write to it */
}

/* The trials handed out by rank 0, one at a time, unless the whole store has them. */
static RgStatus run_as_given(RgTrialRun *run, const RgExperiment *experiment, const Place *place,
                             RgError *error) {
    int64_t i;
    run->progress->terminal = false;
    run->process_group = &place->ranks->process_group;
    while ((i = rg_ranks_next(place->ranks)) >= 0) {
        bool finished;
        const RgTrialSpec *plan = &experiment->trials[i];
        run->progress->trial = i + 1;
        RG_TRY(rg_part_seed(place->part, experiment->options.name, plan->key, &finished, error));
        if (!finished)
            RG_TRY(rg_trial_run(run, plan, error));
    }
    return RG_OK;
}

/* Records the experiment and its present config, which tables show from now on. */
static RgStatus record_experiment(const RgExperiment *experiment, RgStore *store, int64_t *id,
                                  RgError *error) {
    RG_TRY(
        rg_store_experiment(store, experiment->options.name, experiment->config_json, id, error));
    const char **keys = rg_allocate(experiment->unfolded, sizeof *keys);
    for (int64_t i = 0; i < experiment->unfolded; i++)
        keys[i] = experiment->trials[i].key;
    RgStatus status = rg_last_run_record(store, *id, keys, experiment->unfolded, error);
    free(keys);
    return status;
}

/* Runs the trials of this process into a store. */
static RgStatus run_trials(const RgExperiment *experiment, RgStore *store, const Place *place,
                           const RgRunOptions *a, RgError *error) {
    char *folder = rg_store_folder(rg_store_path(store));
    rg_plugin_set_crash_note("the results store is intact"); /* its transactions are atomic */
    RgProgress progress = rg_progress_create(experiment->trial_count, a->quiet);
    RgTrialRun run = {.store = store,
                      .skip = place->skip,
                      .overrides = experiment->overrides_json,
                      .folder = folder,
                      .events = a->events,
                      .checkpoint_seconds = a->checkpoint_seconds,
                      .progress = &progress,
                      .setup.saves = true};
    if (place->ready) {
        run.setup.ready = *place->ready;
        *place->ready = (RgReadyEnvironment){0};
    }
    RgStatus status = rg_folder_make(folder, error);
    if (status == RG_OK && a->events) /* before anything runs */
        status = rg_folders_make_above(a->events, error);
    if (status == RG_OK && a->events)
        status = rg_folder_make(a->events, error);
    if (status == RG_OK)
        status = record_experiment(experiment, store, &run.experiment, error);
    if (status == RG_OK && rg_run_in_pool(a))
        status = run_in_pool(&run, experiment, a, error);
    else if (status == RG_OK)
        status = rg_reference_cache_open(store, &run.cache, error);
    if (status == RG_OK && run.cache)
        status = rg_judge_cache_open(store, &run.setup.answers, error);
    if (status == RG_OK && run.setup.answers)
        status = place->ranks ? run_as_given(&run, experiment, place, error)
                              : run_in_turn(&run, experiment, error);
    rg_progress_end(&progress);
    rg_plugin_set_crash_note(NULL);
    rg_trial_setup_clear(&run.setup);
    rg_ready_environment_clear(&run.setup.ready);
    rg_judge_cache_close(run.setup.answers);
    rg_reference_cache_close(run.cache);
    free(folder);
    return status;
}

/* ---- weights of finished trials ---- */

/* The rows of a finished trial have only the SHA-256 of its final weights, not the weights. */
typedef struct WeightsCheck {
    RgStore *store;
    RgWait wait;
    char *missing; /* names of trials */
    int missing_count;
} WeightsCheck;

enum { MOST_NAMES = 5 }; /* of missing weights in a message */

static RgStatus check_weights(WeightsCheck *check, RgRows *row, RgError *error) {
    const char *key = rg_rows_text(row, 1), *label = rg_rows_text(row, 2);
    const char *store = rg_store_path(check->store);
    RgError why = {0};
    bool missing;
    rg_wait_report(&check->wait, "%s: checking the weights of its trials", store);
    RgStatus status = rg_weights_look(check->store, rg_rows_integer(row, 0), key, RG_WEIGHTS_FINAL,
                                      &missing, &why);
    char *name = rg_string_format("%s seed %lld", label, (long long)rg_rows_integer(row, 3));
    if (status == RG_E_FORMAT) {
        rg_notice("%s; %s is not run again: regatta check-store %s --save copies the intact trials "
                  "into another store",
                  why.text, name, store);
        status = RG_OK;
    }
    if (missing && check->missing_count++ < MOST_NAMES) {
        char *names = rg_string_format("%s%s%s", check->missing ? check->missing : "",
                                       check->missing ? ", " : "", name);
        free(check->missing);
        check->missing = names;
    }
    free(name);
    return status == RG_OK ? RG_OK : rg_fail(error, status, "%s", why.text);
}

/* Reports damaged and missing weights by trial. */
static RgStatus report_weights(const RgExperiment *experiment, RgStore *store, RgError *error) {
    WeightsCheck check = {.store = store, .wait = rg_wait_begin()};
    char *folder = rg_store_folder(rg_store_path(store));
    RgRows *rows = rg_rows_open(store, "trials",
                                "SELECT t.id, t.key, t.label, t.seed FROM trials t JOIN experiments"
                                " e ON e.id = t.experiment WHERE e.name = ?1 AND t.status IN"
                                " ('finished', 'diverged') ORDER BY t.id");
    rg_rows_bind_text(rows, 1, experiment->options.name);
    RgStatus status = RG_OK;
    while (status == RG_OK && rg_rows_next(rows)) {
        const char *key = rg_rows_text(rows, 1);
        if (rg_lookup_find(experiment->keys, key, strlen(key)) >= 0)
            status = check_weights(&check, rows, error);
    }
    if (check.missing_count > MOST_NAMES)
        rg_notice("%s: the weights of %s and %d more are missing, though these trials are done",
                  folder, check.missing, check.missing_count - MOST_NAMES);
    else if (check.missing)
        rg_notice("%s: the weights of %s are missing, though %s done", folder, check.missing,
                  check.missing_count == 1 ? "this trial is" : "these trials are");
    free(check.missing);
    free(folder);
    return rg_rows_close(rows, status, error);
}

/* ---- the whole store ---- */

/* Opens the store, and merges the partial stores of this run or of an earlier one. */
static RgStatus open_whole(const char *path, RgStore **store, RgError *error) {
    RG_TRY(rg_store_open(path, true, store, error));
    RgStatus status =
        rg_store_verify(*store, RG_VERIFY_PAGES, error); /* a damaged file is never written to */
    if (status == RG_OK)
        status = rg_parts_gather(*store, error);
    if (status != RG_OK) {
        rg_store_close(*store);
        *store = NULL;
    }
    return status;
}

static RgStatus run_whole(const RgExperiment *experiment, const char *path, const RgRunOptions *a,
                          RgReadyEnvironment *ready, RgError *error) {
    RgStore *store;
    RG_TRY(open_whole(path, &store, error));
    RgStatus status = rg_report_changed_inputs(experiment, store, error);
    if (status == RG_OK)
        status = run_trials(experiment, store, &(Place){.ready = ready}, a, error);
    if (status == RG_OK)
        status = report_weights(experiment, store, error);
    rg_store_close(store);
    return status;
}

/* ---- shares ---- */

/* Chooses every `shares`th trial from number `share` on, unless the whole store has it. */
static RgStatus choose_share(const RgExperiment *experiment, RgPart *part, const RgRunOptions *a,
                             bool *skip, RgError *error) {
    for (int64_t i = 0; i < experiment->trial_count; i++) {
        skip[i] = i % a->shares != a->share - 1;
        if (!skip[i])
            RG_TRY(rg_part_seed(part, experiment->options.name, experiment->trials[i].key, &skip[i],
                                error));
    }
    return RG_OK;
}

static RgStatus run_share(const RgExperiment *experiment, const char *path, const RgRunOptions *a,
                          RgError *error) {
    RgPart *part;
    RG_TRY(rg_part_open(path, a->share, &part, error));
    bool *skip = rg_allocate(experiment->trial_count, sizeof *skip);
    RgStatus status = choose_share(experiment, part, a, skip, error);
    if (status == RG_OK)
        status = run_trials(experiment, part->store, &(Place){.skip = skip}, a, error);
    rg_part_close(part);
    free(skip);
    return status;
}

/* ---- ranks ---- */

/* Opens and closes the store, which merges partial stores of this run or of an earlier one.
 * `complete`: all trials of this run are done. */
static RgStatus gather(const RgExperiment *experiment, const char *path, bool complete,
                       RgError *error) {
    RgStore *store;
    RG_TRY(open_whole(path, &store, error));
    int64_t id;
    RgStatus status = complete ? record_experiment(experiment, store, &id, error)
                               : rg_report_changed_inputs(experiment, store, error);
    if (status == RG_OK && complete)
        status = report_weights(experiment, store, error);
    rg_store_close(store);
    return status;
}

static RgStatus run_part(const RgExperiment *experiment, const char *path, RgRanks *ranks,
                         const RgRunOptions *a, RgError *error) {
    Place place = {.ranks = ranks};
    RG_TRY(rg_part_open(path, ranks->rank, &place.part, error));
    RgStatus status = run_trials(experiment, place.part->store, &place, a, error);
    rg_part_close(place.part);
    return status;
}

/* For ranks that are not the first of their process group. */
static RgStatus help_group(const RgExperiment *experiment, RgRanks *ranks) {
    RgTrialRun run = {.process_group = &ranks->process_group};
    rg_trial_help(&run, experiment);
    rg_trial_setup_clear(&run.setup);
    return RG_OK;
}

/* What would end a trial is said before the first one begins. */
static RgStatus check_trials(const RgExperiment *experiment, const char *path,
                             RgReadyEnvironment *ready, RgError *error) {
    RG_TRY(rg_check_programs(experiment, path, error));
    return rg_check_compatibility(experiment, path, ready, error);
}

/* Ranks do not identify trials by recorded contents: all inputs have to be there. */
static RgStatus run_ranks(RgExperiment *experiment, const char *path, RgRanks *ranks,
                          const RgRunOptions *a, bool *complete, RgError *error) {
    RgStatus status =
        ranks->rank == 0 ? rg_check_inputs_to_be_read(experiment, NULL, error) : RG_OK;
    if (ranks->rank == 0 && status == RG_OK)
        status = check_trials(experiment, path, NULL, error);
    if (ranks->rank == 0 && status == RG_OK)
        status = gather(experiment, path, false, error);
    RG_TRY(rg_ranks_start(ranks, status, experiment->trial_count));
    if (!rg_process_group_leads(&ranks->process_group))
        return help_group(experiment, ranks);
    status = run_part(experiment, path, ranks, a, error);
    rg_trial_dismiss(&ranks->process_group);
    status = rg_ranks_finish(ranks, status, complete, error);
    RgError later = {0}; /* only the first error is reported */
    if (ranks->rank == 0 && *complete &&
        gather(experiment, path, status == RG_OK, &later) != RG_OK && status == RG_OK)
        status = rg_fail(error, RG_E_STORE, "%s", later.text);
    return status;
}

/* Finished trials stay finished if their inputs are missing, because nothing reads these.
 * Unfinished ones are refused before anything runs. A share writes a partial store, and reports
 * changes with respect to the whole store. */
static RgStatus look_at_whole(RgExperiment *experiment, const char *path, const RgRunOptions *a,
                              RgError *error) {
    char *missing = rg_missing_inputs(experiment);
    bool look = missing || a->share;
    free(missing);
    if (!look)
        return RG_OK;
    RgStore *store = NULL;
    if (access(path, F_OK) == 0)
        RG_TRY(rg_store_open(path, false, &store, error));
    RgStatus status = a->share ? RG_OK : rg_check_inputs_to_be_read(experiment, store, error);
    if (!store)
        return status;
    if (status == RG_OK)
        status = rg_know_missing_inputs(experiment, store, error);
    if (status == RG_OK && a->share)
        status = rg_report_changed_inputs(experiment, store, error);
    rg_store_close(store);
    return status;
}

/* What the trials have spent tells whether equal epochs were equal compute. */
static RgStatus report_unequal_epochs(const RgExperiment *experiment, const char *path,
                                      RgError *error) {
    bool epochs = false;
    for (int64_t i = 0; i < experiment->trial_count; i++)
        epochs |= experiment->trials[i].budget.epochs > 0;
    if (!epochs)
        return RG_OK;
    RgRunStatuses statuses = {0};
    RG_TRY(rg_run_statuses_open(path, experiment->options.name, &statuses, error));
    RgForecast *all =
        rg_forecast(experiment, statuses.count > 0 ? &statuses.at[0] : NULL, false, NULL, NULL);
    char *unequal = rg_forecast_unequal_epochs(all, experiment->trial_count);
    if (unequal)
        rg_notice("%s", unequal);
    free(unequal);
    free(all);
    rg_run_statuses_close(&statuses);
    return RG_OK;
}

RgStatus rg_experiment_run(RgExperiment *experiment, RgRanks *ranks, const RgRunOptions *a,
                           bool *complete, RgError *error) {
    RG_ASSERT(!experiment->restored);
    char *path = rg_experiment_store_path(experiment, a->results);
    bool alone = !ranks || ranks->size == 1;
    RgReadyEnvironment ready = {0};
    RgStatus status = alone ? look_at_whole(experiment, path, a, error) : RG_OK;
    if (alone && status == RG_OK) /* after the keys of missing inputs are known */
        status = check_trials(experiment, path, &ready, error);
    if (!alone)
        status = run_ranks(experiment, path, ranks, a, complete, error);
    else if (status == RG_OK && a->share)
        status = run_share(experiment, path, a, error);
    else if (status == RG_OK)
        status = run_whole(experiment, path, a, &ready, error);
    if (status == RG_OK && !a->share && (alone || (ranks->rank == 0 && *complete)))
        status = report_unequal_epochs(experiment, path, error);
    rg_ready_environment_clear(&ready);
    free(path);
    return status;
}
