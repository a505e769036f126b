/* SPDX-License-Identifier: MIT */
/* Pre-tokenizers of tokenizer.json: reading and running. */
#include "core/text/pre_tokenizer.h"

#include "core/text/json_part.h"

#include <stdlib.h>
#include <string.h>

/* GPT-2's (openai/gpt-2, encoder.py). */
static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* ---- this program's own words ---- */

/* Spelt out, because \s and \p{L} would include characters beyond ASCII. */
#define WHITE      "\\t-\\r "
#define ASCII_MARK "!-/:-@\\[-`{-~\\x00-\\x08\\x0e-\\x1f\\x7f"
const char rg_word_pattern[] = " ?(?:[A-Za-z]|[^\\x00-\\x7f])+| ?[0-9]+| ?[" ASCII_MARK "]+"
                               "|[" WHITE "]+(?![^" WHITE "])|[" WHITE "]+";

typedef enum ByteClass { BYTE_LETTER, BYTE_DIGIT, BYTE_MARK, BYTE_WHITE } ByteClass;

static ByteClass class_of(char character) {
    unsigned char byte = (unsigned char)character;
    if (byte == ' ' || (byte >= '\t' && byte <= '\r'))
        return BYTE_WHITE;
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 0x80)
        return BYTE_LETTER;
    return byte >= '0' && byte <= '9' ? BYTE_DIGIT : BYTE_MARK;
}

size_t rg_word_length(const char *text, size_t size) {
    size_t length = 0;
    if (text[0] == ' ' && size > 1 && class_of(text[1]) != BYTE_WHITE)
        length++;
    ByteClass class = class_of(text[length]);
    while (length < size && class_of(text[length]) == class)
        length++;
    /* White space before a word excludes its last character, so that a space belongs to the
     * word. */
    return class == BYTE_WHITE && length < size && length > 1 ? length - 1 : length;
}

/* ---- reading ---- */

/* A new step; NULL with a message if there are too many. */
static RgPreTokenizerStep *add_step(RgPreTokenizer *to, const RgJsonPart *part) {
    if (to->count < RG_PRE_TOKENIZER_STEPS)
        return &to->step[to->count++];
    rg_fail(part->error, RG_E_FORMAT, "%s: %s: more than %d steps are not supported", part->path,
            part->key, RG_PRE_TOKENIZER_STEPS);
    return NULL;
}

static RgStatus add_split(RgPreTokenizer *to, const RgJsonPart *part, const char *source,
                          bool plain, RgPreTokenizerStep how) {
    RgPreTokenizerStep *step = add_step(to, part);
    if (!step)
        return RG_E_FORMAT;
    *step = how;
    bool own = !plain && strcmp(source, rg_word_pattern) == 0;
    step->kind = own && how.behavior == RG_SPLIT_ISOLATED ? RG_PIECES_WORDS : RG_PIECES_SPLIT;
    if (step->kind == RG_PIECES_WORDS)
        return RG_OK;
    RgPatternKind kind = plain ? RG_PATTERN_PLAIN : RG_PATTERN_ONIGURUMA;
    RgStatus status = rg_pattern_create(source, kind, &step->pattern, part->error);
    return status == RG_OK ? RG_OK
                           : rg_fail_in(part->error, status, "%s: %s", part->path, part->key);
}

static RgStatus read_split(RgPreTokenizer *to, const RgJsonPart *part) {
    static const char *const behaviors[] = {
        [RG_SPLIT_ISOLATED] = "Isolated",        [RG_SPLIT_REMOVED] = "Removed",
        [RG_SPLIT_CONTIGUOUS] = "Contiguous",    [RG_SPLIT_WITH_PREVIOUS] = "MergedWithPrevious",
        [RG_SPLIT_WITH_NEXT] = "MergedWithNext",
    };
    json_t *pattern = json_object_get(part->json, "pattern");
    json_t *plain = json_object_get(pattern, "String"), *regex = json_object_get(pattern, "Regex");
    const char *source = json_string_value(plain ? plain : regex), *behavior = NULL;
    RgPreTokenizerStep how = {0};
    if (!source || !*source)
        return rg_json_refuse_option(part, "pattern");
    RG_TRY(rg_json_flag(part, "invert", false, &how.invert));
    RG_TRY(rg_json_text(part, "behavior", &behavior));
    size_t i = 0, known = sizeof behaviors / sizeof *behaviors;
    while (i < known && strcmp(behavior, behaviors[i]) != 0)
        i++;
    if (i == known)
        return rg_json_refuse_option(part, "behavior");
    how.behavior = (RgSplitBehavior)i;
    return add_split(to, part, source, plain, how);
}

