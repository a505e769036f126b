/* SPDX-License-Identifier: MIT */
/* Plotting a figure of curves: the data file and gnuplot's script. */
#include "analysis/figures/figure.h"
#include "analysis/compare/format.h"
#include "analysis/figures/figure_matrix.h"
#include "analysis/figures/figure_parts.h"
#include "analysis/figures/gnuplot.h"
#include "core/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const dashes[] = {"1", "(12,4)", "(12,4,3,4)", "(5,4)", "(20,5)"};
enum { DASH_COUNT = sizeof dashes / sizeof *dashes };
static const int point_types[] = {7, 5, 9, 13, 11, 6, 4, 8, 12, 10}; /* filled ones first */
enum { POINT_COUNT = sizeof point_types / sizeof *point_types, FILLED_COUNT = 5 };

static void curve_free(RgFigureCurve *curve) {
    free(curve->name);
    free(curve->points);
}

void rg_figure_drop_empty(RgFigure *figure) {
    int kept = 0;
    for (int i = 0; i < figure->curve_count; i++)
        if (figure->curves[i].count > 0)
            figure->curves[kept++] = figure->curves[i];
        else
            curve_free(&figure->curves[i]);
    figure->curve_count = kept;
}

void rg_figure_destroy(RgFigure *figure) {
    if (!figure)
        return;
    for (int i = 0; i < figure->curve_count; i++)
        curve_free(&figure->curves[i]);
    for (int i = 0; i < figure->category_count; i++)
        free(figure->categories[i]);
    for (int i = 0; i < figure->row_count; i++)
        free(figure->rows[i]);
    free(figure->curves);
    free(figure->categories);
    free(figure->cells);
    free(figure->rows);
    free(figure->title);
    free(figure->x_label);
    free(figure->y_label);
    free(figure->cell_note);
    free(figure);
}

/* Writing. */

static bool is_scattered(const RgFigure *figure) {
    for (int i = 0; i < figure->curve_count; i++)
        if (figure->curves[i].form == RG_CURVE_POINTS)
            return true;
    return false;
}

static void write_point(const RgFigure *figure, const RgFigureCurve *curve,
                        const RgFigurePoint *point, FILE *out) {
    rg_figure_write_number(out, point->x);
    rg_figure_write_number(out, point->y);
    rg_figure_write_number(out, point->low);
    rg_figure_write_number(out, point->high);
    fprintf(out, "%lld\t", (long long)point->seeds);
    if (is_scattered(figure)) {
        rg_figure_write_number(out, curve->form == RG_CURVE_POINTS ? point->x_low : NAN);
        rg_figure_write_number(out, curve->form == RG_CURVE_POINTS ? point->x_high : NAN);
    }
    if (figure->x_scale == RG_AXIS_CATEGORIES) {
        if (curve->form != RG_CURVE_LEVEL)
            rg_figure_write_name(out, figure->categories[(int)point->x]);
        putc('\t', out);
    }
    rg_figure_write_name(out, curve->name);
    if (curve->form == RG_CURVE_REST)
        fputs(", where other seeds have ended", out);
    if (figure->measures[0])
        fprintf(out, ", %s", figure->measures[curve->second]);
    putc('\n', out);
}

/* Curves are separated by two blank lines, gnuplot's mark of a new data set. If x is the index of a
 * category, a column has its name, too. */
static void write_data(const RgFigure *figure, FILE *out) {
    fprintf(out, "x\tmean\tlow\thigh\tseeds%s%s\tcurve\n",
            is_scattered(figure) ? "\tx_low\tx_high" : "",
            figure->x_scale == RG_AXIS_CATEGORIES ? "\tcategory" : "");
    for (int i = 0; i < figure->curve_count; i++) {
        fputs(i > 0 ? "\n\n" : "", out);
        for (int64_t j = 0; j < figure->curves[i].count; j++)
            write_point(figure, &figure->curves[i], &figure->curves[i].points[j], out);
    }
}

typedef struct Range {
    double low, high;
} Range;

static void widen(Range *range, double value) {
    if (!isfinite(value))
        return;
    range->low = isnan(range->low) ? value : fmin(range->low, value);
    range->high = isnan(range->high) ? value : fmax(range->high, value);
}

