/* SPDX-License-Identifier: MIT */
/* A mixture of judges: the weighted sum of several judges' rewards, each on its own scale,
 *
 *     R(x, y) = Σ_k weight_k · (r_k(x, y) − middle_k) / spread_k
 *     reward  = R − length_control · slope · (log(1 + words(y)) − mean of these)
 *
 * Middle and spread of a judge's rewards, and the slope of R on log length by least squares, are
 * computed on a fifth of the share, which no judge of the mixture learns from. With length_control
 * = 1 the reward is the residual of R after the effect of length. Length-controlled win rates
 * (Dubois et al. 2024, arXiv:2404.04475) do the same for a win rate, by logistic regression. */
#include "envs/judges/judge.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

enum { SCALE_DEVIATION, SCALE_RANGE, SCALE_NONE };
static const char *const scales[] = {"deviation", "range", "none", NULL};

typedef struct Options {
    RgOptionParts judges;
    int scale;
    double length_control;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_PARTS(
        Options, judges, &rg_weighted_judge_family,
        "judges of the mixture; besides its own options each has weight, the factor of its "
        "reward (default 1)"),
    RG_OPTION_CHOICE(Options, scale, "deviation", scales,
                     "scale of each judge's rewards before they are weighted: deviation, mean 0 "
                     "and standard deviation 1; range, smallest 0 and largest 1; none, unchanged"),
    RG_OPTION_REAL(Options, length_control, "0", 0, 1,
                   "share of the part of the sum that length explains, to be subtracted"),
    RG_OPTION_END,
};

typedef struct Voice {
    RgJudge *judge;
    double weight, middle, spread; /* 0 and 1 until it is calibrated */
} Voice;

typedef struct Mixture {
    Voice voice[RG_LIST_MOST];
    int64_t count;
    double slope, mean_length; /* slope: times length_control */
} Mixture;

/* ---- rewards ---- */

static double log_length(const char *text) {
    int64_t words = 0;
    for (bool inside = false; *text; text++) {
        bool letter = !isspace((unsigned char)*text);
        words += letter && !inside;
        inside = letter;
    }
    return log1p((double)words);
}

static RgStatus rewards(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error) {
    const Mixture *m = judge->state;
    double *own = rg_allocate(items->count, sizeof *own);
    RgStatus status = RG_OK;
    for (int64_t i = 0; i < items->count; i++)
        reward[i] = -m->slope * (log_length(items->response[i]) - m->mean_length);
    for (int64_t k = 0; k < m->count && status == RG_OK; k++) {
        const Voice *v = &m->voice[k];
        status = rg_judge_rewards(v->judge, items, own, error);
        for (int64_t i = 0; status == RG_OK && i < items->count; i++)
            reward[i] += v->weight * (own[i] - v->middle) / v->spread;
    }
    free(own);
    return status;
}

/* ---- calibration ---- */

/* Middle and spread of numbers; spread is 1 if they are all equal. */
static void measure(const double *value, int64_t count, int scale, Voice *voice) {
    double least = INFINITY, most = -INFINITY, mean = 0, square = 0;
    for (int64_t i = 0; i < count; i++) {
        least = fmin(least, value[i]);
        most = fmax(most, value[i]);
        mean += value[i] / (double)count;
    }
    for (int64_t i = 0; i < count; i++)
        square += (value[i] - mean) * (value[i] - mean) / (double)count;
    voice->middle = scale == SCALE_NONE ? 0 : scale == SCALE_RANGE ? least : mean;
    voice->spread = scale == SCALE_NONE ? 1 : scale == SCALE_RANGE ? most - least : sqrt(square);
    if (!(voice->spread > 0))
        voice->spread = 1;
}

/* Slope of y on x by least squares, and the mean of x. */
static double regress(const double *x, const double *y, int64_t count, double *mean_x) {
    double mean_y = 0, product = 0, square = 0;
    *mean_x = 0;
    for (int64_t i = 0; i < count; i++) {
        *mean_x += x[i] / (double)count;
        mean_y += y[i] / (double)count;
    }
    for (int64_t i = 0; i < count; i++) {
        product += (x[i] - *mean_x) * (y[i] - mean_y);
        square += (x[i] - *mean_x) * (x[i] - *mean_x);
    }
    return square > 0 ? product / square : 0;
}

static RgStatus calibrate(RgJudge *judge, const Options *o, const RgJudgeShare *share,
                          RgError *error) {
    Mixture *m = judge->state;
    RgJudgeItems items = rg_judge_items_of(share);
    double *value = rg_allocate(items.count, sizeof *value);
    double *length = rg_allocate(items.count, sizeof *length);
    RgStatus status = RG_OK;
    for (int64_t k = 0; k < m->count && status == RG_OK; k++) {
        status = rg_judge_rewards(m->voice[k].judge, &items, value, error);
        if (status == RG_OK)
            measure(value, items.count, o->scale, &m->voice[k]);
    }
    if (status == RG_OK)
        status = rewards(judge, &items, value, error);
    for (int64_t i = 0; i < items.count; i++)
        length[i] = log_length(items.response[i]);
    if (status == RG_OK)
        m->slope = o->length_control * regress(length, value, items.count, &m->mean_length);
    free(length);
    free(value);
    rg_judge_items_free(&items);
    return status;
}

