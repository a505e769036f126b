/* SPDX-License-Identifier: MIT */
/* Reading config files: the only file that uses libconfig. It flattens libconfig's tree into
 * settings, layers files over each other, and applies the overrides of the command line. It does
 * not interpret the keys. */
#include "core/config_file.h"

#include "core/config_scan.h"
#include "core/files.h"
#include "core/utf8.h"

#include <errno.h>
#include <libconfig.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_EXTENDS 32

/* ---- from libconfig's tree to settings ---- */

/* Destination of a flattened tree, and the origin of its values. */
typedef struct Target {
    RgSettings *settings;
    const char *main_file; /* as libconfig names it; NULL for the text of -s */
    const char *folder;    /* missing from libconfig's names of included files */
} Target;

static char *source_file(const Target *target, const config_setting_t *setting) {
    const char *file = config_setting_source_file(setting);
    if (!target->main_file)
        return rg_string_copy("-s");
    return !file || strcmp(file, target->main_file) == 0
               ? rg_string_copy(target->main_file)
               : rg_config_join_path(target->folder, file);
}

/* A string that starts with ./ or ../ is a path relative to the folder of its file, so that a
 * config runs from any working directory. NULL for all other strings. */
static char *path_from(const char *file, const char *text) {
    const char *slash = strrchr(file, '/');
    bool relative = strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0;
    if (!relative || !slash)
        return NULL;
    size_t up = strncmp(text, "./", 2) == 0 ? 2 : 0;
    while (strncmp(text + up, "../", 3) == 0)
        up += 3;
    char *whole = rg_string_format("%.*s/%.*s", (int)(slash - file), file, (int)up, text);
    char *folder = rg_path_shorten(whole);
    char *path = rg_string_format("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, text + up);
    free(folder);
    free(whole);
    return path;
}

static RgStatus flatten_value(const Target *target, const config_setting_t *setting,
                              const char *path, const char *file, RgError *error) {
    char number[40];
    const char *text = number;
    char *resolved = NULL;
    RgSettingKind kind = RG_SETTING_EMPTY;
    int line = target->main_file ? (int)config_setting_source_line(setting) : 0;
    char where[16];
    rg_config_put_line(where, line);
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        kind = RG_SETTING_INTEGER;
        snprintf(number, sizeof number, "%lld", config_setting_get_int64(setting));
        break;
    case CONFIG_TYPE_FLOAT:
        kind = RG_SETTING_REAL;
        snprintf(number, sizeof number, "%.17g", config_setting_get_float(setting));
        if (!isfinite(config_setting_get_float(setting)))
            return rg_fail(error, RG_E_USAGE, "%s%s: %s is too large for a real", file, where,
                           path);
        break;
    case CONFIG_TYPE_BOOL:
        kind = RG_SETTING_BOOLEAN;
        text = config_setting_get_bool(setting) ? "true" : "false";
        break;
    case CONFIG_TYPE_STRING:
        kind = RG_SETTING_STRING;
        text = config_setting_get_string(setting);
        if (!rg_utf8_is_valid(text, strlen(text)))
            return rg_fail(error, RG_E_USAGE, "%s%s: %s is not UTF-8 text", file, where, path);
        resolved = target->main_file ? path_from(file, text) : NULL;
        break;
    default:
        text = "";
    }
    rg_settings_set(target->settings, path, kind, resolved ? resolved : text, file, line);
    free(resolved);
    return RG_OK;
}

/* Flattens the children of `setting`. Groups are merged with existing ones; lists replace them. */
static RgStatus flatten(const Target *target, const config_setting_t *setting, const char *path,
                        RgError *error) {
    RgStatus status = RG_OK;
    bool is_group = config_setting_is_group(setting);
    int length = config_setting_is_aggregate(setting) ? config_setting_length(setting) : 0;
    if (path[0] && (!is_group || rg_settings_length(target->settings, path) > 0))
        rg_settings_remove(target->settings, path);
    if (length == 0) {
        if (path[0] && !(is_group && rg_settings_has_group(target->settings, path))) {
            char *file = source_file(target, setting);
            status = flatten_value(target, setting, path, file, error);
            free(file);
        }
        return status;
    }
    for (int i = 0; i < length && status == RG_OK; i++) {
        const config_setting_t *child = config_setting_get_elem(setting, (unsigned)i);
        const char *dot = path[0] ? "." : "", *name = config_setting_name(child);
        char *below = name ? rg_string_format("%s%s%s", path, dot, name)
                           : rg_string_format("%s%s%d", path, dot, i);
        status = flatten(target, child, below, error);
        free(below);
    }
    return status;
}

/* ---- files and layers ---- */

/* The files being read: the first one, the one that it extends, and so on. */
typedef struct Chain {
    const struct Chain *outer;
    const char *path; /* resolved */
    int depth;
} Chain;

static RgStatus read_layer(const char *path, const Chain *outer, RgSettings *settings,
                           RgError *error);

