/* SPDX-License-Identifier: MIT */
/* Settings as stores and packages keep them: what can be read is written as it was read. */
#include "core/settings.h"
#include "experiments/program/config/allowed.h"
#include "experiments/program/config/experiment.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void write_and_read(const RgSettings *settings) {
    RgError error = {0};
    char *json = rg_settings_to_json(settings);
    RgSettings *again = rg_settings_create();
    RG_ASSERT(fuzz_good(rg_settings_from_json(json, again, &error), &error, NULL));
    char *twice = rg_settings_to_json(again);
    RG_ASSERT(strcmp(json, twice) == 0);
    rg_settings_destroy(again);
    free(twice);
    free(json);
}

static void restore(const char *json) {
    RgError error = {0};
    RgExperiment *experiment;
    if (fuzz_good(rg_experiment_restore(json, &experiment, &error), &error, NULL))
        rg_experiment_close(experiment);
}

static void run(const uint8_t *data, size_t size) {
    RgError error = {0};
    RgAllowed nothing = {0};
    RgSettings *settings = rg_settings_create();
    char *json = fuzz_text((RgBytes){data, size});
    if (fuzz_good(rg_settings_from_json(json, settings, &error), &error, NULL)) {
        write_and_read(settings);
        fuzz_good(rg_allowed_check(&nothing, settings, &error), &error, NULL);
        restore(json);
    }
    rg_settings_destroy(settings);
    free(json);
}

const FuzzTarget fuzz_settings = {"settings", run};
