/* SPDX-License-Identifier: MIT */
/* Values of operators in single precision against plain loops, and what BLAS is asked for. */
#include "core/tensor/blas.h"
#include "core/tensor/gemm_dispatch.h"
#include "core/tensor/lapack.h"
#include "core/tensor/tensor.h"
#include "core/tensor/threads.h"
#include "core/tensor/vector_ops.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <math.h>
#include <omp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static RgTape *t;

static void begin(void) {
    t = rg_tape_create();
}

static void end(void) {
    rg_tape_destroy(t);
}

TestSuite(tensor, .init = begin, .fini = end);
TestSuite(blas);

static RgTensor *drawn(RgShape shape, const char *name) {
    RgTensor *x = rg_tensor_new(t, shape);
    RgRandom stream = rg_random_named(rg_random_root(21), name);
    for (int64_t i = 0; i < x->count; i++)
        x->data[i] = (RgReal)rg_random_normal(stream, (uint64_t)i);
    return x;
}

static double at2(const RgTensor *x, int64_t i, int64_t j) {
    return (double)x->data[i * x->shape.size[1] + j];
}

Test(tensor, shapes_are_counted_and_compared) {
    cr_assert_eq(rg_shape_count(RG_SCALAR), 1);
    cr_assert_eq(rg_shape_count(RG_SHAPE(2, 3, 4, 5)), 120);
    cr_assert_eq(rg_shape_count(RG_SHAPE(2, 0)), 0);
    cr_assert(rg_shape_equal(RG_SHAPE(2, 3), RG_SHAPE(2, 3)));
    cr_assert_not(rg_shape_equal(RG_SHAPE(2, 3), RG_SHAPE(3, 2)));
    cr_assert_not(rg_shape_equal(RG_SHAPE(3), RG_SHAPE(3, 1)));
}

/* y[i,j,k,l] with the sizes of `shape` that are 1 repeated. */
static double repeated(const RgTensor *x, const int64_t index[4]) {
    int64_t at = 0;
    for (int axis = 0; axis < x->shape.rank; axis++) {
        int64_t i = index[4 - x->shape.rank + axis];
        at = at * x->shape.size[axis] + (x->shape.size[axis] == 1 ? 0 : i);
    }
    return (double)x->data[at];
}

/* Every pair of shapes made from [2, 3, 4, 5] by putting 1 in any places and leaving out axes. */
Test(tensor, broadcasting_repeats_what_is_one) {
    const int64_t full[] = {2, 3, 4, 5};
    RgShape shapes[64];
    int count = 0;
    for (int rank = 0; rank <= 4; rank++)
        for (int ones = 0; ones < 1 << rank; ones++) {
            RgShape shape = {.rank = rank, .size = {1, 1, 1, 1}};
            for (int i = 0; i < rank; i++)
                shape.size[i] = ones >> i & 1 ? 1 : full[4 - rank + i];
            shapes[count++] = shape;
        }
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++) {
            rg_tape_reset(t);
            RgTensor *a = drawn(shapes[i], "a"), *b = drawn(shapes[j], "b");
            RgTensor *y = rg_sub(t, a, b);
            RgShape shape = {.rank = 4, .size = {1, 1, 1, 1}};
            memcpy(shape.size + 4 - y->shape.rank, y->shape.size,
                   sizeof(int64_t) * (size_t)y->shape.rank);
            int64_t at = 0, k[4];
            for (k[0] = 0; k[0] < shape.size[0]; k[0]++)
                for (k[1] = 0; k[1] < shape.size[1]; k[1]++)
                    for (k[2] = 0; k[2] < shape.size[2]; k[2]++)
                        for (k[3] = 0; k[3] < shape.size[3]; k[3]++)
                            cr_assert_eq(y->data[at++],
                                         (RgReal)repeated(a, k) - (RgReal)repeated(b, k));
            cr_assert_eq(at, y->count);

            RgTensor *sum = rg_sum_to(t, y, a->shape);
            RgTensor *back = rg_broadcast_to(t, a, y->shape);
            cr_assert(rg_shape_equal(sum->shape, a->shape));
            cr_assert_eq(back->count, y->count);
            double direct = 0, reduced = 0;
            for (int64_t n = 0; n < y->count; n++)
                direct += (double)y->data[n] * (double)back->data[n];
            for (int64_t n = 0; n < a->count; n++)
                reduced += (double)sum->data[n] * (double)a->data[n];
            cr_assert_float_eq(direct, reduced, 1e-4, "sum_to is the adjoint of broadcast_to");
        }
}

