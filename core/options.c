/* SPDX-License-Identifier: MIT */
/* Option tables: checking the tables themselves, and reading a struct from settings with checks.
 * The tables are in the files that declare them. */
#include "core/options.h"

#include "core/options_internal.h"
#include "core/suggest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Counts *index down to 0 at the option that is wanted. */
static const RgOption *count_to(const RgOption *table, int *index, size_t *base) {
    for (const RgOption *option = table; option && option->kind != RG_KIND_END; option++) {
        if (option->kind != RG_KIND_INCLUDE) {
            if ((*index)-- == 0)
                return option;
            continue;
        }
        const RgOption *included = count_to(option->table, index, base);
        if (included) {
            *base += option->offset;
            return included;
        }
    }
    return NULL;
}

const RgOption *rg_options_at(const RgOption *table, int index, size_t *base) {
    size_t unused = 0;
    base = base ? base : &unused;
    *base = 0;
    return count_to(table, &index, base);
}

const RgOption *rg_options_find(const RgOption *table, const char *name) {
    const RgOption *option;
    for (int i = 0; (option = rg_options_at(table, i, NULL)); i++)
        if (strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

/* The option whose name a message begins with, or NULL. */
static const RgOption *named_first(const RgOption *table, const char *message, size_t length) {
    char *name = rg_string_format("%.*s", (int)length, message);
    const RgOption *option = table ? rg_options_find(table, name) : NULL;
    free(name);
    return option;
}

RgStatus rg_options_name_key(const RgOption *table, const char *path, RgStatus status,
                             RgError *error) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_",
                      word[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    if (status == RG_OK || !error)
        return status;
    RgError message = *error;
    const char *text = message.text;
    size_t first = strspn(text, letters), lead = strspn(text, word), size = strlen(path);
    bool is_key = strncmp(text, path, size) == 0 && strchr(".: ", text[size]);
    if (is_key || first == 0 || text[first] == '.' || text[first] == '/')
        return status;
    if (named_first(table, text, first))
        return rg_fail(error, status, "%s.%s", path, text);
    const char *rest = strncmp(text + lead, ": ", 2) == 0 ? text + lead + 2 : "";
    const RgOption *option = named_first(table, rest, strspn(rest, letters));
    return rg_fail_in(error, status, "%s%s%s", path, option ? "." : "", option ? option->name : "");
}

/* "one of "a", "b"" for the registered names. */
static void print_names(RgKind kind, FILE *stream) {
    const RgDescriptor *about;
    fputs("one of", stream);
    for (int i = 0; (about = rg_registered(kind, i)); i++)
        fprintf(stream, "%s \"%s\"", i ? "," : "", about->name);
}

char *rg_option_expected(const RgOption *option) {
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    RG_ASSERT(stream);
    switch (option->kind) {
    case RG_KIND_REAL:
    case RG_KIND_INTEGER:
        fputs(option->kind == RG_KIND_REAL ? "a real" : "an integer", stream);
        /* A bound beyond the type's range is not shown. */
        bool from = option->low > -1e18, to = option->high < 1e18;
        if (from && to)
            fprintf(stream, " in [%.10g, %.10g]", option->low, option->high);
        else if (from)
            fprintf(stream, " of at least %.10g", option->low);
        else if (to)
            fprintf(stream, " of at most %.10g", option->high);
        break;
    case RG_KIND_BOOLEAN:
        fputs("true or false", stream);
        break;
    case RG_KIND_STRING:
        fputs("a string", stream);
        break;
    case RG_KIND_PATH:
        fputs("a path", stream);
        break;
    case RG_KIND_CHOICE:
        fputs("one of", stream);
        for (const char *const *choice = option->choices; *choice; choice++)
            fprintf(stream, "%s \"%s\"", choice == option->choices ? "" : ",", *choice);
        break;
    case RG_KIND_LIST:
        fprintf(stream, "a list of at most %d strings and integers", RG_LIST_MOST);
        break;
    case RG_KIND_PART:
        if (option->family->beside) {
            print_names(option->family->kind, stream);
            break;
        }
        fprintf(stream, "a %s by name, or a group { type = \"name\"; … } with its options",
                rg_kind_names[option->family->kind]);
        break;
    case RG_KIND_PARTS:
        fprintf(stream, "a list of at most %d groups { type = \"name\"; … }, each a %s",
                RG_LIST_MOST, rg_kind_names[option->family->kind]);
        break;
    case RG_KIND_INCLUDE:
    case RG_KIND_END:
        break;
    }
    fclose(stream);
    return text;
}

/* An integer is accepted for a real, but not the reverse. */
static bool kind_fits(const RgOption *option, RgSettingKind kind) {
    switch (option->kind) {
    case RG_KIND_REAL:
        return kind == RG_SETTING_REAL || kind == RG_SETTING_INTEGER;
    case RG_KIND_INTEGER:
        return kind == RG_SETTING_INTEGER;
    case RG_KIND_BOOLEAN:
        return kind == RG_SETTING_BOOLEAN;
    case RG_KIND_STRING:
    case RG_KIND_PATH:
    case RG_KIND_CHOICE:
        return kind == RG_SETTING_STRING;
    case RG_KIND_LIST:
    case RG_KIND_PARTS:
        return kind == RG_SETTING_EMPTY; /* elements are settings of their own */
    case RG_KIND_PART:                   /* see read_part */
    case RG_KIND_INCLUDE:
    case RG_KIND_END:
        break;
    }
    return false;
}

static int choice_index(const RgOption *option, const char *text) {
    for (int i = 0; option->choices[i]; i++)
        if (strcmp(option->choices[i], text) == 0)
            return i;
    return -1;
}

/* Writes the value of `text` to the option's member; false if it is out of range. */
static bool assign(const RgOption *option, const char *text, void *values) {
    void *member = (char *)values + option->offset;
    switch (option->kind) {
    case RG_KIND_REAL: {
        double value = strtod(text, NULL);
        *(double *)member = value;
        return isfinite(value) && value >= option->low && value <= option->high;
    }
    case RG_KIND_INTEGER: {
        int64_t value = strtoll(text, NULL, 10);
        *(int64_t *)member = value;
        return (double)value >= option->low && (double)value <= option->high;
    }
    case RG_KIND_BOOLEAN:
        *(bool *)member = strcmp(text, "true") == 0;
        return true;
    case RG_KIND_STRING:
    case RG_KIND_PATH:
        *(const char **)member = text;
        return true;
    case RG_KIND_CHOICE:
        *(int *)member = choice_index(option, text);
        return *(int *)member >= 0;
    case RG_KIND_LIST:
        ((RgOptionList *)member)->count = 0;
        return true;
    case RG_KIND_PARTS:
        ((RgOptionParts *)member)->count = 0;
        return true;
    case RG_KIND_PART: /* see read_part */
    case RG_KIND_INCLUDE:
    case RG_KIND_END:
        break;
    }
    return false;
}

/* A value that was given in place of a list, written as a list of one; "" if that does not help. */
static char *as_list(const RgOption *option, const RgSetting *setting) {
    const char *quote = setting->kind == RG_SETTING_STRING ? "\"" : "";
    bool is_element = *quote || setting->kind == RG_SETTING_INTEGER;
    return option->kind == RG_KIND_LIST && is_element
               ? rg_string_format(", as in %s = [%s%s%s];", option->name, quote, setting->text,
                                  quote)
               : rg_string_copy("");
}

static RgStatus refuse(const RgOption *option, const RgSetting *setting, RgError *error) {
    bool word = option->kind == RG_KIND_CHOICE && setting->kind == RG_SETTING_STRING;
    char *what = rg_option_expected(option), *list = as_list(option, setting);
    RgStatus status =
        rg_setting_refuse(setting, error, "expected %s%s%s", what, list,
                          rg_suggest(setting->text, word ? option->choices : NULL).text);
    free(what);
    free(list);
    return status;
}

/* The part of `inner` after the group `path`; NULL if it is elsewhere. */
static const char *within(const char *inner, const char *path, size_t length) {
    if (length == 0)
        return inner;
    return strncmp(inner, path, length) == 0 && inner[length] == '.' ? inner + length + 1 : NULL;
}

/* A key of the group that may be a misspelling of `name`. */
static const RgSetting *misspelt(const RgSettings *settings, const char *path, const char *name) {
    for (int64_t i = 0; i < rg_settings_count(settings); i++) {
        const RgSetting *setting = rg_settings_at(settings, i);
        const char *key = within(setting->path, path, strlen(path));
        if (!setting->used && key && rg_nearest_name(key, (const char *const[]){name, NULL}))
            return setting;
    }
    return NULL;
}

static RgStatus refuse_missing(const RgOption *option, const RgSettings *settings, const char *path,
                               const char *key, RgError *error) {
    const RgSetting *typo = misspelt(settings, path, option->name);
    char *what = rg_option_expected(option), hint[512] = "";
    const char *file = rg_settings_file_near(settings, path);
    char *origin = typo ? rg_settings_origin(settings, typo->path) : NULL;
    if (typo && typo->line > 0 && strcmp(typo->file, file) == 0)
        snprintf(hint, sizeof hint, "; is \"%s\" in line %d a misspelling?", typo->path,
                 typo->line);
    else if (typo)
        snprintf(hint, sizeof hint, "; is \"%s\" in %s a misspelling?", typo->path, origin);
    RgStatus status =
        rg_fail(error, RG_E_USAGE, "%s: %s is missing: expected %s%s", file, key, what, hint);
    free(origin);
    free(what);
    return status;
}

static RgStatus refuse_group(const RgOption *option, const RgSettings *settings, const char *key,
                             RgError *error) {
    int64_t i = 0;
    while (!within(rg_settings_at(settings, i)->path, key, strlen(key)))
        i++;
    const RgSetting *inside = rg_settings_at(settings, i);
    char *what = rg_option_expected(option), line[16] = "";
    if (inside->line > 0)
        snprintf(line, sizeof line, ":%d", inside->line);
    RgStatus status = rg_fail(error, RG_E_USAGE, "%s%s: %s is a group or a list: expected %s",
                              inside->file, line, key, what);
    free(what);
    return status;
}

static RgStatus read_list(const RgOption *option, const RgSettings *settings, const char *key,
                          RgOptionList *list, RgError *error) {
    int64_t length = rg_settings_length(settings, key);
    *list = (RgOptionList){.count = length};
    if (length > RG_LIST_MOST)
        return refuse_group(option, settings, key, error);
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < length && status == RG_OK; i++) {
        char *path = rg_string_format("%s.%lld", key, (long long)i);
        const RgSetting *setting = rg_settings_find(settings, path);
        if (!setting)
            status = refuse_group(option, settings, key, error);
        else if (setting->kind != RG_SETTING_STRING && setting->kind != RG_SETTING_INTEGER)
            status = refuse(option, setting, error);
        else {
            list->item[i].text = setting->text;
            list->item[i].is_integer = setting->kind == RG_SETTING_INTEGER;
        }
        free(path);
    }
    return status;
}

/* ---- parts ---- */

char *rg_option_type_key(const RgOptionFamily *family, const char *key) {
    return rg_string_format("%s%s", key, family->beside ? "" : ".type");
}

const char *rg_option_part_path(const RgOptionFamily *family, const char *path, const char *key) {
    return family->beside ? path : key;
}

RgStatus rg_option_part_read(const RgOptionFamily *family, const RgOptionPart *part, const char *to,
                             RgSettings *resolved, RgError *error) {
    size_t size[2] = {family->common_size, part->type->options_size};
    const RgOption *table[2] = {family->common, part->type->options};
    RgStatus status = RG_OK;
    for (int k = 0; k < 2 && status == RG_OK; k++) {
        void *values = rg_allocate(1, size[k]);
        status = rg_options_read(table[k], part->settings, part->path, values, error);
        if (status == RG_OK && resolved)
            rg_options_record(table[k], values, to, resolved);
        free(values);
    }
    return status;
}

/* `fallback`: the type's name if the key is absent; NULL: it is required. */
static RgStatus read_part(const RgOption *option, const RgSettings *settings, const char *path,
                          const char *key, const char *fallback, RgOptionPart *part,
                          RgError *error) {
    const RgSetting *setting = rg_settings_find(settings, key);
    char *type = rg_option_type_key(option->family, key);
    if (!setting)
        setting = rg_settings_find(settings, type);
    free(type);
    const RgOptionFamily *family = option->family;
    const char *group = rg_option_part_path(family, path, key);
    *part = (RgOptionPart){.settings = settings};
    if (strlen(group) >= sizeof part->path)
        return rg_fail(error, RG_E_USAGE, "%s: groups are nested too deeply", group);
    snprintf(part->path, sizeof part->path, "%s", group);
    if (setting && setting->kind != RG_SETTING_STRING)
        return refuse(option, setting, error);
    if (!setting && rg_settings_has_group(settings, key))
        return refuse_group(option, settings, key, error);
    if (!setting && !fallback)
        return refuse_missing(option, settings, path, key, error);
    part->type = rg_find(family->kind, setting ? setting->text : fallback);
    RG_ASSERT(part->type || setting); /* the table's own fallback is a type */
    if (!part->type)
        return rg_refuse_setting_name(family->kind, setting, error);
    if (part->type->missing_packages && setting)
        return rg_setting_refuse(setting, error,
                                 "not available in this build: install %s and run configure again",
                                 part->type->missing_packages);
    return rg_option_part_read(family, part, NULL, NULL, error);
}

static RgStatus read_parts(const RgOption *option, const RgSettings *settings, const char *path,
                           const char *key, RgOptionParts *parts, RgError *error) {
    parts->count = rg_settings_length(settings, key);
    if (parts->count > RG_LIST_MOST)
        return refuse_group(option, settings, key, error);
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < parts->count && status == RG_OK; i++) {
        char *own = rg_string_format("%s.%lld", key, (long long)i);
        status = read_part(option, settings, path, own, NULL, &parts->item[i], error);
        free(own);
    }
    return status;
}

