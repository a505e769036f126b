/* SPDX-License-Identifier: MIT */
/* Tournaments of synthetic stores: win rates against `compare`, ratings against wins counted here,
 * who takes part, and the formats. */
#include "tests/results_fixture.h"

#include "analysis/compare/tournament.h"
#include "analysis/statistics/length_control.h"

#include <jansson.h>
#include <sqlite3.h>

TestSuite(tournament, .init = scratch_begin);

enum { METHODS = 3, SEEDS = 4 };
static const char *const labels[METHODS] = {"DPO", "online DPO", "SAIL-PR"};
static const double qualities[METHODS] = {0.5, 0.9, 1.1};

typedef struct Opened {
    RgResults *results;
    RgTournament *tournament;
} Opened;

static Opened play(const char *path, RgTournamentOptions options) {
    Opened opened;
    RgError error = {0};
    fixture_check(rg_results_open(path, NULL, &opened.results, &error), &error);
    fixture_check(rg_tournament_create(opened.results, &options, &opened.tournament, &error),
                  &error);
    return opened;
}

static void release(Opened opened) {
    rg_tournament_destroy(opened.tournament);
    rg_results_close(opened.results);
}

static void write_statement(const char *path, const char *statement) {
    sqlite3 *database;
    char *message = NULL;
    cr_assert_eq(sqlite3_open(path, &database), SQLITE_OK);
    sqlite3_exec(database, statement, NULL, NULL, &message);
    cr_assert_null(message, "%s", message);
    sqlite3_close(database);
}

static bool has_note(const RgTournament *t, const char *part) {
    for (int i = 0; i < t->notes.count; i++)
        if (strstr(t->notes.at[i], part))
            return true;
    return false;
}

static bool same(double a, double b) {
    return a == b || (isnan(a) && isnan(b));
}

Test(tournament, win_rates_are_to_the_last_bit_what_compare_says) {
    char *path = fixture_methods();
    const char *const judges[] = {"reward", "independent_reward"};
    for (int judge = 0; judge < 2; judge++) {
        Opened opened = play(path, (RgTournamentOptions){.metric = judges[judge]});
        const RgTournament *t = opened.tournament;
        cr_assert_eq(t->count, METHODS);
        for (int i = 0; i < t->count; i++)
            for (int j = 0; j < t->count; j++) {
                const RgMeeting *meeting = &t->meetings[i * t->count + j];
                RgComparison c;
                RgError error = {0};
                RgCompareOptions options = {.a = t->methods[i].group->name,
                                            .b = t->methods[j].group->name,
                                            .judge = judges[judge]};
                cr_assert_eq(meeting->met, i != j);
                if (i == j)
                    continue;
                fixture_check(rg_comparison_make(opened.results, &options, &c, &error), &error);
                cr_assert(same(meeting->win_rate.value, c.estimate.value));
                cr_assert(same(meeting->win_rate.interval.low, c.estimate.interval.low));
                cr_assert(same(meeting->win_rate.interval.high, c.estimate.interval.high));
                cr_assert(same(meeting->win_rate.p_value, c.estimate.p_value));
                cr_assert_eq(meeting->comparison.wins, c.wins);
                cr_assert_eq(meeting->comparison.ties, c.ties);
                cr_assert_eq(meeting->comparison.seeds, c.seeds);
            }
        release(opened);
    }
    free(path);
}

/* The reward of a method's response, from the fixture's own formula. */
static double reward(int method, int seed, int item) {
    FixtureTrial trial = {.label = labels[method], .seed = seed, .quality = qualities[method]};
    return fixture_reward(&trial, FIXTURE_STEPS, item);
}

/* Wins counted here over the seeds that both finished: seed 4 of SAIL-PR diverged. */
Test(tournament, ratings_are_those_of_all_games_counted) {
    char *path = fixture_methods();
    double wins[METHODS * METHODS] = {0}, ratings[METHODS];
    for (int i = 0; i < METHODS; i++)
        for (int j = 0; j < METHODS; j++)
            for (int seed = 1; seed <= (i == 2 || j == 2 ? 3 : SEEDS); seed++)
                for (int item = 0; item < FIXTURE_ITEMS; item++)
                    wins[i * METHODS + j] += reward(i, seed, item) > reward(j, seed, item);
    cr_assert(rg_bradley_terry(wins, METHODS, RG_TOURNAMENT_PRIOR, ratings));
    Opened opened = play(path, (RgTournamentOptions){0});
    const RgTournament *t = opened.tournament;
    double sum = 0;
    for (int i = 0; i < METHODS; i++) { /* the strongest first: the fixture's order turned around */
        const RgTournamentMethod *m = &t->methods[METHODS - 1 - i];
        cr_assert_str_eq(m->group->name, labels[i]);
        cr_assert_eq(m->seeds, i == 2 ? 3 : 4);
        cr_assert_float_eq(m->rating.value, ratings[i], 1e-9);
        cr_assert(m->rating.interval.low < m->rating.value &&
                  m->rating.value < m->rating.interval.high);
        sum += m->rating.value;
    }
    cr_assert_float_eq(sum, 0, 1e-9);
    release(opened);
    free(path);
}