static RgStatus read_digits(RgPreTokenizer *to, const RgJsonPart *part) {
    bool individual = false;
    RG_TRY(rg_json_flag(part, "individual_digits", false, &individual));
    return add_split(to, part, individual ? "\\p{N}" : "\\p{N}+", false, (RgPreTokenizerStep){0});
}

static RgStatus read_byte_level(RgPreTokenizer *to, const RgJsonPart *part) {
    bool prefix = false, regex = false;
    RG_TRY(rg_json_flag(part, "add_prefix_space", true, &prefix));
    RG_TRY(rg_json_flag(part, "use_regex", true, &regex));
    if (prefix) {
        RgPreTokenizerStep *step = add_step(to, part);
        if (!step)
            return RG_E_FORMAT;
        step->kind = RG_PIECES_PREPEND;
        step->mark = rg_string_copy(" ");
    }
    to->byte_level = true;
    return regex ? add_split(to, part, gpt2_pattern, false, (RgPreTokenizerStep){0}) : RG_OK;
}

/* Files from before 2024 have add_prefix_space instead of prepend_scheme. */
static RgStatus read_metaspace(RgPreTokenizer *to, const RgJsonPart *part) {
    static const char *const schemes[] = {
        [RG_PREPEND_ALWAYS] = "always",
        [RG_PREPEND_FIRST] = "first",
        [RG_PREPEND_NEVER] = "never",
    };
    const char *mark = NULL;
    bool prefix = false, cut = false;
    RG_TRY(rg_json_text(part, "replacement", &mark));
    RG_TRY(rg_json_flag(part, "add_prefix_space", true, &prefix));
    RG_TRY(rg_json_flag(part, "split", true, &cut));
    json_t *named = json_object_get(part->json, "prepend_scheme");
    const char *scheme = named ? json_string_value(named) : prefix ? "always" : "never";
    size_t i = 0, known = sizeof schemes / sizeof *schemes;
    while (i < known && (!scheme || strcmp(scheme, schemes[i]) != 0))
        i++;
    if (i == known)
        return rg_json_refuse_option(part, "prepend_scheme");
    RgPreTokenizerStep *step = add_step(to, part);
    if (!step)
        return RG_E_FORMAT;
    step->kind = RG_PIECES_REPLACE;
    step->prepend = (RgPrepend)i;
    step->mark = rg_string_copy(mark);
    return cut ? add_split(to, part, mark, true,
                           (RgPreTokenizerStep){.behavior = RG_SPLIT_WITH_NEXT})
               : RG_OK;
}

static RgStatus read_step(void *context, const RgJsonPart *part) {
    RgPreTokenizer *to = context;
    if (to->byte_level)
        return rg_fail(part->error, RG_E_FORMAT, "%s: %s %s after ByteLevel is not supported",
                       part->path, part->key, part->type);
    if (strcmp(part->type, "ByteLevel") == 0)
        return read_byte_level(to, part);
    if (strcmp(part->type, "Split") == 0)
        return read_split(to, part);
    if (strcmp(part->type, "Digits") == 0)
        return read_digits(to, part);
    if (strcmp(part->type, "Metaspace") == 0)
        return read_metaspace(to, part);
    return rg_json_refuse(part, "ByteLevel, Split, Digits, Metaspace and a Sequence of them");
}

RgStatus rg_pre_tokenizer_read(RgPreTokenizer *pre_tokenizer, const char *path, json_t *json,
                               RgError *error) {
    return rg_json_read_parts(path, "pre_tokenizer", "pretokenizers", json, read_step,
                              pre_tokenizer, error);
}

void rg_pre_tokenizer_set_own(RgPreTokenizer *pre_tokenizer) {
    *pre_tokenizer = (RgPreTokenizer){.count = 1, .byte_level = true};
    pre_tokenizer->step[0].kind = RG_PIECES_WORDS;
}

void rg_pre_tokenizer_release(RgPreTokenizer *pre_tokenizer) {
    for (int i = 0; i < pre_tokenizer->count; i++) {
        rg_pattern_destroy(pre_tokenizer->step[i].pattern);
        free(pre_tokenizer->step[i].mark);
    }
    pre_tokenizer->count = 0;
}

/* ---- running ---- */

typedef struct Run {
    const RgPreTokenizer *pre_tokenizer;
    RgPreTokens *pieces;
} Run;

static void pass(const Run *run, int step, const char *text, size_t size, bool first);

/* Cutting one piece. Spans are held back while they may still grow. */
typedef struct Cut {
    const Run *run;
    int step;
    const char *text;
    bool first;
    RgSpan span; /* held back if `any` */
    bool any, matches;
} Cut;

static bool joins(RgSplitBehavior behavior, bool matched, bool matches) {
    switch (behavior) {
    case RG_SPLIT_CONTIGUOUS:
        return matched == matches;
    case RG_SPLIT_WITH_PREVIOUS:
        return !matched && matches;
    case RG_SPLIT_WITH_NEXT:
        return matched && !matches;
    default:
        return false;
    }
}

