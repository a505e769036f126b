/* SPDX-License-Identifier: MIT */
/* Claims about the transformer policy in the program's precision: sampling with a cache against the
 * full pass, how tokens are drawn, features, descriptions. Its figures and derivatives are checked
 * in double_transformer.c. */
#include "core/models/hugging_face.h"
#include "core/models/transformer_decoder.h"
#include "core/policy/data_parallel.h"
#include "core/policy/token_sampler.h"
#include "core/tensor/threads.h"
#include "tests/like_gpt2.h"
#include "tests/scratch.h"

#include <math.h>

enum { VOCABULARY = 7, CONTEXT = 24, LIMIT = 8 };

static const RgTransformerOptions small = {.layers = 2,
                                           .width = 16,
                                           .heads = 4,
                                           .kv_heads = 2,
                                           .hidden = 24,
                                           .context = CONTEXT,
                                           .tied = false,
                                           .rope_base = 1000,
                                           .rope_pairing = RG_ROPE_HALVES,
                                           .norm_epsilon = 1e-5};

static RgPolicy *policy_like(const RgTransformerOptions *options, double deviation) {
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_assert_eq(rg_transformer_create(options, VOCABULARY, &policy, &error), RG_OK, "%s",
                 error.text);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, deviation, rg_random_root(9));
    return policy;
}

static RgPolicy *policy_of(double deviation) {
    return policy_like(&small, deviation);
}

static int32_t prompt_token(int64_t i, int64_t j) {
    return (int32_t)rg_random_below(rg_random_at(rg_random_root(4), (uint64_t)i), (uint64_t)j,
                                    VOCABULARY);
}

/* n prompts of 1 to 5 tokens; every third is as the one before. */
static RgSequences *prompts_of(int64_t n) {
    RgSequences *prompts = rg_sequences_create();
    for (int64_t i = 0; i < n; i++) {
        int64_t like = i % 3 == 2 ? i - 1 : i;
        int32_t tokens[5];
        for (int64_t j = 0; j < 5; j++)
            tokens[j] = prompt_token(like, j);
        rg_sequences_append(prompts, tokens, 1 + like % 5, NULL, 0);
    }
    return prompts;
}

static const RgSampling greedy = {
    .temperature = 0, .top_p = 1, .response_limit = LIMIT, .end_token = -1};
static const RgSampling plain = {
    .temperature = 1, .top_p = 1, .response_limit = LIMIT, .end_token = -1};

/* Probability of each next token after `tokens`, from full passes. */
static void next_probabilities(RgPolicy *policy, const int32_t *tokens, int64_t length,
                               double *probability) {
    RgSequences *all = rg_sequences_create();
    for (int32_t v = 0; v < VOCABULARY; v++)
        rg_sequences_append(all, tokens, length, &v, 1);
    rg_policy_logprob_values(policy, all, probability);
    for (int v = 0; v < VOCABULARY; v++)
        probability[v] = exp(probability[v]);
    rg_sequences_destroy(all);
}

static void assert_same_sequence(const RgSequences *a, int64_t i, const RgSequences *b, int64_t j) {
    cr_assert_eq(rg_sequence_length(a, i), rg_sequence_length(b, j), "sequences %d and %d", (int)i,
                 (int)j);
    cr_assert_arr_eq(a->tokens + a->start[i], b->tokens + b->start[j],
                     sizeof(int32_t) * (size_t)rg_sequence_length(a, i));
}

/* ---- sampling ---- */

static void check_greedy(RgPolicy *policy) {
    RgSequences *prompts = prompts_of(9), *out = rg_sequences_create();
    rg_policy_sample(policy, prompts, 1, &greedy, rg_random_root(1), out, NULL);
    cr_assert_eq(out->count, 9);
    for (int64_t i = 0; i < out->count; i++) {
        cr_assert_eq(rg_sequence_response_length(out, i), LIMIT);
        for (int64_t j = out->prompt_length[i]; j < rg_sequence_length(out, i); j++) {
            const int32_t *tokens = out->tokens + out->start[i];
            double probability[VOCABULARY];
            next_probabilities(policy, tokens, j, probability);
            for (int v = 0; v < VOCABULARY; v++)
                cr_assert_leq(probability[v], probability[tokens[j]] + 1e-5);
        }
    }
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    rg_policy_destroy(policy);
}

Test(transformer_sampling, greedy_takes_the_likeliest_token_of_the_full_pass) {
    check_greedy(policy_of(0.4));
}

Test(transformer_sampling, greedy_takes_the_likeliest_token_of_the_full_pass_as_gpt2) {
    RgTransformerOptions options = like_gpt2(small);
    check_greedy(policy_like(&options, 0.4));
}

/* Counts of `draws` against probabilities: Pearson's statistic over its degrees of freedom. */
static double pearson(const double *count, const double *probability, int cells, double draws) {
    double sum = 0;
    for (int c = 0; c < cells; c++)
        sum += pow(count[c] - draws * probability[c], 2) / (draws * probability[c]);
    return sum / (cells - 1);
}

