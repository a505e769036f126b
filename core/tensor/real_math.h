/* The functions of libm at the precision of RgReal, and the few made from them. */
#ifndef RG_CORE_TENSOR_REAL_MATH_H
#define RG_CORE_TENSOR_REAL_MATH_H

#include "core/base.h"

#include <tgmath.h>

static inline RgReal rg_real_exp(RgReal x) {
    return exp(x);
}

static inline RgReal rg_real_log(RgReal x) {
    return log(x);
}

static inline RgReal rg_real_tanh(RgReal x) {
    return tanh(x);
}

static inline RgReal rg_real_power(RgReal x, RgReal exponent) {
    return pow(x, exponent);
}

/* 1/(1 + e^−x), from e^−|x|, which does not overflow. */
static inline RgReal rg_real_sigmoid(RgReal x) {
    RgReal e = exp(-fabs(x));
    return (x >= 0 ? 1 : e) / (1 + e);
}

/* log σ(x) = min(x, 0) − log(1 + e^−|x|) */
static inline RgReal rg_real_log_sigmoid(RgReal x) {
    return (x < 0 ? x : 0) - log1p(exp(-fabs(x)));
}

#endif
