/* SPDX-License-Identifier: MIT */
/* A task: the prompts, pairs and judge that an environment provides to an algorithm.
 *
 * Algorithms see an environment only through this struct. All members are borrowed and outlive the
 * trial.
 *
 * Threads: one at a time. A judge may use threads of its own. */
#ifndef RG_CORE_TASK_TASK_H
#define RG_CORE_TASK_TASK_H

#include "core/process_group.h"
#include "core/task/bilevel.h"
#include "core/task/mdp.h"
#include "core/task/simulator.h"
#include "core/tensor/random.h"

/* As expected_pairs: there will be none. */
enum { RG_NO_PAIRS = -1 };

typedef struct RgTask {
    const RgSequences *prompts; /* training prompts, with empty responses */
    const RgPairs *pairs;       /* offline preference data */
    /* Offline responses with labels of their own, for methods that take single responses. NULL: both
     * responses of each of the pairs. */
    const RgSingles *singles;
    /* For enumerated tasks, or NULL: [contexts, responses, responses] share of the data set's pairs
     * in which the first was preferred to the second, summing to 1, where it is known exactly. NULL:
     * it is counted from the pairs. */
    const double *pair_shares;
    const RgSequences *demonstrations; /* for supervised training */
    int64_t expected_pairs;            /* upper bound of the pairs to be prepared; 0: unknown */
    int64_t expected_singles;   /* the same of `singles`; 0: there will be none but the pairs' */
    int64_t expected_desirable; /* how many of them are, before label_noise */
    int64_t test_prompts;       /* prompts of an evaluation; 0: unknown */
    /* The environment has not been prepared: pairs, and demonstrations taken from them, may be
     * missing yet. */
    bool pending;
    int64_t response_limit; /* maximum tokens of a sampled response */
    int64_t tokens; /* token ids allowed in responses, 0 … tokens − 1; 0: all of the policy's */
    int32_t end_token;            /* ends a response; −1: none */
    RgStopTokens stop;            /* further tokens that end sampled responses */
    const RgSimulator *simulator; /* environments with episodes, else NULL */
    const RgMdp *mdp;             /* environments with a known tabular MDP, else NULL */
    const RgBilevelTask *bilevel; /* another bilevel problem that is known exactly, else NULL */

    /* The judge's reward of each response: reward [sequences->count]. Deterministic. An external
     * judge may fail; the error gives the reason. NULL: the judge only compares, and `label` is
     * set. */
    RgStatus (*judge)(void *environment, const RgSequences *sequences, double *reward,
                      RgError *error);
    void *environment;

    /* How the judge labels a pair: Bradley-Terry, P(a preferred) = σ((r_a − r_b) / temperature),
     * then flipped with probability label_noise. Temperature 0 prefers the larger reward. */
    double label_temperature;
    double label_noise;

    /* Labels pairs in another way, else NULL: as rg_task_label, with the same random numbers, but
     * pairs may also be RG_UNLABELLED. */
    RgStatus (*label)(void *environment, const RgSequences *sequences, RgRandom random,
                      uint8_t *preferred, RgError *error);
    /* For enumerated tasks whose judge only compares, or NULL: [contexts, responses, responses]
     * probability that a label prefers the first response to the second. */
    const double *preference;
    bool skips; /* the judge of a task without rewards may leave pairs unlabelled */

    /* The process group that runs the trial, or NULL. All ranks call the functions below for
     * rewards and labels; only rank 0 queries the judge. */
    RgProcessGroup *process_group;
} RgTask;

/* Whether there are offline pairs; while the task is pending, whether there may be. */
bool rg_task_has_pairs(const RgTask *task);
/* The same of single responses with labels, the pairs' included. */
bool rg_task_has_singles(const RgTask *task);

/* The judge's rewards, for a task that has a judge: reward [sequences->count]. */
RgStatus rg_task_judge(const RgTask *task, const RgSequences *sequences, double *reward,
                       RgError *error);

/* Probability that the judge prefers a response of reward `a` to one of reward `b`. */
double rg_preference_probability(const RgTask *task, double a, double b);

/* Labels the pairs (2i, 2i+1) of `sequences` by the judge: preferred [sequences->count / 2] is 0, 1
 * or, if the task has a `label` function, possibly RG_UNLABELLED. Counts as sequences->count judge
 * queries. Uses one uniform number of `random` per pair. Returns the judge's failure, if any. */
RgStatus rg_task_label(const RgTask *task, const RgSequences *sequences, RgRandom random,
                       uint8_t *preferred, RgError *error);
/* The same labels from known rewards [2·pairs], for a task without a `label` function. */
void rg_task_label_rewards(const RgTask *task, const double *reward, int64_t pairs, RgRandom random,
                           uint8_t *preferred);

#endif
