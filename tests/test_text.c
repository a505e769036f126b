/* SPDX-License-Identifier: MIT */
/* Claims about the text environment: its files are refused with file and line, its sequences carry
 * the texts and nothing else, its pairs follow judge and limits, its evaluation is consistent. */
#include "analysis/store/query.h"
#include "core/text/lines.h"
#include "core/utf8.h"
#include "envs/text/text.h"
#include "tests/scratch.h"

#include <math.h>

static RgError error;

TestSuite(text, .init = scratch_begin);

#define ASSERT_OK(call) cr_assert_eq(call, RG_OK, "%s", error.text)

enum { TRAIN_LINES = 60, TEST_LINES = 120 };

/* ---- a small world ---- */

static const char *pick(uint64_t line, uint64_t what) {
    static const char *const words[] = {"river", "king",  "field", "stone", "house",   "people",
                                        "night", "water", "wheat", "sword", "mountain"};
    int64_t count = (int64_t)(sizeof words / sizeof words[0]);
    return words[rg_random_below(rg_random_at(rg_random_root(3), line), what, count)];
}

/* The same in two styles, as a line of a file. */
static void write_lines(const char *name, uint64_t first, int count) {
    char *content = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&content, &size);
    for (uint64_t i = first; i < first + (uint64_t)count; i++)
        fprintf(stream,
                "{\"reference\": \"%d\", \"prompt\": \"He saw the %s.\", "
                "\"chosen\": \"You have seen the %s and your %s has come.\", "
                "\"rejected\": \"Thou hast seen the %s, and thy %s cometh.\"}\n",
                (int)i, pick(i, 0), pick(i, 1), pick(i, 2), pick(i, 1), pick(i, 2));
    fclose(stream);
    scratch_write(name, content);
    free(content);
}

static void write_tokenizer(void) {
    RgTextData *data = NULL;
    ASSERT_OK(rg_text_data_read(scratch("data/base.jsonl"), &(RgTextReading){0}, &data, &error));
    const char *texts[TRAIN_LINES];
    for (int i = 0; i < TRAIN_LINES; i++)
        texts[i] = i % 2 ? data->lines[i].chosen : data->lines[i].rejected;
    RgTokenizer *tokenizer = NULL;
    ASSERT_OK(rg_tokenizer_train(texts, TRAIN_LINES, 320, &tokenizer, &error));
    ASSERT_OK(rg_tokenizer_save(tokenizer, scratch("tokenizer.json"), &error));
    rg_tokenizer_destroy(tokenizer);
    rg_text_data_destroy(data);
}

static void write_world(void) {
    scratch_write("data/made", "");
    write_lines("data/base.jsonl", 0, TRAIN_LINES);
    write_lines("data/judge.jsonl", 100, 80);
    write_lines("data/judge-independent.jsonl", 200, 80);
    write_lines("data/train.jsonl", 300, TRAIN_LINES);
    write_lines("data/test.jsonl", 400, TEST_LINES);
    write_tokenizer();
}

/* Key, value, …, NULL on top of the paths and small numbers. */
static RgSettings *settings_of(const char *const *entries) {
    RgSettings *settings = rg_settings_create();
    rg_settings_set(settings, "e.data", RG_SETTING_STRING, scratch("data"), "test", 1);
    rg_settings_set(settings, "e.tokenizer", RG_SETTING_STRING, scratch("tokenizer.json"), "test",
                    1);
    rg_settings_set(settings, "e.pair_count", RG_SETTING_INTEGER, "100", "test", 1);
    rg_settings_set(settings, "e.response_limit", RG_SETTING_INTEGER, "40", "test", 1);
    for (; entries && entries[0]; entries += 2) {
        char *path = rg_string_format("e.%s", entries[0]);
        bool number = entries[1][0] && strspn(entries[1], "-0123456789.") == strlen(entries[1]);
        bool whole = number && !strchr(entries[1], '.');
        rg_settings_set(settings, path,
                        whole    ? RG_SETTING_INTEGER
                        : number ? RG_SETTING_REAL
                                 : RG_SETTING_STRING,
                        entries[1], "test", 1);
        free(path);
    }
    return settings;
}

#define WITH(...)                                                                                  \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }

static RgStatus try_text(const char *const *entries, RgEnvironment **environment) {
    RgSettings *settings = settings_of(entries);
    RgStatus status =
        rg_environment_create("text", settings, "e", rg_random_root(1), environment, &error);
    rg_settings_destroy(settings);
    return status;
}

static RgPolicy *policy_for(int64_t vocabulary, const char *context, uint64_t seed) {
    RgSettings *settings = rg_settings_create();
    const char *const entries[] = {"layers", "2", "width", "16", "heads", "2", "context", context};
    for (int i = 0; i < 8; i += 2) {
        char *path = rg_string_format("p.%s", entries[i]);
        rg_settings_set(settings, path, RG_SETTING_INTEGER, entries[i + 1], "test", 1);
        free(path);
    }
    RgPolicySpace space = {.vocabulary = vocabulary};
    RgPolicy *policy = NULL;
    ASSERT_OK(rg_policy_create("transformer", settings, "p", &space, rg_random_root(seed), &policy,
                               &error));
    rg_settings_destroy(settings);
    return policy;
}

typedef struct World {
    RgEnvironment *environment;
    RgTextState *state;
    const RgTask *task;
    RgPolicy *reference;
} World;

static World world_of(const char *const *entries) {
    World w = {0};
    ASSERT_OK(try_text(entries, &w.environment));
    w.state = w.environment->state;
    w.task = &w.environment->task;
    w.reference = policy_for(w.environment->space.vocabulary, "128", 5);
    ASSERT_OK(rg_environment_prepare(w.environment, w.reference, rg_random_root(2), &error));
    return w;
}

static void end_world(World *w) {
    rg_policy_destroy(w->reference);
    rg_environment_destroy(w->environment);
}

static RgEvaluation *evaluate(const World *w, RgPolicy *policy, uint64_t seed) {
    RgEvaluation *evaluation = rg_evaluation_create();
    rg_environment_evaluate(
        w->environment, &(RgContender){.policy = policy, .reference = w->reference, .beta = 0.1},
        rg_random_root(seed), evaluation, NULL);
    return evaluation;
}

static const double *column(const RgEvaluation *evaluation, const char *name) {
    for (int i = 0; i < rg_evaluation_column_count(evaluation); i++)
        if (strcmp(rg_evaluation_column_name(evaluation, i), name) == 0)
            return rg_evaluation_column_values(evaluation, i);
    cr_assert_fail("no column %s", name);
    return NULL;
}

static void assert_same(const RgEvaluation *a, const RgEvaluation *b) {
    cr_assert_eq(rg_evaluation_metric_count(a), rg_evaluation_metric_count(b));
    for (int i = 0; i < rg_evaluation_metric_count(a); i++)
        cr_assert_eq(rg_evaluation_metric_value(a, i), rg_evaluation_metric_value(b, i), "%s",
                     rg_evaluation_metric_name(a, i));
    for (int c = 0; c < rg_evaluation_column_count(a); c++)
        cr_assert_arr_eq(rg_evaluation_column_values(a, c), rg_evaluation_column_values(b, c),
                         (size_t)rg_evaluation_items(a) * sizeof(double));
}

/* ---- files ---- */

static void refuse_lines(const char *content, const char *expected) {
    RgTextData *data = (RgTextData *)&error;
    const char *path = scratch_write("bad.jsonl", content);
    RgTextReading reading = {.format = RG_TEXT_PLAIN, .stop = true};
    cr_assert_eq(rg_text_data_read(path, &reading, &data, &error), RG_E_FORMAT, "%s", content);
    cr_assert_null(data);
    cr_assert_eq(strncmp(error.text, path, strlen(path)), 0, "%s", error.text);
    cr_assert(strstr(error.text, expected), "%s\nlacks: %s", error.text, expected);
}

#define GOOD "{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"r\"}\n"

Test(text, bad_lines_are_refused_with_file_and_line_if_they_stop) {
    refuse_lines(GOOD "{\"prompt\": \"p\", \n", ":2: no valid JSON at column");
    refuse_lines(GOOD GOOD "{} x\n", ":3: no valid JSON at column");
    refuse_lines("\n" GOOD "[1]\n", ":3: the line is an array, expected an object");
    refuse_lines("{\"prompt\": \"p\", \"chosen\": \"c\"}", ":1: \"rejected\" is missing");
    refuse_lines(GOOD "{\"prompt\": 3, \"chosen\": \"c\", \"rejected\": \"r\"}",
                 ":2: \"prompt\" is a number, expected a string");
    refuse_lines("{\"prompt\": \"\", \"chosen\": \"\", \"rejected\": \"r\"}",
                 ":1: a response is blank");
    refuse_lines("", ": no lines");
    refuse_lines("\n \r\n", ": no lines");
}

