/* Where the responses and labels of a batch come from. Random numbers are those of the step: the
 * same step draws the same batch. Log-probabilities are none of its business. */
#include "algorithms/draw.h"

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
                        .response_limit = trainer->course->response_limit,
                        .tokens = trainer->course->tokens,
                        .end_token = trainer->course->end_token,
                        .stop = trainer->course->stop,
                        .team = trainer->course->team};
}

static RgRandom stream(const RgTrainer *trainer, const char *name, int64_t draw) {
    return rg_random_at(rg_random_named(trainer->random, name), (uint64_t)draw);
}

/* Responses to `prompts`, counted. */
static void sample(RgTrainer *trainer, RgPolicy *policy, const RgSampling *sampling,
                   const char *name, int64_t draw, const RgSequences *prompts, int64_t copies,
                   RgSequences *out) {
    rg_policy_sample(policy, prompts, copies, sampling, stream(trainer, name, draw), out, NULL);
    trainer->meter.generated_tokens += rg_policy_count_tokens(policy, out);
    const RgDynamics *dynamics = trainer->course->dynamics;
    for (int64_t i = 0; dynamics && i < out->count; i++)
        trainer->failed_episodes += rg_episode_failed(dynamics, out, i);
}

static RgSequences *next_prompts(RgTrainer *trainer, int64_t draw, int64_t count) {
    RgSequences *prompts = rg_sequences_create();
    for (int64_t i = 0; i < count; i++)
        rg_sequences_append_from(prompts, trainer->course->prompts,
                                 rg_shuffle_at(&trainer->prompts, draw * count + i), true);
    return prompts;
}

void rg_trainer_sample(RgTrainer *trainer, int64_t draw, int64_t prompts, int64_t copies,
                       RgSequences *out) {
    RgSequences *chosen_prompts = next_prompts(trainer, draw, prompts);
    RgSampling sampling = training_sampling(trainer);
    sample(trainer, trainer->policy, &sampling, "responses", draw, chosen_prompts, copies, out);
    rg_sequences_destroy(chosen_prompts);
}

/* One response of the reference, or of its mixture with the policy, to each prompt. */
static void sample_opponents(RgTrainer *trainer, int64_t step, const RgSequences *prompts,
                             RgSequences *out) {
    const RgAlgorithm *a = trainer->algorithm;
    RgSampling sampling = training_sampling(trainer);
    RgPolicy *policy = trainer->reference;
    if (a->opponents == RG_FROM_MIXTURE) {
        policy = trainer->policy;
        sampling.partner = trainer->reference;
        sampling.partner_share = a->reference_share(trainer->options);
    }
    sample(trainer, policy, &sampling, "opponents", step, prompts, 1, out);
}

/* ---- pairs ---- */

static void append_pair(RgSequences *to, const RgSequences *from, int64_t pair) {
    rg_sequences_append_from(to, from, 2 * pair, false);
    rg_sequences_append_from(to, from, 2 * pair + 1, false);
}

/* Pairs of the first sequences and the second. */
static void interleave(const RgSequences *first, const RgSequences *second, RgSequences *out) {
    rg_sequences_clear(out);
    for (int64_t i = 0; i < first->count; i++) {
        rg_sequences_append_from(out, first, i, false);
        rg_sequences_append_from(out, second, i, false);
    }
}

/* `count` fresh pairs with at least one response that is sampled. */
static void sample_pairs(RgTrainer *trainer, int64_t step, int64_t count, RgSequences *out) {
    const RgAlgorithm *a = trainer->algorithm;
    if (a->opponents == RG_FROM_NOWHERE) {
        rg_trainer_sample(trainer, step, count, 2, out);
        return;
    }
    RgSequences *first = rg_sequences_create(), *second = rg_sequences_create();
    if (a->responses == RG_FROM_POLICY)
        rg_trainer_sample(trainer, step, count, 1, first);
    else
        for (int64_t i = 0; i < count; i++)
            rg_sequences_append_from(first, trainer->course->demonstrations,
                                     rg_shuffle_at(&trainer->demonstrations, step * count + i),
                                     false);
    sample_opponents(trainer, step, first, second);
    interleave(first, second, out);
    rg_sequences_destroy(first);
    rg_sequences_destroy(second);
}

