/* SPDX-License-Identifier: MIT */
/* Elementwise operators: arithmetic with broadcasting, and functions of one variable. Each forward
 * is next to its backward, which is written in operators, so that it can be differentiated
 * again. */
#include "core/tensor/broadcast.h"
#include "core/tensor/parallel.h"
#include "core/tensor/real_math.h"

/* ---- arithmetic ---- */

/* `a` and `b` each have stride 0 (repeated) or 1. Every combination is a loop that can be
 * vectorised. */
#define BINARY_KERNEL(id, expression)                                                              \
    RG_KERNEL(void, id##_row,                                                                      \
              (int64_t n, const RgReal *restrict a, int64_t a_stride, const RgReal *restrict b,    \
               int64_t b_stride, RgReal *restrict y),                                              \
              (n, a, a_stride, b, b_stride, y)) {                                                  \
        if (a_stride == 1 && b_stride == 1) {                                                      \
            for (int64_t i = 0; i < n; i++) {                                                      \
                RgReal p = a[i], q = b[i];                                                         \
                y[i] = expression;                                                                 \
            }                                                                                      \
        } else if (a_stride == 1) {                                                                \
            RgReal q = b[0];                                                                       \
            for (int64_t i = 0; i < n; i++) {                                                      \
                RgReal p = a[i];                                                                   \
                y[i] = expression;                                                                 \
            }                                                                                      \
        } else {                                                                                   \
            RgReal p = a[0];                                                                       \
            for (int64_t i = 0; i < n; i++) {                                                      \
                RgReal q = b[i * b_stride];                                                        \
                y[i] = expression;                                                                 \
            }                                                                                      \
        }                                                                                          \
    }

typedef void BinaryRow(int64_t n, const RgReal *a, int64_t a_stride, const RgReal *b,
                       int64_t b_stride, RgReal *y);

/* Runs `kernel` over the innermost runs, or in parallel within the only one. */
static void binary_run(BinaryRow *kernel, const RgBroadcast *walk, const RgReal *a, const RgReal *b,
                       RgReal *y) {
    int64_t rows = walk->size[0] * walk->size[1] * walk->size[2], n = walk->size[3];
    int64_t a_step = walk->a_stride[3], b_step = walk->b_stride[3];
    if (rows == 1)
        RG_FOR_PIECES(n, rg_spread(n, RG_LEAST_NUMBERS),
                      kernel(last - first, a + first * a_step, a_step, b + first * b_step, b_step,
                             y + first));
    else
        RG_FOR_PIECES(rows, rg_spread_rows(rows, n),
                      for (int64_t row = first; row < last; row++) kernel(
                          n, a + rg_broadcast_at(walk, walk->a_stride, row), a_step,
                          b + rg_broadcast_at(walk, walk->b_stride, row), b_step, y + row * n));
}

static RgTensor *binary(RgTape *t, const RgOperator *op, BinaryRow *kernel, RgTensor *a,
                        RgTensor *b) {
    RgShape shape = rg_broadcast_shape(a->shape, b->shape);
    RgTensor *y = rg_tensor_new(t, shape);
    RgBroadcast walk = rg_broadcast_walk(shape, a->shape, b->shape);
    if (y->count > 0)
        binary_run(kernel, &walk, a->data, b->data, y->data);
    rg_tape_count_flops(t, (double)y->count);
    return rg_record(t, op, y, (RgTensor *[]){a, b}, 2, NULL);
}

/* The gradient of a broadcast input: the sum over its copies. */
static void add_reduced(RgTape *t, RgTensor *input, RgTensor *gradient) {
    rg_add_gradient(t, input, rg_sum_to(t, gradient, input->shape));
}

BINARY_KERNEL(add, p + q)

static void add_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    for (int i = 0; i < 2; i++)
        if (y->inputs[i]->needs_gradient)
            add_reduced(t, y->inputs[i], dy);
}

static const RgOperator add_operator = {.name = "add", .backward = add_backward};

RgTensor *rg_add(RgTape *t, RgTensor *a, RgTensor *b) {
    return binary(t, &add_operator, add_row, a, b);
}

BINARY_KERNEL(sub, p - q)

static void sub_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *a = y->inputs[0], *b = y->inputs[1];
    if (a->needs_gradient)
        add_reduced(t, a, dy);
    if (b->needs_gradient)
        rg_add_gradient(t, b, rg_negate(t, rg_sum_to(t, dy, b->shape)));
}

