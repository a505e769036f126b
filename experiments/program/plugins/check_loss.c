/* SPDX-License-Identifier: MIT */
/* Compares the gradient of a method's loss with finite differences, on a batch of made-up
 * log-probabilities: without policy and environment. The state of the loss is that of the trainer
 * after `create`.
 *
 * The program's numbers are float, so that a plain central difference has at best three or
 * four digits. Ridders' method (1982, Advances in Engineering Software 4) extrapolates differences
 * of several steps to the limit and estimates the error. */
#include "experiments/program/plugins/check_plugin.h"

#include "core/models/enumerated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPTS = 6, STEPS_EACH = 2 };

/* The point at which the loss is differentiated. */
typedef struct Point {
    const RgTrainer *trainer; /* of the method, with its options and its state */
    RgRecipe recipe;
    int64_t k, responses; /* per prompt, in total */
    int64_t own, third;   /* numbers of log-probabilities: of the batch, and of third responses */
    double *x;            /* [own + third] */
    RgStopped stopped;
} Point;

static double chance(int64_t i, const char *what) {
    return rg_random_uniform(rg_random_named(rg_random_root(21), what), (uint64_t)i);
}

static RgTensor *numbers(RgTape *t, int64_t count, const char *what, double low, double high) {
    RgTensor *y = rg_filled(t, RG_SHAPE(count), 0);
    for (int64_t i = 0; i < count; i++)
        y->data[i] = (RgReal)(low + (high - low) * chance(i, what));
    return y;
}

static RgTensor *reference_of(RgTape *t, const Point *p, int64_t count, const char *what) {
    bool none = p->recipe.reference_free;
    return numbers(t, count, what, none ? 0 : -4, none ? 0 : -0.2);
}

/* Around the point itself, and constant when it moves. */
static RgTensor *old_of(RgTape *t, const double *x, int64_t count) {
    RgTensor *y = numbers(t, count, "old", -0.1, 0.1);
    for (int64_t i = 0; i < count; i++)
        y->data[i] += (RgReal)x[i];
    return y;
}

static RgSide side_of(RgTape *t, RgTensor *logprob, RgTensor *reference, RgTensor *length) {
    return (RgSide){.logprob = logprob,
                    .reference = reference,
                    .log_ratio = rg_sub(t, logprob, reference),
                    .length = length};
}

static RgSide pick(RgTape *t, const RgBatch *batch, int64_t place, int32_t *index) {
    for (int64_t i = 0; i < batch->prompts; i++)
        index[i] = batch->order[batch->k * i + place];
    return side_of(t, rg_gather(t, batch->logprob, index), rg_gather(t, batch->reference, index),
                   rg_gather(t, batch->length, index));
}

/* Memory of a batch outside the tape. */
typedef struct Places {
    int32_t *order;          /* [responses] */
    int32_t *first, *second; /* [PROMPTS] */
    int64_t *offsets;        /* [responses + 1] */
    double *base;            /* [own] the point before it moved */
    double *judged;          /* [responses] */
    int64_t *pair;           /* [PROMPTS] */
    RgSequences *sequences;  /* [responses] of the trainer's task */
} Places;

static Places places_of(const Point *p) {
    Places places = {.order = rg_allocate(p->responses, sizeof(int32_t)),
                     .first = rg_allocate(PROMPTS, sizeof(int32_t)),
                     .second = rg_allocate(PROMPTS, sizeof(int32_t)),
                     .offsets = rg_allocate(p->responses + 1, sizeof(int64_t)),
                     .base = rg_allocate(p->own, sizeof(double)),
                     .judged = rg_allocate(p->responses, sizeof(double)),
                     .pair = rg_allocate(PROMPTS, sizeof(int64_t)),
                     .sequences = rg_sequences_create()};
    for (int64_t i = 0; i < p->responses; i++) /* each prompt's are rotated by one more */
        places.order[i] = (int32_t)((i % p->k + i / p->k) % p->k);
    for (int64_t i = 0; i < p->responses; i++)
        places.judged[i] = 2 * chance(i, "reward") - 1;
    const RgPolicy *policy = p->trainer->policy;
    for (int64_t i = 0; i < p->responses; i++) {
        int32_t context = (int32_t)(i / p->k % rg_policy_contexts(policy));
        int32_t response = (int32_t)(i % rg_policy_responses(policy));
        rg_sequences_append(places.sequences, &context, 1, &response, 1);
    }
    for (int64_t i = 0; i < PROMPTS; i++)
        places.pair[i] = i;
    for (int64_t i = 0; i <= p->responses; i++)
        places.offsets[i] = STEPS_EACH * i;
    memcpy(places.base, p->x, (size_t)p->own * sizeof(double));
    return places;
}

