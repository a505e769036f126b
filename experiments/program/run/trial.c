/* SPDX-License-Identifier: MIT */
/* One trial: train, log, evaluate, checkpoint.
 *
 * Within a step, rows are committed to the store first, and the checkpoint is written after them.
 * If a trial is killed in between, its resumed run finds rows newer than its checkpoint, drops
 * them, and writes the same ones again. */
#include "experiments/program/run/trial.h"

#include "core/results/weights.h"
#include "core/stop.h"
#include "core/tensor/blas.h"
#include "core/tensor/profile.h"
#include "core/tensor/threads.h"
#include "experiments/program/config/build_versions.h"
#include "experiments/program/config/units.h"
#include "experiments/program/run/gradient_terms.h"
#include "experiments/program/run/trial_internal.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- provenance ---- */

/* With the ranks that ran it together, where there were several: seconds hang on them. */
static char *provenance(const RgTrialRun *run, const char *kernels, int ranks) {
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s}", "version", RG_VERSION, "commit",
                               rg_build_commit(), "built_with", rg_build_versions(), "blas_core",
                               kernels, "threads", rg_threads(), "host", host);
    if (ranks > 1)
        json_object_set_new(object, "ranks", json_integer(ranks));
    json_t *overrides = run->overrides ? json_loads(run->overrides, 0, NULL) : NULL;
    if (json_object_size(overrides) > 0)
        json_object_set(object, "overrides", overrides);
    json_decref(overrides);
    char *text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(object);
    return text;
}

/* ---- one trial ---- */

static RgSpending spending(const RgTrialInHand *trial) {
    return (RgSpending){trial->trainer->step, trial->trainer->meter};
}

static bool budget_left(const RgTrialInHand *trial) {
    const RgAlgorithm *a = trial->plan->algorithm;
    RgSpending now = spending(trial);
    return (a->loss || a->step) && !rg_selection_is_over(trial->selection) &&
           rg_budget_share(&trial->budget, &now, NULL) < 1;
}

/* Of an algorithm with a step of its own it is seen only now whether its limits can be reached. */
static RgStatus check_pace(const RgTrialInHand *trial, RgError *error) {
    const int64_t patience = 1000;
    RgSpending now = spending(trial);
    if (now.step != patience || rg_budget_share(&trial->budget, &now, NULL) > 0)
        return RG_OK;
    return rg_fail(error, RG_E_USAGE,
                   "budget: %s has spent nothing of any limit in %ld steps and would never "
                   "end: add a limit of steps, flops or seconds",
                   trial->plan->part.label, (long)patience);
}

/* A judge has failed: which trial it was, and where, in front of what the judge says. Nothing of
 * that step is recorded; run again, the trial goes on from its last checkpoint. */
static RgStatus failed_at(const RgTrialInHand *trial, RgStatus status, int64_t step,
                          RgError *error) {
    return rg_fail_in(error, status, "%s, seed %ld, step %ld", trial->plan->part.label,
                      (long)trial->plan->seed, (long)step);
}

/* What an evaluation says of the trial's result, and of its end. */
static RgStatus select_result(RgTrialInHand *trial, const RgEvaluation *evaluation,
                              RgError *error) {
    RG_TRY(rg_selection_see(trial->selection, evaluation, trial->trainer->step, error));
    char *end = rg_selection_end(trial->selection);
    if (end)
        rg_progress_note(trial->run->progress, "%s ends at step %ld: %s", trial->name,
                         (long)trial->trainer->step, end);
    free(end);
    return RG_OK;
}

RgStatus rg_trial_evaluate(RgTrialInHand *trial, double share, RgEvaluation *evaluation,
                           RgError *error) {
    const RgTrialSetup *setup = &trial->run->setup;
    const RgTrialSpec *plan = trial->plan;
    RgRandom random = rg_random_named(rg_random_root((uint64_t)plan->seed), "evaluation");
    RgContender contender = {.policy = trial->policy,
                             .reference = setup->reference,
                             .beta = plan->recipe.beta,
                             .best_of = plan->recipe.best_of,
                             .share = share};
    setup->environment->task.process_group = NULL; /* the others wait for the next step */
    RgStatus status =
        rg_environment_evaluate(setup->environment, &contender, random, evaluation, error);
    if (status == RG_OK && plan->evaluation.gradients > 0)
        status = rg_gradient_terms(setup, plan, trial->trainer, evaluation, error);
    setup->environment->task.process_group = trial->together;
    return status;
}