static bool samples_pairs(const RgAlgorithm *a) {
    return a->responses == RG_FROM_POLICY || a->opponents != RG_FROM_NOWHERE;
}

/* Which pairs of the step are of the algorithm's own distribution: each with probability
 * `mixture`, independently. */
static int64_t draw_routes(RgTrainer *trainer, int64_t step, RgReal *fresh) {
    const RgAlgorithm *a = trainer->algorithm;
    double own = a->mixture ? a->mixture(trainer->options) : 1;
    RgRandom route = stream(trainer, "mixture", step);
    int64_t count = 0;
    for (int64_t i = 0; i < trainer->training.batch; i++) {
        fresh[i] = rg_random_uniform(route, (uint64_t)i) < own ? 1 : 0;
        count += fresh[i] != 0;
    }
    return count;
}

static bool judged(RgTrainer *trainer, const RgSequences *sequences, RgStatus status) {
    rg_profile_lap("judge", false);
    trainer->meter.judge_queries += sequences->count;
    trainer->status = status;
    return status == RG_OK;
}

bool rg_trainer_judge(RgTrainer *trainer, const RgSequences *sequences, double *reward) {
    rg_profile_lap("other", false);
    return judged(trainer, sequences,
                  rg_course_judge(trainer->course, sequences, reward, &trainer->error));
}

bool rg_trainer_label(RgTrainer *trainer, const RgSequences *sequences, RgRandom random,
                      uint8_t *preferred) {
    rg_profile_lap("other", false);
    return judged(trainer, sequences,
                  rg_course_label(trainer->course, sequences, random, preferred, &trainer->error));
}

/* The judge's labels; zeros, where the first response is preferred to begin with. */
static bool label(RgTrainer *trainer, int64_t step, const RgSequences *pairs, uint8_t *preferred) {
    memset(preferred, 0, (size_t)(pairs->count / 2));
    if (trainer->algorithm->preferences != RG_FROM_JUDGE || pairs->count == 0)
        return true;
    return rg_trainer_label(trainer, pairs, stream(trainer, "labels", step), preferred);
}

int64_t rg_trainer_read_pair(RgTrainer *trainer, int64_t position) {
    int64_t pair = rg_shuffle_at(&trainer->pairs, position);
    int64_t *word = &trainer->pairs_read[pair / 64], bit = (int64_t)(1ULL << (pair % 64));
    trainer->meter.dataset_responses += *word & bit ? 0 : 2;
    *word |= bit;
    return pair;
}

/* Fill the batch with fresh pairs, of which those that are `sampled` have labels, and offline ones.
 */
static void take_pairs(RgTrainer *trainer, int64_t step, const RgSequences *sampled,
                       const uint8_t *labels, RgDraw *draw) {
    const RgCourse *course = trainer->course;
    bool samples = samples_pairs(trainer->algorithm);
    int64_t n = trainer->training.batch, next_sample = 0;
    for (int64_t i = 0; i < n; i++) {
        bool own = draw->fresh[i] != 0 && samples;
        if (own && labels[next_sample] == RG_UNLABELLED) {
            own = false; /* an offline pair in place of one that nobody labels */
            draw->fresh[i] = 0;
            next_sample++;
        }
        const RgSequences *source = own ? sampled : course->pairs->sequences;
        int64_t pair = own ? next_sample++ : rg_trainer_read_pair(trainer, step * n + i);
        append_pair(draw->sequences, source, pair);
        draw->preferred[i] = own ? labels[pair] : course->pairs->preferred[pair];
        draw->sampled[i] = own;
    }
}

static bool draw_pairs(RgTrainer *trainer, int64_t step, RgDraw *draw) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t n = trainer->training.batch;
    draw->size = 2;
    draw->preferred = RG_ARENA_ARRAY(arena, int32_t, n);
    draw->fresh = RG_ARENA_ARRAY(arena, RgReal, n);
    draw->sampled = RG_ARENA_ARRAY(arena, bool, n);

    int64_t fresh_count = draw_routes(trainer, step, draw->fresh);
    RgSequences *sampled = rg_sequences_create();
    if (samples_pairs(trainer->algorithm) && fresh_count > 0)
        sample_pairs(trainer, step, fresh_count, sampled);
    uint8_t *labels = rg_arena_allocate(arena, (size_t)n);
    bool labelled = label(trainer, step, sampled, labels);
    if (labelled)
        take_pairs(trainer, step, sampled, labels, draw);
    rg_sequences_destroy(sampled);
    return labelled;
}

