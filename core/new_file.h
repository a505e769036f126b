/* SPDX-License-Identifier: MIT */
/* Files and folders that the program makes. A file takes its name when it is complete and on the
 * disk: at any moment the old content is there or the new one, and a process that is killed leaves
 * nothing of what it had begun.
 *
 *     RgNewFile file;
 *     RG_TRY(rg_new_file_begin(path, &file, error));
 *     RgStatus status = rg_new_file_write(&file, bytes, size, error);
 *     return rg_new_file_end(&file, status, error);
 *
 * Until then the file has no name (O_TMPFILE). To replace another it has the name "<path>.new" for
 * the moment between two system calls, and on file systems that know no files without a name (NFS)
 * all along: whoever writes the same path next takes what a killed process left there. A path that
 * is no regular file, such as /dev/stdout or a pipe, is written to as it stands. */
#ifndef RG_CORE_NEW_FILE_H
#define RG_CORE_NEW_FILE_H

#include "core/checksum.h"

typedef struct RgNewFile {
    int descriptor; /* to write to */
    char *path, *temporary;
    enum { RG_NEW_NAMELESS, RG_NEW_NAMED, RG_NEW_DEVICE } kind;
    RgHashing *hashing; /* of what rg_new_file_write writes; NULL, unless the caller begins one */
} RgNewFile;

RgStatus rg_new_file_begin(const char *path, RgNewFile *file, RgError *error);
RgStatus rg_new_file_write(RgNewFile *file, const void *bytes, size_t size, RgError *error);
/* Put it in its place; or, where `status` is not RG_OK, drop it. Returns the first failure. */
RgStatus rg_new_file_end(RgNewFile *file, RgStatus status, RgError *error);

/* A whole content, and the content of another file. */
RgStatus rg_file_write(const char *path, const void *content, size_t size, RgError *error);
RgStatus rg_file_copy(const char *from, const char *to, RgError *error);

/* Remove a file, if it is there, with what a killed process left of a new one. */
void rg_file_remove(const char *path);

/* The same of a folder that is put together before it takes its name: "<path>.parts" is made,
 * without what a killed process left there, and is this process's until it renames or removes it.
 * `held` is a file descriptor to close then. */
RgStatus rg_new_folder_begin(const char *path, char **folder, int *held, RgError *error);

/* A folder for this process alone, where TMPDIR says or in /tmp, whose name (malloc'd; NULL on
 * failure) tells what it is for. Those of processes that were killed are removed on the way. */
RgStatus rg_scratch_folder(const char *purpose, char **folder, RgError *error);

#endif
