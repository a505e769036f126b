/* SPDX-License-Identifier: MIT */
/* Operators on matrices and tables: products, softmax, look-ups by index, sums over segments. The
 * fused operators of networks are in network_ops.c. */
#include "core/tensor/gemm_dispatch.h"
#include "core/tensor/parallel.h"
#include "core/tensor/real_math.h"

#include <string.h>

/* ---- matrix product ---- */

/* The arguments of a product besides its inputs. */
typedef struct Product {
    bool transpose_a, transpose_b;
} Product;

typedef struct ProductSize {
    int64_t m, n, k;
} ProductSize;

static ProductSize product_size(const RgTensor *a, bool transpose_a, const RgTensor *b,
                                bool transpose_b) {
    RG_ASSERT(a->shape.rank == 2 && b->shape.rank == 2);
    ProductSize size = {.m = a->shape.size[transpose_a],
                        .n = b->shape.size[!transpose_b],
                        .k = a->shape.size[!transpose_a]};
    RG_ASSERT(b->shape.size[transpose_b] == size.k);
    return size;
}

/* y = op(a)·op(b) + beta·y */
static void multiply(RgTape *t, const RgTensor *a, bool transpose_a, const RgTensor *b,
                     bool transpose_b, RgReal beta, RgReal *y) {
    ProductSize s = product_size(a, transpose_a, b, transpose_b);
    rg_gemm(transpose_a, transpose_b, s.m, s.n, s.k, 1, a->data, a->shape.size[1], b->data,
            b->shape.size[1], beta, y, s.n);
    rg_tape_count_flops(t, 2 * (double)s.m * (double)s.n * (double)s.k);
}

/* Adds op(a)·op(b) to the gradient of `input`, directly into its buffer if it has one. */
static void add_product(RgTape *t, RgTensor *input, RgTensor *a, bool transpose_a, RgTensor *b,
                        bool transpose_b) {
    RgReal *in_place = rg_gradient_in_place(t, input);
    if (in_place)
        multiply(t, a, transpose_a, b, transpose_b, 1, in_place);
    else
        rg_add_gradient(t, input, rg_matmul_transposed(t, a, transpose_a, b, transpose_b));
}

/* y = op(a)·op(b): d op(a) = dy·op(b)ᵀ and d op(b) = op(a)ᵀ·dy, each transposed back if
 * necessary. */
static void matmul_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Product *product = y->attributes;
    RgTensor *a = y->inputs[0], *b = y->inputs[1];
    bool ta = product->transpose_a, tb = product->transpose_b;
    if (a->needs_gradient && !ta)
        add_product(t, a, dy, false, b, !tb);
    else if (a->needs_gradient)
        add_product(t, a, b, tb, dy, true);
    if (b->needs_gradient && !tb)
        add_product(t, b, a, !ta, dy, false);
    else if (b->needs_gradient)
        add_product(t, b, dy, true, a, ta);
}

static const RgOperator matmul_operator = {.name = "matmul", .backward = matmul_backward};

RgTensor *rg_matmul_transposed(RgTape *t, RgTensor *a, bool transpose_a, RgTensor *b,
                               bool transpose_b) {
    ProductSize size = product_size(a, transpose_a, b, transpose_b);
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(size.m, size.n));
    multiply(t, a, transpose_a, b, transpose_b, 0, y->data);
    Product *kept = rg_arena_allocate(rg_tape_arena(t), sizeof *kept);
    *kept = (Product){transpose_a, transpose_b};
    return rg_record(t, &matmul_operator, y, (RgTensor *[]){a, b}, 2, kept);
}

RgTensor *rg_matmul(RgTape *t, RgTensor *a, RgTensor *b) {
    return rg_matmul_transposed(t, a, false, b, false);
}

/* ---- softmax ---- */

typedef struct Rows {
    int64_t count, length;
} Rows;

