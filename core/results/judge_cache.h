/* SPDX-License-Identifier: MIT */
/* Answers that were paid for, in a table of the results store: what an outside judge said to a
 * query, found again by the digest of the query, in every trial of the experiment and in a
 * run that takes up a killed one.
 *
 * Each change is a transaction of its own, so that a killed program has lost none of the answers
 * that reached it; while they come they are also synced to the disk, once a second. A try is noted
 * before the query is sent: one that was under way when the program died counts as paid. */
#ifndef RG_CORE_RESULTS_JUDGE_CACHE_H
#define RG_CORE_RESULTS_JUDGE_CACHE_H

#include "core/digest.h"
#include "core/results/store.h"

typedef struct RgJudgeCache RgJudgeCache;

/* On a store that is open for writing, which must outlive the cache. A store from before there was
 * such a table is given one. All failures here are RG_E_STORE and name the file. */
RgStatus rg_judge_cache_open(RgStore *store, RgJudgeCache **cache, RgError *error);
void rg_judge_cache_close(RgJudgeCache *cache);

/* The answer to the query `key`: *text is malloc'd, or NULL where there is none; `refused`: the
 * judge would not say. */
RgStatus rg_judge_cache_find(RgJudgeCache *cache, const RgDigest *key, char **text, bool *refused,
                             RgError *error);

/* `count` (1, or −1 to take one back that never reached the judge) more tries of a query. */
RgStatus rg_judge_cache_note_try(RgJudgeCache *cache, const char *judge, const RgDigest *key,
                                 int count, RgError *error);
/* The answer to a query that was tried. */
RgStatus rg_judge_cache_keep(RgJudgeCache *cache, const RgDigest *key, const char *text,
                             bool refused, RgError *error);

/* All tries of all queries to one judge. */
RgStatus rg_judge_cache_tries(RgJudgeCache *cache, const char *judge, int64_t *tries,
                              RgError *error);

#endif
