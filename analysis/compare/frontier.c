/* SPDX-License-Identifier: MIT */
/* The frontier: means over seeds of two metrics at every evaluation of every method, and which of
 * them are Pareto-optimal. */
#include "analysis/compare/frontier.h"
#include "analysis/compare/format.h"

#include <math.h>
#include <stdlib.h>

void rg_pareto(const double *x, const double *y, int64_t count, bool *optimal) {
    for (int64_t i = 0; i < count; i++) {
        optimal[i] = !isnan(x[i]) && !isnan(y[i]);
        for (int64_t j = 0; j < count && optimal[i]; j++)
            optimal[i] = !(x[j] <= x[i] && y[j] >= y[i] && (x[j] < x[i] || y[j] > y[i]));
    }
}

/* Over all trials at a step; an empty mean if one of them has no value. */
static RgMean mean_at(const RgFrontier *frontier, const RgTrial **trials, int count,
                      const RgMeasure *measure, int64_t step) {
    RgReading *readings = rg_allocate(count, sizeof *readings);
    bool all = true;
    for (int i = 0; i < count; i++) {
        readings[i] = rg_reading_at(frontier->results, trials[i], measure, step);
        all &= !isnan(readings[i].value);
    }
    RgMean mean = rg_mean_of(frontier->results, readings, all ? count : 0, measure);
    free(readings);
    return mean;
}

static void add_points(RgFrontier *frontier, const RgGroup *group) {
    const RgTrial **trials = rg_allocate(group->count, sizeof *trials);
    RgPoint *first_curve = NULL;
    int count = rg_group_sample(group, trials);
    int64_t first = frontier->count, steps = 0;
    if (count > 0)
        steps = rg_trial_curve(frontier->results, trials[0], &frontier->y, &first_curve);
    for (int64_t k = 0; k < steps; k++) {
        int64_t step = first_curve[k].step;
        RgFrontierPoint point = {.group = group,
                                 .step = step,
                                 .x = mean_at(frontier, trials, count, &frontier->x, step),
                                 .y = mean_at(frontier, trials, count, &frontier->y, step)};
        if (point.x.summary.count == 0 || point.y.summary.count == 0)
            continue;
        frontier->points =
            rg_reallocate(frontier->points, (size_t)frontier->count + 1, sizeof *frontier->points);
        frontier->points[frontier->count++] = point;
    }
    if (frontier->count > first)
        frontier->points[frontier->count - 1].last = true;
    free(first_curve);
    free(trials);
}

static void mark_optimal(RgFrontier *frontier) {
    size_t count = (size_t)frontier->count;
    double *x = rg_allocate(2 * count, sizeof *x), *y = x + count;
    bool *optimal = rg_allocate(count, sizeof *optimal);
    for (size_t i = 0; i < count; i++) {
        x[i] = frontier->points[i].x.summary.mean;
        y[i] = frontier->points[i].y.summary.mean;
    }
    rg_pareto(x, y, frontier->count, optimal);
    for (size_t i = 0; i < count; i++)
        frontier->points[i].optimal = optimal[i];
    free(optimal);
    free(x);
}

RgStatus rg_frontier_create(const RgResults *results, const char *x, const char *y,
                            RgFrontier **result, RgError *error) {
    RgFrontier frontier = {.results = results};
    RG_TRY(rg_results_measure(results, x ? x : "kl", &frontier.x, error));
    RG_TRY(rg_results_measure(results, y ? y : "reward", &frontier.y, error));
    for (int g = 0; g < results->group_count; g++)
        add_points(&frontier, &results->groups[g]);
    mark_optimal(&frontier);
    *result = rg_allocate(1, sizeof **result);
    **result = frontier;
    return RG_OK;
}

void rg_frontier_destroy(RgFrontier *frontier) {
    if (!frontier)
        return;
    free(frontier->points);
    free(frontier);
}

/* ---- writing ---- */

static void add_records(RgRecords *records, const RgSweptCells *cells, int cell,
                        const RgFrontier *frontier) {
    for (int64_t i = 0; i < frontier->count; i++) {
        const RgFrontierPoint *p = &frontier->points[i];
        rg_cell_record(records, cells, cell);
        rg_record_text(records, "method", p->group->name);
        rg_record_number(records, "step", (double)p->step);
        rg_record_number(records, "seeds", (double)p->y.summary.count);
        rg_record_number(records, frontier->x.name, p->x.summary.mean);
        rg_record_interval(records, frontier->x.name, p->x.interval);
        rg_record_number(records, frontier->y.name, p->y.summary.mean);
        rg_record_interval(records, frontier->y.name, p->y.interval);
        rg_record_number(records, "last", p->last);
        rg_record_number(records, "optimal", p->optimal);
        rg_record_end(records);
    }
}

