/* SPDX-License-Identifier: MIT */
/* Claims about the profile: all times add up, operators are told by name and direction, and what
 * follows for more threads is Amdahl's law. */
#include <criterion/criterion.h>

#include "core/tensor/profile.h"
#include "core/tensor/tensor.h"
#include "core/tensor/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *report(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    rg_profile_report(file);
    fclose(file);
    return text;
}

static double column(const char *text, const char *name, int number) {
    const char *line = strstr(text, name);
    cr_assert(line, "no %s in:\n%s", name, text);
    double value[4]; /* times, seconds, %, threads */
    cr_assert_eq(
        sscanf(line + strlen(name), "%lf %lf %lf %lf", &value[0], &value[1], &value[2], &value[3]),
        4);
    return value[number];
}

static void some_work(RgTape *t) {
    RgReal numbers[64 * 64];
    for (int i = 0; i < 64 * 64; i++)
        numbers[i] = (RgReal)i;
    RgTensor *x = rg_variable(t, RG_SHAPE(64, 64), numbers);
    RgTensor *y = rg_matmul(t, rg_matmul(t, x, x), x);
    rg_backward(t, rg_sum(t, y), 1);
    rg_tape_reset(t);
}

Test(profile, counts_operators_forward_and_backward) {
    RgTape *t = rg_tape_create();
    rg_profile_start();
    double start = rg_clock_seconds();
    for (int i = 0; i < 3; i++)
        some_work(t);
    double seconds = rg_clock_seconds() - start, sum = 0;
    char *text = report();
    cr_assert_eq(column(text, "matmul ", 0), 6);
    cr_assert_eq(column(text, "matmul, backward ", 0), 6);
    const char *const names[] = {"matmul ", "matmul, backward "};
    for (int i = 0; i < 2; i++)
        sum += column(text, names[i], 1);
    cr_assert_leq(sum, seconds + 0.01);
    free(text);
    rg_tape_destroy(t);
}

Test(profile, says_nothing_unless_it_was_started) {
    rg_profile_lap("adrift", false);
    char *text = report();
    cr_assert_str_empty(text);
    free(text);
}

/* Seconds on one thread, of which a share s is serial, on `threads`: s + (1 − s)/threads. */
Test(profile, the_serial_share_is_what_the_threads_were_idle_for) {
    for (int threads = 2; threads <= 64; threads *= 2)
        for (double share = 0; share <= 1; share += 0.125) {
            double work = 3, wall = work * (share + (1 - share) / threads);
            cr_assert_float_eq(rg_profile_serial_share(work, wall, threads), share, 1e-12);
            cr_assert_float_eq(rg_profile_speed_up(share, threads), work / wall, 1e-12);
        }
    cr_assert_float_eq(rg_profile_serial_share(1.6, 1, 2), 0.25, 1e-12);
    /* Amdahl's law: a twentieth that is serial leaves 20 times the speed at most. */
    cr_assert_float_eq(rg_profile_speed_up(0.05, 64), 15.4216867469880, 1e-12);
    cr_assert_float_eq(rg_profile_speed_up(0.05, 1000000000), 20, 1e-6);
}

Test(profile, a_serial_share_is_a_share_whatever_the_clocks_say) {
    cr_assert_eq(rg_profile_serial_share(4.1, 2, 2), 0);
    cr_assert_eq(rg_profile_serial_share(0.9, 1, 2), 1); /* others held the processor */
    cr_assert_eq(rg_profile_serial_share(0, 1, 2), 1);
}

static void work_on_one_thread(void) {
    for (clock_t end = clock() + CLOCKS_PER_SEC / 50; clock() < end;)
        ;
}

/* One thread cannot take more processor time than time goes by. Where others have the processors,
 * the report says that it cannot tell a share. */
Test(profile, tells_a_loop_on_one_thread) {
    rg_threads_set(2);
    rg_profile_start();
    work_on_one_thread();
    rg_profile_lap("alone", false);
    char *text = report();
    cr_assert_gt(column(text, "alone ", 3), 0);
    cr_assert_leq(column(text, "alone ", 3), 1.1);
    cr_assert(strstr(text, "serial share of all work") ||
                  strstr(text, "the serial share cannot be estimated"),
              "%s", text);
    free(text);
}

Test(profile, one_thread_tells_nothing_of_more) {
    rg_threads_set(1);
    rg_profile_start();
    work_on_one_thread();
    rg_profile_lap("alone", false);
    char *text = report();
    cr_assert_gt(column(text, "alone ", 3), 0);
    cr_assert_not(strstr(text, "serial share of all work"), "%s", text);
    free(text);
}
