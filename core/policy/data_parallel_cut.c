/* SPDX-License-Identifier: MIT */
/* Cutting a batch into slices, by dynamic programming over their first sequences. */
#include "core/policy/data_parallel_cut.h"

#include <math.h>
#include <stdlib.h>

/* If there are more sequences than this, several form one item: trying all pairs of places would
 * take too long, and such a fine cut gains nothing. */
enum { MOST_ITEMS = 1024 };

/* One or several consecutive sequences, by what a slice reads of them. */
typedef struct Item {
    int64_t first;    /* sequence */
    int64_t prompt;   /* length; not read again after the previous item if it is … */
    bool shares;      /* … also that one's prompt */
    int64_t response; /* all other tokens */
} Item;

typedef struct Items {
    Item *item;
    int64_t count, each; /* number of items, and sequences per item */
    int64_t sequences;   /* added so far */
    int64_t tokens;      /* counting each shared prompt once */
} Items;

/* ---- what there is to cut ---- */

static Items items_new(int64_t sequences) {
    int64_t each = (sequences + MOST_ITEMS - 1) / MOST_ITEMS;
    each += each > 1 ? each % 2 : 0; /* pairs stay together */
    return (Items){.item = rg_allocate(sequences + 1, sizeof(Item)), .each = each};
}

/* Adds the next sequence. `shares`: the previous one has the same prompt. */
static void add(Items *all, int64_t sequence, int64_t prompt, bool shares, int64_t response) {
    int64_t read = shares ? 0 : prompt;
    all->tokens += read + response;
    if (all->sequences++ % all->each == 0)
        all->item[all->count++] = (Item){sequence, prompt, shares, response};
    else
        all->item[all->count - 1].response += read + response;
}

/* As the transformer packs them: a sequence without a response is not read and separates no
 * others. */
static Items items_of(const RgSequences *s, int64_t first, int64_t last) {
    Items all = items_new(last - first);
    int64_t read = -1;
    for (int64_t i = first; i < last; i++) {
        int64_t response = rg_sequence_response_length(s, i);
        if (response == 0)
            continue;
        bool shares = read >= 0 && rg_sequences_same_prompt(s, read, i);
        add(&all, i, s->prompt_length[i], shares, response);
        read = i;
    }
    return all;
}

/* ---- cutting ---- */

/* The cheapest cut of the first items into a number of slices; the last slice begins at item
 * `last`. */
typedef struct Best {
    double cost;
    int64_t last;
} Best;

double rg_slice_cost(int64_t tokens, int64_t all) {
    return (double)tokens * ((double)tokens + 2 * (double)all / RG_SLICES);
}

/* The best cut of the first `end` items, given those of fewer items in one slice less. A slice that
 * costs too much alone does not get cheaper with a larger start. */
static Best find_last(const Items *all, const Best *before, int64_t end) {
    Best best = {INFINITY, 0};
    int64_t inside = 0;
    for (int64_t i = end - 1; i >= 0; i--) {
        const Item *item = &all->item[i];
        inside += item->response;
        double cost = rg_slice_cost(item->prompt + inside, all->tokens);
        if (cost >= best.cost)
            break;
        if (before[i].cost + cost < best.cost)
            best = (Best){before[i].cost + cost, i};
        inside += item->shares ? 0 : item->prompt;
    }
    return best;
}

static int64_t tokens_of(const Items *all, int64_t first, int64_t last) {
    int64_t tokens = first < last ? all->item[first].prompt : 0;
    for (int64_t i = first; i < last; i++)
        tokens +=
            all->item[i].response + (i > first && !all->item[i].shares ? all->item[i].prompt : 0);
    return tokens;
}

/* `best` [RG_SLICES + 1][items + 1] */
static RgSliceCut read_cut(const Items *all, const Best *best, int64_t first, int64_t last) {
    int64_t n = all->count, row = n + 1, end = n;
    RgSliceCut cut = {.count = 1};
    for (int64_t k = 2; k <= RG_SLICES; k++)
        if (best[k * row + n].cost < best[cut.count * row + n].cost)
            cut.count = k;
    cut.first[cut.count] = last;
    for (int64_t k = cut.count; k > 0; k--) {
        int64_t begin = best[k * row + end].last;
        cut.first[k - 1] = begin > 0 ? all->item[begin].first : first;
        cut.tokens[k - 1] = tokens_of(all, begin, end);
        end = begin;
    }
    return cut;
}

/* Cuts sequences [first, last) and frees the items. */
static RgSliceCut cut_items(Items *all, int64_t first, int64_t last) {
    int64_t n = all->count, row = n + 1;
    Best *best = rg_allocate((RG_SLICES + 1) * row, sizeof *best);
    for (int64_t end = 1; end <= n; end++)
        best[end].cost = INFINITY; /* not reachable */
    for (int64_t k = 1; k <= RG_SLICES; k++)
        for (int64_t end = 0; end <= n; end++)
            best[k * row + end] = find_last(all, best + (k - 1) * row, end);
    RgSliceCut cut = read_cut(all, best, first, last);
    free(best);
    free(all->item);
    return cut;
}

RgSliceCut rg_slice_cut(const RgSequences *sequences, int64_t first, int64_t last) {
    Items all = items_of(sequences, first, last);
    return cut_items(&all, first, last);
}

RgSliceCut rg_slice_cut_evenly(int64_t prompts, int64_t copies, int64_t prompt_length,
                               int64_t response_length) {
    int64_t n = prompts * copies;
    Items all = items_new(n);
    for (int64_t i = 0; i < n && response_length > 0; i++)
        add(&all, i, prompt_length, i % copies > 0, response_length);
    return cut_items(&all, 0, n);
}

/* ---- its sizes ---- */

int64_t rg_slice_cut_tokens(const RgSliceCut *cut) {
    int64_t tokens = 0;
    for (int64_t i = 0; i < cut->count; i++)
        tokens += cut->tokens[i];
    return tokens;
}

int64_t rg_slice_cut_largest(const RgSliceCut *cut) {
    int64_t largest = 0;
    for (int64_t i = 0; i < cut->count; i++)
        largest = cut->tokens[i] > largest ? cut->tokens[i] : largest;
    return largest;
}
