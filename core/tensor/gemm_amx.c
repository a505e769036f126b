/* SPDX-License-Identifier: MIT */
/* bf16 matrix products on AMX, whose tiles multiply bf16 numbers and sum in fp32, sixteen times as
 * many at once as fp32 vectors. The numbers of a and b are rounded while they are copied into
 * adjacent tiles of cells, [steps of k, 2 tiles]: a in rows of cells, b in columns. */
#include "core/tensor/gemm_kernel.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(RG_DOUBLE)

#include "core/tensor/bf16_vectors.h"

#include <cpuid.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TILES  __attribute__((target(RG_BF16_TARGET ",amx-tile,amx-bf16")))
#define INLINE RG_INLINE

enum {
    SIDE = RG_TILE_SIDE,
    PAIR = 2 * SIDE, /* rows or columns of two adjacent tiles */
    PAIR_BYTES = 2 * RG_TILE_BYTES,
    BLOCK_K = 512,
    MOST_K = 2 * BLOCK_K,
};

/* ---- copying ---- */

/* Copies two adjacent tiles, of the rows or columns from `at` on that come before `end`. */
TILES static void copy_pair(const RgOperand *x, int64_t at, int64_t end, int64_t step, char *to) {
    rg_tile_copy(x, at, end - at, step, to);
    rg_tile_copy(x, at + SIDE, end - at - SIDE, step, to + RG_TILE_BYTES);
}

static int64_t panel_bytes(const RgGemm *p) {
    return rg_tile_steps(p) * PAIR_BYTES;
}

/* Reads b along its stored rows. */
static void pack(const RgGemm *p, int64_t column, int64_t end, int64_t first, int64_t last,
                 void *packed) {
    const RgOperand b = {p->b, p->b_stored, p->ldb, p->k, p->transpose_b, p->transpose_b};
    int64_t steps = rg_tile_steps(p), panels = last - first;
    for (int64_t i = 0; i < steps * panels; i++) {
        int64_t panel = first + (b.along ? i / steps : i % panels),
                step = b.along ? i % steps : i / panels;
        copy_pair(&b, column + panel * PAIR, end, step,
                  (char *)packed + panel * panel_bytes(p) + step * PAIR_BYTES);
    }
}

/* ---- multiplying ---- */

typedef struct TileConfig {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileConfig;

static const TileConfig all_whole = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE},
};

/* The sums of a block [2, SIDE, 2, SIDE], without its second rows or columns if it is not tall or
 * not broad. Tiles 0 to 3 are sums, 4 and 5 rows of a, 6 and 7 columns of b. */
TILES INLINE void sum_block(const char *a, const char *b, int64_t steps, bool tall, bool broad,
                            RgReal *sum) {
    const int64_t row = PAIR * sizeof *sum;
    __asm__ volatile("" ::: "memory"); /* the intrinsics that read memory do not declare it */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t i = 0; i < steps; i++, a += PAIR_BYTES, b += PAIR_BYTES) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (tall) {
            _tile_loadd(5, a + RG_TILE_BYTES, 64);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (broad) {
            _tile_loadd(7, b + RG_TILE_BYTES, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (tall && broad)
            _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sum, row);
    if (broad)
        _tile_stored(1, sum + SIDE, row);
    if (tall)
        _tile_stored(2, sum + SIDE * PAIR, row);
    if (tall && broad)
        _tile_stored(3, sum + SIDE * PAIR + SIDE, row);
}

TILES static void sum_any(const char *a, const char *b, int64_t steps, bool tall, bool broad,
                          RgReal *sum) {
    if (tall && broad)
        sum_block(a, b, steps, true, true, sum);
    else if (tall)
        sum_block(a, b, steps, true, false, sum);
    else if (broad)
        sum_block(a, b, steps, false, true, sum);
    else
        sum_block(a, b, steps, false, false, sum);
}

/* c = alpha · sum + beta · c of a block */
TILES static void store(RgReal alpha, RgReal beta, const RgReal *sum, int64_t rows, int64_t columns,
                        RgReal *c, int64_t ldc) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t at = 0; at < columns; at += SIDE)
            rg_lanes_store(c + r * ldc + at, rg_first_lanes(columns - at), alpha, beta,
                           _mm512_loadu_ps(sum + r * PAIR + at));
}

/* Prefetches c, which is needed together with the sums. */
static void fetch(const RgReal *c, int64_t ldc, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        __builtin_prefetch(c + r * ldc, 1);
        __builtin_prefetch(c + r * ldc + SIDE, 1);
    }
}

/* All panels read the copy of two tiles' rows. */
TILES static void multiply(const RgGemm *p, const void *packed, int64_t column, int64_t first_row,
                           int64_t last_row, int64_t panels) {
    static _Thread_local RgScratch scratch;
    const RgOperand a = {p->a, NULL, p->lda, p->k, !p->transpose_a, p->transpose_a};
    int64_t steps = rg_tile_steps(p), panel_size = panel_bytes(p);
    char *copy = rg_scratch(&scratch, (size_t)(MOST_K / RG_TILE_K * PAIR_BYTES));
    RgReal sum[PAIR * PAIR] __attribute__((aligned(64)));
    _tile_loadconfig(&all_whole);
    for (int64_t row = first_row; row < last_row; row += PAIR) {
        int64_t rows = last_row - row < PAIR ? last_row - row : PAIR;
        for (int64_t step = 0; step < steps; step++)
            copy_pair(&a, row, last_row, step, copy + step * PAIR_BYTES);
        for (int64_t panel = 0; panel < panels; panel++) {
            int64_t at = column + panel * PAIR, columns = p->n - at < PAIR ? p->n - at : PAIR;
            RgReal *c = p->c + row * p->ldc + at;
            fetch(c, p->ldc, rows);
            sum_any(copy, (const char *)packed + panel * panel_size, steps, rows > SIDE,
                    columns > SIDE, sum);
            store(p->alpha, p->beta, sum, rows, columns, c, p->ldc);
        }
    }
    _tile_release();
}

/* ---- the kernel ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_tiles;

/* The system provides memory for tiles only to programs that request it. */
static void ask(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    const unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    has_tiles = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & amx_bf16) &&
                (edx & amx_tile) && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

const RgGemmKernel *rg_gemm_amx(void) {
    static const RgGemmKernel kernel = {
        .name = "AMX",
        .panel = PAIR,
        .unit = PAIR,
        .block_rows = PAIR,
        .least_rows = 2 * PAIR,
        .block_k = BLOCK_K,
        .unit_k = RG_TILE_K,
        .packed = 960 * 1024,
        .panel_bytes = panel_bytes,
        .pack = pack,
        .multiply = multiply,
    };
    if (!rg_has_bf16_vectors()) /* tested each time, because the set in use may have changed */
        return NULL;
    pthread_once(&once, ask);
    return has_tiles ? &kernel : NULL;
}

#else

const RgGemmKernel *rg_gemm_amx(void) {
    return NULL;
}

#endif
