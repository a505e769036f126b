/* SPDX-License-Identifier: MIT */
/* The table of an experiment as data: its columns, the cell of each method, and its notes.
 * table_write.c writes it in a format. */
#include "analysis/compare/table.h"
#include "analysis/compare/compare.h"
#include "analysis/compare/format.h"
#include "analysis/compare/mean.h"
#include "analysis/statistics/robust.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const result_names[] = {
    "reward",
    "regret",
    "duality_gap",
    "win_rate_worst",
    "win_rate_base",
    "win_rate_dataset",
    "independent_reward",
    "independent_win_rate_base",
    "kl",
    "reward_margin",
    "reward_accuracy",
    "length",
    NULL,
};
static const char *const cost_names[] = {
    "generated_tokens",
    "trained_tokens",
    "judge_queries",
    "labelled_responses",
    "hessian_products",
    "flops",
    "seconds",
    "peak_memory",
    NULL,
};
static const char *const ratio_names[] = {"seconds", "peak_memory", NULL};

/* Cells. */

/* Replace the mean by the interquartile mean. */
static void take_middle(RgCell *cell, const RgMeasure *measure, const double *values, int count) {
    RgEstimate middle = rg_estimate_interquartile_mean(values, count);
    cell->summary.mean = middle.value;
    cell->summary.standard_error = middle.standard_error;
    cell->interval = rg_interval_of_rates(middle.interval, measure, values, count);
}

static RgCell make_cell(const RgTable *table, const RgTrial **trials, int count,
                        const RgMeasure *measure) {
    RgReading *readings = rg_allocate(count, sizeof *readings);
    double *values = rg_allocate(count, sizeof *values);
    for (int i = 0; i < count; i++) {
        readings[i] =
            rg_reading_at(table->results, trials[i], measure, rg_trial_result(trials[i], measure));
        values[i] = readings[i].value;
    }
    RgMean mean = rg_mean_of(table->results, readings, count, measure);
    RgCell cell = {.summary = mean.summary, .interval = mean.interval, .p_value = NAN};
    if (table->statistic == RG_STATISTIC_IQM)
        take_middle(&cell, measure, values, count);
    free(values);
    free(readings);
    return cell;
}

/* The DPO row that a group is compared with: the one with most common swept values. */
static int baseline_of(const RgResults *results, int group) {
    int best = -1, most = -1;
    for (int i = 0; i < results->group_count; i++) {
        const RgGroup *candidate = &results->groups[i];
        if (strcmp(candidate->algorithm, "dpo") != 0)
            continue;
        int shared = 0;
        for (int j = 0; j < candidate->swept->count; j++) {
            const RgField *field = &candidate->swept->at[j];
            const RgField *own = rg_fields_find(results->groups[group].swept, field->name);
            shared += own && strcmp(own->text, field->text) == 0;
        }
        if (shared > most) {
            most = shared;
            best = i;
        }
    }
    return best;
}

static RgCell *cell_at(const RgTable *table, int group, int column) {
    return &table->cells[group * table->column_count + column];
}

/* Ratios need every row's mean first, so the columns that they use come before them. */
static void fill_ratios(RgTable *table, int column) {
    const RgColumn *ratio = &table->columns[column];
    int from = 0;
    while (table->columns[from].ratio ||
           strcmp(table->columns[from].measure.name, ratio->measure.name) != 0)
        from++;
    for (int group = 0; group < table->results->group_count; group++) {
        int baseline = baseline_of(table->results, group);
        double value = NAN;
        if (baseline >= 0)
            value = cell_at(table, group, from)->summary.mean /
                    cell_at(table, baseline, from)->summary.mean;
        RgCell *cell = cell_at(table, group, column);
        *cell = (RgCell){.interval = {NAN, NAN}, .p_value = NAN};
        cell->summary = rg_summarize(&value, isfinite(value) && value > 0 ? 1 : 0);
    }
}

