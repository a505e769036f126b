/* SPDX-License-Identifier: MIT */
/* regatta sample and regatta score: apply one policy to lines of JSON. */
#include "core/models/generation_config.h"
#include "core/policy/policy.h"
#include "core/results/weights.h"
#include "core/tensor/threads.h"
#include "core/text/lines.h"
#include "core/text/terminal.h"
#include "core/text/tokenizer.h"
#include "core/utf8.h"
#include "experiments/program/commands/chat.h"
#include "experiments/program/commands/command.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCORED_AT_ONCE = 64 }; /* lines per batch: bounds the memory for files of any length */

typedef struct PolicyArguments {
    const char *policy, *tokenizer, *chat, *file, *prompt;
    int64_t copies, seed;
    RgSampling sampling;
    const char **stops, **stop_ids; /* [stop_count] texts of tokens, [stop_id_count] */
    int stop_count, stop_id_count;
    RgTokens stop_tokens;
} PolicyArguments;

/* The policy, its tokenizer once a text has needed it, and the layout of conversations, if any. */
typedef struct Model {
    const PolicyArguments *arguments;
    RgPolicy *policy;
    RgTokenizer *tokenizer;
    RgTextLayout *layout;
} Model;

/* Loads the tokenizer that is named, or the one that lies in the policy's folder, unless that is
 * done. */
static RgStatus need_tokenizer(Model *model, RgError *error) {
    const PolicyArguments *a = model->arguments;
    if (model->tokenizer)
        return RG_OK;
    if (a->tokenizer)
        return rg_tokenizer_load(a->tokenizer, 0, &model->tokenizer, error);
    char *beside = rg_string_format("%s/tokenizer.json", a->policy);
    RgStatus status =
        access(beside, F_OK) == 0
            ? rg_tokenizer_load(beside, 0, &model->tokenizer, error)
            : rg_fail(error, RG_E_USAGE, "text needs --tokenizer FILE, as %s has no tokenizer.json",
                      a->policy);
    free(beside);
    return status;
}

static RgStatus open_model(Model *model, RgError *error) {
    const PolicyArguments *a = model->arguments;
    rg_threads_set(rg_processors());
    RG_TRY(rg_weights_check_path(a->policy, error));
    RG_TRY(rg_policy_load(a->policy, &model->policy, error));
    if (a->tokenizer || a->chat)
        RG_TRY(need_tokenizer(model, error));
    if (a->chat)
        RG_TRY(rg_chat_layout_create(a->chat, model->tokenizer, &model->layout, error));
    return RG_OK;
}

static void close_model(Model *model) {
    rg_text_layout_destroy(model->layout);
    rg_tokenizer_destroy(model->tokenizer);
    rg_policy_destroy(model->policy);
}

/* ---- one line ---- */

/* Position of a line, for messages. */
typedef struct Place {
    const char *file;
    long line;
} Place;

static RgStatus read_ids(const json_t *array, const char *key, Place place, RgTokens *tokens,
                         RgError *error) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *id = json_array_get(array, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return rg_fail(error, RG_E_FORMAT,
                           "%s:%ld: %s[%zu]: expected a token id, an integer of 0 or more",
                           place.file, place.line, key, i);
        rg_tokens_append(tokens, (int32_t)json_integer_value(id));
    }
    return RG_OK;
}

static void encode(const Model *model, const char *text, size_t size, RgTokens *tokens) {
    int32_t begin = rg_tokenizer_begin(model->tokenizer);
    if (begin >= 0)
        rg_tokens_append(tokens, begin);
    rg_tokenizer_encode(model->tokenizer, text, size, tokens);
}

/* The response's ids are those that follow the prompt's ids in the encoding of the whole text, as
 * a policy sees them. */
static RgStatus encode_line(const Model *model, const json_t *prompt, const json_t *response,
                            Place place, RgTokens *tokens, int64_t *prompt_length, RgError *error) {
    RgTokens whole = {0};
    size_t prompt_size = json_string_length(prompt), size = json_string_length(response);
    char *text = rg_string_format("%s%s", json_string_value(prompt), json_string_value(response));
    encode(model, json_string_value(prompt), prompt_size, tokens);
    encode(model, text, prompt_size + size, &whole);
    free(text);
    *prompt_length = tokens->count;
    bool continues = whole.count >= tokens->count &&
                     memcmp(whole.id, tokens->id, (size_t)tokens->count * sizeof *whole.id) == 0;
    for (int64_t i = tokens->count; continues && i < whole.count; i++)
        rg_tokens_append(tokens, whole.id[i]);
    rg_tokens_release(&whole);
    return continues ? RG_OK
                     : rg_fail(error, RG_E_FORMAT,
                               "%s:%ld: a token spans the border between prompt and response: end "
                               "the prompt at a word's end, or give prompt_tokens and "
                               "response_tokens",
                               place.file, place.line);
}

