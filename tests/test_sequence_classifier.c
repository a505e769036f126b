/* SPDX-License-Identifier: MIT */
/* Reward models made elsewhere: values of two architectures against those that another program
 * computed in float64 (tests/golden/models.py), the judge's tokens against its own tokenizer's, its own
 * chat template against texts laid out by hand, and what is refused. */
#include "core/models/hugging_face.h"
#include "core/models/transformer.h"
#include "core/text/tokenizer.h"
#include "envs/judges/judge.h"
#include "envs/text/text.h"
#include "envs/text_layout.h"
#include "tests/golden_model.h"

#include <criterion/parameterized.h>
#include <math.h>

#ifdef RG_DOUBLE
static const double tolerance = 1e-9;
#else
static const double tolerance = 1e-5;
#endif

typedef struct Case {
    char name[24];
} Case;

ParameterizedTestParameters(sequence_classifier, values_are_those_of_the_golden_file) {
    static Case cases[] = {{"qwen3"}, {"gpt-neox"}};
    return cr_make_param_array(Case, cases, sizeof cases / sizeof *cases);
}

/* Among them are one token alone, and padding within and at the end. */
ParameterizedTest(Case *c, sequence_classifier, values_are_those_of_the_golden_file) {
    const json_t *one = write_model("classifiers", c->name);
    const json_t *values = json_object_get(one, "values");
    RgSequenceClassifier model;
    RgError error = {0};
    cr_assert_eq(rg_hugging_face_load_classifier(scratch_path, &model, &error), RG_OK, "%s",
                 error.text);
    RgSequences *sequences = rg_sequences_create();
    size_t i;
    json_t *each;
    json_array_foreach(values, i, each) {
        int32_t ids[40];
        int64_t count = read_ids(json_object_get(each, "tokens"), ids);
        rg_sequences_append(sequences, ids, count / 2, ids + count / 2, count - count / 2);
    }
    cr_assert_geq(sequences->count, 5);
    double value[8];
    rg_sequence_classifier_values(&model, sequences, value);
    json_array_foreach(values, i, each) {
        double expected = json_real_value(json_object_get(each, "value"));
        cr_expect(fabs(value[i] - expected) <= tolerance * fmax(1, fabs(expected)),
                  "%s, sequence %zu: %.12g, not %.12g", c->name, i, value[i], expected);
    }
    rg_sequences_destroy(sequences);
    rg_sequence_classifier_release(&model);
    json_decref(golden);
}

/* ---- the judge ---- */

TestSuite(sequence_classifier_judge, .init = scratch_begin);

static const char *const texts[] = {"The king saw the city and the gate of the city.",
                                    "Peace be to this house, and to all that dwell in it.",
                                    "A cloud of dust rose over the road to the sea."};

static RgTokenizer *learnt(const char *const *from, int64_t count, int64_t vocabulary) {
    RgTokenizer *tokenizer;
    RgError error = {0};
    cr_assert_eq(rg_tokenizer_train(from, count, vocabulary, &tokenizer, &error), RG_OK, "%s",
                 error.text);
    return tokenizer;
}

static void change_config(const char *folder, const char *key, json_t *value) {
    char path[300];
    snprintf(path, sizeof path, "%s/config.json", folder);
    json_t *root = json_load_file(path, 0, NULL);
    cr_assert_not_null(root);
    json_object_set_new(root, key, value);
    cr_assert_eq(json_dump_file(root, path, 0), 0);
    json_decref(root);
}

/* Adds a tensor [rows, columns] of multiples of 1/8 to the folder's file. */
static void add_tensor(const char *folder, const char *name, int64_t rows, int64_t columns) {
    char path[300], other[300];
    RgError error = {0};
    RgSafetensors *file;
    RgStoredTensor all[MOST_TENSORS];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    snprintf(other, sizeof other, "%s/other.safetensors", folder);
    cr_assert_eq(rg_safetensors_open(path, &file, &error), RG_OK, "%s", error.text);
    int count = 0;
    for (int i = 0; i < rg_safetensors_count(file); i++)
        if (strcmp(rg_safetensors_at(file, i)->name, name) != 0)
            all[count++] = *rg_safetensors_at(file, i);
    float *value = rg_allocate(rows * columns, sizeof *value);
    for (int64_t i = 0; i < rows * columns; i++)
        value[i] = (float)(i % 7 - 3) / 8;
    all[count++] = (RgStoredTensor){.name = name,
                                    .type = RG_F32,
                                    .rank = 2,
                                    .size = {rows, columns},
                                    .data = value,
                                    .bytes = sizeof *value * (size_t)(rows * columns)};
    cr_assert_eq(rg_safetensors_write(other, all, count, NULL, &error), RG_OK, "%s", error.text);
    rg_safetensors_close(file);
    free(value);
    cr_assert_eq(rename(other, path), 0);
}

