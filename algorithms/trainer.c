/* The trainer: makes each step's batch from where the algorithm's descriptor says, asks for the
 * loss, goes back, steps and meters. No algorithm is known by name here. */
#include "algorithms/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const RgOption rg_training_options[] = {
    RG_OPTION_INTEGER(RgTrainingOptions, batch, "32", 1, 65536,
                      "pairs (or demonstrations) per step"),
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
static RgStatus check_course(const RgAlgorithm *algorithm, const RgCourse *course, RgError *error) {
    bool offline = algorithm->preferences != RG_FROM_NOWHERE &&
                   (algorithm->mixture || algorithm->responses == RG_FROM_DATASET);
    if (offline && (!course->pairs || course->pairs->count == 0))
        return rg_fail(error, RG_E_USAGE, "%s needs preference pairs, and the environment has none",
                       algorithm->name);
    if (algorithm->responses == RG_FROM_POLICY && (!course->prompts || course->prompts->count == 0))
        return rg_fail(error, RG_E_USAGE, "%s needs training prompts, and the environment has none",
                       algorithm->name);
    if (algorithm->preferences == RG_FROM_NOWHERE && algorithm->responses == RG_FROM_DATASET &&
        (!course->demonstrations || course->demonstrations->count == 0))
        return rg_fail(error, RG_E_USAGE, "%s needs demonstrations, and the environment has none",
                       algorithm->name);
    return RG_OK;
}

static int64_t sequence_count(const RgSequences *sequences) {
    return sequences ? sequences->count : 0;
}

RgStatus rg_trainer_create(const RgAlgorithm *algorithm, const void *options,
                           const RgTrainingOptions *training, RgPolicy *policy, RgPolicy *reference,
                           const RgCourse *course, const RgOptimizerOptions *optimizer,
                           int64_t total_steps, RgRandom random, RgTrainer **trainer,
                           RgError *error) {
    *trainer = NULL;
    RG_TRY(check_course(algorithm, course, error));

    RgTrainer *new = rg_allocate(sizeof *new);
    new->algorithm = algorithm;
    new->options = options;
    new->training = *training;
    new->policy = policy;
    new->reference = reference;
    new->course = course;
    new->random = random;
    new->optimizer = rg_optimizer_create(optimizer, policy->parameters->count, total_steps);
    new->tape = rg_tape_create();
    new->prompts =
        shuffle_create(sequence_count(course->prompts), rg_random_named(random, "prompt order"));
    new->pairs = shuffle_create(course->pairs ? course->pairs->count : 0,
                                rg_random_named(random, "pair order"));
    new->demonstrations = shuffle_create(sequence_count(course->demonstrations),
                                         rg_random_named(random, "demonstration order"));
    if (algorithm->create) {
        RgStatus status = algorithm->create(new, options, &new->state, error);
        if (status != RG_OK) {
            rg_trainer_destroy(new);
            return status;
        }
    }
    *trainer = new;
    return RG_OK;
}

void rg_trainer_destroy(RgTrainer *trainer) {
    if (!trainer)
        return;
    if (trainer->state && trainer->algorithm->destroy)
        trainer->algorithm->destroy(trainer->state);
    rg_optimizer_destroy(trainer->optimizer);
    rg_tape_destroy(trainer->tape);
    free(trainer->prompts.order);
    free(trainer->pairs.order);
    free(trainer->demonstrations.order);
    free(trainer);
}

