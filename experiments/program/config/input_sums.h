/* SPDX-License-Identifier: MIT */
/* The contents of an input path as one SHA-256. It is part of a trial's key, so that trials
 * differ by contents and not by path.
 *
 * For a file it is the sum of its bytes, as printed by sha256sum. For a folder it is the sum of a
 * list of the files read from it, sorted by the bytes of their names, one line each as printed by
 * sha256sum: "(cd FOLDER && LC_ALL=C sha256sum *) | sha256sum". The location of the folder does not
 * matter. A file that is read with others beside it is summed like a folder of them.
 *
 * Sums are cached for the life of the process and reused while the file's device, inode, size,
 * modification time and change time are equal. The cache is not locked: main thread only. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_INPUT_SUMS_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_INPUT_SUMS_H

#include "core/checksum.h"
#include "core/options.h"

/* Whether a path names an existing file or folder that can be summed. A pipe or a device cannot: it
 * can be read only once. */
bool rg_input_is_summable(const char *path);

/* Size and SHA-256 of a regular file. */
RgStatus rg_input_file_sum(const char *path, RgChecksum *sum, RgError *error);

/* SHA-256 of what `option` reads from this file or folder. */
RgStatus rg_input_sum(const RgOption *option, const char *path, char sha256[RG_SHA256_TEXT],
                      RgError *error);

/* Names of the regular files that `option` reads, sorted by their bytes: of a folder all that do not
 * begin with a dot, or those selected by option->files, without subfolders; of a file its own, and
 * those of option->neighbours that are there. */
typedef struct RgInputNames {
    char **name;
    int count;
} RgInputNames;
RgStatus rg_input_names(const RgOption *option, const char *path, RgInputNames *names,
                        RgError *error);
void rg_input_names_clear(RgInputNames *names);
/* Path of the file of this name that an input at `path` has: in it, or beside it. malloc'd. */
char *rg_input_path(const char *path, bool folder, const char *name);

#endif
