/* SPDX-License-Identifier: MIT */
/* Archives: the only file that uses libarchive. */
#include "experiments/program/package/archive.h"

#include "core/files.h"
#include "core/new_file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool rg_archive_named(const char *path) {
    size_t length = strlen(path), suffix = strlen(RG_ARCHIVE_SUFFIX);
    return length > suffix && strcmp(path + length - suffix, RG_ARCHIVE_SUFFIX) == 0;
}

static RgStatus refused(struct archive *archive, const char *path, const char *doing,
                        RgError *error) {
    return rg_fail(error, RG_E_FILE, "%s: cannot %s the archive: %s", path, doing,
                   archive_error_string(archive));
}

/* ---- writing ---- */

static RgStatus write_file(struct archive *archive, const char *path, const char *file,
                           const char *name, RgError *error) {
    RgBytes content;
    RG_TRY(rg_file_map(file, &content, error));
    struct archive_entry *entry = archive_entry_new();
    struct stat about;
    RgStatus status = RG_OK;
    if (stat(file, &about) == 0)
        archive_entry_set_mtime(entry, about.st_mtime, 0);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)content.size);
    if (archive_write_header(archive, entry) != ARCHIVE_OK ||
        (content.size > 0 &&
         archive_write_data(archive, content.data, content.size) != (la_ssize_t)content.size))
        status = refused(archive, path, "write", error);
    archive_entry_free(entry);
    rg_file_unmap(&content);
    return status;
}

/* "trial" of "results/trial.tar.zst". The caller frees it. */
static char *base_name(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    return rg_string_format("%.*s", (int)(strlen(name) - strlen(RG_ARCHIVE_SUFFIX)), name);
}

static RgStatus write_files(struct archive *archive, const char *path, const char *folder,
                            const char *const *files, int count, RgError *error) {
    char *top = base_name(path);
    RgStatus status = RG_OK;
    for (int i = 0; i < count && status == RG_OK; i++) {
        char *file = rg_string_format("%s/%s", folder, files[i]);
        char *name = rg_string_format("%s/%s", top, files[i]);
        status = write_file(archive, path, file, name, error);
        free(file);
        free(name);
    }
    free(top);
    return status;
}

static RgStatus write_archive(int out, const char *path, const char *folder,
                              const char *const *files, int count, RgError *error) {
    struct archive *archive = archive_write_new();
    RgStatus status = RG_OK;
    if (archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK ||
        archive_write_add_filter_zstd(archive) != ARCHIVE_OK ||
        archive_write_open_fd(archive, out) != ARCHIVE_OK)
        status = refused(archive, path, "write", error);
    if (status == RG_OK)
        status = write_files(archive, path, folder, files, count, error);
    if (archive_write_close(archive) != ARCHIVE_OK && status == RG_OK)
        status = refused(archive, path, "write", error);
    archive_write_free(archive);
    return status;
}

RgStatus rg_archive_write(const char *path, const char *folder, const char *const *files, int count,
                          RgError *error) {
    RgNewFile file;
    RG_TRY(rg_new_file_begin(path, &file, error));
    RgStatus status = write_archive(file.descriptor, path, folder, files, count, error);
    return rg_new_file_end(&file, status, error);
}

/* ---- reading ---- */

/* The part of a name below the outermost folder. NULL for anything but a plain path below one. */
static const char *inner_name(const char *name) {
    const char *slash = name ? strchr(name, '/') : NULL;
    if (!slash || slash == name || !slash[1])
        return NULL;
    for (const char *part = slash + 1; part; part = strchr(part, '/')) {
        part += *part == '/';
        size_t length = strcspn(part, "/");
        if (length == 0 || (length == 2 && strncmp(part, "..", 2) == 0))
            return NULL;
    }
    return slash + 1;
}

static RgStatus read_file(struct archive *archive, const char *path, const char *folder,
                          const char *name, RgError *error) {
    char *file = rg_string_format("%s/%s", folder, name);
    RgStatus status = rg_folders_make_above(file, error);
    int out = -1;
    if (status == RG_OK)
        out = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (status == RG_OK && out < 0)
        status = rg_fail(error, RG_E_FILE, "%s: cannot create: %s", file, strerror(errno));
    else if (status == RG_OK && archive_read_data_into_fd(archive, out) != ARCHIVE_OK)
        status = refused(archive, path, "read", error);
    if (out >= 0)
        close(out);
    free(file);
    return status;
}

/* A genuine archive is never so much smaller than its contents, but one made to fill a disk is. */
static const int64_t most_unpacked = 1000, always_fits = 1 << 20; /* times its size; bytes */

static int64_t room_of(const char *path) {
    struct stat about = {0};
    return stat(path, &about) == 0 ? most_unpacked * (int64_t)about.st_size + always_fits : 0;
}

static RgStatus read_entries(struct archive *archive, const char *path, const char *folder,
                             RgError *error) {
    struct archive_entry *entry;
    int64_t room = room_of(path);
    int code;
    while ((code = archive_read_next_header(archive, &entry)) == ARCHIVE_OK) {
        if (archive_entry_filetype(entry) == AE_IFDIR)
            continue;
        const char *name = archive_entry_pathname(entry), *inner = inner_name(name);
        if (!inner || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
            return rg_fail(error, RG_E_FORMAT, "%s: contains \"%s\", which no packed trial has",
                           path, name ? name : "");
        if (archive_entry_size(entry) > room)
            return rg_fail(error, RG_E_FORMAT,
                           "%s: %s and the files before it are more than %lld times as large as "
                           "the archive: not unpacked",
                           path, inner, (long long)most_unpacked);
        room -= archive_entry_size(entry);
        RG_TRY(read_file(archive, path, folder, inner, error));
    }
    return code == ARCHIVE_EOF ? RG_OK : refused(archive, path, "read", error);
}

RgStatus rg_archive_read(const char *path, const char *folder, RgError *error) {
    const size_t block = 1 << 16;
    struct archive *archive = archive_read_new();
    RgStatus status = RG_OK;
    /* No other filter, as libarchive runs programs for some, such as lrzip. */
    if (archive_read_support_filter_zstd(archive) != ARCHIVE_OK ||
        archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_read_open_filename(archive, path, block) != ARCHIVE_OK)
        status = refused(archive, path, "read", error);
    if (status == RG_OK)
        status = read_entries(archive, path, folder, error);
    archive_read_free(archive);
    return status;
}
