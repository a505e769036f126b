/* SPDX-License-Identifier: MIT */
/* From a rollout to the batch that a loss sees: log-probabilities of policy and reference, lengths,
 * and labels that the policy samples itself. */
#include "algorithms/training/batch_parts.h"

#include "core/policy/pair_cache.h"

#include <math.h>
#include <string.h>

static RgSequences *view_of(RgArena *arena, const RgSequences *all, int64_t first, int64_t last) {
    int64_t *start = RG_ARENA_ARRAY(arena, int64_t, last - first + 1);
    RgSequences view = rg_sequences_view(all, first, last, start);
    return rg_arena_copy(arena, &view, sizeof view);
}

/* Third responses of a prompt; 0 where all prompts share them all. */
static int64_t third_of_prompt(const RgRollout *rollout) {
    return rollout->third && !rollout->exact ? rollout->third->count / rollout->prompts : 0;
}

RgBatchPart rg_batch_part(RgTrainer *trainer, const RgRollout *rollout, int64_t first,
                          int64_t last) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t k = rollout->k, third = third_of_prompt(rollout);
    RgBatchPart part = {.first = first, .last = last};
    part.sequences = view_of(arena, rollout->sequences, first * k, last * k);
    if (rollout->third && rollout->exact)
        part.third = view_of(arena, rollout->third, 0, rollout->third->count);
    else if (rollout->third)
        part.third = view_of(arena, rollout->third, first * third, last * third);
    return part;
}

/* ---- the reference ---- */

/* Reference log-probabilities of a batch's offline pairs. Sampled pairs are not cached; they are
 * computed part by part, which bounds the memory. */
void rg_batch_ask_offline(RgTrainer *trainer, RgRollout *rollout) {
    if (!trainer->reference->type->keeps_values || trainer->recipe.reference_free)
        return;
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t n = rollout->prompts, count = 0;
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
        trainer->reference_time.seconds += v->seconds;
    }
    rg_sequences_destroy(offline);
    trainer->reference_time.spent += rg_clock_seconds() - start;
}

/* log π_ref of the part's sampled responses, into their places in `value`. */
static void ask_of_sampled(RgTrainer *trainer, const RgBatchPart *part, const RgRollout *rollout,
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
static RgTensor *reference_of_part(RgTrainer *trainer, const RgBatchPart *part,
                                   const RgRollout *rollout) {
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

/* ---- pairs, groups and single responses ---- */

/* Labels sampled from the policy's own preference model: P(first preferred) = σ(β·(h_first −
 * h_second)). `log_ratio` is [2·pairs of the part]. */
static void label_by_policy(RgTrainer *trainer, int64_t step, const RgTensor *log_ratio,
                            const RgBatchPart *part, RgRollout *rollout) {
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
static RgSide third_side(RgTrainer *trainer, const RgBatchPart *part, const RgRollout *rollout) {
    RgTape *t = trainer->tape;
    int64_t count = part->third->count, first = part->first * third_of_prompt(rollout);
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

int64_t rg_batch_feature_count(const RgTrainer *trainer) {
    return trainer->reference->type->state_feature_count(trainer->reference);
}

/* Log-probabilities of single steps: of the policy, of the reference, and of the first pass. */
static RgSteps steps_of(RgTrainer *trainer, const RgBatchPart *part, const RgRollout *rollout) {
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
        int64_t width = rg_batch_feature_count(trainer);
        steps.features =
            rg_borrow(t, RG_SHAPE(steps.count, width), rollout->features + start[0] * width);
    }
    return steps;
}

RgBatch rg_batch_of_responses(RgTrainer *trainer, int64_t step, const RgBatchPart *part,
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
    if (trainer->recipe.preferences == RG_FROM_POLICY && !part->known && !rollout->exact)
        label_by_policy(trainer, step, rg_sub(t, rg_stop_gradient(t, logprob), reference), part,
                        rollout);
    batch.logprob = rg_reshape(t, logprob, shape);
    batch.reference = rg_reshape(t, reference, shape);
    batch.log_ratio = rg_reshape(t, rg_sub(t, logprob, reference), shape);
    batch.old = old_of(t, batch.logprob, part->known, place(rollout->old, first));
    batch.length = rg_reshape(t, lengths(trainer, part->sequences), shape);
    batch.sequences = part->sequences;
    if (rollout->pair)
        batch.pair = rollout->pair + part->first;
    batch.response_limit = trainer->task->response_limit / unit_of_length(trainer);
    batch.on_policy = rg_borrow(t, RG_SHAPE(n), rollout->on_policy + part->first);
    batch.exact = rollout->exact;
    if (rollout->weight)
        batch.weight = rg_borrow(t, RG_SHAPE(n), rollout->weight + part->first);
    if (rollout->reward) {
        batch.judged = rollout->reward + first;
        batch.reward = rg_constant_from_double(t, shape, rollout->reward + first);
    }
    if (rollout->desirable)
        batch.desirable = rg_borrow(t, RG_SHAPE(n), rollout->desirable + part->first);
    if (rollout->win_rate)
        batch.win_rate = rg_constant_from_double(t, shape, rollout->win_rate + first);
    if (rg_recipe_takes_pairs(&trainer->recipe)) {
        batch.chosen = pick_side(t, &batch, 0);
        batch.rejected = pick_side(t, &batch, 1);
    }
    if (part->third) {
        batch.third = third_side(trainer, part, rollout);
        if (rollout->third_weight)
            batch.third_weight = rg_borrow(t, RG_SHAPE(part->third->count), rollout->third_weight);
    }
    return batch;
}

RgBatch rg_batch_of_demonstrations(RgTrainer *trainer, const RgBatchPart *part) {
    return (RgBatch){.prompts = part->last - part->first,
                     .k = 1,
                     .log_likelihood =
                         rg_policy_log_likelihood(trainer->tape, trainer->policy, part->sequences),
                     .response_tokens = rg_sequences_response_tokens(part->sequences)};
}
