/* SPDX-License-Identifier: MIT */
/* Filling in a template: its tree is walked, expressions give values, statements give text. */
#include "core/text/template_internal.h"

#include <stdlib.h>
#include <string.h>

typedef RgTemplateValue Value;
typedef const RgTemplateNode Node;

struct RgTemplate {
    char *path, *source;
    RgTemplateWork work; /* the tree's memory */
    RgTemplateNodes body;
};

/* The variables of the template, of a loop's body, or of a macro. */
typedef struct Scope {
    RgTemplateMapping variables;
    struct Scope *outer; /* NULL: the template's own */
} Scope;

typedef enum Leaving { STAYS, BREAKS, CONTINUES } Leaving;

typedef struct Run {
    RgTemplateWork work;
    Scope *scope, *own; /* the innermost; the template's */
    RgBuffer *out;
    Value captured; /* of the block that is being set */
    Leaving leaving;
} Run;

static Value evaluate(Run *run, Node *node);
static void run_all(Run *run, const RgTemplateNodes *nodes);

/* ---- variables ---- */

static Value find_variable(Run *run, RgTemplateText name) {
    for (const Scope *scope = run->scope; scope; scope = scope->outer) {
        const Value *found = rg_template_get(&run->work, &scope->variables, name);
        if (found)
            return *found;
    }
    return rg_template_undefined;
}

static void set_variable(Run *run, RgTemplateText name, Value value) {
    rg_template_set(&run->work, &run->scope->variables, name, value);
}

/* One name takes the value, several its items. */
static void set_variables(Run *run, const RgTemplateNodes *names, Value value) {
    if (names->count == 1) {
        set_variable(run, names->node[0]->text, value);
        return;
    }
    const RgTemplateList *items = rg_template_items(&run->work, value);
    if (items->count != names->count)
        rg_template_fail(&run->work, "%zu values for %zu names", items->count, names->count);
    for (size_t i = 0; i < names->count && !run->work.failed; i++)
        set_variable(run, names->node[i]->text, items->item[i]);
}

/* ---- operators ---- */

static Value binary(Run *run, Node *node) {
    Value a = evaluate(run, node->first), b = evaluate(run, node->second);
    run->work.line = node->line;
    return run->work.failed ? rg_template_undefined
                            : rg_template_operate(&run->work, node->text, a, b);
}

static Value negative(Run *run, Node *node) {
    Value value = evaluate(run, node->first);
    if (value.kind == RG_TEMPLATE_REAL)
        return (Value){.kind = RG_TEMPLATE_REAL, .real = -value.real};
    return rg_template_operate(&run->work, (RgTemplateText){"-", 1}, rg_template_integer(0), value);
}

static Value slice(Run *run, Node *node) {
    Value of = evaluate(run, node->first), part[3] = {rg_template_undefined};
    for (int i = 0; i < 3; i++)
        part[i] = node->list.node[i] ? evaluate(run, node->list.node[i]) : rg_template_undefined;
    return run->work.failed ? rg_template_undefined : rg_template_slice(&run->work, of, part);
}

/* ---- calls ---- */

/* The arguments' values, in the rendering's memory. */
static RgTemplateArguments arguments_of(Run *run, const RgTemplateNodes *list) {
    RgTemplateArguments arguments = {0};
    RgTemplateValue *value = rg_template_take(&run->work, (list->count + 1) * sizeof *value);
    RgTemplateMember *named = rg_template_take(&run->work, (list->count + 1) * sizeof *named);
    for (size_t i = 0; i < list->count && !run->work.failed; i++) {
        Node *node = list->node[i];
        if (node->kind == RG_NODE_KEYWORD)
            named[arguments.named_count++] =
                (RgTemplateMember){node->text, evaluate(run, node->first)};
        else
            value[arguments.count++] = evaluate(run, node);
    }
    arguments.value = value;
    arguments.named = named;
    return arguments;
}