static const double LOG_MARGIN = 1.25;

/* Limit a range to finite values: gnuplot cannot handle infinity, and computes with both ends. */
static Range scaled(Range range, double factor) {
    const double most = 1e300;
    Range frame = {fmax(range.low * factor, -most), fmin(range.high * factor, most)};
    return frame.low < frame.high ? frame : (Range){-most, most};
}

/* All means, and bands as far as a decade beyond them. A band that reaches 0 ends at the frame. */
static Range log_range(Range means, Range bands) {
    Range range = {means.low / LOG_MARGIN, means.high * LOG_MARGIN};
    if (bands.low > 0)
        range.low = fmin(range.low, fmax(bands.low, means.low / 10));
    if (bands.high > 0)
        range.high = fmax(range.high, fmin(bands.high, means.high * 10));
    return range;
}

/* The y range includes all means and all bands, those of shares as far as they are possible. */
static Range y_range(const RgFigure *figure) {
    Range means = {NAN, NAN}, bands = {NAN, NAN};
    for (int i = 0; i < figure->curve_count; i++)
        for (int64_t j = 0; j < figure->curves[i].count; j++) {
            const RgFigurePoint *point = &figure->curves[i].points[j];
            widen(&means, point->y);
            widen(&bands, point->low);
            widen(&bands, point->high);
        }
    if (isnan(means.low))
        return (Range){0, 1};
    if (figure->y_log)
        return scaled(log_range(means, bands), figure->y_factor);
    double span = means.high - means.low;
    if (span == 0)
        span = means.high != 0 ? fabs(means.high) : 1;
    Range range = {means.low - 0.05 * span, means.high + 0.05 * span};
    widen(&range, bands.low);
    widen(&range, bands.high);
    if (figure->share) { /* slightly more than 1, so that a curve along the edge is visible */
        range.low = fmax(range.low, -0.01);
        range.high = fmin(range.high, 1.01);
    }
    return scaled(range, figure->y_factor);
}

/* By itself a log axis ends at whole decades, which may leave most of it empty. */
static void write_log_axis(const RgFigure *figure, FILE *out) {
    Range x = {NAN, NAN};
    for (int i = 0; i < figure->curve_count; i++)
        for (int64_t j = 0; j < figure->curves[i].count; j++)
            widen(&x, figure->curves[i].points[j].x * figure->x_factor);
    fprintf(out, "set logscale x\nset format x '%%g'\nset xrange [%.4g:%.4g]\n", x.low / LOG_MARGIN,
            x.high * LOG_MARGIN);
}

/* gnuplot numbers the decades. Where there are hardly any, so are 2 and 5 of each. */
static void write_log_y_axis(Range y, FILE *out) {
    static const double steps[] = {1, 2, 5};
    fputs("set logscale y\nset format y '%g'\n", out);
    if (y.high > 100 * y.low)
        return;
    const char *between = "set ytics (";
    for (int k = (int)floor(log10(y.low)); k <= (int)ceil(log10(y.high)); k++)
        for (int i = 0; i < 3; i++) {
            double tic = steps[i] * pow(10, k);
            if (tic < y.low || tic > y.high)
                continue;
            fprintf(out, "%s%g", between, tic);
            between = ", ";
        }
    fputs(*between == ',' ? ")\n" : "", out);
}

static void write_x_axis(const RgFigure *figure, FILE *out) {
    if (figure->x_scale == RG_AXIS_LOG)
        write_log_axis(figure, out);
    if (figure->x_scale != RG_AXIS_CATEGORIES)
        return;
    fprintf(out, "set xrange [-0.5:%g]\nset xtics (", figure->category_count - 0.5);
    for (int i = 0; i < figure->category_count; i++) {
        fputs(i ? ", " : "", out);
        rg_gnuplot_tic(out, figure->categories[i], i);
    }
    fputs(") scale 0\n", out);
}

