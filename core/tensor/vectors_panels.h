/* SPDX-License-Identifier: MIT */
/* Rows of x times a matrix in panels, for one set of instructions (panels.h). In addition to the
 * requirements of vectors_lanes.h the including file defines
 *
 *     FULL_ROWS, FULL_PANELS   rows (8 at most) and panels whose sums fill the registers */

enum {
    VECTORS = RG_PANEL / RG_LANES,       /* of a row of a panel */
    FULL_SUMS = FULL_ROWS * FULL_PANELS, /* of rows and panels, each of this many vectors */
    MOST_PANELS = 4,                     /* at a time */
};

/* The factors of panels: rows `row` apart, `step` apart along k. */
typedef struct Factor {
    const RgReal *first;
    int64_t row, step;
} Factor;

/* sum [panels, VECTORS, rows] = a·w over k numbers, with panels `size` numbers apart. `rows` and
 * `panels` are constants after inlining, so the sums stay in registers. Every sum runs over k in
 * order, whatever they are. If `fetches`, also a constant, the panel `ahead` numbers further is
 * prefetched. */
TARGET_INLINE void sum_block(Factor a, const RgReal *weight, int64_t size, int64_t k, bool fetches,
                             int64_t ahead, int rows, int panels, Lanes *sum) {
    /* Two pointers, because an address is a pointer plus up to four strides. */
    const RgReal *low = a.first, *high = low + 4 * a.row;
    for (int i = 0; i < rows * panels * VECTORS; i++)
        sum[i] = (Lanes){0};
    for (int64_t i = 0; i < k; i++, weight += RG_PANEL, low += a.step, high += a.step) {
        if (fetches)
            __builtin_prefetch(weight + ahead, 0, 2);
        Lanes w[MOST_PANELS * VECTORS];
        for (int v = 0; v < panels * VECTORS; v++)
            w[v] = *(const Lanes *)(weight + v / VECTORS * size + v % VECTORS * RG_LANES);
        for (int r = 0; r < rows; r++) {
            RgReal x = r < 4 ? low[r * a.row] : high[(r - 4) * a.row];
            for (int v = 0; v < panels * VECTORS; v++)
                sum[v * rows + r] += x * w[v];
        }
    }
}

/* ---- panels in bf16 ---- */

#ifndef MULTIPLY_CELLS
/* sum += x·w for one number of each cell. */
TARGET_INLINE void add_half(const Input *low, const Input *high, int64_t row, const Cells *w,
                            bool second, int rows, int vectors, Lanes *sum) {
    Lanes wide[MOST_PANELS * VECTORS];
    for (int v = 0; v < vectors; v++)
        wide[v] = half_of(w[v], second);
    for (int r = 0; r < rows; r++) {
        RgReal x = r < 4 ? low[r * row] : high[(r - 4) * row];
        for (int v = 0; v < vectors; v++)
            sum[v * rows + r] += x * wide[v];
    }
}
#endif

/* sum += x·w for `vectors` vectors of cells. */
TARGET_INLINE void add_cells(const Input *low, const Input *high, int64_t row, const Cells *w,
                             int rows, int vectors, Lanes *sum) {
#ifdef MULTIPLY_CELLS
    for (int r = 0; r < rows; r++) {
        int32_t x = r < 4 ? low[r * row] : high[(r - 4) * row];
        for (int v = 0; v < vectors; v++)
            sum[v * rows + r] = MULTIPLY_CELLS(sum[v * rows + r], x, w[v]);
    }
#else
    add_half(low, high, row, w, false, rows, vectors, sum);
    add_half(low + 1, high + 1, row, w, true, rows, vectors, sum);
#endif
}

TARGET_INLINE void load_cells(const RgBf16 *weight, int64_t size, int vectors, Cells *w) {
    for (int v = 0; v < vectors; v++)
        w[v] = *(const Cells *)(weight + v / VECTORS * size + v % VECTORS * RG_LANES * 2);
}

/* As sum_block for panels in bf16, `size` numbers apart, over k cells, and half of another one if
 * `odd`. */
TARGET_INLINE void sum_cells(const Input *x, int64_t row, const RgBf16 *weight, int64_t size,
                             int64_t k, bool odd, bool fetches, int64_t ahead, int rows, int panels,
                             Lanes *sum) {
    const Input *low = x, *high = low + 4 * row;
    Cells w[MOST_PANELS * VECTORS];
    for (int i = 0; i < rows * panels * VECTORS; i++)
        sum[i] = (Lanes){0};
    for (int64_t i = 0; i < k; i++, weight += 2 * RG_PANEL) {
        if (fetches)
            __builtin_prefetch(weight + ahead, 0, 2);
        load_cells(weight, size, panels * VECTORS, w);
        add_cells(low, high, row, w, rows, panels * VECTORS, sum);
        low += INPUTS_OF_A_CELL;
        high += INPUTS_OF_A_CELL;
    }
#ifndef MULTIPLY_CELLS
    if (odd) {
        load_cells(weight, size, panels * VECTORS, w);
        add_half(low, high, row, w, false, rows, panels * VECTORS, sum);
    }
#else
    (void)odd;
#endif
}