Test(text, lines_are_read_as_written) {
    RgTextData *data = NULL;
    ASSERT_OK(rg_text_data_read(
        scratch_write("good.jsonl", "\n" GOOD "{\"rejected\": \"R\\n\\\"é\\\"\", \"more\": [1], "
                                    "\"chosen\": \"C\", \"prompt\": \"\"}"),
        &(RgTextReading){0}, &data, &error));
    cr_assert_eq(data->count, 2);
    cr_assert_eq(data->lines[0].number, 2);
    cr_assert_eq(data->lines[1].number, 3);
    cr_assert_str_eq(data->lines[0].chosen, "c");
    cr_assert_str_eq(rg_text_line_prompt(&data->lines[1]), "");
    cr_assert_str_eq(data->lines[1].rejected, "R\n\"é\"");
    rg_text_data_destroy(data);
}

Test(text, missing_files_are_named) {
    write_world();
    static const char *const names[] = {"judge", "judge-independent", "train", "test", "base"};
    for (int i = 0; i < 5; i++) {
        char *name = rg_string_format("data/%s.jsonl", names[i]);
        char *away = rg_string_format("%s/away", scratch_path);
        cr_assert_eq(rename(scratch(name), away), 0);
        RgEnvironment *environment = NULL;
        cr_assert_neq(try_text(WITH("demonstrations", "corpus"), &environment), RG_OK);
        cr_assert_null(environment);
        cr_assert(strstr(error.text, name), "%s", error.text);
        cr_assert_eq(rename(away, scratch(name)), 0);
        free(name);
        free(away);
    }
    RgEnvironment *environment = NULL;
    cr_assert_neq(try_text(WITH("tokenizer", "/none/such.json"), &environment), RG_OK);
    cr_assert(strstr(error.text, "/none/such.json"), "%s", error.text);
}

/* ---- one's own file ---- */

enum { OWN_LINES = 600 };

/* In PKU's format, each with a prompt of its own; of line 7 the first response is empty. */
static const char *write_own(const char *name) {
    char *content;
    size_t size;
    FILE *stream = open_memstream(&content, &size);
    for (uint64_t i = 0; i < OWN_LINES; i++)
        fprintf(stream,
                "{\"prompt\": \"He saw the %s%s %d.\", \"response_0\": \"%s\", \"response_1\": "
                "\"Thou hast seen the %s, and thy %s cometh.\", \"better_response_id\": 0}\n",
                pick(i, 0), i % 100 == 9 ? " and more and more and more and more" : "", (int)i,
                i == 7 ? " " : "You have seen it and have come.", pick(i, 1), pick(i, 2));
    fclose(stream);
    const char *path = scratch_write(name, content);
    free(content);
    return path;
}

static void add_hashes(const RgSequences *s, int64_t each, uint64_t *hash, int64_t *count) {
    for (int64_t i = 0; i < s->count; i += each) {
        uint64_t h = 1469598103934665603u;
        for (int64_t k = 0; k < s->prompt_length[i]; k++)
            h = (h ^ (uint64_t)rg_sequence_prompt(s, i)[k]) * 1099511628211u;
        hash[(*count)++] = h;
    }
}

/* Evaluation, judges and policies see lines of their own. */
Test(text, one_file_is_enough) {
    write_world();
    const char *path = rg_string_copy(write_own("own.jsonl"));
    World w = world_of(WITH("data", "", "train", path, "pairs", "dataset", "test_share", "0.2",
                            "judge_share", "0.5", "pair_count", "1000"));
    int64_t train = w.state->train->count, test = w.state->test_prompts->count, count = 0;
    cr_expect_eq(w.state->left_out[RG_TEXT_EMPTY], 1);
    cr_expect_float_eq(test, 0.2 * OWN_LINES, 4 * sqrt(0.16 * OWN_LINES));
    cr_expect_float_eq(train, 0.4 * OWN_LINES, 4 * sqrt(0.24 * OWN_LINES));
    cr_expect_eq(w.task->pairs->count, train);
    uint64_t hash[OWN_LINES];
    add_hashes(w.task->prompts, 1, hash, &count);
    add_hashes(w.state->test_prompts, 1, hash, &count);
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < i; k++)
            cr_assert_neq(hash[i], hash[k], "a prompt is in two parts");
    cr_expect_gt(w.state->judge_quality.accuracy, 0.95);
    RgEvaluation *evaluation = evaluate(&w, w.reference, 1);
    cr_expect_eq(rg_evaluation_find(evaluation, "unusable_lines"), 1);
    cr_expect_eq(rg_evaluation_find(evaluation, "dropped_prompts"), 0);
    rg_evaluation_destroy(evaluation);
    end_world(&w);

    /* a file of its own for evaluation leaves the training file whole */
    w = world_of(WITH("data", "", "train", path, "test", scratch("data/test.jsonl")));
    cr_expect_eq(w.state->test_prompts->count, TEST_LINES);
    cr_expect_float_eq(w.state->train->count, 0.5 * OWN_LINES, 4 * sqrt(0.25 * OWN_LINES));
    end_world(&w);
    free((char *)path);
}

Test(text, prompts_over_the_limit_are_counted) {
    write_world();
    char *path = rg_string_copy(write_own("own.jsonl"));
    World w = world_of(WITH("data", "", "train", path));
    int64_t limit = 0, kept = w.state->train->count;
    for (int64_t i = 0; i < w.task->prompts->count; i++) {
        int64_t length = w.task->prompts->prompt_length[i];
        limit = length > limit ? length : limit;
    }
    end_world(&w);
    char text[24];
    snprintf(text, sizeof text, "%ld", (long)limit - 1);
    w = world_of(WITH("data", "", "train", path, "prompt_limit", text));
    cr_expect_gt(w.state->dropped_prompts, 0);
    cr_expect_eq(w.state->truncated_prompts, 0);
    cr_expect_lt(w.state->train->count, kept);
    int64_t dropped = w.state->dropped_prompts;
    end_world(&w);
    w = world_of(WITH("data", "", "train", path, "prompt_limit", text, "truncation", "keep_end"));
    cr_expect_eq(w.state->dropped_prompts, 0);
    cr_expect_eq(w.state->truncated_prompts, dropped);
    cr_expect_eq(w.state->train->count, kept);
    for (int64_t i = 0; i < w.task->prompts->count; i++)
        cr_expect_leq(w.task->prompts->prompt_length[i], limit - 1);
    end_world(&w);
    free(path);
}

/* One response to each prompt, to every second one both. One in five lonely ones is
 * desirable. */
static char *write_singles(bool some_pairs) {
    char *content;
    size_t size;
    FILE *stream = open_memstream(&content, &size);
    for (uint64_t i = 0; i < OWN_LINES; i++)
        for (int k = 0; k < 2; k++)
            if ((some_pairs && i % 2 == 0) || k == (i % 5 != 0))
                fprintf(stream,
                        "{\"prompt\": \"He saw the %s %d.\", \"completion\": \"%s %s %d.\", "
                        "\"label\": %s}\n",
                        pick(i, 0), (int)i, k ? "Thou hast seen the" : "You have seen the",
                        pick(i, 1), (int)i, k ? "false" : "true");
    fclose(stream);
    const char *path = scratch_write("singles.jsonl", content);
    free(content);
    return rg_string_copy(path);
}

static void refuse_setting(const char *const *entries, const char *expected);

static int64_t lines_with(const RgTextData *data, bool chosen, bool rejected) {
    int64_t count = 0;
    for (int64_t i = 0; i < data->count; i++)
        count += (data->lines[i].chosen != NULL) == chosen &&
                 (data->lines[i].rejected != NULL) == rejected;
    return count;
}

