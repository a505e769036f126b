/* SPDX-License-Identifier: MIT */
/* The tape: where gradients go, what is recorded, and what a rewind forgets. The operators
 * themselves are checked in double_operators.c. */
#include "core/tensor/tensor.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <string.h>

static RgTape *t;
static RgParameters *p;

/* matrix [3, 3] and vector [3] */
static void begin(void) {
    t = rg_tape_create();
    p = rg_parameters_create();
    rg_parameters_declare(p, "matrix", 2, (int64_t[]){3, 3}, true);
    rg_parameters_declare(p, "vector", 1, (int64_t[]){3}, false);
    rg_parameters_allocate(p);
    for (int i = 0; i < 12; i++)
        p->value[i] = sin(i + 1);
}

static void end(void) {
    rg_tape_destroy(t);
    rg_parameters_destroy(p);
}

TestSuite(tape, .init = begin, .fini = end);
TestSuite(parameters, .init = begin, .fini = end);

static void assert_near(const RgReal *found, const RgReal *expected, int count) {
    for (int i = 0; i < count; i++)
        cr_assert_float_eq(found[i], expected[i], 1e-13, "at %d: %.15g, expected %.15g", i,
                           found[i], expected[i]);
}

/* Uses the matrix as left and right factor, transposed, as a table, by column and by slice: each
 * of these adds to its gradient in its own way. */
static RgTensor *entangled(RgTensor *matrix, RgTensor *vector) {
    static const int32_t rows[] = {2, 0, 2}, columns[] = {1, 1, 0};
    RgTensor *y = rg_matmul(t, matrix, matrix);
    y = rg_matmul_transposed(t, y, true, matrix, true);
    y = rg_mul(t, y, rg_embedding(t, matrix, rows, 3));
    y = rg_add(t, y, vector);
    RgTensor *z = rg_mul(t, rg_gather(t, matrix, columns), vector);
    z = rg_add(t, z, rg_reshape(t, rg_slice(t, matrix, 1, 2, 1), RG_SHAPE(3)));
    return rg_add(t, rg_sum(t, y), rg_sum(t, rg_square(t, z)));
}

Test(tape, parameters_receive_what_variables_receive) {
    RgTensor *matrix = rg_variable(t, RG_SHAPE(3, 3), p->value);
    RgTensor *vector = rg_variable(t, RG_SHAPE(3), p->value + 9);
    rg_backward(t, entangled(matrix, vector), 1);
    rg_backward(t, entangled(rg_parameter(t, p, 0), rg_parameter(t, p, 1)), 1);
    assert_near(p->gradient, matrix->gradient->data, 9);
    assert_near(p->gradient + 9, vector->gradient->data, 3);
    cr_assert_gt(rg_parameters_gradient_norm(p), 1);
}

/* y = xᵀx with x of the store: gradient 2x. */
static RgTensor *squared_norm(void) {
    return rg_sum(t, rg_square(t, rg_parameter(t, p, 1)));
}

Test(tape, backward_adds_scaled_to_the_store) {
    p->gradient[9] = 5;
    rg_backward(t, squared_norm(), 3);
    rg_backward(t, squared_norm(), -1);
    cr_assert_float_eq(p->gradient[9], 5 + 4 * p->value[9], 1e-14);
    cr_assert_float_eq(p->gradient[10], 4 * p->value[10], 1e-14);
    cr_assert_eq(p->gradient[0], 0);
}

Test(tape, backward_of_one_tensor_twice_gives_twice_the_gradient) {
    RgTensor *y = squared_norm();
    rg_backward(t, y, 1);
    rg_backward(t, y, 1);
    cr_assert_float_eq(p->gradient[9], 4 * p->value[9], 1e-14);
}

Test(tape, backward_from_takes_the_gradient_given) {
    RgTensor *x = rg_variable(t, RG_SHAPE(2, 2), (RgReal[]){1, 2, 3, 4});
    RgTensor *dy = rg_constant(t, RG_SHAPE(2, 2), (RgReal[]){1, 10, 100, 1000});
    rg_backward_from(t, rg_square(t, x), dy);
    assert_near(x->gradient->data, (RgReal[]){2, 40, 600, 8000}, 4);
    assert_near(dy->data, (RgReal[]){1, 10, 100, 1000}, 4);
}

