/* Talk between ranks. Rank 0 answers the others in a thread of its own while it trains; MPI's own
 * waiting spins, so all waits look, and sleep a little. */
#include "experiments/ranks.h"

#include "core/stop.h"

#include <stdlib.h>

#ifdef RG_MPI

#include "experiments/trial.h"

#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TAG_START = 1, TAG_ASK, TAG_TRIAL, TAG_OUTCOME, TAG_LEAVE };

static const double patience = 5; /* seconds, for ranks to come to an end after a signal */

typedef struct Outcome {
    RgStatus status;
    RgError error;
} Outcome;

typedef struct RgServer {
    pthread_t thread;
    pthread_mutex_t mutex; /* on what follows */
    int64_t next, count;
    Outcome first; /* failure of a rank */
    int open;      /* other ranks that are not through */
} RgServer;

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static void receive(void *bytes, size_t size, int from, int tag) {
    int here = 0;
    while (MPI_Iprobe(from, tag, MPI_COMM_WORLD, &here, MPI_STATUS_IGNORE), !here)
        nap();
    MPI_Recv(bytes, (int)size, MPI_BYTE, from, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void send(const void *bytes, size_t size, int to, int tag) {
    MPI_Send(bytes, (int)size, MPI_BYTE, to, tag, MPI_COMM_WORLD);
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
    double stopped = 0; /* clock, when a signal was seen */
    while (server->open > 0) {
        int here;
        MPI_Status about;
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &here, &about);
        if (here) {
            answer(server, about.MPI_SOURCE, about.MPI_TAG);
            continue;
        }
        if (rg_stop_wanted() && stopped == 0)
            stopped = rg_clock_seconds();
        if (stopped > 0 && rg_clock_seconds() - stopped > patience)
            break;
        nap();
    }
    return NULL;
}

static RgServer *start_server(int64_t count, int others) {
    RgServer *server = rg_allocate(sizeof *server);
    server->count = count;
    server->open = others;
    pthread_mutex_init(&server->mutex, NULL);
    RG_ASSERT(pthread_create(&server->thread, NULL, serve, server) == 0);
    return server;
}

/* ---- all ranks ---- */

/* Under mpirun alone: elsewhere MPI would start helpers of its own. */
static bool launched(void) {
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_SIZE");
}

RgStatus rg_ranks_begin(RgRanks *ranks, RgError *error) {
    *ranks = (RgRanks){.size = 1, .neighbours = 1};
    if (!launched())
        return RG_OK;
    int level;
    MPI_Comm machine;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks->size);
    MPI_Comm_rank(MPI_COMM_WORLD, &ranks->rank);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_size(machine, &ranks->neighbours);
    MPI_Comm_free(&machine);
    return level >= MPI_THREAD_SERIALIZED ? RG_OK
                                          : rg_fail(error, RG_E_USAGE,
                                                    "MPI was built without threads; expected "
                                                    "MPI_THREAD_SERIALIZED or more");
}

RgStatus rg_ranks_start(RgRanks *ranks, RgStatus status, int64_t count) {
    for (int to = 1; ranks->rank == 0 && to < ranks->size; to++)
        send(&status, sizeof status, to, TAG_START);
    if (ranks->rank != 0)
        receive(&status, sizeof status, 0, TAG_START);
    else if (status == RG_OK)
        ranks->server = start_server(count, ranks->size - 1);
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
    MPI_Finalize();
}

#else

RgStatus rg_ranks_begin(RgRanks *ranks, RgError *error) {
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    *ranks = (RgRanks){.size = 1, .neighbours = 1};
    if (!size)
        size = getenv("PMI_SIZE");
    return !size || atoi(size) == 1
               ? RG_OK
               : rg_fail(error, RG_E_USAGE,
                         "started as one of %s ranks, but this build has no MPI; "
                         "expected one from after configure --with-mpi",
                         size);
}

/* One rank is never asked for more. */
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
