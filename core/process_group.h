/* SPDX-License-Identifier: MIT */
/* A process group: processes (ranks) that run one trial together. Every rank does the cheap work
 * itself, as a single process would, and its share of the expensive work. Then the ranks exchange
 * their results.
 *
 * The transport is not part of this file: the creator of a group supplies one exchange function
 * (experiments/program/run/mpi.h does so with MPI). All ranks call the functions below in the same
 * order. NULL is a group of one process, for which they do nothing.
 *
 * Threads: one thread of a process uses its group. */
#ifndef RG_CORE_PROCESS_GROUP_H
#define RG_CORE_PROCESS_GROUP_H

#include "core/base.h"

/* Memory to receive into. */
typedef struct RgBlock {
    void *data;
    size_t size;
} RgBlock;

enum {
    RG_PROCESS_GROUP_BLOCK = 1 << 22
}; /* bytes: the most that passes between two ranks at a time */

typedef struct RgProcessGroup RgProcessGroup;
struct RgProcessGroup {
    int rank, size;
    /* All-to-all exchange: sends out[q] to every other rank q and receives in[q] from it, both
     * [size]. in[q] has the size that q sends. A size of 0 sends nothing. Returns when all
     * transfers are done. */
    void (*swap)(RgProcessGroup *process_group, const RgBytes *out, const RgBlock *in);
    void *context; /* for `swap` */
};

static inline int rg_process_group_size(const RgProcessGroup *process_group) {
    return process_group ? process_group->size : 1;
}

static inline int rg_process_group_rank(const RgProcessGroup *process_group) {
    return process_group ? process_group->rank : 0;
}

/* Whether this is rank 0, the only rank that queries judges, writes and decides. */
static inline bool rg_process_group_leads(const RgProcessGroup *process_group) {
    return rg_process_group_rank(process_group) == 0;
}

/* Broadcasts rank 0's `bytes`. */
void rg_process_group_broadcast(RgProcessGroup *process_group, void *bytes, size_t size);

/* All-gather. Rank q has computed the bytes start[q] … start[q + 1] − 1 of `whole`; afterwards
 * every rank has the whole array. start [size + 1]. */
void rg_process_group_gather_parts(RgProcessGroup *process_group, void *whole, const size_t *start);
/* The same with `each` bytes from every rank: whole [size · each]. */
void rg_process_group_gather(RgProcessGroup *process_group, void *whole, size_t each);

/* Logical AND over ranks. */
bool rg_process_group_all(RgProcessGroup *process_group, bool mine);

/* Every rank returns the failure of the lowest failing rank, with its message. */
RgStatus rg_process_group_reduce_status(RgProcessGroup *process_group, RgStatus status,
                                        RgError *error);

/* Broadcasts rank 0's status and message. */
RgStatus rg_process_group_broadcast_status(RgProcessGroup *process_group, RgStatus status,
                                           RgError *error);

#endif
