/* SPDX-License-Identifier: MIT */
/* Estimators of the hypergradient of a bilevel problem: one descriptor each.
 *
 *     upper:  min_ν G(ν, θ*(ν))        lower:  θ*(ν) = argmax_θ V(ν, θ)
 *
 *     dG/dν = ∂_ν G + w,    w = ∇²_{νθ}V · (−∇²_{θθ}V)⁻¹ · ∂_θ G    at θ*(ν)
 *
 * by the implicit function theorem. The first term costs one gradient. An estimator computes the
 * second, the implicit term w, from a lower-level solution θ and ∂_θ G. It accesses the problem
 * only through the functions below. So it needs no more than it uses: products with the Hessian of
 * V, only gradients, or the closed form of the lower level's optimum.
 *
 * Nothing here depends on what the levels are; algorithms/parl/parl.c defines them. See
 * doc/bilevel.md. An estimator and its problem are used by one thread at a time. */
#ifndef RG_ALGORITHMS_PARL_ESTIMATOR_H
#define RG_ALGORITHMS_PARL_ESTIMATOR_H

#include "core/options.h"
#include "core/registry.h"
#include "core/tensor/parameters.h"

/* A bilevel problem at a point: the current values of `lower` and `upper`. All functions use the
 * values at the time of the call. An estimator may change those of `lower`, and restores them.
 * Expectations are over one sample, the same in every call. */
typedef struct RgBilevel {
    RgParameters *lower, *upper; /* θ, ν */

    /* Gradients of V and of G at the current values: by_lower [lower->count], by_upper
     * [upper->count]; either may be NULL. */
    void (*value_gradients)(void *context, RgReal *by_lower, RgReal *by_upper);
    void (*objective_gradients)(void *context, RgReal *by_lower, RgReal *by_upper);

    /* Second derivatives of V at the point of the last `linearise`: hv = −∇²_{θθ}V·v and
     * w = ∇²_{νθ}V·u. */
    void (*linearise)(void *context);
    void (*curvature)(void *context, const RgReal *v, RgReal *hv);
    void (*mixed)(void *context, const RgReal *u, RgReal *w);

    /* w for the lower level's optimum in closed form, from ∂_θ G; NULL if there is none. */
    void (*closed_form)(void *context, const RgReal *upper_gradient, RgReal *w);
    void *context;
} RgBilevel;

typedef struct RgEstimatorOptions {
    double damping;        /* added to the diagonal of −∇²V */
    int64_t iterations;    /* limit of CG; terms of the series; unrolled or penalised steps */
    double tolerance;      /* relative residual at which CG and the penalised solution stop */
    double residual_limit; /* relative residual above which a solution counts as not converged; 0:
                              not checked */
    double rounding;       /* rounding error of |∂_θG|: a norm up to this counts as 0 */
    double step;       /* η of the series and of unrolled steps, the scalar of `identity`; 0: from
                          the largest eigenvalue, 1 for `identity` */
    double penalty;    /* λ */
    double difference; /* step of finite differences relative to |θ|; 0: from the precision */
} RgEstimatorOptions;

/* The cost and the accuracy of an estimate; part of the metrics of every round. */
typedef struct RgEstimateReport {
    int64_t hessian_products; /* products with ∇²_{θθ}V or ∇²_{νθ}V by second derivatives */
    int64_t gradients;        /* of V or G, in addition to the one of each in every round */
    double residual; /* |(−∇²V + damping)·u − ∂_θG| / |∂_θG|, or its equivalent; 0 if nothing is
                        solved */
    bool converged;      /* the residual is within the limit, and there was no failure */
    double flops;        /* total; set by the caller */
    double curvature;    /* largest eigenvalue of −∇²V if it was computed, else 0 */
    const char *failure; /* NULL, or the failure; w is then that of the last valid iterate */
} RgEstimateReport;

/* Upper bounds of how often an estimate calls the problem's functions. */
typedef struct RgEstimateWork {
    double value_gradients, objective_gradients;
    double linearised, products; /* `products`: of `curvature` and `mixed` together */
    double numbers;              /* count of RgReal held meanwhile */
} RgEstimateWork;

typedef struct RgEstimator {
    RgDescriptor about;
    int order;           /* highest order of derivatives of V used: 0, 1 or 2 */
    bool by_closed_form; /* needs RgBilevel.closed_form */
    bool takes_damping;  /* more damping may help after a failure */
    bool solves;         /* must reach the limit of the residual, else it fails; false: a fixed
                            number of terms or steps, for which the residual is no failure */
    /* upper_gradient [lower->count] is ∂_θG; w [upper->count] out. The report comes zeroed. */
    void (*estimate)(const RgBilevel *problem, const RgEstimatorOptions *options,
                     const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report);
    /* For plans: the work with these options, for θ [lower]; it comes zeroed. NULL: unknown, and
     * trials that use the estimator have no plan. */
    void (*work)(const RgEstimatorOptions *options, int64_t lower, RgEstimateWork *work);
} RgEstimator;

/* Compute the estimator's w from ∂_θG = `upper_gradient`, and whether it has converged. With a zero
 * gradient the implicit term is 0: w = 0, which is not a failure. */
void rg_estimator_apply(const RgEstimator *estimator, const RgBilevel *problem,
                        const RgEstimatorOptions *options, const RgReal *upper_gradient, RgReal *w,
                        RgEstimateReport *report);

/* Refuse an incomplete descriptor: RG_E_USAGE, with its name. */
RgStatus rg_estimator_check(const RgEstimator *estimator, RgError *error);
/* Register an estimator of a plug-in: checked, and borrowed until the program ends. */
RgStatus rg_estimator_register(const RgEstimator *estimator, RgError *error);

#endif
