/* SPDX-License-Identifier: MIT */
/* Matrix products of any size, for one set of instructions (gemm_kernel.h). b is copied into panels
 * of RG_PANEL columns, [panels, k, RG_PANEL], converted if it is stored in bf16, and these are read
 * in order. a is read in place, one number at a time, and each is multiplied by whole vectors. (A
 * transposed a is copied too, because k would run down its columns.) A block of c stays in
 * registers over k. The including file includes vectors_panels.h first. */

enum {
    BLOCK_K = 256,                           /* two panels of this length fit in L1 … */
    MOST_K = 2 * BLOCK_K,                    /* … if it does not divide k */
    TILE_ROWS = 128 / FULL_ROWS * FULL_ROWS, /* of a, that stay in the cache for all panels */
};

/* ---- copying b ---- */

/* A vector at `at` in b … Here and below, `stored` is a constant: the form of b. */
TARGET_INLINE Lanes lanes_of_b(const RgGemm *p, bool stored, int64_t at) {
    return stored ? widen(p->b_stored + at) : *(const Lanes *)(p->b + at);
}

/* … or a number. */
TARGET_INLINE RgReal number_of_b(const RgGemm *p, bool stored, int64_t at) {
    return stored ? rg_bf16_number(p->b_stored[at]) : p->b[at];
}

/* Copies whole panels of b, side by side, reading memory along rows. */
TARGET_INLINE void pack_plain(const RgGemm *p, bool stored, int64_t column, int64_t panels,
                              RgReal *packed) {
    for (int64_t k = 0; k < p->k; k++) {
        int64_t row = k * p->ldb + column;
        for (int64_t i = 0; i < panels * VECTORS; i++)
            *(Lanes *)(packed + (i / VECTORS * p->k + k) * RG_PANEL + i % VECTORS * RG_LANES) =
                lanes_of_b(p, stored, row + i * RG_LANES);
    }
}

/* Copies the last panel, with zeros in the columns beyond b. */
TARGET_INLINE void pack_rest(const RgGemm *p, bool stored, int64_t column, int64_t columns,
                             RgReal *panel) {
    memset(panel, 0, sizeof *panel * (size_t)(p->k * RG_PANEL));
    for (int64_t k = 0; k < p->k; k++)
        for (int64_t i = 0; i < columns; i++)
            panel[k * RG_PANEL + i] = number_of_b(p, stored, k * p->ldb + column + i);
}

/* Copies one vector's columns of a panel of a transposed b, of which `columns` exist. The first
 * begins at `from`, and the next ones ldb further. */
TARGET_INLINE void transpose_columns(const RgGemm *p, bool stored, int64_t from, int64_t columns,
                                     RgReal *panel) {
    int64_t k = 0;
    for (; k + RG_LANES <= p->k; k += RG_LANES) {
        Lanes square[RG_LANES] = {{0}};
        for (int lane = 0; lane < columns; lane++)
            square[lane] = lanes_of_b(p, stored, from + lane * p->ldb + k);
        transpose(square);
        for (int i = 0; i < RG_LANES; i++)
            *(Lanes *)(panel + (k + i) * RG_PANEL) = square[i];
    }
    for (; k < p->k; k++)
        for (int lane = 0; lane < RG_LANES; lane++)
            panel[k * RG_PANEL + lane] =
                lane < columns ? number_of_b(p, stored, from + lane * p->ldb + k) : 0;
}

TARGET_INLINE void pack_transposed(const RgGemm *p, bool stored, int64_t column, int64_t columns,
                                   RgReal *panel) {
    for (int64_t at = 0; at < RG_PANEL; at += RG_LANES) {
        int64_t from = (column + at) * p->ldb;
        if (columns - at >= RG_LANES) /* a constant for whole vectors, which stay in registers */
            transpose_columns(p, stored, from, RG_LANES, panel + at);
        else
            transpose_columns(p, stored, from, columns - at, panel + at);
    }
}

