/* SPDX-License-Identifier: MIT */
/* The ranks of an mpirun: rank 0 hands out the numbers of trials, one at a time, to whoever has
 * nothing to do, itself included. Nothing else passes between them but, at the end, a status with
 * its message: each rank writes a part of its own (core/results/parts.h).
 *
 * Ranks may be bound into process groups of so many next to each other (core/process_group.h). Then
 * the first of each process group is who is handed trials, writes and tells how it ended; the
 * others only help it.
 *
 * This is the only door to MPI. Without it (see configure --with-mpi), or outside of mpirun, there
 * is one rank. Ranks that wait sleep, so that they take no time from those that train. */
#ifndef RG_EXPERIMENTS_PROGRAM_RUN_MPI_H
#define RG_EXPERIMENTS_PROGRAM_RUN_MPI_H

#include "core/process_group.h"

typedef struct RgRanks {
    int rank, size;
    int neighbours;               /* ranks on this machine, this one included */
    RgProcessGroup process_group; /* this rank's: of one, or of so many as there are to a trial */
    struct RgServer *server;      /* rank 0's, while it hands out numbers */
} RgRanks;

/* In process groups of `per_trial`. RG_E_USAGE under an mpirun of several ranks when this build has
 * no MPI, and where they do not make whole process_groups. */
RgStatus rg_ranks_begin(RgRanks *ranks, int per_trial, RgError *error);

/* Rank 0 is ready to hand out 0 … count−1, or has failed: `status`. On the other ranks, which wait
 * for that, it is ignored. Returns rank 0's status everywhere. */
RgStatus rg_ranks_start(RgRanks *ranks, RgStatus status, int64_t count);

/* Number of a trial for this rank, the first of its process group; −1: there are no more, some rank
 * failed or a signal came. */
int64_t rg_ranks_next(RgRanks *ranks);

/* This rank is through, with what status: its part is closed. Rank 0 waits for the first of each
 * process_group. Returns on rank 0 the first failure of any, elsewhere its own. `complete`: all
 * parts are closed, which is not so when a signal came and a rank did not answer it for some
 * seconds. */
RgStatus rg_ranks_finish(RgRanks *ranks, RgStatus status, bool *complete, RgError *error);

/* Ranks leave together, when rank 0 does. */
void rg_ranks_end(RgRanks *ranks, bool complete);

#endif
