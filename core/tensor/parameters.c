/* The store of parameters: layout of the views in the flat buffer, filling, copies, norms. How
 * parameters are trained, saved or put on a tape is told elsewhere. */
#include "core/tensor/parameters.h"

#include "core/tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RgParameters *rg_parameters_create(void) {
    return rg_allocate(sizeof(RgParameters));
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

void rg_parameters_allocate(RgParameters *parameters) {
    RG_ASSERT(!parameters->value);
    parameters->value = numbers_create(parameters->count);
    if (!parameters->frozen)
        parameters->gradient = numbers_create(parameters->count);
}

RgParameters *rg_parameters_clone(const RgParameters *parameters, bool frozen) {
    RgParameters *clone = rg_parameters_create();
    size_t views_size = sizeof *clone->views * (size_t)parameters->view_count;
    clone->count = parameters->count;
    clone->view_count = parameters->view_count;
    clone->frozen = frozen;
    clone->views = rg_allocate(views_size);
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
            rg_bf16_round(view->count, from, parameters->rounded + view->offset);
        else
            memcpy(parameters->value + view->offset, from, sizeof *from * (size_t)view->count);
        *(view->rounded ? &rounded : &kept) += view->count;
        rg_discard((RgReal *)from, sizeof *from * (size_t)view->count);
    }
    free(before);
}

void rg_parameters_read(const RgParameters *parameters, int index, RgReal *out) {
    const RgParameterView *view = &parameters->views[index];
    if (view->rounded)
        rg_bf16_widen(view->count, parameters->rounded + view->offset, out);
    else
        memcpy(out, parameters->value + view->offset, sizeof *out * (size_t)view->count);
}

const RgReal *rg_parameters_rows(const RgParameters *parameters, int index, int64_t first,
                                 int64_t count) {
    const RgParameterView *view = &parameters->views[index];
    int64_t columns = view->size[1], at = view->offset + first * columns;
    return view->rounded ? rg_bf16_widened(parameters->rounded + at, count, columns, columns)
                         : parameters->value + at;
}

/* ---- filling and finding ---- */

static const RgParameterView *view_at(const RgParameters *parameters, int view) {
    RG_ASSERT(view >= 0 && view < parameters->view_count && parameters->value);
    RG_ASSERT(!parameters->views[view].rounded);
    return &parameters->views[view];
}

void rg_parameters_fill_normal(RgParameters *parameters, int view, double deviation,
                               RgRandom random) {
    const RgParameterView *v = view_at(parameters, view);
    RgRandom stream = rg_random_named(random, v->name);
    for (int64_t i = 0; i < v->count; i++)
        parameters->value[v->offset + i] =
            (RgReal)(deviation * rg_random_normal(stream, (uint64_t)i));
}

void rg_parameters_fill_uniform(RgParameters *parameters, int view, double bound, RgRandom random) {
    const RgParameterView *v = view_at(parameters, view);
    RgRandom stream = rg_random_named(random, v->name);
    for (int64_t i = 0; i < v->count; i++)
        parameters->value[v->offset + i] =
            (RgReal)(bound * (2 * rg_random_uniform(stream, (uint64_t)i) - 1));
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
        memset(parameters->gradient, 0, sizeof *parameters->gradient * (size_t)parameters->count);
}

double rg_parameters_gradient_norm(const RgParameters *parameters) {
    if (!parameters->gradient)
        return 0;
    return sqrt(rg_dot(parameters->count, parameters->gradient, parameters->gradient));
}

uint64_t rg_parameters_hash(const RgParameters *parameters) {
    int64_t rounded = count_rounded(parameters), kept = parameters->count - rounded;
    uint64_t hash =
        rg_hash(RG_HASH_START, parameters->value, sizeof *parameters->value * (size_t)kept);
    return rg_hash(hash, parameters->rounded, sizeof *parameters->rounded * (size_t)rounded);
}
