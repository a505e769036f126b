/* SPDX-License-Identifier: MIT */
/* Patterns in text, by PCRE2 with its just-in-time compiler if the system allows one. */
#include "core/text/pattern.h"

#include "core/text/pattern_rewrite.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

struct RgPattern {
    char *plain; /* a literal string, else: */
    size_t plain_size;
    pcre2_code *code;
    bool compiled; /* to machine code */
};

struct RgMatcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

enum { STACK_START = 32 * 1024, STACK_MOST = 8 * 1024 * 1024 };

/* Start optimisations are off. Most patterns match almost everywhere, and their machine code reads
 * past the end of the text, which is harmless but reported by valgrind. */
static RgStatus compile(RgPattern *pattern, const char *source, RgError *error) {
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_MULTILINE |
                             PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_START_OPTIMIZE;
    int fault = 0;
    size_t at = 0;
    pattern->code = pcre2_compile((PCRE2_SPTR)source, strlen(source), options, &fault, &at, NULL);
    if (!pattern->code) {
        char reason[128] = "";
        pcre2_get_error_message(fault, (PCRE2_UCHAR *)reason, sizeof reason);
        return rg_fail(error, RG_E_FORMAT, "regular expression \"%s\": %s at byte %zu", source,
                       reason, at);
    }
    pattern->compiled = pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE) == 0;
    return RG_OK;
}

static RgStatus compile_rewritten(RgPattern *pattern, const char *source, RgError *error) {
    RgBuffer rewritten = {0};
    const char *fault;
    RgStatus status =
        rg_pattern_rewrite(source, &rewritten, &fault)
            ? compile(pattern, rewritten.bytes, error)
            : rg_fail(error, RG_E_FORMAT, "regular expression \"%s\": %s is not supported", source,
                      fault);
    rg_buffer_release(&rewritten);
    return status;
}

RgStatus rg_pattern_create(const char *source, RgPatternKind kind, RgPattern **pattern,
                           RgError *error) {
    RgPattern *new = rg_allocate(1, sizeof *new);
    RgStatus status = RG_OK;
    if (kind == RG_PATTERN_PLAIN) {
        new->plain = rg_string_copy(source);
        new->plain_size = strlen(source);
    } else {
        status = kind == RG_PATTERN_ONIGURUMA ? compile_rewritten(new, source, error)
                                              : compile(new, source, error);
    }
    if (status != RG_OK) {
        rg_pattern_destroy(new);
        return status;
    }
    *pattern = new;
    return RG_OK;
}

void rg_pattern_destroy(RgPattern *pattern) {
    if (!pattern)
        return;
    pcre2_code_free(pattern->code);
    free(pattern->plain);
    free(pattern);
}

RgMatcher *rg_matcher_create(void) {
    RgMatcher *matcher = rg_allocate(1, sizeof *matcher);
    matcher->data = pcre2_match_data_create(1, NULL);
    matcher->context = pcre2_match_context_create(NULL);
    RG_ASSERT(matcher->data && matcher->context);
    matcher->stack = pcre2_jit_stack_create(STACK_START, STACK_MOST, NULL);
    if (matcher->stack)
        pcre2_jit_stack_assign(matcher->context, NULL, matcher->stack);
    return matcher;
}

void rg_matcher_destroy(RgMatcher *matcher) {
    if (!matcher)
        return;
    pcre2_match_data_free(matcher->data);
    pcre2_match_context_free(matcher->context);
    pcre2_jit_stack_free(matcher->stack);
    free(matcher);
}

static bool find_plain(const RgPattern *pattern, const char *text, size_t size, size_t from,
                       RgSpan *match) {
    const char *found = memmem(text + from, size - from, pattern->plain, pattern->plain_size);
    if (!found)
        return false;
    match->start = (size_t)(found - text);
    match->end = match->start + pattern->plain_size;
    return true;
}

bool rg_pattern_find(const RgPattern *pattern, RgMatcher *matcher, const char *text, size_t size,
                     size_t from, RgSpan *match) {
    if (pattern->plain)
        return find_plain(pattern, text, size, from, match);
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int found = PCRE2_ERROR_JIT_STACKLIMIT;
    if (pattern->compiled)
        found =
            pcre2_jit_match(pattern->code, subject, size, from, 0, matcher->data, matcher->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(pattern->code, subject, size, from, PCRE2_NO_JIT, matcher->data,
                            matcher->context);
    if (found < 0)
        return false;
    const size_t *ends = pcre2_get_ovector_pointer(matcher->data);
    *match = (RgSpan){ends[0], ends[1]};
    return true;
}

const char *rg_pattern_library(void) {
    static _Thread_local char version[64];
    pcre2_config(PCRE2_CONFIG_VERSION, version);
    return version;
}
