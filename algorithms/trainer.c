/* The trainer: makes each step's batch from where the algorithm's descriptor says, asks for the
 * loss, goes back, steps and meters. No algorithm is known by name here. */
#include "algorithms/trainer.h"

#include "core/tensor/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const RgOption rg_training_options[] = {
    RG_OPTION_INTEGER(RgTrainingOptions, batch, "32", 1, 65536,
                      "pairs (or demonstrations) per step"),
    RG_OPTION_INTEGER(
        RgTrainingOptions, micro_batch, "0", 0, 65536,
        "pairs (or demonstrations) per forward and backward pass, whose gradients add "
        "up to the batch's: bounds the memory of a step; 0: the whole batch"),
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

/* Gradients of parts add up where the loss is a mean over the batch. */
static RgStatus check_parts(const RgAlgorithm *algorithm, const void *options,
                            const RgTrainingOptions *training, RgError *error) {
    if (training->micro_batch == 0 || training->micro_batch >= training->batch)
        return RG_OK;
    if (algorithm->step)
        return rg_fail(error, RG_E_USAGE,
                       "training.micro_batch: %s takes its batches whole, expected 0",
                       algorithm->name);
    if (algorithm->couples_pairs && algorithm->couples_pairs(options))
        return rg_fail(error, RG_E_USAGE,
                       "training.micro_batch: with these options, the loss of %s takes means over "
                       "the whole batch within that of a pair, expected 0",
                       algorithm->name);
    return RG_OK;
}

static int64_t sequence_count(const RgSequences *sequences) {
    return sequences ? sequences->count : 0;
}

/* Of `pairs_read`. */
static size_t pair_words(const RgTrainer *trainer) {
    return (size_t)(trainer->pairs.count / 64 + 1);
}

