/* SPDX-License-Identifier: MIT */
/* Errors, assertions, the hash and the clock. */
#include "core/base.h"

#include "core/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Replaces the last character of a truncated message by "…". `length` is the full length. */
static void mark_cut(RgError *error, int length) {
    static const char mark[] = "…";
    if (length < (int)sizeof error->text)
        return;
    size_t end = sizeof error->text - sizeof mark;
    while (end > 0 && ((unsigned char)error->text[end] & 0xc0) == 0x80)
        end--;
    memcpy(error->text + end, mark, sizeof mark);
}

RgStatus rg_fail(RgError *error, RgStatus status, const char *format, ...) {
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        mark_cut(error, vsnprintf(error->text, sizeof error->text, format, arguments));
        va_end(arguments);
        rg_make_printable(error->text); /* the message may quote a file */
    }
    return status;
}

RgStatus rg_fail_in(RgError *error, RgStatus status, const char *format, ...) {
    if (!error)
        return status;
    char inner[sizeof error->text];
    memcpy(inner, error->text, sizeof inner);
    inner[sizeof inner - 1] = '\0';

    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    mark_cut(error, written);
    if (written < 0 || (size_t)written >= sizeof error->text)
        return status;
    size_t left = sizeof error->text - (size_t)written;
    mark_cut(error, written + snprintf(error->text + written, left, ": %s", inner));
    rg_make_printable(error->text);
    return status;
}

void rg_assert_failed(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
    abort();
}

const char *rg_real_text(double value, int digits, char text[RG_REAL_TEXT]) {
    const int enough = 17; /* for every double */
    do
        snprintf(text, RG_REAL_TEXT, "%.*g", digits, value);
    while (digits++ < enough && strtod(text, NULL) != value);
    return text;
}

uint64_t rg_hash(uint64_t hash, const void *bytes, size_t size) {
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ byte[i]) * UINT64_C(1099511628211);
    return hash;
}

double rg_clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
