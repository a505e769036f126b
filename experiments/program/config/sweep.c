/* SPDX-License-Identifier: MIT */
/* Reading swept options, drawing their values, and visiting all trials. The option tables check the
 * values when a trial is resolved. */
#include "experiments/program/config/sweep.h"

#include "core/lookup.h"
#include "core/suggest.h"
#include "core/tensor/random.h"
#include "core/utf8.h"
#include "experiments/program/config/trial_spec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VARIED = 16, MOST_VALUES = 1024 };

enum { SCALE_LINEAR, SCALE_LOG, SCALE_INTEGER };
static const char *const scale_names[] = {"linear", "log", "integer", NULL};

const RgOption rg_search_options[] = {
    RG_OPTION_INTEGER(RgSearchOptions, trials, NULL, 1, 10000,
                      "draws; each is run with every seed and every point of the sweep's grid"),
    RG_OPTION_INTEGER(RgSearchOptions, seed, "1", 0, 4294967295.0, "seed of the draws"),
    RG_OPTION_END,
};

const RgOption rg_swept_options[] = {
    RG_OPTION_STRING(RgSweptOptions, option, NULL,
                     "path of the option in a trial, such as algorithm.exploration or "
                     "policy.adapter.rank"),
    RG_OPTION_LIST(RgSweptOptions, also, "paths of further options that get the same value"),
    RG_OPTION_END,
};

const RgOption rg_range_options[] = {
    RG_OPTION_REAL(RgRangeOptions, from, NULL, -1e30, 1e30, "smallest value"),
    RG_OPTION_REAL(RgRangeOptions, to, NULL, -1e30, 1e30, "largest value"),
    RG_OPTION_CHOICE(RgRangeOptions, scale, "linear", scale_names,
                     "what is uniformly distributed: reals, their logarithms, or integers; reals "
                     "are rounded to four digits"),
    RG_OPTION_END,
};

typedef struct SweptOptions {
    RgSweptOptions entry;
    const RgSetting *values[MOST_VALUES]; /* [count] */
    int64_t count;                        /* 0: a range */
    RgRangeOptions range;
    const RgSetting *from, *to; /* of the range */
} SweptOptions;

/* A value of a trial. */
typedef struct Value {
    RgSettingKind kind;
    const char *text;
    const RgSetting *origin;
    char own[40]; /* text of a drawn value */
} Value;

struct RgSweep {
    SweptOptions grid[MOST_VARIED], drawn[MOST_VARIED];
    int grid_count, drawn_count;
    RgSearchOptions search;
};

/* ---- which options are swept ---- */

static const char *const parts[] = {"algorithm", "environment", "policy",     "optimizer",
                                    "training",  "budget",      "evaluation", NULL};

/* The option's name in the part; NULL if it is in another part. */
static const char *within(const char *option, const char *part) {
    size_t length = strlen(part);
    return strncmp(option, part, length) == 0 && option[length] == '.' ? option + length + 1 : NULL;
}

static bool path_applies(const char *option, const RgAlgorithm *algorithm) {
    const char *own = within(option, "algorithm");
    if (own)
        return rg_options_find(algorithm->about.options, own) != NULL;
    return algorithm->loss || algorithm->step || within(option, "environment") ||
           within(option, "policy");
}

static const char *swept_path(const SweptOptions *swept_options, int64_t i) {
    return i == 0 ? swept_options->entry.option : swept_options->entry.also.item[i - 1].text;
}

static int64_t path_count(const SweptOptions *swept_options) {
    return 1 + swept_options->entry.also.count;
}

static bool applies(const SweptOptions *swept_options, const RgAlgorithm *algorithm) {
    for (int64_t i = 0; i < path_count(swept_options); i++)
        if (path_applies(swept_path(swept_options, i), algorithm))
            return true;
    return false;
}

/* ---- reading ---- */

/* Number of elements of a list. RG_E_USAGE for any other setting. */
static RgStatus list_length(const RgSettings *s, const char *path, int64_t most, const char *what,
                            int64_t *length, RgError *error) {
    *length = rg_settings_length(s, path);
    const RgSetting *setting = rg_settings_find(s, path);
    bool other = (setting && setting->kind != RG_SETTING_EMPTY) ||
                 (*length == 0 && rg_settings_has_group(s, path));
    if (other || *length > most)
        return rg_resolve_place(s,
                                rg_fail(error, RG_E_USAGE, "%s: expected a list of at most %d %s",
                                        path, (int)most, what),
                                error);
    return RG_OK;
}

