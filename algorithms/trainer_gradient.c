/* The gradient of a step's batch: drawn from where the algorithm's descriptor says, part by part
 * and shard by shard through policy and reference, to the loss and back. */
#include "algorithms/trainer_gradient.h"

#include "algorithms/draw.h"

#include <math.h>
#include <string.h>

/* ---- parts of a batch ---- */

/* Examples [first, last) of the batch, which are on the tape at the same time. */
typedef struct Part {
    int64_t first, last;
    RgSequences *sequences, *calibration; /* the latter NULL where there is none */
} Part;

static RgSequences *view_of(RgArena *arena, const RgSequences *all, int64_t first, int64_t last) {
    int64_t *start = RG_ARENA_ARRAY(arena, int64_t, last - first + 1);
    RgSequences view = rg_sequences_view(all, first, last, start);
    return rg_arena_copy(arena, &view, sizeof view);
}

static Part part_of(RgTrainer *trainer, const RgDraw *draw, int64_t first, int64_t last) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    Part part = {first, last, NULL, NULL};
    part.sequences = view_of(arena, draw->sequences, first * draw->size, last * draw->size);
    if (draw->calibration) {
        int64_t each = draw->calibration->count / trainer->training.batch;
        part.calibration = view_of(arena, draw->calibration, first * each, last * each);
    }
    return part;
}

/* ---- what the reference says ---- */

static void append_pair(RgSequences *to, const RgSequences *from, int64_t pair) {
    rg_sequences_append_from(to, from, 2 * pair, false);
    rg_sequences_append_from(to, from, 2 * pair + 1, false);
}

/* Ask the reference of the offline pairs of a batch. Those that were sampled for it have no one to
 * share the answer with: they are asked part by part, which bounds the memory. */
static void ask_reference(RgTrainer *trainer, RgDraw *draw) {
    if (!trainer->reference->type->keeps_values || trainer->algorithm->reference_free)
        return;
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t n = trainer->training.batch, count = 0;
    double start = rg_clock_seconds();
    RgSequences *offline = rg_sequences_create();
    for (int64_t i = 0; i < n; i++)
        if (!draw->sampled[i])
            append_pair(offline, draw->sequences, i);
    RgPairValues *values = RG_ARENA_ARRAY(arena, RgPairValues, n);
    RgPairCache *cache = trainer->moving_reference ? NULL : trainer->cache;
    rg_pair_cache_values(cache, trainer->course->team, trainer->reference, offline, values);
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

/* log π_ref of those of the part's responses that were sampled: their places in `value`. */
static void ask_of_sampled(RgTrainer *trainer, const Part *part, const RgDraw *draw,
                           double *value) {
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

/* log π_ref of all of `sequences`, 0 where the method has no reference. */
static RgTensor *reference_of(RgTrainer *trainer, const RgSequences *sequences) {
    int64_t count = sequences->count;
    if (trainer->algorithm->reference_free)
        return rg_filled(trainer->tape, RG_SHAPE(count), 0);
    double *value = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, count);
    rg_policy_training_values(trainer->reference, sequences, value);
    return rg_constant_from_double(trainer->tape, RG_SHAPE(count), value);
}

static RgTensor *reference_of_pairs(RgTrainer *trainer, const Part *part, const RgDraw *draw) {
    if (!draw->reference)
        return reference_of(trainer, part->sequences);
    int64_t count = part->sequences->count;
    double *value = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, count);
    memcpy(value, draw->reference + 2 * part->first, (size_t)count * sizeof *value);
    ask_of_sampled(trainer, part, draw, value);
    return rg_constant_from_double(trainer->tape, RG_SHAPE(count), value);
}

/* ---- pairs ---- */

/* Labels drawn from the policy's own preference model: P(first preferred) = σ(β·(h_first −
 * h_second)). `log_ratio` is [2·pairs of the part]. */
