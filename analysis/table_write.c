/* A table of results in the formats that people paste: aligned text, Markdown, LaTeX, CSV. The
 * first three share one grid of formatted cells, which the report's HTML takes too; CSV gives the
 * raw numbers. */
#include "analysis/format.h"
#include "analysis/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_names[] = {"text", "markdown", "latex", "csv", NULL};

RgStatus rg_table_format(const char *name, RgTableFormat *format, RgError *error) {
    for (int i = 0; format_names[i]; i++)
        if (strcmp(format_names[i], name) == 0) {
            *format = (RgTableFormat)i;
            return RG_OK;
        }
    return rg_unknown_name(error, "table format", name, format_names);
}

/* The grid. */

/* "5", "4 (1 diverged)", "2 running". */
static char *trials_text(const RgGroup *group, int sample) {
    static const char *const names[] = {"running", "finished", "diverged", "failed"};
    bool finished = group->by_status[RG_TRIAL_FINISHED] > 0;
    char others[96] = "";
    size_t used = 0;
    for (int status = 0; status < RG_TRIAL_STATUSES; status++)
        if (group->by_status[status] > 0 && status != RG_TRIAL_FINISHED &&
            (finished || status != RG_TRIAL_RUNNING))
            used += (size_t)snprintf(others + used, sizeof others - used, "%s%d %s",
                                     used ? ", " : "", group->by_status[status], names[status]);
    const char *state = finished || sample == 0 ? "" : " running";
    return used ? rg_string_format("%d%s (%s)", sample, state, others)
                : rg_string_format("%d%s", sample, state);
}

static char *heading_text(const RgColumn *column) {
    const char *name = column->quantity.heading;
    if (column->ratio)
        return rg_string_copy(strcmp(column->quantity.name, "seconds") == 0 ? "time ×"
                                                                            : "memory ×");
    if (strcmp(column->quantity.name, "flops") == 0)
        return rg_string_copy("FLOP");
    if (column->quantity.unit == RG_UNIT_PERCENT)
        return rg_string_format("%s, %%", name);
    if (column->quantity.unit == RG_UNIT_SECONDS)
        return rg_string_format("%s, s", name);
    return rg_string_copy(name);
}

char *rg_cell_text(const RgColumn *column, const RgCell *cell) {
    if (column->ratio)
        return cell->summary.count ? rg_string_format("%.2f", cell->summary.mean)
                                   : rg_string_copy(RG_DASH);
    RgUnit unit = column->quantity.unit;
    char *value = rg_format_value(cell->summary.mean, cell->summary.standard_error, unit);
    char *interval = rg_format_interval(cell->interval, unit);
    if (!interval)
        return value;
    char *both = rg_string_format("%s %s", value, interval);
    free(value);
    free(interval);
    return both;
}

RgGrid rg_table_grid(const RgTable *table, int from, int to) {
    const RgResults *results = table->results;
    int swept = 0;
    while (results->swept[swept])
        swept++;
    RgGrid grid = {.rows = results->group_count + 1, .columns = swept + 2 + to - from, .names = 1};
    grid.cells = rg_allocate((size_t)(grid.rows * grid.columns) * sizeof *grid.cells);
    char **cell = grid.cells;
    *cell++ = rg_string_copy("method");
    for (int i = 0; i < swept; i++)
        *cell++ = rg_string_copy(rg_last_part(results->swept[i]));
    *cell++ = rg_string_copy("trials");
    for (int column = from; column < to; column++)
        *cell++ = heading_text(&table->columns[column]);
    for (int row = 0; row < results->group_count; row++) {
        const RgGroup *group = &results->groups[row];
        *cell++ = rg_string_copy(group->label);
        for (int i = 0; i < swept; i++) {
            const RgPair *pair = rg_pairs_find(group->swept, results->swept[i]);
            *cell++ = rg_string_copy(pair ? pair->text : RG_DASH);
        }
        *cell++ = trials_text(group, table->sample[row]);
        for (int column = from; column < to; column++)
            *cell++ = rg_cell_text(&table->columns[column],
                                   &table->cells[row * table->column_count + column]);
    }
    return grid;
}

