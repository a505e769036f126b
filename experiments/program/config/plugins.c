/* SPDX-License-Identifier: MIT */
/* Loading a config's plug-ins, and recording those of a trial. */
#include "experiments/program/config/plugins.h"

#include "core/plugin.h"
#include "core/registry.h"

#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 64 };

/* "plugins.0.sha256" */
static const char *key_of(int64_t i, const char *what, char path[PATH_SIZE]) {
    snprintf(path, PATH_SIZE, "plugins.%d.%s", (int)i, what);
    return path;
}

RgStatus rg_plugins_load(const RgOptionList *files, RgError *error) {
    for (int64_t i = 0; i < files->count; i++)
        RG_TRY(rg_plugin_load(files->item[i].text, error));
    return RG_OK;
}

/* Whether a setting of the trial has a name that the plug-in registered. */
static bool uses_plugin(const RgSettings *resolved, const RgLoadedPlugin *plugin) {
    for (int64_t i = 0; i < rg_settings_count(resolved); i++) {
        const RgSetting *setting = rg_settings_at(resolved, i);
        for (int kind = 0; setting->kind == RG_SETTING_STRING && kind < RG_KINDS; kind++) {
            const RgDescriptor *about = rg_find(kind, setting->text);
            const char *by = about ? rg_registered_by(about) : NULL;
            if (by && strcmp(by, plugin->path) == 0)
                return true;
        }
    }
    return false;
}

void rg_plugins_record(RgSettings *resolved) {
    const RgLoadedPlugin *plugin;
    char path[PATH_SIZE];
    int64_t used = 0;
    for (int i = 0; (plugin = rg_plugin_loaded(i)); i++) {
        if (!uses_plugin(resolved, plugin))
            continue;
        rg_settings_set(resolved, key_of(used, "file", path), RG_SETTING_STRING,
                        rg_plugin_name(plugin), "resolved", 0);
        rg_settings_set(resolved, key_of(used, "sha256", path), RG_SETTING_STRING, plugin->sha256,
                        "resolved", 0);
        used++;
    }
}

RgStatus rg_plugins_check(const RgSettings *resolved, RgError *error) {
    int64_t count = rg_settings_length(resolved, "plugins");
    char path[PATH_SIZE];
    for (int64_t i = 0; i < count; i++) {
        const RgSetting *sum = rg_settings_find(resolved, key_of(i, "sha256", path));
        const RgSetting *file = rg_settings_find(resolved, key_of(i, "file", path));
        if (!sum || !rg_plugin_of(sum->text))
            return rg_fail(error, RG_E_USAGE,
                           "the trial uses the plug-in \"%.200s\" of SHA-256 %.64s, which is not "
                           "loaded: if you trust it, load it by regatta --plugin FILE",
                           file ? file->text : "", sum ? sum->text : "none");
    }
    return RG_OK;
}

/* Removes one field of every plug-in. */
static void drop(RgSettings *resolved, const char *what) {
    char path[PATH_SIZE];
    for (int64_t i = rg_settings_length(resolved, "plugins"); i > 0; i--)
        rg_settings_remove(resolved, key_of(i - 1, what, path));
}

void rg_plugins_drop_names(RgSettings *resolved) {
    drop(resolved, "file");
}

void rg_plugins_drop_sums(RgSettings *resolved) {
    drop(resolved, "sha256");
}

const char *rg_plugin_recorded(const RgSetting *setting) {
    int number, end = 0;
    if (sscanf(setting->path, "plugins.%d.sha256%n", &number, &end) != 1 || end == 0 ||
        setting->path[end])
        return NULL;
    const RgLoadedPlugin *plugin = rg_plugin_of(setting->text);
    return plugin ? plugin->path : NULL;
}
