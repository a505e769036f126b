/* SPDX-License-Identifier: MIT */
/* A trial that is packed and opened elsewhere: it is the same trial and gives the same result, and
 * whatever is missing, damaged or another is refused by name. */
#include "core/checksum.h"
#include "core/files.h"
#include "core/results/trial_find.h"
#include "experiments/program/package/archive.h"
#include "experiments/program/package/trial_package.h"
#include "experiments/program/package/trial_verify.h"
#include "experiments/program/run/run.h"
#include "tests/scratch.h"

#include <archive.h>
#include <archive_entry.h>
#include <sqlite3.h>
#include <unistd.h>

static RgError error;
static const RgTrialOpening plain; /* nothing said, nothing allowed */

TestSuite(trial_package, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

/* A bandit with rewards from a file, which is the trial's one input. */
static const char config_text[] =
    "name = \"race\";\nseeds = [1, 2];\n"
    "environment: { type = \"bandit\"; contexts = 4; responses = 3; reward_file = "
    "\"./rewards.txt\"; };\n"
    "policy: { type = \"tabular\"; };\noptimizer: { learning_rate = 0.1; };\n"
    "budget: { steps = 6; };\nevaluation: { every = 3; log_every = 1; };\n"
    "algorithms = ( { type = \"dpo\"; }, { type = \"sail-pr\"; label = \"SAIL\"; } );\n"
    "sweep = ( { option = \"algorithm.exploration\"; values = [0.1, 0.3]; } );\n";

static RgExperiment *open_config(void) {
    scratch_write("rewards.txt", "0 1 2\n3 1 0\n0.5 0.25 1\n2 2 1\n");
    const char *path = scratch_write("race.cfg", config_text);
    RgExperiment *experiment;
    ASSERT_OK(rg_experiment_open(path, NULL, 0, &experiment, &error));
    return experiment;
}

static void run_into(RgExperiment *experiment, const char *path) {
    RgRunOptions options = {
        .results = path, .threads = 1, .jobs = 1, .checkpoint_seconds = 1000, .quiet = true};
    ASSERT_OK(rg_experiment_run(experiment, NULL, &options, NULL, &error));
}

/* A store with all its trials, run to their end. */
static const char *run_all(void) {
    RgExperiment *experiment = open_config();
    const char *path = scratch("race.db");
    run_into(experiment, path);
    rg_experiment_close(experiment);
    return path;
}

static RgStatus pack(const char *name, const char *trial, bool with_inputs) {
    RgTrialPackOptions options = {.store = scratch("race.db"),
                                  .trial = trial,
                                  .seed = 2,
                                  .output = scratch(name),
                                  .with_inputs = with_inputs};
    return rg_trial_pack(&options, &error);
}

static void refused_open(const char *path, const char *word, const char *other) {
    RgTrialPackage package;
    cr_assert_neq(rg_trial_package_open(path, &plain, &package, &error), RG_OK);
    cr_assert(strstr(error.text, word) && strstr(error.text, other), "%s", error.text);
}

Test(trial_package, resolved_settings_make_the_same_trials_again) {
    RgExperiment *experiment = open_config();
    cr_assert_eq(experiment->trial_count, 6);
    for (int64_t i = 0; i < experiment->trial_count; i++) {
        const RgTrialSpec *plan = &experiment->trials[i];
        RgSettings *settings = rg_settings_create();
        RgExperiment *again;
        ASSERT_OK(rg_settings_from_json(plan->resolved_json, settings, &error));
        ASSERT_OK(rg_experiment_of_trial("race", settings, plan->swept_json, &again, &error));
        cr_assert_eq(again->trial_count, 1);
        cr_assert_str_eq(again->trials[0].key, plan->key);
        cr_assert_str_eq(again->trials[0].swept_json, plan->swept_json);
        cr_assert_str_eq(again->trials[0].part.label, plan->part.label);
        rg_experiment_close(again);
        rg_settings_destroy(settings);
    }
    rg_experiment_close(experiment);
}

/* Run what is in the package into a new store, whose path is left in `results`. */
static void rerun(const RgTrialPackage *package, const char **results) {
    *results = scratch("rerun.db");
    run_into(package->experiment, *results);
}

static RgRerunVerdict verdict_of(const RgTrialPackage *package, const char *results, char **told) {
    RgRerunVerdict verdict;
    size_t size;
    FILE *out = open_memstream(told, &size);
    ASSERT_OK(rg_trial_verify(package, results, 1e-4, out, &verdict, &error));
    fclose(out);
    return verdict;
}

Test(trial_package, gives_the_same_bits_from_a_folder_and_from_an_archive) {
    static const char *const names[] = {"trial", "trial.tar.zst"};
    run_all();
    for (int i = 0; i < 2; i++) {
        RgTrialPackage package;
        const char *results;
        char *told;
        ASSERT_OK(pack(names[i], "dpo", false));
        ASSERT_OK(rg_trial_package_open(scratch(names[i]), &plain, &package, &error));
        cr_assert_str_eq(package.experiment->trials[0].key, rg_trial_package_text(&package, "key"));
        rerun(&package, &results);
        cr_assert_eq(verdict_of(&package, results, &told), RG_RERUN_IDENTICAL, "%s", told);
        cr_assert(strstr(told, "weights: the same bits"), "%s", told);
        free(told);
        char *folder = rg_string_copy(package.folder);
        rg_trial_package_close(&package);
        cr_assert_eq(access(folder, F_OK) == 0, i == 0, "what was unpacked goes");
        free(folder);
    }
}

static void change(const char *store, const char *sql) {
    sqlite3 *database;
    cr_assert_eq(sqlite3_open(store, &database), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(database));
    sqlite3_close(database);
}

/* Turn over a bit of the last byte of a file. */
static void damage(const char *path, long from_end) {
    FILE *file = fopen(path, "r+");
    cr_assert(file && fseek(file, -from_end, SEEK_END) == 0, "%s", path);
    int byte = fgetc(file);
    fseek(file, -from_end, SEEK_END);
    fputc(byte ^ 1, file);
    fclose(file);
}

Test(trial_package, rounding_is_told_from_another_result) {
    RgTrialPackage package;
    const char *results;
    char *told;
    run_all();
    ASSERT_OK(pack("trial", "dpo", false));
    ASSERT_OK(rg_trial_package_open(scratch("trial"), &plain, &package, &error));
    rerun(&package, &results);

    change(results, "UPDATE metrics SET value = value * 1.00001 WHERE name = 'loss';"
                    "UPDATE trials SET provenance = '{\"blas_core\": \"Abacus\"}'");
    cr_assert_eq(verdict_of(&package, results, &told), RG_RERUN_ROUNDING, "%s", told);
    cr_assert(strstr(told, "loss ") && strstr(told, "1e-05"), "%s", told);
    cr_assert(strstr(told, ", and is Abacus here"), "%s", told);
    free(told);

    change(results, "UPDATE trials SET provenance = json_object('built_with', "
                    "'GCC 3, PCRE2 9.1, utf8proc 9.2')");
    cr_assert_eq(verdict_of(&package, results, &told), RG_RERUN_ROUNDING, "%s", told);
    cr_expect(strstr(told, "why ids of tokens may differ: PCRE2 was "), "%s", told);
    cr_expect(strstr(told, ", and is 9.1 here\n"), "%s", told);
    cr_expect(strstr(told, "why ids of tokens may differ: utf8proc was "), "%s", told);
    cr_expect(strstr(told, "why bits may differ: OpenBLAS was "), "%s", told);
    cr_expect(strstr(told, ", and is absent here\n"), "%s", told);
    free(told);

    char *weights =
        rg_string_format("%s/%s.safetensors", scratch("rerun"), package.experiment->trials[0].key);
    damage(weights, 4); /* the lowest bit of the last number */
    cr_assert_eq(verdict_of(&package, results, &told), RG_RERUN_ROUNDING, "%s", told);
    cr_assert(strstr(told, "weights: largest relative difference "), "%s", told);
    free(told);
    damage(weights, 1); /* of its exponent */
    cr_assert_eq(verdict_of(&package, results, &told), RG_RERUN_DIFFERENT, "%s", told);
    free(told);
    damage(weights, 1);

    change(results, "DELETE FROM metrics WHERE name = 'loss' AND step = 2");
    cr_assert_eq(verdict_of(&package, results, &told), RG_RERUN_DIFFERENT, "%s", told);
    free(told);
    free(weights);
    rg_trial_package_close(&package);
}

Test(trial_package, damage_of_any_file_is_told_by_its_name) {
    char key_file[64], path[256];
    run_all();
    ASSERT_OK(pack("trial", "dpo", false));
    RgTrialPackage package;
    ASSERT_OK(rg_trial_package_open(scratch("trial"), &plain, &package, &error));
    snprintf(key_file, sizeof key_file, "results/%s.safetensors",
             rg_trial_package_text(&package, "key"));
    rg_trial_package_close(&package);
    const char *const files[] = {"config.json", "results.db", key_file};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", scratch("trial"), files[i]);
        damage(path, 2);
        refused_open(scratch("trial"), files[i], "differs from what was packed");
        damage(path, 2);
    }
    snprintf(path, sizeof path, "%s/config.json", scratch("trial"));
    unlink(path);
    refused_open(scratch("trial"), "config.json is missing", "damaged");
    snprintf(path, sizeof path, "%s/trial.json", scratch("trial"));
    scratch_write("trial/trial.json", "{\"format\": \"regatta trial\", \"version\": 2}");
    refused_open(scratch("trial"), "format 2", "supports format 1");
    scratch_write("trial/trial.json", "{}");
    refused_open(scratch("trial"), "is not a packed trial", "something else");
    refused_open(scratch("none"), "none: No such file", "");
}

