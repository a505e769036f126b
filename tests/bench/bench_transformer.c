/* SPDX-License-Identifier: MIT */
/* What a transformer does per second: training steps, DPO steps, sampling, decoding of a single
 * stream, and log-probabilities of given tokens. One process measures one work on one shape, and
 * prints one JSON object; with no arguments every work is measured in turn and told as a table.
 * Peers (peer_*) do the same in other programs, and compare.py sets them against each other.
 * Weights and tokens come from formulas that a peer shares, or from what --export writes, so that
 * --check can show that both compute the same.
 *
 * A round is one step, or one batch of responses; the median of the rounds is told. What the
 * machine could do at most is bench_machine's to say. */
#include "algorithms/algorithm.h"
#include "core/models/hugging_face.h"
#include "core/models/transformer.h"
#include "core/tensor/blas.h"
#include "core/tensor/instructions.h"
#include "core/tensor/profile.h"
#include "core/tensor/threads.h"
#include "tests/bench/formula.h"
#include "tests/bench/sgemm.h"

#include <argp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECKED_STEPS = 3, MOST_ROUNDS = 100000 };

typedef struct Shape {
    const char *name;
    RgTransformerOptions options;
    int64_t vocabulary, batch;
} Shape;

static const Shape shapes[] = {
    {"S1", {.layers = 4, .width = 128, .heads = 4, .hidden = 352, .context = 128}, 512, 16},
    {"S2", {.layers = 6, .width = 288, .heads = 6, .hidden = 768, .context = 256}, 32000, 4},
    {"S3", /* GPT-2, 124 M */
     {.layers = 12,
      .width = 768,
      .heads = 12,
      .hidden = 3072,
      .context = 64,
      .positions = RG_POSITIONS_LEARNED,
      .norm = RG_NORM_LAYER,
      .feed_forward = RG_FEED_FORWARD_GELU,
      .biases = RG_BIASES_ALL},
     50257,
     4},
};

/* What one process has to do. */
typedef struct Task {
    const struct Work *work;
    const Shape *shape;
    int64_t batch; /* sequences */
    int threads;
    RgPrecision precision; /* of the products of training, or of the sampler */
    int64_t rounds;        /* at least so many … */
    double seconds;        /* … and at least so long */
    bool check;
    const char *export; /* a folder for the policy, in Hugging Face's layout; nothing is measured */
    bool beside;        /* what BLAS reaches is measured between the rounds */
    bool profile;       /* where the time of the rounds goes is told, to standard error */
} Task;

/* A work under way: what its rounds need. */
typedef struct Bench {
    RgPolicy *policy;
    RgOptimizer *optimizer;
    RgTape *tape;
    double flops;           /* so far, by the operators' own count */
    RgSequences *sequences; /* to train on; or the prompts */
    RgSequences *drawn;
    double *reference; /* [sequences] log-probabilities; of scoring, the policy's own */
    double temperature;
} Bench;

typedef enum Kind { TRAINS, DRAWS, SCORES } Kind;

typedef struct Work {
    const char *name;
    void (*start)(const Task *task, Bench *bench);
    double (*round)(Bench *bench); /* the loss, if there is one */
    int64_t (*tokens)(const Task *task);
    Kind kind;
} Work;

/* ---- weights and tokens by formula ---- */

/* Matrices of variance 1/columns, so that every part of the model has a say in the loss; norms'
 * weights around 1, biases around 0. */
static void fill_by_formula(RgParameters *parameters) {
    for (int v = 0; v < parameters->view_count; v++) {
        const RgParameterView *view = &parameters->views[v];
        bool matrix = view->rank == 2, bias = strstr(view->name, ".bias") != NULL;
        double scale = matrix ? sqrt(3.0 / (double)view->size[1]) : 0.25;
        double mean = matrix || bias ? 0 : 1;
        for (int64_t i = 0; i < view->count; i++) {
            double u = mixed((uint64_t)i, v) / 4294967296.0 * 2 - 1;
            parameters->value[view->offset + i] = (RgReal)(mean + scale * u);
        }
    }
}

