/* Comparisons by an outside judge. Judges prefer what they read first, or last: each pair is asked
 * in both orders, and only where both answers name the same response is it the better one.
 *
 * An answer is read by a pattern: what it matches is A, B, or C for a tie. */
#ifndef RG_ENVS_JUDGE_EXTERNAL_H
#define RG_ENVS_JUDGE_EXTERNAL_H

#include "envs/asking.h"

/* How an answer is read where nothing else is asked for: a line that is the letter, maybe after
 * "Answer", and nothing else. */
#define RG_EXTERNAL_ANSWER "^\\W*(?:answer)?\\W*\\K[AB](?=\\W*$)"

typedef enum RgVerdict {
    RG_VERDICT_FIRST,
    RG_VERDICT_SECOND,
    RG_VERDICT_TIE,
    RG_VERDICT_NONE, /* it is not known, and not to be guessed */
} RgVerdict;

/* What is made of two answers that contradict each other: a tie, no verdict, or what the judge says
 * when it reads the first response first. */
typedef enum RgDisagreement {
    RG_DISAGREEMENT_TIE,
    RG_DISAGREEMENT_SKIP,
    RG_DISAGREEMENT_FIRST
} RgDisagreement;
extern const char *const rg_disagreements[]; /* tie, skip, first_asked */

/* What is done about a question that stays without an answer, or whose answer says neither. */
typedef enum RgAnswerFailure { RG_FAILURE_STOP, RG_FAILURE_TIE, RG_FAILURE_SKIP } RgAnswerFailure;
extern const char *const rg_answer_failures[]; /* stop, tie, skip */

typedef struct RgExternalOptions {
    const char *answer; /* pattern; the case of letters does not matter */
    int on_disagreement, on_failure;
    int64_t parallel, retries, budget; /* see RgAskingOptions */
    double backoff;
} RgExternalOptions;

typedef struct RgExternal RgExternal;

/* The asker is owned, also where this fails: RG_E_USAGE, with the option's name. */
RgStatus rg_external_create(RgAsker *asker, const RgExternalOptions *options, RgExternal **external,
                            RgError *error);
void rg_external_destroy(RgExternal *external);
RgStatus rg_external_use_shelf(RgExternal *external, RgAnswerShelf *shelf, RgError *error);

/* verdicts [count] on pairs [count], all or none. Equal texts are a tie, which nobody is asked
 * about. Errors as rg_asking_ask has them; RG_E_JUDGE also for an answer that says neither, where
 * failures stop. */
RgStatus rg_external_compare(RgExternal *external, const RgQuestion *pairs, int64_t count,
                             RgVerdict *verdicts, RgError *error);

/* What comparisons have come to since the counts were last taken, as metrics by name. */
typedef struct RgExternalCount {
    const char *name;
    double value;
} RgExternalCount;
enum { RG_EXTERNAL_COUNTS = 17 };
void rg_external_take_counts(RgExternal *external, RgExternalCount counts[RG_EXTERNAL_COUNTS]);

#endif
