/* SPDX-License-Identifier: MIT */
/* A model's own chat template gives the tokens that the built-in layout of the same format gives,
 * and what cannot be laid out is refused. */
#include "envs/text_layout.h"
#include "tests/chat_tokenizer.h"

TestSuite(text_template, .init = scratch_begin);

static const char *template_path(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/templates/%s", getenv("RG_SOURCE_DIR"), name);
    return path;
}

static RgTextLayout *own(const RgTokenizer *tokenizer, const char *path, int64_t limit,
                         RgTruncation truncation) {
    RgTextLayout *layout = NULL;
    ASSERT_OK(rg_text_layout_create(tokenizer, 0, path, limit, truncation, &layout, &error));
    return layout;
}

static RgTextLayout *built_in(const RgTokenizer *tokenizer, const char *name, int64_t limit,
                              RgTruncation truncation) {
    RgTextLayout *layout = NULL;
    int k = 0;
    while (strcmp(rg_chat_templates[k], name) != 0)
        k++;
    ASSERT_OK(rg_text_layout_create(tokenizer, k, "", limit, truncation, &layout, &error));
    return layout;
}

static const RgTurn talk[] = {{RG_SYSTEM, (char[]){"Be <|im_end|> kind.</s>"}},
                              {RG_USER, (char[]){"Hi <|im_end|>"}},
                              {RG_ASSISTANT, (char[]){"Hello <<|end|>."}},
                              {RG_USER, (char[]){"Why? 名前"}}};
enum { TURNS = 4 };

static void expect_same(const RgTextLayout *a, const RgTextLayout *b, const RgTurn *turns,
                        int64_t count, const char *response, const char *what) {
    RgSequences *s = rg_sequences_create();
    rg_text_append(s, a, turns, count, response);
    rg_text_append(s, b, turns, count, response);
    cr_assert_eq(s->prompt_length[0], s->prompt_length[1], "%s", what);
    cr_assert_eq(rg_sequence_length(s, 0), rg_sequence_length(s, 1), "%s", what);
    cr_assert_arr_eq(rg_sequence_prompt(s, 0), rg_sequence_prompt(s, 1),
                     (size_t)rg_sequence_length(s, 0) * sizeof(int32_t), "%s", what);
    char *first = response ? rg_text_response(a, s, 0) : NULL;
    char *second = response ? rg_text_response(b, s, 1) : NULL;
    if (response)
        cr_expect_str_eq(first, second);
    free(first);
    free(second);
    rg_sequences_destroy(s);
}

/* Also where special tokens take the white space after them. */
Test(text_template, own_ones_lay_out_as_the_same_format_does) {
    static const char *const formats[][2] = {{"chatml", "chatml.jinja"}, {"phi-3", "phi3.jinja"}};
    for (int rstrip = 0; rstrip < 2; rstrip++) {
        RgTokenizer *tokenizer = make_chat_tokenizer(rstrip);
        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
            RgTextLayout *form = built_in(tokenizer, formats[i][0], 0, RG_TRUNCATE_DROP);
            RgTextLayout *jinja = own(tokenizer, template_path(formats[i][1]), 0, RG_TRUNCATE_DROP);
            cr_expect_eq(rg_text_layout_end(form), rg_text_layout_end(jinja));
            for (int64_t first = 0; first < TURNS; first++) {
                expect_same(form, jinja, talk + first, TURNS - first, NULL, formats[i][0]);
                expect_same(form, jinja, talk + first, TURNS - first, "So <|im_end|> <s>",
                            formats[i][0]);
            }
            rg_text_layout_destroy(form);
            rg_text_layout_destroy(jinja);
        }
        rg_tokenizer_destroy(tokenizer);
    }
}

static char *spelled(const RgTokenizer *tokenizer, const RgTextLayout *layout, int64_t first,
                     const char *response) {
    RgSequences *s = rg_sequences_create();
    rg_text_append(s, layout, talk + first, TURNS - first, response);
    char *prompt =
        rg_tokenizer_decode_marked(tokenizer, rg_sequence_prompt(s, 0), s->prompt_length[0], NULL);
    char *answer = rg_tokenizer_decode_marked(tokenizer, rg_sequence_response(s, 0),
                                              rg_sequence_response_length(s, 0), NULL);
    char *both = rg_string_format("%s>>%s", prompt, answer);
    free(prompt);
    free(answer);
    rg_sequences_destroy(s);
    return both;
}

