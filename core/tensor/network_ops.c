/* SPDX-License-Identifier: MIT */
/* Fused row-wise operators of networks: RMS norm, layer norm and SwiGLU. Each has one forward and
 * one backward pass, and an expansion into primitives for second-order tapes. Attention and rotary
 * positions are in attention_ops.c, the output head in head_ops.c. */
#include "core/tensor/gemm_dispatch.h"
#include "core/tensor/kernels.h"
#include "core/tensor/parallel.h"
#include "core/tensor/vector_ops.h"

bool rg_will_record(RgTape *tape, RgTensor *const *inputs, int count) {
    bool needs = false;
    for (int i = 0; i < count; i++)
        needs = needs || inputs[i]->needs_gradient;
    return needs && rg_tape_is_recording(tape);
}

RgGradientTarget rg_gradient_target(RgTape *tape, RgTensor *input) {
    RgReal *in_place = rg_gradient_in_place(tape, input);
    if (in_place)
        return (RgGradientTarget){.data = in_place};
    RgTensor *allocated = rg_tensor_new(tape, input->shape);
    rg_numbers_clear(allocated->data, allocated->count);
    return (RgGradientTarget){.data = allocated->data, .allocated = allocated};
}

void rg_gradient_done(RgTape *tape, RgTensor *input, RgGradientTarget target) {
    if (target.allocated && input->needs_gradient)
        rg_add_gradient(tape, input, target.allocated);
}

static int64_t last_size(const RgTensor *x) {
    RG_ASSERT(x->shape.rank >= 1);
    return x->shape.size[x->shape.rank - 1];
}

static int64_t row_count(const RgTensor *x) {
    int64_t width = last_size(x);
    return width ? x->count / width : 0;
}

/* Gradients of a vector shared by all rows: each piece of rows computes its own sum [pieces, d],
 * and these are added in order. */
static RgReal *partial_sums(RgTape *t, RgPieces pieces, int64_t d) {
    return memset(RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, pieces.count * d), 0,
                  sizeof(RgReal) * (size_t)(pieces.count * d));
}

static void add_partial_sums(RgTape *t, RgTensor *input, RgPieces pieces, const RgReal *partial) {
    if (!input->needs_gradient)
        return;
    RgGradientTarget target = rg_gradient_target(t, input);
    for (int64_t piece = 0; piece < pieces.count; piece++)
        rg_axpy(input->count, 1, partial + piece * input->count, target.data);
    rg_gradient_done(t, input, target);
}

/* ---- RMS norm (Zhang and Sennrich 2019, arXiv:1910.07467) ---- */

typedef struct RmsNorm {
    RgReal *inverse; /* [n], 1 / sqrt(mean(x²) + epsilon) */
} RmsNorm;

RG_PUBLIC_KERNEL(void, rg_rms_norm_rows,
                 (int64_t n, int64_t d, const RgReal *x, const RgReal *weight, RgReal epsilon,
                  RgReal *inverse, RgReal *y),
                 (n, d, x, weight, epsilon, inverse, y)) {
    for (int64_t r = 0; r < n; r++) {
        const RgReal *xr = x + r * d;
        RgReal *yr = y + r * d;
        RgReal sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < d; c++)
            sum += xr[c] * xr[c];
        RgReal scale = 1 / (RgReal)sqrt(sum / (RgReal)d + epsilon);
        inverse[r] = scale;
#pragma omp simd
        for (int64_t c = 0; c < d; c++)
            yr[c] = xr[c] * scale * weight[c];
    }
}

/* With s = inverse[r] and g = dy·w:  dx = s·g − s³·x·mean(g·x),  dw += dy·x·s. */
RG_KERNEL(void, rms_norm_rows_backward,
          (int64_t n, int64_t d, const RgReal *x, const RgReal *weight, const RgReal *inverse,
           const RgReal *dy, RgReal *dx, RgReal *dweight),
          (n, d, x, weight, inverse, dy, dx, dweight)) {
    for (int64_t r = 0; r < n; r++) {
        const RgReal *xr = x + r * d, *dyr = dy + r * d;
        RgReal *dxr = dx + r * d;
        RgReal s = inverse[r], dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t c = 0; c < d; c++)
            dot += dyr[c] * weight[c] * xr[c];
        RgReal along = s * s * s * dot / (RgReal)d;
#pragma omp simd
        for (int64_t c = 0; c < d; c++) {
            dxr[c] = s * dyr[c] * weight[c] - along * xr[c];
            dweight[c] += dyr[c] * xr[c] * s;
        }
    }
}

