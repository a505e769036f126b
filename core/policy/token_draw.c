/* How a token is drawn from a row of logits: see the header. */
#include "core/policy/token_draw.h"
#include "core/tensor/kernels.h"

#include <stdlib.h>

struct RgTokenDraw {
    const RgSampling *sampling;
    int64_t vocabulary;
    double *weight;      /* [vocabulary] */
    double *kept_weight; /* [vocabulary], of the kept tokens, likeliest first */
    int32_t *heap;       /* [vocabulary] */
    int32_t *kept;       /* [vocabulary], token ids, likeliest first */
};

RgTokenDraw *rg_token_draw_create(const RgSampling *sampling, int64_t vocabulary) {
    RgTokenDraw *draw = rg_allocate(sizeof *draw);
    draw->sampling = sampling;
    draw->vocabulary = vocabulary;
    draw->weight = rg_allocate(sizeof *draw->weight * (size_t)vocabulary);
    draw->kept_weight = rg_allocate(sizeof *draw->kept_weight * (size_t)vocabulary);
    draw->heap = rg_allocate(sizeof *draw->heap * (size_t)vocabulary);
    draw->kept = rg_allocate(sizeof *draw->kept * (size_t)vocabulary);
    return draw;
}

void rg_token_draw_destroy(RgTokenDraw *draw) {
    if (!draw)
        return;
    free(draw->weight);
    free(draw->kept_weight);
    free(draw->heap);
    free(draw->kept);
    free(draw);
}

static int32_t likeliest(const RgReal *logits, int64_t vocabulary) {
    int32_t best = 0;
    for (int64_t v = 1; v < vocabulary; v++)
        if (logits[v] > logits[best])
            best = (int32_t)v;
    return best;
}

/* weight[v] = exp((logits[v] − max) / temperature); returns their sum. */
RG_KERNEL static double weigh(const RgReal *logits, int64_t vocabulary, double temperature,
                              double *weight) {
    RgReal top = logits[0], inverse = (RgReal)(1 / temperature);
#pragma omp simd reduction(max : top)
    for (int64_t v = 0; v < vocabulary; v++)
        top = logits[v] > top ? logits[v] : top;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t v = 0; v < vocabulary; v++) {
        weight[v] = (double)rg_fast_exp((logits[v] - top) * inverse);
        sum += weight[v];
    }
    return sum;
}

/* ---- the likeliest tokens, from a heap that is only sorted as far as needed ---- */

static bool likelier(const RgReal *logits, int32_t a, int32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

static void sift_down(const RgReal *logits, int32_t *heap, int64_t count, int64_t at) {
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && likelier(logits, heap[child + 1], heap[child]))
            child++;
        if (!likelier(logits, heap[child], heap[at]))
            return;
        int32_t swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
        at = child;
    }
}

/* Take tokens from the likeliest down, until there are `most` or their mass reaches `enough`.
 * Returns how many. */
static int64_t take_likeliest(RgTokenDraw *d, const RgReal *logits, int64_t most, double enough) {
    int64_t count = d->vocabulary, taken = 0;
    for (int64_t v = 0; v < count; v++)
        d->heap[v] = (int32_t)v;
    for (int64_t at = count / 2 - 1; at >= 0; at--)
        sift_down(logits, d->heap, count, at);
    double mass = 0;
    while (taken < most && (taken == 0 || mass < enough)) {
        d->kept[taken] = d->heap[0];
        d->kept_weight[taken] = d->weight[d->heap[0]];
        mass += d->kept_weight[taken++];
        d->heap[0] = d->heap[--count];
        sift_down(logits, d->heap, count, 0);
    }
    return taken;
}

/* How many of the first `count` kept tokens make up the mass `enough`. */
static int64_t nucleus(const RgTokenDraw *d, int64_t count, double enough) {
    double mass = 0;
    for (int64_t i = 0; i < count; i++) {
        mass += d->kept_weight[i];
        if (mass >= enough)
            return i + 1;
    }
    return count;
}

/* Keep the tokens whose weight, that of the likeliest being 1, is at least `least`; how many. */
static int64_t keep_likely(RgTokenDraw *d, double least) {
    int64_t count = 0;
    for (int64_t v = 0; v < d->vocabulary; v++)
        if (d->weight[v] >= least) {
            d->kept[count] = (int32_t)v;
            d->kept_weight[count++] = d->weight[v];
        }
    return count;
}

int32_t rg_token_draw(RgTokenDraw *d, const RgReal *logits, double uniform) {
    const RgSampling *s = d->sampling;
    if (s->temperature <= 0)
        return likeliest(logits, d->vocabulary);
    double sum = weigh(logits, d->vocabulary, s->temperature, d->weight);
    if (!isfinite(sum))
        return 0;
    bool cut_by_count = s->top_k > 0 && s->top_k < d->vocabulary;
    if (!cut_by_count && s->top_p >= 1 && s->min_p <= 0)
        return (int32_t)rg_random_choice(uniform, d->weight, d->vocabulary);

    int64_t count;
    if (cut_by_count) { /* the mass p is of what the k likeliest have together */
        count = take_likeliest(d, logits, s->top_k, sum * 2);
        double kept = 0;
        for (int64_t i = 0; i < count; i++)
            kept += d->kept_weight[i];
        if (s->top_p < 1)
            count = nucleus(d, count, s->top_p * kept);
    } else if (s->top_p < 1) {
        count = take_likeliest(d, logits, d->vocabulary, s->top_p * sum);
    } else {
        count = keep_likely(d, s->min_p);
    }
    if (cut_by_count || s->top_p < 1)
        while (count > 1 && d->kept_weight[count - 1] < s->min_p)
            count--;
    return d->kept[rg_random_choice(uniform, d->kept_weight, count)];
}
