/* SPDX-License-Identifier: MIT */
/* Claims about the kernels that are compiled for several sets of instructions: each set that the
 * processor can run computes the same numbers, up to rounding, as sums in double. */
#include <criterion/criterion.h>

#include "core/tensor/cache_attention.h"
#include "core/tensor/instructions.h"
#include "core/tensor/kernels.h"
#include "core/tensor/panels.h"
#include "core/tensor/random.h"
#include "core/tensor/threads.h"
#include "core/tensor/vector_ops.h"
#include "core/tensor/vectors.h"
#include "tests/every_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* In memory that ends where they do, so that a sanitizer sees what is read or written behind it. */
static RgReal *numbers(int64_t count, uint64_t stream) {
    RgReal *x = rg_allocate(count > 0 ? count : 1, sizeof *x);
    for (int64_t i = 0; i < count; i++)
        x[i] = (RgReal)rg_random_normal(rg_random_at(rg_random_root(3), stream), (uint64_t)i);
    return x;
}

/* The same numbers, rounded to bf16. */
static RgReal *rounded(const RgReal *x, int64_t count) {
    RgReal *y = numbers(count, 0);
    RgBf16 half;
    for (int64_t i = 0; i < count; i++) {
        rg_bf16_round(1, x + i, &half);
        y[i] = rg_bf16_number(half);
    }
    return y;
}

/* ---- which set ---- */

Test(instructions, the_environment_decides_before_the_processor) {
    const char *name = getenv(RG_INSTRUCTIONS_VARIABLE);
    RgInstructions set;
    RgError error = {0};
    cr_assert_eq(rg_instructions_check(&error), RG_OK, "%s", error.text);
    if (name && strcmp(name, "generic") != 0)
        cr_assert_str_eq(rg_instructions_name(rg_instructions()), name);
    setenv(RG_INSTRUCTIONS_VARIABLE, "generic", 1);
    cr_assert_eq(rg_instructions_start(), RG_BASELINE);
    cr_assert(rg_instructions_are_chosen());
    cr_assert_eq(rg_instructions_find("generic", &set, &error), RG_OK);
    cr_assert_eq(set, RG_BASELINE);
    setenv(RG_INSTRUCTIONS_VARIABLE, "avx513", 1);
    cr_assert_eq(rg_instructions_check(&error), RG_E_USAGE);
    cr_assert(strstr(error.text, "REGATTA_KERNELS: no kernels \"avx513\" on this processor"), "%s",
              error.text);
    cr_assert(strstr(error.text, rg_instructions_name(RG_BASELINE)), "%s", error.text);
    cr_assert(!rg_instructions_are_chosen());
}

/* ---- loops ---- */

