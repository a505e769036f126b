/* SPDX-License-Identifier: MIT */
/* The trainer: creation, checks, and one step (its gradient is in gradient.c). It knows no
 * algorithm by name. */
#include "algorithms/training/gradient.h"

#include "algorithms/training/expectation.h"
#include "algorithms/training/pair_sampler.h"
#include "algorithms/training/shared_terms.h"
#include "core/train/gradient_sum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const expectations[] = {"sampled", "exact", "responses", NULL};

const RgOption rg_training_options[] = {
    RG_OPTION_INTEGER(
        RgTrainingOptions, batch, "32", 1, 65536,
        "pairs (or single responses, demonstrations, or groups of responses) per step"),
    RG_OPTION_INTEGER(
        RgTrainingOptions, shards, "1", 1, 256,
        "parts of the batch whose gradients are computed one by one and summed: as many ranks of "
        "mpirun can share a step, see --ranks-per-trial of regatta run"),
    RG_OPTION_INTEGER(RgTrainingOptions, micro_batch, "0", 0, 65536,
                      "pairs (or demonstrations) per forward and backward pass, with gradients "
                      "summed over the shard: bounds the memory of a step; 0: the whole shard"),
    RG_OPTION_REAL(RgTrainingOptions, temperature, "1", 0, 100,
                   "temperature at which responses are sampled for training"),
    RG_OPTION_INTEGER(RgTrainingOptions, top_k, "0", 0, 1e9,
                      "sample from the k likeliest tokens only; 0: from all"),
    RG_OPTION_REAL(RgTrainingOptions, top_p, "1", 0, 1,
                   "sample from the smallest set of tokens with this probability mass"),
    RG_OPTION_REAL(
        RgTrainingOptions, min_p, "0", 0, 1,
        "sample only tokens with at least this share of the likeliest token's probability; 0: all"),
    RG_OPTION_CHOICE(
        RgTrainingOptions, expectation, "sampled", expectations,
        "how a step computes the expectation of the loss: sampled, over a batch; exact, over "
        "all pairs of enumerated responses weighted by their probability, without a batch; or "
        "responses, likewise to the prompts of a batch",
        .later = true),
    RG_OPTION_END,
};

/* ---- order of the data ---- */

static RgShuffle shuffle_create(int64_t count, RgRandom random) {
    RgShuffle shuffle = {.count = count, .epoch = -1, .random = random};
    if (count > 0)
        shuffle.order = rg_allocate(count, sizeof *shuffle.order);
    return shuffle;
}

int64_t rg_shuffle_at(RgShuffle *shuffle, int64_t position) {
    int64_t epoch = position / shuffle->count;
    if (epoch != shuffle->epoch) {
        rg_random_permutation(rg_random_at(shuffle->random, (uint64_t)epoch), shuffle->order,
                              shuffle->count);
        shuffle->epoch = epoch;
    }
    return shuffle->order[position % shuffle->count];
}

/* ---- life ---- */

/* Gradients of parts add up only if the loss is a mean over the batch. `key` is the option that
 * splits it. */
static RgStatus check_parts(const RgAlgorithm *algorithm, const RgRecipe *recipe, const char *key,
                            int64_t expected, RgError *error) {
    if (algorithm->step)
        return rg_fail(error, RG_E_USAGE, "training.%s: %s cannot split a batch, expected %ld", key,
                       algorithm->about.name, (long)expected);
    if (recipe->couples)
        return rg_fail(error, RG_E_USAGE,
                       "training.%s: with these options the loss of %s couples the pairs of a "
                       "batch, expected %ld",
                       key, algorithm->about.name, (long)expected);
    return RG_OK;
}

static RgStatus refuse_shards(const RgAlgorithm *algorithm, const RgTrainingOptions *training,
                              RgError *error) {
    return rg_fail(error, RG_E_USAGE,
                   "training.shards is %ld, and %s trains parameters of its own besides the "
                   "policy: expected 1",
                   (long)training->shards, algorithm->about.name);
}