/* The values of two methods' common seeds. */
static RgEstimate compare_middles(const RgTable *table, const RgGroup *a, const RgGroup *b,
                                  const RgMeasure *measure) {
    size_t room = (size_t)(a->count * b->count) + 1;
    const RgTrial **trials = rg_allocate(2 * room, sizeof *trials), **of_b = trials + room;
    double *values = rg_allocate(2 * room, sizeof *values);
    int count = rg_pair_trials(a, b, trials, of_b);
    for (int i = 0; i < count; i++) {
        values[i] =
            rg_trial_value(table->results, trials[i], measure, rg_trial_result(trials[i], measure));
        values[(int)room + i] =
            rg_trial_value(table->results, of_b[i], measure, rg_trial_result(of_b[i], measure));
    }
    RgEstimate estimate = rg_estimate_interquartile_difference(values, values + room, count);
    free(values);
    free(trials);
    return estimate;
}

/* The p-value of one row against the other, with the statistic of its column, and the number of
 * seeds; NaN if they cannot be compared: means need a column with values by prompt. */
static double test_row(const RgTable *table, const RgGroup *row, const RgMeasure *measure,
                       int64_t *seeds) {
    RgComparison c;
    if (table->statistic == RG_STATISTIC_IQM) {
        RgEstimate estimate = compare_middles(table, row, table->against, measure);
        *seeds = estimate.cells;
        return estimate.p_value;
    }
    bool compared =
        rg_comparison_of_groups(table->results, row, table->against, measure->name, false, &c);
    *seeds = compared ? c.seeds : 0;
    return compared ? c.estimate.p_value : NAN;
}

/* Test each row against one; the tests are one family. */
static void test_column(RgTable *table, int column) {
    const RgResults *results = table->results;
    double *p = rg_allocate(2 * (size_t)results->group_count, sizeof *p);
    double *adjusted = p + results->group_count;
    for (int group = 0; group < results->group_count; group++) {
        const RgGroup *row = &results->groups[group];
        int64_t seeds = 0;
        p[group] = NAN;
        if (row != table->against)
            p[group] = test_row(table, row, &table->columns[column].measure, &seeds);
        if (seeds > 0 && (table->least_seeds == 0 || seeds < table->least_seeds))
            table->least_seeds = seeds;
    }
    rg_holm(p, results->group_count, adjusted);
    for (int group = 0; group < results->group_count; group++)
        cell_at(table, group, column)->p_value = adjusted[group];
    free(p);
}

static void fill(RgTable *table) {
    const RgResults *results = table->results;
    table->cells = rg_allocate(results->group_count * table->column_count, sizeof *table->cells);
    table->sample = rg_allocate(results->group_count, sizeof *table->sample);
    for (int group = 0; group < results->group_count; group++) {
        const RgGroup *row = &results->groups[group];
        const RgTrial **trials = rg_allocate(row->count, sizeof *trials);
        int count = rg_group_sample(row, trials);
        table->sample[group] = count;
        for (int column = 0; column < table->column_count; column++)
            if (!table->columns[column].ratio)
                *cell_at(table, group, column) =
                    make_cell(table, trials, count, &table->columns[column].measure);
        free(trials);
    }
    for (int column = 0; column < table->column_count; column++)
        if (table->columns[column].ratio)
            fill_ratios(table, column);
        else if (table->against && !table->columns[column].measure.cost)
            test_column(table, column);
}

/* Columns. */

static void add_column(RgTable *table, RgMeasure measure, bool ratio) {
    table->columns =
        rg_reallocate(table->columns, (size_t)table->column_count + 1, sizeof *table->columns);
    table->columns[table->column_count++] = (RgColumn){measure, ratio};
}

static bool has_dpo(const RgResults *results) {
    for (int i = 0; i < results->group_count; i++)
        if (strcmp(results->groups[i].algorithm, "dpo") == 0)
            return true;
    return false;
}

static void add_usual_columns(RgTable *table) {
    RgMeasure measure;
    for (int i = 0; result_names[i]; i++)
        if (rg_results_has(table->results, result_names[i], &measure) && !measure.cost)
            add_column(table, measure, false);
    table->result_columns = table->column_count;
    for (int i = 0; cost_names[i]; i++)
        if (rg_results_has(table->results, cost_names[i], &measure))
            add_column(table, measure, false);
    for (int i = 0; ratio_names[i] && has_dpo(table->results); i++)
        if (rg_results_has(table->results, ratio_names[i], &measure))
            add_column(table, measure, true);
}