Test(tensor, shapes_that_do_not_fit_are_a_bug, .signal = SIGABRT) {
    rg_add(t, drawn(RG_SHAPE(2, 3), "a"), drawn(RG_SHAPE(2, 4), "b"));
}

Test(tensor, matmul_is_rows_times_columns) {
    for (int transposes = 0; transposes < 4; transposes++) {
        bool ta = transposes & 1, tb = transposes & 2;
        const int64_t m = 7, n = 5, k = 33;
        RgTensor *a = drawn(ta ? RG_SHAPE(k, m) : RG_SHAPE(m, k), "a");
        RgTensor *b = drawn(tb ? RG_SHAPE(n, k) : RG_SHAPE(k, n), "b");
        RgTensor *y = rg_matmul_transposed(t, a, ta, b, tb);
        cr_assert(rg_shape_equal(y->shape, RG_SHAPE(m, n)));
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = 0;
                for (int64_t l = 0; l < k; l++)
                    sum += (ta ? at2(a, l, i) : at2(a, i, l)) * (tb ? at2(b, j, l) : at2(b, l, j));
                cr_assert_float_eq(at2(y, i, j), sum, 1e-5);
            }
    }
    cr_assert_eq(rg_tape_flops(t), 4 * 2.0 * 7 * 5 * 33);
}

Test(tensor, matmul_over_nothing_is_zero) {
    RgTensor *y = rg_matmul(t, drawn(RG_SHAPE(2, 0), "a"), drawn(RG_SHAPE(0, 3), "b"));
    for (int i = 0; i < 6; i++)
        cr_assert_eq(y->data[i], 0);
    cr_assert_eq(rg_matmul(t, drawn(RG_SHAPE(0, 2), "a"), drawn(RG_SHAPE(2, 3), "b"))->count, 0);
}

/* In single precision the sum of ones stops at 2^24. */
Test(tensor, sums_are_taken_in_double) {
    const int64_t n = (1 << 24) + 1000;
    RgTensor *ones = rg_filled(t, RG_SHAPE(n), 1);
    cr_assert_eq(rg_sum(t, ones)->data[0], (RgReal)n);
    RgTensor *columns = rg_reshape(t, ones, RG_SHAPE(n / 8, 8));
    cr_assert_float_eq(rg_mean(t, rg_sum_to(t, columns, RG_SHAPE(8)))->data[0], n / 8.0, 1e-9);

    RgTensor *mixed = rg_constant(t, RG_SHAPE(3), (RgReal[]){1e8f, 1, -1e8f});
    cr_assert_eq(rg_sum(t, mixed)->data[0], 1);
}

Test(tensor, softmax_adds_to_one_and_ignores_shifts) {
    RgTensor *x = drawn(RG_SHAPE(4, 100), "x");
    RgTensor *y = rg_softmax(t, x), *shifted = rg_softmax(t, rg_add_scalar(t, x, 512));
    RgTensor *log_y = rg_log_softmax(t, x);
    for (int64_t i = 0; i < 4; i++) {
        double total = 0;
        for (int64_t j = 0; j < 100; j++)
            total += exp(at2(x, i, j));
        for (int64_t j = 0; j < 100; j++) {
            double expected = exp(at2(x, i, j)) / total;
            cr_assert_float_eq(at2(y, i, j), expected, 1e-6 * expected);
            cr_assert_float_eq(at2(log_y, i, j), log(expected), 1e-5);
            cr_assert_float_eq(at2(shifted, i, j), expected, 1e-4 * expected);
        }
    }
}

Test(tensor, softmax_of_the_impossible_is_zero) {
    RgTensor *x = rg_constant(t, RG_SHAPE(1, 3), (RgReal[]){1000, -INFINITY, 1000});
    RgTensor *y = rg_softmax(t, x);
    cr_assert_float_eq(y->data[0], 0.5, 1e-7);
    cr_assert_eq(y->data[1], 0);
    cr_assert_eq(rg_log_softmax(t, x)->data[1], -INFINITY);
}

Test(tensor, log_sigmoid_is_right_at_both_ends) {
    const RgReal x[] = {-1000, -30, -1, 0, 1, 30, 1000};
    RgTensor *point = rg_constant(t, RG_SHAPE(7), x);
    RgTensor *y = rg_log_sigmoid(t, point), *s = rg_sigmoid(t, point);
    for (int i = 0; i < 7; i++) {
        double expected = -log1p(exp(-(double)x[i]));
        if (x[i] < -700)
            expected = (double)x[i];
        cr_assert_float_eq(y->data[i], expected, 1e-6 * fabs(expected));
        cr_assert_float_eq(s->data[i], exp(expected), 1e-6 * exp(expected));
    }
}

