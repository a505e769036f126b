/* SPDX-License-Identifier: MIT */
/* The files of weights beside a store, <key>.safetensors and <key>-checkpoint.safetensors: are they
 * what the store knows? It keeps the SHA-256 of each, so that a file that a disk has damaged, or
 * that is another trial's, is not taken for this one's. Trials of programs before schema version 4
 * have none, and their files are taken as they are. */
#ifndef RG_CORE_RESULTS_WEIGHTS_H
#define RG_CORE_RESULTS_WEIGHTS_H

#include "core/checksum.h"
#include "core/results/store.h"

typedef enum RgWeightsFile { RG_WEIGHTS_FINAL, RG_WEIGHTS_CHECKPOINT } RgWeightsFile;

/* Hold the file at `path` against what the store knows of a trial's. RG_E_FORMAT, with the sum
 * that was expected and the one that was found, where it is another. `sum` is the file's. */
RgStatus rg_weights_check(RgStore *store, int64_t trial, RgWeightsFile file, const char *path,
                          RgChecksum *sum, RgError *error);

/* "results/x/<key>.safetensors", or that of the checkpoint, of the store results/x.db; malloc'd. */
char *rg_weights_path(const char *store, const char *key, RgWeightsFile file);

/* Look at a trial's file beside the store: RG_E_FORMAT where it is damaged, as above. `missing`:
 * the store knows one, and there is none; a store that was passed on without its folder has none,
 * nor has a trial whose first checkpoint was being written when it was killed. */
RgStatus rg_weights_look(RgStore *store, int64_t trial, const char *key, RgWeightsFile file,
                         bool *missing, RgError *error);

/* Copy a trial's file, and hold what was copied against what the store knows: RG_E_FORMAT as above,
 * and then there is no copy. */
RgStatus rg_weights_copy(RgStore *store, int64_t trial, RgWeightsFile file, const char *from,
                         const char *to, RgError *error);

/* rg_weights_check of a path that someone gives: where it is that of final weights beside a store
 * that can be read and knows them. */
RgStatus rg_weights_check_path(const char *path, RgError *error);

#endif
