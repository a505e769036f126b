/* SPDX-License-Identifier: MIT */
/* Claims about tokenizer.json files as a whole: the ids that the original gives, begin and end,
 * what is refused, what is damaged, and what is saved. */
#include "core/files.h"
#include "tests/tokenizer_file.h"

TestSuite(tokenizer_files, .init = scratch_begin);

/* ---- golden ids ---- */

static void expect_golden(const char *path, const char *golden_path) {
    RgTokenizer *tokenizer = load(path);
    json_t *golden = json_load_file(golden_path, 0, NULL), *one = NULL, *id = NULL;
    size_t index = 0, at = 0;
    cr_assert_gt(json_array_size(golden), 10);
    json_array_foreach(golden, index, one) {
        json_t *text = json_object_get(one, "text"), *ids = json_object_get(one, "ids");
        RgTokens tokens = {0};
        rg_tokenizer_encode_marked(tokenizer, json_string_value(text), json_string_length(text),
                                   &tokens);
        cr_assert_eq(tokens.count, (int64_t)json_array_size(ids), "%s", json_string_value(text));
        json_array_foreach(ids, at, id) {
            cr_assert_eq(tokens.id[at], json_integer_value(id), "%s", json_string_value(text));
        }
        size_t size = 0;
        char *back = rg_tokenizer_decode_marked(tokenizer, tokens.id, tokens.count, &size);
        cr_assert_str_eq(back, json_string_value(json_object_get(one, "decoded")));
        cr_assert_eq(size, strlen(back));
        free(back);
        rg_tokens_release(&tokens);
    }
    json_decref(golden);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_files, smollm_has_its_golden_ids) {
    expect_golden(shared_data("smollm-135m/tokenizer.json"),
                  shared_data("golden/smollm-135m-tokens.json"));
}

Test(tokenizer_files, llama2_has_its_golden_ids) {
    expect_golden(elsewhere("llama2"), shared_data("golden/llama2-tokens.json"));
}

Test(tokenizer_files, qwen3_has_its_golden_ids) {
    expect_golden(elsewhere("qwen3"), shared_data("golden/qwen3-tokens.json"));
}

static json_t *texts_of_tree(void) {
    char line[1024],
        *path = rg_string_format("%s/tests/tokenizers/texts.jsonl", getenv("RG_SOURCE_DIR"));
    FILE *file = fopen(path, "r");
    json_t *texts = json_array();
    cr_assert(file, "%s", path);
    while (fgets(line, sizeof line, file))
        json_array_append_new(texts, json_loads(line, JSON_ALLOW_NUL, NULL));
    fclose(file);
    free(path);
    return texts;
}

/* What differs between this program's libraries and the Rust library's, a tokenizer each. */
Test(tokenizer_files, those_of_the_tree_have_their_golden_ids) {
    const char *folder = getenv("RG_SOURCE_DIR"), *name = NULL;
    char *path = rg_string_format("%s/tests/golden/tokenizers.json", folder);
    json_t *golden = json_load_file(path, 0, NULL), *all = NULL, *ids = NULL;
    json_t *texts = texts_of_tree();
    size_t index = 0;
    cr_assert_eq(json_object_size(golden), 13);
    json_object_foreach(golden, name, all) {
        char *file = rg_string_format("%s/tests/tokenizers/%s", folder, name);
        RgTokenizer *tokenizer = load(file);
        json_array_foreach(all, index, ids) {
            json_t *text = json_object_get(json_array_get(texts, index), "text");
            RgTokens tokens = {0};
            json_t *found = json_array();
            rg_tokenizer_encode_marked(tokenizer, json_string_value(text), json_string_length(text),
                                       &tokens);
            for (int64_t i = 0; i < tokens.count; i++)
                json_array_append_new(found, json_integer(tokens.id[i]));
            cr_expect(json_equal(found, ids), "%s: %s", name, json_string_value(text));
            json_decref(found);
            rg_tokens_release(&tokens);
        }
        rg_tokenizer_destroy(tokenizer);
        free(file);
    }
    json_decref(texts);
    json_decref(golden);
    free(path);
}

/* ---- begin and end ---- */

