/* SPDX-License-Identifier: MIT */
/* Sampling, decoding and scoring of bench_transformer in llama.cpp, as a good practitioner would
 * write them, on a model that write_gguf.py made: sequences in parallel, each with keys and values
 * of its own in F32, threads that stay. peer.h has the command line; tests/bench/peers compiles
 * this against the libraries inside node-llama-cpp's package, whose JavaScript layer would add a
 * switch of threads to every token and has no way to a sequence's logits.
 *
 * --kernels chooses among the libraries that the package has for families of processors. */
#include "tests/bench/peer.h"

#include <dirent.h>
#include <dlfcn.h>
#include <ggml-cpu.h>
#include <llama.h>
#include <omp.h>

static struct {
    struct llama_context *context;
    struct llama_batch batch;
    int *output; /* [batch]: where in a batch each sequence's last token stands */
} model;

/* ---- the library of kernels ---- */

static const char *const avx2[] = {"haswell", "alderlake", NULL};
static const char *const avx512[] = {"skylakex",   "cannonlake", "cascadelake",    "icelake",
                                     "cooperlake", "zen4",       "sapphirerapids", NULL};

static bool among(const char *name, const char *const *names) {
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static bool in_family(const char *name, const char *family) {
    if (!family)
        return true;
    if (strcmp(family, "avx2") != 0 && strcmp(family, "avx512") != 0)
        peer_fail(family, "expected avx2 or avx512");
    return among(name, strcmp(family, "avx2") == 0 ? avx2 : avx512);
}

/* How well a library fits the processor, by its own word; 0: not at all. */
static int fitness(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int (*score)(void) = library ? (int (*)(void))dlsym(library, "ggml_backend_score") : NULL;
    int found = score ? score() : 0;
    if (library)
        dlclose(library);
    return found;
}

/* The name of the library of the family that fits best, or an empty one. */
static void find_kernels(const char *folder, const char *family, char name[64]) {
    static const char prefix[] = "libggml-cpu-";
    DIR *list = opendir(folder);
    if (!list)
        peer_fail(folder, "cannot be listed");
    int best = 0;
    name[0] = '\0';
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        char found[64], path[4096 + sizeof entry->d_name];
        if (strncmp(entry->d_name, prefix, sizeof prefix - 1) != 0 ||
            sscanf(entry->d_name + sizeof prefix - 1, "%63[^.].so", found) != 1 ||
            !in_family(found, family))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        int fit = fitness(path);
        if (fit > best) {
            best = fit;
            memcpy(name, found, sizeof found);
        }
    }
    closedir(list);
    if (best == 0)
        peer_fail(family ? family : "kernels", "llama.cpp has no library that this processor runs");
}

/* Loads it from where llama.cpp itself was loaded; `name` is told. */
static ggml_backend_reg_t load_kernels(const char *family, char name[64]) {
    Dl_info info;
    char path[4096];
    if (!dladdr((void *)llama_backend_init, &info))
        peer_fail("llama.cpp", "its folder is not known");
    int length = (int)(strrchr(info.dli_fname, '/') - info.dli_fname);
    snprintf(path, sizeof path, "%.*s", length, info.dli_fname);
    find_kernels(path, family, name);
    snprintf(path, sizeof path, "%.*s/libggml-cpu-%s.so", length, info.dli_fname, name);
    ggml_backend_reg_t kernels = ggml_backend_load(path);
    if (!kernels)
        peer_fail(path, "cannot be loaded");
    return kernels;
}

/* ---- the model ---- */

