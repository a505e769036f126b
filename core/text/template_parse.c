/* SPDX-License-Identifier: MIT */
/* Making a tree of a template, by recursive descent. The order in which symbols bind is that of
 * Jinja 2, from the weakest: if-else, or, and, not, comparisons, + −, ~, * / // %, **, signs;
 * filters and tests bind to what stands directly before them. */
#include "core/text/template_internal.h"

#include <string.h>

typedef struct Parser {
    RgTemplateWork *work;
    RgTemplateLexer lexer;
    RgTemplateToken token; /* the next one */
    int loops;             /* that the statement is in */
    RgTemplateNode none;   /* in place of nodes after a failure */
} Parser;

static RgTemplateNode *expression(Parser *p);
static RgTemplateNodes statements(Parser *p, const char *const *ends);

/* ---- tokens ---- */

static void advance(Parser *p) {
    p->token = rg_template_next_token(&p->lexer);
    p->work->line = p->token.line;
}

/* The token after the next one. */
static RgTemplateToken token_after(const Parser *p) {
    RgTemplateLexer ahead = p->lexer;
    RgTemplateToken token = rg_template_next_token(&ahead);
    p->work->line = p->token.line;
    return token;
}

static bool is_symbol(const Parser *p, const char *symbol) {
    return p->token.kind == RG_TOKEN_SYMBOL && rg_template_same_text(p->token.text, symbol);
}

static bool is_word(const Parser *p, const char *word) {
    return p->token.kind == RG_TOKEN_NAME && rg_template_same_text(p->token.text, word);
}

static bool is_one_of(const Parser *p, const char *const *words) {
    for (; *words; words++)
        if (is_word(p, *words))
            return true;
    return false;
}

static bool skip_symbol(Parser *p, const char *symbol) {
    bool found = is_symbol(p, symbol);
    if (found)
        advance(p);
    return found;
}

static bool skip_word(Parser *p, const char *word) {
    bool found = is_word(p, word);
    if (found)
        advance(p);
    return found;
}