Test(transformer_sampling, frequencies_of_pairs_of_tokens_are_their_probabilities) {
    enum { DRAWS = 20000, PAIRS = VOCABULARY * VOCABULARY };
    RgPolicy *policy = policy_of(0.3);
    RgSequences *prompt = rg_sequences_create(), *out = rg_sequences_create();
    rg_sequences_append(prompt, (const int32_t[]){3, 1}, 2, NULL, 0);
    RgSampling sampling = plain;
    sampling.response_limit = 2;
    rg_policy_sample(policy, prompt, DRAWS, &sampling, rg_random_root(2), out, NULL);

    double probability[PAIRS], count[PAIRS] = {0};
    for (int64_t i = 0; i < DRAWS; i++) {
        const int32_t *r = rg_sequence_response(out, i);
        count[r[0] * VOCABULARY + r[1]]++;
    }
    rg_sequences_clear(out);
    for (int32_t a = 0; a < VOCABULARY; a++)
        for (int32_t b = 0; b < VOCABULARY; b++)
            rg_sequences_append(out, (const int32_t[]){3, 1}, 2, (const int32_t[]){a, b}, 2);
    rg_policy_logprob_values(policy, out, probability);
    for (int c = 0; c < PAIRS; c++)
        probability[c] = exp(probability[c]);
    /* 48 degrees of freedom: the ratio is above 1.8 once in two thousand. */
    cr_assert_lt(pearson(count, probability, PAIRS, DRAWS), 1.8);
    rg_sequences_destroy(prompt);
    rg_sequences_destroy(out);
    rg_policy_destroy(policy);
}

Test(transformer_sampling, stops_at_the_end_token_and_at_the_context) {
    RgPolicy *policy = policy_of(0.3);
    RgSequences *prompts = prompts_of(60), *out = rg_sequences_create();
    RgSampling sampling = plain;
    sampling.end_token = 2;
    sampling.response_limit = 100;
    rg_policy_sample(policy, prompts, 1, &sampling, rg_random_root(3), out, NULL);
    int ended = 0;
    for (int64_t i = 0; i < out->count; i++) {
        int64_t length = rg_sequence_response_length(out, i);
        const int32_t *response = rg_sequence_response(out, i);
        for (int64_t j = 0; j + 1 < length; j++)
            cr_assert_neq(response[j], 2);
        if (response[length - 1] == 2)
            ended++;
        else
            cr_assert_eq(rg_sequence_length(out, i), CONTEXT);
    }
    cr_assert(ended > 20 && ended < 60, "%d ended", ended);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    rg_policy_destroy(policy);
}

/* The same numbers draw the same tokens, so that what is cut short is known from what is not. */
Test(transformer_sampling, ends_with_whichever_stop_token_comes_first) {
    static const int32_t stops[] = {4, 0};
    RgPolicy *policy = policy_of(0.3);
    RgSequences *prompts = prompts_of(60), *whole = rg_sequences_create();
    RgSequences *out = rg_sequences_create();
    RgSampling sampling = plain;
    rg_policy_sample(policy, prompts, 1, &sampling, rg_random_root(3), whole, NULL);
    sampling.end_token = 2;
    sampling.stop = (RgStopTokens){stops, 2};
    rg_policy_sample(policy, prompts, 1, &sampling, rg_random_root(3), out, NULL);
    int by[VOCABULARY] = {0};
    for (int64_t i = 0; i < out->count; i++) {
        const int32_t *all = rg_sequence_response(whole, i);
        int64_t length = 0, most = rg_sequence_response_length(whole, i);
        while (length < most && all[length] != 0 && all[length] != 2 && all[length] != 4)
            length++;
        if (length < most)
            by[all[length++]]++;
        cr_assert_eq(rg_sequence_response_length(out, i), length);
        cr_assert_arr_eq(rg_sequence_response(out, i), all, (size_t)length * sizeof *all);
    }
    cr_assert(by[0] > 0 && by[2] > 0 && by[4] > 0, "%d %d %d", by[0], by[2], by[4]);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(whole);
    rg_sequences_destroy(out);
    rg_policy_destroy(policy);
}

Test(transformer_sampling, a_prompt_as_long_as_the_context_gets_no_response) {
    RgPolicy *policy = policy_of(0.3);
    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    int32_t tokens[CONTEXT] = {0};
    rg_sequences_append(prompts, tokens, CONTEXT, NULL, 0);
    rg_sequences_append(prompts, tokens, CONTEXT - 1, NULL, 0);
    rg_policy_sample(policy, prompts, 1, &plain, rg_random_root(3), out, NULL);
    cr_assert_eq(rg_sequence_response_length(out, 0), 0);
    cr_assert_eq(rg_sequence_response_length(out, 1), 1);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    rg_policy_destroy(policy);
}

