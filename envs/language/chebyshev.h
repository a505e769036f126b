/* SPDX-License-Identifier: MIT */
/* Chebyshev series of sums over sentences. With u = β(log π − log π_ref), a sum over b of a function of
 * v − u_b that log σ is made of is analytic in v for |Im v| < π. On an interval of v that is 2 wide,
 * half of which is 1, its series falls by π + √(π² + 1) = 6.4 with every term: 22 terms are exact to
 * rounding. So the sum is computed at 22 points, the nodes, and read off at all others.
 *
 * Internal to the language. Threads: any. */
#ifndef RG_ENVS_LANGUAGE_CHEBYSHEV_H
#define RG_ENVS_LANGUAGE_CHEBYSHEV_H

#include <math.h>

enum { RG_CHEBYSHEV_TERMS = 22, RG_CHEBYSHEV_WIDTH = 2 };

/* T_j at the k-th node: cos(jθ_k), θ_k = π(k + ½)/22. The node is T_1. */
static inline double rg_chebyshev_at_node(int j, int k) {
    return cos(M_PI * j * ((double)k + 0.5) / RG_CHEBYSHEV_TERMS);
}

/* The j-th term of the series of f is the sum over the nodes of this times f times T_j there. */
static inline double rg_chebyshev_weight(int j) {
    return (j == 0 ? 1.0 : 2.0) / RG_CHEBYSHEV_TERMS;
}

#endif