static RgStatus read_values(const RgSettings *s, const char *path, SweptOptions *swept_options,
                            RgError *error) {
    char at[96];
    snprintf(at, sizeof at, "%s.values", path);
    RG_TRY(list_length(s, at, MOST_VALUES, "values", &swept_options->count, error));
    if (swept_options->count == 0)
        return rg_resolve_place(
            s, rg_fail(error, RG_E_USAGE, "%s: expected a list of 1 to %d values", at, MOST_VALUES),
            error);
    for (int64_t k = 0; k < swept_options->count; k++) {
        snprintf(at, sizeof at, "%s.values.%d", path, (int)k);
        swept_options->values[k] = rg_settings_find(s, at);
        if (!swept_options->values[k] || swept_options->values[k]->kind == RG_SETTING_EMPTY)
            return rg_resolve_place(
                s, rg_fail(error, RG_E_USAGE, "%s: expected a number, word or boolean", at), error);
    }
    return RG_OK;
}

static RgStatus read_range(const RgSettings *s, const char *path, SweptOptions *swept_options,
                           RgError *error) {
    char at[96];
    RG_TRY(rg_options_read(rg_range_options, s, path, &swept_options->range, error));
    snprintf(at, sizeof at, "%s.from", path);
    swept_options->from = rg_settings_find(s, at);
    snprintf(at, sizeof at, "%s.to", path);
    swept_options->to = rg_settings_find(s, at);
    const RgRangeOptions *r = &swept_options->range;
    if (r->from >= r->to)
        return rg_setting_refuse(swept_options->to, error,
                                 "expected a value above from, which is %.10g", r->from);
    if (r->scale == SCALE_LOG && r->from <= 0)
        return rg_setting_refuse(swept_options->from, error, "a log scale needs a value above 0");
    for (int i = 0; i < 2 && r->scale == SCALE_INTEGER; i++) {
        const RgSetting *end = i ? swept_options->to : swept_options->from;
        if (end->kind != RG_SETTING_INTEGER)
            return rg_setting_refuse(end, error, "expected an integer, as scale is \"integer\"");
    }
    return RG_OK;
}

/* `ranges`: a range is allowed instead of values. */
static RgStatus read_swept(const RgSettings *s, const char *path, bool ranges,
                           SweptOptions *swept_options, RgError *error) {
    static const char *const of_grid[] = {"option", "also", "values", NULL};
    static const char *const of_search[] = {"option", "also",  "values", "from",
                                            "to",     "scale", NULL};
    char at[96];
    *swept_options = (SweptOptions){0};
    RG_TRY(rg_options_read(rg_swept_options, s, path, &swept_options->entry, error));
    snprintf(at, sizeof at, "%s.values", path);
    bool listed = rg_settings_find(s, at) || rg_settings_has_group(s, at);
    RG_TRY(listed || !ranges ? read_values(s, path, swept_options, error)
                             : read_range(s, path, swept_options, error));
    return rg_settings_check_used(s, path, ranges ? of_search : of_grid, error);
}

/* ---- checks of the paths ---- */

/* The setting that has the i-th path of an element. */
static const RgSetting *path_setting(const RgSettings *s, const char *element, int64_t i) {
    char at[96];
    if (i == 0)
        snprintf(at, sizeof at, "%s.option", element);
    else
        snprintf(at, sizeof at, "%s.also.%d", element, (int)i - 1);
    return rg_settings_find(s, at);
}

/* Refuses the path of an option, and suggests the nearest of `names`. */
static RgStatus refuse_path(const RgSetting *setting, const char *name, const char *const *names,
                            const char *reason, RgError *error) {
    return rg_setting_refuse(setting, error, "%s%s", reason, rg_suggest(name, names).text);
}

