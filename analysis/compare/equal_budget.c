/* SPDX-License-Identifier: MIT */
/* Curves at equal cost: each trial's evaluations form a line of metric over cost, interpolated at
 * points that all lines span. */
#include "analysis/compare/equal_budget.h"
#include "analysis/compare/format.h"

#include <math.h>
#include <stdlib.h>

double rg_interpolate(const double *x, const double *y, int64_t count, double at) {
    int64_t after = 0; /* the first point beyond `at` */
    while (after < count && x[after] <= at)
        after++;
    if (after == 0)
        return NAN;
    if (x[after - 1] == at)
        return y[after - 1];
    if (after == count)
        return NAN;
    double share = (at - x[after - 1]) / (x[after] - x[after - 1]);
    return y[after - 1] + share * (y[after] - y[after - 1]);
}

/* One trial's cost and metric at the steps where both are known. */
typedef struct Line {
    const RgTrial *trial;
    int64_t *step;
    double *x, *y;
    int64_t count;
} Line;

static Line load_line(const RgBudget *budget, const RgTrial *trial) {
    RgPoint *x, *y;
    int64_t x_count = rg_trial_curve(budget->results, trial, &budget->cost, &x);
    int64_t y_count = rg_trial_curve(budget->results, trial, &budget->metric, &y);
    Line line = {.trial = trial,
                 .step = rg_allocate(y_count, sizeof *line.step),
                 .x = rg_allocate(y_count, sizeof *line.x),
                 .y = rg_allocate(y_count, sizeof *line.y)};
    for (int64_t i = 0, j = 0; i < y_count; i++) {
        while (j < x_count && x[j].step < y[i].step)
            j++;
        if (j == x_count || x[j].step != y[i].step || isnan(x[j].value) || isnan(y[i].value))
            continue;
        line.step[line.count] = y[i].step;
        line.x[line.count] = x[j].value;
        line.y[line.count++] = y[i].value;
    }
    free(x);
    free(y);
    return line;
}

/* The lines of a method's trials. */
typedef struct Lines {
    Line *at;
    int count;
} Lines;

static Lines load_lines(const RgBudget *budget, const RgGroup *group) {
    const RgTrial **trials = rg_allocate(group->count, sizeof *trials);
    Lines lines = {.count = rg_group_sample(group, trials)};
    lines.at = rg_allocate(lines.count, sizeof *lines.at);
    for (int i = 0; i < lines.count; i++)
        lines.at[i] = load_line(budget, trials[i]);
    free(trials);
    return lines;
}

static void lines_free(Lines *lines) {
    for (int i = 0; i < lines->count; i++) {
        free(lines->at[i].step);
        free(lines->at[i].x);
        free(lines->at[i].y);
    }
    free(lines->at);
}

/* Whether the cost of every trial increases from its first evaluation to its last. */
static bool spends(const Lines *lines) {
    for (int i = 0; i < lines->count; i++) {
        const Line *line = &lines->at[i];
        if (line->count == 0 || !(line->x[line->count - 1] > line->x[0]))
            return false;
    }
    return lines->count > 0;
}

/* Space the points evenly over the common range of all lines; false if it is empty. */
static bool place_points(RgBudget *budget, const Lines *lines) {
    double low = -INFINITY, high = INFINITY;
    for (int row = 0; row < budget->row_count; row++)
        for (int i = 0; i < lines[row].count; i++) {
            const Line *line = &lines[row].at[i];
            low = fmax(low, line->x[0]);
            high = fmin(high, line->x[line->count - 1]);
        }
    budget->spent = rg_allocate(budget->points, sizeof *budget->spent);
    for (int64_t p = 0; p < budget->points; p++) /* the last one is exactly the end */
        budget->spent[p] = p == budget->points - 1
                               ? high
                               : low + (high - low) * (double)p / (double)(budget->points - 1);
    return low < high;
}

/* The reading between the evaluations on both sides of a cost; as rg_interpolate. */
static RgReading read_line(const Line *line, double spent) {
    RgReading reading = {.trial = line->trial,
                         .value = rg_interpolate(line->x, line->y, line->count, spent)};
    int64_t after = 0;
    while (after < line->count && line->x[after] <= spent)
        after++;
    if (isnan(reading.value))
        return reading;
    reading.step = reading.next = line->step[after - 1];
    if (line->x[after - 1] < spent) {
        reading.next = line->step[after];
        reading.share = (spent - line->x[after - 1]) / (line->x[after] - line->x[after - 1]);
    }
    return reading;
}

