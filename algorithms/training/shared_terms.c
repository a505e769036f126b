/* SPDX-License-Identifier: MIT */
/* Terms that losses share: their options, and what they do to a batch and to its loss. */
#include "algorithms/training/shared_terms.h"

/* ---- options ---- */

static const char *const sft_logprobs[] = {"mean", "sum", NULL};

const RgOption rg_sft_logprob_option[] = {
    RG_OPTION_CHOICE(RgSharedTerms, sft_logprob, "mean", sft_logprobs,
                     "log-likelihood of the SFT term: the mean over the response's tokens, or "
                     "their sum",
                     .later = true),
    RG_OPTION_END,
};

const RgOption rg_sft_options[] = {
    RG_OPTION_REAL(RgSharedTerms, sft_coefficient, "0", 0, 1e6,
                   "weight of an SFT term, the negative log-likelihood of the preferred response, "
                   "which is added to the loss (RPO, arXiv:2404.19733); 0: none",
                   .later = true),
    RG_OPTION_EXTEND(rg_sft_logprob_option),
    RG_OPTION_END,
};

const RgOption rg_length_coefficient_option[] = {
    RG_OPTION_REAL(
        RgSharedTerms, length_coefficient, "0", 0, 1e3,
        "length regularisation α: α|y| is added to the implicit reward of each response, "
        "so that longer ones are learned less (R-DPO, arXiv:2403.19159); 0: none",
        .later = true),
    RG_OPTION_END,
};

const RgOption rg_length_options[] = {
    RG_OPTION_BOOLEAN(RgSharedTerms, length_normalisation, "false",
                      "divide the log-ratio of each response by its number of tokens",
                      .later = true),
    RG_OPTION_EXTEND(rg_length_coefficient_option),
    RG_OPTION_END,
};

const RgOption rg_dpop_option[] = {
    RG_OPTION_REAL(RgSharedTerms, dpop_coefficient, "0", 0, 1e6,
                   "λ, penalty where the preferred response is less likely than under the "
                   "reference: λ max(0, −h(y_w)) is subtracted from h(y_w) (DPOP, "
                   "arXiv:2402.13228); 0: none",
                   .later = true),
    RG_OPTION_END,
};

const RgOption rg_moving_reference_options[] = {
    RG_OPTION_INTEGER(RgSharedTerms, reference_steps, "0", 0, 1e9,
                      "steps after which the reference moves to the policy (TR-DPO, "
                      "arXiv:2404.09656); 0: it never moves",
                      .later = true),
    RG_OPTION_REAL(RgSharedTerms, reference_update, "1", 1e-6, 1,
                   "the policy's share u in the moved reference's weights, u policy + (1 − u) "
                   "reference: 1 is TR-DPO's hard update, below 1 its soft update",
                   .later = true),
    RG_OPTION_END,
};

const RgOption rg_shared_options[] = {
    RG_OPTION_EXTEND(rg_sft_options),
    RG_OPTION_EXTEND(rg_length_options),
    RG_OPTION_EXTEND(rg_dpop_option),
    RG_OPTION_EXTEND(rg_moving_reference_options),
    RG_OPTION_END,
};