Test(text_template, the_response_is_what_follows_the_prompt) {
    static const struct {
        const char *file, *text;
        int64_t first;
    } cases[] = {
        {"qwen3.jinja",
         "<|im_start|>user\nWhy? 名前<|im_end|>\n<|im_start|>assistant\n>>"
         "<think>\n\n</think>\n\nSo.<|im_end|>",
         3},
        {"mistral.jinja", "<|begin|>[INST] Why? 名前[/INST]>> So.<|end|>", 3},
        {"llama3.jinja",
         "<|begin|><|start_header_id|>system<|end_header_id|>\n\nToday is 1 Jan 2025.<|eot_id|>"
         "<|start_header_id|>user<|end_header_id|>\n\nWhy? 名前<|eot_id|>"
         "<|start_header_id|>assistant<|end_header_id|>\n\n>>So.<|eot_id|>",
         3},
    };
    RgTokenizer *tokenizer = make_chat_tokenizer(false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RgTextLayout *layout = own(tokenizer, template_path(cases[i].file), 0, RG_TRUNCATE_DROP);
        char *found = spelled(tokenizer, layout, cases[i].first, "So.");
        cr_expect_str_eq(found, cases[i].text, "%s", cases[i].file);
        free(found);
        /* The judge sees the response without what the template puts before it. */
        RgSequences *s = rg_sequences_create();
        rg_text_append(s, layout, talk + 3, 1, "So.");
        char *text = rg_text_response(layout, s, 0);
        cr_expect_str_eq(text, "So.", "%s", cases[i].file);
        free(text);
        rg_sequences_destroy(s);
        rg_text_layout_destroy(layout);
    }
    rg_tokenizer_destroy(tokenizer);
}

/* The tokenizer's merge of b and c reaches over the end of the prompt "ab". */
Test(text_template, a_prompt_keeps_its_tokens_when_a_response_follows) {
    RgTokenizer *tokenizer;
    const char *texts[] = {"bc bc bc bc"};
    ASSERT_OK(rg_tokenizer_train(texts, 1, 259, &tokenizer, &error));
    ASSERT_OK(rg_tokenizer_save(tokenizer, scratch("bc.json"), &error));
    rg_tokenizer_destroy(tokenizer);
    ASSERT_OK(rg_tokenizer_load(scratch("bc.json"), 0, &tokenizer, &error));
    const char *path =
        scratch_write("t.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}");
    RgTextLayout *layout = own(tokenizer, path, 0, RG_TRUNCATE_DROP);
    const RgTurn turn = {RG_USER, (char[]){"ab"}};
    RgSequences *s = rg_sequences_create();
    rg_text_append(s, layout, &turn, 1, NULL);
    rg_text_append(s, layout, &turn, 1, "cbc");
    cr_expect(rg_sequences_same_prompt(s, 0, 1));
    cr_expect_eq(rg_sequence_response_length(s, 1), 3); /* c, bc, the end */
    rg_sequences_destroy(s);
    rg_text_layout_destroy(layout);
    rg_tokenizer_destroy(tokenizer);
}

Test(text_template, prompts_are_cut_as_by_the_same_format) {
    RgTokenizer *tokenizer = make_chat_tokenizer(false);
    for (int k = 1; k < 3; k++)
        for (int64_t limit = 20; limit < 40; limit++) {
            RgTextLayout *form = built_in(tokenizer, "phi-3", limit, (RgTruncation)k);
            RgTextLayout *jinja =
                own(tokenizer, template_path("phi3.jinja"), limit, (RgTruncation)k);
            expect_same(form, jinja, talk + 3, 1, NULL, "cut");
            expect_same(form, jinja, talk + 3, 1, "So.", "cut");
            rg_text_layout_destroy(form);
            rg_text_layout_destroy(jinja);
        }
    rg_tokenizer_destroy(tokenizer);
}

#define LOOP                                                                                       \
    "{% for m in messages %}{{ '<|im_start|>' + m.role + m.content + '<|im_end|>' }}{% endfor %}"