static void unexpected(Parser *p, const char *expected) {
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

static void expect_symbol(Parser *p, const char *symbol) {
    if (!skip_symbol(p, symbol))
        unexpected(p, symbol);
}

static void expect_end_of_statement(Parser *p) {
    if (p->token.kind == RG_TOKEN_STATEMENT_END)
        advance(p);
    else
        unexpected(p, "%}");
}

static RgTemplateText expect_name(Parser *p, const char *expected) {
    RgTemplateText name = p->token.text;
    if (p->token.kind == RG_TOKEN_NAME)
        advance(p);
    else
        unexpected(p, expected);
    return name;
}

/* ---- nodes ---- */

/* Never NULL: after a failure it is a node that nobody walks. */
static RgTemplateNode *new_node(Parser *p, RgTemplateNodeKind kind, RgTemplateNode *first) {
    RgTemplateNode *node = rg_template_take(p->work, sizeof *node);
    if (!node)
        return &p->none;
    node->kind = kind;
    node->line = p->token.line;
    node->first = first;
    return node;
}

static void append(Parser *p, RgTemplateNodes *nodes, const RgTemplateNode *node) {
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

static RgTemplateNode *constant(Parser *p, RgTemplateValue value) {
    RgTemplateNode *node = new_node(p, RG_NODE_CONSTANT, NULL);
    node->constant = value;
    return node;
}

static RgTemplateNode *binary(Parser *p, RgTemplateText symbol, RgTemplateNode *first,
                              RgTemplateNode *second) {
    RgTemplateNode *node = new_node(p, RG_NODE_BINARY, first);
    node->text = symbol;
    node->second = second;
    return node;
}

/* ---- values ---- */

/* NAME= before an argument. */
static bool at_keyword(const Parser *p) {
    RgTemplateToken next = token_after(p);
    return p->token.kind == RG_TOKEN_NAME && next.kind == RG_TOKEN_SYMBOL &&
           rg_template_same_text(next.text, "=");
}

/* After "(". */
static void arguments(Parser *p, RgTemplateNodes *list) {
    while (!p->work->failed && !is_symbol(p, ")")) {
        RgTemplateNode *argument;
        if (at_keyword(p)) {
            argument = new_node(p, RG_NODE_KEYWORD, NULL);
            argument->text = p->token.text;
            advance(p);
            advance(p);
            argument->first = expression(p);
        } else {
            if (list->count > 0 && list->node[list->count - 1]->kind == RG_NODE_KEYWORD)
                unexpected(p, "NAME= as in the argument before");
            argument = expression(p);
        }
        append(p, list, argument);
        if (!skip_symbol(p, ","))
            break;
    }
    expect_symbol(p, ")");
}

static RgTemplateNode *list_until(Parser *p, const char *end) {
    RgTemplateNode *node = new_node(p, RG_NODE_LIST, NULL);
    while (!p->work->failed && !is_symbol(p, end)) {
        append(p, &node->list, expression(p));
        if (!skip_symbol(p, ","))
            break;
    }
    expect_symbol(p, end);
    return node;
}

static RgTemplateNode *mapping(Parser *p) {
    RgTemplateNode *node = new_node(p, RG_NODE_MAPPING, NULL);
    while (!p->work->failed && !is_symbol(p, "}")) {
        append(p, &node->list, expression(p));
        expect_symbol(p, ":");
        append(p, &node->list, expression(p));
        if (!skip_symbol(p, ","))
            break;
    }
    expect_symbol(p, "}");
    return node;
}

/* After "(": a value in brackets, or a list, which Python calls a tuple. */
static RgTemplateNode *bracketed(Parser *p) {
    if (is_symbol(p, ")"))
        return list_until(p, ")");
    RgTemplateNode *first = expression(p);
    if (skip_symbol(p, ",")) {
        RgTemplateNode *rest = list_until(p, ")"), *list = new_node(p, RG_NODE_LIST, NULL);
        append(p, &list->list, first);
        for (size_t i = 0; i < rest->list.count && !p->work->failed; i++)
            append(p, &list->list, rest->list.node[i]);
        return list;
    }
    expect_symbol(p, ")");
    return first;
}

/* Strings that follow each other are one. */
static RgTemplateNode *strings(Parser *p) {
    RgBuffer text = {0};
    RgTemplateValue first = p->token.value;
    advance(p);
    if (p->token.kind != RG_TOKEN_STRING)
        return constant(p, first);
    rg_buffer_append(&text, first.string.bytes, first.string.size);
    for (; p->token.kind == RG_TOKEN_STRING; advance(p))
        rg_buffer_append(&text, p->token.value.string.bytes, p->token.value.string.size);
    return constant(p, rg_template_from_buffer(p->work, &text));
}

static RgTemplateNode *named(Parser *p) {
    static const struct {
        const char *names[2];
        RgTemplateValue value;
    } known[] = {{{"true", "True"}, {.kind = RG_TEMPLATE_BOOLEAN, .boolean = true}},
                 {{"false", "False"}, {.kind = RG_TEMPLATE_BOOLEAN}},
                 {{"none", "None"}, {.kind = RG_TEMPLATE_NONE}}};
    RgTemplateText name = p->token.text;
    advance(p);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (rg_template_same_text(name, known[i].names[0]) ||
            rg_template_same_text(name, known[i].names[1]))
            return constant(p, known[i].value);
    RgTemplateNode *node = new_node(p, RG_NODE_NAME, NULL);
    node->text = name;
    return node;
}

static RgTemplateNode *primary(Parser *p) {
    RgTemplateValue value = p->token.value;
    if (p->token.kind == RG_TOKEN_NAME)
        return named(p);
    if (p->token.kind == RG_TOKEN_STRING)
        return strings(p);
    if (p->token.kind == RG_TOKEN_INTEGER || p->token.kind == RG_TOKEN_REAL) {
        advance(p);
        return constant(p, value);
    }
    if (skip_symbol(p, "("))
        return bracketed(p);
    if (skip_symbol(p, "["))
        return list_until(p, "]");
    if (skip_symbol(p, "{"))
        return mapping(p);
    unexpected(p, "a value");
    return constant(p, rg_template_undefined);
}

/* After "[": an index or a slice. */
static RgTemplateNode *index_or_slice(Parser *p, RgTemplateNode *of) {
    const RgTemplateNode *part[3] = {NULL};
    int colons = 0;
    while (!p->work->failed && !is_symbol(p, "]") && colons < 3) {
        if (is_symbol(p, ":")) {
            advance(p);
            colons++;
        } else {
            part[colons] = expression(p);
            if (!is_symbol(p, ":"))
                break;
        }
    }
    if (colons == 3 || (colons == 0 && !part[0]))
        unexpected(p, "an index, or a slice as 1:, ::-1");
    expect_symbol(p, "]");
    RgTemplateNode *node = new_node(p, colons > 0 ? RG_NODE_SLICE : RG_NODE_ITEM, of);
    node->second = part[0];
    for (int i = 0; i < 3 && colons > 0; i++)
        append(p, &node->list, part[i]);
    return node;
}

static RgTemplateNode *call(Parser *p, RgTemplateNode *of) {
    RgTemplateNode *node = new_node(p, RG_NODE_CALL, of);
    arguments(p, &node->list);
    return node;
}

/* .name [index] (arguments) */
static RgTemplateNode *with_parts(Parser *p, RgTemplateNode *node) {
    while (!p->work->failed) {
        if (skip_symbol(p, ".")) {
            RgTemplateNode *of = node;
            if (p->token.kind == RG_TOKEN_INTEGER) {
                node = new_node(p, RG_NODE_ITEM, of);
                node->second = primary(p);
            } else {
                node = new_node(p, RG_NODE_ATTRIBUTE, of);
                node->text = expect_name(p, "a name after the dot");
            }
        } else if (skip_symbol(p, "[")) {
            node = index_or_slice(p, node);
        } else if (skip_symbol(p, "(")) {
            node = call(p, node);
        } else {
            break;
        }
    }
    return node;
}

static RgTemplateNode *filter(Parser *p, RgTemplateNode *of) {
    RgTemplateNode *node = new_node(p, RG_NODE_FILTER, of);
    node->text = expect_name(p, "the name of a filter");
    if (skip_symbol(p, "("))
        arguments(p, &node->list);
    return node;
}

/* After "is". Its argument may stand without brackets. */
static RgTemplateNode *test(Parser *p, RgTemplateNode *of) {
    static const char *const others[] = {"else", "or", "and", "is", "if", "not", "in", NULL};
    bool negated = skip_word(p, "not");
    RgTemplateNode *node = new_node(p, RG_NODE_TEST, of);
    node->text = expect_name(p, "the name of a test");
    if (skip_symbol(p, "("))
        arguments(p, &node->list);
    else if ((p->token.kind == RG_TOKEN_NAME && !is_one_of(p, others)) ||
             p->token.kind == RG_TOKEN_STRING || p->token.kind == RG_TOKEN_INTEGER ||
             p->token.kind == RG_TOKEN_REAL || is_symbol(p, "[") || is_symbol(p, "{"))
        append(p, &node->list, with_parts(p, primary(p)));
    return negated ? new_node(p, RG_NODE_NOT, node) : node;
}

static RgTemplateNode *with_filters(Parser *p, RgTemplateNode *node) {
    while (!p->work->failed) {
        if (skip_symbol(p, "|"))
            node = filter(p, node);
        else if (skip_word(p, "is"))
            node = test(p, node);
        else if (skip_symbol(p, "("))
            node = call(p, node);
        else
            break;
    }
    return node;
}

/* ---- symbols ---- */

static RgTemplateNode *signed_value(Parser *p, bool filters) {
    RgTemplateNode *node;
    if (!rg_template_enter(p->work))
        return constant(p, rg_template_undefined);
    if (skip_symbol(p, "-"))
        node = new_node(p, RG_NODE_NEGATIVE, signed_value(p, false));
    else if (skip_symbol(p, "+"))
        node = signed_value(p, false);
    else
        node = with_parts(p, primary(p));
    p->work->depth--;
    return filters ? with_filters(p, node) : node;
}

static RgTemplateNode *power(Parser *p) {
    RgTemplateNode *node = signed_value(p, true);
    while (!p->work->failed && is_symbol(p, "**")) {
        RgTemplateText symbol = p->token.text;
        advance(p);
        node = binary(p, symbol, node, signed_value(p, true));
    }
    return node;
}

/* Operators that bind alike, from the left: a level of the table, with those that bind more
 * strongly below it. */
static RgTemplateNode *operators(Parser *p, int level) {
    static const char *const levels[3][5] = {
        {"+", "-", NULL}, {"~", NULL}, {"*", "/", "//", "%", NULL}};
    if (level == 3)
        return power(p);
    RgTemplateNode *node = operators(p, level + 1);
    for (bool found = true; found && !p->work->failed;) {
        found = false;
        for (int i = 0; levels[level][i] && !found; i++) {
            if (!is_symbol(p, levels[level][i]))
                continue;
            found = true;
            RgTemplateText symbol = p->token.text;
            advance(p);
            node = binary(p, symbol, node, operators(p, level + 1));
        }
    }
    return node;
}

static bool at_not_in(const Parser *p) {
    if (!is_word(p, "not"))
        return false;
    RgTemplateToken next = token_after(p);
    return next.kind == RG_TOKEN_NAME && rg_template_same_text(next.text, "in");
}

/* a < b < c is a < b and b < c. */
static RgTemplateNode *comparison(Parser *p) {
    static const char *const symbols[] = {"==", "!=", "<=", ">=", "<", ">", NULL};
    RgTemplateNode *left = operators(p, 0), *all = NULL;
    while (!p->work->failed) {
        int i = 0;
        while (symbols[i] && !is_symbol(p, symbols[i]))
            i++;
        bool negated = at_not_in(p);
        if (!symbols[i] && !negated && !is_word(p, "in"))
            break;
        if (negated)
            advance(p);
        RgTemplateText symbol = p->token.text;
        advance(p);
        RgTemplateNode *right = operators(p, 0), *one = binary(p, symbol, left, right);
        one = negated ? new_node(p, RG_NODE_NOT, one) : one;
        if (all) {
            RgTemplateNode *both = new_node(p, RG_NODE_AND, all);
            both->second = one;
            one = both;
        }
        all = one;
        left = right;
    }
    return all ? all : left;
}

static RgTemplateNode *negation(Parser *p) {
    if (!is_word(p, "not"))
        return comparison(p);
    if (!rg_template_enter(p->work))
        return constant(p, rg_template_undefined);
    advance(p);
    RgTemplateNode *node = new_node(p, RG_NODE_NOT, negation(p));
    p->work->depth--;
    return node;
}

static RgTemplateNode *conjunction(Parser *p) {
    RgTemplateNode *node = negation(p);
    while (skip_word(p, "and")) {
        node = new_node(p, RG_NODE_AND, node);
        node->second = negation(p);
    }
    return node;
}

static RgTemplateNode *alternative(Parser *p) {
    RgTemplateNode *node = conjunction(p);
    while (skip_word(p, "or")) {
        node = new_node(p, RG_NODE_OR, node);
        node->second = conjunction(p);
    }
    return node;
}

static RgTemplateNode *expression(Parser *p) {
    if (!rg_template_enter(p->work))
        return constant(p, rg_template_undefined);
    RgTemplateNode *node = alternative(p);
    while (!p->work->failed && skip_word(p, "if")) {
        node = new_node(p, RG_NODE_CONDITION, node);
        node->second = alternative(p);
        node->third = skip_word(p, "else") ? expression(p) : NULL;
    }
    p->work->depth--;
    return node;
}

/* ---- statements ---- */

/* An expression, or several with commas: a list. */
static RgTemplateNode *expressions(Parser *p, RgTemplateNode *(*one)(Parser *p)) {
    RgTemplateNode *first = one(p);
    if (!is_symbol(p, ","))
        return first;
    RgTemplateNode *list = new_node(p, RG_NODE_LIST, NULL);
    append(p, &list->list, first);
    while (skip_symbol(p, ",") && !p->work->failed && p->token.kind != RG_TOKEN_STATEMENT_END)
        append(p, &list->list, one(p));
    return list;
}

/* a, b of "for a, b in" and "set a, b =" */
static void names(Parser *p, RgTemplateNodes *list) {
    bool bracket = skip_symbol(p, "(");
    do {
        RgTemplateNode *name = new_node(p, RG_NODE_NAME, NULL);
        name->text = expect_name(p, "the name of a variable");
        append(p, list, name);
    } while (!p->work->failed && skip_symbol(p, ","));
    if (bracket)
        expect_symbol(p, ")");
}

/* {% word %}, whose {% and word come next or are read already. */
static void end_statement(Parser *p, const char *word) {
    if (!skip_word(p, word))
        unexpected(p, word);
    expect_end_of_statement(p);
}

/* An "elif" is an "if" in the other branch. */
static RgTemplateNode *if_statement(Parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const end[] = {"endif", NULL};
    RgTemplateNode *whole = NULL;
    RgTemplateNodes *branch = NULL;
    while (!p->work->failed) {
        RgTemplateNode *node = new_node(p, RG_NODE_IF, NULL);
        if (branch)
            append(p, branch, node);
        else
            whole = node;
        node->first = expression(p);
        expect_end_of_statement(p);
        node->body = statements(p, ends);
        branch = &node->other;
        if (!skip_word(p, "elif"))
            break;
    }
    if (skip_word(p, "else")) {
        expect_end_of_statement(p);
        *branch = statements(p, end);
    }
    end_statement(p, "endif");
    return whole ? whole : constant(p, rg_template_undefined);
}

static RgTemplateNode *for_statement(Parser *p) {
    static const char *const ends[] = {"else", "endfor", NULL}, *const end[] = {"endfor", NULL};
    RgTemplateNode *node = new_node(p, RG_NODE_FOR, NULL);
    names(p, &node->list);
    if (!skip_word(p, "in"))
        unexpected(p, "in");
    node->first = expressions(p, alternative);
    if (skip_word(p, "if"))
        node->second = expression(p);
    if (is_word(p, "recursive"))
        unexpected(p, "a loop that is not recursive: recursive ones are not supported");
    expect_end_of_statement(p);
    p->loops++;
    node->body = statements(p, ends);
    p->loops--;
    if (skip_word(p, "else")) {
        expect_end_of_statement(p);
        node->other = statements(p, end);
    }
    end_statement(p, "endfor");
    return node;
}

static RgTemplateNode *set_statement(Parser *p) {
    static const char *const end[] = {"endset", NULL};
    RgTemplateNode *node = new_node(p, RG_NODE_SET, NULL);
    names(p, &node->list);
    if (node->list.count == 1 && skip_symbol(p, ".")) {
        RgTemplateNode *member = new_node(p, RG_NODE_NAME, NULL);
        node->text = node->list.node[0]->text;
        member->text = expect_name(p, "the name of a member");
        node->list.count = 0;
        append(p, &node->list, member);
    }
    if (skip_symbol(p, "=")) {
        node->first = expressions(p, expression);
        expect_end_of_statement(p);
        return node;
    }
    if (node->list.count > 1 || node->text.size > 0 ||
        !(is_symbol(p, "|") || p->token.kind == RG_TOKEN_STATEMENT_END))
        unexpected(p, "=");
    node->kind = RG_NODE_SET_BLOCK;
    node->first = with_filters(p, new_node(p, RG_NODE_CAPTURED, NULL));
    expect_end_of_statement(p);
    node->body = statements(p, end);
    end_statement(p, "endset");
    return node;
}

static RgTemplateNode *macro_statement(Parser *p) {
    static const char *const end[] = {"endmacro", NULL};
    RgTemplateNode *node = new_node(p, RG_NODE_MACRO, NULL);
    int loops = p->loops;
    node->text = expect_name(p, "the name of a macro");
    expect_symbol(p, "(");
    while (!p->work->failed && !is_symbol(p, ")")) {
        RgTemplateNode *parameter = new_node(p, RG_NODE_KEYWORD, NULL);
        parameter->text = expect_name(p, "the name of a parameter");
        parameter->first = skip_symbol(p, "=") ? expression(p) : NULL;
        append(p, &node->list, parameter);
        if (!skip_symbol(p, ","))
            break;
    }
    expect_symbol(p, ")");
    expect_end_of_statement(p);
    p->loops = 0;
    node->body = statements(p, end);
    p->loops = loops;
    end_statement(p, "endmacro");
    return node;
}

static RgTemplateNode *generation_statement(Parser *p) {
    static const char *const end[] = {"endgeneration", NULL};
    RgTemplateNode *node = new_node(p, RG_NODE_BLOCK, NULL);
    expect_end_of_statement(p);
    node->body = statements(p, end);
    end_statement(p, "endgeneration");
    return node;
}

static RgTemplateNode *leave_statement(Parser *p, RgTemplateNodeKind kind) {
    if (p->loops == 0)
        rg_template_fail(p->work, "break or continue stands outside of a loop");
    RgTemplateNode *node = new_node(p, kind, NULL);
    expect_end_of_statement(p);
    return node;
}

static RgTemplateNode *statement(Parser *p) {
    if (skip_word(p, "if"))
        return if_statement(p);
    if (skip_word(p, "for"))
        return for_statement(p);
    if (skip_word(p, "set"))
        return set_statement(p);
    if (skip_word(p, "macro"))
        return macro_statement(p);
    if (skip_word(p, "generation"))
        return generation_statement(p);
    if (skip_word(p, "break"))
        return leave_statement(p, RG_NODE_BREAK);
    if (skip_word(p, "continue"))
        return leave_statement(p, RG_NODE_CONTINUE);
    unexpected(p, "if, for, set, macro, generation, break or continue, or the end of one of them: "
                  "other statements are not supported");
    return constant(p, rg_template_undefined);
}

/* Up to {% and one of the words `ends`, which is next; or to the end if there are none. */
static RgTemplateNodes statements(Parser *p, const char *const *ends) {
    RgTemplateNodes list = {0};
    if (!rg_template_enter(p->work))
        return list;
    while (!p->work->failed && p->token.kind != RG_TOKEN_END) {
        RgTemplateNode *node = NULL;
        if (p->token.kind == RG_TOKEN_TEXT) {
            node = new_node(p, RG_NODE_TEXT, NULL);
            node->text = p->token.text;
            advance(p);
        } else if (p->token.kind == RG_TOKEN_PRINT) {
            advance(p);
            node = new_node(p, RG_NODE_PRINT, expression(p));
            if (p->token.kind == RG_TOKEN_PRINT_END)
                advance(p);
            else
                unexpected(p, "}}");
        } else {
            advance(p); /* {% */
            if (ends && is_one_of(p, ends))
                break;
            node = statement(p);
        }
        append(p, &list, node);
    }
    p->work->depth--;
    return list;
}

RgTemplateNodes rg_template_parse(RgTemplateWork *work, const char *source, size_t size) {
    Parser p = {
        .work = work,
        .lexer = {.work = work, .at = source, .end = source + size, .line = 1, .start = source}};
    advance(&p);
    return statements(&p, NULL);
}