static Rows rows_of(const RgTensor *x) {
    RG_ASSERT(x->shape.rank > 0);
    int64_t length = x->shape.size[x->shape.rank - 1];
    return (Rows){.count = length ? x->count / length : 0, .length = length};
}

RG_INLINE RgReal row_largest(const RgReal *x, int64_t n) {
    RgReal largest = x[0];
    for (int64_t i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* y[i] = exp(x[i] − largest). Returns their sum, computed in double and in a fixed order. */
RG_INLINE double row_exp(const RgReal *restrict x, int64_t n, RgReal largest, RgReal *restrict y) {
    for (int64_t i = 0; i < n; i++)
        y[i] = rg_fast_exp(x[i] - largest);
    double partial[8] = {0}, total = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int lane = 0; lane < 8; lane++)
            partial[lane] += (double)y[i + lane];
    for (; i < n; i++)
        total += (double)y[i];
    for (int lane = 0; lane < 8; lane++)
        total += partial[lane];
    return total;
}

RG_KERNEL(void, softmax_rows, (Rows rows, const RgReal *x, RgReal *y), (rows, x, y)) {
    for (int64_t r = 0; r < rows.count; r++, x += rows.length, y += rows.length) {
        double total = row_exp(x, rows.length, row_largest(x, rows.length), y);
        RgReal share = (RgReal)(1 / total);
        for (int64_t i = 0; i < rows.length; i++)
            y[i] *= share;
    }
}

RG_KERNEL(void, log_softmax_rows, (Rows rows, const RgReal *x, RgReal *y), (rows, x, y)) {
    for (int64_t r = 0; r < rows.count; r++, x += rows.length, y += rows.length) {
        RgReal largest = row_largest(x, rows.length);
        RgReal log_total = (RgReal)log(row_exp(x, rows.length, largest, y));
        for (int64_t i = 0; i < rows.length; i++)
            y[i] = (x[i] - largest) - log_total;
    }
}

/* dx = y·(dy − Σ y·dy) */
static void softmax_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *mean = rg_sum_last(t, rg_mul(t, y, dy));
    rg_add_gradient(t, y->inputs[0], rg_mul(t, y, rg_sub(t, dy, mean)));
}

static const RgOperator softmax_operator = {.name = "softmax", .backward = softmax_backward};

RgTensor *rg_softmax(RgTape *t, RgTensor *x) {
    RgTensor *y = rg_tensor_new(t, x->shape);
    softmax_rows(rows_of(x), x->data, y->data);
    rg_tape_count_flops(t, 4 * (double)x->count);
    return rg_record(t, &softmax_operator, y, &x, 1, NULL);
}

/* dx = dy − softmax(x)·Σ dy */
static void log_softmax_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    RgTensor *x = y->inputs[0];
    RgTensor *flow = rg_mul(t, rg_softmax(t, x), rg_sum_last(t, dy));
    rg_add_gradient(t, x, rg_sub(t, dy, flow));
}

static const RgOperator log_softmax_operator = {.name = "log_softmax",
                                                .backward = log_softmax_backward};

RgTensor *rg_log_softmax(RgTape *t, RgTensor *x) {
    RgTensor *y = rg_tensor_new(t, x->shape);
    log_softmax_rows(rows_of(x), x->data, y->data);
    rg_tape_count_flops(t, 4 * (double)x->count);
    return rg_record(t, &log_softmax_operator, y, &x, 1, NULL);
}

/* ---- look-ups ---- */

/* The indices of a look-up, and the number of rows or columns they index. */
typedef struct Lookup {
    const int32_t *index;
    int64_t bound;
} Lookup;

static Lookup *lookup_keep(RgTape *t, const int32_t *index, int64_t n, int64_t bound) {
    for (int64_t i = 0; i < n; i++)
        RG_ASSERT(index[i] >= 0 && index[i] < bound);
    Lookup *lookup = rg_arena_allocate(rg_tape_arena(t), sizeof *lookup);
    *lookup = (Lookup){index, bound};
    return lookup;
}

