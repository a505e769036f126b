/* SPDX-License-Identifier: MIT */
/* The loop between policies and simulators. */
#include "core/policy/trajectory.h"

#include "core/tensor/parallel.h"

/* Writes one episode into words [response_limit]. Returns the number of words. */
static int64_t run_episode(const RgPolicy *policy, const RgActor *actor, void *room,
                           int32_t initial, int64_t limit, RgRandom random, int32_t *words,
                           double *logprob) {
    const RgSimulator *d = actor->simulator;
    RgRandom actions = rg_random_named(random, "actions");
    int64_t step_words = rg_simulator_step_words(d), most = limit / step_words;
    if (most > d->horizon)
        most = d->horizon;
    void *episode =
        d->begin(d->environment, initial, rg_random_named(random, "transitions"), words);
    int64_t step = 0;
    *logprob = 0;
    for (bool going = true; going; step++) {
        int32_t *row = words + step * step_words, *action = row + d->observation_words;
        *logprob += actor->act(policy, room, row, rg_random_at(actions, (uint64_t)step), action);
        /* after the last step there is no space for another observation */
        going = step + 1 < most && d->advance(episode, action, row + step_words);
    }
    d->end(episode);
    return step * step_words;
}

double rg_trajectory_sample(const RgPolicy *policy, const RgActor *actor,
                            const RgSequences *prompts, const RgSampling *sampling, RgRandom random,
                            int32_t *tokens, int64_t *length, double *logprob) {
    int64_t limit = sampling->response_limit, count = prompts->count;
    RG_ASSERT(actor->simulator && limit >= rg_simulator_step_words(actor->simulator));
    RG_FOR_PIECES(count, rg_pieces(count, 1), {
        void *room = actor->begin ? actor->begin(policy, sampling) : NULL;
        for (int64_t i = first; i < last; i++)
            length[i] = run_episode(policy, actor, room, *rg_sequence_prompt(prompts, i), limit,
                                    rg_random_at(random, (uint64_t)(sampling->first + i)),
                                    tokens + i * limit, &logprob[i]);
        if (actor->end)
            actor->end(room);
    });
    double steps = 0;
    for (int64_t i = 0; i < count; i++)
        steps += (double)(length[i] / rg_simulator_step_words(actor->simulator));
    return steps * actor->step_flops;
}

int64_t *rg_trajectory_offsets(RgTape *tape, const RgSequences *s, int64_t step_words) {
    int64_t *offsets = RG_ARENA_ARRAY(rg_tape_arena(tape), int64_t, s->count + 1);
    offsets[0] = 0;
    for (int64_t i = 0; i < s->count; i++)
        offsets[i + 1] = offsets[i] + rg_sequence_response_length(s, i) / step_words;
    return offsets;
}
