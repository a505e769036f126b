/* SPDX-License-Identifier: MIT */
/* Comparing files of weights with the SHA-256 in the store. */
#include "core/results/weights.h"

#include "core/files.h"
#include "core/names.h"
#include "core/new_file.h"
#include "core/results/rows.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const file_names[] = {
    [RG_WEIGHTS_FINAL] = "final", [RG_WEIGHTS_CHECKPOINT] = "checkpoint"};

/* Whether the SHA-256 of the file at `path` is among the rows. Without rows it is unknown. */
static RgStatus compare(RgRows *rows, const char *path, const char *sha256, RgError *error) {
    char expected[RG_SHA256_TEXT] = "";
    bool same = false;
    while (!same && rg_rows_next(rows)) {
        memcpy(expected, rg_rows_text(rows, 0), sizeof expected);
        same = strcmp(expected, sha256) == 0;
    }
    RG_TRY(rg_rows_close(rows, RG_OK, error));
    return same || !expected[0]
               ? RG_OK
               : rg_fail(error, RG_E_FORMAT, "%s: is damaged: its SHA-256 is %s, expected %s", path,
                         sha256, expected);
}

/* The SHA-256 of a trial's file in the store; NULL in an older store. */
static RgStatus open_sums(RgStore *store, int64_t trial, RgWeightsFile file, RgRows **rows,
                          RgError *error) {
    bool has;
    *rows = NULL;
    RG_TRY(rg_rows_has_table(store, "weights", &has, error));
    if (!has)
        return RG_OK;
    *rows =
        rg_rows_open(store, "weights", "SELECT sha256 FROM weights WHERE trial = ?1 AND file = ?2");
    rg_rows_of_trial(*rows, trial);
    rg_rows_bind_text(*rows, 2, file_names[file]);
    return RG_OK;
}

static RgStatus check_sum(RgStore *store, int64_t trial, RgWeightsFile file, const char *path,
                          const char *sha256, RgError *error) {
    RgRows *rows;
    RG_TRY(open_sums(store, trial, file, &rows, error));
    return rows ? compare(rows, path, sha256, error) : RG_OK;
}

RgStatus rg_weights_check(RgStore *store, int64_t trial, RgWeightsFile file, const char *path,
                          RgChecksum *sum, RgError *error) {
    RG_TRY(rg_file_checksum(path, sum, error));
    return check_sum(store, trial, file, path, sum->sha256, error);
}

char *rg_weights_path(const char *store, const char *key, RgWeightsFile file) {
    char *folder = rg_store_folder(store);
    char *path = rg_string_format("%s/%s%s.safetensors", folder, key,
                                  file == RG_WEIGHTS_CHECKPOINT ? "-checkpoint" : "");
    free(folder);
    return path;
}

RgStatus rg_weights_look(RgStore *store, int64_t trial, const char *key, RgWeightsFile file,
                         bool *missing, RgError *error) {
    RgChecksum sum;
    RgRows *rows = NULL;
    RgStatus status;
    char *path = rg_weights_path(rg_store_path(store), key, file);
    *missing = false;
    if (access(path, F_OK) == 0) {
        status = rg_weights_check(store, trial, file, path, &sum, error);
    } else {
        status = open_sums(store, trial, file, &rows, error);
        *missing = rows && rg_rows_next(rows);
        status = rg_rows_close(rows, status, error);
    }
    free(path);
    return status;
}

RgStatus rg_weights_copy(RgStore *store, int64_t trial, RgWeightsFile file, const char *from,
                         const char *to, RgError *error) {
    RgBytes content;
    RgNewFile copy;
    char sum[RG_SHA256_TEXT];
    RG_TRY(rg_file_map(from, &content, error));
    RgStatus status = rg_new_file_begin(to, &copy, error);
    if (status == RG_OK) {
        copy.hashing = rg_hashing_begin();
        status = rg_new_file_write(&copy, content.data, content.size, error);
        rg_hashing_sum(copy.hashing, sum);
        if (status == RG_OK)
            status = check_sum(store, trial, file, from, sum, error);
        status = rg_new_file_end(&copy, status, error);
    }
    rg_file_unmap(&content);
    return status;
}

/* Splits "results/x/0123456789abcdef.safetensors" into the key and the store "results/x.db",
 * malloc'd. False for any other path. */
static bool split(const char *path, char key[17], char **store) {
    static const char ending[] = ".safetensors", folder_ending[] = ".weights";
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path || strlen(slash + 1) != 16 + strlen(ending) ||
        strcmp(slash + 17, ending) != 0)
        return false;
    memcpy(key, slash + 1, 16);
    key[16] = '\0';
    int folder = (int)(slash - path), more = (int)strlen(folder_ending);
    bool plain = folder > more && strncmp(slash - more, folder_ending, (size_t)more) == 0;
    *store = rg_string_format("%.*s%s", plain ? folder - more : folder, path, plain ? "" : ".db");
    return rg_key_is_valid(key);
}

RgStatus rg_weights_check_path(const char *path, RgError *error) {
    char key[17], *store_path = NULL;
    RgStore *store = NULL;
    RgChecksum sum;
    bool has = false, recorded = split(path, key, &store_path) && access(store_path, F_OK) == 0 &&
                                 rg_store_open(store_path, false, &store, NULL) == RG_OK &&
                                 rg_rows_has_table(store, "weights", &has, NULL) == RG_OK && has;
    RgStatus status = RG_OK;
    if (recorded) {
        RgRows *rows = rg_rows_open(store, "weights",
                                    "SELECT w.sha256 FROM weights w JOIN trials t ON t.id = w.trial"
                                    " WHERE t.key = ?1 AND w.file = 'final'");
        rg_rows_bind_text(rows, 1, key);
        status = rg_file_checksum(path, &sum, error);
        status = status == RG_OK ? compare(rows, path, sum.sha256, error)
                                 : rg_rows_close(rows, status, error);
    }
    rg_store_close(store);
    free(store_path);
    return status;
}
