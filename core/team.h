/* SPDX-License-Identifier: MIT */
/* A team: processes, its ranks, that run one trial together. Each does all that is cheap as one
 * process would, and its share of what is not; then they exchange what they have made.
 *
 * How bytes pass between them is not known here: whoever makes a team gives it one function
 * (experiments/program/run/mpi.h does so by MPI). All ranks call the functions below in the same
 * order. NULL is a team of one, which has nobody to exchange anything with: there they do nothing.
 */
#ifndef RG_CORE_TEAM_H
#define RG_CORE_TEAM_H

#include "core/base.h"

/* Memory to be filled. */
typedef struct RgBlock {
    void *data;
    size_t size;
} RgBlock;

enum { RG_TEAM_BLOCK = 1 << 22 }; /* bytes: the most that passes from rank to rank at a time */

typedef struct RgTeam RgTeam;
struct RgTeam {
    int rank, size;
    /* Give out[q] to every other rank q, and get in[q] from it: [size] each, of the size that q
     * gives. Where that is 0 nothing passes. Returns when both are done. */
    void (*swap)(RgTeam *team, const RgBytes *out, const RgBlock *in);
    void *context; /* of `swap` */
};

static inline int rg_team_size(const RgTeam *team) {
    return team ? team->size : 1;
}

static inline int rg_team_rank(const RgTeam *team) {
    return team ? team->rank : 0;
}

/* Whether this is the first rank, which alone asks judges, writes and decides. */
static inline bool rg_team_leads(const RgTeam *team) {
    return rg_team_rank(team) == 0;
}

/* What the first rank has at `bytes` is there on all. */
void rg_team_broadcast(RgTeam *team, void *bytes, size_t size);

/* An array of which rank q has made the bytes from start[q] to start[q + 1] becomes whole on all:
 * start [size + 1]. */
void rg_team_gather_parts(RgTeam *team, void *whole, const size_t *start);
/* The same where each has made as many: whole [size · each]. */
void rg_team_gather(RgTeam *team, void *whole, size_t each);

/* Whether all say so. */
bool rg_team_all(RgTeam *team, bool mine);

/* How all ranks have fared: the first failure among them, by rank, becomes that of each. */
RgStatus rg_team_agree(RgTeam *team, RgStatus status, RgError *error);

/* What the first rank has met, for all. */
RgStatus rg_team_follow(RgTeam *team, RgStatus status, RgError *error);

#endif
