/* SPDX-License-Identifier: MIT */
/* Claims about offline pairs of episodes: training prompts take turns, a pair that nobody labels is
 * drawn anew, and a teacher who labels next to nothing is refused. The environment is one number: a
 * step's reward is its action. */
#include <criterion/criterion.h>

#include "envs/episodes.h"
#include "envs/judges/teacher.h"
#include "tests/random_policy.h"

enum { HORIZON = 3, CONDITIONS = 5 };

typedef struct Toy {
    RgSimulator simulator;
    RgTask task;
    RgTeacher teacher;
    RgSequences *prompts;
    RgPolicy *policy;
} Toy;

static void *begin(void *environment, int32_t initial, RgRandom random, int32_t *observation) {
    (void)environment, (void)random;
    *observation = rg_float_word((float)initial);
    return rg_allocate(1, sizeof(int));
}

static bool advance(void *episode, const int32_t *action, int32_t *observation) {
    int *steps = episode;
    *observation = *action;
    return ++*steps < HORIZON;
}

static int64_t actions(void *environment, const RgSequences *sequences, int64_t i, double *reward) {
    const Toy *toy = environment;
    for (int64_t t = 0; t < HORIZON; t++)
        reward[t] = rg_word_float(*rg_episode_action(&toy->simulator, sequences, i, t));
    return HORIZON;
}

static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    (void)error;
    double step[HORIZON];
    for (int64_t i = 0; i < sequences->count; i++) {
        actions(environment, sequences, i, step);
        reward[i] = step[0] + step[1] + step[2];
    }
    return RG_OK;
}

static RgStatus label(void *environment, const RgSequences *sequences, RgRandom random,
                      uint8_t *preferred, RgError *error) {
    (void)error;
    const Toy *toy = environment;
    rg_teacher_label_pairs(&toy->teacher, actions, environment, HORIZON, sequences, random,
                           preferred);
    return RG_OK;
}

/* The teacher's threshold is a return of `skip`. */
static void toy_begin(Toy *toy, double skip) {
    *toy = (Toy){.teacher = {.discount = 1, .skip = skip, .scale = 1},
                 .prompts = rg_episode_prompts(0, CONDITIONS)};
    toy->simulator = (RgSimulator){.observation_words = 1,
                                   .action_words = 1,
                                   .horizon = HORIZON,
                                   .begin = begin,
                                   .advance = advance,
                                   .end = free,
                                   .environment = toy};
    toy->task = (RgTask){
        .prompts = toy->prompts, .simulator = &toy->simulator, .judge = judge, .environment = toy};
    rg_teacher_lend(&toy->teacher, label, &toy->task);
    toy->policy = random_policy(&toy->simulator, 0);
}

static void toy_end(Toy *toy) {
    rg_policy_destroy(toy->policy);
    rg_sequences_destroy(toy->prompts);
}

Test(episodes, conditions_take_turns) {
    Toy toy;
    RgError error = {0};
    RgPairs *pairs = rg_pairs_create();
    int64_t skipped = -1;
    toy_begin(&toy, 0);
    cr_assert_eq(rg_episodes_draw_pairs(&toy.task, toy.policy, 1200, rg_random_root(1), pairs,
                                        &skipped, &error),
                 RG_OK);
    cr_expect_eq(skipped, 0);
    cr_assert_eq(pairs->count, 1200);
    for (int64_t i = 0; i < 2 * pairs->count; i++)
        cr_expect_eq(*rg_sequence_prompt(pairs->sequences, i), i / 2 % CONDITIONS);
    rg_pairs_destroy(pairs);
    toy_end(&toy);
}

/* The sum of three normal numbers is above 2 with probability 0.124: both are not with 0.767. */
Test(episodes, pairs_that_nobody_labels_are_drawn_anew) {
    Toy toy;
    RgError error = {0};
    RgPairs *pairs = rg_pairs_create();
    int64_t skipped = -1;
    toy_begin(&toy, 2);
    cr_assert_eq(rg_episodes_draw_pairs(&toy.task, toy.policy, 1000, rg_random_root(2), pairs,
                                        &skipped, &error),
                 RG_OK);
    cr_assert_eq(pairs->count, 1000);
    cr_assert_eq(pairs->sequences->count, 2000);
    double reward[2000], below = 0.5 * erfc(-2 / sqrt(3) / sqrt(2)), p = below * below;
    judge(&toy, pairs->sequences, reward, NULL);
    for (int64_t i = 0; i < pairs->count; i++) {
        cr_expect_gt(fmax(reward[2 * i], reward[2 * i + 1]), 2);
        cr_expect_eq(pairs->preferred[i], reward[2 * i] > reward[2 * i + 1] ? 0 : 1);
    }
    double tried = 1000 + (double)skipped;
    cr_expect_lt(fabs((double)skipped / tried - p), 4 * sqrt(p * (1 - p) / tried));
    rg_pairs_destroy(pairs);
    toy_end(&toy);
}

Test(episodes, a_teacher_who_labels_nothing_is_refused) {
    Toy toy;
    RgError error = {0};
    RgPairs *pairs = rg_pairs_create();
    int64_t skipped = -1;
    toy_begin(&toy, 1000);
    cr_expect_eq(rg_episodes_draw_pairs(&toy.task, toy.policy, 10, rg_random_root(3), pairs,
                                        &skipped, &error),
                 RG_E_RANGE);
    cr_expect(strstr(error.text, "lower teacher_skip"), "%s", error.text);
    rg_pairs_destroy(pairs);
    toy_end(&toy);
}

Test(episodes, the_mean_reward_is_that_of_the_policy) {
    Toy toy;
    toy_begin(&toy, 0);
    toy.policy->parameters->value[0] = 7;
    double mean;
    cr_assert_eq(
        rg_episodes_mean_reward(&toy.task, toy.policy, 100, rg_random_root(4), &mean, NULL), RG_OK);
    cr_expect_lt(fabs(mean - 21), 4 * sqrt(3.0 / CONDITIONS));
    toy_end(&toy);
}

Test(episodes, a_policy_of_other_steps_is_refused) {
    Toy toy;
    RgError error = {0};
    toy_begin(&toy, 0);
    RgSimulator other = {.observation_words = 3, .action_words = 2};
    cr_expect_eq(rg_episodes_check_policy(toy.policy, &toy.simulator, "toy", &error), RG_OK);
    cr_expect_eq(rg_episodes_check_policy(toy.policy, &other, "toy", &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "2 words, expected the 5 words"), "%s", error.text);
    toy_end(&toy);
}
