/* The list of hypergradient estimators. Adding one: its file, and a line in each list here. */
#include "algorithms/estimator.h"

extern const RgEstimator rg_estimator_exact, rg_estimator_cg, rg_estimator_neumann,
    rg_estimator_finite_difference, rg_estimator_penalty, rg_estimator_boltzmann,
    rg_estimator_unrolled, rg_estimator_identity, rg_estimator_none;

const RgEstimator *const rg_estimators[] = {
    &rg_estimator_exact,
    &rg_estimator_cg,
    &rg_estimator_neumann,
    &rg_estimator_penalty,
    &rg_estimator_finite_difference,
    &rg_estimator_unrolled,
    &rg_estimator_boltzmann,
    &rg_estimator_identity,
    &rg_estimator_none,
    NULL,
};

const char *const rg_estimator_names[] = {
    "exact",    "cg",        "neumann",  "penalty", "finite-difference",
    "unrolled", "boltzmann", "identity", "none",    NULL,
};
