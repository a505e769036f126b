/* SPDX-License-Identifier: MIT */
/* Reading a language from its file, and its rows and rewards. */
#include "envs/language/language_file.h"

#include "core/config_file.h"
#include "core/options.h"
#include "core/suggest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MOST = 4096, LENGTH_MOST = 64 };

/* Values of the file that are no lists. */
typedef struct TopOptions {
    int64_t length;
    double smoothing;
} TopOptions;
static const RgOption top_options[] = {
    RG_OPTION_INTEGER(TopOptions, length, NULL, 1, LENGTH_MOST, "words of a sentence"),
    RG_OPTION_REAL(TopOptions, smoothing, NULL, 1e-12, 1,
                   "share of the uniform distribution in every row"),
    RG_OPTION_END,
};

typedef struct RowOptions {
    int64_t position;
} RowOptions;
static const RgOption row_options[] = {
    RG_OPTION_INTEGER(RowOptions, position, NULL, 1, LENGTH_MOST, "of the next word, from 1"),
    RG_OPTION_END,
};

static const char *const squashings[] = {"none", "sigmoid", NULL};
typedef struct RewardOptions {
    double intercept;
    int squashing;
} RewardOptions;
static const RgOption reward_options[] = {
    RG_OPTION_REAL(RewardOptions, intercept, "0", -1e6, 1e6, "reward of no weighted word"),
    RG_OPTION_CHOICE(RewardOptions, squashing, "none", squashings, "function of the sum"),
    RG_OPTION_END,
};

typedef struct FactorOptions {
    double factor;
} FactorOptions;
static const RgOption factor_options[] = {
    RG_OPTION_REAL(FactorOptions, factor, NULL, -1e6, 1e6, "of a weight after these words"),
    RG_OPTION_END,
};

/* ---- lists ---- */

/* A file being read. */
typedef struct Reader {
    RgSettings *settings;
    RgLanguage *language;
} Reader;

static const RgSetting *element(const Reader *r, const char *path, int64_t index) {
    char *at = rg_string_format("%s.%lld", path, (long long)index);
    const RgSetting *setting = rg_settings_find(r->settings, at);
    free(at);
    return setting;
}

/* The list of strings at `path`: *texts [*count] settings, which the caller frees. */
static RgStatus read_texts(const Reader *r, const char *path, const RgSetting ***texts,
                           int64_t *count, RgError *error) {
    static const char example[] = "[ \"good\", \"bad\" ]";
    *texts = NULL;
    *count = rg_settings_length(r->settings, path);
    if (*count == 0)
        return rg_settings_refuse_list(r->settings, path, example, error);
    const RgSetting **found = rg_allocate(*count, sizeof *found);
    for (int64_t i = 0; i < *count; i++) {
        found[i] = element(r, path, i);
        if (!found[i] || found[i]->kind != RG_SETTING_STRING) {
            RgStatus status = found[i] ? rg_setting_refuse(found[i], error, "expected a string")
                                       : rg_settings_refuse_list(r->settings, path, example, error);
            free(found);
            return status;
        }
    }
    *texts = found;
    return RG_OK;
}

static int32_t find_word(const RgLanguage *l, const char *text) {
    for (int64_t i = 0; i < l->words; i++)
        if (strcmp(l->word[i], text) == 0)
            return (int32_t)i;
    return -1;
}

/* The list of known words at `path`: *id [*count], which the caller frees. */
static RgStatus read_ids(const Reader *r, const char *path, int32_t **id, int64_t *count,
                         RgError *error) {
    const RgSetting **text;
    *id = NULL;
    RG_TRY(read_texts(r, path, &text, count, error));
    int32_t *found = rg_allocate(*count, sizeof *found);
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < *count && status == RG_OK; i++) {
        found[i] = find_word(r->language, text[i]->text);
        if (found[i] < 0)
            status = rg_setting_refuse(
                text[i], error, "expected one of the words of the language%s",
                rg_suggest(text[i]->text, (const char *const *)r->language->word).text);
        for (int64_t j = 0; j < i && status == RG_OK; j++)
            if (found[j] == found[i])
                status = rg_setting_refuse(text[i], error, "expected each word once");
    }
    free(text);
    if (status == RG_OK)
        *id = found;
    else
        free(found);
    return status;
}

