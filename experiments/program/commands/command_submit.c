/* SPDX-License-Identifier: MIT */
/* regatta submit: an experiment as a Slurm job array. Each task of the array runs a share of the
 * trials (regatta run --share). A last job waits for all tasks, merges the shares and runs the
 * remaining trials. */
#include "core/files.h"
#include "core/new_file.h"
#include "core/results/parts.h"
#include "core/tensor/instructions.h"
#include "core/text/terminal.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/run/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct SubmitArguments {
    RgConfigArguments config;
    const char *results;
    int shares, threads; /* 0 shares: one for each trial */
    const char **sbatch; /* [sbatch_count], options passed to sbatch */
    int sbatch_count;
    bool dry;
} SubmitArguments;

enum { MOST_SHARES = 1000 }; /* Slurm's own default for the largest array */

/* ---- scripts ---- */

/* Writes `word` quoted for the shell. */
static void write_word(FILE *file, const char *word) {
    fputs(" '", file);
    for (const char *c = word; *c; c++)
        if (*c == '\'')
            fputs("'\\''", file);
        else
            fputc(*c, file);
    fputc('\'', file);
}

/* Writes a word of an #SBATCH line: sbatch removes quotes and backslashes as a shell does. */
static void write_directive_word(FILE *file, const char *word) {
    fputc('"', file);
    for (const char *c = word; *c; c++) {
        if (*c == '"' || *c == '\\')
            fputc('\\', file);
        fputc(*c, file);
    }
    fputc('"', file);
}

/* Path of this program, for machines that do not have it on the PATH. */
static const char *program_path(void) {
    static char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    return size > 0 ? path : "regatta";
}

typedef struct Job {
    const char *kind;   /* "array", "gather" */
    const char *name;   /* of the experiment */
    const char *folder; /* of scripts and logs */
    const char *store;
    int shares;
} Job;

/* The job's log file. In `folder`, % is escaped: it is no placeholder of Slurm's. */
static char *log_path(const char *folder, const char *number) {
    char *path = NULL;
    size_t size;
    FILE *stream = open_memstream(&path, &size);
    RG_ASSERT(stream);
    for (const char *c = folder; *c; c++)
        fputs(*c == '%' ? "%%" : (const char[]){*c, '\0'}, stream);
    fprintf(stream, "/slurm-%s.log", number);
    fclose(stream);
    return path;
}

/* `exec` replaces the script by the program, so that the program gets Slurm's signal. */
static void write_script(FILE *file, const Job *job, const SubmitArguments *a) {
    bool array = strcmp(job->kind, "array") == 0;
    char *name = rg_string_format("%s-%s", job->name, job->kind);
    char *log = log_path(job->folder, array ? "%A-%a" : "%j");
    fputs("#!/bin/sh\n#SBATCH --job-name=", file);
    write_directive_word(file, name);
    fprintf(file, "\n#SBATCH --cpus-per-task=%d\n", a->threads);
    if (array)
        fprintf(file, "#SBATCH --array=1-%d\n", job->shares);
    fputs("#SBATCH --output=", file);
    write_directive_word(file, log);
    fputs("\n#SBATCH --signal=B:TERM@60\nexec", file);
    free(name);
    free(log);
    write_word(file, program_path());
    const char *kernels = getenv(RG_INSTRUCTIONS_VARIABLE); /* sbatch may not pass variables on */
    if (kernels && kernels[0])
        fprintf(file, " --kernels=%s", kernels);
    fputs(" run", file);
    write_word(file, a->config.path);
    for (int i = 0; i < a->config.override_count; i++) {
        fputs(" -s", file);
        write_word(file, a->config.overrides[i]);
    }
    fputs(" -r", file);
    write_word(file, job->store);
    fprintf(file, " -t %d", a->threads);
    if (array)
        fprintf(file, " --share \"$SLURM_ARRAY_TASK_ID/%d\"", job->shares);
    fputc('\n', file);
}

/* ---- sbatch ---- */

