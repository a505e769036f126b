/* SPDX-License-Identifier: MIT */
/* Files read whole or mapped, folders, and the location of the files that come with the program. */
#include "core/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Limit of files read whole: configs, tokenizers, descriptions. Data and weights are read
 * otherwise. */
static const size_t most_of_a_file = (size_t)1 << 30;

static RgStatus too_large(const char *path, RgError *error) {
    return rg_fail(error, RG_E_FILE, "%s: is larger than 1 GiB, expected at most 1 GiB", path);
}

/* A regular file's size is the first guess. A pipe has none, so the buffer grows. */
static RgStatus read_all(int file, const char *path, char **content, size_t *size, RgError *error) {
    struct stat about;
    size_t capacity = 4096, filled = 0;
    if (fstat(file, &about) == 0 && S_ISREG(about.st_mode))
        capacity = (size_t)about.st_size + 1;
    if (capacity > most_of_a_file)
        return too_large(path, error);
    char *buffer = rg_reallocate(NULL, capacity + 1, 1);
    for (;;) {
        ssize_t got = read(file, buffer + filled, capacity - filled);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR) {
            free(buffer);
            return rg_fail(error, RG_E_FILE, "%s: cannot read: %s", path, strerror(errno));
        }
        filled += got > 0 ? (size_t)got : 0;
        if (filled > most_of_a_file) {
            free(buffer);
            return too_large(path, error);
        }
        if (filled == capacity) {
            capacity *= 2;
            buffer = rg_reallocate(buffer, capacity + 1, 1);
        }
    }
    buffer[filled] = '\0';
    *content = buffer;
    if (size)
        *size = filled;
    return RG_OK;
}

RgStatus rg_file_read(const char *path, char **content, size_t *size, RgError *error) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return rg_fail(error, RG_E_FILE, "%s: cannot open: %s", path, strerror(errno));
    const char *before = rg_memory_for(path);
    RgStatus status = read_all(file, path, content, size, error);
    rg_memory_for(before);
    close(file);
    return status;
}

RgStatus rg_file_map(const char *path, RgBytes *content, RgError *error) {
    struct stat about = {0};
    RgStatus status = RG_OK;
    *content = (RgBytes){0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &about) != 0)
        status = rg_fail(error, RG_E_FILE, "%s: cannot open: %s", path, strerror(errno));
    else if (S_ISDIR(about.st_mode))
        status = rg_fail(error, RG_E_FILE, "%s: cannot read: %s", path, strerror(EISDIR));
    else if (!S_ISREG(about.st_mode))
        status = rg_fail(error, RG_E_FILE, "%s: is not a regular file", path);
    if (status == RG_OK && about.st_size > 0) { /* an empty file cannot be mapped */
        void *memory = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (memory == MAP_FAILED)
            status = rg_fail(error, RG_E_FILE, "%s: cannot read: %s", path, strerror(errno));
        else
            *content = (RgBytes){memory, (size_t)about.st_size};
    }
    if (file >= 0)
        close(file);
    return status;
}

void rg_file_unmap(RgBytes *content) {
    if (content->data)
        munmap((void *)content->data, content->size);
    *content = (RgBytes){0};
}

RgStatus rg_folder_make(const char *path, RgError *error) {
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return rg_fail(error, RG_E_FILE, "%s: cannot create the folder: %s", path, strerror(errno));
    return RG_OK;
}

RgStatus rg_folders_make_above(const char *path, RgError *error) {
    RgStatus status = RG_OK;
    char *folder = rg_string_copy(path);
    for (char *c = folder + 1; folder[0] && *c && status == RG_OK; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        status = rg_folder_make(folder, error);
        *c = '/';
    }
    free(folder);
    return status;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *at) {
    (void)about, (void)kind, (void)at;
    return remove(path);
}

void rg_folder_remove(const char *folder) {
    const int descriptors = 8;
    nftw(folder, remove_entry, descriptors, FTW_DEPTH | FTW_PHYS);
}

/* Whether the last component of a path is a folder that ".." may be taken back with. */
static bool leads_back(const char *path) {
    struct stat about;
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
    return last[0] && strcmp(last, "..") != 0 && lstat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

char *rg_path_shorten(const char *path) {
    char *out = rg_allocate((int64_t)strlen(path) + 2, sizeof *out); /* "." is the shortest */
    size_t root = path[0] == '/', length = root;
    if (root)
        out[0] = '/';
    for (const char *at = path + root; *at;) {
        size_t size = strcspn(at, "/");
        bool back = size == 2 && memcmp(at, "..", 2) == 0;
        out[length] = '\0';
        if (back && leads_back(out)) {
            char *slash = strrchr(out, '/');
            length = !slash ? 0 : slash == out ? root : (size_t)(slash - out);
        } else if (size > 0 && !(size == 1 && at[0] == '.')) {
            if (length > root)
                out[length++] = '/';
            memcpy(out + length, at, size);
            length += size;
        }
        at += size + (at[size] == '/');
    }
    if (length == 0)
        out[length++] = '.';
    out[length] = '\0';
    return out;
}

char *rg_own_file(const char *name) {
    const char *source = getenv("RG_SOURCE_DIR");
    if (source && source[0] != '\0')
        return rg_string_format("%s/%s", source, name);
    /* The folder above the program's, so that a printed path has no ".." in it. */
    char above[PATH_MAX] = "";
    bool known = readlink("/proc/self/exe", above, sizeof above - 1) > 0;
    for (int up = 0; up < 2 && strrchr(above, '/'); up++)
        *strrchr(above, '/') = '\0';
    char *paths[] = {rg_string_format("%s/%s", above, name),
                     rg_string_format("%s/share/regatta/%s", above, name),
                     rg_string_format("%s/libexec/regatta/%s", above, name),
                     rg_string_format("%s/%s", RG_PROGRAM_DIR, name),
                     rg_string_format("%s/%s", RG_DATA_DIR, name)};
    enum { PATHS = sizeof paths / sizeof *paths };
    int found = known ? 0 : PATHS - 2;
    while (found < PATHS - 1 && access(paths[found], F_OK) != 0)
        found++;
    for (int i = 0; i < PATHS; i++)
        if (i != found)
            free(paths[i]);
    return paths[found];
}

char *rg_own_maker(const char *folder) {
    const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    if (name[0] == '\0' || name[0] == '.')
        return NULL;
    char *relative = rg_string_format("experiments/data/%s", name), *maker = rg_own_file(relative);
    free(relative);
    if (access(maker, X_OK) == 0)
        return maker;
    free(maker);
    return NULL;
}
