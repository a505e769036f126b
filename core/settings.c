/* SPDX-License-Identifier: MIT */
/* The table of settings: finding, replacing, listing, and its JSON form. Option tables (options.c)
 * check the values; core/config_file.c reads the files. */
#include "core/settings.h"

#include "core/lookup.h"
#include "core/suggest.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A path that is, or was, an entry or above one. It remains when these are removed. */
typedef struct Node {
    RgSetting *entry; /* NULL: none */
    int64_t below;    /* number of entries below */
} Node;

/* Entries are allocated one by one, so the results of rg_settings_find stay valid while others are
 * added. */
struct RgSettings {
    RgSetting **entries;
    int64_t count, capacity;
    RgLookup *paths; /* numbers of nodes */
    Node *nodes;
    int64_t node_count, node_capacity;
    char *file; /* the requested file; NULL: unknown */
};

RgSettings *rg_settings_create(void) {
    RgSettings *settings = rg_allocate(1, sizeof *settings);
    settings->paths = rg_lookup_create();
    return settings;
}

static void entry_destroy(RgSetting *entry) {
    free(entry->path);
    free(entry->text);
    free(entry->file);
    free(entry);
}

void rg_settings_destroy(RgSettings *settings) {
    if (!settings)
        return;
    for (int64_t i = 0; i < settings->count; i++)
        entry_destroy(settings->entries[i]);
    free(settings->entries);
    rg_lookup_destroy(settings->paths);
    free(settings->nodes);
    free(settings->file);
    free(settings);
}

RgSettings *rg_settings_clone(const RgSettings *settings) {
    RgSettings *clone = rg_settings_create();
    for (int64_t i = 0; i < settings->count; i++) {
        const RgSetting *entry = settings->entries[i];
        rg_settings_set(clone, entry->path, entry->kind, entry->text, entry->file, entry->line);
        clone->entries[clone->count - 1]->used = entry->used;
    }
    clone->file = rg_string_copy(settings->file);
    return clone;
}

/* The text after "path." if `inner` is below `path`, else NULL. Everything is below "". */
static const char *below(const char *inner, const char *path) {
    RG_ASSERT(inner);
    size_t length = strlen(path);
    if (length == 0)
        return inner;
    return strncmp(inner, path, length) == 0 && inner[length] == '.' ? inner + length + 1 : NULL;
}

/* A real as the shortest text that reads back to the same bits and as a real (1.0, not 1). */
static char *real_text(double value) {
    char text[RG_REAL_TEXT];
    rg_real_text(value, 15, text);
    return rg_string_format("%s%s", text, isfinite(value) && !strpbrk(text, ".e") ? ".0" : "");
}

static char *value_text(RgSettingKind kind, const char *text) {
    switch (kind) {
    case RG_SETTING_REAL:
        return real_text(strtod(text, NULL));
    case RG_SETTING_INTEGER:
        return rg_string_format("%lld", (long long)strtoll(text, NULL, 10));
    case RG_SETTING_BOOLEAN:
        RG_ASSERT(strcmp(text, "true") == 0 || strcmp(text, "false") == 0);
        return rg_string_copy(text);
    case RG_SETTING_STRING:
        return rg_string_copy(text);
    case RG_SETTING_EMPTY:
        break;
    }
    return rg_string_copy("");
}

/* The node of the path's first `size` bytes; NULL if there is none. */
static Node *find_node(const RgSettings *settings, const char *path, size_t size) {
    int64_t node = rg_lookup_find(settings->paths, path, size);
    return node < 0 ? NULL : &settings->nodes[node];
}

static Node *make_node(RgSettings *settings, const char *path, size_t size) {
    int64_t *node = rg_lookup_at(settings->paths, path, size);
    if (*node < 0) {
        if (settings->node_count == settings->node_capacity) {
            settings->node_capacity = settings->node_capacity ? 2 * settings->node_capacity : 64;
            settings->nodes = rg_reallocate(settings->nodes, (size_t)settings->node_capacity,
                                            sizeof *settings->nodes);
        }
        *node = settings->node_count++;
        settings->nodes[*node] = (Node){0};
    }
    return &settings->nodes[*node];
}

static RgSetting *find_entry(const RgSettings *settings, const char *path) {
    const Node *node = find_node(settings, path, strlen(path));
    return node ? node->entry : NULL;
}

