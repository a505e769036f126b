/* SPDX-License-Identifier: MIT */
/* Writing a table of results: aligned text, Markdown, LaTeX, CSV, JSON. The first three, and the
 * report's HTML, share one grid of formatted cells; the last two have the raw numbers. */
#include "analysis/compare/format.h"
#include "analysis/compare/mean.h"
#include "analysis/compare/table.h"
#include "core/utf8.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static const char *const format_names[] = {"text",     "markdown", "latex", "csv",
                                           "safe-csv", "json",     NULL};

RgStatus rg_table_format(const char *name, RgTableFormat *format, RgError *error) {
    for (int i = 0; format_names[i]; i++)
        if (strcmp(format_names[i], name) == 0) {
            *format = (RgTableFormat)i;
            return RG_OK;
        }
    return rg_unknown_name(error, "table format", name, format_names);
}

RgStatus rg_table_statistic(const char *name, RgStatistic *statistic, RgError *error) {
    static const char *const names[] = {"mean", "iqm", NULL};
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) {
            *statistic = (RgStatistic)i;
            return RG_OK;
        }
    return rg_unknown_name(error, "statistic", name, names);
}

bool rg_table_format_is_raw(RgTableFormat format) {
    return rg_table_format_is_csv(format) || format == RG_TABLE_JSON;
}

