/* SPDX-License-Identifier: MIT */
/* Writing a tournament: for people as two grids, for programs as records. */
#include "analysis/compare/format.h"
#include "analysis/compare/tournament.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

/* "61.2 [58.4, 64.0]" */
static char *with_interval(double value, RgInterval interval, double factor, int decimals) {
    char *number =
        isnan(value) ? rg_string_copy(RG_DASH) : rg_format_fixed(factor * value, decimals);
    if (isnan(interval.low))
        return number;
    char *low = rg_format_fixed(factor * interval.low, decimals);
    char *high = rg_format_fixed(factor * interval.high, decimals);
    char *all = rg_string_format("%s [%s, %s]", number, low, high);
    free(number);
    free(low);
    free(high);
    return all;
}

RgGrid rg_tournament_ratings_grid(const RgTournament *t) {
    static const char *const headings[] = {
        "method", "seeds", "rating, Elo", "rating, nats", "mean win rate, %", "length"};
    bool lengths = false;
    for (int i = 0; i < t->count; i++)
        lengths |= !isnan(t->methods[i].length);
    int columns = lengths ? 6 : 5;
    RgGrid grid = {.rows = t->count + 1, .columns = columns, .names = 1};
    grid.cells = rg_allocate(grid.rows * columns, sizeof *grid.cells);
    char **cell = grid.cells;
    for (int i = 0; i < columns; i++)
        *cell++ = rg_string_copy(headings[i]);
    for (int i = 0; i < t->count; i++) {
        const RgTournamentMethod *m = &t->methods[i];
        RgEstimate elo = rg_elo_estimate(m->rating);
        *cell++ = rg_string_copy(m->group->name);
        *cell++ = rg_string_format("%d", m->seeds);
        *cell++ = with_interval(elo.value, elo.interval, 1, 0);
        *cell++ = with_interval(m->rating.value, m->rating.interval, 1, 2);
        *cell++ = rg_format_value(m->win_rate, NAN, RG_UNIT_PERCENT);
        if (lengths)
            *cell++ = rg_format_value(m->length, NAN, RG_UNIT_PLAIN);
    }
    return grid;
}

RgGrid rg_tournament_matrix_grid(const RgTournament *t) {
    RgGrid grid = {.rows = t->count + 1, .columns = t->count + 1, .names = 1};
    grid.cells = rg_allocate(grid.rows * grid.columns, sizeof *grid.cells);
    char **cell = grid.cells;
    *cell++ = rg_string_copy(t->length_controlled ? "wins at equal length, %" : "wins, %");
    for (int j = 0; j < t->count; j++)
        *cell++ = rg_string_copy(t->methods[j].group->name);
    for (int i = 0; i < t->count; i++) {
        *cell++ = rg_string_copy(t->methods[i].group->name);
        for (int j = 0; j < t->count; j++) {
            const RgEstimate *rate = &t->meetings[i * t->count + j].win_rate;
            *cell++ = t->meetings[i * t->count + j].met
                          ? with_interval(rate->value, rate->interval, 100, 1)
                          : rg_string_copy(RG_DASH);
        }
    }
    return grid;
}

/* The tournaments of all cells, as rg_tournaments_write gets them. */
typedef struct Held {
    const RgSweptCells *cells;
    RgTournament *const *tournaments;
} Held;

static void record_methods(RgRecords *records, const Held *held, int cell) {
    const RgTournament *t = held->tournaments[cell];
    for (int i = 0; t && i < t->count; i++) {
        const RgTournamentMethod *m = &t->methods[i];
        RgEstimate elo = rg_elo_estimate(m->rating);
        rg_cell_record(records, held->cells, cell);
        rg_record_text(records, "method", m->group->name);
        rg_record_number(records, "seeds", m->seeds);
        rg_record_number(records, "elo", elo.value);
        rg_record_interval(records, "elo", elo.interval);
        rg_record_number(records, "nats", m->rating.value);
        rg_record_interval(records, "nats", m->rating.interval);
        rg_record_number(records, "win_rate", m->win_rate);
        rg_record_number(records, "length", m->length);
        rg_record_end(records);
    }
}

