/* Running experiments: store, folder of weights, shelf of pairs' values, then trial by trial. */
#include "experiments/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static RgStatus make_folder(const char *path, RgError *error) {
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return rg_fail(error, RG_E_FILE, "%s: cannot make the folder: %s", path, strerror(errno));
    return RG_OK;
}

static RgStatus run_trials(const RgExperiment *experiment, RgStore *store, RgPairShelf *shelf,
                           const char *folder, double checkpoint_seconds, bool quiet,
                           RgError *error) {
    RgProgress progress = rg_progress_create(experiment->trial_count, quiet);
    RgTrialRun run = {.store = store,
                      .shelf = shelf,
                      .folder = folder,
                      .checkpoint_seconds = checkpoint_seconds,
                      .progress = &progress};
    RG_TRY(rg_store_experiment(store, experiment->options.name, experiment->config_json,
                               &run.experiment, error));
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < experiment->trial_count && status == RG_OK; i++) {
        progress.trial = i + 1;
        status = rg_trial_run(&run, &experiment->trials[i], error);
    }
    rg_progress_end(&progress);
    rg_stage_clear(&run.stage);
    return status;
}

char *rg_experiment_store_path(const RgExperiment *experiment, const char *results) {
    return results ? rg_string_copy(results)
                   : rg_string_format("results/%s.db", experiment->options.name);
}

RgStatus rg_experiment_run(const RgExperiment *experiment, const char *results,
                           double checkpoint_seconds, bool quiet, RgError *error) {
    RgStore *store;
    RgPairShelf *shelf = NULL;
    char *path = rg_experiment_store_path(experiment, results);
    char *folder = rg_store_folder(path);
    RgStatus status = rg_store_open(path, true, &store, error);
    if (status == RG_OK) {
        status = make_folder(folder, error);
        if (status == RG_OK)
            status = rg_pair_shelf_open(store, &shelf, error);
        if (status == RG_OK)
            status = run_trials(experiment, store, shelf, folder, checkpoint_seconds, quiet, error);
        rg_pair_shelf_close(shelf);
        rg_store_close(store);
    }
    free(path);
    free(folder);
    return status;
}
