/* SPDX-License-Identifier: MIT */
/* Operators that sum along axes, repeat along axes, or move numbers: reductions, reshape,
 * transpose, slice, concatenate. They come in pairs of reverses, so that the backward of one is the
 * forward of the other. */
#include "core/tensor/broadcast.h"
#include "core/tensor/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- broadcasting ---- */

/* Size of axis `axis` of four, where the last axis of `shape` is the fourth. */
static int64_t aligned_size(RgShape shape, int axis) {
    int own = axis - (RG_MAX_RANK - shape.rank);
    return own < 0 ? 1 : shape.size[own];
}

static void print_shape(RgShape shape) {
    for (int axis = 0; axis < shape.rank; axis++)
        fprintf(stderr, "%s%lld", axis ? ", " : "", (long long)shape.size[axis]);
}

/* Operators cannot fail, so that their callers read like formulas. A mismatch ends the program. */
static void refuse_shapes(RgShape a, RgShape b) {
    fputs("regatta: an operator was given incompatible shapes: [", stderr);
    print_shape(a);
    fputs("] and [", stderr);
    print_shape(b);
    fputs("]\n", stderr);
    abort();
}

RgShape rg_broadcast_shape(RgShape a, RgShape b) {
    RgShape shape = {.rank = a.rank > b.rank ? a.rank : b.rank, .size = {1, 1, 1, 1}};
    for (int axis = RG_MAX_RANK - shape.rank; axis < RG_MAX_RANK; axis++) {
        int64_t p = aligned_size(a, axis), q = aligned_size(b, axis);
        if (p != q && p != 1 && q != 1)
            refuse_shapes(a, b);
        shape.size[axis - (RG_MAX_RANK - shape.rank)] = p == 1 ? q : p;
    }
    return shape;
}

/* Strides of a dense array of shape `own` traversed as `full`: 0 along repeated axes. */
static void aligned_strides(RgShape full, RgShape own, int64_t stride[RG_MAX_RANK]) {
    int64_t step = 1;
    for (int axis = RG_MAX_RANK - 1; axis >= 0; axis--) {
        int64_t size = aligned_size(own, axis);
        RG_ASSERT(size == aligned_size(full, axis) || size == 1);
        stride[axis] = size == 1 ? 0 : step;
        step *= size;
    }
}

RgBroadcast rg_broadcast_walk(RgShape full, RgShape a, RgShape b) {
    int64_t a_stride[RG_MAX_RANK], b_stride[RG_MAX_RANK];
    aligned_strides(full, a, a_stride);
    aligned_strides(full, b, b_stride);

    RgBroadcast walk = {.size = {1, 1, 1, 1}};
    int to = RG_MAX_RANK; /* the outermost axis filled so far */
    for (int axis = RG_MAX_RANK - 1; axis >= 0; axis--) {
        int64_t size = aligned_size(full, axis);
        if (size == 1)
            continue;
        if (to < RG_MAX_RANK && a_stride[axis] == walk.a_stride[to] * walk.size[to] &&
            b_stride[axis] == walk.b_stride[to] * walk.size[to]) {
            walk.size[to] *= size;
            continue;
        }
        to--;
        walk.size[to] = size;
        walk.a_stride[to] = a_stride[axis];
        walk.b_stride[to] = b_stride[axis];
    }
    return walk;
}

static RgOperator const sum_to_operator, broadcast_to_operator;

/* Eight parallel sums, in a fixed order. */
static double run_sum(int64_t n, const RgReal *x) {
    double partial[8] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int lane = 0; lane < 8; lane++)
            partial[lane] += (double)x[i + lane];
    for (; i < n; i++)
        sum += (double)x[i];
    for (int lane = 0; lane < 8; lane++)
        sum += partial[lane];
    return sum;
}

static void sum_along(const RgTensor *x, RgTensor *y, double *restrict total) {
    memset(total, 0, sizeof *total * (size_t)y->count);
    RgBroadcast walk = rg_broadcast_walk(x->shape, x->shape, y->shape);
    int64_t n = walk.size[3];
    RG_BROADCAST_ROWS(walk, {
        const RgReal *restrict from = x->data + a_at;
        if (walk.b_stride[3] == 0)
            total[b_at] += run_sum(n, from);
        else
            for (int64_t i = 0; i < n; i++)
                total[b_at + i] += (double)from[i];
    });
    for (int64_t i = 0; i < y->count; i++)
        y->data[i] = (RgReal)total[i];
}

RgTensor *rg_sum_to(RgTape *t, RgTensor *x, RgShape shape) {
    if (rg_shape_equal(x->shape, shape))
        return x;
    if (x->count == rg_shape_count(shape) && x->count > 0)
        return rg_reshape(t, x, shape);
    RgTensor *y = rg_tensor_new(t, shape);
    RgArena *arena = rg_tape_arena(t);
    RgArenaMark mark = rg_arena_mark(arena);
    sum_along(x, y, RG_ARENA_ARRAY(arena, double, y->count));
    rg_arena_rewind(arena, mark);
    rg_tape_count_flops(t, (double)x->count);
    return rg_record(t, &sum_to_operator, y, &x, 1, NULL);
}

