/* SPDX-License-Identifier: MIT */
/* The contract of environments: they can be created, their data are valid, and equal queries give
 * equal numbers. */
#include "core/tensor/threads.h"
#include "experiments/program/plugins/check_plugin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An environment, and a policy near its reference. */
typedef struct World {
    RgEnvironment *environment;
    RgPolicy *reference, *policy;
} World;

/* The first kind of policy that can be created in the space with default options. */
static RgStatus any_policy(const RgPolicySpace *space, RgPolicy **policy, RgError *error) {
    RgSettings *none = rg_settings_create();
    RgStatus status = RG_E_USAGE;
    const RgDescriptor *about;
    for (int i = 0; status != RG_OK && (about = rg_registered(RG_POLICY, i)); i++)
        status =
            rg_policy_create(about->name, none, "policy", space, rg_random_root(3), policy, error);
    rg_settings_destroy(none);
    return status;
}

static void end(World *world) {
    rg_policy_destroy(world->policy);
    rg_policy_destroy(world->reference);
    rg_environment_destroy(world->environment);
}

static RgStatus begin(const RgEnvironmentType *type, const RgSettings *settings, World *world,
                      RgError *error) {
    RgRandom random = rg_random_root(7);
    *world = (World){0};
    RG_TRY(rg_environment_create(type->about.name, settings, "environment", random,
                                 &world->environment, error));
    RG_TRY(any_policy(&world->environment->space, &world->reference, error));
    RG_TRY(rg_environment_prepare(world->environment, world->reference, random, error));
    world->policy = rg_policy_clone(world->reference, false);
    for (int64_t i = 0; i < world->policy->parameters->count; i++)
        world->policy->parameters->value[i] +=
            (RgReal)(0.1 * rg_random_normal(random, (uint64_t)i));
    return RG_OK;
}

static RgEvaluation *evaluate(const World *world, RgClaims *claims) {
    RgEvaluation *evaluation = rg_evaluation_create();
    RgContender contender = {.policy = world->policy, .reference = world->reference, .beta = 0.1};
    RgError error = {0};
    if (rg_environment_evaluate(world->environment, &contender, rg_random_root(1), evaluation,
                                &error) == RG_OK)
        return evaluation;
    rg_claim(claims, false, "it evaluates a policy", "%s", error.text);
    rg_evaluation_destroy(evaluation);
    return NULL;
}

