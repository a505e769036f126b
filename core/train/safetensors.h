/* SPDX-License-Identifier: MIT */
/* safetensors files: an 8-byte length, a JSON header, then the raw numbers. Little-endian.
 *
 * Threads: any number may read an open file. */
#ifndef RG_CORE_TRAIN_SAFETENSORS_H
#define RG_CORE_TRAIN_SAFETENSORS_H

#include "core/new_file.h"

typedef enum RgStoredType {
    RG_F32,
    RG_F64,
    RG_F16,
    RG_BF16,
    RG_I32,
    RG_I64,
    RG_U8,
    RG_BOOL, /* from here on: types other programs store with weights, not readable as numbers
              * here */
    RG_I8,
    RG_I16,
    RG_U16,
    RG_U32,
    RG_U64,
    RG_F8_E4M3,
    RG_F8_E5M2,
} RgStoredType;
const char *rg_stored_type_name(RgStoredType type); /* as in the file: "F32" */

typedef struct RgStoredTensor {
    const char *name;
    RgStoredType type;
    int rank;
    int64_t size[4];
    const void *data;
    size_t bytes;
} RgStoredTensor;

/* Metadata is a list key, value, key, value, …, NULL. */
RgStatus rg_safetensors_write(const char *path, const RgStoredTensor *tensors, int count,
                              const char *const *metadata, RgError *error);
/* The same into a file that the caller begins and ends. */
RgStatus rg_safetensors_write_into(RgNewFile *file, const RgStoredTensor *tensors, int count,
                                   const char *const *metadata, RgError *error);

/* Computes the numbers of a tensor whose `data` is NULL, as it is written: out [tensor->bytes], in
 * memory that the next tensor reuses. */
typedef void RgTensorFill(void *context, const RgStoredTensor *tensor, void *out);
/* The same as rg_safetensors_write, for tensors some of which are never in memory at once. */
RgStatus rg_safetensors_write_filled(const char *path, const RgStoredTensor *tensors, int count,
                                     const char *const *metadata, RgTensorFill *fill, void *context,
                                     RgError *error);

/* An open file. Opening checks it completely: every offset is inside, nothing overlaps, sizes
 * agree. */
typedef struct RgSafetensors RgSafetensors;
RgStatus rg_safetensors_open(const char *path, RgSafetensors **file, RgError *error);
void rg_safetensors_close(RgSafetensors *file);
int rg_safetensors_count(const RgSafetensors *file);
const RgStoredTensor *rg_safetensors_at(const RgSafetensors *file, int index);
const RgStoredTensor *rg_safetensors_find(const RgSafetensors *file, const char *name);
const char *rg_safetensors_metadata(const RgSafetensors *file, const char *key); /* or NULL */

/* Converts a stored tensor of any float type to RgReal: out [product of sizes]. */
RgStatus rg_stored_to_real(const RgStoredTensor *tensor, RgReal *out, RgError *error);

/* The same for numbers [first, first + count) of a tensor of an open file. What was read is not
 * kept in memory, so a checkpoint never takes memory in addition to the converted numbers. */
RgStatus rg_safetensors_read(const RgSafetensors *file, const RgStoredTensor *tensor, int64_t first,
                             int64_t count, RgReal *out, RgError *error);
/* Releases the memory that reading a tensor took. Reading it again is possible. */
void rg_safetensors_release(const RgSafetensors *file, const RgStoredTensor *tensor);

#endif
