/* SPDX-License-Identifier: MIT */
/* The gradient of a step's batch: part by part and shard by shard through the loss and back. */
#include "algorithms/training/gradient.h"

#include "algorithms/training/batch_metrics.h"
#include "algorithms/training/batch_parts.h"
#include "algorithms/training/shared_terms.h"
#include "core/train/gradient_sum.h"

#include <math.h>
#include <string.h>

/* ---- a part's gradient ---- */

/* The part's term of the loss, with its gradient. A loss is a mean over prompts, or over the tokens
 * of demonstrations; a part is weighted by its share of these. */
static double part_gradient(RgTrainer *trainer, int64_t step, const RgBatchPart *part,
                            RgRollout *rollout, RgBatchMeans *means) {
    RgBatch batch;
    double share = (double)(part->last - part->first) / (double)rollout->prompts;
    if (rollout->order) {
        batch = rg_batch_of_responses(trainer, step, part, rollout);
        if (batch.desirable)
            rg_batch_add_singles(trainer, &batch, means);
        else if (batch.chosen.log_ratio)
            rg_batch_add_pairs(trainer, &batch, rollout->prompts, means);
        else
            rg_batch_add_groups(&batch, rollout->prompts, means);
        rg_shared_terms_apply(trainer->tape, &trainer->recipe, &batch);
    } else {
        batch = rg_batch_of_demonstrations(trainer, part);
        double tokens = (double)rg_sequences_response_tokens(rollout->sequences);
        share = (double)batch.response_tokens / tokens;
        if (share == 0)
            return 0; /* nothing to predict in this part */
    }
    trainer->now.share = share;
    trainer->now.next_metric = 0;
    RgTensor *loss = trainer->algorithm->loss(&trainer->now, trainer->options, &batch);
    rg_step_end_part(&trainer->now);
    if (rollout->weight && !trainer->now.weighted)
        trainer->now.fault = "the loss takes no mean by rg_batch_mean, which has the weights of "
                             "the batch: expected it in place of rg_mean";
    if (!loss || loss->count != 1) {
        trainer->now.fault = loss
                                 ? "the loss has several numbers: expected a scalar (rg_batch_mean)"
                                 : "the loss is NULL: expected a tensor";
        return 0;
    }
    loss = rg_shared_terms_add(&trainer->now, &trainer->recipe, &batch, loss);
    rg_backward(trainer->tape, loss, (RgReal)share);
    return share * (double)loss->data[0];
}

/* ---- shards ---- */

/* The results of a shard besides its gradient. */
typedef struct ShardResult {
    double loss, flops;
    RgBatchMeans means;
    double logged[RG_STEP_METRICS];
} ShardResult;

static void add_result(ShardResult *sum, const ShardResult *part) {
    RgBatchMeans *to = &sum->means;
    const RgBatchMeans *from = &part->means;
    _Static_assert(sizeof *to == 10 * sizeof(double), "add a new mean to the sum, too");
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
    to->desirable += from->desirable;
    to->undesirable += from->undesirable;
    for (int i = 0; i < RG_STEP_METRICS; i++)
        sum->logged[i] += part->logged[i];
}

/* Dropout in a shard depends on its index, not on earlier work. */
static void drop_in_shard(RgTrainer *trainer, RgRandom step, int64_t number) {
    RgRandom stream = rg_random_at(rg_random_named(step, "shard"), (uint64_t)number);
    if (trainer->policy->drops)
        rg_policy_drop(trainer->policy, &stream);
}

