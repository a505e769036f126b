/* SPDX-License-Identifier: MIT */
/* Estimating a trial: its settings and its environment's data give the loads of passes, and these
 * give bytes and FLOPs. The formulas are in core/models/transformer_cost.c. */
#include "experiments/program/config/cost_estimate.h"

#include "core/models/transformer_cost.h"
#include "core/policy/data_parallel.h"
#include "core/results/weights.h"
#include "core/tensor/threads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the environment ---- */

void rg_cost_estimator_clear(RgCostEstimator *planner) {
    rg_environment_destroy(planner->environment);
    free(planner->identity);
    *planner = (RgCostEstimator){0};
}

static char *identity_of(const RgTrialSpec *plan) {
    return rg_resolved_groups(plan->resolved, (const char *const[]){"environment", NULL});
}

void rg_cost_estimator_take(RgCostEstimator *planner, const RgTrialSpec *plan,
                            RgEnvironment *environment) {
    rg_cost_estimator_clear(planner);
    planner->environment = environment;
    planner->identity = identity_of(plan);
    planner->program = rg_memory_in_use();
}

/* Creates the environment with the data that need no policy, and measures the process's memory. */
static RgStatus set_environment(RgCostEstimator *planner, const RgTrialSpec *plan, RgError *error) {
    char *identity = identity_of(plan);
    if (planner->identity && strcmp(planner->identity, identity) == 0) {
        free(identity);
        return RG_OK;
    }
    double before = rg_memory_in_use();
    double others = planner->identity ? planner->program : before;
    rg_cost_estimator_clear(planner);
    planner->identity = identity;
    RgStatus status =
        rg_environment_create(plan->environment.type, plan->resolved, "environment",
                              rg_random_root((uint64_t)plan->seed), &planner->environment, error);
    RG_TRY(rg_resolve_key(plan, "environment", status, error));
    double now = rg_memory_in_use();
    planner->program = now > others ? now : others;
    return RG_OK;
}

/* ---- the policy ---- */

static RgStatus read_options(const RgTrialSpec *plan, int64_t vocabulary, RgTransformerCost *model,
                             RgError *error) {
    RgTransformerOptions options;
    RG_TRY(rg_options_read(rg_policy_transformer.about.options, plan->resolved, "policy", &options,
                           error));
    return rg_transformer_cost(&options, vocabulary, &plan->adapter, model, error);
}

/* A transformer's cost model. For other kinds model->vocabulary stays 0, and `small` counts their
 * parameters. Weights of a file are loaded to learn their dimensions. */
static RgStatus read_model(const RgTrialSpec *plan, const RgPolicySpace *space,
                           RgTransformerCost *model, int64_t *small, RgError *error) {
    *model = (RgTransformerCost){0};
    RgPolicy *policy = NULL;
    RgStatus status = rg_weights_check_path(plan->policy.weights, error);
    if (status != RG_OK)
        return status;
    if (plan->policy.weights[0])
        status = rg_policy_load(plan->policy.weights, &policy, error);
    else if (strcmp(plan->policy.type, rg_policy_transformer.about.name) == 0)
        return read_options(plan, space->vocabulary, model, error);
    else
        status = rg_policy_create(plan->policy.type, plan->resolved, "policy", space,
                                  rg_random_root(0), &policy, error);
    if (status == RG_OK && policy->type == &rg_policy_transformer)
        status =
            rg_transformer_cost(rg_transformer_options(policy), rg_transformer_vocabulary(policy),
                                &plan->adapter, model, error);
    else if (status == RG_OK)
        *small = policy->parameters->count;
    rg_policy_destroy(policy);
    return status;
}

/* ---- the work of a method that has its own step ---- */

typedef struct Work {
    bool declared;
    RgWork create, step;
} Work;

/* `model` has no vocabulary if the policy has no tokens; its features are then few. */
static Work work_of(const RgTrialSpec *plan, const RgEnvironment *environment,
                    const RgTransformerCost *model, int64_t trained) {
    const RgPolicySpace *space = &environment->space;
    const RgWorkTerms terms = {.batch = plan->training.batch,
                               .steps = environment->task.response_limit,
                               .features = model->vocabulary > 0 ? model->options.width : 0,
                               .parameters = trained,
                               .enumerated = space->contexts * space->responses,
                               .mdp = environment->task.mdp != NULL};
    Work work = {.declared = false};
    work.declared = rg_algorithm_work(plan->algorithm, plan->algorithm_options, &terms,
                                      &work.create, &work.step);
    return work;
}