/* Whether the policy takes the sequence that was appended last. */
static RgStatus check_last(const Model *model, const RgSequences *sequences, Place place,
                           RgError *error) {
    char *what = rg_string_format("%s:%ld: it", place.file, place.line);
    RgStatus status =
        rg_policy_check_one(model->policy, sequences, sequences->count - 1, what, error);
    free(what);
    return status;
}

/* Appends the line's conversation, which has to end in a response. */
static RgStatus read_chat(const Model *model, const json_t *line, Place place,
                          RgSequences *sequences, RgError *error) {
    RG_TRY(rg_chat_append(sequences, model->layout, line, place.file, place.line, error));
    return rg_sequence_response_length(sequences, sequences->count - 1) > 0
               ? RG_OK
               : rg_fail(error, RG_E_FORMAT,
                         "%s:%ld: no response to score, expected the member response, or messages "
                         "that end with the assistant's",
                         place.file, place.line);
}

/* Appends the line's sequence: ids as given, or the encoding of a text. */
static RgStatus read_line(Model *model, const json_t *line, Place place, RgSequences *sequences,
                          RgError *error) {
    const json_t *prompt_ids = json_object_get(line, "prompt_tokens");
    const json_t *response_ids = json_object_get(line, "response_tokens");
    const json_t *prompt = json_object_get(line, "prompt");
    const json_t *response = json_object_get(line, "response");
    RgTokens tokens = {0};
    int64_t prompt_length = 0;
    RgStatus status;
    if (model->layout)
        return read_chat(model, line, place, sequences, error);
    if (json_is_array(prompt_ids) && json_is_array(response_ids)) {
        status = read_ids(prompt_ids, "prompt_tokens", place, &tokens, error);
        prompt_length = tokens.count;
        if (status == RG_OK)
            status = read_ids(response_ids, "response_tokens", place, &tokens, error);
    } else if (rg_chat_text(line, "prompt") && rg_chat_text(line, "response")) {
        status = need_tokenizer(model, error);
        if (status == RG_OK)
            status = encode_line(model, prompt, response, place, &tokens, &prompt_length, error);
        else
            status = rg_fail_in(error, status, "%s:%ld", place.file, place.line);
    } else {
        status = rg_fail(error, RG_E_FORMAT,
                         "%s:%ld: expected an object with the texts prompt and response, without "
                         "NUL, or the lists prompt_tokens and response_tokens",
                         place.file, place.line);
    }
    if (status == RG_OK && prompt_length == 0)
        status = rg_fail(error, RG_E_FORMAT, "%s:%ld: the prompt is empty", place.file, place.line);
    if (status == RG_OK)
        rg_sequences_append(sequences, tokens.id, prompt_length, tokens.id + prompt_length,
                            tokens.count - prompt_length);
    rg_tokens_release(&tokens);
    return status;
}

static void print_json(json_t *object) {
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(object);
}

/* ---- score ---- */

/* A batch of lines to score, and a count of non-finite results. */
typedef struct Scoring {
    Model *model;
    RgSequences *sequences;
    int64_t number[SCORED_AT_ONCE]; /* line numbers of the sequences */
    int64_t not_finite, first_not_finite;
} Scoring;

/* A non-finite value is null, as JSON has no number for it. */
static void score_batch(Scoring *s) {
    double logprob[SCORED_AT_ONCE];
    if (s->sequences->count == 0)
        return;
    rg_policy_logprob_values(s->model->policy, s->sequences, logprob);
    for (int64_t i = 0; i < s->sequences->count; i++) {
        json_t *value = isfinite(logprob[i]) ? json_real(logprob[i]) : json_null();
        if (!isfinite(logprob[i]) && s->not_finite++ == 0)
            s->first_not_finite = s->number[i];
        print_json(json_pack("{s:o, s:I}", "logprob", value, "tokens",
                             (json_int_t)rg_sequence_response_length(s->sequences, i)));
    }
    rg_sequences_clear(s->sequences);
}

