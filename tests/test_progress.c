/* SPDX-License-Identifier: MIT */
/* What is seen while trials run: the lines of several, the pace by the budget, notes above them. */
#include "experiments/program/run/progress.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *text;
static size_t size;

/* Progress on what takes itself for a terminal, or for a file. */
static RgProgress progress_on(bool terminal) {
    RgProgress progress = rg_progress_create(9, false);
    progress.terminal = terminal;
    progress.out = open_memstream(&text, &size);
    return progress;
}

/* A trial that has run for `seconds`, up to this step and spending. */
static void show(RgProgress *progress, const char *name, double seconds, int64_t step,
                 double flops) {
    static const RgBudgetOptions budget = {.flops = 1000};
    RgTrainer trainer = {.step = step, .meter.flops = flops};
    trainer.outcome.metrics[trainer.outcome.metric_count++] = (struct RgMetric){"loss", 0.5};
    rg_progress_trial(progress, name, &budget, &(RgSpending){0});
    progress->started -= seconds;
    progress->last_shown -= seconds;
    rg_progress_step(progress, &trainer);
}

static void done(RgProgress *progress) {
    FILE *out = progress->out;
    rg_progress_end(progress);
    fclose(out);
    free(text);
}

Test(progress, what_is_left_is_by_the_limit_that_comes_first) {
    RgProgress progress = progress_on(false);
    progress.trial = 3;
    show(&progress, "dpo seed 1", 1000, 5, 250);
    cr_assert(strstr(text, "[3/9] dpo seed 1: step 5, 25 %, 0.0/s, 50m00s left  loss 0.5\n"), "%s",
              text);
    done(&progress);
}

Test(progress, the_rest_is_by_the_trials_before) {
    RgProgress progress = progress_on(false);
    progress.trial = 1;
    show(&progress, "a", 7200, 5, 1000);
    rg_progress_trial_end(&progress);
    progress.trial = 2;
    show(&progress, "b", 3600, 5, 500);
    cr_assert(strstr(text, "1h00m left, all 15h00m"), "an hour, and seven times two: %s", text);
    done(&progress);
}

Test(progress, lines_of_several_processes_are_drawn_by_one) {
    RgProgress progress = progress_on(true);
    rg_progress_share(&progress, 3);
    for (int place = 0; place < 3; place++) {
        pid_t child = fork();
        if (child == 0) {
            char name[] = "trial A";
            name[6] = (char)('A' + place);
            progress.place = place;
            show(&progress, name, 1000, 5, 250);
            _exit(size > 0); /* it has drawn by itself */
        }
        int status;
        waitpid(child, &status, 0);
        cr_assert_eq(status, 0);
    }
    rg_progress_leave(&progress, 1);
    rg_progress_draw(&progress);
    const char *first = strstr(text, "trial A: step 5"), *second = strstr(text, "trial C: step 5");
    cr_assert(first && second && first < second, "%s", text);
    cr_assert_null(strstr(text, "trial B"));
    cr_assert_eq(strncmp(text, "\r\033[J", 4), 0);
    cr_assert_str_eq(text + size - 5, "\033[1A\r", "back to the first of two lines");
    rg_progress_note(&progress, "a note of %d lines", 1);
    cr_assert(strstr(text, "\r\033[Ja note of 1 lines\n"), "over what was drawn");
    done(&progress);
}

Test(progress, a_line_is_cut_to_the_width_of_the_terminal) {
    RgProgress progress = progress_on(true);
    show(&progress, "α seed 1, with more and more and more and more and more swept values", 1000, 5,
         250);
    const char *line = strchr(text, '[') + 3; /* after the clearing sequence */
    size_t width = 0;
    for (const char *c = line; *c && *c != '\r'; c++)
        width += ((unsigned char)*c & 0xC0) != 0x80;
    cr_assert_leq(width, 80);
    cr_assert_null(strchr(line, '\n'));
    done(&progress);
}

Test(progress, quiet_is_quiet) {
    RgProgress progress = progress_on(false);
    progress.quiet = true;
    show(&progress, "dpo", 1000, 5, 250);
    rg_progress_note(&progress, "nothing");
    rg_progress_draw(&progress);
    fflush(progress.out);
    cr_assert_eq(size, 0);
    done(&progress);
}
