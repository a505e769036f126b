/* SPDX-License-Identifier: MIT */
/* Judges of text: how good is a response to a prompt. A judge is one file that fills in one
 * descriptor, and is chosen by name in a config, with options of its own:
 *
 *     judge = "ngram";
 *     judge = { type = "ngram"; symbols = "characters"; };
 *
 * An environment has two: the one that labels and rewards, and an independent one, made of other
 * texts, to see whether a policy has only learnt to please the first. A judge may learn from its
 * share of the data; it may be asked elsewhere, and then fail; it may do no more than compare, and
 * give no rewards. Adding one: its file, and a line in envs/sources.am. */
#ifndef RG_ENVS_JUDGES_JUDGE_H
#define RG_ENVS_JUDGES_JUDGE_H

#include "core/options.h"
#include "core/registry.h"
#include "core/task/sequences.h"
#include "core/tensor/random.h"

/* Two responses to a prompt, of which people preferred one. Borrowed. */
typedef struct RgJudgeText {
    const char *prompt, *chosen, *rejected;
} RgJudgeText;

/* The data that a judge is made from. Borrowed: it does not outlive the call. */
typedef struct RgJudgeShare {
    const RgJudgeText *texts; /* [count] */
    int64_t count;
    /* The same, with all of the conversation, as tokens: chosen and rejected response of text i are
     * sequences 2i and 2i + 1. NULL where there are no tokens; then judges are asked without, too.
     */
    const RgSequences *sequences;
    int64_t vocabulary; /* of the tokens */
    const char *path;   /* where the texts are from, for messages */
    bool independent;   /* it is for the independent judge */
} RgJudgeShare;

/* Responses to be judged. Borrowed. */
typedef struct RgJudgeItems {
    int64_t count;
    const char *const *prompt, *const *response; /* [count] */
    const RgSequences *sequences;                /* the same as tokens, with all of the conversation
                                                    that the policy sees; NULL: see RgJudgeShare */
} RgJudgeItems;

typedef struct RgJudge RgJudge;

/* The cache of judges' answers in a results store (core/results/judge_cache.h). */
typedef struct RgJudgeCache RgJudgeCache;

/* A count that goes into the results, "judge_calls". */
typedef struct RgJudgeCount {
    const char *name;
    double value;
} RgJudgeCount;
enum { RG_JUDGE_COUNTS = 17 };

typedef struct RgJudgeType {
    RgDescriptor
        about; /* of one that `missing_packages` packages, the options are known all the same */

    /* Fill judge->state; destroy is called after an error, too, if there is one. The same share and
     * stream give the same bits. RG_E_RANGE when there is too little to learn from. */
    RgStatus (*create)(RgJudge *judge, const void *options, const RgJudgeShare *share,
                       RgRandom random, RgError *error);
    /* Rewards of all items: reward [count], each a function of its item alone. An item that is
     * asked again gets the same bits. NULL: the judge only compares. */
    RgStatus (*rewards)(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error);
    /* Of pairs of items (2i, 2i + 1), the probability that the first is the better: first
     * [count / 2]; NaN where the judge leaves it open, which only one that `skips` does. NULL: the
     * larger reward is. */
    RgStatus (*compare)(RgJudge *judge, const RgJudgeItems *items, double *first, RgError *error);
    void (*destroy)(RgJudge *judge); /* frees `state` alone; NULL: free() will do */

    /* Of one that is asked elsewhere, else NULL. From now on keep answers on this cache (borrowed),
     * and look for them there. */
    RgStatus (*use_answers)(RgJudge *judge, RgJudgeCache *answers, RgError *error);
    /* What requests has come to since the counts were last taken: counts [RG_JUDGE_COUNTS]. */
    void (*take_counts)(RgJudge *judge, RgJudgeCount *counts);
} RgJudgeType;

struct RgJudge {
    const RgJudgeType *type;
    void *state;
    bool skips; /* some comparisons may have no outcome */
};

static inline bool rg_judge_only_compares(const RgJudge *judge) {
    return !judge->type->rewards;
}

/* Refuse a descriptor that is not complete: RG_E_USAGE, with its name. */
RgStatus rg_judge_type_check(const RgJudgeType *type, RgError *error);
/* Add one, of a plug-in: checked, and borrowed for good. */
RgStatus rg_judge_type_register(const RgJudgeType *type, RgError *error);
/* As a part of a config, alone or in a list where each has a weight. */
extern const RgOptionFamily rg_judge_family, rg_weighted_judge_family;

typedef struct RgJudgeWeight {
    double weight;
} RgJudgeWeight;

/* The judge that a config asks for. On error NULL is left in *judge. */
RgStatus rg_judge_create(const RgOptionPart *part, const RgJudgeShare *share, RgRandom random,
                         RgJudge **judge, RgError *error);
/* That of a name, with its options as they are when a config says nothing; those that must be given
 * are missing then (RG_E_USAGE). */
RgStatus rg_judge_create_named(const char *name, const RgJudgeShare *share, RgRandom random,
                               RgJudge **judge, RgError *error);
void rg_judge_destroy(RgJudge *judge);

RgStatus rg_judge_rewards(RgJudge *judge, const RgJudgeItems *items, double *reward,
                          RgError *error);
/* See RgJudgeType; 1, 0 or ½ of equal rewards where the judge has no comparison of its own. */
RgStatus rg_judge_compare(RgJudge *judge, const RgJudgeItems *items, double *first, RgError *error);

/* Items of a share: chosen and rejected response of each text in turn; the arrays are the caller's
 * to free by rg_judge_items_free. */
RgJudgeItems rg_judge_items_of(const RgJudgeShare *share);
void rg_judge_items_free(RgJudgeItems *items);

/* How often a judge prefers the chosen response, in the mean of its comparisons. */
RgStatus rg_judge_accuracy(RgJudge *judge, const RgJudgeShare *share, double *accuracy,
                           RgError *error);

#endif