static RgStatus check_path(const RgSetting *setting, const RgAlgorithm *const *algorithms,
                           int64_t count, RgError *error) {
    enum { MOST_NAMES = 255 };
    const char *names[MOST_NAMES + 1];
    char part[64];
    bool known = false;
    int used = 0;
    snprintf(part, sizeof part, "%.*s", (int)strcspn(setting->text, "."), setting->text);
    for (int i = 0; parts[i]; i++)
        known |= within(setting->text, parts[i]) != NULL;
    if (!known)
        return refuse_path(setting, part, parts,
                           "expected a part of a trial and its option, as in "
                           "algorithm.exploration",
                           error);
    for (int64_t i = 0; i < count; i++) {
        if (path_applies(setting->text, algorithms[i]))
            return RG_OK;
        const RgOption *options = algorithms[i]->about.options, *option;
        for (int k = 0; (option = rg_options_at(options, k, NULL)) && used < MOST_NAMES; k++)
            names[used++] = option->name;
    }
    names[used] = NULL;
    const char *own = within(setting->text, "algorithm");
    return refuse_path(setting, own ? own : "", names,
                       own ? "no algorithm of the experiment has this option"
                           : "no algorithm of the experiment trains",
                       error);
}

/* Checks all paths of an element. A path may occur only once. */
static RgStatus check_paths(const RgSettings *s, const char *element,
                            const SweptOptions *swept_options, const RgSweep *sweep,
                            const RgAlgorithm *const *algorithms, int64_t count, RgError *error) {
    for (int64_t i = 0; i < path_count(swept_options); i++) {
        const RgSetting *setting = path_setting(s, element, i);
        RG_TRY(check_path(setting, algorithms, count, error));
        int same = 0;
        for (int k = 0; k < sweep->grid_count + sweep->drawn_count; k++) {
            const SweptOptions *other =
                k < sweep->grid_count ? &sweep->grid[k] : &sweep->drawn[k - sweep->grid_count];
            for (int64_t j = 0; j < path_count(other); j++)
                same += strcmp(swept_path(other, j), setting->text) == 0;
        }
        if (same > 1)
            return rg_setting_refuse(setting, error, "is swept twice");
    }
    return RG_OK;
}

static RgStatus read_list(const RgSettings *s, const char *path, bool ranges,
                          SweptOptions *swept_options, int *count, RgError *error) {
    int64_t length;
    RG_TRY(
        list_length(s, path, MOST_VARIED, "groups with an option and its values", &length, error));
    for (; *count < length; (*count)++) {
        char element[64];
        snprintf(element, sizeof element, "%s.%d", path, *count);
        RG_TRY(read_swept(s, element, ranges, &swept_options[*count], error));
    }
    return RG_OK;
}

static RgStatus read_search(const RgSettings *s, RgSweep *sweep, RgError *error) {
    static const char *const keys[] = {"trials", "seed", "options", NULL};
    const RgSetting *plain = rg_settings_find(s, "search");
    if (plain && plain->kind != RG_SETTING_EMPTY)
        return rg_setting_refuse(plain, error, "expected a group with trials and options");
    if (!plain && !rg_settings_has_group(s, "search"))
        return RG_OK;
    RG_TRY(rg_options_read(rg_search_options, s, "search", &sweep->search, error));
    RG_TRY(read_list(s, "search.options", true, sweep->drawn, &sweep->drawn_count, error));
    RG_TRY(rg_settings_check_used(s, "search", keys, error));
    if (sweep->drawn_count == 0)
        return rg_settings_refuse_list(s, "search.options",
                                       "({ option = \"optimizer.learning_rate\"; from = 1e-5; to = "
                                       "1e-3; scale = \"log\"; })",
                                       error);
    return RG_OK;
}

static RgStatus read_both(const RgSettings *s, const RgAlgorithm *const *algorithms, int64_t count,
                          RgSweep *sweep, RgError *error) {
    char element[64];
    RG_TRY(read_list(s, "sweep", false, sweep->grid, &sweep->grid_count, error));
    RG_TRY(read_search(s, sweep, error));
    for (int i = 0; i < sweep->grid_count; i++) {
        snprintf(element, sizeof element, "sweep.%d", i);
        RG_TRY(check_paths(s, element, &sweep->grid[i], sweep, algorithms, count, error));
    }
    for (int i = 0; i < sweep->drawn_count; i++) {
        snprintf(element, sizeof element, "search.options.%d", i);
        RG_TRY(check_paths(s, element, &sweep->drawn[i], sweep, algorithms, count, error));
    }
    return RG_OK;
}

