/* Rows of x times a matrix in panels, for one set of instructions: see panels.h. Who includes this
 * has defined, beside what vectors_lanes.h asks for,
 *
 *     FULL_ROWS, FULL_PANELS   rows (8 at most) and panels whose sums fill the registers */

enum {
    VECTORS = RG_PANEL / RG_LANES,       /* of a row of a panel */
    FULL_SUMS = FULL_ROWS * FULL_PANELS, /* of rows and panels, each of so many vectors */
    MOST_PANELS = 4,                     /* at a time */
};

/* Numbers that are multiplied with panels: rows `row` apart, along k `step`. */
typedef struct Factor {
    const RgReal *first;
    int64_t row, step;
} Factor;

/* sum [panels, VECTORS, rows] = a·w over k numbers, of panels `size` numbers apart. `rows` and
 * `panels` are constants wherever this is inlined, so that the sums stay in registers; and every
 * sum runs over k from the first to the last, whatever they are. Where `fetches`, a constant too,
 * the panel `ahead` numbers further comes from memory meanwhile. */
TARGET_INLINE void sum_block(Factor a, const RgReal *weight, int64_t size, int64_t k, bool fetches,
                             int64_t ahead, int rows, int panels, Lanes *sum) {
    /* Two pointers, as an address is a pointer and up to four times a stride. */
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

TARGET_INLINE void panels_block(const RgPanelsProduct *f, int rows, int panels, int64_t row,
                                int64_t panel, bool fetches, int64_t ahead) {
    int64_t size = f->w->in * RG_PANEL;
    Lanes sum[FULL_SUMS * VECTORS];
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
TARGET_INLINE void panels_rows(const RgPanelsProduct *f, int64_t rows, int panels, int64_t row,
                               int64_t panel, bool fetches, int64_t ahead) {
#define CASE(count)                                                                                \
    case count:                                                                                    \
        if (count * panels <= FULL_SUMS)                                                           \
            panels_block(f, count, panels, row, panel, fetches, ahead);                            \
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

/* Rows that fit one block, `at_once` panels together where there are so many. */
TARGET_INLINE void panels_at_once(const RgPanelsProduct *f, int at_once, int64_t first,
                                  int64_t last) {
    int64_t panel = first;
    for (; panel + at_once <= last; panel += at_once)
        panels_rows(f, f->rows, at_once, 0, panel, false, 0);
    for (; at_once > 1 && panel < last; panel++)
        panels_rows(f, f->rows, 1, 0, panel, false, 0);
}

/* The fewer rows, the more panels, so that some sums need not wait for one another. */
TARGET_INLINE void panels_few(const RgPanelsProduct *f, int64_t first, int64_t last) {
    if (MOST_PANELS * f->rows <= FULL_SUMS)
        panels_at_once(f, MOST_PANELS, first, last);
    else if (2 * f->rows <= FULL_SUMS)
        panels_at_once(f, 2, first, last);
    else
        panels_at_once(f, 1, first, last);
}

/* All blocks of rows times some panels, which are read from the cache by all but the first block;
 * the first two fetch what comes next. */
TARGET_INLINE void panels_blocks(const RgPanelsProduct *f, int64_t blocks, int panels,
                                 int64_t panel, int64_t last) {
    int64_t least = f->rows / blocks, longer = f->rows % blocks, row = 0;
    for (int64_t b = 0; b < blocks; b++) {
        int64_t rows = b < longer ? least + 1 : least;
        bool next = b < panels && panel + 2 * panels <= last;
        panels_rows(f, rows, panels, row, panel, true, next ? panels + b : 0);
        row += rows;
    }
}

TARGET static void panels_product(const RgPanelsProduct *f, int64_t first, int64_t last) {
    if (f->rows <= FULL_ROWS) {
        panels_few(f, first, last);
        return;
    }
    int64_t blocks = (f->rows + FULL_ROWS - 1) / FULL_ROWS, panel = first;
    for (; panel + FULL_PANELS <= last; panel += FULL_PANELS)
        panels_blocks(f, blocks, FULL_PANELS, panel, last);
    for (; FULL_PANELS > 1 && panel < last; panel++)
        panels_blocks(f, blocks, 1, panel, last);
}