Test(trial_package, an_archive_cut_short_is_refused) {
    run_all();
    ASSERT_OK(pack("trial.tar.zst", "dpo", false));
    const char *path = scratch("trial.tar.zst");
    RgChecksum sum;
    ASSERT_OK(rg_file_checksum(path, &sum, &error));
    cr_assert_eq(truncate(path, sum.size / 2), 0);
    refused_open(path, "trial.tar.zst: cannot read the archive", "");
    refused_open(scratch_write("text.tar.zst", "no archive at all"), "cannot read the archive", "");
}

/* An archive with one entry of this name and kind. */
static const char *archive_of(const char *name, unsigned kind) {
    const char *path = scratch("made.tar.zst");
    struct archive *archive = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    archive_write_set_format_pax_restricted(archive);
    archive_write_add_filter_zstd(archive);
    cr_assert_eq(archive_write_open_filename(archive, path), ARCHIVE_OK);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, kind);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, kind == AE_IFREG ? 2 : 0);
    if (kind == AE_IFLNK)
        archive_entry_set_symlink(entry, "/etc/passwd");
    cr_assert_eq(archive_write_header(archive, entry), ARCHIVE_OK);
    if (kind == AE_IFREG)
        cr_assert_eq(archive_write_data(archive, "{}", 2), 2);
    archive_entry_free(entry);
    archive_write_close(archive);
    archive_write_free(archive);
    return path;
}

