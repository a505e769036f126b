/* The trainer: its life, what it refuses, and one step, of which the gradient is made in
 * trainer_gradient.c. No algorithm is known by name here. */
#include "algorithms/trainer_gradient.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const RgOption rg_training_options[] = {
    RG_OPTION_INTEGER(RgTrainingOptions, batch, "32", 1, 65536,
                      "pairs (or demonstrations, or groups of responses) per step"),
    RG_OPTION_INTEGER(
        RgTrainingOptions, shards, "1", 1, 256,
        "parts of the batch whose gradients are made one by one and then added up: so many "
        "ranks of mpirun can share a step, see --ranks-per-trial of regatta run"),
    RG_OPTION_INTEGER(
        RgTrainingOptions, micro_batch, "0", 0, 65536,
        "pairs (or demonstrations) per forward and backward pass, whose gradients add "
        "up to the shard's: bounds the memory of a step; 0: the whole shard"),
    RG_OPTION_REAL(RgTrainingOptions, temperature, "1", 0, 100,
                   "temperature of responses that are sampled for training"),
    RG_OPTION_INTEGER(RgTrainingOptions, top_k, "0", 0, 1e9,
                      "sample from the k likeliest tokens only; 0: from all"),
    RG_OPTION_REAL(RgTrainingOptions, top_p, "1", 0, 1,
                   "sample from the smallest set of tokens of this mass"),
    RG_OPTION_REAL(RgTrainingOptions, min_p, "0", 0, 1,
                   "sample from tokens at least so many times as likely as the likeliest; 0: all"),
    RG_OPTION_END,
};

/* ---- order of the data ---- */