Test(text, single_responses_are_data_without_a_counterpart) {
    write_world();
    char *lexicon = rg_string_copy(scratch_write("lexicon", "seen\t2\nhast\t-2\n"));
    char *path = write_singles(false);
#define LONELY(...)                                                                                \
    WITH("data", "", "train", path, "pairs", "dataset", "judge.type", "lexicon", "judge.file",     \
         lexicon, "independent_judge.type", "lexicon", "independent_judge.file", lexicon,          \
         "pair_count", "1000", __VA_ARGS__)
    World w = world_of(LONELY("unpaired", "all"));
    int64_t lines = w.state->train->count, good = lines_with(w.state->train, true, false);
    const RgSingles *singles = w.task->singles;
    cr_expect_gt(good, 0);
    cr_expect_eq(w.task->pairs->count, 0);
    cr_expect_eq(w.task->prompts->count, lines);
    cr_assert_eq(singles->sequences->count, lines);
    cr_expect_eq(rg_singles_desirable(singles), good);
    cr_expect_eq(w.task->demonstrations->count, good, "the desirable ones");
    for (int64_t i = 0; i < lines; i++) {
        const RgTextLine *line = &w.state->train->lines[i];
        char *text = rg_text_response(w.state->layout, singles->sequences, i);
        cr_expect_eq(singles->desirable[i], line->chosen != NULL);
        cr_expect_str_eq(text, line->chosen ? line->chosen : line->rejected);
        free(text);
    }
    RgEvaluation *e = evaluate(&w, w.reference, 1);
    cr_expect_eq(rg_evaluation_find(e, "unusable_lines"), 0);
    cr_expect(isnan(rg_evaluation_find(e, "reward_margin")), "there are no pairs");
    cr_expect(isnan(rg_evaluation_find(e, "judge_accuracy")), "there are no pairs");
    cr_expect_not(isnan(rg_evaluation_find(e, "win_rate_dataset")));
    rg_evaluation_destroy(e);
    e = rg_evaluation_create();
    RgContender share = {
        .policy = w.reference, .reference = w.reference, .beta = 0.1, .share = 0.5};
    ASSERT_OK(rg_environment_evaluate(w.environment, &share, rg_random_root(1), e, &error));
    cr_expect_gt(rg_evaluation_find(e, RG_WHOLE_SECONDS), 0, "a share without pairs");
    rg_evaluation_destroy(e);
    end_world(&w);

    /* a label may be flipped; a limit is of lines */
    w = world_of(LONELY("unpaired", "all", "label_noise", "1"));
    cr_expect_eq(rg_singles_desirable(w.task->singles), lines - good);
    end_world(&w);
    w = world_of(WITH("data", "", "train", path, "pairs", "dataset", "judge.type", "lexicon",
                      "judge.file", lexicon, "independent_judge.type", "lexicon",
                      "independent_judge.file", lexicon, "unpaired", "all", "pair_count", "7"));
    cr_expect_eq(w.task->singles->sequences->count, 7);
    cr_expect_eq(w.task->expected_singles, 7);
    cr_expect_eq(w.task->expected_pairs, RG_NO_PAIRS);
    end_world(&w);

    refuse_setting(LONELY("unpaired", "matched"), "expected \"all\" to read it alone");
    refuse_setting(LONELY("unpaired", "all", "pairs", "sampled"), "expected pairs = \"dataset\"");
    refuse_setting(WITH("data", "", "train", path, "pairs", "dataset", "unpaired", "all"),
                   "lines are single responses, and this judge needs pairs");
    free(path);
    free(lexicon);
}

/* Where there are pairs, they are pairs as well. */
Test(text, single_responses_stand_beside_pairs) {
    write_world();
    char *path = write_singles(true);
    const char *const *matched =
        WITH("data", "", "train", path, "pairs", "dataset", "pair_count", "1000");
    World w = world_of(matched);
    uint64_t hash = rg_sequences_hash(w.task->pairs->sequences);
    int64_t pairs = w.task->pairs->count;
    cr_expect_null(w.task->singles);
    cr_expect_gt(w.state->left_out[RG_TEXT_UNMATCHED], 0);
    end_world(&w);

    w = world_of(WITH("data", "", "train", path, "pairs", "dataset", "pair_count", "1000",
                      "unpaired", "all", "demonstrations", "whole"));
    int64_t lonely =
        lines_with(w.state->train, true, false) + lines_with(w.state->train, false, true);
    cr_expect_gt(lonely, 0);
    cr_expect_eq(w.task->pairs->count, pairs);
    cr_expect_eq(rg_sequences_hash(w.task->pairs->sequences), hash);
    cr_expect_eq(w.task->singles->sequences->count, 2 * pairs + lonely);
    cr_expect_eq(w.task->expected_singles, 2 * pairs + lonely);
    cr_expect_eq(w.task->expected_pairs, pairs);
    cr_expect_gt(w.state->judge_quality.accuracy, 0.9, "it has learned from the pairs");
    RgEvaluation *e = evaluate(&w, w.reference, 1);
    cr_expect_eq(rg_evaluation_find(e, "reward_margin"), 0);
    rg_evaluation_destroy(e);

    /* only what is over the limit is dropped: not its counterpart */
    int64_t longest = 0, over = 0;
    const RgSequences *s = w.task->singles->sequences;
    for (int64_t i = 0; i < s->count; i++)
        longest = rg_sequence_response_length(s, i) > longest ? rg_sequence_response_length(s, i)
                                                              : longest;
    for (int64_t i = 0; i < s->count; i++)
        over += rg_sequence_response_length(s, i) == longest;
    int64_t all = s->count;
    end_world(&w);
    char limit[24];
    snprintf(limit, sizeof limit, "%ld", (long)longest - 1);
    w = world_of(WITH("data", "", "train", path, "pairs", "dataset", "pair_count", "1000",
                      "unpaired", "all", "response_limit", limit));
    cr_expect_eq(w.task->singles->sequences->count, all - over);
    e = evaluate(&w, w.reference, 1);
    cr_expect_eq(rg_evaluation_find(e, "dropped_singles"), (double)over);
    rg_evaluation_destroy(e);
    end_world(&w);
    free(path);
}

static void refuse_setting(const char *const *entries, const char *expected) {
    RgEnvironment *environment = NULL;
    cr_expect_neq(try_text(entries, &environment), RG_OK);
    cr_expect(strstr(error.text, expected), "%s\nlacks: %s", error.text, expected);
}

/* A template may refuse some conversations; a run goes on with the rest. */
Test(text, lines_that_the_template_refuses_are_counted) {
    static const char source[] =
        "{% if 'king' in messages[0].content %}{{ raise_exception('No kings') }}{% endif %}"
        "{{ messages[0].content + '\n' }}{% if messages | length > 1 %}{{ messages[1].content }}"
        "{% endif %}";
    write_world();
    char *path = rg_string_copy(write_own("own.jsonl"));
    char *file = rg_string_copy(scratch_write("chat_template.jinja", source));
    World w = world_of(WITH("data", "", "train", path));
    int64_t all = w.state->train->count, kings = 0;
    for (int64_t i = 0; i < all; i++)
        kings += strstr(w.state->train->lines[i].turns[0].text, "king") != NULL;
    end_world(&w);
    w = world_of(WITH("data", "", "train", path, "chat_template_file", file));
    cr_expect_gt(kings, 0);
    cr_expect_eq(w.state->train->count, all - kings);
    cr_expect_geq(w.state->left_out[RG_TEXT_REFUSED], kings);
    end_world(&w);
    scratch_write("chat_template.jinja", "{% if messages[0].content != 'a' %}"
                                         "{{ raise_exception('No') }}{% endif %}"
                                         "{% for m in messages %}{{ m.content }}{% endfor %}");
    refuse_setting(WITH("data", "", "train", path, "chat_template_file", file),
                   "that the chat template refuses (first: line 1: ");
    const char *two =
        scratch_write("two.jsonl", "{\"prompt\": \"a\", \"chosen\": \"c\", \"rejected\": \"d\"}\n"
                                   "{\"prompt\": \"b\", \"chosen\": \"c\", \"rejected\": \"d\"}\n");
    refuse_setting(WITH("data", "", "train", two, "chat_template_file", file, "unusable", "stop"),
                   "two.jsonl:2: ");
    two = scratch_write("two.jsonl",
                        "{\"prompt\": \"a\", \"chosen\": \"x|c\", \"rejected\": \"y|c\"}\n"
                        "{\"prompt\": \"b\", \"chosen\": \"x|\", \"rejected\": \"y|d\"}\n");
    scratch_write(
        "chat_template.jinja",
        "{{ messages[0].content + '\n' }}"
        "{% if messages | length > 1 %}{{ messages[1].content.split('|')[-1] }}{% endif %}");
    refuse_setting(WITH("data", "", "train", two, "chat_template_file", file),
                   "1 with a blank response (line 2: the chat template writes a blank response), "
                   "1 with the same response twice (line 1: ");
    refuse_setting(WITH("chat_template", "qwen", "chat_template_file", file),
                   "takes the place of chat_template, which is \"qwen\"");
    free(file);
    free(path);
}