RgStatus rg_trainer_create(const RgAlgorithm *algorithm, const void *options,
                           const RgTrainingOptions *training, RgPolicy *policy, RgPolicy *reference,
                           const RgCourse *course, const RgOptimizerOptions *optimizer,
                           int64_t total_steps, RgRandom random, RgTrainer **trainer,
                           RgError *error) {
    *trainer = NULL;
    RG_TRY(check_course(algorithm, course, error));
    RG_TRY(check_parts(algorithm, options, training, error));

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
    new->pairs_read = rg_allocate(pair_words(new) * sizeof *new->pairs_read);
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

/* ---- responses and labels ---- */

static RgSampling training_sampling(const RgTrainer *trainer) {
    return (RgSampling){.temperature = trainer->training.temperature,
                        .top_k = trainer->training.top_k,
                        .top_p = trainer->training.top_p,
                        .min_p = trainer->training.min_p,
                        .response_limit = trainer->course->response_limit,
                        .end_token = trainer->course->end_token,
                        .stop = trainer->course->stop};
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
    trainer->meter.generated_tokens += rg_policy_count_tokens(trainer->policy, out);
    const RgDynamics *dynamics = trainer->course->dynamics;
    for (int64_t i = 0; dynamics && i < out->count; i++)
        trainer->failed_episodes += rg_episode_failed(dynamics, out, i);
    rg_sequences_destroy(chosen_prompts);
}

/* The batch of one step before its log-probabilities are known. */
typedef struct Draw {
    RgSequences *sequences; /* pair i is 2i and 2i+1 */
    int32_t *preferred;     /* [pairs], on the tape's arena; NULL for demonstrations */
    RgReal *fresh;          /* [pairs] */
    bool *sampled;          /* [pairs] the responses are the policy's own */
    double *reference;      /* [2·pairs] log π_ref of those that are not; NULL: not asked yet */
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

int64_t rg_trainer_read_pair(RgTrainer *trainer, int64_t position) {
    int64_t pair = rg_shuffle_at(&trainer->pairs, position);
    int64_t *word = &trainer->pairs_read[pair / 64], bit = (int64_t)(1ULL << (pair % 64));
    trainer->meter.dataset_responses += *word & bit ? 0 : 2;
    *word |= bit;
    return pair;
}

static void append_pair(RgSequences *to, const RgSequences *from, int64_t pair) {
    rg_sequences_append_from(to, from, 2 * pair, false);
    rg_sequences_append_from(to, from, 2 * pair + 1, false);
}

static Draw draw_pairs(RgTrainer *trainer, int64_t step) {
    const RgAlgorithm *a = trainer->algorithm;
    const RgCourse *course = trainer->course;
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t n = trainer->training.batch;
    Draw draw = {.sequences = rg_sequences_create(),
                 .preferred = RG_ARENA_ARRAY(arena, int32_t, n),
                 .fresh = RG_ARENA_ARRAY(arena, RgReal, n),
                 .sampled = RG_ARENA_ARRAY(arena, bool, n)};

    int64_t fresh_count = draw_routes(trainer, step, draw.fresh);
    RgSequences *sampled = rg_sequences_create();
    if (a->responses == RG_FROM_POLICY && fresh_count > 0)
        rg_trainer_sample(trainer, step, fresh_count, 2, sampled);
    uint8_t *judged = rg_arena_allocate(arena, (size_t)n);
    if (a->preferences == RG_FROM_JUDGE && sampled->count > 0) {
        RgRandom labels = rg_random_at(rg_random_named(trainer->random, "labels"), (uint64_t)step);
        rg_profile_lap("other", false);
        rg_course_label(course, sampled, labels, judged);
        rg_profile_lap("judge", false);
        trainer->meter.judge_queries += sampled->count;
    }

    int64_t next_sample = 0;
    for (int64_t i = 0; i < n; i++) {
        bool own = draw.fresh[i] != 0 && a->responses == RG_FROM_POLICY;
        if (own && a->preferences == RG_FROM_JUDGE && judged[next_sample] == RG_UNLABELLED) {
            own = false; /* an offline pair in place of one that nobody labels */
            draw.fresh[i] = 0;
            next_sample++;
        }
        const RgSequences *source = own ? sampled : course->pairs->sequences;
        int64_t pair = own ? next_sample++ : rg_trainer_read_pair(trainer, step * n + i);
        append_pair(draw.sequences, source, pair);
        draw.preferred[i] = own ? judged[pair] : course->pairs->preferred[pair];
        draw.sampled[i] = own;
    }
    rg_sequences_destroy(sampled);
    return draw;
}

/* Ask the reference of the offline pairs of a batch. Those that were sampled for it have no one to
 * share the answer with: they are asked part by part, which bounds the memory. */
static void ask_reference(RgTrainer *trainer, Draw *draw) {
    if (!trainer->reference->type->keeps_values)
        return;
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t n = trainer->training.batch, count = 0;
    double start = rg_clock_seconds();
    RgSequences *offline = rg_sequences_create();
    for (int64_t i = 0; i < n; i++)
        if (!draw->sampled[i])
            append_pair(offline, draw->sequences, i);
    RgPairValues *values = RG_ARENA_ARRAY(arena, RgPairValues, n);
    rg_pair_cache_values(trainer->cache, trainer->reference, offline, values);
    draw->reference = RG_ARENA_ARRAY(arena, double, 2 * n);
    for (int64_t i = 0; i < n; i++) {
        if (draw->sampled[i])
            continue;
        const RgPairValues *v = &values[count++];
        memcpy(draw->reference + 2 * i, v->logprob, sizeof v->logprob);
        trainer->asked.flops += v->flops;
        trainer->asked.seconds += v->seconds;
    }
    rg_sequences_destroy(offline);
    trainer->asked.spent += rg_clock_seconds() - start;
}

/* Pairs or demonstrations [first, last) of the batch, which are on the tape at the same time. */
typedef struct Part {
    int64_t first, last;
    RgSequences *sequences;
} Part;

static Part part_of(RgTrainer *trainer, const RgSequences *all, int64_t first, int64_t last,
                    int64_t per_example) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t *start = RG_ARENA_ARRAY(arena, int64_t, (last - first) * per_example + 1);
    RgSequences view = rg_sequences_view(all, first * per_example, last * per_example, start);
    return (Part){first, last, rg_arena_copy(arena, &view, sizeof view)};
}

/* Labels drawn from the policy's own preference model: P(first preferred) = σ(β·(h_first −
 * h_second)). `log_ratio` is [2·pairs of the part]. */
static void label_by_policy(RgTrainer *trainer, int64_t step, const RgTensor *log_ratio,
                            const Part *part, Draw *draw) {
    double beta = trainer->algorithm->beta(trainer->options);
    RgRandom random =
        rg_random_at(rg_random_named(trainer->random, "policy labels"), (uint64_t)step);
    for (int64_t i = part->first; i < part->last; i++) {
        if (draw->fresh[i] == 0)
            continue;
        const RgReal *h = log_ratio->data + 2 * (i - part->first);
        double first = 1 / (1 + exp(-beta * ((double)h[0] - (double)h[1])));
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

/* log π_ref of those of the part's responses that the policy sampled: their places in `value`. */
static void ask_of_sampled(RgTrainer *trainer, const Part *part, const Draw *draw, double *value) {
    int64_t count = 0;
    RgSequences *sampled = rg_sequences_create();
    for (int64_t i = part->first; i < part->last; i++)
        if (draw->sampled[i])
            append_pair(sampled, draw->sequences, i);
    double *own = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, sampled->count);
    rg_policy_training_values(trainer->reference, sampled, own);
    for (int64_t i = part->first; i < part->last; i++)
        if (draw->sampled[i])
            memcpy(value + 2 * (i - part->first), own + 2 * count++, 2 * sizeof *own);
    rg_sequences_destroy(sampled);
}

static RgTensor *reference_logprob(RgTrainer *trainer, const Part *part, const Draw *draw) {
    int64_t count = part->sequences->count;
    double *value = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, count);
    if (draw->reference) {
        memcpy(value, draw->reference + 2 * part->first, (size_t)count * sizeof *value);
        ask_of_sampled(trainer, part, draw, value);
    } else {
        rg_policy_training_values(trainer->reference, part->sequences, value);
    }
    return rg_constant_from_double(trainer->tape, RG_SHAPE(count), value);
}

/* Means over the batch, added up part by part. */
typedef struct PairMeans {
    double chosen, rejected, right, logp_chosen, logp_rejected;
} PairMeans;

static void add_pair_means(RgTrainer *trainer, const RgBatch *batch, PairMeans *means) {
    double beta = trainer->algorithm->beta ? trainer->algorithm->beta(trainer->options) : 1;
    double n = (double)trainer->training.batch;
    for (int64_t i = 0; i < batch->pairs; i++) {
        double hc = batch->chosen.log_ratio->data[i], hr = batch->rejected.log_ratio->data[i];
        means->chosen += beta * hc / n;
        means->rejected += beta * hr / n;
        means->right += (hc > hr) / n;
        means->logp_chosen += batch->chosen.logprob->data[i] / n;
        means->logp_rejected += batch->rejected.logprob->data[i] / n;
    }
}

static void note_pair_means(RgTrainer *trainer, const PairMeans *means) {
    rg_trainer_metric(trainer, "rewards/chosen", means->chosen);
    rg_trainer_metric(trainer, "rewards/rejected", means->rejected);
    rg_trainer_metric(trainer, "rewards/margins", means->chosen - means->rejected);
    rg_trainer_metric(trainer, "rewards/accuracies", means->right);
    rg_trainer_metric(trainer, "logps/chosen", means->logp_chosen);
    rg_trainer_metric(trainer, "logps/rejected", means->logp_rejected);
}

static RgBatch pair_batch(RgTrainer *trainer, int64_t step, const Part *part, Draw *draw) {
    RgTape *t = trainer->tape;
    int64_t n = part->last - part->first;
    RgTensor *logprob = rg_policy_logprob(t, trainer->policy, part->sequences);
    RgTensor *reference = reference_logprob(trainer, part, draw);
    if (trainer->algorithm->preferences == RG_FROM_POLICY)
        label_by_policy(trainer, step, rg_sub(t, rg_stop_gradient(t, logprob), reference), part,
                        draw);

    const int32_t *preferred = draw->preferred + part->first;
    int32_t *rejected = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, n);
    for (int64_t i = 0; i < n; i++)
        rejected[i] = 1 - preferred[i];
    return (RgBatch){.pairs = n,
                     .chosen = pick_side(t, logprob, reference, preferred),
                     .rejected = pick_side(t, logprob, reference, rejected),
                     .fresh = rg_borrow(t, RG_SHAPE(n), draw->fresh + part->first)};
}

