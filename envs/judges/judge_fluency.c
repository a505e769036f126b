/* SPDX-License-Identifier: MIT */
/* The fluency judge: the mean log-probability of a response's words under an n-gram model of
 * English in sphinxbase's format (Debian's pocketsphinx-en-us has one of three words),
 *
 *     mean   = mean over words and ends of sentences of max(log P(word | words before), unknown)
 *     reward = 6 · (1 − mean / unknown), in [0, 6]; 0 for a response without words
 *
 * Words are in the model's spelling: lower case; letters, with apostrophes and hyphens inside. An
 * unknown compound is split into its parts. A word that is still unknown counts as `unknown`, the
 * lower bound of a word, and the context restarts after it. Numbers in digits are ignored, because
 * the model leaves them out by design. */
#include "envs/judges/judge.h"

typedef struct Options {
    const char *file;
    double unknown;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_PATH(
        Options, file, "/usr/share/pocketsphinx/model/en-us/en-us.lm.bin",
        "n-gram model in sphinxbase's binary format, DMP or ARPA; its words in lower case"),
    RG_OPTION_REAL(Options, unknown, "-16", -50, -1,
                   "log-probability (nats) of an unknown word, and the least of a known word; its "
                   "reward is 0"),
    RG_OPTION_END,
};

#ifdef RG_SPHINXBASE

#include "envs/judges/sentences.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <sphinxbase/err.h>
#include <sphinxbase/ngram_model.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BEFORE = 8, LONGEST_WORD = 64 };

typedef struct Fluency {
    ngram_model_t *model;
    logmath_t *base; /* of the model's logarithms; the model holds a reference, too */
    double unknown;
    int32 begin, end, none; /* sentence marks; the word for unknown ones, or −1 */
    int before;             /* context length of the model, in words */
} Fluency;

/* The state while reading a response. */
typedef struct Reading {
    const Fluency *fluency;
    int32 before[MOST_BEFORE]; /* the last word first */
    int count;                 /* words in `before` */
    double sum;                /* of log-probabilities */
    int64_t words;
} Reading;

/* ---- words ---- */

static void forget(Reading *r, int32 word) {
    r->before[0] = word;
    r->count = word >= 0;
}

static void remember(Reading *r, int32 word) {
    if (r->count < r->fluency->before)
        r->count++;
    for (int i = r->count - 1; i > 0; i--)
        r->before[i] = r->before[i - 1];
    if (r->count > 0)
        r->before[0] = word;
}

static void count_word(Reading *r, int32 word) {
    const Fluency *f = r->fluency;
    double log_probability = f->unknown;
    if (word >= 0) {
        int32 used;
        int32 score = ngram_ng_prob(f->model, word, r->before, r->count, &used);
        log_probability = fmax(logmath_log_to_ln(f->base, score), f->unknown);
        remember(r, word);
    } else {
        forget(r, -1);
    }
    r->sum += log_probability;
    r->words++;
}

/* Index of a word in the model, or −1. */
static int32 find(const Fluency *f, const char *word, size_t length) {
    char copy[LONGEST_WORD];
    if (length == 0 || length >= sizeof copy)
        return -1;
    memcpy(copy, word, length);
    copy[length] = '\0';
    int32 found = ngram_wid(f->model, copy);
    return found == f->none ? -1 : found;
}

static bool has_letter(const char *word, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (isalpha((unsigned char)word[i]) || (unsigned char)word[i] >= 0x80)
            return true;
    return false;
}

/* A word without surrounding apostrophes and hyphens. */
static void read_bare_word(Reading *r, const char *word, size_t length) {
    if (length == 0)
        return;
    int32 found = find(r->fluency, word, length);
    if (found >= 0 || has_letter(word, length))
        count_word(r, found);
    else
        forget(r, -1);
}

/* Letters, digits, apostrophes and hyphens: one word, or its parts. */
static void read_word(Reading *r, const char *word, size_t length) {
    int32 found = find(r->fluency, word, length);
    if (found >= 0) { /* such as 'em */
        count_word(r, found);
        return;
    }
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && word[end] != '-')
            end++;
        size_t first = at, last = end;
        while (first < last && word[first] == '\'')
            first++;
        while (last > first && word[last - 1] == '\'')
            last--;
        read_bare_word(r, word + first, last - first);
        at = end + 1;
    }
}

/* ---- sentences ---- */

/* The character at `text` in the model's spelling; *bytes out is its size. It is lower case, a
 * straight apostrophe, or a space for a character outside words. Dashes, quotes and spaces of
 * Unicode are at U+2000 … 206F; other non-ASCII characters are letters. */
