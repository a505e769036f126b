/* SPDX-License-Identifier: MIT */
/* The n-gram judge: training, calibration and scoring. Words and characters share the code, with
 * different symbols and n-grams. */
#include "envs/judges/judge_ngram.h"

#include "core/tensor/threads.h"
#include "envs/judges/judge_symbols.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SYMBOLS_AUTO, SYMBOLS_WORDS, SYMBOLS_CHARACTERS };
static const char *const symbols_names[] = {"auto", "words", "characters", NULL};

typedef struct Options {
    int symbols;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_CHOICE(
        Options, symbols, "auto", symbols_names,
        "n-grams of words or of characters; auto: words, and characters for the independent judge"),
    RG_OPTION_END,
};

/* Parameters for n-grams of words, or of characters. */
typedef struct Reading {
    bool words;
    int style_from, style_to; /* orders of the n-grams of style */
    int fluency_order;
    int repetition; /* order of the n-grams that should not repeat */
    double fluent;  /* deviations below real text's mean fluency without a penalty */
} Reading;

static const Reading readings[] = {
    [SYMBOLS_WORDS] = {true, 1, 2, 3, 2, 2},
    [SYMBOLS_CHARACTERS] = {false, 3, 5, 6, 12, 3},
};

enum {
    BUCKETS = 1 << 16,
    EPOCHS = 8,
    CALIBRATION_SHARE = 5, /* one text in this many is held out for calibration */
    FEWEST_TEXTS = 50,
};

static const double highest_reward = 6, style_share = 0.6, fluency_share = 0.4;

/* Mean and deviation of a measure over real text. */
typedef struct Usual {
    double mean, deviation;
} Usual;

typedef struct Ngram {
    Reading reading;
    double *weight; /* [BUCKETS] of n-grams of style */
    double bias;
    double temperature; /* divides the logit of style */
    RgNgramModel fluency_model;
    Usual fluency, log_length, novelty;
} Ngram;

/* ---- style ---- */

static int64_t style_ngrams(const Reading *reading, const RgSymbols *symbols) {
    int64_t count = 0;
    for (int n = reading->style_from; n <= reading->style_to; n++)
        count += symbols->count >= n ? symbols->count - n + 1 : 0;
    return count;
}

/* Sum of the weights of all n-grams. */
static double sum_weights(const Ngram *judge, const RgSymbols *symbols) {
    double sum = 0;
    for (int n = judge->reading.style_from; n <= judge->reading.style_to; n++)
        for (int64_t end = n; end <= symbols->count; end++)
            sum += judge->weight[rg_symbols_ngram(symbols, end, n) >> 48];
    return sum;
}

/* Logit of the chosen style: bias and the mean weight of the text's n-grams. */
static double style_logit(const Ngram *judge, const RgSymbols *symbols) {
    int64_t count = style_ngrams(&judge->reading, symbols);
    return judge->bias + (count > 0 ? sum_weights(judge, symbols) / (double)count : 0);
}

static double logistic(double x) {
    return 1 / (1 + exp(-x));
}

/* One step of AdaGrad (Duchi et al. 2011) on one text; `squares` [BUCKETS + 1]. */
static void style_step(Ngram *judge, const RgSymbols *symbols, double target, double *squares) {
    const double rate = 5;
    int64_t count = style_ngrams(&judge->reading, symbols);
    if (count == 0)
        return;
    double slope = logistic(style_logit(judge, symbols)) - target;
    double each = slope / (double)count;
    for (int n = judge->reading.style_from; n <= judge->reading.style_to; n++)
        for (int64_t end = n; end <= symbols->count; end++) {
            uint64_t bucket = rg_symbols_ngram(symbols, end, n) >> 48;
            squares[bucket] += each * each;
            judge->weight[bucket] -= rate * each / (sqrt(squares[bucket]) + 1e-6);
        }
    squares[BUCKETS] += slope * slope;
    judge->bias -= 0.1 * slope / (sqrt(squares[BUCKETS]) + 1e-6);
}

/* ---- the other factors ---- */