/* The largest numbers of responses per prompt and of prompts in one backward pass. */
static struct RgWorkItem largest_pass(const RgWork *work, RgWorkKind kind) {
    struct RgWorkItem largest = {0};
    for (int i = 0; i < work->count; i++)
        if (work->item[i].kind == kind &&
            work->item[i].prompts * work->item[i].copies > largest.prompts * largest.copies)
            largest = work->item[i];
    return largest;
}

/* ---- loads ---- */

static int64_t longest_prompt(const RgSequences *s) {
    int64_t longest = 0;
    for (int64_t i = 0; s && i < s->count; i++)
        longest = s->prompt_length[i] > longest ? s->prompt_length[i] : longest;
    return longest;
}

static int64_t longest_response(const RgSequences *s) {
    int64_t longest = 0;
    for (int64_t i = 0; i < s->count; i++)
        longest = rg_sequence_response_length(s, i) > longest ? rg_sequence_response_length(s, i)
                                                              : longest;
    return longest;
}

static bool takes_demonstrations(const RgTrialSpec *plan) {
    const RgRecipe *r = &plan->recipe;
    return r->group == 0 && !r->single && !rg_recipe_takes_pairs(r);
}

/* The longest sequences of a step: existing demonstrations are measured; everything else is a
 * prompt and a response at the limit. */
static RgPassLoad longest_load(const RgTrialSpec *plan, const RgTask *task, const Work *work) {
    bool pairs = !takes_demonstrations(plan);
    int64_t copies = largest_pass(&work->step, RG_WORK_TRAINED).copies;
    RgPassLoad load = {.copies = copies > 0 ? copies : rg_recipe_counts(&plan->recipe).trained,
                       .prompt_length = longest_prompt(task->prompts),
                       .response_length = task->response_limit};
    if (!pairs && task->demonstrations) {
        load.prompt_length = longest_prompt(task->demonstrations);
        load.response_length = longest_response(task->demonstrations);
    }
    return load;
}

static RgPassLoad of_prompts(RgPassLoad load, int64_t prompts) {
    load.prompts = prompts;
    return load;
}

/* ---- parts ---- */

enum { EVALUATED_AT_ONCE = 128 }; /* sequences, of sampling */

static void take_temporary(RgTrialCost *cost, double bytes, const char *of) {
    if (bytes <= cost->temporary)
        return;
    cost->temporary = bytes;
    cost->temporary_of = of;
}

/* Passes without gradients: the policy's and then the reference's. */
static void plan_values(const RgTrialSpec *plan, const RgTransformerCost *model, RgPassLoad load,
                        int64_t part, RgTrialCost *cost) {
    int64_t of_threads = (int64_t)rg_threads() * RG_VALUES_OF_A_THREAD;
    bool apart = rg_data_parallel_suits_sizes(rg_transformer_cost_weights(model), INT64_MAX);
    int64_t at_once =
        apart ? of_threads : rg_values_at_once(load.prompt_length + load.response_length);
    int64_t most = at_once > load.copies ? at_once / load.copies : 1;
    int64_t passed = part < most ? part : most;
    RgPassLoad own = of_prompts(load, passed), scored = of_prompts(load, at_once);
    scored.copies = 1;
    cost->values = rg_transformer_values_cost(model, &scored).peak; /* in evaluation */
    double reference = rg_transformer_values_cost(model, &own).peak;
    if (!takes_demonstrations(plan) && reference > cost->values)
        cost->values = reference;
}

/* Memory outside a step: decoders. */
static void plan_temporaries(const RgTrialSpec *plan, const RgTask *task,
                             const RgTransformerCost *model, const Work *work, RgPassLoad load,
                             RgTrialCost *cost) {
    bool few = task->test_prompts > 0 && task->test_prompts < EVALUATED_AT_ONCE;
    RgPassLoad sampled = of_prompts(load, few ? task->test_prompts : EVALUATED_AT_ONCE);
    sampled.copies = 1;
    take_temporary(cost, rg_transformer_sampling_bytes(model, &sampled), "sampling in evaluation");
    RgRecipeCounts counts = rg_recipe_counts(&plan->recipe);
    struct RgWorkItem drawn = largest_pass(&work->step, RG_WORK_SAMPLED);
    if (!work->declared)
        drawn = (struct RgWorkItem){.prompts = plan->training.batch,
                                    .copies = counts.sampled + counts.third};
    if (drawn.copies > 0) {
        RgPassLoad own = of_prompts(load, drawn.prompts);
        own.copies = drawn.copies;
        take_temporary(cost, rg_transformer_sampling_bytes(model, &own), "sampling for training");
    }
}