/* A reward model of random weights whose vocabulary is padded by five rows. */
static void write_reward_model(const char *folder, const RgTokenizer *tokenizer) {
    const RgTransformerOptions options = {.layers = 1,
                                          .width = 16,
                                          .heads = 2,
                                          .kv_heads = 2,
                                          .hidden = 24,
                                          .context = 48,
                                          .rope_base = 500,
                                          .rope_pairing = RG_ROPE_HALVES,
                                          .norm_epsilon = 1e-5};
    RgPolicy *policy;
    RgError error = {0};
    cr_assert_eq(
        rg_transformer_create(&options, rg_tokenizer_vocabulary(tokenizer) + 5, &policy, &error),
        RG_OK, "%s", error.text);
    for (int v = 0; v < policy->parameters->view_count; v++)
        rg_parameters_fill_normal(policy->parameters, v, 0.5, rg_random_root(3));
    cr_assert_eq(rg_hugging_face_save(policy, folder, &error), RG_OK, "%s", error.text);
    rg_policy_destroy(policy);
    change_config(folder, "architectures", json_pack("[s]", "LlamaForSequenceClassification"));
    add_tensor(folder, "score.weight", 1, 16);
    char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    cr_assert_eq(rg_tokenizer_save(tokenizer, path, &error), RG_OK, "%s", error.text);
}

typedef struct Chosen {
    RgOptionPart judge;
} Chosen;

static const RgOption table[] = {
    RG_OPTION_PART(Chosen, judge, "ngram", &rg_judge_family, "who judges"),
    RG_OPTION_END,
};

static RgStatus open_judge(const char *folder, const RgJudgeShare *share, RgJudge **judge,
                           RgError *error) {
    RgSettings *settings = rg_settings_create();
    rg_settings_set(settings, "judge.type", RG_SETTING_STRING, "sequence-classifier", "test", 1);
    rg_settings_set(settings, "judge.weights", RG_SETTING_STRING, folder, "test", 1);
    Chosen chosen;
    cr_assert_eq(rg_options_read(table, settings, "", &chosen, error), RG_OK, "%s", error->text);
    RgStatus status = rg_judge_create(&chosen.judge, share, rg_random_root(1), judge, error);
    rg_settings_destroy(settings);
    return status;
}

/* Begin, prompt and response, end, in the tokens of one tokenizer. */
static void append_ids(const RgTokenizer *t, const char *prompt, const char *response,
                       RgSequences *to) {
    RgTokens ids = {0};
    rg_tokens_append(&ids, rg_tokenizer_begin(t));
    rg_tokenizer_encode(t, prompt, strlen(prompt), &ids);
    int64_t length = ids.count;
    rg_tokenizer_encode(t, response, strlen(response), &ids);
    rg_tokens_append(&ids, rg_tokenizer_end(t));
    rg_sequences_append(to, ids.id, length, ids.id + length, ids.count - length);
    rg_tokens_release(&ids);
}

typedef struct Scene {
    char folder[200];
    RgTokenizer *theirs, *own;
    RgSequences *sequences; /* in their tokens */
    RgJudgeShare share;
} Scene;

/* The text that is judged: prompt, response, prompt, … The last is longer than the context. */
static const char *const judged[] = {
    "The king",
    " saw <|end|> dust.",
    "Is it",
    "",
    "Peace be to \xc3\xa9",
    " \xf0\x9f\x90\xac the road.",
    "And the sea rose over the city, and over the gate of the city, and over the road,",
    " and over this house, and over all that dwell in it."};
