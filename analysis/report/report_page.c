/* SPDX-License-Identifier: MIT */
/* Parts of the report's page: tables, and the contents of its figures in words and numbers. All
 * text from the store is escaped. The markup is also well-formed XML, so that any tool can check
 * and read it. */
#include "analysis/report/report_page.h"
#include "analysis/compare/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void rg_page_section(FILE *out, const char *id, const char *heading) {
    fprintf(out, "<section id=\"%s\">\n<h2>", id);
    rg_write_html(out, heading);
    fputs("</h2>\n", out);
}

/* Tables. */

void rg_page_open_table(FILE *out, const char *class, const char *label) {
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", out);
    rg_write_html(out, label);
    fprintf(out, "\">\n<table class=\"%s\">\n", class);
}

void rg_page_close_table(FILE *out) {
    fputs("</tbody></table></div>\n", out);
}

/* The interval of "84.1 ± 1.2 [76.2, 91.2]" is less prominent than the value. */
static void write_cell(FILE *out, const char *cell) {
    const char *bracket = strchr(cell, '[');
    if (!bracket || bracket == cell) {
        rg_write_html(out, cell);
        return;
    }
    char *head = rg_string_format("%.*s", (int)(bracket - cell), cell);
    rg_write_html(out, head);
    fputs("<span class=\"interval\">", out);
    rg_write_html(out, bracket);
    fputs("</span>", out);
    free(head);
}

void rg_page_grid(FILE *out, const RgGrid *grid) {
    rg_page_open_table(out, "figures-table", "table");
    for (int row = 0; row < grid->rows; row++) {
        fputs(row == 0 ? "<thead><tr>" : "<tr>", out);
        for (int column = 0; column < grid->columns; column++) {
            bool head = row == 0 || column == 0;
            fprintf(out, head ? "<th scope=\"%s\">" : "<td>", row == 0 ? "col" : "row");
            if (head)
                rg_write_html(out, grid->cells[row * grid->columns + column]);
            else
                write_cell(out, grid->cells[row * grid->columns + column]);
            fputs(head ? "</th>" : "</td>", out);
        }
        fputs(row == 0 ? "</tr></thead>\n<tbody>\n" : "</tr>\n", out);
    }
    rg_page_close_table(out);
}

void rg_page_notes(FILE *out, char *const *notes, int count) {
    if (count == 0)
        return;
    fputs("<ul class=\"notes\">\n", out);
    for (int i = 0; i < count; i++) {
        fputs("<li>", out);
        rg_write_html(out, notes[i]);
        fputs("</li>\n", out);
    }
    fputs("</ul>\n", out);
}

/* Contents of a figure. */

/* Curves with more points are thinned in the table. */
enum { TABLE_POINTS = 40 };

static void write_value(FILE *out, double value) {
    char *text = rg_format_value(value, NAN, RG_UNIT_PLAIN);
    fprintf(out, "<td>%s</td>", text);
    free(text);
}

static void write_bounds(FILE *out, RgInterval interval) {
    char *text = rg_format_interval(interval, RG_UNIT_PLAIN);
    fprintf(out, "<td>%s</td>", text ? text : RG_DASH);
    free(text);
}

static void write_points(FILE *out, const RgFigure *figure, const RgFigureCurve *curve) {
    int64_t stride = (curve->count + TABLE_POINTS - 1) / TABLE_POINTS;
    for (int64_t i = 0; i < curve->count; i++) {
        const RgFigurePoint *point = &curve->points[i];
        if (i % stride != 0 && i != curve->count - 1)
            continue;
        fputs("<tr><th scope=\"row\">", out);
        rg_write_html(out, curve->name);
        if (figure->measures[0])
            fprintf(out, ", %s", figure->measures[curve->second]);
        fputs("</th>", out);
        if (figure->x_scale == RG_AXIS_CATEGORIES && curve->form != RG_CURVE_LEVEL) {
            fputs("<td>", out);
            rg_write_html(out, figure->categories[(int)point->x]);
            fputs("</td>", out);
        } else {
            write_value(out, point->x * figure->x_factor);
        }
        write_value(out, point->y * figure->y_factor);
        write_bounds(out,
                     (RgInterval){point->low * figure->y_factor, point->high * figure->y_factor});
        fprintf(out, "<td>%lld</td></tr>\n", (long long)point->seeds);
    }
}

