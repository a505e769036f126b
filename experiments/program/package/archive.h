/* SPDX-License-Identifier: MIT */
/* A folder as one file, tar compressed by zstd, and back. Archives are not trusted: only regular
 * files below the requested folder are unpacked. Reentrant. */
#ifndef RG_EXPERIMENTS_PROGRAM_PACKAGE_ARCHIVE_H
#define RG_EXPERIMENTS_PROGRAM_PACKAGE_ARCHIVE_H

#include "core/base.h"

#define RG_ARCHIVE_SUFFIX ".tar.zst"

/* Whether this is the name of an archive. */
bool rg_archive_named(const char *path);

/* Packs the files [count], given by their paths below `folder`, into a folder with the archive's
 * own name. Writes to a temporary name and renames it. */
RgStatus rg_archive_write(const char *path, const char *folder, const char *const *files, int count,
                          RgError *error);

/* Unpacks into `folder`, which must be empty, without the archive's outermost folder. */
RgStatus rg_archive_read(const char *path, const char *folder, RgError *error);

#endif