static RgStatus record_step(RgTrialInHand *trial, bool evaluate, RgError *error) {
    RgTrainer *trainer = trial->trainer;
    const RgOutcome *outcome = &trainer->outcome;
    const RgTrialSetup *setup = &trial->run->setup;
    enum { MOST = sizeof outcome->metrics / sizeof *outcome->metrics };
    const char *names[MOST + RG_ENVIRONMENT_COUNTS];
    double values[MOST + RG_ENVIRONMENT_COUNTS];
    RgEnvironmentCount counts[RG_ENVIRONMENT_COUNTS];
    double seconds = 0;
    int count = outcome->metric_count;
    for (int i = 0; i < count; i++) {
        names[i] = outcome->metrics[i].name;
        values[i] = outcome->metrics[i].value;
    }
    int counted = rg_environment_take_counts(setup->environment, counts);
    if (counted > RG_ENVIRONMENT_COUNTS)
        return rg_fail(error, RG_E_RANGE,
                       "the environment \"%s\": take_counts gives %d numbers, expected at most %d",
                       setup->environment->type->about.name, counted, (int)RG_ENVIRONMENT_COUNTS);
    for (int i = 0; i < counted; i++, count++) {
        names[count] = counts[i].name;
        values[count] = counts[i].value;
    }
    RgEvaluation *evaluation = NULL;
    if (evaluate) {
        evaluation = rg_evaluation_create();
        double start = rg_clock_seconds();
        rg_profile_lap("other", false);
        RgStatus status = rg_trial_evaluate(trial, 1, evaluation, error);
        rg_profile_lap("evaluation, the rest", false);
        seconds = rg_clock_seconds() - start;
        if (status != RG_OK) {
            rg_evaluation_destroy(evaluation);
            return failed_at(trial, status, trainer->step, error);
        }
        const char *primary_metric = setup->environment->type->primary_metric;
        rg_progress_note(trial->run->progress, "[%ld/%ld] %s step %ld: %s %.4f",
                         (long)trial->run->progress->trial, (long)trial->run->progress->trials,
                         trial->name, (long)trainer->step, primary_metric,
                         rg_evaluation_find(evaluation, primary_metric));
        status = select_result(trial, evaluation, error);
        if (status != RG_OK) {
            rg_evaluation_destroy(evaluation);
            return status;
        }
    }
    double peak = rg_peak_memory(); /* a resumed trial's was perhaps greater before */
    if (trainer->meter.peak_memory < peak)
        trainer->meter.peak_memory = peak;
    RgStatus status = rg_store_step(trial->run->store, trial->record.id, trainer->step,
                                    &trainer->meter, names, values, count, evaluation, error);
    if (status == RG_OK && evaluate)
        status = rg_store_evaluation_time(trial->run->store, trial->record.id, trainer->step,
                                          seconds, error);
    if (status == RG_OK)
        status = rg_event_log_add(trial->events, error);
    rg_evaluation_destroy(evaluation);
    return status;
}

/* The store knows the checkpoint, and with it all rows before it, when it takes its place. */
static RgStatus save_checkpoint(RgTrialInHand *trial, RgError *error) {
    RgNewFile file;
    char sum[RG_SHA256_TEXT];
    trial->last_checkpoint = rg_clock_seconds();
    RG_TRY(rg_new_file_begin(trial->checkpoint_path, &file, error));
    file.hashing = rg_hashing_begin();
    RgStatus status = rg_checkpoint_write(trial->checkpoint, &file, trial->plan->key, error);
    rg_hashing_sum(file.hashing, sum);
    if (status == RG_OK)
        status = rg_store_checkpoint(trial->run->store, trial->record.id, trial->checkpoint_sum,
                                     sum, error);
    RG_TRY(rg_new_file_end(&file, status, error));
    memcpy(trial->checkpoint_sum, sum, sizeof sum);
    return RG_OK;
}

/* A notice that comes again and again is given once. */
static void report_notice(RgTrialInHand *trial) {
    const char *notice = trial->trainer->outcome.notice;
    if (notice && notice != trial->reported)
        rg_progress_note(trial->run->progress, "%s, step %ld: %s", trial->name,
                         (long)trial->trainer->step, notice);
    if (notice)
        trial->reported = notice;
}

static bool stop_wanted(const RgTrialInHand *trial) {
    return rg_stop_wanted() || trial->stopped;
}