/* The text that statements write, as a value. */
static Value capture(Run *run, const RgTemplateNodes *body) {
    RgBuffer text = {0}, *out = run->out;
    run->out = &text;
    run_all(run, body);
    run->out = out;
    return rg_template_from_buffer(&run->work, &text);
}

/* A macro sees its parameters and the template's own variables. */
static Value call_macro(Run *run, Node *macro, const RgTemplateArguments *arguments) {
    Scope scope = {.outer = run->own}, *caller = run->scope;
    const RgTemplateNodes *parameters = &macro->list;
    if (arguments->count > parameters->count)
        rg_template_fail(&run->work, "the macro %.*s has %zu arguments, expected at most %zu",
                         RG_SHOWN(macro->text), arguments->count, parameters->count);
    run->scope = &scope;
    for (size_t i = 0; i < parameters->count && !run->work.failed; i++) {
        Node *parameter = parameters->node[i];
        Value value = i < arguments->count ? arguments->value[i] : rg_template_undefined;
        bool given = i < arguments->count;
        for (size_t k = 0; k < arguments->named_count && !given; k++)
            if (arguments->named[k].key.size == parameter->text.size &&
                memcmp(arguments->named[k].key.bytes, parameter->text.bytes,
                       parameter->text.size) == 0) {
                value = arguments->named[k].value;
                given = true;
            }
        if (!given && parameter->first)
            value = evaluate(run, parameter->first);
        set_variable(run, parameter->text, value);
    }
    Value text = capture(run, &macro->body);
    run->scope = caller;
    return text;
}

static Value call(Run *run, Node *node) {
    Node *callee = node->first;
    if (callee->kind == RG_NODE_ATTRIBUTE) {
        Value of = evaluate(run, callee->first);
        RgTemplateArguments arguments = arguments_of(run, &node->list);
        run->work.line = node->line;
        return run->work.failed ? rg_template_undefined
                                : rg_template_method(&run->work, callee->text, of, &arguments);
    }
    if (callee->kind != RG_NODE_NAME) {
        rg_template_fail(&run->work, "what is called has no name, expected a function, a macro or "
                                     "a method");
        return rg_template_undefined;
    }
    Value macro = find_variable(run, callee->text);
    RgTemplateArguments arguments = arguments_of(run, &node->list);
    run->work.line = node->line;
    if (run->work.failed)
        return rg_template_undefined;
    return macro.kind == RG_TEMPLATE_MACRO
               ? call_macro(run, macro.macro, &arguments)
               : rg_template_function(&run->work, callee->text, &arguments);
}

/* ---- expressions ---- */

static Value list_value(Run *run, Node *node) {
    Value list = rg_template_list(&run->work, node->list.count);
    for (size_t i = 0; i < node->list.count && !run->work.failed; i++) {
        Value one = evaluate(run, node->list.node[i]);
        if (!run->work.failed)
            list.list->item[list.list->count++] = one;
    }
    return list;
}

static Value mapping_value(Run *run, Node *node) {
    Value mapping = rg_template_mapping(&run->work, RG_TEMPLATE_MAPPING);
    for (size_t i = 0; i + 1 < node->list.count && !run->work.failed; i += 2) {
        Value key = evaluate(run, node->list.node[i]);
        Value value = evaluate(run, node->list.node[i + 1]);
        if (key.kind != RG_TEMPLATE_STRING)
            rg_template_fail(&run->work, "the key of a mapping is %s, expected a string",
                             rg_template_kind_name(key));
        if (!run->work.failed)
            rg_template_set(&run->work, mapping.mapping, key.string, value);
    }
    return mapping;
}

