/* SPDX-License-Identifier: MIT */
/* What a config can name: algorithms, environments, policies, judges, estimators and optimisers,
 * one list for each kind. What is built in is listed by the build (builtins.c is made from the
 * lists of sources.am: each `const RgAlgorithm rg_algorithm_NAME = {`); plug-ins add to it.
 *
 * A descriptor of any kind begins with an RgDescriptor, `about`, so that it can be listed, shown
 * and chosen by name without more being known of it.
 *
 * Threads: lists are read by any; rg_register is called before a config is read, by one. */
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
    const char *name;             /* by which a config asks for it */
    const char *summary;          /* one line */
    const char *reference;        /* paper and equation, or NULL */
    const char *missing_packages; /* packages without which this build has it by name alone, so that
                                     requests for it is an error; NULL: it is there */
    const struct RgOption *options; /* of its own, or NULL */
    size_t options_size;            /* of the struct that they describe */
} RgDescriptor;

/* The i-th of a kind, what is built in first; NULL after the last. It is the first member of, and
 * so may be cast to, the descriptor of its kind. */
const RgDescriptor *rg_registered(RgKind kind, int i);
/* NULL if there is none of that name. */
const RgDescriptor *rg_find(RgKind kind, const char *name);
/* All names, "a, b, c"; the caller frees it. */
char *rg_registered_names(RgKind kind);

/* Add one that is whole (rg_algorithm_register and its like check that first); it is borrowed for
 * good. RG_E_USAGE where the name is taken, or is none that a config could give. */
RgStatus rg_register(RgKind kind, const RgDescriptor *about, RgError *error);
/* The file of the plug-in that registered it, or NULL of what is built in. */
const char *rg_registered_by(const RgDescriptor *about);
/* What is registered from here on is by this plug-in (copied); NULL: by none. */
void rg_registering(const char *plugin);

/* Refuse a name that none of the kind has, with the nearest that one has: RG_E_USAGE. Of a setting,
 * the message says where it is from and which names there are. */
RgStatus rg_refuse_name(RgKind kind, const char *name, RgError *error);
RgStatus rg_refuse_setting_name(RgKind kind, const struct RgSetting *setting, RgError *error);

/* ---- what a descriptor must have ---- */

typedef struct RgRequirement {
    bool met;
    const char *expected; /* "a function evaluate" */
} RgRequirement;

/* Refuse one that is half filled, by its name and the first of the requirements [count] that is not
 * met, when it is registered or first looked up, not by a crash in mid-trial: RG_E_USAGE. What all
 * kinds must have is looked at first. */
RgStatus rg_descriptor_check(RgKind kind, const RgDescriptor *about,
                             const RgRequirement *requirements, size_t count, RgError *error);

/* What is built in, by kind; each list ends with NULL. */
extern const RgDescriptor *const *const rg_builtins[RG_KINDS];

#endif
