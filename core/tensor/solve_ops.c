/* SPDX-License-Identifier: MIT */
/* The solution of a linear system as an operator, differentiable to any order. */
#include "core/tensor/lapack.h"
#include "core/tensor/tensor.h"

#include <stdlib.h>

/* x = a⁻¹ b: db = a⁻ᵀ dx and da = −db·xᵀ; with aᵀ in place of a, da is the transpose of that. */
static void solve_backward(RgTape *t, RgTensor *x, RgTensor *dx) {
    bool transposed = *(const bool *)x->attributes;
    RgTensor *a = x->inputs[0], *b = x->inputs[1];
    RgTensor *db = rg_solve(t, a, dx, !transposed);
    if (b->needs_gradient)
        rg_add_gradient(t, b, db);
    if (a->needs_gradient)
        rg_add_gradient(t, a,
                        rg_negate(t, transposed ? rg_matmul_transposed(t, x, false, db, true)
                                                : rg_matmul_transposed(t, db, false, x, true)));
}

static const RgOperator solve_operator = {.name = "solve", .backward = solve_backward};

static double *as_double(const RgTensor *x) {
    double *out = rg_allocate(x->count, sizeof *out);
    for (int64_t i = 0; i < x->count; i++)
        out[i] = (double)x->data[i];
    return out;
}

RgTensor *rg_solve(RgTape *t, RgTensor *a, RgTensor *b, bool transposed) {
    RG_ASSERT(a->shape.rank == 2 && b->shape.rank == 2);
    int64_t n = a->shape.size[0], m = b->shape.size[1];
    RG_ASSERT(a->shape.size[1] == n && b->shape.size[0] == n);
    RgTensor *x = rg_tensor_new(t, b->shape);
    double *system = as_double(a), *right = as_double(b), size = (double)n;
    rg_solve_general(n, m, transposed, system, right, right);
    for (int64_t i = 0; i < x->count; i++)
        x->data[i] = (RgReal)right[i];
    free(system);
    free(right);
    rg_tape_count_flops(t, 2 * size * size * (size / 3 + (double)m));
    bool *kept = rg_arena_allocate(rg_tape_arena(t), sizeof *kept);
    *kept = transposed;
    return rg_record(t, &solve_operator, x, (RgTensor *[]){a, b}, 2, kept);
}
