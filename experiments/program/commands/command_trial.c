/* SPDX-License-Identifier: MIT */
/* regatta export-trial, rerun and verify: pack one trial on one machine, and run it again on
 * another. */
#include "core/files.h"
#include "core/new_file.h"
#include "core/stop.h"
#include "core/tensor/threads.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/config/allowed.h"
#include "experiments/program/package/archive.h"
#include "experiments/program/package/trial_package.h"
#include "experiments/program/package/trial_verify.h"
#include "experiments/program/run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- export-trial ---- */

static RgStatus export_trial(void *arguments, RgError *error) {
    return rg_trial_pack(arguments, error);
}

static const char expected_trial[] =
    "expected a results store, a trial's label or key, and -o TRIAL";

static const RgArgument pack_arguments[] = {
    RG_ARGUMENT_INCLUDE(RgTrialPackOptions, choice, rg_choice_arguments),
    RG_ARGUMENT_POSITIONAL(RgTrialPackOptions, store, NULL),
    RG_ARGUMENT_POSITIONAL(RgTrialPackOptions, trial, expected_trial),
    RG_ARGUMENT_OPTION(RgTrialPackOptions, choice.experiment, "experiment", 'e', "NAME",
                       "experiment in the store (default: whichever has the trial)"),
    RG_ARGUMENT_OPTION(RgTrialPackOptions, seed, "seed", 0, "N",
                       "seed, if several trials have the label", .high = RG_ARGUMENT_NO_LIMIT),
    RG_ARGUMENT_OPTION(RgTrialPackOptions, output, "output", 'o', "TRIAL",
                       "where to write: an archive *" RG_ARCHIVE_SUFFIX ", else a folder",
                       .expected = expected_trial),
    RG_ARGUMENT_OPTION(RgTrialPackOptions, with_inputs, "with-inputs", 0, NULL,
                       "copies of data, tokenizer and base weights too, which else are only named "
                       "by size and SHA-256"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_export_trial = {
    .name = "export-trial",
    .summary = "pack one trial so that another machine can rerun it",
    .usage = "RESULTS.db LABEL|KEY",
    .purpose = "Pack one trial, so that another machine can rerun it and verify its result.",
    .details = "TRIAL holds the resolved config, the final weights, a results store with this "
               "trial alone, and trial.json: outcome, provenance, program version, and the name, "
               "size and SHA-256 of each packed file and of each input of the trial in its present "
               "state. A trial with missing curve rows or damaged weights is refused. regatta "
               "table prints labels; regatta run --dry-run prints keys. A label selects a trial of "
               "the latest config, unless --where or --all select others. A key selects a trial of "
               "any config. regatta table and regatta merge can read the store in TRIAL.",
    .arguments = pack_arguments,
    .size = sizeof(RgTrialPackOptions),
    .defaults = &(const RgTrialPackOptions){.seed = -1},
    .run = export_trial,
};

/* ---- rerun and verify ---- */

typedef struct RerunArguments {
    const char *trial, *results;
    const char **inputs, **kinds, **key_variables; /* of --input, --allow, --key-variable */
    int input_count, kind_count, key_variable_count;
    int threads; /* 0: all processors */
    RgAllowed allowed;
    double tolerance;
    bool quiet;
} RerunArguments;

static RgStatus check_allowed(void *arguments, RgError *error) {
    RerunArguments *a = arguments;
    for (int i = 0; i < a->kind_count; i++)
        RG_TRY(rg_allowed_add(&a->allowed, a->kinds[i], error));
    for (int i = 0; i < a->key_variable_count; i++)
        rg_allowed_add_key(&a->allowed, a->key_variables[i]);
    return RG_OK;
}

/* Prepares this process for the run, and opens the package. */
static RgStatus open_package(RerunArguments *a, RgTrialPackage *package, RgError *error) {
    RgTrialOpening opening = {a->inputs, a->input_count, a->allowed};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    rg_threads_set(a->threads > 0 ? a->threads : processors > 0 ? (int)processors : 1);
    rg_stop_on_signals();
    RgStatus status = rg_trial_package_open(a->trial, &opening, package, error);
    rg_allowed_clear(&a->allowed);
    return status;
}

/* Arguments of both commands. */
static const RgArgument package_arguments[] = {
    RG_ARGUMENT_POSITIONAL(RerunArguments, trial,
                           "expected a trial packed by regatta export-trial"),
    RG_ARGUMENT_REPEATED(RerunArguments, inputs, input_count, "input", 'i', "SETTING=PATH",
                         "path of an input of the trial, e.g. -i environment.data=verses; may be "
                         "repeated (default: the copy in TRIAL, else the path in its config)"),
    RG_ARGUMENT_REPEATED(
        RerunArguments, kinds, kind_count, "allow", 0, "KINDS",
        "allow settings of the trial to act, as a list of kinds: command (a judge runs a program), "
        "endpoint (a judge sends texts to its address), save (a reward model is written to the "
        "file that the trial names); without its kind such a trial is refused"),
    RG_ARGUMENT_REPEATED(RerunArguments, key_variables, key_variable_count, "key-variable", 0,
                         "NAME",
                         "environment variable whose value the trial may send to its endpoint as "
                         "the key; may be repeated (default: none)"),
    RG_ARGUMENT_OPTION(RerunArguments, threads, "threads", 't', "N",
                       "threads (default: all processors; never changes the bits)", .low = 1,
                       .high = 4096),
    RG_ARGUMENT_OPTION(RerunArguments, quiet, "quiet", 'q', NULL, "show no progress"),
    RG_ARGUMENT_END,
};

/* Seconds between checkpoints of a rerun; the default of regatta run. */
static const double checkpoint_seconds = 10;

static RgRunOptions run_options(const RerunArguments *a, const char *results) {
    return (RgRunOptions){.results = results,
                          .threads = rg_threads(),
                          .jobs = 1,
                          .checkpoint_seconds = checkpoint_seconds,
                          .quiet = a->quiet};
}

static RgStatus rerun(void *arguments, RgError *error) {
    RerunArguments *a = arguments;
    RgTrialPackage package;
    RgStatus status = open_package(a, &package, error);
    RgRunOptions options = run_options(a, a->results);
    if (status == RG_OK)
        status = rg_experiment_run(package.experiment, NULL, &options, NULL, error);
    rg_trial_package_close(&package);
    return status;
}

static const RgArgument rerun_arguments[] = {
    RG_ARGUMENT_EXTEND(package_arguments),
    RG_ARGUMENT_OPTION(RerunArguments, results, "results", 'r', "FILE",
                       "results store (default: results/NAME.db)"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_rerun = {
    .name = "rerun",
    .summary = "run a packed trial again",
    .usage = "TRIAL",
    .purpose = "Run a packed trial again, from its resolved config.",
    .details = "The trial is recorded in the results store as by regatta run, under the name of "
               "its experiment. If it is finished there, nothing is done. Inputs must match the "
               "packed or named files in size and SHA-256. Settings that run a program, send texts "
               "or write files elsewhere are refused, unless --allow names their kind.",
    .arguments = rerun_arguments,
    .size = sizeof(RerunArguments),
    .check = check_allowed,
    .run = rerun,
};

/* Reruns in a temporary folder, which is removed afterwards. */
static RgStatus rerun_and_verify(const RgTrialPackage *package, const RerunArguments *a,
                                 RgRerunVerdict *verdict, RgError *error) {
    char *folder;
    RG_TRY(rg_scratch_folder("verify", &folder, error));
    char *results = rg_string_format("%s/rerun.db", folder);
    RgRunOptions options = run_options(a, results);
    RgStatus status = rg_experiment_run(package->experiment, NULL, &options, NULL, error);
    if (status == RG_OK)
        status = rg_trial_verify(package, results, a->tolerance, stdout, verdict, error);
    rg_folder_remove(folder);
    free(results);
    free(folder);
    return status;
}

static RgStatus verify(void *arguments, RgError *error) {
    RerunArguments *a = arguments;
    RgTrialPackage package;
    RgRerunVerdict verdict = RG_RERUN_DIFFERENT;
    RgStatus status = open_package(a, &package, error);
    if (status == RG_OK) {
        printf("%s, seed %lld of experiment %s, key %s\n", rg_trial_package_text(&package, "label"),
               (long long)package.experiment->trials[0].seed,
               rg_trial_package_text(&package, "experiment"),
               rg_trial_package_text(&package, "key"));
        fflush(stdout);
        status = rerun_and_verify(&package, a, &verdict, error);
    }
    rg_trial_package_close(&package);
    if (status == RG_OK && verdict == RG_RERUN_DIFFERENT)
        status = rg_fail(error, RG_E_RANGE, "%s", ""); /* the verdict is printed */
    return status;
}

static const RgArgument verify_arguments[] = {
    RG_ARGUMENT_EXTEND(package_arguments),
    RG_ARGUMENT_OPTION(RerunArguments, tolerance, "tolerance", 0, "R",
                       "largest difference that counts as rounding, relative to the metric's "
                       "largest magnitude (default: 1e-3)",
                       .high = 1),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_verify = {
    .name = "verify",
    .summary = "run a packed trial again and check that the result is the same",
    .usage = "TRIAL",
    .purpose = "Run a packed trial again and check whether it gives the same result.",
    .details =
        "Compared are the outcome, every metric and evaluated item of every step, the responses, "
        "the counted costs, and the weights. The verdict is equal bits, equal up to rounding, or "
        "another result, with the largest difference of each metric. Bits repeat with the same "
        "version on the same BLAS kernels (OPENBLAS_CORETYPE selects them); differences in these "
        "are reported. The rerun itself is discarded. Settings that run a program, send texts or "
        "write files elsewhere are refused, unless --allow names their kind.\n\n"
        "Exit status: 0 the same result, bit for bit or up to rounding, 1 another result or a "
        "failure, 2 bad usage.",
    .arguments = verify_arguments,
    .size = sizeof(RerunArguments),
    .defaults = &(const RerunArguments){.tolerance = 1e-3},
    .check = check_allowed,
    .run = verify,
};
