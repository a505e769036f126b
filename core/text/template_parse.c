/* SPDX-License-Identifier: MIT */
/* Making a tree of a template, by recursive descent: its statements. template_expression.c has the
 * expressions. */
#include "core/text/template_parse.h"

#include <string.h>

static RgTemplateNodes statements(RgTemplateParser *p, const char *const *ends);

/* ---- tokens ---- */

void rg_template_advance(RgTemplateParser *p) {
    p->token = rg_template_next_token(&p->lexer);
    p->work->line = p->token.line;
}

/* The token after the next one. */
RgTemplateToken rg_template_token_after(const RgTemplateParser *p) {
    RgTemplateLexer ahead = p->lexer;
    RgTemplateToken token = rg_template_next_token(&ahead);
    p->work->line = p->token.line;
    return token;
}

bool rg_template_at_symbol(const RgTemplateParser *p, const char *symbol) {
    return p->token.kind == RG_TOKEN_SYMBOL && rg_template_same_text(p->token.text, symbol);
}

bool rg_template_at_word(const RgTemplateParser *p, const char *word) {
    return p->token.kind == RG_TOKEN_NAME && rg_template_same_text(p->token.text, word);
}

bool rg_template_at_one_of(const RgTemplateParser *p, const char *const *words) {
    for (; *words; words++)
        if (rg_template_at_word(p, *words))
            return true;
    return false;
}

bool rg_template_skip_symbol(RgTemplateParser *p, const char *symbol) {
    bool found = rg_template_at_symbol(p, symbol);
    if (found)
        rg_template_advance(p);
    return found;
}

bool rg_template_skip_word(RgTemplateParser *p, const char *word) {
    bool found = rg_template_at_word(p, word);
    if (found)
        rg_template_advance(p);
    return found;
}

void rg_template_unexpected(RgTemplateParser *p, const char *expected) {
    static const char *const kinds[] = {[RG_TOKEN_END] = "the template ends",
                                        [RG_TOKEN_TEXT] = "found text",
                                        [RG_TOKEN_PRINT] = "found {{",
                                        [RG_TOKEN_PRINT_END] = "found }}",
                                        [RG_TOKEN_STATEMENT] = "found {%",
                                        [RG_TOKEN_STATEMENT_END] = "found %}",
                                        [RG_TOKEN_NAME] = "found",
                                        [RG_TOKEN_STRING] = "found the string",
                                        [RG_TOKEN_INTEGER] = "found",
                                        [RG_TOKEN_REAL] = "found",
                                        [RG_TOKEN_SYMBOL] = "found"};
    bool shown = p->token.kind >= RG_TOKEN_NAME;
    int size = p->token.text.size < 60 ? (int)p->token.text.size : 60;
    rg_template_fail(p->work, "%s%s%.*s, expected %s", kinds[p->token.kind], shown ? " " : "",
                     shown ? size : 0, shown ? p->token.text.bytes : "", expected);
}

void rg_template_expect_symbol(RgTemplateParser *p, const char *symbol) {
    if (!rg_template_skip_symbol(p, symbol))
        rg_template_unexpected(p, symbol);
}

static void expect_end_of_statement(RgTemplateParser *p) {
    if (p->token.kind == RG_TOKEN_STATEMENT_END)
        rg_template_advance(p);
    else
        rg_template_unexpected(p, "%}");
}

RgTemplateText rg_template_expect_name(RgTemplateParser *p, const char *expected) {
    RgTemplateText name = p->token.text;
    if (p->token.kind == RG_TOKEN_NAME)
        rg_template_advance(p);
    else
        rg_template_unexpected(p, expected);
    return name;
}

/* ---- nodes ---- */

/* Never NULL: after a failure it is a node that nobody walks. */
RgTemplateNode *rg_template_node(RgTemplateParser *p, RgTemplateNodeKind kind,
                                 RgTemplateNode *first) {
    RgTemplateNode *node = rg_template_take(p->work, sizeof *node);
    if (!node)
        return &p->none;
    node->kind = kind;
    node->line = p->token.line;
    node->first = first;
    return node;
}

void rg_template_append_node(RgTemplateParser *p, RgTemplateNodes *nodes,
                             const RgTemplateNode *node) {
    if (nodes->count == nodes->capacity) {
        size_t capacity = nodes->capacity ? 2 * nodes->capacity : 4;
        const RgTemplateNode **grown = rg_template_take(p->work, capacity * sizeof(*grown));
        if (!grown)
            return;
        if (nodes->count > 0)
            memcpy(grown, nodes->node, nodes->count * sizeof(*grown));
        nodes->node = grown;
        nodes->capacity = capacity;
    }
    nodes->node[nodes->count++] = node;
}

