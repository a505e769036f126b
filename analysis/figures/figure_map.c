/* SPDX-License-Identifier: MIT */
/* Plotting maps: panels of coloured cells with their numbers. */
#include "analysis/figures/figure_map.h"
#include "analysis/figures/figure_parts.h"
#include "analysis/figures/gnuplot.h"
#include "core/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void rg_map_figure_destroy(RgMapFigure *f) {
    if (!f)
        return;
    for (int i = 0; i < f->panel_count; i++) {
        free(f->panels[i].name);
        free(f->panels[i].cells);
    }
    for (int i = 0; i < f->column_count; i++)
        free(f->columns[i]);
    for (int i = 0; i < f->row_count; i++)
        free(f->rows[i]);
    free(f->panels);
    free(f->columns);
    free(f->rows);
    free(f->title);
    free(f->x_label);
    free(f->y_label);
    free(f->note);
    free(f->mark);
    free(f);
}

static int cells_of(const RgMapFigure *f) {
    return f->row_count * f->column_count;
}

/* ---- numbers ---- */

typedef struct Scale {
    double low, high; /* of the plotted values */
    int digits;
} Scale;

static Scale scale_of(const RgMapFigure *f) {
    double low = INFINITY, high = -INFINITY;
    for (int p = 0; p < f->panel_count; p++)
        for (int i = 0; i < cells_of(f); i++)
            if (isfinite(f->panels[p].cells[i].value)) {
                low = fmin(low, f->panels[p].cells[i].value * f->factor);
                high = fmax(high, f->panels[p].cells[i].value * f->factor);
            }
    double reach = isfinite(low) ? fmax(fmax(fabs(low), fabs(high)), 1e-9) : 1;
    Scale scale = f->differences ? (Scale){-reach, reach, 0} : (Scale){low, high, 0};
    if (!(scale.high > scale.low)) {
        scale.low = isfinite(low) ? low - 1 : 0;
        scale.high = scale.low + 2;
    }
    int digits = 2 - (int)floor(log10(scale.high - scale.low));
    scale.digits = digits < 0 ? 0 : digits > 6 ? 6 : digits;
    return scale;
}

/* "0.31*": beyond chance; "0.31†": without the trials that diverged. malloc'd. */
static char *cell_text(const RgMapFigure *f, const RgMapCell *cell, int digits) {
    if (isnan(cell->value))
        return rg_string_copy(cell->diverged ? "div." : "");
    double value = cell->value * f->factor;
    bool zero = fabs(value) < 0.5 * pow(10, -digits); /* no minus before it */
    return rg_string_format("%s%.*f%s%s", value < 0 && !zero ? "\u2212" : "", digits, fabs(value),
                            cell->p_value < 0.05 ? "*" : "", cell->diverged ? "†" : "");
}

char *rg_map_figure_data(const RgMapFigure *f) {
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    Scale scale = scale_of(f);
    fputs("mean\tlow\thigh\tp_holm\tseeds\tdiverged\tpanel\tx\ty\ttext\tmethod\trow\tcolumn\n",
          out);
    for (int p = 0; p < f->panel_count; p++)
        for (int i = 0; i < cells_of(f); i++) {
            const RgMapCell *cell = &f->panels[p].cells[i];
            int row = i / f->column_count, column = i % f->column_count;
            char *shown = cell_text(f, cell, scale.digits);
            rg_figure_write_number(out, cell->value);
            rg_figure_write_number(out, cell->low);
            rg_figure_write_number(out, cell->high);
            rg_figure_write_number(out, cell->p_value);
            fprintf(out, "%lld\t%d\t%d\t%d\t%d\t%s\t", (long long)cell->seeds, cell->diverged, p,
                    column, f->row_count - 1 - row, shown);
            rg_figure_write_name(out, f->panels[p].name);
            putc('\t', out);
            rg_figure_write_name(out, f->rows[row]);
            putc('\t', out);
            rg_figure_write_name(out, f->columns[column]);
            putc('\n', out);
            free(shown);
        }
    fclose(out);
    return text;
}

