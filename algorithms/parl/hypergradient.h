/* SPDX-License-Identifier: MIT */
/* The inverse-Hessian product of implicit differentiation: u ≈ (H + damping)⁻¹ b. H is the negative
 * Hessian of the lower level's value, known only through its products with vectors. Nothing here
 * depends on where the products come from. */
#ifndef RG_ALGORITHMS_PARL_HYPERGRADIENT_H
#define RG_ALGORITHMS_PARL_HYPERGRADIENT_H

#include "algorithms/parl/estimator.h"

/* H as an operator on vectors of `count` numbers. */
typedef struct RgCurvature {
    int64_t count;
    void (*product)(void *context, const RgReal *v, RgReal *hv); /* hv = H·v */
    void *context;
} RgCurvature;

/* A method to compute u: b [count], u [count] out. Sets the report's residual and failure; adds the
 * number of products to *products. */
typedef void (*RgInverse)(const RgCurvature *curvature, const RgEstimatorOptions *options,
                          const RgReal *b, RgReal *u, int64_t *products, RgEstimateReport *report);

/* Dense H from `count` products; direct solve in the complement of its null space. */
void rg_inverse_exact(const RgCurvature *curvature, const RgEstimatorOptions *options,
                      const RgReal *b, RgReal *u, int64_t *products, RgEstimateReport *report);
/* Conjugate gradients (Hestenes and Stiefel 1952) until the residual reaches the tolerance. */
void rg_inverse_cg(const RgCurvature *curvature, const RgEstimatorOptions *options, const RgReal *b,
                   RgReal *u, int64_t *products, RgEstimateReport *report);
/* u = η Σ_{k<K} (1 − η(H + damping))ᵏ b. */
void rg_inverse_neumann(const RgCurvature *curvature, const RgEstimatorOptions *options,
                        const RgReal *b, RgReal *u, int64_t *products, RgEstimateReport *report);

/* η: the option, or 1/λ with λ the largest eigenvalue of H + damping by power iteration. */
enum { RG_EIGENVALUE_PRODUCTS = 20 }; /* products of the power iteration */
double rg_inverse_step(const RgCurvature *curvature, const RgEstimatorOptions *options,
                       const RgReal *b, int64_t *products, RgEstimateReport *report);

#endif