/* The functions of one variable, at points from −20 to 20. Zero is exactly that even where products
 * and sums are fused: the cube of what is nearly zero is no normal number. */
Test(tensor, functions_of_one_variable_agree_with_double_precision) {
    enum { POINTS = 401 };
    RgTensor *x = rg_tensor_new(t, RG_SHAPE(POINTS));
    for (int i = 0; i < POINTS; i++)
        x->data[i] = (RgReal)((i - 200) / 10.0);
    RgTensor *exp_x = rg_exp(t, x), *tanh_x = rg_tanh(t, x), *silu_x = rg_silu(t, x);
    RgTensor *gelu_x = rg_gelu(t, x), *log_x = rg_log(t, exp_x), *power_x = rg_power(t, x, 3);
    RgTensor *exact_x = rg_gelu_exact(t, x);
    for (int i = 0; i < POINTS; i++) {
        double v = (double)x->data[i], u = sqrt(2 / M_PI) * (v + 0.044715 * v * v * v);
        double near = 1e-6 * fabs(v) + 1e-6;
        cr_assert_float_eq(exp_x->data[i], exp(v), 3e-7 * exp(v));
        cr_assert_float_eq(log_x->data[i], v, near);
        cr_assert_float_eq(tanh_x->data[i], tanh(v), 3e-7 * fabs(tanh(v)));
        cr_assert_float_eq(silu_x->data[i], v / (1 + exp(-v)), near);
        cr_assert_float_eq(gelu_x->data[i], 0.5 * v * (1 + tanh(u)), near);
        cr_assert_float_eq(exact_x->data[i], 0.5 * v * (1 + erf(v / sqrt(2))), near);
        cr_assert_float_eq(power_x->data[i], v * v * v, 3e-7 * fabs(v * v * v));
    }
}

Test(tensor, slices_and_parts_are_where_they_were) {
    RgTensor *x = drawn(RG_SHAPE(2, 5, 3), "x");
    for (int axis = 0; axis < 3; axis++) {
        int64_t size = x->shape.size[axis], first = size / 2;
        RgTensor *parts[] = {rg_slice(t, x, axis, 0, first),
                             rg_slice(t, x, axis, first, size - first)};
        RgTensor *whole = rg_concatenate(t, axis, parts, 2);
        cr_assert(rg_shape_equal(whole->shape, x->shape));
        cr_assert_arr_eq(whole->data, x->data, sizeof(RgReal) * 30);
    }
    RgTensor *middle = rg_slice(t, x, 1, 1, 2);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            for (int k = 0; k < 3; k++)
                cr_assert_eq(middle->data[(i * 2 + j) * 3 + k], x->data[(i * 5 + j + 1) * 3 + k]);
}

Test(tensor, transpose_swaps_rows_and_columns) {
    RgTensor *x = drawn(RG_SHAPE(37, 21), "x"), *y = rg_transpose(t, x);
    for (int64_t i = 0; i < 37; i++)
        for (int64_t j = 0; j < 21; j++)
            cr_assert_eq(at2(y, j, i), at2(x, i, j));
}

Test(tensor, look_ups_follow_their_indices) {
    static const int32_t rows[] = {3, 0, 3}, columns[] = {1, 0, 2, 2};
    RgTensor *x = drawn(RG_SHAPE(4, 3), "x");
    RgTensor *taken = rg_embedding(t, x, rows, 3), *picked = rg_gather(t, x, columns);
    RgTensor *added = rg_scatter_rows(t, taken, rows, 5);
    for (int64_t j = 0; j < 3; j++) {
        for (int64_t i = 0; i < 3; i++)
            cr_assert_eq(at2(taken, i, j), at2(x, rows[i], j));
        cr_assert_eq(at2(added, 3, j), 2 * at2(x, 3, j));
        cr_assert_eq(at2(added, 0, j), at2(x, 0, j));
        cr_assert_eq(at2(added, 4, j), 0);
    }
    for (int64_t i = 0; i < 4; i++)
        cr_assert_eq((double)picked->data[i], at2(x, i, columns[i]));
}

Test(tensor, index_out_of_range_is_a_bug, .signal = SIGABRT) {
    static const int32_t rows[] = {0, 4};
    rg_embedding(t, drawn(RG_SHAPE(4, 3), "x"), rows, 2);
}

