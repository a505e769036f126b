/* SPDX-License-Identifier: MIT */
/* The lexicon judge: reward = 3·(1 + valence of the response), in (0, 6), by a valence lexicon
 * (envs/judges/lexicon.h). It uses neither the prompt nor training data. */
#include "envs/judges/judge.h"
#include "envs/judges/lexicon.h"

typedef struct Options {
    const char *file;
} Options;

static const RgOption options_table[] = {
    RG_OPTION_PATH(
        Options, file, NULL,
        "words and their valence: VADER's file, or AFINN's (also in the npm package's format)"),
    RG_OPTION_END,
};

static RgStatus create(RgJudge *judge, const void *options, const RgJudgeShare *share,
                       RgRandom random, RgError *error) {
    (void)share;
    (void)random;
    RgLexicon *lexicon;
    RG_TRY(rg_lexicon_load(((const Options *)options)->file, &lexicon, error));
    judge->state = lexicon;
    return RG_OK;
}

static RgStatus rewards(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error) {
    (void)error;
    for (int64_t i = 0; i < items->count; i++)
        reward[i] = 3 * (1 + rg_lexicon_valence(judge->state, items->response[i]));
    return RG_OK;
}

static void destroy(RgJudge *judge) {
    rg_lexicon_destroy(judge->state);
}

const RgJudgeType rg_judge_lexicon = {
    .about = {.name = "lexicon",
              .summary = "The valence of a response's words; learns nothing",
              .reference = "VADER: Hutto & Gilbert 2014; AFINN: Nielsen 2011, arXiv:1103.2903",
              .options = options_table,
              .options_size = sizeof(Options)},
    .create = create,
    .rewards = rewards,
    .destroy = destroy,
};
