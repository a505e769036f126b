/* SPDX-License-Identifier: MIT */
/* Making environments and policies as far as it takes to check methods against them. */
#include "experiments/program/run/compatibility.h"

#include "core/lookup.h"
#include "core/models/peft.h"
#include "core/models/transformer_cost.h"
#include "core/notice.h"
#include "core/results/weights.h"
#include "experiments/program/run/recorded_inputs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A transformer with more numbers is not created. */
enum { MOST_NUMBERS = 1 << 24 };

/* The environment, and the policy made for it; NULL: none is made, or it cannot be. */
typedef struct Pairing {
    RgReadyEnvironment ready;
    RgPolicy *policy;
    bool whole;     /* the policy is not just a type */
    char *settings; /* that the policy was made from */
} Pairing;

static void drop_policy(Pairing *p) {
    rg_policy_destroy(p->policy);
    free(p->settings);
    p->policy = NULL;
    p->settings = NULL;
}

static RgStatus find_missing(void *missing, const RgOption *option, const RgSetting *setting,
                             RgError *error) {
    (void)error;
    *(bool *)missing |= rg_input_is_missing(option, setting);
    return RG_OK;
}

/* Missing inputs are left to those who look for files. */
static RgStatus pass_on(RgStatus status, const RgTrialSpec *plan, const RgError *why,
                        RgError *error) {
    bool missing = false;
    if (status == RG_E_FILE)
        rg_resolved_visit(plan->resolved, find_missing, &missing, NULL);
    return status == RG_OK || missing ? RG_OK : rg_fail(error, status, "%s", why->text);
}

/* ---- making ---- */

static RgStatus make_environment(Pairing *p, const RgTrialSpec *plan, RgError *error) {
    RgError why = {0};
    RgStatus status = rg_ready_environment_make(&p->ready, plan, &why);
    return pass_on(rg_resolve_key(plan, "environment", status, &why), plan, &why, error);
}

/* Whether the policy is a transformer too large to create. */
static RgStatus look_at_size(const Pairing *p, const RgTrialSpec *plan, bool *large,
                             RgError *error) {
    *large = false;
    if (strcmp(plan->policy.type, rg_policy_transformer.about.name) != 0)
        return RG_OK;
    RgTransformerOptions options;
    RgTransformerCost cost;
    RG_TRY(rg_options_read(rg_policy_transformer.about.options, plan->resolved, "policy", &options,
                           error));
    RG_TRY(rg_transformer_cost(&options, p->ready.environment->space.vocabulary, &plan->adapter,
                               &cost, error));
    *large = rg_transformer_cost_weights(&cost) > MOST_NUMBERS;
    return RG_OK;
}

static RgStatus create_policy(Pairing *p, const RgTrialSpec *plan, RgError *error) {
    bool large = false;
    p->whole = true;
    RG_TRY(rg_weights_check_path(plan->policy.weights, error));
    if (plan->policy.weights[0])
        return rg_policy_load(plan->policy.weights, &p->policy, error);
    RG_TRY(look_at_size(p, plan, &large, error));
    if (!large)
        return rg_policy_create(plan->policy.type, plan->resolved, "policy",
                                &p->ready.environment->space, rg_random_root(0), &p->policy, error);
    p->whole = false;
    p->policy = rg_policy_new(&rg_policy_transformer);
    return RG_OK;
}

/* Whether the adapter that training continues is one of the policy's. */
static RgStatus check_adapter(const Pairing *p, const RgTrialSpec *plan, RgError *error) {
    RgPolicy *adapted;
    if (!p->whole || plan->adapter.rank == 0 || !plan->adapter.weights[0])
        return RG_OK;
    RG_TRY(rg_policy_adapt(p->policy, &plan->adapter, rg_random_root(0), &adapted, error));
    RgStatus status = rg_peft_load(adapted, plan->policy.weights, plan->adapter.weights, error);
    rg_policy_destroy(adapted);
    return status;
}

static RgStatus make_policy(Pairing *p, const RgTrialSpec *plan, RgError *error) {
    char *settings = rg_resolved_groups(plan->resolved, (const char *const[]){"policy", NULL});
    if (p->settings && strcmp(p->settings, settings) == 0) {
        free(settings);
        return RG_OK;
    }
    drop_policy(p);
    p->settings = settings;
    RgError why = {0};
    RgStatus made = rg_resolve_key(plan, "policy", create_policy(p, plan, &why), &why);
    RgStatus status = pass_on(made, plan, &why, error);
    if (status == RG_OK && p->policy && p->ready.environment->space.simulator)
        status = rg_policy_use_simulator(p->policy, p->ready.environment->space.simulator, error);
    if (status == RG_OK && p->policy)
        status = pass_on(check_adapter(p, plan, &why), plan, &why, error);
    return status;
}

/* ---- checking ---- */

/* Against the policy that would be trained: with its adapter, if it has one. */
static RgStatus check_method(Pairing *p, const RgTrialSpec *plan, RgError *error) {
    RgPolicy *adapted = NULL;
    if (p->whole && plan->adapter.rank > 0)
        RG_TRY(rg_policy_adapt(p->policy, &plan->adapter, rg_random_root(0), &adapted, error));
    else
        p->policy->adapter.rank =
            plan->adapter.rank; /* a policy that is only a type has no more of it */
    RgStatus status = RG_OK;
    if (plan->algorithm->loss || plan->algorithm->step)
        status =
            rg_trainer_check(plan->algorithm, plan->algorithm_options, &plan->training,
                             adapted ? adapted : p->policy, &p->ready.environment->task, error);
    rg_policy_destroy(adapted);
    return rg_resolve_key(plan, "algorithm", status, error);
}

