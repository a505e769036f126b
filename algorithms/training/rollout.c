/* SPDX-License-Identifier: MIT */
/* The sources of a batch's responses and labels. All random numbers are those of the step: the same
 * step gives the same batch. No log-probabilities are computed here. */
#include "algorithms/training/rollout.h"

#include "algorithms/training/expectation.h"
#include "algorithms/training/pair_sampler.h"

#include "core/tensor/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- responses ---- */

static RgSampling training_sampling(const RgTrainer *trainer) {
    return (RgSampling){.temperature = trainer->training.temperature,
                        .top_k = trainer->training.top_k,
                        .top_p = trainer->training.top_p,
                        .min_p = trainer->training.min_p,
                        .response_limit = trainer->task->response_limit,
                        .tokens = trainer->task->tokens,
                        .end_token = trainer->task->end_token,
                        .stop = trainer->task->stop,
                        .process_group = trainer->task->process_group};
}

static RgRandom stream(const RgTrainer *trainer, const char *name, int64_t draw) {
    return rg_random_at(rg_random_named(trainer->random, name), (uint64_t)draw);
}

/* Responses to `prompts`, metered. */
static void sample(RgTrainer *trainer, RgPolicy *policy, const RgSampling *sampling,
                   const char *name, int64_t draw, const RgSequences *prompts, int64_t copies,
                   RgSequences *out) {
    rg_policy_sample(policy, prompts, copies, sampling, stream(trainer, name, draw), out, NULL);
    trainer->meter.generated_tokens += rg_policy_count_tokens(policy, out);
    const RgSimulator *simulator = trainer->task->simulator;
    for (int64_t i = 0; simulator && i < out->count; i++)
        trainer->failed_episodes += rg_episode_failed(simulator, out, i);
}

static RgSequences *next_prompts(RgTrainer *trainer, int64_t draw, int64_t count) {
    RgSequences *prompts = rg_sequences_create();
    for (int64_t i = 0; i < count; i++)
        rg_sequences_append_from(prompts, trainer->task->prompts,
                                 rg_shuffle_at(&trainer->prompts, draw * count + i), true);
    return prompts;
}

void rg_trainer_sample(RgTrainer *trainer, int64_t draw, int64_t prompts, int64_t copies,
                       RgSequences *out) {
    RgSequences *chosen_prompts = next_prompts(trainer, draw, prompts);
    RgSampling sampling = training_sampling(trainer);
    sample(trainer, trainer->sampler, &sampling, "responses", draw, chosen_prompts, copies, out);
    rg_sequences_destroy(chosen_prompts);
}

/* One response of a source to each prompt: policy, reference, or their mixture. */
static void sample_from(RgTrainer *trainer, RgSource source, const char *name, int64_t step,
                        const RgSequences *prompts, RgSequences *out) {
    RgSampling sampling = training_sampling(trainer);
    RgPolicy *policy = source == RG_FROM_REFERENCE ? trainer->reference : trainer->sampler;
    if (source == RG_FROM_MIXTURE) {
        sampling.partner = trainer->reference;
        sampling.partner_share = trainer->recipe.reference_share;
    }
    sample(trainer, policy, &sampling, name, step, prompts, 1, out);
}

/* ---- pairs ---- */

/* Pairs of a sequence of `first` and one of `second`. */
static void interleave(const RgSequences *first, const RgSequences *second, RgSequences *out) {
    rg_sequences_clear(out);
    for (int64_t i = 0; i < first->count; i++) {
        rg_sequences_append_from(out, first, i, false);
        rg_sequences_append_from(out, second, i, false);
    }
}

/* Pairs that are not of independent responses. */
static RgStatus sample_by_pair(RgTrainer *trainer, int64_t step, int64_t count, RgSequences *out,
                               double *weight, RgError *error) {
    RgSequences *prompts = next_prompts(trainer, step, count);
    RgStatus status = rg_pair_sampler_draw(trainer, stream(trainer, "responses", step), prompts,
                                           out, weight, error);
    rg_sequences_destroy(prompts);
    return status;
}

