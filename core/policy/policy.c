/* SPDX-License-Identifier: MIT */
/* What all kinds of policy share: creation, cloning, values without derivatives, sampling, checks.
 * policy_file.c reads and writes files of weights. */
#include "core/policy/policy.h"

#include "core/policy/data_parallel.h"
#include "core/task/task.h"
#include "core/tensor/parallel.h"
#include "core/tensor/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- log-probabilities and features ---- */

/* In the precision of training. If outputs are scalars of slices, `sum` requests their sum. */
static RgTensor *run_trained(RgTape *tape, RgPolicy *policy, RgForward forward,
                             const RgSequences *sequences, bool sum) {
    RgPrecision before = rg_tape_use_precision(tape, policy->precision);
    RgSliceCut cut;
    RgTensor *y = rg_data_parallel_suits(tape, policy, sequences, &cut)
                      ? rg_data_parallel_run(tape, policy, forward, sequences, &cut, sum)
                      : forward(policy, tape, policy->parameters, sequences);
    rg_tape_use_precision(tape, before);
    return y;
}

RgTensor *rg_policy_run(RgTape *tape, RgPolicy *policy, RgForward forward,
                        const RgSequences *sequences) {
    return run_trained(tape, policy, forward, sequences, false);
}

RgTensor *rg_policy_logprob(RgTape *tape, RgPolicy *policy, const RgSequences *sequences) {
    return run_trained(tape, policy, policy->type->logprob, sequences, false);
}

RgTensor *rg_policy_log_likelihood(RgTape *tape, RgPolicy *policy, const RgSequences *sequences) {
    if (policy->type->log_likelihood)
        return run_trained(tape, policy, policy->type->log_likelihood, sequences, true);
    return rg_sum(tape, rg_policy_logprob(tape, policy, sequences));
}

RgTensor *rg_policy_step_logprob(RgTape *tape, RgPolicy *policy, const RgSequences *sequences) {
    return run_trained(tape, policy, policy->type->step_logprob, sequences, false);
}

/* One tape per thread, without recording. A policy and its clones share them, as they run one after
 * another. */
typedef struct RgTapes {
    RgTape **tape;
    int count;
} RgTapes;

static void make_tapes(RgPolicy *policy, int count) {
    RgTapes *tapes = policy->tapes;
    if (tapes->count >= count)
        return;
    tapes->tape = rg_reallocate(tapes->tape, (size_t)count, sizeof(RgTape *));
    for (; tapes->count < count; tapes->count++) {
        tapes->tape[tapes->count] = rg_tape_create();
        rg_tape_record(tapes->tape[tapes->count], false);
    }
}

static void destroy_tapes(RgTapes *tapes) {
    for (int i = 0; i < tapes->count; i++)
        rg_tape_destroy(tapes->tape[i]);
    free(tapes->tape);
    free(tapes);
}

/* Outputs of a pass for sequences [first, last), and its FLOPs. */
static void run_part(RgPolicy *policy, RgTape *tape, RgForward forward,
                     const RgSequences *sequences, int64_t first, int64_t last, RgReal *out,
                     double *flops) {
    rg_tape_count_onto(tape, flops);
    RgSequences view = rg_sequences_view(
        sequences, first, last, RG_ARENA_ARRAY(rg_tape_arena(tape), int64_t, last - first + 1));
    const RgTensor *y = forward(policy, tape, policy->parameters, &view);
    memcpy(out, y->data, (size_t)y->count * sizeof *out);
    rg_tape_reset(tape);
    rg_tape_count_onto(tape, NULL);
}

static void count_flops(const RgPolicy *policy, double flops) {
    if (policy->flops)
        *policy->flops += flops;
}

/* Parts of a batch. Each is one pass, which limits the memory. */
typedef struct Parts {
    int64_t *first; /* [count + 1] sequences */
    int64_t count;
    bool apart; /* threads take separate parts; else all share the operators of each part */
} Parts;

int64_t rg_values_at_once(int64_t longest) {
    const int64_t most = 64, tokens = 8192;
    int64_t fit = longest > 0 ? tokens / longest / 2 * 2 : most;
    return fit < 2 ? 2 : fit > most ? most : fit;
}