TARGET_INLINE void pack_panels(const RgGemm *p, bool stored, int64_t column, int64_t end,
                               int64_t first, int64_t last, RgReal *panels) {
    int64_t whole = p->transpose_b ? 0 : (end - column) / RG_PANEL;
    if (first < whole)
        pack_plain(p, stored, column + first * RG_PANEL, (last < whole ? last : whole) - first,
                   panels + first * p->k * RG_PANEL);
    for (int64_t i = first > whole ? first : whole; i < last; i++) {
        int64_t at = column + i * RG_PANEL, columns = end - at < RG_PANEL ? end - at : RG_PANEL;
        if (p->transpose_b)
            pack_transposed(p, stored, at, columns, panels + i * p->k * RG_PANEL);
        else
            pack_rest(p, stored, at, columns, panels + i * p->k * RG_PANEL);
    }
}

TARGET static void pack(const RgGemm *p, int64_t column, int64_t end, int64_t first, int64_t last,
                        void *packed) {
    if (p->b_stored)
        pack_panels(p, true, column, end, first, last, packed);
    else
        pack_panels(p, false, column, end, first, last, packed);
}

static int64_t panel_bytes(const RgGemm *p) {
    return (int64_t)sizeof(RgReal) * p->k * RG_PANEL;
}

/* ---- multiplying ---- */

/* Some rows and panels of c over a part of k. */
typedef struct Block {
    const RgReal *a;     /* of its first row and k */
    bool copied;         /* a was copied: [rows / FULL_ROWS, k, FULL_ROWS] */
    int64_t row;         /* stride of a along rows if not copied; along k it is 1 */
    const RgReal *panel; /* of its first panel and k */
    int64_t k;
    RgReal alpha, beta;
    RgReal *c;
    int64_t ldc, columns; /* of c that remain from here on */
} Block;

/* c = alpha · sum + beta · c for a whole vector … */
TARGET_INLINE void store(RgReal *c, RgReal alpha, RgReal beta, Lanes sum) {
    Lanes y = alpha * sum;
    if (beta != 0)
        y += beta * *(const Lanes *)c;
    *(Lanes *)c = y;
}

/* … and for the remaining columns. */
TARGET static __attribute__((noinline)) void store_some(RgReal *c, int64_t columns, RgReal alpha,
                                                        RgReal beta, Lanes sum) {
    if (columns >= RG_LANES) {
        store(c, alpha, beta, sum);
        return;
    }
    Lanes y = alpha * sum;
    for (int64_t lane = 0; lane < columns; lane++)
        c[lane] = beta != 0 ? y[lane] + beta * c[lane] : y[lane];
}

/* `rows` and `panels` are constants after inlining, so the sums stay in registers (until they are
 * stored in c, hence the unrolling); so is a stride of 1. */
TARGET_INLINE void multiply(const Block *b, Factor a, RgReal *c, int rows, int panels) {
    int64_t ldc = b->ldc;
    for (int q = 0; q < panels; q++) /* so that c is there when the sums are */
        for (int r = 0; r < rows; r++)
            __builtin_prefetch(c + r * ldc + q * RG_PANEL, 1);
    Lanes sum[FULL_SUMS * VECTORS];
    sum_block(a, b->panel, b->k * RG_PANEL, b->k, false, 0, rows, panels, sum);
    RgReal alpha = b->alpha, beta = b->beta;
    bool whole = b->columns >= (int64_t)panels * RG_PANEL;
#pragma GCC unroll 4
    for (int v = 0; v < panels * VECTORS; v++)
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            if (whole)
                store(c + r * ldc + v * RG_LANES, alpha, beta, sum[v * rows + r]);
            else
                store_some(c + r * ldc + v * RG_LANES, b->columns - v * RG_LANES, alpha, beta,
                           sum[v * rows + r]);
}

/* Computes rows 0 … rows−1 in full blocks, `group` numbers of a apart, and the rest as four, two
 * and one. */
