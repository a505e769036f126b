/* SPDX-License-Identifier: MIT */
/* Scripted teachers: labels of pairs of episodes by their true rewards, with given imperfections.
 *
 * They are those of B-Pref (Lee et al. 2021, arXiv:2111.03026), with its settings and its order:
 *   1. A pair is skipped if the larger of the two returns is not above skip · scale.
 *   2. It is a tie if the returns differ by less than equal · scale.
 *   3. Otherwise a reward k steps before the end has weight discount^k.
 *   4. The larger of the sums is preferred; with rationality β > 0, the first with probability
 *      σ(β (first − second)): Bradley-Terry.
 *   5. The label is flipped with probability `mistake`.
 * As in B-Pref, thresholds that are not above zero have no effect.
 *
 * `scale` is B-Pref's average return. B-Pref takes the agent's latest episodes, scaled to the
 * length of a segment. Here it is that of the reference policy's episodes, so that a label depends
 * only on its pair and a resumed run has the same labels. Returns are sums of the given rewards. An
 * environment whose judge discounts gives discounted rewards, so that teacher and judge agree, and
 * "noisy" is exactly the Bradley-Terry judge.
 *
 *     teacher   rationality  discount  mistake  skip  equal
 *     oracle    perfect      1         0        0     0
 *     mistake   perfect      1         0.1      0     0
 *     noisy     1            1         0        0     0
 *     skip      perfect      1         0        0.1   0
 *     myopic    perfect      0.9       0        0     0
 *     equal     perfect      1         0        0     0.1 */
#ifndef RG_ENVS_JUDGES_TEACHER_H
#define RG_ENVS_JUDGES_TEACHER_H

#include "core/options.h"
#include "core/task/task.h"

/* As in the config. A number below zero: the named teacher's value. */
typedef struct RgTeacherOptions {
    int teacher;
    double teacher_rationality, teacher_discount, teacher_mistake, teacher_skip, teacher_equal;
} RgTeacherOptions;

/* The options of an environment with teachers. */
extern const RgOption rg_teacher_options[];

typedef struct RgTeacher {
    double rationality; /* β; 0: perfect */
    double discount, mistake, skip, equal;
    double scale; /* mean return; 0 while unknown: no skips and no ties */
} RgTeacher;

RgTeacher rg_teacher_of(const RgTeacherOptions *options);

typedef enum RgOpinion {
    RG_OPINION_FIRST = 0,
    RG_OPINION_SECOND = 1,
    RG_OPINION_SKIPPED = RG_UNLABELLED,
    RG_OPINION_TIE,
} RgOpinion;

/* Rewards of an episode, one per step. */
typedef struct RgStepRewards {
    const double *reward;
    int64_t steps;
} RgStepRewards;

/* The teacher's opinion on two episodes, with one uniform number. Equal sums are also a tie for a
 * perfect teacher without a threshold. */
RgOpinion rg_teacher_opinion(const RgTeacher *teacher, RgStepRewards first, RgStepRewards second,
                             double uniform);
/* The opinion as a label: 0, 1 or RG_UNLABELLED. A tie is 0 or 1 with probability 1/2 each, which
 * has the expectation of B-Pref's soft label. */
uint8_t rg_teacher_label(const RgTeacher *teacher, RgStepRewards first, RgStepRewards second,
                         double uniform);

/* Rewards of episode i of `sequences`: reward [most] out; returns their number. */
typedef int64_t (*RgRewardReader)(void *environment, const RgSequences *sequences, int64_t i,
                                  double *reward);

/* Implements task->label: labels of the pairs (2i, 2i+1), pair i with number i of `random`. */
void rg_teacher_label_pairs(const RgTeacher *teacher, RgRewardReader read, void *environment,
                            int64_t most, const RgSequences *sequences, RgRandom random,
                            uint8_t *preferred);

/* Whether the teacher is Bradley-Terry with flips, so that a task needs no `label`. */
bool rg_teacher_is_bradley_terry(const RgTeacher *teacher);

/* Set a task's label temperature and noise to the teacher's, and `label` if they do not suffice.
 * Labels have the same bits with and without `label`. */
void rg_teacher_lend(const RgTeacher *teacher,
                     RgStatus (*label)(void *environment, const RgSequences *sequences,
                                       RgRandom random, uint8_t *preferred, RgError *error),
                     RgTask *task);

#endif
