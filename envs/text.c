/* The text environment: its options, data, judges and offline pairs. Files are read in
 * text_data.c, judges live in judge.c, policies are measured in text_evaluate.c. */
#include "envs/text.h"

#include "core/tensor/blas.h"

#include <stdlib.h>
#include <string.h>

enum { PAIRS_SAMPLED, PAIRS_VERSES };
static const char *const pair_sources[] = {"sampled", "verses", NULL};
enum { DEMONSTRATIONS_CHOSEN, DEMONSTRATIONS_CORPUS };
static const char *const demonstration_sources[] = {"chosen", "corpus", NULL};

enum { TEST_PAIRS = 200 }; /* test lines whose written responses are scored in each evaluation */

static const RgOption options_table[] = {
    RG_OPTION_STRING(
        RgTextOptions, data, NULL,
        "folder with base.jsonl, judge.jsonl, judge-independent.jsonl, train.jsonl and "
        "test.jsonl"),
    RG_OPTION_STRING(RgTextOptions, tokenizer, NULL, "tokenizer.json, or a llama2.c vocabulary"),
    RG_OPTION_CHOICE(RgTextOptions, pairs, "sampled", pair_sources,
                     "offline pairs: two responses sampled from the reference policy and labelled "
                     "by the judge, or the chosen and rejected responses of train.jsonl"),
    RG_OPTION_INTEGER(RgTextOptions, pair_count, "4000", 0, 1e7,
                      "offline preference pairs; of verses at most one for each line; 0: none"),
    RG_OPTION_REAL(RgTextOptions, pair_temperature, "1", 0, 100,
                   "temperature at which the reference's responses are sampled for pairs"),
    RG_OPTION_REAL(RgTextOptions, label_temperature, "1", 0, 1e3,
                   "temperature of the judge's Bradley-Terry labels; 0: the larger reward"),
    RG_OPTION_REAL(RgTextOptions, label_noise, "0", 0, 1, "probability that a label is flipped"),
    RG_OPTION_CHOICE(RgTextOptions, demonstrations, "chosen", demonstration_sources,
                     "for supervised training: the preferred responses of the offline pairs, or "
                     "all texts of base.jsonl with their prompts, in both styles"),
    RG_OPTION_INTEGER(RgTextOptions, response_limit, "64", 1, 65536,
                      "most tokens of a response; written pairs with a longer one are left out"),
    RG_OPTION_LIST(RgTextOptions, stop,
                   "tokens that end a sampled response as the end token does, and belong to it: "
                   "each by its text, special ones by their name, or by its id"),
    RG_OPTION_INTEGER(RgTextOptions, test_prompts, "1000", 1, 1e6,
                      "evaluate on so many lines of test.jsonl, or on all there are"),
    RG_OPTION_REAL(RgTextOptions, temperature, "1", 0, 100,
                   "temperature at which evaluated responses are sampled; 0: likeliest tokens"),
    RG_OPTION_INTEGER(RgTextOptions, top_k, "0", 0, 1e9,
                      "sample evaluated responses from the k likeliest tokens; 0: all"),
    RG_OPTION_REAL(RgTextOptions, top_p, "1", 0, 1,
                   "sample evaluated responses from the smallest set of this mass; 1: all"),
    RG_OPTION_REAL(RgTextOptions, min_p, "0", 0, 1,
                   "sample evaluated responses from tokens at least so many times as likely as the "
                   "likeliest; 0: all"),
    RG_OPTION_INTEGER(RgTextOptions, response_samples, "40", 0, 1e6,
                      "test prompts whose sampled responses are stored as text"),
    RG_OPTION_END,
};

/* ---- rewards ---- */

void rg_text_rewards(const RgTextState *s, const RgJudge *judge, const RgSequences *sequences,
                     double *reward) {
#pragma omp parallel for num_threads(rg_threads()) schedule(dynamic, 16)
    for (int64_t i = 0; i < sequences->count; i++) {
        char *prompt = rg_text_prompt(s->tokenizer, sequences, i);
        char *response = rg_text_response(s->tokenizer, sequences, i);
        reward[i] = rg_judge_reward(judge, prompt, response);
        free(response);
        free(prompt);
    }
}

static void judge(void *environment, const RgSequences *sequences, double *reward) {
    const RgTextState *s = ((RgEnvironment *)environment)->state;
    rg_text_rewards(s, s->judge, sequences, reward);
}

/* ---- life ---- */