void rg_grid_free(RgGrid *grid) {
    for (int i = 0; i < grid->rows * grid->columns; i++)
        free(grid->cells[i]);
    free(grid->cells);
    *grid = (RgGrid){0};
}

/* Formats. */

static void pad(FILE *out, size_t count) {
    while (count-- > 0)
        putc(' ', out);
}

static void rule(FILE *out, size_t width) {
    while (width-- > 0)
        fputs("─", out);
    putc('\n', out);
}

static void write_text(const RgGrid *grid, FILE *out) {
    size_t *width = rg_allocate((size_t)grid->columns * sizeof *width), total = 0;
    for (int i = 0; i < grid->rows * grid->columns; i++) {
        size_t w = rg_display_width(grid->cells[i]);
        if (w > width[i % grid->columns])
            width[i % grid->columns] = w;
    }
    for (int column = 0; column < grid->columns; column++)
        total += width[column] + (column ? 2 : 0);
    for (int row = 0; row < grid->rows; row++) {
        for (int column = 0; column < grid->columns; column++) {
            const char *cell = grid->cells[row * grid->columns + column];
            size_t space = width[column] - rg_display_width(cell);
            bool left = column < grid->names, last = column == grid->columns - 1;
            pad(out, (column ? 2 : 0) + (left ? 0 : space));
            fputs(cell, out);
            pad(out, left && !last ? space : 0);
        }
        putc('\n', out);
        if (row == 0)
            rule(out, total);
    }
    free(width);
}

static void write_markdown(const RgGrid *grid, FILE *out) {
    for (int row = 0; row < grid->rows; row++) {
        for (int column = 0; column < grid->columns; column++) {
            fputs(column ? " | " : "| ", out);
            rg_write_markdown(out, grid->cells[row * grid->columns + column]);
        }
        fputs(" |\n", out);
        for (int column = 0; row == 0 && column < grid->columns; column++)
            fputs(column < grid->names ? "|:--" : "|--:", out);
        if (row == 0)
            fputs("|\n", out);
    }
}

/* "±" and the like are letters to LaTeX's modern engines, not to all: write the macros. */
static void write_latex_cell(FILE *out, const char *cell) {
    static const char *const macros[][2] = {
        {"±", "$\\pm$"}, {"×", "$\\times$"},      {"\u2212", "$-$"},
        {RG_DASH, "--"}, {"\u221e", "$\\infty$"}, {"τ", "$\\tau$"},
    };
    while (*cell) {
        size_t matched = 0;
        for (size_t i = 0; i < sizeof macros / sizeof *macros && !matched; i++)
            if (strncmp(cell, macros[i][0], strlen(macros[i][0])) == 0) {
                fputs(macros[i][1], out);
                matched = strlen(macros[i][0]);
            }
        if (!matched) {
            char one[5] = {0};
            do
                one[matched] = cell[matched];
            while (++matched < 4 && ((unsigned char)cell[matched] & 0xc0) == 0x80);
            rg_write_latex(out, one);
        }
        cell += matched;
    }
}

static void write_latex(const RgGrid *grid, FILE *out) {
    fputs("\\begin{tabular}{", out);
    for (int column = 0; column < grid->columns; column++)
        putc(column < grid->names ? 'l' : 'r', out);
    fputs("}\n\\toprule\n", out);
    for (int row = 0; row < grid->rows; row++) {
        for (int column = 0; column < grid->columns; column++) {
            fputs(column ? " & " : "", out);
            write_latex_cell(out, grid->cells[row * grid->columns + column]);
        }
        fputs(" \\\\\n", out);
        if (row == 0)
            fputs("\\midrule\n", out);
    }
    fputs("\\bottomrule\n\\end{tabular}\n", out);
}

static void write_csv_number(FILE *out, double value) {
    if (isnan(value))
        putc(',', out);
    else
        fprintf(out, ",%.10g", value);
}