/* ---- tables ---- */

static RgStatus read_option(const RgOption *option, const RgSettings *settings, const char *path,
                            void *values, RgError *error) {
    RgStatus status = RG_OK;
    char *key = rg_string_format("%s%s%s", path, path[0] ? "." : "", option->name);
    const RgSetting *setting = rg_settings_find(settings, key);
    if (option->kind == RG_KIND_PART) {
        void *member = (char *)values + option->offset;
        status = read_part(option, settings, path, key, option->fallback, member, error);
    } else if (option->kind == RG_KIND_PARTS && rg_settings_length(settings, key) > 0) {
        void *member = (char *)values + option->offset;
        status = read_parts(option, settings, path, key, member, error);
    } else if (setting) {
        const char *fault = NULL;
        if (!kind_fits(option, setting->kind) || !assign(option, setting->text, values))
            status = refuse(option, setting, error);
        else if (option->fault && (fault = option->fault(setting->text)))
            status = rg_setting_refuse_unseen(setting, error, fault);
    } else if (option->kind == RG_KIND_LIST && rg_settings_length(settings, key) > 0) {
        void *member = (char *)values + option->offset;
        status = read_list(option, settings, key, member, error);
    } else if (rg_settings_has_group(settings, key)) {
        status = refuse_group(option, settings, key, error);
    } else if (!option->fallback) {
        status = refuse_missing(option, settings, path, key, error);
    } else {
        bool good = assign(option, option->fallback, values);
        RG_ASSERT(good);
    }
    free(key);
    return status;
}

