/* SPDX-License-Identifier: MIT */
/* Figures of an experiment as data: curves over training, averaged over seeds step by step, and
 * the axes and kinds of all figures. plot_swept.c has final values, figure.c plots. */
#include "analysis/figures/plot.h"
#include "analysis/figures/plot_parts.h"
#include "analysis/statistics/statistics.h"
#include "core/suggest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More points are averaged over equal windows: a training metric has one per step. */
enum { MAXIMUM_POINTS = 300 };

typedef struct Axes {
    RgMeasure x, y;
} Axes;

RgFigurePoint rg_plot_point(double x, const RgMean *mean) {
    bool band = mean->summary.count >= RG_SEEDS_FOR_BAND;
    return (RgFigurePoint){.x = x,
                           .y = mean->summary.mean,
                           .low = band ? mean->interval.low : NAN,
                           .high = band ? mean->interval.high : NAN,
                           .seeds = mean->summary.count};
}

/* Curves over training. */

/* One trial's x and y at the steps where both are known. */
typedef struct Track {
    const RgTrial *trial;
    int64_t *evaluated; /* the step of each point */
    int64_t *step;      /* the same, or another number that is equal for points of several seeds */
    double *x, *y;
    int64_t count;
} Track;

/* If evaluations are scheduled by a cost, they have different steps in every trial. The points of
 * several seeds are then matched by their multiple of the cost. */
#define MOST_EVALUATIONS 1e15

static void align_evaluations(const RgResults *results, const RgTrial *trial, Track *track) {
    RgFields config = rg_fields_parse(trial->config);
    const RgField *per = rg_fields_find(&config, "evaluation.per");
    const RgField *every = rg_fields_find(&config, "evaluation.every");
    RgMeasure cost;
    if (per && every && every->number > 0 && strcmp(per->text, "steps") != 0 &&
        rg_results_has(results, per->text, &cost)) {
        RgPoint *spent;
        int64_t count = rg_trial_curve(results, trial, &cost, &spent);
        for (int64_t i = 0, j = 0; i < track->count; i++) {
            while (j < count && spent[j].step < track->step[i])
                j++;
            if (j < count && spent[j].step == track->step[i])
                track->step[i] = (int64_t)fmin(spent[j].value / every->number, MOST_EVALUATIONS);
        }
        free(spent);
    }
    rg_fields_free(&config);
}

static Track load_track(const RgResults *results, const RgTrial *trial, const Axes *axes) {
    RgPoint *x, *y;
    int64_t x_count = rg_trial_curve(results, trial, &axes->x, &x);
    int64_t y_count = rg_trial_curve(results, trial, &axes->y, &y);
    size_t room = (size_t)(y_count + 1);
    Track track = {.trial = trial,
                   .evaluated = rg_allocate(room, sizeof *track.evaluated),
                   .step = rg_allocate(room, sizeof *track.step),
                   .x = rg_allocate(room, sizeof *track.x),
                   .y = rg_allocate(room, sizeof *track.y)};
    for (int64_t i = 0, j = 0; i < y_count; i++) {
        while (j < x_count && x[j].step < y[i].step)
            j++;
        if (j == x_count || x[j].step != y[i].step || isnan(x[j].value) || isnan(y[i].value))
            continue;
        track.evaluated[track.count] = track.step[track.count] = y[i].step;
        track.x[track.count] = x[j].value;
        track.y[track.count++] = y[i].value;
    }
    free(x);
    free(y);
    if (strncmp(axes->y.stored, "eval/", 5) == 0)
        align_evaluations(results, trial, &track);
    return track;
}

static void track_free(Track *track) {
    free(track->evaluated);
    free(track->step);
    free(track->x);
    free(track->y);
}