static bool column_is_empty(const RgTable *table, int column) {
    bool all_zero = table->columns[column].measure.cost;
    for (int group = 0; group < table->results->group_count; group++) {
        const RgSummary *summary = &cell_at(table, group, column)->summary;
        if (summary->count > 0 && !(all_zero && summary->mean == 0))
            return false;
    }
    return true;
}

/* Remove columns without any value, and costs that are 0 for every row. */
static void drop_empty_columns(RgTable *table) {
    int kept = 0, columns = table->column_count, results = table->result_columns;
    RgCell *cells = rg_allocate(table->results->group_count * columns, sizeof *cells);
    int *keep = rg_allocate(columns, sizeof *keep);
    for (int column = 0; column < columns; column++)
        if (!column_is_empty(table, column))
            keep[kept++] = column;
        else if (column < results)
            table->result_columns--;
    for (int group = 0; group < table->results->group_count; group++)
        for (int i = 0; i < kept; i++)
            cells[group * kept + i] = *cell_at(table, group, keep[i]);
    for (int i = 0; i < kept; i++)
        table->columns[i] = table->columns[keep[i]];
    free(keep);
    free(table->cells);
    table->cells = cells;
    table->column_count = kept;
}

/* Notes. */

static void add_note(RgTable *table, char *note) {
    table->notes = rg_reallocate(table->notes, (size_t)table->note_count + 1, sizeof *table->notes);
    table->notes[table->note_count++] = note;
}

/* Number of trials whose result is not their last evaluation. */
static int selected_trials(const RgTable *table) {
    int count = 0;
    for (int i = 0; i < table->results->trial_count; i++) {
        const RgTrial *trial = &table->results->trials[i];
        count += trial->result_step != trial->evaluated_step;
    }
    return count;
}

static void note_selected(RgTable *table) {
    int count = selected_trials(table);
    if (count > 0)
        add_note(table, rg_string_format("%d of the trials ended with the policy of an earlier "
                                         "evaluation: their metrics are of that one, their costs "
                                         "of all that they spent.",
                                         count));
}

static void note_definitions(RgTable *table) {
    bool spread = false, interval = false, ratio = false, middle = table->statistic;
    for (int i = 0; i < table->results->group_count * table->column_count; i++) {
        const RgColumn *column = &table->columns[i % table->column_count];
        spread |= table->cells[i].summary.count > 1;
        interval |= rg_column_shows_interval(table, column) && !isnan(table->cells[i].interval.low);
        ratio |= column->ratio;
    }
    const char *at = selected_trials(table) > 0 ? "their last or their selected evaluation"
                                                : "their last evaluation";
    bool prompts = strcmp(rg_results_sources(table->results), "seeds") != 0;
    if (middle)
        add_note(table, rg_string_format("Each figure is the interquartile mean over the finished "
                                         "trials (seeds) at %s; ± is its standard error and "
                                         "[low, high] a 95 %% interval over seeds.",
                                         at));
    else if (spread)
        add_note(table, rg_string_format("Each figure is the mean over the finished trials (seeds) "
                                         "at %s; ± is its standard error.",
                                         at));
    if (interval && !middle)
        add_note(table,
                 rg_string_format("[low, high] is a 95 %% interval: Student's t over seeds%s."
                                  " A tie counts as half a win.",
                                  prompts ? " and, where they are known, prompts" : ""));
    note_selected(table);
    if (ratio)
        add_note(table,
                 rg_string_copy("Of the costs, time × and memory × are ratios to the DPO row."));
    if (table->against)
        add_note(table, rg_string_format(
                            "*, **, ***: differs from %s with p below 0.05, 0.01, 0.001, by "
                            "Student's t %s, Holm-adjusted for the tests of a column.%s",
                            table->against->name,
                            middle ? "for the difference of interquartile means over seeds, paired"
                            : prompts ? "over seeds and prompts, paired"
                                      : "over seeds, paired",
                            middle ? "" : " Columns without values by prompt are not tested."));
}

