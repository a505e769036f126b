/* SPDX-License-Identifier: MIT */
/* The text environment: its options, its sequences and its offline pairs. text_files.c reads files,
 * text_judges.c has the judges, text_evaluate.c evaluates policies. */
#include "envs/text/text.h"

#include <stdlib.h>
#include <string.h>

enum { PAIRS_SAMPLED, PAIRS_DATASET };
static const char *const pair_sources[] = {"sampled", "dataset", NULL};
static const char *const demonstration_sources[] = {"chosen", "corpus", "whole", NULL};

static const char *const data_files[] = {"base.jsonl*",  "judge.jsonl*", "judge-independent.jsonl*",
                                         "train.jsonl*", "test.jsonl*",  NULL};

/* It names the tokens that begin and end a text (core/text/tokenizer_ends.c). */
static const char *const tokenizer_neighbours[] = {"tokenizer_config.json", NULL};
static const char *const unusable_lines[] = {"skip", "stop", NULL};
static const char *const unpaired_lines[] = {"matched", "all", NULL};

/* The name of a member, in a group of names. */
#define RG_TEXT_COLUMN(name_, column_, fallback_, help_)                                           \
    {                                                                                              \
        .name = "columns." name_, .kind = RG_KIND_STRING,                                          \
        .offset = offsetof(RgTextOptions, column) + (column_) * sizeof(const char *),              \
        .fallback = (fallback_), .later = true, .help = (help_)                                    \
    }

