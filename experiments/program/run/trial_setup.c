/* SPDX-License-Identifier: MIT */
/* The setup of a trial: its environment, its reference policy, the offline pairs. */
#include "experiments/program/run/trial_setup.h"

#include "core/lookup.h"
#include "core/models/peft.h"
#include "core/results/weights.h"
#include "core/tensor/blas.h"
#include "core/tensor/threads.h"
#include "experiments/program/config/results_version.h"
#include "experiments/program/run/trial_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t environment_seed(const RgTrialSpec *plan) {
    return plan->environment.seed >= 0 ? plan->environment.seed : plan->seed;
}

/* The resolved settings of the environment, and of the policy if `all`, and the seed that both are
 * drawn from. */
static char *identity_of(const RgTrialSpec *plan, bool all) {
    const char *const groups[] = {"environment", all ? "policy" : NULL, NULL};
    char *json = rg_resolved_groups(plan->resolved, groups);
    char *identity = rg_string_format("%lld %s", (long long)environment_seed(plan), json);
    free(json);
    return identity;
}

/* The stream that environment and reference are drawn from. */
static RgRandom stage_of(const RgTrialSpec *plan) {
    return rg_random_named(rg_random_root((uint64_t)environment_seed(plan)),
                           "stage"); /* bits hang on it */
}

/* ---- the environment ---- */

RgStatus rg_ready_environment_make(RgReadyEnvironment *ready, const RgTrialSpec *plan,
                                   RgError *error) {
    rg_ready_environment_clear(ready);
    RG_TRY(rg_environment_create(plan->environment.type, plan->resolved, "environment",
                                 rg_random_named(stage_of(plan), "environment"),
                                 &ready->environment, error));
    ready->plan = plan;
    return RG_OK;
}

void rg_ready_environment_clear(RgReadyEnvironment *ready) {
    rg_environment_destroy(ready->environment);
    *ready = (RgReadyEnvironment){0};
}

static bool is_same_environment(const RgTrialSpec *a, const RgTrialSpec *b) {
    char *left = identity_of(a, false), *right = identity_of(b, false);
    bool same = strcmp(left, right) == 0;
    free(left);
    free(right);
    return same;
}

/* The one that is ready, if it is that of the trial, or a new one. */
static RgStatus take_environment(RgTrialSetup *setup, const RgTrialSpec *plan, RgError *error) {
    RgStatus status = RG_OK;
    if (!setup->ready.environment || !is_same_environment(setup->ready.plan, plan))
        status = rg_ready_environment_make(&setup->ready, plan, error);
    setup->environment = setup->ready.environment;
    setup->ready.environment = NULL;
    rg_ready_environment_clear(&setup->ready);
    return status;
}

/* ---- the policy ---- */

static RgStatus check_reference(const RgTrialSpec *plan, const RgPolicy *start, RgError *error) {
    if (plan->policy.reference == RG_REFERENCE_START || start->type->logits)
        return RG_OK;
    return rg_fail(error, RG_E_USAGE,
                   "policy.reference is \"uniform\", and the responses of a %s policy cannot be "
                   "enumerated: expected \"start\"",
                   start->type->about.name);
}

/* The uniform policy of the same shape: without weights all logits are 0. */
static void make_uniform(const RgPolicy *start, RgPolicy **reference) {
    *reference = rg_policy_clone(start, true);
    for (int v = 0; v < (*reference)->parameters->view_count; v++)
        rg_parameters_fill((*reference)->parameters, v, 0);
}

static RgStatus make_start(const RgTrialSpec *plan, const RgEnvironment *environment,
                           RgRandom random, RgPolicy **start, RgError *error) {
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
    if (environment->space.simulator)
        status = rg_policy_use_simulator(policy, environment->space.simulator, error);
    if (status == RG_OK)
        status = rg_policy_set_precision(policy, (RgPrecision)plan->policy.precision, error);
    if (status == RG_OK)
        status = rg_policy_store(policy, (RgPrecision)plan->policy.reference_storage, error);
    if (status != RG_OK) {
        rg_policy_destroy(policy);
        return status;
    }
    *start = policy;
    return RG_OK;
}

