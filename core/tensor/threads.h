/* SPDX-License-Identifier: MIT */
/* Threads and processors. */
#ifndef RG_CORE_TENSOR_THREADS_H
#define RG_CORE_TENSOR_THREADS_H

/* Threads for parallel regions. Bits do not depend on it. */
void rg_threads_set(int threads);
int rg_threads(void);
int rg_threads_here(void);  /* the same, but 1 inside a parallel region */
int rg_thread_number(void); /* of the caller in its parallel region, from 0 */
int rg_processors(void);    /* that this process may use, wherever its threads are bound */

/* To be called first thing in main, with its arguments: settles what only the environment of a new
 * program can tell, and starts the program anew where something was not said there already.
 * - OpenMP's threads spin for milliseconds when they wait for one another, which is ruinous beside
 *   other busy processes (GOMP_SPINCOUNT, OMP_WAIT_POLICY).
 * - OpenBLAS has kernels for this processor and does not know it, or other instructions were asked
 *   for than the processor's best (OPENBLAS_CORETYPE). */
void rg_threads_start_anew(char *const *arguments);

#endif