/* ---- the third responses ---- */

/* The prompt of each pair with the responses of the next, or with the chosen one alone. */
static void pair_with_others(const RgDraw *draw, int64_t n, bool chosen, RgSequences *out) {
    const RgSequences *s = draw->sequences;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < (chosen ? 1 : 2); k++) {
            int64_t other = (i + 1) % n;
            int64_t y = 2 * other + (k == 0 ? draw->preferred[other] : 1 - draw->preferred[other]);
            rg_sequences_append(out, rg_sequence_prompt(s, 2 * i), s->prompt_length[2 * i],
                                rg_sequence_response(s, y), rg_sequence_response_length(s, y));
        }
}

static void calibrate(RgTrainer *trainer, int64_t step, RgDraw *draw) {
    const RgAlgorithm *a = trainer->algorithm;
    int64_t n = trainer->training.batch;
    draw->calibration = rg_sequences_create();
    if (a->calibration == RG_FROM_OTHERS) {
        bool chosen = a->others_chosen && a->others_chosen(trainer->options);
        pair_with_others(draw, n, chosen, draw->calibration);
        return;
    }
    RgSequences *prompts = rg_sequences_create();
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append_from(prompts, draw->sequences, 2 * i, true);
    RgSampling sampling = training_sampling(trainer);
    if (a->calibration_temperature)
        sampling.temperature = a->calibration_temperature(trainer->options);
    sample(trainer, trainer->reference, &sampling, "calibration", step, prompts, 1,
           draw->calibration);
    rg_sequences_destroy(prompts);
}

/* Fresh pairs become the best and the worst of a trio each, by its rewards. */
static void take_winners(const RgTrainer *trainer, const RgSequences *trio, const double *reward,
                         RgDraw *draw) {
    int64_t n = trainer->training.batch, fresh = 0;
    RgSequences *pairs = rg_sequences_create();
    for (int64_t i = 0; i < n; i++) {
        if (draw->fresh[i] == 0) {
            append_pair(pairs, draw->sequences, i);
            continue;
        }
        const double *r = reward + 3 * fresh;
        int64_t best = 0, worst = 0;
        for (int64_t k = 1; k < 3; k++) {
            best = r[k] > r[best] ? k : best;
            worst = r[k] <= r[worst] ? k : worst; /* another one, though all are equal */
        }
        rg_sequences_append_from(pairs, trio, 3 * fresh + best, false);
        rg_sequences_append_from(pairs, trio, 3 * fresh + worst, false);
        draw->preferred[i] = 0;
        draw->sampled[i] = true;
        fresh++;
    }
    rg_sequences_destroy(draw->sequences);
    draw->sequences = pairs;
}

/* Fresh pairs become the best and the worst, by the judge, of themselves and the third response. */
static bool compete(RgTrainer *trainer, RgDraw *draw) {
    RgSequences *trio = rg_sequences_create();
    for (int64_t i = 0; i < trainer->training.batch; i++) {
        if (draw->fresh[i] == 0)
            continue;
        append_pair(trio, draw->sequences, i);
        rg_sequences_append_from(trio, draw->calibration, i, false);
    }
    double *reward = rg_allocate((size_t)(trio->count + 1) * sizeof *reward);
    bool judged = rg_trainer_judge(trainer, trio, reward);
    if (judged)
        take_winners(trainer, trio, reward, draw);
    free(reward);
    rg_sequences_destroy(trio);
    return judged;
}

/* ---- groups ---- */

/* A ranking drawn from the Plackett-Luce model of the judge's rewards: in the order of reward /
 * temperature plus Gumbel noise; reversed with the probability that a label is flipped. */
