/* SPDX-License-Identifier: MIT */
/* regatta merge: copies results stores into one. */
#include "core/results/store_merge.h"
#include "experiments/program/commands/command.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct MergeArguments {
    const char *target;
    const char **sources;
    int source_count;
    bool quiet;
} MergeArguments;

static const struct argp_option options[] = {
    {"quiet", 'q', NULL, 0, "do not print counts", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    MergeArguments *a = state->input;
    switch (key) {
    case 'q':
        a->quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        if (!a->target) {
            a->target = argument;
            return 0;
        }
        a->sources = rg_reallocate(a->sources, (size_t)a->source_count + 1, sizeof *a->sources);
        a->sources[a->source_count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (a->source_count == 0)
            argp_error(state, "expected a results store to write and stores to merge into it");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse,
    "TARGET.db SOURCE.db...",
    "Copy experiments and trials of other results stores into one, with their weights.\v"
    "TARGET is created if it does not exist. Of two records of one trial, a finished one replaces "
    "an unfinished one, and equal ones are kept once. Two different results are an error that "
    "names the trial; then nothing of that source is merged, and TARGET is not created. Sources "
    "are only read. After an interruption, run the merge again. Unfinished trials are copied with "
    "their checkpoints, and regatta run resumes them. Weights and checkpoints are checked against "
    "their SHA-256: damaged weights are an error for their source; a damaged checkpoint is "
    "reported, and its trial is copied without it.",
    NULL,
    NULL,
    NULL,
};

int rg_command_merge(int argc, char **argv) {
    MergeArguments a = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgError error = {0};
    RgStore *store;
    int merged = 0;
    RgStatus status = rg_store_open(a.target, true, &store, &error);
    for (int i = 0; i < a.source_count && status == RG_OK; i++) {
        RgMergeCounts counts = {0};
        status = rg_store_merge(store, a.sources[i], &counts, &error);
        merged += status == RG_OK;
        if (status == RG_OK && !a.quiet)
            printf("%s: %ld trials added, %ld replaced, %ld kept\n", a.sources[i],
                   (long)counts.added, (long)counts.replaced, (long)counts.kept);
    }
    (merged > 0 ? rg_store_close : rg_store_discard)(store);
    free(a.sources);
    return rg_command_end(status, &error);
}
