/* SPDX-License-Identifier: MIT */
/* Vector operations. */
#ifndef RG_CORE_TENSOR_VECTOR_OPS_H
#define RG_CORE_TENSOR_VECTOR_OPS_H

#include "core/base.h"

double rg_dot(int64_t n, const RgReal *a, const RgReal *b); /* summed in double, fixed order */
void rg_axpy(int64_t n, RgReal alpha, const RgReal *x, RgReal *y); /* y += alpha·x */

/* Σ_i weight[i] · log(offset + x[i]), in double and in a fixed order, by the calling thread alone.
 * Every offset + x[i] is a normal positive number. Relative error of a logarithm: 4e-16. */
double rg_sum_logs(int64_t n, double offset, const double *x, const double *weight);

#endif
