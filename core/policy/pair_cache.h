/* SPDX-License-Identifier: MIT */
/* What a frozen policy says of pairs, kept from one trial to the next: the log-probabilities that a
 * reference gives to the pairs of a data set are the same in every trial.
 *
 * A pair is known by a digest of its tokens and of what the values hang on. Where they are kept is
 * the storage's business; core/results/reference_cache.h has one on disk. What is not on the
 * storage is computed, and since a pair's values do not depend on its neighbours, nobody can tell
 * from them which were found. Nor from their cost: what is found costs what it cost when it was
 * computed, so that a trial's meter does not depend on what ran before it. */
#ifndef RG_CORE_POLICY_PAIR_CACHE_H
#define RG_CORE_POLICY_PAIR_CACHE_H

#include "core/policy/policy.h"
#include "core/process_group.h"

typedef struct RgPairCache {
    RgDigest source; /* of all that the values hang on besides the pair: see rg_policy_digest */

    /* keys [count], values [count], found [count]; `find` says of every key whether it is there. */
    void *storage;
    void (*find)(void *storage, const RgDigest *keys, int64_t count, RgPairValues *values,
                 bool *found);
    void (*keep)(void *storage, const RgDigest *keys, const RgPairValues *values, int64_t count);

    int64_t found, computed; /* pairs so far */
} RgPairCache;

/* As rg_policy_pair_values, with what is on the storage found there, and what is not put there.
 * `cache` NULL: all is computed. Of a process group, whose ranks have the same policy and
 * sequences, the first alone has a cache, or none; they share what is to be computed. */
void rg_pair_cache_values(RgPairCache *cache, RgProcessGroup *process_group, RgPolicy *policy,
                          const RgSequences *sequences, RgPairValues *values);

#endif