static const RgOption options_table[] = {
    RG_OPTION_FOLDER(RgTextOptions, data, "", data_files,
                     "folder with base.jsonl, judge.jsonl, judge-independent.jsonl, train.jsonl "
                     "and test.jsonl, or the same names ending in .gz or .zst"),
    RG_OPTION_PATH(RgTextOptions, train, "",
                   "file of preferences in JSON lines, may be compressed, in place of a folder; a "
                   "share of it trains the judges and is never seen by a policy"),
    RG_OPTION_PATH(RgTextOptions, test, "",
                   "file of the same kind to evaluate on; empty: a share of the lines of train"),
    RG_OPTION_CHOICE(
        RgTextOptions, format, "auto", rg_text_formats,
        "format of the files: plain prompt, chosen, rejected; hh, Anthropic's "
        "transcripts; pku, PKU-SafeRLHF; ultrafeedback, four completions with scores; "
        "chat, lists of messages; unpaired, single completions with a label, of which pairs "
        "are made; auto, detected from the first line that fits one"),
    RG_TEXT_COLUMN("prompt", RG_TEXT_PROMPT, "prompt",
                   "member with the prompt of a plain, chat or unpaired line"),
    RG_TEXT_COLUMN("chosen", RG_TEXT_CHOSEN, "chosen",
                   "member with the preferred response of a plain, hh or chat line"),
    RG_TEXT_COLUMN("rejected", RG_TEXT_REJECTED, "rejected",
                   "member with the other response of a plain, hh or chat line"),
    RG_TEXT_COLUMN("completion", RG_TEXT_COMPLETION, "completion",
                   "member with the response of an unpaired line"),
    RG_TEXT_COLUMN("label", RG_TEXT_LABEL, "label",
                   "member that is true if the response of an unpaired line is desirable"),
    RG_TEXT_COLUMN("chosen_score", RG_TEXT_CHOSEN_SCORE, "",
                   "member with the preferred response's score of a plain or chat line; a tie with "
                   "the other's is unusable; empty: scores are not looked at"),
    RG_TEXT_COLUMN("rejected_score", RG_TEXT_REJECTED_SCORE, "",
                   "member with the other response's score, to be given with chosen_score"),
    RG_OPTION_CHOICE(RgTextOptions, unusable, "skip", unusable_lines,
                     "what to do with a line that has nothing to learn from or cannot be read: "
                     "skip it, and count it by its reason; or stop, with file and line",
                     .later = true, .execution_only = true),
    RG_OPTION_CHOICE(RgTextOptions, unpaired, "matched", unpaired_lines,
                     "which unpaired lines are read: matched, those with a counterpart, as pairs; "
                     "or all, each also as a single response with its label, for methods with "
                     "single = true, which needs pairs = dataset",
                     .later = true),
    {.name = "line_limit",
     .kind = RG_KIND_INTEGER,
     .offset = offsetof(RgTextOptions, line_limit),
     .fallback = "64",
     .low = 1,
     .high = 65536,
     .help = "limit in MiB of a line of these files, or of a file that is a single JSON array; a "
             "longer one is refused",
     .execution_only = true},
    RG_OPTION_CHOICE(RgTextOptions, preference, "better", rg_text_preferences,
                     "which label of PKU-SafeRLHF to use"),
    RG_OPTION_PART(RgTextOptions, judge, "ngram", &rg_judge_family,
                   "judge that labels and rewards, see: regatta list judges; if it learns, then "
                   "from judge.jsonl, or a share of train"),
    RG_OPTION_PART(RgTextOptions, independent_judge, "ngram", &rg_judge_family,
                   "second judge, for evaluation only; it learns from judge-independent.jsonl, or "
                   "a share of train of its own"),
    RG_OPTION_REAL(
        RgTextOptions, judge_share, "0.5", 0, 0.9,
        "share of the lines of train that the two judges are trained on, half each; 0: none, "
        "for judges that learn nothing"),
    RG_OPTION_REAL(RgTextOptions, test_share, "0.1", 0, 0.9,
                   "share of the lines of train that are evaluated on if test is not given"),
    RG_OPTION_CHOICE(
        RgTextOptions, chat_template, "plain", rg_chat_templates,
        "how conversations become tokens: plain, the text and a newline; the chat format of a "
        "model; hh, as in Anthropic's transcripts; or one of the two in SAIL's code"),
    RG_OPTION_PATH(RgTextOptions, chat_template_file, "",
                   "the model's own template in place of chat_template: chat_template.jinja, or "
                   "tokenizer_config.json with the template in it"),
    RG_OPTION_INTEGER(
        RgTextOptions, prompt_limit, "0", 0, 1e9,
        "most tokens of a prompt; 0: what the policy's context allows, else an error"),
    RG_OPTION_CHOICE(RgTextOptions, truncation, "drop", rg_truncations,
                     "what to do with longer prompts: drop the line, or keep the start or the end "
                     "of the prompt; every evaluation reports the count"),
    RG_OPTION_PATH(RgTextOptions, tokenizer, NULL, "tokenizer.json, or a llama2.c vocabulary",
                   .neighbours = tokenizer_neighbours),
    RG_OPTION_CHOICE(
        RgTextOptions, pairs, "sampled", pair_sources,
        "offline pairs: sampled, two responses sampled from the reference policy and labelled by "
        "the judge; dataset, the chosen and rejected responses of the training file"),
    RG_OPTION_INTEGER(RgTextOptions, pair_count, "4000", 0, 1e7,
                      "offline preference pairs; of a data set at most one for each line; with "
                      "unpaired = all, lines that are trained on; 0: none"),
    RG_OPTION_REAL(RgTextOptions, pair_temperature, "1", 0, 100,
                   "temperature at which the reference's responses are sampled for pairs"),
    RG_OPTION_REAL(RgTextOptions, label_temperature, "1", 0, 1e3,
                   "temperature of the judge's Bradley-Terry labels; 0: the larger reward"),
    RG_OPTION_REAL(RgTextOptions, label_noise, "0", 0, 1, "probability that a label is flipped"),
    RG_OPTION_CHOICE(RgTextOptions, demonstrations, "chosen", demonstration_sources,
                     "texts for supervised training: chosen, the preferred responses of the "
                     "offline pairs; corpus, all texts of base.jsonl with their prompts, both "
                     "responses of each; whole, both responses of all lines that are not evaluated "
                     "on, the judges' lines included, except responses over the limit"),
    RG_OPTION_INTEGER(RgTextOptions, response_limit, "64", 1, 65536,
                      "most tokens of a response; written pairs with a longer one are left out"),
    RG_OPTION_LIST(RgTextOptions, stop,
                   "tokens that end a sampled response as the end token does, and belong to it: "
                   "each by its text, a special token by its name, or by its id"),
    RG_OPTION_INTEGER(RgTextOptions, test_prompts, "1000", 1, 1e6,
                      "number of lines of test.jsonl to evaluate on, at most all"),
    RG_OPTION_INTEGER(RgTextOptions, test_pairs, "200", 1, 1e6,
                      "number of test pairs whose written responses every evaluation scores "
                      "(reward_margin, reward_accuracy, nll, ...), at most all",
                      .later = true),
    RG_OPTION_REAL(RgTextOptions, temperature, "1", 0, 100,
                   "temperature at which evaluated responses are sampled; 0: greedy"),
    RG_OPTION_INTEGER(RgTextOptions, top_k, "0", 0, 1e9,
                      "sample evaluated responses from the k likeliest tokens; 0: all"),
    RG_OPTION_REAL(RgTextOptions, top_p, "1", 0, 1,
                   "sample evaluated responses from the smallest set of tokens with this "
                   "probability mass; 1: all"),
    RG_OPTION_REAL(RgTextOptions, min_p, "0", 0, 1,
                   "sample evaluated responses only from tokens with at least this share of the "
                   "likeliest token's probability; 0: all"),
    RG_OPTION_INTEGER(RgTextOptions, response_samples, "40", 0, 1e6,
                      "number of test prompts whose sampled responses are stored as text"),
    RG_OPTION_END,
};