static void write_curve_table(FILE *out, const RgFigure *figure) {
    rg_page_open_table(out, "figures-table", "values of the curves");
    fputs("<thead><tr><th scope=\"col\">curve</th><th scope=\"col\">", out);
    rg_write_html(out, figure->x_label);
    fputs("</th><th scope=\"col\">", out);
    rg_write_html(out, figure->y_label);
    fputs("</th><th scope=\"col\">95 % interval</th><th scope=\"col\">seeds</th></tr></thead>\n"
          "<tbody>\n",
          out);
    for (int i = 0; i < figure->curve_count; i++)
        write_points(out, figure, &figure->curves[i]);
    rg_page_close_table(out);
}

static void write_figure_cell(FILE *out, const RgFigure *figure, const RgFigureCell *cell) {
    if (isnan(cell->value)) {
        fputs(cell->diverged ? "<td>all diverged</td>" : "<td>" RG_DASH "</td>", out);
        return;
    }
    char *value = rg_format_value(cell->value * figure->z_factor, NAN, RG_UNIT_PLAIN);
    char *interval = rg_format_interval(
        (RgInterval){cell->low * figure->z_factor, cell->high * figure->z_factor}, RG_UNIT_PLAIN);
    fprintf(out, "<td>%s", value);
    if (interval)
        fprintf(out, " <span class=\"interval\">%s</span>", interval);
    if (cell->diverged)
        fprintf(out, " <span class=\"bad\">%d diverged</span>", cell->diverged);
    fputs("</td>", out);
    free(interval);
    free(value);
}

static void write_matrix_table(FILE *out, const RgFigure *figure) {
    rg_page_open_table(out, "figures-table", "values of the cells");
    fputs("<thead><tr><th scope=\"col\">", out);
    rg_write_html(out, figure->y_label);
    if (figure->x_label[0]) {
        fputs(" \\ ", out);
        rg_write_html(out, figure->x_label);
    }
    fputs("</th>", out);
    for (int i = 0; i < figure->category_count; i++) {
        fputs("<th scope=\"col\">", out);
        rg_write_html(out, figure->categories[i]);
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
    for (int row = 0; row < figure->row_count; row++) {
        fputs("<tr><th scope=\"row\">", out);
        rg_write_html(out, figure->rows[row]);
        fputs("</th>", out);
        for (int i = 0; i < figure->category_count; i++)
            write_figure_cell(out, figure, &figure->cells[row * figure->category_count + i]);
        fputs("</tr>\n", out);
    }
    rg_page_close_table(out);
}

void rg_page_figure_data(FILE *out, const RgFigure *figure) {
    int64_t longest = 0;
    for (int i = 0; i < figure->curve_count; i++)
        longest = figure->curves[i].count > longest ? figure->curves[i].count : longest;
    fputs("<details><summary>The numbers", out);
    if (longest > TABLE_POINTS)
        fprintf(out, ", thinned to at most %d a curve", TABLE_POINTS + 1);
    fputs("</summary>\n", out);
    if (figure->cells)
        write_matrix_table(out, figure);
    else
        write_curve_table(out, figure);
    fputs("</details>\n", out);
}

/* "dpo ends at 76.7", for at most a dozen curves; a listener would not follow more. */
char *rg_page_describe(const RgFigure *figure, const char *caption) {
    enum { MOST_SPOKEN = 12 };
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    fputs(caption, out);
    if (figure->cells)
        fprintf(out, " A matrix of %d rows by %d columns.", figure->row_count,
                figure->category_count);
    else
        fprintf(out, " %s against %s.", figure->y_label, figure->x_label);
    for (int i = 0; i < figure->curve_count && i < MOST_SPOKEN; i++) {
        const RgFigureCurve *curve = &figure->curves[i];
        if (curve->form == RG_CURVE_STEPS || curve->form == RG_CURVE_POINTS)
            continue;
        char *end = rg_format_value(curve->points[curve->count - 1].y * figure->y_factor, NAN,
                                    RG_UNIT_PLAIN);
        fprintf(out, " %s%s%s ends at %s.", curve->name, figure->measures[0] ? ", " : "",
                figure->measures[0] ? figure->measures[curve->second] : "", end);
        free(end);
    }
    fputs(" The numbers are in the table below.", out);
    fclose(out);
    return text;
}