static char spelling(const char *text, size_t size, size_t *bytes) {
    unsigned char c = (unsigned char)*text;
    *bytes = 1;
    if (size >= 3 && c == 0xe2 && (text[1] == '\x80' || text[1] == '\x81')) {
        *bytes = 3;
        return text[1] == '\x80' && text[2] == '\x99' ? '\'' : ' ';
    }
    if (c >= 0x80 || isalnum(c) || c == '\'' || c == '-')
        return (char)(c < 0x80 ? tolower(c) : c);
    return ' ';
}

static void read_sentence(Reading *r, const char *text, size_t size) {
    char *word = rg_allocate(size + 1, 1);
    size_t length = 0;
    int64_t words = r->words;
    forget(r, r->fluency->begin);
    for (size_t at = 0, bytes; at < size; at += bytes) {
        char c = spelling(text + at, size - at, &bytes);
        if (c != ' ') {
            word[length++] = c;
            continue;
        }
        if (length > 0)
            read_word(r, word, length);
        length = 0;
    }
    if (length > 0)
        read_word(r, word, length);
    if (r->words > words)
        count_word(r, r->fluency->end);
    free(word);
}

static double judge_one(const Fluency *f, const char *response) {
    Reading r = {.fluency = f};
    const char *sentence;
    size_t size;
    while (rg_sentence_next(&response, &sentence, &size))
        read_sentence(&r, sentence, size);
    return r.words > 0 ? 6 * (1 - r.sum / (double)r.words / f->unknown) : 0;
}

/* A model caches its last look-up, so only one thread at a time may use it. */
static RgStatus rewards(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error) {
    (void)error;
#pragma omp critical(sphinxbase)
    for (int64_t i = 0; i < items->count; i++)
        reward[i] = judge_one(judge->state, items->response[i]);
    return RG_OK;
}

/* ---- life ---- */

static void load(Fluency *f, const char *path) {
    err_set_logfp(NULL);                  /* it logs every step */
    f->base = logmath_init(1.0001, 0, 0); /* logarithms are integers: to 1e-4 nats */
    f->model = ngram_model_read(NULL, path, NGRAM_AUTO, f->base);
    if (!f->model)
        return;
    f->begin = ngram_wid(f->model, "<s>");
    f->end = ngram_wid(f->model, "</s>");
    f->none = ngram_unknown_wid(f->model);
    int before = ngram_model_get_size(f->model) - 1;
    f->before = before < MOST_BEFORE ? before : MOST_BEFORE;
}

static RgStatus create(RgJudge *judge, const void *options, const RgJudgeShare *share,
                       RgRandom random, RgError *error) {
    (void)share;
    (void)random;
    const Options *o = options;
    Fluency *f = rg_allocate(1, sizeof *f);
    judge->state = f;
    f->unknown = o->unknown;
    if (access(o->file, R_OK) != 0)
        return rg_fail(error, RG_E_FILE,
                       "fluency: cannot read %s: %s (Debian's pocketsphinx-en-us installs %s)",
                       o->file, strerror(errno), options_table[0].fallback);
#pragma omp critical(sphinxbase)
    load(f, o->file);
    if (!f->model)
        return rg_fail(error, RG_E_FORMAT,
                       "fluency: %s is not an n-gram model that sphinxbase can read", o->file);
    if (f->begin < 0 || f->end < 0 || f->begin == f->none || f->end == f->none)
        return rg_fail(error, RG_E_FORMAT, "fluency: %s: no words <s> and </s> in the model",
                       o->file);
    return RG_OK;
}

static void destroy(RgJudge *judge) {
    Fluency *f = judge->state;
#pragma omp critical(sphinxbase)
    {
        if (f->model)
            ngram_model_free(f->model);
        if (f->base)
            logmath_free(f->base);
    }
    free(f);
}

#define LACKS     NULL
#define FUNCTIONS .create = create, .rewards = rewards, .destroy = destroy
#else
#define LACKS     "libsphinxbase-dev and pocketsphinx-en-us"
#define FUNCTIONS .create = NULL
#endif

const RgJudgeType rg_judge_fluency = {
    .about = {.name = "fluency",
              .summary = "Log-probability of word sequences under an n-gram model of sphinxbase",
              .reference = "sphinxbase's models: CMU Sphinx; Debian's pocketsphinx-en-us",
              .missing_packages = LACKS,
              .options = options_table,
              .options_size = sizeof(Options)},
    FUNCTIONS,
};