static void say_errors(enum ggml_log_level level, const char *text, void *data) {
    (void)data;
    if (level == GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

/* Enough numbers that it pays to wake threads for them. */
static bool worth_threads(const PeerTask *task, int64_t rows) {
    return task->threads > 1 && rows * task->shape->vocabulary >= 1 << 18;
}

static struct llama_context_params parameters(const PeerTask *task) {
    struct llama_context_params p = llama_context_default_params();
    bool scores = peer_scores(task);
    p.n_seq_max = scores ? 1 : (uint32_t)task->batch;
    p.n_ctx = scores ? (uint32_t)task->shape->context : p.n_seq_max * (PROMPT + NEW_TOKENS);
    p.n_batch = p.n_ubatch = scores ? p.n_ctx : p.n_seq_max * PROMPT;
    p.n_threads = p.n_threads_batch = task->threads;
    p.type_k = p.type_v = GGML_TYPE_F32;
    p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED; /* slower on F32 */
    p.kv_unified = false;
    p.no_perf = true;
    return p;
}

/* Threads that stay from one graph to the next. They wait spinning, but where ours have to run
 * between two graphs. */
static void attach_threads(const PeerTask *task, ggml_backend_reg_t kernels) {
    struct ggml_threadpool_params p;
    struct ggml_threadpool *(*create)(struct ggml_threadpool_params *) =
        (struct ggml_threadpool * (*)(struct ggml_threadpool_params *))
            ggml_backend_reg_get_proc_address(kernels, "ggml_threadpool_new");
    ggml_threadpool_params_init(&p, task->threads);
    if (peer_scores(task) || worth_threads(task, task->batch))
        p.poll = 0;
    struct ggml_threadpool *threads = create(&p);
    llama_attach_threadpool(model.context, threads, threads);
}

static void open_model(const PeerTask *task, ggml_backend_reg_t kernels) {
    llama_backend_init();
    struct llama_model *loaded =
        llama_model_load_from_file(task->model, llama_model_default_params());
    if (!loaded)
        peer_fail(task->model, "cannot be loaded");
    struct llama_context_params p = parameters(task);
    model.context = llama_init_from_model(loaded, p);
    if (!model.context)
        peer_fail(task->model, "llama.cpp makes no context for it");
    attach_threads(task, kernels);
    model.batch = llama_batch_init((int32_t)p.n_batch, 0, 1);
    model.output = peer_memory((size_t)task->batch, sizeof *model.output);
}

static void append(int32_t token, int position, int sequence, bool output) {
    struct llama_batch *b = &model.batch;
    int i = b->n_tokens++;
    b->token[i] = token;
    b->pos[i] = position;
    b->n_seq_id[i] = 1;
    b->seq_id[i][0] = sequence;
    b->logits[i] = output;
}

static void decode(void) {
    if (llama_decode(model.context, model.batch) != 0)
        peer_fail("llama.cpp", "llama_decode failed");
    llama_synchronize(model.context);
}

static void begin(void) {
    llama_memory_clear(llama_get_memory(model.context), false);
    model.batch.n_tokens = 0;
}

/* ---- sampling and decoding ---- */

static void step(const PeerTask *task, int start, int count, const int32_t *token) {
    if (start == 0)
        begin();
    model.batch.n_tokens = 0;
    for (int i = 0; i < task->batch; i++) {
        for (int j = 0; j < count; j++)
            append(token[i * count + j], start + j, i, j == count - 1);
        model.output[i] = model.batch.n_tokens - 1;
    }
    decode();
}

static const float *row(const PeerTask *task, int sequence) {
    (void)task;
    return llama_get_logits_ith(model.context, model.output[sequence]);
}

static float largest(const float *x, int count) {
    float most = x[0];
    for (int i = 1; i < count; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

/* Where the sum of x passes u, which is then less by what stands before. */
static int passes(const float *x, int count, float *u) {
    int i = 0;
    for (; i < count - 1 && *u >= x[i]; i++)
        *u -= x[i];
    return i;
}

/* A token by the logits x. The library's own sampler takes ten times as long: it
 * makes a list of tokens and logits first, and computes number by number. */
static int32_t draw_by(const float *x, int count, float u) {
    enum { BLOCK = 128, MOST = 32768 };
    static _Thread_local float weight[MOST], sum[MOST / BLOCK];
    int blocks = count / BLOCK;
    float most = largest(x, count), total = 0;
    for (int b = 0; b < blocks; b++) {
        float of_block = 0;
        for (int i = b * BLOCK; i < (b + 1) * BLOCK; i++) {
            weight[i] = expf(x[i] - most);
            of_block += weight[i];
        }
        sum[b] = of_block;
        total += of_block;
    }
    u *= total;
    int block = passes(sum, blocks, &u);
    return block * BLOCK + passes(weight + block * BLOCK, BLOCK, &u);
}

static void draw(const PeerTask *task, int32_t *token) {
#pragma omp parallel for num_threads(task->threads) if (worth_threads(task, task->batch))
    for (int i = 0; i < task->batch; i++) {
        float u;
#pragma omp critical
        u = peer_random();
        token[i] = draw_by(row(task, i), task->shape->vocabulary, u);
    }
}

/* ---- scoring: a sequence at a time ---- */

static double logprob_of(const float *x, int count, int32_t token) {
    float most = largest(x, count), sum = 0;
    for (int i = 0; i < count; i++)
        sum += expf(x[i] - most);
    return (double)(x[token] - most - logf(sum));
}

static double score(const PeerTask *task, const int32_t *token) {
    int count = task->shape->context - 1, vocabulary = task->shape->vocabulary;
    begin();
    for (int j = 0; j < count; j++)
        append(token[j], j, 0, true);
    decode();
    const float *logits = llama_get_logits(model.context);
    double sum = 0;
#pragma omp parallel for num_threads(task->threads) reduction(+ : sum)                             \
    if (worth_threads(task, count))
    for (int j = 0; j < count; j++)
        sum += logprob_of(logits + (size_t)j * (size_t)vocabulary, vocabulary, token[j + 1]);
    return sum;
}

int main(int argc, char **argv) {
    PeerTask task = peer_task(argc, argv);
    char kernels[64];
    llama_log_set(say_errors, NULL);
    ggml_backend_reg_t library = load_kernels(task.kernels, kernels);
    Peer peer = {.program = "llama.cpp",
                 .version = LLAMA_VERSION,
                 .kernels = kernels,
                 .step = step,
                 .draw = draw,
                 .row = row,
                 .score = score};
    open_model(&task, library);
    peer_run(&peer, &task);
    return 0;
}
