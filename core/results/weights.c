/* Comparing files of weights with the sums that the store keeps. */
#include "core/results/weights.h"

#include "core/names.h"
#include "core/results/rows.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Does the file at `path` have a sum that the rows give? None: it is not known. */
static RgStatus compare(RgRows *rows, const char *path, RgChecksum *sum, RgError *error) {
    char expected[RG_SHA256_TEXT] = "";
    RgStatus status = rg_file_checksum(path, sum, error);
    bool same = false;
    while (status == RG_OK && !same && rg_rows_next(rows)) {
        memcpy(expected, rg_rows_text(rows, 0), sizeof expected);
        same = strcmp(expected, sum->sha256) == 0;
    }
    RG_TRY(rg_rows_close(rows, status, error));
    return same || !expected[0]
               ? RG_OK
               : rg_fail(error, RG_E_FORMAT, "%s: is damaged: its SHA-256 is %s, expected %s", path,
                         sum->sha256, expected);
}

RgStatus rg_weights_check(RgStore *store, int64_t trial, RgWeightsFile file, const char *path,
                          RgChecksum *sum, RgError *error) {
    static const char *const names[] = {
        [RG_WEIGHTS_FINAL] = "final", [RG_WEIGHTS_CHECKPOINT] = "checkpoint"};
    bool has;
    RG_TRY(rg_rows_has_table(store, "weights", &has, error));
    if (!has) /* of an older program */
        return rg_file_checksum(path, sum, error);
    RgRows *rows =
        rg_rows_open(store, "weights", "SELECT sha256 FROM weights WHERE trial = ?1 AND file = ?2");
    rg_rows_of_trial(rows, trial);
    rg_rows_bind_text(rows, 2, names[file]);
    return compare(rows, path, sum, error);
}

/* Of "results/x/0123456789abcdef.safetensors" the key and the store "results/x.db", malloc'd; false
 * where it is no such path. */
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
    bool has = false, asked = split(path, key, &store_path) && access(store_path, F_OK) == 0 &&
                              rg_store_open(store_path, false, &store, NULL) == RG_OK &&
                              rg_rows_has_table(store, "weights", &has, NULL) == RG_OK && has;
    RgStatus status = RG_OK;
    if (asked) {
        RgRows *rows = rg_rows_open(store, "weights",
                                    "SELECT w.sha256 FROM weights w JOIN trials t ON t.id = w.trial"
                                    " WHERE t.key = ?1 AND w.file = 'final'");
        rg_rows_bind_text(rows, 1, key);
        status = compare(rows, path, &sum, error);
    }
    rg_store_close(store);
    free(store_path);
    return status;
}