static void rms_norm_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0], *weight = y->inputs[1];
    const RmsNorm *saved = y->attributes;
    RgTensor *dx = rg_tensor_new(t, x->shape);
    int64_t n = row_count(x), d = last_size(x);
    RgPieces pieces = rg_pieces_of_rows(n, d);
    RgReal *dweight = partial_sums(t, pieces, d);
    RG_FOR_PIECES(n, pieces,
                  rms_norm_rows_backward(last - first, d, x->data + first * d, weight->data,
                                         saved->inverse + first, dy->data + first * d,
                                         dx->data + first * d, dweight + piece * d));
    rg_tape_count_flops(t, 9.0 * (double)x->count);
    rg_add_gradient(t, x, dx);
    add_partial_sums(t, weight, pieces, dweight);
}

static const RgOperator rms_norm_operator = {
    .name = "rms_norm", .backward = rms_norm_backward, .fused = true};

static RgTensor *rms_norm_expanded(RgTape *t, RgTensor *x, RgTensor *weight, RgReal epsilon) {
    RgTensor *square = rg_add_scalar(t, rg_mean_last(t, rg_square(t, x)), epsilon);
    return rg_mul(t, rg_mul(t, x, rg_power(t, square, (RgReal)-0.5)), weight);
}

RgTensor *rg_rms_norm(RgTape *t, RgTensor *x, RgTensor *weight, RgReal epsilon) {
    RG_ASSERT(weight->count == last_size(x));
    if (rg_tape_is_second_order(t))
        return rms_norm_expanded(t, x, weight, epsilon);
    RgTensor *y = rg_tensor_new(t, x->shape);
    RmsNorm *saved = RG_ARENA_ARRAY(rg_tape_arena(t), RmsNorm, 1);
    int64_t n = row_count(x), d = last_size(x);
    saved->inverse = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, n);
    RG_FOR_PIECES(n, rg_spread_rows(n, d),
                  rg_rms_norm_rows(last - first, d, x->data + first * d, weight->data, epsilon,
                                   saved->inverse + first, y->data + first * d));
    rg_tape_count_flops(t, 4.0 * (double)x->count);
    return rg_record(t, &rms_norm_operator, y, (RgTensor *[]){x, weight}, 2, saved);
}

/* ---- layer norm (Ba, Kiros and Hinton 2016, arXiv:1607.06450) ---- */

typedef struct LayerNorm {
    RgReal *mean;    /* [n] */
    RgReal *inverse; /* [n], 1 / sqrt(var + epsilon) */
} LayerNorm;

/* The same for the rows from `first` on. */
static LayerNorm layer_norm_from(const LayerNorm *saved, int64_t first) {
    return (LayerNorm){.mean = saved->mean + first, .inverse = saved->inverse + first};
}

RG_PUBLIC_KERNEL(void, rg_layer_norm_rows,
                 (int64_t n, int64_t d, const RgReal *x, const RgReal *weight, const RgReal *bias,
                  RgReal epsilon, RgReal *means, RgReal *inverse, RgReal *y),
                 (n, d, x, weight, bias, epsilon, means, inverse, y)) {
    for (int64_t r = 0; r < n; r++) {
        const RgReal *xr = x + r * d;
        RgReal *yr = y + r * d;
        RgReal sum = 0, square = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < d; c++)
            sum += xr[c];
        RgReal mean = sum / (RgReal)d;
#pragma omp simd reduction(+ : square)
        for (int64_t c = 0; c < d; c++)
            square += (xr[c] - mean) * (xr[c] - mean);
        RgReal scale = 1 / (RgReal)sqrt(square / (RgReal)d + epsilon);
        means[r] = mean;
        inverse[r] = scale;
#pragma omp simd
        for (int64_t c = 0; c < d; c++)
            yr[c] = (xr[c] - mean) * scale * weight[c] + bias[c];
    }
}