static void part_by_count(Parts *parts, const RgSequences *sequences) {
    int64_t n = sequences->count, longest = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t tokens = rg_sequence_length(sequences, i);
        longest = tokens > longest ? tokens : longest;
    }
    int64_t at_once = rg_values_at_once(longest);
    parts->count = (n + at_once - 1) / at_once;
    for (int64_t i = 0; i < parts->count; i++)
        parts->first[i] = i * at_once;
}

/* Cuts with about as many sequences as slices hold. */
static void part_by_tokens(Parts *parts, const RgSequences *sequences) {
    enum { CUT_AT_ONCE = RG_SLICES * RG_VALUES_OF_A_THREAD };
    int64_t n = sequences->count, tokens = 0, largest = 0;
    for (int64_t first = 0; first < n; first += CUT_AT_ONCE) {
        int64_t last = first + CUT_AT_ONCE < n ? first + CUT_AT_ONCE : n;
        RgSliceCut cut = rg_slice_cut(sequences, first, last);
        for (int64_t i = 0; i < cut.count; i++)
            parts->first[parts->count++] = cut.first[i];
        int64_t most = rg_slice_cut_largest(&cut);
        largest = most > largest ? most : largest;
        tokens += rg_slice_cut_tokens(&cut);
    }
    parts->apart = 2 * largest <= tokens;
}

/* In a small model threads take separate parts. No value depends on its neighbours. */
static Parts parts_of(const RgPolicy *policy, const RgSequences *sequences) {
    int64_t n = sequences->count;
    Parts parts = {.first = rg_allocate(n + 1, sizeof *parts.first)};
    if (!rg_profile_is_running() && rg_data_parallel_suits_batch(policy, sequences))
        part_by_tokens(&parts, sequences);
    else
        part_by_count(&parts, sequences);
    parts.first[parts.count] = n;
    return parts;
}

/* Not recorded. The numbers of sequence i go to out + at[i]. */
static void run_values(RgPolicy *policy, RgPrecision precision, RgForward forward,
                       const RgSequences *sequences, const int64_t *at, RgReal *out) {
    Parts parts = parts_of(policy, sequences);
    make_tapes(policy, parts.apart ? rg_threads() : 1);
    double *flops = rg_allocate((size_t)(parts.count + 1), sizeof *flops); /* of each part */
    RG_FOR_TASKS(parts.count, parts.apart, {
        RgTape *tape = policy->tapes->tape[parts.apart ? rg_thread_number() : 0];
        int64_t first = parts.first[task];
        rg_tape_use_precision(tape, precision);
        run_part(policy, tape, forward, sequences, first, parts.first[task + 1], out + at[first],
                 &flops[task]);
    });
    for (int64_t i = 0; i < parts.count; i++)
        count_flops(policy, flops[i]);
    free(flops);
    free(parts.first);
}

/* `width` numbers of each sequence. */
static void run_rows(RgPolicy *policy, RgPrecision precision, RgForward forward,
                     const RgSequences *sequences, int64_t width, RgReal *out) {
    int64_t n = sequences->count, *at = rg_allocate(n + 1, sizeof *at);
    for (int64_t i = 0; i < n; i++)
        at[i] = i * width;
    run_values(policy, precision, forward, sequences, at, out);
    free(at);
}

/* `width` numbers of each step, in the precision of training. */
static void run_steps(RgPolicy *policy, RgForward forward, const RgSequences *sequences,
                      int64_t width, RgReal *out) {
    int64_t n = sequences->count, *at = rg_allocate(n + 1, sizeof *at);
    for (int64_t i = 0; i < n; i++)
        at[i + 1] = at[i] + width * rg_policy_steps(policy, sequences, i);
    run_values(policy, policy->precision, forward, sequences, at, out);
    free(at);
}

void rg_policy_run_values(RgPolicy *policy, RgForward forward, const RgSequences *sequences,
                          int64_t width, RgReal *out) {
    run_rows(policy, RG_PRECISION_FP32, forward, sequences, width, out);
}

static RgReal *numbers(int64_t count) {
    return rg_allocate(count, sizeof(RgReal));
}

