/* SPDX-License-Identifier: MIT */
/* Fitting a reward to the offline pairs: batches, epochs, the pairs held out. */
#include "algorithms/fitted_reward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const sources[] = {"judge", "linear", "mlp", NULL};

#define LATER_INTEGER(member, fallback, low, high, help)                                           \
    RG_OPTION_INTEGER(RgFittedRewardOptions, member, fallback, low, high, help, .later = true)
#define LATER_REAL(member, fallback, low, high, help)                                              \
    RG_OPTION_REAL(RgFittedRewardOptions, member, fallback, low, high, help, .later = true)

const RgOption rg_fitted_reward_options[] = {
    RG_OPTION_CHOICE(RgFittedRewardOptions, reward, "judge", sources,
                     "reward that is maximised: the judge's; or one that is fitted to the offline "
                     "pairs first, linear in the reference's features or an mlp of them",
                     .later = true),
    LATER_INTEGER(reward_hidden, "64", 1, 65536, "mlp: hidden units of the fitted reward"),
    LATER_INTEGER(reward_epochs, "3", 1, 1e6, "passes over the pairs that the reward is fitted to"),
    LATER_INTEGER(reward_batch, "64", 0, 1e9, "pairs in a step of the reward's fit; 0: all"),
    LATER_REAL(reward_learning_rate, "0.05", 0, 1e3, "learning rate of the reward's fit, by AdamW"),
    LATER_REAL(reward_held_out, "0.1", 0, 0.9,
               "share of the pairs held out from the reward's fit, by which its best epoch is "
               "chosen; 0: the last epoch"),
    RG_OPTION_END,
};

/* ---- pairs ---- */

/* The pairs of the data set in a shuffled order, preferred responses first, with their features. */
typedef struct Data {
    int64_t pairs;
    RgSequences *sequences; /* [2·pairs] */
    RgRewardInput input;
} Data;

static Data read_pairs(RgTrainer *trainer, const RgReward *reward) {
    const RgPairs *pairs = trainer->task->pairs;
    Data data = {.pairs = pairs->count, .sequences = rg_sequences_create()};
    for (int64_t i = 0; i < pairs->count; i++) {
        int64_t pair = rg_trainer_read_pair(trainer, i), chosen = pairs->preferred[pair];
        rg_sequences_append_from(data.sequences, pairs->sequences, 2 * pair + chosen, false);
        rg_sequences_append_from(data.sequences, pairs->sequences, 2 * pair + 1 - chosen, false);
    }
    data.input = rg_reward_input(reward, trainer->reference, data.sequences);
    return data;
}

static void data_clear(Data *data) {
    rg_sequences_destroy(data->sequences);
    rg_reward_input_free(&data->input);
}

/* The input of the pairs [first, last): it borrows the rows. `offsets` [2·(last − first) + 1] is
 * filled for a reward by step. */
static RgRewardInput pairs_between(const RgReward *reward, const Data *data, int64_t first,
                                   int64_t last, int64_t *offsets) {
    const RgRewardInput *all = &data->input;
    int64_t begin = 2 * first, end = 2 * last;
    if (all->offsets) {
        begin = all->offsets[2 * first];
        end = all->offsets[2 * last];
        for (int64_t i = 2 * first; i <= 2 * last; i++)
            offsets[i - 2 * first] = all->offsets[i] - begin;
    }
    return (RgRewardInput){.count = 2 * (last - first),
                           .rows = end - begin,
                           .features = all->features + begin * reward->features,
                           .offsets = all->offsets ? offsets : NULL,
                           .weight = all->weight ? all->weight + begin : NULL};
}

/* r(y_w) − r(y_l) of the pairs of an input. */
static RgTensor *margins(RgTape *t, const RgReward *reward, const RgRewardInput *input) {
    RgTensor *r = rg_reshape(t, rg_reward_of(t, reward, input), RG_SHAPE(input->count / 2, 2));
    return rg_sub(t, rg_slice(t, r, 1, 0, 1), rg_slice(t, r, 1, 1, 1));
}

/* ---- the fit ---- */

static void step_on(RgTrainer *trainer, const RgReward *reward, const RgRewardInput *input,
                    RgOptimizer *optimizer) {
    RgTape *t = trainer->tape;
    rg_parameters_zero_gradient(reward->parameters);
    RgTensor *fit = rg_mean(t, rg_log_sigmoid(t, margins(t, reward, input)));
    rg_backward(t, rg_negate(t, fit), 1);
    rg_optimizer_step(optimizer, reward->parameters);
    rg_tape_reset(t);
}