/* The list of `count` numbers in [low, high] at `path`: number [count] out. */
static RgStatus read_numbers(const Reader *r, const char *path, const char *beside, int64_t count,
                             double low, double high, double *number, RgError *error) {
    int64_t length = rg_settings_length(r->settings, path);
    if (length == 0)
        return rg_settings_refuse_list(r->settings, path, "[ 0.5, 0.5 ]", error);
    for (int64_t i = 0; i < length; i++) {
        const RgSetting *setting = element(r, path, i);
        if (!setting)
            return rg_settings_refuse_list(r->settings, path, "[ 0.5, 0.5 ]", error);
        bool is_number = setting->kind == RG_SETTING_REAL || setting->kind == RG_SETTING_INTEGER;
        double value = is_number ? strtod(setting->text, NULL) : NAN;
        if (!(value >= low && value <= high))
            return rg_setting_refuse(setting, error, "expected a number in [%g, %g]", low, high);
        if (i >= count)
            return rg_setting_refuse(setting, error, "expected %lld numbers, one for each of %s",
                                     (long long)count, beside);
        number[i] = value;
    }
    const RgSetting *last = element(r, path, length - 1);
    return length == count
               ? RG_OK
               : rg_setting_refuse(last, error,
                                   "the last of %lld numbers; expected %lld, one for each of %s",
                                   (long long)length, (long long)count, beside);
}

/* ---- words ---- */

static RgStatus read_words(Reader *r, RgError *error) {
    RgLanguage *l = r->language;
    const RgSetting **text;
    int64_t count;
    RG_TRY(read_texts(r, "words", &text, &count, error));
    RgStatus status = RG_OK;
    if (count < 2 || count > WORDS_MOST)
        status = rg_setting_refuse(text[count - 1], error,
                                   "the last of %lld words; expected 2 to %d words",
                                   (long long)count, WORDS_MOST);
    l->word = rg_allocate(count + 1, sizeof *l->word);
    for (int64_t i = 0; i < count && status == RG_OK; i++) {
        const char *word = text[i]->text;
        if (word[0] == '\0' || word[strcspn(word, " \t\n\r")] != '\0')
            status = rg_setting_refuse(text[i], error, "expected a word without white space");
        else if (find_word(l, word) >= 0)
            status = rg_setting_refuse(text[i], error, "expected each word once");
        else
            l->word[l->words++] = rg_string_copy(word);
    }
    free(text);
    return status;
}

/* ---- grammar ---- */

/* A grammar's row as read: the words it stands after, and its probabilities [words]. */
typedef struct Row {
    const char *path; /* of its group */
    int64_t position; /* from 0 */
    int32_t *after;   /* [after_count]; NULL at position 0 */
    int64_t after_count;
    double *probability;
} Row;

/* Reads the probabilities of the listed next words. */
static RgStatus read_probabilities(const Reader *r, Row *row, RgError *error) {
    int32_t *next;
    int64_t count;
    char *path = rg_string_format("%s.next", row->path);
    RgStatus status = read_ids(r, path, &next, &count, error);
    free(path);
    RG_TRY(status);
    double *share = rg_allocate(count, sizeof *share), sum = 0;
    path = rg_string_format("%s.probabilities", row->path);
    status = read_numbers(r, path, "next", count, 0, 1, share, error);
    for (int64_t i = 0; i < count && status == RG_OK; i++) {
        row->probability[next[i]] = share[i];
        sum += share[i];
    }
    if (status == RG_OK && !(fabs(sum - 1) <= 1e-9))
        status = rg_setting_refuse(element(r, path, count - 1), error,
                                   "the last of probabilities that sum to %.10g, expected 1", sum);
    free(path);
    free(share);
    free(next);
    return status;
}

/* Copies a row to the place of each word it stands after; `given` [rows] marks those. */
static RgStatus place_row(const Reader *r, const Row *row, bool *given, RgError *error) {
    RgLanguage *l = r->language;
    int64_t count = row->position == 0 ? 1 : row->after_count;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = rg_language_row(l, row->position, row->after ? row->after[i] : 0);
        if (given[at]) {
            char *path = rg_string_format("%s.%s", row->path, row->after ? "after" : "position");
            const RgSetting *setting =
                row->after ? element(r, path, i) : rg_settings_find(r->settings, path);
            free(path);
            return rg_setting_refuse(setting, error,
                                     "an earlier row stands there, too; expected each row once");
        }
        given[at] = true;
        memcpy(l->grammar + at * l->words, row->probability, (size_t)l->words * sizeof *l->grammar);
    }
    return RG_OK;
}

static RgStatus read_after(const Reader *r, Row *row, RgError *error) {
    char *path = rg_string_format("%s.after", row->path);
    RgStatus status = RG_OK;
    if (row->position > 0)
        status = read_ids(r, path, &row->after, &row->after_count, error);
    else if (rg_settings_has_group(r->settings, path) || rg_settings_find(r->settings, path)) {
        const RgSetting *first = element(r, path, 0);
        first = first ? first : rg_settings_find(r->settings, path);
        status = first ? rg_setting_refuse(first, error,
                                           "nothing stands before position 1: expected no after")
                       : rg_fail(error, RG_E_USAGE, "%s: %s: expected no after at position 1",
                                 rg_settings_file_near(r->settings, row->path), path);
    }
    free(path);
    return status;
}