static Value evaluate_kind(Run *run, Node *node) {
    RgTemplateWork *work = &run->work;
    RgTemplateArguments arguments;
    Value value = rg_template_undefined, second = rg_template_undefined;
    switch (node->kind) {
    case RG_NODE_CONSTANT:
        return node->constant;
    case RG_NODE_NAME:
        return find_variable(run, node->text);
    case RG_NODE_CAPTURED:
        return run->captured;
    case RG_NODE_LIST:
        return list_value(run, node);
    case RG_NODE_MAPPING:
        return mapping_value(run, node);
    case RG_NODE_ATTRIBUTE:
        value = evaluate(run, node->first);
        return rg_template_attribute(work, value, node->text);
    case RG_NODE_ITEM:
        value = evaluate(run, node->first);
        second = evaluate(run, node->second);
        return rg_template_item(work, value, second);
    case RG_NODE_SLICE:
        return slice(run, node);
    case RG_NODE_CALL:
        return call(run, node);
    case RG_NODE_FILTER:
        value = evaluate(run, node->first);
        arguments = arguments_of(run, &node->list);
        work->line = node->line;
        return work->failed ? value : rg_template_filter(work, node->text, value, &arguments);
    case RG_NODE_TEST:
        value = evaluate(run, node->first);
        arguments = arguments_of(run, &node->list);
        work->line = node->line;
        return rg_template_boolean(!work->failed &&
                                   rg_template_test(work, node->text, value, &arguments));
    case RG_NODE_NOT:
        return rg_template_boolean(!rg_template_truth(evaluate(run, node->first)));
    case RG_NODE_NEGATIVE:
        return negative(run, node);
    case RG_NODE_AND:
    case RG_NODE_OR:
        value = evaluate(run, node->first);
        return rg_template_truth(value) == (node->kind == RG_NODE_OR) ? value
                                                                      : evaluate(run, node->second);
    case RG_NODE_BINARY:
        return binary(run, node);
    case RG_NODE_CONDITION:
        if (rg_template_truth(evaluate(run, node->second)))
            return evaluate(run, node->first);
        return node->third ? evaluate(run, node->third) : rg_template_undefined;
    default:
        return rg_template_undefined;
    }
}

static Value evaluate(Run *run, Node *node) {
    if (!rg_template_step(&run->work, 0) || !rg_template_enter(&run->work))
        return rg_template_undefined;
    run->work.line = node->line;
    Value value = evaluate_kind(run, node);
    run->work.depth--;
    return run->work.failed ? rg_template_undefined : value;
}

/* ---- statements ---- */

/* The items of a loop, of which its condition leaves some out. */
static const RgTemplateList *loop_items(Run *run, Node *node) {
    const RgTemplateList *items = rg_template_items(&run->work, evaluate(run, node->first));
    if (!node->second || run->work.failed)
        return items;
    Value kept = rg_template_list(&run->work, items->count);
    for (size_t i = 0; i < items->count && !run->work.failed; i++) {
        Scope scope = {.outer = run->scope};
        run->scope = &scope;
        set_variables(run, &node->list, items->item[i]);
        if (rg_template_truth(evaluate(run, node->second)) && !run->work.failed)
            kept.list->item[kept.list->count++] = items->item[i];
        run->scope = scope.outer;
    }
    return kept.kind == RG_TEMPLATE_LIST ? kept.list : items;
}

static void run_for(Run *run, Node *node) {
    RgTemplateLoop *loop = rg_template_take(&run->work, sizeof *loop);
    const RgTemplateList *items = loop_items(run, node);
    if (run->work.failed)
        return;
    loop->items = items;
    for (size_t i = 0; i < items->count && !run->work.failed && run->leaving != BREAKS; i++) {
        Scope scope = {.outer = run->scope};
        run->scope = &scope;
        run->leaving = STAYS;
        loop->at = i;
        set_variable(run, (RgTemplateText){"loop", 4},
                     (Value){.kind = RG_TEMPLATE_LOOP, .loop = loop});
        set_variables(run, &node->list, items->item[i]);
        run_all(run, &node->body);
        run->scope = scope.outer;
    }
    run->leaving = STAYS;
    if (items->count == 0)
        run_all(run, &node->other);
}

static void run_set(Run *run, Node *node) {
    Value value = evaluate(run, node->first);
    if (node->text.size == 0) {
        set_variables(run, &node->list, value);
        return;
    }
    Value space = find_variable(run, node->text);
    if (space.kind != RG_TEMPLATE_SPACE)
        rg_template_fail(&run->work, "a member of %s was set, expected a namespace",
                         rg_template_kind_name(space));
    else
        rg_template_set(&run->work, space.mapping, node->list.node[0]->text, value);
}