static void sum_to_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    rg_add_gradient(t, x, rg_broadcast_to(t, dy, x->shape));
}

static const RgOperator sum_to_operator = {.name = "sum_to", .backward = sum_to_backward};

RgTensor *rg_broadcast_to(RgTape *t, RgTensor *x, RgShape shape) {
    if (rg_shape_equal(x->shape, shape))
        return x;
    RgTensor *y = rg_tensor_new(t, shape);
    RgBroadcast walk = rg_broadcast_walk(shape, x->shape, x->shape);
    int64_t n = walk.size[3];
    RG_BROADCAST_ROWS(walk, {
        (void)b_at;
        RgReal *restrict to = y->data + row * n;
        const RgReal *restrict from = x->data + a_at;
        if (walk.a_stride[3] == 1)
            memcpy(to, from, sizeof *to * (size_t)n);
        else
            for (int64_t i = 0; i < n; i++)
                to[i] = from[0];
    });
    return rg_record(t, &broadcast_to_operator, y, &x, 1, NULL);
}

static void broadcast_to_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    rg_add_gradient(t, x, rg_sum_to(t, dy, x->shape));
}

static const RgOperator broadcast_to_operator = {.name = "broadcast_to",
                                                 .backward = broadcast_to_backward};

RgTensor *rg_sum(RgTape *t, RgTensor *x) {
    return rg_sum_to(t, x, RG_SCALAR);
}

RgTensor *rg_mean(RgTape *t, RgTensor *x) {
    RG_ASSERT(x->count > 0);
    return rg_scale(t, rg_sum(t, x), (RgReal)1 / (RgReal)x->count);
}

RgTensor *rg_sum_last(RgTape *t, RgTensor *x) {
    RG_ASSERT(x->shape.rank > 0);
    RgShape shape = x->shape;
    shape.size[shape.rank - 1] = 1;
    return rg_sum_to(t, x, shape);
}

RgTensor *rg_mean_last(RgTape *t, RgTensor *x) {
    RgTensor *sum = rg_sum_last(t, x);
    return rg_scale(t, sum, (RgReal)1 / (RgReal)x->shape.size[x->shape.rank - 1]);
}

/* ---- reshape and transpose ---- */

static void reshape_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    rg_add_gradient(t, x, rg_reshape(t, dy, x->shape));
}

static const RgOperator reshape_operator = {.name = "reshape", .backward = reshape_backward};

RgTensor *rg_reshape(RgTape *t, RgTensor *x, RgShape shape) {
    RG_ASSERT(rg_shape_count(shape) == x->count);
    if (rg_shape_equal(x->shape, shape))
        return x;
    return rg_record(t, &reshape_operator, rg_borrow(t, shape, x->data), &x, 1, NULL);
}

static void transpose_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    rg_add_gradient(t, y->inputs[0], rg_transpose(t, dy));
}

static const RgOperator transpose_operator = {.name = "transpose", .backward = transpose_backward};

RgTensor *rg_transpose(RgTape *t, RgTensor *x) {
    enum { TILE = 16 }; /* a tile of both arrays fits in the first-level cache */
    RG_ASSERT(x->shape.rank == 2);
    int64_t rows = x->shape.size[0], columns = x->shape.size[1];
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(columns, rows));
    for (int64_t r = 0; r < rows; r += TILE)
        for (int64_t c = 0; c < columns; c += TILE)
            for (int64_t j = c; j < columns && j < c + TILE; j++)
                for (int64_t i = r; i < rows && i < r + TILE; i++)
                    y->data[j * rows + i] = x->data[i * columns + j];
    return rg_record(t, &transpose_operator, y, &x, 1, NULL);
}

/* ---- slice, pad, concatenate ---- An array is viewed as [outer, size, inner] around the axis that
 * is cut. */

typedef struct Cut {
    int axis;
    int64_t outer, inner;
    int64_t size;          /* of the axis in the larger array */
    int64_t start, length; /* of the part */
} Cut;

static Cut cut_of(RgShape whole, int axis, int64_t start, int64_t length) {
    RG_ASSERT(axis >= 0 && axis < whole.rank);
    RG_ASSERT(start >= 0 && length >= 0 && start + length <= whole.size[axis]);
    Cut cut = {.axis = axis, .outer = 1, .inner = 1, .size = whole.size[axis]};
    for (int i = 0; i < axis; i++)
        cut.outer *= whole.size[i];
    for (int i = axis + 1; i < whole.rank; i++)
        cut.inner *= whole.size[i];
    cut.start = start;
    cut.length = length;
    return cut;
}