/* ---- life ---- */

static RgStatus load_tokenizer(RgTextState *s, const char *path, RgError *error) {
    const RgTextOptions *o = &s->options;
    if (o->chat_template_file[0] && o->chat_template != 0)
        return rg_fail(error, RG_E_USAGE,
                       "environment.chat_template_file takes the place of chat_template, which is "
                       "\"%s\", expected one of them",
                       rg_chat_templates[o->chat_template]);
    RG_TRY(rg_tokenizer_load(path, 0, &s->tokenizer, error));
    bool both = rg_tokenizer_begin(s->tokenizer) >= 0 && rg_tokenizer_end(s->tokenizer) >= 0;
    if (!o->chat_template_file[0] && o->chat_template == 0 && !both)
        return rg_fail(error, RG_E_FORMAT, "%s: no begin or no end token, expected both", path);
    RgStatus status =
        rg_text_layout_create(s->tokenizer, o->chat_template, o->chat_template_file,
                              o->prompt_limit, (RgTruncation)o->truncation, &s->layout, error);
    if (status == RG_E_RANGE) /* of the limit */
        return rg_options_name_key(options_table, "environment", RG_E_USAGE, error);
    if (status == RG_OK || o->chat_template_file[0])
        return status;
    rg_fail_in(error, RG_E_USAGE, "environment.chat_template: %s", path);
    return RG_E_USAGE;
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

/* Append both responses of a line, or its single one, unless one of them is over the limit. */
static bool append_written(const RgTextState *s, const RgTextLine *line, RgSequences *to) {
    int64_t limit = s->options.response_limit;
    RgSequences *both = rg_sequences_create();
    if (line->chosen)
        rg_text_append(both, s->layout, line->turns, line->turn_count, line->chosen);
    if (line->rejected)
        rg_text_append(both, s->layout, line->turns, line->turn_count, line->rejected);
    bool fits = true;
    for (int64_t k = 0; k < both->count; k++)
        fits = fits && rg_sequence_response_length(both, k) <= limit;
    for (int64_t k = 0; fits && k < both->count; k++)
        rg_sequences_append_from(to, both, k, false);
    rg_sequences_destroy(both);
    return fits;
}

/* Append what a line has of both responses. */
static void append_whole(const RgTextState *s, const RgTextLine *line, RgSequences *to) {
    if (line->chosen)
        rg_text_append_whole(to, s->layout, line->turns, line->turn_count, line->chosen);
    if (line->rejected)
        rg_text_append_whole(to, s->layout, line->turns, line->turn_count, line->rejected);
}

static RgStatus refuse_long_lines(const RgTextState *s, const RgTextData *data, RgError *error) {
    return rg_fail(error, RG_E_USAGE,
                   "environment.response_limit = %lld: every line of %s has a response of more "
                   "tokens, expected a larger limit",
                   (long long)s->options.response_limit, data->path);
}

static RgStatus make_test_set(RgTextState *s, const RgTextData *test, RgError *error) {
    s->test_prompts = rg_sequences_create();
    s->test_pairs = rg_sequences_create();
    int64_t pairs = 0;
    for (int64_t i = 0; i < test->count; i++) {
        const RgTextLine *line = &test->lines[i];
        if (line->chosen && s->test_prompts->count < s->options.test_prompts)
            rg_text_append(s->test_prompts, s->layout, line->turns, line->turn_count, NULL);
        if (!rg_text_line_is_pair(line))
            continue;
        pairs++;
        if (s->test_pairs->count < 2 * s->options.test_pairs)
            append_written(s, line, s->test_pairs);
    }
    if (s->test_prompts->count == 0)
        return rg_fail(error, RG_E_RANGE,
                       "%s: no test line has a desirable response, which win_rate_dataset compares "
                       "with: expected some",
                       test->path);
    if (s->test_pairs->count > 0 || pairs == 0)
        return RG_OK;
    return refuse_long_lines(s, test, error);
}

static void take_prompts(RgTextState *s) {
    s->prompts = rg_sequences_create();
    for (int64_t i = 0; i < s->train->count; i++)
        rg_text_append(s->prompts, s->layout, s->train->lines[i].turns,
                       s->train->lines[i].turn_count, NULL);
}

/* Prompts and responses as texts to learn as a whole. */
static void take_whole_lines(RgTextState *s, const RgTextFiles *files) {
    static const RgTextPart parts[] = {RG_TEXT_PART_TRAIN, RG_TEXT_PART_JUDGE,
                                       RG_TEXT_PART_INDEPENDENT};
    s->demonstrations = rg_sequences_create();
    RgSequences *fits = rg_sequences_create();
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++)
        for (int64_t i = 0; i < files->part[parts[k]]->count; i++) {
            const RgTextLine *line = &files->part[parts[k]]->lines[i];
            if (append_written(s, line, fits))
                append_whole(s, line, s->demonstrations);
            rg_sequences_clear(fits);
        }
    rg_sequences_destroy(fits);
}

