/* SPDX-License-Identifier: MIT */
/* One list of descriptors for each kind. */
#include "core/registry.h"

#include "core/names.h"
#include "core/options.h"
#include "core/settings.h"
#include "core/suggest.h"

#include <stdlib.h>
#include <string.h>

const char *const rg_kind_names[RG_KINDS] = {"algorithm", "environment", "policy",
                                             "judge",     "estimator",   "optimizer"};
const char *const rg_kind_plurals[RG_KINDS] = {"algorithms", "environments", "policies",
                                               "judges",     "estimators",   "optimizers"};

/* The types registered by plug-ins. */
typedef struct Entry {
    const RgDescriptor *about;
    const char *plugin;
} Entry;

static struct {
    Entry *entries;
    int count;
} added[RG_KINDS];

/* The plug-in that is registering, and whether an entry points to this name, which must then
 * remain. */
static char *registering;
static bool registered;

/* ---- looking up ---- */

static int count_builtins(RgKind kind) {
    int count = 0;
    while (rg_builtins[kind][count])
        count++;
    return count;
}

const RgDescriptor *rg_registered(RgKind kind, int i) {
    int builtins = count_builtins(kind);
    if (i < builtins)
        return rg_builtins[kind][i];
    return i - builtins < added[kind].count ? added[kind].entries[i - builtins].about : NULL;
}

const RgDescriptor *rg_find(RgKind kind, const char *name) {
    const RgDescriptor *about;
    for (int i = 0; (about = rg_registered(kind, i)); i++)
        if (about->name && strcmp(about->name, name) == 0)
            return about;
    return NULL;
}

/* All names, in an array that ends with NULL; the caller frees it. */
static const char **names_of(RgKind kind) {
    int count = 0;
    while (rg_registered(kind, count))
        count++;
    const char **names = rg_allocate(count + 1, sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = rg_registered(kind, i)->name;
    return names;
}

char *rg_registered_names(RgKind kind) {
    char *list = rg_string_copy("");
    const RgDescriptor *about;
    for (int i = 0; (about = rg_registered(kind, i)); i++) {
        char *longer = rg_string_format("%s%s%s", list, i ? ", " : "", about->name);
        free(list);
        list = longer;
    }
    return list;
}

/* ---- adding ---- */

void rg_registering(const char *plugin) {
    if (!registered)
        free(registering);
    registering = rg_string_copy(plugin);
    registered = false;
}

const char *rg_registered_by(const RgDescriptor *about) {
    for (int kind = 0; kind < RG_KINDS; kind++)
        for (int i = 0; i < added[kind].count; i++)
            if (added[kind].entries[i].about == about)
                return added[kind].entries[i].plugin;
    return NULL;
}

RgStatus rg_register(RgKind kind, const RgDescriptor *about, RgError *error) {
    const char *noun = rg_kind_names[kind], *fault = rg_descriptor_name_fault(about->name);
    if (fault)
        return rg_fail(error, RG_E_USAGE, "the descriptor of the %s \"%s\": its name: %s", noun,
                       about->name ? about->name : "", fault);
    const RgDescriptor *other = rg_find(kind, about->name);
    const char *by = other ? rg_registered_by(other) : NULL;
    if (other)
        return rg_fail(error, RG_E_USAGE,
                       "the name of the %s \"%s\" is already taken %s%s: expected a new name", noun,
                       about->name, by ? "by " : "by a built-in one", by ? by : "");
    int count = added[kind].count++;
    added[kind].entries =
        rg_reallocate(added[kind].entries, (size_t)count + 1, sizeof *added[kind].entries);
    added[kind].entries[count] = (Entry){about, registering};
    registered = true;
    return RG_OK;
}

/* ---- refusing ---- */

RgStatus rg_refuse_name(RgKind kind, const char *name, RgError *error) {
    const char **names = names_of(kind);
    RgStatus status = rg_fail(error, RG_E_USAGE, "no %s is called \"%s\"%s", rg_kind_names[kind],
                              name, rg_suggest(name, names).text);
    free(names);
    return status;
}

RgStatus rg_refuse_setting_name(RgKind kind, const RgSetting *setting, RgError *error) {
    const char **names = names_of(kind);
    char *list = rg_registered_names(kind);
    RgStatus status = rg_setting_refuse(setting, error, "expected one of %s%s", list,
                                        rg_suggest(setting->text, names).text);
    free(list);
    free(names);
    return status;
}

RgStatus rg_descriptor_check(RgKind kind, const RgDescriptor *about,
                             const RgRequirement *requirements, size_t count, RgError *error) {
    const char *noun = rg_kind_names[kind], *lacking = NULL;
    if (!about->name || !about->name[0])
        return rg_fail(error, RG_E_USAGE, "the descriptor of a registered %s has no name", noun);
    if (!about->summary)
        lacking = "a summary";
    else if (about->options && about->options_size == 0)
        lacking = "options_size, as it has options";
    for (size_t i = 0; i < count && !lacking; i++)
        if (!requirements[i].met)
            lacking = requirements[i].expected;
    if (lacking)
        return rg_fail(error, RG_E_USAGE, "the descriptor of the %s \"%s\": expected %s", noun,
                       about->name, lacking);
    char *fault = rg_options_fault(about->options, about->options_size);
    RgStatus status = fault ? rg_fail(error, RG_E_USAGE, "the descriptor of the %s \"%s\": %s",
                                      noun, about->name, fault)
                            : RG_OK;
    free(fault);
    return status;
}
