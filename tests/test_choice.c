/* SPDX-License-Identifier: MIT */
/* Which trials tables are of: those of the config that was run last, or those that conditions name.
 */
#include "analysis/store/choice.h"
#include "core/results/last_run.h"
#include "tests/scratch.h"

#include <string.h>

static RgError error;

TestSuite(choice, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

/* Two configs, of which the second was run last: beta 0.1 and 0.2, seeds 1 and 2 of each. */
enum { COUNT = 4 };
static void fill(RgCandidate trials[COUNT]) {
    static const char *const configs[] = {
        "{\"algorithm.beta\":0.1,\"environment.type\":\"bandit\",\"old\":true}",
        "{\"algorithm.beta\":0.2,\"environment.type\":\"bandit\"}"};
    for (int i = 0; i < COUNT; i++)
        trials[i] = (RgCandidate){.label = i % 2 ? "b" : "a",
                                  .config = configs[i / 2],
                                  .seed = 1 + i % 2,
                                  .latest = i >= 2};
}

/* The numbers of the chosen, as digits. */
static const char *chosen(RgChoice choice, const char *first, const char *second, int *left_out) {
    static char digits[COUNT + 1];
    RgCandidate trials[COUNT];
    const char *where[] = {first, second};
    int count = 0;
    fill(trials);
    choice.where = where;
    choice.where_count = (first != NULL) + (second != NULL);
    ASSERT_OK(rg_choose(&choice, trials, COUNT, left_out, &error));
    for (int i = 0; i < COUNT; i++)
        if (trials[i].chosen)
            digits[count++] = (char)('0' + i);
    digits[count] = '\0';
    return digits;
}

Test(choice, is_of_the_config_that_was_run_last) {
    int left_out;
    cr_expect_str_eq(chosen((RgChoice){0}, NULL, NULL, &left_out), "23");
    cr_expect_eq(left_out, 2);
    cr_expect_str_eq(chosen((RgChoice){.all = true}, NULL, NULL, &left_out), "0123");
    cr_expect_eq(left_out, 0);
}

Test(choice, conditions_take_what_fulfils_them_of_that_config) {
    int left_out;
    cr_expect_str_eq(chosen((RgChoice){0}, "seed=1", NULL, &left_out), "2");
    cr_expect_eq(left_out, 1);
    cr_expect_str_eq(chosen((RgChoice){0}, "label=b", "environment.type=bandit", &left_out), "3");
    cr_expect_str_eq(chosen((RgChoice){.all = true}, "seed=1", NULL, &left_out), "02");
}

Test(choice, conditions_that_it_does_not_fulfil_are_of_all_configs) {
    int left_out;
    cr_expect_str_eq(chosen((RgChoice){0}, "algorithm.beta=1e-1", NULL, &left_out), "01");
    cr_expect_eq(left_out, 0);
    cr_expect_str_eq(chosen((RgChoice){0}, "algorithm.beta=0.1", "seed=2", &left_out), "1");
    cr_expect_str_eq(chosen((RgChoice){0}, "old=true", "seed=2", &left_out), "1");
}

static void refused(const char *first, const char *second, const char *word, const char *other) {
    RgCandidate trials[COUNT];
    const char *where[] = {first, second};
    RgChoice choice = {.where = where, .where_count = 1 + (second != NULL)};
    int left_out;
    fill(trials);
    cr_assert_eq(rg_choose(&choice, trials, COUNT, &left_out, &error), RG_E_USAGE, "%s", first);
    cr_expect(strstr(error.text, word) && strstr(error.text, other), "%s", error.text);
}

Test(choice, of_nothing_names_what_there_is) {
    refused("algorithm.betta=0.1", NULL, "algorithm.betta", "did you mean \"algorithm.beta\"?");
    refused("beta=0.1", NULL, "\"beta\"", "did you mean \"algorithm.beta\"?");
    refused("type=bandit", NULL, "\"type\"", "did you mean \"environment.type\"?");
    refused("eta=0.1", NULL, "\"eta\"", "there is"); /* is no part of a path */
    refused("algorithm.beta=0.3", NULL, "algorithm.beta=0.3", "there is 0.1, 0.2");
    refused("label=c", NULL, "label=c", "there is a, b");
    refused("seed=x", NULL, "seed=x", "there is 1, 2");
    refused("algorithm.beta=0.2", "old=true", "no trial", "all 2 conditions");
    refused("beta", NULL, "expected OPTION=VALUE", "beta");
    refused("=1", NULL, "expected OPTION=VALUE", "=1");
}

/* ---- the record ---- */

static RgStore *opened(const char *name) {
    RgStore *store;
    ASSERT_OK(rg_store_open(scratch(name), true, &store, &error));
    return store;
}

static int64_t add_experiment(RgStore *store) {
    int64_t id;
    ASSERT_OK(rg_store_experiment(store, "race", "{}", &id, &error));
    return id;
}

static void add_trial(RgStore *store, int64_t experiment, const char *key) {
    bool finished;
    RgTrialRecord record = {.experiment = experiment,
                            .key = key,
                            .algorithm = "dpo",
                            .label = "dpo",
                            .swept_json = "{}",
                            .config_json = "{}",
                            .provenance_json = "{}"};
    ASSERT_OK(rg_store_trial(store, &record, &finished, &error));
}

#define KEY(digit) "000000000000000" #digit

/* Digits of the keys 0 to 3 of the record; NULL where there is none. */
static const char *recorded(RgStore *store) {
    static char digits[5];
    static const char *const keys[] = {KEY(0), KEY(1), KEY(2), KEY(3)};
    RgLookup *found;
    int count = 0;
    ASSERT_OK(rg_last_run_keys(store, add_experiment(store), &found, &error));
    if (!found)
        return NULL;
    for (int i = 0; i < 4; i++)
        if (rg_lookup_find(found, keys[i], strlen(keys[i])) >= 0)
            digits[count++] = (char)('0' + i);
    digits[count] = '\0';
    rg_lookup_destroy(found);
    return digits;
}

Test(choice, record_is_replaced_by_the_next_run) {
    static const char *const first[] = {KEY(0), KEY(1)}, *const second[] = {KEY(2)};
    RgStore *store = opened("x.db");
    int64_t id = add_experiment(store);
    cr_expect_null(recorded(store));
    ASSERT_OK(rg_last_run_record(store, id, first, 2, &error));
    cr_expect_str_eq(recorded(store), "01");
    ASSERT_OK(rg_last_run_record(store, id, second, 1, &error));
    cr_expect_str_eq(recorded(store), "2");
    rg_store_close(store);
}

/* What the target has recorded after a merge; `ours` and `theirs`: is there a record? Each store
 * has two trials, and where there is a record, the second of them is asked for. */
static const char *merged(bool ours, bool theirs) {
    static const char *const key_1[] = {KEY(1)}, *const key_3[] = {KEY(3)};
    RgStore *target = opened("target.db"), *source = opened("source.db");
    int64_t to = add_experiment(target), from = add_experiment(source);
    add_trial(target, to, KEY(0));
    add_trial(target, to, KEY(1));
    add_trial(source, from, KEY(2));
    add_trial(source, from, KEY(3));
    if (ours)
        ASSERT_OK(rg_last_run_record(target, to, key_1, 1, &error));
    if (theirs)
        ASSERT_OK(rg_last_run_record(source, from, key_3, 1, &error));
    ASSERT_OK(rg_last_run_merge_before(target, source, &error));
    add_trial(target, to, KEY(2));
    add_trial(target, to, KEY(3));
    ASSERT_OK(rg_last_run_merge_after(target, source, &error));
    const char *digits = recorded(target);
    rg_store_close(target);
    rg_store_close(source);
    unlink(scratch("target.db"));
    unlink(scratch("source.db"));
    return digits;
}

Test(choice, record_of_merged_stores_is_of_both) {
    cr_expect_null(merged(false, false));
    cr_expect_str_eq(merged(true, true), "13");
    cr_expect_str_eq(merged(false, true), "013");
    cr_expect_str_eq(merged(true, false), "123");
}
