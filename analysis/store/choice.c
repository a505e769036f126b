/* SPDX-License-Identifier: MIT */
/* Conditions on trials, and the message if none fulfils them. */
#include "analysis/store/choice.h"

#include "analysis/store/fields.h"
#include "analysis/store/query.h"
#include "core/lookup.h"
#include "core/results/last_run.h"
#include "core/suggest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- conditions ---- */

typedef struct Condition {
    char *option;
    const char *value;
    double number; /* NaN if the value is not a number */
    bool met;      /* by any trial, alone */
} Condition;

static RgStatus read_conditions(const RgChoice *choice, Condition *conditions, RgError *error) {
    for (int i = 0; i < choice->where_count; i++) {
        const char *text = choice->where[i], *equals = strchr(text, '=');
        char *end;
        if (!equals || equals == text)
            return rg_fail(error, RG_E_USAGE,
                           "--where is \"%.200s\": expected OPTION=VALUE, as in algorithm.beta=0.2",
                           text);
        double number = strtod(equals + 1, &end);
        conditions[i] = (Condition){.option = rg_string_format("%.*s", (int)(equals - text), text),
                                    .value = equals + 1,
                                    .number = end > equals + 1 && !*end ? number : NAN};
    }
    return RG_OK;
}

static bool has_value(const Condition *condition, const char *text, double number) {
    return strcmp(text, condition->value) == 0 || number == condition->number;
}

static bool is_met(const Condition *condition, const RgCandidate *trial, const RgFields *config) {
    if (strcmp(condition->option, "label") == 0)
        return strcmp(trial->label, condition->value) == 0;
    if (strcmp(condition->option, "seed") == 0)
        return (double)trial->seed == condition->number;
    const RgField *field = rg_fields_find(config, condition->option);
    return field && has_value(condition, field->text, field->number);
}

static bool meets_all(Condition *conditions, int count, const RgCandidate *trial) {
    bool all = true;
    RgFields config = count > 0 ? rg_fields_parse(trial->config) : (RgFields){0};
    for (int i = 0; i < count; i++) {
        bool met = is_met(&conditions[i], trial, &config);
        conditions[i].met |= met;
        all &= met;
    }
    rg_fields_free(&config);
    return all;
}

/* ---- the message for no trial ---- */

/* Distinct texts, NULL-terminated. */
typedef struct Words {
    RgLookup *known;
    char **at;
    int count;
} Words;

static void add_word(Words *words, const char *text) {
    int64_t *number = rg_lookup_at(words->known, text, strlen(text));
    if (*number >= 0)
        return;
    *number = words->count;
    words->at = rg_reallocate(words->at, (size_t)words->count + 2, sizeof *words->at);
    words->at[words->count++] = rg_string_copy(text);
    words->at[words->count] = NULL;
}

static void words_clear(Words *words) {
    for (int i = 0; i < words->count; i++)
        free(words->at[i]);
    free(words->at);
    rg_lookup_destroy(words->known);
}

/* Options that the trials have, or values of one. */
static Words collect(const RgCandidate *trials, int count, const char *option) {
    Words words = {.known = rg_lookup_create()};
    if (!option) {
        add_word(&words, "label");
        add_word(&words, "seed");
    }
    for (int i = 0; i < count; i++) {
        RgFields config = rg_fields_parse(trials[i].config);
        if (option && strcmp(option, "label") == 0)
            add_word(&words, trials[i].label);
        if (option && strcmp(option, "seed") == 0) {
            char seed[32];
            snprintf(seed, sizeof seed, "%lld", (long long)trials[i].seed);
            add_word(&words, seed);
        }
        for (int k = 0; k < config.count; k++)
            if (!option || strcmp(config.at[k].name, option) == 0)
                add_word(&words, option ? config.at[k].text : config.at[k].name);
        rg_fields_free(&config);
    }
    return words;
}

/* Whether the path ends with `name`, which is one or more of its parts. */
static bool ends_with_parts(const char *path, const char *name) {
    size_t length = strlen(path), end = strlen(name);
    return length > end && path[length - end - 1] == '.' && strcmp(path + length - end, name) == 0;
}

/* The full option whose last part is `name`, as "algorithm.margin" for "margin"; of several the
 * shortest. NULL if there is none. */
static const char *in_full(const Words *options, const char *name) {
    const char *best = NULL;
    for (int i = 0; i < options->count; i++)
        if (ends_with_parts(options->at[i], name) &&
            (!best || strlen(options->at[i]) < strlen(best)))
            best = options->at[i];
    return best;
}

static RgStatus unknown_option(const Condition *condition, const RgCandidate *trials, int count,
                               RgError *error) {
    Words options = collect(trials, count, NULL);
    static const char what[] = "option of --where";
    const char *full = in_full(&options, condition->option);
    RgStatus status =
        full ? rg_fail(error, RG_E_USAGE, "unknown %s \"%s\"%s", what, condition->option,
                       rg_suggest_this(full).text)
             : rg_unknown_name(error, what, condition->option, (const char *const *)options.at);
    words_clear(&options);
    return status;
}