static void label_by_policy(RgTrainer *trainer, int64_t step, const RgTensor *log_ratio,
                            const Part *part, RgDraw *draw) {
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

/* Tokens of each response, of an episode steps; at least 1. */
static RgTensor *lengths(RgTrainer *trainer, const RgSequences *sequences) {
    const RgDynamics *dynamics = trainer->course->dynamics;
    int64_t words = dynamics ? rg_dynamics_step_words(dynamics) : 1;
    RgTensor *length = rg_filled(trainer->tape, RG_SHAPE(sequences->count), 1);
    for (int64_t i = 0; i < sequences->count; i++) {
        int64_t found = rg_sequence_response_length(sequences, i) / words;
        length->data[i] = (RgReal)(found > 1 ? found : 1);
    }
    return length;
}

static RgSide side_of(RgTape *t, RgTensor *logprob, RgTensor *reference, RgTensor *length) {
    return (RgSide){.logprob = logprob,
                    .reference = reference,
                    .log_ratio = rg_sub(t, logprob, reference),
                    .length = length};
}

/* One side of the pairs out of that of all 2·pairs sequences. */
static RgSide pick_side(RgTape *t, const RgSide *all, const int32_t *index) {
    RgShape pairs = RG_SHAPE(all->logprob->count / 2, 2);
    return side_of(t, rg_gather(t, rg_reshape(t, all->logprob, pairs), index),
                   rg_gather(t, rg_reshape(t, all->reference, pairs), index),
                   rg_gather(t, rg_reshape(t, all->length, pairs), index));
}

/* The third responses: of the reference, or those of other pairs, which no gradient goes through.
 */
static RgSide calibration_side(RgTrainer *trainer, RgSequences *sequences) {
    RgTape *t = trainer->tape;
    RgTensor *logprob;
    if (trainer->algorithm->calibration == RG_FROM_OTHERS) {
        double *value = RG_ARENA_ARRAY(rg_tape_arena(t), double, sequences->count);
        rg_policy_training_values(trainer->policy, sequences, value);
        logprob = rg_constant_from_double(t, RG_SHAPE(sequences->count), value);
    } else {
        logprob = rg_policy_logprob(t, trainer->policy, sequences);
    }
    return side_of(t, logprob, reference_of(trainer, sequences), lengths(trainer, sequences));
}

/* Means over the batch, added up part by part. */
typedef struct BatchMeans {
    double chosen, rejected, right, logp_chosen, logp_rejected; /* of pairs */
    double reward;                                              /* of groups */
    double kl, own; /* sum of h over the policy's own responses, and their number */
} BatchMeans;

static void add_pair_means(RgTrainer *trainer, const RgBatch *batch, BatchMeans *means) {
    double beta = trainer->algorithm->beta ? trainer->algorithm->beta(trainer->options) : 1;
    double n = (double)trainer->training.batch;
    const RgAlgorithm *a = trainer->algorithm;
    for (int64_t i = 0; i < batch->pairs; i++) {
        double hc = batch->chosen.log_ratio->data[i], hr = batch->rejected.log_ratio->data[i];
        if (a->responses == RG_FROM_POLICY && batch->fresh->data[i] != 0) {
            bool both = a->opponents == RG_FROM_NOWHERE;
            means->kl += both ? hc + hr : batch->first_chosen->data[i] != 0 ? hc : hr;
            means->own += both ? 2 : 1;
        }
        means->chosen += beta * hc / n;
        means->rejected += beta * hr / n;
        means->right += (hc > hr ? 1 : hc < hr ? 0 : 0.5) / n;
        means->logp_chosen += batch->chosen.logprob->data[i] / n;
        means->logp_rejected += batch->rejected.logprob->data[i] / n;
    }
}

static void note_pair_means(RgTrainer *trainer, const BatchMeans *means) {
    rg_trainer_metric(trainer, "rewards/chosen", means->chosen);
    rg_trainer_metric(trainer, "rewards/rejected", means->rejected);
    rg_trainer_metric(trainer, "rewards/margins", means->chosen - means->rejected);
    rg_trainer_metric(trainer, "rewards/accuracies", means->right);
    rg_trainer_metric(trainer, "logps/chosen", means->logp_chosen);
    rg_trainer_metric(trainer, "logps/rejected", means->logp_rejected);
    if (means->own > 0) /* estimated on the policy's own responses */
        rg_trainer_metric(trainer, "kl", means->kl / means->own);
}

/* What is to be had of groups: the judge's reward, the divergence from the reference. */
static void add_group_means(const RgGroups *groups, double n, BatchMeans *means) {
    double each = 1 / (n * (double)groups->size);
    for (int64_t i = 0; i < groups->count * groups->size; i++) {
        means->reward += groups->reward ? each * (double)groups->reward->data[i] : 0;
        means->kl += (double)groups->log_ratio->data[i];
    }
    means->own += (double)(groups->count * groups->size);
}

static void note_group_means(RgTrainer *trainer, const BatchMeans *means, bool rewarded) {
    if (rewarded)
        rg_trainer_metric(trainer, "reward", means->reward);
    rg_trainer_metric(trainer, "kl", means->kl / means->own);
}

static RgBatch pair_batch(RgTrainer *trainer, int64_t step, const Part *part, RgDraw *draw) {
    RgTape *t = trainer->tape;
    int64_t n = part->last - part->first;
    RgTensor *logprob = rg_policy_logprob(t, trainer->policy, part->sequences);
    RgTensor *reference = reference_of_pairs(trainer, part, draw);
    if (trainer->algorithm->preferences == RG_FROM_POLICY)
        label_by_policy(trainer, step, rg_sub(t, rg_stop_gradient(t, logprob), reference), part,
                        draw);

    RgSide all = side_of(t, logprob, reference, lengths(trainer, part->sequences));
    const int32_t *preferred = draw->preferred + part->first;
    int32_t *rejected = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, n);
    RgTensor *first_chosen = rg_filled(t, RG_SHAPE(n), 0);
    for (int64_t i = 0; i < n; i++) {
        rejected[i] = 1 - preferred[i];
        first_chosen->data[i] = (RgReal)rejected[i];
    }
    RgBatch batch = {.pairs = n,
                     .chosen = pick_side(t, &all, preferred),
                     .rejected = pick_side(t, &all, rejected),
                     .fresh = rg_borrow(t, RG_SHAPE(n), draw->fresh + part->first),
                     .first_chosen = first_chosen};
    if (part->calibration)
        batch.calibration = calibration_side(trainer, part->calibration);
    return batch;
}

