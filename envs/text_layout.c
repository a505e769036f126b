/* SPDX-License-Identifier: MIT */
/* Chat templates, and converting texts to tokens by them. */
#include "envs/text_layout.h"

#include "core/utf8.h"
#include "envs/text_template.h"

#include <stdlib.h>
#include <string.h>

/* Text around a turn. "¦" separates texts that are tokenized on their own. */
typedef struct Around {
    const char *before, *after;
} Around;

typedef struct Template {
    Around turn[3];         /* of a turn of the system, the user, the assistant */
    const char *system;     /* inserted if there is no system turn; NULL: none */
    const char *answer;     /* before the response */
    const char *lead;       /* start of the response's text, as in " Yes"; NULL: none */
    const char *end;        /* after the response: one special token; NULL: the tokenizer's own */
    bool begins;            /* with the tokenizer's begin token, if it has one */
    const char *special[5]; /* special tokens in the texts above */
} Template;

#define TURN(role) "<|im_start|>" role "\n"
#define CHATML                                                                                     \
    .turn = {{TURN("system"), "<|im_end|>\n"},                                                     \
             {TURN("user"), "<|im_end|>\n"},                                                       \
             {TURN("assistant"), "<|im_end|>\n"}},                                                 \
    .answer = TURN("assistant"), .end = "<|im_end|>", .special = {"<|im_start|>", "<|im_end|>"}
#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

const char *const rg_chat_templates[] = {RG_CHAT_TEMPLATES, NULL};
static const Template templates[] = {
    /* begin token, text, newline; responses end with the end token */
    {.turn = {{"", "¦\n"}, {"", "¦\n"}, {"", "¦\n"}}, .answer = "", .begins = true},
    {CHATML},
    {CHATML, .system = "You are a helpful assistant."}, /* as in Qwen's own tokenizers */
    {.turn = {{HEADER("system"), "<|eot_id|>"},
              {HEADER("user"), "<|eot_id|>"},
              {HEADER("assistant"), "<|eot_id|>"}},
     .answer = HEADER("assistant"),
     .end = "<|eot_id|>",
     .begins = true,
     .special = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}},
    {.turn = {{"<|system|>\n", "<|end|>\n"},
              {"<|user|>\n", "<|end|>\n"},
              {"<|assistant|>\n", "<|end|>\n"}},
     .answer = "<|assistant|>\n",
     .end = "<|end|>",
     .special = {"<|system|>", "<|user|>", "<|assistant|>", "<|end|>"}},
    /* roles are plain text; turns end with the end token */
    {.turn = {{"<|system|>\n", "</s>\n"}, {"<|user|>\n", "</s>\n"}, {"<|assistant|>\n", "</s>\n"}},
     .answer = "<|assistant|>\n",
     .end = "</s>",
     .special = {"</s>"}},
    {.turn = {{"", ""}, {"\n\nHuman: ", ""}, {"\n\nAssistant: ", ""}},
     .answer = "\n\nAssistant:",
     .lead = " ",
     .begins = true},
    /* the two templates of SAIL's code, used for any model */
    {.turn = {{"", "\n\n"}, {"Human: ", "\n\n"}, {"Assistant: ", "\n\n"}},
     .answer = "Assistant: ",
     .begins = true},
    {.turn = {{"", " "}, {"[INST] ", " [/INST] "}, {"", " "}}, .answer = "", .begins = true},
};

const char *const rg_truncations[] = {"drop", "keep_start", "keep_end", NULL};

struct RgTextLayout {
    const RgTokenizer *tokenizer;
    const Template *form; /* built in; NULL: */
    RgTextTemplate *own;  /* the model's own */
    int32_t special[5];   /* ids of the template's special tokens */
    int32_t begin, end;   /* begin −1: none */
    int64_t limit;
    RgTruncation truncation;
};

/* ---- writing ---- */

/* Tokens so far, and text not yet tokenized. */
typedef struct Writer {
    const RgTextLayout *layout;
    RgTokens tokens;
    char *text;
    size_t size;
    bool after_strip; /* the last token absorbs the white space that follows it */
} Writer;

