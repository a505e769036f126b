/* SPDX-License-Identifier: MIT */
/* The types that a config can name: algorithms, environments, policies, judges, estimators and
 * optimisers, with one list for each kind. The build lists the built-in ones (builtins.c is
 * generated from the sources in sources.am: each `const RgAlgorithm rg_algorithm_NAME = {`).
 * Plug-ins add to the lists.
 *
 * Every descriptor begins with an RgDescriptor, `about`. So it can be listed, shown and chosen by
 * name without knowing its kind.
 *
 * Threads: any thread may read the lists. One thread calls rg_register, before a config is read. */
#ifndef RG_CORE_REGISTRY_H
#define RG_CORE_REGISTRY_H

#include "core/base.h"

struct RgOption;
struct RgSetting;

typedef enum RgKind {
    RG_ALGORITHM,
    RG_ENVIRONMENT,
    RG_POLICY,
    RG_JUDGE,
    RG_ESTIMATOR,
    RG_OPTIMIZER,
    RG_KINDS,
} RgKind;

/* "algorithm", "algorithms", by kind. */
extern const char *const rg_kind_names[RG_KINDS], *const rg_kind_plurals[RG_KINDS];

/* The first member of every descriptor, called `about`. All strings are static. */
typedef struct RgDescriptor {
    const char *name;               /* the name used in a config */
    const char *summary;            /* one line */
    const char *reference;          /* paper and equation, or NULL */
    const char *missing_packages;   /* packages this build was configured without; such a type is
                                     * listed, but selecting it is an error. NULL: available */
    const struct RgOption *options; /* its own options, or NULL */
    size_t options_size;            /* size of the struct they describe */
} RgDescriptor;

/* The i-th descriptor of a kind, built-in ones first; NULL after the last. It may be cast to the
 * kind's descriptor, of which it is the first member. */
const RgDescriptor *rg_registered(RgKind kind, int i);
/* NULL if there is none with that name. */
const RgDescriptor *rg_find(RgKind kind, const char *name);
/* All names, "a, b, c"; the caller frees it. */
char *rg_registered_names(RgKind kind);

/* Adds a complete descriptor, which is borrowed forever. (rg_algorithm_register and its
 * counterparts check completeness first.) RG_E_USAGE if the name is taken or invalid. */
RgStatus rg_register(RgKind kind, const RgDescriptor *about, RgError *error);
/* The file of the plug-in that registered it; NULL for a built-in one. */
const char *rg_registered_by(const RgDescriptor *about);
/* Attributes later registrations to this plug-in (copied); NULL: to none. */
void rg_registering(const char *plugin);

/* Refuse an unknown name with RG_E_USAGE and suggest the nearest one. For a setting, the message
 * also gives its origin and all valid names. */
RgStatus rg_refuse_name(RgKind kind, const char *name, RgError *error);
RgStatus rg_refuse_setting_name(RgKind kind, const struct RgSetting *setting, RgError *error);

/* ---- what a descriptor must have ---- */

typedef struct RgRequirement {
    bool met;
    const char *expected; /* such as "a function evaluate" */
} RgRequirement;

/* Refuses an incomplete descriptor when it is registered or first looked up, rather than crashing
 * during a trial. RG_E_USAGE: the message names it and the first unmet requirement [count]. The
 * requirements common to all kinds are checked first. */
RgStatus rg_descriptor_check(RgKind kind, const RgDescriptor *about,
                             const RgRequirement *requirements, size_t count, RgError *error);

/* The built-in descriptors, by kind; each list ends with NULL. */
extern const RgDescriptor *const *const rg_builtins[RG_KINDS];

#endif