static RgShuffle shuffle_create(int64_t count, RgRandom random) {
    RgShuffle shuffle = {.count = count, .epoch = -1, .random = random};
    if (count > 0)
        shuffle.order = rg_allocate((size_t)count * sizeof *shuffle.order);
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

/* What the descriptor draws on must be there. */
static RgStatus check_course(const RgAlgorithm *a, const RgCourse *course, RgError *error) {
    bool pairs = rg_algorithm_takes_pairs(a), policy = a->responses == RG_FROM_POLICY;
    bool offline = pairs && (a->mixture || (a->responses == RG_FROM_DATASET && !a->opponents));
    bool demonstrations = a->responses == RG_FROM_DATASET && (!pairs || a->opponents);
    const char *lacking = NULL;
    if (offline && (!course->pairs || course->pairs->count == 0))
        lacking = "preference pairs";
    else if (policy && (!course->prompts || course->prompts->count == 0))
        lacking = "training prompts";
    else if (demonstrations && (!course->demonstrations || course->demonstrations->count == 0))
        lacking = "demonstrations";
    if (lacking)
        return rg_fail(error, RG_E_USAGE, "%s needs %s, and the environment has none", a->name,
                       lacking);
    return RG_OK;
}

/* A judge that only compares will not do for all, nor one that leaves pairs without a label. */
static RgStatus check_judge(const RgAlgorithm *a, const void *options, const RgCourse *course,
                            RgError *error) {
    if (!course->judge && a->needs_rewards && a->needs_rewards(options))
        return rg_fail(error, RG_E_USAGE,
                       "%s needs a judge that gives rewards, and the environment's only compares",
                       a->name);
    if (!course->skips || a->preferences != RG_FROM_JUDGE)
        return RG_OK;
    if (a->group_size)
        return rg_fail(error, RG_E_USAGE,
                       "%s needs every group ranked, and the judge leaves some without a label",
                       a->name);
    if (!a->step && (!course->pairs || course->pairs->count == 0))
        return rg_fail(
            error, RG_E_USAGE,
            "%s needs preference pairs in place of those that the judge leaves without a "
            "label, and the environment has none",
            a->name);
    return RG_OK;
}

/* The order of more than two is made of rewards. */
static RgStatus check_groups(const RgAlgorithm *a, const void *options, const RgCourse *course,
                             RgError *error) {
    if (!a->group_size)
        return RG_OK;
    int64_t size = a->group_size(options);
    if (size < 1)
        return rg_fail(error, RG_E_USAGE,
                       "%s asks for groups of %lld responses, expected 1 or more", a->name,
                       (long long)size);
    return size == 2 || course->judge
               ? RG_OK
               : rg_fail(error, RG_E_USAGE,
                         "%s needs a judge that gives rewards, and the environment's only compares",
                         a->name);
}

static RgStatus check_policy(const RgAlgorithm *a, const RgPolicy *policy, RgError *error) {
    if (a->opponents == RG_FROM_MIXTURE && !policy->type->mixes)
        return rg_fail(error, RG_E_USAGE,
                       "%s samples from the geometric mixture of policy and reference, which a %s "
                       "policy has not",
                       a->name, policy->type->name);
    return RG_OK;
}

/* Gradients of parts add up where the loss is a mean over the batch. `key` asks for parts. */
static RgStatus check_parts(const RgAlgorithm *algorithm, const void *options, const char *key,
                            int64_t expected, RgError *error) {
    if (algorithm->step)
        return rg_fail(error, RG_E_USAGE, "training.%s: %s takes its batches whole, expected %ld",
                       key, algorithm->name, (long)expected);
    if (algorithm->couples_pairs && algorithm->couples_pairs(options))
        return rg_fail(error, RG_E_USAGE,
                       "training.%s: with these options, the loss of %s takes means over "
                       "the whole batch within that of a pair, expected %ld",
                       key, algorithm->name, (long)expected);
    return RG_OK;
}

RgStatus rg_training_check(const RgAlgorithm *algorithm, const void *options,
                           const RgTrainingOptions *training, RgError *error) {
    if (algorithm->calibration == RG_FROM_OTHERS && training->batch < 2)
        return rg_fail(error, RG_E_USAGE,
                       "training.batch is 1, and %s takes a mean over responses of other pairs of "
                       "the batch: expected 2 or more",
                       algorithm->name);
    if (training->shards > 1)
        RG_TRY(check_parts(algorithm, options, "shards", 1, error));
    if (training->shards > training->batch)
        return rg_fail(error, RG_E_USAGE,
                       "training.shards is %ld, and a batch has %ld to share out: expected no "
                       "more shards than that",
                       (long)training->shards, (long)training->batch);
    if (training->micro_batch > 0 && training->micro_batch < training->batch)
        RG_TRY(check_parts(algorithm, options, "micro_batch", 0, error));
    return RG_OK;
}

static int64_t sequence_count(const RgSequences *sequences) {
    return sequences ? sequences->count : 0;
}

/* Of `pairs_read`. */
static size_t pair_words(const RgTrainer *trainer) {
    return (size_t)(trainer->pairs.count / 64 + 1);
}

/* What a method computes before its first step, such as a reward fitted to the offline pairs, is
 * charged like a step. */
static RgStatus create_state(RgTrainer *trainer, RgError *error) {
    const RgAlgorithm *a = trainer->algorithm;
    if (!a->create)
        return RG_OK;
    double start = rg_clock_seconds();
    rg_trainer_take_flops(trainer); /* of what others did with policy and reference */
    RG_TRY(a->create(trainer, trainer->options, &trainer->state, error));
    trainer->meter.seconds += rg_clock_seconds() - start;
    trainer->meter.flops += rg_trainer_take_flops(trainer);
    return RG_OK;
}

RgStatus rg_trainer_create(const RgAlgorithm *algorithm, const void *options,
                           const RgTrainingOptions *training, RgPolicy *policy, RgPolicy *reference,
                           const RgCourse *course, const RgOptimizerOptions *optimizer,
                           int64_t total_steps, RgRandom random, RgTrainer **trainer,
                           RgError *error) {
    *trainer = NULL;
    RG_TRY(rg_algorithm_check(algorithm, error));
    RG_TRY(check_course(algorithm, course, error));
    RG_TRY(check_groups(algorithm, options, course, error));
    RG_TRY(check_judge(algorithm, options, course, error));
    RG_TRY(check_policy(algorithm, policy, error));
    RG_TRY(rg_training_check(algorithm, options, training, error));

    RgTrainer *new = rg_allocate(sizeof *new);
    new->algorithm = algorithm;
    new->options = options;
    new->training = *training;
    new->policy = policy;
    new->reference = reference;
    new->course = course;
    new->random = random;
    if (algorithm->reference_steps && algorithm->reference_steps(options) > 0)
        new->reference = new->moving_reference = rg_policy_clone(policy, true);
    new->optimizer = rg_optimizer_create(optimizer, policy->parameters->count, total_steps);
    new->tape = rg_tape_create();
    new->prompts =
        shuffle_create(sequence_count(course->prompts), rg_random_named(random, "prompt order"));
    new->pairs = shuffle_create(course->pairs ? course->pairs->count : 0,
                                rg_random_named(random, "pair order"));
    new->pairs_read = rg_allocate(pair_words(new) * sizeof *new->pairs_read);
    new->demonstrations = shuffle_create(sequence_count(course->demonstrations),
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
    rg_policy_destroy(trainer->moving_reference);
    rg_optimizer_destroy(trainer->optimizer);
    rg_tape_destroy(trainer->tape);
    rg_gradient_sum_destroy(trainer->sum);
    free(trainer->prompts.order);
    free(trainer->pairs.order);
    free(trainer->pairs_read);
    free(trainer->demonstrations.order);
    free(trainer);
}

void rg_trainer_use_cache(RgTrainer *trainer, RgPairCache *cache) {
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
    if (trainer->algorithm->checkpoint)
        trainer->algorithm->checkpoint(trainer->state, checkpoint);
}

void rg_trainer_metric(RgTrainer *trainer, const char *name, double value) {
    int capacity = (int)(sizeof trainer->metrics / sizeof trainer->metrics[0]);
    RG_ASSERT(trainer->metric_count < capacity);
    trainer->metrics[trainer->metric_count++] = (struct RgStepMetric){name, value};
}

bool rg_trainer_diverged(RgTrainer *trainer, const char *reason) {
    trainer->diverged = reason;
    return false;
}

void rg_trainer_notice(RgTrainer *trainer, const char *text) {
    trainer->notice = text;
}

/* ---- the step ---- */

double rg_trainer_step_policy(RgTrainer *trainer) {
    return rg_optimizer_step_at(trainer->optimizer, trainer->policy->parameters, trainer->step);
}

static bool loss_step(RgTrainer *trainer) {
    double loss = rg_trainer_gradient(trainer, trainer->step);
    if (trainer->status != RG_OK)
        return false;
    double norm = rg_trainer_step_policy(trainer);
    rg_trainer_metric(trainer, "loss", loss);
    rg_trainer_metric(trainer, "gradient_norm", norm);
    if (!isfinite(loss))
        return rg_trainer_diverged(trainer, "the loss is not finite");
    if (!isfinite(norm))
        return rg_trainer_diverged(trainer, "the gradient is not finite");
    return true;
}

/* What went by, but for what the reference says of offline pairs, which is charged as it cost. */
static double seconds_spent(const RgTrainer *trainer) {
    return rg_clock_seconds() - trainer->asked.spent + trainer->asked.seconds;
}

const char *rg_trainer_failure(const RgTrainer *trainer) {
    return trainer->failed_episodes > 0 ? "an episode broke off: the physics failed" : NULL;
}

static void note_failed_episodes(RgTrainer *trainer) {
    const RgDynamics *dynamics = trainer->course->dynamics;
    if (!dynamics || dynamics->may_end)
        return;
    rg_trainer_metric(trainer, "failed_episodes", (double)trainer->failed_episodes);
    if (!trainer->notice)
        rg_trainer_notice(trainer, rg_trainer_failure(trainer));
}

/* The policy becomes the reference of the steps that follow. */
static void move_reference(RgTrainer *trainer) {
    int64_t steps = trainer->algorithm->reference_steps(trainer->options);
    const RgParameters *from = trainer->policy->parameters;
    if ((trainer->step + 1) % steps == 0)
        memcpy(trainer->moving_reference->parameters->value, from->value,
               (size_t)from->count * sizeof *from->value);
}

RgStatus rg_trainer_status(const RgTrainer *trainer, RgError *error) {
    return trainer->status == RG_OK ? RG_OK
                                    : rg_fail(error, trainer->status, "%s", trainer->error.text);
}

bool rg_trainer_step(RgTrainer *trainer) {
    const RgAlgorithm *a = trainer->algorithm;
    trainer->metric_count = 0;
    trainer->notice = NULL;
    trainer->failed_episodes = 0;
    double start = seconds_spent(trainer), asked = trainer->asked.flops;
    rg_trainer_take_flops(trainer); /* of what is no part of a step */
    trainer->flops = 0;
    RgRandom drop =
        rg_random_at(rg_random_named(trainer->random, "dropout"), (uint64_t)trainer->step);
    rg_policy_drop(trainer->policy, &drop);
    bool going = true;
    int64_t moves = trainer->optimizer->step;
    if (a->step)
        going = a->step(trainer, trainer->options, trainer->state);
    else if (a->loss)
        going = loss_step(trainer);
    if (trainer->optimizer->step > moves)
        rg_trainer_metric(trainer, "learning_rate", trainer->optimizer->rate);
    rg_policy_drop(trainer->policy, NULL);
    if (trainer->moving_reference)
        move_reference(trainer);
    note_failed_episodes(trainer);
    trainer->step++;
    trainer->meter.seconds += seconds_spent(trainer) - start;
    trainer->flops += rg_trainer_take_flops(trainer);
    trainer->meter.flops += trainer->flops + trainer->asked.flops - asked;
    return going;
}
