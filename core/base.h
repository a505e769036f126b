/* SPDX-License-Identifier: MIT */
/* What every file of Regatta may use: the number type, statuses and errors, assertions, and memory
 * (core/memory.h).
 *
 * There are three kinds of failure, and each is handled in its own way:
 *   - The outside world (no file, a bad value, a full disk): the function returns an RgStatus other
 *     than RG_OK and leaves one sentence in the caller's RgError. It names the file, line and key,
 *     what was found and what was expected.
 *   - A broken invariant of the program itself: RG_ASSERT, which aborts with file and line.
 *   - The science (a diverged trial): neither. It is a recorded outcome.
 *
 * Threads: every function here may be called from any thread. */
#ifndef RG_CORE_BASE_H
#define RG_CORE_BASE_H

#include "core/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number type of tensors: float in the program. The tests also build the same sources with
 * RG_DOUBLE, to check gradients against finite differences. */
#ifdef RG_DOUBLE
typedef double RgReal;
#define RG_REAL_EPSILON 2.220446049250313e-16
#define RG_REAL_LEAST   2.2250738585072014e-308 /* smallest normal number */
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
    RG_E_CONTEXT, /* a sequence exceeds the policy's context */
    RG_E_RANGE,   /* a value or an index outside its allowed range */
    RG_E_STORE,   /* the results store could not be read or written */
    RG_E_JUDGE,   /* an external judge did not answer */
    RG_E_STOPPED, /* interrupted by a signal; completed work is saved */
} RgStatus;

/* One message with context. The caller owns it, usually on the stack: RgError error = {0}; */
typedef struct RgError {
    char text[1024];
} RgError;

/* Sets the message and returns `status`, so that a function can end with it. `error` may be NULL.
 * Control characters become spaces or '?', so the message is always one line. A message that is too
 * long is truncated and ends in "…". */
RgStatus rg_fail(RgError *error, RgStatus status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of a message that is already set. Returns `status`. */
RgStatus rg_fail_in(RgError *error, RgStatus status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns early with the status of a failed call. */
#define RG_TRY(call)                                                                               \
    do {                                                                                           \
        RgStatus rg_try_status = (call);                                                           \
        if (rg_try_status != RG_OK)                                                                \
            return rg_try_status;                                                                  \
    } while (0)

/* For an invariant of the program: prints the condition, file and line, and aborts. Always on. */
#define RG_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : rg_assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void rg_assert_failed(const char *condition, const char *file, int line);

typedef struct RgBytes {
    const void *data;
    size_t size;
} RgBytes;

/* The shortest decimal that reads back to the same bits. It has an exponent if the number is small
 * or at least 10^`digits`: use 6 for people, and 15 where whole numbers should look like integers.
 * Returns `text`. */
enum { RG_REAL_TEXT = 32 };
const char *rg_real_text(double value, int digits, char text[RG_REAL_TEXT]);

/* 64-bit FNV-1a of `size` bytes, continued from `hash` (start with RG_HASH_START). Identifies
 * results and caches by their content. */
#define RG_HASH_START UINT64_C(14695981039346656037)
uint64_t rg_hash(uint64_t hash, const void *bytes, size_t size);

/* Seconds of a monotonic clock. */
double rg_clock_seconds(void);

#endif