/* Every KEPT-th prompt stays; what stands between them is shorter, and the end is missing. */
Test(transformer_sampling, a_sequence_does_not_depend_on_its_neighbours) {
    enum { COUNT = 300, FEWER = 200, KEPT = 37 }; /* more than step together */
    RgPolicy *policy = policy_of(0.3);
    RgSequences *prompts = prompts_of(COUNT), *others = rg_sequences_create();
    RgSequences *out = rg_sequences_create(), *other_out = rg_sequences_create();
    RgSampling sampling = plain;
    sampling.end_token = 2;
    for (int64_t i = 0; i < FEWER; i++)
        rg_sequences_append(others, rg_sequence_prompt(prompts, i),
                            i % KEPT == 0 ? prompts->prompt_length[i] : 1, NULL, 0);
    rg_policy_sample(policy, prompts, 1, &sampling, rg_random_root(5), out, NULL);
    rg_policy_sample(policy, others, 1, &sampling, rg_random_root(5), other_out, NULL);
    for (int64_t i = 0; i < FEWER; i += KEPT)
        assert_same_sequence(out, i, other_out, i);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(others);
    rg_sequences_destroy(out);
    rg_sequences_destroy(other_out);
    rg_policy_destroy(policy);
}

/* All of the partner is the partner, and a mixture with oneself is oneself. (What lies between is
 * held against enumeration in double_losses.c.) */
Test(transformer_sampling, a_partner_is_mixed_in_token_by_token) {
    enum { COUNT = 40 };
    RgPolicy *policy = policy_of(0.3), *partner = policy_of(0.3);
    rg_parameters_fill_normal(partner->parameters, 0, 0.5, rg_random_root(77));
    RgSequences *prompts = prompts_of(COUNT), *out[4];
    const RgPolicy *beside[4] = {NULL, policy, partner, NULL};
    RgPolicy *main_policy[4] = {policy, policy, policy, partner};
    for (int k = 0; k < 4; k++) {
        RgSampling sampling = plain;
        sampling.partner = beside[k];
        sampling.partner_share = k == 1 ? 0.5 : 1;
        out[k] = rg_sequences_create();
        rg_policy_sample(main_policy[k], prompts, 1, &sampling, rg_random_root(5), out[k], NULL);
    }
    cr_assert_neq(rg_sequences_hash(out[0]), rg_sequences_hash(out[2]));
    for (int64_t i = 0; i < COUNT; i++) {
        assert_same_sequence(out[0], i, out[1], i);
        assert_same_sequence(out[2], i, out[3], i);
    }
    for (int k = 0; k < 4; k++)
        rg_sequences_destroy(out[k]);
    rg_sequences_destroy(prompts);
    rg_policy_destroy(partner);
    rg_policy_destroy(policy);
}

/* Logits after the first response token of each of `count` prompts, all read in two steps. */
static RgReal *decoded_logits(const RgPolicy *policy, const RgSequences *prompts, int64_t count) {
    enum { WIDTH = 64 };
    RgDecoderRoom room = {count, CONTEXT, count, 1, count * CONTEXT};
    RgTransformerDecoder *decoder = rg_transformer_decoder_create(policy, room);
    RgDecoderRow *rows = rg_allocate(room.rows, sizeof *rows);
    int64_t n = 0, stride = rg_transformer_decoder_stride(decoder);
    RgReal *hidden = rg_allocate(count * WIDTH, sizeof *hidden);
    RgReal *logits = rg_allocate(count * stride, sizeof *logits);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < prompts->prompt_length[i]; j++)
            rows[n++] = (RgDecoderRow){.token = rg_sequence_prompt(prompts, i)[j],
                                       .position = j,
                                       .prompt = i,
                                       .slot = -1,
                                       .prompt_length = prompts->prompt_length[i]};
    rg_transformer_decoder_read(decoder, rows, n, hidden);
    for (int64_t i = 0; i < count; i++)
        rows[i] = (RgDecoderRow){.token = (int32_t)(i % VOCABULARY),
                                 .position = prompts->prompt_length[i],
                                 .prompt = i,
                                 .slot = i,
                                 .prompt_length = prompts->prompt_length[i],
                                 .wanted = true};
    rg_transformer_decoder_read(decoder, rows, count, hidden);
    rg_transformer_decoder_logits(decoder, hidden, count, logits);
    rg_transformer_decoder_release(decoder);
    free(hidden);
    free(rows);
    return logits;
}

static void check_company(RgPrecision precision) {
    enum { MOST = 23 };
    RgPolicy *policy = policy_of(0.3);
    cr_assert_eq(rg_policy_set_sampling(policy, precision, NULL), RG_OK);
    RgSequences *prompts = prompts_of(MOST);
    RgReal *all = decoded_logits(policy, prompts, MOST);
    for (int threads = 1; threads <= 4; threads *= 2)
        for (int64_t count = 1; count <= MOST; count++) {
            rg_threads_set(threads);
            RgReal *some = decoded_logits(policy, prompts, count);
            int64_t stride = (VOCABULARY + 15) / 16 * 16;
            for (int64_t i = 0; i < count; i++)
                for (int64_t v = 0; v < VOCABULARY; v++)
                    cr_assert_eq(some[i * stride + v], all[i * stride + v]);
            free(some);
        }
    rg_threads_set(1);
    free(all);
    rg_sequences_destroy(prompts);
    rg_policy_destroy(policy);
}