static double reward_of(RgJudge *judge, const char *prompt, const char *response) {
    double reward;
    RgJudgeItems items = {1, &prompt, &response, NULL, NULL};
    ASSERT_OK(rg_judge_rewards(judge, &items, &reward, &error));
    return reward;
}

/* One judge for training, another for evaluation. */
Test(text, judges_can_be_chosen) {
    write_world();
    World w = world_of(WITH("independent_judge.type", "lexicon", "independent_judge.file",
                            scratch_write("lexicon", "seen\t2\nthy\t-2\n")));
    const RgTextLine *line = &w.state->train->lines[0];
    double own = reward_of(w.state->judge, "", line->chosen);
    double other = reward_of(w.state->independent, "", line->chosen);
    cr_expect_float_eq(other, 3 * (1 + 2 / sqrt(4 + 15)), 1e-9, "\"seen\" is in every chosen line");
    cr_expect_neq(own, other);
    cr_expect_eq(w.state->independent_quality.accuracy, 1);
    RgPolicy *policy = policy_for(w.environment->space.vocabulary, "128", 6);
    RgEvaluation *e = evaluate(&w, policy, 1);
    cr_expect_gt(rg_evaluation_find(e, "kl"), 0);
    cr_expect_float_eq(rg_evaluation_find(e, "objective"),
                       rg_evaluation_find(e, "reward") - 0.1 * rg_evaluation_find(e, "kl"), 1e-12);
    rg_evaluation_destroy(e);
    rg_policy_destroy(policy);
    end_world(&w);
}

/* The reward model reads what the policy reads: the tokens of the environment. */
Test(text, a_reward_model_judges_like_any_other) {
    write_world();
    World w = world_of(WITH("judge.type", "reward-model", "judge.layers", "1", "judge.width", "32",
                            "judge.epochs", "12", "judge.learning_rate", "0.003"));
    const RgJudgeQuality *q = &w.state->judge_quality;
    cr_expect_gt(q->accuracy, 0.9, "the styles are easy to tell: %g", q->accuracy);
    cr_expect(q->low < q->accuracy && q->low > 0.5);
    double reward[2 * TEST_LINES], right = 0;
    ASSERT_OK(w.task->judge(w.task->environment, w.state->test_pairs, reward, &error));
    for (int i = 0; i < TEST_LINES; i++)
        right += reward[2 * i] > reward[2 * i + 1] ? 1.0 / TEST_LINES : 0;
    cr_expect_float_eq(right, q->accuracy, 1e-9);
    end_world(&w);
}

Test(text, judges_that_learn_nothing_need_no_share) {
    write_world();
    char *path = rg_string_copy(write_own("own.jsonl"));
    char *lexicon = rg_string_copy(scratch_write("lexicon", "good\t2\nbad\t-2\n"));
    World w =
        world_of(WITH("data", "", "train", path, "test_share", "0.2", "judge_share", "0",
                      "judge.type", "lexicon", "judge.file", lexicon, "independent_judge.type",
                      "lexicon", "independent_judge.file", lexicon, "pairs", "dataset"));
    cr_expect_eq(w.state->train->count + w.state->test_prompts->count, OWN_LINES - 1);
    end_world(&w);
    refuse_setting(WITH("data", "", "train", path, "judge_share", "0", "judge.type", "lexicon",
                        "judge.file", lexicon),
                   "for the independent judge, expected more: it learns from them");
    free(lexicon);
    free(path);
}

/* Lines of all parts but the one that is evaluated on, both responses, to be learnt whole. */
Test(text, whole_lines_can_be_demonstrations) {
    write_world();
    char *path = rg_string_copy(write_own("own.jsonl"));
    World w = world_of(WITH("data", "", "train", path, "test_share", "0.2", "demonstrations",
                            "whole", "pair_count", "0"));
    const RgSequences *d = w.task->demonstrations;
    int64_t lines = OWN_LINES - 1 - w.state->test_prompts->count; /* but the empty one */
    cr_expect_eq(d->count, 2 * lines);
    cr_expect_eq(d->prompt_length[0], 1);
    uint64_t hash[2 * OWN_LINES], test[OWN_LINES];
    int64_t count = 0, tests = 0;
    add_hashes(w.state->test_prompts, 1, test, &tests);
    for (int64_t i = 0; i < d->count; i += 2) { /* what stands before the response */
        RgSequences *prompt = rg_sequences_create();
        int64_t same = 1;
        while (rg_sequence_prompt(d, i)[same] == rg_sequence_prompt(d, i + 1)[same])
            same++;
        rg_sequences_append(prompt, rg_sequence_prompt(d, i), same, NULL, 0);
        add_hashes(prompt, 1, hash, &count);
        rg_sequences_destroy(prompt);
    }
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < tests; k++)
            cr_assert_neq(hash[i], test[k], "a prompt that is evaluated on is learnt");
    end_world(&w);
    free(path);
}

Test(text, files_that_do_not_go_together_are_refused) {
    write_world();
    char *path = rg_string_copy(write_own("own.jsonl"));
    refuse_setting(WITH("data", ""), "expected either data, a folder, or train, a file");
    refuse_setting(WITH("train", path), "expected either data, a folder, or train, a file");
    refuse_setting(WITH("test", path), "the folder of data has its own test.jsonl");
    refuse_setting(WITH("data", "", "train", path, "demonstrations", "corpus"),
                   "expected \"chosen\" with train");
    refuse_setting(WITH("data", "", "train", path, "test_share", "0"),
                   "environment.test_share = 0 leaves no line of ");
    char *left =
        rg_string_format("environment.judge_share = 0 leaves no line of %s for the judge", path);
    refuse_setting(WITH("data", "", "train", path, "test", path, "judge_share", "0"), left);
    cr_expect_null(strstr(error.text, "test_share"), "which a file for the test makes void: %s",
                   error.text);
    free(left);
    refuse_setting(WITH("data", "", "train", path, "prompt_limit", "3"),
                   "environment.prompt_limit = 3: every prompt of ");
    refuse_setting(WITH("judge", "lexicon"), "judge.file is missing");
    refuse_setting(WITH("chat_template", "chatml"), "needs the token <|im_start|>");
    free(path);
}

/* ---- sequences ---- */

Test(text, sequences_carry_their_texts) {
    write_world();
    RgTokenizer *tokenizer = NULL;
    ASSERT_OK(rg_tokenizer_load(scratch("tokenizer.json"), 0, &tokenizer, &error));
    RgSequences *s = rg_sequences_create();
    RgTextLayout *layout;
    ASSERT_OK(rg_text_layout_create(tokenizer, 0, "", 0, RG_TRUNCATE_DROP, &layout, &error));
    RgTurn river = {RG_USER, (char[]){"He saw the river.\n"}}, nothing = {RG_USER, (char[]){""}};
    rg_text_append(s, layout, &river, 1, "Thou hast <|end|> “seen”.");
    rg_text_append(s, layout, &nothing, 1, NULL);
    rg_text_append_whole(s, layout, &river, 1, "Thou hast <|end|> “seen”.");

    cr_assert_eq(rg_sequence_prompt(s, 0)[0], rg_tokenizer_begin(tokenizer));
    int64_t last = rg_sequence_response_length(s, 0) - 1;
    for (int64_t i = 0; i <= last; i++)
        cr_assert_eq(rg_sequence_response(s, 0)[i] == rg_tokenizer_end(tokenizer), i == last);
    char *prompt = rg_text_prompt(layout, s, 0), *response = rg_text_response(layout, s, 0);
    cr_assert_str_eq(prompt, "He saw the river.\n", "one newline is the layout's, one the text's");
    cr_assert_str_eq(response, "Thou hast <|end|> “seen”.");
    free(prompt);
    free(response);

    cr_assert_eq(rg_sequence_response_length(s, 1), 0);
    cr_assert_eq(s->prompt_length[2], 1);
    cr_assert_eq(rg_sequence_length(s, 0), rg_sequence_length(s, 2));
    cr_assert_arr_eq(rg_sequence_prompt(s, 0), rg_sequence_prompt(s, 2),
                     (size_t)rg_sequence_length(s, 0) * sizeof(int32_t));
    rg_sequences_destroy(s);
    rg_text_layout_destroy(layout);
    rg_tokenizer_destroy(tokenizer);
}

/* ---- judges ---- */

