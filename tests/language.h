/* SPDX-License-Identifier: MIT */
/* A language of 27 sentences for tests, with its environment, reference and a policy beside it.
 * Needs scratch_begin. */
#ifndef RG_TESTS_LANGUAGE_H
#define RG_TESTS_LANGUAGE_H

#include "envs/language/language.h"
#include "experiments/program/plugins/small_race.h"
#include "scratch.h"

static const char small_language[] =
    "words = [ \"a\", \"b\", \"c\" ];\n"
    "length = 3;\n"
    "smoothing = 0.1;\n"
    "grammar = (\n"
    "    { position = 1; next = [ \"a\", \"b\" ]; probabilities = [ 0.7, 0.3 ]; },\n"
    "    { position = 2; after = [ \"a\", \"b\" ]; next = [ \"b\", \"c\" ]; probabilities = [ 0.4, "
    "0.6 ]; "
    "},\n"
    "    { position = 3; after = [ \"c\" ]; next = [ \"a\", \"c\" ]; probabilities = [ 0.5, 0.5 ]; "
    "}\n"
    ");\n"
    "reward: {\n"
    "    intercept = -0.2;\n"
    "    words = [ \"a\", \"c\" ];\n"
    "    weights = [ 1.5, -1.0 ];\n"
    "    factors = ( { after = [ \"b\" ]; factor = -0.5; } );\n"
    "    squashing = \"sigmoid\";\n"
    "};\n";
enum { SMALL_SENTENCES = 27 };

typedef struct LanguageStage {
    RgSettings *settings;
    RgEnvironment *environment;
    RgPolicy *reference, *policy;
} LanguageStage;

/* `options` of the environment and of the policy as in rg_small_race_set. The policy is a copy of
 * the reference with noise of this deviation. */
static inline LanguageStage language_begin(const char *path, const char *options, const char *kind,
                                           const char *kind_options, double deviation) {
    LanguageStage s = {.settings = rg_settings_create()};
    RgError error = {0};
    rg_small_race_set(s.settings, "environment", options);
    rg_small_race_set(s.settings, "policy", kind_options);
    rg_settings_set(s.settings, "environment.language", RG_SETTING_STRING, path, "test", 1);
    cr_assert_eq(rg_environment_create("language", s.settings, "environment", rg_random_root(5),
                                       &s.environment, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(rg_policy_create(kind, s.settings, "policy", &s.environment->space,
                                  rg_random_root(6), &s.reference, &error),
                 RG_OK, "%s", error.text);
    cr_assert_eq(rg_environment_prepare(s.environment, s.reference, rg_random_root(8), &error),
                 RG_OK, "%s", error.text);
    s.policy = rg_policy_clone(s.reference, false);
    for (int64_t i = 0; i < s.policy->parameters->count; i++)
        s.policy->parameters->value[i] +=
            (RgReal)(deviation * rg_random_normal(rg_random_root(9), (uint64_t)i));
    return s;
}

static inline LanguageStage small_begin(const char *options, double deviation) {
    return language_begin(scratch_write("small.language", small_language), options, "bigram", "",
                          deviation);
}

static inline void language_end(LanguageStage *s) {
    rg_policy_destroy(s->policy);
    rg_policy_destroy(s->reference);
    rg_environment_destroy(s->environment);
    rg_settings_destroy(s->settings);
}

#endif