Test(transformer_decoder, logits_have_the_same_bits_in_any_company_and_on_any_threads) {
    check_company(RG_PRECISION_FP32);
    check_company(RG_PRECISION_BF16);
}

/* Weights that bf16 holds: the sampler in bf16 has them whole, and only its inputs, keys and values
 * are rounded. Half a unit of the last place, 2^-9, is what each costs. */
Test(transformer_decoder, logits_in_bf16_are_near_those_in_fp32) {
    enum { COUNT = 23 };
    RgPolicy *policy = policy_of(0.3);
    RgBf16 half;
    for (int64_t i = 0; i < policy->parameters->count; i++) {
        rg_bf16_round(1, policy->parameters->value + i, &half);
        policy->parameters->value[i] = rg_bf16_number(half);
    }
    RgSequences *prompts = prompts_of(COUNT);
    RgReal *whole = decoded_logits(policy, prompts, COUNT);
    cr_assert_eq(rg_policy_set_sampling(policy, RG_PRECISION_BF16, NULL), RG_OK);
    RgReal *near = decoded_logits(policy, prompts, COUNT);
    double squares = 0, differences = 0;
    int64_t stride = (VOCABULARY + 15) / 16 * 16;
    for (int64_t i = 0; i < COUNT; i++)
        for (int64_t v = 0; v < VOCABULARY; v++) {
            double a = (double)whole[i * stride + v], b = (double)near[i * stride + v];
            squares += a * a;
            differences += (a - b) * (a - b);
        }
    double relative = sqrt(differences / squares);
    cr_assert(relative > 1e-6, "%g: nothing is rounded", relative);
    cr_assert(relative < 0.02, "%g", relative);
    free(whole);
    free(near);
    rg_sequences_destroy(prompts);
    rg_policy_destroy(policy);
}

Test(transformer_sampling, log_probabilities_of_what_is_sampled_in_bf16_are_those_in_fp32) {
    enum { COUNT = 20 };
    RgPolicy *policy = policy_of(0.3);
    cr_assert_eq(rg_policy_set_sampling(policy, RG_PRECISION_BF16, NULL), RG_OK);
    RgPolicy *clone = rg_policy_clone(policy, true);
    cr_assert_eq(clone->sampling, RG_PRECISION_BF16);
    RgSequences *prompts = prompts_of(COUNT), *out = rg_sequences_create();
    RgSampling sampling = plain;
    RgSamplerDifference difference = {0};
    sampling.difference = &difference;
    double logprob[COUNT], expected[COUNT], largest = 0;
    rg_policy_sample(clone, prompts, 1, &sampling, rg_random_root(6), out, logprob);
    rg_policy_logprob_values(policy, out, expected);
    cr_assert_arr_eq(logprob, expected, sizeof logprob);
    for (int i = 0; i < COUNT; i++)
        largest = fmax(largest, fabs(logprob[i]));
    cr_assert_eq(difference.responses, COUNT);
    cr_assert(fabs(difference.sum) <= difference.absolute);
    cr_assert(difference.absolute > 0 && difference.absolute < 0.05 * COUNT * largest, "%g",
              difference.absolute);
    rg_policy_sample(clone, prompts, 1, &sampling, rg_random_root(6), out, logprob);
    cr_assert_eq(difference.responses, 2 * COUNT);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    rg_policy_destroy(clone);
    rg_policy_destroy(policy);
}

Test(transformer_sampling, in_fp32_there_is_no_difference_to_measure) {
    RgPolicy *policy = policy_of(0.3);
    RgSequences *prompts = prompts_of(4), *out = rg_sequences_create();
    RgSampling sampling = plain;
    RgSamplerDifference difference = {0};
    sampling.difference = &difference;
    double logprob[4];
    rg_policy_sample(policy, prompts, 1, &sampling, rg_random_root(6), out, logprob);
    cr_assert_eq(difference.responses, 0);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    rg_policy_destroy(policy);
}

Test(transformer_sampling, threads_do_not_change_the_tokens) {
    RgPolicy *policy = policy_of(0.3);
    RgSequences *prompts = prompts_of(20);
    RgSequences *out[2] = {rg_sequences_create(), rg_sequences_create()};
    for (int k = 0; k < 2; k++) {
        rg_threads_set(1 + k);
        rg_policy_sample(policy, prompts, 2, &plain, rg_random_root(6), out[k], NULL);
    }
    for (int64_t i = 0; i < out[0]->count; i++)
        assert_same_sequence(out[0], i, out[1], i);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out[0]);
    rg_sequences_destroy(out[1]);
    rg_policy_destroy(policy);
}

/* The memory of the decoder before is used again: here one of more prompts, other weights and keys
 * that are not numbers. */