RgTemplateNode *rg_template_constant(RgTemplateParser *p, RgTemplateValue value) {
    RgTemplateNode *node = rg_template_node(p, RG_NODE_CONSTANT, NULL);
    node->constant = value;
    return node;
}

/* ---- statements ---- */

/* An expression, or several with commas: a list. */
static RgTemplateNode *expressions(RgTemplateParser *p,
                                   RgTemplateNode *(*one)(RgTemplateParser *p)) {
    RgTemplateNode *first = one(p);
    if (!rg_template_at_symbol(p, ","))
        return first;
    RgTemplateNode *list = rg_template_node(p, RG_NODE_LIST, NULL);
    rg_template_append_node(p, &list->list, first);
    while (rg_template_skip_symbol(p, ",") && !p->work->failed &&
           p->token.kind != RG_TOKEN_STATEMENT_END)
        rg_template_append_node(p, &list->list, one(p));
    return list;
}

/* a, b of "for a, b in" and "set a, b =" */
static void names(RgTemplateParser *p, RgTemplateNodes *list) {
    bool bracket = rg_template_skip_symbol(p, "(");
    do {
        RgTemplateNode *name = rg_template_node(p, RG_NODE_NAME, NULL);
        name->text = rg_template_expect_name(p, "the name of a variable");
        rg_template_append_node(p, list, name);
    } while (!p->work->failed && rg_template_skip_symbol(p, ","));
    if (bracket)
        rg_template_expect_symbol(p, ")");
}

/* {% word %}, whose {% and word come next or are read already. */
static void end_statement(RgTemplateParser *p, const char *word) {
    if (!rg_template_skip_word(p, word))
        rg_template_unexpected(p, word);
    expect_end_of_statement(p);
}

/* An "elif" is an "if" in the other branch. */
static RgTemplateNode *if_statement(RgTemplateParser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const end[] = {"endif", NULL};
    RgTemplateNode *whole = NULL;
    RgTemplateNodes *branch = NULL;
    while (!p->work->failed) {
        RgTemplateNode *node = rg_template_node(p, RG_NODE_IF, NULL);
        if (branch)
            rg_template_append_node(p, branch, node);
        else
            whole = node;
        node->first = rg_template_expression(p);
        expect_end_of_statement(p);
        node->body = statements(p, ends);
        branch = &node->other;
        if (!rg_template_skip_word(p, "elif"))
            break;
    }
    if (branch && rg_template_skip_word(p, "else")) {
        expect_end_of_statement(p);
        *branch = statements(p, end);
    }
    end_statement(p, "endif");
    return whole ? whole : rg_template_constant(p, rg_template_undefined);
}

static RgTemplateNode *for_statement(RgTemplateParser *p) {
    static const char *const ends[] = {"else", "endfor", NULL}, *const end[] = {"endfor", NULL};
    RgTemplateNode *node = rg_template_node(p, RG_NODE_FOR, NULL);
    names(p, &node->list);
    if (!rg_template_skip_word(p, "in"))
        rg_template_unexpected(p, "in");
    node->first = expressions(p, rg_template_alternative);
    if (rg_template_skip_word(p, "if"))
        node->second = rg_template_expression(p);
    if (rg_template_at_word(p, "recursive"))
        rg_template_unexpected(p, "a loop that is not recursive: recursive ones are not supported");
    expect_end_of_statement(p);
    p->loops++;
    node->body = statements(p, ends);
    p->loops--;
    if (rg_template_skip_word(p, "else")) {
        expect_end_of_statement(p);
        node->other = statements(p, end);
    }
    end_statement(p, "endfor");
    return node;
}

static RgTemplateNode *set_statement(RgTemplateParser *p) {
    static const char *const end[] = {"endset", NULL};
    RgTemplateNode *node = rg_template_node(p, RG_NODE_SET, NULL);
    names(p, &node->list);
    if (node->list.count == 1 && rg_template_skip_symbol(p, ".")) {
        RgTemplateNode *member = rg_template_node(p, RG_NODE_NAME, NULL);
        node->text = node->list.node[0]->text;
        member->text = rg_template_expect_name(p, "the name of a member");
        node->list.count = 0;
        rg_template_append_node(p, &node->list, member);
    }
    if (rg_template_skip_symbol(p, "=")) {
        node->first = expressions(p, rg_template_expression);
        expect_end_of_statement(p);
        return node;
    }
    if (node->list.count > 1 || node->text.size > 0 ||
        !(rg_template_at_symbol(p, "|") || p->token.kind == RG_TOKEN_STATEMENT_END))
        rg_template_unexpected(p, "=");
    node->kind = RG_NODE_SET_BLOCK;
    node->first = rg_template_with_filters(p, rg_template_node(p, RG_NODE_CAPTURED, NULL));
    expect_end_of_statement(p);
    node->body = statements(p, end);
    end_statement(p, "endset");
    return node;
}

