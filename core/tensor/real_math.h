/* SPDX-License-Identifier: MIT */
/* The functions of one variable used by operators, at the precision of RgReal. In single precision
 * the most frequent ones have no branches, so their loops can be vectorised; the others are libm's.
 * Private to core. */
#ifndef RG_CORE_TENSOR_REAL_MATH_H
#define RG_CORE_TENSOR_REAL_MATH_H

#include "core/tensor/kernels.h"

#include <tgmath.h>

/* 1/(1 + e^−x), from e^−|x|, which does not overflow. */
static inline RgReal rg_real_sigmoid(RgReal x) {
    RgReal e = rg_fast_exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

/* log σ(x) = min(x, 0) − log(1 + e^−|x|) */
static inline RgReal rg_real_log_sigmoid(RgReal x) {
    return (x < 0 ? x : 0) - log1p(rg_fast_exp(-fabs(x)));
}

/* (1 − e^−2|x|)/(1 + e^−2|x|) with the sign of x. Near 0, where that cancels, the odd polynomial of
 * Moshier's Cephes. */
static inline RgReal rg_real_tanh(RgReal x) {
#ifdef RG_DOUBLE
    return tanh(x);
#else
    float z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float near = x + x * z * p;
    float e = rg_fast_exp(-2 * fabsf(x));
    float far = copysignf((1 - e) / (1 + e), x);
    return fabsf(x) < 0.625f ? near : far;
#endif
}

#endif