static Usual usual_of(const double *value, int64_t count) {
    Usual usual = {0};
    for (int64_t i = 0; i < count; i++)
        usual.mean += value[i] / (double)count;
    for (int64_t i = 0; i < count; i++)
        usual.deviation += pow(value[i] - usual.mean, 2) / (double)count;
    usual.deviation = sqrt(usual.deviation) + 1e-6;
    return usual;
}

/* Share of the response's n-grams that occur neither in the prompt nor earlier in the response. */
static double novelty(const Reading *reading, const RgSymbols *prompt, const RgSymbols *response) {
    RgTallies seen = {0};
    int n = reading->repetition;
    int64_t total = response->count - n + 1, novel = 0;
    for (int64_t end = n; end <= prompt->count; end++)
        rg_tallies_at(&seen, rg_symbols_ngram(prompt, end, n))->total++;
    for (int64_t end = n; end <= response->count; end++)
        novel += rg_tallies_at(&seen, rg_symbols_ngram(response, end, n))->total++ == 0;
    rg_tallies_free(&seen);
    return total > 0 ? (double)novel / (double)total : 0;
}

/* In standard deviations from real text: 1 nearby, then falling. */
static double length_factor(const Ngram *judge, int64_t length) {
    const double free_deviations = 2.5;
    if (length == 0)
        return 0;
    double away = fabs(log((double)length) - judge->log_length.mean) / judge->log_length.deviation;
    double beyond = fmax(0, away - free_deviations);
    return exp(-beyond * beyond);
}

/* Real texts are ranked by style: 1 down to some deviations below their mean fluency, then falling,
 * towards word salad. */
static double fluency_factor(const Ngram *judge, const RgSymbols *response) {
    double score = rg_ngram_model_score(&judge->fluency_model, response);
    double below = (judge->fluency.mean - score) / judge->fluency.deviation;
    return exp(-fmax(0, below - judge->reading.fluent));
}

static double repetition_factor(const Ngram *judge, const RgSymbols *prompt,
                                const RgSymbols *response) {
    double enough = fmax(0.3, judge->novelty.mean - 4 * judge->novelty.deviation);
    double share = fmin(1, novelty(&judge->reading, prompt, response) / enough);
    return share * share;
}

/* ---- training ---- */

/* All texts as symbols. */
typedef struct Corpus {
    RgSymbols *prompt, *chosen, *rejected; /* [count] */
    int64_t count;
} Corpus;

static Corpus read_corpus(const RgJudgeText *texts, int64_t count, bool words) {
    size_t bytes = (size_t)count * sizeof(RgSymbols);
    Corpus corpus = {rg_allocate(1, bytes), rg_allocate(1, bytes), rg_allocate(1, bytes), count};
    for (int64_t i = 0; i < count; i++) {
        corpus.prompt[i] = rg_symbols_of(texts[i].prompt, words);
        corpus.chosen[i] = rg_symbols_of(texts[i].chosen, words);
        corpus.rejected[i] = rg_symbols_of(texts[i].rejected, words);
    }
    return corpus;
}

static void free_corpus(Corpus *corpus) {
    for (int64_t i = 0; i < corpus->count; i++) {
        free(corpus->prompt[i].name);
        free(corpus->chosen[i].name);
        free(corpus->rejected[i].name);
    }
    free(corpus->prompt);
    free(corpus->chosen);
    free(corpus->rejected);
}

static bool for_calibration(int64_t i) {
    return i % CALIBRATION_SHARE == 0;
}

static void train(Ngram *judge, const Corpus *corpus, RgRandom random) {
    int64_t *order = rg_allocate(corpus->count, sizeof *order);
    double *squares = rg_allocate(BUCKETS + 1, sizeof *squares);
    for (int64_t i = 0; i < corpus->count; i++)
        if (!for_calibration(i)) {
            rg_ngram_model_learn(&judge->fluency_model, &corpus->chosen[i]);
            rg_ngram_model_learn(&judge->fluency_model, &corpus->rejected[i]);
        }
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        rg_random_permutation(rg_random_at(random, (uint64_t)epoch), order, corpus->count);
        for (int64_t i = 0; i < corpus->count; i++)
            if (!for_calibration(order[i])) {
                style_step(judge, &corpus->chosen[order[i]], 1, squares);
                style_step(judge, &corpus->rejected[order[i]], 0, squares);
            }
    }
    free(order);
    free(squares);
}

