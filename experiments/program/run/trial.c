/* SPDX-License-Identifier: MIT */
/* One trial: make the stage, train, log, evaluate, checkpoint.
 *
 * Order within a step: rows are committed to the store first, the checkpoint is written after them.
 * A trial that was killed in between finds rows that are newer than its checkpoint, drops them, and
 * writes the same ones again. */
#include "experiments/program/run/trial.h"

#include "core/results/weights.h"
#include "core/stop.h"
#include "core/tensor/blas.h"
#include "core/tensor/profile.h"
#include "experiments/program/config/build_versions.h"
#include "experiments/program/config/results_version.h"
#include "experiments/program/config/units.h"

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
    if (plan->policy.weights[0]) {
        RG_TRY(rg_weights_check_path(plan->policy.weights, error));
        RG_TRY(rg_policy_load(plan->policy.weights, &policy, error));
    } else {
        RG_TRY(rg_policy_create(plan->policy.type, plan->resolved, "policy", &environment->space,
                                rg_random_named(random, "policy"), &policy, error));
    }
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

/* Of all that a reference's values hang on: of another version of results, on other kernels or with
 * other threads, they may differ in the last bits or have another cost. */
static RgDigest digest_source(const RgStage *stage) {
    char *where =
        rg_string_format("%s, %s, %d threads", RG_RESULTS_VERSION, rg_blas_core(), rg_threads());
    RgDigest digest = rg_digest(stage->reference_digest, where, strlen(where));
    free(where);
    return digest;
}

void rg_stage_clear(RgStage *stage) {
    rg_environment_destroy(stage->environment);
    rg_policy_destroy(stage->reference);
    free(stage->identity);
    *stage = (RgStage){.answers = stage->answers, .ahead = stage->ahead, .team = stage->team};
}

/* ---- a team's stage ---- */

/* What ranks must have in common to compute the same bits from the same data. */
typedef struct Likeness {
    char program[256]; /* version, commit and kernels */
    RgDigest data;
} Likeness;

static RgDigest digest_sequences(RgDigest digest, const RgSequences *sequences) {
    uint64_t hash = sequences ? rg_sequences_hash(sequences) : 0;
    return rg_digest(digest, &hash, sizeof hash);
}

static Likeness likeness_of(const RgStage *stage) {
    const RgCourse *course = &stage->environment->course;
    Likeness likeness = {.data = rg_policy_digest(stage->reference)};
    snprintf(likeness.program, sizeof likeness.program, "%s (%s) on %s kernels", RG_VERSION,
             rg_build_commit(), rg_blas_core());
    likeness.data = digest_sequences(likeness.data, course->prompts);
    likeness.data = digest_sequences(likeness.data, course->demonstrations);
    likeness.data =
        digest_sequences(likeness.data, course->pairs ? course->pairs->sequences : NULL);
    return likeness;
}

static RgStatus check_alike(const RgStage *stage, RgError *error) {
    if (rg_team_size(stage->team) == 1)
        return RG_OK;
    Likeness own = likeness_of(stage), first = own;
    rg_team_broadcast(stage->team, &first, sizeof first);
    RgStatus status = RG_OK;
    if (strcmp(own.program, first.program) != 0)
        status = rg_fail(error, RG_E_USAGE,
                         "rank %d of a team runs version %s, and the first %s: expected the same "
                         "(OPENBLAS_CORETYPE chooses kernels)",
                         stage->team->rank, own.program, first.program);
    else if (memcmp(&own.data, &first.data, sizeof own.data) != 0)
        status = rg_fail(error, RG_E_USAGE,
                         "rank %d of a team has read other data or weights than the first: "
                         "expected the same files on all machines",
                         stage->team->rank);
    return rg_team_agree(stage->team, status, error);
}

