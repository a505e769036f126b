/* SPDX-License-Identifier: MIT */
/* Checkpoints of llama2.c. */
#include "core/models/llama2c.h"
#include "tests/fuzz/fuzz.h"

static void run(const uint8_t *data, size_t size) {
    RgError error = {0};
    RgPolicy *policy;
    fuzz_write("model.bin", (RgBytes){data, size});
    if (size > 0 && fuzz_good(rg_llama2c_load("model.bin", &policy, &error), &error, "model.bin"))
        rg_policy_destroy(policy);
}

const FuzzTarget fuzz_llama2c = {"llama2c", run};