static size_t member_size(RgOptionKind kind) {
    switch (kind) {
    case RG_KIND_REAL:
        return sizeof(double);
    case RG_KIND_INTEGER:
        return sizeof(int64_t);
    case RG_KIND_BOOLEAN:
        return sizeof(bool);
    case RG_KIND_STRING:
    case RG_KIND_PATH:
        return sizeof(const char *);
    case RG_KIND_CHOICE:
        return sizeof(int);
    case RG_KIND_LIST:
        return sizeof(RgOptionList);
    case RG_KIND_PART:
        return sizeof(RgOptionPart);
    case RG_KIND_PARTS:
        return sizeof(RgOptionParts);
    case RG_KIND_INCLUDE:
    case RG_KIND_END:
        break;
    }
    return 0;
}

/* Whether the option's default is one of its values. */
static bool default_fits(const RgOption *option) {
    const char *text = option->fallback;
    char *end = NULL;
    union {
        double real;
        int64_t integer;
        bool boolean;
        const char *string;
        int choice;
        RgOptionList list;
        RgOptionParts parts;
    } member;
    RgOption alone = *option;
    alone.offset = 0;
    switch (option->kind) {
    case RG_KIND_REAL:
        (void)strtod(text, &end);
        return end > text && *end == '\0' && assign(&alone, text, &member);
    case RG_KIND_INTEGER:
        (void)strtoll(text, &end, 10);
        return end > text && *end == '\0' && assign(&alone, text, &member);
    case RG_KIND_BOOLEAN:
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    case RG_KIND_PART:
        return rg_find(option->family->kind, text) != NULL;
    default:
        return assign(&alone, text, &member);
    }
}

