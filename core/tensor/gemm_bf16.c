/* SPDX-License-Identifier: MIT */
/* bf16 matrix products on AVX512_BF16, whose vectors multiply two bf16 numbers for each sum in
 * fp32, twice as many at once as fp32 vectors. The numbers of a and b are rounded while they are
 * copied into tiles of cells, [panels, cells of k, LANES]: b into panels of 16 columns, a into
 * panels of 16 rows. Each cell of a is multiplied by whole vectors of b, and a block of c stays in
 * registers over k. */
#include "core/tensor/gemm_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(RG_DOUBLE)

#include "core/tensor/bf16_vectors.h"

#define BF16 RG_FOR_BF16

enum {
    LANES = RG_LANES,
    CELLS_BYTES = 4 * LANES, /* of a vector of cells */
    BLOCK_K = 512,
    MOST_K = 2 * BLOCK_K,
    BLOCK_ROWS = 8,   /* rows and … */
    BLOCK_PANELS = 3, /* … panels whose sums fill the registers */
    TILE_ROWS = 64,   /* of a, that stay in the cache for all panels */
};

/* ---- copying ---- */

static int64_t panel_bytes(const RgGemm *p) {
    return rg_tile_steps(p) * RG_TILE_BYTES;
}

/* Copies panels [first, last) of the rows or columns from `at` on that come before `end`. Memory is
 * read along its rows, which are those of a panel or of a step of k. */
BF16 static void copy_panels(const RgOperand *x, int64_t at, int64_t end, int64_t first,
                             int64_t last, int64_t steps, char *to) {
    int64_t panels = last - first;
    for (int64_t i = 0; i < steps * panels; i++) {
        int64_t panel = first + (x->along ? i / steps : i % panels),
                step = x->along ? i % steps : i / panels, line = at + panel * LANES;
        rg_tile_copy(x, line, end - line, step, to + (panel * steps + step) * RG_TILE_BYTES);
    }
}

static void pack(const RgGemm *p, int64_t column, int64_t end, int64_t first, int64_t last,
                 void *packed) {
    const RgOperand b = {p->b, p->b_stored, p->ldb, p->k, p->transpose_b, p->transpose_b};
    copy_panels(&b, column, end, first, last, rg_tile_steps(p), packed);
}

/* ---- multiplying ---- */

/* Some rows and panels of c over a part of k. */
typedef struct Block {
    const char *a;       /* its first panel of rows, */
    const char *b;       /* and of columns */
    int64_t panel_bytes; /* from one panel to the next */
    int64_t cells;       /* of k */
    RgReal alpha, beta;
    RgReal *c;
    int64_t ldc, rows, columns; /* rows and columns of c that remain from here on */
} Block;

/* Computes BLOCK_ROWS rows, of which `rows` exist. `panels` is a constant after inlining, so the
 * sums stay in registers (until they are stored in c, hence the unrolling). */
RG_BF16_INLINE void multiply(const Block *block, const char *a, RgReal *c, int64_t rows,
                             int panels) {
    const char *b = block->b;
    int64_t panel_size = block->panel_bytes, ldc = block->ldc;
    __m512 sum[BLOCK_ROWS * BLOCK_PANELS];
#pragma GCC unroll 24
    for (int i = 0; i < BLOCK_ROWS * panels; i++)
        sum[i] = _mm512_setzero_ps();
    for (int64_t r = 0; r < rows && r < BLOCK_ROWS; r++) /* prefetch c for the end */
        for (int q = 0; q < panels; q++)
            __builtin_prefetch(c + r * ldc + q * LANES, 1);
    for (int64_t i = 0; i < block->cells; i++, a += CELLS_BYTES, b += CELLS_BYTES) {
        __m512bh w[BLOCK_PANELS];
        for (int q = 0; q < panels; q++)
            w[q] = (__m512bh)_mm512_load_si512(b + q * panel_size);
        for (int r = 0; r < BLOCK_ROWS; r++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32(((const int32_t *)a)[r]);
            for (int q = 0; q < panels; q++)
                sum[q * BLOCK_ROWS + r] = _mm512_dpbf16_ps(sum[q * BLOCK_ROWS + r], x, w[q]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < BLOCK_ROWS; r++)
#pragma GCC unroll 3
        for (int q = 0; q < panels; q++)
            if (r < rows)
                rg_lanes_store(c + r * ldc + q * LANES, rg_first_lanes(block->columns - q * LANES),
                               block->alpha, block->beta, sum[q * BLOCK_ROWS + r]);
}

RG_BF16_INLINE void multiply_rows(const Block *b, int panels) {
    for (int64_t row = 0; row < b->rows; row += BLOCK_ROWS)
        multiply(b, b->a + row / LANES * b->panel_bytes + row % LANES * 4, b->c + row * b->ldc,
                 b->rows - row, panels);
}

BF16 static void multiply_panels(const Block *b, int64_t panels) {
    if (panels == 3)
        multiply_rows(b, 3);
    else if (panels == 2)
        multiply_rows(b, 2);
    else
        multiply_rows(b, 1);
}

/* How many of the remaining panels are multiplied at once. Four are two and two: the sums of a
 * single panel would wait for one another. */
static int64_t panels_at_once(int64_t panels) {
    return panels == 4 ? 2 : panels < BLOCK_PANELS ? panels : BLOCK_PANELS;
}

/* Copies some rows of a, rounded. */
BF16 static const char *copy_rows(const RgGemm *p, int64_t row, int64_t rows) {
    static _Thread_local RgScratch scratch;
    const RgOperand a = {p->a, NULL, p->lda, p->k, !p->transpose_a, !p->transpose_a};
    char *copy = rg_scratch(&scratch, sizeof(RgBf16) * TILE_ROWS * MOST_K);
    copy_panels(&a, row, row + rows, 0, (rows + LANES - 1) / LANES, rg_tile_steps(p), copy);
    return copy;
}

static void multiply_all(const RgGemm *p, const void *packed, int64_t column, int64_t first_row,
                         int64_t last_row, int64_t panels) {
    for (int64_t row = first_row; row < last_row; row += TILE_ROWS) {
        int64_t rows = last_row - row < TILE_ROWS ? last_row - row : TILE_ROWS;
        const char *copy = copy_rows(p, row, rows);
        for (int64_t panel = 0, count; panel < panels; panel += count) {
            int64_t c_column = column + panel * LANES;
            Block b = {.a = copy,
                       .b = (const char *)packed + panel * panel_bytes(p),
                       .panel_bytes = panel_bytes(p),
                       .cells = rg_tile_steps(p) * RG_TILE_SIDE,
                       .alpha = p->alpha,
                       .beta = p->beta,
                       .c = p->c + row * p->ldc + c_column,
                       .ldc = p->ldc,
                       .rows = rows,
                       .columns = p->n - c_column};
            count = panels_at_once(panels - panel);
            multiply_panels(&b, count);
        }
    }
}

const RgGemmKernel *rg_gemm_bf16(void) {
    static const RgGemmKernel kernel = {
        .name = "AVX512_BF16",
        .panel = LANES,
        .unit = BLOCK_PANELS * LANES,
        .block_rows = BLOCK_ROWS,
        .least_rows = TILE_ROWS,
        .block_k = BLOCK_K,
        .unit_k = RG_TILE_K,
        .packed = 768 * 1024,
        .panel_bytes = panel_bytes,
        .pack = pack,
        .multiply = multiply_all,
    };
    return rg_has_bf16_vectors() ? &kernel : NULL;
}

#else

const RgGemmKernel *rg_gemm_bf16(void) {
    return NULL;
}

#endif
