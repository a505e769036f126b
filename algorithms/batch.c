/* The quantities that preference losses are written in. No loss lives here, and no sampling. */
#include "algorithms/algorithm.h"

RgTensor *rg_log_ratio_margin(RgTape *t, const RgBatch *batch) {
    return rg_sub(t, batch->chosen.log_ratio, batch->rejected.log_ratio);
}

RgTensor *rg_mean_logprob(RgTape *t, const RgSide *side) {
    return rg_div(t, side->logprob, side->length);
}

RgTensor *rg_positive_part(RgTape *t, RgTensor *x) {
    RgTensor *positive = rg_filled(t, x->shape, 0);
    for (int64_t i = 0; i < x->count; i++)
        positive->data[i] = x->data[i] > 0;
    return rg_mul(t, positive, x);
}

RgTensor *rg_preference_fit(RgTape *t, const RgBatch *batch, double beta) {
    return rg_log_sigmoid(t, rg_scale(t, rg_log_ratio_margin(t, batch), (RgReal)beta));
}
