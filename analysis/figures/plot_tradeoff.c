/* SPDX-License-Identifier: MIT */
/* Trade-offs: a metric at equal cost of all methods (equal_budget.h), and against the divergence
 * from the reference, with the best value reached (frontier.h). */
#include "analysis/compare/equal_budget.h"
#include "analysis/compare/frontier.h"
#include "analysis/figures/plot_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_point(RgFigureCurve *curve, RgFigurePoint point) {
    curve->points = rg_reallocate(curve->points, (size_t)curve->count + 1, sizeof *curve->points);
    curve->points[curve->count++] = point;
}

static void label_axes(RgFigure *figure, const RgMeasure *x, const RgMeasure *y) {
    figure->share = y->unit == RG_UNIT_PERCENT;
    figure->x_label = rg_plot_axis_label(x, rg_plot_largest(figure, true), &figure->x_factor);
    figure->y_label = rg_plot_axis_label(y, rg_plot_largest(figure, false), &figure->y_factor);
}

/* Colour and dash of the group, as in the other figures. */
static int style_of(const RgResults *results, const RgGroup *group) {
    int *colors = rg_plot_group_colors(results), style = colors[group - results->groups];
    free(colors);
    return style;
}

/* Equal budgets. */

enum { BUDGET_POINTS = 25 };

static void add_budget_row(RgFigure *figure, const RgBudget *budget, int row) {
    const RgGroup *group = budget->rows[row];
    RgFigureCurve *curve =
        rg_plot_add_curve(figure, (RgFigureCurve){.name = rg_string_copy(group->name),
                                                  .diverged = group->by_status[RG_TRIAL_DIVERGED],
                                                  .style = style_of(budget->results, group)});
    for (int64_t p = 0; p < budget->points; p++) {
        const RgMean *cell = &budget->cells[row * budget->points + p];
        if (cell->summary.count > 0)
            add_point(curve, rg_plot_point(budget->spent[p], cell));
    }
}

/* A method without this cost is a level for comparison. */
static void add_free(RgFigure *figure, const RgBudget *budget, const RgGroup *group) {
    for (int row = 0; row < budget->row_count; row++)
        if (budget->rows[row] == group)
            return;
    RgFigurePoint end = rg_plot_final_point(budget->results, group, &budget->metric);
    if (end.seeds == 0)
        return;
    RgFigureCurve *curve = rg_plot_add_curve(
        figure, (RgFigureCurve){.name = rg_string_format("%s (none)", group->name),
                                .diverged = group->by_status[RG_TRIAL_DIVERGED],
                                .style = style_of(budget->results, group),
                                .form = RG_CURVE_LEVEL});
    for (int i = 0; i < 2; i++) {
        end.x = budget->spent[i ? budget->points - 1 : 0];
        add_point(curve, end);
    }
}

RgStatus rg_plot_budget(const RgResults *results, const RgPlotOptions *options, RgFigure **figure,
                        RgError *error) {
    RgBudget *budget;
    RG_TRY(rg_budget_create(results, options->x ? options->x : "flops",
                            options->y ? options->y : "reward", BUDGET_POINTS, &budget, error));
    *figure = rg_plot_begin(options);
    for (int row = 0; row < budget->row_count; row++)
        add_budget_row(*figure, budget, row);
    for (int g = 0; g < results->group_count; g++)
        add_free(*figure, budget, &results->groups[g]);
    rg_figure_drop_empty(*figure);
    label_axes(*figure, &budget->cost, &budget->metric);
    rg_budget_destroy(budget);
    return RG_OK;
}

/* The frontier. */

static int compare_points(const void *left, const void *right) {
    const RgFigurePoint *a = left, *b = right;
    return (a->x > b->x) - (a->x < b->x);
}

/* A step line over the Pareto-optimal points, up to the largest x of all. */
static void add_best(RgFigure *figure, const RgFrontier *frontier) {
    RgFigureCurve best = {.name = rg_string_copy("best reached"), .form = RG_CURVE_STEPS};
    double farthest = -INFINITY;
    for (int64_t i = 0; i < frontier->count; i++) {
        const RgFrontierPoint *point = &frontier->points[i];
        farthest = fmax(farthest, point->x.summary.mean);
        if (point->optimal)
            add_point(&best, (RgFigurePoint){.x = point->x.summary.mean,
                                             .y = point->y.summary.mean,
                                             .low = NAN, /* a maximum of means has no band */
                                             .high = NAN,
                                             .seeds = point->y.summary.count});
    }
    if (best.count > 0) {
        qsort(best.points, (size_t)best.count, sizeof *best.points, compare_points);
        RgFigurePoint last = best.points[best.count - 1];
        last.x = farthest;
        add_point(&best, last);
    }
    rg_plot_add_curve(figure, best);
}

/* Labels have colours by the order in which they appear. */
static RgFigureCurve *curve_of(RgFigure *figure, const RgResults *results, const RgGroup *group,
                               bool scattered, RgPlotColors *colors) {
    const char *name = scattered ? group->label : group->name;
    for (int i = 0; i < figure->curve_count; i++)
        if (strcmp(figure->curves[i].name, name) == 0)
            return &figure->curves[i];
    return rg_plot_add_curve(
        figure, (RgFigureCurve){.name = rg_string_copy(name),
                                .style = scattered ? rg_plot_color(colors, group->algorithm)
                                                   : style_of(results, group),
                                .form = scattered ? RG_CURVE_POINTS : RG_CURVE_LINE});
}

/* A method is a path over its training. With swept options it is a cloud of points with error bars
 * at the last evaluations. */
static void add_frontier_point(RgFigure *figure, const RgFrontier *frontier,
                               const RgFrontierPoint *point, RgPlotColors *colors) {
    bool scattered = frontier->results->swept[0] != NULL, bars = !scattered || point->last;
    RgFigureCurve *curve = curve_of(figure, frontier->results, point->group, scattered, colors);
    if (point->last)
        curve->diverged += point->group->by_status[RG_TRIAL_DIVERGED];
    RgFigurePoint across = rg_plot_point(NAN, &point->x);
    RgFigurePoint place = rg_plot_point(point->x.summary.mean, &point->y);
    place.low = bars ? place.low : NAN;
    place.high = bars ? place.high : NAN;
    place.x_low = bars ? across.low : NAN;
    place.x_high = bars ? across.high : NAN;
    add_point(curve, place);
}

RgStatus rg_plot_frontier(const RgResults *results, const RgPlotOptions *options, RgFigure **figure,
                          RgError *error) {
    RgFrontier *frontier;
    RG_TRY(rg_frontier_create(results, options->x, options->y, &frontier, error));
    if (frontier->count == 0) {
        rg_frontier_destroy(frontier);
        return rg_fail(error, RG_E_USAGE,
                       "%s: experiment \"%s\" has no finished or running trial with both \"%s\" "
                       "and \"%s\"",
                       results->path, results->name, options->y ? options->y : "reward",
                       options->x ? options->x : "kl");
    }
    *figure = rg_plot_begin(options);
    (*figure)->path = true;
    RgPlotColors colors = rg_plot_colors(results);
    for (int64_t i = 0; i < frontier->count; i++)
        add_frontier_point(*figure, frontier, &frontier->points[i], &colors);
    add_best(*figure, frontier);
    label_axes(*figure, &frontier->x, &frontier->y);
    rg_frontier_destroy(frontier);
    return RG_OK;
}
