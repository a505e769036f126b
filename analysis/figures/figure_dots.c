/* SPDX-License-Identifier: MIT */
/* Plotting rows of dots: the data file and gnuplot's script, one plot per panel. */
#include "analysis/figures/figure_dots.h"
#include "analysis/compare/format.h"
#include "analysis/figures/figure_parts.h"
#include "analysis/figures/gnuplot.h"
#include "core/utf8.h"

#include <math.h>
#include <stdlib.h>

void rg_dot_figure_add(RgDotFigure *f, RgDotRow row) {
    f->rows = rg_reallocate(f->rows, (size_t)f->count + 1, sizeof *f->rows);
    f->rows[f->count++] = row;
}

void rg_dot_figure_clear(RgDotFigure *f) {
    for (int i = 0; i < f->count; i++)
        free(f->rows[i].name);
    free(f->rows);
    f->rows = NULL;
    f->count = 0;
}

/* ---- data ---- */

/* Position downwards from 0, in rows; groups are separated by half a row. */
static double place_of(const RgDotFigure *f, int row) {
    double place = 0;
    for (int i = 1; i <= row; i++)
        place -= f->rows[i].group == f->rows[i - 1].group ? 1 : 1.5;
    return place;
}

char *rg_dot_figure_data(const RgDotFigure *f) {
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (int p = 0; p < RG_DOT_PANELS; p++) {
        fprintf(out, "%s\t", f->panel[p].column);
        if (f->panel[p].mark)
            fprintf(out, "%s\t%s\t", f->panel[p].mark, f->panel[p].open);
    }
    fputs("y\trow\n", out);
    for (int i = 0; i < f->count; i++) {
        for (int p = 0; p < RG_DOT_PANELS; p++) {
            const RgDot *dot = &f->rows[i].dot[p];
            rg_figure_write_number(out, dot->value);
            if (!f->panel[p].mark)
                continue;
            rg_figure_write_number(out, dot->mark);
            rg_figure_write_number(out, dot->open);
        }
        rg_figure_write_number(out, place_of(f, i));
        rg_figure_write_name(out, f->rows[i].name);
        putc('\n', out);
    }
    fclose(out);
    return text;
}

/* ---- axes ---- */

/* Whole decades that contain all values of a panel, from `first` on; left of them 0 if needed. */
typedef struct Axis {
    double low, high, first;
    double zero; /* its position; NaN: no value is 0 */
} Axis;

static void widen(Axis *axis, double value, double least) {
    if (value < least)
        axis->zero = 0;
    else if (isfinite(value)) {
        axis->low = fmin(axis->low, value);
        axis->high = fmax(axis->high, value);
    }
}

static Axis axis_of(const RgDotFigure *f, int panel) {
    Axis axis = {.low = INFINITY, .high = -INFINITY, .zero = NAN};
    for (int i = 0; i < f->count; i++) {
        widen(&axis, f->rows[i].dot[panel].value, f->least);
        if (f->panel[panel].mark && f->rows[i].dot[panel].mark >= f->least)
            widen(&axis, f->rows[i].dot[panel].mark, f->least);
    }
    if (axis.low > axis.high)
        axis.low = axis.high = 1;
    axis.low = pow(10, floor(log10(axis.low)));
    axis.high = pow(10, ceil(log10(axis.high)));
    if (axis.high <= axis.low)
        axis.high = 10 * axis.low;
    axis.first = axis.low;
    if (!isnan(axis.zero)) {
        double room = pow(axis.high / axis.low, 0.2);
        axis.first *= axis.high > 100 * axis.low ? 10 : 1; /* keeps the two numbers apart */
        axis.zero = axis.low / room;
        axis.low /= pow(room, 1.5);
    }
    return axis;
}

/* ---- layout, in pixels ---- */

enum { WIDEST = 660, PANEL = 190, GAP = 44, EDGE = 24, ROW = 15 };

typedef struct Layout {
    int left, width, height, panel; /* panel: width of one panel */
    int top, bottom;
} Layout;

static int legend_rows(const RgDotFigure *f) {
    int rows = 0;
    for (int p = 0; p < RG_DOT_PANELS; p++)
        rows += (f->panel[p].of_disk != NULL) + (f->panel[p].of_circle != NULL) +
                (f->panel[p].of_mark != NULL);
    return rows;
}

static Layout lay_out(const RgDotFigure *f) {
    int longest = 1;
    for (int i = 0; i < f->count; i++) {
        int length = (int)rg_utf8_width(f->rows[i].name);
        longest = length > longest ? length : longest;
    }
    int names = RG_GNUPLOT_LETTER * longest + 16;
    Layout l = {.left = names > WIDEST / 2 ? WIDEST / 2 : names,
                .top = 2 * RG_GNUPLOT_LINE,
                .bottom = RG_GNUPLOT_LINE * (2 + legend_rows(f)) + 12,
                .panel = PANEL};
    int others = (RG_DOT_PANELS - 1) * GAP + EDGE;
    if (l.left + RG_DOT_PANELS * l.panel + others > WIDEST)
        l.panel = (WIDEST - l.left - others) / RG_DOT_PANELS;
    l.width = l.left + RG_DOT_PANELS * l.panel + others;
    l.height = l.top + l.bottom + (int)(ROW * (2 - place_of(f, f->count - 1)));
    return l;
}

/* ---- script ---- */

static void write_names(const RgDotFigure *f, bool shown, FILE *out) {
    fputs("set ytics scale 0 (", out);
    for (int i = 0; i < f->count; i++) {
        fputs(i ? ", " : "", out);
        rg_gnuplot_tic(out, shown ? f->rows[i].name : "", place_of(f, i));
    }
    fputs(")\n", out);
}