static RgPassCost pass_cost(const RgTrialSpec *plan, const RgTransformerCost *model,
                            RgPassLoad load, int64_t examples) {
    RgPassLoad part = of_prompts(load, examples);
    if (takes_demonstrations(plan))
        return rg_transformer_likelihood_cost(model, &part);
    return rg_transformer_training_cost(model, &part);
}

/* Trials without training have no training options. */
static int64_t shards_of(const RgTrialSpec *plan) {
    return plan->training.shards > 1 ? plan->training.shards : 1;
}

/* The passes of a step. Each shard has as many full micro-batches as fit, and one of the rest. The
 * rest needs memory of its own if it is too small for the buffers of the others. */
static void plan_passes(const RgTrialSpec *plan, const RgTransformerCost *model, RgPassLoad load,
                        int64_t part, RgTrialCost *cost) {
    int64_t batch = plan->training.batch, shards = shards_of(plan);
    RgPassCost pass = pass_cost(plan, model, load, part);
    double apart = 0;
    for (int64_t s = 0; s < shards; s++) {
        int64_t count = batch * (s + 1) / shards - batch * s / shards, rest = count % part;
        cost->policy_flops += (double)(count / part) * pass.flops;
        if (rest == 0)
            continue;
        RgPassCost last = pass_cost(plan, model, load, rest);
        cost->policy_flops += last.flops;
        if (last.in_shards != pass.in_shards && last.peak > apart)
            apart = last.peak;
    }
    cost->activations += apart;
}

/* Evaluated once per trained response, before the first epoch: the reference for log-probabilities
 * and features, the policy for the input of `prepare`. */
static void plan_questions(const RgTrialSpec *plan, const RgTransformerCost *model, RgPassLoad all,
                           const RgRecipeCounts *counts, RgTrialCost *cost) {
    RgTransformerCost reference = *model;
    reference.adapter = (RgAdapter){0};
    all.copies = counts->trained;
    if (plan->algorithm->prepare)
        cost->policy_flops += rg_transformer_values_cost(model, &all).flops;
    if (plan->recipe.features)
        cost->reference_flops += rg_transformer_states_flops(&reference, &all, false);
    all.copies = counts->referenced;
    if (counts->referenced > 0)
        cost->reference_flops += rg_transformer_values_cost(&reference, &all).flops;
}

/* Adds the FLOPs of an item of work to the sum of its kind. */
static void price(const RgTransformerCost *model, RgPassLoad load, const struct RgWorkItem *item,
                  RgTrialCost *cost) {
    RgTransformerCost reference = *model;
    reference.adapter = (RgAdapter){0};
    load = of_prompts(load, item->prompts);
    load.copies = item->copies;
    switch (item->kind) {
    case RG_WORK_SAMPLED:
        cost->sampling_flops += item->times * rg_transformer_sampling_flops(model, &load);
        break;
    case RG_WORK_TRAINED:
        cost->policy_flops += item->times * rg_transformer_training_cost(model, &load).flops;
        break;
    case RG_WORK_SCORED:
        cost->policy_flops += item->times * rg_transformer_values_cost(model, &load).flops;
        break;
    case RG_WORK_LINEARISED:
        cost->policy_flops += item->times * rg_transformer_curvature_cost(model, &load).linearised;
        break;
    case RG_WORK_CURVATURE:
        cost->policy_flops += item->times * rg_transformer_curvature_cost(model, &load).product;
        break;
    case RG_WORK_REFERENCED:
        cost->reference_flops += item->times * rg_transformer_values_cost(&reference, &load).flops;
        break;
    case RG_WORK_STATES:
    case RG_WORK_FEATURES:
        cost->reference_flops +=
            item->times *
            rg_transformer_states_flops(&reference, &load, item->kind == RG_WORK_FEATURES);
        break;
    case RG_WORK_JUDGED:
    case RG_WORK_KINDS:
        break;
    }
}

/* Bytes of the largest passes with a gradient. Passes in shards and passes outside them have
 * separate tapes, which keep their memory. */
static double work_activations(const RgTransformerCost *model, RgPassLoad load,
                               const RgWork *work) {
    double peak[2] = {0, 0};
    for (int i = 0; i < work->count; i++) {
        if (work->item[i].kind != RG_WORK_TRAINED)
            continue;
        RgPassLoad own = of_prompts(load, work->item[i].prompts);
        own.copies = work->item[i].copies;
        RgPassCost pass = rg_transformer_training_cost(model, &own);
        if (pass.peak > peak[pass.in_shards])
            peak[pass.in_shards] = pass.peak;
    }
    return peak[0] + peak[1];
}

/* The work before the first step, then that of each step. No closed form covers the memory of
 * second derivatives. */