enum { JUDGED = sizeof judged / sizeof *judged / 2 };

static Scene begin(void) {
    Scene s = {.theirs = learnt(texts, 2, 290),
               .own = learnt(texts + 1, 2, 280),
               .sequences = rg_sequences_create()};
    snprintf(s.folder, sizeof s.folder, "%s", scratch("reward"));
    write_reward_model(s.folder, s.own);
    for (int i = 0; i < JUDGED; i++)
        append_ids(s.theirs, judged[2 * i], judged[2 * i + 1], s.sequences);
    s.share = (RgJudgeShare){.sequences = s.sequences,
                             .vocabulary = rg_tokenizer_vocabulary(s.theirs),
                             .tokenizer = s.theirs,
                             .path = "texts"};
    return s;
}

static void end(Scene *s) {
    rg_sequences_destroy(s->sequences);
    rg_tokenizer_destroy(s->theirs);
    rg_tokenizer_destroy(s->own);
}

/* The whole text in the judge's tokens, the first and the last of a text that is too long. */
static RgSequences *in_own_tokens(const Scene *s, int64_t context) {
    RgSequences *all = rg_sequences_create();
    for (int i = 0; i < JUDGED; i++) {
        char *text = rg_string_format("%s%s", judged[2 * i], judged[2 * i + 1]);
        RgTokens ids = {0};
        rg_tokens_append(&ids, rg_tokenizer_begin(s->own));
        rg_tokenizer_encode(s->own, text, strlen(text), &ids);
        rg_tokens_append(&ids, rg_tokenizer_end(s->own));
        int64_t over = ids.count - context;
        if (over > 0)
            memmove(ids.id + 1, ids.id + 1 + over, sizeof *ids.id * (size_t)(context - 1));
        rg_sequences_append(all, ids.id, 0, ids.id, over > 0 ? context : ids.count);
        cr_expect(i < JUDGED - 1 || over > 0);
        rg_tokens_release(&ids);
        free(text);
    }
    return all;
}

Test(sequence_classifier_judge, reads_the_text_in_its_own_tokens) {
    Scene s = begin();
    RgError error = {0};
    RgJudge *judge;
    RgSequenceClassifier model;
    cr_assert_eq(open_judge(s.folder, &s.share, &judge, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_hugging_face_load_classifier(s.folder, &model, &error), RG_OK);
    RgSequences *own = in_own_tokens(&s, 48);
    double reward[JUDGED], expected[JUDGED];
    RgJudgeItems items = {.count = JUDGED, .sequences = s.sequences};
    cr_assert_eq(rg_judge_rewards(judge, &items, reward, &error), RG_OK, "%s", error.text);
    rg_sequence_classifier_values(&model, own, expected);
    for (int i = 0; i < JUDGED; i++)
        cr_expect(fabs(reward[i] - expected[i]) <= tolerance * fmax(1, fabs(expected[i])),
                  "text %d: %.9g, not %.9g", i, reward[i], expected[i]);
    cr_expect(fabs(reward[0] - reward[1]) > 0.01);
    rg_sequences_destroy(own);
    rg_sequence_classifier_release(&model);
    rg_judge_destroy(judge);
    end(&s);
}

/* The same tokenizer with further special tokens. */
static RgTokenizer *with_specials(const RgTokenizer *tokenizer, const char *const *names) {
    char path[300];
    RgError error = {0};
    RgTokenizer *longer;
    snprintf(path, sizeof path, "%s", scratch("specials.json"));
    cr_assert_eq(rg_tokenizer_save(tokenizer, path, &error), RG_OK, "%s", error.text);
    json_t *root = json_load_file(path, 0, NULL);
    for (int i = 0; names[i]; i++)
        json_array_append_new(json_object_get(root, "added_tokens"),
                              json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
                                        (json_int_t)rg_tokenizer_vocabulary(tokenizer) + i,
                                        "content", names[i], "single_word", 0, "lstrip", 0,
                                        "rstrip", 0, "normalized", 0, "special", 1));
    cr_assert_eq(json_dump_file(root, path, 0), 0);
    json_decref(root);
    cr_assert_eq(rg_tokenizer_load(path, 0, &longer, &error), RG_OK, "%s", error.text);
    return longer;
}

