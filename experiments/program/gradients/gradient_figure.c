/* SPDX-License-Identifier: MIT */
/* Figures of check-gradients: rows as dots, and two curves per method (exact and sampled
 * expectations), with points in order of their cost. */
#include "experiments/program/gradients/gradient_figure.h"

#include "analysis/store/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Exact values are drawn at this error, as a logarithmic axis has no 0. */
static const double least = 1e-7;

/* ---- bias and variance ---- */

/* The only swept option in which two trials differ; −1: none, or several. */
static int only_difference(const RgFields *a, const RgFields *b) {
    int found = -1, count = 0;
    for (int i = 0; i < a->count && a->count == b->count; i++)
        if (strcmp(a->at[i].text, b->at[i].text) != 0) {
            found = i;
            count++;
        }
    return count == 1 ? found : -1;
}

static bool measure_the_same(const RgGradientRow *a, const RgGradientRow *b) {
    return strcmp(a->algorithm, b->algorithm) == 0 && strcmp(a->variant, b->variant) == 0 &&
           a->bias == b->bias && a->noise == b->noise && a->worst == b->worst &&
           a->variance == b->variance;
}

/* Number of trials, from the first on, that share its row. */
static int sharing(const RgGradientRow *rows, int count) {
    RgFields first = rg_fields_parse(rows->swept);
    int shared = 1, option = -1;
    for (; shared < count && measure_the_same(rows, rows + shared); shared++) {
        RgFields next = rg_fields_parse(rows[shared].swept);
        int differs = only_difference(&first, &next);
        rg_fields_free(&next);
        if (differs < 0 || (option >= 0 && differs != option))
            break;
        option = differs;
    }
    rg_fields_free(&first);
    return shared;
}

static bool is_plain(const RgField *value) {
    return isnan(value->number) && strcmp(value->text, "true") != 0 &&
           strcmp(value->text, "false") != 0;
}

/* A swept word is clear without the name of its option. */
static char *append_value(char *name, const RgField *first, const RgField *last) {
    bool range = strcmp(first->text, last->text) != 0;
    char *longer = rg_string_format(
        "%s, %s%s%s%s%s", name, is_plain(first) ? "" : rg_last_part(first->name),
        is_plain(first) ? "" : " ", first->text, range ? " … " : "", range ? last->text : "");
    free(name);
    return longer;
}

/* "sail-pr baseline", "cg, exact, iterations 16 … 64". */
static char *name_of(const RgGradientRow *first, const RgGradientRow *last) {
    bool both = first->variant[0] && strcmp(first->variant, first->algorithm) != 0;
    char *name =
        rg_string_format("%s%s%s", first->algorithm, both ? " " : "", both ? first->variant : "");
    RgFields from = rg_fields_parse(first->swept), to = rg_fields_parse(last->swept);
    for (int i = 0; i < from.count; i++)
        name = append_value(name, &from.at[i], &to.at[i]);
    rg_fields_free(&from);
    rg_fields_free(&to);
    return name;
}

static double number_or_none(double value) {
    return isfinite(value) ? value : NAN;
}

RgDotFigure rg_gradient_dots(const RgGradientRow *rows, int count) {
    RgDotFigure figure = {
        .panel = {{.label = "relative bias",
                   .column = "bias",
                   .mark = "noise",
                   .open = "within_noise",
                   .of_disk = "biased: a coordinate is off by more than 4 standard errors",
                   .of_circle = "no bias: every coordinate is within 4 standard errors",
                   .of_mark = "noise: the bias that so many batches show by chance"},
                  {.label = "relative variance", .column = "variance"}},
        .least = least};
    int group = 0;
    for (int i = 0, shared; i < count; i += shared) {
        const RgGradientRow *row = &rows[i];
        shared = sharing(row, count - i);
        group += i > 0 && strcmp(row->algorithm, rows[i - 1].algorithm) != 0;
        rg_dot_figure_add(
            &figure, (RgDotRow){.name = name_of(row, row + shared - 1),
                                .group = group,
                                .dot = {{.value = number_or_none(row->bias),
                                         .mark = number_or_none(row->noise),
                                         .open = !(row->worst > RG_GRADIENT_DOUBT)},
                                        {.value = number_or_none(row->variance), .mark = NAN}}});
    }
    return figure;
}

