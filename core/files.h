/* SPDX-License-Identifier: MIT */
/* Reading whole files, folders, and locating the files that come with the program. new_file.h
 * writes.
 *
 * Threads: any, on different paths. */
#ifndef RG_CORE_FILES_H
#define RG_CORE_FILES_H

#include "core/base.h"

/* Reads a whole file of at most 1 GiB into memory. The content is NUL-terminated; `size` excludes
 * the NUL. The caller frees it. */
RgStatus rg_file_read(const char *path, char **content, size_t *size, RgError *error);

/* Maps a regular file, which is read page by page on access. The file must not change while
 * mapped. */
RgStatus rg_file_map(const char *path, RgBytes *content, RgError *error);
void rg_file_unmap(RgBytes *content);

/* Create a folder, which may exist; create all folders above a file's path, such as "a" and "a/b"
 * for "a/b/c"; remove a folder with everything in it. */
RgStatus rg_folder_make(const char *path, RgError *error);
RgStatus rg_folders_make_above(const char *path, RgError *error);
void rg_folder_remove(const char *folder);

/* The same path without "x/..", where x is a folder and no link, and without ".". malloc'd. */
char *rg_path_shorten(const char *path);

/* The path of a file or folder that comes with the program, such as "analysis/papers". It is looked
 * up in the source tree named by RG_SOURCE_DIR, then in the source tree whose build folder contains
 * the program, then where the program was installed, even if the installation was moved. malloc'd.
 * The file need not exist. */
char *rg_own_file(const char *name);
/* The program among those that come along, experiments/data/NAME, which makes a data folder called
 * NAME. malloc'd; NULL: there is none. */
char *rg_own_maker(const char *folder);

#endif
