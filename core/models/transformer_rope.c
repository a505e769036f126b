/* SPDX-License-Identifier: MIT */
/* The rotary angles of a transformer: frequencies, their scaling for contexts longer than those of
 * pretraining, and the tables of cosines and sines. core/tensor/attention_ops.c rotates with them. */
#include "core/models/transformer_internal.h"

#include <math.h>
#include <stdlib.h>

static double or_default(double given, double fallback) {
    return given > 0 ? given : fallback;
}

static double original_context(const RgTransformerOptions *o) {
    return (double)(o->rope_original_context ? o->rope_original_context : o->context);
}

/* Llama 3.1: pairs with fewer than low_rotations turns over the original context are slowed by the
 * factor, those with more than high_rotations are not, and the others in proportion. */
static void scale_as_llama3(const RgTransformerOptions *o, int64_t pairs, double *frequency) {
    double low = or_default(o->rope_low_rotations, 1), high = or_default(o->rope_high_rotations, 4);
    for (int64_t p = 0; p < pairs; p++) {
        double rotations = original_context(o) * frequency[p] / (2 * M_PI);
        double kept = fmin(fmax((rotations - low) / (high - low), 0), 1);
        frequency[p] *= kept + (1 - kept) / o->rope_factor;
    }
}

/* The index of the pair with this many turns over the original context, as a real number. */
static double pair_of(const RgTransformerOptions *o, int64_t pairs, double rotations) {
    return (double)pairs * log(original_context(o) / (rotations * 2 * M_PI)) / log(o->rope_base);
}

/* YaRN (Peng et al. 2023, arXiv:2309.00071): the same in proportion to the pair's index, between
 * whole numbers. */
static void scale_as_yarn(const RgTransformerOptions *o, int64_t pairs, double *frequency) {
    double first = floor(pair_of(o, pairs, or_default(o->rope_high_rotations, 32)));
    double last = ceil(pair_of(o, pairs, or_default(o->rope_low_rotations, 1)));
    first = fmax(first, 0);
    last = fmin(last, (double)(2 * pairs - 1));
    if (first == last)
        last += 0.001;
    for (int64_t p = 0; p < pairs; p++) {
        double slowed = fmin(fmax(((double)p - first) / (last - first), 0), 1);
        frequency[p] *= (1 - slowed) + slowed / o->rope_factor;
    }
}

/* The frequencies of layers without a window. Returns the factor of cosines and sines. */
static double scale_frequencies(const RgTransformerOptions *o, int64_t pairs, double *frequency) {
    double amplitude = 1;
    if (o->rope_scaling == RG_ROPE_LLAMA3)
        scale_as_llama3(o, pairs, frequency);
    if (o->rope_scaling == RG_ROPE_YARN) {
        scale_as_yarn(o, pairs, frequency);
        amplitude = o->rope_factor > 1 ? 0.1 * log(o->rope_factor) + 1 : 1;
    }
    for (int64_t p = 0; o->rope_scaling == RG_ROPE_LINEAR && p < pairs; p++)
        frequency[p] /= o->rope_factor;
    return or_default(o->rope_amplitude, amplitude);
}

void rg_transformer_make_ropes(RgTransformer *model) {
    const RgTransformerOptions *o = &model->options;
    int64_t head_size = rg_transformer_head_size(o);
    int64_t size = o->rotary_size ? o->rotary_size : head_size, count = o->context * size / 2;
    int tables = o->window_rope_base > 0 ? 2 : 1;
    model->angles = rg_allocate(2 * tables * count, sizeof(RgReal));
    double *frequency = rg_allocate(size / 2, sizeof *frequency);
    for (int i = 0; i < tables; i++) {
        RgReal *angles = model->angles + 2 * i * count;
        double base = i ? o->window_rope_base : o->rope_base;
        rg_rope_frequencies(size, (double)(RgReal)base, frequency);
        double amplitude = i ? 1 : scale_frequencies(o, size / 2, frequency);
        rg_rope_angles(o->context, size / 2, frequency, amplitude, angles, angles + count);
        model->rope[i] = (RgRopeTable){.cosine = angles,
                                       .sine = angles + count,
                                       .rows = o->context,
                                       .size = size,
                                       .head_size = head_size};
    }
    if (tables == 1)
        model->rope[1] = model->rope[0];
    free(frequency);
}
