/* SPDX-License-Identifier: MIT */
/* Small tables that environments read: a bandit's rewards, lexicons of valences. */
#include "envs/bandit/bandit.h"
#include "envs/judges/lexicon.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>

static void run(const uint8_t *data, size_t size) {
    RgError error = {0};
    RgLexicon *lexicon;
    double rewards[6];
    fuzz_write("x.txt", (RgBytes){data, size});
    if (size == 0)
        return;
    fuzz_good(rg_bandit_read_table("x.txt", 2, 3, rewards, NULL, &error), &error, "x.txt");
    if (!fuzz_good(rg_lexicon_load("x.txt", &lexicon, &error), &error, "x.txt"))
        return;
    char *text = fuzz_text((RgBytes){data, size});
    double valence = rg_lexicon_valence(lexicon, text);
    RG_ASSERT(valence >= -1 && valence <= 1);
    free(text);
    rg_lexicon_destroy(lexicon);
}

const FuzzTarget fuzz_tables = {"tables", run};