static void places_release(Places *places) {
    free(places->order);
    free(places->first);
    free(places->second);
    free(places->offsets);
    free(places->base);
    free(places->judged);
    free(places->pair);
    rg_sequences_destroy(places->sequences);
}

static RgTensor *features_of(RgTape *t, const Point *p) {
    const RgPolicy *reference = p->trainer->reference;
    int64_t width = reference->type->state_feature_count(reference);
    return rg_reshape(t, numbers(t, p->own * width, "features", -1, 1), RG_SHAPE(p->own, width));
}

/* The batch with `own` [p->own] and `third` [p->third] as its log-probabilities. */
static RgBatch batch_of(RgTape *t, const Point *p, const Places *places, RgTensor *own,
                        RgTensor *third) {
    RgShape shape = RG_SHAPE(PROMPTS, p->k);
    RgBatch batch = {.prompts = PROMPTS,
                     .k = p->k,
                     .order = places->order,
                     .sequences = places->sequences,
                     .pair = places->pair};
    RgTensor *logprob = own, *reference = reference_of(t, p, p->own, "reference");
    RgTensor *old = old_of(t, places->base, p->own);
    if (p->recipe.steps) {
        batch.steps = (RgSteps){.count = p->own,
                                .offsets = places->offsets,
                                .logprob = own,
                                .reference = reference,
                                .old = old};
        if (p->recipe.features)
            batch.steps.features = features_of(t, p);
        logprob = rg_segment_sum(t, own, places->offsets, p->responses);
        reference = rg_segment_sum(t, reference, places->offsets, p->responses);
        old = rg_segment_sum(t, old, places->offsets, p->responses);
    }
    batch.logprob = rg_reshape(t, logprob, shape);
    batch.reference = rg_reshape(t, reference, shape);
    batch.log_ratio = rg_sub(t, batch.logprob, batch.reference);
    batch.old = rg_reshape(t, old, shape);
    RgTensor *length = rg_filled(t, shape, STEPS_EACH);
    for (int64_t i = 0; !p->recipe.steps && i < p->responses; i++)
        length->data[i] = (RgReal)(1 + i * 5 % 7);
    batch.length = length;
    batch.on_policy = rg_filled(t, RG_SHAPE(PROMPTS), 1);
    for (int i = 0; p->recipe.on_policy < 1 && i < PROMPTS; i += 2)
        batch.on_policy->data[i] = 0;
    if (p->recipe.group > 0) {
        batch.judged = places->judged;
        batch.reward = rg_constant_from_double(t, shape, places->judged);
    }
    if (p->recipe.group > 0 || p->recipe.rivals != RG_FROM_NOWHERE)
        batch.win_rate = rg_reshape(t, numbers(t, p->responses, "win rate", 0, 1), shape);
    if (p->recipe.single) {
        batch.desirable = rg_filled(t, RG_SHAPE(PROMPTS), 0);
        for (int i = 0; i < PROMPTS; i += 2)
            batch.desirable->data[i] = 1;
    }
    if (rg_recipe_takes_pairs(&p->recipe)) {
        batch.chosen = pick(t, &batch, 0, places->first);
        batch.rejected = pick(t, &batch, 1, places->second);
    }
    if (third)
        batch.third = side_of(t, third, reference_of(t, p, p->third, "third reference"),
                              numbers(t, p->third, "third length", 1, 7));
    return batch;
}

