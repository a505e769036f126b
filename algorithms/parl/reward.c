/* SPDX-License-Identifier: MIT */
/* Reward models over features of the reference. */
#include "algorithms/parl/reward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rg_reward_names[] = {"linear", "mlp", NULL};

/* Views of the parameters; linear and design have only the first. */
enum { VIEW_OUTER, VIEW_INNER, VIEW_INNER_BIAS, VIEW_OUTER_BIAS };

/* ---- life ---- */

static void declare(RgReward *reward, int64_t hidden) {
    RgParameters *p = reward->parameters;
    bool mlp = reward->type == RG_REWARD_MLP;
    int64_t width = mlp ? hidden : reward->features;
    if (reward->mdp)
        width = reward->mdp->design_count;
    if (reward->known)
        width = reward->known->upper_count;
    rg_parameters_declare(p, "reward", 1, &width, false);
    if (mlp) {
        rg_parameters_declare(p, "reward.inner", 2, (const int64_t[]){hidden, reward->features},
                              true);
        rg_parameters_declare(p, "reward.inner_bias", 1, &hidden, false);
        rg_parameters_declare(p, "reward.outer_bias", 1, (const int64_t[]){1}, false);
    }
    rg_parameters_allocate(p);
}

/* Scale weights so that units of the inner layer have inputs near 1, for any number of features. */
static void initialise(RgReward *reward, double deviation, RgRandom random) {
    RgParameters *p = reward->parameters;
    double scale[] = {deviation, 1 / sqrt((double)reward->features)};
    int views = reward->type == RG_REWARD_MLP ? 2 : 1;
    for (int v = 0; v < views; v++) {
        RgRandom own = rg_random_at(random, (uint64_t)v);
        for (int64_t i = 0; scale[v] > 0 && i < p->views[v].count; i++)
            p->value[p->views[v].offset + i] =
                (RgReal)(scale[v] * rg_random_normal(own, (uint64_t)i));
    }
}

RgStatus rg_reward_check(int type, const RgTask *task, RgError *error) {
    bool defined = task->bilevel || (task->mdp && task->mdp->design);
    if (type == RG_REWARD_MLP && defined)
        return rg_fail(
            error, RG_E_USAGE,
            "reward: the environment defines the reward's parameters, expected \"linear\"");
    return RG_OK;
}

void rg_reward_create(int type, int64_t hidden, double deviation, const RgPolicy *reference,
                      const RgTask *task, RgRandom random, RgReward *reward) {
    const RgMdp *mdp = task->mdp && task->mdp->design ? task->mdp : NULL;
    const RgPolicyType *kind = reference->type;
    bool by_step = type == RG_REWARD_MLP && kind->step_features;
    *reward = (RgReward){.parameters = rg_parameters_create(),
                         .type = type,
                         .features = by_step ? kind->step_feature_count(reference)
                                             : rg_policy_feature_count(reference),
                         .by_step = by_step,
                         .simulator = task->simulator,
                         .discount = task->simulator ? task->simulator->discount : 1,
                         .mdp = mdp,
                         .known = task->bilevel};
    declare(reward, hidden);
    initialise(reward, deviation, random);
}

void rg_reward_destroy(RgReward *reward) {
    rg_parameters_destroy(reward->parameters);
    reward->parameters = NULL;
}

/* ---- its input ---- */

static RgReal *whole_features(const RgReward *reward, RgPolicy *reference,
                              const RgSequences *sequences) {
    int64_t count = sequences->count * reward->features;
    double *value = rg_allocate(count, sizeof *value);
    RgReal *features = rg_allocate(count, sizeof *features);
    rg_policy_features(reference, sequences, value);
    for (int64_t i = 0; i < count; i++)
        features[i] = (RgReal)value[i];
    free(value);
    return features;
}

