/* SPDX-License-Identifier: MIT */
/* Judges of text: how good is a response to a prompt. A judge is one file that fills in one
 * descriptor. A config chooses it by name, with options of its own:
 *
 *     judge = "ngram";
 *     judge = { type = "ngram"; symbols = "characters"; };
 *
 * An environment has two judges: one labels and rewards. The other is independent, trained on other
 * texts, and shows whether a policy over-optimises the first. A judge may learn from its share of
 * the data. It may be external, and then may fail. It may only compare, without rewards. To add
 * one: its file, and a line in envs/sources.am.
 *
 * Threads: one thread at a time calls a judge. A judge may use the program's threads inside. */
#ifndef RG_ENVS_JUDGES_JUDGE_H
#define RG_ENVS_JUDGES_JUDGE_H

#include "core/options.h"
#include "core/registry.h"
#include "core/task/sequences.h"
#include "core/tensor/random.h"
#include "envs/conversation.h"

/* Two responses to a prompt, of which people preferred one. Borrowed. */
typedef struct RgJudgeText {
    const char *prompt, *chosen, *rejected;
} RgJudgeText;

/* The data that a judge is made from. Borrowed for the call of `create` only. */
typedef struct RgJudgeShare {
    const RgJudgeText *texts; /* [count] */
    int64_t count;
    /* The same as tokens, with the whole conversation: chosen and rejected response of text i are
     * sequences 2i and 2i + 1. NULL without tokens; then RgJudgeItems has none either. */
    const RgSequences *sequences;
    int64_t vocabulary;                  /* of the tokens */
    const struct RgTokenizer *tokenizer; /* of the tokens, or NULL; it outlives the judge */
    const RgConversation *conversations; /* [count] of the texts, or NULL */
    const char *path;                    /* origin of the texts, for messages */
    bool independent;                    /* for the independent judge */
} RgJudgeShare;

/* Responses to be judged. Borrowed. */
typedef struct RgJudgeItems {
    int64_t count;
    const char *const *prompt, *const *response; /* [count] */
    const RgSequences *sequences;                /* the same as tokens, with the whole conversation
                                                    that the policy sees; NULL: see RgJudgeShare */
    const RgConversation *conversations;         /* [count] the same as turns, without the response;
                                                    NULL unless the judge reads turns */
} RgJudgeItems;

typedef struct RgJudge RgJudge;

/* The cache of judges' answers in a results store (core/results/judge_cache.h). */
typedef struct RgJudgeCache RgJudgeCache;

/* A count for the results, such as "judge_calls". */
typedef struct RgJudgeCount {
    const char *name;
    double value;
} RgJudgeCount;
enum { RG_JUDGE_COUNTS = 17 };

typedef struct RgJudgeType {
    /* The options are known even if the build lacks packages of the judge (missing_packages). */
    RgDescriptor about;

    /* Fill in judge->state. `destroy`, if any, is called after an error, too. The same share and
     * stream give the same bits. RG_E_RANGE if there is too little data to learn from. */
    RgStatus (*create)(RgJudge *judge, const void *options, const RgJudgeShare *share,
                       RgRandom random, RgError *error);
    /* Rewards of all items: reward [count], each a function of its item alone. The same item always
     * gets the same bits. NULL: the judge only compares. */
    RgStatus (*rewards)(RgJudge *judge, const RgJudgeItems *items, double *reward, RgError *error);
    /* For pairs of items (2i, 2i + 1), the probability that the first is better: first [count / 2];
     * NaN for no verdict, allowed only with `skips`. NULL: the larger reward is better. */
    RgStatus (*compare)(RgJudge *judge, const RgJudgeItems *items, double *first, RgError *error);
    void (*destroy)(RgJudge *judge); /* frees `state` only; NULL: free() is used */

    /* For judges that may read turns, else NULL: refuse a conversation that it cannot read. Called
     * before the first query, for each that there is. */
    RgStatus (*check_conversation)(RgJudge *judge, const RgConversation *conversation,
                                   RgError *error);

    /* For types that give rewards with some options and only compare with others: whether a judge
     * with these options gives rewards. NULL: it does if it has `rewards`. */
    bool (*gives_rewards)(const void *options);

    /* For external judges, else NULL. Look up and keep answers in this cache (borrowed) from now
     * on. */
    RgStatus (*use_answers)(RgJudge *judge, RgJudgeCache *answers, RgError *error);
    /* The counts of requests since the last call: counts [RG_JUDGE_COUNTS] out. */
    void (*take_counts)(RgJudge *judge, RgJudgeCount *counts);

    /* For judges whose options name files to write (RG_ACT_SAVE), else NULL: write them. Called by
     * a run, before its first step, and by nothing that only plans or measures one. */
    RgStatus (*save)(RgJudge *judge, RgError *error);
} RgJudgeType;

struct RgJudge {
    const RgJudgeType *type;
    void *state;
    bool skips;         /* some comparisons may have no verdict */
    bool only_compares; /* by its options, though its type has `rewards` */
    bool reads_turns;   /* its items have to have conversations, which it lays out itself */
};

static inline bool rg_judge_only_compares(const RgJudge *judge) {
    return !judge->type->rewards || judge->only_compares;
}
/* Whether the judge that a config names gives rewards: true if its packages are missing, too. */
bool rg_judge_part_gives_rewards(const RgOptionPart *part);

/* Refuse an incomplete descriptor: RG_E_USAGE, with its name. */
RgStatus rg_judge_type_check(const RgJudgeType *type, RgError *error);
/* Register a judge type of a plug-in: checked, and borrowed until the program ends. */
RgStatus rg_judge_type_register(const RgJudgeType *type, RgError *error);
/* Judges as a part of a config: alone, or in a list where each has a weight. */
extern const RgOptionFamily rg_judge_family, rg_weighted_judge_family;

typedef struct RgJudgeWeight {
    double weight;
} RgJudgeWeight;

/* Create the judge that a config names. On error *judge is NULL. */
RgStatus rg_judge_create(const RgOptionPart *part, const RgJudgeShare *share, RgRandom random,
                         RgJudge **judge, RgError *error);
/* Create the judge of a name with default options; RG_E_USAGE if one of its options has no
 * default. */
RgStatus rg_judge_create_named(const char *name, const RgJudgeShare *share, RgRandom random,
                               RgJudge **judge, RgError *error);
void rg_judge_destroy(RgJudge *judge);

RgStatus rg_judge_rewards(RgJudge *judge, const RgJudgeItems *items, double *reward,
                          RgError *error);
/* See RgJudgeType; of a judge that reads no turns nothing is refused. */
RgStatus rg_judge_check_conversation(RgJudge *judge, const RgConversation *conversation,
                                     RgError *error);
/* See RgJudgeType. */
RgStatus rg_judge_save(RgJudge *judge, RgError *error);
/* See RgJudgeType. Without a comparison of its own: 1 or 0, and ½ for equal rewards. */
RgStatus rg_judge_compare(RgJudge *judge, const RgJudgeItems *items, double *first, RgError *error);

/* Items of a share: chosen and rejected response of each text, alternating. The caller frees the
 * arrays with rg_judge_items_free. */
RgJudgeItems rg_judge_items_of(const RgJudgeShare *share);
void rg_judge_items_free(RgJudgeItems *items);

/* The mean probability with which a judge prefers the chosen response. */
RgStatus rg_judge_accuracy(RgJudge *judge, const RgJudgeShare *share, double *accuracy,
                           RgError *error);

#endif
