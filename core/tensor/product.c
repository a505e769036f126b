/* Matrix products: b is copied once into panels of LANES columns, [panels, k, LANES], which all
 * threads share and read from front to back; a is read where it lies (transposed, it is copied too:
 * k would go down its columns), a number at a time, and each is multiplied with whole vectors. A
 * block of c stays in registers while k goes by. */
#include "core/tensor/product.h"

#include "core/tensor/kernels.h"
#include "core/tensor/parallel.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(RG_DOUBLE)

enum {
    LANES = 16,
    BLOCK_K = 256,        /* summed before it is added to c, so long that two panels fit L1 … */
    MOST_K = 2 * BLOCK_K, /* … or up to so many, where it does not divide */
    PACKED = 96 * 1024,   /* numbers of b that are copied at a time, to be read from L2 */
    BLOCK_ROWS = 8,       /* rows and … */
    BLOCK_PANELS = 2,     /* … panels whose sums fill the registers */
    TILE_ROWS = 128,      /* of a, that stay in the cache while the panels go by */
};

typedef RgReal Lanes
    __attribute__((vector_size(LANES * sizeof(RgReal)), aligned(sizeof(RgReal)), may_alias));

/* ---- copying b ---- */

/* Sixteen rows become sixteen columns: four times, halves are shuffled together like cards. */
RG_WIDE static inline __attribute__((always_inline)) void transpose(Lanes row[LANES]) {
    for (int round = 0; round < 4; round++) {
        Lanes next[LANES];
        for (int i = 0; i < LANES / 2; i++) {
            Lanes a = row[i], b = row[i + LANES / 2];
            next[2 * i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6,
                                                  22, 7, 23);
            next[2 * i + 1] = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                                      13, 29, 14, 30, 15, 31);
        }
        memcpy(row, next, sizeof next);
    }
}