/* ---- life ---- */

static RgStatus check_conversation(RgJudge *judge, const RgConversation *conversation,
                                   RgError *error) {
    const Mixture *m = judge->state;
    for (int64_t k = 0; k < m->count; k++)
        RG_TRY(rg_judge_check_conversation(m->voice[k].judge, conversation, error));
    return RG_OK;
}

/* Every fifth text, or all others; to be released. */
static RgJudgeShare take(const RgJudgeShare *share, bool fifths) {
    enum { CALIBRATION = 5 };
    RgJudgeText *texts = rg_allocate(share->count, sizeof *texts);
    RgSequences *sequences = share->sequences ? rg_sequences_create() : NULL;
    RgConversation *conversations =
        share->conversations ? rg_allocate(share->count, sizeof *conversations) : NULL;
    int64_t count = 0;
    for (int64_t i = 0; i < share->count; i++) {
        if ((i % CALIBRATION == 0) != fifths)
            continue;
        if (conversations)
            conversations[count] = share->conversations[i];
        texts[count++] = share->texts[i];
        for (int64_t k = 0; sequences && k < 2; k++)
            rg_sequences_append_from(sequences, share->sequences, 2 * i + k, false);
    }
    RgJudgeShare taken = *share;
    taken.texts = texts;
    taken.count = count;
    taken.sequences = sequences;
    taken.conversations = conversations;
    return taken;
}

static void release(RgJudgeShare *share) {
    free((void *)share->texts);
    free((void *)share->conversations);
    rg_sequences_destroy((RgSequences *)share->sequences);
}

static RgStatus make_voices(Mixture *m, const Options *o, const RgJudgeShare *share,
                            RgRandom random, RgError *error) {
    for (int64_t k = 0; k < o->judges.count; k++) {
        const RgOptionPart *part = &o->judges.item[k];
        Voice *voice = &m->voice[m->count];
        RgJudgeWeight weight;
        RG_TRY(rg_options_read(rg_weighted_judge_family.common, part->settings, part->path, &weight,
                               error));
        RG_TRY(
            rg_judge_create(part, share, rg_random_at(random, (uint64_t)k), &voice->judge, error));
        voice->weight = weight.weight;
        voice->spread = 1;
        m->count++;
        if (voice->judge->type->use_answers)
            return rg_fail(error, RG_E_USAGE,
                           "%s: a mixture cannot keep the answers of a judge outside of the "
                           "program, which %s is",
                           part->path, voice->judge->type->about.name);
        if (rg_judge_only_compares(voice->judge))
            return rg_fail(error, RG_E_USAGE,
                           "%s: a mixture needs rewards, and %s only compares responses",
                           part->path, voice->judge->type->about.name);
    }
    return RG_OK;
}

static RgStatus create(RgJudge *judge, const void *options, const RgJudgeShare *share,
                       RgRandom random, RgError *error) {
    const Options *o = options;
    if (o->judges.count == 0)
        return rg_fail(error, RG_E_USAGE, "judges is empty: a mixture needs at least one");
    Mixture *m = rg_allocate(1, sizeof *m);
    judge->state = m;
    RgJudgeShare learnt = take(share, false), kept = take(share, true);
    RgStatus status = make_voices(m, o, &learnt, random, error);
    for (int64_t k = 0; k < m->count; k++)
        judge->reads_turns = judge->reads_turns || m->voice[k].judge->reads_turns;
    bool calibrates = o->scale != SCALE_NONE || o->length_control > 0;
    if (status == RG_OK && calibrates && kept.count == 0)
        status = rg_fail(error, RG_E_RANGE,
                         "%s: no pair to calibrate a mixture on, which scale = \"none\" without "
                         "length_control does not need",
                         share->path);
    if (status == RG_OK && calibrates)
        status = calibrate(judge, o, &kept, error);
    release(&learnt);
    release(&kept);
    return status;
}

static RgStatus save(RgJudge *judge, RgError *error) {
    const Mixture *m = judge->state;
    for (int64_t k = 0; k < m->count; k++)
        RG_TRY(rg_judge_save(m->voice[k].judge, error));
    return RG_OK;
}

static void destroy(RgJudge *judge) {
    Mixture *m = judge->state;
    for (int64_t k = 0; k < m->count; k++)
        rg_judge_destroy(m->voice[k].judge);
    free(m);
}

const RgJudgeType rg_judge_mixture = {
    .about = {.name = "mixture",
              .summary =
                  "The weighted sum of several judges on a common scale, with length control",
              .reference = "related length control: Dubois et al. 2024, arXiv:2404.04475",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create,
    .rewards = rewards,
    .check_conversation = check_conversation,
    .destroy = destroy,
    .save = save,
};