/* The adapter that a trial trains, on its start. */
static RgStatus make_adapter(const RgTrialSpec *plan, RgPolicy *start, RgPolicy **policy,
                             RgError *error) {
    RgRandom random = rg_random_named(rg_random_root((uint64_t)plan->seed), "adapter");
    RG_TRY(rg_policy_adapt(start, &plan->adapter, random, policy, error));
    if (!plan->adapter.weights[0])
        return RG_OK;
    RgStatus status = rg_peft_load(*policy, plan->policy.weights, plan->adapter.weights, error);
    if (status == RG_OK)
        return RG_OK;
    rg_policy_destroy(*policy);
    *policy = NULL;
    return status;
}

/* The start with the adapter that training continues. */
static RgStatus make_adapted(const RgTrialSpec *plan, RgPolicy *start, RgPolicy **reference,
                             RgError *error) {
    RgPolicy *adapted;
    RG_TRY(make_adapter(plan, start, &adapted, error));
    *reference = rg_policy_merged(adapted);
    rg_policy_destroy(adapted);
    return RG_OK;
}

static RgStatus make_reference(RgTrialSetup *setup, const RgTrialSpec *plan, RgRandom random,
                               RgError *error) {
    bool continues = plan->adapter.rank > 0 && plan->adapter.weights[0];
    if (plan->policy.reference == RG_REFERENCE_START && !continues)
        return make_start(plan, setup->environment, random, &setup->reference, error);
    RG_TRY(make_start(plan, setup->environment, random, &setup->start, error));
    if (plan->policy.reference == RG_REFERENCE_START)
        return make_adapted(plan, setup->start, &setup->reference, error);
    RG_TRY(check_reference(plan, setup->start, error));
    make_uniform(setup->start, &setup->reference);
    return RG_OK;
}

/* The ends that the weights' folder lists end a sampled response, too. */
static RgStatus add_ends(RgTrialSetup *setup, const RgTrialSpec *plan, RgError *error) {
    RgTask *task = &setup->environment->task;
    RgModelEnds of_weights;
    RgStatus status = rg_generation_config_read(plan->policy.weights, &of_weights, error);
    for (int64_t i = 0; i < task->stop.count; i++)
        rg_model_ends_add(&setup->ends, task->stop.id[i]);
    for (int64_t i = 0; i < of_weights.count; i++)
        if (of_weights.end[i] != task->end_token)
            rg_model_ends_add(&setup->ends, of_weights.end[i]);
    if (task->end_token >= 0)
        task->stop = (RgStopTokens){setup->ends.end, setup->ends.count};
    rg_model_ends_release(&of_weights);
    return status;
}

/* Everything that the environment hands out fits the policy: checked once, here. */
static RgStatus check_data(const RgPolicy *policy, const RgTask *task, RgError *error) {
    if (task->prompts)
        RG_TRY(rg_policy_check(policy, task->prompts, "training prompts", error));
    if (task->pairs)
        RG_TRY(rg_policy_check(policy, task->pairs->sequences, "preference pairs", error));
    if (task->singles)
        RG_TRY(rg_policy_check(policy, task->singles->sequences, "single responses", error));
    if (task->demonstrations)
        RG_TRY(rg_policy_check(policy, task->demonstrations, "demonstrations", error));
    return RG_OK;
}

RgDigest rg_trial_setup_source(const RgTrialSetup *setup) {
    char *where =
        rg_string_format("%s, %s, %d threads", RG_RESULTS_VERSION, rg_blas_core(), rg_threads());
    RgDigest digest = rg_digest(setup->reference_digest, where, strlen(where));
    free(where);
    return digest;
}

/* Answers to the batches of evaluation.gradients would be charged to no step. */
static RgStatus check_gradients(RgEnvironment *environment, const RgTrialSpec *plan,
                                RgError *error) {
    RgError external = {0};
    if (plan->evaluation.gradients == 0 ||
        rg_environment_use_answers(environment, NULL, &external) == RG_OK)
        return RG_OK;
    return rg_resolve_place(plan->resolved,
                            rg_fail(error, RG_E_USAGE,
                                    "evaluation.gradients = %ld: expected 0 with an external judge",
                                    (long)plan->evaluation.gradients),
                            error);
}

RgStatus rg_trial_setup_check(const RgTrialSpec *plan, RgEnvironment *environment,
                              const RgPolicy *start, RgError *error) {
    RG_TRY(check_gradients(environment, plan, error));
    return check_reference(plan, start, error);
}