Test(text_template, files_that_cannot_be_used_are_refused) {
    static const struct {
        const char *name, *content, *message;
    } cases[] = {
        {"a.jinja", "\n{{ messages[0 }}", "a.jinja:2: found }, expected ]"},
        {"a.jinja", LOOP,
         "<|im_start|> comes before a response, expected it in the prompt, by "
         "add_generation_prompt"},
        {"a.jinja", "{{ messages | length }}{{ messages[-1].content }}",
         "is not the beginning of the whole conversation: at byte 0 it has \"1a\", the whole "
         "\"2b\""},
        {"a.jinja", "x", "tried with a question and two answers, which are not in the text"},
        {"a.jinja", "{{ raise_exception('Never') }}",
         "a.jinja:1: the template refuses the conversation: Never"},
        {"a.jinja", "{% if messages | length > 1 %}{{ messages[-1].content }}{% endif %}",
         "the prompt is empty"},
        {"c.json", "{", "c.json:1: not JSON"},
        {"c.json", "{}", "c.json: chat_template is missing, expected a template"},
        {"c.json", "{\"chat_template\": 1}", "chat_template is neither, expected a template"},
        {"c.json", "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"x\"}]}",
         "chat_template is a list without that, expected a template, or a list with one named "
         "\"default\""},
        {"c.json", "{\"chat_template\": \"{{ a\"}", "c.json: chat_template:1: the template ends"},
    };
    RgTokenizer *tokenizer = make_chat_tokenizer(false);
    RgTextLayout *layout = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = scratch_write(cases[i].name, cases[i].content);
        cr_expect_eq(
            rg_text_layout_create(tokenizer, 0, path, 0, RG_TRUNCATE_DROP, &layout, &error),
            RG_E_FORMAT, "%s", cases[i].content);
        cr_expect_null(layout);
        cr_expect(strstr(error.text, cases[i].message), "%s: %s", cases[i].content, error.text);
    }
    cr_expect_eq(
        rg_text_layout_create(tokenizer, 0, scratch("none"), 0, RG_TRUNCATE_DROP, &layout, &error),
        RG_E_FILE);
    cr_expect_eq(rg_text_layout_create(tokenizer, 0, template_path("phi3.jinja"), 3,
                                       RG_TRUNCATE_DROP, &layout, &error),
                 RG_E_RANGE);
    rg_tokenizer_destroy(tokenizer);
}

Test(text_template, a_list_of_named_templates_has_a_default) {
    RgTokenizer *tokenizer = make_chat_tokenizer(false);
    const char *path = scratch_write(
        "tokenizer_config.json",
        "{\"model_max_length\": 1000000000000000019884624838656, \"chat_template\": ["
        "{\"name\": \"rag\", \"template\": \"{{ x.y }}\"}, {\"name\": \"default\", \"template\": "
        "\"{{ bos_token }}{% for m in messages %}<|user|>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|user|>{% endif %}\"}]}");
    RgTextLayout *layout = own(tokenizer, path, 0, RG_TRUNCATE_DROP);
    char *found = spelled(tokenizer, layout, 3, "So.");
    /* No special token ends the response, so the tokenizer's own does. */
    cr_expect_str_eq(found, "<|begin|><|user|>Why? 名前<|user|>>>So.<|end|>");
    free(found);
    rg_text_layout_destroy(layout);
    rg_tokenizer_destroy(tokenizer);
}

Test(text_template, conversations_that_a_template_refuses_are_told) {
    RgTokenizer *tokenizer = make_chat_tokenizer(false);
    RgTextLayout *layout = own(tokenizer, template_path("mistral.jinja"), 0, RG_TRUNCATE_DROP);
    cr_expect(rg_text_layout_may_refuse(layout));
    RgSequences *s = rg_sequences_create();
    ASSERT_OK(rg_text_try_append(s, layout, talk + 1, 3, "So.", &error));
    cr_expect_eq(rg_text_try_append(s, layout, talk + 2, 2, "So.", &error), RG_E_FORMAT);
    cr_expect_eq(s->count, 1);
    rg_sequences_destroy(s);
    cr_expect(strstr(error.text, "user and assistant do not alternate at turn 1"), "%s",
              error.text);
    rg_text_layout_destroy(layout);
    rg_tokenizer_destroy(tokenizer);
}

/* It is then tried with one. */
Test(text_template, some_require_a_system_message) {
    static const char source[] =
        "{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}";
    RgTokenizer *tokenizer = make_chat_tokenizer(false);
    RgTextLayout *layout =
        own(tokenizer, scratch_write("chat_template.jinja", source), 0, RG_TRUNCATE_DROP);
    RgSequences *s = rg_sequences_create();
    ASSERT_OK(rg_text_try_append(s, layout, talk, TURNS, "So.", &error));
    cr_expect_eq(rg_text_try_append(s, layout, talk + 1, 1, "So.", &error), RG_E_FORMAT);
    rg_sequences_destroy(s);
    cr_expect(strstr(error.text, "no system"), "%s", error.text);
    rg_text_layout_destroy(layout);
    rg_tokenizer_destroy(tokenizer);
}