/* With z = (x − mean)·s and g = dy·w:
 * dx = s·(g − mean(g) − z·mean(g·z)),  dw += dy·z,  db += dy. */
RG_KERNEL(void, layer_norm_rows_backward,
          (int64_t n, int64_t d, const RgReal *x, const RgReal *weight, LayerNorm saved,
           const RgReal *dy, RgReal *dx, RgReal *dweight, RgReal *dbias),
          (n, d, x, weight, saved, dy, dx, dweight, dbias)) {
    for (int64_t r = 0; r < n; r++) {
        const RgReal *xr = x + r * d, *dyr = dy + r * d;
        RgReal *dxr = dx + r * d;
        RgReal mean = saved.mean[r], s = saved.inverse[r], sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
        for (int64_t c = 0; c < d; c++) {
            RgReal g = dyr[c] * weight[c];
            sum += g;
            dot += g * (xr[c] - mean) * s;
        }
        sum /= (RgReal)d;
        dot /= (RgReal)d;
#pragma omp simd
        for (int64_t c = 0; c < d; c++) {
            RgReal z = (xr[c] - mean) * s;
            dxr[c] = s * (dyr[c] * weight[c] - sum - z * dot);
            dweight[c] += dyr[c] * z;
            dbias[c] += dyr[c];
        }
    }
}

static void layer_norm_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0], *weight = y->inputs[1], *bias = y->inputs[2];
    RgTensor *dx = rg_tensor_new(t, x->shape);
    int64_t n = row_count(x), d = last_size(x);
    RgPieces pieces = rg_pieces_of_rows(n, d);
    RgReal *dweight = partial_sums(t, pieces, d), *dbias = partial_sums(t, pieces, d);
    RG_FOR_PIECES(n, pieces,
                  layer_norm_rows_backward(last - first, d, x->data + first * d, weight->data,
                                           layer_norm_from(y->attributes, first),
                                           dy->data + first * d, dx->data + first * d,
                                           dweight + piece * d, dbias + piece * d));
    rg_tape_count_flops(t, 15.0 * (double)x->count);
    rg_add_gradient(t, x, dx);
    add_partial_sums(t, weight, pieces, dweight);
    add_partial_sums(t, bias, pieces, dbias);
}

static const RgOperator layer_norm_operator = {
    .name = "layer_norm", .backward = layer_norm_backward, .fused = true};

static RgTensor *layer_norm_expanded(RgTape *t, RgTensor *x, RgTensor *weight, RgTensor *bias,
                                     RgReal epsilon) {
    RgTensor *centred = rg_sub(t, x, rg_mean_last(t, x));
    RgTensor *variance = rg_add_scalar(t, rg_mean_last(t, rg_square(t, centred)), epsilon);
    RgTensor *z = rg_mul(t, centred, rg_power(t, variance, (RgReal)-0.5));
    return rg_add(t, rg_mul(t, z, weight), bias);
}

RgTensor *rg_layer_norm(RgTape *t, RgTensor *x, RgTensor *weight, RgTensor *bias, RgReal epsilon) {
    RG_ASSERT(weight->count == last_size(x) && bias->count == last_size(x));
    if (rg_tape_is_second_order(t))
        return layer_norm_expanded(t, x, weight, bias, epsilon);
    RgTensor *y = rg_tensor_new(t, x->shape);
    LayerNorm *saved = RG_ARENA_ARRAY(rg_tape_arena(t), LayerNorm, 1);
    int64_t n = row_count(x), d = last_size(x);
    saved->mean = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, n);
    saved->inverse = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, n);
    RG_FOR_PIECES(n, rg_spread_rows(n, d),
                  rg_layer_norm_rows(last - first, d, x->data + first * d, weight->data, bias->data,
                                     epsilon, saved->mean + first, saved->inverse + first,
                                     y->data + first * d));
    rg_tape_count_flops(t, 8.0 * (double)x->count);
    return rg_record(t, &layer_norm_operator, y, (RgTensor *[]){x, weight, bias}, 3, saved);
}

