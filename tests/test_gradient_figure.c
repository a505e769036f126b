/* SPDX-License-Identifier: MIT */
/* Figures of check-gradients: dots and curves against rows made here, and files by gnuplot. */
#include "experiments/program/gradients/gradient_figure.h"
#include "tests/results_fixture.h"

TestSuite(gradient_figure, .init = scratch_begin);

static const RgGradientRow sail[] = {
    {.algorithm = "dpo",
     .variant = "",
     .sampled = true,
     .bias = 0.0625,
     .noise = 0.125,
     .worst = 2,
     .variance = 8},
    {.algorithm = "sail-pr",
     .variant = "exact",
     .sampled = true,
     .bias = 0.5,
     .noise = 0.75,
     .worst = 4,
     .variance = 400},
    {.algorithm = "sail-pr",
     .variant = "none",
     .sampled = true,
     .bias = 0.25,
     .noise = 0.03125,
     .worst = 39,
     .variance = 2},
};

static RgGradientRow trial(const char *swept, double bias) {
    return (RgGradientRow){.algorithm = "cg",
                           .variant = "cg",
                           .sampled = true,
                           .bias = bias,
                           .noise = 0.5,
                           .worst = 5,
                           .variance = 3,
                           .flops = 1000 / bias,
                           .swept = swept};
}

static void names_are(const RgGradientRow *rows, int count, const char *const *names) {
    RgDotFigure figure = rg_gradient_dots(rows, count);
    for (int i = 0; i < figure.count; i++) {
        cr_assert_not_null(names[i], "a row too many: %s", figure.rows[i].name);
        cr_assert_str_eq(figure.rows[i].name, names[i]);
    }
    cr_assert_null(names[figure.count]);
    rg_dot_figure_clear(&figure);
}

/* A disk (0) is what is beyond 4 standard errors; between algorithms is half a row's room. */
Test(gradient_figure, dots_hold_the_table) {
    RgDotFigure figure = rg_gradient_dots(sail, 3);
    char *data = rg_dot_figure_data(&figure);
    cr_assert_str_eq(data, "bias\tnoise\twithin_noise\tvariance\ty\trow\n"
                           "0.0625\t0.125\t1\t8\t0\tdpo\n"
                           "0.5\t0.75\t1\t400\t-1.5\tsail-pr exact\n"
                           "0.25\t0.03125\t0\t2\t-2.5\tsail-pr none\n");
    free(data);
    rg_dot_figure_clear(&figure);
}

Test(gradient_figure, rows_are_named_by_what_was_swept) {
    RgGradientRow rows[] = {trial("{}", 0.5), trial("{\"iterations\":2}", 0.25),
                            trial("{\"expectation\":\"sampled\",\"damping\":0.1}", 0.125),
                            trial("{\"regularise\":true}", 0.25)};
    rows[3].variant = "exact";
    names_are(rows, 4,
              (const char *const[]){"cg", "cg, iterations 2", "cg, sampled, damping 0.1",
                                    "cg exact, regularise true", NULL});
}

Test(gradient_figure, trials_that_measure_the_same_share_a_row_if_one_option_parts_them) {
    RgGradientRow rows[] = {
        trial("{\"expectation\":\"exact\",\"iterations\":1}", 0.5),
        trial("{\"expectation\":\"exact\",\"iterations\":2}", 0.25),
        trial("{\"expectation\":\"exact\",\"iterations\":4}", 0.25),
        trial("{\"expectation\":\"exact\",\"iterations\":8}", 0.25),
        trial("{\"expectation\":\"sampled\",\"iterations\":8}", 0.25),
    };
    names_are(rows, 5,
              (const char *const[]){"cg, exact, iterations 1", "cg, exact, iterations 2 … 8",
                                    "cg, sampled, iterations 8", NULL});
    rows[2].worst = 6;
    names_are(rows, 3,
              (const char *const[]){"cg, exact, iterations 1", "cg, exact, iterations 2",
                                    "cg, exact, iterations 4", NULL});
}

Test(gradient_figure, a_gradient_that_is_not_finite_leaves_its_row_empty) {
    RgGradientRow rows[] = {trial("{}", NAN), trial("{}", 0.5)};
    RgDotFigure figure = rg_gradient_dots(rows, 2);
    char *data = rg_dot_figure_data(&figure);
    cr_assert(strstr(data, "\nnan\t0.5\t0\t3\t0\tcg\n"), "%s", data);
    free(data);
    rg_dot_figure_clear(&figure);
}