/* ---- layout, in pixels ---- */

enum { WIDEST = 660, GAP = 18, EDGE = 12, LEAST_CELL = 34, MOST_CELL = 90 };

typedef struct Layout {
    int left, top, head, foot, bottom; /* head: of a panel, its name; foot: its tics and label */
    int cell, line;                    /* width and height of one cell */
    int beside, lines;                 /* panels in a line, and lines of them */
    int width, height;
    bool slanted;   /* names of columns */
    double letters; /* relative size of letters in cells */
} Layout;

static int longest_of(char *const *names, int count) {
    int longest = 1;
    for (int i = 0; i < count; i++) {
        int length = (int)rg_utf8_width(names[i]);
        longest = length > longest ? length : longest;
    }
    return longest;
}

static int longest_text(const RgMapFigure *f) {
    Scale scale = scale_of(f);
    int most = 1;
    for (int p = 0; p < f->panel_count; p++)
        for (int i = 0; i < cells_of(f); i++) {
            char *text = cell_text(f, &f->panels[p].cells[i], scale.digits);
            most = (int)rg_utf8_width(text) > most ? (int)rg_utf8_width(text) : most;
            free(text);
        }
    return most;
}

static bool any_diverged(const RgMapFigure *f) {
    bool any = false;
    for (int p = 0; p < f->panel_count; p++)
        for (int i = 0; i < cells_of(f); i++)
            any = any || f->panels[p].cells[i].diverged;
    return any;
}

/* Line `i` of the legend below the panels, malloc'd; NULL: there is none. */
static char *legend_line(const RgMapFigure *f, int i) {
    if (f->tests > 0 && i-- == 0)
        return rg_string_format("*: p below 0.05, by Holm's correction over %d difference%s",
                                f->tests, f->tests == 1 ? "" : "s");
    if (any_diverged(f) && i-- == 0)
        return rg_string_copy("†: without the trials that diverged; div.: all did");
    return f->mark && i == 0 ? rg_string_format("frame: %s", f->mark) : NULL;
}

/* The number of its lines, and the width of the longest text of the figure, in letters. */
static int measure_legend(const RgMapFigure *f, int *longest) {
    int lines = 0;
    char *line;
    *longest = (int)rg_utf8_width(f->note);
    while ((line = legend_line(f, lines))) {
        int length = (int)rg_utf8_width(line);
        *longest = length > *longest ? length : *longest;
        free(line);
        lines++;
    }
    return lines;
}

static int width_of(const Layout *l, const RgMapFigure *f, int cell, int beside) {
    return l->left + EDGE + beside * cell * f->column_count + (beside - 1) * GAP;
}

/* Cells as wide as their texts need, as many panels in a line as fit; given a width, the cells fill
 * it. */
static void place_panels(const RgMapFigure *f, int wanted, int width, Layout *l) {
    int widest = width > 0 ? width : WIDEST;
    l->beside = f->panel_count;
    while (l->beside > 1 && width_of(l, f, wanted, l->beside) > widest)
        l->beside--;
    l->cell = wanted;
    if (width > 0 || width_of(l, f, wanted, l->beside) > widest)
        l->cell = (widest - l->left - EDGE - (l->beside - 1) * GAP) / (l->beside * f->column_count);
    l->cell = l->cell > MOST_CELL ? MOST_CELL : l->cell < 1 ? 1 : l->cell;
    l->lines = (f->panel_count + l->beside - 1) / l->beside;
    l->width = width > 0 ? width : width_of(l, f, l->cell, l->beside);
}