static RgPolicy *policy_of(const Task *task) {
    const Shape *shape = task->shape;
    RgTransformerOptions options = shape->options;
    options.tied = true;
    options.rope_base = 10000;
    options.rope_pairing = RG_ROPE_HALVES;
    options.norm_epsilon = 1e-5;
    RgPolicy *policy;
    RgError error = {0};
    if (rg_transformer_create(&options, shape->vocabulary, &policy, &error) != RG_OK ||
        (task->work->kind == DRAWS
             ? rg_policy_set_sampling(policy, task->precision, &error)
             : rg_policy_set_precision(policy, task->precision, &error)) != RG_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(EXIT_FAILURE);
    }
    fill_by_formula(policy->parameters);
    return policy;
}

static RgOptimizer *optimizer_of(const RgPolicy *policy) {
    RgOptimizerOptions options = {.type = {.type = &rg_optimizer_adamw.about},
                                  .learning_rate = 1e-5,
                                  .schedule = RG_SCHEDULE_CONSTANT,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8};
    return rg_optimizer_create(&options, policy->parameters->count, MOST_ROUNDS);
}

/* ---- training: log-likelihood of all tokens but the first ---- */

/* Sequences as long as the context, of which all tokens but the first are the response. */
static void append_contexts(const Task *task, int stream, RgSequences *sequences) {
    int64_t context = task->shape->options.context;
    int32_t *token = rg_allocate(context, sizeof *token);
    for (int64_t i = 0; i < task->batch; i++) {
        tokens_by_formula(task->shape->vocabulary, i, context, stream, token);
        rg_sequences_append(sequences, token, 1, token + 1, context - 1);
    }
    free(token);
}

static void start_training(const Task *task, Bench *b) {
    b->optimizer = optimizer_of(b->policy);
    append_contexts(task, TRAIN_TOKENS, b->sequences);
}

static double descend(Bench *b, RgTensor *loss) {
    double value = loss->data[0];
    rg_backward(b->tape, loss, 1);
    rg_optimizer_step(b->optimizer, b->policy->parameters);
    rg_tape_reset(b->tape);
    return value;
}

static double train_round(Bench *b) {
    RgTensor *likelihood = rg_policy_log_likelihood(b->tape, b->policy, b->sequences);
    double tokens = (double)rg_sequences_response_tokens(b->sequences);
    return descend(b, rg_scale(b->tape, likelihood, (RgReal)(-1 / tokens)));
}

/* ---- DPO: pairs that share a prompt of half the context; the reference is known ---- */

static void start_dpo(const Task *task, Bench *b) {
    int64_t half = task->shape->options.context / 2;
    int32_t *token = rg_allocate(2 * (size_t)half, sizeof *token);
    b->optimizer = optimizer_of(b->policy);
    for (int64_t i = 0; i < task->batch; i++) {
        tokens_by_formula(task->shape->vocabulary, i / 2, half, DPO_PROMPTS, token);
        tokens_by_formula(task->shape->vocabulary, i, half, DPO_RESPONSES, token + half);
        rg_sequences_append(b->sequences, token, half, token + half, half);
    }
    free(token);
    b->reference = rg_allocate(task->batch, sizeof *b->reference);
    rg_policy_training_values(b->policy, b->sequences, b->reference);
}

/* h = log π(y|x) − log π_ref(y|x) of the sequences that stand at 2i + which. */
static RgTensor *log_ratio_of(RgTape *t, RgTensor *log_ratio, int32_t which) {
    int64_t pairs = log_ratio->count / 2;
    int32_t *index = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, pairs);
    for (int64_t i = 0; i < pairs; i++)
        index[i] = which;
    return rg_gather(t, rg_reshape(t, log_ratio, RG_SHAPE(pairs, 2)), index);
}

static double dpo_round(Bench *b) {
    static const double beta = 0.1; /* the one option of DPO */
    RgTape *t = b->tape;
    int64_t n = b->sequences->count;
    RgTensor *logprob = rg_policy_logprob(t, b->policy, b->sequences);
    RgTensor *reference = rg_constant_from_double(t, RG_SHAPE(n), b->reference);
    RgTensor *log_ratio = rg_sub(t, logprob, reference);
    RgBatch batch = {.prompts = n / 2,
                     .k = 2,
                     .chosen = {.log_ratio = log_ratio_of(t, log_ratio, 0)},
                     .rejected = {.log_ratio = log_ratio_of(t, log_ratio, 1)}};
    return descend(b, rg_negate(t, rg_mean(t, rg_preference_fit(t, &batch, beta))));
}

