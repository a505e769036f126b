/* SPDX-License-Identifier: MIT */
/* What every file of Regatta may use: the number type, statuses and errors, assertions, memory.
 *
 * Three kinds of trouble are kept apart:
 *   - the outside world (no file, bad value, disk full): the function returns an RgStatus other
 * than RG_OK and leaves one sentence in the caller's RgError, naming file, line, key, what was
 * found and what was expected;
 *   - a broken invariant of the program itself: RG_ASSERT, which aborts with file and line;
 *   - the science (a diverged trial): neither, but a recorded outcome. */
#ifndef RG_CORE_BASE_H
#define RG_CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number type of tensors: float in the program; the tests also build the same sources with
 * RG_DOUBLE, so that gradients can be checked against finite differences. */
#ifdef RG_DOUBLE
typedef double RgReal;
#define RG_REAL_EPSILON 2.220446049250313e-16
#define RG_REAL_LEAST   2.2250738585072014e-308 /* that is normal */
#else
typedef float RgReal;
#define RG_REAL_EPSILON 1.1920929e-07
#define RG_REAL_LEAST   1.17549435e-38
#endif

typedef enum RgStatus {
    RG_OK = 0,
    RG_E_USAGE,   /* bad command line or config: exit status 2 */
    RG_E_FILE,    /* cannot open, read or write */
    RG_E_FORMAT,  /* a file's content is not what its format says */
    RG_E_CONTEXT, /* a sequence is longer than the policy's context */
    RG_E_RANGE,   /* a value or an index outside its allowed range */
    RG_E_STORE,   /* the results store refused */
    RG_E_JUDGE,   /* a judge outside of the program did not answer */
    RG_E_STOPPED, /* interrupted by a signal; what was done so far is saved */
} RgStatus;

/* One message with context, owned by the caller, usually on its stack: RgError error = {0}; */
typedef struct RgError {
    char text[1024];
} RgError;

/* Set the message; returns `status`, so that a function can end with it. `error` may be NULL.
 * Control characters in it become spaces or '?': the message is one line, whatever it quotes. One
 * that is too long ends in "…". */
RgStatus rg_fail(RgError *error, RgStatus status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "context: " in front of a message that is already set; returns `status`. */
RgStatus rg_fail_in(RgError *error, RgStatus status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Return early with the status of a failed call. */
#define RG_TRY(call)                                                                               \
    do {                                                                                           \
        RgStatus rg_try_status = (call);                                                           \
        if (rg_try_status != RG_OK)                                                                \
            return rg_try_status;                                                                  \
    } while (0)

/* A broken invariant of the program: prints the condition, file and line, and aborts. Always on. */
#define RG_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : rg_assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void rg_assert_failed(const char *condition, const char *file, int line);

/* malloc family that never returns NULL: running out of memory ends the program with a message.
 * Freed with free(). */
/* What memory is taken for from now on, by all threads: a file's name, or a key's. The message when
 * there is none left begins with it. Borrowed; NULL: nobody says. Returns what it was before, to be
 * set again. */
const char *rg_memory_for(const char *purpose);
void *rg_allocate(size_t bytes);         /* zeroed */
void *rg_allocate_aligned(size_t bytes); /* to 64 bytes; not zeroed */
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

/* The shortest decimal that reads back to the same bits. A number has an exponent where it is 10^
 * `digits` or more, or small: 6 for people, 15 where whole numbers are to look like such. Returns
 * `text`. */
enum { RG_REAL_TEXT = 32 };
const char *rg_real_text(double value, int digits, char text[RG_REAL_TEXT]);

/* Scratch memory that is kept from call to call, mostly one thread's own: start it zeroed. */
typedef struct RgRoom {
    void *memory;
    size_t size;
} RgRoom;
void *rg_room(RgRoom *room, size_t bytes); /* at least so many, aligned; what was there is lost */

/* Give the whole pages of a part of such memory back to the system: what was in the part is lost,
 * and may be read as zeros or as it was. */
void rg_discard(void *memory, size_t bytes);

/* Edits that lead from a to b: insert, delete, replace, swap neighbours. */
int rg_edit_distance(const char *a, const char *b);

/* Name in `names` (NULL-terminated) with the smallest edit distance to `name`, or NULL when none is
 * near enough to be what was meant. For messages: unknown key "bta", did you mean "beta"? */
const char *rg_nearest_name(const char *name, const char *const *names);

/* "a, b, c" of names (NULL-terminated) for a message; of more than 400 bytes the first ones, "and
 * 12 more". malloc'd. */
char *rg_list_names(const char *const *names);

/* 64-bit FNV-1a of `size` bytes, continued from `hash` (start with RG_HASH_START). Names results
 * and caches by content. */
#define RG_HASH_START UINT64_C(14695981039346656037)
uint64_t rg_hash(uint64_t hash, const void *bytes, size_t size);

/* Seconds of a clock that only goes forward. */
double rg_clock_seconds(void);

/* Read a whole file of at most 1 GiB into memory (NUL-terminated, `size` without the NUL); the
 * caller frees. */
RgStatus rg_file_read(const char *path, char **content, size_t *size, RgError *error);

typedef struct RgBytes {
    const void *data;
    size_t size;
} RgBytes;

/* A regular file's content as memory, page by page as it is read. The file must stay as it is. */
RgStatus rg_file_map(const char *path, RgBytes *content, RgError *error);
void rg_file_unmap(RgBytes *content);

/* Make a folder, which may be there already; all folders above a file's path, such as "a" and "a/b"
 * of "a/b/c"; remove a folder with all in it. */
RgStatus rg_folder_make(const char *path, RgError *error);
RgStatus rg_folders_make_above(const char *path, RgError *error);
void rg_folder_remove(const char *folder);

/* Where a file or folder is that comes with the program, such as "analysis/papers": in the source
 * tree that the environment names (RG_SOURCE_DIR), in the one whose build folder the program lies
 * in, or where it was installed, be it that all of that was moved. malloc'd; it need not be there.
 */
char *rg_own_file(const char *name);

#endif