static Draw draw_demonstrations(RgTrainer *trainer, int64_t step) {
    int64_t n = trainer->training.batch;
    Draw draw = {.sequences = rg_sequences_create()};
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append_from(draw.sequences, trainer->course->demonstrations,
                                 rg_shuffle_at(&trainer->demonstrations, step * n + i), false);
    return draw;
}

static RgBatch demonstration_batch(RgTrainer *trainer, const Part *part) {
    return (RgBatch){.log_likelihood =
                         rg_policy_log_likelihood(trainer->tape, trainer->policy, part->sequences),
                     .response_tokens = rg_sequences_response_tokens(part->sequences)};
}

/* The part's term of the loss, with its gradient: a loss is a mean over pairs, or over the tokens
 * of demonstrations, so that a part counts by its share of these. */
static double part_gradient(RgTrainer *trainer, int64_t step, const Part *part, Draw *draw,
                            PairMeans *means) {
    const RgAlgorithm *a = trainer->algorithm;
    RgBatch batch;
    double share;
    if (draw->preferred) {
        batch = pair_batch(trainer, step, part, draw);
        add_pair_means(trainer, &batch, means);
        share = (double)batch.pairs / (double)trainer->training.batch;
    } else {
        batch = demonstration_batch(trainer, part);
        double tokens = (double)rg_sequences_response_tokens(draw->sequences);
        share = (double)batch.response_tokens / tokens;
        if (share == 0)
            return 0; /* nothing to predict in this part */
    }
    RgTensor *loss = a->loss(trainer->tape, trainer->options, &batch);
    rg_backward(trainer->tape, loss, (RgReal)share);
    return share * (double)loss->data[0];
}