static void write_text(Writer *w, const char *text, size_t size) {
    w->text = rg_reallocate(w->text, w->size + size + 1, 1);
    memcpy(w->text + w->size, text, size);
    w->size += size;
}

static void flush(Writer *w) {
    size_t white = w->after_strip ? rg_utf8_white_at_start(w->text, w->size) : 0;
    if (w->size > white) {
        rg_tokenizer_encode(w->layout->tokenizer, w->text + white, w->size - white, &w->tokens);
        w->after_strip = false;
    }
    w->size = 0;
}

/* Append a special token as the tokenizer does, with the white space that it absorbs. */
static void write_special(Writer *w, int32_t id) {
    const RgTokenizer *tokenizer = w->layout->tokenizer;
    if (rg_tokenizer_strips_left(tokenizer, id))
        w->size -= rg_utf8_white_at_end(w->text, w->size);
    flush(w);
    rg_tokens_append(&w->tokens, id);
    w->after_strip = rg_tokenizer_strips_right(tokenizer, id);
}

/* Append a text of the template: special tokens become ids, "¦" separates. */
static void write_form(Writer *w, const char *text) {
    static const char part[] = "¦";
    const char *const *special = w->layout->form->special;
    while (*text) {
        int k = 0;
        while (special[k] && strncmp(text, special[k], strlen(special[k])) != 0)
            k++;
        if (special[k]) {
            write_special(w, w->layout->special[k]);
            text += strlen(special[k]);
        } else if (strncmp(text, part, strlen(part)) == 0) {
            flush(w);
            text += strlen(part);
        } else {
            write_text(w, text++, 1);
        }
    }
}

static void write_turn(Writer *w, RgRole role, const char *text) {
    const Around *around = &w->layout->form->turn[role];
    write_form(w, around->before);
    write_text(w, text, strlen(text));
    write_form(w, around->after);
}

/* Tokens of the prompt before truncation; *tail out: how many last ones belong to the template. */
static RgTokens lay_out_form(const RgTextLayout *layout, const RgTurn *turns, int64_t count,
                             int64_t *tail) {
    const Template *form = layout->form;
    Writer w = {.layout = layout};
    if (layout->begin >= 0)
        rg_tokens_append(&w.tokens, layout->begin);
    if (form->system && (count == 0 || turns[0].role != RG_SYSTEM))
        write_turn(&w, RG_SYSTEM, form->system);
    for (int64_t i = 0; i < count; i++)
        write_turn(&w, turns[i].role, turns[i].text);
    write_form(&w, form->answer);
    flush(&w);

    Writer last = {.layout = layout};
    write_form(&last, count > 0 ? form->turn[turns[count - 1].role].after : "");
    write_form(&last, form->answer);
    flush(&last);
    *tail = last.tokens.count;
    rg_tokens_release(&last.tokens);
    free(last.text);
    free(w.text);
    return w.tokens;
}

/* By the model's own template, which takes what was checked. */
static RgTokens lay_out_own(const RgTextLayout *layout, const RgTurn *turns, int64_t count,
                            const char *response, int64_t *prompt_length) {
    RgTokens tokens = {0};
    RgStatus status =
        rg_text_template_lay_out(layout->own, turns, count, response, &tokens, prompt_length, NULL);
    RG_ASSERT(status == RG_OK);
    return tokens;
}

int64_t rg_text_prompt_tokens(const RgTextLayout *layout, const RgTurn *turns, int64_t count) {
    int64_t found;
    RgTokens tokens = layout->own ? lay_out_own(layout, turns, count, NULL, &found)
                                  : lay_out_form(layout, turns, count, &found);
    found = tokens.count;
    rg_tokens_release(&tokens);
    return found;
}

/* Truncate a prompt of `length` tokens, after which a response may follow, to the limit, except the
 * begin token and the template's last tokens. Returns its new length. */
