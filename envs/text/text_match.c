/* SPDX-License-Identifier: MIT */
/* Matching single responses. All that wait for one conversation have the same label, in a queue. */
#include "envs/text/text_match.h"

#include "core/lookup.h"
#include "core/utf8.h"
#include "envs/text/text_formats.h"

#include <stdlib.h>
#include <string.h>

typedef struct Waiting {
    RgTextLine line;
    bool taken;
    int64_t next; /* of its conversation; −1: the last */
} Waiting;

struct RgTextMatch {
    RgLookup *conversations; /* numbers in `queues` */
    struct Queue {
        int64_t first, last; /* in `lines`; first −1: empty */
    } * queues;
    Waiting *lines;
    int64_t queue_count, count, capacity;
};

RgTextMatch *rg_text_match_create(void) {
    RgTextMatch *match = rg_allocate(1, sizeof *match);
    match->conversations = rg_lookup_create();
    return match;
}

void rg_text_match_destroy(RgTextMatch *match) {
    if (!match)
        return;
    for (int64_t i = 0; i < match->count; i++)
        if (!match->lines[i].taken)
            rg_text_line_release(&match->lines[i].line);
    rg_lookup_destroy(match->conversations);
    free(match->queues);
    free(match->lines);
    free(match);
}

/* A text cannot contain a NUL, so that the turns cannot be confused. */
static struct Queue *queue_of(RgTextMatch *match, const RgTextLine *line) {
    RgBuffer key = {0};
    for (int64_t i = 0; i < line->turn_count; i++) {
        char role = (char)('0' + line->turns[i].role);
        rg_buffer_append(&key, &role, 1);
        rg_buffer_append(&key, line->turns[i].text, strlen(line->turns[i].text) + 1);
    }
    int64_t *number = rg_lookup_at(match->conversations, key.bytes, key.size);
    rg_buffer_release(&key);
    if (*number < 0) {
        *number = match->queue_count++;
        match->queues =
            rg_reallocate(match->queues, (size_t)match->queue_count, sizeof *match->queues);
        match->queues[*number] = (struct Queue){-1, -1};
    }
    return &match->queues[*number];
}

static void wait_in(RgTextMatch *match, struct Queue *queue, const RgTextLine *line) {
    if (match->count == match->capacity) {
        match->capacity = match->capacity ? 2 * match->capacity : 256;
        match->lines = rg_reallocate(match->lines, (size_t)match->capacity, sizeof *match->lines);
    }
    RG_ASSERT(match->lines);
    int64_t own = match->count++;
    match->lines[own] = (Waiting){.line = *line, .next = -1};
    if (queue->first < 0)
        queue->first = own;
    else
        match->lines[queue->last].next = own;
    queue->last = own;
}

bool rg_text_match_add(RgTextMatch *match, RgTextLine *line, RgTextLine *pair) {
    struct Queue *queue = queue_of(match, line);
    Waiting *other = queue->first < 0 ? NULL : &match->lines[queue->first];
    bool waits = !other || (other->line.chosen != NULL) == (line->chosen != NULL);
    if (waits) {
        wait_in(match, queue, line);
        *line = (RgTextLine){0};
        return false;
    }
    queue->first = other->next;
    other->taken = true;
    *pair = *line;
    *(line->chosen ? &pair->rejected : &pair->chosen) =
        line->chosen ? other->line.rejected : other->line.chosen;
    other->line.chosen = other->line.rejected = NULL;
    rg_text_line_release(&other->line); /* its turns are those of the pair */
    *line = (RgTextLine){0};
    return true;
}

int64_t rg_text_match_waiting(const RgTextMatch *match, int *first) {
    int64_t count = 0;
    *first = 0;
    for (int64_t i = 0; i < match->count; i++)
        if (!match->lines[i].taken && count++ == 0)
            *first = match->lines[i].line.number;
    return count;
}

void rg_text_match_take(RgTextMatch *match, RgTextLine *lines) {
    for (int64_t i = 0; i < match->count; i++) {
        if (!match->lines[i].taken)
            *lines++ = match->lines[i].line;
        match->lines[i].taken = true;
    }
}
