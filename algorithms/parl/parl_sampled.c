/* SPDX-License-Identifier: MIT */
/* PARL's levels from samples: two adjacent responses to each prompt.
 *
 * Each sample has the weight π_θ/π_sampled. It is 1 at the θ of sampling, and its derivatives of
 * every order are those of the expectation. So differentiating the scalars twice gives an unbiased
 * Hessian, the outer product of scores included. At another θ the same samples are reweighted. */
#include "algorithms/parl/parl_levels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Responses sampled from the policy, with quantities that are constant in θ and ν. */
typedef struct Batch {
    RgSequences *sequences;
    double *reference; /* [count], or of all steps, log π_ref; of a lower batch */
    double *drawn;     /* the same size, log π at sampling; NULL until first computed */
    RgRewardInput input;
    uint8_t *preferred; /* [count / 2] of an upper batch under upper = preferences */
    double *judged;     /* [count] of an upper batch under upper = utility */
} Batch;

typedef struct Sampled {
    Batch lower, upper;
    Batch others; /* other responses to the upper batch's prompts, for the closed form */
} Sampled;

static void batch_clear(Batch *batch) {
    rg_sequences_destroy(batch->sequences);
    free(batch->reference);
    free(batch->drawn);
    rg_reward_input_free(&batch->input);
    free(batch->preferred);
    free(batch->judged);
    *batch = (Batch){0};
}

/* ---- pairs ---- */

static RgTensor *of_pairs(RgTape *t, RgTensor *x, int64_t which) {
    return rg_slice(t, rg_reshape(t, x, RG_SHAPE(x->count / 2, 2)), 1, which, 1);
}

/* The other response's number, as baseline of each response: leave-one-out with two samples. */
static RgTensor *swap_pairs(RgTape *t, RgTensor *x) {
    RgTensor *swapped[] = {of_pairs(t, x, 1), of_pairs(t, x, 0)};
    return rg_reshape(t, rg_concatenate(t, 1, swapped, 2), x->shape);
}

/* For each number, the mean of the others. */
static RgTensor *leave_one_out(RgTape *t, const RgTensor *x) {
    RgTensor *baseline = rg_filled(t, x->shape, 0);
    double sum = 0;
    for (int64_t i = 0; i < x->count; i++)
        sum += x->data[i];
    for (int64_t i = 0; i < x->count && x->count > 1; i++)
        baseline->data[i] = (RgReal)((sum - x->data[i]) / (double)(x->count - 1));
    return baseline;
}

static double mean_of(const RgTensor *x) {
    double sum = 0;
    for (int64_t i = 0; i < x->count; i++)
        sum += x->data[i];
    return sum / (double)x->count;
}

/* ---- log-probabilities ---- */

static RgTensor *numbers(RgTape *t, const double *value, int64_t count) {
    return rg_constant_from_double(t, RG_SHAPE(count), value);
}

/* log π_θ of the batch, or of all its steps. The first call, before θ moves, stores the values at
 * sampling. */
static RgTensor *logprob_of(RgParl *parl, RgTape *t, Batch *batch, bool by_step) {
    RgTensor *logprob = (by_step ? rg_policy_step_logprob
                                 : rg_policy_logprob)(t, parl->trainer->policy, batch->sequences);
    if (!batch->drawn) {
        batch->drawn = rg_allocate(logprob->count, sizeof *batch->drawn);
        for (int64_t i = 0; i < logprob->count; i++)
            batch->drawn[i] = logprob->data[i];
    }
    return logprob;
}

/* log(π_θ / π_drawn), [count]. */
static RgTensor *log_weight(RgTape *t, RgTensor *logprob, const Batch *batch) {
    return rg_sub(t, logprob, numbers(t, batch->drawn, logprob->count));
}

/* ---- the levels ---- */

/* The value of a response, or of a step of weight γ^t, to the lower level, [count]: `gain` under
 * the current policy, `drawn` under the sampling policy. Baselines are made of the latter: they do
 * not depend on the sample that they are subtracted from, and do not change the expectation. */
