/* SPDX-License-Identifier: MIT */
/* The reward model as a judge: the source of its transformer, training with early stopping,
 * rewards, its file. */
#include "envs/judges/judge_reward_model.h"

#include "core/models/transformer.h"
#include "core/results/weights.h"
#include "core/train/optimizer.h"
#include "core/train/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const poolings[] = {"last", "mean", NULL};

typedef struct Options {
    const char *weights, *save;
    int64_t layers, width, heads, context;
    int pooling;
    int64_t trained_layers;
    int64_t epochs, batch;
    double learning_rate, head_learning_rate, weight_decay, centre;
    double held_out;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_FOLDER(
        Options, weights, "", rg_policy_files,
        "transformer to start from, a file or folder as for policy.weights, with the environment's "
        "tokenizer; a saved reward model is used without training; \"\": random weights"),
    RG_OPTION_ACTING(Options, save, "", RG_ACT_SAVE,
                     "file to write the trained reward model to; \"\": none"),
    RG_OPTION_INTEGER(Options, layers, "2", 1, 1024, "layers of a transformer with random weights"),
    RG_OPTION_INTEGER(Options, width, "64", 2, 65536, "width of its residual stream"),
    RG_OPTION_INTEGER(Options, heads, "4", 1, 1024, "heads of its attention"),
    RG_OPTION_INTEGER(Options, context, "512", 2, 1e6,
                      "its context in tokens; the start of the prompt is cut off longer sequences"),
    RG_OPTION_CHOICE(Options, pooling, "last", poolings,
                     "input of the head: the hidden state after the last token, or the mean over "
                     "the response's tokens"),
    RG_OPTION_INTEGER(Options, trained_layers, "-1", -1, 1024,
                      "number of last layers that are trained with the head; 0: the head alone; "
                      "-1: all, and the embedding"),
    RG_OPTION_INTEGER(Options, epochs, "3", 1, 1000, "passes over the pairs"),
    RG_OPTION_INTEGER(Options, batch, "32", 1, 65536, "pairs per step"),
    RG_OPTION_REAL(Options, learning_rate, "1e-4", 0, 1,
                   "learning rate of the transformer, with AdamW and a cosine schedule after a "
                   "warm-up of a twentieth of the steps"),
    RG_OPTION_REAL(Options, head_learning_rate, "1e-3", 0, 1, "learning rate of the head"),
    RG_OPTION_REAL(Options, weight_decay, "0.01", 0, 10, "decoupled weight decay of both"),
    RG_OPTION_REAL(Options, centre, "0.01", 0, 100,
                   "weight of the penalty on the squared sum of a pair's rewards"),
    RG_OPTION_REAL(Options, held_out, "0.1", 0, 0.5,
                   "share of the pairs that is held out: the epoch with the lowest loss on it is "
                   "kept; 0: the last epoch"),
    RG_OPTION_END,
};

typedef struct RewardModel {
    RgPolicy *policy;
    RgParameters *head;
    RgPooling pooling;
    double offset;  /* mean over its training pairs, subtracted from rewards */
    RgTape *values; /* for the head, without recording */
    char *save;     /* file to write it to; "": none */
} RewardModel;

RgPolicy *rg_reward_model_policy(const RgJudge *judge) {
    return ((const RewardModel *)judge->state)->policy;
}

RgParameters *rg_reward_model_head(const RgJudge *judge) {
    return ((const RewardModel *)judge->state)->head;
}

/* ---- the function ---- */

RgParameters *rg_reward_head_create(const RgPolicy *policy) {
    RgParameters *head = rg_parameters_create();
    const int64_t size[] = {1, policy->type->feature_count(policy)};
    rg_parameters_declare(head, "reward.head", 2, size, true);
    rg_parameters_allocate(head);
    return head;
}

static RgForward pass_of(const RgPolicy *policy, RgPooling pooling) {
    return pooling == RG_POOLING_LAST ? rg_transformer_last_states : policy->type->features;
}

/* Rewards from states [n, width]. */
static RgTensor *read_states(RgTape *t, RgTensor *state, RgParameters *head) {
    int64_t n = state->count / head->count;
    RgTensor *rows = rg_reshape(t, state, RG_SHAPE(n, head->count));
    RgTensor *reward = rg_linear(t, rows, rg_parameter(t, head, 0), NULL, NULL);
    return rg_reshape(t, reward, RG_SHAPE(n));
}

