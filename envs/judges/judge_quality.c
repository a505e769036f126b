/* SPDX-License-Identifier: MIT */
/* Accuracy with its interval, calibration error and fitted temperature of a judge. */
#include "envs/judges/judge_quality.h"

#include "core/interval.h"

#include <math.h>
#include <stdlib.h>

static double calibration_error(const double *margin, int64_t count, double temperature) {
    enum { BINS = 10 };
    double gap[BINS] = {0}, error = 0;
    for (int64_t i = 0; i < count; i++) {
        double sure = 1 / (1 + exp(-fabs(margin[i]) / temperature)); /* in [½, 1] */
        double right = margin[i] > 0 ? 1 : margin[i] < 0 ? 0 : 0.5;
        int bin = (int)((sure - 0.5) * 2 * BINS);
        gap[bin < BINS ? bin : BINS - 1] += sure - right;
    }
    for (int b = 0; b < BINS; b++)
        error += fabs(gap[b]) / (double)count;
    return error;
}

/* Derivative of Σ −log σ(margin · s), which is convex in s = 1/temperature. */
static double slope(const double *margin, int64_t count, double s) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum -= margin[i] / (1 + exp(margin[i] * s));
    return sum;
}

static double fit_temperature(const double *margin, int64_t count) {
    double low = log(1e-3), high = log(1e3); /* of s */
    for (int k = 0; k < 100; k++) {
        double middle = (low + high) / 2;
        *(slope(margin, count, exp(middle)) <= 0 ? &low : &high) = middle;
    }
    return exp(-(low + high) / 2);
}

RgJudgeQuality rg_judge_quality_of(const double *margin, int64_t count, double temperature) {
    RgJudgeQuality q = {0};
    double right = 0;
    for (int64_t i = 0; i < count; i++)
        right += margin[i] > 0 ? 1 : margin[i] < 0 ? 0 : 0.5;
    q.accuracy = right / (double)count;
    RgInterval interval = rg_wilson_interval(right, (double)count, 0.95);
    q.low = interval.low;
    q.high = interval.high;
    q.calibration_error = calibration_error(margin, count, temperature > 0 ? temperature : 1);
    q.temperature = fit_temperature(margin, count);
    return q;
}

/* Differences of rewards; for a judge that only compares, margins that give its probabilities. */
static RgStatus margins(RgJudge *judge, const RgJudgeItems *items, double temperature,
                        double *margin, RgError *error) {
    const double surest = 1e-6;
    int64_t count = items->count / 2;
    if (judge->type->compare) {
        RG_TRY(rg_judge_compare(judge, items, margin, error));
        for (int64_t i = 0; i < count; i++) {
            double p = fmin(1 - surest, fmax(surest, margin[i]));
            margin[i] = (temperature > 0 ? temperature : 1) * log(p / (1 - p));
        }
        return RG_OK;
    }
    double *reward = rg_allocate(items->count, sizeof *reward);
    RgStatus status = rg_judge_rewards(judge, items, reward, error);
    for (int64_t i = 0; i < count; i++)
        margin[i] = reward[2 * i] - reward[2 * i + 1];
    free(reward);
    return status;
}

RgStatus rg_judge_quality(RgJudge *judge, const RgJudgeShare *share, double temperature,
                          RgJudgeQuality *quality, RgError *error) {
    RG_ASSERT(share->count > 0);
    RgJudgeItems items = rg_judge_items_of(share);
    double *margin = rg_allocate(share->count, sizeof *margin);
    RgStatus status = margins(judge, &items, temperature, margin, error);
    if (status == RG_OK)
        *quality = rg_judge_quality_of(margin, share->count, temperature);
    free(margin);
    rg_judge_items_free(&items);
    return status;
}