/* Add a shard's gradient to the policy's. */
static ShardResult run_shard(RgTrainer *trainer, int64_t step, int64_t epoch, int64_t shard,
                             RgRollout *rollout) {
    int64_t n = rollout->prompts, shards = trainer->training.shards;
    int64_t first = n * shard / shards, end = n * (shard + 1) / shards;
    int64_t most = trainer->training.micro_batch;
    if (most == 0 || most > end - first)
        most = end - first;
    ShardResult result = {0};
    memset(trainer->now.sum, 0, sizeof trainer->now.sum);
    RgTapeMark drawn = rg_tape_mark(trainer->tape);
    for (; first < end; first += most) {
        int64_t last = first + most < end ? first + most : end;
        RgBatchPart part = rg_batch_part(trainer, rollout, first, last);
        part.trains = true;
        part.known = epoch > 0 || trainer->algorithm->prepare;
        result.loss += part_gradient(trainer, step, &part, rollout, &result.means);
        rg_tape_rewind(trainer->tape, drawn);
    }
    memcpy(result.logged, trainer->now.sum, sizeof result.logged);
    return result;
}

/* As run_shard, for summation over ranks. The shard's FLOPs are counted from 0 and returned in its
 * result, so that the step's sum is over the shards in their order, whichever rank ran them. */
static ShardResult run_shared(RgTrainer *trainer, int64_t step, int64_t epoch, int64_t shard,
                              RgRollout *rollout) {
    double before = trainer->flops;
    trainer->flops = 0;
    ShardResult result = run_shard(trainer, step, epoch, shard, rollout);
    result.flops = trainer->flops;
    trainer->flops = before;
    return result;
}

/* Ranks without a shard do not know which metrics the loss logs: the first rank sends the names. */
static void share_metric_names(RgTrainer *trainer) {
    RgProcessGroup *process_group = trainer->task->process_group;
    RgStep *now = &trainer->now;
    int64_t count = now->metric_count;
    if (rg_process_group_size(process_group) <= trainer->training.shards)
        return;
    rg_process_group_broadcast(process_group, &count, sizeof count);
    for (int i = 0; i < count; i++) {
        char *name = trainer->metric_names[i];
        if (i < now->metric_count)
            memcpy(name, now->metric[i], strlen(now->metric[i]) + 1);
        rg_process_group_broadcast(process_group, name, RG_METRIC_NAME);
        now->metric[i] = name;
    }
    now->metric_count = (int)count;
}

/* The gradients of all shards, in rounds of one shard per rank. */
static ShardResult run_shards(RgTrainer *trainer, int64_t step, int64_t epoch, RgRollout *rollout) {
    RgProcessGroup *process_group = trainer->task->process_group;
    int64_t shards = trainer->training.shards, rank = rg_process_group_rank(process_group);
    int64_t size = rg_process_group_size(process_group);
    RgTapeMark drawn = rg_tape_mark(trainer->tape);
    ShardResult *round = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), ShardResult, size), sum = {0};
    RgRandom drop = trainer->policy->drop;
    if (!trainer->sum)
        trainer->sum = rg_gradient_sum_create(trainer->policy->parameters, process_group);
    rg_gradient_sum_begin(trainer->sum);
    for (int64_t first = 0; first < shards; first += size) {
        int64_t count = first + size < shards ? size : shards - first;
        if (rank < count) {
            drop_in_shard(trainer, drop, epoch * shards + first + rank);
            round[rank] = run_shared(trainer, step, epoch, first + rank, rollout);
        }
        rg_gradient_sum_add(trainer->sum, count);
        rg_process_group_gather(process_group, round, sizeof *round);
        for (int64_t i = 0; i < count; i++)
            add_result(&sum, &round[i]);
    }
    rg_gradient_sum_end(trainer->sum);
    trainer->flops += sum.flops;
    share_metric_names(trainer);
    if (trainer->policy->drops)
        rg_policy_drop(trainer->policy, &drop);
    rg_tape_rewind(trainer->tape, drawn);
    return sum;
}

/* ---- a batch and its gradients ---- */

/* Check that all ranks have the same batch and weights, else they do not train one policy. A hash
 * of some of the numbers is compared. */
