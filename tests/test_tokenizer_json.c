/* SPDX-License-Identifier: MIT */
/* Claims about the parts of a tokenizer.json, each by itself in a small file made here. */
#include "tests/notices.h"
#include "tests/tokenizer_file.h"

TestSuite(tokenizer_json, .init = scratch_begin);

static void expect(const RgTokenizer *tokenizer, const char *text, const char *ids) {
    for (int round = 0; round < 2; round++) { /* the second time from words that are kept */
        char *found = pieces(tokenizer, text, false);
        cr_assert_str_eq(found, ids, "%s", text);
        free(found);
    }
}

static void expect_marked(const RgTokenizer *tokenizer, const char *text, const char *ids) {
    char *found = pieces(tokenizer, text, true);
    cr_assert_str_eq(found, ids, "%s", text);
    free(found);
}

static void expect_text(const RgTokenizer *tokenizer, const int32_t *ids, int64_t count,
                        const char *text) {
    char *found = rg_tokenizer_decode(tokenizer, ids, count);
    cr_assert_str_eq(found, text);
    free(found);
}
#define EXPECT_TEXT(tokenizer, text, ...)                                                          \
    expect_text(tokenizer, (const int32_t[]){__VA_ARGS__},                                         \
                sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t), text)

Test(tokenizer_json, characters_fall_back_to_bytes_and_then_to_unknown) {
    RgTokenizer *tokenizer = make(
        (Parts){.tokens = "['<unk>', '<s>', '</s>', '<0xC3>', '<0xA9>', '<0xA8>', '▁', 'a', '▁a']",
                .merges = "['▁ a']",
                .model = "{'byte_fallback': true, 'unk_token': '<unk>', 'fuse_unk': true}",
                .normalizer = LLAMA_NORMALIZER,
                .decoder = LLAMA_DECODER});
    expect(tokenizer, "", "");
    expect(tokenizer, "a", "8");
    expect(tokenizer, "aa a", "8 7 8");
    expect(tokenizer, "  ", "6 6 6");
    expect(tokenizer, "aéè", "8 3 4 3 5");
    expect(tokenizer, "axyza", "8 0 7");
    cr_assert_eq(rg_tokenizer_begin(tokenizer), 1);
    cr_assert_eq(rg_tokenizer_end(tokenizer), 2);
    EXPECT_TEXT(tokenizer, "a aé", 8, 8, 3, 4);
    EXPECT_TEXT(tokenizer, " a", 6, 8);
    EXPECT_TEXT(tokenizer,
                "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                "a",
                3, 3, 4, 7);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_json, unknown_characters_are_one_each_or_left_out) {
    Parts parts = {.tokens = "['<unk>', 'a']",
                   .model = "{'unk_token': '<unk>'}",
                   .decoder = "{'type': 'Fuse'}"};
    RgTokenizer *each = make(parts);
    expect(each, "aéèa", "1 0 0 1");
    rg_tokenizer_destroy(each);
    parts.model = NULL;
    RgTokenizer *none = make(parts);
    expect(none, "aéèa", "1 1");
    rg_tokenizer_destroy(none);
}

/* Words are cut at a mark of a space only where no token goes over it. */
Test(tokenizer_json, tokens_may_join_what_spaces_part) {
    RgTokenizer *tokenizer = make((Parts){.tokens = "['▁', 'a', 'b', '▁a', 'b▁', 'b▁a', '▁▁']",
                                          .merges = "['▁ ▁', 'b ▁', 'b▁ a', '▁ a']",
                                          .normalizer = LLAMA_NORMALIZER,
                                          .decoder = LLAMA_DECODER});
    expect(tokenizer, "a b a a", "3 0 5 3");
    expect(tokenizer, "a   a", "3 6 3");
    rg_tokenizer_destroy(tokenizer);
}

static const char byte_tokens[] = "['a', 'b', 'Ġ', '1', '2', '12', 'ab', 'Ġab', 'Ã', '©', 'Ã©']";
static const char byte_merges[] = "['1 2', ['a', 'b'], 'Ġ ab', 'Ã ©']";

