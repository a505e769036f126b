/* SPDX-License-Identifier: MIT */
/* Shared by all estimators: without a gradient there is no implicit term; when a solution counts as
 * converged. */
#include "algorithms/parl/estimator.h"

#include "core/tensor/vector_ops.h"

#include <math.h>
#include <string.h>

void rg_estimator_apply(const RgEstimator *estimator, const RgBilevel *problem,
                        const RgEstimatorOptions *options, const RgReal *upper_gradient, RgReal *w,
                        RgEstimateReport *report) {
    int64_t n = problem->lower->count;
    *report = (RgEstimateReport){.converged = true};
    if (sqrt(rg_dot(n, upper_gradient, upper_gradient)) <= options->rounding) {
        memset(w, 0, (size_t)problem->upper->count * sizeof *w);
        return;
    }
    estimator->estimate(problem, options, upper_gradient, w, report);
    bool reached = options->residual_limit == 0 || report->residual <= options->residual_limit;
    report->converged = reached && !report->failure;
    if (!reached && !report->failure && estimator->solves)
        report->failure =
            "the estimator's linear solve has not converged: its residual is above residual_limit";
}
