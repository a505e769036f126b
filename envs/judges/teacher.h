/* SPDX-License-Identifier: MIT */
/* Scripted teachers: who labels a pair of episodes by their true rewards, and how imperfectly.
 *
 * They are those of B-Pref (Lee et al. 2021, arXiv:2111.03026), with its settings and in its order:
 *   1. A pair is skipped when the larger of the two returns is not above skip · scale.
 *   2. It is a tie when the returns differ by less than equal · scale.
 *   3. Else a reward k steps before the end counts discount^k.
 *   4. The larger of the sums is preferred, or with rationality β > 0 the first with probability
 *      σ(β (first − second)): Bradley-Terry.
 *   5. The label is flipped with probability `mistake`.
 * Thresholds that are not above zero are without effect, as there.
 *
 * `scale` is what B-Pref calls the average return: there of the agent's latest episodes, scaled to
 * the length of a segment; here of the reference policy's episodes, so that a label depends on its
 * pair alone and a resumed run has the same ones. Returns are summed from the rewards as they are
 * handed in: an environment whose judge discounts hands in discounted ones, so that teacher and
 * judge agree, and "noisy" is exactly the Bradley-Terry judge.
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

/* As options have it. A member below zero: that of the named teacher. */
typedef struct RgTeacherOptions {
    int name;
    double rationality, discount, mistake, skip, equal;
} RgTeacherOptions;

extern const char *const rg_teacher_names[];

#define RG_TEACHER_OPTION_(type, member, member_, high_, help_)                                    \
    {                                                                                              \
        .name = "teacher_" #member_, .kind = RG_KIND_REAL,                                         \
        .offset = offsetof(type, member.member_), .fallback = "-1", .low = -1, .high = (high_),    \
        .help = (help_)                                                                            \
    }

/* Options of an environment that has teachers: `member` of its struct `type` is RgTeacherOptions.
 */
#define RG_TEACHER_OPTIONS(type, member)                                                           \
    {.name = "teacher",                                                                            \
     .kind = RG_KIND_CHOICE,                                                                       \
     .offset = offsetof(type, member.name),                                                        \
     .fallback = "oracle",                                                                         \
     .choices = rg_teacher_names,                                                                  \
     .help = "who labels pairs: one of B-Pref's scripted teachers (Lee et al. 2021); the options " \
             "below change its settings, -1 keeps the published ones"},                            \
        RG_TEACHER_OPTION_(type, member, rationality, 1e6,                                         \
                           "constant of the Bradley-Terry labels; 0: the larger return"),          \
        RG_TEACHER_OPTION_(type, member, discount, 1,                                              \
                           "weight of a step's reward for each step that follows it"),             \
        RG_TEACHER_OPTION_(type, member, mistake, 1, "probability that a label is flipped"),       \
        RG_TEACHER_OPTION_(type, member, skip, 1e6,                                                \
                           "a pair is not labelled if neither return is above this multiple of "   \
                           "the reference's mean return"),                                         \
        RG_TEACHER_OPTION_(type, member, equal, 1e6,                                               \
                           "returns that differ by less than this multiple of the reference's "    \
                           "mean return are a tie: either label with probability 1/2")

typedef struct RgTeacher {
    double rationality; /* β; 0: perfect */
    double discount, mistake, skip, equal;
    double scale; /* mean return; 0 until it is known: nothing is skipped or a tie */
} RgTeacher;

RgTeacher rg_teacher_of(const RgTeacherOptions *options);

typedef enum RgOpinion {
    RG_OPINION_FIRST = 0,
    RG_OPINION_SECOND = 1,
    RG_OPINION_SKIPPED = RG_UNLABELLED,
    RG_OPINION_TIE,
} RgOpinion;

/* Rewards of an episode, a step each. */
typedef struct RgStepRewards {
    const double *reward;
    int64_t steps;
} RgStepRewards;

/* What the teacher says of two episodes, with one uniform number. Equal sums are a tie to a perfect
 * teacher that has no threshold, too. */
RgOpinion rg_teacher_opinion(const RgTeacher *teacher, RgStepRewards first, RgStepRewards second,
                             double uniform);
/* The same as a label, 0, 1 or RG_UNLABELLED: a tie is 0 or 1 with probability 1/2 each, which
 * has the expectation of B-Pref's soft label. */
uint8_t rg_teacher_label(const RgTeacher *teacher, RgStepRewards first, RgStepRewards second,
                         double uniform);

/* Rewards of episode i of `sequences`, reward [most]; returns how many. */
typedef int64_t (*RgRewardReader)(void *environment, const RgSequences *sequences, int64_t i,
                                  double *reward);

/* What task->label does: labels of the pairs (2i, 2i+1), number i of `random` for the i-th. */
void rg_teacher_label_pairs(const RgTeacher *teacher, RgRewardReader read, void *environment,
                            int64_t most, const RgSequences *sequences, RgRandom random,
                            uint8_t *preferred);

/* Whether the teacher is Bradley-Terry with flips, so that a task needs no function to label. */
bool rg_teacher_is_bradley_terry(const RgTeacher *teacher);

/* Tell a task of its teacher: its temperature and noise, and `label` where these do not do. With
 * or without it, labels are the same bits. */
void rg_teacher_lend(const RgTeacher *teacher,
                     RgStatus (*label)(void *environment, const RgSequences *sequences,
                                       RgRandom random, uint8_t *preferred, RgError *error),
                     RgTask *task);

#endif
