/* SPDX-License-Identifier: MIT */
/* Sampling episodes, and pairs of them labelled by a teacher. Environments define the rewards of
 * episodes. */
#include "envs/episodes.h"

#include <stdlib.h>

enum {
    BATCH = 512,     /* pairs sampled at once: bounds the memory of skipped ones */
    LEAST_SHARE = 50 /* RG_E_RANGE if a teacher labels fewer than one pair in this many */
};

RgSequences *rg_episode_prompts(int32_t first, int64_t count) {
    RgSequences *prompts = rg_sequences_create();
    for (int64_t i = 0; i < count; i++) {
        int32_t word = first + (int32_t)i;
        rg_sequences_append(prompts, &word, 1, NULL, 0);
    }
    return prompts;
}

RgStatus rg_episodes_check_policy(const RgPolicy *policy, const RgSimulator *simulator,
                                  const char *name, RgError *error) {
    int64_t words = policy->type->words_per_token ? policy->type->words_per_token(policy) : 1;
    if (words == rg_simulator_step_words(simulator))
        return RG_OK;
    return rg_fail(error, RG_E_USAGE,
                   "a step of the %s policy has %lld words, expected the %lld words of a step of "
                   "the %s environment: use a policy made for it",
                   policy->type->about.name, (long long)words,
                   (long long)rg_simulator_step_words(simulator), name);
}

static RgSampling sampling_of(const RgSimulator *simulator) {
    return (RgSampling){.temperature = 1,
                        .top_p = 1,
                        .response_limit = simulator->horizon * rg_simulator_step_words(simulator),
                        .end_token = -1};
}

RgStatus rg_episodes_contend(const RgTask *task, const RgContender *contender,
                             const RgSequences *prompts, RgRandom random, RgSequences *out,
                             double *logprob, RgError *error) {
    RgSampling sampling = sampling_of(task->simulator);
    return rg_contender_sample(contender, task, prompts, &sampling, random, out, logprob, error);
}

void rg_episodes_sample(const RgSimulator *simulator, RgPolicy *policy, const RgSequences *prompts,
                        int64_t copies, RgRandom random, RgSequences *out, double *logprob) {
    RgSampling sampling = sampling_of(simulator);
    rg_policy_sample(policy, prompts, copies, &sampling, random, out, logprob);
}

/* Training prompts number first … first + count − 1, cyclically. */
static RgSequences *prompts_in_turn(const RgTask *task, int64_t first, int64_t count) {
    RgSequences *prompts = rg_sequences_create();
    for (int64_t i = first; i < first + count; i++)
        rg_sequences_append_from(prompts, task->prompts, i % task->prompts->count, true);
    return prompts;
}

RgStatus rg_episodes_mean_reward(const RgTask *task, RgPolicy *policy, int64_t most,
                                 RgRandom random, double *mean, RgError *error) {
    int64_t count = most < task->prompts->count ? most : task->prompts->count;
    RgSequences *prompts = prompts_in_turn(task, 0, count), *episodes = rg_sequences_create();
    double *reward = rg_allocate(count, sizeof *reward);
    rg_episodes_sample(task->simulator, policy, prompts, 1, random, episodes, NULL);
    RgStatus status = rg_task_judge(task, episodes, reward, error);
    *mean = 0;
    for (int64_t i = 0; i < count; i++)
        *mean += reward[i];
    *mean /= (double)count;
    free(reward);
    rg_sequences_destroy(episodes);
    rg_sequences_destroy(prompts);
    return status;
}

RgStatus rg_episodes_draw_pairs(const RgTask *task, RgPolicy *policy, int64_t count,
                                RgRandom random, RgPairs *pairs, int64_t *skipped, RgError *error) {
    RgRandom responses = rg_random_named(random, "offline responses");
    RgRandom labels = rg_random_named(random, "offline labels");
    RgSequences *drawn = rg_sequences_create();
    uint8_t *preferred = rg_allocate(BATCH, sizeof *preferred);
    int64_t tried = 0, most = LEAST_SHARE * (count + BATCH);
    RgStatus status = RG_OK;
    for (uint64_t batch = 0; status == RG_OK && pairs->count < count && tried < most; batch++) {
        int64_t lacking = count - pairs->count, now = lacking < BATCH ? lacking : BATCH;
        RgSequences *prompts = prompts_in_turn(task, tried, now);
        rg_episodes_sample(task->simulator, policy, prompts, 2, rg_random_at(responses, batch),
                           drawn, NULL);
        status = rg_task_label(task, drawn, rg_random_at(labels, batch), preferred, error);
        if (status == RG_OK)
            rg_pairs_append_labelled(pairs, drawn, preferred);
        tried += now;
        rg_sequences_destroy(prompts);
    }
    free(preferred);
    rg_sequences_destroy(drawn);
    *skipped = tried - pairs->count;
    RG_TRY(status);
    if (pairs->count < count)
        return rg_fail(
            error, RG_E_RANGE,
            "the teacher labelled %lld of %lld pairs of the reference policy's episodes, "
            "expected at least one in %d: lower teacher_skip",
            (long long)pairs->count, (long long)tried, LEAST_SHARE);
    return RG_OK;
}