static RgStatus use_files(RgTextState *s, RgTextFiles *files, RgRandom random, RgError *error) {
    RG_TRY(rg_text_judges_create(s, files, random, error));
    RG_TRY(make_test_set(s, files->part[RG_TEXT_PART_TEST], error));
    RG_TRY(rg_text_judges_learn_turns(s, files, error));
    RG_TRY(rg_text_judges_measure(s, files->part[RG_TEXT_PART_TEST], error));
    if (s->options.demonstrations == RG_TEXT_DEMONSTRATIONS_WHOLE)
        take_whole_lines(s, files);
    s->train = files->part[RG_TEXT_PART_TRAIN];
    files->part[RG_TEXT_PART_TRAIN] = NULL;
    take_prompts(s);
    if (s->conversations) {
        s->test = files->part[RG_TEXT_PART_TEST];
        files->part[RG_TEXT_PART_TEST] = NULL;
    }
    return RG_OK;
}

static RgStatus read_corpus(RgTextState *s, RgError *error) {
    RgTextData *corpus;
    RG_TRY(rg_text_file_read(s, "base", &corpus, error));
    s->demonstrations = rg_sequences_create();
    for (int64_t i = 0; i < corpus->count; i++)
        append_whole(s, &corpus->lines[i], s->demonstrations);
    rg_text_data_destroy(corpus);
    return RG_OK;
}

