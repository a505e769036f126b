/* SPDX-License-Identifier: MIT */
/* Turning rewards into labels by a judge's rules. The environment supplies the rewards. */
#include "core/task/task.h"

#include <math.h>
#include <stdlib.h>

bool rg_task_has_pairs(const RgTask *task) {
    return task->pairs ? task->pairs->count > 0
                       : task->pending && task->expected_pairs != RG_NO_PAIRS;
}

bool rg_task_has_singles(const RgTask *task) {
    if (task->singles)
        return task->singles->sequences->count > 0;
    return (task->pending && task->expected_singles > 0) || rg_task_has_pairs(task);
}

double rg_preference_probability(const RgTask *task, double a, double b) {
    double p = a > b ? 1 : a < b ? 0 : 0.5;
    if (task->label_temperature > 0)
        p = 1 / (1 + exp(-(a - b) / task->label_temperature));
    return p * (1 - task->label_noise) + (1 - p) * task->label_noise;
}

RgStatus rg_task_judge(const RgTask *task, const RgSequences *sequences, double *reward,
                       RgError *error) {
    RgStatus status = RG_OK;
    if (rg_process_group_leads(task->process_group))
        status = task->judge(task->environment, sequences, reward, error);
    RG_TRY(rg_process_group_broadcast_status(task->process_group, status, error));
    rg_process_group_broadcast(task->process_group, reward,
                               (size_t)sequences->count * sizeof *reward);
    return RG_OK;
}

void rg_task_label_rewards(const RgTask *task, const double *reward, int64_t pairs, RgRandom random,
                           uint8_t *preferred) {
    for (int64_t i = 0; i < pairs; i++) {
        double first = rg_preference_probability(task, reward[2 * i], reward[2 * i + 1]);
        preferred[i] = rg_random_uniform(random, (uint64_t)i) < first ? 0 : 1;
    }
}

static RgStatus ask_for_labels(const RgTask *task, const RgSequences *sequences, RgRandom random,
                               uint8_t *preferred, RgError *error) {
    if (task->label)
        return task->label(task->environment, sequences, random, preferred, error);
    double *reward = rg_allocate(sequences->count, sizeof *reward);
    RgStatus status = task->judge(task->environment, sequences, reward, error);
    if (status == RG_OK)
        rg_task_label_rewards(task, reward, sequences->count / 2, random, preferred);
    free(reward);
    return status;
}

RgStatus rg_task_label(const RgTask *task, const RgSequences *sequences, RgRandom random,
                       uint8_t *preferred, RgError *error) {
    RG_ASSERT(sequences->count % 2 == 0);
    RgStatus status = RG_OK;
    if (rg_process_group_leads(task->process_group))
        status = ask_for_labels(task, sequences, random, preferred, error);
    RG_TRY(rg_process_group_broadcast_status(task->process_group, status, error));
    rg_process_group_broadcast(task->process_group, preferred,
                               (size_t)(sequences->count / 2) * sizeof *preferred);
    return RG_OK;
}
