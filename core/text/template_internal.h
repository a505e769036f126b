/* SPDX-License-Identifier: MIT */
/* What the template's files share; private to them. template_lex.c cuts the source into tokens,
 * template_parse.c and template_expression.c make a tree of them, template_run.c walks it.
 * template_value.c has the values, template_print.c writes them, template_operate.c has what is done
 * to them by symbols, template_filter.c, template_method.c and template_part.c by names, and
 * template_text.c what these share. */
#ifndef RG_CORE_TEXT_TEMPLATE_INTERNAL_H
#define RG_CORE_TEXT_TEMPLATE_INTERNAL_H

#include "core/text/template.h"

/* ---- memory and failure, of a parse or a rendering ---- */

typedef struct RgTemplateBlock RgTemplateBlock;

/* After the first failure every function returns at once, with nothing useful. */
typedef struct RgTemplateWork {
    const char *path;
    int line; /* of the part at work */
    RgError *error;
    bool failed;
    RgTemplateBlock *block; /* all memory, released at the end */
    size_t memory;          /* bytes taken */
    int64_t steps;
    int depth;
} RgTemplateWork;

/* Sets the message, with path and line, unless there is one. */
void rg_template_fail(RgTemplateWork *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Zeroed memory; NULL if that is too much, which is then a failure. */
void *rg_template_take(RgTemplateWork *work, size_t bytes);
/* Counts a step, and those for looking at `bytes`. Returns false if that is too many. */
bool rg_template_step(RgTemplateWork *work, size_t bytes);
/* Counts one level of nesting more; leave by depth--. Returns false if there are too many. */
bool rg_template_enter(RgTemplateWork *work);
void rg_template_release(RgTemplateWork *work);

/* ---- values ---- */

/* Bytes of the source or of that memory; not NUL-terminated. */
typedef struct RgTemplateText {
    const char *bytes;
    size_t size;
} RgTemplateText;

/* The start of a text, as the arguments of "%.*s". */
#define RG_SHOWN(text) (int)((text).size < 60 ? (text).size : 60), (text).bytes

typedef enum RgTemplateKind {
    RG_TEMPLATE_UNDEFINED,
    RG_TEMPLATE_NONE,
    RG_TEMPLATE_BOOLEAN,
    RG_TEMPLATE_INTEGER,
    RG_TEMPLATE_REAL,
    RG_TEMPLATE_STRING,
    RG_TEMPLATE_LIST,
    RG_TEMPLATE_MAPPING,
    RG_TEMPLATE_SPACE, /* a namespace: a mapping whose members are set */
    RG_TEMPLATE_LOOP,
    RG_TEMPLATE_MACRO,
} RgTemplateKind;

typedef struct RgTemplateList RgTemplateList;
typedef struct RgTemplateMapping RgTemplateMapping;
typedef struct RgTemplateLoop RgTemplateLoop;
typedef struct RgTemplateNode RgTemplateNode;

typedef struct RgTemplateValue {
    RgTemplateKind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        RgTemplateText string;
        RgTemplateList *list;
        RgTemplateMapping *mapping;
        const RgTemplateLoop *loop;
        const RgTemplateNode *macro;
    };
} RgTemplateValue;

struct RgTemplateList {
    size_t count;
    RgTemplateValue item[];
};

typedef struct RgTemplateMember {
    RgTemplateText key;
    RgTemplateValue value;
} RgTemplateMember;

struct RgTemplateMapping {
    RgTemplateMember *member; /* [count], in order of their making */
    size_t count, capacity;
};

struct RgTemplateLoop {
    const RgTemplateList *items;
    size_t at;
};

extern const RgTemplateValue rg_template_undefined, rg_template_none;
RgTemplateValue rg_template_boolean(bool value);
RgTemplateValue rg_template_integer(int64_t value);
/* Borrows the bytes. */
RgTemplateValue rg_template_string(const char *bytes, size_t size);
/* Copies them. */
RgTemplateValue rg_template_string_copy(RgTemplateWork *work, const char *bytes, size_t size);
/* An empty list with space for `most` items, which the caller puts and counts; undefined if that is
 * too much. */
RgTemplateValue rg_template_list(RgTemplateWork *work, size_t most);
RgTemplateValue rg_template_mapping(RgTemplateWork *work, RgTemplateKind kind);
void rg_template_set(RgTemplateWork *work, RgTemplateMapping *mapping, RgTemplateText key,
                     RgTemplateValue value);
/* NULL: there is none. */
const RgTemplateValue *rg_template_get(RgTemplateWork *work, const RgTemplateMapping *mapping,
                                       RgTemplateText key);
RgTemplateValue rg_template_from_json(RgTemplateWork *work, json_t *json);