/* ---- SwiGLU (Shazeer 2020, arXiv:2002.05202): y = gate·σ(gate)·up ---- */

RG_PUBLIC_KERNEL(void, rg_swiglu_values,
                 (int64_t n, const RgReal *gate, const RgReal *up, RgReal *y), (n, gate, up, y)) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = gate[i] / (1 + rg_fast_exp(-gate[i])) * up[i];
}

/* dgate = dy·up·σ·(1 + gate·(1 − σ)),  dup = dy·gate·σ,  with σ = σ(gate). */
RG_KERNEL(void, swiglu_gradients,
          (int64_t n, const RgReal *gate, const RgReal *up, const RgReal *dy, RgReal *dgate,
           RgReal *dup),
          (n, gate, up, dy, dgate, dup)) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        RgReal sigmoid = 1 / (1 + rg_fast_exp(-gate[i]));
        dgate[i] = dy[i] * up[i] * sigmoid * (1 + gate[i] * (1 - sigmoid));
        dup[i] = dy[i] * gate[i] * sigmoid;
    }
}

static void swiglu_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *gate = y->inputs[0], *up = y->inputs[1];
    RgTensor *dgate = rg_tensor_new(t, gate->shape), *dup = rg_tensor_new(t, up->shape);
    RG_FOR_PIECES(y->count, rg_spread(y->count, RG_LEAST_NUMBERS / 4),
                  swiglu_gradients(last - first, gate->data + first, up->data + first,
                                   dy->data + first, dgate->data + first, dup->data + first));
    rg_tape_count_flops(t, 24.0 * (double)y->count);
    rg_add_gradient(t, gate, dgate);
    rg_add_gradient(t, up, dup);
}

static const RgOperator swiglu_operator = {
    .name = "swiglu", .backward = swiglu_backward, .fused = true};

RgTensor *rg_swiglu(RgTape *t, RgTensor *gate, RgTensor *up) {
    RG_ASSERT(rg_shape_equal(gate->shape, up->shape));
    if (rg_tape_is_second_order(t))
        return rg_mul(t, rg_silu(t, gate), up);
    RgTensor *y = rg_tensor_new(t, gate->shape);
    RG_FOR_PIECES(
        y->count, rg_spread(y->count, RG_LEAST_NUMBERS / 4),
        rg_swiglu_values(last - first, gate->data + first, up->data + first, y->data + first));
    rg_tape_count_flops(t, 18.0 * (double)y->count);
    return rg_record(t, &swiglu_operator, y, (RgTensor *[]){gate, up}, 2, NULL);
}

/* ---- linear: y = x·weightᵀ + bias + onto ---- */

/* Every row of y starts as the bias plus the row of `onto`. */
RG_KERNEL(void, linear_start,
          (int64_t n, int64_t d, const RgReal *bias, const RgReal *onto, RgReal *y),
          (n, d, bias, onto, y)) {
    for (int64_t r = 0; r < n; r++, y += d) {
        if (!onto)
            memcpy(y, bias, sizeof *y * (size_t)d);
        else if (!bias)
            memcpy(y, onto + r * d, sizeof *y * (size_t)d);
        else
#pragma omp simd
            for (int64_t c = 0; c < d; c++)
                y[c] = bias[c] + onto[r * d + c];
    }
}

RG_KERNEL(void, column_sums, (int64_t n, int64_t d, const RgReal *x, RgReal *sum), (n, d, x, sum)) {
    for (int64_t r = 0; r < n; r++)
#pragma omp simd
        for (int64_t c = 0; c < d; c++)
            sum[c] += x[r * d + c];
}

typedef struct Linear {
    bool has_bias, has_onto;
    RgPrecision precision;
} Linear;

