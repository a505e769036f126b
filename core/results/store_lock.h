/* SPDX-License-Identifier: MIT */
/* Who may write a results store, and who writes it now. One process does, or several that inherit
 * its lock; any number read meanwhile. */
#ifndef RG_CORE_RESULTS_STORE_LOCK_H
#define RG_CORE_RESULTS_STORE_LOCK_H

#include "core/base.h"

/* Whether a process writes the store now, and who. */
bool rg_store_writer(const char *path, char holder[128]);

/* Hold a store still: as long as the file descriptor is open, nobody writes the store. −1 where its
 * folder is read-only and it has never been written there. Refused while a process writes it. */
RgStatus rg_store_hold(const char *path, int *hold, RgError *error);

/* The writer's lock: start it with no descriptor, {.descriptor = -1}. */
typedef struct RgWriterLock {
    int descriptor; /* of the file that is locked; −1: none */
    bool held;
} RgWriterLock;

/* Take the lock of the store at the path, whose folder is there. Refused, naming the holder, while
 * another process has it. A lock that was not taken is unlocked all the same. */
RgStatus rg_store_lock(const char *store, RgWriterLock *lock, RgError *error);
void rg_store_unlock(RgWriterLock *lock);

#endif
