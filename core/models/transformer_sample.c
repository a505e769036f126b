/* SPDX-License-Identifier: MIT */
/* Sampling from a transformer: which tokens are read when. A fixed number of slots hold unfinished
 * responses. Every step reads one token of each slot and samples the next. When a response ends,
 * its slot takes the next sequence immediately, and the prompts of new sequences are read together
 * with the tokens of the others. Consecutive copies of a prompt share its part of the cache.
 *
 * Random numbers and the decoder's sums belong to one sequence, so the other sequences in the batch
 * do not affect it. */
#include "core/models/transformer_decoder.h"
#include "core/models/transformer_internal.h"
#include "core/policy/token_sampler.h"
#include "core/tensor/parallel.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_SLOTS = 128,
    LEAST_SLOTS = 16,
    PROMPT_ROWS = 256, /* of prompts read in one step; a prompt is always read completely */
};
/* Numbers in the cache of keys and values, unless that leaves too few slots. With small weights the
 * cache should fit near the processor. Large weights are read for as many sequences as possible. */
static const double cache_beside_small = 1 << 21, cache_beside_large = 1 << 28;

/* A prompt in the cache. */
typedef struct Prompt {
    int64_t sequence; /* a sequence with this prompt */
    int64_t users;    /* slots that continue it, plus 1 while more copies may follow */
    bool read;
} Prompt;

typedef struct Slot {
    int64_t sequence; /* −1: free */
    int64_t prompt;
    bool started; /* has a token to be read */
} Slot;

/* A model, and its hidden states. */
typedef struct Reader {
    RgTransformerDecoder *decoder;
    RgReal *hidden;       /* of the wanted rows of a step */
    RgReal *prompt_state; /* [prompt_count, width], hidden state of each prompt's last token */
    RgReal *draw_state;   /* [slot_count, width], the states from which the slots sample */
    RgReal *logits;       /* [slot_count, stride] */
} Reader;

typedef struct Sampler {
    Reader reader[2]; /* the policy, and the partner, if any */
    int readers;
    const RgSequences *prompts;
    const RgSampling *sampling;
    RgRandom random;
    int32_t *tokens;
    int64_t *length;
    double *logprob;
    int64_t width, context, vocabulary;

    Prompt *prompt; /* [prompt_count] */
    Slot *slot;     /* [slot_count] */
    int64_t prompt_count, slot_count;
    int64_t next;        /* next sequence */
    int64_t last_prompt; /* of the sequence before it; −1 at the start */

    RgDecoderRow *rows;
    int64_t row_count;
    int64_t *drawing;      /* [slot_count], the slots that sample in this step */
    RgTokenSampler **draw; /* [threads] */
} Sampler;

/* Maximum number of tokens of the response to prompt i. */
static int64_t room_for(const Sampler *s, int64_t i) {
    int64_t left = s->context - s->prompts->prompt_length[i];
    return left < s->sampling->response_limit ? left : s->sampling->response_limit;
}

static void leave_prompt(Sampler *s, int64_t prompt) {
    if (prompt >= 0)
        s->prompt[prompt].users--;
}

/* The place in the cache for the prompt of sequence i. */
static int64_t prompt_for(Sampler *s, int64_t i) {
    int64_t last = s->last_prompt;
    if (last >= 0 && rg_sequences_same_prompt(s->prompts, s->prompt[last].sequence, i))
        return last;
    leave_prompt(s, last);
    int64_t p = 0;
    while (s->prompt[p].users > 0)
        p++;
    s->prompt[p] = (Prompt){.sequence = i, .users = 1};
    s->last_prompt = p;
    return p;
}

/* Assigns the next sequences to free slots. */
static void admit(Sampler *s) {
    for (int64_t k = 0; k < s->slot_count && s->next < s->prompts->count; k++) {
        if (s->slot[k].sequence >= 0)
            continue;
        while (s->next < s->prompts->count && room_for(s, s->next) <= 0)
            s->length[s->next++] = 0;
        if (s->next == s->prompts->count)
            return;
        int64_t p = prompt_for(s, s->next);
        s->prompt[p].users++;
        s->slot[k] = (Slot){.sequence = s->next, .prompt = p};
        s->length[s->next++] = 0;
    }
}

static void add_slot_rows(Sampler *s) {
    for (int64_t k = 0; k < s->slot_count; k++) {
        const Slot *slot = &s->slot[k];
        if (slot->sequence < 0 || !slot->started)
            continue;
        int64_t done = s->length[slot->sequence];
        int64_t prompt_length = s->prompts->prompt_length[slot->sequence];
        s->rows[s->row_count++] = (RgDecoderRow){
            .token = s->tokens[slot->sequence * s->sampling->response_limit + done - 1],
            .position = prompt_length + done - 1,
            .prompt = slot->prompt,
            .slot = k,
            .prompt_length = prompt_length,
            .wanted = true};
    }
}

