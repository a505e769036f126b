/* SPDX-License-Identifier: MIT */
/* The tournament as data: its pairs, win rates, ratings. tournament_write.c writes it in a
 * format. */
#include "analysis/compare/tournament.h"
#include "analysis/statistics/length_control.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_note(RgTournament *t, char *note) {
    rg_notes_add(&t->notes, note);
}

/* ---- participants ---- */

/* Finished trials that have a per-item metric. */
static int count_finished(const RgResults *results, const RgGroup *group, const char *column) {
    int count = 0;
    for (int i = 0; i < group->count; i++) {
        double *values;
        if (group->trials[i]->status != RG_TRIAL_FINISHED)
            continue;
        count += rg_trial_items(results, group->trials[i], column, &values) > 0;
        free(values);
    }
    return count;
}

/* Mean over prompts and finished seeds. */
static double mean_length(const RgResults *results, const RgGroup *group) {
    double *means = rg_allocate(group->count, sizeof *means);
    for (int i = 0; i < group->count; i++) {
        double *values;
        means[i] = NAN;
        if (group->trials[i]->status != RG_TRIAL_FINISHED)
            continue;
        int64_t items = rg_trial_items(results, group->trials[i], "length", &values);
        means[i] = rg_summarize(values, items).mean;
        free(values);
    }
    double mean = rg_summarize(means, group->count).mean;
    free(means);
    return mean;
}

static RgStatus admit_methods(RgTournament *t, RgError *error) {
    const RgResults *results = t->results;
    t->methods = rg_allocate(results->group_count, sizeof *t->methods);
    for (int i = 0; i < results->group_count; i++) {
        const RgGroup *group = &results->groups[i];
        int seeds = count_finished(results, group, t->metric);
        if (seeds == 0) {
            add_note(
                t, rg_string_format(
                       "Left out: %s, which has no finished trial with values of \"%s\" by prompt.",
                       group->name, t->metric));
            continue;
        }
        t->methods[t->count++] = (RgTournamentMethod){
            .group = group, .seeds = seeds, .length = mean_length(results, group)};
    }
    if (t->count >= 2)
        return RG_OK;
    return rg_fail(error, RG_E_USAGE,
                   "%s: %d method%s finished with per-item metric \"%s\": a tournament needs two",
                   results->path, t->count, t->count == 1 ? "" : "s", t->metric);
}

/* ---- the games ---- */

/* All games of all pairs, on the seeds and prompts of the whole tournament. */
typedef struct Games {
    int count;            /* methods */
    int64_t *seed, seeds; /* every seed that some method finished */
    int64_t items;        /* largest number of common items of a pair */
    RgGames *pairs;       /* [count, count], row's method against column's */
} Games;

static int64_t seed_place(const Games *games, int64_t seed) {
    int64_t place = 0;
    while (place < games->seeds && games->seed[place] != seed)
        place++;
    return place;
}

static void collect_seeds(const RgTournament *t, Games *games) {
    for (int m = 0; m < t->count; m++)
        for (int i = 0; i < t->methods[m].group->count; i++) {
            const RgTrial *trial = t->methods[m].group->trials[i];
            if (trial->status != RG_TRIAL_FINISHED || seed_place(games, trial->seed) < games->seeds)
                continue;
            games->seed = rg_reallocate(games->seed, (size_t)games->seeds + 1, sizeof *games->seed);
            games->seed[games->seeds++] = trial->seed;
        }
}

/* Rows [pairing->seeds, pairing->items] moved to their seeds' places in [games->seeds,
 * games->items]; missing values are NaN. The caller frees. */
static double *spread(const Games *games, const RgPairing *pairing, const double *values) {
    double *wide = rg_allocate(games->seeds * games->items, sizeof *wide);
    for (int64_t i = 0; i < games->seeds * games->items; i++)
        wide[i] = NAN;
    for (int s = 0; s < pairing->seeds; s++)
        memcpy(wide + seed_place(games, pairing->seed[s]) * games->items,
               values + s * pairing->items, (size_t)pairing->items * sizeof *wide);
    return wide;
}

