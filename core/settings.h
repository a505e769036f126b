/* SPDX-License-Identifier: MIT */
/* Settings: an ordered table path → value with its origin. The layers of an experiment (files,
 * then -s path=value) are merged here, later ones replacing earlier ones; reading libconfig files
 * is the business of experiments/program/config/config.c alone.
 *
 * Paths are dotted; the elements of lists and arrays are numbers: "algorithms.0.beta", "seeds.2".
 */
#ifndef RG_CORE_SETTINGS_H
#define RG_CORE_SETTINGS_H

#include "core/base.h"

typedef struct RgSettings RgSettings;

typedef enum RgSettingKind {
    RG_SETTING_INTEGER,
    RG_SETTING_REAL,
    RG_SETTING_BOOLEAN,
    RG_SETTING_STRING,
    RG_SETTING_EMPTY, /* an empty list, array or group: keeps its place */
} RgSettingKind;

typedef struct RgSetting {
    char *path;
    char *text; /* value as text: reals as the shortest that reads back to the same bits, with a
                   point or an exponent; true/false for booleans */
    RgSettingKind kind;
    char *file; /* origin: "x.cfg", "-s" or "default" */
    int line;   /* 0 where there is none */
    bool used;
} RgSetting;

RgSettings *rg_settings_create(void);
void rg_settings_destroy(RgSettings *settings);
RgSettings *rg_settings_clone(const RgSettings *settings);

/* A path is either a value or has others below it: setting one removes what it displaces. Text of
 * strings must be UTF-8, reals finite. What rg_settings_find gave stays valid until the same path
 * is set again or removed. */
void rg_settings_set(RgSettings *settings, const char *path, RgSettingKind kind, const char *text,
                     const char *file, int line);
void rg_settings_remove(RgSettings *settings, const char *path); /* the path and all below it */
const RgSetting *rg_settings_find(const RgSettings *settings, const char *path); /* marks as used */
bool rg_settings_has_group(const RgSettings *settings, const char *path); /* anything below it? */

/* Elements of a list or array; 0 when it is empty, absent or something else. */
int64_t rg_settings_length(const RgSettings *settings, const char *path);
int64_t rg_settings_count(const RgSettings *settings);
const RgSetting *rg_settings_at(const RgSettings *settings, int64_t index);

/* Copy everything below `from` to below `to` (another table or the same). */
void rg_settings_copy_group(RgSettings *target, const char *to, const RgSettings *source,
                            const char *from);

/* Tell which file the settings were read from: the one that was asked for, of those in layers. */
void rg_settings_set_file(RgSettings *settings, const char *file);

/* The file in which a missing key of the group `path` ("": the top) should have been: that of the
 * setting that is nearest, else the one that was asked for; "config" where there is none. Borrowed.
 */
const char *rg_settings_file_near(const RgSettings *settings, const char *path);

/* Refuse a value: `x.cfg:12: algorithms.0.beta = "high": ` and the formatted text. RG_E_USAGE. */
RgStatus rg_setting_refuse(const RgSetting *setting, RgError *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same of a value that is not to be told: `x.cfg:12: algorithms.0.label: ` and the reason. */
RgStatus rg_setting_refuse_unseen(const RgSetting *setting, RgError *error, const char *reason);

/* Refuse what should have been a list with elements: it is missing, empty, a value or a group. */
RgStatus rg_settings_refuse_list(const RgSettings *settings, const char *path, const char *example,
                                 RgError *error);

/* Refuse keys under `path` that nothing has asked for, naming the nearest valid one of `known`
 * (NULL-terminated names). Call it when every table has been read. */
RgStatus rg_settings_check_used(const RgSettings *settings, const char *path,
                                const char *const *known, RgError *error);

/* The table as JSON text and back: one flat object from path to value, sorted by path; malloc'd.
 * The hash of a trial is over it. Kinds and the bits of reals survive the round trip. */
char *rg_settings_to_json(const RgSettings *settings);
RgStatus rg_settings_from_json(const char *json, RgSettings *settings, RgError *error);

#endif