static RgGrid make_grid(const RgFrontier *frontier) {
    enum { COLUMNS = 6 };
    RgGrid grid = {.rows = (int)frontier->count + 1, .columns = COLUMNS, .names = 1};
    grid.cells = rg_allocate(grid.rows * COLUMNS, sizeof *grid.cells);
    char **cell = grid.cells;
    *cell++ = rg_string_copy("method");
    *cell++ = rg_string_copy("step");
    *cell++ = rg_string_copy("seeds");
    *cell++ = rg_measure_heading(&frontier->x);
    *cell++ = rg_measure_heading(&frontier->y);
    *cell++ = rg_string_copy("optimal");
    for (int64_t i = 0; i < frontier->count; i++) {
        const RgFrontierPoint *p = &frontier->points[i];
        *cell++ = rg_string_copy(p->group->name);
        *cell++ = rg_string_format("%lld", (long long)p->step);
        *cell++ = rg_string_format("%lld", (long long)p->y.summary.count);
        *cell++ = rg_mean_text(&p->x.summary, p->x.interval, frontier->x.unit);
        *cell++ = rg_mean_text(&p->y.summary, p->y.interval, frontier->y.unit);
        *cell++ = rg_string_copy(p->optimal ? "yes" : "");
    }
    return grid;
}

/* The note of the point with the fewest seeds. */
static char *few_seeds(const RgFrontier *frontier) {
    int64_t least = RG_SEEDS_TO_COMPARE;
    for (int64_t i = 0; i < frontier->count; i++) {
        int64_t seeds = frontier->points[i].y.summary.count;
        least = seeds < least ? seeds : least;
    }
    return rg_few_seeds(least);
}

static void add_notes(RgNotes *notes, const RgFrontier *frontier) {
    rg_notes_add(notes, rg_string_format("Means over seeds at each evaluation, ± standard error, "
                                         "[low, high] a 95 %% interval over %s. Optimal: no other "
                                         "point has less %s and no less %s, or more %s and no more "
                                         "%s.",
                                         rg_results_sources(frontier->results), frontier->x.name,
                                         frontier->y.name, frontier->y.name, frontier->x.name));
    rg_notes_add(notes, few_seeds(frontier));
    rg_notes_add(notes, rg_results_left_out(frontier->results));
}

static void write_grids(const RgSweptCells *cells, RgFrontier *const *frontiers,
                        RgTableFormat format, FILE *out) {
    for (int i = 0; i < cells->count; i++) {
        if (!frontiers[i])
            continue;
        RgGrid grid = make_grid(frontiers[i]);
        rg_cell_heading_write(cells, i, format, out);
        rg_grid_write(&grid, format, out);
        rg_grid_free(&grid);
    }
}

/* With all notes of each cell. */
static void write_cells(const RgSweptCells *cells, RgFrontier *const *frontiers,
                        const RgNotes *notes, RgTableFormat format, FILE *out) {
    RgNotes all = rg_notes_of_cells(cells, notes);
    if (rg_table_format_is_raw(format)) {
        RgRecords *records = rg_records_create();
        for (int i = 0; i < cells->count; i++)
            if (frontiers[i])
                add_records(records, cells, i, frontiers[i]);
        rg_records_write(records, all.at, all.count, format, out);
        rg_records_destroy(records);
    } else {
        write_grids(cells, frontiers, format, out);
        rg_notes_write(all.at, all.count, format, out);
    }
    rg_notes_free(&all);
}

/* ---- the command ---- */

typedef struct Making {
    const RgFrontierOptions *options;
    RgFrontier **frontiers; /* [cells] */
} Making;

/* RgCellMake */
static RgStatus make_frontier(void *context, const RgResults *results, int cell, RgError *error) {
    const Making *making = context;
    return rg_frontier_create(results, making->options->x, making->options->y,
                              &making->frontiers[cell], error);
}

static RgStatus write_all(const RgResults *results, const RgSweptCells *cells,
                          const RgFrontierOptions *options, RgError *error) {
    RgFrontier **frontiers = rg_allocate(cells->count, sizeof(RgFrontier *));
    RgNotes *notes = rg_allocate(cells->count, sizeof *notes);
    Making making = {options, frontiers};
    RgStatus status = rg_make_cells(cells, make_frontier, &making, notes, error);
    status = rg_results_status(results, status, error);
    for (int i = 0; i < cells->count; i++)
        if (frontiers[i])
            add_notes(&notes[i], frontiers[i]);
    if (status == RG_OK)
        write_cells(cells, frontiers, notes, options->format, options->out);
    for (int i = 0; i < cells->count; i++) {
        rg_frontier_destroy(frontiers[i]);
        rg_notes_free(&notes[i]);
    }
    free(notes);
    free(frontiers);
    return status;
}

RgStatus rg_frontier(const RgFrontierOptions *options, RgError *error) {
    RgResults *results;
    RgSweptCells *cells = NULL;
    RG_TRY(rg_results_open(options->store, &options->choice, &results, error));
    RgStatus status = rg_swept_cells_create(results, &options->by, &cells, error);
    if (status == RG_OK)
        status = write_all(results, cells, options, error);
    if (status == RG_OK && (fflush(options->out) != 0 || ferror(options->out)))
        status = rg_fail(error, RG_E_FILE, "cannot write the frontier: the output failed");
    rg_swept_cells_destroy(cells);
    rg_results_close(results);
    return status;
}
