/* SPDX-License-Identifier: MIT */
/* Maps as data: a metric of each method over two swept options, or its difference to a baseline in
 * each cell, with p-values adjusted over all cells and methods. */
#include "analysis/compare/by_cell.h"
#include "analysis/compare/difference.h"
#include "analysis/figures/figure_map.h"
#include "analysis/figures/plot_parts.h"
#include "analysis/statistics/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the options ---- */

static RgStatus make_cells(const RgResults *results, const char *map, RgSweptCells **cells,
                           RgError *error) {
    const RgBy by = {.lists = (const char *[]){map}, .count = 1};
    const char *comma = strchr(map, ',');
    if (!comma || strchr(comma + 1, ','))
        return rg_fail(error, RG_E_USAGE,
                       "--map is \"%.100s\": expected two swept options, COLUMNS,ROWS", map);
    return rg_swept_cells_create(results, &by, cells, error);
}

static int place_of(const RgSweptValue *values, int count, const char *text) {
    int place = 0;
    while (place < count && strcmp(values[place].text, text) != 0)
        place++;
    return place;
}

/* ---- the marked cell ---- */

/* The place of "option=value" among the values of the option, which is `option`. */
static RgStatus find_value(const char *text, const RgSweptValue *values, int count, int *place,
                           RgError *error) {
    char *end, *list = rg_string_copy("");
    double number = strtod(text, &end);
    *place = -1;
    for (int i = 0; i < count; i++) {
        bool equal = strcmp(values[i].text, text) == 0 ||
                     (end > text && !*end && values[i].number == number);
        *place = equal ? i : *place;
        char *longer = rg_string_format("%s%s%.40s", list, i ? ", " : "", values[i].text);
        free(list);
        list = longer;
    }
    RgStatus status = *place >= 0 ? RG_OK
                                  : rg_fail(error, RG_E_USAGE,
                                            "--mark: \"%.100s\" is no value of the map: expected "
                                            "one of %.300s",
                                            text, list);
    free(list);
    return status;
}

/* The values of both options: [2]. */
typedef struct Axes {
    const char *option[2];
    RgSweptValue *values[2];
    int count[2];
} Axes;

static RgStatus read_mark(const RgResults *results, const char *mark, const Axes *axes,
                          int place[2], RgError *error) {
    char *copy = rg_string_copy(mark), *next = copy, *part;
    RgStatus status = RG_OK;
    place[0] = place[1] = -1;
    while (status == RG_OK && (part = strsep(&next, ","))) {
        char *equals = strchr(part, '=');
        if (equals)
            *equals = '\0';
        const char *option = equals ? rg_swept_option(results, part) : NULL;
        int axis = option == axes->option[0] ? 0 : option == axes->option[1] ? 1 : -1;
        if (!option || axis < 0 || place[axis] >= 0) { /* refused below */
            place[0] = -1;
            break;
        }
        status = find_value(equals + 1, axes->values[axis], axes->count[axis], &place[axis], error);
    }
    free(copy);
    RG_TRY(status);
    if (place[0] < 0 || place[1] < 0)
        return rg_fail(error, RG_E_USAGE,
                       "--mark is \"%.100s\": expected a value of each option of the map, "
                       "%s=VALUE,%s=VALUE",
                       mark, rg_last_part(axes->option[0]), rg_last_part(axes->option[1]));
    return RG_OK;
}

/* ---- the panels ---- */

static RgMapPanel *panel_named(RgMapFigure *f, const char *name) {
    for (int i = 0; i < f->panel_count; i++)
        if (strcmp(f->panels[i].name, name) == 0)
            return &f->panels[i];
    f->panels = rg_reallocate(f->panels, (size_t)f->panel_count + 1, sizeof *f->panels);
    RgMapPanel *panel = &f->panels[f->panel_count++];
    int cells = f->row_count * f->column_count;
    *panel = (RgMapPanel){rg_string_copy(name), rg_allocate(cells, sizeof *panel->cells)};
    for (int i = 0; i < cells; i++)
        panel->cells[i] = (RgMapCell){.value = NAN, .low = NAN, .high = NAN, .p_value = NAN};
    return panel;
}