/* Pairs of the best and the worst of the recipe's candidates, by the judge. */
static RgStatus sample_extremes(RgTrainer *trainer, int64_t step, int64_t count, RgSequences *out,
                                RgError *error) {
    int64_t k = trainer->recipe.candidates, best, worst;
    RgSequences *all = rg_sequences_create();
    rg_trainer_sample(trainer, step, count, k, all);
    double *reward = rg_allocate(all->count, sizeof *reward);
    RgStatus status = rg_trainer_judge(trainer, all, reward, error);
    for (int64_t i = 0; i < count && status == RG_OK; i++) {
        rg_best_and_worst(reward + k * i, k, &best, &worst);
        rg_sequences_append_from(out, all, k * i + best, false);
        rg_sequences_append_from(out, all, k * i + worst, false);
    }
    free(reward);
    rg_sequences_destroy(all);
    return status;
}

/* `count` on-policy pairs; at least one response of each is sampled. weight [count] out, by a pair
 * sampler only. */
static RgStatus sample_pairs(RgTrainer *trainer, int64_t step, int64_t count, RgSequences *out,
                             double *weight, RgError *error) {
    const RgRecipe *r = &trainer->recipe;
    if (r->pair_sampler != RG_PAIRS_INDEPENDENT)
        return sample_by_pair(trainer, step, count, out, weight, error);
    if (r->candidates > 2)
        return sample_extremes(trainer, step, count, out, error);
    if (r->opponents == RG_FROM_NOWHERE || r->opponents == RG_FROM_POLICY) {
        rg_trainer_sample(trainer, step, count, 2, out);
        return RG_OK;
    }
    RgSequences *first = rg_sequences_create(), *second = rg_sequences_create();
    if (r->responses == RG_FROM_POLICY)
        rg_trainer_sample(trainer, step, count, 1, first);
    else
        for (int64_t i = 0; i < count; i++)
            rg_sequences_append_from(first, trainer->task->demonstrations,
                                     rg_shuffle_at(&trainer->demonstrations, step * count + i),
                                     false);
    sample_from(trainer, r->opponents, "opponents", step, first, second);
    interleave(first, second, out);
    rg_sequences_destroy(first);
    rg_sequences_destroy(second);
    return RG_OK;
}

static bool samples_pairs(const RgRecipe *r) {
    return r->responses == RG_FROM_POLICY || r->opponents != RG_FROM_NOWHERE;
}

/* Choose the on-policy pairs of the step: each independently with probability `on_policy`. */
static int64_t draw_routes(RgTrainer *trainer, int64_t step, RgReal *on_policy) {
    RgRandom route = stream(trainer, "mixture", step);
    int64_t count = 0;
    for (int64_t i = 0; i < trainer->training.batch; i++) {
        bool own = rg_random_uniform(route, (uint64_t)i) < trainer->recipe.on_policy;
        on_policy[i] = own ? 1 : 0;
        count += own;
    }
    return count;
}

RgStatus rg_trainer_judge(RgTrainer *trainer, const RgSequences *sequences, double *reward,
                          RgError *error) {
    rg_profile_lap("other", false);
    RgStatus status = rg_task_judge(trainer->task, sequences, reward, error);
    rg_profile_lap("judge", false);
    trainer->meter.judge_queries += sequences->count;
    return status;
}

RgStatus rg_trainer_label(RgTrainer *trainer, const RgSequences *sequences, RgRandom random,
                          uint8_t *preferred, RgError *error) {
    rg_profile_lap("other", false);
    RgStatus status = rg_task_label(trainer->task, sequences, random, preferred, error);
    rg_profile_lap("judge", false);
    trainer->meter.judge_queries += sequences->count;
    return status;
}

