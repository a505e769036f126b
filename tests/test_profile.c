/* Claims about the profile: all times add up, and operators are told by name and direction. */
#include <criterion/criterion.h>

#include "core/tensor/profile.h"
#include "core/tensor/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    double times, seconds;
    cr_assert_eq(sscanf(line + strlen(name), "%lf %lf", &times, &seconds), 2);
    return number == 0 ? times : seconds;
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
