/* SPDX-License-Identifier: MIT */
/* Templates of chats write what Jinja 2 writes, and hostile ones are refused in time. */
#include "core/text/template.h"
#include "tests/scratch.h"

static json_t *load(const char *name) {
    json_error_t fault = {0};
    char *path = rg_string_format("%s/tests/%s", getenv("RG_SOURCE_DIR"), name);
    json_t *json = json_load_file(path, 0, &fault);
    cr_assert(json, "%s: %s", path, fault.text);
    free(path);
    return json;
}

static RgTemplate *make(const char *source) {
    RgError error = {0};
    RgTemplate *template;
    RgStatus status = rg_template_create("t.jinja", source, strlen(source), &template, &error);
    cr_assert_eq(status, RG_OK, "%s: %s", source, error.text);
    return template;
}

static RgTemplate *load_template(const char *name) {
    RgError error = {0};
    RgTemplate *template;
    char source[16384];
    char *path = rg_string_format("%s/tests/templates/%s", getenv("RG_SOURCE_DIR"), name);
    FILE *file = fopen(path, "rb");
    cr_assert(file, "%s", path);
    size_t size = fread(source, 1, sizeof source, file);
    fclose(file);
    RgStatus status = rg_template_create(name, source, size, &template, &error);
    cr_assert_eq(status, RG_OK, "%s", error.text);
    free(path);
    return template;
}

/* Holds one rendering against Jinja's; a text of null is a refusal. */
static void check_text(const RgTemplate *template, const char *file, const char *name,
                       json_t *conversations, json_t *expected) {
    char *bare = rg_string_copy(name), *plus = strchr(bare, '+');
    if (plus)
        *plus = '\0';
    json_t *variables = json_copy(json_object_get(conversations, bare));
    json_object_set_new(variables, "bos_token", json_string("<s>"));
    json_object_set_new(variables, "eos_token", json_string("</s>"));
    json_object_set_new(variables, "add_generation_prompt", json_boolean(plus != NULL));
    RgBuffer out = {0};
    RgError error = {0};
    RgStatus status = rg_template_render(template, variables, &out, &error);
    if (json_is_null(expected)) {
        cr_expect_eq(status, RG_E_FORMAT, "%s, %s", file, name);
        cr_expect_eq(strncmp(error.text, file, strlen(file)), 0, "%s", error.text);
    } else {
        cr_expect_eq(status, RG_OK, "%s, %s: %s", file, name, error.text);
        rg_buffer_append(&out, "", 1);
        cr_expect_str_eq(out.bytes, json_string_value(expected), "%s, %s", file, name);
    }
    rg_buffer_release(&out);
    json_decref(variables);
    free(bare);
}

Test(template, writes_what_jinja_writes) {
    json_t *golden = load("golden/templates.json"), *texts = NULL, *text = NULL;
    json_t *conversations = load("templates/conversations.json");
    const char *file = NULL, *name = NULL;
    int count = 0;
    json_object_foreach(golden, file, texts) {
        RgTemplate *template = load_template(file);
        json_object_foreach(texts, name, text) {
            check_text(template, file, name, conversations, text);
            count++;
        }
        rg_template_destroy(template);
    }
    cr_expect_eq(count, 11 * 16);
    json_decref(golden);
    json_decref(conversations);
}

static char *render(const char *source, RgError *error) {
    RgTemplate *template;
    RgBuffer out = {0};
    json_t *variables =
        json_pack("{s:s, s:[i, i], s:{s:s}}", "text", "ab", "list", 1, 2, "map", "key", "value");
    RgStatus status = rg_template_create("t.jinja", source, strlen(source), &template, error);
    if (status == RG_OK)
        status = rg_template_render(template, variables, &out, error);
    rg_template_destroy(template);
    json_decref(variables);
    rg_buffer_append(&out, "", 1);
    if (status == RG_OK)
        return out.bytes;
    rg_buffer_release(&out);
    return NULL;
}

