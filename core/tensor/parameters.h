/* SPDX-License-Identifier: MIT */
/* Parameters: one flat buffer with named views, and a gradient buffer of the same layout.
 *
 * Because everything lies in one piece, an optimiser, clipping, a checkpoint, a reduction over
 * shards and finite differences are one loop each. */
#ifndef RG_CORE_TENSOR_PARAMETERS_H
#define RG_CORE_TENSOR_PARAMETERS_H

#include "core/tensor/precision.h"
#include "core/tensor/random.h"

typedef struct RgParameterView {
    char name[96];
    int rank;
    int64_t size[4];
    int64_t offset; /* of the first element in the flat buffer, or in that of rounded numbers */
    int64_t count;
    bool decays;  /* weight decay applies (matrices: yes; norms and biases: no) */
    bool rounded; /* its numbers are stored in bf16 */
} RgParameterView;

typedef struct RgParameters {
    RgReal *value;    /* [count], 64-byte aligned; without the views that are rounded */
    RgReal *gradient; /* [count]; NULL while frozen. Takes memory when it is first written */
    RgBf16 *rounded;  /* the views that are; else NULL */
    int64_t count;    /* of all views */
    RgParameterView *views;
    int view_count;
    bool frozen;
} RgParameters;

/* Declare views, then allocate. */
RgParameters *rg_parameters_create(void);
void rg_parameters_destroy(RgParameters *parameters);
/* Append a view; `sizes` [rank]. Returns its index. */
int rg_parameters_declare(RgParameters *parameters, const char *name, int rank,
                          const int64_t *sizes, bool decays);
void rg_parameters_allocate(RgParameters *parameters); /* values and gradients zero */

/* Same layout, same values, none of them stored in bf16; frozen parameters have no gradient buffer.
 */
RgParameters *rg_parameters_clone(const RgParameters *parameters, bool frozen);

/* No gradient from now on, and no memory for it. */
void rg_parameters_freeze(RgParameters *parameters);

/* Store the matrices of frozen parameters in bf16, each number rounded to the nearest: half the
 * memory. Norms and biases stay as they are. What reads weights takes such matrices by
 * rg_parameter, or by the two functions below. */
void rg_parameters_round(RgParameters *parameters);

/* All numbers of a view: out [count]. */
void rg_parameters_read(const RgParameters *parameters, int view, RgReal *out);
/* Rows [first, first + count) of a matrix: where they lie, or widened into memory of the calling
 * thread's own, which stands until its next call. */
const RgReal *rg_parameters_rows(const RgParameters *parameters, int view, int64_t first,
                                 int64_t count);

/* Fill a view with normal numbers of the given deviation, from stream `random` named by the view.
 */
void rg_parameters_fill_normal(RgParameters *parameters, int view, double deviation,
                               RgRandom random);
/* The same with numbers uniform in ±bound. */
void rg_parameters_fill_uniform(RgParameters *parameters, int view, double bound, RgRandom random);
void rg_parameters_fill(RgParameters *parameters, int view, RgReal value);

int rg_parameters_find(const RgParameters *parameters, const char *name); /* −1 if absent */
void rg_parameters_zero_gradient(RgParameters *parameters);
double rg_parameters_gradient_norm(const RgParameters *parameters); /* 2-norm, in double */
uint64_t rg_parameters_hash(const RgParameters *parameters);        /* of the values' bits */

#endif