/* ---- sampling and decoding ---- */

static void start_sampling(const Task *task, Bench *b) {
    int32_t token[PROMPT];
    for (int64_t i = 0; i < task->batch; i++) {
        tokens_by_formula(task->shape->vocabulary, i, PROMPT, SAMPLE_PROMPTS, token);
        rg_sequences_append(b->sequences, token, PROMPT, NULL, 0);
    }
    b->temperature = task->check ? 0 : 1;
}

static double sample_round(Bench *b) {
    RgSampling sampling = {
        .temperature = b->temperature, .top_p = 1, .response_limit = NEW_TOKENS, .end_token = -1};
    rg_policy_sample(b->policy, b->sequences, 1, &sampling, rg_random_root(3), b->drawn, NULL);
    return 0;
}

/* ---- log-probabilities of given tokens, as judges and references are asked for them ---- */

static void start_scoring(const Task *task, Bench *b) {
    append_contexts(task, SCORE_TOKENS, b->sequences);
    b->reference = rg_allocate(task->batch, sizeof *b->reference);
}

/* The mean log-probability of a token, with the sign of a loss. */
static double score_round(Bench *b) {
    double sum = 0;
    rg_policy_logprob_values(b->policy, b->sequences, b->reference);
    for (int64_t i = 0; i < b->sequences->count; i++)
        sum += b->reference[i];
    return -sum / (double)rg_sequences_response_tokens(b->sequences);
}

/* ---- works ---- */

static int64_t context_tokens(const Task *task) {
    return task->batch * task->shape->options.context;
}

static int64_t drawn_tokens(const Task *task) {
    return task->batch * NEW_TOKENS;
}

static const Work works[] = {
    {"train", start_training, train_round, context_tokens, TRAINS},
    {"dpo", start_dpo, dpo_round, context_tokens, TRAINS},
    {"sample", start_sampling, sample_round, drawn_tokens, DRAWS},
    {"decode", start_sampling, sample_round, drawn_tokens, DRAWS}, /* one sequence */
    {"score", start_scoring, score_round, context_tokens, SCORES},
};
enum { WORK_COUNT = sizeof works / sizeof *works, SHAPE_COUNT = sizeof shapes / sizeof *shapes };

static void bench_start(const Task *task, Bench *bench) {
    rg_threads_set(task->threads);
    *bench = (Bench){.policy = policy_of(task),
                     .tape = rg_tape_create(),
                     .sequences = rg_sequences_create(),
                     .drawn = rg_sequences_create()};
    task->work->start(task, bench);
}

static void bench_end(Bench *bench) {
    rg_sequences_destroy(bench->drawn);
    rg_sequences_destroy(bench->sequences);
    rg_tape_destroy(bench->tape);
    rg_optimizer_destroy(bench->optimizer);
    rg_policy_destroy(bench->policy);
    free(bench->reference);
}

/* ---- what a work costs ---- */

/* Weights in matrices that every token is multiplied by: those of the layers and the head. */
static double matrix_weights(const RgPolicy *policy) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    double feed_forward = o->feed_forward == RG_FEED_FORWARD_SWIGLU ? 3 : 2;
    double layer =
        4 * (double)(o->width * o->width) + feed_forward * (double)(o->width * o->hidden);
    return (double)o->layers * layer + (double)(rg_transformer_vocabulary(policy) * o->width);
}

/* FLOPs of a token of training as papers count them: six per weight, and attention over the whole
 * context in each of two products, forward and twice that backward. */
static double standard_flops(const RgPolicy *policy) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    return 6 * matrix_weights(policy) + 12 * (double)(o->layers * o->context * o->width);
}

/* Bytes of weights that a decoded token reads: all but the other rows of the embeddings, and those
 * of the tokens' embedding are read after all, where it is the head. */
static double bytes_per_token(const RgPolicy *policy) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    int64_t unread = o->positions == RG_POSITIONS_LEARNED ? (o->context - 1) * o->width : 0;
    return (double)(policy->parameters->count - unread) * sizeof(RgReal);
}

/* Most memory that this process ever had resident. */
static double peak_bytes(void) {
    char line[256];
    double kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kilobytes = strtod(line + 6, NULL);
    if (status)
        fclose(status);
    return kilobytes * 1024;
}

/* ---- measuring ---- */

