/* SPDX-License-Identifier: MIT */
/* Sampling a token from a row of logits (see the header). Weights are summed in blocks, so finding
 * the sampled token takes one walk over the blocks and one within a block. */
#include "core/policy/token_sampler.h"
#include "core/tensor/kernels.h"

#include <stdlib.h>

enum { BLOCK = 256 };

struct RgTokenSampler {
    const RgSampling *sampling;
    int64_t vocabulary;  /* rows of logits */
    int64_t tokens;      /* the first ones, which may be sampled */
    RgReal *weight;      /* [vocabulary], 1 for the most likely token */
    double *block;       /* [blocks], sums of weights */
    double *kept_weight; /* [vocabulary], of the kept tokens, most likely first */
    int32_t *heap;       /* [vocabulary] */
    int32_t *kept;       /* [vocabulary], token ids, most likely first */
    /* What is known of the rows of a table; NULL: nothing is remembered. */
    bool *known;         /* [rows] */
    RgReal *row_weight;  /* [rows, vocabulary] */
    double *row_sum;     /* [rows] of the weights */
    double *row_logprob; /* [rows, vocabulary] */
};

RgTokenSampler *rg_token_sampler_create(const RgSampling *sampling, int64_t vocabulary) {
    RgTokenSampler *draw = rg_allocate(1, sizeof *draw);
    draw->sampling = sampling;
    draw->vocabulary = vocabulary;
    bool padded = sampling->tokens > 0 && sampling->tokens < vocabulary;
    draw->tokens = padded ? sampling->tokens : vocabulary;
    draw->weight = rg_allocate(vocabulary, sizeof *draw->weight);
    draw->block = rg_allocate(vocabulary / BLOCK + 1, sizeof *draw->block);
    draw->kept_weight = rg_allocate(vocabulary, sizeof *draw->kept_weight);
    draw->heap = rg_allocate(vocabulary, sizeof *draw->heap);
    draw->kept = rg_allocate(vocabulary, sizeof *draw->kept);
    return draw;
}

void rg_token_sampler_destroy(RgTokenSampler *draw) {
    if (!draw)
        return;
    free(draw->weight);
    free(draw->block);
    free(draw->kept_weight);
    free(draw->heap);
    free(draw->kept);
    free(draw->known);
    free(draw->row_weight);
    free(draw->row_sum);
    free(draw->row_logprob);
    free(draw);
}

static int32_t likeliest(const RgReal *logits, int64_t count) {
    int32_t best = 0;
    for (int64_t v = 1; v < count; v++)
        if (logits[v] > logits[best])
            best = (int32_t)v;
    return best;
}

/* weight[v] = exp((logits[v] − max) / temperature), and block[v / BLOCK] their sums. Returns the
 * total. */
RG_KERNEL(double, weigh,
          (const RgReal *logits, int64_t count, RgReal inverse_temperature, RgReal *weight,
           double *block),
          (logits, count, inverse_temperature, weight, block)) {
    RgReal top = logits[0];
#pragma omp simd reduction(max : top)
    for (int64_t v = 0; v < count; v++)
        top = logits[v] > top ? logits[v] : top;
    double all = 0;
    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t last = count - first < BLOCK ? count : first + BLOCK;
        RgReal sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t v = first; v < last; v++) {
            weight[v] = rg_fast_exp((logits[v] - top) * inverse_temperature);
            sum += weight[v];
        }
        block[first / BLOCK] = (double)sum;
        all += (double)sum;
    }
    return all;
}

/* The token at which the running sum of weights exceeds `uniform` times their total. `block_sum` has
 * the sums of blocks; NULL: there is one. */
static int32_t choose(const RgReal *weight, int64_t tokens, double sum, double uniform,
                      const double *block_sum) {
    double left = uniform * sum;
    int64_t block = 0, blocks = block_sum ? (tokens + BLOCK - 1) / BLOCK : 1;
    while (block + 1 < blocks && left >= block_sum[block])
        left -= block_sum[block++];
    int64_t first = block * BLOCK, chosen = first;
    int64_t last = tokens - first < BLOCK ? tokens : first + BLOCK;
    for (int64_t v = first; v < last; v++) {
        if (weight[v] <= 0)
            continue;
        chosen = v; /* rounding may leave a remainder, which goes to the last one */
        left -= (double)weight[v];
        if (left < 0)
            break;
    }
    return (int32_t)chosen;
}

/* log softmax(logits)[token] over the whole vocabulary, at temperature 1. */
static double logprob_at_one(RgTokenSampler *d, const RgReal *logits, int32_t token) {
    double sum = weigh(logits, d->vocabulary, 1, d->weight, d->block);
    return log((double)d->weight[token]) - log(sum);
}

/* ---- the most likely tokens, from a heap that is sorted only as far as needed ---- */

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

/* Takes tokens in order of probability, until there are `most` or their mass reaches `enough`.
 * Returns their number. */