/* One step and what is due after it. */
static RgStatus train_step(RgTrialInHand *trial, bool *going, RgError *error) {
    RgTrainer *trainer = trial->trainer;
    const RgEvaluationOptions *e = &trial->plan->evaluation;
    RgSpending before = spending(trial);
    RgStatus status = rg_trainer_step(trainer, error);
    if (status != RG_OK)
        return failed_at(trial, status, trainer->step, error);
    *going = !trainer->outcome.diverged;
    RgSpending after = spending(trial);
    if (trainer->cache)
        RG_TRY(rg_reference_cache_status(trial->run->cache, error));
    rg_progress_step(trial->run->progress, trainer);
    report_notice(trial);
    RG_TRY(check_pace(trial, error));
    bool last = !*going || !budget_left(trial); /* as far as is known before it is evaluated */
    bool evaluate = last || rg_evaluation_due(e, &before, &after);
    if (evaluate || trainer->step % e->log_every == 0)
        RG_TRY(record_step(trial, evaluate && *going, error));
    double age = rg_clock_seconds() - trial->last_checkpoint;
    bool stop = stop_wanted(trial);
    last = last || !budget_left(trial);
    if (*going && (stop || age >= trial->run->checkpoint_seconds))
        RG_TRY(save_checkpoint(trial, error));
    if (stop && !last)
        return rg_fail(error, RG_E_STOPPED,
                       "stopped by a signal at step %ld of %s, seed %ld; "
                       "run again to continue",
                       (long)trainer->step, trial->plan->part.label, (long)trial->plan->seed);
    return RG_OK;
}

/* Train until the budget is spent, the trial diverges or a signal comes. */
static RgStatus train(RgTrialInHand *trial, RgError *error) {
    bool going = true;
    RgStatus status = RG_OK;
    while (rg_trial_hear(trial, status == RG_OK && going && budget_left(trial)))
        status = train_step(trial, &going, error);
    return status;
}

static RgStatus finish(RgTrialInHand *trial, RgError *error) {
    const RgTrainer *trainer = trial->trainer;
    RgChecksum sum;
    int64_t selected = rg_selection_restore(trial->selection, trial->policy->parameters);
    RG_TRY(rg_policy_save(trial->policy, trial->weights_path, error));
    RG_TRY(rg_file_checksum(trial->weights_path, &sum, error));
    const char *diverged = trainer->outcome.diverged;
    char *reason =
        diverged ? rg_string_format("step %ld: %s", (long)trainer->step, diverged) : NULL;
    RgStatus status = rg_store_trial_done(trial->run->store, trial->record.id, reason, sum.sha256,
                                          selected, error);
    if (reason)
        rg_progress_note(trial->run->progress, "%s diverged at %s", trial->name, reason);
    free(reason);
    RG_TRY(status);
    rg_file_remove(trial->checkpoint_path);
    return RG_OK;
}

/* The kernels of a trial that goes on: those before, and these where they are others. Then its bits
 * are not those of either, which its record has to say. */
static RgStatus record_kernels(RgTrialInHand *trial, RgError *error) {
    const char *before = rg_checkpoint_kernels(trial->checkpoint), *now = rg_blas_core();
    const char *semicolon = before ? strrchr(before, ';') : NULL;
    const char *last = semicolon ? semicolon + 2 : before;
    if (!before) {
        rg_checkpoint_set_kernels(trial->checkpoint, now);
        return RG_OK;
    }
    if (strcmp(last, now) != 0) {
        rg_progress_note(trial->run->progress,
                         "%s: began on other kernels (%s; now %s): its bits will differ from a run "
                         "on either",
                         trial->name, before, now);
        char *all = rg_string_format("%s; %s", before, now);
        rg_checkpoint_set_kernels(trial->checkpoint, all);
        free(all);
    } else if (!semicolon) {
        return RG_OK;
    }
    char *where = provenance(trial->run, rg_checkpoint_kernels(trial->checkpoint),
                             trial->together ? trial->process_group.size : 1);
    RgTrialRecord record = trial->record;
    record.provenance_json = where;
    bool finished;
    RgStatus status = rg_store_trial(trial->run->store, &record, &finished, error);
    free(where);
    return status;
}

