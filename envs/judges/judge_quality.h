/* SPDX-License-Identifier: MIT */
/* The quality of a judge on unseen pairs with human preferences: its accuracy, and the calibration
 * of its probabilities. */
#ifndef RG_ENVS_JUDGES_JUDGE_QUALITY_H
#define RG_ENVS_JUDGES_JUDGE_QUALITY_H

#include "envs/judges/judge.h"

typedef struct RgJudgeQuality {
    double accuracy;  /* share of the pairs whose chosen response gets the larger reward; a tie
                         counts as half */
    double low, high; /* its 95 % interval (Wilson 1927) */
    /* Expected calibration error of P(chosen) = σ((r_w − r_l) / temperature): the mean distance
     * between the probability of the likelier response and the frequency with which it was chosen,
     * over ten bins of equal width of that probability (Guo et al. 2017, arXiv:1706.04599). */
    double calibration_error;
    /* The temperature with the largest likelihood of the pairs, from 1e-3 (a judge that is always
     * right) to 1e3 (a judge no better than chance). */
    double temperature;
} RgJudgeQuality;

/* From margins r_w − r_l of pairs, margin [count]; count ≥ 1. */
RgJudgeQuality rg_judge_quality_of(const double *margin, int64_t count, double temperature);

/* The quality of a judge on a share. Temperature 0 means labels without noise, which are not
 * probabilities; the calibration error is then computed at temperature 1. */
RgStatus rg_judge_quality(RgJudge *judge, const RgJudgeShare *share, double temperature,
                          RgJudgeQuality *quality, RgError *error);

#endif