static const RgOperator sub_operator = {.name = "sub", .backward = sub_backward};

RgTensor *rg_sub(RgTape *t, RgTensor *a, RgTensor *b) {
    return binary(t, &sub_operator, sub_row, a, b);
}

BINARY_KERNEL(mul, (p * q))

/* da = dy·b, db = dy·a */
static void mul_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    for (int i = 0; i < 2; i++)
        if (y->inputs[i]->needs_gradient)
            add_reduced(t, y->inputs[i], rg_mul(t, dy, y->inputs[1 - i]));
}

static const RgOperator mul_operator = {.name = "mul", .backward = mul_backward};

RgTensor *rg_mul(RgTape *t, RgTensor *a, RgTensor *b) {
    return binary(t, &mul_operator, mul_row, a, b);
}

BINARY_KERNEL(div, p / q)

/* da = dy/b, db = −(dy/b)·y */
static void div_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *a = y->inputs[0], *b = y->inputs[1];
    RgTensor *da = rg_div(t, dy, b);
    if (a->needs_gradient)
        add_reduced(t, a, da);
    if (b->needs_gradient)
        rg_add_gradient(t, b, rg_negate(t, rg_sum_to(t, rg_mul(t, da, y), b->shape)));
}

static const RgOperator div_operator = {.name = "div", .backward = div_backward};

RgTensor *rg_div(RgTape *t, RgTensor *a, RgTensor *b) {
    return binary(t, &div_operator, div_row, a, b);
}

/* ---- functions of one variable ---- */

typedef void UnaryRow(int64_t n, const RgReal *x, RgReal constant, RgReal *y);

/* `constant` is kept as the operator's attribute if backward needs it. */
static RgTensor *unary(RgTape *t, const RgOperator *op, UnaryRow *kernel, RgTensor *x,
                       RgReal constant) {
    RgTensor *y = rg_tensor_new(t, x->shape);
    RG_FOR_PIECES(x->count, rg_spread(x->count, RG_LEAST_NUMBERS / 4),
                  kernel(last - first, x->data + first, constant, y->data + first));
    rg_tape_count_flops(t, (double)y->count);
    RgReal *kept =
        x->needs_gradient ? rg_arena_copy(rg_tape_arena(t), &constant, sizeof constant) : NULL;
    return rg_record(t, op, y, &x, 1, kept);
}

static RgReal constant_of(const RgTensor *y) {
    return *(const RgReal *)y->attributes;
}

/* Defines <id>_row, y = expression of v and `constant`, and the operator, with the backward defined
 * before. */
#define UNARY_OPERATOR(id, expression)                                                             \
    RG_KERNEL(void, id##_row,                                                                      \
              (int64_t n, const RgReal *restrict x, RgReal constant, RgReal *restrict y),          \
              (n, x, constant, y)) {                                                               \
        (void)constant;                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                          \
            RgReal v = x[i];                                                                       \
            y[i] = expression;                                                                     \
        }                                                                                          \
    }                                                                                              \
    static const RgOperator id##_operator = {.name = #id, .backward = id##_backward};

static void negate_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    rg_add_gradient(t, y->inputs[0], rg_negate(t, dy));
}
UNARY_OPERATOR(negate, -v)

RgTensor *rg_negate(RgTape *t, RgTensor *x) {
    return unary(t, &negate_operator, negate_row, x, 0);
}

static void scale_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    rg_add_gradient(t, y->inputs[0], rg_scale(t, dy, constant_of(y)));
}
UNARY_OPERATOR(scale, (constant * v))

RgTensor *rg_scale(RgTape *t, RgTensor *x, RgReal factor) {
    return unary(t, &scale_operator, scale_row, x, factor);
}

static void add_scalar_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    rg_add_gradient(t, y->inputs[0], dy);
}
UNARY_OPERATOR(add_scalar, v + constant)

RgTensor *rg_add_scalar(RgTape *t, RgTensor *x, RgReal term) {
    return unary(t, &add_scalar_operator, add_scalar_row, x, term);
}

/* dx = 2·x·dy */
static void square_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    rg_add_gradient(t, x, rg_mul(t, dy, rg_scale(t, x, 2)));
}
UNARY_OPERATOR(square, (v * v))

RgTensor *rg_square(RgTape *t, RgTensor *x) {
    return unary(t, &square_operator, square_row, x, 0);
}