/* Converts to double and frees `from`. */
static void take_numbers(RgReal *from, int64_t count, double *to) {
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i];
    free(from);
}

static void logprob_values(RgPolicy *policy, RgPrecision precision, const RgSequences *sequences,
                           double *logprob) {
    RgReal *value = numbers(sequences->count);
    run_rows(policy, precision, policy->type->logprob, sequences, 1, value);
    take_numbers(value, sequences->count, logprob);
}

void rg_policy_logprob_values(RgPolicy *policy, const RgSequences *sequences, double *logprob) {
    logprob_values(policy, RG_PRECISION_FP32, sequences, logprob);
}

void rg_policy_training_values(RgPolicy *policy, const RgSequences *sequences, double *logprob) {
    logprob_values(policy, policy->precision, sequences, logprob);
}

void rg_policy_step_values(RgPolicy *policy, const RgSequences *sequences, double *logprob) {
    int64_t steps = 0;
    for (int64_t i = 0; i < sequences->count; i++)
        steps += rg_policy_steps(policy, sequences, i);
    RgReal *value = numbers(steps);
    run_steps(policy, policy->type->step_logprob, sequences, 1, value);
    take_numbers(value, steps, logprob);
}

void rg_policy_state_values(RgPolicy *policy, const RgSequences *sequences, RgReal *features) {
    run_steps(policy, policy->type->state_features, sequences,
              policy->type->state_feature_count(policy), features);
}

int64_t rg_policy_steps(const RgPolicy *policy, const RgSequences *sequences, int64_t i) {
    int64_t words = policy->type->words_per_token ? policy->type->words_per_token(policy) : 1;
    return rg_sequence_response_length(sequences, i) / words;
}

/* Computes pair `pair`, on the tape of the current thread. */
static void run_pair(RgPolicy *policy, const RgSequences *sequences, int64_t pair,
                     RgPairValues *values) {
    RgTape *tape = policy->tapes->tape[rg_thread_number()];
    RgReal logprob[2];
    rg_tape_use_precision(tape, policy->precision);
    values->flops = 0;
    run_part(policy, tape, policy->type->logprob, sequences, 2 * pair, 2 * pair + 2, logprob,
             &values->flops);
    for (int i = 0; i < 2; i++)
        values->logprob[i] = logprob[i];
}

void rg_policy_pair_values(RgPolicy *policy, const RgSequences *sequences, RgPairValues *values) {
    int64_t count = sequences->count / 2;
    double start = rg_clock_seconds(), flops = 0;
    make_tapes(policy, rg_threads());
    rg_profile_lap("other", false);
    bool held = rg_profile_hold(true); /* it follows one thread only */
    RG_FOR_TASKS(count, count > 1, run_pair(policy, sequences, task, &values[task]));
    rg_profile_hold(held);
    for (int64_t i = 0; i < count; i++)
        flops += values[i].flops;
    rg_profile_flops(flops);
    rg_profile_lap("log-probabilities of pairs", false);
    double seconds = rg_clock_seconds() - start;
    for (int64_t i = 0; i < count; i++)
        values[i].seconds = flops > 0 ? seconds * values[i].flops / flops : 0;
}

void rg_policy_features(RgPolicy *policy, const RgSequences *sequences, double *features) {
    int64_t width = rg_policy_feature_count(policy), count = sequences->count * width;
    RgReal *value = numbers(count);
    run_rows(policy, RG_PRECISION_FP32, policy->type->features, sequences, width, value);
    take_numbers(value, count, features);
}

int64_t rg_policy_feature_count(const RgPolicy *policy) {
    return policy->type->feature_count(policy);
}

/* ---- the digest ---- */

static RgDigest digest_text(RgDigest digest, const char *text) {
    return rg_digest(digest, text, strlen(text));
}

/* Digests pieces on any thread, then the pieces' digests. */
static RgDigest digest_bytes(RgDigest digest, const void *bytes, size_t size) {
    RgDigest piece_digest[RG_PIECES_MOST] = {{{0}}};
    int64_t n = (int64_t)size;
    RG_FOR_PIECES(n, rg_pieces(n, RG_LEAST_NUMBERS),
                  piece_digest[piece] =
                      rg_digest(digest, (const char *)bytes + first, (size_t)(last - first)));
    return rg_digest(digest, piece_digest, sizeof piece_digest);
}

