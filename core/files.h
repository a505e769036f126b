/* SPDX-License-Identifier: MIT */
/* Whole files, folders, and the files that come with the program. What is written is new_file.h's.
 */
#ifndef RG_CORE_FILES_H
#define RG_CORE_FILES_H

#include "core/base.h"

/* Read a whole file of at most 1 GiB into memory (NUL-terminated, `size` without the NUL); the
 * caller frees. */
RgStatus rg_file_read(const char *path, char **content, size_t *size, RgError *error);

/* A regular file's content as memory, page by page as it is read. The file must stay as it is. */
RgStatus rg_file_map(const char *path, RgBytes *content, RgError *error);
void rg_file_unmap(RgBytes *content);

/* Make a folder, which may be there already; all folders above a file's path, such as "a" and "a/b"
 * of "a/b/c"; remove a folder with all in it. */
RgStatus rg_folder_make(const char *path, RgError *error);
RgStatus rg_folders_make_above(const char *path, RgError *error);
void rg_folder_remove(const char *folder);

/* Where a file or folder is that comes with the program, such as "analysis/papers": in the source
 * tree that the environment names (RG_SOURCE_DIR), in the one whose build folder the program lies
 * in, or where it was installed, be it that all of that was moved. malloc'd; it need not be there.
 */
char *rg_own_file(const char *name);

#endif
