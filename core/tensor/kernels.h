/* SPDX-License-Identifier: MIT */
/* What the hand-written kernels share: the macro that compiles a loop for each set of instructions,
 * a vectorisable exponential, and the rotary and attention kernels used by training and sampling.
 * Private to core: users of operators include tensor.h. */
#ifndef RG_CORE_TENSOR_KERNELS_H
#define RG_CORE_TENSOR_KERNELS_H

#include <math.h>
#include <string.h>

#include "core/tensor/instructions.h"
#include "core/tensor/tensor.h"

/* The attribute that compiles a function for a set of instructions. Call the function only if
 * rg_instructions() permits. */
#if defined(__x86_64__) && defined(__GNUC__) /* rg_instructions_can_run asks for the same */
#define RG_FOR_AVX2 __attribute__((target("avx2,fma,bmi,bmi2")))
#ifdef __clang__ /* clang takes the width of vectors from the types alone */
#define RG_AVX512_TARGET "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,bmi,bmi2"
#else
#define RG_AVX512_TARGET                                                                           \
    "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,bmi,bmi2,prefer-vector-width=512"
#endif
#define RG_FOR_AVX512 __attribute__((target(RG_AVX512_TARGET)))

/* The same for bf16 products, which not all processors with AVX-512 support. */
#define RG_BF16_TARGET RG_AVX512_TARGET ",avx512bf16"
#define RG_FOR_BF16    __attribute__((target(RG_BF16_TARGET)))
static inline bool rg_has_bf16_vectors(void) {
    return rg_instructions() == RG_AVX512 && __builtin_cpu_supports("avx512bf16");
}
#endif
#define RG_INLINE static inline __attribute__((always_inline))

/* A loop over numbers that is compiled for each set of instructions and runs on the one in use:
 *
 *     RG_KERNEL(void, scale_row, (int64_t n, RgReal factor, RgReal *x), (n, factor, x)) {
 *         for (int64_t i = 0; i < n; i++)
 *             x[i] *= factor;
 *     }
 *
 * defines `static void scale_row(int64_t n, RgReal factor, RgReal *x)`. RG_PUBLIC_KERNEL defines
 * one that other files can call. Everything the loop calls must be inline. */
#define RG_KERNEL(type, name, parameters, arguments)                                               \
    RG_KERNEL_AS(static, type, name, parameters, arguments)
#define RG_PUBLIC_KERNEL(type, name, parameters, arguments)                                        \
    RG_KERNEL_AS(extern, type, name, parameters, arguments)

#ifdef RG_FOR_AVX2
#define RG_KERNEL_AS(linkage, type, name, parameters, arguments)                                   \
    RG_INLINE type name##_loop parameters;                                                         \
    RG_FOR_AVX512 static type name##_avx512 parameters {                                           \
        return name##_loop arguments;                                                              \
    }                                                                                              \
    RG_FOR_AVX2 static type name##_avx2 parameters {                                               \
        return name##_loop arguments;                                                              \
    }                                                                                              \
    static __attribute__((noinline)) type name##_baseline parameters {                             \
        return name##_loop arguments;                                                              \
    }                                                                                              \
    linkage type name parameters {                                                                 \
        RgInstructions set = rg_instructions();                                                    \
        return set == RG_AVX512 ? name##_avx512 arguments                                          \
               : set == RG_AVX2 ? name##_avx2 arguments                                            \
                                : name##_baseline arguments;                                       \
    }                                                                                              \
    RG_INLINE type name##_loop parameters
#else
#define RG_KERNEL_AS(linkage, type, name, parameters, arguments) linkage type name parameters
#endif

/* exp(x) to about one unit in the last place of a float, without branches. Range reduction and
 * polynomial after Moshier's Cephes. It is 0 below −87, its value at 87 above 87, and NaN stays
 * NaN. The exponent is read from the bits of x·log2(e) + 1.5·2^23: rounding this sum rounds to an
 * integer. The limits are compared as integers, because compilers turn a comparison of floats into
 * a selection between two results and compute both for every lane. One of them would be the
 * subnormal σ(−88), which makes the multiplication ten times slower even if no lane needs it. */
