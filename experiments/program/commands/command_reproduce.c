/* SPDX-License-Identifier: MIT */
/* regatta reproduce: runs published figures again and holds them against what is reported. */
#include "core/base.h"
#include "core/stop.h"
#include "core/tensor/threads.h"
#include "core/text/terminal.h"
#include "experiments/program/commands/command.h"
#include "experiments/program/config/paper_file.h"
#include "experiments/program/run/reproduce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ReproduceArguments {
    RgReproduceOptions options;
    RgFormatArguments format;
    const char **names; /* [name_count] of papers; none: all with experiments */
    int name_count;
    bool list, claims;
} ReproduceArguments;

/* The papers to reproduce, read: [*count]. */
typedef struct Papers {
    RgPaperFile **file;
    char **name;
    int64_t count;
} Papers;

static bool has_experiments(const RgPaper *paper) {
    return paper->experiments && paper->experiments[0];
}

static RgStatus read_papers(const ReproduceArguments *a, Papers *papers, RgError *error) {
    int64_t known = 0;
    char **all = a->name_count > 0 ? NULL : rg_paper_names(&known);
    int64_t wanted = all ? known : a->name_count;
    *papers = (Papers){.file = rg_allocate(wanted + 1, sizeof *papers->file),
                       .name = rg_allocate(wanted + 1, sizeof *papers->name)};
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < wanted && status == RG_OK; i++) {
        const char *name = all ? all[i] : a->names[i];
        RgPaperFile *file;
        status = rg_paper_read(name, &file, error);
        if (status != RG_OK)
            break;
        if (all && !has_experiments(rg_paper_of(file))) {
            rg_paper_close(file);
            continue;
        }
        papers->file[papers->count] = file;
        papers->name[papers->count++] = rg_string_copy(name);
    }
    for (int64_t i = 0; all && i < known; i++)
        free(all[i]);
    free(all);
    return status;
}

static void close_papers(Papers *papers) {
    for (int64_t i = 0; i < papers->count; i++) {
        rg_paper_close(papers->file[i]);
        free(papers->name[i]);
    }
    free(papers->file);
    free(papers->name);
}

/* Without the "./" of the working folder, in which the paper's file is, before "../". */
static const char *plain_path(const char *config) {
    return strncmp(config, "./../", 5) == 0 ? config + 2 : config;
}

static void list_papers(const Papers *papers) {
    for (int64_t i = 0; i < papers->count; i++) {
        const RgPaper *paper = rg_paper_of(papers->file[i]);
        printf("%-18s %s (%s)\n", papers->name[i], paper->title, paper->reference);
        for (int k = 0; paper->experiments && paper->experiments[k]; k++)
            printf("%-18s %s\n", "", plain_path(paper->experiments[k]));
    }
}

/* After the tables: how many figures and claims have which verdict. */
static void write_sum(const RgPaperVerdicts *verdicts, double seconds) {
    const int64_t *figures = verdicts->figures, *claims = verdicts->claims;
    fprintf(stderr, "figures: %lld agree, %lld differ, %lld cannot be compared, %lld not run",
            (long long)figures[RG_VERDICT_AGREES], (long long)figures[RG_VERDICT_DIFFERS],
            (long long)figures[RG_VERDICT_NOT_COMPARABLE], (long long)figures[RG_VERDICT_NOT_RUN]);
    if (figures[RG_VERDICT_NONE] > 0)
        fprintf(stderr, ", %lld without a verdict", (long long)figures[RG_VERDICT_NONE]);
    fprintf(stderr,
            "\nclaims: %lld hold, %lld do not hold, %lld not decided, %lld not run\n%.0f seconds\n",
            (long long)claims[RG_CLAIM_HOLDS], (long long)claims[RG_CLAIM_DOES_NOT_HOLD],
            (long long)claims[RG_CLAIM_NOT_DECIDED], (long long)claims[RG_CLAIM_NOT_RUN], seconds);
}