/* add hands the same dy to both inputs; a later gradient of one must not reach the other. */
Test(tape, gradients_that_share_memory_stay_apart) {
    RgTensor *a = rg_variable(t, RG_SHAPE(2), (RgReal[]){1, 2});
    RgTensor *b = rg_variable(t, RG_SHAPE(2), (RgReal[]){3, 4});
    RgTensor *scaled = rg_scale(t, a, 10);
    RgTensor *more = rg_add(t, rg_scale(t, a, 100), scaled);
    rg_backward(t, rg_sum(t, rg_add(t, rg_add(t, a, b), more)), 1);
    assert_near(a->gradient->data, (RgReal[]){111, 111}, 2);
    assert_near(b->gradient->data, (RgReal[]){1, 1}, 2);
}

Test(tape, same_view_is_the_same_leaf) {
    RgTensor *leaf = rg_parameter(t, p, 0);
    cr_assert_eq(rg_parameter(t, p, 0), leaf);
    cr_assert_neq(rg_parameter(t, p, 1), leaf);
    cr_assert_eq(leaf->data, p->value);
    RgParameters *other = rg_parameters_clone(p, false);
    cr_assert_eq(rg_parameter(t, other, 0)->data, other->value);
    rg_tape_reset(t);
    rg_parameters_destroy(other);
}

Test(tape, frozen_store_gives_constants) {
    RgParameters *frozen = rg_parameters_clone(p, true);
    cr_assert_null(frozen->gradient);
    RgTensor *y = rg_sum(t, rg_square(t, rg_parameter(t, frozen, 1)));
    cr_assert_not(y->needs_gradient);
    rg_backward(t, y, 1);
    rg_tape_reset(t);
    rg_parameters_destroy(frozen);
}

Test(tape, nothing_is_recorded_while_off) {
    cr_assert(rg_tape_record(t, false));
    RgTensor *y = squared_norm();
    cr_assert_not(rg_tape_record(t, true));
    cr_assert_not(y->needs_gradient);
    cr_assert_eq(rg_tape_mark(t).nodes, 0);
    rg_backward(t, y, 1);
    cr_assert_eq(rg_parameters_gradient_norm(p), 0);
}

Test(tape, stopped_gradient_is_a_constant) {
    RgTensor *x = rg_variable(t, RG_SHAPE(2), (RgReal[]){3, 4});
    rg_backward(t, rg_sum(t, rg_mul(t, x, rg_stop_gradient(t, x))), 1);
    assert_near(x->gradient->data, (RgReal[]){3, 4}, 2);
}

Test(tape, gradients_are_given_and_nothing_else_is_touched) {
    RgTensor *x = rg_variable(t, RG_SHAPE(3), (RgReal[]){1, 2, 3});
    RgTensor *unrelated = rg_variable(t, RG_SHAPE(2), (RgReal[]){1, 2});
    RgTensor *inner = rg_square(t, x);
    RgTensor *y = rg_sum(t, rg_mul(t, inner, rg_parameter(t, p, 1)));
    rg_backward(t, rg_sum(t, x), 7);
    RgTensor *wanted[] = {x, inner, unrelated, rg_parameter(t, p, 1), y}, *found[5];
    rg_gradients(t, y, wanted, 5, found);
    const RgReal *w = p->value + 9;
    assert_near(found[0]->data, (RgReal[]){2 * w[0], 4 * w[1], 6 * w[2]}, 3);
    assert_near(found[1]->data, w, 3);
    assert_near(found[2]->data, (RgReal[]){0, 0}, 2);
    assert_near(found[3]->data, (RgReal[]){1, 4, 9}, 3);
    assert_near(found[4]->data, (RgReal[]){1}, 1);
    assert_near(x->gradient->data, (RgReal[]){7, 7, 7}, 3);
    cr_assert_null(inner->gradient);
    cr_assert_null(unrelated->gradient);
    cr_assert_eq(rg_parameters_gradient_norm(p), 0);
}

