/* One trial: make the stage, train, log, evaluate, checkpoint.
 *
 * Order within a step: rows are committed to the store first, the checkpoint is written after them.
 * A trial that was killed in between finds rows that are newer than its checkpoint, drops them, and
 * writes the same ones again. */
#include "experiments/trial.h"

#include "core/stop.h"
#include "core/tensor/blas.h"
#include "core/tensor/profile.h"
#include "experiments/amount.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the stage ---- */

/* The resolved settings of environment and policy, and the seed that both are drawn from. */
static char *stage_identity(const RgTrialPlan *plan, int64_t seed) {
    RgSettings *parts = rg_settings_create();
    rg_settings_copy_group(parts, "environment", plan->resolved, "environment");
    rg_settings_copy_group(parts, "policy", plan->resolved, "policy");
    char *json = rg_settings_to_json(parts);
    char *identity = rg_string_format("%ld %s", (long)seed, json);
    rg_settings_destroy(parts);
    free(json);
    return identity;
}

static int64_t environment_seed(const RgTrialPlan *plan) {
    return plan->environment.seed >= 0 ? plan->environment.seed : plan->seed;
}

static RgStatus make_reference(const RgTrialPlan *plan, const RgEnvironment *environment,
                               RgRandom random, RgPolicy **reference, RgError *error) {
    RgPolicy *policy;
    if (plan->policy.weights[0])
        RG_TRY(rg_policy_load(plan->policy.weights, &policy, error));
    else
        RG_TRY(rg_policy_create(plan->policy.type, plan->resolved, "policy", &environment->space,
                                rg_random_named(random, "policy"), &policy, error));
    rg_parameters_freeze(policy->parameters);
    RgStatus status = RG_OK;
    if (environment->space.dynamics)
        status = rg_policy_use_dynamics(policy, environment->space.dynamics, error);
    if (status == RG_OK)
        status = rg_policy_set_precision(policy, (RgPrecision)plan->policy.precision, error);
    if (status == RG_OK)
        status = rg_policy_store(policy, (RgPrecision)plan->policy.reference_storage, error);
    if (status != RG_OK) {
        rg_policy_destroy(policy);
        return status;
    }
    *reference = policy;
    return RG_OK;
}

/* Everything that the environment hands out fits the policy: checked once, here. */
static RgStatus check_data(const RgPolicy *policy, const RgCourse *course, RgError *error) {
    if (course->prompts)
        RG_TRY(rg_policy_check(policy, course->prompts, "training prompts", error));
    if (course->pairs)
        RG_TRY(rg_policy_check(policy, course->pairs->sequences, "preference pairs", error));
    if (course->demonstrations)
        RG_TRY(rg_policy_check(policy, course->demonstrations, "demonstrations", error));
    return RG_OK;
}

/* Of all that a reference's values hang on: of another version, on other kernels or with other
 * threads, they may differ in the last bits or have another cost. */
static RgDigest digest_source(const RgStage *stage) {
    char *where = rg_string_format("%s, %s, %d threads", RG_VERSION, rg_blas_core(), rg_threads());
    RgDigest digest = rg_digest(stage->reference_digest, where, strlen(where));
    free(where);
    return digest;
}

void rg_stage_clear(RgStage *stage) {
    rg_environment_destroy(stage->environment);
    rg_policy_destroy(stage->reference);
    free(stage->identity);
    *stage = (RgStage){.answers = stage->answers, .ahead = stage->ahead};
}

RgStatus rg_stage_set(RgStage *stage, const RgTrialPlan *plan, RgError *error) {
    int64_t seed = environment_seed(plan);
    char *identity = stage_identity(plan, seed);
    if (stage->identity && strcmp(stage->identity, identity) == 0) {
        free(identity);
        return RG_OK;
    }
    rg_stage_clear(stage);
    RgRandom random = rg_random_named(rg_random_root((uint64_t)seed), "stage");
    RgRandom environment = rg_random_named(random, "environment");
    RgStatus status = rg_environment_create(plan->environment.type, plan->resolved, "environment",
                                            environment, &stage->environment, error);
    if (status == RG_OK && (stage->answers || stage->ahead))
        status = rg_environment_use_answers(stage->environment, stage->answers, error);
    if (status == RG_OK)
        status = make_reference(plan, stage->environment, random, &stage->reference, error);
    if (status == RG_OK)
        status = rg_environment_prepare(stage->environment, stage->reference,
                                        rg_random_named(environment, "data"), error);
    if (status == RG_OK)
        status = check_data(stage->reference, &stage->environment->course, error);
    if (status == RG_OK) {
        stage->reference_digest = rg_policy_digest(stage->reference);
        stage->identity = identity;
    } else {
        free(identity);
        rg_stage_clear(stage);
    }
    return status;
}