/* The pairs that are trained on, and the responses of all lines that are, if none is over the limit. */
static int64_t count_written(const RgTextState *s, int64_t *responses, int64_t *desirable) {
    int64_t pairs = 0;
    *responses = *desirable = 0;
    for (int64_t i = 0; i < s->train->count && i < s->options.pair_count; i++) {
        bool pair = rg_text_line_is_pair(&s->train->lines[i]);
        pairs += pair;
        *responses += pair ? 2 : 1;
        *desirable += s->train->lines[i].chosen != NULL;
    }
    return pairs;
}

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    RgTextState *s = rg_allocate(1, sizeof *s);
    environment->state = s;
    s->options = *(const RgTextOptions *)options;
    RG_TRY(rg_text_files_check(&s->options, error));
    if (s->options.unpaired == RG_TEXT_UNPAIRED_ALL && s->options.pairs != PAIRS_DATASET)
        return rg_fail(error, RG_E_USAGE,
                       "environment.unpaired is \"all\", and environment.pairs is \"sampled\", "
                       "which reads no responses: expected pairs = \"dataset\"");
    RG_TRY(load_tokenizer(s, s->options.tokenizer, error));
    RG_TRY(read_stop_tokens(s, error));
    RgTextFiles files = {{NULL}};
    RgStatus status = rg_text_files_read(s, &files, error);
    if (status == RG_OK)
        status = use_files(s, &files, random, error);
    rg_text_files_release(&files);
    RG_TRY(status);
    if (s->options.demonstrations == RG_TEXT_DEMONSTRATIONS_CORPUS)
        RG_TRY(read_corpus(s, error));
    s->options.data = s->options.train = s->options.test = s->options.tokenizer = NULL;
    s->options.chat_template_file = NULL;
    memset(s->options.column, 0, sizeof s->options.column);
    s->options.judge = s->options.independent_judge = (RgOptionPart){0};
    s->options.stop.count = 0;

    bool compares = rg_judge_only_compares(s->judge);
    bool all = s->options.unpaired == RG_TEXT_UNPAIRED_ALL;
    int64_t pairs = s->options.pair_count, singles = 0, desirable = 0;
    if (s->options.pairs == PAIRS_DATASET)
        pairs = count_written(s, &singles, &desirable);
    environment->space = (RgPolicySpace){.vocabulary = rg_tokenizer_vocabulary(s->tokenizer)};
    environment->task = (RgTask){.prompts = s->prompts,
                                 .demonstrations = s->demonstrations,
                                 .expected_pairs = pairs > 0 ? pairs : RG_NO_PAIRS,
                                 .expected_singles = all ? singles : 0,
                                 .expected_desirable = all ? desirable : 0,
                                 .test_prompts = s->test_prompts->count,
                                 .response_limit = s->options.response_limit,
                                 .tokens = environment->space.vocabulary,
                                 .end_token = rg_text_layout_end(s->layout),
                                 .stop = s->stop,
                                 .judge = compares ? NULL : rg_text_judge,
                                 .label = compares ? rg_text_label : NULL,
                                 .skips = s->judge->skips,
                                 .environment = environment,
                                 .label_temperature = s->options.label_temperature,
                                 .label_noise = s->options.label_noise};
    return RG_OK;
}

static bool gives_rewards(const void *options) {
    return rg_judge_part_gives_rewards(&((const RgTextOptions *)options)->judge);
}

/* See rg_text_evaluate. */
static const char *const metrics[] = {
    "win_rate_base",
    "independent_win_rate_base",
    "judge_agreement",
    "win_rate_dataset",
    "reward",
    "independent_reward",
    "objective",
    "kl",
    "length",
    "words",
    "reward_margin",
    "reward_accuracy",
    "logps_chosen",
    "logps_rejected",
    "nll",
    "nll_chosen",
    NULL,
};

static bool measures(const void *options, const char *metric) {
    const RgTextOptions *o = options;
    if (strcmp(metric, "independent_reward") == 0)
        return rg_judge_part_gives_rewards(&o->independent_judge);
    return gives_rewards(o) || (strcmp(metric, "reward") != 0 && strcmp(metric, "objective") != 0);
}

static void destroy(RgEnvironment *environment) {
    RgTextState *s = environment->state;
    rg_text_reference_clear(&s->of_reference);
    free(s->chosen_reward);
    rg_sequences_destroy(s->chosen);
    rg_sequences_destroy(s->test_pairs);
    rg_sequences_destroy(s->test_prompts);
    rg_pairs_destroy(s->pairs);
    rg_singles_destroy(s->singles);
    rg_sequences_destroy(s->demonstrations);
    rg_sequences_destroy(s->prompts);
    rg_lookup_destroy(s->conversation_of);
    free(s->conversations);
    rg_text_data_destroy(s->test);
    rg_text_data_destroy(s->train);
    rg_judge_destroy(s->independent);
    rg_judge_destroy(s->judge);
    rg_text_layout_destroy(s->layout);
    rg_tokenizer_destroy(s->tokenizer);
    free(s);
}