/* Appends the sequence of one line; blank lines are skipped. */
static RgStatus score_line(Scoring *s, const char *text, size_t size, Place place, RgError *error) {
    RgSequences *sequences = s->sequences;
    json_t *line;
    if (text[strspn(text, " \t\r\n")] == '\0')
        return RG_OK;
    s->number[sequences->count] = place.line;
    RG_TRY(rg_chat_read_line(text, size, place.file, place.line, &line, error));
    RgStatus status = read_line(s->model, line, place, sequences, error);
    json_decref(line);
    if (status == RG_OK)
        status = check_last(s->model, sequences, place, error);
    return status;
}

static RgStatus score_lines(Scoring *s, RgLines *lines, const char *path, RgError *error) {
    const char *text;
    size_t size;
    for (;;) {
        RG_TRY(rg_lines_next(lines, &text, &size, error));
        if (!text)
            break;
        Place place = {path, (long)rg_lines_number(lines)};
        RG_TRY(score_line(s, text, size, place, error));
        if (s->sequences->count == SCORED_AT_ONCE)
            score_batch(s);
    }
    score_batch(s);
    return s->not_finite == 0
               ? RG_OK
               : rg_fail(error, RG_E_RANGE,
                         "%s:%lld: the log-probability is no finite number%s: are there such "
                         "weights?",
                         path, (long long)s->first_not_finite,
                         s->not_finite > 1 ? ", nor are others below" : "");
}

static RgStatus score_file(Model *model, const char *path, RgError *error) {
    RgLines *lines;
    RG_TRY(rg_lines_open_argument(path, &lines, error));
    rg_terminal_data();
    Scoring scoring = {.model = model, .sequences = rg_sequences_create()};
    RgStatus status = score_lines(&scoring, lines, path, error);
    rg_sequences_destroy(scoring.sequences);
    rg_lines_close(lines);
    return status;
}

/* ---- sample ---- */

/* Appends the prompt of a line: its text, or with a layout its conversation. */
static RgStatus append_prompt(const Model *model, json_t *line, Place place, RgSequences *prompts,
                              RgError *error) {
    const char *prompt = rg_chat_text(line, "prompt");
    if (model->layout) {
        json_object_del(line, "response"); /* it is sampled anew */
        RG_TRY(rg_chat_append(prompts, model->layout, line, place.file, place.line, error));
        if (rg_sequence_response_length(prompts, prompts->count - 1) > 0)
            return rg_fail(error, RG_E_FORMAT,
                           "%s:%ld: the last message is the assistant's, expected the user's",
                           place.file, place.line);
    } else if (prompt) {
        RgTokens tokens = {0};
        encode(model, prompt, strlen(prompt), &tokens);
        rg_sequences_append(prompts, tokens.id, tokens.count, NULL, 0);
        rg_tokens_release(&tokens);
    } else {
        return rg_fail(error, RG_E_FORMAT,
                       "%s:%ld: expected an object with the text prompt, without NUL", place.file,
                       place.line);
    }
    return check_last(model, prompts, place, error);
}

/* Blank lines are skipped. */
static RgStatus read_prompt_lines(const Model *model, RgLines *lines, const char *path,
                                  RgSequences *prompts, RgError *error) {
    const char *text;
    size_t size;
    for (;;) {
        RG_TRY(rg_lines_next(lines, &text, &size, error));
        if (!text)
            return RG_OK;
        if (text[strspn(text, " \t\r\n")] == '\0')
            continue;
        Place place = {path, (long)rg_lines_number(lines)};
        json_t *line;
        RG_TRY(rg_chat_read_line(text, size, place.file, place.line, &line, error));
        RgStatus status = append_prompt(model, line, place, prompts, error);
        json_decref(line);
        RG_TRY(status);
    }
}

/* The prompts of the file, or the one of the command line. */
static RgStatus read_prompts(const Model *model, const PolicyArguments *a, RgSequences *prompts,
                             RgError *error) {
    if (a->file) {
        RgLines *lines;
        RG_TRY(rg_lines_open_argument(a->file, &lines, error));
        RgStatus status = read_prompt_lines(model, lines, a->file, prompts, error);
        rg_lines_close(lines);
        return status;
    }
    json_t *line = json_pack("{s:s}", "prompt", a->prompt);
    if (!line)
        return rg_fail(error, RG_E_USAGE, "--prompt: expected text in UTF-8");
    RgStatus status = append_prompt(model, line, (Place){"--prompt", 1}, prompts, error);
    json_decref(line);
    return status;
}