static RgDigest digest_parameters(RgDigest digest, const RgParameters *p) {
    int64_t rounded = 0;
    for (int i = 0; i < p->view_count; i++)
        rounded += p->views[i].rounded ? p->views[i].count : 0;
    digest = digest_bytes(digest, p->value, sizeof *p->value * (size_t)(p->count - rounded));
    return digest_bytes(digest, p->rounded, sizeof *p->rounded * (size_t)rounded);
}

RgDigest rg_policy_digest(const RgPolicy *policy) {
    char *description = policy->type->describe(policy);
    char *numbers = rg_string_format("%zu-byte reals, %s", sizeof(RgReal),
                                     rg_precision_names[policy->precision]);
    RgDigest digest = digest_text(RG_DIGEST_START, policy->type->about.name);
    digest = digest_text(digest, description);
    digest = digest_text(digest, numbers);
    digest = digest_parameters(digest, policy->parameters);
    if (policy->base) {
        char *adapter = rg_string_format("adapter %lld %.17g %x", (long long)policy->adapter.rank,
                                         policy->adapter.scale, (unsigned)policy->adapter.targets);
        digest = digest_parameters(digest_text(digest, adapter), policy->base);
        free(adapter);
    }
    free(numbers);
    free(description);
    return digest;
}

/* ---- sampling ---- */

/* The first of rank q's prompts. It is never among copies of one prompt, which is read once for
 * all. */
static int64_t run_start(const RgSequences *prompts, int64_t q, int64_t size) {
    int64_t at = prompts->count * q / size;
    while (at > 0 && at < prompts->count && rg_sequences_same_prompt(prompts, at - 1, at))
        at++;
    return at;
}

/* `each` bytes per prompt. */
static void gather_runs(RgProcessGroup *process_group, const int64_t *start, void *whole,
                        size_t each) {
    size_t *part = rg_allocate((size_t)process_group->size + 1, sizeof *part);
    for (int q = 0; q <= process_group->size; q++)
        part[q] = (size_t)start[q] * each;
    rg_process_group_gather_parts(process_group, whole, part);
    free(part);
}

/* Calls the kind's `sample` for a run of the prompts on each rank. */
static double sample_shared(RgPolicy *policy, const RgSequences *prompts,
                            const RgSampling *sampling, RgRandom random, int32_t *tokens,
                            int64_t *length, double *logprob) {
    RgProcessGroup *process_group = sampling->process_group;
    int64_t size = rg_process_group_size(process_group),
            rank = rg_process_group_rank(process_group), limit = sampling->response_limit;
    if (size == 1)
        return policy->type->sample(policy, prompts, sampling, random, tokens, length, logprob);
    int64_t *start = rg_allocate(size + 1, sizeof *start);
    double *flops = rg_allocate(size, sizeof *flops), sum = 0;
    for (int64_t q = 0; q <= size; q++)
        start[q] = run_start(prompts, q, size);
    int64_t first = start[rank], count = start[rank + 1] - first;
    int64_t *token = rg_allocate(count + 1, sizeof *token);
    RgSequences own = rg_sequences_view(prompts, first, first + count, token);
    RgSampling part = *sampling;
    part.first += first;
    if (count > 0)
        flops[rank] = policy->type->sample(policy, &own, &part, random, tokens + first * limit,
                                           length + first, logprob + first);
    gather_runs(process_group, start, tokens, (size_t)limit * sizeof *tokens);
    gather_runs(process_group, start, length, sizeof *length);
    gather_runs(process_group, start, logprob, sizeof *logprob);
    rg_process_group_gather(process_group, flops, sizeof *flops);
    for (int64_t q = 0; q < size; q++)
        sum += flops[q];
    free(token);
    free(flops);
    free(start);
    return sum;
}

/* Log-probabilities of sampled responses from the sampler, or for a bf16 sampler, whose weights
 * differ, from another pass. */
