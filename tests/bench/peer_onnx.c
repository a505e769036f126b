/* SPDX-License-Identifier: MIT */
/* Sampling, decoding and scoring of bench_transformer in ONNX Runtime, as a good practitioner would
 * write them, on models that write_onnx.py made: one run a token, keys and values in place in one
 * buffer, which is past and present alike. peer.h has the command line; tests/bench/peers compiles
 * this against the library inside onnxruntime-node. The package has no C header, and its JavaScript
 * copies every output of a run, keys and values too, so the C interface is declared here: a table
 * of functions that only ever grows at its end. */
#include "tests/bench/peer.h"

/* ---- the part of the C interface that is called ---- */

typedef void *OrtThing;        /* its opaque types, each behind a pointer */
typedef void (*OrtCall)(void); /* any of its functions */

typedef struct OrtApiBase {
    const OrtCall *(*table)(uint32_t version);
    const char *(*version)(void);
} OrtApiBase;
extern const OrtApiBase *OrtGetApiBase(void);

enum { ORT_VERSION = 17, ORT_CPU_ARENA = 0, ORT_DEFAULT_MEMORY = 0, ORT_ERRORS_ONLY = 3 };
typedef enum OrtElement { ORT_FLOAT = 1, ORT_INT32 = 6, ORT_INT64 = 7 } OrtElement;

/* Places in the table. */
enum {
    ORT_GET_ERROR_MESSAGE = 2,
    ORT_CREATE_ENV = 3,
    ORT_CREATE_SESSION = 7,
    ORT_RUN = 9,
    ORT_CREATE_SESSION_OPTIONS = 10,
    ORT_SET_INTRA_OP_NUM_THREADS = 24,
    ORT_SET_INTER_OP_NUM_THREADS = 25,
    ORT_CREATE_TENSOR_WITH_DATA = 49,
    ORT_CREATE_CPU_MEMORY_INFO = 69,
};

typedef OrtThing (*OrtCreateEnv)(int level, const char *name, OrtThing *env);
typedef OrtThing (*OrtCreateSession)(OrtThing env, const char *path, OrtThing options,
                                     OrtThing *session);
typedef OrtThing (*OrtRun)(OrtThing session, OrtThing options, const char *const *input_name,
                           const OrtThing *input, size_t inputs, const char *const *output_name,
                           size_t outputs, OrtThing *output);
typedef OrtThing (*OrtCreate)(OrtThing *created);
typedef OrtThing (*OrtSetCount)(OrtThing options, int count);
typedef OrtThing (*OrtCreateTensor)(OrtThing memory, void *data, size_t bytes, const int64_t *size,
                                    size_t rank, int element, OrtThing *tensor);
typedef OrtThing (*OrtCreateMemory)(int allocator, int kind, OrtThing *memory);
typedef const char *(*OrtMessage)(OrtThing status);

static const OrtCall *ort;
#define ORT(type, place) ((type)ort[place])

static void ort_try(OrtThing status) {
    if (status)
        peer_fail("peer_onnx", ORT(OrtMessage, ORT_GET_ERROR_MESSAGE)(status));
}

/* ---- a model and what goes in and out ---- */

enum { BLOCK = 128, MOST_TENSORS = 64 }; /* BLOCK: as in write_onnx.py */

/* Named tensors, whose memory is ours. */
typedef struct Tensors {
    char name[MOST_TENSORS][24];
    const char *names[MOST_TENSORS];
    OrtThing tensor[MOST_TENSORS];
    size_t count;
} Tensors;

static struct {
    OrtThing session, memory;
    Tensors prompt_in, next_in, out; /* of decoding: the first run's inputs and the others' */
    Tensors score_in, score_out;
    int64_t *token; /* of decoding [batch, PROMPT], of scoring [context − 1] */
    int64_t *target;
    int32_t *last, *total; /* [batch], [1] */
    float *probability, *block, *logprob;
} model;

static void add_tensor(Tensors *tensors, const char *name, OrtElement element, void *data, int rank,
                       const int64_t *size) {
    size_t i = tensors->count++, bytes = element == ORT_INT64 ? 8 : 4;
    for (int d = 0; d < rank; d++)
        bytes *= (size_t)size[d];
    snprintf(tensors->name[i], sizeof tensors->name[i], "%s", name);
    tensors->names[i] = tensors->name[i];
    ort_try(ORT(OrtCreateTensor, ORT_CREATE_TENSOR_WITH_DATA)(
        model.memory, data, bytes, size, (size_t)rank, (int)element, &tensors->tensor[i]));
}
#define SIZE(...)                                                                                  \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) {                 \
        __VA_ARGS__                                                                                \
    }

static void open_session(const PeerTask *task) {
    OrtThing env, options;
    ort_try(ORT(OrtCreateEnv, ORT_CREATE_ENV)(ORT_ERRORS_ONLY, "bench", &env));
    ort_try(ORT(OrtCreate, ORT_CREATE_SESSION_OPTIONS)(&options));
    ort_try(ORT(OrtSetCount, ORT_SET_INTRA_OP_NUM_THREADS)(options, task->threads));
    ort_try(ORT(OrtSetCount, ORT_SET_INTER_OP_NUM_THREADS)(options, 1));
    ort_try(ORT(OrtCreateSession, ORT_CREATE_SESSION)(env, task->model, options, &model.session));
    ort_try(ORT(OrtCreateMemory, ORT_CREATE_CPU_MEMORY_INFO)(ORT_CPU_ARENA, ORT_DEFAULT_MEMORY,
                                                             &model.memory));
}

