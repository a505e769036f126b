/* SPDX-License-Identifier: MIT */
/* The lock of a results store: an flock on "<store>.lock", which names its holder. */
#include "core/results/store_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Reads the holder's description from the file, without the newline. */
static void read_holder(int lock, char holder[128]) {
    ssize_t size = pread(lock, holder, 127, 0);
    holder[size > 0 ? size : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
}

/* A process that tests whether the store is written (rg_store_writer) holds the lock for a
 * moment. */
static bool take_lock(int lock) {
    const struct timespec moment = {.tv_nsec = 20000000};
    bool taken = flock(lock, LOCK_EX | LOCK_NB) == 0;
    for (int tries = 1; tries < 5 && !taken; tries++) {
        nanosleep(&moment, NULL);
        taken = flock(lock, LOCK_EX | LOCK_NB) == 0;
    }
    return taken;
}

bool rg_store_writer(const char *path, char holder[128]) {
    char *lock_path = rg_string_format("%s.lock", path);
    int lock = open(lock_path, O_RDONLY | O_CLOEXEC);
    free(lock_path);
    if (lock < 0)
        return false;
    bool written = flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (written)
        read_holder(lock, holder);
    close(lock);
    return written;
}

/* Refuses, naming the holder of the lock. */
static RgStatus refuse_held(const char *path, int lock, RgError *error) {
    char holder[128];
    read_holder(lock, holder);
    return rg_fail(error, RG_E_STORE, "%s: is being written by %s", path,
                   holder[0] ? holder : "another process");
}

/* The lock belongs to the open file, so it is released when the process ends in any way. The text
 * in the file only informs others about the holder. The file remains, unless rg_store_discard
 * removes it while holding it. Then the lock of that file is useless, and the next file is locked
 * instead. */
RgStatus rg_store_lock(const char *store, RgWriterLock *lock, RgError *error) {
    RgStatus status = RG_OK;
    struct stat about;
    bool taken = false;
    char *path = rg_string_format("%s.lock", store);
    do {
        if (lock->descriptor >= 0)
            close(lock->descriptor);
        lock->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        taken = lock->descriptor >= 0 && take_lock(lock->descriptor);
    } while (taken && fstat(lock->descriptor, &about) == 0 && about.st_nlink == 0);
    if (lock->descriptor < 0) {
        status = rg_fail(error, RG_E_STORE, "%s: cannot open %s for writing: %s", store, path,
                         strerror(errno));
    } else if (!taken) {
        status = refuse_held(store, lock->descriptor, error);
    } else {
        char host[64] = "unknown host", text[128];
        lock->held = true;
        gethostname(host, sizeof host - 1);
        int size = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
        if (ftruncate(lock->descriptor, 0) != 0 ||
            pwrite(lock->descriptor, text, (size_t)size, 0) != size)
            status =
                rg_fail(error, RG_E_STORE, "%s: cannot write %s: %s", store, path, strerror(errno));
    }
    free(path);
    return status;
}

RgStatus rg_store_hold(const char *path, int *hold, RgError *error) {
    struct stat about;
    char *lock = rg_string_format("%s.lock", path);
    *hold = -1;
    do {
        if (*hold >= 0)
            close(*hold);
        *hold = open(lock, O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
        if (*hold < 0) /* a read-only folder may contain the file anyway */
            *hold = open(lock, O_RDONLY | O_CLOEXEC);
        if (*hold >= 0 && flock(*hold, LOCK_SH | LOCK_NB) != 0) {
            RgStatus status = refuse_held(path, *hold, error);
            close(*hold);
            *hold = -1;
            free(lock);
            return status;
        }
    } while (*hold >= 0 && fstat(*hold, &about) == 0 && about.st_nlink == 0);
    free(lock);
    return RG_OK;
}

void rg_store_unlock(RgWriterLock *lock) {
    if (lock->held && ftruncate(lock->descriptor, 0) != 0)
        lock->held = false; /* the text then names a process that ended, which cannot be helped */
    if (lock->descriptor >= 0)
        close(lock->descriptor);
}
