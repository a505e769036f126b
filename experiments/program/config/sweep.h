/* SPDX-License-Identifier: MIT */
/* Swept options: the grid of `sweep` and the random draws of `search`.
 *
 *     sweep = ( { option = "algorithm.exploration"; values = [0.0, 0.1, 0.3]; } );
 *     search = { trials = 20; seed = 1; options = (
 *         { option = "optimizer.learning_rate"; from = 1e-5; to = 1e-3; scale = "log"; },
 *         { option = "training.batch"; values = [16, 32, 64]; } ); };
 *
 * A trial has one draw and one point of the grid. All seeds and all methods get the same ones. An
 * option of an algorithm is swept only for algorithms that have it. Other options are swept only
 * where they make a difference: for an algorithm without training, those of the environment and the
 * policy. A swept value replaces the value in an algorithm's own group.
 *
 * A drawn value is a function of the search's seed, the option and the draw's number, so more draws
 * or other options leave the existing ones unchanged. A repeated draw, which is possible with few
 * values, is skipped. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_SWEEP_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_SWEEP_H

#include "algorithms/algorithm.h"

#include <jansson.h>

typedef struct RgSearchOptions {
    int64_t trials; /* draws */
    int64_t seed;
} RgSearchOptions;

/* A swept option: an element of `sweep` or of `search.options`, without its values. */
typedef struct RgSweptOptions {
    const char *option; /* path in a trial: "algorithm.exploration" */
    RgOptionList also;  /* paths that get the same value */
} RgSweptOptions;

/* A range instead of values, in `search.options`. */
typedef struct RgRangeOptions {
    double from, to;
    int scale;
} RgRangeOptions;

extern const RgOption rg_search_options[], rg_swept_options[], rg_range_options[];

typedef struct RgSweep RgSweep;

/* Reads both from the top level of a config and checks their form. `algorithms` [count] are those
 * of the experiment: an option that none of them has is refused. The settings must outlive the
 * sweep. One thread at a time. */
RgStatus rg_sweep_read(const RgSettings *settings, const RgAlgorithm *const *algorithms,
                       int64_t count, RgSweep **sweep, RgError *error);
void rg_sweep_destroy(RgSweep *sweep);

/* Called with the settings of a trial and its swept values, such as {"exploration": 0.3}. */
typedef RgStatus RgSweepVisit(void *context, const RgSettings *trial, json_t *swept_options,
                              RgError *error);

/* Visits all variations of `trial`, the settings of one algorithm. There is at least one. */
RgStatus rg_sweep_unfold(const RgSweep *sweep, const RgSettings *trial,
                         const RgAlgorithm *algorithm, RgSweepVisit *visit, void *context,
                         RgError *error);

/* A search draws only some of its possible values. The probes, by number, cover all values and both
 * ends of every range, so that each is checked. */
int64_t rg_sweep_probes(const RgSweep *sweep); /* 0 without a search */
void rg_sweep_probe(const RgSweep *sweep, int64_t probe, const RgAlgorithm *algorithm,
                    RgSettings *trial);

#endif