static int64_t take_likeliest(RgTokenSampler *d, const RgReal *logits, int64_t most,
                              double enough) {
    int64_t count = d->tokens, taken = 0;
    for (int64_t v = 0; v < count; v++)
        d->heap[v] = (int32_t)v;
    for (int64_t at = count / 2 - 1; at >= 0; at--)
        sift_down(logits, d->heap, count, at);
    double mass = 0;
    while (taken < most && (taken == 0 || mass < enough)) {
        d->kept[taken] = d->heap[0];
        d->kept_weight[taken] = (double)d->weight[d->heap[0]];
        mass += d->kept_weight[taken++];
        d->heap[0] = d->heap[--count];
        sift_down(logits, d->heap, count, 0);
    }
    return taken;
}

/* How many of the first `count` kept tokens reach the mass `enough`. */
static int64_t nucleus(const RgTokenSampler *d, int64_t count, double enough) {
    double mass = 0;
    for (int64_t i = 0; i < count; i++) {
        mass += d->kept_weight[i];
        if (mass >= enough)
            return i + 1;
    }
    return count;
}

/* Keeps the tokens with weight at least `least`, where the most likely has 1. Returns their
 * number. */
static int64_t keep_likely(RgTokenSampler *d, double least) {
    int64_t count = 0;
    for (int64_t v = 0; v < d->tokens; v++)
        if ((double)d->weight[v] >= least) {
            d->kept[count] = (int32_t)v;
            d->kept_weight[count++] = (double)d->weight[v];
        }
    return count;
}

/* Samples from the tokens kept by top-k, top-p and min-p. */
static int32_t choose_kept(RgTokenSampler *d, const RgReal *logits, double sum, double uniform) {
    const RgSampling *s = d->sampling;
    bool cut_by_count = s->top_k > 0 && s->top_k < d->tokens;
    int64_t count;
    if (cut_by_count) { /* p is a share of the mass of the k most likely tokens */
        count = take_likeliest(d, logits, s->top_k, sum * 2);
        double kept = 0;
        for (int64_t i = 0; i < count; i++)
            kept += d->kept_weight[i];
        if (s->top_p < 1)
            count = nucleus(d, count, s->top_p * kept);
    } else if (s->top_p < 1) {
        count = take_likeliest(d, logits, d->tokens, s->top_p * sum);
    } else {
        count = keep_likely(d, s->min_p);
    }
    if (cut_by_count || s->top_p < 1)
        while (count > 1 && d->kept_weight[count - 1] < s->min_p)
            count--;
    return d->kept[rg_random_choice(uniform, d->kept_weight, count)];
}

int32_t rg_token_sampler_draw(RgTokenSampler *d, const RgReal *logits, double uniform,
                              double *logprob) {
    const RgSampling *s = d->sampling;
    int32_t token;
    double sum = 0;
    if (s->temperature > 0)
        sum = weigh(logits, d->tokens, (RgReal)(1 / s->temperature), d->weight, d->block);
    bool all = s->top_k <= 0 || s->top_k >= d->tokens;
    if (s->temperature <= 0)
        token = likeliest(logits, d->tokens);
    else if (!isfinite(sum))
        token = 0;
    else if (all && s->top_p >= 1 && s->min_p <= 0)
        token = choose(d->weight, d->tokens, sum, uniform, d->block);
    else
        token = choose_kept(d, logits, sum, uniform);
    if (logprob && s->temperature == 1 && d->tokens == d->vocabulary)
        *logprob = log((double)d->weight[token]) - log(sum);
    else if (logprob)
        *logprob = logprob_at_one(d, logits, token);
    return token;
}

/* ---- tables ---- */

static bool nothing_is_cut(const RgTokenSampler *d) {
    const RgSampling *s = d->sampling;
    return s->temperature == 1 && (s->top_k <= 0 || s->top_k >= d->tokens) && s->top_p >= 1 &&
           s->min_p <= 0 && d->tokens == d->vocabulary && d->vocabulary <= BLOCK;
}

void rg_token_sampler_remember(RgTokenSampler *d, int64_t rows) {
    if (!nothing_is_cut(d))
        return;
    d->known = rg_allocate(rows, sizeof *d->known);
    d->row_weight = rg_allocate(rows * d->vocabulary, sizeof *d->row_weight);
    d->row_sum = rg_allocate(rows, sizeof *d->row_sum);
    d->row_logprob = rg_allocate(rows * d->vocabulary, sizeof *d->row_logprob);
}

static void learn_row(RgTokenSampler *d, int64_t row, const RgReal *logits) {
    RgReal *weight = d->row_weight + row * d->vocabulary;
    d->row_sum[row] = weigh(logits, d->vocabulary, 1, weight, d->block);
    for (int64_t v = 0; v < d->vocabulary; v++)
        d->row_logprob[row * d->vocabulary + v] = log((double)weight[v]) - log(d->row_sum[row]);
    d->known[row] = true;
}

int32_t rg_token_sampler_draw_row(RgTokenSampler *d, int64_t row, const RgReal *logits,
                                  double uniform, double *logprob) {
    if (!d->known)
        return rg_token_sampler_draw(d, logits, uniform, logprob);
    if (!d->known[row])
        learn_row(d, row, logits);
    if (!isfinite(d->row_sum[row]))
        return rg_token_sampler_draw(d, logits, uniform, logprob);
    int32_t token =
        choose(d->row_weight + row * d->vocabulary, d->tokens, d->row_sum[row], uniform, NULL);
    if (logprob)
        *logprob = d->row_logprob[row * d->vocabulary + token];
    return token;
}
