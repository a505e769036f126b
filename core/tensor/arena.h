/* SPDX-License-Identifier: MIT */
/* Memory that is allocated in order and released all at once.
 *
 * Blocks are chained, so an arena is never full. Rewinding keeps them, so after warm-up a training
 * step calls no malloc. Memory is aligned to 64 bytes and not zeroed. Under AddressSanitizer,
 * memory released by a rewind is poisoned.
 *
 * Threads: one at a time per arena. */
#ifndef RG_CORE_TENSOR_ARENA_H
#define RG_CORE_TENSOR_ARENA_H

#include "core/base.h"

typedef struct RgArena RgArena;

/* A point to rewind to. Marks nest. */
typedef struct RgArenaMark {
    void *block;
    size_t used;
} RgArenaMark;

RgArena *rg_arena_create(void);
void rg_arena_destroy(RgArena *arena);

void *rg_arena_allocate(RgArena *arena, size_t bytes);
void *rg_arena_allocate_zeroed(RgArena *arena, size_t bytes);
void *rg_arena_copy(RgArena *arena, const void *source, size_t bytes);
char *rg_arena_string(RgArena *arena, const char *text);

RgArenaMark rg_arena_mark(const RgArena *arena);
void rg_arena_rewind(RgArena *arena, RgArenaMark mark);
void rg_arena_reset(RgArena *arena); /* rewind to empty */

/* Bytes allocated now, and their peak. */
size_t rg_arena_used(const RgArena *arena);
size_t rg_arena_peak(const RgArena *arena);

/* An array of `count` elements of a type. */
#define RG_ARENA_ARRAY(arena, type, count)                                                         \
    ((type *)rg_arena_allocate((arena), sizeof(type) * (size_t)(count)))

#endif