RgTensor *rg_reward_model_of(RgTape *t, RgPolicy *policy, RgParameters *head, RgPooling pooling,
                             const RgSequences *sequences) {
    return read_states(t, rg_policy_run(t, policy, pass_of(policy, pooling), sequences), head);
}

RgTensor *rg_reward_model_loss(RgTape *t, RgTensor *reward, double centre) {
    RgTensor *pairs = rg_reshape(t, reward, RG_SHAPE(reward->count / 2, 2));
    RgTensor *chosen = rg_slice(t, pairs, 1, 0, 1), *rejected = rg_slice(t, pairs, 1, 1, 1);
    RgTensor *fit = rg_mean(t, rg_log_sigmoid(t, rg_sub(t, chosen, rejected)));
    RgTensor *apart = rg_mean(t, rg_square(t, rg_add(t, chosen, rejected)));
    return rg_sub(t, rg_scale(t, apart, (RgReal)centre), fit);
}

RgSequences *rg_reward_model_fit_length(const RgSequences *sequences, int64_t limit) {
    RgSequences *fits = rg_sequences_create();
    for (int64_t i = 0; i < sequences->count; i++) {
        int64_t prompt = sequences->prompt_length[i];
        int64_t response = rg_sequence_response_length(sequences, i);
        int64_t most = limit - (prompt > 0);
        response = response < most ? response : most;
        int64_t kept = prompt + response <= limit ? prompt : limit - response;
        int32_t *tokens = rg_allocate(kept, sizeof *tokens);
        for (int64_t k = 0; k < kept; k++)
            tokens[k] = rg_sequence_prompt(sequences, i)[k == 0 ? 0 : prompt - kept + k];
        rg_sequences_append(fits, tokens, kept, rg_sequence_response(sequences, i), response);
        free(tokens);
    }
    return fits;
}

/* ---- rewards ---- */

/* Rewards of sequences within the context. */
static void reward_all(RewardModel *m, const RgSequences *sequences, double *reward) {
    int64_t n = sequences->count, width = m->head->count;
    RgReal *state = rg_allocate(n * width, sizeof *state);
    rg_policy_run_values(m->policy, pass_of(m->policy, m->pooling), sequences, width, state);
    RgTensor *all = rg_borrow(m->values, RG_SHAPE(n * width), state);
    const RgTensor *y = read_states(m->values, all, m->head);
    for (int64_t i = 0; i < n; i++)
        reward[i] = (double)y->data[i] - m->offset;
    rg_tape_reset(m->values);
    free(state);
}

static RgSequences *fit_context(const RewardModel *m, const RgSequences *sequences) {
    return rg_reward_model_fit_length(sequences, rg_transformer_options(m->policy)->context);
}

static RgStatus rewards(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error) {
    if (!items->sequences)
        return rg_fail(error, RG_E_USAGE, "a reward model needs tokens, and was given text alone");
    RewardModel *m = judge->state;
    RgSequences *fits = fit_context(m, items->sequences);
    reward_all(m, fits, reward);
    rg_sequences_destroy(fits);
    return RG_OK;
}

/* ---- training ---- */

typedef struct Training {
    RewardModel *model;
    const Options *options;
    const RgSequences *sequences; /* of all pairs */
    int64_t *order;               /* [count] training pairs */
    int64_t count;
    RgSequences *held_out;
    RgTape *tape;
    RgOptimizer *optimizer, *head_optimizer;
    bool *frozen; /* [views] of the transformer */
    RgReal *start, *best, *best_head;
    double best_loss;
} Training;

/* Whether a view is frozen: those of layers before the last `trained_layers`, and those outside
 * layers except the last norm. */
static bool is_frozen(const char *name, int64_t layers, int64_t trained) {
    long long layer;
    if (trained < 0)
        return strncmp(name, "lm_head", strlen("lm_head")) == 0;
    if (sscanf(name, "model.layers.%lld.", &layer) == 1)
        return layer < layers - trained;
    return trained == 0 || strncmp(name, "model.norm", strlen("model.norm")) != 0;
}

