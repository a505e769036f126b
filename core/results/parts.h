/* SPDX-License-Identifier: MIT */
/* Parts of a run: where several processes that share no more than a file system run trials of one
 * experiment, each writes a results store of its own, which are put together in the end.
 *
 * The parts of results/x.db are results/x/part-1.db and so on, each with its weights and
 * checkpoints as any store has them. While a part is open it holds x.db still. Whoever next opens
 * x.db for a run gathers the parts that lie there, finished or not, so that nothing is lost when a
 * process or its machine dies. */
#ifndef RG_CORE_RESULTS_PARTS_H
#define RG_CORE_RESULTS_PARTS_H

#include "core/results/store.h"

typedef struct RgPart {
    RgStore *store;
    char *whole; /* path of the store that it is a part of */
    int hold;    /* on that store */
} RgPart;

/* Open or make a part of the store at `whole`, which need not be there yet. Refused while another
 * process writes either. */
RgStatus rg_part_open(const char *whole, int number, RgPart **part, RgError *error);
void rg_part_close(RgPart *part);

/* What the whole knows of a trial: `finished`, or its rows and checkpoint, of which the part gets a
 * copy unless it has come further itself. */
RgStatus rg_part_seed(RgPart *part, const char *experiment, const char *key, bool *finished,
                      RgError *error);

/* Merge all parts of a store that is open for writing into it, and remove them. Can be interrupted
 * anywhere, and is then done again. */
RgStatus rg_parts_gather(RgStore *whole, RgError *error);

#endif