static void policy_logprob(RgPolicy *policy, const RgSampling *sampling,
                           const RgSequences *sequences, const double *sampler, double *logprob) {
    int64_t n = sequences->count;
    if (policy->sampling == RG_PRECISION_FP32) {
        memcpy(logprob, sampler, (size_t)n * sizeof *logprob);
        return;
    }
    rg_policy_logprob_values(policy, sequences, logprob);
    RgSamplerDifference *difference = sampling->difference;
    for (int64_t i = 0; difference && i < n; i++) {
        difference->sum += sampler[i] - logprob[i];
        difference->absolute += fabs(sampler[i] - logprob[i]);
    }
    if (difference)
        difference->responses += n;
}

void rg_policy_sample(RgPolicy *policy, const RgSequences *prompts, int64_t copies,
                      const RgSampling *sampling, RgRandom random, RgSequences *out,
                      double *logprob) {
    RG_ASSERT(copies > 0 && sampling->response_limit > 0 && out != prompts);
    int64_t n = prompts->count * copies, limit = sampling->response_limit;
    RgSequences *repeated = rg_sequences_create();
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append_from(repeated, prompts, i / copies, true);

    int32_t *tokens = rg_allocate(n * limit, sizeof *tokens);
    int64_t *length = rg_allocate(n, sizeof *length);
    double *sum = rg_allocate(n, sizeof *sum);
    rg_profile_lap("other", false);
    double flops = sample_shared(policy, repeated, sampling, random, tokens, length, sum);
    count_flops(policy, flops);
    rg_profile_flops(flops);
    rg_profile_lap("sampling", false);

    rg_sequences_clear(out);
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append(out, rg_sequence_prompt(repeated, i), repeated->prompt_length[i],
                            tokens + i * limit, length[i]);
    if (logprob && n > 0)
        policy_logprob(policy, sampling, out, sum, logprob);
    free(sum);
    free(length);
    free(tokens);
    rg_sequences_destroy(repeated);
}

/* ---- life ---- */

RgPolicy *rg_policy_new(const RgPolicyType *type) {
    RgPolicy *policy = rg_allocate(1, sizeof *policy);
    policy->type = type;
    policy->parameters = rg_parameters_create();
    policy->tapes = rg_allocate(1, sizeof *policy->tapes);
    return policy;
}

void rg_policy_allocate(RgPolicy *policy) {
    rg_parameters_allocate(policy->parameters);
    if (policy->type->allocate)
        policy->type->allocate(policy);
}

void rg_policy_destroy(RgPolicy *policy) {
    if (!policy)
        return;
    if (policy->state && !policy->shares_state)
        policy->type->destroy(policy);
    if (!policy->shares_state)
        destroy_tapes(policy->tapes);
    rg_parameters_destroy(policy->parameters);
    free(policy);
}

RgPolicy *rg_policy_clone(const RgPolicy *policy, bool frozen) {
    RgPolicy *clone = rg_allocate(1, sizeof *clone);
    clone->type = policy->type;
    clone->parameters = rg_parameters_clone(policy->parameters, frozen);
    clone->base = policy->base;
    clone->adapter = policy->adapter;
    clone->recompute = policy->recompute;
    clone->state = policy->state;
    clone->tapes = policy->tapes;
    clone->shares_state = true;
    clone->precision = policy->precision;
    clone->sampling = policy->sampling;
    return clone;
}

const RgParameters *rg_policy_weights(const RgPolicy *policy) {
    return policy->base ? policy->base : policy->parameters;
}

void rg_policy_drop(RgPolicy *policy, const RgRandom *stream) {
    policy->drops = stream != NULL;
    policy->drop_pass = 0;
    if (stream)
        policy->drop = *stream;
}

/* Refuses a precision other than fp32 if the kind does not support it; `does` is the verb. */
static RgStatus check_kind(const RgPolicyType *type, bool takes, RgPrecision precision,
                           const char *does, RgError *error) {
    return !type || takes || precision == RG_PRECISION_FP32
               ? RG_OK
               : rg_fail(error, RG_E_USAGE, "a %s policy %s fp32 only", type->about.name, does);
}

RgStatus rg_policy_check_precision(const RgPolicyType *type, RgPrecision precision,
                                   RgError *error) {
    RG_TRY(check_kind(type, type && type->takes_precision, precision, "supports", error));
    return rg_precision_check(precision, error);
}