static RgOptimizer *optimizer_of(const Training *t, double rate, int64_t count) {
    int64_t steps = t->options->epochs * ((t->count + t->options->batch - 1) / t->options->batch);
    RgOptimizerOptions o = {.type = {.type = &rg_optimizer_adamw.about},
                            .learning_rate = rate,
                            .schedule = RG_SCHEDULE_COSINE,
                            .warmup = steps / 20,
                            .final_fraction = 0.1,
                            .beta1 = 0.9,
                            .beta2 = 0.999,
                            .epsilon = 1e-8,
                            .weight_decay = t->options->weight_decay,
                            .clip = 1};
    return rg_optimizer_create(&o, count, steps);
}

static Training begin(RewardModel *m, const Options *o, const RgSequences *sequences) {
    const RgParameters *p = m->policy->parameters;
    Training t = {.model = m,
                  .options = o,
                  .sequences = sequences,
                  .tape = rg_tape_create(),
                  .held_out = rg_sequences_create(),
                  .best_loss = INFINITY};
    int64_t pairs = sequences->count / 2, every = o->held_out > 0 ? lround(1 / o->held_out) : 0;
    size_t bytes = (size_t)p->count * sizeof(RgReal);
    t.order = rg_allocate(pairs, sizeof *t.order);
    for (int64_t i = 0; i < pairs; i++) {
        if (every > 0 && i % every == every - 1)
            rg_sequences_append_pair(t.held_out, sequences, i);
        else
            t.order[t.count++] = i;
    }
    t.optimizer = optimizer_of(&t, o->learning_rate, p->count);
    t.head_optimizer = optimizer_of(&t, o->head_learning_rate, m->head->count);
    t.frozen = rg_allocate(p->view_count, sizeof *t.frozen);
    for (int i = 0; i < p->view_count; i++)
        t.frozen[i] = is_frozen(p->views[i].name, rg_transformer_options(m->policy)->layers,
                                o->trained_layers);
    t.start = memcpy(rg_allocate(1, bytes), p->value, bytes);
    t.best = rg_allocate(1, bytes);
    t.best_head = rg_allocate(m->head->count, sizeof(RgReal));
    return t;
}

static void end(Training *t) {
    free(t->order);
    free(t->frozen);
    free(t->start);
    free(t->best);
    free(t->best_head);
    rg_sequences_destroy(t->held_out);
    rg_optimizer_destroy(t->optimizer);
    rg_optimizer_destroy(t->head_optimizer);
    rg_tape_destroy(t->tape);
}

/* Reset frozen views: `what` is the gradient, set to zero, or the values, set to the initial
 * ones. */
static void hold_frozen(const Training *t, RgReal *what, const RgReal *as) {
    const RgParameters *p = t->model->policy->parameters;
    for (int i = 0; i < p->view_count; i++) {
        size_t bytes = (size_t)p->views[i].count * sizeof(RgReal);
        int64_t at = p->views[i].offset;
        if (t->frozen[i] && as)
            memcpy(what + at, as + at, bytes);
        else if (t->frozen[i])
            memset(what + at, 0, bytes);
    }
}

static void step(Training *t, const RgSequences *batch) {
    RewardModel *m = t->model;
    RgParameters *p = m->policy->parameters;
    RgTensor *reward = rg_reward_model_of(t->tape, m->policy, m->head, m->pooling, batch);
    rg_backward(t->tape, rg_reward_model_loss(t->tape, reward, t->options->centre), 1);
    hold_frozen(t, p->gradient, NULL);
    rg_optimizer_step(t->optimizer, p);
    hold_frozen(t, p->value, t->start);
    rg_optimizer_step(t->head_optimizer, m->head);
    rg_tape_reset(t->tape);
}

/* Mean −log σ(r_w − r_l) of the held-out pairs; NAN without any. */
static double held_out_loss(Training *t) {
    int64_t count = t->held_out->count;
    double *reward = rg_allocate(count, sizeof *reward), sum = 0;
    reward_all(t->model, t->held_out, reward);
    for (int64_t i = 0; i < count; i += 2) {
        double gap = reward[i] - reward[i + 1];
        sum += fmax(0, -gap) + log1p(exp(-fabs(gap)));
    }
    free(reward);
    return sum / ((double)count / 2);
}

/* Restore the best weights so far, or store the current ones as such. */
static void keep_best(Training *t, bool take) {
    RgParameters *p = t->model->policy->parameters, *head = t->model->head;
    size_t bytes = (size_t)p->count * sizeof(RgReal);
    size_t head_bytes = (size_t)head->count * sizeof(RgReal);
    memcpy(take ? p->value : t->best, take ? t->best : p->value, bytes);
    memcpy(take ? head->value : t->best_head, take ? t->best_head : head->value, head_bytes);
}

