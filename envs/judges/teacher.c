/* SPDX-License-Identifier: MIT */
/* B-Pref's scripted teachers. Environments supply the rewards. */
#include "envs/judges/teacher.h"

#include <math.h>
#include <stdlib.h>

enum { ORACLE, MISTAKE, NOISY, SKIP, MYOPIC, EQUAL };
static const char *const names[] = {"oracle", "mistake", "noisy", "skip", "myopic", "equal", NULL};

const RgOption rg_teacher_options[] = {
    RG_OPTION_CHOICE(RgTeacherOptions, teacher, "oracle", names,
                     "who labels pairs: one of B-Pref's scripted teachers (Lee et al. 2021); the "
                     "options below change its settings, -1 keeps the published ones"),
    RG_OPTION_REAL(RgTeacherOptions, teacher_rationality, "-1", -1, 1e6,
                   "constant of the Bradley-Terry labels; 0: the larger return"),
    RG_OPTION_REAL(RgTeacherOptions, teacher_discount, "-1", -1, 1,
                   "weight of a step's reward for each step that follows it"),
    RG_OPTION_REAL(RgTeacherOptions, teacher_mistake, "-1", -1, 1,
                   "probability that a label is flipped"),
    RG_OPTION_REAL(RgTeacherOptions, teacher_skip, "-1", -1, 1e6,
                   "a pair is not labelled if neither return is above this multiple of the "
                   "reference's mean return"),
    RG_OPTION_REAL(RgTeacherOptions, teacher_equal, "-1", -1, 1e6,
                   "returns that differ by less than this multiple of the reference's mean return "
                   "are a tie: either label with probability 1/2"),
    RG_OPTION_END,
};

static const RgTeacher published[] = {
    [ORACLE] = {.discount = 1},
    [MISTAKE] = {.discount = 1, .mistake = 0.1},
    [NOISY] = {.discount = 1, .rationality = 1},
    [SKIP] = {.discount = 1, .skip = 0.1},
    [MYOPIC] = {.discount = 0.9},
    [EQUAL] = {.discount = 1, .equal = 0.1},
};

static void change(double *setting, double option) {
    if (option >= 0)
        *setting = option;
}

RgTeacher rg_teacher_of(const RgTeacherOptions *options) {
    RgTeacher teacher = published[options->teacher];
    change(&teacher.rationality, options->teacher_rationality);
    change(&teacher.discount, options->teacher_discount);
    change(&teacher.mistake, options->teacher_mistake);
    change(&teacher.skip, options->teacher_skip);
    change(&teacher.equal, options->teacher_equal);
    return teacher;
}

/* ---- one pair ---- */

/* Σ reward · discount^(steps to the end) */
static double weighed(RgStepRewards episode, double discount) {
    double sum = 0;
    for (int64_t t = 0; t < episode.steps; t++)
        sum = sum * discount + episode.reward[t];
    return sum;
}

static double prefers_first(const RgTeacher *teacher, double first, double second) {
    RgTask judge = {.label_temperature = teacher->rationality > 0 ? 1 / teacher->rationality : 0,
                    .label_noise = teacher->mistake};
    return rg_preference_probability(&judge, first, second);
}

RgOpinion rg_teacher_opinion(const RgTeacher *teacher, RgStepRewards first, RgStepRewards second,
                             double uniform) {
    double a = weighed(first, 1), b = weighed(second, 1);
    double skip = teacher->skip * teacher->scale, equal = teacher->equal * teacher->scale;
    if (skip > 0 && fmax(a, b) <= skip)
        return RG_OPINION_SKIPPED;
    if (fabs(a - b) < equal)
        return RG_OPINION_TIE;
    if (teacher->discount != 1) {
        a = weighed(first, teacher->discount);
        b = weighed(second, teacher->discount);
    }
    if (a == b && teacher->rationality <= 0)
        return RG_OPINION_TIE;
    return uniform < prefers_first(teacher, a, b) ? RG_OPINION_FIRST : RG_OPINION_SECOND;
}

uint8_t rg_teacher_label(const RgTeacher *teacher, RgStepRewards first, RgStepRewards second,
                         double uniform) {
    RgOpinion opinion = rg_teacher_opinion(teacher, first, second, uniform);
    if (opinion == RG_OPINION_TIE)
        return uniform < 0.5 ? 0 : 1;
    return (uint8_t)opinion;
}

/* ---- many ---- */

void rg_teacher_label_pairs(const RgTeacher *teacher, RgRewardReader read, void *environment,
                            int64_t most, const RgSequences *sequences, RgRandom random,
                            uint8_t *preferred) {
    RG_ASSERT(sequences->count % 2 == 0);
    double *reward = rg_allocate(2 * most, sizeof *reward);
    for (int64_t i = 0; i < sequences->count / 2; i++) {
        RgStepRewards first = {reward, read(environment, sequences, 2 * i, reward)};
        RgStepRewards second = {reward + most,
                                read(environment, sequences, 2 * i + 1, reward + most)};
        double uniform = rg_random_uniform(random, (uint64_t)i);
        preferred[i] = rg_teacher_label(teacher, first, second, uniform);
    }
    free(reward);
}

bool rg_teacher_is_bradley_terry(const RgTeacher *teacher) {
    return teacher->discount == 1 && teacher->skip <= 0 && teacher->equal <= 0;
}

void rg_teacher_lend(const RgTeacher *teacher,
                     RgStatus (*label)(void *environment, const RgSequences *sequences,
                                       RgRandom random, uint8_t *preferred, RgError *error),
                     RgTask *task) {
    task->label_temperature = teacher->rationality > 0 ? 1 / teacher->rationality : 0;
    task->label_noise = teacher->mistake;
    task->label = rg_teacher_is_bradley_terry(teacher) ? NULL : label;
}
