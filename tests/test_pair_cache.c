/* SPDX-License-Identifier: MIT */
/* Claims about the cache of pairs' values: what is found is what would be computed, cost and bits,
 * whatever is on the storage and whatever else is asked; and nothing else is ever taken for it. */
#include "core/results/reference_cache.h"
#include "core/tensor/threads.h"
#include "tests/save_checkpoint.h"
#include "tests/scratch.h"
#include "tests/token_race.h"

#include <math.h>
#include <sqlite3.h>
#include <string.h>

static RgError error;

TestSuite(pair_cache, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

/* ---- values of pairs ---- */

/* So wide that a batch and a pair of it are multiplied by different kernels. */
static RgPolicy *wide_policy(void) {
    RgTransformerOptions model = token_model;
    model.width = 64;
    model.hidden = 192;
    return token_policy(&model, 2);
}

static RgSequences *token_pairs(void) {
    RgSequences *pairs = rg_sequences_create();
    for (uint64_t i = 0; i < 4 * TOKEN_EXAMPLES; i++)
        token_append(pairs, i / 2, i);
    return pairs;
}

static void assert_same(const RgPairValues *a, const RgPairValues *b) {
    cr_assert_arr_eq(a->logprob, b->logprob, sizeof a->logprob);
    cr_assert_eq(a->flops, b->flops);
}

Test(pair_cache, a_pair_has_the_same_values_alone_as_in_company_on_any_number_of_threads) {
    RgPolicy *policy = wide_policy();
    RgSequences *pairs = token_pairs();
    int64_t n = pairs->count / 2;
    RgPairValues *together = rg_allocate(n, sizeof *together);
    double *batch = rg_allocate(pairs->count, sizeof *batch);
    rg_policy_logprob_values(policy, pairs, batch);
    double flops = 0;
    policy->flops = &flops;
    for (int threads = 1; threads <= 4; threads *= 2) {
        rg_threads_set(threads);
        rg_policy_pair_values(policy, pairs, together);
        cr_assert_eq(flops, 0);
        for (int64_t i = 0; i < n; i++) {
            int64_t start[3];
            RgSequences one = rg_sequences_view(pairs, 2 * i, 2 * i + 2, start);
            RgPairValues alone;
            rg_policy_pair_values(policy, &one, &alone);
            assert_same(&alone, &together[i]);
            cr_assert(alone.flops > 0 && alone.seconds > 0);
            for (int k = 0; k < 2; k++)
                cr_assert_float_eq(alone.logprob[k], batch[2 * i + k],
                                   1e-5 * (1 + fabs(batch[2 * i + k])));
        }
    }
    free(batch);
    free(together);
    rg_sequences_destroy(pairs);
    rg_policy_destroy(policy);
}

static bool digests_equal(RgDigest a, RgDigest b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

Test(pair_cache, a_policy_that_says_something_else_has_another_digest) {
    RgPolicy *policy = wide_policy(), *same = wide_policy();
    RgDigest digest = rg_policy_digest(policy);
    cr_assert(digests_equal(digest, rg_policy_digest(same)));
    rg_threads_set(4);
    cr_assert(digests_equal(digest, rg_policy_digest(same)));
    RgReal *last = &same->parameters->value[same->parameters->count - 1], before = *last;
    *last = nextafterf((float)before, 1);
    cr_assert_not(digests_equal(digest, rg_policy_digest(same)), "other weights");
    *last = before;
    same->precision = RG_PRECISION_BF16;
    cr_assert_not(digests_equal(digest, rg_policy_digest(same)), "another precision");
    same->precision = RG_PRECISION_FP32;
    rg_parameters_freeze(same->parameters);
    ASSERT_OK(rg_policy_store(same, RG_PRECISION_BF16, &error));
    RgDigest rounded = rg_policy_digest(same);
    cr_assert_not(digests_equal(digest, rounded), "rounded weights");
    same->parameters->rounded[0] ^= 1;
    cr_assert_not(digests_equal(rounded, rg_policy_digest(same)), "other rounded weights");
    rg_policy_destroy(same);
    RgTransformerOptions model = token_model;
    model.width = 64;
    model.hidden = 192;
    model.norm_epsilon *= 2;
    same = token_policy(&model, 2);
    cr_assert_not(digests_equal(digest, rg_policy_digest(same)), "another epsilon");
    rg_policy_destroy(same);
    RgAdapterOptions thin = {.rank = 2, .alpha = 4, .targets = "all"};
    ASSERT_OK(rg_policy_adapt(policy, &thin, rg_random_root(6), &same, &error));
    RgDigest adapted = rg_policy_digest(same);
    cr_assert_not(digests_equal(digest, adapted), "an adapter");
    policy->parameters->value[0] += 1;
    cr_assert_not(digests_equal(adapted, rg_policy_digest(same)), "other weights under it");
    rg_policy_destroy(same);
    rg_policy_destroy(policy);
}

/* ---- a storage in memory ---- */

enum { MEMORY_ROWS = 256 };
typedef struct MemoryShelf {
    RgDigest key[MEMORY_ROWS];
    RgPairValues values[MEMORY_ROWS];
    int64_t count;
} MemoryShelf;

static const RgPairValues *look_up(const MemoryShelf *storage, RgDigest key) {
    for (int64_t i = 0; i < storage->count; i++)
        if (digests_equal(storage->key[i], key))
            return &storage->values[i];
    return NULL;
}

static void memory_find(void *context, const RgDigest *keys, int64_t count, RgPairValues *values,
                        bool *found) {
    for (int64_t i = 0; i < count; i++) {
        const RgPairValues *row = look_up(context, keys[i]);
        found[i] = row != NULL;
        if (row)
            values[i] = *row;
    }
}

static void memory_keep(void *context, const RgDigest *keys, const RgPairValues *values,
                        int64_t count) {
    MemoryShelf *storage = context;
    for (int64_t i = 0; i < count; i++) {
        if (look_up(storage, keys[i]))
            continue;
        cr_assert_lt(storage->count, MEMORY_ROWS);
        storage->key[storage->count] = keys[i];
        storage->values[storage->count++] = values[i];
    }
}

static RgPairCache memory_cache(MemoryShelf *storage, RgDigest source) {
    return (RgPairCache){
        .source = source, .storage = storage, .find = memory_find, .keep = memory_keep};
}

/* ---- trials ---- */

enum { BATCH = 8, STEPS = 6 };

typedef struct Outcome {
    uint64_t bits;
    double flops, seconds;
} Outcome;

/* What `STEPS` steps come to, from a checkpoint after half of them if there is a path for one. */
static Outcome run_with(const char *algorithm, const char *options, RgPairCache *cache,
                        const char *checkpoint_path) {
    RgTrainingOptions training = {.batch = BATCH, .micro_batch = 3, .temperature = 1, .top_p = 1};
    TokenRace race;
    for (int part = 0; part < (checkpoint_path ? 2 : 1); part++) {
        ASSERT_OK(token_race_begin(&race, algorithm, options, &training, NULL, &error));
        rg_trainer_use_cache(race.trainer, cache);
        RgCheckpoint *checkpoint = rg_checkpoint_create();
        rg_trainer_checkpoint(race.trainer, checkpoint);
        if (part == 1)
            ASSERT_OK(rg_checkpoint_load(checkpoint, checkpoint_path, "x", &error));
        int64_t last = checkpoint_path && part == 0 ? STEPS / 2 : STEPS;
        while (race.trainer->step < last)
            cr_assert(take_step(race.trainer), "%s", race.trainer->outcome.diverged);
        if (checkpoint_path && part == 0) {
            ASSERT_OK(save_checkpoint(checkpoint, checkpoint_path, "x", &error));
            token_race_end(&race);
        }
        rg_checkpoint_destroy(checkpoint);
    }
    Outcome outcome = {rg_parameters_hash(race.policy->parameters), race.trainer->meter.flops,
                       race.trainer->meter.seconds};
    token_race_end(&race);
    return outcome;
}

static Outcome run(const char *algorithm, RgPairCache *cache, const char *checkpoint_path) {
    return run_with(algorithm, "", cache, checkpoint_path);
}

static void assert_same_outcome(Outcome a, Outcome b) {
    cr_assert_eq(a.bits, b.bits);
    cr_assert_eq(a.flops, b.flops);
}

/* The reference of token races, and so the source of their values. */
static RgDigest race_source(void) {
    RgPolicy *reference = token_policy(&token_model, 2);
    RgDigest source = rg_policy_digest(reference);
    rg_policy_destroy(reference);
    return source;
}

/* Its values change as it moves: none is looked up, and none is kept. */
Test(pair_cache, a_reference_that_moves_uses_no_cache) {
    static const char moving[] = "reference_steps=2 reference_update=0.5";
    MemoryShelf storage = {0};
    RgPairCache cache = memory_cache(&storage, race_source());
    Outcome without = run_with("dpo", moving, NULL, NULL), fixed = run("dpo", &cache, NULL);
    int64_t kept = storage.count;
    cr_assert_gt(kept, 0);
    cr_assert_neq(fixed.bits, without.bits);
    assert_same_outcome(run_with("dpo", moving, &cache, NULL), without);
    assert_same_outcome(run_with("dpo", moving, &cache, scratch("moving")), without);
    cr_assert_eq(storage.count, kept);
}

/* Whether nothing is on the storage, everything, or half of it; resumed or not; with any threads.
 */
Test(pair_cache, neither_bits_nor_flops_tell_what_was_found) {
    static const char *const names[] = {"dpo", "sail-dp", "sail-pp"};
    MemoryShelf *storage = rg_allocate(1, sizeof *storage);
    for (int i = 0; i < 3; i++) {
        *storage = (MemoryShelf){.count = 0};
        RgPairCache cache = memory_cache(storage, race_source());
        Outcome without = run(names[i], NULL, NULL);
        for (int threads = 1; threads <= 4; threads *= 2) {
            rg_threads_set(threads);
            storage->count = 0;
            assert_same_outcome(run(names[i], &cache, NULL), without);
            cr_assert_gt(storage->count, 0);
            assert_same_outcome(run(names[i], &cache, NULL), without);
            storage->count /= 2;
            assert_same_outcome(run(names[i], &cache, NULL), without);
            storage->count = 3;
            assert_same_outcome(run(names[i], &cache, scratch("checkpoint")), without);
        }
    }
    free(storage);
}

Test(pair_cache, a_second_trial_asks_nothing_of_the_reference) {
    MemoryShelf *storage = rg_allocate(1, sizeof *storage);
    RgPairCache cache = memory_cache(storage, race_source());
    run("dpo", &cache, NULL);
    int64_t asked = cache.computed;
    cr_assert_eq(asked + cache.found, BATCH * STEPS);
    cr_assert_eq(asked, TOKEN_EXAMPLES, "each pair of the data set once");
    run("dpo", &cache, NULL);
    run("sail-dp", &cache, NULL);
    cr_assert_eq(cache.computed, asked);
    cr_assert_eq(cache.found, 3 * BATCH * STEPS - asked);
    free(storage);
}

Test(pair_cache, what_was_sampled_is_not_kept) {
    MemoryShelf *storage = rg_allocate(1, sizeof *storage);
    RgPairCache cache = memory_cache(storage, race_source());
    run("sail-pp", &cache, NULL);
    cr_assert_lt(cache.computed + cache.found, BATCH * STEPS);
    cr_assert_leq(storage->count, TOKEN_EXAMPLES);
    int64_t rows = storage->count;
    run("dpo", &cache, NULL);
    cr_assert_eq(storage->count, TOKEN_EXAMPLES, "%d of them before", (int)rows);
    free(storage);
}

Test(pair_cache, what_is_found_is_charged_as_it_cost) {
    MemoryShelf *storage = rg_allocate(1, sizeof *storage);
    RgPairCache cache = memory_cache(storage, race_source());
    run("dpo", &cache, NULL);
    for (int64_t i = 0; i < storage->count; i++)
        storage->values[i].seconds = 1000;
    Outcome found = run("dpo", &cache, NULL);
    cr_assert(found.seconds > 1000 * BATCH * STEPS && found.seconds < 1000 * BATCH * STEPS + 100,
              "%g", found.seconds);
    free(storage);
}

Test(pair_cache, another_reference_or_other_pairs_find_nothing) {
    MemoryShelf *storage = rg_allocate(1, sizeof *storage);
    RgPairCache cache = memory_cache(storage, race_source());
    RgPolicy *policy = token_policy(&token_model, 2), *other = token_policy(&token_model, 3);
    RgSequences *pairs = token_pairs();
    int64_t n = pairs->count / 2;
    RgPairValues *values = rg_allocate(n, sizeof *values);
    rg_pair_cache_values(&cache, NULL, policy, pairs, values);
    cr_assert_eq(cache.computed, n);
    RgPairCache of_other = memory_cache(storage, rg_policy_digest(other));
    rg_pair_cache_values(&of_other, NULL, other, pairs, values);
    cr_assert_eq(of_other.found, 0);
    pairs->tokens[pairs->start[pairs->count] - 1] ^= 1;
    rg_pair_cache_values(&cache, NULL, policy, pairs, values);
    cr_assert_eq(cache.computed, n + 1, "one token is another");
    /* The same tokens, of which one more belongs to the prompt. */
    int64_t i = 0;
    while (rg_sequence_response_length(pairs, i) < 2)
        i++;
    pairs->prompt_length[i]++;
    rg_pair_cache_values(&cache, NULL, policy, pairs, values);
    cr_assert_eq(cache.computed, n + 2, "another prompt");
    free(values);
    rg_sequences_destroy(pairs);
    rg_policy_destroy(other);
    rg_policy_destroy(policy);
    free(storage);
}

/* ---- the storage in the results store ---- */

static const RgDigest keys[] = {{{1, 2}}, {{1, 3}}, {{0, 0}}};
static const RgPairValues rows[] = {{{-1.0 / 3, -2}, 3e10, 0.1}, {{-4, 0}, 5, 1e-9}, {{0}, 7, 0}};
enum { ROWS = sizeof keys / sizeof *keys };

typedef struct Disk {
    RgStore *store;
    RgReferenceCache *storage;
    RgPairCache cache;
} Disk;

static Disk disk_open(const char *path) {
    Disk disk = {0};
    ASSERT_OK(rg_store_open(path, true, &disk.store, &error));
    ASSERT_OK(rg_reference_cache_open(disk.store, &disk.storage, &error));
    disk.cache = rg_reference_cache_pairs(disk.storage, RG_DIGEST_START);
    return disk;
}

static void disk_close(Disk *disk) {
    rg_reference_cache_close(disk->storage);
    rg_store_close(disk->store);
}

static void sql(const Disk *disk, const char *text) {
    cr_assert_eq(sqlite3_exec(rg_store_database(disk->store), text, NULL, NULL, NULL), SQLITE_OK,
                 "%s", sqlite3_errmsg(rg_store_database(disk->store)));
}

/* Which rows are found, a bit each; those that are, are as they were written. */
static int found_rows(const Disk *disk) {
    RgPairValues values[ROWS];
    bool found[ROWS];
    int mask = 0;
    disk->cache.find(disk->cache.storage, keys, ROWS, values, found);
    for (int i = 0; i < ROWS; i++) {
        mask |= found[i] << i;
        if (found[i])
            cr_assert_arr_eq(&values[i], &rows[i], sizeof rows[i]);
    }
    return mask;
}

Test(pair_cache, on_disk_comes_back_after_reopening) {
    const char *path = scratch("x.db");
    Disk disk = disk_open(path);
    cr_assert_eq(found_rows(&disk), 0);
    disk.cache.keep(disk.cache.storage, keys, rows, 2);
    cr_assert_eq(found_rows(&disk), 3);
    disk.cache.keep(disk.cache.storage, keys, rows, ROWS);
    ASSERT_OK(rg_reference_cache_status(disk.storage, &error));
    disk_close(&disk);
    disk = disk_open(path);
    cr_assert_eq(found_rows(&disk), 7);
    disk_close(&disk);
}

Test(pair_cache, a_row_that_is_not_as_it_was_written_is_none) {
    static const char *const damages[] = {
        "UPDATE pair_values SET first = first - 1e-12",
        "UPDATE pair_values SET flops = flops + 1",
        "UPDATE pair_values SET seconds = NULL",
        "UPDATE pair_values SET second = 0.5",
        "UPDATE pair_values SET proof = proof + 1",
        "UPDATE pair_values SET proof = NULL",
        "UPDATE pair_values SET key = CAST(key || x'00' AS BLOB)",
        "UPDATE pair_values SET first = second, second = first",
    };
    Disk disk = disk_open(scratch("x.db"));
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        disk.cache.keep(disk.cache.storage, keys, rows, 2);
        cr_assert_eq(found_rows(&disk), 3);
        sql(&disk, damages[i]);
        cr_assert_eq(found_rows(&disk), 0, "%s", damages[i]);
    }
    /* A row under another's key. */
    sql(&disk, "DELETE FROM pair_values");
    disk.cache.keep(disk.cache.storage, keys, rows, 1);
    sql(&disk, "UPDATE pair_values SET key = x'01000000000000000300000000000000'");
    cr_assert_eq(found_rows(&disk), 0);
    ASSERT_OK(rg_reference_cache_status(disk.storage, &error));
    disk_close(&disk);
}

Test(pair_cache, what_is_not_finite_is_not_kept) {
    Disk disk = disk_open(scratch("x.db"));
    RgPairValues odd[] = {{{NAN, 0}, 1, 1}, {{0, -INFINITY}, 1, 1}};
    disk.cache.keep(disk.cache.storage, keys, odd, 2);
    cr_assert_eq(found_rows(&disk), 0);
    ASSERT_OK(rg_reference_cache_status(disk.storage, &error));
    disk_close(&disk);
}

static int schema_version(Disk *disk) {
    sqlite3_stmt *version;
    sqlite3_prepare_v2(rg_store_database(disk->store), "PRAGMA user_version", -1, &version, NULL);
    cr_assert_eq(sqlite3_step(version), SQLITE_ROW);
    int value = sqlite3_column_int(version, 0);
    sqlite3_finalize(version);
    return value;
}

Test(pair_cache, a_store_from_before_is_given_the_table_and_stays_of_its_version) {
    const char *path = scratch("x.db");
    Disk disk = disk_open(path);
    int version = schema_version(&disk);
    sql(&disk, "DROP TABLE pair_values");
    disk_close(&disk);
    disk = disk_open(path);
    disk.cache.keep(disk.cache.storage, keys, rows, ROWS);
    cr_assert_eq(found_rows(&disk), 7);
    cr_assert_eq(schema_version(&disk), version);
    disk_close(&disk);
}

Test(pair_cache, a_store_that_refuses_is_told_and_leaves_nothing_half_written) {
    Disk disk = disk_open(scratch("x.db"));
    sqlite3_db_config(rg_store_database(disk.store), SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
    sql(&disk, "CREATE TRIGGER t BEFORE INSERT ON pair_values WHEN new.flops = 5 "
               "BEGIN SELECT RAISE(ABORT, 'not today'); END");
    disk.cache.keep(disk.cache.storage, keys, rows, ROWS);
    cr_assert_eq(found_rows(&disk), 0);
    cr_assert_eq(rg_reference_cache_status(disk.storage, &error), RG_E_STORE);
    cr_assert(strstr(error.text, "x.db: cannot store values of pairs: not today"), "%s",
              error.text);
    disk_close(&disk);
}
