/* The progress line. */
#include "experiments/progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const double terminal_interval = 0.2, log_interval = 10; /* seconds between lines */

RgProgress rg_progress_create(int64_t trials, bool quiet) {
    return (RgProgress){.trials = trials, .terminal = isatty(STDERR_FILENO) == 1, .quiet = quiet};
}

void rg_progress_trial(RgProgress *progress, int64_t trial, const char *label, int64_t seed,
                       int64_t first_step, int64_t total_steps) {
    progress->trial = trial;
    progress->label = label;
    progress->seed = seed;
    progress->first_step = first_step;
    progress->total_steps = total_steps;
    progress->started = progress->last_shown = rg_clock_seconds();
}

static void format_duration(double seconds, char *text, size_t size) {
    long s = lround(seconds);
    if (s < 60)
        snprintf(text, size, "%lds", s);
    else if (s < 3600)
        snprintf(text, size, "%ldm%02lds", s / 60, s % 60);
    else
        snprintf(text, size, "%ldh%02ldm", s / 3600, s / 60 % 60);
}

void rg_progress_step(RgProgress *progress, const RgTrainer *trainer) {
    double now = rg_clock_seconds();
    double interval = progress->terminal ? terminal_interval : log_interval;
    if (progress->quiet || now - progress->last_shown < interval)
        return;
    progress->last_shown = now;

    double rate = (double)(trainer->step - progress->first_step) / (now - progress->started);
    char line[256], left[32] = "?";
    if (progress->total_steps > 0 && rate > 0)
        format_duration((double)(progress->total_steps - trainer->step) / rate, left, sizeof left);
    int used = snprintf(line, sizeof line, "[%ld/%ld] %s seed %ld step %ld/%ld %.1f/s ETA %s",
                        (long)progress->trial, (long)progress->trials, progress->label,
                        (long)progress->seed, (long)trainer->step, (long)progress->total_steps,
                        rate, left);
    for (int i = 0; i < trainer->metric_count && used < 110; i++)
        used += snprintf(line + used, sizeof line - (size_t)used, "  %s %.4g",
                         trainer->metrics[i].name, trainer->metrics[i].value);
    fprintf(stderr, progress->terminal ? "\r%.*s\033[K" : "%.*s\n", 160, line);
    fflush(stderr);
}

void rg_progress_note(RgProgress *progress, const char *format, ...) {
    if (progress->quiet)
        return;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, progress->terminal ? "\r\033[K%s\n" : "%s\n", line); /* whole, beside others */
}

void rg_progress_end(RgProgress *progress) {
    if (!progress->quiet && progress->terminal)
        fputs("\r\033[K", stderr);
}
