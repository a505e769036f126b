/* What is won for how much divergence: reward against KL, and the best that was reached with no
 * more of it. */
#include "analysis/plot_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_points(const void *left, const void *right) {
    const RgFigurePoint *a = left, *b = right;
    return a->x != b->x ? (a->x > b->x) - (a->x < b->x) : (a->y < b->y) - (a->y > b->y);
}

/* The points that no other beats: less of x and no less of y. A line of steps leads from each to
 * the next, and on to the largest x of all. */
static RgFigureCurve frontier_of(const RgFigure *figure) {
    RgFigureCurve best = {.name = rg_string_copy("best reached"), .form = RG_CURVE_STEPS};
    int64_t total = 0, kept = 0;
    for (int i = 0; i < figure->curve_count; i++)
        total += figure->curves[i].count;
    best.points = rg_allocate((size_t)(total + 1) * sizeof *best.points);
    for (int i = 0; i < figure->curve_count; i++)
        for (int64_t j = 0; j < figure->curves[i].count; j++)
            best.points[best.count++] = figure->curves[i].points[j];
    qsort(best.points, (size_t)total, sizeof *best.points, compare_points);
    RgFigurePoint last = best.points[total > 0 ? total - 1 : 0];
    for (int64_t i = 0; i < total; i++) {
        RgFigurePoint point = best.points[i];
        if (kept == 0 || point.y > best.points[kept - 1].y)
            best.points[kept++] = point;
    }
    best.count = kept;
    if (kept > 0 && last.x > best.points[kept - 1].x) {
        best.points[kept] = best.points[kept - 1];
        best.points[kept].x = last.x;
        best.count++;
    }
    for (int64_t i = 0; i < best.count; i++)
        best.points[i].low = best.points[i].high = NAN; /* a choice among means has no band */
    return best;
}

static RgFigureCurve *curve_of(RgFigure *figure, const RgGroup *group) {
    for (int i = 0; i < figure->curve_count; i++)
        if (strcmp(figure->curves[i].name, group->label) == 0)
            return &figure->curves[i];
    return rg_plot_add_curve(figure, (RgFigureCurve){.name = rg_string_copy(group->label),
                                                     .style = figure->curve_count,
                                                     .form = RG_CURVE_POINTS});
}

/* A method's settings are points of one colour, each where it ended. */
static void add_ends(const RgResults *results, const RgQuantity *x, const RgQuantity *y,
                     RgFigure *figure) {
    for (int g = 0; g < results->group_count; g++) {
        const RgGroup *group = &results->groups[g];
        RgFigurePoint across = rg_plot_final_point(results, group, x);
        RgFigurePoint point = rg_plot_final_point(results, group, y);
        RgFigureCurve *curve = curve_of(figure, group);
        curve->diverged += group->by_status[RG_TRIAL_DIVERGED];
        if (isnan(across.y) || isnan(point.y))
            continue;
        point.x = across.y;
        point.x_low = across.low;
        point.x_high = across.high;
        curve->points =
            rg_reallocate(curve->points, (size_t)curve->count + 1, sizeof *curve->points);
        curve->points[curve->count++] = point;
    }
    rg_figure_drop_empty(figure);
}

static double largest(const RgFigure *figure, bool x) {
    double most = 0;
    for (int i = 0; i < figure->curve_count; i++)
        for (int64_t j = 0; j < figure->curves[i].count; j++) {
            const RgFigurePoint *point = &figure->curves[i].points[j];
            most = fmax(most, fabs(x ? point->x : point->y));
        }
    return most;
}

/* The candidates are the ends of all settings where something was swept, and else all evaluations:
 * a run may be stopped early. */
RgStatus rg_plot_frontier(const RgResults *results, const RgPlotOptions *options, RgFigure **figure,
                          RgError *error) {
    RgPlotOptions path = *options;
    path.kind = RG_PLOT_CURVE;
    path.x = options->x ? options->x : "kl";
    path.y = options->y ? options->y : "reward";
    RgQuantity x, y;
    RG_TRY(rg_results_quantity(results, path.y, &y, error));
    RG_TRY(rg_results_quantity(results, path.x, &x, error));
    if (!results->swept[0]) {
        RG_TRY(rg_plot_figure(results, &path, figure, error));
    } else {
        *figure = rg_plot_begin(options);
        (*figure)->path = true;
        (*figure)->share = y.unit == RG_UNIT_PERCENT;
        add_ends(results, &x, &y, *figure);
        (*figure)->x_label = rg_plot_axis_label(&x, largest(*figure, true), &(*figure)->x_factor);
        (*figure)->y_label = rg_plot_axis_label(&y, largest(*figure, false), &(*figure)->y_factor);
    }
    RgFigureCurve best = frontier_of(*figure);
    if (best.count > 0) {
        rg_plot_add_curve(*figure, best);
        return RG_OK;
    }
    free(best.name);
    free(best.points);
    rg_figure_destroy(*figure);
    *figure = NULL;
    return rg_fail(error, RG_E_USAGE,
                   "%s: experiment \"%s\" has no finished or running trial with both \"%s\" and "
                   "\"%s\"",
                   results->path, results->name, path.y, path.x);
}
