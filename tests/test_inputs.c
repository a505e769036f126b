/* SPDX-License-Identifier: MIT */
/* The key of a trial is of what its inputs hold, and of nothing else about them. */
#include "experiments/program/config/experiment.h"
#include "experiments/program/config/input_sums.h"
#include "experiments/program/run/run.h"
#include "tests/scratch.h"

#include <jansson.h>
#include <string.h>

static RgError error;

TestSuite(inputs, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

static const RgOption all = {.name = "all", .kind = RG_KIND_PATH};

/* As sha256sum prints them. */
static const char sum_of_abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char sum_of_folder[] = /* (cd FOLDER && sha256sum Z a) | sha256sum: "x" and "abc" */
    "d660f7295e15189d82c375dafc3960ab938ab5c36fd3cf2352b5e84bdbbee1f1";

static void expect_sum(const RgOption *option, const char *path, const char *expected) {
    char sum[RG_SHA256_TEXT];
    ASSERT_OK(rg_input_sum(option, path, sum, &error));
    cr_expect_str_eq(sum, expected, "%s", path);
}

Test(inputs, have_the_sums_that_sha256sum_prints) {
    expect_sum(&all, scratch_write("a", "abc"), sum_of_abc);
    scratch_write("one/a", "abc");
    scratch_write("one/Z", "x");
    scratch_write("one/.hidden", "is not read");
    expect_sum(&all, scratch("one"), sum_of_folder);
}

Test(inputs, of_a_folder_are_the_files_that_are_read_wherever_it_lies) {
    static const char *const files[] = {"?", NULL};
    const RgOption some = {.name = "some", .kind = RG_KIND_PATH, .files = files};
    scratch_write("one/a", "abc");
    scratch_write("one/Z", "x");
    scratch_write("one/notes", "of no matter");
    expect_sum(&some, scratch("one"), sum_of_folder);
    cr_assert_eq(rename(scratch("one"), scratch("two")), 0);
    expect_sum(&some, scratch("two"), sum_of_folder);
    scratch_write("two/Z", "y");
    char sum[RG_SHA256_TEXT];
    ASSERT_OK(rg_input_sum(&some, scratch("two"), sum, &error));
    cr_expect_str_neq(sum, sum_of_folder);
}

Test(inputs, beside_a_file_count_if_they_are_there) {
    static const char *const neighbours[] = {"Z", "none", NULL};
    const RgOption option = {.name = "with", .kind = RG_KIND_PATH, .neighbours = neighbours};
    const char *path = scratch_write("one/a", "abc");
    expect_sum(&option, path, sum_of_abc);
    scratch_write("one/Z", "x");
    scratch_write("one/notes", "of no matter");
    expect_sum(&option, path, sum_of_folder);
    expect_sum(&all, path, sum_of_abc);
    cr_assert_eq(chdir(scratch("one")), 0);
    expect_sum(&option, "a", sum_of_folder);
}

Test(inputs, that_have_changed_are_summed_anew) {
    const char *path = scratch_write("a", "abd");
    char sum[RG_SHA256_TEXT];
    ASSERT_OK(rg_input_sum(&all, path, sum, &error));
    cr_expect_str_neq(sum, sum_of_abc);
    scratch_write("a", "abc"); /* of equal size */
    expect_sum(&all, path, sum_of_abc);
    expect_sum(&all, path, sum_of_abc);
}

Test(inputs, that_are_no_files_are_refused) {
    RgChecksum sum;
    cr_expect_eq(rg_input_file_sum(scratch("none"), &sum, &error), RG_E_FILE);
    cr_expect_eq(rg_input_file_sum("/dev/zero", &sum, &error), RG_E_FILE);
    cr_expect(strstr(error.text, "not a regular file"), "%s", error.text);
    cr_expect_not(rg_input_is_summable("/dev/zero"));
}

/* ---- keys ---- */

static const char config[] = "name = \"race\";\nseeds = [1];\n"
                             "environment: { type = \"bandit\"; contexts = 2; responses = 2;%s };\n"
                             "policy: { type = \"tabular\"; };\noptimizer: { learning_rate = 0.1; "
                             "};\nbudget: { steps = 5; };\nalgorithms = ( { type = \"dpo\"; } );\n";

static RgExperiment *opened(const char *name, const char *environment) {
    RgExperiment *experiment;
    char text[1024];
    snprintf(text, sizeof text, config, environment);
    ASSERT_OK(rg_experiment_open(scratch_write(name, text), NULL, 0, &experiment, &error));
    return experiment;
}

static const char *key_of(const char *name, const char *environment) {
    static char keys[4][17];
    static int next;
    RgExperiment *experiment = opened(name, environment);
    char *key = strcpy(keys[next++ % 4], experiment->trials[0].key);
    rg_experiment_close(experiment);
    return key;
}

static const char rewards[] = " reward_file = \"./rewards.txt\";";

Test(inputs, that_are_not_read_leave_keys_as_they_were) {
    /* as written by the program before it looked at contents */
    static const char text[] =
        "name = \"k\";\nseeds = [1];\nenvironment: { type = \"bandit\"; };\n"
        "policy: { type = \"tabular\"; };\noptimizer: { learning_rate = 0.1; };\n"
        "budget: { steps = 5; };\nalgorithms = ( { type = \"dpo\"; } );\n";
    RgExperiment *experiment;
    ASSERT_OK(rg_experiment_open(scratch_write("k.cfg", text), NULL, 0, &experiment, &error));
    cr_expect_str_eq(experiment->trials[0].key, "3342cd6fb45e40df");
    cr_expect_not(rg_settings_has_group(experiment->trials[0].resolved, "inputs"));
    rg_experiment_close(experiment);
}

Test(inputs, that_hold_something_else_make_another_trial) {
    scratch_write("one/rewards.txt", "0 1\n2 3\n");
    const char *before = key_of("one/x.cfg", rewards);
    scratch_write("one/rewards.txt", "0 1\n3 2\n");
    const char *after = key_of("one/x.cfg", rewards);
    cr_expect_str_neq(before, after);
    scratch_write("one/rewards.txt", "0 1\n2 3\n");
    cr_expect_str_eq(key_of("one/x.cfg", rewards), before);
}

Test(inputs, make_the_same_trial_wherever_they_lie) {
    scratch_write("one/rewards.txt", "0 1\n2 3\n");
    scratch_write("two/rewards.txt", "0 1\n2 3\n");
    cr_expect_str_eq(key_of("one/x.cfg", rewards), key_of("two/x.cfg", rewards));
}

/* A judge's file is an option of a part of the environment. */
Test(inputs, of_parts_are_recorded_too) {
    static const char text[] =
        "name = \"t\";\nseeds = [1];\nenvironment: { type = \"text\"; train = \"./train.jsonl\"; "
        "tokenizer = \"./tokenizer.json\"; judge = { type = \"mixture\"; judges = ( { type = "
        "\"lexicon\"; file = \"./words.txt\"; } ); }; };\n"
        "policy: { type = \"transformer\"; weights = \"./base\"; };\noptimizer: { learning_rate = "
        "0.1; };\nbudget: { steps = 5; };\nalgorithms = ( { type = \"dpo\"; } );\n";
    RgExperiment *experiment;
    scratch_write("train.jsonl", "1");
    scratch_write("tokenizer.json", "2");
    scratch_write("words.txt", "abc");
    scratch_write("base/config.json", "{}");
    ASSERT_OK(rg_experiment_open(scratch_write("t.cfg", text), NULL, 0, &experiment, &error));
    const RgSettings *resolved = experiment->trials[0].resolved;
    static const char *const recorded[] = {"inputs.environment.train",
                                           "inputs.environment.tokenizer", "inputs.policy.weights"};
    for (int i = 0; i < 3; i++)
        cr_expect(rg_settings_find(resolved, recorded[i]), "%s", recorded[i]);
    const RgSetting *words = rg_settings_find(resolved, "inputs.environment.judge.judges.0.file");
    cr_assert(words, "%s", experiment->trials[0].resolved_json);
    cr_expect_str_eq(words->text, sum_of_abc);
    rg_experiment_close(experiment);
}

Test(inputs, that_are_missing_are_known_by_what_was_recorded) {
    scratch_write("one/rewards.txt", "0 1\n2 3\n");
    const char *before = key_of("one/x.cfg", rewards), *path = scratch("one/rewards.txt");
    char sum[RG_SHA256_TEXT];
    ASSERT_OK(rg_input_sum(&all, path, sum, &error));
    cr_assert_eq(unlink(path), 0);
    RgExperiment *experiment = opened("one/x.cfg", rewards);
    cr_expect_str_neq(experiment->trials[0].key, before);
    json_t *sums = json_pack("{s:s}", path, sum);
    rg_experiment_assume(experiment, sums);
    cr_expect_str_eq(experiment->trials[0].key, before);
    json_decref(sums);
    rg_experiment_close(experiment);
}

/* A file that is replaced between the opening of the config and the trial that reads it. */
Test(inputs, that_change_before_they_are_read_refuse_the_trial) {
    const RgRunOptions options = {.results = scratch("x.db"),
                                  .threads = 1,
                                  .jobs = 1,
                                  .checkpoint_seconds = 9,
                                  .quiet = true};
    scratch_write("one/rewards.txt", "0 1\n2 3\n");
    RgExperiment *experiment = opened("one/x.cfg", rewards);
    scratch_write("one/rewards.txt", "0 1\n3 2\n");
    cr_expect_eq(rg_experiment_run(experiment, NULL, &options, NULL, &error), RG_E_FORMAT);
    cr_expect(strstr(error.text, "has changed since the trial was recorded"), "%s", error.text);
    rg_experiment_close(experiment);
    experiment = opened("one/x.cfg", rewards);
    ASSERT_OK(rg_experiment_run(experiment, NULL, &options, NULL, &error));
    rg_experiment_close(experiment);
}

Test(inputs, that_change_under_a_trial_are_told) {
    scratch_write("one/rewards.txt", "0 1\n2 3\n");
    RgExperiment *experiment = opened("one/x.cfg", rewards);
    ASSERT_OK(rg_resolved_check_inputs(experiment->trials[0].resolved, &error));
    scratch_write("one/rewards.txt", "0 1\n3 2\n");
    cr_expect_eq(rg_resolved_check_inputs(experiment->trials[0].resolved, &error), RG_E_FORMAT);
    cr_expect(strstr(error.text, "environment.reward_file"), "%s", error.text);
    rg_experiment_close(experiment);
}
