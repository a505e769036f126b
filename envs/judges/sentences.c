/* SPDX-License-Identifier: MIT */
/* Splitting texts into sentences. */
#include "envs/judges/sentences.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_white(char c) {
    return isspace((unsigned char)c);
}

/* Bytes of non-ASCII characters count as letters. */
static bool is_of_word(char c) {
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* Size of the closing quote or bracket at `text`, or 0. */
static size_t closing(const char *text) {
    static const char right_double[] = "\xe2\x80\x9d", right_single[] = "\xe2\x80\x99";
    if (*text != '\0' && strchr("\"')]", *text))
        return 1;
    bool curly = strncmp(text, right_double, 3) == 0 || strncmp(text, right_single, 3) == 0;
    return curly ? 3 : 0;
}

/* Whether the full stop at `stop` belongs to an abbreviation. */
static bool is_abbreviation(const char *begin, const char *stop) {
    static const char *const titles[] = {"mr", "mrs", "ms", "dr", "prof", "st", "vs"};
    const char *word = stop;
    while (word > begin && is_of_word(word[-1]))
        word--;
    size_t length = (size_t)(stop - word);
    if (length == 1)
        return isalpha((unsigned char)*word) && *word != 'i' && *word != 'I';
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (length == strlen(titles[i]) && strncasecmp(word, titles[i], length) == 0)
            return true;
    return false;
}

static const char *end_of_sentence(const char *begin) {
    static const char marks[] = ".!?";
    const char *p = begin;
    while (*p != '\0' && *p != '\n') {
        size_t run = strspn(p, marks);
        if (run == 0) {
            p++;
            continue;
        }
        const char *after = p + run;
        for (size_t bytes; (bytes = closing(after)) > 0;)
            after += bytes;
        bool ends = *after == '\0' || is_white(*after);
        if (ends && !(run == 1 && *p == '.' && is_abbreviation(begin, p)))
            return after;
        p = after;
    }
    return p;
}

bool rg_sentence_next(const char **rest, const char **sentence, size_t *size) {
    bool found = false;
    while (!found && **rest != '\0') {
        const char *begin = *rest;
        while (is_white(*begin))
            begin++;
        const char *end = end_of_sentence(begin);
        *rest = end;
        for (const char *p = begin; p < end && !found; p++)
            found = is_of_word(*p);
        while (end > begin && is_white(end[-1]))
            end--;
        *sentence = begin;
        *size = (size_t)(end - begin);
    }
    return found;
}