/* begin, <turn>, text, <other>, text, end: <turn> is a special token of both, <other> of theirs. */
static void append_turns(const RgTokenizer *t, bool knows_other, RgSequences *to) {
    RgTokens ids = {0};
    RgError error = {0};
    int32_t turn, other;
    cr_assert_eq(rg_tokenizer_find(t, "<turn>", &turn, &error), RG_OK, "%s", error.text);
    rg_tokens_append(&ids, rg_tokenizer_begin(t));
    rg_tokens_append(&ids, turn);
    rg_tokenizer_encode(t, "user\nHi <turn>", 14, &ids);
    if (knows_other) {
        cr_assert_eq(rg_tokenizer_find(t, "<other>", &other, &error), RG_OK);
        rg_tokens_append(&ids, other);
    } else {
        rg_tokenizer_encode(t, "<other>", 7, &ids);
    }
    rg_tokenizer_encode(t, " the sea", 8, &ids);
    rg_tokens_append(&ids, rg_tokenizer_end(t));
    rg_sequences_append(to, ids.id, 2, ids.id + 2, ids.count - 2);
    rg_tokens_release(&ids);
}

Test(sequence_classifier_judge, special_tokens_keep_their_names) {
    Scene s = begin();
    RgError error = {0};
    RgTokenizer *theirs = with_specials(s.theirs, (const char *[]){"<other>", "<turn>", NULL});
    RgTokenizer *own = with_specials(s.own, (const char *[]){"<turn>", NULL});
    RgSequences *asked = rg_sequences_create(), *expected = rg_sequences_create();
    char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.json", s.folder);
    cr_assert_eq(rg_tokenizer_save(own, path, &error), RG_OK, "%s", error.text);
    append_turns(theirs, true, asked);
    append_turns(own, false, expected);
    s.share.tokenizer = theirs;
    RgJudge *judge;
    RgSequenceClassifier model;
    cr_assert_eq(open_judge(s.folder, &s.share, &judge, &error), RG_OK, "%s", error.text);
    cr_assert_eq(rg_hugging_face_load_classifier(s.folder, &model, &error), RG_OK);
    double reward, value;
    RgJudgeItems items = {.count = 1, .sequences = asked};
    cr_assert_eq(rg_judge_rewards(judge, &items, &reward, &error), RG_OK, "%s", error.text);
    rg_sequence_classifier_values(&model, expected, &value);
    cr_expect(fabs(reward - value) <= tolerance * fmax(1, fabs(value)), "%.9g, not %.9g", reward,
              value);
    rg_judge_destroy(judge);
    rg_sequence_classifier_release(&model);
    rg_sequences_destroy(asked);
    rg_sequences_destroy(expected);
    rg_tokenizer_destroy(theirs);
    rg_tokenizer_destroy(own);
    end(&s);
}

static void expect_refusal(const Scene *s, const char *message) {
    RgError error = {0};
    RgJudge *judge;
    cr_expect_neq(open_judge(s->folder, &s->share, &judge, &error), RG_OK, "%s", message);
    cr_expect_null(judge);
    cr_expect(strstr(error.text, message), "%s\nexpected: %s", error.text, message);
}

Test(sequence_classifier_judge, refuses_what_has_no_single_value) {
    Scene s = begin();
    RgError error = {0};
    RgPolicy *policy;
    cr_expect_eq(rg_policy_load(s.folder, &policy, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "config.json: architectures: a model with a score"), "%s",
              error.text);
    add_tensor(s.folder, "score.weight", 1, 12);
    expect_refusal(&s, "tensor \"score.weight\": expected 1 row of 16");
    add_tensor(s.folder, "score.weight", 2, 16);
    expect_refusal(&s, "tensor \"score.weight\" has 2 rows, one for each label (num_labels)");
    add_tensor(s.folder, "score.weight", 1, 16);
    change_config(s.folder, "pad_token_id", json_string("<pad>"));
    expect_refusal(&s, "config.json: pad_token_id: expected the id of a token");
    change_config(s.folder, "pad_token_id", json_null());
    add_tensor(s.folder, "score.bias", 1, 1);
    expect_refusal(&s, "tensor \"score.bias\" is not supported");
    change_config(s.folder, "architectures", json_pack("[s]", "LlamaForCausalLM"));
    expect_refusal(&s, "architectures: a model with logits, expected …ForSequenceClassification");
    change_config(s.folder, "architectures", json_pack("[s]", "OPTForSequenceClassification"));
    expect_refusal(&s, "architectures = [\"OPTForSequenceClassification\"] is not supported");
    end(&s);
}

