/* SPDX-License-Identifier: MIT */
/* Config files and overrides: what is read, where it came from, and every refusal. */
#include "core/config_file.h"
#include "core/options.h"
#include "tests/scratch.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static RgSettings *settings;
static RgError error;

static void begin(void) {
    scratch_begin();
    settings = rg_settings_create();
}

static void end(void) {
    rg_settings_destroy(settings);
}

TestSuite(config, .init = begin, .fini = end);

static RgStatus read_text(const char *text) {
    return rg_config_read(scratch_write("x.cfg", text), settings, &error);
}

static const char *text_of(const char *path) {
    const RgSetting *setting = rg_settings_find(settings, path);
    return setting ? setting->text : "(absent)";
}

/* The message, with the scratch folder's name taken out of it. */
static const char *message(void) {
    static char text[sizeof error.text];
    char *out = text;
    size_t length = strlen(scratch_path);
    for (const char *c = error.text; *c;)
        if (strncmp(c, scratch_path, length) == 0 && c[length] == '/')
            c += length + 1;
        else
            *out++ = *c++;
    *out = '\0';
    return text;
}

#define ASSERT_READ(file) cr_assert_eq(read_text(file), RG_OK, "%s", error.text)
#define ASSERT_SET(assignment)                                                                     \
    cr_assert_eq(rg_config_override(settings, assignment, &error), RG_OK, "%s", error.text)
#define ASSERT_TEXT(path, expected) cr_assert_str_eq(text_of(path), expected)

Test(config, every_kind_is_flattened_with_file_and_line) {
    ASSERT_READ("name = \"first\"; // a comment, 99999999999\n"
                "seeds = [1,\n"
                "  -2];\n"
                "algorithms = ( { kind = \"dpo\"; beta = 0.1; },\n"
                "               { kind = \"sail\"; beta = 1e-5; on = true; } );\n"
                "big = 4294967297L;\n"
                "none = { };\n");
    ASSERT_TEXT("name", "first");
    ASSERT_TEXT("seeds.1", "-2");
    ASSERT_TEXT("algorithms.1.beta", "1e-05");
    ASSERT_TEXT("algorithms.1.on", "true");
    ASSERT_TEXT("big", "4294967297");
    const RgSetting *second = rg_settings_find(settings, "seeds.1");
    cr_assert_eq(second->line, 3);
    cr_assert_str_eq(second->file, scratch("x.cfg"));
    cr_assert_eq(second->kind, RG_SETTING_INTEGER);
    cr_assert_eq(rg_settings_find(settings, "algorithms.0.beta")->kind, RG_SETTING_REAL);
    cr_assert_eq(rg_settings_find(settings, "none")->kind, RG_SETTING_EMPTY);
    cr_assert_eq(rg_settings_length(settings, "algorithms"), 2);
}

Test(config, missing_file_and_folder_are_refused) {
    cr_assert_eq(rg_config_read(scratch("no.cfg"), settings, &error), RG_E_USAGE);
    cr_assert_str_eq(message(), "no.cfg: No such file or directory");
    cr_assert_eq(rg_config_read(scratch_path, settings, &error), RG_E_USAGE);
    cr_assert(strstr(error.text, "is not a regular file"), "%s", error.text);
}

Test(config, syntax_error_names_file_and_line) {
    cr_assert_eq(read_text("a = 1;\nb = = 2;\n"), RG_E_USAGE);
    cr_assert_str_eq(message(), "x.cfg:2: syntax error");
    cr_assert_eq(read_text("a = 1;\nb = [1, 2.5];\n"), RG_E_USAGE);
    cr_assert_str_eq(message(),
                     "x.cfg:2: mismatched element type in array: expected elements of one "
                     "type, such as [1.0, 0.5] in place of [1, 0.5]");
    cr_assert_eq(read_text("a = \"unfinished\n"), RG_E_USAGE);
    cr_assert(strstr(message(), "x.cfg:"), "%s", error.text);
}