RgStatus rg_sweep_read(const RgSettings *settings, const RgAlgorithm *const *algorithms,
                       int64_t count, RgSweep **sweep, RgError *error) {
    *sweep = rg_allocate(1, sizeof **sweep);
    RgStatus status = read_both(settings, algorithms, count, *sweep, error);
    if (status != RG_OK) {
        rg_sweep_destroy(*sweep);
        *sweep = NULL;
    }
    return status;
}

void rg_sweep_destroy(RgSweep *sweep) {
    free(sweep);
}

/* ---- values ---- */

static Value listed_value(const SweptOptions *swept_options, int64_t index) {
    const RgSetting *value = swept_options->values[index % swept_options->count];
    return (Value){.kind = value->kind, .text = value->text, .origin = value};
}

/* Four digits: the table shows the exact value, and no libm's last bit changes a trial. */
static double rounded(double value) {
    char text[32];
    snprintf(text, sizeof text, "%.3e", value);
    return strtod(text, NULL);
}

static double drawn_number(const RgRangeOptions *range, RgRandom random, int64_t draw) {
    uint64_t counter = (uint64_t)draw;
    if (range->scale == SCALE_INTEGER)
        return range->from +
               (double)rg_random_below(random, counter, (int64_t)(range->to - range->from) + 1);
    double uniform = rg_random_uniform(random, counter);
    double value = range->scale == SCALE_LOG
                       ? exp(log(range->from) + uniform * (log(range->to) - log(range->from)))
                       : range->from + uniform * (range->to - range->from);
    return fmin(fmax(rounded(value), range->from), range->to);
}

/* The text of a drawn value is inside the struct, so value_text is called after the last copy. */
static Value number_value(const SweptOptions *swept_options, double number) {
    Value value = {.origin = swept_options->from};
    bool integer = swept_options->range.scale == SCALE_INTEGER;
    value.kind = integer ? RG_SETTING_INTEGER : RG_SETTING_REAL;
    snprintf(value.own, sizeof value.own, integer ? "%.0f" : "%.17g", number);
    return value;
}

static Value drawn_value(const RgSweep *sweep, const SweptOptions *swept_options, int64_t draw) {
    RgRandom search = rg_random_named(rg_random_root((uint64_t)sweep->search.seed), "search");
    RgRandom random = rg_random_named(search, swept_options->entry.option);
    if (swept_options->count > 0)
        return listed_value(swept_options,
                            rg_random_below(random, (uint64_t)draw, swept_options->count));
    return number_value(swept_options, drawn_number(&swept_options->range, random, draw));
}

static const char *value_text(const Value *value) {
    return value->text ? value->text : value->own;
}

static json_t *value_json(const Value *value) {
    const char *text = value_text(value);
    switch (value->kind) {
    case RG_SETTING_INTEGER:
        return json_integer(strtoll(text, NULL, 10));
    case RG_SETTING_REAL:
        return json_real(strtod(text, NULL));
    case RG_SETTING_BOOLEAN:
        return json_boolean(strcmp(text, "true") == 0);
    default:
        return json_string(text);
    }
}

/* ---- visiting trials ---- */

static void set_value(const SweptOptions *swept_options, const Value *value,
                      const RgAlgorithm *algorithm, RgSettings *trial) {
    for (int64_t i = 0; i < path_count(swept_options); i++)
        if (path_applies(swept_path(swept_options, i), algorithm))
            rg_settings_set(trial, swept_path(swept_options, i), value->kind, value_text(value),
                            value->origin->file, value->origin->line);
}

static const char *last_part(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* The last part of the path, or the whole path if another swept option has the same last part. */
static const char *shown_name(const RgSweep *sweep, const SweptOptions *swept_options) {
    const char *name = last_part(swept_options->entry.option);
    int alike = 0;
    for (int i = 0; i < sweep->grid_count; i++)
        alike += strcmp(last_part(sweep->grid[i].entry.option), name) == 0;
    for (int i = 0; i < sweep->drawn_count; i++)
        alike += strcmp(last_part(sweep->drawn[i].entry.option), name) == 0;
    return alike > 1 ? swept_options->entry.option : name;
}

typedef struct Walk {
    const RgSweep *sweep;
    const RgAlgorithm *algorithm;
    RgSweepVisit *visit;
    void *context;
    json_t *swept_options;
} Walk;

/* Visits every point of the grid from its `depth`-th option on. */
static RgStatus walk_grid(const Walk *walk, const RgSettings *trial, int depth, RgError *error) {
    const RgSweep *sweep = walk->sweep;
    while (depth < sweep->grid_count && !applies(&sweep->grid[depth], walk->algorithm))
        depth++;
    if (depth == sweep->grid_count)
        return walk->visit(walk->context, trial, walk->swept_options, error);
    const SweptOptions *swept_options = &sweep->grid[depth];
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < swept_options->count && status == RG_OK; i++) {
        Value value = listed_value(swept_options, i);
        RgSettings *next = rg_settings_clone(trial);
        set_value(swept_options, &value, walk->algorithm, next);
        json_object_set_new(walk->swept_options, shown_name(sweep, swept_options),
                            value_json(&value));
        status = walk_grid(walk, next, depth + 1, error);
        rg_settings_destroy(next);
    }
    json_object_del(walk->swept_options, shown_name(sweep, swept_options));
    return status;
}