/* Lengths are written into the store: each response's a function of trial and item, from 5 to 15.
 */
static int response_length(int method, int seed, int item) {
    int trial = method * SEEDS + seed; /* as the fixture numbers them */
    return 5 + (item * 7 + trial * 4) % 11;
}

Test(tournament, controlled_win_rate_is_the_fit_on_the_pairs_that_met) {
    char *path = fixture_methods();
    double outcomes[3 * FIXTURE_ITEMS], differences[3 * FIXTURE_ITEMS];
    write_statement(path,
                    "INSERT INTO evaluations SELECT trial, step, item, 'length',"
                    " 5 + (item * 7 + trial * 4) % 11 FROM evaluations WHERE name = 'reward'");
    for (int seed = 1; seed <= 3; seed++)
        for (int item = 0; item < FIXTURE_ITEMS; item++) {
            int cell = (seed - 1) * FIXTURE_ITEMS + item;
            outcomes[cell] = reward(2, seed, item) > reward(0, seed, item);
            differences[cell] = response_length(2, seed, item) - response_length(0, seed, item);
        }
    RgLengthControl expected =
        rg_control_length(outcomes, differences, 3, FIXTURE_ITEMS, RG_TOURNAMENT_PRIOR, NULL);
    Opened opened = play(path, (RgTournamentOptions){.length_controlled = true});
    const RgTournament *t = opened.tournament;
    cr_assert_str_eq(t->methods[0].group->name, "SAIL-PR");
    cr_assert_str_eq(t->methods[2].group->name, "DPO");
    cr_assert_float_eq(t->meetings[2].win_rate.value, expected.win_rate.value, 1e-12);
    cr_assert_float_eq(t->meetings[2].length_slope, expected.slope, 1e-12);
    cr_assert_float_eq(t->meetings[6].win_rate.value, 1 - expected.win_rate.value, 1e-9);
    cr_assert_neq(t->meetings[2].win_rate.value, t->meetings[2].comparison.estimate.value);
    double lengths = 0;
    for (int seed = 1; seed <= 3; seed++)
        for (int item = 0; item < FIXTURE_ITEMS; item++)
            lengths += response_length(2, seed, item) / (3.0 * FIXTURE_ITEMS);
    cr_assert_float_eq(t->methods[0].length, lengths, 1e-9);
    cr_assert(has_note(t, "length-controlled"));
    release(opened);
    free(path);
}

/* Two methods of the same rewards but for length, which the judge likes: a point for each token.
 * The longer one's lead is length alone, and at equal length it has none. */
Test(tournament, a_lead_by_length_alone_vanishes_at_equal_length) {
    char *path = fixture_methods();
    write_statement(path, "DELETE FROM trials WHERE label = 'SAIL-PR'");
    write_statement(path, "INSERT INTO evaluations SELECT trial, step, item, 'length', 20 +"
                          " (item * item * 7 + trial * trial * 3 + item * trial * 5) % 13 + "
                          "iif(trial <= 4, 0, 4) FROM evaluations"
                          " WHERE name = 'reward'");
    write_statement(path, "UPDATE evaluations AS e SET value = (SELECT l.value FROM evaluations AS"
                          " l WHERE l.name = 'length' AND l.trial = e.trial AND l.step = e.step AND"
                          " l.item = e.item) WHERE name = 'reward'");
    Opened plain = play(path, (RgTournamentOptions){0});
    Opened equal = play(path, (RgTournamentOptions){.length_controlled = true});
    cr_assert(plain.tournament->meetings[1].win_rate.interval.low > 0.55);
    cr_assert_float_eq(equal.tournament->meetings[1].win_rate.value, 0.5, 0.12);
    cr_assert(equal.tournament->methods[0].rating.value <
              0.5 * plain.tournament->methods[0].rating.value);
    release(plain);
    release(equal);
    free(path);
}

Test(tournament, methods_without_values_stay_out_and_are_named) {
    char *path = fixture_sweep();
    Opened opened = play(path, (RgTournamentOptions){0});
    cr_assert_eq(opened.tournament->count, 4);
    cr_assert(has_note(opened.tournament, "Left out: DPO"));
    release(opened);
    free(path);
}

