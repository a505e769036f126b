/* SPDX-License-Identifier: MIT */
/* Matrices as data: a metric over two swept options, and the win rates of methods against each
 * other. */
#include "analysis/figures/plot_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void make_room(RgFigure *figure, int rows, int columns) {
    size_t cells = (size_t)rows * (size_t)columns;
    figure->row_count = rows;
    figure->category_count = columns;
    figure->rows = rg_allocate(rows, sizeof *figure->rows);
    figure->categories = rg_allocate(columns, sizeof *figure->categories);
    figure->cells = rg_allocate(cells, sizeof *figure->cells);
    for (size_t i = 0; i < cells; i++)
        figure->cells[i] = (RgFigureCell){.value = NAN, .low = NAN, .high = NAN};
}

/* Heat map. */

typedef struct Options {
    const char *x, *y; /* swept options in full */
} Options;

static bool has_both(const RgGroup *group, const Options *options) {
    return rg_fields_find(group->swept, options->x) && rg_fields_find(group->swept, options->y);
}

/* Whether the group belongs to the method of the figure; NULL: any. */
static bool is_of(const RgGroup *group, const Options *options, const char *method) {
    if (!has_both(group, options))
        return false;
    char *name = rg_plot_curve_name(group, options->x, options->y);
    bool same = !method || strcmp(name, method) == 0;
    free(name);
    return same;
}

/* The method of the figure: it has both options, and no other swept option. `names` [groups + 1]
 * are all candidates. */
static RgStatus choose_method(const RgResults *results, const Options *options,
                              const char *requested, const char **names, char **method,
                              RgError *error) {
    int count = 0;
    *method = NULL;
    for (int g = 0; g < results->group_count; g++) {
        if (!has_both(&results->groups[g], options))
            continue;
        char *name = rg_plot_curve_name(&results->groups[g], options->x, options->y);
        bool known = false;
        for (int i = 0; i < count && !known; i++)
            known = strcmp(names[i], name) == 0;
        if (known)
            free(name);
        else
            names[count++] = name;
    }
    for (int i = 0; i < count; i++)
        if (requested ? strcmp(names[i], requested) == 0 : count == 1)
            *method = rg_string_copy(names[i]);
    if (*method)
        return RG_OK;
    if (requested)
        return rg_unknown_name(error, "method", requested, names);
    if (count == 0)
        return rg_fail(error, RG_E_USAGE, "%s: no method has both %s and %s swept", results->path,
                       options->x, options->y);
    return rg_fail(error, RG_E_USAGE,
                   "%s: %d methods have both %s and %s swept: choose one by --method, for example "
                   "\"%s\"",
                   results->path, count, options->x, options->y, names[0]);
}

static int place_of(const RgSweptValue *values, int count, const RgField *field) {
    int place = 0;
    while (place + 1 < count && strcmp(values[place].text, field->text) != 0)
        place++;
    return place;
}

static RgFigure *heatmap(const RgResults *results, const RgPlotOptions *requested,
                         const Options *options, const char *method, const RgMeasure *z) {
    RgSweptValue *x, *y;
    int columns = rg_swept_values(results, options->x, &x);
    int rows = rg_swept_values(results, options->y, &y);
    RgFigure *figure = rg_plot_begin(requested);
    make_room(figure, rows, columns);
    for (int i = 0; i < columns; i++)
        figure->categories[i] = rg_string_copy(x[i].text);
    for (int i = 0; i < rows; i++) /* upwards, as on any axis */
        figure->rows[rows - 1 - i] = rg_string_copy(y[i].text);
    for (int g = 0; g < results->group_count; g++) {
        const RgGroup *group = &results->groups[g];
        if (!is_of(group, options, method))
            continue;
        int column = place_of(x, columns, rg_fields_find(group->swept, options->x));
        int row = rows - 1 - place_of(y, rows, rg_fields_find(group->swept, options->y));
        RgFigurePoint end = rg_plot_final_point(results, group, z);
        figure->cells[row * columns + column] = (RgFigureCell){end.y, end.low, end.high, end.seeds,
                                                               group->by_status[RG_TRIAL_DIVERGED]};
    }
    figure->x_label = rg_string_copy(rg_last_part(options->x));
    figure->y_label = rg_string_copy(rg_last_part(options->y));
    char *heading = rg_plot_axis_label(z, 0, &figure->z_factor);
    figure->cell_note = rg_string_format("%s of %s", heading, method);
    free(heading);
    free(x);
    free(y);
    return figure;
}

/* NULL, with an error, if the axis has no swept option. */
static const char *option_of(const RgResults *results, const char *name, const char *axis,
                             RgError *error) {
    const char *option = name ? rg_swept_option(results, name) : NULL;
    if (!name)
        rg_fail(error, RG_E_USAGE, "a heat map needs two swept options: expected -%s NAME", axis);
    else if (!option)
        rg_unknown_name(error, "swept option", name, results->swept);
    return option;
}

RgStatus rg_plot_heatmap(const RgResults *results, const RgPlotOptions *options, RgFigure **figure,
                         RgError *error) {
    Options swept = {.x = option_of(results, options->x, "x", error)};
    RgMeasure z;
    if (!swept.x || !(swept.y = option_of(results, options->y, "y", error)))
        return RG_E_USAGE;
    if (strcmp(swept.x, swept.y) == 0)
        return rg_fail(error, RG_E_USAGE,
                       "both axes of a heat map are \"%s\": expected two swept options", swept.x);
    RG_TRY(rg_results_measure(results, options->z ? options->z : "reward", &z, error));
    const char **names = rg_allocate(results->group_count + 1, sizeof *names);
    char *method = NULL;
    RgStatus status = choose_method(results, &swept, options->method, names, &method, error);
    if (status == RG_OK)
        *figure = heatmap(results, options, &swept, method, &z);
    for (int i = 0; names[i]; i++)
        free((void *)names[i]);
    free(names);
    free(method);
    return status;
}

/* Tournament. */

RgFigure *rg_plot_tournament_figure(const RgTournament *tournament) {
    int count = tournament->count;
    RgFigure *figure = rg_plot_begin(&(RgPlotOptions){0});
    make_room(figure, count, count);
    for (int i = 0; i < count; i++) {
        figure->rows[i] = rg_string_copy(tournament->methods[i].group->name);
        figure->categories[i] = rg_string_copy(tournament->methods[i].group->name);
    }
    for (int i = 0; i < count * count; i++) {
        const RgMeeting *meeting = &tournament->meetings[i];
        if (meeting->met)
            figure->cells[i] = (RgFigureCell){.value = meeting->win_rate.value,
                                              .low = meeting->win_rate.interval.low,
                                              .high = meeting->win_rate.interval.high,
                                              .seeds = meeting->comparison.seeds};
    }
    figure->x_label = rg_string_copy("");
    figure->y_label = rg_string_copy("win rate of the row against the column, %");
    figure->z_factor = 100;
    figure->middle = 0.5;
    return figure;
}

RgStatus rg_plot_tournament(const RgResults *results, const RgPlotOptions *options,
                            RgFigure **figure, RgError *error) {
    RgTournamentOptions requested = {.metric = options->y};
    RgTournament *tournament;
    RG_TRY(rg_tournament_create(results, &requested, &tournament, error));
    *figure = rg_plot_tournament_figure(tournament);
    (*figure)->title = rg_string_copy(options->title);
    rg_tournament_destroy(tournament);
    return RG_OK;
}
