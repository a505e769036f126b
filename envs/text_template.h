/* SPDX-License-Identifier: MIT */
/* A model's own chat template (core/text/template.h) as a way to make tokens of conversations.
 * text_layout.c uses it.
 *
 * The prompt is the template filled in with add_generation_prompt. The response is what the whole
 * conversation has after the prompt, up to and with the token that ends the assistant's turn.
 *
 * As in transformers, added tokens are recognised in the text that the template writes, and what
 * they absorb is absorbed. But special tokens that a conversation spells stay text: only the
 * template writes them. The template sees bos_token and eos_token, which are the tokenizer's begin
 * and end, messages, and tools and documents, which are none.
 *
 * Threads: any, once created. */
#ifndef RG_ENVS_TEXT_TEMPLATE_H
#define RG_ENVS_TEXT_TEMPLATE_H

#include "core/text/tokenizer.h"
#include "envs/conversation.h"

typedef struct RgTextTemplate RgTextTemplate;

/* Reads a chat_template.jinja, or, where the file's name ends in .json, the chat_template of a
 * tokenizer_config.json: a string, or of a list of named ones that which is named "default". The
 * tokenizer is borrowed. RG_E_FILE, or RG_E_FORMAT with file and line, if it cannot be read, if it
 * refuses a question and its answer, or if it has no generation prompt. */
RgStatus rg_text_template_create(const char *path, const RgTokenizer *tokenizer,
                                 RgTextTemplate **template, RgError *error);
void rg_text_template_destroy(RgTextTemplate *template);

/* Appends the tokens of the conversation, and of the response unless it is NULL; the first
 * *prompt_length are the prompt. RG_E_FORMAT if the template refuses the conversation, or if the
 * prompt is not the beginning of the whole. The outcome depends on the arguments alone. */
RgStatus rg_text_template_lay_out(const RgTextTemplate *template, const RgTurn *turns,
                                  int64_t count, const char *response, RgTokens *tokens,
                                  int64_t *prompt_length, RgError *error);

/* A template for whole conversations alone: rg_text_template_lay_out_whole and
 * rg_text_template_destroy take it. It needs no generation prompt, and no token that ends a turn. */
RgStatus rg_text_template_create_whole(const char *path, const RgTokenizer *tokenizer,
                                       RgTextTemplate **template, RgError *error);
/* Appends the tokens of all that the template writes of the conversation with its response, at least
 * one. RG_E_FORMAT if it refuses the conversation. */
RgStatus rg_text_template_lay_out_whole(const RgTextTemplate *template, const RgTurn *turns,
                                        int64_t count, const char *response, RgTokens *tokens,
                                        RgError *error);

/* How many of a prompt's last tokens come after the content of its last turn. */
int64_t rg_text_template_tail(const RgTextTemplate *template, const RgTurn *turns, int64_t count);

int32_t rg_text_template_first(const RgTextTemplate *template); /* the token that begins a prompt */
/* Tokens of the shortest prompt that the template was tried with, without its question. */
int64_t rg_text_template_least(const RgTextTemplate *template);
int32_t rg_text_template_end(const RgTextTemplate *template); /* the token that ends a response */
/* What the template puts between prompt and response, such as " ". */
const char *rg_text_template_lead(const RgTextTemplate *template);

#endif