Test(transformer_sampling, memory_that_is_used_again_changes_nothing) {
    RgPolicy *policy = policy_of(0.3), *diverged = policy_of((double)NAN);
    RgSequences *prompts = prompts_of(20), *many = prompts_of(40);
    RgSequences *out[2] = {rg_sequences_create(), rg_sequences_create()};
    double logprob[2][40];
    for (int again = 0; again < 2; again++) {
        RgSequences *unused = rg_sequences_create();
        if (again)
            rg_policy_sample(diverged, many, 2, &plain, rg_random_root(7), unused, NULL);
        else
            rg_transformer_decoder_release(NULL);
        rg_policy_sample(policy, prompts, 2, &plain, rg_random_root(6), out[again], logprob[again]);
        rg_sequences_destroy(unused);
    }
    for (int64_t i = 0; i < out[0]->count; i++)
        assert_same_sequence(out[0], i, out[1], i);
    cr_assert_arr_eq(logprob[0], logprob[1], sizeof logprob[0]);
    rg_transformer_decoder_release(NULL);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(many);
    rg_sequences_destroy(out[0]);
    rg_sequences_destroy(out[1]);
    rg_policy_destroy(policy);
    rg_policy_destroy(diverged);
}

/* ---- drawing ---- */

static const RgReal logits[VOCABULARY] = {0, 2, 1, 2, -1, 3, -2};

/* Frequencies of each token over a grid of uniform numbers. */
static void draw_frequencies(const RgSampling *sampling, double *frequency) {
    enum { DRAWS = 10000 };
    RgTokenSampler *draw = rg_token_sampler_create(sampling, VOCABULARY);
    memset(frequency, 0, sizeof *frequency * VOCABULARY);
    for (int i = 0; i < DRAWS; i++)
        frequency[rg_token_sampler_draw(draw, logits, (i + 0.5) / DRAWS, NULL)] += 1.0 / DRAWS;
    rg_token_sampler_destroy(draw);
}

/* softmax(logits / temperature) over the tokens of `kept`, a string of their ids. */
static void check_frequencies(RgSampling sampling, const char *kept) {
    double frequency[VOCABULARY], sum = 0;
    draw_frequencies(&sampling, frequency);
    for (const char *v = kept; *v; v++)
        sum += exp((double)logits[*v - '0'] / sampling.temperature);
    for (int v = 0; v < VOCABULARY; v++) {
        bool in = strchr(kept, '0' + v) != NULL;
        double expected = in ? exp((double)logits[v] / sampling.temperature) / sum : 0;
        cr_expect_float_eq(frequency[v], expected, 2e-4, "token %d: %g, expected %g", v,
                           frequency[v], expected);
    }
}

/* Rows of a table that are remembered give the tokens and log-probabilities of the same bits. */
Test(token_sampler, a_remembered_row_is_the_row) {
    enum { ROWS = 5, ACTIONS = 7 };
    static const RgSampling all[] = {{.temperature = 1, .top_p = 1},
                                     {.temperature = 0.5, .top_p = 1},
                                     {.temperature = 1, .top_p = 0.7},
                                     {.temperature = 1, .top_k = 3, .top_p = 1},
                                     {.temperature = 1, .top_p = 1, .tokens = 5}};
    RgReal table_logits[ROWS * ACTIONS];
    for (int i = 0; i < ROWS * ACTIONS; i++)
        table_logits[i] = (RgReal)(3 * rg_random_normal(rg_random_root(6), (uint64_t)i));
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        RgTokenSampler *each = rg_token_sampler_create(&all[k], ACTIONS);
        RgTokenSampler *table = rg_token_sampler_create(&all[k], ACTIONS);
        rg_token_sampler_remember(table, ROWS);
        for (int i = 0; i < 2000; i++) {
            double uniform = rg_random_uniform(rg_random_root(7), (uint64_t)i), own, same;
            const RgReal *row = table_logits + i % ROWS * ACTIONS;
            cr_assert_eq(rg_token_sampler_draw(each, row, uniform, &own),
                         rg_token_sampler_draw_row(table, i % ROWS, row, uniform, &same));
            cr_assert_eq(own, same);
        }
        rg_token_sampler_destroy(each);
        rg_token_sampler_destroy(table);
    }
}

Test(token_sampler, temperature_scales_the_logits) {
    check_frequencies((RgSampling){.temperature = 1, .top_p = 1}, "0123456");
    check_frequencies((RgSampling){.temperature = 0.5, .top_p = 1}, "0123456");
}

Test(token_sampler, top_k_keeps_the_likeliest_and_breaks_ties_by_id) {
    check_frequencies((RgSampling){.temperature = 1, .top_k = 2, .top_p = 1}, "51");
    check_frequencies((RgSampling){.temperature = 2, .top_k = 3, .top_p = 1}, "513");
    check_frequencies((RgSampling){.temperature = 1, .top_k = 50, .top_p = 1}, "0123456");
}

