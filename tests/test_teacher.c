/* SPDX-License-Identifier: MIT */
/* Claims about scripted teachers: each labels as often as its closed form says, skips and ties are
 * where B-Pref has them, and Bradley-Terry teachers are the task's own judge. */
#include <criterion/criterion.h>

#include "envs/judges/teacher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 20000, STEPS = 4 };

static const RgTeacherOptions as_published = {0, -1, -1, -1, -1, -1};

static RgTeacher teacher_named(const char *name) {
    RgTeacherOptions options = as_published;
    while (strcmp(rg_options_find(rg_teacher_options, "teacher")->choices[options.teacher], name) !=
           0)
        options.teacher++;
    RgTeacher teacher = rg_teacher_of(&options);
    teacher.scale = 10;
    return teacher;
}

static RgStepRewards rewards(const double *reward) {
    return (RgStepRewards){reward, STEPS};
}

/* How often the teacher labels the pair 0, or 1 where `which` is that, and so on. */
static double share_of(const RgTeacher *teacher, const double *first, const double *second,
                       uint8_t which) {
    double count = 0;
    for (uint64_t i = 0; i < DRAWS; i++)
        count += rg_teacher_label(teacher, rewards(first), rewards(second),
                                  rg_random_uniform(rg_random_root(3), i)) == which;
    return count / DRAWS;
}

static void expect_share(const RgTeacher *teacher, const double *first, const double *second,
                         double p) {
    double bound = 4 * sqrt(p * (1 - p) / DRAWS);
    cr_expect_leq(fabs(share_of(teacher, first, second, 0) - p), bound);
    cr_expect_leq(fabs(share_of(teacher, second, first, 1) - p), bound);
}

static const double good[STEPS] = {1, 1, 1, 0.5}, bad[STEPS] = {0.5, 1, 0.5, 0.7};
static const double returns[2] = {3.5, 2.7};

Test(teacher, the_oracle_prefers_the_larger_return) {
    RgTeacher teacher = teacher_named("oracle");
    cr_expect_eq(share_of(&teacher, good, bad, 0), 1);
    cr_expect_eq(share_of(&teacher, bad, good, 1), 1);
}

Test(teacher, mistakes_are_made_at_their_rate) {
    RgTeacher teacher = teacher_named("mistake");
    expect_share(&teacher, good, bad, 0.9);
    teacher.mistake = 0.3;
    expect_share(&teacher, good, bad, 0.7);
}

Test(teacher, the_noisy_teacher_is_bradley_terry) {
    RgTeacher teacher = teacher_named("noisy");
    expect_share(&teacher, good, bad, 1 / (1 + exp(-(returns[0] - returns[1]))));
    teacher.rationality = 2.5;
    teacher.mistake = 0.1;
    double p = 1 / (1 + exp(-2.5 * (returns[0] - returns[1])));
    expect_share(&teacher, good, bad, 0.9 * p + 0.1 * (1 - p));
}

/* 0.9³ + 0.9² + 0.9 + 1 = 3.439: what comes late decides against the larger return. */
Test(teacher, the_myopic_teacher_weighs_the_end) {
    static const double early[STEPS] = {2, 0, 0, 0}, late[STEPS] = {0, 0, 0, 1.5};
    RgTeacher myopic = teacher_named("myopic"), oracle = teacher_named("oracle");
    cr_expect_eq(share_of(&oracle, early, late, 0), 1);
    cr_expect_eq(share_of(&myopic, early, late, 1), 1); /* 2 · 0.729 < 1.5 */
    myopic.rationality = 1;
    expect_share(&myopic, early, late, 1 / (1 + exp(-(2 * 0.729 - 1.5))));
    static const double ones[STEPS] = {1, 1, 1, 1}, last[STEPS] = {0, 0, 0, 3.439};
    expect_share(&myopic, ones, last, 0.5);
}

/* At the threshold itself a pair is skipped; one return above it is enough. */
Test(teacher, pairs_without_a_good_episode_are_skipped) {
    static const double none[STEPS] = {0}, one[STEPS] = {0, 0, 1, 0}, more[STEPS] = {0, 1.01, 0, 0};
    RgTeacher teacher = teacher_named("skip"); /* threshold 0.1 · 10 = 1 */
    cr_expect_eq(rg_teacher_opinion(&teacher, rewards(none), rewards(one), 0), RG_OPINION_SKIPPED);
    cr_expect_eq(share_of(&teacher, one, none, RG_UNLABELLED), 1);
    cr_expect_eq(share_of(&teacher, more, none, 0), 1);
    cr_expect_eq(share_of(&teacher, none, more, 1), 1);
    teacher.scale = -10; /* as in B-Pref: a threshold below zero is none */
    cr_expect_eq(share_of(&teacher, one, none, 0), 1);
}

/* Below the threshold: a tie, whatever the rationality and the mistakes. At it: a label. */
Test(teacher, returns_that_are_near_are_ties) {
    static const double half[STEPS] = {0.5, 0, 0, 0}, whole[STEPS] = {0, 0, 0, 1.25};
    RgTeacher teacher = teacher_named("equal"); /* threshold 1 */
    cr_expect_eq(rg_teacher_opinion(&teacher, rewards(half), rewards(whole), 0.9), RG_OPINION_TIE);
    expect_share(&teacher, half, whole, 0.5);
    teacher.mistake = 0.4;
    teacher.rationality = 50;
    expect_share(&teacher, half, whole, 0.5);
    teacher.mistake = teacher.rationality = 0;
    teacher.equal = 0.075;
    cr_expect_eq(share_of(&teacher, half, whole, 1), 1);
}