static RgStatus load_checkpoint(RgTrialInHand *trial, RgError *error) {
    RgChecksum sum;
    RG_TRY(rg_weights_check(trial->run->store, trial->record.id, RG_WEIGHTS_CHECKPOINT,
                            trial->checkpoint_path, &sum, error));
    RG_TRY(rg_checkpoint_load(trial->checkpoint, trial->checkpoint_path, trial->plan->key, error));
    memcpy(trial->checkpoint_sum, sum.sha256, sizeof sum.sha256);
    return RG_OK;
}

/* A checkpoint that cannot be used is kept under another name, for whoever wants to look. */
static RgStatus set_aside(RgTrialInHand *trial, const RgError *why, RgError *error) {
    char *aside = rg_string_format("%s.damaged", trial->checkpoint_path);
    RgStatus status = RG_OK;
    if (rename(trial->checkpoint_path, aside) != 0)
        status = rg_fail(error, RG_E_FILE, "%s: cannot be set aside as %s: %s",
                         trial->checkpoint_path, aside, strerror(errno));
    else
        rg_progress_warn(trial->run->progress, "%s: starts again: %s; it is kept as %s",
                         trial->name, why->text, aside);
    free(aside);
    return status;
}

/* A store that was deleted, or replaced by an older one, lacks what was recorded before. */
static RgStatus report_lost_rows(RgTrialInHand *trial, RgError *error) {
    int64_t recorded, step = trial->trainer->step, every = trial->plan->evaluation.log_every;
    RG_TRY(rg_store_last_step(trial->run->store, trial->record.id, &recorded, error));
    if (recorded < step / every * every)
        rg_progress_warn(trial->run->progress,
                         "%s: the store has no rows of steps %ld to %ld; its curves will lack "
                         "them",
                         trial->name, (long)recorded + 1, (long)step);
    return RG_OK;
}

static RgStatus go_on(RgTrialInHand *trial, RgError *error) {
    rg_progress_note(trial->run->progress, "%s: resuming from step %ld", trial->name,
                     (long)trial->trainer->step);
    RG_TRY(report_lost_rows(trial, error));
    return record_kernels(trial, error);
}

/* A trial that was killed before its first checkpoint, or failed there. */
static RgStatus begin_again(RgTrialInHand *trial, RgError *error) {
    int64_t recorded;
    RG_TRY(rg_store_last_step(trial->run->store, trial->record.id, &recorded, error));
    if (recorded >= 0)
        rg_progress_note(
            trial->run->progress,
            "%s: begins again at step 0, as it has no checkpoint; it had recorded step "
            "%ld",
            trial->name, (long)recorded);
    return RG_OK;
}

/* Take up a killed trial where its checkpoint left it, or start afresh. */
static RgStatus resume(RgTrialInHand *trial, RgError *error) {
    int64_t step = -1;
    if (access(trial->checkpoint_path, F_OK) == 0) {
        RgError why = {0};
        RgStatus status = load_checkpoint(trial, &why);
        if (status == RG_E_FORMAT) {
            RG_TRY(set_aside(trial, &why, error));
        } else if (status != RG_OK) {
            return rg_fail(error, status, "%s", why.text);
        } else {
            step = trial->trainer->step;
            RG_TRY(go_on(trial, error));
        }
    } else {
        RG_TRY(begin_again(trial, error));
    }
    RG_TRY(rg_store_trial_rewind(trial->run->store, trial->record.id, step, error));
    bool trains = trial->plan->algorithm->loss || trial->plan->algorithm->step;
    if (step < 0 && (trial->plan->evaluation.start || !trains))
        RG_TRY(record_step(trial, true, error));
    return RG_OK;
}

RgStatus rg_trial_begin(RgTrialInHand *trial, RgError *error) {
    const RgTrialSetup *setup = &trial->run->setup;
    const RgTrialSpec *plan = trial->plan;
    const RgTask *task = &setup->environment->task;
    trial->budget = plan->budget;
    RgStatus status =
        rg_resolve_place(plan->resolved,
                         rg_budget_resolve(&trial->budget, &plan->recipe, task,
                                           plan->training.batch, plan->part.label, error),
                         error);
    if (status == RG_OK)
        status = rg_trial_setup_policy(setup, plan, &trial->policy, error);
    if (status == RG_OK)
        status = rg_trainer_create(
            plan->algorithm, plan->algorithm_options, &plan->training, trial->policy,
            setup->reference, task, &plan->optimizer, trial->budget.steps,
            rg_random_named(rg_random_root((uint64_t)plan->seed), "training"), &trial->trainer,
            error);
    RG_TRY(rg_process_group_reduce_status(trial->together, status, error));
    trial->checkpoint = rg_checkpoint_create();
    rg_trainer_checkpoint(trial->trainer, trial->checkpoint);
    trial->selection =
        rg_selection_create(&plan->evaluation, &plan->budget, trial->policy->parameters);
    rg_selection_checkpoint(trial->selection, trial->checkpoint);
    rg_checkpoint_set_kernels(trial->checkpoint, rg_blas_core());
    return RG_OK;
}