static bool any_below(const RgSettings *settings, const char *path) {
    const Node *node = find_node(settings, path, strlen(path));
    return path[0] == '\0' ? settings->count > 0 : node && node->below > 0;
}

/* Counts an added or removed entry in all nodes above it. */
static void count_above(RgSettings *settings, const char *path, int64_t more) {
    for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.'))
        make_node(settings, path, (size_t)(dot - path))->below += more;
}

static void drop_entry(RgSettings *settings, RgSetting *entry) {
    count_above(settings, entry->path, -1);
    make_node(settings, entry->path, strlen(entry->path))->entry = NULL;
    entry_destroy(entry);
}

/* Whether one of the path's parents is a plain value. */
static bool has_value_above(const RgSettings *settings, const char *path) {
    for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
        const Node *node = find_node(settings, path, (size_t)(dot - path));
        if (node && node->entry)
            return true;
    }
    return false;
}

/* Removes every entry that conflicts with `path`: those below it, and a plain value of one of its
 * parents. */
static void remove_conflicting(RgSettings *settings, const char *path) {
    if (!any_below(settings, path) && !has_value_above(settings, path))
        return;
    int64_t kept = 0;
    for (int64_t i = 0; i < settings->count; i++) {
        RgSetting *entry = settings->entries[i];
        if (below(path, entry->path) || below(entry->path, path))
            drop_entry(settings, entry);
        else
            settings->entries[kept++] = entry;
    }
    settings->count = kept;
}

static RgSetting *append_entry(RgSettings *settings, const char *path) {
    if (settings->count == settings->capacity) {
        settings->capacity = settings->capacity ? 2 * settings->capacity : 64;
        settings->entries =
            rg_reallocate(settings->entries, (size_t)settings->capacity, sizeof(RgSetting *));
    }
    RgSetting *entry = rg_allocate(1, sizeof *entry);
    entry->path = rg_string_copy(path);
    settings->entries[settings->count++] = entry;
    make_node(settings, path, strlen(path))->entry = entry;
    count_above(settings, path, 1);
    return entry;
}

void rg_settings_set(RgSettings *settings, const char *path, RgSettingKind kind, const char *text,
                     const char *file, int line) {
    RG_ASSERT(path[0]);
    char *value = value_text(kind, text), *origin = rg_string_copy(file ? file : "");
    remove_conflicting(settings, path);
    RgSetting *entry = find_entry(settings, path);
    if (!entry)
        entry = append_entry(settings, path);
    free(entry->text);
    free(entry->file);
    entry->text = value;
    entry->kind = kind;
    entry->file = origin;
    entry->line = line;
    entry->used = false;
}

void rg_settings_remove(RgSettings *settings, const char *path) {
    int64_t kept = 0;
    if (!any_below(settings, path) && !find_entry(settings, path))
        return;
    for (int64_t i = 0; i < settings->count; i++) {
        RgSetting *entry = settings->entries[i];
        if (strcmp(entry->path, path) == 0 || below(entry->path, path))
            drop_entry(settings, entry);
        else
            settings->entries[kept++] = entry;
    }
    settings->count = kept;
}

const RgSetting *rg_settings_find(const RgSettings *settings, const char *path) {
    RgSetting *entry = find_entry(settings, path);
    if (entry)
        entry->used = true;
    return entry;
}

bool rg_settings_has_group(const RgSettings *settings, const char *path) {
    RgSetting *entry = find_entry(settings, path);
    if (entry && entry->kind == RG_SETTING_EMPTY)
        entry->used = true;
    return any_below(settings, path);
}

/* The next part of a path as an element's number, else −1. No list has as many elements as the
 * limit. A larger number, which only a foreign config can have, is not an element's. */
enum { MOST_ELEMENTS = 1 << 20 };

static int64_t element_number(const char *part) {
    char *end;
    if (part[0] < '0' || part[0] > '9')
        return -1;
    long long number = strtoll(part, &end, 10);
    bool element = (*end == '\0' || *end == '.') && number < MOST_ELEMENTS;
    return element ? (int64_t)number : -1;
}

