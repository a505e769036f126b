/* SPDX-License-Identifier: MIT */
/* The table of settings: layers, lists, unknown keys, JSON. */
#include "core/settings.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_integer(RgSettings *s, const char *path, int line) {
    rg_settings_set(s, path, RG_SETTING_INTEGER, "1", "x.cfg", line);
}

Test(settings, later_value_replaces_earlier_and_keeps_its_place) {
    RgSettings *s = rg_settings_create();
    set_integer(s, "a", 1);
    set_integer(s, "b", 2);
    rg_settings_set(s, "a", RG_SETTING_STRING, "new", "y.cfg", 7);
    cr_assert_eq(rg_settings_count(s), 2);
    const RgSetting *a = rg_settings_at(s, 0);
    cr_assert_str_eq(a->path, "a");
    cr_assert_str_eq(a->text, "new");
    cr_assert_str_eq(a->file, "y.cfg");
    cr_assert_eq(a->line, 7);
    rg_settings_destroy(s);
}

Test(settings, value_and_group_displace_each_other) {
    RgSettings *s = rg_settings_create();
    set_integer(s, "optimizer.beta", 1);
    set_integer(s, "optimizerx", 2);
    rg_settings_set(s, "optimizer", RG_SETTING_STRING, "adam", "x.cfg", 3);
    cr_assert_null(rg_settings_find(s, "optimizer.beta"));
    cr_assert_not_null(rg_settings_find(s, "optimizerx"));
    set_integer(s, "optimizer.rate", 4);
    cr_assert_null(rg_settings_find(s, "optimizer"));
    cr_assert_eq(rg_settings_count(s), 2);
    rg_settings_destroy(s);
}

Test(settings, what_was_found_stays_where_it_is) {
    RgSettings *s = rg_settings_create();
    rg_settings_set(s, "name", RG_SETTING_STRING, "kept", "x.cfg", 1);
    const RgSetting *found = rg_settings_find(s, "name");
    const char *text = found->text;
    for (int i = 0; i < 1000; i++) {
        char path[32];
        snprintf(path, sizeof path, "list.%d", i);
        set_integer(s, path, i);
    }
    cr_assert_eq(rg_settings_find(s, "name"), found);
    cr_assert_str_eq(text, "kept");
    cr_assert_eq(rg_settings_length(s, "list"), 1000);
    rg_settings_destroy(s);
}

Test(settings, length_counts_elements_however_deep) {
    RgSettings *s = rg_settings_create();
    set_integer(s, "algorithms.0.beta", 1);
    set_integer(s, "algorithms.0.rate", 1);
    set_integer(s, "algorithms.1.beta.0", 1);
    rg_settings_set(s, "none", RG_SETTING_EMPTY, "", "x.cfg", 2);
    cr_assert_eq(rg_settings_length(s, "algorithms"), 2);
    cr_assert_eq(rg_settings_length(s, "algorithms.1.beta"), 1);
    cr_assert_eq(rg_settings_length(s, "algorithms.0"), 0);
    cr_assert_eq(rg_settings_length(s, "none"), 0);
    cr_assert_eq(rg_settings_length(s, "absent"), 0);
    rg_settings_destroy(s);
}

Test(settings, remove_takes_the_path_and_all_below_it_only) {
    RgSettings *s = rg_settings_create();
    set_integer(s, "a.0", 1);
    set_integer(s, "a.1.b", 1);
    set_integer(s, "ab", 1);
    rg_settings_remove(s, "a");
    cr_assert_eq(rg_settings_count(s), 1);
    cr_assert_not(rg_settings_has_group(s, "a"));
    cr_assert(rg_settings_has_group(s, ""));
    rg_settings_destroy(s);
}

/* Groups that were emptied, values where groups were, and the other way round. */
Test(settings, what_is_below_a_path_is_known_after_any_change) {
    RgSettings *s = rg_settings_create();
    rg_settings_set(s, "a.b.c", RG_SETTING_INTEGER, "1", "x", 1);
    rg_settings_set(s, "a.b.d", RG_SETTING_INTEGER, "2", "x", 1);
    cr_expect(rg_settings_has_group(s, "a") && rg_settings_has_group(s, "a.b"));
    cr_expect_not(rg_settings_has_group(s, "a.b.c"));
    rg_settings_remove(s, "a.b.c");
    cr_expect(rg_settings_has_group(s, "a.b"));
    rg_settings_set(s, "a.b", RG_SETTING_INTEGER, "3", "x", 1);
    cr_expect(rg_settings_has_group(s, "a"));
    cr_expect_not(rg_settings_has_group(s, "a.b"));
    cr_expect_null(rg_settings_find(s, "a.b.d"));
    rg_settings_set(s, "a.b.c.d", RG_SETTING_INTEGER, "4", "x", 1);
    cr_expect_null(rg_settings_find(s, "a.b"));
    cr_expect_eq(rg_settings_count(s), 1);
    rg_settings_remove(s, "a");
    cr_expect_not(rg_settings_has_group(s, "a"));
    cr_expect_eq(rg_settings_length(s, "a"), 0);
    cr_expect_eq(rg_settings_count(s), 0);
    rg_settings_destroy(s);
}