static bool same_bits(double a, double b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

/* The first metric in which they differ, or NULL. */
static const char *difference(const RgEvaluation *a, const RgEvaluation *b) {
    int count = rg_evaluation_metric_count(a);
    if (count != rg_evaluation_metric_count(b))
        return "the number of metrics";
    for (int i = 0; i < count; i++) {
        const char *name = rg_evaluation_metric_name(a, i);
        if (strcmp(name, rg_evaluation_metric_name(b, i)) != 0 ||
            !same_bits(rg_evaluation_metric_value(a, i), rg_evaluation_metric_value(b, i)))
            return name;
    }
    for (int i = 0; i < rg_evaluation_column_count(a); i++)
        if (i >= rg_evaluation_column_count(b) ||
            memcmp(rg_evaluation_column_values(a, i), rg_evaluation_column_values(b, i),
                   (size_t)rg_evaluation_items(a) * sizeof(double)) != 0)
            return rg_evaluation_column_name(a, i);
    return NULL;
}

static void claim_repeats(const World *world, const RgEvaluation *first, const char *claim,
                          RgClaims *claims) {
    RgEvaluation *again = evaluate(world, claims);
    const char *other = again ? difference(first, again) : NULL;
    if (again)
        rg_claim(claims, !other, claim, "%s%s", other ? "another value of " : "",
                 other ? other : "");
    rg_evaluation_destroy(again);
}

/* ---- its data ---- */

static void claim_prompts(const World *world, RgClaims *claims) {
    const RgTask *task = &world->environment->task;
    const RgSequences *prompts = task->prompts;
    RgError error = {0};
    if (!rg_claim(claims, prompts && prompts->count > 0 && task->response_limit > 0,
                  "it has prompts", "%lld, for responses of at most %lld tokens",
                  prompts ? (long long)prompts->count : 0, (long long)task->response_limit))
        return;
    rg_claim(claims, rg_policy_check(world->policy, prompts, "the prompts", &error) == RG_OK,
             "a policy can be evaluated on them", "%s", error.text);
}

static void claim_pairs(const World *world, RgClaims *claims) {
    static const char claim[] = "its offline pairs are pairs";
    const RgPairs *pairs = world->environment->task.pairs;
    if (!pairs || pairs->count == 0) {
        rg_claim_nothing(claims, claim, "it has none");
        return;
    }
    RgError error = {0};
    int64_t bad = 0;
    for (int64_t i = 0; i < pairs->count; i++)
        bad += pairs->preferred[i] > 1 ||
               !rg_sequences_same_prompt(pairs->sequences, 2 * i, 2 * i + 1);
    RgStatus status = rg_policy_check(world->policy, pairs->sequences, "the pairs", &error);
    rg_claim(claims, bad == 0 && status == RG_OK && pairs->sequences->count == 2 * pairs->count,
             claim, "%lld, %lld of them without a common prompt or a label%s%s",
             (long long)pairs->count, (long long)bad, error.text[0] ? ": " : "", error.text);
}

/* Responses of the policy to the first prompts. */
static RgSequences *responses_of(const World *world) {
    enum { PROMPTS = 16, COPIES = 2 };
    const RgTask *c = &world->environment->task;
    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    for (int64_t i = 0; i < PROMPTS && i < c->prompts->count; i++)
        rg_sequences_append_from(prompts, c->prompts, i, true);
    RgSampling sampling = {.temperature = 1,
                           .top_p = 1,
                           .response_limit = c->response_limit,
                           .tokens = c->tokens,
                           .end_token = c->end_token,
                           .stop = c->stop};
    rg_policy_sample(world->policy, prompts, COPIES, &sampling, rg_random_root(2), out, NULL);
    rg_sequences_destroy(prompts);
    return out;
}

static void claim_judge(const World *world, RgClaims *claims) {
    static const char claim[] = "its judge gives equal rewards to equal responses";
    const RgTask *task = &world->environment->task;
    if (!task->prompts || task->prompts->count == 0 || !task->judge) {
        rg_claim_nothing(claims, claim, "it has no judge that gives rewards");
        return;
    }
    RgSequences *all = responses_of(world);
    size_t bytes = (size_t)(all->count + 1) * sizeof(double);
    double *first = rg_allocate(1, bytes), *again = rg_allocate(1, bytes), alone;
    RgError error = {0};
    RgStatus status = rg_task_judge(task, all, first, &error);
    if (status == RG_OK)
        status = rg_task_judge(task, all, again, &error);
    int64_t other = 0;
    for (int64_t i = 0; i < all->count && status == RG_OK; i++) {
        RgSequences *one = rg_sequences_create();
        rg_sequences_append_from(one, all, i, false);
        status = rg_task_judge(task, one, &alone, &error);
        other +=
            !isfinite(first[i]) || !same_bits(first[i], again[i]) || !same_bits(first[i], alone);
        rg_sequences_destroy(one);
    }
    rg_claim(claims, status == RG_OK && other == 0, claim,
             "%lld responses, together and alone; %lld with another reward or none%s%s",
             (long long)all->count, (long long)other, error.text[0] ? ": " : "", error.text);
    free(first);
    free(again);
    rg_sequences_destroy(all);
}

static void claim_singles(const World *world, RgClaims *claims) {
    static const char claim[] = "its single responses have labels";
    const RgSingles *singles = world->environment->task.singles;
    if (!singles || singles->sequences->count == 0)
        return; /* few environments have any */
    RgError error = {0};
    int64_t bad = 0, count = singles->sequences->count;
    for (int64_t i = 0; i < count; i++)
        bad += singles->desirable[i] > 1;
    RgStatus status = rg_policy_check(world->policy, singles->sequences, "they", &error);
    rg_claim(claims, bad == 0 && status == RG_OK, claim, "%lld, %lld of them without a label%s%s",
             (long long)count, (long long)bad, error.text[0] ? ": " : "", error.text);
}

static void claim_steps(const RgTrainer *trainer, RgStatus status, const RgError *error,
                        RgClaims *claims, const char *claim) {
    const char *fault = status != RG_OK ? error->text : trainer->outcome.diverged;
    if (fault)
        rg_claim(claims, false, claim, "step %lld: %s", (long long)trainer->step, fault);
    else
        rg_claim(claims, true, claim, "%lld steps", (long long)trainer->step);
}

/* A method that can learn from the environment's data makes some steps in it. */
static void claim_training(const World *world, RgClaims *claims) {
    enum { STEPS = 5 };
    const RgTask *task = &world->environment->task;
    bool offline = task->pairs && task->pairs->count > 0;
    const RgAlgorithm *a = rg_algorithm_find(offline ? "dpo" : "online-dpo");
    char *claim = rg_string_format("%s can be trained in it", a->about.name);
    RgSettings *none = rg_settings_create();
    void *options = rg_allocate(1, a->about.options_size);
    RgStatus status = rg_options_read(a->about.options, none, "algorithm", options, NULL);
    RG_ASSERT(status == RG_OK);
    RgTrainingOptions training = {.batch = 8, .temperature = 1, .top_p = 1};
    RgTrainer *trainer = NULL;
    RgError error = {0};
    status = rg_trainer_create(a, options, &training, world->policy, world->reference, task,
                               &rg_small_race_optimizer, 0, rg_random_root(4), &trainer, &error);
    for (int s = 0; s < STEPS && status == RG_OK && !trainer->outcome.diverged; s++)
        status = rg_trainer_step(trainer, &error);
    if (status != RG_OK && !trainer)
        rg_claim_nothing(claims, claim, error.text);
    else
        claim_steps(trainer, status, &error, claims, claim);
    rg_trainer_destroy(trainer);
    free(options);
    rg_settings_destroy(none);
    free(claim);
}

/* ---- all claims ---- */

/* What a config may select by is there to be selected by. */
static void claim_metrics(const RgEnvironmentType *type, const RgSettings *settings,
                          const RgEvaluation *evaluation, RgClaims *claims) {
    static const char claim[] = "an evaluation has the metrics that it names";
    if (!type->metrics) {
        rg_claim_nothing(claims, claim, "it names none");
        return;
    }
    const char *missing = NULL;
    int64_t count = 0;
    void *options = rg_allocate(1, type->about.options_size);
    RgStatus status = rg_options_read(type->about.options, settings, "environment", options, NULL);
    RG_ASSERT(status == RG_OK); /* it was created with them */
    for (const char *const *name = type->metrics; *name; name++) {
        if (type->measures && !type->measures(options, *name))
            continue;
        bool found = false;
        for (int i = 0; i < rg_evaluation_metric_count(evaluation); i++)
            found = found || strcmp(rg_evaluation_metric_name(evaluation, i), *name) == 0;
        missing = found ? missing : *name;
        count++;
    }
    free(options);
    rg_claim(claims, !missing, claim, "%lld metrics%s%s", (long long)count,
             missing ? ", without " : "", missing ? missing : "");
}

static void claim_evaluation(const RgEnvironmentType *type, const RgSettings *settings,
                             const World *world, RgClaims *claims) {
    RgEvaluation *first = evaluate(world, claims);
    if (!first)
        return;
    double primary_metric = rg_evaluation_find(first, type->primary_metric);
    rg_claim(claims, isfinite(primary_metric), "an evaluation has its primary metric",
             "%s is %.6g of %d metrics", type->primary_metric, primary_metric,
             rg_evaluation_metric_count(first));
    claim_metrics(type, settings, first, claims);
    rg_claim(claims, rg_evaluation_items(first) > 0, "and numbers per item", "%d columns of %lld",
             rg_evaluation_column_count(first), (long long)rg_evaluation_items(first));
    claim_repeats(world, first, "a repeated evaluation has the same bits", claims);
    int threads = rg_threads();
    rg_threads_set(threads == 1 ? 2 : 1);
    World other;
    RgError error = {0};
    if (begin(type, settings, &other, &error) == RG_OK)
        claim_repeats(&other, first, "the same bits from the same seed, with any number of threads",
                      claims);
    else
        rg_claim(claims, false, "it can be created again", "%s", error.text);
    end(&other);
    rg_threads_set(threads);
    rg_evaluation_destroy(first);
}

void rg_check_environment(const RgEnvironmentType *type, const char *options, RgClaims *claims) {
    RgSettings *settings = rg_settings_create();
    World world;
    RgError error = {0};
    rg_small_race_set(settings, "environment", options);
    RgStatus status = begin(type, settings, &world, &error);
    if (rg_claim(claims, status == RG_OK, "it can be created, and a policy in it", "%s",
                 status == RG_OK ? world.policy->type->about.name : error.text)) {
        claim_prompts(&world, claims);
        claim_pairs(&world, claims);
        claim_singles(&world, claims);
        claim_judge(&world, claims);
        claim_evaluation(type, settings, &world, claims);
        claim_training(&world, claims);
    }
    end(&world);
    rg_settings_destroy(settings);
}
