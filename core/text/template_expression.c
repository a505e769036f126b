/* SPDX-License-Identifier: MIT */
/* The expressions of a template as a tree. The order in which operators bind is that of Jinja 2, from
 * the weakest: if-else, or, and, not, comparisons, + −, ~, * / // %, **, signs; filters and tests bind
 * to what stands directly before them. */
#include "core/text/template_parse.h"

static RgTemplateNode *binary(RgTemplateParser *p, RgTemplateText symbol, RgTemplateNode *first,
                              RgTemplateNode *second) {
    RgTemplateNode *node = rg_template_node(p, RG_NODE_BINARY, first);
    node->text = symbol;
    node->second = second;
    return node;
}

/* ---- values ---- */

/* NAME= before an argument. */
static bool at_keyword(const RgTemplateParser *p) {
    RgTemplateToken next = rg_template_token_after(p);
    return p->token.kind == RG_TOKEN_NAME && next.kind == RG_TOKEN_SYMBOL &&
           rg_template_same_text(next.text, "=");
}

/* After "(". */
static void arguments(RgTemplateParser *p, RgTemplateNodes *list) {
    while (!p->work->failed && !rg_template_at_symbol(p, ")")) {
        RgTemplateNode *argument;
        if (at_keyword(p)) {
            argument = rg_template_node(p, RG_NODE_KEYWORD, NULL);
            argument->text = p->token.text;
            rg_template_advance(p);
            rg_template_advance(p);
            argument->first = rg_template_expression(p);
        } else {
            if (list->count > 0 && list->node[list->count - 1]->kind == RG_NODE_KEYWORD)
                rg_template_unexpected(p, "NAME= as in the argument before");
            argument = rg_template_expression(p);
        }
        rg_template_append_node(p, list, argument);
        if (!rg_template_skip_symbol(p, ","))
            break;
    }
    rg_template_expect_symbol(p, ")");
}

static RgTemplateNode *list_until(RgTemplateParser *p, const char *end) {
    RgTemplateNode *node = rg_template_node(p, RG_NODE_LIST, NULL);
    while (!p->work->failed && !rg_template_at_symbol(p, end)) {
        rg_template_append_node(p, &node->list, rg_template_expression(p));
        if (!rg_template_skip_symbol(p, ","))
            break;
    }
    rg_template_expect_symbol(p, end);
    return node;
}

static RgTemplateNode *mapping(RgTemplateParser *p) {
    RgTemplateNode *node = rg_template_node(p, RG_NODE_MAPPING, NULL);
    while (!p->work->failed && !rg_template_at_symbol(p, "}")) {
        rg_template_append_node(p, &node->list, rg_template_expression(p));
        rg_template_expect_symbol(p, ":");
        rg_template_append_node(p, &node->list, rg_template_expression(p));
        if (!rg_template_skip_symbol(p, ","))
            break;
    }
    rg_template_expect_symbol(p, "}");
    return node;
}

/* After "(": a value in brackets, or a list, which Python calls a tuple. */
static RgTemplateNode *bracketed(RgTemplateParser *p) {
    if (rg_template_at_symbol(p, ")"))
        return list_until(p, ")");
    RgTemplateNode *first = rg_template_expression(p);
    if (rg_template_skip_symbol(p, ",")) {
        RgTemplateNode *rest = list_until(p, ")"), *list = rg_template_node(p, RG_NODE_LIST, NULL);
        rg_template_append_node(p, &list->list, first);
        for (size_t i = 0; i < rest->list.count && !p->work->failed; i++)
            rg_template_append_node(p, &list->list, rest->list.node[i]);
        return list;
    }
    rg_template_expect_symbol(p, ")");
    return first;
}

/* Strings that follow each other are one. */
static RgTemplateNode *strings(RgTemplateParser *p) {
    RgBuffer text = {0};
    RgTemplateValue first = p->token.value;
    rg_template_advance(p);
    if (p->token.kind != RG_TOKEN_STRING)
        return rg_template_constant(p, first);
    rg_buffer_append(&text, first.string.bytes, first.string.size);
    for (; p->token.kind == RG_TOKEN_STRING; rg_template_advance(p))
        rg_buffer_append(&text, p->token.value.string.bytes, p->token.value.string.size);
    return rg_template_constant(p, rg_template_from_buffer(p->work, &text));
}

static RgTemplateNode *named(RgTemplateParser *p) {
    static const struct {
        const char *names[2];
        RgTemplateValue value;
    } known[] = {{{"true", "True"}, {.kind = RG_TEMPLATE_BOOLEAN, .boolean = true}},
                 {{"false", "False"}, {.kind = RG_TEMPLATE_BOOLEAN}},
                 {{"none", "None"}, {.kind = RG_TEMPLATE_NONE}}};
    RgTemplateText name = p->token.text;
    rg_template_advance(p);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (rg_template_same_text(name, known[i].names[0]) ||
            rg_template_same_text(name, known[i].names[1]))
            return rg_template_constant(p, known[i].value);
    RgTemplateNode *node = rg_template_node(p, RG_NODE_NAME, NULL);
    node->text = name;
    return node;
}