static int compare_steps(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The steps of all tracks after `after` up to `upto`, sorted, each once; the caller frees. */
static int64_t union_of_steps(const Track *tracks, int count, int64_t after, int64_t upto,
                              int64_t **steps) {
    int64_t total = 0, kept = 0;
    for (int i = 0; i < count; i++)
        total += tracks[i].count;
    *steps = rg_allocate(total, sizeof **steps);
    for (int i = 0; i < count; i++)
        for (int64_t j = 0; j < tracks[i].count; j++)
            if (tracks[i].step[j] > after && tracks[i].step[j] <= upto)
                (*steps)[kept++] = tracks[i].step[j];
    qsort(*steps, (size_t)kept, sizeof **steps, compare_steps);
    total = kept;
    kept = 0;
    for (int64_t i = 0; i < total; i++)
        if (kept == 0 || (*steps)[kept - 1] != (*steps)[i])
            (*steps)[kept++] = (*steps)[i];
    return kept;
}

/* Mean x and y of a track over the steps from … to (inclusive); NaN without values. `at` is the
 * position in the track and advances. */
static RgReading window_mean(const Track *track, int64_t from, int64_t to, int64_t *at, double *x) {
    double sum_x = 0, sum_y = 0;
    int64_t count = 0;
    RgReading reading = {.trial = track->trial};
    for (; *at < track->count && track->step[*at] <= to; (*at)++)
        if (track->step[*at] >= from) {
            sum_x += track->x[*at];
            sum_y += track->y[*at];
            reading.step = reading.next = count++ ? -1 : track->evaluated[*at];
        }
    *x = count ? sum_x / (double)count : NAN;
    reading.value = count ? sum_y / (double)count : NAN;
    return reading;
}

/* Average the tracks of a group window by window, over the steps after `after` up to `upto`; a
 * window is one step unless there are many. */
static RgFigureCurve average_tracks(const RgResults *results, const RgMeasure *y, const char *name,
                                    const Track *tracks, int count, int64_t after, int64_t upto) {
    int64_t *steps, step_count = union_of_steps(tracks, count, after, upto, &steps);
    int64_t windows = step_count < MAXIMUM_POINTS ? step_count : MAXIMUM_POINTS;
    RgFigureCurve curve = {.name = rg_string_copy(name)};
    curve.points = rg_allocate(windows, sizeof *curve.points);
    int64_t *at = rg_allocate(count, sizeof *at);
    double *x = rg_allocate(count, sizeof *x);
    RgReading *readings = rg_allocate(count, sizeof *readings);
    for (int64_t w = 0; w < windows; w++) {
        int64_t from = steps[w * step_count / windows];
        int64_t to = steps[(w + 1) * step_count / windows - 1];
        for (int i = 0; i < count; i++)
            readings[i] = window_mean(&tracks[i], from, to, &at[i], &x[i]);
        RgMean mean = rg_mean_of(results, readings, count, y);
        curve.points[curve.count++] = rg_plot_point(rg_summarize(x, count).mean, &mean);
    }
    free(readings);
    free(x);
    free(at);
    free(steps);
    return curve;
}

/* The last step that all tracks reach that go on after `after`; INT64_MAX if none does. */
static int64_t next_end(const Track *tracks, int count, int64_t after) {
    int64_t end = INT64_MAX;
    for (int i = 0; i < count; i++) {
        int64_t own = tracks[i].count > 0 ? tracks[i].step[tracks[i].count - 1] : -1;
        end = own > after && own < end ? own : end;
    }
    return end;
}

RgFigureCurve *rg_plot_add_curve(RgFigure *figure, RgFigureCurve curve) {
    figure->curves =
        rg_reallocate(figure->curves, (size_t)figure->curve_count + 1, sizeof *figure->curves);
    figure->curves[figure->curve_count] = curve;
    return &figure->curves[figure->curve_count++];
}

/* The mean of all seeds ends where the first of them ends. The mean of those that go on is a curve
 * of its own, up to the next end, so that no line changes what it averages. */
static void add_track_curves(const RgResults *results, const Axes *axes, const char *name,
                             const Track *tracks, int count, RgFigureCurve like, RgFigure *figure) {
    int64_t first = next_end(tracks, count, -1), after = -1;
    for (int i = 0; i < count; i++) {
        like.seeds += tracks[i].count > 0;
        like.going_on += tracks[i].count > 0 && tracks[i].step[tracks[i].count - 1] > first;
    }
    for (int64_t end = first; end < INT64_MAX; end = next_end(tracks, count, after)) {
        RgFigureCurve curve = average_tracks(results, &axes->y, name, tracks, count, after, end);
        like.name = curve.name;
        like.points = curve.points;
        like.count = curve.count;
        like.form = end == first ? RG_CURVE_LINE : RG_CURVE_REST;
        for (int64_t i = 0; i < like.count && like.form == RG_CURVE_REST; i++)
            like.points[i].low = like.points[i].high = NAN;
        rg_plot_add_curve(figure, like);
        after = end;
    }
}

static void add_group_curves(const RgResults *results, const Axes *axes, const RgGroup *group,
                             int style, bool second, RgFigure *figure) {
    const RgTrial **trials = rg_allocate(group->count, sizeof *trials);
    int count = rg_group_sample(group, trials);
    Track *tracks = rg_allocate(count, sizeof *tracks);
    RgFigureCurve like = {
        .style = style, .second = second, .diverged = group->by_status[RG_TRIAL_DIVERGED]};
    for (int i = 0; i < count; i++) {
        tracks[i] = load_track(results, trials[i], axes);
        like.gaps += trials[i]->gaps != NULL;
    }
    add_track_curves(results, axes, group->name, tracks, count, like, figure);
    for (int i = 0; i < count; i++)
        track_free(&tracks[i]);
    free(tracks);
    free(trials);
}

static void add_training_curves(const RgResults *results, const Axes *axes, bool second,
                                RgFigure *figure) {
    int *colors = rg_plot_group_colors(results);
    for (int g = 0; g < results->group_count; g++)
        add_group_curves(results, axes, &results->groups[g], colors[g], second, figure);
    free(colors);
    rg_figure_drop_empty(figure);
}

/* If one method costs many times more than another, a linear axis shows only the most expensive. */
static bool spans_decades(const RgFigure *figure) {
    double least = INFINITY, most = 0;
    for (int i = 0; i < figure->curve_count; i++) {
        double end = figure->curves[i].points[figure->curves[i].count - 1].x;
        if (end > 0) {
            least = fmin(least, end);
            most = fmax(most, end);
        }
    }
    return most >= 8 * least;
}

/* A log axis has no 0: remove points with almost no cost, and curves without any. */
static void make_logarithmic(RgFigure *figure) {
    figure->x_scale = RG_AXIS_LOG;
    for (int i = 0; i < figure->curve_count; i++) {
        RgFigureCurve *curve = &figure->curves[i];
        int64_t kept = 0;
        double least = 1e-3 * curve->points[curve->count - 1].x;
        for (int64_t j = 0; j < curve->count; j++)
            if (curve->points[j].x > least)
                curve->points[kept++] = curve->points[j];
        curve->count = kept;
    }
    rg_figure_drop_empty(figure);
}

/* Axes. */

/* The largest value to plot, for choosing a prefix. */
double rg_plot_largest(const RgFigure *figure, bool x) {
    double most = 0;
    for (int i = 0; i < figure->curve_count; i++)
        for (int64_t j = 0; j < figure->curves[i].count; j++) {
            const RgFigurePoint *point = &figure->curves[i].points[j];
            most = fmax(most, fabs(x ? point->x : point->y));
        }
    return most;
}

char *rg_plot_axis_label(const RgMeasure *measure, double most, double *factor) {
    static const struct {
        double size;
        const char *prefix, *word;
    } scales[] = {{1e15, "P", "quadrillions"},
                  {1e12, "T", "trillions"},
                  {1e9, "G", "billions"},
                  {1e6, "M", "millions"},
                  {1e4, "k", "thousands"}};
    *factor = measure->unit == RG_UNIT_PERCENT ? 100 : 1;
    if (measure->unit == RG_UNIT_PERCENT)
        return rg_string_format("%s, %%", measure->heading);
    bool bytes = measure->unit == RG_UNIT_BYTES, flops = strcmp(measure->name, "flops") == 0;
    if (measure->unit == RG_UNIT_COUNT || bytes)
        for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
            if (most < scales[i].size)
                continue;
            *factor = 1 / (scales[i].size == 1e4 ? 1e3 : scales[i].size);
            if (flops)
                return rg_string_format("training compute, %sFLOP", scales[i].prefix);
            return bytes ? rg_string_format("%s, %sB", measure->heading, scales[i].prefix)
                         : rg_string_format("%s, %s", measure->heading, scales[i].word);
        }
    if (measure->unit == RG_UNIT_SECONDS)
        return rg_string_format("%s, seconds", measure->heading);
    return rg_string_copy(measure->heading);
}

