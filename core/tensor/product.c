/* Matrix products: b is copied once into panels of LANES columns, [panels, k, LANES], which all
 * threads share and read from front to back; a is read where it lies, a number at a time, and each
 * is multiplied with whole vectors. A block of c stays in registers while k goes by. */
#include "core/tensor/product.h"

#include "core/tensor/kernels.h"
#include "core/tensor/parallel.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(RG_DOUBLE)

enum {
    LANES = 16,
    BLOCK_K = 1024,     /* summed before it is added to c */
    PACKED = 96 * 1024, /* numbers of b that are copied at a time, to be read from L2 */
    BLOCK_ROWS = 8,     /* rows and … */
    BLOCK_PANELS = 2,   /* … panels whose sums fill the registers */
};

typedef RgReal Lanes
    __attribute__((vector_size(LANES * sizeof(RgReal)), aligned(sizeof(RgReal)), may_alias));

/* ---- copying b ---- */

typedef int32_t Places __attribute__((vector_size(LANES * sizeof(int32_t))));

/* Sixteen rows become sixteen columns: four times, halves are shuffled together like cards. */
RG_WIDE static inline __attribute__((always_inline)) void transpose(Lanes row[LANES]) {
    const Places low = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
    const Places high = low + 8;
    for (int round = 0; round < 4; round++) {
        Lanes next[LANES];
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = __builtin_shuffle(row[i], row[i + LANES / 2], low);
            next[2 * i + 1] = __builtin_shuffle(row[i], row[i + LANES / 2], high);
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
    int64_t row, step;   /* strides of a along rows and along k, one of which is 1 */
    const RgReal *panel; /* of its first panel and k */
    int64_t panel_size;  /* numbers from one panel to the next */
    int64_t k;
    RgReal alpha, beta;
    RgReal *c;
    int64_t ldc, columns; /* of c that exist from here on */
} Block;

/* c = alpha · sum + beta · c, for as many columns as there are */
RG_WIDE static inline __attribute__((always_inline)) void
store(RgReal *c, int64_t columns, RgReal alpha, RgReal beta, Lanes sum) {
    Lanes y = alpha * sum;
    if (columns >= LANES) {
        if (beta != 0)
            y += beta * *(const Lanes *)c;
        *(Lanes *)c = y;
    } else {
        for (int64_t lane = 0; lane < columns; lane++)
            c[lane] = beta != 0 ? y[lane] + beta * c[lane] : y[lane];
    }
}

/* `rows` and `panels` are constants where this is inlined, so that the sums stay in registers, and
 * so is the stride that is 1. */
RG_WIDE static inline __attribute__((always_inline)) void multiply(const Block *b, const RgReal *a,
                                                                   int64_t row, int64_t step,
                                                                   RgReal *c, int rows,
                                                                   int panels) {
    const RgReal *panel = b->panel;
    int64_t panel_size = b->panel_size, steps = b->k;
    Lanes sum[BLOCK_ROWS * BLOCK_PANELS];
    for (int i = 0; i < rows * panels; i++)
        sum[i] = (Lanes){0};
    for (int q = 0; q < panels; q++) /* so that c is there when the sums are */
        for (int r = 0; r < rows; r++)
            __builtin_prefetch(c + r * b->ldc + q * LANES, 1);
    for (int64_t k = 0; k < steps; k++, a += step, panel += LANES)
        for (int q = 0; q < panels; q++) {
            Lanes w = *(const Lanes *)(panel + q * panel_size);
            for (int r = 0; r < rows; r++)
                sum[q * rows + r] += a[r * row] * w;
        }
    for (int q = 0; q < panels; q++)
        for (int r = 0; r < rows; r++)
            store(c + r * b->ldc + q * LANES, b->columns - q * LANES, b->alpha, b->beta,
                  sum[q * rows + r]);
}

/* Rows 0 … rows−1: in eights, and what is left in a four, a two and a one. */
RG_WIDE static inline __attribute__((always_inline)) void
multiply_rows(const Block *b, int64_t row, int64_t step, int64_t rows, int panels) {
    int64_t r = 0;
    for (; r + 8 <= rows; r += 8)
        multiply(b, b->a + r * row, row, step, b->c + r * b->ldc, 8, panels);
    if (r + 4 <= rows) {
        multiply(b, b->a + r * row, row, step, b->c + r * b->ldc, 4, panels);
        r += 4;
    }
    if (r + 2 <= rows) {
        multiply(b, b->a + r * row, row, step, b->c + r * b->ldc, 2, panels);
        r += 2;
    }
    if (r < rows)
        multiply(b, b->a + r * row, row, step, b->c + r * b->ldc, 1, panels);
}

RG_WIDE static void multiply_panels(const Block *b, int64_t rows, int panels) {
    if (b->step == 1 && panels == BLOCK_PANELS)
        multiply_rows(b, b->row, 1, rows, BLOCK_PANELS);
    else if (b->step == 1)
        multiply_rows(b, b->row, 1, rows, 1);
    else if (panels == BLOCK_PANELS)
        multiply_rows(b, 1, b->step, rows, BLOCK_PANELS);
    else
        multiply_rows(b, 1, b->step, rows, 1);
}

/* Rows [first_row, last_row) of the columns that are packed, which begin at `column`. */
static void multiply_part(const RgProduct *p, const RgReal *packed, int64_t column,
                          int64_t first_row, int64_t last_row, int64_t panels) {
    enum { ROWS = 128 }; /* of a that stay in the cache while the panels go by */
    int64_t row = p->transpose_a ? 1 : p->lda, step = p->transpose_a ? p->lda : 1;
    for (int64_t k = 0; k < p->k; k += BLOCK_K)
        for (int64_t i = first_row; i < last_row; i += ROWS)
            for (int64_t panel = 0; panel < panels; panel += BLOCK_PANELS) {
                int64_t c_column = column + panel * LANES;
                Block b = {.a = p->a + i * row + k * step,
                           .row = row,
                           .step = step,
                           .panel = packed + (panel * p->k + k) * LANES,
                           .panel_size = p->k * LANES,
                           .k = p->k - k < BLOCK_K ? p->k - k : BLOCK_K,
                           .alpha = p->alpha,
                           .beta = k == 0 ? p->beta : 1,
                           .c = p->c + i * p->ldc + c_column,
                           .ldc = p->ldc,
                           .columns = p->n - c_column};
                multiply_panels(&b, last_row - i < ROWS ? last_row - i : ROWS,
                                panels - panel < BLOCK_PANELS ? 1 : BLOCK_PANELS);
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

/* Part `i` of `parts` of the columns, which are copied by the thread that uses them. */
static void run_columns(const RgProduct *p, int64_t parts, int64_t i) {
    int64_t at_once = columns_at_once(p),
            end = part_start(p->n, BLOCK_PANELS * LANES, parts, i + 1);
    for (int64_t column = part_start(p->n, BLOCK_PANELS * LANES, parts, i); column < end;
         column += at_once) {
        int64_t block_end = end - column < at_once ? end : column + at_once;
        int64_t panels = (block_end - column + LANES - 1) / LANES;
        RgReal *packed = room_for(panels * p->k * LANES);
        pack_panels(p, column, block_end, 0, panels, packed);
        multiply_part(p, packed, column, 0, p->m, panels);
    }
}

/* Threads share the rows, and the copy of b. */
static void run_by_rows(const RgProduct *p, int threads) {
    int64_t at_once = columns_at_once(p);
    RgReal *packed = room_for((at_once + LANES) * p->k);
#pragma omp parallel num_threads(threads)
    for (int64_t column = 0; column < p->n; column += at_once) {
        int64_t end = p->n - column < at_once ? p->n : column + at_once;
        int64_t panels = (end - column + LANES - 1) / LANES;
#pragma omp for schedule(static)
        for (int i = 0; i < threads; i++)
            pack_panels(p, column, end, part_start(panels, 1, threads, i),
                        part_start(panels, 1, threads, i + 1), packed);
#pragma omp for schedule(static)
        for (int i = 0; i < threads; i++)
            multiply_part(p, packed, column, part_start(p->m, BLOCK_ROWS, threads, i),
                          part_start(p->m, BLOCK_ROWS, threads, i + 1), panels);
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
        RG_FOR_TASKS(threads, true, run_columns(p, threads, task));
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