static void plan_work(const RgTransformerCost *model, RgPassLoad load, const Work *work,
                      RgTrialCost *cost) {
    RgTrialCost before = {.other_flops = work->create.flops};
    for (int i = 0; i < work->create.count; i++)
        price(model, load, &work->create.item[i], &before);
    cost->create_flops = rg_trial_step_flops(&before);
    cost->other_flops = work->step.flops;
    cost->own = sizeof(RgReal) * work->step.numbers;
    cost->activations = work_activations(model, load, &work->step);
    for (int i = 0; i < work->step.count; i++)
        price(model, load, &work->step.item[i], cost);
    if (rg_work_responses(&work->step, RG_WORK_LINEARISED) > 0)
        cost->left_out = "the memory of second derivatives";
}

static void plan_step(const RgTrialSpec *plan, const RgTransformerCost *model, RgPassLoad load,
                      const Work *work, int64_t part, RgTrialCost *cost) {
    const RgRecipe *r = &plan->recipe;
    RgRecipeCounts counts = rg_recipe_counts(r);
    RgPassLoad whole = of_prompts(load, part), all = of_prompts(load, plan->training.batch);
    cost->activations = pass_cost(plan, model, load, part).peak;
    cost->copies = rg_transformer_copies_bytes(model, &whole);
    if (work->declared) {
        plan_work(model, load, work, cost);
        return;
    }
    if (plan->algorithm->step) {
        cost->left_out = "operations and second derivatives, which depend on the algorithm";
        return;
    }
    if (plan->algorithm->create)
        cost->left_out = "the algorithm's own parameters and their operations";
    plan_passes(plan, model, load, part, cost);
    if (counts.scored > 0) {
        all.copies = counts.scored;
        cost->policy_flops += rg_transformer_values_cost(model, &all).flops;
    }
    cost->policy_flops *= (double)r->epochs;
    plan_questions(plan, model, all, &counts, cost);
    if (counts.sampled > 0) {
        all.copies = counts.sampled;
        cost->sampling_flops = r->on_policy * rg_transformer_sampling_flops(model, &all);
    }
    if (counts.third > 0) {
        all.copies = counts.third;
        cost->sampling_flops += rg_transformer_sampling_flops(model, &all);
    }
}

static double bytes_of(int64_t numbers) {
    return (double)rg_aligned_room(sizeof(RgReal) * (size_t)numbers);
}

static void plan_parameters(const RgTrialSpec *plan, int64_t trained, int64_t weights,
                            RgTrialCost *cost) {
    double own = bytes_of(trained), whole = bytes_of(weights);
    bool trains = plan->algorithm->loss || plan->algorithm->step;
    cost->trained = trains ? trained : 0;
    cost->frozen = weights;
    cost->weights = own;
    int64_t followers = (plan->recipe.shared.reference_steps > 0) +
                        (plan->recipe.sampler_steps != 1) +
                        rg_selects(&plan->evaluation, &plan->budget); /* the result so far */
    cost->reference = whole + (trains ? own * (double)followers : 0);
    if (plan->adapter.rank > 0 && plan->adapter.weights[0]) /* a reference of its own */
        cost->reference += whole;
    cost->gradients = own * (shards_of(plan) > 1 ? 2 : 1); /* of a shard, and the sum */
    if (trains)
        cost->optimizer = own * (((const RgOptimizerType *)plan->optimizer.type.type)->two ? 2 : 1);
    cost->loading = whole; /* without the file's buffer, and without gradients */
}

/* Storage of frozen weights, of which `matrices` numbers are in matrices. */
static void plan_storage(const RgTrialSpec *plan, int64_t matrices, RgTrialCost *cost) {
    if (plan->policy.reference_storage == RG_PRECISION_BF16)
        cost->reference += (double)rg_aligned_room(sizeof(RgBf16) * (size_t)matrices) +
                           bytes_of(cost->frozen - matrices) - bytes_of(cost->frozen);
}

static void plan_transformer(const RgTrialSpec *plan, const RgTask *task, RgTransformerCost *model,
                             RgPassLoad load, const Work *work, RgTrialCost *cost) {
    model->recompute = plan->policy.recompute;
    model->precision = (RgPrecision)plan->policy.precision;
    model->storage = (RgPrecision)plan->policy.reference_storage;
    model->sampling = (RgPrecision)plan->policy.sampling;
    cost->prompt_length = load.prompt_length;
    cost->response_length = load.response_length;
    int64_t part = plan->training.micro_batch, shards = shards_of(plan);
    int64_t shard = (plan->training.batch + shards - 1) / shards; /* the largest shard */
    if (part == 0 || part > shard)
        part = shard;
    int64_t pass = largest_pass(&work->step, RG_WORK_TRAINED).prompts;
    if (pass > 0)
        part = pass;
    plan_values(plan, model, load, part, cost);
    plan_temporaries(plan, task, model, work, load, cost);
    if (plan->algorithm->loss || plan->algorithm->step)
        plan_step(plan, model, load, work, part, cost);
}