/* libconfig takes what comes before for the whole file. */
Test(config, string_or_comment_without_an_end_is_refused) {
    cr_assert_eq(read_text("a = 1;\n\"b = 2;\nc = 3;\n"), RG_E_USAGE);
    cr_assert_str_eq(message(), "x.cfg:2: the string that begins here has no end: expected a "
                                "closing \"");
    cr_assert_eq(read_text("a = 1;\nb = \"\\\"; # \"\n \""), RG_E_USAGE);
    cr_assert(strstr(message(), "x.cfg:3: the string that begins here"), "%s", error.text);
    cr_assert_eq(read_text("a = 1;\n/* b = 2; *\n"), RG_E_USAGE);
    cr_assert_str_eq(message(), "x.cfg:2: the comment that begins here has no end: expected */");
    cr_assert_eq(rg_config_override(settings, "a=1; \"", &error), RG_E_USAGE);
    ASSERT_READ(
        "a = \"x\\\"\\\\\"; // \" and /*\nb = \"two\nlines # /* \"; # it's \"\n/* \" */ c = "
        "\"\" \"//\";");
    ASSERT_TEXT("a", "x\"\\");
    ASSERT_TEXT("b", "two\nlines # /* ");
    ASSERT_TEXT("c", "//");
}

Test(config, key_given_twice_in_one_file_is_refused) {
    cr_assert_eq(read_text("a = 1;\nb = 2;\na = 3;\n"), RG_E_USAGE);
    cr_assert_str_eq(message(), "x.cfg:3: duplicate setting name");
}

