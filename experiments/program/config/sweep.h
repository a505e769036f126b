/* SPDX-License-Identifier: MIT */
/* Options that vary from trial to trial: the grid of `sweep` and the random draws of `search`.
 *
 *     sweep = ( { option = "algorithm.exploration"; values = [0.0, 0.1, 0.3]; } );
 *     search = { trials = 20; seed = 1; options = (
 *         { option = "optimizer.learning_rate"; from = 1e-5; to = 1e-3; scale = "log"; },
 *         { option = "training.batch"; values = [16, 32, 64]; } ); };
 *
 * A trial has one draw and one point of the grid; all seeds and all methods have the same ones. An
 * option of algorithms varies where an algorithm has it, others where it makes a difference: to an
 * algorithm without training, the environment and the policy. What varies replaces what an
 * algorithm's own group says.
 *
 * A drawn value is a function of the search's seed, the option and the draw's number, so that more
 * draws or other options leave the ones that were there. A draw that comes again (of a few values
 * it may) is left out. */
#ifndef RG_EXPERIMENTS_PROGRAM_CONFIG_SWEEP_H
#define RG_EXPERIMENTS_PROGRAM_CONFIG_SWEEP_H

#include "algorithms/algorithm.h"

#include <jansson.h>

typedef struct RgSearchOptions {
    int64_t trials; /* draws */
    int64_t seed;
} RgSearchOptions;

/* What varies: an element of `sweep` or of `search.options`, but for its values. */
typedef struct RgSweptOptions {
    const char *option; /* path in a trial: "algorithm.exploration" */
    RgOptionList also;  /* paths that get the same value */
} RgSweptOptions;

/* In place of values, in `search.options`. */
typedef struct RgRangeOptions {
    double from, to;
    int scale;
} RgRangeOptions;

extern const RgOption rg_search_options[], rg_swept_options[], rg_range_options[];

typedef struct RgSweep RgSweep;

/* Read both from the top of a config and check their form, with `algorithms` [count] those of the
 * experiment: an option that none of them has is refused. The settings must outlive the sweep. */
RgStatus rg_sweep_read(const RgSettings *settings, const RgAlgorithm *const *algorithms,
                       int64_t count, RgSweep **sweep, RgError *error);
void rg_sweep_destroy(RgSweep *sweep);

/* Called with the settings of a trial and what was swept_options, {"exploration": 0.3}. */
typedef RgStatus RgSweepVisit(void *context, const RgSettings *trial, json_t *swept_options,
                              RgError *error);

/* All variations of `trial`, which holds the settings of one algorithm; at least one. */
RgStatus rg_sweep_unfold(const RgSweep *sweep, const RgSettings *trial,
                         const RgAlgorithm *algorithm, RgSweepVisit *visit, void *context,
                         RgError *error);

/* Draws show only some of what a search may give: the probes, by number, show all values and both
 * ends of every range, so that each is checked. */
int64_t rg_sweep_probes(const RgSweep *sweep); /* 0 without a search */
void rg_sweep_probe(const RgSweep *sweep, int64_t probe, const RgAlgorithm *algorithm,
                    RgSettings *trial);

#endif