Test(text, task_judges_the_texts_that_the_tokens_spell) {
    write_world();
    World w = world_of(NULL);
    double reward[2 * TEST_LINES];
    ASSERT_OK(w.task->judge(w.task->environment, w.state->test_pairs, reward, &error));
    RgTextData *data = NULL;
    ASSERT_OK(rg_text_data_read(scratch("data/test.jsonl"), &(RgTextReading){0}, &data, &error));
    double right = 0;
    for (int i = 0; i < TEST_LINES; i++) {
        const RgTextLine *line = &data->lines[i];
        cr_assert_eq(reward[2 * i],
                     reward_of(w.state->judge, rg_text_line_prompt(line), line->chosen));
        cr_assert_eq(reward[2 * i + 1],
                     reward_of(w.state->judge, rg_text_line_prompt(line), line->rejected));
        double gap = reward[2 * i] - reward[2 * i + 1];
        right += gap > 0 ? 1 : gap < 0 ? 0 : 0.5;
    }
    cr_assert_geq(right / TEST_LINES, 0.9, "the styles are easy to tell");
    cr_assert_float_eq(w.state->judge_quality.accuracy, right / TEST_LINES, 1e-9);
    cr_assert_geq(w.state->independent_quality.accuracy, 0.9);
    rg_text_data_destroy(data);
    end_world(&w);
}

/* ---- offline data ---- */

Test(text, sampled_pairs_walk_the_prompts_and_are_preferred_as_the_judge_says) {
    write_world();
    World w = world_of(WITH("pair_count", "400", "label_temperature", "2.0", "label_noise", "0.1"));
    const RgPairs *pairs = w.task->pairs;
    cr_assert_eq(pairs->count, 400);
    double *reward = rg_allocate(800, sizeof *reward);
    w.task->judge(w.task->environment, pairs->sequences, reward, NULL);
    double first = 0, expected = 0, variance = 0;
    for (int64_t i = 0; i < 400; i++) {
        for (int64_t side = 2 * i; side <= 2 * i + 1; side++) {
            cr_assert_leq(rg_sequence_response_length(pairs->sequences, side), 40);
            cr_assert_arr_eq(rg_sequence_prompt(pairs->sequences, side),
                             rg_sequence_prompt(w.task->prompts, i % TRAIN_LINES),
                             (size_t)w.task->prompts->prompt_length[i % TRAIN_LINES] *
                                 sizeof(int32_t));
        }
        double p = 1 / (1 + exp(-(reward[2 * i] - reward[2 * i + 1]) / 2));
        p = p * 0.9 + (1 - p) * 0.1;
        expected += p;
        variance += p * (1 - p);
        first += pairs->preferred[i] == 0;
    }
    cr_assert_float_eq(first, expected, 4 * sqrt(variance));
    cr_assert_eq(w.task->demonstrations->count, 400);
    free(reward);
    end_world(&w);
}

/* Of a policy that knows nothing yet: any token comes up in some of so many samples. */
Test(text, stop_tokens_end_what_is_sampled) {
    write_world();
    World w = world_of(WITH("stop.0", "e", "stop.1", "7", "response_limit", "40"));
    cr_assert_eq(w.task->stop.count, 2);
    int32_t letter = w.task->stop.id[0];
    cr_assert_eq(w.task->stop.id[1], 7);
    const RgSequences *s = w.task->pairs->sequences;
    int ended[3] = {0};
    for (int64_t i = 0; i < s->count; i++) {
        int64_t length = rg_sequence_response_length(s, i);
        const int32_t *response = rg_sequence_response(s, i);
        for (int64_t j = 0; j < length; j++) {
            int which = response[j] == letter              ? 1
                        : response[j] == 7                 ? 2
                        : response[j] == w.task->end_token ? 3
                                                           : 0;
            cr_assert(which == 0 || j == length - 1);
            if (which > 0)
                ended[which - 1]++;
        }
    }
    cr_assert(ended[0] > 0 && ended[1] > 0 && ended[2] > 0);
    end_world(&w);
}

Test(text, stop_tokens_that_are_none_are_refused_by_name) {
    static const struct {
        const char *value, *expected;
    } cases[] = {
        {"xyz", "environment.stop.0: \"xyz\" is 3 tokens, expected one"},
        {"320", "environment.stop.0: 320 is no id of the tokenizer, which has 0 to 319"},
        {"-1", "environment.stop.0: -1 is no id of the tokenizer, which has 0 to 319"},
    };
    write_world();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RgEnvironment *environment;
        cr_assert_eq(try_text(WITH("stop.0", cases[i].value), &environment), RG_E_USAGE);
        cr_assert(strstr(error.text, cases[i].expected), "%s", error.text);
    }
}

Test(text, without_temperature_the_larger_reward_is_preferred) {
    write_world();
    World w = world_of(WITH("label_temperature", "0"));
    const RgPairs *pairs = w.task->pairs;
    double reward[200];
    w.task->judge(w.task->environment, pairs->sequences, reward, NULL);
    int64_t separated = 0;
    for (int64_t i = 0; i < pairs->count; i++) {
        int64_t chosen = 2 * i + pairs->preferred[i], rejected = 2 * i + 1 - pairs->preferred[i];
        cr_assert_geq(reward[chosen], reward[rejected]);
        separated += reward[chosen] > reward[rejected];
        int64_t length = rg_sequence_response_length(pairs->sequences, chosen);
        cr_assert_eq(rg_sequence_response_length(w.task->demonstrations, i), length);
        cr_assert_arr_eq(rg_sequence_response(w.task->demonstrations, i),
                         rg_sequence_response(pairs->sequences, chosen),
                         (size_t)length * sizeof(int32_t));
    }
    cr_assert_gt(separated, 0);
    end_world(&w);
}

Test(text, verses_are_preferred_as_written_but_for_noise) {
    write_world();
    World w = world_of(WITH("pairs", "dataset", "pair_count", "1000"));
    cr_assert_eq(w.task->pairs->count, TRAIN_LINES, "one pair a line at most");
    for (int64_t i = 0; i < TRAIN_LINES; i++)
        cr_assert_eq(w.task->pairs->preferred[i], 0);
    char *chosen = rg_text_response(w.state->layout, w.task->pairs->sequences, 2);
    cr_assert_str_eq(chosen, w.state->train->lines[1].chosen);
    free(chosen);
    end_world(&w);

    w = world_of(WITH("pairs", "dataset", "label_noise", "0.25"));
    double flipped = 0;
    for (int64_t i = 0; i < TRAIN_LINES; i++)
        flipped += w.task->pairs->preferred[i];
    cr_assert_float_eq(flipped, TRAIN_LINES * 0.25, 4 * sqrt(TRAIN_LINES * 0.25 * 0.75));
    cr_assert_gt(flipped, 0);
    end_world(&w);
}

Test(text, verses_over_the_limit_are_dropped_and_counted) {
    write_world();
    World w = world_of(WITH("pairs", "dataset"));
    int64_t longest[TRAIN_LINES], limit = 0, over = 0;
    for (int64_t i = 0; i < TRAIN_LINES; i++) {
        const RgSequences *s = w.task->pairs->sequences;
        int64_t a = rg_sequence_response_length(s, 2 * i);
        int64_t b = rg_sequence_response_length(s, 2 * i + 1);
        longest[i] = a > b ? a : b;
        limit = longest[i] > limit ? longest[i] : limit;
    }
    limit--;
    for (int64_t i = 0; i < TRAIN_LINES; i++)
        over += longest[i] > limit;
    end_world(&w);
    cr_assert(over > 0 && over < TRAIN_LINES, "%ld", (long)over);

    char text[24];
    snprintf(text, sizeof text, "%ld", (long)limit);
    w = world_of(WITH("pairs", "dataset", "response_limit", text));
    cr_assert_eq(w.task->pairs->count, TRAIN_LINES - over);
    RgEvaluation *evaluation = evaluate(&w, w.reference, 1);
    cr_assert_eq(rg_evaluation_find(evaluation, "dropped_pairs"), (double)over);
    rg_evaluation_destroy(evaluation);
    end_world(&w);

    /* where no line of one file is short enough */
    RgEnvironment *environment = NULL;
    cr_assert_eq(try_text(WITH("pairs", "dataset", "response_limit", "3"), &environment),
                 RG_E_USAGE);
    cr_assert(strstr(error.text, "test.jsonl has a response of more"), "%s", error.text);
    scratch_write("data/test.jsonl", "{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"b\"}");
    ASSERT_OK(try_text(WITH("pairs", "dataset", "response_limit", "3"), &environment));
    RgPolicy *policy = policy_for(environment->space.vocabulary, "128", 5);
    cr_assert_eq(rg_environment_prepare(environment, policy, rg_random_root(2), &error),
                 RG_E_USAGE);
    cr_assert(strstr(error.text, "train.jsonl has a response of more"), "%s", error.text);
    rg_policy_destroy(policy);
    rg_environment_destroy(environment);
}

