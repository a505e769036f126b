/* Fused operators of networks that work row by row: RMS norm, layer norm and SwiGLU, each as one
 * pass forward and one backward, and as an expansion into primitives for tapes of second order.
 * Attention and rotary positions are in attention_ops.c, the vocabulary head in head_ops.c. */
#include "core/tensor/kernels.h"

bool rg_will_record(RgTape *tape, RgTensor *const *inputs, int count) {
    bool recording = rg_tape_record(tape, true);
    rg_tape_record(tape, recording);
    bool needs = false;
    for (int i = 0; i < count; i++)
        needs = needs || inputs[i]->needs_gradient;
    return recording && needs;
}

RgGradientTarget rg_gradient_target(RgTape *tape, RgTensor *input) {
    RgReal *in_place = rg_gradient_in_place(tape, input);
    if (in_place)
        return (RgGradientTarget){.data = in_place};
    RgTensor *fresh = rg_tensor_new(tape, input->shape);
    memset(fresh->data, 0, sizeof(RgReal) * (size_t)fresh->count);
    return (RgGradientTarget){.data = fresh->data, .fresh = fresh};
}

void rg_gradient_done(RgTape *tape, RgTensor *input, RgGradientTarget target) {
    if (target.fresh && input->needs_gradient)
        rg_add_gradient(tape, input, target.fresh);
}

static int64_t last_size(const RgTensor *x) {
    RG_ASSERT(x->shape.rank >= 1);
    return x->shape.size[x->shape.rank - 1];
}

static int64_t row_count(const RgTensor *x) {
    int64_t width = last_size(x);
    return width ? x->count / width : 0;
}

/* ---- RMS norm (Zhang and Sennrich 2019, arXiv:1910.07467) ---- */

typedef struct RmsNorm {
    RgReal *inverse; /* [n], 1 / sqrt(mean(x²) + epsilon) */
} RmsNorm;

RG_KERNEL static void rms_norm_rows(int64_t n, int64_t d, const RgReal *x, const RgReal *weight,
                                    RgReal epsilon, RgReal *inverse, RgReal *y) {
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
RG_KERNEL static void rms_norm_rows_backward(int64_t n, int64_t d, const RgReal *x,
                                             const RgReal *weight, const RgReal *inverse,
                                             const RgReal *dy, RgReal *dx, RgReal *dweight) {
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
    RgGradientTarget dweight = rg_gradient_target(t, weight);
    rms_norm_rows_backward(row_count(x), last_size(x), x->data, weight->data, saved->inverse,
                           dy->data, dx->data, dweight.data);
    rg_tape_count_flops(t, 9.0 * (double)x->count);
    if (x->needs_gradient)
        rg_add_gradient(t, x, dx);
    rg_gradient_done(t, weight, dweight);
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
    saved->inverse = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, row_count(x));
    rms_norm_rows(row_count(x), last_size(x), x->data, weight->data, epsilon, saved->inverse,
                  y->data);
    rg_tape_count_flops(t, 4.0 * (double)x->count);
    return rg_record(t, &rms_norm_operator, y, (RgTensor *[]){x, weight}, 2, saved);
}

/* ---- layer norm (Ba, Kiros and Hinton 2016, arXiv:1607.06450) ---- */

typedef struct LayerNorm {
    RgReal *mean;    /* [n] */
    RgReal *inverse; /* [n], 1 / sqrt(var + epsilon) */
} LayerNorm;

RG_KERNEL static void layer_norm_rows(int64_t n, int64_t d, const RgReal *x, const RgReal *weight,
                                      const RgReal *bias, RgReal epsilon, const LayerNorm *saved,
                                      RgReal *y) {
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
        saved->mean[r] = mean;
        saved->inverse[r] = scale;
#pragma omp simd
        for (int64_t c = 0; c < d; c++)
            yr[c] = (xr[c] - mean) * scale * weight[c] + bias[c];
    }
}

/* With z = (x − mean)·s and g = dy·w:  dx = s·(g − mean(g) − z·mean(g·z)),  dw += dy·z,  db += dy.
 */
RG_KERNEL static void layer_norm_rows_backward(int64_t n, int64_t d, const RgReal *x,
                                               const RgReal *weight, const LayerNorm *saved,
                                               const RgReal *dy, RgReal *dx, RgReal *dweight,
                                               RgReal *dbias) {
    for (int64_t r = 0; r < n; r++) {
        const RgReal *xr = x + r * d, *dyr = dy + r * d;
        RgReal *dxr = dx + r * d;
        RgReal mean = saved->mean[r], s = saved->inverse[r], sum = 0, dot = 0;
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
    RgGradientTarget dweight = rg_gradient_target(t, weight);
    RgGradientTarget dbias = rg_gradient_target(t, bias);
    layer_norm_rows_backward(row_count(x), last_size(x), x->data, weight->data, y->attributes,
                             dy->data, dx->data, dweight.data, dbias.data);
    rg_tape_count_flops(t, 15.0 * (double)x->count);
    if (x->needs_gradient)
        rg_add_gradient(t, x, dx);
    rg_gradient_done(t, weight, dweight);
    rg_gradient_done(t, bias, dbias);
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
    saved->mean = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, row_count(x));
    saved->inverse = RG_ARENA_ARRAY(rg_tape_arena(t), RgReal, row_count(x));
    layer_norm_rows(row_count(x), last_size(x), x->data, weight->data, bias->data, epsilon, saved,
                    y->data);
    rg_tape_count_flops(t, 8.0 * (double)x->count);
    return rg_record(t, &layer_norm_operator, y, (RgTensor *[]){x, weight, bias}, 3, saved);
}

/* ---- SwiGLU (Shazeer 2020, arXiv:2002.05202): y = gate·σ(gate)·up ---- */

RG_KERNEL static void swiglu_forward(int64_t n, const RgReal *gate, const RgReal *up, RgReal *y) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = gate[i] / (1 + rg_fast_exp(-gate[i])) * up[i];
}

/* dgate = dy·up·σ·(1 + gate·(1 − σ)),  dup = dy·gate·σ,  with σ = σ(gate). */
RG_KERNEL static void swiglu_gradients(int64_t n, const RgReal *gate, const RgReal *up,
                                       const RgReal *dy, RgReal *dgate, RgReal *dup) {
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
    swiglu_gradients(y->count, gate->data, up->data, dy->data, dgate->data, dup->data);
    rg_tape_count_flops(t, 24.0 * (double)y->count);
    if (gate->needs_gradient)
        rg_add_gradient(t, gate, dgate);
    if (up->needs_gradient)
        rg_add_gradient(t, up, dup);
}

static const RgOperator swiglu_operator = {
    .name = "swiglu", .backward = swiglu_backward, .fused = true};

RgTensor *rg_swiglu(RgTape *t, RgTensor *gate, RgTensor *up) {
    RG_ASSERT(rg_shape_equal(gate->shape, up->shape));
    if (rg_tape_is_second_order(t))
        return rg_mul(t, rg_silu(t, gate), up);
    RgTensor *y = rg_tensor_new(t, gate->shape);
    swiglu_forward(y->count, gate->data, up->data, y->data);
    rg_tape_count_flops(t, 18.0 * (double)y->count);
    return rg_record(t, &swiglu_operator, y, (RgTensor *[]){gate, up}, 2, NULL);
}