int64_t rg_settings_length(const RgSettings *settings, const char *path) {
    int64_t length = 0;
    RgSetting *entry = find_entry(settings, path);
    if (entry && entry->kind == RG_SETTING_EMPTY)
        entry->used = true;
    int64_t count = any_below(settings, path) ? settings->count : 0;
    for (int64_t i = 0; i < count; i++) {
        const char *rest = below(settings->entries[i]->path, path);
        int64_t number = rest ? element_number(rest) : -1;
        if (number >= length)
            length = number + 1;
    }
    return length;
}

int64_t rg_settings_count(const RgSettings *settings) {
    return settings->count;
}

const RgSetting *rg_settings_at(const RgSettings *settings, int64_t index) {
    RG_ASSERT(index >= 0 && index < settings->count);
    return settings->entries[index];
}

void rg_settings_copy_group(RgSettings *target, const char *to, const RgSettings *source,
                            const char *from) {
    /* The table may be copied into itself, even below `from`. Entries added here are not copied
     * again. */
    int64_t count = source->count;
    RgSetting **entries = rg_allocate(count, sizeof(RgSetting *));
    if (count)
        memcpy(entries, source->entries, sizeof(RgSetting *) * (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        const RgSetting *entry = entries[i];
        const char *rest = below(entry->path, from);
        if (!rest)
            continue;
        char *path = rg_string_format("%s%s%s", to, to[0] ? "." : "", rest);
        char *text = rg_string_copy(entry->text), *file = rg_string_copy(entry->file);
        rg_settings_set(target, path, entry->kind, text, file, entry->line);
        free(path);
        free(text);
        free(file);
    }
    free(entries);
}

void rg_settings_copy_origins(RgSettings *target, const RgSettings *source) {
    for (int64_t i = 0; i < target->count; i++) {
        RgSetting *entry = target->entries[i];
        const RgSetting *origin = find_entry(source, entry->path);
        if (!origin)
            continue;
        char *file = rg_string_copy(origin->file);
        free(entry->file);
        entry->file = file;
        entry->line = origin->line;
    }
}

/* Messages. */

void rg_settings_set_file(RgSettings *settings, const char *file) {
    free(settings->file);
    settings->file = rg_string_copy(file);
}

const char *rg_settings_file(const RgSettings *settings) {
    return settings->file;
}

/* In a file or on the command line; else it is a default. */
static bool is_given(const RgSetting *setting) {
    return setting->line > 0 || strcmp(setting->file, "-s") == 0;
}

/* The first setting below `path` that was given. */
static const RgSetting *first_below(const RgSettings *settings, const char *path) {
    for (int64_t i = 0; i < settings->count; i++) {
        const RgSetting *entry = settings->entries[i];
        if (is_given(entry) && below(entry->path, path))
            return entry;
    }
    return NULL;
}

/* The first setting of the list element that `path` is in; NULL if it is in none. */
static const RgSetting *first_of_element(const RgSettings *settings, const char *path) {
    static const char copied[] = "algorithm";
    size_t length = 0, end = 0;
    for (const char *part = path; *part; part = path + end + (path[end] == '.')) {
        end = (size_t)(part - path) + strcspn(part, ".");
        if (element_number(part) >= 0 ||
            (part == path && strncmp(part, copied, end) == 0 && end == sizeof copied - 1))
            length = end;
    }
    if (length == 0)
        return NULL;
    char *element = rg_string_format("%.*s", (int)length, path);
    const RgSetting *first = first_below(settings, element);
    free(element);
    return first;
}

const char *rg_settings_file_near(const RgSettings *settings, const char *path) {
    const RgSetting *near = first_of_element(settings, path);
    if (!near && !settings->file)
        near = first_below(settings, path);
    if (!near && !settings->file)
        near = first_below(settings, "");
    return near ? near->file : settings->file ? settings->file : "config";
}

char *rg_settings_origin(const RgSettings *settings, const char *path) {
    const RgSetting *setting = find_entry(settings, path);
    if (!setting && rg_settings_length(settings, path) > 0)
        setting = first_below(settings, path);
    if (!setting && any_below(settings, path))
        setting = first_of_element(settings, path);
    if (!setting || !is_given(setting))
        return rg_string_copy(rg_settings_file_near(settings, path));
    return setting->line > 0 ? rg_string_format("%s:%d", setting->file, setting->line)
                             : rg_string_copy(setting->file);
}

RgStatus rg_setting_refuse(const RgSetting *setting, RgError *error, const char *format, ...) {
    char expected[sizeof error->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(expected, sizeof expected, format, arguments);
    va_end(arguments);
    const char *quote = setting->kind == RG_SETTING_STRING ? "\"" : "";
    const char *value = setting->kind == RG_SETTING_EMPTY ? "(empty)" : setting->text;
    char line[16] = "";
    if (setting->line > 0)
        snprintf(line, sizeof line, ":%d", setting->line);
    return rg_fail(error, RG_E_USAGE, "%s%s: %s = %s%s%s: %s", setting->file, line, setting->path,
                   quote, value, quote, expected);
}

RgStatus rg_setting_refuse_unseen(const RgSetting *setting, RgError *error, const char *reason) {
    char line[16] = "";
    if (setting->line > 0)
        snprintf(line, sizeof line, ":%d", setting->line);
    return rg_fail(error, RG_E_USAGE, "%s%s: %s: %s", setting->file, line, setting->path, reason);
}

RgStatus rg_settings_refuse_list(const RgSettings *settings, const char *path, const char *example,
                                 RgError *error) {
    const RgSetting *setting = rg_settings_find(settings, path), *inside = NULL;
    if (setting)
        return rg_setting_refuse(setting, error, "expected a list such as %s", example);
    for (int64_t i = 0; i < settings->count && !inside; i++)
        inside = below(settings->entries[i]->path, path) ? settings->entries[i] : NULL;
    if (!inside)
        return rg_fail(error, RG_E_USAGE, "%s: %s is missing: expected a list such as %s",
                       rg_settings_file_near(settings, ""), path, example);
    char *reason = rg_string_format("%s is a group: expected a list such as %s", path, example);
    RgStatus status = rg_setting_refuse_unseen(inside, error, reason);
    free(reason);
    return status;
}

static bool is_known(const char *name, size_t length, const char *const *known) {
    for (; known && *known; known++)
        if (strlen(*known) == length && strncmp(*known, name, length) == 0)
            return true;
    return false;
}

static RgStatus refuse_unknown(const RgSetting *setting, const char *path, const char *const *known,
                               RgError *error);

/* If the first part of the key below `path` is a group of known names, the unknown part is below
 * that group. It is refused there. */
static bool refuse_in_group(const RgSetting *setting, const char *path, const char *const *known,
                            RgStatus *status, RgError *error) {
    const char *rest = below(setting->path, path);
    size_t head = strcspn(rest, "."), count = 0, kept = 0;
    while (known && known[count])
        count++;
    const char **inside = rg_allocate(count + 1, sizeof *inside);
    for (size_t i = 0; rest[head] && i < count; i++)
        if (strncmp(known[i], rest, head + 1) == 0)
            inside[kept++] = known[i] + head + 1;
    char *group = rg_string_format("%.*s", (int)(rest - setting->path + (long)head), setting->path);
    if (kept > 0)
        *status = refuse_unknown(setting, group, inside, error);
    free(group);
    free((void *)inside);
    return kept > 0;
}

/* The wrong part of an unknown key's path is its first one below the group, unless that is known.
 * Then it is the last one. */
static RgStatus refuse_unknown(const RgSetting *setting, const char *path, const char *const *known,
                               RgError *error) {
    RgStatus status;
    if (refuse_in_group(setting, path, known, &status, error))
        return status;
    const char *rest = below(setting->path, path), *last = strrchr(setting->path, '.');
    int head = (int)strcspn(rest, ".");
    bool head_known = is_known(rest, (size_t)head, known);
    int shown = head_known ? (int)strlen(setting->path) : (int)(rest - setting->path) + head;
    char *name =
        head_known && last ? rg_string_copy(last + 1) : rg_string_format("%.*s", head, rest);
    const char *near = known ? rg_nearest_name(name, known) : NULL;
    char where[16] = "", *hint = NULL;
    if (setting->line > 0)
        snprintf(where, sizeof where, ":%d", setting->line);
    if (near && strcmp(near, name) != 0) {
        hint = rg_string_copy(rg_suggest(name, known).text);
    } else if (known && *known) {
        char *list = rg_list_names(known);
        hint = rg_string_format(": expected one of %s", list);
        free(list);
    }
    status = rg_fail(error, RG_E_USAGE, "%s%s: unknown key \"%.*s\"%s", setting->file, where, shown,
                     setting->path, hint ? hint : "");
    free(name);
    free(hint);
    return status;
}

RgStatus rg_settings_check_used(const RgSettings *settings, const char *path,
                                const char *const *known, RgError *error) {
    for (int64_t i = 0; i < settings->count; i++)
        if (!settings->entries[i]->used && below(settings->entries[i]->path, path))
            return refuse_unknown(settings->entries[i], path, known, error);
    return RG_OK;
}

/* JSON: one flat object from path to value, {"algorithms.0.beta":0.1,"seeds.0":1}. A real always
 * has a point or an exponent and an integer never, so kinds are preserved; [] is an empty group. */

static int compare_paths(const void *a, const void *b) {
    return strcmp((*(RgSetting *const *)a)->path, (*(RgSetting *const *)b)->path);
}

static char *json_quoted(const char *text) {
    json_t *string = json_string(text);
    RG_ASSERT(string); /* the table contains only UTF-8 */
    char *quoted = json_dumps(string, JSON_ENCODE_ANY);
    json_decref(string);
    return quoted;
}

char *rg_settings_to_json(const RgSettings *settings) {
    size_t count = (size_t)settings->count, size = 0;
    RgSetting **sorted = rg_allocate(count, sizeof(RgSetting *));
    if (count)
        memcpy(sorted, settings->entries, sizeof(RgSetting *) * count);
    qsort(sorted, count, sizeof *sorted, compare_paths);
    char *json = NULL;
    FILE *stream = open_memstream(&json, &size);
    RG_ASSERT(stream);
    fputc('{', stream);
    for (size_t i = 0; i < count; i++) {
        bool quoted = sorted[i]->kind == RG_SETTING_STRING;
        char *path = json_quoted(sorted[i]->path);
        char *text = quoted ? json_quoted(sorted[i]->text) : NULL;
        RG_ASSERT(sorted[i]->kind != RG_SETTING_REAL || isfinite(strtod(sorted[i]->text, NULL)));
        fprintf(stream, "%s%s:%s", i ? "," : "", path,
                quoted                                ? text
                : sorted[i]->kind == RG_SETTING_EMPTY ? "[]"
                                                      : sorted[i]->text);
        free(path);
        free(text);
    }
    fputc('}', stream);
    fclose(stream);
    free(sorted);
    return json;
}

/* False if no setting has the value's kind. */
static bool set_from_json(RgSettings *settings, const char *path, const json_t *value) {
    char text[40];
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
        rg_settings_set(settings, path, RG_SETTING_INTEGER, text, "stored config", 0);
        return true;
    case JSON_REAL:
        snprintf(text, sizeof text, "%.17g", json_real_value(value));
        rg_settings_set(settings, path, RG_SETTING_REAL, text, "stored config", 0);
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        rg_settings_set(settings, path, RG_SETTING_BOOLEAN, json_is_true(value) ? "true" : "false",
                        "stored config", 0);
        return true;
    case JSON_STRING:
        rg_settings_set(settings, path, RG_SETTING_STRING, json_string_value(value),
                        "stored config", 0);
        return true;
    case JSON_ARRAY:
        rg_settings_set(settings, path, RG_SETTING_EMPTY, "", "stored config", 0);
        return json_array_size(value) == 0;
    default:
        return false;
    }
}

RgStatus rg_settings_from_json(const char *json, RgSettings *settings, RgError *error) {
    json_error_t trouble;
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &trouble);
    RgStatus status = RG_OK;
    if (!root)
        return rg_fail(error, RG_E_FORMAT, "stored config: line %d, column %d: %s", trouble.line,
                       trouble.column, trouble.text);
    if (!json_is_object(root))
        status = rg_fail(error, RG_E_FORMAT, "stored config: expected a JSON object");
    const char *path;
    json_t *value;
    json_object_foreach(root, path, value) {
        if (status == RG_OK && (!path[0] || !set_from_json(settings, path, value)))
            status = rg_fail(error, RG_E_FORMAT,
                             "stored config: \"%s\": expected a number, a boolean, a string or []",
                             path);
    }
    json_decref(root);
    return status;
}
