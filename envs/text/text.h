/* SPDX-License-Identifier: MIT */
/* The text environment: prompts and responses as text, a judge for gold rewards, and a second judge
 * on other texts, which shows whether a policy over-optimises the first.
 *
 * This header is shared by its files: text.c has the options and makes sequences and offline pairs
 * from lines, text_files.c reads lines, text_judges.c has the judges, text_evaluate.c evaluates
 * policies. */
#ifndef RG_ENVS_TEXT_TEXT_H
#define RG_ENVS_TEXT_TEXT_H

#include "core/lookup.h"
#include "envs/environment.h"
#include "envs/judges/judge_quality.h"
#include "envs/text/text_data.h"
#include "envs/text_layout.h"

extern const RgEnvironmentType rg_environment_text;

/* An unusable line is left out, or ends the program. */
enum { RG_TEXT_UNUSABLE_SKIP, RG_TEXT_UNUSABLE_STOP };

/* Single responses are read if they have a counterpart, as a pair; or all of them. */
enum { RG_TEXT_UNPAIRED_MATCHED, RG_TEXT_UNPAIRED_ALL };

/* Texts for supervised training; see the option. */
enum { RG_TEXT_DEMONSTRATIONS_CHOSEN, RG_TEXT_DEMONSTRATIONS_CORPUS, RG_TEXT_DEMONSTRATIONS_WHOLE };

typedef struct RgTextOptions {
    const char *data, *train, *test, *tokenizer, *chat_template_file; /* valid in create only */
    int64_t line_limit;                                               /* MiB */
    int format, preference;
    const char *column[RG_TEXT_COLUMNS]; /* names of members; valid in create only */
    int unusable;                        /* what an unusable line leads to */
    int unpaired;                        /* which single responses are read */
    double judge_share, test_share;
    RgOptionPart judge, independent_judge; /* valid in create only */
    int chat_template;
    int64_t prompt_limit;
    int truncation;
    int pairs; /* source of the offline responses */
    int64_t pair_count;
    double pair_temperature;
    double label_temperature, label_noise;
    int demonstrations;
    int64_t response_limit; /* tokens */
    RgOptionList stop;      /* texts or ids of tokens; valid in create only */
    int64_t test_prompts, test_pairs;
    double temperature; /* of evaluated responses, like the three options below */
    int64_t top_k;
    double top_p;
    double min_p;
    int64_t response_samples;
} RgTextOptions;

/* Responses of one policy to the test prompts, with rewards [sequences->count] of the judges that
 * give rewards. */
typedef struct RgTextSamples {
    RgSequences *sequences;
    double *reward, *independent; /* NULL: the judge only compares */
    double *logprob;              /* under the sampling policy */
    RgSamplerDifference difference;
} RgTextSamples;

/* Results of the reference policy for evaluations; valid for one reference and random stream. */
typedef struct RgTextReference {
    bool known;
    uint64_t parameters_hash;
    RgRandom random;
    RgTextSamples samples;
    double *pair_logprob; /* [pairs] */
    int64_t pairs;        /* of test_pairs->count then */
} RgTextReference;

typedef struct RgTextState {
    RgTextOptions options;
    RgTokenizer *tokenizer;
    RgTextLayout *layout;
    int32_t stop_token[RG_LIST_MOST];
    RgStopTokens stop; /* of these */
    RgJudge *judge, *independent;
    /* On all test lines. The accuracy is NaN if the judge only compares: it would cost requests. */
    RgJudgeQuality judge_quality, independent_quality;

    /* For judges that read turns: all conversations, by the tokens of their prompts, and the test lines
     * that they are borrowed from, besides `train`. */
    RgLookup *conversation_of; /* numbers of `conversations`; NULL: no judge reads turns */
    RgConversation *conversations;
    RgTextData *test;

    RgTextData *train;
    RgSequences *prompts; /* of training */
    RgSequences *demonstrations;
    RgPairs *pairs;           /* of the last prepare */
    RgSingles *singles;       /* likewise; NULL: only matched ones are read */
    int64_t dropped_pairs;    /* of the data set, with a response over the limit */
    int64_t dropped_singles;  /* single responses over the limit */
    int64_t unlabelled_pairs; /* sampled ones that the judge left unlabelled */
    int64_t left_out[RG_TEXT_REASONS], dropped_prompts, truncated_prompts; /* of all files */

    RgSequences *test_prompts;
    RgSequences *test_pairs; /* chosen and rejected of the first lines, alternating; none where all
                              * responses are single */
    RgSequences *chosen;     /* [test_prompts->count] the data's chosen responses */
    double *chosen_reward;   /* of these; NULL: the judge only compares, or is external and was not
                              * asked yet */
    RgTextReference of_reference;
    double pair_seconds; /* spent on log-probabilities of test pairs so far */
} RgTextState;

