/* SPDX-License-Identifier: MIT */
/* The plug-ins of an experiment: those that a config loads, and those recorded in a trial's
 * resolved settings, as `plugins.N.file` and `plugins.N.sha256`. Main thread only. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_PLUGINS_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_PLUGINS_H

#include "core/options.h"

/* Loads the files of a config's list. Only the user's own config may load plug-ins: neither stores
 * nor packages do. */
RgStatus rg_plugins_load(const RgOptionList *files, RgError *error);

/* Records in a trial's resolved settings the plug-ins that it uses: those that registered a name
 * which a setting has. */
void rg_plugins_record(RgSettings *resolved);

/* RG_E_USAGE if resolved settings of a store or a package record a plug-in that is not loaded. The
 * message has its name and SHA-256. */
RgStatus rg_plugins_check(const RgSettings *resolved, RgError *error);

/* Removes file names: a plug-in is identified by its contents, not by its location. */
void rg_plugins_drop_names(RgSettings *resolved);
/* Removes the sums of contents: the rest is the same before and after a change of the plug-ins. */
void rg_plugins_drop_sums(RgSettings *resolved);

/* Path of the loaded plug-in whose contents are recorded in a setting of a trial. NULL for any
 * other setting, and for a plug-in that is not loaded. */
const char *rg_plugin_recorded(const RgSetting *setting);

#endif