static void expect_ends(Parts parts, int32_t begin, int32_t end) {
    RgTokenizer *tokenizer = make(parts);
    cr_assert_eq(rg_tokenizer_begin(tokenizer), begin, "%d", rg_tokenizer_begin(tokenizer));
    cr_assert_eq(rg_tokenizer_end(tokenizer), end, "%d", rg_tokenizer_end(tokenizer));
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_files, begin_and_end_are_told_by_template_config_or_name) {
    Parts parts = {.tokens = "['<s>', '</s>', '<x>', '<|endoftext|>']",
                   .decoder = "{'type': 'Fuse'}",
                   .added = "[[0, '<s>', 'special']]"};
    expect_ends(parts, 0, 1);
    parts.post_processor = "{'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': "
                           "'<x>'}}, {'Sequence': {'id': 'A'}}], 'special_tokens': {}}";
    expect_ends(parts, 2, 1);
    scratch_write("tokenizer_config.json",
                  "{\"bos_token\": null, \"eos_token\": {\"content\": \"<|endoftext|>\"}, "
                  "\"model_max_length\": 1000000000000000019884624838656}");
    expect_ends(parts, 2, 3);
    parts.post_processor = NULL;
    expect_ends(parts, -1, 3);
    scratch_write("tokenizer_config.json", "{\"eos_token\": \"<y>\"}");
    RgTokenizer *tokenizer = NULL;
    cr_assert_eq(rg_tokenizer_load(write_file(&parts), 0, &tokenizer, &error), RG_E_FORMAT);
    cr_assert(strstr(error.text, "tokenizer_config.json: eos_token \"<y>\""), "%s", error.text);
    scratch_write("tokenizer_config.json", "[1, 2]");
    cr_assert_eq(rg_tokenizer_load(write_file(&parts), 0, &tokenizer, &error), RG_E_FORMAT);
    cr_assert(strstr(error.text, "tokenizer_config.json: expected an object"), "%s", error.text);
}

/* ---- refusals ---- */

Test(tokenizer_files, what_is_not_supported_is_refused_by_name) {
    static const char fuse[] = "{'type': 'Fuse'}";
    const struct {
        Parts parts;
        const char *expected;
    } cases[] = {
        {{.normalizer = "{'type': 'Strip'}"}, "normalizer Strip is not supported"},
        {{.normalizer = "{'type': 'Sequence', 'normalizers': [{'type': 'NFC'}, {'type': "
                        "'Lowercase'}]}"},
         "normalizer.normalizers[1] Lowercase"},
        {{.normalizer = "{'type': 'Replace', 'pattern': {'Regex': '('}, 'content': ''}"},
         "normalizer: regular expression \"(\": missing closing parenthesis"},
        {{.normalizer = "{'type': 'Replace', 'pattern': 7, 'content': ''}"}, "pattern 7"},
        {{.pre_tokenizer = "{'type': 'Whitespace'}"}, "pre_tokenizer Whitespace"},
        {{.pre_tokenizer = "{'type': 'Split', 'pattern': {'String': 'a'}, 'behavior': 'Other'}"},
         "pre_tokenizer Split: behavior \"Other\""},
        {{.pre_tokenizer = "{'type': 'Split', 'pattern': {'Regex': '[a[b]]'}, 'behavior': "
                           "'Isolated'}"},
         "a class within a class"},
        {{.pre_tokenizer = "{'type': 'Split', 'pattern': {'Regex': '[a&&b]'}, 'behavior': "
                           "'Isolated'}"},
         "an intersection of classes"},
        {{.pre_tokenizer =
              "{'type': 'Sequence', 'pretokenizers': [" BYTE_LEVEL ", {'type': 'Digits'}]}"},
         "pre_tokenizer.pretokenizers[1] Digits after ByteLevel"},
        {{.pre_tokenizer = "{'type': 'Digits', 'individual_digits': 1}"}, "individual_digits 1"},
        {{.pre_tokenizer = "{'type': 'Metaspace', 'replacement': '▁', 'prepend_scheme': 'x'}"},
         "prepend_scheme \"x\""},
        {{.pre_tokenizer = BYTE_LEVEL, .decoder = fuse}, "ByteLevel is in one of"},
        {{.decoder = "{'type': 'WordPiece'}"}, "decoder WordPiece"},
        {{.decoder = "{'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}"},
         "decoder Strip is not supported in this place"},
        {{.decoder = "null"}, "decoder null"},
        {{.decoder = fuse, .post_processor = "{'type': 'Other'}"}, "post_processor Other"},
        {{.decoder = fuse, .model = "{'dropout': 0.1}"}, "model.dropout 0.1"},
        {{.decoder = fuse, .model = "{'end_of_word_suffix': '</w>'}"},
         "model.end_of_word_suffix \"</w>\""},
        {{.decoder = fuse, .model = "{'unk_token': '<none>'}"}, "unk_token \"<none>\" is not in"},
        {{.decoder = fuse, .model = "{'byte_fallback': 3}"}, "model.byte_fallback 3"},
        {{.decoder = fuse, .merges = "[['a', 'b', 'c']]"}, "model.merges[0] is not two tokens"},
        {{.decoder = fuse, .added = "[[1, '<x>', 'single_word']]"},
         "added_tokens[0] \"<x>\": single_word"},
        {{.decoder = fuse, .added = "[[-1, '<x>']]"}, "not one of 0 to 1"},
        {{.decoder = fuse, .added = "[[1, '<x>'], [2, '']]"},
         "added_tokens[1] \"\": its content is empty, expected a text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Parts parts = cases[i].parts;
        parts.tokens = "['a']";
        const char *path = write_file(&parts);
        RgTokenizer *tokenizer = NULL;
        cr_assert_eq(rg_tokenizer_load(path, 0, &tokenizer, &error), RG_E_FORMAT, "%s",
                     cases[i].expected);
        cr_assert_null(tokenizer);
        cr_assert_eq(strncmp(error.text, path, strlen(path)), 0, "%s", error.text);
        cr_assert(strstr(error.text, cases[i].expected), "%s\nlacks: %s", error.text,
                  cases[i].expected);
    }
}

/* Any one value of a good file replaced by another never ends the program. */
static void spoil(json_t *root, json_t *part, const char *path, int64_t *loaded) {
    static const char *const values[] = {"null", "7", "-1", "'x'", "''", "[]", "{}", "[[]]"};
    json_t *value = NULL;
    const char *key = NULL;
    void *next = NULL;
    json_object_foreach_safe(part, next, key, value) {
        json_incref(value);
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            RgTokenizer *tokenizer = NULL;
            json_object_set_new(part, key, parse(values[i]));
            cr_assert_eq(json_dump_file(root, path, 0), 0);
            if (rg_tokenizer_load(path, 0, &tokenizer, &error) == RG_OK) {
                free(pieces(tokenizer, "a <s> é", true));
                ++*loaded;
            }
            rg_tokenizer_destroy(tokenizer);
        }
        json_object_set(part, key, value);
        spoil(root, value, path, loaded);
        json_decref(value);
    }
    size_t index = 0;
    json_array_foreach(part, index, value) {
        spoil(root, value, path, loaded);
    }
}