static RgTemplateNode *primary(RgTemplateParser *p) {
    RgTemplateValue value = p->token.value;
    if (p->token.kind == RG_TOKEN_NAME)
        return named(p);
    if (p->token.kind == RG_TOKEN_STRING)
        return strings(p);
    if (p->token.kind == RG_TOKEN_INTEGER || p->token.kind == RG_TOKEN_REAL) {
        rg_template_advance(p);
        return rg_template_constant(p, value);
    }
    if (rg_template_skip_symbol(p, "("))
        return bracketed(p);
    if (rg_template_skip_symbol(p, "["))
        return list_until(p, "]");
    if (rg_template_skip_symbol(p, "{"))
        return mapping(p);
    rg_template_unexpected(p, "a value");
    return rg_template_constant(p, rg_template_undefined);
}

/* After "[": an index or a slice. */
static RgTemplateNode *index_or_slice(RgTemplateParser *p, RgTemplateNode *of) {
    const RgTemplateNode *part[3] = {NULL};
    int colons = 0;
    while (!p->work->failed && !rg_template_at_symbol(p, "]") && colons < 3) {
        if (rg_template_at_symbol(p, ":")) {
            rg_template_advance(p);
            colons++;
        } else {
            part[colons] = rg_template_expression(p);
            if (!rg_template_at_symbol(p, ":"))
                break;
        }
    }
    if (colons == 3 || (colons == 0 && !part[0]))
        rg_template_unexpected(p, "an index, or a slice as 1:, ::-1");
    rg_template_expect_symbol(p, "]");
    RgTemplateNode *node = rg_template_node(p, colons > 0 ? RG_NODE_SLICE : RG_NODE_ITEM, of);
    node->second = part[0];
    for (int i = 0; i < 3 && colons > 0; i++)
        rg_template_append_node(p, &node->list, part[i]);
    return node;
}

static RgTemplateNode *call(RgTemplateParser *p, RgTemplateNode *of) {
    RgTemplateNode *node = rg_template_node(p, RG_NODE_CALL, of);
    arguments(p, &node->list);
    return node;
}

/* .name [index] (arguments) */
static RgTemplateNode *with_parts(RgTemplateParser *p, RgTemplateNode *node) {
    while (!p->work->failed) {
        if (rg_template_skip_symbol(p, ".")) {
            RgTemplateNode *of = node;
            if (p->token.kind == RG_TOKEN_INTEGER) {
                node = rg_template_node(p, RG_NODE_ITEM, of);
                node->second = primary(p);
            } else {
                node = rg_template_node(p, RG_NODE_ATTRIBUTE, of);
                node->text = rg_template_expect_name(p, "a name after the dot");
            }
        } else if (rg_template_skip_symbol(p, "[")) {
            node = index_or_slice(p, node);
        } else if (rg_template_skip_symbol(p, "(")) {
            node = call(p, node);
        } else {
            break;
        }
    }
    return node;
}

static RgTemplateNode *filter(RgTemplateParser *p, RgTemplateNode *of) {
    RgTemplateNode *node = rg_template_node(p, RG_NODE_FILTER, of);
    node->text = rg_template_expect_name(p, "the name of a filter");
    if (rg_template_skip_symbol(p, "("))
        arguments(p, &node->list);
    return node;
}

/* After "is". Its argument may stand without brackets. */
static RgTemplateNode *test(RgTemplateParser *p, RgTemplateNode *of) {
    static const char *const others[] = {"else", "or", "and", "is", "if", "not", "in", NULL};
    bool negated = rg_template_skip_word(p, "not");
    RgTemplateNode *node = rg_template_node(p, RG_NODE_TEST, of);
    node->text = rg_template_expect_name(p, "the name of a test");
    if (rg_template_skip_symbol(p, "("))
        arguments(p, &node->list);
    else if ((p->token.kind == RG_TOKEN_NAME && !rg_template_at_one_of(p, others)) ||
             p->token.kind == RG_TOKEN_STRING || p->token.kind == RG_TOKEN_INTEGER ||
             p->token.kind == RG_TOKEN_REAL || rg_template_at_symbol(p, "[") ||
             rg_template_at_symbol(p, "{"))
        rg_template_append_node(p, &node->list, with_parts(p, primary(p)));
    return negated ? rg_template_node(p, RG_NODE_NOT, node) : node;
}

RgTemplateNode *rg_template_with_filters(RgTemplateParser *p, RgTemplateNode *node) {
    while (!p->work->failed) {
        if (rg_template_skip_symbol(p, "|"))
            node = filter(p, node);
        else if (rg_template_skip_word(p, "is"))
            node = test(p, node);
        else if (rg_template_skip_symbol(p, "("))
            node = call(p, node);
        else
            break;
    }
    return node;
}

