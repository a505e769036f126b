/* SPDX-License-Identifier: MIT */
/* The plug-ins of an experiment: which a config has loaded, and which a trial's resolved settings
 * record, as `plugins.N.file` and `plugins.N.sha256`. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_PLUGINS_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_PLUGINS_H

#include "core/options.h"

/* Load the files of a config's list. The config is the user's own: nothing else names a plug-in
 * that is loaded. */
RgStatus rg_plugins_load(const RgOptionList *files, RgError *error);

/* Record the plug-ins that a trial uses in its resolved settings: those that have registered what a
 * setting names. */
void rg_plugins_record(RgSettings *resolved);

/* RG_E_USAGE where resolved settings, of a store or a package, record a plug-in that is not loaded:
 * by name and SHA-256. */
RgStatus rg_plugins_check(const RgSettings *resolved, RgError *error);

/* Remove the names of files: a plug-in is known by its contents, wherever it lies. */
void rg_plugins_drop_names(RgSettings *resolved);
/* Remove the sums of contents: what is left is the same before and after a change of the plug-ins.
 */
void rg_plugins_drop_sums(RgSettings *resolved);

/* The path, as it was loaded, of the plug-in whose contents a setting of a trial records; NULL
 * where the setting is another, or the plug-in is not loaded. */
const char *rg_plugin_recorded(const RgSetting *setting);

#endif