bool rg_template_same_text(RgTemplateText text, const char *other);
bool rg_template_is_number(RgTemplateValue value);
double rg_template_real(RgTemplateValue value); /* of a number */
bool rg_template_truth(RgTemplateValue value);
bool rg_template_equal(RgTemplateWork *work, RgTemplateValue a, RgTemplateValue b);
/* −1, 0, 1; two numbers or two strings, else a failure. */
int rg_template_compare(RgTemplateWork *work, RgTemplateValue a, RgTemplateValue b);
bool rg_template_contains(RgTemplateWork *work, RgTemplateValue all, RgTemplateValue one);
/* "a string": for messages. */
const char *rg_template_kind_name(RgTemplateValue value);

/* Items of a list, characters of a string, keys of a mapping; undefined has none. Other kinds are a
 * failure. Never NULL. */
const RgTemplateList *rg_template_items(RgTemplateWork *work, RgTemplateValue value);
/* Characters, as offsets of their starts: [count + 1] with the end. */
size_t *rg_template_characters(RgTemplateWork *work, RgTemplateText text, size_t *count);
int64_t rg_template_length(RgTemplateWork *work, RgTemplateValue value);

/* Appends as Python prints it. */
void rg_template_print(RgTemplateWork *work, RgTemplateValue value, RgBuffer *out);
/* Appends as json.dumps writes it, without escapes for letters. `indent` −1: on one line. */
void rg_template_to_json(RgTemplateWork *work, RgTemplateValue value, int64_t indent,
                         RgBuffer *out);
/* The text in `buffer`, as a value; releases the buffer. */
RgTemplateValue rg_template_from_buffer(RgTemplateWork *work, RgBuffer *buffer);

/* ---- operators ---- */

/* + - * / // % ** ~ == != < <= > >= in; others are a failure. */
RgTemplateValue rg_template_operate(RgTemplateWork *work, RgTemplateText symbol, RgTemplateValue a,
                                    RgTemplateValue b);
/* Each part may be undefined or none. */
RgTemplateValue rg_template_slice(RgTemplateWork *work, RgTemplateValue of,
                                  const RgTemplateValue part[3]);

/* ---- things done by name ---- */

typedef struct RgTemplateArguments {
    const RgTemplateValue *value; /* [count], by position */
    size_t count;
    const RgTemplateMember *named; /* [named_count] */
    size_t named_count;
} RgTemplateArguments;

/* Refuses more arguments by position than the `names`, NULL-terminated, and other names. */
void rg_template_check_arguments(RgTemplateWork *work, const RgTemplateArguments *arguments,
                                 const char *of, const char *const *names);
/* The argument at a position or with a name; undefined if it was not given. */
RgTemplateValue rg_template_argument(const RgTemplateArguments *arguments, size_t position,
                                     const char *name);

RgTemplateValue rg_template_filter(RgTemplateWork *work, RgTemplateText name, RgTemplateValue value,
                                   const RgTemplateArguments *arguments);
bool rg_template_test(RgTemplateWork *work, RgTemplateText name, RgTemplateValue value,
                      const RgTemplateArguments *arguments);
RgTemplateValue rg_template_method(RgTemplateWork *work, RgTemplateText name, RgTemplateValue value,
                                   const RgTemplateArguments *arguments);
RgTemplateValue rg_template_function(RgTemplateWork *work, RgTemplateText name,
                                     const RgTemplateArguments *arguments);
/* value.name or value[name] */
RgTemplateValue rg_template_attribute(RgTemplateWork *work, RgTemplateValue value,
                                      RgTemplateText name);
RgTemplateValue rg_template_item(RgTemplateWork *work, RgTemplateValue value,
                                 RgTemplateValue index);
/* "a.b.0" */
RgTemplateValue rg_template_attribute_path(RgTemplateWork *work, RgTemplateValue value,
                                           RgTemplateText path);

/* What the filters and methods of strings share. */

/* The character at a place, and its bytes; a byte that is not UTF-8 is a character. */
size_t rg_template_read_character(RgTemplateText text, size_t at, uint32_t *character);
void rg_template_append_character(RgBuffer *out, uint32_t character);
bool rg_template_is_white(RgTemplateText text, size_t at, size_t size);
/* The next place of `part` at or after `from`; SIZE_MAX: none. */
size_t rg_template_find(RgTemplateText text, RgTemplateText part, size_t from);
typedef enum RgTemplateCase {
    RG_CASE_LOWER,
    RG_CASE_UPPER,
    RG_CASE_TITLE, /* a capital after what is not a letter: Python's title */
    RG_CASE_WORDS, /* a capital after white space, a hyphen or a bracket: Jinja's title */
    RG_CASE_FIRST, /* a capital at the start */
} RgTemplateCase;
RgTemplateValue rg_template_change_case(RgTemplateWork *work, RgTemplateText text,
                                        RgTemplateCase to);