RgStatus rg_training_check(const RgAlgorithm *algorithm, const RgRecipe *recipe,
                           const RgTrainingOptions *training, RgError *error) {
    if (recipe->third == RG_FROM_OTHERS && training->batch < 2)
        return rg_fail(error, RG_E_USAGE,
                       "training.batch is 1, and %s takes a mean over responses of other pairs of "
                       "the batch: expected 2 or more",
                       algorithm->about.name);
    RG_TRY(rg_pair_sampler_check(algorithm, recipe, training, error));
    if (training->shards > 1)
        RG_TRY(check_parts(algorithm, recipe, "shards", 1, error));
    if (training->shards > 1 && recipe->owns)
        return refuse_shards(algorithm, training, error);
    if (training->shards > training->batch)
        return rg_fail(error, RG_E_USAGE,
                       "training.shards is %ld, but a batch has only %ld to split: expected no "
                       "more shards than that",
                       (long)training->shards, (long)training->batch);
    if (training->micro_batch > 0 && training->micro_batch < training->batch)
        RG_TRY(check_parts(algorithm, recipe, "micro_batch", 0, error));
    return RG_OK;
}

static int64_t sequence_count(const RgSequences *sequences) {
    return sequences ? sequences->count : 0;
}

/* Number of words of `pairs_read`. */
static size_t pair_words(const RgTrainer *trainer) {
    return (size_t)(trainer->pairs.count / 64 + 1);
}

void rg_trainer_charge(RgTrainer *trainer, bool on) {
    double *flops = on ? &trainer->flops : NULL;
    if (on)
        trainer->flops = 0;
    trainer->policy->flops = flops;
    trainer->reference->flops = flops;
}

/* Computations of a method before its first step, such as fitting a reward to the offline pairs,
 * are charged like a step. */
static RgStatus create_state(RgTrainer *trainer, RgError *error) {
    const RgAlgorithm *a = trainer->algorithm;
    if (!a->create)
        return RG_OK;
    double start = rg_clock_seconds();
    rg_trainer_charge(trainer, true);
    RgStatus status = a->create(trainer, trainer->options, &trainer->state, error);
    rg_trainer_charge(trainer, false);
    trainer->meter.seconds += rg_clock_seconds() - start;
    trainer->meter.flops += trainer->flops;
    if (status == RG_OK && trainer->own.parameters && trainer->training.shards > 1)
        return refuse_shards(a, &trainer->training, error); /* the recipe does not say it */
    return status;
}

RgStatus rg_trainer_check(const RgAlgorithm *algorithm, const void *options,
                          const RgTrainingOptions *training, const RgPolicy *policy,
                          const RgTask *task, RgError *error) {
    RgRecipe recipe = rg_recipe_of(algorithm, options);
    RG_TRY(rg_algorithm_check(algorithm, error));
    if (algorithm->loss)
        RG_TRY(rg_recipe_check(algorithm, &recipe, error));
    RG_TRY(rg_recipe_check_sources(algorithm, &recipe, task, policy, error));
    RG_TRY(rg_pair_sampler_check_sources(algorithm, &recipe, task, policy, error));
    RG_TRY(rg_shared_terms_check(algorithm, &recipe, policy->adapter.rank > 0, error));
    if (training->expectation != RG_SAMPLED_EXPECTATION)
        RG_TRY(rg_expectation_check(algorithm, &recipe, training, task, policy, error));
    RG_TRY(rg_training_check(algorithm, &recipe, training, error));
    return algorithm->check ? algorithm->check(options, task, policy, error) : RG_OK;
}

/* Offline data in a shuffled order: pairs, or their single responses. */
static void order_offline(RgTrainer *trainer) {
    const RgTask *task = trainer->task;
    int64_t count = task->pairs ? task->pairs->count : 0;
    if (trainer->recipe.single) {
        if (!task->singles)
            trainer->own_singles = rg_singles_of_pairs(task->pairs);
        trainer->singles = task->singles ? task->singles : trainer->own_singles;
        count = trainer->singles->sequences->count;
    }
    trainer->pairs = shuffle_create(count, rg_random_named(trainer->random, "pair order"));
    trainer->pairs_read = rg_allocate(pair_words(trainer), sizeof *trainer->pairs_read);
}

/* Create copies that follow the policy with a delay. */
static void create_followers(RgTrainer *trainer) {
    trainer->sampler = trainer->policy;
    if (trainer->recipe.shared.reference_steps > 0)
        trainer->reference = trainer->moving_reference = rg_policy_clone(trainer->policy, true);
    if (trainer->recipe.sampler_steps != 1)
        trainer->sampler = trainer->moving_sampler = rg_policy_clone(trainer->policy, true);
    if (trainer->moving_sampler)
        trainer->moving_sampler->flops = &trainer->flops;
}

