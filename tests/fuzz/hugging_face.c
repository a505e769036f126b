/* SPDX-License-Identifier: MIT */
/* Folders in Hugging Face's layout: models, adapters, classifiers. Parts: config.json,
 * model.safetensors.index.json, the headers of two files of weights, of which the second is also that
 * of an adapter, and adapter_config.json, which is also generation_config.json. Numbers are as many as
 * a header asks for, within reason. */
#include "core/models/hugging_face.h"
#include "core/models/peft.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_NUMBERS = 1 << 16 };

/* Where the last tensor of a header ends. */
static size_t end_of_numbers(RgBytes header) {
    json_t *json = json_loadb(header.data, header.size, 0, NULL), *tensor;
    const char *name;
    json_int_t end = 0;
    json_object_foreach(json, name, tensor) {
        json_int_t one =
            json_integer_value(json_array_get(json_object_get(tensor, "data_offsets"), 1));
        end = one > end ? one : end;
    }
    json_decref(json);
    return end < MOST_NUMBERS ? (size_t)end : MOST_NUMBERS;
}

static void write_weights(const char *path, RgBytes header) {
    size_t numbers = header.size > 0 ? end_of_numbers(header) : 0;
    char *file = rg_allocate(header.size + 1 + numbers, 1);
    if (header.size > 0)
        memcpy(file, header.data, header.size);
    file[header.size] = '\n';
    fuzz_write_safetensors(path, (RgBytes){file, header.size > 0 ? header.size + 1 + numbers : 0});
    free(file);
}

static void read_adapter(RgPolicy *policy) {
    const RgAdapterOptions options = {.rank = 1, .alpha = 2, .targets = "query, value"};
    RgPolicy *adapted;
    RgError error = {0};
    if (!fuzz_good(rg_policy_adapt(policy, &options, rg_random_root(0), &adapted, &error), &error,
                   "policy.adapter"))
        return;
    fuzz_good(rg_peft_load(adapted, NULL, "model", &error), &error, "model");
    rg_policy_destroy(adapted);
}

static void run(const uint8_t *data, size_t size) {
    RgBytes parts[5];
    RgError error = {0};
    RgPolicy *policy;
    RgSequenceClassifier classifier;
    RgModelEnds ends;
    fuzz_split(data, size, parts, 5);
    mkdir("model", 0777);
    fuzz_write("model/config.json", parts[0]);
    fuzz_write("model/model.safetensors.index.json", parts[1]);
    write_weights("model/model.safetensors", parts[2]);
    write_weights("model/second.safetensors", parts[3]);
    write_weights("model/adapter_model.safetensors", parts[3]);
    fuzz_write("model/adapter_config.json", parts[4]);
    fuzz_write("model/generation_config.json", parts[4]);
    if (fuzz_good(rg_policy_load("model", &policy, &error), &error, "model")) {
        read_adapter(policy);
        rg_policy_destroy(policy);
    }
    error = (RgError){0};
    fuzz_good(rg_hugging_face_load_classifier("model", &classifier, &error), &error, "model");
    rg_sequence_classifier_release(&classifier);
    error = (RgError){0};
    fuzz_good(rg_generation_config_read("model", &ends, &error), &error, "model");
    rg_model_ends_release(&ends);
}

const FuzzTarget fuzz_hugging_face = {"hugging_face", run};
