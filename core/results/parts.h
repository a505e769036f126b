/* SPDX-License-Identifier: MIT */
/* Parts of a distributed run. Several processes that share only a file system may run trials of one
 * experiment. Each process writes a results store of its own, and the stores are merged at the end.
 *
 * The parts of results/x.db are results/x/part-1.db and so on, each with its weights and
 * checkpoints like any store. An open part holds a lock that prevents writing to x.db. The next
 * process that opens x.db for a run merges the parts it finds, finished or not, so nothing is lost
 * when a process or its machine dies.
 *
 * Threads: as the store. */
#ifndef RG_CORE_RESULTS_PARTS_H
#define RG_CORE_RESULTS_PARTS_H

#include "core/results/store.h"

typedef struct RgPart {
    RgStore *store;
    char *whole; /* path of the store it is a part of */
    int hold;    /* lock on that store */
} RgPart;

/* Opens or creates a part of the store at `whole`, which need not exist yet. Refused while another
 * process writes either. */
RgStatus rg_part_open(const char *whole, int number, RgPart **part, RgError *error);
void rg_part_close(RgPart *part);

/* Copies what the whole store knows about a trial into the part: its rows and checkpoint, unless
 * the part is further itself. `finished`: the whole store has the finished trial. */
RgStatus rg_part_seed(RgPart *part, const char *experiment, const char *key, bool *finished,
                      RgError *error);

/* Merges all parts into a store that is open for writing, and removes them. It may be interrupted
 * anywhere and is then repeated. */
RgStatus rg_parts_gather(RgStore *whole, RgError *error);

#endif
