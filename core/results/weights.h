/* SPDX-License-Identifier: MIT */
/* Checking the files of weights next to a store, <key>.safetensors and
 * <key>-checkpoint.safetensors. The store has the SHA-256 of each, so a file that is damaged or
 * belongs to another trial is detected. Trials from before schema version 4 have no SHA-256, and
 * their files are not checked.
 *
 * Threads: as the store. */
#ifndef RG_CORE_RESULTS_WEIGHTS_H
#define RG_CORE_RESULTS_WEIGHTS_H

#include "core/checksum.h"
#include "core/results/store.h"

typedef enum RgWeightsFile { RG_WEIGHTS_FINAL, RG_WEIGHTS_CHECKPOINT } RgWeightsFile;

/* Checks the file at `path` against the SHA-256 in the store. RG_E_FORMAT if it differs, with the
 * expected and the actual value. `sum` is the file's. */
RgStatus rg_weights_check(RgStore *store, int64_t trial, RgWeightsFile file, const char *path,
                          RgChecksum *sum, RgError *error);

/* "results/x/<key>.safetensors" or the checkpoint's path, for the store results/x.db; malloc'd. */
char *rg_weights_path(const char *store, const char *key, RgWeightsFile file);

/* Checks a trial's file next to the store: RG_E_FORMAT if it is damaged, as above. `missing`: the
 * store knows one, but there is no file. This is so if a store was copied without its folder, or a
 * trial was killed while writing its first checkpoint. */
RgStatus rg_weights_look(RgStore *store, int64_t trial, const char *key, RgWeightsFile file,
                         bool *missing, RgError *error);

/* Copies a trial's file and checks the copy against the store. RG_E_FORMAT as above; then there is
 * no copy. */
RgStatus rg_weights_copy(RgStore *store, int64_t trial, RgWeightsFile file, const char *from,
                         const char *to, RgError *error);

/* rg_weights_check for a path given by a user, if it is that of final weights next to a readable
 * store that knows them. */
RgStatus rg_weights_check_path(const char *path, RgError *error);

#endif
