/* SPDX-License-Identifier: MIT */
/* Communication between ranks. Rank 0 answers the others in a second thread while it trains, and
 * may at the same time communicate with its process group: a mutex makes MPI calls one at a time.
 * MPI's own waiting spins, so all waits poll, with short sleeps. */
#include "experiments/program/run/mpi.h"

#include "core/stop.h"

#include <stdlib.h>

#ifdef RG_MPI

#include "experiments/program/run/trial.h"

#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TAG_START = 1, TAG_ASK, TAG_TRIAL, TAG_OUTCOME, TAG_LEAVE };

static const double patience = 5; /* seconds for ranks to finish after a signal */

typedef struct Outcome {
    RgStatus status;
    RgError error;
} Outcome;

typedef struct RgServer {
    pthread_t thread;
    pthread_mutex_t mutex; /* protects the members below */
    int64_t next, count;
    Outcome first; /* first failure of a rank */
    int open;      /* other ranks that have not finished */
} RgServer;

/* Held for each MPI call while two threads may make one. Never held during a wait. */
static pthread_mutex_t mpi = PTHREAD_MUTEX_INITIALIZER;

enum { LONGEST_NAP = 2000000 }; /* nanoseconds */

static void nap(long nanoseconds) {
    nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL);
}

static bool is_here(int from, int tag, MPI_Status *about) {
    int here;
    pthread_mutex_lock(&mpi);
    MPI_Iprobe(from, tag, MPI_COMM_WORLD, &here, about);
    pthread_mutex_unlock(&mpi);
    return here;
}

