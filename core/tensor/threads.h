/* SPDX-License-Identifier: MIT */
/* The number of threads and processors. */
#ifndef RG_CORE_TENSOR_THREADS_H
#define RG_CORE_TENSOR_THREADS_H

/* Threads for parallel regions. Bits do not depend on their number. */
void rg_threads_set(int threads);
int rg_threads(void);
int rg_threads_here(void);  /* the same, but 1 inside a parallel region */
int rg_thread_number(void); /* of the caller in its parallel region, from 0 */
int rg_processors(void);    /* that this process may use, regardless of how its threads are bound */

/* Call it first in main, with its arguments. It sets what only the environment of a new program can
 * set, and re-executes the program if something was not set yet:
 *   - OpenMP's waiting threads spin for milliseconds, which is ruinous if other processes are busy
 *     (GOMP_SPINCOUNT, OMP_WAIT_POLICY).
 *   - OpenBLAS has kernels for this processor but does not recognise it, or other instructions than
 *     the processor's best were requested (OPENBLAS_CORETYPE). */
void rg_threads_start_anew(char *const *arguments);

#endif