/* The text of the ids. A response may end inside a character: its bytes become U+FFFD in JSON. */
static json_t *decoded(const Model *model, const int32_t *ids, int64_t count) {
    char *text = rg_tokenizer_decode(model->tokenizer, ids, count);
    RgBuffer valid = {0};
    rg_utf8_repair(text, strlen(text), &valid);
    json_t *string = json_stringn(valid.size > 0 ? valid.bytes : "", valid.size);
    rg_buffer_release(&valid);
    free(text);
    return string;
}

/* Resolves --stop and --stop-id, and adds the ends that the policy's folder lists. */
static RgStatus read_stop_tokens(const Model *model, PolicyArguments *a, RgError *error) {
    int64_t vocabulary = rg_tokenizer_vocabulary(model->tokenizer);
    for (int64_t i = 0; i < a->stop_tokens.count; i++)
        if (a->stop_tokens.id[i] >= vocabulary)
            return rg_fail(error, RG_E_USAGE,
                           "--stop-id: %d is not an id of the tokenizer; expected 0 to %lld",
                           (int)a->stop_tokens.id[i], (long long)vocabulary - 1);
    for (int64_t i = 0; i < a->stop_count; i++) {
        int32_t id;
        RgStatus status = rg_tokenizer_find(model->tokenizer, a->stops[i], &id, error);
        if (status != RG_OK)
            return rg_fail_in(error, status, "--stop");
        rg_tokens_append(&a->stop_tokens, id);
    }
    RgModelEnds ends;
    RgStatus status = rg_generation_config_read(a->policy, &ends, error);
    for (int64_t i = 0; i < ends.count; i++)
        rg_tokens_append(&a->stop_tokens, ends.end[i]);
    rg_model_ends_release(&ends);
    RG_TRY(status);
    a->sampling.stop = (RgStopTokens){a->stop_tokens.id, a->stop_tokens.count};
    return RG_OK;
}

static RgStatus sample_prompts(Model *model, PolicyArguments *a, RgError *error) {
    RG_TRY(need_tokenizer(model, error));
    RG_TRY(read_stop_tokens(model, a, error));
    rg_terminal_data();
    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    RgStatus status = read_prompts(model, a, prompts, error);
    if (status == RG_OK) {
        RgSampling sampling = a->sampling;
        sampling.tokens = rg_tokenizer_vocabulary(model->tokenizer);
        sampling.end_token =
            model->layout ? rg_text_layout_end(model->layout) : rg_tokenizer_end(model->tokenizer);
        rg_policy_sample(model->policy, prompts, a->copies, &sampling,
                         rg_random_root((uint64_t)a->seed), out, NULL);
        for (int64_t i = 0; i < out->count; i++) {
            int64_t length = rg_sequence_response_length(out, i);
            json_t *prompt = decoded(model, rg_sequence_prompt(out, i), out->prompt_length[i]);
            json_t *response = decoded(model, rg_sequence_response(out, i), length);
            print_json(json_pack("{s:o, s:o}", "prompt", prompt, "response", response));
        }
    }
    rg_sequences_destroy(prompts);
    rg_sequences_destroy(out);
    return status;
}

/* ---- command lines ---- */

static RgStatus check_file(void *arguments, RgError *error) {
    const PolicyArguments *a = arguments;
    return a->file || a->prompt
               ? RG_OK
               : rg_fail(error, RG_E_USAGE,
                         "expected a file of JSON lines (- for the standard input)");
}

static RgStatus score(void *arguments, RgError *error) {
    const PolicyArguments *a = arguments;
    Model model = {.arguments = a};
    RgStatus status = open_model(&model, error);
    if (status == RG_OK)
        status = score_file(&model, a->file, error);
    close_model(&model);
    return status;
}

