/* The list of algorithms: a new one is its file and one line here. And what each must have. */
#include "algorithms/algorithm.h"

#include "core/descriptor.h"

#include <string.h>

extern const RgAlgorithm rg_algorithm_base, rg_algorithm_best_of_n, rg_algorithm_sft,
    rg_algorithm_dpo, rg_algorithm_ipo, rg_algorithm_cdpo, rg_algorithm_rdpo, rg_algorithm_hinge,
    rg_algorithm_kto, rg_algorithm_simpo, rg_algorithm_spin, rg_algorithm_online_dpo,
    rg_algorithm_listwise, rg_algorithm_xpo, rg_algorithm_selm, rg_algorithm_vpo,
    rg_algorithm_nash_md, rg_algorithm_rloo, rg_algorithm_ppo, rg_algorithm_sail_dp,
    rg_algorithm_sail_pp, rg_algorithm_sail_pr, rg_algorithm_sail_revkl, rg_algorithm_parl;

const RgAlgorithm *const rg_algorithms[] = {
    &rg_algorithm_base,
    &rg_algorithm_best_of_n,
    &rg_algorithm_sft,
    &rg_algorithm_dpo,
    &rg_algorithm_ipo,
    &rg_algorithm_cdpo,
    &rg_algorithm_rdpo,
    &rg_algorithm_hinge,
    &rg_algorithm_kto,
    &rg_algorithm_simpo,
    &rg_algorithm_spin,
    &rg_algorithm_online_dpo,
    &rg_algorithm_listwise,
    &rg_algorithm_xpo,
    &rg_algorithm_selm,
    &rg_algorithm_vpo,
    &rg_algorithm_nash_md,
    &rg_algorithm_rloo,
    &rg_algorithm_ppo,
    &rg_algorithm_sail_dp,
    &rg_algorithm_sail_pp,
    &rg_algorithm_sail_pr,
    &rg_algorithm_sail_revkl,
    &rg_algorithm_parl,
    NULL,
};

const RgAlgorithm *rg_algorithm_find(const char *name) {
    for (int i = 0; rg_algorithms[i]; i++)
        if (rg_algorithms[i]->name && strcmp(rg_algorithms[i]->name, name) == 0)
            return rg_algorithms[i];
    return NULL;
}

static bool is_one_of(RgSource source, RgSource a, RgSource b, RgSource c) {
    return source == a || source == b || source == c;
}

/* Of one with a loss, whose batches the trainer draws as its sources say. */
static RgStatus check_loss(const RgAlgorithm *a, RgError *error) {
    bool policy = a->responses == RG_FROM_POLICY, pairs = rg_algorithm_takes_pairs(a);
    bool calibrates = a->calibration != RG_FROM_NOWHERE;
    const RgRequirement requirements[] = {
        {policy || a->responses == RG_FROM_DATASET, "responses from dataset or policy"},
        {is_one_of(a->opponents, RG_FROM_NOWHERE, RG_FROM_REFERENCE, RG_FROM_MIXTURE),
         "opponents from reference, mixture or nowhere"},
        {a->preferences == RG_FROM_NOWHERE ||
             is_one_of(a->preferences, RG_FROM_DATASET, RG_FROM_POLICY, RG_FROM_JUDGE),
         "preferences from dataset, policy, judge or nowhere"},
        {is_one_of(a->calibration, RG_FROM_NOWHERE, RG_FROM_REFERENCE, RG_FROM_OTHERS),
         "a calibration from reference, others or nowhere"},
        {pairs || a->group_size || !policy,
         "preferences, opponents or group_size beside responses from policy"},
        {!a->group_size || policy, "responses from policy beside group_size"},
        {pairs || !calibrates, "pairs beside calibration"},
        {calibrates || !a->calibration_competes, "a calibration that competes"},
        {a->needs_rewards || !a->calibration_competes, "needs_rewards beside calibration_competes"},
        {a->beta || a->preferences != RG_FROM_POLICY, "beta beside preferences from policy"},
        {a->reference_share || a->opponents != RG_FROM_MIXTURE,
         "reference_share beside opponents from mixture"},
    };
    return rg_descriptor_check("algorithm", a->name, requirements,
                               sizeof requirements / sizeof *requirements, error);
}

RgStatus rg_algorithm_check(const RgAlgorithm *a, RgError *error) {
    const RgRequirement requirements[] = {
        RG_DESCRIPTOR_REQUIREMENTS(a),
        {!a->loss || !a->step, "a loss or a step, not both"},
        {a->create || !(a->destroy || a->checkpoint), "create beside destroy and checkpoint"},
    };
    RG_TRY(rg_descriptor_check("algorithm", a->name, requirements,
                               sizeof requirements / sizeof *requirements, error));
    return a->loss ? check_loss(a, error) : RG_OK;
}