/* Rows of the steps, with γ^t as weight. */
static void step_rows(const RgReward *reward, RgPolicy *reference, const RgSequences *sequences,
                      RgRewardInput *input) {
    input->offsets = rg_allocate(sequences->count + 1, sizeof *input->offsets);
    for (int64_t i = 0; i < sequences->count; i++)
        input->offsets[i + 1] =
            input->offsets[i] + rg_episode_steps(reward->simulator, sequences, i);
    input->rows = input->offsets[sequences->count];
    input->weight = rg_allocate(input->rows, sizeof *input->weight);
    for (int64_t i = 0; i < sequences->count; i++)
        for (int64_t row = input->offsets[i]; row < input->offsets[i + 1]; row++)
            input->weight[row] = (RgReal)pow(reward->discount, (double)(row - input->offsets[i]));
    size_t bytes = (size_t)(input->rows * reward->features) * sizeof *input->features;
    input->features = rg_allocate(1, bytes);
    RgTape *tape = rg_tape_create();
    rg_tape_record(tape, false);
    rg_tape_count_onto(tape, reference->flops);
    const RgTensor *features = reference->type->step_features(reference, tape, sequences);
    RG_ASSERT(features->count == input->rows * reward->features);
    memcpy(input->features, features->data, bytes);
    rg_tape_destroy(tape);
}

RgRewardInput rg_reward_input(const RgReward *reward, RgPolicy *reference,
                              const RgSequences *sequences) {
    RgRewardInput input = {.count = sequences->count, .rows = sequences->count};
    if (reward->by_step)
        step_rows(reward, reference, sequences, &input);
    else
        input.features = whole_features(reward, reference, sequences);
    return input;
}

void rg_reward_input_free(RgRewardInput *input) {
    free(input->features);
    free(input->offsets);
    free(input->weight);
    *input = (RgRewardInput){0};
}

/* ---- the reward ---- */

/* w·tanh(W φ + b) + c of each row. */
static RgTensor *mlp(RgTape *t, const RgReward *reward, RgTensor *features) {
    RgParameters *p = reward->parameters;
    RgTensor *hidden = rg_tanh(t, rg_linear(t, features, rg_parameter(t, p, VIEW_INNER),
                                            rg_parameter(t, p, VIEW_INNER_BIAS), NULL));
    RgTensor *outer = rg_parameter(t, p, VIEW_OUTER);
    RgTensor *y = rg_matmul(t, hidden, rg_reshape(t, outer, RG_SHAPE(outer->count, 1)));
    return rg_add(t, rg_reshape(t, y, RG_SHAPE(y->count)), rg_parameter(t, p, VIEW_OUTER_BIAS));
}

static RgTensor *linear(RgTape *t, const RgReward *reward, RgTensor *features) {
    RgTensor *weights = rg_parameter(t, reward->parameters, VIEW_OUTER);
    if (reward->mdp)
        weights = rg_mdp_design(t, reward->mdp, weights);
    weights = rg_reshape(t, weights, RG_SHAPE(reward->features, 1));
    return rg_reshape(t, rg_matmul(t, features, weights), RG_SHAPE(features->shape.size[0]));
}

/* The reward of each row of features. */
static RgTensor *of_rows(RgTape *t, const RgReward *reward, const RgRewardInput *input) {
    RgTensor *features = rg_borrow(t, RG_SHAPE(input->rows, reward->features), input->features);
    return reward->type == RG_REWARD_MLP ? mlp(t, reward, features) : linear(t, reward, features);
}

RgTensor *rg_reward_of_steps(RgTape *t, const RgReward *reward, const RgRewardInput *input) {
    RG_ASSERT(reward->by_step);
    return rg_mul(t, of_rows(t, reward, input), rg_borrow(t, RG_SHAPE(input->rows), input->weight));
}

RgTensor *rg_reward_of(RgTape *t, const RgReward *reward, const RgRewardInput *input) {
    if (!reward->by_step)
        return of_rows(t, reward, input);
    return rg_segment_sum(t, rg_reward_of_steps(t, reward, input), input->offsets, input->count);
}
