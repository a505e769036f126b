/* SPDX-License-Identifier: MIT */
/* Config files: libconfig's syntax, read into settings with file and line of each value.
 *
 * Over libconfig there are layers: a file may say
 *
 *     extends = "base.cfg";            or a list of files, later ones replacing earlier ones
 *
 * which are read first and replaced value by value by what the file itself says; a list or an array
 * replaces the whole of the one before. `@include "part.cfg"` pastes text, as libconfig does, and
 * may not repeat a key. Both are relative to the folder of the file that was asked for or extended.
 * A string that starts with ./ or ../ is a path from the folder of the file it stands in.
 *
 * All errors are RG_E_USAGE and name file and line. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_CONFIG_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_CONFIG_H

#include "core/settings.h"

/* Read a file and what it extends over what `settings` has already. An integer that does not fit 32
 * bits must end in L (libconfig 1.5 cuts it off otherwise). On error `settings` is to be thrown
 * away. */
RgStatus rg_config_read(const char *path, RgSettings *settings, RgError *error);

/* -s path=value. The value is written as in a file; a word that is none of that is a string, so
 * that quotes may be left out; [1, 0.5] may mix integers and reals, and replaces all elements. An
 * element of a list is named by its number, which must be there. On error nothing has changed. */
RgStatus rg_config_override(RgSettings *settings, const char *assignment, RgError *error);

#endif