/* The judge's labels; zeros if the first response is always preferred. */
static RgStatus label(RgTrainer *trainer, int64_t step, const RgSequences *pairs,
                      uint8_t *preferred, RgError *error) {
    memset(preferred, 0, (size_t)(pairs->count / 2));
    const RgRecipe *r = &trainer->recipe;
    if (r->preferences != RG_FROM_JUDGE || r->candidates > 2 || pairs->count == 0)
        return RG_OK;
    return rg_trainer_label(trainer, pairs, stream(trainer, "labels", step), preferred, error);
}

int64_t rg_trainer_read_pair(RgTrainer *trainer, int64_t position) {
    int64_t pair = rg_shuffle_at(&trainer->pairs, position);
    int64_t *word = &trainer->pairs_read[pair / 64], bit = (int64_t)(1ULL << (pair % 64));
    trainer->meter.dataset_responses += *word & bit ? 0 : trainer->recipe.single ? 1 : 2;
    *word |= bit;
    return pair;
}

static void set_order(RgRollout *rollout, int64_t pair, int64_t preferred) {
    rollout->order[2 * pair] = (int32_t)preferred;
    rollout->order[2 * pair + 1] = (int32_t)(1 - preferred);
}

/* Fill the batch with offline pairs and on-policy pairs; those in `sampled` have labels, and
 * weights if the recipe has matched ones. */
static void take_pairs(RgTrainer *trainer, int64_t step, const RgSequences *sampled,
                       const uint8_t *labels, const double *weight, RgRollout *rollout) {
    const RgTask *task = trainer->task;
    bool samples = samples_pairs(&trainer->recipe);
    int64_t n = trainer->training.batch, next_sample = 0;
    for (int64_t i = 0; i < n; i++) {
        bool own = rollout->on_policy[i] != 0 && samples;
        if (own && labels[next_sample] == RG_UNLABELLED) {
            own = false; /* an offline pair replaces an unlabelled one */
            rollout->on_policy[i] = 0;
            next_sample++;
        }
        const RgSequences *source = own ? sampled : task->pairs->sequences;
        int64_t pair = own ? next_sample++ : rg_trainer_read_pair(trainer, step * n + i);
        rg_sequences_append_pair(rollout->sequences, source, pair);
        set_order(rollout, i, own ? labels[pair] : task->pairs->preferred[pair]);
        rollout->sampled[i] = own;
        rollout->pair[i] = own ? -1 : pair;
        if (rollout->weight)
            rollout->weight[i] = own ? (RgReal)weight[pair] : 1;
    }
}

static RgStatus draw_pairs(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t n = trainer->training.batch;
    rollout->k = 2;
    rollout->order = RG_ARENA_ARRAY(arena, int32_t, 2 * n);
    rollout->on_policy = RG_ARENA_ARRAY(arena, RgReal, n);
    rollout->sampled = RG_ARENA_ARRAY(arena, bool, n);
    rollout->pair = RG_ARENA_ARRAY(arena, int64_t, n);
    if (trainer->recipe.matched_weights)
        rollout->weight = RG_ARENA_ARRAY(arena, RgReal, n);

    int64_t count = draw_routes(trainer, step, rollout->on_policy);
    RgSequences *sampled = rg_sequences_create();
    uint8_t *labels = rg_arena_allocate(arena, (size_t)n);
    double *weight = RG_ARENA_ARRAY(arena, double, n);
    RgStatus status = RG_OK;
    if (samples_pairs(&trainer->recipe) && count > 0)
        status = sample_pairs(trainer, step, count, sampled, weight, error);
    if (status == RG_OK)
        status = label(trainer, step, sampled, labels, error);
    if (status == RG_OK)
        take_pairs(trainer, step, sampled, labels, weight, rollout);
    rg_sequences_destroy(sampled);
    return status;
}

/* ---- rivals ---- */

/* Pairs of each response with the rival of its prompt. */
static void pair_with_rivals(const RgRollout *rollout, const RgSequences *rivals,
                             RgSequences *out) {
    for (int64_t i = 0; i < rollout->sequences->count; i++) {
        rg_sequences_append_from(out, rollout->sequences, i, false);
        rg_sequences_append_from(out, rivals, i / 2, false);
    }
}

