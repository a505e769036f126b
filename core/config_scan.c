/* SPDX-License-Identifier: MIT */
/* The scanner of config files. It finds, before libconfig 1.5 parses them, errors that libconfig
 * ignores (integers cut to 32 bits, unterminated strings) or that make it end the program (an
 * included folder). */
#include "core/config_scan.h"

#include "core/files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* libconfig's own limit. */
#define MOST_INCLUDES 10

/* A position in a text, for messages; line 0 for texts without lines. */
typedef struct Cursor {
    const char *at;
    const char *file;
    int line;
} Cursor;

void rg_config_put_line(char where[16], int line) {
    where[0] = '\0';
    if (line > 0)
        snprintf(where, 16, ":%d", line);
}

bool rg_config_is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool rg_config_is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*';
}

bool rg_config_is_name(char c) {
    return rg_config_is_letter(c) || rg_config_is_digit(c) || c == '-' || c == '_';
}

/* Moves to the end of the line, not past it. */
static void skip_line(Cursor *cursor) {
    cursor->at += strcspn(cursor->at, "\n");
}

/* libconfig silently drops what follows an unterminated comment or string. */
static RgStatus refuse_endless(const Cursor *start, const char *what, const char *end,
                               RgError *error) {
    char where[16];
    rg_config_put_line(where, start->line);
    return rg_fail(error, RG_E_USAGE, "%s%s: the %s that begins here has no end: expected %s",
                   start->file, where, what, end);
}

static RgStatus skip_comment(Cursor *cursor, RgError *error) {
    const Cursor start = *cursor;
    for (cursor->at += 2; *cursor->at; cursor->at++) {
        if (*cursor->at == '\n')
            cursor->line++;
        if (strncmp(cursor->at, "*/", 2) == 0) {
            cursor->at += 2;
            return RG_OK;
        }
    }
    return refuse_endless(&start, "comment", "*/", error);
}

static RgStatus skip_string(Cursor *cursor, RgError *error) {
    const Cursor start = *cursor;
    for (cursor->at++; *cursor->at && *cursor->at != '"'; cursor->at++) {
        if (*cursor->at == '\\' && cursor->at[1])
            cursor->at++;
        if (*cursor->at == '\n')
            cursor->line++;
    }
    if (!*cursor->at)
        return refuse_endless(&start, "string", "a closing \"", error);
    cursor->at++;
    return RG_OK;
}

/* A number: libconfig reads an integer without L as an int, and truncates larger ones. */
static RgStatus scan_number(Cursor *cursor, RgError *error) {
    const char *start = cursor->at, *digits = start + (*start == '+' || *start == '-');
    bool hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    const char *end = digits + (hexadecimal ? 2 : 0);
    end += strspn(end, hexadecimal ? "0123456789abcdefABCDEF" : "0123456789");
    bool is_real = !hexadecimal && (*end == '.' || *end == 'e' || *end == 'E');
    if (is_real) { /* libconfig checks the syntax of reals */
        while (rg_config_is_digit(*end) || *end == '.' || *end == 'e' || *end == 'E' ||
               ((*end == '-' || *end == '+') && (end[-1] == 'e' || end[-1] == 'E')))
            end++;
        cursor->at = end;
        return RG_OK;
    }
    int length = (int)(end - start);
    char where[16];
    rg_config_put_line(where, cursor->line);
    errno = 0;
    long long value = strtoll(start, NULL, hexadecimal ? 16 : 10);
    bool fits_64 = errno == 0, is_64 = *end == 'L';
    cursor->at = end + strspn(end, "L");
    if (!fits_64)
        return rg_fail(error, RG_E_USAGE, "%s%s: integer %.*s does not fit 64 bits", cursor->file,
                       where, length, start);
    if (!is_64 && (value < INT_MIN || value > INT_MAX))
        return rg_fail(error, RG_E_USAGE,
                       "%s%s: integer %.*s does not fit 32 bits: add L, as in %.*sL", cursor->file,
                       where, length, start, length, start);
    return RG_OK;
}

static RgStatus scan_file(const char *path, const char *folder, int depth, RgError *error);

char *rg_config_join_path(const char *folder, const char *name) {
    return folder ? rg_string_format("%s/%s", folder, name) : rg_string_copy(name);
}

/* `@include "part.cfg"`, with the cursor on the @. libconfig ends the program when it reads a
 * folder, which an empty or escaped name could name. */
static RgStatus scan_include(Cursor *cursor, const char *folder, int depth, RgError *error) {
    static const char word[] = "@include";
    bool is_include = strncmp(cursor->at, word, strlen(word)) == 0;
    const char *quote = cursor->at + (is_include ? strlen(word) : 0);
    quote += strspn(quote, " \t");
    size_t length = *quote == '"' ? strcspn(quote + 1, "\"\\\n") : 0;
    if (!is_include || length == 0 || quote[length + 1] != '"')
        return rg_fail(error, RG_E_USAGE, "%s:%d: expected @include \"file\"", cursor->file,
                       cursor->line);
    cursor->at = quote + length + 2;
    char *file = rg_string_format("%.*s", (int)length, quote + 1),
         *path = rg_config_join_path(folder, file);
    RgStatus status = depth < MOST_INCLUDES
                          ? scan_file(path, folder, depth + 1, error)
                          : rg_fail(error, RG_E_USAGE, "%s: includes are nested too deep", path);
    if (status != RG_OK)
        rg_fail_in(error, status, "%s:%d", cursor->file, cursor->line);
    free(path);
    free(file);
    return status;
}

static RgStatus scan_text(Cursor cursor, const char *folder, int depth, RgError *error) {
    while (*cursor.at) {
        const char *c = cursor.at;
        if (*c == '#' || strncmp(c, "//", 2) == 0) {
            skip_line(&cursor);
        } else if (strncmp(c, "/*", 2) == 0) {
            RG_TRY(skip_comment(&cursor, error));
        } else if (*c == '"') {
            RG_TRY(skip_string(&cursor, error));
        } else if (*c == '@') {
            RG_TRY(scan_include(&cursor, folder, depth, error));
        } else if (rg_config_is_letter(*c)) {
            while (rg_config_is_name(*cursor.at))
                cursor.at++;
        } else if (rg_config_is_digit(*c) ||
                   ((*c == '+' || *c == '-') && rg_config_is_digit(c[1])) || *c == '.') {
            RG_TRY(scan_number(&cursor, error));
        } else {
            cursor.line += *c == '\n';
            cursor.at++;
        }
    }
    return RG_OK;
}

/* Checks that the file and its included files are readable, that strings and comments end, and that
 * integers fit. */
static RgStatus scan_file(const char *path, const char *folder, int depth, RgError *error) {
    struct stat about;
    if (stat(path, &about) != 0)
        return rg_fail(error, RG_E_USAGE, "%s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return rg_fail(error, RG_E_USAGE, "%s: is not a regular file", path);
    char *text;
    size_t size;
    if (rg_file_read(path, &text, &size, error) != RG_OK)
        return RG_E_USAGE;
    RgStatus status = scan_text((Cursor){text, path, 1}, folder, depth, error);
    free(text);
    return status;
}

RgStatus rg_config_scan_file(const char *path, const char *folder, RgError *error) {
    return scan_file(path, folder, 0, error);
}

RgStatus rg_config_scan_value(const char *text, const char *path, RgError *error) {
    return scan_text((Cursor){text, path, 0}, NULL, MOST_INCLUDES, error);
}
