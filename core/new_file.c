/* SPDX-License-Identifier: MIT */
/* Creating files and folders atomically. */
#include "core/new_file.h"

#include "core/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- beginning ---- */

/* "results" of "results/x.db"; malloc'd. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? rg_string_format("%.*s", (int)(slash - path) + 1, path) : rg_string_copy(".");
}

static int open_nameless(const char *path) {
    if (access("/proc/self/fd", X_OK) != 0) /* needed to give it a name */
        return -1;
    char *folder = folder_of(path);
    int file = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    free(folder);
    return file;
}

static bool is_at(int file, const char *path) {
    struct stat open, named;
    return fstat(file, &open) == 0 && stat(path, &named) == 0 && open.st_dev == named.st_dev &&
           open.st_ino == named.st_ino;
}

/* On file systems without locks, nobody waits. */
static void lock(int file) {
    while (flock(file, LOCK_EX) != 0 && errno == EINTR)
        continue;
}

/* Locked while open, so that no other process takes it for an abandoned one. */
static int open_named(const char *name) {
    for (;;) {
        int file = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (file < 0)
            return -1;
        lock(file);
        if (is_at(file, name) && ftruncate(file, 0) == 0)
            return file;
        close(file); /* the other process has moved it to its final name meanwhile */
    }
}

RgStatus rg_new_file_begin(const char *path, RgNewFile *file, RgError *error) {
    struct stat about;
    bool there = stat(path, &about) == 0;
    if (there && S_ISDIR(about.st_mode)) {
        rg_fail(error, RG_E_FILE, "%s: is a folder, expected a file", path);
        return RG_E_FILE;
    }
    *file = (RgNewFile){.path = rg_string_copy(path),
                        .temporary = rg_string_format("%s.new", path),
                        .descriptor = -1};
    if (there && !S_ISREG(about.st_mode)) {
        file->kind = RG_NEW_DEVICE;
        file->descriptor = open(path, O_WRONLY | O_CLOEXEC);
    } else if ((file->descriptor = open_nameless(path)) < 0) {
        file->kind = RG_NEW_NAMED;
        file->descriptor = open_named(file->temporary);
    }
    if (file->descriptor >= 0)
        return RG_OK;
    rg_fail(error, RG_E_FILE, "%s: cannot create: %s", path, strerror(errno));
    free(file->path);
    free(file->temporary);
    *file = (RgNewFile){.descriptor = -1};
    return RG_E_FILE;
}

/* ---- writing ---- */

static RgStatus cannot_write(const RgNewFile *file, RgError *error) {
    return rg_fail(error, RG_E_FILE, "%s: cannot write: %s", file->path, strerror(errno));
}

RgStatus rg_new_file_write(RgNewFile *file, const void *bytes, size_t size, RgError *error) {
    const char *at = bytes;
    if (file->hashing)
        rg_hashing_add(file->hashing, bytes, size);
    while (size > 0) {
        ssize_t written = write(file->descriptor, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return cannot_write(file, error);
        at += written;
        size -= (size_t)written;
    }
    return RG_OK;
}

/* ---- ending ---- */

/* A rename is on disk only after its folder is synced. */
static bool sync_folder_of(const char *path) {
    char *folder = folder_of(path);
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (file < 0)
        return false;
    /* Some file systems have nothing to sync in a folder and report EINVAL. */
    bool synced = fsync(file) == 0 || errno == EINVAL;
    int cause = errno;
    close(file);
    errno = cause;
    return synced;
}

/* A writer locks a file as long as it has the temporary name. So an unlocked one was abandoned by a
 * killed process. */
static bool remove_if_left(const char *name) {
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return errno == ENOENT;
    lock(file);
    bool good = !is_at(file, name) || unlink(name) == 0;
    close(file);
    return good;
}

static bool put_in_place(const RgNewFile *file) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file->descriptor);
    bool named = file->kind == RG_NEW_NAMED;
    lock(file->descriptor);
    while (!named) {
        named = linkat(AT_FDCWD, link, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW) == 0;
        if (!named && (errno != EEXIST || !remove_if_left(file->temporary)))
            return false;
    }
    return rename(file->temporary, file->path) == 0;
}