/* Number of prompts (or episodes, or contexts) of an evaluation: the smallest and the largest over
 * the trials of all rows. */
static void note_prompts(RgTable *table) {
    const RgResults *results = table->results;
    int64_t fewest = INT64_MAX, most = 0;
    for (int g = 0; g < results->group_count && results->columns[0]; g++) {
        if (results->groups[g].by_status[RG_TRIAL_FINISHED] == 0)
            continue;
        const RgTrial **sample = rg_allocate(results->groups[g].count, sizeof(const RgTrial *));
        double *values = NULL;
        rg_group_sample(&results->groups[g], sample);
        int64_t items = rg_trial_items(results, sample[0], results->columns[0], &values);
        free(sample);
        free(values);
        fewest = items > 0 && items < fewest ? items : fewest;
        most = items > most ? items : most;
    }
    bool own = strcmp(rg_results_sources(results), "seeds") == 0;
    const char *what = own ? "contexts or episodes, drawn anew for each seed" : "test prompts";
    if (most > 0 && fewest < most)
        add_note(table, rg_string_format("An evaluation is over %lld to %lld %s.",
                                         (long long)fewest, (long long)most, what));
    else if (most > 1)
        add_note(table, rg_string_format("An evaluation is over %lld %s.", (long long)most, what));
}

/* A win rate of the base against itself differs from one half only by sampling noise. */
static void note_base(RgTable *table) {
    const RgResults *results = table->results;
    for (int i = 0; i < results->group_count * table->column_count; i++) {
        int group = i / table->column_count, column = i % table->column_count;
        if (strcmp(table->columns[column].measure.name, "win_rate_base") != 0 ||
            strcmp(results->groups[group].algorithm, "base") != 0)
            continue;
        double mean = cell_at(table, group, column)->summary.mean;
        if (!isnan(mean) && mean != 0.5)
            add_note(table, rg_string_copy("base against base compares two samples of the same "
                                           "policy: its difference from 50 % is noise."));
        return;
    }
}

/* Rows with fewer seeds than a figure's band needs. */
static void note_few_seeds(RgTable *table) {
    char *rows = NULL, *few = table->least_seeds ? rg_few_seeds(table->least_seeds) : NULL;
    for (int g = 0; g < table->results->group_count; g++) {
        if (table->sample[g] == 0 || table->sample[g] >= RG_SEEDS_FOR_BAND)
            continue;
        char *longer = rg_string_format("%s%s%s", rows ? rows : "", rows ? "; " : "",
                                        table->results->groups[g].name);
        free(rows);
        rows = longer;
    }
    if (rows)
        add_note(table, rg_string_format(
                            "Fewer than three seeds, which say little about the spread over seeds "
                            "(with one seed, an interval covers other prompts only): %s.",
                            rows));
    if (few)
        add_note(table, few);
    free(rows);
}

/* Means of a metric for every row, NaN if missing; false if the experiment lacks it. */
static bool row_means(const RgTable *table, const char *name, double *means) {
    for (int column = 0; column < table->column_count; column++) {
        if (table->columns[column].ratio || strcmp(table->columns[column].measure.name, name) != 0)
            continue;
        for (int group = 0; group < table->results->group_count; group++)
            means[group] = cell_at(table, group, column)->summary.mean;
        return true;
    }
    return false;
}