double rg_trainer_gradient(RgTrainer *trainer, int64_t step) {
    bool pairs = trainer->algorithm->preferences != RG_FROM_NOWHERE;
    Draw draw = pairs ? draw_pairs(trainer, step) : draw_demonstrations(trainer, step);
    trainer->meter.trained_tokens += rg_policy_count_tokens(trainer->policy, draw.sequences);
    if (pairs)
        ask_reference(trainer, &draw);

    int64_t n = trainer->training.batch, most = trainer->training.micro_batch;
    if (most == 0 || most > n)
        most = n;
    PairMeans means = {0};
    double loss = 0;
    RgTapeMark drawn = rg_tape_mark(trainer->tape);
    for (int64_t first = 0; first < n; first += most) {
        int64_t last = first + most < n ? first + most : n;
        Part part = part_of(trainer, draw.sequences, first, last, pairs ? 2 : 1);
        loss += part_gradient(trainer, step, &part, &draw, &means);
        rg_tape_rewind(trainer->tape, drawn);
    }
    if (pairs)
        note_pair_means(trainer, &means);
    rg_tape_reset(trainer->tape);
    rg_sequences_destroy(draw.sequences);
    return loss;
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
    return rg_tape_flops(trainer->tape) + trainer->policy->flops + trainer->reference->flops +
           trainer->asked.flops;
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

bool rg_trainer_step(RgTrainer *trainer) {
    const RgAlgorithm *a = trainer->algorithm;
    trainer->metric_count = 0;
    trainer->notice = NULL;
    trainer->failed_episodes = 0;
    double start = seconds_spent(trainer), flops = flops_spent(trainer);
    RgRandom drop =
        rg_random_at(rg_random_named(trainer->random, "dropout"), (uint64_t)trainer->step);
    rg_policy_drop(trainer->policy, &drop);
    bool going = true;
    if (a->step)
        going = a->step(trainer, trainer->options, trainer->state);
    else if (a->loss)
        going = loss_step(trainer);
    rg_policy_drop(trainer->policy, NULL);
    note_failed_episodes(trainer);
    trainer->step++;
    trainer->meter.seconds += seconds_spent(trainer) - start;
    trainer->meter.flops += flops_spent(trainer) - flops;
    return going;
}
