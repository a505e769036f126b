/* SPDX-License-Identifier: MIT */
/* Claims about tokenizers: the ids of llama2.c, byte-level vocabularies that are learnt, saved and
 * read back, text that survives, and files that are refused. */
#include "core/files.h"
#include "core/new_file.h"
#include "core/text/tokenizer.h"
#include "tests/scratch.h"
#include "tests/shared_data.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static RgError error;

TestSuite(tokenizer, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

static RgTokenizer *load(const char *path, int64_t vocabulary) {
    RgTokenizer *tokenizer = NULL;
    ASSERT_OK(rg_tokenizer_load(path, vocabulary, &tokenizer, &error));
    return tokenizer;
}

static void refuse(const char *path, int64_t vocabulary, const char *expected) {
    RgTokenizer *tokenizer = (RgTokenizer *)&error;
    cr_assert_eq(rg_tokenizer_load(path, vocabulary, &tokenizer, &error), RG_E_FORMAT, "%s",
                 expected);
    cr_assert_null(tokenizer);
    cr_assert_eq(strncmp(error.text, path, strlen(path)), 0, "%s", error.text);
    cr_assert(strstr(error.text, expected), "%s\nlacks: %s", error.text, expected);
}

/* Small deterministic noise. */
static uint32_t noise_state;
static uint32_t noise(uint32_t below) {
    noise_state = noise_state * 1664525U + 1013904223U;
    return (noise_state >> 8) % below;
}

/* A text of made-up words, some common and some rare, with all that texts are sprinkled with. */
static char *made_text(size_t words) {
    static const char *const syllables[] = {"ka", "lo", "mi", "the", "strö", "ing", "a", "日", "x"};
    static const char *const between[] = {" ",   " ",  " ",    " ",  ", ",
                                          ".\n", "  ", " 42 ", "\t", "!? "};
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    noise_state = 5;
    for (size_t i = 0; i < words; i++) {
        uint32_t word = noise(60) * noise(60); /* small numbers are common */
        for (uint32_t rest = word + 1; rest > 0; rest /= 9)
            fputs(syllables[rest % 9], stream);
        fputs(between[noise(10)], stream);
    }
    fclose(stream);
    return text;
}

static RgTokenizer *train(const char *text, int64_t vocabulary) {
    RgTokenizer *tokenizer = NULL;
    ASSERT_OK(rg_tokenizer_train(&text, 1, vocabulary, &tokenizer, &error));
    return tokenizer;
}

/* Decoding what encoding gave must give the same bytes. `begin` comes first, if it is one. */
static void expect_round_trip(const RgTokenizer *tokenizer, const char *text, size_t size,
                              int32_t begin) {
    RgTokens tokens = {0};
    if (begin >= 0)
        rg_tokens_append(&tokens, begin);
    rg_tokenizer_encode(tokenizer, text, size, &tokens);
    for (int64_t i = 0; i < tokens.count; i++)
        cr_assert(tokens.id[i] >= 0 && tokens.id[i] < rg_tokenizer_vocabulary(tokenizer));
    char *back = rg_tokenizer_decode(tokenizer, tokens.id, tokens.count);
    cr_assert_eq(memcmp(back, text, size), 0, "%.*s\nbecame %s", (int)size, text, back);
    cr_assert_eq(back[size], '\0');
    free(back);
    rg_tokens_release(&tokens);
}

static void expect_round_trips_of_noise(const RgTokenizer *tokenizer, int32_t begin) {
    char text[64];
    noise_state = 1;
    for (int round = 0; round < 2000; round++) {
        size_t size = noise(sizeof text);
        uint32_t range = round % 2 ? 256 : 16; /* also texts of few, often repeated characters */
        for (size_t i = 0; i < size; i++)
            text[i] = (char)(noise(range) + (range == 16 ? ' ' + 5 * (uint32_t)(round % 13) : 0));
        expect_round_trip(tokenizer, text, size, begin);
    }
}

/* ---- llama2.c ---- */

Test(tokenizer, llama2c_prompts_have_their_golden_ids) {
    RgTokenizer *tokenizer = load(shared_data("tok512.bin"), 512);
    json_t *golden = json_load_file(shared_data("golden/stories260K.json"), 0, NULL);
    json_t *responses = json_object_get(golden, "responses"), *response = NULL;
    size_t index = 0;
    cr_assert_gt(json_array_size(responses), 10);
    json_array_foreach(responses, index, response) {
        json_t *expected = json_object_get(response, "prompt_tokens"), *prompt = NULL;
        prompt = json_object_get(response, "prompt");
        RgTokens tokens = {0};
        rg_tokens_append(&tokens, rg_tokenizer_begin(tokenizer));
        rg_tokenizer_encode(tokenizer, json_string_value(prompt), json_string_length(prompt),
                            &tokens);
        cr_assert_eq(tokens.count, (int64_t)json_array_size(expected), "%s",
                     json_string_value(prompt));
        for (int64_t i = 0; i < tokens.count; i++)
            cr_assert_eq(tokens.id[i], json_integer_value(json_array_get(expected, (size_t)i)));
        char *back = rg_tokenizer_decode(tokenizer, tokens.id, tokens.count);
        cr_assert_str_eq(back, json_string_value(prompt));
        free(back);
        rg_tokens_release(&tokens);
    }
    json_decref(golden);
    rg_tokenizer_destroy(tokenizer);
}

/* The golden text has byte tokens under their names: here every <0x0A> becomes its byte. */
static char *without_byte_names(const char *text) {
    char *out = strdup(text), *name = NULL;
    while ((name = strstr(out, "<0x0A>"))) {
        *name = '\n';
        memmove(name + 1, name + 6, strlen(name + 6) + 1);
    }
    return out;
}

Test(tokenizer, llama2c_responses_decode_to_their_golden_text) {
    RgTokenizer *tokenizer = load(shared_data("tok512.bin"), 0);
    json_t *golden = json_load_file(shared_data("golden/stories260K.json"), 0, NULL);
    json_t *responses = json_object_get(golden, "responses"), *response = NULL;
    size_t index = 0;
    json_array_foreach(responses, index, response) {
        json_t *list = json_object_get(response, "response_tokens");
        RgTokens tokens = {0};
        for (size_t i = 0; i < json_array_size(list); i++)
            rg_tokens_append(&tokens, (int32_t)json_integer_value(json_array_get(list, i)));
        char *text = rg_tokenizer_decode(tokenizer, tokens.id, tokens.count);
        char *expected =
            without_byte_names(json_string_value(json_object_get(response, "response_text")));
        cr_assert_str_eq(text, expected);
        free(expected);
        free(text);
        rg_tokens_release(&tokens);
    }
    json_decref(golden);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer, llama2c_keeps_any_bytes) {
    RgTokenizer *tokenizer = load(shared_data("tok512.bin"), 512);
    expect_round_trips_of_noise(tokenizer, rg_tokenizer_begin(tokenizer));
    cr_assert_eq(rg_tokenizer_vocabulary(tokenizer), 512);
    cr_assert_eq(rg_tokenizer_begin(tokenizer), 1);
    cr_assert_eq(rg_tokenizer_end(tokenizer), 2);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer, llama2c_saves_the_file_that_it_read) {
    RgTokenizer *tokenizer = load(shared_data("tok512.bin"), 512);
    const char *path = scratch("saved.bin");
    ASSERT_OK(rg_tokenizer_save(tokenizer, path, &error));
    char *first = NULL, *second = NULL;
    size_t first_size = 0, second_size = 0;
    ASSERT_OK(rg_file_read(shared_data("tok512.bin"), &first, &first_size, &error));
    ASSERT_OK(rg_file_read(path, &second, &second_size, &error));
    cr_assert_eq(first_size, second_size);
    cr_assert_eq(memcmp(first, second, first_size), 0);
    free(first);
    free(second);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer, llama2c_files_that_are_damaged_are_refused) {
    char *content = NULL;
    size_t size = 0;
    ASSERT_OK(rg_file_read(shared_data("tok512.bin"), &content, &size, &error));
    const char *path = scratch("damaged.bin");
    for (size_t length = 0; length < size; length += 13) {
        ASSERT_OK(rg_file_write(path, content, length, &error));
        refuse(path, 512, "");
    }
    ASSERT_OK(rg_file_write(path, content, size - 1, &error));
    refuse(path, 0, "truncated: token 511");
    refuse(shared_data("tok512.bin"), 513, "513 tokens expected, 512 found");
    refuse(shared_data("tok512.bin"), 511, "511 tokens expected, 512 found");
    refuse(scratch_write("empty", ""), 0, "0 bytes");

    char *byte = memmem(content, size, "<0x41>", 6);
    byte[3] = '5';
    ASSERT_OK(rg_file_write(path, content, size, &error));
    refuse(path, 512, "token 68: \"<0x41>\" expected, \"<0x51>\" found");
    byte[3] = '4';
    byte[-1] = 0x7f; /* the highest byte of its length */
    ASSERT_OK(rg_file_write(path, content, size, &error));
    refuse(path, 512, "token 68");
    free(content);
}

/* ---- byte-level BPE ---- */

Test(tokenizer, bytes_alone_encode_to_bytes) {
    RgTokenizer *tokenizer = train("", 258);
    RgTokens tokens = {0};
    rg_tokenizer_encode(tokenizer, "a\xff ", 3, &tokens);
    cr_assert_eq(tokens.count, 3);
    cr_assert(tokens.id[0] == 2 + 'a' && tokens.id[1] == 2 + 0xff && tokens.id[2] == 2 + ' ');
    rg_tokens_release(&tokens);
    rg_tokenizer_destroy(tokenizer);
}

/* The commonest pair of "abab abab abc" is (a, b), then " ", … worked out by hand: the words are
 * abab, " abab", " abc"; counts ab 5, ba 2, " a" 2, bc 1. After ab: (ab, ab) 2, (" ", ab) 2,
 * (ab, c) 1, and " " is the smaller id. After " ab": (ab, ab) 1, (" ab", ab) 1, (" ab", c) 1. */
Test(tokenizer, merges_are_those_worked_out_by_hand) {
    RgTokenizer *tokenizer = train("abab abab abc", 261);
    static const char *const expected[] = {"ab", " ab", "abab"};
    for (int32_t i = 0; i < 3; i++) {
        char *text = rg_tokenizer_decode(tokenizer, &(int32_t){258 + i}, 1);
        cr_assert_str_eq(text, expected[i], "token %d is \"%s\"", 258 + i, text);
        free(text);
    }
    rg_tokenizer_destroy(tokenizer);
}

/* The definition, without any of the bookkeeping: count all pairs anew for each merge. */
enum { MOST_IDS = 1 << 15 };
typedef struct PlainTrainer {
    int32_t ids[MOST_IDS]; /* −1 between words */
    int64_t count;
} PlainTrainer;

static int64_t plain_count(const PlainTrainer *t, int32_t first, int32_t second) {
    int64_t count = 0;
    for (int64_t i = 0; i + 1 < t->count; i++)
        count += t->ids[i] == first && t->ids[i + 1] == second;
    return count;
}

static void plain_merge(PlainTrainer *t, int32_t made) {
    int64_t best = 0, kept = 0;
    int32_t first = 0, second = 0;
    for (int64_t i = 0; i + 1 < t->count; i++) {
        int32_t a = t->ids[i], b = t->ids[i + 1];
        if (a < 0 || b < 0)
            continue;
        int64_t count = plain_count(t, a, b);
        if (count > best || (count == best && (a < first || (a == first && b < second)))) {
            best = count;
            first = a;
            second = b;
        }
    }
    for (int64_t i = 0; i < t->count; kept++) {
        bool here = i + 1 < t->count && t->ids[i] == first && t->ids[i + 1] == second;
        t->ids[kept] = here ? made : t->ids[i];
        i += here ? 2 : 1;
    }
    t->count = kept;
}

Test(tokenizer, learning_agrees_with_counting_everything_anew) {
    /* Lower-case words and single spaces: words are easily told apart here too. */
    static const char *const words[] = {"aaaa", "banana", "bandana", "an", "ananas", "aa", "nab"};
    enum { LEARNT = 14 };
    static PlainTrainer plain;
    char text[2048] = "";
    noise_state = 3;
    for (int i = 0; i < 200; i++) {
        const char *word = words[noise(7)];
        strcat(strcat(text, i > 0 ? " " : ""), word);
        plain.ids[plain.count++] = -1;
        if (i > 0)
            plain.ids[plain.count++] = 2 + ' ';
        for (const char *c = word; *c; c++)
            plain.ids[plain.count++] = 2 + *c;
    }
    RgTokenizer *tokenizer = train(text, 258 + LEARNT);
    for (int32_t made = 258; made < 258 + LEARNT; made++)
        plain_merge(&plain, made);
    RgTokens tokens = {0};
    rg_tokenizer_encode(tokenizer, text, strlen(text), &tokens);
    int64_t at = 0;
    for (int64_t i = 0; i < plain.count; i++)
        if (plain.ids[i] >= 0) {
            cr_assert_lt(at, tokens.count);
            cr_assert_eq(tokens.id[at], plain.ids[i], "token %ld", (long)at);
            at++;
        }
    cr_assert_eq(at, tokens.count);
    rg_tokens_release(&tokens);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer, learning_again_gives_the_same_file) {
    char *text = made_text(5000), *content[2];
    for (int i = 0; i < 2; i++) {
        RgTokenizer *tokenizer = train(text, 500);
        ASSERT_OK(rg_tokenizer_save(tokenizer, scratch("tokenizer.json"), &error));
        ASSERT_OK(rg_file_read(scratch("tokenizer.json"), &content[i], NULL, &error));
        rg_tokenizer_destroy(tokenizer);
    }
    cr_assert_str_eq(content[0], content[1]);
    free(content[0]);
    free(content[1]);
    free(text);
}

Test(tokenizer, learnt_vocabularies_compress_and_keep_any_bytes) {
    char *text = made_text(5000);
    RgTokenizer *small = train(text, 300), *large = train(text, 500);
    RgTokens few = {0}, many = {0};
    rg_tokenizer_encode(small, text, strlen(text), &many);
    rg_tokenizer_encode(large, text, strlen(text), &few);
    cr_assert_lt(many.count, (int64_t)strlen(text) * 2 / 3);
    cr_assert_lt(few.count, many.count);
    cr_assert_lt(few.count, (int64_t)strlen(text) / 3);
    expect_round_trip(large, text, strlen(text), -1);
    expect_round_trips_of_noise(large, -1);
    rg_tokens_release(&few);
    rg_tokens_release(&many);
    rg_tokenizer_destroy(small);
    rg_tokenizer_destroy(large);
    free(text);
}

Test(tokenizer, texts_count_together_and_words_never_join) {
    const char *const texts[] = {"ab", "ab", "ab", "xyxy"};
    RgTokenizer *tokenizer = NULL;
    ASSERT_OK(rg_tokenizer_train(texts, 4, 259, &tokenizer, &error));
    char *text = rg_tokenizer_decode(tokenizer, &(int32_t){258}, 1);
    cr_assert_str_eq(text, "ab");
    free(text);
    rg_tokenizer_destroy(tokenizer);

    /* "a1" occurs often, but letters and digits are different words. */
    tokenizer = NULL;
    ASSERT_OK(rg_tokenizer_train((const char *const[]){"a1a1a1a1 zz"}, 1, 260, &tokenizer, &error));
    for (int32_t id = 258; id < 260; id++) {
        text = rg_tokenizer_decode(tokenizer, &id, 1);
        cr_assert_null(strpbrk(text, "a1"), "\"%s\"", text);
        free(text);
    }
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer, a_saved_vocabulary_encodes_the_same) {
    char *text = made_text(3000);
    RgTokenizer *learnt = train(text, 400);
    ASSERT_OK(rg_tokenizer_save(learnt, scratch("tokenizer.json"), &error));
    RgTokenizer *read = load(scratch("tokenizer.json"), 400);
    RgTokens before = {0}, after = {0};
    rg_tokenizer_encode(learnt, text, strlen(text), &before);
    rg_tokenizer_encode(read, text, strlen(text), &after);
    cr_assert_eq(before.count, after.count);
    cr_assert_eq(memcmp(before.id, after.id, sizeof *after.id * (size_t)after.count), 0);
    cr_assert_eq(rg_tokenizer_vocabulary(read), 400);
    cr_assert_eq(rg_tokenizer_begin(read), 0);
    cr_assert_eq(rg_tokenizer_end(read), 1);
    refuse(scratch("tokenizer.json"), 401, "401 tokens expected, 400 found");
    rg_tokens_release(&before);
    rg_tokens_release(&after);
    rg_tokenizer_destroy(learnt);
    rg_tokenizer_destroy(read);
    free(text);
}

Test(tokenizer, special_tokens_are_silent_and_never_read_from_text) {
    RgTokenizer *tokenizer = train("<|end|><|end|><|end|>", 262);
    RgTokens tokens = {0};
    rg_tokenizer_encode(tokenizer, "<|end|>", 7, &tokens);
    for (int64_t i = 0; i < tokens.count; i++)
        cr_assert_gt(tokens.id[i], 1);
    rg_tokens_append(&tokens, rg_tokenizer_end(tokenizer));
    char *text = rg_tokenizer_decode(tokenizer, tokens.id, tokens.count);
    cr_assert_str_eq(text, "<|end|>");
    free(text);
    text = rg_tokenizer_decode(tokenizer, (const int32_t[]){0, 262, -1, 1}, 4);
    cr_assert_str_eq(text, "\xEF\xBF\xBD\xEF\xBF\xBD", "ids that are none show as U+FFFD");
    free(text);
    rg_tokens_release(&tokens);
    rg_tokenizer_destroy(tokenizer);
}

Test(tokenizer, vocabularies_that_cannot_be_learnt_are_refused) {
    const char *const texts[] = {"ab"};
    RgTokenizer *tokenizer = NULL;
    cr_assert_eq(rg_tokenizer_train(texts, 1, 257, &tokenizer, &error), RG_E_RANGE);
    cr_assert(strstr(error.text, "257"), "%s", error.text);
    cr_assert_eq(rg_tokenizer_train(texts, 1, 1000, &tokenizer, &error), RG_E_RANGE);
    cr_assert(strstr(error.text, "259 tokens, 1000"), "%s", error.text);
    cr_assert_eq(rg_tokenizer_train(texts, 1, INT64_MAX, &tokenizer, &error), RG_E_RANGE);
    cr_assert_null(tokenizer);
}

/* One edit of a good file, and what must be said of it. */
Test(tokenizer, json_that_is_damaged_is_refused) {
    RgTokenizer *tokenizer = train("abab abab", 260);
    const char *path = scratch("tokenizer.json");
    ASSERT_OK(rg_tokenizer_save(tokenizer, path, &error));
    rg_tokenizer_destroy(tokenizer);
    json_t *good = json_load_file(path, 0, NULL);
    const struct {
        const char *edit, *expected;
    } cases[] = {
        {"{\"pre_tokenizer\": {\"type\": \"Whitespace\"}}", "pre_tokenizer Whitespace"},
        {"{\"pre_tokenizer\": null}", "ByteLevel is in one of pre_tokenizer and decoder"},
        {"{\"normalizer\": {\"type\": \"Strip\"}}", "normalizer Strip"},
        {"{\"post_processor\": {\"type\": \"TemplateProcessing\"}}", "post_processor Template"},
        {"{\"decoder\": {\"type\": \"WordPiece\"}}", "decoder WordPiece"},
        {"{\"model\": {\"type\": \"Unigram\"}}", "model Unigram"},
        {"{\"model\": {\"byte_fallback\": true}}", "model.byte_fallback"},
        {"{\"model\": {\"vocab\": []}}", "model.vocab"},
        {"{\"model\": {\"vocab\": {\"ab\": 7}}}", "id 7 is taken"},
        {"{\"model\": {\"vocab\": {\"ab\": -1}}}", "token \"ab\""},
        {"{\"model\": {\"vocab\": {\"ab\": 9999}}}", "not one of 0 to 259"},
        {"{\"model\": {\"vocab\": {\"ab\": \"x\"}}}", "token \"ab\""},
        {"{\"model\": {\"merges\": [\"a\"]}}", "model.merges[0] is not two tokens"},
        {"{\"model\": {\"merges\": [7]}}", "model.merges[0] is not two tokens"},
        {"{\"model\": {\"merges\": [\"a zz\"]}}", "\"a\", \"zz\" or their merge"},
        {"{\"model\": {\"merges\": [\"a b\", \"a b\"]}}", "model.merges[1] is a duplicate"},
        {"{\"added_tokens\": [{\"id\": 3, \"content\": \"<|end|>\", \"special\": true}]}",
         "added_tokens[0]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *damaged = json_deep_copy(good), *edit = json_loads(cases[i].edit, 0, NULL);
        cr_assert_eq(json_object_get(edit, "model") ? json_object_update_recursive(damaged, edit)
                                                    : json_object_update(damaged, edit),
                     0);
        cr_assert_eq(json_dump_file(damaged, path, 0), 0);
        refuse(path, 0, cases[i].expected);
        json_decref(edit);
        json_decref(damaged);
    }
    json_t *damaged = json_deep_copy(good);
    json_object_del(json_object_get(json_object_get(damaged, "model"), "vocab"), "a");
    json_dump_file(damaged, path, 0);
    refuse(path, 0, "");
    json_decref(damaged);
    refuse(scratch_write("x.json", "{\"model\":"), 0, ":1: not JSON");
    refuse(scratch_write("x.json", "{}"), 0, "decoder null");
    json_decref(good);
}

Test(tokenizer, merges_may_be_written_as_pairs) {
    RgTokenizer *tokenizer = train("abab abab", 260);
    const char *path = scratch("tokenizer.json");
    ASSERT_OK(rg_tokenizer_save(tokenizer, path, &error));
    rg_tokenizer_destroy(tokenizer);
    json_t *root = json_load_file(path, 0, NULL), *model = json_object_get(root, "model");
    json_object_set_new(model, "merges", json_pack("[[s,s],[s,s]]", "a", "b", "ab", "ab"));
    json_dump_file(root, path, 0);
    tokenizer = load(path, 260);
    RgTokens tokens = {0};
    rg_tokenizer_encode(tokenizer, "abab", 4, &tokens);
    cr_assert_eq(tokens.count, 1);
    rg_tokens_release(&tokens);
    rg_tokenizer_destroy(tokenizer);
    json_decref(root);
}

/* As Hugging Face has it: the file's regular expression and alphabet, spelled out. */
Test(tokenizer, json_is_as_hugging_face_reads_it) {
    RgTokenizer *tokenizer = train("\n\n \xc3\xa9\xc3\xa9", 260);
    const char *path = scratch("tokenizer.json");
    ASSERT_OK(rg_tokenizer_save(tokenizer, path, &error));
    rg_tokenizer_destroy(tokenizer);
    json_t *root = json_load_file(path, 0, NULL), *model = json_object_get(root, "model");
    json_t *vocabulary = json_object_get(model, "vocab");
    cr_assert_eq(json_object_size(vocabulary), 260);
    cr_assert_eq(json_integer_value(json_object_get(vocabulary, "Ġ")), 2 + ' ');
    cr_assert_eq(json_integer_value(json_object_get(vocabulary, "Ċ")), 2 + '\n');
    cr_assert_eq(json_integer_value(json_object_get(vocabulary, "Ń")), 2 + 0xad);
    cr_assert_eq(json_integer_value(json_object_get(vocabulary, "ÿ")), 2 + 0xff);
    cr_assert_str_eq(json_string_value(json_array_get(json_object_get(model, "merges"), 0)), "Ã ©");
    json_t *split =
        json_array_get(json_object_get(json_object_get(root, "pre_tokenizer"), "pretokenizers"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex")),
                     " ?(?:[A-Za-z]|[^\\x00-\\x7f])+| ?[0-9]+"
                     "| ?[!-/:-@\\[-`{-~\\x00-\\x08\\x0e-\\x1f\\x7f]+"
                     "|[\\t-\\r ]+(?![^\\t-\\r ])|[\\t-\\r ]+");
    json_decref(root);
}

/* A run of a million letters is one word: merging must not be quadratic in it. */
Test(tokenizer, a_very_long_word_encodes_in_time, .timeout = 10) {
    size_t size = 1000000;
    char *text = malloc(size + 1);
    memset(text, 'a', size);
    text[size] = '\0';
    RgTokenizer *tokenizer = train("aaaa aaaa aaaaaaaa", 261);
    expect_round_trip(tokenizer, text, size, -1);
    rg_tokenizer_destroy(tokenizer);
    free(text);
}