RG_KERNEL(RgReal, sum_of_squares, (int64_t n, const RgReal *x), (n, x)) {
    RgReal sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

Test(vectors, loops_give_the_same_on_every_set_up_to_rounding) {
    enum { N = 1003 };
    RgReal *x = numbers(N, 1);
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += (double)x[i] * (double)x[i];
    ON_EVERY_SET(cr_assert_float_eq(sum_of_squares(N, x), sum, 20 * RG_REAL_EPSILON * sum, "%s",
                                    rg_instructions_name(set)));
    free(x);
}

/* Over all magnitudes of a double, and near 1, where a logarithm is small. */
Test(vectors, sums_of_logarithms_are_those_of_libm_on_every_set) {
    enum { N = 1003 };
    double x[N], weight[N];
    for (uint64_t i = 0; i < N; i++) {
        double u = rg_random_uniform(rg_random_root(6), i);
        x[i] = i % 2 ? exp(1400 * u - 700) : 1 + 1e-6 * u;
        weight[i] = rg_random_uniform(rg_random_root(7), i);
    }
    for (int k = 0; k < 3; k++) {
        double offset = (double[]){0, 1e-300, 2.5}[k], sum = 0, size = 0;
        for (int i = 0; i < N; i++) {
            sum += weight[i] * log(offset + x[i]);
            size += weight[i] * fabs(log(offset + x[i]));
        }
        ON_EVERY_SET(cr_assert_float_eq(rg_sum_logs(N, offset, x, weight), sum, 2e-15 * size, "%s",
                                        rg_instructions_name(set)));
        for (int i = 0; i < N; i++) { /* one at a time */
            double one = 1, own = log(offset + x[i]);
            ON_EVERY_SET(cr_assert_float_eq(rg_sum_logs(1, offset, x + i, &one), own,
                                            1e-15 * fabs(own) + 3e-16, "%s: log(%g)",
                                            rg_instructions_name(set), offset + x[i]));
        }
    }
}

/* ---- weights in panels ---- */

typedef struct Weights {
    RgPanels panels;
    RgReal *weight, *bias; /* [out, in], [out] */
} Weights;

static Weights weights_of(int64_t in, int64_t out, bool bias, RgPrecision precision) {
    Weights w = {rg_panels_create(in, out, bias, precision), numbers(out * in, 2), numbers(out, 3)};
    for (int64_t panel = 0; panel < w.panels.count; panel++) {
        const RgReal *row[RG_PANEL] = {NULL};
        for (int64_t o = panel * RG_PANEL; o < out && o < (panel + 1) * RG_PANEL; o++)
            row[o % RG_PANEL] = w.weight + o * in;
        rg_panels_fill(&w.panels, panel, row);
    }
    if (bias)
        memcpy(w.panels.bias, w.bias, sizeof *w.bias * (size_t)out);
    return w;
}

static void release(Weights *w) {
    rg_panels_release(&w->panels);
    free(w->weight);
    free(w->bias);
}

/* y of all rows, or of row `from` alone where `count` is 1. */
static void multiply(const Weights *w, const RgReal *x, int64_t from, int64_t count,
                     const RgReal *onto, RgReal *y) {
    int64_t stride = rg_panels_stride(&w->panels), in = w->panels.in;
    rg_panels_gemm(&(RgPanelsGemm){.w = &w->panels,
                                   .x = x + from * in,
                                   .onto = onto ? onto + from * stride : NULL,
                                   .y = y,
                                   .rows = count,
                                   .x_row = in,
                                   .y_row = stride});
}

static void check_panels(int64_t in, int64_t out, int64_t rows, bool bias, bool adds) {
    Weights w = weights_of(in, out, bias, RG_PRECISION_FP32);
    int64_t stride = rg_panels_stride(&w.panels);
    RgReal *x = numbers(rows * in, 4), *onto = numbers(rows * stride, 5);
    RgReal *y = numbers(rows * stride, 6), *alone = numbers(stride, 6);
    multiply(&w, x, 0, rows, adds ? onto : NULL, y);
    for (int64_t r = 0; r < rows; r++) {
        multiply(&w, x, r, 1, adds ? onto : NULL, alone);
        cr_assert_arr_eq(alone, y + r * stride, sizeof *y * (size_t)out);
        for (int64_t o = 0; o < out; o++) {
            double sum = (bias ? (double)w.bias[o] : 0) + (adds ? (double)onto[r * stride + o] : 0);
            double size = fabs(sum);
            for (int64_t k = 0; k < in; k++) {
                double term = (double)x[r * in + k] * (double)w.weight[o * in + k];
                sum += term;
                size += fabs(term);
            }
            cr_assert_float_eq(y[r * stride + o], sum, 4 * RG_REAL_EPSILON * size,
                               "%s: %d rows, %d to %d", rg_instructions_name(rg_instructions()),
                               (int)rows, (int)in, (int)out);
        }
    }
    free(x);
    free(onto);
    free(y);
    free(alone);
    release(&w);
}

Test(vectors, products_with_panels_are_right_and_rows_have_the_same_bits_in_any_company) {
    ON_EVERY_SET({
        for (int64_t rows = 1; rows <= 35; rows++)
            check_panels(24 + rows % 3, 90, rows, rows % 2, rows % 5 == 0);
        check_panels(1, 1, 1, true, true);
        check_panels(7, 200, 3, false, false);
    });
}

/* Weights in bf16, of which an odd number of inputs leaves half a cell empty: what the set widens,
 * and what rg_panels_gemm makes, perhaps with x rounded too. */
static void check_rounded_panels(int64_t in, int64_t out, int64_t rows) {
    Weights w = weights_of(in, out, true, RG_PRECISION_BF16);
    int64_t stride = rg_panels_stride(&w.panels);
    RgReal *x = numbers(rows * in, 4), *weight = rounded(w.weight, out * in);
    RgReal *y[2] = {numbers(rows * stride, 5), numbers(rows * stride, 6)};
    RgReal *alone = numbers(stride, 6), *inputs[2] = {x, x};
    RgPanelsGemm p = {
        .w = &w.panels, .x = x, .y = y[0], .rows = rows, .x_row = in, .y_row = stride};
    rg_vectors()->panels(&p, 0, w.panels.count);
    multiply(&w, x, 0, rows, NULL, y[1]);
    if (rg_vectors_in_cells())
        inputs[1] = rounded(x, rows * in);
    for (int64_t r = 0; r < rows; r++) {
        multiply(&w, x, r, 1, NULL, alone);
        cr_assert_arr_eq(alone, y[1] + r * stride, sizeof *alone * (size_t)out);
        for (int64_t o = 0; o < out; o++)
            for (int kernel = 0; kernel < 2; kernel++) {
                double sum = (double)w.bias[o], size = fabs(sum);
                for (int64_t k = 0; k < in; k++) {
                    double term = (double)inputs[kernel][r * in + k] * (double)weight[o * in + k];
                    sum += term;
                    size += fabs(term);
                }
                cr_assert_float_eq(y[kernel][r * stride + o], sum, 4 * RG_REAL_EPSILON * size,
                                   "%s, kernel %d: %d rows, %d to %d",
                                   rg_instructions_name(rg_instructions()), kernel, (int)rows,
                                   (int)in, (int)out);
            }
    }
    if (inputs[1] != x)
        free(inputs[1]);
    free(x);
    free(weight);
    free(y[0]);
    free(y[1]);
    free(alone);
    release(&w);
}

Test(vectors, products_with_panels_in_bf16_are_those_of_rounded_weights) {
    ON_EVERY_SET({
        for (int64_t rows = 1; rows <= 35; rows++)
            check_rounded_panels(24 + rows % 3, 90, rows);
        check_rounded_panels(1, 1, 1);
        check_rounded_panels(7, 200, 3);
    });
}

Test(vectors, panels_in_bf16_take_half_the_memory_and_say_so) {
    RgPanels fp32 = rg_panels_create(7, 20, false, RG_PRECISION_FP32),
             bf16 = rg_panels_create(7, 20, false, RG_PRECISION_BF16);
    cr_assert(fp32.weight && !fp32.rounded && !bf16.weight && bf16.rounded);
    cr_assert_eq(rg_panels_cells(&bf16), 4);
    cr_assert_eq(rg_panels_stride(&bf16), rg_panels_stride(&fp32));
    rg_panels_release(&fp32);
    rg_panels_release(&bf16);
}

static void check_threads(RgPrecision precision) {
    enum { IN = 300, OUT = 900, ROWS = 13 };
    Weights w = weights_of(IN, OUT, true, precision);
    RgReal *x = numbers(ROWS * IN, 4);
    size_t bytes = sizeof *x * (size_t)(ROWS * rg_panels_stride(&w.panels));
    RgReal *one = rg_allocate(1, bytes), *more = rg_allocate(1, bytes);
    ON_EVERY_SET({
        rg_threads_set(1);
        multiply(&w, x, 0, ROWS, NULL, one);
        for (int threads = 2; threads <= 4; threads++) {
            rg_threads_set(threads);
            multiply(&w, x, 0, ROWS, NULL, more);
            cr_assert_arr_eq(one, more, bytes);
        }
    });
    rg_threads_set(1);
    free(x);
    free(one);
    free(more);
    release(&w);
}

Test(vectors, products_with_panels_have_the_same_bits_on_any_threads) {
    check_threads(RG_PRECISION_FP32);
    check_threads(RG_PRECISION_BF16);
}

/* ---- attention ---- */

/* What attention to the positions from `seen` on has to give for dimension `d` of head `h`, by sums
 * in double over both spans. */
static double attended(const RgCacheHeads *heads, const RgReal *query, const RgReal *key,
                       const RgReal *value, int64_t seen, int64_t length, int64_t h, int64_t d) {
    int64_t size = heads->size, width = heads->kv_count * size;
    int64_t at = h / (heads->count / heads->kv_count) * size;
    double total = 0, sum = 0;
    double scale = heads->scale > 0 ? (double)heads->scale : 1 / sqrt((double)size);
    for (int64_t j = seen; j < length; j++) {
        double score = 0;
        for (int64_t e = 0; e < size; e++)
            score += (double)query[h * size + e] * (double)key[j * width + at + e];
        score *= scale;
        if (heads->cap > 0)
            score = (double)heads->cap * tanh(score / (double)heads->cap);
        double weight = exp(score);
        total += weight;
        sum += weight * (double)value[j * width + at + d];
    }
    return sum / total;
}

static void check_attention(int64_t count, int64_t kv_count, int64_t size, int64_t first,
                            int64_t second, RgPrecision precision, int64_t seen, RgReal scale,
                            RgReal cap) {
    int64_t width = kv_count * size, length = first + second, positions = length + 5;
    RgCache cache[2];
    RgReal *key = numbers(length * width, 7), *value = numbers(length * width, 8);
    RgReal *query = numbers(count * size, 9), *out = numbers(count * size, 10);
    for (int c = 0; c < 2; c++)
        cache[c] = rg_cache_create(3, positions, kv_count, size, precision);
    for (int64_t j = 0; j < length; j++)
        rg_cache_store(&cache[j >= first], 1, j < first ? j : j - first, key + j * width,
                       value + j * width);
    RgCacheHeads heads = {
        count, kv_count, size, (rg_cache_blocks(first) + rg_cache_blocks(second)) * RG_CACHE_BLOCK,
        scale, cap};
    RgReal *score = numbers(count * heads.stride, 11);
    const RgCacheSpan span[2] = {rg_cache_span_from(&cache[0], 1, seen, first),
                                 rg_cache_span_from(&cache[1], 1, seen - first, second)};
    RgReal *kept_key = key, *kept_value = value, *kept_query = query, largest = 0;
    if (precision == RG_PRECISION_BF16) {
        kept_key = rounded(key, length * width);
        kept_value = rounded(value, length * width);
    }
    for (int64_t i = 0; i < length * width; i++)
        largest = (RgReal)fmax(largest, fabs(value[i]));
    for (int whole = 0; whole < 2; whole++) {
        /* cells whole, where queries are rounded, and so are weights, to half a unit of 2^-8 */
        bool cells = whole && precision == RG_PRECISION_BF16 && rg_vectors_in_cells();
        if (whole)
            rg_cache_attend(&heads, span, query, score, out);
        else
            rg_vectors()->attend(&heads, span, query, score, out);
        if (cells)
            kept_query = rounded(query, count * size);
        double tolerance = cells ? (double)largest / 256 : 100 * RG_REAL_EPSILON;
        for (int64_t h = 0; h < count; h++)
            for (int64_t d = 0; d < size; d++)
                cr_assert_float_eq(
                    out[h * size + d],
                    attended(&heads, kept_query, kept_key, kept_value, seen, length, h, d),
                    tolerance, "%s: %d heads of %d, %d + %d",
                    rg_instructions_name(rg_instructions()), (int)count, (int)size, (int)first,
                    (int)second);
    }
    if (kept_query != query)
        free(kept_query);
    if (kept_key != key) {
        free(kept_key);
        free(kept_value);
    }
    free(key);
    free(value);
    free(query);
    free(out);
    free(score);
    rg_cache_release(&cache[0]);
    rg_cache_release(&cache[1]);
}

Test(vectors, attention_over_a_cache_is_softmax_of_scores_times_values) {
    static const int64_t sizes[] = {1, 2, 8, 11, 12, 16, 20, 32, 48, 64, 80, 96, 128, 136};
    ON_EVERY_SET({
        for (RgPrecision p = RG_PRECISION_FP32; p <= RG_PRECISION_BF16; p++)
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                check_attention(4, 4, sizes[i], 1 + (int64_t)i * 3, (int64_t)i * 2, p, 0, 0, 0);
                check_attention(4, 2, sizes[i], 17, 31, p, 0, 0, 0);
            }
    });
}

/* From within the first block of the first span to the last position of the second; and scores that
 * are capped, with a scale of their own. */
Test(vectors, attention_over_a_cache_sees_no_position_before_its_window) {
    ON_EVERY_SET({
        for (RgPrecision p = RG_PRECISION_FP32; p <= RG_PRECISION_BF16; p++)
            for (int64_t seen = 1; seen < 60; seen++) {
                check_attention(4, 2, 12, 21, 39, p, seen, 0, 0);
                check_attention(4, 2, 12, 21, 39, p, seen, (RgReal)0.4, (RgReal)1.5);
            }
    });
}