static RgStatus unmet(const Condition *condition, const RgCandidate *trials, int count,
                      RgError *error) {
    enum { MOST = 300 }; /* bytes */
    Words values = collect(trials, count, condition->option);
    RgStatus status;
    if (values.count == 0) {
        status = unknown_option(condition, trials, count, error);
    } else {
        char *list = rg_string_copy("");
        for (int i = 0; i < values.count && strlen(list) < MOST; i++) {
            char *longer = rg_string_format("%s%s%.64s", list, i > 0 ? ", " : "", values.at[i]);
            free(list);
            list = longer;
        }
        status =
            rg_fail(error, RG_E_USAGE, "--where %s=%.100s: no trial has this value: there is %s",
                    condition->option, condition->value, list);
        free(list);
    }
    words_clear(&values);
    return status;
}

static RgStatus none_chosen(const Condition *conditions, int condition_count,
                            const RgCandidate *trials, int count, RgError *error) {
    for (int i = 0; i < condition_count; i++)
        if (!conditions[i].met)
            return unmet(&conditions[i], trials, count, error);
    return rg_fail(error, RG_E_USAGE, "--where: no trial fulfils all %d conditions",
                   condition_count);
}

/* ---- choosing ---- */

static RgStatus choose(const RgChoice *choice, Condition *conditions, RgCandidate *trials,
                       int count, int *left_out, RgError *error) {
    int met = 0, latest = 0;
    for (int i = 0; i < count; i++) {
        trials[i].chosen = meets_all(conditions, choice->where_count, &trials[i]);
        met += trials[i].chosen;
        latest += trials[i].chosen && trials[i].latest;
    }
    *left_out = 0;
    if (met == 0 && choice->where_count > 0 && count > 0)
        return none_chosen(conditions, choice->where_count, trials, count, error);
    if (choice->all || (choice->where_count > 0 && latest == 0))
        return RG_OK;
    for (int i = 0; i < count; i++)
        trials[i].chosen = trials[i].chosen && trials[i].latest;
    *left_out = met - latest;
    return RG_OK;
}

RgStatus rg_choose(const RgChoice *choice, RgCandidate *trials, int count, int *left_out,
                   RgError *error) {
    Condition *conditions = rg_allocate(choice->where_count, sizeof *conditions);
    RgStatus status = read_conditions(choice, conditions, error);
    if (status == RG_OK)
        status = choose(choice, conditions, trials, count, left_out, error);
    for (int i = 0; i < choice->where_count; i++)
        free(conditions[i].option);
    free(conditions);
    return status;
}

/* ---- one trial ---- */

static RgCandidate candidate_of(const RgTrialRow *row, const char *name, const RgLookup *latest) {
    bool is_key = strcmp(row->key, name) == 0;
    return (RgCandidate){.label = row->label,
                         .config = row->config,
                         .seed = row->seed,
                         .latest = is_key || !latest ||
                                   rg_lookup_find(latest, row->key, strlen(row->key)) >= 0};
}

/* Candidates from the rows, with whether the last config of their experiment contains them. The
 * rows mostly belong to one experiment. */
static RgStatus fill_candidates(RgStore *store, const RgTrialRows *rows, const char *name,
                                RgCandidate *candidates, RgError *error) {
    RgLookup *latest = NULL;
    RgStatus status = RG_OK;
    for (int i = 0; i < rows->count && status == RG_OK; i++) {
        const RgTrialRow *row = &rows->at[i];
        if (i == 0 || row->experiment_id != row[-1].experiment_id) {
            rg_lookup_destroy(latest);
            status = rg_last_run_keys(store, row->experiment_id, &latest, error);
        }
        if (status == RG_OK)
            candidates[i] = candidate_of(row, name, latest);
    }
    rg_lookup_destroy(latest);
    return status;
}

/* The index of the only chosen trial. */
static RgStatus find_chosen(RgStore *store, const char *name, const RgTrialRows *rows,
                            const RgCandidate *candidates, int *number, RgError *error) {
    *number = -1;
    for (int i = 0; i < rows->count; i++) {
        if (candidates[i].chosen && *number >= 0)
            return rg_trial_refuse_several(store, name, &rows->at[*number], &rows->at[i], error);
        if (candidates[i].chosen)
            *number = i;
    }
    return *number >= 0 ? RG_OK
                        : rg_fail(error, RG_E_USAGE,
                                  "%s: \"%s\" is not in the config that was run last: --all takes "
                                  "the trials of every config that was run",
                                  rg_store_path(store), name);
}

RgStatus rg_choose_trial(RgStore *store, const RgChoice *choice, const char *name, int64_t seed,
                         RgTrialRow *row, RgError *error) {
    RgTrialRows rows;
    int left_out, number = -1;
    *row = (RgTrialRow){0};
    RG_TRY(rg_trial_find_all(store, choice->experiment, name, seed, &rows, error));
    RgCandidate *candidates = rg_allocate((size_t)rows.count, sizeof *candidates);
    RgStatus status = fill_candidates(store, &rows, name, candidates, error);
    if (status == RG_OK)
        status = rg_choose(choice, candidates, rows.count, &left_out, error);
    if (status == RG_OK)
        status = find_chosen(store, name, &rows, candidates, &number, error);
    if (status == RG_OK) {
        *row = rows.at[number];
        rows.at[number] = (RgTrialRow){0}; /* its contents belong to the caller now */
    }
    free(candidates);
    rg_trial_rows_clear(&rows);
    return status;
}