Test(sequence_classifier_judge, refuses_a_tokenizer_of_another_model) {
    Scene s = begin();
    RgError error = {0};
    char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.json", s.folder);
    cr_assert_eq(rg_tokenizer_save(s.theirs, path, &error), RG_OK, "%s", error.text);
    expect_refusal(&s, "a vocabulary of 285 tokens, expected at least the 290 of its tokenizer");
    unlink(path);
    expect_refusal(&s, "tokenizer.json");
    s.share.tokenizer = NULL;
    expect_refusal(&s, "a sequence classifier needs tokens, and was given text alone");
    end(&s);
}

/* ---- a chat template of its own ---- */

static const char jinja[] = "{% for m in messages %}{{ 'Q' if m.role == 'user' else 'A' }}"
                            "{{ m.content }}|{% endfor %}";

/* Conversations of three turns, in which no two prompts are the same. */
static void write_talks(const char *name) {
    char *content = NULL;
    size_t size;
    FILE *stream = open_memstream(&content, &size);
    for (int i = 0; i < 80; i++) {
        static const char *const side[] = {"chosen", "rejected"};
        for (int k = 0; k < 2; k++)
            fprintf(stream,
                    "%s\"%s\": [{\"role\": \"user\", \"content\": \"a%d\"}, "
                    "{\"role\": \"assistant\", \"content\": \"b\"}, "
                    "{\"role\": \"user\", \"content\": \"c\"}, "
                    "{\"role\": \"assistant\", \"content\": \"%s %d\"}]",
                    k ? ", " : "{", side[k], i, k ? "no" : "yes", i % 7);
        fprintf(stream, "}\n");
    }
    fclose(stream);
    scratch_write(name, content);
    free(content);
}

/* Key, value, …, NULL of the environment, whose own template is plain; both judges are this one. */
static RgStatus open_world(const Scene *s, const char *const *entries, RgEnvironment **environment,
                           RgError *error) {
    RgSettings *settings = rg_settings_create();
    const char *const usual[] = {"train",     scratch("talks.jsonl"), "pairs", "dataset",
                                 "tokenizer", scratch("theirs.json"), NULL};
    cr_assert_eq(rg_tokenizer_save(s->theirs, scratch("theirs.json"), error), RG_OK);
    for (int k = 0; k < 2; k++) {
        const char *const *all = k ? entries : usual;
        for (; all[0]; all += 2) {
            char *path = rg_string_format("e.%s", all[0]);
            bool number = strspn(all[1], "0123456789") == strlen(all[1]);
            rg_settings_set(settings, path, number ? RG_SETTING_INTEGER : RG_SETTING_STRING, all[1],
                            "test", 1);
            free(path);
        }
    }
    RgStatus status =
        rg_environment_create("text", settings, "e", rg_random_root(1), environment, error);
    rg_settings_destroy(settings);
    return status;
}

#define WITH(...)                                                                                  \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }
#define JUDGE(which, ...)                                                                          \
    which ".type", "sequence-classifier", which ".weights", s.folder, __VA_ARGS__

/* What the reward model gives a text that is laid out by hand. */
static double value_by_hand(const Scene *s, const char *text) {
    RgSequenceClassifier model;
    RgError error = {0};
    RgTokens ids = {0};
    double value;
    cr_assert_eq(rg_hugging_face_load_classifier(s->folder, &model, &error), RG_OK);
    rg_tokenizer_encode(s->own, text, strlen(text), &ids);
    cr_assert_leq(ids.count, 48, "the text exceeds the context");
    RgSequences *one = rg_sequences_create();
    rg_sequences_append(one, ids.id, 0, ids.id, ids.count);
    rg_sequence_classifier_values(&model, one, &value);
    rg_sequences_destroy(one);
    rg_tokens_release(&ids);
    rg_sequence_classifier_release(&model);
    return value;
}

