/* SPDX-License-Identifier: MIT */
/* An open results store, between the two files that make one: store_open.c opens it, store.c writes
 * it. */
#ifndef RG_CORE_RESULTS_STORE_INTERNAL_H
#define RG_CORE_RESULTS_STORE_INTERNAL_H

#include "core/results/rows.h"
#include "core/results/store.h"
#include "core/results/store_lock.h"

#include <sqlite3.h>
#include <sys/types.h>

struct RgStore {
    sqlite3 *database;
    char *path;
    RgWriterLock lock; /* none when reading */
    bool lenient;      /* read what there is of a file that is shorter than it says */
    bool ours;         /* a results store, and no other program's file */
    bool made;         /* opening it for writing has made it, … */
    size_t made_from;  /* … with the folder that so many bytes of its path name; 0: with none */
    off_t size;        /* bytes of the file when it was last written to */
    const char *lost;  /* why the file can be written no more; NULL: it can */
    sqlite3_stmt **statements; /* NULL when reading, like … */
    RgRows *experiment, *find; /* … the queries whose rows are read */
};

/* What is written with: statements and queries, of a store whose tables are there. */
RgStatus rg_store_prepare(RgStore *store, RgError *error);
void rg_store_unprepare(RgStore *store);

#endif
