/* SPDX-License-Identifier: MIT */
/* Gradients against central differences, for the double build.
 *
 * A case is a function that builds one scalar from a few variables on a tape. The check runs it on
 * a tape of first order and on one of second order, and compares
 *   - every coordinate of the gradient with a central difference of the value,
 *   - the gradient of <gradient, v>, v random, with a central difference of the gradient along v.
 * Which functions are differentiated, and at which points, is the business of the cases. */
#ifndef RG_TESTS_GRADIENT_CHECK_H
#define RG_TESTS_GRADIENT_CHECK_H

#include "core/tensor/tensor.h"

/* Shapes of tables of cases. */
#define SCALAR                                                                                     \
    {                                                                                              \
        0, {                                                                                       \
            1, 1, 1, 1                                                                             \
        }                                                                                          \
    }
#define VECTOR(n)                                                                                  \
    {                                                                                              \
        1, {                                                                                       \
            n, 1, 1, 1                                                                             \
        }                                                                                          \
    }
#define MATRIX(r, c)                                                                               \
    {                                                                                              \
        2, {                                                                                       \
            r, c, 1, 1                                                                             \
        }                                                                                          \
    }
#define CUBE(a, b, c)                                                                              \
    {                                                                                              \
        3, {                                                                                       \
            a, b, c, 1                                                                             \
        }                                                                                          \
    }
#define BLOCK(a, b, c, d)                                                                          \
    {                                                                                              \
        4, {                                                                                       \
            a, b, c, d                                                                             \
        }                                                                                          \
    }

typedef RgTensor *(*GradientCase)(RgTape *tape, RgTensor *const *inputs, void *context);

/* Fails the running Criterion test when a difference exceeds `tolerance`, relative to the largest
 * entry (at least 1). Inputs are normal numbers, a function of `name` and their place. The built
 * tensor may have any shape: the scalar checked is its sum with random weights. */
void check_gradients(const char *name, GradientCase build, const RgShape *shapes, int input_count,
                     void *context, double tolerance, bool second_order);

/* The same at given points: inputs[i] holds the numbers of shapes[i]. */
void check_gradients_at(const char *name, GradientCase build, const RgShape *shapes,
                        const RgReal *const *inputs, int input_count, void *context,
                        double tolerance, bool second_order);

#endif
