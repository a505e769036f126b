/* SPDX-License-Identifier: MIT */
/* Preferences as JSON lines, plain or compressed. The first byte tells the format and which label
 * is read; the rest is the file. */
#include "core/text/lines.h"
#include "envs/text/text_data.h"
#include "tests/fuzz/fuzz.h"

enum { FORMATS = RG_TEXT_CHAT + 1 };

static void run(const uint8_t *data, size_t size) {
    RgError error = {0};
    RgTextData *lines;
    if (size < 2)
        return;
    RgTextFormat format = (RgTextFormat)(data[0] % FORMATS);
    RgTextPreference preference = data[0] / FORMATS % 2 ? RG_TEXT_SAFER : RG_TEXT_BETTER;
    fuzz_write("x.jsonl", (RgBytes){data + 1, size - 1});
    if (fuzz_good(rg_text_data_read("x.jsonl", format, preference, RG_LINE_MIB, &lines, &error),
                  &error, "x.jsonl"))
        rg_text_data_destroy(lines);
}

const FuzzTarget fuzz_preferences = {"preferences", run};