static bool any_finite(const RgGradientRow *rows, int count) {
    for (int i = 0; i < count; i++)
        if (isfinite(rows[i].bias))
            return true;
    return false;
}

RgStatus rg_gradient_dots_draw(const RgGradientRow *rows, int count, const char *output,
                               RgError *error) {
    if (!any_finite(rows, count))
        return rg_fail(error, RG_E_USAGE,
                       "%s: no gradient to draw: expected algorithms whose gradient can be "
                       "compared with that of an objective",
                       output);
    RgDotFigure figure = rg_gradient_dots(rows, count);
    RgStatus status = rg_dot_figure_draw(&figure, output, error);
    rg_dot_figure_clear(&figure);
    return status;
}

/* ---- error over cost ---- */

/* Both curves of a method have the same colour. */
static RgFigureCurve *curve_of(RgFigure *figure, const RgGradientRow *row) {
    int style = -1, most = -1;
    for (int i = 0; i < figure->curve_count; i++) {
        RgFigureCurve *curve = &figure->curves[i];
        bool same = strcmp(curve->name, row->algorithm) == 0;
        if (same && curve->second == row->sampled)
            return curve;
        style = same ? curve->style : style;
        most = curve->style > most ? curve->style : most;
    }
    figure->curves =
        rg_reallocate(figure->curves, (size_t)figure->curve_count + 1, sizeof *figure->curves);
    figure->curves[figure->curve_count] = (RgFigureCurve){.name = rg_string_copy(row->algorithm),
                                                          .style = style < 0 ? most + 1 : style,
                                                          .second = row->sampled};
    return &figure->curves[figure->curve_count++];
}

/* Exact values are at the bottom. */
static double error_of(const RgGradientRow *row) {
    return fmax(sqrt(row->bias * row->bias + (row->sampled ? row->variance : 0)), least);
}

static int compare_points(const void *left, const void *right) {
    const RgFigurePoint *a = left, *b = right;
    return (a->x > b->x) - (a->x < b->x);
}

static void add_point(RgFigure *figure, const RgGradientRow *row) {
    if (!(row->flops > 0) || !isfinite(row->bias) || !isfinite(row->variance))
        return;
    RgFigureCurve *curve = curve_of(figure, row);
    for (int64_t i = 0; i < curve->count; i++)
        if (curve->points[i].x == row->flops)
            return; /* the number of iterations makes no difference to it */
    curve->points = rg_reallocate(curve->points, (size_t)curve->count + 1, sizeof *curve->points);
    curve->points[curve->count++] =
        (RgFigurePoint){.x = row->flops, .y = error_of(row), .low = NAN, .high = NAN, .seeds = 1};
    qsort(curve->points, (size_t)curve->count, sizeof *curve->points, compare_points);
}

RgFigure *rg_gradient_cost(const RgGradientRow *rows, int count) {
    RgFigure *figure = rg_allocate(1, sizeof *figure);
    *figure = (RgFigure){.x_label = rg_string_copy("FLOPs of one hypergradient"),
                         .y_label = rg_string_copy("relative error of one hypergradient"),
                         .x_factor = 1,
                         .y_factor = 1,
                         .measures = {"exact expectations", "sampled"},
                         .x_scale = RG_AXIS_LOG,
                         .y_log = true};
    for (int i = 0; i < count; i++)
        add_point(figure, &rows[i]);
    return figure;
}

RgStatus rg_gradient_cost_draw(const RgGradientRow *rows, int count, const char *output,
                               RgError *error) {
    RgFigure *figure = rg_gradient_cost(rows, count);
    RgStatus status = RG_OK;
    if (figure->curve_count == 0)
        status = rg_fail(error, RG_E_USAGE,
                         "%s: no hypergradient to draw: expected algorithms of type "
                         "\"parl\"",
                         output);
    if (status == RG_OK)
        status = rg_figure_draw(figure, output, 0, 0, error);
    rg_figure_destroy(figure);
    return status;
}