static RgTemplateNode *macro_statement(RgTemplateParser *p) {
    static const char *const end[] = {"endmacro", NULL};
    RgTemplateNode *node = rg_template_node(p, RG_NODE_MACRO, NULL);
    int loops = p->loops;
    node->text = rg_template_expect_name(p, "the name of a macro");
    rg_template_expect_symbol(p, "(");
    while (!p->work->failed && !rg_template_at_symbol(p, ")")) {
        RgTemplateNode *parameter = rg_template_node(p, RG_NODE_KEYWORD, NULL);
        parameter->text = rg_template_expect_name(p, "the name of a parameter");
        parameter->first = rg_template_skip_symbol(p, "=") ? rg_template_expression(p) : NULL;
        rg_template_append_node(p, &node->list, parameter);
        if (!rg_template_skip_symbol(p, ","))
            break;
    }
    rg_template_expect_symbol(p, ")");
    expect_end_of_statement(p);
    p->loops = 0;
    node->body = statements(p, end);
    p->loops = loops;
    end_statement(p, "endmacro");
    return node;
}

static RgTemplateNode *generation_statement(RgTemplateParser *p) {
    static const char *const end[] = {"endgeneration", NULL};
    RgTemplateNode *node = rg_template_node(p, RG_NODE_BLOCK, NULL);
    expect_end_of_statement(p);
    node->body = statements(p, end);
    end_statement(p, "endgeneration");
    return node;
}

static RgTemplateNode *leave_statement(RgTemplateParser *p, RgTemplateNodeKind kind) {
    if (p->loops == 0)
        rg_template_fail(p->work, "break or continue stands outside of a loop");
    RgTemplateNode *node = rg_template_node(p, kind, NULL);
    expect_end_of_statement(p);
    return node;
}

static RgTemplateNode *statement(RgTemplateParser *p) {
    if (rg_template_skip_word(p, "if"))
        return if_statement(p);
    if (rg_template_skip_word(p, "for"))
        return for_statement(p);
    if (rg_template_skip_word(p, "set"))
        return set_statement(p);
    if (rg_template_skip_word(p, "macro"))
        return macro_statement(p);
    if (rg_template_skip_word(p, "generation"))
        return generation_statement(p);
    if (rg_template_skip_word(p, "break"))
        return leave_statement(p, RG_NODE_BREAK);
    if (rg_template_skip_word(p, "continue"))
        return leave_statement(p, RG_NODE_CONTINUE);
    rg_template_unexpected(
        p, "if, for, set, macro, generation, break or continue, or the end of one of them: "
           "other statements are not supported");
    return rg_template_constant(p, rg_template_undefined);
}

/* Up to {% and one of the words `ends`, which is next; or to the end if there are none. */
static RgTemplateNodes statements(RgTemplateParser *p, const char *const *ends) {
    RgTemplateNodes list = {0};
    if (!rg_template_enter(p->work))
        return list;
    while (!p->work->failed && p->token.kind != RG_TOKEN_END) {
        RgTemplateNode *node = NULL;
        if (p->token.kind == RG_TOKEN_TEXT) {
            node = rg_template_node(p, RG_NODE_TEXT, NULL);
            node->text = p->token.text;
            rg_template_advance(p);
        } else if (p->token.kind == RG_TOKEN_PRINT) {
            rg_template_advance(p);
            node = rg_template_node(p, RG_NODE_PRINT, rg_template_expression(p));
            if (p->token.kind == RG_TOKEN_PRINT_END)
                rg_template_advance(p);
            else
                rg_template_unexpected(p, "}}");
        } else {
            rg_template_advance(p); /* {% */
            if (ends && rg_template_at_one_of(p, ends))
                break;
            node = statement(p);
        }
        rg_template_append_node(p, &list, node);
    }
    p->work->depth--;
    return list;
}

RgTemplateNodes rg_template_parse(RgTemplateWork *work, const char *source, size_t size) {
    RgTemplateParser p = {
        .work = work,
        .lexer = {.work = work, .at = source, .end = source + size, .line = 1, .start = source}};
    rg_template_advance(&p);
    return statements(&p, NULL);
}