static RgStatus extend_one(const Target *target, const config_setting_t *name, const Chain *chain,
                           RgError *error) {
    const char *text = config_setting_get_string(name);
    char *file = source_file(target, name);
    char *whole =
        !text || text[0] == '/' ? rg_string_copy(text) : rg_config_join_path(target->folder, text);
    char *path = whole ? rg_path_shorten(whole) : NULL;
    free(whole);
    RgStatus status =
        path ? read_layer(path, chain, target->settings, error)
             : rg_fail(error, RG_E_USAGE, "expected the name of a file or a list of names");
    if (status != RG_OK)
        rg_fail_in(error, status, "%s:%u: extends", file, config_setting_source_line(name));
    free(path);
    free(file);
    return status;
}

/* Reads the files named by the key `extends`, and removes the key. */
static RgStatus read_extended(const Target *target, config_t *config, const Chain *chain,
                              RgError *error) {
    const config_setting_t *extends = config_lookup(config, "extends");
    if (!extends)
        return RG_OK;
    if (config_setting_is_list(extends) || config_setting_is_array(extends)) {
        for (int i = 0; i < config_setting_length(extends); i++)
            RG_TRY(extend_one(target, config_setting_get_elem(extends, (unsigned)i), chain, error));
    } else {
        RG_TRY(extend_one(target, extends, chain, error));
    }
    config_setting_remove(config_root_setting(config), "extends");
    return RG_OK;
}

/* What to write in place of what libconfig refuses; "" if its text says it. */
static const char *remedy(const char *text) {
    return strstr(text, "mismatched element type")
               ? ": expected elements of one type, such as [1.0, 0.5] in place of [1, 0.5]"
               : "";
}

static RgStatus parse_failed(config_t *config, const char *path, const char *folder,
                             RgError *error) {
    const char *named = config_error_file(config);
    char *file = named && strcmp(named, path) != 0 ? rg_config_join_path(folder, named)
                                                   : rg_string_copy(path);
    RgStatus status;
    if (config_error_line(config) > 0)
        status = rg_fail(error, RG_E_USAGE, "%s:%d: %s%s", file, config_error_line(config),
                         config_error_text(config), remedy(config_error_text(config)));
    else
        status = rg_fail(error, RG_E_USAGE, "%s: %s", file, config_error_text(config));
    free(file);
    return status;
}

static RgStatus parse_file(const char *path, const char *folder, const Chain *chain,
                           RgSettings *settings, RgError *error) {
    RgStatus status = rg_config_scan_file(path, folder, error);
    if (status != RG_OK)
        return status;
    config_t config;
    config_init(&config);
    if (folder)
        config_set_include_dir(&config, folder);
    Target target = {settings, path, folder};
    if (!config_read_file(&config, path))
        status = parse_failed(&config, path, folder, error);
    else if ((status = read_extended(&target, &config, chain, error)) == RG_OK)
        status = flatten(&target, config_root_setting(&config), "", error);
    config_destroy(&config);
    return status;
}

static RgStatus read_layer(const char *path, const Chain *outer, RgSettings *settings,
                           RgError *error) {
    char *resolved = realpath(path, NULL);
    if (!resolved)
        return rg_fail(error, RG_E_USAGE, "%s: %s", path, strerror(errno));
    RgStatus status = RG_OK;
    Chain chain = {outer, resolved, outer ? outer->depth + 1 : 0};
    for (const Chain *c = outer; c && status == RG_OK; c = c->outer)
        if (strcmp(c->path, resolved) == 0)
            status = rg_fail(error, RG_E_USAGE, "%s extends itself", path);
    if (status == RG_OK && chain.depth > MOST_EXTENDS)
        status = rg_fail(error, RG_E_USAGE, "%s: more than %d files extend each other", path,
                         MOST_EXTENDS);
    if (status == RG_OK) {
        const char *slash = strrchr(path, '/');
        char *folder = slash ? rg_string_format("%.*s", (int)(slash - path), path) : NULL;
        status = parse_file(path, folder, &chain, settings, error);
        free(folder);
    }
    free(resolved);
    return status;
}

RgStatus rg_config_read(const char *path, RgSettings *settings, RgError *error) {
    rg_settings_set_file(settings, path);
    return read_layer(path, NULL, settings, error);
}

/* ---- overrides ---- */

/* Text of path[0 … end). The caller frees it. */
static char *head_of(const char *path, const char *end) {
    return rg_string_format("%.*s", (int)(end - path), path);
}

static bool is_path_part(const char *part, size_t length) {
    if (length == 0)
        return false;
    size_t digits = 0, names = 0;
    for (size_t i = 0; i < length; i++) {
        digits += rg_config_is_digit(part[i]);
        names += rg_config_is_name(part[i]);
    }
    if (digits == length)
        return length == 1 || (part[0] != '0' && length < 10);
    return names == length && rg_config_is_letter(part[0]);
}

