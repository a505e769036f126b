/* SPDX-License-Identifier: MIT */
/* The closed form of a lower level regularised by the KL divergence or the entropy. Its optimum is
 * a Boltzmann distribution with a known dependence on ν, so that only derivatives of the reward are
 * needed, none of V.
 *
 *     responses:  ∂_ν log π*(y|x) = (∂_ν r(x,y) − E_π*[∂_ν r]) / β
 *     MDPs:       ∂_ν log π*(a|s) = (∂_ν Q(s,a) − ∂_ν v(s)) / β
 *
 * HPGD (Thoma et al. 2024, arXiv:2406.01575) and SoBiRL (Yang et al. 2025, arXiv:2405.19697) are
 * based on it. It is exact only at the optimum. */
#include "algorithms/parl/estimator.h"

static void boltzmann(const RgBilevel *problem, const RgEstimatorOptions *options,
                      const RgReal *upper_gradient, RgReal *w, RgEstimateReport *report) {
    (void)options;
    (void)report;
    problem->closed_form(problem->context, upper_gradient, w);
}

/* Only derivatives of the reward, which are cheap. */
static void boltzmann_work(const RgEstimatorOptions *options, int64_t lower, RgEstimateWork *work) {
    (void)options;
    (void)lower;
    *work = (RgEstimateWork){0};
}

const RgEstimator rg_estimator_boltzmann = {
    .about = {.name = "boltzmann",
              .summary = "Closed form of a lower level regularised by KL or entropy; first order",
              .reference = "HPGD, Thoma et al. 2024, arXiv:2406.01575; SoBiRL, Yang et al. 2025, "
                           "arXiv:2405.19697"},
    .by_closed_form = true,
    .estimate = boltzmann,
    .work = boltzmann_work,
};
