/* SPDX-License-Identifier: MIT */
/* The gradient of a step's batch: sampled by the algorithm's recipe, then part by part and shard by
 * shard through policy and reference to the loss and back. */
#include "algorithms/training/gradient.h"

#include "core/policy/pair_cache.h"
#include "core/train/gradient_sum.h"

#include <math.h>
#include <string.h>

/* ---- parts of a batch ---- */

/* Prompts [first, last) of the batch; their responses are on the tape at the same time. */
typedef struct Part {
    int64_t first, last;
    bool trains; /* with gradient; else the policy's log-probabilities are constants */
    bool known;  /* an earlier pass has stored the kept values in the rollout */
    RgSequences *sequences, *third; /* `third` is NULL if there is none */
} Part;

static RgSequences *view_of(RgArena *arena, const RgSequences *all, int64_t first, int64_t last) {
    int64_t *start = RG_ARENA_ARRAY(arena, int64_t, last - first + 1);
    RgSequences view = rg_sequences_view(all, first, last, start);
    return rg_arena_copy(arena, &view, sizeof view);
}

static int64_t third_of_prompt(const RgTrainer *trainer, const RgRollout *rollout) {
    return rollout->third ? rollout->third->count / trainer->training.batch : 0;
}

static Part part_of(RgTrainer *trainer, const RgRollout *rollout, int64_t first, int64_t last) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t k = rollout->k, third = third_of_prompt(trainer, rollout);
    Part part = {.first = first, .last = last};
    part.sequences = view_of(arena, rollout->sequences, first * k, last * k);
    if (rollout->third)
        part.third = view_of(arena, rollout->third, first * third, last * third);
    return part;
}

/* ---- the reference ---- */

/* Reference log-probabilities of a batch's offline pairs. Sampled pairs are not cached; they are
 * computed part by part, which bounds the memory. */
static void ask_of_offline(RgTrainer *trainer, RgRollout *rollout) {
    if (!trainer->reference->type->keeps_values || trainer->recipe.reference_free)
        return;
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t n = trainer->training.batch, count = 0;
    double start = rg_clock_seconds();
    RgSequences *offline = rg_sequences_create();
    for (int64_t i = 0; i < n; i++)
        if (!rollout->sampled[i])
            rg_sequences_append_pair(offline, rollout->sequences, i);
    RgPairValues *values = RG_ARENA_ARRAY(arena, RgPairValues, n);
    RgPairCache *cache = trainer->moving_reference ? NULL : trainer->cache;
    rg_pair_cache_values(cache, trainer->task->process_group, trainer->reference, offline, values);
    rollout->reference = RG_ARENA_ARRAY(arena, double, 2 * n);
    rollout->offline_known = true;
    for (int64_t i = 0; i < n; i++) {
        if (rollout->sampled[i])
            continue;
        const RgPairValues *v = &values[count++];
        memcpy(rollout->reference + 2 * i, v->logprob, sizeof v->logprob);
        trainer->flops += v->flops;
        trainer->asked.seconds += v->seconds;
    }
    rg_sequences_destroy(offline);
    trainer->asked.spent += rg_clock_seconds() - start;
}

/* log π_ref of the part's sampled responses, into their places in `value`. */
static void ask_of_sampled(RgTrainer *trainer, const Part *part, const RgRollout *rollout,
                           double *value) {
    int64_t count = 0;
    RgSequences *sampled = rg_sequences_create();
    for (int64_t i = part->first; i < part->last; i++)
        if (rollout->sampled[i])
            rg_sequences_append_pair(sampled, rollout->sequences, i);
    double *own = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, sampled->count);
    rg_policy_training_values(trainer->reference, sampled, own);
    for (int64_t i = part->first; i < part->last; i++)
        if (rollout->sampled[i])
            memcpy(value + 2 * (i - part->first), own + 2 * count++, 2 * sizeof *own);
    rg_sequences_destroy(sampled);
}

/* Values that are constant over passes are in `kept`, from the place of the part on. The first pass
 * writes them; later passes read them (`known`). NULL: there is one pass. */
static bool take_kept(const double *kept, bool known, int64_t count, double *value) {
    if (kept && known)
        memcpy(value, kept, (size_t)count * sizeof *value);
    return kept && known;
}

