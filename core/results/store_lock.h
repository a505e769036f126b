/* SPDX-License-Identifier: MIT */
/* The lock of a results store. One process writes it, or several that inherit its lock. Any number
 * may read at the same time.
 *
 * Threads: one at a time per lock. */
#ifndef RG_CORE_RESULTS_STORE_LOCK_H
#define RG_CORE_RESULTS_STORE_LOCK_H

#include "core/base.h"

/* Whether a process writes the store now, and which. */
bool rg_store_writer(const char *path, char holder[128]);

/* Prevents writing to the store while the file descriptor is open. −1 if the folder is read-only
 * and the store has never been written there. Refused while a process writes it. */
RgStatus rg_store_hold(const char *path, int *hold, RgError *error);

/* The writer's lock. Initialise it with no descriptor: {.descriptor = -1}. */
typedef struct RgWriterLock {
    int descriptor; /* of the locked file; −1: none */
    bool held;
} RgWriterLock;

/* Takes the lock of the store at the path, whose folder exists. Refused, naming the writer, while
 * another process has it. Unlocking a lock that was not taken is allowed. */
RgStatus rg_store_lock(const char *store, RgWriterLock *lock, RgError *error);
void rg_store_unlock(RgWriterLock *lock);

#endif