static void run_set_block(Run *run, Node *node) {
    Value outer = run->captured;
    run->captured = capture(run, &node->body);
    set_variables(run, &node->list, evaluate(run, node->first));
    run->captured = outer;
}

static void run_one(Run *run, Node *node) {
    RgTemplateWork *work = &run->work;
    switch (node->kind) {
    case RG_NODE_TEXT:
        rg_template_print(work, (Value){.kind = RG_TEMPLATE_STRING, .string = node->text},
                          run->out);
        break;
    case RG_NODE_PRINT:
        rg_template_print(work, evaluate(run, node->first), run->out);
        break;
    case RG_NODE_IF:
        run_all(run, rg_template_truth(evaluate(run, node->first)) ? &node->body : &node->other);
        break;
    case RG_NODE_FOR:
        run_for(run, node);
        break;
    case RG_NODE_SET:
        run_set(run, node);
        break;
    case RG_NODE_SET_BLOCK:
        run_set_block(run, node);
        break;
    case RG_NODE_MACRO:
        set_variable(run, node->text, (Value){.kind = RG_TEMPLATE_MACRO, .macro = node});
        break;
    case RG_NODE_BREAK:
        run->leaving = BREAKS;
        break;
    case RG_NODE_CONTINUE:
        run->leaving = CONTINUES;
        break;
    default:
        run_all(run, &node->body);
    }
}

static void run_all(Run *run, const RgTemplateNodes *nodes) {
    if (!rg_template_enter(&run->work))
        return;
    for (size_t i = 0; i < nodes->count && run->leaving == STAYS && rg_template_step(&run->work, 0);
         i++) {
        run->work.line = nodes->node[i]->line;
        run_one(run, nodes->node[i]);
    }
    run->work.depth--;
}

/* ---- life ---- */

/* With one kind of newline, and without the one at the end, as Jinja reads it. */
static size_t copy_source(char *copy, const char *source, size_t size) {
    size_t length = 0;
    for (size_t i = 0; i < size; i++)
        if (source[i] != '\r' || i + 1 == size || source[i + 1] != '\n')
            copy[length++] = source[i] == '\r' ? '\n' : source[i];
    return length > 0 && copy[length - 1] == '\n' ? length - 1 : length;
}

RgStatus rg_template_create(const char *path, const char *source, size_t size,
                            RgTemplate **template, RgError *error) {
    *template = NULL;
    if (size > RG_TEMPLATE_SOURCE)
        return rg_fail(error, RG_E_FORMAT, "%s: the template has %zu bytes, expected at most %d",
                       path, size, RG_TEMPLATE_SOURCE);
    RgTemplate *new = rg_allocate(1, sizeof *new);
    new->path = rg_string_copy(path);
    new->source = rg_allocate(size + 1, 1);
    new->work = (RgTemplateWork){.path = new->path, .line = 1, .error = error};
    new->body = rg_template_parse(&new->work, new->source, copy_source(new->source, source, size));
    new->work.error = NULL;
    if (new->work.failed) {
        rg_template_destroy(new);
        return RG_E_FORMAT;
    }
    *template = new;
    return RG_OK;
}

void rg_template_destroy(RgTemplate *template) {
    if (!template)
        return;
    rg_template_release(&template->work);
    free(template->source);
    free(template->path);
    free(template);
}

RgStatus rg_template_render(const RgTemplate *template, json_t *variables, RgBuffer *out,
                            RgError *error) {
    Scope own = {0};
    Run run = {.work = {.path = template->path, .line = 1, .error = error},
               .scope = &own,
               .own = &own,
               .out = out};
    Value given = rg_template_from_json(&run.work, variables);
    if (given.kind == RG_TEMPLATE_MAPPING)
        own.variables = *given.mapping;
    run_all(&run, &template->body);
    rg_template_release(&run.work);
    return run.work.failed ? RG_E_FORMAT : RG_OK;
}