void rg_trial_setup_clear(RgTrialSetup *setup) {
    rg_environment_destroy(setup->environment);
    rg_policy_destroy(setup->reference); /* before the start, which it may be a clone of */
    rg_policy_destroy(setup->start);
    rg_model_ends_release(&setup->ends);
    free(setup->identity);
    *setup = (RgTrialSetup){.ready = setup->ready,
                            .answers = setup->answers,
                            .ahead = setup->ahead,
                            .saves = setup->saves,
                            .process_group = setup->process_group};
}

int64_t *rg_trial_setup_order(const RgExperiment *experiment) {
    int64_t count = experiment->trial_count, groups = 0, at = 0;
    int64_t *order = rg_allocate(count, sizeof *order), *group = rg_allocate(count, sizeof *group);
    RgLookup *known = rg_lookup_create();
    for (int64_t i = 0; i < count; i++) {
        char *identity = identity_of(&experiment->trials[i], true);
        int64_t *number = rg_lookup_at(known, identity, strlen(identity));
        if (*number < 0)
            *number = groups++;
        group[i] = *number;
        free(identity);
    }
    rg_lookup_destroy(known);
    /* A counting sort: the place of a group's first trial, then of the next ones. */
    int64_t *place = rg_allocate(groups + 1, sizeof *place);
    for (int64_t i = 0; i < count; i++)
        place[group[i] + 1]++;
    for (int64_t g = 0; g < groups; g++)
        place[g + 1] += place[g];
    for (; at < count; at++)
        order[place[group[at]]++] = at;
    free(place);
    free(group);
    return order;
}

RgStatus rg_trial_setup_make(RgTrialSetup *setup, const RgTrialSpec *plan, RgError *error) {
    char *identity = identity_of(plan, true);
    bool same = setup->identity && strcmp(setup->identity, identity) == 0;
    if (rg_process_group_all(setup->process_group, same)) {
        free(identity);
        setup->environment->task.process_group = setup->process_group;
        return check_gradients(setup->environment, plan, error);
    }
    rg_trial_setup_clear(setup);
    RgRandom random = stage_of(plan), environment = rg_random_named(random, "environment");
    RgStatus status = take_environment(setup, plan, error);
    if (status == RG_OK)
        status = check_gradients(setup->environment, plan, error);
    if (status == RG_OK && (setup->answers || setup->ahead))
        status = rg_environment_use_answers(setup->environment, setup->answers, error);
    if (status == RG_OK)
        status = make_reference(setup, plan, random, error);
    if (status == RG_OK && plan->policy.weights[0])
        status = add_ends(setup, plan, error);
    status = rg_process_group_reduce_status(setup->process_group, status, error);
    if (status == RG_OK)
        status = rg_trial_process_group_check_alike(setup, error);
    if (status == RG_OK)
        setup->environment->task.process_group = setup->process_group;
    if (status == RG_OK)
        status = rg_environment_prepare(setup->environment, setup->reference,
                                        rg_random_named(environment, "data"), error);
    if (status == RG_OK) /* only now, so that the offline pairs are the same in either */
        status =
            rg_policy_set_sampling(setup->reference, (RgPrecision)plan->policy.sampling, error);
    if (status == RG_OK)
        status = check_data(setup->reference, &setup->environment->task, error);
    if (status == RG_OK) /* now that they have been read */
        status = rg_resolved_check_inputs(plan->resolved, error);
    if (status == RG_OK && setup->saves)
        status = rg_environment_save(setup->environment, error);
    status = rg_process_group_reduce_status(setup->process_group, status, error);
    if (status == RG_OK) {
        setup->reference_digest = rg_policy_digest(setup->reference);
        setup->identity = identity;
    } else {
        free(identity);
        rg_trial_setup_clear(setup);
    }
    return rg_resolved_name_missing(plan->resolved, status, error);
}

RgPolicy *rg_trial_setup_start(const RgTrialSetup *setup) {
    return setup->start ? setup->start : setup->reference;
}

RgStatus rg_trial_setup_policy(const RgTrialSetup *setup, const RgTrialSpec *plan,
                               RgPolicy **policy, RgError *error) {
    if (plan->adapter.rank > 0)
        RG_TRY(make_adapter(plan, rg_trial_setup_start(setup), policy, error));
    else
        *policy = rg_policy_clone(rg_trial_setup_start(setup), false);
    (*policy)->recompute = plan->policy.recompute;
    return RG_OK;
}
