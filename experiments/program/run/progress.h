/* SPDX-License-Identifier: MIT */
/* What a person sees while trials run: on a terminal a line for each trial that runs, rewritten in
 * place; elsewhere a plain line now and then. Goes to the standard error, so that results can be
 * piped.
 *
 * Trials may run in processes of their own. The one that leads shares the lines before it forks:
 *
 *     rg_progress_share(&progress, jobs);
 *     child:   progress.place = i;  … rg_progress_trial, rg_progress_step as ever
 *     leader:  rg_progress_draw(&progress) now and then, rg_progress_leave(&progress, i) at its end
 *
 * Then the children write into their lines and the leader alone draws them. All may leave notes. */
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
    int64_t trial, trials; /* number of this trial, from 1, and of all */
    const char *name;      /* of this trial */
    RgBudgetOptions budget;
    RgSpending begun;    /* where this process took it up … */
    double started;      /* … and when */
    double last_shown;   /* on a terminal drawn, elsewhere written */
    int64_t done;        /* trials that this process has run to their end … */
    double done_seconds; /* … and for how long, in all */
    bool terminal, quiet;
    FILE *out;
    RgProgressLine *lines; /* [places] */
    int places, place;     /* of all trials that run at a time, and of this one */
    bool shared;
    pid_t drawer; /* the process that draws the lines */
} RgProgress;

RgProgress rg_progress_create(int64_t trials, bool quiet);
/* From now on processes that are forked write lines of their own, this one draws them. */
void rg_progress_share(RgProgress *progress, int places);

/* A trial begins; its name is borrowed. */
void rg_progress_trial(RgProgress *progress, const char *name, const RgBudgetOptions *budget,
                       const RgSpending *begun);
void rg_progress_step(RgProgress *progress, const RgTrainer *trainer);
/* It ends. */
void rg_progress_trial_end(RgProgress *progress);

void rg_progress_draw(RgProgress *progress);
void rg_progress_leave(RgProgress *progress, int place); /* a line that is no more */
/* A line that stays, above what is drawn; and one that is told to those, too, who want no progress.
 */
void rg_progress_note(RgProgress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void rg_progress_warn(RgProgress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void rg_progress_end(RgProgress *progress);

#endif
