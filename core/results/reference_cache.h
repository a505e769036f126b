/* SPDX-License-Identifier: MIT */
/* The values of pairs (core/policy/pair_cache.h) in a table of the results store, so that the
 * trials of an experiment, and a run that takes up a killed one, find what others computed. */
#ifndef RG_CORE_RESULTS_REFERENCE_CACHE_H
#define RG_CORE_RESULTS_REFERENCE_CACHE_H

#include "core/policy/pair_cache.h"
#include "core/results/store.h"

typedef struct RgReferenceCache RgReferenceCache;

/* On a store that is open for writing, which must outlive the storage. A store from before there
 * was such a table is given one. */
RgStatus rg_reference_cache_open(RgStore *store, RgReferenceCache **storage, RgError *error);
void rg_reference_cache_close(RgReferenceCache *storage);

/* The cache of values from `source` on this storage, which must outlive it. */
RgPairCache rg_reference_cache_pairs(RgReferenceCache *storage, RgDigest source);

/* A trial goes on where the store refuses, as it has the values all the same: RG_E_STORE, and why,
 * when that has happened since the storage was opened. */
RgStatus rg_reference_cache_status(const RgReferenceCache *storage, RgError *error);

#endif