static RgStatus read_data(const char *folder, const char *name, RgTextData **data, RgError *error) {
    char *path = rg_string_format("%s/%s.jsonl", folder, name);
    RgStatus status = rg_text_data_read(path, data, error);
    free(path);
    return status;
}

static RgStatus load_tokenizer(RgTextState *s, const char *path, RgError *error) {
    RG_TRY(rg_tokenizer_load(path, 0, &s->tokenizer, error));
    if (rg_tokenizer_begin(s->tokenizer) < 0 || rg_tokenizer_end(s->tokenizer) < 0)
        return rg_fail(error, RG_E_FORMAT, "%s: no begin or no end token, expected both", path);
    return RG_OK;
}

static RgStatus stop_token(const RgTokenizer *tokenizer, const char *text, bool is_id, int32_t *id,
                           RgError *error) {
    if (!is_id)
        return rg_tokenizer_find(tokenizer, text, id, error);
    int64_t number = strtoll(text, NULL, 10), count = rg_tokenizer_vocabulary(tokenizer);
    *id = (int32_t)number;
    return number >= 0 && number < count
               ? RG_OK
               : rg_fail(error, RG_E_USAGE, "%s is no id of the tokenizer, which has 0 to %lld",
                         text, (long long)count - 1);
}

static RgStatus read_stop_tokens(RgTextState *s, RgError *error) {
    const RgOptionList *list = &s->options.stop;
    for (int64_t i = 0; i < list->count; i++) {
        RgStatus status = stop_token(s->tokenizer, list->item[i].text, list->item[i].is_integer,
                                     &s->stop_token[i], error);
        if (status != RG_OK)
            return rg_fail_in(error, status, "environment.stop.%lld", (long long)i);
    }
    s->stop = (RgStopTokens){s->stop_token, list->count};
    return RG_OK;
}

/* The lines as judges see them, borrowed from `data`; to be freed. */
static RgJudgeText *judge_texts(const RgTextData *data) {
    RgJudgeText *texts = rg_allocate((size_t)data->count * sizeof *texts);
    for (int64_t i = 0; i < data->count; i++)
        texts[i] =
            (RgJudgeText){data->lines[i].prompt, data->lines[i].chosen, data->lines[i].rejected};
    return texts;
}

static RgStatus make_judge(const char *folder, const char *name, RgJudgeKind kind, RgRandom random,
                           RgJudge **new, RgError *error) {
    RgTextData *data;
    RG_TRY(read_data(folder, name, &data, error));
    RgJudgeText *texts = judge_texts(data);
    RgStatus status =
        rg_judge_create(kind, texts, data->count, rg_random_named(random, name), new, error);
    if (status != RG_OK)
        rg_fail_in(error, status, "%s", data->path);
    free(texts);
    rg_text_data_destroy(data);
    return status;
}

static void make_test_set(RgTextState *s, const RgTextData *test) {
    s->test_prompts = rg_sequences_create();
    s->test_pairs = rg_sequences_create();
    int64_t count = s->options.test_prompts < test->count ? s->options.test_prompts : test->count;
    s->chosen_reward = rg_allocate((size_t)count * sizeof *s->chosen_reward);
    for (int64_t i = 0; i < count; i++) {
        const RgTextLine *line = &test->lines[i];
        rg_text_append(s->test_prompts, s->tokenizer, line->prompt, NULL);
        s->chosen_reward[i] = rg_judge_reward(s->judge, line->prompt, line->chosen);
    }
    for (int64_t i = 0; i < test->count && i < TEST_PAIRS; i++) {
        const RgTextLine *line = &test->lines[i];
        rg_text_append(s->test_pairs, s->tokenizer, line->prompt, line->chosen);
        rg_text_append(s->test_pairs, s->tokenizer, line->prompt, line->rejected);
    }
}

static RgStatus read_test(RgTextState *s, const char *folder, RgError *error) {
    RgTextData *test;
    RG_TRY(read_data(folder, "test", &test, error));
    RgJudgeText *texts = judge_texts(test);
    s->judge_accuracy = rg_judge_accuracy(s->judge, texts, test->count);
    s->independent_accuracy = rg_judge_accuracy(s->independent, texts, test->count);
    free(texts);
    make_test_set(s, test);
    rg_text_data_destroy(test);
    return RG_OK;
}

static RgStatus read_train(RgTextState *s, const char *folder, RgError *error) {
    RG_TRY(read_data(folder, "train", &s->train, error));
    s->prompts = rg_sequences_create();
    for (int64_t i = 0; i < s->train->count; i++)
        rg_text_append(s->prompts, s->tokenizer, s->train->lines[i].prompt, NULL);
    return RG_OK;
}

