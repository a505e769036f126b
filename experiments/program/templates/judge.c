/* @NAME@: a judge that counts words. It prefers responses of about n words without repetition.
 *
 *     r(y) = distinct(y)/words(y) · exp(−((words(y) − n)/n)²)
 *
 * It learns nothing from the texts that it gets; a judge that does keeps its state in judge->state.
 * envs/judges/judge.h describes what a judge must answer. */
#include "regatta.h"

#include <math.h>
#include <string.h>

typedef struct Options {
    int64_t words;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_INTEGER(Options, words, "8", 1, 1e6, "n, the number of words that is best"),
    RG_OPTION_END,
};

static RgStatus create(RgJudge *judge, const void *options, const RgJudgeShare *share,
                       RgRandom random, RgError *error) {
    (void)share;
    (void)random;
    (void)error;
    Options *own = judge->state = rg_allocate(1, sizeof *own); /* freed with the judge */
    *own = *(const Options *)options;
    return RG_OK;
}

/* The word at *text and its length; *text moves behind it. 0: no word is left. */
static size_t next_word(const char **text, const char **word) {
    static const char spaces[] = " \t\r\n";
    *word = *text + strspn(*text, spaces);
    size_t length = strcspn(*word, spaces);
    *text = *word + length;
    return length;
}

static bool is_among(const char *text, const char *end, const char *word, size_t length) {
    const char *other;
    size_t other_length;
    while ((other_length = next_word(&text, &other)) > 0 && other < end)
        if (other_length == length && memcmp(other, word, length) == 0)
            return true;
    return false;
}

static double reward_of(const char *response, double n) {
    double words = 0, distinct = 0;
    const char *text = response, *word;
    size_t length;
    while ((length = next_word(&text, &word)) > 0) {
        words++;
        distinct += is_among(response, word, word, length) ? 0 : 1;
    }
    double off = (words - n) / n;
    return words > 0 ? distinct / words * exp(-off * off) : 0;
}

/* Each reward is a function of its item alone, and the same for every query. */
static RgStatus rewards(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error) {
    (void)error; /* a judge that can fail writes its reason here */
    const Options *own = judge->state;
    for (int64_t i = 0; i < items->count; i++)
        reward[i] = reward_of(items->response[i], (double)own->words);
    return RG_OK;
}

static const RgJudgeType judge = {
    .about = {.name = "@NAME@",
              .summary = "Counts words: about n of them, none twice",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create,
    .rewards = rewards,
};

static RgStatus add(RgError *error) {
    return rg_judge_type_register(&judge, error);
}
RG_PLUGIN(add);