/* Difference in length on the seeds and prompts of another metric's pairing; NaN if a length is
 * missing. The caller frees. */
static double *length_differences(const RgResults *results, const RgGroup *a, const RgGroup *b,
                                  const RgPairing *pairing) {
    RgPairing lengths = rg_pairing_make(results, a, b, "length");
    double *differences = rg_allocate(pairing->seeds * pairing->items, sizeof *differences);
    for (int64_t s = 0; s < pairing->seeds; s++) /* the same trials, so the same seeds */
        for (int64_t i = 0; i < pairing->items; i++)
            differences[s * pairing->items + i] =
                i < lengths.items
                    ? lengths.a[s * lengths.items + i] - lengths.b[s * lengths.items + i]
                    : NAN;
    rg_pairing_free(&lengths);
    return differences;
}

/* At equal length the column's win rate is 1 minus the row's; the slope is the same. */
static void mirror(const RgMeeting *meeting, RgMeeting *other) {
    const RgEstimate *rate = &meeting->win_rate;
    other->win_rate = *rate;
    other->win_rate.value = 1 - rate->value;
    other->win_rate.interval = (RgInterval){1 - rate->interval.high, 1 - rate->interval.low};
    other->length_slope = meeting->length_slope;
}

/* Each cell of plain games has weight outcome − share. */
static RgGames plain_games(double *outcomes, int64_t cells) {
    RgSummary all = rg_summarize(outcomes, cells);
    for (int64_t i = 0; i < cells; i++)
        outcomes[i] -= all.mean;
    return (RgGames){.share = all.mean, .games = (double)all.count, .cells = outcomes};
}

/* At equal length, wins are the fitted share of the games. */
static RgGames equal_games(const RgTournament *t, const Games *games, RgMeeting *meeting,
                           const RgPairing *pairing, double *outcomes) {
    double *differences =
        length_differences(t->results, meeting->comparison.a, meeting->comparison.b, pairing);
    double *wide = spread(games, pairing, differences);
    RgGames pair = {.cells = rg_allocate(games->seeds * games->items, sizeof *wide)};
    RgLengthControl fit = rg_control_length(outcomes, wide, games->seeds, games->items,
                                            RG_TOURNAMENT_PRIOR, pair.cells);
    meeting->win_rate = fit.win_rate;
    meeting->length_slope = fit.slope;
    pair.games = isnan(fit.win_rate.value) ? 0 : fit.games;
    pair.share = isnan(fit.win_rate.value) ? 0.5 : fit.win_rate.value;
    free(wide);
    free(differences);
    return pair;
}

/* The games of methods i < j, for the ratings, and at equal length for the matrix. */
static void play(RgTournament *t, Games *games, int i, int j) {
    int cell = i * t->count + j;
    if (!t->meetings[cell].met)
        return;
    RgPairing pairing =
        rg_pairing_make(t->results, t->methods[i].group, t->methods[j].group, t->metric);
    for (int64_t k = 0; k < pairing.seeds * pairing.items; k++)
        pairing.a[k] = rg_outcome(pairing.a[k], pairing.b[k]);
    double *outcomes = spread(games, &pairing, pairing.a);
    if (t->length_controlled) {
        games->pairs[cell] = equal_games(t, games, &t->meetings[cell], &pairing, outcomes);
        mirror(&t->meetings[cell], &t->meetings[j * t->count + i]);
        free(outcomes);
    } else {
        games->pairs[cell] = plain_games(outcomes, games->seeds * games->items);
    }
    rg_pairing_free(&pairing);
}

/* Compare every two in both orders, so that the result of A against B has the same bits as `regatta
 * compare A B`. */