RgStatus rg_stage_policy(const RgStage *stage, const RgTrialPlan *plan, RgPolicy **policy,
                         RgError *error) {
    RgRandom random = rg_random_named(rg_random_root((uint64_t)plan->seed), "adapter");
    if (plan->adapter.rank > 0)
        RG_TRY(rg_policy_adapt(stage->reference, &plan->adapter, random, policy, error));
    else
        *policy = rg_policy_clone(stage->reference, false);
    (*policy)->recompute = plan->policy.recompute;
    return RG_OK;
}

/* ---- provenance ---- */

static char *provenance(const RgTrialRun *run) {
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    json_t *object = json_pack("{s:s, s:s, s:i, s:s}", "version", RG_VERSION, "blas_core",
                               rg_blas_core(), "threads", rg_threads(), "host", host);
    json_t *overrides = run->overrides ? json_loads(run->overrides, 0, NULL) : NULL;
    if (json_object_size(overrides) > 0)
        json_object_set(object, "overrides", overrides);
    json_decref(overrides);
    char *text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(object);
    return text;
}

/* ---- one trial ---- */

typedef struct Trial {
    RgTrialRun *run;
    const RgTrialPlan *plan;
    RgTrialRecord record;
    RgTrainer *trainer;
    RgPolicy *policy;
    RgCheckpoint *checkpoint;
    RgPairCache cache;
    char *name; /* "dpo seed 1, beta 0.3" */
    char *checkpoint_path, *weights_path;
    double last_checkpoint; /* clock */
    const char *told;       /* the last notice that was told */
} Trial;

static RgSpending spending(const Trial *trial) {
    return (RgSpending){trial->trainer->step, trial->trainer->meter};
}

static bool budget_left(const Trial *trial) {
    const RgAlgorithm *a = trial->plan->algorithm;
    RgSpending now = spending(trial);
    return (a->loss || a->step) && rg_budget_share(&trial->plan->budget, &now, NULL) < 1;
}

/* Of an algorithm with a step of its own it is seen only now whether its limits can be reached. */
static RgStatus check_pace(const Trial *trial, RgError *error) {
    const int64_t patience = 1000;
    RgSpending now = spending(trial);
    if (now.step != patience || rg_budget_share(&trial->plan->budget, &now, NULL) > 0)
        return RG_OK;
    return rg_fail(error, RG_E_USAGE,
                   "budget: %s has spent nothing that has a limit in %ld steps, and would never "
                   "end: expected a limit of steps, flops or seconds too",
                   trial->plan->part.label, (long)patience);
}

/* β of implicit rewards in the evaluation: the algorithm's own, else DPO's default. */
static double evaluation_beta(const RgTrialPlan *plan) {
    const double usual = 0.1;
    return plan->algorithm->beta ? plan->algorithm->beta(plan->algorithm_options) : usual;
}

/* A judge has failed: which trial it was, and where, in front of what the judge says. Nothing of
 * that step is recorded; run again, the trial goes on from its last checkpoint. */
static RgStatus failed_at(const Trial *trial, RgStatus status, int64_t step, RgError *error) {
    return rg_fail_in(error, status, "%s, seed %ld, step %ld", trial->plan->part.label,
                      (long)trial->plan->seed, (long)step);
}