typedef struct Measure {
    double seconds; /* of a round, the median */
    double sgemm;   /* FLOP/s of BLAS between the rounds, the median; 0: not measured */
    double share;   /* of that, by each round with what is before and after it, the median */
    int64_t rounds;
    double tokens;         /* of a round */
    double standard_flops; /* of a round; 0 where nothing is trained on whole contexts */
    double counted_flops;  /* of a round, by the operators themselves */
    double weight_bytes;   /* that a decoded token reads */
    double all_weight_bytes, peak_bytes;
} Measure;

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int64_t count) {
    qsort(values, (size_t)count, sizeof *values, by_size);
    return (values[count / 2] + values[(count - 1) / 2]) / 2;
}

/* Square matrices whose product BLAS is timed on. */
typedef struct Sgemm {
    float *a, *b, *c;
} Sgemm;

static Sgemm sgemm_create(void) {
    int64_t count = (int64_t)SGEMM_ORDER * SGEMM_ORDER;
    return (Sgemm){sgemm_filled(count), sgemm_filled(count), sgemm_filled(count)};
}

static void sgemm_destroy(Sgemm *s) {
    free(s->a);
    free(s->b);
    free(s->c);
}

/* FLOP/s of one product. */
static double sgemm_speed(const Sgemm *s, int threads) {
    double start = rg_clock_seconds();
    sgemm_by_blas(threads, s->a, s->b, s->c);
    return sgemm_flops / (rg_clock_seconds() - start);
}

/* A shared machine is faster at one moment than at another: what a share of its peak is has to be
 * told by what both take side by side. */
static void measure_shares(const double *seconds, const double *sgemm, Measure *m) {
    double *share = rg_allocate(m->rounds, sizeof *share);
    double *speed = rg_allocate(m->rounds + 1, sizeof *speed);
    for (int64_t i = 0; i < m->rounds; i++)
        share[i] = m->standard_flops / seconds[i] / ((sgemm[i] + sgemm[i + 1]) / 2);
    memcpy(speed, sgemm, (size_t)(m->rounds + 1) * sizeof *speed);
    m->share = median(share, m->rounds);
    m->sgemm = median(speed, m->rounds + 1);
    free(share);
    free(speed);
}

static Measure measure(const Task *task, Bench *bench) {
    Measure m = {.tokens = (double)task->work->tokens(task),
                 .all_weight_bytes = (double)bench->policy->parameters->count * sizeof(RgReal)};
    double *seconds = NULL, *speed = rg_allocate(1, sizeof *speed);
    Sgemm sgemm = {0};
    bench->policy->flops = &bench->flops;
    rg_tape_count_onto(bench->tape, &bench->flops);
    task->work->round(bench);
    if (task->beside) {
        sgemm = sgemm_create();
        sgemm_speed(&sgemm, task->threads);
        speed[0] = sgemm_speed(&sgemm, task->threads);
    }
    double before = bench->flops, end = rg_clock_seconds() + task->seconds;
    if (task->profile)
        rg_profile_start();
    do {
        double start = rg_clock_seconds();
        task->work->round(bench);
        seconds = rg_reallocate(seconds, (size_t)m.rounds + 1, sizeof *seconds);
        speed = rg_reallocate(speed, (size_t)m.rounds + 2, sizeof *speed);
        seconds[m.rounds++] = rg_clock_seconds() - start;
        speed[m.rounds] = task->beside ? sgemm_speed(&sgemm, task->threads) : 0;
    } while (m.rounds < task->rounds || (rg_clock_seconds() < end && m.rounds < MOST_ROUNDS));
    rg_profile_report(stderr);
    m.counted_flops = (bench->flops - before) / (double)m.rounds;
    m.standard_flops = task->work->kind == TRAINS ? m.tokens * standard_flops(bench->policy) : 0;
    m.weight_bytes = task->work->kind == DRAWS ? bytes_per_token(bench->policy) : 0;
    if (task->beside)
        measure_shares(seconds, speed, &m);
    m.seconds = median(seconds, m.rounds);
    m.peak_bytes = peak_bytes();
    sgemm_destroy(&sgemm);
    free(seconds);
    free(speed);
    return m;
}

/* ---- telling ---- */

