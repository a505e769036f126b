/* SPDX-License-Identifier: MIT */
/* The parameter store: layout of the views in the flat buffer, filling, copies, norms. */
#include "core/tensor/parameters.h"

#include "core/tensor/parallel.h"
#include "core/tensor/vector_ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RgParameters *rg_parameters_create(void) {
    return rg_allocate(1, sizeof(RgParameters));
}

void rg_parameters_destroy(RgParameters *parameters) {
    if (!parameters)
        return;
    free(parameters->value);
    free(parameters->gradient);
    free(parameters->rounded);
    free(parameters->views);
    free(parameters);
}

int rg_parameters_declare(RgParameters *parameters, const char *name, int rank,
                          const int64_t *sizes, bool decays) {
    RG_ASSERT(!parameters->value);
    RG_ASSERT(rank >= 0 && rank <= 4);
    RG_ASSERT(strlen(name) < sizeof parameters->views->name);
    RG_ASSERT(rg_parameters_find(parameters, name) < 0);

    RgParameterView view = {
        .rank = rank, .size = {1, 1, 1, 1}, .offset = parameters->count, .count = 1};
    snprintf(view.name, sizeof view.name, "%s", name);
    for (int i = 0; i < rank; i++) {
        RG_ASSERT(sizes[i] > 0);
        view.size[i] = sizes[i];
        view.count *= sizes[i];
    }
    view.decays = decays;

    int index = parameters->view_count++;
    parameters->views =
        rg_reallocate(parameters->views, (size_t)parameters->view_count, sizeof *parameters->views);
    parameters->views[index] = view;
    parameters->count += view.count;
    return index;
}

static RgReal *numbers_create(int64_t count) {
    return rg_allocate_aligned_zeroed(sizeof(RgReal) * (size_t)count);
}

/* A gradient is first written by an operator's backward, which uses all threads. */
void rg_parameters_allocate(RgParameters *parameters) {
    RG_ASSERT(!parameters->value);
    parameters->value = numbers_create(parameters->count);
    rg_pages_touch(parameters->value, sizeof(RgReal) * (size_t)parameters->count);
    if (!parameters->frozen)
        parameters->gradient = numbers_create(parameters->count);
}

RgParameters *rg_parameters_clone(const RgParameters *parameters, bool frozen) {
    RgParameters *clone = rg_parameters_create();
    size_t views_size = sizeof *clone->views * (size_t)parameters->view_count;
    clone->count = parameters->count;
    clone->view_count = parameters->view_count;
    clone->frozen = frozen;
    clone->views = rg_allocate(views_size, 1);
    if (views_size > 0)
        memcpy(clone->views, parameters->views, views_size);
    int64_t offset = 0;
    for (int i = 0; i < clone->view_count; i++) {
        clone->views[i].offset = offset;
        clone->views[i].rounded = false;
        offset += clone->views[i].count;
    }
    rg_parameters_allocate(clone);
    for (int i = 0; i < clone->view_count; i++)
        rg_parameters_read(parameters, i, clone->value + clone->views[i].offset);
    return clone;
}

void rg_parameters_copy(const RgParameters *from, RgParameters *to) {
    rg_numbers_copy(from->count, from->value, to->value);
}

void rg_parameters_mix(const RgParameters *from, RgReal share, RgParameters *to) {
    for (int64_t i = 0; i < from->count; i++)
        to->value[i] += share * (from->value[i] - to->value[i]);
}

void rg_parameters_freeze(RgParameters *parameters) {
    free(parameters->gradient);
    parameters->gradient = NULL;
    parameters->frozen = true;
}

/* ---- matrices in bf16 ---- */

static int64_t count_rounded(const RgParameters *parameters) {
    int64_t count = 0;
    for (int i = 0; i < parameters->view_count; i++)
        count += parameters->views[i].rounded ? parameters->views[i].count : 0;
    return count;
}

static void round_numbers(int64_t count, const RgReal *from, RgBf16 *to) {
    RG_FOR_PIECES(count, rg_spread(count, RG_LEAST_NUMBERS),
                  rg_bf16_round(last - first, from + first, to + first));
}