static RgStatus check_alike(RgTrainer *trainer, const RgRollout *rollout, RgError *error) {
    enum { LOOKED_AT = 4096 };
    RgProcessGroup *process_group = trainer->task->process_group;
    const RgParameters *p = trainer->policy->parameters;
    uint64_t hash = rg_sequences_hash(rollout->sequences);
    if (rollout->order)
        hash = rg_hash(hash, rollout->order,
                       (size_t)rollout->sequences->count * sizeof *rollout->order);
    for (int64_t i = 0; i < p->count; i += 1 + p->count / LOOKED_AT)
        hash = rg_hash(hash, p->value + i, sizeof *p->value);
    uint64_t first = hash;
    rg_process_group_broadcast(process_group, &first, sizeof first);
    RgStatus status = RG_OK;
    if (hash != first)
        status = rg_fail(
            error, RG_E_USAGE,
            "rank %d of the process group has sampled another batch than the first rank, or has "
            "other weights: expected machines on which the program computes the same bits",
            process_group->rank);
    return rg_process_group_reduce_status(process_group, status, error);
}

/* Offsets of each response's single steps. */
static void find_steps(RgTrainer *trainer, RgRollout *rollout) {
    const RgSequences *s = rollout->sequences;
    rollout->step_start = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), int64_t, s->count + 1);
    rollout->step_start[0] = 0;
    for (int64_t i = 0; i < s->count; i++)
        rollout->step_start[i + 1] =
            rollout->step_start[i] + rg_policy_steps(trainer->policy, s, i);
}

static void find_features(RgTrainer *trainer, RgRollout *rollout) {
    int64_t count =
        rollout->step_start[rollout->sequences->count] * rg_batch_feature_count(trainer);
    rollout->features = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), RgReal, count);
    rg_policy_state_values(trainer->reference, rollout->sequences, rollout->features);
}

/* Allocate the values that later passes read. */
static void make_room(RgTrainer *trainer, RgRollout *rollout) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t count = rollout->sequences->count;
    bool refers = !trainer->recipe.reference_free;
    rollout->old = RG_ARENA_ARRAY(arena, double, count);
    if (!rollout->reference && refers)
        rollout->reference = RG_ARENA_ARRAY(arena, double, count);
    if (rollout->third && refers)
        rollout->third_reference = RG_ARENA_ARRAY(arena, double, rollout->third->count);
    if (!trainer->recipe.steps)
        return;
    rollout->step_old = RG_ARENA_ARRAY(arena, double, rollout->step_start[count]);
    rollout->step_reference = RG_ARENA_ARRAY(arena, double, rollout->step_start[count]);
}

/* The pass before the first epoch, over the whole batch. It stores in the rollout what later passes
 * read; its results on the tape remain for all of them. */
static void prepare(RgTrainer *trainer, int64_t step, RgRollout *rollout) {
    bool recording = rg_tape_record(trainer->tape, false);
    RgBatchPart whole = rg_batch_part(trainer, rollout, 0, rollout->prompts);
    RgBatch batch = rg_batch_of_responses(trainer, step, &whole, rollout);
    rg_shared_terms_apply(trainer->tape, &trainer->recipe, &batch);
    trainer->now.prepared = trainer->algorithm->prepare(&trainer->now, trainer->options, &batch);
    rg_tape_record(trainer->tape, recording);
}

RgStatus rg_gradient_begin(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error) {
    bool prepares = trainer->algorithm->prepare != NULL;
    RG_TRY(rg_rollout(trainer, step, rollout, error));
    if (rg_process_group_size(trainer->task->process_group) > 1)
        RG_TRY(check_alike(trainer, rollout, error));
    if (rg_recipe_takes_pairs(&trainer->recipe))
        rg_batch_ask_offline(trainer, rollout);
    if (trainer->recipe.steps)
        find_steps(trainer, rollout);
    if (trainer->recipe.features)
        find_features(trainer, rollout);
    if (rollout->order && (trainer->recipe.epochs > 1 || prepares))
        make_room(trainer, rollout);
    trainer->now =
        (RgStep){.tape = trainer->tape,
                 .number = step,
                 .state = trainer->state,
                 .random = rg_random_at(rg_random_named(trainer->random, "loss"), (uint64_t)step)};
    if (trainer->own.parameters)
        rg_parameters_zero_gradient(trainer->own.parameters);
    if (prepares)
        prepare(trainer, step, rollout);
    return RG_OK;
}

