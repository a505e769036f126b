/* SPDX-License-Identifier: MIT */
/* The reference cache: a table of the results store with the values of pairs
 * (core/policy/pair_cache.h). The trials of an experiment, and a run that resumes a killed one,
 * find what others computed.
 *
 * Threads: as the store. */
#ifndef RG_CORE_RESULTS_REFERENCE_CACHE_H
#define RG_CORE_RESULTS_REFERENCE_CACHE_H

#include "core/policy/pair_cache.h"
#include "core/results/store.h"

typedef struct RgReferenceCache RgReferenceCache;

/* Opens it in a store that is open for writing and must outlive it. An older store is given the
 * table. */
RgStatus rg_reference_cache_open(RgStore *store, RgReferenceCache **storage, RgError *error);
void rg_reference_cache_close(RgReferenceCache *storage);

/* The pair cache for values from `source` in this storage, which must outlive it. */
RgPairCache rg_reference_cache_pairs(RgReferenceCache *storage, RgDigest source);

/* A failure to write does not stop a trial, because it has the values anyway. This returns
 * RG_E_STORE with the reason if one has happened since the storage was opened. */
RgStatus rg_reference_cache_status(const RgReferenceCache *storage, RgError *error);

#endif