static void receive(void *bytes, size_t size, int from, int tag) {
    while (!is_here(from, tag, MPI_STATUS_IGNORE))
        nap(LONGEST_NAP);
    pthread_mutex_lock(&mpi);
    MPI_Recv(bytes, (int)size, MPI_BYTE, from, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    pthread_mutex_unlock(&mpi);
}

/* The message is so small that MPI buffers it: the call does not block. */
static void send(const void *bytes, size_t size, int to, int tag) {
    pthread_mutex_lock(&mpi);
    MPI_Send(bytes, (int)size, MPI_BYTE, to, tag, MPI_COMM_WORLD);
    pthread_mutex_unlock(&mpi);
}

/* ---- process groups ---- */

/* Transport of a process group's exchanges. */
typedef struct Link {
    MPI_Comm process_group;
    MPI_Request *requests; /* [2 · size] */
} Link;

/* Exchanges follow each other closely, or wait for a training rank: sleeps grow. */
static void wait_for(Link *link, int count) {
    const long shortest = 20000;
    int done = 0;
    for (long pause = shortest;; pause = pause < LONGEST_NAP / 2 ? 2 * pause : LONGEST_NAP) {
        pthread_mutex_lock(&mpi);
        MPI_Testall(count, link->requests, &done, MPI_STATUSES_IGNORE);
        pthread_mutex_unlock(&mpi);
        if (done)
            return;
        nap(pause);
    }
}

static void swap(RgProcessGroup *process_group, const RgBytes *out, const RgBlock *in) {
    enum { TAG = 1 };
    Link *link = process_group->context;
    int count = 0;
    pthread_mutex_lock(&mpi);
    for (int q = 0; q < process_group->size; q++) {
        if (q == process_group->rank)
            continue;
        if (in[q].size > 0)
            MPI_Irecv(in[q].data, (int)in[q].size, MPI_BYTE, q, TAG, link->process_group,
                      &link->requests[count++]);
        if (out[q].size > 0)
            MPI_Isend(out[q].data, (int)out[q].size, MPI_BYTE, q, TAG, link->process_group,
                      &link->requests[count++]);
    }
    pthread_mutex_unlock(&mpi);
    wait_for(link, count);
}

static void bind_group(RgRanks *ranks, int per_trial) {
    Link *link = rg_allocate(1, sizeof *link);
    ranks->process_group = (RgProcessGroup){.size = per_trial, .swap = swap, .context = link};
    MPI_Comm_split(MPI_COMM_WORLD, ranks->rank / per_trial, ranks->rank, &link->process_group);
    MPI_Comm_rank(link->process_group, &ranks->process_group.rank);
    link->requests = rg_allocate(2 * (size_t)per_trial, sizeof *link->requests);
}

static void release_group(RgProcessGroup *process_group) {
    Link *link = process_group->context;
    if (!link)
        return;
    MPI_Comm_free(&link->process_group);
    free(link->requests);
    free(link);
}

/* ---- rank 0 ---- */

static int64_t take_number(RgServer *server) {
    pthread_mutex_lock(&server->mutex);
    bool more = server->next < server->count && server->first.status == RG_OK;
    int64_t number = more && !rg_stop_wanted() ? server->next++ : -1;
    pthread_mutex_unlock(&server->mutex);
    return number;
}

static void note_outcome(RgServer *server, const Outcome *outcome) {
    pthread_mutex_lock(&server->mutex);
    if (server->first.status == RG_OK)
        server->first = *outcome;
    pthread_mutex_unlock(&server->mutex);
}

static void answer(RgServer *server, int from, int tag) {
    Outcome outcome;
    if (tag == TAG_ASK) {
        char nothing;
        receive(&nothing, sizeof nothing, from, TAG_ASK);
        int64_t number = take_number(server);
        send(&number, sizeof number, from, TAG_TRIAL);
    } else {
        receive(&outcome, sizeof outcome, from, TAG_OUTCOME);
        note_outcome(server, &outcome);
        server->open--;
    }
}

static void *serve(void *argument) {
    RgServer *server = argument;
    double stopped = 0; /* clock when a signal was seen */
    while (server->open > 0) {
        MPI_Status about;
        if (is_here(MPI_ANY_SOURCE, MPI_ANY_TAG, &about)) {
            answer(server, about.MPI_SOURCE, about.MPI_TAG);
            continue;
        }
        if (rg_stop_wanted() && stopped == 0)
            stopped = rg_clock_seconds();
        if (stopped > 0 && rg_clock_seconds() - stopped > patience)
            break;
        nap(LONGEST_NAP);
    }
    return NULL;
}

static RgServer *start_server(int64_t count, int others) {
    RgServer *server = rg_allocate(1, sizeof *server);
    server->count = count;
    server->open = others;
    pthread_mutex_init(&server->mutex, NULL);
    RG_ASSERT(pthread_create(&server->thread, NULL, serve, server) == 0);
    return server;
}

/* ---- all ranks ---- */

/* True only under mpirun: elsewhere MPI would start helper processes. */
static bool launched(void) {
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_SIZE");
}

static RgStatus check_groups(const RgRanks *ranks, int per_trial, RgError *error) {
    if (per_trial == 1 || (ranks->size > 1 && ranks->size % per_trial == 0))
        return RG_OK;
    if (ranks->size == 1)
        return rg_fail(error, RG_E_USAGE,
                       "--ranks-per-trial is %d, but there is only one rank: expected mpirun -n N, "
                       "with N a multiple of it",
                       per_trial);
    return rg_fail(error, RG_E_USAGE,
                   "--ranks-per-trial is %d, but mpirun has started %d ranks: expected a multiple "
                   "of it",
                   per_trial, ranks->size);
}

RgStatus rg_ranks_begin(RgRanks *ranks, int per_trial, RgError *error) {
    *ranks = (RgRanks){.size = 1, .neighbours = 1, .process_group = {.size = 1}};
    if (!launched())
        return check_groups(ranks, per_trial, error);
    int level;
    MPI_Comm machine;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks->size);
    MPI_Comm_rank(MPI_COMM_WORLD, &ranks->rank);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_size(machine, &ranks->neighbours);
    MPI_Comm_free(&machine);
    if (level < MPI_THREAD_SERIALIZED)
        return rg_fail(error, RG_E_USAGE,
                       "MPI has no thread support; expected MPI_THREAD_SERIALIZED or more");
    RG_TRY(check_groups(ranks, per_trial, error));
    if (per_trial > 1)
        bind_group(ranks, per_trial);
    return RG_OK;
}

