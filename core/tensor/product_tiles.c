/* Products in bf16 on AMX, whose tiles multiply numbers in bf16 and sum them in fp32, sixteen times
 * as many at once as vectors of fp32 do. Numbers are rounded as they are copied, both of a and of
 * b, into tiles [16, 32] next to each other, [steps of k, 2 tiles]: of a with rows of k; of b with
 * columns side by side and two k in each of a tile's cells. Which two is free as long as a and b
 * agree: here they are k and k + 16. */
#include "core/tensor/product_kernel.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(RG_DOUBLE)

#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RG_LANES 16
#define TARGET   RG_FOR_AVX512
#include "core/tensor/vectors_lanes.h"

#define TILES  __attribute__((target(RG_AVX512_TARGET ",avx512bf16,amx-tile,amx-bf16")))
#define INLINE RG_INLINE

enum {
    SIDE = RG_LANES, /* rows of a tile, and cells of a row */
    STEP = 2 * SIDE, /* of k in a tile */
    PAIR = 2 * SIDE, /* rows or columns of two tiles side by side */
    TILE_BYTES = SIDE * SIDE * 4,
    PAIR_BYTES = 2 * TILE_BYTES,
    BLOCK_K = 512,
    MOST_K = 2 * BLOCK_K,
};

static int64_t steps_of(const RgProduct *p) {
    return (p->k + STEP - 1) / STEP;
}

/* ---- copying ---- */

/* Sixteen numbers, and the sixteen that share cells with them. */
typedef struct Cells {
    __m512 low, high;
} Cells;

/* Numbers in bf16: the even one of two that are as near, and no number stays none. */
TILES INLINE __m512i round_cells(Cells x) {
    static const uint16_t apart[STEP] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                         21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                         11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(apart),
                                    (__m512i)_mm512_cvtne2ps_pbh(x.high, x.low));
}

TILES INLINE __mmask16 first_of(int64_t count) {
    return count >= SIDE ? 0xFFFF : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

/* Line `i` of the cells of a tile at x, whose stored rows go along k, `count` of them … */
TILES INLINE Cells cells_along(const RgReal *x, int64_t stride, int i, int64_t count, int64_t k) {
    if (i >= count)
        return (Cells){_mm512_setzero_ps(), _mm512_setzero_ps()};
    return (Cells){_mm512_maskz_loadu_ps(first_of(k), x + i * stride),
                   _mm512_maskz_loadu_ps(first_of(k - SIDE), x + i * stride + SIDE)};
}

/* … or across it. */
TILES INLINE Cells cells_across(const RgReal *x, int64_t stride, int i, int64_t count, int64_t k) {
    __mmask16 low = i < k ? first_of(count) : 0, high = i + SIDE < k ? first_of(count) : 0;
    return (Cells){_mm512_maskz_loadu_ps(low, x + i * stride),
                   _mm512_maskz_loadu_ps(high, x + (i + SIDE) * stride)};
}

/* One operand: its numbers [k, size], or [size, k] where `along`. */
typedef struct Operand {
    const RgReal *numbers;
    int64_t stride, k;
    bool along, turned; /* turned: its tiles have to be */
} Operand;

/* The tile at number `at` and step `step`, of which `count` rows or columns exist. */
TILES INLINE void copy_tile(const Operand *x, int64_t at, int64_t count, int64_t step, bool along,
                            Lanes *tile) {
    int64_t k = step * STEP, left = x->k - k;
    const RgReal *from = x->numbers + (along ? at * x->stride + k : k * x->stride + at);
    for (int i = 0; i < SIDE; i++)
        tile[i] = (Lanes)round_cells(along ? cells_along(from, x->stride, i, count, left)
                                           : cells_across(from, x->stride, i, count, left));
    if (x->turned)
        transpose(tile);
}

/* Two tiles side by side, of the rows or columns from `at` on that come before `end`. */
TILES static void copy_pair(const Operand *x, int64_t at, int64_t end, int64_t step, char *to) {
    for (int half = 0; half < 2; half++, at += SIDE, to += TILE_BYTES)
        if (x->along) /* a constant */
            copy_tile(x, at, end - at, step, true, (Lanes *)to);
        else
            copy_tile(x, at, end - at, step, false, (Lanes *)to);
}

static int64_t panel_bytes(const RgProduct *p) {
    return steps_of(p) * PAIR_BYTES;
}

/* b is read along its rows, as it is stored. */
static void pack(const RgProduct *p, int64_t column, int64_t end, int64_t first, int64_t last,
                 void *packed) {
    const Operand b = {p->b, p->ldb, p->k, p->transpose_b, p->transpose_b};
    int64_t steps = steps_of(p), panels = last - first;
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

/* The sums of a block [2, SIDE, 2, SIDE]; without its second rows or columns where it is not tall
 * or not broad. Tiles 0 to 3 are sums, 4 and 5 rows of a, 6 and 7 columns of b. */
TILES INLINE void sum_block(const char *a, const char *b, int64_t steps, bool tall, bool broad,
                            RgReal *sum) {
    const int64_t row = PAIR * sizeof *sum;
    __asm__ volatile("" ::: "memory"); /* the intrinsics that read memory do not say so */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t i = 0; i < steps; i++, a += PAIR_BYTES, b += PAIR_BYTES) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (tall) {
            _tile_loadd(5, a + TILE_BYTES, 64);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (broad) {
            _tile_loadd(7, b + TILE_BYTES, 64);
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
    __m512 factor = _mm512_set1_ps(alpha), keep = _mm512_set1_ps(beta);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t at = 0; at < columns; at += SIDE) {
            __mmask16 mask = first_of(columns - at);
            RgReal *to = c + r * ldc + at;
            __m512 y = _mm512_mul_ps(factor, _mm512_loadu_ps(sum + r * PAIR + at));
            if (beta != 0)
                y = _mm512_fmadd_ps(keep, _mm512_maskz_loadu_ps(mask, to), y);
            _mm512_mask_storeu_ps(to, mask, y);
        }
}

/* c is there when the sums are. */
static void fetch(const RgReal *c, int64_t ldc, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        __builtin_prefetch(c + r * ldc, 1);
        __builtin_prefetch(c + r * ldc + SIDE, 1);
    }
}

/* The copy of two tiles' rows is read by all panels. */
TILES static void multiply(const RgProduct *p, const void *packed, int64_t column,
                           int64_t first_row, int64_t last_row, int64_t panels) {
    static _Thread_local RgRoom room;
    const Operand a = {p->a, p->lda, p->k, !p->transpose_a, p->transpose_a};
    int64_t steps = steps_of(p), panel_size = panel_bytes(p);
    char *copy = rg_room(&room, (size_t)(MOST_K / STEP * PAIR_BYTES));
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
static bool usable;

/* The system lends the room for tiles to programs that ask for it. */
static void ask(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    const unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24, avx512_bf16 = 1u << 5;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    usable = rg_instructions() == RG_AVX512 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) &&
             (eax & avx512_bf16) && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
             (edx & amx_bf16) && (edx & amx_tile) &&
             syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

const RgProductKernel *rg_product_tiles(void) {
    static const RgProductKernel kernel = {
        .panel = PAIR,
        .unit = PAIR,
        .block_rows = PAIR,
        .least_rows = 2 * PAIR,
        .block_k = BLOCK_K,
        .unit_k = STEP,
        .packed = 960 * 1024,
        .panel_bytes = panel_bytes,
        .pack = pack,
        .multiply = multiply,
    };
    pthread_once(&once, ask);
    return usable ? &kernel : NULL;
}

#else

const RgProductKernel *rg_product_tiles(void) {
    return NULL;
}

#endif