static inline RgReal rg_fast_exp(RgReal x) {
#ifdef RG_DOUBLE
    return exp(x);
#else
    const uint32_t least = 0xC2AE0000; /* bits of −87; they grow with the magnitude */
    const int32_t most = 0x42AE0000;   /* 87 */
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = bits < least ? bits : least;
    int32_t limited_bits = (int32_t)bits < most ? (int32_t)bits : most;
    float limited;
    memcpy(&limited, &limited_bits, sizeof limited);
    float shifted = limited * 1.44269504088896341f + 12582912.0f;
    float n = shifted - 12582912.0f;
    float r = limited - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits - UINT32_C(0x4B400000) + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    float y = p * power;
    y = x < -87.0f ? 0.0f : y;
    return x == x ? y : x;
#endif
}

/* Whether an operator on these inputs will be recorded, and so must keep what backward needs. */
bool rg_will_record(RgTape *tape, RgTensor *const *inputs, int count);

/* Where a kernel adds the gradient of an input: an existing buffer, or a new zeroed tensor, which
 * rg_gradient_done then passes to the tape. */
typedef struct RgGradientTarget {
    RgReal *data;
    RgTensor *allocated; /* NULL if data is an existing buffer */
} RgGradientTarget;
RgGradientTarget rg_gradient_target(RgTape *tape, RgTensor *input);
void rg_gradient_done(RgTape *tape, RgTensor *input, RgGradientTarget target);

/* Cosines and sines of the rotary embedding for positions 0 … rows−1: each [rows, size / 2]. The
 * first `size` dimensions of a head are rotated; those after them stay as they are. */
typedef struct RgRopeTable {
    const RgReal *cosine;
    const RgReal *sine;
    int64_t rows, size;
    int64_t head_size; /* at least `size` */
} RgRopeTable;

/* Angles per position of the pairs: frequency [size / 2]. */
void rg_rope_frequencies(int64_t size, double base, double *frequency);
/* Fill cosine and sine, each [rows, pairs], with multiples of `amplitude`. */
void rg_rope_angles(int64_t rows, int64_t pairs, const double *frequency, double amplitude,
                    RgReal *cosine, RgReal *sine);

/* Rotates `heads` heads of one row [heads · size], in place. */
void rg_rope_row(const RgRopeTable *table, int64_t position, int64_t heads, RgRopePairing pairing,
                 RgReal *x);

/* The values of the operators with the same names. `inverse` and `mean` [n] are kept for
 * backward. */
void rg_rms_norm_rows(int64_t n, int64_t d, const RgReal *x, const RgReal *weight, RgReal epsilon,
                      RgReal *inverse, RgReal *y);
void rg_layer_norm_rows(int64_t n, int64_t d, const RgReal *x, const RgReal *weight,
                        const RgReal *bias, RgReal epsilon, RgReal *mean, RgReal *inverse,
                        RgReal *y);
void rg_swiglu_values(int64_t n, const RgReal *gate, const RgReal *up, RgReal *y);
void rg_gelu_values(int64_t n, const RgReal *x, RgReal *y);
void rg_gelu_exact_values(int64_t n, const RgReal *x, RgReal *y);
/* In place: cap · tanh(x / cap), which is counted as RG_CAP_FLOPS operations. */
enum { RG_CAP_FLOPS = 12 };
void rg_cap_values(int64_t n, RgReal cap, RgReal *x);

/* rg_rope with precomputed angles. `positions` [n] and the table must outlive the tape. */
RgTensor *rg_rope_by_table(RgTape *t, RgTensor *x, const int32_t *positions, int64_t heads,
                           const RgRopeTable *table, RgRopePairing pairing);

#endif
