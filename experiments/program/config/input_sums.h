/* SPDX-License-Identifier: MIT */
/* What lies at a path that a trial reads, as one SHA-256: a part of the trial's key, so that a path
 * alone does not tell two trials apart or make them one.
 *
 * Of a file it is the sum of its bytes, as sha256sum prints it. Of a folder it is that of a list of
 * the files that are read of it, sorted by the bytes of their names, a line each as sha256sum
 * prints it: "(cd FOLDER && LC_ALL=C sha256sum *) | sha256sum". Where the folder lies does not
 * matter.
 *
 * A file is read once for as long as the process runs and the file is the same to the file system:
 * device, inode, size, and when its bytes and its entry were changed last. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_INPUT_SUMS_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_INPUT_SUMS_H

#include "core/checksum.h"
#include "core/options.h"

/* Whether a path is of a file or a folder, and what is there can be summed: a pipe or a device can
 * be read but once, and what is missing not at all. */
bool rg_input_is_summable(const char *path);

/* Size and SHA-256 of a regular file. */
RgStatus rg_input_file_sum(const char *path, RgChecksum *sum, RgError *error);

/* SHA-256 of the file or folder that `option` reads. */
RgStatus rg_input_sum(const RgOption *option, const char *path, char sha256[RG_SHA256_TEXT],
                      RgError *error);

/* Names of the regular files in a folder that `option` reads, sorted by their bytes: all but those
 * that begin with a dot, or what option->files says. Those of folders in it are not among them. */
typedef struct RgInputNames {
    char **name;
    int count;
} RgInputNames;
RgStatus rg_input_names(const RgOption *option, const char *folder, RgInputNames *names,
                        RgError *error);
void rg_input_names_clear(RgInputNames *names);

#endif