static int64_t cut(const RgTextLayout *layout, RgTokens *tokens, int64_t length, int64_t tail) {
    int64_t over = layout->limit > 0 ? length - layout->limit : 0;
    if (over <= 0 || layout->truncation == RG_TRUNCATE_DROP)
        return length;
    int64_t first =
        layout->truncation == RG_TRUNCATE_END ? layout->begin >= 0 : length - tail - over;
    first = first < 0 ? 0 : first;
    memmove(tokens->id + first, tokens->id + first + over,
            (size_t)(tokens->count - first - over) * sizeof *tokens->id);
    tokens->count -= over;
    return length - over;
}

static const char *lead_of(const RgTextLayout *layout) {
    if (layout->own)
        return rg_text_template_lead(layout->own);
    return layout->form->lead ? layout->form->lead : "";
}

/* Tokens of prompt and response, to be released after an error, too. */
static RgStatus lay_out_both(const RgTextLayout *layout, const RgTurn *turns, int64_t count,
                             const char *response, RgTokens *tokens, int64_t *prompt_length,
                             RgError *error) {
    int64_t tail = 0;
    *tokens = (RgTokens){0};
    if (layout->own) {
        RG_TRY(rg_text_template_lay_out(layout->own, turns, count, response, tokens, prompt_length,
                                        error));
        if (layout->limit > 0 && *prompt_length > layout->limit)
            tail = rg_text_template_tail(layout->own, turns, count);
        *prompt_length = cut(layout, tokens, *prompt_length, tail);
        return RG_OK;
    }
    *tokens = lay_out_form(layout, turns, count, &tail);
    *prompt_length = cut(layout, tokens, tokens->count, tail);
    if (response) {
        char *text = rg_string_format("%s%s", lead_of(layout), response);
        rg_tokenizer_encode(layout->tokenizer, text, strlen(text), tokens);
        rg_tokens_append(tokens, layout->end);
        free(text);
    }
    return RG_OK;
}

bool rg_text_layout_may_refuse(const RgTextLayout *layout) {
    return layout->own != NULL;
}

RgStatus rg_text_try_append(RgSequences *sequences, const RgTextLayout *layout, const RgTurn *turns,
                            int64_t count, const char *response, RgError *error) {
    RgTokens tokens;
    int64_t length = 0;
    RgStatus status = lay_out_both(layout, turns, count, response, &tokens, &length, error);
    if (status == RG_OK)
        rg_sequences_append(sequences, tokens.id, length, tokens.id + length,
                            tokens.count - length);
    rg_tokens_release(&tokens);
    return status;
}

void rg_text_append(RgSequences *sequences, const RgTextLayout *layout, const RgTurn *turns,
                    int64_t count, const char *response) {
    RgStatus status = rg_text_try_append(sequences, layout, turns, count, response, NULL);
    RG_ASSERT(status == RG_OK);
}

void rg_text_append_whole(RgSequences *sequences, const RgTextLayout *layout, const RgTurn *turns,
                          int64_t count, const char *response) {
    RgTokens tokens;
    int64_t length;
    RgStatus status = lay_out_both(layout, turns, count, response, &tokens, &length, NULL);
    RG_ASSERT(status == RG_OK);
    rg_sequences_append(sequences, tokens.id, 1, tokens.id + 1, tokens.count - 1);
    rg_tokens_release(&tokens);
}

RgStatus rg_text_lay_out_whole(const RgTextLayout *layout, const RgTurn *turns, int64_t count,
                               const char *response, RgTokens *tokens, RgError *error) {
    int64_t prompt_length;
    if (layout->own)
        return rg_text_template_lay_out_whole(layout->own, turns, count, response, tokens, error);
    return lay_out_both(layout, turns, count, response, tokens, &prompt_length, error);
}

/* ---- reading ---- */

char *rg_text_prompt(const RgTextLayout *layout, const RgSequences *sequences, int64_t index) {
    char *text = rg_tokenizer_decode(layout->tokenizer, rg_sequence_prompt(sequences, index),
                                     sequences->prompt_length[index]);
    size_t size = strlen(text);
    if (size > 0 && text[size - 1] == '\n')
        text[size - 1] = '\0';
    return text;
}

