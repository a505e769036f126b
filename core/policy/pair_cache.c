/* SPDX-License-Identifier: MIT */
/* Keys of pairs, and computing the values that are not in the storage. */
#include "core/policy/pair_cache.h"

#include <stdlib.h>

/* The tokens of a pair are adjacent; the lengths separate its parts. */
static RgDigest pair_key(RgDigest source, const RgSequences *s, int64_t pair) {
    int64_t i = 2 * pair;
    int64_t lengths[4] = {s->prompt_length[i], rg_sequence_length(s, i), s->prompt_length[i + 1],
                          rg_sequence_length(s, i + 1)};
    size_t tokens = (size_t)(s->start[i + 2] - s->start[i]);
    RgDigest key = rg_digest(source, lengths, sizeof lengths);
    return rg_digest(key, s->tokens + s->start[i], tokens * sizeof *s->tokens);
}

/* Computes values of pairs, a run of them on each rank. Their seconds are the time elapsed on rank
 * 0, split by FLOPs. */
static void compute(RgProcessGroup *process_group, RgPolicy *policy, const RgSequences *pairs,
                    RgPairValues *values) {
    int64_t count = pairs->count / 2, rank = rg_process_group_rank(process_group),
            size = rg_process_group_size(process_group);
    if (size == 1) {
        rg_policy_pair_values(policy, pairs, values);
        return;
    }
    double start = rg_clock_seconds(), flops = 0;
    int64_t first = count * rank / size, last = count * (rank + 1) / size;
    int64_t *token = rg_allocate(2 * (last - first) + 1, sizeof *token);
    RgSequences own = rg_sequences_view(pairs, 2 * first, 2 * last, token);
    rg_policy_pair_values(policy, &own, values + first);
    size_t *part = rg_allocate(size + 1, sizeof *part);
    for (int64_t q = 0; q <= size; q++)
        part[q] = (size_t)(count * q / size) * sizeof *values;
    rg_process_group_gather_parts(process_group, values, part);
    double seconds = rg_clock_seconds() - start;
    for (int64_t i = 0; i < count; i++)
        flops += values[i].flops;
    for (int64_t i = 0; i < count; i++)
        values[i].seconds = flops > 0 ? seconds * values[i].flops / flops : 0;
    free(part);
    free(token);
}

/* Computes the missing values and puts them into the storage. */
static void compute_missing(RgPairCache *cache, RgProcessGroup *process_group, RgPolicy *policy,
                            const RgSequences *sequences, const RgDigest *keys, const bool *found,
                            RgPairValues *values) {
    int64_t count = sequences->count / 2, missing = 0;
    RgSequences *missing_pairs = rg_sequences_create();
    RgDigest *missing_keys = rg_allocate(count, sizeof *missing_keys);
    RgPairValues *made = rg_allocate(count, sizeof *made);
    for (int64_t i = 0; i < count; i++) {
        if (found[i])
            continue;
        rg_sequences_append_from(missing_pairs, sequences, 2 * i, false);
        rg_sequences_append_from(missing_pairs, sequences, 2 * i + 1, false);
        missing_keys[missing++] = keys[i];
    }
    compute(process_group, policy, missing_pairs, made);
    if (cache)
        cache->keep(cache->storage, missing_keys, made, missing);
    for (int64_t i = count; i-- > 0;)
        if (!found[i])
            values[i] = made[--missing];
    rg_sequences_destroy(missing_pairs);
    free(missing_keys);
    free(made);
}

void rg_pair_cache_values(RgPairCache *cache, RgProcessGroup *process_group, RgPolicy *policy,
                          const RgSequences *sequences, RgPairValues *values) {
    int64_t count = sequences->count / 2, there = 0;
    if (!cache && rg_process_group_size(process_group) == 1) {
        rg_policy_pair_values(policy, sequences, values);
        return;
    }
    RgDigest *keys = rg_allocate(count, sizeof *keys);
    bool *found = rg_allocate(count, sizeof *found);
    for (int64_t i = 0; i < count && cache; i++)
        keys[i] = pair_key(cache->source, sequences, i);
    if (cache)
        cache->find(cache->storage, keys, count, values, found);
    rg_process_group_broadcast(process_group, found, (size_t)count * sizeof *found);
    rg_process_group_broadcast(process_group, values, (size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        there += found[i];
    if (there < count)
        compute_missing(cache, process_group, policy, sequences, keys, found, values);
    if (cache) {
        cache->found += there;
        cache->computed += count - there;
    }
    free(found);
    free(keys);
}