static RgMean make_cell(const RgBudget *budget, const Lines *lines, double spent) {
    RgReading *readings = rg_allocate(lines->count, sizeof *readings);
    bool all = true;
    for (int i = 0; i < lines->count; i++) {
        readings[i] = read_line(&lines->at[i], spent);
        all &= !isnan(readings[i].value);
    }
    RgMean cell = rg_mean_of(budget->results, readings, all ? lines->count : 0, &budget->metric);
    free(readings);
    return cell;
}

static RgStatus fill(RgBudget *budget, Lines *lines, RgError *error) {
    const RgResults *results = budget->results;
    budget->rows = rg_allocate(results->group_count, sizeof *budget->rows);
    for (int g = 0; g < results->group_count; g++) {
        Lines of_group = load_lines(budget, &results->groups[g]);
        if (spends(&of_group)) {
            lines[budget->row_count] = of_group;
            budget->rows[budget->row_count++] = &results->groups[g];
        } else {
            lines_free(&of_group);
        }
    }
    if (budget->row_count == 0)
        return rg_fail(error, RG_E_USAGE, "%s: no method spends any %s between its evaluations",
                       results->path, budget->cost.heading);
    if (!place_points(budget, lines))
        return rg_fail(error, RG_E_USAGE, "%s: the methods have no common range of %s",
                       results->path, budget->cost.heading);
    budget->cells = rg_allocate(budget->row_count * budget->points, sizeof *budget->cells);
    for (int row = 0; row < budget->row_count; row++)
        for (int64_t p = 0; p < budget->points; p++)
            budget->cells[row * budget->points + p] =
                make_cell(budget, &lines[row], budget->spent[p]);
    return RG_OK;
}

RgStatus rg_budget_create(const RgResults *results, const char *cost, const char *metric,
                          int64_t points, RgBudget **result, RgError *error) {
    RgMeasure x, y;
    RG_ASSERT(points >= 2);
    RG_TRY(rg_results_measure(results, cost, &x, error));
    RG_TRY(rg_results_measure(results, metric, &y, error));
    if (!x.cost)
        return rg_fail(error, RG_E_USAGE, "\"%s\" is a metric, expected a cost such as flops",
                       cost);
    RgBudget *budget = rg_allocate(1, sizeof *budget);
    *budget = (RgBudget){.results = results, .cost = x, .metric = y, .points = points};
    Lines *lines = rg_allocate(results->group_count, sizeof *lines);
    RgStatus status = fill(budget, lines, error);
    for (int row = 0; row < budget->row_count; row++)
        lines_free(&lines[row]);
    free(lines);
    if (status == RG_OK)
        *result = budget;
    else
        rg_budget_destroy(budget);
    return status;
}

void rg_budget_destroy(RgBudget *budget) {
    if (!budget)
        return;
    free(budget->spent);
    free(budget->rows);
    free(budget->cells);
    free(budget);
}

/* ---- writing ---- */

static void add_records(RgRecords *records, const RgSweptCells *cells, int of_cell,
                        const RgBudget *budget) {
    for (int row = 0; row < budget->row_count; row++)
        for (int64_t p = 0; p < budget->points; p++) {
            const RgMean *cell = &budget->cells[row * budget->points + p];
            rg_cell_record(records, cells, of_cell);
            rg_record_text(records, "method", budget->rows[row]->name);
            rg_record_number(records, budget->cost.name, budget->spent[p]);
            rg_record_number(records, "seeds", (double)cell->summary.count);
            rg_record_number(records, budget->metric.name, cell->summary.mean);
            rg_record_interval(records, budget->metric.name, cell->interval);
            rg_record_end(records);
        }
}

/* A row for each method, a column for each point. */
static RgGrid make_grid(const RgBudget *budget) {
    RgGrid grid = {.rows = budget->row_count + 1, .columns = (int)budget->points + 1, .names = 1};
    grid.cells = rg_allocate(grid.rows * grid.columns, sizeof *grid.cells);
    char **cell = grid.cells, *metric = rg_measure_heading(&budget->metric);
    *cell++ = rg_string_format("%s, at %s", metric, budget->cost.name);
    for (int64_t p = 0; p < budget->points; p++)
        *cell++ = rg_format_value(budget->spent[p], NAN, budget->cost.unit);
    for (int row = 0; row < budget->row_count; row++) {
        *cell++ = rg_string_copy(budget->rows[row]->name);
        for (int64_t p = 0; p < budget->points; p++) {
            const RgMean *c = &budget->cells[row * budget->points + p];
            *cell++ = rg_mean_text(&c->summary, c->interval, budget->metric.unit);
        }
    }
    free(metric);
    return grid;
}

static bool has_row(const RgBudget *budget, const RgGroup *group) {
    bool found = false;
    for (int row = 0; row < budget->row_count; row++)
        found |= budget->rows[row] == group;
    return found;
}

