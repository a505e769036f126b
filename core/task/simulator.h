/* SPDX-License-Identifier: MIT */
/* A simulator: the interface through which policies act in an environment with episodes.
 *
 * An episode is represented as a response, so every algorithm runs on episodes unchanged. Its
 * prompt is one word, the number of its initial condition. Its response has one row per step: the
 * observation and then the action, in 32-bit words. The words are numbers of states and actions in
 * a tabular environment, and the bits of floats in a continuous one. The transitions do not depend
 * on the policy, so the log-probability of an episode is that of its actions.
 *
 * Threads: several episodes may run at once, each on one thread. */
#ifndef RG_CORE_TASK_EPISODES_H
#define RG_CORE_TASK_EPISODES_H

#include "core/task/sequences.h"
#include "core/tensor/random.h"

#include <string.h>

typedef struct RgSimulator {
    int64_t states, actions;                 /* tabular: their numbers; continuous: 0 */
    int64_t observation_words, action_words; /* per step; tabular: 1 and 1 */
    int64_t horizon;                         /* maximum steps of an episode */
    bool may_end;    /* an episode may end before the horizon; if false, one that does has failed */
    double discount; /* γ of returns */

    /* One episode from initial condition `initial`, which draws random numbers from `random` only.
     * `begin` outputs the first observation. `advance` performs an action and outputs the next
     * observation; at the end of the episode it returns false and outputs none. */
    void *(*begin)(void *environment, int32_t initial, RgRandom random, int32_t *observation);
    bool (*advance)(void *episode, const int32_t *action, int32_t *observation);
    void (*end)(void *episode); /* frees the episode */
    void *environment;
} RgSimulator;

static inline int64_t rg_simulator_step_words(const RgSimulator *simulator) {
    return simulator->observation_words + simulator->action_words;
}

/* Number of steps of episode i. */
static inline int64_t rg_episode_steps(const RgSimulator *simulator, const RgSequences *s,
                                       int64_t i) {
    return rg_sequence_response_length(s, i) / rg_simulator_step_words(simulator);
}
/* Whether episode i was cut short: the physics failed, or an action was not a number. */
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

/* Converts between a float of a continuous environment and its word. */
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