/* ---- offline data ---- */

/* Two samples of the reference for each pair. Training prompts are used cyclically if there are
 * more pairs than prompts; each sequence has its own random numbers, so a prompt's next samples are
 * new. */
static RgStatus sample_pairs(RgTextState *s, const RgTask *task, RgPolicy *reference,
                             RgRandom random, RgError *error) {
    int64_t count = s->options.pair_count;
    RgSequences *prompts = rg_sequences_create(), *drawn = rg_sequences_create();
    for (int64_t i = 0; i < count; i++)
        rg_sequences_append_from(prompts, s->prompts, i % s->prompts->count, true);
    RgSampling sampling = {.temperature = s->options.pair_temperature,
                           .top_p = 1,
                           .response_limit = task->response_limit,
                           .tokens = task->tokens,
                           .end_token = task->end_token,
                           .stop = task->stop,
                           .process_group = task->process_group};
    rg_policy_sample(reference, prompts, 2, &sampling, rg_random_named(random, "offline responses"),
                     drawn, NULL);
    rg_sequences_destroy(prompts);

    uint8_t *preferred = rg_allocate(count, sizeof *preferred);
    RgStatus status =
        rg_task_label(task, drawn, rg_random_named(random, "offline labels"), preferred, error);
    if (status == RG_OK)
        rg_pairs_append_labelled(s->pairs, drawn, preferred);
    s->unlabelled_pairs = count - s->pairs->count;
    rg_sequences_destroy(drawn);
    free(preferred);
    if (status == RG_OK && s->pairs->count == 0)
        return rg_fail(error, RG_E_RANGE, "the judge leaves all of %lld pairs without a label",
                       (long long)count);
    return status;
}

/* The same of each response by itself, of all lines that are trained on. */
static RgStatus take_singles(RgTextState *s, RgRandom random, RgError *error) {
    RgRandom labels = rg_random_named(random, "offline labels of singles");
    RgSequences *own = rg_sequences_create();
    s->singles = rg_singles_create();
    for (int64_t i = 0; i < s->train->count && i < s->options.pair_count; i++)
        for (int64_t k = 0; k < 2; k++) {
            RgTextLine single = s->train->lines[i];
            *(k == 0 ? &single.rejected : &single.chosen) = NULL;
            if (!single.chosen && !single.rejected)
                continue;
            rg_sequences_clear(own);
            if (!append_written(s, &single, own)) {
                s->dropped_singles++;
                continue;
            }
            double u = rg_random_uniform(labels, (uint64_t)(2 * i + k));
            rg_singles_append(s->singles, own, 0, (k == 0) != (u < s->options.label_noise));
        }
    rg_sequences_destroy(own);
    return s->dropped_singles > 0 && s->singles->sequences->count == 0
               ? refuse_long_lines(s, s->train, error)
               : RG_OK;
}

/* Written pairs with both responses within the limit; the chosen one is preferred, except for label
 * noise. */
static RgStatus take_dataset(RgTextState *s, RgRandom random, RgError *error) {
    bool all = s->options.unpaired == RG_TEXT_UNPAIRED_ALL;
    if (all)
        RG_TRY(take_singles(s, random, error));
    for (int64_t i = 0; i < s->train->count; i++) {
        if ((all ? i : s->pairs->count) >= s->options.pair_count)
            break;
        if (!rg_text_line_is_pair(&s->train->lines[i]))
            continue;
        if (!append_written(s, &s->train->lines[i], s->pairs->sequences)) {
            s->dropped_pairs++;
            continue;
        }
        double u = rg_random_uniform(rg_random_named(random, "offline labels"), (uint64_t)i);
        rg_pairs_append_label(s->pairs, u < s->options.label_noise ? 1 : 0);
    }
    return s->dropped_pairs > 0 && s->pairs->count == 0 && !all
               ? refuse_long_lines(s, s->train, error)
               : RG_OK;
}