/* The sentence that lists the methods without a row; NULL if there are none. */
static char *left_out(const RgBudget *budget) {
    char *names = NULL;
    for (int g = 0; g < budget->results->group_count; g++) {
        const RgGroup *group = &budget->results->groups[g];
        if (has_row(budget, group))
            continue;
        char *longer = names
                           ? rg_string_format("%s; %s", names, group->name)
                           : rg_string_format("Left out, without a curve of %s over %s: %s",
                                              budget->metric.name, budget->cost.name, group->name);
        free(names);
        names = longer;
    }
    return names;
}

/* The note of the cell with the fewest seeds. */
static char *few_seeds(const RgBudget *budget) {
    int64_t least = RG_SEEDS_TO_COMPARE;
    for (int64_t i = 0; i < budget->row_count * budget->points; i++) {
        int64_t seeds = budget->cells[i].summary.count;
        least = seeds > 0 && seeds < least ? seeds : least;
    }
    return rg_few_seeds(least);
}

static void add_notes(RgNotes *notes, const RgBudget *budget) {
    rg_notes_add(
        notes, rg_string_format("The evaluations of each trial are interpolated linearly and read "
                                "at equal %s, within the range that all trials cover; mean over "
                                "seeds ± standard error, [low, high] a 95 %% interval over %s.",
                                budget->cost.name, rg_results_sources(budget->results)));
    rg_notes_add(notes, left_out(budget));
    rg_notes_add(notes, few_seeds(budget));
    rg_notes_add(notes, rg_results_gaps(budget->results));
    rg_notes_add(notes, rg_results_left_out(budget->results));
}

static void write_grids(const RgSweptCells *cells, RgBudget *const *budgets, RgTableFormat format,
                        FILE *out) {
    for (int i = 0; i < cells->count; i++) {
        if (!budgets[i])
            continue;
        RgGrid grid = make_grid(budgets[i]);
        rg_cell_heading_write(cells, i, format, out);
        rg_grid_write(&grid, format, out);
        rg_grid_free(&grid);
    }
}

/* With all notes of each cell. */
static void write_cells(const RgSweptCells *cells, RgBudget *const *budgets, const RgNotes *notes,
                        RgTableFormat format, FILE *out) {
    RgNotes all = rg_notes_of_cells(cells, notes);
    if (rg_table_format_is_raw(format)) {
        RgRecords *records = rg_records_create();
        for (int i = 0; i < cells->count; i++)
            if (budgets[i])
                add_records(records, cells, i, budgets[i]);
        rg_records_write(records, all.at, all.count, format, out);
        rg_records_destroy(records);
    } else {
        write_grids(cells, budgets, format, out);
        rg_notes_write(all.at, all.count, format, out);
    }
    rg_notes_free(&all);
}

/* ---- the command ---- */

typedef struct Making {
    const RgEqualBudgetOptions *options;
    RgBudget **budgets; /* [cells] */
} Making;

/* RgCellMake */
static RgStatus make_budget(void *context, const RgResults *results, int cell, RgError *error) {
    const Making *making = context;
    const RgEqualBudgetOptions *o = making->options;
    return rg_budget_create(results, o->x ? o->x : "flops", o->y ? o->y : "reward",
                            o->points > 0 ? o->points : 5, &making->budgets[cell], error);
}

static RgStatus write_all(const RgResults *results, const RgSweptCells *cells,
                          const RgEqualBudgetOptions *options, RgError *error) {
    RgBudget **budgets = rg_allocate(cells->count, sizeof(RgBudget *));
    RgNotes *notes = rg_allocate(cells->count, sizeof *notes);
    Making making = {options, budgets};
    RgStatus status = rg_make_cells(cells, make_budget, &making, notes, error);
    status = rg_results_status(results, status, error);
    for (int i = 0; i < cells->count; i++)
        if (budgets[i])
            add_notes(&notes[i], budgets[i]);
    if (status == RG_OK)
        write_cells(cells, budgets, notes, options->format, options->out);
    for (int i = 0; i < cells->count; i++) {
        rg_budget_destroy(budgets[i]);
        rg_notes_free(&notes[i]);
    }
    free(notes);
    free(budgets);
    return status;
}

RgStatus rg_budget(const RgEqualBudgetOptions *options, RgError *error) {
    RgResults *results;
    RgSweptCells *cells = NULL;
    RG_TRY(rg_results_open(options->store, &options->choice, &results, error));
    RgStatus status = rg_swept_cells_create(results, &options->by, &cells, error);
    if (status == RG_OK)
        status = write_all(results, cells, options, error);
    if (status == RG_OK && (fflush(options->out) != 0 || ferror(options->out)))
        status = rg_fail(error, RG_E_FILE, "cannot write the budgets: the output failed");
    rg_swept_cells_destroy(cells);
    rg_results_close(results);
    return status;
}
