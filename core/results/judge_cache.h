/* SPDX-License-Identifier: MIT */
/* The judge cache: a table of the results store with the answers of external judges, which may have
 * cost money. The key is the digest of the request. Every trial of the experiment finds the
 * answers, and so does a run that resumes a killed one.
 *
 * Each change is a transaction of its own, so a killed program loses no answer that it had
 * received. While answers arrive, they are synced to the disk once a second. A try is recorded
 * before the request is sent, so a request that was in flight when the program died counts as paid.
 *
 * Threads: as the store. */
#ifndef RG_CORE_RESULTS_JUDGE_CACHE_H
#define RG_CORE_RESULTS_JUDGE_CACHE_H

#include "core/digest.h"
#include "core/results/store.h"

typedef struct RgJudgeCache RgJudgeCache;

/* Opens the cache in a store that is open for writing and must outlive it. An older store is given
 * the table. All failures here are RG_E_STORE and name the file. */
RgStatus rg_judge_cache_open(RgStore *store, RgJudgeCache **cache, RgError *error);
void rg_judge_cache_close(RgJudgeCache *cache);

/* The answer to the request `key`: *text is malloc'd, or NULL if there is none. `refused`: the
 * judge declined to answer. */
RgStatus rg_judge_cache_find(RgJudgeCache *cache, const RgDigest *key, char **text, bool *refused,
                             RgError *error);

/* Records `count` more tries of a request: 1, or −1 for one that never reached the judge. */
RgStatus rg_judge_cache_note_try(RgJudgeCache *cache, const char *judge, const RgDigest *key,
                                 int count, RgError *error);
/* Stores the answer to a request whose try was recorded. */
RgStatus rg_judge_cache_keep(RgJudgeCache *cache, const RgDigest *key, const char *text,
                             bool refused, RgError *error);

/* The number of tries of all requests to one judge. */
RgStatus rg_judge_cache_tries(RgJudgeCache *cache, const char *judge, int64_t *tries,
                              RgError *error);

#endif
