/* SPDX-License-Identifier: MIT */
/* A folder as one file, tar compressed by zstd, and back. Archives come from elsewhere: what is
 * taken out of one is regular files below the folder that was asked for, nothing else. */
#ifndef RG_EXPERIMENTS_PROGRAM_PACKAGE_ARCHIVE_H
#define RG_EXPERIMENTS_PROGRAM_PACKAGE_ARCHIVE_H

#include "core/base.h"

#define RG_ARCHIVE_SUFFIX ".tar.zst"

/* Is this the name of an archive? */
bool rg_archive_named(const char *path);

/* Pack the files [count], named by their paths below `folder`, under a folder of the archive's own
 * name. Written to a temporary name and renamed. */
RgStatus rg_archive_write(const char *path, const char *folder, const char *const *files, int count,
                          RgError *error);

/* Unpack into `folder`, which is there and empty, leaving out the archive's outermost folder. */
RgStatus rg_archive_read(const char *path, const char *folder, RgError *error);

#endif