static void train(RewardModel *m, const Options *o, const RgSequences *sequences, RgRandom random) {
    Training t = begin(m, o, sequences);
    int64_t *place = rg_allocate(t.count, sizeof *place);
    RgSequences *batch = rg_sequences_create();
    for (int64_t epoch = 0; epoch < o->epochs; epoch++) {
        rg_random_permutation(rg_random_at(random, (uint64_t)epoch), place, t.count);
        for (int64_t first = 0; first < t.count; first += o->batch) {
            rg_sequences_clear(batch);
            for (int64_t i = first; i < t.count && i < first + o->batch; i++)
                rg_sequences_append_pair(batch, sequences, t.order[place[i]]);
            step(&t, batch);
        }
        double loss = held_out_loss(&t);
        if (!(loss >= t.best_loss)) { /* NaN if nothing is held out */
            t.best_loss = loss;
            keep_best(&t, false);
        }
    }
    keep_best(&t, true);
    rg_sequences_destroy(batch);
    free(place);
    end(&t);
}

/* ---- life ---- */

static RgStatus random_transformer(const Options *o, int64_t vocabulary, RgRandom random,
                                   RgPolicy **policy, RgError *error) {
    const struct {
        const char *name;
        int64_t value;
    } shape[] = {
        {"layers", o->layers}, {"width", o->width}, {"heads", o->heads}, {"context", o->context}};
    RgSettings *settings = rg_settings_create();
    for (size_t i = 0; i < sizeof shape / sizeof shape[0]; i++) {
        char path[32], text[24];
        snprintf(path, sizeof path, "model.%s", shape[i].name);
        snprintf(text, sizeof text, "%lld", (long long)shape[i].value);
        rg_settings_set(settings, path, RG_SETTING_INTEGER, text, "reward-model", 0);
    }
    rg_settings_set(settings, "model.tied", RG_SETTING_BOOLEAN, "true", "reward-model", 0);
    RgPolicySpace space = {.vocabulary = vocabulary};
    RgStatus status =
        rg_policy_create("transformer", settings, "model", &space, random, policy, error);
    rg_settings_destroy(settings);
    return status;
}

static RgStatus make_transformer(const Options *o, const RgJudgeShare *share, RgRandom random,
                                 RgPolicy **policy, RgError *error) {
    if (!o->weights[0])
        return random_transformer(o, share->vocabulary, random, policy, error);
    RG_TRY(rg_weights_check_path(o->weights, error));
    RG_TRY(rg_policy_load(o->weights, policy, error));
    if ((*policy)->type != &rg_policy_transformer)
        return rg_fail(error, RG_E_USAGE, "weights: %s is a %s policy, expected a transformer",
                       o->weights, (*policy)->type->about.name);
    int64_t known = rg_transformer_vocabulary(*policy);
    if (known < share->vocabulary) /* a larger vocabulary has padding */
        return rg_fail(
            error, RG_E_USAGE,
            "weights: the transformer in %s has a vocabulary of %lld tokens, expected at least the "
            "%lld of the tokenizer",
            o->weights, (long long)known, (long long)share->vocabulary);
    return RG_OK;
}

/* Load the head from the file of the weights; *found out: whether the file has one. */
static RgStatus load_head(RewardModel *m, const char *path, bool *found, RgError *error) {
    RgSafetensors *file = NULL;
    *found = false;
    if (!path[0] || rg_safetensors_open(path, &file, NULL) != RG_OK)
        return RG_OK; /* not such a file: a folder, or another format of weights */
    const RgStoredTensor *head = rg_safetensors_find(file, "reward.head");
    const RgStoredTensor *others = rg_safetensors_find(file, "reward.offset_and_pooling");
    RgStatus status = RG_OK;
    RgReal other[2] = {0};
    *found = head != NULL;
    if (head && (!others || head->rank != 2 || head->size[1] != m->head->count ||
                 others->rank != 1 || others->size[0] != 2))
        status =
            rg_fail(error, RG_E_FORMAT,
                    "%s: a reward model whose head has another width than the transformer", path);
    if (head && status == RG_OK)
        status = rg_stored_to_real(head, m->head->value, error);
    if (head && status == RG_OK)
        status = rg_stored_to_real(others, other, error);
    m->offset = (double)other[0];
    if (head)
        m->pooling = other[1] > 0 ? RG_POOLING_MEAN : RG_POOLING_LAST;
    rg_safetensors_close(file);
    return status;
}