bool rg_table_format_is_csv(RgTableFormat format) {
    return format == RG_TABLE_CSV || format == RG_TABLE_SAFE_CSV;
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

char *rg_measure_heading(const RgMeasure *measure) {
    const char *name = measure->heading;
    if (strcmp(measure->name, "flops") == 0)
        return rg_string_copy("FLOP");
    if (measure->unit == RG_UNIT_PERCENT)
        return rg_string_format("%s, %%", name);
    if (measure->unit == RG_UNIT_SECONDS)
        return rg_string_format("%s, s", name);
    return rg_string_copy(name);
}

static char *heading_text(const RgColumn *column) {
    if (!column->ratio)
        return rg_measure_heading(&column->measure);
    return rg_string_copy(strcmp(column->measure.name, "seconds") == 0 ? "time ×" : "memory ×");
}

char *rg_mean_text(const RgSummary *summary, RgInterval interval, RgUnit unit) {
    char *value = rg_format_value(summary->mean, summary->standard_error, unit);
    char *range = rg_format_interval(interval, unit);
    if (!range)
        return value;
    char *both = rg_string_format("%s %s", value, range);
    free(value);
    free(range);
    return both;
}

bool rg_column_shows_interval(const RgTable *table, const RgColumn *column) {
    return table->statistic == RG_STATISTIC_IQM || rg_measure_is_rate(&column->measure);
}

char *rg_cell_text(const RgTable *table, const RgColumn *column, const RgCell *cell) {
    if (column->ratio)
        return cell->summary.count ? rg_string_format("%.2f", cell->summary.mean)
                                   : rg_string_copy(RG_DASH);
    const char *stars = cell->p_value < 0.001  ? "***"
                        : cell->p_value < 0.01 ? "**"
                        : cell->p_value < 0.05 ? "*"
                                               : "";
    RgInterval none = {NAN, NAN};
    char *value = rg_mean_text(&cell->summary,
                               rg_column_shows_interval(table, column) ? cell->interval : none,
                               column->measure.unit);
    char *marked = rg_string_format("%s%s", value, stars);
    free(value);
    return marked;
}

RgGrid rg_table_grid(const RgTable *table, int from, int to) {
    const RgResults *results = table->results;
    int swept = 0;
    while (results->swept[swept])
        swept++;
    RgGrid grid = {.rows = results->group_count + 1,
                   .columns = swept + 2 + to - from,
                   .names = 1,
                   .keys = 1 + swept};
    grid.cells = rg_allocate(grid.rows * grid.columns, sizeof *grid.cells);
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
            const RgField *field = rg_fields_find(group->swept, results->swept[i]);
            *cell++ = rg_string_copy(field ? field->text : RG_DASH);
        }
        *cell++ = trials_text(group, table->sample[row]);
        for (int column = from; column < to; column++)
            *cell++ = rg_cell_text(table, &table->columns[column],
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

/* Width in columns of the terminal `out`; SIZE_MAX if it is not a terminal, or unlimited. */
static size_t line_width(FILE *out) {
    struct winsize window;
    const char *columns = getenv("COLUMNS");
    long requested = columns ? strtol(columns, NULL, 10) : 0;
    if (requested > 0)
        return (size_t)requested;
    bool terminal = ioctl(fileno(out), TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
    return terminal ? window.ws_col : SIZE_MAX;
}

static int key_columns(const RgGrid *grid) {
    return grid->keys > grid->names ? grid->keys : grid->names;
}

/* Columns `from` to `to` of a grid, after its keys. */
typedef struct Block {
    const RgGrid *grid;
    const size_t *width; /* [columns] */
    int from, to;
} Block;

/* The column at `place` of the block; −1 after the last. */
static int block_column(const Block *b, int place) {
    int keys = key_columns(b->grid), column = place < keys ? place : b->from + place - keys;
    return column < b->to ? column : -1;
}

static size_t block_width(const Block *b) {
    size_t total = 0;
    for (int place = 0, column; (column = block_column(b, place)) >= 0; place++)
        total += b->width[column] + (place ? 2 : 0);
    return total;
}

static void write_block(const Block *b, FILE *out) {
    const RgGrid *grid = b->grid;
    for (int row = 0; row < grid->rows; row++) {
        for (int place = 0, column; (column = block_column(b, place)) >= 0; place++) {
            const char *cell = grid->cells[row * grid->columns + column];
            size_t space = b->width[column] - rg_utf8_width(cell);
            bool left = column < grid->names, last = block_column(b, place + 1) < 0;
            pad(out, (place ? 2 : 0) + (left ? 0 : space));
            rg_write_line(out, cell);
            pad(out, left && !last ? space : 0);
        }
        putc('\n', out);
        if (row == 0)
            rule(out, block_width(b));
    }
}

/* A table wider than the terminal is split into blocks, each with the keys of its rows. */
static void write_text(const RgGrid *grid, FILE *out) {
    size_t *width = rg_allocate(grid->columns, sizeof *width), limit = line_width(out);
    int keys = key_columns(grid);
    for (int i = 0; i < grid->rows * grid->columns; i++) {
        size_t w = rg_utf8_width(grid->cells[i]);
        if (w > width[i % grid->columns])
            width[i % grid->columns] = w;
    }
    Block block = {.grid = grid, .width = width, .from = keys, .to = keys};
    while (block.to < grid->columns) {
        if (block.to > keys)
            putc('\n', out);
        block.from = block.to++;
        while (block.to < grid->columns) {
            Block wider = block;
            wider.to++;
            if (block_width(&wider) > limit)
                break;
            block = wider;
        }
        write_block(&block, out);
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

/* "±" and similar characters are letters only to LaTeX's modern engines: write the macros. */
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

static void record_cell(RgRecords *records, const RgTable *table, const RgColumn *column,
                        const RgCell *cell) {
    const char *name = column->measure.name;
    char *longer = rg_string_format("%s%s", name, column->ratio ? "_ratio" : "_standard_error");
    if (column->ratio) {
        rg_record_number(records, longer, cell->summary.mean);
    } else {
        rg_record_number(records, name, cell->summary.mean);
        rg_record_number(records, longer, cell->summary.standard_error);
    }
    if (!column->ratio && (!column->measure.cost || table->statistic == RG_STATISTIC_IQM))
        rg_record_interval(records, name, cell->interval);
    free(longer);
    if (table->against && !column->ratio && !column->measure.cost) {
        longer = rg_string_format("%s_p_holm", name);
        rg_record_number(records, longer, cell->p_value);
        free(longer);
    }
}

/* The table with unrounded numbers. */
static RgRecords *make_records(const RgTable *table) {
    const RgResults *results = table->results;
    RgRecords *records = rg_records_create();
    for (int row = 0; row < results->group_count; row++) {
        const RgGroup *group = &results->groups[row];
        rg_record_text(records, "label", group->label);
        for (int i = 0; results->swept[i]; i++) {
            const RgField *field = rg_fields_find(group->swept, results->swept[i]);
            rg_record_text(records, results->swept[i], field ? field->text : "");
        }
        rg_record_number(records, "trials", table->sample[row]);
        rg_record_number(records, "finished", group->by_status[RG_TRIAL_FINISHED]);
        rg_record_number(records, "running", group->by_status[RG_TRIAL_RUNNING]);
        rg_record_number(records, "diverged", group->by_status[RG_TRIAL_DIVERGED]);
        rg_record_number(records, "failed", group->by_status[RG_TRIAL_FAILED]);
        for (int i = 0; i < table->column_count; i++)
            record_cell(records, table, &table->columns[i],
                        &table->cells[row * table->column_count + i]);
        rg_record_end(records);
    }
    return records;
}

/* Write cells unchanged. (A table's own CSV has raw numbers instead.) */
static void write_cells(const RgGrid *grid, void (*write)(FILE *, const char *), FILE *out) {
    for (int i = 0; i < grid->rows * grid->columns; i++) {
        write(out, grid->cells[i]);
        putc((i + 1) % grid->columns == 0 ? '\n' : ',', out);
    }
}

static void write_grid_csv(const RgGrid *grid, FILE *out) {
    write_cells(grid, rg_write_csv, out);
}

static void write_grid_safe_csv(const RgGrid *grid, FILE *out) {
    write_cells(grid, rg_write_safe_csv, out);
}

/* One object per row, with the headings as keys. */
static void write_grid_json(const RgGrid *grid, FILE *out) {
    RgRecords *records = rg_records_create();
    for (int i = grid->columns; i < grid->rows * grid->columns; i++) {
        rg_record_text(records, grid->cells[i % grid->columns], grid->cells[i]);
        if ((i + 1) % grid->columns == 0)
            rg_record_end(records);
    }
    rg_json_write(rg_records_json(records), out);
    rg_records_destroy(records);
}

void rg_grid_write(const RgGrid *grid, RgTableFormat format, FILE *out) {
    static void (*const writers[])(const RgGrid *, FILE *) = {
        [RG_TABLE_TEXT] = write_text,
        [RG_TABLE_MARKDOWN] = write_markdown,
        [RG_TABLE_LATEX] = write_latex,
        [RG_TABLE_CSV] = write_grid_csv,
        [RG_TABLE_SAFE_CSV] = write_grid_safe_csv,
        [RG_TABLE_JSON] = write_grid_json,
    };
    writers[format](grid, out);
}

static void write_columns(const RgTable *table, int from, int to, RgTableFormat format, FILE *out) {
    RgGrid grid = rg_table_grid(table, from, to);
    rg_grid_write(&grid, format, out);
    rg_grid_free(&grid);
}

void rg_note_write(const char *note, RgTableFormat format, FILE *out) {
    if (format == RG_TABLE_MARKDOWN) {
        fputs("- ", out);
        rg_write_markdown(out, note);
    } else {
        fputs(format == RG_TABLE_LATEX ? "% " : "", out);
        rg_write_line(out, note);
    }
    putc('\n', out);
}

void rg_notes_write(char *const *notes, int count, RgTableFormat format, FILE *out) {
    if (count > 0)
        putc('\n', out);
    for (int i = 0; i < count; i++)
        rg_note_write(notes[i], format, out);
}

void rg_records_write(const RgRecords *records, char *const *notes, int note_count,
                      RgTableFormat format, FILE *out) {
    if (rg_table_format_is_csv(format))
        rg_records_write_csv(records, format == RG_TABLE_SAFE_CSV, out);
    else
        rg_json_write(json_pack("{so so}", "rows", rg_records_json(records), "notes",
                                rg_json_strings(notes, note_count)),
                      out);
}

void rg_table_write(const RgTable *table, RgTableFormat format, FILE *out) {
    if (rg_table_format_is_raw(format)) {
        RgRecords *records = make_records(table);
        rg_records_write(records, table->notes, table->note_count, format, out);
        rg_records_destroy(records);
        return;
    }
    int results = table->result_columns, all = table->column_count;
    if (results > 0 || all == 0)
        write_columns(table, 0, results, format, out);
    if (results > 0 && all > results)
        putc('\n', out);
    if (all > results)
        write_columns(table, results, all, format, out);
    rg_notes_write(table->notes, table->note_count, format, out);
}
