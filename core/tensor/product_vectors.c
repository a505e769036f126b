/* Products on AVX-512: b is copied into panels of LANES columns, [panels, k, LANES], which are read
 * from front to back; a is read where it lies (transposed, it is copied too: k would go down its
 * columns), a number at a time, and each is multiplied with whole vectors. A block of c stays in
 * registers while k goes by. */
#include "core/tensor/kernels.h"
#include "core/tensor/product_kernel.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(RG_DOUBLE)

enum {
    LANES = RG_LANES,
    BLOCK_K = 256,        /* so long that two panels fit L1 … */
    MOST_K = 2 * BLOCK_K, /* … where it does not divide */
    BLOCK_ROWS = 8,       /* rows and … */
    BLOCK_PANELS = 2,     /* … panels whose sums fill the registers */
    TILE_ROWS = 128,      /* of a, that stay in the cache while the panels go by */
};

/* ---- copying b ---- */

/* Whole panels of b as it lies, side by side: memory is read along rows. */
RG_WIDE static void pack_plain(const RgProduct *p, int64_t column, int64_t panels, RgReal *packed) {
    for (int64_t k = 0; k < p->k; k++) {
        const RgReal *row = p->b + k * p->ldb + column;
        for (int64_t i = 0; i < panels; i++)
            *(RgLanes *)(packed + (i * p->k + k) * LANES) = *(const RgLanes *)(row + i * LANES);
    }
}

/* The last panel, with zeros in the columns that b does not have. */
static void pack_rest(const RgProduct *p, int64_t column, int64_t columns, RgReal *panel) {
    size_t bytes = sizeof *panel * (size_t)columns;
    memset(panel, 0, sizeof *panel * (size_t)(p->k * LANES));
    for (int64_t k = 0; k < p->k; k++)
        memcpy(panel + k * LANES, p->b + k * p->ldb + column, bytes);
}

/* A panel of b transposed, of which `columns` exist. */
RG_WIDE static inline __attribute__((always_inline)) void
transpose_panel(const RgProduct *p, int64_t column, int64_t columns, RgReal *panel) {
    const RgReal *from = p->b + column * p->ldb;
    int64_t k = 0;
    for (; k + LANES <= p->k; k += LANES) {
        RgLanes square[LANES] = {{0}};
        for (int lane = 0; lane < columns; lane++)
            square[lane] = *(const RgLanes *)(from + lane * p->ldb + k);
        rg_lanes_transpose(square);
        memcpy(panel + k * LANES, square, sizeof square);
    }
    for (; k < p->k; k++)
        for (int lane = 0; lane < LANES; lane++)
            panel[k * LANES + lane] = lane < columns ? from[lane * p->ldb + k] : 0;
}

RG_WIDE static void pack_transposed(const RgProduct *p, int64_t column, int64_t columns,
                                    RgReal *panel) {
    if (columns == LANES) /* a constant, for whole vectors that stay in registers */
        transpose_panel(p, column, LANES, panel);
    else
        transpose_panel(p, column, columns, panel);
}

static void pack(const RgProduct *p, int64_t column, int64_t end, int64_t first, int64_t last,
                 void *packed) {
    RgReal *panels = packed;
    int64_t whole = p->transpose_b ? 0 : (end - column) / LANES;
    if (first < whole)
        pack_plain(p, column + first * LANES, (last < whole ? last : whole) - first,
                   panels + first * p->k * LANES);
    for (int64_t i = first > whole ? first : whole; i < last; i++) {
        int64_t at = column + i * LANES, columns = end - at < LANES ? end - at : LANES;
        if (p->transpose_b)
            pack_transposed(p, at, columns, panels + i * p->k * LANES);
        else
            pack_rest(p, at, columns, panels + i * p->k * LANES);
    }
}

static int64_t panel_bytes(const RgProduct *p) {
    return (int64_t)sizeof(RgReal) * p->k * LANES;
}

/* ---- multiplying ---- */