RgStatus rg_rollout_rate(RgTrainer *trainer, int64_t step, int draw, RgRollout *rollout,
                         RgError *error) {
    static const char *const draws[] = {"rivals", "rivals at the half point"};
    if (rollout->exact)
        return rg_expectation_rate(trainer, rollout, error);
    int64_t count = rollout->sequences->count;
    RgArena *arena = rg_tape_arena(trainer->tape);
    uint8_t *preferred = rg_arena_allocate(arena, (size_t)count);
    RgSequences *prompts = rg_sequences_create(), *rivals = rg_sequences_create();
    RgSequences *compared = rg_sequences_create();
    for (int64_t i = 0; i < count / 2; i++)
        rg_sequences_append_from(prompts, rollout->sequences, 2 * i, true);
    sample_from(trainer, trainer->recipe.rivals, draws[draw], step, prompts, rivals);
    pair_with_rivals(rollout, rivals, compared);
    RgRandom labels = rg_random_named(stream(trainer, "labels", step), draws[draw]);
    RgStatus status = rg_trainer_label(trainer, compared, labels, preferred, error);
    if (!rollout->win_rate)
        rollout->win_rate = RG_ARENA_ARRAY(arena, double, count);
    for (int64_t i = 0; status == RG_OK && i < count; i++)
        rollout->win_rate[i] = preferred[i] == RG_UNLABELLED ? 0.5 : preferred[i] == 0;
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(rivals);
    rg_sequences_destroy(compared);
    return status;
}

/* ---- the third responses ---- */

/* The prompt of each pair with the responses of the next pair, or with only the chosen one; that of
 * each single response with the next one. */
static void pair_with_others(const RgRollout *rollout, int64_t n, bool chosen, RgSequences *out) {
    const RgSequences *s = rollout->sequences;
    int64_t k = rollout->k;
    for (int64_t i = 0; i < n; i++)
        for (int64_t place = 0; place < (chosen ? 1 : k); place++) {
            int64_t other = (i + 1) % n, y = k * other + rollout->order[k * other + place];
            rg_sequences_append(out, rg_sequence_prompt(s, k * i), s->prompt_length[k * i],
                                rg_sequence_response(s, y), rg_sequence_response_length(s, y));
        }
}

static void draw_third(RgTrainer *trainer, int64_t step, RgRollout *rollout) {
    const RgRecipe *r = &trainer->recipe;
    int64_t n = trainer->training.batch;
    rollout->third = rg_sequences_create();
    if (r->third == RG_FROM_OTHERS) {
        pair_with_others(rollout, n, r->third_chosen, rollout->third);
        return;
    }
    RgSequences *prompts = rg_sequences_create();
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append_from(prompts, rollout->sequences, 2 * i, true);
    RgSampling sampling = training_sampling(trainer);
    if (r->third_temperature >= 0)
        sampling.temperature = r->third_temperature;
    RgPolicy *policy = r->third == RG_FROM_POLICY ? trainer->sampler : trainer->reference;
    sample(trainer, policy, &sampling, "calibration", step, prompts, 1, rollout->third);
    rg_sequences_destroy(prompts);
}

/* Replace each on-policy pair by the best and the worst of its trio, by rewards. */
static void take_winners(const RgTrainer *trainer, const RgSequences *trio, const double *reward,
                         RgRollout *rollout) {
    int64_t n = trainer->training.batch, own = 0;
    RgSequences *pairs = rg_sequences_create();
    for (int64_t i = 0; i < n; i++) {
        if (rollout->on_policy[i] == 0) {
            rg_sequences_append_pair(pairs, rollout->sequences, i);
            continue;
        }
        const double *r = reward + 3 * own;
        int64_t best, worst;
        rg_best_and_worst(r, 3, &best, &worst);
        rg_sequences_append_from(pairs, trio, 3 * own + best, false);
        rg_sequences_append_from(pairs, trio, 3 * own + worst, false);
        set_order(rollout, i, 0);
        rollout->sampled[i] = true;
        rollout->pair[i] = -1;
        own++;
    }
    rg_sequences_destroy(rollout->sequences);
    rollout->sequences = pairs;
}

