/* SPDX-License-Identifier: MIT */
/* Evaluation in the control environment. One episode from each initial test state is sampled from
 * the policy and one from the reference, on separate random streams that are the same for every
 * policy. The reference's results are kept between evaluations. */
#include "envs/control/control.h"
#include "envs/episodes.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the reference ---- */

void rg_control_reference_clear(RgControlReference *of_reference) {
    free(of_reference->reward);
    *of_reference = (RgControlReference){0};
}

static const double *reference_reward(RgEnvironment *environment, RgPolicy *reference,
                                      RgRandom random) {
    RgControlState *s = environment->state;
    RgControlReference *r = &s->of_reference;
    uint64_t hash = rg_parameters_hash(reference->parameters);
    if (r->known && r->parameters_hash == hash && r->random.key[0] == random.key[0] &&
        r->random.key[1] == random.key[1])
        return r->reward;
    rg_control_reference_clear(r);
    *r = (RgControlReference){.known = true, .parameters_hash = hash, .random = random};
    r->reward = rg_allocate(s->test_prompts->count, sizeof *r->reward);
    RgSequences *episodes = rg_sequences_create();
    rg_episodes_sample(&s->simulator, reference, s->test_prompts, 1, random, episodes, NULL);
    rg_control_returns(environment, episodes, r->reward);
    rg_sequences_destroy(episodes);
    return r->reward;
}

/* ---- columns: one number per test episode ---- */

static void returns(const RgControlState *s, const RgSequences *episodes, double *column,
                    RgEvaluation *evaluation) {
    double *reward = rg_allocate(s->options.horizon, sizeof *reward);
    for (int64_t i = 0; i < episodes->count; i++) {
        int64_t steps = rg_control_step_rewards(s, episodes, i, reward);
        column[i] = 0;
        for (int64_t t = 0; t < steps; t++)
            column[i] += reward[t];
    }
    free(reward);
    rg_evaluation_column_and_mean(evaluation, "return", column, episodes->count);
}

static void win_rate(const double *own, const double *other, int64_t count, double *column,
                     RgEvaluation *evaluation) {
    for (int64_t i = 0; i < count; i++)
        column[i] = own[i] > other[i] ? 1 : own[i] < other[i] ? 0 : 0.5;
    rg_evaluation_column_and_mean(evaluation, "win_rate_base", column, count);
}

/* log π − log π_ref of the policy's own episodes: its mean estimates the KL. */
static void divergence(RgPolicy *reference, const RgSequences *episodes, const double *logprob,
                       double *column, RgEvaluation *evaluation) {
    rg_policy_logprob_values(reference, episodes, column);
    for (int64_t i = 0; i < episodes->count; i++)
        column[i] = logprob[i] - column[i];
    rg_evaluation_column_and_mean(evaluation, "kl", column, episodes->count);
}

static void lengths(const RgControlState *s, const RgSequences *episodes, double *column,
                    RgEvaluation *evaluation) {
    double failures = 0;
    for (int64_t i = 0; i < episodes->count; i++) {
        int64_t steps = rg_episode_steps(&s->simulator, episodes, i);
        column[i] = (double)steps;
        failures += rg_episode_failed(&s->simulator, episodes, i);
    }
    rg_evaluation_column_and_mean(evaluation, "episode_length", column, episodes->count);
    rg_evaluation_metric(evaluation, "failed_episodes", failures);
}

/* ---- episodes as text ---- */

enum { LINES = 10 }; /* of an episode, evenly spaced */

static char *describe_step(const RgControlState *s, const RgSequences *episodes, int64_t i,
                           int64_t step, double reward) {
    const int32_t *words = rg_episode_observation(&s->simulator, episodes, i, step);
    char *text = rg_string_format("step %lld, reward %.3f:", (long long)step, reward);
    for (int64_t k = 0; k < rg_simulator_step_words(&s->simulator); k++) {
        char *longer =
            rg_string_format("%s%s%.3g", text, k == s->control_task->observations ? " | " : " ",
                             (double)rg_word_float(words[k]));
        free(text);
        text = longer;
    }
    return text;
}

static char *describe_episode(const RgControlState *s, const RgSequences *episodes, int64_t i,
                              const double *reward, int64_t steps) {
    char *text = rg_string_copy("");
    for (int64_t t = 0; t < steps; t += (steps + LINES - 1) / LINES) {
        char *line = describe_step(s, episodes, i, t, reward[t]);
        char *longer = rg_string_format("%s%s\n", text, line);
        free(line);
        free(text);
        text = longer;
    }
    return text;
}

/* Observations and actions of some steps of the first episodes. */
static void describe(const RgControlState *s, const RgSequences *episodes,
                     RgEvaluation *evaluation) {
    double *reward = rg_allocate(s->options.horizon, sizeof *reward);
    for (int64_t i = 0; i < episodes->count && i < s->options.response_samples; i++) {
        int64_t steps = rg_control_step_rewards(s, episodes, i, reward);
        char *prompt = rg_string_format("%s, test state %lld", s->control_task->name, (long long)i);
        char *text = describe_episode(s, episodes, i, reward, steps);
        rg_evaluation_response(evaluation, i, prompt, text);
        free(text);
        free(prompt);
    }
    free(reward);
}

/* ---- evaluation ---- */

/* The metrics; all but the last two also per episode:
 *   return             mean sum of true rewards, undiscounted
 *   discounted_return  the judge's reward
 *   win_rate_base      share of states where this is larger than the reference's
 *   kl                 estimate of KL(π ‖ π_ref) of whole episodes, nats
 *   objective          discounted_return − β·kl
 *   episode_length     steps
 *   failed_episodes    episodes ended by a failure of the physics
 *   skipped_pairs      offline pairs that the teacher left unlabelled */
RgStatus rg_control_evaluate(RgEnvironment *environment, const RgContender *contender,
                             RgRandom random, RgEvaluation *evaluation, RgError *error) {
    const RgControlState *s = environment->state;
    RgPolicy *reference = contender->reference;
    int64_t count = s->test_prompts->count;
    const double *base =
        reference_reward(environment, reference, rg_random_named(random, "reference"));
    double *own = rg_allocate(count, sizeof *own);
    double *logprob = rg_allocate(count, sizeof *logprob);
    double *column = rg_allocate(count, sizeof *column);
    RgSequences *episodes = rg_sequences_create();
    RgStatus status =
        rg_episodes_contend(&environment->task, contender, s->test_prompts,
                            rg_random_named(random, "policy"), episodes, logprob, error);
    RG_ASSERT(status == RG_OK); /* the simulator's rewards cannot fail */
    rg_control_returns(environment, episodes, own);

    returns(s, episodes, column, evaluation);
    rg_evaluation_column_and_mean(evaluation, "discounted_return", own, count);
    win_rate(own, base, count, column, evaluation);
    divergence(reference, episodes, logprob, column, evaluation);
    rg_evaluation_metric(evaluation, "objective",
                         rg_evaluation_find(evaluation, "discounted_return") -
                             contender->beta * rg_evaluation_find(evaluation, "kl"));
    lengths(s, episodes, column, evaluation);
    rg_evaluation_metric(evaluation, "skipped_pairs", (double)s->skipped_pairs);
    describe(s, episodes, evaluation);
    rg_sequences_destroy(episodes);
    free(column);
    free(logprob);
    free(own);
    return RG_OK;
}
