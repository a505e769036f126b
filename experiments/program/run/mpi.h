/* SPDX-License-Identifier: MIT */
/* The ranks of an mpirun. Rank 0 hands out trial numbers, one at a time, to idle ranks, including
 * itself. Otherwise only a status with its message is exchanged, at the end: each rank writes its
 * own partial store (core/results/parts.h).
 *
 * Successive ranks may form process groups of equal size (core/process_group.h). The first rank of
 * a group then gets the trials, writes the store and reports errors; the others only help it.
 *
 * This is the only interface to MPI. Without MPI (see configure --with-mpi), or outside of mpirun,
 * there is one rank. Waiting ranks sleep, so that they take no time from those that train.
 *
 * All functions are called on the main thread. While rank 0 hands out numbers it has a thread of
 * its own, and a mutex makes MPI calls one at a time. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_MPI_H
#define RG_EXPERIMENTS_PROGRAM_RUN_MPI_H

#include "core/process_group.h"

typedef struct RgRanks {
    int rank, size;
    int neighbours;               /* ranks on this machine, this one included */
    RgProcessGroup process_group; /* of this rank: one rank, or --ranks-per-trial */
    struct RgServer *server;      /* of rank 0, while it hands out numbers */
} RgRanks;

/* Starts MPI, in process groups of `per_trial`. RG_E_USAGE under an mpirun of several ranks if this
 * build has no MPI, and if the ranks do not divide into whole groups. */
RgStatus rg_ranks_begin(RgRanks *ranks, int per_trial, RgError *error);

/* Rank 0 begins to hand out 0 … count−1, or announces its failure: `status`. The other ranks wait
 * for that; their arguments are ignored. Returns rank 0's status on every rank. */
RgStatus rg_ranks_start(RgRanks *ranks, RgStatus status, int64_t count);

/* The next trial number for this rank, the first of its process group. −1: no more trials, a rank
 * has failed, or a signal was received. */
int64_t rg_ranks_next(RgRanks *ranks);

/* This rank has finished with `status`, and its partial store is closed. Rank 0 waits for the first
 * rank of each process group. Returns the first failure of any rank on rank 0, the own status
 * elsewhere. `complete`: all partial stores are closed. It is false if, after a signal, a rank did
 * not finish within some seconds. */
RgStatus rg_ranks_finish(RgRanks *ranks, RgStatus status, bool *complete, RgError *error);

/* Ends MPI. The other ranks wait for rank 0, so that all end together. */
void rg_ranks_end(RgRanks *ranks, bool complete);

#endif
