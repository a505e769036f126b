/* SPDX-License-Identifier: MIT */
/* Settings: an ordered table from path to value, with the origin of each value. The layers of an
 * experiment (files, then -s path=value) are merged here; later layers replace earlier ones. Only
 * core/config_file.c reads libconfig files.
 *
 * Paths are dotted, and the elements of lists and arrays are numbers: "algorithms.0.beta",
 * "seeds.2".
 *
 * Threads: one thread at a time per table. rg_settings_find changes it, as it marks what was
 * used. */
#ifndef RG_CORE_SETTINGS_H
#define RG_CORE_SETTINGS_H

#include "core/base.h"

typedef struct RgSettings RgSettings;

typedef enum RgSettingKind {
    RG_SETTING_INTEGER,
    RG_SETTING_REAL,
    RG_SETTING_BOOLEAN,
    RG_SETTING_STRING,
    RG_SETTING_EMPTY, /* an empty list, array or group, which keeps its place */
} RgSettingKind;

typedef struct RgSetting {
    char *path;
    char *text; /* value as text: booleans as true/false, reals as the shortest text that reads back
                 * to the same bits, with a point or an exponent */
    RgSettingKind kind;
    char *file; /* origin: "x.cfg", "-s" or "default" */
    int line;   /* 0 if unknown */
    bool used;
} RgSetting;

RgSettings *rg_settings_create(void);
void rg_settings_destroy(RgSettings *settings);
RgSettings *rg_settings_clone(const RgSettings *settings);

/* A path is either a value or a prefix of other paths; setting one removes whatever it displaces.
 * Strings must be UTF-8 and reals finite. The result of rg_settings_find stays valid until the same
 * path is set again or removed. */
void rg_settings_set(RgSettings *settings, const char *path, RgSettingKind kind, const char *text,
                     const char *file, int line);
void rg_settings_remove(RgSettings *settings, const char *path); /* the path and everything below
                                                                  * it */
/* marks the setting as used; NULL if there is none */
const RgSetting *rg_settings_find(const RgSettings *settings, const char *path);
bool rg_settings_has_group(const RgSettings *settings, const char *path); /* whether anything is
                                                                           * below it */

/* Number of elements of a list or array; 0 if it is empty, absent or something else. */
int64_t rg_settings_length(const RgSettings *settings, const char *path);
int64_t rg_settings_count(const RgSettings *settings);
const RgSetting *rg_settings_at(const RgSettings *settings, int64_t index);

/* Copies everything below `from` to below `to`, in another table or the same one. */
void rg_settings_copy_group(RgSettings *target, const char *to, const RgSettings *source,
                            const char *from);

/* Takes over file and line of the settings in `source` that have the same paths. Values stay. */
void rg_settings_copy_origins(RgSettings *target, const RgSettings *source);

/* Sets the file the settings were read from: of several layers, the one that was requested. */
void rg_settings_set_file(RgSettings *settings, const char *file);
const char *rg_settings_file(const RgSettings *settings); /* NULL: unknown. Borrowed */

/* Where a missing key of the group `path` ("": the top) should be. A group of several layers can be
 * completed in the requested file. An element of a list cannot, nor can `algorithm`, a trial's copy
 * of one: there it is the file of the element's settings, or "-s". "config" if nothing is known.
 * Borrowed. */
const char *rg_settings_file_near(const RgSettings *settings, const char *path);

/* The origin of the setting at `path`, or of the list or element there: "x.cfg:12" or "-s". Else
 * where it should be, as above. malloc'd. */
char *rg_settings_origin(const RgSettings *settings, const char *path);

/* Refuses a value with RG_E_USAGE. The message is `x.cfg:12: algorithms.0.beta = "high": ` and the
 * formatted text. */
RgStatus rg_setting_refuse(const RgSetting *setting, RgError *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same without showing the value: `x.cfg:12: algorithms.0.label: ` and the reason. */
RgStatus rg_setting_refuse_unseen(const RgSetting *setting, RgError *error, const char *reason);

/* Refuses a missing, empty or invalid value where a list with elements was expected. */
RgStatus rg_settings_refuse_list(const RgSettings *settings, const char *path, const char *example,
                                 RgError *error);

/* Refuses keys under `path` that nothing has read, and suggests the nearest of `known`
 * (NULL-terminated names). Call it after every table has been read. */
RgStatus rg_settings_check_used(const RgSettings *settings, const char *path,
                                const char *const *known, RgError *error);

/* The table as JSON text and back: one flat object from path to value, sorted by path; malloc'd. A
 * trial's hash is computed from it. Kinds and the bits of reals survive the round trip. */
char *rg_settings_to_json(const RgSettings *settings);
RgStatus rg_settings_from_json(const char *json, RgSettings *settings, RgError *error);

#endif
