/* SPDX-License-Identifier: MIT */
/* A judge that is a reward model made elsewhere: a folder in Hugging Face's layout with a scalar
 * head. It has a tokenizer of its own. A conversation is laid out by a chat template of its own, or it
 * is the environment's: then its tokens are turned into text and encoded again. */
#include "core/models/hugging_face.h"
#include "core/models/transformer.h"
#include "core/tensor/threads.h"
#include "core/text/tokenizer.h"
#include "envs/judges/judge.h"
#include "envs/judges/judge_reward_model.h"
#include "envs/text_layout.h"

#include <stdlib.h>
#include <string.h>

typedef struct Options {
    const char *weights, *tokenizer, *chat_template_file;
    int chat_template;
} Options;

/* That of the environment comes before the built-in ones. */
enum { OF_ENVIRONMENT, BUILT_IN };
static const char *const chat_templates[] = {"environment", RG_CHAT_TEMPLATES, NULL};

static const char *const files[] = {"config.json",           "model.safetensors.index.json",
                                    "*.safetensors",         "tokenizer.json",
                                    "tokenizer_config.json", NULL};

static const RgOption options_table[] = {
    RG_OPTION_FOLDER(Options, weights, NULL, files,
                     "folder in Hugging Face's layout of a …ForSequenceClassification with one "
                     "label, of an architecture that policy.weights supports"),
    RG_OPTION_PATH(Options, tokenizer, "", "its tokenizer; \"\": tokenizer.json in the folder"),
    RG_OPTION_CHOICE(Options, chat_template, "environment", chat_templates,
                     "how conversations become its tokens: environment, as the policy sees them; "
                     "or a chat format, as in the environment's chat_template",
                     .later = true),
    RG_OPTION_PATH(Options, chat_template_file, "",
                   "the reward model's own template in place of chat_template: "
                   "chat_template.jinja, or tokenizer_config.json with the template in it; all "
                   "that it writes of a conversation is read",
                   .later = true),
    RG_OPTION_END,
};

/* What becomes of a token of the environment's tokenizer, if it is not the id of a special token
 * here: a part of a text, or the text of its name. */
enum { IN_TEXT = -1, BY_NAME = -2 };

typedef struct Classifier {
    RgSequenceClassifier model;
    RgTokenizer *tokenizer;    /* of the model */
    const RgTokenizer *theirs; /* of the environment; borrowed */
    int32_t *becomes;          /* [vocabulary of theirs] */
    RgTextLayout *layout;      /* of its own; NULL: the environment's */
} Classifier;

/* ---- from tokens to tokens ---- */

/* Special tokens keep their names, as far as this tokenizer has them. */
static int32_t *translate_specials(const Classifier *c) {
    int64_t count = rg_tokenizer_vocabulary(c->theirs);
    int32_t *becomes = rg_allocate(count, sizeof *becomes);
    for (int32_t id = 0; id < count; id++) {
        char *text = rg_tokenizer_decode(c->theirs, &id, 1);
        char *name = rg_tokenizer_decode_marked(c->theirs, &id, 1, NULL);
        becomes[id] = IN_TEXT;
        if (!text[0] && name[0] &&
            rg_tokenizer_find(c->tokenizer, name, &becomes[id], NULL) != RG_OK)
            becomes[id] = BY_NAME;
        free(text);
        free(name);
    }
    return becomes;
}

/* Text between special tokens. The one before it, if any, shows whether the text begins there. */
static void add_text(const Classifier *c, const int32_t *ids, int64_t first, int64_t end,
                     RgTokens *out) {
    int64_t from = first > 0 ? first - 1 : 0;
    char *text = rg_tokenizer_decode(c->theirs, ids + from, end - from);
    rg_tokenizer_encode(c->tokenizer, text, strlen(text), out);
    free(text);
}

/* The tokens that begin and end a text are this tokenizer's, or left out. One token may be both. */
static void add_special(const Classifier *c, int32_t id, bool first, RgTokens *out) {
    bool begins = id == rg_tokenizer_begin(c->theirs), ends = id == rg_tokenizer_end(c->theirs);
    int32_t here = begins && (first || !ends) ? rg_tokenizer_begin(c->tokenizer)
                   : ends                     ? rg_tokenizer_end(c->tokenizer)
                                              : c->becomes[id];
    if (here >= 0)
        rg_tokens_append(out, here);
    if (here != BY_NAME)
        return;
    char *name = rg_tokenizer_decode_marked(c->theirs, &id, 1, NULL);
    rg_tokenizer_encode(c->tokenizer, name, strlen(name), out);
    free(name);
}

/* The conversation in this judge's tokens, at least one. */
static void translate(const Classifier *c, const int32_t *ids, int64_t count, RgTokens *out) {
    for (int64_t i = 0; i < count;) {
        int64_t end = i;
        while (end < count && c->becomes[ids[end]] == IN_TEXT)
            end++;
        if (end > i)
            add_text(c, ids, i, end, out);
        if (end < count)
            add_special(c, ids[end], end == 0, out);
        i = end + 1;
    }
    int32_t end = rg_tokenizer_end(c->tokenizer);
    if (out->count == 0)
        rg_tokens_append(out, end >= 0 ? end : 0);
}

static RgStatus lay_out(const Classifier *c, const RgJudgeItems *items, int64_t i, RgTokens *out,
                        RgError *error) {
    const RgSequences *s = items->sequences;
    if (c->layout)
        return rg_text_lay_out_whole(c->layout, items->conversations[i].turns,
                                     items->conversations[i].count, items->response[i], out, error);
    translate(c, s->tokens + s->start[i], s->start[i + 1] - s->start[i], out);
    return RG_OK;
}