Test(trial_package, an_archive_writes_nothing_outside_its_folder) {
    refused_open(archive_of("trial/../../escaped", AE_IFREG), "contains \"trial/../../escaped\"",
                 "");
    refused_open(archive_of("/trial.json", AE_IFREG), "contains \"/trial.json\"", "");
    refused_open(archive_of("trial.json", AE_IFREG), "contains \"trial.json\"", "");
    refused_open(archive_of("trial/trial.json", AE_IFLNK), "contains \"trial/trial.json\"", "");
    refused_open(archive_of("trial/trial.json", AE_IFREG), "is not a packed trial",
                 "something else");
    cr_assert_neq(access(scratch("escaped"), F_OK), 0);
}

/* 100 MiB of one letter, which zstd makes 10 KiB of. */
Test(trial_package, an_archive_that_is_made_to_fill_a_disk_is_not_unpacked) {
    static char zeros[1 << 20];
    const char *path = scratch("bomb.tar.zst");
    struct archive *archive = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    archive_write_set_format_pax_restricted(archive);
    archive_write_add_filter_zstd(archive);
    cr_assert_eq(archive_write_open_filename(archive, path), ARCHIVE_OK);
    archive_entry_set_pathname(entry, "trial/weights.safetensors");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_size(entry, 100LL << 20);
    cr_assert_eq(archive_write_header(archive, entry), ARCHIVE_OK);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(archive_write_data(archive, zeros, sizeof zeros), (la_ssize_t)sizeof zeros);
    archive_entry_free(entry);
    archive_write_close(archive);
    archive_write_free(archive);
    refused_open(path, "weights.safetensors and the files before it are more than 1000 times", "");
}

