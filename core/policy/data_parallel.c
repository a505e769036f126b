/* SPDX-License-Identifier: MIT */
/* Data-parallel slices of a batch. Each runs on a tape of its own and on a stand-in for the
 * parameters, with their values and a gradient on that tape. */
#include "core/policy/data_parallel.h"

#include "core/tensor/parallel.h"
#include "core/tensor/profile.h"
#include "core/tensor/vector_ops.h"

#include <string.h>

/* Summing gradients over the slices must be cheap compared with a pass, and a slice needs enough
 * rows for efficient products. */
enum { LEAST_TOKENS = 128, MOST_WEIGHTS = 3 * 1000 * 1000 };

typedef struct Shard {
    int64_t first, last; /* sequences */
    RgTape *tape;
    RgParameters *parameters; /* the stand-in */
    RgTensor *y;
    int64_t at;   /* of its output in the whole output */
    double flops; /* not yet counted by the whole's tape */
} Shard;

typedef struct Run {
    RgPolicy *policy;
    RgForward forward;
    const RgSequences *sequences;
    bool sum;
    RgPrecision precision;
    int64_t count;
    Shard shard[RG_SLICES];
} Run;

bool rg_data_parallel_suits_sizes(int64_t weights, int64_t tokens) {
    return weights <= MOST_WEIGHTS && tokens >= RG_SLICES * LEAST_TOKENS;
}

bool rg_data_parallel_suits_batch(const RgPolicy *policy, const RgSequences *sequences) {
    return policy->type->shards && rg_data_parallel_suits_sizes(rg_policy_weights(policy)->count,
                                                                sequences->start[sequences->count]);
}

bool rg_data_parallel_suits_cut(const RgSliceCut *cut) {
    return 2 * rg_slice_cut_largest(cut) <= rg_slice_cut_tokens(cut);
}

bool rg_data_parallel_suits(const RgTape *tape, const RgPolicy *policy,
                            const RgSequences *sequences, RgSliceCut *cut) {
    bool drops = policy->drops && policy->adapter.dropout > 0; /* one stream per pass */
    if (!rg_data_parallel_suits_batch(policy, sequences) || policy->parameters->frozen || drops ||
        !rg_tape_is_recording(tape) || rg_tape_is_second_order(tape))
        return false;
    *cut = rg_slice_cut(sequences, 0, sequences->count);
    return rg_data_parallel_suits_cut(cut);
}

static RgParameters *stand_in(RgTape *tape, const RgParameters *parameters) {
    RgArena *arena = rg_tape_arena(tape);
    RgParameters *copy = rg_arena_copy(arena, parameters, sizeof *parameters);
    copy->gradient = RG_ARENA_ARRAY(arena, RgReal, parameters->count); /* zeroed by backward */
    return copy;
}

static void run_shard(Run *run, Shard *shard) {
    const RgSequences *all = run->sequences;
    RgArena *arena = rg_tape_arena(shard->tape);
    int64_t *start = RG_ARENA_ARRAY(arena, int64_t, shard->last - shard->first + 1);
    RgSequences view = rg_sequences_view(all, shard->first, shard->last, start);
    RgSequences *sequences = rg_arena_copy(arena, &view, sizeof view);
    shard->parameters = stand_in(shard->tape, run->policy->parameters);
    rg_tape_use_precision(shard->tape, run->precision);
    rg_tape_count_onto(shard->tape, &shard->flops);
    shard->y = run->forward(run->policy, shard->tape, shard->parameters, sequences);
}

static void back_shard(const Run *run, const Shard *shard, const RgTensor *dy) {
    const RgParameters *p = shard->parameters;
    memset(p->gradient, 0, sizeof *p->gradient * (size_t)p->count);
    const RgReal *part = run->sum ? dy->data : dy->data + shard->at;
    rg_backward_from(shard->tape, shard->y, rg_constant(shard->tape, shard->y->shape, part));
}

/* Adds the slices' FLOPs to the counter of `tape` when all are done, in their order. The profile
 * has counted them already. */
static void count_flops(RgTape *tape, Run *run) {
    bool held = rg_profile_hold(true);
    for (int i = 0; i < run->count; i++) {
        rg_tape_count_flops(tape, run->shard[i].flops);
        run->shard[i].flops = 0;
    }
    rg_profile_hold(held);
}

/* Sums the numbers [first, last) in the slices' order. */
static void add_up(const Run *run, int64_t first, int64_t last) {
    enum { AT_ONCE = 2048 }; /* fits in the cache */
    for (int64_t at = first; at < last; at += AT_ONCE) {
        RgReal *sum = run->policy->parameters->gradient + at;
        int64_t count = last - at < AT_ONCE ? last - at : AT_ONCE;
        for (int s = 0; s < run->count; s++)
            rg_axpy(count, 1, run->shard[s].parameters->gradient + at, sum);
    }
}

/* With a profile, whose timer follows one thread only, slices run one after another and the threads
 * share the operators. */
static bool side_by_side(void) {
    return !rg_profile_is_running();
}

static void shards_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    Run *run = y->attributes;
    bool apart = side_by_side();
    RG_FOR_TASKS(run->count, apart, back_shard(run, &run->shard[task], dy));
    count_flops(t, run);
    int64_t n = run->policy->parameters->count;
    RG_FOR_PIECES(n, rg_spread(n, RG_LEAST_NUMBERS), add_up(run, first, last));
}

static const RgOperator shards_operator = {
    .name = "shards", .backward = shards_backward, .fused = true};

/* The outputs in a row, or their sum. */
static RgTensor *gather(RgTape *tape, Run *run) {
    int64_t count = 0;
    for (int i = 0; i < run->count; i++) {
        run->shard[i].at = count;
        count += run->shard[i].y->count;
    }
    if (run->sum) {
        RgTensor *y = rg_scalar(tape, 0);
        for (int i = 0; i < run->count; i++)
            y->data[0] += run->shard[i].y->data[0];
        return y;
    }
    RgTensor *y = rg_tensor_new(tape, RG_SHAPE(count));
    for (int i = 0; i < run->count; i++) {
        const RgTensor *part = run->shard[i].y;
        memcpy(y->data + run->shard[i].at, part->data, sizeof *y->data * (size_t)part->count);
    }
    return y;
}

RgTensor *rg_data_parallel_run(RgTape *tape, RgPolicy *policy, RgForward forward,
                               const RgSequences *sequences, const RgSliceCut *cut, bool sum) {
    Run *run = rg_arena_allocate_zeroed(rg_tape_arena(tape), sizeof *run);
    *run = (Run){.policy = policy,
                 .forward = forward,
                 .sequences = sequences,
                 .sum = sum,
                 .precision = rg_tape_precision(tape),
                 .count = cut->count};
    for (int i = 0; i < run->count; i++)
        run->shard[i] =
            (Shard){.first = cut->first[i], .last = cut->first[i + 1], .tape = rg_tape_child(tape)};
    bool apart = side_by_side();
    RG_FOR_TASKS(run->count, apart, run_shard(run, &run->shard[task]));
    count_flops(tape, run);
    RgTensor *y = gather(tape, run);
    RgTensor *input = rg_parameter(tape, policy->parameters, 0); /* y depends on all views */
    return rg_record(tape, &shards_operator, y, &input, 1, run);
}