/* An error for an unknown x: candidates are metrics, costs and swept options. */
static RgStatus unknown_x(const RgResults *results, const char *name, RgError *error) {
    RgMeasure measure;
    RgSuggestion suggestion = rg_suggest(name, results->swept);
    return suggestion.text[0]
               ? rg_fail(error, RG_E_USAGE, "unknown metric or swept option \"%s\"%s", name,
                         suggestion.text)
               : rg_results_measure(results, name, &measure, error);
}

/* A method whose cost on the axis is 0 (offline ones query no judge) is a level for comparison: its
 * last value. */
static void level_the_free(RgFigure *figure) {
    double least = INFINITY, most = 0;
    for (int i = 0; i < figure->curve_count; i++)
        for (int64_t j = 0; j < figure->curves[i].count; j++)
            if (figure->curves[i].points[j].x > 0) {
                least = fmin(least, figure->curves[i].points[j].x);
                most = fmax(most, figure->curves[i].points[j].x);
            }
    for (int i = 0; i < figure->curve_count && most > 0; i++) {
        RgFigureCurve *curve = &figure->curves[i];
        if (curve->points[curve->count - 1].x > 0)
            continue;
        if (curve->form == RG_CURVE_REST) { /* the level is that of all seeds */
            curve->count = 0;
            continue;
        }
        RgFigurePoint end = curve->points[curve->count - 1];
        curve->points = rg_reallocate(curve->points, 2, sizeof *curve->points);
        for (int j = 0; j < 2; j++) {
            curve->points[j] = end;
            curve->points[j].x = j ? most : least;
        }
        curve->count = 2;
        curve->form = RG_CURVE_LEVEL;
        char *name = rg_string_format("%s (none)", curve->name);
        free(curve->name);
        curve->name = name;
        curve->going_on = 0;
    }
    rg_figure_drop_empty(figure);
}

