/* SPDX-License-Identifier: MIT */
/* The arena's promises: order, alignment, rewinding, and no malloc once warm. */
#include "core/tensor/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

enum { MEGABYTE = 1 << 20 };

Test(arena, memory_is_aligned_and_apart) {
    RgArena *arena = rg_arena_create();
    unsigned char *before = NULL;
    for (size_t bytes = 0; bytes < 300; bytes++) {
        unsigned char *memory = rg_arena_allocate(arena, bytes);
        cr_assert_eq((uintptr_t)memory % 64, 0);
        cr_assert(!before || memory > before);
        memset(memory, 0xAB, bytes);
        before = memory;
    }
    rg_arena_destroy(arena);
}

Test(arena, rewind_returns_the_same_memory) {
    RgArena *arena = rg_arena_create();
    rg_arena_allocate(arena, 100);
    RgArenaMark mark = rg_arena_mark(arena);
    size_t used = rg_arena_used(arena);
    void *first = rg_arena_allocate(arena, 1000);
    rg_arena_rewind(arena, mark);
    cr_assert_eq(rg_arena_used(arena), used);
    cr_assert_eq(rg_arena_allocate(arena, 1000), first);
    rg_arena_destroy(arena);
}

Test(arena, is_never_full) {
    RgArena *arena = rg_arena_create();
    RgArenaMark mark = rg_arena_mark(arena);
    char *small = rg_arena_allocate(arena, 10);
    memset(small, 1, 10);
    for (int i = 0; i < 12; i++)
        memset(rg_arena_allocate(arena, MEGABYTE), 2, MEGABYTE);
    char *huge = rg_arena_allocate(arena, 40 * MEGABYTE);
    memset(huge, 3, 40 * MEGABYTE);
    cr_assert_eq(small[9], 1);
    cr_assert_geq(rg_arena_used(arena), 52 * (size_t)MEGABYTE);
    rg_arena_rewind(arena, mark);
    cr_assert_eq(rg_arena_used(arena), 0);
    cr_assert_geq(rg_arena_peak(arena), 52 * (size_t)MEGABYTE);
    rg_arena_destroy(arena);
}

Test(arena, marks_nest_across_blocks) {
    RgArena *arena = rg_arena_create();
    RgArenaMark mark[8];
    void *memory[8];
    for (int i = 0; i < 8; i++) {
        mark[i] = rg_arena_mark(arena);
        memory[i] = rg_arena_allocate(arena, 700000);
    }
    for (int i = 7; i >= 0; i--) {
        rg_arena_rewind(arena, mark[i]);
        cr_assert_eq(rg_arena_allocate(arena, 700000), memory[i]);
        rg_arena_rewind(arena, mark[i]);
    }
    cr_assert_eq(rg_arena_used(arena), 0);
    rg_arena_destroy(arena);
}

/* After the first round the blocks become one. A block that malloc gave twice would have another
 * address at least once in ten rounds. */
Test(arena, warm_round_uses_the_same_blocks) {
    RgArena *arena = rg_arena_create();
    void *memory[20];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 20; i++) {
            void *now = rg_arena_allocate(arena, (size_t)(i + 1) * 100000);
            if (round > 1)
                cr_assert_eq(now, memory[i]);
            memory[i] = now;
        }
        rg_arena_reset(arena);
    }
    rg_arena_destroy(arena);
}

Test(arena, copies_and_zeroes) {
    RgArena *arena = rg_arena_create();
    memset(rg_arena_allocate(arena, 256), 0xFF, 256);
    rg_arena_reset(arena);
    char *zeroed = rg_arena_allocate_zeroed(arena, 256);
    for (int i = 0; i < 256; i++)
        cr_assert_eq(zeroed[i], 0);
    cr_assert_str_eq(rg_arena_string(arena, "keel"), "keel");
    int numbers[] = {1, 2, 3};
    cr_assert_eq(memcmp(rg_arena_copy(arena, numbers, sizeof numbers), numbers, sizeof numbers), 0);
    rg_arena_destroy(arena);
    rg_arena_destroy(NULL);
}

#ifdef __SANITIZE_ADDRESS__
Test(arena, memory_taken_back_is_poisoned) {
    RgArena *arena = rg_arena_create();
    char *kept = rg_arena_allocate(arena, 100);
    RgArenaMark mark = rg_arena_mark(arena);
    char *gone = rg_arena_allocate(arena, 100), *far = rg_arena_allocate(arena, 4 * MEGABYTE);
    rg_arena_rewind(arena, mark);
    cr_assert_not(__asan_address_is_poisoned(kept + 99));
    cr_assert(__asan_address_is_poisoned(kept + 100));
    cr_assert(__asan_address_is_poisoned(gone));
    cr_assert(__asan_address_is_poisoned(far));
    rg_arena_destroy(arena);
}
#endif
