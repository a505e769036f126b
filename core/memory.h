/* SPDX-License-Identifier: MIT */
/* Memory allocation that never returns NULL: if memory runs out, the program ends with a message.
 *
 * Threads: any, but one at a time per RgScratch. */
#ifndef RG_CORE_MEMORY_H
#define RG_CORE_MEMORY_H

#include <stddef.h>

/* Sets the purpose of allocations from now on, in all threads: the name of a file or key, with
 * which the out-of-memory message begins. Borrowed; NULL: none. Returns the previous one, for
 * restoring it. */
const char *rg_memory_for(const char *purpose);

/* Never NULL. Free with free(). */
void *rg_allocate(size_t count, size_t each); /* zeroed; of size 0 still valid and to be freed */
void *rg_allocate_aligned(size_t bytes);      /* to 64 bytes; not zeroed */
/* Whole pages, for large and long-lived memory. The system gets them back at release, whichever
 * thread releases them. Zeroed. Uses huge pages for large sizes. */
void *rg_pages_take(size_t bytes);
void rg_pages_release(void *pages, size_t bytes);
/* Zeroed. A large array takes memory page by page, on first access. */
void *rg_allocate_aligned_zeroed(size_t bytes);
size_t rg_aligned_room(size_t bytes);                         /* bytes that such memory takes */
void *rg_reallocate(void *memory, size_t count, size_t each); /* new tail not zeroed */
char *rg_string_copy(const char *text);                       /* NULL gives NULL */
char *rg_string_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Scratch memory that is kept from call to call: a static variable of one thread, initially zero.
 * It is freed when the thread ends. */
typedef struct RgScratch {
    void *memory;
    size_t size;
    struct RgScratch *next; /* of the same thread */
} RgScratch;
/* At least `bytes` bytes, aligned; the previous content is lost. */
void *rg_scratch(RgScratch *scratch, size_t bytes);

/* Returns the whole pages within a part of such memory to the system. The content of the part is
 * lost: it reads as zeros or as before. */
void rg_discard(void *memory, size_t bytes);

#endif