static void keep(double *kept, const double *value, int64_t count) {
    if (kept)
        memcpy(kept, value, (size_t)count * sizeof *value);
}

static double *place(double *kept, int64_t first) {
    return kept ? kept + first : NULL;
}

/* log π_ref of the part's responses, 0 if the method has no reference: [n·k]. */
static RgTensor *reference_of_part(RgTrainer *trainer, const Part *part, const RgRollout *rollout) {
    int64_t count = part->sequences->count, first = part->first * rollout->k;
    if (trainer->recipe.reference_free)
        return rg_filled(trainer->tape, RG_SHAPE(count), 0);
    double *value = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, count);
    double *kept = place(rollout->reference, first);
    if (!take_kept(kept, part->known, count, value)) {
        if (rollout->offline_known) {
            memcpy(value, kept, (size_t)count * sizeof *value);
            ask_of_sampled(trainer, part, rollout, value);
        } else {
            rg_policy_training_values(trainer->reference, part->sequences, value);
        }
        keep(kept, value, count);
    }
    return rg_constant_from_double(trainer->tape, RG_SHAPE(count), value);
}

/* ---- the policy ---- */

/* log π of each sequence, and of each of their steps. */
static RgTensor *logprob_of(RgTrainer *trainer, const RgSequences *sequences, bool trains) {
    if (trains)
        return rg_policy_logprob(trainer->tape, trainer->policy, sequences);
    double *value = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, sequences->count);
    rg_policy_training_values(trainer->policy, sequences, value);
    return rg_constant_from_double(trainer->tape, RG_SHAPE(sequences->count), value);
}

static RgTensor *step_logprob_of(RgTrainer *trainer, const RgSequences *sequences, int64_t steps,
                                 bool trains) {
    if (trains)
        return rg_policy_step_logprob(trainer->tape, trainer->policy, sequences);
    double *value = RG_ARENA_ARRAY(rg_tape_arena(trainer->tape), double, steps);
    rg_policy_step_values(trainer->policy, sequences, value);
    return rg_constant_from_double(trainer->tape, RG_SHAPE(steps), value);
}

/* ---- pairs and groups ---- */

/* Labels sampled from the policy's own preference model: P(first preferred) = σ(β·(h_first −
 * h_second)). `log_ratio` is [2·pairs of the part]. */
static void label_by_policy(RgTrainer *trainer, int64_t step, const RgTensor *log_ratio,
                            const Part *part, RgRollout *rollout) {
    double beta = trainer->recipe.beta;
    RgRandom random =
        rg_random_at(rg_random_named(trainer->random, "policy labels"), (uint64_t)step);
    for (int64_t i = part->first; i < part->last; i++) {
        if (rollout->on_policy[i] == 0)
            continue;
        const RgReal *h = log_ratio->data + 2 * (i - part->first);
        double first = 1 / (1 + exp(-beta * ((double)h[0] - (double)h[1])));
        int32_t preferred = rg_random_uniform(random, (uint64_t)i) < first ? 0 : 1;
        rollout->order[2 * i] = preferred;
        rollout->order[2 * i + 1] = 1 - preferred;
    }
}

/* Number of words in a unit of length: a token; for an episode, a step. */
static int64_t unit_of_length(const RgTrainer *trainer) {
    const RgSimulator *simulator = trainer->task->simulator;
    return simulator ? rg_simulator_step_words(simulator) : 1;
}

/* Tokens of each response; for an episode, steps; at least 1. */
static RgTensor *lengths(RgTrainer *trainer, const RgSequences *sequences) {
    int64_t words = unit_of_length(trainer);
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

/* The responses at one place of each pair's order. */
static RgSide pick_side(RgTape *t, const RgBatch *batch, int64_t at) {
    int32_t *index = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, batch->prompts);
    for (int64_t i = 0; i < batch->prompts; i++)
        index[i] = batch->order[batch->k * i + at];
    return side_of(t, rg_gather(t, batch->logprob, index), rg_gather(t, batch->reference, index),
                   rg_gather(t, batch->length, index));
}

