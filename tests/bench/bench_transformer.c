/* Tokens and floating-point operations per second of a transformer's training step (forward and
 * backward of a batch's log-probabilities) and of its sampling, on one thread and on two. */
#include "core/policy/transformer.h"
#include "core/tensor/blas.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Case {
    const char *name;
    RgTransformerOptions options;
    int64_t vocabulary, sequences, prompt, response, samples;
} Case;

static const Case cases[] = {
    {.name = "4 layers, width 128, 4 heads, vocabulary 512",
     .options = {.layers = 4, .width = 128, .heads = 4, .context = 128},
     .vocabulary = 512,
     .sequences = 16,
     .prompt = 64,
     .response = 64,
     .samples = 128},
    {.name = "4 layers, width 160, 5 heads, vocabulary 1024",
     .options = {.layers = 4, .width = 160, .heads = 5, .context = 128},
     .vocabulary = 1024,
     .sequences = 32,
     .prompt = 40,
     .response = 60,
     .samples = 128},
};

static RgPolicy *policy_of(const Case *c) {
    RgTransformerOptions options = c->options;
    options.tied = true;
    options.rope_base = 10000;
    options.rope_pairing = RG_ROPE_HALVES;
    options.norm_epsilon = 1e-5;
    RgPolicy *policy;
    RgError error = {0};
    if (rg_transformer_create(&options, c->vocabulary, &policy, &error) != RG_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.02, rg_random_root(1));
    return policy;
}

/* Pairs that share a prompt; or, with no response, prompts that are all different. */
static RgSequences *sequences_of(const Case *c, int64_t count, int64_t response) {
    RgSequences *s = rg_sequences_create();
    int32_t *tokens = rg_allocate(sizeof *tokens * (size_t)(c->prompt + response + 1));
    for (int64_t i = 0; i < count; i++) {
        int64_t prompt = response ? i / 2 : i;
        RgRandom of_prompt = rg_random_at(rg_random_root(2), (uint64_t)prompt);
        RgRandom of_response = rg_random_at(rg_random_root(3), (uint64_t)i);
        for (int64_t j = 0; j < c->prompt + response; j++)
            tokens[j] = (int32_t)rg_random_below(j < c->prompt ? of_prompt : of_response,
                                                 (uint64_t)j, c->vocabulary);
        rg_sequences_append(s, tokens, c->prompt, tokens + c->prompt, response);
    }
    free(tokens);
    return s;
}

static void train_step(RgTape *tape, RgPolicy *policy, const RgSequences *s) {
    rg_backward(tape, rg_sum(tape, rg_policy_logprob(tape, policy, s)), 1);
    rg_tape_reset(tape);
}

static void print_rate(const char *what, double tokens, double flops, double seconds) {
    printf("  %-8s %d thread%s %9.0f tokens/s %7.1f GFLOP/s\n", what, rg_threads(),
           rg_threads() == 1 ? ", " : "s,", tokens / seconds, flops / seconds / 1e9);
}

/* The fastest of a few rounds: what else the machine does only makes them slower. */
static void bench_train(const Case *c, RgPolicy *policy) {
    enum { ROUNDS = 5, STEPS = 4 };
    RgSequences *s = sequences_of(c, c->sequences, c->response);
    RgTape *tape = rg_tape_create();
    train_step(tape, policy, s);
    double best = 1e30, flops = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double before = policy->flops, start = rg_clock_seconds();
        for (int step = 0; step < STEPS; step++)
            train_step(tape, policy, s);
        double seconds = rg_clock_seconds() - start;
        best = seconds < best ? seconds : best;
        flops = policy->flops - before;
    }
    print_rate("training", (double)(STEPS * s->start[s->count]), flops, best);
    rg_tape_destroy(tape);
    rg_sequences_destroy(s);
}

static void bench_sample(const Case *c, RgPolicy *policy) {
    enum { ROUNDS = 3 };
    RgSequences *prompts = sequences_of(c, c->samples, 0), *out = rg_sequences_create();
    RgSampling sampling = {
        .temperature = 1, .top_p = 1, .response_limit = c->response, .end_token = -1};
    double best = 1e30, flops = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double before = policy->flops, start = rg_clock_seconds();
        rg_policy_sample(policy, prompts, 1, &sampling, rg_random_root(3), out);
        double seconds = rg_clock_seconds() - start;
        best = seconds < best ? seconds : best;
        flops = policy->flops - before;
    }
    print_rate("sampling", (double)rg_sequences_response_tokens(out), flops, best);
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
}

int main(void) {
    printf("BLAS kernels: %s\n", rg_blas_core());
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RgPolicy *policy = policy_of(&cases[i]);
        printf("%s, %lld parameters, %lld sequences of %lld + %lld tokens\n", cases[i].name,
               (long long)policy->parameters->count, (long long)cases[i].sequences,
               (long long)cases[i].prompt, (long long)cases[i].response);
        for (int threads = 1; threads <= 2; threads++) {
            rg_threads_set(threads);
            bench_train(&cases[i], policy);
            bench_sample(&cases[i], policy);
        }
        rg_policy_destroy(policy);
    }
    return 0;
}