static void gains(RgParl *parl, RgTape *t, const Batch *batch, RgTensor *logprob, RgTensor *reward,
                  RgTensor *discount, RgTensor **gain, RgTensor **drawn) {
    int64_t n = logprob->count;
    RgReal beta = (RgReal)parl->options->beta;
    RgTensor *reference = rg_parl_log_reference(parl, t, numbers(t, batch->reference, n));
    RgTensor *ratio[] = {rg_sub(t, logprob, reference),
                         rg_sub(t, numbers(t, batch->drawn, n), reference)};
    for (int k = 0; k < 2; k++) {
        RgTensor *divergence = rg_scale(t, ratio[k], beta);
        if (discount)
            divergence = rg_mul(t, divergence, discount);
        *(k == 0 ? gain : drawn) = rg_sub(t, reward, divergence);
    }
}

static RgTensor *value_by_response(RgParl *parl, RgTape *t) {
    Batch *batch = &((Sampled *)parl->samples)->lower;
    RgTensor *logprob = logprob_of(parl, t, batch, false), *gain, *drawn;
    gains(parl, t, batch, logprob, rg_reward_of(t, &parl->reward, &batch->input), NULL, &gain,
          &drawn);
    RgTensor *weight = rg_exp(t, log_weight(t, logprob, batch));
    return rg_mean(t, rg_mul(t, weight, rg_sub(t, gain, swap_pairs(t, drawn))));
}

/* Numbers of all steps, concatenated, as [episodes, most steps]; 0 after the end of an episode. */
static RgTensor *by_time(RgTape *t, RgTensor *x, const int64_t *offsets, int64_t episodes) {
    int64_t most = 0;
    int32_t *place = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, x->count);
    for (int64_t i = 0; i < episodes; i++)
        most = offsets[i + 1] - offsets[i] > most ? offsets[i + 1] - offsets[i] : most;
    for (int64_t i = 0; i < episodes; i++)
        for (int64_t row = offsets[i]; row < offsets[i + 1]; row++)
            place[row] = (int32_t)(i * most + row - offsets[i]);
    RgTensor *spread =
        rg_scatter_rows(t, rg_reshape(t, x, RG_SHAPE(x->count, 1)), place, episodes * most);
    return rg_reshape(t, spread, RG_SHAPE(episodes, most));
}

/* [n, n]: 1 on and right of the diagonal, so that x·it is a cumulative sum. */
static RgTensor *up_to_here(RgTape *t, int64_t n) {
    RgTensor *y = rg_filled(t, RG_SHAPE(n, n), 0);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++)
            y->data[i * n + j] = 1;
    return y;
}

/* [n, n]: the matrix that computes the mean of the others. */
static RgTensor *mean_of_others(RgTape *t, int64_t n) {
    RgTensor *y = rg_filled(t, RG_SHAPE(n, n), (RgReal)(1.0 / (double)(n - 1)));
    for (int64_t i = 0; i < n; i++)
        y->data[i * n + i] = 0;
    return y;
}

/* A step's value is weighted with the actions up to it, so that an action affects only what
 * follows. Its baseline is the mean of the other episodes at that time. An episode that has ended
 * continues with value 0 and constant weight. If it had no baseline from then on, the baselines of
 * the others would depend on its length, which depends on its actions. */
static RgTensor *value_by_step(RgParl *parl, RgTape *t) {
    Batch *batch = &((Sampled *)parl->samples)->lower;
    const RgRewardInput *input = &batch->input;
    int64_t n = input->count;
    RgTensor *logprob = logprob_of(parl, t, batch, true), *gain, *drawn;
    gains(parl, t, batch, logprob, rg_reward_of_steps(t, &parl->reward, input),
          rg_borrow(t, RG_SHAPE(input->rows), input->weight), &gain, &drawn);
    RgTensor *log_weights = by_time(t, log_weight(t, logprob, batch), input->offsets, n);
    RgTensor *baseline = rg_matmul(t, mean_of_others(t, n), by_time(t, drawn, input->offsets, n));
    int64_t most = log_weights->count / n;
    RgTensor *weight = rg_exp(t, rg_matmul(t, log_weights, up_to_here(t, most)));
    RgTensor *gap = rg_sub(t, by_time(t, gain, input->offsets, n), baseline);
    return rg_scale(t, rg_sum(t, rg_mul(t, weight, gap)), (RgReal)(1.0 / (double)n));
}

