/* SPDX-License-Identifier: MIT */
/* A process group for tests, without MPI: its ranks are forked processes, between each two of which
 * there is a pair of sockets. */
#ifndef RG_TESTS_FORKED_GROUP_H
#define RG_TESTS_FORKED_GROUP_H

#include "core/process_group.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKED_MOST = 6 };

typedef struct ForkedLinks {
    int socket[FORKED_MOST]; /* to every other rank */
} ForkedLinks;

/* As much as goes without waiting; returns the bytes that are left. */
static inline size_t forked_push(int socket, const char *end, size_t left) {
    ssize_t sent = left ? send(socket, end - left, left, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    return sent > 0 ? left - (size_t)sent : left;
}

static inline size_t forked_pull(int socket, char *end, size_t left) {
    ssize_t got = left ? recv(socket, end - left, left, MSG_DONTWAIT) : 0;
    if (got == 0 && left > 0)
        _exit(2); /* the other one is gone */
    return got > 0 ? left - (size_t)got : left;
}

static inline void forked_swap(RgProcessGroup *process_group, const RgBytes *out,
                               const RgBlock *in) {
    const ForkedLinks *links = process_group->context;
    size_t to_send[FORKED_MOST] = {0}, to_get[FORKED_MOST] = {0}, left = 1;
    for (int q = 0; q < process_group->size; q++) {
        to_send[q] = q == process_group->rank ? 0 : out[q].size;
        to_get[q] = q == process_group->rank ? 0 : in[q].size;
    }
    while (left > 0) {
        struct pollfd wanted[FORKED_MOST];
        left = 0;
        for (int q = 0; q < process_group->size; q++) {
            if (to_send[q])
                to_send[q] = forked_push(links->socket[q], (const char *)out[q].data + out[q].size,
                                         to_send[q]);
            if (to_get[q])
                to_get[q] =
                    forked_pull(links->socket[q], (char *)in[q].data + in[q].size, to_get[q]);
            short events = (short)((to_send[q] ? POLLOUT : 0) | (to_get[q] ? POLLIN : 0));
            wanted[q] = (struct pollfd){.fd = events ? links->socket[q] : -1, .events = events};
            left += to_send[q] + to_get[q];
        }
        if (left > 0)
            poll(wanted, (nfds_t)process_group->size, -1);
    }
}

/* What a rank does: `result` is its own of `each` bytes, zeroed, which the test sees afterwards. */
typedef void (*ForkedBody)(RgProcessGroup *process_group, void *argument, void *result);

static inline _Noreturn void forked_rank(int size, int rank, int sockets[][FORKED_MOST],
                                         ForkedBody body, void *argument, void *result) {
    ForkedLinks links;
    for (int q = 0; q < FORKED_MOST; q++)
        links.socket[q] = sockets[rank][q];
    for (int p = 0; p < size; p++)
        for (int q = 0; q < size; q++)
            if (p != rank && p != q)
                close(sockets[p][q]);
    RgProcessGroup process_group = {
        .rank = rank, .size = size, .swap = forked_swap, .context = &links};
    body(&process_group, argument, result);
    _exit(0);
}

/* Run `body` on each of `size` ranks. Returns their results, [size] of `each` bytes in shared
 * memory that stays until the test ends. */
static inline void *forked_run(int size, ForkedBody body, void *argument, size_t each) {
    int sockets[FORKED_MOST][FORKED_MOST];
    pid_t process[FORKED_MOST];
    char *results =
        mmap(NULL, (size_t)size * each, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(results != MAP_FAILED && size <= FORKED_MOST);
    for (int p = 0; p < size; p++)
        for (int q = p + 1; q < size; q++) {
            int pair[2];
            cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
            sockets[p][q] = pair[0];
            sockets[q][p] = pair[1];
        }
    for (int rank = 0; rank < size; rank++) {
        process[rank] = fork();
        cr_assert_geq(process[rank], 0);
        if (process[rank] == 0)
            forked_rank(size, rank, sockets, body, argument, results + (size_t)rank * each);
    }
    for (int p = 0; p < size; p++)
        for (int q = 0; q < size; q++)
            if (p != q)
                close(sockets[p][q]);
    for (int rank = 0; rank < size; rank++) {
        int how;
        cr_assert_eq(waitpid(process[rank], &how, 0), process[rank]);
        cr_assert(WIFEXITED(how) && WEXITSTATUS(how) == 0, "rank %d of %d ended with %d", rank,
                  size, how);
    }
    return results;
}

#endif
