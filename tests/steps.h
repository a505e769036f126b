/* SPDX-License-Identifier: MIT */
/* Steps of a trainer whose judge does not fail, and their losses, for tests. */
#ifndef RG_TESTS_STEPS_H
#define RG_TESTS_STEPS_H

#include "algorithms/training/trainer.h"

#include <criterion/criterion.h>

/* One step. Whether the trial goes on. */
static inline bool take_step(RgTrainer *trainer) {
    RgError error = {0};
    return rg_trainer_step(trainer, &error) == RG_OK && !trainer->outcome.diverged;
}

/* The loss on the batch of a step, whose gradient is added to the policy's. */
static inline double step_gradient(RgTrainer *trainer, int64_t step) {
    RgError error = {0};
    double loss;
    cr_assert_eq(rg_trainer_gradient(trainer, step, &loss, &error), RG_OK, "%s", error.text);
    return loss;
}

#endif
