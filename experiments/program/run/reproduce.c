/* SPDX-License-Identifier: MIT */
/* A paper's experiments, run and held against what it reports. */
#include "experiments/program/run/reproduce.h"

#include "core/files.h"
#include "core/stop.h"
#include "experiments/program/config/paper_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static RgStatus run_one(const char *config, const char *store, const RgReproduceOptions *options,
                        RgError *error) {
    bool given =
        config[0] == '/' || config[0] == '.'; /* a user's own; others come with the program */
    char *path = given ? rg_string_copy(config) : rg_own_file(config);
    RgExperiment *experiment;
    RgRunOptions run = options->run;
    run.results = store;
    RgStatus status = rg_experiment_open(path, NULL, 0, &experiment, error);
    free(path);
    RG_TRY(status);
    status = rg_experiment_run(experiment, NULL, &run, NULL, error);
    rg_experiment_close(experiment);
    return status;
}

/* The names and stores of the paper's experiments: [*count]; only stores that are there. */
static RgPaperStore *find_stores(const RgPaper *paper, const char *folder, int64_t *count) {
    int64_t most = 0;
    while (paper->experiments[most])
        most++;
    RgPaperStore *stores = rg_allocate(most, sizeof *stores);
    *count = 0;
    for (int64_t i = 0; i < most; i++) {
        char *name = rg_paper_experiment(paper->experiments[i]);
        char *path = rg_string_format("%s/%s.db", folder, name);
        if (access(path, F_OK) == 0) {
            stores[(*count)++] = (RgPaperStore){name, path};
        } else {
            free(name);
            free(path);
        }
    }
    return stores;
}

static RgStatus write_table(const RgPaper *paper, const RgReproduceOptions *options,
                            RgPaperVerdicts *verdicts, RgError *error) {
    int64_t count;
    RgPaperStore *stores = find_stores(paper, options->folder, &count);
    RgStatus status =
        rg_paper_table(paper, stores, count, options->part, &options->table, verdicts, error);
    for (int64_t i = 0; i < count; i++) {
        free((char *)stores[i].experiment);
        free((char *)stores[i].store);
    }
    free(stores);
    return status;
}

RgStatus rg_reproduce(const RgPaper *paper, const RgReproduceOptions *options,
                      RgPaperVerdicts *verdicts, RgError *error) {
    if (!paper->experiments || !paper->experiments[0])
        return rg_fail(error, RG_E_USAGE,
                       "\"%s\" names no experiments that run its figures again: expected "
                       "experiments = [ \"CONFIG.cfg\" ]",
                       paper->title);
    for (int64_t i = 0; paper->experiments[i] && !options->only_table; i++) {
        char *name = rg_paper_experiment(paper->experiments[i]);
        char *store = rg_string_format("%s/%s.db", options->folder, name);
        RgStatus status = run_one(paper->experiments[i], store, options, error);
        free(store);
        free(name);
        RG_TRY(status);
    }
    return write_table(paper, options, verdicts, error);
}