/* ---- symbols ---- */

static RgTemplateNode *signed_value(RgTemplateParser *p, bool filters) {
    RgTemplateNode *node;
    if (!rg_template_enter(p->work))
        return rg_template_constant(p, rg_template_undefined);
    if (rg_template_skip_symbol(p, "-"))
        node = rg_template_node(p, RG_NODE_NEGATIVE, signed_value(p, false));
    else if (rg_template_skip_symbol(p, "+"))
        node = signed_value(p, false);
    else
        node = with_parts(p, primary(p));
    p->work->depth--;
    return filters ? rg_template_with_filters(p, node) : node;
}

static RgTemplateNode *power(RgTemplateParser *p) {
    RgTemplateNode *node = signed_value(p, true);
    while (!p->work->failed && rg_template_at_symbol(p, "**")) {
        RgTemplateText symbol = p->token.text;
        rg_template_advance(p);
        node = binary(p, symbol, node, signed_value(p, true));
    }
    return node;
}

/* Operators that bind alike, from the left: a level of the table, with those that bind more
 * strongly below it. */
static RgTemplateNode *operators(RgTemplateParser *p, int level) {
    static const char *const levels[3][5] = {
        {"+", "-", NULL}, {"~", NULL}, {"*", "/", "//", "%", NULL}};
    if (level == 3)
        return power(p);
    RgTemplateNode *node = operators(p, level + 1);
    for (bool found = true; found && !p->work->failed;) {
        found = false;
        for (int i = 0; levels[level][i] && !found; i++) {
            if (!rg_template_at_symbol(p, levels[level][i]))
                continue;
            found = true;
            RgTemplateText symbol = p->token.text;
            rg_template_advance(p);
            node = binary(p, symbol, node, operators(p, level + 1));
        }
    }
    return node;
}

static bool at_not_in(const RgTemplateParser *p) {
    if (!rg_template_at_word(p, "not"))
        return false;
    RgTemplateToken next = rg_template_token_after(p);
    return next.kind == RG_TOKEN_NAME && rg_template_same_text(next.text, "in");
}

/* a < b < c is a < b and b < c. */
static RgTemplateNode *comparison(RgTemplateParser *p) {
    static const char *const symbols[] = {"==", "!=", "<=", ">=", "<", ">", NULL};
    RgTemplateNode *left = operators(p, 0), *all = NULL;
    while (!p->work->failed) {
        int i = 0;
        while (symbols[i] && !rg_template_at_symbol(p, symbols[i]))
            i++;
        bool negated = at_not_in(p);
        if (!symbols[i] && !negated && !rg_template_at_word(p, "in"))
            break;
        if (negated)
            rg_template_advance(p);
        RgTemplateText symbol = p->token.text;
        rg_template_advance(p);
        RgTemplateNode *right = operators(p, 0), *one = binary(p, symbol, left, right);
        one = negated ? rg_template_node(p, RG_NODE_NOT, one) : one;
        if (all) {
            RgTemplateNode *both = rg_template_node(p, RG_NODE_AND, all);
            both->second = one;
            one = both;
        }
        all = one;
        left = right;
    }
    return all ? all : left;
}

static RgTemplateNode *negation(RgTemplateParser *p) {
    if (!rg_template_at_word(p, "not"))
        return comparison(p);
    if (!rg_template_enter(p->work))
        return rg_template_constant(p, rg_template_undefined);
    rg_template_advance(p);
    RgTemplateNode *node = rg_template_node(p, RG_NODE_NOT, negation(p));
    p->work->depth--;
    return node;
}

static RgTemplateNode *conjunction(RgTemplateParser *p) {
    RgTemplateNode *node = negation(p);
    while (rg_template_skip_word(p, "and")) {
        node = rg_template_node(p, RG_NODE_AND, node);
        node->second = negation(p);
    }
    return node;
}

RgTemplateNode *rg_template_alternative(RgTemplateParser *p) {
    RgTemplateNode *node = conjunction(p);
    while (rg_template_skip_word(p, "or")) {
        node = rg_template_node(p, RG_NODE_OR, node);
        node->second = conjunction(p);
    }
    return node;
}

RgTemplateNode *rg_template_expression(RgTemplateParser *p) {
    if (!rg_template_enter(p->work))
        return rg_template_constant(p, rg_template_undefined);
    RgTemplateNode *node = rg_template_alternative(p);
    while (!p->work->failed && rg_template_skip_word(p, "if")) {
        node = rg_template_node(p, RG_NODE_CONDITION, node);
        node->second = rg_template_alternative(p);
        node->third = rg_template_skip_word(p, "else") ? rg_template_expression(p) : NULL;
    }
    p->work->depth--;
    return node;
}
