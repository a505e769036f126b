/* SPDX-License-Identifier: MIT */
/* Plotting a matrix: each cell is a coloured box with its number, so no colour scale is needed, and
 * grey print loses nothing. */
#include "analysis/figures/figure_matrix.h"
#include "analysis/compare/format.h"
#include "analysis/figures/figure_parts.h"
#include "analysis/figures/gnuplot.h"
#include "core/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Scale {
    double low, high; /* of the plotted values */
} Scale;

static Scale scale_of(const RgFigure *figure) {
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < figure->row_count * figure->category_count; i++)
        if (isfinite(figure->cells[i].value)) {
            low = fmin(low, figure->cells[i].value);
            high = fmax(high, figure->cells[i].value);
        }
    if (!isnan(figure->middle)) {
        double reach = fmax(fmax(fabs(high - figure->middle), fabs(low - figure->middle)), 1e-9);
        low = figure->middle - reach;
        high = figure->middle + reach;
    } else if (!(high > low)) {
        low = isfinite(low) ? low - 1 : 0;
        high = low + 2;
    }
    return (Scale){low * figure->z_factor, high * figure->z_factor};
}

/* Decimals that resolve the scale: three digits of its length. */
static int decimals(const Scale *scale) {
    double length = scale->high - scale->low;
    int digits = isfinite(length) ? 2 - (int)floor(log10(length)) : 0;
    return digits < 0 ? 0 : digits > 6 ? 6 : digits;
}

static char *cell_text(const RgFigureCell *cell, double factor, int digits) {
    if (isnan(cell->value))
        return rg_string_copy(cell->diverged ? "div." : "");
    return rg_string_format("%.*f%s", digits, cell->value * factor, cell->diverged ? "*" : "");
}

/* The columns x, y and text are for the script: position and text of a cell. */
void rg_figure_matrix_data(const RgFigure *figure, FILE *out) {
    Scale scale = scale_of(figure);
    int digits = decimals(&scale);
    fputs("mean\tlow\thigh\tseeds\tdiverged\tx\ty\ttext\trow\tcolumn\n", out);
    for (int i = 0; i < figure->row_count * figure->category_count; i++) {
        const RgFigureCell *cell = &figure->cells[i];
        int row = i / figure->category_count, column = i % figure->category_count;
        char *text = cell_text(cell, figure->z_factor, digits);
        rg_figure_write_number(out, cell->value);
        rg_figure_write_number(out, cell->low);
        rg_figure_write_number(out, cell->high);
        fprintf(out, "%lld\t%d\t%d\t%d\t%s\t", (long long)cell->seeds, cell->diverged, column,
                figure->row_count - 1 - row, text);
        rg_figure_write_name(out, figure->rows[row]);
        putc('\t', out);
        rg_figure_write_name(out, figure->categories[column]);
        putc('\n', out);
        free(text);
    }
}

/* Layout, in pixels: row names are left of the cells. */

typedef struct Layout {
    int left, bottom, top, cell; /* cell: width of one cell */
    bool slanted;                /* column names are slanted */
    double letters;              /* relative size of letters in cells */
} Layout;

static int longest_of(char *const *names, int count) {
    size_t longest = 1;
    for (int i = 0; i < count; i++) {
        size_t length = rg_utf8_width(names[i]);
        longest = length > longest ? length : longest;
    }
    return (int)longest;
}

static bool any_diverged(const RgFigure *figure) {
    for (int i = 0; i < figure->row_count * figure->category_count; i++)
        if (figure->cells[i].diverged)
            return true;
    return false;
}

static int longest_text(const RgFigure *figure) {
    Scale scale = scale_of(figure);
    int digits = decimals(&scale), most = 1;
    for (int i = 0; i < figure->row_count * figure->category_count; i++) {
        char *text = cell_text(&figure->cells[i], figure->z_factor, digits);
        most = (int)strlen(text) > most ? (int)strlen(text) : most;
        free(text);
    }
    return most;
}

static int row_names(const RgFigure *figure) {
    return RG_GNUPLOT_LETTER * longest_of(figure->rows, figure->row_count) + 16;
}

/* Cells of half an inch to an inch, and space for the words above; seven inches at most. */
int rg_figure_matrix_width(const RgFigure *figure) {
    int names = RG_GNUPLOT_LETTER * longest_of(figure->categories, figure->category_count);
    int text = RG_GNUPLOT_LETTER * longest_text(figure);
    int cell = (names > text ? names : text) + 14;
    int words = RG_GNUPLOT_LETTER * (int)(strlen(figure->y_label) + 20 +
                                          (figure->cell_note ? strlen(figure->cell_note) : 0));
    cell = cell < 48 ? 48 : cell > 90 ? (text + 14 > 60 ? text + 14 : 60) : cell;
    int width = row_names(figure) + 12 + cell * figure->category_count;
    width = width < words ? words : width;
    return width > 660 ? 660 : width;
}