/* The preferred responses of pairs, or, where all responses are read, the desirable ones. */
static RgSequences *chosen_of(const RgTextState *s) {
    if (!s->singles)
        return rg_pairs_chosen(s->pairs);
    RgSequences *chosen = rg_sequences_create();
    for (int64_t i = 0; i < s->singles->sequences->count; i++)
        if (s->singles->desirable[i])
            rg_sequences_append_from(chosen, s->singles->sequences, i, false);
    return chosen;
}

/* Check that the context has space for a response of the limit after each prompt. */
static RgStatus check_prompts(const RgPolicy *policy, const RgSequences *prompts, int64_t limit,
                              const char *what, RgError *error) {
    RG_TRY(rg_policy_check(policy, prompts, what, error));
    int64_t context = policy->type->context_limit ? policy->type->context_limit(policy) : 0;
    int64_t longest = rg_sequences_longest(prompts);
    if (context > 0 && longest + limit > context)
        return rg_fail(
            error, RG_E_CONTEXT,
            "environment.response_limit = %lld: with %lld tokens, those of the longest of the "
            "%s, this exceeds the policy's context of %lld",
            (long long)limit, (long long)longest, what, (long long)context);
    return RG_OK;
}

static RgStatus check_policy(const RgEnvironment *environment, const RgPolicy *policy,
                             RgError *error) {
    const RgTextState *s = environment->state;
    int64_t tokens = rg_tokenizer_vocabulary(s->tokenizer);
    int64_t known = policy->type->vocabulary ? policy->type->vocabulary(policy, true) : tokens;
    if (policy->type->logits)
        return rg_fail(error, RG_E_USAGE,
                       "a %s policy enumerates its responses: the text environment needs a policy "
                       "over tokens, such as a transformer",
                       policy->type->about.name);
    if (known < tokens) /* a larger vocabulary has padding, which is never sampled */
        return rg_fail(error, RG_E_USAGE,
                       "the policy has a vocabulary of %lld tokens, expected at least the %lld of "
                       "the tokenizer",
                       (long long)known, (long long)tokens);
    int64_t limit = s->options.response_limit;
    RG_TRY(check_prompts(policy, s->prompts, limit, "training prompts", error));
    RG_TRY(check_prompts(policy, s->test_prompts, limit, "test prompts", error));
    return rg_policy_check(policy, s->test_pairs, "test pairs", error);
}

static RgStatus prepare(RgEnvironment *environment, RgPolicy *reference, RgRandom random,
                        RgError *error) {
    RgTextState *s = environment->state;
    rg_text_reference_clear(&s->of_reference);
    rg_pairs_destroy(s->pairs);
    s->pairs = rg_pairs_create();
    rg_singles_destroy(s->singles);
    s->singles = NULL;
    s->dropped_pairs = s->dropped_singles = s->unlabelled_pairs = 0;
    if (s->options.pairs == PAIRS_DATASET)
        RG_TRY(take_dataset(s, random, error));
    else if (s->options.pair_count > 0)
        RG_TRY(sample_pairs(s, &environment->task, reference, random, error));
    environment->task.pairs = s->pairs;
    environment->task.singles = s->singles;
    if (s->options.demonstrations == RG_TEXT_DEMONSTRATIONS_CHOSEN) {
        rg_sequences_destroy(s->demonstrations);
        s->demonstrations = chosen_of(s);
    }
    environment->task.demonstrations = s->demonstrations;
    return RG_OK;
}

const RgEnvironmentType rg_environment_text = {
    .about = {.name = "text",
              .summary = "Prompts and responses as text: continue a passage in one of two styles, "
                         "with a judge and a second one trained on other texts",
              .options = options_table,
              .options_size = sizeof(RgTextOptions)},
    .primary_metric = "win_rate_base",
    .metrics = metrics,
    .create = create,
    .check = check_policy,
    .prepare = prepare,
    .evaluate = rg_text_evaluate,
    .destroy = destroy,
    .gives_rewards = gives_rewards,
    .measures = measures,
    .use_answers = rg_text_use_answers,
    .take_counts = rg_text_take_counts,
    .save = rg_text_save,
};