/* The third responses: sampled ones, or those of other pairs; without gradient. */
static RgSide third_side(RgTrainer *trainer, const Part *part, const RgRollout *rollout) {
    RgTape *t = trainer->tape;
    int64_t count = part->third->count, first = part->first * third_of_prompt(trainer, rollout);
    bool trains = part->trains && trainer->recipe.third != RG_FROM_OTHERS;
    double *value = RG_ARENA_ARRAY(rg_tape_arena(t), double, count);
    RgTensor *logprob = logprob_of(trainer, part->third, trains);
    RgTensor *reference = rg_filled(t, RG_SHAPE(count), 0);
    if (!trainer->recipe.reference_free) {
        double *kept = place(rollout->third_reference, first);
        if (!take_kept(kept, part->known, count, value)) {
            rg_policy_training_values(trainer->reference, part->third, value);
            keep(kept, value, count);
        }
        reference = rg_constant_from_double(t, RG_SHAPE(count), value);
    }
    return side_of(t, logprob, reference, lengths(trainer, part->third));
}

/* x as a constant, with its value in the first pass. */
static RgTensor *old_of(RgTape *t, RgTensor *x, bool known, double *kept) {
    if (!kept)
        return rg_stop_gradient(t, x);
    for (int64_t i = 0; !known && i < x->count; i++)
        kept[i] = (double)x->data[i];
    return rg_constant_from_double(t, x->shape, kept);
}

static int64_t feature_count(const RgTrainer *trainer) {
    return trainer->reference->type->state_feature_count(trainer->reference);
}

/* Log-probabilities of single steps: of the policy, of the reference, and of the first pass. */
static RgSteps steps_of(RgTrainer *trainer, const Part *part, const RgRollout *rollout) {
    RgTape *t = trainer->tape;
    RgArena *arena = rg_tape_arena(t);
    int64_t n = part->sequences->count;
    const int64_t *start = rollout->step_start + part->first * rollout->k;
    int64_t *offsets = RG_ARENA_ARRAY(arena, int64_t, n + 1);
    for (int64_t i = 0; i <= n; i++)
        offsets[i] = start[i] - start[0];
    RgSteps steps = {.count = offsets[n], .offsets = offsets};
    steps.logprob = step_logprob_of(trainer, part->sequences, steps.count, part->trains);
    steps.reference = rg_filled(t, RG_SHAPE(steps.count), 0);
    if (!trainer->recipe.reference_free) {
        double *value = RG_ARENA_ARRAY(arena, double, steps.count);
        double *kept = place(rollout->step_reference, start[0]);
        if (!take_kept(kept, part->known, steps.count, value)) {
            rg_policy_step_values(trainer->reference, part->sequences, value);
            keep(kept, value, steps.count);
        }
        steps.reference = rg_constant_from_double(t, RG_SHAPE(steps.count), value);
    }
    steps.old = old_of(t, steps.logprob, part->known, place(rollout->step_old, start[0]));
    if (rollout->features) {
        int64_t width = feature_count(trainer);
        steps.features =
            rg_borrow(t, RG_SHAPE(steps.count, width), rollout->features + start[0] * width);
    }
    return steps;
}

static RgBatch response_batch(RgTrainer *trainer, int64_t step, const Part *part,
                              RgRollout *rollout) {
    RgTape *t = trainer->tape;
    int64_t n = part->last - part->first, k = rollout->k, first = part->first * k;
    RgShape shape = RG_SHAPE(n, k);
    RgBatch batch = {.prompts = n, .k = k, .order = rollout->order + first};
    RgTensor *logprob, *reference;
    if (trainer->recipe.steps) {
        batch.steps = steps_of(trainer, part, rollout);
        logprob = rg_segment_sum(t, batch.steps.logprob, batch.steps.offsets, n * k);
        reference = rg_segment_sum(t, batch.steps.reference, batch.steps.offsets, n * k);
    } else {
        logprob = logprob_of(trainer, part->sequences, part->trains);
        reference = reference_of_part(trainer, part, rollout);
    }
    if (trainer->recipe.preferences == RG_FROM_POLICY && !part->known)
        label_by_policy(trainer, step, rg_sub(t, rg_stop_gradient(t, logprob), reference), part,
                        rollout);
    batch.logprob = rg_reshape(t, logprob, shape);
    batch.reference = rg_reshape(t, reference, shape);
    batch.log_ratio = rg_reshape(t, rg_sub(t, logprob, reference), shape);
    batch.old = old_of(t, batch.logprob, part->known, place(rollout->old, first));
    batch.length = rg_reshape(t, lengths(trainer, part->sequences), shape);
    batch.response_limit = trainer->task->response_limit / unit_of_length(trainer);
    batch.on_policy = rg_borrow(t, RG_SHAPE(n), rollout->on_policy + part->first);
    if (rollout->reward) {
        batch.judged = rollout->reward + first;
        batch.reward = rg_constant_from_double(t, shape, rollout->reward + first);
        batch.win_rate = rg_constant_from_double(t, shape, rollout->win_rate + first);
    }
    if (rg_recipe_takes_pairs(&trainer->recipe)) {
        batch.chosen = pick_side(t, &batch, 0);
        batch.rejected = pick_side(t, &batch, 1);
    }
    if (part->third)
        batch.third = third_side(trainer, part, rollout);
    return batch;
}

