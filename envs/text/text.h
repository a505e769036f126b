/* SPDX-License-Identifier: MIT */
/* The text environment: prompts and responses as text, a judge for gold rewards and another, made
 * of other texts, to see whether a policy only pleases the first.
 *
 * Here is what its files share: text.c has its options and makes sequences and offline pairs of
 * lines, text_files.c reads these, text_judges.c has the judges, text_evaluate.c measures
 * policies. */
#ifndef RG_ENVS_TEXT_TEXT_H
#define RG_ENVS_TEXT_TEXT_H

#include "envs/environment.h"
#include "envs/judges/judge_quality.h"
#include "envs/text/text_data.h"
#include "envs/text/text_layout.h"

extern const RgEnvironmentType rg_environment_text;

/* What supervised training learns; see the option. */
enum { RG_TEXT_DEMONSTRATIONS_CHOSEN, RG_TEXT_DEMONSTRATIONS_CORPUS, RG_TEXT_DEMONSTRATIONS_WHOLE };

typedef struct RgTextOptions {
    const char *data, *train, *test, *tokenizer; /* valid in create only */
    int64_t line_limit;                          /* MiB */
    int format, preference;
    double judge_share, test_share;
    RgOptionPart judge, independent_judge; /* valid in create only */
    int chat_template;
    int64_t prompt_limit;
    int truncation;
    int pairs; /* who wrote the offline responses */
    int64_t pair_count;
    double pair_temperature;
    double label_temperature, label_noise;
    int demonstrations;
    int64_t response_limit; /* tokens */
    RgOptionList stop;      /* texts or ids of tokens; valid in create only */
    int64_t test_prompts;
    double temperature; /* of evaluated responses, as the three below */
    int64_t top_k;
    double top_p;
    double min_p;
    int64_t response_samples;
} RgTextOptions;

/* Responses of one policy to the test prompts, with their rewards [sequences->count] by the judges
 * that give any. */
typedef struct RgTextSamples {
    RgSequences *sequences;
    double *reward, *independent; /* NULL: the judge only compares */
    double *logprob;              /* of the policy that was sampled from */
    RgSamplerDifference difference;
} RgTextSamples;

/* What evaluations ask of the reference policy; holds for one reference and one random stream. */
typedef struct RgTextReference {
    bool known;
    uint64_t parameters_hash;
    RgRandom random;
    RgTextSamples samples;
    double *pair_logprob; /* [test_pairs->count] */
} RgTextReference;

typedef struct RgTextState {
    RgTextOptions options;
    RgTokenizer *tokenizer;
    RgTextLayout *layout;
    int32_t stop_token[RG_LIST_MOST];
    RgStopTokens stop; /* of these */
    RgJudge *judge, *independent;
    /* On all test lines; an accuracy of NaN where the judge only compares: it would have to be paid
     * for. */
    RgJudgeQuality judge_quality, independent_quality;

    RgTextData *train;
    RgSequences *prompts; /* of training */
    RgSequences *demonstrations;
    RgPairs *pairs;           /* of the last prepare */
    int64_t dropped_pairs;    /* of the data set, with a response over the limit */
    int64_t unlabelled_pairs; /* sampled ones that the judge left without a label */
    int64_t useless[RG_TEXT_USELESS], dropped_prompts, truncated_prompts; /* of all files */

    RgSequences *test_prompts;
    RgSequences *test_pairs; /* chosen and rejected of the first lines, in turn */
    RgSequences *chosen;     /* [test_prompts->count] the data's chosen responses */
    double *chosen_reward;   /* of these; NULL: the judge only compares */
    RgTextReference of_reference;
} RgTextState;

/* ---- files ---- */

/* What lines are for. */
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

/* Whether the options that name files go together. */
RgStatus rg_text_files_check(const RgTextOptions *options, RgError *error);
/* The files of the folder, or the parts of one's own, without prompts over the limit; to be
 * released, also where this fails. */
RgStatus rg_text_files_read(RgTextState *state, RgTextFiles *files, RgError *error);
void rg_text_files_release(RgTextFiles *files);
/* A file of the folder, NAME.jsonl, compressed or not. */
RgStatus rg_text_file_read(RgTextState *state, const char *name, RgTextData **data, RgError *error);

/* ---- judges ---- */

RgStatus rg_text_judges_create(RgTextState *state, const RgTextFiles *files, RgRandom random,
                               RgError *error);
/* The judges' quality on the test lines, and the rewards of the chosen responses. */
RgStatus rg_text_judges_measure(RgTextState *state, const RgTextData *test, RgError *error);

/* Rewards of sequences by one of the judges: reward [sequences->count]. */
RgStatus rg_text_rewards(const RgTextState *state, RgJudge *judge, const RgSequences *sequences,
                         double *reward, RgError *error);
/* How a judge that only compares decides between the responses of two, to the same prompts: share
 * of the first, share [first->count], 1, 0 or ½, which it is where the judge leaves it open, too.
 */
RgStatus rg_text_compare(const RgTextState *state, RgJudge *judge, const RgSequences *first,
                         const RgSequences *second, double *share, RgError *error);

/* The task's own: rewards by the first judge; or, where that only compares, its labels: what it
 * says, a coin where that is a tie, and then the noise. See RgTask. */
RgStatus rg_text_judge(void *environment, const RgSequences *sequences, double *reward,
                       RgError *error);
RgStatus rg_text_label(void *environment, const RgSequences *pairs, RgRandom random,
                       uint8_t *preferred, RgError *error);

RgStatus rg_text_use_answers(RgEnvironment *environment, RgJudgeCache *answers, RgError *error);
int rg_text_take_counts(RgEnvironment *environment, RgEnvironmentCount *counts);

/* ---- policies ---- */

RgStatus rg_text_evaluate(RgEnvironment *environment, const RgContender *contender, RgRandom random,
                          RgEvaluation *evaluation, RgError *error);
void rg_text_reference_clear(RgTextReference *of_reference);

#endif