static void pass_span(const Cut *cut) {
    size_t size = cut->span.end - cut->span.start;
    if (cut->any && size > 0)
        pass(cut->run, cut->step + 1, cut->text + cut->span.start, size,
             cut->first && cut->span.start == 0);
}

static void add_span(Cut *cut, RgSpan span, bool matches) {
    const RgPreTokenizerStep *how = &cut->run->pre_tokenizer->step[cut->step];
    matches = matches != how->invert;
    if (how->behavior == RG_SPLIT_REMOVED && matches)
        return;
    if (cut->any && joins(how->behavior, cut->matches, matches)) {
        cut->span.end = span.end;
    } else {
        pass_span(cut);
        cut->span = span;
        cut->any = true;
    }
    cut->matches = matches;
}

static size_t after_character(const char *text, size_t size, size_t at) {
    at++;
    while (at < size && ((unsigned char)text[at] & 0xC0) == 0x80)
        at++;
    return at;
}

static void run_split(const Run *run, int step, const char *text, size_t size, bool first) {
    const RgPattern *pattern = run->pre_tokenizer->step[step].pattern;
    Cut cut = {.run = run, .step = step, .text = text, .first = first};
    size_t done = 0, from = 0;
    RgSpan match = {0};
    while (from < size &&
           rg_pattern_find(pattern, run->pieces->matcher, text, size, from, &match)) {
        if (match.start > done)
            add_span(&cut, (RgSpan){done, match.start}, false);
        add_span(&cut, match, true);
        done = match.end;
        from = match.end > match.start ? match.end : after_character(text, size, match.end);
    }
    if (done < size)
        add_span(&cut, (RgSpan){done, size}, false);
    pass_span(&cut);
}

static void run_words(const Run *run, int step, const char *text, size_t size) {
    while (size > 0) {
        size_t length = rg_word_length(text, size);
        pass(run, step + 1, text, length, false);
        text += length;
        size -= length;
    }
}

static bool starts_with(const char *text, size_t size, const char *mark) {
    size_t length = strlen(mark);
    return size >= length && memcmp(text, mark, length) == 0;
}

static void run_prepend(const Run *run, int step, const char *text, size_t size) {
    const char *mark = run->pre_tokenizer->step[step].mark;
    RgBuffer *buffer = &run->pieces->buffer[step];
    if (starts_with(text, size, mark)) {
        pass(run, step + 1, text, size, false);
        return;
    }
    buffer->size = 0;
    rg_buffer_append(buffer, mark, strlen(mark));
    rg_buffer_append(buffer, text, size);
    pass(run, step + 1, buffer->bytes, buffer->size, false);
}

static void run_replace(const Run *run, int step, const char *text, size_t size, bool first) {
    const RgPreTokenizerStep *how = &run->pre_tokenizer->step[step];
    RgBuffer *buffer = &run->pieces->buffer[step];
    size_t mark = strlen(how->mark);
    bool marked = text[0] == ' ' || starts_with(text, size, how->mark);
    buffer->size = 0;
    if (!marked &&
        (how->prepend == RG_PREPEND_ALWAYS || (how->prepend == RG_PREPEND_FIRST && first)))
        rg_buffer_append(buffer, how->mark, mark);
    while (size > 0) {
        const char *space = memchr(text, ' ', size);
        size_t before = space ? (size_t)(space - text) : size;
        rg_buffer_append(buffer, text, before);
        if (space)
            rg_buffer_append(buffer, how->mark, mark);
        before += space != NULL;
        text += before;
        size -= before;
    }
    pass(run, step + 1, buffer->bytes, buffer->size, first);
}

/* Passes a piece to the step, or after the last step to the receiver. */
static void pass(const Run *run, int step, const char *text, size_t size, bool first) {
    if (step == run->pre_tokenizer->count) {
        run->pieces->take(run->pieces->context, text, size);
        return;
    }
    switch (run->pre_tokenizer->step[step].kind) {
    case RG_PIECES_WORDS:
        run_words(run, step, text, size);
        break;
    case RG_PIECES_SPLIT:
        run_split(run, step, text, size, first);
        break;
    case RG_PIECES_PREPEND:
        run_prepend(run, step, text, size);
        break;
    case RG_PIECES_REPLACE:
        run_replace(run, step, text, size, first);
        break;
    }
}

void rg_pre_tokenizer_run(const RgPreTokenizer *pre_tokenizer, RgPreTokens *pieces,
                          const char *text, size_t size, bool first) {
    Run run = {.pre_tokenizer = pre_tokenizer, .pieces = pieces};
    if (size > 0)
        pass(&run, 0, text, size, first);
}