static void write_csv_headings(const RgTable *table, FILE *out) {
    fputs("label", out);
    for (int i = 0; table->results->swept[i]; i++) {
        putc(',', out);
        rg_write_csv(out, table->results->swept[i]);
    }
    fputs(",trials,finished,running,diverged,failed", out);
    for (int i = 0; i < table->column_count; i++) {
        const char *name = table->columns[i].quantity.name;
        if (table->columns[i].ratio)
            fprintf(out, ",%s_ratio", name);
        else
            fprintf(out, ",%s,%s_standard_error", name, name);
        if (strstr(name, "win_rate"))
            fprintf(out, ",%s_low,%s_high", name, name);
    }
    putc('\n', out);
}

static void write_csv(const RgTable *table, FILE *out) {
    const RgResults *results = table->results;
    write_csv_headings(table, out);
    for (int row = 0; row < results->group_count; row++) {
        const RgGroup *group = &results->groups[row];
        rg_write_csv(out, group->label);
        for (int i = 0; results->swept[i]; i++) {
            const RgPair *pair = rg_pairs_find(group->swept, results->swept[i]);
            putc(',', out);
            rg_write_csv(out, pair ? pair->text : "");
        }
        fprintf(out, ",%d,%d,%d,%d,%d", table->sample[row], group->by_status[RG_TRIAL_FINISHED],
                group->by_status[RG_TRIAL_RUNNING], group->by_status[RG_TRIAL_DIVERGED],
                group->by_status[RG_TRIAL_FAILED]);
        for (int i = 0; i < table->column_count; i++) {
            const RgCell *cell = &table->cells[row * table->column_count + i];
            write_csv_number(out, cell->summary.mean);
            if (!table->columns[i].ratio)
                write_csv_number(out, cell->summary.standard_error);
            if (strstr(table->columns[i].quantity.name, "win_rate")) {
                write_csv_number(out, cell->interval.low);
                write_csv_number(out, cell->interval.high);
            }
        }
        putc('\n', out);
    }
}

/* Cells as they are; a table's own CSV has raw numbers in their place. */
static void write_grid_csv(const RgGrid *grid, FILE *out) {
    for (int i = 0; i < grid->rows * grid->columns; i++) {
        rg_write_csv(out, grid->cells[i]);
        putc((i + 1) % grid->columns == 0 ? '\n' : ',', out);
    }
}

void rg_grid_write(const RgGrid *grid, RgTableFormat format, FILE *out) {
    static void (*const writers[])(const RgGrid *, FILE *) = {
        [RG_TABLE_TEXT] = write_text,
        [RG_TABLE_MARKDOWN] = write_markdown,
        [RG_TABLE_LATEX] = write_latex,
        [RG_TABLE_CSV] = write_grid_csv,
    };
    writers[format](grid, out);
}

static void write_columns(const RgTable *table, int from, int to, RgTableFormat format, FILE *out) {
    RgGrid grid = rg_table_grid(table, from, to);
    rg_grid_write(&grid, format, out);
    rg_grid_free(&grid);
}

static void write_notes(const RgTable *table, RgTableFormat format, FILE *out) {
    putc('\n', out);
    for (int i = 0; i < table->note_count; i++) {
        if (format == RG_TABLE_MARKDOWN) {
            fputs("- ", out);
            rg_write_markdown(out, table->notes[i]);
        } else {
            fprintf(out, "%s%s", format == RG_TABLE_LATEX ? "% " : "", table->notes[i]);
        }
        putc('\n', out);
    }
}

void rg_table_write(const RgTable *table, RgTableFormat format, FILE *out) {
    if (format == RG_TABLE_CSV) {
        write_csv(table, out);
        return;
    }
    int results = table->result_columns, all = table->column_count;
    if (results > 0 || all == 0)
        write_columns(table, 0, results, format, out);
    if (results > 0 && all > results)
        putc('\n', out);
    if (all > results)
        write_columns(table, results, all, format, out);
    write_notes(table, format, out);
}
