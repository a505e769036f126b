/* SPDX-License-Identifier: MIT */
/* Recording a struct in the resolved config, and visiting the options that a resolved config
 * sets. */
#include "core/options.h"

#include "core/options_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- parts ---- */

static void record_part(const RgOption *option, const RgOptionPart *part, const char *path,
                        const char *key, RgSettings *resolved) {
    const RgOptionFamily *family = option->family;
    char *type = rg_option_type_key(family, key);
    rg_settings_set(resolved, type, RG_SETTING_STRING, part->type->name, "resolved config", 0);
    free(type);
    RgStatus status =
        rg_option_part_read(family, part, rg_option_part_path(family, path, key), resolved, NULL);
    RG_ASSERT(status == RG_OK); /* they were read successfully before */
}

static void record_parts(const RgOption *option, const RgOptionParts *parts, const char *path,
                         const char *key, RgSettings *resolved) {
    if (parts->count == 0)
        rg_settings_set(resolved, key, RG_SETTING_EMPTY, "", "resolved config", 0);
    for (int64_t i = 0; i < parts->count; i++) {
        char *own = rg_string_format("%s.%lld", key, (long long)i);
        record_part(option, &parts->item[i], path, own, resolved);
        free(own);
    }
}

/* ---- recording ---- */

/* The text of the option's member, malloc'd, and the kind of its setting. */
static char *member_text(const RgOption *option, const void *values, RgSettingKind *kind) {
    const void *member = (const char *)values + option->offset;
    switch (option->kind) {
    case RG_KIND_REAL:
        *kind = RG_SETTING_REAL;
        return rg_string_format("%.17g", *(const double *)member);
    case RG_KIND_INTEGER:
        *kind = RG_SETTING_INTEGER;
        return rg_string_format("%lld", (long long)*(const int64_t *)member);
    case RG_KIND_BOOLEAN:
        *kind = RG_SETTING_BOOLEAN;
        return rg_string_copy(*(const bool *)member ? "true" : "false");
    case RG_KIND_CHOICE:
        *kind = RG_SETTING_STRING;
        return rg_string_copy(option->choices[*(const int *)member]);
    case RG_KIND_LIST: /* these three are recorded element by element */
    case RG_KIND_PART:
    case RG_KIND_PARTS:
    case RG_KIND_STRING:
    case RG_KIND_PATH:
    case RG_KIND_INCLUDE:
    case RG_KIND_END:
        break;
    }
    *kind = RG_SETTING_STRING;
    const char *text = *(const char *const *)member;
    return rg_string_copy(text ? text : "");
}

/* The texts may belong to `resolved` itself, where an empty list replaces the previous content. */
static void record_list(const RgOptionList *list, const char *key, RgSettings *resolved) {
    char **text = rg_allocate(list->count, sizeof *text);
    for (int64_t i = 0; i < list->count; i++)
        text[i] = rg_string_copy(list->item[i].text);
    rg_settings_set(resolved, key, RG_SETTING_EMPTY, "", "resolved config", 0);
    for (int64_t i = 0; i < list->count; i++) {
        char *path = rg_string_format("%s.%lld", key, (long long)i);
        rg_settings_set(resolved, path,
                        list->item[i].is_integer ? RG_SETTING_INTEGER : RG_SETTING_STRING, text[i],
                        "resolved config", 0);
        free(path);
        free(text[i]);
    }
    free(text);
}

void rg_options_record(const RgOption *table, const void *values, const char *path,
                       RgSettings *resolved) {
    size_t base;
    const RgOption *option;
    for (int i = 0; (option = rg_options_at(table, i, &base)); i++) {
        const char *own = (const char *)values + base;
        char *key = rg_string_format("%s%s%s", path, path[0] ? "." : "", option->name);
        const void *member = own + option->offset;
        if (option->kind == RG_KIND_LIST) {
            record_list(member, key, resolved);
        } else if (option->kind == RG_KIND_PART) {
            record_part(option, member, path, key, resolved);
        } else if (option->kind == RG_KIND_PARTS) {
            record_parts(option, member, path, key, resolved);
        } else {
            RgSettingKind kind;
            char *text = member_text(option, own, &kind);
            if (!option->later || strcmp(text, option->fallback) != 0)
                rg_settings_set(resolved, key, kind, text, "resolved config", 0);
            free(text);
        }
        free(key);
    }
}

/* ---- going through a resolved config ---- */

/* Visits the options of the family and of the type named under `key`. */
static RgStatus visit_part(const RgOptionFamily *family, const char *path, const char *key,
                           const RgSettings *resolved, RgOptionVisit *visit, void *context,
                           RgError *error) {
    char *named = rg_option_type_key(family, key);
    const RgSetting *setting = rg_settings_find(resolved, named);
    const RgDescriptor *type = setting ? rg_find(family->kind, setting->text) : NULL;
    free(named);
    if (!type)
        return RG_OK;
    path = rg_option_part_path(family, path, key);
    RG_TRY(rg_options_visit(family->common, path, resolved, visit, context, error));
    return rg_options_visit(type->options, path, resolved, visit, context, error);
}

static RgStatus visit_option(const RgOption *option, const char *path, const char *key,
                             const RgSettings *resolved, RgOptionVisit *visit, void *context,
                             RgError *error) {
    if (option->kind == RG_KIND_PART)
        return visit_part(option->family, path, key, resolved, visit, context, error);
    RgStatus status = RG_OK;
    int64_t parts = option->kind == RG_KIND_PARTS ? rg_settings_length(resolved, key) : 0;
    for (int64_t i = 0; i < parts && status == RG_OK; i++) {
        char *own = rg_string_format("%s.%lld", key, (long long)i);
        status = visit_part(option->family, path, own, resolved, visit, context, error);
        free(own);
    }
    const RgSetting *setting = rg_settings_find(resolved, key);
    return status == RG_OK && setting ? visit(context, option, setting, error) : status;
}

RgStatus rg_options_visit(const RgOption *table, const char *path, const RgSettings *resolved,
                          RgOptionVisit *visit, void *context, RgError *error) {
    RgStatus status = RG_OK;
    const RgOption *o;
    for (int i = 0; (o = rg_options_at(table, i, NULL)) && status == RG_OK; i++) {
        char *key = rg_string_format("%s%s%s", path, path[0] ? "." : "", o->name);
        status = visit_option(o, path, key, resolved, visit, context, error);
        free(key);
    }
    return status;
}

static RgStatus drop(void *context, const RgOption *option, const RgSetting *setting,
                     RgError *error) {
    (void)error;
    if (!option->execution_only)
        return RG_OK;
    char *path = rg_string_copy(setting->path);
    rg_settings_remove(context, path);
    free(path);
    return RG_OK;
}

void rg_options_drop_execution_only(const RgOption *table, const char *path, RgSettings *resolved) {
    rg_options_visit(table, path, resolved, drop, resolved, NULL);
}