char *rg_text_response(const RgTextLayout *layout, const RgSequences *sequences, int64_t index) {
    char *text = rg_tokenizer_decode(layout->tokenizer, rg_sequence_response(sequences, index),
                                     rg_sequence_response_length(sequences, index));
    size_t lead = strlen(lead_of(layout));
    if (lead > 0 && strncmp(text, lead_of(layout), lead) == 0)
        memmove(text, text + lead, strlen(text + lead) + 1);
    return text;
}

/* ---- life ---- */

static RgStatus find_tokens(RgTextLayout *layout, const char *name, RgError *error) {
    const Template *form = layout->form;
    for (int k = 0; form->special[k]; k++)
        if (rg_tokenizer_find(layout->tokenizer, form->special[k], &layout->special[k], error) !=
            RG_OK)
            return rg_fail(error, RG_E_FORMAT,
                           "template \"%s\" needs the token %s, and the tokenizer does not have it",
                           name, form->special[k]);
    layout->begin = form->begins ? rg_tokenizer_begin(layout->tokenizer) : -1;
    layout->end = rg_tokenizer_end(layout->tokenizer);
    for (int k = 0; form->end && form->special[k]; k++)
        if (strcmp(form->end, form->special[k]) == 0)
            layout->end = layout->special[k];
    return RG_OK;
}

static RgStatus use_form(RgTextLayout *layout, int chat_template, RgError *error) {
    layout->form = &templates[chat_template];
    RG_TRY(find_tokens(layout, rg_chat_templates[chat_template], error));
    return layout->end >= 0
               ? RG_OK
               : rg_fail(error, RG_E_FORMAT, "the tokenizer has no end token, expected one");
}

/* Truncation keeps the begin token where the template writes it. */
static RgStatus use_own(RgTextLayout *layout, const char *file, RgError *error) {
    RG_TRY(rg_text_template_create(file, layout->tokenizer, &layout->own, error));
    int32_t first = rg_text_template_first(layout->own);
    layout->end = rg_text_template_end(layout->own);
    layout->begin = first == rg_tokenizer_begin(layout->tokenizer) ? first : -1;
    return RG_OK;
}

RgStatus rg_text_layout_create(const RgTokenizer *tokenizer, int chat_template, const char *file,
                               int64_t prompt_limit, RgTruncation truncation, RgTextLayout **layout,
                               RgError *error) {
    const RgTurn no_turn = {RG_USER, (char[]){""}};
    const char *name = *file ? file : rg_chat_templates[chat_template];
    *layout = NULL;
    RgTextLayout *new = rg_allocate(1, sizeof *new);
    *new = (RgTextLayout){.tokenizer = tokenizer, .limit = prompt_limit, .truncation = truncation};
    RgStatus status = *file ? use_own(new, file, error) : use_form(new, chat_template, error);
    int64_t least = 0;
    if (status == RG_OK) /* its own template may refuse an empty turn */
        least = *file ? rg_text_template_least(new->own) : rg_text_prompt_tokens(new, &no_turn, 1);
    if (status == RG_OK && prompt_limit > 0 && prompt_limit <= least)
        status = rg_fail(error, RG_E_RANGE,
                         "prompt_limit is %lld, expected more than the %lld tokens of template "
                         "\"%s\" alone",
                         (long long)prompt_limit, (long long)least, name);
    if (status != RG_OK) {
        rg_text_layout_destroy(new);
        return status;
    }
    *layout = new;
    return RG_OK;
}

RgStatus rg_text_layout_create_whole(const RgTokenizer *tokenizer, int chat_template,
                                     const char *file, RgTextLayout **layout, RgError *error) {
    RgTextLayout *new = rg_allocate(1, sizeof *new);
    *layout = NULL;
    new->tokenizer = tokenizer;
    RgStatus status = *file ? rg_text_template_create_whole(file, tokenizer, &new->own, error)
                            : use_form(new, chat_template, error);
    if (status == RG_OK)
        *layout = new;
    else
        rg_text_layout_destroy(new);
    return status;
}

void rg_text_layout_destroy(RgTextLayout *layout) {
    if (!layout)
        return;
    rg_text_template_destroy(layout->own);
    free(layout);
}

int32_t rg_text_layout_end(const RgTextLayout *layout) {
    return layout->end;
}
