/* SPDX-License-Identifier: MIT */
/* Adapters: derivatives against central differences, what they are equal to (the policy below, the
 * merged weights), and that a trial with one goes on from its checkpoint with the same bits. */
#include "core/tensor/threads.h"
#include "core/tensor/vector_ops.h"
#include "tests/like_gpt2.h"
#include "tests/save_checkpoint.h"
#include "tests/scratch.h"
#include "tests/token_race.h"

#include <math.h>

static const RgAdapterOptions query_value = {
    .rank = 2, .alpha = 3, .dropout = 0, .targets = "query, value"};
static const RgAdapterOptions everywhere = {.rank = 3, .alpha = 6, .dropout = 0, .targets = "all"};
static const RgAdapterOptions dropping = {
    .rank = 2, .alpha = 3, .dropout = 0.25, .targets = "query, down"};

typedef struct Pair {
    RgPolicy *original, *policy;
    RgSequences *sequences;
} Pair;

static RgTransformerOptions gpt2(void) {
    RgTransformerOptions options = token_model;
    options.tied = true;
    return like_gpt2(options);
}

/* An adapter as it starts, or, `moved`, with numbers everywhere. */
static Pair begin(const RgTransformerOptions *model, const RgAdapterOptions *options, bool moved) {
    Pair pair = {.original = token_policy(model, 1), .sequences = rg_sequences_create()};
    RgError error = {0};
    cr_assert_eq(rg_policy_adapt(pair.original, options, rg_random_root(8), &pair.policy, &error),
                 RG_OK, "%s", error.text);
    for (int v = 0; moved && v < pair.policy->parameters->view_count; v++)
        rg_parameters_fill_normal(pair.policy->parameters, v, 0.4, rg_random_root(9));
    for (uint64_t i = 0; i < 6; i++)
        token_append(pair.sequences, i / 2, i);
    return pair;
}

static void end(Pair *pair) {
    rg_sequences_destroy(pair->sequences);
    rg_policy_destroy(pair->policy);
    rg_policy_destroy(pair->original);
}

/* ---- derivatives ---- */

/* The pass is always the first of the stream, so that what is dropped stays the same. */
static RgTensor *weighted(RgTape *t, const Pair *pair) {
    RgRandom stream = rg_random_root(21);
    rg_policy_drop(pair->policy, &stream);
    RgTensor *logprob = rg_policy_logprob(t, pair->policy, pair->sequences);
    rg_policy_drop(pair->policy, NULL);
    RgTensor *weight = rg_tensor_new(t, logprob->shape);
    for (int64_t i = 0; i < weight->count; i++)
        weight->data[i] = (RgReal)(1 + 0.3 * (double)i);
    return rg_sum(t, rg_mul(t, rg_square(t, logprob), weight));
}

static double value_at(const Pair *pair, const RgReal *v, double step) {
    RgParameters *p = pair->policy->parameters;
    rg_axpy(p->count, (RgReal)step, v, p->value);
    RgTape *t = rg_tape_create();
    double value = (double)weighted(t, pair)->data[0];
    rg_tape_destroy(t);
    rg_axpy(p->count, (RgReal)-step, v, p->value);
    return value;
}

static void check_derivatives(const RgTransformerOptions *model, const RgAdapterOptions *options,
                              bool recompute) {
    Pair pair = begin(model, options, true);
    pair.policy->recompute = recompute;
    RgParameters *p = pair.policy->parameters;
    RgReal *v = rg_allocate(p->count, sizeof *v);
    RgReal *g = rg_allocate(p->count, sizeof *g);
    RgReal *hv = rg_allocate(p->count, sizeof *hv);
    for (int64_t i = 0; i < p->count; i++)
        v[i] = (RgReal)rg_random_normal(rg_random_root(17), (uint64_t)i);

    RgTape *t = rg_tape_create();
    rg_backward(t, weighted(t, &pair), 1);
    double along = rg_dot(p->count, p->gradient, v), step = 1e-5;
    double difference = (value_at(&pair, v, step) - value_at(&pair, v, -step)) / (2 * step);
    cr_expect_float_eq(along, difference, 1e-6 * fabs(along), "%.12g and %.12g", along, difference);

    rg_tape_reset(t);
    rg_tape_second_order(t, true);
    RgHessian *hessian = rg_hessian_create(t, weighted(t, &pair), p);
    rg_hessian_gradient(hessian, g);
    for (int64_t i = 0; i < p->count; i++)
        cr_assert_float_eq(g[i], p->gradient[i], 1e-9 * (1 + fabs((double)g[i])));
    rg_hessian_product(hessian, v, hv);
    double curvature = rg_dot(p->count, v, hv);
    step = 1e-4;
    difference =
        (value_at(&pair, v, step) - 2 * value_at(&pair, v, 0) + value_at(&pair, v, -step)) /
        (step * step);
    cr_expect_float_eq(curvature, difference, 1e-5 * fabs(curvature), "%.12g and %.12g", curvature,
                       difference);
    rg_tape_destroy(t);
    free(v);
    free(g);
    free(hv);
    end(&pair);
}