static RgStatus finish(const RgResults *results, const char *x, const char *y, RgFigure *figure,
                       RgFigure **result, RgError *error) {
    *result = figure;
    if (figure->curve_count > 0)
        return RG_OK;
    rg_figure_destroy(figure);
    *result = NULL;
    return rg_fail(error, RG_E_USAGE,
                   "%s: experiment \"%s\" has no finished or running trial with both \"%s\" "
                   "and \"%s\"",
                   results->path, results->name, y, x);
}

static RgStatus curves(const RgResults *results, const RgPlotOptions *options, RgFigure **result,
                       RgError *error) {
    Axes axes;
    const char *x = options->x ? options->x : "step", *y = options->y ? options->y : "reward";
    const char *option = rg_swept_option(results, x);
    RG_TRY(rg_results_measure(results, y, &axes.y, error));
    if (!option && !rg_results_has(results, x, &axes.x))
        return unknown_x(results, x, error);
    RgFigure *figure = rg_plot_begin(options);
    figure->share = axes.y.unit == RG_UNIT_PERCENT;
    if (option) {
        rg_plot_add_swept_curves(results, option, &axes.y, figure);
        figure->x_label = rg_string_copy(rg_last_part(option));
    } else {
        add_training_curves(results, &axes, false, figure);
        figure->path = !axes.x.cost;
        if (axes.x.cost && strcmp(axes.x.name, "step") != 0) {
            level_the_free(figure);
            if (spans_decades(figure))
                make_logarithmic(figure);
        }
        figure->x_label =
            rg_plot_axis_label(&axes.x, rg_plot_largest(figure, true), &figure->x_factor);
    }
    figure->y_label =
        rg_plot_axis_label(&axes.y, rg_plot_largest(figure, false), &figure->y_factor);
    return finish(results, x, y, figure, result, error);
}

/* A metric by the training judge, and by the independent one; or where the judge errs and the truth is
 * known, by the judge, and in truth. */
static RgStatus find_judges(const RgResults *results, const char *y, RgMeasure *training,
                            RgMeasure *other, const char *const **names, RgError *error) {
    static const char *const two_judges[] = {"training judge", "independent judge"};
    static const char *const truth[] = {"training judge", "true reward"};
    char *independent = rg_string_format("independent_%s", y);
    char *judged = rg_string_format("judge_%s", y);
    RgStatus status = RG_OK;
    *names = two_judges;
    if (rg_results_has(results, independent, other)) {
        status = rg_results_measure(results, y, training, error);
    } else if (rg_results_has(results, judged, training)) {
        status = rg_results_measure(results, y, other, error);
        *names = truth;
    } else {
        status = rg_fail(error, RG_E_USAGE,
                         "%s: experiment \"%s\" has no metric \"%s\" and no \"%s\": "
                         "over-optimisation is measured by a second judge, or by true rewards",
                         results->path, results->name, independent, judged);
    }
    free(judged);
    free(independent);
    return status;
}