static RgTensor *value(RgParl *parl, RgTape *t) {
    return parl->reward.by_step ? value_by_step(parl, t) : value_by_response(parl, t);
}

/* −log σ(r_w − r_l) of each pair, [pairs]. */
static RgTensor *preference_loss(RgParl *parl, RgTape *t, const Batch *batch) {
    RgTensor *reward = rg_reward_of(t, &parl->reward, &batch->input);
    RgTensor *margin = rg_sub(t, of_pairs(t, reward, 0), of_pairs(t, reward, 1));
    RgTensor *sign = rg_filled(t, margin->shape, 1);
    for (int64_t i = 0; i < margin->count; i++)
        sign->data[i] = batch->preferred[i] == 0 ? 1 : -1;
    RgTensor *loss = rg_negate(t, rg_log_sigmoid(t, rg_mul(t, sign, margin)));
    return rg_reshape(t, loss, RG_SHAPE(loss->count));
}

/* −U of each response, [count]: the judge's reward, or the objective of the environment's
 * design. */
static RgTensor *negative_utility(RgParl *parl, RgTape *t, const Batch *batch) {
    const RgReward *reward = &parl->reward;
    int64_t n = batch->sequences->count;
    if (!reward->mdp || !reward->mdp->utility)
        return rg_negate(t, numbers(t, batch->judged, n));
    RgTensor *table = rg_mdp_utility(t, reward->mdp, rg_parameter(t, reward->parameters, 0));
    RgTensor *visits = rg_borrow(t, RG_SHAPE(n, reward->features), batch->input.features);
    RgTensor *total = rg_matmul(t, visits, rg_reshape(t, table, RG_SHAPE(reward->features, 1)));
    return rg_negate(t, rg_reshape(t, total, RG_SHAPE(n)));
}

/* The loss of the upper level: per pair, or per response. */
static RgTensor *losses(RgParl *parl, RgTape *t, const Batch *batch) {
    return parl->options->upper == RG_PARL_PREFERENCES ? preference_loss(parl, t, batch)
                                                       : negative_utility(parl, t, batch);
}

static RgTensor *objective(RgParl *parl, RgTape *t, double *number) {
    Batch *batch = &((Sampled *)parl->samples)->upper;
    RgTensor *weight = log_weight(t, logprob_of(parl, t, batch, false), batch);
    RgTensor *loss = losses(parl, t, batch);
    if (loss->count < weight->count) { /* one loss per pair */
        weight = rg_add(t, of_pairs(t, weight, 0), of_pairs(t, weight, 1));
        weight = rg_reshape(t, weight, loss->shape);
    }
    *number = mean_of(loss);
    return rg_mean(t, rg_mul(t, rg_exp(t, weight), rg_sub(t, loss, leave_one_out(t, loss))));
}

/* ---- the closed form ---- */

/* (1/β) E[(ℓ − b)·(∂_νr(y) − ∂_νr(y'))], summed over the responses y of ℓ; y' are other responses
 * to the same prompt. */
static void covariance(RgParl *parl, RgReal *w) {
    const Sampled *s = parl->samples;
    RgTape *t = parl->trainer->tape;
    RgTensor *loss = rg_stop_gradient(t, losses(parl, t, &s->upper));
    RgTensor *gap = rg_sub(t, rg_reward_of(t, &parl->reward, &s->upper.input),
                           rg_reward_of(t, &parl->reward, &s->others.input));
    if (loss->count < gap->count)
        gap = rg_reshape(t, rg_add(t, of_pairs(t, gap, 0), of_pairs(t, gap, 1)), loss->shape);
    RgTensor *mean = rg_mean(t, rg_mul(t, rg_sub(t, loss, leave_one_out(t, loss)), gap));
    rg_parl_reward_gradient(parl, rg_scale(t, mean, (RgReal)(1 / parl->options->beta)), w);
}

/* (1/β) Σ g(s,a) ∂_νQ(s,a). Q's derivative is the mean over all visits of a state and action of the
 * discounted ∂_νr from there on. The result is a table of the weight of each ∂_νr(s,a), [states ·
 * actions]. */
