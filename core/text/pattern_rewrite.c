/* SPDX-License-Identifier: MIT */
/* Differences between Oniguruma and PCRE2 (Oniguruma 6.9's doc/RE, pcre2pattern(3)):
 *   \s \w \b [:space:] [:word:] [:punct:] …  have the members that Unicode gives them
 *   \h                                       is a hexadecimal digit
 *   \p{Han}                                  is the script, without its extensions
 *   X{n,m}+                                  repeats the repeat, and X{n}? makes it optional
 *   X{,m}                                    is X{0,m}
 *   (?m:…)                                   lets . match newlines
 *   (?i:ss)                                  matches ß, too
 * Everything else is copied. What PCRE2 cannot express is refused. */
#include "core/text/pattern_rewrite.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Members of classes. */
#define WHITE                                                                                      \
    "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"       \
    "\\x{3000}"
#define NOT_WHITE                                                                                  \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}!-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"      \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"                 \
    "\\x{3001}-\\x{10ffff}"
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
/* Outside a class, \w has six more members that are not letters: Oniguruma uses ISO 8859-1
 * there. */
#define WORD_ALONE  WORD "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define HEXADECIMAL "0-9A-Fa-f"

enum { MOST_DEPTH = 64, NO_ATOM = -1 };

typedef struct Group {
    size_t start; /* in the output */
    bool any_case;
} Group;

typedef struct Rewriter {
    const char *at; /* the input position */
    RgBuffer *out;
    int64_t atom;            /* start of the last atom in the output, to which a repeat applies */
    Group group[MOST_DEPTH]; /* [depth + 1]; the first is the whole expression */
    int depth;
    const char *fault;
} Rewriter;

static void put(Rewriter *r, const char *text) {
    rg_buffer_append(r->out, text, strlen(text));
}

static void copy(Rewriter *r, size_t size) {
    rg_buffer_append(r->out, r->at, size);
    r->at += size;
}

static void begin_atom(Rewriter *r) {
    r->atom = (int64_t)r->out->size;
}

/* Bytes of the character here; 1 if it is malformed. */
static size_t character_size(const char *at) {
    uint32_t character;
    size_t size = rg_utf8_read(at, strnlen(at, 4), &character);
    return size > 0 ? size : 1;
}

static void insert(Rewriter *r, size_t at, const char *text) {
    size_t size = strlen(text), after = r->out->size - at;
    rg_buffer_append(r->out, text, size);
    memmove(r->out->bytes + at + size, r->out->bytes + at, after);
    memcpy(r->out->bytes + at, text, size);
}

/* ---- escapes ---- */

/* Writes the members of a class, as a class of their own outside a class. */
static void put_members(Rewriter *r, const char *members, bool in_class, bool negated) {
    if (!in_class)
        put(r, negated ? "[^" : "[");
    put(r, members);
    if (!in_class)
        put(r, "]");
    r->at += 2;
}

/* \p{Han}: PCRE2 would include characters that are used with the script. */
static void copy_property(Rewriter *r) {
    static const char *const binary[] = {"Alphabetic",  "Lowercase", "Uppercase",
                                         "White_Space", "Any",       NULL};
    size_t caret = r->at[2] == '{' && r->at[3] == '^', name = 3 + caret;
    size_t length = r->at[2] == '{' ? strcspn(r->at + name, "}") : 0;
    bool script = length > 2;
    for (int k = 0; binary[k]; k++)
        script = script && strncmp(r->at + name, binary[k], length) != 0;
    copy(r, script ? name : 2);
    if (script)
        put(r, "sc:");
    if (r->at[0] == '{' || script)
        copy(r, strcspn(r->at, "}") + (strchr(r->at, '}') != NULL));
}

static void copy_code(Rewriter *r) {
    size_t digits = strspn(r->at + 2, "0123456789ABCDEFabcdef");
    if (r->at[2] == '{') {
        copy(r, strcspn(r->at, "}") + (strchr(r->at, '}') != NULL));
        return;
    }
    if (digits >= 2 && strchr("89ABCDEFabcdef", r->at[2]))
        r->fault = "\\x with a byte that is not a character";
    copy(r, 2 + (digits < 2 ? digits : 2));
}

/* \u4E00 */
static void put_unicode(Rewriter *r) {
    if (strspn(r->at + 2, "0123456789ABCDEFabcdef") < 4) {
        r->fault = "\\u without four digits";
        return;
    }
    put(r, "\\x{");
    r->at += 2;
    copy(r, 4);
    put(r, "}");
}

