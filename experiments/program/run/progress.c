/* SPDX-License-Identifier: MIT */
/* The progress lines. Between drawings the cursor is at the start of the first line, so that a note
 * from any process clears them with one sequence and replaces them. */
#include "experiments/program/run/progress.h"

#include "core/names.h"
#include "core/notice.h"
#include "core/text/terminal.h"
#include "core/utf8.h"
#include "experiments/program/config/units.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static const double terminal_interval = 0.2, log_interval = 10; /* seconds between lines */
static const char clear[] = "\r\033[J";                         /* from the cursor to the end */

RgProgress rg_progress_create(int64_t trials, bool quiet) {
    return (RgProgress){.trials = trials,
                        .terminal = isatty(STDERR_FILENO) == 1,
                        .quiet = quiet,
                        .out = stderr,
                        .lines = rg_allocate(1, sizeof(RgProgressLine)),
                        .places = 1,
                        .drawer = getpid()};
}

static void release_lines(RgProgress *progress) {
    if (progress->shared)
        munmap(progress->lines, (size_t)progress->places * sizeof *progress->lines);
    else
        free(progress->lines);
    progress->lines = NULL;
}

void rg_progress_share(RgProgress *progress, int places) {
    release_lines(progress);
    progress->places = places;
    progress->shared = true;
    progress->lines = mmap(NULL, (size_t)places * sizeof *progress->lines, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    RG_ASSERT(progress->lines != MAP_FAILED);
}

/* ---- drawing ---- */

static int columns(void) {
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : 80;
}

/* Draws all lines, each cut to the terminal's width, and returns to the first. */
static void draw(RgProgress *progress) {
    char *text = NULL;
    size_t size;
    int drawn = 0, width = columns() - 1;
    FILE *stream = open_memstream(&text, &size);
    RG_ASSERT(stream);
    fputs(clear, stream);
    for (int i = 0; i < progress->places; i++) {
        RgProgressLine line = progress->lines[i]; /* another process may be writing to it */
        line.text[sizeof line.text - 1] = '\0';
        if (!line.text[0])
            continue;
        fprintf(stream, "%s%.*s", drawn ? "\n" : "", (int)rg_utf8_cut(line.text, (size_t)width),
                line.text);
        drawn++;
    }
    if (drawn > 1)
        fprintf(stream, "\033[%dA", drawn - 1);
    fputc('\r', stream);
    fclose(stream);
    rg_terminal_control(progress->out, text);
    free(text);
}

void rg_progress_draw(RgProgress *progress) {
    double now = rg_clock_seconds();
    if (progress->quiet || !progress->terminal || getpid() != progress->drawer ||
        now - progress->last_shown < terminal_interval)
        return;
    progress->last_shown = now;
    draw(progress);
}

void rg_progress_leave(RgProgress *progress, int place) {
    progress->lines[place].text[0] = '\0';
}

/* ---- a trial ---- */

static void write_notice(void *context, const char *line) {
    const RgProgress *progress = context;
    rg_progress_note(context, "%s: %s", progress->name, line);
}

void rg_progress_trial(RgProgress *progress, const char *name, const RgBudgetOptions *budget,
                       const RgSpending *begun) {
    progress->name = name;
    progress->budget = *budget;
    progress->begun = *begun;
    progress->started = progress->last_shown = rg_clock_seconds();
    rg_notice_use(write_notice, progress);
}

void rg_progress_trial_end(RgProgress *progress) {
    rg_notice_use(NULL, NULL);
    progress->done++;
    progress->done_seconds += rg_clock_seconds() - progress->started;
    rg_progress_leave(progress, progress->place);
}

/* Seconds until the trial ends, at its pace so far; NaN: unknown. */
static double seconds_left(const RgProgress *progress, double share, double now) {
    double begun = rg_budget_share(&progress->budget, &progress->begun, NULL);
    return share > begun ? (1 - share) * (now - progress->started) / (share - begun) : NAN;
}

/* "[3/63] exact seed 1, exploration 0.3: step 34/60, 57 %, 1.2/s, 22s left, all 31m05s  loss 0.6"
 */
static void write_line(const RgProgress *progress, const RgTrainer *trainer, double now,
                       RgProgressLine *line) {
    char left[32], all[48] = "", total[32] = "", duration[32];
    size_t size = sizeof line->text, used;
    RgSpending spending = {trainer->step, trainer->meter};
    double share = fmin(rg_budget_share(&progress->budget, &spending, NULL), 1);
    double seconds = seconds_left(progress, share, now);
    double rate = (double)(trainer->step - progress->begun.step) / (now - progress->started);
    if (progress->budget.steps > 0)
        snprintf(total, sizeof total, "/%ld", (long)progress->budget.steps);
    if (progress->done > 0 && !isnan(seconds)) { /* assumes that others take as long */
        double each = progress->done_seconds / (double)progress->done;
        double rest = seconds + each * (double)(progress->trials - progress->trial);
        snprintf(all, sizeof all, ", all %s", rg_duration_text(rest, duration));
    }
    used = (size_t)snprintf(
        line->text, size, "[%ld/%ld] %.100s: step %ld%s, %.0f %%, %.1f/s, %s left%s",
        (long)progress->trial, (long)progress->trials, progress->name, (long)trainer->step, total,
        100 * share, rate, rg_duration_text(seconds, left), all);
    const RgOutcome *outcome = &trainer->outcome;
    for (int i = 0; i < outcome->metric_count && used < size - 60; i++)
        used += (size_t)snprintf(line->text + used, size - used, "  %.24s %.4g",
                                 outcome->metrics[i].name, outcome->metrics[i].value);
    rg_make_printable(line->text);
}

void rg_progress_step(RgProgress *progress, const RgTrainer *trainer) {
    double now = rg_clock_seconds();
    double interval = progress->terminal ? terminal_interval : log_interval;
    if (progress->quiet || now - progress->last_shown < interval)
        return;
    RgProgressLine line;
    write_line(progress, trainer, now, &line);
    if (progress->terminal) {
        progress->lines[progress->place] = line;
        rg_progress_draw(progress);
    } else {
        fprintf(progress->out, "%.160s\n", line.text);
        fflush(progress->out);
    }
    progress->last_shown = now;
}

/* ---- notes ---- */

static void print_line(RgProgress *progress, const char *format, va_list arguments) {
    char line[1024];
    vsnprintf(line, sizeof line, format, arguments);
    rg_make_printable(line);
    /* One write, as other processes write too. */
    char *text =
        rg_string_format("%s%s\n", progress->terminal && !progress->quiet ? clear : "", line);
    rg_terminal_control(progress->out, text);
    free(text);
}

void rg_progress_note(RgProgress *progress, const char *format, ...) {
    if (progress->quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    print_line(progress, format, arguments);
    va_end(arguments);
}

void rg_progress_warn(RgProgress *progress, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_line(progress, format, arguments);
    va_end(arguments);
}

void rg_progress_end(RgProgress *progress) {
    if (!progress->quiet && progress->terminal)
        rg_terminal_control(progress->out, clear);
    release_lines(progress);
}
