/* Listwise DPO: the judge ranks k responses of the policy, and their implicit rewards are fitted to
 * the ranking under the Plackett-Luce model.
 *
 *     L = −E[ Σ_{j<k} log( exp(β·h(y_j)) / Σ_{l≥j} exp(β·h(y_l)) ) ],   y_1 the best
 *                                              Rafailov et al. 2023, arXiv:2305.18290, eq. 20
 *
 * Rankings are drawn from the same model of the judge's rewards. With k = 2 it is online DPO. */
#include "algorithms/algorithm.h"

typedef struct ListwiseOptions {
    double beta;
    int64_t group_size;
} ListwiseOptions;

static const RgOption listwise_options[] = {
    RG_OPTION_REAL(ListwiseOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_INTEGER(ListwiseOptions, group_size, "4", 2, 64, "k, responses to each prompt"),
    RG_OPTION_END,
};

static double beta(const void *options) {
    return ((const ListwiseOptions *)options)->beta;
}

static int64_t group_size(const void *options) {
    return ((const ListwiseOptions *)options)->group_size;
}

/* How likely each group's response of this place is chosen of those without one: [groups]. It has
 * one then, so that its number in `taken` is far below 0. */
static RgTensor *choose(RgTape *t, const RgGroups *g, RgTensor *reward, int64_t place,
                        RgTensor **taken) {
    int32_t *at = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, g->count);
    RgTensor *before = *taken;
    *taken = rg_filled(t, reward->shape, 0);
    for (int64_t i = 0; i < g->count; i++) {
        at[i] = g->ranking[i * g->size + place];
        for (int64_t k = 0; k < g->size; k++)
            (*taken)->data[i * g->size + k] =
                k == at[i] ? (RgReal)-1e30 : before->data[i * g->size + k];
    }
    return rg_gather(t, rg_log_softmax(t, rg_add(t, reward, before)), at);
}

static RgTensor *listwise_loss(RgTape *t, const void *options, const RgBatch *batch) {
    const RgGroups *g = &batch->groups;
    RgTensor *reward = rg_scale(t, g->log_ratio, (RgReal)beta(options));
    RgTensor *taken = rg_filled(t, reward->shape, 0);
    RgTensor *fit = choose(t, g, reward, 0, &taken);
    for (int64_t place = 1; place < g->size - 1; place++)
        fit = rg_add(t, fit, choose(t, g, reward, place, &taken));
    return rg_negate(t, rg_mean(t, fit));
}

/* Two responses are ranked by a label. */
static bool needs_rewards(const void *options) {
    return group_size(options) > 2;
}

const RgAlgorithm rg_algorithm_listwise = {
    .name = "listwise",
    .summary = "Online DPO on rankings of several responses (Plackett-Luce)",
    .reference = "Rafailov et al. 2023, arXiv:2305.18290, eq. 20",
    .responses = RG_FROM_POLICY,
    .preferences = RG_FROM_JUDGE,
    .needs_rewards = needs_rewards,
    .options = listwise_options,
    .options_size = sizeof(ListwiseOptions),
    .beta = beta,
    .group_size = group_size,
    .loss = listwise_loss,
};