static Layout lay_out(const RgMapFigure *f, int width, int height) {
    int names = RG_GNUPLOT_LETTER * longest_of(f->columns, f->column_count);
    int most = longest_text(f), text = RG_GNUPLOT_LETTER * most + 12, letters;
    Layout l = {.left = RG_GNUPLOT_LETTER * longest_of(f->rows, f->row_count) + 42,
                .top = RG_GNUPLOT_LINE * (f->title ? 3 : 1) + 10,
                .head = RG_GNUPLOT_LINE + 4,
                .bottom = RG_GNUPLOT_LINE * measure_legend(f, &letters) + 6};
    int wanted = text > LEAST_CELL ? text : LEAST_CELL;
    for (int p = 0; p < f->panel_count; p++) { /* names of panels do not touch either */
        int name = RG_GNUPLOT_LETTER * (int)rg_utf8_width(f->panels[p].name) / f->column_count;
        wanted = name > wanted ? name : wanted;
    }
    place_panels(f, wanted > MOST_CELL ? MOST_CELL : wanted, width, &l);
    int words = RG_GNUPLOT_LETTER * letters + 2 * EDGE;
    if (width <= 0 && words > l.width)
        l.width = words > WIDEST ? WIDEST : words;
    l.slanted = names + 4 > l.cell;
    l.foot = RG_GNUPLOT_LINE * 3 + 2 + (l.slanted ? names * 2 / 3 : 0);
    l.letters = fmin(1, (l.cell - 4.0) / (RG_GNUPLOT_LETTER * most));
    l.line = RG_GNUPLOT_LINE + 7;
    int rest = l.top + l.bottom + l.lines * (l.head + l.foot);
    if (height > 0)
        l.line = (height - rest) / (l.lines * f->row_count);
    l.line = l.line < 4 ? 4 : l.line;
    l.height = height > 0 ? height : rest + l.lines * f->row_count * l.line;
    return l;
}

/* ---- script ---- */

static void write_tics(const char *axis, char *const *names, int count, bool backwards, bool shown,
                       const char *how, FILE *out) {
    fprintf(out, "set %stics %s scale 0 (", axis, how);
    for (int i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        rg_gnuplot_tic(out, shown ? names[i] : "", backwards ? count - 1 - i : i);
    }
    fputs(")\n", out);
}

/* Tags of texts that are not a panel's own: the title, what a cell is, lines of the legend. */
enum { TITLE = 9, NOTE = 10, LEGEND = 11, LAST = 13 };

/* A line of text at a height from the top, in pixels. */
static void write_line(const Layout *l, int tag, double from_top, const char *text, FILE *out) {
    fprintf(out, "set label %d ", tag);
    rg_gnuplot_quote(out, text);
    fprintf(out, " at screen %g, screen %g left textcolor rgb '#222222'\n", 6.0 / l->width,
            1 - from_top / l->height);
}

static void write_legend(const RgMapFigure *f, const Layout *l, FILE *out) {
    double from_top = l->height - l->bottom + 0.5 * RG_GNUPLOT_LINE;
    char *line;
    for (int i = 0; (line = legend_line(f, i)); i++) {
        write_line(l, LEGEND + i, from_top, line, out);
        free(line);
        from_top += RG_GNUPLOT_LINE;
    }
}

static void write_frame(const RgMapFigure *f, const Layout *l, const Scale *scale, FILE *out) {
    rg_figure_write_looks(out);
    fprintf(out,
            "unset border\nunset key\nunset colorbox\nset palette defined (%s)\n"
            "set cbrange [%.10g:%.10g]\nset xrange [-0.5:%g]\nset yrange [-0.5:%g]\n",
            f->differences ? rg_figure_two_sided : rg_figure_one_sided, scale->low, scale->high,
            f->column_count - 0.5, f->row_count - 0.5);
    fprintf(out, "zf = %.10g\nplace(z) = (z*zf - %.10g)/%.10g\nink(z) = %s ? 0xFFFFFF : 0x111111\n",
            f->factor, scale->low, scale->high - scale->low,
            f->differences ? "abs(place(z) - 0.5) > 0.33" : "place(z) > 0.58");
    if (f->title)
        write_line(l, TITLE, RG_GNUPLOT_LINE, f->title, out);
    write_line(l, NOTE, l->top - 0.5 * RG_GNUPLOT_LINE - 4, f->note, out);
    write_legend(f, l, out);
    fputs("set multiplot\n", out);
}

