/* The inverse-curvature product of implicit differentiation: u ≈ (H + damping)⁻¹ b, where H is the
 * negative Hessian of the lower level's value, known only through its products with vectors.
 * Nothing here knows what the levels are. */
#ifndef RG_ALGORITHMS_HYPERGRADIENT_H
#define RG_ALGORITHMS_HYPERGRADIENT_H

#include "core/base.h"

/* H as an operator on vectors of `count` numbers. */
typedef struct RgCurvature {
    int64_t count;
    void (*product)(void *context, const RgReal *v, RgReal *hv); /* hv = H·v */
    void *context;
} RgCurvature;

/* exact: dense H from `count` products, solved in the complement of its null directions;
 * cg: conjugate gradients; neumann: u = η Σ_{k<K} (1 − ηH)ᵏ b; none: u = 0, which drops the
 * distribution's dependence on the upper level, as online RLHF does. */
typedef enum RgEstimator {
    RG_ESTIMATE_EXACT,
    RG_ESTIMATE_CG,
    RG_ESTIMATE_NEUMANN,
    RG_ESTIMATE_NONE
} RgEstimator;

typedef struct RgInverseOptions {
    RgEstimator estimator;
    double damping;     /* added to H's diagonal */
    int64_t iterations; /* most CG iterations, or terms of the Neumann series */
    double tolerance;   /* CG stops at this residual, relative to |b| */
    double step;        /* Neumann's η; 0: 1/λ, λ the largest eigenvalue by power iteration */
} RgInverseOptions;

/* What the solver reached; goes into the metrics of every step. */
typedef struct RgInverseReport {
    int64_t products;    /* of H with a vector */
    double residual;     /* |(H + damping)·u − b| / |b| as the solver knows it */
    const char *failure; /* NULL, or what went wrong; u is then the last sound iterate */
} RgInverseReport;

/* b [count], u [count] out. */
void rg_inverse_product(const RgCurvature *curvature, const RgInverseOptions *options,
                        const RgReal *b, RgReal *u, RgInverseReport *report);

#endif