/* By what the environment hands out: sequences in the policy's tokens, in its own layout. */
Test(sequence_classifier_judge, lays_out_conversations_by_its_own_template) {
    Scene s = begin();
    RgError error = {0};
    RgEnvironment *environment;
    write_talks("talks.jsonl");
    char *file = rg_string_copy(scratch_write("judge.jinja", jinja));
    cr_assert_eq(open_world(&s,
                            WITH(JUDGE("judge", "judge.chat_template_file", file),
                                 JUDGE("independent_judge", "independent_judge.chat_template",
                                       "environment")),
                            &environment, &error),
                 RG_OK, "%s", error.text);
    RgTextState *state = environment->state;
    const RgTask *task = &environment->task;
    int64_t count = state->test_pairs->count;
    double *reward = rg_allocate(count, sizeof *reward), *other = rg_allocate(count, sizeof *other);
    cr_assert_gt(count, 4);
    cr_assert_eq(task->judge(task->environment, state->test_pairs, reward, &error), RG_OK, "%s",
                 error.text);
    cr_assert_eq(rg_text_rewards(state, state->independent, state->test_pairs, other, &error),
                 RG_OK);
    for (int64_t i = 0; i < count; i++) {
        const RgTextLine *line = &state->test->lines[i / 2];
        char *text = rg_string_format("Q%s|Ab|Qc|A%s|", line->turns[0].text,
                                      i % 2 ? line->rejected : line->chosen);
        double expected = value_by_hand(&s, text);
        cr_expect(fabs(reward[i] - expected) <= tolerance * fmax(1, fabs(expected)),
                  "%s: %.9g, not %.9g", text, reward[i], expected);
        cr_expect(fabs(reward[i] - other[i]) > 1e-3, "the environment's template is another");
        free(text);
    }
    cr_expect_eq(state->chosen_reward[0], reward[0], "that of the written responses is the same");

    /* a prompt of the training lines, and one that nobody knows */
    RgSequences *asked = rg_sequences_create();
    int32_t yes = 0;
    rg_sequences_append(asked, rg_sequence_prompt(task->prompts, 3),
                        task->prompts->prompt_length[3], NULL, 0);
    cr_expect_eq(task->judge(task->environment, asked, reward, &error), RG_OK, "%s", error.text);
    char *text = rg_string_format("Q%s|Ab|Qc|A|", state->train->lines[3].turns[0].text);
    cr_expect_float_eq(reward[0], value_by_hand(&s, text), tolerance);
    free(text);
    rg_sequences_append(asked, &yes, 1, &yes, 1);
    cr_expect_eq(task->judge(task->environment, asked, reward, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "a prompt that is none of the data's"), "%s", error.text);
    rg_sequences_destroy(asked);
    rg_environment_destroy(environment);
    free(reward);
    free(other);
    free(file);
    end(&s);
}

/* A built-in template lays out as it does for a policy of the judge's tokenizer; and a mixture hands
 * the conversations on. */
