/* SPDX-License-Identifier: MIT */
/* A batch of pairs of known numbers, and a method's loss of it with its gradient, for tests. */
#ifndef RG_TESTS_PAIR_NUMBERS_H
#define RG_TESTS_PAIR_NUMBERS_H

#include "algorithms/training/shared_terms.h"
#include "loss_method.h"

/* Log-probabilities that a loss is a function of. */
typedef struct Numbers {
    double chosen[PAIRS], rejected[PAIRS], third[PAIRS];
} Numbers;

static Numbers at;                 /* of the policy */
static double reference[3][PAIRS]; /* the same three */
static double length[2][PAIRS];    /* of chosen and rejected */
static double on_policy[PAIRS], first_chosen[PAIRS], old[2][PAIRS];
static double wins[2][PAIRS]; /* of the chosen and the rejected response against a rival */
static RgStep last_step;      /* of the last loss */
static void *state;           /* the method's own; NULL: none */

static inline RgTensor *constant(RgTape *t, const double *x) {
    return rg_constant(t, RG_SHAPE(PAIRS), x);
}

static inline RgSide side(RgTape *t, RgTensor *logprob, const double *of_reference,
                          const double *tokens) {
    RgSide s = {.logprob = logprob, .reference = constant(t, of_reference)};
    if (recipe.reference_free)
        s.reference = rg_filled(t, RG_SHAPE(PAIRS), 0);
    s.log_ratio = rg_sub(t, logprob, s.reference);
    s.length = constant(t, tokens);
    return s;
}

/* Columns `first` and `second` of pairs, in the order in which they were drawn: [PAIRS, 2]. */
static inline RgTensor *as_drawn(RgTape *t, RgTensor *chosen, RgTensor *rejected) {
    RgTensor *first = constant(t, first_chosen);
    RgTensor *second = rg_add_scalar(t, rg_negate(t, first), 1);
    RgTensor *a = rg_add(t, rg_mul(t, first, chosen), rg_mul(t, second, rejected));
    RgTensor *b = rg_add(t, rg_mul(t, second, chosen), rg_mul(t, first, rejected));
    RgShape column = RG_SHAPE(PAIRS, 1);
    RgTensor *columns[] = {rg_reshape(t, a, column), rg_reshape(t, b, column)};
    return rg_concatenate(t, 1, columns, 2);
}

/* The method's loss where its numbers are, with the terms that losses share; its gradient in them
 * out. */
static inline double loss_of(Numbers *gradient) {
    RgTape *t = rg_tape_create();
    last_step = (RgStep){.tape = t, .share = 1, .state = state};
    RgTensor *x[3] = {rg_variable(t, RG_SHAPE(PAIRS), at.chosen),
                      rg_variable(t, RG_SHAPE(PAIRS), at.rejected),
                      rg_variable(t, RG_SHAPE(PAIRS), at.third)};
    int32_t order[2 * PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        order[2 * i] = first_chosen[i] == 0;
        order[2 * i + 1] = first_chosen[i] != 0;
    }
    RgBatch batch = {.prompts = PAIRS,
                     .k = 2,
                     .order = order,
                     .chosen = side(t, x[0], reference[0], length[0]),
                     .rejected = side(t, x[1], reference[1], length[1]),
                     .third = side(t, x[2], reference[2], length[0]),
                     .on_policy = constant(t, on_policy)};
    batch.logprob = as_drawn(t, batch.chosen.logprob, batch.rejected.logprob);
    batch.log_ratio = as_drawn(t, batch.chosen.log_ratio, batch.rejected.log_ratio);
    batch.length = as_drawn(t, batch.chosen.length, batch.rejected.length);
    batch.old = as_drawn(t, constant(t, old[0]), constant(t, old[1]));
    batch.reference = as_drawn(t, batch.chosen.reference, batch.rejected.reference);
    batch.win_rate = as_drawn(t, constant(t, wins[0]), constant(t, wins[1]));
    if (recipe.third == RG_FROM_OTHERS) {
        batch.third.logprob = rg_stop_gradient(t, x[2]);
        batch.third.log_ratio = rg_stop_gradient(t, batch.third.log_ratio);
    }
    rg_shared_terms_apply(t, &recipe, &batch);
    RgTensor *loss = algorithm->loss(&last_step, options, &batch), *g[3];
    loss = rg_shared_terms_add(&last_step, &recipe, &batch, loss);
    double value = loss->data[0];
    rg_gradients(t, loss, x, 3, g);
    double *out[3] = {gradient->chosen, gradient->rejected, gradient->third};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < PAIRS; i++)
            out[k][i] = g[k] ? g[k]->data[i] : 0;
    rg_tape_destroy(t);
    return value;
}

#endif
