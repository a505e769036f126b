/* What a person sees while trials run: one line that rewrites itself on a terminal, a plain line
 * now and then elsewhere. Goes to the standard error, so that results can be piped. */
#ifndef RG_EXPERIMENTS_PROGRESS_H
#define RG_EXPERIMENTS_PROGRESS_H

#include "algorithms/trainer.h"

typedef struct RgProgress {
    int64_t trial, trials; /* number of this trial, from 1, and of all */
    const char *label;
    int64_t seed;
    int64_t total_steps; /* 0: not known */
    int64_t first_step;  /* that this process took */
    double started;      /* clock at the trial's start */
    double last_shown;
    bool terminal;
    bool quiet;
} RgProgress;

RgProgress rg_progress_create(int64_t trials, bool quiet);
void rg_progress_trial(RgProgress *progress, int64_t trial, const char *label, int64_t seed,
                       int64_t first_step, int64_t total_steps);
void rg_progress_step(RgProgress *progress, const RgTrainer *trainer);
/* A line that stays, under what the progress line shows. */
void rg_progress_note(RgProgress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void rg_progress_end(RgProgress *progress);

#endif