/* Whole panels of b as it lies, side by side: memory is read along rows. */
RG_WIDE static void pack_plain(const RgProduct *p, int64_t column, int64_t panels, RgReal *packed) {
    for (int64_t k = 0; k < p->k; k++) {
        const RgReal *row = p->b + k * p->ldb + column;
        for (int64_t i = 0; i < panels; i++)
            *(Lanes *)(packed + (i * p->k + k) * LANES) = *(const Lanes *)(row + i * LANES);
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
        Lanes square[LANES] = {{0}};
        for (int lane = 0; lane < columns; lane++)
            square[lane] = *(const Lanes *)(from + lane * p->ldb + k);
        transpose(square);
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
                                                                RgReal beta, Lanes sum) {
    Lanes y = alpha * sum;
    if (beta != 0)
        y += beta * *(const Lanes *)c;
    *(Lanes *)c = y;
}

/* … and of as many columns as there are. */
RG_WIDE static __attribute__((noinline)) void store_some(RgReal *c, int64_t columns, RgReal alpha,
                                                         RgReal beta, Lanes sum) {
    if (columns >= LANES) {
        store(c, alpha, beta, sum);
        return;
    }
    Lanes y = alpha * sum;
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
    Lanes sum[BLOCK_ROWS * BLOCK_PANELS];
    for (int i = 0; i < rows * panels; i++)
        sum[i] = (Lanes){0};
    for (int q = 0; q < panels; q++) /* so that c is there when the sums are */
        for (int r = 0; r < rows; r++)
            __builtin_prefetch(c + r * ldc + q * LANES, 1);
    for (int64_t k = 0; k < steps; k++, a += step, panel += LANES)
        for (int q = 0; q < panels; q++) {
            Lanes w = *(const Lanes *)(panel + q * panel_size);
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
static void multiply_part(const RgProduct *p, const RgReal *packed, int64_t column,
                          int64_t first_row, int64_t last_row, int64_t panels) {
    for (int64_t i = first_row; i < last_row; i += TILE_ROWS) {
        int64_t rows = last_row - i < TILE_ROWS ? last_row - i : TILE_ROWS;
        const RgReal *tile = tile_of(p, i, rows);
        for (int64_t panel = 0; panel < panels; panel += BLOCK_PANELS) {
            int64_t c_column = column + panel * LANES;
            Block b = {.a = tile,
                       .copied = p->transpose_a,
                       .row = p->lda,
                       .panel = packed + panel * p->k * LANES,
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

/* Room for the copy of b, kept from call to call. */
static RgReal *room_for(int64_t count) {
    static _Thread_local RgRoom room;
    return rg_room(&room, sizeof(RgReal) * (size_t)count);
}

/* Where part `i` of `parts` of 0 … n−1 begins, at a multiple of `unit`. */
static int64_t part_start(int64_t n, int64_t unit, int64_t parts, int64_t i) {
    int64_t units = (n + unit - 1) / unit, start = units * i / parts * unit;
    return start < n ? start : n;
}

/* Columns of b that are copied at a time: whole blocks of panels. */
static int64_t columns_at_once(const RgProduct *p) {
    int64_t columns = PACKED / p->k / (BLOCK_PANELS * LANES) * (BLOCK_PANELS * LANES);
    return columns > 0 ? columns : BLOCK_PANELS * LANES;
}

static void pack_panels(const RgProduct *p, int64_t column, int64_t end, int64_t first,
                        int64_t last, RgReal *packed) {
    int64_t whole = p->transpose_b ? 0 : (end - column) / LANES;
    if (first < whole)
        pack_plain(p, column + first * LANES, (last < whole ? last : whole) - first,
                   packed + first * p->k * LANES);
    for (int64_t i = first > whole ? first : whole; i < last; i++) {
        int64_t at = column + i * LANES, columns = end - at < LANES ? end - at : LANES;
        if (p->transpose_b)
            pack_transposed(p, at, columns, packed + i * p->k * LANES);
        else
            pack_rest(p, at, columns, packed + i * p->k * LANES);
    }
}

/* How much of k is summed at a time: even shares, less than MOST_K. */
static int64_t block_of_k(const RgProduct *p) {
    int64_t blocks = p->k / BLOCK_K > 0 ? p->k / BLOCK_K : 1;
    return (p->k + blocks - 1) / blocks;
}

/* The product over `block` of k from `first` on, which is added to those before it. */
static RgProduct part_of_k(const RgProduct *whole, int64_t first, int64_t block) {
    RgProduct p = *whole;
    p.k = whole->k - first < block ? whole->k - first : block;
    p.a += first * (p.transpose_a ? p.lda : 1);
    p.b += first * (p.transpose_b ? 1 : p.ldb);
    p.beta = first == 0 ? p.beta : 1;
    return p;
}

/* Into how many parts threads share out 0 … n−1: more than there are threads, as these are not all
 * equally fast, but none of less than `least`. */
static int64_t part_count(int64_t n, int64_t least, int threads) {
    enum { OF_A_THREAD = 4 };
    int64_t most = n / least > 0 ? n / least : 1;
    return most < OF_A_THREAD * threads ? most : OF_A_THREAD * threads;
}

/* Part `i` of `parts` of the columns, which are copied by the thread that uses them. */
static void run_columns(const RgProduct *whole, int64_t parts, int64_t i) {
    int64_t start = part_start(whole->n, BLOCK_PANELS * LANES, parts, i),
            end = part_start(whole->n, BLOCK_PANELS * LANES, parts, i + 1);
    for (int64_t k = 0, block = block_of_k(whole); k < whole->k; k += block) {
        RgProduct p = part_of_k(whole, k, block);
        int64_t at_once = columns_at_once(&p);
        RgReal *packed = room_for(at_once * p.k);
        for (int64_t column = start; column < end; column += at_once) {
            int64_t block_end = end - column < at_once ? end : column + at_once;
            int64_t panels = (block_end - column + LANES - 1) / LANES;
            pack_panels(&p, column, block_end, 0, panels, packed);
            multiply_part(&p, packed, column, 0, p.m, panels);
        }
    }
}

static void run_by_columns(const RgProduct *p, int threads) {
    enum { LEAST_COLUMNS = 128 };
    int64_t parts = part_count(p->n, LEAST_COLUMNS, threads);
    RG_FOR_TASKS(parts, true, run_columns(p, parts, task));
}

/* Threads share the rows, and the copy of b. */
static void run_rows(const RgProduct *p, int threads, RgReal *packed) {
    enum { LEAST_ROWS = TILE_ROWS / 2, LEAST_PANELS = 4 };
    int64_t at_once = columns_at_once(p), row_parts = part_count(p->m, LEAST_ROWS, threads);
    for (int64_t column = 0; column < p->n; column += at_once) {
        int64_t end = p->n - column < at_once ? p->n : column + at_once;
        int64_t panels = (end - column + LANES - 1) / LANES;
        int64_t parts = part_count(panels, LEAST_PANELS, threads);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < parts; i++)
            pack_panels(p, column, end, part_start(panels, 1, parts, i),
                        part_start(panels, 1, parts, i + 1), packed);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < row_parts; i++)
            multiply_part(p, packed, column, part_start(p->m, BLOCK_ROWS, row_parts, i),
                          part_start(p->m, BLOCK_ROWS, row_parts, i + 1), panels);
    }
}

static void run_by_rows(const RgProduct *whole, int threads) {
    RgReal *packed = room_for(PACKED + MOST_K * BLOCK_PANELS * LANES);
#pragma omp parallel num_threads(threads)
    for (int64_t k = 0, block = block_of_k(whole); k < whole->k; k += block) {
        RgProduct p = part_of_k(whole, k, block);
        run_rows(&p, threads, packed);
    }
}

/* BLAS has kernels of its own for small products, without a copy, of which those for a transposed b
 * are slower. */
bool rg_product_suits(const RgProduct *p) {
    enum { FEW = 16 };
    const double small = p->transpose_b ? 1 << 14 : 1 << 20;
    return p->m >= FEW && p->n >= FEW && p->k >= FEW &&
           (double)p->m * (double)p->n * (double)p->k >= small && rg_has_wide_vectors();
}

void rg_product_run(const RgProduct *p, int threads) {
    if (threads == 1)
        run_columns(p, 1, 0);
    else if (p->m >= p->n)
        run_by_rows(p, threads);
    else
        run_by_columns(p, threads);
}

#else

bool rg_product_suits(const RgProduct *p) {
    (void)p;
    return false;
}

void rg_product_run(const RgProduct *p, int threads) {
    (void)p;
    (void)threads;
}

#endif