static int longest_entry(const RgFigure *figure) {
    size_t longest = 1;
    for (int i = 0; i < 2 && figure->measures[i]; i++)
        longest = strlen(figure->measures[i]);
    for (int i = 0; i < figure->curve_count; i++) {
        const RgFigureCurve *curve = &figure->curves[i];
        size_t length = rg_utf8_width(curve->name) + (curve->diverged ? 13 : 0) +
                        (curve->gaps ? 16 : 0) + (curve->few_seeds ? 18 : 0);
        longest = length > longest ? length : longest;
    }
    return (int)longest;
}

/* Number of columns of the legend. gnuplot counts for itself; this is a lower bound of its count.
 * It is limited to this number, and the height allows for the resulting rows. */
static int legend_columns(const RgFigure *figure, int width) {
    int columns = (width - 20) / (50 + 8 * longest_entry(figure));
    return columns > 0 ? columns : 1;
}

/* A method with curves by both measures has one entry. */
static bool is_entry(const RgFigure *figure, int curve) {
    bool entry = figure->curves[curve].form != RG_CURVE_REST;
    for (int i = 0; i < figure->curve_count && figure->curves[curve].second; i++)
        entry &= figure->curves[i].second ||
                 strcmp(figure->curves[i].name, figure->curves[curve].name) != 0;
    return entry;
}

static int legend_entries(const RgFigure *figure) {
    int entries = figure->measures[0] ? 2 : 0;
    for (int i = 0; i < figure->curve_count; i++)
        entries += is_entry(figure, i);
    return entries;
}

/* The y label is horizontal above its axis, for easier reading. */
static void write_frame(const RgFigure *figure, int columns, FILE *out) {
    Range y = y_range(figure);
    rg_figure_write_looks(out);
    rg_figure_write_title(out, figure->title);
    fputs("set xlabel ", out);
    rg_gnuplot_quote(out, figure->x_label);
    fputs(".\"\\n\" textcolor rgb '#222222'\n", out); /* leaves a line above the key */
    fputs("set grid ytics linetype 1 linewidth 0.6*lw linecolor rgb '#DDDDDD'\n"
          "set rmargin 2.5\n",
          out);
    fprintf(out,
            "set key below Left reverse maxcols %d samplen 2.5 spacing 1.15 width %d "
            "textcolor rgb '#222222'\n",
            columns, -longest_entry(figure) / 6); /* gnuplot overestimates letters' width */
    if (figure->y_log)
        write_log_y_axis(y, out);
    fprintf(out, "set yrange [%.10g:%.10g]\n", y.low, y.high);
    write_x_axis(figure, out);
    fputs("set label 1 ", out);
    rg_gnuplot_quote(out, figure->y_label);
    fputs(" at graph 0, graph 1 offset character -5, character 0.9 textcolor rgb '#222222'\n", out);
}

static void write_style(const RgFigure *figure, const RgFigureCurve *curve, FILE *out) {
    int shape = curve->style + curve->style / RG_FIGURE_COLORS;
    const char *dash = dashes[shape % DASH_COUNT];
    if (figure->measures[0]) /* the dash shows the measure, the point the method */
        dash = curve->second ? "(4,4)" : "1";
    if (curve->form == RG_CURVE_STEPS) {
        fputs("linecolor rgb '#BBBBBB' linewidth 4*lw", out);
        return;
    }
    fprintf(out, "linecolor rgb '%s'", rg_figure_color[curve->style % RG_FIGURE_COLORS]);
    if (curve->form == RG_CURVE_REST)
        fputs(" linewidth 0.7*lw dashtype (2,3)", out);
    else if (curve->form != RG_CURVE_POINTS)
        fprintf(out, " linewidth 1.6*lw dashtype %s", dash);
    if (curve->form != RG_CURVE_LEVEL) {
        int point = point_types[shape % POINT_COUNT];
        bool filled = shape % POINT_COUNT < FILLED_COUNT;
        fprintf(out, " pointtype %d pointsize %g*lw", curve->second && filled ? point - 1 : point,
                curve->form == RG_CURVE_POINTS ? 0.8
                : curve->form == RG_CURVE_REST ? 0.3
                                               : 0.55);
    }
}

static bool is_behind(const RgFigureCurve *curve) {
    return curve->form == RG_CURVE_STEPS;
}

