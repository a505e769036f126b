/* SPDX-License-Identifier: MIT */
/* How good a judge is on pairs that it has not seen, of which people preferred one response: how
 * often it agrees with them, and whether its probabilities are what they say. */
#ifndef RG_ENVS_JUDGES_JUDGE_QUALITY_H
#define RG_ENVS_JUDGES_JUDGE_QUALITY_H

#include "envs/judges/judge.h"

typedef struct RgJudgeQuality {
    double accuracy;  /* share of the pairs whose chosen response gets the larger reward; a tie
                         counts half */
    double low, high; /* its 95 % interval (Wilson 1927) */
    /* Expected calibration error of P(chosen) = σ((r_w − r_l) / temperature): the mean distance,
     * over ten bins of equal width of what is the likelier response's probability, between that and
     * how often it was the chosen one (Guo et al. 2017, arXiv:1706.04599). */
    double calibration_error;
    /* The temperature of the largest likelihood of the pairs, between 1e-3, which is for a judge
     * that is always right, and 1e3, for one that is no better than chance. */
    double temperature;
} RgJudgeQuality;

/* By margins r_w − r_l of pairs, margin [count], of which there is at least one. */
RgJudgeQuality rg_judge_quality_of(const double *margin, int64_t count, double temperature);

/* Of a judge on a share; temperature 0 is that of labels without noise, which are not
 * probabilities: the calibration error is then of those at 1. */
RgStatus rg_judge_quality(RgJudge *judge, const RgJudgeShare *share, double temperature,
                          RgJudgeQuality *quality, RgError *error);

#endif