/* Some rows and panels of c over some k. */
typedef struct Block {
    const RgReal *a;     /* of its first row and k */
    bool copied;         /* a is: [rows / BLOCK_ROWS, k, BLOCK_ROWS] */
    int64_t row;         /* stride of a along rows where it is not; along k it is 1 */
    const RgReal *panel; /* of its first panel and k */
    int64_t panel_size;  /* numbers from one panel to the next */
    int64_t k;
    RgReal alpha, beta;
    RgReal *c;
    int64_t ldc, columns; /* of c that exist from here on */
} Block;

/* c = alpha · sum + beta · c of a whole vector … */
RG_WIDE static inline __attribute__((always_inline)) void store(RgReal *c, RgReal alpha,
                                                                RgReal beta, RgLanes sum) {
    RgLanes y = alpha * sum;
    if (beta != 0)
        y += beta * *(const RgLanes *)c;
    *(RgLanes *)c = y;
}

/* … and of as many columns as there are. */
RG_WIDE static __attribute__((noinline)) void store_some(RgReal *c, int64_t columns, RgReal alpha,
                                                         RgReal beta, RgLanes sum) {
    if (columns >= LANES) {
        store(c, alpha, beta, sum);
        return;
    }
    RgLanes y = alpha * sum;
    for (int64_t lane = 0; lane < columns; lane++)
        c[lane] = beta != 0 ? y[lane] + beta * c[lane] : y[lane];
}

/* `rows` and `panels` are constants where this is inlined, so that the sums stay in registers (all
 * the way to c, hence the unrolling), and so is the stride that is 1. */
RG_WIDE static inline __attribute__((always_inline)) void multiply(const Block *b, const RgReal *a,
                                                                   int64_t row, int64_t step,
                                                                   RgReal *c, int rows,
                                                                   int panels) {
    const RgReal *panel = b->panel;
    int64_t panel_size = b->panel_size, steps = b->k, ldc = b->ldc;
    RgLanes sum[BLOCK_ROWS * BLOCK_PANELS];
    for (int i = 0; i < rows * panels; i++)
        sum[i] = (RgLanes){0};
    for (int q = 0; q < panels; q++) /* so that c is there when the sums are */
        for (int r = 0; r < rows; r++)
            __builtin_prefetch(c + r * ldc + q * LANES, 1);
    for (int64_t k = 0; k < steps; k++, a += step, panel += LANES)
        for (int q = 0; q < panels; q++) {
            RgLanes w = *(const RgLanes *)(panel + q * panel_size);
            for (int r = 0; r < rows; r++)
                sum[q * rows + r] += a[r * row] * w;
        }
    RgReal alpha = b->alpha, beta = b->beta;
    bool whole = b->columns >= (int64_t)panels * LANES;
#pragma GCC unroll 2
    for (int q = 0; q < panels; q++)
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            if (whole)
                store(c + r * ldc + q * LANES, alpha, beta, sum[q * rows + r]);
            else
                store_some(c + r * ldc + q * LANES, b->columns - q * LANES, alpha, beta,
                           sum[q * rows + r]);
}

/* Rows 0 … rows−1: in eights, `group` numbers of a apart, and what is left in a four, a two and a
 * one. */
RG_WIDE static inline __attribute__((always_inline)) void
multiply_rows(const Block *b, int64_t group, int64_t row, int64_t step, int64_t rows, int panels) {
    const RgReal *a = b->a;
    RgReal *c = b->c;
    for (; rows >= 8; rows -= 8, a += group, c += 8 * b->ldc)
        multiply(b, a, row, step, c, 8, panels);
    if (rows >= 4) {
        multiply(b, a, row, step, c, 4, panels);
        rows -= 4, a += 4 * row, c += 4 * b->ldc;
    }
    if (rows >= 2) {
        multiply(b, a, row, step, c, 2, panels);
        rows -= 2, a += 2 * row, c += 2 * b->ldc;
    }
    if (rows > 0)
        multiply(b, a, row, step, c, 1, panels);
}