static Games play_all(RgTournament *t) {
    size_t cells = (size_t)(t->count * t->count);
    Games games = {.count = t->count};
    games.pairs = rg_allocate(cells, sizeof *games.pairs);
    t->meetings = rg_allocate(cells, sizeof *t->meetings);
    collect_seeds(t, &games);
    for (int i = 0; i < t->count; i++)
        for (int j = 0; j < t->count; j++) {
            RgMeeting *meeting = &t->meetings[i * t->count + j];
            *meeting = (RgMeeting){.length_slope = NAN, .win_rate = {.value = NAN}};
            if (i == j)
                continue;
            meeting->met =
                rg_comparison_of_groups(t->results, t->methods[i].group, t->methods[j].group,
                                        t->metric, true, &meeting->comparison);
            meeting->win_rate = meeting->comparison.estimate;
            if (meeting->comparison.items > games.items)
                games.items = meeting->comparison.items;
        }
    for (int i = 0; i < t->count; i++)
        for (int j = i + 1; j < t->count; j++)
            play(t, &games, i, j);
    return games;
}

static void games_free(Games *games) {
    for (int i = 0; i < games->count * games->count; i++)
        free(games->pairs[i].cells);
    free(games->pairs);
    free(games->seed);
}

/* ---- ratings ---- */

static void rate(RgTournament *t, const Games *games) {
    RgEstimate *ratings = rg_allocate(t->count, sizeof *ratings);
    rg_estimate_ratings(games->pairs, t->count, games->seeds, games->items, RG_TOURNAMENT_PRIOR,
                        ratings);
    for (int i = 0; i < t->count; i++) {
        double rates = 0, met = 0;
        for (int j = 0; j < t->count; j++) {
            const RgMeeting *meeting = &t->meetings[i * t->count + j];
            if (meeting->met && !isnan(meeting->win_rate.value)) {
                rates += meeting->win_rate.value;
                met++;
            }
        }
        t->methods[i].rating = ratings[i];
        t->methods[i].win_rate = met > 0 ? rates / met : NAN;
    }
    free(ratings);
}

static int by_rating(const void *a, const void *b, void *methods) {
    const RgTournamentMethod *x = (RgTournamentMethod *)methods + *(const int *)a;
    const RgTournamentMethod *y = (RgTournamentMethod *)methods + *(const int *)b;
    if (x->rating.value != y->rating.value)
        return x->rating.value < y->rating.value ? 1 : -1;
    return (x > y) - (x < y);
}

/* Sort rows and columns by rating, the highest first. */
static void sort_methods(RgTournament *t) {
    int n = t->count, *order = rg_allocate(n, sizeof *order);
    RgTournamentMethod *methods = rg_allocate(n, sizeof *methods);
    RgMeeting *meetings = rg_allocate(n * n, sizeof *meetings);
    for (int i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, (size_t)n, sizeof *order, by_rating, t->methods);
    for (int i = 0; i < n; i++) {
        methods[i] = t->methods[order[i]];
        for (int j = 0; j < n; j++)
            meetings[i * n + j] = t->meetings[order[i] * n + order[j]];
    }
    free(order);
    free(t->methods);
    free(t->meetings);
    t->methods = methods;
    t->meetings = meetings;
}

/* ---- notes ---- */

static void note_games(RgTournament *t) {
    for (int i = 0; i < t->count; i++)
        for (int j = i + 1; j < t->count; j++) {
            const RgMeeting *meeting = &t->meetings[i * t->count + j];
            const char *a = t->methods[i].group->name, *b = t->methods[j].group->name;
            if (!meeting->met)
                add_note(t,
                         rg_string_format(
                             "%s and %s were not compared: they share no finished seed and prompt.",
                             a, b));
            else if (isnan(meeting->win_rate.value))
                add_note(t,
                         rg_string_format("%s and %s: all responses differ by the same length, so "
                                          "the effects of length and method cannot be separated.",
                                          a, b));
        }
}

static void note_definitions(RgTournament *t) {
    add_note(
        t,
        rg_string_format(
            "On every prompt and seed that two methods share, the larger %s wins; a tie counts as "
            "half a win. [low, high] is a 95 %% interval: Student's t over %s.",
            t->metric, rg_results_sources(t->results)));
    if (t->length_controlled)
        add_note(t,
                 rg_string_copy(
                     "Win rates are length-controlled: the prediction of a logistic regression on "
                     "the standardised difference in length for responses of equal length (Dubois "
                     "et al. 2024, arXiv:2404.04475, without the difficulty of prompts)."));
    add_note(t, rg_string_format("Ratings are Bradley–Terry's: 400 points of Elo are a factor of "
                                 "10 in the odds, the mean of all methods is 1000 points or 0 "
                                 "nats. The prior adds %g tied game to every pair of methods.",
                                 RG_TOURNAMENT_PRIOR));
}

