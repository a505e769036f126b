/* SPDX-License-Identifier: MIT */
/* Judges by name, as parts of a config, and the requirements of a descriptor. */
#include "envs/judges/judge.h"

RgStatus rg_judge_type_check(const RgJudgeType *t, RgError *error) {
    bool here = !t->about.missing_packages; /* else this build has only its options */
    const RgRequirement requirements[] = {
        {t->create || !here, "a function create"},
        {t->rewards || t->compare || !here, "a function rewards or compare"},
        {(t->rewards && t->compare) || !t->gives_rewards || !here,
         "functions rewards and compare, as it has gives_rewards"},
        {!t->use_answers == !t->take_counts, "both use_answers and take_counts, or neither"},
    };
    return rg_descriptor_check(RG_JUDGE, &t->about, requirements,
                               sizeof requirements / sizeof *requirements, error);
}

RgStatus rg_judge_type_register(const RgJudgeType *type, RgError *error) {
    RG_TRY(rg_judge_type_check(type, error));
    return rg_register(RG_JUDGE, &type->about, error);
}

static const RgOption weight[] = {
    RG_OPTION_REAL(RgJudgeWeight, weight, "1", -1e6, 1e6, "factor of its reward"),
    RG_OPTION_END,
};

const RgOptionFamily rg_judge_family = {.kind = RG_JUDGE};
const RgOptionFamily rg_weighted_judge_family = {
    .kind = RG_JUDGE, .common = weight, .common_size = sizeof(RgJudgeWeight)};