Test(token_sampler, top_p_keeps_the_smallest_set_of_that_mass) {
    /* In order 5 1 3 2 0 4 6 the masses are 0.496 0.183 0.183 0.067 0.025 0.009 0.003. */
    check_frequencies((RgSampling){.temperature = 1, .top_p = 0.49}, "5");
    check_frequencies((RgSampling){.temperature = 1, .top_p = 0.6}, "51");
    check_frequencies((RgSampling){.temperature = 1, .top_p = 0.9}, "5132");
    /* Of the three likeliest, 5 and 1 have 0.79 together. */
    check_frequencies((RgSampling){.temperature = 1, .top_k = 3, .top_p = 0.75}, "51");
}

Test(token_sampler, min_p_drops_what_is_far_less_likely_than_the_likeliest) {
    /* Times the likeliest's, in order 5 1 3 2 0 4 6: 1 0.37 0.37 0.14 0.05 0.018 0.007. */
    check_frequencies((RgSampling){.temperature = 1, .top_p = 1, .min_p = 0.1}, "1235");
    check_frequencies((RgSampling){.temperature = 2, .top_p = 1, .min_p = 0.1}, "012345");
    check_frequencies((RgSampling){.temperature = 1, .top_p = 1, .min_p = 1}, "5");
    check_frequencies((RgSampling){.temperature = 1, .top_p = 0.9, .min_p = 0.2}, "513");
    check_frequencies((RgSampling){.temperature = 1, .top_k = 4, .top_p = 1, .min_p = 0.2}, "513");
}

/* A vocabulary that is padded beyond its tokenizer: here by the rows 3 to 6, of which 5 has the
 * largest logit. */
Test(token_sampler, padding_is_never_drawn_and_log_probabilities_are_over_all_rows) {
    enum { TOKENS = 3, DRAWS = 1000, WAYS = 6 };
    const RgSampling ways[WAYS] = {
        {.temperature = 1, .top_p = 1},   {.temperature = 0.5, .top_p = 1},
        {.temperature = 0, .top_p = 1},   {.temperature = 1, .top_p = 1, .top_k = 5},
        {.temperature = 1, .top_p = 0.9}, {.temperature = 1, .top_p = 1, .min_p = 0.1}};
    double all = 0, tokens = 0;
    for (int v = 0; v < VOCABULARY; v++) {
        all += exp(logits[v]);
        tokens += v < TOKENS ? exp(logits[v]) : 0;
    }
    for (int k = 0; k < WAYS; k++) {
        RgSampling sampling = ways[k];
        sampling.tokens = TOKENS;
        double frequency[VOCABULARY] = {0}, logprob;
        RgTokenSampler *draw = rg_token_sampler_create(&sampling, VOCABULARY);
        for (int i = 0; i < DRAWS; i++) {
            int32_t token = rg_token_sampler_draw(draw, logits, (i + 0.5) / DRAWS, &logprob);
            cr_assert_lt(token, TOKENS);
            cr_assert_float_eq(logprob, logits[token] - log(all), 1e-6);
            frequency[token] += 1.0 / DRAWS;
        }
        rg_token_sampler_destroy(draw);
        for (int v = 0; k == 0 && v < TOKENS; v++)
            cr_expect_float_eq(frequency[v], exp(logits[v]) / tokens, 2.0 / DRAWS);
    }
}

Test(token_sampler, temperature_zero_takes_the_first_of_the_likeliest) {
    RgSampling sampling = {.temperature = 0, .top_p = 1};
    RgTokenSampler *draw = rg_token_sampler_create(&sampling, VOCABULARY);
    const RgReal tie[VOCABULARY] = {0, 4, 1, 4, 4, 2, 0};
    cr_assert_eq(rg_token_sampler_draw(draw, tie, 0.999, NULL), 1);
    rg_token_sampler_destroy(draw);
}

Test(token_sampler, logits_that_are_not_numbers_give_token_zero) {
    const RgSampling samplings[] = {{.temperature = 0, .top_p = 1},
                                    {.temperature = 1, .top_p = 1},
                                    {.temperature = 1, .top_k = 3, .top_p = 0.5}};
    const RgReal diverged[] = {(RgReal)NAN, (RgReal)INFINITY};
    for (int i = 0; i < 6; i++) {
        RgTokenSampler *draw = rg_token_sampler_create(&samplings[i / 2], VOCABULARY);
        const RgReal row[VOCABULARY] = {diverged[i % 2], 1, 2, 3, 4, 5, 6};
        cr_expect_eq(rg_token_sampler_draw(draw, row, 0.7, NULL), 0);
        rg_token_sampler_destroy(draw);
    }
}

/* ---- features, descriptions, dimensions ---- */