/* The first arguments of sample, too. */
static const RgArgument score_arguments[] = {
    RG_ARGUMENT_POSITIONAL(PolicyArguments, file, NULL),
    RG_ARGUMENT_OPTION(
        PolicyArguments, policy, "policy", 'p', "WEIGHTS",
        "a policy of this program, a folder in Hugging Face's layout, or a llama2.c checkpoint",
        .expected = "expected --policy WEIGHTS"),
    RG_ARGUMENT_OPTION(PolicyArguments, tokenizer, "tokenizer", 't', "FILE",
                       "tokenizer.json, or a llama2.c vocabulary (default: tokenizer.json in the "
                       "policy's folder)"),
    RG_ARGUMENT_OPTION(PolicyArguments, chat, "chat", 'c', "TEMPLATE",
                       "lay prompts out as conversations: " RG_CHAT_HELP),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_score = {
    .name = "score",
    .summary = "log-probabilities of given responses under a policy",
    .usage = "FILE.jsonl",
    .purpose = "Print the log-probability of each given response under a policy.",
    .details = "Each line of FILE has prompt and response as text, or "
               "prompt_tokens and response_tokens as lists of ids. With --chat, the prompt is what "
               "the user says, or the line has messages, a list of roles and contents that ends "
               "with the assistant's. For each, one JSON line: logprob, summed over the response's "
               "tokens, in nats, and tokens, their number.",
    .arguments = score_arguments,
    .size = sizeof(PolicyArguments),
    .check = check_file,
    .run = score,
};

static RgStatus check_sample(void *arguments, RgError *error) {
    PolicyArguments *a = arguments;
    for (int i = 0; i < a->stop_id_count; i++) {
        int64_t id;
        RG_TRY(rg_argument_integer("--stop-id", a->stop_ids[i], 0, INT32_MAX, &id, error));
        rg_tokens_append(&a->stop_tokens, (int32_t)id);
    }
    if (a->file && a->prompt)
        return rg_fail(error, RG_E_USAGE, "expected a file or --prompt, found both");
    return check_file(a, error);
}

static RgStatus sample(void *arguments, RgError *error) {
    PolicyArguments *a = arguments;
    Model model = {.arguments = a};
    RgStatus status = open_model(&model, error);
    if (status == RG_OK)
        status = sample_prompts(&model, a, error);
    close_model(&model);
    rg_tokens_release(&a->stop_tokens);
    return status;
}

static const RgArgument sample_arguments[] = {
    RG_ARGUMENT_EXTEND(score_arguments),
    RG_ARGUMENT_OPTION(PolicyArguments, prompt, "prompt", 'm', "TEXT",
                       "one prompt, instead of a file"),
    RG_ARGUMENT_OPTION(PolicyArguments, copies, "copies", 'n', "N",
                       "responses per prompt (default: 1)", .low = 1, .high = 1e6),
    RG_ARGUMENT_OPTION(PolicyArguments, sampling.temperature, "temperature", 'T', "T",
                       "0 takes the most likely token (default: 1)", .high = 100),
    RG_ARGUMENT_OPTION(PolicyArguments, sampling.top_k, "top-k", 0, "K",
                       "sample from the K most likely tokens; 0: all (default)", .high = INT32_MAX),
    RG_ARGUMENT_OPTION(PolicyArguments, sampling.top_p, "top-p", 0, "P",
                       "sample from the smallest set of mass P (default: 1)", .high = 1),
    RG_ARGUMENT_OPTION(
        PolicyArguments, sampling.min_p, "min-p", 0, "P",
        "drop tokens less than P times as likely as the most likely one (default: 0)", .high = 1),
    RG_ARGUMENT_OPTION(PolicyArguments, sampling.response_limit, "limit", 0, "N",
                       "maximum number of tokens of a response (default: 64)", .low = 1,
                       .high = 1e6),
    RG_ARGUMENT_REPEATED(
        PolicyArguments, stops, stop_count, "stop", 0, "TEXT",
        "a token that ends a response, like the end token, and is part of it: its text, or the "
        "name of a special token, such as '<|im_end|>'; may be repeated"),
    RG_ARGUMENT_REPEATED(PolicyArguments, stop_ids, stop_id_count, "stop-id", 0, "ID",
                         "the same by its id; may be repeated"),
    RG_ARGUMENT_OPTION(PolicyArguments, seed, "seed", 0, "N",
                       "seed of the random numbers (default: 1)", .high = RG_ARGUMENT_NO_LIMIT),
    RG_ARGUMENT_END,
};

const RgCommand rg_command_sample = {
    .name = "sample",
    .summary = "sample responses from a policy",
    .usage = "[FILE.jsonl]",
    .purpose = "Sample responses from a policy.",
    .details =
        "Prompts are the text prompt of each line of a JSON lines file, or --prompt. With --chat, "
        "a prompt is what the user says, or a line has messages, a list of roles and contents. "
        "Prints one JSON line per response, with prompt and response. Equal seeds give equal "
        "responses. The "
        "ends that a folder's generation_config.json lists end a response, too.",
    .arguments = sample_arguments,
    .size = sizeof(PolicyArguments),
    .defaults =
        &(const PolicyArguments){.copies = 1,
                                 .seed = 1,
                                 .sampling = {.temperature = 1, .top_p = 1, .response_limit = 64}},
    .check = check_sample,
    .run = sample,
};