static RgStatus overoptimisation(const RgResults *results, const RgPlotOptions *options,
                                 RgFigure **result, RgError *error) {
    Axes axes, second;
    const char *const *names;
    const char *x = options->x ? options->x : "kl", *y = options->y ? options->y : "reward";
    RG_TRY(find_judges(results, y, &axes.y, &second.y, &names, error));
    RG_TRY(rg_results_measure(results, x, &axes.x, error));
    second.x = axes.x;
    RgFigure *figure = rg_plot_begin(options);
    figure->share = axes.y.unit == RG_UNIT_PERCENT;
    figure->path = !axes.x.cost;
    add_training_curves(results, &axes, false, figure);
    add_training_curves(results, &second, true, figure);
    figure->measures[0] = names[0];
    figure->measures[1] = names[1];
    figure->x_label = rg_plot_axis_label(&axes.x, rg_plot_largest(figure, true), &figure->x_factor);
    RgMeasure plain = axes.y; /* the label names no judge */
    if (strncmp(plain.name, "judge_", strlen("judge_")) == 0)
        plain = second.y;
    figure->y_label = rg_plot_axis_label(&plain, rg_plot_largest(figure, false), &figure->y_factor);
    return finish(results, x, y, figure, result, error);
}

/* A figure without curves. */
RgFigure *rg_plot_begin(const RgPlotOptions *options) {
    RgFigure *figure = rg_allocate(1, sizeof *figure);
    figure->title = rg_string_copy(options->title);
    figure->x_factor = figure->y_factor = figure->z_factor = 1;
    figure->middle = NAN;
    return figure;
}

static const char *const kind_names[] = {
    [RG_PLOT_INFERRED] = "auto",         [RG_PLOT_CURVE] = "curve",
    [RG_PLOT_BUDGET] = "budget",         [RG_PLOT_HEATMAP] = "heatmap",
    [RG_PLOT_FRONTIER] = "frontier",     [RG_PLOT_OVEROPTIMISATION] = "overoptimisation",
    [RG_PLOT_TOURNAMENT] = "tournament", NULL};

RgStatus rg_plot_kind(const char *name, RgPlotKind *kind, RgError *error) {
    for (int i = 0; kind_names[i]; i++)
        if (strcmp(kind_names[i], name) == 0) {
            *kind = (RgPlotKind)i;
            return RG_OK;
        }
    return rg_unknown_name(error, "kind of figure", name, kind_names);
}

static RgPlotKind infer(const RgResults *results, const RgPlotOptions *options) {
    if (options->kind != RG_PLOT_INFERRED)
        return options->kind;
    bool matrix = options->x && options->y && rg_swept_option(results, options->x) &&
                  rg_swept_option(results, options->y);
    return matrix ? RG_PLOT_HEATMAP : RG_PLOT_CURVE;
}

/* Count the seeds of curves that have too few for a band; the legend shows it. */
static void count_seeds(RgFigure *figure) {
    for (int i = 0; i < figure->curve_count; i++) {
        RgFigureCurve *curve = &figure->curves[i];
        int64_t most = 0;
        for (int64_t j = 0; j < curve->count; j++)
            most = curve->points[j].seeds > most ? curve->points[j].seeds : most;
        if (most < RG_SEEDS_FOR_BAND && curve->form != RG_CURVE_STEPS &&
            curve->form != RG_CURVE_REST)
            curve->few_seeds = (int)most;
    }
}

/* Options of other kinds of figures are refused rather than ignored. */
static RgStatus check_options(RgPlotKind kind, const RgPlotOptions *options, RgError *error) {
    const char *unused = kind == RG_PLOT_HEATMAP                    ? NULL
                         : options->z                               ? "-z"
                         : options->method                          ? "--method"
                         : kind == RG_PLOT_TOURNAMENT && options->x ? "-x"
                                                                    : NULL;
    if (!unused)
        return RG_OK;
    return rg_fail(error, RG_E_USAGE, "a figure of the kind \"%s\" has no %s%s", kind_names[kind],
                   unused, unused[1] == 'x' ? "" : ": only a heat map has, of two swept options");
}

