/* SPDX-License-Identifier: MIT */
/* The language environment: sentences of a language that is small enough to enumerate, with a
 * reward that is a function of the sentence. The task is one of tokens, and its only prompt stands
 * for the start of a sentence. Every metric is a sum over all sentences, for any kind of policy
 * over tokens. This header is for tests and programs that need the sentences; algorithms see only
 * the task. */
#ifndef RG_ENVS_LANGUAGE_LANGUAGE_H
#define RG_ENVS_LANGUAGE_LANGUAGE_H

#include "envs/environment.h"
#include "envs/language/language_file.h"
#include "envs/language/language_metrics.h"

extern const RgEnvironmentType rg_environment_language;

/* All borrowed from the environment. Sentence i is number i in the order of a dictionary. */
typedef struct RgLanguageView {
    const RgLanguage *language;
    const RgSequences *sentences; /* all of them, after the prompt */
    const double *reward;   /* the judge's, with its error (judge_error); [sentences->count] */
    const RgLevels *levels; /* of these */
} RgLanguageView;
RgLanguageView rg_language_view(const RgEnvironment *environment);

/* Number of a sentence of the language [length]. */
int64_t rg_language_number(const RgLanguage *language, const int32_t *sentence);

/* log π of all sentences: logprob [sentences->count], normalised in double. */
void rg_language_table(const RgEnvironment *environment, RgPolicy *policy, double *logprob);

#endif