static void count_visits(const RgSimulator *d, const RgSequences *s, const RgReal *g,
                         double *table) {
    double *visits = rg_allocate(d->states * d->actions, sizeof *visits);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < s->count; i++) {
            double from_before = 0;
            for (int64_t h = 0; h < rg_episode_steps(d, s, i); h++) {
                int64_t cell = *rg_episode_observation(d, s, i, h) * d->actions +
                               *rg_episode_action(d, s, i, h);
                if (pass == 0) {
                    visits[cell]++;
                    continue;
                }
                from_before = d->discount * from_before + (double)g[cell] / visits[cell];
                table[cell] += from_before;
            }
        }
    free(visits);
}

static void by_visits(RgParl *parl, const RgReal *upper_gradient, RgReal *w) {
    const Sampled *s = parl->samples;
    const RgMdp *mdp = parl->trainer->task->mdp;
    RgTape *t = parl->trainer->tape;
    double *table = rg_allocate(mdp->states * mdp->actions, sizeof *table);
    count_visits(parl->trainer->task->simulator, s->upper.sequences, upper_gradient, table);
    RgTensor *reward = rg_mdp_design(t, mdp, rg_parameter(t, parl->reward.parameters, 0));
    RgTensor *along = rg_mul(t, rg_constant_from_double(t, reward->shape, table), reward);
    rg_parl_reward_gradient(parl, rg_scale(t, rg_sum(t, along), (RgReal)(1 / parl->options->beta)),
                            w);
    free(table);
}

/* In an MDP the policy does not choose the transitions: the closed form of its optimum is per step,
 * not per episode. */
static void closed_form(RgParl *parl, const RgReal *upper_gradient, RgReal *w) {
    if (parl->trainer->task->mdp)
        by_visits(parl, upper_gradient, w);
    else
        covariance(parl, w);
}

/* ---- sampling ---- */

/* Index of the random stream of a batch in a round: K lower steps, the upper level, the Hessian. */
static int64_t draw_number(const RgParl *parl, int64_t round, int64_t batch) {
    return round * (parl->options->inner_steps + 2) + batch;
}

static void fill_batch(RgParl *parl, Batch *batch, RgSequences *sequences) {
    batch_clear(batch);
    batch->sequences = sequences;
    batch->input = rg_reward_input(&parl->reward, parl->trainer->reference, sequences);
}

static void draw_value_batch(RgParl *parl, int64_t draw, int64_t prompts, bool second_order) {
    Sampled *s = parl->samples;
    Batch *batch = &s->lower;
    RgPolicy *reference = parl->trainer->reference;
    RgSequences *sequences = rg_sequences_create();
    rg_trainer_sample(parl->trainer, draw, prompts, 2, sequences);
    fill_batch(parl, batch, sequences);
    batch->reference = rg_allocate(batch->input.rows, sizeof(double));
    if (parl->reward.by_step)
        rg_policy_step_values(reference, sequences, batch->reference);
    else if (second_order) /* its products are in fp32 */
        rg_policy_logprob_values(reference, sequences, batch->reference);
    else
        rg_policy_training_values(reference, sequences, batch->reference);
}

static void draw_lower(RgParl *parl, int64_t round, int64_t inner) {
    RgTrainer *trainer = parl->trainer;
    draw_value_batch(parl, draw_number(parl, round, inner), trainer->training.batch, false);
    const Sampled *s = parl->samples;
    trainer->meter.trained_tokens += rg_policy_count_tokens(trainer->policy, s->lower.sequences);
}

/* Remove unlabelled pairs. */
static void keep_labelled(const uint8_t *all, RgSequences **sequences, uint8_t *preferred) {
    RgSequences *kept = rg_sequences_create();
    int64_t pairs = (*sequences)->count / 2, count = 0;
    for (int64_t i = 0; i < pairs; i++) {
        if (all[i] == RG_UNLABELLED)
            continue;
        rg_sequences_append_from(kept, *sequences, 2 * i, false);
        rg_sequences_append_from(kept, *sequences, 2 * i + 1, false);
        preferred[count++] = all[i];
    }
    rg_sequences_destroy(*sequences);
    *sequences = kept;
}

/* The judge's labels or rewards of the upper batch. Unlabelled pairs are removed, together with the
 * other responses to their prompts. */
