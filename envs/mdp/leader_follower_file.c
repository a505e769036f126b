/* SPDX-License-Identifier: MIT */
/* Problem files of leader–follower processes, in libconfig's syntax:
 *
 *     states = ["S", "A", "B"];
 *     leader_actions = ["stay", "go"];
 *     follower_actions = ["left", "right"];
 *     start = "S";
 *     follower_discount = 0.99;
 *     leader_discount = 1.0;
 *     horizon = 150;
 *     transitions = (
 *         { state = "S"; leader = "go"; follower = "left"; next = "A"; probability = 0.9;
 *           follower_reward = 1.0; leader_reward = 0.5; },
 *         …
 *     );
 *
 * A transition without `leader` or `follower` is one of all their actions. Those of a state and two
 * actions have probabilities that sum to 1, and its rewards are their means. Where there is none, the
 * state stays as it is, with reward 0. */
#include "core/config_file.h"
#include "core/options.h"
#include "core/suggest.h"
#include "envs/mdp/leader_follower.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Most numbers in the follower's transitions, a dense table. */
enum { MOST_CELLS = 16000000 };

typedef struct FileOptions {
    const char *start;
    double follower_discount, leader_discount;
    int64_t horizon;
} FileOptions;

static const RgOption file_options[] = {
    RG_OPTION_STRING(FileOptions, start, NULL, "state in which the leader's value begins"),
    RG_OPTION_REAL(FileOptions, follower_discount, NULL, 0, 0.9999999, "the follower's"),
    RG_OPTION_REAL(FileOptions, leader_discount, NULL, 0, 1, "the leader's"),
    RG_OPTION_INTEGER(FileOptions, horizon, NULL, 1, 10000, "steps of the leader's value"),
    RG_OPTION_END,
};

typedef struct MoveOptions {
    const char *state, *leader, *follower, *next;
    double probability, follower_reward, leader_reward;
} MoveOptions;

static const RgOption move_options[] = {
    RG_OPTION_STRING(MoveOptions, state, NULL, "state that it is from"),
    RG_OPTION_STRING(MoveOptions, leader, "", "the leader's action; none: any"),
    RG_OPTION_STRING(MoveOptions, follower, "", "the follower's action; none: any"),
    RG_OPTION_STRING(MoveOptions, next, NULL, "state that it leads to"),
    RG_OPTION_REAL(MoveOptions, probability, "1", 0, 1, "given the state and both actions"),
    RG_OPTION_REAL(MoveOptions, follower_reward, "0", -1e6, 1e6, "the follower's"),
    RG_OPTION_REAL(MoveOptions, leader_reward, "0", -1e6, 1e6, "the leader's"),
    RG_OPTION_END,
};

/* The names of the states or of a player's actions, NULL-terminated; borrowed from the settings. */
typedef struct Names {
    const char **name;
    int64_t count;
} Names;

typedef struct File {
    RgSettings *settings;
    RgLeaderFollower *process;
    Names states, leader, follower;
    double *total;    /* [rows] of the probabilities that were listed */
    int64_t *last_of; /* [rows] the last transition that listed the row */
} File;

/* ---- names ---- */

static RgStatus read_names(RgSettings *settings, const char *key, int64_t least, Names *names,
                           RgError *error) {
    int64_t count = rg_settings_length(settings, key);
    if (count == 0)
        return rg_settings_refuse_list(settings, key, "[\"a\", \"b\"]", error);
    names->name = rg_allocate(count + 1, sizeof *names->name);
    for (; names->count < count; names->count++) {
        char *path = rg_string_format("%s.%lld", key, (long long)names->count);
        const RgSetting *setting = rg_settings_find(settings, path);
        free(path);
        if (!setting)
            return rg_settings_refuse_list(settings, key, "[\"a\", \"b\"]", error);
        if (setting->kind != RG_SETTING_STRING || setting->text[0] == '\0')
            return rg_setting_refuse(setting, error, "expected a name, a string");
        for (int64_t i = 0; i < names->count; i++)
            if (strcmp(names->name[i], setting->text) == 0)
                return rg_setting_refuse(setting, error, "expected a name that is not there yet");
        names->name[names->count] = setting->text;
        if (names->count + 1 == count && count < least)
            return rg_setting_refuse(setting, error, "expected at least %lld names in %s",
                                     (long long)least, key);
    }
    return RG_OK;
}

