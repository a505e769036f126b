/* SPDX-License-Identifier: MIT */
/* Best of n, sampled and in closed form. */
#include "envs/contender.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of each n successive candidates, keep the one with the largest reward; the first of equals. */
static void keep_best(int64_t n, const RgSequences *candidates, const double *candidate_logprob,
                      const double *reward, RgSequences *out, double *logprob) {
    rg_sequences_clear(out);
    for (int64_t first = 0; first < candidates->count; first += n) {
        int64_t best = first;
        for (int64_t i = first + 1; i < first + n; i++)
            best = reward[i] > reward[best] ? i : best;
        rg_sequences_append_from(out, candidates, best, false);
        if (logprob)
            logprob[first / n] =
                candidate_logprob[best] + log((double)n) - (double)(n - 1) / (double)n;
    }
}

RgStatus rg_contender_sample(const RgContender *contender, const RgTask *task,
                             const RgSequences *prompts, const RgSampling *sampling,
                             RgRandom random, RgSequences *out, double *logprob, RgError *error) {
    int64_t n = contender->best_of;
    if (n <= 1) {
        rg_policy_sample(contender->policy, prompts, 1, sampling, random, out, logprob);
        return RG_OK;
    }
    size_t count = (size_t)(prompts->count * n + 1);
    RgSequences *candidates = rg_sequences_create();
    double *own = rg_allocate(count, sizeof *own), *reward = rg_allocate(count, sizeof *reward);
    rg_policy_sample(contender->policy, prompts, n, sampling, random, candidates, own);
    RgStatus status = rg_task_judge(task, candidates, reward, error);
    if (status == RG_OK)
        keep_best(n, candidates, own, reward, out, logprob);
    free(reward);
    free(own);
    rg_sequences_destroy(candidates);
    return status;
}

/* Responses of equal reward share the probability F(≤)ⁿ − F(<)ⁿ in proportion to their own. */
void rg_contender_table(const RgContender *contender, const double *reward, int64_t contexts,
                        int64_t responses, double *logprob) {
    if (contender->best_of <= 1)
        return;
    int64_t cells = contexts * responses;
    double n = (double)contender->best_of;
    double *plain = rg_allocate(cells, sizeof *plain);
    memcpy(plain, logprob, (size_t)cells * sizeof *plain);
    for (int64_t i = 0; i < cells; i++) {
        int64_t row = i / responses * responses;
        double below = 0, equal = 0;
        for (int64_t j = row; j < row + responses; j++) {
            below += reward[j] < reward[i] ? exp(plain[j]) : 0;
            equal += reward[j] == reward[i] ? exp(plain[j]) : 0;
        }
        logprob[i] = plain[i] + log((pow(below + equal, n) - pow(below, n)) / equal);
    }
    free(plain);
}