/* The start of outer row `i` of the part in the larger array. */
static int64_t cut_at(const Cut *cut, int64_t i) {
    return (i * cut->size + cut->start) * cut->inner;
}

static void part_copy_in(const Cut *cut, const RgReal *part, RgReal *whole) {
    int64_t run = cut->length * cut->inner;
    for (int64_t i = 0; i < cut->outer; i++)
        memcpy(whole + cut_at(cut, i), part + i * run, sizeof *part * (size_t)run);
}

static void part_add_in(const Cut *cut, const RgReal *restrict part, RgReal *restrict whole) {
    int64_t run = cut->length * cut->inner;
    for (int64_t i = 0; i < cut->outer; i++)
        for (int64_t j = 0; j < run; j++)
            whole[cut_at(cut, i) + j] += part[i * run + j];
}

static void pad_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Cut *cut = y->attributes;
    rg_add_gradient(t, y->inputs[0], rg_slice(t, dy, cut->axis, cut->start, cut->length));
}

static const RgOperator pad_operator = {.name = "pad", .backward = pad_backward};

/* The reverse of slice: x as that part of an array of zeros. */
static RgTensor *pad(RgTape *t, RgTensor *x, RgShape whole, const Cut *cut) {
    RgTensor *y = rg_tensor_new(t, whole);
    memset(y->data, 0, sizeof *y->data * (size_t)y->count);
    part_copy_in(cut, x->data, y->data);
    return rg_record(t, &pad_operator, y, &x, 1, (void *)cut);
}

static void slice_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    RgReal *dx = rg_gradient_in_place(t, x);
    if (dx)
        part_add_in(y->attributes, dy->data, dx);
    else
        rg_add_gradient(t, x, pad(t, dy, x->shape, y->attributes));
}

static const RgOperator slice_operator = {.name = "slice", .backward = slice_backward};

RgTensor *rg_slice(RgTape *t, RgTensor *x, int axis, int64_t start, int64_t length) {
    Cut cut = cut_of(x->shape, axis, start, length);
    RgShape shape = x->shape;
    shape.size[axis] = length;
    int64_t run = length * cut.inner;
    RgTensor *y;
    if (cut.outer == 1) { /* the part is contiguous: share it */
        y = rg_borrow(t, shape, x->data + cut_at(&cut, 0));
    } else {
        y = rg_tensor_new(t, shape);
        for (int64_t i = 0; i < cut.outer; i++)
            memcpy(y->data + i * run, x->data + cut_at(&cut, i), sizeof *y->data * (size_t)run);
    }
    Cut *kept = x->needs_gradient ? rg_arena_copy(rg_tape_arena(t), &cut, sizeof cut) : NULL;
    return rg_record(t, &slice_operator, y, &x, 1, kept);
}

/* There may be more parts than a node has inputs, so they are stored here. */
typedef struct Parts {
    int axis, count;
    RgTensor *part[];
} Parts;

static void concatenate_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Parts *parts = y->attributes;
    int64_t start = 0;
    for (int i = 0; i < parts->count; i++) {
        RgTensor *part = parts->part[i];
        int64_t length = part->shape.size[parts->axis];
        if (part->needs_gradient)
            rg_add_gradient(t, part, rg_slice(t, dy, parts->axis, start, length));
        start += length;
    }
}

static const RgOperator concatenate_operator = {.name = "concatenate",
                                                .backward = concatenate_backward};

/* The parts' common shape, with the sum of their sizes along `axis`. */
static RgShape joined_shape(int axis, RgTensor *const *parts, int count) {
    RgShape shape = parts[0]->shape;
    RG_ASSERT(axis >= 0 && axis < shape.rank);
    shape.size[axis] = 0;
    for (int i = 0; i < count; i++) {
        RgShape other = parts[i]->shape;
        shape.size[axis] += other.size[axis];
        other.size[axis] = shape.size[axis];
        RG_ASSERT(rg_shape_equal(shape, other));
    }
    return shape;
}

RgTensor *rg_concatenate(RgTape *t, int axis, RgTensor *const *parts, int count) {
    RG_ASSERT(count >= 1);
    if (count == 1)
        return parts[0];
    RgTensor *y = rg_tensor_new(t, joined_shape(axis, parts, count));
    Parts *kept =
        rg_arena_allocate(rg_tape_arena(t), sizeof *kept + sizeof kept->part[0] * (size_t)count);
    kept->axis = axis;
    kept->count = count;
    RgTensor *any = parts[0]; /* represents all parts when checking whether a gradient is needed */
    int64_t start = 0;
    for (int i = 0; i < count; i++) {
        int64_t length = parts[i]->shape.size[axis];
        Cut cut = cut_of(y->shape, axis, start, length);
        part_copy_in(&cut, parts[i]->data, y->data);
        kept->part[i] = parts[i];
        if (parts[i]->needs_gradient)
            any = parts[i];
        start += length;
    }
    return rg_record(t, &concatenate_operator, y, &any, 1, kept);
}
