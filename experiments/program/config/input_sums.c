/* SPDX-License-Identifier: MIT */
/* Sums of files and folders, and their cache. */
#include "experiments/program/config/input_sums.h"

#include "core/lookup.h"
#include "core/notice.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- files ---- */

/* Identifies a file and its state in the file system. All bytes are compared. */
typedef struct FileState {
    uint64_t device, inode;
    int64_t size, changed, changed_part, entered, entered_part;
} FileState;

static struct {
    RgLookup *states; /* numbers of sums */
    RgChecksum *sums;
    int64_t count;
} known;

static FileState state_of(const struct stat *about) {
    return (FileState){.device = (uint64_t)about->st_dev,
                       .inode = (uint64_t)about->st_ino,
                       .size = (int64_t)about->st_size,
                       .changed = (int64_t)about->st_mtim.tv_sec,
                       .changed_part = (int64_t)about->st_mtim.tv_nsec,
                       .entered = (int64_t)about->st_ctim.tv_sec,
                       .entered_part = (int64_t)about->st_ctim.tv_nsec};
}

static void forget_all(void) {
    rg_lookup_destroy(known.states);
    free(known.sums);
}

static void remember(const FileState *state, const RgChecksum *sum) {
    if (!known.states) {
        known.states = rg_lookup_create();
        atexit(forget_all);
    }
    int64_t *number = rg_lookup_at(known.states, (const char *)state, sizeof *state);
    if (*number < 0) {
        known.sums = rg_reallocate(known.sums, (size_t)known.count + 1, sizeof *known.sums);
        *number = known.count++;
    }
    known.sums[*number] = *sum;
}

RgStatus rg_input_file_sum(const char *path, RgChecksum *sum, RgError *error) {
    struct stat about;
    const int64_t large = INT64_C(4) << 30; /* bytes */
    if (stat(path, &about) != 0)
        return rg_fail(error, RG_E_FILE, "%s: cannot read: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return rg_fail(error, RG_E_FILE, "%s: cannot read: it is not a regular file", path);
    FileState state = state_of(&about);
    int64_t number =
        known.states ? rg_lookup_find(known.states, (const char *)&state, sizeof state) : -1;
    if (number >= 0) {
        *sum = known.sums[number];
        return RG_OK;
    }
    if (about.st_size >= large)
        rg_notice("%s: computing its SHA-256, which takes seconds", path);
    RG_TRY(rg_file_checksum(path, sum, error));
    remember(&state, sum);
    return RG_OK;
}

/* ---- folders, and files beside others ---- */

static bool is_folder(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static bool is_read(const RgOption *option, const char *name) {
    const char *const *pattern = option->files;
    if (name[0] == '.' || !pattern)
        return name[0] != '.';
    while (*pattern && fnmatch(*pattern, name, 0) != 0)
        pattern++;
    return *pattern;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_regular(const char *folder, const char *name) {
    struct stat about;
    char *path = rg_string_format("%s/%s", folder, name);
    bool regular = stat(path, &about) == 0 && S_ISREG(about.st_mode);
    free(path);
    return regular;
}

static void add_name(RgInputNames *names, const char *name) {
    names->name = rg_reallocate(names->name, (size_t)names->count + 1, sizeof *names->name);
    names->name[names->count++] = rg_string_copy(name);
}

static RgStatus names_in_folder(const RgOption *option, const char *folder, RgInputNames *names,
                                RgError *error) {
    DIR *stream = opendir(folder);
    if (!stream)
        return rg_fail(error, RG_E_FILE, "%s: cannot list: %s", folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(stream));)
        if (is_read(option, entry->d_name) && is_regular(folder, entry->d_name))
            add_name(names, entry->d_name);
    closedir(stream);
    return RG_OK;
}

static void names_beside(const RgOption *option, const char *file, RgInputNames *names) {
    const char *slash = strrchr(file, '/'), *own = slash ? slash + 1 : file;
    char *folder = rg_input_path(file, false, ".");
    add_name(names, own);
    for (int i = 0; option->neighbours && option->neighbours[i]; i++)
        if (strcmp(option->neighbours[i], own) != 0 && is_regular(folder, option->neighbours[i]))
            add_name(names, option->neighbours[i]);
    free(folder);
}

RgStatus rg_input_names(const RgOption *option, const char *path, RgInputNames *names,
                        RgError *error) {
    *names = (RgInputNames){0};
    if (is_folder(path))
        RG_TRY(names_in_folder(option, path, names, error));
    else
        names_beside(option, path, names);
    if (names->count > 0)
        qsort(names->name, (size_t)names->count, sizeof *names->name, by_bytes);
    return RG_OK;
}

char *rg_input_path(const char *path, bool folder, const char *name) {
    const char *slash = strrchr(path, '/');
    return folder ? rg_string_format("%s/%s", path, name)
                  : rg_string_format("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, name);
}

void rg_input_names_clear(RgInputNames *names) {
    for (int i = 0; i < names->count; i++)
        free(names->name[i]);
    free(names->name);
    *names = (RgInputNames){0};
}

static RgStatus list_sum(const RgInputNames *names, const char *path, char sha256[RG_SHA256_TEXT],
                         RgError *error) {
    RgHashing *hashing = rg_hashing_begin();
    RgStatus status = RG_OK;
    bool folder = is_folder(path);
    for (int i = 0; i < names->count && status == RG_OK; i++) {
        RgChecksum sum;
        char *file = rg_input_path(path, folder, names->name[i]);
        status = rg_input_file_sum(file, &sum, error);
        free(file);
        if (status != RG_OK)
            break;
        char *line = rg_string_format("%s  %s\n", sum.sha256, names->name[i]);
        rg_hashing_add(hashing, line, strlen(line));
        free(line);
    }
    rg_hashing_sum(hashing, sha256);
    rg_hashing_end(hashing);
    return status;
}

/* ---- either ---- */

bool rg_input_is_summable(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && (S_ISDIR(about.st_mode) || S_ISREG(about.st_mode));
}

RgStatus rg_input_sum(const RgOption *option, const char *path, char sha256[RG_SHA256_TEXT],
                      RgError *error) {
    RgChecksum sum = {0};
    RgInputNames names;
    RG_TRY(rg_input_names(option, path, &names, error));
    bool alone = !is_folder(path) && names.count == 1;
    RgStatus status =
        alone ? rg_input_file_sum(path, &sum, error) : list_sum(&names, path, sum.sha256, error);
    rg_input_names_clear(&names);
    if (status == RG_OK)
        memcpy(sha256, sum.sha256, RG_SHA256_TEXT);
    return status;
}