static void count_trained(RgTrainer *trainer, const RgRollout *rollout) {
    const RgRecipe *r = &trainer->recipe;
    trainer->meter.trained_tokens += rg_policy_count_tokens(trainer->policy, rollout->sequences);
    if (rollout->third && r->third != RG_FROM_OTHERS)
        trainer->meter.trained_tokens += rg_policy_count_tokens(trainer->policy, rollout->third);
}

double rg_gradient_add(RgTrainer *trainer, int64_t step, int64_t epoch, RgRollout *rollout) {
    count_trained(trainer, rollout);
    trainer->now.epoch = epoch;
    ShardResult result = trainer->training.shards > 1 ? run_shards(trainer, step, epoch, rollout)
                                                      : run_shard(trainer, step, epoch, 0, rollout);
    for (int i = 0; i < trainer->now.metric_count; i++)
        trainer->logged[i] = result.logged[i] + (epoch > 0 ? trainer->logged[i] : 0);
    memcpy(trainer->now.sum, result.logged, sizeof result.logged);
    if (epoch == 0 && rg_recipe_takes_pairs(&trainer->recipe))
        rg_batch_log_pairs(trainer, &result.means);
    else if (epoch == 0 && rollout->desirable)
        rg_batch_log_singles(trainer, &result.means);
    else if (epoch == 0 && rollout->order)
        rg_batch_log_groups(trainer, &result.means, rollout->reward != NULL);
    return result.loss;
}

void rg_gradient_end(RgTrainer *trainer, RgRollout *rollout) {
    rg_tape_reset(trainer->tape);
    rg_rollout_release(rollout);
}

RgStatus rg_trainer_term_gradients(RgTrainer *trainer, int64_t step, double *const *gradient,
                                   RgError *error) {
    RgParameters *p = trainer->policy->parameters;
    int terms = rg_loss_terms(trainer->algorithm);
    RgRollout rollout;
    RgStatus status = rg_gradient_begin(trainer, step, &rollout, error);
    for (int k = 0; k < terms && status == RG_OK; k++) {
        trainer->outcome = (RgOutcome){0};
        trainer->now.term = trainer->algorithm->terms ? k + 1 : 0;
        rg_parameters_zero_gradient(p);
        rg_gradient_add(trainer, step, 0, &rollout);
        if (trainer->now.fault)
            status = rg_fail(error, RG_E_USAGE, "%s: %s", trainer->algorithm->about.name,
                             trainer->now.fault);
        for (int64_t i = 0; i < p->count; i++)
            gradient[k][i] = (double)p->gradient[i];
    }
    rg_parameters_zero_gradient(p);
    rg_gradient_end(trainer, &rollout);
    return status;
}

int rg_loss_terms(const RgAlgorithm *algorithm) {
    int count = 0;
    while (algorithm->terms && algorithm->terms[count])
        count++;
    return count > 0 ? count : 1;
}

RgStatus rg_trainer_gradient(RgTrainer *trainer, int64_t step, double *loss, RgError *error) {
    RgRollout rollout;
    RgStatus status = rg_gradient_begin(trainer, step, &rollout, error);
    *loss = status == RG_OK ? rg_gradient_add(trainer, step, 0, &rollout) : NAN;
    if (status == RG_OK && trainer->now.fault)
        status = rg_fail(error, RG_E_USAGE, "%s: %s", trainer->algorithm->about.name,
                         trainer->now.fault);
    rg_gradient_end(trainer, &rollout);
    return status;
}
