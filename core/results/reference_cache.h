/* SPDX-License-Identifier: MIT */
/* The values of pairs (core/policy/pair_cache.h) in a table of the results store, so that the
 * trials of an experiment, and a run that takes up a killed one, find what others computed. */
#ifndef RG_CORE_RESULTS_REFERENCE_CACHE_H
#define RG_CORE_RESULTS_REFERENCE_CACHE_H

#include "core/policy/pair_cache.h"
#include "core/results/store.h"

typedef struct RgPairShelf RgPairShelf;

/* On a store that is open for writing, which must outlive the shelf. A store from before there was
 * such a table is given one. */
RgStatus rg_pair_shelf_open(RgStore *store, RgPairShelf **shelf, RgError *error);
void rg_pair_shelf_close(RgPairShelf *shelf);

/* The cache of values from `source` on this shelf, which must outlive it. */
RgPairCache rg_pair_shelf_cache(RgPairShelf *shelf, RgDigest source);

/* A trial goes on where the store refuses, as it has the values all the same: RG_E_STORE, and why,
 * when that has happened since the shelf was opened. */
RgStatus rg_pair_shelf_status(const RgPairShelf *shelf, RgError *error);

#endif
