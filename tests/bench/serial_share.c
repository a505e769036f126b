/* SPDX-License-Identifier: MIT */
/* What share of a program's processor time the main thread spends outside of parallel regions: a
 * library to be loaded before libgomp. Unlike busy threads over time it does not depend on what
 * else the machine does, but it tells nothing of threads that wait for one another.
 *
 *     cc -O2 -shared -fPIC -o serial_share.so tests/bench/serial_share.c -ldl
 *     SKIP=700 LD_PRELOAD=./serial_share.so build/tests/bench/bench_transformer train S2 -r 6
 *
 * The first SKIP regions are left out. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef void Region(void (*run)(void *), void *data, unsigned threads, unsigned flags);

static long regions, skipped;
static double begun; /* processor time of the process when measuring began */
static double ended; /* of the main thread when the last region ended */
static double serial;

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void tell(void) {
    double all = seconds(CLOCK_PROCESS_CPUTIME_ID) - begun;
    fprintf(stderr, "%ld regions, %.2f s of processors, serial %.3f %%\n", regions - skipped, all,
            100 * serial / all);
}

static void count(void) {
    if (regions == 0 && getenv("SKIP"))
        skipped = strtol(getenv("SKIP"), NULL, 10);
    if (regions == skipped) {
        begun = seconds(CLOCK_PROCESS_CPUTIME_ID);
        atexit(tell);
    } else if (regions > skipped) {
        serial += seconds(CLOCK_THREAD_CPUTIME_ID) - ended;
    }
    regions++;
}

Region GOMP_parallel;
void GOMP_parallel(void (*run)(void *), void *data, unsigned threads, unsigned flags) {
    static Region *inner;
    if (!inner)
        *(void **)&inner = dlsym(RTLD_NEXT, "GOMP_parallel");
    count();
    inner(run, data, threads, flags);
    ended = seconds(CLOCK_THREAD_CPUTIME_ID);
}