Test(tape, rewind_forgets_what_came_after) {
    RgTensor *x = rg_variable(t, RG_SHAPE(2), (RgReal[]){3, 4});
    RgTensor *before = rg_square(t, x);
    RgTapeMark mark = rg_tape_mark(t);
    size_t used = rg_arena_used(rg_tape_arena(t));
    for (int i = 0; i < 3; i++) {
        RgTensor *leaf = rg_parameter(t, p, 1);
        rg_backward(t, rg_mul(t, rg_sum(t, before), rg_sum(t, leaf)), 1);
        cr_assert_not_null(x->gradient);
        rg_tape_rewind(t, mark);
        cr_assert_null(x->gradient);
        cr_assert_eq(rg_arena_used(rg_tape_arena(t)), used);
        cr_assert_eq(rg_tape_mark(t).nodes, mark.nodes);
    }
    assert_near(p->gradient + 9, (RgReal[]){75, 75, 75}, 3);
    rg_backward(t, rg_sum(t, before), 1);
    assert_near(x->gradient->data, (RgReal[]){6, 8}, 2);
}

Test(tape, leaf_made_before_a_mark_survives_the_rewind) {
    RgTensor *leaf = rg_parameter(t, p, 0);
    RgTapeMark mark = rg_tape_mark(t);
    rg_parameter(t, p, 1);
    rg_tape_rewind(t, mark);
    cr_assert_eq(rg_parameter(t, p, 0), leaf);
    cr_assert_eq(rg_parameter(t, p, 1)->data, p->value + 9);
}

Test(tape, backward_counts_its_work) {
    RgTensor *y = rg_matmul(t, rg_parameter(t, p, 0), rg_parameter(t, p, 0));
    double forward = rg_tape_flops(t);
    cr_assert_eq(forward, 2 * 27);
    rg_backward_from(t, y, rg_filled(t, y->shape, 1));
    cr_assert_eq(rg_tape_flops(t), 3 * forward);
}

/* ---- parameter stores ---- */

Test(parameters, views_lie_one_after_another) {
    cr_assert_eq(p->count, 12);
    cr_assert_eq(p->view_count, 2);
    cr_assert_eq(p->views[1].offset, 9);
    cr_assert_eq(p->views[0].size[1], 3);
    cr_assert_eq(rg_parameters_find(p, "vector"), 1);
    cr_assert_eq(rg_parameters_find(p, "absent"), -1);
    cr_assert_eq((uintptr_t)p->value % 64, 0);
    cr_assert(p->views[0].decays && !p->views[1].decays);
}

Test(parameters, same_name_twice_is_a_bug, .signal = SIGABRT) {
    RgParameters *twice = rg_parameters_create();
    rg_parameters_declare(twice, "a", 0, NULL, false);
    rg_parameters_declare(twice, "a", 0, NULL, false);
}

Test(parameters, clone_has_the_same_values_and_its_own_memory) {
    RgParameters *clone = rg_parameters_clone(p, false);
    cr_assert_eq(rg_parameters_hash(clone), rg_parameters_hash(p));
    clone->value[0] += 1;
    cr_assert_neq(rg_parameters_hash(clone), rg_parameters_hash(p));
    cr_assert_not_null(clone->gradient);
    rg_parameters_destroy(clone);
    rg_parameters_destroy(NULL);
}

Test(parameters, fill_is_a_function_of_seed_and_name) {
    RgParameters *other = rg_parameters_create();
    rg_parameters_declare(other, "first", 1, (int64_t[]){7}, true);
    rg_parameters_declare(other, "matrix", 2, (int64_t[]){3, 3}, true);
    rg_parameters_allocate(other);
    rg_parameters_fill_normal(p, 0, 0.02, rg_random_root(3));
    rg_parameters_fill_normal(other, 1, 0.02, rg_random_root(3));
    cr_assert_arr_eq(p->value, other->value + 7, sizeof(RgReal) * 9);
    rg_parameters_fill(other, 0, 1.5);
    cr_assert_eq(other->value[6], 1.5);
    cr_assert_neq(other->value[7], 1.5);
    rg_parameters_destroy(other);
}

Test(parameters, gradient_norm_is_the_2_norm) {
    p->gradient[2] = 3;
    p->gradient[11] = -4;
    cr_assert_float_eq(rg_parameters_gradient_norm(p), 5, 1e-15);
    rg_parameters_zero_gradient(p);
    cr_assert_eq(rg_parameters_gradient_norm(p), 0);
}