/* Checks that the path component at `part` exists in the settings or may be added to them. */
static RgStatus check_part(const RgSettings *settings, const char *path, const char *part,
                           RgError *error) {
    RgStatus status = RG_OK;
    char *parent = part == path ? rg_string_copy("") : head_of(path, part - 1);
    int length = (int)strcspn(part, ".");
    int64_t elements = part == path ? 0 : rg_settings_length(settings, parent);
    bool is_number = rg_config_is_digit(part[0]);
    if (elements > 0 && (!is_number || strtoll(part, NULL, 10) >= elements))
        status = rg_fail(error, RG_E_USAGE,
                         "-s %s: %s is a list: expected an element 0 to %lld, found \"%.*s\"", path,
                         parent, (long long)elements - 1, length, part);
    else if (elements == 0 && is_number)
        status = rg_fail(error, RG_E_USAGE, "-s %s: %s%sis not a list with an element %.*s", path,
                         parent, parent[0] ? " " : "", length, part);
    for (int64_t i = 0; i < rg_settings_count(settings) && status == RG_OK; i++) {
        const RgSetting *setting = rg_settings_at(settings, i);
        if (setting->kind != RG_SETTING_EMPTY && strcmp(setting->path, parent) == 0)
            status = rg_fail(error, RG_E_USAGE, "-s %s: %s is a value, not a group", path, parent);
    }
    free(parent);
    return status;
}

static RgStatus check_path(const RgSettings *settings, const char *path, RgError *error) {
    for (const char *part = path;; part++) {
        size_t length = strcspn(part, ".");
        if (!is_path_part(part, length) || (part == path && rg_config_is_digit(*part)))
            return rg_fail(error, RG_E_USAGE,
                           "-s %s: expected a path of names and element numbers, such as "
                           "algorithms.0.beta",
                           path);
        part += length;
        if (*part == '\0')
            break;
    }
    for (const char *part = path; part; part = strchr(part, '.') ? strchr(part, '.') + 1 : NULL)
        RG_TRY(check_part(settings, path, part, error));
    return RG_OK;
}

/* Parses `text` as the value of one setting; NULL if it is anything else. The outermost [ ] are
 * read as ( ), as libconfig's arrays refuse [1, 0.5]. */
static const config_setting_t *parse_value(config_t *config, const char *text) {
    size_t length = strlen(text);
    bool is_array = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    char *line = is_array ? rg_string_format("value = (%.*s);", (int)length - 2, text + 1)
                          : rg_string_format("value = %s;", text);
    bool good = config_read_string(config, line);
    free(line);
    const config_setting_t *root = config_root_setting(config);
    return good && config_setting_length(root) == 1 ? config_setting_get_elem(root, 0) : NULL;
}

/* Flattens a parsed value, first into scratch settings, so that an error changes nothing. */
static RgStatus set_value(RgSettings *settings, const char *path, const config_setting_t *value,
                          RgError *error) {
    RgSettings *scratch = rg_settings_create();
    Target trial = {scratch, NULL, NULL}, target = {settings, NULL, NULL};
    RgStatus status = flatten(&trial, value, path, error);
    rg_settings_destroy(scratch);
    if (status != RG_OK)
        return status;
    rg_settings_remove(settings, path);
    return flatten(&target, value, path, error);
}

static RgStatus set_override(RgSettings *settings, const char *path, const char *text,
                             RgError *error) {
    RG_TRY(check_path(settings, path, error));
    if (text[strcspn(text, "\n\r")])
        return rg_fail(error, RG_E_USAGE, "-s %s: expected a value of one line", path);
    if (!rg_utf8_is_valid(text, strlen(text)))
        return rg_fail(error, RG_E_USAGE, "-s %s: the value is not UTF-8 text", path);
    RgStatus status = RG_OK;
    config_t config;
    config_init(&config);
    const config_setting_t *value = parse_value(&config, text);
    if (value) {
        status = rg_config_scan_value(text, path, error);
        status = status == RG_OK ? set_value(settings, path, value, error)
                                 : rg_fail_in(error, status, "-s");
    } else if (text[0] == '\0' || strchr("\"[({", text[0])) {
        status = rg_fail(error, RG_E_USAGE,
                         "-s %s=%s: expected a number, true, false, a \"string\", [a, list] or "
                         "{ a = group; } (strings in lists need their quotes)",
                         path, text);
    } else {
        rg_settings_remove(settings, path);
        rg_settings_set(settings, path, RG_SETTING_STRING, text, "-s", 0);
    }
    config_destroy(&config);
    return status;
}

RgStatus rg_config_override(RgSettings *settings, const char *assignment, RgError *error) {
    const char *equals = strchr(assignment, '=');
    if (!equals)
        return rg_fail(error, RG_E_USAGE, "-s %s: expected path=value", assignment);
    const char *end = equals, *value = equals + 1;
    while (end > assignment && end[-1] == ' ')
        end--;
    value += strspn(value, " ");
    char *path = head_of(assignment, end);
    RgStatus status = set_override(settings, path, value, error);
    free(path);
    return status;
}
