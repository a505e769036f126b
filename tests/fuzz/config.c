/* SPDX-License-Identifier: MIT */
/* Configs, and what papers report. */
#include "experiments/program/config/experiment.h"
#include "experiments/program/config/paper_file.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

/* Parts: the config, a file that it may include or extend, two overrides (-s). */
static void run(const uint8_t *data, size_t size) {
    RgBytes parts[4];
    RgError error = {0};
    RgExperiment *experiment;
    fuzz_split(data, size, parts, 4);
    fuzz_write("x.cfg", parts[0]);
    fuzz_write("part.cfg", parts[1]);
    char *overrides[2] = {fuzz_text(parts[2]), fuzz_text(parts[3])};
    int count = parts[3].size > 0 ? 2 : parts[2].size > 0 ? 1 : 0;
    if (parts[0].size > 0 && fuzz_good(rg_experiment_open("x.cfg", (const char *const *)overrides,
                                                          count, &experiment, &error),
                                       &error, NULL))
        rg_experiment_close(experiment);
    free(overrides[0]);
    free(overrides[1]);
}

const FuzzTarget fuzz_config = {"config", run};

/* The figures and claims are told as tables, without an experiment beside them. */
static void print_paper(const RgPaper *paper) {
    RgError error = {0};
    for (int format = RG_TABLE_TEXT; format <= RG_TABLE_JSON; format++) {
        RgTableOptions options = {.format = (RgTableFormat)format, .out = stdout};
        for (int part = RG_PAPER_ALL; part <= RG_PAPER_CLAIMS; part++)
            fuzz_good(rg_paper_table(paper, NULL, 0, (RgPaperPart)part, &options, NULL, &error),
                      &error, NULL);
    }
}

static void run_paper(const uint8_t *data, size_t size) {
    RgError error = {0};
    RgPaperFile *file;
    fuzz_write("paper.cfg", (RgBytes){data, size});
    if (size == 0 || !fuzz_good(rg_paper_read("paper.cfg", &file, &error), &error, "paper.cfg"))
        return;
    print_paper(rg_paper_of(file));
    rg_paper_close(file);
}

const FuzzTarget fuzz_paper = {"paper", run_paper};