Test(adapter, derivatives_are_central_differences) {
    check_derivatives(&token_model, &query_value, false);
}

Test(adapter, derivatives_are_central_differences_on_every_matrix) {
    check_derivatives(&token_model, &everywhere, false);
}

Test(adapter, derivatives_are_central_differences_as_gpt2) {
    RgTransformerOptions model = gpt2();
    check_derivatives(&model, &everywhere, false);
}

Test(adapter, derivatives_are_central_differences_with_dropout) {
    check_derivatives(&token_model, &dropping, false);
}

Test(adapter, derivatives_are_central_differences_with_layers_that_are_run_again) {
    check_derivatives(&token_model, &dropping, true);
}

/* ---- equalities ---- */

Test(adapter, starts_as_the_policy_that_it_is_put_on) {
    Pair pair = begin(&token_model, &everywhere, false);
    double own[6], original[6];
    rg_policy_logprob_values(pair.policy, pair.sequences, own);
    rg_policy_logprob_values(pair.original, pair.sequences, original);
    cr_assert_arr_eq(own, original, sizeof own);
    const RgParameters *p = pair.policy->parameters;
    for (int v = 0; v < p->view_count; v++)
        for (int64_t i = 0; i < p->views[v].count; i++) {
            double number = p->value[p->views[v].offset + i];
            double bound = v % 2 ? 0 : 1 / sqrt((double)p->views[v].size[1]);
            cr_assert_leq(fabs(number), bound);
            cr_assert(v % 2 || number != 0);
        }
    end(&pair);
}

/* One copy of the weights, which an adapter that moves does not touch. */
Test(adapter, reference_is_the_policy_without_it) {
    double before[6], after[6], moved[6];
    Pair pair = begin(&token_model, &query_value, false);
    rg_policy_logprob_values(pair.original, pair.sequences, before);
    for (int v = 0; v < pair.policy->parameters->view_count; v++)
        rg_parameters_fill_normal(pair.policy->parameters, v, 0.4, rg_random_root(9));
    rg_policy_logprob_values(pair.original, pair.sequences, after);
    rg_policy_logprob_values(pair.policy, pair.sequences, moved);
    cr_assert_arr_eq(before, after, sizeof before);
    cr_assert_gt(fabs(moved[1] - before[1]), 1e-3);
    cr_assert_eq(pair.policy->base, pair.original->parameters);
    cr_assert_null(pair.original->parameters->gradient);
    cr_assert_str_eq(pair.policy->parameters->views[0].name,
                     "model.layers.0.self_attn.q_proj.lora_A");
    cr_assert_str_eq(pair.policy->parameters->views[3].name,
                     "model.layers.0.self_attn.v_proj.lora_B");
    end(&pair);
}

static void check_merged(const RgTransformerOptions *model) {
    Pair pair = begin(model, &everywhere, true);
    RgPolicy *merged = rg_policy_merged(pair.policy);
    double own[6], theirs[6];
    rg_policy_logprob_values(pair.policy, pair.sequences, own);
    rg_policy_logprob_values(merged, pair.sequences, theirs);
    for (int i = 0; i < 6; i++)
        cr_assert_float_eq(own[i], theirs[i], 1e-10);

    RgSampling sampling = {.temperature = 1, .top_p = 1, .response_limit = 9, .end_token = -1};
    RgSequences *a = rg_sequences_create(), *b = rg_sequences_create();
    double logprob[18], rescored[18];
    rg_policy_sample(pair.policy, pair.sequences, 3, &sampling, rg_random_root(4), a, logprob);
    rg_policy_sample(merged, pair.sequences, 3, &sampling, rg_random_root(4), b, NULL);
    cr_assert_eq(rg_sequences_hash(a), rg_sequences_hash(b));
    rg_policy_logprob_values(pair.policy, a, rescored);
    for (int i = 0; i < 18; i++)
        cr_assert_float_eq(logprob[i], rescored[i], 1e-9);
    rg_sequences_destroy(a);
    rg_sequences_destroy(b);
    rg_policy_destroy(merged);
    end(&pair);
}

Test(adapter, merged_weights_give_the_same_log_probabilities_and_samples) {
    check_merged(&token_model);
}

Test(adapter, merged_weights_give_the_same_log_probabilities_and_samples_as_gpt2) {
    RgTransformerOptions model = gpt2();
    check_merged(&model);
}