/* Adds whole prompts, as long as they fit in the step. */
static void add_prompt_rows(Sampler *s) {
    int64_t room = PROMPT_ROWS;
    for (int64_t p = 0; p < s->prompt_count && room > 0; p++) {
        Prompt *prompt = &s->prompt[p];
        if (prompt->users == 0 || prompt->read)
            continue;
        int64_t length = s->prompts->prompt_length[prompt->sequence];
        if (length > room && room < PROMPT_ROWS)
            continue;
        for (int64_t j = 0; j < length; j++)
            s->rows[s->row_count++] =
                (RgDecoderRow){.token = rg_sequence_prompt(s->prompts, prompt->sequence)[j],
                               .position = j,
                               .prompt = p,
                               .slot = -1,
                               .prompt_length = length,
                               .wanted = j == length - 1};
        prompt->read = true;
        room -= length;
    }
}

/* Collects the slots that sample, with their hidden states: those whose token was read in this
 * step, and new ones whose prompt has been read, in this step or before. */
static int64_t collect_states(Sampler *s, Reader *reader) {
    size_t bytes = sizeof *reader->hidden * (size_t)s->width;
    int64_t wanted = 0, drawing = 0;
    for (int64_t r = 0; r < s->row_count; r++) {
        const RgDecoderRow *row = &s->rows[r];
        if (!row->wanted)
            continue;
        const RgReal *state = reader->hidden + wanted++ * s->width;
        if (row->slot < 0) {
            memcpy(reader->prompt_state + row->prompt * s->width, state, bytes);
        } else {
            s->drawing[drawing] = row->slot;
            memcpy(reader->draw_state + drawing++ * s->width, state, bytes);
        }
    }
    for (int64_t k = 0; k < s->slot_count; k++) {
        const Slot *slot = &s->slot[k];
        if (slot->sequence < 0 || slot->started || !s->prompt[slot->prompt].read)
            continue;
        s->drawing[drawing] = k;
        memcpy(reader->draw_state + drawing++ * s->width,
               reader->prompt_state + slot->prompt * s->width, bytes);
    }
    return drawing;
}

/* Slot drawing[d] samples its next token, from row d of the logits. */
static void draw_token(Sampler *s, int64_t d) {
    Slot *slot = &s->slot[s->drawing[d]];
    int64_t i = slot->sequence, done = s->length[i];
    RgRandom stream = rg_random_at(s->random, (uint64_t)(s->sampling->first + i));
    int64_t row = d * rg_transformer_decoder_stride(s->reader[0].decoder);
    RgReal *logits = s->reader[0].logits + row;
    double logprob;
    if (s->readers == 2)
        rg_sampling_mix(s->sampling, s->reader[1].logits + row, s->vocabulary, logits);
    int32_t token = rg_token_sampler_draw(s->draw[rg_thread_number()], logits,
                                          rg_random_uniform(stream, (uint64_t)done), &logprob);
    s->logprob[i] += logprob;
    s->tokens[i * s->sampling->response_limit + done] = token;
    s->length[i] = done + 1;
    slot->started = true;
}

static bool ended(const Sampler *s, int64_t i) {
    int64_t done = s->length[i];
    int32_t last = s->tokens[i * s->sampling->response_limit + done - 1];
    return rg_sampling_ends(s->sampling, last) || done == room_for(s, i);
}

/* Reads and samples what is pending; false if nothing is left. */
static bool step(Sampler *s) {
    admit(s);
    s->row_count = 0;
    add_slot_rows(s);
    add_prompt_rows(s);
    int64_t drawing = 0;
    for (int m = 0; m < s->readers; m++) {
        Reader *reader = &s->reader[m];
        if (s->row_count > 0)
            rg_transformer_decoder_read(reader->decoder, s->rows, s->row_count, reader->hidden);
        drawing = collect_states(s, reader);
        if (drawing > 0)
            rg_transformer_decoder_logits(reader->decoder, reader->draw_state, drawing,
                                          reader->logits);
    }
    if (drawing == 0)
        return false;
    RG_FOR_TASKS(drawing, drawing > 1, draw_token(s, task));
    for (int64_t d = 0; d < drawing; d++) {
        Slot *slot = &s->slot[s->drawing[d]];
        if (!ended(s, slot->sequence))
            continue;
        leave_prompt(s, slot->prompt);
        slot->sequence = -1;
    }
    return true;
}

static int64_t longest_prompt(const RgSequences *prompts) {
    int64_t longest = 1;
    for (int64_t i = 0; i < prompts->count; i++) {
        RG_ASSERT(prompts->prompt_length[i] > 0);
        if (prompts->prompt_length[i] > longest)
            longest = prompts->prompt_length[i];
    }
    return longest;
}

