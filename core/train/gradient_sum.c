/* SPDX-License-Identifier: MIT */
/* Summing gradients slice by slice. A slice is exchanged one block at a time, so receiving needs
 * little memory. */
#include "core/train/gradient_sum.h"

#include "core/tensor/parallel.h"
#include "core/tensor/vector_ops.h"

#include <stdlib.h>
#include <string.h>

/* Numbers of a block. */
enum { BLOCK = RG_PROCESS_GROUP_BLOCK / sizeof(RgReal) };

struct RgGradientSum {
    RgParameters *parameters;
    RgProcessGroup *process_group;
    RgReal *slice;    /* this rank's slice of the sum */
    RgReal *received; /* [size, a block of a slice] */
    RgBytes *out;     /* [size], like `in`: the arguments of an exchange */
    RgBlock *in;
};

static int64_t slice_start(const RgGradientSum *sum, int rank) {
    return sum->parameters->count * rank / rg_process_group_size(sum->process_group);
}

static int64_t slice_count(const RgGradientSum *sum, int rank) {
    return slice_start(sum, rank + 1) - slice_start(sum, rank);
}

static size_t bytes_of(int64_t numbers) {
    return sizeof(RgReal) * (size_t)numbers;
}

static int64_t at_most(int64_t count, int64_t most) {
    return count < most ? count : most;
}

RgGradientSum *rg_gradient_sum_create(RgParameters *parameters, RgProcessGroup *process_group) {
    RgGradientSum *sum = rg_allocate(1, sizeof *sum);
    *sum = (RgGradientSum){.parameters = parameters, .process_group = process_group};
    size_t size = (size_t)rg_process_group_size(process_group);
    int64_t own = slice_count(sum, rg_process_group_rank(process_group));
    sum->slice = rg_allocate_aligned(bytes_of(own));
    sum->received = rg_allocate_aligned(size > 1 ? size * bytes_of(at_most(own, BLOCK)) : 0);
    sum->out = rg_allocate(size, sizeof *sum->out);
    sum->in = rg_allocate(size, sizeof *sum->in);
    return sum;
}

void rg_gradient_sum_destroy(RgGradientSum *sum) {
    if (!sum)
        return;
    free(sum->slice);
    free(sum->received);
    free(sum->out);
    free(sum->in);
    free(sum);
}

void rg_gradient_sum_begin(RgGradientSum *sum) {
    int rank = rg_process_group_rank(sum->process_group);
    rg_numbers_copy(slice_count(sum, rank), sum->parameters->gradient + slice_start(sum, rank),
                    sum->slice);
    rg_parameters_zero_gradient(sum->parameters);
}

/* Sends the block at number `at` of every other rank's slice, and receives that of this rank's
 * slice from the first `count` ranks. */
static void swap_block(RgGradientSum *sum, int64_t at, int64_t count) {
    RgProcessGroup *process_group = sum->process_group;
    int64_t room = at_most(slice_count(sum, process_group->rank), BLOCK);
    int64_t own = at_most(slice_count(sum, process_group->rank) - at, BLOCK);
    for (int q = 0; q < process_group->size; q++) {
        int64_t theirs = at_most(slice_count(sum, q) - at, BLOCK);
        bool gives = process_group->rank < count && theirs > 0, gets = q < count && own > 0;
        sum->out[q] = (RgBytes){sum->parameters->gradient + slice_start(sum, q) + at,
                                gives ? bytes_of(theirs) : 0};
        sum->in[q] = (RgBlock){sum->received + q * room, gets ? bytes_of(own) : 0};
    }
    process_group->swap(process_group, sum->out, sum->in);
}

/* The lengths of slices differ by at most one number. All ranks iterate over the longest. */
static int64_t longest_slice(const RgGradientSum *sum) {
    int64_t longest = 0;
    for (int q = 0; q < rg_process_group_size(sum->process_group); q++)
        longest = slice_count(sum, q) > longest ? slice_count(sum, q) : longest;
    return longest;
}

void rg_gradient_sum_add(RgGradientSum *sum, int64_t count) {
    int rank = rg_process_group_rank(sum->process_group),
        size = rg_process_group_size(sum->process_group);
    int64_t own = slice_count(sum, rank), longest = longest_slice(sum);
    const RgReal *mine = sum->parameters->gradient + slice_start(sum, rank);
    if (size == 1)
        rg_axpy(own, 1, mine, sum->slice);
    for (int64_t at = 0; size > 1 && at < longest; at += BLOCK) {
        swap_block(sum, at, count);
        for (int64_t q = 0; q < count && at < own; q++)
            rg_axpy(at_most(own - at, BLOCK), 1, q == rank ? mine + at : sum->in[q].data,
                    sum->slice + at);
    }
    rg_parameters_zero_gradient(sum->parameters);
}

void rg_gradient_sum_end(RgGradientSum *sum) {
    int rank = rg_process_group_rank(sum->process_group),
        size = rg_process_group_size(sum->process_group);
    RgReal *gradient = sum->parameters->gradient;
    rg_numbers_copy(slice_count(sum, rank), sum->slice, gradient + slice_start(sum, rank));
    size_t *start = rg_allocate(size + 1, sizeof *start);
    for (int q = 0; q <= size; q++)
        start[q] = bytes_of(slice_start(sum, q));
    rg_process_group_gather_parts(sum->process_group, gradient, start);
    free(start);
}