/* A name, or two or more joined by points: the last names an option of a group. */
static bool is_key(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    while (name && name[0] && strchr(letters, name[0])) {
        name += strspn(name, all);
        if (name[0] != '.')
            return name[0] == '\0';
        name++;
    }
    return false;
}

/* `size` of the struct from where the option's offset begins. */
static const char *fault_of(const RgOption *table, int index, const RgOption *option, size_t size) {
    for (int i = 0; i < index; i++)
        if (strcmp(rg_options_at(table, i, NULL)->name, option->name) == 0)
            return "is defined twice";
    if (!option->help || !option->help[0])
        return "has no help text";
    if (option->offset + member_size(option->kind) > size)
        return "has a member beyond options_size";
    if (option->kind == RG_KIND_CHOICE && !option->choices)
        return "has no list of choices";
    if ((option->kind == RG_KIND_PART || option->kind == RG_KIND_PARTS) && !option->family)
        return "has no family of types";
    if (option->fallback && !default_fits(option))
        return "has a default that is not one of its values";
    return NULL;
}

char *rg_options_fault(const RgOption *table, size_t size) {
    size_t base;
    const RgOption *option;
    for (int i = 0; (option = rg_options_at(table, i, &base)); i++) {
        if (!is_key(option->name))
            return rg_string_format("option %d has no valid name", i);
        const char *fault = fault_of(table, i, option, size > base ? size - base : 0);
        if (fault)
            return rg_string_format("option \"%s\" %s", option->name, fault);
    }
    return NULL;
}

RgStatus rg_options_read(const RgOption *table, const RgSettings *settings, const char *path,
                         void *values, RgError *error) {
    rg_settings_has_group(settings, path); /* also marks a group as used that is present and
                                            * empty */
    size_t base;
    const RgOption *option;
    for (int i = 0; (option = rg_options_at(table, i, &base)); i++)
        RG_TRY(read_option(option, settings, path, (char *)values + base, error));
    return RG_OK;
}