Test(transformer_policy, feature_of_one_token_predicts_the_next) {
    RgPolicy *policy = policy_of(0.4);
    RgSequences *s = rg_sequences_create();
    const int32_t tokens[] = {1, 5, 4};
    rg_sequences_append(s, tokens, 2, tokens + 2, 1);
    rg_sequences_append(s, tokens, 3, NULL, 0);
    double feature[2 * 16], expected[VOCABULARY], logit[VOCABULARY], sum = 0;
    cr_assert_eq(rg_policy_feature_count(policy), 16);
    rg_policy_features(policy, s, feature);
    next_probabilities(policy, tokens, 3, expected);
    const RgParameters *p = policy->parameters;
    const RgReal *head = p->value + p->views[rg_parameters_find(p, "lm_head.weight")].offset;
    for (int v = 0; v < VOCABULARY; v++) {
        logit[v] = 0;
        for (int c = 0; c < 16; c++)
            logit[v] += feature[c] * (double)head[v * 16 + c];
        sum += exp(logit[v]);
    }
    for (int v = 0; v < VOCABULARY; v++)
        cr_assert_float_eq(exp(logit[v]) / sum, expected[v], 1e-5);
    for (int c = 0; c < 16; c++)
        cr_assert_eq(feature[16 + c], 0, "the second response is empty");
    rg_sequences_destroy(s);
    rg_policy_destroy(policy);
}