/* libarchive would have lrzip unpack what begins so. */
Test(trial_package, an_archive_runs_no_program) {
    char *script = rg_string_format("#!/bin/sh\ntouch '%s'\n", scratch("it-ran"));
    char *path = rg_string_format("%s:%s", scratch_path, getenv("PATH"));
    cr_assert_eq(chmod(scratch_write("lrzip", script), 0755), 0);
    setenv("PATH", path, 1);
    static const char start[64] = "LRZI\0\6"; /* its version 0.6 */
    ASSERT_OK(rg_file_write(scratch("made.tar.zst"), start, sizeof start, &error));
    refused_open(scratch("made.tar.zst"), "cannot read the archive", "");
    cr_assert_neq(access(scratch("it-ran"), F_OK), 0);
    free(script);
    free(path);
}

Test(trial_package, an_input_that_is_missing_or_another_is_named) {
    RgTrialPackage package;
    run_all();
    ASSERT_OK(pack("trial", "dpo", false));
    ASSERT_OK(rg_trial_package_open(scratch("trial"), &plain, &package, &error));
    rg_trial_package_close(&package);
    cr_assert_eq(rename(scratch("rewards.txt"), scratch("moved.txt")), 0);
    refused_open(scratch("trial"), "input environment.reward_file is missing", "rewards.txt");
    scratch_write("rewards.txt", "0 1 2\n3 1 0\n0.5 0.25 1\n2 2 9\n");
    refused_open(scratch("trial"), "input environment.reward_file differs", "rewards.txt");

    char *said = rg_string_format("environment.reward_file=%s", scratch("moved.txt"));
    const char *const inputs[] = {said, "environment.reward=x"};
    RgTrialOpening opening = {.inputs = inputs, .input_count = 1};
    ASSERT_OK(rg_trial_package_open(scratch("trial"), &opening, &package, &error));
    const char *results;
    char *told;
    rerun(&package, &results);
    cr_assert_eq(verdict_of(&package, results, &told), RG_RERUN_IDENTICAL, "%s", told);
    free(told);
    rg_trial_package_close(&package);
    opening.input_count = 2;
    cr_assert_eq(rg_trial_package_open(scratch("trial"), &opening, &package, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, "--input environment.reward=x"), "%s", error.text);
    free(said);
}

Test(trial_package, with_its_inputs_it_needs_nothing_else) {
    RgTrialPackage package;
    run_all();
    ASSERT_OK(pack("trial.tar.zst", "dpo", true));
    unlink(scratch("rewards.txt"));
    ASSERT_OK(rg_trial_package_open(scratch("trial.tar.zst"), &plain, &package, &error));
    const char *results;
    char *told;
    rerun(&package, &results);
    cr_assert_eq(verdict_of(&package, results, &told), RG_RERUN_IDENTICAL, "%s", told);
    free(told);
    rg_trial_package_close(&package);
}

Test(trial_package, only_a_trial_that_is_done_is_packed) {
    const char *path = run_all();
    change(path, "UPDATE trials SET status = 'running' WHERE label = 'dpo'");
    cr_assert_eq(pack("trial", "dpo", false), RG_E_STORE);
    cr_assert(strstr(error.text, "dpo, seed 2") && strstr(error.text, "is running"), "%s",
              error.text);
    cr_assert_eq(pack("trial", "ddpo", false), RG_E_USAGE);
    cr_assert(strstr(error.text, "the store has \"dpo\", \"SAIL\""), "%s", error.text);
    cr_assert_neq(access(scratch("trial"), F_OK), 0);
}

Test(trial_package, one_of_several_is_to_be_named_by_its_key) {
    run_all();
    cr_assert_eq(pack("trial", "SAIL", false), RG_E_USAGE, "two values of exploration were swept");
    char *key = strstr(error.text, "or by its key");
    cr_assert(key, "%s", error.text);
    key = rg_string_format("%.16s", strstr(key, ", key ") + strlen(", key "));
    ASSERT_OK(pack("trial", key, false));
    free(key);
}

Test(trial_package, what_is_there_is_not_overwritten_by_a_folder) {
    run_all();
    scratch_write("trial/mine.txt", "mine");
    cr_assert_eq(pack("trial", "dpo", false), RG_E_FILE);
    cr_assert(strstr(error.text, "it exists already"), "%s", error.text);
    cr_assert_eq(access(scratch("trial/mine.txt"), F_OK), 0);
}

