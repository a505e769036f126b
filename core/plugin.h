/* SPDX-License-Identifier: MIT */
/* Plug-ins: shared objects that register algorithms, environments, policies, judges, estimators and
 * optimisers in addition to the built-in ones. A plug-in consists of one or more sources:
 *
 *     static const RgAlgorithm mine = {.about = {.name = "mine", …}, .recipe = …, .loss = …};
 *     static RgStatus add(RgError *error) { return rg_algorithm_register(&mine, error); }
 *     RG_PLUGIN(add);
 *
 * Compile it with `cc -shared -fPIC $(pkg-config --cflags regatta)`. The program that loads it
 * provides all functions. A plug-in is unrestricted code. So only a plug-in that the user names, in
 * their own config or by --plugin, is loaded, never one named by a results store or a package. */
#ifndef RG_CORE_PLUGIN_H
#define RG_CORE_PLUGIN_H

#include "core/abi.h"
#include "core/checksum.h"

typedef struct RgPlugin {
    const char *abi;                 /* RG_ABI of the headers it was compiled with */
    RgStatus (*add)(RgError *error); /* registers everything it provides; called once */
} RgPlugin;

#define RG_PLUGIN(add_)                                                                            \
    extern const RgPlugin rg_plugin;                                                               \
    const RgPlugin rg_plugin = {RG_ABI, add_}

/* Loads a plug-in and lets it register its types. Does nothing if the same file is already loaded.
 * RG_E_FILE: the file cannot be read or loaded. RG_E_USAGE: it was compiled with different headers,
 * or a registration is refused. The message names the file. Called by one thread, before a config
 * is read. */
RgStatus rg_plugin_load(const char *path, RgError *error);

/* What the report of a crash says at its end, such as "the results store is intact"; borrowed. NULL,
 * as at first: nothing. Any thread, one at a time. */
void rg_plugin_set_crash_note(const char *note);

/* A loaded plug-in. */
typedef struct RgLoadedPlugin {
    char *path; /* as the user named it */
    char sha256[RG_SHA256_TEXT];
    uintptr_t first, end; /* address range of its code */
} RgLoadedPlugin;

/* The i-th plug-in in the order of loading, NULL after the last; and the plug-in with this content,
 * NULL if there is none. */
const RgLoadedPlugin *rg_plugin_loaded(int i);
const RgLoadedPlugin *rg_plugin_of(const char *sha256);
/* The file name without its folder. */
const char *rg_plugin_name(const RgLoadedPlugin *plugin);

#endif