void rg_trainer_checkpoint(RgTrainer *trainer, RgCheckpoint *checkpoint) {
    rg_checkpoint_integers(checkpoint, "step", &trainer->step, 1);
    rg_checkpoint_meter(checkpoint, &trainer->meter);
    rg_checkpoint_parameters(checkpoint, "policy", trainer->policy->parameters);
    rg_checkpoint_optimizer(checkpoint, "optimizer", trainer->optimizer);
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

/* ---- responses and labels ---- */

static RgSampling training_sampling(const RgTrainer *trainer) {
    return (RgSampling){.temperature = trainer->training.temperature,
                        .top_k = trainer->training.top_k,
                        .top_p = trainer->training.top_p,
                        .min_p = trainer->training.min_p,
                        .response_limit = trainer->course->response_limit,
                        .end_token = trainer->course->end_token};
}

void rg_trainer_sample(RgTrainer *trainer, int64_t draw, int64_t prompts, int64_t copies,
                       RgSequences *out) {
    RgSequences *chosen_prompts = rg_sequences_create();
    for (int64_t i = 0; i < prompts; i++)
        rg_sequences_append_from(chosen_prompts, trainer->course->prompts,
                                 rg_shuffle_at(&trainer->prompts, draw * prompts + i), true);
    RgSampling sampling = training_sampling(trainer);
    rg_policy_sample(trainer->policy, chosen_prompts, copies, &sampling,
                     rg_random_at(rg_random_named(trainer->random, "responses"), (uint64_t)draw),
                     out, NULL);
    trainer->meter.generated_tokens += rg_sequences_response_tokens(out);
    rg_sequences_destroy(chosen_prompts);
}

/* The pairs of one step before their log-probabilities are known. */
typedef struct Draw {
    RgSequences *sequences; /* pair i is 2i and 2i+1 */
    int32_t *preferred;     /* [pairs], on the tape's arena */
    RgReal *fresh;          /* [pairs] */
} Draw;

/* Which pairs of the step are of the algorithm's own distribution: each with probability
 * `mixture`, independently. */
static int64_t draw_routes(RgTrainer *trainer, int64_t step, RgReal *fresh) {
    const RgAlgorithm *a = trainer->algorithm;
    double own = a->mixture ? a->mixture(trainer->options) : 1;
    RgRandom route = rg_random_at(rg_random_named(trainer->random, "mixture"), (uint64_t)step);
    int64_t count = 0;
    for (int64_t i = 0; i < trainer->training.batch; i++) {
        fresh[i] = rg_random_uniform(route, (uint64_t)i) < own ? 1 : 0;
        count += fresh[i] != 0;
    }
    return count;
}

static Draw draw_pairs(RgTrainer *trainer, int64_t step) {
    const RgAlgorithm *a = trainer->algorithm;
    const RgCourse *course = trainer->course;
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t n = trainer->training.batch;
    Draw draw = {rg_sequences_create(), RG_ARENA_ARRAY(arena, int32_t, n),
                 RG_ARENA_ARRAY(arena, RgReal, n)};

    int64_t fresh_count = draw_routes(trainer, step, draw.fresh);
    RgSequences *sampled = rg_sequences_create();
    if (a->responses == RG_FROM_POLICY && fresh_count > 0)
        rg_trainer_sample(trainer, step, fresh_count, 2, sampled);
    uint8_t *judged = rg_arena_allocate(arena, (size_t)n);
    if (a->preferences == RG_FROM_JUDGE && sampled->count > 0) {
        RgRandom labels = rg_random_at(rg_random_named(trainer->random, "labels"), (uint64_t)step);
        rg_course_label(course, sampled, labels, judged);
        trainer->meter.judge_queries += sampled->count;
    }

    int64_t next_sample = 0;
    for (int64_t i = 0; i < n; i++) {
        bool sampled_pair = draw.fresh[i] != 0 && a->responses == RG_FROM_POLICY;
        const RgSequences *source = sampled_pair ? sampled : course->pairs->sequences;
        int64_t pair = sampled_pair ? next_sample++ : rg_shuffle_at(&trainer->pairs, step * n + i);
        rg_sequences_append_from(draw.sequences, source, 2 * pair, false);
        rg_sequences_append_from(draw.sequences, source, 2 * pair + 1, false);
        draw.preferred[i] = sampled_pair ? judged[pair] : course->pairs->preferred[pair];
    }
    rg_sequences_destroy(sampled);
    return draw;
}

/* Labels drawn from the policy's own preference model: P(first preferred) = σ(β·(h_first −
 * h_second)). `log_ratio` is [2·pairs]. */
static void label_by_policy(RgTrainer *trainer, int64_t step, const RgTensor *log_ratio,
                            Draw *draw) {
    double beta = trainer->algorithm->beta(trainer->options);
    RgRandom random =
        rg_random_at(rg_random_named(trainer->random, "policy labels"), (uint64_t)step);
    for (int64_t i = 0; i < trainer->training.batch; i++) {
        if (draw->fresh[i] == 0)
            continue;
        double margin = (double)log_ratio->data[2 * i] - (double)log_ratio->data[2 * i + 1];
        double first = 1 / (1 + exp(-beta * margin));
        draw->preferred[i] = rg_random_uniform(random, (uint64_t)i) < first ? 0 : 1;
    }
}

/* ---- batches ---- */

/* One side of the pairs out of tensors over all 2·pairs sequences. */
static RgSide pick_side(RgTape *t, RgTensor *logprob, RgTensor *reference, const int32_t *index) {
    RgShape pairs = RG_SHAPE(logprob->count / 2, 2);
    RgSide side = {.logprob = rg_gather(t, rg_reshape(t, logprob, pairs), index),
                   .reference = rg_gather(t, rg_reshape(t, reference, pairs), index)};
    side.log_ratio = rg_sub(t, side.logprob, side.reference);
    return side;
}

static RgTensor *reference_logprob(RgTrainer *trainer, const RgSequences *sequences) {
    double *value = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, sequences->count);
    rg_policy_training_values(trainer->reference, sequences, value);
    return rg_constant_from_double(trainer->tape, RG_SHAPE(sequences->count), value);
}