/* dx = e·x^(e−1)·dy. No gradient for e = 0, where x^(e−1) would not be finite at 0. */
static void power_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    RgReal exponent = constant_of(y);
    if (exponent == 0)
        return;
    RgTensor *slope = rg_scale(t, rg_power(t, x, exponent - 1), exponent);
    rg_add_gradient(t, x, rg_mul(t, dy, slope));
}
UNARY_OPERATOR(power, pow(v, constant))

RgTensor *rg_power(RgTape *t, RgTensor *x, RgReal exponent) {
    return unary(t, &power_operator, power_row, x, exponent);
}

/* dx = y·dy */
static void exp_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    rg_add_gradient(t, y->inputs[0], rg_mul(t, dy, y));
}
UNARY_OPERATOR(exp, exp(v))

RgTensor *rg_exp(RgTape *t, RgTensor *x) {
    return unary(t, &exp_operator, exp_row, x, 0);
}

/* dx = dy/x */
static void log_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    rg_add_gradient(t, y->inputs[0], rg_div(t, dy, y->inputs[0]));
}
UNARY_OPERATOR(log, log(v))

RgTensor *rg_log(RgTape *t, RgTensor *x) {
    return unary(t, &log_operator, log_row, x, 0);
}

/* y(1−y) */
static RgTensor *sigmoid_slope(RgTape *t, RgTensor *y) {
    return rg_sub(t, y, rg_square(t, y));
}

/* dx = y(1−y)·dy */
static void sigmoid_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    rg_add_gradient(t, y->inputs[0], rg_mul(t, dy, sigmoid_slope(t, y)));
}
UNARY_OPERATOR(sigmoid, rg_real_sigmoid(v))

RgTensor *rg_sigmoid(RgTape *t, RgTensor *x) {
    return unary(t, &sigmoid_operator, sigmoid_row, x, 0);
}

/* dx = σ(−x)·dy */
static void log_sigmoid_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    rg_add_gradient(t, x, rg_mul(t, dy, rg_sigmoid(t, rg_negate(t, x))));
}
UNARY_OPERATOR(log_sigmoid, rg_real_log_sigmoid(v))

RgTensor *rg_log_sigmoid(RgTape *t, RgTensor *x) {
    return unary(t, &log_sigmoid_operator, log_sigmoid_row, x, 0);
}

/* 1 − y² */
static RgTensor *tanh_slope(RgTape *t, RgTensor *y) {
    return rg_add_scalar(t, rg_negate(t, rg_square(t, y)), 1);
}

/* dx = (1 − y²)·dy */
static void tanh_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    rg_add_gradient(t, y->inputs[0], rg_mul(t, dy, tanh_slope(t, y)));
}
UNARY_OPERATOR(tanh, rg_real_tanh(v))

RgTensor *rg_tanh(RgTape *t, RgTensor *x) {
    return unary(t, &tanh_operator, tanh_row, x, 0);
}

/* ---- activations ----
 * The slope of each is an operator of its own, so that a first backward is one pass over x. */

static inline RgReal silu_slope_at(RgReal x) {
    RgReal s = rg_real_sigmoid(x);
    return s * (1 + x * (1 - s));
}

/* silu″ = σ(1−σ)·(2 + x(1−2σ)) */
static void silu_slope_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0], *s = rg_sigmoid(t, x);
    RgTensor *tilt = rg_mul(t, x, rg_add_scalar(t, rg_scale(t, s, -2), 1));
    RgTensor *curvature = rg_mul(t, sigmoid_slope(t, s), rg_add_scalar(t, tilt, 2));
    rg_add_gradient(t, x, rg_mul(t, dy, curvature));
}
UNARY_OPERATOR(silu_slope, silu_slope_at(v))

/* silu′ = σ(1 + x(1−σ)) */
static void silu_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    RgTensor *slope = unary(t, &silu_slope_operator, silu_slope_row, x, 0);
    rg_add_gradient(t, x, rg_mul(t, dy, slope));
}
UNARY_OPERATOR(silu, (v * rg_real_sigmoid(v)))

RgTensor *rg_silu(RgTape *t, RgTensor *x) {
    return unary(t, &silu_operator, silu_row, x, 0);
}

/* gelu = x(1 + tanh u)/2 = x·σ(2u), u = a(x + bx³)      Hendrycks and Gimpel, arXiv:1606.08415 */
static const RgReal gelu_a = (RgReal)0.79788456080286535588; /* sqrt(2/π) */
static const RgReal gelu_b = (RgReal)0.044715;

