/* SPDX-License-Identifier: MIT */
/* Languages that are small enough to enumerate. */
#include "envs/language/language_file.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

/* What is read has a reward and a place in the grammar for its first sentence. */
static void run(const uint8_t *data, size_t size) {
    RgError error = {0};
    RgLanguage *language;
    fuzz_write("x.language", (RgBytes){data, size});
    if (size == 0 || !fuzz_good(rg_language_read("x.language", &language, &error), &error, NULL))
        return;
    int32_t *sentence = rg_allocate(language->length, sizeof *sentence);
    rg_language_reward(language, sentence);
    rg_language_is_grammatical(language, sentence);
    free(sentence);
    rg_language_destroy(language);
}

const FuzzTarget fuzz_language = {"language", run};