RgStatus rg_stage_set(RgStage *stage, const RgTrialPlan *plan, RgError *error) {
    int64_t seed = environment_seed(plan);
    char *identity = stage_identity(plan, seed);
    bool same = stage->identity && strcmp(stage->identity, identity) == 0;
    if (rg_team_all(stage->team, same)) {
        free(identity);
        stage->environment->course.team = stage->team;
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
    status = rg_team_agree(stage->team, status, error);
    if (status == RG_OK)
        status = check_alike(stage, error);
    if (status == RG_OK)
        stage->environment->course.team = stage->team;
    if (status == RG_OK)
        status = rg_environment_prepare(stage->environment, stage->reference,
                                        rg_random_named(environment, "data"), error);
    if (status == RG_OK) /* only now, so that the offline pairs are the same in either */
        status =
            rg_policy_set_sampling(stage->reference, (RgPrecision)plan->policy.sampling, error);
    if (status == RG_OK)
        status = check_data(stage->reference, &stage->environment->course, error);
    if (status == RG_OK) /* now that they have been read */
        status = rg_resolved_check_inputs(plan->resolved, error);
    status = rg_team_agree(stage->team, status, error);
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

typedef struct Trial {
    RgTrialRun *run;
    const RgTrialPlan *plan;
    RgTrialRecord record;
    RgTrainer *trainer;
    RgPolicy *policy;
    RgCheckpoint *checkpoint;
    RgPairCache cache;
    RgTeam team;      /* that runs it, of which `together` … */
    RgTeam *together; /* … is NULL where that is this process alone */
    bool stopped;     /* one of its other ranks has had a signal */
    char *name;       /* "dpo seed 1, beta 0.3" */
    char *checkpoint_path, *weights_path;
    char checkpoint_sum[RG_SHA256_TEXT]; /* of the file that is there; "": none */
    double last_checkpoint;              /* clock */
    const char *told;                    /* the last notice that was told */
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
/* A judge has failed: which trial it was, and where, in front of what the judge says. Nothing of
 * that step is recorded; run again, the trial goes on from its last checkpoint. */
static RgStatus failed_at(const Trial *trial, RgStatus status, int64_t step, RgError *error) {
    return rg_fail_in(error, status, "%s, seed %ld, step %ld", trial->plan->part.label,
                      (long)trial->plan->seed, (long)step);
}

static RgStatus record_step(Trial *trial, bool evaluate, RgError *error) {
    RgTrainer *trainer = trial->trainer;
    const RgOutcome *outcome = &trainer->outcome;
    const RgStage *stage = &trial->run->stage;
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
    int counted = rg_environment_take_counts(stage->environment, counts);
    if (counted > RG_ENVIRONMENT_COUNTS)
        return rg_fail(error, RG_E_USAGE,
                       "the environment \"%s\": take_counts gives %d numbers, expected at most %d",
                       stage->environment->type->about.name, counted, (int)RG_ENVIRONMENT_COUNTS);
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
        RgContender contender = {.policy = trial->policy,
                                 .reference = stage->reference,
                                 .beta = trial->plan->recipe.beta,
                                 .best_of = trial->plan->recipe.best_of};
        stage->environment->course.team = NULL; /* the others wait for the next step */
        RgStatus status =
            rg_environment_evaluate(stage->environment, &contender, random, evaluation, error);
        stage->environment->course.team = trial->together;
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

/* The store knows the checkpoint, and with it all rows before it, when it takes its place. */
static RgStatus save_checkpoint(Trial *trial, RgError *error) {
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

/* A notice that comes again and again is told once. */
static void tell_notice(Trial *trial) {
    const char *notice = trial->trainer->outcome.notice;
    if (notice && notice != trial->told)
        rg_progress_note(trial->run->progress, "%s, step %ld: %s", trial->name,
                         (long)trial->trainer->step, notice);
    if (notice)
        trial->told = notice;
}

/* ---- a team's word ---- */

/* The first rank says whether there is another step, the others whether they have had a signal.
 * Returns what the first says. */
static bool hear(Trial *trial, bool going) {
    if (!trial->together)
        return going;
    typedef struct Word {
        bool going, stopped;
    } Word;
    Word *words = rg_allocate(trial->team.size, sizeof *words);
    words[trial->team.rank] = (Word){going, rg_stop_wanted()};
    rg_team_gather(trial->together, words, sizeof *words);
    for (int q = 1; q < trial->team.size; q++)
        trial->stopped = trial->stopped || words[q].stopped;
    going = words[0].going;
    free(words);
    return going;
}

static bool stop_wanted(const Trial *trial) {
    return rg_stop_wanted() || trial->stopped;
}

/* One step and what is due after it. */
static RgStatus train_step(Trial *trial, bool *going, RgError *error) {
    RgTrainer *trainer = trial->trainer;
    const RgEvaluationOptions *e = &trial->plan->evaluation;
    RgSpending before = spending(trial);
    RgStatus status = rg_trainer_step(trainer, error);
    if (status != RG_OK)
        return failed_at(trial, status, trainer->step, error);
    *going = !trainer->outcome.diverged;
    RgSpending after = spending(trial);
    if (trainer->cache)
        RG_TRY(rg_pair_shelf_status(trial->run->shelf, error));
    rg_progress_step(trial->run->progress, trainer);
    tell_notice(trial);
    RG_TRY(check_pace(trial, error));
    bool last = !*going || !budget_left(trial);
    bool evaluate = last || rg_evaluation_due(e, &before, &after);
    if (evaluate || trainer->step % e->log_every == 0)
        RG_TRY(record_step(trial, evaluate && *going, error));
    double age = rg_clock_seconds() - trial->last_checkpoint;
    bool stop = stop_wanted(trial);
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
static RgStatus train(Trial *trial, RgError *error) {
    bool going = true;
    RgStatus status = RG_OK;
    while (hear(trial, status == RG_OK && going && budget_left(trial)))
        status = train_step(trial, &going, error);
    return status;
}

static RgStatus finish(Trial *trial, RgError *error) {
    const RgTrainer *trainer = trial->trainer;
    RgChecksum sum;
    RG_TRY(rg_policy_save(trial->policy, trial->weights_path, error));
    RG_TRY(rg_file_checksum(trial->weights_path, &sum, error));
    const char *diverged = trainer->outcome.diverged;
    char *reason =
        diverged ? rg_string_format("step %ld: %s", (long)trainer->step, diverged) : NULL;
    RgStatus status =
        rg_store_trial_done(trial->run->store, trial->record.id, reason, sum.sha256, error);
    if (reason)
        rg_progress_note(trial->run->progress, "%s diverged at %s", trial->name, reason);
    free(reason);
    RG_TRY(status);
    rg_file_remove(trial->checkpoint_path);
    return RG_OK;
}

/* The kernels of a trial that goes on: those before, and these where they are others. Then its bits
 * are not those of either, which its record has to say. */
static RgStatus record_kernels(Trial *trial, RgError *error) {
    const char *before = rg_checkpoint_kernels(trial->checkpoint), *now = rg_blas_core();
    const char *semicolon = before ? strrchr(before, ';') : NULL;
    const char *last = semicolon ? semicolon + 2 : before;
    if (!before) {
        rg_checkpoint_set_kernels(trial->checkpoint, now);
        return RG_OK;
    }
    if (strcmp(last, now) != 0) {
        rg_progress_note(trial->run->progress,
                         "%s: began on other kernels (%s; now %s): its result will not be that of "
                         "either",
                         trial->name, before, now);
        char *all = rg_string_format("%s; %s", before, now);
        rg_checkpoint_set_kernels(trial->checkpoint, all);
        free(all);
    } else if (!semicolon) {
        return RG_OK;
    }
    char *where = provenance(trial->run, rg_checkpoint_kernels(trial->checkpoint),
                             trial->together ? trial->team.size : 1);
    RgTrialRecord record = trial->record;
    record.provenance_json = where;
    bool finished;
    RgStatus status = rg_store_trial(trial->run->store, &record, &finished, error);
    free(where);
    return status;
}

static RgStatus load_checkpoint(Trial *trial, RgError *error) {
    RgChecksum sum;
    RG_TRY(rg_weights_check(trial->run->store, trial->record.id, RG_WEIGHTS_CHECKPOINT,
                            trial->checkpoint_path, &sum, error));
    RG_TRY(rg_checkpoint_load(trial->checkpoint, trial->checkpoint_path, trial->plan->key, error));
    memcpy(trial->checkpoint_sum, sum.sha256, sizeof sum.sha256);
    return RG_OK;
}

/* A checkpoint that cannot be used is kept under another name, for whoever wants to look. */
static RgStatus set_aside(Trial *trial, const RgError *why, RgError *error) {
    char *aside = rg_string_format("%s.damaged", trial->checkpoint_path);
    RgStatus status = RG_OK;
    if (rename(trial->checkpoint_path, aside) != 0)
        status = rg_fail(error, RG_E_FILE, "%s: cannot be set aside as %s: %s",
                         trial->checkpoint_path, aside, strerror(errno));
    else
        rg_progress_warn(trial->run->progress, "%s: starts afresh: %s; it is kept as %s",
                         trial->name, why->text, aside);
    free(aside);
    return status;
}

/* A store that was deleted, or replaced by an older one, lacks what was recorded before. */
static RgStatus tell_lost_rows(Trial *trial, RgError *error) {
    int64_t recorded, step = trial->trainer->step, every = trial->plan->evaluation.log_every;
    RG_TRY(rg_store_last_step(trial->run->store, trial->record.id, &recorded, error));
    if (recorded < step / every * every)
        rg_progress_warn(trial->run->progress,
                         "%s: the store has no rows of steps %ld to %ld, and its curves will lack "
                         "them",
                         trial->name, (long)recorded + 1, (long)step);
    return RG_OK;
}

static RgStatus go_on(Trial *trial, RgError *error) {
    rg_progress_note(trial->run->progress, "%s: going on from step %ld", trial->name,
                     (long)trial->trainer->step);
    RG_TRY(tell_lost_rows(trial, error));
    return record_kernels(trial, error);
}

/* Take up a killed trial where its checkpoint left it, or start afresh. */
static RgStatus resume(Trial *trial, RgError *error) {
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
    }
    RG_TRY(rg_store_trial_rewind(trial->run->store, trial->record.id, step, error));
    bool trains = trial->plan->algorithm->loss || trial->plan->algorithm->step;
    if (step < 0 && (trial->plan->evaluation.start || !trains))
        RG_TRY(record_step(trial, true, error));
    return RG_OK;
}

/* Policy and trainer, as they are before the first step, with the list of what a checkpoint holds.
 */
static RgStatus begin(Trial *trial, RgError *error) {
    const RgStage *stage = &trial->run->stage;
    const RgTrialPlan *plan = trial->plan;
    RgStatus status = rg_stage_policy(stage, plan, &trial->policy, error);
    if (status == RG_OK)
        status = rg_trainer_create(
            plan->algorithm, plan->algorithm_options, &plan->training, trial->policy,
            stage->reference, &stage->environment->course, &plan->optimizer, plan->budget.steps,
            rg_random_named(rg_random_root((uint64_t)plan->seed), "training"), &trial->trainer,
            error);
    RG_TRY(rg_team_agree(trial->together, status, error));
    trial->checkpoint = rg_checkpoint_create();
    rg_trainer_checkpoint(trial->trainer, trial->checkpoint);
    rg_checkpoint_set_kernels(trial->checkpoint, rg_blas_core());
    return RG_OK;
}

/* The others of a team take up what the first has. */
static RgStatus take_up(Trial *trial, RgStatus status, RgError *error) {
    RG_TRY(rg_team_follow(trial->together, status, error));
    bool resumed = trial->trainer->step > 0;
    rg_team_broadcast(trial->together, &resumed, sizeof resumed);
    if (resumed)
        rg_checkpoint_share(trial->checkpoint, trial->together);
    return RG_OK;
}

static RgStatus run_trial(Trial *trial, RgError *error) {
    RgTrialRun *run = trial->run;
    const RgTrialPlan *plan = trial->plan;
    rg_peak_memory_restart(); /* what was made for all trials is in it; what one left is not */
    RG_TRY(begin(trial, error));
    if (run->shelf) {
        trial->cache = rg_pair_shelf_cache(run->shelf, digest_source(&run->stage));
        rg_trainer_use_cache(trial->trainer, &trial->cache);
    }
    trial->last_checkpoint = rg_clock_seconds();
    RG_TRY(take_up(trial, resume(trial, error), error));
    RgSpending begun = spending(trial);
    rg_progress_trial(run->progress, trial->name, &plan->budget, &begun);
    RG_TRY(train(trial, error));
    rg_progress_trial_end(run->progress);
    return finish(trial, error);
}

static void end_trial(Trial *trial) {
    RgStage *stage = &trial->run->stage;
    rg_trainer_destroy(trial->trainer);
    rg_checkpoint_destroy(trial->checkpoint);
    rg_policy_destroy(trial->policy);
    stage->team = NULL;
    if (stage->environment)
        stage->environment->course.team = NULL;
}

/* ---- a team's trials ---- */

/* What the first rank says to the others of its team: run this trial with me; or, without a key,
 * that there are no more. */
typedef struct Call {
    char key[sizeof((RgTrialPlan *)0)->key];
    int64_t ranks; /* the first so many of the team */
} Call;

/* Ranks that have something to do in a trial: no more than shards. */
static int ranks_of(const RgTeam *team, const RgTrialPlan *plan) {
    int64_t shards = plan->algorithm->loss ? plan->training.shards : 1;
    return shards < team->size ? (int)shards : team->size;
}

static void form_team(Trial *trial, const RgTeam *team, int64_t ranks) {
    trial->team = *team;
    trial->team.size = (int)ranks;
    trial->together = ranks > 1 ? &trial->team : NULL;
    trial->run->stage.team = trial->together;
}

/* Once in a run. */
static void tell_of_idle(const Trial *trial, int64_t ranks) {
    RgTrialRun *run = trial->run;
    bool trains = trial->plan->algorithm->loss || trial->plan->algorithm->step;
    if (!trains || run->told_of_idle)
        return;
    run->told_of_idle = true;
    rg_progress_note(run->progress,
                     "%s: of a team of %d, so many ranks have something to do: %ld "
                     "(training.shards)",
                     trial->name, run->team->size, (long)ranks);
}

static void call_team(Trial *trial) {
    RgTrialRun *run = trial->run;
    if (rg_team_size(run->team) == 1)
        return;
    Call call = {.ranks = ranks_of(run->team, trial->plan)};
    snprintf(call.key, sizeof call.key, "%s", trial->plan->key);
    rg_team_broadcast(run->team, &call, sizeof call);
    form_team(trial, run->team, call.ranks);
    if (call.ranks < run->team->size)
        tell_of_idle(trial, call.ranks);
}

void rg_trial_dismiss(RgTeam *team) {
    Call call = {.key = ""};
    rg_team_broadcast(team, &call, sizeof call);
}

static const RgTrialPlan *find_plan(const RgExperiment *experiment, const char *key) {
    for (int64_t i = 0; i < experiment->trial_count; i++)
        if (strcmp(experiment->trials[i].key, key) == 0)
            return &experiment->trials[i];
    return NULL;
}

/* All ranks of a trial have its plan. */
static RgStatus check_call(Trial *trial, const char *key, RgError *error) {
    RgStatus status = RG_OK;
    if (!trial->plan)
        status = rg_fail(error, RG_E_USAGE,
                         "rank %d of a team knows no trial %s: expected the same config, and all "
                         "that it includes, on all machines",
                         trial->team.rank, key);
    return rg_team_agree(trial->together, status, error);
}

static RgStatus help(Trial *trial, const char *key, RgError *error) {
    RG_TRY(check_call(trial, key, error));
    RG_ASSERT(trial->plan); /* else that has failed */
    RG_TRY(rg_stage_set(&trial->run->stage, trial->plan, error));
    RG_TRY(begin(trial, error));
    RG_TRY(take_up(trial, RG_OK, error));
    while (hear(trial, false)) /* a failure is the first rank's, too, which ends the trial */
        (void)rg_trainer_step(trial->trainer, NULL);
    return RG_OK;
}

void rg_trial_help(RgTrialRun *run, const RgExperiment *experiment) {
    RgTeam *team = run->team;
    Call call;
    while (rg_team_broadcast(team, &call, sizeof call), call.key[0]) {
        if (team->rank >= call.ranks)
            continue;
        RgError told = {0}; /* by the first rank, which has it too */
        Trial trial = {.run = run, .plan = find_plan(experiment, call.key)};
        form_team(&trial, team, call.ranks);
        help(&trial, call.key, &told);
        end_trial(&trial);
    }
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
    char *where = provenance(run, rg_blas_core(), run->team ? ranks_of(run->team, plan) : 1);
    Trial trial = {.run = run,
                   .plan = plan,
                   .name = trial_name(plan),
                   .checkpoint_path = rg_trial_checkpoint(run, plan),
                   .weights_path = rg_string_format("%s/%s.safetensors", run->folder, plan->key),
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
        call_team(&trial);
        status = check_call(&trial, plan->key, error);
        if (status == RG_OK)
            status = rg_stage_set(&run->stage, plan, error);
        rg_profile_lap("environment, the rest", false);
        if (status == RG_OK)
            status = run_trial(&trial, error);
        if (status != RG_OK && status != RG_E_STOPPED) {
            RgError ignored = {0}; /* the first error is the one to tell */
            rg_store_trial_status(run->store, trial.record.id, "failed", error->text, &ignored);
        }
    }
    end_trial(&trial);
    free(trial.name);
    free(trial.checkpoint_path);
    free(trial.weights_path);
    free(where);
    return status;
}
