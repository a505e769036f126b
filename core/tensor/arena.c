/* SPDX-License-Identifier: MIT */
/* The arena: a chain of blocks filled in order. A rewind moves the fill position back and keeps the
 * blocks. The memory behind it is poisoned for AddressSanitizer. */
#include "core/tensor/arena.h"

#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define POISON(memory, bytes)   ASAN_POISON_MEMORY_REGION(memory, bytes)
#define UNPOISON(memory, bytes) ASAN_UNPOISON_MEMORY_REGION(memory, bytes)
#else
#define POISON(memory, bytes)   ((void)(memory), (void)(bytes))
#define UNPOISON(memory, bytes) ((void)(memory), (void)(bytes))
#endif

enum { ALIGNMENT = 64 };
static const size_t first_block = (size_t)1 << 20;
static const size_t largest_growth = (size_t)1 << 28;

typedef struct Block {
    struct Block *next;
    char *memory;
    size_t size;
    size_t used;   /* in this block, in bytes; valid only up to the current block */
    size_t before; /* bytes in use in the blocks before this one */
} Block;

struct RgArena {
    Block *first;
    Block *current; /* blocks after it are kept but empty */
    size_t peak;
};

static Block *block_create(size_t size) {
    Block *block = rg_allocate(1, sizeof *block);
    block->memory = rg_pages_take(size);
    block->size = size;
    POISON(block->memory, size);
    return block;
}

RgArena *rg_arena_create(void) {
    RgArena *arena = rg_allocate(1, sizeof *arena);
    arena->first = arena->current = block_create(first_block);
    return arena;
}

static void blocks_destroy(Block *first) {
    for (Block *block = first, *next; block; block = next) {
        next = block->next;
        UNPOISON(block->memory, block->size);
        rg_pages_release(block->memory, block->size);
        free(block);
    }
}

void rg_arena_destroy(RgArena *arena) {
    if (!arena)
        return;
    blocks_destroy(arena->first);
    free(arena);
}

/* Moves on to a block with space for `bytes`: the next kept one, or a new one before it. */
static void advance(RgArena *arena, size_t bytes) {
    Block *current = arena->current;
    if (!current->next || current->next->size < bytes) {
        size_t size = 2 * current->size;
        if (size > largest_growth)
            size = largest_growth;
        Block *block = block_create(size > bytes ? size : bytes);
        block->next = current->next;
        current->next = block;
    }
    Block *next = current->next;
    next->used = 0;
    next->before = current->before + current->used;
    arena->current = next;
}

void *rg_arena_allocate(RgArena *arena, size_t bytes) {
    /* A request for nothing still gets an address of its own. */
    size_t room = (bytes + !bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    RG_ASSERT(room >= bytes);
    if (arena->current->size - arena->current->used < room)
        advance(arena, room);
    Block *block = arena->current;
    char *memory = block->memory + block->used;
    block->used += room;
    if (arena->peak < block->before + block->used)
        arena->peak = block->before + block->used;
    UNPOISON(memory, bytes);
    return memory;
}

void *rg_arena_allocate_zeroed(RgArena *arena, size_t bytes) {
    return memset(rg_arena_allocate(arena, bytes), 0, bytes);
}

void *rg_arena_copy(RgArena *arena, const void *source, size_t bytes) {
    void *copy = rg_arena_allocate(arena, bytes);
    if (bytes > 0)
        memcpy(copy, source, bytes);
    return copy;
}

char *rg_arena_string(RgArena *arena, const char *text) {
    return rg_arena_copy(arena, text, strlen(text) + 1);
}

RgArenaMark rg_arena_mark(const RgArena *arena) {
    return (RgArenaMark){.block = arena->current, .used = arena->current->used};
}

void rg_arena_rewind(RgArena *arena, RgArenaMark mark) {
    Block *block = mark.block;
    RG_ASSERT(mark.used <= block->used);
    for (Block *later = block; later != arena->current; later = later->next)
        POISON(later->next->memory, later->next->used);
    POISON(block->memory + mark.used, block->used - mark.used);
    block->used = mark.used;
    arena->current = block;
}

/* Several blocks are replaced by one of their total size, so that the next round, of similar size,
 * wastes no ends of blocks. */
void rg_arena_reset(RgArena *arena) {
    if (arena->first->next) {
        blocks_destroy(arena->first);
        arena->first = arena->current = block_create(arena->peak + arena->peak / 8);
    }
    rg_arena_rewind(arena, (RgArenaMark){.block = arena->first, .used = 0});
}

size_t rg_arena_used(const RgArena *arena) {
    return arena->current->before + arena->current->used;
}

size_t rg_arena_peak(const RgArena *arena) {
    return arena->peak;
}
