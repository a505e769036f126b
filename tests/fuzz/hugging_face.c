/* SPDX-License-Identifier: MIT */
/* Folders in Hugging Face's layout. Parts: config.json, model.safetensors.index.json, the headers
 * of two files of weights. Their numbers are as many as the header asks for, within reason. */
#include "core/models/hugging_face.h"
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

static void run(const uint8_t *data, size_t size) {
    RgBytes parts[4];
    RgError error = {0};
    RgPolicy *policy;
    fuzz_split(data, size, parts, 4);
    mkdir("model", 0777);
    fuzz_write("model/config.json", parts[0]);
    fuzz_write("model/model.safetensors.index.json", parts[1]);
    write_weights("model/model.safetensors", parts[2]);
    write_weights("model/second.safetensors", parts[3]);
    if (fuzz_good(rg_policy_load("model", &policy, &error), &error, "model"))
        rg_policy_destroy(policy);
}

const FuzzTarget fuzz_hugging_face = {"hugging_face", run};
