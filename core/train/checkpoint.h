/* SPDX-License-Identifier: MIT */
/* Checkpoints: the arrays and counters that a killed run needs to go on with the same bits.
 *
 * Whoever holds state lists it once; saving and loading walk the same list. */
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

/* List what belongs to the state. Memory is borrowed; names are copied. */
void rg_checkpoint_reals(RgCheckpoint *checkpoint, const char *name, RgReal *data, int64_t count);
void rg_checkpoint_doubles(RgCheckpoint *checkpoint, const char *name, double *data, int64_t count);
void rg_checkpoint_integers(RgCheckpoint *checkpoint, const char *name, int64_t *data,
                            int64_t count);
void rg_checkpoint_parameters(RgCheckpoint *checkpoint, const char *name, RgParameters *parameters);
void rg_checkpoint_optimizer(RgCheckpoint *checkpoint, const char *name, RgOptimizer *optimizer);
void rg_checkpoint_meter(RgCheckpoint *checkpoint, RgMeter *meter);

/* Which kernels computed the state (rg_blas_core), to be stored beside it: `name` is copied. After
 * loading it is what the file says; NULL where it says nothing. */
void rg_checkpoint_set_kernels(RgCheckpoint *checkpoint, const char *name);
const char *rg_checkpoint_kernels(const RgCheckpoint *checkpoint);

/* One safetensors file; writing leaves it to the caller to end. Loading fills the listed memory,
 * and fails with nothing changed when a name is missing or a size differs: RG_E_FORMAT. `identity`
 * is stored, and on loading must be the same. */
RgStatus rg_checkpoint_write(const RgCheckpoint *checkpoint, RgNewFile *file, const char *identity,
                             RgError *error);
RgStatus rg_checkpoint_load(RgCheckpoint *checkpoint, const char *path, const char *identity,
                            RgError *error);

/* What the first rank of a process group has is there on all: they have listed the same. */
void rg_checkpoint_share(RgCheckpoint *checkpoint, RgProcessGroup *process_group);

#endif
