/* SPDX-License-Identifier: MIT */
/* What every file of Regatta may use: the number type, statuses and errors, assertions.
 * Memory (core/memory.h) comes with it, as every file allocates.
 *
 * Three kinds of trouble are kept apart:
 *   - the outside world (no file, bad value, disk full): the function returns an RgStatus other
 * than RG_OK and leaves one sentence in the caller's RgError, naming file, line, key, what was
 * found and what was expected;
 *   - a broken invariant of the program itself: RG_ASSERT, which aborts with file and line;
 *   - the science (a diverged trial): neither, but a recorded outcome. */
#ifndef RG_CORE_BASE_H
#define RG_CORE_BASE_H

#include "core/memory.h"

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

typedef struct RgBytes {
    const void *data;
    size_t size;
} RgBytes;

/* 64-bit FNV-1a of `size` bytes, continued from `hash` (start with RG_HASH_START). Names results
 * and caches by content. */
#define RG_HASH_START UINT64_C(14695981039346656037)
uint64_t rg_hash(uint64_t hash, const void *bytes, size_t size);

/* Seconds of a clock that only goes forward. */
double rg_clock_seconds(void);

#endif