static RgStatus record_step(Trial *trial, bool evaluate, RgError *error) {
    RgTrainer *trainer = trial->trainer;
    const RgStage *stage = &trial->run->stage;
    enum { MOST = sizeof trainer->metrics / sizeof *trainer->metrics };
    const char *names[MOST + RG_ENVIRONMENT_COUNTS];
    double values[MOST + RG_ENVIRONMENT_COUNTS];
    RgEnvironmentCount counts[RG_ENVIRONMENT_COUNTS];
    double seconds = 0;
    int count = trainer->metric_count;
    for (int i = 0; i < count; i++) {
        names[i] = trainer->metrics[i].name;
        values[i] = trainer->metrics[i].value;
    }
    int counted = rg_environment_take_counts(stage->environment, counts);
    for (int i = 0; i < counted; i++, count++) {
        names[count] = counts[i].name;
        values[count] = counts[i].value;
    }
    RgEvaluation *evaluation = NULL;
    if (evaluate) {
        evaluation = rg_evaluation_create();
        RgRandom random =
            rg_random_named(rg_random_root((uint64_t)trial->plan->seed), "evaluation");
        double start = rg_clock_seconds();
        rg_profile_lap("other", false);
        RgStatus status =
            rg_environment_evaluate(stage->environment, trial->policy, stage->reference,
                                    evaluation_beta(trial->plan), random, evaluation, error);
        rg_profile_lap("evaluation, the rest", false);
        seconds = rg_clock_seconds() - start;
        if (status != RG_OK) {
            rg_evaluation_destroy(evaluation);
            return failed_at(trial, status, trainer->step, error);
        }
        const char *headline = stage->environment->type->headline;
        rg_progress_note(trial->run->progress, "[%ld/%ld] %s step %ld: %s %.4f",
                         (long)trial->run->progress->trial, (long)trial->run->progress->trials,
                         trial->name, (long)trainer->step, headline,
                         rg_evaluation_find(evaluation, headline));
    }
    double peak = rg_peak_memory(); /* a resumed trial's was perhaps greater before */
    if (trainer->meter.peak_memory < peak)
        trainer->meter.peak_memory = peak;
    RgStatus status = rg_store_step(trial->run->store, trial->record.id, trainer->step,
                                    &trainer->meter, names, values, count, evaluation, error);
    if (status == RG_OK && evaluate)
        status = rg_store_evaluation_time(trial->run->store, trial->record.id, trainer->step,
                                          seconds, error);
    rg_evaluation_destroy(evaluation);
    return status;
}

static RgStatus save_checkpoint(Trial *trial, RgError *error) {
    trial->last_checkpoint = rg_clock_seconds();
    return rg_checkpoint_save(trial->checkpoint, trial->checkpoint_path, trial->plan->key, error);
}

/* A notice that comes again and again is told once. */
static void tell_notice(Trial *trial) {
    const RgTrainer *trainer = trial->trainer;
    if (trainer->notice && trainer->notice != trial->told)
        rg_progress_note(trial->run->progress, "%s, step %ld: %s", trial->name, (long)trainer->step,
                         trainer->notice);
    if (trainer->notice)
        trial->told = trainer->notice;
}

/* Train until the budget is spent, the trial diverges or a signal comes. */
static RgStatus train(Trial *trial, RgError *error) {
    RgTrainer *trainer = trial->trainer;
    const RgEvaluationOptions *e = &trial->plan->evaluation;
    bool going = true;
    while (going && budget_left(trial)) {
        RgSpending before = spending(trial);
        going = rg_trainer_step(trainer);
        if (rg_trainer_status(trainer, error) != RG_OK)
            return failed_at(trial, trainer->status, trainer->step, error);
        RgSpending after = spending(trial);
        if (trainer->cache)
            RG_TRY(rg_pair_shelf_status(trial->run->shelf, error));
        rg_progress_step(trial->run->progress, trainer);
        tell_notice(trial);
        RG_TRY(check_pace(trial, error));
        bool last = !going || !budget_left(trial);
        bool evaluate = last || rg_evaluation_due(e, &before, &after);
        if (evaluate || trainer->step % e->log_every == 0)
            RG_TRY(record_step(trial, evaluate && going, error));
        double age = rg_clock_seconds() - trial->last_checkpoint;
        if (going && (rg_stop_wanted() || age >= trial->run->checkpoint_seconds))
            RG_TRY(save_checkpoint(trial, error));
        if (rg_stop_wanted() && !last)
            return rg_fail(error, RG_E_STOPPED,
                           "stopped by a signal at step %ld of %s, seed %ld; "
                           "run again to continue",
                           (long)trainer->step, trial->plan->part.label, (long)trial->plan->seed);
    }
    return RG_OK;
}

static RgStatus finish(Trial *trial, RgError *error) {
    RgStore *store = trial->run->store;
    const RgTrainer *trainer = trial->trainer;
    RG_TRY(rg_policy_save(trial->policy, trial->weights_path, error));
    if (trainer->diverged) {
        char *reason = rg_string_format("step %ld: %s", (long)trainer->step, trainer->diverged);
        RgStatus status = rg_store_trial_status(store, trial->record.id, "diverged", reason, error);
        rg_progress_note(trial->run->progress, "%s diverged at %s", trial->name, reason);
        free(reason);
        RG_TRY(status);
    } else {
        RG_TRY(rg_store_trial_status(store, trial->record.id, "finished", NULL, error));
    }
    unlink(trial->checkpoint_path);
    return RG_OK;
}

