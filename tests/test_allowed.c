/* SPDX-License-Identifier: MIT */
/* Settings that act are refused of a stranger's trial, by name, until they are allowed by kind. */
#include "algorithms/algorithm.h"
#include "envs/environment.h"
#include "envs/judges/judge.h"
#include "experiments/program/config/allowed.h"
#include "experiments/program/config/experiment.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static RgError error;
static RgSettings *resolved;
static RgAllowed allowed;

static void begin(void) {
    resolved = rg_settings_create();
    allowed = (RgAllowed){0};
}

static void end(void) {
    rg_settings_destroy(resolved);
    rg_allowed_clear(&allowed);
}

TestSuite(allowed, .init = begin, .fini = end);

static void set(const char *path, const char *text) {
    rg_settings_set(resolved, path, RG_SETTING_STRING, text, "stored config", 0);
}

static void refused(const char *setting, const char *does, const char *option) {
    cr_assert_eq(rg_allowed_check(&allowed, resolved, &error), RG_E_USAGE);
    cr_expect(strncmp(error.text, setting, strlen(setting)) == 0, "%s", error.text);
    cr_expect(strstr(error.text, does) && strstr(error.text, option), "%s", error.text);
}

static void passes(void) {
    cr_assert_eq(rg_allowed_check(&allowed, resolved, &error), RG_OK, "%s", error.text);
}

static void allow(const char *list) {
    cr_assert_eq(rg_allowed_add(&allowed, list, &error), RG_OK, "%s", error.text);
}

Test(allowed, what_only_computes_passes) {
    set("environment.type", "text");
    set("environment.judge.type", "reward-model");
    set("environment.judge.save", "");
    set("environment.independent_judge.type", "ngram");
    set("policy.type", "transformer");
    set("algorithm.type", "dpo");
    passes();
}

Test(allowed, a_command_runs_only_when_allowed) {
    set("environment.type", "text");
    set("environment.independent_judge.type", "command");
    set("environment.independent_judge.command", "touch pwned");
    refused("environment.independent_judge.command = \"touch pwned\"", "runs a program",
            "--allow command");
    allow("endpoint,save");
    refused("environment.independent_judge.command", "runs a program", "--allow command");
    allow("command");
    passes();
}

Test(allowed, a_judge_of_a_mixture_writes_only_when_allowed) {
    set("environment.type", "text");
    set("environment.judge.type", "mixture");
    set("environment.judge.judges.0.type", "ngram");
    set("environment.judge.judges.1.type", "reward-model");
    set("environment.judge.judges.1.save", "/home/me/.profile");
    refused("environment.judge.judges.1.save = \"/home/me/.profile\"", "writes that file",
            "--allow save");
    allow("save");
    passes();
}

Test(allowed, an_endpoint_is_sent_to_and_a_key_is_read_only_when_each_is_allowed) {
    set("environment.type", "text");
    set("environment.judge.type", "endpoint");
    set("environment.judge.url", "http://evil");
    set("environment.judge.key_variable", "AWS_SECRET_ACCESS_KEY");
    refused("environment.judge.url = \"http://evil\"", "sends texts", "--allow endpoint");
    allow("command,endpoint,save");
    refused("environment.judge.key_variable = \"AWS_SECRET_ACCESS_KEY\"", "reads that variable",
            "--key-variable");
    rg_allowed_add_key(&allowed, "OPENAI_API_KEY");
    refused("environment.judge.key_variable", "reads that variable", "--key-variable");
    rg_allowed_add_key(&allowed, "AWS_SECRET_ACCESS_KEY");
    passes();
}

Test(allowed, kinds_that_are_none_are_refused_by_name) {
    static const char *const bad[] = {"", "all", "command,", "command,,save", "Command", "key"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(rg_allowed_add(&allowed, bad[i], &error), RG_E_USAGE, "%s", bad[i]);
        cr_expect(strstr(error.text, "expected a list of command, endpoint, save"), "%s",
                  error.text);
    }
}

static char marked[512];

static void note_marks(const char *who, const RgOption *table) {
    const RgOption *option;
    for (int i = 0; (option = rg_options_at(table, i, NULL)); i++)
        if (option->act != RG_ACT_NONE) {
            cr_expect_eq(option->kind, RG_KIND_STRING, "%s.%s", who, option->name);
            size_t used = strlen(marked);
            snprintf(marked + used, sizeof marked - used, "%s.%s ", who, option->name);
        }
}

/* A new option that runs, sends or writes is marked, and named here. */
Test(allowed, the_options_that_act_are_these) {
    for (int kind = 0; kind < RG_KINDS; kind++) {
        const RgDescriptor *about;
        for (int i = 0; (about = rg_registered(kind, i)); i++)
            note_marks(about->name, about->options);
    }
    note_marks("policy", rg_policy_part_options);
    note_marks("environment", rg_environment_part_options);
    note_marks("algorithm", rg_algorithm_part_options);
    note_marks("training", rg_training_options);
    cr_expect_str_eq(marked, "command.command endpoint.url endpoint.key_variable "
                             "reward-model.save ");
}
