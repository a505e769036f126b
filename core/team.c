/* SPDX-License-Identifier: MIT */
/* Exchanges between the ranks of a team, all made of one: a block for each, a block from each. */
#include "core/team.h"

#include <stdlib.h>
#include <string.h>

/* Blocks of a swap, [size] each. */
typedef struct Swap {
    RgBytes *out;
    RgBlock *in;
} Swap;

static Swap swap_begin(const RgTeam *team) {
    size_t size = (size_t)team->size;
    return (Swap){rg_allocate(size, sizeof(RgBytes)), rg_allocate(size, sizeof(RgBlock))};
}

static void swap_end(RgTeam *team, Swap *swap) {
    team->swap(team, swap->out, swap->in);
    free(swap->out);
    free(swap->in);
}

static size_t at_most(size_t size, size_t most) {
    return size < most ? size : most;
}

static void broadcast_block(RgTeam *team, void *bytes, size_t size) {
    Swap swap = swap_begin(team);
    for (int q = 1; q < team->size && team->rank == 0; q++)
        swap.out[q] = (RgBytes){bytes, size};
    if (team->rank > 0)
        swap.in[0] = (RgBlock){bytes, size};
    swap_end(team, &swap);
}

void rg_team_broadcast(RgTeam *team, void *bytes, size_t size) {
    if (rg_team_size(team) == 1)
        return;
    for (size_t at = 0; at < size; at += RG_TEAM_BLOCK)
        broadcast_block(team, (char *)bytes + at, at_most(size - at, RG_TEAM_BLOCK));
}

/* The next block of each rank's part, from byte `at` of it on. Returns whether there were any. */
static bool gather_blocks(RgTeam *team, char *whole, const size_t *start, size_t at) {
    Swap swap = swap_begin(team);
    bool any = false;
    for (int q = 0; q < team->size; q++) {
        size_t size = start[q + 1] - start[q];
        size = size > at ? at_most(size - at, RG_TEAM_BLOCK) : 0;
        any = any || size > 0;
        swap.in[q] = (RgBlock){whole + start[q] + (size ? at : 0), size};
    }
    for (int q = 0; q < team->size; q++)
        swap.out[q] = (RgBytes){swap.in[team->rank].data, swap.in[team->rank].size};
    swap_end(team, &swap);
    return any;
}

void rg_team_gather_parts(RgTeam *team, void *whole, const size_t *start) {
    if (rg_team_size(team) == 1)
        return;
    for (size_t at = 0; gather_blocks(team, whole, start, at); at += RG_TEAM_BLOCK)
        ;
}

void rg_team_gather(RgTeam *team, void *whole, size_t each) {
    int size = rg_team_size(team);
    size_t *start = rg_allocate(size + 1, sizeof *start);
    for (int q = 0; q < size; q++)
        start[q + 1] = start[q] + each;
    rg_team_gather_parts(team, whole, start);
    free(start);
}

bool rg_team_all(RgTeam *team, bool mine) {
    int size = rg_team_size(team);
    bool *said = rg_allocate(size, sizeof *said), all = true;
    said[rg_team_rank(team)] = mine;
    rg_team_gather(team, said, sizeof *said);
    for (int q = 0; q < size; q++)
        all = all && said[q];
    free(said);
    return all;
}

/* ---- statuses ---- */

typedef struct Outcome {
    RgStatus status;
    RgError error;
} Outcome;

static Outcome outcome_of(RgStatus status, const RgError *error) {
    Outcome outcome = {.status = status};
    if (status != RG_OK && error)
        outcome.error = *error;
    return outcome;
}

RgStatus rg_team_agree(RgTeam *team, RgStatus status, RgError *error) {
    int size = rg_team_size(team);
    if (size == 1 || rg_team_all(team, status == RG_OK))
        return status;
    Outcome *all = rg_allocate(size, sizeof *all), *first = all;
    all[team->rank] = outcome_of(status, error);
    rg_team_gather(team, all, sizeof *all);
    while (first->status == RG_OK)
        first++;
    status = rg_fail(error, first->status, "%s", first->error.text);
    free(all);
    return status;
}

RgStatus rg_team_follow(RgTeam *team, RgStatus status, RgError *error) {
    if (rg_team_size(team) == 1)
        return status;
    Outcome outcome = outcome_of(status, error);
    rg_team_broadcast(team, &outcome, sizeof outcome);
    return outcome.status == RG_OK ? RG_OK
                                   : rg_fail(error, outcome.status, "%s", outcome.error.text);
}