/* ---- files ---- */

/* Uses of lines. */
typedef enum RgTextPart {
    RG_TEXT_PART_TEST,
    RG_TEXT_PART_JUDGE,
    RG_TEXT_PART_INDEPENDENT,
    RG_TEXT_PART_TRAIN,
    RG_TEXT_PARTS
} RgTextPart;

typedef struct RgTextFiles {
    RgTextData *part[RG_TEXT_PARTS];
} RgTextFiles;

/* Check that the options that name files are consistent; else RG_E_USAGE. */
RgStatus rg_text_files_check(const RgTextOptions *options, RgError *error);
/* Read the files of the folder, or split the user's own, without prompts over the limit. The caller
 * releases the files, also after an error. */
RgStatus rg_text_files_read(RgTextState *state, RgTextFiles *files, RgError *error);
void rg_text_files_release(RgTextFiles *files);
/* The error about a part of the user's own file that has no line: RG_E_USAGE. Judges that learn
 * nothing need none. */
RgStatus rg_text_nothing_left(const RgTextOptions *options, RgTextPart part, RgError *error);
/* Read a file of the folder, NAME.jsonl, compressed or not. */
RgStatus rg_text_file_read(RgTextState *state, const char *name, RgTextData **data, RgError *error);

/* ---- judges ---- */

RgStatus rg_text_judges_create(RgTextState *state, const RgTextFiles *files, RgRandom random,
                               RgError *error);
/* If one of them lays out conversations itself, make `conversations` from the lines of training and
 * test, which have to stay. RG_E_FORMAT, with file and line, if there is one that it cannot read. */
RgStatus rg_text_judges_learn_turns(RgTextState *state, const RgTextFiles *files, RgError *error);
/* The judges' quality on the test lines, and the rewards of the chosen responses. */
/* Asks an external judge for the rewards of the written chosen responses, once. */
RgStatus rg_text_reward_chosen(RgTextState *state, RgError *error);
RgStatus rg_text_judges_measure(RgTextState *state, const RgTextData *test, RgError *error);

/* Rewards of sequences by one of the judges: reward [sequences->count]. */
RgStatus rg_text_rewards(const RgTextState *state, RgJudge *judge, const RgSequences *sequences,
                         double *reward, RgError *error);
/* Compare the responses of two policies to the same prompts by a judge that only compares: share
 * [first->count] of the first policy's: 1, 0 or ½; ½ also without a verdict. */
RgStatus rg_text_compare(const RgTextState *state, RgJudge *judge, const RgSequences *first,
                         const RgSequences *second, double *share, RgError *error);

/* Functions of the task: rewards by the first judge; if it only compares, its labels, with a coin
 * flip for a tie, then label noise. See RgTask. */
RgStatus rg_text_judge(void *environment, const RgSequences *sequences, double *reward,
                       RgError *error);
RgStatus rg_text_label(void *environment, const RgSequences *pairs, RgRandom random,
                       uint8_t *preferred, RgError *error);

RgStatus rg_text_use_answers(RgEnvironment *environment, RgJudgeCache *answers, RgError *error);
int rg_text_take_counts(RgEnvironment *environment, RgEnvironmentCount *counts);
RgStatus rg_text_save(RgEnvironment *environment, RgError *error);

/* ---- policies ---- */

RgStatus rg_text_evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                          RgEvaluation *evaluation, RgError *error);
void rg_text_reference_clear(RgTextReference *of_reference);

#endif