Test(settings, copy_group_moves_a_group_elsewhere_in_the_same_table) {
    RgSettings *s = rg_settings_create();
    rg_settings_set(s, "algorithms.0.beta", RG_SETTING_REAL, "0.1", "x.cfg", 5);
    set_integer(s, "algorithms.10.beta", 6);
    rg_settings_copy_group(s, "algorithms.0.copy", s, "algorithms.0");
    const RgSetting *copy = rg_settings_find(s, "algorithms.0.copy.beta");
    cr_assert_not_null(copy);
    cr_assert_str_eq(copy->text, "0.1");
    cr_assert_eq(copy->line, 5);
    cr_assert_eq(rg_settings_count(s), 3);
    RgSettings *top = rg_settings_create();
    rg_settings_copy_group(top, "", s, "algorithms.0");
    cr_assert_not_null(rg_settings_find(top, "beta"));
    rg_settings_destroy(top);
    rg_settings_destroy(s);
}

Test(settings, clone_is_equal_and_apart) {
    RgSettings *s = rg_settings_create();
    set_integer(s, "a", 1);
    set_integer(s, "b", 2);
    rg_settings_find(s, "a");
    RgSettings *clone = rg_settings_clone(s);
    rg_settings_remove(s, "a");
    RgError error = {0};
    cr_assert_eq(rg_settings_count(clone), 2);
    cr_assert(rg_settings_at(clone, 0)->used);
    cr_assert_eq(rg_settings_check_used(clone, "", NULL, &error), RG_E_USAGE);
    cr_assert_str_eq(error.text, "x.cfg:2: unknown key \"b\"");
    rg_settings_destroy(clone);
    rg_settings_destroy(s);
}

Test(settings, unknown_key_is_refused_with_the_nearest_name) {
    RgSettings *s = rg_settings_create();
    RgError error = {0};
    const char *known[] = {"beta", "mixture", "label", NULL};
    set_integer(s, "algorithms.0.beta", 3);
    set_integer(s, "algorithms.0.mixtrue", 4);
    rg_settings_find(s, "algorithms.0.beta");
    cr_assert_eq(rg_settings_check_used(s, "algorithms.0", known, &error), RG_E_USAGE);
    cr_assert_str_eq(error.text, "x.cfg:4: unknown key \"algorithms.0.mixtrue\"; did you mean "
                                 "\"mixture\"?");
    cr_assert_eq(rg_settings_check_used(s, "algorithms.1", known, &error), RG_OK);
    rg_settings_find(s, "algorithms.0.mixtrue");
    cr_assert_eq(rg_settings_check_used(s, "", known, &error), RG_OK);
    rg_settings_destroy(s);
}

Test(settings, unknown_group_is_named_by_its_first_part) {
    RgSettings *s = rg_settings_create();
    RgError error = {0};
    const char *known[] = {"policy", "optimizer", NULL};
    set_integer(s, "optimiser.rate", 9);
    rg_settings_check_used(s, "", known, &error);
    cr_assert_str_eq(error.text, "x.cfg:9: unknown key \"optimiser\"; did you mean \"optimizer\"?");
    rg_settings_remove(s, "optimiser");
    set_integer(s, "zebra", 2);
    rg_settings_check_used(s, "", known, &error);
    cr_assert_str_eq(error.text,
                     "x.cfg:2: unknown key \"zebra\": expected one of policy, optimizer");
    rg_settings_destroy(s);
}

Test(settings, a_key_inside_a_known_group_is_named_in_full) {
    RgSettings *s = rg_settings_create();
    RgError error = {0};
    const char *known[] = {"type", "adapter.rank", "adapter.alpha", "adapters", NULL};
    set_integer(s, "policy.adapter.rnak", 9);
    rg_settings_check_used(s, "policy", known, &error);
    cr_assert_str_eq(error.text, "x.cfg:9: unknown key \"policy.adapter.rnak\"; did you mean "
                                 "\"rank\"?");
    rg_settings_remove(s, "policy.adapter.rnak");
    set_integer(s, "policy.adapter.zebra", 2);
    rg_settings_check_used(s, "policy", known, &error);
    cr_assert_str_eq(error.text, "x.cfg:2: unknown key \"policy.adapter.zebra\": expected one of "
                                 "rank, alpha");
    rg_settings_destroy(s);
}

Test(settings, empty_group_counts_as_used_when_asked_for) {
    RgSettings *s = rg_settings_create();
    rg_settings_set(s, "sweep", RG_SETTING_EMPTY, "", "x.cfg", 1);
    cr_assert_neq(rg_settings_check_used(s, "", NULL, NULL), RG_OK);
    cr_assert_eq(rg_settings_length(s, "sweep"), 0);
    cr_assert_eq(rg_settings_check_used(s, "", NULL, NULL), RG_OK);
    rg_settings_destroy(s);
}

