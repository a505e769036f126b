/* The list of judges. Adding one: its file, and a line here. And what each must have. */
#include "core/descriptor.h"
#include "envs/judge.h"

extern const RgJudgeType rg_judge_command, rg_judge_endpoint, rg_judge_fluency, rg_judge_grammar,
    rg_judge_lexicon, rg_judge_mixture, rg_judge_ngram, rg_judge_reward_model;

const RgJudgeType *const rg_judge_types[] = {
    &rg_judge_command, &rg_judge_endpoint,     &rg_judge_fluency,
    &rg_judge_grammar, &rg_judge_lexicon,      &rg_judge_mixture,
    &rg_judge_ngram,   &rg_judge_reward_model, NULL,
};

RgStatus rg_judge_type_check(const RgJudgeType *t, RgError *error) {
    bool here = !t->lacks; /* else its options alone are in this build */
    const RgRequirement requirements[] = {
        RG_DESCRIPTOR_REQUIREMENTS(t),
        {t->create || !here, "a function create"},
        {t->rewards || t->compare || !here, "a function rewards or compare"},
        {!t->use_answers == !t->take_counts, "both use_answers and take_counts, or neither"},
    };
    return rg_descriptor_check("judge", t->name, requirements,
                               sizeof requirements / sizeof *requirements, error);
}

static const char *name_of(int i) {
    return rg_judge_types[i] ? rg_judge_types[i]->name : NULL;
}

static const RgOption *options_of(int i, size_t *size) {
    *size = rg_judge_types[i]->options_size;
    return rg_judge_types[i]->options;
}

static const char *lacks(int i) {
    return rg_judge_types[i]->lacks;
}

static const RgOption weight[] = {
    RG_OPTION_REAL(RgJudgeWeight, weight, "1", -1e6, 1e6, "what its reward is multiplied by"),
    RG_OPTION_END,
};

const RgOptionFamily rg_judge_family = {"judge", name_of, options_of, NULL, 0, lacks};
const RgOptionFamily rg_weighted_judge_family = {
    "judge", name_of, options_of, weight, sizeof(RgJudgeWeight), lacks};