/* Step between numbers on the axis, in whole decades, large enough that they do not touch. */
static double step_of(const Axis *axis, int width) {
    double letters = 1 + fmin(5, fmax(log10(axis->high), 1 - log10(axis->first)));
    double most = width / (RG_GNUPLOT_LETTER * letters + 12);
    return pow(10, fmax(1, ceil(log10(axis->high / axis->low) / most)));
}

static void write_axis(const RgDotFigure *f, int panel, const Axis *axis, const Layout *l,
                       FILE *out) {
    int left = l->left + panel * (l->panel + GAP);
    fprintf(out, "set lmargin at screen %g\nset rmargin at screen %g\n", (double)left / l->width,
            (double)(left + l->panel) / l->width);
    fprintf(out, "set xrange [%.6g:%.6g]\nset xtics %.6g, %g\n", axis->low, axis->high, axis->first,
            step_of(axis, l->panel));
    if (!isnan(axis->zero))
        fprintf(out, "set xtics add ('0' %.6g)\n", axis->zero);
    fprintf(out, "at(x) = x < least ? %.6g : x\n", isnan(axis->zero) ? axis->low : axis->zero);
    fputs("set label 1 ", out);
    rg_gnuplot_quote(out, f->panel[panel].label);
    fputs(" at graph 0, graph 1 offset 0, character 0.9 textcolor rgb '#222222'\n", out);
}

/* Disks, circles and marks. The column after a panel's value is the mark, the next one the form. */
static const char disk[] = "pointtype 7 pointsize 0.7*lw";
static const char circle[] = "pointtype 6 pointsize 0.7*lw linewidth 1.4*lw";
static const char mark[] = "pointtype 2 pointsize 0.5*lw linewidth 1.4*lw";

static void write_dots(const RgDotFigure *f, int panel, int column, int place, FILE *out) {
    bool marked = f->panel[panel].mark != NULL;
    const char *blue = rg_figure_color[0], *red = rg_figure_color[1];
    if (!marked) {
        fprintf(out, "plot data using (at($%d)):%d with points linecolor rgb '%s' %s notitle",
                column, place, blue, disk);
        return;
    }
    fprintf(out,
            "plot data using ($%d >= least ? $%d : NaN):%d with points linecolor rgb '%s' %s "
            "notitle",
            column + 1, column + 1, place, red, mark);
    for (int form = 0; form < 2; form++)
        fprintf(out,
                ", \\\n     data using ($%d == %d ? at($%d) : NaN):%d with points "
                "linecolor rgb '%s' %s notitle",
                column + 2, form, column, place, blue, form ? circle : disk);
}

static void write_entry(const char *text, const char *color, const char *looks, FILE *out) {
    if (!text)
        return;
    fprintf(out, ", \\\n     keyentry with points linecolor rgb '%s' %s title ", color, looks);
    rg_gnuplot_quote(out, text);
}

/* The legend of all panels is below them, and belongs to the last plot. */
static void write_legend(const RgDotFigure *f, FILE *out) {
    for (int p = 0; p < RG_DOT_PANELS; p++) {
        write_entry(f->panel[p].of_disk, rg_figure_color[0], disk, out);
        write_entry(f->panel[p].of_circle, rg_figure_color[0], circle, out);
        write_entry(f->panel[p].of_mark, rg_figure_color[1], mark, out);
    }
}

static void write_frame(const RgDotFigure *f, const Layout *l, FILE *out) {
    rg_figure_write_looks(out);
    fprintf(out,
            "set grid ytics linetype 1 linewidth 0.6*lw linecolor rgb '#DDDDDD'\n"
            "set logscale x\nset format x '%%g'\nset yrange [%g:1]\n"
            "set tmargin at screen %g\nset bmargin at screen %g\n"
            "set key at screen %g, screen %g left bottom Left reverse maxcols 1 samplen 1 "
            "spacing 1.15 textcolor rgb '#222222'\nleast = %g\nset multiplot\n",
            place_of(f, f->count - 1) - 1, 1 - (double)l->top / l->height,
            (double)l->bottom / l->height, 10.0 / l->width, 6.0 / l->height, f->least);
}

static void write_script(const RgDotFigure *f, const Layout *l, FILE *out) {
    int column = 1, last = 1;
    for (int p = 0; p < RG_DOT_PANELS; p++)
        last += f->panel[p].mark ? 3 : 1;
    write_frame(f, l, out);
    for (int p = 0; p < RG_DOT_PANELS; p++) {
        Axis axis = axis_of(f, p);
        write_names(f, p == 0, out);
        write_axis(f, p, &axis, l, out);
        write_dots(f, p, column, last, out);
        if (p == RG_DOT_PANELS - 1)
            write_legend(f, out);
        putc('\n', out);
        column += f->panel[p].mark ? 3 : 1;
    }
    fputs("unset multiplot\n", out);
}

RgStatus rg_dot_figure_draw(const RgDotFigure *f, const char *output, RgError *error) {
    RG_ASSERT(f->count > 0 && f->least > 0);
    Layout layout = lay_out(f);
    char *script, *data = rg_dot_figure_data(f);
    size_t size;
    FILE *out = open_memstream(&script, &size);
    write_script(f, &layout, out);
    fclose(out);
    RgStatus status = rg_gnuplot_draw(output, layout.width, layout.height, data, script, error);
    free(script);
    free(data);
    return status;
}