static RgTensor *leaf(RgTape *t, const double *x, int64_t count) {
    RgReal *values = rg_allocate(count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (RgReal)x[i];
    RgTensor *y = rg_variable(t, RG_SHAPE(count), values);
    free(values);
    return y;
}

/* What `prepare` computes from the batch at the policy that sampled it. */
static const void *prepared_of(RgStep *step, const Point *p, const Places *places,
                               RgTensor *third) {
    const RgAlgorithm *a = p->trainer->algorithm;
    if (!a->prepare)
        return NULL;
    bool recording = rg_tape_record(step->tape, false);
    RgTensor *old = old_of(step->tape, places->base, p->own);
    RgBatch batch = batch_of(step->tape, p, places, old, third);
    const void *prepared = a->prepare(step, p->trainer->options, &batch);
    rg_tape_record(step->tape, recording);
    // cppcheck-suppress returnDanglingLifetime ; `prepare` keeps nothing of the batch but its tensors
    return prepared;
}

static bool is_of_responses(const RgRecipe *r) {
    return r->group > 0 || r->single || rg_recipe_takes_pairs(r);
}

/* The loss at x; unless NULL, `gradient` receives its gradient in all numbers. */
static double loss_at(Point *p, const Places *places, double *gradient) {
    RgTape *t = rg_tape_create();
    rg_tape_use_stopped(t, &p->stopped);
    RgStep step = {.tape = t, .random = rg_random_root(5), .state = p->trainer->state, .share = 1};
    RgTensor *x[2] = {leaf(t, p->x, p->own), leaf(t, p->x + p->own, p->third)}, *g[2];
    RgTensor *third =
        p->recipe.third == RG_FROM_OTHERS ? rg_constant(t, x[1]->shape, x[1]->data) : x[1];
    third = p->third > 0 ? third : NULL;
    step.prepared = prepared_of(&step, p, places, third);
    RgBatch batch = is_of_responses(&p->recipe) ? batch_of(t, p, places, x[0], third)
                                                : (RgBatch){.prompts = PROMPTS,
                                                            .k = 1,
                                                            .log_likelihood = rg_sum(t, x[0]),
                                                            .response_tokens = 3 * PROMPTS};
    RgTensor *loss = p->trainer->algorithm->loss(&step, p->trainer->options, &batch);
    double value = loss && loss->count == 1 ? (double)loss->data[0] : NAN;
    if (gradient && isfinite(value)) {
        rg_gradients(t, loss, x, 2, g);
        for (int64_t i = 0; i < p->own + p->third; i++) {
            const RgTensor *of = i < p->own ? g[0] : g[1];
            gradient[i] = of ? (double)of->data[i < p->own ? i : i - p->own] : 0;
        }
    }
    rg_tape_destroy(t);
    return value;
}

/* (f(x + h) − f(x − h)) / 2h with steps rounded to float. */
static double difference(Point *p, const Places *places, int64_t i, double step) {
    double here = p->x[i];
    double high = (double)(RgReal)(here + step), low = (double)(RgReal)(here - step);
    p->x[i] = high;
    p->stopped.next = 0;
    double above = loss_at(p, places, NULL);
    p->x[i] = low;
    p->stopped.next = 0;
    double below = loss_at(p, places, NULL);
    p->x[i] = here;
    return (above - below) / (high - low);
}

/* Ridders' method: Neville's scheme extrapolates differences, whose steps shrink by 1.4 each, to a
 * step of 0. The error is the spread of the last estimates, or the effect of the loss's rounding on
 * the first, where `value` is the loss itself. */
static double derivative(Point *p, const Places *places, int64_t i, double value, double *error) {
    enum { LEVELS = 8 };
    const double shrink = 1.4, first = 0.4;
    double table[LEVELS][LEVELS], best = NAN, step = first;
    double rounding = 4 * RG_REAL_EPSILON * fabs(value) / first;
    *error = INFINITY;
    for (int level = 0; level < LEVELS; level++, step /= shrink) {
        table[level][0] = difference(p, places, i, step);
        double factor = shrink * shrink;
        for (int k = 1; k <= level; k++, factor *= shrink * shrink) {
            table[level][k] =
                (factor * table[level][k - 1] - table[level - 1][k - 1]) / (factor - 1);
            double apart = fmax(fabs(table[level][k] - table[level][k - 1]),
                                fabs(table[level][k] - table[level - 1][k - 1]));
            if (apart <= *error) {
                *error = apart;
                best = table[level][k];
            }
        }
    }
    *error = fmax(*error, rounding);
    return best;
}

static Point point_of(const RgTrainer *trainer) {
    Point p = {.trainer = trainer, .recipe = trainer->recipe, .k = 1};
    if (is_of_responses(&p.recipe))
        p.k = p.recipe.group > 0 ? p.recipe.group : p.recipe.single ? 1 : 2;
    p.responses = PROMPTS * p.k;
    p.own = p.recipe.steps ? STEPS_EACH * p.responses : p.responses;
    p.third = p.recipe.third == RG_FROM_NOWHERE                            ? 0
              : p.recipe.third == RG_FROM_OTHERS && !p.recipe.third_chosen ? p.k * PROMPTS
                                                                           : PROMPTS;
    p.x = rg_allocate(p.own + p.third, sizeof *p.x);
    for (int64_t i = 0; i < p.own + p.third; i++)
        p.x[i] = -0.2 - 3.8 * chance(i, "point");
    return p;
}

/* Comparison of the gradient with differences, relative to its largest number. */
typedef struct Comparison {
    int64_t count, rough; /* numbers; those with useless differences, near a kink */
    double scale;         /* the largest absolute value */
    double off, accuracy; /* the worst error; the largest error of a difference */
    bool holds;
} Comparison;

static Comparison compare(Point *p, const Places *places, const double *gradient, double value) {
    const double tolerance = 1e-3, too_rough = 1e-2;
    Comparison c = {.count = p->own + p->third, .holds = true};
    double worst = -INFINITY;
    for (int64_t i = 0; i < c.count; i++)
        c.scale = fmax(c.scale, fabs(gradient[i]));
    for (int64_t i = 0; i < c.count && c.scale > 0; i++) {
        double error, found = derivative(p, places, i, value, &error) / c.scale;
        error /= c.scale;
        if (i >= p->own && p->recipe.third == RG_FROM_OTHERS)
            found = 0; /* constant within the batch */
        if (!(error <= too_rough)) {
            c.rough++;
            continue;
        }
        double off = fabs(gradient[i] / c.scale - found), beyond = off - tolerance - 2 * error;
        c.accuracy = fmax(c.accuracy, error);
        c.holds = c.holds && beyond <= 0;
        if (beyond > worst) {
            worst = beyond;
            c.off = off;
        }
    }
    return c;
}

void rg_claim_gradient(const RgTrainer *trainer, RgClaims *claims) {
    static const char claim[] = "the loss's gradient equals its finite differences";
    Point p = point_of(trainer);
    Places places = places_of(&p);
    double *gradient = rg_allocate(p.own + p.third, sizeof *gradient);
    double value = loss_at(&p, &places, gradient);
    Comparison c = {0};
    p.stopped.again = true;
    if (isfinite(value))
        c = compare(&p, &places, gradient, value);
    if (!isfinite(value))
        rg_claim(claims, false, claim, "the loss is not a finite scalar");
    else if (c.scale == 0)
        rg_claim(claims, false, claim, "it is 0 in all %d log-probabilities", (int)c.count);
    else if (c.rough > c.count / 2)
        rg_claim(claims, false, claim,
                 "at %d of %d log-probabilities the loss is too rough for differences",
                 (int)c.rough, (int)c.count);
    else
        rg_claim(claims, c.holds, claim,
                 "the worst of %d is off by %.1g of the largest; in float, differences have errors "
                 "up to "
                 "%.1g%s",
                 (int)(c.count - c.rough), c.off, c.accuracy,
                 c.holds ? "" : "; intended constants need rg_stop_gradient");
    free(gradient);
    free(p.x);
    free(p.stopped.value);
    places_release(&places);
}