static int64_t slots_for(const RgTransformerOptions *o, int64_t sequences, int64_t positions) {
    int64_t kv_width = rg_transformer_head_size(o) * o->kv_heads;
    double each = 2.0 * (double)(o->layers * positions * kv_width);
    bool small = rg_transformer_decoder_is_small(o);
    double fit = (small ? cache_beside_small : cache_beside_large) / each;
    int64_t slots = fit < LEAST_SLOTS ? LEAST_SLOTS : fit > MOST_SLOTS ? MOST_SLOTS : (int64_t)fit;
    return sequences < slots ? sequences : slots;
}

RgDecoderRoom rg_transformer_sampling_room(const RgTransformerOptions *o, int64_t sequences,
                                           int64_t longest_prompt, int64_t response_limit) {
    int64_t response = response_limit < o->context ? response_limit : o->context;
    int64_t slots = slots_for(o, sequences, longest_prompt + response);
    return (RgDecoderRoom){.prompts = slots + 1, /* more copies of the last one may follow */
                           .prompt_length = longest_prompt,
                           .slots = slots,
                           .response_length = response,
                           .rows = slots + PROMPT_ROWS + longest_prompt};
}

static void reader_create(Sampler *s, const RgPolicy *policy, RgDecoderRoom room) {
    Reader *reader = &s->reader[s->readers++];
    size_t width = (size_t)s->width, slots = (size_t)room.slots, prompts = (size_t)room.prompts;
    reader->decoder = rg_transformer_decoder_create(policy, room);
    reader->hidden = rg_allocate(width * (slots + prompts), sizeof(RgReal));
    reader->prompt_state = rg_allocate(width * prompts, sizeof(RgReal));
    reader->draw_state = rg_allocate(width * slots, sizeof(RgReal));
    reader->logits = rg_allocate_aligned(sizeof(RgReal) * slots *
                                         (size_t)rg_transformer_decoder_stride(reader->decoder));
}

static void reader_release(Reader *reader) {
    free(reader->logits);
    free(reader->draw_state);
    free(reader->prompt_state);
    free(reader->hidden);
    rg_transformer_decoder_release(reader->decoder);
}

static void sampler_create(Sampler *s, const RgPolicy *policy) {
    const RgTransformerOptions *o = rg_transformer_options(policy);
    int64_t threads = rg_threads();
    RgDecoderRoom room = rg_transformer_sampling_room(
        o, s->prompts->count, longest_prompt(s->prompts), s->sampling->response_limit);
    s->slot_count = room.slots;
    s->prompt_count = room.prompts;
    reader_create(s, policy, room);
    if (s->sampling->partner)
        reader_create(s, s->sampling->partner, room);
    size_t slots = (size_t)s->slot_count;
    s->prompt = rg_allocate(s->prompt_count, sizeof *s->prompt);
    s->slot = rg_allocate(slots, sizeof *s->slot);
    for (int64_t k = 0; k < s->slot_count; k++)
        s->slot[k].sequence = -1;
    s->last_prompt = -1;
    s->rows = rg_allocate(room.rows, sizeof *s->rows);
    s->drawing = rg_allocate(slots, sizeof *s->drawing);
    s->draw = rg_allocate(threads, sizeof(RgTokenSampler *));
    for (int64_t t = 0; t < threads; t++)
        s->draw[t] = rg_token_sampler_create(s->sampling, s->vocabulary);
}

static void sampler_release(Sampler *s) {
    for (int t = 0; t < rg_threads(); t++)
        rg_token_sampler_destroy(s->draw[t]);
    free(s->draw);
    free(s->drawing);
    free(s->rows);
    free(s->slot);
    free(s->prompt);
    for (int m = 0; m < s->readers; m++)
        reader_release(&s->reader[m]);
}

double rg_transformer_sample(RgPolicy *policy, const RgSequences *prompts,
                             const RgSampling *sampling, RgRandom random, int32_t *tokens,
                             int64_t *length, double *logprob) {
    if (prompts->count == 0)
        return 0;
    memset(logprob, 0, sizeof *logprob * (size_t)prompts->count);
    const RgTransformerOptions *o = rg_transformer_options(policy);
    Sampler s = {.prompts = prompts,
                 .sampling = sampling,
                 .random = random,
                 .tokens = tokens,
                 .length = length,
                 .logprob = logprob,
                 .width = o->width,
                 .context = o->context,
                 .vocabulary = rg_transformer_vocabulary(policy)};
    sampler_create(&s, policy);
    while (step(&s))
        ;
    double flops = 0;
    for (int m = 0; m < s.readers; m++)
        flops += rg_transformer_decoder_flops(s.reader[m].decoder);
    sampler_release(&s);
    return flops;
}
