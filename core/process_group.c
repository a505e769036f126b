/* SPDX-License-Identifier: MIT */
/* The exchanges between the ranks of a process group, all based on one all-to-all exchange of
 * blocks. */
#include "core/process_group.h"

#include <stdlib.h>
#include <string.h>

/* The blocks of an exchange, [size] each. */
typedef struct Swap {
    RgBytes *out;
    RgBlock *in;
} Swap;

static Swap swap_begin(const RgProcessGroup *process_group) {
    size_t size = (size_t)process_group->size;
    return (Swap){rg_allocate(size, sizeof(RgBytes)), rg_allocate(size, sizeof(RgBlock))};
}

static void swap_end(RgProcessGroup *process_group, Swap *swap) {
    process_group->swap(process_group, swap->out, swap->in);
    free(swap->out);
    free(swap->in);
}

static size_t at_most(size_t size, size_t most) {
    return size < most ? size : most;
}

static void broadcast_block(RgProcessGroup *process_group, void *bytes, size_t size) {
    Swap swap = swap_begin(process_group);
    for (int q = 1; q < process_group->size && process_group->rank == 0; q++)
        swap.out[q] = (RgBytes){bytes, size};
    if (process_group->rank > 0)
        swap.in[0] = (RgBlock){bytes, size};
    swap_end(process_group, &swap);
}

void rg_process_group_broadcast(RgProcessGroup *process_group, void *bytes, size_t size) {
    if (rg_process_group_size(process_group) == 1)
        return;
    for (size_t at = 0; at < size; at += RG_PROCESS_GROUP_BLOCK)
        broadcast_block(process_group, (char *)bytes + at,
                        at_most(size - at, RG_PROCESS_GROUP_BLOCK));
}

/* Gathers the next block of each rank's part, from its byte `at` on. Returns whether there were
 * any. */
static bool gather_blocks(RgProcessGroup *process_group, char *whole, const size_t *start,
                          size_t at) {
    Swap swap = swap_begin(process_group);
    bool any = false;
    for (int q = 0; q < process_group->size; q++) {
        size_t size = start[q + 1] - start[q];
        size = size > at ? at_most(size - at, RG_PROCESS_GROUP_BLOCK) : 0;
        any = any || size > 0;
        swap.in[q] = (RgBlock){whole + start[q] + (size ? at : 0), size};
    }
    for (int q = 0; q < process_group->size; q++)
        swap.out[q] =
            (RgBytes){swap.in[process_group->rank].data, swap.in[process_group->rank].size};
    swap_end(process_group, &swap);
    return any;
}

void rg_process_group_gather_parts(RgProcessGroup *process_group, void *whole,
                                   const size_t *start) {
    if (rg_process_group_size(process_group) == 1)
        return;
    for (size_t at = 0; gather_blocks(process_group, whole, start, at);
         at += RG_PROCESS_GROUP_BLOCK)
        ;
}

void rg_process_group_gather(RgProcessGroup *process_group, void *whole, size_t each) {
    int size = rg_process_group_size(process_group);
    size_t *start = rg_allocate(size + 1, sizeof *start);
    for (int q = 0; q < size; q++)
        start[q + 1] = start[q] + each;
    rg_process_group_gather_parts(process_group, whole, start);
    free(start);
}

bool rg_process_group_all(RgProcessGroup *process_group, bool mine) {
    int size = rg_process_group_size(process_group);
    bool *flags = rg_allocate(size, sizeof *flags), all = true;
    flags[rg_process_group_rank(process_group)] = mine;
    rg_process_group_gather(process_group, flags, sizeof *flags);
    for (int q = 0; q < size; q++)
        all = all && flags[q];
    free(flags);
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

RgStatus rg_process_group_reduce_status(RgProcessGroup *process_group, RgStatus status,
                                        RgError *error) {
    int size = rg_process_group_size(process_group);
    if (size == 1 || rg_process_group_all(process_group, status == RG_OK))
        return status;
    Outcome *all = rg_allocate(size, sizeof *all), *first = all;
    all[process_group->rank] = outcome_of(status, error);
    rg_process_group_gather(process_group, all, sizeof *all);
    while (first->status == RG_OK)
        first++;
    status = rg_fail(error, first->status, "%s", first->error.text);
    free(all);
    return status;
}

RgStatus rg_process_group_broadcast_status(RgProcessGroup *process_group, RgStatus status,
                                           RgError *error) {
    if (rg_process_group_size(process_group) == 1)
        return status;
    Outcome outcome = outcome_of(status, error);
    rg_process_group_broadcast(process_group, &outcome, sizeof outcome);
    return outcome.status == RG_OK ? RG_OK
                                   : rg_fail(error, outcome.status, "%s", outcome.error.text);
}
