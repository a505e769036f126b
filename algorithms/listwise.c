/* SPDX-License-Identifier: MIT */
/* Listwise DPO: the judge ranks k responses of the policy, and the Plackett-Luce model fits their
 * implicit rewards to the ranking.
 *
 *     L = −E[ Σ_{j<k} log( exp(β·h(y_j)) / Σ_{l≥j} exp(β·h(y_l)) ) ],   y_1 the best
 *                                              Rafailov et al. 2023, arXiv:2305.18290, eq. 20
 *
 * Rankings are sampled from the same model of the judge's rewards. k = 2 is online DPO. */
#include "algorithms/algorithm.h"

typedef struct ListwiseOptions {
    double beta;
    int64_t group_size, sampler_steps;
} ListwiseOptions;

static const RgOption listwise_options[] = {
    RG_OPTION_REAL(ListwiseOptions, beta, "0.1", 1e-6, 1e3, "strength β of the KL term"),
    RG_OPTION_INTEGER(ListwiseOptions, group_size, "4", 2, 64, "k, responses to each prompt"),
    RG_SAMPLER_STEPS(ListwiseOptions, "1"),
    RG_OPTION_END,
};

/* Log-probability that each group's response at this place is chosen among those not yet chosen:
 * [groups]. Marks it as chosen: its number in `taken` becomes far below 0. */
static RgTensor *choose(RgTape *t, const RgBatch *b, RgTensor *reward, int64_t place,
                        RgTensor **taken) {
    int32_t *at = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, b->prompts);
    RgTensor *before = *taken;
    *taken = rg_filled(t, reward->shape, 0);
    for (int64_t i = 0; i < b->prompts; i++) {
        at[i] = b->order[i * b->k + place];
        for (int64_t y = 0; y < b->k; y++)
            (*taken)->data[i * b->k + y] = y == at[i] ? (RgReal)-1e30 : before->data[i * b->k + y];
    }
    return rg_gather(t, rg_log_softmax(t, rg_add(t, reward, before)), at);
}

static RgTensor *listwise_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const ListwiseOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *reward = rg_scale(t, batch->log_ratio, (RgReal)o->beta);
    RgTensor *taken = rg_filled(t, reward->shape, 0);
    RgTensor *fit = choose(t, batch, reward, 0, &taken);
    for (int64_t place = 1; place < batch->k - 1; place++)
        fit = rg_add(t, fit, choose(t, batch, reward, place, &taken));
    return rg_negate(t, rg_batch_mean(step, batch, fit));
}

static void listwise_recipe(const void *options, RgRecipe *recipe) {
    const ListwiseOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->beta = o->beta;
    recipe->group = o->group_size;
    recipe->sampler_steps = o->sampler_steps;
    recipe->rewards = o->group_size > 2; /* two are ranked by a label */
}

const RgAlgorithm rg_algorithm_listwise = {
    .about = {.name = "listwise",
              .summary = "Online DPO on rankings of several responses (Plackett-Luce)",
              .reference = "Rafailov et al. 2023, arXiv:2305.18290, eq. 20",
              .options = listwise_options,
              .options_size = sizeof(ListwiseOptions)},
    .recipe = listwise_recipe,
    .loss = listwise_loss,
};
