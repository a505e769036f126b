/* SPDX-License-Identifier: MIT */
/* Creating files and folders. A file takes its name only when it is complete and on the disk. At
 * any moment either the old content or the new one is there. A process that is killed leaves
 * nothing of an unfinished file.
 *
 *     RgNewFile file;
 *     RG_TRY(rg_new_file_begin(path, &file, error));
 *     RgStatus status = rg_new_file_write(&file, bytes, size, error);
 *     return rg_new_file_end(&file, status, error);
 *
 * Until the end the file has no name (O_TMPFILE). When it replaces another file, it is called
 * "<path>.new" for the moment between two system calls. On file systems without unnamed files (NFS)
 * it has that name all the time, and the next process to write the same path takes over what a
 * killed process left. A path that is not a regular file, such as /dev/stdout or a pipe, is written
 * to directly.
 *
 * Threads: one thread at a time per RgNewFile, and per path. */
#ifndef RG_CORE_NEW_FILE_H
#define RG_CORE_NEW_FILE_H

#include "core/checksum.h"

typedef struct RgNewFile {
    int descriptor; /* for writing */
    char *path, *temporary;
    enum { RG_NEW_NAMELESS, RG_NEW_NAMED, RG_NEW_DEVICE } kind;
    RgHashing *hashing; /* hash of the bytes from rg_new_file_write; NULL unless the caller begins
                         * one */
} RgNewFile;

RgStatus rg_new_file_begin(const char *path, RgNewFile *file, RgError *error);
RgStatus rg_new_file_write(RgNewFile *file, const void *bytes, size_t size, RgError *error);
/* Moves the file to its final name; if `status` is not RG_OK, discards it. Returns the first
 * failure. */
RgStatus rg_new_file_end(RgNewFile *file, RgStatus status, RgError *error);

/* Writes a whole content, or the content of another file. */
RgStatus rg_file_write(const char *path, const void *content, size_t size, RgError *error);
RgStatus rg_file_copy(const char *from, const char *to, RgError *error);

/* Removes a file, if it exists, and any unfinished one that a killed process left. */
void rg_file_remove(const char *path);

/* The same for a folder that is filled before it takes its name. Creates "<path>.parts", after
 * removing what a killed process left there. This process owns it until it renames or removes it.
 * `held` is a file descriptor to close afterwards. */
RgStatus rg_new_folder_begin(const char *path, char **folder, int *held, RgError *error);

/* A folder for this process alone, in TMPDIR or /tmp. `purpose` is part of its name (malloc'd; NULL
 * on failure). Removes such folders of processes that were killed. */
RgStatus rg_scratch_folder(const char *purpose, char **folder, RgError *error);

#endif