static RgStatus complete(RgNewFile *file, RgError *error) {
    bool synced = fsync(file->descriptor) == 0;
    if (!synced && !(file->kind == RG_NEW_DEVICE && (errno == EINVAL || errno == EROFS)))
        return cannot_write(file, error);
    if (file->kind == RG_NEW_DEVICE)
        return RG_OK;
    if (!put_in_place(file)) {
        RgStatus status = cannot_write(file, error);
        unlink(file->temporary);
        return status;
    }
    return sync_folder_of(file->path) ? RG_OK
                                      : rg_fail(error, RG_E_FILE, "%s: cannot sync its folder: %s",
                                                file->path, strerror(errno));
}

RgStatus rg_new_file_end(RgNewFile *file, RgStatus status, RgError *error) {
    if (status == RG_OK)
        status = complete(file, error);
    else if (file->kind == RG_NEW_NAMED)
        unlink(file->temporary);
    if (close(file->descriptor) != 0 && status == RG_OK) /* NFS reports a full disk here */
        status = cannot_write(file, error);
    rg_hashing_end(file->hashing);
    free(file->path);
    free(file->temporary);
    *file = (RgNewFile){.descriptor = -1};
    return status;
}

/* ---- whole files ---- */

RgStatus rg_file_write(const char *path, const void *content, size_t size, RgError *error) {
    RgNewFile file;
    RG_TRY(rg_new_file_begin(path, &file, error));
    return rg_new_file_end(&file, rg_new_file_write(&file, content, size, error), error);
}

RgStatus rg_file_copy(const char *from, const char *to, RgError *error) {
    RgBytes content;
    RG_TRY(rg_file_map(from, &content, error));
    RgStatus status = rg_file_write(to, content.data, content.size, error);
    rg_file_unmap(&content);
    return status;
}

void rg_file_remove(const char *path) {
    char *temporary = rg_string_format("%s.new", path);
    unlink(path);
    unlink(temporary);
    free(temporary);
}

/* ---- folders ---- */

/* Locks the folder. −1: another process has locked it, or it is gone. */
static int take_folder(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0 || (flock(folder, LOCK_EX | LOCK_NB) == 0 && is_at(folder, path)))
        return folder;
    close(folder);
    return -1;
}

RgStatus rg_new_folder_begin(const char *path, char **folder, int *held, RgError *error) {
    char *name = rg_string_format("%s.parts", path);
    *held = take_folder(name);
    if (*held >= 0) { /* abandoned by a killed process */
        rg_folder_remove(name);
        close(*held);
    }
    *held = mkdir(name, 0777) == 0 ? take_folder(name) : -1;
    *folder = name;
    if (*held >= 0)
        return RG_OK;
    RgStatus status = rg_fail(
        error, RG_E_FILE, "%s: cannot create the folder: %s", name,
        errno == EEXIST || errno == EWOULDBLOCK ? "another process is using it" : strerror(errno));
    free(name);
    *folder = NULL;
    return status;
}

/* Removes a folder abandoned by a killed process: one that is ours, not locked, and not just
 * created by a process that is about to lock it. */
static void remove_left(const char *path) {
    const time_t moment = 60; /* seconds */
    struct stat about;
    int held = take_folder(path);
    if (held < 0)
        return;
    if (fstat(held, &about) == 0 && about.st_uid == geteuid() &&
        about.st_mtime < time(NULL) - moment)
        rg_folder_remove(path);
    close(held);
}

static void remove_all_left(const char *place, const char *prefix, size_t random) {
    DIR *folder = opendir(place);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 ||
            strlen(entry->d_name) != strlen(prefix) + random)
            continue;
        char *path = rg_string_format("%s/%s", place, entry->d_name);
        remove_left(path);
        free(path);
    }
    if (folder)
        closedir(folder);
}

RgStatus rg_scratch_folder(const char *purpose, char **folder, RgError *error) {
    const char *place = getenv("TMPDIR");
    if (!place || !place[0])
        place = "/tmp";
    static const char random[] = "XXXXXX";
    /* Only this function uses such names, so it may remove any folder with one. */
    char *prefix = rg_string_format(".regatta-scratch-%s-", purpose);
    remove_all_left(place, prefix, strlen(random));
    *folder = rg_string_format("%s/%s%s", place, prefix, random);
    free(prefix);
    /* The process holds the lock until it ends. */
    if (mkdtemp(*folder) && take_folder(*folder) >= 0)
        return RG_OK;
    RgStatus status =
        rg_fail(error, RG_E_FILE, "%s: cannot create a folder: %s", *folder, strerror(errno));
    free(*folder);
    *folder = NULL;
    return status;
}