/* 8,192 tokens, between a pair and 64 sequences, and an even number. */
Test(transformer_policy, passes_without_gradient_are_cut_by_tokens) {
    static const int64_t expected[][2] = {{0, 64},   {1, 64},   {128, 64}, {129, 62},
                                          {1024, 8}, {1052, 6}, {5000, 2}, {100000, 2}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        cr_assert_eq(rg_values_at_once(expected[i][0]), expected[i][1], "%ld tokens",
                     (long)expected[i][0]);
}

Test(transformer_policy, file_brings_back_the_same_policy, .init = scratch_begin) {
    RgTransformerOptions options = like_gpt2(small);
    RgPolicy *policy = policy_like(&options, 0.4), *loaded = NULL;
    RgError error = {0};
    const char *path = scratch("policy.safetensors");
    cr_assert_eq(rg_policy_save(policy, path, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(path, &loaded, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_parameters_hash(loaded->parameters), rg_parameters_hash(policy->parameters));
    RgSequences *prompts = prompts_of(3), *s = rg_sequences_create();
    rg_policy_sample(policy, prompts, 1, &plain, rg_random_root(8), s, NULL);
    double before[3], after[3];
    rg_policy_logprob_values(policy, s, before);
    rg_policy_logprob_values(loaded, s, after);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(before[i], after[i]);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(s);
    rg_policy_destroy(loaded);
    rg_policy_destroy(policy);
}

Test(transformer_policy, dimensions_that_do_not_fit_are_refused_by_name) {
    const struct {
        int64_t width, heads, kv_heads;
        const char *named;
    } cases[] = {
        {15, 4, 2, "width"}, {12, 4, 2, "width"}, {16, 4, 3, "kv_heads"}, {16, 0, 0, "heads"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RgTransformerOptions options = small;
        options.width = cases[i].width;
        options.heads = cases[i].heads;
        options.kv_heads = cases[i].kv_heads;
        RgPolicy *policy = NULL;
        RgError error = {0};
        cr_expect_eq(rg_transformer_create(&options, VOCABULARY, &policy, &error), RG_E_RANGE);
        cr_expect(strstr(error.text, cases[i].named), "%s", error.text);
        cr_expect_null(policy);
    }
}

Test(transformer_policy, variants_that_do_not_fit_or_have_no_effect_are_refused_by_name) {
#define CASE(named, ...)                                                                           \
    {                                                                                              \
        named, {                                                                                   \
            .layers = 2, .width = 16, .heads = 4, .context = 8, .rope_base = 100,                  \
            .norm_epsilon = 1e-5, __VA_ARGS__                                                      \
        }                                                                                          \
    }
    static const struct {
        const char *named;
        RgTransformerOptions options;
    } cases[] = {
        CASE("head_size 5", .head_size = 5),
        CASE("rotary_size 6", .rotary_size = 6),
        CASE("rotary_size 3", .head_size = 8, .rotary_size = 3),
        CASE("need a rope_scaling", .rope_factor = 2),
        CASE("need a rope_scaling", .rope_amplitude = 2),
        CASE("llama3 and yarn", .rope_scaling = RG_ROPE_LINEAR, .rope_original_context = 4),
        CASE("rope_low_rotations", .rope_scaling = RG_ROPE_LLAMA3, .rope_low_rotations = 4),
        CASE("rotary_size", .positions = RG_POSITIONS_LEARNED, .rotary_size = 2),
        CASE("need a window", .full_every = 2),
        CASE("need a window", .window_rope_base = 2),
        CASE("output_norms", .output_norms = true, .norm = RG_NORM_LAYER),
        CASE("output_norms", .output_norms = true, .residual = RG_RESIDUAL_PARALLEL),
    };
#undef CASE
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RgPolicy *policy = NULL;
        RgError error = {0};
        cr_expect_eq(rg_transformer_create(&cases[i].options, VOCABULARY, &policy, &error),
                     RG_E_RANGE, "case %d", (int)i);
        cr_expect(strstr(error.text, cases[i].named), "%s", error.text);
        cr_expect_null(policy);
    }
}

/* What a config of these options makes is the model that they name, and it can be written. */
Test(transformer_policy, a_gemma_from_nothing_is_exported, .init = scratch_begin) {
    static const struct {
        const char *key, *value;
        RgSettingKind type;
    } given[] = {{"policy.width", "16", RG_SETTING_INTEGER},
                 {"policy.head_size", "6", RG_SETTING_INTEGER},
                 {"policy.query_key_norm", "true", RG_SETTING_BOOLEAN},
                 {"policy.output_norms", "true", RG_SETTING_BOOLEAN},
                 {"policy.feed_forward", "geglu", RG_SETTING_STRING},
                 {"policy.window", "5", RG_SETTING_INTEGER},
                 {"policy.full_every", "3", RG_SETTING_INTEGER},
                 {"policy.window_rope_base", "500", RG_SETTING_REAL},
                 {"policy.embedding_scale", "4", RG_SETTING_REAL},
                 {"policy.attention_scale", "0.25", RG_SETTING_REAL}};
    RgSettings *settings = rg_settings_create();
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        rg_settings_set(settings, given[i].key, given[i].type, given[i].value, "test", 1);
    RgPolicySpace space = {.vocabulary = VOCABULARY};
    RgPolicy *policy = NULL, *loaded = NULL;
    RgError error = {0};
    cr_assert_eq(rg_policy_create("transformer", settings, "policy", &space, rg_random_root(1),
                                  &policy, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(rg_hugging_face_save(policy, scratch("gemma"), &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_load(scratch("gemma"), &loaded, &error), RG_OK, "%s", error.text);
    cr_expect_eq(rg_transformer_options(loaded)->window_rope_base, 500);
    cr_expect_eq(rg_transformer_options(loaded)->embedding_scale, 4);
    cr_expect_eq(rg_parameters_hash(loaded->parameters), rg_parameters_hash(policy->parameters));
    rg_policy_destroy(loaded);
    rg_policy_destroy(policy);
    rg_settings_destroy(settings);
}

/* The sampler in bf16 has the windows, norms and caps of the others, and is near the pass. */
Test(transformer_sampling, in_bf16_is_near_the_pass_with_every_variant) {
    RgTransformerOptions options = small;
    options.head_size = 12;
    options.query_key_norm = options.output_norms = true;
    options.feed_forward = RG_FEED_FORWARD_GEGLU;
    options.window = 4;
    options.full_every = 2;
    options.embedding_scale = 2;
    options.attention_cap = 3;
    options.logit_cap = 4;
    RgPolicy *policy = policy_like(&options, 0.3);
    cr_assert_eq(rg_policy_set_sampling(policy, RG_PRECISION_BF16, NULL), RG_OK);
    RgSequences *prompts = prompts_of(20), *out = rg_sequences_create();
    RgSampling sampling = plain;
    RgSamplerDifference difference = {0};
    sampling.difference = &difference;
    rg_policy_sample(policy, prompts, 1, &sampling, rg_random_root(6), out, (double[20]){0});
    cr_assert_eq(difference.responses, 20);
    cr_assert(difference.absolute > 0 && difference.absolute / 20 < 0.3, "%g",
              difference.absolute / 20);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    rg_policy_destroy(policy);
}

Test(transformer_policy, initial_weights_follow_the_options) {
    RgSettings *settings = rg_settings_create();
    rg_settings_set(settings, "policy.width", RG_SETTING_INTEGER, "160", "test", 1);
    rg_settings_set(settings, "policy.heads", RG_SETTING_INTEGER, "5", "test", 2);
    rg_settings_set(settings, "policy.initial_deviation", RG_SETTING_REAL, "0.05", "test", 3);
    RgPolicySpace space = {.vocabulary = 64};
    RgPolicy *policy = NULL;
    RgError error = {0};
    cr_assert_eq(rg_policy_create("transformer", settings, "policy", &space, rg_random_root(1),
                                  &policy, &error),
                 RG_OK, "%s", error.text);
    cr_expect_eq(rg_transformer_options(policy)->hidden, 432, "8/3 · 160, up to a multiple of 16");
    const RgParameters *p = policy->parameters;
    for (int v = 0; v < p->view_count; v++) {
        const RgParameterView *view = &p->views[v];
        double square = 0;
        for (int64_t i = 0; i < view->count; i++)
            square += pow((double)p->value[view->offset + i], 2);
        bool onto_residual = strstr(view->name, "o_proj") || strstr(view->name, "down_proj");
        double deviation = view->rank == 1 ? 1 : onto_residual ? 0.05 / sqrt(8) : 0.05;
        cr_expect_float_eq(sqrt(square / (double)view->count), deviation, 0.05 * deviation, "%s",
                           view->name);
        cr_expect_eq(view->decays, view->rank == 2, "%s", view->name);
    }
    rg_policy_destroy(policy);
    rg_settings_destroy(settings);
}
