/* SPDX-License-Identifier: MIT */
/* PARL's levels over enumerated responses: every expectation is a sum over all [contexts C,
 * responses R]. */
#include "algorithms/parl/parl_levels.h"

#include "core/models/enumerated.h"

#include <stdlib.h>
#include <string.h>

typedef struct RgParlEnumeration {
    int64_t contexts, responses;
    RgRewardInput input; /* of all responses, in order */
    double *judged;      /* [C·R] rewards by the judge */
} Enumerated;

static RgTensor *log_policy(RgPolicy *policy, RgTape *t) {
    return rg_log_softmax(t, policy->type->logits(policy, t, policy->parameters));
}

static RgTensor *log_reference(RgParl *parl, RgTape *t) {
    return rg_parl_log_reference(parl, t, log_policy(parl->trainer->reference, t));
}

static RgTensor *reward_table(RgParl *parl, RgTape *t) {
    const Enumerated *e = parl->enumeration;
    return rg_reshape(t, rg_reward_of(t, &parl->reward, &e->input),
                      RG_SHAPE(e->contexts, e->responses));
}

static RgTensor *value(RgParl *parl, RgTape *t) {
    const Enumerated *e = parl->enumeration;
    RgTensor *logprob = log_policy(parl->trainer->policy, t);
    RgTensor *penalty =
        rg_scale(t, rg_sub(t, logprob, log_reference(parl, t)), (RgReal)parl->options->beta);
    RgTensor *gain = rg_sub(t, reward_table(parl, t), penalty);
    RgTensor *total = rg_sum(t, rg_mul(t, rg_exp(t, logprob), gain));
    return rg_scale(t, total, (RgReal)(1 / (double)e->contexts));
}

/* p*(a ≻ b) of the judge, [C, R, R]. */
static RgTensor *judge_labels(RgParl *parl, RgTape *t) {
    const Enumerated *e = parl->enumeration;
    int64_t c = e->contexts, r = e->responses;
    RgTensor *label = rg_filled(t, RG_SHAPE(c, r, r), 0);
    for (int64_t x = 0; x < c; x++)
        for (int64_t a = 0; a < r; a++)
            for (int64_t b = 0; b < r; b++)
                label->data[(x * r + a) * r + b] = (RgReal)rg_preference_probability(
                    parl->trainer->task, e->judged[x * r + a], e->judged[x * r + b]);
    return label;
}

/* −(1/C) Σ_x Σ_{a,b} π_a π_b · 2 p*(a ≻ b) · log σ(r_a − r_b): the sum has both orders of a pair,
 * so each label's probability counts twice. */
static RgTensor *preference_loss(RgParl *parl, RgTape *t, RgTensor *probability) {
    const Enumerated *e = parl->enumeration;
    int64_t c = e->contexts, r = e->responses;
    RgTensor *reward = reward_table(parl, t);
    RgTensor *margin = rg_sub(t, rg_reshape(t, reward, RG_SHAPE(c, r, 1)),
                              rg_reshape(t, reward, RG_SHAPE(c, 1, r)));
    RgTensor *joint = rg_mul(t, rg_reshape(t, probability, RG_SHAPE(c, r, 1)),
                             rg_reshape(t, probability, RG_SHAPE(c, 1, r)));
    RgTensor *fit = rg_mul(t, judge_labels(parl, t), rg_log_sigmoid(t, margin));
    return rg_scale(t, rg_sum(t, rg_mul(t, joint, fit)), (RgReal)(-2 / (double)c));
}

static RgTensor *objective(RgParl *parl, RgTape *t, double *number) {
    const Enumerated *e = parl->enumeration;
    RgTensor *probability = rg_exp(t, log_policy(parl->trainer->policy, t)), *y;
    if (parl->options->upper == RG_PARL_PREFERENCES) {
        y = preference_loss(parl, t, probability);
    } else {
        RgTensor *judged = rg_constant_from_double(t, probability->shape, e->judged);
        y = rg_scale(t, rg_sum(t, rg_mul(t, probability, judged)),
                     (RgReal)(-1 / (double)e->contexts));
    }
    *number = y->data[0];
    return y;
}

