/* SPDX-License-Identifier: MIT */
/* Hessian-vector products and derivatives of higher order, against closed forms and differences. */
#include "core/tensor/tensor.h"
#include "core/tensor/vector_ops.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

typedef RgTensor *Objective(RgTape *t, RgParameters *p);

static RgParameters *vector_store(int64_t n) {
    RgParameters *p = rg_parameters_create();
    rg_parameters_declare(p, "x", 1, (int64_t[]){n}, false);
    rg_parameters_allocate(p);
    return p;
}

static const double quadratic_matrix[3][3] = {{2, -1, 0.5}, {-1, 3, 0.25}, {0.5, 0.25, 1}};

/* xᵀA x / 2 */
static RgTensor *quadratic(RgTape *t, RgParameters *p) {
    RgTensor *x = rg_reshape(t, rg_parameter(t, p, 0), RG_SHAPE(3, 1));
    RgTensor *a = rg_constant(t, RG_SHAPE(3, 3), quadratic_matrix[0]);
    return rg_scale(t, rg_sum(t, rg_mul(t, x, rg_matmul(t, a, x))), 0.5);
}

Test(hessian, of_a_quadratic_is_its_matrix) {
    RgParameters *p = vector_store(3);
    for (int i = 0; i < 3; i++)
        p->value[i] = i - 0.7;
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgHessian *h = rg_hessian_create(t, quadratic(t, p), p);
    for (int column = 0; column < 3; column++) {
        double v[3] = {0}, hv[3];
        v[column] = 1;
        rg_hessian_product(h, v, hv);
        for (int i = 0; i < 3; i++)
            cr_assert_float_eq(hv[i], quadratic_matrix[i][column], 1e-15);
    }
    double g[3];
    rg_hessian_gradient(h, g);
    for (int i = 0; i < 3; i++)
        cr_assert_float_eq(g[i], rg_dot(3, quadratic_matrix[i], p->value), 1e-15);
    rg_tape_destroy(t);
    rg_parameters_destroy(p);
}

/* (1 − x)² + 100(y − x²)² */
static RgTensor *rosenbrock(RgTape *t, RgParameters *p) {
    RgTensor *x = rg_slice(t, rg_parameter(t, p, 0), 0, 0, 1);
    RgTensor *y = rg_slice(t, rg_parameter(t, p, 0), 0, 1, 1);
    RgTensor *valley = rg_square(t, rg_sub(t, y, rg_square(t, x)));
    RgTensor *slope = rg_square(t, rg_add_scalar(t, rg_negate(t, x), 1));
    return rg_sum(t, rg_add(t, slope, rg_scale(t, valley, 100)));
}

Test(hessian, of_rosenbrock_is_its_closed_form) {
    RgParameters *p = vector_store(2);
    double x = p->value[0] = -1.2, y = p->value[1] = 1;
    const double expected[2][2] = {{1200 * x * x - 400 * y + 2, -400 * x}, {-400 * x, 200}};
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgHessian *h = rg_hessian_create(t, rosenbrock(t, p), p);
    for (int column = 0; column < 2; column++) {
        double v[2] = {column == 0, column == 1}, hv[2];
        rg_hessian_product(h, v, hv);
        cr_assert_float_eq(hv[0], expected[0][column], 1e-10);
        cr_assert_float_eq(hv[1], expected[1][column], 1e-10);
    }
    rg_tape_destroy(t);
    rg_parameters_destroy(p);
}

/* A network with an embedding, two layers and a loss; the view "idle" is not used. */
enum { VOCABULARY = 5, WIDTH = 4, TOKENS = 6 };

static RgParameters *network_store(void) {
    RgParameters *p = rg_parameters_create();
    rg_parameters_declare(p, "table", 2, (int64_t[]){VOCABULARY, WIDTH}, true);
    rg_parameters_declare(p, "idle", 1, (int64_t[]){3}, true);
    rg_parameters_declare(p, "weight", 2, (int64_t[]){WIDTH, WIDTH}, true);
    rg_parameters_declare(p, "bias", 1, (int64_t[]){WIDTH}, false);
    rg_parameters_allocate(p);
    for (int i = 0; i < p->view_count; i++)
        rg_parameters_fill_normal(p, i, 0.8, rg_random_root(11));
    return p;
}