static void print_head(const Task *task) {
    printf(
        "{\"program\": \"regatta\", \"version\": \"%s\", \"blas_core\": \"%s\", \"work\": \"%s\", "
        "\"shape\": \"%s\", \"precision\": \"%s\", \"threads\": %d, \"batch\": %lld",
        RG_VERSION, rg_blas_core(), task->work->name, task->shape->name,
        rg_precision_names[task->precision], task->threads, (long long)task->batch);
}

static void print_json(const Task *task, const Measure *m) {
    print_head(task);
    printf(", \"seconds\": %.6g, \"rounds\": %lld, \"tokens\": %.0f"
           ", \"tokens_per_second\": %.6g, \"standard_flops\": %.6g, \"counted_flops\": %.6g"
           ", \"weight_bytes_per_token\": %.0f, \"weight_bytes\": %.0f, \"peak_bytes\": %.0f",
           m->seconds, (long long)m->rounds, m->tokens, m->tokens / m->seconds, m->standard_flops,
           m->counted_flops, m->weight_bytes, m->all_weight_bytes, m->peak_bytes);
    if (m->sgemm > 0)
        printf(", \"sgemm_beside\": %.6g, \"share_of_sgemm_beside\": %.4g", m->sgemm, m->share);
    printf("}\n");
}

/* Losses of a few steps, or the likeliest tokens. */
static void print_check(const Task *task, Bench *bench) {
    print_head(task);
    if (task->work->kind == DRAWS) {
        sample_round(bench);
        printf(", \"tokens\": [");
        for (int64_t i = 0; i < bench->drawn->count; i++)
            for (int64_t j = 0; j < NEW_TOKENS; j++)
                printf("%s%d%s",
                       j > 0   ? ", "
                       : i > 0 ? ", ["
                               : "[",
                       (int)rg_sequence_response(bench->drawn, i)[j],
                       j == NEW_TOKENS - 1 ? "]" : "");
    } else {
        printf(", \"losses\": [");
        for (int step = 0; step < CHECKED_STEPS; step++)
            printf("%s%.9g", step > 0 ? ", " : "", task->work->round(bench));
    }
    printf("]}\n");
}

static void print_row(const Task *task, const Measure *m) {
    printf("%-6s  %s  batch %2lld  %d thread%s  %8.1f ms  %8.0f tokens/s", task->work->name,
           task->shape->name, (long long)task->batch, task->threads, task->threads > 1 ? "s" : " ",
           1e3 * m->seconds, m->tokens / m->seconds);
    if (m->standard_flops > 0)
        printf("  %6.1f GFLOP/s (%.1f by our own count)", m->standard_flops / m->seconds / 1e9,
               m->counted_flops / m->seconds / 1e9);
    else if (task->batch == 1)
        printf("  %6.1f GB/s of weights", m->tokens * m->weight_bytes / m->seconds / 1e9);
    printf("\n");
    fflush(stdout);
}

static void export_policy(const RgPolicy *policy, const char *folder) {
    RgError error = {0};
    if (rg_hugging_face_save(policy, folder, &error) != RG_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(EXIT_FAILURE);
    }
}

static void run_task(const Task *task, bool table) {
    Bench bench;
    bench_start(task, &bench);
    if (task->export) {
        export_policy(bench.policy, task->export);
    } else if (task->check) {
        print_check(task, &bench);
    } else {
        Measure m = measure(task, &bench);
        table ? print_row(task, &m) : print_json(task, &m);
    }
    bench_end(&bench);
}

static int64_t batch_of(const Work *work, const Shape *shape) {
    if (strcmp(work->name, "decode") == 0)
        return 1;
    return work->kind == TRAINS ? shape->batch : 16;
}

static void run_everything(Task task) {
    for (size_t w = 0; w < WORK_COUNT; w++)
        for (size_t s = 0; s < SHAPE_COUNT; s++)
            for (task.threads = 1; task.threads <= 2; task.threads++) {
                task.work = &works[w];
                task.shape = &shapes[s];
                task.batch = batch_of(task.work, task.shape);
                run_task(&task, true);
            }
}

/* ---- the command line ---- */