Test(tensor, segments_may_be_empty) {
    static const int64_t offsets[] = {0, 2, 2, 5};
    RgTensor *x = rg_constant(t, RG_SHAPE(5), (RgReal[]){1, 2, 4, 8, 16});
    RgTensor *sum = rg_segment_sum(t, x, offsets, 3);
    cr_assert_arr_eq(sum->data, ((RgReal[]){3, 0, 28}), sizeof(RgReal) * 3);
    RgTensor *spread = rg_segment_repeat(t, sum, offsets, 3);
    cr_assert_arr_eq(spread->data, ((RgReal[]){3, 3, 28, 28, 28}), sizeof(RgReal) * 5);
}

static RgTensor *small_loss(RgParameters *p, const int32_t *target) {
    RgTensor *x = drawn(RG_SHAPE(32, 16), "x");
    RgTensor *hidden = rg_silu(t, rg_matmul(t, x, rg_parameter(t, p, 0)));
    return rg_mean(
        t, rg_gather(t, rg_log_softmax(t, rg_matmul(t, hidden, rg_parameter(t, p, 1))), target));
}

static RgParameters *small_store(void) {
    RgParameters *p = rg_parameters_create();
    rg_parameters_declare(p, "first", 2, (int64_t[]){16, 64}, true);
    rg_parameters_declare(p, "second", 2, (int64_t[]){64, 8}, true);
    rg_parameters_allocate(p);
    rg_parameters_fill_normal(p, 0, 0.3, rg_random_root(1));
    rg_parameters_fill_normal(p, 1, 0.3, rg_random_root(1));
    return p;
}

Test(tensor, warm_step_takes_no_memory) {
    static const int32_t target[32] = {0};
    RgParameters *p = small_store();
    size_t peak = 0, allocated = 0;
    for (int step = 0; step < 50; step++) {
        rg_tape_reset(t);
        rg_backward(t, small_loss(p, target), 1);
        if (step == 1) {
            peak = rg_arena_peak(rg_tape_arena(t));
            allocated = mallinfo2().uordblks;
        }
    }
    cr_assert_eq(rg_arena_peak(rg_tape_arena(t)), peak);
    cr_assert_eq(mallinfo2().uordblks, allocated);
    rg_parameters_destroy(p);
}

/* Single precision against single precision in another order: central differences, roughly. */
Test(tensor, gradient_in_single_precision_points_the_same_way) {
    static const int32_t target[32] = {1, 5, 2};
    RgParameters *p = small_store();
    rg_backward(t, small_loss(p, target), 1);
    double slope = rg_dot(p->count, p->gradient, p->gradient);
    const RgReal step = 0.02f;
    rg_axpy(p->count, step, p->gradient, p->value);
    rg_tape_reset(t);
    double above = (double)small_loss(p, target)->data[0];
    rg_axpy(p->count, -2 * step, p->gradient, p->value);
    rg_tape_reset(t);
    double below = (double)small_loss(p, target)->data[0];
    cr_assert_float_eq((above - below) / (2 * (double)step), slope, 1e-3 * slope);
    rg_parameters_destroy(p);
}

/* ---- BLAS ---- */

Test(blas, gemm_works_on_parts_of_larger_arrays) {
    enum { LD = 9, M = 3, N = 4, K = 5 };
    RgReal a[LD * LD], b[LD * LD], c[LD * LD], expected[LD * LD];
    for (int i = 0; i < LD * LD; i++) {
        a[i] = (RgReal)sin(i);
        b[i] = (RgReal)cos(i);
        c[i] = expected[i] = (RgReal)i;
    }
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int k = 0; k < K; k++)
                sum += (double)a[i * LD + k] * (double)b[j * LD + k];
            expected[i * LD + j] = (RgReal)(2 * sum + 0.5 * (double)c[i * LD + j]);
        }
    rg_gemm(false, true, M, N, K, 2, a, LD, b, LD, (RgReal)0.5, c, LD);
    for (int i = 0; i < LD * LD; i++)
        cr_assert_float_eq(c[i], expected[i], 1e-5);
}

static void multiply_in_shards(RgReal *out) {
    enum { SHARDS = 8, N = 96 };
    static RgReal a[N * N], b[N * N];
    for (int i = 0; i < N * N; i++) {
        a[i] = (RgReal)sin(i);
        b[i] = (RgReal)cos(i);
    }
#pragma omp parallel for num_threads(rg_threads())
    for (int shard = 0; shard < SHARDS; shard++)
        rg_gemm(false, false, N, N, N, 1, a, N, b, N, 0, out + shard * N * N, N);
}