static void put_border(Rewriter *r, bool border) {
    put(r, border ? "(?:(?<=[" WORD_ALONE "])(?![" WORD_ALONE "])|(?<![" WORD_ALONE
                    "])(?=[" WORD_ALONE "]))"
                  : "(?:(?<=[" WORD_ALONE "])(?=[" WORD_ALONE "])|(?<![" WORD_ALONE
                    "])(?![" WORD_ALONE "]))");
    r->at += 2;
}

static void rewrite_escape(Rewriter *r, bool in_class) {
    char c = r->at[1];
    if (c == '\0')
        r->fault = "a \\ at the end";
    else if (strchr("WH", c) && in_class)
        r->fault = "\\W or \\H within a class";
    else if (strchr("CEGNQagklo", c) && c != 'a')
        r->fault = "a \\ before one of CEGNQgklo";
    else if (c == 's')
        put_members(r, WHITE, in_class, false);
    else if (c == 'S')
        put_members(r, in_class ? NOT_WHITE : WHITE, in_class, true);
    else if (c == 'w' || c == 'W')
        put_members(r, in_class ? WORD : WORD_ALONE, in_class, c == 'W');
    else if (c == 'h' || c == 'H')
        put_members(r, HEXADECIMAL, in_class, c == 'H');
    else if ((c == 'b' || c == 'B') && !in_class)
        put_border(r, c == 'b');
    else if (c == 'p' || c == 'P')
        copy_property(r);
    else if (c == 'x')
        copy_code(r);
    else if (c == 'u')
        put_unicode(r);
    else
        copy(r, 1 + character_size(r->at + 1));
}

/* ---- classes ---- */

/* [:name:] */
static void rewrite_posix(Rewriter *r) {
    static const struct {
        const char *name, *members;
    } known[] = {{"[:space:]", WHITE},
                 {"[:word:]", WORD},
                 {"[:punct:]", "\\p{P}\\p{S}"}, /* with symbols since 6.9.9 */
                 {"[:alpha:]", "\\p{Alphabetic}"},
                 {"[:alnum:]", "\\p{Alphabetic}\\p{Nd}"},
                 {"[:upper:]", "\\p{Uppercase}"},
                 {"[:lower:]", "\\p{Lowercase}"},
                 {"[:digit:]", "\\p{Nd}"},
                 {"[:xdigit:]", HEXADECIMAL}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (strncmp(r->at, known[k].name, strlen(known[k].name)) == 0) {
            put(r, known[k].members);
            r->at += strlen(known[k].name);
            return;
        }
    r->fault = "a class in [: :] other than alnum, alpha, digit, lower, punct, space, upper, word "
               "and xdigit";
}

static void rewrite_class(Rewriter *r) {
    begin_atom(r);
    copy(r, r->at[1] == '^' ? 2 : 1);
    if (*r->at == ']')
        copy(r, 1);
    while (*r->at && *r->at != ']' && !r->fault) {
        if (*r->at == '\\')
            rewrite_escape(r, true);
        else if (r->at[0] == '[' && r->at[1] == ':')
            rewrite_posix(r);
        else if (*r->at == '[')
            r->fault = "a class within a class";
        else if (r->at[0] == '&' && r->at[1] == '&')
            r->fault = "an intersection of classes";
        else
            copy(r, character_size(r->at));
    }
    copy(r, *r->at == ']');
}

/* ---- groups ---- */

static void push(Rewriter *r, bool any_case) {
    if (r->depth + 1 == MOST_DEPTH) {
        r->fault = "such deep nesting of groups";
        return;
    }
    r->group[++r->depth] = (Group){r->out->size, any_case};
    r->atom = NO_ATOM;
}

/* (?i) (?m-i:…). Without a colon, flags apply to the end of the group, alternatives included. */
static void rewrite_flags(Rewriter *r) {
    const char *flags = r->at + 2;
    size_t length = strspn(flags, "im-");
    bool any_case = r->group[r->depth].any_case, off = false, opens = flags[length] == ':';
    bool first = r->out->size == r->group[r->depth].start;
    if (length == 0 || (!opens && flags[length] != ')') || (!opens && !first && r->depth > 0) ||
        (!opens && r->out->size > 0 && r->depth == 0)) {
        r->fault = "a group of this kind, or flags that are not at the start of a group";
        return;
    }
    if (opens)
        push(r, any_case);
    put(r, "(?");
    for (size_t i = 0; i < length; i++) {
        char c = flags[i];
        off = off || c == '-';
        any_case = c == 'i' ? !off : any_case;
        rg_buffer_append(r->out, c == 'm' ? "s" : &c, 1);
    }
    put(r, opens ? ":" : ")");
    r->group[r->depth].any_case = any_case;
    r->at = flags + length + 1;
}

static void rewrite_group(Rewriter *r) {
    static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", NULL};
    int kind = 0;
    while (kinds[kind] && strncmp(r->at, kinds[kind], strlen(kinds[kind])) != 0)
        kind++;
    bool named = strncmp(r->at, "(?<", 3) == 0 && isalpha((unsigned char)r->at[3]);
    if (r->at[1] == '*')
        r->fault = "(*";
    else if (r->at[1] == '?' && !kinds[kind] && !named)
        rewrite_flags(r);
    else {
        push(r, r->group[r->depth].any_case);
        copy(r, kinds[kind] ? strlen(kinds[kind]) : named ? strcspn(r->at, ">") + 1 : 1);
    }
}

static void end_group(Rewriter *r) {
    copy(r, 1);
    if (r->depth > 0)
        r->atom = (int64_t)r->group[r->depth--].start;
}

/* ---- repeats ---- */

/* Bytes of {n}, {n,}, {,m} or {n,m}; 0 if it is not a repeat but literal text. */
static size_t interval_size(const char *at) {
    size_t low = strspn(at + 1, "0123456789"), comma = at[1 + low] == ',';
    size_t high = comma ? strspn(at + 2 + low, "0123456789") : 0;
    bool good = low + high > 0 && at[1 + low + comma + high] == '}';
    return good ? 2 + low + comma + high : 0;
}

static void rewrite_interval(Rewriter *r, size_t size) {
    bool exact = !memchr(r->at, ',', size);
    if (r->at[1] == ',') {
        put(r, "{0");
        r->at++;
        size--;
    }
    copy(r, size);
    if (*r->at == '+' || (*r->at == '?' && exact)) {
        insert(r, (size_t)r->atom, "(?:");
        put(r, ")");
        copy(r, 1);
    }
}

/* ---- case-insensitive letters ---- */

/* Characters that become several in another case: ß, ligatures, Greek with iota below. */
static bool unfolds(uint32_t c) {
    return c == 0xdf || c == 0x130 || c == 0x149 || c == 0x1f0 || c == 0x390 || c == 0x3b0 ||
           c == 0x587 || (c >= 0x1e96 && c <= 0x1e9e) || (c >= 0x1f50 && c <= 0x1ffc) ||
           (c >= 0xfb00 && c <= 0xfb17);
}

/* Two letters that become one character in another case. */
static bool put_ligature(Rewriter *r) {
    static const struct {
        char letters[3];
        const char *forms;
    } known[] = {{"ss", "(?:ss|\\x{df}|\\x{1e9e})"},
                 {"st", "(?:st|\\x{fb05}|\\x{fb06})"},
                 {"ff", "(?:ff|\\x{fb00})"},
                 {"fi", "(?:fi|\\x{fb01})"},
                 {"fl", "(?:fl|\\x{fb02})"}};
    char pair[3] = {(char)tolower((unsigned char)r->at[0]), (char)tolower((unsigned char)r->at[1])};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        if (strcmp(pair, known[k].letters) != 0)
            continue;
        char next = r->at[2];
        if ((next && strchr("*+?{", next)) || (k == 2 && next && strchr("iIlL", next)))
            r->fault =
                "case-insensitive matching of letters that another case writes as one character";
        put(r, known[k].forms);
        r->at += 2;
        return true;
    }
    return false;
}