static void spread_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Lookup *lookup = y->attributes;
    rg_add_gradient(t, y->inputs[0], rg_gather(t, dy, lookup->index));
}

static const RgOperator spread_operator = {.name = "spread", .backward = spread_backward};

/* The reverse of gather: y[i, index[i]] = x[i], zero elsewhere      x [n], y [n, bound] */
static RgTensor *spread(RgTape *t, RgTensor *x, Lookup *lookup) {
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(x->count, lookup->bound));
    memset(y->data, 0, sizeof *y->data * (size_t)y->count);
    for (int64_t i = 0; i < x->count; i++)
        y->data[i * lookup->bound + lookup->index[i]] = x->data[i];
    return rg_record(t, &spread_operator, y, &x, 1, lookup);
}

static void gather_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    Lookup *lookup = y->attributes;
    RgTensor *x = y->inputs[0];
    RgReal *dx = rg_gradient_in_place(t, x);
    if (!dx)
        rg_add_gradient(t, x, spread(t, dy, lookup));
    for (int64_t i = 0; dx && i < dy->count; i++)
        dx[i * lookup->bound + lookup->index[i]] += dy->data[i];
}

static const RgOperator gather_operator = {.name = "gather", .backward = gather_backward};

RgTensor *rg_gather(RgTape *t, RgTensor *x, const int32_t *index) {
    RG_ASSERT(x->shape.rank == 2);
    int64_t n = x->shape.size[0], columns = x->shape.size[1];
    Lookup *lookup = lookup_keep(t, index, n, columns);
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(n));
    for (int64_t i = 0; i < n; i++)
        y->data[i] = x->data[i * columns + index[i]];
    return rg_record(t, &gather_operator, y, &x, 1, lookup);
}

/* rows[index[i], j] += x[i, j] of columns j in [first, last)      x [n, d] */
static void add_columns(const RgTensor *x, const int32_t *index, int64_t first, int64_t last,
                        RgReal *restrict rows) {
    int64_t n = x->shape.size[0], d = x->shape.size[1];
    for (int64_t i = 0; i < n; i++) {
        RgReal *restrict to = rows + index[i] * d;
        const RgReal *restrict from = x->data + i * d;
        for (int64_t j = first; j < last; j++)
            to[j] += from[j];
    }
}

/* A row may occur several times, and its numbers are summed in order, so the threads share
 * columns. */
static void add_rows(const RgTensor *x, const int32_t *index, RgReal *rows) {
    enum { LEAST_COLUMNS = 64 }; /* four cache lines */
    int64_t n = x->shape.size[0], d = x->shape.size[1];
    int64_t enough = 1 + RG_LEAST_NUMBERS / (n > 0 ? n : 1);
    RG_FOR_PIECES(d, rg_spread(d, enough > LEAST_COLUMNS ? enough : LEAST_COLUMNS),
                  add_columns(x, index, first, last, rows));
}

static void scatter_rows_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Lookup *lookup = y->attributes;
    RgTensor *x = y->inputs[0];
    rg_add_gradient(t, x, rg_embedding(t, dy, lookup->index, x->shape.size[0]));
}

static const RgOperator scatter_rows_operator = {.name = "scatter_rows",
                                                 .backward = scatter_rows_backward};

RgTensor *rg_scatter_rows(RgTape *t, RgTensor *x, const int32_t *index, int64_t rows) {
    RG_ASSERT(x->shape.rank == 2);
    Lookup *lookup = lookup_keep(t, index, x->shape.size[0], rows);
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(rows, x->shape.size[1]));
    rg_numbers_clear(y->data, y->count);
    add_rows(x, index, y->data);
    rg_tape_count_flops(t, (double)x->count);
    return rg_record(t, &scatter_rows_operator, y, &x, 1, lookup);
}

