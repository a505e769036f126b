/* SPDX-License-Identifier: MIT */
/* What the ranks of a process group exchange about a trial: which to run, whether their programs
 * and data agree, whether to continue. The rest of the first rank's side is in trial.c. */
#include "core/stop.h"
#include "core/tensor/blas.h"
#include "experiments/program/config/build_versions.h"
#include "experiments/program/run/trial_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What ranks must have in common to compute the same bits from the same data. */
typedef struct Likeness {
    char program[256]; /* version, commit and kernels */
    RgDigest data;
} Likeness;

static RgDigest digest_sequences(RgDigest digest, const RgSequences *sequences) {
    uint64_t hash = sequences ? rg_sequences_hash(sequences) : 0;
    return rg_digest(digest, &hash, sizeof hash);
}

static Likeness likeness_of(const RgTrialSetup *setup) {
    const RgTask *task = &setup->environment->task;
    Likeness likeness = {.data = rg_policy_digest(setup->reference)};
    snprintf(likeness.program, sizeof likeness.program, "%s (%s) on %s kernels", RG_VERSION,
             rg_build_commit(), rg_blas_core());
    likeness.data = digest_sequences(likeness.data, task->prompts);
    likeness.data = digest_sequences(likeness.data, task->demonstrations);
    likeness.data = digest_sequences(likeness.data, task->pairs ? task->pairs->sequences : NULL);
    likeness.data =
        digest_sequences(likeness.data, task->singles ? task->singles->sequences : NULL);
    return likeness;
}

RgStatus rg_trial_process_group_check_alike(const RgTrialSetup *setup, RgError *error) {
    if (rg_process_group_size(setup->process_group) == 1)
        return RG_OK;
    Likeness own = likeness_of(setup), first = own;
    rg_process_group_broadcast(setup->process_group, &first, sizeof first);
    RgStatus status = RG_OK;
    if (strcmp(own.program, first.program) != 0)
        status = rg_fail(error, RG_E_USAGE,
                         "rank %d runs version %s, and the first %s: expected the same "
                         "(OPENBLAS_CORETYPE chooses kernels)",
                         setup->process_group->rank, own.program, first.program);
    else if (memcmp(&own.data, &first.data, sizeof own.data) != 0)
        status = rg_fail(error, RG_E_USAGE,
                         "rank %d has read other data or weights than the first: "
                         "expected the same files on all machines",
                         setup->process_group->rank);
    return rg_process_group_reduce_status(setup->process_group, status, error);
}

bool rg_trial_hear(RgTrialInHand *trial, bool going) {
    if (!trial->together)
        return going;
    typedef struct Word {
        bool going, stopped;
    } Word;
    Word *words = rg_allocate(trial->process_group.size, sizeof *words);
    words[trial->process_group.rank] = (Word){going, rg_stop_wanted()};
    rg_process_group_gather(trial->together, words, sizeof *words);
    for (int q = 1; q < trial->process_group.size; q++)
        trial->stopped = trial->stopped || words[q].stopped;
    going = words[0].going;
    free(words);
    return going;
}

RgStatus rg_trial_take_up(RgTrialInHand *trial, RgStatus status, RgError *error) {
    RG_TRY(rg_process_group_broadcast_status(trial->together, status, error));
    bool resumed = trial->trainer->step > 0;
    rg_process_group_broadcast(trial->together, &resumed, sizeof resumed);
    if (resumed)
        rg_checkpoint_share(trial->checkpoint, trial->together);
    return RG_OK;
}

/* What the first rank says to the others of its process group: run this trial with me; or, without
 * a key, that there are no more. */
typedef struct Call {
    char key[sizeof((RgTrialSpec *)0)->key];
    int64_t ranks; /* the first so many of the process group */
} Call;

int rg_trial_ranks(const RgProcessGroup *process_group, const RgTrialSpec *plan) {
    int64_t shards = plan->algorithm->loss ? plan->training.shards : 1;
    return shards < process_group->size ? (int)shards : process_group->size;
}

static void form_group(RgTrialInHand *trial, const RgProcessGroup *process_group, int64_t ranks) {
    trial->process_group = *process_group;
    trial->process_group.size = (int)ranks;
    trial->together = ranks > 1 ? &trial->process_group : NULL;
    trial->run->setup.process_group = trial->together;
}

/* Once in a run. */
static void report_idle(const RgTrialInHand *trial, int64_t ranks) {
    RgTrialRun *run = trial->run;
    bool trains = trial->plan->algorithm->loss || trial->plan->algorithm->step;
    if (!trains || run->idle_reported)
        return;
    run->idle_reported = true;
    rg_progress_note(run->progress,
                     "%s: of a group of %d, so many ranks have something to do: %ld "
                     "(training.shards)",
                     trial->name, run->process_group->size, (long)ranks);
}

void rg_trial_call_process_group(RgTrialInHand *trial) {
    RgTrialRun *run = trial->run;
    if (rg_process_group_size(run->process_group) == 1)
        return;
    Call call = {.ranks = rg_trial_ranks(run->process_group, trial->plan)};
    snprintf(call.key, sizeof call.key, "%s", trial->plan->key);
    rg_process_group_broadcast(run->process_group, &call, sizeof call);
    form_group(trial, run->process_group, call.ranks);
    if (call.ranks < run->process_group->size)
        report_idle(trial, call.ranks);
}

void rg_trial_dismiss(RgProcessGroup *process_group) {
    Call call = {.key = ""};
    rg_process_group_broadcast(process_group, &call, sizeof call);
}

static const RgTrialSpec *find_plan(const RgExperiment *experiment, const char *key) {
    for (int64_t i = 0; i < experiment->trial_count; i++)
        if (strcmp(experiment->trials[i].key, key) == 0)
            return &experiment->trials[i];
    return NULL;
}

RgStatus rg_trial_check_call(RgTrialInHand *trial, const char *key, RgError *error) {
    RgStatus status = RG_OK;
    if (!trial->plan)
        status = rg_fail(error, RG_E_USAGE,
                         "rank %d knows no trial %s: expected the same config, and all "
                         "that it includes, on all machines",
                         trial->process_group.rank, key);
    return rg_process_group_reduce_status(trial->together, status, error);
}

static RgStatus help(RgTrialInHand *trial, const char *key, RgError *error) {
    RG_TRY(rg_trial_check_call(trial, key, error));
    RG_ASSERT(trial->plan); /* else that has failed */
    RG_TRY(rg_trial_setup_make(&trial->run->setup, trial->plan, error));
    RG_TRY(rg_trial_begin(trial, error));
    RG_TRY(rg_trial_take_up(trial, RG_OK, error));
    while (
        rg_trial_hear(trial, false)) /* a failure is the first rank's, too, which ends the trial */
        (void)rg_trainer_step(trial->trainer, NULL);
    return RG_OK;
}

void rg_trial_help(RgTrialRun *run, const RgExperiment *experiment) {
    RgProcessGroup *process_group = run->process_group;
    Call call;
    while (rg_process_group_broadcast(process_group, &call, sizeof call), call.key[0]) {
        if (process_group->rank >= call.ranks)
            continue;
        RgError ignored = {0}; /* by the first rank, which has it too */
        RgTrialInHand trial = {.run = run, .plan = find_plan(experiment, call.key)};
        form_group(&trial, process_group, call.ranks);
        help(&trial, call.key, &ignored);
        rg_trial_end(&trial);
    }
}
