/* SPDX-License-Identifier: MIT */
/* Plug-ins: shared objects that register algorithms, environments, policies, judges, estimators and
 * optimisers beside those that are built in. A plug-in is one source, or several:
 *
 *     static const RgAlgorithm mine = {.about = {.name = "mine", …}, .recipe = …, .loss = …};
 *     static RgStatus add(RgError *error) { return rg_algorithm_register(&mine, error); }
 *     RG_PLUGIN(add);
 *
 * compiled by `cc -shared -fPIC $(pkg-config --cflags regatta)`. It takes all functions from the
 * program that loads it. A plug-in is code, and does what it likes: only what the user names, in a
 * config of theirs or by --plugin, is loaded; never what a results store or a package names. */
#ifndef RG_CORE_PLUGIN_H
#define RG_CORE_PLUGIN_H

#include "core/abi.h"
#include "core/checksum.h"

typedef struct RgPlugin {
    const char *abi;                 /* RG_ABI of the headers that it was compiled with */
    RgStatus (*add)(RgError *error); /* registers what it has; called once */
} RgPlugin;

#define RG_PLUGIN(add_)                                                                            \
    extern const RgPlugin rg_plugin;                                                               \
    const RgPlugin rg_plugin = {RG_ABI, add_}

/* Load a plug-in and let it register what it has; nothing where the same file is loaded already.
 * RG_E_FILE where it cannot be read or loaded, RG_E_USAGE where it was compiled with other headers
 * or registers what is refused: the message names the file. Before a config is read, by one
 * thread. */
RgStatus rg_plugin_load(const char *path, RgError *error);

/* One that is loaded. */
typedef struct RgLoadedPlugin {
    char *path; /* as it was named */
    char sha256[RG_SHA256_TEXT];
    uintptr_t first, end; /* addresses of its code */
} RgLoadedPlugin;

/* The i-th, in the order of loading; NULL after the last. That of these contents; NULL: none. */
const RgLoadedPlugin *rg_plugin_loaded(int i);
const RgLoadedPlugin *rg_plugin_of(const char *sha256);
/* That of a file name without its folder, or NULL. */
const char *rg_plugin_name(const RgLoadedPlugin *plugin);

#endif