static RgBatch demonstration_batch(RgTrainer *trainer, const Part *part) {
    return (RgBatch){.prompts = part->last - part->first,
                     .k = 1,
                     .log_likelihood =
                         rg_policy_log_likelihood(trainer->tape, trainer->policy, part->sequences),
                     .response_tokens = rg_sequences_response_tokens(part->sequences)};
}

/* ---- metrics ---- */

/* Means over the batch, summed part by part. */
typedef struct BatchMeans {
    double chosen, rejected, right, logp_chosen, logp_rejected; /* of pairs */
    double reward;                                              /* of groups */
    double kl, own; /* sum of h over the policy's own responses, and their count */
} BatchMeans;

static void add_pair_means(RgTrainer *trainer, const RgBatch *batch, BatchMeans *means) {
    const RgRecipe *r = &trainer->recipe;
    double n = (double)trainer->training.batch;
    for (int64_t i = 0; i < batch->prompts; i++) {
        double hc = batch->chosen.log_ratio->data[i], hr = batch->rejected.log_ratio->data[i];
        if (r->responses == RG_FROM_POLICY && batch->on_policy->data[i] != 0) {
            bool both = r->opponents == RG_FROM_NOWHERE;
            means->kl += both ? hc + hr : batch->order[2 * i] == 0 ? hc : hr;
            means->own += both ? 2 : 1;
        }
        means->chosen += r->beta * hc / n;
        means->rejected += r->beta * hr / n;
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

/* Metrics of groups: the judge's reward, the divergence from the reference. */
static void add_group_means(RgTrainer *trainer, const RgBatch *batch, BatchMeans *means) {
    double each = 1 / ((double)trainer->training.batch * (double)batch->k);
    for (int64_t i = 0; i < batch->prompts * batch->k; i++) {
        means->reward += batch->reward ? each * (double)batch->reward->data[i] : 0;
        means->kl += (double)batch->log_ratio->data[i];
    }
    means->own += (double)(batch->prompts * batch->k);
}

static void note_group_means(RgTrainer *trainer, const BatchMeans *means, bool rewarded) {
    if (rewarded)
        rg_trainer_metric(trainer, "reward", means->reward);
    rg_trainer_metric(trainer, "kl", means->kl / means->own);
}

/* Why the metric is invalid, or NULL. */
static const char *metric_fault(const RgStep *step, int at, const char *name) {
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";
    size_t length = name ? strlen(name) : 0;
    if (at >= RG_STEP_METRICS)
        return "more than 16 metrics: expected fewer";
    if (length == 0 || length >= RG_METRIC_NAME || name[strspn(name, letters)])
        return "an invalid name: expected 1 to 31 letters, digits and _-./";
    if (at < step->metric_count)
        return strcmp(step->metric[at], name) == 0
                   ? NULL
                   : "other names than before in this step: expected the same names in the same "
                     "order for every batch";
    if (step->parts > 0)
        return "a metric that was not logged for the previous part: expected the same metrics for "
               "each part";
    for (int i = 0; i < step->metric_count; i++)
        if (strcmp(step->metric[i], name) == 0)
            return "a name twice: expected each name once";
    return NULL;
}

void rg_step_metric(RgStep *step, const char *name, double value) {
    int at = step->next_metric++;
    const char *fault = metric_fault(step, at, name);
    if (fault)
        step->fault = step->fault ? step->fault : fault;
    if (step->fault)
        return;
    if (at == step->metric_count) {
        step->metric[at] = name;
        step->metric_count++;
    }
    step->sum[at] += step->share * value;
}

/* After a loss: check that all metrics of the previous part are logged for this one. */
static void end_part(RgStep *step) {
    if (!step->fault && step->next_metric < step->metric_count)
        step->fault =
            "fewer metrics than for the previous part: expected the same metrics for each part";
    step->parts++;
}

/* ---- a part's gradient ---- */

/* The part's term of the loss, with its gradient. A loss is a mean over prompts, or over the tokens
 * of demonstrations; a part is weighted by its share of these. */
static double part_gradient(RgTrainer *trainer, int64_t step, const Part *part, RgRollout *rollout,
                            BatchMeans *means) {
    RgBatch batch;
    double share = (double)(part->last - part->first) / (double)trainer->training.batch;
    if (rollout->order) {
        batch = response_batch(trainer, step, part, rollout);
        bool has_sides = batch.chosen.log_ratio != NULL;
        (has_sides ? add_pair_means : add_group_means)(trainer, &batch, means);
    } else {
        batch = demonstration_batch(trainer, part);
        double tokens = (double)rg_sequences_response_tokens(rollout->sequences);
        share = (double)batch.response_tokens / tokens;
        if (share == 0)
            return 0; /* nothing to predict in this part */
    }
    trainer->now.share = share;
    trainer->now.next_metric = 0;
    RgTensor *loss = trainer->algorithm->loss(&trainer->now, trainer->options, &batch);
    end_part(&trainer->now);
    if (!loss || loss->count != 1) {
        trainer->now.fault = loss ? "the loss has several numbers: expected a scalar (rg_mean)"
                                  : "the loss is NULL: expected a tensor";
        return 0;
    }
    rg_backward(trainer->tape, loss, (RgReal)share);
    return share * (double)loss->data[0];
}

/* ---- shards ---- */

/* The results of a shard besides its gradient. */
typedef struct ShardResult {
    double loss, flops;
    BatchMeans means;
    double logged[RG_STEP_METRICS];
} ShardResult;

static void add_result(ShardResult *sum, const ShardResult *part) {
    BatchMeans *to = &sum->means;
    const BatchMeans *from = &part->means;
    _Static_assert(sizeof *to == 8 * sizeof(double), "add a new mean to the sum, too");
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
    int64_t n = trainer->training.batch, shards = trainer->training.shards;
    int64_t first = n * shard / shards, end = n * (shard + 1) / shards;
    int64_t most = trainer->training.micro_batch;
    if (most == 0 || most > end - first)
        most = end - first;
    ShardResult result = {0};
    memset(trainer->now.sum, 0, sizeof trainer->now.sum);
    RgTapeMark drawn = rg_tape_mark(trainer->tape);
    for (; first < end; first += most) {
        int64_t last = first + most < end ? first + most : end;
        Part part = part_of(trainer, rollout, first, last);
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
    int64_t count = rollout->step_start[rollout->sequences->count] * feature_count(trainer);
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
    Part whole = part_of(trainer, rollout, 0, trainer->training.batch);
    RgBatch batch = response_batch(trainer, step, &whole, rollout);
    trainer->now.prepared = trainer->algorithm->prepare(&trainer->now, trainer->options, &batch);
    rg_tape_record(trainer->tape, recording);
}

RgStatus rg_gradient_begin(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error) {
    bool prepares = trainer->algorithm->prepare != NULL;
    RG_TRY(rg_rollout(trainer, step, rollout, error));
    if (rg_process_group_size(trainer->task->process_group) > 1)
        RG_TRY(check_alike(trainer, rollout, error));
    if (rg_recipe_takes_pairs(&trainer->recipe))
        ask_of_offline(trainer, rollout);
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
    if (epoch == 0 && rg_recipe_takes_pairs(&trainer->recipe))
        note_pair_means(trainer, &result.means);
    else if (epoch == 0 && rollout->order)
        note_group_means(trainer, &result.means, rollout->reward != NULL);
    return result.loss;
}

void rg_gradient_end(RgTrainer *trainer, RgRollout *rollout) {
    rg_tape_reset(trainer->tape);
    rg_rollout_release(rollout);
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
