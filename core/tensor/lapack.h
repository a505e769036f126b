/* SPDX-License-Identifier: MIT */
/* Systems of equations. Its .c file is the only one that includes LAPACK.
 *
 * Threads: any. */
#ifndef RG_CORE_TENSOR_LAPACK_H
#define RG_CORE_TENSOR_LAPACK_H

#include <stdbool.h>
#include <stdint.h>

/* Minimum-norm least-squares solution of the symmetric system a·x = b by eigendecomposition.
 * Directions with |eigenvalue| ≤ cutoff · max|eigenvalue| are omitted. a [n, n] in double, not
 * changed. The smallest and the largest eigenvalue go to extremes [2], which may be NULL. Returns
 * the rank used. */
int64_t rg_solve_symmetric(int64_t n, const double *a, const double *b, double cutoff, double *x,
                           double *extremes);

/* Solves a·x = b, or aᵀ·x = b if `transposed`, by LU in double: a [n, n], b and x [n, m], which may
 * be the same. A large a whose entries lie in a narrow band, as that of neighbours in a grid world,
 * is solved within the band. A singular a gives numbers that are not finite. */
void rg_solve_general(int64_t n, int64_t m, bool transposed, const double *a, const double *b,
                      double *x);

#endif