/* ---- groups and demonstrations ---- */

static RgBatch group_batch(RgTrainer *trainer, const Part *part, const RgDraw *draw) {
    RgTape *t = trainer->tape;
    int64_t n = part->last - part->first, size = draw->size, at = part->first * size;
    RgShape shape = RG_SHAPE(n, size);
    RgTensor *logprob = rg_policy_logprob(t, trainer->policy, part->sequences);
    RgTensor *reference = reference_of(trainer, part->sequences);
    RgGroups groups = {.count = n,
                       .size = size,
                       .logprob = rg_reshape(t, logprob, shape),
                       .log_ratio = rg_reshape(t, rg_sub(t, logprob, reference), shape),
                       .ranking = draw->ranking + at};
    if (draw->reward)
        groups.reward = rg_constant_from_double(t, shape, draw->reward + at);
    return (RgBatch){.groups = groups};
}

static RgBatch demonstration_batch(RgTrainer *trainer, const Part *part) {
    return (RgBatch){.log_likelihood =
                         rg_policy_log_likelihood(trainer->tape, trainer->policy, part->sequences),
                     .response_tokens = rg_sequences_response_tokens(part->sequences)};
}

/* The part's term of the loss, with its gradient: a loss is a mean over pairs, or over the tokens
 * of demonstrations, so that a part counts by its share of these. */