/* DPO on seeds of its own: it has met nobody, and the prior puts it nowhere. */
Test(tournament, methods_that_share_no_seed_do_not_meet) {
    char *path = fixture_methods();
    write_statement(path, "UPDATE trials SET seed = seed + 10 WHERE label = 'DPO'");
    Opened opened = play(path, (RgTournamentOptions){0});
    const RgTournament *t = opened.tournament;
    cr_assert_eq(t->count, 3);
    for (int i = 0; i < 3; i++) {
        bool dpo = strcmp(t->methods[i].group->name, "DPO") == 0;
        cr_assert(isfinite(t->methods[i].rating.value));
        cr_assert_eq((bool)isnan(t->methods[i].win_rate), dpo);
        cr_assert(!dpo || i == 1, "between the two that met");
    }
    cr_assert(has_note(t, "were not compared"));
    release(opened);
    free(path);
}

static void refused(const char *path, RgTournamentOptions options, const char *part) {
    RgError error = {0};
    options.store = path;
    options.out = stdout;
    cr_assert_eq(rg_tournament(&options, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, part), "no \"%s\" in: %s", part, error.text);
}

Test(tournament, what_cannot_be_played_is_refused_with_a_hint) {
    char *path = fixture_methods();
    refused(path, (RgTournamentOptions){.metric = "rewards"}, "did you mean \"reward\"?");
    refused(path, (RgTournamentOptions){.length_controlled = true}, "\"length\"");
    refused(path, (RgTournamentOptions){.choice.experiment = "method"},
            "did you mean \"methods\"?");
    write_statement(path, "DELETE FROM trials WHERE label <> 'DPO'");
    refused(path, (RgTournamentOptions){0}, "1 method finished");
    free(path);
}

static char *output(const char *path, RgTableFormat format) {
    char *text;
    size_t size;
    RgError error = {0};
    RgTournamentOptions options = {
        .store = path, .format = format, .out = open_memstream(&text, &size)};
    fixture_check(rg_tournament(&options, &error), &error);
    fclose(options.out);
    return text;
}

Test(tournament, text_has_ratings_and_the_matrix) {
    char *path = fixture_methods(), *text = output(path, RG_TABLE_TEXT);
    const char *matrix = strstr(text, "\nwins, %");
    cr_assert(strncmp(text, "method", 6) == 0 && matrix, "%s", text);
    cr_assert(strstr(matrix, "SAIL-PR  "), "%s", text);
    cr_assert(strstr(text, "Bradley–Terry"), "%s", text);
    free(text);
    free(path);
}

Test(tournament, json_has_each_meeting_in_both_orders) {
    char *path = fixture_methods(), *text = output(path, RG_TABLE_JSON);
    json_t *root = json_loads(text, 0, NULL);
    cr_assert(root, "%s", text);
    const json_t *meetings = json_object_get(root, "meetings");
    cr_assert_eq(json_array_size(json_object_get(root, "methods")), METHODS);
    cr_assert_eq(json_array_size(meetings), METHODS * (METHODS - 1));
    for (size_t i = 0; i < json_array_size(meetings); i++) {
        const json_t *one = json_array_get(meetings, i);
        double games = json_number_value(json_object_get(one, "seeds")) * FIXTURE_ITEMS;
        cr_assert_float_eq(json_number_value(json_object_get(one, "win_rate")),
                           (json_number_value(json_object_get(one, "wins")) +
                            json_number_value(json_object_get(one, "ties")) / 2) /
                               games,
                           1e-12);
        cr_assert_eq(json_array_size(json_object_get(one, "win_rate_95")), 2);
    }
    json_decref(root);
    free(text);
    free(path);
}

Test(tournament, csv_has_a_heading_and_a_line_for_each_meeting) {
    char *path = fixture_methods(), *text = output(path, RG_TABLE_CSV);
    int lines = 0, commas = 0, first = 0;
    for (const char *c = text; *c; c++) {
        commas += *c == ',';
        if (*c != '\n')
            continue;
        first = first ? first : commas;
        cr_assert_eq(commas, first);
        commas = 0;
        lines++;
    }
    cr_assert_eq(lines, 1 + METHODS * (METHODS - 1));
    cr_assert(strncmp(text, "a,b,a_elo,a_elo_low,a_elo_high,win_rate,", 40) == 0, "%s", text);
    free(text);
    free(path);
}

Test(tournament, markdown_and_latex_have_two_tables) {
    char *path = fixture_methods(), *markdown = output(path, RG_TABLE_MARKDOWN);
    char *latex = output(path, RG_TABLE_LATEX);
    cr_assert(strstr(markdown, "| method | seeds |") && strstr(markdown, "| wins, % |"), "%s",
              markdown);
    const char *second = strstr(latex, "\\begin{tabular}");
    cr_assert(second && strstr(second + 1, "\\begin{tabular}{lrrr}"), "%s", latex);
    cr_assert(strstr(latex, "wins, \\%"), "%s", latex);
    free(latex);
    free(markdown);
    free(path);
}