Test(sequence_classifier_judge, lays_out_conversations_by_a_built_in_template) {
    Scene s = begin();
    RgError error = {0};
    RgEnvironment *environment;
    write_talks("talks.jsonl");
    cr_assert_eq(open_world(&s,
                            WITH(JUDGE("judge", "judge.chat_template", "sail-pku"),
                                 "independent_judge.type", "mixture", "independent_judge.scale",
                                 "none", "independent_judge.length_control", "0",
                                 JUDGE("independent_judge.judges.0",
                                       "independent_judge.judges.0.chat_template", "sail-pku"),
                                 "independent_judge.judges.0.weight", "2"),
                            &environment, &error),
                 RG_OK, "%s", error.text);
    RgTextState *state = environment->state;
    RgTextLayout *layout;
    RgSequenceClassifier model;
    RgSequences *own = rg_sequences_create();
    cr_assert_eq(rg_hugging_face_load_classifier(s.folder, &model, &error), RG_OK);
    enum { SAIL_PKU = 7 };
    cr_assert_str_eq(rg_chat_templates[SAIL_PKU], "sail-pku");
    cr_assert_eq(rg_text_layout_create(s.own, SAIL_PKU, "", 0, RG_TRUNCATE_DROP, &layout, &error),
                 RG_OK);
    const RgTextLine *line = &state->test->lines[0];
    rg_text_append(own, layout, line->turns, line->turn_count, line->chosen);
    rg_text_append(own, layout, line->turns, line->turn_count, line->rejected);
    RgSequences *fits = rg_sequences_create(); /* all but the first and the last 47 are cut off */
    for (int i = 0; i < 2; i++) {
        const int32_t *ids = own->tokens + own->start[i];
        int64_t length = rg_sequence_length(own, i), over = length > 48 ? length - 48 : 0;
        int32_t kept[48];
        for (int64_t k = 0; k < length - over; k++)
            kept[k] = ids[k == 0 ? 0 : k + over];
        rg_sequences_append(fits, kept, 0, kept, length - over);
    }
    double expected[2], reward[2], mixed[2];
    RgSequences pair = *state->test_pairs;
    pair.count = 2;
    rg_sequence_classifier_values(&model, fits, expected);
    cr_assert_eq(rg_text_rewards(state, state->judge, &pair, reward, &error), RG_OK);
    cr_assert_eq(rg_text_rewards(state, state->independent, &pair, mixed, &error), RG_OK);
    for (int i = 0; i < 2; i++) {
        cr_expect_float_eq(reward[i], expected[i], tolerance * fmax(1, fabs(expected[i])));
        cr_expect_float_eq(mixed[i], 2 * reward[i], 1e-9);
    }
    rg_sequences_destroy(own);
    rg_sequences_destroy(fits);
    rg_text_layout_destroy(layout);
    rg_sequence_classifier_release(&model);
    rg_environment_destroy(environment);
    end(&s);
}

Test(sequence_classifier_judge, refuses_conversations_and_templates_that_it_cannot_read) {
    Scene s = begin();
    RgError error = {0};
    RgEnvironment *environment;
    RgJudge *judge;
    write_talks("talks.jsonl");
    static const struct {
        const char *source, *place, *told;
    } cases[] = {
        {"{{ raise_exception('Never') }}", "judge.jinja:1: ", "the template refuses"},
        {"{% for m in messages %}{{ m.role }}{% endfor %}",
         "judge.jinja: ", "tried with a question and two answers"},
        {"{% if messages[0].content.endswith('1') %}{{ raise_exception('No ones') }}{% endif %}"
         "{{ messages[-1].content }}",
         "talks.jsonl:", "No ones"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char *file = rg_string_copy(scratch_write("judge.jinja", cases[k].source));
        cr_expect_eq(open_world(&s,
                                WITH(JUDGE("judge", "judge.chat_template_file", file),
                                     JUDGE("independent_judge", "independent_judge.chat_template",
                                           "environment")),
                                &environment, &error),
                     RG_E_FORMAT);
        cr_expect(strstr(error.text, cases[k].place) && strstr(error.text, cases[k].told),
                  "%s\nexpected: %s%s", error.text, cases[k].place, cases[k].told);
        cr_expect_neq(open_world(&s,
                                 WITH(JUDGE("judge", "judge.chat_template_file", file),
                                      "judge.chat_template", "hh"),
                                 &environment, &error),
                      RG_OK);
        cr_expect(strstr(error.text, "which is \"hh\", expected one of them"), "%s", error.text);
        free(file);
    }
    cr_expect_neq(
        open_world(&s, WITH(JUDGE("judge", "judge.chat_template", "chatml")), &environment, &error),
        RG_OK);
    cr_expect(strstr(error.text, "template \"chatml\" needs the token <|im_start|>"), "%s",
              error.text);

    /* without a conversation there is nothing to lay out */
    cr_assert_eq(open_judge(s.folder, &s.share, &judge, &error), RG_OK, "%s", error.text);
    judge->reads_turns = true;
    double reward[JUDGED];
    RgJudgeItems items = {.count = JUDGED, .sequences = s.sequences};
    cr_expect_eq(rg_judge_rewards(judge, &items, reward, &error), RG_E_USAGE);
    cr_expect(strstr(error.text, "lays out conversations itself, and was given none"), "%s",
              error.text);
    rg_judge_destroy(judge);
    end(&s);
}
