/* SPDX-License-Identifier: MIT */
/* Allocation that never fails: heap memory, aligned memory, whole pages, and scratch memory. */
#include "core/memory.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic(const char *) memory_purpose = NULL;

const char *rg_memory_for(const char *purpose) {
    return atomic_exchange(&memory_purpose, purpose);
}

static _Noreturn void out_of_memory(size_t bytes) {
    const char *purpose = memory_purpose;
    fprintf(stderr, "regatta: %s%sout of memory: %zu bytes requested\n", purpose ? purpose : "",
            purpose ? ": " : "", bytes);
    exit(EXIT_FAILURE);
}

void *rg_allocate(size_t count, size_t each) {
    size_t bytes;
    if (__builtin_mul_overflow(count, each, &bytes))
        out_of_memory(SIZE_MAX);
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory)
        out_of_memory(bytes);
    return memory;
}

/* Traversing arrays of many megabytes is faster on huge pages. */
static const size_t huge_page = (size_t)2 << 20;

static size_t alignment_of(size_t bytes) {
    const size_t line = 64;
    return bytes >= 4 * huge_page ? huge_page : line;
}

size_t rg_aligned_room(size_t bytes) {
    size_t alignment = alignment_of(bytes), some = bytes ? bytes : 1;
    return (some + alignment - 1) / alignment * alignment;
}

void *rg_allocate_aligned(size_t bytes) {
    size_t rounded = rg_aligned_room(bytes), alignment = alignment_of(bytes);
    void *memory = rounded < bytes ? NULL : aligned_alloc(alignment, rounded);
    if (!memory)
        out_of_memory(bytes);
#ifdef MADV_HUGEPAGE
    if (alignment == huge_page)
        madvise(memory, rounded, MADV_HUGEPAGE); /* a hint; a refusal does no harm */
#endif
    return memory;
}

void *rg_pages_take(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        out_of_memory(bytes);
#ifdef MADV_HUGEPAGE
    if (alignment_of(bytes) == huge_page)
        madvise(pages, bytes, MADV_HUGEPAGE);
#endif
    return pages;
}

void rg_pages_release(void *pages, size_t bytes) {
    munmap(pages, bytes);
}

static pthread_key_t of_thread; /* the thread's scratch memory, as a list */

static void free_scratches(void *first) {
    for (RgScratch *scratch = first; scratch; scratch = scratch->next) {
        free(scratch->memory);
        scratch->memory = NULL;
        scratch->size = 0;
    }
}

static void make_key(void) {
    if (pthread_key_create(&of_thread, free_scratches) != 0)
        out_of_memory(sizeof(RgScratch));
}

void *rg_scratch(RgScratch *scratch, size_t bytes) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (scratch->size < bytes) {
        if (!scratch->memory) {
            pthread_once(&once, make_key);
            scratch->next = pthread_getspecific(of_thread);
            pthread_setspecific(of_thread, scratch);
        }
        free(scratch->memory);
        scratch->memory = rg_allocate_aligned(bytes);
        scratch->size = bytes;
    }
    return scratch->memory;
}

/* Released pages come back as zeros, one by one, on access. */
void *rg_allocate_aligned_zeroed(size_t bytes) {
    size_t rounded = rg_aligned_room(bytes);
    void *memory = rg_allocate_aligned(bytes);
    bool pages = alignment_of(bytes) == huge_page;
    if (pages && madvise(memory, rounded, MADV_DONTNEED) == 0)
        return memory;
    return memset(memory, 0, bytes);
}

void rg_discard(void *memory, size_t bytes) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)memory;
    uintptr_t first = (begin + page - 1) / page * page, end = (begin + bytes) / page * page;
    if (first < end)
        madvise((char *)memory + (first - begin), end - first, MADV_DONTNEED);
}

void *rg_reallocate(void *memory, size_t count, size_t each) {
    size_t bytes;
    if (__builtin_mul_overflow(count, each, &bytes))
        out_of_memory(SIZE_MAX);
    void *larger = realloc(memory, bytes ? bytes : 1);
    if (!larger)
        out_of_memory(bytes);
    return larger;
}

char *rg_string_copy(const char *text) {
    if (!text)
        return NULL;
    size_t size = strlen(text) + 1;
    return memcpy(rg_allocate(size, 1), text, size);
}

char *rg_string_format(const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        out_of_memory(strlen(format));
    return text;
}