Test(tokenizer_files, no_value_of_a_file_ends_the_program) {
    Parts parts = {
        .tokens = "['<unk>', '<0xC3>', '<0xA9>', '▁', 'a', '▁a']",
        .merges = "['▁ a']",
        .model = "{'byte_fallback': true, 'unk_token': '<unk>', 'fuse_unk': true}",
        .normalizer = LLAMA_NORMALIZER,
        .pre_tokenizer = "{'type': 'Sequence', 'pretokenizers': [{'type': 'Digits', "
                         "'individual_digits': true}, {'type': 'Split', 'pattern': {'Regex': 'a'},"
                         "'behavior': 'Isolated', 'invert': false}]}",
        .decoder = LLAMA_DECODER,
        .post_processor = "{'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': "
                          "'<s>'}}, {'Sequence': {'id': 'A'}}]}",
        .added = "[[6, '<s>', 'special', 'normalized']]"};
    const char *path = write_file(&parts);
    json_t *root = json_load_file(path, 0, NULL);
    int64_t loaded = 0;
    spoil(root, root, path, &loaded);
    cr_assert_gt(loaded, 10);
    json_decref(root);
}

/* ---- all of it ---- */

Test(tokenizer_files, any_bytes_survive_a_byte_level_vocabulary) {
    RgTokenizer *tokenizer = load(shared_data("smollm-135m/tokenizer.json"));
    uint32_t state = 1;
    RgTokens tokens = {0};
    for (int round = 0; round < 3000; round++) {
        char text[64];
        size_t size = (size_t)(round % 64), same = 0;
        for (size_t i = 0; i < size; i++) {
            state = state * 1664525U + 1013904223U;
            text[i] = (char)(state >> 24);
            if (strchr("\x04\x06\x13\x14\x16\x1D\xC0\xC1\xF1\xF2", text[i]) ||
                (unsigned char)text[i] >= 0xF5) /* SmolLM has no token for these bytes */
                text[i] = round % 2 ? ' ' : 'e';
        }
        tokens.count = 0;
        rg_tokenizer_encode_marked(tokenizer, text, size, &tokens);
        char *back = rg_tokenizer_decode_marked(tokenizer, tokens.id, tokens.count, &same);
        cr_assert(same == size && memcmp(back, text, size) == 0, "%.*s\nbecame %s", (int)size, text,
                  back);
        free(back);
    }
    rg_tokens_release(&tokens);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_files, threads_share_a_tokenizer) {
    RgTokenizer *tokenizer = load(shared_data("smollm-135m/tokenizer.json"));
    const char *text = "Threads may share one, 12 or 34 of them; naïve café.\n";
    char *expected = pieces(tokenizer, text, true);
    int different = 0;
#pragma omp parallel for num_threads(4) reduction(+ : different)
    for (int i = 0; i < 400; i++) {
        char *found = pieces(tokenizer, text, true);
        different += strcmp(found, expected) != 0;
        free(found);
    }
    cr_assert_eq(different, 0);
    free(expected);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer_files, the_file_that_was_read_is_saved) {
    const char *path = shared_data("smollm-135m/tokenizer.json");
    RgTokenizer *tokenizer = load(path);
    ASSERT_OK(rg_tokenizer_save(tokenizer, scratch("saved.json"), &error));
    char *first = NULL, *second = NULL;
    size_t first_size = 0, second_size = 0;
    ASSERT_OK(rg_file_read(path, &first, &first_size, &error));
    ASSERT_OK(rg_file_read(scratch("saved.json"), &second, &second_size, &error));
    cr_assert(first_size == second_size && memcmp(first, second, first_size) == 0);
    free(first);
    free(second);
    rg_tokenizer_destroy(tokenizer);
}
