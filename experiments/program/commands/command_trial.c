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

enum { KEY_SEED = 256, KEY_WITH_INPUTS, KEY_TOLERANCE, KEY_ALLOW, KEY_KEY_VARIABLE };

/* ---- export-trial ---- */

static const struct argp_option pack_options[] = {
    {"experiment", 'e', "NAME", 0, "experiment in the store (default: whichever has the trial)", 0},
    {"seed", KEY_SEED, "N", 0, "seed, if several trials have the label", 0},
    {"output", 'o', "TRIAL", 0, "where to write: an archive *" RG_ARCHIVE_SUFFIX ", else a folder",
     0},
    {"with-inputs", KEY_WITH_INPUTS, NULL, 0,
     "copies of data, tokenizer and base weights too, which else are only named by size and "
     "SHA-256",
     0},
    {0},
};

static error_t parse_pack(int key, char *argument, struct argp_state *state) {
    RgTrialPackOptions *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->choice;
        return 0;
    case 'e':
        o->choice.experiment = argument;
        return 0;
    case KEY_SEED:
        o->seed = rg_argument_integer(state, "--seed", argument, 0, INT64_MAX);
        return 0;
    case 'o':
        o->output = argument;
        return 0;
    case KEY_WITH_INPUTS:
        o->with_inputs = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_error(state, "%s is one argument too many", argument);
        *(state->arg_num == 0 ? &o->store : &o->trial) = argument;
        return 0;
    case ARGP_KEY_END:
        if (!o->trial || !o->output)
            argp_error(state, "expected a results store, a trial's label or key, and -o TRIAL");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child choice_child[] = {{&rg_choice_argp, 0, NULL, 0}, {0}};

static const struct argp pack_argp = {
    pack_options,
    parse_pack,
    "RESULTS.db LABEL|KEY",
    "Pack one trial, so that another machine can rerun it and verify its result.\v"
    "TRIAL holds the resolved config, the final weights, a results store with this trial alone, "
    "and trial.json: outcome, provenance, program version, and the name, size and SHA-256 of each "
    "packed file and of each input of the trial in its present state. A trial with missing curve "
    "rows or damaged weights is refused. regatta table prints labels; regatta run --dry-run prints "
    "keys. A label selects a trial of the latest config, unless --where or --all select others. "
    "A key selects a trial of any config. regatta table and regatta merge can read the store in "
    "TRIAL.",
    choice_child,
    NULL,
    NULL,
};

int rg_command_export_trial(int argc, char **argv) {
    RgTrialPackOptions options = {.seed = -1};
    argp_parse(&pack_argp, argc, argv, 0, NULL, &options);
    RgError error = {0};
    RgStatus status = rg_trial_pack(&options, &error);
    free(options.choice.where);
    return rg_command_end(status, &error);
}

/* ---- rerun and verify ---- */

typedef struct RerunArguments {
    const char *trial, *results;
    const char **inputs;
    int input_count, threads;
    RgAllowed allowed;
    double tolerance;
    bool quiet;
} RerunArguments;

static void parse_allowed(const char *list, RgAllowed *allowed, struct argp_state *state) {
    RgError error = {0};
    if (rg_allowed_add(allowed, list, &error) != RG_OK)
        argp_error(state, "%s", error.text);
}

/* Arguments of both commands. */
static error_t parse_package(int key, char *argument, struct argp_state *state) {
    RerunArguments *a = state->input;
    switch (key) {
    case 'i':
        a->inputs = rg_reallocate(a->inputs, (size_t)a->input_count + 1, sizeof *a->inputs);
        a->inputs[a->input_count++] = argument;
        return 0;
    case KEY_ALLOW:
        parse_allowed(argument, &a->allowed, state);
        return 0;
    case KEY_KEY_VARIABLE:
        rg_allowed_add_key(&a->allowed, argument);
        return 0;
    case 't':
        a->threads = (int)rg_argument_integer(state, "--threads", argument, 1, 4096);
        return 0;
    case 'q':
        a->quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        rg_argument_only(state, argument, &a->trial);
        return 0;
    case ARGP_KEY_END:
        if (!a->trial)
            argp_error(state, "expected a trial packed by regatta export-trial");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option package_options[] = {
    {"input", 'i', "SETTING=PATH", 0,
     "path of an input of the trial, e.g. -i environment.data=verses; may be repeated (default: "
     "the copy in TRIAL, else the path in its config)",
     0},
    {"allow", KEY_ALLOW, "KINDS", 0,
     "allow settings of the trial to act, as a list of kinds: command (a judge runs a program), "
     "endpoint (a judge sends texts to its address), save (a reward model is written to the "
     "file that the trial names); without its kind such a trial is refused",
     0},
    {"key-variable", KEY_KEY_VARIABLE, "NAME", 0,
     "environment variable whose value the trial may send to its endpoint as the key; may be "
     "repeated (default: none)",
     0},
    {"threads", 't', "N", 0, "threads (default: all processors; never changes the bits)", 0},
    {"quiet", 'q', NULL, 0, "show no progress", 0},
    {0},
};

static const struct argp package_argp = {
    package_options, parse_package, NULL, NULL, NULL, NULL, NULL};
static const struct argp_child package_child[] = {{&package_argp, 0, NULL, 0}, {0}};

static RerunArguments read_arguments(const struct argp *argp, int argc, char **argv) {
    const double usual_tolerance = 1e-3;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    RerunArguments a = {.threads = processors > 0 ? (int)processors : 1,
                        .tolerance = usual_tolerance};
    argp_parse(argp, argc, argv, 0, NULL, &a);
    rg_threads_set(a.threads);
    rg_stop_on_signals();
    return a;
}

static RgStatus open_package(const RerunArguments *a, RgTrialPackage *package, RgError *error) {
    RgTrialOpening opening = {a->inputs, a->input_count, a->allowed};
    return rg_trial_package_open(a->trial, &opening, package, error);
}

static void arguments_clear(RerunArguments *a) {
    rg_allowed_clear(&a->allowed);
    free(a->inputs);
}

/* Seconds between checkpoints of a rerun; the default of regatta run. */
static const double checkpoint_seconds = 10;

static error_t parse_rerun(int key, char *argument, struct argp_state *state) {
    RerunArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a;
        return 0;
    case 'r':
        a->results = argument;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option rerun_options[] = {
    {"results", 'r', "FILE", 0, "results store (default: results/NAME.db)", 0},
    {0},
};

static RgRunOptions run_options(const RerunArguments *a, const char *results) {
    return (RgRunOptions){.results = results,
                          .threads = rg_threads(),
                          .jobs = 1,
                          .checkpoint_seconds = checkpoint_seconds,
                          .quiet = a->quiet};
}

static const struct argp rerun_argp = {
    rerun_options,
    parse_rerun,
    "TRIAL",
    "Run a packed trial again, from its resolved config.\v"
    "The trial is recorded in the results store as by regatta run, under the name of its "
    "experiment. If it is finished there, nothing is done. Inputs must match the packed or named "
    "files in size and SHA-256. Settings that run a program, send texts or write files "
    "elsewhere are refused, unless --allow names their kind.",
    package_child,
    NULL,
    NULL,
};

int rg_command_rerun(int argc, char **argv) {
    RerunArguments a = read_arguments(&rerun_argp, argc, argv);
    RgError error = {0};
    RgTrialPackage package;
    RgStatus status = open_package(&a, &package, &error);
    RgRunOptions options = run_options(&a, a.results);
    if (status == RG_OK)
        status = rg_experiment_run(package.experiment, NULL, &options, NULL, &error);
    rg_trial_package_close(&package);
    arguments_clear(&a);
    return rg_command_end(status, &error);
}

static error_t parse_verify(int key, char *argument, struct argp_state *state) {
    RerunArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a;
        return 0;
    case KEY_TOLERANCE:
        a->tolerance = rg_argument_real(state, "--tolerance", argument, 0, 1);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option verify_options[] = {
    {"tolerance", KEY_TOLERANCE, "R", 0,
     "largest difference that counts as rounding, relative to the metric's largest magnitude "
     "(default: 1e-3)",
     0},
    {0},
};

static const struct argp verify_argp = {
    verify_options,
    parse_verify,
    "TRIAL",
    "Run a packed trial again and check whether it gives the same result.\v"
    "Compared are the outcome, every metric and evaluated item of every step, the responses, the "
    "counted costs, and the weights. The verdict is equal bits, equal up to rounding, or another "
    "result, with the largest difference of each metric. Bits repeat with the same version on "
    "the same BLAS kernels (OPENBLAS_CORETYPE selects them); differences in these are reported. "
    "The rerun itself is discarded. Settings that run a program, send texts or write files "
    "elsewhere are refused, unless --allow names their kind.\n\n"
    "Exit status: 0 the same result, bit for bit or up to rounding, 1 another result or a failure, "
    "2 bad usage.",
    package_child,
    NULL,
    NULL,
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

int rg_command_verify(int argc, char **argv) {
    RerunArguments a = read_arguments(&verify_argp, argc, argv);
    RgError error = {0};
    RgTrialPackage package;
    RgRerunVerdict verdict = RG_RERUN_DIFFERENT;
    RgStatus status = open_package(&a, &package, &error);
    if (status == RG_OK) {
        printf("%s, seed %lld of experiment %s, key %s\n", rg_trial_package_text(&package, "label"),
               (long long)package.experiment->trials[0].seed,
               rg_trial_package_text(&package, "experiment"),
               rg_trial_package_text(&package, "key"));
        fflush(stdout);
        status = rerun_and_verify(&package, &a, &verdict, &error);
    }
    rg_trial_package_close(&package);
    arguments_clear(&a);
    int code = rg_command_end(status, &error);
    return code == 0 && verdict == RG_RERUN_DIFFERENT ? 1 : code;
}