static void rewrite_literal(Rewriter *r) {
    uint32_t character = 0;
    bool any_case = r->group[r->depth].any_case;
    begin_atom(r);
    if (any_case && put_ligature(r))
        return;
    size_t size = rg_utf8_read(r->at, strnlen(r->at, 4), &character);
    if (any_case && unfolds(character))
        r->fault = "case-insensitive matching of a letter that another case writes as several";
    copy(r, size > 0 ? size : 1);
}

/* ---- the whole expression ---- */

static void rewrite_next(Rewriter *r) {
    char c = *r->at;
    size_t interval = c == '{' && r->atom != NO_ATOM ? interval_size(r->at) : 0;
    if (c == '\\') {
        begin_atom(r);
        rewrite_escape(r, false);
    } else if (c == '[') {
        rewrite_class(r);
    } else if (c == '(') {
        rewrite_group(r);
    } else if (c == ')') {
        end_group(r);
    } else if (interval > 0) {
        rewrite_interval(r, interval);
    } else if (strchr("*+?", c)) {
        copy(r, 1);
    } else if (strchr("|^$", c)) {
        copy(r, 1);
        r->atom = NO_ATOM;
    } else {
        rewrite_literal(r);
    }
}

bool rg_pattern_rewrite(const char *source, RgBuffer *out, const char **fault) {
    Rewriter r = {.at = source, .out = out, .atom = NO_ATOM};
    while (*r.at && !r.fault)
        rewrite_next(&r);
    rg_buffer_append(out, "", 1);
    *fault = r.fault;
    return !r.fault;
}
