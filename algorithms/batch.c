/* The quantities that preference losses are written in. No loss lives here, and no sampling. */
#include "algorithms/algorithm.h"

RgTensor *rg_log_ratio_margin(RgTape *t, const RgBatch *batch) {
    return rg_sub(t, batch->chosen.log_ratio, batch->rejected.log_ratio);
}

RgTensor *rg_preference_fit(RgTape *t, const RgBatch *batch, double beta) {
    return rg_log_sigmoid(t, rg_scale(t, rg_log_ratio_margin(t, batch), (RgReal)beta));
}