/* The number of the name that the setting `group`.`key` has; `group` "": the top. */
static RgStatus find_name(const File *file, const char *group, const char *key, const Names *names,
                          int64_t *number, RgError *error) {
    char *path = rg_string_format("%s%s%s", group, group[0] ? "." : "", key);
    const RgSetting *setting = rg_settings_find(file->settings, path);
    free(path);
    for (*number = 0; *number < names->count; ++*number)
        if (strcmp(names->name[*number], setting->text) == 0)
            return RG_OK;
    char *list = rg_list_names(names->name);
    RgStatus status = rg_setting_refuse(setting, error, "expected one of %s%s", list,
                                        rg_suggest(setting->text, names->name).text);
    free(list);
    return status;
}

/* ---- transitions ---- */

/* The actions first … end − 1 that a transition is of: the named one, or all. */
static RgStatus find_actions(const File *file, const char *group, const char *key, const char *text,
                             const Names *names, int64_t *first, int64_t *end, RgError *error) {
    *first = 0;
    *end = names->count;
    if (text[0] == '\0')
        return RG_OK;
    RG_TRY(find_name(file, group, key, names, first, error));
    *end = *first + 1;
    return RG_OK;
}

/* A transition into one row; the first of a row is in place of staying. */
static void add_to_row(File *file, int64_t row, int64_t next, int64_t number,
                       const MoveOptions *move) {
    RgLeaderFollower *p = file->process;
    RgReal *successors = p->transition + row * p->states;
    if (file->last_of[row] < 0)
        memset(successors, 0, (size_t)p->states * sizeof *successors);
    file->last_of[row] = number;
    file->total[row] += move->probability;
    successors[next] += (RgReal)move->probability;
    p->follower_reward[row] += (RgReal)(move->probability * move->follower_reward);
    p->leader_reward[row] += (RgReal)(move->probability * move->leader_reward);
}

static RgStatus read_move(File *file, const char *group, int64_t number, RgError *error) {
    static const char *const known[] = {"state",       "leader",          "follower",      "next",
                                        "probability", "follower_reward", "leader_reward", NULL};
    const RgLeaderFollower *p = file->process;
    MoveOptions move;
    RG_TRY(rg_options_read(move_options, file->settings, group, &move, error));
    RG_TRY(rg_settings_check_used(file->settings, group, known, error));
    int64_t state, next, leader, leader_end, follower, follower_end;
    RG_TRY(find_name(file, group, "state", &file->states, &state, error));
    RG_TRY(find_name(file, group, "next", &file->states, &next, error));
    RG_TRY(find_actions(file, group, "leader", move.leader, &file->leader, &leader, &leader_end,
                        error));
    RG_TRY(find_actions(file, group, "follower", move.follower, &file->follower, &follower,
                        &follower_end, error));
    for (int64_t l = leader; l < leader_end; l++)
        for (int64_t b = follower; b < follower_end; b++)
            add_to_row(file, (state * p->leader_actions + l) * p->follower_actions + b, next,
                       number, &move);
    return RG_OK;
}

static RgStatus check_rows(const File *file, RgError *error) {
    const double rounding = 1e-6;
    int64_t leader = file->leader.count, follower = file->follower.count;
    for (int64_t row = 0; row < file->states.count * leader * follower; row++) {
        if (file->last_of[row] < 0 || fabs(file->total[row] - 1) <= rounding)
            continue;
        char *path = rg_string_format("transitions.%lld.state", (long long)file->last_of[row]);
        RgStatus status = rg_setting_refuse(
            rg_settings_find(file->settings, path), error,
            "the probabilities for the leader's action \"%s\" and the follower's \"%s\" sum to %g, "
            "expected 1",
            file->leader.name[row / follower % leader], file->follower.name[row % follower],
            file->total[row]);
        free(path);
        return status;
    }
    return RG_OK;
}

