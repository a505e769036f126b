/* SPDX-License-Identifier: MIT */
/* Vector operations. */
#ifndef RG_CORE_TENSOR_VECTOR_OPS_H
#define RG_CORE_TENSOR_VECTOR_OPS_H

#include "core/base.h"

double rg_dot(int64_t n, const RgReal *a, const RgReal *b); /* summed in double, fixed order */
void rg_axpy(int64_t n, RgReal alpha, const RgReal *x, RgReal *y); /* y += alpha·x */

#endif