static RgStatus reproduce_all(ReproduceArguments *a, const Papers *papers, RgError *error) {
    RgPaperVerdicts verdicts = {0};
    double start = rg_clock_seconds();
    RgReproduceOptions *o = &a->options;
    if (o->run.jobs == 0)
        o->run.jobs = rg_processors();
    if (o->run.threads == 0)
        o->run.threads = rg_processors();
    rg_threads_set(o->run.threads);
    rg_stop_on_signals();
    o->table.out = stdout;
    for (int64_t i = 0; i < papers->count; i++) {
        if (i > 0 && !rg_table_format_is_raw(o->table.format))
            putchar('\n');
        RG_TRY(rg_reproduce(rg_paper_of(papers->file[i]), o, &verdicts, error));
    }
    if (!o->run.quiet)
        write_sum(&verdicts, rg_clock_seconds() - start);
    return RG_OK;
}

static RgStatus reproduce(void *arguments, RgError *error) {
    ReproduceArguments *a = arguments;
    Papers papers;
    RgStatus status = rg_command_table_format(&a->format, &a->options.table.format, error);
    RG_TRY(status);
    a->options.part = a->claims ? RG_PAPER_CLAIMS : RG_PAPER_ALL;
    status = read_papers(a, &papers, error);
    if (status == RG_OK && rg_table_format_is_raw(a->options.table.format) && papers.count > 1 &&
        !a->list)
        status = rg_fail(error, RG_E_USAGE,
                         "--format: one paper's table is a csv or json file: expected one NAME");
    if (status == RG_OK && a->list)
        list_papers(&papers);
    else if (status == RG_OK)
        status = reproduce_all(a, &papers, error);
    close_papers(&papers);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_REST(ReproduceArguments, names, name_count, NULL),
    RG_ARGUMENT_OPTION(ReproduceArguments, list, "list", 'l', NULL,
                       "list the papers and their experiments, then exit"),
    RG_ARGUMENT_OPTION(ReproduceArguments, options.folder, "directory", 'd', "FOLDER",
                       "folder of the results stores, one per experiment (default: "
                       "results/published)"),
    RG_ARGUMENT_OPTION(ReproduceArguments, options.only_table, "table", 0, NULL,
                       "run nothing: only the tables of what has been run"),
    RG_ARGUMENT_OPTION(ReproduceArguments, claims, "claims", 0, NULL,
                       "the claims alone; in csv and json with unrounded numbers"),
    RG_ARGUMENT_OPTION(ReproduceArguments, options.run.jobs, "jobs", 'j', "N",
                       "concurrent trials (default: the processors; never changes the bits)",
                       .low = 1, .high = 4096),
    RG_ARGUMENT_INCLUDE(ReproduceArguments, format, rg_format_arguments),
    RG_ARGUMENT_OPTION(ReproduceArguments, options.run.quiet, "quiet", 'q', NULL,
                       "show no progress"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_reproduce = {
    .name = "reproduce",
    .summary = "run published figures again and compare them with what is reported",
    .usage = "[NAME...]",
    .purpose = "Run the experiments of published figures and claims, and print reported, exact and "
               "own figures with a verdict.",
    .details =
        "NAME is a paper of analysis/papers, as for `regatta table --paper`, or a file of your "
        "own. "
        "Without NAME, all papers that name experiments are reproduced. Trials that are finished "
        "are not run again.\n\n"
        "A figure agrees if it differs from the reported value by no more than its tolerance and "
        "half the width of its own 95 % interval over seeds. The tolerance and its reason stand in "
        "the paper's file. Nothing is tuned to agree: a figure that differs is printed as one "
        "that differs.\n\n"
        "Exit status: 0 done, whatever the verdicts; 1 failed or stopped; 2 bad usage.",
    .arguments = arguments,
    .size = sizeof(ReproduceArguments),
    .defaults = &(const ReproduceArguments){.options = {.folder = "results/published",
                                                        .run = {.checkpoint_seconds = 10}}},
    .run = reproduce,
};