RgStatus rg_ranks_start(RgRanks *ranks, RgStatus status, int64_t count) {
    for (int to = 1; ranks->rank == 0 && to < ranks->size; to++)
        send(&status, sizeof status, to, TAG_START);
    if (ranks->rank != 0)
        receive(&status, sizeof status, 0, TAG_START);
    else if (status == RG_OK)
        ranks->server = start_server(count, ranks->size / ranks->process_group.size - 1);
    return status;
}

int64_t rg_ranks_next(RgRanks *ranks) {
    int64_t number;
    if (ranks->rank == 0)
        return take_number(ranks->server);
    send("", 1, 0, TAG_ASK);
    receive(&number, sizeof number, 0, TAG_TRIAL);
    return number;
}

RgStatus rg_ranks_finish(RgRanks *ranks, RgStatus status, bool *complete, RgError *error) {
    Outcome outcome = {.status = status};
    *complete = true;
    if (status != RG_OK)
        outcome.error = *error;
    if (ranks->rank != 0) {
        send(&outcome, sizeof outcome, 0, TAG_OUTCOME);
        return status;
    }
    RgServer *server = ranks->server;
    note_outcome(server, &outcome);
    pthread_join(server->thread, NULL);
    *complete = server->open == 0;
    status = server->first.status;
    if (status == RG_OK && rg_stop_wanted() && server->next < server->count)
        status = rg_fail(error, RG_E_STOPPED, "stopped by a signal; run again to continue");
    else if (status != RG_OK)
        rg_fail(error, status, "%s", server->first.error.text);
    pthread_mutex_destroy(&server->mutex);
    free(server);
    ranks->server = NULL;
    return status;
}

void rg_ranks_end(RgRanks *ranks, bool complete) {
    char nothing = 0;
    int begun;
    MPI_Initialized(&begun);
    if (!begun)
        return;
    if (!complete)
        MPI_Abort(MPI_COMM_WORLD, 1);
    for (int to = 1; ranks->rank == 0 && to < ranks->size; to++)
        send(&nothing, 1, to, TAG_LEAVE);
    if (ranks->rank != 0)
        receive(&nothing, 1, 0, TAG_LEAVE);
    release_group(&ranks->process_group);
    MPI_Finalize();
}

#else

RgStatus rg_ranks_begin(RgRanks *ranks, int per_trial, RgError *error) {
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    *ranks = (RgRanks){.size = 1, .neighbours = 1, .process_group = {.size = 1}};
    if (!size)
        size = getenv("PMI_SIZE");
    if (size && atoi(size) != 1)
        return rg_fail(error, RG_E_USAGE,
                       "started as one of %s ranks, but this build has no MPI support; "
                       "reconfigure with --with-mpi",
                       size);
    return per_trial == 1 ? RG_OK
                          : rg_fail(error, RG_E_USAGE,
                                    "--ranks-per-trial is %d, but this build has no MPI support; "
                                    "reconfigure with --with-mpi",
                                    per_trial);
}

/* Without MPI the one rank takes all trials. */
RgStatus rg_ranks_start(RgRanks *ranks, RgStatus status, int64_t count) {
    (void)ranks, (void)count;
    return status;
}

int64_t rg_ranks_next(RgRanks *ranks) {
    (void)ranks;
    return -1;
}

RgStatus rg_ranks_finish(RgRanks *ranks, RgStatus status, bool *complete, RgError *error) {
    (void)ranks, (void)error;
    *complete = true;
    return status;
}

void rg_ranks_end(RgRanks *ranks, bool complete) {
    (void)ranks, (void)complete;
}

#endif