static void add_column_sums(RgTape *t, RgTensor *bias, const RgTensor *dy) {
    int64_t n = row_count(dy), d = last_size(dy);
    RgPieces pieces = rg_pieces_of_rows(n, d);
    RgReal *sums = partial_sums(t, pieces, d);
    RG_FOR_PIECES(n, pieces, column_sums(last - first, d, dy->data + first * d, sums + piece * d));
    rg_tape_count_flops(t, (double)dy->count);
    add_partial_sums(t, bias, pieces, sums);
}

/* c [m, n] = a·op(W), or c += … */
static void times_weight(RgPrecision precision, const RgTensor *weight, bool transpose, int64_t m,
                         int64_t n, int64_t k, const RgReal *a, bool add, RgReal *c) {
    if (weight->rounded)
        rg_gemm_stored(precision, transpose, m, n, k, a, weight->rounded, add, c);
    else
        rg_gemm_in(precision, false, transpose, m, n, k, a, k, weight->data, transpose ? k : n, add,
                   c, n);
}

/* dx = dy·W,  dW = dyᵀ·x,  dbias = Σ dy,  donto = dy. */
static void linear_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Linear *linear = y->attributes;
    RgTensor *x = y->inputs[0], *weight = y->inputs[1];
    int64_t n = row_count(x), in = last_size(x), out = last_size(y);
    if (x->needs_gradient) {
        RgTensor *dx = rg_tensor_new(t, x->shape);
        times_weight(linear->precision, weight, false, n, in, out, dy->data, false, dx->data);
        rg_tape_count_flops(t, 2 * (double)(n * in) * (double)out);
        rg_add_gradient(t, x, dx);
    }
    if (weight->needs_gradient) {
        RgGradientTarget dw = rg_gradient_target(t, weight);
        rg_gemm_in(linear->precision, true, false, out, in, n, dy->data, out, x->data, in, true,
                   dw.data, in);
        rg_tape_count_flops(t, 2 * (double)(n * in) * (double)out);
        rg_gradient_done(t, weight, dw);
    }
    if (linear->has_bias && y->inputs[2]->needs_gradient)
        add_column_sums(t, y->inputs[2], dy);
    if (linear->has_onto)
        rg_add_gradient(t, y->inputs[2 + linear->has_bias], dy);
}

static const RgOperator linear_operator = {
    .name = "linear", .backward = linear_backward, .fused = true};

static RgTensor *linear_expanded(RgTape *t, RgTensor *x, RgTensor *weight, RgTensor *bias,
                                 RgTensor *onto) {
    RgTensor *y = rg_matmul_transposed(t, x, false, weight, true);
    if (bias)
        y = rg_add(t, y, bias);
    return onto ? rg_add(t, onto, y) : y;
}

RgTensor *rg_linear(RgTape *t, RgTensor *x, RgTensor *weight, RgTensor *bias, RgTensor *onto) {
    RG_ASSERT(x->shape.rank == 2 && weight->shape.rank == 2);
    int64_t n = x->shape.size[0], in = x->shape.size[1], out = weight->shape.size[0];
    RG_ASSERT(weight->shape.size[1] == in && (!bias || bias->count == out));
    if (rg_tape_is_second_order(t))
        return linear_expanded(t, x, weight, bias, onto);
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(n, out));
    RG_ASSERT(!onto || rg_shape_equal(onto->shape, y->shape));
    if (bias || onto)
        RG_FOR_PIECES(n, rg_spread_rows(n, out),
                      linear_start(last - first, out, bias ? bias->data : NULL,
                                   onto ? onto->data + first * out : NULL, y->data + first * out));
    const Linear kept = {
        .has_bias = bias != NULL, .has_onto = onto != NULL, .precision = rg_tape_precision(t)};
    times_weight(kept.precision, weight, true, n, out, in, x->data, bias || onto, y->data);
    rg_tape_count_flops(t, (double)y->count * (2 * (double)in + (bias != NULL) + (onto != NULL)));
    RgTensor *inputs[RG_MAX_INPUTS] = {x, weight};
    int count = 2;
    if (bias)
        inputs[count++] = bias;
    if (onto)
        inputs[count++] = onto;
    return rg_record(t, &linear_operator, y, inputs, count,
                     rg_arena_copy(rg_tape_arena(t), &kept, sizeof kept));
}