/* Take up a killed trial where its checkpoint left it, or start afresh. */
static RgStatus resume(Trial *trial, RgError *error) {
    int64_t step = -1;
    if (access(trial->checkpoint_path, F_OK) == 0) {
        RG_TRY(
            rg_checkpoint_load(trial->checkpoint, trial->checkpoint_path, trial->plan->key, error));
        step = trial->trainer->step;
        rg_progress_note(trial->run->progress, "%s: going on from step %ld", trial->name,
                         (long)step);
    }
    RG_TRY(rg_store_trial_rewind(trial->run->store, trial->record.id, step, error));
    bool trains = trial->plan->algorithm->loss || trial->plan->algorithm->step;
    if (step < 0 && (trial->plan->evaluation.start || !trains))
        RG_TRY(record_step(trial, true, error));
    return RG_OK;
}

static RgStatus run_trial(Trial *trial, RgError *error) {
    RgTrialRun *run = trial->run;
    const RgTrialPlan *plan = trial->plan;
    rg_peak_memory_restart(); /* what was made for all trials is in it; what one left is not */
    RG_TRY(rg_stage_policy(&run->stage, plan, &trial->policy, error));
    RG_TRY(rg_trainer_create(
        plan->algorithm, plan->algorithm_options, &plan->training, trial->policy,
        run->stage.reference, &run->stage.environment->course, &plan->optimizer, plan->budget.steps,
        rg_random_named(rg_random_root((uint64_t)plan->seed), "training"), &trial->trainer, error));
    if (run->shelf) {
        trial->cache = rg_pair_shelf_cache(run->shelf, digest_source(&run->stage));
        rg_trainer_use_cache(trial->trainer, &trial->cache);
    }
    trial->checkpoint = rg_checkpoint_create();
    rg_trainer_checkpoint(trial->trainer, trial->checkpoint);
    trial->last_checkpoint = rg_clock_seconds();
    RG_TRY(resume(trial, error));
    RgSpending begun = spending(trial);
    rg_progress_trial(run->progress, trial->name, &plan->budget, &begun);
    RG_TRY(train(trial, error));
    rg_progress_trial_end(run->progress);
    return finish(trial, error);
}

static char *trial_name(const RgTrialPlan *plan) {
    char *varied = rg_varied_text(plan->swept_json);
    char *name = rg_string_format("%s seed %ld%s%s", plan->part.label, (long)plan->seed,
                                  varied[0] ? ", " : "", varied);
    free(varied);
    return name;
}

char *rg_trial_checkpoint(const RgTrialRun *run, const RgTrialPlan *plan) {
    return rg_string_format("%s/%s-checkpoint.safetensors", run->folder, plan->key);
}

RgStatus rg_trial_run(RgTrialRun *run, const RgTrialPlan *plan, RgError *error) {
    char *where = provenance(run);
    Trial trial = {.run = run,
                   .plan = plan,
                   .name = trial_name(plan),
                   .checkpoint_path = rg_trial_checkpoint(run, plan),
                   .weights_path = rg_string_format("%s/%s.safetensors", run->folder, plan->key),
                   .record = {.experiment = run->experiment,
                              .key = plan->key,
                              .algorithm = plan->algorithm->name,
                              .label = plan->part.label,
                              .seed = plan->seed,
                              .swept_json = plan->swept_json,
                              .config_json = plan->resolved_json,
                              .provenance_json = where}};
    bool finished = false;
    RgStatus status = rg_store_trial(run->store, &trial.record, &finished, error);
    if (status == RG_OK && finished)
        unlink(trial.checkpoint_path); /* of a run that was killed between its last two steps */
    if (status == RG_OK && !finished) {
        status = rg_stage_set(&run->stage, plan, error);
        rg_profile_lap("environment, the rest", false);
        if (status == RG_OK)
            status = run_trial(&trial, error);
        if (status != RG_OK && status != RG_E_STOPPED) {
            RgError ignored = {0}; /* the first error is the one to tell */
            rg_store_trial_status(run->store, trial.record.id, "failed", error->text, &ignored);
        }
    }
    rg_trainer_destroy(trial.trainer);
    rg_checkpoint_destroy(trial.checkpoint);
    rg_policy_destroy(trial.policy);
    free(trial.name);
    free(trial.checkpoint_path);
    free(trial.weights_path);
    free(where);
    return status;
}