static RgStatus check_trial(Pairing *p, const RgTrialSpec *plan, RgError *error) {
    RG_TRY(make_policy(p, plan, error));
    if (!p->policy)
        return RG_OK;
    RG_TRY(rg_trial_setup_check(plan, p->ready.environment, p->policy, error));
    if (p->whole)
        RG_TRY(rg_environment_check(p->ready.environment, p->policy, error));
    return check_method(p, plan, error);
}

/* ---- all trials ---- */

typedef struct Survey {
    const RgExperiment *experiment;
    RgLookup *done;  /* keys of trials */
    RgLookup *kinds; /* what trials are, but for their seeds */
    int64_t *number; /* [trial_count] of the trial's environment; −1: not to be looked at */
    int64_t count;   /* of environments */
    RgWait wait;
} Survey;

static void read_done(Survey *s, const char *path) {
    RgStore *store;
    s->done = rg_lookup_create();
    if (access(path, F_OK) != 0 || rg_store_open(path, false, &store, NULL) != RG_OK)
        return;
    rg_done_trials(store, s->experiment->options.name, s->done, NULL);
    rg_store_close(store);
}

/* Number the environments of the first trials of each kind, unless they are done. */
static void number_environments(Survey *s) {
    static const char *const all[] = {"environment", "policy", "algorithm", "training", NULL};
    static const char *const one[] = {"environment", NULL};
    RgLookup *environments = rg_lookup_create();
    for (int64_t i = 0; i < s->experiment->trial_count; i++) {
        const RgTrialSpec *plan = &s->experiment->trials[i];
        char *kind = rg_resolved_groups(plan->resolved, all);
        char *environment = rg_resolved_groups(plan->resolved, one);
        int64_t *seen = rg_lookup_at(s->kinds, kind, strlen(kind));
        int64_t *own = rg_lookup_at(environments, environment, strlen(environment));
        s->number[i] = -1;
        if (*seen < 0 && rg_lookup_find(s->done, plan->key, strlen(plan->key)) < 0) {
            *own = *own < 0 ? s->count++ : *own;
            s->number[i] = *own;
        }
        *seen = i;
        free(environment);
        free(kind);
    }
    rg_lookup_destroy(environments);
}

static RgStatus check_environment(Survey *s, int64_t number, RgReadyEnvironment *ready,
                                  RgError *error) {
    Pairing pairing = {0};
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < s->experiment->trial_count && status == RG_OK; i++) {
        const RgTrialSpec *plan = &s->experiment->trials[i];
        if (s->number[i] != number)
            continue;
        rg_wait_report(&s->wait, "%s: checking methods and environments before the first step",
                       s->experiment->options.name);
        if (!pairing.ready.environment)
            status = make_environment(&pairing, plan, error);
        if (status == RG_OK && !pairing.ready.environment)
            break;
        if (status == RG_OK)
            status = check_trial(&pairing, plan, error);
        if (status == RG_E_USAGE || status == RG_E_CONTEXT)
            status = rg_resolve_place(plan->resolved, status, error);
    }
    drop_policy(&pairing);
    rg_ready_environment_clear(ready);
    *ready = pairing.ready;
    return status;
}

static RgStatus check_all(const RgExperiment *experiment, const char *path,
                          RgReadyEnvironment *last, RgError *error) {
    Survey survey = {.experiment = experiment,
                     .kinds = rg_lookup_create(),
                     .number = rg_allocate(experiment->trial_count, sizeof *survey.number),
                     .wait = rg_wait_begin()};
    RgStatus status = RG_OK;
    read_done(&survey, path);
    number_environments(&survey);
    for (int64_t number = survey.count - 1; number >= 0 && status == RG_OK; number--)
        status = check_environment(&survey, number, last, error);
    rg_lookup_destroy(survey.done);
    rg_lookup_destroy(survey.kinds);
    free(survey.number);
    return status;
}

typedef struct Work {
    const RgExperiment *experiment;
    const char *path;
    RgReadyEnvironment last;
    RgError *error;
    RgStatus status;
} Work;

static void *work(void *argument) {
    Work *w = argument;
    w->status = check_all(w->experiment, w->path, &w->last, w->error);
    return NULL;
}

RgStatus rg_check_compatibility(const RgExperiment *experiment, const char *path,
                                RgReadyEnvironment *ready, RgError *error) {
    Work w = {.experiment = experiment, .path = path, .error = error};
    pthread_t thread; /* its OpenMP threads end with it: processes may be forked later */
    int fault = pthread_create(&thread, NULL, work, &w);
    if (fault != 0)
        return rg_fail(error, RG_E_FILE, "cannot start a thread: %s", strerror(fault));
    pthread_join(thread, NULL);
    if (!ready || w.status != RG_OK)
        rg_ready_environment_clear(&w.last);
    if (ready)
        *ready = w.last;
    return w.status;
}
