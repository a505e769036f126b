/* SPDX-License-Identifier: MIT */
/* Printing forecasts, as a table or as JSON. */
#include "experiments/program/run/dry_run.h"

#include "core/notice.h"
#include "core/results/store_lock.h"
#include "core/utf8.h"
#include "experiments/program/config/units.h"
#include "experiments/program/run/compatibility.h"
#include "experiments/program/run/programs.h"
#include "experiments/program/run/recorded_inputs.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- sums ---- */

typedef struct Sum {
    double amount[RG_FORECASTS];
    bool partial[RG_FORECASTS]; /* the sum omits unknown values */
    bool at_most[RG_FORECASTS]; /* the sum contains an upper bound */
    int64_t trials;
} Sum;

/* Sums over all trials, or over those that are still to run. */
static Sum sum_up(const RgForecast *all, int64_t count, bool rest) {
    Sum sum = {0};
    for (int64_t i = 0; i < count; i++) {
        double part = rest ? 1 - all[i].share : 1;
        if (part == 0)
            continue;
        sum.trials++;
        for (int k = 0; k < RG_FORECASTS; k++) {
            sum.partial[k] |= isnan(all[i].amount[k]);
            sum.at_most[k] |= all[i].at_most[k];
            sum.amount[k] += isnan(all[i].amount[k]) ? 0 : part * all[i].amount[k];
        }
    }
    return sum;
}

/* ---- a table ---- */

enum { COLUMNS = 5 + RG_FORECASTS, TEXT_COLUMNS = 5 };

typedef struct Rows {
    char *(*at)[COLUMNS];
    int64_t count;
} Rows;

static char **add_row(Rows *rows) {
    rows->at = rg_reallocate(rows->at, (size_t)rows->count + 1, sizeof *rows->at);
    for (int i = 0; i < COLUMNS; i++)
        rows->at[rows->count][i] = rg_string_copy("");
    return rows->at[rows->count++];
}

static void set_cell(char **row, int column, char *text) {
    free(row[column]);
    row[column] = text;
}

/* Prefix of a sum that omits unknown values (more) or contains upper bounds (less). */
static const char *bound_of(bool more, bool less) {
    return more && less ? "~ " : more ? "≥ " : less ? "≤ " : "";
}

static void set_units(char **row, const double *amount, const bool *partial, const bool *at_most) {
    for (int k = 0; k < RG_FORECASTS; k++) {
        char text[32];
        bool nothing = partial && partial[k] && amount[k] == 0;
        bool more = partial && partial[k] && !nothing;
        double value = nothing ? NAN : amount[k];
        if (k == RG_FORECAST_SECONDS)
            rg_duration_text(value, text);
        else
            rg_units_text(value, text);
        set_cell(row, TEXT_COLUMNS + k, rg_string_format("%s%s", bound_of(more, at_most[k]), text));
    }
}

static void add_heading(Rows *rows) {
    static const char *const headings[COLUMNS] = {
        "trial", "method", "varied",           "seed",          "status",
        "steps", "FLOP",   "generated tokens", "judge queries", "time"};
    char **row = add_row(rows);
    for (int i = 0; i < COLUMNS; i++)
        set_cell(row, i, rg_string_copy(headings[i]));
}

static void add_trial(Rows *rows, const RgForecast *f) {
    char **row = add_row(rows);
    bool begun = f->state == RG_STATE_INTERRUPTED || f->state == RG_STATE_RUNNING;
    set_cell(row, 0, rg_string_copy(f->plan->key));
    set_cell(row, 1, rg_string_copy(f->plan->part.label));
    set_cell(row, 2, rg_swept_text(f->plan->swept_json));
    set_cell(row, 3, rg_string_format("%ld", (long)f->plan->seed));
    set_cell(row, 4,
             begun && f->entry->step >= 0
                 ? rg_string_format("%s, step %ld", rg_state_names[f->state], (long)f->entry->step)
                 : rg_string_copy(rg_state_names[f->state]));
    set_units(row, f->amount, NULL, f->at_most);
}

static void add_sum(Rows *rows, const char *what, const Sum *sum) {
    char **row = add_row(rows);
    set_cell(row, 0, rg_string_format("%s: %ld", what, (long)sum->trials));
    set_units(row, sum->amount, sum->partial, sum->at_most);
}

static void write_rows(const Rows *rows, FILE *out) {
    size_t width[COLUMNS] = {0};
    for (int64_t i = 0; i < rows->count; i++)
        for (int c = 0; c < COLUMNS; c++) {
            size_t own = rg_utf8_width(rows->at[i][c]);
            width[c] = own > width[c] ? own : width[c];
        }
    for (int64_t i = 0; i < rows->count; i++) {
        for (int c = 0; c < COLUMNS; c++) {
            bool last = c == COLUMNS - 1;
            int pad = (int)(width[c] - rg_utf8_width(rows->at[i][c]));
            if (width[c] == 0)
                continue; /* no swept options */
            if (c < TEXT_COLUMNS && c != 3)
                fprintf(out, "%s%*s  ", rows->at[i][c], pad, "");
            else
                fprintf(out, "%*s%s%s", pad, "", rows->at[i][c], last ? "\n" : "  ");
        }
    }
}

