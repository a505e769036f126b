/* SPDX-License-Identifier: MIT */
/* Memory of which there is always enough: where there is not, the program ends with a message. */
#ifndef RG_CORE_MEMORY_H
#define RG_CORE_MEMORY_H

#include <stddef.h>

/* What memory is taken for from now on, by all threads: a file's name, or a key's. The message when
 * there is none left begins with it. Borrowed; NULL: nobody says. Returns what it was before, to be
 * set again. */
const char *rg_memory_for(const char *purpose);

/* Never NULL; freed with free(). */
void *rg_allocate(size_t count, size_t each); /* zeroed; of nothing, a byte that may be freed */
void *rg_allocate_aligned(size_t bytes);      /* to 64 bytes; not zeroed */
/* Whole pages, for large and lasting memory: the system has them back as soon as they are released,
 * whichever thread that is. Zeroed. Huge ones where there are many. */
void *rg_pages_take(size_t bytes);
void rg_pages_release(void *pages, size_t bytes);
/* Zeroed; a large array takes memory page by page, when it is first touched. */
void *rg_allocate_aligned_zeroed(size_t bytes);
size_t rg_aligned_room(size_t bytes);                         /* bytes that such memory takes */
void *rg_reallocate(void *memory, size_t count, size_t each); /* new tail not zeroed */
char *rg_string_copy(const char *text);                       /* NULL gives NULL */
char *rg_string_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Scratch memory that is kept from call to call, mostly one thread's own: start it zeroed. */
typedef struct RgScratch {
    void *memory;
    size_t size;
} RgScratch;
/* At least so many, aligned; what was there is lost. */
void *rg_scratch(RgScratch *scratch, size_t bytes);

/* Give the whole pages of a part of such memory back to the system: what was in the part is lost,
 * and may be read as zeros or as it was. */
void rg_discard(void *memory, size_t bytes);

#endif