/* The sums of some rows and panels in bf16. */
TARGET_INLINE void panels_sum_cells(const RgPanelsGemm *f, int rows, int panels, int64_t row,
                                    int64_t panel, bool fetches, int64_t ahead, Lanes *sum) {
    int64_t cells = rg_panels_cells(f->w), size = cells * RG_PANEL * 2;
    const RgBf16 *weight = f->w->rounded + panel * size;
#ifdef MULTIPLY_CELLS
    const Input *x = (const Input *)(f->x_rounded + row * 2 * cells);
    sum_cells(x, cells, weight, size, cells, false, fetches, ahead * size, rows, panels, sum);
#else
    sum_cells(f->x + row * f->x_row, f->x_row, weight, size, f->w->in / 2, f->w->in % 2, fetches,
              ahead * size, rows, panels, sum);
#endif
}

/* ---- panels of either kind ---- */

/* From here on `bf16`, a constant, is the form of the panels. */
TARGET_INLINE void panels_block(const RgPanelsGemm *f, bool bf16, int rows, int panels, int64_t row,
                                int64_t panel, bool fetches, int64_t ahead) {
    int64_t size = f->w->in * RG_PANEL;
    Lanes sum[FULL_SUMS * VECTORS];
    if (bf16)
        panels_sum_cells(f, rows, panels, row, panel, fetches, ahead, sum);
    else
        sum_block((Factor){f->x + row * f->x_row, f->x_row, 1}, f->w->weight + panel * size, size,
                  f->w->in, fetches, ahead * size, rows, panels, sum);
#pragma GCC unroll 16 /* so that the sums stay in registers all the way to y */
    for (int v = 0; v < panels * VECTORS; v++)
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            int64_t column = panel * RG_PANEL + v * RG_LANES, at = (row + r) * f->y_row + column;
            Lanes y = sum[v * rows + r];
            if (f->w->bias)
                y += *(const Lanes *)(f->w->bias + column);
            if (f->onto)
                y += *(const Lanes *)(f->onto + at);
            *(Lanes *)(f->y + at) = y;
        }
}

/* A block of 1 … FULL_ROWS rows. */
TARGET_INLINE void panels_rows(const RgPanelsGemm *f, bool bf16, int64_t rows, int panels,
                               int64_t row, int64_t panel, bool fetches, int64_t ahead) {
#define CASE(count)                                                                                \
    case count:                                                                                    \
        if (count * panels <= FULL_SUMS)                                                           \
            panels_block(f, bf16, count, panels, row, panel, fetches, ahead);                      \
        break
    switch (rows) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
        CASE(8);
    }
#undef CASE
}

/* Rows that fit in one block, with `at_once` panels together while there are so many. */
TARGET_INLINE void panels_at_once(const RgPanelsGemm *f, bool bf16, int at_once, int64_t first,
                                  int64_t last) {
    int64_t panel = first;
    for (; panel + at_once <= last; panel += at_once)
        panels_rows(f, bf16, f->rows, at_once, 0, panel, false, 0);
    for (; at_once > 1 && panel < last; panel++)
        panels_rows(f, bf16, f->rows, 1, 0, panel, false, 0);
}

/* With fewer rows more panels are computed together, so that sums need not wait for one another. */
TARGET_INLINE void panels_few(const RgPanelsGemm *f, bool bf16, int64_t first, int64_t last) {
    if (MOST_PANELS * f->rows <= FULL_SUMS)
        panels_at_once(f, bf16, MOST_PANELS, first, last);
    else if (2 * f->rows <= FULL_SUMS)
        panels_at_once(f, bf16, 2, first, last);
    else
        panels_at_once(f, bf16, 1, first, last);
}

/* All blocks of rows times some panels. All but the first block read the panels from the cache; the
 * first two prefetch the next ones. */
TARGET_INLINE void panels_blocks(const RgPanelsGemm *f, bool bf16, int64_t blocks, int panels,
                                 int64_t panel, int64_t last) {
    int64_t least = f->rows / blocks, longer = f->rows % blocks, row = 0;
    for (int64_t b = 0; b < blocks; b++) {
        int64_t rows = b < longer ? least + 1 : least;
        bool next = b < panels && panel + 2 * panels <= last;
        panels_rows(f, bf16, rows, panels, row, panel, true, next ? panels + b : 0);
        row += rows;
    }
}

TARGET_INLINE void panels_all(const RgPanelsGemm *f, bool bf16, int64_t first, int64_t last) {
    if (f->rows <= FULL_ROWS) {
        panels_few(f, bf16, first, last);
        return;
    }
    int64_t blocks = (f->rows + FULL_ROWS - 1) / FULL_ROWS, panel = first;
    for (; panel + FULL_PANELS <= last; panel += FULL_PANELS)
        panels_blocks(f, bf16, blocks, FULL_PANELS, panel, last);
    for (; FULL_PANELS > 1 && panel < last; panel++)
        panels_blocks(f, bf16, blocks, 1, panel, last);
}

TARGET static void panels_product(const RgPanelsGemm *f, int64_t first, int64_t last) {
#ifndef MULTIPLY_CELLS
    if (!f->w->rounded) {
        panels_all(f, false, first, last);
        return;
    }
#endif
    panels_all(f, true, first, last);
}