TARGET_INLINE void multiply_rows(const Block *b, int64_t group, int64_t row, int64_t step,
                                 int64_t rows, int panels) {
    const RgReal *a = b->a;
    RgReal *c = b->c;
    for (; rows >= FULL_ROWS; rows -= FULL_ROWS, a += group, c += FULL_ROWS * b->ldc)
        multiply(b, (Factor){a, row, step}, c, FULL_ROWS, panels);
    if (rows >= 4) {
        multiply(b, (Factor){a, row, step}, c, 4, panels);
        rows -= 4, a += 4 * row, c += 4 * b->ldc;
    }
    if (rows >= 2) {
        multiply(b, (Factor){a, row, step}, c, 2, panels);
        rows -= 2, a += 2 * row, c += 2 * b->ldc;
    }
    if (rows > 0)
        multiply(b, (Factor){a, row, step}, c, 1, panels);
}

TARGET static void multiply_panels(const Block *b, int64_t rows, int panels) {
    int64_t copied = b->k * FULL_ROWS, lying = b->row * FULL_ROWS;
    if (b->copied && panels == FULL_PANELS)
        multiply_rows(b, copied, 1, FULL_ROWS, rows, FULL_PANELS);
    else if (b->copied)
        multiply_rows(b, copied, 1, FULL_ROWS, rows, 1);
    else if (panels == FULL_PANELS)
        multiply_rows(b, lying, b->row, 1, rows, FULL_PANELS);
    else
        multiply_rows(b, lying, b->row, 1, rows, 1);
}

/* Copies some columns of a transposed a as rows in groups: [rows / FULL_ROWS, k, FULL_ROWS]. */
TARGET static void copy_transposed(const RgReal *a, int64_t lda, int64_t rows, int64_t k,
                                   RgReal *copy) {
    int64_t groups = rows / FULL_ROWS, group = k * FULL_ROWS, rest = rows % FULL_ROWS;
    for (int64_t i = 0; i < k; i++, a += lda, copy += FULL_ROWS) {
        for (int64_t g = 0; g < groups; g++)
            memcpy(copy + g * group, a + g * FULL_ROWS, FULL_ROWS * sizeof *copy);
        if (rest > 0)
            memcpy(copy + groups * group, a + groups * FULL_ROWS, (size_t)rest * sizeof *copy);
    }
}

/* Some rows of a in the form in which they are multiplied. */
static const RgReal *tile_of(const RgGemm *p, int64_t row, int64_t rows) {
    static _Thread_local RgScratch scratch;
    if (!p->transpose_a)
        return p->a + row * p->lda;
    RgReal *copy = rg_scratch(&scratch, sizeof(RgReal) * TILE_ROWS * MOST_K);
    copy_transposed(p->a + row, p->lda, rows, p->k, copy);
    return copy;
}

/* Rows [first_row, last_row) of the packed columns, which begin at `column`. */
static void multiply_all(const RgGemm *p, const void *packed, int64_t column, int64_t first_row,
                         int64_t last_row, int64_t panels) {
    for (int64_t i = first_row; i < last_row; i += TILE_ROWS) {
        int64_t rows = last_row - i < TILE_ROWS ? last_row - i : TILE_ROWS;
        const RgReal *tile = tile_of(p, i, rows);
        for (int64_t panel = 0; panel < panels; panel += FULL_PANELS) {
            int64_t c_column = column + panel * RG_PANEL;
            Block b = {.a = tile,
                       .copied = p->transpose_a,
                       .row = p->lda,
                       .panel = (const RgReal *)packed + panel * p->k * RG_PANEL,
                       .k = p->k,
                       .alpha = p->alpha,
                       .beta = p->beta,
                       .c = p->c + i * p->ldc + c_column,
                       .ldc = p->ldc,
                       .columns = p->n - c_column};
            multiply_panels(&b, rows, panels - panel < FULL_PANELS ? 1 : FULL_PANELS);
        }
    }
}

static const RgGemmKernel product_kernel = {
    .panel = RG_PANEL,
    .unit = FULL_PANELS * RG_PANEL,
    .block_rows = FULL_ROWS,
    .least_rows = TILE_ROWS / 2,
    .block_k = BLOCK_K,
    .unit_k = 1,
    .packed = 384 * 1024,
    .panel_bytes = panel_bytes,
    .pack = pack,
    .multiply = multiply_all,
};