static RgStatus make_figure(const RgResults *results, const RgPlotOptions *options,
                            RgFigure **result, RgError *error) {
    RgPlotKind kind = infer(results, options);
    RG_TRY(check_options(kind, options, error));
    switch (kind) {
    case RG_PLOT_BUDGET:
        return rg_plot_budget(results, options, result, error);
    case RG_PLOT_HEATMAP:
        return rg_plot_heatmap(results, options, result, error);
    case RG_PLOT_FRONTIER:
        return rg_plot_frontier(results, options, result, error);
    case RG_PLOT_OVEROPTIMISATION:
        return overoptimisation(results, options, result, error);
    case RG_PLOT_TOURNAMENT:
        return rg_plot_tournament(results, options, result, error);
    default:
        return curves(results, options, result, error);
    }
}

/* A log axis has no 0 and nothing below it: leave out such points, and curves without others. */
static RgStatus use_log_y(const RgPlotOptions *options, RgFigure *figure, RgError *error) {
    if (figure->cells)
        return rg_fail(error, RG_E_USAGE,
                       "--log-y: a heat map or tournament has no axis of values; expected a kind "
                       "with curves");
    figure->y_log = true;
    for (int i = 0; i < figure->curve_count; i++) {
        RgFigureCurve *curve = &figure->curves[i];
        int64_t kept = 0;
        for (int64_t j = 0; j < curve->count; j++)
            if (curve->points[j].y > 0)
                curve->points[kept++] = curve->points[j];
        curve->count = kept;
    }
    rg_figure_drop_empty(figure);
    if (figure->curve_count == 0)
        return rg_fail(error, RG_E_USAGE,
                       "--log-y: no value of \"%s\" is above 0, which a logarithmic axis needs",
                       options->y ? options->y : "reward");
    return RG_OK;
}

RgStatus rg_plot_figure(const RgResults *results, const RgPlotOptions *options, RgFigure **result,
                        RgError *error) {
    *result = NULL;
    RgFigure *figure = NULL;
    RG_TRY(make_figure(results, options, &figure, error));
    RG_ASSERT(figure);
    RgStatus status = options->y_log ? use_log_y(options, figure, error) : RG_OK;
    if (status != RG_OK) {
        rg_figure_destroy(figure);
        return status;
    }
    count_seeds(figure);
    *result = figure;
    return RG_OK;
}

/* Options of a map, and those that it has not, are refused rather than ignored. */
static RgStatus check_map(const RgPlotOptions *options, RgError *error) {
    const char *unused = options->map       ? options->x                          ? "-x"
                                              : options->z                        ? "-z"
                                              : options->y_log                    ? "--log-y"
                                              : options->kind != RG_PLOT_INFERRED ? "--kind"
                                                                                  : NULL
                         : options->against ? "--against"
                         : options->mark    ? "--mark"
                                            : NULL;
    if (!unused)
        return RG_OK;
    return options->map
               ? rg_fail(error, RG_E_USAGE, "--map cannot be combined with %s", unused)
               : rg_fail(error, RG_E_USAGE,
                         "%s is of a map of two swept options: expected --map COLUMNS,ROWS",
                         unused);
}

static RgStatus draw(const RgResults *results, const RgPlotOptions *options, RgError *error) {
    RgFigure *figure = NULL;
    if (options->map)
        return rg_plot_map(results, options, error);
    RgStatus status = rg_plot_figure(results, options, &figure, error);
    status = rg_results_status(results, status, error);
    if (status == RG_OK)
        status = rg_figure_draw(figure, options->output, options->width, options->height, error);
    rg_figure_destroy(figure);
    return status;
}

RgStatus rg_plot(const RgPlotOptions *options, RgError *error) {
    RgResults *results;
    RG_TRY(check_map(options, error));
    RG_TRY(rg_results_open(options->store, &options->choice, &results, error));
    RgStatus status = draw(results, options, error);
    char *left_out = rg_results_left_out(results);
    if (status == RG_OK && left_out && options->notes)
        fprintf(options->notes, "%s\n", left_out);
    free(left_out);
    rg_results_close(results);
    return status;
}
