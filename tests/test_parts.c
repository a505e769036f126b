/* SPDX-License-Identifier: MIT */
/* Parts of a results store: what is written into them ends up in the whole, once, and what the
 * whole has already goes to the part that takes it up. */
#include "core/results/parts.h"
#include "tests/scratch.h"

#include <criterion/criterion.h>
#include <sqlite3.h>
#include <unistd.h>

static RgError error;

/* Keys. */
#define BEGUN "0000000000be9000"
#define DONE  "000000000000d07e"

TestSuite(parts, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

static double query(RgStore *store, const char *text) {
    sqlite3_stmt *statement;
    cr_assert_eq(sqlite3_prepare_v2(rg_store_database(store), text, -1, &statement, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    double value = sqlite3_column_double(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* A trial with the steps from `first` on, of which the last is `last`. */
static void write_trial(RgStore *store, const char *key, int64_t first, int64_t last,
                        bool finished) {
    RgTrialRecord record = {.key = key,
                            .algorithm = "dpo",
                            .label = "dpo",
                            .seed = 1,
                            .swept_json = "{}",
                            .config_json = "{}",
                            .provenance_json = "{}"};
    bool before;
    ASSERT_OK(rg_store_experiment(store, "x", "{}", &record.experiment, &error));
    ASSERT_OK(rg_store_trial(store, &record, &before, &error));
    cr_assert(!before);
    for (int64_t step = first; step <= last; step++)
        ASSERT_OK(rg_store_step(store, record.id, step, &(RgMeter){.flops = (double)step},
                                (const char *const[]){"loss"}, &(double){1}, 1, NULL, &error));
    if (finished)
        ASSERT_OK(rg_store_trial_status(store, record.id, "finished", NULL, &error));
}

static RgStore *open_whole(void) {
    RgStore *store;
    ASSERT_OK(rg_store_open(scratch("x.db"), true, &store, &error));
    return store;
}

static RgPart *open_part(int number) {
    RgPart *part;
    ASSERT_OK(rg_part_open(scratch("x.db"), number, &part, &error));
    return part;
}

Test(parts, are_gathered_once_and_removed) {
    for (int number = 0; number < 3; number++) {
        char key[17], file[64];
        snprintf(key, sizeof key, "%016d", number);
        snprintf(file, sizeof file, "part-%d/%s.safetensors", number, key);
        RgPart *part = open_part(number);
        write_trial(part->store, key, 0, 4, number != 1);
        rg_part_close(part);
        char path[128];
        snprintf(path, sizeof path, "%s/x/part-%d", scratch_path, number);
        cr_assert_eq(mkdir(path, 0777), 0);
        snprintf(path, sizeof path, "%s/x/part-%d/%s%s.safetensors", scratch_path, number, key,
                 number == 1 ? "-checkpoint" : "");
        FILE *weights = fopen(path, "w");
        cr_assert(weights);
        fputs(key, weights);
        fclose(weights);
    }
    cr_assert(scratch_write("x/part-x.db", "not a part"));
    cr_assert(scratch_write("x/part-1.db.old", "nor this"));
    RgStore *whole = open_whole();
    for (int again = 0; again < 2; again++) {
        ASSERT_OK(rg_parts_gather(whole, &error));
        cr_assert_eq(query(whole, "SELECT count(*) FROM trials"), 3);
        cr_assert_eq(query(whole, "SELECT count(*) FROM trials WHERE status = 'finished'"), 2);
        cr_assert_eq(query(whole, "SELECT count(*) FROM readings"), 15);
    }
    rg_store_close(whole);
    cr_assert_eq(access(scratch("x/0000000000000000.safetensors"), F_OK), 0);
    cr_assert_eq(access(scratch("x/0000000000000001-checkpoint.safetensors"), F_OK), 0);
    cr_assert_eq(access(scratch("x/0000000000000002.safetensors"), F_OK), 0);
    for (int number = 0; number < 3; number++) {
        char name[32];
        snprintf(name, sizeof name, "x/part-%d.db", number);
        cr_assert_neq(access(scratch(name), F_OK), 0, "%s", name);
        snprintf(name, sizeof name, "x/part-%d", number);
        cr_assert_neq(access(scratch(name), F_OK), 0, "%s", name);
    }
    cr_assert_eq(access(scratch("x/part-x.db"), F_OK), 0, "what is no part stays");
    cr_assert_eq(access(scratch("x/part-1.db.old"), F_OK), 0);
}

/* Of a process that was killed when it had made no more than the file, or its first page. */
Test(parts, that_are_no_stores_yet_are_gathered_too) {
    cr_assert_eq(mkdir(scratch("x"), 0777), 0);
    cr_assert(scratch_write("x/part-1.db", ""));
    sqlite3 *begun;
    cr_assert_eq(sqlite3_open(scratch("x/part-2.db"), &begun), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(begun, "PRAGMA journal_mode = WAL", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(begun);
    RgStore *whole = open_whole();
    ASSERT_OK(rg_parts_gather(whole, &error));
    cr_assert_eq(query(whole, "SELECT count(*) FROM trials"), 0);
    rg_store_close(whole);
    cr_assert_neq(access(scratch("x/part-1.db"), F_OK), 0);
    cr_assert_neq(access(scratch("x/part-2.db"), F_OK), 0);
}

Test(parts, take_up_what_the_whole_has_of_a_trial) {
    RgStore *whole = open_whole();
    write_trial(whole, BEGUN, 0, 7, false);
    write_trial(whole, DONE, 0, 2, true);
    rg_store_close(whole);
    cr_assert(scratch_write("x/" BEGUN "-checkpoint.safetensors", "step 7"));
    RgPart *part = open_part(1);
    bool finished = true;
    ASSERT_OK(rg_part_seed(part, "x", "new", &finished, &error));
    cr_assert(!finished);
    ASSERT_OK(rg_part_seed(part, "another experiment", DONE, &finished, &error));
    cr_assert(!finished);
    ASSERT_OK(rg_part_seed(part, "x", DONE, &finished, &error));
    cr_assert(finished);
    cr_assert_eq(query(part->store, "SELECT count(*) FROM trials"), 0);
    ASSERT_OK(rg_part_seed(part, "x", BEGUN, &finished, &error));
    cr_assert(!finished);
    cr_assert_eq(query(part->store, "SELECT max(step) FROM readings"), 7);
    cr_assert_eq(access(scratch("x/part-1/" BEGUN "-checkpoint.safetensors"), F_OK), 0);

    /* It goes on there; the whole's record of it is then the older one. */
    write_trial(part->store, BEGUN, 8, 9, true);
    rg_part_close(part);
    whole = open_whole();
    ASSERT_OK(rg_parts_gather(whole, &error));
    cr_assert_eq(query(whole, "SELECT count(*) FROM readings r JOIN trials t ON t.id = trial"
                              " WHERE key = '" BEGUN "'"),
                 10);
    cr_assert_eq(query(whole, "SELECT count(*) FROM trials WHERE status = 'finished'"), 2);
    cr_assert_neq(access(scratch("x/" BEGUN "-checkpoint.safetensors"), F_OK), 0);
    rg_store_close(whole);
}

Test(parts, that_have_come_further_than_the_whole_stay_as_they_are) {
    RgStore *whole = open_whole();
    write_trial(whole, BEGUN, 0, 3, false);
    rg_store_close(whole);
    RgPart *part = open_part(1);
    write_trial(part->store, BEGUN, 0, 5, false);
    ASSERT_OK(rg_part_seed(part, "x", BEGUN, &(bool){0}, &error));
    cr_assert_eq(query(part->store, "SELECT max(step) FROM readings"), 5);
    rg_part_close(part);
}

Test(parts, and_the_whole_are_not_written_at_the_same_time) {
    RgPart *part = open_part(1), *other = open_part(2), *same;
    RgStore *whole = NULL;
    cr_assert_eq(rg_store_open(scratch("x.db"), true, &whole, &error), RG_E_STORE);
    cr_assert(strstr(error.text, "x.db: is being written by another process"), "%s", error.text);
    cr_assert_eq(rg_part_open(scratch("x.db"), 1, &same, &error), RG_E_STORE);
    cr_assert(strstr(error.text, "part-1.db: is being written by process"), "%s", error.text);
    cr_assert_null(same);
    rg_part_close(part);
    rg_part_close(other);
    whole = open_whole();
    cr_assert_eq(rg_part_open(scratch("x.db"), 1, &same, &error), RG_E_STORE);
    cr_assert(strstr(error.text, "x.db: is being written by process"), "%s", error.text);
    rg_store_close(whole);
}

Test(parts, that_are_no_store_stop_the_gathering_and_stay) {
    RgStore *whole = open_whole();
    cr_assert_eq(mkdir(scratch("x"), 0777), 0);
    char text[4096];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cr_assert(scratch_write("x/part-1.db", text));
    cr_assert_eq(rg_parts_gather(whole, &error), RG_E_STORE);
    cr_assert(strstr(error.text, "x/part-1.db: is not an SQLite file") ||
                  strstr(error.text, "x/part-1.db: cannot"),
              "%s", error.text);
    cr_assert_eq(access(scratch("x/part-1.db"), F_OK), 0);
    rg_store_close(whole);
}