/* All conversations; the last token of each counts as its response, which is never cut off. */
static RgStatus lay_out_all(const Classifier *c, const RgJudgeItems *items, RgSequences *all,
                            RgError *error) {
    RgTokens *tokens = rg_allocate(items->count, sizeof *tokens);
    RgStatus status = RG_OK, *each = rg_allocate(items->count, sizeof *each);
#pragma omp parallel for num_threads(rg_threads()) schedule(dynamic, 16)
    for (int64_t i = 0; i < items->count; i++)
        each[i] = lay_out(c, items, i, &tokens[i], NULL);
    for (int64_t i = 0; i < items->count; i++) {
        int64_t last = tokens[i].count - 1;
        if (status == RG_OK && each[i] == RG_OK)
            rg_sequences_append(all, tokens[i].id, last, tokens[i].id + last, 1);
        rg_tokens_release(&tokens[i]);
        if (status == RG_OK && each[i] != RG_OK) { /* again, for what is wrong */
            tokens[i] = (RgTokens){0};
            status = lay_out(c, items, i, &tokens[i], error);
            rg_tokens_release(&tokens[i]);
        }
    }
    free(tokens);
    free(each);
    return status;
}

/* ---- rewards ---- */

static RgStatus rewards(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error) {
    Classifier *c = judge->state;
    if (!items->sequences && !c->layout)
        return rg_fail(error, RG_E_USAGE,
                       "a sequence classifier needs tokens, and was given text alone");
    RgSequences *all = rg_sequences_create();
    RgStatus status = lay_out_all(c, items, all, error);
    if (status == RG_OK) {
        RgSequences *fits =
            rg_reward_model_fit_length(all, rg_transformer_options(c->model.policy)->context);
        rg_sequence_classifier_values(&c->model, fits, reward);
        rg_sequences_destroy(fits);
    }
    rg_sequences_destroy(all);
    return status;
}

/* By whether its template takes the conversation with some response. */
static RgStatus check_conversation(RgJudge *judge, const RgConversation *conversation,
                                   RgError *error) {
    const Classifier *c = judge->state;
    RgTokens tokens = {0};
    RgStatus status = rg_text_lay_out_whole(c->layout, conversation->turns, conversation->count,
                                            "a", &tokens, error);
    rg_tokens_release(&tokens);
    return status;
}

/* ---- life ---- */

static RgStatus load_tokenizer(Classifier *c, const Options *o, RgError *error) {
    char *own = rg_string_format("%s/tokenizer.json", o->weights);
    RgStatus status =
        rg_tokenizer_load(o->tokenizer[0] ? o->tokenizer : own, 0, &c->tokenizer, error);
    free(own);
    RG_TRY(status);
    int64_t tokens = rg_tokenizer_vocabulary(c->tokenizer);
    int64_t rows = rg_transformer_vocabulary(c->model.policy);
    return tokens <= rows /* more rows are padding */
               ? RG_OK
               : rg_fail(error, RG_E_FORMAT,
                         "%s: the model has a vocabulary of %lld tokens, expected at least the "
                         "%lld of its tokenizer",
                         o->weights, (long long)rows, (long long)tokens);
}

static RgStatus make_layout(RgJudge *judge, const Options *o, RgError *error) {
    Classifier *c = judge->state;
    bool file = o->chat_template_file[0] != '\0';
    if (file && o->chat_template != OF_ENVIRONMENT)
        return rg_fail(error, RG_E_USAGE,
                       "the judge's chat_template_file takes the place of its chat_template, which "
                       "is \"%s\", expected one of them",
                       chat_templates[o->chat_template]);
    judge->reads_turns = file || o->chat_template != OF_ENVIRONMENT;
    if (!judge->reads_turns)
        return RG_OK;
    RgStatus status = rg_text_layout_create_whole(c->tokenizer, o->chat_template - BUILT_IN,
                                                  o->chat_template_file, &c->layout, error);
    return status == RG_OK || file
               ? status
               : rg_fail_in(error, status, "%s", o->tokenizer[0] ? o->tokenizer : o->weights);
}

static RgStatus create(RgJudge *judge, const void *options, const RgJudgeShare *share,
                       RgRandom random, RgError *error) {
    const Options *o = options;
    (void)random;
    if (!share->sequences || !share->tokenizer)
        return rg_fail(error, RG_E_USAGE,
                       "a sequence classifier needs tokens, and was given text alone");
    Classifier *c = rg_allocate(1, sizeof *c);
    judge->state = c;
    c->theirs = share->tokenizer;
    RG_TRY(rg_hugging_face_load_classifier(o->weights, &c->model, error));
    RG_TRY(load_tokenizer(c, o, error));
    RG_TRY(make_layout(judge, o, error));
    c->becomes = translate_specials(c);
    return RG_OK;
}

static void destroy(RgJudge *judge) {
    Classifier *c = judge->state;
    rg_sequence_classifier_release(&c->model);
    rg_text_layout_destroy(c->layout);
    rg_tokenizer_destroy(c->tokenizer);
    free(c->becomes);
    free(c);
}

const RgJudgeType rg_judge_sequence_classifier = {
    .about = {.name = "sequence-classifier",
              .summary =
                  "A reward model made elsewhere: a transformer with a scalar head, in Hugging "
                  "Face's layout, with its own tokenizer",
              .reference = "Ouyang et al. 2022, arXiv:2203.02155",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create,
    .rewards = rewards,
    .check_conversation = check_conversation,
    .destroy = destroy,
};