static bool has_any(const RgGroup *group, const Axes *axes) {
    return rg_fields_find(group->swept, axes->option[0]) ||
           rg_fields_find(group->swept, axes->option[1]);
}

static RgMapCell mean_cell(const RgResults *results, const RgGroup *group,
                           const RgMeasure *measure) {
    RgReadOf of = {.group = group, .as = RG_READ_END};
    RgMean mean = rg_mean_read(results, &of, measure);
    return (RgMapCell){.value = mean.summary.mean,
                       .low = mean.interval.low,
                       .high = mean.interval.high,
                       .p_value = NAN,
                       .seeds = mean.summary.count,
                       .diverged = group->by_status[RG_TRIAL_DIVERGED]};
}

static RgMapCell difference_cell(const RgResults *results, const RgGroup *group,
                                 const RgGroup *baseline, const RgMeasure *measure) {
    RgReadOf a = {.group = group, .as = RG_READ_END}, b = {.group = baseline, .as = RG_READ_END};
    int64_t seeds;
    RgEstimate e = rg_difference_read(results, &a, &b, 0, measure, &seeds);
    return (RgMapCell){.value = e.value,
                       .low = e.interval.low,
                       .high = e.interval.high,
                       .p_value = e.p_value,
                       .seeds = seeds,
                       .diverged = group->by_status[RG_TRIAL_DIVERGED] +
                                   baseline->by_status[RG_TRIAL_DIVERGED]};
}

/* Fill cell `at` of every panel from the methods that ran there. Fails where the method that they are
 * compared with did not. */
static RgStatus fill_cell(const RgSweptCell *cell, const RgPlotOptions *options, const Axes *axes,
                          const RgMeasure *measure, int at, RgMapFigure *f, RgError *error) {
    const RgGroup *baseline = NULL;
    if (options->against)
        RG_TRY(rg_results_group(cell->results, options->against, &baseline, error));
    for (int g = 0; g < cell->results->group_count; g++) {
        const RgGroup *group = &cell->results->groups[g];
        bool varies = has_any(group, axes) || (baseline && has_any(baseline, axes));
        if (group == baseline || !varies ||
            (options->method && strcmp(options->method, group->name) != 0))
            continue;
        panel_named(f, group->name)->cells[at] =
            baseline ? difference_cell(cell->results, group, baseline, measure)
                     : mean_cell(cell->results, group, measure);
    }
    return RG_OK;
}

/* Adjust the p-values of all panels as one family. */
static void adjust(RgMapFigure *f) {
    int cells = f->row_count * f->column_count, count = f->panel_count * cells;
    double *p = rg_allocate(2 * (size_t)count, sizeof *p);
    for (int i = 0; i < count; i++) {
        p[i] = f->panels[i / cells].cells[i % cells].p_value;
        f->tests += !isnan(p[i]);
    }
    rg_holm(p, count, p + count);
    for (int i = 0; i < count; i++)
        f->panels[i / cells].cells[i % cells].p_value = p[count + i];
    free(p);
}

static void name_axes(const Axes *axes, const RgPlotOptions *options, const RgMeasure *measure,
                      RgMapFigure *f) {
    f->column_count = axes->count[0];
    f->row_count = axes->count[1];
    f->columns = rg_allocate(f->column_count, sizeof *f->columns);
    f->rows = rg_allocate(f->row_count, sizeof *f->rows);
    for (int i = 0; i < f->column_count; i++)
        f->columns[i] = rg_string_copy(axes->values[0][i].text);
    for (int i = 0; i < f->row_count; i++) /* upwards, as on any axis */
        f->rows[f->row_count - 1 - i] = rg_string_copy(axes->values[1][i].text);
    f->x_label = rg_string_copy(rg_last_part(axes->option[0]));
    f->y_label = rg_string_copy(rg_last_part(axes->option[1]));
    f->title = rg_string_copy(options->title);
    char *heading = rg_plot_axis_label(measure, 0, &f->factor);
    f->note = options->against ? rg_string_format("%s, difference to %s", heading, options->against)
                               : rg_string_copy(heading);
    f->differences = options->against != NULL;
    free(heading);
}

