/* SPDX-License-Identifier: MIT */
/* Preferences as JSON lines, plain or compressed. The first byte tells the format, which label is
 * read, and whether an unusable line stops the reading; the rest is the file. */
#include "envs/text/text_data.h"
#include "tests/fuzz/fuzz.h"

static void run(const uint8_t *data, size_t size) {
    RgError error = {0};
    RgTextData *lines;
    if (size < 2)
        return;
    RgTextReading reading = {
        .format = (RgTextFormat)(data[0] % RG_TEXT_FORMATS),
        .preference = data[0] / RG_TEXT_FORMATS % 2 ? RG_TEXT_SAFER : RG_TEXT_BETTER,
        .stop = data[0] / RG_TEXT_FORMATS / 2 % 2,
    };
    fuzz_write("x.jsonl", (RgBytes){data + 1, size - 1});
    if (fuzz_good(rg_text_data_read("x.jsonl", &reading, &lines, &error), &error, "x.jsonl"))
        rg_text_data_destroy(lines);
}

const FuzzTarget fuzz_preferences = {"preferences", run};