/* A reward model may be written anew; nothing else is written over. */
static RgStatus check_place(const char *path, RgError *error) {
    RgSafetensors *file = NULL;
    if (!path[0] || access(path, F_OK) != 0)
        return RG_OK;
    bool model = rg_safetensors_open(path, &file, NULL) == RG_OK &&
                 rg_safetensors_find(file, "reward.head") != NULL;
    rg_safetensors_close(file);
    return model
               ? RG_OK
               : rg_fail(error, RG_E_USAGE,
                         "save: %s exists and is not a reward model: expected another file", path);
}

static RgStatus save(RgJudge *judge, RgError *error) {
    const RewardModel *m = judge->state;
    if (!m->save[0])
        return RG_OK;
    float other[2] = {(float)m->offset, m->pooling == RG_POOLING_MEAN};
    const int64_t width = m->head->count;
    float *head = rg_allocate(width, sizeof *head);
    for (int64_t i = 0; i < width; i++)
        head[i] = (float)m->head->value[i];
    RgStoredTensor more[] = {
        {"reward.head", RG_F32, 2, {1, width}, head, (size_t)width * sizeof *head},
        {"reward.offset_and_pooling", RG_F32, 1, {2}, other, sizeof other}};
    RgStatus status = rg_policy_save_with(m->policy, more, 2, m->save, error);
    free(head);
    return status;
}

/* Shift rewards so that their mean on the training data is 0. */
static void centre(RewardModel *m, const RgSequences *sequences) {
    double *reward = rg_allocate(sequences->count, sizeof *reward), sum = 0;
    reward_all(m, sequences, reward);
    for (int64_t i = 0; i < sequences->count; i++)
        sum += reward[i];
    m->offset = (double)(float)(sum / (double)sequences->count); /* in a file's precision */
    free(reward);
}

static RgStatus create(RgJudge *judge, const void *options, const RgJudgeShare *share,
                       RgRandom random, RgError *error) {
    enum { FEWEST_PAIRS = 20 };
    const Options *o = options;
    if (!share->sequences)
        return rg_fail(error, RG_E_USAGE, "a reward model needs tokens, and was given text alone");
    RG_TRY(check_place(o->save, error));
    RewardModel *m = rg_allocate(1, sizeof *m);
    judge->state = m;
    m->pooling = (RgPooling)o->pooling;
    m->save = rg_string_copy(o->save);
    m->values = rg_tape_create();
    rg_tape_record(m->values, false);
    bool trained;
    RG_TRY(make_transformer(o, share, rg_random_named(random, "transformer"), &m->policy, error));
    m->head = rg_reward_head_create(m->policy);
    RG_TRY(load_head(m, o->weights, &trained, error));
    if (trained)
        return RG_OK;
    if (share->count < FEWEST_PAIRS)
        return rg_fail(error, RG_E_RANGE,
                       "%s: a reward model needs at least %d pairs to learn from, found %lld",
                       share->path, FEWEST_PAIRS, (long long)share->count);
    RgSequences *fits = fit_context(m, share->sequences);
    train(m, o, fits, rg_random_named(random, "pair order"));
    centre(m, fits);
    rg_sequences_destroy(fits);
    return RG_OK;
}

static void destroy(RgJudge *judge) {
    RewardModel *m = judge->state;
    rg_tape_destroy(m->values);
    rg_parameters_destroy(m->head);
    rg_policy_destroy(m->policy);
    free(m->save);
    free(m);
}

const RgJudgeType rg_judge_reward_model = {
    .about =
        {.name = "reward-model",
         .summary =
             "A transformer with a scalar head, fitted to pairs of chosen and rejected responses",
         .reference =
             "Bradley & Terry 1952; Christiano et al. 2017, arXiv:1706.03741; Ouyang et al. "
             "2022, arXiv:2203.02155",
         .options = options_table,
         .options_size = sizeof(Options)},
    .create = create,
    .rewards = rewards,
    .destroy = destroy,
    .save = save,
};
