/* SPDX-License-Identifier: MIT */
/* A process group: processes, its ranks, that run one trial together. Each does all that is cheap
 * as one process would, and its share of what is not; then they exchange what they have made.
 *
 * How bytes pass between them is not known here: whoever makes a process group gives it one
 * function (experiments/program/run/mpi.h does so by MPI). All ranks call the functions below in
 * the same order. NULL is a group of one, which has nobody to exchange anything with: there they do
 * nothing.
 */
#ifndef RG_CORE_PROCESS_GROUP_H
#define RG_CORE_PROCESS_GROUP_H

#include "core/base.h"

/* Memory to be filled. */
typedef struct RgBlock {
    void *data;
    size_t size;
} RgBlock;

enum {
    RG_PROCESS_GROUP_BLOCK = 1 << 22
}; /* bytes: the most that passes from rank to rank at a time */

typedef struct RgProcessGroup RgProcessGroup;
struct RgProcessGroup {
    int rank, size;
    /* Give out[q] to every other rank q, and get in[q] from it: [size] each, of the size that q
     * gives. Where that is 0 nothing passes. Returns when both are done. */
    void (*swap)(RgProcessGroup *process_group, const RgBytes *out, const RgBlock *in);
    void *context; /* of `swap` */
};

static inline int rg_process_group_size(const RgProcessGroup *process_group) {
    return process_group ? process_group->size : 1;
}

static inline int rg_process_group_rank(const RgProcessGroup *process_group) {
    return process_group ? process_group->rank : 0;
}

/* Whether this is the first rank, which alone asks judges, writes and decides. */
static inline bool rg_process_group_leads(const RgProcessGroup *process_group) {
    return rg_process_group_rank(process_group) == 0;
}

/* What the first rank has at `bytes` is there on all. */
void rg_process_group_broadcast(RgProcessGroup *process_group, void *bytes, size_t size);

/* An array of which rank q has made the bytes from start[q] to start[q + 1] becomes whole on all:
 * start [size + 1]. */
void rg_process_group_gather_parts(RgProcessGroup *process_group, void *whole, const size_t *start);
/* The same where each has made as many: whole [size · each]. */
void rg_process_group_gather(RgProcessGroup *process_group, void *whole, size_t each);

/* Whether all say so. */
bool rg_process_group_all(RgProcessGroup *process_group, bool mine);

/* How all ranks have fared: the first failure among them, by rank, becomes that of each. */
RgStatus rg_process_group_reduce_status(RgProcessGroup *process_group, RgStatus status,
                                        RgError *error);

/* What the first rank has met, for all. */
RgStatus rg_process_group_broadcast_status(RgProcessGroup *process_group, RgStatus status,
                                           RgError *error);

#endif