/* The table is embedding and head at once, so that its gradients meet. */
static RgTensor *network_loss(RgTape *t, RgParameters *p) {
    static const int32_t tokens[TOKENS] = {0, 3, 1, 3, 2, 4}, targets[TOKENS] = {3, 1, 3, 2, 4, 0};
    RgTensor *table = rg_parameter(t, p, 0);
    RgTensor *hidden = rg_embedding(t, table, tokens, TOKENS);
    hidden = rg_matmul(t, hidden, rg_parameter(t, p, 2));
    hidden = rg_gelu(t, rg_add(t, hidden, rg_parameter(t, p, 3)));
    RgTensor *score = rg_matmul_transposed(t, hidden, false, table, true);
    RgTensor *logprob = rg_gather(t, rg_log_softmax(t, score), targets);
    return rg_negate(t, rg_mean(t, rg_log_sigmoid(t, logprob)));
}

static void gradient_at(Objective *objective, RgParameters *p, double *gradient) {
    RgTape *t = rg_tape_create();
    rg_parameters_zero_gradient(p);
    rg_backward(t, objective(t, p), 1);
    memcpy(gradient, p->gradient, sizeof *gradient * (size_t)p->count);
    rg_tape_destroy(t);
}

enum { NETWORK_COUNT = VOCABULARY * WIDTH + 3 + WIDTH * WIDTH + WIDTH };

static void draw(const char *name, double *v) {
    for (int i = 0; i < NETWORK_COUNT; i++)
        v[i] = rg_random_normal(rg_random_named(rg_random_root(12), name), (uint64_t)i);
}

Test(hessian, product_is_the_difference_of_gradients) {
    RgParameters *p = network_store();
    cr_assert_eq(p->count, NETWORK_COUNT);
    double v[NETWORK_COUNT], hv[NETWORK_COUNT], g[NETWORK_COUNT];
    double middle[NETWORK_COUNT], at_middle[NETWORK_COUNT];
    double above[NETWORK_COUNT], below[NETWORK_COUNT];
    draw("v", v);
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgHessian *h = rg_hessian_create(t, network_loss(t, p), p);
    rg_hessian_product(h, v, hv);
    rg_hessian_gradient(h, g);

    const double step = 1e-5;
    gradient_at(network_loss, p, at_middle);
    memcpy(middle, p->value, sizeof middle);
    for (int i = 0; i < NETWORK_COUNT; i++)
        p->value[i] = middle[i] + step * v[i];
    gradient_at(network_loss, p, above);
    for (int i = 0; i < NETWORK_COUNT; i++)
        p->value[i] = middle[i] - step * v[i];
    gradient_at(network_loss, p, below);
    double largest = 0;
    for (int i = 0; i < NETWORK_COUNT; i++)
        largest = fmax(largest, fabs(hv[i]));
    cr_assert_gt(largest, 0.01);
    for (int i = 0; i < NETWORK_COUNT; i++) {
        cr_assert_float_eq(g[i], at_middle[i], 1e-14);
        cr_assert_float_eq(hv[i], (above[i] - below[i]) / (2 * step), 1e-6 * largest);
    }
    for (int i = 0; i < 3; i++)
        cr_assert_eq(hv[VOCABULARY * WIDTH + i], 0, "what is not used has no curvature");
    rg_tape_destroy(t);
    rg_parameters_destroy(p);
}

Test(hessian, is_symmetric) {
    RgParameters *p = network_store();
    double u[NETWORK_COUNT], v[NETWORK_COUNT], hu[NETWORK_COUNT], hv[NETWORK_COUNT];
    draw("u", u);
    draw("v", v);
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgHessian *h = rg_hessian_create(t, network_loss(t, p), p);
    rg_hessian_product(h, u, hu);
    rg_hessian_product(h, v, hv);
    double uhv = rg_dot(NETWORK_COUNT, u, hv), vhu = rg_dot(NETWORK_COUNT, v, hu);
    cr_assert_gt(fabs(uhv), 1e-3);
    cr_assert_float_eq(uhv, vhu, 1e-12 * fabs(uhv));
    rg_tape_destroy(t);
    rg_parameters_destroy(p);
}