static void note_pair_metrics(RgTrainer *trainer, const RgBatch *batch) {
    double beta = trainer->algorithm->beta ? trainer->algorithm->beta(trainer->options) : 1;
    double chosen = 0, rejected = 0, right = 0, logp_chosen = 0, logp_rejected = 0;
    double n = (double)batch->pairs;
    for (int64_t i = 0; i < batch->pairs; i++) {
        double hc = batch->chosen.log_ratio->data[i], hr = batch->rejected.log_ratio->data[i];
        chosen += beta * hc / n;
        rejected += beta * hr / n;
        right += (hc > hr) / n;
        logp_chosen += batch->chosen.logprob->data[i] / n;
        logp_rejected += batch->rejected.logprob->data[i] / n;
    }
    rg_trainer_metric(trainer, "rewards/chosen", chosen);
    rg_trainer_metric(trainer, "rewards/rejected", rejected);
    rg_trainer_metric(trainer, "rewards/margins", chosen - rejected);
    rg_trainer_metric(trainer, "rewards/accuracies", right);
    rg_trainer_metric(trainer, "logps/chosen", logp_chosen);
    rg_trainer_metric(trainer, "logps/rejected", logp_rejected);
}

static RgBatch pair_batch(RgTrainer *trainer, int64_t step, Draw *draw) {
    RgTape *t = trainer->tape;
    int64_t n = trainer->training.batch;
    RgTensor *logprob = rg_policy_logprob(t, trainer->policy, draw->sequences);
    RgTensor *reference = reference_logprob(trainer, draw->sequences);
    if (trainer->algorithm->preferences == RG_FROM_POLICY)
        label_by_policy(trainer, step, rg_sub(t, rg_stop_gradient(t, logprob), reference), draw);

    int32_t *rejected = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, n);
    for (int64_t i = 0; i < n; i++)
        rejected[i] = 1 - draw->preferred[i];
    RgBatch batch = {.pairs = n,
                     .chosen = pick_side(t, logprob, reference, draw->preferred),
                     .rejected = pick_side(t, logprob, reference, rejected),
                     .fresh = rg_borrow(t, RG_SHAPE(n), draw->fresh)};
    note_pair_metrics(trainer, &batch);
    return batch;
}

static RgBatch demonstration_batch(RgTrainer *trainer, int64_t step, RgSequences *sequences) {
    int64_t n = trainer->training.batch;
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append_from(sequences, trainer->course->demonstrations,
                                 rg_shuffle_at(&trainer->demonstrations, step * n + i), false);
    return (RgBatch){.logprob = rg_policy_logprob(trainer->tape, trainer->policy, sequences),
                     .response_tokens = rg_sequences_response_tokens(sequences)};
}

double rg_trainer_gradient(RgTrainer *trainer, int64_t step) {
    const RgAlgorithm *a = trainer->algorithm;
    Draw draw = {0};
    RgBatch batch;
    if (a->preferences == RG_FROM_NOWHERE) {
        draw.sequences = rg_sequences_create();
        batch = demonstration_batch(trainer, step, draw.sequences);
    } else {
        draw = draw_pairs(trainer, step);
        batch = pair_batch(trainer, step, &draw);
    }
    trainer->meter.trained_tokens += rg_sequences_response_tokens(draw.sequences);

    RgTensor *loss = a->loss(trainer->tape, trainer->options, &batch);
    double value = loss->data[0];
    rg_backward(trainer->tape, loss, 1);
    rg_tape_reset(trainer->tape);
    rg_sequences_destroy(draw.sequences);
    return value;
}

/* ---- the step ---- */

static bool loss_step(RgTrainer *trainer) {
    double loss = rg_trainer_gradient(trainer, trainer->step);
    double norm = rg_optimizer_step(trainer->optimizer, trainer->policy->parameters);
    rg_trainer_metric(trainer, "loss", loss);
    rg_trainer_metric(trainer, "gradient_norm", norm);
    if (!isfinite(loss))
        return rg_trainer_diverged(trainer, "the loss is not finite");
    if (!isfinite(norm))
        return rg_trainer_diverged(trainer, "the gradient is not finite");
    return true;
}

static double flops_spent(const RgTrainer *trainer) {
    return rg_tape_flops(trainer->tape) + trainer->policy->flops + trainer->reference->flops;
}

bool rg_trainer_step(RgTrainer *trainer) {
    const RgAlgorithm *a = trainer->algorithm;
    trainer->metric_count = 0;
    double start = rg_clock_seconds(), flops = flops_spent(trainer);
    bool going = true;
    if (a->step)
        going = a->step(trainer, trainer->options, trainer->state);
    else if (a->loss)
        going = loss_step(trainer);
    trainer->step++;
    trainer->meter.seconds += rg_clock_seconds() - start;
    trainer->meter.flops += flops_spent(trainer) - flops;
    trainer->meter.peak_memory = rg_peak_memory();
    return going;
}