static inline RgReal gelu_at(RgReal x) {
    return x * rg_real_sigmoid(2 * gelu_a * (x + gelu_b * x * x * x));
}

/* gelu′ = s + x·s(1−s)·2u′, s = σ(2u) */
static inline RgReal gelu_slope_at(RgReal x) {
    RgReal s = rg_real_sigmoid(2 * gelu_a * (x + gelu_b * x * x * x));
    RgReal du = gelu_a * (1 + 3 * gelu_b * x * x);
    return s + x * s * (1 - s) * 2 * du;
}

/* gelu″ = (1−h²)·(u′ + x·u″/2 − x·h·u′²), h = tanh u */
static void gelu_slope_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    RgTensor *u = rg_scale(t, rg_add(t, x, rg_scale(t, rg_power(t, x, 3), gelu_b)), gelu_a);
    RgTensor *h = rg_tanh(t, u);
    RgTensor *du = rg_add_scalar(t, rg_scale(t, rg_square(t, x), 3 * gelu_a * gelu_b), gelu_a);
    RgTensor *half_x_ddu = rg_scale(t, rg_square(t, x), 3 * gelu_a * gelu_b);
    RgTensor *bend = rg_mul(t, rg_mul(t, x, h), rg_square(t, du));
    RgTensor *curvature = rg_mul(t, tanh_slope(t, h), rg_sub(t, rg_add(t, du, half_x_ddu), bend));
    rg_add_gradient(t, x, rg_mul(t, dy, curvature));
}
UNARY_OPERATOR(gelu_slope, gelu_slope_at(v))

static void gelu_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    RgTensor *slope = unary(t, &gelu_slope_operator, gelu_slope_row, x, 0);
    rg_add_gradient(t, x, rg_mul(t, dy, slope));
}
UNARY_OPERATOR(gelu, gelu_at(v))

void rg_gelu_values(int64_t n, const RgReal *x, RgReal *y) {
    gelu_row(n, x, 0, y);
}

RgTensor *rg_gelu(RgTape *t, RgTensor *x) {
    return unary(t, &gelu_operator, gelu_row, x, 0);
}

/* gelu = x·Φ(x), gelu′ = Φ + x·φ, gelu″ = φ·(2 − x²), with φ = Φ′ */
static const RgReal gelu_root_half = (RgReal)0.70710678118654752440;
static const RgReal gelu_density = (RgReal)0.39894228040143267794; /* φ(0) = 1/sqrt(2π) */

static inline RgReal normal_probability(RgReal x) {
    return erfc(-x * gelu_root_half) / 2;
}

static inline RgReal gelu_exact_slope_at(RgReal x) {
    return normal_probability(x) + x * gelu_density * rg_fast_exp(-x * x / 2);
}

static void gelu_exact_slope_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *square = rg_square(t, y->inputs[0]);
    RgTensor *density = rg_scale(t, rg_exp(t, rg_scale(t, square, (RgReal)-0.5)), gelu_density);
    RgTensor *curvature = rg_mul(t, density, rg_add_scalar(t, rg_negate(t, square), 2));
    rg_add_gradient(t, y->inputs[0], rg_mul(t, dy, curvature));
}
UNARY_OPERATOR(gelu_exact_slope, gelu_exact_slope_at(v))

static void gelu_exact_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *slope = unary(t, &gelu_exact_slope_operator, gelu_exact_slope_row, y->inputs[0], 0);
    rg_add_gradient(t, y->inputs[0], rg_mul(t, dy, slope));
}
UNARY_OPERATOR(gelu_exact, (v * normal_probability(v)))

void rg_gelu_exact_values(int64_t n, const RgReal *x, RgReal *y) {
    gelu_exact_row(n, x, 0, y);
}

RgTensor *rg_gelu_exact(RgTape *t, RgTensor *x) {
    return unary(t, &gelu_exact_operator, gelu_exact_row, x, 0);
}

RG_PUBLIC_KERNEL(void, rg_cap_values, (int64_t n, RgReal cap, RgReal *x), (n, cap, x)) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] = cap * rg_real_tanh(x[i] / cap);
}

RgTensor *rg_stop_gradient(RgTape *t, RgTensor *x) {
    return rg_borrow(t, x->shape, rg_tape_stop(t, x));
}