Test(text, corpus_shows_both_styles_whole) {
    write_world();
    World w = world_of(WITH("demonstrations", "corpus", "pair_count", "0"));
    const RgSequences *d = w.task->demonstrations;
    cr_assert_eq(w.task->pairs->count, 0);
    cr_assert_eq(d->count, 2 * TRAIN_LINES);
    for (int64_t i = 0; i < d->count; i++)
        cr_assert_eq(d->prompt_length[i], 1);
    char *text = rg_text_response(w.state->layout, d, 1);
    cr_assert_eq(strncmp(text, "He saw the ", 11), 0, "%s", text);
    cr_assert(strstr(text, ".\nThou hast seen"), "%s", text);
    free(text);
    end_world(&w);
}

static void refuse_policy(RgEnvironment *environment, RgPolicy *policy, RgStatus status,
                          const char *expected) {
    cr_assert_eq(rg_environment_prepare(environment, policy, rg_random_root(2), &error), status);
    cr_assert(strstr(error.text, expected), "%s\nlacks: %s", error.text, expected);
    rg_policy_destroy(policy);
}

Test(text, policies_that_do_not_fit_are_refused) {
    write_world();
    RgEnvironment *environment = NULL;
    ASSERT_OK(try_text(NULL, &environment));
    int64_t tokens = environment->space.vocabulary;
    refuse_policy(environment, policy_for(tokens - 1, "128", 1), RG_E_USAGE, "tokenizer");
    refuse_policy(environment, policy_for(tokens, "41", 1), RG_E_CONTEXT, "response_limit = 40");

    RgSettings *settings = rg_settings_create();
    RgPolicySpace space = {.contexts = 2, .responses = 3};
    RgPolicy *tabular = NULL;
    ASSERT_OK(
        rg_policy_create("tabular", settings, "p", &space, rg_random_root(1), &tabular, &error));
    refuse_policy(environment, tabular, RG_E_USAGE, "transformer");
    rg_settings_destroy(settings);
    rg_environment_destroy(environment);
}

/* A share of the test data is its first elements, evaluated as with the others. Seconds and share
 * belong together: a share of 1 would take the seconds of all. Then all is as before. */
Test(text, a_share_of_the_test_data_is_its_first_elements) {
    write_world();
    World w = world_of(WITH("pair_count", "20"));
    RgPolicy *policy = policy_for(w.environment->space.vocabulary, "128", 6);
    RgEvaluation *all = evaluate(&w, policy, 1), *part = rg_evaluation_create();
    int64_t prompts = w.state->test_prompts->count;
    RgContender contender = {.policy = policy, .reference = w.reference, .beta = 0.1, .share = 0.6};
    double start = rg_clock_seconds();
    ASSERT_OK(rg_environment_evaluate(w.environment, &contender, rg_random_root(1), part, &error));
    double elapsed = rg_clock_seconds() - start;
    int64_t items = rg_evaluation_items(part);
    cr_assert(items == (int64_t)round(0.6 * (double)prompts) && items >= 16, "%ld of %ld",
              (long)items, (long)prompts);
    cr_assert(prompts == rg_evaluation_items(all) && prompts == w.state->test_prompts->count);
    for (int64_t i = 0; i < items; i++)
        cr_assert_eq(column(part, "reward")[i], column(all, "reward")[i]);
    double used = rg_evaluation_find(part, RG_EVALUATED_SHARE);
    double whole = rg_evaluation_find(part, RG_WHOLE_SECONDS);
    cr_assert(used > 0.4 && used < 0.8 && used * whole <= elapsed, "%g of %g s", used, whole);
    cr_assert(isnan(rg_evaluation_find(all, RG_EVALUATED_SHARE)));
    RgEvaluation *again = evaluate(&w, policy, 1);
    assert_same(all, again);
    rg_evaluation_destroy(again);
    rg_evaluation_destroy(part);
    rg_evaluation_destroy(all);
    rg_policy_destroy(policy);
    end_world(&w);
}

/* As published weights often are: their rows come in a round number. Most of what a policy that
 * knows nothing would draw here is padding. */
/* Gives a policy's rows of logits from `tokens` on a logit above all others before any token: they are
 * large, and one is along and one against each direction of the features. */
static void let_padding_dominate(RgPolicy *policy, int64_t tokens, int64_t rows) {
    enum { WIDTH = 16 };
    const RgParameters *p = policy->parameters;
    RgReal *head = p->value + p->views[rg_parameters_find(p, "model.embed_tokens.weight")].offset;
    cr_assert_geq(rows - tokens, 2 * WIDTH);
    for (int64_t v = tokens; v < rows; v++)
        for (int64_t c = 0; c < WIDTH; c++)
            head[v * WIDTH + c] = (v - tokens) / 2 % WIDTH != c ? 0 : v % 2 ? 1000 : -1000;
}

static RgEvaluation *evaluate_padded(RgEnvironment *environment, RgPolicy *policy) {
    RgEvaluation *e = rg_evaluation_create();
    ASSERT_OK(rg_environment_evaluate(
        environment, &(RgContender){.policy = policy, .reference = policy, .beta = 0.1},
        rg_random_root(4), e, &error));
    return e;
}

Test(text, a_vocabulary_may_be_padded_beyond_the_tokenizer) {
    static const char *const ways[][2] = {{"temperature", "1"},
                                          {"temperature", "0"},
                                          {"top_k", "5"},
                                          {"top_p", "0.9"},
                                          {"min_p", "0.1"}};
    write_world();
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        RgEnvironment *environment = NULL;
        ASSERT_OK(try_text(WITH("pair_count", "20", ways[k][0], ways[k][1]), &environment));
        int64_t tokens = environment->space.vocabulary;
        RgPolicy *policy = policy_for(4 * tokens, "128", 1);
        let_padding_dominate(policy, tokens, 4 * tokens);
        ASSERT_OK(rg_environment_prepare(environment, policy, rg_random_root(3), &error));
        RgEvaluation *e = evaluate_padded(environment, policy);
        size_t bytes = 0; /* padding has no text */
        for (int64_t i = 0; i < rg_evaluation_response_count(e); i++) {
            int64_t item;
            const char *prompt, *response;
            rg_evaluation_response_at(e, i, &item, &prompt, &response);
            bytes += strlen(response);
        }
        cr_expect_gt(bytes, 0, "%s = %s: padding was sampled", ways[k][0], ways[k][1]);
        cr_assert_eq(environment->task.tokens, tokens, "methods sample none");
        rg_evaluation_destroy(e);
        const RgSequences *pairs = environment->task.pairs->sequences;
        cr_assert_eq(pairs->count, 40);
        for (int64_t i = 0; i < pairs->start[pairs->count]; i++)
            cr_assert_lt(pairs->tokens[i], tokens);
        rg_policy_destroy(policy);
        rg_environment_destroy(environment);
    }
}

/* ---- evaluation ---- */

Test(text, every_reason_for_an_unusable_line_is_a_metric_with_a_meaning) {
    for (int k = 0; rg_text_reasons[k]; k++) {
        char *name = rg_string_format("unusable_%s", rg_text_reasons[k]);
        const RgMeasure *known;
        for (size_t i = 0; (known = rg_measure_known(i)) && strcmp(known->name, name) != 0;)
            i++;
        cr_expect(known, "%s is none of the known metrics", name);
        free(name);
    }
}