/* Whether an earlier draw gave this algorithm the same values. */
static bool drawn_before(const Walk *walk, RgLookup *drawn, int64_t draw) {
    const RgSweep *sweep = walk->sweep;
    RgBuffer values = {0};
    for (int i = 0; i < sweep->drawn_count; i++) {
        if (!applies(&sweep->drawn[i], walk->algorithm))
            continue;
        Value value = drawn_value(sweep, &sweep->drawn[i], draw);
        rg_buffer_append(&values, value_text(&value), strlen(value_text(&value)) + 1);
    }
    int64_t *earlier = rg_lookup_at(drawn, values.bytes ? values.bytes : "", values.size);
    bool before = *earlier >= 0;
    *earlier = draw;
    rg_buffer_release(&values);
    return before;
}

static RgStatus walk_draw(const Walk *walk, const RgSettings *trial, int64_t draw, RgError *error) {
    RgSettings *next = rg_settings_clone(trial);
    for (int i = 0; i < walk->sweep->drawn_count; i++) {
        const SweptOptions *swept_options = &walk->sweep->drawn[i];
        if (!applies(swept_options, walk->algorithm))
            continue;
        Value value = drawn_value(walk->sweep, swept_options, draw);
        set_value(swept_options, &value, walk->algorithm, next);
        json_object_set_new(walk->swept_options, shown_name(walk->sweep, swept_options),
                            value_json(&value));
    }
    RgStatus status = walk_grid(walk, next, 0, error);
    rg_settings_destroy(next);
    return status;
}

RgStatus rg_sweep_unfold(const RgSweep *sweep, const RgSettings *trial,
                         const RgAlgorithm *algorithm, RgSweepVisit *visit, void *context,
                         RgError *error) {
    Walk walk = {sweep, algorithm, visit, context, json_object()};
    RgStatus status = RG_OK;
    RgLookup *drawn = rg_lookup_create();
    int64_t draws = sweep->drawn_count > 0 ? sweep->search.trials : 1;
    for (int64_t draw = 0; draw < draws && status == RG_OK; draw++)
        if (!drawn_before(&walk, drawn, draw))
            status = walk_draw(&walk, trial, draw, error);
    rg_lookup_destroy(drawn);
    json_decref(walk.swept_options);
    return status;
}

/* ---- probes ---- */

int64_t rg_sweep_probes(const RgSweep *sweep) {
    int64_t most = sweep->drawn_count > 0 ? 2 : 0;
    for (int i = 0; i < sweep->drawn_count; i++)
        most = sweep->drawn[i].count > most ? sweep->drawn[i].count : most;
    return most;
}

static Value probe_value(const SweptOptions *swept_options, int64_t probe) {
    if (swept_options->count > 0)
        return listed_value(swept_options, probe);
    Value value = number_value(swept_options,
                               probe % 2 ? swept_options->range.to : swept_options->range.from);
    value.origin = probe % 2 ? swept_options->to : swept_options->from;
    return value;
}

void rg_sweep_probe(const RgSweep *sweep, int64_t probe, const RgAlgorithm *algorithm,
                    RgSettings *trial) {
    for (int i = 0; i < sweep->grid_count + sweep->drawn_count; i++) {
        const SweptOptions *swept_options =
            i < sweep->grid_count ? &sweep->grid[i] : &sweep->drawn[i - sweep->grid_count];
        Value value = probe_value(swept_options, probe);
        if (applies(swept_options, algorithm))
            set_value(swept_options, &value, algorithm, trial);
    }
}
