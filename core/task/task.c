/* SPDX-License-Identifier: MIT */
/* How an environment's judge turns rewards into labels. The rewards themselves are the
 * environment's. */
#include "core/task/task.h"

#include <math.h>
#include <stdlib.h>

double rg_preference_probability(const RgCourse *course, double a, double b) {
    double p = a > b ? 1 : a < b ? 0 : 0.5;
    if (course->label_temperature > 0)
        p = 1 / (1 + exp(-(a - b) / course->label_temperature));
    return p * (1 - course->label_noise) + (1 - p) * course->label_noise;
}

RgStatus rg_course_judge(const RgCourse *course, const RgSequences *sequences, double *reward,
                         RgError *error) {
    RgStatus status = RG_OK;
    if (rg_team_leads(course->team))
        status = course->judge(course->environment, sequences, reward, error);
    RG_TRY(rg_team_follow(course->team, status, error));
    rg_team_broadcast(course->team, reward, (size_t)sequences->count * sizeof *reward);
    return RG_OK;
}

void rg_course_label_rewards(const RgCourse *course, const double *reward, int64_t pairs,
                             RgRandom random, uint8_t *preferred) {
    for (int64_t i = 0; i < pairs; i++) {
        double first = rg_preference_probability(course, reward[2 * i], reward[2 * i + 1]);
        preferred[i] = rg_random_uniform(random, (uint64_t)i) < first ? 0 : 1;
    }
}

static RgStatus ask_for_labels(const RgCourse *course, const RgSequences *sequences,
                               RgRandom random, uint8_t *preferred, RgError *error) {
    if (course->label)
        return course->label(course->environment, sequences, random, preferred, error);
    double *reward = rg_allocate(sequences->count, sizeof *reward);
    RgStatus status = course->judge(course->environment, sequences, reward, error);
    if (status == RG_OK)
        rg_course_label_rewards(course, reward, sequences->count / 2, random, preferred);
    free(reward);
    return status;
}

RgStatus rg_course_label(const RgCourse *course, const RgSequences *sequences, RgRandom random,
                         uint8_t *preferred, RgError *error) {
    RG_ASSERT(sequences->count % 2 == 0);
    RgStatus status = RG_OK;
    if (rg_team_leads(course->team))
        status = ask_for_labels(course, sequences, random, preferred, error);
    RG_TRY(rg_team_follow(course->team, status, error));
    rg_team_broadcast(course->team, preferred, (size_t)(sequences->count / 2) * sizeof *preferred);
    return RG_OK;
}