static RgStatus run_trial(RgTrialInHand *trial, RgError *error) {
    RgTrialRun *run = trial->run;
    rg_peak_memory_restart(); /* what was made for all trials is in it; what one left is not */
    RG_TRY(rg_trial_begin(trial, error));
    if (run->cache) {
        trial->cache = rg_reference_cache_pairs(run->cache, rg_trial_setup_source(&run->setup));
        rg_trainer_use_cache(trial->trainer, &trial->cache);
    }
    trial->last_checkpoint = rg_clock_seconds();
    RgStatus status = resume(trial, error);
    if (status == RG_OK && run->events) /* what was rewound is not in it */
        status =
            rg_event_log_open(run->store, trial->record.id, run->events, &trial->events, error);
    RG_TRY(rg_trial_take_up(trial, status, error));
    RgSpending begun = spending(trial);
    rg_progress_trial(run->progress, trial->name, &trial->budget, &begun);
    RG_TRY(train(trial, error));
    rg_progress_trial_end(run->progress);
    return finish(trial, error);
}

void rg_trial_end(RgTrialInHand *trial) {
    RgTrialSetup *setup = &trial->run->setup;
    rg_trainer_destroy(trial->trainer);
    rg_checkpoint_destroy(trial->checkpoint);
    rg_selection_destroy(trial->selection);
    rg_event_log_close(trial->events);
    rg_policy_destroy(trial->policy);
    setup->process_group = NULL;
    if (setup->environment)
        setup->environment->task.process_group = NULL;
}

static char *trial_name(const RgTrialSpec *plan) {
    char *swept_options = rg_swept_text(plan->swept_json);
    char *name = rg_string_format("%s seed %ld%s%s", plan->part.label, (long)plan->seed,
                                  swept_options[0] ? ", " : "", swept_options);
    free(swept_options);
    return name;
}

char *rg_trial_checkpoint(const RgTrialRun *run, const RgTrialSpec *plan) {
    return rg_string_format("%s/%s-checkpoint.safetensors", run->folder, plan->key);
}

RgStatus rg_trial_run(RgTrialRun *run, const RgTrialSpec *plan, RgError *error) {
    char *where = provenance(run, rg_blas_core(),
                             run->process_group ? rg_trial_ranks(run->process_group, plan) : 1);
    RgTrialInHand trial = {.run = run,
                           .plan = plan,
                           .name = trial_name(plan),
                           .checkpoint_path = rg_trial_checkpoint(run, plan),
                           .weights_path =
                               rg_string_format("%s/%s.safetensors", run->folder, plan->key),
                           .record = {.experiment = run->experiment,
                                      .key = plan->key,
                                      .algorithm = plan->algorithm->about.name,
                                      .label = plan->part.label,
                                      .seed = plan->seed,
                                      .swept_json = plan->swept_json,
                                      .config_json = plan->resolved_json,
                                      .provenance_json = where}};
    bool finished = false;
    RgStatus status = rg_store_trial(run->store, &trial.record, &finished, error);
    if (status == RG_OK && finished)
        rg_file_remove(
            trial.checkpoint_path); /* of a run that was killed between its last two steps */
    if (status == RG_OK && !finished) {
        rg_trial_call_process_group(&trial);
        status = rg_trial_check_call(&trial, plan->key, error);
        if (status == RG_OK)
            status = rg_trial_setup_make(&run->setup, plan, error);
        rg_profile_lap("environment, the rest", false);
        if (status == RG_OK)
            status = run_trial(&trial, error);
        if (status != RG_OK && status != RG_E_STOPPED) {
            RgError ignored = {0}; /* the first error is the one to report */
            rg_store_trial_status(run->store, trial.record.id, "failed", error->text, &ignored);
        }
    }
    rg_trial_end(&trial);
    free(trial.name);
    free(trial.checkpoint_path);
    free(trial.weights_path);
    free(where);
    return status;
}