Test(config, integer_beyond_32_bits_needs_its_L) {
    cr_assert_eq(read_text("a = 1;\n/* 9999999999\n */ seed = 4294967297;\n"), RG_E_USAGE);
    cr_assert_str_eq(message(), "x.cfg:3: integer 4294967297 does not fit 32 bits: add L, as in "
                                "4294967297L");
    const char *bad[] = {"a=[1,2147483648];",       "a=-2147483649;",
                         "a=0x1FFFFFFFF;",          "a=0xFFFFFFFF;",
                         "a=99999999999999999999;", "a=99999999999999999999L;"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(read_text(bad[i]), RG_E_USAGE, "%s", bad[i]);
    ASSERT_READ("a = 2147483647; b = -2147483648; c = 9223372036854775807L; d = 3000000000.0;\n"
                "e3000000000 = \"3000000000 \\\" 3000000000\"; # 3000000000\n"
                "f = 3000000000e0; g = -4294967297L; h-3000000000 = 0x7fffffff;");
    ASSERT_TEXT("a", "2147483647");
    ASSERT_TEXT("b", "-2147483648");
    ASSERT_TEXT("c", "9223372036854775807");
    ASSERT_TEXT("g", "-4294967297");
    ASSERT_TEXT("h-3000000000", "2147483647");
}

Test(config, reals_keep_every_bit_and_are_finite) {
    ASSERT_READ("a = 0.30000000000000004; b = 3.1415926535897931;");
    cr_assert_eq(strtod(text_of("a"), NULL), 0.1 + 0.2);
    cr_assert_eq(strtod(text_of("b"), NULL), 3.14159265358979312);
    cr_assert_eq(read_text("\na = 1e999;"), RG_E_USAGE);
    cr_assert_str_eq(message(), "x.cfg:2: a is too large for a real");
}

Test(config, text_that_is_not_utf8_is_refused) {
    ASSERT_READ("a = \"Niña π 帆 ⛵\";");
    const char *bad[] = {"a=\"Ni\xF1"
                         "a\";",
                         "a=\"\xC0\x80\";", "a=\"\xED\xA0\x80\";", "a=\"\xF5\x80\x80\x80\";",
                         "a=\"\xE2\x82\";"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(read_text(bad[i]), RG_E_USAGE);
        cr_assert_str_eq(message(), "x.cfg:1: a is not UTF-8 text");
    }
}

Test(config, include_is_relative_to_the_including_file) {
    scratch_write("parts/policy.cfg", "policy = {\n  width = 8;\n};\n");
    const char *path = scratch_write("parts/main.cfg", "a = 1;\n@include \"policy.cfg\"\nb = 2;\n");
    cr_assert_eq(rg_config_read(path, settings, &error), RG_OK, "%s", error.text);
    const RgSetting *width = rg_settings_find(settings, "policy.width");
    cr_assert_str_eq(width->text, "8");
    cr_assert_str_eq(width->file, scratch("parts/policy.cfg"));
    cr_assert_eq(width->line, 2);
    cr_assert_eq(rg_settings_find(settings, "b")->line, 3);
}

Test(config, file_without_a_folder_is_read_from_the_working_folder) {
    scratch_write("part.cfg", "b = 2;");
    scratch_write("main.cfg", "@include \"part.cfg\"\nextends = \"base.cfg\";");
    scratch_write("base.cfg", "b = 1; c = 3;");
    cr_assert_eq(chdir(scratch_path), 0);
    cr_assert_eq(rg_config_read("main.cfg", settings, &error), RG_OK, "%s", error.text);
    ASSERT_TEXT("b", "2");
    ASSERT_TEXT("c", "3");
    cr_assert_str_eq(rg_settings_find(settings, "b")->file, "part.cfg");
    cr_assert_eq(chdir("/"), 0);
}

Test(config, bad_includes_are_refused_where_they_stand) {
    scratch_write("parts/x", "");
    cr_assert_eq(read_text("a = 1;\n@include \"gone.cfg\"\n"), RG_E_USAGE);
    cr_assert_str_eq(message(), "x.cfg:2: gone.cfg: No such file or directory");
    cr_assert_eq(read_text("@include \"parts\"\n"), RG_E_USAGE);
    cr_assert_str_eq(message(), "x.cfg:1: parts: is not a regular file");
    scratch_write("big.cfg", "\nn = 3000000000;\n");
    cr_assert_eq(read_text("@include \"big.cfg\"\n"), RG_E_USAGE);
    cr_assert(strstr(message(), "big.cfg:2: integer 3000000000"), "%s", error.text);
    scratch_write("wrong.cfg", "\n\nn = ;\n");
    cr_assert_eq(read_text("@include \"wrong.cfg\"\n"), RG_E_USAGE);
    cr_assert_str_eq(message(), "wrong.cfg:3: syntax error");
    cr_assert_eq(read_text("@include \"x.cfg\"\n"), RG_E_USAGE);
    cr_assert(strstr(error.text, "nested too deep"), "%s", error.text);
    const char *malformed[] = {"\n@",
                               "\n@include \"\"x\"",
                               "\n@include x.cfg",
                               "\n@include \"x",
                               "\n@include \"a\\\"b\"",
                               "\na = 1; @x"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        cr_assert_eq(read_text(malformed[i]), RG_E_USAGE);
        cr_assert_str_eq(message(), "x.cfg:2: expected @include \"file\"");
    }
    scratch_write("part.cfg", "a = 1;");
    cr_assert_eq(read_text("@include \"part.cfg\" b = 3000000000;\n"), RG_E_USAGE);
    cr_assert(strstr(message(), "x.cfg:1: integer 3000000000"), "%s", error.text);
    scratch_write("twice.cfg", "a = 2;");
    cr_assert_eq(read_text("a = 1;\n@include \"twice.cfg\"\n"), RG_E_USAGE);
    cr_assert_str_eq(message(), "twice.cfg:1: duplicate setting name");
}

Test(config, extending_file_replaces_value_by_value) {
    scratch_write("base/first.cfg", "a = 1; optimizer = { kind = \"sgd\"; rate = 0.5; };\n");
    ASSERT_READ("optimizer = { rate = 0.25; };\nextends = \"base/first.cfg\";\nb = 2;\n");
    ASSERT_TEXT("a", "1");
    ASSERT_TEXT("b", "2");
    ASSERT_TEXT("optimizer.kind", "sgd");
    ASSERT_TEXT("optimizer.rate", "0.25");
    ASSERT_TEXT("extends", "(absent)");
    cr_assert_str_eq(rg_settings_find(settings, "a")->file, scratch("base/first.cfg"));
    cr_assert_eq(rg_settings_find(settings, "optimizer.rate")->line, 1);
}

Test(config, list_of_the_extending_file_replaces_the_whole_list) {
    scratch_write("base.cfg",
                  "seeds = [1, 2, 3];\n"
                  "algorithms = ( { kind = \"dpo\"; beta = 0.5; }, { kind = \"sft\"; } );"
                  "sweep = { beta = [1, 2]; }; list = [1, 2]; kept = [5];");
    ASSERT_READ("extends = \"base.cfg\"; seeds = [9]; algorithms = ( { kind = \"sail\"; } );\n"
                "sweep = { beta = [3]; }; list = { a = 1; }; ");
    cr_assert_eq(rg_settings_length(settings, "seeds"), 1);
    ASSERT_TEXT("seeds.0", "9");
    cr_assert_eq(rg_settings_length(settings, "algorithms"), 1);
    ASSERT_TEXT("algorithms.0.kind", "sail");
    ASSERT_TEXT("algorithms.0.beta", "(absent)");
    cr_assert_eq(rg_settings_length(settings, "sweep.beta"), 1);
    ASSERT_TEXT("list.0", "(absent)");
    ASSERT_TEXT("list.a", "1");
    ASSERT_TEXT("kept.0", "5");
}

Test(config, empty_list_or_group_of_the_extending_file) {
    scratch_write("base.cfg", "seeds = [1, 2]; group = { a = 1; };");
    ASSERT_READ("extends = \"base.cfg\"; seeds = []; group = { };");
    cr_assert_eq(rg_settings_length(settings, "seeds"), 0);
    ASSERT_TEXT("seeds", "");
    ASSERT_TEXT("group.a", "1");
}

Test(config, several_bases_layer_in_their_order_and_may_share_a_base) {
    scratch_write("root.cfg", "a = 0; b = 0; c = 0; d = 0;");
    scratch_write("one.cfg", "extends = \"root.cfg\"; a = 1; b = 1;");
    scratch_write("two.cfg", "extends = \"root.cfg\"; b = 2;");
    ASSERT_READ("extends = [\"one.cfg\", \"two.cfg\"]; c = 3;");
    ASSERT_TEXT("a", "0"); /* two.cfg brings root.cfg's again */
    ASSERT_TEXT("b", "2");
    ASSERT_TEXT("c", "3");
    ASSERT_TEXT("d", "0");
}

Test(config, bad_extends_are_refused) {
    scratch_write("a.cfg", "extends = \"b.cfg\";");
    scratch_write("b.cfg", "\nextends = \"a.cfg\";");
    cr_assert_eq(rg_config_read(scratch("a.cfg"), settings, &error), RG_E_USAGE);
    cr_assert_str_eq(message(), "a.cfg:1: extends: b.cfg:2: extends: a.cfg extends itself");
    cr_assert_eq(read_text("extends = \"x.cfg\";"), RG_E_USAGE);
    cr_assert_str_eq(message(), "x.cfg:1: extends: x.cfg extends itself");
    cr_assert_eq(read_text("\nextends = \"gone.cfg\";"), RG_E_USAGE);
    cr_assert_str_eq(message(), "x.cfg:2: extends: gone.cfg: No such file or directory");
    cr_assert_eq(read_text("extends = 3;"), RG_E_USAGE);
    cr_assert(strstr(error.text, "expected the name of a file"), "%s", error.text);
    cr_assert_eq(read_text("extends = { a = 1; };"), RG_E_USAGE);
    cr_assert_eq(read_text("extends = ( \"b.cfg\", 3 );"), RG_E_USAGE);
}

Test(config, overrides_take_every_kind_of_value) {
    ASSERT_READ("a = 1; o = { rate = 0.5; }; seeds = [1, 2, 3];");
    ASSERT_SET("a=2");
    ASSERT_SET("o.rate=1e-4");
    ASSERT_SET("o.on = true");
    ASSERT_SET("o.name=\"two words; = 1\"");
    ASSERT_SET("o.path=results/3000000000-x.sqlite");
    ASSERT_SET("o.version=1.2.3");
    ASSERT_SET("o.big=4294967297L");
    ASSERT_TEXT("a", "2");
    ASSERT_TEXT("o.rate", "0.0001");
    ASSERT_TEXT("o.name", "two words; = 1");
    ASSERT_TEXT("o.path", "results/3000000000-x.sqlite");
    ASSERT_TEXT("o.version", "1.2.3");
    ASSERT_TEXT("o.big", "4294967297");
    cr_assert_eq(rg_settings_find(settings, "a")->kind, RG_SETTING_INTEGER);
    cr_assert_eq(rg_settings_find(settings, "o.rate")->kind, RG_SETTING_REAL);
    cr_assert_eq(rg_settings_find(settings, "o.on")->kind, RG_SETTING_BOOLEAN);
    cr_assert_str_eq(rg_settings_find(settings, "a")->file, "-s");
}

Test(config, overridden_lists_replace_all_elements) {
    ASSERT_READ("seeds = [1, 2, 3]; algorithms = ( { kind = \"dpo\"; beta = 0.5; } );");
    ASSERT_SET("seeds=[7, 0.5]");
    cr_assert_eq(rg_settings_length(settings, "seeds"), 2);
    ASSERT_TEXT("seeds.0", "7");
    ASSERT_TEXT("seeds.1", "0.5");
    ASSERT_SET("seeds.1=9");
    ASSERT_TEXT("seeds.1", "9");
    ASSERT_SET("seeds=[]");
    cr_assert_eq(rg_settings_length(settings, "seeds"), 0);
    ASSERT_SET("algorithms.0.beta=0.1");
    ASSERT_TEXT("algorithms.0.beta", "0.1");
    ASSERT_SET("algorithms=({kind=\"sft\";},{kind=\"sail\";})");
    ASSERT_TEXT("algorithms.0.kind", "sft");
    ASSERT_TEXT("algorithms.0.beta", "(absent)");
    ASSERT_TEXT("algorithms.1.kind", "sail");
    ASSERT_SET("seeds=3");
    ASSERT_TEXT("seeds", "3");
}

Test(config, bad_overrides_are_refused_and_change_nothing) {
    ASSERT_READ("a = 1; seeds = [1, 2, 3]; g = { b = 1; };");
    char *before = rg_settings_to_json(settings);
    const struct {
        const char *assignment, *message;
    } cases[] = {
        {"a", "-s a: expected path=value"},
        {"=1", "-s : expected a path of names"},
        {"a..b=1", "-s a..b: expected a path"},
        {".a=1", "-s .a: expected a path"},
        {"a.=1", "-s a.: expected a path"},
        {"a b=1", "-s a b: expected a path"},
        {"0.a=1", "-s 0.a: expected a path"},
        {"seeds.01=1", "-s seeds.01: expected a path"},
        {"a.b=1", "-s a.b: a is a value, not a group"},
        {"seeds.3=1", "-s seeds.3: seeds is a list: expected an element 0 to 2, found \"3\""},
        {"seeds.x=1", "expected an element 0 to 2, found \"x\""},
        {"seeds.0.x=1", "seeds.0 is a value"},
        {"g.0=1", "-s g.0: g is not a list with an element 0"},
        {"a=", "-s a=: expected a number"},
        {"a=\"x", "-s a=\"x: expected a number"},
        {"seeds=[1, two]", "strings in lists need their quotes"},
        {"a=\"x\"; b = 2", "expected a number"},
        {"a=1\n@include \"/\"", "expected a value of one line"},
        {"a=4294967297", "-s: a: integer 4294967297 does not fit 32 bits: add L"},
        {"seeds=[1, 4294967297]", "does not fit 32 bits: add L"},
        {"a=1e999", "a is too large for a real"},
        {"a=\xFF", "-s a: the value is not UTF-8 text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RgStatus status = rg_config_override(settings, cases[i].assignment, &error);
        cr_assert_eq(status, RG_E_USAGE, "%s", cases[i].assignment);
        cr_assert(strstr(error.text, cases[i].message), "%s gave: %s", cases[i].assignment,
                  error.text);
    }
    char *after = rg_settings_to_json(settings);
    cr_assert_str_eq(before, after);
    free(before);
    free(after);
}

typedef struct Boat {
    double beta;
} Boat;

Test(config, messages_of_options_point_into_the_file_or_at_the_override) {
    static const RgOption boat[] = {RG_OPTION_REAL(Boat, beta, "0.1", 1e-6, 1e3, "strength"),
                                    RG_OPTION_END};
    Boat values;
    ASSERT_READ("algorithms = (\n  { beta = \"high\"; bta = 1; } );");
    rg_options_read(boat, settings, "algorithms.0", &values, &error);
    cr_assert_str_eq(message(),
                     "x.cfg:2: algorithms.0.beta = \"high\": expected a real in [1e-06, 1000]");
    ASSERT_SET("algorithms.0.beta=0");
    rg_options_read(boat, settings, "algorithms.0", &values, &error);
    cr_assert_str_eq(message(), "-s: algorithms.0.beta = 0: expected a real in [1e-06, 1000]");
    rg_settings_check_used(settings, "algorithms.0", (const char *const[]){"beta", NULL}, &error);
    cr_assert_str_eq(message(),
                     "x.cfg:2: unknown key \"algorithms.0.bta\"; did you mean \"beta\"?");
}
