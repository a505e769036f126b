/* SPDX-License-Identifier: MIT */
/* An open results store. Included by store_open.c, which opens it, and store.c, which writes it. */
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
    bool lenient;      /* read what remains of a file that is shorter than its header says */
    bool ours;         /* a results store, not another program's file */
    bool made;         /* opening it for writing created it, … */
    size_t made_from;  /* … and the folders named by the path from this byte on; 0: none */
    off_t size;        /* bytes of the file after the last write */
    const char *lost;  /* why the file can no longer be written; NULL: it can */
    sqlite3_stmt **statements; /* NULL when reading, like … */
    RgRows *experiment, *find; /* … the queries whose rows are read */
};

/* Creates the statements and queries for writing, in a store whose tables exist. */
RgStatus rg_store_prepare(RgStore *store, RgError *error);
void rg_store_unprepare(RgStore *store);

#endif
