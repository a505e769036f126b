/* SPDX-License-Identifier: MIT */
/* regatta merge: copies results stores into one. */
#include "core/results/store_merge.h"
#include "experiments/program/commands/command.h"

#include <stdio.h>

typedef struct MergeArguments {
    const char *target;
    const char **sources;
    int source_count;
    bool quiet;
} MergeArguments;

static RgStatus merge(void *arguments, RgError *error) {
    const MergeArguments *a = arguments;
    RgStore *store;
    int merged = 0;
    RgStatus status = rg_store_open(a->target, true, &store, error);
    for (int i = 0; i < a->source_count && status == RG_OK; i++) {
        RgMergeCounts counts = {0};
        status = rg_store_merge(store, a->sources[i], &counts, error);
        merged += status == RG_OK;
        if (status == RG_OK && !a->quiet)
            printf("%s: %ld trials added, %ld replaced, %ld kept\n", a->sources[i],
                   (long)counts.added, (long)counts.replaced, (long)counts.kept);
    }
    (merged > 0 ? rg_store_close : rg_store_discard)(store);
    return status;
}

static const RgArgument arguments[] = {
    RG_ARGUMENT_POSITIONAL(MergeArguments, target, NULL),
    RG_ARGUMENT_REST(MergeArguments, sources, source_count,
                     "expected a results store to write and stores to merge into it"),
    RG_ARGUMENT_OPTION(MergeArguments, quiet, "quiet", 'q', NULL, "do not print counts"),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_merge = {
    .name = "merge",
    .summary = "copy experiments and trials of other results stores into one",
    .usage = "TARGET.db SOURCE.db...",
    .purpose = "Copy experiments and trials of other results stores into one, with their weights.",
    .details =
        "TARGET is created if it does not exist. Of two records of one trial, a finished one "
        "replaces an unfinished one, and equal ones are kept once. Two different results are an "
        "error that names the trial; then nothing of that source is merged, and TARGET is not "
        "created. Sources are only read. After an interruption, run the merge again. Unfinished "
        "trials are copied with their checkpoints, and regatta run resumes them. Weights and "
        "checkpoints are checked against their SHA-256: damaged weights are an error for their "
        "source; a damaged checkpoint is reported, and its trial is copied without it.",
    .arguments = arguments,
    .size = sizeof(MergeArguments),
    .run = merge,
};