static const double awkward[] = {0.1,
                                 0.1 + 0.2,
                                 1.0 / 3,
                                 1e-5,
                                 5e-324,
                                 1.7976931348623157e308,
                                 -0.0,
                                 1,
                                 1e15,
                                 123456789012345678.0,
                                 3.14159265358979312};
enum { AWKWARD = sizeof awkward / sizeof *awkward };

Test(settings, json_round_trip_keeps_every_bit_of_reals) {
    RgSettings *s = rg_settings_create(), *back = rg_settings_create();
    char path[16], text[40];
    for (int i = 0; i < AWKWARD; i++) {
        snprintf(path, sizeof path, "r.%d", i);
        snprintf(text, sizeof text, "%a", awkward[i]); /* hexadecimal: exact by itself */
        rg_settings_set(s, path, RG_SETTING_REAL, text, "x.cfg", 1);
    }
    char *json = rg_settings_to_json(s);
    RgError error = {0};
    cr_assert_eq(rg_settings_from_json(json, back, &error), RG_OK, "%s", error.text);
    for (int i = 0; i < AWKWARD; i++) {
        snprintf(path, sizeof path, "r.%d", i);
        const RgSetting *r = rg_settings_find(back, path);
        double value = strtod(r->text, NULL);
        cr_assert_eq(memcmp(&value, &awkward[i], sizeof value), 0, "%s is not %a", r->text,
                     awkward[i]);
        cr_assert_eq(r->kind, RG_SETTING_REAL, "%s is no real", r->text);
    }
    char *again = rg_settings_to_json(back);
    cr_assert_str_eq(json, again);
    free(json);
    free(again);
    rg_settings_destroy(s);
    rg_settings_destroy(back);
}

Test(settings, json_is_sorted_flat_and_keeps_kinds) {
    RgSettings *s = rg_settings_create(), *back = rg_settings_create();
    rg_settings_set(s, "z", RG_SETTING_REAL, "2", "x.cfg", 1);
    rg_settings_set(s, "b.0", RG_SETTING_STRING, "say \"π\"\n", "x.cfg", 1);
    rg_settings_set(s, "n", RG_SETTING_INTEGER, "-9223372036854775808", "x.cfg", 1);
    rg_settings_set(s, "a", RG_SETTING_BOOLEAN, "true", "x.cfg", 1);
    rg_settings_set(s, "e", RG_SETTING_EMPTY, "", "x.cfg", 1);
    char *json = rg_settings_to_json(s);
    cr_assert_str_eq(json, "{\"a\":true,\"b.0\":\"say \\\"π\\\"\\n\",\"e\":[],"
                           "\"n\":-9223372036854775808,\"z\":2.0}");
    cr_assert_eq(rg_settings_from_json(json, back, NULL), RG_OK);
    const char *paths[] = {"a", "b.0", "e", "n", "z"};
    for (int i = 0; i < 5; i++) {
        const RgSetting *from = rg_settings_find(s, paths[i]),
                        *to = rg_settings_find(back, paths[i]);
        cr_assert_eq(from->kind, to->kind);
        cr_assert_str_eq(from->text, to->text);
    }
    free(json);
    rg_settings_destroy(s);
    rg_settings_destroy(back);
}

Test(settings, json_does_not_depend_on_the_order_of_setting_or_on_spelling) {
    RgSettings *a = rg_settings_create(), *b = rg_settings_create();
    rg_settings_set(a, "x", RG_SETTING_REAL, "1e-5", "x.cfg", 1);
    rg_settings_set(a, "y", RG_SETTING_REAL, "0.10000000000000001", "x.cfg", 1);
    rg_settings_set(b, "y", RG_SETTING_REAL, "0.1", "y.cfg", 3);
    rg_settings_set(b, "x", RG_SETTING_REAL, "0.00001", "y.cfg", 4);
    char *first = rg_settings_to_json(a), *second = rg_settings_to_json(b);
    cr_assert_str_eq(first, second);
    free(first);
    free(second);
    rg_settings_destroy(a);
    rg_settings_destroy(b);
}

Test(settings, bad_json_is_refused) {
    const char *bad[] = {"",
                         "[1]",
                         "{\"a\":null}",
                         "{\"a\":{\"b\":1}}",
                         "{\"a\":[1]}",
                         "{\"a\":1,\"a\":2}",
                         "{\"\":1}",
                         "{\"a\":1",
                         "{\"a\":99999999999999999999}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        RgSettings *s = rg_settings_create();
        RgError error = {0};
        cr_assert_eq(rg_settings_from_json(bad[i], s, &error), RG_E_FORMAT, "%s", bad[i]);
        cr_assert_eq(strncmp(error.text, "stored config: ", 15), 0, "%s", error.text);
        rg_settings_destroy(s);
    }
}