Test(tokenizer_json, digits_are_cut_one_by_one_or_together) {
    Parts parts = {.tokens = byte_tokens, .merges = byte_merges};
    parts.pre_tokenizer = "{'type': 'Sequence', 'pretokenizers': [{'type': 'Digits', "
                          "'individual_digits': true}, " BYTE_LEVEL "]}";
    RgTokenizer *each = make(parts);
    expect(each, "ab1212", "6 3 4 3 4");
    rg_tokenizer_destroy(each);
    parts.pre_tokenizer = "{'type': 'Sequence', 'pretokenizers': [{'type': 'Digits', "
                          "'individual_digits': false}, " BYTE_LEVEL "]}";
    RgTokenizer *together = make(parts);
    expect(together, "ab1212", "6 5 5");
    rg_tokenizer_destroy(together);
}

Test(tokenizer_json, byte_level_cuts_as_gpt2_does) {
    Parts parts = {.tokens = byte_tokens, .merges = byte_merges};
    parts.pre_tokenizer = "{'type': 'ByteLevel', 'add_prefix_space': true, 'use_regex': true}";
    RgTokenizer *tokenizer = make(parts);
    expect(tokenizer, "ab ab", "7 7");
    expect(tokenizer, " ab  ab12", "7 2 7 5");
    expect(tokenizer, "é", "2 10");
    EXPECT_TEXT(tokenizer, " abé", 7, 10);
    EXPECT_TEXT(tokenizer,
                "\xC3"
                "a",
                8, 0); /* bytes stay bytes */
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_json, matches_of_a_split_go_where_its_behavior_says) {
    static const struct {
        const char *behavior, *invert, *ids;
    } cases[] = {
        /* "a--b-a": tokens are a 0, b 1, - 2, -- 3, a- 4, -b 5, --b 6, a-- 7, -a 8, b- 9 */
        {"Isolated", "false", "0 2 2 1 2 0"},   {"Isolated", "true", "0 2 2 1 2 0"},
        {"Removed", "false", "0 1 0"},          {"Removed", "true", "2 2 2"},
        {"Contiguous", "false", "0 3 1 2 0"},   {"MergedWithPrevious", "false", "4 2 9 0"},
        {"MergedWithNext", "false", "0 2 5 8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *split = NULL;
        cr_assert_gt(asprintf(&split,
                              "{'type': 'Sequence', 'pretokenizers': [{'type': 'Split', 'pattern': "
                              "{'String': '-'}, 'behavior': '%s', 'invert': %s}, " BYTE_LEVEL "]}",
                              cases[i].behavior, cases[i].invert),
                     0);
        RgTokenizer *tokenizer =
            make((Parts){.tokens = "['a', 'b', '-', '--', 'a-', '-b', '--b', 'a--', '-a', 'b-']",
                         .merges = "['- -', 'a --', '-- b', 'a -', '- b', '- a', 'b -']",
                         .pre_tokenizer = split});
        expect(tokenizer, "a--b-a", cases[i].ids);
        rg_tokenizer_destroy(tokenizer);
        free(split);
    }
}

Test(tokenizer_json, metaspace_marks_words) {
    static const struct {
        const char *options, *text, *ids;
    } cases[] = {
        {"'prepend_scheme': 'always'", "a a", "2 2"},
        {"'prepend_scheme': 'never'", "a a", "1 2"},
        {"'add_prefix_space': false", "a a", "1 2"},
        {"'prepend_scheme': 'first'", " a", "2"},
        {"'prepend_scheme': 'first', 'split': false", "a a", "3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *part = NULL;
        cr_assert_gt(
            asprintf(&part, "{'type': 'Metaspace', 'replacement': '▁', %s}", cases[i].options), 0);
        RgTokenizer *tokenizer = make((Parts){.tokens = "['▁', 'a', '▁a', '▁a▁a', '<x>']",
                                              .merges = "['▁ a', '▁a ▁a']",
                                              .pre_tokenizer = part,
                                              .decoder = part,
                                              .added = "[[4, '<x>']]"});
        expect(tokenizer, cases[i].text, cases[i].ids);
        if (i == 3)
            expect_marked(tokenizer, "a<x>a", "2 4 1");
        rg_tokenizer_destroy(tokenizer);
        free(part);
    }
    RgTokenizer *tokenizer = make((Parts){.tokens = "['▁', 'a', '▁a']",
                                          .decoder = "{'type': 'Metaspace', 'replacement': '▁'}"});
    EXPECT_TEXT(tokenizer, "a a", 2, 2);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_json, normal_forms_compose_and_leave_bytes_alone) {
    RgTokenizer *tokenizer = make((Parts){.tokens = "['a', 'é', 'e', '\\u0301', 'Å', 'ﬁ']",
                                          .model = "{}",
                                          .normalizer = "{'type': 'NFC'}",
                                          .decoder = "{'type': 'Fuse'}"});
    expect(tokenizer, "aea", "0 2 0");
    expect(tokenizer, "ae\u0301a", "0 1 0");
    expect(tokenizer, "e\u0301e\u0301\u0301", "1 1 3");
    expect(tokenizer, "\u212B", "4"); /* the sign of the unit is the letter */
    expect(tokenizer,
           "a\xFF"
           "e\u0301",
           "0 1");
    expect(tokenizer, "\u0301", "3");
    rg_tokenizer_destroy(tokenizer);
    tokenizer = make((Parts){.tokens = "['f', 'i', 'e', '\\u0301']",
                             .normalizer = "{'type': 'NFKD'}",
                             .decoder = "{'type': 'Fuse'}"});
    expect(tokenizer, "ﬁé", "0 1 2 3");
    rg_tokenizer_destroy(tokenizer);
}

/* As in the Rust library, whose tables are Unicode 9's. */
Test(tokenizer_json, normal_forms_leave_younger_characters_alone) {
    RgTokenizer *tokenizer =
        make((Parts){.tokens = "['a', 'M', 'R', '\\u0334', '\\u1DF6', '\\u0301', '\\ud83c\\udd6c']",
                     .normalizer = "{'type': 'NFKD'}",
                     .decoder = "{'type': 'Fuse'}"});
    expect(tokenizer, "a\U0001F16Ca", "0 6 0"); /* since 12: M R */
    expect(tokenizer, "a\u0301\u0334", "0 3 5");
    expect(tokenizer, "a\u1DF6\u0334", "0 4 3"); /* a mark since 10 */
    expect(tokenizer, "a\u1DF6\u0301\u0334", "0 4 3 5");
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_json, replacements_may_be_regular_expressions) {
    RgTokenizer *tokenizer = make(
        (Parts){.tokens = "['a', '-']",
                .normalizer = "{'type': 'Replace', 'pattern': {'Regex': '\\\\s+'}, 'content': '-'}",
                .decoder = "{'type': 'Fuse'}"});
    expect(tokenizer, "a \t\u2003a\u00A0", "0 1 0 1");
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_json, added_tokens_are_seen_on_request_only) {
    RgTokenizer *tokenizer = make(
        (Parts){.tokens = "['<', 's', '>', 'a', ' ', '|']",
                .decoder = "{'type': 'Fuse'}",
                .added = "[[6, '<s>', 'special'], [7, '<s><s>'], [8, '<a>', 'lstrip', 'rstrip'],"
                         "[9, 'as']]"});
    expect(tokenizer, "<s>a", "0 1 2 3");
    expect_marked(tokenizer, "<s>a<s", "6 3 0 1");
    expect_marked(tokenizer, "<s><s><s>", "7 6");
    expect_marked(tokenizer, "a  <a> \n a", "3 8 3");
    expect_marked(tokenizer, "<a> <a>", "8 8");
    expect_marked(tokenizer, "as", "9");
    EXPECT_TEXT(tokenizer, "a<s><s>", 6, 3, 7);
    size_t size = 0;
    char *text = rg_tokenizer_decode_marked(tokenizer, (const int32_t[]){6, 3, 99}, 3, &size);
    cr_assert_str_eq(text, "<s>a\xEF\xBF\xBD");
    cr_assert_eq(size, 7);
    free(text);
    cr_assert_eq(rg_tokenizer_vocabulary(tokenizer), 10);
    rg_tokenizer_destroy(tokenizer);
}

/* As the Rust library does (added_vocabulary.rs): matches are found in the text as it is, whatever
 * white space one of them takes. */
Test(tokenizer_json, an_added_token_is_seen_in_white_space_that_another_takes) {
    RgTokenizer *tokenizer =
        make((Parts){.tokens = "['x', ' ', '\\n']",
                     .decoder = "{'type': 'Fuse'}",
                     .added = "[[3, '<r>', 'rstrip'], [4, '\\n\\n'], [5, '<l>', 'lstrip']]"});
    expect_marked(tokenizer, "<r>\n\nx", "3 4 0");
    expect_marked(tokenizer, "<r> \n x", "3 0");
    expect_marked(tokenizer, "x\n\n<l>x", "0 4 5 0");
    expect_marked(tokenizer, "<r> <l> x", "3 5 1 0");
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_json, ids_may_leave_some_out) {
    RgTokenizer *tokenizer = make((Parts){.tokens = "['a', 'b', null, null, null, '<far>']",
                                          .model = "{'ignore_merges': true}",
                                          .decoder = "{'type': 'Fuse'}",
                                          .added = "[[5, '<far>', 'special']]"});
    expect_marked(tokenizer, "a<far>b", "0 5 1");
    EXPECT_TEXT(tokenizer, "ab", 0, 4, 1);
    cr_assert_eq(rg_tokenizer_vocabulary(tokenizer), 6);
    rg_tokenizer_destroy(tokenizer);
}

/* As the Rust library does, which models are trained with. */
Test(tokenizer_json, added_tokens_that_are_not_in_the_vocabulary_get_the_next_ids) {
    RgTokenizer *tokenizer =
        make((Parts){.tokens = "['a', 'b']",
                     .model = "{'ignore_merges': true}",
                     .decoder = "{'type': 'Fuse'}",
                     .added = "[[7, '<far>', 'special'], [2000000000, '<eos>', 'special']]"});
    expect_marked(tokenizer, "a<far>b<eos>", "0 2 1 3");
    cr_assert_eq(rg_tokenizer_end(tokenizer), 3);
    cr_assert_eq(rg_tokenizer_vocabulary(tokenizer), 4);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_json, a_dropout_of_nothing_and_processors_that_add_ends_are_read) {
    Parts parts = {.tokens = "['<s>', '</s>', 'a', '[CLS]', '[SEP]']",
                   .model = "{'dropout': 0.0}",
                   .decoder = "{'type': 'Fuse'}",
                   .post_processor = "{'type': 'RobertaProcessing', 'sep': ['[SEP]', 4], 'cls': "
                                     "['[CLS]', 3], 'trim_offsets': true}"};
    RgTokenizer *tokenizer = make(parts);
    cr_expect_eq(rg_tokenizer_begin(tokenizer), 3);
    cr_expect_eq(rg_tokenizer_end(tokenizer), 4);
    rg_tokenizer_destroy(tokenizer);
    parts.model = "{'dropout': 0.5}";
    cr_assert_eq(rg_tokenizer_load(write_file(&parts), 0, &tokenizer, &error), RG_E_FORMAT);
    cr_assert(strstr(error.text, "model.dropout 0.5 is not supported"), "%s", error.text);
}

/* The Rust library would apply them; transformers does not unless it is asked. */
Test(tokenizer_json, truncation_and_padding_change_nothing_and_are_told_of_once) {
    static const char file[] = "{\"truncation\": %s, \"padding\": %s, \"model\": {\"type\": "
                               "\"BPE\", \"vocab\": {\"a\": 0, "
                               "\"b\": 1}, \"merges\": []}, \"decoder\": {\"type\": \"Fuse\"}}";
    static const char *const set[] = {"{\"direction\": \"Right\", \"max_length\": 2, \"strategy\": "
                                      "\"LongestFirst\", \"stride\": 0}",
                                      "{\"strategy\": {\"Fixed\": 8}, \"direction\": \"Right\", "
                                      "\"pad_id\": 1, \"pad_token\": \"b\"}"};
    begin_notices();
    for (int k = 0; k < 3; k++) {
        char *text = rg_string_format(file, k > 0 ? set[0] : "null", k > 0 ? set[1] : "null");
        const char *path = scratch_write("unused.json", text);
        RgTokenizer *tokenizer = load(path);
        expect_marked(tokenizer, "aba", "0 1 0");
        char *expected = rg_string_format(
            "%s: truncation is not used, as in transformers: only a config's limits cut texts\n"
            "%s: padding is not used, as in transformers: ids are those of the text alone\n",
            path, path);
        cr_expect_str_eq(notices, k > 0 ? expected : "");
        free(expected);
        free(text);
        rg_tokenizer_destroy(tokenizer);
    }
    end_notices();
}

/* InternLM2's: the name of its token 0 … is one character, NUL. */
Test(tokenizer_json, a_token_may_be_the_nul_character) {
    static const char file[] =
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"\\u0000\": 1, \"\\\\u0000\": 2}, "
        "\"merges\": []}, \"decoder\": {\"type\": \"Fuse\"}}";
    RgTokenizer *tokenizer = load(scratch_write("nul.json", file));
    RgTokens tokens = {0};
    rg_tokenizer_encode(tokenizer, "a\0a", 3, &tokens);
    cr_assert_eq(tokens.count, 3);
    cr_expect_eq(tokens.id[1], 1);
    rg_tokens_release(&tokens);
    size_t size;
    char *text = rg_tokenizer_decode_marked(tokenizer, (const int32_t[]){1, 2}, 2, &size);
    cr_assert_eq(size, 7);
    cr_expect_arr_eq(text, "\0\\u0000", 7);
    free(text);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_json, normalized_added_tokens_are_seen_in_normalized_text) {
    RgTokenizer *tokenizer = make(
        (Parts){.tokens = "['a', '-', 'x']",
                .normalizer = "{'type': 'Replace', 'pattern': {'String': ' '}, 'content': '-'}",
                .decoder = "{'type': 'Fuse'}",
                .added = "[[3, 'a a', 'normalized'], [4, 'x x']]"});
    expect_marked(tokenizer, "a a-a-a", "3 1 3");
    expect_marked(tokenizer, "x xx-x", "4 2 1 2");
    rg_tokenizer_destroy(tokenizer);
}

static void expect_found(const RgTokenizer *tokenizer, const char *text, int32_t expected) {
    int32_t id = -1;
    ASSERT_OK(rg_tokenizer_find(tokenizer, text, &id, &error));
    cr_assert_eq(id, expected, "%s is %d, expected %d", text, id, expected);
}

static void expect_none(const RgTokenizer *tokenizer, const char *text, const char *why) {
    int32_t id;
    cr_assert_eq(rg_tokenizer_find(tokenizer, text, &id, &error), RG_E_USAGE, "%s is %d", text, id);
    cr_assert_str_eq(error.text, why);
}

/* Within a text, that is: the first "▁a" of one reads as "a", too. */
Test(tokenizer_json, a_token_is_found_by_what_it_reads_as) {
    RgTokenizer *tokenizer = make(
        (Parts){.tokens = "['<unk>', '<s>', '</s>', '<0x0A>', '<0x61>', '▁', '▁a', 'a', 'b']",
                .merges = "['▁ a']",
                .model = "{'byte_fallback': true, 'unk_token': '<unk>'}",
                .normalizer = LLAMA_NORMALIZER,
                .decoder = LLAMA_DECODER,
                .added = "[[2, '</s>', 'special'], [9, '<|im_end|>', 'special'], [10, 'aa']]"});
    expect_found(tokenizer, "a", 7);
    expect_found(tokenizer, " a", 6);
    expect_found(tokenizer, " ", 5);
    expect_found(tokenizer, "\n", 3);
    expect_found(tokenizer, "</s>", 2);
    expect_found(tokenizer, "<|im_end|>", 9);
    expect_found(tokenizer, "aa", 10);
    expect_none(tokenizer, "ba", "\"ba\" is 3 tokens, expected one");
    expect_none(tokenizer, "\n\n", "\"\\n\\n\" is 3 tokens, expected one");
    expect_none(tokenizer, "", "\"\" is not a token of the tokenizer");
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_json, a_token_of_bytes_is_found_by_its_bytes) {
    RgTokenizer *tokenizer = load(shared_data("smollm-135m/tokenizer.json"));
    static const char *const texts[] = {"\n", ".", " the", "<|im_end|>", "<|endoftext|>", "\n\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int32_t id = -1;
        ASSERT_OK(rg_tokenizer_find(tokenizer, texts[i], &id, &error));
        char *text = rg_tokenizer_decode_marked(tokenizer, &id, 1, NULL);
        cr_assert_str_eq(text, texts[i]);
        free(text);
        char number[16];
        snprintf(number, sizeof number, "%d", id);
        expect_marked(tokenizer, texts[i], number);
    }
    expect_none(tokenizer, "and then", "\"and then\" is 2 tokens, expected one");
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_json, whole_words_may_need_no_merges) {
    Parts parts = {.tokens = "['a', 'b', 'c', 'abc', 'ab']",
                   .merges = "['a b']",
                   .pre_tokenizer = BYTE_LEVEL,
                   .model = "{'ignore_merges': true}"};
    RgTokenizer *tokenizer = make(parts);
    expect(tokenizer, "abc", "3");
    expect(tokenizer, "abcc", "4 2 2");
    rg_tokenizer_destroy(tokenizer);
    parts.model = NULL;
    tokenizer = make(parts);
    expect(tokenizer, "abc", "4 2");
    rg_tokenizer_destroy(tokenizer);
}