RgStatus rg_trainer_create(const RgAlgorithm *algorithm, const void *options,
                           const RgTrainingOptions *training, RgPolicy *policy, RgPolicy *reference,
                           const RgTask *task, const RgOptimizerOptions *optimizer,
                           int64_t total_steps, RgRandom random, RgTrainer **trainer,
                           RgError *error) {
    *trainer = NULL;
    RG_TRY(rg_trainer_check(algorithm, options, training, policy, task, error));

    RgTrainer *new = rg_allocate(1, sizeof *new);
    new->algorithm = algorithm;
    new->options = options;
    new->recipe = rg_recipe_of(algorithm, options);
    new->training = *training;
    if (new->training.shards < 1)
        new->training.shards = 1;
    new->policy = policy;
    new->reference = reference;
    new->task = task;
    new->random = random;
    create_followers(new);
    new->optimizer = rg_optimizer_create(optimizer, policy->parameters->count, total_steps);
    new->tape = rg_tape_create();
    rg_tape_count_onto(new->tape, &new->flops);
    new->prompts =
        shuffle_create(sequence_count(task->prompts), rg_random_named(random, "prompt order"));
    order_offline(new);
    new->demonstrations = shuffle_create(sequence_count(task->demonstrations),
                                         rg_random_named(random, "demonstration order"));
    RgStatus status = create_state(new, error);
    if (status != RG_OK)
        rg_trainer_destroy(new);
    else
        *trainer = new;
    return status;
}

void rg_trainer_destroy(RgTrainer *trainer) {
    if (!trainer)
        return;
    if (trainer->state && trainer->algorithm->destroy)
        trainer->algorithm->destroy(trainer->state);
    rg_parameters_destroy(trainer->own.parameters);
    rg_optimizer_destroy(trainer->own.optimizer);
    rg_policy_destroy(trainer->moving_reference);
    rg_policy_destroy(trainer->moving_sampler);
    rg_optimizer_destroy(trainer->optimizer);
    rg_tape_destroy(trainer->tape);
    rg_gradient_sum_destroy(trainer->sum);
    free(trainer->prompts.order);
    free(trainer->pairs.order);
    free(trainer->pairs_read);
    rg_singles_destroy(trainer->own_singles);
    free(trainer->pair_shares);
    free(trainer->demonstrations.order);
    free(trainer);
}

void rg_trainer_own(RgTrainer *trainer, const char *name, RgParameters *parameters,
                    const RgOptimizerOptions *optimizer) {
    RG_ASSERT(trainer->algorithm->loss && !trainer->own.parameters);
    trainer->own.name = name;
    trainer->own.parameters = parameters;
    trainer->own.optimizer = rg_optimizer_create(optimizer, parameters->count, 0);
}

static void checkpoint_own(const RgTrainer *trainer, RgCheckpoint *checkpoint) {
    if (!trainer->own.parameters)
        return;
    char *of_optimizer = rg_string_format("%s optimizer", trainer->own.name);
    rg_checkpoint_parameters(checkpoint, trainer->own.name, trainer->own.parameters);
    rg_checkpoint_optimizer(checkpoint, of_optimizer, trainer->own.optimizer);
    free(of_optimizer);
}

void rg_trainer_use_cache(RgTrainer *trainer, struct RgPairCache *cache) {
    trainer->cache = cache;
}

void rg_trainer_checkpoint(RgTrainer *trainer, RgCheckpoint *checkpoint) {
    rg_checkpoint_integers(checkpoint, "step", &trainer->step, 1);
    rg_checkpoint_meter(checkpoint, &trainer->meter);
    rg_checkpoint_integers(checkpoint, "pairs_read", trainer->pairs_read,
                           (int64_t)pair_words(trainer));
    rg_checkpoint_parameters(checkpoint, "policy", trainer->policy->parameters);
    rg_checkpoint_optimizer(checkpoint, "optimizer", trainer->optimizer);
    if (trainer->moving_reference)
        rg_checkpoint_parameters(checkpoint, "moving reference",
                                 trainer->moving_reference->parameters);
    if (trainer->moving_sampler)
        rg_checkpoint_parameters(checkpoint, "sampler", trainer->moving_sampler->parameters);
    checkpoint_own(trainer, checkpoint);
    if (trainer->algorithm->checkpoint)
        trainer->algorithm->checkpoint(trainer->state, checkpoint);
}