/* Adds the responses of `work`, as tokens and as queries. */
static void count_work(const RgWork *work, const RgTask *task, double *tokens, double *queries) {
    *tokens = rg_work_responses(work, RG_WORK_SAMPLED) * (double)task->response_limit;
    *queries = rg_work_responses(work, RG_WORK_JUDGED);
}

/* An algorithm that has its own step declares its work. The length of responses is known only for
 * transformers. */
static void plan_rollout(const RgTrialSpec *plan, const RgTransformerCost *model, const Work *work,
                         const RgEnvironment *environment, RgTrialCost *cost) {
    const RgTask *task = &environment->task;
    const RgPolicySpace *space = &environment->space;
    if (work->declared) {
        count_work(&work->create, task, &cost->create_tokens, &cost->create_queries);
        count_work(&work->step, task, &cost->generated_tokens, &cost->judge_queries);
        cost->at_most = work->create.at_most || work->step.at_most;
        if (model->vocabulary == 0 && cost->generated_tokens > 0)
            cost->generated_tokens = NAN;
        return;
    }
    RgRecipeCounts counts = rg_recipe_counts(&plan->recipe);
    double batch = (double)plan->training.batch, own = batch * plan->recipe.on_policy;
    double sampled = own * (double)counts.sampled + batch * (double)counts.third;
    cost->judge_queries = own * (double)counts.judged;
    if (counts.judges_all && own > 0)
        cost->judge_queries += (double)space->contexts * (double)space->responses;
    cost->generated_tokens = sampled * (double)task->response_limit;
    if (plan->algorithm->step || (model->vocabulary == 0 && sampled > 0))
        cost->generated_tokens = NAN;
    if (plan->algorithm->step)
        cost->judge_queries = NAN;
}

/* Where the data are there, or it is known how many there will be. */
static void plan_epochs(const RgTrialSpec *plan, const RgTask *task, RgTrialCost *cost) {
    const char *of;
    int64_t elements = rg_recipe_elements(&plan->recipe, task, &of);
    if (plan->budget.epochs > 0 && elements > 0)
        cost->epoch_steps = rg_epoch_steps(plan->budget.epochs, elements, plan->training.batch);
}

double rg_trial_step_flops(const RgTrialCost *cost) {
    return cost->policy_flops + cost->reference_flops + cost->sampling_flops + cost->other_flops;
}

static RgStatus plan_trial(RgCostEstimator *planner, const RgTrialSpec *plan, RgTrialCost *cost,
                           RgError *error) {
    *cost = (RgTrialCost){0};
    RG_TRY(set_environment(planner, plan, error));
    cost->program = planner->program;
    RgTransformerCost model;
    int64_t small = 0;
    RgStatus status = read_model(plan, &planner->environment->space, &model, &small, error);
    RG_TRY(rg_resolve_key(plan, "policy", status, error));
    const RgEnvironment *environment = planner->environment;
    Work work = work_of(plan, environment, &model,
                        model.vocabulary > 0 ? rg_transformer_cost_trained(&model) : small);
    plan_rollout(plan, &model, &work, environment, cost);
    plan_epochs(plan, &environment->task, cost);
    if (model.vocabulary > 0) {
        plan_parameters(plan, rg_transformer_cost_trained(&model),
                        rg_transformer_cost_weights(&model), cost);
        plan_storage(plan, rg_transformer_cost_matrices(&model), cost);
        RgPassLoad load = longest_load(plan, &environment->task, &work);
        plan_transformer(plan, &environment->task, &model, load, &work, cost);
    } else {
        plan_parameters(plan, small, small, cost);
        cost->left_out = "passes, which are small";
    }
    double training = cost->weights + cost->reference + cost->gradients + cost->optimizer +
                      cost->own + cost->activations + cost->values + cost->copies + cost->temporary;
    cost->total = cost->program + (training > cost->loading ? training : cost->loading);
    return RG_OK;
}

RgStatus rg_cost_estimate_trial(RgCostEstimator *planner, const RgTrialSpec *plan,
                                RgTrialCost *cost, RgError *error) {
    RgStatus status = plan_trial(planner, plan, cost, error);
    if (status == RG_E_USAGE)
        status = rg_resolve_place(plan->resolved, status, error);
    return rg_resolved_name_missing(plan->resolved, status, error);
}
