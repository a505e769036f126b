/* SPDX-License-Identifier: MIT */
/* Estimators of the hypergradient of a bilevel problem: one descriptor each.
 *
 *     upper:  min_ν G(ν, θ*(ν))        lower:  θ*(ν) = argmax_θ V(ν, θ)
 *
 *     dG/dν = ∂_ν G + w,    w = ∇²_{νθ}V · (−∇²_{θθ}V)⁻¹ · ∂_θ G    at θ*(ν)
 *
 * by the implicit function theorem. The first term costs one gradient; an estimator is a way to the
 * second, the implicit term w, given a lower-level solution θ and ∂_θ G. It sees the problem only
 * through the functions below, and so asks for no more than it needs: some take products with the
 * Hessian of V, some gradients alone, one the closed form of the lower level's optimum.
 *
 * Nothing here knows what the levels are; algorithms/parl/parl.c has them. See doc/bilevel.md. */
#ifndef RG_ALGORITHMS_PARL_ESTIMATOR_H
#define RG_ALGORITHMS_PARL_ESTIMATOR_H

#include "core/options.h"
#include "core/registry.h"
#include "core/tensor/parameters.h"

/* A bilevel problem at a point, which is the values of `lower` and `upper`. All functions take the
 * values that are there when they are called: an estimator may move those of `lower`, and puts them
 * back. Expectations are over one sample, the same in every call. */
typedef struct RgBilevel {
    RgParameters *lower, *upper; /* θ, ν */

    /* Gradients of V and of G at the present values: by_lower [lower->count], by_upper
     * [upper->count]; either may be NULL. */
    void (*value_gradients)(void *context, RgReal *by_lower, RgReal *by_upper);
    void (*objective_gradients)(void *context, RgReal *by_lower, RgReal *by_upper);

    /* Second derivatives of V where `linearise` was last called: hv = −∇²_{θθ}V·v and w =
     * ∇²_{νθ}V·u. */
    void (*linearise)(void *context);
    void (*curvature)(void *context, const RgReal *v, RgReal *hv);
    void (*mixed)(void *context, const RgReal *u, RgReal *w);

    /* w of the lower level's optimum in closed form, given ∂_θ G; NULL where there is none. */
    void (*closed_form)(void *context, const RgReal *upper_gradient, RgReal *w);
    void *context;
} RgBilevel;

typedef struct RgEstimatorOptions {
    double damping;     /* added to the diagonal of −∇²V */
    int64_t iterations; /* most of CG, terms of the series, steps that are unrolled or penalised */
    double tolerance;   /* relative residual at which CG and the penalised solution stop */
    double residual_limit; /* and above which a solution has not converged; 0: is not asked */
    double rounding;       /* of |∂_θG|: no more than that is none at all */
    double step;       /* η of the series and of unrolled steps, the scalar of `identity`; 0: from
                          the largest eigenvalue, 1 for `identity` */
    double penalty;    /* λ */
    double difference; /* step of finite differences relative to |θ|; 0: from the precision */
} RgEstimatorOptions;

/* What an estimate took and what it reached; goes into the metrics of every round. */
typedef struct RgEstimateReport {
    int64_t hessian_products; /* products with ∇²_{θθ}V or ∇²_{νθ}V by second derivatives */
    int64_t gradients;        /* of V or G, besides the one of each that every round has */
    double residual; /* |(−∇²V + damping)·u − ∂_θG| / |∂_θG|, or what stands for it; 0 where
                        nothing is solved */
    bool converged;      /* the residual is within the limit, and nothing went wrong */
    double flops;        /* of all of it; set by the caller */
    double curvature;    /* largest eigenvalue of −∇²V where it was looked for, else 0 */
    const char *failure; /* NULL, or what went wrong; w is then from the last sound iterate */
} RgEstimateReport;

/* How often an estimate calls the problem's functions at most. */
typedef struct RgEstimateWork {
    double value_gradients, objective_gradients;
    double linearised, products; /* the latter of `curvature` and `mixed` */
    double numbers;              /* RgReal that it holds meanwhile */
} RgEstimateWork;

typedef struct RgEstimator {
    RgDescriptor about;
    int order;           /* of the derivatives of V that it takes: 0, 1 or 2 */
    bool by_closed_form; /* it needs RgBilevel.closed_form */
    bool takes_damping;  /* more of it may help where it failed */
    bool solves;         /* it is to reach the residual's limit, and fails where it does not; one
                            that is a number of terms or steps by definition does not fail for it */
    /* upper_gradient [lower->count] is ∂_θG; w [upper->count] out. The report comes zeroed. */
    void (*estimate)(const RgBilevel *problem, const RgEstimatorOptions *options,
                     const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report);
    /* For plans: of θ [lower] and with these options; it comes zeroed. NULL: it is not told, and
     * what uses the estimator is not planned. */
    void (*work)(const RgEstimatorOptions *options, int64_t lower, RgEstimateWork *work);
} RgEstimator;

/* The estimator's w of ∂_θG = `upper_gradient`, and whether it has converged. Without a gradient
 * there is no implicit term: w = 0, which is no failure. */
void rg_estimator_apply(const RgEstimator *estimator, const RgBilevel *problem,
                        const RgEstimatorOptions *options, const RgReal *upper_gradient, RgReal *w,
                        RgEstimateReport *report);

/* Refuse a descriptor that is not complete: RG_E_USAGE, with its name. */
RgStatus rg_estimator_check(const RgEstimator *estimator, RgError *error);
/* Add one, of a plug-in: checked, and borrowed for good. */
RgStatus rg_estimator_register(const RgEstimator *estimator, RgError *error);

#endif
