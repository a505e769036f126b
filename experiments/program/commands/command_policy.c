/* SPDX-License-Identifier: MIT */
/* regatta sample and regatta score: apply one policy to lines of JSON. */
#include "core/policy/policy.h"
#include "core/results/weights.h"
#include "core/tensor/threads.h"
#include "core/text/lines.h"
#include "core/text/terminal.h"
#include "core/text/tokenizer.h"
#include "core/utf8.h"
#include "experiments/program/commands/command.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_TOP_K = 256, KEY_TOP_P, KEY_MIN_P, KEY_SEED, KEY_LIMIT, KEY_STOP, KEY_STOP_ID };
enum { SCORED_AT_ONCE = 64 }; /* lines per batch: bounds the memory for files of any length */

typedef struct PolicyArguments {
    const char *policy, *tokenizer, *file, *prompt;
    int64_t copies, seed;
    RgSampling sampling;
    const char **stop; /* [stop_count], texts of tokens */
    int64_t stop_count;
    RgTokens stop_ids;
} PolicyArguments;

/* The policy and, if given, its tokenizer. */
typedef struct Model {
    RgPolicy *policy;
    RgTokenizer *tokenizer;
} Model;

static RgStatus open_model(const PolicyArguments *a, Model *model, RgError *error) {
    rg_threads_set(rg_processors());
    RG_TRY(rg_weights_check_path(a->policy, error));
    RG_TRY(rg_policy_load(a->policy, &model->policy, error));
    if (a->tokenizer)
        RG_TRY(rg_tokenizer_load(a->tokenizer, 0, &model->tokenizer, error));
    return RG_OK;
}

