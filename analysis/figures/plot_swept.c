/* SPDX-License-Identifier: MIT */
/* Curves over a swept option as data: final values, one curve for each method. */
#include "analysis/figures/plot_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

char *rg_plot_curve_name(const RgGroup *group, const char *without, const char *nor) {
    return rg_swept_name(group, (const char *const[]){without, nor}, 2);
}

static RgFigureCurve *curve_named(RgFigure *figure, char *name, const char *algorithm,
                                  RgPlotColors *colors) {
    for (int i = 0; i < figure->curve_count; i++)
        if (figure->curves[i].form == RG_CURVE_LINE && strcmp(figure->curves[i].name, name) == 0) {
            free(name);
            return &figure->curves[i];
        }
    return rg_plot_add_curve(
        figure, (RgFigureCurve){.name = name, .style = rg_plot_color(colors, algorithm)});
}

RgFigurePoint rg_plot_final_point(const RgResults *results, const RgGroup *group,
                                  const RgMeasure *measure) {
    const RgTrial **trials = rg_allocate(group->count, sizeof *trials);
    int count = rg_group_sample(group, trials);
    RgReading *readings = rg_allocate(count, sizeof *readings);
    for (int i = 0; i < count; i++)
        readings[i] =
            rg_reading_at(results, trials[i], measure, rg_trial_result(trials[i], measure));
    RgMean mean = rg_mean_of(results, readings, count, measure);
    free(readings);
    free(trials);
    return rg_plot_point(NAN, &mean);
}

/* Evenly spaced numbers have a linear axis, geometric ones a log axis. Words, and numbers such as
 * 0, 0.1, 0.3, 1 that would be too close on either, are categories. */
static RgAxisScale choose_scale(const RgSweptValue *values, int count) {
    bool even = count > 1, geometric = count > 2;
    for (int i = 0; i < count; i++) {
        even &= !isnan(values[i].number);
        geometric &= values[i].number > 0;
    }
    if (geometric) {
        double ratio = values[1].number / values[0].number;
        for (int i = 1; i < count; i++)
            geometric &= fabs(log(values[i].number / values[i - 1].number / ratio)) < 0.3;
        geometric &= values[count - 1].number / values[0].number >= 8;
    }
    for (int i = 2; i < count && even; i++) {
        double step = values[1].number - values[0].number;
        even = fabs(values[i].number - values[i - 1].number - step) < 1e-6 * fabs(step);
    }
    return geometric ? RG_AXIS_LOG : even ? RG_AXIS_LINEAR : RG_AXIS_CATEGORIES;
}

/* A method without the option is a level for comparison, from one end of the axis to the other. */
static void add_level(RgFigure *figure, const RgGroup *group, RgFigurePoint point,
                      const double ends[2], RgPlotColors *colors) {
    RgFigureCurve curve = {.name = rg_string_copy(group->name),
                           .count = 2,
                           .diverged = group->by_status[RG_TRIAL_DIVERGED],
                           .style = rg_plot_color(colors, group->algorithm),
                           .form = RG_CURVE_LEVEL};
    curve.points = rg_allocate(2, sizeof *curve.points);
    for (int i = 0; i < 2; i++) {
        curve.points[i] = point;
        curve.points[i].x = ends[i];
    }
    rg_plot_add_curve(figure, curve);
}

static int compare_points(const void *a, const void *b) {
    const RgFigurePoint *x = a, *y = b;
    return (x->x > y->x) - (x->x < y->x);
}

void rg_plot_add_swept_curves(const RgResults *results, const char *option,
                              const RgMeasure *measure, RgFigure *figure) {
    RgSweptValue *values;
    int count = rg_swept_values(results, option, &values);
    figure->x_scale = choose_scale(values, count);
    bool categories = figure->x_scale == RG_AXIS_CATEGORIES;
    RgPlotColors colors = rg_plot_colors(results);
    double ends[] = {categories ? -0.5 : values[0].number,
                     categories ? count - 0.5 : values[count - 1].number};
    for (int g = 0; g < results->group_count; g++) {
        const RgGroup *group = &results->groups[g];
        const RgField *field = rg_fields_find(group->swept, option);
        RgFigurePoint point = rg_plot_final_point(results, group, measure);
        if (!field) {
            if (point.seeds > 0)
                add_level(figure, group, point, ends, &colors);
            continue;
        }
        point.x = field->number;
        for (int i = 0; categories && i < count; i++)
            if (strcmp(values[i].text, field->text) == 0)
                point.x = i;
        RgFigureCurve *curve =
            curve_named(figure, rg_plot_curve_name(group, option, NULL), group->algorithm, &colors);
        curve->diverged += group->by_status[RG_TRIAL_DIVERGED];
        if (point.seeds == 0)
            continue;
        curve->points =
            rg_reallocate(curve->points, (size_t)curve->count + 1, sizeof *curve->points);
        curve->points[curve->count++] = point;
    }
    rg_figure_drop_empty(figure);
    for (int i = 0; i < figure->curve_count; i++)
        qsort(figure->curves[i].points, (size_t)figure->curves[i].count,
              sizeof *figure->curves[i].points, compare_points);
    if (categories) {
        figure->categories = rg_allocate(count, sizeof *figure->categories);
        for (int i = 0; i < count; i++)
            figure->categories[figure->category_count++] = rg_string_copy(values[i].text);
    }
    free(values);
}