void rg_trainer_metric(RgTrainer *trainer, const char *name, double value) {
    RgOutcome *outcome = &trainer->outcome;
    int capacity = (int)(sizeof outcome->metrics / sizeof outcome->metrics[0]);
    RG_ASSERT(outcome->metric_count < capacity);
    outcome->metrics[outcome->metric_count++] = (struct RgMetric){name, value};
}

void rg_trainer_diverged(RgTrainer *trainer, const char *reason) {
    trainer->outcome.diverged = reason;
}

void rg_trainer_notice(RgTrainer *trainer, const char *text) {
    trainer->outcome.notice = text;
}

/* ---- the step ---- */

double rg_trainer_step_policy(RgTrainer *trainer) {
    return rg_optimizer_step_at(trainer->optimizer, trainer->policy->parameters, trainer->step);
}

/* Step the policy and the algorithm's own parameters. Returns the norm of the policy's gradient; it
 * is not finite if either gradient is not. */
static double step_parameters(RgTrainer *trainer) {
    double own = 0, norm;
    if (trainer->own.parameters)
        own = rg_optimizer_step(trainer->own.optimizer, trainer->own.parameters);
    norm = rg_trainer_step_policy(trainer);
    return isfinite(own) ? norm : own;
}

/* Whether the trainer itself logs a metric of this name, in any step. */
static bool is_own_metric(const RgTrainer *trainer, const char *name) {
    const RgOutcome *outcome = &trainer->outcome;
    bool own = strcmp(name, "learning_rate") == 0 || strcmp(name, "failed_episodes") == 0;
    for (int i = 0; i < outcome->metric_count; i++)
        own = own || strcmp(name, outcome->metrics[i].name) == 0;
    return own;
}

/* A mistake in the loss or in its metrics: it ends the trial with an error that names the
 * algorithm. */
static RgStatus check_loss(RgTrainer *trainer, RgError *error) {
    const RgStep *now = &trainer->now;
    RgProcessGroup *process_group =
        trainer->training.shards > 1 ? trainer->task->process_group : NULL;
    const char *name = trainer->algorithm->about.name;
    RgStatus status = RG_OK;
    if (now->fault)
        status = rg_fail(error, RG_E_USAGE, "%s: %s", name, now->fault);
    return rg_process_group_reduce_status(process_group, status, error);
}

/* Log the loss and its gradient's norm: for several epochs, the mean loss and the last norm. */
static RgStatus note_loss(RgTrainer *trainer, double loss, double norm, int64_t epochs,
                          RgError *error) {
    const RgStep *now = &trainer->now;
    rg_trainer_metric(trainer, "loss", loss);
    rg_trainer_metric(trainer, "gradient_norm", norm);
    for (int i = 0; i < now->metric_count; i++) {
        if (is_own_metric(trainer, now->metric[i]))
            return rg_fail(error, RG_E_USAGE,
                           "%s logs a metric \"%s\", which the trainer logs itself: expected "
                           "another name",
                           trainer->algorithm->about.name, now->metric[i]);
        rg_trainer_metric(trainer, now->metric[i], trainer->logged[i] / (double)epochs);
    }
    if (!isfinite(loss))
        rg_trainer_diverged(trainer, "the loss is not finite");
    else if (!isfinite(norm))
        rg_trainer_diverged(trainer, "the gradient is not finite");
    return RG_OK;
}

/* Extragradient: take a plain gradient step to the half point, rate the batch's responses against
 * rivals from there, and go back. *norm out, of the gradient; if it is not finite, nothing is
 * done. */
static RgStatus rate_at_half_point(RgTrainer *trainer, RgRollout *rollout, double *norm,
                                   RgError *error) {
    const RgOptimizer *optimizer = trainer->optimizer;
    RgParameters *p = trainer->policy->parameters;
    RgStatus status = RG_OK;
    *norm = rg_parameters_gradient_norm(p);
    if (isfinite(*norm)) {
        double rate = rg_learning_rate(&optimizer->options, trainer->step, optimizer->total_steps);
        size_t bytes = (size_t)p->count * sizeof *p->value;
        RgReal *start = rg_allocate(p->count, sizeof *start);
        memcpy(start, p->value, bytes);
        for (int64_t i = 0; i < p->count; i++)
            p->value[i] -= (RgReal)rate * p->gradient[i];
        status = rg_rollout_rate(trainer, trainer->step, 1, rollout, error);
        memcpy(p->value, start, bytes);
        free(start);
    }
    rg_parameters_zero_gradient(p);
    return status;
}