static RgStatus read_corpus(RgTextState *s, const char *folder, RgError *error) {
    RgTextData *corpus;
    RG_TRY(read_data(folder, "base", &corpus, error));
    s->demonstrations = rg_sequences_create();
    for (int64_t i = 0; i < corpus->count; i++) {
        const RgTextLine *line = &corpus->lines[i];
        rg_text_append_whole(s->demonstrations, s->tokenizer, line->prompt, line->chosen);
        rg_text_append_whole(s->demonstrations, s->tokenizer, line->prompt, line->rejected);
    }
    rg_text_data_destroy(corpus);
    return RG_OK;
}

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    RgTextState *s = rg_allocate(sizeof *s);
    environment->state = s;
    s->options = *(const RgTextOptions *)options;
    const char *folder = s->options.data;

    RG_TRY(load_tokenizer(s, s->options.tokenizer, error));
    RG_TRY(read_stop_tokens(s, error));
    RG_TRY(make_judge(folder, "judge", RG_JUDGE_WORDS, random, &s->judge, error));
    RG_TRY(make_judge(folder, "judge-independent", RG_JUDGE_CHARACTERS, random, &s->independent,
                      error));
    RG_TRY(read_train(s, folder, error));
    RG_TRY(read_test(s, folder, error));
    if (s->options.demonstrations == DEMONSTRATIONS_CORPUS)
        RG_TRY(read_corpus(s, folder, error));
    s->options.data = s->options.tokenizer = NULL;
    s->options.stop.count = 0;

    environment->space = (RgPolicySpace){.vocabulary = rg_tokenizer_vocabulary(s->tokenizer)};
    environment->course = (RgCourse){.prompts = s->prompts,
                                     .demonstrations = s->demonstrations,
                                     .response_limit = s->options.response_limit,
                                     .end_token = rg_tokenizer_end(s->tokenizer),
                                     .stop = s->stop,
                                     .judge = judge,
                                     .environment = environment,
                                     .label_temperature = s->options.label_temperature,
                                     .label_noise = s->options.label_noise};
    return RG_OK;
}

static void destroy(RgEnvironment *environment) {
    RgTextState *s = environment->state;
    rg_text_reference_clear(&s->of_reference);
    free(s->chosen_reward);
    rg_sequences_destroy(s->test_pairs);
    rg_sequences_destroy(s->test_prompts);
    rg_pairs_destroy(s->pairs);
    rg_sequences_destroy(s->demonstrations);
    rg_sequences_destroy(s->prompts);
    rg_text_data_destroy(s->train);
    rg_judge_destroy(s->independent);
    rg_judge_destroy(s->judge);
    rg_tokenizer_destroy(s->tokenizer);
    free(s);
}

/* ---- offline data ---- */

/* Two samples of the reference for each pair. Training prompts are taken in order, and again from
 * the first when there are more pairs than prompts; the random numbers are a sequence's own, so
 * that a prompt's next samples are new ones. */
static void sample_pairs(RgTextState *s, const RgCourse *course, RgPolicy *reference,
                         RgRandom random) {
    int64_t count = s->options.pair_count;
    RgSequences *prompts = rg_sequences_create();
    for (int64_t i = 0; i < count; i++)
        rg_sequences_append_from(prompts, s->prompts, i % s->prompts->count, true);
    RgSampling sampling = {.temperature = s->options.pair_temperature,
                           .top_p = 1,
                           .response_limit = course->response_limit,
                           .end_token = course->end_token,
                           .stop = course->stop};
    rg_policy_sample(reference, prompts, 2, &sampling, rg_random_named(random, "offline responses"),
                     s->pairs->sequences, NULL);
    rg_sequences_destroy(prompts);

    uint8_t *preferred = rg_allocate((size_t)(count + 1));
    rg_course_label(course, s->pairs->sequences, rg_random_named(random, "offline labels"),
                    preferred);
    for (int64_t i = 0; i < count; i++)
        rg_pairs_append_label(s->pairs, preferred[i]);
    free(preferred);
}

/* The written pairs of which both responses keep the limit, the chosen one preferred but for label
 * noise. */
