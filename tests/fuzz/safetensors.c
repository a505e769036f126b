/* SPDX-License-Identifier: MIT */
/* Files of weights: every tensor, policies and checkpoints. */
#include "core/train/safetensors.h"
#include "core/policy/policy.h"
#include "core/train/checkpoint.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static const char path[] = "x.safetensors";

static void read_tensor(const RgSafetensors *file, const RgStoredTensor *tensor) {
    RgError error = {0};
    int64_t count = 1;
    for (int axis = 0; axis < tensor->rank; axis++)
        count *= tensor->size[axis];
    RgReal *numbers = rg_allocate(count, sizeof *numbers);
    fuzz_good(rg_safetensors_read(file, tensor, 0, count, numbers, &error), &error, NULL);
    fuzz_good(rg_stored_to_real(tensor, numbers, &error), &error, tensor->name);
    rg_safetensors_release(file, tensor);
    free(numbers);
    RG_ASSERT(rg_safetensors_find(file, tensor->name) == tensor);
}

static void read_tensors(void) {
    RgError error = {0};
    RgSafetensors *file;
    if (!fuzz_good(rg_safetensors_open(path, &file, &error), &error, path))
        return;
    for (int i = 0; i < rg_safetensors_count(file); i++)
        read_tensor(file, rg_safetensors_at(file, i));
    rg_safetensors_close(file);
}

static void read_policy(void) {
    RgError error = {0};
    RgPolicy *policy;
    fuzz_good(rg_policy_load(path, &policy, &error), &error, path);
    rg_policy_destroy(policy);
}

static void read_checkpoint(void) {
    RgError error = {0};
    RgReal weights[4];
    double sums[2];
    int64_t counts[2];
    RgCheckpoint *checkpoint = rg_checkpoint_create();
    rg_checkpoint_reals(checkpoint, "weights", weights, 4);
    rg_checkpoint_doubles(checkpoint, "sums", sums, 2);
    rg_checkpoint_integers(checkpoint, "counts", counts, 2);
    fuzz_good(rg_checkpoint_load(checkpoint, path, "0123456789abcdef", &error), &error, path);
    rg_checkpoint_destroy(checkpoint);
}

static void run(const uint8_t *data, size_t size) {
    fuzz_write_safetensors(path, (RgBytes){data, size});
    if (size == 0)
        return;
    read_tensors();
    read_policy();
    read_checkpoint();
}

const FuzzTarget fuzz_safetensors = {"safetensors", run};
