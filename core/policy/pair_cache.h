/* SPDX-License-Identifier: MIT */
/* A cache of the log-probabilities that a frozen reference policy assigns to pairs of a data set,
 * which are the same in every trial.
 *
 * The key of a pair is a digest of its tokens and of everything its values depend on. The storage
 * is supplied by the caller; core/results/reference_cache.h provides one on disk. Values that are
 * not in the storage are computed. A pair's values do not depend on its neighbours, so a cached
 * value is indistinguishable from a computed one; so is its cost, which is stored with it.
 * Therefore a trial's meter does not depend on earlier trials.
 *
 * Threads: as the policy (policy.h). */
#ifndef RG_CORE_POLICY_PAIR_CACHE_H
#define RG_CORE_POLICY_PAIR_CACHE_H

#include "core/policy/policy.h"
#include "core/process_group.h"

typedef struct RgPairCache {
    RgDigest source; /* digest of what the values depend on besides the pair (rg_policy_digest) */

    /* keys [count], values [count], found [count]. `find` sets found[i] if key i is stored. */
    void *storage;
    void (*find)(void *storage, const RgDigest *keys, int64_t count, RgPairValues *values,
                 bool *found);
    void (*keep)(void *storage, const RgDigest *keys, const RgPairValues *values, int64_t count);

    int64_t found, computed; /* pairs so far */
} RgPairCache;

/* As rg_policy_pair_values, but takes stored values from the storage and stores those it computes.
 * `cache` NULL: all are computed. The ranks of a process group have the same policy and sequences.
 * Only rank 0 has a cache, or none. They share the computation. */
void rg_pair_cache_values(RgPairCache *cache, RgProcessGroup *process_group, RgPolicy *policy,
                          const RgSequences *sequences, RgPairValues *values);

#endif
