/* SPDX-License-Identifier: MIT */
/* Gradients against central differences: see the header. */
#include "tests/gradient_check.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

enum { MOST_INPUTS = 8 };

/* A function of one flat point [count], and what its evaluations need. */
typedef struct Checked {
    const char *name;
    GradientCase build;
    void *context;
    const RgShape *shapes;
    int input_count;
    int64_t count;
    RgTape *tape;
    RgRandom random;
} Checked;

static int64_t flat_count(const RgShape *shapes, int input_count) {
    int64_t count = 0;
    for (int i = 0; i < input_count; i++)
        count += rg_shape_count(shapes[i]);
    return count;
}

static double *numbers(const Checked *c) {
    return rg_allocate(c->count, sizeof(double));
}

/* The scalar Σ weight·build(x) on an empty tape; its inputs are left in `inputs`. */
static RgTensor *scalar_at(const Checked *c, const double *x, bool second_order,
                           RgTensor **inputs) {
    rg_tape_reset(c->tape);
    rg_tape_second_order(c->tape, second_order);
    int64_t at = 0;
    for (int i = 0; i < c->input_count; i++) {
        RgTensor *point = rg_constant_from_double(c->tape, c->shapes[i], x + at);
        inputs[i] = rg_variable(c->tape, c->shapes[i], point->data);
        at += inputs[i]->count;
    }
    RgTensor *y = c->build(c->tape, inputs, c->context);
    RgTensor *weight = rg_tensor_new(c->tape, y->shape);
    for (int64_t i = 0; i < y->count; i++)
        weight->data[i] = (RgReal)rg_random_normal(rg_random_named(c->random, "weight"), i);
    return rg_sum(c->tape, rg_mul(c->tape, y, weight));
}

static double value_at(const Checked *c, const double *x) {
    RgTensor *inputs[MOST_INPUTS];
    bool recording = rg_tape_record(c->tape, false);
    double value = (double)scalar_at(c, x, false, inputs)->data[0];
    rg_tape_record(c->tape, recording);
    return value;
}

static void flatten(RgTensor *const *tensors, int count, double *out) {
    for (int i = 0; i < count; i++)
        for (int64_t j = 0; j < tensors[i]->count; j++)
            *out++ = (double)tensors[i]->data[j];
}

static void gradient_at(const Checked *c, const double *x, double *gradient) {
    RgTensor *inputs[MOST_INPUTS];
    RgTensor *y = scalar_at(c, x, false, inputs);
    rg_backward(c->tape, y, 1);
    for (int i = 0; i < c->input_count; i++)
        inputs[i] =
            inputs[i]->gradient ? inputs[i]->gradient : rg_filled(c->tape, inputs[i]->shape, 0);
    flatten(inputs, c->input_count, gradient);
}

/* The gradient on a tape of second order, and of <gradient, v>. */
static void second_order_at(const Checked *c, const double *x, const double *v, double *gradient,
                            double *product) {
    RgTensor *inputs[MOST_INPUTS], *first[MOST_INPUTS], *second[MOST_INPUTS];
    RgTape *t = c->tape;
    RgTensor *y = scalar_at(c, x, true, inputs);
    rg_gradients(t, y, inputs, c->input_count, first);
    flatten(first, c->input_count, gradient);

    RgTensor *along = rg_scalar(t, 0);
    for (int i = 0; i < c->input_count; i++) {
        RgTensor *direction = rg_constant_from_double(t, c->shapes[i], v);
        along = rg_add(t, along, rg_sum(t, rg_mul(t, first[i], direction)));
        v += direction->count;
    }
    rg_gradients(t, along, inputs, c->input_count, second);
    flatten(second, c->input_count, product);
}

static void expect_near(const Checked *c, const char *what, const double *found,
                        const double *expected, double tolerance) {
    double scale = 1;
    for (int64_t i = 0; i < c->count; i++)
        scale = fmax(scale, fabs(expected[i]));
    for (int64_t i = 0; i < c->count; i++)
        cr_assert(fabs(found[i] - expected[i]) <= tolerance * scale,
                  "%s: %s at %lld: %.12g, expected %.12g", c->name, what, (long long)i, found[i],
                  expected[i]);
}

static void check_first_order(const Checked *c, double *x, double tolerance) {
    const double step = 1e-5;
    double *gradient = numbers(c), *difference = numbers(c);
    gradient_at(c, x, gradient);
    for (int64_t i = 0; i < c->count; i++) {
        double middle = x[i];
        x[i] = middle + step;
        double above = value_at(c, x);
        x[i] = middle - step;
        difference[i] = (above - value_at(c, x)) / (2 * step);
        x[i] = middle;
    }
    expect_near(c, "gradient", gradient, difference, tolerance);
    free(gradient);
    free(difference);
}

static void check_second_order(const Checked *c, const double *x, double tolerance) {
    const double step = 1e-5;
    double *v = numbers(c), *moved = numbers(c);
    double *first = numbers(c), *gradient = numbers(c), *product = numbers(c);
    double *above = numbers(c), *below = numbers(c);
    for (int64_t i = 0; i < c->count; i++)
        v[i] = rg_random_normal(rg_random_named(c->random, "direction"), (uint64_t)i);

    gradient_at(c, x, first);
    second_order_at(c, x, v, gradient, product);
    expect_near(c, "gradient on a second-order tape", gradient, first, 1e-10);

    for (int64_t i = 0; i < c->count; i++)
        moved[i] = x[i] + step * v[i];
    gradient_at(c, moved, above);
    for (int64_t i = 0; i < c->count; i++)
        moved[i] = x[i] - step * v[i];
    gradient_at(c, moved, below);
    for (int64_t i = 0; i < c->count; i++)
        above[i] = (above[i] - below[i]) / (2 * step);
    expect_near(c, "Hessian-vector product", product, above, tolerance);

    double *all[] = {v, moved, first, gradient, product, above, below};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void check_at(Checked *c, double *x, double tolerance, bool second_order) {
    c->tape = rg_tape_create();
    check_first_order(c, x, tolerance);
    if (second_order)
        check_second_order(c, x, tolerance);
    rg_tape_destroy(c->tape);
    free(x);
}

static Checked checked_of(const char *name, GradientCase build, const RgShape *shapes,
                          int input_count, void *context) {
    RG_ASSERT(input_count >= 1 && input_count <= MOST_INPUTS);
    return (Checked){.name = name,
                     .build = build,
                     .context = context,
                     .shapes = shapes,
                     .input_count = input_count,
                     .count = flat_count(shapes, input_count),
                     .random = rg_random_named(rg_random_root(1), name)};
}

void check_gradients(const char *name, GradientCase build, const RgShape *shapes, int input_count,
                     void *context, double tolerance, bool second_order) {
    Checked c = checked_of(name, build, shapes, input_count, context);
    double *x = numbers(&c);
    for (int64_t i = 0; i < c.count; i++)
        x[i] = rg_random_normal(rg_random_named(c.random, "point"), (uint64_t)i);
    check_at(&c, x, tolerance, second_order);
}

void check_gradients_at(const char *name, GradientCase build, const RgShape *shapes,
                        const RgReal *const *inputs, int input_count, void *context,
                        double tolerance, bool second_order) {
    Checked c = checked_of(name, build, shapes, input_count, context);
    double *x = numbers(&c), *to = x;
    for (int i = 0; i < input_count; i++)
        for (int64_t j = 0; j < rg_shape_count(shapes[i]); j++)
            *to++ = (double)inputs[i][j];
    check_at(&c, x, tolerance, second_order);
}
