/* SPDX-License-Identifier: MIT */
/* RAFT: maximum likelihood of the best of k of the policy's own responses. No response is made less
 * likely, as a negative gradient would.
 *
 *     L = −E[ log π(y*) ],   y* the response of the largest reward among k
 *                                                   Dong et al. 2023, arXiv:2304.06767
 *
 * The published code retrains on one filtered data set for several epochs; here each step samples
 * anew, or from the policy of some steps before (`sampler_steps`). */
#include "algorithms/algorithm.h"

typedef struct RaftOptions {
    int64_t group_size, sampler_steps;
} RaftOptions;

static const RgOption raft_options[] = {
    RG_OPTION_INTEGER(RaftOptions, group_size, "4", 2, 1024, "k, responses to each prompt"),
    RG_SAMPLER_STEPS(RaftOptions, "1"),
    RG_OPTION_END,
};

/* The place of the largest reward in each group, the first of equals: [prompts]. */
static const int32_t *best_places(RgTape *t, const RgBatch *batch) {
    int32_t *best = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, batch->prompts);
    for (int64_t i = 0; i < batch->prompts; i++) {
        const double *reward = batch->judged + i * batch->k;
        best[i] = 0;
        for (int32_t y = 1; y < batch->k; y++)
            best[i] = reward[y] > reward[best[i]] ? y : best[i];
    }
    return best;
}

static RgTensor *raft_loss(RgStep *step, const void *options, const RgBatch *batch) {
    (void)options;
    RgTape *t = step->tape;
    RgTensor *best = rg_gather(t, batch->logprob, best_places(t, batch));
    return rg_negate(t, rg_batch_mean(step, batch, best));
}

static void raft_recipe(const void *options, RgRecipe *recipe) {
    const RaftOptions *o = options;
    recipe->responses = RG_FROM_POLICY;
    recipe->preferences = RG_FROM_JUDGE;
    recipe->group = o->group_size;
    recipe->sampler_steps = o->sampler_steps;
    recipe->rewards = true;
}

const RgAlgorithm rg_algorithm_raft = {
    .about = {.name = "raft",
              .summary = "Maximum likelihood of the best of several of the policy's responses",
              .reference = "Dong et al. 2023, arXiv:2304.06767",
              .options = raft_options,
              .options_size = sizeof(RaftOptions)},
    .recipe = raft_recipe,
    .loss = raft_loss,
};