static RgStatus read_row(const Reader *r, const char *path, bool *given, RgError *error) {
    static const char *const known[] = {"position", "after", "next", "probabilities", NULL};
    RgLanguage *l = r->language;
    RowOptions o;
    RG_TRY(rg_options_read(row_options, r->settings, path, &o, error));
    if (o.position > l->length) {
        char *at = rg_string_format("%s.position", path);
        RgStatus status =
            rg_setting_refuse(rg_settings_find(r->settings, at), error,
                              "expected a position of 1 to %lld, the length", (long long)l->length);
        free(at);
        return status;
    }
    Row row = {.path = path,
               .position = o.position - 1,
               .probability = rg_allocate(l->words, sizeof *row.probability)};
    RgStatus status = read_after(r, &row, error);
    if (status == RG_OK)
        status = read_probabilities(r, &row, error);
    if (status == RG_OK)
        status = place_row(r, &row, given, error);
    if (status == RG_OK)
        status = rg_settings_check_used(r->settings, path, known, error);
    free(row.after);
    free(row.probability);
    return status;
}

static RgStatus read_grammar(const Reader *r, RgError *error) {
    RgLanguage *l = r->language;
    int64_t rows = rg_language_rows(l), count = rg_settings_length(r->settings, "grammar");
    if (count == 0)
        return rg_settings_refuse_list(
            r->settings, "grammar",
            "( { position = 1; next = [ \"a\", \"b\" ]; probabilities = [ 0.5, 0.5 ]; } )", error);
    l->grammar = rg_allocate(rows * l->words, sizeof *l->grammar);
    for (int64_t i = 0; i < rows * l->words; i++)
        l->grammar[i] = 1 / (double)l->words;
    bool *given = rg_allocate(rows, sizeof *given);
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < count && status == RG_OK; i++) {
        char *path = rg_string_format("grammar.%lld", (long long)i);
        status = read_row(r, path, given, error);
        free(path);
    }
    free(given);
    return status;
}

/* ---- reward ---- */

static RgStatus read_weights(const Reader *r, RgError *error) {
    RgLanguage *l = r->language;
    int32_t *id;
    int64_t count;
    RG_TRY(read_ids(r, "reward.words", &id, &count, error));
    double *weight = rg_allocate(count, sizeof *weight);
    RgStatus status = read_numbers(r, "reward.weights", "words", count, -1e6, 1e6, weight, error);
    for (int64_t i = 0; i < count && status == RG_OK; i++)
        l->weight[id[i]] = weight[i];
    free(weight);
    free(id);
    return status;
}

static RgStatus read_factor(const Reader *r, const char *path, bool *given, RgError *error) {
    static const char *const known[] = {"after", "factor", NULL};
    FactorOptions o;
    int32_t *id;
    int64_t count;
    RG_TRY(rg_options_read(factor_options, r->settings, path, &o, error));
    char *after = rg_string_format("%s.after", path);
    RgStatus status = read_ids(r, after, &id, &count, error);
    for (int64_t i = 0; status == RG_OK && i < count; i++) {
        if (given[id[i]])
            status = rg_setting_refuse(element(r, after, i), error,
                                       "it has a factor already; expected one factor per word");
        given[id[i]] = true;
        r->language->factor[id[i]] = o.factor;
    }
    free(after);
    free(id);
    RG_TRY(status);
    return rg_settings_check_used(r->settings, path, known, error);
}

static RgStatus read_factors(const Reader *r, RgError *error) {
    static const char path[] = "reward.factors";
    const RgSetting *empty = rg_settings_find(r->settings, path);
    int64_t count = rg_settings_length(r->settings, path);
    bool absent = !empty && !rg_settings_has_group(r->settings, path);
    if (count == 0 && !absent && !(empty && empty->kind == RG_SETTING_EMPTY))
        return rg_settings_refuse_list(r->settings, path,
                                       "( { after = [ \"not\" ]; factor = -1.0; } )", error);
    bool *given = rg_allocate(r->language->words, sizeof *given);
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < count && status == RG_OK; i++) {
        char *at = rg_string_format("%s.%lld", path, (long long)i);
        status = read_factor(r, at, given, error);
        free(at);
    }
    free(given);
    return status;
}