static void close_model(Model *model) {
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

static RgStatus missing_tokenizer(Place place, RgError *error) {
    return rg_fail(error, RG_E_USAGE,
                   "%s:%ld: text needs --tokenizer FILE; or give prompt_tokens and "
                   "response_tokens",
                   place.file, place.line);
}

/* Appends the line's sequence: ids as given, or the encoding of a text. */
static RgStatus read_line(const Model *model, const json_t *line, Place place,
                          RgSequences *sequences, RgError *error) {
    const json_t *prompt_ids = json_object_get(line, "prompt_tokens");
    const json_t *response_ids = json_object_get(line, "response_tokens");
    const json_t *prompt = json_object_get(line, "prompt");
    const json_t *response = json_object_get(line, "response");
    RgTokens tokens = {0};
    int64_t prompt_length = 0;
    RgStatus status;
    if (json_is_array(prompt_ids) && json_is_array(response_ids)) {
        status = read_ids(prompt_ids, "prompt_tokens", place, &tokens, error);
        prompt_length = tokens.count;
        if (status == RG_OK)
            status = read_ids(response_ids, "response_tokens", place, &tokens, error);
    } else if (json_is_string(prompt) && json_is_string(response)) {
        status = model->tokenizer
                     ? encode_line(model, prompt, response, place, &tokens, &prompt_length, error)
                     : missing_tokenizer(place, error);
    } else {
        status = rg_fail(error, RG_E_FORMAT,
                         "%s:%ld: expected an object with the texts prompt and response, or the "
                         "lists prompt_tokens and response_tokens",
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
    const Model *model;
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
    json_error_t fault;
    RgSequences *sequences = s->sequences;
    if (text[strspn(text, " \t\r\n")] == '\0')
        return RG_OK;
    s->number[sequences->count] = place.line;
    json_t *line = json_loadb(text, size, 0, &fault);
    if (!line)
        return rg_fail(error, RG_E_FORMAT, "%s:%ld: not JSON: %s", place.file, place.line,
                       fault.text);
    RgStatus status = read_line(s->model, line, place, sequences, error);
    json_decref(line);
    if (status == RG_OK) {
        char *what = rg_string_format("%s:%ld", place.file, place.line);
        status = rg_policy_check(s->model->policy, sequences, what, error);
        free(what);
    }
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

static RgStatus score_file(const Model *model, const char *path, RgError *error) {
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

static void append_prompt(const Model *model, const char *prompt, RgSequences *prompts) {
    RgTokens tokens = {0};
    encode(model, prompt, strlen(prompt), &tokens);
    rg_sequences_append(prompts, tokens.id, tokens.count, NULL, 0);
    rg_tokens_release(&tokens);
}

/* Reads "prompt" of each line. */
static RgStatus read_prompt_lines(const Model *model, RgLines *lines, const char *path,
                                  RgSequences *prompts, RgError *error) {
    const char *text;
    size_t size;
    for (;;) {
        RG_TRY(rg_lines_next(lines, &text, &size, error));
        if (!text)
            return RG_OK;
        json_t *object = json_loadb(text, size, 0, NULL);
        const char *prompt = json_string_value(json_object_get(object, "prompt"));
        if (prompt)
            append_prompt(model, prompt, prompts);
        json_decref(object);
        if (!prompt)
            return rg_fail(error, RG_E_FORMAT, "%s:%lld: expected an object with the text prompt",
                           path, (long long)rg_lines_number(lines));
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
        RG_TRY(status);
    } else {
        append_prompt(model, a->prompt, prompts);
    }
    return rg_policy_check(model->policy, prompts, "prompts", error);
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

/* Resolves --stop and --stop-id. */
static RgStatus read_stop_tokens(const Model *model, PolicyArguments *a, RgError *error) {
    int64_t vocabulary = rg_tokenizer_vocabulary(model->tokenizer);
    for (int64_t i = 0; i < a->stop_ids.count; i++)
        if (a->stop_ids.id[i] >= vocabulary)
            return rg_fail(error, RG_E_USAGE,
                           "--stop-id: %d is not an id of the tokenizer; expected 0 to %lld",
                           (int)a->stop_ids.id[i], (long long)vocabulary - 1);
    for (int64_t i = 0; i < a->stop_count; i++) {
        int32_t id;
        RgStatus status = rg_tokenizer_find(model->tokenizer, a->stop[i], &id, error);
        if (status != RG_OK)
            return rg_fail_in(error, status, "--stop");
        rg_tokens_append(&a->stop_ids, id);
    }
    a->sampling.stop = (RgStopTokens){a->stop_ids.id, a->stop_ids.count};
    return RG_OK;
}

static RgStatus sample_prompts(const Model *model, PolicyArguments *a, RgError *error) {
    if (!model->tokenizer)
        return rg_fail(error, RG_E_USAGE, "sample: expected --tokenizer FILE");
    RG_TRY(read_stop_tokens(model, a, error));
    rg_terminal_data();
    RgSequences *prompts = rg_sequences_create(), *out = rg_sequences_create();
    RgStatus status = read_prompts(model, a, prompts, error);
    if (status == RG_OK) {
        RgSampling sampling = a->sampling;
        sampling.tokens = rg_tokenizer_vocabulary(model->tokenizer);
        sampling.end_token = rg_tokenizer_end(model->tokenizer);
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

static const struct argp_option model_options[] = {
    {"policy", 'p', "WEIGHTS", 0,
     "a policy of this program, a folder in Hugging Face's layout, or a llama2.c checkpoint", 0},
    {"tokenizer", 't', "FILE", 0, "tokenizer.json, or a llama2.c vocabulary", 0},
    {0},
};

/* Options of both commands; the whole command line of score. */
static error_t parse_model(int key, char *argument, struct argp_state *state) {
    PolicyArguments *a = state->input;
    switch (key) {
    case 'p':
        a->policy = argument;
        return 0;
    case 't':
        a->tokenizer = argument;
        return 0;
    case ARGP_KEY_ARG:
        rg_argument_only(state, argument, &a->file);
        return 0;
    case ARGP_KEY_END:
        if (!a->policy)
            argp_error(state, "expected --policy WEIGHTS");
        if (!a->file && !a->prompt)
            argp_error(state, "expected a file of JSON lines (- for the standard input)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_score(int argc, char **argv) {
    static const struct argp argp = {
        model_options,
        parse_model,
        "FILE.jsonl",
        "Print the log-probability of each given response under a policy.\v"
        "Each line of FILE has prompt and response as text (needs --tokenizer), or prompt_tokens "
        "and response_tokens as lists of ids. For each, one JSON line: logprob, summed over the "
        "response's tokens, in nats, and tokens, their number.",
        NULL,
        NULL,
        NULL};
    PolicyArguments a = {0};
    Model model = {0};
    RgError error = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgStatus status = open_model(&a, &model, &error);
    if (status == RG_OK)
        status = score_file(&model, a.file, &error);
    close_model(&model);
    return rg_command_end(status, &error);
}

static const struct argp_option sample_options[] = {
    {"prompt", 'm', "TEXT", 0, "one prompt, instead of a file", 0},
    {"copies", 'n', "N", 0, "responses per prompt (default: 1)", 0},
    {"temperature", 'T', "T", 0, "0 takes the most likely token (default: 1)", 0},
    {"top-k", KEY_TOP_K, "K", 0, "sample from the K most likely tokens; 0: all (default)", 0},
    {"top-p", KEY_TOP_P, "P", 0, "sample from the smallest set of mass P (default: 1)", 0},
    {"min-p", KEY_MIN_P, "P", 0,
     "drop tokens less than P times as likely as the most likely one (default: 0)", 0},
    {"limit", KEY_LIMIT, "N", 0, "maximum number of tokens of a response (default: 64)", 0},
    {"stop", KEY_STOP, "TEXT", 0,
     "a token that ends a response, like the end token, and is part of it: its text, or the name "
     "of a special token, such as '<|im_end|>'; may be repeated",
     0},
    {"stop-id", KEY_STOP_ID, "ID", 0, "the same by its id; may be repeated", 0},
    {"seed", KEY_SEED, "N", 0, "seed of the random numbers (default: 1)", 0},
    {0},
};

static error_t parse_sample(int key, char *argument, struct argp_state *state) {
    PolicyArguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = a;
        return 0;
    case 'm':
        a->prompt = argument;
        return 0;
    case 'n':
        a->copies = rg_argument_integer(state, "--copies", argument, 1, 1000000);
        return 0;
    case 'T':
        a->sampling.temperature = rg_argument_real(state, "--temperature", argument, 0, 100);
        return 0;
    case KEY_TOP_K:
        a->sampling.top_k = rg_argument_integer(state, "--top-k", argument, 0, INT32_MAX);
        return 0;
    case KEY_TOP_P:
        a->sampling.top_p = rg_argument_real(state, "--top-p", argument, 0, 1);
        return 0;
    case KEY_MIN_P:
        a->sampling.min_p = rg_argument_real(state, "--min-p", argument, 0, 1);
        return 0;
    case KEY_SEED:
        a->seed = rg_argument_integer(state, "--seed", argument, 0, INT64_MAX);
        return 0;
    case KEY_STOP:
        a->stop = rg_reallocate(a->stop, (size_t)a->stop_count + 1, sizeof *a->stop);
        a->stop[a->stop_count++] = argument;
        return 0;
    case KEY_STOP_ID:
        rg_tokens_append(&a->stop_ids,
                         (int32_t)rg_argument_integer(state, "--stop-id", argument, 0, INT32_MAX));
        return 0;
    case KEY_LIMIT:
        a->sampling.response_limit = rg_argument_integer(state, "--limit", argument, 1, 1000000);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int rg_command_sample(int argc, char **argv) {
    static const struct argp model_argp = {model_options, parse_model, NULL, NULL,
                                           NULL,          NULL,        NULL};
    static const struct argp_child children[] = {{&model_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        sample_options,
        parse_sample,
        "[FILE.jsonl]",
        "Sample responses from a policy.\v"
        "Prompts are the text prompt of each line of a JSON lines file, or --prompt. Prints one "
        "JSON line per response, with prompt and response. Equal seeds give equal responses.",
        children,
        NULL,
        NULL};
    PolicyArguments a = {
        .copies = 1, .seed = 1, .sampling = {.temperature = 1, .top_p = 1, .response_limit = 64}};
    Model model = {0};
    RgError error = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    RgStatus status = open_model(&a, &model, &error);
    if (status == RG_OK)
        status = sample_prompts(&model, &a, &error);
    close_model(&model);
    rg_tokens_release(&a.stop_ids);
    free(a.stop);
    return rg_command_end(status, &error);
}
