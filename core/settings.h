/* Settings: an ordered table path → value with its origin. The layers of an experiment (files,
 * then -s path=value) are merged here, later ones replacing earlier ones; reading libconfig files
 * is the business of experiments/config.c alone.
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
    char *text; /* value as text: 17 digits for reals, true/false for booleans */
    RgSettingKind kind;
    char *file; /* origin: "x.cfg", "-s" or "default" */
    int line;   /* 0 where there is none */
    bool used;
} RgSetting;

RgSettings *rg_settings_create(void);
void rg_settings_destroy(RgSettings *settings);
RgSettings *rg_settings_clone(const RgSettings *settings);

void rg_settings_set(RgSettings *settings, const char *path, RgSettingKind kind, const char *text,
                     const char *file, int line);
void rg_settings_remove(RgSettings *settings, const char *path); /* the path and all below it */
const RgSetting *rg_settings_find(const RgSettings *settings, const char *path); /* marks as used */
bool rg_settings_has_group(const RgSettings *settings, const char *path); /* anything below it? */

int64_t rg_settings_length(const RgSettings *settings, const char *path); /* elements of a list */
int64_t rg_settings_count(const RgSettings *settings);
const RgSetting *rg_settings_at(const RgSettings *settings, int64_t index);

/* Copy everything below `from` to below `to` (another table or the same). */
void rg_settings_copy_group(RgSettings *target, const char *to, const RgSettings *source,
                            const char *from);

/* Refuse keys under `path` that nothing has asked for, naming the nearest valid one of `known`
 * (NULL-terminated names). Call it when every table has been read. */
RgStatus rg_settings_check_used(const RgSettings *settings, const char *path,
                                const char *const *known, RgError *error);

/* The table as JSON text, sorted by path, and back; malloc'd. The hash of a trial is over it. */
char *rg_settings_to_json(const RgSettings *settings);
RgStatus rg_settings_from_json(const char *json, RgSettings *settings, RgError *error);

#endif