Test(adapter, is_saved_as_plain_weights, .init = scratch_begin) {
    Pair pair = begin(&token_model, &everywhere, true);
    RgPolicy *loaded = NULL;
    RgError error = {0};
    double own[6], theirs[6];
    const char *path = scratch("merged.safetensors");
    cr_assert_eq(rg_policy_save(pair.policy, path, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(path, &loaded, &error), RG_OK, "%s", error.text);
    cr_assert_eq(loaded->adapter.rank, 0);
    rg_policy_logprob_values(pair.policy, pair.sequences, own);
    rg_policy_logprob_values(loaded, pair.sequences, theirs);
    for (int i = 0; i < 6; i++)
        cr_assert_float_eq(own[i], theirs[i], 1e-10);
    rg_policy_destroy(loaded);
    end(&pair);
}

/* ---- dropout ---- */

static double recorded_value(const Pair *pair) {
    RgTape *t = rg_tape_create();
    double value = rg_sum(t, rg_policy_logprob(t, pair->policy, pair->sequences))->data[0];
    rg_tape_destroy(t);
    return value;
}

Test(adapter, drops_inputs_in_training_only_and_by_its_stream) {
    Pair pair = begin(&token_model, &dropping, true);
    double plain[6], trained[6], whole = recorded_value(&pair);
    RgRandom stream = rg_random_root(1), other = rg_random_root(2);
    rg_policy_logprob_values(pair.policy, pair.sequences, plain);
    rg_policy_drop(pair.policy, &stream);
    double first = recorded_value(&pair), second = recorded_value(&pair);
    rg_policy_logprob_values(pair.policy, pair.sequences, trained);
    cr_expect_arr_eq(plain, trained, sizeof plain);
    cr_expect(first != whole && second != whole && first != second);
    rg_policy_drop(pair.policy, &other);
    cr_expect_neq(recorded_value(&pair), first);
    rg_policy_drop(pair.policy, &stream);
    rg_threads_set(1);
    cr_expect_eq(recorded_value(&pair), first);
    rg_policy_drop(pair.policy, NULL);
    cr_expect_eq(recorded_value(&pair), whole);
    end(&pair);
}

/* ---- training ---- */

static void race_begin(TokenRace *race, const char *algorithm) {
    RgTrainingOptions training = {.batch = 6, .micro_batch = 4, .temperature = 1, .top_p = 1};
    RgError error = {0};
    cr_assert_eq(token_race_begin(race, algorithm, "", &training, &dropping, &error), RG_OK, "%s",
                 error.text);
}

static void steps(TokenRace *race, int count) {
    for (int i = 0; i < count; i++)
        cr_assert(take_step(race->trainer), "%s", race->trainer->outcome.diverged);
}

Test(adapter, resumes_from_its_checkpoint_with_the_same_bits, .init = scratch_begin) {
    RgError error = {0};
    const char *path = scratch("checkpoint.safetensors");
    TokenRace race;
    race_begin(&race, "dpo");
    RgCheckpoint *checkpoint = rg_checkpoint_create();
    rg_trainer_checkpoint(race.trainer, checkpoint);
    uint64_t base = rg_parameters_hash(race.policy->base);
    steps(&race, 4);
    cr_assert_eq(save_checkpoint(checkpoint, path, "it", &error), RG_OK, "%s", error.text);
    steps(&race, 4);
    uint64_t whole = rg_parameters_hash(race.policy->parameters);
    cr_assert_eq(rg_parameters_hash(race.policy->base), base);
    rg_checkpoint_destroy(checkpoint);
    token_race_end(&race);

    race_begin(&race, "dpo");
    checkpoint = rg_checkpoint_create();
    rg_trainer_checkpoint(race.trainer, checkpoint);
    cr_assert_neq(rg_parameters_hash(race.policy->parameters), whole);
    cr_assert_eq(rg_checkpoint_load(checkpoint, path, "it", &error), RG_OK, "%s", error.text);
    steps(&race, 4);
    cr_assert_eq(rg_parameters_hash(race.policy->parameters), whole);
    rg_checkpoint_destroy(checkpoint);
    token_race_end(&race);
}

Test(adapter, learns) {
    TokenRace race;
    race_begin(&race, "sft");
    double first = step_gradient(race.trainer, 0);
    rg_parameters_zero_gradient(race.policy->parameters);
    steps(&race, 60);
    double last = step_gradient(race.trainer, 0);
    cr_assert_lt(last, first - 0.05, "from %g to %g", first, last);
    token_race_end(&race);
}

/* ---- refusals ---- */

static const char *refusal(const RgTransformerOptions *model, const char *targets) {
    static RgError error;
    RgAdapterOptions options = {.rank = 2, .alpha = 2, .targets = targets};
    RgPolicy *original = token_policy(model, 1), *policy = NULL;
    cr_assert_eq(rg_policy_adapt(original, &options, rg_random_root(1), &policy, &error),
                 RG_E_USAGE);
    cr_assert_null(policy);
    rg_policy_destroy(original);
    return error.text;
}

Test(adapter, unknown_targets_are_refused_with_the_nearest) {
    RgTransformerOptions model = gpt2();
    cr_expect(strstr(refusal(&token_model, "query, valeu"), "did you mean \"value\"?"));
    cr_expect(strstr(refusal(&token_model, ", "), "at least one"));
    cr_expect(strstr(refusal(&model, "gate"), "no gate"));
}