void rg_parameters_round(RgParameters *parameters) {
    RG_ASSERT(parameters->frozen && parameters->value && !parameters->rounded);
    for (int i = 0; i < parameters->view_count; i++)
        parameters->views[i].rounded = parameters->views[i].rank == 2;
    int64_t rounded = 0, kept = 0, all = count_rounded(parameters);
    RgReal *before = parameters->value;
    parameters->rounded = rg_allocate_aligned(sizeof *parameters->rounded * (size_t)all);
    parameters->value = numbers_create(parameters->count - all);
    for (int i = 0; i < parameters->view_count; i++) {
        RgParameterView *view = &parameters->views[i];
        const RgReal *from = before + view->offset;
        view->offset = view->rounded ? rounded : kept;
        if (view->rounded)
            round_numbers(view->count, from, parameters->rounded + view->offset);
        else
            rg_numbers_copy(view->count, from, parameters->value + view->offset);
        *(view->rounded ? &rounded : &kept) += view->count;
        rg_discard((RgReal *)from, sizeof *from * (size_t)view->count);
    }
    free(before);
}

void rg_parameters_read(const RgParameters *parameters, int index, RgReal *out) {
    const RgParameterView *view = &parameters->views[index];
    if (view->rounded)
        RG_FOR_PIECES(
            view->count, rg_spread(view->count, RG_LEAST_NUMBERS),
            rg_bf16_widen(last - first, parameters->rounded + view->offset + first, out + first));
    else
        rg_numbers_copy(view->count, parameters->value + view->offset, out);
}

const RgReal *rg_parameters_rows(const RgParameters *parameters, int index, int64_t first,
                                 int64_t count) {
    const RgParameterView *view = &parameters->views[index];
    int64_t columns = view->size[1], at = view->offset + first * columns;
    return view->rounded ? rg_bf16_widened(parameters->rounded + at, count, columns, columns)
                         : parameters->value + at;
}

/* ---- filling and finding ---- */

/* Count of random numbers worth waking a thread for. */
enum { LEAST_DRAWN = RG_LEAST_NUMBERS / 16 };

static const RgParameterView *view_at(const RgParameters *parameters, int view) {
    RG_ASSERT(view >= 0 && view < parameters->view_count && parameters->value);
    RG_ASSERT(!parameters->views[view].rounded);
    return &parameters->views[view];
}

void rg_parameters_fill_normal(RgParameters *parameters, int view, double deviation,
                               RgRandom random) {
    const RgParameterView *v = view_at(parameters, view);
    RgRandom stream = rg_random_named(random, v->name);
    RgReal *value = parameters->value + v->offset;
    RG_FOR_PIECES(v->count, rg_spread(v->count, LEAST_DRAWN),
                  for (int64_t i = first; i < last; i++) value[i] =
                      (RgReal)(deviation * rg_random_normal(stream, (uint64_t)i)));
}

void rg_parameters_fill_uniform(RgParameters *parameters, int view, double bound, RgRandom random) {
    const RgParameterView *v = view_at(parameters, view);
    RgRandom stream = rg_random_named(random, v->name);
    RgReal *value = parameters->value + v->offset;
    RG_FOR_PIECES(v->count, rg_spread(v->count, LEAST_DRAWN),
                  for (int64_t i = first; i < last; i++) value[i] =
                      (RgReal)(bound * (2 * rg_random_uniform(stream, (uint64_t)i) - 1)));
}

void rg_parameters_fill(RgParameters *parameters, int view, RgReal value) {
    const RgParameterView *v = view_at(parameters, view);
    for (int64_t i = 0; i < v->count; i++)
        parameters->value[v->offset + i] = value;
}

int rg_parameters_find(const RgParameters *parameters, const char *name) {
    for (int i = 0; i < parameters->view_count; i++)
        if (strcmp(parameters->views[i].name, name) == 0)
            return i;
    return -1;
}

void rg_parameters_zero_gradient(RgParameters *parameters) {
    if (parameters->gradient)
        rg_numbers_clear(parameters->gradient, parameters->count);
}

double rg_parameters_gradient_norm(const RgParameters *parameters) {
    if (!parameters->gradient)
        return 0;
    return sqrt(rg_dot(parameters->count, parameters->gradient, parameters->gradient));
}

/* Hashes pieces, and then the pieces' hashes. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size) {
    uint64_t piece_hash[RG_SPREAD_MOST] = {0};
    int64_t n = (int64_t)size;
    RG_FOR_PIECES(n, rg_spread(n, RG_LEAST_NUMBERS),
                  piece_hash[piece] =
                      rg_hash(RG_HASH_START, (const char *)bytes + first, (size_t)(last - first)));
    return rg_hash(hash, piece_hash, sizeof piece_hash);
}

uint64_t rg_parameters_hash(const RgParameters *parameters) {
    int64_t rounded = count_rounded(parameters), kept = parameters->count - rounded;
    uint64_t hash =
        hash_bytes(RG_HASH_START, parameters->value, sizeof *parameters->value * (size_t)kept);
    return hash_bytes(hash, parameters->rounded, sizeof *parameters->rounded * (size_t)rounded);
}