Test(text, evaluation_is_complete_and_its_means_are_those_of_its_columns) {
    write_world();
    World w = world_of(WITH("test_prompts", "50", "response_samples", "7"));
    RgPolicy *policy = policy_for(w.environment->space.vocabulary, "128", 6);
    RgEvaluation *e = evaluate(&w, policy, 1);
    static const char *const columns[] = {"reward",           "independent_reward",
                                          "win_rate_base",    "independent_win_rate_base",
                                          "win_rate_dataset", "kl",
                                          "length",           "words",
                                          "judge_agreement"};
    static const char *const metrics[] = {"reward_margin",
                                          "reward_accuracy",
                                          "logps_chosen",
                                          "logps_rejected",
                                          "nll",
                                          "nll_chosen",
                                          "judge_accuracy",
                                          "dropped_pairs",
                                          "independent_judge_accuracy",
                                          "judge_accuracy_low",
                                          "independent_judge_accuracy_high",
                                          "judge_calibration_error",
                                          "judge_temperature"};
    for (const char *const *name = w.environment->type->metrics; *name; name++)
        cr_assert_not(isnan(rg_evaluation_find(e, *name)), "%s", *name);
    cr_assert_eq(rg_evaluation_items(e), 50);
    cr_assert_eq(rg_evaluation_column_count(e), 9);
    for (int c = 0; c < 9; c++) {
        double mean = 0;
        for (int i = 0; i < 50; i++)
            mean += column(e, columns[c])[i] / 50;
        cr_assert_float_eq(rg_evaluation_find(e, columns[c]), mean, 1e-6 * (1 + fabs(mean)), "%s",
                           columns[c]);
    }
    for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++)
        cr_assert(isfinite(rg_evaluation_find(e, metrics[m])), "%s", metrics[m]);
    cr_assert(isfinite(rg_evaluation_find(e, rg_environment_text.primary_metric)));

    cr_assert_eq(rg_evaluation_response_count(e), 7);
    for (int64_t i = 0; i < 7; i++) {
        int64_t item;
        const char *prompt, *response;
        rg_evaluation_response_at(e, i, &item, &prompt, &response);
        cr_assert_eq(item, i);
        cr_assert_eq(strncmp(prompt, "He saw the ", 11), 0);
        cr_assert_eq(reward_of(w.state->judge, prompt, response), column(e, "reward")[i]);
        cr_assert_eq(reward_of(w.state->independent, prompt, response),
                     column(e, "independent_reward")[i]);
    }
    rg_evaluation_destroy(e);
    rg_policy_destroy(policy);
    end_world(&w);
}

/* Weights are small at the start, and so is the difference; it is not nothing. */
Test(text, what_is_sampled_in_bf16_is_held_against_fp32) {
    write_world();
    World w = world_of(WITH("test_prompts", "50"));
    RgPolicy *policy = policy_for(w.environment->space.vocabulary, "128", 6);
    RgEvaluation *e = evaluate(&w, policy, 1);
    cr_assert(isnan(rg_evaluation_find(e, "sampler_kl")));
    rg_evaluation_destroy(e);
    cr_assert_eq(rg_policy_set_sampling(policy, RG_PRECISION_BF16, NULL), RG_OK);
    e = evaluate(&w, policy, 1);
    double kl = rg_evaluation_find(e, "sampler_kl"),
           difference = rg_evaluation_find(e, "sampler_difference");
    cr_assert(difference > 0 && difference < 1, "%g", difference);
    cr_assert(fabs(kl) <= difference, "%g, %g", kl, difference);
    rg_evaluation_destroy(e);
    rg_policy_destroy(policy);
    end_world(&w);
}

Test(text, written_pairs_are_scored_by_log_probability) {
    write_world();
    World w = world_of(WITH("test_prompts", "5"));
    RgPolicy *policy = policy_for(w.environment->space.vocabulary, "128", 6);
    RgEvaluation *e = evaluate(&w, policy, 1);
    const RgSequences *pairs = w.state->test_pairs;
    cr_assert_eq(pairs->count, 2 * TEST_LINES);
    double own[2 * TEST_LINES], base[2 * TEST_LINES];
    rg_policy_logprob_values(policy, pairs, own);
    rg_policy_logprob_values(w.reference, pairs, base);
    double margin = 0, nll = 0, tokens = 0, nll_chosen = 0, chosen_tokens = 0;
    for (int i = 0; i < TEST_LINES; i++)
        margin += 0.1 * (own[2 * i] - base[2 * i] - own[2 * i + 1] + base[2 * i + 1]) / TEST_LINES;
    for (int i = 0; i < 2 * TEST_LINES; i++) {
        nll -= own[i];
        tokens += (double)rg_sequence_response_length(pairs, i);
        nll_chosen -= i % 2 == 0 ? own[i] : 0;
        chosen_tokens += i % 2 == 0 ? (double)rg_sequence_response_length(pairs, i) : 0;
    }
    cr_assert_float_eq(rg_evaluation_find(e, "reward_margin"), margin, 1e-4);
    cr_assert_float_eq(rg_evaluation_find(e, "nll"), nll / tokens, 1e-4);
    cr_assert_float_eq(rg_evaluation_find(e, "nll_chosen"), nll_chosen / chosen_tokens, 1e-4);
    cr_assert_float_eq(nll / tokens, log((double)w.environment->space.vocabulary), 0.5,
                       "an untrained policy is near uniform");
    rg_evaluation_destroy(e);
    rg_policy_destroy(policy);
    end_world(&w);
}

Test(text, reference_against_itself_wins_half) {
    write_world();
    World w = world_of(NULL);
    RgEvaluation *e = evaluate(&w, w.reference, 1);
    double tolerance = 4 * 0.5 / sqrt(TEST_LINES);
    cr_assert_float_eq(rg_evaluation_find(e, "win_rate_base"), 0.5, tolerance);
    cr_assert_float_eq(rg_evaluation_find(e, "independent_win_rate_base"), 0.5, tolerance);
    cr_assert_float_eq(rg_evaluation_find(e, "kl"), 0, 1e-6);
    cr_assert_eq(rg_evaluation_find(e, "reward_margin"), 0);
    cr_assert_eq(rg_evaluation_find(e, "reward_accuracy"), 0.5);
    rg_evaluation_destroy(e);
    end_world(&w);
}

Test(text, same_seeds_give_the_same_data_and_figures) {
    write_world();
    World a = world_of(NULL), b = world_of(NULL);
    cr_assert_eq(rg_sequences_hash(a.task->pairs->sequences),
                 rg_sequences_hash(b.task->pairs->sequences));
    cr_assert_arr_eq(a.task->pairs->preferred, b.task->pairs->preferred, 100);
    RgEvaluation *of_a = evaluate(&a, a.reference, 1), *of_b = evaluate(&b, b.reference, 1);
    assert_same(of_a, of_b);
    rg_evaluation_destroy(of_a);
    rg_evaluation_destroy(of_b);
    end_world(&a);
    end_world(&b);
}

/* What is kept of the reference must never be stale: a used world and a fresh one agree. */
Test(text, width_counts_characters_and_cutting_keeps_them_whole) {
    const char *text = "≥ 1 µs";
    cr_assert_eq(rg_utf8_width(text), 6);
    cr_assert_eq(rg_utf8_width_of(text, strlen("≥ ")), 2);
    cr_assert_eq(rg_utf8_cut(text, 0), 0);
    cr_assert_eq(rg_utf8_cut(text, 5), strlen("≥ 1 µ"));
    cr_assert_eq(rg_utf8_cut(text, 50), strlen(text));
}

Test(text, kept_reference_figures_follow_stream_and_reference) {
    write_world();
    World used = world_of(NULL), fresh = world_of(NULL);
    rg_evaluation_destroy(evaluate(&used, used.reference, 1));
    RgEvaluation *again = evaluate(&used, used.reference, 2);
    RgEvaluation *first = evaluate(&fresh, fresh.reference, 2);
    assert_same(again, first);
    rg_evaluation_destroy(first);

    RgPolicy *other = policy_for(used.environment->space.vocabulary, "128", 7);
    rg_policy_destroy(used.reference);
    used.reference = other;
    RgEvaluation *changed = evaluate(&used, other, 2);
    cr_assert_eq(rg_evaluation_find(changed, "reward_margin"), 0);
    cr_assert_float_eq(rg_evaluation_find(changed, "kl"), 0, 1e-6);
    cr_assert_neq(rg_evaluation_find(changed, "nll"), rg_evaluation_find(again, "nll"));
    rg_evaluation_destroy(again);
    rg_evaluation_destroy(changed);
    end_world(&used);
    end_world(&fresh);
}

/* ---- judges that only compare ---- */

/* A judge that prefers the shorter response, of equally long ones the one that sorts first; where
 * `open` (an expression in Python) holds, it says neither. */
#define SHORTER(open)                                                                              \
    "exec python3 -c 'import json, sys\n"                                                          \
    "for line in sys.stdin:\n"                                                                     \
    " q = json.loads(line)\n"                                                                      \
    " a, b = ((len(q[k].encode()), q[k].encode()) for k in \"ab\")\n"                              \
    " said = \"neither\" if " open " else \"A\" if a <= b else \"B\"\n"                            \
    " print(json.dumps(dict(id=q[\"id\"], answer=said)), flush=True)'"