static RgStatus loss_step(RgTrainer *trainer, RgError *error) {
    bool extragradient = trainer->recipe.extragradient;
    int64_t epochs = trainer->recipe.epochs, epoch = 0;
    double loss = 0, norm = 0;
    RgRollout rollout;
    RgStatus status = rg_gradient_begin(trainer, trainer->step, &rollout, error);
    while (status == RG_OK && epoch < epochs && isfinite(loss) && isfinite(norm)) {
        loss += rg_gradient_add(trainer, trainer->step, epoch++, &rollout);
        status = check_loss(trainer, error);
        if (status == RG_OK && extragradient && epoch == 1)
            status = rate_at_half_point(trainer, &rollout, &norm, error);
        else if (status == RG_OK)
            norm = step_parameters(trainer);
    }
    if (status == RG_OK)
        status = note_loss(trainer, loss / (double)epoch, norm, epoch, error);
    if (status == RG_OK && trainer->algorithm->finish)
        trainer->algorithm->finish(&trainer->now, trainer->options);
    rg_gradient_end(trainer, &rollout);
    return status;
}

/* Elapsed seconds, with the reference's work on offline pairs charged at its recorded cost. */
static double seconds_spent(const RgTrainer *trainer) {
    return rg_clock_seconds() - trainer->reference_time.spent + trainer->reference_time.seconds;
}

const char *rg_trainer_failure(const RgTrainer *trainer) {
    return trainer->failed_episodes > 0 ? "an episode ended early: the physics failed" : NULL;
}

static void note_failed_episodes(RgTrainer *trainer) {
    const RgSimulator *simulator = trainer->task->simulator;
    if (!simulator || simulator->may_end)
        return;
    rg_trainer_metric(trainer, "failed_episodes", (double)trainer->failed_episodes);
    if (!trainer->outcome.notice)
        rg_trainer_notice(trainer, rg_trainer_failure(trainer));
}

/* Every `steps` steps (0: never), move a follower to the policy, or by a share of the way. */
static void follow(const RgTrainer *trainer, RgPolicy *follower, int64_t steps, double share) {
    const RgParameters *from = trainer->policy->parameters;
    if (!follower || steps == 0 || (trainer->step + 1) % steps != 0)
        return;
    if (share == 1)
        rg_parameters_copy(from, follower->parameters);
    else
        rg_parameters_mix(from, (RgReal)share, follower->parameters);
}

RgStatus rg_trainer_step(RgTrainer *trainer, RgError *error) {
    const RgAlgorithm *a = trainer->algorithm;
    trainer->outcome = (RgOutcome){0};
    trainer->failed_episodes = 0;
    double start = seconds_spent(trainer);
    rg_trainer_charge(trainer, true);
    RgRandom drop =
        rg_random_at(rg_random_named(trainer->random, "dropout"), (uint64_t)trainer->step);
    rg_policy_drop(trainer->policy, &drop);
    RgStatus status = RG_OK;
    int64_t moves = trainer->optimizer->step;
    if (a->step)
        status = a->step(trainer, trainer->options, trainer->state, error);
    else if (a->loss)
        status = loss_step(trainer, error);
    if (trainer->optimizer->step > moves)
        rg_trainer_metric(trainer, "learning_rate", trainer->optimizer->rate);
    rg_policy_drop(trainer->policy, NULL);
    const RgSharedTerms *shared = &trainer->recipe.shared;
    follow(trainer, trainer->moving_reference, shared->reference_steps,
           shared->reference_update > 0 ? shared->reference_update : 1);
    follow(trainer, trainer->moving_sampler, trainer->recipe.sampler_steps, 1);
    note_failed_episodes(trainer);
    trainer->step++;
    trainer->meter.seconds += seconds_spent(trainer) - start;
    rg_trainer_charge(trainer, false);
    trainer->meter.flops += trainer->flops;
    return status;
}
