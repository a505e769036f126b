/* SPDX-License-Identifier: MIT */
/* Progress output while trials run. On a terminal there is one line per running trial, rewritten in
 * place; otherwise a plain line now and then. It goes to stderr, so that results can be piped.
 *
 * Trials may run in separate processes. Their leader shares the lines before it forks:
 *
 *     rg_progress_share(&progress, jobs);
 *     child:   progress.place = i;  … rg_progress_trial, rg_progress_step as usual
 *     leader:  rg_progress_draw(&progress) now and then, rg_progress_leave(&progress, i) at its end
 *
 * Children then write into their lines and only the leader draws them. All may write notes. Within
 * a process, one thread at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_PROGRESS_H
#define RG_EXPERIMENTS_PROGRAM_RUN_PROGRESS_H

#include "algorithms/training/trainer.h"
#include "experiments/program/config/budget.h"

#include <stdio.h>
#include <sys/types.h>

typedef struct RgProgressLine {
    char text[240]; /* "": none */
} RgProgressLine;

typedef struct RgProgress {
    int64_t trial, trials; /* number of this trial, from 1, and number of trials */
    const char *name;      /* of this trial */
    RgBudgetOptions budget;
    RgSpending begun;    /* spending when this process started the trial … */
    double started;      /* … and its clock then */
    double last_shown;   /* clock of the last line, drawn or written */
    int64_t done;        /* trials that this process has finished … */
    double done_seconds; /* … and their total time */
    bool terminal, quiet;
    FILE *out;
    RgProgressLine *lines; /* [places] */
    int places, place;     /* number of concurrent trials, and the line of this one */
    bool shared;
    pid_t drawer; /* the process that draws the lines */
} RgProgress;

RgProgress rg_progress_create(int64_t trials, bool quiet);
/* From now on forked processes write their own lines, and this one draws them. */
void rg_progress_share(RgProgress *progress, int places);

/* A trial begins. `name` is borrowed. */
void rg_progress_trial(RgProgress *progress, const char *name, const RgBudgetOptions *budget,
                       const RgSpending *begun);
void rg_progress_step(RgProgress *progress, const RgTrainer *trainer);
/* The trial ends. */
void rg_progress_trial_end(RgProgress *progress);

void rg_progress_draw(RgProgress *progress);
void rg_progress_leave(RgProgress *progress, int place); /* removes a line */
/* Prints a permanent line above the progress lines. rg_progress_warn prints it even if `quiet`. */
void rg_progress_note(RgProgress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void rg_progress_warn(RgProgress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void rg_progress_end(RgProgress *progress);

#endif