/* Statistics of held-out real text: the scale of every factor. */
static void calibrate(Ngram *judge, const Corpus *corpus) {
    int64_t most = 2 * (corpus->count / CALIBRATION_SHARE + 1), n = 0;
    double *fluency = rg_allocate(most, sizeof *fluency);
    double *length = rg_allocate(most, sizeof *length);
    double *novelties = rg_allocate(most, sizeof *novelties);
    double logit = 0;
    for (int64_t i = 0; i < corpus->count; i++) {
        const RgSymbols *sides[] = {&corpus->chosen[i], &corpus->rejected[i]};
        for (int side = 0; for_calibration(i) && side < 2; side++) {
            fluency[n] = rg_ngram_model_score(&judge->fluency_model, sides[side]);
            length[n] = log((double)sides[side]->count + 1e-9);
            novelties[n] = novelty(&judge->reading, &corpus->prompt[i], sides[side]);
            logit += fabs(style_logit(judge, sides[side]));
            n++;
        }
    }
    judge->fluency = usual_of(fluency, n);
    judge->log_length = usual_of(length, n);
    judge->novelty = usual_of(novelties, n);
    /* a typical text's tempered logit is ±3: σ = 0.95 */
    judge->temperature = fmax(1e-6, logit / (double)n / 3);
    free(fluency);
    free(length);
    free(novelties);
}

static RgStatus create(RgJudge *judge, const void *options, const RgJudgeShare *share,
                       RgRandom random, RgError *error) {
    int symbols = ((const Options *)options)->symbols;
    if (share->count < FEWEST_TEXTS)
        return rg_fail(error, RG_E_RANGE,
                       "%s: a judge needs at least %d texts to learn from, found %lld", share->path,
                       FEWEST_TEXTS, (long long)share->count);
    if (symbols == SYMBOLS_AUTO)
        symbols = share->independent ? SYMBOLS_CHARACTERS : SYMBOLS_WORDS;
    Ngram *new = rg_allocate(1, sizeof *new);
    judge->state = new;
    new->reading = readings[symbols];
    new->weight = rg_allocate(BUCKETS, sizeof *new->weight);
    new->fluency_model.order = new->reading.fluency_order;
    Corpus corpus = read_corpus(share->texts, share->count, new->reading.words);
    train(new, &corpus, random);
    calibrate(new, &corpus);
    free_corpus(&corpus);
    return RG_OK;
}

static void destroy(RgJudge *judge) {
    Ngram *state = judge->state;
    free(state->weight);
    rg_tallies_free(&state->fluency_model.tallies);
    free(state);
}

/* ---- judging ---- */

RgNgramParts rg_judge_ngram_parts(const RgJudge *judge, const char *prompt, const char *response) {
    const Ngram *state = judge->state;
    RgSymbols before = rg_symbols_of(prompt, state->reading.words);
    RgSymbols symbols = rg_symbols_of(response, state->reading.words);
    RgNgramParts parts = {
        .style = logistic(style_logit(state, &symbols) / state->temperature),
        .fluency = fluency_factor(state, &symbols),
        .length = length_factor(state, symbols.count),
        .repetition = repetition_factor(state, &before, &symbols),
    };
    parts.reward = highest_reward * (style_share * parts.style + fluency_share * parts.fluency) *
                   parts.length * parts.repetition;
    free(before.name);
    free(symbols.name);
    return parts;
}

static RgStatus rewards(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error) {
    (void)error;
#pragma omp parallel for num_threads(rg_threads()) schedule(dynamic, 16)
    for (int64_t i = 0; i < items->count; i++)
        reward[i] = rg_judge_ngram_parts(judge, items->prompt[i], items->response[i]).reward;
    return RG_OK;
}

const RgJudgeType rg_judge_ngram = {
    .about = {.name = "ngram",
              .summary = "Distinguishes chosen from rejected responses by their n-grams; fluency, "
                         "length and repetition terms limit what style alone can gain",
              .reference = "smoothing of the fluency model: Witten & Bell 1991",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create,
    .rewards = rewards,
    .destroy = destroy,
};
