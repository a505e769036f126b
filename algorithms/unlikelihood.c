/* SPDX-License-Identifier: MIT */
/* Unlikelihood training on pairs: raise the likelihood of the preferred response, lower that of the
 * other. A baseline of DPO's paper (arXiv:2305.18290, section 6).
 *
 *     sequence:  L = E[ −log π(y_w) + α·log π(y_l) ]
 *     token:     L = E[ −log π(y_w) − α·Σ_t log(1 − π(y_l,t | before)) ]      Welleck et al. 2020,
 *                                                                             arXiv:1908.04319
 *
 * DPO's paper describes the first in words, and a public study of it is coded so; there α is between
 * 0 and 1. Its second term has no lower bound: with α of 1 and more the loss falls for ever. The
 * second form is bounded, and its gradient vanishes where y_l has become unlikely. 1 − π is held
 * above 1e-5, as in public code. Neither has a reference.
 *
 * Limit: α = 0 is maximum likelihood of the preferred responses, whose loss is a sum over tokens
 * here and a mean over them in sft. */
#include "algorithms/algorithm.h"

enum { FORM_SEQUENCE, FORM_TOKEN };
static const char *const forms[] = {"sequence", "token", NULL};

typedef struct UnlikelihoodOptions {
    double rejected_weight;
    int form;
} UnlikelihoodOptions;

static const RgOption unlikelihood_options[] = {
    RG_OPTION_REAL(UnlikelihoodOptions, rejected_weight, "0.1", 0, 1e3,
                   "α, weight of the rejected response's term"),
    RG_OPTION_CHOICE(UnlikelihoodOptions, form, "sequence", forms,
                     "term of the rejected response: sequence, its log-probability; or token, "
                     "−log(1 − π) of each of its tokens"),
    RG_OPTION_END,
};

/* −Σ_t log(1 − π(y_l,t)) of each pair, [pairs]. */
static RgTensor *token_term(RgTape *t, const RgBatch *batch) {
    const double least = 1e-5;
    const RgSteps *s = &batch->steps;
    RgTensor *other = rg_add_scalar(t, rg_negate(t, rg_exp(t, s->logprob)), 1);
    RgTensor *term = rg_negate(t, rg_log(t, rg_clip(t, other, least, 1)));
    RgTensor *sums = rg_segment_sum(t, term, s->offsets, 2 * batch->prompts);
    int32_t *rejected = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, batch->prompts);
    for (int64_t i = 0; i < batch->prompts; i++)
        rejected[i] = batch->order[2 * i + 1];
    return rg_gather(t, rg_reshape(t, sums, RG_SHAPE(batch->prompts, 2)), rejected);
}

static RgTensor *unlikelihood_loss(RgStep *step, const void *options, const RgBatch *batch) {
    const UnlikelihoodOptions *o = options;
    RgTape *t = step->tape;
    RgTensor *term = o->form == FORM_TOKEN ? token_term(t, batch) : batch->rejected.logprob;
    RgTensor *loss =
        rg_sub(t, rg_scale(t, term, (RgReal)o->rejected_weight), batch->chosen.logprob);
    return rg_batch_mean(step, batch, loss);
}

static void unlikelihood_recipe(const void *options, RgRecipe *recipe) {
    const UnlikelihoodOptions *o = options;
    recipe->responses = recipe->preferences = RG_FROM_DATASET;
    recipe->reference_free = true;
    recipe->steps = o->form == FORM_TOKEN;
}

const RgAlgorithm rg_algorithm_unlikelihood = {
    .about = {.name = "unlikelihood",
              .summary = "Likelihood of the preferred responses, unlikelihood of the others",
              .reference =
                  "Rafailov et al. 2023, arXiv:2305.18290, section 6; Welleck et al. 2020, "
                  "arXiv:1908.04319",
              .options = unlikelihood_options,
              .options_size = sizeof(UnlikelihoodOptions)},
    .recipe = unlikelihood_recipe,
    .loss = unlikelihood_loss,
};
