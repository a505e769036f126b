/* SPDX-License-Identifier: MIT */
/* Decision processes, as the policies that act in them see them: an environment lends one.
 *
 * An episode is a response like any other, so that every algorithm runs on episodes unchanged. Its
 * prompt is one word, the number of its initial condition. Its response is one row per step, what
 * was observed and then what was done, in words of 32 bits: numbers of states and actions where the
 * process is tabular, the bits of floats where it is continuous. The transitions do not depend on
 * the policy, so that the log-probability of an episode is that of its actions. */
#ifndef RG_CORE_TASK_EPISODES_H
#define RG_CORE_TASK_EPISODES_H

#include "core/task/sequences.h"
#include "core/tensor/random.h"

#include <string.h>

typedef struct RgSimulator {
    int64_t states, actions;                 /* tabular: how many there are; continuous: 0 */
    int64_t observation_words, action_words; /* of a step; tabular: 1 and 1 */
    int64_t horizon;                         /* most steps of an episode */
    bool may_end;    /* before the horizon; where not, an episode that does has failed */
    double discount; /* γ of returns */

    /* One episode from initial condition `initial`, with the numbers of `random` alone; `begin`
     * gives what is observed first. `advance` acts, gives what is observed next, and returns false
     * when the episode is over (nothing is observed then). Several episodes may run on several
     * threads. */
    void *(*begin)(void *environment, int32_t initial, RgRandom random, int32_t *observation);
    bool (*advance)(void *episode, const int32_t *action, int32_t *observation);
    void (*end)(void *episode); /* frees it */
    void *environment;
} RgSimulator;

static inline int64_t rg_simulator_step_words(const RgSimulator *simulator) {
    return simulator->observation_words + simulator->action_words;
}

/* Steps of episode i, and the words of one of them. */
static inline int64_t rg_episode_steps(const RgSimulator *simulator, const RgSequences *s,
                                       int64_t i) {
    return rg_sequence_response_length(s, i) / rg_simulator_step_words(simulator);
}
/* Whether episode i broke off: the physics failed, or an action was not a number. */
static inline bool rg_episode_failed(const RgSimulator *simulator, const RgSequences *s,
                                     int64_t i) {
    return !simulator->may_end && rg_episode_steps(simulator, s, i) < simulator->horizon;
}
static inline const int32_t *rg_episode_observation(const RgSimulator *simulator,
                                                    const RgSequences *s, int64_t i, int64_t step) {
    return rg_sequence_response(s, i) + step * rg_simulator_step_words(simulator);
}
static inline const int32_t *rg_episode_action(const RgSimulator *simulator, const RgSequences *s,
                                               int64_t i, int64_t step) {
    return rg_episode_observation(simulator, s, i, step) + simulator->observation_words;
}

/* A word as a continuous process has it. */
static inline float rg_word_float(int32_t word) {
    float number;
    memcpy(&number, &word, sizeof number);
    return number;
}
static inline int32_t rg_float_word(float number) {
    int32_t word;
    memcpy(&word, &number, sizeof word);
    return word;
}

#endif