static bool has_band(const RgFigureCurve *curve) {
    for (int64_t i = 0; i < curve->count; i++)
        if (isfinite(curve->points[i].low) && curve->points[i].high > curve->points[i].low)
            return true;
    return false;
}

/* Error bars if x is not a scale with neighbours to connect; several curves over the same
 * categories are side by side. */
static bool has_bars(const RgFigure *figure, int curve) {
    return figure->curves[curve].form == RG_CURVE_LINE &&
           (figure->path || figure->x_scale == RG_AXIS_CATEGORIES);
}

static double dodge(const RgFigure *figure, int curve) {
    int before = 0, all = 0;
    for (int i = 0; i < figure->curve_count; i++) {
        all += figure->curves[i].form != RG_CURVE_LEVEL;
        before += i < curve && figure->curves[i].form != RG_CURVE_LEVEL;
    }
    if (figure->x_scale != RG_AXIS_CATEGORIES || figure->curves[curve].form == RG_CURVE_LEVEL)
        return 0;
    return fmin(0.06, 0.5 / all) * (before - 0.5 * (all - 1));
}

/* A bar from low to high, cut off at the frame. gnuplot's own error bars have a white disk in the
 * middle. */
static void write_bar(const RgFigure *figure, int curve, bool upright, FILE *out) {
    const char *color = rg_figure_color[figure->curves[curve].style % RG_FIGURE_COLORS] + 1;
    fprintf(out,
            upright ? "($1*xf%+.3g):(cut($3)):(0):(cut($4)-cut($3))"
                    : "($6*xf%+.3g):($2*yf):(($7-$6)*xf):(0)",
            dodge(figure, curve));
    fprintf(out, " with vectors nohead linecolor rgb '#90%s' linewidth 1.2*lw notitle", color);
}

static void write_band(const RgFigure *figure, int curve, FILE *out) {
    const RgFigureCurve *c = &figure->curves[curve];
    bool scattered = c->form == RG_CURVE_POINTS;
    fprintf(out, " index %d", curve);
    if (figure->path && !scattered) /* bars at every point of a path would overlap */
        fprintf(out, " every ::%lld", (long long)c->count - 1);
    fputs(" using ", out);
    if (scattered || has_bars(figure, curve))
        write_bar(figure, curve, true, out);
    else
        fprintf(out,
                "($1*xf):(cut($3)):(cut($4)) with filledcurves fillstyle transparent solid 0.13 "
                "noborder fillcolor rgb '%s' notitle",
                rg_figure_color[c->style % RG_FIGURE_COLORS]);
    if (scattered) {
        fprintf(out, ", data index %d using ", curve);
        write_bar(figure, curve, false, out);
    }
}

static void write_legend(const RgFigureCurve *curve, FILE *out) {
    char *diverged =
        curve->diverged ? rg_string_format(" (%d diverged)", curve->diverged) : rg_string_copy("");
    char *gaps = curve->gaps ? rg_string_format(" (%d lack%s rows)", curve->gaps,
                                                curve->gaps == 1 ? "s" : "")
                             : rg_string_copy("");
    char *few = curve->few_seeds ? rg_string_format(" (%d seed%s: no band)", curve->few_seeds,
                                                    curve->few_seeds == 1 ? "" : "s")
                                 : rg_string_copy("");
    char *rest = curve->going_on ? rg_string_format(" (thin: %s%d of %d seeds)",
                                                    curve->going_on > 1 ? "at most " : "",
                                                    curve->going_on, curve->seeds)
                                 : rg_string_copy("");
    char *text = rg_string_format("%s%s%s%s%s", curve->name, diverged, gaps, few, rest);
    rg_gnuplot_quote(out, text);
    free(diverged);
    free(gaps);
    free(few);
    free(rest);
    free(text);
}