static void embedding_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Lookup *lookup = y->attributes;
    RgTensor *table = y->inputs[0];
    RgReal *d_table = rg_gradient_in_place(t, table);
    if (d_table) {
        add_rows(dy, lookup->index, d_table);
        rg_tape_count_flops(t, (double)dy->count);
    } else {
        rg_add_gradient(t, table, rg_scatter_rows(t, dy, lookup->index, lookup->bound));
    }
}

static const RgOperator embedding_operator = {.name = "embedding", .backward = embedding_backward};

/* y[i, :] = table[index[i], :] of rows i in [first, last) */
static void look_up_rows(const RgTensor *table, const int32_t *index, int64_t first, int64_t last,
                         RgReal *y) {
    int64_t d = table->shape.size[1];
    for (int64_t i = first; i < last; i++)
        if (table->rounded)
            rg_bf16_widen(d, table->rounded + index[i] * d, y + i * d);
        else
            memcpy(y + i * d, table->data + index[i] * d, sizeof *y * (size_t)d);
}

RgTensor *rg_embedding(RgTape *t, RgTensor *table, const int32_t *index, int64_t n) {
    RG_ASSERT(table->shape.rank == 2);
    int64_t d = table->shape.size[1];
    Lookup *lookup = lookup_keep(t, index, n, table->shape.size[0]);
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(n, d));
    RG_FOR_PIECES(n, rg_spread_rows(n, d), look_up_rows(table, index, first, last, y->data));
    return rg_record(t, &embedding_operator, y, &table, 1, lookup);
}

/* ---- segments ---- */

typedef struct Segments {
    const int64_t *offsets; /* [count + 1] */
    int64_t count;
} Segments;

static Segments *segments_keep(RgTape *t, const int64_t *offsets, int64_t count) {
    RG_ASSERT(offsets[0] == 0);
    for (int64_t s = 0; s < count; s++)
        RG_ASSERT(offsets[s] <= offsets[s + 1]);
    Segments *segments = rg_arena_allocate(rg_tape_arena(t), sizeof *segments);
    *segments = (Segments){offsets, count};
    return segments;
}

static void segment_sum_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Segments *segments = y->attributes;
    rg_add_gradient(t, y->inputs[0], rg_segment_repeat(t, dy, segments->offsets, segments->count));
}

static const RgOperator segment_sum_operator = {.name = "segment_sum",
                                                .backward = segment_sum_backward};

RgTensor *rg_segment_sum(RgTape *t, RgTensor *x, const int64_t *offsets, int64_t n) {
    RG_ASSERT(x->shape.rank == 1 && x->count == offsets[n]);
    Segments *segments = segments_keep(t, offsets, n);
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(n));
    for (int64_t s = 0; s < n; s++) {
        double total = 0;
        for (int64_t i = offsets[s]; i < offsets[s + 1]; i++)
            total += (double)x->data[i];
        y->data[s] = (RgReal)total;
    }
    rg_tape_count_flops(t, (double)x->count);
    return rg_record(t, &segment_sum_operator, y, &x, 1, segments);
}

static void segment_repeat_backward(RgTape *t, RgTensor *y, RgTensor *dy) {
    const Segments *segments = y->attributes;
    rg_add_gradient(t, y->inputs[0], rg_segment_sum(t, dy, segments->offsets, segments->count));
}

static const RgOperator segment_repeat_operator = {.name = "segment_repeat",
                                                   .backward = segment_repeat_backward};

RgTensor *rg_segment_repeat(RgTape *t, RgTensor *x, const int64_t *offsets, int64_t n) {
    RG_ASSERT(x->shape.rank == 1 && x->count == n);
    Segments *segments = segments_keep(t, offsets, n);
    RgTensor *y = rg_tensor_new(t, RG_SHAPE(offsets[n]));
    for (int64_t s = 0; s < n; s++)
        for (int64_t i = offsets[s]; i < offsets[s + 1]; i++)
            y->data[i] = x->data[s];
    return rg_record(t, &segment_repeat_operator, y, &x, 1, segments);
}