/* Texts that are not a panel's own are written once, with the first. */
static void end_frame(FILE *out) {
    for (int tag = TITLE; tag <= LAST; tag++)
        fprintf(out, "unset label %d\n", tag);
}

static void write_margins(const RgMapFigure *f, const Layout *l, int panel, FILE *out) {
    int left = l->left + panel % l->beside * (l->cell * f->column_count + GAP);
    int below = l->top + panel / l->beside * (l->head + l->foot + l->line * f->row_count) + l->head;
    fprintf(out, "set lmargin at screen %g\nset rmargin at screen %g\n", (double)left / l->width,
            (double)(left + l->cell * f->column_count) / l->width);
    fprintf(out, "set tmargin at screen %g\nset bmargin at screen %g\n",
            1 - (double)below / l->height,
            1 - (double)(below + l->line * f->row_count) / l->height);
}

static void write_axis(const char *axis, const char *text, FILE *out) {
    fprintf(out, "set %slabel ", axis);
    rg_gnuplot_quote(out, text);
    fputs(" textcolor rgb '#222222'\n", out);
}

static void write_panel(const RgMapFigure *f, const Layout *l, int panel, FILE *out) {
    bool first = panel % l->beside == 0;
    write_margins(f, l, panel, out);
    write_tics("x", f->columns, f->column_count, false, true,
               l->slanted ? "nomirror rotate by 40 right" : "nomirror", out);
    write_tics("y", f->rows, f->row_count, true, first, "nomirror", out);
    write_axis("x", f->x_label, out);
    write_axis("y", first ? f->y_label : "", out);
    fputs("set label 1 ", out);
    rg_gnuplot_quote(out, f->panels[panel].name);
    fputs(" at graph 0, graph 1 offset 0, character 0.6 textcolor rgb '#000000'\n", out);
    if (f->mark)
        fprintf(out,
                "set object 1 rectangle center %d, %d size 0.92, 0.88 front fillstyle empty border "
                "linecolor rgb '#111111' linewidth 2.4*lw\n",
                f->column, f->row_count - 1 - f->row);
    fprintf(
        out,
        "plot data using ($7==%d ? $8 : NaN):9:($8-0.5):($8+0.5):($9-0.5):($9+0.5):($1*zf) with "
        "boxxyerror linecolor palette linewidth lw fillstyle solid 1 border linecolor rgb "
        "'#FFFFFF'",
        panel);
    fprintf(out,
            ", \\\n     data using ($7==%d ? $8 : NaN):9:10:(valid(1) ? ink($1) : 0x777777) with "
            "labels textcolor rgb variable font sprintf(',%%g', fs*%.3g)\n",
            panel, l->letters);
    if (panel == 0)
        end_frame(out);
}

RgStatus rg_map_figure_draw(const RgMapFigure *f, const char *output, int width, int height,
                            RgError *error) {
    RG_TRY(rg_gnuplot_check(output, error));
    RG_ASSERT(f->panel_count > 0 && cells_of(f) > 0);
    Layout layout = lay_out(f, width, height);
    Scale scale = scale_of(f);
    char *script, *data = rg_map_figure_data(f);
    size_t size;
    FILE *out = open_memstream(&script, &size);
    write_frame(f, &layout, &scale, out);
    for (int panel = 0; panel < f->panel_count; panel++)
        write_panel(f, &layout, panel, out);
    fputs("unset multiplot\n", out);
    fclose(out);
    RgStatus status = rg_gnuplot_draw(output, layout.width, layout.height, data, script, error);
    free(script);
    free(data);
    return status;
}