static RgStatus read_reward(const Reader *r, RgError *error) {
    static const char *const known[] = {"intercept", "words",     "weights",
                                        "factors",   "squashing", NULL};
    RgLanguage *l = r->language;
    RewardOptions o;
    RG_TRY(rg_options_read(reward_options, r->settings, "reward", &o, error));
    l->intercept = o.intercept;
    l->squashes = o.squashing == 1;
    l->weight = rg_allocate(l->words, sizeof *l->weight);
    l->factor = rg_allocate(l->words, sizeof *l->factor);
    for (int64_t i = 0; i < l->words; i++)
        l->factor[i] = 1;
    RG_TRY(read_weights(r, error));
    RG_TRY(read_factors(r, error));
    return rg_settings_check_used(r->settings, "reward", known, error);
}

/* ---- the file ---- */

/* Trials are told apart by the contents of the file that an option names, so a language is one
 * file. */
static RgStatus check_one_file(const Reader *r, const char *path, RgError *error) {
    for (int64_t i = 0; i < rg_settings_count(r->settings); i++) {
        const RgSetting *setting = rg_settings_at(r->settings, i);
        if (strcmp(setting->file, path) != 0)
            return rg_setting_refuse(setting, error, "expected all of the language in %s", path);
    }
    return RG_OK;
}

/* Every quantity is a sum over all sentences, which are kept in memory with their numbers. */
static RgStatus check_size(const Reader *r, RgError *error) {
    const RgLanguage *l = r->language;
    double sentences = rg_language_sentences(l);
    double bytes = sentences * (double)(RG_LANGUAGE_NUMBERS + sizeof(int32_t) * (l->length + 1));
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (bytes <= memory)
        return RG_OK;
    return rg_setting_refuse(rg_settings_find(r->settings, "length"), error,
                             "%lld words make %.10g sentences, which take %.4g bytes; expected at "
                             "most the %.4g bytes of this machine",
                             (long long)l->words, sentences, bytes, memory);
}

static RgStatus read_language(Reader *r, const char *path, RgError *error) {
    static const char *const known[] = {"words", "length", "smoothing", "grammar", "reward", NULL};
    TopOptions o;
    RG_TRY(rg_config_read(path, r->settings, error));
    RG_TRY(check_one_file(r, path, error));
    RG_TRY(rg_options_read(top_options, r->settings, "", &o, error));
    r->language->length = o.length;
    r->language->smoothing = o.smoothing;
    RG_TRY(read_words(r, error));
    RG_TRY(check_size(r, error));
    RG_TRY(read_grammar(r, error));
    RG_TRY(read_reward(r, error));
    return rg_settings_check_used(r->settings, "", known, error);
}

RgStatus rg_language_read(const char *path, RgLanguage **language, RgError *error) {
    Reader reader = {rg_settings_create(), rg_allocate(1, sizeof **language)};
    RgStatus status = read_language(&reader, path, error);
    rg_settings_destroy(reader.settings);
    *language = status == RG_OK ? reader.language : NULL;
    if (status != RG_OK)
        rg_language_destroy(reader.language);
    return status;
}

void rg_language_destroy(RgLanguage *l) {
    if (!l)
        return;
    for (int64_t i = 0; i < l->words; i++)
        free(l->word[i]);
    free(l->word);
    free(l->grammar);
    free(l->weight);
    free(l->factor);
    free(l);
}

/* ---- its functions ---- */

int64_t rg_language_rows(const RgLanguage *l) {
    return 1 + (l->length - 1) * l->words;
}

double rg_language_sentences(const RgLanguage *l) {
    return pow((double)l->words, (double)l->length);
}

void rg_language_logprob(const RgLanguage *l, double *logprob) {
    for (int64_t i = 0; i < rg_language_rows(l) * l->words; i++)
        logprob[i] = log((1 - l->smoothing) * l->grammar[i] + l->smoothing / (double)l->words);
}

/* The sum is rounded, so that the order of equal terms leaves equal rewards. */
double rg_language_reward(const RgLanguage *l, const int32_t *sentence) {
    const double grid = 4294967296.0; /* 2^32 */
    double sum = l->intercept;
    for (int64_t t = 0; t < l->length; t++)
        sum += l->weight[sentence[t]] * (t > 0 ? l->factor[sentence[t - 1]] : 1);
    sum = nearbyint(sum * grid) / grid;
    return l->squashes ? 1 / (1 + exp(-sum)) : sum;
}

bool rg_language_is_grammatical(const RgLanguage *l, const int32_t *sentence) {
    for (int64_t t = 0; t < l->length; t++) {
        int64_t row = rg_language_row(l, t, t > 0 ? sentence[t - 1] : 0);
        if (!(l->grammar[row * l->words + sentence[t]] > 0))
            return false;
    }
    return true;
}