static void write_curve(const RgFigure *figure, int index, FILE *out) {
    static const char *const with[] = {[RG_CURVE_LINE] = "linespoints",
                                       [RG_CURVE_LEVEL] = "lines",
                                       [RG_CURVE_POINTS] = "points",
                                       [RG_CURVE_REST] = "linespoints",
                                       [RG_CURVE_STEPS] = "steps"};
    const RgFigureCurve *curve = &figure->curves[index];
    fprintf(out, " index %d using ($1*xf%+.3g):($2*yf) with %s ", index, dodge(figure, index),
            with[curve->form]);
    write_style(figure, curve, out);
    if (curve->count > 15 && (curve->form == RG_CURVE_LINE || curve->form == RG_CURVE_REST))
        fprintf(out, " pointinterval %lld", (long long)(curve->count / 10));
    fputs(is_entry(figure, index) ? " title " : " notitle", out);
    if (is_entry(figure, index))
        write_legend(curve, out);
}

/* Bands come first, so that none hides another's curve; behind them is the best value reached. */
static void write_curves(const RgFigure *figure, FILE *out) {
    const char *between = "plot ";
    Range y = y_range(figure);
    /* Clip at the frame here: gnuplot distorts shapes that begin outside. */
    fprintf(out,
            "xf = %.10g\nyf = %.10g\n"
            "cut(v) = v*yf < %.10g ? %.10g : v*yf > %.10g ? %.10g : v*yf\n",
            figure->x_factor, figure->y_factor, y.low, y.low, y.high, y.high);
    for (int i = 0; i < 2 * figure->curve_count; i++) {
        int curve = i % figure->curve_count;
        bool band = i < figure->curve_count, behind = is_behind(&figure->curves[curve]);
        if (band ? !behind && !has_band(&figure->curves[curve]) : behind)
            continue;
        fprintf(out, "%sdata", between);
        if (band && !behind)
            write_band(figure, curve, out);
        else
            write_curve(figure, curve, out);
        between = ", \\\n     ";
    }
    for (int i = 0; i < 2 && figure->measures[0]; i++) {
        fprintf(out,
                "%skeyentry with linespoints linecolor rgb '#444444' linewidth 1.6*lw "
                "dashtype %s pointtype %d pointsize 0.55*lw title ",
                between, i ? "(4,4)" : "1", i ? 6 : 7);
        rg_gnuplot_quote(out, figure->measures[i]);
    }
    putc('\n', out);
}

char *rg_figure_data(const RgFigure *figure) {
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (figure->cells)
        rg_figure_matrix_data(figure, out);
    else
        write_data(figure, out);
    fclose(out);
    return text;
}

/* Height of the frame in proportion to its width, plus the rows of the legend. */
static int natural_height(const RgFigure *figure, int width) {
    int columns = legend_columns(figure, width);
    int rows = (legend_entries(figure) + columns - 1) / columns;
    return width * 11 / 20 + 60 + (RG_GNUPLOT_LINE + 2) * rows + (figure->title ? 30 : 0);
}

int rg_figure_natural_width(const RgFigure *figure) {
    return figure->cells ? rg_figure_matrix_width(figure) : 480;
}

/* Whether there is anything to plot; gnuplot fails otherwise. */
static bool can_be_drawn(const RgFigure *figure) {
    bool any = figure->cells || figure->curve_count == 0;
    for (int i = 0; i < figure->curve_count; i++)
        for (int64_t j = 0; j < figure->curves[i].count && !any; j++)
            any = isfinite(figure->curves[i].points[j].y * figure->y_factor);
    return any;
}

RgStatus rg_figure_draw(const RgFigure *figure, const char *output, int width, int height,
                        RgError *error) {
    RG_TRY(rg_gnuplot_check(output, error));
    if (!can_be_drawn(figure))
        return rg_fail(error, RG_E_RANGE, "figure %s: \"%s\" has no finite value to plot", output,
                       figure->y_label);
    width = width > 0 ? width : rg_figure_natural_width(figure);
    char *script, *data = rg_figure_data(figure);
    size_t size;
    FILE *out = open_memstream(&script, &size);
    if (figure->cells) {
        height = height > 0 ? height : rg_figure_matrix_height(figure, width);
        rg_figure_matrix_script(figure, width, height, out);
    } else {
        height = height > 0 ? height : natural_height(figure, width);
        write_frame(figure, legend_columns(figure, width), out);
        write_curves(figure, out);
    }
    fclose(out);
    RgStatus status = rg_gnuplot_draw(output, width, height, data, script, error);
    free(script);
    free(data);
    return status;
}
