/* SPDX-License-Identifier: MIT */
/* The number of threads, the processors they may use, and re-executing the program for settings
 * that only a new program can have. Loops over threads are in parallel.h. */
#include "core/tensor/threads.h"

#include "core/base.h"
#include "core/tensor/blas.h"
#include "core/tensor/instructions.h"

#include <omp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int thread_count = 1;

void rg_threads_set(int threads) {
    RG_ASSERT(threads >= 1);
    rg_blas_start();
    thread_count = threads;
}

int rg_threads(void) {
    return thread_count;
}

/* The kernels that OpenBLAS should use; NULL if its own choice is good. If the user selects
 * instructions, OpenBLAS follows. An OpenBLAS release also does not recognise newer processors and
 * falls back to its oldest kernels, which are several times slower. */
static const char *better_kernels(void) {
#if defined(__x86_64__)
    static const char *const core[] = {
        [RG_BASELINE] = "Prescott", [RG_AVX2] = "Haswell", [RG_AVX512] = "SkylakeX"};
    if (rg_instructions_are_chosen() || strcmp(rg_blas_kernels(), "Prescott") == 0)
        return core[rg_instructions()];
#endif
    return NULL;
}

/* Whether it was not set before. */
static bool set_unless_set(const char *name, const char *value) {
    return value && !getenv(name) && setenv(name, value, 0) == 0;
}

/* OpenMP with bound threads (OMP_PROC_BIND, OMP_PLACES) binds the main thread to its first place
 * before main begins. The system then reports only this place for the thread. */
static cpu_set_t allowed_processors(void) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    int places = omp_get_proc_bind() != omp_proc_bind_false ? omp_get_num_places() : 0;
    for (int place = 0; place < places; place++) {
        int count = omp_get_place_num_procs(place);
        int *processor = rg_allocate(count, sizeof *processor);
        omp_get_place_proc_ids(place, processor);
        for (int i = 0; i < count; i++)
            if (processor[i] < CPU_SETSIZE)
                CPU_SET(processor[i], &allowed);
        free(processor);
    }
    if (CPU_COUNT(&allowed) == 0)
        sched_getaffinity(0, sizeof allowed, &allowed);
    return allowed;
}

int rg_processors(void) {
    cpu_set_t allowed = allowed_processors();
    int count = CPU_COUNT(&allowed);
    return count > 0 ? count : 1;
}

/* A new program inherits the binding of its first thread. */
static void unbind(void) {
    cpu_set_t allowed = allowed_processors();
    if (CPU_COUNT(&allowed) > 0)
        sched_setaffinity(0, sizeof allowed, &allowed);
}

void rg_threads_start_anew(char *const *arguments) {
    static const char spins[] = "1000"; /* about ten microseconds */
    bool changed = !getenv("OMP_WAIT_POLICY") && set_unless_set("GOMP_SPINCOUNT", spins);
    changed |= set_unless_set("OPENBLAS_CORETYPE", better_kernels());
    if (changed) {
        unbind();
        execv("/proc/self/exe", arguments); /* if this fails, everything works, but slower */
    }
}

int rg_threads_here(void) {
    return omp_in_parallel() ? 1 : thread_count;
}

int rg_thread_number(void) {
    return omp_get_thread_num();
}