/* Whether the independent judge ranks the methods alike. */
static void note_agreement(RgTable *table, const char *by, const char *gold_name,
                           const char *independent_name) {
    const RgResults *results = table->results;
    int groups = results->group_count, pairs = 0, discordant = 0;
    double *gold = rg_allocate(2 * (size_t)groups, sizeof *gold);
    double *independent = gold + groups;
    char *names = rg_string_copy("");
    bool both =
        row_means(table, gold_name, gold) && row_means(table, independent_name, independent);
    for (int i = 0; both && i < groups; i++)
        for (int j = i + 1; j < groups; j++) {
            int concordance = rg_concordance(gold, independent, i, j);
            pairs += concordance != 0;
            if (concordance >= 0)
                continue;
            char *longer = rg_string_format("%s%s%s / %s", names, discordant++ ? "; " : "",
                                            results->groups[i].name, results->groups[j].name);
            free(names);
            names = longer;
        }
    double tau = both ? rg_kendall_tau(gold, independent, groups) : NAN;
    if (pairs > 0 && discordant == 0)
        add_note(table, rg_string_format("By %s, the independent judge ranks the methods as the "
                                         "gold judge does (Kendall's τ %.2f, %d pairs).",
                                         by, tau, pairs));
    else if (pairs > 0)
        add_note(table, rg_string_format("By %s, the independent judge reverses %d of %d pairs of "
                                         "methods (Kendall's τ %.2f): %s.",
                                         by, discordant, pairs, tau, names));
    free(names);
    free(gold);
}

static char *append(char *text, int64_t number) {
    char *longer = rg_string_format("%s%s%lld", text, text[0] ? ", " : "", (long long)number);
    free(text);
    return longer;
}

/* Append the step; a trial that ended before its first reading has none. */
static char *append_step(char *text, int64_t step) {
    if (step >= 0)
        return append(text, step);
    char *longer = rg_string_format("%s%s" RG_DASH, text, text[0] ? ", " : "");
    free(text);
    return longer;
}

static bool same_end(const RgTrial *a, const RgTrial *b) {
    return a->status == b->status && strcmp(rg_trial_reason(a), rg_trial_reason(b)) == 0;
}

/* One sentence for all trials of a group with the same outcome as its trial `first`. */
static void note_end(RgTable *table, const RgGroup *group, int first) {
    const RgTrial *trial = group->trials[first];
    char *seeds = rg_string_copy(""), *steps = rg_string_copy("");
    int count = 0;
    bool any_step = false;
    for (int i = 0; i < group->count; i++) {
        if (!same_end(group->trials[i], trial))
            continue;
        if (i < first) { /* already listed */
            free(seeds);
            free(steps);
            return;
        }
        seeds = append(seeds, group->trials[i]->seed);
        steps = append_step(steps, group->trials[i]->last_step);
        any_step |= group->trials[i]->last_step >= 0;
        count++;
    }
    const char *plural = count > 1 ? "s" : "";
    char *at = any_step ? rg_string_format(", at step%s %s", plural, steps) : rg_string_copy("");
    add_note(table, rg_string_format("%s: %s, seed%s %s%s: %s.",
                                     trial->status == RG_TRIAL_DIVERGED ? "Diverged" : "Failed",
                                     group->name, plural, seeds, at, rg_trial_reason(trial)));
    free(at);
    free(seeds);
    free(steps);
}

/* "kl of DPO, seeds 1, 3": the finished trials of a row that lack a value which others of the row
 * have; NULL if there are none. */
static char *missing_in(const RgTable *table, const RgColumn *column, int group) {
    const RgResults *results = table->results;
    const RgGroup *row = &results->groups[group];
    char *seeds = rg_string_copy(""), *text = NULL;
    int missing = 0;
    for (int i = 0; i < row->count; i++) {
        const RgTrial *trial = row->trials[i];
        if (trial->status != RG_TRIAL_FINISHED ||
            !isnan(rg_trial_value(results, trial, &column->measure, trial->result_step)))
            continue;
        seeds = append(seeds, trial->seed);
        missing++;
    }
    if (missing > 0)
        text = rg_string_format("%s of %s, seed%s %s", column->measure.name, row->name,
                                missing > 1 ? "s" : "", seeds);
    free(seeds);
    return text;
}

/* Note means over fewer seeds than their neighbours', because their cells do not show it. */
static void note_missing(RgTable *table) {
    char *all = NULL;
    for (int column = 0; column < table->column_count; column++)
        for (int group = 0; group < table->results->group_count; group++) {
            const RgColumn *c = &table->columns[column];
            int64_t count = cell_at(table, group, column)->summary.count;
            if (c->ratio || c->measure.cost || count == 0 || count >= table->sample[group] ||
                table->results->groups[group].by_status[RG_TRIAL_FINISHED] == 0)
                continue;
            char *one = missing_in(table, c, group);
            char *longer = all && one ? rg_string_format("%s; %s", all, one) : NULL;
            if (longer) {
                free(all);
                free(one);
                all = longer;
            } else if (one) {
                all = one;
            }
        }
    if (all)
        add_note(table,
                 rg_string_format("Finished without a value, and left out of the mean: %s.", all));
    free(all);
}

