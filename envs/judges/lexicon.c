/* SPDX-License-Identifier: MIT */
/* Reading valence lexicons, and the valence of texts. */
#include "envs/judges/lexicon.h"

#include "core/text/lines.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Entry {
    char *word;
    double valence;
} Entry;

struct RgLexicon {
    Entry *entries; /* [count] sorted by word */
    int64_t count, capacity;
};

static const double widest = 4, negated = -0.74, spread = 15;
enum { WINDOW = 3, LONGEST_WORD = 64 };

/* ---- reading ---- */

static void add(RgLexicon *lexicon, const char *word, size_t length, double valence) {
    if (lexicon->count == lexicon->capacity) {
        lexicon->capacity = lexicon->capacity ? 2 * lexicon->capacity : 1024;
        lexicon->entries =
            rg_reallocate(lexicon->entries, (size_t)lexicon->capacity, sizeof *lexicon->entries);
    }
    char *copy = rg_allocate(length + 1, 1);
    for (size_t i = 0; i < length; i++)
        copy[i] = (char)tolower((unsigned char)word[i]);
    lexicon->entries[lexicon->count++] = (Entry){copy, valence};
}

/* Parse a number followed only by `after` or white space. */
static bool reads_number(const char *text, const char *after, double *value) {
    char *end;
    *value = strtod(text, &end);
    return end != text && isfinite(*value) && end[strspn(end, after)] == '\0';
}

static bool read_tabs(RgLexicon *lexicon, const char *line, const char *tab) {
    char number[64];
    size_t length = strcspn(tab + 1, "\t");
    double valence;
    if (tab == line || length == 0 || length >= sizeof number)
        return false;
    memcpy(number, tab + 1, length);
    number[length] = '\0';
    if (!reads_number(number, " \r", &valence))
        return false;
    add(lexicon, line, (size_t)(tab - line), valence);
    return true;
}

static void read_colon(RgLexicon *lexicon, const char *line) {
    static const char around[] = " '\"";
    const char *colon = strrchr(line, ':');
    double valence;
    if (!colon || !reads_number(colon + 1, " ,\r", &valence))
        return;
    const char *end = colon;
    line += strspn(line, around);
    while (end > line && strchr(around, end[-1]))
        end--;
    if (end > line)
        add(lexicon, line, (size_t)(end - line), valence);
}

static int by_word(const void *a, const void *b) {
    return strcmp(((const Entry *)a)->word, ((const Entry *)b)->word);
}

static RgStatus read_lines(RgLexicon *lexicon, const char *path, RgLines *lines, RgError *error) {
    const char *text;
    size_t size;
    for (;;) {
        RG_TRY(rg_lines_next(lines, &text, &size, error));
        if (!text)
            break;
        const char *tab = strchr(text, '\t');
        if (tab && tab != text && !read_tabs(lexicon, text, tab))
            return rg_fail(error, RG_E_FORMAT,
                           "%s:%lld: no number after the word, expected its valence", path,
                           (long long)rg_lines_number(lines));
        if (!tab || tab == text)
            read_colon(lexicon, tab ? text + 1 : text);
    }
    if (lexicon->count == 0)
        return rg_fail(error, RG_E_FORMAT,
                       "%s: no words, expected lines of \"word<TAB>valence\" or \"word: valence,\"",
                       path);
    return RG_OK;
}

RgStatus rg_lexicon_load(const char *path, RgLexicon **lexicon, RgError *error) {
    *lexicon = NULL;
    RgLines *lines;
    RG_TRY(rg_lines_open(path, &lines, error));
    RgLexicon *new = rg_allocate(1, sizeof *new);
    RgStatus status = read_lines(new, path, lines, error);
    rg_lines_close(lines);
    if (status != RG_OK) {
        rg_lexicon_destroy(new);
        return status;
    }
    double most = 0;
    for (int64_t i = 0; i < new->count; i++)
        most = fmax(most, fabs(new->entries[i].valence));
    for (int64_t i = 0; i < new->count &&most > widest; i++)
        new->entries[i].valence *= widest / most;
    qsort(new->entries, (size_t) new->count, sizeof *new->entries, by_word);
    *lexicon = new;
    return RG_OK;
}

void rg_lexicon_destroy(RgLexicon *lexicon) {
    if (!lexicon)
        return;
    for (int64_t i = 0; i < lexicon->count; i++)
        free(lexicon->entries[i].word);
    free(lexicon->entries);
    free(lexicon);
}

int64_t rg_lexicon_words(const RgLexicon *lexicon) {
    return lexicon->count;
}

/* ---- texts ---- */

static bool negates(const char *word) {
    static const char *const negations[] = {"not",     "no",   "never",  "none", "nobody",
                                            "nothing", "nor",  "cannot", "cant", "without",
                                            "neither", "dont", NULL};
    size_t length = strlen(word);
    for (int i = 0; negations[i]; i++)
        if (strcmp(word, negations[i]) == 0)
            return true;
    return length > 3 && strcmp(word + length - 3, "n't") == 0;
}

static double valence_of(const RgLexicon *lexicon, char *word) {
    Entry wanted = {word, 0};
    const Entry *found = bsearch(&wanted, lexicon->entries, (size_t)lexicon->count,
                                 sizeof *lexicon->entries, by_word);
    return found ? found->valence : 0;
}

static bool is_letter(char c) {
    return isalnum((unsigned char)c) || c == '\'' || (unsigned char)c >= 0x80;
}

double rg_lexicon_valence(const RgLexicon *lexicon, const char *text) {
    double sum = 0;
    int64_t at = 0, negation = -WINDOW - 1; /* index of this word, and of the last negation */
    while (*text) {
        char word[LONGEST_WORD + 1];
        size_t length = 0;
        for (; is_letter(*text); text++)
            if (length < LONGEST_WORD)
                word[length++] = (char)tolower((unsigned char)*text);
        word[length] = '\0';
        if (length == 0) {
            text++;
            continue;
        }
        double valence = valence_of(lexicon, word);
        sum += at - negation <= WINDOW ? negated * valence : valence;
        if (negates(word))
            negation = at;
        at++;
    }
    return sum / sqrt(sum * sum + spread);
}