Test(hessian, products_repeat_and_leave_no_trace) {
    RgParameters *p = network_store();
    for (int64_t i = 0; i < p->count; i++)
        p->gradient[i] = 42;
    double v[NETWORK_COUNT], first[NETWORK_COUNT], again[NETWORK_COUNT], other[NETWORK_COUNT];
    draw("v", v);
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgHessian *h = rg_hessian_create(t, network_loss(t, p), p);
    rg_hessian_product(h, v, first);
    size_t used = rg_arena_used(rg_tape_arena(t)), peak = rg_arena_peak(rg_tape_arena(t));
    for (int i = 0; i < 20; i++) {
        rg_hessian_product(h, first, other);
        rg_hessian_product(h, v, again);
        cr_assert_arr_eq(first, again, sizeof first);
    }
    cr_assert_eq(rg_arena_used(rg_tape_arena(t)), used);
    cr_assert_eq(rg_arena_peak(rg_tape_arena(t)), peak);
    for (int64_t i = 0; i < p->count; i++)
        cr_assert_eq(p->gradient[i], 42);
    rg_tape_destroy(t);
    rg_parameters_destroy(p);
}

/* After products, the same tape still gives first-order gradients of the same objective. */
Test(hessian, backward_follows_on_the_same_tape) {
    RgParameters *p = network_store();
    double v[NETWORK_COUNT], hv[NETWORK_COUNT], g[NETWORK_COUNT];
    draw("v", v);
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgTensor *loss = network_loss(t, p);
    RgHessian *h = rg_hessian_create(t, loss, p);
    rg_hessian_product(h, v, hv);
    rg_hessian_gradient(h, g);
    rg_backward(t, loss, 2);
    for (int64_t i = 0; i < p->count; i++)
        cr_assert_float_eq(p->gradient[i], 2 * g[i], 1e-14);
    rg_tape_destroy(t);
    rg_parameters_destroy(p);
}

static double derivative(RgTensor *(*f)(RgTape *, RgTensor *), double at, int order) {
    RgTape *t = rg_tape_create();
    rg_tape_second_order(t, true);
    RgTensor *x = rg_variable(t, RG_SCALAR, (RgReal[]){at});
    RgTensor *y = f(t, x);
    for (int i = 0; i < order; i++)
        rg_gradients(t, y, &x, 1, &y);
    double value = y->data[0];
    rg_tape_destroy(t);
    return value;
}

/* tanh⁗ = 8·h·(1−h²)·(2 − 3h²), h = tanh x; exp is its own; log gives −6/x⁴. */
Test(higher_order, fourth_derivatives_are_their_closed_forms) {
    double h = tanh(0.4);
    cr_assert_float_eq(derivative(rg_tanh, 0.4, 4), 8 * h * (1 - h * h) * (2 - 3 * h * h), 1e-13);
    cr_assert_float_eq(derivative(rg_exp, 0.4, 4), exp(0.4), 1e-14);
    cr_assert_float_eq(derivative(rg_log, 0.4, 4), -6 / pow(0.4, 4), 1e-11);
}

/* Each function's n-th derivative is the difference of its (n−1)-th. */
Test(higher_order, activations_to_order_four) {
    RgTensor *(*const functions[])(RgTape *, RgTensor *) = {rg_sigmoid, rg_log_sigmoid, rg_tanh,
                                                            rg_silu, rg_gelu};
    const double step = 1e-4;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        for (int order = 1; order <= 4; order++)
            for (double x = -2; x <= 2; x += 0.8) {
                double above = derivative(functions[i], x + step, order - 1);
                double below = derivative(functions[i], x - step, order - 1);
                cr_assert_float_eq(derivative(functions[i], x, order), (above - below) / (2 * step),
                                   1e-6, "function %zu, order %d, at %g", i, order, x);
            }
}