static void note_gaps(RgTable *table) {
    char *note = rg_results_gaps(table->results);
    if (note)
        add_note(table, note);
}

static void note_trials(RgTable *table) {
    const RgResults *results = table->results;
    int running = 0;
    for (int g = 0; g < results->group_count; g++)
        for (int i = 0; i < results->groups[g].count; i++) {
            RgTrialStatus status = results->groups[g].trials[i]->status;
            running += status == RG_TRIAL_RUNNING;
            if (status == RG_TRIAL_DIVERGED || status == RG_TRIAL_FAILED)
                note_end(table, &results->groups[g], i);
        }
    if (running > 0)
        add_note(table, rg_string_format("%d trial%s still running or interrupted; a row shows %s "
                                         "only while it has no finished one.",
                                         running, running > 1 ? "s are" : " is",
                                         running > 1 ? "them" : "it"));
    if (results->superseded > 0)
        add_note(table,
                 rg_string_format("%d older trial%s of the same method and seed, run with other "
                                  "settings or another version, left out.",
                                  results->superseded, results->superseded > 1 ? "s" : ""));
    char *left_out = rg_results_left_out(results);
    if (left_out)
        add_note(table, left_out);
}

RgStatus rg_table_make(const RgResults *results, const RgTableOptions *options, RgTable **result,
                       RgError *error) {
    const char *const *metrics = options->metrics;
    const RgGroup *against = NULL;
    if (options->against)
        RG_TRY(rg_results_group(results, options->against, &against, error));
    RgTable *table = rg_allocate(1, sizeof *table);
    *table = (RgTable){.results = results, .statistic = options->statistic, .against = against};
    RgStatus status = RG_OK;
    for (int i = 0; metrics && metrics[i] && status == RG_OK; i++) {
        RgMeasure measure;
        status = rg_results_measure(results, metrics[i], &measure, error);
        if (status == RG_OK)
            add_column(table, measure, false);
    }
    if (status != RG_OK) {
        rg_table_destroy(table);
        return status;
    }
    table->result_columns = table->column_count;
    if (!metrics)
        add_usual_columns(table);
    fill(table);
    if (!metrics)
        drop_empty_columns(table);
    note_definitions(table);
    note_prompts(table);
    note_base(table);
    note_agreement(table, "reward", "reward", "independent_reward");
    note_agreement(table, "win rate", "win_rate_base", "independent_win_rate_base");
    note_few_seeds(table);
    note_missing(table);
    note_gaps(table);
    note_trials(table);
    *result = table;
    return RG_OK;
}

RgStatus rg_table_create(const RgResults *results, const char *const *metrics, RgTable **table,
                         RgError *error) {
    RgTableOptions options = {.metrics = metrics};
    return rg_table_make(results, &options, table, error);
}

void rg_table_destroy(RgTable *table) {
    if (!table)
        return;
    for (int i = 0; i < table->note_count; i++)
        free(table->notes[i]);
    free(table->notes);
    free(table->columns);
    free(table->cells);
    free(table->sample);
    free(table);
}

RgStatus rg_table(const RgTableOptions *options, RgError *error) {
    RgResults *results;
    RgTable *table = NULL;
    RG_TRY(rg_results_open(options->store, &options->choice, &results, error));
    RgStatus status = rg_table_make(results, options, &table, error);
    status = rg_results_status(results, status, error);
    if (status == RG_OK) {
        rg_table_write(table, options->format, options->out);
        if (fflush(options->out) != 0 || ferror(options->out))
            status = rg_fail(error, RG_E_FILE, "cannot write the table: the output failed");
    }
    rg_table_destroy(table);
    rg_results_close(results);
    return status;
}