static RgStatus take_verses(RgTextState *s, RgRandom random, RgError *error) {
    int64_t limit = s->options.response_limit;
    RgSequences *both = rg_sequences_create();
    for (int64_t i = 0; i < s->train->count && s->pairs->count < s->options.pair_count; i++) {
        const RgTextLine *line = &s->train->lines[i];
        rg_sequences_clear(both);
        rg_text_append(both, s->tokenizer, line->prompt, line->chosen);
        rg_text_append(both, s->tokenizer, line->prompt, line->rejected);
        if (rg_sequence_response_length(both, 0) > limit ||
            rg_sequence_response_length(both, 1) > limit) {
            s->dropped_pairs++;
            continue;
        }
        rg_sequences_append_from(s->pairs->sequences, both, 0, false);
        rg_sequences_append_from(s->pairs->sequences, both, 1, false);
        double u = rg_random_uniform(rg_random_named(random, "offline labels"), (uint64_t)i);
        rg_pairs_append_label(s->pairs, u < s->options.label_noise ? 1 : 0);
    }
    rg_sequences_destroy(both);
    if (s->dropped_pairs > 0 && s->pairs->count == 0)
        return rg_fail(error, RG_E_RANGE,
                       "%s:%d: this and every other line has a response of more tokens than "
                       "response_limit, which is %lld",
                       s->train->path, s->train->lines[0].number, (long long)limit);
    return RG_OK;
}

static void take_demonstrations(RgTextState *s) {
    rg_sequences_destroy(s->demonstrations);
    s->demonstrations = rg_sequences_create();
    for (int64_t i = 0; i < s->pairs->count; i++)
        rg_sequences_append_from(s->demonstrations, s->pairs->sequences,
                                 2 * i + s->pairs->preferred[i], false);
}

/* Room for a response of the limit after each prompt. */
static RgStatus check_prompts(const RgPolicy *policy, const RgSequences *prompts, int64_t limit,
                              const char *what, RgError *error) {
    RG_TRY(rg_policy_check(policy, prompts, what, error));
    int64_t context = policy->type->context_limit ? policy->type->context_limit(policy) : 0;
    int64_t longest = rg_sequences_longest(prompts);
    if (context > 0 && longest + limit > context)
        return rg_fail(error, RG_E_CONTEXT,
                       "%s: the longest has %lld tokens, which with a response of response_limit = "
                       "%lld is more than the policy's context of %lld",
                       what, (long long)longest, (long long)limit, (long long)context);
    return RG_OK;
}

static RgStatus check_policy(const RgTextState *s, const RgPolicy *policy, RgError *error) {
    int64_t tokens = rg_tokenizer_vocabulary(s->tokenizer);
    int64_t known = policy->type->vocabulary ? policy->type->vocabulary(policy, true) : tokens;
    if (policy->type->logits)
        return rg_fail(error, RG_E_USAGE,
                       "a %s policy enumerates its responses: the text environment needs one of "
                       "tokens, such as a transformer",
                       policy->type->name);
    if (known != tokens)
        return rg_fail(error, RG_E_USAGE,
                       "the policy knows %lld tokens, expected the %lld of the tokenizer",
                       (long long)known, (long long)tokens);
    int64_t limit = s->options.response_limit;
    RG_TRY(check_prompts(policy, s->prompts, limit, "training prompts", error));
    RG_TRY(check_prompts(policy, s->test_prompts, limit, "test prompts", error));
    return rg_policy_check(policy, s->test_pairs, "test pairs", error);
}

static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    RgTextState *s = environment->state;
    RG_TRY(check_policy(s, reference, error));
    rg_text_reference_clear(&s->of_reference);
    rg_pairs_destroy(s->pairs);
    s->pairs = rg_pairs_create();
    s->dropped_pairs = 0;
    environment->course.pairs = s->pairs;
    if (s->options.pairs == PAIRS_VERSES)
        RG_TRY(take_verses(s, random, error));
    else if (s->options.pair_count > 0)
        sample_pairs(s, &environment->course, reference, random);
    if (s->options.demonstrations == DEMONSTRATIONS_CHOSEN)
        take_demonstrations(s);
    environment->course.demonstrations = s->demonstrations;
    return RG_OK;
}

const RgEnvironmentType rg_environment_text = {
    .name = "text",
    .summary = "Prompts and responses as text: continue a passage in one of two styles, with a "
               "trained judge of style and a second one made of other texts",
    .options = options_table,
    .options_size = sizeof(RgTextOptions),
    .headline = "win_rate_base",
    .create = create,
    .prepare = prepare,
    .evaluate = rg_text_evaluate,
    .destroy = destroy,
};