static Layout lay_out(const RgFigure *figure, int width) {
    Layout l = {.left = row_names(figure), .top = RG_GNUPLOT_LINE * (figure->title ? 4 : 2)};
    int names = RG_GNUPLOT_LETTER * longest_of(figure->categories, figure->category_count);
    l.left = l.left > 2 * width / 5 ? 2 * width / 5 : l.left;
    l.cell = (width - l.left - 12) / (figure->category_count ? figure->category_count : 1);
    l.cell = l.cell > 90 ? 90 : l.cell > 0 ? l.cell : 1;
    l.slanted = names + 6 > l.cell;
    l.bottom = RG_GNUPLOT_LINE * (any_diverged(figure) + (figure->x_label[0] ? 2 : 0)) + 12 +
               (l.slanted ? names * 2 / 3 : RG_GNUPLOT_LINE);
    int most = longest_text(figure);
    l.letters = fmin(1, (l.cell - 4.0) / (RG_GNUPLOT_LETTER * most));
    return l;
}

int rg_figure_matrix_height(const RgFigure *figure, int width) {
    Layout l = lay_out(figure, width);
    int row = l.cell * 3 / 5;
    row = row < RG_GNUPLOT_LINE + 3 ? RG_GNUPLOT_LINE + 3 : row > 40 ? 40 : row;
    return l.top + l.bottom + row * figure->row_count;
}

static void write_tics(const char *axis, char *const *names, int count, bool backwards,
                       const char *how, FILE *out) {
    fprintf(out, "set %stics %s scale 0 (", axis, how);
    for (int i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        rg_gnuplot_tic(out, names[i], backwards ? count - 1 - i : i);
    }
    fputs(")\n", out);
}

/* The meaning of the marks, below the name of the axis. */
static void write_marks(const RgFigure *figure, int height, FILE *out) {
    if (!any_diverged(figure))
        return;
    fprintf(out,
            "set label 2 '* without the trials that diverged; div.: all did' at screen 0.5, "
            "screen %g center textcolor rgb '#222222'\n",
            0.6 * RG_GNUPLOT_LINE / height);
}

void rg_figure_matrix_script(const RgFigure *figure, int width, int height, FILE *out) {
    Layout l = lay_out(figure, width);
    Scale scale = scale_of(figure);
    int right = width - l.left - l.cell * figure->category_count;
    rg_figure_write_looks(out);
    rg_figure_write_title(out, figure->title);
    fputs("set xlabel ", out);
    rg_gnuplot_quote(out, figure->x_label);
    fputs(" textcolor rgb '#222222'\n", out);
    fprintf(out, "set lmargin at screen %g\nset rmargin at screen %g\n", (double)l.left / width,
            1 - (double)right / width);
    fprintf(out, "set bmargin at screen %g\nset tmargin at screen %g\n", (double)l.bottom / height,
            1 - (double)l.top / height);
    fprintf(out, "unset border\nunset key\nunset colorbox\nset palette defined (%s)\n",
            isnan(figure->middle) ? rg_figure_one_sided : rg_figure_two_sided);
    fprintf(out, "set cbrange [%.10g:%.10g]\nset xrange [-0.5:%g]\nset yrange [-0.5:%g]\n",
            scale.low, scale.high, figure->category_count - 0.5, figure->row_count - 0.5);
    write_tics("x", figure->categories, figure->category_count, false,
               l.slanted ? "nomirror rotate by 40 right" : "nomirror", out);
    write_tics("y", figure->rows, figure->row_count, true, "nomirror", out);
    fputs("set label 1 ", out);
    char *note =
        rg_string_format("%s%s%s", figure->y_label, figure->cell_note ? "; in the cells: " : "",
                         figure->cell_note ? figure->cell_note : "");
    rg_gnuplot_quote(out, note);
    free(note);
    fprintf(out, " at screen %g, graph 1 offset 0, character 0.9 textcolor rgb '#222222'\n",
            6.0 / width);
    write_marks(figure, height, out);
    /* dark cells have white letters */
    fprintf(out, "zf = %.10g\nplace(z) = (z*zf - %.10g)/%.10g\nink(z) = %s ? 0xFFFFFF : 0x111111\n",
            figure->z_factor, scale.low, scale.high - scale.low,
            isnan(figure->middle) ? "place(z) > 0.58" : "abs(place(z) - 0.5) > 0.33");
    fprintf(out,
            "plot data using 6:7:($6-0.5):($6+0.5):($7-0.5):($7+0.5):($1*zf) with boxxyerror "
            "linecolor palette linewidth lw fillstyle solid 1 border linecolor rgb '#FFFFFF', \\\n"
            "     data using 6:7:8:(valid(1) ? ink($1) : 0x777777) with labels "
            "textcolor rgb variable font sprintf(',%%g', fs*%.3g)\n",
            l.letters);
}