static RgStatus read_moves(File *file, RgError *error) {
    const char *key = "transitions", *example = "( { state = \"S\"; next = \"A\"; } )";
    int64_t count = rg_settings_length(file->settings, key);
    if (count == 0)
        return rg_settings_refuse_list(file->settings, key, example, error);
    for (int64_t i = 0; i < count; i++) {
        char *group = rg_string_format("%s.%lld", key, (long long)i);
        const RgSetting *setting = rg_settings_find(file->settings, group);
        RgStatus status =
            setting ? rg_setting_refuse(setting, error,
                                        "expected a group such as { state = \"S\"; next = \"A\"; }")
                    : read_move(file, group, i, error);
        free(group);
        RG_TRY(status);
    }
    return check_rows(file, error);
}

/* ---- the file ---- */

/* A trial's key is that of this file alone. */
static RgStatus check_alone(const RgSettings *settings, const char *path, RgError *error) {
    for (int64_t i = 0; i < rg_settings_count(settings); i++)
        if (strcmp(rg_settings_at(settings, i)->file, path) != 0)
            return rg_setting_refuse_unseen(
                rg_settings_at(settings, i), error,
                "expected a problem file that neither includes nor extends another");
    return RG_OK;
}

static RgStatus check_size(const File *file, RgError *error) {
    double pairs = (double)file->states.count * (double)file->leader.count;
    double all = pairs + (double)file->states.count;
    if (all * all * (double)file->follower.count <= MOST_CELLS)
        return RG_OK;
    return rg_fail(error, RG_E_USAGE,
                   "%s: %lld states, %lld actions of the leader and %lld of the follower: expected "
                   "fewer, as the follower's process is stored as a dense table of at most %d "
                   "numbers",
                   rg_settings_file_near(file->settings, ""), (long long)file->states.count,
                   (long long)file->leader.count, (long long)file->follower.count, MOST_CELLS);
}

static RgStatus read_content(File *file, const char *path, RgError *error) {
    static const char *const known[] = {"states",  "leader_actions",    "follower_actions",
                                        "start",   "follower_discount", "leader_discount",
                                        "horizon", "transitions",       NULL};
    RgSettings *settings = file->settings;
    RgLeaderFollower *p = file->process;
    FileOptions o;
    RG_TRY(rg_config_read(path, settings, error));
    RG_TRY(check_alone(settings, path, error));
    RG_TRY(read_names(settings, "states", 1, &file->states, error));
    RG_TRY(read_names(settings, "leader_actions", 1, &file->leader, error));
    RG_TRY(read_names(settings, "follower_actions", 2, &file->follower, error));
    RG_TRY(check_size(file, error));
    RG_TRY(rg_options_read(file_options, settings, "", &o, error));
    RG_TRY(find_name(file, "", "start", &file->states, &p->start, error));
    p->states = file->states.count;
    p->leader_actions = file->leader.count;
    p->follower_actions = file->follower.count;
    p->follower_discount = o.follower_discount;
    p->leader_discount = o.leader_discount;
    p->horizon = o.horizon;
    rg_leader_follower_allocate(p);
    int64_t rows = p->states * p->leader_actions * p->follower_actions;
    file->total = rg_allocate(rows, sizeof *file->total);
    file->last_of = rg_allocate(rows, sizeof *file->last_of);
    for (int64_t row = 0; row < rows; row++)
        file->last_of[row] = -1;
    RG_TRY(read_moves(file, error));
    return rg_settings_check_used(settings, "", known, error);
}

RgStatus rg_leader_follower_read(const char *path, RgLeaderFollower *process, RgError *error) {
    *process = (RgLeaderFollower){0};
    File file = {.settings = rg_settings_create(), .process = process};
    RgStatus status = read_content(&file, path, error);
    free(file.states.name);
    free(file.leader.name);
    free(file.follower.name);
    free(file.total);
    free(file.last_of);
    rg_settings_destroy(file.settings);
    return status;
}