static void rank(const RgCourse *course, RgRandom random, const double *reward, int64_t size,
                 int32_t *ranking) {
    double *key = rg_allocate((size_t)size * sizeof *key);
    for (int64_t k = 0; k < size; k++) {
        double noise = -log(-log(rg_random_uniform(random, (uint64_t)k) + 1e-300));
        key[k] = course->label_temperature > 0 ? reward[k] / course->label_temperature + noise
                                               : reward[k];
        int64_t at = k;
        for (; at > 0 && key[ranking[at - 1]] < key[k]; at--)
            ranking[at] = ranking[at - 1];
        ranking[at] = (int32_t)k;
    }
    free(key);
    if (rg_random_uniform(random, (uint64_t)size) >= course->label_noise)
        return;
    for (int64_t k = 0; k < size / 2; k++) {
        int32_t other = ranking[size - 1 - k];
        ranking[size - 1 - k] = ranking[k];
        ranking[k] = other;
    }
}

/* Pairs are labelled as pairs are, by a judge that may do no more than compare. */
static bool rank_pairs(RgTrainer *trainer, int64_t step, RgDraw *draw) {
    int64_t n = trainer->training.batch;
    uint8_t *preferred = rg_arena_allocate(rg_tape_arena(trainer->tape), (size_t)n);
    if (!rg_trainer_label(trainer, draw->sequences, stream(trainer, "labels", step), preferred))
        return false;
    for (int64_t i = 0; i < n; i++) {
        draw->ranking[2 * i] = preferred[i] == 1;
        draw->ranking[2 * i + 1] = preferred[i] != 1;
    }
    return true;
}

static bool rank_groups(RgTrainer *trainer, int64_t step, RgDraw *draw) {
    int64_t queries = trainer->meter.judge_queries, k = draw->size;
    if (trainer->course->judge && !rg_trainer_judge(trainer, draw->sequences, draw->reward))
        return false;
    if (!trainer->course->judge)
        draw->reward = NULL;
    RgRandom random = stream(trainer, "rankings", step);
    for (int64_t i = 0; k != 2 && i < trainer->training.batch; i++)
        rank(trainer->course, rg_random_at(random, (uint64_t)i), draw->reward + i * k, k,
             draw->ranking + i * k);
    if (k == 2 && !rank_pairs(trainer, step, draw))
        return false;
    trainer->meter.judge_queries = queries + draw->sequences->count; /* once for both */
    return true;
}

static bool draw_groups(RgTrainer *trainer, int64_t step, RgDraw *draw) {
    RgArena *arena = rg_tape_arena(trainer->tape);
    int64_t n = trainer->training.batch, k = trainer->algorithm->group_size(trainer->options);
    draw->size = k;
    draw->reward = RG_ARENA_ARRAY(arena, double, n *k);
    draw->ranking = RG_ARENA_ARRAY(arena, int32_t, n * k);
    rg_trainer_sample(trainer, step, n, k, draw->sequences);
    return rank_groups(trainer, step, draw);
}

/* ---- all kinds ---- */

static bool draw_demonstrations(RgTrainer *trainer, int64_t step, RgDraw *draw) {
    int64_t n = trainer->training.batch;
    draw->size = 1;
    for (int64_t i = 0; i < n; i++)
        rg_sequences_append_from(draw->sequences, trainer->course->demonstrations,
                                 rg_shuffle_at(&trainer->demonstrations, step * n + i), false);
    return true;
}

bool rg_draw(RgTrainer *trainer, int64_t step, RgDraw *draw) {
    const RgAlgorithm *a = trainer->algorithm;
    *draw = (RgDraw){.sequences = rg_sequences_create()};
    if (a->group_size)
        return draw_groups(trainer, step, draw);
    if (!rg_algorithm_takes_pairs(a))
        return draw_demonstrations(trainer, step, draw);
    if (!draw_pairs(trainer, step, draw))
        return false;
    if (a->calibration != RG_FROM_NOWHERE)
        calibrate(trainer, step, draw);
    return !a->calibration_competes || compete(trainer, draw);
}

void rg_draw_release(RgDraw *draw) {
    rg_sequences_destroy(draw->sequences);
    rg_sequences_destroy(draw->calibration);
}