RG_WIDE static void multiply_panels(const Block *b, int64_t rows, int panels) {
    int64_t copied = b->k * BLOCK_ROWS, lying = b->row * BLOCK_ROWS;
    if (b->copied && panels == BLOCK_PANELS)
        multiply_rows(b, copied, 1, BLOCK_ROWS, rows, BLOCK_PANELS);
    else if (b->copied)
        multiply_rows(b, copied, 1, BLOCK_ROWS, rows, 1);
    else if (panels == BLOCK_PANELS)
        multiply_rows(b, lying, b->row, 1, rows, BLOCK_PANELS);
    else
        multiply_rows(b, lying, b->row, 1, rows, 1);
}

/* Some columns of a transposed, as rows that lie in groups: [rows / BLOCK_ROWS, k, BLOCK_ROWS].
 * Two groups at a time, which are one vector of a. */
RG_WIDE static void copy_transposed(const RgReal *a, int64_t lda, int64_t rows, int64_t k,
                                    RgReal *copy) {
    typedef RgReal Half __attribute__((vector_size(BLOCK_ROWS * sizeof(RgReal)),
                                       aligned(sizeof(RgReal)), may_alias));
    int64_t group = k * BLOCK_ROWS, row = 0;
    for (; row + LANES <= rows; row += LANES, copy += 2 * group)
        for (int64_t i = 0; i < k; i++) {
            const RgReal *from = a + i * lda + row;
            *(Half *)(copy + i * BLOCK_ROWS) = *(const Half *)from;
            *(Half *)(copy + group + i * BLOCK_ROWS) = *(const Half *)(from + BLOCK_ROWS);
        }
    for (; row < rows; row += BLOCK_ROWS, copy += group) {
        int64_t some = rows - row < BLOCK_ROWS ? rows - row : BLOCK_ROWS;
        for (int64_t i = 0; i < k; i++)
            memcpy(copy + i * BLOCK_ROWS, a + i * lda + row, (size_t)some * sizeof *copy);
    }
}

/* Some rows of a as they are multiplied. */
static const RgReal *tile_of(const RgProduct *p, int64_t row, int64_t rows) {
    static _Thread_local RgRoom room;
    if (!p->transpose_a)
        return p->a + row * p->lda;
    RgReal *copy = rg_room(&room, sizeof(RgReal) * TILE_ROWS * MOST_K);
    copy_transposed(p->a + row, p->lda, rows, p->k, copy);
    return copy;
}

/* Rows [first_row, last_row) of the columns that are packed, which begin at `column`. */
static void multiply_all(const RgProduct *p, const void *packed, int64_t column, int64_t first_row,
                         int64_t last_row, int64_t panels) {
    for (int64_t i = first_row; i < last_row; i += TILE_ROWS) {
        int64_t rows = last_row - i < TILE_ROWS ? last_row - i : TILE_ROWS;
        const RgReal *tile = tile_of(p, i, rows);
        for (int64_t panel = 0; panel < panels; panel += BLOCK_PANELS) {
            int64_t c_column = column + panel * LANES;
            Block b = {.a = tile,
                       .copied = p->transpose_a,
                       .row = p->lda,
                       .panel = (const RgReal *)packed + panel * p->k * LANES,
                       .panel_size = p->k * LANES,
                       .k = p->k,
                       .alpha = p->alpha,
                       .beta = p->beta,
                       .c = p->c + i * p->ldc + c_column,
                       .ldc = p->ldc,
                       .columns = p->n - c_column};
            multiply_panels(&b, rows, panels - panel < BLOCK_PANELS ? 1 : BLOCK_PANELS);
        }
    }
}

const RgProductKernel *rg_product_vectors(void) {
    static const RgProductKernel kernel = {
        .panel = LANES,
        .unit = BLOCK_PANELS * LANES,
        .block_rows = BLOCK_ROWS,
        .least_rows = TILE_ROWS / 2,
        .block_k = BLOCK_K,
        .unit_k = 1,
        .packed = 384 * 1024,
        .panel_bytes = panel_bytes,
        .pack = pack,
        .multiply = multiply_all,
    };
    return rg_has_wide_vectors() ? &kernel : NULL;
}

#else

const RgProductKernel *rg_product_vectors(void) {
    return NULL;
}

#endif