/* Runs a program and returns the first line of its standard output. */
static RgStatus run_program(const char *const *words, char line[128], RgError *error) {
    int ends[2], how = 0;
    if (pipe(ends) != 0)
        return rg_fail(error, RG_E_FILE, "cannot make a pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(words[0], (char *const *)words);
        fprintf(stderr, "%s: %s\n", words[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    line[0] = '\0';
    if (output && !fgets(line, 128, output))
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (child > 0)
        waitpid(child, &how, 0);
    if (output)
        fclose(output);
    if (child < 0 || !WIFEXITED(how) || WEXITSTATUS(how) != 0)
        return rg_fail(error, RG_E_FILE, "%s failed: see its message above", words[0]);
    return RG_OK;
}

/* The user's options come after those in the script, and override them. `after`: a job that must
 * end first, or NULL. `number` receives the number of the new job. */
static RgStatus submit(const char *script, const SubmitArguments *a, const char *after,
                       char number[128], RgError *error) {
    const char **words = rg_allocate(a->sbatch_count + 5, sizeof *words);
    int count = 0;
    words[count++] = "sbatch";
    words[count++] = "--parsable";
    char *dependency = after ? rg_string_format("--dependency=afterany:%s", after) : NULL;
    if (dependency)
        words[count++] = dependency;
    for (int i = 0; i < a->sbatch_count; i++)
        words[count++] = a->sbatch[i];
    words[count] = script;
    RgStatus status = run_program(words, number, error);
    number[strcspn(number, ";")] = '\0'; /* "1234;cluster" */
    if (status == RG_OK && !number[0])
        status =
            rg_fail(error, RG_E_FORMAT, "sbatch --parsable: expected a job number, found nothing");
    free(dependency);
    free(words);
    return status;
}

/* Writes a job's script beside the store, and submits it. */
static RgStatus submit_job(const Job *job, const SubmitArguments *a, const char *after,
                           char number[128], RgError *error) {
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    RG_ASSERT(memory);
    write_script(memory, job, a);
    fclose(memory);
    RgStatus status = RG_OK;
    if (a->dry) {
        rg_terminal_data();
        printf("%s\n", text);
    } else {
        char *path = rg_string_format("%s/submit-%s.sh", job->folder, job->kind);
        status = rg_file_write(path, text, size, error);
        if (status == RG_OK)
            status = submit(path, a, after, number, error);
        free(path);
    }
    free(text);
    return status;
}

/* ---- the command ---- */

/* The shares left by an earlier submission are merged first, as the new shares differ. */
static RgStatus gather(const char *store, RgError *error) {
    RgStore *whole;
    RG_TRY(rg_store_open(store, true, &whole, error));
    RgStatus status = rg_parts_gather(whole, error);
    rg_store_close(whole);
    return status;
}

/* A line of an sbatch script can hold any path without a line break. */
static RgStatus check_store(const char *store, RgError *error) {
    return strpbrk(store, "\n\r")
               ? rg_fail(error, RG_E_USAGE, "--results %s: expected a path without line breaks",
                         store)
               : RG_OK;
}

static RgStatus submit_all(const RgExperiment *experiment, const SubmitArguments *a,
                           RgError *error) {
    char *store = rg_experiment_store_path(experiment, a->results);
    char *folder = rg_store_folder(store), array[128], last[128];
    int64_t most = experiment->trial_count < MOST_SHARES ? experiment->trial_count : MOST_SHARES;
    if (a->shares > 0)
        most = a->shares;
    Job job = {"array", experiment->options.name, folder, store, (int)most};
    RgStatus status = check_store(store, error);
    if (status == RG_OK && !a->dry) {
        char *inside = rg_string_format("%s/", folder);
        status = rg_folders_make_above(inside, error);
        free(inside);
        if (status == RG_OK)
            status = gather(store, error);
    }
    if (status == RG_OK)
        status = submit_job(&job, a, NULL, array, error);
    job.kind = "gather";
    if (status == RG_OK)
        status = submit_job(&job, a, array, last, error);
    if (status == RG_OK && !a->dry)
        printf("%ld trials in %d tasks: job %s, then job %s to merge them\n",
               (long)experiment->trial_count, job.shares, array, last);
    free(folder);
    free(store);
    return status;
}

static RgStatus check_sbatch_options(void *arguments, RgError *error) {
    const SubmitArguments *a = arguments;
    for (int i = 0; i < a->sbatch_count; i++)
        if (a->sbatch[i][0] != '-')
            return rg_fail(error, RG_E_USAGE,
                           "%s is one argument too many: expected sbatch options after --, such "
                           "as --time=60",
                           a->sbatch[i]);
    return RG_OK;
}

static RgStatus submit_experiment(void *arguments, RgError *error) {
    const SubmitArguments *a = arguments;
    RgExperiment *experiment = NULL;
    RG_TRY(rg_experiment_open(a->config.path, a->config.overrides, a->config.override_count,
                              &experiment, error));
    RgStatus status = submit_all(experiment, a, error);
    rg_experiment_close(experiment);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_INCLUDE(SubmitArguments, config, rg_config_arguments),
    RG_ARGUMENT_REST(SubmitArguments, sbatch, sbatch_count, NULL),
    RG_ARGUMENT_OPTION(SubmitArguments, results, "results", 'r', "FILE",
                       "results store (default: results/NAME.db)"),
    RG_ARGUMENT_OPTION(
        SubmitArguments, shares, "array-size", 0, "N",
        "tasks of the array, each with every Nth trial (default: one per trial, at most 1000)",
        .low = 1, .high = 1e6),
    RG_ARGUMENT_OPTION(SubmitArguments, threads, "threads", 't', "N",
                       "processors of each task (default: 1)", .low = 1, .high = 4096),
    RG_ARGUMENT_OPTION(SubmitArguments, dry, "dry-run", 'n', NULL,
                       "print the two scripts; do not write or submit them"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_submit = {
    .name = "submit",
    .summary = "submit an experiment as a Slurm job array",
    .usage = "CONFIG [-- SBATCH-OPTION...]",
    .purpose = "Submit an experiment to Slurm as a job array.",
    .details = "Each task of the array runs a share of the trials into a partial store. When all "
               "have ended, in whatever way, one more job merges the shares and runs the remaining "
               "trials. Finished trials are not repeated and interrupted ones resume from their "
               "checkpoints, so the same command can be given again. Options after -- are passed "
               "to sbatch, for both jobs: regatta submit sweep.cfg -t 4 -- --time=600 --mem=8G.\n\n"
               "Scripts and logs are in the folder of the store's name without .db. Slurm signals "
               "a task one minute before ending it; the task then writes a checkpoint. All "
               "machines must share these folders.",
    .arguments = arguments,
    .size = sizeof(SubmitArguments),
    .defaults = &(const SubmitArguments){.threads = 1},
    .check = check_sbatch_options,
    .run = submit_experiment,
};
