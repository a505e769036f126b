/* SPDX-License-Identifier: MIT */
/* Every operator against central differences, to 1e-6 relative: its gradient, and the gradient of
 * its gradient. A new operator joins by one line of the table, which makes two tests. */
#include "tests/gradient_check.h"

#include <criterion/criterion.h>

/* Away from 0 and from where a function is not smooth or not defined. */
static RgTensor *positive(RgTape *t, RgTensor *x) {
    return rg_add_scalar(t, rg_square(t, x), (RgReal)0.5);
}

/* Far from singular. */
static RgTensor *dominant(RgTape *t, RgTensor *x) {
    int64_t n = x->shape.size[0];
    RgTensor *diagonal = rg_filled(t, x->shape, 0);
    for (int64_t i = 0; i < n; i++)
        diagonal->data[i * n + i] = 4;
    return rg_add(t, x, diagonal);
}

static const int32_t columns_of_rows[] = {2, 0, 2, 1, 1};
static const int32_t rows_repeated[] = {3, 0, 3, 3, 1};
static const int64_t segments[] = {0, 2, 2, 5};

static RgTensor *join(RgTape *t, int axis, RgTensor *a, RgTensor *b, RgTensor *c) {
    return rg_concatenate(t, axis, (RgTensor *[]){a, b, c}, 3);
}

static RgTensor *network(RgTape *t, RgTensor *const *x) {
    RgTensor *hidden = rg_tanh(t, rg_add(t, rg_matmul(t, x[0], x[1]), x[2]));
    return rg_mean(t, rg_gather(t, rg_log_softmax(t, rg_matmul(t, hidden, x[3])), columns_of_rows));
}

static RgTensor *used_often(RgTape *t, RgTensor *x) {
    RgTensor *y = rg_mul(t, x, x);
    y = rg_add(t, y, y);
    return rg_add(t, rg_mul(t, y, x), rg_add(t, rg_reshape(t, y, x->shape), rg_sub(t, x, y)));
}