static void write_table(const RgForecast *all, int64_t count, FILE *out) {
    Rows rows = {0};
    Sum total = sum_up(all, count, false), rest = sum_up(all, count, true);
    bool swept_options = false;
    for (int64_t i = 0; i < count; i++)
        swept_options |= strcmp(all[i].plan->swept_json, "{}") != 0;
    add_heading(&rows);
    if (!swept_options)
        set_cell(rows.at[0], 2, rg_string_copy(""));
    for (int64_t i = 0; i < count; i++)
        add_trial(&rows, &all[i]);
    add_sum(&rows, "trials", &total);
    add_sum(&rows, "to run", &rest);
    write_rows(&rows, out);
    for (int64_t i = 0; i < rows.count; i++)
        for (int c = 0; c < COLUMNS; c++)
            free(rows.at[i][c]);
    free(rows.at);
}

/* ---- JSON ---- */

/* Numbers, and the names of those that are bounds: "at_most": ["flops"]. */
static void put_units(json_t *object, const double *amount, const bool *partial,
                      const bool *at_most) {
    json_t *bounds = json_array();
    for (int k = 0; k < RG_FORECASTS; k++) {
        bool known = !isnan(amount[k]) && !(partial && partial[k]);
        json_object_set_new(object, rg_forecast_names[k],
                            known ? json_real(amount[k]) : json_null());
        if (known && at_most[k])
            json_array_append_new(bounds, json_string(rg_forecast_names[k]));
    }
    if (json_array_size(bounds) > 0)
        json_object_set(object, "at_most", bounds);
    json_decref(bounds);
}

static json_t *trial_json(const RgForecast *f) {
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:f, s:o}", "key", f->plan->key, "label",
                  f->plan->part.label, "algorithm", f->plan->algorithm->about.name, "seed",
                  (json_int_t)f->plan->seed, "status", rg_state_names[f->state], "done", f->share,
                  "varied", json_loads(f->plan->swept_json, 0, NULL));
    put_units(object, f->amount, NULL, f->at_most);
    return object;
}

static json_t *sum_json(const RgForecast *all, int64_t count, bool rest) {
    Sum sum = sum_up(all, count, rest);
    json_t *object = json_pack("{s:I}", "trials", (json_int_t)sum.trials);
    put_units(object, sum.amount, sum.partial, sum.at_most);
    return object;
}

static void write_json(const RgForecast *all, int64_t count, FILE *out) {
    json_t *trials = json_array();
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(trials, trial_json(&all[i]));
    json_t *root = json_pack("{s:o, s:o, s:o}", "trials", trials, "total",
                             sum_json(all, count, false), "to_run", sum_json(all, count, true));
    json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    fputc('\n', out);
    json_decref(root);
}

/* Refuses trials that would not find their inputs. Else reports inputs that are missing to trials
 * that are done, and those that have changed since the store's trials. */
static RgStatus check_inputs(RgExperiment *experiment, RgStore *store, RgError *error) {
    RG_TRY(rg_check_inputs_to_be_read(experiment, store, error));
    if (!store)
        return RG_OK;
    RG_TRY(rg_know_missing_inputs(experiment, store, error));
    return rg_report_changed_inputs(experiment, store, error);
}

/* Prints what is known of the trials. What is not known is planned, unless inputs are missing, which
 * has been said. An error is why it cannot be planned. */
static RgStatus list_trials(const RgExperiment *experiment, const RgRunStatuses *statuses,
                            const char *store, RgReadyEnvironment *ready, bool json, FILE *out,
                            RgError *error) {
    char holder[128];
    const RgRunStatus *run_status = statuses->count > 0 ? &statuses->at[0] : NULL;
    bool written = run_status && run_status->latest && rg_store_writer(store, holder);
    char *missing = rg_missing_inputs(experiment);
    RgError unplanned = {0};
    RgForecast *all =
        rg_forecast(experiment, run_status, written, ready, missing ? NULL : &unplanned);
    (json ? write_json : write_table)(all, experiment->trial_count, out);
    char *unequal = rg_forecast_unequal_epochs(all, experiment->trial_count);
    if (unequal)
        rg_notice("%s", unequal);
    free(unequal);
    free(all);
    free(missing);
    return unplanned.text[0] ? rg_fail(error, RG_E_FILE, "%s", unplanned.text) : RG_OK;
}

RgStatus rg_dry_run(RgExperiment *experiment, const char *store, bool json, FILE *out,
                    RgError *error) {
    RgRunStatuses statuses = {0};
    RgReadyEnvironment ready = {0};
    RgError later = {0}; /* only the first error is reported */
    if (access(store, F_OK) == 0)
        RG_TRY(rg_run_statuses_open(store, experiment->options.name, &statuses, error));
    RgStatus inputs = check_inputs(experiment, statuses.store, error), status = inputs;
    if (status == RG_OK)
        status = rg_check_programs(experiment, store, error);
    if (status == RG_OK)
        status = rg_check_compatibility(experiment, store, &ready, error);
    if (status == RG_OK)
        status = list_trials(experiment, &statuses, store, &ready, json, out, error);
    else if (inputs == RG_E_FILE)
        list_trials(experiment, &statuses, store, &ready, json, out, &later);
    rg_ready_environment_clear(&ready);
    rg_run_statuses_close(&statuses);
    return status;
}
