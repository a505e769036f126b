/* Steps of a trainer whose judge does not fail, their losses, and options as text, for tests. */
#ifndef RG_TESTS_STEPS_H
#define RG_TESTS_STEPS_H

#include "algorithms/training/trainer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "name=value" pairs separated by spaces become settings of the group `group`. */
static inline void race_set(RgSettings *settings, const char *group, const char *pairs) {
    char *copy = rg_string_copy(pairs), *next = copy, *pair;
    while ((pair = strsep(&next, " "))) {
        char path[96], *value = strchr(pair, '=');
        if (!value)
            continue;
        *value++ = '\0';
        snprintf(path, sizeof path, "%s.%s", group, pair);
        RgSettingKind kind = RG_SETTING_STRING;
        if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
            kind = RG_SETTING_BOOLEAN;
        else if (strspn(value, "0123456789-") == strlen(value))
            kind = RG_SETTING_INTEGER;
        else if (strspn(value, "0123456789-.e") == strlen(value))
            kind = RG_SETTING_REAL;
        rg_settings_set(settings, path, kind, value, "test", 0);
    }
    free(copy);
}

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
