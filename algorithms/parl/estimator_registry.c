/* SPDX-License-Identifier: MIT */
/* Requirements of an estimator of the hypergradient. */
#include "algorithms/parl/estimator.h"

RgStatus rg_estimator_check(const RgEstimator *e, RgError *error) {
    const RgRequirement requirements[] = {
        {e->estimate != NULL, "a function estimate"},
        {e->order >= 0 && e->order <= 2, "an order of 0, 1 or 2"},
    };
    return rg_descriptor_check(RG_ESTIMATOR, &e->about, requirements,
                               sizeof requirements / sizeof *requirements, error);
}

RgStatus rg_estimator_register(const RgEstimator *estimator, RgError *error) {
    RG_TRY(rg_estimator_check(estimator, error));
    return rg_register(RG_ESTIMATOR, &estimator->about, error);
}
