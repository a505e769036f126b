/* SPDX-License-Identifier: MIT */
/* Config files: libconfig's syntax, read into settings that record file and line of each value.
 *
 * A file may extend others:
 *
 *     extends = "base.cfg";            or a list of files; later ones replace earlier ones
 *
 * The extended files are read first. The values of the file itself replace theirs one by one; a
 * list or an array replaces the whole list. `@include "part.cfg"` inserts text, as in libconfig,
 * and may not repeat a key. Both are relative to the folder of the file that was opened or
 * extended. A string that starts with ./ or ../ is a path relative to the folder of its own file.
 *
 * All errors are RG_E_USAGE and name file and line. One thread at a time per RgSettings. */
#ifndef RG_CORE_CONFIG_FILE_H
#define RG_CORE_CONFIG_FILE_H

#include "core/settings.h"

/* Reads a file and what it extends, on top of the present `settings`. An integer that does not fit
 * 32 bits must end in L (libconfig 1.5 truncates it otherwise). After an error `settings` is
 * incomplete and must be discarded. */
RgStatus rg_config_read(const char *path, RgSettings *settings, RgError *error);

/* Applies -s path=value. The value is written as in a file. Any other word is a string, so quotes
 * may be omitted. [1, 0.5] may mix integers and reals, and replaces all elements. An element of a
 * list is addressed by its number, and must exist. After an error `settings` is unchanged. */
RgStatus rg_config_override(RgSettings *settings, const char *assignment, RgError *error);

#endif