/* FIPS 180-2, appendix B.1; sha256sum </dev/null. */
Test(checksum, is_the_published_one, .init = scratch_begin) {
    RgChecksum sum;
    ASSERT_OK(rg_file_checksum(scratch_write("abc", "abc"), &sum, &error));
    cr_assert_str_eq(sum.sha256,
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cr_assert_eq(sum.size, 3);
    ASSERT_OK(rg_file_checksum(scratch_write("empty", ""), &sum, &error));
    cr_assert_str_eq(sum.sha256,
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    cr_assert_eq(rg_file_checksum(scratch("none"), &sum, &error), RG_E_FILE);
}

/* ---- packages of strangers ---- */

/* trial.json of the folder "trial" with one text in place of another, which it has. */
static void rewrite_record(const char *old, const char *new) {
    char *text, *at;
    ASSERT_OK(rg_file_read(scratch("trial/trial.json"), &text, NULL, &error));
    at = strstr(text, old);
    cr_assert(at, "%s", old);
    char *changed = rg_string_format("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    scratch_write("trial/trial.json", changed);
    free(changed);
    free(text);
}

Test(trial_package, names_that_lead_elsewhere_are_refused) {
    static const struct {
        const char *old, *new, *said;
    } cases[] = {
        {"\"experiment\": \"race\"", "\"experiment\": \"../../x\"", "experiment is \"../../x\""},
        {"\"experiment\": \"race\"", "\"experiment\": \"-r\"", "experiment is \"-r\""},
        {"\"experiment\": \"race\"", "\"experiment\": 1", "experiment is \"\""},
        {"\"label\": \"dpo\"", "\"label\": \"\\u001b[2J\"", "label is \"?[2J\""},
        {"\"key\": \"", "\"key\": \"../", "key is \"../"},
        {"\"name\": \"config.json\"", "\"name\": \"../config.json\"",
         "lists \"../config.json\", which is not a file in it"},
        {"\"name\": \"rewards.txt\"", "\"name\": \"../rewards.txt\"",
         "lists \"../rewards.txt\" as a file of the input environment.reward_file"},
        {"\"setting\": \"environment.reward_file\"", "\"setting\": \"../environment\"",
         "lists the input \"../environment\""},
        {"\"swept\": {", "\"swept\": {\"\\u0007\": 1",
         "swept: expected an object of names and values"},
        {"\"swept\": {", "\"swept\": [], \"other\": {",
         "swept: expected an object of names and values"},
    };
    run_all();
    ASSERT_OK(pack("trial", "dpo", true));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rewrite_record(cases[i].old, cases[i].new);
        refused_open(scratch("trial"), cases[i].said, "trial.json");
        rewrite_record(cases[i].new, cases[i].old);
    }
    RgTrialPackage package;
    ASSERT_OK(rg_trial_package_open(scratch("trial"), &plain, &package, &error));
    rg_trial_package_close(&package);
}

Test(trial_package, a_path_that_is_no_listed_input_is_not_read) {
    run_all();
    ASSERT_OK(pack("trial", "dpo", false));
    rewrite_record("\"inputs\": [", "\"inputs\": [], \"others\": [");
    refused_open(scratch("trial"),
                 "config.json: environment.reward_file = ", "is not an input listed in trial.json");
}

Test(trial_package, rows_whose_names_lead_elsewhere_are_not_packed) {
    static const char *const changes[] = {
        "UPDATE trials SET label = char(27) || 'x' WHERE label = 'dpo' AND seed = 2",
        "UPDATE experiments SET name = '../x'",
    };
    const char *path = run_all();
    for (int i = 0; i < 2; i++) {
        RgTrialPackOptions options = {.store = path, .seed = 2, .output = scratch("trial")};
        options.trial = i == 0 ? "\x1bx" : "dpo";
        change(path, changes[i]);
        cr_assert_eq(rg_trial_pack(&options, &error), RG_E_STORE);
        cr_expect(strstr(error.text, i == 0 ? "trials.label of trial 4: is text \"?x\""
                                            : "name: is text \"../x\""),
                  "%s", error.text);
        cr_assert_neq(access(scratch("trial"), F_OK), 0);
        change(path, "UPDATE trials SET label = 'dpo' WHERE label = char(27) || 'x'");
    }
}