static double part_gradient(RgTrainer *trainer, int64_t step, const Part *part, RgDraw *draw,
                            BatchMeans *means) {
    const RgAlgorithm *a = trainer->algorithm;
    RgBatch batch;
    double share;
    double n = (double)trainer->training.batch;
    if (draw->preferred) {
        batch = pair_batch(trainer, step, part, draw);
        add_pair_means(trainer, &batch, means);
        share = (double)batch.pairs / n;
    } else if (draw->ranking) {
        batch = group_batch(trainer, part, draw);
        add_group_means(&batch.groups, n, means);
        share = (double)batch.groups.count / n;
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

/* ---- shards ---- */

/* What a shard comes to besides its gradient. */
typedef struct ShardResult {
    double loss, flops;
    BatchMeans means;
} ShardResult;

static void add_result(ShardResult *sum, const ShardResult *part) {
    BatchMeans *to = &sum->means;
    const BatchMeans *from = &part->means;
    _Static_assert(sizeof *to == 8 * sizeof(double), "a new mean is to be added up, too");
    sum->loss += part->loss;
    sum->flops += part->flops;
    to->chosen += from->chosen;
    to->rejected += from->rejected;
    to->right += from->right;
    to->logp_chosen += from->logp_chosen;
    to->logp_rejected += from->logp_rejected;
    to->reward += from->reward;
    to->kl += from->kl;
    to->own += from->own;
}

double rg_trainer_take_flops(RgTrainer *trainer) {
    double flops = rg_tape_take_flops(trainer->tape) + trainer->policy->flops;
    trainer->policy->flops = 0;
    flops += trainer->reference->flops;
    trainer->reference->flops = 0;
    return flops;
}

/* Drop-out in a shard hangs on its number, not on what ran before it. */
static void drop_in_shard(RgTrainer *trainer, RgRandom step, int64_t shard) {
    RgRandom stream = rg_random_at(rg_random_named(step, "shard"), (uint64_t)shard);
    if (trainer->policy->drops)
        rg_policy_drop(trainer->policy, &stream);
}

/* Add a shard's gradient to the policy's. */
static ShardResult run_shard(RgTrainer *trainer, int64_t step, int64_t shard, int64_t shards,
                             RgDraw *draw) {
    int64_t n = trainer->training.batch;
    int64_t first = n * shard / shards, end = n * (shard + 1) / shards;
    int64_t most = trainer->training.micro_batch;
    if (most == 0 || most > end - first)
        most = end - first;
    ShardResult result = {0};
    RgTapeMark drawn = rg_tape_mark(trainer->tape);
    for (; first < end; first += most) {
        Part part = part_of(trainer, draw, first, first + most < end ? first + most : end);
        result.loss += part_gradient(trainer, step, &part, draw, &result.means);
        rg_tape_rewind(trainer->tape, drawn);
    }
    result.flops = rg_trainer_take_flops(trainer);
    return result;
}

/* The gradients of all shards, a round of as many as there are ranks at a time. */
static ShardResult run_shards(RgTrainer *trainer, int64_t step, RgDraw *draw) {
    RgTeam *team = trainer->course->team;
    int64_t shards = trainer->training.shards, rank = rg_team_rank(team);
    int64_t size = rg_team_size(team);
    RgArena *arena = rg_tape_arena(trainer->tape);
    ShardResult *round = RG_ARENA_ARRAY(arena, ShardResult, size), sum = {0};
    RgRandom drop = trainer->policy->drop;
    if (!trainer->sum)
        trainer->sum = rg_gradient_sum_create(trainer->policy->parameters, team);
    rg_gradient_sum_begin(trainer->sum);
    for (int64_t first = 0; first < shards; first += size) {
        int64_t count = first + size < shards ? size : shards - first;
        if (rank < count) {
            drop_in_shard(trainer, drop, first + rank);
            round[rank] = run_shard(trainer, step, first + rank, shards, draw);
        }
        rg_gradient_sum_add(trainer->sum, count);
        rg_team_gather(team, round, sizeof *round);
        for (int64_t i = 0; i < count; i++)
            add_result(&sum, &round[i]);
    }
    rg_gradient_sum_end(trainer->sum);
    if (trainer->policy->drops)
        rg_policy_drop(trainer->policy, &drop);
    return sum;
}

/* Ranks that draw other batches or have other weights do not train one policy: of these, the hash
 * of some numbers is taken. */
static RgStatus check_alike(RgTrainer *trainer, const RgDraw *draw) {
    enum { LOOKED_AT = 4096 };
    RgTeam *team = trainer->course->team;
    const RgParameters *p = trainer->policy->parameters;
    uint64_t hash = rg_sequences_hash(draw->sequences);
    if (draw->preferred)
        hash = rg_hash(hash, draw->preferred,
                       (size_t)trainer->training.batch * sizeof *draw->preferred);
    for (int64_t i = 0; i < p->count; i += 1 + p->count / LOOKED_AT)
        hash = rg_hash(hash, p->value + i, sizeof *p->value);
    uint64_t first = hash;
    rg_team_broadcast(team, &first, sizeof first);
    RgStatus status = RG_OK;
    if (hash != first)
        status = rg_fail(&trainer->error, RG_E_USAGE,
                         "rank %d of the team has drawn another batch than the first, or has "
                         "other weights: expected machines on which the program computes the "
                         "same bits",
                         team->rank);
    return rg_team_agree(team, status, &trainer->error);
}

/* The batch of step `step`, which all ranks have; else trainer->status tells why not. */
static bool draw_batch(RgTrainer *trainer, int64_t step, RgDraw *draw) {
    bool drawn = rg_draw(trainer, step, draw);
    if (drawn && rg_team_size(trainer->course->team) > 1)
        trainer->status = check_alike(trainer, draw);
    if (drawn && trainer->status == RG_OK)
        return true;
    rg_tape_reset(trainer->tape);
    rg_draw_release(draw);
    return false;
}

double rg_trainer_gradient(RgTrainer *trainer, int64_t step) {
    RgDraw draw;
    if (!draw_batch(trainer, step, &draw))
        return NAN;
    trainer->meter.trained_tokens += rg_policy_count_tokens(trainer->policy, draw.sequences);
    if (trainer->algorithm->calibration == RG_FROM_REFERENCE)
        trainer->meter.trained_tokens += rg_policy_count_tokens(trainer->policy, draw.calibration);
    if (draw.preferred)
        ask_reference(trainer, &draw);
    trainer->flops += rg_trainer_take_flops(trainer);
    ShardResult result = trainer->training.shards > 1 ? run_shards(trainer, step, &draw)
                                                      : run_shard(trainer, step, 0, 1, &draw);
    trainer->flops += result.flops;
    if (draw.preferred)
        note_pair_means(trainer, &result.means);
    if (draw.ranking)
        note_group_means(trainer, &result.means, draw.reward != NULL);
    rg_tape_reset(trainer->tape);
    rg_draw_release(&draw);
    return result.loss;
}