static RgStatus judge(RgParl *parl, int64_t round, RgSequences **sequences, RgSequences **others,
                      uint8_t **preferred, double **judged, RgError *error) {
    RgTrainer *trainer = parl->trainer;
    int64_t n = (*sequences)->count;
    if (parl->options->upper == RG_PARL_UTILITY) {
        *judged = rg_allocate(n, sizeof **judged);
        return rg_trainer_judge(trainer, *sequences, *judged, error);
    }
    *preferred = rg_allocate(n / 2, sizeof **preferred);
    uint8_t *all = rg_allocate(n / 2, sizeof *all);
    RgRandom labels = rg_random_at(rg_random_named(trainer->random, "labels"), (uint64_t)round);
    RgStatus status = rg_trainer_label(trainer, *sequences, labels, all, error);
    if (status == RG_OK && *others)
        keep_labelled(all, others, *preferred);
    if (status == RG_OK)
        keep_labelled(all, sequences, *preferred);
    free(all);
    return status;
}

/* Of four responses to each prompt, the first two; and the other two. */
static void split_fours(const RgSequences *fours, RgSequences *pairs, RgSequences *others) {
    for (int64_t i = 0; i < fours->count; i++)
        rg_sequences_append_from(i % 4 < 2 ? pairs : others, fours, i, false);
}

static RgStatus draw_upper(RgParl *parl, int64_t round, RgError *error) {
    const RgParlOptions *o = parl->options;
    RgTrainer *trainer = parl->trainer;
    Sampled *s = parl->samples;
    const RgEstimator *estimator = (const RgEstimator *)o->estimator.type;
    bool with_others = estimator->by_closed_form && !trainer->task->mdp;
    RgSequences *sequences = rg_sequences_create(), *others = NULL;
    rg_trainer_sample(trainer, draw_number(parl, round, o->inner_steps), trainer->training.batch,
                      with_others ? 4 : 2, sequences);
    if (with_others) {
        RgSequences *pairs = rg_sequences_create();
        others = rg_sequences_create();
        split_fours(sequences, pairs, others);
        rg_sequences_destroy(sequences);
        sequences = pairs;
    }
    uint8_t *preferred = NULL;
    double *judged = NULL;
    RgStatus status = judge(parl, round, &sequences, &others, &preferred, &judged, error);
    if (others)
        fill_batch(parl, &s->others, others);
    fill_batch(parl, &s->upper, sequences);
    s->upper.preferred = preferred;
    s->upper.judged = judged;
    if (status != RG_OK)
        return status;
    trainer->meter.trained_tokens += rg_policy_count_tokens(trainer->policy, sequences);
    if (estimator->order > 0)
        draw_value_batch(parl, draw_number(parl, round, o->inner_steps + 1), o->curvature_prompts,
                         true);
    return RG_OK;
}

/* ---- life ---- */

static RgStatus check(const RgParlOptions *o, const RgTask *task, const RgPolicy *policy,
                      RgError *error) {
    (void)policy;
    if (task->mdp && task->mdp->dynamics)
        return rg_fail(error, RG_E_USAGE,
                       "parl: the transitions depend on the upper level's parameters, and episodes "
                       "are drawn without them: expected expectation = \"exact\"");
    if (task->mdp && o->reward != RG_REWARD_LINEAR &&
        ((const RgEstimator *)o->estimator.type)->by_closed_form)
        return rg_fail(error, RG_E_USAGE,
                       "parl: in a known MDP, the closed form needs reward = \"linear\"");
    return RG_OK;
}

static RgStatus create(RgParl *parl, RgError *error) {
    (void)error;
    parl->samples = rg_allocate(1, sizeof(Sampled));
    return RG_OK;
}

static void destroy(RgParl *parl) {
    Sampled *s = parl->samples;
    if (!s)
        return;
    batch_clear(&s->lower);
    batch_clear(&s->upper);
    batch_clear(&s->others);
    free(s);
}

const RgParlLevels rg_parl_sampled = {
    .check = check,
    .create = create,
    .destroy = destroy,
    .draw_lower = draw_lower,
    .draw_upper = draw_upper,
    .value = value,
    .objective = objective,
    .closed_form = closed_form,
};
