/* SPDX-License-Identifier: MIT */
/* A checkpoint as a file, in one call. */
#ifndef RG_TESTS_SAVE_CHECKPOINT_H
#define RG_TESTS_SAVE_CHECKPOINT_H

#include "core/train/checkpoint.h"

static inline RgStatus save_checkpoint(const RgCheckpoint *checkpoint, const char *path,
                                       const char *identity, RgError *error) {
    RgNewFile file;
    RG_TRY(rg_new_file_begin(path, &file, error));
    return rg_new_file_end(&file, rg_checkpoint_write(checkpoint, &file, identity, error), error);
}

#endif
