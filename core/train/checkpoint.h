/* SPDX-License-Identifier: MIT */
/* Checkpoints: the arrays and counters that a killed run needs to continue with the same bits.
 *
 * The owner of state lists it once. Saving and loading both follow this list.
 *
 * Threads: one at a time per checkpoint. */
#ifndef RG_CORE_TRAIN_CHECKPOINT_H
#define RG_CORE_TRAIN_CHECKPOINT_H

#include "core/new_file.h"
#include "core/process_group.h"
#include "core/tensor/parameters.h"
#include "core/train/meter.h"
#include "core/train/optimizer.h"

typedef struct RgCheckpoint RgCheckpoint;

RgCheckpoint *rg_checkpoint_create(void);
void rg_checkpoint_destroy(RgCheckpoint *checkpoint);

/* Add to the list. Memory is borrowed; names are copied. */
void rg_checkpoint_reals(RgCheckpoint *checkpoint, const char *name, RgReal *data, int64_t count);
void rg_checkpoint_doubles(RgCheckpoint *checkpoint, const char *name, double *data, int64_t count);
void rg_checkpoint_integers(RgCheckpoint *checkpoint, const char *name, int64_t *data,
                            int64_t count);
void rg_checkpoint_parameters(RgCheckpoint *checkpoint, const char *name, RgParameters *parameters);
void rg_checkpoint_optimizer(RgCheckpoint *checkpoint, const char *name, RgOptimizer *optimizer);
void rg_checkpoint_meter(RgCheckpoint *checkpoint, RgMeter *meter);

/* The kernels that computed the state (rg_blas_core), stored with it: `name` is copied. After
 * loading it is the name in the file, or NULL if the file has none. */
void rg_checkpoint_set_kernels(RgCheckpoint *checkpoint, const char *name);
const char *rg_checkpoint_kernels(const RgCheckpoint *checkpoint);

/* One safetensors file. The caller of rg_checkpoint_write ends the file. Loading fills the listed
 * memory. It fails with RG_E_FORMAT, changing nothing, if a name is missing, a size differs, or
 * `identity` differs from the stored one. */
RgStatus rg_checkpoint_write(const RgCheckpoint *checkpoint, RgNewFile *file, const char *identity,
                             RgError *error);
RgStatus rg_checkpoint_load(RgCheckpoint *checkpoint, const char *path, const char *identity,
                            RgError *error);

/* Broadcasts rank 0's listed memory to all ranks, which must have listed the same. */
void rg_checkpoint_share(RgCheckpoint *checkpoint, RgProcessGroup *process_group);

#endif
