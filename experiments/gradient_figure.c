/* Two curves of a method, by its way to the expectation, their points in order of their cost. */
#include "experiments/gradient_figure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct RgGradientFigure {
    RgFigure figure;
};

RgGradientFigure *rg_gradient_figure_create(void) {
    RgGradientFigure *f = rg_allocate(sizeof *f);
    f->figure = (RgFigure){.x_label = rg_string_copy("FLOPs of one hypergradient"),
                           .y_label = rg_string_copy("relative error of one hypergradient"),
                           .x_factor = 1,
                           .y_factor = 1,
                           .measures = {"exact expectations", "sampled"},
                           .x_scale = RG_AXIS_LOG,
                           .y_log = true};
    return f;
}

void rg_gradient_figure_destroy(RgGradientFigure *f) {
    if (f)
        rg_figure_destroy(&f->figure);
}

/* Both curves of a method have its colour. */
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

/* What is right to the last bit has no place on an axis of logarithms: it stands at the bottom. */
static double error_of(const RgGradientRow *row) {
    const double least = 1e-7;
    return fmax(sqrt(row->bias * row->bias + (row->sampled ? row->variance : 0)), least);
}

static int compare_points(const void *left, const void *right) {
    const RgFigurePoint *a = left, *b = right;
    return (a->x > b->x) - (a->x < b->x);
}

void rg_gradient_figure_add(RgGradientFigure *f, const RgGradientRow *row) {
    if (!(row->flops > 0) || !isfinite(row->bias) || !isfinite(row->variance))
        return;
    RgFigureCurve *curve = curve_of(&f->figure, row);
    for (int64_t i = 0; i < curve->count; i++)
        if (curve->points[i].x == row->flops)
            return; /* iterations make no difference to it */
    curve->points = rg_reallocate(curve->points, (size_t)curve->count + 1, sizeof *curve->points);
    curve->points[curve->count++] =
        (RgFigurePoint){.x = row->flops, .y = error_of(row), .low = NAN, .high = NAN, .seeds = 1};
    qsort(curve->points, (size_t)curve->count, sizeof *curve->points, compare_points);
}

RgStatus rg_gradient_figure_draw(const RgGradientFigure *f, const char *output, RgError *error) {
    if (f->figure.curve_count == 0)
        return rg_fail(error, RG_E_USAGE,
                       "%s: there is no hypergradient to draw: expected algorithms of type "
                       "\"parl\"",
                       output);
    return rg_figure_draw(&f->figure, output, 0, 0, error);
}
