/* SPDX-License-Identifier: MIT */
/* Measures that preference losses are built from. This file contains no loss and no sampling. */
#include "algorithms/algorithm.h"

RgTensor *rg_batch_mean(RgStep *step, const RgBatch *batch, RgTensor *terms) {
    RgTape *t = step->tape;
    step->weighted = true;
    if (!batch->weight)
        return rg_mean(t, terms);
    if (terms->count > batch->prompts)
        terms = rg_mean_last(t, terms);
    return rg_mean(t, rg_mul(t, batch->weight, rg_reshape(t, terms, RG_SHAPE(batch->prompts))));
}

RgTensor *rg_third_mean(RgTape *t, const RgBatch *batch, RgTensor *terms) {
    return rg_mean(t, batch->third_weight ? rg_mul(t, batch->third_weight, terms) : terms);
}

RgTensor *rg_log_ratio_margin(RgTape *t, const RgBatch *batch) {
    return rg_sub(t, batch->chosen.log_ratio, batch->rejected.log_ratio);
}

RgTensor *rg_batch_signs(RgTape *t, const RgBatch *batch) {
    return rg_add_scalar(t, rg_scale(t, batch->desirable, 2), -1);
}

RgTensor *rg_mean_logprob(RgTape *t, const RgSide *side) {
    return rg_div(t, side->logprob, side->length);
}

RgTensor *rg_response_at(RgTape *t, RgTensor *x, int64_t place) {
    return rg_reshape(t, rg_slice(t, x, 1, place, 1), RG_SHAPE(x->count / x->shape.size[1]));
}

RgTensor *rg_first_preferred(RgTape *t, const RgBatch *batch) {
    RgTensor *first = rg_filled(t, RG_SHAPE(batch->prompts), 0);
    for (int64_t i = 0; i < batch->prompts; i++)
        first->data[i] = batch->order[batch->k * i] == 0;
    return first;
}

RgTensor *rg_positive_part(RgTape *t, RgTensor *x) {
    RgTensor *positive = rg_filled(t, x->shape, 0);
    for (int64_t i = 0; i < x->count; i++)
        positive->data[i] = x->data[i] > 0;
    return rg_mul(t, positive, x);
}

RgTensor *rg_clip(RgTape *t, RgTensor *x, double low, double high) {
    RgTensor *within = rg_filled(t, x->shape, 0), *bound = rg_filled(t, x->shape, 0);
    for (int64_t i = 0; i < x->count; i++)
        if (x->data[i] > (RgReal)high)
            bound->data[i] = (RgReal)high;
        else if (x->data[i] < (RgReal)low)
            bound->data[i] = (RgReal)low;
        else
            within->data[i] = 1;
    return rg_add(t, rg_mul(t, within, x), bound);
}

RgTensor *rg_preference_fit(RgTape *t, const RgBatch *batch, double beta) {
    return rg_log_sigmoid(t, rg_scale(t, rg_log_ratio_margin(t, batch), (RgReal)beta));
}