/* The optimum's logits are log π_ref + r_ν/β; ∂_θG is the gradient by logits. */
static void closed_form(RgParl *parl, const RgReal *upper_gradient, RgReal *w) {
    RgTape *t = parl->trainer->tape;
    RgTensor *reward = reward_table(parl, t);
    RgTensor *g = rg_constant(t, reward->shape, upper_gradient);
    RgTensor *along = rg_sum(t, rg_mul(t, g, reward));
    rg_parl_reward_gradient(parl, rg_scale(t, along, (RgReal)(1 / parl->options->beta)), w);
}

bool rg_parl_solve_enumerated(RgParl *parl) {
    RgTape *t = parl->trainer->tape;
    RgParameters *policy = parl->trainer->policy->parameters;
    bool recorded = rg_tape_record(t, false);
    const RgTensor *logits =
        rg_add(t, log_reference(parl, t),
               rg_scale(t, reward_table(parl, t), (RgReal)(1 / parl->options->beta)));
    memcpy(policy->value, logits->data, (size_t)policy->count * sizeof(RgReal));
    rg_tape_record(t, recorded);
    rg_tape_reset(t);
    return true;
}

RgStatus rg_parl_check_enumerable(const RgTask *task, const RgPolicy *policy, RgError *error) {
    if (!policy->type->logits)
        return rg_fail(error, RG_E_USAGE,
                       "parl: expectation = \"exact\" and lower = \"solved\" need a policy that "
                       "can be enumerated, not %s",
                       policy->type->about.name);
    if (task->prompts && task->prompts->count < rg_policy_contexts(policy))
        return rg_fail(
            error, RG_E_USAGE,
            "parl: expectation = \"exact\" and lower = \"solved\" take all contexts, and "
            "only %lld of %lld are training prompts: expected \"sampled\"",
            (long long)task->prompts->count, (long long)rg_policy_contexts(policy));
    return RG_OK;
}

RgStatus rg_parl_enumerate(RgParl *parl, RgError *error) {
    RgTrainer *trainer = parl->trainer;
    RgPolicy *policy = trainer->policy;
    if (parl->enumeration)
        return RG_OK;
    bool recorded = rg_tape_record(trainer->tape, false);
    const RgTensor *logits = policy->type->logits(policy, trainer->tape, policy->parameters);
    Enumerated *e = rg_allocate(1, sizeof *e);
    e->contexts = logits->shape.size[0];
    e->responses = logits->shape.size[1];
    rg_tape_record(trainer->tape, recorded);
    rg_tape_reset(trainer->tape);

    RgSequences *all = rg_sequences_create();
    for (int32_t x = 0; x < e->contexts; x++)
        for (int32_t y = 0; y < e->responses; y++)
            rg_sequences_append(all, &x, 1, &y, 1);
    e->judged = rg_allocate(all->count, sizeof *e->judged);
    parl->enumeration = e;
    RgStatus status = rg_task_judge(trainer->task, all, e->judged, error);
    if (status == RG_OK)
        e->input = rg_reward_input(&parl->reward, trainer->reference, all);
    rg_sequences_destroy(all);
    return status;
}

void rg_parl_enumeration_destroy(Enumerated *enumeration) {
    if (!enumeration)
        return;
    rg_reward_input_free(&enumeration->input);
    free(enumeration->judged);
    free(enumeration);
}

static RgStatus check(const RgParlOptions *options, const RgTask *task, const RgPolicy *policy,
                      RgError *error) {
    (void)options;
    return rg_parl_check_enumerable(task, policy, error);
}

static RgStatus create(RgParl *parl, RgError *error) {
    RG_TRY(rg_parl_enumerate(parl, error));
    parl->trainer->meter.judge_queries +=
        parl->enumeration->contexts * parl->enumeration->responses;
    return RG_OK;
}

const RgParlLevels rg_parl_enumerated = {
    .check = check,
    .create = create,
    .value = value,
    .objective = objective,
    .closed_form = closed_form,
};