/* As the judge gets it. */
static char *response_of(const World *w, const RgSequences *sequences, int64_t i) {
    char *text = rg_text_response(w->state->layout, sequences, i);
    RgBuffer valid = {0};
    rg_utf8_repair(text, strlen(text), &valid);
    rg_buffer_append(&valid, "", 1);
    free(text);
    return valid.bytes;
}

static bool is_shorter(const char *a, const char *b) {
    return strlen(a) != strlen(b) ? strlen(a) < strlen(b) : strcmp(a, b) < 0;
}

static double count_of(RgEnvironment *environment, const char *name) {
    RgEnvironmentCount counts[RG_ENVIRONMENT_COUNTS];
    int count = rg_environment_take_counts(environment, counts);
    for (int i = 0; i < count; i++)
        if (strcmp(counts[i].name, name) == 0)
            return counts[i].value;
    return NAN;
}

Test(text, a_judge_that_only_compares_labels_pairs_and_decides_win_rates) {
    write_world();
    World w = world_of(WITH("judge.type", "command", "judge.command", SHORTER("False"),
                            "pair_count", "30", "test_prompts", "20"));
    cr_assert_null(w.task->judge);
    cr_assert_not(w.task->skips);
    cr_assert_eq(w.task->pairs->count, 30);
    for (int64_t i = 0; i < 30; i++) {
        char *a = response_of(&w, w.task->pairs->sequences, 2 * i);
        char *b = response_of(&w, w.task->pairs->sequences, 2 * i + 1);
        if (strcmp(a, b) != 0)
            cr_assert_eq(w.task->pairs->preferred[i], is_shorter(a, b) ? 0 : 1);
        free(a);
        free(b);
    }
    cr_assert_eq(count_of(w.environment, "judge_comparisons"), 30);

    RgPolicy *policy = policy_for(w.environment->space.vocabulary, "128", 9);
    RgEvaluation *evaluation = evaluate(&w, policy, 4);
    const RgSequences *base = w.state->of_reference.samples.sequences;
    double wins = 0, of_dataset = 0;
    for (int64_t i = 0; i < 20; i++) {
        int64_t item;
        const char *prompt, *text;
        rg_evaluation_response_at(evaluation, i, &item, &prompt, &text);
        RgBuffer valid = {0};
        rg_utf8_repair(text, strlen(text) + 1, &valid);
        const char *own = valid.bytes;
        char *other = response_of(&w, base, i);
        char *chosen = response_of(&w, w.state->chosen, i);
        wins += strcmp(own, other) == 0 ? 0.5 : is_shorter(own, other);
        of_dataset += is_shorter(own, chosen);
        free(other);
        free(chosen);
        rg_buffer_release(&valid);
    }
    cr_assert_float_eq(rg_evaluation_find(evaluation, "win_rate_base"), wins / 20, 1e-12);
    cr_assert_float_eq(rg_evaluation_find(evaluation, "win_rate_dataset"), of_dataset / 20, 1e-12);
    cr_assert(isnan(rg_evaluation_find(evaluation, "reward")));
    cr_assert(isnan(rg_evaluation_find(evaluation, "objective")));
    cr_assert(isnan(rg_evaluation_find(evaluation, "judge_accuracy")));
    cr_assert(isfinite(rg_evaluation_find(evaluation, "independent_reward")));
    cr_assert_eq(rg_evaluation_find(evaluation, "judge_comparisons"), 40);
    rg_evaluation_destroy(evaluation);
    rg_policy_destroy(policy);
    end_world(&w);
}

/* Rewards of responses by the judge below. */
static double length_score(const World *w, const RgSequences *sequences, int64_t i) {
    char *text = response_of(w, sequences, i);
    double score = 2.5 - (double)strlen(text) / 8;
    free(text);
    return score;
}

Test(text, a_judge_that_scores_rewards_each_response_once) {
    write_world();
    World w = world_of(
        WITH("judge.type", "command", "judge.answer", "score", "judge.command",
             "exec python3 -c 'import json, sys\nfor line in sys.stdin:\n q = json.loads(line)\n"
             " s = 2.5 - len(q[\"response\"].encode()) / 8\n"
             " print(json.dumps(dict(id=q[\"id\"], score=s)), flush=True)'",
             "pair_count", "30", "label_temperature", "0", "test_prompts", "20"));
    cr_assert_not_null(w.task->judge);
    cr_assert_null(w.task->label);
    cr_assert_eq(w.task->pairs->count, 30);
    for (int64_t i = 0; i < 30; i++) {
        double a = length_score(&w, w.task->pairs->sequences, 2 * i);
        double b = length_score(&w, w.task->pairs->sequences, 2 * i + 1);
        if (a != b)
            cr_expect_eq(w.task->pairs->preferred[i], a > b ? 0 : 1);
    }
    RgPolicy *policy = policy_for(w.environment->space.vocabulary, "128", 9);
    RgEvaluation *evaluation = evaluate(&w, policy, 4);
    double of_dataset = 0, sum = 0;
    for (int64_t i = 0; i < 20; i++) {
        int64_t item;
        const char *prompt, *text;
        rg_evaluation_response_at(evaluation, i, &item, &prompt, &text);
        RgBuffer valid = {0};
        rg_utf8_repair(text, strlen(text), &valid);
        double own = 2.5 - (double)valid.size / 8, chosen = length_score(&w, w.state->chosen, i);
        of_dataset += own > chosen ? 1 : own == chosen ? 0.5 : 0;
        sum += own;
        rg_buffer_release(&valid);
    }
    cr_assert_float_eq(rg_evaluation_find(evaluation, "reward"), sum / 20, 1e-12);
    cr_assert_float_eq(rg_evaluation_find(evaluation, "win_rate_dataset"), of_dataset / 20, 1e-12);
    cr_assert(isfinite(rg_evaluation_find(evaluation, "objective")));
    cr_assert(isnan(rg_evaluation_find(evaluation, "judge_accuracy"))); /* an answer may cost */
    rg_evaluation_destroy(evaluation);
    rg_policy_destroy(policy);
    end_world(&w);
}

Test(text, pairs_that_the_judge_leaves_open_are_left_out_and_counted) {
    write_world();
    World w = world_of(WITH("judge.type", "command", "judge.command", SHORTER("(a[0] + b[0]) % 2"),
                            "judge.on_failure", "skip", "pair_count", "40", "test_prompts", "10"));
    cr_assert(w.task->skips);
    const RgSequences *pairs = w.task->pairs->sequences;
    cr_assert_gt(w.state->unlabelled_pairs, 0);
    cr_assert_eq(w.task->pairs->count + w.state->unlabelled_pairs, 40);
    cr_assert_eq(pairs->count, 2 * w.task->pairs->count);
    for (int64_t i = 0; i < w.task->pairs->count; i++) {
        char *a = response_of(&w, pairs, 2 * i);
        char *b = response_of(&w, pairs, 2 * i + 1);
        cr_assert_eq((strlen(a) + strlen(b)) % 2, 0);
        free(a);
        free(b);
    }
    end_world(&w);

    RgEnvironment *environment;
    ASSERT_OK(try_text(WITH("judge.type", "command", "judge.command", SHORTER("True"),
                            "judge.on_failure", "skip", "pair_count", "10"),
                       &environment));
    RgPolicy *reference = policy_for(environment->space.vocabulary, "128", 5);
    cr_assert_eq(rg_environment_prepare(environment, reference, rg_random_root(2), &error),
                 RG_E_RANGE);
    cr_assert_str_eq(error.text, "the judge leaves all of 10 pairs without a label");
    rg_policy_destroy(reference);
    rg_environment_destroy(environment);
}

Test(text, a_judge_asked_elsewhere_that_cannot_work_is_refused_by_its_option) {
    write_world();
    RgEnvironment *environment;
    cr_assert_eq(
        try_text(WITH("judge.type", "endpoint", "judge.url", "localhost", "judge.model", "m"),
                 &environment),
        RG_E_USAGE);
    cr_assert_str_eq(error.text, "test:1: e.judge.url: expected http://… or https://…");
    cr_assert_eq(try_text(WITH("independent_judge.type", "command", "independent_judge.command",
                               "true", "independent_judge.answer", "["),
                          &environment),
                 RG_E_USAGE);
    cr_assert(strncmp(error.text, "e.independent_judge.answer: regular expression", 46) == 0, "%s",
              error.text);
}
