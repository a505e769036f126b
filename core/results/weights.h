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

/* The same of a path that someone gives: where it is that of final weights beside a store that can
 * be read and knows them. */
RgStatus rg_weights_check_path(const char *path, RgError *error);

#endif
