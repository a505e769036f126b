/* SPDX-License-Identifier: MIT */
/* Parameters: one flat buffer with named views, and a gradient buffer of the same layout.
 *
 * Because everything is in one buffer, an optimiser, clipping, a checkpoint, a reduction over
 * slices and finite differences are one loop each.
 *
 * Threads: any number may read; writing needs exclusive access. The functions below use all threads
 * themselves for large arrays. */
#ifndef RG_CORE_TENSOR_PARAMETERS_H
#define RG_CORE_TENSOR_PARAMETERS_H

#include "core/tensor/precision.h"
#include "core/tensor/random.h"

typedef struct RgParameterView {
    char name[96];
    int rank;
    int64_t size[4];
    int64_t offset; /* of the first element in `value`, or in `rounded` for a rounded view */
    int64_t count;
    bool decays;  /* weight decay applies (to matrices, not to norms and biases) */
    bool rounded; /* stored in bf16 */
} RgParameterView;

typedef struct RgParameters {
    RgReal *value;    /* [count], 64-byte aligned; without the rounded views */
    RgReal *gradient; /* [count]; NULL while frozen. Takes memory on the first write */
    RgBf16 *rounded;  /* the rounded views; else NULL */
    int64_t count;    /* of all views */
    RgParameterView *views;
    int view_count;
    bool frozen;
} RgParameters;

/* First declare views, then allocate. */
RgParameters *rg_parameters_create(void);
void rg_parameters_destroy(RgParameters *parameters);
/* Appends a view; `sizes` [rank]. Returns its index. */
int rg_parameters_declare(RgParameters *parameters, const char *name, int rank,
                          const int64_t *sizes, bool decays);
void rg_parameters_allocate(RgParameters *parameters); /* values and gradients zero */

/* Same layout and values, with nothing stored in bf16. Frozen parameters have no gradient
 * buffer. */
RgParameters *rg_parameters_clone(const RgParameters *parameters, bool frozen);

/* Copies the values to parameters of the same layout; neither is stored in bf16. */
void rg_parameters_copy(const RgParameters *from, RgParameters *to);
/* to = share·from + (1 − share)·to, under the same conditions. */
void rg_parameters_mix(const RgParameters *from, RgReal share, RgParameters *to);

/* Removes the gradient and its memory. */
void rg_parameters_freeze(RgParameters *parameters);

/* Stores the matrices of frozen parameters in bf16, rounding each number to the nearest, which
 * halves the memory. Norms and biases do not change. Readers of weights access such matrices by
 * rg_parameter or by the two functions below. */
void rg_parameters_round(RgParameters *parameters);

/* All numbers of a view: out [count]. */
void rg_parameters_read(const RgParameters *parameters, int view, RgReal *out);
/* Rows [first, first + count) of a matrix: in place, or converted into memory of the calling
 * thread, which is valid until its next call. */
const RgReal *rg_parameters_rows(const RgParameters *parameters, int view, int64_t first,
                                 int64_t count);

/* Fills a view with normal numbers of the given standard deviation, from the stream of `random`
 * named after the view. */
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