Test(blas, bits_do_not_depend_on_threads) {
    static RgReal one[8 * 96 * 96], four[8 * 96 * 96];
    rg_threads_set(1);
    multiply_in_shards(one);
    rg_threads_set(4);
    cr_assert_eq(rg_threads(), 4);
    multiply_in_shards(four);
    cr_assert_arr_eq(one, four, sizeof one);
    /* A product outside of a parallel region: OpenBLAS would cut it among as many threads. */
    cr_assert_eq(omp_get_max_threads(), 1);
}

Test(blas, core_has_a_name) {
    cr_assert_gt(strlen(rg_blas_core()), 0);
}

Test(blas, dot_is_summed_in_double) {
    RgReal a[19], b[19];
    double expected = 0;
    for (int i = 0; i < 19; i++) {
        a[i] = i == 0 ? 1e8f : i == 18 ? -1e8f : (RgReal)i;
        b[i] = 1;
        expected += (double)a[i];
    }
    cr_assert_eq(rg_dot(19, a, b), expected);
    for (int i = 0; i < 19; i++)
        a[i] = 1 + 0x1p-12f; /* whose square is no float */
    cr_assert_eq(rg_dot(19, a, a), 19 * (1 + 0x1p-12) * (1 + 0x1p-12));
}

Test(blas, solve_finds_the_solution) {
    const double a[] = {4, 1, 0, 1, 3, -1, 0, -1, 2}, x[] = {1, -2, 0.5};
    double b[3] = {0}, found[3];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            b[i] += a[i * 3 + j] * x[j];
    cr_assert_eq(rg_solve_symmetric(3, a, b, 1e-12, found, NULL), 3);
    for (int i = 0; i < 3; i++)
        cr_assert_float_eq(found[i], x[i], 1e-12);
}

/* a = 2·uuᵀ − 3·vvᵀ, u and v orthonormal: of the solutions, the shortest has nothing along the
 * third direction, whatever b has. */
Test(blas, solve_of_a_singular_system_is_the_shortest) {
    const double u[] = {0.6, 0.8, 0}, v[] = {-0.8, 0.6, 0}, w[] = {0, 0, 1};
    double a[9], b[3], found[3];
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            a[i * 3 + j] = 2 * u[i] * u[j] - 3 * v[i] * v[j];
        b[i] = 2 * u[i] + 6 * v[i] + 5 * w[i];
    }
    cr_assert_eq(rg_solve_symmetric(3, a, b, 1e-10, found, NULL), 2);
    for (int i = 0; i < 3; i++)
        cr_assert_float_eq(found[i], u[i] - 2 * v[i], 1e-12);
    cr_assert_eq(rg_solve_symmetric(3, (double[9]){0}, b, 1e-10, found, NULL), 0);
    cr_assert_eq(found[0], 0);
}

/* a·x − b, or aᵀ·x − b, is nothing for a large system within a band, and for one just too wide. */
Test(blas, general_solve_finds_the_solution_of_narrow_and_wide_systems) {
    enum { SIZE = 120, RIGHT = 2 };
    static double a[SIZE * SIZE], b[SIZE * RIGHT], found[SIZE * RIGHT];
    static const int below[] = {3, 0, 12, 119}, above[] = {7, 5, 9, 119};
    for (int k = 0; k < 8; k++) {
        bool transposed = k % 2 == 1;
        for (int i = 0; i < SIZE * SIZE; i++) {
            int off = i % SIZE - i / SIZE;
            a[i] = -off > below[k / 2] || off > above[k / 2]
                       ? 0
                       : rg_random_normal(rg_random_root(3), (uint64_t)i) + (off == 0 ? 4 : 0);
        }
        for (int i = 0; i < SIZE * RIGHT; i++)
            b[i] = rg_random_normal(rg_random_root(4), (uint64_t)i);
        rg_solve_general(SIZE, RIGHT, transposed, a, b, found);
        for (int i = 0; i < SIZE; i++)
            for (int j = 0; j < RIGHT; j++) {
                double left = 0;
                for (int l = 0; l < SIZE; l++)
                    left += (transposed ? a[l * SIZE + i] : a[i * SIZE + l]) * found[l * RIGHT + j];
                cr_assert_float_eq(left, b[i * RIGHT + j], 1e-8, "%d", k);
            }
    }
}

Test(blas, solve_leaves_out_what_is_below_the_cutoff) {
    const double a[] = {1, 0, 0, -1e-12}, b[] = {1, 1};
    double found[2];
    cr_assert_eq(rg_solve_symmetric(2, a, b, 1e-10, found, NULL), 1);
    cr_assert_eq(found[1], 0);
    cr_assert_eq(rg_solve_symmetric(2, a, b, 1e-14, found, NULL), 2);
    cr_assert_float_eq(found[1], -1e12, 1);
}