static void run(Tensors *in, Tensors *out) {
    ort_try(ORT(OrtRun, ORT_RUN)(model.session, NULL, in->names, in->tensor, in->count, out->names,
                                 out->count, out->tensor));
}

/* ---- sampling and decoding ---- */

static void add_inputs(const PeerTask *task, Tensors *in, int count) {
    add_tensor(in, "token", ORT_INT64, model.token, SIZE(task->batch, count));
    add_tensor(in, "last", ORT_INT32, model.last, SIZE(task->batch));
    add_tensor(in, "total", ORT_INT32, model.total, SIZE(1));
}

/* Keys or values of a layer: past of every run, and its present. */
static void add_cache(const PeerTask *task, int layer, const char *part) {
    const PeerShape *s = task->shape;
    char past[24], present[24];
    int64_t length = PROMPT + NEW_TOKENS;
    float *cache = peer_memory((size_t)(task->batch * s->heads * length * s->size), sizeof *cache);
    snprintf(past, sizeof past, "past.%d.%s", layer, part);
    snprintf(present, sizeof present, "present.%d.%s", layer, part);
    Tensors *all[] = {&model.prompt_in, &model.next_in, &model.out};
    for (int i = 0; i < 3; i++)
        add_tensor(all[i], i < 2 ? past : present, ORT_FLOAT, cache,
                   SIZE(task->batch, s->heads, length, s->size));
}

static void open_decoder(const PeerTask *task) {
    const PeerShape *s = task->shape;
    size_t batch = (size_t)task->batch, vocabulary = (size_t)s->vocabulary;
    model.token = peer_memory(batch * PROMPT, sizeof *model.token);
    model.last = peer_memory(batch, sizeof *model.last);
    model.total = peer_memory(1, sizeof *model.total);
    model.probability = peer_memory(batch * vocabulary, sizeof *model.probability);
    model.block = peer_memory(batch * vocabulary / BLOCK, sizeof *model.block);
    add_inputs(task, &model.prompt_in, PROMPT);
    add_inputs(task, &model.next_in, 1);
    add_tensor(&model.out, "probability", ORT_FLOAT, model.probability,
               SIZE(task->batch, s->vocabulary));
    add_tensor(&model.out, "block", ORT_FLOAT, model.block,
               SIZE(task->batch, s->vocabulary / BLOCK));
    for (int layer = 0; layer < s->layers; layer++) {
        add_cache(task, layer, "key");
        add_cache(task, layer, "value");
    }
}

static void step(const PeerTask *task, int start, int count, const int32_t *token) {
    for (int i = 0; i < task->batch * count; i++)
        model.token[i] = token[i];
    for (int i = 0; i < task->batch; i++)
        model.last[i] = start + count - 1;
    model.total[0] = start + count;
    run(count == 1 ? &model.next_in : &model.prompt_in, &model.out);
}

static const float *row(const PeerTask *task, int sequence) {
    return model.probability + (size_t)sequence * (size_t)task->shape->vocabulary;
}

/* Where the sum of x passes u, which is then less by what stands before. */
static int passes(const float *x, int count, float *u) {
    int i = 0;
    for (; i < count - 1 && *u >= x[i]; i++)
        *u -= x[i];
    return i;
}

static void draw(const PeerTask *task, int32_t *token) {
    int blocks = task->shape->vocabulary / BLOCK;
    for (int i = 0; i < task->batch; i++) {
        float u = peer_random();
        int block = passes(model.block + i * blocks, blocks, &u);
        token[i] = block * BLOCK + passes(row(task, i) + block * BLOCK, BLOCK, &u);
    }
}

/* ---- scoring: a sequence at a time is fastest, as more logits fit no cache ---- */

static void open_scorer(const PeerTask *task) {
    int count = task->shape->context - 1;
    model.token = peer_memory((size_t)count, sizeof *model.token);
    model.target = peer_memory((size_t)count, sizeof *model.target);
    model.last = peer_memory(1, sizeof *model.last);
    model.total = peer_memory(1, sizeof *model.total);
    model.logprob = peer_memory((size_t)count, sizeof *model.logprob);
    model.last[0] = count - 1;
    model.total[0] = count;
    add_tensor(&model.score_in, "token", ORT_INT64, model.token, SIZE(1, count));
    add_tensor(&model.score_in, "target", ORT_INT64, model.target, SIZE(1, count, 1));
    add_tensor(&model.score_in, "last", ORT_INT32, model.last, SIZE(1));
    add_tensor(&model.score_in, "total", ORT_INT32, model.total, SIZE(1));
    add_tensor(&model.score_out, "logprob", ORT_FLOAT, model.logprob, SIZE(1, count, 1));
}

static double score(const PeerTask *task, const int32_t *token) {
    int count = task->shape->context - 1;
    double sum = 0;
    for (int j = 0; j < count; j++) {
        model.token[j] = token[j];
        model.target[j] = token[j + 1];
    }
    run(&model.score_in, &model.score_out);
    for (int j = 0; j < count; j++)
        sum += (double)model.logprob[j];
    return sum;
}

int main(int argc, char **argv) {
    PeerTask task = peer_task(argc, argv);
    ort = OrtGetApiBase()->table(ORT_VERSION);
    Peer peer = {.program = "ONNX Runtime",
                 .version = OrtGetApiBase()->version(),
                 .kernels = "as the processor decides",
                 .step = step,
                 .draw = draw,
                 .row = row,
                 .rows_are_probabilities = true,
                 .score = score};
    open_session(&task);
    if (peer_scores(&task))
        open_scorer(&task);
    else
        open_decoder(&task);
    peer_run(&peer, &task);
    return 0;
}
