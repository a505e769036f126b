/* Keys of pairs, and computing what the shelf does not have. Where values are kept is not known
 * here. */
#include "core/policy/pair_cache.h"

#include <stdlib.h>

/* The tokens of a pair lie next to each other; the lengths tell where its parts begin. */
static RgDigest pair_key(RgDigest source, const RgSequences *s, int64_t pair) {
    int64_t i = 2 * pair;
    int64_t lengths[4] = {s->prompt_length[i], rg_sequence_length(s, i), s->prompt_length[i + 1],
                          rg_sequence_length(s, i + 1)};
    size_t tokens = (size_t)(s->start[i + 2] - s->start[i]);
    RgDigest key = rg_digest(source, lengths, sizeof lengths);
    return rg_digest(key, s->tokens + s->start[i], tokens * sizeof *s->tokens);
}

/* Compute those that were not found, and put them on the shelf. */
static void compute_missing(RgPairCache *cache, RgPolicy *policy, const RgSequences *sequences,
                            const RgDigest *keys, const bool *found, RgPairValues *values) {
    int64_t count = sequences->count / 2, missing = 0;
    RgSequences *asked = rg_sequences_create();
    RgDigest *asked_keys = rg_allocate((size_t)count * sizeof *asked_keys);
    RgPairValues *made = rg_allocate((size_t)count * sizeof *made);
    for (int64_t i = 0; i < count; i++) {
        if (found[i])
            continue;
        rg_sequences_append_from(asked, sequences, 2 * i, false);
        rg_sequences_append_from(asked, sequences, 2 * i + 1, false);
        asked_keys[missing++] = keys[i];
    }
    rg_policy_pair_values(policy, asked, made);
    cache->keep(cache->shelf, asked_keys, made, missing);
    for (int64_t i = count; i-- > 0;)
        if (!found[i])
            values[i] = made[--missing];
    rg_sequences_destroy(asked);
    free(asked_keys);
    free(made);
}

void rg_pair_cache_values(RgPairCache *cache, RgPolicy *policy, const RgSequences *sequences,
                          RgPairValues *values) {
    int64_t count = sequences->count / 2, there = 0;
    if (!cache) {
        rg_policy_pair_values(policy, sequences, values);
        return;
    }
    RgDigest *keys = rg_allocate((size_t)count * sizeof *keys);
    bool *found = rg_allocate((size_t)count * sizeof *found);
    for (int64_t i = 0; i < count; i++)
        keys[i] = pair_key(cache->source, sequences, i);
    cache->find(cache->shelf, keys, count, values, found);
    for (int64_t i = 0; i < count; i++)
        there += found[i];
    if (there < count)
        compute_missing(cache, policy, sequences, keys, found, values);
    cache->found += there;
    cache->computed += count - there;
    free(found);
    free(keys);
}
