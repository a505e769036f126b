/* SPDX-License-Identifier: MIT */
/* What both files of the parser share; private to them. After a failure every function returns at
 * once, and no node is walked. */
#ifndef RG_CORE_TEXT_TEMPLATE_PARSE_H
#define RG_CORE_TEXT_TEMPLATE_PARSE_H

#include "core/text/template_internal.h"

typedef struct RgTemplateParser {
    RgTemplateWork *work;
    RgTemplateLexer lexer;
    RgTemplateToken token; /* the next one */
    int loops;             /* that the statement is in */
    RgTemplateNode none;   /* in place of nodes after a failure */
} RgTemplateParser;

/* ---- tokens ---- */

void rg_template_advance(RgTemplateParser *p);
RgTemplateToken rg_template_token_after(const RgTemplateParser *p); /* the next one */
bool rg_template_at_symbol(const RgTemplateParser *p, const char *symbol);
bool rg_template_at_word(const RgTemplateParser *p, const char *word);
bool rg_template_at_one_of(const RgTemplateParser *p, const char *const *words);
/* Whether it is next, and is then left behind. */
bool rg_template_skip_symbol(RgTemplateParser *p, const char *symbol);
bool rg_template_skip_word(RgTemplateParser *p, const char *word);
/* Fails with what is next. */
void rg_template_unexpected(RgTemplateParser *p, const char *expected);
void rg_template_expect_symbol(RgTemplateParser *p, const char *symbol);
RgTemplateText rg_template_expect_name(RgTemplateParser *p, const char *expected);

/* ---- nodes, never NULL ---- */

RgTemplateNode *rg_template_node(RgTemplateParser *p, RgTemplateNodeKind kind,
                                 RgTemplateNode *first);
RgTemplateNode *rg_template_constant(RgTemplateParser *p, RgTemplateValue value);
void rg_template_append_node(RgTemplateParser *p, RgTemplateNodes *nodes,
                             const RgTemplateNode *node);

RgTemplateNode *rg_template_expression(RgTemplateParser *p);
/* One without "if" on its own: what a loop is over. */
RgTemplateNode *rg_template_alternative(RgTemplateParser *p);
/* Filters and tests after a node. */
RgTemplateNode *rg_template_with_filters(RgTemplateParser *p, RgTemplateNode *node);

#endif