enum {
    OPTION_THREADS = 't',
    OPTION_ROUNDS = 'r',
    OPTION_SECONDS = 's',
    OPTION_BATCH = 'b',
    OPTION_PRECISION = 'p',
};
static const struct argp_option option_table[] = {
    {"threads", OPTION_THREADS, "N", 0, "threads (2)", 0},
    {"rounds", OPTION_ROUNDS, "N", 0, "least number of rounds (5)", 0},
    {"seconds", OPTION_SECONDS, "S", 0, "go on for so long (0)", 0},
    {"batch", OPTION_BATCH, "N", 0, "sequences (the shape's own)", 0},
    {"precision", OPTION_PRECISION, "NAME", 0,
     "of the products of training, or of the sampler: fp32, or bf16", 0},
    {"beside", 'B', NULL, 0,
     "between rounds of training, time what SGEMM reaches, and tell a round's share of it", 0},
    {"profile", 'P', NULL, 0, "tell where the time of the rounds went, to standard error", 0},
    {"check", 'c', NULL, 0, "print losses, or the likeliest tokens, instead of times", 0},
    {"export", 'e', "FOLDER", 0, "write the policy in Hugging Face's layout, and measure nothing",
     0},
    {0},
};

static int64_t count_of(const struct argp_state *state, const char *text) {
    char *end;
    long long count = strtoll(text, &end, 10);
    if (*end || count < 1 || count > MOST_ROUNDS)
        argp_error(state, "\"%s\" is no count", text);
    return count;
}

static void take_name(const struct argp_state *state, const char *name, Task *task) {
    if (state->arg_num == 0)
        for (size_t i = 0; i < WORK_COUNT; i++)
            task->work = strcmp(works[i].name, name) == 0 ? &works[i] : task->work;
    else
        for (size_t i = 0; i < SHAPE_COUNT; i++)
            task->shape = strcmp(shapes[i].name, name) == 0 ? &shapes[i] : task->shape;
    if ((state->arg_num == 0 && !task->work) || (state->arg_num == 1 && !task->shape) ||
        state->arg_num > 1)
        argp_error(state,
                   "\"%s\": expected a work (train, dpo, sample, decode or score) and a shape "
                   "(S1, S2 or S3)",
                   name);
}

static RgPrecision precision_of(const struct argp_state *state, const char *name) {
    for (int i = 0; rg_precision_names[i]; i++)
        if (strcmp(rg_precision_names[i], name) == 0)
            return (RgPrecision)i;
    argp_error(state, "\"%s\": expected fp32 or bf16", name);
    return RG_PRECISION_FP32;
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    Task *task = state->input;
    switch (key) {
    case OPTION_THREADS:
        task->threads = (int)count_of(state, argument);
        return 0;
    case OPTION_ROUNDS:
        task->rounds = count_of(state, argument);
        return 0;
    case OPTION_SECONDS:
        task->seconds = strtod(argument, NULL);
        return 0;
    case OPTION_BATCH:
        task->batch = count_of(state, argument);
        return 0;
    case OPTION_PRECISION:
        task->precision = precision_of(state, argument);
        return 0;
    case 'B':
        task->beside = true;
        return 0;
    case 'P':
        task->profile = true;
        return 0;
    case 'c':
        task->check = true;
        return 0;
    case 'e':
        task->export = argument;
        return 0;
    case ARGP_KEY_ARG:
        take_name(state, argument, task);
        return 0;
    case ARGP_KEY_END:
        if (task->work && !task->shape)
            argp_error(state, "expected a shape behind the work");
        if (task->export && !task->work)
            argp_error(state, "--export: expected a work and a shape");
        if (task->beside && (!task->work || task->work->kind != TRAINS))
            argp_error(state, "--beside: expected the work train or dpo");
        if (task->profile && (!task->work || task->beside))
            argp_error(state, "--profile: expected a work and a shape, and no --beside");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv) {
    RgError error = {0};
    if (rg_instructions_check(&error) != RG_OK) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    rg_threads_start_anew(argv);
    static const struct argp parser = {
        option_table,
        parse,
        "[WORK SHAPE]",
        "Time WORK (train, dpo, sample, decode or score) on SHAPE (S1, S2 or S3), or all of them.",
        NULL,
        NULL,
        NULL};
    Task task = {.threads = 2, .rounds = 5};
    argp_parse(&parser, argc, argv, 0, NULL, &task);
    if (!task.work) {
        task.rounds = 3;
        run_everything(task);
        return 0;
    }
    if (task.batch == 0)
        task.batch = batch_of(task.work, task.shape);
    run_task(&task, false);
    return 0;
}