/* Replace each on-policy pair by the best and the worst, by the judge, of the pair and the third
 * response. */
static RgStatus compete(RgTrainer *trainer, RgRollout *rollout, RgError *error) {
    RgSequences *trio = rg_sequences_create();
    for (int64_t i = 0; i < trainer->training.batch; i++) {
        if (rollout->on_policy[i] == 0)
            continue;
        rg_sequences_append_pair(trio, rollout->sequences, i);
        rg_sequences_append_from(trio, rollout->third, i, false);
    }
    double *reward = rg_allocate(trio->count, sizeof *reward);
    RgStatus status = rg_trainer_judge(trainer, trio, reward, error);
    if (status == RG_OK)
        take_winners(trainer, trio, reward, rollout);
    free(reward);
    rg_sequences_destroy(trio);
    return status;
}

/* ---- groups ---- */

/* A ranking sampled from the Plackett-Luce model of the judge's rewards: in the order of reward /
 * temperature plus Gumbel noise; reversed with the probability of a flipped label. */
static void rank(const RgTask *task, RgRandom random, const double *reward, int64_t k,
                 int32_t *order) {
    double *key = rg_allocate(k, sizeof *key);
    for (int64_t i = 0; i < k; i++) {
        double noise = -log(-log(rg_random_uniform(random, (uint64_t)i) + 1e-300));
        key[i] =
            task->label_temperature > 0 ? reward[i] / task->label_temperature + noise : reward[i];
        int64_t at = i;
        for (; at > 0 && key[order[at - 1]] < key[i]; at--)
            order[at] = order[at - 1];
        order[at] = (int32_t)i;
    }
    free(key);
    if (rg_random_uniform(random, (uint64_t)k) >= task->label_noise)
        return;
    for (int64_t i = 0; i < k / 2; i++) {
        int32_t other = order[k - 1 - i];
        order[k - 1 - i] = order[i];
        order[i] = other;
    }
}

/* For each response, the mean probability that the judge prefers it to another of the group. */
static void rate_wins(const RgTask *task, const double *reward, int64_t k, double *win_rate) {
    for (int64_t i = 0; i < k; i++) {
        double sum = 0;
        for (int64_t j = 0; j < k; j++)
            sum += j == i ? 0 : rg_preference_probability(task, reward[i], reward[j]);
        win_rate[i] = k > 1 ? sum / (double)(k - 1) : 0.5;
    }
}

/* Two responses are labelled like a pair, so the judge needs no rewards. */
static RgStatus rank_pairs(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error) {
    int64_t n = trainer->training.batch;
    uint8_t *preferred = rg_arena_allocate(rg_tape_arena(trainer->tape), (size_t)n);
    RgRandom random = stream(trainer, "labels", step);
    if (trainer->task->judge && !trainer->task->label)
        rg_task_label_rewards(trainer->task, rollout->reward, n, random, preferred);
    else
        RG_TRY(rg_task_label(trainer->task, rollout->sequences, random, preferred, error));
    for (int64_t i = 0; i < n; i++)
        set_order(rollout, i, preferred[i]);
    return RG_OK;
}

/* The judge's rewards, if it gives rewards, and its ranking; metered as one query per response. */
static RgStatus rank_groups(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error) {
    const RgTask *task = trainer->task;
    int64_t k = rollout->k, n = trainer->training.batch;
    rg_profile_lap("other", false);
    RgStatus status = RG_OK;
    if (task->judge)
        status = rg_task_judge(task, rollout->sequences, rollout->reward, error);
    if (status == RG_OK && k == 2)
        status = rank_pairs(trainer, step, rollout, error);
    rg_profile_lap("judge", false);
    trainer->meter.judge_queries += rollout->sequences->count;
    if (status != RG_OK)
        return status;
    if (!task->judge) {
        rollout->reward = rollout->win_rate = NULL;
        return RG_OK;
    }
    RgRandom random = stream(trainer, "rankings", step);
    for (int64_t i = 0; i < n; i++) {
        rate_wins(task, rollout->reward + i * k, k, rollout->win_rate + i * k);
        if (k != 2)
            rank(task, rg_random_at(random, (uint64_t)i), rollout->reward + i * k, k,
                 rollout->order + i * k);
    }
    return RG_OK;
}