Test(teacher, skipping_comes_before_ties) {
    static const double none[STEPS] = {0};
    RgTeacher teacher = teacher_named("skip");
    teacher.equal = 0.5;
    cr_expect_eq(rg_teacher_opinion(&teacher, rewards(none), rewards(none), 0), RG_OPINION_SKIPPED);
}

Test(teacher, equal_returns_get_either_label) {
    RgTeacher teacher = teacher_named("oracle");
    cr_expect_eq(rg_teacher_opinion(&teacher, rewards(good), rewards(good), 0), RG_OPINION_TIE);
    expect_share(&teacher, good, good, 0.5);
}

Test(teacher, options_change_what_is_published) {
    RgTeacherOptions options = as_published;
    cr_expect_eq(rg_teacher_of(&options).discount, 1);
    options.teacher_discount = 0.5;
    options.teacher_mistake = 0.25;
    RgTeacher teacher = rg_teacher_of(&options);
    cr_expect_eq(teacher.discount, 0.5);
    cr_expect_eq(teacher.mistake, 0.25);
    cr_expect_eq(teacher.rationality, 0);
    cr_expect(!rg_teacher_is_bradley_terry(&teacher));
}

/* ---- as a task ---- */

/* Responses are the bits of their rewards. */
static int64_t read_rewards(void *environment, const RgSequences *sequences, int64_t i,
                            double *reward) {
    (void)environment;
    int64_t steps = rg_sequence_response_length(sequences, i);
    for (int64_t t = 0; t < steps; t++)
        reward[t] = rg_word_float(rg_sequence_response(sequences, i)[t]);
    return steps;
}

static RgStatus sum_rewards(void *environment, const RgSequences *sequences, double *reward,
                            RgError *error) {
    (void)error;
    double step[STEPS];
    for (int64_t i = 0; i < sequences->count; i++) {
        int64_t steps = read_rewards(environment, sequences, i, step);
        reward[i] = 0;
        for (int64_t t = 0; t < steps; t++)
            reward[i] += step[t];
    }
    return RG_OK;
}

static RgStatus label_by(void *environment, const RgSequences *sequences, RgRandom random,
                         uint8_t *preferred, RgError *error) {
    (void)error;
    rg_teacher_label_pairs(environment, read_rewards, NULL, STEPS, sequences, random, preferred);
    return RG_OK;
}

static RgSequences *random_episodes(int64_t count) {
    RgSequences *episodes = rg_sequences_create();
    for (int64_t i = 0; i < count; i++) {
        int32_t words[STEPS], prompt = (int32_t)(i / 2);
        for (uint64_t t = 0; t < STEPS; t++)
            words[t] = rg_float_word(
                (float)rg_random_uniform(rg_random_at(rg_random_root(5), (uint64_t)i), t));
        rg_sequences_append(episodes, &prompt, 1, words, STEPS);
    }
    return episodes;
}

Test(teacher, bradley_terry_labels_are_the_judges_own_bit_for_bit) {
    static const char *const names[] = {"oracle", "mistake", "noisy"};
    RgSequences *episodes = random_episodes(2000);
    for (size_t k = 0; k < 3; k++) {
        RgTeacher teacher = teacher_named(names[k]);
        RgTask task = {.judge = sum_rewards, .environment = &teacher};
        uint8_t by_judge[1000], by_teacher[1000];
        rg_teacher_lend(&teacher, label_by, &task);
        cr_assert_null(task.label);
        rg_task_label(&task, episodes, rg_random_root(1), by_judge, NULL);
        task.label = label_by;
        rg_task_label(&task, episodes, rg_random_root(1), by_teacher, NULL);
        cr_expect_arr_eq(by_judge, by_teacher, 1000);
    }
    rg_sequences_destroy(episodes);
}

Test(teacher, a_task_passes_on_what_is_not_labelled) {
    RgSequences *episodes = random_episodes(2000);
    RgTeacher teacher = teacher_named("skip");
    teacher.scale = 25; /* of returns between 0 and 4 */
    RgTask task = {.judge = sum_rewards, .environment = &teacher};
    uint8_t preferred[1000];
    double reward[2000] = {0};
    int skipped = 0;
    rg_teacher_lend(&teacher, label_by, &task);
    rg_task_label(&task, episodes, rg_random_root(1), preferred, NULL);
    sum_rewards(NULL, episodes, reward, NULL);
    for (int64_t i = 0; i < 1000; i++) {
        bool skips = fmax(reward[2 * i], reward[2 * i + 1]) <= 2.5;
        cr_expect_eq(preferred[i] == RG_UNLABELLED, skips);
        if (!skips)
            cr_expect_eq(preferred[i], reward[2 * i] > reward[2 * i + 1] ? 0 : 1);
        skipped += skips;
    }
    cr_expect_gt(skipped, 50);
    cr_expect_lt(skipped, 950);
    rg_sequences_destroy(episodes);
}
