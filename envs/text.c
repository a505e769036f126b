/* The text environment: its options, data, judges and offline pairs. Files are read in
 * text_data.c, judges live in judge_*.c, policies are measured in text_evaluate.c. */
#include "envs/text.h"

#include "core/tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAIRS_SAMPLED, PAIRS_DATASET };
static const char *const pair_sources[] = {"sampled", "dataset", NULL};
enum { DEMONSTRATIONS_CHOSEN, DEMONSTRATIONS_CORPUS, DEMONSTRATIONS_WHOLE };
static const char *const demonstration_sources[] = {"chosen", "corpus", "whole", NULL};

enum { TEST_PAIRS = 200 }; /* test lines within the limit, whose written responses are scored */

static const RgOption options_table[] = {
    RG_OPTION_PATH(RgTextOptions, data, "",
                   "folder with base.jsonl, judge.jsonl, judge-independent.jsonl, train.jsonl and "
                   "test.jsonl, or the same names ending in .gz or .zst"),
    RG_OPTION_PATH(RgTextOptions, train, "",
                   "file of preferences, JSON lines that may be compressed, in place of a folder; "
                   "a share of it trains the judges, and no policy sees that"),
    RG_OPTION_PATH(RgTextOptions, test, "",
                   "such a file to evaluate on; without one, a share of the lines of train"),
    RG_OPTION_CHOICE(RgTextOptions, format, "auto", rg_text_formats,
                     "of the files: plain prompt, chosen, rejected; hh, Anthropic's transcripts; "
                     "pku, PKU-SafeRLHF; ultrafeedback, four completions with scores; chat, lists "
                     "of messages; auto tells by the first line"),
    RG_OPTION_CHOICE(RgTextOptions, preference, "better", rg_text_preferences,
                     "which label of PKU-SafeRLHF"),
    RG_OPTION_PART(RgTextOptions, judge, "ngram", &rg_judge_family,
                   "who labels and rewards, see: regatta list judges; one that learns does so from "
                   "judge.jsonl, or a share of train"),
    RG_OPTION_PART(RgTextOptions, independent_judge, "ngram", &rg_judge_family,
                   "whom no method is trained by, for evaluation; it learns from "
                   "judge-independent.jsonl, or a share of train of its own"),
    RG_OPTION_REAL(RgTextOptions, judge_share, "0.5", 0, 0.9,
                   "share of the lines of train that the two judges are trained on, half each"),
    RG_OPTION_REAL(RgTextOptions, test_share, "0.1", 0, 0.9,
                   "share of the lines of train that are evaluated on, where test is not given"),
    RG_OPTION_CHOICE(
        RgTextOptions, chat_template, "plain", rg_chat_templates,
        "how conversations become tokens: plain, the text and a newline; a model's own "
        "format; hh, as in Anthropic's transcripts; or one of the two of SAIL's code"),
    RG_OPTION_INTEGER(RgTextOptions, prompt_limit, "0", 0, 1e9,
                      "most tokens of a prompt; 0: what the policy's context allows, or an error"),
    RG_OPTION_CHOICE(RgTextOptions, truncation, "drop", rg_truncations,
                     "prompts of more tokens: drop the line, or keep the start or the end of the "
                     "prompt; either is counted in every evaluation"),
    RG_OPTION_PATH(RgTextOptions, tokenizer, NULL, "tokenizer.json, or a llama2.c vocabulary"),
    RG_OPTION_CHOICE(RgTextOptions, pairs, "sampled", pair_sources,
                     "offline pairs: two responses sampled from the reference policy and labelled "
                     "by the judge, or the chosen and rejected responses of the training file"),
    RG_OPTION_INTEGER(RgTextOptions, pair_count, "4000", 0, 1e7,
                      "offline preference pairs; of a data set at most one for each line; 0: none"),
    RG_OPTION_REAL(RgTextOptions, pair_temperature, "1", 0, 100,
                   "temperature at which the reference's responses are sampled for pairs"),
    RG_OPTION_REAL(RgTextOptions, label_temperature, "1", 0, 1e3,
                   "temperature of the judge's Bradley-Terry labels; 0: the larger reward"),
    RG_OPTION_REAL(RgTextOptions, label_noise, "0", 0, 1, "probability that a label is flipped"),
    RG_OPTION_CHOICE(RgTextOptions, demonstrations, "chosen", demonstration_sources,
                     "for supervised training: the preferred responses of the offline pairs; "
                     "corpus, all texts of base.jsonl with their prompts, both responses of each; "
                     "whole, the same of all lines that are not evaluated on, the judges' too, but "
                     "for responses over the limit"),
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

/* Sequences as judges see them; to be released. */
static RgJudgeItems items_of(const RgTextState *s, const RgSequences *sequences) {
    int64_t count = sequences->count;
    char **text = rg_allocate((size_t)(2 * count + 1) * sizeof *text); /* prompts, then responses */
#pragma omp parallel for num_threads(rg_threads()) schedule(dynamic, 16)
    for (int64_t i = 0; i < count; i++) {
        text[i] = rg_text_prompt(s->layout, sequences, i);
        text[count + i] = rg_text_response(s->layout, sequences, i);
    }
    return (RgJudgeItems){count, (const char *const *)text, (const char *const *)text + count,
                          sequences};
}

static void release_items(RgJudgeItems *items) {
    for (int64_t i = 0; i < items->count; i++) {
        free((char *)items->prompt[i]);
        free((char *)items->response[i]);
    }
    free((void *)items->prompt);
}

RgStatus rg_text_rewards(const RgTextState *s, RgJudge *judge, const RgSequences *sequences,
                         double *reward, RgError *error) {
    RgJudgeItems items = items_of(s, sequences);
    RgStatus status = rg_judge_rewards(judge, &items, reward, error);
    release_items(&items);
    return status;
}

/* Of pairs (2i, 2i + 1); see RgJudgeType. */
static RgStatus compare_pairs(const RgTextState *s, RgJudge *judge, const RgSequences *pairs,
                              double *first, RgError *error) {
    RgJudgeItems items = items_of(s, pairs);
    RgStatus status = rg_judge_compare(judge, &items, first, error);
    release_items(&items);
    return status;
}

RgStatus rg_text_compare(const RgTextState *s, RgJudge *judge, const RgSequences *first,
                         const RgSequences *second, double *share, RgError *error) {
    RgSequences *pairs = rg_sequences_create();
    for (int64_t i = 0; i < first->count; i++) {
        rg_sequences_append_from(pairs, first, i, false);
        rg_sequences_append_from(pairs, second, i, false);
    }
    RgStatus status = compare_pairs(s, judge, pairs, share, error);
    for (int64_t i = 0; status == RG_OK && i < first->count; i++)
        share[i] = isnan(share[i]) ? 0.5 : share[i];
    rg_sequences_destroy(pairs);
    return status;
}

static RgStatus judge(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error) {
    const RgTextState *s = ((RgEnvironment *)environment)->state;
    return rg_text_rewards(s, s->judge, sequences, reward, error);
}

/* The labels of a judge that only compares: what it says, a coin where that is a tie, and then the
 * noise. */
static RgStatus label(void *environment, const RgSequences *pairs, RgRandom random,
                      uint8_t *preferred, RgError *error) {
    const RgTextState *s = ((RgEnvironment *)environment)->state;
    int64_t count = pairs->count / 2;
    double *first = rg_allocate((size_t)(count + 1) * sizeof *first),
           noise = s->options.label_noise;
    RgStatus status = compare_pairs(s, s->judge, pairs, first, error);
    for (int64_t i = 0; status == RG_OK && i < count; i++) {
        double p = first[i] * (1 - noise) + (1 - first[i]) * noise;
        preferred[i] = isnan(p)                                     ? RG_UNLABELLED
                       : rg_random_uniform(random, (uint64_t)i) < p ? 0
                                                                    : 1;
    }
    free(first);
    return status;
}

/* ---- asking elsewhere ---- */

static RgStatus use_answers(RgEnvironment *environment, RgAnswerShelf *answers, RgError *error) {
    RgTextState *s = environment->state;
    RgJudge *judges[] = {s->judge, s->independent};
    for (int k = 0; k < 2; k++)
        if (judges[k]->type->use_answers && !answers)
            return rg_fail(error, RG_E_USAGE, "%s: there is nowhere to keep its answers",
                           judges[k]->type->name);
        else if (judges[k]->type->use_answers)
            RG_TRY(judges[k]->type->use_answers(judges[k], answers, error));
    return RG_OK;
}

int rg_text_take_counts(RgEnvironment *environment, RgEnvironmentCount *counts) {
    RgTextState *s = environment->state;
    RgJudge *judges[] = {s->judge, s->independent};
    RgJudgeCount taken[RG_JUDGE_COUNTS];
    int count = 0;
    for (int k = 0; k < 2; k++) {
        if (!judges[k]->type->take_counts)
            continue;
        judges[k]->type->take_counts(judges[k], taken);
        for (int i = 0; i < RG_JUDGE_COUNTS; i++, count++) {
            snprintf(counts[count].name, sizeof counts[count].name, "%s%s", k ? "independent_" : "",
                     taken[i].name);
            counts[count].value = taken[i].value;
        }
    }
    return count;
}

/* ---- life ---- */

static bool too_long(const RgTextLine *line, const void *context) {
    const RgTextState *s = context;
    return rg_text_prompt_tokens(s->layout, line->turns, line->turn_count) >
           s->options.prompt_limit;
}

/* Prompts over the limit are left out; or they stay, and are cut where they become tokens. */
static RgStatus limit_prompts(RgTextState *s, RgTextData *data, RgError *error) {
    int64_t over = 0, all = data->count;
    for (int64_t i = 0; i < all; i++)
        over += too_long(&data->lines[i], s);
    if (s->options.truncation != RG_TRUNCATE_DROP) {
        s->truncated_prompts += over;
        return RG_OK;
    }
    s->dropped_prompts += over;
    rg_text_data_destroy(rg_text_data_take(data, too_long, s));
    if (over < all)
        return RG_OK;
    return rg_fail(error, RG_E_RANGE,
                   "%s: every prompt has more tokens than prompt_limit, which is %lld", data->path,
                   (long long)s->options.prompt_limit);
}

static RgStatus read_file(RgTextState *s, const char *path, RgTextData **data, RgError *error) {
    RG_TRY(rg_text_data_read(path, (RgTextFormat)s->options.format,
                             (RgTextPreference)s->options.preference, data, error));
    s->useless_lines += (*data)->empty + (*data)->ties + (*data)->parted;
    if (s->options.prompt_limit == 0)
        return RG_OK;
    RgStatus status = limit_prompts(s, *data, error);
    if (status != RG_OK) {
        rg_text_data_destroy(*data);
        *data = NULL;
    }
    return status;
}

/* A file of the folder, compressed or not. */
static RgStatus read_data(RgTextState *s, const char *name, RgTextData **data, RgError *error) {
    static const char *const endings[] = {".jsonl.gz", ".jsonl.zst", ".jsonl"};
    RgStatus status = RG_E_FILE;
    for (int k = 0; k < 3; k++) {
        char *path = rg_string_format("%s/%s%s", s->options.data, name, endings[k]);
        bool last = k == 2, there = access(path, R_OK) == 0;
        if (last || there)
            status = read_file(s, path, data, error);
        free(path);
        if (there)
            break;
    }
    return status;
}

static RgStatus load_tokenizer(RgTextState *s, const char *path, RgError *error) {
    const RgTextOptions *o = &s->options;
    RG_TRY(rg_tokenizer_load(path, 0, &s->tokenizer, error));
    bool both = rg_tokenizer_begin(s->tokenizer) >= 0 && rg_tokenizer_end(s->tokenizer) >= 0;
    if (o->chat_template == 0 && !both)
        return rg_fail(error, RG_E_FORMAT, "%s: no begin or no end token, expected both", path);
    RgStatus status = rg_text_layout_create(s->tokenizer, o->chat_template, o->prompt_limit,
                                            (RgTruncation)o->truncation, &s->layout, error);
    return status == RG_OK ? RG_OK : rg_fail_in(error, status, "%s", path);
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

/* The first lines as judges see them, borrowed from `data`; to be released. */
static RgJudgeShare share_of(const RgTextState *s, const RgTextData *data, int64_t count) {
    RgJudgeText *texts = rg_allocate((size_t)(count + 1) * sizeof *texts);
    RgSequences *sequences = rg_sequences_create();
    for (int64_t i = 0; i < count; i++) {
        const RgTextLine *line = &data->lines[i];
        texts[i] = (RgJudgeText){rg_text_line_prompt(line), line->chosen, line->rejected};
        rg_text_append(sequences, s->layout, line->turns, line->turn_count, line->chosen);
        rg_text_append(sequences, s->layout, line->turns, line->turn_count, line->rejected);
    }
    return (RgJudgeShare){.texts = texts,
                          .count = count,
                          .sequences = sequences,
                          .vocabulary = rg_tokenizer_vocabulary(s->tokenizer),
                          .path = data->path};
}

static void release_share(RgJudgeShare *share) {
    rg_sequences_destroy((RgSequences *)share->sequences);
    free((void *)share->texts);
}

static RgStatus make_judge(const RgTextState *s, const RgOptionPart *part, const RgTextData *data,
                           bool independent, RgRandom random, RgJudge **new, RgError *error) {
    RgJudgeShare share = share_of(s, data, data->count);
    share.independent = independent;
    RgRandom own = rg_random_named(random, independent ? "judge-independent" : "judge");
    RgStatus status = rg_judge_create(part, &share, own, new, error);
    release_share(&share);
    return status;
}

/* Append both responses of a line, unless one of them is over the limit. */
static bool append_written(const RgTextState *s, const RgTextLine *line, RgSequences *to) {
    int64_t limit = s->options.response_limit;
    RgSequences *both = rg_sequences_create();
    rg_text_append(both, s->layout, line->turns, line->turn_count, line->chosen);
    rg_text_append(both, s->layout, line->turns, line->turn_count, line->rejected);
    bool fits = rg_sequence_response_length(both, 0) <= limit &&
                rg_sequence_response_length(both, 1) <= limit;
    for (int64_t k = 0; fits && k < 2; k++)
        rg_sequences_append_from(to, both, k, false);
    rg_sequences_destroy(both);
    return fits;
}

static void append_whole(const RgTextState *s, const RgTextLine *line, RgSequences *to) {
    rg_text_append_whole(to, s->layout, line->turns, line->turn_count, line->chosen);
    rg_text_append_whole(to, s->layout, line->turns, line->turn_count, line->rejected);
}

static RgStatus make_test_set(RgTextState *s, const RgTextData *test, RgError *error) {
    s->test_prompts = rg_sequences_create();
    s->test_pairs = rg_sequences_create();
    int64_t count = s->options.test_prompts < test->count ? s->options.test_prompts : test->count;
    for (int64_t i = 0; i < count; i++)
        rg_text_append(s->test_prompts, s->layout, test->lines[i].turns, test->lines[i].turn_count,
                       NULL);
    for (int64_t i = 0; i < test->count && s->test_pairs->count < 2 * TEST_PAIRS; i++)
        append_written(s, &test->lines[i], s->test_pairs);
    if (s->test_pairs->count > 0)
        return RG_OK;
    return rg_fail(error, RG_E_RANGE,
                   "%s: every line has a response of more tokens than response_limit, which is "
                   "%lld",
                   test->path, (long long)s->options.response_limit);
}

/* By the judge, from the texts as they are written, if it gives rewards. */
static RgStatus reward_chosen(RgTextState *s, const RgTextData *test, RgError *error) {
    int64_t count = s->test_prompts->count;
    RgSequences *chosen = s->chosen = rg_sequences_create();
    const char **text = rg_allocate((size_t)(2 * count + 1) * sizeof *text);
    for (int64_t i = 0; i < count; i++) {
        const RgTextLine *line = &test->lines[i];
        rg_text_append(chosen, s->layout, line->turns, line->turn_count, line->chosen);
        text[i] = rg_text_line_prompt(line);
        text[count + i] = line->chosen;
    }
    RgJudgeItems items = {count, text, text + count, chosen};
    RgStatus status = RG_OK;
    if (!rg_judge_only_compares(s->judge)) {
        s->chosen_reward = rg_allocate((size_t)count * sizeof *s->chosen_reward);
        status = rg_judge_rewards(s->judge, &items, s->chosen_reward, error);
    }
    free(text);
    return status;
}

static RgStatus measure_judges(RgTextState *s, const RgTextData *test, RgError *error) {
    RgJudgeShare share = share_of(s, test, test->count);
    double temperature = s->options.label_temperature;
    RgStatus status = RG_OK;
    s->judge_quality.accuracy = s->independent_quality.accuracy = NAN;
    if (!rg_judge_only_compares(s->judge))
        status = rg_judge_quality(s->judge, &share, temperature, &s->judge_quality, error);
    if (status == RG_OK && !rg_judge_only_compares(s->independent))
        status =
            rg_judge_quality(s->independent, &share, temperature, &s->independent_quality, error);
    release_share(&share);
    return status;
}

static void take_prompts(RgTextState *s) {
    s->prompts = rg_sequences_create();
    for (int64_t i = 0; i < s->train->count; i++)
        rg_text_append(s->prompts, s->layout, s->train->lines[i].turns,
                       s->train->lines[i].turn_count, NULL);
}

/* What the lines are for. */
typedef enum Part { PART_TEST, PART_JUDGE, PART_INDEPENDENT, PART_TRAIN, PARTS } Part;

/* The files, or the parts of one. */
typedef struct Files {
    RgTextData *part[PARTS];
} Files;

static void release_files(Files *files) {
    for (int k = 0; k < PARTS; k++)
        rg_text_data_destroy(files->part[k]);
}

/* By the text of its conversation, so that lines of one prompt go together and adding others moves
 * none. */
static Part part_of_line(const RgTextOptions *o, bool has_test, const RgTextLine *line) {
    RgDigest digest = RG_DIGEST_START;
    for (int64_t i = 0; i < line->turn_count; i++)
        digest = rg_digest(digest, line->turns[i].text, strlen(line->turns[i].text));
    double u = (double)(digest.word[0] >> 11) * 0x1p-53, test = has_test ? 0 : o->test_share;
    if (u < test)
        return PART_TEST;
    u = (u - test) / (1 - test);
    return u < o->judge_share / 2 ? PART_JUDGE : u < o->judge_share ? PART_INDEPENDENT : PART_TRAIN;
}

typedef struct Picking {
    const RgTextOptions *options;
    bool has_test;
    Part part;
} Picking;

static bool is_of_part(const RgTextLine *line, const void *context) {
    const Picking *p = context;
    return part_of_line(p->options, p->has_test, line) == p->part;
}

/* One's own file, in parts. */
static RgStatus read_parts(RgTextState *s, Files *files, RgError *error) {
    const RgTextOptions *o = &s->options;
    static const char *const names[] = {"evaluation", "the judge", "the independent judge",
                                        "training"};
    bool has_test = o->test[0] != '\0';
    if (has_test)
        RG_TRY(read_file(s, o->test, &files->part[PART_TEST], error));
    RgTextData *all;
    RG_TRY(read_file(s, o->train, &all, error));
    RgStatus status = RG_OK;
    for (int k = has_test; k < PARTS && status == RG_OK; k++) {
        Picking picking = {o, has_test, (Part)k};
        files->part[k] = rg_text_data_take(all, is_of_part, &picking);
        if (files->part[k]->count == 0)
            status = rg_fail(error, RG_E_RANGE,
                             "%s: no line is left for %s, with test_share %g and judge_share %g",
                             o->train, names[k], o->test_share, o->judge_share);
    }
    rg_text_data_destroy(all);
    return status;
}

static RgStatus read_folder(RgTextState *s, Files *files, RgError *error) {
    static const char *const names[PARTS] = {"test", "judge", "judge-independent", "train"};
    for (int k = 0; k < PARTS; k++)
        RG_TRY(read_data(s, names[k], &files->part[k], error));
    return RG_OK;
}

/* Prompts and responses as texts to be learnt as a whole. */
static void take_whole_lines(RgTextState *s, const Files *files) {
    static const Part parts[] = {PART_TRAIN, PART_JUDGE, PART_INDEPENDENT};
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

static RgStatus use_files(RgTextState *s, Files *files, RgRandom random, RgError *error) {
    const RgTextOptions *o = &s->options;
    RG_TRY(make_judge(s, &o->judge, files->part[PART_JUDGE], false, random, &s->judge, error));
    RG_TRY(make_judge(s, &o->independent_judge, files->part[PART_INDEPENDENT], true, random,
                      &s->independent, error));
    RG_TRY(make_test_set(s, files->part[PART_TEST], error));
    RG_TRY(measure_judges(s, files->part[PART_TEST], error));
    RG_TRY(reward_chosen(s, files->part[PART_TEST], error));
    if (o->demonstrations == DEMONSTRATIONS_WHOLE)
        take_whole_lines(s, files);
    s->train = files->part[PART_TRAIN];
    files->part[PART_TRAIN] = NULL;
    take_prompts(s);
    return RG_OK;
}

static RgStatus check_files(const RgTextOptions *o, RgError *error) {
    bool folder = o->data[0] != '\0', own = o->train[0] != '\0';
    if (folder == own)
        return rg_fail(error, RG_E_USAGE,
                       "environment: expected either data, a folder, or train, a file");
    if (folder && o->test[0] != '\0')
        return rg_fail(error, RG_E_USAGE,
                       "environment.test: the folder of data has its own test.jsonl");
    if (own && o->demonstrations == DEMONSTRATIONS_CORPUS)
        return rg_fail(
            error, RG_E_USAGE,
            "environment.demonstrations: \"corpus\" is base.jsonl of the folder of data, "
            "expected \"chosen\" beside train");
    return RG_OK;
}

static RgStatus read_corpus(RgTextState *s, RgError *error) {
    RgTextData *corpus;
    RG_TRY(read_data(s, "base", &corpus, error));
    s->demonstrations = rg_sequences_create();
    for (int64_t i = 0; i < corpus->count; i++)
        append_whole(s, &corpus->lines[i], s->demonstrations);
    rg_text_data_destroy(corpus);
    return RG_OK;
}

static RgStatus create(RgEnvironment *environment, const void *options, RgRandom random,
                       RgError *error) {
    RgTextState *s = rg_allocate(sizeof *s);
    environment->state = s;
    s->options = *(const RgTextOptions *)options;
    RG_TRY(check_files(&s->options, error));
    RG_TRY(load_tokenizer(s, s->options.tokenizer, error));
    RG_TRY(read_stop_tokens(s, error));
    Files files = {{NULL}};
    bool own = s->options.train[0] != '\0';
    RgStatus status = own ? read_parts(s, &files, error) : read_folder(s, &files, error);
    if (status == RG_OK)
        status = use_files(s, &files, random, error);
    release_files(&files);
    RG_TRY(status);
    if (s->options.demonstrations == DEMONSTRATIONS_CORPUS)
        RG_TRY(read_corpus(s, error));
    s->options.data = s->options.train = s->options.test = s->options.tokenizer = NULL;
    s->options.judge = s->options.independent_judge = (RgOptionPart){0};
    s->options.stop.count = 0;

    bool compares = rg_judge_only_compares(s->judge);
    environment->space = (RgPolicySpace){.vocabulary = rg_tokenizer_vocabulary(s->tokenizer)};
    environment->course = (RgCourse){.prompts = s->prompts,
                                     .demonstrations = s->demonstrations,
                                     .response_limit = s->options.response_limit,
                                     .end_token = rg_text_layout_end(s->layout),
                                     .stop = s->stop,
                                     .judge = compares ? NULL : judge,
                                     .label = compares ? label : NULL,
                                     .skips = s->judge->skips,
                                     .environment = environment,
                                     .label_temperature = s->options.label_temperature,
                                     .label_noise = s->options.label_noise};
    return RG_OK;
}

static void destroy(RgEnvironment *environment) {
    RgTextState *s = environment->state;
    rg_text_reference_clear(&s->of_reference);
    free(s->chosen_reward);
    rg_sequences_destroy(s->chosen);
    rg_sequences_destroy(s->test_pairs);
    rg_sequences_destroy(s->test_prompts);
    rg_pairs_destroy(s->pairs);
    rg_sequences_destroy(s->demonstrations);
    rg_sequences_destroy(s->prompts);
    rg_text_data_destroy(s->train);
    rg_judge_destroy(s->independent);
    rg_judge_destroy(s->judge);
    rg_text_layout_destroy(s->layout);
    rg_tokenizer_destroy(s->tokenizer);
    free(s);
}

/* ---- offline data ---- */

/* Of the pairs that were sampled, those with a label. */
static void keep_labelled(RgTextState *s, const uint8_t *preferred) {
    RgPairs *kept = rg_pairs_create();
    const RgSequences *sampled = s->pairs->sequences;
    for (int64_t i = 0; i < sampled->count / 2; i++) {
        if (preferred[i] == RG_UNLABELLED) {
            s->unlabelled_pairs++;
            continue;
        }
        rg_sequences_append_from(kept->sequences, sampled, 2 * i, false);
        rg_sequences_append_from(kept->sequences, sampled, 2 * i + 1, false);
        rg_pairs_append_label(kept, preferred[i]);
    }
    rg_pairs_destroy(s->pairs);
    s->pairs = kept;
}

/* Two samples of the reference for each pair. Training prompts are taken in order, and again from
 * the first when there are more pairs than prompts; the random numbers are a sequence's own, so
 * that a prompt's next samples are new ones. */
static RgStatus sample_pairs(RgTextState *s, const RgCourse *course, RgPolicy *reference,
                             RgRandom random, RgError *error) {
    int64_t count = s->options.pair_count;
    RgSequences *prompts = rg_sequences_create();
    for (int64_t i = 0; i < count; i++)
        rg_sequences_append_from(prompts, s->prompts, i % s->prompts->count, true);
    RgSampling sampling = {.temperature = s->options.pair_temperature,
                           .top_p = 1,
                           .response_limit = course->response_limit,
                           .end_token = course->end_token,
                           .stop = course->stop,
                           .team = course->team};
    rg_policy_sample(reference, prompts, 2, &sampling, rg_random_named(random, "offline responses"),
                     s->pairs->sequences, NULL);
    rg_sequences_destroy(prompts);

    uint8_t *preferred = rg_allocate((size_t)(count + 1));
    RgStatus status = rg_course_label(course, s->pairs->sequences,
                                      rg_random_named(random, "offline labels"), preferred, error);
    if (status == RG_OK)
        keep_labelled(s, preferred);
    free(preferred);
    if (status == RG_OK && s->pairs->count == 0)
        return rg_fail(error, RG_E_RANGE, "the judge leaves all of %lld pairs without a label",
                       (long long)count);
    return status;
}

/* The written pairs of which both responses keep the limit, the chosen one preferred but for label
 * noise. */
static RgStatus take_dataset(RgTextState *s, RgRandom random, RgError *error) {
    for (int64_t i = 0; i < s->train->count && s->pairs->count < s->options.pair_count; i++) {
        if (!append_written(s, &s->train->lines[i], s->pairs->sequences)) {
            s->dropped_pairs++;
            continue;
        }
        double u = rg_random_uniform(rg_random_named(random, "offline labels"), (uint64_t)i);
        rg_pairs_append_label(s->pairs, u < s->options.label_noise ? 1 : 0);
    }
    if (s->dropped_pairs > 0 && s->pairs->count == 0)
        return rg_fail(error, RG_E_RANGE,
                       "%s:%d: this and every other line has a response of more tokens than "
                       "response_limit, which is %lld",
                       s->train->path, s->train->lines[0].number,
                       (long long)s->options.response_limit);
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
    s->dropped_pairs = s->unlabelled_pairs = 0;
    if (s->options.pairs == PAIRS_DATASET)
        RG_TRY(take_dataset(s, random, error));
    else if (s->options.pair_count > 0)
        RG_TRY(sample_pairs(s, &environment->course, reference, random, error));
    environment->course.pairs = s->pairs;
    if (s->options.demonstrations == DEMONSTRATIONS_CHOSEN)
        take_demonstrations(s);
    environment->course.demonstrations = s->demonstrations;
    return RG_OK;
}

const RgEnvironmentType rg_environment_text = {
    .name = "text",
    .summary = "Prompts and responses as text: continue a passage in one of two styles, with a "
               "judge and a second one made of other texts",
    .options = options_table,
    .options_size = sizeof(RgTextOptions),
    .headline = "win_rate_base",
    .create = create,
    .prepare = prepare,
    .evaluate = rg_text_evaluate,
    .destroy = destroy,
    .use_answers = use_answers,
    .take_counts = rg_text_take_counts,
};
