/* SPDX-License-Identifier: MIT */
/* A round-robin tournament of all methods: every two are compared on the prompts and seeds that
 * both have, and the larger value of a per-prompt metric wins. Win rates are computed by compare.h;
 * ratings are Bradley–Terry's. `rg_tournament` is the whole command; the report uses the tournament
 * as data. */
#ifndef RG_ANALYSIS_COMPARE_TOURNAMENT_H
#define RG_ANALYSIS_COMPARE_TOURNAMENT_H

#include "analysis/compare/compare.h"
#include "analysis/compare/table.h"
#include "analysis/statistics/ratings.h"

/* The prior of ratings and length-controlled win rates: this number of tied games is added to every
 * pair of methods, so that estimates are finite for a method that always wins. Plain win rates have
 * no prior. */
#define RG_TOURNAMENT_PRIOR 1.0

typedef struct RgTournamentOptions {
    const char *store;      /* path */
    RgChoice choice;        /* of its trials */
    RgBy by;                /* one tournament for each cell of these swept options */
    const char *metric;     /* per-prompt metric whose larger value wins; NULL: "reward" */
    bool length_controlled; /* win rates at equal length (length_control.h), by metric "length" */
    RgTableFormat format;
    FILE *out;
} RgTournamentOptions;

/* RG_E_USAGE if fewer than two methods have finished a trial with such values. */
RgStatus rg_tournament(const RgTournamentOptions *options, RgError *error);

/* The tournament as data. */

typedef struct RgTournamentMethod {
    const RgGroup *group;
    int seeds;         /* finished */
    RgEstimate rating; /* nats; the mean of all methods is 0. On Elo's scale: rg_elo_estimate */
    double win_rate;   /* mean over the opponents it was compared with */
    double length;     /* mean over prompts and seeds; NaN if not in the store */
} RgTournamentMethod;

/* The row's method against the column's. */
typedef struct RgMeeting {
    bool met;                /* false on the diagonal, and for two without common seed or prompt */
    RgComparison comparison; /* as in `regatta compare`: plain win rate, wins, ties, losses */
    RgEstimate win_rate;     /* plain or length-controlled, as requested */
    double length_slope;     /* nats (length_control.h); NaN unless length-controlled */
} RgMeeting;

typedef struct RgTournament {
    const RgResults *results;
    const char *metric;
    bool length_controlled;
    int count;
    RgTournamentMethod *methods; /* [count], by rating, the highest first */
    RgMeeting *meetings;         /* [count, count], in the same order */
    RgNotes notes;               /* sentences printed below it */
} RgTournament;

RgStatus rg_tournament_create(const RgResults *results, const RgTournamentOptions *options,
                              RgTournament **tournament, RgError *error);
void rg_tournament_destroy(RgTournament *tournament);

/* As text (table.h): the methods with their ratings, and the matrix of win rates, %. */
RgGrid rg_tournament_ratings_grid(const RgTournament *tournament);
RgGrid rg_tournament_matrix_grid(const RgTournament *tournament);
/* The tournaments of all cells [cells->count], NULL where there is none, and all notes of
 * each. */
void rg_tournaments_write(const RgSweptCells *cells, RgTournament *const *tournaments,
                          const RgNotes *notes, RgTableFormat format, FILE *out);

#endif