static RgStatus draw_groups(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t n = trainer->training.batch, k = trainer->recipe.group;
    rollout->k = k;
    rollout->reward = RG_ARENA_ARRAY(arena, double, n *k);
    rollout->win_rate = RG_ARENA_ARRAY(arena, double, n *k);
    rollout->order = RG_ARENA_ARRAY(arena, int32_t, n * k);
    rollout->on_policy = RG_ARENA_ARRAY(arena, RgReal, n);
    rollout->sampled = RG_ARENA_ARRAY(arena, bool, n);
    for (int64_t i = 0; i < n; i++) {
        rollout->on_policy[i] = 1;
        rollout->sampled[i] = true;
    }
    rg_trainer_sample(trainer, step, n, k, rollout->sequences);
    if (trainer->recipe.preferences == RG_FROM_NOWHERE) {
        for (int64_t i = 0; i < n * k; i++)
            rollout->order[i] = (int32_t)(i % k);
        rollout->reward = rollout->win_rate = NULL;
        return RG_OK;
    }
    return rank_groups(trainer, step, rollout, error);
}

/* ---- single responses ---- */

static void draw_singles(RgTrainer *trainer, int64_t step, RgRollout *rollout) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    const RgSingles *singles = trainer->singles;
    int64_t n = trainer->training.batch;
    rollout->k = 1;
    rollout->order = RG_ARENA_ARRAY(arena, int32_t, n);
    rollout->on_policy = RG_ARENA_ARRAY(arena, RgReal, n);
    rollout->sampled = RG_ARENA_ARRAY(arena, bool, n);
    rollout->desirable = RG_ARENA_ARRAY(arena, RgReal, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t single = rg_trainer_read_pair(trainer, step * n + i);
        rg_sequences_append_from(rollout->sequences, singles->sequences, single, false);
        rollout->order[i] = 0;
        rollout->on_policy[i] = 0;
        rollout->sampled[i] = false;
        rollout->desirable[i] = singles->desirable[single];
    }
}

/* ---- all kinds ---- */

static void draw_demonstrations(RgTrainer *trainer, int64_t step, RgRollout *rollout) {
    int64_t n = trainer->training.batch;
    rollout->k = 1;
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append_from(rollout->sequences, trainer->task->demonstrations,
                                 rg_shuffle_at(&trainer->demonstrations, step * n + i), false);
}

RgStatus rg_rollout(RgTrainer *trainer, int64_t step, RgRollout *rollout, RgError *error) {
    const RgRecipe *r = &trainer->recipe;
    *rollout = (RgRollout){.sequences = rg_sequences_create(), .prompts = trainer->training.batch};
    if (trainer->training.expectation != RG_SAMPLED_EXPECTATION)
        return rg_expectation(trainer, step, rollout, error);
    if (r->group > 0)
        return draw_groups(trainer, step, rollout, error);
    if (r->single)
        draw_singles(trainer, step, rollout);
    else if (rg_recipe_takes_pairs(r))
        RG_TRY(draw_pairs(trainer, step, rollout, error));
    else
        draw_demonstrations(trainer, step, rollout);
    if (r->third != RG_FROM_NOWHERE)
        draw_third(trainer, step, rollout);
    if (r->rivals != RG_FROM_NOWHERE)
        return rg_rollout_rate(trainer, step, 0, rollout, error);
    return r->third_competes ? compete(trainer, rollout, error) : RG_OK;
}

void rg_rollout_release(RgRollout *rollout) {
    rg_sequences_destroy(rollout->sequences);
    rg_sequences_destroy(rollout->third);
}