static void record_meeting(RgRecords *records, const RgTournament *t, int i, int j) {
    const RgMeeting *meeting = &t->meetings[i * t->count + j];
    const RgComparison *c = &meeting->comparison;
    RgEstimate elo = rg_elo_estimate(t->methods[i].rating);
    rg_record_text(records, "a", c->a->name);
    rg_record_text(records, "b", c->b->name);
    rg_record_number(records, "a_elo", elo.value);
    rg_record_interval(records, "a_elo", elo.interval);
    rg_record_number(records, "win_rate", meeting->win_rate.value);
    rg_record_interval(records, "win_rate", meeting->win_rate.interval);
    rg_record_number(records, "p_value", meeting->win_rate.p_value);
    rg_record_number(records, "plain_win_rate", c->estimate.value);
    rg_record_number(records, "length_slope", meeting->length_slope);
    rg_record_number(records, "wins", (double)c->wins);
    rg_record_number(records, "ties", (double)c->ties);
    rg_record_number(records, "losses", (double)c->losses);
    rg_record_number(records, "seeds", c->seeds);
    rg_record_number(records, "prompts", (double)c->items);
    rg_record_end(records);
}

/* One record for each two that were compared, in both orders. */
static void record_meetings(RgRecords *records, const Held *held, int cell) {
    const RgTournament *t = held->tournaments[cell];
    for (int i = 0; t && i < t->count; i++)
        for (int j = 0; j < t->count; j++)
            if (t->meetings[i * t->count + j].met) {
                rg_cell_record(records, held->cells, cell);
                record_meeting(records, t, i, j);
            }
}

static const RgTournament *first_of(const Held *held) {
    int i = 0;
    while (!held->tournaments[i])
        i++;
    return held->tournaments[i];
}

static void write_json(const Held *held, const RgRecords *methods, const RgRecords *meetings,
                       const RgNotes *notes, FILE *out) {
    const RgTournament *t = first_of(held);
    rg_json_write(json_pack("{ss sb sf so so so}", "metric", t->metric, "length_controlled",
                            t->length_controlled, "prior", RG_TOURNAMENT_PRIOR, "methods",
                            rg_records_json(methods), "meetings", rg_records_json(meetings),
                            "notes", rg_json_strings(notes->at, notes->count)),
                  out);
}

static void write_raw(const Held *held, const RgNotes *notes, RgTableFormat format, FILE *out) {
    RgRecords *methods = rg_records_create(), *meetings = rg_records_create();
    for (int i = 0; i < held->cells->count; i++) {
        record_methods(methods, held, i);
        record_meetings(meetings, held, i);
    }
    if (rg_table_format_is_csv(format))
        rg_records_write_csv(meetings, format == RG_TABLE_SAFE_CSV, out);
    else
        write_json(held, methods, meetings, notes, out);
    rg_records_destroy(methods);
    rg_records_destroy(meetings);
}

static void write_grids(const Held *held, int cell, RgTableFormat format, FILE *out) {
    const RgTournament *t = held->tournaments[cell];
    if (!t)
        return;
    RgGrid ratings = rg_tournament_ratings_grid(t), matrix = rg_tournament_matrix_grid(t);
    rg_cell_heading_write(held->cells, cell, format, out);
    rg_grid_write(&ratings, format, out);
    putc('\n', out);
    rg_grid_write(&matrix, format, out);
    rg_grid_free(&ratings);
    rg_grid_free(&matrix);
}

void rg_tournaments_write(const RgSweptCells *cells, RgTournament *const *tournaments,
                          const RgNotes *notes, RgTableFormat format, FILE *out) {
    const Held held = {cells, tournaments};
    RgNotes all = rg_notes_of_cells(cells, notes);
    if (rg_table_format_is_raw(format)) {
        write_raw(&held, &all, format, out);
    } else {
        for (int i = 0; i < cells->count; i++)
            write_grids(&held, i, format, out);
        rg_notes_write(all.at, all.count, format, out);
    }
    rg_notes_free(&all);
}