/* CASE(name, operator of t and x[0], x[1], ..., the inputs' shapes) */
#define OPERATOR_CASES(CASE)                                                                       \
    CASE(add_same_shape, rg_add(t, x[0], x[1]), MATRIX(3, 4), MATRIX(3, 4))                        \
    CASE(add_row, rg_add(t, x[0], x[1]), MATRIX(3, 4), VECTOR(4))                                  \
    CASE(add_column, rg_add(t, x[0], x[1]), MATRIX(3, 4), MATRIX(3, 1))                            \
    CASE(add_scalar_tensor, rg_add(t, x[0], x[1]), SCALAR, MATRIX(3, 4))                           \
    CASE(add_outer, rg_add(t, x[0], x[1]), MATRIX(3, 1), MATRIX(1, 4))                             \
    CASE(add_to_itself, rg_add(t, x[0], x[0]), MATRIX(3, 4))                                       \
    CASE(sub_same_shape, rg_sub(t, x[0], x[1]), VECTOR(5), VECTOR(5))                              \
    CASE(sub_row_on_the_left, rg_sub(t, x[0], x[1]), VECTOR(4), MATRIX(3, 4))                      \
    CASE(sub_middle_axis, rg_sub(t, x[0], x[1]), CUBE(2, 3, 4), CUBE(2, 1, 4))                     \
    CASE(mul_same_shape, rg_mul(t, x[0], x[1]), MATRIX(3, 4), MATRIX(3, 4))                        \
    CASE(mul_by_itself, rg_mul(t, x[0], x[0]), MATRIX(3, 4))                                       \
    CASE(mul_row, rg_mul(t, x[0], x[1]), MATRIX(3, 4), VECTOR(4))                                  \
    CASE(mul_column, rg_mul(t, x[0], x[1]), MATRIX(3, 1), MATRIX(3, 4))                            \
    CASE(mul_scalar_tensor, rg_mul(t, x[0], x[1]), MATRIX(3, 4), SCALAR)                           \
    CASE(mul_alternate_axes, rg_mul(t, x[0], x[1]), BLOCK(2, 1, 3, 1), BLOCK(1, 2, 1, 4))          \
    CASE(div_same_shape, rg_div(t, x[0], positive(t, x[1])), MATRIX(3, 4), MATRIX(3, 4))           \
    CASE(div_by_row, rg_div(t, x[0], positive(t, x[1])), MATRIX(3, 4), VECTOR(4))                  \
    CASE(div_of_scalar, rg_div(t, x[0], positive(t, x[1])), SCALAR, MATRIX(3, 4))                  \
    CASE(negate, rg_negate(t, rg_square(t, x[0])), MATRIX(3, 4))                                   \
    CASE(scale, rg_scale(t, rg_square(t, x[0]), (RgReal)-1.5), MATRIX(3, 4))                       \
    CASE(add_scalar, rg_square(t, rg_add_scalar(t, x[0], 2)), MATRIX(3, 4))                        \
    CASE(square, rg_square(t, x[0]), MATRIX(3, 4))                                                 \
    CASE(power_three, rg_power(t, x[0], 3), MATRIX(3, 4))                                          \
    CASE(power_two, rg_power(t, x[0], 2), MATRIX(3, 4))                                            \
    CASE(power_one, rg_power(t, x[0], 1), MATRIX(3, 4))                                            \
    CASE(power_zero, rg_power(t, x[0], 0), MATRIX(3, 4))                                           \
    CASE(power_inverse_root, rg_power(t, positive(t, x[0]), (RgReal)-0.5), MATRIX(3, 4))           \
    CASE(exp, rg_exp(t, x[0]), MATRIX(3, 4))                                                       \
    CASE(log, rg_log(t, positive(t, x[0])), MATRIX(3, 4))                                          \
    CASE(sigmoid, rg_sigmoid(t, x[0]), MATRIX(3, 4))                                               \
    CASE(log_sigmoid, rg_log_sigmoid(t, x[0]), MATRIX(3, 4))                                       \
    CASE(tanh, rg_tanh(t, x[0]), MATRIX(3, 4))                                                     \
    CASE(silu, rg_silu(t, x[0]), MATRIX(3, 4))                                                     \
    CASE(gelu, rg_gelu(t, x[0]), MATRIX(3, 4))                                                     \
    CASE(gelu_exact, rg_gelu_exact(t, x[0]), MATRIX(3, 4))                                         \
    CASE(sum, rg_square(t, rg_sum(t, x[0])), CUBE(2, 3, 4))                                        \
    CASE(mean, rg_square(t, rg_mean(t, x[0])), CUBE(2, 3, 4))                                      \
    CASE(sum_to_row, rg_square(t, rg_sum_to(t, x[0], RG_SHAPE(4))), MATRIX(3, 4))                  \
    CASE(sum_to_column, rg_square(t, rg_sum_to(t, x[0], RG_SHAPE(3, 1))), MATRIX(3, 4))            \
    CASE(sum_to_middle, rg_square(t, rg_sum_to(t, x[0], RG_SHAPE(3, 1))), CUBE(2, 3, 4))           \
    CASE(broadcast_row, rg_exp(t, rg_broadcast_to(t, x[0], RG_SHAPE(3, 4))), VECTOR(4))            \
    CASE(broadcast_column, rg_exp(t, rg_broadcast_to(t, x[0], RG_SHAPE(3, 4))), MATRIX(3, 1))      \
    CASE(broadcast_scalar, rg_exp(t, rg_broadcast_to(t, x[0], RG_SHAPE(2, 3))), SCALAR)            \
    CASE(sum_last, rg_square(t, rg_sum_last(t, x[0])), CUBE(2, 3, 4))                              \
    CASE(mean_last, rg_square(t, rg_mean_last(t, x[0])), CUBE(2, 3, 4))                            \
    CASE(reshape, rg_square(t, rg_reshape(t, x[0], RG_SHAPE(2, 6))), MATRIX(3, 4))                 \
    CASE(transpose, rg_square(t, rg_transpose(t, x[0])), MATRIX(3, 4))                             \
    CASE(transpose_of_many_tiles, rg_square(t, rg_transpose(t, x[0])), MATRIX(17, 3))              \
    CASE(slice_rows, rg_square(t, rg_slice(t, x[0], 0, 1, 2)), MATRIX(4, 3))                       \
    CASE(slice_columns, rg_square(t, rg_slice(t, x[0], 1, 1, 2)), MATRIX(3, 4))                    \
    CASE(slice_middle, rg_square(t, rg_slice(t, x[0], 1, 1, 2)), CUBE(2, 4, 3))                    \
    CASE(slices_that_overlap,                                                                      \
         rg_mul(t, rg_mul(t, rg_slice(t, x[0], 1, 0, 3), rg_slice(t, x[0], 1, 1, 3)),              \
                rg_slice(t, x[0], 1, 1, 3)),                                                       \
         MATRIX(2, 4))                                                                             \
    CASE(concatenate_rows, rg_square(t, join(t, 0, x[0], x[1], x[0])), MATRIX(2, 3), MATRIX(1, 3)) \
    CASE(concatenate_columns, rg_square(t, join(t, 1, x[0], x[1], x[0])), MATRIX(2, 3),            \
         MATRIX(2, 2))                                                                             \
    CASE(matmul, rg_matmul(t, x[0], x[1]), MATRIX(3, 4), MATRIX(4, 2))                             \
    CASE(matmul_left_transposed, rg_matmul_transposed(t, x[0], true, x[1], false), MATRIX(4, 3),   \
         MATRIX(4, 2))                                                                             \
    CASE(matmul_right_transposed, rg_matmul_transposed(t, x[0], false, x[1], true), MATRIX(3, 4),  \
         MATRIX(2, 4))                                                                             \
    CASE(matmul_both_transposed, rg_matmul_transposed(t, x[0], true, x[1], true), MATRIX(4, 3),    \
         MATRIX(2, 4))                                                                             \
    CASE(solve, rg_solve(t, dominant(t, x[0]), x[1], false), MATRIX(4, 4), MATRIX(4, 2))           \
    CASE(solve_transposed, rg_solve(t, dominant(t, x[0]), x[1], true), MATRIX(4, 4), MATRIX(4, 1)) \
    CASE(matmul_gram, rg_matmul_transposed(t, x[0], false, x[0], true), MATRIX(3, 4))              \
    CASE(matmul_cubed, rg_matmul(t, x[0], rg_matmul(t, x[0], x[0])), MATRIX(3, 3))                 \
    CASE(softmax, rg_softmax(t, x[0]), MATRIX(3, 4))                                               \
    CASE(log_softmax, rg_log_softmax(t, x[0]), CUBE(2, 2, 4))                                      \
    CASE(gather, rg_square(t, rg_gather(t, x[0], columns_of_rows)), MATRIX(5, 3))                  \
    CASE(gather_twice,                                                                             \
         rg_mul(t, rg_gather(t, x[0], columns_of_rows), rg_gather(t, x[0], columns_of_rows)),      \
         MATRIX(5, 3))                                                                             \
    CASE(embedding, rg_square(t, rg_embedding(t, x[0], rows_repeated, 5)), MATRIX(4, 3))           \
    CASE(scatter_rows, rg_square(t, rg_scatter_rows(t, x[0], rows_repeated, 4)), MATRIX(5, 3))     \
    CASE(segment_sum, rg_square(t, rg_segment_sum(t, x[0], segments, 3)), VECTOR(5))               \
    CASE(segment_repeat, rg_square(t, rg_segment_repeat(t, x[0], segments, 3)), VECTOR(3))         \
    CASE(gradients_meet, used_often(t, x[0]), MATRIX(3, 4))                                        \
    CASE(small_network, network(t, x), MATRIX(5, 4), MATRIX(4, 6), VECTOR(6), MATRIX(6, 3))

#define CASE_TESTS(id, expression, ...)                                                            \
    static RgTensor *build_##id(RgTape *t, RgTensor *const *x, void *context) {                    \
        (void)context;                                                                             \
        return expression;                                                                         \
    }                                                                                              \
    static const RgShape shapes_##id[] = {__VA_ARGS__};                                            \
    Test(gradient_is_central_difference, id) {                                                     \
        check_gradients(#id, build_##id, shapes_##id, sizeof shapes_##id / sizeof(RgShape), NULL,  \
                        1e-6, false);                                                              \
    }                                                                                              \
    Test(second_order_is_central_difference, id) {                                                 \
        check_gradients(#id, build_##id, shapes_##id, sizeof shapes_##id / sizeof(RgShape), NULL,  \
                        1e-6, true);                                                               \
    }

OPERATOR_CASES(CASE_TESTS)