/* Without the `characters` at the ends; white space if they are undefined. */
RgTemplateValue rg_template_strip(RgTemplateWork *work, RgTemplateText text,
                                  RgTemplateValue characters, bool left, bool right);
RgTemplateValue rg_template_replace(RgTemplateWork *work, RgTemplateText text, RgTemplateText from,
                                    RgTemplateText to, int64_t most);
/* `attribute` undefined: the items themselves. */
RgTemplateValue rg_template_join(RgTemplateWork *work, const RgTemplateList *items,
                                 RgTemplateText between, RgTemplateValue attribute);
RgTemplateValue rg_template_members(RgTemplateWork *work, const RgTemplateMapping *mapping,
                                    bool keys, bool values);

/* ---- tokens ---- */

typedef enum RgTemplateTokenKind {
    RG_TOKEN_END,
    RG_TOKEN_TEXT,          /* outside tags, white space taken off as its neighbours say */
    RG_TOKEN_PRINT,         /* {{ */
    RG_TOKEN_PRINT_END,     /* }} */
    RG_TOKEN_STATEMENT,     /* {% */
    RG_TOKEN_STATEMENT_END, /* %} */
    RG_TOKEN_NAME,
    RG_TOKEN_STRING,
    RG_TOKEN_INTEGER,
    RG_TOKEN_REAL,
    RG_TOKEN_SYMBOL, /* an operator or bracket */
} RgTemplateTokenKind;

typedef struct RgTemplateToken {
    RgTemplateTokenKind kind;
    RgTemplateText text;   /* of a string: its content */
    RgTemplateValue value; /* of a string or number */
    int line;
} RgTemplateToken;

typedef struct RgTemplateLexer {
    RgTemplateWork *work;
    const char *at, *end;
    int line;
    bool in_tag;   /* between {{ or {% and its end */
    bool trim;     /* the tag before took the newline after it, if any: trim_blocks */
    bool trim_all; /* or all white space: -%} */
    int brackets;  /* open in the tag */
    const char *start;
} RgTemplateLexer;

RgTemplateToken rg_template_next_token(RgTemplateLexer *lexer);

/* ---- the tree ---- */

typedef enum RgTemplateNodeKind {
    /* expressions */
    RG_NODE_CONSTANT,
    RG_NODE_NAME,
    RG_NODE_LIST,
    RG_NODE_MAPPING,   /* list: key, value, key, value, … */
    RG_NODE_ATTRIBUTE, /* first.text */
    RG_NODE_ITEM,      /* first[second] */
    RG_NODE_SLICE,     /* first[list[0]:list[1]:list[2]], each may be NULL */
    RG_NODE_CALL,      /* first(list) */
    RG_NODE_KEYWORD,   /* text=first, among the arguments of a call; of a macro first may be NULL */
    RG_NODE_FILTER,    /* first|text(list) */
    RG_NODE_TEST,      /* first is text(list) */
    RG_NODE_NOT,
    RG_NODE_NEGATIVE,
    RG_NODE_AND,
    RG_NODE_OR,
    RG_NODE_BINARY,    /* first text second */
    RG_NODE_CONDITION, /* first if second else third; third may be NULL */
    RG_NODE_CAPTURED,  /* the text of the block that is set */
    /* statements */
    RG_NODE_TEXT,
    RG_NODE_PRINT,     /* first */
    RG_NODE_IF,        /* first, body, other */
    RG_NODE_FOR,       /* list: names; in first, if second; body, other */
    RG_NODE_SET,       /* list: names; first; or text: the namespace, and list its one member */
    RG_NODE_SET_BLOCK, /* list: one name; body, first: of the captured text */
    RG_NODE_MACRO,     /* text, list: parameters, body */
    RG_NODE_BREAK,
    RG_NODE_CONTINUE,
    RG_NODE_BLOCK, /* body: generation */
} RgTemplateNodeKind;

typedef struct RgTemplateNodes {
    const RgTemplateNode **node;
    size_t count, capacity;
} RgTemplateNodes;

struct RgTemplateNode {
    RgTemplateNodeKind kind;
    int line;
    RgTemplateText text;
    RgTemplateValue constant;
    const RgTemplateNode *first, *second, *third;
    RgTemplateNodes list, body, other;
};

/* The statements of the whole source, which must outlive them. */
RgTemplateNodes rg_template_parse(RgTemplateWork *work, const char *source, size_t size);

#endif
