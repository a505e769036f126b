/* SPDX-License-Identifier: MIT */
/* Merging stores: nothing is lost, nothing is there twice, two results under one name are refused,
 * and a merge may be killed and run again. */
#include "core/files.h"
#include "core/new_file.h"
#include "core/results/reference_cache.h"
#include "core/results/store_merge.h"
#include "core/results/trial_compare.h"
#include "tests/results_fixture.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

static RgError error;

TestSuite(merge, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

static RgStore *open_store(const char *path, bool writable) {
    RgStore *store = NULL;
    ASSERT_OK(rg_store_open(path, writable, &store, &error));
    return store;
}

/* All that a query gives, as one text; the caller frees. */
static char *ask(const char *path, const char *text) {
    RgStore *store = open_store(path, false);
    sqlite3_stmt *row;
    char *answer = rg_string_copy("");
    cr_assert_eq(sqlite3_prepare_v2(rg_store_database(store), text, -1, &row, NULL), SQLITE_OK,
                 "%s", sqlite3_errmsg(rg_store_database(store)));
    while (sqlite3_step(row) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(row); i++) {
            const char *value = (const char *)sqlite3_column_text(row, i);
            char *more =
                rg_string_format("%s%s%s", answer, answer[0] ? "|" : "", value ? value : "NULL");
            free(answer);
            answer = more;
        }
    sqlite3_finalize(row);
    rg_store_close(store);
    return answer;
}

static void expect(const char *path, const char *query, const char *expected) {
    char *answer = ask(path, query);
    cr_assert_str_eq(answer, expected, "%s: %s", path, query);
    free(answer);
}

/* Everything that a store holds of trials, under names in place of row numbers. */
static const char everything[] =
    "WITH t AS (SELECT t.id AS id, e.name || ' ' || t.key AS owner FROM trials t"
    "           JOIN experiments e ON e.id = t.experiment)"
    " SELECT group_concat(line, char(10)) FROM ("
    "  SELECT json_array('e', name, config) AS line FROM experiments"
    "  UNION ALL SELECT json_array(owner, algorithm, label, seed, status, reason, swept, config,"
    "   provenance, updated, selected) FROM trials JOIN t USING (id)"
    "  UNION ALL SELECT json_array(owner, step, flops, seconds, trained_tokens, generated_tokens,"
    "   judge_queries, dataset_responses, hessian_products, peak_memory, evaluated)"
    "   FROM readings r JOIN t ON t.id = r.trial"
    "  UNION ALL SELECT json_array(t.owner, step, name, value) FROM metrics r"
    "   JOIN t ON t.id = r.trial"
    "  UNION ALL SELECT json_array(t.owner, step, item, name, value) FROM evaluations r"
    "   JOIN t ON t.id = r.trial"
    "  UNION ALL SELECT json_array(t.owner, step, item, prompt, response) FROM responses r"
    "   JOIN t ON t.id = r.trial ORDER BY 1)";

static void same_content(const char *a, const char *b) {
    char *left = ask(a, everything), *right = ask(b, everything);
    cr_assert(strlen(left) > 1000);
    cr_assert_str_eq(left, right);
    free(left);
    free(right);
}

/* A file of a trial beside the store at `path`. */
static void write_file(const char *path, const char *name, const char *text) {
    char *folder = rg_store_folder(path), *file = rg_string_format("%s/%s", folder, name);
    mkdir(folder, 0777);
    ASSERT_OK(rg_file_write(file, text, strlen(text), &error));
    free(folder);
    free(file);
}

/* Its text, or NULL. */
static char *read_file(const char *path, const char *name) {
    char *folder = rg_store_folder(path), *file = rg_string_format("%s/%s", folder, name);
    char *text = NULL;
    if (access(file, F_OK) == 0)
        ASSERT_OK(rg_file_read(file, &text, NULL, &error));
    free(folder);
    free(file);
    return text;
}

static void expect_file(const char *path, const char *name, const char *expected) {
    char *text = read_file(path, name);
    if (expected)
        cr_assert(text && strcmp(text, expected) == 0, "%s: %s", name, text ? text : "missing");
    else
        cr_assert_null(text, "%s is there", name);
    free(text);
}

/* A store with one trial of one experiment; its key tells label, swept values and seed. */
static const char *store_of(const char *name, const char *experiment, FixtureTrial trial) {
    const char *path = scratch(name);
    int64_t id;
    RgStore *store = fixture_open(path, experiment, &id);
    fixture_trial(store, id, &trial);
    rg_store_close(store);
    return path;
}

static FixtureTrial dpo(int seed, const char *status, int steps) {
    return (FixtureTrial){"dpo", "DPO", "{}", status, NULL, seed, 0.5, 1, steps, false, true};
}

/* The keys of such a trial of seed 1 and of seed 3. */
#define DPO_1 "8fc719a05e3bbfd9"
#define DPO_3 "8fc717a05e3bbc73"

static RgMergeCounts merge(const char *target, const char *source) {
    RgMergeCounts counts = {0};
    RgStore *store = open_store(target, true);
    ASSERT_OK(rg_store_merge(store, source, &counts, &error));
    rg_store_close(store);
    return counts;
}

static void refuse(const char *target, const char *source, const char *word, const char *other) {
    char *before = ask(target, everything);
    RgStore *store = open_store(target, true);
    cr_assert_neq(rg_store_merge(store, source, NULL, &error), RG_OK);
    rg_store_close(store);
    cr_assert(strstr(error.text, word) && strstr(error.text, other), "%s", error.text);
    char *after = ask(target, everything);
    cr_assert_str_eq(before, after, "a merge that is refused changes nothing");
    free(before);
    free(after);
}

Test(merge, into_an_empty_store_is_a_copy_with_weights) {
    char *source = fixture_methods();
    write_file(source, DPO_1 ".safetensors", "weights");
    const char *target = scratch("target.db");
    RgMergeCounts counts = merge(target, source);
    cr_assert_eq(counts.added, 12);
    cr_assert_eq(counts.replaced + counts.kept, 0);
    same_content(source, target);
    char *created = ask(source, "SELECT created FROM experiments");
    expect(target, "SELECT created FROM experiments", created);
    expect_file(target, DPO_1 ".safetensors", "weights");
    free(created);
    free(source);
}

Test(merge, again_changes_nothing) {
    char *source = fixture_methods();
    const char *target = scratch("target.db");
    merge(target, source);
    RgMergeCounts counts = merge(target, source);
    cr_assert_eq(counts.kept, 12);
    cr_assert_eq(counts.added + counts.replaced, 0);
    same_content(source, target);
    free(source);
}

Test(merge, brings_trials_of_one_experiment_together_and_keeps_others_apart) {
    const char *a = store_of("a.db", "race", dpo(1, "finished", 50));
    const char *b = store_of("b.db", "race", dpo(2, "finished", 50));
    const char *c = store_of("c.db", "other", dpo(1, "finished", 25));
    merge(a, b);
    merge(a, c);
    expect(a,
           "SELECT name, count(*), sum(seed) FROM experiments e JOIN trials t ON"
           " t.experiment = e.id GROUP BY name ORDER BY name",
           "other|1|1|race|2|3");
    expect(a, "SELECT max(step) FROM readings GROUP BY trial ORDER BY trial", "50|50|25");
}

Test(merge, a_finished_trial_stands_for_an_unfinished_one_whichever_way) {
    const char *whole = store_of("whole.db", "race", dpo(1, "finished", 50));
    const char *part = store_of("part.db", "race", dpo(1, "running", 100));
    write_file(whole, DPO_1 ".safetensors", "weights");
    write_file(part, DPO_1 "-checkpoint.safetensors", "checkpoint");
    const char *target = scratch("target.db");
    merge(target, part);
    expect_file(target, DPO_1 "-checkpoint.safetensors", "checkpoint");
    expect(target, "SELECT status FROM trials", "running");
    cr_assert_eq(merge(target, whole).replaced, 1);
    same_content(whole, target);
    expect_file(target, DPO_1 ".safetensors", "weights");
    expect_file(target, DPO_1 "-checkpoint.safetensors", NULL);
    cr_assert_eq(merge(target, part).kept, 1);
    same_content(whole, target);
    expect_file(target, DPO_1 "-checkpoint.safetensors", NULL);
}

Test(merge, of_two_unfinished_trials_the_further_one_stays_with_its_checkpoint) {
    const char *near = store_of("near.db", "race", dpo(1, "running", 25));
    const char *far = store_of("far.db", "race", dpo(1, "failed", 50));
    write_file(near, DPO_1 "-checkpoint.safetensors", "near");
    write_file(far, DPO_1 "-checkpoint.safetensors", "far");
    const char *target = scratch("target.db");
    merge(target, near);
    merge(target, far);
    same_content(far, target);
    expect_file(target, DPO_1 "-checkpoint.safetensors", "far");
    merge(target, near);
    same_content(far, target);
    expect_file(target, DPO_1 "-checkpoint.safetensors", "far");
}

/* SHA-256 of "near" */
static const char near_sum[] = "46ba34770bccfde756708d47d83fb7c8257fe8a4b3a35f25d385a8284021f476";

Test(merge, a_damaged_checkpoint_takes_no_good_one_s_place) {
    const char *near = store_of("near.db", "race", dpo(1, "running", 25));
    const char *far = store_of("far.db", "race", dpo(1, "running", 50));
    write_file(near, DPO_1 "-checkpoint.safetensors", "near");
    write_file(far, DPO_1 "-checkpoint.safetensors", "neat");
    const char *both[] = {near, far};
    for (int i = 0; i < 2; i++) {
        RgStore *store = open_store(both[i], true);
        ASSERT_OK(rg_store_checkpoint(store, 1, "", near_sum, &error));
        rg_store_close(store);
    }
    const char *target = scratch("target.db");
    merge(target, near);
    cr_assert_eq(merge(target, far).kept, 1);
    same_content(near, target);
    expect_file(target, DPO_1 "-checkpoint.safetensors", "near");
    const char *other = scratch("other.db");
    cr_assert_eq(merge(other, far).added, 1);
    expect_file(other, DPO_1 "-checkpoint.safetensors", NULL);
    cr_assert_eq(merge(other, near).kept, 1, "which is not as far");
}

Test(merge, refused_leaves_no_weights_behind) {
    const char *source = store_of("source.db", "race", dpo(3, "finished", 25));
    merge(source, store_of("one.db", "race", dpo(1, "finished", 25)));
    RgStore *store = open_store(source, true);
    ASSERT_OK(rg_store_trial_done(store, 2, NULL, near_sum, -1, &error));
    rg_store_close(store);
    write_file(source, DPO_3 ".safetensors", "of the first trial");
    write_file(source, DPO_1 ".safetensors", "neat");
    const char *target = store_of("target.db", "other", dpo(1, "finished", 25));
    refuse(target, source, DPO_1 ".safetensors: is damaged", "source/");
    cr_assert_neq(access(scratch("target"), F_OK), 0);
    write_file(source, DPO_1 ".safetensors", "near");
    merge(target, source);
    expect_file(target, DPO_3 ".safetensors", "of the first trial");
}

Test(merge, two_results_of_one_trial_are_refused_by_name) {
    FixtureTrial trial = dpo(1, "finished", 50), other = trial;
    other.quality = 0.75;
    const char *a = store_of("a.db", "race", trial);
    const char *b = store_of("b.db", "race", other);
    refuse(a, b, "b.db: DPO, seed 1 (key " DPO_1 ") of experiment race has a different result",
           "a.db: items win_rate_base differs at step 50");
    other = trial;
    other.status = "diverged";
    refuse(a, store_of("c.db", "race", other), "outcome differs", "a.db");
    other = trial;
    other.steps = 75;
    refuse(a, store_of("d.db", "race", other), "eval/kl is not in both at step 75", "DPO, seed 1");
}

/* One store that says which step it selected is another result than one that does not. */
Test(merge, selected_step_comes_along_and_is_a_part_of_the_result) {
    const char *a = store_of("a.db", "race", dpo(1, "finished", 50));
    const char *b = store_of("b.db", "race", dpo(1, "finished", 50));
    const char *target = scratch("target.db");
    RgStore *store = open_store(a, true);
    sqlite3_exec(rg_store_database(store), "UPDATE trials SET selected = 25", NULL, NULL, NULL);
    rg_store_close(store);
    merge(target, a);
    expect(target, "SELECT selected FROM trials", "25");
    refuse(target, b, "has a different result", "selected step is not in both");
}

Test(merge, other_weights_under_one_trial_are_refused) {
    const char *a = store_of("a.db", "race", dpo(1, "finished", 50));
    const char *b = store_of("b.db", "race", dpo(1, "finished", 50));
    write_file(b, DPO_1 ".safetensors", "weights");
    merge(a, b);
    expect_file(a, DPO_1 ".safetensors", "weights"); /* which it lacked */
    write_file(a, DPO_1 ".safetensors", "Weights");
    refuse(a, b, "DPO, seed 1", "has different weights from");
}

Test(merge, seconds_and_memory_do_not_make_another_result) {
    const char *a = store_of("a.db", "race", dpo(1, "finished", 50));
    const char *b = store_of("b.db", "race", dpo(1, "finished", 50));
    RgStore *store = open_store(b, true);
    cr_assert_eq(sqlite3_exec(rg_store_database(store),
                              "UPDATE readings SET seconds = 2 * seconds, peak_memory = 1;"
                              "UPDATE trials SET provenance = '{}', updated = '2001'",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    rg_store_close(store);
    cr_assert_eq(merge(a, b).kept, 1);
}

Test(merge, one_trial_can_be_taken_alone) {
    char *source = fixture_methods();
    const char *target = scratch("target.db");
    RgStore *store = open_store(target, true);
    ASSERT_OK(rg_store_merge_trial(store, source, 3, NULL, &error));
    rg_store_close(store);
    expect(target, "SELECT key FROM trials", DPO_3);
    free(source);
}

Test(merge, values_of_pairs_come_along) {
    const char *a = store_of("a.db", "race", dpo(1, "finished", 25));
    const char *b = store_of("b.db", "race", dpo(2, "finished", 25));
    RgStore *store = open_store(b, true);
    RgReferenceCache *table;
    ASSERT_OK(rg_reference_cache_open(store, &table, &error));
    RgPairCache cache = rg_reference_cache_pairs(table, RG_DIGEST_START);
    RgDigest key = rg_digest(RG_DIGEST_START, "pair", 4);
    RgPairValues values = {.logprob = {-1.5, -2.25}, .flops = 10, .seconds = 0.5};
    cache.keep(cache.storage, &key, &values, 1);
    rg_reference_cache_close(table);
    rg_store_close(store);
    merge(a, b);
    store = open_store(a, true);
    ASSERT_OK(rg_reference_cache_open(store, &table, &error));
    cache = rg_reference_cache_pairs(table, RG_DIGEST_START);
    RgPairValues found;
    bool is_there = false;
    cache.find(cache.storage, &key, 1, &found, &is_there);
    cr_assert(is_there);
    cr_assert_eq(found.logprob[1], -2.25);
    rg_reference_cache_close(table);
    rg_store_close(store);
}

Test(merge, a_store_of_the_first_version_can_be_merged) {
    const char *old = store_of("old.db", "race", dpo(1, "finished", 25));
    RgStore *store = open_store(old, true);
    sqlite3_exec(rg_store_database(store),
                 "ALTER TABLE readings DROP COLUMN dataset_responses;"
                 "ALTER TABLE trials DROP COLUMN selected; PRAGMA user_version = 1",
                 NULL, NULL, NULL);
    rg_store_close(store);
    const char *target = scratch("target.db");
    merge(target, old);
    expect(target, "SELECT count(*), count(dataset_responses), max(trained_tokens) FROM readings",
           "6|0|16000");
}

Test(merge, what_is_written_or_missing_or_the_target_itself_is_refused) {
    const char *a = store_of("a.db", "race", dpo(1, "finished", 25));
    const char *b = store_of("b.db", "race", dpo(2, "finished", 25));
    refuse(a, scratch("none.db"), "none.db", "No such file");
    cr_assert_neq(access(scratch("none.db.lock"), F_OK), 0, "looking leaves nothing behind");
    refuse(a, a, "a.db", "into itself");
    RgStore *writer = open_store(b, true);
    refuse(a, b, "b.db: is being written by process", "");
    rg_store_close(writer);
    cr_assert_eq(merge(a, b).added, 1);
}

/* Killed at whatever moment, run again: the same store and the same files. */
Test(merge, killed_and_run_again_ends_alike) {
    char *source = fixture_methods();
    write_file(source, DPO_1 ".safetensors", "weights");
    char *whole = fixture_path("whole.db"), *killed = fixture_path("killed.db");
    merge(whole, source);
    int hits = 0;
    for (int attempt = 0; attempt < 40; attempt++) {
        pid_t child = fork();
        if (child == 0) {
            RgStore *store;
            if (rg_store_open(killed, true, &store, NULL) == RG_OK)
                rg_store_merge(store, source, NULL, NULL);
            _exit(0);
        }
        usleep((useconds_t)(500 * attempt));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        hits += WIFSIGNALED(status);
    }
    cr_assert(hits > 0);
    merge(killed, source);
    same_content(whole, killed);
    expect(killed, "SELECT integrity_check FROM pragma_integrity_check", "ok");
    expect_file(killed, DPO_1 ".safetensors", "weights");
    free(source);
    free(whole);
    free(killed);
}

Test(compare_trials, say_how_far_apart_a_measure_is, .init = scratch_begin) {
    const char *a = store_of("a.db", "race", dpo(1, "finished", 50));
    RgStore *store = open_store(a, true);
    RgMergeCounts counts = {0};
    RgStore *copy = open_store(scratch("copy.db"), true);
    rg_store_close(store);
    ASSERT_OK(rg_store_merge(copy, a, &counts, &error));
    sqlite3_exec(rg_store_database(copy),
                 "UPDATE metrics SET value = value * 1.25 WHERE name = 'eval/length' AND step = 25;"
                 "UPDATE responses SET response = 'x' WHERE step = 50 AND item = 2",
                 NULL, NULL, NULL);
    store = open_store(a, false);
    RgTrialComparison comparison;
    ASSERT_OK(rg_trial_compare(store, 1, copy, 1, &comparison, &error));
    cr_assert_str_eq(comparison.worst->name, "responses");
    cr_assert(isinf(comparison.worst->largest) && comparison.worst->step == 50);
    for (int i = 0; i < comparison.count; i++) {
        const RgMeasureDifference *q = &comparison.measures[i];
        bool length = strcmp(q->name, "eval/length") == 0;
        cr_assert_eq(q->differing, length || q == comparison.worst, "%s", q->name);
        if (length) /* 1 − 1/1.25 */
            cr_assert_float_eq(q->largest, 0.2, 1e-12);
        if (length)
            cr_assert_eq(q->rows, 3);
    }
    rg_trial_comparison_clear(&comparison);
    rg_store_close(store);
    rg_store_close(copy);
}