/* √(bias² + variance): of √(0.5² + 3), and of bias alone where expectations are exact. */
Test(gradient_figure, cost_is_drawn_against_the_whole_error) {
    RgGradientRow rows[] = {trial("{}", 0.5), trial("{}", 0.25), trial("{}", 0.125), sail[0]};
    rows[1].sampled = false;
    RgFigure *figure = rg_gradient_cost(rows, 4);
    cr_assert_eq(figure->curve_count, 2);
    cr_assert_eq(figure->curves[0].count, 2);
    cr_assert_float_eq(figure->curves[0].points[0].x, 2000, 1e-9);
    cr_assert_float_eq(figure->curves[0].points[0].y, 1.802775637732, 1e-9);
    cr_assert_eq(figure->curves[0].style, figure->curves[1].style);
    cr_assert_float_eq(figure->curves[1].points[0].y, 0.25, 1e-12);
    rg_figure_destroy(figure);
}

Test(gradient_figure, where_there_is_nothing_to_draw_that_is_said) {
    RgError error = {0};
    RgGradientRow nothing = trial("{}", NAN);
    const char *path = scratch("nothing.svg");
    cr_assert_eq(rg_gradient_dots_draw(NULL, 0, path, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, "no gradient to draw"), "%s", error.text);
    cr_assert_eq(rg_gradient_dots_draw(&nothing, 1, path, &error), RG_E_USAGE);
    cr_assert_eq(rg_gradient_cost_draw(sail, 3, path, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, "no hypergradient to draw"), "%s", error.text);
    FILE *file = fopen(path, "r");
    cr_assert_null(file);
}

/* What is exact has its place, too: at 0, left of the logarithms. */
Test(gradient_figure, gnuplot_draws_dots_in_every_format) {
    if (system("gnuplot --version >/dev/null 2>&1") != 0)
        cr_skip_test("gnuplot is not installed");
    static const char *const names[] = {"dots.svg", "dots.png", "dots.pdf"};
    RgGradientRow rows[] = {sail[0], sail[1], sail[2], trial("{\"expectation\":\"exact\"}", 0)};
    rows[3].noise = rows[3].variance = 0;
    RgError error = {0};
    for (int i = 0; i < 3; i++)
        fixture_check(rg_gradient_dots_draw(rows, 4, scratch(names[i]), &error), &error);
    char *svg = fixture_read(scratch("dots.svg")), *script = fixture_read(scratch("dots.gnuplot"));
    for (const char *const *text =
             (const char *const[]){"sail-pr exact", "cg, exact", "relative bias",
                                   "relative variance", ">0<", "noise: ", NULL};
         *text; text++)
        cr_assert(strstr(svg, *text), "%s is not in the figure", *text);
    cr_assert(strstr(script, "dots.tsv"));
    free(script);
    free(svg);
}

/* To gnuplot they are comments, quotes, formats, escapes, macros, commands. In an SVG file nothing
 * of them but & is written otherwise. */
Test(gradient_figure, names_of_rows_are_text_whatever_is_in_them) {
    if (system("gnuplot --version >/dev/null 2>&1") != 0)
        cr_skip_test("gnuplot is not installed");
    static const char *const names[] = {"#dpo",      "'tis",  "it''s",          "50% %s %d",
                                        "`touch x`", "@m $1", "a\\\\nb\\\\101", "_{s}^{t}",
                                        "|cat",      "=1+1",  "{~a{b}",         "日本語 β"};
    enum { COUNT = sizeof names / sizeof *names };
    RgGradientRow rows[COUNT];
    char *swept[COUNT];
    RgError error = {0};
    for (int i = 0; i < COUNT; i++) {
        swept[i] = rg_string_format("{\"variant\": \"%s\"}", names[i]);
        rows[i] = trial(swept[i], 0.1 * (i + 1));
    }
    fixture_check(rg_gradient_dots_draw(rows, COUNT, scratch("names.svg"), &error), &error);
    char *svg = fixture_read(scratch("names.svg"));
    for (int i = 0; i < COUNT; i++) {
        char *shown = rg_string_copy(names[i]);
        for (char *c = strstr(shown, "\\\\"); c; c = strstr(c + 1, "\\\\")) /* JSON's */
            memmove(c, c + 1, strlen(c));
        cr_expect(strstr(svg, shown), "%s is not in the figure", shown);
        free(shown);
        free(swept[i]);
    }
    free(svg);
}

Test(gradient_figure, an_unknown_suffix_is_refused) {
    RgError error = {0};
    cr_assert_eq(rg_gradient_dots_draw(sail, 3, scratch("dots.gif"), &error), RG_E_USAGE);
    cr_assert(strstr(error.text, ".svg, .png or .pdf"), "%s", error.text);
}
