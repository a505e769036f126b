/* SPDX-License-Identifier: MIT */
/* The grammar judge: the share of a response that is grammatical English (or another language with
 * a dictionary of link-grammar). A parse links the words of a sentence. If no parse links all
 * words, the one with the fewest left out is used,
 *
 *     reward = 6 · (1 − words left out / words), over all sentences, in [0, 6]
 *
 * 0 for a response without words. Words are those of link-grammar: punctuation marks count, and
 * "I'm" is two. A word that is not in the dictionary may take the role that its neighbours require.
 * Meaning is not judged.
 *
 * Time grows with the third power of a sentence's length, and more if many words are left out, so
 * long sentences are parsed in pieces. A timeout is an error: the reward must not depend on the
 * speed of a machine. */
#include "envs/judges/judge.h"

#include <string.h>

typedef struct Options {
    const char *language;
    int64_t words, seconds;
} Options;

/* link-grammar takes a language with a slash as a path, to any folder. */
static const char *language_fault(const char *language) {
    size_t length =
        strspn(language, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return language[0] && !language[length] ? NULL
                                            : "expected a language of link-grammar's, such as en: "
                                              "letters, digits, '-' and '_'";
}

static const RgOption options_table[] = {
    RG_OPTION_CHECKED(Options, language, "en", language_fault,
                      "language of link-grammar's dictionary"),
    RG_OPTION_INTEGER(Options, words, "30", 1, 200,
                      "most words and punctuation marks that are parsed at a time: longer "
                      "sentences are split into pieces of this size"),
    RG_OPTION_INTEGER(Options, seconds, "60", 1, 1e6,
                      "time limit of a piece, in seconds of processor time; if a piece takes more, "
                      "the judge fails"),
    RG_OPTION_END,
};

#ifdef RG_LINK_GRAMMAR

#include "core/utf8.h"
#include "envs/judges/sentences.h"

#include <ctype.h>
#include <link-grammar/link-includes.h>
#include <stdlib.h>

/* Number of linkages sampled from those that the grammar allows, always the same ones. Each may
 * fail the rules for whole linkages; if all fail, another word is left out. Of 103 sentences, none
 * was linked better by 1000 or 10000 than by 100, but 26 were worse by 1. */
enum { LINKAGES = 100 };

typedef struct Grammar {
    Dictionary dictionary;
    Parse_Options parsing;
    int64_t words, seconds;
} Grammar;

typedef struct Tally {
    int64_t words, left_out;
} Tally;

/* ---- pieces ---- */

static bool is_of_word(char c) {
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || c == '\'';
}

/* Bytes of the first `most` words and marks of a text, or of all if there are fewer; *found out is
 * their number. A word is cut at link-grammar's maximum length. */
static size_t piece_of(const char *text, size_t size, int64_t most, int64_t *found) {
    enum { LONGEST_WORD = 60 };
    size_t at = 0;
    for (*found = 0; at < size;) {
        size_t next = at + 1;
        while (is_of_word(text[at]) && next < size && is_of_word(text[next]) &&
               (next - at < LONGEST_WORD || ((unsigned char)text[next] & 0xc0) == 0x80))
            next++;
        bool white = isspace((unsigned char)text[at]);
        if (!white && *found == most)
            break;
        *found += !white;
        at = next;
    }
    return at;
}

/* Number of words of a linkage, without the walls that the parser adds. */
static int64_t words_of(Linkage linkage) {
    const char **word = linkage_get_words(linkage);
    int64_t count = 0;
    for (size_t i = 0; i < linkage_get_num_words(linkage); i++)
        count += !strstr(word[i], "LEFT-WALL") && !strstr(word[i], "RIGHT-WALL");
    return count;
}

/* Parse a piece of this many words; false if the time limit is exceeded. */
static bool parse(const Grammar *g, const char *text, int64_t words, Tally *tally) {
    int64_t left_out = words;
    Sentence sentence = sentence_create(text, g->dictionary);
    parse_options_reset_resources(g->parsing);
    if (sentence_split(sentence, g->parsing) == 0) {
        parse_options_set_min_null_count(g->parsing, 0);
        parse_options_set_max_null_count(g->parsing, sentence_length(sentence));
        if (sentence_parse(sentence, g->parsing) > 0) {
            Linkage linkage = linkage_create(0, sentence, g->parsing);
            if (linkage) {
                words = words_of(linkage);
                left_out = sentence_null_count(sentence);
                linkage_delete(linkage);
            }
        }
    }
    sentence_delete(sentence);
    tally->words += words;
    tally->left_out += left_out < words ? left_out : words;
    return !parse_options_resources_exhausted(g->parsing);
}

static RgStatus read_sentence(const Grammar *g, const char *text, size_t size, Tally *tally,
                              RgError *error) {
    RgBuffer clean = {NULL, 0, 0};
    RgStatus status = RG_OK;
    rg_utf8_repair(text, size, &clean);
    for (size_t i = 0; i < clean.size; i++)
        if (iscntrl((unsigned char)clean.bytes[i]))
            clean.bytes[i] = ' ';
    for (size_t at = 0, bytes; at < clean.size && status == RG_OK; at += bytes) {
        int64_t words;
        bytes = piece_of(clean.bytes + at, clean.size - at, g->words, &words);
        char *piece = rg_string_format("%.*s", (int)bytes, clean.bytes + at);
        if (words > 0 && !parse(g, piece, words, tally))
            status = rg_fail(error, RG_E_RANGE,
                             "grammar: more than %lld seconds for \"%.60s...\"; expected less: "
                             "raise seconds or lower words",
                             (long long)g->seconds, piece);
        free(piece);
    }
    rg_buffer_release(&clean);
    return status;
}

/* ---- rewards ---- */

static RgStatus judge_one(const Grammar *g, const char *response, double *reward, RgError *error) {
    Tally tally = {0, 0};
    const char *sentence;
    size_t size;
    while (rg_sentence_next(&response, &sentence, &size))
        RG_TRY(read_sentence(g, sentence, size, &tally, error));
    *reward = tally.words > 0 ? 6 * (1 - (double)tally.left_out / (double)tally.words) : 0;
    return RG_OK;
}

/* Each thread has its own handler. */
static void be_silent(void) {
    lg_error_set_handler(NULL, NULL);
}

/* The library has global variables that all threads write, for any dictionary: one thread at a
 * time may use it. */
static RgStatus rewards(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error) {
    RgStatus status = RG_OK;
#pragma omp critical(link_grammar)
    {
        be_silent();
        for (int64_t i = 0; i < items->count && status == RG_OK; i++)
            status = judge_one(judge->state, items->response[i], &reward[i], error);
    }
    return status;
}

/* ---- life ---- */

static void load(Grammar *g, const char *language) {
    be_silent();
    g->dictionary = dictionary_create_lang(language);
    g->parsing = parse_options_create();
    parse_options_set_verbosity(g->parsing, 0);
    parse_options_set_spell_guess(g->parsing, 0);
    parse_options_set_linkage_limit(g->parsing, LINKAGES);
    parse_options_set_repeatable_rand(g->parsing, true);
    parse_options_set_max_parse_time(g->parsing, (int)g->seconds);
}

static RgStatus create(RgJudge *judge, const void *options, const RgJudgeShare *share,
                       RgRandom random, RgError *error) {
    (void)share;
    (void)random;
    const Options *o = options;
    Grammar *g = rg_allocate(1, sizeof *g);
    judge->state = g;
    g->words = o->words;
    g->seconds = o->seconds;
#pragma omp critical(link_grammar)
    load(g, o->language);
    if (!g->dictionary)
        return rg_fail(error, RG_E_USAGE,
                       "language: link-grammar has no dictionary \"%s\" (Debian's "
                       "link-grammar-dictionaries-en installs \"en\")",
                       o->language);
    return RG_OK;
}

static void destroy(RgJudge *judge) {
    Grammar *g = judge->state;
#pragma omp critical(link_grammar)
    {
        parse_options_delete(g->parsing);
        if (g->dictionary)
            dictionary_delete(g->dictionary);
    }
    free(g);
}

#define LACKS     NULL
#define FUNCTIONS .create = create, .rewards = rewards, .destroy = destroy
#else
#define LACKS     "liblink-grammar-dev and link-grammar-dictionaries-en"
#define FUNCTIONS .create = NULL
#endif

const RgJudgeType rg_judge_grammar = {
    .about = {.name = "grammar",
              .summary = "The share of words that link-grammar can link; learns nothing",
              .reference = "Sleator & Temperley 1991, arXiv:cmp-lg/9508004",
              .missing_packages = LACKS,
              .options = options_table,
              .options_size = sizeof(Options)},
    FUNCTIONS,
};