/* Loss and accuracy on the pairs [first, last). */
static void measure(RgTrainer *trainer, const RgReward *reward, const Data *data, int64_t first,
                    int64_t last, double *loss, double *accuracy) {
    RgTape *t = trainer->tape;
    int64_t *offsets = rg_allocate(2 * (last - first) + 1, sizeof *offsets);
    RgRewardInput input = pairs_between(reward, data, first, last, offsets);
    bool recording = rg_tape_record(t, false);
    const RgTensor *margin = margins(t, reward, &input);
    double n = (double)margin->count;
    *loss = *accuracy = 0;
    for (int64_t i = 0; i < margin->count; i++) {
        double m = (double)margin->data[i];
        *loss += (fmax(-m, 0) + log1p(exp(-fabs(m)))) / n;
        *accuracy += (m > 0 ? 1 : m < 0 ? 0 : 0.5) / n;
    }
    rg_tape_record(t, recording);
    rg_tape_reset(t);
    free(offsets);
}

static RgOptimizer *optimizer_of(const RgFittedRewardOptions *o, const RgReward *reward) {
    const RgOptimizerOptions adamw = rg_adamw_options(o->reward_learning_rate);
    return rg_optimizer_create(&adamw, reward->parameters->count, 0);
}

/* The first pairs are held out; each epoch passes over the others in their order. */
static void fit(RgTrainer *trainer, const RgFittedRewardOptions *o, const Data *data,
                const RgReward *reward) {
    RgParameters *p = reward->parameters;
    size_t bytes = (size_t)p->count * sizeof *p->value;
    int64_t held = (int64_t)(o->reward_held_out * (double)data->pairs);
    int64_t batch = o->reward_batch > 0 ? o->reward_batch : data->pairs;
    int64_t *offsets = rg_allocate(2 * batch + 1, sizeof *offsets);
    RgReal *best = rg_allocate(p->count, sizeof *best);
    RgOptimizer *optimizer = optimizer_of(o, reward);
    double loss, accuracy, highest = -1;
    for (int64_t epoch = 0; epoch < o->reward_epochs; epoch++) {
        for (int64_t at = held; at < data->pairs; at += batch) {
            int64_t end = at + batch < data->pairs ? at + batch : data->pairs;
            RgRewardInput input = pairs_between(reward, data, at, end, offsets);
            step_on(trainer, reward, &input, optimizer);
        }
        if (held > 0)
            measure(trainer, reward, data, 0, held, &loss, &accuracy);
        if (held > 0 && accuracy <= highest)
            continue;
        highest = held > 0 ? accuracy : highest;
        memcpy(best, p->value, bytes);
    }
    memcpy(p->value, best, bytes);
    rg_optimizer_destroy(optimizer);
    free(best);
    free(offsets);
}

/* Mean of r over all responses of the pairs. */
static double mean_of(RgTrainer *trainer, const RgReward *reward, const Data *data) {
    RgTape *t = trainer->tape;
    bool recording = rg_tape_record(t, false);
    const RgTensor *r = rg_reward_of(t, reward, &data->input);
    double sum = 0;
    for (int64_t i = 0; i < r->count; i++)
        sum += (double)r->data[i];
    sum /= (double)r->count;
    rg_tape_record(t, recording);
    rg_tape_reset(t);
    return sum;
}

static int reward_type(const RgFittedRewardOptions *o) {
    return o->reward == RG_REWARD_FITTED_MLP ? RG_REWARD_MLP : RG_REWARD_LINEAR;
}

RgStatus rg_fitted_reward_check(const char *method, const RgFittedRewardOptions *o,
                                const RgTask *task, RgError *error) {
    if (o->reward == RG_REWARD_JUDGED)
        return RG_OK;
    if (!rg_task_has_pairs(task))
        return rg_fail(error, RG_E_USAGE,
                       "%s fits a reward to preference pairs, and the environment has none: "
                       "expected reward = \"judge\"",
                       method);
    return rg_reward_check(reward_type(o), task, error);
}

void rg_fitted_reward_create(RgTrainer *trainer, const RgFittedRewardOptions *o,
                             RgFittedReward *fitted) {
    *fitted = (RgFittedReward){0};
    rg_reward_create(reward_type(o), o->reward_hidden, 0, trainer->reference, trainer->task,
                     rg_random_named(trainer->random, "fitted reward"), &fitted->reward);
    Data data = read_pairs(trainer, &fitted->reward);
    fit(trainer, o, &data, &fitted->reward);
    measure(trainer, &fitted->reward, &data, 0, data.pairs, &fitted->loss, &fitted->accuracy);
    fitted->mean = mean_of(trainer, &fitted->reward, &data);
    data_clear(&data);
}

void rg_fitted_reward_destroy(RgFittedReward *fitted) {
    if (fitted->reward.parameters)
        rg_reward_destroy(&fitted->reward);
}

void rg_fitted_reward_values(const RgFittedReward *fitted, RgPolicy *reference,
                             const RgSequences *sequences, double *value) {
    RgRewardInput input = rg_reward_input(&fitted->reward, reference, sequences);
    RgTape *tape = rg_tape_create();
    rg_tape_record(tape, false);
    rg_tape_count_onto(tape, reference->flops);
    const RgTensor *r = rg_reward_of(tape, &fitted->reward, &input);
    for (int64_t i = 0; i < r->count; i++)
        value[i] = (double)r->data[i] - fitted->mean;
    rg_tape_destroy(tape);
    rg_reward_input_free(&input);
}
