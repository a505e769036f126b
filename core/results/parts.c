/* SPDX-License-Identifier: MIT */
/* Opening, seeding and merging parts. store_merge.c decides between two records of one trial. */
#include "core/results/parts.h"

#include "core/files.h"
#include "core/results/rows.h"
#include "core/results/store_lock.h"
#include "core/results/store_merge.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void rg_part_close(RgPart *part) {
    if (!part)
        return;
    rg_store_close(part->store);
    if (part->hold >= 0)
        close(part->hold);
    free(part->whole);
    free(part);
}

/* The whole store is locked first. Meanwhile nobody merges its parts. */
RgStatus rg_part_open(const char *whole, int number, RgPart **result, RgError *error) {
    RgPart *part = rg_allocate(1, sizeof *part);
    part->whole = rg_string_copy(whole);
    part->hold = -1;
    char *folder = rg_store_folder(whole);
    char *path = rg_string_format("%s/part-%d.db", folder, number);
    RgStatus status = rg_folders_make_above(path, error);
    if (status == RG_OK)
        status = rg_store_hold(whole, &part->hold, error);
    if (status == RG_OK)
        status = rg_store_open(path, true, &part->store, error);
    free(folder);
    free(path);
    *result = part;
    if (status != RG_OK) {
        rg_part_close(part);
        *result = NULL;
    }
    return status;
}

/* ---- seeding ---- */

static RgStatus find_trial(RgStore *store, const char *experiment, const char *key, int64_t *row,
                           bool *finished, RgError *error) {
    RgRows *found = rg_rows_open(store, "trials",
                                 "SELECT t.id, t.status FROM trials t"
                                 " JOIN experiments e ON e.id = t.experiment"
                                 " WHERE e.name = ?1 AND t.key = ?2");
    rg_rows_bind_text(found, 1, experiment);
    rg_rows_bind_text(found, 2, key);
    bool there = rg_rows_next(found);
    *row = there ? rg_rows_integer(found, 0) : 0;
    *finished = there && rg_status_is_done(rg_rows_text(found, 1));
    return rg_rows_close(found, RG_OK, error);
}

RgStatus rg_part_seed(RgPart *part, const char *experiment, const char *key, bool *finished,
                      RgError *error) {
    RgStore *whole;
    int64_t row;
    *finished = false;
    if (access(part->whole, F_OK) != 0)
        return RG_OK;
    RG_TRY(rg_store_open(part->whole, false, &whole, error));
    RgStatus status = find_trial(whole, experiment, key, &row, finished, error);
    rg_store_close(whole);
    if (status == RG_OK && row && !*finished)
        status = rg_store_merge_trial(part->store, part->whole, row, NULL, error);
    return status;
}

/* ---- gathering ---- */

/* Checkpoints first: a checkpoint without the rows before it would be resumed as if it had them. */
static RgStatus remove_part(const char *path, RgError *error) {
    static const char *const endings[] = {"-wal", "-shm", "", ".lock"};
    RgStatus status = RG_OK;
    char *weights = rg_store_folder(path);
    rg_folder_remove(weights);
    free(weights);
    for (int i = 0; i < 4 && status == RG_OK; i++) {
        char *file = rg_string_format("%s%s", path, endings[i]);
        if (unlink(file) != 0 && errno != ENOENT)
            status = rg_fail(error, RG_E_FILE, "%s: cannot remove the merged part: %s", file,
                             strerror(errno));
        free(file);
    }
    return status;
}

/* A process may have been killed when its part was a file but not yet a store. Then it becomes an
 * empty store. No other process writes it, because the whole store is open. */
static RgStatus complete_part(const char *path, RgError *error) {
    RgStore *part;
    RG_TRY(rg_store_open(path, true, &part, error));
    rg_store_close(part);
    return RG_OK;
}

static bool is_part(const char *name) {
    int number, end = 0;
    return sscanf(name, "part-%d.db%n", &number, &end) == 1 && end > 0 && !name[end];
}

RgStatus rg_parts_gather(RgStore *whole, RgError *error) {
    char *path = rg_store_folder(rg_store_path(whole));
    DIR *folder = opendir(path);
    struct dirent *entry;
    RgStatus status = RG_OK;
    while (folder && status == RG_OK && (entry = readdir(folder))) {
        if (!is_part(entry->d_name))
            continue;
        char *part = rg_string_format("%s/%s", path, entry->d_name);
        status = complete_part(part, error);
        if (status == RG_OK)
            status = rg_store_merge(whole, part, NULL, error);
        if (status == RG_OK)
            status = remove_part(part, error);
        free(part);
    }
    if (folder)
        closedir(folder);
    free(path);
    return status;
}