static RgStatus fill_map(const RgSweptCells *cells, const RgPlotOptions *options, const Axes *axes,
                         const RgMeasure *measure, RgMapFigure *f, RgError *error) {
    RgError missing = {0};
    RgStatus status = RG_OK;
    for (int i = 0; i < cells->count; i++) {
        const RgSweptCell *cell = &cells->at[i];
        int column = place_of(axes->values[0], axes->count[0], cell->values[0]);
        int row = f->row_count - 1 - place_of(axes->values[1], axes->count[1], cell->values[1]);
        RgStatus filled =
            fill_cell(cell, options, axes, measure, row * f->column_count + column, f, &missing);
        status = filled == RG_OK ? status : filled;
    }
    if (f->panel_count > 0)
        return RG_OK; /* a cell without it stays white */
    if (status != RG_OK)
        return rg_fail(error, status, "%s", missing.text);
    return rg_fail(error, RG_E_USAGE, "--map: no method%s%s%s to draw beside %s",
                   options->method ? " \"" : "", options->method ? options->method : "",
                   options->method ? "\"" : "",
                   options->against ? options->against : "the options");
}

static RgStatus mark_cell(const RgResults *results, const RgPlotOptions *options, const Axes *axes,
                          RgMapFigure *f, RgError *error) {
    int place[2];
    RG_TRY(read_mark(results, options->mark, axes, place, error));
    f->column = place[0];
    f->row = f->row_count - 1 - place[1];
    f->mark = rg_string_format("%s %s, %s %s", f->x_label, axes->values[0][place[0]].text,
                               f->y_label, axes->values[1][place[1]].text);
    return RG_OK;
}

RgStatus rg_plot_map_figure(const RgResults *results, const RgPlotOptions *options,
                            RgMapFigure **figure, RgError *error) {
    RgMeasure measure;
    RgSweptCells *cells = NULL;
    *figure = NULL;
    RG_TRY(rg_results_measure(results, options->y ? options->y : "reward", &measure, error));
    RG_TRY(make_cells(results, options->map, &cells, error));
    RG_ASSERT(cells);
    Axes axes = {.option = {cells->options[0], cells->options[1]}};
    for (int i = 0; i < 2; i++)
        axes.count[i] = rg_swept_values(results, axes.option[i], &axes.values[i]);
    RgMapFigure *f = rg_allocate(1, sizeof *f);
    f->row = f->column = -1;
    name_axes(&axes, options, &measure, f);
    RgStatus status = fill_map(cells, options, &axes, &measure, f, error);
    if (status == RG_OK && options->mark)
        status = mark_cell(results, options, &axes, f, error);
    if (status == RG_OK)
        adjust(f);
    for (int i = 0; i < 2; i++)
        free(axes.values[i]);
    rg_swept_cells_destroy(cells);
    if (status == RG_OK)
        *figure = f;
    else
        rg_map_figure_destroy(f);
    return status;
}

/* ---- the command ---- */

/* What is said about a map beside it: differences of few seeds. */
static char *few_seeds(const RgMapFigure *f) {
    int64_t least = RG_SEEDS_TO_COMPARE;
    for (int i = 0; i < f->panel_count * f->row_count * f->column_count && f->differences; i++) {
        int cells = f->row_count * f->column_count;
        int64_t seeds = f->panels[i / cells].cells[i % cells].seeds;
        least = seeds > 0 && seeds < least ? seeds : least;
    }
    return rg_few_seeds(least);
}

RgStatus rg_plot_map(const RgResults *results, const RgPlotOptions *options, RgError *error) {
    RgMapFigure *figure;
    RgStatus status = rg_plot_map_figure(results, options, &figure, error);
    status = rg_results_status(results, status, error);
    if (status == RG_OK)
        status =
            rg_map_figure_draw(figure, options->output, options->width, options->height, error);
    char *few = status == RG_OK && figure ? few_seeds(figure) : NULL;
    if (few && options->notes)
        fprintf(options->notes, "%s\n", few);
    free(few);
    rg_map_figure_destroy(figure);
    return status;
}