RgStatus rg_shared_terms_check(const RgAlgorithm *algorithm, const RgRecipe *recipe, bool adapter,
                               RgError *error) {
    const RgSharedTerms *s = &recipe->shared;
    bool part = s->reference_update > 0 && s->reference_update < 1;
    if (s->sft_logprob == RG_SFT_SUM && s->sft_coefficient == 0)
        return rg_fail(error, RG_E_USAGE,
                       "%s: sft_logprob is \"sum\", and sft_coefficient is 0, so that there is no "
                       "SFT term: expected \"mean\", or a coefficient",
                       algorithm->about.name);
    if (part && s->reference_steps == 0)
        return rg_fail(
            error, RG_E_USAGE,
            "%s: reference_update is %g, and reference_steps is 0, so that the reference "
            "never moves: expected 1 or more steps",
            algorithm->about.name, s->reference_update);
    if (part && adapter)
        return rg_fail(error, RG_E_USAGE,
                       "%s: reference_update is %g, and the policy has an adapter, whose factors "
                       "have no mean that is an adapter: expected 1",
                       algorithm->about.name, s->reference_update);
    if (recipe->single && (s->sft_coefficient != 0 || rg_shared_terms_shape(recipe)))
        return rg_fail(error, RG_E_USAGE,
                       "%s: sft_coefficient, length_normalisation, length_coefficient or "
                       "dpop_coefficient is set, and single is true: these terms are of pairs, "
                       "expected their defaults",
                       algorithm->about.name);
    if (recipe->other_margin && rg_shared_terms_shape(recipe))
        return rg_fail(
            error, RG_E_USAGE,
            "%s: length_normalisation, length_coefficient or dpop_coefficient is set, and "
            "with these options the loss is of no log-ratios: expected their defaults",
            algorithm->about.name);
    return RG_OK;
}

/* ---- the implicit rewards ---- */

bool rg_shared_terms_shape(const RgRecipe *recipe) {
    const RgSharedTerms *s = &recipe->shared;
    return s->length_normalisation || s->length_coefficient != 0 || s->dpop_coefficient != 0;
}

/* λ max(0, −h) of the preferred responses, 0 of the others: [prompts, 2]. */
static RgTensor *penalty(RgTape *t, const RgBatch *batch, RgTensor *h, double coefficient) {
    RgTensor *preferred = rg_filled(t, h->shape, 0);
    for (int64_t i = 0; i < batch->prompts; i++)
        preferred->data[2 * i + batch->order[2 * i]] = (RgReal)coefficient;
    return rg_mul(t, preferred, rg_positive_part(t, rg_negate(t, h)));
}

/* The values at one place of each pair's order, [prompts]. */
static RgTensor *at_place(RgTape *t, const RgBatch *batch, RgTensor *x, int place) {
    int32_t *index = RG_ARENA_ARRAY(rg_tape_arena(t), int32_t, batch->prompts);
    for (int64_t i = 0; i < batch->prompts; i++)
        index[i] = batch->order[2 * i + place];
    return rg_gather(t, x, index);
}

void rg_shared_terms_apply(RgTape *t, const RgRecipe *recipe, RgBatch *batch) {
    const RgSharedTerms *s = &recipe->shared;
    if (!rg_shared_terms_shape(recipe))
        return;
    RgTensor *h = batch->log_ratio;
    if (s->length_normalisation)
        h = rg_div(t, h, batch->length);
    if (s->dpop_coefficient != 0)
        h = rg_sub(t, h, penalty(t, batch, h, s->dpop_coefficient));
    if (s->length_coefficient != 0)
        h = rg_add(t, h,
                   rg_scale(t, batch->length, (RgReal)(s->length_coefficient / recipe->beta)));
    batch->log_ratio = h;
    batch->chosen.log_ratio = at_place(t, batch, h, 0);
    batch->rejected.log_ratio = at_place(t, batch, h, 1);
}

/* ---- the SFT term ---- */

RgTensor *rg_shared_terms_add(RgStep *step, const RgRecipe *recipe, const RgBatch *batch,
                              RgTensor *loss) {
    const RgSharedTerms *s = &recipe->shared;
    if (s->sft_coefficient == 0 || step->term != 0)
        return loss;
    RgTape *t = step->tape;
    RgTensor *likelihood =
        s->sft_logprob == RG_SFT_SUM ? batch->chosen.logprob : rg_mean_logprob(t, &batch->chosen);
    RgTensor *mean = rg_batch_mean(step, batch, likelihood);
    return rg_sub(t, loss, rg_scale(t, mean, (RgReal)s->sft_coefficient));
}