/* The note of the two methods with the fewest common seeds. */
static void note_seeds(RgTournament *t) {
    int64_t least = RG_SEEDS_TO_COMPARE;
    for (int i = 0; i < t->count * t->count; i++)
        if (t->meetings[i].met && t->meetings[i].comparison.seeds < least)
            least = t->meetings[i].comparison.seeds;
    add_note(t, rg_few_seeds(least));
}

/* ---- the whole tournament ---- */

RgStatus rg_tournament_create(const RgResults *results, const RgTournamentOptions *options,
                              RgTournament **result, RgError *error) {
    const char *metric = options->metric ? options->metric : "reward";
    RG_TRY(rg_results_item_metric(results, metric, error));
    if (options->length_controlled)
        RG_TRY(rg_results_item_metric(results, "length", error));
    RgTournament *t = rg_allocate(1, sizeof *t);
    *t = (RgTournament){
        .results = results, .metric = metric, .length_controlled = options->length_controlled};
    note_definitions(t);
    RgStatus status = admit_methods(t, error);
    if (status != RG_OK) {
        rg_tournament_destroy(t);
        return status;
    }
    Games games = play_all(t);
    rate(t, &games);
    games_free(&games);
    sort_methods(t);
    note_games(t);
    note_seeds(t);
    add_note(t, rg_results_left_out(results));
    *result = t;
    return RG_OK;
}

void rg_tournament_destroy(RgTournament *tournament) {
    if (!tournament)
        return;
    rg_notes_free(&tournament->notes);
    free(tournament->methods);
    free(tournament->meetings);
    free(tournament);
}

typedef struct Making {
    const RgTournamentOptions *options;
    RgTournament **tournaments; /* [cells] */
} Making;

/* RgCellMake */
static RgStatus make_tournament(void *context, const RgResults *results, int cell, RgError *error) {
    const Making *making = context;
    return rg_tournament_create(results, making->options, &making->tournaments[cell], error);
}

static RgStatus hold_all(const RgResults *results, const RgSweptCells *cells,
                         const RgTournamentOptions *options, RgError *error) {
    RgTournament **tournaments = rg_allocate(cells->count, sizeof(RgTournament *));
    RgNotes *notes = rg_allocate(cells->count, sizeof *notes);
    Making making = {options, tournaments};
    RgStatus status = rg_make_cells(cells, make_tournament, &making, notes, error);
    status = rg_results_status(results, status, error);
    if (status == RG_OK) {
        for (int i = 0; i < cells->count; i++) {
            for (int k = 0; tournaments[i] && k < tournaments[i]->notes.count; k++)
                rg_notes_add(&notes[i], rg_string_copy(tournaments[i]->notes.at[k]));
            rg_notes_add(&notes[i], rg_by_suggestion(results, &options->by));
        }
        rg_tournaments_write(cells, tournaments, notes, options->format, options->out);
    }
    for (int i = 0; i < cells->count; i++) {
        rg_tournament_destroy(tournaments[i]);
        rg_notes_free(&notes[i]);
    }
    free(notes);
    free(tournaments);
    return status;
}

RgStatus rg_tournament(const RgTournamentOptions *options, RgError *error) {
    RgResults *results;
    RgSweptCells *cells = NULL;
    RG_TRY(rg_results_open(options->store, &options->choice, &results, error));
    RgStatus status = rg_swept_cells_create(results, &options->by, &cells, error);
    if (status == RG_OK)
        status = hold_all(results, cells, options, error);
    if (status == RG_OK && (fflush(options->out) != 0 || ferror(options->out)))
        status = rg_fail(error, RG_E_FILE, "cannot write the tournament: the output failed");
    rg_swept_cells_destroy(cells);
    rg_results_close(results);
    return status;
}