/* Each as Jinja 2 writes it; the npm package does not read all of these. */
Test(template, white_space_goes_as_transformers_sets_it) {
    static const struct {
        const char *source, *text;
    } cases[] = {
        {"a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"},
        {"a\n  {%+ if true %}b{% endif %}", "a\n  b"},
        {"{% if true +%}\nb{% endif %}", "\nb"},
        {"a \n {%- if true -%} \n b {%- endif %}", "ab"},
        {"a  {{ text }}\n", "a  ab"},
        {"a  {{- text -}}  b", "aabb"},
        {"  {# note #}\nb\n\n", "b\n"},
        {"x  {# note #}\nb", "x  b"},
        {"a\r\n{% if true %}\r\nb{% endif %}", "a\nb"},
        {"{{ {'a': {'b': 1}}['a']['b'] }}", "1"},
        {"{{ '}}' }}{{ \"%}\" }}", "}}%}"},
        {"{{ '\\u00e9\\x41\\n\\'\\d' }}", "éA\n'\\d"},
        {"{{ [1, 'a', none, 2.0, {'k': 'v'}] }}", "[1, 'a', None, 2.0, {'k': 'v'}]"},
        {"{{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }}", "-4 2 1024 0.5"},
        {"{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 'a' < 'b' }}", "True False True"},
        {"{{ not text is string }} {{ text is not string }}", "False False"},
        {"{{ text | length + 1 }} {{ -list[0] }} {{ map.key }} {{ map['no'] }}|", "3 -1 value |"},
        {"{{ list[5:] }} {{ list[-9:1] }} {{ list[:-5:-1] }}", "[] [1] [2, 1]"},
        {"{{ none | trim }} {{ nothing | length }} {{ 'x' if nothing }}|", "None 0 |"},
        {"{{ \"foo's b-c\" | title }} {{ \"foo's b-c\".title() }}", "Foo's B-C Foo'S B-C"},
        {"{{ 'äé'.upper() }} {{ 'ÄÖ' | lower }}", "ÄÉ äö"},
        {"{{ 'a b  c '.split(none, 1)[1] }}|{{ 'a-b-c'.rsplit('-', 1) }}", "b  c |['a-b', 'c']"},
        {"{{ ['a', 'b'] | map('upper') | join }} {{ 'a\\nb' | indent(2) }}", "AB a\n  b"},
        {"{{ 'é' | tojson(ensure_ascii=false) }}{{ {} | tojson(indent=2) }}", "\"é\"{}"},
        {"{% set ns = namespace(a=1) %}{% for i in list %}{% set ns.a = ns.a + i %}{% set b = i %}"
         "{% endfor %}{{ ns.a }}{{ b is defined }}",
         "4False"},
        {"{% macro m(n) %}{% if n > 0 %}{{ n }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}",
         "321"},
        {"{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }}{% else %}no{% endfor %}", "1234"},
        {"{% for i in range(5, 0, -2) %}{{ i }}{{ loop.revindex }}{% endfor %}", "533211"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RgError error = {0};
        char *text = render(cases[i].source, &error);
        cr_expect(text, "%s: %s", cases[i].source, error.text);
        cr_expect_str_eq(text ? text : "", cases[i].text, "%s", cases[i].source);
        free(text);
    }
}

static void expect_refused(const char *source, const char *message) {
    RgError error = {0};
    char *text = render(source, &error);
    cr_expect_null(text, "%s", source);
    cr_expect(strstr(error.text, message), "%s: %s", source, error.text);
    free(text);
}

Test(template, faults_are_named_with_line_and_what_was_expected) {
    static const struct {
        const char *source, *message;
    } cases[] = {
        {"a\n{{ text", "t.jinja:2: the template ends, expected }}"},
        {"{% if text %}", "t.jinja:1: the template ends, expected endif"},
        {"{% if text %}a{% endfor %}", "found endfor, expected"},
        {"{% include 'x' %}", "found include, expected if, for, set"},
        {"{{ text | rot13 }}", "the filter rot13 is not supported"},
        {"{{ text is funny }}", "the test funny with 0 arguments is not supported"},
        {"{{ text.encode() }}", "a string has no method encode, or it is not supported"},
        {"{{ open('/etc/passwd') }}", "there is no macro or function open"},
        {"{{ text.__class__.__mro__ }}", "the attribute __mro__ was asked of what is undefined"},
        {"\n\n{{ nothing.key }}", "t.jinja:3: the attribute key was asked of what is undefined"},
        {"{{ raise_exception('No ' + text) }}", "the template refuses the conversation: No ab"},
        {"{{ strftime_now('%Y') }}", "strftime_now is not supported"},
        {"{{ text + 1 }}", "a string and a number cannot be combined by +, expected two numbers, "
                           "two strings or two lists"},
        {"{{ 1 // 0 }}", "a division by zero"},
        {"{{ 9223372036854775807 }}", "expected at most 18 digits"},
        {"{{ 999999999999999999 * 99 }}", "a number is too large"},
        {"{{ text < 1 }}", "a string cannot be compared to a number"},
        {"{{ text | join('x', 'y', 'z') }}", "join has 3 arguments, expected at most 2"},
        {"{{ text | tojson(separators=(',', ':')) }}", "tojson: the argument separators is not"},
        {"{{ 'a }}", "a string has no end, expected '"},
        {"{{ $ }}", "the byte 0x24 is not expected here"},
        {"{# note", "a comment has no end, expected #}"},
        {"{{ list[::0] }}", "the step of a slice"},
        {"{% set text.a = 1 %}", "a member of a string was set, expected a namespace"},
        {"{% for a, b in [[1]] %}{% endfor %}", "1 values for 2 names"},
        {"{% break %}", "break or continue stands outside of a loop"},
        {"{{ range(-999999999999999999 * 9, 999999999999999999 * 9) }}", "of at most 4000000"},
        {"{{ range(1, 2, 3, 4) }}", "range has 4 arguments, expected at most 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i].source, cases[i].message);
}

/* Time, memory, output and nesting are limited. */
Test(template, hostile_ones_are_refused_in_time, .timeout = 20) {
    static const struct {
        const char *source, *message;
    } cases[] = {
        {"{% for a in range(3000) %}{% for b in range(3000) %}{% endfor %}{% endfor %}",
         "more than"},
        {"{% set t = 'a' * 100000 %}{% for i in range(9999) %}{{ 'b' in t }}{% endfor %}", "steps"},
        {"{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
         "{% endfor %}",
         "more than"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
         "{% endfor %}",
         "more than"},
        {"{% set ns = namespace(x=[]) %}{% for i in range(600) %}{% set ns.x = [ns.x] %}"
         "{% endfor %}{{ ns.x }}",
         "nested more than"},
        {"{% set ns = namespace(x=[]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}"
         "{% endfor %}{{ ns.x | tojson }}",
         "more than"},
        {"{% set ns = namespace(x=[]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}"
         "{% endfor %}{{ ns.x == [ns.x[0], ns.x[1]] }}",
         "more than"},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested more than"},
        {"{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "nested more than"},
        {"{{ 'ab' * 999999999999 }}", "more than"},
        {"{{ range(4000000) }}", "more than"},
        {"{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}", "more than"},
        {"{{ ('a' * 999999).replace('a', 'a' * 9999) }}", "more than"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i].source, cases[i].message);
    static const char *const repeated[] = {"(",     "[",     "not ",       "-",
                                           "{'a':", "1 if ", "x|f(",       "1+",
                                           "x.y",   ".a",    "{% if a %}", "{% for i in a %}"};
    for (size_t i = 0; i < sizeof repeated / sizeof *repeated; i++) {
        RgBuffer source = {0};
        RgError error = {0};
        bool statement = repeated[i][1] == '%';
        rg_buffer_append(&source, statement ? "" : "{{ x",
                         statement ? 0 : 3 + (repeated[i][0] == '.'));
        for (int k = 0; k < 20000 && source.size < RG_TEMPLATE_SOURCE - 100; k++)
            rg_buffer_append(&source, repeated[i], strlen(repeated[i]));
        rg_buffer_append(&source, "1 }}", 5);
        char *text = render(source.bytes, &error);
        cr_expect_null(text, "%s", repeated[i]);
        cr_expect(error.text[0], "%s", repeated[i]);
        rg_buffer_release(&source);
    }
    char *large = rg_allocate(RG_TEMPLATE_SOURCE + 2, 1);
    memset(large, 'a', RG_TEMPLATE_SOURCE + 1);
    RgError error = {0};
    cr_expect_null(render(large, &error));
    cr_expect(strstr(error.text, "expected at most 262144"), "%s", error.text);
    free(large);
}

Test(template, one_may_be_used_again_after_a_refusal) {
    RgTemplate *template = make("{{ x if x else raise_exception('none') }}");
    RgError error = {0};
    RgBuffer out = {0};
    json_t *none = json_object(), *some = json_pack("{s:s}", "x", "text");
    cr_expect_eq(rg_template_render(template, none, &out, &error), RG_E_FORMAT);
    cr_expect_eq(rg_template_render(template, some, &out, &error), RG_OK);
    cr_expect_eq(out.size, 4);
    rg_buffer_release(&out);
    json_decref(none);
    json_decref(some);
    rg_template_destroy(template);
}