RgStatus rg_policy_set_precision(RgPolicy *policy, RgPrecision precision, RgError *error) {
    RG_TRY(rg_policy_check_precision(policy->type, precision, error));
    policy->precision = precision;
    return RG_OK;
}

RgStatus rg_policy_check_sampling(const RgPolicyType *type, RgPrecision precision, RgError *error) {
    return check_kind(type, type && type->takes_storage, precision, "samples in", error);
}

RgStatus rg_policy_set_sampling(RgPolicy *policy, RgPrecision precision, RgError *error) {
    RG_TRY(rg_policy_check_sampling(policy->type, precision, error));
    policy->sampling = precision;
    return RG_OK;
}

RgStatus rg_policy_check_storage(const RgPolicyType *type, RgPrecision storage, RgError *error) {
    return check_kind(type, type && type->takes_storage, storage, "is stored in", error);
}

RgStatus rg_policy_store(RgPolicy *policy, RgPrecision storage, RgError *error) {
    RG_TRY(rg_policy_check_storage(policy->type, storage, error));
    if (storage == RG_PRECISION_BF16)
        rg_parameters_round(policy->parameters);
    return RG_OK;
}

RgStatus rg_policy_create(const char *kind, const RgSettings *settings, const char *path,
                          const RgPolicySpace *space, RgRandom random, RgPolicy **policy,
                          RgError *error) {
    *policy = NULL;
    const RgPolicyType *type = rg_policy_type(kind);
    if (!type)
        return rg_refuse_name(RG_POLICY, kind, error);
    RG_TRY(rg_policy_type_check(type, error));
    void *options = rg_allocate(1, type->about.options_size);
    RgPolicy *new = rg_policy_new(type);
    RgStatus status = rg_options_read(type->about.options, settings, path, options, error);
    const char *before = rg_memory_for(path);
    if (status == RG_OK)
        status = type->create(new, options, space, random, error);
    rg_memory_for(before);
    free(options);
    if (status != RG_OK) {
        rg_policy_destroy(new);
        return status;
    }
    *policy = new;
    return RG_OK;
}

RgStatus rg_policy_use_simulator(RgPolicy *policy, const RgSimulator *simulator, RgError *error) {
    if (!policy->type->use_simulator)
        return rg_fail(error, RG_E_USAGE, "a %s policy cannot act in a simulator",
                       policy->type->about.name);
    return policy->type->use_simulator(policy, simulator, error);
}

int64_t rg_policy_count_tokens(const RgPolicy *policy, const RgSequences *sequences) {
    int64_t words = policy->type->words_per_token ? policy->type->words_per_token(policy) : 1;
    return rg_sequences_response_tokens(sequences) / words;
}

/* ---- checks ---- */

RgStatus rg_policy_check_one(const RgPolicy *policy, const RgSequences *s, int64_t i,
                             const char *what, RgError *error) {
    int64_t limit = policy->type->context_limit ? policy->type->context_limit(policy) : 0;
    if (limit > 0 && rg_sequence_length(s, i) > limit)
        return rg_fail(error, RG_E_CONTEXT, "%s has %lld tokens, but the policy's context is %lld",
                       what, (long long)rg_sequence_length(s, i), (long long)limit);
    for (int64_t k = 0; k < rg_sequence_length(s, i) && policy->type->vocabulary; k++) {
        bool in_response = k >= s->prompt_length[i];
        int32_t token = s->tokens[s->start[i] + k];
        int64_t bound = policy->type->vocabulary(policy, in_response);
        if (token < 0 || token >= bound)
            return rg_fail(error, RG_E_RANGE, "%s has token %d in its %s, expected 0 to %lld", what,
                           (int)token, in_response ? "response" : "prompt", (long long)bound - 1);
    }
    return RG_OK;
}

RgStatus rg_policy_check(const RgPolicy *policy, const RgSequences *s, const char *what,
                         RgError *error) {
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < s->count && status == RG_OK; i++) {
        char name[160];
        snprintf(name, sizeof name, "%.120s: sequence %lld", what, (long long)i);
        status = rg_policy_check_one(policy, s, i, name, error);
    }
    return status;
}
